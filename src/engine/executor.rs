//! Where rows are computed: threads of their own.
//!
//! INVARIANT: no row of a statement is computed on the threads that serve sockets, so a query that does not yield holds up neither
//! other clients nor its own cancel request and deadline. A stream that is dropped is aborted here at its next await.

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use futures::StreamExt as _;
use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};
use tracing::Instrument as _;

/// The planner and the optimizer are recursive; the pages are only used if a statement needs them.
const STACK_BYTES: usize = 64 << 20;

/// The threads of all queries.
#[derive(Debug)]
pub(super) struct Executor {
    handle: Handle,
    /// Always there but while it is dropped.
    runtime: Option<Runtime>,
}

impl Executor {
    /// Starts so many threads; at least two, so that one busy query leaves room for another.
    pub(super) fn start(threads: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(2))
            .thread_name("meshgate-query")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Makes what is spawned while the guard lives run on the query threads.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// The same work; what it spawns, connects or waits for belongs to the query threads, where the rows that come of it are computed.
    pub(super) async fn within<F: Future>(&self, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| {
            let _entered = self.handle.enter();
            work.as_mut().poll(context)
        })
        .await
    }

    /// The same batches, computed on the query threads; at most one is computed ahead.
    pub(super) fn stream(&self, mut batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let mut receiver = RecordBatchReceiverStream::builder(batches.schema(), 1);
        let sender = receiver.tx();
        let drive = async move {
            while let Ok(slot) = sender.reserve().await {
                let Some(batch) = batches.next().await else { break };
                slot.send(batch);
            }
            Ok(())
        };
        receiver.spawn_on(drive.in_current_span(), &self.handle);
        receiver.build()
    }
}

impl Drop for Executor {
    /// A runtime must not wait for its threads where futures are polled.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Poll;
    use std::time::Duration;

    use arrow::array::{Int32Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

    use super::*;

    fn schema() -> Arc<Schema> {
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn work_that_does_not_yield_leaves_its_caller_free() {
        let executor = Executor::start(1).unwrap();
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let busy = futures::stream::poll_fn(move |_| {
            let _ = wait.recv();
            Poll::Ready(None)
        });
        let mut batches = executor.stream(Box::pin(RecordBatchStreamAdapter::new(schema(), busy)));
        assert!(tokio::time::timeout(Duration::from_millis(1), batches.next()).await.is_err());
        release.send(()).unwrap();
        assert!(batches.next().await.is_none());
    }

    #[tokio::test]
    async fn a_dropped_stream_stops() {
        let executor = Executor::start(1).unwrap();
        let batch = RecordBatch::try_new(schema(), vec![Arc::new(Int32Array::from(vec![1]))]).unwrap();
        let (alive, mut gone) = tokio::sync::mpsc::channel::<()>(1);
        let endless = futures::stream::repeat_with(move || {
            let _alive = &alive;
            Ok(batch.clone())
        });
        let mut batches = executor.stream(Box::pin(RecordBatchStreamAdapter::new(schema(), endless)));
        assert_eq!(batches.next().await.unwrap().unwrap().num_rows(), 1);
        drop(batches);
        assert!(gone.recv().await.is_none());
    }
}
