//! A policy that is written per record, loaded as it is: who may see which records, and every odd input that must not open it.

use super::*;
use crate::policy::residual::{Cell, Row, holds};

const PERIOD: u32 = 730;

fn domains(days: Option<u32>) -> BTreeMap<DomainName, u32> {
    days.map(|days| (DomainName::parse("customer").unwrap(), days)).into_iter().collect()
}

fn decide_within(product: &Product, days: Option<u32>, principal: Principal, fields: &[&str]) -> Decision {
    let bundle = Bundle::parse_within(rules(PER_RECORD), Duration::from_secs(5)).unwrap();
    let erased = Arc::new(SubjectSet::new(["c-7".to_owned(), "7".to_owned()]));
    let point = DecisionPoint::new(Arc::new(bundle), &[Arc::new(product.clone())], &domains(days), erased).unwrap();
    point.decide(&request(product, principal, fields))
}

fn per_record(product: &Product, roles: &[&str], fields: &[&str]) -> Decision {
    decide_within(product, Some(PERIOD), principal(roles), fields)
}

fn changed(change: impl FnOnce(&mut Product)) -> Product {
    let mut product = customer_360();
    change(&mut product);
    product
}

/// Whether a record is shown: the row filter, then the exclusion.
fn shown(obligations: &Obligations, created: Cell, subject: Cell) -> bool {
    let erased = match (&obligations.exclusion, &subject) {
        (None, _) => false,
        (Some(_), Cell::Null) => true,
        (Some(exclusion), Cell::Text(id)) => exclusion.subjects.contains(id.trim()),
        (Some(exclusion), Cell::Int(id)) => exclusion.subjects.contains(&id.to_string()),
        (Some(_), _) => true,
    };
    let row: Row = [(name("created_at"), created), (name("customer_id"), subject)].into();
    !erased && holds(&obligations.row_filter, &row) == Some(true)
}

fn aged(days: i64, nanoseconds: i64) -> Cell {
    Cell::Instant(now().timestamp_nanos_opt().unwrap() - days * 86_400_000_000_000 - nanoseconds)
}

fn person(id: &str) -> Cell {
    Cell::Text(id.to_owned())
}

#[test]
fn young_records_of_people_who_are_not_erased_are_shown() {
    let decision = per_record(&customer_360(), &[], &["tier"]);
    let obligations = allowed(&decision);
    assert_eq!(obligations.row_filter.to_string(), "created_at >= ?");
    assert_eq!(obligations.row_rules.len(), 1);
    assert_eq!(obligations.exclusion.as_ref().unwrap().column, name("customer_id"));
    assert!(shown(obligations, aged(1, 0), person("c-1")));
    assert!(shown(obligations, aged(730, 0), person("c-1")));
    assert!(shown(obligations, aged(-1, 0), person("")));
    for (created, subject) in [
        (aged(730, 1_000), person("c-1")),
        (aged(4_000, 0), person("c-1")),
        (Cell::Null, person("c-1")),
        (aged(1, 0), Cell::Null),
        (aged(1, 0), person("c-7")),
        (aged(1, 0), person(" c-7 ")),
    ] {
        assert!(!shown(obligations, created.clone(), subject.clone()), "{created:?} {subject:?}");
    }
}

#[test]
fn a_shorter_period_of_the_policys_wins_over_the_contracts() {
    let decision = decide_within(&customer_360(), Some(30), principal(&[]), &["tier"]);
    let obligations = allowed(&decision);
    assert!(shown(obligations, aged(30, 0), person("c-1")) && !shown(obligations, aged(31, 0), person("c-1")));
    let contract = changed(|product| product.governance.retention_days = Some(10));
    let decision = decide_within(&contract, Some(30), principal(&[]), &["tier"]);
    assert!(!shown(allowed(&decision), aged(11, 0), person("c-1")));
}

#[test]
fn ids_of_another_type_are_erased_too() {
    let numbers = changed(|product| {
        let fields = product.schema.take().unwrap();
        let with_number =
            |field: &Field| if field.name == name("customer_id") { super::field("customer_id", DataType::Int64) } else { field.clone() };
        product.schema = Some(fields.iter().map(with_number).collect());
    });
    let decision = per_record(&numbers, &[], &["tier"]);
    assert!(!shown(allowed(&decision), aged(1, 0), Cell::Int(7)));
    assert!(shown(allowed(&decision), aged(1, 0), Cell::Int(8)));
}

