//! Exact numbers beside floating-point ones, which are compared as floating-point numbers.
//!
//! A column of numerics that such numbers tell apart is compared with a constant as a numeric all the same: that can prune files.

use arrow::datatypes::{DataType, Decimal128Type, DecimalType as _};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Between, BinaryExpr, InList};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, cast};

use super::{casts, nearest, typed};

/// Digits that each floating-point number keeps apart.
const DIGITS_KEPT: u8 = 15;

/// The expression with what it compares in one kind of numbers.
pub(super) fn beside(expr: Expr, schema: &DFSchema) -> Expr {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
            let (left, right) = pair(*left, *right, schema);
            Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
        }
        Expr::BinaryExpr(BinaryExpr { mut left, op, mut right }) => {
            reaching(&mut left, &right, schema);
            reaching(&mut right, &left, schema);
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let (_, low) = pair(expr.as_ref().clone(), *low, schema);
            let (value, high) = pair(*expr, *high, schema);
            Expr::Between(Between { expr: Box::new(value), negated, low: Box::new(low), high: Box::new(high) })
        }
        Expr::InList(InList { expr, list, negated }) => reals(*expr, list, negated, schema),
        Expr::ScalarFunction(mut call) if call.func.name() == "nullif" => {
            if let [value, other] = call.args.as_mut_slice()
                && is_float(value, schema)
            {
                *other = as_float(std::mem::take(other), schema);
            }
            Expr::ScalarFunction(call)
        }
        Expr::Case(mut case) if case.expr.as_ref().is_some_and(|value| is_float(value, schema)) => {
            for (when, _) in &mut case.when_then_expr {
                **when = as_float(std::mem::take(when.as_mut()), schema);
            }
            Expr::Case(case)
        }
        other => other,
    }
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn type_of(expr: &Expr, schema: &DFSchema) -> DataType {
    expr.get_type(schema).unwrap_or(DataType::Null)
}

fn is_float(expr: &Expr, schema: &DFSchema) -> bool {
    type_of(expr, schema).is_floating()
}

/// Both sides of a comparison.
fn pair(left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    match (is_float(&left, schema), is_float(&right, schema)) {
        (true, false) => {
            let (right, left) = unlike(right, left, schema);
            (left, right)
        }
        (false, true) => unlike(left, right, schema),
        _ => (left, right),
    }
}

/// An exact number, if it is one, and a floating-point number that it is compared with.
fn unlike(exact: Expr, float: Expr, schema: &DFSchema) -> (Expr, Expr) {
    match numeric_constant(&float, &exact, schema) {
        Some(constant) => (exact, constant),
        // Integers and doubles the engine compares as doubles.
        None if type_of(&exact, schema).is_integer() && type_of(&float, schema) == DataType::Float64 => (exact, float),
        None => (as_float(exact, schema), float),
    }
}

/// A constant as a numeric beside a column whose values it cannot be told from as a floating-point number.
fn numeric_constant(float: &Expr, beside: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Expr::Literal(ScalarValue::Float64(Some(number)), _) = float else { return None };
    if matches!(beside, Expr::Literal(..)) || !matches!(type_of(beside, schema), DataType::Decimal128(..=DIGITS_KEPT, _)) {
        return None;
    }
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = whole.trim_start_matches('-').trim_start_matches('0').len() + fraction.len();
    if digits > usize::from(DIGITS_KEPT) {
        return None;
    }
    let value = format!("{whole}{fraction}").parse::<i128>().ok()?;
    let scale = i8::try_from(fraction.len()).ok()?;
    Some(Expr::Literal(ScalarValue::Decimal128(Some(value), DIGITS_KEPT.max(scale.unsigned_abs()), scale), None))
}

/// A list beside a real: two constants or more are one array for PostgreSQL, of reals unless a double is among them. What else stands there is
/// compared one by one, as doubles.
fn reals(value: Expr, list: Vec<Expr>, negated: bool, schema: &DFSchema) -> Expr {
    let all = |value: Expr, list: Vec<Expr>| {
        let (value, list) = among(value, list, schema);
        Expr::InList(InList { expr: Box::new(value), list, negated })
    };
    if type_of(&value, schema) != DataType::Float32 {
        return all(value, list);
    }
    let (varying, constant): (Vec<Expr>, Vec<Expr>) = list.into_iter().partition(Expr::any_column_refs);
    let double = |item: &Expr| type_of(item, schema) == DataType::Float64;
    if constant.len() < 2 || constant.iter().any(double) {
        return all(value, constant.into_iter().chain(varying).collect());
    }
    let constant = constant.into_iter().map(|item| as_real(item, schema)).collect();
    let known = Expr::InList(InList { expr: Box::new(value.clone()), list: constant, negated });
    match (varying.is_empty(), negated) {
        (true, _) => known,
        (false, true) => known.and(all(value, varying)),
        (false, false) => known.or(all(value, varying)),
    }
}

/// An exact number as a real; any other value as it is.
fn as_real(expr: Expr, schema: &DFSchema) -> Expr {
    let exact = type_of(&expr, schema).is_integer() || type_of(&expr, schema).is_decimal();
    match &expr {
        Expr::Literal(number, _) if exact => match nearest::value(number, &DataType::Float32) {
            Ok(real) => Expr::Literal(real, None),
            Err(_) => cast(expr, DataType::Float32),
        },
        _ if exact => cast(expr, DataType::Float32),
        _ => expr,
    }
}

