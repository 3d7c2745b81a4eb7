//! EXPLAIN POLICY over a socket: who may and who may not, on the same query; where each condition runs; and nothing of hidden rows.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::gateway::{World, repository};
use crate::postgres::Database;
use crate::process::{run, text};
use crate::records::{opened, records};

const NAMES: &str = "SELECT tier, full_name FROM customer.customer_360 WHERE country = 'DE'";

/// The rows as text; the extended protocol asks for them, so that the columns' types are told, too.
async fn explained(client: &Client, statement: &str) -> Vec<String> {
    let rows = client.query(statement, &[]).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let labels = ["product", "port", "column", "effect", "what", "rule", "file", "line", "runs_in"];
    let line = |row: &tokio_postgres::Row| {
        let cell = |label: &&str| match *label {
            "line" => row.get::<_, Option<i32>>("line").map(|line| line.to_string()),
            label => row.get::<_, Option<String>>(label),
        };
        labels.iter().map(|label| cell(label).unwrap_or_default()).collect::<Vec<_>>().join("|")
    };
    rows.iter().map(line).collect()
}

/// The line, from 1, of a file of the repository that holds that text.
fn line_of(file: &str, part: &str) -> usize {
    let text = std::fs::read_to_string(repository().join(file)).unwrap();
    text.lines().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{file} has no {part:?}")) + 1
}

