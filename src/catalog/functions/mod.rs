//! The system functions: what clients ask of a server beside its tables.
//!
//! Each family is a file. A function computes a row at a time over [`Value`]s: catalogs are small. NULL in gives NULL out,
//! unless a function says that it reads NULLs.

mod arrays;
mod definitions;
mod described;
mod encodings;
mod expand;
mod grants;
mod objects;
mod privileges;
mod routines;
mod session;
mod sizes;
mod text;
mod typeof_;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, new_empty_array};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::{ClientMessage, SqlState};

use super::facts::SessionFacts;
use super::rows::{Value, scalar};

pub(crate) use described::identified;
pub(crate) use objects::{object_named, object_shown};
pub use text::quote_ident;
pub(super) use text::split_identifier;

/// The functions that compute a row at a time.
fn plain(facts: &Arc<SessionFacts>) -> impl Iterator<Item = Function> {
    let families = [
        session::all,
        objects::all,
        described::all,
        privileges::all,
        grants::all,
        definitions::all,
        routines::all,
        sizes::all,
        encodings::all,
        text::all,
        arrays::all,
    ];
    families.into_iter().flat_map(|family| family(facts))
}

/// The functions as the evaluator of catalog statements calls them.
pub(crate) fn callable(facts: &Arc<SessionFacts>) -> Vec<Arc<Function>> {
    plain(facts).map(Arc::new).collect()
}

/// Every system function, over the facts of one session. Names are in lower case, without a schema.
pub fn all(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let mut functions: Vec<ScalarUDF> = plain(facts).map(ScalarUDF::new_from_impl).collect();
    functions.push(ScalarUDF::new_from_impl(typeof_::PgTypeof::new()));
    functions.push(ScalarUDF::new_from_impl(arrays::Collected::new()));
    functions.push(ScalarUDF::new_from_impl(expand::ExpandArray::new()));
    functions
}

/// What an argument is taken as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text.
    Text,
    /// An integer.
    Int,
    /// A truth value.
    Bool,
    /// An OID, or a text that names an object.
    Object,
    /// Anything; arrays stay arrays, the rest becomes text.
    Any,
}

type Evaluate = Arc<dyn Fn(&[Value]) -> Result<Value, DataFusionError> + Send + Sync>;

/// One function.
pub(crate) struct Function {
    name: &'static str,
    arguments: Vec<Kind>,
    required: usize,
    variadic: bool,
    reads_nulls: bool,
    returns: DataType,
    /// The PostgreSQL type of what it answers, where the engine's own does not say it.
    pg_type: Option<&'static str>,
    signature: Signature,
    evaluate: Evaluate,
}

