//! The scan of a port's files: a partition reads its files one after the other, a batch at a time.
//!
//! What a file's folders tell is put beside the columns that are read from it.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ScalarValue, Statistics};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::super::error::{Error, Place};
use super::super::estimate::{at_most, row_statistics};
use super::fault::tell;
use super::table::{Format, Part, Split, Wanted};

/// The scan.
#[derive(Debug)]
pub(super) struct FilesExec {
    format: Arc<dyn Format>,
    /// The format's name in a contract.
    name: Arc<str>,
    wanted: Arc<Wanted>,
    groups: Vec<Vec<Part>>,
    schema: SchemaRef,
    places: Arc<[Option<usize>]>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl FilesExec {
    /// Reads what is wanted, one partition a group of files.
    pub(super) fn new(
        (format, name): (Arc<dyn Format>, Arc<str>),
        wanted: Wanted,
        groups: Vec<Vec<Part>>,
        split: &Split,
        limit: Option<usize>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&split.schema)),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (schema, places, properties) = (Arc::clone(&split.schema), Arc::clone(&split.places), Arc::new(properties));
        Self { format, name, wanted: Arc::new(wanted), groups, schema, places, limit, properties }
    }

    fn rows(&self) -> Option<usize> {
        let bytes = self.groups.iter().flatten().fold(0_u64, |sum, part| sum.saturating_add(part.file.size));
        let columns = u64::try_from(self.wanted.shape.columns.len()).unwrap_or(u64::MAX).max(1);
        usize::try_from(bytes / columns.saturating_mul(self.format.value_bytes()).max(1)).ok()
    }
}

impl DisplayAs for FilesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = &self.wanted.at;
        write!(f, "PortScan: product={}, port={}, format={}", at.product(), at.port(), self.name)?;
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
        let at = self.wanted.at.clone();
        let broken = || Error::Internal { at: at.clone(), broken: "a partition of a scan of files does not exist" };
        let parts = self.groups.get(partition).ok_or_else(broken)?.clone();
        let (format, wanted) = (Arc::clone(&self.format), Arc::clone(&self.wanted));
        let (schema, places) = (Arc::clone(&self.schema), Arc::clone(&self.places));
        let rows_max = context.session_config().batch_size();
        let batches = futures::stream::iter(parts).flat_map(move |part| {
            let (schema, places, at) = (Arc::clone(&schema), Arc::clone(&places), at.clone());
            let read = format.read(Arc::clone(&wanted), &part.file, rows_max);
            let whole = read.map(move |batch| beside(&at, &schema, &places, &part.told, batch?));
            whole.inspect_err(move |error| tell(error, &part.file.location)).boxed()
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
