//! Where a contract says what it protects: file and lines, for whoever has to explain a decision.

use std::collections::BTreeMap;

use crate::document::SourceMap;
use crate::product::{FieldName, Product};

/// Where the governance of a contract stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The file, relative to the catalog: `<domain>/<file>`.
    pub file: String,
    /// The line of the retention period, or of its column where the domain gives the period.
    pub retention: usize,
    /// The line that says that people are erased.
    pub erasure: usize,
    /// What tells its text from others (the beginning of a SHA-256, in hex).
    pub digest: String,
    /// The line of each mask, and of the personal columns that are masked without one.
    pub masks: BTreeMap<FieldName, usize>,
}

impl Origin {
    /// Reads the places of a contract.
    pub(super) fn new(file: &str, digest: String, product: &Product, map: &SourceMap) -> Self {
        let line = |pointer: &str| map.position(&format!("/spec/governance/{pointer}")).0;
        let governance = &product.governance;
        let written = |field: &FieldName| governance.masks.iter().any(|(masked, _)| masked == field);
        let masked = governance.masks.iter().map(|(field, _)| (field.clone(), line(&format!("masks/{}", pointer_of(field)))));
        let unwritten = governance.pii_fields.iter().filter(|field| !written(field)).map(|field| (field.clone(), line("pii_action")));
        Self {
            file: file.to_owned(),
            digest,
            retention: line(if governance.retention_days.is_some() { "retention_days" } else { "retention_column" }),
            erasure: line("gdpr_subject_to_erasure"),
            masks: unwritten.chain(masked).collect(),
        }
    }
}

/// A name as a segment of a JSON pointer.
fn pointer_of(field: &FieldName) -> String {
    field.as_str().replace('~', "~0").replace('/', "~1")
}
