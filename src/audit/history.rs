//! Reads recorded decisions back, for whoever judges them anew.
//!
//! Only records of a log that holds are handed over; what EXPLAIN POLICY asked is left out, for nobody was to read by it.

use std::collections::HashSet;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::product::OWN_SCHEMA;

use super::storage::FolderSegments;
use super::verify::walk;
use super::{Error, Heads, Verification};

/// The class of statements that ask for nothing but an explanation.
const EXPLANATION: &str = "explain_policy";

/// One recorded decision.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PastDecision {
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// The statement.
    pub query_id: String,
    /// The product's domain.
    pub domain: String,
    /// The product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// The output port.
    pub port: String,
    /// What the policies were asked.
    pub input: Value,
    /// What they answered.
    pub result: Value,
    /// `{"meshgate": {"revision": …}}`
    pub bundles: Value,
    /// `allow` or `deny`.
    pub outcome: String,
}

impl PastDecision {
    /// The revision of the bundle that decided.
    pub fn bundle_revision(&self) -> &str {
        self.bundles.pointer("/meshgate/revision").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The envelope of a record.
#[derive(Deserialize)]
struct Kind {
    kind: String,
    query_id: Option<String>,
    statement_class: Option<String>,
}

/// The decisions in a folder's log, in their order, and whether the log holds. A record that holds and cannot be understood is counted.
pub fn history(folder: &Path) -> Result<(Vec<PastDecision>, u64, Verification), Error> {
    let mut explanations = HashSet::new();
    let mut decisions = Vec::new();
    let mut unreadable = 0_u64;
    let verification = walk(&FolderSegments(folder.to_owned()), &Heads::new(), |line| {
        let Ok(record) = serde_json::from_slice::<Kind>(line) else {
            unreadable += 1;
            return;
        };
        match record.kind.as_str() {
            "statement_opened" if record.statement_class.as_deref() == Some(EXPLANATION) => explanations.extend(record.query_id),
            "decision" => match serde_json::from_slice::<PastDecision>(line) {
                Ok(decision) => decisions.push(decision),
                Err(_) => unreadable += 1,
            },
            _ => {}
        }
    })
    .map_err(Error::Read)?;
    // No bundle decides about the gateway's own relations.
    decisions.retain(|decision| !explanations.contains(&decision.query_id) && decision.domain != OWN_SCHEMA);
    Ok((decisions, unreadable, verification))
}
