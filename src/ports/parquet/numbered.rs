//! A scan that can tell where in its files a row lies, and can leave columns and row groups out for whoever remembers what they were
//! read for.
//!
//! INVARIANT: row numbers are those of the file, whatever was pruned before or between. A row group that is read without its last columns, or
//! not at all, is one that was asked to be. Such a scan reads the versions of files that it was planned with, or fails.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field as ArrowField, FieldRef, Int64Type, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::parquet::arrow::RowNumber;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use super::super::boundary::BoundaryExec;
use super::super::error::{Error, Place};
use super::super::estimate::row_statistics;
use super::super::files::{FileVersion, Pinned};
use super::lookup::LookUpExec;
use super::pinned::Pin;
use super::{Group, Layout, ParquetTable, Source};

/// A file of a scan.
#[derive(Debug, Clone)]
pub struct NumberedFile {
    /// Which file it is; `None` if that cannot be told.
    pub version: Option<FileVersion>,
    pub(super) meta: ObjectMeta,
    /// What its folders tell.
    pub(super) told: Arc<[ScalarValue]>,
    /// Its own columns.
    pub(super) schema: SchemaRef,
    /// Whether its row groups are known.
    pub(super) counted: bool,
    pub(super) groups: Arc<[Group]>,
}

impl NumberedFile {
    /// The rows of each row group, in the order of the file.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        self.groups.iter().map(|group| group.rows)
    }

    /// The file as it is given to its reader.
    pub(super) fn part(&self) -> PartitionedFile {
        let mut part = PartitionedFile::new_from_meta(Pinned::named(&self.meta));
        part.partition_values = self.told.to_vec();
        part
    }
}

/// What a column of a scan is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceColumn {
    /// As it is delivered.
    pub field: FieldRef,
    /// Its name in the files.
    pub source: String,
}

/// How a row group is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Not at all.
    Skipped,
    /// The first columns only.
    Bare,
    /// The first columns, with row numbers.
    Numbered,
    /// All columns, with row numbers.
    Whole,
}

/// Some rows of one file.
#[derive(Debug)]
pub struct NumberedBatch {
    /// The file's position among those of the scan.
    pub file: usize,
    /// How they were read; never skipped.
    pub reading: Reading,
    /// The columns that were read.
    pub batch: RecordBatch,
    /// Where in the file each row lies, in its order; none for a bare reading.
    pub numbers: Option<Int64Array>,
}

/// What a scan was made of.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) table: ParquetTable,
    pub(super) layout: Layout,
    pub(super) files: Vec<NumberedFile>,
    pub(super) pinned: Arc<Pinned>,
    /// The columns that are delivered, as positions in the contract.
    pub(super) indices: Vec<usize>,
    pub(super) filters: Vec<Expr>,
}

/// Row groups of one file that stand together and are read in one way.
#[derive(Debug, Clone)]
struct Stretch {
    file: usize,
    groups: Vec<usize>,
    reading: Reading,
    /// The scan among the inputs that reads it, and its partition there.
    input: (usize, usize),
}

/// The scan of a Parquet port.
#[derive(Debug)]
pub struct NumberedScan {
    recipe: Arc<Recipe>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    /// What each partition reads, once it has been said how; until then there is one input, which reads everything.
    partitions: Option<Arc<[Vec<Stretch>]>>,
    properties: Arc<PlanProperties>,
    rows: Option<usize>,
}

impl NumberedScan {
    /// The plain scan.
    pub(super) fn new(recipe: Recipe, input: Arc<dyn ExecutionPlan>, rows: Option<usize>) -> Self {
        let properties = Arc::clone(input.properties());
        Self { recipe: Arc::new(recipe), inputs: vec![input], partitions: None, properties, rows }
    }

    /// The scan that a plan is.
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<&Self> {
        plan.downcast_ref()
    }

    /// The files, if it can be told where in them a row lies.
    pub fn files(&self) -> Option<&[NumberedFile]> {
        let files = self.recipe.files.as_slice();
        files.iter().all(|file| file.counted).then_some(files)
    }

    /// The scans that read it.
    pub fn inputs(&self) -> &[Arc<dyn ExecutionPlan>] {
        &self.inputs
    }

    /// The column of the scan by that name: its position, and what it is made of.
    pub fn column(&self, name: &str) -> Option<(usize, SourceColumn)> {
        let (shape, layout) = (&self.recipe.table.shape, &self.recipe.layout);
        let fields = || self.recipe.indices.iter().map(|index| (*index, shape.schema.fields().get(*index)));
        let (position, (index, field)) = fields().enumerate().find(|(_, (_, field))| field.is_some_and(|field| field.name() == name))?;
        let source = layout.fields().nth(*layout.positions.get(index)?)?.name().clone();
        Some((position, SourceColumn { field: Arc::clone(field?), source }))
    }

