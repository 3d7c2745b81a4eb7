//! Rows that a policy hides must not show in anything: no answer, no error, no plan, whatever the statement does to them.
//!
//! One product with a CSV, a Parquet and a Postgres port, each with the same rows. Visible names are digits; a hidden row's name is
//! [`CANARY`], and a hidden salary makes a division fail. So a statement that looks at a hidden row fails, and its error tells.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Duration, Utc};
use datafusion::parquet::arrow::ArrowWriter;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::gateway::World;
use crate::postgres::{Database, copy_csv};

const CANARY: &str = "canary-of-a-hidden-row";
/// `1000 / (salary - 77)` divides by zero on a hidden row.
const HIDDEN_SALARY: i64 = 77;
const ROWS: i64 = 2_000;
const TABLES: [&str; 3] = ["people.staff", "people.staff__staff_parquet", "people.staff__staff_postgres"];

struct Person {
    id: i64,
    name: String,
    salary: i64,
    created_at: Option<DateTime<Utc>>,
}

/// Why a row is hidden.
#[derive(Clone, Copy, Debug)]
enum Hidden {
    Expired,
    Undated,
    Erased,
}

/// Rows of which so many of a thousand are visible; the others are hidden for each of the reasons in turn.
fn people(visible_per_mille: i64) -> (Vec<Person>, i64) {
    let now = Utc::now();
    let mut visible = 0;
    let rows = (0..ROWS)
        .map(|id| {
            // A stride that has no factor in common with 1000 spreads the visible rows over the file.
            if id * 617 % 1000 < visible_per_mille {
                visible += 1;
                return Person { id, name: (10_000 + id).to_string(), salary: 100 + id, created_at: Some(now - Duration::days(10)) };
            }
            let (id, created_at) = match [Hidden::Expired, Hidden::Undated, Hidden::Erased][usize::try_from(id % 3).unwrap()] {
                Hidden::Expired => (id, Some(now - Duration::days(800))),
                Hidden::Undated => (id, None),
                Hidden::Erased => (1_000_000 + id, Some(now - Duration::days(10))),
            };
            Person { id, name: CANARY.to_owned(), salary: HIDDEN_SALARY, created_at }
        })
        .collect();
    (rows, visible)
}

fn contract(postgres: &str, credentials: &str) -> String {
    format!(
        "apiVersion: data-mesh/v1
kind: DataProduct
metadata: {{name: staff, version: \"1.0.0\", owner: people-team, domain: people, tags: []}}
spec:
  description: Staff with rows that nobody may see.
  outputPorts:
    - {{name: staff_csv, type: batch, format: csv, location: \"staff.csv\", csv: {{header: true}}, default: true}}
    - {{name: staff_parquet, type: batch, format: parquet, location: \"staff.parquet\"}}
    - {{name: staff_postgres, type: table, format: postgres, location: \"{postgres}\", credentials: {{ref: \"{credentials}\"}}}}
  inputPorts: []
  schema:
    - {{name: id, type: int64, required: true, primaryKey: true}}
    - {{name: name, type: string}}
    - {{name: salary, type: int64}}
    - {{name: created_at, type: timestamptz}}
  governance:
    pii_fields: []
    data_classification: internal
    retention_days: 730
    retention_column: created_at
    gdpr_subject_to_erasure: true
    subject_column: id
"
    )
}

fn staff_csv(rows: &[Person]) -> String {
    let line = |row: &Person| {
        let date = row.created_at.map(|date| date.format("%Y-%m-%d %H:%M:%S+00:00").to_string()).unwrap_or_default();
        format!("{},{},{},{date}\n", row.id, row.name, row.salary)
    };
    std::iter::once("id,name,salary,created_at\n".to_owned()).chain(rows.iter().map(line)).collect()
}

fn write_parquet(world: &World, rows: &[Person]) {
    let dates: TimestampMicrosecondArray = rows.iter().map(|row| row.created_at.map(|date| date.timestamp_micros())).collect();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id))) as ArrayRef, false),
        ("name", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.name))), true),
        ("salary", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.salary))), true),
        ("created_at", Arc::new(dates.with_timezone("UTC")), true),
    ])
    .unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(world.path("data/staff.parquet")).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

