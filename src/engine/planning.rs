//! How a statement is planned: not at the cost of other clients, and no longer than it may.
//!
//! INVARIANT: no statement's planning holds up the threads that serve sockets, so a login, a cancel request and other statements wait for none. Planning
//! does not yield, and no clock beside it can end it: what it calls at every level of an expression looks at its deadline, and whether it was
//! stopped, itself.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

use crate::error::{ClientMessage, SqlState};

use super::stream::{self, Stop, StopCause};

/// What ends planning.
#[derive(Clone)]
pub(super) struct Bounds {
    pub(super) deadline: Option<Instant>,
    pub(super) stop_cause: StopCause,
}

impl Bounds {
    /// Fails if it is to end.
    pub(super) fn check(&self) -> Result<(), ClientMessage> {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(stream::timed_out());
        }
        match (self.stop_cause)() {
            Some(Stop::Gone) => Err(ClientMessage::new(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")),
            Some(Stop::Cancelled) => Err(ClientMessage::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")),
            None => Ok(()),
        }
    }
}

thread_local! {
    static BOUNDS: RefCell<Option<Bounds>> = const { RefCell::new(None) };
}

/// Puts back the bounds that were there before, however a step ends.
struct Before(Option<Bounds>);

impl Drop for Before {
    fn drop(&mut self) {
        BOUNDS.replace(self.0.take());
    }
}

/// The same step; while it computes, another thread takes over what this one serves, and [`check`] knows the bounds.
pub(super) async fn apart<F: Future>(step: F, bounds: &Bounds) -> F::Output {
    let mut step = pin!(step);
    std::future::poll_fn(|context| {
        let mut poll = || {
            let _before = Before(BOUNDS.replace(Some(bounds.clone())));
            step.as_mut().poll(context)
        };
        let several = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
        if several { tokio::task::block_in_place(poll) } else { poll() }
    })
    .await
}

/// The same rows; while they are computed, [`check`] knows the bounds: a function that takes long over one batch looks at them, too.
pub(super) fn within(mut batches: SendableRecordBatchStream, bounds: Bounds) -> SendableRecordBatchStream {
    let schema = batches.schema();
    let polled = futures::stream::poll_fn(move |context| {
        let _before = Before(BOUNDS.replace(Some(bounds.clone())));
        futures::Stream::poll_next(batches.as_mut(), context)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, polled))
}

/// Fails if the statement that this thread plans, or computes, is past its deadline, or was stopped.
pub(super) fn check() -> Result<(), ClientMessage> {
    BOUNDS.with_borrow(|bounds| bounds.as_ref().map_or(Ok(()), Bounds::check))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn bounds(deadline: Option<Instant>, stop: Option<Stop>) -> Bounds {
        Bounds { deadline, stop_cause: Arc::new(move || stop) }
    }

    #[test]
    fn who_is_gone_is_not_told_of_a_request() {
        let code = |stop| bounds(None, stop).check().err().map(|message| message.sqlstate);
        assert_eq!(code(Some(Stop::Gone)), Some(SqlState::ADMIN_SHUTDOWN));
        assert_eq!((code(Some(Stop::Cancelled)), code(None)), (Some(SqlState::QUERY_CANCELED), None));
    }

    #[tokio::test]
    async fn a_step_knows_its_own_bounds_alone() {
        let passed = bounds(Some(Instant::now()), None);
        let later = bounds(Some(Instant::now() + Duration::from_secs(3600)), None);
        let text = |checked: Result<(), ClientMessage>| checked.err().map(|message| message.message);
        assert!(text(apart(async { check() }, &passed).await).unwrap().contains("timeout"));
        assert!(text(apart(async { check() }, &bounds(None, Some(Stop::Cancelled))).await).unwrap().contains("user request"));
        assert!(apart(async { check() }, &later).await.is_ok());
        assert!(apart(async { apart(async { check() }, &later).await }, &passed).await.is_ok());
        let outer = async {
            apart(async {}, &later).await;
            check()
        };
        assert!(apart(outer, &passed).await.is_err());
        assert!(check().is_ok());
    }

    #[test]
    fn a_step_that_computes_holds_up_nobody() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let free = bounds(None, None);
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let busy = runtime.spawn(async move { apart(async move { wait.recv().is_ok() }, &free).await });
        // The only thread of the runtime computes; its clock and its other tasks go on.
        let beside = runtime.spawn(async { tokio::time::sleep(Duration::from_millis(5)).await });
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), beside).await }).unwrap().unwrap();
        release.send(()).unwrap();
        assert!(runtime.block_on(busy).unwrap());
    }
}
