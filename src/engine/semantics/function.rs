//! A scalar function made of three closures: which types it takes, which it gives, and how it computes a column.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::catalog::TYPE_KEY;
use crate::engine::planning;
use crate::error::{ClientMessage, SqlState};

use super::{Facts, distinct_name};

pub(super) type Result<T> = std::result::Result<T, DataFusionError>;

type Takes = Arc<dyn Fn(&[DataType]) -> Option<Vec<DataType>> + Send + Sync>;
type Gives = Arc<dyn Fn(&[DataType]) -> Option<DataType> + Send + Sync>;
type Computes = Arc<dyn Fn(&[ArrayRef], &[FieldRef], usize) -> Result<ArrayRef> + Send + Sync>;

/// The function.
#[derive(Clone)]
pub(super) struct Function {
    name: &'static str,
    /// Tells functions of one name apart: the statement's facts, and a number for the variant.
    identity: (Option<Facts>, u64),
    aliases: Vec<String>,
    signature: Signature,
    takes: Takes,
    gives: Gives,
    computes: Computes,
    /// The PostgreSQL type of what it answers, where the engine's own type does not say it.
    pg_type: Option<&'static str>,
}

impl Function {
    /// `takes` answers the types that arguments are coerced to, `None` if there is no such function.
    pub(super) fn new(
        name: &'static str,
        takes: impl Fn(&[DataType]) -> Option<Vec<DataType>> + Send + Sync + 'static,
        gives: impl Fn(&[DataType]) -> Option<DataType> + Send + Sync + 'static,
        computes: impl Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Self {
        Self::with_fields(name, takes, gives, move |args, _fields, rows| computes(args, rows))
    }

    /// The same for a function that must know more of its arguments than their types.
    pub(super) fn with_fields(
        name: &'static str,
        takes: impl Fn(&[DataType]) -> Option<Vec<DataType>> + Send + Sync + 'static,
        gives: impl Fn(&[DataType]) -> Option<DataType> + Send + Sync + 'static,
        computes: impl Fn(&[ArrayRef], &[FieldRef], usize) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            identity: (None, 0),
            aliases: Vec::new(),
            signature: Signature::user_defined(Volatility::Immutable),
            takes: Arc::new(takes),
            gives: Arc::new(gives),
            computes: Arc::new(computes),
            pg_type: None,
        }
    }

    /// It depends on the statement.
    pub(super) fn of_statement(mut self, facts: Facts) -> Self {
        self.identity.0 = Some(facts);
        self.signature = Signature::user_defined(Volatility::Stable);
        self
    }

    pub(super) fn variant(mut self, number: u64) -> Self {
        self.identity.1 = number;
        self
    }

    /// What it answers is of this PostgreSQL type.
    pub(super) fn answers(mut self, pg_type: &'static str) -> Self {
        self.pg_type = Some(pg_type);
        self
    }

    pub(super) fn aliases(mut self, aliases: &[&str]) -> Self {
        self.aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        self
    }

    pub(super) fn udf(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(self))
    }

    /// A call of it.
    pub(super) fn call(self, args: Vec<Expr>) -> Expr {
        Expr::ScalarFunction(datafusion::logical_expr::expr::ScalarFunction::new_udf(self.udf(), args))
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.identity == other.identity && self.pg_type == other.pg_type
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.identity.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        distinct_name::of_call(self.name, args)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        (self.gives)(types).ok_or_else(|| missing(self.name, types))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let field = Field::new(self.name, self.return_type(&types)?, true);
        Ok(Arc::new(match self.pg_type {
            Some(pg_type) => field.with_metadata([(TYPE_KEY.to_owned(), pg_type.to_owned())].into()),
            None => field,
        }))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        in_time()?;
        (self.takes)(types).ok_or_else(|| missing(self.name, types))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let constant = args.args.iter().map(|arg| if let ColumnarValue::Scalar(value) = arg { value.size() } else { 0 }).sum::<usize>();
        let most = (CONSTANT_BYTES_MAX / constant.max(1)).max(1);
        if rows > most {
            return self.in_parts(&args, most).map(ColumnarValue::Array);
        }
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let array = (self.computes)(&arrays, &args.arg_fields, rows)?;
        if scalar { Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)) } else { Ok(ColumnarValue::Array(array)) }
    }
}

