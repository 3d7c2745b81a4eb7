//! Parquet files as a table.
//!
//! INVARIANT: the footer of each file is checked against the contract whenever a scan is planned. The engine's reader fills a column that
//! a file lacks with NULL; a file that lacks one never reaches it.

mod encrypted;
mod few;
mod lookup;
mod numbered;
mod pinned;
mod wrapped;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{Field as ArrowField, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue, config::TableParquetOptions};
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchemaBuilder;
use datafusion::error::Result;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use super::boundary::{BoundaryExec, translate};
use super::error::{Error, Place};
use super::estimate::at_most;
use super::files::{FileVersion, Files, Part, Pinned, Rooted, Split, tell};
use super::shape::{Shape, own_columns};

use encrypted::ClosedColumns;
pub(super) use encrypted::Keys;
pub(super) use lookup::Dictionaries;
use numbered::Recipe;
pub use numbered::{NumberedBatch, NumberedFile, NumberedScan, Reading, SourceColumn};
use pinned::Readers;

const EXTENSIONS: &[&str] = &[".parquet", ".parq"];
/// Footers that are read at once.
const FOOTERS_AT_ONCE: usize = 16;
/// Reads most footers in one go.
const FOOTER_HINT_BYTES: usize = 64 << 10;

/// The Parquet files of a port.
#[derive(Debug, Clone)]
pub(super) struct ParquetTable {
    files: Arc<Files>,
    shape: Arc<Shape>,
    /// What opens the files, if they are encrypted.
    keys: Option<Arc<Keys>>,
    /// Whether rows are tested while they are decoded; `None`: where few are asked for.
    pushdown: Option<bool>,
}

/// The columns of the contract within the files.
#[derive(Debug)]
struct Layout {
    /// What is read: each source column once, under its source name, as the contract's type.
    schema: SchemaRef,
    /// What the folders of a file tell, under names that no column of the files has.
    told: Fields,
    /// For each column of the contract, its position in `schema`, or behind it in `told`.
    positions: Vec<usize>,
    /// Rows of all files together.
    rows: usize,
}

/// What is looked at in a file before it is read.
#[derive(Debug)]
pub(super) struct Footer {
    schema: SchemaRef,
    rows: usize,
    /// None if they are not numbered in their order.
    groups: Option<Arc<[Group]>>,
    /// The file that it is the footer of, if that can be told.
    version: Option<FileVersion>,
    /// Columns that no key of the contract opens.
    closed: ClosedColumns,
}

/// A row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    rows: usize,
    bytes: u64,
}

impl Group {
    /// Those of a file, if they are numbered in their order, as row numbers take for granted.
    fn all(metadata: &ParquetMetaData) -> Option<Vec<Self>> {
        let group = |(position, group): (usize, &datafusion::parquet::file::metadata::RowGroupMetaData)| {
            let ordinal = usize::try_from(group.ordinal()?).ok()?;
            let (rows, bytes) = (usize::try_from(group.num_rows()).ok()?, u64::try_from(group.compressed_size()).ok()?);
            (ordinal == position).then_some(Self { rows, bytes })
        };
        metadata.row_groups().iter().enumerate().map(group).collect()
    }
}

/// What the engine's reader is to deliver.
struct Source<'a> {
    layout: &'a Layout,
    /// Columns of the contract.
    indices: &'a [usize],
    files: Arc<Pinned>,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    /// Whether rows are tested while they are decoded.
    pushdown: bool,
    /// A column of row numbers, as the last.
    number: Option<FieldRef>,
}

impl ParquetTable {
    /// A table of these files. Without a contract's shape, the first file gives one.
    pub(super) async fn open(files: Files, shape: Option<Shape>, keys: Option<Keys>, pushdown: Option<bool>) -> Result<Self, Error> {
        let keys = keys.map(Arc::new);
        let shape = match shape {
            Some(shape) => shape,
            None => {
                let (at, listed) = (&files.at, files.list(EXTENSIONS).await?);
                let first = listed.first().ok_or_else(|| Error::NoData { at: at.clone(), source: None })?;
                let footer = footer(at.clone(), Arc::clone(&files.rooted), first.clone(), keys.clone()).await?;
                Shape::of_source(own_columns(at, &footer.schema)?)
            }
        };
        Ok(Self { files: Arc::new(files), shape: Arc::new(shape), keys, pushdown })
    }

