//! The mesh as metadata change proposals of DataHub: a dataset for each output port, a data product for each contract, and the domains, owners,
//! tags and glossary terms that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::lineage::Observed;
use crate::locator::Snapshot;
use crate::product::{Product, Status};

use super::urn::{port_urn, urn};
use super::{assertions, dataset, derivation};

/// Who changes the metadata.
const ACTOR: &str = "urn:li:corpuser:meshgate";

/// One aspect of one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// `dataset`, `dataProduct`, `assertion`, …
    pub entity_type: &'static str,
    /// The entity.
    pub urn: String,
    /// The aspect.
    pub aspect: &'static str,
    /// Its value.
    pub value: Value,
}

impl Proposal {
    pub(super) fn new(entity_type: &'static str, urn: &str, aspect: &'static str, value: Value) -> Self {
        Self { entity_type, urn: urn.to_owned(), aspect, value }
    }

    /// As a file of proposals holds it.
    pub fn to_json(&self) -> Value {
        json!({
            "entityType": self.entity_type,
            "entityUrn": self.urn,
            "changeType": "UPSERT",
            "aspectName": self.aspect,
            "aspect": {"json": self.value},
        })
    }

    /// As the REST API takes it: the aspect is a text.
    pub fn to_rest(&self) -> Value {
        json!({"proposal": {
            "entityType": self.entity_type,
            "entityUrn": self.urn,
            "changeType": "UPSERT",
            "aspectName": self.aspect,
            "aspect": {"value": self.value.to_string(), "contentType": "application/json"},
        }})
    }
}

/// What all parts are made from.
pub(super) struct Mesh<'a> {
    pub(super) products: &'a [Arc<Product>],
    pub(super) observed: &'a Observed,
    pub(super) at: DateTime<Utc>,
}

impl Mesh<'_> {
    /// Who changed something, and when.
    pub(super) fn stamp(&self) -> Value {
        json!({"time": self.at.timestamp_millis(), "actor": ACTOR})
    }
}

/// Every proposal: what is named by others comes first.
pub fn datahub(snapshot: &Snapshot, observed: &Observed, at: DateTime<Utc>) -> Vec<Proposal> {
    let products = snapshot.products();
    let mesh = Mesh { products: &products, observed, at };
    let mut all = vec![platform()];
    all.extend(domains(snapshot));
    all.extend(owners(&mesh));
    all.extend(tags(&mesh));
    all.extend(terms(&mesh));
    for product in &products {
        for port in &product.output_ports {
            all.extend(dataset::proposals(&mesh, product, port));
            all.extend(derivation::proposal(&mesh, product, port));
            all.extend(assertions::proposals(&mesh, product, port));
        }
        all.extend(data_product(&mesh, product));
    }
    all
}

fn platform() -> Proposal {
    let value = json!({"name": "meshgate", "displayName": "meshgate", "type": "QUERY_ENGINE", "datasetNameDelimiter": "."});
    Proposal::new("dataPlatform", "urn:li:dataPlatform:meshgate", "dataPlatformInfo", value)
}

fn domains(snapshot: &Snapshot) -> Vec<Proposal> {
    let products = snapshot.products();
    let names: BTreeSet<&str> = products.iter().map(|product| product.reference.domain.as_str()).collect();
    let of = |name: &str| {
        let product = products.iter().find(|product| product.reference.domain.as_str() == name)?;
        let domain = snapshot.domain_of(&product.reference)?;
        let oncall = domain.oncall.as_ref().map(|oncall| format!(", on call: {oncall}")).unwrap_or_default();
        let value = json!({"name": name, "description": format!("Owned by {}{oncall}.", domain.owner_team)});
        Some(Proposal::new("domain", &urn("domain", name), "domainProperties", value))
    };
    names.into_iter().filter_map(of).collect()
}

fn owners(mesh: &Mesh<'_>) -> Vec<Proposal> {
    let names: BTreeSet<&str> = mesh.products.iter().map(|product| product.owner.as_str()).collect();
    let info = |name: &str| json!({"displayName": name, "admins": [], "members": [], "groups": []});
    names.into_iter().map(|name| Proposal::new("corpGroup", &urn("corpGroup", name), "corpGroupInfo", info(name))).collect()
}

fn tags(mesh: &Mesh<'_>) -> Vec<Proposal> {
    let personal = (dataset::PERSONAL.to_owned(), "Personal data by the contract.".to_owned());
    let own = mesh.products.iter().flat_map(|product| &product.tags).map(|tag| (tag.clone(), "A tag of a contract.".to_owned()));
    let mut names: BTreeMap<String, String> = own.collect();
    names.extend([personal]);
    let tag = |(name, about): (String, String)| {
        Proposal::new("tag", &urn("tag", &name), "tagProperties", json!({"name": name, "description": about}))
    };
    names.into_iter().map(tag).collect()
}

/// Classifications are the glossary.
fn terms(mesh: &Mesh<'_>) -> Vec<Proposal> {
    let of_fields = mesh.products.iter().flat_map(|product| product.schema.as_deref().unwrap_or_default());
    let of_fields = of_fields.filter_map(|field| field.classification.as_deref());
    let of_products = mesh.products.iter().map(|product| product.governance.data_classification.as_str());
    let names: BTreeSet<&str> = of_fields.chain(of_products).filter(|name| !name.is_empty()).collect();
    let term = |name: &str| {
        let value = json!({"name": name, "definition": format!("Classified as {name} by the contract."), "termSource": "INTERNAL"});
        Proposal::new("glossaryTerm", &dataset::term(name), "glossaryTermInfo", value)
    };
    names.into_iter().map(term).collect()
}

fn data_product(mesh: &Mesh<'_>, product: &Product) -> Vec<Proposal> {
    let reference = &product.reference;
    let own = urn("dataProduct", &format!("{}.{}.{}", reference.domain, reference.name, reference.version.major));
    let assets: Vec<Value> =
        product.output_ports.iter().map(|port| json!({"destinationUrn": port_urn(product, port), "outputPort": true})).collect();
    let properties = json!({
        "name": reference.name.as_str(),
        "description": product.description,
        "customProperties": {"id": product.id, "version": reference.version.to_string(), "status": status(product.status)},
        "assets": assets,
    });
    vec![
        Proposal::new("dataProduct", &own, "dataProductProperties", properties),
        Proposal::new("dataProduct", &own, "ownership", dataset::ownership(mesh, product)),
        Proposal::new("dataProduct", &own, "domains", dataset::domains(product)),
    ]
}

/// The word of the contract.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Proposed => "proposed",
        Status::Draft => "draft",
        Status::Active => "active",
        Status::Deprecated => "deprecated",
        Status::Retired => "retired",
    }
}
