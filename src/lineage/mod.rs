//! Lineage of what was asked: which fields of which products a statement reads, how, and what becomes of them in its result.
//!
//! [`trace`] reads the analyzed logical plan before it is governed, so that filters and masks of policies are no part of it;
//! [`Emitter`] sends OpenLineage events. Lineage fails open: a slow or broken sink drops events and counts them, and never holds up
//! a query. [`gaps`] compares what contracts declare with what was read.

#[cfg(test)]
mod brute_force;
mod emitter;
mod events;
mod expression;
mod gaps;
mod lines;
mod model;
mod openlineage;
mod sink;
mod trace;
#[cfg(test)]
mod trace_tests;

pub use emitter::Emitter;
pub use gaps::{GapKind, LineageGap, Observed, Reads, Upstream, gaps};
pub use model::{FieldUse, Input, InputField, Lineage, OutputColumn, Source, Transformation};
pub use openlineage::{Ending, Run, RunEvent};
pub use sink::{ConsoleSink, FileSink, Sink};
pub use trace::trace;
