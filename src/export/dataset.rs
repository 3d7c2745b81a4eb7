//! What an output port is: properties, schema, owner, tags, terms, domain, deprecation.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::{Value, json};

use crate::product::{DataType, Field, OutputPort, Product, Status};

use super::datahub::{Mesh, Proposal, status};
use super::urn::{port_urn, urn};

/// The tag of fields with personal data.
pub(super) const PERSONAL: &str = "PII";

/// Every aspect of the dataset that is not about other datasets.
pub(super) fn proposals(mesh: &Mesh<'_>, product: &Product, port: &OutputPort) -> Vec<Proposal> {
    let own = port_urn(product, port);
    let aspect = |name, value| Proposal::new("dataset", &own, name, value);
    let mut all = vec![
        aspect("datasetProperties", properties(product, port)),
        aspect("status", json!({"removed": product.status == Status::Retired})),
        aspect("ownership", ownership(mesh, product)),
        aspect("domains", domains(product)),
        aspect("globalTags", tags(&product_tags(product))),
    ];
    if !product.governance.data_classification.is_empty() {
        all.push(aspect("glossaryTerms", terms(mesh, &product.governance.data_classification)));
    }
    if let Some(fields) = product.schema.as_deref() {
        all.push(aspect("schemaMetadata", schema(mesh, product, fields)));
    }
    if let Some(value) = deprecation(mesh, product) {
        all.push(aspect("deprecation", value));
    }
    all
}

fn properties(product: &Product, port: &OutputPort) -> Value {
    let (reference, governance) = (&product.reference, &product.governance);
    let custom: BTreeMap<&str, Option<String>> = BTreeMap::from([
        ("product", Some(format!("{}/{}", reference.domain, reference.name))),
        ("version", Some(reference.version.to_string())),
        ("port", Some(port.name.to_string())),
        ("format", Some(port.format.name().to_owned())),
        ("status", Some(status(product.status).to_owned())),
        ("freshness", port.sla.freshness.clone()),
        ("uptime", port.sla.uptime.clone()),
        ("retention_days", governance.retention_days.map(|days| days.to_string())),
        ("erasure", governance.gdpr_subject_to_erasure.then(|| "true".to_owned())),
        ("compatibility", governance.compatibility.clone()),
    ]);
    let custom: BTreeMap<&str, String> = custom.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect();
    json!({
        "name": reference.name.as_str(),
        "qualifiedName": format!("{}.{}.{}", reference.domain, reference.name, port.name),
        "description": product.description,
        "customProperties": custom,
        "tags": [],
    })
}

/// Who owns the product.
pub(super) fn ownership(mesh: &Mesh<'_>, product: &Product) -> Value {
    json!({"owners": [{"owner": urn("corpGroup", &product.owner), "type": "DATAOWNER"}], "lastModified": mesh.stamp()})
}

/// Where the product belongs.
pub(super) fn domains(product: &Product) -> Value {
    json!({"domains": [urn("domain", product.reference.domain.as_str())]})
}

fn product_tags(product: &Product) -> Vec<&str> {
    let personal = (!product.governance.pii_fields.is_empty()).then_some(PERSONAL);
    product.tags.iter().map(String::as_str).chain(personal).collect()
}

fn tags(names: &[&str]) -> Value {
    let tags: Vec<Value> = names.iter().map(|name| json!({"tag": urn("tag", name)})).collect();
    json!({"tags": tags})
}

/// The glossary term of a classification.
pub(super) fn term(classification: &str) -> String {
    urn("glossaryTerm", &format!("classification.{classification}"))
}

fn terms(mesh: &Mesh<'_>, classification: &str) -> Value {
    json!({"terms": [{"urn": term(classification)}], "auditStamp": mesh.stamp()})
}

fn schema(mesh: &Mesh<'_>, product: &Product, fields: &[Field]) -> Value {
    let keys: Vec<&str> = fields.iter().filter(|field| field.primary_key).map(|field| field.name.as_str()).collect();
    let fields: Vec<Value> = fields.iter().map(|field| schema_field(mesh, product, field)).collect();
    json!({
        "schemaName": format!("{}.{}", product.reference.domain, product.reference.name),
        "platform": "urn:li:dataPlatform:meshgate",
        "version": 0,
        "hash": "",
        "platformSchema": {"com.linkedin.schema.OtherSchema": {"rawSchema": ""}},
        "fields": fields,
        "primaryKeys": if keys.is_empty() { Value::Null } else { json!(keys) },
    })
}

fn schema_field(mesh: &Mesh<'_>, product: &Product, field: &Field) -> Value {
    let kind = format!("com.linkedin.schema.{}", type_name(&field.data_type));
    let mut value = json!({
        "fieldPath": field.name.as_str(),
        "nullable": !field.required,
        "description": field.description,
        "type": {"type": {kind: {}}},
        "nativeDataType": field.data_type.to_string(),
        "isPartOfKey": field.primary_key,
    });
    if let Some(value) = value.as_object_mut() {
        if product.governance.pii_fields.contains(&field.name) {
            value.insert("globalTags".to_owned(), tags(&[PERSONAL]));
        }
        if let Some(classification) = &field.classification {
            value.insert("glossaryTerms".to_owned(), terms(mesh, classification));
        }
    }
    value
}

fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::String | DataType::Varchar(_) | DataType::Uuid => "StringType",
        DataType::Boolean => "BooleanType",
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64 | DataType::Decimal { .. } => {
            "NumberType"
        }
        DataType::Date => "DateType",
        DataType::Time | DataType::Timestamp | DataType::TimestampTz | DataType::Interval => "TimeType",
        DataType::Json => "RecordType",
        DataType::Bytes => "BytesType",
        DataType::List(_) => "ArrayType",
    }
}

fn deprecation(mesh: &Mesh<'_>, product: &Product) -> Option<Value> {
    if product.deprecation.is_none() && product.status != Status::Deprecated {
        return None;
    }
    let told = product.deprecation.clone().unwrap_or_default();
    let sunset = told.sunset.as_deref().and_then(|text| text.parse::<NaiveDate>().ok()).and_then(|day| day.and_hms_opt(0, 0, 0));
    let replaced = told.replaced_by.as_ref().map(|other| format!("Use {other} instead."));
    let since = told.since.as_ref().map(|since| format!("Deprecated since {since}."));
    let note: Vec<String> = [told.note.clone(), since, replaced].into_iter().flatten().collect();
    let replacement = told.replaced_by.as_deref().and_then(|name| replacement(mesh, name));
    let mut value = json!({
        "deprecated": true,
        "decommissionTime": sunset.map(|at| at.and_utc().timestamp_millis()),
        "note": note.join(" "),
        "actor": "urn:li:corpuser:meshgate",
    });
    if let (Some(value), Some(replacement)) = (value.as_object_mut(), replacement) {
        value.insert("replacement".to_owned(), replacement.into());
    }
    Some(value)
}

/// The default port of the product of that name (`domain/product`).
fn replacement(mesh: &Mesh<'_>, name: &str) -> Option<String> {
    let same = |product: &&std::sync::Arc<Product>| format!("{}/{}", product.reference.domain, product.reference.name) == name;
    let product = mesh.products.iter().filter(same).max_by_key(|product| product.reference.version)?;
    Some(port_urn(product, product.default_output_port()?))
}
