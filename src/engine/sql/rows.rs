//! Comparisons of rows, one column at a time, and periods that overlap.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Interval,
};

use super::quantified::repeatable;
use super::spelling::{call, last, string};

/// What stands for a comparison of rows; `None` if it is none.
pub(super) fn compared(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    let (left, right) = (columns(left)?, columns(right)?);
    let (left, right) = (left.as_slice(), right.as_slice());
    let repeated = !matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq);
    if left.len() != right.len() || left.is_empty() || repeated && !left.iter().chain(right).all(repeatable) {
        return None;
    }
    let compared = match op {
        BinaryOperator::Eq => all(left, right),
        BinaryOperator::NotEq => {
            let pairs = left.iter().zip(right).map(|(left, right)| binary(left, BinaryOperator::NotEq, right));
            pairs.reduce(|one, other| binary(&one, BinaryOperator::Or, &other))?
        }
        BinaryOperator::Lt => ordered(left, &BinaryOperator::Lt, &BinaryOperator::Lt, right)?,
        BinaryOperator::LtEq => ordered(left, &BinaryOperator::Lt, &BinaryOperator::LtEq, right)?,
        BinaryOperator::Gt => ordered(left, &BinaryOperator::Gt, &BinaryOperator::Gt, right)?,
        BinaryOperator::GtEq => ordered(left, &BinaryOperator::Gt, &BinaryOperator::GtEq, right)?,
        BinaryOperator::Overlaps => overlap(left, right)?,
        _ => return None,
    };
    Some(Expr::Nested(Box::new(compared)))
}

/// Functions that show the names of a row's columns.
const NAMING: [&str; 12] = [
    "array_agg",
    "row_to_json",
    "to_json",
    "to_jsonb",
    "json_build_object",
    "json_build_array",
    "jsonb_build_object",
    "jsonb_build_array",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
];

/// The columns of `ROW(a, b)` are f1 and f2 where their names are shown.
pub(super) fn name_columns(function: &mut Function) {
    if !NAMING.contains(&last(&function.name).as_str()) {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    for arg in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = arg {
            name_row(value);
        }
    }
}

/// The columns of `ROW(a, b)` by their names.
pub(super) fn name_row(value: &mut Expr) {
    let Some(members) = columns(value) else { return };
    let named = members.into_iter().enumerate().flat_map(|(at, member)| [string(&format!("f{}", at + 1)), member]);
    *value = call("named_struct", named.collect());
}

/// `(a, b) IN ((1, 2), …)`
pub(super) fn listed(row: &Expr, list: &[Expr], negated: bool) -> Option<Expr> {
    let row = columns(row).filter(|row| row.iter().all(repeatable))?;
    let mut any: Option<Expr> = None;
    for item in list {
        let item = columns(item).filter(|item| item.len() == row.len() && !item.is_empty())?;
        let same = Expr::Nested(Box::new(all(&row, &item)));
        any = Some(match any {
            Some(any) => binary(&any, BinaryOperator::Or, &same),
            None => same,
        });
    }
    let any = Expr::Nested(Box::new(any?));
    Some(if negated { Expr::UnaryOp { op: datafusion::sql::sqlparser::ast::UnaryOperator::Not, expr: Box::new(any) } } else { any })
}

/// The columns of a row that is written out, by their names.
pub(super) fn fields(expr: &Expr) -> Option<Vec<(String, Expr)>> {
    Some(columns(expr)?.into_iter().zip(1..).map(|(column, place)| (format!("f{place}"), Expr::Nested(Box::new(column)))).collect())
}

fn columns(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(columns) => Some(columns.clone()),
        Expr::Function(row) if last(&row.name) == "row" => members(row),
        _ => None,
    }
}

/// The columns of `ROW(a, b)`.
fn members(row: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &row.args else { return None };
    let member = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(member)) => Some(member.clone()),
        _ => None,
    };
    list.args.iter().map(member).collect()
}

/// A row is NULL if all of its columns are, and is not if none of them is.
pub(super) fn known(row: &Expr, null: bool) -> Option<Expr> {
    let columns = columns(row)?.into_iter().map(|column| {
        let column = Box::new(Expr::Nested(Box::new(column)));
        if null { Expr::IsNull(column) } else { Expr::IsNotNull(column) }
    });
    let all = columns.reduce(|one, other| binary(&one, BinaryOperator::And, &other))?;
    Some(Expr::Nested(Box::new(all)))
}

fn binary(left: &Expr, op: BinaryOperator, right: &Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left.clone()), op, right: Box::new(right.clone()) }
}

