//! What is valid in the files that make a world, and yet is likely not what was meant.
//!
//! A gap refuses nothing. `check` prints the gaps, and each start and reload logs them, once, in as few lines as there are kinds of them.
//! INVARIANT: no gap holds the id of a person.

use crate::engine::World;
use crate::product::DataType;

/// The gaps of a world, each a line.
pub(super) fn gaps(world: &World) -> Vec<String> {
    unfit_subjects(world).into_iter().collect()
}

/// Logs the gaps of a world that is about to serve.
pub(super) fn warn(world: &World) {
    for gap in gaps(world) {
        tracing::warn!(%gap, "what is served has a gap");
    }
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