/// A value and those that it is looked for among: all are floating-point numbers if one of them is.
pub(super) fn among(value: Expr, list: Vec<Expr>, schema: &DFSchema) -> (Expr, Vec<Expr>) {
    let floats = list.iter().any(|item| is_float(item, schema));
    if is_float(&value, schema) {
        // Integers among them the engine takes for floating-point numbers itself.
        let whole = |item: &Expr| type_of(item, schema).is_integer();
        let list = list.into_iter().map(|item| if whole(&item) { item } else { as_float(item, schema) }).collect();
        return (value, list);
    }
    if !floats {
        return (value, list);
    }
    let constant = |item: &Expr| if is_float(item, schema) { numeric_constant(item, &value, schema) } else { Some(item.clone()) };
    match list.iter().map(constant).collect() {
        Some(list) => (value, list),
        None => (as_float(value, schema), list.into_iter().map(|item| as_float(item, schema)).collect()),
    }
}

/// A numeric that is too large for the engine's, beside a floating-point number that it is computed with.
fn reaching(expr: &mut Expr, other: &Expr, schema: &DFSchema) {
    if let Some(number) = unbounded(expr)
        && is_float(other, schema)
    {
        *expr = number;
    }
}

/// An exact number as a floating-point one; any other value as it is.
fn as_float(expr: Expr, schema: &DFSchema) -> Expr {
    if let Some(number) = unbounded(&expr) {
        return number;
    }
    match &expr {
        Expr::Literal(ScalarValue::Decimal128(Some(value), precision, scale), _) => {
            let number = Decimal128Type::format_decimal(*value, *precision, *scale).parse::<f64>();
            number.map_or(expr, |number| Expr::Literal(ScalarValue::Float64(Some(number)), None))
        }
        _ if matches!(type_of(&expr, schema), DataType::Decimal128(..)) || type_of(&expr, schema).is_integer() => {
            cast(expr, DataType::Float64)
        }
        _ => expr,
    }
}

/// The number that a numeric without bounds is, if it is in the range of floating-point numbers.
fn unbounded(expr: &Expr) -> Option<Expr> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let [text] = call.args.as_slice() else { return None };
    let text = casts::text_of(text).filter(|_| call.func.name() == typed::UNBOUNDED)?;
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() || text.ends_with("Infinity") || text == "NaN")?;
    Some(Expr::Literal(ScalarValue::Float64(Some(number)), None))
}

/// The type in which a value and the elements of an array are compared; `None` if they are of one, or are no numbers.
pub(super) fn common(list: &DataType, value: &DataType) -> Option<DataType> {
    let DataType::List(element) = list else { return None };
    let types = [element.data_type().clone(), value.clone()];
    if !types.iter().all(DataType::is_numeric) {
        return None;
    }
    if types.iter().any(DataType::is_floating) && types.iter().any(|found| !found.is_floating()) {
        return Some(DataType::Float64);
    }
    super::numeric::common(&types)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::lit;

    use super::*;

    fn decimal(value: i128, scale: i8) -> Expr {
        lit(ScalarValue::Decimal128(Some(value), 12, scale))
    }

    #[test]
    fn an_exact_constant_beside_a_float_is_a_float() {
        let schema = DFSchema::empty();
        assert_eq!(pair(lit(0.5), decimal(3, 1), &schema), (lit(0.5), lit(0.3)));
        assert_eq!(pair(lit(7_i32), lit(0.5_f32), &schema), (cast(lit(7_i32), DataType::Float64), lit(0.5_f32)));
        assert_eq!(pair(lit(7_i32), lit(0.5), &schema), (lit(7_i32), lit(0.5)));
        assert_eq!(pair(decimal(3, 1), decimal(4, 1), &schema), (decimal(3, 1), decimal(4, 1)));
    }

    #[test]
    fn constants_beside_a_real_are_reals_if_there_are_several() {
        let schema = DFSchema::empty();
        let list = |items: Vec<Expr>| match reals(lit(0.5_f32), items, false, &schema) {
            Expr::InList(list) => list.list,
            other => panic!("{other}"),
        };
        assert_eq!(list(vec![decimal(1, 1), lit(7)]), [lit(0.1_f32), lit(7_f32)]);
        assert_eq!(list(vec![decimal(1, 1)]), [lit(0.1)]);
        assert_eq!(list(vec![decimal(1, 1), lit(0.5)]), [lit(0.1), lit(0.5)]);
    }

    #[test]
    fn a_column_of_few_digits_is_compared_as_it_is() {
        let schema = DFSchema::empty();
        let column = cast(lit(1_i32), DataType::Decimal128(12, 2));
        let tenth = lit(ScalarValue::Decimal128(Some(1_005), 15, 1));
        assert_eq!(pair(column.clone(), lit(100.5), &schema), (column.clone(), tenth));
        for float in [1.0 / 3.0, 1e300, f64::NAN, f64::INFINITY] {
            assert_eq!(pair(column.clone(), lit(float), &schema).0, cast(column.clone(), DataType::Float64));
        }
        let wide = cast(lit(1_i32), DataType::Decimal128(20, 2));
        assert_eq!(pair(wide.clone(), lit(100.5), &schema).0, cast(wide, DataType::Float64));
    }
}
