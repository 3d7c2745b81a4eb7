//! PostgreSQL's meaning of expressions, where the engine's own differs.
//!
//! `apply` runs before the engine coerces types, and puts functions of this module in the place of operators, casts and
//! literals. INVARIANT: what is put in gives PostgreSQL's answer or an error, never another answer; no error names a value.

mod arithmetic;
mod bytes;
mod casts;
mod expression;
mod fields;
mod format;
mod function;
mod literals;
mod numeric;
mod parse;
mod rule;
mod series;
mod temporal;
mod text;
mod truncation;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::logical_expr::ScalarUDF;

use super::TimeZone;

pub(super) use literals::bound;
pub(super) use rule::apply;

/// What expressions may know of their statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    /// When the statement started.
    pub(super) now: DateTime<Utc>,
    /// The session's zone.
    pub(super) time_zone: TimeZone,
}

/// The functions that queries call by name.
pub(super) fn functions(facts: Facts) -> Vec<Arc<ScalarUDF>> {
    let mut functions = temporal::all(facts);
    functions.extend(format::all(facts));
    functions.extend(series::all());
    functions.extend(bytes::all());
    functions.extend(numeric::all());
    functions
}
