//! Where rows are computed: threads of their own.
//!
//! INVARIANT: no row of a statement is computed on the threads that serve sockets, so a query that does not yield holds up neither
//! other clients nor its own cancel request and deadline; but for the first rows of a plan that only waits for a few ([`prompt`]). A stream
//! that is dropped is aborted here at its next await.
//!
//! [`prompt`]: super::prompt

mod begun;

use std::sync::Arc;
use std::task::Poll;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use futures::StreamExt as _;
use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};
use tracing::Instrument as _;

use crate::ports::Foreground;
pub(super) use begun::Begun;

/// The planner and the optimizer are recursive; the pages are only used if a statement needs them.
const STACK_BYTES: usize = 64 << 20;

/// A batch of no more rows is likely to be the last.
const SHORT_ROWS: usize = 256;

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

    /// The same batches, computed on the query threads.
    pub(super) fn stream(&self, batches: SendableRecordBatchStream) -> Begun {
        Begun::new(on_query_threads(&self.handle, batches), None)
    }

    /// The same batches of a plan that only waits for a few rows: computed by who asks for them, for as long as they are few.
    pub(super) fn begin(&self, batches: SendableRecordBatchStream, foreground: Arc<Foreground>) -> Begun {
        Begun::new(batches, Some((foreground, self.handle.clone())))
    }
}

/// The same batches, computed on these threads; at most one is computed ahead. The end of a short result comes with its last batch.
fn on_query_threads(threads: &Handle, mut batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let mut receiver = RecordBatchReceiverStream::builder(batches.schema(), 1);
    let sender = receiver.tx();
    let drive = async move {
        let mut known = Poll::Pending;
        while let Ok(slot) = sender.reserve().await {
            let next = match std::mem::replace(&mut known, Poll::Pending) {
                Poll::Ready(next) => next,
                Poll::Pending => batches.next().await,
            };
            let Some(batch) = next else { break };
            if batch.as_ref().is_ok_and(|batch| batch.num_rows() <= SHORT_ROWS) {
                known = futures::poll!(batches.next());
            }
            slot.send(batch);
            if matches!(known, Poll::Ready(None)) {
                break;
            }
        }
        Ok(())
    };
    receiver.spawn_on(drive.in_current_span(), threads);
    receiver.build()
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

    /// So many batches of one row each, the last of which may be an error.
    fn rows(count: i32, fails: bool) -> SendableRecordBatchStream {
        let batch = |n| RecordBatch::try_new(schema(), vec![Arc::new(Int32Array::from(vec![n]))]).unwrap();
        let error = fails.then(|| Err(datafusion::error::DataFusionError::Internal("x".to_owned())));
        let batches = (0..count).map(move |n| Ok(batch(n))).chain(error);
        Box::pin(RecordBatchStreamAdapter::new(schema(), futures::stream::iter(batches)))
    }

    #[tokio::test]
    async fn every_batch_and_the_end_arrive() {
        let executor = Executor::start(1).unwrap();
        for count in 0..4 {
            let arrived: Vec<_> = executor.stream(rows(count, false)).collect().await;
            assert!(arrived.iter().all(Result::is_ok) && arrived.len() == usize::try_from(count).unwrap());
            let failed: Vec<_> = executor.stream(rows(count, true)).collect().await;
            assert_eq!(failed.iter().filter(|batch| batch.is_ok()).count(), usize::try_from(count).unwrap());
            assert!(failed.last().unwrap().is_err());
        }
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