    /// Whether it reads nothing but the pages that can hold a few rows of a key.
    pub fn looks_up(&self) -> bool {
        !self.inputs.is_empty() && self.inputs.iter().all(|input| input.is::<LookUpExec>())
    }

    /// The row groups that it looks through then, in order, each with the position of its file.
    pub fn row_groups_looked_through(&self) -> Option<Vec<(usize, usize)>> {
        self.look_up().map(|look_up| look_up.row_groups().collect())
    }

    fn look_up(&self) -> Option<&LookUpExec> {
        let plain = self.inputs.first().filter(|_| self.partitions.is_none());
        plain.and_then(|input| input.downcast_ref())
    }

    /// Whether it looks for a few rows by their key.
    pub fn asks_for_few(&self) -> bool {
        self.recipe.table.asks_for_key(&self.recipe.filters)
    }

    /// The same scan, each row group (of that file, by its position there) read in its own way: those that are not read whole without the
    /// columns from `first` on, and pruned by these filters only.
    pub fn read_as(
        &self,
        session: &dyn Session,
        first: usize,
        filters: &[Expr],
        reading: impl Fn(usize, usize) -> Reading,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let recipe = &self.recipe;
        if let Some(look_up) = self.look_up() {
            return self.look_up_as(look_up, first, reading);
        }
        // A row group that is to be remembered has to be read whole.
        let by_key = recipe.table.pushdown.unwrap_or_else(|| self.asks_for_few());
        let mut partitions = self.stretches(session, reading);
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        for reading in [Reading::Bare, Reading::Numbered, Reading::Whole] {
            let stretches = || partitions.iter().flatten().filter(|stretch| stretch.reading == reading);
            if stretches().next().is_none() {
                continue;
            }
            let groups = stretches().map(|stretch| self.file_group(stretch)).collect::<Result<Vec<_>>>()?;
            let whole = reading == Reading::Whole;
            let columns = if whole { recipe.indices.as_slice() } else { recipe.indices.get(..first).unwrap_or_default() };
            let filters = if whole { recipe.filters.as_slice() } else { filters };
            let predicate = recipe.table.predicate(session, &recipe.layout, filters)?;
            let number = (reading != Reading::Bare).then(|| self.number());
            let files = Arc::clone(&recipe.pinned);
            let few = || recipe.table.finds_first(&recipe.layout, &recipe.files, filters, predicate.as_ref());
            let pushdown = by_key || (!whole && few());
            let asked = Source { layout: &recipe.layout, indices: columns, files, predicate, pushdown, number };
            let source = recipe.table.source(asked)?;
            let scan = self.scan(source, groups);
            for (partition, stretch) in partitions.iter_mut().flatten().filter(|stretch| stretch.reading == reading).enumerate() {
                stretch.input = (inputs.len(), partition);
            }
            inputs.push(Arc::new(BoundaryExec::new(recipe.table.files.at.clone(), scan, None)));
        }
        Ok(self.having_said(inputs, partitions))
    }

