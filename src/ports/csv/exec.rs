//! The scan of CSV files: a partition reads its files one after the other, a batch at a time.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use super::records::{Progress, RecordFault, Records};
use super::values::read_column;
use crate::ports::error::{Error, Place};
use crate::ports::estimate::{at_most, row_statistics};
use crate::ports::files::Rooted;
use crate::ports::schema::type_name;
use crate::ports::shape::Shape;
use crate::product::{Compression, CsvDialect};

/// A usual length of a value's text, with its delimiter; for estimates.
const VALUE_BYTES: u64 = 12;

/// What is read, and how.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) at: Place,
    pub(super) rooted: Arc<Rooted>,
    pub(super) shape: Shape,
    /// Columns that are wanted, in their order.
    pub(super) indices: Vec<usize>,
    pub(super) dialect: CsvDialect,
    pub(super) limit: Option<usize>,
}

/// The scan.
#[derive(Debug)]
pub(super) struct CsvExec {
    reading: Arc<Reading>,
    groups: Vec<Vec<ObjectMeta>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl CsvExec {
    /// One partition a group of files.
    pub(super) fn new(reading: Reading, groups: Vec<Vec<ObjectMeta>>) -> Self {
        let schema = reading.shape.projected(&reading.indices);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { reading: Arc::new(reading), groups, schema, properties: Arc::new(properties) }
    }

    /// About how many records the files hold, by their size.
    fn rows(&self) -> Option<usize> {
        let bytes = self.groups.iter().flatten().fold(0_u64, |sum, file| sum.saturating_add(file.size));
        let columns = u64::try_from(self.reading.shape.columns.len()).unwrap_or(u64::MAX).max(1);
        usize::try_from(bytes / columns.saturating_mul(VALUE_BYTES)).ok()
    }
}

impl DisplayAs for CsvExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = &self.reading.at;
        write!(f, "PortScan: product={}, port={}, format=csv", at.product(), at.port())?;
        self.reading.limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))
    }
}

impl ExecutionPlan for CsvExec {
    fn name(&self) -> &'static str {
        "PortScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn replace_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>, _: ReplaceChildrenOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], asked: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(row_statistics(&self.schema(), at_most(self.rows(), self.reading.limit), asked))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let broken = || Error::Internal { at: self.reading.at.clone(), broken: "a partition of a CSV scan does not exist" };
        let files = self.groups.get(partition).ok_or_else(broken)?.clone();
        let (reading, schema) = (Arc::clone(&self.reading), Arc::clone(&self.schema));
        let rows_max = context.session_config().batch_size();
        let batches =
            futures::stream::iter(files).flat_map(move |file| read_file(Arc::clone(&reading), Arc::clone(&schema), &file, rows_max));
        let batches = limited(batches.boxed(), self.reading.limit);
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches.map_err(DataFusionError::from))))
    }
}

/// At most so many rows; the files behind the limit are not opened.
fn limited(
    batches: BoxStream<'static, Result<RecordBatch, Error>>,
    limit: Option<usize>,
) -> BoxStream<'static, Result<RecordBatch, Error>> {
    let Some(limit) = limit else { return batches };
    let state = (batches, limit);
    futures::stream::try_unfold(state, |(mut batches, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        match batches.next().await {
            None => Ok(None),
            Some(batch) => {
                let batch = batch?;
                let taken = batch.num_rows().min(left);
                Ok(Some((batch.slice(0, taken), (batches, left - taken))))
            }
        }
    })
    .boxed()
}

/// A file that is being read.
struct OpenFile {
    bytes: BoxStream<'static, Result<Bytes, Error>>,
    chunk: Bytes,
    records: Records,
    ended: bool,
}

impl OpenFile {
    fn new(at: &Place, rooted: &Rooted, file: &ObjectMeta, dialect: &CsvDialect) -> Result<Self, Error> {
        let raw = rooted.read(at, file);
        let name = file.location.filename().unwrap_or_default().to_ascii_lowercase();
        let kind = match dialect.compression {
            Compression::Gzip => FileCompressionType::GZIP,
            Compression::Zstd => FileCompressionType::ZSTD,
            Compression::None if name.ends_with(".gz") => FileCompressionType::GZIP,
            Compression::None if name.ends_with(".zst") => FileCompressionType::ZSTD,
            Compression::None => FileCompressionType::UNCOMPRESSED,
        };
        let bytes = if kind.is_compressed() {
            let unpacked = kind.convert_stream(raw.map_err(DataFusionError::from).boxed());
            let place = at.clone();
            let damaged = move |e| Error::Damaged { at: place.clone(), source: Box::new(e) };
            unpacked.map_err(&damaged)?.map_err(damaged).boxed()
        } else {
            raw
        };
        Ok(Self { bytes, chunk: Bytes::new(), records: Records::new(dialect), ended: false })
    }

