//! Whole rows as values: `SELECT t FROM t`, `row_to_json(t)`, `count(t)`.
//!
//! Only the planner knows whether a name is a column or a table, and which columns that has. So a name that it does not find becomes the
//! row of the table's columns, and the statement is planned again.

use std::ops::ControlFlow;

use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement as Ast;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, CaseWhen, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, JoinOperator, ObjectName, Query, Select, SelectItem, SetExpr, TableFactor, Value, VisitMut, VisitorMut,
};

use crate::catalog::folded;

use super::spelling::{call, last, string};

/// Rows of one statement that are expanded.
pub(in crate::engine) const ROWS_MAX: usize = 32;

/// Columns that are written for all of them.
const COLUMNS_MAX: usize = 20_000;

/// The columns of a table by its schema and name.
type Columns<'a> = &'a dyn Fn(Option<&str>, &str) -> Option<Vec<String>>;

/// The statement with a row in the place of the name that was not found; `None` if it is no table's. `columns` knows the tables.
pub(in crate::engine) fn expanded(ast: &Ast, error: &DataFusionError, columns: Columns<'_>) -> Option<Ast> {
    let Ast::Statement(statement) = ast else { return None };
    let (name, mut found) = missing(error)?;
    let mut outer = OuterJoins(false);
    let mut statement = statement.clone();
    if found.is_empty() {
        // The table of a row that a LATERAL part of FROM takes is not among what the planner has looked at.
        let table = table_of(&name);
        let mut tables = Tables { name: table, columns, found: Vec::new() };
        let _ = statement.visit(&mut tables);
        found = tables.found.into_iter().map(|column| Column::new(Some(table), column)).collect();
    }
    let columns = found;
    if columns.is_empty() {
        return None;
    }
    let _ = statement.visit(&mut outer);
    let row = row(table_of(&name), &columns, outer.0)?;
    let mut rows = Rows { name, row, width: columns.len(), left: COLUMNS_MAX, found: false };
    let _ = statement.visit(&mut rows);
    rows.found.then_some(Ast::Statement(statement))
}

/// The table that was taken for a column, and its columns.
fn missing(error: &DataFusionError) -> Option<(String, Vec<Column>)> {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => missing(inner),
        DataFusionError::Shared(inner) => missing(inner),
        DataFusionError::Collection(errors) => errors.first().and_then(missing),
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } if field.relation.is_none() => {
                let of_table =
                    |column: &&Column| column.relation.as_ref().is_some_and(|relation| relation.table() == table_of(&field.name));
                let mut columns: Vec<Column> = Vec::new();
                for column in valid_fields.iter().filter(of_table) {
                    if !columns.contains(column) {
                        columns.push(column.clone());
                    }
                }
                Some((field.name.clone(), columns))
            }
            _ => None,
        },
        _ => None,
    }
}

/// `t.*` as a value, by a name that no column has.
pub(super) fn starred(table: &Ident) -> Expr {
    Expr::Identifier(Ident { value: format!("{}{STAR}", folded(table)), quote_style: Some('"'), span: table.span })
}

/// What stands behind the name of a table whose row is meant, whatever columns there are.
const STAR: &str = ".*";

fn table_of(name: &str) -> &str {
    name.strip_suffix(STAR).unwrap_or(name)
}

/// `named_struct('a', t.a, …)`; NULL where an outer join has found no row.
fn row(table: &str, columns: &[Column], outer: bool) -> Option<Expr> {
    let quoted = |name: &str| Ident::with_quote('"', name);
    let value = |column: &Column| Expr::CompoundIdentifier(vec![quoted(table), quoted(&column.name)]);
    let members = columns.iter().flat_map(|column| [string(crate::catalog::system::client_label(&column.name)), value(column)]);
    let row = call("named_struct", members.collect());
    if !outer {
        return Some(row);
    }
    let absent = columns.iter().map(|column| Expr::IsNull(Box::new(value(column))));
    let absent = absent.reduce(|one, other| Expr::BinaryOp { left: Box::new(one), op: BinaryOperator::And, right: Box::new(other) })?;
    Some(Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: absent, result: Expr::Value(Value::Null.with_empty_span()) }],
        else_result: Some(Box::new(row)),
    })
}

/// Finds the one table that goes by a name.
struct Tables<'a> {
    name: &'a str,
    columns: Columns<'a>,
    found: Vec<String>,
}

