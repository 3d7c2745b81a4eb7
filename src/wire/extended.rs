//! The extended protocol: Parse, Bind, Describe, Execute, Close.
//!
//! INVARIANT: any row limit is safe: it is only ever compared, never allocated for. A portal is either bound in the session and here, or
//! in neither.

use pgwire::messages::data::NoData;
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::EmptyQueryResponse;

use crate::engine::{Format, Reply, TransactionStatus};
use crate::error::{ClientMessage, SqlState};

use super::backend::Session;
use super::conversation::{Conversation, Failure};
use super::frontend::{Bind, Named, violation};
use super::respond;
use super::rows::Rows;

/// What the wire keeps of a portal.
#[derive(Debug)]
pub(super) struct Portal {
    formats: Vec<Format>,
    state: PortalState,
}

#[derive(Debug)]
enum PortalState {
    /// Bound; its rows begin, or go on, in the session.
    Bound,
    /// Executed up to a row limit.
    Suspended(Rows),
    /// All rows are sent; the tag of a run that finds no more.
    Drained(String),
    /// It answered no rows and cannot run again.
    Done,
}

impl<S: Session> Conversation<'_, S> {
    pub(super) async fn parse(&mut self, name: &str, text: &str, parameter_oids: &[u32]) -> Result<(), Failure> {
        self.begin();
        let (guard, reader, writer, session, _) = self.guarded();
        guard.race(session.prepare(name, text, parameter_oids), reader).await??;
        writer.put(&ParseComplete::new());
        Ok(())
    }

    pub(super) async fn bind(&mut self, bind: Bind) -> Result<(), Failure> {
        self.begin();
        if bind.portal.is_empty() {
            self.drop_portal("");
        } else if self.has_portal(&bind.portal) && self.session.transaction_status() != TransactionStatus::Failed {
            return Err(ClientMessage::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{}\" already exists", bind.portal)).into());
        }
        let (guard, reader, _, session, _) = self.guarded();
        let described = guard.race(session.describe_statement(&bind.statement), reader).await??;
        if described.parameters.len() != bind.parameters.len() {
            let (given, needed) = (bind.parameters.len(), described.parameters.len());
            let message =
                format!("bind message supplies {given} parameters, but prepared statement \"{}\" requires {needed}", bind.statement);
            return Err(violation(message).into());
        }
        let formats = bind.result_formats.len();
        // What answers no rows has use for none.
        if let Some(columns) = described.columns.map(|columns| columns.len())
            && formats > 1
            && formats != columns
        {
            return Err(violation(format!("bind message has {formats} result formats but query has {columns} columns")).into());
        }
        let bound = session.bind(&bind.portal, &bind.statement, bind.parameters, &bind.result_formats);
        guard.race(bound, reader).await??;
        self.portals.insert(bind.portal, Portal { formats: bind.result_formats, state: PortalState::Bound });
        self.writer.put(&BindComplete::new());
        Ok(())
    }

    pub(super) async fn describe(&mut self, named: Named) -> Result<(), Failure> {
        self.begin();
        let mut formats = Vec::new();
        if let Named::Portal(name) = &named
            && let Some(portal) = self.portals.get(name)
        {
            formats.clone_from(&portal.formats);
        }
        let (guard, reader, writer, session, _) = self.guarded();
        let columns = match &named {
            Named::Statement(name) => {
                let described = guard.race(session.describe_statement(name), reader).await??;
                writer.put(&respond::parameter_description(&described.parameters));
                described.columns
            }
            Named::Portal(name) => guard.race(session.describe_portal(name), reader).await??,
        };
        match columns {
            Some(columns) => writer.put(&respond::row_description(&columns, &formats)),
            None => writer.put(&NoData::new()),
        }
        Ok(())
    }

    pub(super) fn close(&mut self, named: Named) {
        match named {
            Named::Statement(name) => self.session.close_statement(&name),
            Named::Portal(name) => self.drop_portal(&name),
        }
        self.writer.put(&CloseComplete::new());
    }

    /// Whether the portal is there, and not gone with a savepoint.
    fn has_portal(&mut self, name: &str) -> bool {
        let there = self.session.has_portal(name);
        if !there {
            self.portals.remove(name);
        }
        there && self.portals.contains_key(name)
    }

    pub(super) async fn execute(&mut self, name: &str, rows_max: i32) -> Result<(), Failure> {
        self.begin();
        self.has_portal(name);
        self.session.check_portal(name)?;
        // The portal is out of the table while it runs: if this future is dropped or fails, its rows are dropped with it.
        let bound = self.portals.remove(name);
        // A cursor that DECLARE made can be executed like a portal, and stays the session's.
        let declared = bound.is_none() && self.session.has_cursor(name);
        let portal = match bound {
            Some(portal) => portal,
            None if declared => Portal { formats: Vec::new(), state: PortalState::Bound },
            None => return Err(no_portal(name).into()),
        };
        let limit = u64::try_from(rows_max).ok().filter(|limit| *limit > 0);
        let state = match portal.state {
            PortalState::Bound => {
                let (guard, reader, _, session, _) = self.guarded();
                let reply = guard.race(session.execute_portal(name, limit), reader).await??;
                self.first_reply(reply, &portal.formats, limit).await?
            }
            PortalState::Suspended(mut rows) => {
                let (guard, reader, _, _, _) = self.guarded();
                guard.race(rows.resume(), reader).await??;
                self.send_portal(rows, &portal.formats, limit).await?
            }
            PortalState::Drained(tag) => {
                self.complete(tag.clone());
                PortalState::Drained(tag)
            }
            PortalState::Done => {
                let message = format!("portal \"{name}\" cannot be run");
                return Err(ClientMessage::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
            }
        };
        if !declared {
            self.portals.insert(name.to_owned(), Portal { formats: portal.formats, state });
        }
        if self.writer.is_full() {
            self.flush().await?;
        }
        Ok(())
    }

    async fn first_reply(&mut self, reply: Reply, formats: &[Format], limit: Option<u64>) -> Result<PortalState, Failure> {
        match reply {
            Reply::Rows(stream) => return self.send_portal(Rows::new(stream), formats, limit).await,
            Reply::Empty => {
                self.writer.put(&EmptyQueryResponse::new());
                return Ok(PortalState::Bound);
            }
            Reply::Done(tag) => self.complete(tag),
            Reply::Copy(copy) => self.copy_out(copy).await?,
        }
        Ok(PortalState::Done)
    }

    async fn send_portal(&mut self, mut rows: Rows, formats: &[Format], limit: Option<u64>) -> Result<PortalState, Failure> {
        let sent = self.send_rows(&mut rows, formats, limit).await?;
        if sent.complete {
            self.complete(rows.tag(sent.rows));
            Ok(PortalState::Drained(rows.tag(0)))
        } else {
            rows.pause();
            self.writer.put(&PortalSuspended::new());
            Ok(if rows.goes_on_in_session() { PortalState::Bound } else { PortalState::Suspended(rows) })
        }
    }

    pub(super) fn drop_portal(&mut self, name: &str) {
        self.portals.remove(name);
        self.session.close_portal(name);
    }

    pub(super) fn drop_portals(&mut self) {
        for (name, _) in self.portals.drain() {
            self.session.close_portal(&name);
        }
    }
}

fn no_portal(name: &str) -> ClientMessage {
    ClientMessage::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
