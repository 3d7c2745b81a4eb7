//! Sessions, statements, the one pipeline, running queries.
//!
//! INVARIANT: every row that leaves the gateway comes out of [`RowStream`], and a `RowStream` is made only by `pipeline`.

mod column;
pub mod fault;
mod parameter;
mod reply;
mod time_zone;

pub use column::{Column, PgType};
pub use parameter::{Format, Parameter, decode as decode_parameter};
pub use reply::{CopyFormat, CopyOut, Notice, Reply, RowStream, TransactionStatus};
pub use time_zone::TimeZone;
