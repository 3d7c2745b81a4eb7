//! Values that are equal though their bits differ: both zeros, intervals of one length, jsonb numbers with other digits, blanks at an end.
//!
//! INVARIANT: two values have the same key if and only if `=` says that they are equal. A key is compared and never shown.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, ListArray, StringArray};
use arrow::compute::cast;
use arrow::compute::kernels::cmp::not_distinct;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, IntervalMonthDayNanoType};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;

use crate::error::SqlState;

use super::function::{Function, Result, fault, first};
use super::{json_build, spans, temporal, typed};

/// In what equal values differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Both zeros, and all that are not a number.
    Float,
    /// Intervals of one length.
    Span,
    /// Digits of numbers.
    Json,
    /// Blanks at the end.
    Filled,
}

/// The form of what a field holds, which may be a list; `None` if equal values are the same.
pub(super) fn form_of(field: &Field) -> Option<Form> {
    match typed::named(field) {
        Some("jsonb" | "_jsonb") => Some(Form::Json),
        Some("bpchar" | "_bpchar") => Some(Form::Filled),
        _ => form_of_type(field.data_type()),
    }
}

/// The same of a type, where texts are texts.
pub(super) fn form_of_type(data_type: &DataType) -> Option<Form> {
    match data_type {
        DataType::List(element) => form_of_type(element.data_type()),
        DataType::Float32 | DataType::Float64 => Some(Form::Float),
        DataType::Interval(_) | DataType::Duration(_) => Some(Form::Span),
        _ => None,
    }
}

/// The form of an expression's values.
pub(super) fn form(expr: &Expr, schema: &DFSchema) -> Option<Form> {
    typed::field_of(expr, schema).and_then(|field| form_of(&field))
}

/// The key of a value of that form.
pub(super) fn key(form: Form, value: Expr) -> Expr {
    let takes = move |types: &[DataType]| (types.len() == 1).then(|| types.iter().map(|found| taken(form, found)).collect());
    let computes = move |args: &[ArrayRef], _rows: usize| keys(form, first(args)?);
    Function::new("meshgate_key", takes, |types| types.first().map(key_type), computes).variant(form as u64).call(vec![value])
}

/// The type that the key of a value is made of.
fn taken(form: Form, found: &DataType) -> DataType {
    match (form, found) {
        (_, DataType::List(element)) => DataType::List(Arc::new(Field::new_list_field(taken(form, element.data_type()), true))),
        (Form::Span, _) => temporal::interval(),
        (Form::Json | Form::Filled, _) => DataType::Utf8,
        (Form::Float, found) => found.clone(),
    }
}

fn key_type(found: &DataType) -> DataType {
    match found {
        DataType::List(element) => DataType::List(Arc::new(Field::new_list_field(key_type(element.data_type()), true))),
        DataType::Interval(_) => DataType::Decimal128(38, 0),
        other => other.clone(),
    }
}

/// The keys of a column.
fn keys(form: Form, values: &ArrayRef) -> Result<ArrayRef> {
    if let Some(lists) = values.as_list_opt::<i32>() {
        let elements = keys(form, lists.values())?;
        let field = Arc::new(Field::new_list_field(elements.data_type().clone(), true));
        return Ok(Arc::new(ListArray::try_new(field, lists.offsets().clone(), elements, lists.nulls().cloned())?));
    }
    let text = |write: fn(&str) -> String| -> ArrayRef {
        Arc::new(values.as_string::<i32>().iter().map(|text| text.map(write)).collect::<StringArray>())
    };
    Ok(match (form, values.data_type()) {
        (_, DataType::Float32) => Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(single_key)),
        (_, DataType::Float64) => Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(double_key)),
        (_, DataType::Interval(_)) => {
            let lengths: Decimal128Array = values.as_primitive::<IntervalMonthDayNanoType>().unary(spans::length);
            Arc::new(lengths.with_precision_and_scale(38, 0)?)
        }
        (Form::Json, DataType::Utf8) => text(json_key),
        (Form::Filled, DataType::Utf8) => text(|text| text.trim_end_matches(' ').to_owned()),
        _ => Arc::clone(values),
    })
}

