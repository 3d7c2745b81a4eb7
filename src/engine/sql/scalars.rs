//! Correlated subqueries that stand for one value, in the shape that the planner can turn into joins.
//!
//! A subquery is an aggregate to it: of one row, which fails on a second, or of the first row in an order. Only subqueries that name
//! a table of the query around them are changed; the others are planned as they are.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArgumentClause, FunctionArguments, GroupByExpr, LimitClause, OrderByKind, Query, Select, SelectItem, SetExpr,
    TableFactor, Value, Visit, Visitor,
};

use crate::catalog::{folded, is_hypothetical, is_postgres_aggregate};

use super::spelling::{Flow, call, last, refuse};

/// Whether a call makes one row of many: an aggregate, or what stands here for one. As windows they are no matter for joins either.
fn one_of_many(function: &Function) -> bool {
    let name = last(&function.name);
    let stands_for_one = ["first_value", "last_value", "median", "meshgate_percentile_disc", "meshgate_mode", "meshgate_json_agg"];
    is_postgres_aggregate(&name) && !is_hypothetical(&name) || stands_for_one.contains(&name.as_str())
}

/// Makes the subquery an aggregate if it must be one.
pub(super) fn aggregate(query: &mut Query) -> Flow {
    let Some((first, order)) = shape(query) else { return ControlFlow::Continue(()) };
    let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
    let Some(SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }) = select.projection.first_mut() else {
        return ControlFlow::Continue(());
    };
    if windows(value) {
        return refuse("a window in a correlated subquery is not supported");
    }
    let taken = std::mem::replace(value, Expr::Value(Value::Null.with_empty_span()));
    let mut call = call(if first { "first_value" } else { "meshgate_single" }, vec![taken]);
    if let (Expr::Function(function), Some(keys)) = (&mut call, order)
        && let FunctionArguments::List(list) = &mut function.args
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(keys));
    }
    *value = call;
    query.order_by = None;
    query.limit_clause = None;
    ControlFlow::Continue(())
}

type Keys = Vec<datafusion::sql::sqlparser::ast::OrderByExpr>;

/// Whether the first row is wanted, and by which order; `None` if the subquery stays as it is.
fn shape(query: &Query) -> Option<(bool, Option<Keys>)> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] = select.projection.as_slice() else {
        return None;
    };
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let plain = ungrouped && select.having.is_none() && select.distinct.is_none() && query.with.is_none() && query.fetch.is_none();
    if !plain || select.from.is_empty() || aggregates(value) || !names_outer(select) {
        return None;
    }
    let first = match &query.limit_clause {
        None => false,
        Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, .. }) if limit.to_string() == "1" => true,
        Some(_) => return None,
    };
    let order = match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(keys)) if first => Some(keys.clone()),
        Some(OrderByKind::All(_)) => return None,
        _ => None,
    };
    Some((first, order))
}

/// Whether the item is made of an aggregate.
pub(super) fn aggregates_in(item: &SelectItem) -> bool {
    matches!(item, SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. } if aggregates(value))
}

/// Whether the item is made of an aggregate of its own query.
pub(super) fn own_aggregates_in(item: &SelectItem) -> bool {
    matches!(item, SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. } if calls(value, one_of_many, false))
}

/// Whether the item is made of a window.
pub(super) fn windows_in(item: &SelectItem) -> bool {
    matches!(item, SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. } if windows(value))
}

fn aggregates(value: &Expr) -> bool {
    calls(value, one_of_many, true)
}

fn windows(value: &Expr) -> bool {
    calls(value, |function| function.over.is_some(), false)
}

/// Whether such a call is in an expression, or, if `deep`, in a query within it.
fn calls(value: &Expr, wanted: fn(&Function) -> bool, deep: bool) -> bool {
    struct Finder {
        wanted: fn(&Function) -> bool,
        deep: bool,
        depth: usize,
    }
    impl Visitor for Finder {
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
            let here = self.deep || self.depth == 0;
            if here && matches!(expr, Expr::Function(function) if (self.wanted)(function)) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    value.visit(&mut Finder { wanted, deep, depth: 0 }).is_break()
}

/// The tables that the FROMs of a query name.
pub(super) struct Tables(Vec<String>);

impl Tables {
    /// Those of a query and of the queries within it.
    pub(super) fn of(select: &Select) -> Self {
        struct Names(Vec<String>);
        impl Visitor for Names {
            type Break = ();

            fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
                let alias = match factor {
                    TableFactor::Table { name, alias, .. } => Some(alias.as_ref().map_or_else(|| last(name), |alias| folded(&alias.name))),
                    TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
                        alias.as_ref().map(|alias| folded(&alias.name))
                    }
                    _ => None,
                };
                self.0.extend(alias);
                ControlFlow::Continue(())
            }
        }
        let mut names = Names(Vec::new());
        let _ = select.visit(&mut names);
        Self(names.0)
    }

    /// Whether a name in it is qualified by another table.
    pub(super) fn outer(&self, node: &impl Visit) -> bool {
        qualifiers(node).iter().any(|qualifier| !self.0.contains(qualifier))
    }

    /// Whether a name in it is qualified by one of these tables.
    pub(super) fn inner(&self, node: &impl Visit) -> bool {
        qualifiers(node).iter().any(|qualifier| self.0.contains(qualifier))
    }
}

fn qualifiers(node: &impl Visit) -> Vec<String> {
    struct Qualifiers(Vec<String>);
    impl Visitor for Qualifiers {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::CompoundIdentifier(parts) = expr
                && let [.., qualifier, _] = parts.as_slice()
            {
                self.0.push(folded(qualifier));
            }
            ControlFlow::Continue(())
        }
    }
    let mut found = Qualifiers(Vec::new());
    let _ = node.visit(&mut found);
    found.0
}

/// Whether columns are named in it. The planner forgets in an array what the query around it has.
pub(super) fn names_columns(node: &impl Visit) -> bool {
    struct Columns;
    impl Visitor for Columns {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    }
    node.visit(&mut Columns).is_break()
}

/// Whether a name in it is qualified by a table that no FROM within it has.
pub(super) fn names_outer(select: &Select) -> bool {
    Tables::of(select).outer(select)
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn shaped(sql: &str) -> String {
        let Statement::Query(mut query) = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0) else { panic!("no query") };
        assert!(aggregate(&mut query).is_continue());
        query.to_string()
    }

    #[test]
    fn a_correlated_value_is_that_of_one_row() {
        assert_eq!(shaped("SELECT y FROM b WHERE b.x = a.x"), "SELECT meshgate_single(y) FROM b WHERE b.x = a.x");
        assert_eq!(
            shaped("SELECT b.y FROM s.b WHERE b.x = a.x ORDER BY b.z DESC LIMIT 1"),
            "SELECT first_value(b.y ORDER BY b.z DESC) FROM s.b WHERE b.x = a.x"
        );
        for kept in ["SELECT y FROM b WHERE b.x = 1", "SELECT max(y) FROM b WHERE b.x = a.x", "SELECT y FROM b WHERE b.x = a.x LIMIT 2"] {
            assert_eq!(shaped(kept), kept);
        }
    }

    #[test]
    fn every_aggregate_of_postgres_is_one_value() {
        for name in ["stddev_pop", "var_samp", "bit_xor", "regr_count", "covar_pop", "jsonb_object_agg", "range_agg"] {
            let kept = format!("SELECT {name}(y) FROM b WHERE b.x = a.x");
            assert_eq!(shaped(&kept), kept);
        }
    }
}
