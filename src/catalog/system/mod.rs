//! Statements of clients about the system: PostgreSQL's spellings, in words that the planner knows.
//!
//! [`normalize`] and [`qualify`] change spellings only and hold for every statement. INVARIANT: [`rewrite_system`] is applied only to
//! statements that [`reads_system`] accepts: they read names and descriptions and no row of a data product.

mod answer;
mod array_text;
mod casts;
mod empty;
mod labels;
mod names;
mod reg_names;
mod scope;
mod subqueries;
mod type_planner;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Statement,
};
use datafusion::sql::sqlparser::ast::{Value as SqlValue, ValueWithSpan};

pub(in crate::catalog) use answer::array_elements;
pub use answer::{CatalogAnswer, CatalogQuery};
pub use labels::{client_label, label, numbered};
pub use names::{answers_rows, normalize, qualify, reads_system};
pub use type_planner::PgTypePlanner;

/// Rewrites a statement over system relations so that the planner takes it. The answer stays the same.
pub fn rewrite_system(mut statement: Statement) -> Statement {
    names::normalize(&mut statement);
    names::system_names(&mut statement);
    casts::rewrite(&mut statement);
    empty::rewrite(&mut statement);
    subqueries::rewrite(&mut statement);
    labels::rewrite(&mut statement);
    statement
}

/// Rewrites what stands for a value (EXISTS, ARRAY(…), reg* casts) in a statement of any kind. The answer stays the same.
pub fn rewrite_values(statement: &mut Statement) {
    casts::rewrite_values(statement);
    subqueries::rewrite_values(statement);
}

/// `name(arguments…)`.
fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The last part of a name, folded unless quoted.
fn last_part(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(|part| part.as_ident()).map(folded)
}

/// The part before the last.
fn qualifier(name: &ObjectName) -> Option<String> {
    let position = name.0.len().checked_sub(2)?;
    name.0.get(position).and_then(|part| part.as_ident()).map(folded)
}

/// What an identifier stands for: in lower case, unless it is quoted.
pub(crate) fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The text of a string literal.
fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: SqlValue::SingleQuotedString(text), .. }) => Some(text),
        Expr::Nested(inner) => literal(inner),
        _ => None,
    }
}

fn string(text: &str) -> Expr {
    Expr::Value(SqlValue::SingleQuotedString(text.to_owned()).with_empty_span())
}

fn null() -> Expr {
    Expr::Value(SqlValue::Null.with_empty_span())
}

fn boolean(truth: bool) -> Expr {
    Expr::Value(SqlValue::Boolean(truth).with_empty_span())
}
