//! Rows whose fields keep the PostgreSQL types of what they are made of: `varchar(120)` stays one within a row.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::core::named_struct::NamedStructFunc;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, StructFieldMapping,
};

use crate::catalog::{TYPE_KEY, TYPMOD_KEY};

/// `named_struct` with typed fields.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TypedRow {
    inner: NamedStructFunc,
}

/// The function, in the place of the engine's own.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(TypedRow { inner: NamedStructFunc::new() }))
}

/// `ROW(a, b)`, whose columns are f1 and f2.
pub(super) fn of_values(values: Vec<Expr>) -> Expr {
    let named = |(at, value): (usize, Expr)| [Expr::Literal(ScalarValue::from(format!("f{}", at + 1)), None), value];
    let args = values.into_iter().enumerate().flat_map(named).collect();
    Expr::ScalarFunction(ScalarFunction::new_udf(function(), args))
}

/// The field with the PostgreSQL type of what it holds.
fn typed(field: &FieldRef, of: &FieldRef) -> FieldRef {
    let known = of.metadata().iter().filter(|(key, _)| [TYPE_KEY, TYPMOD_KEY].contains(&key.as_str()));
    let metadata = known.map(|(key, value)| (key.clone(), value.clone())).collect();
    Arc::new(field.as_ref().clone().with_metadata(metadata))
}

impl ScalarUDFImpl for TypedRow {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let values: Vec<FieldRef> = args.arg_fields.iter().skip(1).step_by(2).cloned().collect();
        let row = self.inner.return_field_from_args(args)?;
        let DataType::Struct(fields) = row.data_type() else { return Ok(row) };
        let fields: Fields = fields.iter().zip(&values).map(|(field, value)| typed(field, value)).collect();
        Ok(Arc::new(row.as_ref().clone().with_data_type(DataType::Struct(fields))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }

    fn struct_field_mapping(&self, literal_args: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.inner.struct_field_mapping(literal_args)
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;
    use crate::catalog::PgType;

    #[test]
    fn a_field_has_the_type_of_its_value() {
        let metadata = [(TYPE_KEY.to_owned(), "varchar".to_owned()), (TYPMOD_KEY.to_owned(), "16".to_owned())];
        let value = Arc::new(Field::new("tier", DataType::Utf8, true).with_metadata(metadata.into()));
        let name = ScalarValue::from("tier");
        let arg_fields = [Arc::new(Field::new("name", DataType::Utf8, false)), value];
        let args = ReturnFieldArgs { arg_fields: &arg_fields, scalar_arguments: &[Some(&name), None] };
        let row = function().return_field_from_args(args).unwrap();
        let DataType::Struct(fields) = row.data_type() else { panic!("{row}") };
        assert_eq!(PgType::of_arrow(&fields[0]), PgType::VARCHAR.with_typmod(16));
    }
}