    /// Checks every footer, and says where the columns and the row groups are.
    async fn layout(&self, parts: Vec<Part>, told: &[usize]) -> Result<(Layout, Vec<NumberedFile>), Error> {
        let at = &self.files.at;
        let rooted = &self.files.rooted;
        let footers = parts.iter().map(|part| footer(at.clone(), Arc::clone(rooted), part.file.clone(), self.keys.clone()));
        let footers = futures::stream::iter(footers.collect::<Vec<_>>()).buffered(FOOTERS_AT_ONCE);
        let footers: Vec<Arc<Footer>> = footers.try_collect().await?;
        let elsewhere = told.iter().copied().collect();
        // Without a file, names are those of the contract.
        let mut sources: Vec<String> = self.shape.columns.iter().map(|column| column.source.clone()).collect();
        for (index, footer) in footers.iter().enumerate() {
            let here = self.sources(footer, &elsewhere)?;
            if index == 0 {
                sources = here;
            } else if let Some((_, column)) = sources.iter().zip(&here).zip(&self.shape.columns).find(|((a, b), _)| a != b) {
                return Err(column.missing(at));
            }
        }
        let rows = footers.iter().fold(0_usize, |sum, footer| sum.saturating_add(footer.rows));
        let layout = self.arrange(&sources, told, rows)?;
        let numbered = parts.into_iter().zip(&footers).map(|(part, footer)| {
            let values: Arc<[ScalarValue]> = part.told.into_iter().map(|(_, value)| value).collect();
            NumberedFile {
                version: footer.version.as_ref().map(|version| version.told(&layout.told, &values)),
                meta: part.file,
                told: values,
                schema: Arc::clone(&footer.schema),
                counted: footer.groups.is_some(),
                groups: footer.groups.clone().unwrap_or_default(),
            }
        });
        let numbered = numbered.collect();
        Ok((layout, numbered))
    }

    /// The name of each column of the contract in a file; of those that folders tell the contract's.
    fn sources(&self, footer: &Footer, told: &HashSet<usize>) -> Result<Vec<String>, Error> {
        let (at, schema) = (&self.files.at, &footer.schema);
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let found = self.shape.locate_but(at, &names, told)?;
        let sources = found.iter().zip(&self.shape.columns).map(|(place, column)| match place {
            None => Ok(column.source.clone()),
            Some(place) => {
                let field = schema.fields().get(*place).ok_or_else(|| column.missing(at))?;
                footer.closed.check(at, field.name())?;
                column.check_type(at, field.data_type())?;
                Ok(field.name().clone())
            }
        });
        sources.collect()
    }

    fn arrange(&self, sources: &[String], told: &[usize], rows: usize) -> Result<Layout, Error> {
        let mut fields: Vec<ArrowField> = Vec::new();
        let mut positions = Vec::with_capacity(sources.len());
        for (index, (source, column)) in sources.iter().zip(&self.shape.columns).enumerate() {
            if told.contains(&index) {
                positions.push(0);
                continue;
            }
            match fields.iter().position(|field| field.name() == source) {
                Some(position) => {
                    let same = fields.get(position).is_some_and(|field| field.data_type() == column.field.data_type());
                    if !same {
                        let what = format!("one source column as two types, in column \"{}\",", column.field.name());
                        return Err(Error::NotSupported { at: self.files.at.clone(), what });
                    }
                    positions.push(position);
                }
                None => {
                    positions.push(fields.len());
                    fields.push(column.field.as_ref().clone().with_name(source));
                }
            }
        }
        let mut beside: Vec<FieldRef> = Vec::with_capacity(told.len());
        for index in told {
            let (Some(column), Some(position)) = (self.shape.columns.get(*index), positions.get_mut(*index)) else { continue };
            *position = fields.len() + beside.len();
            let mut name = column.source.clone();
            while fields.iter().any(|field| *field.name() == name) || beside.iter().any(|field| *field.name() == name) {
                name.push('_');
            }
            beside.push(Arc::new(column.field.as_ref().clone().with_name(name)));
        }
        Ok(Layout { schema: Arc::new(Schema::new(fields)), told: beside.into(), positions, rows })
    }

