//! Pairs of who may and who may not, and each way in which a rule could let through what it should not.

mod at_once;
mod cached;
mod discovery;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::identity::Principal;
use crate::product::{
    DataType, DomainName, Field, FieldName, Governance, OutputPort, PiiAction, PortAccess, PortFormat, PortKind, PortName, Product,
    ProductName, ProductRef, Sla, Status, Version,
};

use super::super::{AccessRequest, BundleFile, CompareOp, FieldUse, Literal, Predicate, RequestContext, RequestedField};
use super::*;

mod masks;

fn name(text: &str) -> FieldName {
    FieldName::parse(text).unwrap()
}

fn shipped() -> Vec<BundleFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if matches!(path.extension().and_then(|extension| extension.to_str()), Some("rego" | "json")) {
            let text = std::fs::read_to_string(&path).unwrap();
            files.push(BundleFile { path: path.file_name().unwrap().to_str().unwrap().to_owned(), text });
        }
    }
    files
}

fn file(path: &str, text: &str) -> BundleFile {
    BundleFile { path: path.to_owned(), text: text.to_owned() }
}

fn rules(body: &str) -> Vec<BundleFile> {
    vec![file("rules.rego", &format!("package data_mesh.governance\n\n{body}\n"))]
}

fn shipped_with(path: &str, text: &str) -> Vec<BundleFile> {
    let mut files = shipped();
    files.retain(|file| file.path != path);
    files.push(file(path, text));
    files
}

fn field(text: &str, data_type: DataType) -> Field {
    Field { name: name(text), physical_name: None, data_type, required: false, primary_key: false, classification: None, description: None }
}

fn port(text: &str, access: PortAccess) -> OutputPort {
    OutputPort {
        name: PortName::parse(text).unwrap(),
        kind: PortKind::Batch,
        format: PortFormat::Parquet,
        location: "profiles.parquet".to_owned(),
        partitioning: None,
        credentials: None,
        tls: crate::product::ServerTls::default(),
        encryption: None,
        access,
        sla: Sla::default(),
    }
}

fn customer_360() -> Product {
    let reference = ProductRef {
        domain: DomainName::parse("customer").unwrap(),
        name: ProductName::parse("customer-360").unwrap(),
        version: Version { major: 2, minor: 1, patch: 0 },
    };
    let schema = [
        field("customer_id", DataType::String),
        field("tier", DataType::String),
        field("full_name", DataType::String),
        field("email_hash", DataType::String),
        field("card", DataType::String),
        field("visits", DataType::Int32),
        field("created_at", DataType::TimestampTz),
    ];
    Product {
        reference,
        id: "urn:dp:customer:customer-360".to_owned(),
        owner: "customer-platform".to_owned(),
        description: None,
        tags: vec!["pii".to_owned()],
        status: Status::Active,
        deprecation: None,
        output_ports: vec![port("daily", PortAccess::Open), port("closed", PortAccess::Restricted)],
        default_port: Some(0),
        input_ports: Vec::new(),
        quality_checks: Vec::new(),
        schema: Some(schema.into()),
        governance: Governance {
            pii_fields: vec![name("full_name"), name("email_hash")],
            data_classification: "restricted".to_owned(),
            retention_days: Some(730),
            retention_column: Some(name("created_at")),
            gdpr_subject_to_erasure: true,
            subject_column: Some(name("customer_id")),
            access_policy: Some("opa://customer-domain/customer-360-access".to_owned()),
            ..Governance::default()
        },
        timezone: "UTC".to_owned(),
    }
}

fn masking() -> Product {
    let mut product = customer_360();
    product.governance.pii_action = PiiAction::Mask;
    product.governance.masks = vec![(name("email_hash"), Mask::Sha256Global), (name("card"), Mask::ShowLast4)];
    product
}

fn principal(roles: &[&str]) -> Principal {
    Principal {
        product: None,
        name: "ann".to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        groups: BTreeSet::new(),
        is_data_steward: false,
        attributes: BTreeMap::new(),
    }
}

