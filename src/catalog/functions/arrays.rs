//! Bounds of arrays, and what the rewriting of `ARRAY(SELECT …)` needs. Every array here starts at 1.

use std::sync::Arc;

use arrow::array::new_empty_array;
use arrow::datatypes::DataType::{self, Int32, Utf8};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;

use super::Kind::{Any, Int};
use super::{Function, int_of, list_of};

pub(super) fn all(_facts: &Arc<SessionFacts>) -> Vec<Function> {
    let upper = Function::new("array_upper", &[Any, Int], Int32, |values| Ok(length(values).into()));
    let lower = Function::new("array_lower", &[Any, Int], Int32, |values| Ok(length(values).map(|_| 1i64).into()));
    let none = Function::new("meshgate_no_texts", &[], list_of(Utf8), |_| Ok(Value::Texts(Vec::new())));
    vec![upper, lower, none]
}

/// The length in the first dimension; NULL for an empty array, as in PostgreSQL.
fn length(values: &[Value]) -> Option<i64> {
    let length = match values.first()? {
        Value::Texts(texts) => texts.len(),
        Value::Ints(ints) => ints.len(),
        _ => return None,
    };
    (length > 0 && int_of(values, 1) == Some(1)).then(|| i64::try_from(length).ok()).flatten()
}

/// `meshgate_array`: a collected array, empty where nothing was collected.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Collected {
    signature: Signature,
}

impl Collected {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Collected {
    fn name(&self) -> &str {
        "meshgate_array"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(arg_types.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let Some(DataType::List(field)) = args.args.first().map(ColumnarValue::data_type) else {
            return args.args.into_iter().next().ok_or_else(|| DataFusionError::Internal("an array was expected".to_owned()));
        };
        let empty = SingleRowListArrayBuilder::new(new_empty_array(field.data_type())).with_field(&field).build_list_scalar();
        let filled = |cell: ScalarValue| if cell.is_null() { empty.clone() } else { cell };
        match args.args.into_iter().next() {
            Some(ColumnarValue::Array(array)) => {
                let cells = (0..array.len()).map(|row| ScalarValue::try_from_array(&array, row).map(filled));
                let cells = cells.collect::<Result<Vec<_>, _>>()?;
                Ok(ColumnarValue::Array(if cells.is_empty() { array } else { ScalarValue::iter_to_array(cells)? }))
            }
            Some(ColumnarValue::Scalar(cell)) => Ok(ColumnarValue::Scalar(filled(cell))),
            None => Ok(ColumnarValue::Scalar(empty)),
        }
    }
}