/// The keys of a column of a type that says by itself in what equal values differ.
pub(super) fn plain_keys(values: &ArrayRef) -> Result<ArrayRef> {
    match form_of_type(values.data_type()) {
        Some(form) => keys(form, values),
        None => Ok(Arc::clone(values)),
    }
}

// Zero added to the one below zero is the other.
fn double_key(number: f64) -> f64 {
    if number.is_nan() { f64::NAN } else { number + 0.0 }
}

fn single_key(number: f32) -> f32 {
    if number.is_nan() { f32::NAN } else { number + 0.0 }
}

/// The one form of a jsonb, with no zeros at the end of its numbers.
fn json_key(text: &str) -> String {
    let text = json_build::canonical(text);
    let mut key = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(letter) = rest.chars().next() {
        let length = match letter {
            '"' => quoted_length(rest),
            '-' | '0'..='9' => rest.find([',', ']', '}']).unwrap_or(rest.len()),
            letter => letter.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        key.push_str(if letter == '-' || letter.is_ascii_digit() { number_key(token) } else { token });
        rest = behind;
    }
    key
}

/// Bytes of the text in quotes that this begins with.
fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

fn number_key(digits: &str) -> &str {
    let fraction = digits.contains('.') && !digits.contains(['e', 'E']);
    let short = if fraction { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    if short == "-0" { "0" } else { short }
}

/// `nullif(value, other)` of numbers or intervals: the first keeps its type.
pub(super) fn nullif(value: Expr, other: Expr) -> Expr {
    let takes = |types: &[DataType]| (types.len() == 2).then(|| types.to_vec());
    let computes = |args: &[ArrayRef], _rows: usize| {
        let [value, other] = args else { return Err(fault(SqlState::INTERNAL_ERROR, "internal error")) };
        let wide = |side: &ArrayRef| if side.data_type().is_floating() { cast(side, &DataType::Float64) } else { Ok(Arc::clone(side)) };
        let same = not_distinct(&plain_keys(&wide(value)?)?, &plain_keys(&wide(other)?)?)?;
        Ok(arrow::compute::nullif(value.as_ref(), &same)?)
    };
    Function::new("nullif", takes, |types| types.first().cloned(), computes).call(vec![value, other])
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, IntervalMonthDayNanoArray};
    use arrow::datatypes::IntervalMonthDayNano;

    use super::*;

    #[test]
    fn both_zeros_have_one_key() {
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, 0.0, 1.5, -f64::NAN]));
        let keys = plain_keys(&numbers).unwrap();
        let bits: Vec<u64> = keys.as_primitive::<Float64Type>().values().iter().map(|number| number.to_bits()).collect();
        assert_eq!(bits, [0, 0, 1.5_f64.to_bits(), f64::NAN.to_bits()]);
    }

    #[test]
    fn intervals_of_one_length_have_one_key() {
        let spans: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![
            IntervalMonthDayNano::new(1, 0, 0),
            IntervalMonthDayNano::new(0, 30, 0),
            IntervalMonthDayNano::new(0, 29, 86_400_000_000_000),
        ]));
        let keys = plain_keys(&spans).unwrap();
        let keys = keys.as_primitive::<arrow::datatypes::Decimal128Type>();
        assert!(keys.values().iter().all(|key| *key == keys.value(0)), "{keys:?}");
    }

    #[test]
    fn digits_of_json_do_not_count_but_in_texts() {
        assert_eq!(json_key(r#"{"a": 1.50, "b": [2.0, -0.0, 10], "1.0": "1.0\"0"}"#), r#"{"a": 1.5, "b": [2, 0, 10], "1.0": "1.0\"0"}"#);
        assert_eq!(json_key("1.0"), "1");
        assert_eq!(json_key(r#""żółć\\""#), r#""żółć\\""#);
    }
}
