//! Whether new contracts protect less than those in force.

use crate::document::Fault;
use crate::product::{Governance, Mask, PiiAction, PortAccess, Product};

use super::Snapshot;

/// What `new` protects less than `old`, product by product; a removed product protects nothing and is no fault.
///
/// A version is compared with the same major version before it, a new major version with the newest before it.
pub fn lowered(old: &Snapshot, new: &Snapshot) -> Vec<Fault> {
    let old = old.products();
    let mut faults = Vec::new();
    for after in new.products() {
        let same = |before: &&std::sync::Arc<Product>| {
            before.reference.domain == after.reference.domain && before.reference.name == after.reference.name
        };
        let major = after.reference.version.major;
        let before = old.iter().filter(same).find(|before| before.reference.version.major == major);
        let Some(before) = before.or_else(|| old.iter().filter(same).max_by_key(|before| before.reference.version)) else { continue };
        let mut losses = Vec::new();
        losses_of_governance(&before.governance, &after, &mut losses);
        losses_of_ports(before, &after, &mut losses);
        let hint = "Load it with the flag that allows lower protection, if the data's owner agrees.";
        faults.extend(losses.into_iter().map(|loss| Fault::of_file(after.reference.to_string(), loss).with_hint(hint)));
    }
    faults
}

fn losses_of_governance(before: &Governance, product: &Product, losses: &mut Vec<String>) {
    let after = &product.governance;
    for field in before.pii_fields.iter().filter(|field| !after.pii_fields.contains(field)) {
        // A field that is gone from the schema cannot be read at all.
        if product.schema.is_none() || product.field(field).is_some() {
            losses.push(format!("the field \"{field}\" is no longer a PII field"));
        }
    }
    for (field, mask) in &before.masks {
        let kept = after.masks.iter().any(|(name, now)| name == field && (now == mask || *now == Mask::Null));
        if !kept && (product.schema.is_none() || product.field(field).is_some()) {
            losses.push(format!("the mask of the field \"{field}\" is removed or another"));
        }
    }
    if before.pii_action == PiiAction::Deny && after.pii_action == PiiAction::Mask && !after.pii_fields.is_empty() {
        losses.push("PII fields are masked instead of denied".to_owned());
    }
    match (before.retention_days, after.retention_days) {
        (Some(_), None) => losses.push("the retention is dropped".to_owned()),
        (Some(before), Some(after)) if after > before => losses.push(format!("the retention grows from {before} to {after} days")),
        _ => {}
    }
    if before.retention_days.is_some() && after.retention_days.is_some() && before.retention_column != after.retention_column {
        losses.push("the retention is counted from another column".to_owned());
    }
    if rank(&after.data_classification) < rank(&before.data_classification) {
        losses.push(format!("the classification falls from {} to {}", before.data_classification, after.data_classification));
    }
    if before.gdpr_subject_to_erasure && !after.gdpr_subject_to_erasure {
        losses.push("the erasure is dropped".to_owned());
    } else if before.gdpr_subject_to_erasure && before.subject_column != after.subject_column {
        losses.push("the erasure goes by another column".to_owned());
    }
}

fn losses_of_ports(before: &Product, after: &Product, losses: &mut Vec<String>) {
    let open = |product: &Product| product.output_ports.iter().filter(|port| port.access == PortAccess::Open).count();
    for port in after.output_ports.iter().filter(|port| port.access == PortAccess::Open) {
        let was = before.output_port(&port.name).map(|port| port.access);
        // A new open port beside none but restricted ones opens the same data.
        if was == Some(PortAccess::Restricted) || (was.is_none() && open(before) == 0) {
            losses.push(format!("the port \"{}\" is open instead of restricted", port.name));
        }
    }
    for port in &after.output_ports {
        if before.output_port(&port.name).is_some_and(|was| was.location == port.location && was.tls.mode > port.tls.mode) {
            losses.push(format!("the connections of the port \"{}\" are protected less", port.name));
        }
    }
}

/// An unknown classification ranks highest: leaving it is a loss.
fn rank(classification: &str) -> u8 {
    match classification {
        "public" => 0,
        "internal" => 1,
        "confidential" => 2,
        _ => 3,
    }
}
