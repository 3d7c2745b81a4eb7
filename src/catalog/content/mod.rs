//! What each system relation holds, for one session.
//!
//! Rows are made when a statement reads the relation, not before. A relation without rows here is empty: meshgate has nothing
//! of that kind.

pub(crate) mod comments;
pub(super) mod functions;
mod information;
pub(crate) mod keys;
pub(crate) mod objects;
mod server;
mod time_zones;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;

use super::facts::SessionFacts;
use super::relations::Relation;
use super::rows::{Rows, Value};
use super::statics;

/// A row: names and values.
type Row = Vec<(&'static str, Value)>;

/// The rows of a system relation.
pub(crate) fn rows(relation: &'static Relation, facts: &SessionFacts) -> Result<RecordBatch, DataFusionError> {
    if statics::is_fixed(relation)
        && let Some(batch) = statics::rows(relation)?
    {
        return Ok(batch);
    }
    let mut rows = Rows::new(relation);
    for row in dynamic(relation, facts).unwrap_or_default() {
        rows.push(&row);
    }
    let own = rows.finish()?;
    // Beside the types of every PostgreSQL there are those of the tables' rows.
    match statics::rows(relation)?.filter(|_| relation.name == "pg_type") {
        Some(fixed) => Ok(concat_batches(&relation.arrow, [&fixed, &own])?),
        None => Ok(own),
    }
}

/// Whether a relation is empty in every session, so that a statement over it can have no row.
pub(crate) fn always_empty(relation: &Relation) -> bool {
    if relation.schema != "pg_catalog" {
        return false;
    }
    if relation.kind == "f" {
        return matches!(relation.name, "pg_get_publication_tables" | "pg_options_to_table" | "pg_partition_tree" | "pg_prepared_xact");
    }
    matches!(
        relation.name,
        "pg_attrdef"
            | "pg_auth_members"
            | "pg_default_acl"
            | "pg_depend"
            | "pg_shdepend"
            | "pg_enum"
            | "pg_event_trigger"
            | "pg_foreign_data_wrapper"
            | "pg_foreign_server"
            | "pg_foreign_table"
            | "pg_inherits"
            | "pg_partitioned_table"
            | "pg_policy"
            | "pg_policies"
            | "pg_publication"
            | "pg_publication_namespace"
            | "pg_publication_rel"
            | "pg_publication_tables"
            | "pg_rewrite"
            | "pg_rules"
            | "pg_sequence"
            | "pg_sequences"
            | "pg_statistic_ext"
            | "pg_statistic_ext_data"
            | "pg_subscription"
            | "pg_subscription_rel"
            | "pg_transform"
            | "pg_trigger"
            | "pg_user_mapping"
            | "pg_user_mappings"
            | "pg_matviews"
            | "pg_seclabel"
            | "pg_shseclabel"
    )
}

fn dynamic(relation: &Relation, facts: &SessionFacts) -> Option<Vec<Row>> {
    match relation.schema {
        "pg_catalog" if relation.kind == "f" => functions::rows(relation.name, facts),
        "pg_catalog" => objects::rows(relation.name, facts)
            .or_else(|| keys::rows(relation.name, facts))
            .or_else(|| comments::rows(relation.name, facts))
            .or_else(|| server::rows(relation.name, facts))
            .or_else(|| time_zones::rows(relation.name, facts)),
        "information_schema" => information::rows(relation.name, facts),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::relations;
    use crate::catalog::tests::fixture;

    #[test]
    fn what_is_called_always_empty_is_empty() {
        let facts = fixture::facts();
        for relation in relations::all().filter(|relation| always_empty(relation)) {
            assert_eq!(rows(relation, &facts).unwrap().num_rows(), 0, "{}", relation.name);
        }
    }

    #[test]
    fn every_relation_can_be_read() {
        let facts = fixture::facts();
        for relation in relations::all() {
            assert_eq!(rows(relation, &facts).unwrap().schema(), relation.arrow, "{}", relation.name);
        }
    }

    #[test]
    fn a_hidden_product_is_in_no_relation() {
        let facts = fixture::facts();
        for relation in relations::all() {
            let batch = rows(relation, &facts).unwrap();
            let text = format!("{batch:?}");
            assert!(!text.contains("hidden_ledger"), "{}", relation.name);
        }
    }
}
