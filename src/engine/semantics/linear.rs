//! Functions of the engine over texts that take the product of the lengths of their arguments, in the sum of them.
//!
//! What is short is left to the engine.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

use super::function::Result;

/// Sets of so many bytes are looked through for each letter.
const SHORT_SET_BYTES: usize = 64;

/// The engine's function, and when and how it is computed here.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Linear {
    inner: Arc<ScalarUDF>,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    /// Where a text begins in another.
    Place,
    /// A text without the letters of a set at its start, at its end.
    Trimmed(bool, bool),
}

/// `strpos`
pub(super) fn strpos() -> Arc<ScalarUDF> {
    linear(datafusion::functions::unicode::strpos(), What::Place)
}

/// `btrim`
pub(super) fn btrim() -> Arc<ScalarUDF> {
    linear(datafusion::functions::string::btrim(), What::Trimmed(true, true))
}

/// `ltrim`
pub(super) fn ltrim() -> Arc<ScalarUDF> {
    linear(datafusion::functions::string::ltrim(), What::Trimmed(true, false))
}

/// `rtrim`
pub(super) fn rtrim() -> Arc<ScalarUDF> {
    linear(datafusion::functions::string::rtrim(), What::Trimmed(false, true))
}

fn linear(inner: Arc<ScalarUDF>, what: What) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Linear { inner, what }))
}

impl ScalarUDFImpl for Linear {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
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
        match (self.what, args.args.as_slice()) {
            // The engine looks for one text in many by its searcher of texts.
            (What::Place, [ColumnarValue::Array(_), ColumnarValue::Scalar(_)]) => {}
            (What::Place, [_, _]) => return placed(&args),
            (What::Trimmed(start, end), [_, set]) if is_long(set)? => return trimmed(&args, start, end),
            _ => {}
        }
        self.inner.invoke_with_args(args)
    }
}

fn is_long(set: &ColumnarValue) -> Result<bool> {
    let texts = Texts::of(set)?;
    Ok((0..texts.column.len()).any(|row| texts.at(row).is_some_and(|set| set.len() > SHORT_SET_BYTES)))
}

/// The texts of an argument: a constant is there once.
struct Texts {
    column: StringArray,
    constant: bool,
}

impl Texts {
    fn of(value: &ColumnarValue) -> Result<Self> {
        let (array, constant) = match value {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        };
        Ok(Self { column: cast(&array, &DataType::Utf8)?.as_string::<i32>().clone(), constant })
    }

    fn at(&self, row: usize) -> Option<&str> {
        let row = if self.constant { 0 } else { row };
        (row < self.column.len() && self.column.is_valid(row)).then(|| self.column.value(row))
    }
}

fn both(args: &ScalarFunctionArgs) -> Result<(Texts, Texts, usize)> {
    let missing = || datafusion::error::DataFusionError::Internal("a function without its argument".to_owned());
    let (text, other) = (Texts::of(args.args.first().ok_or_else(missing)?)?, Texts::of(args.args.get(1).ok_or_else(missing)?)?);
    let rows = if text.constant && other.constant { 1 } else { args.number_rows };
    Ok((text, other, rows))
}

fn answer(made: ArrayRef, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let made = cast(&made, args.return_field.data_type())?;
    if constant {
        return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&made, 0)?));
    }
    Ok(ColumnarValue::Array(made))
}

fn placed(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (texts, parts, rows) = both(args)?;
    let one = |row: usize| {
        let (text, part) = (texts.at(row)?, parts.at(row)?);
        let before = text.find(part).and_then(|at| text.get(..at));
        Some(before.map_or(0, |before| i64::try_from(before.chars().count()).map_or(0, |letters| letters.saturating_add(1))))
    };
    answer(Arc::new((0..rows).map(one).collect::<Int64Array>()), args)
}

fn trimmed(args: &ScalarFunctionArgs, start: bool, end: bool) -> Result<ColumnarValue> {
    let (texts, sets, rows) = both(args)?;
    let letters = |set: &str| set.chars().collect::<HashSet<char>>();
    let one_set = if sets.constant { sets.at(0).map(letters) } else { None };
    let one = |row: usize| {
        let (text, set) = (texts.at(row)?, sets.at(row)?);
        let set = one_set.as_ref().map_or_else(|| Cow::Owned(letters(set)), Cow::Borrowed);
        let text = if start { text.trim_start_matches(|letter| set.contains(&letter)) } else { text };
        Some(if end { text.trim_end_matches(|letter| set.contains(&letter)) } else { text })
    };
    answer(Arc::new((0..rows).map(one).collect::<StringArray>()), args)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;
    use datafusion::common::ScalarValue;
    use datafusion::config::ConfigOptions;

    use super::*;

    fn texts(values: &[&str]) -> ColumnarValue {
        ColumnarValue::Array(Arc::new(StringArray::from(values.to_vec())))
    }

    fn text(value: impl Into<String>) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::Utf8(Some(value.into())))
    }

    fn shown(function: &ScalarUDF, args: Vec<ColumnarValue>) -> Vec<String> {
        let fields: Vec<FieldRef> = args.iter().map(|arg| Arc::new(Field::new("", arg.data_type(), true))).collect();
        let constants = vec![None; args.len()];
        let return_field = function.return_field_from_args(ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &constants }).unwrap();
        let args = ScalarFunctionArgs {
            number_rows: args.iter().map(|arg| if let ColumnarValue::Array(array) = arg { array.len() } else { 1 }).max().unwrap(),
            args,
            arg_fields: fields,
            return_field,
            config_options: Arc::new(ConfigOptions::default()),
        };
        let rows = args.number_rows;
        let made = cast(&function.invoke_with_args(args).unwrap().into_array(rows).unwrap(), &DataType::Utf8).unwrap();
        made.as_string::<i32>().iter().map(|text| text.unwrap_or("NULL").to_owned()).collect()
    }

    #[test]
    fn places_are_those_of_the_engine() {
        assert_eq!(shown(&strpos(), vec![texts(&["aéb", "b", ""]), texts(&["b", "x", ""])]), ["3", "0", "1"]);
        assert_eq!(shown(&strpos(), vec![text("aéb"), texts(&["é", "b"])]), ["2", "3"]);
        assert_eq!(shown(&strpos(), vec![texts(&["aéb", "b"]), text("b")]), ["3", "1"]);
        assert_eq!(shown(&strpos(), vec![ColumnarValue::Scalar(ScalarValue::Utf8(None)), text("b")]), ["NULL"]);
    }

    #[test]
    fn long_arguments_take_the_sum_of_their_lengths() {
        let part = format!("{}b", "a".repeat(2_000_000));
        assert_eq!(shown(&strpos(), vec![text("a".repeat(4_000_000)), text(part)]), ["0"]);
        let set = format!("{}a", "b".repeat(500_000));
        assert_eq!(shown(&ltrim(), vec![text(format!("{}z", "a".repeat(1_000_000))), text(set.clone())]), ["z"]);
        assert_eq!(shown(&btrim(), vec![texts(&["abzab", "zaz"]), text(set)]), ["z", "zaz"]);
        let long = "yx".repeat(40);
        assert_eq!(shown(&rtrim(), vec![texts(&["zyx", "xzyx"]), texts(&["x", long.as_str()])]), ["zy", "xz"]);
    }
}
