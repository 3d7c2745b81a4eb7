//! Forms that the parser reads and PostgreSQL refuses, whatever the types: joins without a condition, queries of
//! WITH by a name that is taken, rows of an array that differ in length.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, JoinConstraint, JoinOperator,
    Query, Select, SetExpr, Spanned, Statement, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::catalog::folded;
use crate::error::{ClientMessage, SqlState};

use super::grammar::syntax_error;
use super::lexer::Piece;

type Flow = ControlFlow<Box<ClientMessage>>;

/// Refuses a statement of such a form.
pub(super) fn check(statement: &Statement, piece: &Piece, tokens: &[TokenWithSpan]) -> Result<(), ClientMessage> {
    match statement.visit(&mut Malformed { piece, tokens, arrays: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(*refusal),
    }
}

struct Malformed<'a> {
    piece: &'a Piece,
    tokens: &'a [TokenWithSpan],
    /// How many arrays are around an expression.
    arrays: usize,
}

impl Malformed<'_> {
    fn refuse(&self, sqlstate: SqlState, text: impl Into<String>, place: Option<Location>) -> Flow {
        let mut message = ClientMessage::new(sqlstate, text);
        message.position = place.filter(|place| place.line > 0).and_then(|place| self.piece.position(place));
        ControlFlow::Break(Box::new(message))
    }

    fn behind(&self, place: Location) -> impl Iterator<Item = &TokenWithSpan> {
        self.tokens.iter().filter(move |token| token.span.start >= place)
    }

    /// A join that is neither CROSS nor NATURAL has a condition.
    fn conditional(&self, operator: &JoinOperator, relation: &TableFactor) -> Flow {
        let bare = matches!(
            operator,
            JoinOperator::Join(JoinConstraint::None)
                | JoinOperator::Inner(JoinConstraint::None)
                | JoinOperator::Left(JoinConstraint::None)
                | JoinOperator::LeftOuter(JoinConstraint::None)
                | JoinOperator::Right(JoinConstraint::None)
                | JoinOperator::RightOuter(JoinConstraint::None)
                | JoinOperator::FullOuter(JoinConstraint::None)
        );
        if !bare {
            return ControlFlow::Continue(());
        }
        let next =
            self.behind(relation.span().end).find(|token| token.token != Token::RParen || matches!(relation, TableFactor::Table { .. }));
        ControlFlow::Break(Box::new(syntax_error(self.piece, next)))
    }

    fn call(&self, call: &Function) -> Flow {
        let FunctionArguments::List(list) = &call.args else { return ControlFlow::Continue(()) };
        let star = matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        if star && matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct)) {
            let star = self.behind(call.name.span().end).find(|token| token.token == Token::Mul);
            return ControlFlow::Break(Box::new(syntax_error(self.piece, star)));
        }
        ControlFlow::Continue(())
    }

    /// An array begins with its word.
    fn bare(&self, array: &Array) -> Flow {
        let before =
            |first: &Expr| self.tokens.iter().rev().find(|token| token.token == Token::LBracket && token.span.start < first.span().start);
        ControlFlow::Break(Box::new(syntax_error(self.piece, array.elem.first().and_then(before))))
    }

    /// The rows of an array that is written with its rows have one length.
    fn even(&self, array: &Array) -> Flow {
        let length = |element: &Expr| match element {
            Expr::Array(inner) => Some(inner.elem.len()),
            _ => None,
        };
        let Some(first) = array.elem.first().and_then(length) else { return ControlFlow::Continue(()) };
        if array.elem.iter().filter_map(length).any(|other| other != first) {
            let text = "multidimensional arrays must have array expressions with matching dimensions";
            return self.refuse(SqlState::ARRAY_SUBSCRIPT_ERROR, text, None);
        }
        ControlFlow::Continue(())
    }
}

/// How many columns a SELECT has, if it says so.
fn width(body: &SetExpr) -> Option<usize> {
    use datafusion::sql::sqlparser::ast::SelectItem;
    match body {
        SetExpr::Select(select) => {
            let named = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
            select.projection.iter().all(named).then_some(select.projection.len())
        }
        SetExpr::Query(query) => width(&query.body),
        SetExpr::SetOperation { left, .. } => width(left),
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        _ => None,
    }
}

