//! `FETCH FIRST … WITH TIES`, `TABLESAMPLE`, `EXCEPT ALL`, `INTERSECT ALL` and `VALUES` with subqueries in forms that the planner has.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr, Function, FunctionArgumentList, FunctionArguments, Ident, LimitClause, ObjectName, OrderByExpr,
    OrderByKind, Query, SelectItem, SetExpr, SetOperator, SetQuantifier, TableAlias, TableFactor, TableSampleKind, TableSampleMethod,
    Value, VisitMut, VisitorMut, WindowSpec, WindowType,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::catalog::folded;
use crate::error::{ClientMessage, SqlState};

use super::spelling::{Flow, last, refuse};

fn refused(sqlstate: SqlState, text: &str) -> Flow {
    ControlFlow::Break(Box::new(ClientMessage::new(sqlstate, text)))
}

/// Rows of VALUES that are united one by one.
const UNITED_MAX: usize = 100;

/// `VALUES ((SELECT …)), …`: the planner takes no subquery for a constant, so each row is a SELECT of its own.
pub(super) fn united(query: &mut Query) -> Flow {
    let SetExpr::Values(values) = query.body.as_ref() else { return ControlFlow::Continue(()) };
    let within = |row: &ast::Parens<Vec<Expr>>| row.content.iter().any(super::limits::holds_query);
    let width = values.rows.first().map_or(0, |row| row.content.len());
    if !values.rows.iter().any(within) || values.rows.iter().any(|row| row.content.len() != width) {
        return ControlFlow::Continue(());
    }
    if values.rows.len() > UNITED_MAX {
        return refuse("a subquery in VALUES of so many rows is not supported");
    }
    let mut whole: Option<SetExpr> = None;
    for row in &values.rows {
        let Some(mut select) =
            Parser::new(&PostgreSqlDialect {}).try_with_sql("SELECT 1").ok().and_then(|mut parser| parser.parse_query().ok())
        else {
            return refuse("a subquery in VALUES is not supported");
        };
        if let SetExpr::Select(select) = select.body.as_mut() {
            let item = |(at, value): (usize, &Expr)| SelectItem::ExprWithAlias {
                expr: value.clone(),
                alias: Ident::new(format!("column{}", at + 1)),
            };
            select.projection = row.content.iter().enumerate().map(item).collect();
        }
        whole = Some(match whole {
            None => *select.body,
            Some(left) => SetExpr::SetOperation {
                op: SetOperator::Union,
                set_quantifier: SetQuantifier::All,
                left: Box::new(left),
                right: select.body,
            },
        });
    }
    if let Some(whole) = whole {
        *query.body = whole;
    }
    ControlFlow::Continue(())
}

/// The rows whose rank in the query's order is within the count.
pub(super) fn with_ties(query: &mut Query, count: Expr) -> Flow {
    let keys = match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        Some(OrderByKind::All(_)) => return refuse("FETCH WITH TIES is not supported here"),
        None => return refused(SqlState::SYNTAX_ERROR, "WITH TIES cannot be specified without ORDER BY clause"),
    };
    let offset = match &query.limit_clause {
        None => None,
        Some(LimitClause::LimitOffset { limit: None, offset, limit_by }) if limit_by.is_empty() => offset.clone(),
        Some(_) => return refused(SqlState::SYNTAX_ERROR, "multiple LIMIT clauses not allowed"),
    };
    let SetExpr::Select(select) = query.body.as_mut() else { return refuse("FETCH WITH TIES of a set is not supported") };
    if select.distinct.is_some() || select.qualify.is_some() {
        return refuse("FETCH WITH TIES of distinct rows is not supported");
    }
    let meaning = |key: OrderByExpr| Some(OrderByExpr { expr: meant(key.expr, &select.projection)?, ..key });
    let Some(keys) = keys.into_iter().map(meaning).collect::<Option<Vec<_>>>() else {
        return refuse("FETCH WITH TIES by the number of a column of * is not supported; name the column");
    };
    let nested = |expr: Expr| Box::new(Expr::Nested(Box::new(expr)));
    let most = match offset {
        Some(offset) => Expr::BinaryOp { left: nested(count), op: BinaryOperator::Plus, right: nested(offset.value) },
        None => count,
    };
    select.qualify = Some(Expr::BinaryOp { left: Box::new(numbering("rank", keys)), op: BinaryOperator::LtEq, right: nested(most) });
    ControlFlow::Continue(())
}

