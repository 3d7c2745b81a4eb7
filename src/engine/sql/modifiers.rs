//! The modifiers of a query's columns as far as the text tells them: `x::varchar(5)` is told to be of five characters.
//!
//! The planner's types hold some of these (a decimal's precision) and not others, and hold them where none was written.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, Expr, ObjectName, Query, SelectItem, SetExpr, Statement,
};

use crate::catalog::{PgType, folded, numeric_typmod};

use super::intervals;

/// PostgreSQL counts the header of a text, too.
const HEADER: i32 = 4;
/// Digits of a second.
const SECOND_DIGITS_MAX: u64 = 6;

/// `pg_attribute.atttypmod` of columns, each counted from the nearer end of the select list: how many a `*` is in between is not told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::engine) struct Modifiers {
    first: Vec<Option<i32>>,
    last: Vec<Option<i32>>,
}

impl Modifiers {
    /// Of a query's columns.
    pub(super) fn of(statement: &Statement) -> Self {
        match statement {
            Statement::Query(query) => of_query(query),
            _ => Self::default(),
        }
    }

    /// Of the column at a place, of so many.
    pub(in crate::engine) fn at(&self, place: usize, columns: usize) -> Option<i32> {
        let behind = columns.checked_sub(place)?;
        let last = || self.last.len().checked_sub(behind).and_then(|at| self.last.get(at));
        *self.first.get(place).or_else(last)?
    }
}

fn of_query(query: &Query) -> Modifiers {
    of_body(&query.body)
}

fn of_body(body: &SetExpr) -> Modifiers {
    match body {
        SetExpr::Select(select) => {
            let spreads = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
            let (Some(first), Some(last)) = (select.projection.iter().position(spreads), select.projection.iter().rposition(spreads))
            else {
                return Modifiers { first: select.projection.iter().map(of_item).collect(), last: Vec::new() };
            };
            let first = select.projection.iter().take(first).map(of_item).collect();
            let last = select.projection.iter().skip(last + 1).map(of_item).collect();
            Modifiers { first, last }
        }
        SetExpr::Query(query) => of_query(query),
        // Both sides must agree on it.
        SetExpr::SetOperation { left, right, .. } => {
            let (left, right) = (of_body(left), of_body(right));
            let both = |(left, right): (&Option<i32>, &Option<i32>)| left.filter(|modifier| Some(*modifier) == *right);
            Modifiers { first: left.first.iter().zip(&right.first).map(both).collect(), last: Vec::new() }
        }
        _ => Modifiers::default(),
    }
}

fn of_item(item: &SelectItem) -> Option<i32> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => of_expr(expr),
        _ => None,
    }
}

fn of_expr(expr: &Expr) -> Option<i32> {
    match expr {
        Expr::Nested(inner) => of_expr(inner),
        Expr::Cast { data_type, .. } => of_type(data_type),
        Expr::TypedString(typed) => of_type(&typed.data_type),
        Expr::Interval(interval) => intervals::modifier(interval),
        Expr::Subquery(query) => of_query(query).at(0, 1),
        _ => None,
    }
}

/// The modifier that the name of a type carries.
fn of_type(data_type: &DataType) -> Option<i32> {
    match data_type {
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => of_numeric(info),
        DataType::Varchar(length) | DataType::CharVarying(length) | DataType::CharacterVarying(length) => of_length(length.as_ref()?),
        // `character` alone is of one character.
        DataType::Char(None) | DataType::Character(None) => Some(1 + HEADER),
        DataType::Char(Some(length)) | DataType::Character(Some(length)) => of_length(length),
        DataType::Time(digits, _) | DataType::Timestamp(digits, _) => digits_of_seconds((*digits)?),
        DataType::Interval { fields, precision } => intervals::modifier_of_type(fields.as_ref(), *precision),
        DataType::Custom(name, arguments) => match arguments.as_slice() {
            [length] => bpchar(name, length).and_then(|length| i32::try_from(length).ok()?.checked_add(HEADER)),
            _ => None,
        },
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => of_type(element),
        _ => None,
    }
}

