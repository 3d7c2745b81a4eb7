//! What is valid in the files that make a world, and yet is likely not what was meant.
//!
//! A gap refuses nothing. `check` prints the gaps, and each start and reload logs them, once, in as few lines as there are kinds of them.
//! INVARIANT: no gap holds the id of a person.

use crate::engine::World;
use crate::policy::{Bundle, Sampled};
use crate::product::DataType;

/// How many products one line names.
const NAMED_MAX: usize = 5;

/// How many products are asked about their periods: rules for the whole mesh lift that of one as of the next.
const PERIODS_MAX: usize = 200;

/// The gaps of a world, each a line.
pub(super) fn gaps(world: &World) -> Vec<String> {
    missing_packages(world).into_iter().chain(unfit_subjects(world)).chain(unsampled(world)).chain(lifted_periods(world)).collect()
}

/// Products whose filters were not held against the rules that they are made of.
fn unsampled(world: &World) -> Option<String> {
    let Sampled { products, left_out } = world.policy.sampled();
    (left_out > 0).then(|| format!("rules about records were checked for a sample: {left_out} of {products} products were left out"))
}

/// Products whose period data stewards are spared by a rule that does not name it.
fn lifted_periods(world: &World) -> Option<String> {
    let lifted = world.policy.lifted_periods(PERIODS_MAX);
    let mut named: Vec<String> = lifted.iter().take(NAMED_MAX).map(|(product, rule)| format!("{product} by {}", rule.rule)).collect();
    if lifted.len() > NAMED_MAX {
        named.push("…".to_owned());
    }
    let count = lifted.len();
    (count > 0).then(|| format!("rules lift contract.retention of {count} product(s) for data stewards: {}", named.join(", ")))
}

/// Logs the gaps of a world that is about to serve.
pub(super) fn warn(world: &World) {
    for gap in gaps(world) {
        tracing::warn!(%gap, "what is served has a gap");
    }
}

/// Products whose owners name rules of their own that the bundle does not have.
fn missing_packages(world: &World) -> Option<String> {
    let missing = world.policy.missing_packages();
    let mut named: Vec<String> = missing.iter().take(NAMED_MAX).map(|(product, package)| format!("{product} names {package}")).collect();
    if missing.len() > NAMED_MAX {
        named.push("…".to_owned());
    }
    let count = missing.len();
    (count > 0).then(|| format!("{count} contract(s) name policy packages that the bundle does not have: {}", named.join(", ")))
}

/// Rules of their own that products had, and that the bundle of the next world no longer has, each a fault.
pub(super) fn lost_packages(serving: &Bundle, next: &World) -> Vec<String> {
    let lost = next.policy.missing_packages().into_iter().filter(|(_, package)| serving.has_product_package(package));
    let fault = |(product, package)| {
        format!(
            "the contract of {product} names the policy package {package}, which is no longer in the bundle \
             (Restore it, or serve with the flag that allows lower protection, if the data's owner agrees.)"
        )
    };
    lost.map(fault).collect()
}

/// Ids of erased people that fit no column by which people are known: they hide nobody.
fn unfit_subjects(world: &World) -> Option<String> {
    let (mut by_number, mut by_uuid) = (false, false);
    for product in world.snapshot.products().iter().filter(|product| product.governance.gdpr_subject_to_erasure) {
        let column = product.governance.subject_column.as_ref().and_then(|name| product.field(name));
        match column.map(|field| &field.data_type) {
            Some(DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Decimal { scale: 0, .. }) => by_number = true,
            Some(DataType::Uuid) => by_uuid = true,
            // Any id may be a text; and what a column holds whose type is the source's is not known here.
            _ => return None,
        }
    }
    let unfit = world.policy.erased().count_unfit(by_number, by_uuid);
    let listed = world.policy.erased().len();
    ((by_number || by_uuid) && unfit > 0).then(|| {
        let kinds = match (by_number, by_uuid) {
            (true, true) => "whole numbers or UUIDs",
            (true, false) => "whole numbers",
            _ => "UUIDs",
        };
        format!("{unfit} of {listed} ids in the erasure list hide nobody: the contracts know people by {kinds}")
    })
}
