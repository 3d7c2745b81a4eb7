//! Functions of several rows with several columns in a select list: `(json_each(x)).key`, `(json_each(x)).*`, `json_each(x)`; and columns of
//! rows that are written out: `(row(a, b)).f1`.
//!
//! Each column of such a function is a list whose elements become rows beside each other; the whole is a row of them.

use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Function, Ident, SelectItem};

use crate::catalog::folded;

use super::rows::{self, when};
use super::spelling::call;
use super::tables;

/// What `*` is behind a value in parentheses, which the parser does not read.
pub(super) const ALL: &str = "meshgate_all";

/// A column of such a function.
pub(super) fn respelled(expr: &Expr) -> Option<Expr> {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return None };
    let [AccessExpr::Dot(Expr::Identifier(name))] = access_chain.as_slice() else { return None };
    let name = folded(name);
    columns(root)?.into_iter().find(|(column, _)| *column == name).map(|(_, expr)| expr)
}

/// All columns of such a function as a row.
pub(super) fn row(function: &Function) -> Option<Expr> {
    let members: Vec<Expr> = members(function)?.into_iter().map(|(_, expr)| expr).collect();
    // Beside a function of more rows it is NULL in the end; its own rows have keys.
    let known = Expr::IsNotNull(Box::new(members.first()?.clone()));
    Some(when(vec![(known, call("row", members))]))
}

/// `(json_each(x)).*` as its columns.
pub(super) fn spread(projection: &mut Vec<SelectItem>) {
    if !projection.iter().any(|item| all(item).is_some()) {
        return;
    }
    let item = |item: SelectItem| match all(&item).and_then(columns) {
        Some(columns) => {
            let named = |(name, expr): (String, Expr)| SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) };
            columns.into_iter().map(named).collect()
        }
        None => vec![item],
    };
    *projection = std::mem::take(projection).into_iter().flat_map(item).collect();
}

/// The value whose columns an item asks for.
fn all(item: &SelectItem) -> Option<&Expr> {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return None };
    match expr {
        Expr::CompoundFieldAccess { root, access_chain } if asks_for_all(access_chain) => Some(root),
        _ => None,
    }
}

/// Whether it is `.*`.
pub(super) fn asks_for_all(access_chain: &[AccessExpr]) -> bool {
    matches!(access_chain, [AccessExpr::Dot(Expr::Identifier(name))] if name.value == ALL)
}

fn columns(root: &Expr) -> Option<Vec<(String, Expr)>> {
    match root {
        Expr::Nested(inner) => columns(inner),
        Expr::Function(function) => rows::fields(root).or_else(|| members(function)),
        root => rows::fields(root),
    }
}

/// The name of a column that is asked of a row which is written out and does not have it.
pub(super) fn missing(expr: &Expr) -> Option<String> {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return None };
    let [AccessExpr::Dot(Expr::Identifier(name))] = access_chain.as_slice() else { return None };
    let row = if let Expr::Nested(inner) = root.as_ref() { inner } else { root };
    rows::fields(row)?;
    Some(folded(name))
}

fn members(function: &Function) -> Option<Vec<(String, Expr)>> {
    tables::members(function).filter(|members| members.len() > 1)
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::SetExpr;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[test]
    fn columns_are_lists_beside_each_other() {
        let parsed = |sql: &str| Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_query().unwrap();
        let mut query = parsed("SELECT a, (json_each_text(x)).meshgate_all FROM t");
        let SetExpr::Select(select) = query.body.as_mut() else { panic!("no select") };
        spread(&mut select.projection);
        assert_eq!(
            select.to_string(),
            "SELECT a, unnest(meshgate_json_keys(x)) AS \"key\", unnest(meshgate_json_values_text(x)) AS \"value\" FROM t"
        );
        let of = |sql: &str| respelled(&Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap());
        assert_eq!(of("(json_each_text(x)).value").unwrap().to_string(), "unnest(meshgate_json_values_text(x))");
        assert_eq!(of("(json_each_text(x)).other"), None);
        assert_eq!(of("(f(x)).value"), None);
        assert_eq!(of("(row(a, 2)).f2").unwrap().to_string(), "(2)");
        let written = Parser::new(&PostgreSqlDialect {}).try_with_sql("(row(a, 2)).f3").unwrap().parse_expr().unwrap();
        assert_eq!((respelled(&written), missing(&written)), (None, Some("f3".to_owned())));
    }
}
