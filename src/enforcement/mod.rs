//! Enforces decisions: the only way from a plan to the rows of a data product.
//!
//! A statement goes through [`observe`] (what does it read?), a decision for each product, [`govern`] (only then can a table be
//! scanned), the optimizer, and [`verify`] (does every leaf stand under a barrier?).
//!
//! INVARIANT: the user's expressions see only what a decision lets through. Rows that a row filter or an exclusion hides and raw
//! values that a mask replaces never reach an operator above [`GovernedExec`], not even to make it fail.
//! What is decided, and why, belongs to `policy`; where the rows are belongs to `ports`.

mod absorption;
#[cfg(test)]
mod alike;
mod barrier;
mod compiled;
mod computed;
mod error;
mod exclusion;
mod explain;
mod govern;
mod governor;
mod joined;
mod keys;
mod leakproof;
#[cfg(test)]
mod leaks;
mod mask;
#[cfg(test)]
mod masking;
mod member;
mod placement;
#[cfg(test)]
mod plans;
mod recall;
mod row_filter;
mod size;
mod table;
mod terms;
#[cfg(test)]
mod testing;
mod usage;
mod verify;

pub use absorption::{TakenOver, absorb, absorb_again, taken_over};
pub use barrier::GovernedExec;
pub use error::{Error, Obligation, PortCause};
pub use explain::{Shown, ShownPlan, explain_above_barrier};
pub use govern::{govern, rescan};
pub use placement::reaches_port;
pub use recall::{Selections, SelectionsUsed};
pub use size::reads_much;
pub use table::GovernedTable;
pub use usage::{ProductUse, observe};
pub use verify::verify;