    /// Reads records until there are `rows_max` or the file ends.
    async fn fill(&mut self, at: &Place, rows_max: usize) -> Result<(), Error> {
        while self.records.len() < rows_max && !self.ended {
            let mut input: &[u8] = &self.chunk;
            let before = input.len();
            let progress = self.records.read(&mut input, false).map_err(|fault| bad_record(at, fault))?;
            let used = before - input.len();
            bytes::Buf::advance(&mut self.chunk, used);
            if progress == Progress::NeedsInput {
                match self.bytes.next().await {
                    Some(chunk) => self.chunk = chunk?,
                    None => self.finish(at)?,
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, at: &Place) -> Result<(), Error> {
        let mut nothing: &[u8] = &[];
        // The last record may lack its line end: reading nothing ends it.
        while self.records.read(&mut nothing, true).map_err(|fault| bad_record(at, fault))? == Progress::Record {}
        self.ended = true;
        Ok(())
    }

    /// The header's names, or `None` in an empty file.
    async fn header(&mut self, at: &Place) -> Result<Option<Vec<String>>, Error> {
        self.fill(at, 1).await?;
        if self.records.len() == 0 {
            return Ok(None);
        }
        let width = self.records.width().unwrap_or(0);
        let names = (0..width).map(|column| match std::str::from_utf8(self.records.field(0, column)) {
            Ok(name) => Ok(name.trim().to_owned()),
            Err(_) => Err(Error::BadRecord { at: at.clone(), line: 1, reason: "it is not UTF-8".to_owned() }),
        });
        let names = names.collect::<Result<Vec<_>, _>>()?;
        self.records.clear();
        Ok(Some(names))
    }

    /// Where the contract's columns are in a record. Reads the header, or the first record to learn its width.
    async fn columns(&mut self, reading: &Reading) -> Result<Vec<usize>, Error> {
        let at = &reading.at;
        if reading.dialect.header {
            let names = self.header(at).await?.unwrap_or_default();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return reading.shape.locate(at, &names);
        }
        self.fill(at, 1).await?;
        let wanted = reading.shape.columns.len();
        let width = self.records.width().unwrap_or(wanted);
        match reading.shape.columns.get(width) {
            Some(column) => Err(column.missing(at)),
            None => Ok((0..wanted).collect()),
        }
    }
}

fn bad_record(at: &Place, fault: RecordFault) -> Error {
    Error::BadRecord { at: at.clone(), line: fault.line, reason: fault.reason }
}

/// The names in a file's header.
pub(super) async fn header(at: &Place, rooted: &Rooted, file: &ObjectMeta, dialect: &CsvDialect) -> Result<Vec<String>, Error> {
    Ok(OpenFile::new(at, rooted, file, dialect)?.header(at).await?.unwrap_or_default())
}

/// The batches of one file.
fn read_file(
    reading: Arc<Reading>,
    schema: SchemaRef,
    file: &ObjectMeta,
    rows_max: usize,
) -> BoxStream<'static, Result<RecordBatch, Error>> {
    let opened = OpenFile::new(&reading.at, &reading.rooted, file, &reading.dialect);
    let state = opened.map(|file| (file, None::<Vec<usize>>));
    futures::stream::once(async move { state })
        .map_ok(move |state| {
            let (reading, schema) = (Arc::clone(&reading), Arc::clone(&schema));
            futures::stream::try_unfold(state, move |(mut file, columns)| {
                let (reading, schema) = (Arc::clone(&reading), Arc::clone(&schema));
                async move {
                    let columns = match columns {
                        Some(columns) => columns,
                        None => file.columns(&reading).await?,
                    };
                    file.fill(&reading.at, rows_max).await?;
                    if file.records.len() == 0 {
                        return Ok(None);
                    }
                    let batch = to_batch(&reading, &schema, &file.records, &columns)?;
                    file.records.clear();
                    Ok(Some((batch, (file, Some(columns)))))
                }
            })
        })
        .try_flatten()
        .boxed()
}

fn to_batch(reading: &Reading, schema: &SchemaRef, records: &Records, columns: &[usize]) -> Result<RecordBatch, Error> {
    let at = &reading.at;
    let broken = || Error::Internal { at: at.clone(), broken: "a CSV batch does not have its schema" };
    let null = reading.dialect.null_value.as_bytes();
    let arrays = reading.indices.iter().map(|index| -> Result<ArrayRef, Error> {
        let (column, position) = reading.shape.columns.get(*index).zip(columns.get(*index)).ok_or_else(broken)?;
        read_column(records, *position, &column.field, null).map_err(|bad| Error::BadValue {
            at: at.clone(),
            line: records.line(bad.row),
            column: column.field.name().clone(),
            expected: type_name(&column.field),
        })
    });
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options).map_err(|_| broken())
}
