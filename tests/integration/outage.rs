//! A Postgres that goes away is a clear error of the statements that need it, and is read again when it is back.

use std::pin::pin;

use futures::{StreamExt, TryStreamExt};
use tokio_postgres::Client;

use crate::eventually::eventually;
use crate::gateway::{Gateway, World};
use crate::postgres::Database;
use crate::proxy::Proxy;
use crate::records::{closed, records};
use crate::shutdown::NONE;

const LONG: &str = "SELECT id, filler FROM demo.things";
const ROWS: i64 = 40_000;

/// Two products, `things` in a Postgres behind a proxy and `notes` in a file.
async fn world(database: &'static str) -> (World, Gateway, Proxy) {
    let database = Database::create(database).await;
    let server = database.connect().await;
    let rows = format!("SELECT id, repeat('x', 1000) AS filler FROM generate_series(1, {ROWS}) AS id");
    server.batch_execute(&format!("CREATE TABLE public.things AS {rows}")).await.unwrap();
    let proxy = Proxy::before(database.address()).await;
    let world = World::empty();
    world.write(
        "catalogs/domains.yaml",
        "domains:\n  demo: {owner_team: demo, oncall_pagerduty: demo, source_products: [things, notes], consumer_products: []}\n",
    );
    world.write("postgres.credentials", &database.credentials());
    let credentials = format!("credentials: {{ref: \"file:{}\"}}", world.path("postgres.credentials").display());
    let location = database.location_through(proxy.port(), "public", "things");
    let contract = |name: &str, port: &str| {
        format!(
            "apiVersion: data-mesh/v1
kind: DataProduct
metadata: {{name: {name}, version: \"1.0.0\", owner: demo, domain: demo, tags: []}}
spec:
  description: Things.
  outputPorts:
    - {{name: only, {port}}}
  inputPorts: []
  schema:
    - {{name: id, type: int32}}
    - {{name: filler, type: string}}
  governance: {{pii_fields: [], data_classification: public, gdpr_subject_to_erasure: false}}
"
        )
    };
    let table = format!("type: table, format: postgres, location: \"{location}\", {credentials}");
    world.write("catalogs/demo/things.yaml", &contract("things", &table));
    world.write("catalogs/demo/notes.yaml", &contract("notes", "type: batch, format: csv, location: \"notes.csv\", csv: {header: true}"));
    world.write("data/notes.csv", "id,filler\n1,one\n");
    let gateway = world.serve().await;
    (world, gateway, proxy)
}

async fn count(client: &Client, product: &str) -> Result<i64, tokio_postgres::Error> {
    client.query_one(&format!("SELECT count(*) FROM demo.{product}"), &[]).await.map(|row| row.get(0))
}

/// A clear error of the source, without an address, a login or a password.
fn assert_clear(error: &tokio_postgres::Error, proxy: &Proxy) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("the session broke: {error}"));
    assert!(["08006", "HV00N", "HV000"].contains(&error.code().code()), "{error:?}");
    let text = format!("{} {:?} {:?}", error.message(), error.detail(), error.hint());
    assert!(text.contains("things") && !text.contains(&proxy.port().to_string()) && !text.contains("127.0.0.1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_is_down_is_a_clear_error_until_it_is_back() {
    let (_world, gateway, mut proxy) = world("meshgate_outage").await;
    let client = gateway.login("analyst").await;
    assert_eq!(count(&client, "things").await.unwrap(), ROWS);
    proxy.cut().await;
    // The first finds connections that broke, the second none at all.
    for _ in 0..2 {
        assert_clear(&count(&client, "things").await.expect_err("answered"), &proxy);
        assert_eq!(count(&client, "notes").await.unwrap(), 1);
    }
    let newcomer = gateway.login("analyst").await;
    assert_clear(&count(&newcomer, "things").await.expect_err("answered"), &proxy);
    proxy.restore().await;
    assert_eq!(eventually("it is read again", async || count(&client, "things").await.ok()).await, ROWS);
    assert_eq!(count(&newcomer, "things").await.unwrap(), ROWS);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_goes_while_rows_flow_ends_the_statement_only() {
    let (world, gateway, mut proxy) = world("meshgate_outage_streams").await;
    let client = gateway.login("analyst").await;
    {
        let mut rows = pin!(client.query_raw(LONG, NONE).await.unwrap());
        rows.next().await.unwrap().unwrap();
        proxy.cut().await;
        let error = rows.try_for_each(async |_| Ok(())).await.expect_err("all rows came");
        assert_clear(&error, &proxy);
    }
    let record = eventually("the closing record", async || closed(&records(&world), LONG)).await;
    assert_eq!(record["outcome"], "failed", "{record}");
    assert_eq!(count(&client, "notes").await.unwrap(), 1);
    gateway.stop().await;
}