#[test]
fn erasure_by_the_policy_binds_where_the_contract_does_not_ask_for_it() {
    let product = changed(|product| product.governance.gdpr_subject_to_erasure = false);
    let decision = per_record(&product, &[], &["tier"]);
    assert!(!shown(allowed(&decision), aged(1, 0), person("c-7")));
    assert!(!shown(allowed(&decision), aged(1, 0), Cell::Null));
    let nobodys = changed(|product| {
        product.governance.gdpr_subject_to_erasure = false;
        product.governance.subject_column = None;
    });
    assert!(allowed(&per_record(&nobodys, &[], &["tier"])).exclusion.is_none());
}

#[test]
fn personal_data_needs_exactly_the_role() {
    allowed(&per_record(&customer_360(), &["pii_authorized"], &["full_name", "email_hash", "tier"]));
    allowed(&per_record(&customer_360(), &[], &["tier"]));
    allowed(&per_record(&customer_360(), &[], &[]));
    for roles in [
        &[][..],
        &["PII_AUTHORIZED"],
        &["pii-authorized"],
        &["pii_authorized "],
        &["not_pii_authorized"],
        &["pii", "authorized"],
        &["*"],
        &[""],
    ] {
        for fields in [&["full_name"][..], &["FULL_NAME"], &["Full_Name", "tier"], &["email_hash"], &["tier", "full_name"]] {
            assert_eq!(denied(&per_record(&customer_360(), roles, fields))[0], "data_mesh.governance.deny", "{roles:?} {fields:?}");
        }
    }
    let mut steward = principal(&[]);
    steward.is_data_steward = true;
    assert_eq!(denied(&decide_within(&customer_360(), Some(PERIOD), steward, &["full_name"]))[0], "data_mesh.governance.deny");
}

#[test]
fn what_is_no_field_port_or_product_of_the_contract_is_denied() {
    let everything = ["pii_authorized", "restricted"];
    for field in ["*", "full-name", "full name", "fullname", "salary", "\"full_name\""] {
        if let Ok(field) = FieldName::parse(field) {
            assert_eq!(denied(&per_record(&customer_360(), &everything, &[field.as_str()])), ["guard.unknown_field"], "{field}");
        }
    }
    let bundle = Arc::new(Bundle::parse(rules(PER_RECORD)).unwrap());
    let known = customer_360();
    let point = DecisionPoint::new(bundle, &[Arc::new(known.clone())], &domains(Some(PERIOD)), erased()).unwrap();
    let strangers: [fn(&mut Product); 4] = [
        |product| product.reference.name = ProductName::parse("customer_360").unwrap(),
        |product| product.reference.domain = DomainName::parse("payments").unwrap(),
        |product| product.reference.version.minor = 2,
        |product| product.governance.pii_fields.clear(),
    ];
    for change in strangers {
        let stranger = changed(change);
        assert_eq!(denied(&point.decide(&request(&stranger, principal(&everything), &["tier"]))), ["guard.unknown_product"]);
    }
    let mut elsewhere = request(&known, principal(&everything), &["tier"]);
    elsewhere.port = PortName::parse("DAILY").unwrap();
    assert_eq!(denied(&point.decide(&elsewhere)), ["guard.unknown_port"]);
    let mut closed = request(&known, principal(&["pii_authorized"]), &["tier"]);
    closed.port = PortName::parse("closed").unwrap();
    assert_eq!(denied(&point.decide(&closed)), ["guard.restricted_port"]);
    assert_eq!(denied(&point.decide(&request(&known, principal(&["metadata"]), &["tier"]))), ["guard.metadata_only"]);
}

#[test]
fn a_domain_without_a_period_is_not_read_where_the_rule_needs_one() {
    assert_eq!(denied(&decide_within(&customer_360(), None, principal(&["pii_authorized"]), &["tier"])), ["data_mesh.governance.deny"]);
    for classification in ["RESTRICTED", " restricted ", "top secret", ""] {
        let product = changed(|product| product.governance.data_classification = classification.to_owned());
        assert_eq!(denied(&decide_within(&product, None, principal(&[]), &["tier"])), ["data_mesh.governance.deny"], "{classification}");
    }
    // The rule does not ask it of other data, nor of stewards.
    let internal = changed(|product| product.governance.data_classification = "internal".to_owned());
    allowed(&decide_within(&internal, None, principal(&[]), &["tier"]));
    let mut steward = principal(&[]);
    steward.is_data_steward = true;
    allowed(&decide_within(&customer_360(), None, steward, &["tier"]));
}

