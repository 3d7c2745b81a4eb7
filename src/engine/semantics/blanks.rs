//! `char(n)`: texts that are filled with blanks, which do not count but where the text is shown.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::{Expr, Operator, ScalarUDF};

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::{casts, typed};

/// Letters of the longest one, as in PostgreSQL.
const LENGTH_MAX: i64 = 10_485_760;
/// Bytes that the texts of one batch may become.
const BYTES_MAX: usize = 16 << 20;

/// The functions by name.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![filled().udf()]
}

/// A text cut, or filled with blanks, to so many letters.
fn filled() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (texts, lengths) = (arg::<StringArray>(args, 0)?, arg::<Int64Array>(args, 1)?);
        let mut made = 0_usize;
        let filled = texts.iter().zip(lengths.iter()).map(|pair| {
            let (Some(text), Some(length)) = pair else { return Ok(None) };
            if length < 1 {
                return Err(fault(SqlState::INVALID_PARAMETER_VALUE, "length for type char must be at least 1"));
            }
            if length > LENGTH_MAX {
                return Err(fault(SqlState::INVALID_PARAMETER_VALUE, "length for type char cannot exceed 10485760"));
            }
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            made = made.saturating_add(length);
            if made > BYTES_MAX {
                return Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large"));
            }
            let cut: String = text.chars().take(length).collect();
            Ok(Some(format!("{cut:<length$}")))
        });
        Ok(Arc::new(filled.collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8, DataType::Int64]);
    Function::new("meshgate_bpchar", takes, |_| Some(DataType::Utf8), computes).answers("bpchar")
}

fn is_filled(expr: &Expr, schema: &DFSchema) -> bool {
    typed::field_of(expr, schema).is_some_and(|field| typed::named(&field) == Some("bpchar"))
}

/// The text that it is, without the blanks at its end.
pub(super) fn without(value: Expr) -> Expr {
    datafusion::functions::string::expr_fn::rtrim(vec![typed::plain(value)])
}

/// Comparisons and joined texts see no blanks at the end.
pub(super) fn operands(binary: BinaryExpr, schema: &DFSchema) -> BinaryExpr {
    let (left, right) = (is_filled(&binary.left, schema), is_filled(&binary.right, schema));
    let compares = binary.op.supports_propagation() || matches!(binary.op, Operator::StringConcat);
    if !compares || !left && !right {
        return binary;
    }
    let joins = binary.op == Operator::StringConcat;
    let bare = |side: Box<Expr>, filled: bool| {
        let constant = !joins && casts::text_literal(&side);
        if filled || constant { Box::new(without(*side)) } else { side }
    };
    BinaryExpr { left: bare(binary.left, left), op: binary.op, right: bare(binary.right, right) }
}

/// Functions of texts that a `char(n)` is made a text for.
const OF_TEXTS: [&str; 30] = [
    "length",
    "char_length",
    "character_length",
    "lower",
    "upper",
    "initcap",
    "left",
    "right",
    "lpad",
    "rpad",
    "ltrim",
    "rtrim",
    "btrim",
    "substr",
    "substring",
    "strpos",
    "position",
    "replace",
    "reverse",
    "repeat",
    "split_part",
    "starts_with",
    "md5",
    "translate",
    "ascii",
    "string_to_array",
    "regexp_replace",
    "regexp_match",
    "regexp_count",
    "regexp_split_to_array",
];

/// The arguments of a function of texts.
pub(super) fn argued(mut call: ScalarFunction, schema: &DFSchema) -> ScalarFunction {
    if OF_TEXTS.contains(&call.func.name()) {
        for value in &mut call.args {
            if is_filled(value, schema) {
                *value = without(std::mem::take(value));
            }
        }
    }
    call
}