    /// The predicate that the reader prunes by, over the layout's columns. What the reader cannot take is left to whoever asked.
    fn predicate(&self, session: &dyn Session, layout: &Layout, filters: &[Expr]) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let schema = DFSchema::try_from(Arc::clone(&self.shape.schema))?;
        let usable = filters.iter().filter_map(|filter| {
            let bare = unqualified(filter)?;
            session.create_physical_expr(bare.clone(), &schema).is_ok().then_some(bare)
        });
        let Some(all) = conjunction(usable.collect::<Vec<_>>()) else { return Ok(None) };
        let predicate = session.create_physical_expr(all, &schema)?;
        let placed = predicate.transform(|node| {
            let Some(column) = node.downcast_ref::<PhysicalColumn>() else { return Ok(Transformed::no(node)) };
            Ok(Transformed::yes(layout.column(&self.files.at, column.index())?))
        })?;
        Ok(Some(placed.data))
    }

    /// Whether the reader is to find the rows of these filters first, and to decode the other columns for them alone.
    fn finds_first(&self, layout: &Layout, files: &[NumberedFile], filters: &[Expr], predicate: Option<&Arc<dyn PhysicalExpr>>) -> bool {
        let few = || predicate.is_some_and(|predicate| few::are_few(&self.files.rooted, files, layout, predicate));
        self.pushdown.unwrap_or_else(|| self.asks_for_key(filters) || few())
    }

    /// Whether the filters ask for rows by their key.
    fn asks_for_key(&self, filters: &[Expr]) -> bool {
        let is_key = |name: &str| self.shape.columns.iter().any(|column| column.key && column.field.name() == name);
        filters.iter().flat_map(split_conjunction).any(|filter| match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), Expr::Literal(..)) | (Expr::Literal(..), Expr::Column(column)) => is_key(&column.name),
                _ => false,
            },
            _ => false,
        })
    }

    fn source(&self, asked: Source<'_>) -> Result<Arc<dyn FileSource>> {
        let mut options = TableParquetOptions::default();
        options.global.coerce_int96 = Some("us".to_owned());
        options.global.pushdown_filters = asked.pushdown;
        let readers = CachedParquetFileReaderFactory::new(asked.files, Arc::clone(&self.files.rooted.footers));
        let number = asked.number.as_slice();
        let schema = TableSchemaBuilder::new(Arc::clone(&asked.layout.schema))
            .with_table_partition_cols(asked.layout.told.clone())
            .with_virtual_columns(number.to_vec())
            .build();
        let mut source = ParquetSource::new(schema)
            .with_table_parquet_options(options)
            .with_metadata_size_hint(FOOTER_HINT_BYTES)
            .with_parquet_file_reader_factory(Arc::new(Readers::new(readers)));
        if let Some(predicate) = asked.predicate {
            source = source.with_predicate(predicate);
        }
        if let Some(keys) = &self.keys {
            source = source.with_encryption_factory(Arc::clone(keys) as _);
        }
        let columns = asked.indices.iter().map(|index| {
            let shown = self.shape.schema.fields().get(*index).map(|field| field.name().clone()).unwrap_or_default();
            Ok(ProjectionExpr::new(asked.layout.column(&self.files.at, *index)?, shown))
        });
        let position = asked.layout.fields().count();
        let numbers = number.iter().map(|field| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(PhysicalColumn::new(field.name(), position));
            Ok(ProjectionExpr::new(column, field.name().clone()))
        });
        let projection = ProjectionExprs::new(columns.chain(numbers).collect::<Result<Vec<_>>>()?);
        let broken = || Error::Internal { at: self.files.at.clone(), broken: "the Parquet reader takes no projection" };
        Ok(source.try_pushdown_projection(&projection)?.ok_or_else(broken)?)
    }
}

impl Layout {
    /// The name in the files of a column of the contract.
    fn source(&self, index: usize) -> Option<&str> {
        let field = self.schema.fields().get(*self.positions.get(index)?)?;
        Some(field.name().as_str())
    }

    fn column(&self, at: &Place, index: usize) -> Result<Arc<dyn PhysicalExpr>> {
        let broken = || Error::Internal { at: at.clone(), broken: "a column of the contract has no place in the files" };
        let position = *self.positions.get(index).ok_or_else(broken)?;
        let field = self.fields().nth(position).ok_or_else(broken)?;
        Ok(Arc::new(PhysicalColumn::new(field.name(), position)))
    }

    /// All fields, in the order of their positions.
    fn fields(&self) -> impl Iterator<Item = &FieldRef> {
        self.schema.fields().iter().chain(&self.told)
    }
}