#[test]
fn a_rule_that_spares_stewards_lifts_the_contracts_period_if_it_says_just_that() {
    let steward = || Principal { is_data_steward: true, ..principal(&[]) };
    let old = |decision: &Decision| shown(allowed(decision), aged(PERIOD.into(), 1), person("c-1"));
    let undated = |decision: &Decision| shown(allowed(decision), Cell::Null, person("c-1"));
    let spared = decide_within(&customer_360(), Some(PERIOD), steward(), &["tier"]);
    assert!(old(&spared) && undated(&spared) && !shown(allowed(&spared), aged(1, 0), person("c-7")));
    assert_eq!(spared.result["enforced"]["retention_spared_by"]["rule"], "data_mesh.governance.deny");
    assert!(!spared.rules.contains(&"contract.retention".to_owned()));
    let other = decide_within(&customer_360(), Some(PERIOD), principal(&[]), &["tier"]);
    assert!(!old(&other) && !undated(&other) && other.result["enforced"].get("retention_spared_by").is_none());
    // The rules know of another period than the contract's, or say nothing of such data.
    let shorter = decide_within(&customer_360(), Some(PERIOD - 1), steward(), &["tier"]);
    let longer = decide_within(&customer_360(), Some(PERIOD + 1), steward(), &["tier"]);
    let internal = changed(|product| product.governance.data_classification = "internal".to_owned());
    let internal = decide_within(&internal, Some(PERIOD), steward(), &["tier"]);
    for kept in [shorter, longer, internal] {
        assert!(!old(&kept) && !undated(&kept) && kept.rules.contains(&"contract.retention".to_owned()));
    }
}

#[test]
fn a_rule_that_takes_more_from_others_shows_stewards_nothing_more() {
    let steward = || Principal { is_data_steward: true, ..principal(&[]) };
    let base = "allow if count(deny) == 0\n\ndefault allow := false\n\n";
    let created = "input.resource.record_created_ns";
    let none = format!("{base}deny contains \"none\" if input.action == \"none\"\n");
    let limit = decide_with(&none, steward()).row_filter.to_string();
    assert_eq!(limit, "created_at >= ?");
    for condition in [
        &format!("{created} < time.now_ns() - (30 * 86400000000000)"),
        &format!("{created} < time.now_ns()"),
        &format!("{created} < time.now_ns() - (729 * 86400000000000)"),
        &format!("{created} < time.now_ns() - (730 * 86400000000000 + 2000)"),
        &format!("{created} < time.now_ns() - (730 * 86400000000000 - 2000)"),
        "input.resource.record.tier != \"gold\"",
    ] {
        let rules = format!("{base}deny contains \"x\" if {{\n\tnot input.subject.is_data_steward\n\t{condition}\n}}\n");
        assert_eq!(decide_with(&rules, steward()).row_filter.to_string(), limit, "{condition}");
    }
    let same = format!(
        "{base}deny contains \"x\" if {{\n\tnot input.subject.is_data_steward\n\t{created} < time.now_ns() - (input.resource.retention_days * 86400000000000)\n}}\n"
    );
    assert!(decide_with(&same, steward()).row_filter.is_true());
}

fn decide_with(body: &str, principal: Principal) -> Obligations {
    let product = customer_360();
    allowed(&point(rules(body), &product).decide(&request(&product, principal, &["tier"]))).clone()
}

#[test]
fn a_lifted_period_is_told_with_its_rule() {
    let lifted = |files: Vec<BundleFile>, days: u32| {
        let bundle = Bundle::parse_within(files, Duration::from_secs(5)).unwrap();
        let point = DecisionPoint::new(Arc::new(bundle), &[Arc::new(customer_360())], &domains(Some(days)), erased()).unwrap();
        point.lifted_periods(9).into_iter().map(|(product, rule)| (product.name.to_string(), rule.rule)).collect::<Vec<_>>()
    };
    assert_eq!(lifted(rules(PER_RECORD), PERIOD), [("customer-360".to_owned(), "data_mesh.governance.deny".to_owned())]);
    assert_eq!(lifted(rules(PER_RECORD), PERIOD - 1), []);
    // What is lifted by its name is no surprise.
    assert_eq!(lifted(shipped(), PERIOD), []);
}

#[test]
fn a_steward_is_spared_days_as_well_as_instants() {
    let dated = changed(|product| {
        let fields = product.schema.take().unwrap();
        let with_day =
            |field: &Field| if field.name == name("created_at") { super::field("created_at", DataType::Date) } else { field.clone() };
        product.schema = Some(fields.iter().map(with_day).collect());
    });
    let limits = |steward: bool| {
        let decision = decide_within(&dated, Some(PERIOD), Principal { is_data_steward: steward, ..principal(&[]) }, &["tier"]);
        allowed(&decision).row_filter.to_string()
    };
    assert_eq!((limits(false).as_str(), limits(true).as_str()), ("created_at >= ?", "true"));
}