/// The length of `bpchar(n)`, which the parser takes for a type that it does not know.
pub(super) fn bpchar(name: &ObjectName, length: &str) -> Option<u64> {
    let last = name.0.last()?.as_ident()?;
    if PgType::named(&folded(last)) == Some(PgType::BPCHAR) { length.parse().ok() } else { None }
}

/// A numeric of any precision.
pub(super) fn unbounded(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Numeric(ExactNumberInfo::None) | DataType::Decimal(ExactNumberInfo::None) | DataType::Dec(ExactNumberInfo::None)
    )
}

/// The most digits behind the point that an element of `{1.5,NULL}` has.
pub(super) fn element_scale(text: &str) -> Option<i64> {
    let elements = text.split(['{', '}', ',']).map(|element| element.trim().trim_matches('"'));
    let elements = elements.filter(|element| !element.is_empty() && !element.eq_ignore_ascii_case("null"));
    elements.map(|element| digits(element).map(|(_, scale)| scale)).try_fold(0, |most, scale| Some(most.max(scale?)))
}

/// How many digits a plain decimal number has, and how many behind the point.
pub(super) fn digits(text: &str) -> Option<(u64, i64)> {
    let unsigned = text.trim().trim_start_matches(['+', '-']);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let plain = !whole.is_empty() && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    let (precision, scale) = (whole.len() + fraction.len(), fraction.len());
    (plain && precision <= 1_000).then_some((u64::try_from(precision).ok()?, i64::try_from(scale).ok()?))
}

fn of_numeric(info: &ExactNumberInfo) -> Option<i32> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return None,
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    Some(numeric_typmod(u16::try_from(precision).ok()?, i16::try_from(scale).ok()?))
}

fn of_length(length: &CharacterLength) -> Option<i32> {
    match length {
        CharacterLength::IntegerLength { length, .. } => i32::try_from(*length).ok()?.checked_add(HEADER),
        CharacterLength::Max => None,
    }
}

fn digits_of_seconds(digits: u64) -> Option<i32> {
    i32::try_from(digits.min(SECOND_DIGITS_MAX)).ok()
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::engine::sql::dialect::PgDialect;

    fn modifiers(sql: &str) -> Modifiers {
        Modifiers::of(&Parser::parse_sql(&PgDialect, sql).unwrap()[0])
    }

    #[test]
    fn a_cast_tells_its_modifier() {
        for (data_type, modifier) in [
            ("varchar(5)", Some(9)),
            ("varchar", None),
            ("char(3)", Some(7)),
            ("char", Some(5)),
            ("bpchar(3)", Some(7)),
            ("numeric(10,2)", Some(655_366)),
            ("numeric(10)", Some(655_364)),
            ("numeric", None),
            ("numeric(4,1)[]", Some(262_149)),
            ("timestamp(3)", Some(3)),
            ("timestamptz(0)", Some(0)),
            ("time(1)", Some(1)),
            ("interval(3)", Some(2_147_418_115)),
            ("interval day to second(2)", Some(470_286_338)),
            ("int", None),
        ] {
            assert_eq!(modifiers(&format!("SELECT (NULL::{data_type}) AS x")).at(0, 1), modifier, "{data_type}");
        }
    }

    #[test]
    fn columns_are_counted_from_the_nearer_end() {
        let found = modifiers("SELECT a::char(2), b, t.*, c, d::varchar(3) FROM t");
        let at: Vec<Option<i32>> = (0..7).map(|place| found.at(place, 7)).collect();
        assert_eq!(at, [Some(6), None, None, None, None, None, Some(7)]);
        let found = modifiers("SELECT a::char(2), b::char(3) UNION ALL SELECT a::char(2), b::char(4)");
        assert_eq!((found.at(0, 2), found.at(1, 2)), (Some(6), None));
        assert_eq!(modifiers("SELECT (SELECT a::char(2))").at(0, 1), Some(6));
    }

    #[test]
    fn digits_are_counted() {
        assert_eq!(digits("-12.50"), Some((4, 2)));
        assert_eq!(digits("1e5"), None);
        assert_eq!(digits("NaN"), None);
    }
}
