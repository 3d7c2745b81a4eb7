//! Masks over a socket, on CSV, Parquet and Postgres alike: who may sees the value, who may not sees its mask, whatever the statement.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::gateway::World;
use crate::postgres::{Database, copy_csv};
use crate::process::{run, text};

const TABLES: [&str; 3] = ["people.staff", "people.staff__staff_parquet", "people.staff__staff_postgres"];
const ROWS: i64 = 300;

const FIELDS: &str = "    - {name: id, type: int64, primaryKey: true}
    - {name: name, type: string}
    - {name: email, type: string}
    - {name: card, type: string}
    - {name: born, type: date}
    - {name: salary, type: int64}
";

const MASKS: &str = "      name: redact
      email: email-domain
      card: show-last-4
      born: truncate-to-year
      salary: {mask: bucket, width: 50}
";

fn contract(name: &str, ports: &str, masks: &str) -> String {
    format!(
        "apiVersion: data-mesh/v1
kind: DataProduct
metadata: {{name: {name}, version: \"1.0.0\", owner: people-team, domain: people}}
spec:
  outputPorts:
{ports}  schema:
{FIELDS}  governance:
    data_classification: internal
    pii_fields: [name, email, card]
    pii_action: mask
    masks:
{masks}"
    )
}

fn name(id: i64) -> String {
    format!("Person Number {id}")
}

fn email(id: i64) -> String {
    format!("person{id}@example-{}.org", id % 3)
}

fn csv() -> String {
    let line = |id: i64| format!("{id},{},{},4000-{id:04},{},{}\n", name(id), email(id), date(id), 100 + id);
    std::iter::once("id,name,email,card,born,salary\n".to_owned()).chain((0..ROWS).map(line)).collect()
}

fn date(id: i64) -> chrono::NaiveDate {
    chrono::NaiveDate::from_ymd_opt(1980, 1, 1).unwrap() + chrono::Duration::days(id * 13)
}

fn write_parquet(world: &World) {
    let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    let days = (0..ROWS).map(|id| i32::try_from(date(id).signed_duration_since(epoch).num_days()).unwrap());
    let texts = |make: &dyn Fn(i64) -> String| Arc::new(StringArray::from_iter_values((0..ROWS).map(make))) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(0..ROWS)) as ArrayRef),
        ("name", texts(&name)),
        ("email", texts(&email)),
        ("card", texts(&|id| format!("4000-{id:04}"))),
        ("born", Arc::new(Date32Array::from_iter_values(days))),
        ("salary", Arc::new(Int64Array::from_iter_values((0..ROWS).map(|id| 100 + id)))),
    ])
    .unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(world.path("data/staff.parquet")).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn people_domain(world: &World, products: &str) {
    let domains = format!("domains:\n  people:\n    owner_team: people-team\n    source_products: [{products}]\n");
    world.write("catalogs/domains.yaml", &domains);
}