fn all(left: &[Expr], right: &[Expr]) -> Expr {
    let pairs = left.iter().zip(right).map(|(left, right)| binary(left, BinaryOperator::Eq, right));
    pairs.reduce(|one, other| binary(&one, BinaryOperator::And, &other)).unwrap_or(Expr::Tuple(Vec::new()))
}

/// The first columns that differ decide.
fn ordered(left: &[Expr], strict: &BinaryOperator, last: &BinaryOperator, right: &[Expr]) -> Option<Expr> {
    let mut pairs = left.iter().zip(right).rev();
    let (one, other) = pairs.next()?;
    let mut result = binary(one, last.clone(), other);
    for (one, other) in pairs {
        let tied = binary(&binary(one, BinaryOperator::Eq, other), BinaryOperator::And, &Expr::Nested(Box::new(result)));
        result = binary(&binary(one, strict.clone(), other), BinaryOperator::Or, &tied);
    }
    Some(result)
}

/// `(start, end) OVERLAPS (start, end)`; an end may be a length. A period of which one end is unknown begins at the other.
fn overlap(left: &[Expr], right: &[Expr]) -> Option<Expr> {
    let bounds = |period: &[Expr]| {
        let [start, end] = period else { return None };
        let length = matches!(end, Expr::Interval(Interval { .. }));
        let end = if length { Expr::Nested(Box::new(binary(start, BinaryOperator::Plus, end))) } else { end.clone() };
        let both = || vec![start.clone(), end.clone()];
        let known = [start, &end].map(|bound| Expr::IsNotNull(Box::new(Expr::Nested(Box::new(bound.clone())))));
        let [one, other] = known;
        let last = when(vec![(binary(&one, BinaryOperator::And, &other), call("greatest", both()))]);
        Some((call("least", both()), last))
    };
    let ((from, to), (other_from, other_to)) = (bounds(left)?, bounds(right)?);
    // What an unknown end leaves open is unknown: `x < x` is that, or else false.
    let within = |from: &Expr, to: &Expr, own: &Expr| {
        binary(&binary(from, BinaryOperator::Lt, to), BinaryOperator::Or, &binary(own, BinaryOperator::Lt, own))
    };
    let known = |to: &Expr| binary(to, BinaryOperator::Eq, to);
    Some(when(vec![
        (binary(&from, BinaryOperator::Gt, &other_from), within(&from, &other_to, &to)),
        (binary(&from, BinaryOperator::Lt, &other_from), within(&other_from, &to, &other_to)),
        // Two periods that start together overlap, were they as short as a point.
        (binary(&from, BinaryOperator::Eq, &other_from), binary(&known(&to), BinaryOperator::And, &known(&other_to))),
    ]))
}

/// `CASE WHEN a THEN b … END`
pub(super) fn when(branches: Vec<(Expr, Expr)>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: branches.into_iter().map(|(condition, result)| CaseWhen { condition, result }).collect(),
        else_result: None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn spelled(sql: &str) -> Option<String> {
        let expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap();
        match expr {
            Expr::IsNull(row) => known(&row, true),
            Expr::IsNotNull(row) => known(&row, false),
            Expr::BinaryOp { left, op, right } => compared(&left, &op, &right),
            Expr::InList { expr, list, negated } => listed(&expr, &list, negated),
            _ => None,
        }
        .map(|expr| expr.to_string())
    }

    #[test]
    fn rows_compare_by_the_first_columns_that_differ() {
        assert_eq!(spelled("(a, b) = (1, 2)").unwrap(), "(a = 1 AND b = 2)");
        assert_eq!(spelled("(a, b) <> (1, 2)").unwrap(), "(a <> 1 OR b <> 2)");
        assert_eq!(spelled("(a, b) <= (1, 2)").unwrap(), "(a < 1 OR a = 1 AND (b <= 2))");
        assert_eq!(spelled("(a, b) NOT IN ((1, 2), (3, 4))").unwrap(), "NOT ((a = 1 AND b = 2) OR (a = 3 AND b = 4))");
        assert_eq!(spelled("(a, b) = (1, 2, 3)"), None);
        assert_eq!(spelled("a = 1"), None);
        assert_eq!(spelled("row(a, b) = row(1, null)").unwrap(), "(a = 1 AND b = NULL)");
        assert_eq!(spelled("row(a, null) is null").unwrap(), "((a) IS NULL AND (NULL) IS NULL)");
        assert_eq!(spelled("(a, b) is not null").unwrap(), "((a) IS NOT NULL AND (b) IS NOT NULL)");
    }
}