#[async_trait]
impl TableProvider for ParquetTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // The reader prunes by statistics, and may or may not test each row.
        Ok(filters.iter().map(|_| TableProviderFilterPushDown::Inexact).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let at = &self.files.at;
        let parts = self.files.parts(&self.shape, EXTENSIONS, session, filters).await?;
        let Split { told, schema, .. } = self.files.split(&self.shape, projection)?;
        if parts.is_empty() {
            return Ok(Arc::new(BoundaryExec::new(at.clone(), Arc::new(EmptyExec::new(schema)), Some(0))));
        }
        let (layout, files) = self.layout(parts, &told).await?;
        let indices = self.shape.project(at, projection)?;
        let pinned = self.files.rooted.pin(&files.iter().map(|file| file.meta.clone()).collect::<Vec<_>>());
        if let Some(scan) = lookup::look_up(self, &layout, &files, &indices, filters) {
            let rows = Some(layout.rows);
            let recipe = Recipe { table: self.clone(), layout, files, pinned, indices, filters: filters.to_vec() };
            return Ok(Arc::new(NumberedScan::new(recipe, Arc::new(scan), rows)));
        }
        let predicate = self.predicate(session, &layout, filters)?;
        let pushdown = self.finds_first(&layout, &files, filters, predicate.as_ref());
        let asked = Source { layout: &layout, indices: &indices, files: Arc::clone(&pinned), predicate, pushdown, number: None };
        let source = self.source(asked)?;
        session.runtime_env().register_object_store(self.files.rooted.url.as_ref(), Arc::clone(&self.files.rooted.store));
        let partitions = session.config().target_partitions().max(1);
        // In the order of their names: the reader's own split would go by versions, which are a part of the names that it knows.
        let each = files.len().div_ceil(partitions).max(1);
        let groups = files.chunks(each).map(|files| FileGroup::new(files.iter().map(NumberedFile::part).collect())).collect();
        let limit = limit.filter(|_| filters.is_empty());
        // No partition takes over files of another: which rows come first would hang on which was faster.
        let config = FileScanConfigBuilder::new(self.files.rooted.url.clone(), source).with_file_groups(groups);
        let scan = DataSourceExec::from_data_source(config.with_limit(limit).with_preserve_order(true).build());
        // The barrier above hides the scan from the rule that would split it.
        let scan: Arc<dyn ExecutionPlan> = match scan.repartitioned(partitions, session.config_options())? {
            Some(split) => split,
            None => scan,
        };
        let rows = at_most(Some(layout.rows), limit);
        let scan = Arc::new(BoundaryExec::new(at.clone(), scan, rows));
        let recipe = Recipe { table: self.clone(), layout, files, pinned, indices, filters: filters.to_vec() };
        Ok(Arc::new(NumberedScan::new(recipe, scan, rows)))
    }
}

/// The file's schema as the reader will see it, and its row groups.
async fn footer(at: Place, rooted: Arc<Rooted>, file: ObjectMeta, keys: Option<Arc<Keys>>) -> Result<Arc<Footer>, Error> {
    let version = rooted.version(&file);
    // What keys have opened is not kept for those who have none.
    if keys.is_none()
        && let Some(footer) = rooted.looks.find(&file)
        && footer.version == version
    {
        return Ok(footer);
    }
    // What is kept under its name need not be of this version of it.
    rooted.footers.remove(&Pinned::named(&file).location);
    let read = read_footer(at, &rooted, &file, keys.as_deref()).await;
    let mut footer = read.inspect_err(|error| tell(error, &file.location))?;
    footer.version = version.filter(|before| rooted.version(&file).as_ref() == Some(before));
    let footer = Arc::new(footer);
    if keys.is_none() {
        rooted.looks.keep(file, Arc::clone(&footer));
    }
    Ok(footer)
}

