//! Dates and timestamps of several types in one expression or column: in the type that they have together.
//!
//! One with a zone among others makes all of them moments, which those without a zone are in the session's.

use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;

use super::{Facts, casts, temporal};

/// Types of moments, from the narrowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Date,
    Local,
    Instant,
}

fn kind(found: &DataType) -> Option<Kind> {
    Some(match found {
        DataType::Date32 | DataType::Date64 => Kind::Date,
        DataType::Timestamp(_, None) => Kind::Local,
        DataType::Timestamp(_, Some(_)) => Kind::Instant,
        _ => return None,
    })
}

/// The type that these have together; `None` if they are of one kind, or not all moments.
pub(super) fn common<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Option<DataType> {
    let kinds = types.into_iter().map(kind).collect::<Option<Vec<_>>>()?;
    let (narrowest, widest) = (kinds.iter().min()?, kinds.iter().max()?);
    match widest {
        widest if widest == narrowest => None,
        Kind::Instant => Some(temporal::instant()),
        Kind::Local => Some(temporal::timestamp()),
        Kind::Date => None,
    }
}

/// A moment of one type as one of that type.
pub(super) fn as_common(value: Expr, found: &DataType, common: &DataType, facts: Facts) -> Expr {
    if kind(found) == kind(common) { value } else { casts::of_type(value, found, common, facts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_with_a_zone_makes_the_others_moments() {
        let (date, local, instant) = (DataType::Date32, temporal::timestamp(), temporal::instant());
        assert_eq!(common([&date, &instant, &local]), Some(instant.clone()));
        assert_eq!(common([&date, &local]), Some(local));
        assert_eq!(common([&date, &date]), None);
        assert_eq!(common([&date, &DataType::Int32]), None);
    }
}
