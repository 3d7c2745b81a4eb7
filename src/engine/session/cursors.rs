//! DECLARE, FETCH and MOVE.
//!
//! The query of a cursor is decided and recorded at its first FETCH, and as a statement of its own: its rows are counted there, over all
//! fetches. A cursor that goes back to its start runs its query anew, decided anew.

use datafusion::common::ScalarValue;

use crate::engine::cursor::Cursor;
use crate::engine::reply::{Reply, TransactionStatus};
use crate::engine::sql::{self, Query};
use crate::error::{ClientMessage, SqlState};

use super::{Session, duplicate_cursor};

impl Session {
    pub(super) async fn declare(
        &mut self,
        name: &str,
        hold: bool,
        scroll: bool,
        query: &Query,
        values: &[ScalarValue],
    ) -> Result<Reply, ClientMessage> {
        if !hold && !self.several && self.transaction.status() == TransactionStatus::Idle {
            return Err(ClientMessage::new(SqlState::NO_ACTIVE_TRANSACTION, "DECLARE CURSOR can only be used in transaction blocks"));
        }
        if self.cursors.contains_key(name) || self.portals.contains_key(name) {
            return Err(duplicate_cursor(name));
        }
        if self.cursors.len() >= self.shared.options.portals_max {
            return Err(ClientMessage::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, "too many cursors")
                .with_hint("Close cursors that are no longer needed."));
        }
        let (_, columns) = self.describe_query(query, &vec![None; values.len()]).await?;
        self.cursors.insert(name.to_owned(), Cursor::new(query.clone(), values.to_vec(), columns, hold, scroll));
        Ok(Reply::Done("DECLARE CURSOR".to_owned()))
    }

    pub(super) fn cursor(&self, name: &str) -> Result<&Cursor, ClientMessage> {
        self.cursors.get(name).ok_or_else(|| ClientMessage::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist")))
    }

    pub(super) async fn fetch(&mut self, name: &str, direction: sql::Direction, skip: bool) -> Result<Reply, ClientMessage> {
        let cursor = match self.portal_cursor(name) {
            Some(cursor) => cursor,
            None => self.cursor(name)?.clone(),
        };
        let rows_max = match direction {
            _ if cursor.scrolls() => None,
            sql::Direction::Forward(rows) => Some(rows),
            sql::Direction::All => None,
            sql::Direction::Start => {
                let moved = cursor.rewind().await;
                return Ok(if skip {
                    Reply::Done(format!("MOVE {moved}"))
                } else {
                    Reply::Rows(cursor.fetch(Some(0), "FETCH", self.deadline))
                });
            }
            sql::Direction::Relative(distance) if distance > 0 => {
                return Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "FETCH RELATIVE is supported of scroll cursors only")
                    .with_hint("Declare it with SCROLL option."));
            }
            sql::Direction::Backward(_) | sql::Direction::Absolute(_) | sql::Direction::Relative(_) => {
                return Err(ClientMessage::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
                    .with_hint("Declare it with SCROLL option to enable backward scan."));
            }
        };
        if cursor.needs_start().await {
            let pipeline = self.pipeline(self.attempt(&cursor.query().text, "cursor"));
            let started = pipeline.run_unhurried(cursor.query(), cursor.values(), "FETCH").await?;
            self.tell(&started.notices);
            cursor.start(started.rows).await;
        } else {
            cursor.resume().await?;
        }
        if cursor.scrolls() {
            return Ok(if skip {
                Reply::Done(format!("MOVE {}", cursor.moved(direction, self.deadline).await?))
            } else {
                Reply::Rows(cursor.scrolled(direction, "FETCH", self.deadline).await?)
            });
        }
        if skip {
            let mut rows = cursor.fetch(rows_max, "FETCH", self.deadline);
            let mut moved = 0u64;
            while let Some(batch) = rows.next().await {
                moved += u64::try_from(batch?.num_rows()).unwrap_or(u64::MAX);
            }
            return Ok(Reply::Done(format!("MOVE {moved}")));
        }
        Ok(Reply::Rows(cursor.fetch(rows_max, "FETCH", self.deadline)))
    }
}