/// A sort key that is the number or the name of a column of the result; `None` if it is a number that names no column written here.
pub(super) fn meant(key: Expr, projection: &[SelectItem]) -> Option<Expr> {
    let expr = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    };
    let named = |item: &&SelectItem, name: &Ident| matches!(item, SelectItem::ExprWithAlias { alias, .. } if folded(alias) == folded(name));
    match &key {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => {
                let place = digits.parse::<usize>().ok()?.checked_sub(1)?;
                let written = projection.get(..=place)?;
                if written.iter().all(|item| expr(item).is_some()) { written.last().and_then(expr) } else { None }
            }
            _ => Some(key),
        },
        Expr::Identifier(name) => Some(projection.iter().find(|item| named(item, name)).and_then(expr).unwrap_or(key)),
        _ => Some(key),
    }
}

/// `rank() OVER (ORDER BY keys)`, or another function that numbers rows.
pub(super) fn numbering(function: &str, keys: Vec<OrderByExpr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(function)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args: Vec::new(), clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: Some(WindowType::WindowSpec(WindowSpec { window_name: None, partition_by: Vec::new(), order_by: keys, window_frame: None })),
        within_group: Vec::new(),
    })
}

fn parsed(text: &str) -> Option<Box<Query>> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_query().ok()
}

/// A table of which each row is taken with a probability.
pub(super) fn sampled(factor: &mut TableFactor) -> Flow {
    let TableFactor::Table { sample, .. } = factor else { return ControlFlow::Continue(()) };
    let Some(TableSampleKind::BeforeTableAlias(taken) | TableSampleKind::AfterTableAlias(taken)) = sample.take() else {
        return ControlFlow::Continue(());
    };
    if taken.seed.is_some() {
        return refuse("TABLESAMPLE … REPEATABLE is not supported");
    }
    let known = matches!(taken.name, Some(TableSampleMethod::Bernoulli | TableSampleMethod::System));
    let percentage = taken.quantity.as_ref().filter(|quantity| quantity.unit.is_none()).map(|quantity| quantity.value.to_string());
    let given = percentage.as_ref().filter(|text| text.starts_with('$') && known && taken.bucket.is_none());
    if let Some(parameter) = given {
        return thinned(factor, &format!("meshgate_percentage(CAST({parameter} AS REAL))"));
    }
    let Some(percentage) = percentage.and_then(|text| text.parse::<f64>().ok()).filter(|_| known && taken.bucket.is_none()) else {
        return refuse("TABLESAMPLE is supported with BERNOULLI or SYSTEM and a constant percentage only");
    };
    if !(0.0..=100.0).contains(&percentage) {
        return refused(SqlState::INVALID_TABLESAMPLE_ARGUMENT, "sample percentage must be between 0 and 100");
    }
    thinned(factor, &format!("{percentage:.12}"))
}

/// The table without the rows that a sample of so many percent leaves out.
fn thinned(factor: &mut TableFactor, percentage: &str) -> Flow {
    let TableFactor::Table { name, alias, .. } = factor else { return ControlFlow::Continue(()) };
    let own = Ident::with_quote('"', last(name));
    let alias = alias.clone().unwrap_or(TableAlias { explicit: true, name: own, columns: Vec::new(), at: None });
    let Some(mut query) = parsed(&format!("SELECT * FROM f WHERE random() * 100 < {percentage}")) else {
        return refuse("TABLESAMPLE is not supported");
    };
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(from) = select.from.first_mut()
    {
        from.relation = factor.clone();
        if let TableFactor::Table { alias, .. } = &mut from.relation {
            *alias = None;
        }
    }
    *factor = TableFactor::Derived { lateral: false, subquery: query, alias: Some(alias), sample: None };
    ControlFlow::Continue(())
}

