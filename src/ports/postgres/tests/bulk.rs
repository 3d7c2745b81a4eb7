//! Large tables: copied, by several connections that see the same.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::compute::sum;
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{StreamExt, TryStreamExt};

use super::super::fixture::Database;
use crate::ports::tests::{Ask, field, message, open, ports, product, scan};
use crate::product::{DataType, PortFormat, Product};

const ROWS: i64 = 80_000;

/// Some 10,000 pages.
async fn large(database: &Database, folder: &std::path::Path, name: &str) -> Product {
    std::fs::write(folder.join("login"), database.login()).unwrap();
    database.create(name, "id int8, pad text, amount numeric", &[]).await;
    let table = database.table(name);
    database
        .run(&format!("INSERT INTO {table} SELECT i, repeat('x', 1000), i FROM generate_series(1, {ROWS}) i; CREATE INDEX ON {table} (id)"))
        .await;
    let amount = DataType::Decimal { precision: 12, scale: 2 };
    let schema = vec![field("id", DataType::Int64), field("pad", DataType::String), field("amount", amount)];
    product(PortFormat::Postgres, &database.location(name), Some(schema))
}

/// Two partitions.
fn context() -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2))
}

fn total(batches: &[RecordBatch]) -> (usize, i64) {
    let ids = batches.iter().map(|batch| batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap());
    (batches.iter().map(RecordBatch::num_rows).sum(), ids.filter_map(sum).sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_of_one_scan_see_one_state_of_the_table() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let product = large(&database, folder.path(), "moving").await;
    let (table, name) = (open(&ports(folder.path(), false), &product).await.unwrap(), database.table("moving"));
    let context = context();
    for first in [0, 1] {
        let plan = table.scan(&context.state(), Some(&vec![0]), &[], None).await.unwrap();
        assert_eq!(plan.properties().output_partitioning().partition_count(), 2);
        let begun: Vec<RecordBatch> = plan.execute(first, context.task_ctx()).unwrap().try_collect().await.unwrap();
        let context_of_both = context.task_ctx();
        let mut one = plan.execute(first, Arc::clone(&context_of_both)).unwrap();
        let head = one.next().await.unwrap().unwrap();
        // Half of the rows move behind all others.
        database.run(&format!("UPDATE {name} SET amount = amount + 1 WHERE id % 2 = 0")).await;
        let other: Vec<RecordBatch> = plan.execute(1 - first, context_of_both).unwrap().try_collect().await.unwrap();
        let mut rows: Vec<RecordBatch> = one.try_collect().await.unwrap();
        rows.insert(0, head);
        assert_eq!(total(&rows).0, total(&begun).0);
        rows.extend(other);
        assert_eq!(total(&rows), (80_000, ROWS * (ROWS + 1) / 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_table_is_filtered_and_has_to_follow_its_contract() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let product = large(&database, folder.path(), "filtered").await;
    let (table, name) = (open(&ports(folder.path(), false), &product).await.unwrap(), database.table("filtered"));
    let ask = |filter| Ask { projection: Some(vec![0]), filter: Some(filter), push: true, ..Ask::default() };
    assert_eq!(total(&scan(&table, &ask(col("id").gt(lit(ROWS - 10)))).await.unwrap()).0, 10);
    assert_eq!(total(&scan(&table, &ask(col("id").eq(lit(7_i64)))).await.unwrap()), (1, 7));
    assert_eq!(total(&scan(&table, &ask(col("id").lt(lit(0_i64)))).await.unwrap()), (0, 0));
    database.run(&format!("UPDATE {name} SET amount = 'NaN' WHERE id = 70000")).await;
    let (code, text) = message(&scan(&table, &Ask::default()).await.unwrap_err());
    assert!(code == "XX001" && text.contains("\"amount\""), "{code} {text}");
    for change in ["ALTER COLUMN amount TYPE text", "DROP COLUMN amount"] {
        let table = open(&ports(folder.path(), false), &product).await;
        database.run(&format!("ALTER TABLE {name} {change}")).await;
        if let Ok(table) = table {
            let (code, text) = message(&scan(&table, &Ask::default()).await.unwrap_err());
            assert!(code == "HV021" && text.contains("\"amount\""), "{change}: {code} {text}");
        }
    }
}

/// A table of three partitions, the last of which has rows of its own in partitions.
async fn spread(database: &Database, folder: &std::path::Path, name: &str) -> Product {
    std::fs::write(folder.join("login"), database.login()).unwrap();
    database.create(&format!("{name}_all"), "id int8", &[]).await;
    let table = database.table(name);
    database
        .run(&format!(
            "DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id int8, pad text) PARTITION BY RANGE (id); \
             CREATE TABLE {table}_a PARTITION OF {table} FOR VALUES FROM (MINVALUE) TO (1000); \
             CREATE TABLE {table}_b PARTITION OF {table} FOR VALUES FROM (1000) TO (60000); \
             CREATE TABLE {table}_c PARTITION OF {table} DEFAULT PARTITION BY HASH (id); \
             CREATE TABLE {table}_c0 PARTITION OF {table}_c FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
             CREATE TABLE {table}_c1 PARTITION OF {table}_c FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
             INSERT INTO {table} SELECT i, repeat('x', 1000) FROM generate_series(1, {ROWS}) i"
        ))
        .await;
    let schema = vec![field("id", DataType::Int64), field("pad", DataType::String)];
    product(PortFormat::Postgres, &database.location(name), Some(schema))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_of_a_table_are_read_through_it_by_several_connections() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let product = spread(&database, folder.path(), "spread").await;
    let (table, name) = (open(&ports(folder.path(), false), &product).await.unwrap(), database.table("spread"));
    let context = context();
    let plan = table.scan(&context.state(), Some(&vec![0]), &[], None).await.unwrap();
    assert_eq!(plan.properties().output_partitioning().partition_count(), 2);
    let task = context.task_ctx();
    let mut halves = Vec::new();
    for range in [0, 1] {
        let half: Vec<RecordBatch> = plan.execute(range, Arc::clone(&task)).unwrap().try_collect().await.unwrap();
        // Rows that move meanwhile, and those that come, are none of this scan's.
        database.run(&format!("UPDATE {name} SET pad = 'y' WHERE id % 3 = 0; INSERT INTO {name} VALUES (-1, '')")).await;
        halves.push(half);
    }
    let sizes: Vec<usize> = halves.iter().map(|half| total(half).0).collect();
    assert!(sizes.iter().all(|rows| *rows > 30_000), "{sizes:?}");
    assert_eq!(total(&halves.concat()), (80_000, ROWS * (ROWS + 1) / 2));
    // A partition that is no table of the server's own has no pages there.
    let schema = name.split('.').next().unwrap();
    database
        .run(&format!(
            "DROP FOREIGN DATA WRAPPER IF EXISTS w_{schema} CASCADE; CREATE FOREIGN DATA WRAPPER w_{schema}; \
             CREATE SERVER s_{schema} FOREIGN DATA WRAPPER w_{schema}; CREATE FOREIGN TABLE {name}_f (id int8, pad text) SERVER s_{schema}; \
             ALTER TABLE {name} DETACH PARTITION {name}_c; \
             ALTER TABLE {name} ATTACH PARTITION {name}_f FOR VALUES FROM (5000000) TO (6000000)"
        ))
        .await;
    let table = open(&ports(folder.path(), false), &product).await.unwrap();
    let plan = table.scan(&context.state(), Some(&vec![0]), &[], None).await.unwrap();
    assert_eq!(plan.properties().output_partitioning().partition_count(), 1);
    let filter = col("id").gt(lit(59_990_i64)).and(col("id").lt(lit(70_000_i64)));
    let ask = Ask { projection: Some(vec![0]), filter: Some(filter), push: true, ..Ask::default() };
    assert_eq!(total(&scan(&table, &ask).await.unwrap()), (9, (59_991..60_000).sum::<i64>()));
    database.run(&format!("DROP FOREIGN DATA WRAPPER w_{schema} CASCADE")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_need_no_right_of_their_own() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let product = spread(&database, folder.path(), "guarded").await;
    let name = database.table("guarded");
    let schema = name.split('.').next().unwrap();
    let login = format!("reader_{schema}");
    database
        .run(&format!(
            "DROP ROLE IF EXISTS {login}; CREATE ROLE {login} LOGIN PASSWORD 'mesh'; GRANT USAGE ON SCHEMA {schema} TO {login}; \
             GRANT SELECT ON {name} TO {login}; ALTER TABLE {name} ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY even ON {name} USING (id % 2 = 0)"
        ))
        .await;
    std::fs::write(folder.path().join("login"), format!("{login}:mesh")).unwrap();
    let table = open(&ports(folder.path(), false), &product).await.unwrap();
    let rows = total(&scan(&table, &Ask { projection: Some(vec![0]), ..Ask::default() }).await.unwrap());
    assert_eq!(rows, (40_000, ROWS / 2 * (ROWS / 2 + 1)));
    database.run(&format!("DROP OWNED BY {login}; DROP ROLE {login}")).await;
}
