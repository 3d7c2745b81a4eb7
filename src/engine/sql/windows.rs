//! Windows that are made of others: `OVER (w ROWS 1 PRECEDING)`, `WINDOW w2 AS (w ORDER BY x)`. The planner forgets what the other one says.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, NamedWindowExpr, Query, Select, VisitMut, VisitorMut, WindowSpec, WindowType};

use crate::catalog::folded;

/// Writes out what windows of a SELECT take from its named ones.
pub(super) fn written_out(select: &mut Select) {
    if select.named_window.is_empty() {
        return;
    }
    let mut known: Vec<(String, WindowSpec)> = Vec::new();
    for window in &mut select.named_window {
        let whole = match &window.1 {
            NamedWindowExpr::NamedWindow(name) => found(&known, name).cloned(),
            NamedWindowExpr::WindowSpec(spec) => Some(whole(spec, &known)),
        };
        let Some(whole) = whole else { return };
        known.push((folded(&window.0), whole.clone()));
        window.1 = NamedWindowExpr::WindowSpec(whole);
    }
    let mut windows = Windows { known, depth: 0 };
    let _ = select.projection.visit(&mut windows);
}

fn found<'a>(known: &'a [(String, WindowSpec)], name: &Ident) -> Option<&'a WindowSpec> {
    let name = folded(name);
    known.iter().find(|(known, _)| *known == name).map(|(_, spec)| spec)
}

/// A window with what it takes from the one that it names.
fn whole(spec: &WindowSpec, known: &[(String, WindowSpec)]) -> WindowSpec {
    let Some(base) = spec.window_name.as_ref().and_then(|name| found(known, name)) else { return spec.clone() };
    let order_by = if spec.order_by.is_empty() { &base.order_by } else { &spec.order_by };
    WindowSpec {
        window_name: None,
        // What its own frame leaves out may be marked among its keys.
        partition_by: base.partition_by.iter().chain(&spec.partition_by).cloned().collect(),
        order_by: order_by.clone(),
        window_frame: spec.window_frame.clone(),
    }
}

struct Windows {
    known: Vec<(String, WindowSpec)>,
    /// Subqueries around the place; their windows are their own.
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
        if self.depth == 0
            && let Expr::Function(function) = expr
            && let Some(WindowType::WindowSpec(spec)) = &mut function.over
        {
            *spec = whole(spec, &self.known);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::SetExpr;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[test]
    fn a_window_has_what_the_one_that_it_names_says() {
        let sql = "SELECT sum(x) OVER (w ROWS 1 PRECEDING), sum(x) OVER v FROM t WINDOW w AS (PARTITION BY a ORDER BY x), v AS (w)";
        let mut query = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_query().unwrap();
        let SetExpr::Select(select) = query.body.as_mut() else { panic!("no select") };
        written_out(select);
        assert_eq!(
            select.to_string(),
            "SELECT sum(x) OVER (PARTITION BY a ORDER BY x ROWS 1 PRECEDING), sum(x) OVER v FROM t \
             WINDOW w AS (PARTITION BY a ORDER BY x), v AS (PARTITION BY a ORDER BY x)"
        );
    }
}
