//! Queries of WITH that are read several times and would answer otherwise each time.
//!
//! PostgreSQL computes such a query once. The engine puts it in the place of each of its names, which is the same only if it answers the same.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Statement, TableFactor, Visit, Visitor};

use crate::catalog::folded;
use crate::error::{ClientMessage, SqlState};

use super::spelling::{Flow, last};

/// Functions that answer otherwise at each call.
const CHANGING: [&str; 2] = ["random", "gen_random_uuid"];

/// Refuses a statement that reads such a query more than once.
pub(super) fn check(statement: &Statement) -> Result<(), ClientMessage> {
    match statement.visit(&mut Withs) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(*refusal),
    }
}

struct Withs;

impl Visitor for Withs {
    type Break = Box<ClientMessage>;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        let mut changing: HashSet<String> = HashSet::new();
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let mut reads = Reads { changing: &changing, name: None, found: 0 };
            let _: ControlFlow<()> = cte.query.visit(&mut reads);
            if reads.found == 0 {
                continue;
            }
            let name = folded(&cte.alias.name);
            // What it reads of itself is recursion.
            let read = |within: &Query| {
                let mut reads = Reads { changing: &HashSet::new(), name: Some(&name), found: 0 };
                let _: ControlFlow<()> = within.visit(&mut reads);
                reads.found
            };
            if read(query) > read(&cte.query) + 1 {
                let text = format!("to read the WITH query \"{name}\", which answers otherwise each time, more than once is not supported");
                let hint = "Read it once, and compute what is needed of it in one query.";
                return ControlFlow::Break(Box::new(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, text).with_hint(hint)));
            }
            changing.insert(name);
        }
        ControlFlow::Continue(())
    }
}

/// Counts the reads of one name, or what makes an answer another each time.
struct Reads<'a> {
    changing: &'a HashSet<String>,
    name: Option<&'a str>,
    found: usize,
}

impl Visitor for Reads<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, sample, .. } = factor {
            let bare = match name.0.as_slice() {
                [part] => part.as_ident().map(folded),
                _ => None,
            };
            let read = |bare: &String| self.name == Some(bare.as_str()) || self.changing.contains(bare);
            self.found += usize::from(bare.as_ref().is_some_and(read) || self.name.is_none() && sample.is_some());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && self.name.is_none()
        {
            self.found += usize::from(CHANGING.contains(&last(&function.name).as_str()));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, TextLimits, parse};

    fn refused(sql: &str) -> bool {
        matches!(parse(sql, &TextLimits::default()).unwrap().remove(0).kind, Kind::Refused(_))
    }

    #[test]
    fn what_changes_is_read_once() {
        let with = "WITH q AS MATERIALIZED (SELECT random() AS x), r AS (SELECT x FROM q), s AS (SELECT 1 AS x)";
        assert!(refused(&format!("{with} SELECT * FROM r AS a, r AS b")));
        assert!(refused(&format!("{with} SELECT * FROM q WHERE x < (SELECT max(x) FROM r)")));
        assert!(!refused(&format!("{with} SELECT * FROM r, s AS a, s AS b")));
        assert!(!refused("WITH RECURSIVE q(x) AS (SELECT random() UNION ALL SELECT x + 1 FROM q WHERE x < 3) SELECT * FROM q"));
    }
}
