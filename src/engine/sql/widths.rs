//! How many columns a subquery has, where it stands for a value or for a row.
//!
//! What cannot be told from the text (a `*`, a TABLE) is left to the planner.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArguments, Query, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Spanned, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use crate::error::{ClientMessage, SqlState};

use super::lexer::Piece;

/// Finds the first subquery of a width that does not fit.
pub(super) struct Widths<'a> {
    pub(super) piece: &'a Piece,
    pub(super) tokens: &'a [TokenWithSpan],
}

impl Visitor for Widths<'_> {
    type Break = Box<ClientMessage>;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Subquery(query) if width(query).is_some_and(|width| width != 1) => {
                let mut message = ClientMessage::new(SqlState::SYNTAX_ERROR, "subquery must return only one column");
                message.position = self.opening(query);
                ControlFlow::Break(Box::new(message))
            }
            Expr::Function(Function { name, args: FunctionArguments::Subquery(query), .. })
                if name.to_string().eq_ignore_ascii_case("array") && width(query).is_some_and(|width| width != 1) =>
            {
                refuse("subquery must return only one column")
            }
            Expr::InSubquery { expr, subquery, .. } => fits(expr, subquery),
            Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => match right.as_ref() {
                Expr::Subquery(query) => fits(left, query),
                _ => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Widths<'_> {
    /// Where the parenthesis before the query stands.
    fn opening(&self, query: &Query) -> Option<usize> {
        let start = query.body.span().start;
        let place = self.tokens.iter().position(|token| token.span.start == start)?;
        let before = self
            .tokens
            .get(..place)?
            .iter()
            .rev()
            .find(|token| !matches!(token.token, Token::Whitespace(Whitespace::Space | Whitespace::Newline | Whitespace::Tab)))?;
        (before.token == Token::LParen).then(|| self.piece.position(before.span.start)).flatten()
    }
}

/// Whether the rows of a subquery have as many columns as the value beside it.
fn fits(value: &Expr, query: &Query) -> ControlFlow<Box<ClientMessage>> {
    let wanted = match value {
        Expr::Nested(inner) => return fits(inner, query),
        Expr::Tuple(values) => values.len(),
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => return ControlFlow::Continue(()),
        _ => 1,
    };
    match width(query) {
        Some(width) if width > wanted => refuse("subquery has too many columns"),
        Some(width) if width < wanted => refuse("subquery has too few columns"),
        _ => ControlFlow::Continue(()),
    }
}

fn width(query: &Query) -> Option<usize> {
    of_body(&query.body)
}

fn of_body(body: &SetExpr) -> Option<usize> {
    match body {
        SetExpr::Select(select) => {
            let one = |item: &SelectItem| match item {
                SelectItem::UnnamedExpr(Expr::CompoundFieldAccess { .. }) => None,
                SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => Some(1),
                SelectItem::Wildcard(_)
                | SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(_) | SelectItemQualifiedWildcardKind::Expr(_),
                    _,
                )
                | SelectItem::ExprWithAliases { .. } => None,
            };
            select.projection.iter().map(one).sum()
        }
        SetExpr::SetOperation { left, .. } => of_body(left),
        SetExpr::Query(query) => width(query),
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        _ => None,
    }
}

fn refuse(text: &str) -> ControlFlow<Box<ClientMessage>> {
    ControlFlow::Break(Box::new(ClientMessage::new(SqlState::SYNTAX_ERROR, text)))
}

#[cfg(test)]
mod tests {
    use crate::engine::sql::{TextLimits, parse};

    fn told(sql: &str) -> Option<(String, Option<usize>)> {
        parse(sql, &TextLimits::default()).err().map(|message| (message.message, message.position))
    }

    #[test]
    fn a_value_has_one_column() {
        let one = "subquery must return only one column";
        assert_eq!(told("SELECT (SELECT FROM t)"), Some((one.to_owned(), Some(8))));
        assert_eq!(told("SELECT 1 + ( SELECT 1, 2)"), Some((one.to_owned(), Some(12))));
        assert_eq!(told("SELECT ARRAY(SELECT 1, 2)").map(|told| told.0), Some(one.to_owned()));
        for kept in ["SELECT (SELECT * FROM t)", "SELECT (SELECT 1)", "SELECT EXISTS (SELECT FROM t)"] {
            assert_eq!(told(kept), None, "{kept}");
        }
    }

    #[test]
    fn rows_within_rows_are_as_wide() {
        let of = |sql: &str| told(sql).map(|told| told.0);
        assert_eq!(of("SELECT 1 IN (SELECT 1, 2)").as_deref(), Some("subquery has too many columns"));
        assert_eq!(of("SELECT 1 IN (SELECT FROM t)").as_deref(), Some("subquery has too few columns"));
        assert_eq!(of("SELECT (1, 2) = ANY (SELECT 1)").as_deref(), Some("subquery has too few columns"));
        assert_eq!(of("SELECT (1, 2) IN (SELECT 1, 2)"), None);
    }
}
