//! Sessions, statements, the one pipeline, running queries.
//!
//! INVARIANT: every row that leaves the gateway comes out of [`RowStream`], and a `RowStream` is made only by `pipeline`
//! and by the session's own answers (SHOW, EXPLAIN).

mod advisory;
mod answers;
mod attempt;
mod bounded;
mod budget;
mod client_encoding;
mod column;
mod columns;
mod cooperation;
mod cursor;
mod documents;
#[expect(clippy::module_inception, reason = "the engine itself, beside what it is made of")]
mod engine;
mod executor;
mod explanation;
pub(crate) mod fault;
mod gathered;
mod hints;
mod in_force;
mod in_order;
mod inference;
mod kept_types;
mod leftovers;
mod lineage_run;
mod memory;
mod moment;
mod notices;
mod objects;
mod offset;
mod opener;
mod outcome;
mod own_relations;
mod parameter;
mod pipeline;
mod place;
mod planner;
mod planning;
mod plans;
mod prompt;
mod repeat;
mod reply;
mod scroll;
mod search_path;
mod semantics;
mod serial;
mod session;
mod session_request;
mod settings;
mod shared_settings;
mod signals;
mod sql;
mod standing;
mod statement_facts;
mod stream;
mod styles;
mod time_zone;
mod transaction;
mod values;
mod world;

pub use crate::catalog::{Connection, Encryption};
pub use client_encoding::ClientEncoding;
pub use column::{Column, PgType};
pub use engine::{Clock, Engine, EngineOptions};
pub use in_force::InForce;
pub use memory::{HeldMemory, Memory};
pub use parameter::{Format, Parameter, decode as decode_parameter};
pub use reply::{CopyFormat, CopyOut, Notice, Reply, RowStream, TransactionStatus};
pub use semantics::{Carried, RangeParts, range_parts};
pub use session::{Description, Session};
pub use session_request::{Everyone, SessionRequest, Whoever};
pub use settings::{SERVER_VERSION, Settings};
pub use signals::{Stopper, Stopping};
pub use sql::{Statement, TextLimits};
pub use stream::{Stop, StopCause};
pub use styles::{ByteaOutput, DateFormat, DateOrder, DateStyle, IntervalStyle};
pub use time_zone::TimeZone;
pub use world::{World, Worlds};

#[cfg(test)]
mod tests;