    /// The same of a look-up.
    fn look_up_as(&self, look_up: &LookUpExec, first: usize, reading: impl Fn(usize, usize) -> Reading) -> Result<Arc<dyn ExecutionPlan>> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for (file, group) in look_up.row_groups() {
            add(&mut stretches, file, group, reading(file, group));
        }
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        for stretch in &mut stretches {
            let columns = if stretch.reading == Reading::Whole { self.recipe.indices.len() } else { first };
            let number = (stretch.reading != Reading::Bare).then(|| self.number());
            stretch.input = (inputs.len(), 0);
            inputs.push(Arc::new(look_up.within(stretch.file, &stretch.groups, columns, number)?));
        }
        Ok(self.having_said(inputs, vec![stretches]))
    }

    /// The scan of which it has been said how each row group is read.
    fn having_said(&self, inputs: Vec<Arc<dyn ExecutionPlan>>, partitions: Vec<Vec<Stretch>>) -> Arc<dyn ExecutionPlan> {
        let (from, count) = (&self.properties, partitions.len().max(1));
        let schema = Arc::clone(from.eq_properties.schema());
        let partitioning = Partitioning::UnknownPartitioning(count);
        let properties = PlanProperties::new(EquivalenceProperties::new(schema), partitioning, from.emission_type, from.boundedness)
            .with_scheduling_type(from.scheduling_type)
            .with_evaluation_type(from.evaluation_type);
        let (recipe, properties) = (Arc::clone(&self.recipe), Arc::new(properties));
        Arc::new(Self { recipe, inputs, partitions: Some(partitions.into()), properties, rows: self.rows })
    }

    fn scan(&self, source: Arc<dyn FileSource>, groups: Vec<FileGroup>) -> Arc<dyn ExecutionPlan> {
        let url = self.recipe.table.files.rooted.url.clone();
        // Each partition is one stretch, and no other may take it over.
        DataSourceExec::from_data_source(FileScanConfigBuilder::new(url, source).with_file_groups(groups).with_preserve_order(true).build())
    }

    /// The field of row numbers, under a name that no column has.
    fn number(&self) -> FieldRef {
        let (shape, layout) = (&self.recipe.table.shape, &self.recipe.layout);
        let mut name = "row_number".to_owned();
        while shape.schema.field_with_name(&name).is_ok() || layout.fields().any(|field| *field.name() == name) {
            name.push('_');
        }
        Arc::new(ArrowField::new(name, DataType::Int64, false).with_extension_type(RowNumber))
    }

    fn file_group(&self, stretch: &Stretch) -> Result<FileGroup> {
        let (at, files) = (&self.recipe.table.files.at, &self.recipe.files);
        let broken = |broken| Error::Internal { at: at.clone(), broken };
        let file = files.get(stretch.file).ok_or_else(|| broken("a stretch is of a file of the scan"))?;
        let access = (0..file.groups.len()).map(|group| match stretch.groups.contains(&group) {
            true => RowGroupAccess::Scan,
            false => RowGroupAccess::Skip,
        });
        let mut part = file.part().with_extension(ParquetAccessPlan::new(access.collect()));
        // A file of a store is read by its tag anyway.
        if let (Some(version), Some(path)) = (&file.version, self.recipe.table.files.rooted.local_path(&file.meta)) {
            let name = format!("{version:?} {}", path.display());
            let (groups, reads) = (Arc::clone(&file.groups), Arc::clone(&self.recipe.table.files.rooted.reads));
            let pin = Pin { at: at.clone(), name, path, version: version.clone(), groups, reads };
            part = part.with_extension(Arc::new(pin));
        }
        Ok(FileGroup::new(vec![part]))
    }

    /// What each partition reads. Which row groups these are does not hang on how they are read.
    fn stretches(&self, session: &dyn Session, reading: impl Fn(usize, usize) -> Reading) -> Vec<Vec<Stretch>> {
        let mut partitions: Vec<Vec<Stretch>> = Vec::new();
        for (partition, file, group) in dealt(&self.recipe.files, session) {
            if partitions.len() <= partition {
                partitions.resize_with(partition + 1, Vec::new);
            }
            if let Some(stretches) = partitions.get_mut(partition) {
                add(stretches, file, group, reading(file, group));
            }
        }
        partitions
    }

    /// Reads one partition, in the order of the files.
    pub fn execute_numbered(&self, partition: usize, context: &Arc<TaskContext>) -> Result<BoxStream<'static, Result<NumberedBatch>>> {
        let at = self.recipe.table.files.at.clone();
        let stretches =
            self.partitions.as_ref().and_then(|all| if all.is_empty() { Some(Vec::new()) } else { all.get(partition).cloned() });
        let Some(stretches) = stretches else {
            return Err(Error::Internal { at, broken: "a scan whose readings were never said is executed by them" }.into());
        };
        let (inputs, context) = (self.inputs.clone(), Arc::clone(context));
        let open = move |stretch: Stretch| -> Result<_> {
            let (input, partition) = stretch.input;
            let Some(input) = inputs.get(input) else {
                return Err(Error::Internal { at: at.clone(), broken: "a stretch is read by an input" }.into());
            };
            let (at, batches) = (at.clone(), input.execute(partition, Arc::clone(&context))?);
            Ok(batches.map(move |batch| numbered(&at, stretch.file, stretch.reading, batch?)))
        };
        Ok(futures::stream::iter(stretches).map(open).try_flatten().boxed())
    }
}

/// Adds a row group to what is read, unless it is skipped.
fn add(stretches: &mut Vec<Stretch>, file: usize, group: usize, reading: Reading) {
    match stretches.last_mut() {
        _ if reading == Reading::Skipped => {}
        Some(last) if last.file == file && last.reading == reading => last.groups.push(group),
        _ => stretches.push(Stretch { file, groups: vec![group], reading, input: (0, 0) }),
    }
}

