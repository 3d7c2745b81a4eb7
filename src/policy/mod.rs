//! The decision point: a request goes in, one [`Decision`] comes out. No I/O, no plan type.
//!
//! INVARIANT: whatever is undefined, unknown, malformed or late is a deny.
//!
//! The governance team's Rego decides ([`Bundle`]); the guard sees to it that the rules are asked a complete question, that their answer
//! can be enforced, and that the contract's obligations hold unless the answer lifts them by name.

mod answer;
mod bundle;
mod cache;
mod condition;
mod contract;
mod course;
mod coverage;
mod decision;
mod difference;
mod entries;
mod evaluate;
mod explain;
mod expression;
mod file;
mod found;
mod guard;
mod input;
mod manifest;
mod mask;
mod narrow;
mod past;
mod point;
mod predicate;
mod question;
mod reads;
mod rego;
mod request;
mod residual;
mod schema;
mod sieve;
mod test;
mod test_report;
mod told;

pub use crate::product::Mask;
pub use bundle::{Bundle, ENTRY_PACKAGE};
pub use coverage::Coverage;
pub use decision::{Decision, DecisionId, DenyReason, Exclusion, IntegerHasher, Obligations, Outcome, RowRule, RulePlace, SubjectSet};
pub use difference::{Change, Condition, Masking, Sight};
pub use evaluate::{CatalogFacts, EvaluationFault, evaluate};
pub use explain::{Clause, Effect};
pub use file::{BundleFault, BundleFile};
pub use manifest::MANIFEST_PATH;
pub use mask::MaskKeys;
pub use point::{DecisionPoint, Sampled};
pub use predicate::{CompareOp, LetterCase, Literal, Predicate, TextTest};
pub use question::{Question, Recorded};
pub use request::{AccessRequest, FieldUse, RequestContext, RequestedField};
pub use residual::Computed;
pub use sieve::IntegerSubjects;
pub use test::{TestOptions, test};
pub use test_report::{TestOutcome, TestReport, TestResult};
