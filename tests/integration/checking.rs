//! `meshgate check` says all that is wrong at once, each with its file and line; what runs is not disturbed by it.

use crate::eventually::eventually;
use crate::gateway::World;
use crate::process::{run, text};
use crate::records::records;

const CONTRACT: &str = "catalogs/customer/customer-360.yaml";

/// Changes of the contract, each a fault of another kind, and what must be said of it.
const FAULTS: [(&str, &str, &str); 5] = [
    ("kind: DataProduct", "kind: DataThing", "kind"),
    ("format: parquet", "format: parkett", "the format of the port is not known"),
    ("type: varchar(2)", "type: varchar(two)", "country"),
    ("retention_column: created_at", "retention_column: made_at", "made_at"),
    ("freshness: \"< 5 minutes\"", "freshness: \"soon\"", "freshness"),
];

fn break_the_contract(world: &World) -> Vec<String> {
    let good = std::fs::read_to_string(world.path(CONTRACT)).unwrap();
    let bad = FAULTS.iter().fold(good.clone(), |text, (from, to, _)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    world.replace(CONTRACT, &bad);
    let line = |from: &str| good.lines().position(|line| line.contains(from)).unwrap() + 1;
    FAULTS.iter().map(|(from, _, _)| format!("customer-360.yaml:{}", line(from))).collect()
}

#[test]
fn a_contract_with_five_faults_is_told_all_five_with_their_places() {
    let world = World::quickstart();
    let configuration = world.configure();
    let configuration = configuration.to_str().unwrap();
    let checked = run(&["check", configuration], "");
    assert!(checked.status.success() && text(&checked).contains("ok: 6 products in 3 domains"), "{}", text(&checked));

    let places = break_the_contract(&world);
    let checked = run(&["check", configuration], "");
    let said = text(&checked);
    assert_eq!(checked.status.code(), Some(1), "{said}");
    for (place, (_, _, word)) in places.iter().zip(FAULTS) {
        assert!(said.lines().any(|line| line.contains(place) && line.contains(word)), "{place} {word}\n{said}");
    }
    assert!(said.contains("5 fault(s)"), "{said}");
}

#[test]
fn what_logins_are_proved_by_is_checked_too() {
    let world = World::quickstart();
    world.write("jwks.json", "{\"keys\": []}");
    let tokens = "tokens: {issuers: [{issuer: \"https://login.example\", audience: mesh, keys: jwks.json}]}\n";
    let configuration = world.configure_with(&format!("tls: {{certificate: server.pem, key: server.key}}\n{tokens}"));
    let said = text(&run(&["check", configuration.to_str().unwrap()], ""));
    for part in ["the TLS certificate cannot be read", "jwks.json: the document has no key that verifies signatures", "2 fault(s)"] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn faults_of_other_files_are_told_together() {
    let world = World::quickstart();
    let configuration = world.configure();
    break_the_contract(&world);
    world.replace("policies/governance.rego", "package data_mesh.governance\n\nallow if {\n");
    world.edit("principals.yaml", "roles: []", "rolls: []");
    let said = text(&run(&["check", configuration.to_str().unwrap()], ""));
    for place in ["customer-360.yaml:2", "governance.rego", "principals.yaml:7"] {
        assert!(said.contains(place), "{place}\n{said}");
    }
}

#[test]
fn nothing_starts_on_a_contract_with_faults() {
    let world = World::quickstart();
    let configuration = world.configure();
    let places = break_the_contract(&world);
    let served = run(&["serve", configuration.to_str().unwrap()], "");
    assert_eq!(served.status.code(), Some(1));
    for place in places {
        assert!(text(&served).contains(&place), "{place}\n{}", text(&served));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_breaks_while_it_is_served_is_not_used() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let client = gateway.login("analyst").await;
    break_the_contract(&world);
    let refused = eventually("the record of the refusal", async || {
        records(&world).into_iter().find(|record| record["what"] == "catalog" && record["outcome"] == "refused")
    });
    assert_eq!(refused.await["faults"].as_u64(), Some(5));
    let count = client.query_one("SELECT count(*) FROM customer.customer_360", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 2_720);
    client.simple_query("SELECT full_name FROM customer.customer_360").await.unwrap_err();
    gateway.stop().await;
}

#[test]
fn ids_of_erased_people_that_can_hide_nobody_are_counted_and_never_shown() {
    let world = World::quickstart();
    let configuration = world.configure();
    let check = |list: &str| {
        world.replace("data/erased_subjects.csv", list);
        text(&run(&["check", configuration.to_str().unwrap()], ""))
    };
    assert!(!check("subject_id\n1001\n0017\n").contains("erasure list"));
    let said = check("subject_id\n1001\nc-4711\n{6f9619ff-8b86-d011-b42d-00cf4fc964ff}\n");
    assert!(said.contains("gap: 2 of 3 ids in the erasure list hide nobody: the contracts know people by whole numbers"), "{said}");
    assert!(said.contains("ok: 6 products in 3 domains") && !said.contains("4711") && !said.contains("9619"), "{said}");
}

#[test]
fn a_contract_that_names_a_policy_package_which_the_bundle_does_not_have_is_told() {
    const OWN: &str = "policies/customer_360_access.rego";
    let world = World::quickstart();
    let configuration = world.configure();
    let check = || text(&run(&["check", configuration.to_str().unwrap()], ""));
    let shipped = std::fs::read_to_string(world.path(OWN)).unwrap();
    std::fs::remove_file(world.path(OWN)).unwrap();
    let said = check();
    let gap = "gap: 1 contract(s) name policy packages that the bundle does not have: customer/customer-360";
    assert!(said.contains(gap) && said.contains("names customer_domain.customer_360_access") && said.contains("ok: 6 products"), "{said}");
    world.write(OWN, &shipped);
    let said = check();
    assert!(!said.contains("gap: ") && said.contains("ok: 6 products"), "{said}");
}
