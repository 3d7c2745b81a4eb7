//! The decision point: a request goes in, one [`Decision`] comes out. No I/O, no plan type.
//!
//! INVARIANT: whatever is undefined, unknown, malformed or late is a deny.

mod decision;
mod mask;
mod predicate;
mod request;

pub use decision::{Decision, DecisionId, DenyReason, Exclusion, Obligations, Outcome, SubjectSet};
pub use mask::Mask;
pub use predicate::{CompareOp, Literal, Predicate};
pub use request::{AccessRequest, FieldUse, RequestContext, RequestedField};
