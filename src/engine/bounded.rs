//! Functions that make much from little, with a bound on what they make.
//!
//! INVARIANT: no call makes more than its bound for one batch, whatever its arguments say; more is an error before it is made.

mod joined;
mod size;

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{FunctionRegistry as _, SessionState};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

use crate::error::{ClientMessage, SqlState};

pub(super) use joined::MeasuredConcatenation;
use size::Measure;

/// Bytes that a call may make for one batch out of little.
const MADE_BYTES_MAX: i64 = 16 << 20;
/// Bytes that a call may make for one batch out of texts that are there.
const PUT_TOGETHER_BYTES_MAX: i64 = 128 << 20;

/// The functions that make much, how it is measured, and its bound.
const BOUNDED: [(&str, Measure, i64); 11] = [
    ("repeat", size::repeated, MADE_BYTES_MAX),
    ("lpad", size::padded, MADE_BYTES_MAX),
    ("rpad", size::padded, MADE_BYTES_MAX),
    ("generate_series", size::series, MADE_BYTES_MAX),
    ("range", size::series, MADE_BYTES_MAX),
    ("replace", size::replaced, PUT_TOGETHER_BYTES_MAX),
    ("regexp_replace", size::substituted, PUT_TOGETHER_BYTES_MAX),
    ("concat", size::joined, PUT_TOGETHER_BYTES_MAX),
    ("concat_ws", size::separated, PUT_TOGETHER_BYTES_MAX),
    ("overlay", size::joined, PUT_TOGETHER_BYTES_MAX),
    ("array_to_string", size::spelled, PUT_TOGETHER_BYTES_MAX),
];

/// Functions that PostgreSQL does not have, and that make a value of any size from a number.
const ABSENT: [&str; 4] = ["array_repeat", "list_repeat", "array_resize", "list_resize"];

/// Puts a bound on the functions of a state that have none.
pub(super) fn bound_functions(state: &mut SessionState) -> Result<()> {
    for (name, measure, bytes_max) in BOUNDED {
        let inner = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(Bounded { inner, measure, bytes_max })))?;
    }
    for name in ABSENT {
        state.deregister_udf(name)?;
    }
    Ok(())
}

/// A function whose result is measured before it is made.
#[derive(Debug)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    measure: Measure,
    bytes_max: i64,
}

// The measure and the bound follow from the function.
impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl std::hash::Hash for Bounded {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // A call with nothing but constants makes its value once.
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        if (self.measure)(&args.args, rows).is_none_or(|bytes| bytes > self.bytes_max) {
            return Err(too_large());
        }
        self.inner.invoke_with_args(size::from_nothing(self.name(), args)?)
    }
}

fn too_large() -> DataFusionError {
    DataFusionError::External(Box::new(
        ClientMessage::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
            .with_hint("A function may make 16 MiB for a batch of rows, and put 128 MiB together."),
    ))
}
