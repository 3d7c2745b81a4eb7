//! The names of result columns: PostgreSQL's, and unique, as the planner wants them.
//!
//! A second column of the same name carries a mark that [`client_label`] takes off again.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Select, SelectItem, SelectItemQualifiedWildcardKind,
    Statement, VisitMut, VisitorMut,
};

use super::scope::Scope;
use super::{folded, last_part};

/// Stands between a name and the number that makes it unique; no name of a client holds it.
const MARK: char = '\u{1}';

/// The name that the client is shown.
pub fn client_label(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

/// An identifier of exactly this name.
pub(super) fn ident(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// Names every column of every SELECT.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Labels);
}

struct Labels;

impl VisitorMut for Labels {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.projection.len() > 1 {
            expand(select);
        }
        let mut used = BTreeSet::new();
        for item in &mut select.projection {
            name(item, &mut used);
        }
        ControlFlow::Continue(())
    }
}

fn name(item: &mut SelectItem, used: &mut BTreeSet<String>) {
    match item {
        SelectItem::UnnamedExpr(expr) => {
            let plain = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            // Columns of two relations may share a name; the planner tells them apart by the relation.
            let key = if plain { path(expr) } else { label(expr) };
            let label = label(expr);
            if !used.insert(key) {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: unique(&label, used) };
            } else if !plain {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: ident(&label) };
            }
        }
        SelectItem::ExprWithAlias { alias, .. } => {
            let label = folded(alias);
            if !used.insert(label.clone()) {
                *alias = unique(&label, used);
            }
        }
        _ => {}
    }
}

/// A column reference with its qualifier.
fn path(expr: &Expr) -> String {
    match expr {
        Expr::CompoundIdentifier(parts) => parts.iter().map(folded).collect::<Vec<_>>().join("."),
        _ => label(expr),
    }
}

fn unique(label: &str, used: &mut BTreeSet<String>) -> Ident {
    let mut number = 2;
    loop {
        let name = format!("{label}{MARK}{number}");
        if used.insert(name.clone()) {
            return ident(&name);
        }
        number += 1;
    }
}

/// The name that PostgreSQL gives an expression without one.
pub(super) fn label(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => folded(ident),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded).unwrap_or_default(),
        Expr::Nested(inner) => label(inner),
        Expr::Function(function) => function_label(function),
        Expr::Cast { expr, data_type, .. } => match label(expr) {
            unnamed if unnamed == "?column?" => type_label(data_type),
            named => named,
        },
        Expr::Case { else_result, .. } => match else_result.as_deref().map(label) {
            Some(named) if named != "?column?" => named,
            _ => "case".to_owned(),
        },
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        Expr::Subquery(query) => query.body.as_select().and_then(|select| select.projection.first()).map_or_else(unnamed, item_label),
        _ => unnamed(),
    }
}

fn unnamed() -> String {
    "?column?".to_owned()
}

fn item_label(item: &SelectItem) -> String {
    match item {
        SelectItem::UnnamedExpr(expr) => label(expr),
        SelectItem::ExprWithAlias { alias, .. } => folded(alias),
        _ => unnamed(),
    }
}

/// Our own functions stand for casts, and are named as those: by what is cast, else by the type.
fn function_label(function: &Function) -> String {
    let name = last_part(&function.name).unwrap_or_default();
    let Some(cast) = name.strip_prefix("meshgate_") else { return name };
    if !cast.starts_with("reg") {
        return "array".to_owned();
    }
    let argument = match &function.args {
        FunctionArguments::List(list) => match list.args.first() {
            Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) => label(argument),
            _ => unnamed(),
        },
        _ => unnamed(),
    };
    if argument == "?column?" { cast.trim_end_matches("_text").to_owned() } else { argument }
}

fn type_label(data_type: &DataType) -> String {
    match data_type {
        DataType::Custom(name, _) => last_part(name).unwrap_or_default(),
        DataType::Int(_) | DataType::Integer(_) => "int4".to_owned(),
        DataType::BigInt(_) => "int8".to_owned(),
        DataType::SmallInt(_) => "int2".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

/// Spells out `*` and `x.*` where other columns stand beside them, for the planner refuses a column that comes twice.
fn expand(select: &mut Select) {
    let scope = Scope::of(select);
    let projection = std::mem::take(&mut select.projection);
    for item in projection {
        match expanded(&item, &scope) {
            Some(columns) => select.projection.extend(columns),
            None => select.projection.push(item),
        }
    }
}

fn expanded(item: &SelectItem, scope: &Scope) -> Option<Vec<SelectItem>> {
    let aliases: Vec<String> = match item {
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => vec![last_part(name)?],
        SelectItem::Wildcard(_) => scope.relations.iter().map(|(alias, _)| alias.clone()).collect(),
        _ => return None,
    };
    let mut columns = Vec::new();
    for alias in aliases {
        let relation = scope.relation(&alias)?;
        columns.extend(
            relation
                .columns
                .iter()
                .map(|column| SelectItem::UnnamedExpr(Expr::CompoundIdentifier(vec![ident(&alias), ident(column.name)]))),
        );
    }
    Some(columns)
}
