//! Values of the reg* types, which are names here: beside texts, and beside numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

use crate::catalog::TYPE_KEY;
use crate::engine::PgType;
use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::{casts, matching, typed};

/// The types whose values are names of objects.
pub(super) const NAMES: [&str; 6] = ["regtype", "regclass", "regproc", "regprocedure", "regnamespace", "regrole"];

/// The reg* type of a field.
pub(super) fn kind(field: &Field) -> Option<&'static str> {
    let name = typed::named(field)?;
    NAMES.into_iter().find(|known| *known == name)
}

fn kind_of(expr: &Expr, schema: &DFSchema) -> Option<&'static str> {
    typed::field_of(expr, schema).and_then(|field| kind(&field))
}

/// `pg_typeof` of a constant of which nothing tells the type.
pub(super) fn unknown() -> Expr {
    let metadata = FieldMetadata::new(BTreeMap::from([(TYPE_KEY.to_owned(), "regtype".to_owned())]));
    Expr::Literal(ScalarValue::Utf8(Some("unknown".to_owned())), Some(metadata))
}

/// Both sides of a comparison; `None` if neither is of a reg* type.
pub(super) fn compared(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Result<Option<(Expr, Expr)>> {
    Ok(match (kind_of(left, schema), kind_of(right, schema)) {
        (None, None) => None,
        (Some(one), Some(other)) if one == other => Some((left.clone(), right.clone())),
        (Some(one), Some(other)) => return Err(matching::missing(one, op, other)),
        (Some(kind), None) => {
            let (left, right) = beside(left, kind, op, right, schema)?;
            Some((left, right))
        }
        (None, Some(kind)) => {
            let (right, left) = beside(right, kind, op, left, schema)?;
            Some((left, right))
        }
    })
}

/// A value of a reg* type, and what it is compared with.
fn beside(value: &Expr, kind: &str, op: Operator, other: &Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    if let Some(text) = casts::text_of(other) {
        return Ok((value.clone(), Expr::Literal(ScalarValue::Utf8(Some(shown(kind, text)?)), None)));
    }
    // A parameter, whose value may not be known yet.
    if matches!(other, Expr::Placeholder(_)) || matches!(other, Expr::Literal(value, _) if value.is_null()) {
        return Ok((value.clone(), other.clone()));
    }
    let (_, field) = other.to_field(schema)?;
    match field.data_type() {
        DataType::Null => Ok((value.clone(), other.clone())),
        found if found.is_integer() => match number(value, kind) {
            Some(number) => Ok((number, other.clone())),
            None => Err(fault(SqlState::FEATURE_NOT_SUPPORTED, &format!("comparing this {kind} with a number is not supported"))),
        },
        _ => Err(matching::missing(kind, op, &PgType::of_arrow(&field).with_typmod(-1).format().unwrap_or_default())),
    }
}

/// A name as values of the type are shown.
fn shown(kind: &str, text: &str) -> Result<String> {
    if kind != "regtype" {
        return Ok(text.to_owned());
    }
    let found = PgType::named(text.trim()).and_then(PgType::format);
    found.ok_or_else(|| fault(SqlState::UNDEFINED_OBJECT, &format!("type \"{text}\" does not exist")))
}

/// The number of a value that is shown by name; `None` if only its name is known.
pub(super) fn number(value: &Expr, kind: &str) -> Option<Expr> {
    match value {
        Expr::ScalarFunction(call) if call.func.name().starts_with("meshgate_reg") && call.func.name().ends_with("_text") => {
            call.args.first().cloned()
        }
        value if kind == "regtype" => Some(type_number().call(vec![value.clone()])),
        _ => None,
    }
}

fn type_number() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let names = arg::<StringArray>(args, 0)?;
        let numbers = names.iter().map(|name| name.and_then(PgType::named).map(|found| found.oid));
        Ok(Arc::new(numbers.collect::<UInt32Array>()) as ArrayRef)
    };
    Function::new("type_number", |types| (types.len() == 1).then(|| vec![DataType::Utf8]), |_| Some(DataType::UInt32), computes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_shown_by_one_of_its_names() {
        assert_eq!(shown("regtype", "int4").unwrap(), "integer");
        assert_eq!(shown("regtype", "varchar[]").unwrap(), "character varying[]");
        assert!(shown("regtype", "nope").is_err());
        assert_eq!(shown("regclass", "a.b").unwrap(), "a.b");
    }
}
