//! Columns that a grouped query may name because it groups by the key of their table.
//!
//! Such a column has one value in each group, so it becomes one of the keys. Only the columns that are named do: whoever asks for a
//! table's key asks for no other of its columns.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Ast;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, ObjectName, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
    Value, VisitMut, Visitor, VisitorMut,
};

use crate::catalog::folded;

use super::spelling::last;

/// A table with a key.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Keyed {
    /// All of its columns.
    pub(in crate::engine) columns: Vec<String>,
    /// Those of its primary key.
    pub(in crate::engine) key: Vec<String>,
}

/// The statement with the columns that keys determine among those it groups by; `None` if there are none. `keyed` knows the tables.
pub(in crate::engine) fn grouped(ast: &Ast, keyed: &dyn Fn(Option<&str>, &str) -> Option<Keyed>) -> Option<Ast> {
    let Ast::Statement(statement) = ast else { return None };
    let mut statement = statement.clone();
    let mut defined = Defined(Vec::new());
    let _ = statement.visit(&mut defined);
    let mut keys = Keys { keyed, defined: defined.0, found: false };
    let _ = statement.visit(&mut keys);
    keys.found.then_some(Ast::Statement(statement))
}

/// Names that WITH defines.
struct Defined(Vec<String>);

impl VisitorMut for Defined {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.0.extend(query.with.iter().flat_map(|with| &with.cte_tables).map(|table| folded(&table.alias.name)));
        ControlFlow::Continue(())
    }
}

struct Keys<'a> {
    keyed: &'a dyn Fn(Option<&str>, &str) -> Option<Keyed>,
    defined: Vec<String>,
    found: bool,
}

impl VisitorMut for Keys<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let order = match query.order_by.as_ref().map(|order| &order.kind) {
            Some(OrderByKind::Expressions(keys)) => keys.iter().map(|key| key.expr.clone()).collect(),
            _ => Vec::new(),
        };
        if let SetExpr::Select(select) = query.body.as_mut() {
            self.found |= self.extend(select, &order);
        }
        ControlFlow::Continue(())
    }
}

impl Keys<'_> {
    /// Adds to the keys of a SELECT, which is sorted by these; whether there was something to add.
    fn extend(&self, select: &mut Select, order: &[Expr]) -> bool {
        let GroupByExpr::Expressions(keys, _) = &select.group_by else { return false };
        if keys.is_empty() || keys.iter().any(|key| matches!(key, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_))) {
            return false;
        }
        let keys: Vec<Expr> = keys.iter().map(|key| meant(key, &select.projection)).collect();
        let mut added: Vec<Expr> = Vec::new();
        for (alias, table) in self.tables(select) {
            let names = |column: &str, key: &Expr| column_of(key, &alias, &table).is_some_and(|name| name == column);
            if table.key.is_empty() || !table.key.iter().all(|column| keys.iter().any(|key| names(column, key))) {
                continue;
            }
            let mut uses = Uses { alias: &alias, table: &table, depth: 0, found: Vec::new() };
            uses.of(select, order);
            let known = |column: &str| keys.iter().chain(&added).any(|key| names(column, key));
            let new: Vec<Expr> = uses.found.into_iter().filter(|(column, _)| !known(column)).map(|(_, expr)| expr).collect();
            added.extend(new);
        }
        let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return false };
        let some = !added.is_empty();
        keys.extend(added);
        some
    }

    /// The tables of a FROM that have keys, by the names they go by.
    fn tables(&self, select: &Select) -> Vec<(String, Keyed)> {
        let factors =
            select.from.iter().flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
        let table = |factor: &TableFactor| {
            let TableFactor::Table { name: ObjectName(parts), alias, args: None, .. } = factor else { return None };
            let mut parts = parts.iter().rev().map(|part| part.as_ident().map(folded));
            let (name, schema) = (parts.next()??, parts.next().flatten());
            if schema.is_none() && self.defined.contains(&name) {
                return None;
            }
            if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
                return None;
            }
            let keyed = (self.keyed)(schema.as_deref(), &name)?;
            Some((alias.as_ref().map_or(name, |alias| folded(&alias.name)), keyed))
        };
        factors.filter_map(table).collect()
    }
}

