//! What an output port is made from: by its contract, and by what was read in the product's name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::lineage::{Reads, Upstream};
use crate::product::{OutputPort, Product};

use super::datahub::{Mesh, Proposal};
use super::urn::{dataset_urn, field_urn, port_urn};

/// The port that an observed read is told of, if the contract of what was read is gone.
const UNKNOWN_PORT: &str = "unknown";

/// The upstreams of one dataset and its fields.
#[derive(Default)]
struct Derivation {
    /// Dataset → how it is known, and how often it was read.
    upstreams: BTreeMap<String, BTreeMap<&'static str, String>>,
    fields: Vec<Value>,
}

/// The dataset's upstream lineage; none if nothing is declared and nothing was read.
pub(super) fn proposal(mesh: &Mesh<'_>, product: &Product, port: &OutputPort) -> Option<Proposal> {
    let own = port_urn(product, port);
    let mut derivation = Derivation::default();
    declared(mesh, product, &own, &mut derivation);
    let name = format!("{}/{}", product.reference.domain, product.reference.name);
    for (upstream, reads) in mesh.observed.0.get(&name).into_iter().flatten() {
        observed(mesh, product, &own, (upstream, reads), &mut derivation);
    }
    if derivation.upstreams.is_empty() {
        return None;
    }
    let upstream = |(dataset, properties): (String, BTreeMap<&'static str, String>)| json!({"dataset": dataset, "type": "TRANSFORMED", "auditStamp": mesh.stamp(), "properties": properties});
    let upstreams: Vec<Value> = derivation.upstreams.into_iter().map(upstream).collect();
    let value = json!({"upstreams": upstreams, "fineGrainedLineages": derivation.fields});
    Some(Proposal::new("dataset", &own, "upstreamLineage", value))
}

/// A contract says which fields go in, not into what: a set of fields makes a set of fields.
fn declared(mesh: &Mesh<'_>, product: &Product, own: &str, derivation: &mut Derivation) {
    let made: Vec<String> = product.schema.as_deref().unwrap_or_default().iter().map(|field| field_urn(own, field.name.as_str())).collect();
    for input in &product.input_ports {
        let Some(upstream) = input.of(mesh.products) else { continue };
        let Some(port) = upstream.default_output_port().or_else(|| upstream.output_ports.first()) else { continue };
        let dataset = port_urn(upstream, port);
        derivation.upstreams.entry(dataset.clone()).or_default().insert("declared", "true".to_owned());
        if !input.fields.is_empty() && !made.is_empty() {
            let fields: Vec<String> = input.fields.iter().map(|field| field_urn(&dataset, field.as_str())).collect();
            derivation.fields.push(json!({
                "upstreamType": "FIELD_SET",
                "upstreams": fields,
                "downstreamType": "FIELD_SET",
                "downstreams": made,
                "transformOperation": "declared",
                "confidenceScore": 0.5,
            }));
        }
    }
}

/// What was read tells which fields made which columns of a result; those called as a field of the product are taken for it.
fn observed(mesh: &Mesh<'_>, product: &Product, own: &str, (upstream, reads): (&Upstream, &Reads), derivation: &mut Derivation) {
    let contract = mesh.products.iter().find(|other| {
        let reference = &other.reference;
        reference.domain.as_str() == upstream.domain
            && reference.name.as_str() == upstream.product
            && reference.version.to_string() == upstream.version
    });
    let port = contract.and_then(|contract| contract.default_output_port()).map_or(UNKNOWN_PORT, |port| port.name.as_str());
    let dataset = dataset_urn(&upstream.domain, &upstream.product, port);
    let properties = derivation.upstreams.entry(dataset.clone()).or_default();
    properties.insert("observed_statements", reads.statements.to_string());
    if let Some((first, last)) = reads.between {
        properties.insert("first_read", first.to_rfc3339());
        properties.insert("last_read", last.to_rfc3339());
    }
    let fields = product.schema.as_deref().unwrap_or_default();
    let mut made: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (source, outputs) in &reads.fields {
        for field in fields.iter().filter(|field| outputs.contains(field.name.as_str())) {
            made.entry(field.name.as_str()).or_default().insert(field_urn(&dataset, source));
        }
    }
    derivation.fields.extend(made.into_iter().map(|(field, sources)| {
        json!({
            "upstreamType": "FIELD_SET",
            "upstreams": sources,
            "downstreamType": "FIELD",
            "downstreams": [field_urn(own, field)],
            "transformOperation": "observed",
            "confidenceScore": 1.0,
        })
    }));
}
