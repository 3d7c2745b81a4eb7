//! `_pg_expandarray`: the elements of an array with their numbers. JDBC reads keys with it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// `meshgate_expandarray`: a list of pairs, which `system` unnests.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ExpandArray {
    signature: Signature,
}

impl ExpandArray {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

fn pair() -> Fields {
    Fields::from(vec![Field::new("x", DataType::Int32, true), Field::new("n", DataType::Int32, true)])
}

impl ScalarUDFImpl for ExpandArray {
    fn name(&self) -> &str {
        "meshgate_expandarray"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(super::list_of(DataType::Struct(pair())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let rows = args.number_rows;
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let lists = arrays.first().and_then(|array| array.as_list_opt::<i32>());
        let Some(lists) = lists else { return Err(DataFusionError::Plan("an array was expected".to_owned())) };
        let expanded = lists.iter().map(|list| expand(list.as_ref())).collect::<Result<Vec<_>, _>>()?;
        if rows == 0 || expanded.is_empty() {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(&super::list_of(DataType::Struct(pair())))));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(expanded)?))
    }
}

fn expand(list: Option<&ArrayRef>) -> Result<ScalarValue, DataFusionError> {
    let Some(list) = list else { return ScalarValue::try_new_null(&super::list_of(DataType::Struct(pair()))) };
    let elements = cast(list, &DataType::Int32)?;
    let numbers: Int32Array = (1..).take(list.len()).collect();
    let pairs = StructArray::try_new(pair(), vec![elements, Arc::new(numbers)], None)?;
    Ok(SingleRowListArrayBuilder::new(Arc::new(pairs)).build_list_scalar())
}
