//! The question as JSON: every key present, in the shapes that the rules rely on.
//!
//! INVARIANT: `action` is a constant, `roles` and `groups` are arrays, what is not known is `null`. A key that a rule misses is
//! undefined in Rego, and a deny rule over an undefined key does not fire.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::identity::Principal;
use crate::product::{DomainName, PiiAction, PortAccess, Product};

use super::contract::{Column, Contract};
use super::rego::{RegoValue, from_json};
use super::told::ToldColumns;
use super::{AccessRequest, Question};

/// What of a question is the contract's and the same for everyone, made once: as JSON, and as the interpreter takes it.
#[derive(Debug, Default)]
pub(super) struct Standard {
    resource: serde_json::Map<String, Value>,
    resource_asked: BTreeMap<RegoValue, RegoValue>,
    columns: ToldColumns,
}

impl Standard {
    /// Of a contract that lists so many columns.
    pub(super) fn new(contract: &Contract, columns: usize) -> Self {
        let resource = resource(contract);
        let resource_asked = resource.iter().map(|(key, value)| (RegoValue::from(key.as_str()), from_json(value))).collect();
        Self { resource, resource_asked, columns: ToldColumns::new(columns) }
    }
}

/// A question as the interpreter takes it. What is the contract's is shared.
pub(super) fn as_asked(question: &Question, contract: &Contract) -> RegoValue {
    let resource = |resource: &serde_json::Map<String, Value>| {
        let mut asked = contract.standard.resource_asked.clone();
        for (key, value) in resource.iter().filter(|(key, _)| !contract.standard.resource.contains_key(*key)) {
            let value = match key.as_str() {
                "columns" => RegoValue::from(question.columns().iter().map(|told| told.asked.clone()).collect::<Vec<RegoValue>>()),
                _ => from_json(value),
            };
            asked.insert(RegoValue::from(key.as_str()), value);
        }
        RegoValue::from(asked)
    };
    let part = |(key, value): (&String, &Value)| {
        let value = match (key.as_str(), value) {
            ("resource", Value::Object(fields)) => resource(fields),
            _ => from_json(value),
        };
        (RegoValue::from(key.as_str()), value)
    };
    match question.parts() {
        Value::Object(parts) => RegoValue::from(parts.iter().map(part).collect::<BTreeMap<RegoValue, RegoValue>>()),
        other => from_json(other),
    }
}

/// The question about one read. `masked` tells which columns will be masked and so are not read as they are.
pub(super) fn read(
    request: &AccessRequest,
    contract: &Contract,
    columns: &[Column],
    now_ns: i64,
    masked: impl Fn(&Column) -> bool,
) -> Question {
    // What a mask is computed from is read as it is, too.
    let requested = columns.iter().filter(|column| column.requested || column.feeds_mask);
    let (hidden, plain): (Vec<&Column>, Vec<&Column>) = requested.partition(|column| masked(column));
    let access = contract.product.output_port(&request.port).map_or("restricted", |port| access_text(port.access));
    let mut resource = contract.standard.resource.clone();
    resource.insert("port".to_owned(), json!(request.port));
    resource.insert("access".to_owned(), json!(access));
    resource.insert("requested_fields".to_owned(), names(&plain));
    resource.insert("masked_fields".to_owned(), names(&hidden));
    resource.insert("columns".to_owned(), Value::Array(Vec::new()));
    let parts = [
        ("action", Value::from("read")),
        ("subject", subject(&request.principal, request.purpose.as_deref())),
        ("resource", Value::Object(resource)),
        ("context", context(request, now_ns)),
    ];
    let parts = Value::Object(parts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
    Question::with_columns(parts, contract.standard.columns.tell(columns))
}

/// The question whether a product may be found.
pub(super) fn discover(principal: &Principal, purpose: Option<&str>, contract: &Contract) -> Value {
    json!({ "action": "discover", "subject": subject(principal, purpose), "resource": resource(contract), "context": null })
}

/// What is recorded of a request that the guard refused before asking.
pub(super) fn refused(request: &AccessRequest) -> Value {
    let reference = &request.product.reference;
    let fields: Vec<&str> = request.fields.iter().map(|field| field.name.as_str()).collect();
    json!({
        "action": "read",
        "subject": subject(&request.principal, request.purpose.as_deref()),
        "resource": {
            "domain": reference.domain,
            "product": reference.name,
            "version": reference.version.to_string(),
            "port": request.port,
            "requested_fields": fields,
        },
        "context": context(request, request.context.now.timestamp_nanos_opt().unwrap_or_default()),
    })
}

fn subject(principal: &Principal, purpose: Option<&str>) -> Value {
    json!({
        "user": principal.name,
        "roles": principal.roles,
        "groups": principal.groups,
        "is_data_steward": principal.is_data_steward,
        "purpose": purpose,
        "attributes": principal.attributes,
    })
}

/// The circumstances of a read.
pub(super) fn context(request: &AccessRequest, now_ns: i64) -> Value {
    json!({
        "query_id": request.context.query_id,
        "now_ns": now_ns,
        "application_name": request.context.application_name,
        "client_address": request.context.client_address.map(|address| address.ip().to_string()),
    })
}

fn resource(contract: &Contract) -> serde_json::Map<String, Value> {
    let product: &Product = &contract.product;
    let governance = &product.governance;
    let pii_action = match governance.pii_action {
        PiiAction::Deny => "deny",
        PiiAction::Mask => "mask",
    };
    [
        ("domain", json!(product.reference.domain)),
        ("product", json!(product.reference.name)),
        ("version", json!(product.reference.version.to_string())),
        ("classification", json!(contract.classification)),
        ("tags", json!(product.tags)),
        ("owner", json!(product.owner)),
        ("pii_action", json!(pii_action)),
        ("retention_days", json!(contract.retention.as_ref().map(|retention| retention.days))),
        ("subject_to_erasure", json!(governance.gdpr_subject_to_erasure)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn names(columns: &[&Column]) -> Value {
    columns.iter().map(|column| Value::from(column.name.as_str())).collect()
}

fn access_text(access: PortAccess) -> &'static str {
    match access {
        PortAccess::Open => "open",
        PortAccess::Restricted => "restricted",
    }
}

/// The documents under `data` that come from the catalog. The erased people stay out: a set of a million ids would cost every evaluation
/// dearly, and hiding their rows is an obligation that needs no rule to see them; `erased_subjects` is there and empty.
pub(super) fn catalog_data<'a>(contracts: impl Iterator<Item = &'a Contract>, domain_retention: &BTreeMap<DomainName, u32>) -> Value {
    let mut registry: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for contract in contracts {
        let reference = &contract.product.reference;
        let fields = registry.entry(reference.domain.as_str()).or_default().entry(reference.name.as_str()).or_default();
        fields.extend(contract.product.governance.pii_fields.iter().map(|field| field.as_str()));
    }
    let retention: BTreeMap<&str, u32> = domain_retention.iter().map(|(domain, days)| (domain.as_str(), *days)).collect();
    json!({ "pii_registry": registry, "retention_policies": retention, "erased_subjects": [] })
}
