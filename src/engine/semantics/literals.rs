//! Literals have PostgreSQL's types: a whole number is an integer if it fits, else a bigint, else a numeric.
//!
//! A bound parameter has the type that it was bound as, which its mark tells.

use std::collections::BTreeMap;

use datafusion::common::ScalarValue;
use datafusion::common::metadata::FieldMetadata;
use datafusion::logical_expr::Expr;

const BOUND: &str = "meshgate_bound";

/// Marks the value of a parameter.
pub(in crate::engine) fn bound() -> FieldMetadata {
    FieldMetadata::new(BTreeMap::from([(BOUND.to_owned(), String::new())]))
}

/// The literal in its type.
pub(super) fn typed(value: ScalarValue, metadata: Option<FieldMetadata>) -> Expr {
    if let Some(marks) = metadata.as_ref().map(FieldMetadata::inner).filter(|marks| marks.contains_key(BOUND)) {
        let rest: BTreeMap<String, String> =
            marks.iter().filter(|(mark, _)| *mark != BOUND).map(|(mark, text)| (mark.clone(), text.clone())).collect();
        return Expr::Literal(value, (!rest.is_empty()).then(|| FieldMetadata::new(rest)));
    }
    let value = match value {
        ScalarValue::Int64(Some(number)) => i32::try_from(number).map_or(value, |number| ScalarValue::Int32(Some(number))),
        // `1e10` is read as one digit with ten zeros that are not there.
        ScalarValue::Decimal128(Some(number), precision, scale) if scale < 0 => {
            let zeros = scale.unsigned_abs();
            let whole = 10_i128.checked_pow(u32::from(zeros)).and_then(|unit| number.checked_mul(unit));
            match (whole, precision.checked_add(zeros)) {
                (Some(whole), Some(precision @ ..=38)) => ScalarValue::Decimal128(Some(whole), precision, 0),
                _ => value,
            }
        }
        ScalarValue::UInt64(Some(number)) => ScalarValue::Decimal128(Some(i128::from(number)), 20, 0),
        other => other,
    };
    Expr::Literal(value, metadata)
}

/// A literal with another sign, which may need a wider type.
pub(super) fn negated(value: &ScalarValue) -> Option<ScalarValue> {
    match value {
        ScalarValue::Int32(Some(i32::MIN)) => Some(ScalarValue::Int64(Some(-i64::from(i32::MIN)))),
        _ => None,
    }
}

/// `count(*)` counts a number that the engine knows by its type.
pub(super) fn counted(arg: &mut Expr) {
    if let Expr::Literal(ScalarValue::Int32(Some(1)), metadata) = arg {
        *arg = Expr::Literal(ScalarValue::Int64(Some(1)), metadata.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_an_integer_unless_it_was_bound() {
        let number = ScalarValue::Int64(Some(5));
        assert_eq!(typed(number.clone(), None), Expr::Literal(ScalarValue::Int32(Some(5)), None));
        assert_eq!(typed(number.clone(), Some(bound())), Expr::Literal(number, None));
        let large = ScalarValue::Int64(Some(1 << 40));
        assert_eq!(typed(large.clone(), None), Expr::Literal(large, None));
        let zeros = ScalarValue::Decimal128(Some(12), 2, -3);
        assert_eq!(typed(zeros, None), Expr::Literal(ScalarValue::Decimal128(Some(12_000), 5, 0), None));
    }
}