impl VisitorMut for Tables<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { alias: Some(alias), .. } = factor {
            return match folded(&alias.name) == self.name {
                true => self.is(super::merging::columns(factor, self.columns).unwrap_or_default()),
                false => ControlFlow::Continue(()),
            };
        }
        let TableFactor::Table { name: ObjectName(parts), alias, args: None, .. } = factor else { return ControlFlow::Continue(()) };
        let mut parts = parts.iter().rev().filter_map(|part| part.as_ident()).map(folded);
        let (Some(table), schema) = (parts.next(), parts.next()) else { return ControlFlow::Continue(()) };
        let known = alias.as_ref().map_or_else(|| table.clone(), |alias| folded(&alias.name));
        if known != self.name || alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
            return ControlFlow::Continue(());
        }
        self.is((self.columns)(schema.as_deref(), &table).unwrap_or_default())
    }
}

impl Tables<'_> {
    fn is(&mut self, columns: Vec<String>) -> ControlFlow<()> {
        if !self.found.is_empty() {
            // Nobody knows which is meant.
            self.found.clear();
            return ControlFlow::Break(());
        }
        self.found = columns;
        ControlFlow::Continue(())
    }
}

struct OuterJoins(bool);

impl VisitorMut for OuterJoins {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let datafusion::sql::sqlparser::ast::SetExpr::Select(select) = query.body.as_ref() {
            self.0 |= select
                .from
                .iter()
                .flat_map(|from| &from.joins)
                .any(|join| !matches!(join.join_operator, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)));
        }
        ControlFlow::Continue(())
    }
}

struct Rows {
    name: String,
    row: Expr,
    /// Columns of the row, and how many more may be written.
    width: usize,
    left: usize,
    found: bool,
}

impl Rows {
    fn names(&self, ident: &Ident) -> bool {
        let name = if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() };
        name == self.name
    }
}

impl VisitorMut for Rows {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(Expr::Identifier(ident)) = item
                && self.names(ident)
            {
                *item = SelectItem::ExprWithAlias { expr: Expr::Identifier(ident.clone()), alias: ident.clone() };
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(ident) = expr
            && self.names(ident)
            && self.left >= self.width
        {
            *expr = self.row.clone();
            self.found = true;
            self.left -= self.width;
        }
        ControlFlow::Continue(())
    }
}

/// `f(t.*)` is `f(t)`. The rows of t are all counted as they are, without a look at their columns, unless some may be missing.
pub(super) fn named(function: &mut Function) {
    let distinct = |list: &FunctionArgumentList| list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    if last(&function.name) != "count" || matches!(&function.args, FunctionArguments::List(list) if distinct(list)) {
        name(function);
    }
}

/// `count(t.*)` beside a join that may have no row of t.
pub(super) fn counted(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let missing = |join: &ast::Join| {
        use JoinOperator::{FullOuter, Left, LeftOuter, Right, RightOuter};
        matches!(join.join_operator, Left(_) | LeftOuter(_) | Right(_) | RightOuter(_) | FullOuter(_))
    };
    if select.from.iter().flat_map(|from| &from.joins).any(missing) {
        let _ = select.projection.visit(&mut Counts);
        let _ = select.having.visit(&mut Counts);
        let _ = query.order_by.visit(&mut Counts);
    }
}

struct Counts;

impl VisitorMut for Counts {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            name(function);
        }
        ControlFlow::Continue(())
    }
}

fn name(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    for arg in &mut list.args {
        if let FunctionArg::Unnamed(value @ FunctionArgExpr::QualifiedWildcard(_)) = arg
            && let FunctionArgExpr::QualifiedWildcard(name) = &*value
            && let Some(table) = name.0.last().and_then(|part| part.as_ident()).cloned()
        {
            *value = FunctionArgExpr::Expr(starred(&table));
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    #[test]
    fn a_table_s_name_becomes_the_row_of_its_columns() {
        let columns = [Column::new(Some("t"), "a"), Column::new(Some("t"), "b")];
        let statement = || Parser::parse_sql(&PostgreSqlDialect {}, "SELECT row_to_json(t), t.a FROM t").unwrap().remove(0);
        let rows = |outer| Rows { name: "t".to_owned(), row: row("t", &columns, outer).unwrap(), width: 2, left: 2, found: false };
        let members = "named_struct('a', \"t\".\"a\", 'b', \"t\".\"b\")";
        let applied = |outer: bool| {
            let mut statement = statement();
            let _ = statement.visit(&mut rows(outer));
            statement.to_string()
        };
        assert_eq!(applied(false), format!("SELECT row_to_json({members}), t.a FROM t"));
        assert!(applied(true).contains("CASE WHEN \"t\".\"a\" IS NULL AND \"t\".\"b\" IS NULL THEN NULL ELSE named_struct"));
    }
}
