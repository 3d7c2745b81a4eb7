//! Windows with names, each written out where it is used.
//!
//! The engine knows a name only where nothing is added to it, and only in the select list. A window that is made of another has that one's
//! partition and order, and its own frame.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, NamedWindowDefinition, NamedWindowExpr, OrderBy, OrderByKind, Query, Select, SetExpr, VisitMut, VisitorMut, WindowSpec,
    WindowType,
};

use crate::catalog::folded;

/// Writes out the windows of a query's select list and of its order.
pub(super) fn written_out(query: &mut Query) {
    let Query { body, order_by, .. } = query;
    if let SetExpr::Select(select) = body.as_mut() {
        of_select(select, order_by.as_mut());
    }
}

/// Writes out those of a SELECT that may be one of several of a query.
pub(super) fn of_one(select: &mut Select) {
    of_select(select, None);
}

/// Writes them out in a SELECT, and in the order of the query that it is all of.
fn of_select(select: &mut Select, order: Option<&mut OrderBy>) {
    if select.named_window.is_empty() {
        return;
    }
    let mut windows = Windows { known: known(&select.named_window), depth: 0 };
    let _ = select.projection.visit(&mut windows);
    let _ = select.distinct.visit(&mut windows);
    if let Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) = order {
        let _ = keys.visit(&mut windows);
    }
    // Those that others are made of are complete, too, so that each of them can be checked.
    for NamedWindowDefinition(name, window) in &mut select.named_window {
        if let Some((_, spec)) = windows.known.iter().find(|(known, _)| *known == folded(name)) {
            *window = NamedWindowExpr::WindowSpec(spec.clone());
        }
    }
}

/// What each name stands for, without names.
fn known(named: &[NamedWindowDefinition]) -> Vec<(String, WindowSpec)> {
    let mut known: Vec<(String, WindowSpec)> = Vec::new();
    for NamedWindowDefinition(name, window) in named {
        let spec = match window {
            NamedWindowExpr::WindowSpec(spec) => complete(spec, &known),
            NamedWindowExpr::NamedWindow(other) => found(&known, &folded(other)).cloned(),
        };
        if let Some(spec) = spec {
            known.push((folded(name), spec));
        }
    }
    known
}

fn found<'a>(known: &'a [(String, WindowSpec)], name: &str) -> Option<&'a WindowSpec> {
    known.iter().find(|(known, _)| known == name).map(|(_, spec)| spec)
}

/// A window with what the one that it is made of has; `None` if that is not there.
fn complete(spec: &WindowSpec, known: &[(String, WindowSpec)]) -> Option<WindowSpec> {
    let mut own = spec.clone();
    let Some(name) = own.window_name.take() else { return Some(own) };
    let base = found(known, &folded(&name))?;
    // What it has of its own in front are marks of what its frame leaves out.
    own.partition_by.extend(base.partition_by.iter().cloned());
    if own.order_by.is_empty() {
        own.order_by.clone_from(&base.order_by);
    }
    Some(own)
}

struct Windows {
    known: Vec<(String, WindowSpec)>,
    /// Subqueries around the place, whose windows are their own.
    depth: usize,
}

impl VisitorMut for Windows {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        if let Expr::Function(function) = expr
            && let Some(window) = &function.over
        {
            let spec = match window {
                WindowType::NamedWindow(name) => found(&self.known, &folded(name)).cloned(),
                WindowType::WindowSpec(spec) => complete(spec, &self.known),
            };
            if let Some(spec) = spec {
                function.over = Some(WindowType::WindowSpec(spec));
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn spelled(sql: &str) -> String {
        let Statement::Query(mut query) = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0) else { panic!("no query") };
        written_out(&mut query);
        query.to_string()
    }

    #[test]
    fn a_window_has_what_it_is_made_of() {
        let windows = "WINDOW w AS (PARTITION BY a ORDER BY b), v AS (w ROWS 1 PRECEDING)";
        for (over, expected) in [
            ("w", "(PARTITION BY a ORDER BY b)"),
            ("v", "(PARTITION BY a ORDER BY b ROWS 1 PRECEDING)"),
            ("(w ROWS 2 PRECEDING)", "(PARTITION BY a ORDER BY b ROWS 2 PRECEDING)"),
            ("(w PARTITION BY ('mark'))", "(PARTITION BY ('mark'), a ORDER BY b)"),
        ] {
            let made = spelled(&format!("SELECT sum(x) OVER {over} FROM t {windows} ORDER BY sum(y) OVER {over}"));
            assert!(made.starts_with(&format!("SELECT sum(x) OVER {expected} FROM t")), "{made}");
            assert!(made.ends_with(&format!("ORDER BY sum(y) OVER {expected}")), "{made}");
        }
    }

    #[test]
    fn windows_of_subqueries_are_their_own() {
        let sql = "SELECT (SELECT sum(x) OVER w FROM u WINDOW w AS (ORDER BY x)) FROM t WINDOW w AS (ORDER BY y)";
        assert_eq!(spelled(sql), sql);
    }
}
