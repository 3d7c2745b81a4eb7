//! Names unnamed columns as PostgreSQL does (`count`, `?column?`, …), where the engine would show the expression's text.
//!
//! An alias is unique within its SELECT, because the engine wants it so; what is shown is cut by `client_label`.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins, Value, VisitMut, VisitorMut,
};

use crate::catalog::folded;
use crate::catalog::system::{client_label, label, numbered};

use super::using;

/// Gives every unnamed output expression of every SELECT in the query its PostgreSQL label.
pub(super) fn name_columns(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Labeller);
}

struct Labeller;

impl VisitorMut for Labeller {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        // What a column of another item of FROM is called, the planner tells by where it is from.
        if let TableFactor::Derived { lateral: true, subquery, .. } = factor
            && let SetExpr::Select(select) = subquery.body.as_mut()
        {
            select.projection.iter_mut().for_each(by_own_name);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        let relations: Vec<String> = select.from.iter().flat_map(names).collect();
        for item in &mut select.projection {
            // Neither is a field of a row a column by its own name.
            if let SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) = item
                && let [relation, _] = parts.as_slice()
                && !relations.contains(&folded(relation))
            {
                by_own_name(item);
            }
        }
        let mut taken: HashSet<String> = select.projection.iter().filter_map(explicit_name).collect();
        let mut seen: HashSet<String> = HashSet::new();
        let mut doubled: HashSet<String> = HashSet::new();
        let mut named: HashSet<String> = HashSet::new();
        for (at, item) in select.projection.iter_mut().enumerate() {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => {
                    let name = folded(alias);
                    if !seen.insert(name.clone()) {
                        *alias = Ident::with_quote('"', numbered(&name, at));
                        doubled.insert(name);
                    }
                }
                SelectItem::UnnamedExpr(expr) => {
                    let label = label(expr);
                    let bare = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                    let key = path(expr);
                    // Two columns of one name are two, though they are of two tables.
                    if bare && seen.insert(key) && named.insert(label.clone()) {
                        continue;
                    }
                    if bare {
                        doubled.insert(label.clone());
                    }
                    let alias = if taken.insert(label.clone()) { label } else { numbered(&label, at) };
                    let expr = std::mem::replace(expr, Expr::Value(Value::Null.into()));
                    *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', alias) };
                }
                SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => {}
            }
        }
        if !doubled.is_empty() {
            let written: Vec<String> = select.projection.iter().map(value).collect();
            ambiguous(select, &doubled, &written);
        }
        ControlFlow::Continue(())
    }
}

/// Gives a column the last of its names as its alias.
fn by_own_name(item: &mut SelectItem) {
    let name = match item {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(folded(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
        _ => None,
    };
    if let (SelectItem::UnnamedExpr(expr), Some(name)) = (&mut *item, name) {
        let expr = std::mem::replace(expr, Expr::Value(Value::Null.into()));
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) };
    }
}

/// The names that the relations of a part of FROM go by.
fn names(from: &TableWithJoins) -> Vec<String> {
    let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    let named = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, alias: None } => names(table_with_joins),
        factor => using::alias(factor).map(|alias| folded(&alias)).into_iter().collect(),
    };
    factors.flat_map(named).collect()
}

/// A name of several values means none of them: each is numbered, so that the bare name is not found.
fn ambiguous(select: &mut ast::Select, doubled: &HashSet<String>, written: &[String]) {
    let mut first: HashMap<String, &String> = HashMap::new();
    let mut differing: HashSet<String> = HashSet::new();
    for (item, value) in select.projection.iter().zip(written) {
        let Some(name) = shown(item).filter(|name| doubled.contains(name)) else { continue };
        if *first.entry(name.clone()).or_insert(value) != value {
            differing.insert(name);
        }
    }
    if differing.is_empty() {
        return;
    }
    for (at, item) in select.projection.iter_mut().enumerate() {
        let Some(name) = shown(item).filter(|name| differing.contains(name)) else { continue };
        match item {
            SelectItem::ExprWithAlias { alias, .. } if folded(alias) == name => *alias = Ident::with_quote('"', numbered(&name, at)),
            SelectItem::UnnamedExpr(expr) => {
                let expr = std::mem::replace(expr, Expr::Value(Value::Null.into()));
                *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', numbered(&name, at)) };
            }
            _ => {}
        }
    }
}

/// The name that the client is shown.
fn shown(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(client_label(&folded(alias)).to_owned()),
        SelectItem::UnnamedExpr(expr) => Some(label(expr)),
        _ => None,
    }
}

/// A value as it is written.
fn value(item: &SelectItem) -> String {
    match item {
        SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) => expr.to_string(),
        item => item.to_string(),
    }
}

/// A column with its qualifier, in the letters that it is looked up by.
fn path(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => folded(ident),
        Expr::CompoundIdentifier(parts) => parts.iter().map(folded).collect::<Vec<_>>().join("."),
        expr => expr.to_string(),
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