#[test]
fn a_period_of_nothing_shows_what_is_to_come_only() {
    let decision = decide_within(&customer_360(), Some(0), principal(&[]), &["tier"]);
    assert!(!shown(allowed(&decision), aged(1, 0), person("c-1")));
    assert!(shown(allowed(&decision), aged(-1, 0), person("c-1")));
}

#[test]
fn a_contract_that_does_not_say_where_dates_and_people_are_is_denied() {
    let changes: [fn(&mut Product); 4] = [
        |product| product.governance.retention_column = None,
        |product| product.governance.subject_column = None,
        |product| product.governance.retention_column = Some(name("nowhere")),
        |product| product.governance.subject_column = Some(name("nowhere")),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let decision = per_record(&changed(change), &["pii_authorized"], &["tier"]);
        assert!(denied(&decision)[0].starts_with("guard."), "{number}: {:?}", denied(&decision));
    }
    // A text holds no date: the policy cannot be kept for the product, beside others that it is kept for.
    let dateless = changed(|product| product.governance.retention_column = Some(name("tier")));
    let other = changed(|product| product.reference.version.major = 9);
    let bundle = Arc::new(Bundle::parse(rules(PER_RECORD)).unwrap());
    let products = [Arc::new(dateless.clone()), Arc::new(other.clone())];
    let point = DecisionPoint::new(bundle, &products, &domains(Some(PERIOD)), erased()).unwrap();
    assert_eq!(denied(&point.decide(&request(&dateless, principal(&[]), &["tier"]))), ["guard.policy_untranslatable"]);
    allowed(&point.decide(&request(&other, principal(&[]), &["tier"])));
}

#[test]
fn marks_in_another_case_protect_all_the_same() {
    let product = changed(|product| {
        product.governance.pii_fields = vec![name("Full_Name")];
        product.governance.retention_column = Some(name("Created_At"));
        product.governance.subject_column = Some(name("CUSTOMER_ID"));
    });
    let decision = per_record(&product, &[], &["tier"]);
    assert!(!shown(allowed(&decision), aged(731, 0), person("c-1")));
    assert!(!shown(allowed(&decision), aged(1, 0), person("c-7")));
    assert!(denied(&per_record(&product, &[], &["full_name"])).contains(&"guard.pii"));
}

#[test]
fn a_masking_product_masks_and_filters() {
    let decision = per_record(&masking(), &[], &["full_name"]);
    assert_eq!(allowed(&decision).masks.len(), 3);
    assert_eq!(allowed(&decision).row_filter.to_string(), "created_at >= ?");
}

#[test]
fn a_contract_without_a_schema_is_filtered_by_the_columns_that_it_names() {
    let product = changed(|product| product.schema = None);
    let decision = per_record(&product, &[], &["tier"]);
    assert_eq!(allowed(&decision).row_filter.to_string(), "created_at >= ?");
}

// Records with other rules.

#[test]
fn a_rule_about_a_column_becomes_the_row_filter_and_names_its_line() {
    let body = "default allow := false\n\nallow if count(deny) == 0\n\ndeny contains {\"rule\": \"bronze\"} if {\n\tinput.resource.record.tier == \"bronze\"\n\tnot \"crm\" in input.subject.roles\n}";
    let decision = decide_by(rules(body), &[], &["visits"]);
    let obligations = allowed(&decision);
    assert_eq!(obligations.row_filter.to_string(), "tier <> ? AND created_at >= ?");
    let place = obligations.row_rules[0].place.as_ref().unwrap();
    assert_eq!((obligations.row_rules[0].rule.as_str(), place.file.as_str(), place.line), ("data_mesh.governance.bronze", "rules.rego", 7));
    assert_eq!(allowed(&decide_by(rules(body), &["crm"], &["visits"])).row_filter.to_string(), "created_at >= ?");
}

#[test]
fn a_rule_sees_raw_values_of_masked_and_personal_columns() {
    let body = "allow := true\n\ndeny contains \"x\" if startswith(input.resource.record.full_name, \"Z\")";
    let product = masking();
    let decision = point(rules(body), &product).decide(&request(&product, principal(&[]), &["full_name"]));
    assert_eq!(allowed(&decision).row_filter.to_string(), "NOT (full_name LIKE ?) AND created_at >= ?");
}

#[test]
fn an_own_package_may_have_rules_about_records() {
    let text = "package customer_domain.customer_360_access\n\nallow if input.resource.record.visits >= 1\n";
    let decision = decide_by(shipped_with("own.rego", text), &[], &["tier"]);
    assert_eq!(allowed(&decision).row_filter.to_string(), "created_at >= ? AND visits >= ?");
}

