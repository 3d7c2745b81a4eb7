//! Parses a query and refuses, by class, the forms of SELECT that write or lock.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::parser::Statement as Ast;
use datafusion::sql::sqlparser::ast::{self, SetExpr, Visit, Visitor};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, TokenWithSpan};

use crate::catalog::system;
use crate::error::{ClientMessage, SqlState};

use super::dialect::PgDialect;
use super::grammar::syntax_error;
use super::lexer::{self, Piece};
use super::modifiers::Modifiers;
use super::{
    Query, TextLimits, ctes, foreign, frames, grouping_sets, labels, limits, malformed, misplaced, once, recursion, sizes, spelling,
    tokens as words, widths,
};

/// The query that these tokens spell. The inner error is a refusal: well-formed, and not done here.
pub(super) fn parse(
    piece: &Piece,
    tokens: &[TokenWithSpan],
    text: &str,
    limits: &TextLimits,
) -> Result<Result<Query, ClientMessage>, ClientMessage> {
    words::check(piece, tokens)?;
    if let Some(refusal) = words::refused(tokens) {
        return Ok(Err(refusal));
    }
    let mut parser =
        Parser::new(&PgDialect).with_recursion_limit(limits.depth_max * 4).with_tokens_with_locations(words::respelled(tokens));
    let query = parser.parse_query().map_err(|error| parser_error(piece, tokens, &error))?;
    let next = parser.peek_token();
    if next.token != datafusion::sql::sqlparser::tokenizer::Token::EOF {
        return Err(syntax_error(piece, Some(&next)));
    }
    if let ControlFlow::Break(refusal) = query.visit(&mut Refusals) {
        return Ok(Err(*refusal));
    }
    if let ControlFlow::Break(fault) = query.visit(&mut widths::Widths { piece, tokens }) {
        return Err(*fault);
    }
    let mut statement = ast::Statement::Query(query);
    sizes::check(&statement)?;
    ctes::separate(&mut statement);
    let modifiers = Modifiers::of(&statement);
    let mut catalog = None;
    if system::reads_system(&statement) {
        catalog = Some(Arc::new(statement.clone()));
        statement = system::rewrite_system(statement);
    } else {
        if let ControlFlow::Break(refusal) = grouping_sets::flatten(&mut statement) {
            return Ok(Err(*refusal));
        }
        if let Err(refusal) = foreign::check(&statement, piece) {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = frames::check(&statement, piece, tokens) {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = malformed::check(&statement, piece, tokens) {
            return Ok(Err(refusal));
        }
        let checks = [misplaced::check(&statement, piece, tokens), recursion::check(&statement, piece), once::check(&statement)];
        if let Some(refusal) = checks.into_iter().find_map(Result::err) {
            return Ok(Err(refusal));
        }
        system::normalize(&mut statement);
        labels::name_columns(&mut statement);
        super::order_names::of_input(&mut statement);
        if let ControlFlow::Break(refusal) = spelling::rewrite(&mut statement) {
            return Ok(Err(*refusal));
        }
        system::rewrite_values(&mut statement);
    }
    let offset = tokens.first().and_then(|token| piece.position(token.span.start)).map(|position| position.saturating_sub(1));
    Ok(Ok(Query { ast: Arc::new(Ast::Statement(Box::new(statement))), catalog, modifiers, text: text.to_owned(), offset }))
}

/// The query that a text of our own making spells; positions in errors would not be the user's and are dropped.
pub(in crate::engine) fn parse_text(text: &str, limits: &TextLimits) -> Result<Result<Query, ClientMessage>, ClientMessage> {
    let pieces = lexer::split(text, limits)?;
    let [piece] = pieces.as_slice() else {
        return Err(ClientMessage::new(SqlState::SYNTAX_ERROR, "syntax error"));
    };
    let unplaced = |mut message: ClientMessage| {
        message.position = None;
        message
    };
    let parsed = parse(piece, &piece.tokens, text, limits).map_err(unplaced)?;
    Ok(parsed.map(|query| Query { offset: None, ..query }))
}

fn parser_error(piece: &Piece, tokens: &[TokenWithSpan], error: &ParserError) -> ClientMessage {
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return ClientMessage::new(SqlState::STATEMENT_TOO_COMPLEX, "statement is too complex")
                .with_detail("It nests too deeply.")
                .with_hint("Split the statement.");
        }
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
    };
    let token = location(text).and_then(|location| tokens.iter().find(|token| token.span.start == location));
    syntax_error(piece, token)
}

/// The parser reports a place only inside its text: `… at Line: 1, Column: 8`.
fn location(text: &str) -> Option<Location> {
    let (_, rest) = text.rsplit_once(" at Line: ")?;
    let (line, column) = rest.split_once(", Column: ")?;
    Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
}

/// Finds what a read-only gateway refuses inside a query.
struct Refusals;

impl Visitor for Refusals {
    type Break = Box<ClientMessage>;

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Self::Break> {
        if !query.locks.is_empty() {
            return refuse(SqlState::READ_ONLY_SQL_TRANSACTION, "cannot execute SELECT FOR UPDATE in a read-only transaction");
        }
        if !query.pipe_operators.is_empty() || query.format_clause.is_some() || query.settings.is_some() || query.for_clause.is_some() {
            return refuse(SqlState::FEATURE_NOT_SUPPORTED, "this clause is not supported");
        }
        match query.body.as_ref() {
            SetExpr::Insert(_) => refuse(SqlState::READ_ONLY_SQL_TRANSACTION, "cannot execute INSERT in a read-only transaction"),
            SetExpr::Update(_) => refuse(SqlState::READ_ONLY_SQL_TRANSACTION, "cannot execute UPDATE in a read-only transaction"),
            SetExpr::Delete(_) => refuse(SqlState::READ_ONLY_SQL_TRANSACTION, "cannot execute DELETE in a read-only transaction"),
            SetExpr::Merge(_) => refuse(SqlState::READ_ONLY_SQL_TRANSACTION, "cannot execute MERGE in a read-only transaction"),
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { .. } | SetExpr::Values(_) | SetExpr::Table(_) => {
                ControlFlow::Continue(())
            }
        }
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Self::Break> {
        if let ast::Expr::Function(ast::Function { over: Some(ast::WindowType::WindowSpec(window)), .. }) = expr {
            return ordered_by_query(window);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<Self::Break> {
        for window in &select.named_window {
            if let ast::NamedWindowExpr::WindowSpec(window) = &window.1 {
                ordered_by_query(window)?;
            }
        }
        if select.into.is_some() {
            return refuse(SqlState::READ_ONLY_SQL_TRANSACTION, "cannot execute SELECT INTO in a read-only transaction");
        }
        ControlFlow::Continue(())
    }
}

/// The planner takes no subquery for a key of a window.
fn ordered_by_query(window: &ast::WindowSpec) -> ControlFlow<Box<ClientMessage>> {
    if limits::holds_query(&window.order_by) || limits::holds_query(&window.partition_by) {
        return refuse(SqlState::FEATURE_NOT_SUPPORTED, "a subquery among the keys of a window is not supported");
    }
    ControlFlow::Continue(())
}

fn refuse(sqlstate: SqlState, text: &str) -> ControlFlow<Box<ClientMessage>> {
    ControlFlow::Break(Box::new(ClientMessage::new(sqlstate, text)))
}
