//! Bounds on what a query names: time and memory to plan it grow faster than the number of its columns and relations.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, FunctionArguments, Query, Select, Statement, TableFactor, Visit, Visitor};

use crate::catalog::folded;
use crate::error::{ClientMessage, SqlState};

/// Columns of one SELECT list, as in PostgreSQL.
const COLUMNS_MAX: usize = 1_664;
/// Relations that one statement reads, each as often as it is named.
const RELATIONS_MAX: usize = 100;
/// Queries named by WITH in one statement.
const WITH_MAX: usize = 200;
/// Relations that one statement reads when what WITH names stands wherever it is named, as it does in a plan.
const EXPANDED_MAX: u64 = 2_000;
/// Levels of subqueries within expressions: each doubles the time to check a plan.
const SUBQUERIES_DEPTH_MAX: usize = 12;
/// Operators that compute, each with the result of the one before: the time to plan them grows with the cube of their number.
const CHAIN_MAX: usize = 250;

/// Refuses a statement that names too much.
pub(super) fn check(statement: &Statement) -> Result<(), ClientMessage> {
    match statement.visit(&mut Sizes::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(*refusal),
    }
}

#[derive(Default)]
struct Sizes {
    relations: usize,
    with: usize,
    /// Levels of subqueries around an expression.
    depth: usize,
    /// Operators that compute around an expression.
    chain: usize,
    /// The names that WITH gives to queries, by their place in the tree.
    names: HashMap<*const Query, String>,
    /// Relations that the queries of these names read.
    named: HashMap<String, u64>,
    /// Relations that each query around a place has read so far.
    read: Vec<u64>,
}

/// Whether a query is computed within this expression.
fn is_subquery(expr: &Expr) -> bool {
    match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => true,
        Expr::Function(function) => matches!(function.args, FunctionArguments::Subquery(_)),
        _ => false,
    }
}

/// Whether it computes of values, which are tested no further.
fn computes(expr: &Expr) -> bool {
    let Expr::BinaryOp { op, .. } = expr else { return matches!(expr, Expr::UnaryOp { .. } | Expr::Cast { .. } | Expr::Collate { .. }) };
    !matches!(op, BinaryOperator::And | BinaryOperator::Or)
}

impl Visitor for Sizes {
    type Break = Box<ClientMessage>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        self.read.push(0);
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.with += 1;
            self.names.insert(std::ptr::from_ref(cte.query.as_ref()), folded(&cte.alias.name));
        }
        if self.with > WITH_MAX {
            too_complex(&format!("It names more than {WITH_MAX} queries with WITH."))
        } else {
            ControlFlow::Continue(())
        }
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let read = self.read.pop().unwrap_or(0);
        match self.names.remove(&std::ptr::from_ref(query)) {
            // Of queries of one name, in different places, the larger counts.
            Some(name) => {
                let known = self.named.entry(name).or_default();
                // A query that reads nothing is computed all the same, wherever it is named.
                *known = read.max(*known).max(1);
            }
            None => self.reads(read),
        }
        if read > EXPANDED_MAX {
            return too_complex(&format!(
                "It reads more than {EXPANDED_MAX} relations, with those of each query of WITH wherever it is named."
            ));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        self.depth += usize::from(is_subquery(expr));
        if self.depth > SUBQUERIES_DEPTH_MAX {
            return too_complex(&format!("Its subqueries nest deeper than {SUBQUERIES_DEPTH_MAX} levels."));
        }
        self.chain += usize::from(computes(expr));
        if self.chain > CHAIN_MAX {
            return too_complex(&format!("More than {CHAIN_MAX} operators compute one value."));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        self.depth -= usize::from(is_subquery(expr));
        self.chain -= usize::from(computes(expr));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        if select.projection.len() > COLUMNS_MAX {
            let message = format!("target lists can have at most {COLUMNS_MAX} entries");
            return ControlFlow::Break(Box::new(ClientMessage::new(SqlState::TOO_MANY_COLUMNS, message)));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        self.relations += 1;
        if let TableFactor::Table { name, .. } = factor {
            let named = match name.0.as_slice() {
                [part] => part.as_ident().and_then(|name| self.named.get(&folded(name))).copied(),
                _ => None,
            };
            self.reads(named.unwrap_or(1));
        }
        if self.relations > RELATIONS_MAX {
            too_complex(&format!("It reads more than {RELATIONS_MAX} relations."))
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl Sizes {
    /// The innermost query reads so many more.
    fn reads(&mut self, relations: u64) {
        if let Some(read) = self.read.last_mut() {
            *read = read.saturating_add(relations);
        }
    }
}

fn too_complex(what: &str) -> ControlFlow<Box<ClientMessage>> {
    let message = ClientMessage::new(SqlState::STATEMENT_TOO_COMPLEX, "statement is too complex");
    ControlFlow::Break(Box::new(message.with_detail(what).with_hint("Split the statement.")))
}

#[cfg(test)]
mod tests {
    use super::super::{TextLimits, parse};
    use crate::error::SqlState;

    fn is_refused(sql: &str) -> bool {
        parse(sql, &TextLimits::default()).is_err_and(|message| message.sqlstate == SqlState::STATEMENT_TOO_COMPLEX)
    }

    fn named(first: &str, levels: usize) -> String {
        let twice = |level: usize| format!(", c{level} AS (SELECT 1 FROM c{0} a, c{0} b)", level - 1);
        format!("WITH c0 AS ({first}){} SELECT 1 FROM c{}", (1..levels).map(twice).collect::<String>(), levels - 1)
    }

    #[test]
    fn queries_that_double_with_each_name_are_bounded() {
        for first in ["SELECT 1 FROM t", "SELECT 1", "VALUES (1)"] {
            assert!(!is_refused(&named(first, 10)));
            assert!(is_refused(&named(first, 20)));
            assert!(is_refused(&format!("SELECT 1 FROM ({}) t", named(first, 20))));
        }
        assert!(!is_refused("WITH a AS (SELECT 1), b AS (SELECT * FROM a), c AS (SELECT * FROM a, b) SELECT * FROM a, b, c"));
    }

    #[test]
    fn subqueries_within_each_other_are_bounded() {
        let nested = |levels: usize| format!("SELECT {}1{}", "(SELECT ".repeat(levels), ")".repeat(levels));
        assert!(!is_refused(&nested(12)) && is_refused(&nested(13)));
        let exists = |levels: usize| format!("SELECT 1 WHERE {}true{}", "EXISTS (SELECT 1 WHERE ".repeat(levels), ")".repeat(levels));
        assert!(!is_refused(&exists(12)) && is_refused(&exists(13)));
        let beside = format!("SELECT {}", vec!["(SELECT 1)"; 40].join(", "));
        assert!(!is_refused(&beside));
    }
}