/// Takes the numbers off the end of a batch.
fn numbered(at: &Place, file: usize, reading: Reading, batch: RecordBatch) -> Result<NumberedBatch> {
    if reading == Reading::Bare {
        return Ok(NumberedBatch { file, reading, batch, numbers: None });
    }
    let broken = || Error::Internal { at: at.clone(), broken: "a numbered scan delivers row numbers" };
    let (schema, columns, rows) = batch.into_parts();
    let (numbers, columns) = columns.split_last().ok_or_else(broken)?;
    let numbers = numbers.as_primitive_opt::<Int64Type>().ok_or_else(broken)?.clone();
    let shown: Vec<usize> = (0..columns.len()).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(schema.project(&shown)?), columns.to_vec(), &options)?;
    Ok(NumberedBatch { file, reading, batch, numbers: Some(numbers) })
}

/// The row groups in the order of the files, dealt out: (partition, file, row group). Together they are of the size of files that are worth
/// it, they are cut into as many parts of one size as there are partitions; else whole files are.
fn dealt(files: &[NumberedFile], session: &dyn Session) -> Vec<(usize, usize, usize)> {
    let partitions = session.config().target_partitions().max(1);
    let size: u64 = files.iter().map(|file| file.meta.size).fold(0, u64::saturating_add);
    let smallest = u64::try_from(session.config_options().optimizer.repartition_file_min_size).unwrap_or(u64::MAX);
    let groups = || {
        files.iter().enumerate().flat_map(|(file, numbered)| numbered.groups.iter().enumerate().map(move |(at, group)| (file, at, group)))
    };
    if size < smallest {
        let each = files.len().div_ceil(partitions).max(1);
        return groups().map(|(file, group, _)| (file / each, file, group)).collect();
    }
    let whole = groups().map(|(_, _, group)| group.bytes).fold(0, u64::saturating_add).max(1);
    let mut before = 0_u64;
    let mut last = None;
    let mut used = 0_usize;
    let deal = groups().map(|(file, group, Group { bytes, .. })| {
        let middle = u128::from(before) + u128::from(*bytes) / 2;
        before = before.saturating_add(*bytes);
        let part = usize::try_from(middle.saturating_mul(partitions as u128) / u128::from(whole)).unwrap_or(0).min(partitions - 1);
        // No partition is left empty.
        if last.is_some_and(|last| last != part) {
            used += 1;
        }
        last = Some(part);
        (used, file, group)
    });
    deal.collect()
}

impl DisplayAs for NumberedScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = &self.recipe.table.files.at;
        write!(f, "PortScan: product={}, port={}", at.product(), at.port())
    }
}

impl ExecutionPlan for NumberedScan {
    fn name(&self) -> &'static str {
        "PortScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true; self.children().len()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    /// What reads stretches is shown to no rule: one that split or joined its partitions would take the stretches apart.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        if self.partitions.is_none() { self.inputs.iter().collect() } else { Vec::new() }
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let broken =
            || Error::Internal { at: self.recipe.table.files.at.clone(), broken: "a scan keeps its input, and the columns of that" };
        match (self.children().first(), children.first()) {
            (None, None) => Ok(self),
            (Some(old), Some(new)) if children.len() == 1 && new.schema() == old.schema() => {
                let properties = Arc::clone(new.properties());
                Ok(Arc::new(Self { recipe: Arc::clone(&self.recipe), inputs: children, partitions: None, properties, rows: self.rows }))
            }
            _ => Err(broken().into()),
        }
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = datafusion::physical_plan::execution_plan::ChildrenPropertiesMode::Recompute;
        self.replace_children(children, ReplaceChildrenOptions::new(mode))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match (self.inputs.as_slice(), &self.partitions) {
            ([input], None) => input.execute(partition, context),
            // INVARIANT: rows that were read without the columns that a policy tests go to no one but who has remembered the test.
            _ => Err(Error::Internal {
                at: self.recipe.table.files.at.clone(),
                broken: "a scan whose readings were said is executed by them",
            }
            .into()),
        }
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], asked: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let schema: SchemaRef = self.schema();
        Ok(row_statistics(&schema, self.rows, asked))
    }

    fn supports_limit_pushdown(&self) -> bool {
        self.partitions.is_none()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        if self.partitions.is_none() { CardinalityEffect::Equal } else { CardinalityEffect::Unknown }
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let exact = self.partitions.is_none();
        Ok(if exact { FilterPushdownPropagation::if_all(result) } else { FilterPushdownPropagation::all_unsupported(result) })
    }
}