#[test]
fn a_rule_that_cannot_be_a_filter_denies_where_it_is_reached() {
    let body = "allow := true\n\ndeny contains \"x\" if {\n\t\"odd\" in input.subject.roles\n\tinput.resource.record.tier == input.resource.record.visits\n}";
    let decision = decide_by(rules(body), &["odd"], &["tier"]);
    assert_eq!(denied(&decision), ["guard.policy_untranslatable"]);
    let fault = decision.result["fault"].as_str().unwrap();
    assert!(fault.starts_with("rules.rego:7: rule data_mesh.governance.deny cannot be made a filter"), "{fault}");
    allowed(&decide_by(rules(body), &[], &["tier"]));
}

#[test]
fn a_rule_that_no_product_can_make_a_filter_refuses_the_bundle() {
    let bundle = Arc::new(
        Bundle::parse(rules("allow := true\n\ndeny contains \"x\" if input.resource.record.tier == input.resource.record.visits")).unwrap(),
    );
    let faults = DecisionPoint::new(bundle, &[Arc::new(customer_360())], &BTreeMap::new(), erased()).unwrap_err();
    assert_eq!((faults[0].file.as_str(), faults[0].line), ("rules.rego", 5));
    assert!(faults[0].message.contains("cannot be made a filter"), "{}", faults[0].message);
}

#[test]
fn only_allow_and_deny_may_hang_on_a_record() {
    for rule in [
        "notices contains \"x\" if input.resource.record.visits > 1",
        "may_discover if input.resource.subject_id == \"1\"",
        "rowFilters contains {\"expression\": \"visits > 1\"} if input.resource",
    ] {
        let faults = Bundle::parse(rules(&format!("allow := true\n\n{rule}"))).unwrap_err();
        assert!(faults[0].message.contains("depends on single records"), "{rule}: {faults:?}");
    }
}

#[test]
fn the_statements_clock_is_the_rules_clock() {
    let body = "allow := true\n\ndeny contains \"x\" if time.now_ns() != input.context.now_ns\n\ndeny contains \"y\" if later\n\nlater if time.now_ns() > input.context.now_ns";
    allowed(&decide_by(rules(body), &[], &["tier"]));
}

#[test]
fn an_age_in_days_is_a_bound_on_the_column_that_files_are_pruned_by() {
    let decision = per_record(&customer_360(), &[], &["tier"]);
    assert!(matches!(allowed(&decision).row_filter, Predicate::Compare { op: CompareOp::Ge, value: Literal::Instant(_), .. }));
}

#[test]
fn rules_are_checked_with_as_many_products_on_a_slow_machine_as_on_a_fast_one() {
    let body = "allow := true\n\ndeny contains \"x\" if input.resource.record.visits < 1";
    let sampled = |products: usize| {
        let bundle = Bundle::parse_within(rules(body), Duration::from_secs(5)).unwrap();
        let named = |number: usize| {
            let mut product = customer_360();
            product.reference.name = ProductName::parse(&format!("p{number:04}")).unwrap();
            Arc::new(product)
        };
        let products: Vec<Arc<Product>> = (0..products).map(named).collect();
        DecisionPoint::new(Arc::new(bundle), &products, &BTreeMap::new(), erased()).unwrap().sampled()
    };
    assert_eq!(sampled(20), Sampled { products: 20, left_out: 0 });
    let many = sampled(800);
    assert!(many.products == 800 && (50..100).contains(&many.left_out), "{many:?}");
}

#[test]
fn a_list_whose_numbers_begin_with_zeros_is_no_reason_to_refuse_rules_about_records() {
    let product = changed(|product| {
        let fields = product.schema.iter().flat_map(|fields| fields.iter().cloned());
        let numbered = fields.map(|field| Field {
            data_type: if field.name == name("customer_id") { DataType::Int64 } else { field.data_type.clone() },
            ..field
        });
        product.schema = Some(numbered.collect());
    });
    let bundle = Bundle::parse_within(rules(PER_RECORD), Duration::from_secs(5)).unwrap();
    let erased = Arc::new(SubjectSet::new(["0042".to_owned(), "+17".to_owned()]));
    let point = DecisionPoint::new(Arc::new(bundle), &[Arc::new(product.clone())], &domains(Some(PERIOD)), erased).unwrap();
    let decision = point.decide(&request(&product, principal(&[]), &["tier"]));
    assert_eq!(allowed(&decision).exclusion.as_ref().unwrap().column, name("customer_id"));
}
