//! What is wrong gets a clear error, and the gateway and the session live on.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::Client;

use crate::gateway::{World, login};

/// A domain `demo` with one product `things` (columns `id int64`, `size int64`) at that location.
fn world_of(format: &str, location: &str) -> World {
    let world = World::empty();
    world.write(
        "catalogs/domains.yaml",
        "domains:\n  demo:\n    owner_team: demo\n    oncall_pagerduty: demo\n    source_products: [things]\n    consumer_products: []\n",
    );
    world.write(
        "catalogs/demo/things.yaml",
        &format!(
            "apiVersion: data-mesh/v1
kind: DataProduct
metadata: {{name: things, version: \"1.0.0\", owner: demo, domain: demo, tags: []}}
spec:
  description: Things.
  outputPorts:
    - {{name: things_files, type: batch, format: {format}, location: \"{location}\"}}
  inputPorts: []
  schema:
    - {{name: id, type: int64, required: true, primaryKey: true}}
    - {{name: size, type: int64}}
  governance: {{pii_fields: [], data_classification: public, gdpr_subject_to_erasure: false}}
"
        ),
    );
    world
}

async fn refusal(client: &Client, sql: &str) -> (String, String) {
    let error = client.simple_query(sql).await.expect_err("the statement was answered");
    let error = error.as_db_error().unwrap_or_else(|| panic!("the connection broke: {error}"));
    (error.code().code().to_owned(), error.message().to_owned())
}

async fn assert_alive(client: &Client) {
    assert_eq!(client.simple_query("SELECT 1").await.unwrap().len(), 3, "row description, row, tag");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_is_an_error_that_names_the_product_and_no_path() {
    let world = world_of("parquet", "nowhere.parquet");
    let gateway = world.serve().await;
    let client = gateway.login("analyst").await;
    let (state, message) = refusal(&client, "SELECT * FROM demo.things").await;
    assert_eq!(state, "58030", "{message}");
    assert!(message.contains("things") && !message.contains("nowhere"), "{message}");
    assert_alive(&client).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_back_is_read() {
    let world = world_of("csv", "things.csv");
    let gateway = world.serve().await;
    let client = gateway.login("analyst").await;
    refusal(&client, "SELECT * FROM demo.things").await;
    world.write("data/things.csv", "id,size\n1,2\n");
    let rows = client.query("SELECT id FROM demo.things", &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csv_row_of_a_wrong_type_is_an_error_without_its_value() {
    let world = world_of("csv", "things.csv");
    world.write("data/things.csv", "id,size\n1,2\n2,enormous\n");
    let gateway = world.serve().await;
    let client = gateway.login("analyst").await;
    let (_, message) = refusal(&client, "SELECT sum(size) FROM demo.things").await;
    assert!(message.contains("size") && !message.contains("enormous"), "{message}");
    assert_alive(&client).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_on_the_socket_ends_only_its_own_connection() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let mut socket = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
    socket.write_all(b"\x7f\xff\xff\xff\x00\x03\x00\x00 this is no start-up message").await.unwrap();
    let mut answer = Vec::new();
    // An error or a closed socket; not a wait for two gigabytes.
    tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answer)).await.expect("still waiting").ok();
    let client = login(gateway.address(), "analyst").await.unwrap();
    assert_alive(&client).await;
    gateway.stop().await;
}
