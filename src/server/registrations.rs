//! What has become of contracts, for the audit log: while the gateway serves, and since it last did.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::audit::{AuditLog, ContractInForce, Contracts, Event, Registration};
use crate::locator::{self, Snapshot};

/// Records what has changed since the log was last written to, and what is in force now. The first start has nothing to compare with.
pub(super) fn note_start(audit: &AuditLog, snapshot: &Snapshot, at: DateTime<Utc>) {
    let now = in_force(snapshot);
    let changes = audit.last_contracts().map(|last| since(last, &now)).unwrap_or_default();
    changes.into_iter().for_each(|change| audit.note(at, Event::Registration(change)));
    audit.note_contracts(at, now);
}

/// Records what is another from one view of the contracts to the next.
pub(super) fn note_changes(audit: &AuditLog, before: &Snapshot, after: &Snapshot, at: DateTime<Utc>) {
    for change in locator::changes(before, after) {
        let product = change.product();
        let registration = Registration {
            change: change.as_str().to_owned(),
            domain: product.reference.domain.to_string(),
            product: product.reference.name.to_string(),
            version: product.reference.version.to_string(),
            owner: product.owner.clone(),
            snapshot_revision: after.revision().to_owned(),
        };
        audit.note(at, Event::Registration(registration));
    }
    audit.note_contracts(at, in_force(after));
}

fn in_force(snapshot: &Snapshot) -> Contracts {
    let contract = |product: std::sync::Arc<crate::product::Product>| ContractInForce {
        domain: product.reference.domain.to_string(),
        product: product.reference.name.to_string(),
        version: product.reference.version.to_string(),
        owner: product.owner.clone(),
        digest: snapshot.origin(&product.reference).map(|origin| origin.digest.clone()).unwrap_or_default(),
    };
    Contracts { snapshot_revision: snapshot.revision().to_owned(), contracts: snapshot.products().into_iter().map(contract).collect() }
}

/// What differs, in the order of the products' names.
fn since(last: &Contracts, now: &Contracts) -> Vec<Registration> {
    let by_name = |contracts: &Contracts| -> BTreeMap<(String, String, String), ContractInForce> {
        let named = |contract: &ContractInForce| (contract.domain.clone(), contract.product.clone(), contract.version.clone());
        contracts.contracts.iter().map(|contract| (named(contract), contract.clone())).collect()
    };
    let (mut last, current) = (by_name(last), by_name(now));
    let mut changes: Vec<(&str, ContractInForce)> = Vec::new();
    for (name, contract) in current {
        match last.remove(&name) {
            None => changes.push(("registered", contract)),
            Some(known) if known != contract => changes.push(("changed", contract)),
            Some(_) => {}
        }
    }
    changes.extend(last.into_values().map(|contract| ("withdrawn", contract)));
    let registration = |(change, contract): (&str, ContractInForce)| Registration {
        change: change.to_owned(),
        domain: contract.domain,
        product: contract.product,
        version: contract.version,
        owner: contract.owner,
        snapshot_revision: now.snapshot_revision.clone(),
    };
    changes.into_iter().map(registration).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(product: &str, digest: &str) -> ContractInForce {
        ContractInForce {
            domain: "d".into(),
            product: product.into(),
            version: "1.0.0".into(),
            owner: "team".into(),
            digest: digest.into(),
        }
    }

    #[test]
    fn what_came_changed_and_went_while_nobody_served_is_told() {
        let of = |contracts: &[ContractInForce]| Contracts { snapshot_revision: "r".into(), contracts: contracts.to_vec() };
        let last = of(&[contract("same", "1"), contract("other", "1"), contract("gone", "1")]);
        let now = of(&[contract("new", "1"), contract("other", "2"), contract("same", "1")]);
        let told: Vec<String> = since(&last, &now).into_iter().map(|change| format!("{} {}", change.change, change.product)).collect();
        assert_eq!(told, ["registered new", "changed other", "withdrawn gone"]);
        assert_eq!(since(&now, &now), []);
    }
}