async fn read_footer(at: Place, rooted: &Rooted, file: &ObjectMeta, keys: Option<&Keys>) -> Result<Footer, Error> {
    let (store, file) = (rooted.pin(std::slice::from_ref(file)), Pinned::named(file));
    let metadata = DFParquetMetadata::new(store.as_ref(), &file)
        .with_metadata_size_hint(Some(FOOTER_HINT_BYTES))
        .with_file_metadata_cache(Some(Arc::clone(&rooted.footers)))
        .with_decryption_properties(keys.map(Keys::properties))
        .with_coerce_int96(Some(TimeUnit::Microsecond));
    // The decoder is known to panic on some damaged files.
    let both = async {
        let schema = metadata.fetch_schema().await?;
        let metadata = metadata.fetch_metadata().await?;
        let closed = encrypted::check(&at, store.as_ref(), &file, &metadata, keys).await?;
        let rows = usize::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        Ok(Footer { schema: Arc::new(schema), rows, groups: Group::all(&metadata).map(Arc::from), version: None, closed })
    };
    let read = std::panic::AssertUnwindSafe(both).catch_unwind().await;
    match read {
        Ok(Ok(footer)) => Ok(footer),
        Ok(Err(error)) if encrypted::is_why(store.as_ref(), &file).await => Err(encrypted::refused(&at, keys, &error)),
        Ok(Err(error)) => match translate(&at, error) {
            datafusion::error::DataFusionError::External(inner) => match inner.downcast::<Error>() {
                Ok(known) => Err(*known),
                Err(source) => Err(Error::Damaged { at, source }),
            },
            source => Err(Error::Unreadable { at, source: Box::new(source) }),
        },
        Err(_) => Err(Error::Damaged { at, source: "the decoder panicked".into() }),
    }
}

