//! The deadline of the statement that a thread plans. Planning does not yield, so no clock beside it can end it: what it calls at every level of an
//! expression looks at the deadline itself.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;

use tokio::time::Instant;

use crate::error::ClientMessage;

use super::stream;

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Puts back the deadline that was there before, however a step ends.
struct Before(Option<Instant>);

impl Drop for Before {
    fn drop(&mut self) {
        DEADLINE.set(self.0);
    }
}

/// The same step; while it is polled, [`check`] knows its deadline.
pub(super) async fn told<F: Future>(step: F, deadline: Option<Instant>) -> F::Output {
    let mut step = pin!(step);
    std::future::poll_fn(|context| {
        let _before = Before(DEADLINE.replace(deadline));
        step.as_mut().poll(context)
    })
    .await
}

/// Fails if the statement that this thread plans is past its deadline.
pub(super) fn check() -> Result<(), ClientMessage> {
    match DEADLINE.get() {
        Some(deadline) if deadline <= Instant::now() => Err(stream::timed_out()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_step_knows_its_own_deadline_alone() {
        let passed = Instant::now();
        let later = passed + Duration::from_secs(3600);
        assert!(told(async { check() }, Some(passed)).await.is_err());
        assert!(told(async { check() }, Some(later)).await.is_ok());
        assert!(told(async { told(async { check() }, None).await }, Some(passed)).await.is_ok());
        assert!(
            told(
                async {
                    told(async {}, Some(later)).await;
                    check()
                },
                Some(passed)
            )
            .await
            .is_err()
        );
        assert!(check().is_ok());
    }
}
