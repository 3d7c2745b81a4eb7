//! pg_sleep(), which waits and answers nothing. INVARIANT: it holds no thread, and ends with its statement.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::catalog::TYPE_KEY;
use crate::error::SqlState;

use super::function::{Result, fault};

/// Seconds that one call waits, at the most; the statement's own deadline ends it before.
const SECONDS_MAX: f64 = 86_400.0;

/// The function by its name.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let signature = Signature::exact(vec![DataType::Float64], Volatility::Volatile);
    vec![Arc::new(AsyncScalarUDF::new(Arc::new(Sleep { signature })).into_scalar_udf())]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sleep {
    signature: Signature,
}

impl ScalarUDFImpl for Sleep {
    fn name(&self) -> &'static str {
        "pg_sleep"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(self.name(), DataType::Utf8, true);
        Ok(Arc::new(field.with_metadata([(TYPE_KEY.to_owned(), "void".to_owned())].into())))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(fault(SqlState::FEATURE_NOT_SUPPORTED, "pg_sleep is not supported here"))
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Sleep {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let seconds = args.args.first().map(|seconds| seconds.to_array(args.number_rows)).transpose()?;
        let seconds = seconds.as_ref().and_then(|seconds| seconds.as_primitive_opt::<Float64Type>());
        let mut answers = Vec::with_capacity(args.number_rows);
        for row in seconds.into_iter().flat_map(|seconds| seconds.iter()) {
            if let Some(seconds) = row
                && let Ok(time) = Duration::try_from_secs_f64(seconds.clamp(0.0, SECONDS_MAX))
            {
                tokio::time::sleep(time).await;
            }
            answers.push(ScalarValue::Utf8(row.map(|_| String::new())));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(answers)?))
    }
}
