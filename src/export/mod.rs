//! What other catalogues are told of the mesh: the contracts, and what was read, in their own words.
//!
//! INVARIANT: no location, credential, rule or value of the data is in what is exported; it says what `mesh.*` says to an auditor. Where it goes
//! is the caller's to know.

mod assertions;
mod datahub;
mod dataset;
mod derivation;
#[cfg(test)]
mod tests;
mod urn;

pub use datahub::{Proposal, datahub};
pub use urn::{dataset_urn, field_urn};
