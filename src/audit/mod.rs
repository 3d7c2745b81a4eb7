//! The audit log: who asked what, what was decided, and how it ended, in append-only, hash-chained segments of JSON lines.
//!
//! INVARIANT: [`AuditLog::open_statement`] returns only when the opening record and its decisions are on stable storage; no row may
//! leave before. A log that cannot be written refuses every further statement (53100) until a fresh segment has been opened, chained
//! and synced. A sync is never retried on the segment on which it failed.
//! Every opened statement is closed once: by [`OpenStatement::close`], or as aborted when it is dropped.
//! The fields of each record are described in `docs/audit.md`. What a statement means, and when it is opened, is the engine's to know.

mod error;
mod event;
mod fields;
mod fingerprint;
mod gathering;
mod head;
mod history;
mod keeper;
mod layout;
mod log;
mod origin;
mod past;
mod queue;
mod record;
mod scan;
mod schema;
mod split;
mod statement;
mod storage;
#[cfg(test)]
mod tampering;
mod verify;
mod writer;

pub use error::Error;
pub use event::{
    Closing, ConnectionClosed, ConnectionOpened, ContractInForce, Contracts, DecisionRecord, Event, FieldAccess, LoginFailed,
    ProductAccess, Registration, Reload, StatementOpened, StatementOutcome,
};
pub use fingerprint::fingerprint;
pub use head::{Head, HeadFault, HeadFaultKind, HeadKey, KeyError, SignedHead, read_heads};
pub use history::{PastDecision, history};
pub use keeper::Keeping;
pub use layout::{Place, Span};
pub use log::{AuditLog, AuditOptions, Clock, Reserved, SqlText, StatementNote};
pub use origin::{Origin, WrittenOrigin};
pub use past::{PastAccess, PastEnd, PastField, PastJudgement, PastMask, PastStatement};
pub use record::SCHEMA_VERSION;
pub use scan::{During, Reader, Statements};
pub use schema::schema;
pub use statement::{Dropped, OpenStatement};
pub use storage::{MemoryLog, Segment, Segments, Storage};
pub use verify::{Fault, FaultKind, Heads, Verification, verify};
