//! Constants in quotes have the type that their place tells: conditions, counts of rows, arguments of functions.
//!
//! PostgreSQL reads such a constant as the text of a value of that type; the engine takes it for a text, and finds no function of it.
//! INVARIANT: it becomes the integer that it spells, or a cast of itself, which fails where PostgreSQL's does. Where the type of a column
//! would have to be known to choose among functions, it stays as it is.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, LimitClause, ObjectName,
    Query, Select, TableFactor, UnaryOperator, Value,
};

use crate::catalog::PgType;

use super::places;
use super::spelling::{cast_to, last, number};

/// LIMIT, OFFSET and FETCH.
pub(super) fn counts(query: &mut Query) {
    if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
        limit.iter_mut().chain(offset.iter_mut().map(|offset| &mut offset.value)).for_each(counted);
    }
    query.fetch.iter_mut().filter_map(|fetch| fetch.quantity.as_mut()).for_each(counted);
}

/// What is no integer is left to the plan, which reads it as one.
fn counted(count: &mut Expr) {
    if let Some(whole) = text(count).and_then(|text| text.trim().parse().ok()).map(integer) {
        *count = whole;
    }
}

/// WHERE and HAVING.
pub(super) fn conditions(select: &mut Select) {
    select.selection.iter_mut().chain(&mut select.having).for_each(truth);
}

/// What an expression takes.
pub(super) fn operands(expr: &mut Expr) {
    match expr {
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => truth(expr),
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            truth(left);
            truth(right);
        }
        Expr::Case { operand: None, conditions, .. } => conditions.iter_mut().for_each(|branch| truth(&mut branch.condition)),
        Expr::Substring { substring_from, substring_for, shorthand: true, .. } => {
            [substring_from, substring_for].into_iter().flatten().for_each(|place| read(place, PgType::INT4));
        }
        Expr::Function(Function { name, args: FunctionArguments::List(list), filter, .. }) => {
            filter.iter_mut().for_each(|condition| truth(condition));
            arguments(name, &mut list.args);
        }
        _ => {}
    }
}

/// What a function in FROM takes.
pub(super) fn series(factor: &mut TableFactor) {
    match factor {
        TableFactor::Table { name, args: Some(list), .. } => arguments(name, &mut list.args),
        TableFactor::Function { name, args, .. } => arguments(name, args),
        _ => {}
    }
}

fn arguments(name: &ObjectName, arguments: &mut [FunctionArg]) {
    let values = arguments.iter_mut().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
        _ => None,
    });
    let Some(mut values) = values.collect::<Option<Vec<&mut Expr>>>() else { return };
    if !values.iter().any(|value| text(value).is_some()) {
        return;
    }
    let name = last(name);
    // `date('…')` is a cast.
    if values.len() == 1 && PgType::named(&name).is_some() {
        return;
    }
    let shared: Vec<&Expr> = values.iter().map(|value| &**value).collect();
    let types = places::taken(&name, &shared, |value| text(value).is_some());
    for (value, pg_type) in values.iter_mut().zip(types) {
        if let Some(pg_type) = pg_type {
            read(value, pg_type);
        }
    }
}

fn truth(condition: &mut Expr) {
    read(condition, PgType::BOOL);
}

/// Puts a value of the type in the place of a constant in quotes.
fn read(constant: &mut Expr, pg_type: PgType) {
    let (Some(text), Some(data_type)) = (text(constant), data_type(pg_type)) else { return };
    let whole = text.trim().parse::<i64>().ok().filter(|number| match pg_type {
        PgType::INT4 => i32::try_from(*number).is_ok(),
        other => other == PgType::INT8,
    });
    *constant = match whole {
        Some(whole) => integer(whole),
        None => cast_to(std::mem::replace(constant, Expr::Value(Value::Null.into())), data_type),
    };
}

/// The types that constants are read as before the plan is made.
fn data_type(pg_type: PgType) -> Option<DataType> {
    Some(match pg_type {
        PgType::BOOL => DataType::Boolean,
        PgType::INT2 => DataType::SmallInt(None),
        PgType::INT4 => DataType::Integer(None),
        PgType::INT8 => DataType::BigInt(None),
        PgType::NUMERIC => DataType::Numeric(ExactNumberInfo::None),
        PgType::FLOAT4 => DataType::Real,
        PgType::FLOAT8 => DataType::DoublePrecision,
        _ => return None,
    })
}

fn integer(value: i64) -> Expr {
    let digits = number(&value.unsigned_abs().to_string());
    if value < 0 { Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(digits) } } else { digits }
}

/// The text of a constant in quotes.
fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => text(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use datafusion::sql::sqlparser::ast::{VisitMut, VisitorMut};
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    struct All;

    impl VisitorMut for All {
        type Break = ();

        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            counts(query);
            ControlFlow::Continue(())
        }

        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            conditions(select);
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            operands(expr);
            ControlFlow::Continue(())
        }
    }

    fn spelled(sql: &str) -> String {
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        let _ = VisitMut::visit(&mut statement, &mut All);
        statement.to_string()
    }

    #[test]
    fn an_argument_is_of_the_type_that_every_function_of_the_name_takes() {
        for (written, meant) in [
            ("left(t, '2')", "left(t, 2)"),
            ("left(t, 'x')", "left(t, CAST('x' AS INTEGER))"),
            ("round(x, '-1')", "round(x, -1)"),
            ("substr(t, '1', '2')", "SUBSTR(t, 1, 2)"),
            ("chr(' 65 ')", "chr(65)"),
            ("pg_sleep('0')", "pg_sleep(CAST('0' AS DOUBLE PRECISION))"),
            ("ntile('4') OVER (ORDER BY x)", "ntile(4) OVER (ORDER BY x)"),
        ] {
            assert_eq!(spelled(&format!("SELECT {written} FROM s")), format!("SELECT {meant} FROM s"));
        }
    }

    #[test]
    fn what_a_column_decides_stays() {
        for written in ["mod(x, '3')", "upper('1')", "concat(x, '1')", "date('2020-01-01')", "to_char(x, '99')", "max('1')"] {
            assert_eq!(spelled(&format!("SELECT {written} FROM s")), format!("SELECT {written} FROM s"));
        }
    }

    #[test]
    fn a_condition_and_a_count_of_rows_are_what_they_spell() {
        assert_eq!(spelled("SELECT x FROM s LIMIT '5' OFFSET '3'"), "SELECT x FROM s LIMIT 5 OFFSET 3");
        assert_eq!(spelled("SELECT x FROM s LIMIT 'x'"), "SELECT x FROM s LIMIT 'x'");
        assert_eq!(spelled("SELECT x FROM s WHERE '1'"), "SELECT x FROM s WHERE CAST('1' AS BOOLEAN)");
        assert_eq!(spelled("SELECT NOT 't' AND b"), "SELECT NOT CAST('t' AS BOOLEAN) AND b");
    }
}
