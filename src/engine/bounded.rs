//! Functions that make much from little, with a bound on what they make.
//!
//! INVARIANT: no call makes more than [`BYTES_MAX`] for one batch, whatever its arguments say; more is an error before it is made.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{FunctionRegistry as _, SessionState};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

use crate::error::{ClientMessage, SqlState};

/// Bytes that one call may make for one batch.
const BYTES_MAX: i64 = 16 << 20;

/// The functions that take a count or a length as their second argument.
const BOUNDED: [&str; 3] = ["repeat", "lpad", "rpad"];

/// Functions that PostgreSQL does not have, and that make a value of any size from a number.
const ABSENT: [&str; 4] = ["array_repeat", "list_repeat", "array_resize", "list_resize"];

/// Puts a bound on the functions of a state that have none.
pub(super) fn bound_functions(state: &mut SessionState) -> Result<()> {
    for name in BOUNDED {
        let inner = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(Bounded { inner })))?;
    }
    for name in ABSENT {
        state.deregister_udf(name)?;
    }
    Ok(())
}

/// A function whose result is measured before it is made.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
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

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (texts, counts) = (args.args.first(), args.args.get(1));
        if let (Some(texts), Some(counts)) = (texts, counts) {
            let rows = args.number_rows;
            let counts = cast(&counts.clone().into_array(rows)?, &DataType::Int64)?;
            let unit = if self.name() == "repeat" { Unit::Text(texts.clone().into_array(rows)?) } else { Unit::Letter };
            if made(&unit, counts.as_primitive::<Int64Type>()).is_none_or(|bytes| bytes > BYTES_MAX) {
                return Err(too_large());
            }
        }
        self.inner.invoke_with_args(args)
    }
}

/// What a count multiplies.
enum Unit {
    /// The row's own text.
    Text(ArrayRef),
    /// A letter of at most four bytes.
    Letter,
}

/// The bytes that a call makes at most; `None` if they cannot be counted.
fn made(unit: &Unit, counts: &Int64Array) -> Option<i64> {
    let texts = match unit {
        Unit::Text(texts) => cast(texts, &DataType::Utf8).ok()?,
        Unit::Letter => return counts.iter().flatten().try_fold(0i64, |all, count| all.checked_add(count.max(0).checked_mul(4)?)),
    };
    texts.as_string::<i32>().iter().zip(counts.iter()).try_fold(0i64, |all, pair| match pair {
        (Some(text), Some(count)) => all.checked_add(i64::try_from(text.len()).ok()?.checked_mul(count.max(0))?),
        _ => Some(all),
    })
}

fn too_large() -> DataFusionError {
    DataFusionError::External(Box::new(
        ClientMessage::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
            .with_hint("The function may make 16 MiB for a batch of rows."),
    ))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    fn repeated(texts: Vec<Option<&str>>, counts: Vec<Option<i64>>) -> Option<i64> {
        made(&Unit::Text(Arc::new(StringArray::from(texts))), &Int64Array::from(counts))
    }

    #[test]
    fn what_is_made_is_measured_before() {
        assert_eq!(repeated(vec![Some("ab"), None, Some("abc")], vec![Some(2), Some(9), Some(-5)]), Some(4));
        assert!(repeated(vec![Some("x")], vec![Some(2_000_000_000)]).unwrap() > BYTES_MAX);
        assert!(repeated(vec![Some("xy"); 3], vec![Some(i64::MAX); 3]).is_none_or(|bytes| bytes > BYTES_MAX));
        assert_eq!(made(&Unit::Letter, &Int64Array::from(vec![Some(3), None])), Some(12));
        assert_eq!(made(&Unit::Letter, &Int64Array::from(vec![i64::MAX])), None);
    }
}
