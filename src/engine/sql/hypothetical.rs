//! Hypothetical-set aggregates: `rank(3) WITHIN GROUP (ORDER BY x)`, the rank that a row would have among others.
//!
//! They count the rows that stand before it.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, OrderByExpr, Value,
};

use super::rows::when;
use super::spelling::{call, cast_to, last, number};

/// What stands for such an aggregate; `None` if it is none.
pub(super) fn rewritten(function: &Function) -> Option<Expr> {
    let name = last(&function.name);
    let FunctionArguments::List(list) = &function.args else { return None };
    let direct = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
        _ => None,
    });
    let direct = direct.collect::<Option<Vec<_>>>()?;
    let null = |value: &Expr| matches!(value, Expr::Value(value) if value.value == Value::Null);
    let keys = function.within_group.as_slice();
    if keys.is_empty() || keys.len() != direct.len() || direct.iter().any(null) {
        return None;
    }
    let before = before(keys, &direct, false)?;
    let all = counted(function, None);
    let rank = || binary(number("1"), BinaryOperator::Plus, counted(function, Some(before.clone())));
    Some(Expr::Nested(Box::new(match name.as_str() {
        "rank" => rank(),
        "dense_rank" => {
            let [key] = keys else { return None };
            dense(function, key, before.clone())?
        }
        "percent_rank" => {
            let behind = real(binary(rank(), BinaryOperator::Minus, number("1")));
            let none = binary(all.clone(), BinaryOperator::Eq, number("0"));
            let share = binary(behind, BinaryOperator::Divide, real(all));
            case(none, real(number("0")), share)
        }
        "cume_dist" => {
            let peers = self::before(keys, &direct, true)?;
            let upto = binary(number("1"), BinaryOperator::Plus, counted(function, Some(peers)));
            let rows = binary(number("1"), BinaryOperator::Plus, all);
            binary(real(upto), BinaryOperator::Divide, real(rows))
        }
        _ => return None,
    })))
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    nested(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) })
}

fn real(value: Expr) -> Expr {
    cast_to(value, DataType::DoublePrecision)
}

fn case(condition: Expr, then: Expr, otherwise: Expr) -> Expr {
    match when(vec![(condition, then)]) {
        Expr::Case { case_token, end_token, operand, conditions, .. } => {
            Expr::Case { case_token, end_token, operand, conditions, else_result: Some(Box::new(otherwise)) }
        }
        other => other,
    }
}

/// `count(*)` with the filter of the aggregate, and a condition of its own.
fn counted(function: &Function, condition: Option<Expr>) -> Expr {
    let Expr::Function(mut count) = call("count", Vec::new()) else { return number("0") };
    if let FunctionArguments::List(list) = &mut count.args {
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Wildcard)];
    }
    count.filter = filter(function, condition);
    Expr::Function(count)
}

fn filter(function: &Function, condition: Option<Expr>) -> Option<Box<Expr>> {
    match (function.filter.as_deref().cloned(), condition) {
        (Some(own), Some(condition)) => Some(Box::new(binary(nested(own), BinaryOperator::And, condition))),
        (own, condition) => own.or(condition).map(Box::new),
    }
}

/// Whether a row stands before the other by its keys, or beside it.
fn before(keys: &[OrderByExpr], direct: &[Expr], beside: bool) -> Option<Expr> {
    let mut found: Option<Expr> = None;
    for (key, value) in keys.iter().zip(direct).rev() {
        let (column, value) = (nested(key.expr.clone()), nested(value.clone()));
        let falls = key.options.asc == Some(false);
        let ahead = binary(column.clone(), if falls { BinaryOperator::Gt } else { BinaryOperator::Lt }, value.clone());
        let ahead = if key.options.nulls_first.unwrap_or(falls) {
            binary(nested(Expr::IsNull(Box::new(column.clone()))), BinaryOperator::Or, ahead)
        } else {
            ahead
        };
        let same = binary(column, BinaryOperator::Eq, value);
        found = match found {
            Some(rest) => Some(binary(ahead, BinaryOperator::Or, binary(same, BinaryOperator::And, rest))),
            None if beside => Some(binary(ahead, BinaryOperator::Or, same)),
            None => Some(ahead),
        };
    }
    found
}

/// As many as there are values before it, one for all NULLs.
fn dense(function: &Function, key: &OrderByExpr, before: Expr) -> Option<Expr> {
    let Expr::Function(mut values) = call("count", vec![key.expr.clone()]) else { return None };
    if let FunctionArguments::List(list) = &mut values.args {
        list.duplicate_treatment = Some(DuplicateTreatment::Distinct);
    }
    values.filter = filter(function, Some(before));
    let rank = binary(number("1"), BinaryOperator::Plus, Expr::Function(values));
    if !key.options.nulls_first.unwrap_or(key.options.asc == Some(false)) {
        return Some(rank);
    }
    let nulls = counted(function, Some(nested(Expr::IsNull(Box::new(nested(key.expr.clone()))))));
    let one = case(binary(nulls, BinaryOperator::Gt, number("0")), number("1"), number("0"));
    Some(binary(rank, BinaryOperator::Plus, one))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::engine::sql::dialect::PgDialect;

    fn of(sql: &str) -> Option<String> {
        let Expr::Function(function) = Parser::new(&PgDialect).try_with_sql(sql).unwrap().parse_expr().unwrap() else { panic!("{sql}") };
        rewritten(&function).map(|expr| expr.to_string())
    }

    #[test]
    fn rows_before_it_are_counted() {
        assert_eq!(of("rank(3) within group (order by x)").unwrap(), "((1 + count(*) FILTER (WHERE ((x) < (3)))))");
        let two = of("rank(3, 4) within group (order by x desc, y) filter (where z)").unwrap();
        let wanted = "((1 + count(*) FILTER (WHERE ((z) AND ((((x) IS NULL) OR ((x) > (3))) OR (((x) = (3)) AND ((y) < (4))))))))";
        assert_eq!(two, wanted);
        assert_eq!(of("dense_rank(3) within group (order by x)").unwrap(), "((1 + count(DISTINCT x) FILTER (WHERE ((x) < (3)))))");
        for other in [
            "rank() over ()",
            "rank(null) within group (order by x)",
            "rank(1, 2) within group (order by x)",
            "mode() within group (order by x)",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
