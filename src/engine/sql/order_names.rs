//! Names in the keys of ORDER BY: alone a name is a column of the result, within an expression one of the tables. The planner takes a column of
//! the result for both.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, OrderByExpr, OrderByKind, Query, SelectItem, SetExpr, Statement, Visit, Visitor};

use crate::catalog::folded;
use crate::catalog::system::{client_label, numbered};

/// Labels of a query's result that are named within keys get names that nothing else has; the client is shown the label.
pub(super) fn of_input(statement: &mut Statement) {
    let Statement::Query(query) = statement else { return };
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) else { return };
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if select.distinct.is_some() {
        return;
    }
    let mut within = Within { names: Vec::new(), depth: 0 };
    for key in keys.iter().filter(|key| !matches!(key.expr, Expr::Identifier(_))) {
        let _ = Visit::visit(&key.expr, &mut within);
    }
    for (at, item) in select.projection.iter_mut().enumerate() {
        let SelectItem::ExprWithAlias { expr, alias } = item else { continue };
        let name = folded(alias);
        // The column itself means the same by either name.
        let itself = matches!(expr, Expr::Identifier(ident) if folded(ident) == name)
            || matches!(expr, Expr::CompoundIdentifier(parts) if parts.last().is_some_and(|part| folded(part) == name));
        if itself || client_label(&name) != name || !within.names.contains(&name) {
            continue;
        }
        *alias = Ident::with_quote('"', numbered(&name, at));
        keys.iter_mut().for_each(|key| renamed(key, &name, alias));
    }
}

/// A key that is the name alone.
fn renamed(key: &mut OrderByExpr, name: &str, alias: &Ident) {
    if matches!(&key.expr, Expr::Identifier(ident) if folded(ident) == name) {
        key.expr = Expr::Identifier(alias.clone());
    }
}

/// The names without a table in an expression.
struct Within {
    names: Vec<String>,
    /// Subqueries around the place; their names may be their own.
    depth: usize,
}

impl Visitor for Within {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Identifier(ident) = expr
        {
            self.names.push(folded(ident));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn spelled(sql: &str) -> String {
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        of_input(&mut statement);
        statement.to_string().replace('\u{1}', "#")
    }

    #[test]
    fn a_name_within_a_key_is_a_column_of_the_tables() {
        assert_eq!(spelled("SELECT -a AS a, b FROM t ORDER BY a + 0, a"), "SELECT -a AS \"a#0\", b FROM t ORDER BY a + 0, \"a#0\"");
        for same in ["SELECT -a AS a FROM t ORDER BY a", "SELECT a AS a FROM t ORDER BY a + 1", "SELECT -a AS c FROM t ORDER BY a + 1"] {
            assert_eq!(spelled(same), same);
        }
    }
}
