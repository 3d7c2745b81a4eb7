//! Aggregates, windows, numbers of columns and unnamed subqueries where PostgreSQL does not have them, each with its place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArgumentClause, FunctionArguments, GroupByExpr, JoinConstraint, JoinOperator, LimitClause, OrderByKind, Query,
    Select, SelectItem, SetExpr, Spanned, Statement, TableFactor, Value, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::catalog;
use crate::error::{ClientMessage, SqlState};

use super::lexer::Piece;
use super::spelling::last;
use super::tables;

type Flow = ControlFlow<Box<ClientMessage>>;

const WINDOWS: [&str; 11] =
    ["row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "first_value", "last_value", "nth_value"];

/// Refuses a statement in which something stands where it may not.
pub(super) fn check(statement: &Statement, piece: &Piece, tokens: &[TokenWithSpan]) -> Result<(), ClientMessage> {
    match statement.visit(&mut Misplaced { piece, tokens }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(*refusal),
    }
}

struct Misplaced<'a> {
    piece: &'a Piece,
    tokens: &'a [TokenWithSpan],
}

/// What a call is of many rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Aggregate,
    Window,
}

fn call_of(function: &Function) -> Option<Call> {
    if function.over.is_some() {
        return Some(Call::Window);
    }
    let name = last(&function.name);
    let aggregate = catalog::is_postgres_aggregate(&name) && (!catalog::is_hypothetical(&name) || !function.within_group.is_empty());
    aggregate.then_some(Call::Aggregate)
}

/// The first call of many rows in an expression, and where it stands; those of subqueries are their own.
fn first_call(node: &impl Visit, wanted: Option<Call>) -> Option<(Call, Location)> {
    struct Finder {
        depth: usize,
        wanted: Option<Call>,
    }
    impl Visitor for Finder {
        type Break = (Call, Location);

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
            self.depth = self.depth.saturating_sub(1);
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
            match expr {
                Expr::Function(function) if self.depth == 0 => match call_of(function) {
                    Some(call) if self.wanted.is_none_or(|wanted| wanted == call) => ControlFlow::Break((call, function.name.span().start)),
                    _ => ControlFlow::Continue(()),
                },
                _ => ControlFlow::Continue(()),
            }
        }
    }
    match node.visit(&mut Finder { depth: 0, wanted }) {
        ControlFlow::Break(found) => Some(found),
        ControlFlow::Continue(()) => None,
    }
}

/// Where the first aggregate of an expression stands, if there is one.
pub(super) fn first_aggregate(node: &impl Visit) -> Option<Location> {
    first_call(node, Some(Call::Aggregate)).map(|(_, place)| place)
}

/// Whether it is the call of an aggregate.
pub(super) fn is_aggregate(function: &Function) -> bool {
    call_of(function) == Some(Call::Aggregate)
}

/// How many columns a query has, if it says so, and where the first of them stands.
fn width(body: &SetExpr) -> Option<(usize, Location)> {
    match body {
        SetExpr::Select(select) => {
            let named = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
            let first = select.projection.first().filter(|_| select.projection.iter().all(named))?;
            Some((select.projection.len(), first.span().start))
        }
        SetExpr::Query(query) => width(&query.body),
        SetExpr::SetOperation { left, .. } => width(left),
        SetExpr::Values(values) => {
            let row = values.rows.first()?;
            Some((row.content.len(), row.content.first()?.span().start))
        }
        _ => None,
    }
}

