//! A statement that runs can be stopped: by its client, by its deadline, by its client's going away. Its record tells how it ended.

use std::pin::pin;

use futures::{StreamExt, TryStreamExt};
use tokio_postgres::{Client, NoTls};

use crate::eventually::eventually;
use crate::gateway::{Gateway, World, configuration, connect};
use crate::records::{closed, opened, records};
use crate::shutdown::{LONG, NONE};

/// Computes for minutes without a row: sixty million pairs, and work for each.
const ENDLESS: &str = "SELECT count(*) FROM customer.customer_events_v1 a CROSS JOIN customer.customer_events_v1 b \
                       WHERE md5(repeat('x', 1000) || CAST(a.event_id * b.event_id AS text)) = 'never'";

fn state(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("no state", |state| state.code())
}

async fn assert_alive(client: &Client) {
    assert_eq!(client.query_one("SELECT 1::int", &[]).await.unwrap().get::<_, i32>(0), 1);
}

/// How the statement ended, as its record says.
async fn outcome(world: &World, sql: &str) -> (String, Option<String>) {
    let record = eventually("the closing record", async || closed(&records(world), sql)).await;
    (record["outcome"].as_str().unwrap().to_owned(), record["sqlstate"].as_str().map(str::to_owned))
}

async fn running(world: &World, sql: &str) {
    eventually("the statement runs", async || opened(&records(world), sql)).await;
}

async fn quickstart() -> (World, Gateway) {
    let world = World::quickstart();
    let gateway = world.serve().await;
    (world, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_rows_that_flow() {
    let (world, gateway) = quickstart().await;
    let client = gateway.login("analyst").await;
    {
        let mut rows = pin!(client.query_raw(LONG, NONE).await.unwrap());
        rows.next().await.unwrap().unwrap();
        client.cancel_token().cancel_query(NoTls).await.unwrap();
        let error = rows.try_for_each(async |_| Ok(())).await.expect_err("all rows came");
        assert_eq!(state(&error), "57014");
    }
    assert_alive(&client).await;
    assert_eq!(outcome(&world, LONG).await, ("cancelled".to_owned(), Some("57014".to_owned())));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_what_computes() {
    let (world, gateway) = quickstart().await;
    let client = gateway.login("analyst").await;
    let cancel = async {
        running(&world, ENDLESS).await;
        client.cancel_token().cancel_query(NoTls).await.unwrap();
    };
    let (answer, ()) = tokio::join!(client.simple_query(ENDLESS), cancel);
    assert_eq!(state(&answer.unwrap_err()), "57014");
    assert_alive(&client).await;
    assert_eq!(outcome(&world, ENDLESS).await, ("cancelled".to_owned(), Some("57014".to_owned())));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeout_stops_what_computes_and_what_is_not_read() {
    let (world, gateway) = quickstart().await;
    let client = gateway.login("analyst").await;
    client.batch_execute("SET statement_timeout = 300").await.unwrap();
    assert_eq!(state(&client.simple_query(ENDLESS).await.unwrap_err()), "57014");
    assert_alive(&client).await;
    {
        let mut rows = pin!(client.query_raw(LONG, NONE).await.unwrap());
        rows.next().await.unwrap().unwrap();
        // Nobody reads until the record is closed.
        assert_eq!(outcome(&world, LONG).await, ("cancelled".to_owned(), Some("57014".to_owned())));
        let error = rows.try_for_each(async |_| Ok(())).await.expect_err("all rows came");
        assert_eq!(state(&error), "57014");
    }
    assert_alive(&client).await;
    client.batch_execute("RESET statement_timeout").await.unwrap();
    assert_eq!(outcome(&world, ENDLESS).await, ("cancelled".to_owned(), Some("57014".to_owned())));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_of_a_client_that_vanished_ends() {
    let (world, gateway) = quickstart().await;
    for sql in [LONG, ENDLESS] {
        let (client, socket) = connect(&configuration(gateway.address(), "analyst", "analyst")).await.unwrap();
        let asking = tokio::spawn(async move {
            let rows = client.query_raw(sql, NONE).await?;
            pin!(rows).next().await.transpose()?;
            // The client is held: only its socket goes.
            std::future::pending::<Result<(), tokio_postgres::Error>>().await
        });
        running(&world, sql).await;
        socket.abort();
        assert_eq!(outcome(&world, sql).await, ("aborted".to_owned(), None), "{sql}");
        asking.abort();
    }
    gateway.stop().await;
}
