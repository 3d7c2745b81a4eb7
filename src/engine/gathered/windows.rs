//! Operators around the engine's windows, which ask nobody for memory: what goes in is charged as long as the window holds it, and what comes out
//! until whoever takes it asks for more.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::Stream;

use super::account::Account;
use super::{weight, window};

/// Puts each window into an account.
#[derive(Debug)]
pub(in crate::engine) struct AccountedWindows;

impl PhysicalOptimizerRule for AccountedWindows {
    fn name(&self) -> &str {
        "accounted_windows"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let accounted = plan.transform_up(|node| {
            if let Some(whole) = node.downcast_ref::<WindowAggExec>() {
                let rows: Arc<dyn ExecutionPlan> = Arc::new(AccountedExec::new(Arc::clone(whole.input()), Side::Rows));
                let columns = rows.schema().fields().len();
                let node = node.replace_children(vec![rows], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?;
                return Ok(Transformed::yes(Arc::new(AccountedExec::new(node, Side::Results(columns))) as _));
            }
            if let Some(running) = node.downcast_ref::<BoundedWindowAggExec>() {
                let columns = running.input().schema().fields().len();
                return Ok(Transformed::yes(Arc::new(AccountedExec::new(node, Side::Results(columns))) as _));
            }
            Ok(Transformed::no(node))
        })?;
        Ok(accounted.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Where the operator stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Below a window that holds all of its rows.
    Rows,
    /// Above a window, whose results follow so many columns of its rows.
    Results(usize),
}

/// The operator.
#[derive(Debug)]
struct AccountedExec {
    input: Arc<dyn ExecutionPlan>,
    side: Side,
}

impl AccountedExec {
    fn new(input: Arc<dyn ExecutionPlan>, side: Side) -> Self {
        Self { input, side }
    }
}

impl DisplayAs for AccountedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountedExec")
    }
}

impl ExecutionPlan for AccountedExec {
    fn name(&self) -> &'static str {
        "AccountedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children).map_err(|_| DataFusionError::Internal("an account is of one input".to_owned()))?;
        Ok(Arc::new(Self::new(input, self.side)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let account = Account::new(context.memory_pool());
        let input = self.input.execute(partition, context)?;
        Ok(Box::pin(Accounted { input, side: self.side, account, out: 0 }))
    }
}

/// The batches of one partition.
struct Accounted {
    input: SendableRecordBatchStream,
    side: Side,
    account: Arc<Account>,
    /// What the batch was charged that is out.
    out: usize,
}

impl Accounted {
    fn charge(&mut self, batch: &RecordBatch) -> Result<()> {
        match self.side {
            Side::Rows => self.account.take(batch.columns().iter().map(|column| weight::of(column)).sum()),
            Side::Results(columns) => {
                self.out = window::charged(batch.columns().iter().skip(columns));
                Ok(())
            }
        }
    }
}

impl Stream for Accounted {
    type Item = Result<RecordBatch>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.account.let_go(std::mem::take(&mut this.out));
        let account = Arc::clone(&this.account);
        let polled = match this.side {
            Side::Rows => Pin::new(&mut this.input).poll_next(context),
            Side::Results(_) => account.during(|| Pin::new(&mut this.input).poll_next(context)),
        };
        polled.map(|batch| batch.map(|batch| batch.and_then(|batch| this.charge(&batch).map(|()| batch))))
    }
}

impl RecordBatchStream for Accounted {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
