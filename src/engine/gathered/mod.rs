//! Aggregates that make values of any length, held to the gateway's memory.
//!
//! INVARIANT: `string_agg`, `array_agg` and whatever is made of them ask for memory before they grow, and no value of theirs is longer than
//! PostgreSQL lets one be. Over a window, where each row has a result of its own, each result is charged before it is made.

mod account;
mod ahead;
mod growth;
mod taken;
pub(super) mod weight;
mod window;
mod windows;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::{FunctionRegistry as _, SessionState};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature};

use ahead::{Ahead, Grouped, Plain};
use growth::Growth;
use window::Windowed;

pub(super) use taken::taking;
pub(super) use windows::AccountedWindows;

/// The aggregates that hold all of their rows.
const GATHERING: [&str; 2] = ["array_agg", "string_agg"];
/// Those that hold one of them, of which windows make a result for each row.
const CHOOSING: [&str; 2] = ["max", "min"];

/// Has the aggregates of a state ask its memory.
pub(super) fn account(state: &mut SessionState) -> Result<()> {
    let pool = Arc::clone(&state.runtime_env().memory_pool);
    for name in GATHERING {
        let inner = state.udaf(name)?;
        let gathered = Gathered { inner, asks: Asks::Ahead(Arc::clone(&pool)) };
        state.register_udaf(Arc::new(AggregateUDF::new_from_impl(gathered)))?;
    }
    Ok(())
}

/// The aggregate over a window, if its results can be of any length; `whole`: one result is made for all rows of a partition.
pub(super) fn windowed(function: &Arc<AggregateUDF>, argument: Option<&DataType>, whole: bool) -> Option<Arc<AggregateUDF>> {
    let open = GATHERING.contains(&function.name()) || CHOOSING.contains(&function.name()) && argument.is_none_or(weight::is_open);
    if !open {
        return None;
    }
    let inner = function.inner().downcast_ref::<Gathered>().map_or(function, |gathered| &gathered.inner);
    let inner = Arc::clone(inner);
    Some(Arc::new(AggregateUDF::new_from_impl(Gathered { inner, asks: Asks::Window { whole } })))
}

/// Another aggregate that asks the memory that this one asks.
pub(super) fn likewise(function: &AggregateUDF, other: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    match function.inner().downcast_ref::<Gathered>() {
        Some(gathered) => Arc::new(AggregateUDF::new_from_impl(Gathered { inner: other, asks: gathered.asks.clone() })),
        None => other,
    }
}

/// Whom an aggregate asks for memory.
#[derive(Debug, Clone)]
enum Asks {
    /// The gateway's memory, for as long as it takes a batch: the operator charges the rest.
    Ahead(Arc<dyn MemoryPool>),
    /// The account of its window.
    Window { whole: bool },
}

/// The aggregate.
#[derive(Debug, Clone)]
struct Gathered {
    inner: Arc<AggregateUDF>,
    asks: Asks,
}

impl Gathered {
    fn around(&self, inner: AggregateUDF) -> Self {
        Self { inner: Arc::new(inner), asks: self.asks.clone() }
    }

    fn accounted(&self, inner: Box<dyn Accumulator>, growth: Growth) -> Box<dyn Accumulator> {
        match &self.asks {
            Asks::Ahead(pool) => Box::new(Plain::new(inner, Ahead { pool: Arc::clone(pool), growth })),
            Asks::Window { whole } => Box::new(Windowed::new(inner, growth, *whole)),
        }
    }
}

// There is one memory.
impl PartialEq for Gathered {
    fn eq(&self, other: &Self) -> bool {
        let asked = match (&self.asks, &other.asks) {
            (Asks::Ahead(_), Asks::Ahead(_)) => true,
            (Asks::Window { whole }, Asks::Window { whole: other }) => whole == other,
            _ => false,
        };
        asked && self.inner == other.inner
    }
}

impl Eq for Gathered {}

impl Hash for Gathered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl AggregateUDFImpl for Gathered {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let growth = Growth::of(self.name(), &args);
        Ok(self.accounted(self.inner.accumulator(args)?, growth))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let growth = Growth::of(self.name(), &args);
        Ok(self.accounted(self.inner.create_sliding_accumulator(args)?, growth))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        matches!(self.asks, Asks::Ahead(_)) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let growth = Growth::of(self.name(), &args);
        let inner = self.inner.create_groups_accumulator(args)?;
        Ok(match &self.asks {
            Asks::Ahead(pool) => Box::new(Grouped { inner, ahead: Ahead { pool: Arc::clone(pool), growth } }),
            Asks::Window { .. } => inner,
        })
    }

    fn with_beneficial_ordering(self: Arc<Self>, beneficial_ordering: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let inner = self.inner.as_ref().clone().with_beneficial_ordering(beneficial_ordering)?;
        Ok(inner.map(|inner| Arc::new(self.around(inner)) as _))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.inner.simplify()
    }

    // INVARIANT: what is computed in the other direction asks for memory, too.
    fn reverse_expr(&self) -> ReversedUDAF {
        // What is gathered over rows in the other order comes in the other order; a window does not turn it back.
        if matches!(self.asks, Asks::Window { .. }) {
            return ReversedUDAF::NotSupported;
        }
        match self.inner.reverse_udf() {
            ReversedUDAF::Reversed(inner) => {
                ReversedUDAF::Reversed(Arc::new(AggregateUDF::new_from_impl(self.around(inner.as_ref().clone()))))
            }
            other => other,
        }
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }
}
