//! The scan of a port's files: a partition reads its files one after the other, a batch at a time.
//!
//! What a file's folders tell is put beside the columns that are read from it.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ScalarValue, Statistics};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use super::super::error::{Error, Place};
use super::super::estimate::{at_most, row_statistics};
use super::super::shape::Shape;
use super::partitions::{Partitions, keep};
use super::{FileLocation, Rooted};

/// How the files of one format are read.
pub(in super::super) trait Format: std::fmt::Debug + Send + Sync + 'static {
    /// The format's name in a contract.
    fn name(&self) -> &'static str;

    /// About how many rows so many bytes hold.
    fn rows(&self, bytes: u64) -> u64;

    /// The rows of one file, of the columns that were asked for and that no folder tells.
    fn read(self: Arc<Self>, file: &ObjectMeta, rows_max: usize) -> BoxStream<'static, Result<RecordBatch, Error>>;
}

/// The files of a port: where they are, and what their folders tell.
#[derive(Debug)]
pub(in super::super) struct Files {
    pub(in super::super) at: Place,
    pub(in super::super) location: FileLocation,
    pub(in super::super) rooted: Arc<Rooted>,
    pub(in super::super) partitions: Option<Partitions>,
}

/// A file, and the columns of the contract that its folders tell.
#[derive(Debug, Clone)]
pub(in super::super) struct Part {
    pub(in super::super) file: ObjectMeta,
    pub(in super::super) told: Vec<(usize, ScalarValue)>,
}

/// What a scan was asked for.
pub(in super::super) struct Asked {
    at: Place,
    groups: Vec<Vec<Part>>,
    schema: SchemaRef,
    /// The columns that are to be read from files, in their order.
    pub(in super::super) indices: Vec<usize>,
    /// The columns of the contract that folders tell, whether asked for or not.
    pub(in super::super) told: Vec<usize>,
    /// For each column asked for: the one that folders tell, or the next of the file.
    places: Vec<Option<usize>>,
    limit: Option<usize>,
}

impl Files {
    /// All files, by name; never none.
    pub(in super::super) async fn list(&self, extensions: &[&str]) -> Result<Vec<ObjectMeta>, Error> {
        self.rooted.list(&self.at, &self.location, extensions).await
    }

    /// Filters that folders may answer help to pass files over; no row is tested here.
    pub(in super::super) fn pushdown(&self, shape: &Shape, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
        let told = self.partitions.as_ref().map(Partitions::columns).unwrap_or_default();
        let names: Vec<&String> = told.iter().filter_map(|index| shape.columns.get(*index)).map(|column| column.field.name()).collect();
        let of_folders = |filter: &Expr| {
            let columns = filter.column_refs();
            !columns.is_empty() && columns.iter().all(|column| names.contains(&&column.name))
        };
        let answer = |filter: &&Expr| match of_folders(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        filters.iter().map(answer).collect()
    }

    /// The files that can hold rows of these filters; none, if the folders tell that.
    pub(in super::super) async fn parts(
        &self,
        shape: &Shape,
        extensions: &[&str],
        session: &dyn Session,
        filters: &[Expr],
    ) -> Result<Vec<Part>> {
        let listed = self.list(extensions).await?;
        let Some(partitions) = &self.partitions else {
            return Ok(listed.into_iter().map(|file| Part { file, told: Vec::new() }).collect());
        };
        let parts = listed.into_iter().map(|file| {
            let told = partitions.values(&self.at, shape, &file)?;
            Ok(Part { file, told })
        });
        let parts = parts.collect::<Result<Vec<_>, Error>>()?;
        keep(parts, shape, session, filters)
    }

    /// What is to be read.
    pub(in super::super) async fn ask(
        &self,
        shape: &Shape,
        extensions: &[&str],
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Asked> {
        let parts = self.parts(shape, extensions, session, filters).await?;
        let wanted = shape.project(&self.at, projection)?;
        let told: Vec<usize> = self.partitions.as_ref().map(Partitions::columns).unwrap_or_default();
        let places = wanted.iter().map(|index| told.contains(index).then_some(*index)).collect();
        let indices = wanted.iter().copied().filter(|index| !told.contains(index)).collect();
        let partitions = session.config().target_partitions().clamp(1, parts.len().max(1));
        let mut groups = vec![Vec::new(); partitions];
        for (index, part) in parts.into_iter().enumerate() {
            if let Some(group) = groups.get_mut(index % partitions) {
                group.push(part);
            }
        }
        let schema = shape.projected(&wanted);
        // Filters are not tested here, so a limit beside them is not ours.
        let limit = limit.filter(|_| filters.is_empty());
        Ok(Asked { at: self.at.clone(), groups, schema, indices, told, places, limit })
    }
}

/// The scan.
#[derive(Debug)]
pub(in super::super) struct FilesExec {
    at: Place,
    format: Arc<dyn Format>,
    groups: Vec<Vec<Part>>,
    schema: SchemaRef,
    places: Arc<[Option<usize>]>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl FilesExec {
    /// Reads what was asked for, one partition a group of files.
    pub(in super::super) fn new(format: Arc<dyn Format>, asked: Asked) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&asked.schema)),
            Partitioning::UnknownPartitioning(asked.groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let Asked { at, groups, schema, places, limit, .. } = asked;
        Self { at, format, groups, schema, places: places.into(), limit, properties: Arc::new(properties) }
    }

    fn rows(&self) -> Option<usize> {
        let bytes = self.groups.iter().flatten().fold(0_u64, |sum, part| sum.saturating_add(part.file.size));
        usize::try_from(self.format.rows(bytes)).ok()
    }
}

impl DisplayAs for FilesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PortScan: product={}, port={}, format={}", self.at.product(), self.at.port(), self.format.name())?;
        self.limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))
    }
}

impl ExecutionPlan for FilesExec {
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
        Ok(row_statistics(&self.schema(), at_most(self.rows(), self.limit), asked))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let broken = || Error::Internal { at: self.at.clone(), broken: "a partition of a scan of files does not exist" };
        let parts = self.groups.get(partition).ok_or_else(broken)?.clone();
        let (format, schema, places, at) = (Arc::clone(&self.format), Arc::clone(&self.schema), Arc::clone(&self.places), self.at.clone());
        let rows_max = context.session_config().batch_size();
        let batches = futures::stream::iter(parts).flat_map(move |part| {
            let (schema, places, at) = (Arc::clone(&schema), Arc::clone(&places), at.clone());
            let read = Arc::clone(&format).read(&part.file, rows_max);
            read.map(move |batch| beside(&at, &schema, &places, &part.told, batch?)).boxed()
        });
        let batches = limited(batches.boxed(), self.limit);
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches.map_err(DataFusionError::from))))
    }
}

/// The rows with what the file's folders tell.
fn beside(
    at: &Place,
    schema: &SchemaRef,
    places: &[Option<usize>],
    told: &[(usize, ScalarValue)],
    batch: RecordBatch,
) -> Result<RecordBatch, Error> {
    let broken = || Error::Internal { at: at.clone(), broken: "a batch does not have the columns of its scan" };
    let mut read = batch.columns().iter();
    let columns = places.iter().map(|place| -> Result<ArrayRef, Error> {
        match place {
            None => read.next().map(Arc::clone).ok_or_else(broken),
            Some(index) => {
                let value = told.iter().find(|(told, _)| told == index).map(|(_, value)| value).ok_or_else(broken)?;
                value.to_array_of_size(batch.num_rows()).map_err(|_| broken())
            }
        }
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|_| broken())
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
