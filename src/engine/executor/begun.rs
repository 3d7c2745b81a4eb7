//! Batches that are begun by the thread that serves their client, and computed where queries run once they are no longer few.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::physical_plan::EmptyRecordBatchStream;
use futures::{Stream, StreamExt as _};
use tokio::runtime::Handle;

use super::on_query_threads;
use crate::ports::Foreground;

/// The end of the batches, or one of them.
type Next = Option<Result<RecordBatch>>;

/// The batches.
pub(in crate::engine) struct Begun {
    batches: SendableRecordBatchStream,
    /// Where they are still computed here: what tells when that is over, and where they go on.
    here: Option<(Arc<Foreground>, Handle)>,
    /// What came before anybody asked; or the panic that did.
    ahead: Option<std::thread::Result<Next>>,
}

impl Begun {
    pub(super) fn new(batches: SendableRecordBatchStream, here: Option<(Arc<Foreground>, Handle)>) -> Self {
        Self { batches, here, ahead: None }
    }

    /// Waits for some work. Meanwhile the first batch is computed, which no other thread does.
    pub(in crate::engine) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.here.is_some() && self.ahead.is_none() {
                self.ahead = match catch_unwind(AssertUnwindSafe(|| self.poll_batches(context))) {
                    Ok(Poll::Ready(next)) => Some(Ok(next)),
                    Ok(Poll::Pending) => None,
                    Err(panic) => Some(Err(panic)),
                };
            }
            work.as_mut().poll(context)
        })
        .await
    }

    fn poll_batches(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let next = self.batches.poll_next_unpin(context);
        if next.is_ready() {
            return next;
        }
        let Some((_, threads)) = self.here.take_if(|(foreground, _)| foreground.is_left()) else { return next };
        let none = Box::pin(EmptyRecordBatchStream::new(self.batches.schema()));
        let batches = std::mem::replace(&mut self.batches, none);
        self.batches = on_query_threads(&threads, batches);
        self.batches.poll_next_unpin(context)
    }
}

impl Stream for Begun {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Next> {
        match self.ahead.take() {
            Some(Ok(next)) => Poll::Ready(next),
            Some(Err(panic)) => resume_unwind(panic),
            None => self.poll_batches(context),
        }
    }
}

impl RecordBatchStream for Begun {
    fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray as _, StringArray};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::TryStreamExt as _;

    use super::super::Executor;
    use super::*;

    /// A batch that names the thread it was computed by.
    fn named() -> Result<RecordBatch> {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        Ok(RecordBatch::try_from_iter([("thread", Arc::new(StringArray::from(vec![name])) as ArrayRef)])?)
    }

    fn stream(batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static) -> SendableRecordBatchStream {
        Box::pin(RecordBatchStreamAdapter::new(named().unwrap().schema(), batches))
    }

    fn threads(batches: &[RecordBatch]) -> Vec<&str> {
        batches.iter().map(|batch| batch.column(0).as_string::<i32>().value(0)).collect()
    }

    /// Batches of a scan that leaves the foreground behind the first.
    fn leaving(foreground: &Arc<Foreground>) -> SendableRecordBatchStream {
        let foreground = Arc::clone(foreground);
        stream(futures::stream::iter(0..3).then(move |number| {
            let foreground = Arc::clone(&foreground);
            async move {
                if number > 0 {
                    foreground.leave().await;
                }
                named()
            }
        }))
    }

    #[tokio::test]
    async fn what_is_no_longer_little_goes_on_where_queries_run() {
        let (executor, foreground) = (Executor::start(1).unwrap(), Arc::<Foreground>::default());
        let mut begun = executor.begin(leaving(&foreground), Arc::clone(&foreground));
        let here = std::thread::current().name().unwrap().to_owned();
        assert_eq!(begun.meanwhile(std::future::ready(7)).await, 7);
        assert!(begun.ahead.is_some() && !foreground.is_left());
        let batches: Vec<RecordBatch> = begun.try_collect().await.unwrap();
        assert_eq!(threads(&batches), [here.as_str(), "meshgate-query", "meshgate-query"]);
    }

    #[tokio::test]
    async fn the_first_batch_is_computed_while_something_else_is_waited_for() {
        let (executor, foreground) = (Executor::start(1).unwrap(), Arc::<Foreground>::default());
        let (arrive, arrived) = tokio::sync::oneshot::channel::<()>();
        let batches = futures::stream::once(async move {
            arrived.await.unwrap();
            named()
        });
        let mut begun = executor.begin(stream(batches), foreground);
        let work = async {
            arrive.send(()).unwrap();
            tokio::task::yield_now().await;
        };
        begun.meanwhile(work).await;
        assert!(begun.ahead.is_some());
    }

    #[tokio::test]
    async fn a_panic_is_whose_who_asks_for_the_batch() {
        let (executor, foreground) = (Executor::start(1).unwrap(), Arc::<Foreground>::default());
        let panics = futures::stream::poll_fn(|_| resume_unwind(Box::new("a panic")));
        let mut begun = executor.begin(stream(panics), foreground);
        begun.meanwhile(std::future::ready(())).await;
        let asked = AssertUnwindSafe(begun.next());
        assert!(futures::FutureExt::catch_unwind(asked).await.is_err());
    }
}