fn now() -> DateTime<Utc> {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn request(product: &Product, principal: Principal, fields: &[&str]) -> AccessRequest {
    AccessRequest {
        principal: Arc::new(principal),
        purpose: None,
        product: Arc::new(product.clone()),
        port: PortName::parse("daily").unwrap(),
        fields: fields.iter().map(|field| RequestedField { name: name(field), uses: vec![FieldUse::Projected] }).collect(),
        context: RequestContext {
            query_id: "q1".to_owned(),
            now: now(),
            application_name: "psql".to_owned(),
            client_address: Some("10.0.0.9:5000".parse().unwrap()),
        },
    }
}

fn erased() -> Arc<SubjectSet> {
    Arc::new(SubjectSet::new(["c-7".to_owned()]))
}

fn point(files: Vec<BundleFile>, product: &Product) -> DecisionPoint {
    let bundle = Bundle::parse_within(files, Duration::from_secs(5)).unwrap();
    DecisionPoint::new(Arc::new(bundle), &[Arc::new(product.clone())], &BTreeMap::new(), erased()).unwrap()
}

fn decide(product: &Product, roles: &[&str], fields: &[&str]) -> Decision {
    point(shipped(), product).decide(&request(product, principal(roles), fields))
}

fn decide_by(files: Vec<BundleFile>, roles: &[&str], fields: &[&str]) -> Decision {
    let product = customer_360();
    point(files, &product).decide(&request(&product, principal(roles), fields))
}

fn allowed(decision: &Decision) -> &Obligations {
    match &decision.outcome {
        Outcome::Allow(obligations) => obligations,
        Outcome::Deny(reasons) => panic!("denied: {reasons:?}, {}", decision.result),
    }
}

fn denied(decision: &Decision) -> Vec<&str> {
    match &decision.outcome {
        Outcome::Allow(obligations) => panic!("allowed: {obligations:?}"),
        Outcome::Deny(reasons) => {
            assert!(!reasons.is_empty());
            reasons.iter().map(|reason| reason.rule.as_str()).collect()
        }
    }
}

// Who may and who may not, by the rules of `policies`.

#[test]
fn pii_is_read_with_the_role_and_denied_without() {
    let product = customer_360();
    assert!(allowed(&decide(&product, &["pii_authorized"], &["customer_id", "full_name"])).masks.is_empty());
    let decision = decide(&product, &["analyst"], &["full_name", "customer_id", "email_hash"]);
    assert_eq!(denied(&decision), ["data_mesh.governance.pii_access"]);
    let Outcome::Deny(reasons) = &decision.outcome else { unreachable!() };
    assert_eq!(reasons[0].fields, [name("full_name"), name("email_hash")]);
    assert_eq!(reasons[0].message, "columns \"full_name\", \"email_hash\" of data product \"customer/customer-360\" are personal data");
}

#[test]
fn a_denial_of_one_column_names_it_and_no_role() {
    let decision = decide(&customer_360(), &["analyst"], &["full_name"]);
    let Outcome::Deny(reasons) = &decision.outcome else { panic!() };
    assert_eq!(reasons[0].message, "column \"full_name\" of data product \"customer/customer-360\" is personal data");
}

#[test]
fn other_columns_and_no_column_are_read_without_the_role() {
    allowed(&decide(&customer_360(), &[], &["customer_id", "tier"]));
    allowed(&decide(&customer_360(), &[], &[]));
}

#[test]
fn a_masking_product_masks_for_those_without_the_role() {
    let product = masking();
    let decision = decide(&product, &[], &["full_name", "tier"]);
    let obligations = allowed(&decision);
    let masks: Vec<_> = obligations.masks.iter().map(|(column, mask)| (column.as_str(), mask.as_str())).collect();
    assert_eq!(masks, [("card", "show-last-4"), ("email_hash", "sha-256-global"), ("full_name", "replace-with-null")]);
    assert_eq!(obligations.notices, ["columns_masked", "rows_limited"]);
    assert_eq!(decision.input.to_value()["resource"]["requested_fields"], json!(["tier"]));
    assert_eq!(decision.input.to_value()["resource"]["masked_fields"], json!(["full_name"]));
    assert!(allowed(&decide(&product, &["pii_authorized"], &["full_name", "card"])).masks.is_empty());
}

#[test]
fn a_notice_of_masks_needs_a_masked_column_in_the_statement() {
    assert_eq!(allowed(&decide(&masking(), &[], &["tier"])).notices, ["rows_limited"]);
}

#[test]
fn a_mask_of_the_contract_does_not_open_a_denying_product() {
    let mut product = masking();
    product.governance.pii_action = PiiAction::Deny;
    assert_eq!(denied(&decide(&product, &[], &["email_hash"])), ["data_mesh.governance.pii_access"]);
    assert_eq!(allowed(&decide(&product, &[], &["card"])).masks.len(), 1);
}

#[test]
fn a_record_of_exactly_the_period_is_still_visible() {
    let decision = decide(&customer_360(), &[], &["tier"]);
    let oldest = now() - Duration::from_secs(730 * 24 * 3600);
    let expected = Predicate::Compare { column: name("created_at"), op: CompareOp::Ge, value: Literal::Instant(oldest) };
    assert_eq!(allowed(&decision).row_filter, expected);
    assert_eq!(decision.result["enforced"]["row_filter"], "created_at >= ?");
    let rules = [
        "data_mesh.governance.allow",
        "data_mesh.governance.retention",
        "data_mesh.governance.erasure",
        "contract.retention",
        "contract.erasure",
    ];
    assert_eq!(*decision.rules, rules);
    assert_eq!(allowed(&decision).row_rules[0].rule, "contract.retention");
}

#[test]
fn a_steward_sees_expired_rows_and_no_erased_ones() {
    let product = customer_360();
    let mut steward = principal(&[]);
    steward.is_data_steward = true;
    let decision = point(shipped(), &product).decide(&request(&product, steward, &["tier"]));
    let obligations = allowed(&decision);
    assert!(obligations.row_filter.is_true());
    assert_eq!(obligations.exclusion.as_ref().unwrap().column, name("customer_id"));
    assert!(obligations.exclusion.as_ref().unwrap().subjects.contains("c-7"));
}

#[test]
fn erasure_binds_everyone_and_only_where_the_contract_says() {
    assert!(allowed(&decide(&customer_360(), &["pii_authorized", "restricted"], &["tier"])).exclusion.is_some());
    let mut product = customer_360();
    product.governance.gdpr_subject_to_erasure = false;
    assert!(allowed(&decide(&product, &[], &["tier"])).exclusion.is_none());
}

#[test]
fn a_restricted_port_answers_its_roles_only() {
    let product = customer_360();
    let point = point(shipped(), &product);
    let ask = |roles: &[&str]| {
        let mut request = request(&product, principal(roles), &["tier"]);
        request.port = PortName::parse("closed").unwrap();
        point.decide(&request)
    };
    allowed(&ask(&["restricted"]));
    allowed(&ask(&["restricted:customer"]));
    assert_eq!(denied(&ask(&["restricted:payments", "pii_authorized"])), ["data_mesh.governance.restricted_port"]);
}

#[test]
fn the_metadata_role_reads_no_row_and_discovers() {
    let product = customer_360();
    let everything = ["metadata", "pii_authorized", "restricted"];
    assert_eq!(denied(&decide(&product, &everything, &["tier"])), ["data_mesh.governance.metadata_only"]);
    assert!(point(shipped(), &product).may_discover(&Arc::new(principal(&["metadata"])), &product, None, now()));
}

// The ways in which a rule fails open, each closed.

#[test]
fn the_rules_are_asked_a_complete_question() {
    let input = decide(&customer_360(), &[], &["tier"]).input.to_value();
    assert_eq!(input["action"], "read");
    assert_eq!(input["subject"]["roles"], json!([]));
    assert_eq!(input["subject"]["is_data_steward"], false);
    assert_eq!(input["subject"]["purpose"], Value::Null);
    assert_eq!(input["resource"]["classification"], "restricted");
    assert_eq!(input["resource"]["columns"].as_array().unwrap().len(), 7);
    assert_eq!(input["resource"]["columns"][2]["pii"], true);
    assert_eq!(input["context"]["now_ns"], json!(now().timestamp_nanos_opt().unwrap()));
}

#[test]
fn a_star_is_no_field() {
    assert_eq!(denied(&decide(&customer_360(), &["pii_authorized"], &["*"])), ["guard.unknown_field"]);
    let mut product = customer_360();
    product.schema = None;
    assert_eq!(denied(&decide(&product, &["pii_authorized"], &["*"])), ["guard.unknown_field"]);
}

#[test]
fn a_field_in_another_case_is_the_field() {
    let decision = decide(&customer_360(), &[], &["FULL_NAME"]);
    assert_eq!(denied(&decision), ["data_mesh.governance.pii_access"]);
    assert_eq!(*decision.fields, [name("full_name")]);
}

#[test]
fn a_pii_mark_in_another_case_is_the_mark() {
    let mut product = customer_360();
    product.governance.pii_fields = vec![name("Full_Name")];
    product.governance.retention_column = Some(name("CREATED_AT"));
    assert_eq!(denied(&decide(&product, &[], &["full_name"])), ["data_mesh.governance.pii_access"]);
    assert_eq!(allowed(&decide(&product, &[], &["tier"])).row_filter.to_string(), "created_at >= ?");
    product.schema = None;
    assert_eq!(denied(&decide(&product, &[], &["full_name"])), ["data_mesh.governance.pii_access"]);
}

#[test]
fn columns_that_differ_in_case_only_are_both_protected() {
    let mut product = customer_360();
    product.schema = Some(product.schema.unwrap().iter().cloned().chain([field("Full_Name", DataType::String)]).collect());
    assert_eq!(denied(&decide(&product, &[], &["Full_Name"])), ["data_mesh.governance.pii_access"]);
    assert_eq!(denied(&decide(&product, &[], &["FULL_NAME"])), ["guard.unknown_field"]);
}

#[test]
fn an_unknown_field_product_or_port_is_denied_before_the_rules_are_asked() {
    let product = customer_360();
    assert_eq!(denied(&decide(&product, &["pii_authorized"], &["salary"])), ["guard.unknown_field"]);
    let mut other = customer_360();
    other.reference.version.major = 3;
    let point = point(shipped(), &product);
    assert_eq!(denied(&point.decide(&request(&other, principal(&[]), &["tier"]))), ["guard.unknown_product"]);
    assert!(!point.may_discover(&Arc::new(principal(&[])), &other, None, now()));
    let mut elsewhere = request(&product, principal(&[]), &["tier"]);
    elsewhere.port = PortName::parse("stream").unwrap();
    assert_eq!(denied(&point.decide(&elsewhere)), ["guard.unknown_port"]);
}

#[test]
fn a_product_with_another_contract_than_the_catalogs_is_unknown() {
    let point = point(shipped(), &customer_360());
    let mut laxer = customer_360();
    laxer.governance.pii_fields.clear();
    assert_eq!(denied(&point.decide(&request(&laxer, principal(&[]), &["full_name"]))), ["guard.unknown_product"]);
}

#[test]
fn restricted_data_without_a_period_is_denied_in_every_spelling() {
    let mut product = customer_360();
    product.governance.retention_days = None;
    for classification in ["restricted", " Restricted", "RESTRICTED", "secret", ""] {
        product.governance.data_classification = classification.to_owned();
        assert_eq!(denied(&decide(&product, &[], &["tier"])), ["data_mesh.governance.retention_missing"], "{classification}");
    }
    product.governance.data_classification = "Internal".to_owned();
    allowed(&decide(&product, &[], &["tier"]));
}

#[test]
fn the_domains_period_binds_a_product_without_its_own() {
    let mut product = customer_360();
    product.governance.retention_days = None;
    let domains = BTreeMap::from([(DomainName::parse("customer").unwrap(), 30)]);
    let decide = |product: &Product| {
        let bundle = Arc::new(Bundle::parse(shipped()).unwrap());
        let point = DecisionPoint::new(bundle, &[Arc::new(product.clone())], &domains, erased()).unwrap();
        point.decide(&request(product, principal(&[]), &["tier"]))
    };
    let oldest = now() - Duration::from_secs(30 * 24 * 3600);
    let expected = Predicate::Compare { column: name("created_at"), op: CompareOp::Ge, value: Literal::Instant(oldest) };
    assert_eq!(allowed(&decide(&product)).row_filter, expected);
    product.governance.retention_column = None;
    assert_eq!(denied(&decide(&product)), ["guard.contract"]);
    product.governance.data_classification = "internal".to_owned();
    assert!(allowed(&decide(&product)).row_filter.is_true());
}

#[test]
fn a_contract_that_cannot_be_enforced_denies() {
    let changes: [fn(&mut Governance); 5] = [
        |governance| governance.retention_column = None,
        |governance| governance.retention_column = Some(name("nowhere")),
        |governance| governance.subject_column = None,
        |governance| governance.pii_fields.push(name("nowhere")),
        |governance| governance.access_policy = Some("https://elsewhere/policy".to_owned()),
    ];
    for change in changes {
        let mut product = customer_360();
        change(&mut product.governance);
        assert_eq!(denied(&decide(&product, &["pii_authorized"], &["tier"])), ["guard.contract"]);
    }
}

#[test]
fn a_mask_that_a_column_cannot_have_denies_where_it_is_read() {
    let mut product = customer_360();
    product.governance.masks = vec![(name("visits"), Mask::ShowLast4)];
    assert_eq!(denied(&decide(&product, &[], &["visits"])), ["guard.contract"]);
    assert_eq!(allowed(&decide(&product, &[], &["tier"])).masks.get(&name("visits")), Some(&super::super::Mask::Null));
    allowed(&decide(&product, &["pii_authorized"], &["visits"]));
}

// Bundles that go wrong.

const LAX: &str = "allow := true";

#[test]
fn a_bundle_that_allows_everything_opens_neither_pii_nor_ports_nor_the_metadata_role() {
    assert_eq!(denied(&decide_by(rules(LAX), &[], &["full_name"])), ["guard.pii"]);
    assert_eq!(denied(&decide_by(rules(LAX), &["metadata"], &["tier"])), ["guard.metadata_only"]);
    let product = customer_360();
    let mut closed = request(&product, principal(&[]), &["tier"]);
    closed.port = PortName::parse("closed").unwrap();
    assert_eq!(denied(&point(rules(LAX), &product).decide(&closed)), ["guard.restricted_port"]);
    let decision = decide_by(rules(LAX), &["pii_authorized"], &["full_name"]);
    let obligations = allowed(&decision);
    assert!(!obligations.row_filter.is_true() && obligations.exclusion.is_some());
}

#[test]
fn a_bundle_may_change_who_reads_pii() {
    let files = || rules("allow := true\nfieldGrants contains \"full_name\" if \"hr\" in input.subject.roles");
    allowed(&decide_by(files(), &["hr"], &["full_name"]));
    assert_eq!(denied(&decide_by(files(), &["pii_authorized"], &["full_name"])), ["guard.pii"]);
    assert_eq!(denied(&decide_by(files(), &["hr"], &["full_name", "email_hash"])), ["guard.pii"]);
}

#[test]
fn undefined_is_a_deny() {
    assert_eq!(denied(&decide_by(rules("allow if input.nothing"), &[], &["tier"])), ["guard.undefined"]);
    let deny = "allow := true\ndeny := {\"x\"} if input.nothing";
    assert_eq!(denied(&decide_by(rules(deny), &[], &["tier"])), ["guard.undefined"]);
}

#[test]
fn allow_beside_a_denial_is_a_deny() {
    let files = rules("allow := true\ndeny contains \"no\"");
    assert_eq!(denied(&decide_by(files, &[], &["tier"])), ["data_mesh.governance.deny"]);
}

#[test]
fn a_denial_of_any_shape_is_a_deny() {
    for element in ["42", "null", "[]", "{}", "{\"rule\": 7, \"fields\": [\"nowhere\", 1]}", "{\"rule\": \"a b; c\"}", "false"] {
        let files = rules(&format!("allow := true\ndeny contains {element}"));
        assert_eq!(denied(&decide_by(files, &[], &["tier"])), ["data_mesh.governance.deny"], "{element}");
    }
}

#[test]
fn an_answer_of_the_wrong_type_is_a_deny() {
    let answers = [
        "allow := \"true\"",
        "allow := 1",
        "allow := null",
        "allow := true\ndeny := false",
        "allow := true\nexemptions := {\"everything\"}",
        "allow := true\nrowFilters contains \"tier = 'gold'\"",
        "allow := true\nrowFilters contains {\"expression\": \"salary > 1\"}",
        "allow := true\nrowFilters contains {\"expression\": \"tier = 'gold'\", \"identity\": \"root\"}",
        "allow := true\ncolumnMasks contains {\"column\": \"tier\", \"mask\": \"rot13\"}",
        "allow := true\ncolumnMasks contains {\"column\": \"nowhere\", \"mask\": \"redact\"}",
        "allow := true\ncolumnMasks contains {\"column\": \"tier\"}",
        "allow := true\nfieldGrants contains 1",
        "allow := true\nnotices contains \"Ann has been erased\"",
    ];
    for answer in answers {
        assert_eq!(denied(&decide_by(rules(answer), &["pii_authorized"], &["tier"])), ["guard.answer"], "{answer}");
    }
}

#[test]
fn a_rule_that_fails_is_a_deny() {
    let failing =
        ["deny contains \"x\" if 1 / count([]) > 0", "deny contains \"x\" if to_number(\"a\") > 0", "deny contains \"x\" if nowhere(1)"];
    for rule in failing {
        let decision = decide_by(rules(&format!("allow := true\n{rule}")), &["pii_authorized"], &["tier"]);
        assert_eq!(denied(&decision), ["guard.evaluation"], "{rule}");
        assert!(decision.result["fault"].as_str().unwrap().contains("rules.rego:4:"), "{}", decision.result);
    }
}

#[test]
fn a_rule_that_conflicts_with_itself_is_a_deny() {
    let files = rules("allow := true if input.action == \"read\"\nallow := false if input.action == \"read\"");
    assert_eq!(denied(&decide_by(files, &[], &["tier"])), ["guard.evaluation"]);
}

#[test]
fn a_rule_that_takes_too_long_is_a_deny() {
    let digits = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
    let letters = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let loops: Vec<String> = letters.iter().map(|letter| format!("some {letter} in {digits}")).collect();
    let body = format!("allow := true\ndeny contains \"x\" if count([1 | {}; a + b + c < 0]) > 0", loops.join("; "));
    let bundle = Bundle::parse_within(rules(&body), Duration::from_millis(50)).unwrap();
    let product = customer_360();
    let point = DecisionPoint::new(Arc::new(bundle), &[Arc::new(product.clone())], &BTreeMap::new(), erased()).unwrap();
    let start = Instant::now();
    assert_eq!(denied(&point.decide(&request(&product, principal(&[]), &["tier"]))), ["guard.deadline"]);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_rule_cannot_allocate_without_bound() {
    let files = rules("allow := true\ndeny contains \"x\" if count(numbers.range(1, 1000000000000)) < 0");
    assert_eq!(denied(&decide_by(files, &[], &["tier"])), ["guard.evaluation"]);
}

#[test]
fn test_files_decide_nothing() {
    let mut files = rules("allow := false");
    files.push(file("rules_test.rego", "package data_mesh.governance\n\nallow := true\n"));
    assert_eq!(denied(&decide_by(files, &[], &["tier"])), ["data_mesh.governance.allow"]);
}

#[test]
fn row_filters_join_the_contracts_period() {
    let files =
        shipped_with("regions.rego", "package data_mesh.governance\n\nrowFilters contains {\"expression\": \"tier IN ('gold', 'x')\"}\n");
    let decision = decide_by(files, &[], &["visits"]);
    assert_eq!(allowed(&decision).row_filter.to_string(), "tier IN (? × 2) AND created_at >= ?");
}

#[test]
fn a_bundle_lifts_erasure_only_by_name() {
    let files = rules("allow := true\nexemptions contains \"erasure\" if \"dpo\" in input.subject.roles");
    assert!(allowed(&decide_by(files.clone(), &[], &["tier"])).exclusion.is_some());
    assert!(allowed(&decide_by(files, &["dpo"], &["tier"])).exclusion.is_none());
}

// The product's own package.

#[test]
fn a_products_own_package_restricts_further() {
    let text = "package customer_domain.customer_360_access\n\ndeny contains {\"rule\": \"purpose\"} if input.subject.purpose == null\n";
    let product = customer_360();
    let point = point(shipped_with("own.rego", text), &product);
    let mut request = request(&product, principal(&[]), &["tier"]);
    assert_eq!(denied(&point.decide(&request)), ["customer_domain.customer_360_access.purpose"]);
    request.purpose = Some("billing".to_owned());
    allowed(&point.decide(&request));
    request.fields = vec![RequestedField { name: name("full_name"), uses: vec![FieldUse::Filtered] }];
    assert_eq!(denied(&point.decide(&request)), ["data_mesh.governance.pii_access"]);
}

#[test]
fn a_products_own_package_must_allow_if_it_can() {
    let text = "package customer_domain.customer_360_access\n\ndefault allow := false\n\nallow if \"crm\" in input.subject.roles\n";
    let files = shipped_with("own.rego", text);
    allowed(&decide_by(files.clone(), &["crm"], &["tier"]));
    assert_eq!(denied(&decide_by(files, &[], &["tier"])), ["customer_domain.customer_360_access.allow"]);
}

#[test]
fn two_different_masks_leave_nothing() {
    let own = "package customer_domain.customer_360_access\n\ncolumnMasks contains {\"column\": \"card\", \"mask\": \"redact\"}\n";
    let product = masking();
    let decision = point(shipped_with("own.rego", own), &product).decide(&request(&product, principal(&[]), &["card"]));
    assert_eq!(allowed(&decision).masks.get(&name("card")), Some(&super::super::Mask::Null));
}

#[test]
fn a_missing_package_denies_only_if_the_bundle_requires_it() {
    let mut files = shipped_with("data.json", "{\"meshgate\": {\"require_product_packages\": true}}");
    allowed(&decide_by(files.clone(), &[], &["tier"]));
    files.retain(|file| file.path != "customer_360_access.rego");
    assert_eq!(denied(&decide_by(files, &[], &["tier"])), ["guard.no_product_package"]);
}

// A policy in the style that per-record engines are given: message texts, a registry, and records that this gateway does not show it.

const PER_RECORD: &str = r#"
import future.keywords.if
import future.keywords.in

default allow := false

allow if count(deny) == 0

deny contains text if {
	input.action == "read"
	some wanted in input.resource.requested_fields
	wanted in data.pii_registry[input.resource.domain][input.resource.product]
	not "pii_authorized" in input.subject.roles
	text := sprintf("%v is personal, caller holds %v", [wanted, input.subject.roles])
}

deny contains text if {
	input.resource.classification == "restricted"
	age := (time.now_ns() - input.resource.record_created_ns) / 86400000000000
	age > data.retention_policies[input.resource.domain]
	not input.subject.is_data_steward
	text := sprintf("%v days old", [age])
}

deny contains "erased" if {
	input.resource.subject_id != null
	input.resource.subject_id in data.erased_subjects
}
"#;

mod records;

#[test]
fn no_message_of_a_rule_reaches_the_caller() {
    let decision = decide_by(rules(PER_RECORD), &["analyst"], &["full_name"]);
    let Outcome::Deny(reasons) = &decision.outcome else { panic!() };
    assert!(reasons.iter().all(|reason| !reason.message.contains("analyst") && !reason.message.contains("caller")));
    assert!(decision.result["deny"][0].as_str().unwrap().contains("analyst"));
}

// The schemas beside the rules.

#[test]
fn the_interpreter_is_asked_what_is_recorded() {
    let mut unlisted = customer_360();
    unlisted.schema = None;
    for product in [customer_360(), masking(), unlisted] {
        let contract = Contract::new(&Arc::new(product.clone()), &BTreeMap::new());
        for fields in [&[][..], &["tier"], &["full_name", "card", "tier"]] {
            let request = request(&product, principal(&["analyst"]), fields);
            let columns = contract.columns(&request).unwrap();
            let question = input::read(&request, &contract, &columns, 7, |column| column.name.as_str() == "card");
            assert_eq!(input::as_asked(&question, &contract), crate::policy::rego::from_json(&question.to_value()));
            assert!(question.fits() && schema::is_request(&question.to_value()), "{question:?}");
            assert_eq!(serde_json::to_value(&question).unwrap(), question.to_value());
        }
    }
}

#[test]
fn questions_fit_their_schema() {
    let schema = |file: &str| {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(file)).unwrap();
        jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
    };
    let request = schema("request.schema.json");
    let decision = decide(&masking(), &["analyst"], &["tier", "full_name"]);
    let input = decision.input.to_value();
    assert!(request.is_valid(&input), "{input}");
    let discover = input::discover(&principal(&[]), None, &Contract::new(&Arc::new(masking()), &BTreeMap::new()));
    assert!(request.is_valid(&discover), "{discover}");
    let mut incomplete = input;
    incomplete["subject"].as_object_mut().unwrap().remove("roles");
    assert!(!request.is_valid(&incomplete));

    let mut answer = serde_json::Value::clone(&decision.result);
    answer.as_object_mut().unwrap().remove("enforced");
    assert!(schema("answer.schema.json").is_valid(&answer), "{answer}");
    answer["exemptions"] = json!(["everything"]);
    assert!(!schema("answer.schema.json").is_valid(&answer));
}
