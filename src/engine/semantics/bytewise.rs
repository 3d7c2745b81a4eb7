//! A function that the engine has for texts, and PostgreSQL for bytes as well: which it is, the type of the first argument says.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::function::{Function, Result};

/// Both functions under one name.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Bytewise {
    texts: Arc<ScalarUDF>,
    bytes: Function,
    signature: Signature,
}

impl Bytewise {
    /// The function of the engine, and the one of bytes.
    pub(super) fn udf(texts: Arc<ScalarUDF>, bytes: Function) -> Arc<ScalarUDF> {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Self { texts, bytes, signature }))
    }
}

fn of_bytes(first: Option<&DataType>) -> bool {
    first.is_some_and(DataType::is_binary)
}

impl ScalarUDFImpl for Bytewise {
    fn name(&self) -> &str {
        self.texts.name()
    }

    fn aliases(&self) -> &[String] {
        self.texts.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if of_bytes(types.first()) {
            return self.bytes.coerce_types(types);
        }
        let fields: Vec<FieldRef> = types.iter().map(|found| Arc::new(Field::new("", found.clone(), true))).collect();
        Ok(fields_with_udf(&fields, self.texts.as_ref())?.iter().map(|field| field.data_type().clone()).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if of_bytes(types.first()) { self.bytes.return_type(types) } else { self.texts.return_type(types) }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if of_bytes(args.arg_fields.first().map(|field| field.data_type())) {
            return self.bytes.return_field_from_args(args);
        }
        self.texts.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if of_bytes(args.arg_fields.first().map(|field| field.data_type())) {
            return self.bytes.invoke_with_args(args);
        }
        self.texts.invoke_with_args(args)
    }
}