/// The filter with bare column names; `None` if it holds what cannot be evaluated here.
fn unqualified(filter: &Expr) -> Option<Expr> {
    let bare = filter.clone().transform(|node| {
        Ok(match node {
            Expr::Column(column) => Transformed::yes(Expr::Column(datafusion::common::Column::new_unqualified(column.name))),
            other => Transformed::no(other),
        })
    });
    bare.ok().map(|transformed| transformed.data)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::Int64Type;
    use datafusion::logical_expr::{col, lit};
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::ports::tests::{Ask, field, open, ports, product, refusal, rows, scan, texts, write_parquet};
    use crate::ports::{PortOptions, Ports};
    use crate::product::{DataType, PortFormat};

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn ids(values: std::ops::Range<i64>) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(values))
    }

    #[tokio::test]
    async fn a_narrower_column_is_widened_and_an_extra_one_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("secret", Arc::new(StringArray::from(vec!["s"; 3]))), ("cust_id", Arc::new(Int32Array::from(vec![1, 2, 3])))];
        write_parquet(&folder.path().join("a.parquet"), &batch(columns));
        write_parquet(&folder.path().join("b.parquet"), &batch(vec![("cust_id", ids(4..5))]));
        let mut id = field("id", DataType::Int64);
        id.physical_name = Some("cust_id".to_owned());
        let product = product(PortFormat::Parquet, "*.parquet", Some(vec![id]));
        for pushdown in [false, true] {
            let ports = ports(folder.path(), pushdown);
            assert_eq!(rows(&ports, &product).await.unwrap(), ["1", "2", "3", "4"]);
            let ask = Ask { filter: Some(col("id").gt(lit(2_i64))), push: true, ..Ask::default() };
            let found = scan(&open(&ports, &product).await.unwrap(), &ask).await.unwrap();
            assert_eq!(texts(&found), ["3", "4"]);
        }
    }

    #[tokio::test]
    async fn a_file_without_a_column_is_an_error_beside_files_with_it() {
        let folder = tempfile::tempdir().unwrap();
        write_parquet(&folder.path().join("a.parquet"), &batch(vec![("id", ids(0..3)), ("b", ids(0..3))]));
        write_parquet(&folder.path().join("b.parquet"), &batch(vec![("id", ids(0..3))]));
        let product = product(PortFormat::Parquet, "*.parquet", Some(vec![field("id", DataType::Int64), field("b", DataType::Int64)]));
        assert_eq!(refusal(&ports(folder.path(), false), &product).await.0, "HV021");
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_wherever_the_damage_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        write_parquet(&path, &batch(vec![("id", ids(0..5000))]));
        let whole = std::fs::read(&path).unwrap();
        let product = product(PortFormat::Parquet, "a.parquet", Some(vec![field("id", DataType::Int64)]));
        for kept in [0, 3, 100, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..kept]).unwrap();
            assert_eq!(refusal(&ports(folder.path(), false), &product).await.0, "XX001", "{kept} bytes");
        }
        // Every position once: right, or an error of ours, never a panic.
        for position in (0..whole.len()).step_by(whole.len() / 200) {
            let mut flipped = whole.clone();
            flipped[position] ^= 0xff;
            std::fs::write(&path, &flipped).unwrap();
            if let Err(error) = rows(&ports(folder.path(), false), &product).await {
                let (code, text) = crate::ports::tests::message(&error);
                assert!(["XX001", "HV021", "58030"].contains(&code.as_str()), "byte {position}: {code} {text}");
            }
        }
    }

    #[tokio::test]
    async fn missing_data_is_an_error_without_a_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        for location in ["absent.parquet", "absent/x/y.parquet", "empty", "empty/*.parquet"] {
            let product = product(PortFormat::Parquet, location, Some(vec![field("id", DataType::Int64)]));
            let (code, text) = refusal(&ports(folder.path(), false), &product).await;
            assert_eq!(code, "58030", "{location}");
            assert_eq!(text, "data product \"shop/orders\", port \"main\": no data at its location");
        }
    }

    #[tokio::test]
    async fn files_come_in_the_order_of_their_names() {
        // One of the two goes against the order of inodes, which versions begin with.
        for names in [["a.parquet", "b.parquet"], ["b.parquet", "a.parquet"]] {
            let folder = tempfile::tempdir().unwrap();
            for (name, first) in names.into_iter().zip([0, 10]) {
                write_parquet(&folder.path().join(name), &batch(vec![("id", ids(first..first + 3))]));
            }
            let product = product(PortFormat::Parquet, "*.parquet", Some(vec![field("id", DataType::Int64)]));
            let table = open(&ports(folder.path(), false), &product).await.unwrap();
            let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
            let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
            let found = crate::ports::tests::run(plan, &context).await.unwrap();
            let found: Vec<i64> = found.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
            let (first, second) = if names[0] == "a.parquet" { (0, 10) } else { (10, 0) };
            assert_eq!(found, [first, first + 1, first + 2, second, second + 1, second + 2]);
        }
    }

    #[tokio::test]
    async fn a_filter_prunes_row_groups() {
        let folder = tempfile::tempdir().unwrap();
        write_parquet(&folder.path().join("a.parquet"), &batch(vec![("id", ids(0..6400))]));
        let product = product(PortFormat::Parquet, "a.parquet", Some(vec![field("id", DataType::Int64)]));
        let table = open(&ports(folder.path(), false), &product).await.unwrap();
        let context = SessionContext::new();
        let plan = table.scan(&context.state(), None, &[col("id").lt(lit(10_i64))], None).await.unwrap();
        let read: Vec<RecordBatch> =
            datafusion::physical_plan::execute_stream(plan, context.task_ctx()).unwrap().try_collect().await.unwrap();
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 64);
    }

    #[tokio::test]
    async fn a_key_is_looked_up_and_a_file_that_takes_the_place_of_another_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.parquet"), folder.path().join("b"));
        write_parquet(&path, &batch(vec![("id", ids(0..6400)), ("b", ids(0..6400))]));
        let mut key = field("id", DataType::Int64);
        key.primary_key = true;
        let product = product(PortFormat::Parquet, "a.parquet", Some(vec![key, field("b", DataType::Int64)]));
        let ports = Ports::new(PortOptions { data_root: folder.path().to_owned(), ..PortOptions::default() });
        let ask = || Ask { filter: Some(col("id").eq(lit(4321_i64))), push: true, ..Ask::default() };
        let found = scan(&open(&ports, &product).await.unwrap(), &ask()).await.unwrap();
        assert_eq!(texts(&found), ["4321|4321"]);
        write_parquet(&other, &batch(vec![("b", ids(1000..7400)), ("id", ids(0..6400))]));
        std::fs::rename(&other, &path).unwrap();
        let found = scan(&open(&ports, &product).await.unwrap(), &ask()).await.unwrap();
        assert_eq!(texts(&found), ["4321|5321"]);
    }

    #[tokio::test]
    async fn a_contract_without_a_schema_shows_the_files_own() {
        let folder = tempfile::tempdir().unwrap();
        write_parquet(
            &folder.path().join("a.parquet"),
            &batch(vec![("id", ids(0..2)), ("t", Arc::new(StringArray::from(vec!["x", "y"])))]),
        );
        let product = product(PortFormat::Parquet, "a.parquet", None);
        assert_eq!(rows(&ports(folder.path(), false), &product).await.unwrap(), ["0|x", "1|y"]);
    }
}
