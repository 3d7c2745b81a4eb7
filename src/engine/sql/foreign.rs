//! Functions and clauses that the engine has and PostgreSQL has not: they are not there for its clients.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, Select, Spanned, Statement,
    Value, Visit, Visitor,
};

use crate::catalog;
use crate::error::{ClientMessage, SqlState};

use super::lexer::Piece;
use super::spelling::last;

/// What is written as a call, and is none of `pg_proc`.
const WORDS: &[&str] = &[
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "grouping",
    "array",
    "row",
    super::arguments::VARIADIC,
    "xmlelement",
    "xmlforest",
    "xmlconcat",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "current_user",
    "current_role",
    "session_user",
    "current_catalog",
    "current_schema",
    "user",
];

/// Refuses a statement that uses what PostgreSQL does not have.
pub(super) fn check(statement: &Statement, piece: &Piece) -> Result<(), ClientMessage> {
    match statement.visit(&mut Foreign { piece }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(*refusal),
    }
}

struct Foreign<'a> {
    piece: &'a Piece,
}

impl Foreign<'_> {
    fn refuse(&self, sqlstate: SqlState, text: &str, name: Option<&ObjectName>) -> ControlFlow<Box<ClientMessage>> {
        let mut message = ClientMessage::new(sqlstate, text);
        message.position = name.and_then(|name| self.piece.position(name.span().start));
        ControlFlow::Break(Box::new(message))
    }

    /// There are no sequences.
    fn sequence(&self, name: &str, function: &Function) -> Option<ClientMessage> {
        let FunctionArguments::List(list) = &function.args else { return None };
        match (name, list.args.first()) {
            ("lastval", None) => {
                Some(ClientMessage::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "lastval is not yet defined in this session"))
            }
            ("currval" | "nextval" | "setval", Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))))) => {
                let Value::SingleQuotedString(sequence) = &value.value else { return None };
                let mut message = ClientMessage::new(SqlState::UNDEFINED_TABLE, format!("relation \"{sequence}\" does not exist"));
                message.position = self.piece.position(value.span.start);
                Some(message)
            }
            _ => None,
        }
    }

    fn called(&self, function: &Function) -> ControlFlow<Box<ClientMessage>> {
        let name = last(&function.name);
        let at = Some(&function.name);
        if !WORDS.contains(&name.as_str()) && !catalog::is_postgres_function(&name) {
            let text = format!("function {name} does not exist");
            let mut message = ClientMessage::new(SqlState::UNDEFINED_FUNCTION, text)
                .with_hint("No function matches the given name and argument types. You might need to add explicit type casts.");
            message.position = self.piece.position(function.name.span().start);
            return ControlFlow::Break(Box::new(message));
        }
        if let Some(fault) = self.sequence(&name, function) {
            return ControlFlow::Break(Box::new(fault));
        }
        if function.over.is_some() && !function.within_group.is_empty() {
            let text = format!("OVER is not supported for ordered-set aggregate {name}");
            return self.refuse(SqlState::FEATURE_NOT_SUPPORTED, &text, at);
        }
        if function.null_treatment.is_some() {
            return self.refuse(SqlState::SYNTAX_ERROR, "syntax error at or near \"nulls\"", None);
        }
        if let FunctionArguments::List(list) = &function.args {
            if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) && function.over.is_some() {
                return self.refuse(SqlState::FEATURE_NOT_SUPPORTED, "DISTINCT is not implemented for window functions", at);
            }
            if name == "count" && list.args.is_empty() {
                let text = "count(*) must be used to call a parameterless aggregate function";
                return self.refuse(SqlState::WRONG_OBJECT_TYPE, text, at);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Foreign<'_> {
    type Break = Box<ClientMessage>;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Function(function) => self.called(function),
            Expr::Cast { kind: CastKind::TryCast | CastKind::SafeCast, .. } => {
                self.refuse(SqlState::SYNTAX_ERROR, "syntax error at or near \"as\"", None)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        let foreign = [
            ("qualify", select.qualify.is_some()),
            ("top", select.top.is_some()),
            ("exclude", select.exclude.is_some()),
            ("lateral", !select.lateral_views.is_empty()),
            ("prewhere", select.prewhere.is_some()),
            ("connect", !select.connect_by.is_empty()),
            ("cluster", !select.cluster_by.is_empty()),
            ("distribute", !select.distribute_by.is_empty()),
            ("sort", !select.sort_by.is_empty()),
        ];
        match foreign.iter().find(|(_, used)| *used) {
            Some((word, _)) => self.refuse(SqlState::SYNTAX_ERROR, &format!("syntax error at or near \"{word}\""), None),
            None => ControlFlow::Continue(()),
        }
    }
}