async fn world(database: &Database, rows: &[Person]) -> World {
    let server = database.connect().await;
    let table = "CREATE TABLE public.staff (id bigint PRIMARY KEY, name text, salary bigint, created_at timestamptz)";
    server.batch_execute(table).await.unwrap();
    copy_csv(&server, "public.staff", staff_csv(rows)).await;
    let world = World::empty();
    world.write(
        "catalogs/domains.yaml",
        "domains:\n  people:\n    owner_team: people-team\n    oncall_pagerduty: people-oncall\n    source_products: [staff]\n    consumer_products: []\n",
    );
    world.write("postgres.credentials", &database.credentials());
    let credentials = format!("file:{}", world.path("postgres.credentials").display());
    world.write("catalogs/people/staff.yaml", &contract(&database.location("public", "staff"), &credentials));
    world.write("data/staff.csv", &staff_csv(rows));
    write_parquet(&world, rows);
    let erased: String = rows.iter().filter(|row| row.id >= 1_000_000).map(|row| format!("{}\n", row.id)).collect();
    world.write("data/erased_subjects.csv", &format!("subject_id\n{erased}"));
    world
}

/// Statements that would fail, or count more, if they saw a hidden row; and the number that each answers.
fn statements(table: &str, visible: i64) -> Vec<(String, i64)> {
    let count = |from: &str| format!("SELECT count(*) FROM {table} {from}");
    let mut all = vec![
        (count(""), visible),
        (count("WHERE CAST(name AS bigint) >= 0"), visible),
        (count(&format!("WHERE 1000 / (salary - {HIDDEN_SALARY}) > -1")), visible),
        (count(&format!("WHERE name LIKE '{CANARY}%'")), 0),
        (count("WHERE name ~ '^canary'"), 0),
        (count(&format!("WHERE name NOT IN ('{CANARY}')")), visible),
        (count(&format!("WHERE salary = {HIDDEN_SALARY}")), 0),
        (count("WHERE created_at IS NULL"), 0),
        (count("WHERE id >= 1000000"), 0),
        (format!("SELECT count(DISTINCT name) FROM {table}"), visible),
        (format!("SELECT (SELECT count(*) FROM {table} WHERE CAST(name AS bigint) > 0)"), visible),
        (format!("SELECT count(*) FROM {table} a JOIN {table} b ON a.id = b.id WHERE CAST(b.name AS bigint) > 0"), visible),
        (format!("SELECT count(*) FROM (SELECT name FROM {table} ORDER BY CAST(name AS bigint)) AS sorted"), visible),
        (format!("SELECT count(*) FROM (SELECT CAST(name AS bigint) AS n FROM {table} GROUP BY 1) AS grouped"), visible),
        (format!("WITH w AS (SELECT CAST(name AS bigint) AS n FROM {table}) SELECT count(n) FROM w"), visible),
        (format!("SELECT count(*) FROM {table} WHERE CASE WHEN id >= 0 THEN CAST(name AS bigint) > 0 END"), visible),
        (format!("SELECT count(*) FILTER (WHERE salary = {HIDDEN_SALARY}) FROM {table}"), 0),
        (format!("SELECT coalesce(max(id), 0) / 1000000 FROM {table}"), 0),
    ];
    all.push((format!("SELECT count(*) FROM {table} WHERE EXISTS (SELECT 1 FROM {table} h WHERE h.salary = {HIDDEN_SALARY})"), 0));
    all
}

async fn answer(client: &Client, sql: &str) -> Result<String, tokio_postgres::Error> {
    let messages = client.simple_query(sql).await?;
    let values = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|index| row.get(index).unwrap_or("NULL").to_owned()).collect::<Vec<_>>().join("|"))
        }
        _ => None,
    });
    Ok(values.collect::<Vec<_>>().join("\n"))
}

async fn hidden_rows_show_in_nothing(visible_per_mille: i64, database: &'static str) {
    let database = Database::create(database).await;
    let (rows, visible) = people(visible_per_mille);
    let world = world(&database, &rows).await;
    let gateway = world.serve().await;
    let client = gateway.login("analyst").await;
    let mut faults = Vec::new();
    for table in TABLES {
        for (sql, expected) in statements(table, visible) {
            match answer(&client, &sql).await {
                Ok(text) if text == expected.to_string() => {}
                Ok(text) => faults.push(format!("{sql}\n  answers {text} instead of {expected}")),
                Err(error) => faults.push(format!("{sql}\n  fails: {error} {:?}", error.as_db_error())),
            }
            let plan = answer(&client, &format!("EXPLAIN {sql}")).await.unwrap_or_default();
            if !sql.contains(CANARY) && plan.contains(CANARY) || plan.contains("staff.parquet") || plan.contains("staff.csv") {
                faults.push(format!("EXPLAIN {sql}\n  shows what lies below the barrier:\n{plan}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} leaks\n{}", faults.len(), faults.join("\n"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_rows_show_in_nothing_when_few_are_visible() {
    hidden_rows_show_in_nothing(3, "meshgate_leaks_few").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_rows_show_in_nothing_when_half_are_visible() {
    hidden_rows_show_in_nothing(500, "meshgate_leaks_half").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_rows_show_in_nothing_when_most_are_visible() {
    hidden_rows_show_in_nothing(990, "meshgate_leaks_most").await;
}
