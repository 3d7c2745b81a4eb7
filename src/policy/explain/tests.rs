//! Each effect, with the rule and the line that it is explained by; who may and who may not, on the same request.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::identity::Principal;
use crate::policy::{AccessRequest, Bundle, BundleFile, FieldUse, RequestContext, RequestedField, SubjectSet};
use crate::product::{
    DataType, DomainName, Field, Governance, OutputPort, PiiAction, PortAccess, PortFormat, PortKind, PortName, Product, ProductName,
    ProductRef, Sla, Status, Version,
};

use super::*;

/// The numbers of the lines matter to the tests.
const MESH: &str = r#"package data_mesh.governance

default allow := false

allow if count(deny) == 0

fieldGrants contains "email" if "mail" in input.subject.roles

columnMasks contains {"column": "email", "mask": "redact"} if not "email" in fieldGrants

deny contains {"rule": "night", "msg": "no"} if input.subject.purpose == "night"

deny contains {"rule": "secret_column", "fields": ["secret"], "msg": sprintf("%v", [input.subject.roles])} if {
	"secret" in input.resource.requested_fields
	not "secret_reader" in input.subject.roles
}

rowFilters contains {"expression": "region = 'EU'"} if not "world" in input.subject.roles

rowFilters contains {"expression": "score > 17"}

exemptions contains "retention" if input.subject.is_data_steward
"#;

fn name(text: &str) -> FieldName {
    FieldName::parse(text).unwrap()
}

fn product() -> Product {
    let field = |text: &str, data_type| Field {
        name: name(text),
        physical_name: None,
        data_type,
        required: false,
        primary_key: false,
        classification: None,
        description: None,
    };
    Product {
        reference: ProductRef {
            domain: DomainName::parse("crm").unwrap(),
            name: ProductName::parse("people").unwrap(),
            version: Version { major: 1, minor: 0, patch: 0 },
        },
        id: String::new(),
        owner: "crm-team".to_owned(),
        description: None,
        tags: Vec::new(),
        status: Status::Active,
        deprecation: None,
        output_ports: vec![OutputPort {
            name: PortName::parse("daily").unwrap(),
            kind: PortKind::Batch,
            format: PortFormat::Parquet,
            location: "people.parquet".to_owned(),
            partitioning: None,
            credentials: None,
            tls: crate::product::ServerTls::default(),
            encryption: None,
            access: PortAccess::Open,
            sla: Sla::default(),
        }],
        default_port: Some(0),
        input_ports: Vec::new(),
        quality_checks: Vec::new(),
        schema: Some(
            [
                field("id", DataType::Int64),
                field("email", DataType::String),
                field("secret", DataType::String),
                field("region", DataType::String),
                field("score", DataType::Int64),
                field("created_at", DataType::TimestampTz),
            ]
            .into(),
        ),
        governance: Governance {
            pii_fields: vec![name("email")],
            pii_action: PiiAction::Mask,
            data_classification: "internal".to_owned(),
            retention_days: Some(30),
            retention_column: Some(name("created_at")),
            gdpr_subject_to_erasure: true,
            subject_column: Some(name("id")),
            ..Governance::default()
        },
        timezone: "UTC".to_owned(),
    }
}

fn explained(roles: &[&str], is_data_steward: bool, purpose: Option<&str>, fields: &[&str]) -> Vec<String> {
    let product = Arc::new(product());
    let bundle = Bundle::parse(vec![BundleFile { path: "mesh.rego".to_owned(), text: MESH.to_owned() }]).unwrap();
    let erased = Arc::new(SubjectSet::new(["4711".to_owned()]));
    let point = DecisionPoint::new(Arc::new(bundle), &[Arc::clone(&product)], &BTreeMap::new(), erased).unwrap();
    let principal = Principal {
        product: None,
        name: "ann".to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        groups: Default::default(),
        is_data_steward,
        attributes: BTreeMap::new(),
    };
    let decision = point.decide(&AccessRequest {
        principal: Arc::new(principal),
        purpose: purpose.map(str::to_owned),
        port: PortName::parse("daily").unwrap(),
        product,
        fields: fields.iter().map(|field| RequestedField { name: name(field), uses: vec![FieldUse::Projected] }).collect(),
        context: RequestContext {
            query_id: "q".to_owned(),
            now: "2026-06-01T12:00:00Z".parse().unwrap(),
            application_name: String::new(),
            client_address: None,
        },
    });
    point.explain(&decision).iter().map(line).collect()
}

fn line(clause: &Clause) -> String {
    let columns: Vec<&str> = clause.columns.iter().map(FieldName::as_str).collect();
    let place = clause.place.as_ref().map(|place| format!("{}:{}", place.file, place.line)).unwrap_or_default();
    let rule = clause.rule.strip_prefix("data_mesh.governance.").unwrap_or(&clause.rule);
    format!("{}|{}|{}|{rule}|{place}", columns.join(","), clause.effect.as_str(), clause.what)
}

#[test]
fn each_column_and_each_condition_has_its_rule_and_line() {
    assert_eq!(
        explained(&[], false, None, &["email", "id"]),
        [
            "id|allow|read as it is|allow|mesh.rego:5",
            "email|mask|redact|columnMasks|mesh.rego:9",
            "region|filter|region = ?|rowFilters|mesh.rego:18",
            "score|filter|score > ?|rowFilters|mesh.rego:20",
            "created_at|filter|created_at >= ?|contract.retention|",
            "id|filter|rows of erased subjects are hidden|contract.erasure|",
        ]
    );
    assert_eq!(
        explained(&["mail", "world"], true, None, &["email"]),
        [
            "email|allow|read as it is, by a grant|fieldGrants|mesh.rego:7",
            "score|filter|score > ?|rowFilters|mesh.rego:20",
            "id|filter|rows of erased subjects are hidden|contract.erasure|",
            "|allow|exempt from retention|exemptions|mesh.rego:22",
        ]
    );
}

#[test]
fn a_denial_is_explained_by_the_body_that_denies() {
    assert_eq!(
        explained(&[], false, None, &["id", "email", "secret"]),
        [
            "id|allow|read as it is|allow|mesh.rego:5",
            "email|mask|redact|columnMasks|mesh.rego:9",
            "secret|deny|column \"secret\" of data product \"crm/people\" may not be read|secret_column|mesh.rego:13",
        ]
    );
    assert_eq!(explained(&["secret_reader"], false, None, &["secret"])[0], "secret|allow|read as it is|allow|mesh.rego:5");
    assert_eq!(
        explained(&["secret_reader"], false, Some("night"), &["secret"]),
        ["|deny|the policies do not allow reading data product \"crm/people\"|night|mesh.rego:11"]
    );
}

#[test]
fn rows_alone_are_explained_as_a_whole() {
    assert_eq!(explained(&[], false, None, &[])[0], "|allow|read as it is|allow|mesh.rego:5");
}

#[test]
fn nothing_is_told_but_kinds() {
    for text in [explained(&["mail"], true, None, &["email", "secret"]), explained(&[], false, None, &["id"])].concat() {
        for secret in ["EU", "17", "4711", "2026", "[\"mail\"]"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
