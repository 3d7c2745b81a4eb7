//! `pg_typeof`: the type of an expression, whatever its value.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::catalog::{PgType, TYPE_KEY};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PgTypeof {
    signature: Signature,
}

impl PgTypeof {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PgTypeof {
    fn name(&self) -> &str {
        "pg_typeof"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef, DataFusionError> {
        let field = Field::new("pg_typeof", DataType::Utf8, false);
        Ok(Arc::new(field.with_metadata([(TYPE_KEY.to_owned(), "regtype".to_owned())].into())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let field = args.arg_fields.first().map_or_else(|| Field::new("", DataType::Null, true), |field| field.as_ref().clone());
        let found = PgType::of_arrow(&field).with_typmod(-1);
        let shown = if found == PgType::BPCHAR { Some("character".to_owned()) } else { found.format() };
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(shown)))
    }
}
