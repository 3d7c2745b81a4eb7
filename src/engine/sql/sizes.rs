//! Bounds on what a query names: time and memory to plan it grow faster than the number of its columns and relations.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Query, Select, Statement, TableFactor, Visit, Visitor};

use crate::error::{ClientMessage, SqlState};

/// Columns of one SELECT list, as in PostgreSQL.
const COLUMNS_MAX: usize = 1_664;
/// Relations that one statement reads, each as often as it is named.
const RELATIONS_MAX: usize = 100;
/// Queries named by WITH in one statement.
const WITH_MAX: usize = 200;

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
}

impl Visitor for Sizes {
    type Break = Box<ClientMessage>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        self.with += query.with.as_ref().map_or(0, |with| with.cte_tables.len());
        if self.with > WITH_MAX {
            too_complex(&format!("It names more than {WITH_MAX} queries with WITH."))
        } else {
            ControlFlow::Continue(())
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        if select.projection.len() > COLUMNS_MAX {
            let message = format!("target lists can have at most {COLUMNS_MAX} entries");
            return ControlFlow::Break(Box::new(ClientMessage::new(SqlState::TOO_MANY_COLUMNS, message)));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, _: &TableFactor) -> ControlFlow<Self::Break> {
        self.relations += 1;
        if self.relations > RELATIONS_MAX {
            too_complex(&format!("It reads more than {RELATIONS_MAX} relations."))
        } else {
            ControlFlow::Continue(())
        }
    }
}

fn too_complex(what: &str) -> ControlFlow<Box<ClientMessage>> {
    let message = ClientMessage::new(SqlState::STATEMENT_TOO_COMPLEX, "statement is too complex");
    ControlFlow::Break(Box::new(message.with_detail(what).with_hint("Split the statement.")))
}