impl Function {
    fn new(
        name: &'static str,
        arguments: &[Kind],
        returns: DataType,
        evaluate: impl Fn(&[Value]) -> Result<Value, DataFusionError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            arguments: arguments.to_vec(),
            required: arguments.len(),
            variadic: false,
            reads_nulls: false,
            returns,
            pg_type: None,
            signature: Signature::user_defined(Volatility::Stable),
            evaluate: Arc::new(evaluate),
        }
    }

    /// Arguments from here on may be left out.
    fn required(mut self, required: usize) -> Self {
        self.required = required;
        self
    }

    /// The last argument may come any number of times, or not at all.
    fn variadic(mut self) -> Self {
        self.variadic = true;
        self.required = self.required.saturating_sub(1);
        self
    }

    /// It answers a value of this type.
    fn typed(mut self, pg_type: &'static str) -> Self {
        self.pg_type = Some(pg_type);
        self
    }

    fn reads_nulls(mut self) -> Self {
        self.reads_nulls = true;
        self
    }

    /// Computed at every row of every run.
    fn volatile(mut self) -> Self {
        self.signature = Signature::user_defined(Volatility::Volatile);
        self
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// What it takes, given so many arguments; `None` if it does not take so many.
    pub(crate) fn kinds(&self, count: usize) -> Option<Vec<Kind>> {
        let fits = count >= self.required && (self.variadic || count <= self.arguments.len());
        let last = self.arguments.last().copied().unwrap_or(Kind::Any);
        fits.then(|| self.arguments.iter().copied().chain(std::iter::repeat(last)).take(count).collect())
    }

    /// The PostgreSQL type of what it answers, where the engine's own does not say it.
    pub(crate) fn pg_type(&self) -> Option<super::PgType> {
        self.pg_type.and_then(super::PgType::named)
    }

    /// What it answers.
    pub(crate) fn returned(&self) -> &DataType {
        &self.returns
    }

    /// Whether it answers something for NULL, too.
    pub(crate) fn reads_null_arguments(&self) -> bool {
        self.reads_nulls
    }

    /// Its value.
    pub(crate) fn evaluated(&self, values: &[Value]) -> Result<Value, DataFusionError> {
        (self.evaluate)(values)
    }

    fn apply(&self, values: &[Value]) -> Result<ScalarValue, DataFusionError> {
        if !self.reads_nulls && values.contains(&Value::Null) {
            return ScalarValue::try_new_null(&self.returns);
        }
        Ok(scalar(&(self.evaluate)(values)?, &self.returns))
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}

// INVARIANT: functions of two sessions differ, for they answer differently.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.evaluate, &other.evaluate)
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(self.returns.clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef, DataFusionError> {
        let field = Field::new(self.name, self.returns.clone(), true);
        Ok(Arc::new(match self.pg_type {
            Some(pg_type) => field.with_metadata([(super::TYPE_KEY.to_owned(), pg_type.to_owned())].into()),
            None => field,
        }))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>, DataFusionError> {
        let fits = types.len() >= self.required && (self.variadic || types.len() <= self.arguments.len());
        if !fits {
            let shown: Vec<String> = types.iter().map(|found| super::PgType::of_arrow_type(found).format().unwrap_or_default()).collect();
            let message = format!("function {}({}) does not exist", self.name, shown.join(", "));
            let hint = "No function matches the given name and argument types. You might need to add explicit type casts.";
            return Err(client(ClientMessage::new(SqlState::UNDEFINED_FUNCTION, message).with_hint(hint)));
        }
        let last = self.arguments.last().copied().unwrap_or(Kind::Any);
        let kinds = self.arguments.iter().copied().chain(std::iter::repeat(last));
        Ok(types.iter().zip(kinds).map(|(found, kind)| coerced(found, kind)).collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
            let values: Vec<Value> =
                args.args.iter().map(|arg| if let ColumnarValue::Scalar(found) = arg { value(found) } else { Value::Null }).collect();
            return Ok(ColumnarValue::Scalar(self.apply(&values)?));
        }
        let mut results = Vec::with_capacity(args.number_rows);
        let mut bytes = 0usize;
        for row in 0..args.number_rows {
            // A constant can be long, so it is not made as often as there are rows.
            let values = args.args.iter().map(|arg| match arg {
                ColumnarValue::Scalar(found) => Ok(value(found)),
                ColumnarValue::Array(array) => Ok(value(&ScalarValue::try_from_array(array, row)?)),
            });
            let made = self.apply(&values.collect::<Result<Vec<_>, DataFusionError>>()?)?;
            bytes = bytes.saturating_add(made.try_as_str().flatten().map_or(0, str::len));
            if bytes > MADE_BYTES_MAX {
                return Err(too_long());
            }
            results.push(made);
        }
        let array: ArrayRef = if results.is_empty() { new_empty_array(&self.returns) } else { ScalarValue::iter_to_array(results)? };
        Ok(ColumnarValue::Array(array))
    }
}

/// Bytes of text that a function makes for one batch of rows at most.
const MADE_BYTES_MAX: usize = 128 << 20;

fn too_long() -> DataFusionError {
    client(
        ClientMessage::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
            .with_hint("A function may put 128 MiB together for a batch of rows."),
    )
}

fn coerced(found: &DataType, kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Utf8,
        Kind::Int => DataType::Int64,
        Kind::Bool => DataType::Boolean,
        Kind::Object => {
            if found.is_integer() {
                DataType::Int64
            } else {
                DataType::Utf8
            }
        }
        Kind::Any => match found {
            DataType::List(field) if field.data_type().is_integer() => list_of(DataType::Int64),
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => list_of(DataType::Utf8),
            found if found.is_integer() => DataType::Int64,
            DataType::Boolean => DataType::Boolean,
            _ => DataType::Utf8,
        },
    }
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

fn value(found: &ScalarValue) -> Value {
    match found {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => Value::Text(text.clone()),
        ScalarValue::Boolean(Some(truth)) => Value::Bool(*truth),
        ScalarValue::Int64(Some(number)) => Value::Int(*number),
        ScalarValue::List(list) if !list.is_null(0) => elements(&list.value(0)),
        _ => Value::Null,
    }
}

fn elements(array: &ArrayRef) -> Value {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return Value::Texts(texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect());
    }
    array.as_primitive_opt::<Int64Type>().map_or(Value::Null, |ints| Value::Ints(ints.iter().flatten().collect()))
}

/// An error that the client may see as it is.
pub(crate) fn client(message: ClientMessage) -> DataFusionError {
    DataFusionError::External(Box::new(message))
}

fn text_of(values: &[Value], index: usize) -> &str {
    if let Some(Value::Text(text)) = values.get(index) { text } else { "" }
}

fn int_of(values: &[Value], index: usize) -> Option<i64> {
    if let Some(Value::Int(number)) = values.get(index) { Some(*number) } else { None }
}

fn bool_of(values: &[Value], index: usize) -> bool {
    matches!(values.get(index), Some(Value::Bool(true)))
}

/// An OID argument: a number, or a text that holds one.
fn oid_of(values: &[Value], index: usize) -> Option<u32> {
    match values.get(index)? {
        Value::Int(number) => u32::try_from(*number).ok(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}
