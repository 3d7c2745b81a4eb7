//! The schema `mesh`: what was asked, decided and read, and what the contracts say, as relations that are governed like products.
//!
//! INVARIANT: each is a [`Product`] with a port of the gateway's own, so that it is reached through a decision and a barrier only. Whose
//! rows are seen is `policy`'s to decide; what is recorded is `audit`'s.

mod contracts;
mod copies;
mod during;
mod filling;
mod log;
mod observed;
mod views;

use std::sync::Arc;

use arrow::array::{ArrayRef, new_empty_array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;

use crate::audit;
use crate::export::{dataset_urn, field_urn};
use crate::locator::{Domain, Located, TableEntry};
use crate::product::{
    DataType, DomainName, Field, FieldName, Governance, NameError, OWN_SCHEMA, OutputPort, OwnRows, PiiAction, PortAccess, PortFormat,
    PortKind, PortName, Product, ProductName, ProductRef, ServerTls, Sla, Status, Version,
};

use super::facts::{SYSTEM_ROLE, SessionFacts};
use super::rows::{Value, scalar};

pub use copies::Copier;
pub use observed::observed;
pub use views::view;

/// A column: its name, its type in the words of a contract, and what it means.
type Described = (&'static str, &'static str, &'static str);

/// A relation of the schema.
struct Relation {
    name: &'static str,
    about: &'static str,
    port: &'static str,
    rows: OwnRows,
    columns: Vec<Described>,
}

/// What the relations are read from, for one statement.
#[derive(Debug, Clone)]
pub struct MeshSources {
    /// The audit log.
    pub log: audit::Reader,
    /// Who asks, and what there is.
    pub facts: Arc<SessionFacts>,
    /// Whether every contract is shown, not only those that the principal may discover.
    pub sees_all: bool,
    /// The policies in force.
    pub bundle_revision: String,
}

/// The schema as the catalog lists it.
///
/// # Errors
/// Never, unless a name or a type in this module is none.
pub fn schema() -> Result<(Domain, Vec<TableEntry>), NameError> {
    let domain = Domain {
        name: DomainName::parse(OWN_SCHEMA)?,
        schema: OWN_SCHEMA.to_owned(),
        owner_team: SYSTEM_ROLE.to_owned(),
        oncall: None,
        retention_days: None,
    };
    let relations = log::relations()?.into_iter().chain(contracts::relations()).chain(views::relations());
    let entries = relations.map(|relation| entry(&domain.name, relation)).collect::<Result<_, _>>()?;
    Ok((domain, entries))
}

/// Where the rows of a relation come from; `None` for a view, and for what there is not.
pub fn source(name: &str, schema: SchemaRef, sources: &MeshSources) -> Option<Arc<dyn TableProvider>> {
    log::source(name, &schema, sources).or_else(|| contracts::source(name, &schema, sources))
}

fn entry(domain: &DomainName, relation: Relation) -> Result<TableEntry, NameError> {
    let fields = relation.columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
    let port = PortName::parse(relation.port)?;
    let reference =
        ProductRef { domain: domain.clone(), name: ProductName::parse(relation.name)?, version: Version { major: 1, minor: 0, patch: 0 } };
    let product = Product {
        id: format!("urn:dp:{OWN_SCHEMA}:{}", relation.name),
        reference,
        owner: SYSTEM_ROLE.to_owned(),
        description: Some(relation.about.to_owned()),
        tags: Vec::new(),
        status: Status::Active,
        deprecation: None,
        output_ports: vec![OutputPort {
            name: port.clone(),
            kind: PortKind::Table,
            format: PortFormat::Own(relation.rows),
            location: String::new(),
            partitioning: None,
            credentials: None,
            tls: ServerTls::default(),
            encryption: None,
            access: PortAccess::Open,
            sla: Sla::default(),
        }],
        default_port: Some(0),
        input_ports: Vec::new(),
        quality_checks: Vec::new(),
        schema: Some(fields.into()),
        governance: Governance { data_classification: "internal".to_owned(), pii_action: PiiAction::Deny, ..Governance::default() },
        timezone: "UTC".to_owned(),
    };
    let located = Located { product: Arc::new(product), port: Some(port) };
    Ok(TableEntry { schema: OWN_SCHEMA.to_owned(), table: relation.name.to_owned(), located, listed: true })
}

fn field((name, data_type, about): &Described) -> Result<Field, NameError> {
    Ok(Field {
        name: FieldName::parse(name)?,
        physical_name: None,
        // INVARIANT: a test parses every type of this module.
        data_type: DataType::parse(data_type).unwrap_or(DataType::String),
        required: false,
        primary_key: false,
        classification: None,
        description: Some((*about).to_owned()),
    })
}

/// A batch of rows, each given as its cells in the order of the schema.
fn batch(schema: &SchemaRef, columns: Vec<Vec<Value>>, rows: usize) -> Result<RecordBatch, DataFusionError> {
    let arrays: Vec<ArrayRef> = columns
        .into_iter()
        .zip(schema.fields())
        .map(|(cells, field)| {
            if cells.is_empty() {
                return Ok(new_empty_array(field.data_type()));
            }
            ScalarValue::iter_to_array(cells.iter().map(|cell| scalar(cell, field.data_type())))
        })
        .collect::<Result<_, DataFusionError>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_relation_has_names_types_and_a_source_or_a_view() {
        let (domain, entries) = schema().unwrap();
        assert_eq!((domain.schema.as_str(), entries.len()), ("mesh", 14));
        let relations = log::relations().unwrap().into_iter().chain(contracts::relations()).chain(views::relations());
        for relation in relations {
            for (name, data_type, about) in &relation.columns {
                assert!(DataType::parse(data_type).is_ok() && !about.is_empty(), "{}.{name}: {data_type}", relation.name);
            }
            assert_eq!(view(relation.name).is_some(), relation.rows == OwnRows::View, "{}", relation.name);
        }
        assert!(entries.iter().all(|entry| entry.located.product.is_own()));
    }
}