fn find<'a>(lines: &'a [String], part: &str) -> &'a str {
    lines.iter().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part:?} in {lines:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_and_who_may_not_are_told_each_rule_with_its_place() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let explain = format!("EXPLAIN POLICY {NAMES}");

    let denied = explained(&gateway.login("analyst").await, &explain).await;
    let rule =
        format!("data_mesh.governance.pii_access|governance.rego|{}|", line_of("policies/governance.rego", "deny contains reason if {"));
    let refused = find(&denied, "|full_name|deny|");
    assert!(refused.starts_with("customer/customer-360|customer_snapshot_daily|") && refused.ends_with(&rule), "{refused}");
    assert!(find(&denied, "|tier|").contains("|allow|read as it is|data_mesh.governance.allow|governance.rego|"));

    let granted = explained(&gateway.login("pii_analyst").await, &explain).await;
    assert!(find(&granted, "|full_name|").contains("|allow|read as it is, by a grant|data_mesh.governance.fieldGrants|governance.rego|"));
    let file = "catalogs/customer/customer-360.yaml";
    let kept = format!(
        "|created_at|filter|created_at >= ?|contract.retention|customer/customer-360.yaml|{}|parquet, engine",
        line_of(file, "retention_days")
    );
    assert!(find(&granted, "contract.retention").ends_with(&kept), "{granted:#?}");
    let erased = format!("|contract.erasure|customer/customer-360.yaml|{}|engine", line_of(file, "gdpr_subject_to_erasure"));
    assert!(find(&granted, "contract.erasure").ends_with(&erased), "{granted:#?}");

    let steward = explained(&gateway.login("steward").await, &explain).await;
    assert!(find(&steward, "exempt from retention").contains("|data_mesh.governance.exemptions|governance.rego|"));
    assert!(!steward.iter().any(|line| line.contains("contract.retention")));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_is_told_with_the_rule_that_demands_it() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let explain = "EXPLAIN POLICY SELECT card_last4 FROM payments.transaction_events_v1";
    let masked = explained(&gateway.login("analyst").await, explain).await;
    let line = line_of("policies/governance.rego", "columnMasks contains");
    let rule = format!("|card_last4|mask|replace-with-null|data_mesh.governance.columnMasks|governance.rego|{line}|engine");
    assert!(find(&masked, "card_last4").ends_with(&rule), "{masked:#?}");
    assert!(find(&masked, "contract.retention").ends_with("|engine") && !find(&masked, "contract.retention").contains("parquet"));
    let plain = explained(&gateway.login("pii_analyst").await, explain).await;
    assert!(find(&plain, "card_last4").contains("|allow|"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stewards_explain_for_others_and_others_do_not() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let steward = gateway.login("steward").await;
    let own = explained(&gateway.login("analyst").await, &format!("EXPLAIN POLICY {NAMES}")).await;
    assert_eq!(explained(&steward, &format!("EXPLAIN POLICY AS analyst {NAMES}")).await, own);
    let analyst = gateway.login("analyst").await;
    for other in ["steward", "no_such_login"] {
        let refused = analyst.query(&format!("EXPLAIN POLICY AS {other} {NAMES}"), &[]).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{other}");
    }
    let unknown = steward.query(&format!("EXPLAIN POLICY AS no_such_login {NAMES}"), &[]).await.unwrap_err();
    assert_eq!(unknown.code(), Some(&SqlState::UNDEFINED_OBJECT));
    // With a parameter, as drivers send it.
    let by_country = "EXPLAIN POLICY AS analyst SELECT tier FROM customer.customer_360 WHERE country = $1";
    assert!(!steward.query(by_country, &[&"DE"]).await.unwrap().is_empty());
    gateway.stop().await;

    let log = records(&world);
    let asked = opened(&log, "EXPLAIN POLICY AS analyst SELECT tier, full_name").unwrap();
    assert_eq!((&asked["statement_class"], &asked["principal"]), (&"explain_policy".into(), &"steward".into()));
    let decision = log.iter().find(|record| record["kind"] == "decision" && record["query_id"] == asked["query_id"]).unwrap();
    assert_eq!((&decision["input"]["subject"]["user"], &decision["outcome"]), (&"analyst".into(), &"deny".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_hangs_on_no_hidden_row() {
    let (plain, hiding) = (World::quickstart(), World::quickstart());
    let mut erased = std::fs::read_to_string(hiding.path("data/erased_subjects.csv")).unwrap();
    erased.extend((1001..1500).map(|id| format!("{id}\n")));
    hiding.replace("data/erased_subjects.csv", &erased);
    let mut told = Vec::new();
    for world in [&plain, &hiding] {
        let gateway = world.serve().await;
        let client = gateway.login("pii_analyst").await;
        told.push(explained(&client, &format!("EXPLAIN POLICY {NAMES}")).await);
        gateway.stop().await;
    }
    assert_eq!(told[0], told[1]);
    assert!(!told[0].iter().any(|line| line.contains("DE") || line.contains("1001") || line.contains("/tmp")));
}

const LEDGER: &str = "apiVersion: data-mesh/v1
kind: DataProduct
metadata: {name: ledger, version: \"1.0.0\", owner: books, domain: books, tags: []}
spec:
  description: A ledger.
  outputPorts:
    - {name: ledger_table, type: table, format: postgres, location: \"LOCATION\", credentials: {ref: \"CREDENTIALS\"}}
  inputPorts: []
  schema:
    - {name: id, type: int64, required: true, primaryKey: true}
    - {name: note, type: string}
    - {name: created_at, type: timestamptz}
  governance:
    pii_fields: []
    data_classification: internal
    retention_days: 30
    retention_column: created_at
    access_policy: \"opa://books/ledger\"
";

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_a_server_takes_over_runs_there_too() {
    let database = Database::create("meshgate_explaining").await;
    let server = database.connect().await;
    server.batch_execute("CREATE TABLE public.ledger (id bigint PRIMARY KEY, note text, created_at timestamptz)").await.unwrap();
    let world = World::empty();
    let domains = "domains:\n  books:\n    owner_team: books\n    source_products: [ledger]\n    consumer_products: []\n";
    world.write("catalogs/domains.yaml", domains);
    world.write("postgres.credentials", &database.credentials());
    let credentials = format!("file:{}", world.path("postgres.credentials").display());
    let contract = LEDGER.replace("LOCATION", &database.location("public", "ledger")).replace("CREDENTIALS", &credentials);
    world.write("catalogs/books/ledger.yaml", &contract);
    let own = "package books.ledger\n\nrowFilters contains {\"expression\": \"note <> 'secret'\"}\n\n\
               rowFilters contains {\"expression\": \"note ~ '^a'\"}\n";
    world.write("policies/ledger.rego", own);
    let gateway = world.serve().await;
    let lines = explained(&gateway.login("analyst").await, "EXPLAIN POLICY SELECT id FROM books.ledger").await;
    assert!(find(&lines, "contract.retention").ends_with("|postgres, engine"), "{lines:#?}");
    assert!(find(&lines, "note <> ?").ends_with("|books.ledger.rowFilters|ledger.rego|3|postgres, engine"), "{lines:#?}");
    assert!(find(&lines, "note ~ ?").ends_with("|books.ledger.rowFilters|ledger.rego|5|engine"), "{lines:#?}");
    gateway.stop().await;
}

#[test]
fn the_command_explains_as_the_statement_does() {
    let world = World::quickstart();
    let configuration = world.configure();
    let configuration = configuration.to_str().unwrap();
    let told = run(&["explain", configuration, "--as", "analyst", "--format", "json", NAMES], "");
    assert!(told.status.success(), "{}", text(&told));
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&told.stdout).unwrap();
    let refused = rows.iter().find(|row| row["column"] == "full_name").unwrap();
    assert_eq!((&refused["effect"], &refused["file"]), (&"deny".into(), &"governance.rego".into()));
    assert!(refused["line"].is_i64());
    // The table is for people; without a login it is for one without roles.
    let table = text(&run(&["explain", configuration, "SELECT tier FROM customer.customer_360"], ""));
    assert!(table.starts_with("product") && table.contains("parquet, engine"), "{table}");
    for (arguments, word) in [
        (vec!["explain", configuration, "--as", "nobody_known", "SELECT 1"], "there is no principal"),
        (vec!["explain", configuration, "SELECT 1; SELECT 2"], "one query"),
        (vec!["explain", configuration, "DROP TABLE t"], "25006"),
        (vec!["explain", configuration, "SELECT nothing FROM customer.customer_360"], "42703"),
    ] {
        let failed = run(&arguments, "");
        assert_eq!(failed.status.code(), Some(1), "{}", text(&failed));
        assert!(text(&failed).contains(word), "{}", text(&failed));
    }
    assert!(!world.path("audit").exists(), "the log is the gateway's");
}
