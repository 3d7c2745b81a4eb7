//! Names unnamed columns as PostgreSQL does (`count`, `?column?`, …), where the engine would show the expression's text.
//!
//! An alias is unique within its SELECT, because the engine wants it so; what is shown is cut by [`client_label`].

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, Query, SelectItem, Statement, Value, VisitMut, VisitorMut};

use crate::catalog::system::client_label;

/// Separates a shown label from what makes it unique; [`client_label`] takes it off.
const MARK: char = '\u{1}';

/// Gives every unnamed output expression of every SELECT in the query its PostgreSQL label.
pub(super) fn name_columns(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Labeller);
}

struct Labeller;

impl VisitorMut for Labeller {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        let mut taken: HashSet<String> = select.projection.iter().filter_map(explicit_name).collect();
        let mut seen: HashSet<String> = HashSet::new();
        for (at, item) in select.projection.iter_mut().enumerate() {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => {
                    let name = folded(alias);
                    if !seen.insert(name.clone()) {
                        *alias = Ident::with_quote('"', format!("{name}{MARK}{at}"));
                    }
                }
                SelectItem::UnnamedExpr(expr) => {
                    let label = label(expr);
                    let bare = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                    let key = expr.to_string();
                    if bare && seen.insert(key) {
                        continue;
                    }
                    let alias = if taken.insert(label.clone()) { label } else { format!("{label}{MARK}{at}") };
                    let expr = std::mem::replace(expr, Expr::Value(Value::Null.into()));
                    *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', alias) };
                }
                SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => {}
            }
        }
        ControlFlow::Continue(())
    }
}

fn explicit_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(folded(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
        _ => None,
    }
}

fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// PostgreSQL's `FigureColname`: the name of the outermost thing that has one.
fn label(expr: &Expr) -> String {
    name_of(expr).unwrap_or_else(|| "?column?".to_owned())
}

fn name_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(folded(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded),
        Expr::Function(function) => function.name.0.last().and_then(|part| part.as_ident()).map(folded),
        Expr::Cast { expr, data_type, .. } => name_of(expr).or_else(|| Some(type_label(&data_type.to_string()))),
        Expr::TypedString(typed) => Some(type_label(&typed.data_type.to_string())),
        Expr::Interval(_) => Some("interval".to_owned()),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => name_of(inner),
        Expr::CompoundFieldAccess { root, .. } => name_of(root),
        Expr::AtTimeZone { .. } => Some("timezone".to_owned()),
        Expr::Case { else_result, .. } => else_result.as_deref().and_then(column_name).or_else(|| Some("case".to_owned())),
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Subquery(query) => subquery_label(query),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Ceil { .. } => Some("ceil".to_owned()),
        Expr::Floor { .. } => Some("floor".to_owned()),
        Expr::Position { .. } => Some("position".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        Expr::Trim { .. } => Some("btrim".to_owned()),
        Expr::Overlay { .. } => Some("overlay".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::Tuple(_) => Some("row".to_owned()),
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => Some("bool".to_owned()),
        _ => None,
    }
}

fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_) => name_of(expr),
        _ => None,
    }
}

fn subquery_label(query: &Query) -> Option<String> {
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return None };
    match select.projection.first()? {
        SelectItem::ExprWithAlias { alias, .. } => Some(client_label(&folded(alias)).to_owned()),
        SelectItem::UnnamedExpr(expr) => name_of(expr),
        _ => None,
    }
}

/// The name that PostgreSQL keeps for a type however it was spelled.
fn type_label(spelled: &str) -> String {
    let lower = spelled.to_lowercase();
    let base = lower.split('(').next().unwrap_or_default().trim();
    match base {
        "int" | "integer" | "int4" => "int4",
        "bigint" | "int8" => "int8",
        "smallint" | "int2" => "int2",
        "boolean" | "bool" => "bool",
        "real" | "float4" => "float4",
        "double precision" | "float8" | "double" | "float" => "float8",
        "decimal" | "dec" | "numeric" => "numeric",
        "character varying" | "varchar" => "varchar",
        "character" | "char" => "bpchar",
        "timestamp with time zone" | "timestamptz" => "timestamptz",
        "timestamp" | "timestamp without time zone" => "timestamp",
        "time" | "time without time zone" => "time",
        other => other.rsplit('.').next().unwrap_or(other),
    }
    .to_owned()
}
