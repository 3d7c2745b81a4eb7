//! DECLARE, FETCH and MOVE.
//!
//! The query of a cursor is decided and recorded at its first FETCH, and as a statement of its own: its rows are counted there, over all
//! fetches. What a declared cursor keeps of its text is taken of the session's budget. A cursor that goes back to its start runs its query anew, decided anew.

use std::sync::Arc;

use crate::engine::budget;
use crate::engine::cursor::{Cursor, Options, Reach};
use crate::engine::reply::{Reply, TransactionStatus};
use crate::engine::sql::{self, DeclareOptions, Query};
use crate::engine::values::Given;
use crate::error::{ClientMessage, SqlState};

use super::{Session, duplicate_cursor};

impl Session {
    pub(super) async fn declare(
        &mut self,
        name: &str,
        text: &str,
        options: DeclareOptions,
        query: &Query,
        given: &Given,
    ) -> Result<Reply, ClientMessage> {
        if !options.hold && !self.several && self.transaction.status() == TransactionStatus::Idle {
            return Err(ClientMessage::new(SqlState::NO_ACTIVE_TRANSACTION, "DECLARE CURSOR can only be used in transaction blocks"));
        }
        if self.cursors.contains_key(name) || self.portals.contains_key(name) {
            return Err(duplicate_cursor(name));
        }
        if self.cursors.len() >= self.shared.options.portals_max {
            return Err(ClientMessage::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, "too many cursors")
                .with_hint("Close cursors that are no longer needed."));
        }

        let bytes = budget::of_statement(text).saturating_add(budget::of_values(given.values()));
        let part = Arc::new(self.budget.take(bytes, "cursors")?);
        let reach = match options.scroll {
            Some(true) => Reach::Far,
            Some(false) => Reach::Nowhere,
            None => Reach::Near,
        };
        let options =
            Options { hold: options.hold, reach, binary: options.binary, level: self.transaction.savepoints(), made: self.shared.now() };
        let (_, columns) = self.describe_query(query, &given.told()).await?;
        self.cursors.insert(name.to_owned(), Cursor::new(text, query.clone(), given.clone(), columns, options, part));
        Ok(Reply::Done("DECLARE CURSOR".to_owned()))
    }

    /// Runs the query of a declared cursor.
    pub(super) async fn start_cursor(&mut self, cursor: &Cursor) -> Result<(), ClientMessage> {
        let pipeline = self.pipeline(self.attempt(&cursor.query().text, "cursor"));
        let started = pipeline.run_unhurried(cursor.query(), cursor.given(), "FETCH").await?;
        self.tell(&started.notices);
        cursor.start(started.rows).await;
        Ok(())
    }

    pub(super) fn cursor(&self, name: &str) -> Result<&Cursor, ClientMessage> {
        self.cursors.get(name).ok_or_else(|| ClientMessage::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist")))
    }

    pub(super) async fn fetch(&mut self, name: &str, direction: sql::Direction, skip: bool) -> Result<Reply, ClientMessage> {
        let cursor = match self.portal_cursor(name) {
            Some(cursor) => cursor,
            None => self.cursor(name)?.clone(),
        };
        if matches!(direction, sql::Direction::Start | sql::Direction::Absolute(0)) && cursor.options().reach != Reach::Nowhere {
            let moved = cursor.rewind().await;
            return Ok(match (skip, direction) {
                (true, sql::Direction::Start) => Reply::Done(format!("MOVE {moved}")),
                (true, _) => Reply::Done("MOVE 0".to_owned()),
                (false, _) => Reply::Rows(cursor.fetch(Some(0), "FETCH", self.deadline)),
            });
        }
        if !cursor.reaches(direction).await {
            return Err(ClientMessage::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
                .with_hint("Declare it with SCROLL option to enable backward scan."));
        }
        self.fetching = Some(name.to_owned());
        if cursor.needs_start().await {
            self.start_cursor(&cursor).await?;
        } else {
            cursor.resume().await?;
        }
        let rows_max = match direction {
            sql::Direction::Forward(rows) if rows > 0 => Some(rows),
            sql::Direction::All => None,
            _ if skip => return Ok(Reply::Done(format!("MOVE {}", cursor.moved(direction, self.deadline).await?))),
            _ => return Ok(Reply::Rows(cursor.scrolled(direction, "FETCH", self.deadline).await?)),
        };
        if !skip {
            return Ok(Reply::Rows(cursor.fetch(rows_max, "FETCH", self.deadline)));
        }
        let mut rows = cursor.fetch(rows_max, "FETCH", self.deadline);
        let mut moved = 0u64;
        while let Some(batch) = rows.next().await {
            moved += u64::try_from(batch?.num_rows()).unwrap_or(u64::MAX);
        }
        Ok(Reply::Done(format!("MOVE {moved}")))
    }
}