impl Misplaced<'_> {
    fn refuse(&self, sqlstate: SqlState, text: &str, place: Location) -> Flow {
        let mut message = ClientMessage::new(sqlstate, text);
        message.position = if place.line > 0 { self.piece.position(place) } else { None };
        ControlFlow::Break(Box::new(message))
    }

    /// A clause that has neither aggregates nor windows.
    fn plain(&self, node: &impl Visit, clause: &str) -> Flow {
        match first_call(node, None) {
            Some((Call::Aggregate, place)) => {
                self.refuse(SqlState::GROUPING_ERROR, &format!("aggregate functions are not allowed in {clause}"), place)
            }
            Some((Call::Window, place)) => self.windowless(clause, place),
            None => ControlFlow::Continue(()),
        }
    }

    fn windowless(&self, clause: &str, place: Location) -> Flow {
        self.refuse(SqlState::WINDOWING_ERROR, &format!("window functions are not allowed in {clause}"), place)
    }

    /// A form that makes no several rows of one.
    fn of_one_row(&self, node: &impl Visit, form: &str) -> Flow {
        let Some(place) = tables::first_series(node) else { return ControlFlow::Continue(()) };
        let mut message = ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, format!("set-returning functions are not allowed in {form}"))
            .with_hint("You might be able to move the set-returning function into a LATERAL FROM item.");
        message.position = self.piece.position(place);
        ControlFlow::Break(Box::new(message))
    }

    fn called(&self, function: &Function) -> Flow {
        if let FunctionArguments::List(list) = &function.args
            && !function.within_group.is_empty()
            && list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)))
        {
            let text = "cannot use multiple ORDER BY clauses with WITHIN GROUP";
            return self.refuse(SqlState::SYNTAX_ERROR, text, function.name.span().start);
        }
        let own = call_of(function);
        let inner = match own {
            Some(Call::Aggregate) => first_call(&function.args, None),
            Some(Call::Window) => first_call(&function.args, Some(Call::Window)),
            None => None,
        };
        match (own, inner) {
            (Some(Call::Aggregate), Some((Call::Aggregate, place))) => {
                self.refuse(SqlState::GROUPING_ERROR, "aggregate function calls cannot be nested", place)
            }
            (Some(Call::Aggregate), Some((Call::Window, place))) => {
                self.refuse(SqlState::GROUPING_ERROR, "aggregate function calls cannot contain window function calls", place)
            }
            (Some(Call::Window), Some((_, place))) => {
                self.refuse(SqlState::WINDOWING_ERROR, "window function calls cannot be nested", place)
            }
            _ => {
                let name = last(&function.name);
                if own.is_none() && function.within_group.is_empty() && WINDOWS.contains(&name.as_str()) {
                    let text = format!("window function {name} requires an OVER clause");
                    return self.refuse(SqlState::WRONG_OBJECT_TYPE, &text, function.name.span().start);
                }
                match &function.filter {
                    Some(filter) => self.plain(filter.as_ref(), "FILTER"),
                    None => ControlFlow::Continue(()),
                }
            }
        }
    }

    /// A key that is a constant: the number of a column.
    fn numbered(&self, key: &Expr, columns: Option<usize>, clause: &str) -> Flow {
        let Expr::Value(value) = key else { return ControlFlow::Continue(()) };
        match &value.value {
            Value::Number(digits, _) => match (digits.parse::<usize>(), columns) {
                (Ok(place), Some(columns)) if place == 0 || place > columns => {
                    let text = format!("{clause} position {place} is not in select list");
                    self.refuse(SqlState::INVALID_COLUMN_REFERENCE, &text, value.span.start)
                }
                (Err(_), _) if digits.contains(['.', 'e', 'E']) => self.no_number(clause, value.span.start),
                _ => ControlFlow::Continue(()),
            },
            Value::SingleQuotedString(_) => self.no_number(clause, value.span.start),
            _ => ControlFlow::Continue(()),
        }
    }

    fn no_number(&self, clause: &str, place: Location) -> Flow {
        self.refuse(SqlState::SYNTAX_ERROR, &format!("non-integer constant in {clause}"), place)
    }

    fn bounded(&self, bound: Option<&Expr>, clause: &str) -> Flow {
        match bound {
            Some(Expr::Identifier(name)) => self.refuse(
                SqlState::INVALID_COLUMN_REFERENCE,
                &format!("argument of {clause} must not contain variables"),
                name.span.start,
            ),
            _ => ControlFlow::Continue(()),
        }
    }

    fn alike(&self, body: &SetExpr) -> Flow {
        let SetExpr::SetOperation { left, right, op, .. } = body else { return ControlFlow::Continue(()) };
        self.alike(left)?;
        self.alike(right)?;
        match (width(left), width(right)) {
            (Some((one, _)), Some((other, place))) if one != other => {
                let text = format!("each {} query must have the same number of columns", op.to_string().to_uppercase());
                self.refuse(SqlState::SYNTAX_ERROR, &text, place)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// Rows of one VALUES are of one length.
    fn rows(&self, body: &SetExpr) -> Flow {
        let SetExpr::Values(values) = body else { return ControlFlow::Continue(()) };
        let first = values.rows.first().map(|row| row.content.len());
        match values.rows.iter().find(|row| Some(row.content.len()) != first).and_then(|row| row.content.first()) {
            Some(value) => self.refuse(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length", value.span().start),
            None => ControlFlow::Continue(()),
        }
    }

    fn unnamed(&self, subquery: &Query) -> Flow {
        let (what, example) = match subquery.body.as_ref() {
            SetExpr::Values(_) => ("VALUES", "(VALUES ...)"),
            _ => ("subquery", "(SELECT ...)"),
        };
        let start = subquery.span().start;
        let open = self.tokens.iter().rev().find(|token| token.token == Token::LParen && token.span.start < start);
        let mut message = ClientMessage::new(SqlState::SYNTAX_ERROR, format!("{what} in FROM must have an alias"))
            .with_hint(format!("For example, FROM {example} [AS] foo."));
        message.position = open.filter(|_| start.line > 0).and_then(|open| self.piece.position(open.span.start));
        ControlFlow::Break(Box::new(message))
    }
}

impl Visitor for Misplaced<'_> {
    type Break = Box<ClientMessage>;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        self.alike(&query.body)?;
        self.rows(&query.body)?;
        let columns = width(&query.body).map(|(columns, _)| columns);
        if let Some(OrderByKind::Expressions(keys)) = query.order_by.as_ref().map(|order| &order.kind) {
            for key in keys {
                self.numbered(&key.expr, columns, "ORDER BY")?;
            }
        }
        match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                self.bounded(limit.as_ref(), "LIMIT")?;
                self.bounded(offset.as_ref().map(|offset| &offset.value), "OFFSET")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        if let Some(condition) = &select.selection {
            self.plain(condition, "WHERE")?;
        }
        if let Some((_, place)) = select.having.as_ref().and_then(|having| first_call(having, Some(Call::Window))) {
            self.windowless("HAVING", place)?;
        }
        if let GroupByExpr::Expressions(keys, _) = &select.group_by {
            let columns = width(&SetExpr::Select(Box::new(select.clone()))).map(|(columns, _)| columns);
            for key in keys {
                self.plain(key, "GROUP BY")?;
                self.numbered(key, columns, "GROUP BY")?;
            }
        }
        for join in select.from.iter().flat_map(|from| &from.joins) {
            if let Some(condition) = on(&join.join_operator) {
                self.plain(condition, "JOIN conditions")?;
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Flow {
        match factor {
            TableFactor::Derived { subquery, alias: None, .. } => self.unnamed(subquery),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        match expr {
            Expr::Case { .. } => self.of_one_row(expr, "CASE"),
            Expr::Function(function) if last(&function.name) == "coalesce" => self.of_one_row(&function.args, "COALESCE"),
            Expr::Function(function) => self.called(function),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn on(operator: &JoinOperator) -> Option<&Expr> {
    match operator {
        JoinOperator::Join(JoinConstraint::On(condition))
        | JoinOperator::Inner(JoinConstraint::On(condition))
        | JoinOperator::Left(JoinConstraint::On(condition))
        | JoinOperator::LeftOuter(JoinConstraint::On(condition))
        | JoinOperator::Right(JoinConstraint::On(condition))
        | JoinOperator::RightOuter(JoinConstraint::On(condition))
        | JoinOperator::FullOuter(JoinConstraint::On(condition)) => Some(condition),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TextLimits, parse};

    fn told(sql: &str) -> (String, Option<usize>, String) {
        match parse(sql, &TextLimits::default()).unwrap().remove(0).kind {
            super::super::Kind::Refused(message) => (message.sqlstate.as_str().to_owned(), message.position, message.message),
            _ => panic!("not refused: {sql}"),
        }
    }

    #[test]
    fn what_stands_in_the_wrong_place_is_refused_there() {
        for (sql, state, position, text) in [
            ("SELECT a FROM t WHERE sum(a) > 1", "42803", 23, "aggregate functions are not allowed in WHERE"),
            ("SELECT sum(max(a)) FROM t", "42803", 12, "aggregate function calls cannot be nested"),
            ("SELECT a FROM t JOIN u ON count(*) = 1", "42803", 27, "aggregate functions are not allowed in JOIN conditions"),
            ("SELECT count(*) FROM t GROUP BY max(a)", "42803", 33, "aggregate functions are not allowed in GROUP BY"),
            ("SELECT a FROM t WHERE rank() OVER () = 1", "42P20", 23, "window functions are not allowed in WHERE"),
            ("SELECT row_number() FROM t", "42809", 8, "window function row_number requires an OVER clause"),
            ("SELECT sum(rank() OVER ()) OVER () FROM t", "42P20", 12, "window function calls cannot be nested"),
            ("SELECT a FROM t ORDER BY 2", "42P10", 26, "ORDER BY position 2 is not in select list"),
            ("SELECT a FROM t GROUP BY 3", "42P10", 26, "GROUP BY position 3 is not in select list"),
            ("SELECT a FROM t ORDER BY 'a'", "42601", 26, "non-integer constant in ORDER BY"),
            ("SELECT 1, 2 UNION SELECT 1", "42601", 26, "each UNION query must have the same number of columns"),
            ("VALUES (1), (2, 3)", "42601", 14, "VALUES lists must all be the same length"),
            ("SELECT * FROM (SELECT 1)", "42601", 15, "subquery in FROM must have an alias"),
            ("SELECT * FROM (VALUES (1))", "42601", 15, "VALUES in FROM must have an alias"),
            ("SELECT CASE WHEN a THEN generate_series(1, 2) END", "0A000", 25, "set-returning functions are not allowed in CASE"),
            ("SELECT coalesce(1, unnest(a)) FROM t", "0A000", 20, "set-returning functions are not allowed in COALESCE"),
            (
                "SELECT percentile_cont(0.5 ORDER BY a) WITHIN GROUP (ORDER BY a) FROM t",
                "42601",
                8,
                "cannot use multiple ORDER BY clauses with WITHIN GROUP",
            ),
            ("SELECT a FROM t LIMIT a", "42P10", 23, "argument of LIMIT must not contain variables"),
        ] {
            assert_eq!(told(sql), (state.to_owned(), Some(position), text.to_owned()), "{sql}");
        }
    }

    #[test]
    fn what_stands_in_its_place_is_left() {
        for sql in [
            "SELECT a FROM t WHERE a > (SELECT max(b) FROM u)",
            "SELECT CASE WHEN a IN (SELECT generate_series(1, 2)) THEN 1 END FROM t",
            "SELECT sum(count(*)) OVER () FROM t GROUP BY a HAVING count(*) > 1 ORDER BY 1, sum(a)",
            "SELECT (SELECT 1 UNION SELECT 2 LIMIT 1) FROM (SELECT 1) AS s, LATERAL (SELECT 2) u",
            "SELECT * FROM t ORDER BY 7",
            "SELECT rank(2) WITHIN GROUP (ORDER BY a) FROM t",
            "SELECT count(*) FILTER (WHERE a > 1) FROM t GROUP BY 1 + 5, b",
        ] {
            assert!(parse(sql, &TextLimits::default()).unwrap().iter().all(|statement| statement.query().is_some()), "{sql}");
        }
    }
}