/// Bytes that constants beside a column may take, which stand there once for each row.
const CONSTANT_BYTES_MAX: usize = 16 << 20;

impl Function {
    /// So many rows at a time, for constants that are long.
    fn in_parts(&self, args: &ScalarFunctionArgs, most: usize) -> Result<ArrayRef> {
        let mut parts = Vec::new();
        let mut start = 0;
        while start < args.number_rows {
            let length = most.min(args.number_rows - start);
            let arrays = args.args.iter().map(|arg| match arg {
                ColumnarValue::Array(array) => Ok(array.slice(start, length)),
                ColumnarValue::Scalar(value) => value.to_array_of_size(length),
            });
            parts.push((self.computes)(&arrays.collect::<Result<Vec<_>>>()?, &args.arg_fields, length)?);
            start += length;
        }
        let parts: Vec<&dyn arrow::array::Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(arrow::compute::concat(&parts)?)
    }
}

/// Fails once planning is to end: functions ask whenever they are asked for types.
pub(super) fn in_time() -> Result<()> {
    planning::check().map_err(client)
}

/// No function takes these types.
pub(super) fn missing(name: &str, types: &[DataType]) -> DataFusionError {
    let shown: Vec<String> = types.iter().map(|found| super::super::PgType::of_arrow_type(found).format().unwrap_or_default()).collect();
    let name = name.strip_prefix("meshgate_").unwrap_or(name);
    let message = ClientMessage::new(SqlState::UNDEFINED_FUNCTION, format!("function {name}({}) does not exist", shown.join(", ")));
    client(message.with_hint("No function matches the given name and argument types. You might need to add explicit type casts."))
}

/// An error that the client may see as it is.
pub(super) fn client(message: ClientMessage) -> DataFusionError {
    DataFusionError::External(Box::new(message))
}

/// The same, from its parts.
pub(super) fn fault(sqlstate: SqlState, text: &str) -> DataFusionError {
    client(message(sqlstate, text))
}

/// What the client is told.
pub(super) fn message(sqlstate: SqlState, text: &str) -> ClientMessage {
    ClientMessage::new(sqlstate, text)
}

/// The first argument.
pub(super) fn first(args: &[ArrayRef]) -> Result<&ArrayRef> {
    args.first().ok_or_else(|| DataFusionError::Internal("a function without its argument".to_owned()))
}

/// The argument's array, which the signature promised.
pub(super) fn arg<T: arrow::array::Array + 'static>(args: &[ArrayRef], at: usize) -> Result<&T> {
    let array = args.get(at).and_then(|array| array.as_any().downcast_ref::<T>());
    array.ok_or_else(|| DataFusionError::Internal("an argument is not of its type".to_owned()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, Int32Array, StringArray};
    use datafusion::config::ConfigOptions;

    use super::*;

    #[test]
    fn a_long_constant_is_not_there_for_all_rows_at_once() {
        let computes = |args: &[ArrayRef], rows: usize| {
            assert!(rows <= 4, "{rows} rows at once");
            let texts = arg::<StringArray>(args, 0)?;
            let numbers = arg::<Int32Array>(args, 1)?;
            let sums = (0..rows).map(|row| i32::try_from(texts.value(row).len()).unwrap() + numbers.value(row));
            Ok(Arc::new(Int32Array::from_iter_values(sums)) as ArrayRef)
        };
        let function = Function::new("f", |types| Some(types.to_vec()), |_| Some(DataType::Int32), computes);
        let text = ScalarValue::Utf8(Some("x".repeat(4 << 20)));
        let numbers = Arc::new(Int32Array::from_iter_values(0..10)) as ArrayRef;
        let field = |name: &str, data_type: DataType| Arc::new(Field::new(name, data_type, true));
        let args = ScalarFunctionArgs {
            args: vec![ColumnarValue::Scalar(text), ColumnarValue::Array(numbers)],
            arg_fields: vec![field("a", DataType::Utf8), field("b", DataType::Int32)],
            number_rows: 10,
            return_field: field("f", DataType::Int32),
            config_options: Arc::new(ConfigOptions::default()),
        };
        let ColumnarValue::Array(made) = function.invoke_with_args(args).unwrap() else { panic!("one value") };
        assert_eq!(made.len(), 10);
        let made = made.as_any().downcast_ref::<Int32Array>().unwrap();
        assert_eq!(made.value(9), (4 << 20) + 9);
    }
}