/// What a key of a GROUP BY is: a number or a label means an item of the select list.
fn meant(key: &Expr, projection: &[SelectItem]) -> Expr {
    let item = match key {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse::<usize>().ok().and_then(|place| projection.get(place.checked_sub(1)?)),
            _ => None,
        },
        _ => None,
    };
    match item {
        Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => expr.clone(),
        _ => key.clone(),
    }
}

/// The column of the table that an expression names.
fn column_of(expr: &Expr, alias: &str, table: &Keyed) -> Option<String> {
    let name = match expr {
        Expr::Identifier(ident) => folded(ident),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [.., qualifier, ident] if folded(qualifier) == alias => folded(ident),
            _ => return None,
        },
        Expr::Nested(inner) => return column_of(inner, alias, table),
        _ => return None,
    };
    table.columns.contains(&name).then_some(name)
}

/// Finds where columns of a table are named.
struct Uses<'a> {
    alias: &'a str,
    table: &'a Keyed,
    /// Queries around the place; names without a table are their own.
    depth: usize,
    found: Vec<(String, Expr)>,
}

impl Uses<'_> {
    fn of(&mut self, select: &Select, order: &[Expr]) {
        use datafusion::sql::sqlparser::ast::Visit as _;
        for item in &select.projection {
            let whole = match item {
                SelectItem::Wildcard(_) => true,
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => last(name) == self.alias,
                _ => false,
            };
            if whole {
                let quoted = |name: &String| Ident::with_quote('"', name.clone());
                let column =
                    |name: &String| (name.clone(), Expr::CompoundIdentifier(vec![Ident::with_quote('"', self.alias), quoted(name)]));
                self.found.extend(self.table.columns.iter().map(column));
            }
            let _ = item.visit(self);
        }
        let _ = select.having.visit(self);
        let _ = select.named_window.visit(self);
        for key in order {
            let _ = key.visit(self);
        }
        let mut seen = Vec::new();
        self.found.retain(|(name, _)| {
            let new = !seen.contains(name);
            seen.push(name.clone());
            new
        });
    }
}

impl Visitor for Uses<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if (self.depth == 0 || matches!(expr, Expr::CompoundIdentifier(_)))
            && let Some(name) = column_of(expr, self.alias, self.table)
            && !matches!(expr, Expr::Nested(_))
        {
            self.found.push((name, expr.clone()));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn spelled(sql: &str) -> Option<String> {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        let keyed = |_: Option<&str>, name: &str| {
            let columns = ["id", "a", "b"].map(str::to_owned).to_vec();
            (name == "t").then(|| Keyed { columns, key: vec!["id".to_owned()] })
        };
        match grouped(&Ast::Statement(Box::new(statement)), &keyed)? {
            Ast::Statement(statement) => Some(statement.to_string()),
            _ => None,
        }
    }

    #[test]
    fn what_a_key_determines_is_a_key() {
        for (sql, keys) in [
            ("SELECT id, a, count(*) FROM s.t GROUP BY id", "GROUP BY id, a"),
            ("SELECT x.id, x.a FROM t AS x JOIN u ON u.id = x.id GROUP BY 1 ORDER BY x.b", "GROUP BY 1, x.a, x.b ORDER BY x.b"),
            ("SELECT id FROM t GROUP BY id HAVING max(a) > b", "GROUP BY id, a, b HAVING max(a) > b"),
            ("SELECT t.* FROM t GROUP BY id", "GROUP BY id, \"t\".\"a\", \"t\".\"b\""),
            ("SELECT id, (SELECT c FROM u WHERE u.k = t.a AND b = 1) FROM t GROUP BY id", "GROUP BY id, t.a"),
        ] {
            let spelled = spelled(sql).unwrap();
            assert!(spelled.ends_with(keys), "{spelled}");
        }
    }

    #[test]
    fn without_the_key_nothing_is_added() {
        for sql in [
            "SELECT a, b FROM t GROUP BY a",
            "SELECT id, a FROM u GROUP BY id",
            "WITH t AS (SELECT 1) SELECT id, a FROM t GROUP BY id",
            "SELECT id, a FROM t GROUP BY ROLLUP(id)",
            "SELECT id FROM t GROUP BY id",
        ] {
            assert_eq!(spelled(sql), None);
        }
    }
}