async fn world(database: &Database) -> World {
    let server = database.connect().await;
    let table = "CREATE TABLE public.staff (id bigint PRIMARY KEY, name text, email text, card text, born date, salary bigint)";
    server.batch_execute(table).await.unwrap();
    copy_csv(&server, "public.staff", csv()).await;
    let world = World::empty();
    people_domain(&world, "staff");
    world.write("postgres.credentials", &database.credentials());
    let ports = format!(
        "    - {{name: staff_csv, type: batch, format: csv, location: staff.csv}}
    - {{name: staff_parquet, type: batch, format: parquet, location: staff.parquet}}
    - {{name: staff_postgres, type: table, format: postgres, location: \"{}\", credentials: {{ref: \"file:{}\"}}}}\n",
        database.location("public", "staff"),
        world.path("postgres.credentials").display(),
    );
    world.write("catalogs/people/staff.yaml", &contract("staff", &ports, MASKS));
    world.write("data/staff.csv", &csv());
    write_parquet(&world);
    world
}

async fn answer(client: &Client, sql: &str) -> String {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error} {:?}", error.as_db_error()));
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|index| row.get(index).unwrap_or("NULL").to_owned()).collect::<Vec<_>>().join("|"))
        }
        _ => None,
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// Each statement with what the masked login and the one with the role are answered.
fn statements(table: &str) -> Vec<(String, &'static str, &'static str)> {
    let count = |condition: &str| format!("SELECT count(*) FROM {table} WHERE {condition}");
    let of = |columns: &str, rest: &str| format!("SELECT {columns} FROM {table} {rest}");
    vec![
        (
            of("name, email, card, born, salary", "WHERE id = 77"),
            "***|example-2.org|nnnn-0077|1982-01-01|150",
            "Person Number 77|person77@example-2.org|4000-0077|1982-09-28|177",
        ),
        (count("name = 'Person Number 77'"), "0", "1"),
        (count("name = '***'"), "300", "0"),
        (count("name LIKE 'Person%'"), "0", "300"),
        (count("email = 'example-1.org'"), "100", "0"),
        (count("email LIKE 'person7%'"), "0", "11"),
        (count("card LIKE '4000-%'"), "0", "300"),
        (count("card = 'nnnn-0008'"), "1", "0"),
        (count("born = DATE '1980-01-14'"), "0", "1"),
        (count("born < DATE '1980-01-02'"), "29", "1"),
        (count("salary = 101"), "0", "1"),
        (count("salary BETWEEN 101 AND 149"), "0", "49"),
        (count("salary IN (100, 150)"), "100", "2"),
        (of("count(DISTINCT name), count(DISTINCT email), count(DISTINCT salary)", ""), "1|3|6", "300|300|300"),
        (of("min(salary), max(salary), min(born), max(name)", ""), "100|350|1980-01-01|***", "100|399|1980-01-01|Person Number 99"),
        (of("string_agg(id::text, ',' ORDER BY id)", "WHERE email = 'example-0.org' AND id < 7"), "0,3,6", "NULL"),
        (of("id", "ORDER BY salary DESC, id LIMIT 1"), "250", "299"),
        (format!("SELECT count(*) FROM {table} a JOIN {table} b ON a.name = b.name WHERE a.id < 2 AND b.id < 3"), "6", "2"),
        (format!("SELECT count(*) FROM {table} a JOIN {table} b ON a.salary = b.salary AND a.id = 0"), "50", "1"),
        (format!("SELECT count(*) FROM (SELECT salary FROM {table} GROUP BY salary HAVING count(*) > 1) x"), "6", "0"),
        (format!("SELECT (SELECT max(email) FROM {table}) < 'f'"), "t", "f"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_a_value_sees_its_mask_in_every_port_and_clause() {
    let database = Database::create("meshgate_masks").await;
    let world = world(&database).await;
    let gateway = world.serve().await;
    let (masked, open) = (gateway.login("analyst").await, gateway.login("pii_analyst").await);
    let mut faults = Vec::new();
    for table in TABLES {
        for (sql, hidden, shown) in statements(table) {
            for (client, expected) in [(&masked, hidden), (&open, shown)] {
                let found = answer(client, &sql).await;
                if found != expected {
                    faults.push(format!("{sql}\n  answers {found} instead of {expected}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    gateway.stop().await;
}

fn csv_port() -> &'static str {
    "    - {name: staff_csv, type: batch, format: csv, location: staff.csv}\n"
}

const KEYED: &str = "      name: {mask: hmac-sha-256, key: joins}\n      id: {mask: hmac-sha-256, key: joins}\n";

/// Two products with the same people, both under keyed masks.
fn keyed_world(keys: &str) -> (World, std::path::PathBuf) {
    let world = World::empty();
    people_domain(&world, "staff, alumni");
    for product in ["staff", "alumni"] {
        world.write(&format!("catalogs/people/{product}.yaml"), &contract(product, csv_port(), KEYED));
    }
    world.write("data/staff.csv", &csv());
    let configuration = world.configure();
    let written = std::fs::read_to_string(&configuration).unwrap();
    world.write("meshgate.yaml", &format!("{written}{keys}"));
    (world, configuration)
}

#[tokio::test(flavor = "multi_thread")]
async fn keyed_masks_join_across_products_and_tell_no_value() {
    let (world, configuration) = keyed_world("mask_keys: {joins: \"file:joins.key\"}\n");
    world.write("joins.key", "a-secret-of-the-mesh\n");
    let checked = run(&["check", configuration.to_str().unwrap()], "");
    assert!(checked.status.success(), "{}", text(&checked));
    let config = meshgate::config::load(&configuration).unwrap();
    let running = meshgate::server::start(config, meshgate::server::StartOptions::default()).await.unwrap();
    let client = crate::gateway::login(running.addresses()[0], "analyst").await.unwrap();
    let joined = "SELECT count(*) FROM people.staff s JOIN people.alumni a ON s.name = a.name AND s.id = a.id";
    assert_eq!(answer(&client, joined).await, ROWS.to_string());
    let known = "SELECT count(*) FROM people.staff WHERE name = 'Person Number 7' OR id BETWEEN 0 AND 300";
    assert_eq!(answer(&client, known).await, "0");
    let token = answer(&client, "SELECT DISTINCT length(name) FROM people.staff").await;
    assert_eq!(token, "64");
    drop(client);
    running.stop().await.unwrap();
    let audit: String = std::fs::read_dir(world.path("audit"))
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap_or_default())
        .collect();
    assert!(audit.contains("hmac-sha-256") && !audit.contains("a-secret-of-the-mesh"));
}

#[test]
fn a_mask_without_its_secret_serves_nothing() {
    let (world, configuration) = keyed_world("mask_keys: {other: \"file:joins.key\"}\n");
    world.write("joins.key", "a-secret-of-the-mesh\n");
    for command in ["check", "serve"] {
        let done = run(&[command, configuration.to_str().unwrap()], "");
        assert_eq!(done.status.code(), Some(1));
        assert!(text(&done).contains("needs the key \"joins\" of mask_keys"), "{}", text(&done));
    }
    for (secret, reason) in [("short\n", "shorter than 16 bytes"), ("", "is empty")] {
        world.write("joins.key", secret);
        let said = text(&run(&["check", configuration.to_str().unwrap()], ""));
        assert!(said.contains("mask_keys.other") && said.contains(reason) && !said.contains("short\n"), "{said}");
    }
}

#[test]
fn a_mask_that_cannot_serve_is_a_fault_on_its_line() {
    let world = World::empty();
    people_domain(&world, "staff");
    let masks = "      name: truncate-to-year\n      salary: {mask: bucket}\n      born: {expression: \"lower(name)\"}\n      email: {expression: \"lower(mail)\"}\n";
    world.write("catalogs/people/staff.yaml", &contract("staff", csv_port(), masks));
    let said = text(&run(&["check", world.configure().to_str().unwrap()], ""));
    let contract = std::fs::read_to_string(world.path("catalogs/people/staff.yaml")).unwrap();
    for (line, fault) in [
        ("name: truncate", "cannot serve the field \"name\""),
        ("salary: {mask", "\"width\" of a bucket"),
        ("born: {exp", "its value is text, and the column is date"),
        ("email: {exp", "there is no column \"mail\""),
    ] {
        let number = contract.lines().position(|text| text.trim_start().starts_with(line)).unwrap() + 1;
        assert!(said.lines().any(|text| text.contains(&format!("staff.yaml:{number}:")) && text.contains(fault)), "{line}\n{said}");
    }
}

/// Rules that mask by purpose, one with parameters, one by an expression.
const RULES: &str = "
columnMasks contains {\"column\": \"salary\", \"mask\": \"bucket\", \"width\": 200} if input.subject.purpose == \"statistics\"

columnMasks contains {\"column\": \"name\", \"expression\": \"left(name, 1) || '. (' || id || ')'\"} if input.subject.purpose == \"support\"

deny contains {\"rule\": \"no_marketing\", \"msg\": \"not for marketing\"} if input.subject.purpose == \"marketing\"
";

fn world_with_rules() -> World {
    let world = World::empty();
    people_domain(&world, "staff");
    let open = contract("staff", csv_port(), "").replace("    pii_fields: [name, email, card]\n    pii_action: mask\n    masks:\n", "");
    world.write("catalogs/people/staff.yaml", &open);
    world.write("data/staff.csv", &csv());
    let rules = std::fs::read_to_string(world.path("policies/governance.rego")).unwrap();
    world.replace("policies/governance.rego", &format!("{rules}{RULES}"));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purpose_is_a_claim_that_rules_use_and_records_keep() {
    let world = world_with_rules();
    let gateway = world.serve().await;
    let client = gateway.login("analyst").await;
    let row = "SELECT name, salary FROM people.staff WHERE id = 77";
    assert_eq!(answer(&client, row).await, "Person Number 77|177");
    client.batch_execute("SET meshgate.purpose = 'statistics'").await.unwrap();
    assert_eq!(answer(&client, row).await, "Person Number 77|0");
    client.batch_execute("SET meshgate.purpose = 'support'").await.unwrap();
    assert_eq!(answer(&client, row).await, "P. (77)|177");
    assert_eq!(answer(&client, "SHOW meshgate.purpose").await, "support");
    client.batch_execute("BEGIN; SET LOCAL meshgate.purpose = 'statistics'").await.unwrap();
    assert_eq!(answer(&client, row).await, "Person Number 77|0");
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(answer(&client, row).await, "P. (77)|177");
    // What was prepared under one purpose is decided under the other.
    let prepared = client.prepare("SELECT name FROM people.staff WHERE id = 5").await.unwrap();
    assert_eq!(client.query_one(&prepared, &[]).await.unwrap().get::<_, &str>(0), "P. (5)");
    client.batch_execute("RESET meshgate.purpose").await.unwrap();
    assert_eq!(client.query_one(&prepared, &[]).await.unwrap().get::<_, &str>(0), "Person Number 5");
    client.batch_execute("SET meshgate.purpose = 'marketing'").await.unwrap();
    let denied = client.query_one(&prepared, &[]).await.unwrap_err();
    assert_eq!(denied.code().map(|state| state.code()), Some("42501"));
    drop(client);
    gateway.stop().await;
    let records = crate::records::records(&world);
    let purposes: Vec<&str> = records.iter().filter_map(|record| record["purpose"].as_str()).collect();
    for purpose in ["statistics", "support", "marketing"] {
        assert!(purposes.contains(&purpose), "{purpose}: {purposes:?}");
    }
    assert!(records.iter().any(|record| record["input"]["subject"]["purpose"] == "marketing"), "no decision record has the purpose");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purpose_is_given_at_start_up_as_well() {
    let world = world_with_rules();
    let gateway = world.serve().await;
    let address = gateway.address();
    let mut config = crate::gateway::configuration(address, "analyst", "analyst");
    let (client, _) = crate::gateway::connect(config.options("-c meshgate.purpose=statistics")).await.unwrap();
    assert_eq!(answer(&client, "SELECT salary FROM people.staff WHERE id = 250").await, "200");
    let psql = std::process::Command::new("psql")
        .args(["-X", "-A", "-t", "-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-U", "analyst", "-d", "mesh"])
        .args(["-c", "SELECT salary FROM people.staff WHERE id = 250"])
        .env("PGPASSWORD", "analyst")
        .env("PGOPTIONS", "-c meshgate.purpose=statistics")
        .output();
    // Where there is no psql, the driver has shown as much.
    if let Ok(psql) = psql {
        assert_eq!(String::from_utf8_lossy(&psql.stdout).trim(), "200", "{}", String::from_utf8_lossy(&psql.stderr));
    }
    gateway.stop().await;
}
