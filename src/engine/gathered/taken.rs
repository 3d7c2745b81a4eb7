//! A window function that takes the value of another row (`first_value`, `nth_value`, `lag`, …): each result is charged to the window's account,
//! for one long value can be the result of every row.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::window_state::WindowAggState;
use datafusion::logical_expr::{LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF, WindowUDFImpl};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use super::account::Account;
use super::weight;
use super::window::COPIES;

/// The function over values of that type, if they can be of any length.
pub(in crate::engine) fn taking(function: &Arc<WindowUDF>, argument: &DataType) -> Option<Arc<WindowUDF>> {
    let known = function.inner().downcast_ref::<Taking>().is_some();
    (weight::is_open(argument) && !known).then(|| around(Arc::clone(function)))
}

fn around(inner: Arc<WindowUDF>) -> Arc<WindowUDF> {
    Arc::new(WindowUDF::new_from_impl(Taking { inner }))
}

#[derive(Debug)]
struct Taking {
    inner: Arc<WindowUDF>,
}

impl PartialEq for Taking {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Taking {}

impl Hash for Taking {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl WindowUDFImpl for Taking {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn expressions(&self, args: ExpressionArgs<'_>) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.expressions(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        // What stands where there is no such row may be a constant that is there for each of them.
        let default = args.input_exprs().get(2).and_then(|default| default.downcast_ref::<Literal>());
        let default = default.map_or(0, |default| weight::of_one(default.value()));
        Ok(Box::new(Charged { inner: self.inner.partition_evaluator_factory(args)?, default, account: None }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.field(args)
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.inner.sort_options()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    // INVARIANT: what is computed in the other direction is charged, too.
    fn reverse_expr(&self) -> ReversedUDWF {
        match self.inner.reverse_expr() {
            ReversedUDWF::Reversed(inner) => ReversedUDWF::Reversed(around(inner)),
            other => other,
        }
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.inner.inner().limit_effect(args)
    }
}

/// The results of a partition.
#[derive(Debug)]
struct Charged {
    inner: Box<dyn PartitionEvaluator>,
    default: usize,
    account: Option<Arc<Account>>,
}

impl Charged {
    fn account(&mut self) -> Result<Arc<Account>> {
        let account = self.account.take().map_or_else(Account::current, Ok)?;
        self.account = Some(Arc::clone(&account));
        Ok(account)
    }
}

impl PartitionEvaluator for Charged {
    fn memoize(&mut self, state: &mut WindowAggState) -> Result<()> {
        self.inner.memoize(state)
    }

    fn get_range(&self, index: usize, rows: usize) -> Result<Range<usize>> {
        self.inner.get_range(index, rows)
    }

    fn is_causal(&self) -> bool {
        self.inner.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let account = self.account()?;
        let taken = values.first().map_or(0, |values| weight::of(values));
        let ahead = taken.saturating_add(self.default.saturating_mul(rows)).saturating_mul(COPIES);
        account.take(ahead)?;
        let made = self.inner.evaluate_all(values, rows);
        account.give_back(ahead);
        let made = made?;
        let bytes = weight::of(&made).saturating_mul(COPIES);
        account.take(bytes)?;
        account.keep(bytes);
        Ok(made)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let account = self.account()?;
        let value = self.inner.evaluate(values, range)?;
        let bytes = weight::of_one(&value).saturating_mul(COPIES);
        account.take(bytes)?;
        account.keep(bytes);
        Ok(value)
    }

    fn evaluate_all_with_rank(&self, rows: usize, ranks: &[Range<usize>]) -> Result<ArrayRef> {
        self.inner.evaluate_all_with_rank(rows, ranks)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.inner.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.inner.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.inner.include_rank()
    }
}