/// Sets that keep duplicates: rows are numbered among their equals, so that each stands for itself.
pub(super) fn numbered(body: &mut SetExpr) -> Flow {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else { return ControlFlow::Continue(()) };
    numbered(left)?;
    numbered(right)?;
    if *set_quantifier != SetQuantifier::All || *op == SetOperator::Union {
        return ControlFlow::Continue(());
    }
    let Some(names) = names(left) else { return refuse("EXCEPT ALL and INTERSECT ALL of all columns are not supported; name them") };
    let columns: Vec<String> = (0..names.len()).map(|at| format!("meshgate_column{at}")).collect();
    let columns = columns.join(", ");
    let shown = names.iter().enumerate().map(|(at, name)| format!("meshgate_column{at} AS \"{}\"", name.replace('"', "\"\"")));
    let side =
        |alias: &str| format!("SELECT *, row_number() OVER (PARTITION BY {columns}) AS meshgate_row FROM (SELECT 1) AS {alias}({columns})");
    let text = format!(
        "SELECT {} FROM ({} {op} {}) AS meshgate_sides",
        shown.collect::<Vec<_>>().join(", "),
        side("meshgate_left"),
        side("meshgate_right")
    );
    let Some(mut query) = parsed(&text) else { return refuse("this set operation is not supported") };
    let mut sides = Sides { left: left.as_ref().clone(), right: right.as_ref().clone() };
    let _ = query.visit(&mut sides);
    *body = SetExpr::Query(query);
    ControlFlow::Continue(())
}

struct Sides {
    left: SetExpr,
    right: SetExpr,
}

impl VisitorMut for Sides {
    type Break = ();

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { subquery, alias: Some(alias), .. } = factor {
            match alias.name.value.as_str() {
                "meshgate_left" => *subquery.body = self.left.clone(),
                "meshgate_right" => *subquery.body = self.right.clone(),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

/// The names of a set's columns; `None` if they are not written in it.
pub(super) fn names(body: &SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => select
            .projection
            .iter()
            .map(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
                SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(folded(name)),
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
                _ => None,
            })
            .collect(),
        SetExpr::Values(values) => Some((1..=values.rows.first()?.content.len()).map(|at| format!("column{at}")).collect()),
        SetExpr::Query(query) => names(&query.body),
        SetExpr::SetOperation { left, .. } => names(left),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(sql: &str) -> Query {
        *parsed(sql).unwrap()
    }

    #[test]
    fn ties_are_rows_of_the_same_rank() {
        let mut first = query("SELECT x AS k, y FROM t ORDER BY k DESC, 2 OFFSET 1");
        let two = Expr::Value(Value::Number("2".into(), false).with_empty_span());
        assert!(with_ties(&mut first, two.clone()).is_continue());
        assert!(first.to_string().contains("QUALIFY rank() OVER (ORDER BY x DESC, y) <= ((2) + (1))"), "{first}");
        assert!(with_ties(&mut query("SELECT 1"), two).is_break());
    }

    #[test]
    fn a_sample_takes_rows_by_chance() {
        let mut sample = query("SELECT * FROM s.t TABLESAMPLE SYSTEM (50)");
        let SetExpr::Select(select) = sample.body.as_mut() else { panic!("no select") };
        assert!(sampled(&mut select.from[0].relation).is_continue());
        assert_eq!(sample.to_string(), "SELECT * FROM (SELECT * FROM s.t WHERE random() * 100 < 50.000000000000) AS \"t\"");
        for wrong in ["SYSTEM (101)", "SYSTEM (1) REPEATABLE (1)"] {
            let mut sample = query(&format!("SELECT * FROM t TABLESAMPLE {wrong}"));
            let SetExpr::Select(select) = sample.body.as_mut() else { panic!("no select") };
            assert!(sampled(&mut select.from[0].relation).is_break(), "{wrong}");
        }
    }

    #[test]
    fn sets_with_duplicates_number_them() {
        let mut set = query("SELECT x FROM a EXCEPT ALL SELECT y FROM b");
        assert!(numbered(&mut set.body).is_continue());
        let shown = set.to_string();
        assert!(shown.contains("FROM (SELECT x FROM a) AS meshgate_left") && shown.contains("EXCEPT SELECT"), "{shown}");
        assert!(numbered(&mut query("SELECT * FROM a EXCEPT ALL SELECT y FROM b").body).is_break());
    }
}
