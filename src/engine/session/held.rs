//! What a session holds, as `pg_cursors` and `pg_prepared_statements` show it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::{self, OpenCursor, PreparedStatement};
use crate::engine::cursor::{Cursor, Reach};

use super::Prepared;

/// The cursors and prepared statements of a moment.
pub(super) struct Held {
    statements: Arc<HashMap<String, Prepared>>,
    cursors: Vec<(String, Cursor)>,
}

impl Held {
    pub(super) fn new(statements: &Arc<HashMap<String, Prepared>>, cursors: &HashMap<String, Cursor>) -> Self {
        let cursors = cursors.iter().map(|(name, cursor)| (name.clone(), cursor.clone())).collect();
        Self { statements: Arc::clone(statements), cursors }
    }
}

impl catalog::Held for Held {
    fn cursors(&self) -> Vec<OpenCursor> {
        let shown = |(name, cursor): &(String, Cursor)| {
            let options = cursor.options();
            OpenCursor {
                name: name.clone(),
                statement: cursor.text().to_owned(),
                hold: options.hold,
                binary: options.binary,
                scroll: options.reach != Reach::Nowhere,
                made_micros: options.made.timestamp_micros(),
            }
        };
        self.cursors.iter().map(shown).collect()
    }

    fn prepared(&self) -> Vec<PreparedStatement> {
        // A statement without a name is not listed.
        let named = self.statements.iter().filter(|(name, _)| !name.is_empty());
        let shown = |(name, prepared): (&String, &Prepared)| PreparedStatement {
            name: name.clone(),
            statement: prepared.made.text.clone(),
            parameters: prepared.parameters.iter().map(|pg_type| pg_type.oid).collect(),
            by_sql: prepared.made.by_sql,
            made_micros: prepared.made.at.timestamp_micros(),
        };
        named.map(shown).collect()
    }
}