impl Visitor for Malformed<'_> {
    type Break = Box<ClientMessage>;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        let Some(with) = &query.with else { return ControlFlow::Continue(()) };
        let mut names: Vec<String> = Vec::new();
        for cte in &with.cte_tables {
            let (name, place) = (folded(&cte.alias.name), cte.alias.name.span.start);
            if names.contains(&name) {
                let text = format!("WITH query name \"{name}\" specified more than once");
                return self.refuse(SqlState::DUPLICATE_ALIAS, text, Some(place));
            }
            if let Some(columns) = width(&cte.query.body).filter(|columns| *columns < cte.alias.columns.len()) {
                let given = cte.alias.columns.len();
                let text = format!("WITH query \"{name}\" has {columns} columns available but {given} columns specified");
                return self.refuse(SqlState::INVALID_COLUMN_REFERENCE, text, Some(place));
            }
            names.push(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        for join in select.from.iter().flat_map(|from| &from.joins) {
            self.conditional(&join.join_operator, &join.relation)?;
        }
        if let GroupByExpr::All(_) = &select.group_by {
            let all =
                self.tokens.iter().rposition(|token| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case("all")));
            return ControlFlow::Break(Box::new(syntax_error(self.piece, all.and_then(|all| self.tokens.get(all + 1)))));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        match expr {
            Expr::Function(call) => self.call(call),
            Expr::Array(array) => {
                if !array.named && self.arrays == 0 {
                    return self.bare(array);
                }
                self.arrays += 1;
                self.even(array)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> Flow {
        if matches!(expr, Expr::Array(_)) {
            self.arrays = self.arrays.saturating_sub(1);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, TextLimits, parse};

    fn told(sql: &str) -> (String, Option<usize>, String) {
        let message = match parse(sql, &TextLimits::default()) {
            Err(message) => message,
            Ok(mut statements) => match statements.remove(0).kind {
                Kind::Refused(message) => message,
                _ => panic!("not refused: {sql}"),
            },
        };
        (message.sqlstate.as_str().to_owned(), message.position, message.message)
    }

    #[test]
    fn what_postgresql_does_not_read_is_refused() {
        for (sql, state, position, text) in [
            ("SELECT 1 FROM a JOIN b", "42601", Some(23), "syntax error at end of input"),
            ("SELECT 1 FROM a LEFT JOIN b c WHERE true", "42601", Some(31), "syntax error at or near \"WHERE\""),
            ("SELECT count(DISTINCT *) FROM a", "42601", Some(23), "syntax error at or near \"*\""),
            ("SELECT [1, 2]", "42601", Some(8), "syntax error at or near \"[\""),
            ("SELECT count(*) FROM a GROUP BY ALL", "42601", Some(36), "syntax error at end of input"),
            ("SELECT array[[1, 2], [3]]", "2202E", None, "multidimensional arrays must have array expressions with matching dimensions"),
            ("WITH x AS (SELECT 1), x AS (SELECT 2) SELECT 1", "42712", Some(23), "WITH query name \"x\" specified more than once"),
            ("WITH x(a, b) AS (SELECT 1) SELECT 1", "42P10", Some(6), "WITH query \"x\" has 1 columns available but 2 columns specified"),
        ] {
            assert_eq!(told(sql), (state.to_owned(), position, text.to_owned()), "{sql}");
        }
    }

    #[test]
    fn what_it_reads_is_left() {
        for sql in [
            "SELECT 1 FROM a JOIN b ON true CROSS JOIN c NATURAL JOIN d JOIN e USING (x), LATERAL (SELECT 1) f",
            "SELECT sum(1) OVER w, rank() OVER (w ORDER BY a), array[[1, 2], [3, 4]] FROM a WINDOW w AS (PARTITION BY b)",
            "SELECT sum(1) OVER (ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING), ntile(4) OVER (), sum(1) OVER (ROWS UNBOUNDED PRECEDING)",
        ] {
            assert!(parse(sql, &TextLimits::default()).unwrap().iter().all(|statement| statement.query().is_some()), "{sql}");
        }
    }
}
