//! Where rows are taken in, and on which threads connections are used.

use std::sync::Arc;

use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::{Builder, Runtime};

use super::super::fixture::Database;
use crate::ports::tests::{field, open, ports, product, rows, texts};
use crate::ports::{Foreground, waits};
use crate::product::{DataType, PortFormat};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_moves_before_it_takes_in_many_rows_and_loses_none() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let ports = ports(folder.path(), false);
    for (count, moves) in [(0, false), (1, false), (64, false), (65, true), (5_000, true)] {
        database.create("moved", "id int8", &[]).await;
        database.run(&format!("INSERT INTO {} SELECT generate_series(1, {count})", database.table("moved"))).await;
        let product = product(PortFormat::Postgres, &database.location("moved"), Some(vec![field("id", DataType::Int64)]));
        let table = open(&ports, &product).await.unwrap();
        let foreground = Arc::<Foreground>::default();
        let context = SessionContext::new_with_config(SessionConfig::new().with_extension(Arc::clone(&foreground)));
        let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
        assert!(waits(&plan));
        let mut batches = execute_stream(plan, context.task_ctx()).unwrap();
        let first = std::future::poll_fn(|task| match batches.poll_next_unpin(task) {
            std::task::Poll::Pending if foreground.is_left() => std::task::Poll::Ready(None),
            polled => polled.map(Some),
        });
        let first = first.await;
        assert_eq!((first.is_none(), foreground.is_left()), (moves, moves), "{count} rows");
        let mut found: Vec<_> = first.into_iter().flatten().collect::<Result<_, _>>().unwrap();
        if count > 0 {
            found.extend(batches.try_collect::<Vec<_>>().await.unwrap());
        }
        assert_eq!(texts(&found).len(), count);
    }
}

#[test]
fn a_connection_is_used_on_the_threads_that_ask_for_it() {
    let runtime = || -> Runtime { Builder::new_current_thread().enable_all().build().unwrap() };
    let (first, second) = (runtime(), runtime());
    let Some(database) = first.block_on(Database::from_environment()) else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let ports = ports(folder.path(), false);
    let table = first.block_on(async {
        database.create("shared", "id int8", &[vec![Some("7".to_owned())]]).await;
        product(PortFormat::Postgres, &database.location("shared"), Some(vec![field("id", DataType::Int64)]))
    });
    // The other threads stand still meanwhile: a connection that only they could move on would not answer.
    for runtime in [&first, &second, &second, &first, &second] {
        assert_eq!(runtime.block_on(rows(&ports, &table)).unwrap(), ["7"]);
    }
    assert_eq!(ports.servers.connections_in_use(), 0);
}
