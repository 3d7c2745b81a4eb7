//! What loading a catalog promises.

use std::fs;
use std::path::Path;

use super::*;

const MAP: &str = "domains:
  customer:
    owner_team: customer-platform
    oncall_pagerduty: customer-oncall
    source_products: [customer-events-v1]
    consumer_products: [customer-360]
    defaults: {retention_days: 730, compatibility: FULL_TRANSITIVE, timezone: UTC}
  logistics:
    owner_team: logistics-data
    source_products: [shipment-events-v2]
";

struct Catalog(tempfile::TempDir);

impl Catalog {
    fn new() -> Self {
        let catalog = Self(tempfile::tempdir().unwrap());
        catalog.write("domains.yaml", MAP);
        catalog
    }

    fn with(self, path: &str, text: &str) -> Self {
        self.write(path, text);
        self
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn load(&self) -> Snapshot {
        load(self.0.path()).unwrap_or_else(|faults| panic!("{faults:#?}"))
    }

    fn faults(&self) -> Vec<String> {
        let root = format!("{}/", self.0.path().display());
        load(self.0.path()).unwrap_err().iter().map(|fault| fault.to_string().replace(&root, "")).collect()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn contract(domain: &str, name: &str, version: &str) -> String {
    format!(
        "apiVersion: data-mesh/v1
kind: DataProduct
metadata:
  name: {name}
  version: \"{version}\"
  owner: team
  domain: {domain}
spec:
  outputPorts:
    - {{name: events, type: stream, format: avro}}
    - {{name: files, type: batch, format: parquet, location: a/, sla: {{freshness: \"< 2 hours\"}}}}
    - {{name: customer-sql, type: table, format: postgres, location: \"postgres://h/d/s/t\"}}
  schema:
    - {{name: id, type: int64, primaryKey: true}}
    - {{name: email, type: string}}
    - {{name: made_at, type: timestamptz}}
  governance:
    pii_fields: [email]
    data_classification: restricted
    retention_days: 30
    retention_column: made_at
    gdpr_subject_to_erasure: true
"
    )
}

fn answers(snapshot: &Snapshot, schema: &str, table: &str) -> Option<String> {
    let entry = snapshot.resolve(schema, table)?;
    let port = entry.located.port.as_ref().map_or("-", |port| port.as_str());
    let reference = &entry.located.product.reference;
    Some(format!("{}@{} {port}{}", reference.name, reference.version.major, if entry.listed { " listed" } else { "" }))
}

#[test]
fn a_product_answers_to_its_names() {
    let snapshot = Catalog::new().with("customer/a.yaml", &contract("customer", "customer-360", "2.1.0")).load();
    let ask = |table: &str| answers(&snapshot, "customer", table);
    assert_eq!(ask("customer_360").as_deref(), Some("customer-360@2 files listed"));
    for alias in ["customer-360", "customer-360@2", "customer_360@2", "customer_360_v2", "customer_360__files", "customer_360_v2__files"] {
        assert_eq!(ask(alias).as_deref(), Some("customer-360@2 files"), "{alias}");
    }
    assert_eq!(ask("customer_360__customer_sql").as_deref(), Some("customer-360@2 customer-sql listed"));
    assert_eq!(ask("customer_360_v2__customer_sql").as_deref(), Some("customer-360@2 customer-sql"));
    // A stream is found by its name, so that a query of it can be told what to query instead.
    assert_eq!(ask("customer_360__events").as_deref(), Some("customer-360@2 events"));
    for unknown in ["customer_360_v1", "customer-360@1", "Customer_360", ""] {
        assert_eq!(ask(unknown), None, "{unknown}");
    }
    assert_eq!(snapshot.products().len(), 1);
    assert_eq!(snapshot.domains().count(), 2);
}

#[test]
fn the_newest_version_that_is_not_deprecated_answers() {
    let deprecated = contract("customer", "customer-360", "3.0.0").replace("  owner: team", "  owner: team\n  status: deprecated");
    let draft = contract("customer", "customer-360", "4.0.0").replace("  owner: team", "  owner: team\n  status: draft");
    let proposed = contract("customer", "customer-360", "5.0.0").replace("  owner: team", "  owner: team\n  status: proposed");
    let snapshot = Catalog::new()
        .with("customer/v1.yaml", &contract("customer", "customer-360", "1.9.0"))
        .with("customer/v2.yaml", &contract("customer", "customer-360", "2.0.0"))
        .with("customer/v3.yaml", &deprecated)
        .with("customer/v4.yaml", &draft)
        .with("customer/v5.yaml", &proposed)
        .load();
    let ask = |table: &str| answers(&snapshot, "customer", table);
    assert_eq!(ask("customer_360").as_deref(), Some("customer-360@2 files listed"));
    assert_eq!(ask("customer_360_v1").as_deref(), Some("customer-360@1 files"));
    assert_eq!(ask("customer_360_v3").as_deref(), Some("customer-360@3 files"));
    assert_eq!(ask("customer-360@4").as_deref(), Some("customer-360@4 files"));
    assert_eq!(ask("customer-360@5").as_deref(), Some("customer-360@5 -"));
    assert_eq!(snapshot.products().len(), 5);
}

#[test]
fn a_product_named_with_a_version_also_answers_without_it() {
    let snapshot = Catalog::new().with("logistics/a.yaml", &contract("logistics", "shipment-events-v2", "2.0.3")).load();
    let ask = |table: &str| answers(&snapshot, "logistics", table);
    assert_eq!(ask("shipment_events_v2").as_deref(), Some("shipment-events-v2@2 files listed"));
    assert_eq!(ask("shipment_events").as_deref(), Some("shipment-events-v2@2 files"));
    assert_eq!(ask("shipment-events").as_deref(), Some("shipment-events-v2@2 files"));
    assert_eq!(ask("shipment-events-v2@2").as_deref(), Some("shipment-events-v2@2 files"));
}

#[test]
fn the_highest_of_several_named_versions_takes_the_stem_unless_a_product_has_it() {
    let map = MAP.replace("[shipment-events-v2]", "[shipment-events-v2, shipment-events-v10]");
    let catalog = Catalog::new()
        .with("domains.yaml", &map)
        .with("logistics/a.yaml", &contract("logistics", "shipment-events-v2", "1.0.0"))
        .with("logistics/b.yaml", &contract("logistics", "shipment-events-v10", "1.0.0"));
    assert_eq!(answers(&catalog.load(), "logistics", "shipment_events").as_deref(), Some("shipment-events-v10@1 files"));
    catalog.write("domains.yaml", &map.replace("[ship", "[shipment-events, ship"));
    catalog.write("logistics/c.yaml", &contract("logistics", "shipment-events", "1.0.0"));
    assert_eq!(answers(&catalog.load(), "logistics", "shipment_events").as_deref(), Some("shipment-events@1 files listed"));
}

#[test]
fn two_names_that_fold_into_one_are_a_fault() {
    let map = MAP.replace("[customer-360]", "[customer-360, customer.360]");
    let faults = Catalog::new()
        .with("domains.yaml", &map)
        .with("customer/a.yaml", &contract("customer", "customer-360", "1.0.0"))
        .with("customer/b.yaml", &contract("customer", "customer.360", "1.0.0"))
        .faults();
    assert!(faults[0].contains("customer.customer_360 in SQL"), "{faults:#?}");
    assert_eq!(faults.len(), 1, "{faults:#?}");
}

#[test]
fn a_pinned_version_never_hides_a_product() {
    let map = MAP.replace("[shipment-events-v2]", "[shipment-events-v2, shipment-events]");
    let faults = Catalog::new()
        .with("domains.yaml", &map)
        .with("logistics/a.yaml", &contract("logistics", "shipment-events-v2", "1.0.0"))
        .with("logistics/b.yaml", &contract("logistics", "shipment-events", "2.0.0"))
        .faults();
    assert!(faults[0].contains("shipment_events_v2 in SQL"), "{faults:#?}");
}

#[test]
fn faults_of_several_files_are_reported_at_once() {
    let faults = Catalog::new()
        .with("domains.yaml", &MAP.replace("[shipment-events-v2]", "[shipment-events-v2, customer-360]").replace("UTC", "Mars"))
        .with("customer/a.yaml", &contract("customer", "customer-360", "x"))
        .with("customer/b.yaml", &contract("customer", "customer-events-v1", "1.0.0").replace("made_at\n", "made\n"))
        .with("customer/c.yaml", "a: [")
        .with("stray.yaml", "")
        .faults();
    let starts: Vec<&str> = faults.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(
        starts,
        ["customer/a.yaml:5:3", "customer/b.yaml:21:5", "customer/c.yaml:2:1", "domains.yaml:7:69", "domains.yaml:10:43", "stray.yaml"],
        "{faults:#?}"
    );
}

#[test]
fn a_contract_stands_in_the_map_and_the_folder_of_its_domain() {
    let faults = Catalog::new()
        .with("customer/a.yaml", &contract("customer", "customer-361", "1.0.0"))
        .with("customer/b.yaml", &contract("logistics", "shipment-events-v2", "1.0.0"))
        .with("logistics/c.yaml", &contract("logistics", "customer-360", "1.0.0"))
        .with("sales/d.yaml", &contract("sales", "orders", "1.0.0"))
        .faults();
    assert_eq!(faults.len(), 4, "{faults:#?}");
    assert!(faults[0].contains("customer/a.yaml:4:3") && faults[0].contains("Did you mean \"customer-360\"?"));
    assert!(faults[1].contains("lies in the folder \"customer\""));
    assert!(faults[2].contains("gives it to the domain \"customer\""));
    assert!(faults[3].contains("the domain \"sales\" is not in the map"));
}

#[test]
fn one_major_version_has_one_contract() {
    let faults = Catalog::new()
        .with("customer/a.yaml", &contract("customer", "customer-360", "2.0.0"))
        .with("customer/b.yaml", &contract("customer", "customer-360", "2.1.0"))
        .faults();
    assert!(faults[0].contains("two contracts of major version 2"), "{faults:#?}");
}

#[test]
fn an_input_exists_and_what_it_does_not_promise_is_a_gap() {
    let with_input = |input: &str| {
        contract("customer", "customer-360", "1.0.0")
            .replace("  schema:", &format!("  inputPorts:\n    - {{sourceProduct: {input}}}\n  schema:"))
    };
    let catalog = Catalog::new().with("customer/a.yaml", &with_input("logistics/shipment-event-v2"));
    let faults = catalog.faults();
    assert!(
        faults[0].contains("customer/a.yaml:14:8") && faults[0].contains("Did you mean \"logistics/shipment-events-v2\"?"),
        "{faults:#?}"
    );
    catalog.write("customer/a.yaml", &with_input("logistics/shipment-events-v2, fields: [id, nope]"));
    assert!(catalog.load().gaps()[0].message.contains("has no contract yet"));
    let slow = contract("logistics", "shipment-events-v2", "2.0.0").replace("< 2 hours", "< 1 day");
    catalog.write("logistics/s.yaml", &slow);
    let gaps: Vec<String> = catalog.load().gaps().iter().map(|gap| gap.message.clone()).collect();
    assert!(gaps.len() == 2 && gaps[0].contains("\"nope\"") && gaps[1].contains("no better than 86400 s"), "{gaps:#?}");
    catalog.write("customer/a.yaml", &with_input("logistics/shipment-events-v2, version: \"1\""));
    assert!(catalog.faults()[0].contains("no such version"));
}

#[test]
fn the_revision_tells_content_and_nothing_else() {
    let catalog = Catalog::new().with("customer/a.yaml", &contract("customer", "customer-360", "1.0.0"));
    let first = catalog.load().revision().to_owned();
    catalog.write("customer/.hidden.yaml", "a: [");
    catalog.write("customer/README.md", "x");
    assert_eq!((catalog.load().revision(), first.len()), (first.as_str(), 16));
    catalog.write("customer/a.yaml", &contract("customer", "customer-360", "1.0.1"));
    assert_ne!(catalog.load().revision(), first);
}

#[test]
fn a_link_out_of_the_folder_is_refused_and_one_inside_is_read() {
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("x.yaml");
    fs::write(&file, contract("customer", "customer-360", "1.0.0")).unwrap();
    let catalog = Catalog::new().with("customer/.real", &contract("customer", "customer-360", "1.0.0"));
    std::os::unix::fs::symlink(".real", catalog.path().join("customer/b.yaml")).unwrap();
    assert_eq!(catalog.load().products().len(), 1);
    std::os::unix::fs::symlink(&file, catalog.path().join("customer/a.yaml")).unwrap();
    assert!(catalog.faults()[0].contains("leads out of"), "{:?}", catalog.faults());
    fs::remove_file(catalog.path().join("customer/a.yaml")).unwrap();
    std::os::unix::fs::symlink(outside.path(), catalog.path().join("sales")).unwrap();
    assert!(catalog.faults()[0].contains("leads out of"));
}

#[test]
fn what_cannot_be_read_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    assert!(load(&folder.path().join("none")).unwrap_err()[0].message.contains("cannot be read"));
    assert!(load(folder.path()).unwrap_err()[0].message.contains("map of the domains is missing"));
    let catalog = Catalog::new();
    fs::create_dir(catalog.path().join("customer")).unwrap();
    fs::write(catalog.path().join("customer/a.yaml"), [0xff, 0xfe]).unwrap();
    assert!(catalog.faults()[0].contains("not UTF-8"));
    catalog.write("customer/a.yaml", &"#".repeat(2 * 1024 * 1024));
    assert!(catalog.faults()[0].contains("longer than"));
}

#[test]
fn an_empty_map_is_a_valid_catalog() {
    let catalog = Catalog::new().with("domains.yaml", "domains: {}\n");
    assert_eq!(catalog.load().tables().count(), 0);
}

#[test]
fn lower_protection_is_noticed() {
    let catalog = Catalog::new().with("customer/a.yaml", &contract("customer", "customer-360", "1.0.0"));
    let before = catalog.load();
    let losses = |text: &str| {
        catalog.write("customer/a.yaml", text);
        lowered(&before, &catalog.load()).iter().map(|fault| fault.message.clone()).collect::<Vec<_>>()
    };
    let same = contract("customer", "customer-360", "1.1.0");
    assert!(losses(&same).is_empty());
    assert!(losses(&same.replace("retention_days: 30", "retention_days: 29")).is_empty());
    assert_eq!(losses(&same.replace("retention_days: 30", "retention_days: 31")), ["the retention grows from 30 to 31 days"]);
    assert_eq!(losses(&same.replace("pii_fields: [email]", "pii_fields: []")), ["the field \"email\" is no longer a PII field"]);
    assert_eq!(losses(&same.replace(": restricted", ": internal")), ["the classification falls from restricted to internal"]);
    assert_eq!(losses(&same.replace("erasure: true", "erasure: false")), ["the erasure is dropped"]);
    let dropped = same.replace("    - {name: email, type: string}\n", "").replace("pii_fields: [email]", "pii_fields: []");
    assert!(losses(&dropped).is_empty());
    let next = contract("customer", "customer-360", "2.0.0").replace("pii_fields: [email]", "pii_fields: []");
    assert_eq!(losses(&next).len(), 1);
}

#[test]
fn an_opened_port_lowers_protection() {
    let restricted = contract("customer", "customer-360", "1.0.0").replace("location: a/", "location: a/, access: restricted");
    let catalog = Catalog::new().with("customer/a.yaml", &restricted);
    let before = catalog.load();
    catalog.write("customer/a.yaml", &contract("customer", "customer-360", "1.0.0"));
    assert_eq!(lowered(&before, &catalog.load())[0].message, "the port \"files\" is open instead of restricted");
    assert!(lowered(&catalog.load(), &before).is_empty());
}

#[test]
fn a_slip_is_answered_with_what_the_caller_may_see() {
    let snapshot = Catalog::new()
        .with("customer/a.yaml", &contract("customer", "customer-360", "1.0.0"))
        .with("logistics/b.yaml", &contract("logistics", "shipment-events-v2", "2.0.0"))
        .load();
    let all = |schema: &str, table: &str| suggest(&snapshot, schema, table, |_| true);
    assert_eq!(all("customer", "customer_36").as_deref(), Some("customer.customer_360"));
    assert_eq!(all("custommer", "customer_360").as_deref(), Some("customer.customer_360"));
    assert_eq!(all("public", "shipment_events_v2").as_deref(), Some("logistics.shipment_events_v2"));
    assert_eq!(all("customer", "xyz"), None);
    assert_eq!(suggest(&snapshot, "customer", "customer_36", |_| false), None);
}
