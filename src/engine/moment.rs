//! Whether what was planned hangs on the moment at which it was planned.
//!
//! INVARIANT: a text that stands for a moment that passes, as `now` and `today` do, is met where it is read as a date or a time, and nowhere else: the
//! statement may spell it in any way. Functions that answer the time say so themselves, and need not be met.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether such texts were met.
#[derive(Debug, Clone, Default)]
pub(super) struct Moments(Arc<AtomicBool>);

thread_local! {
    static WATCHING: RefCell<Option<Moments>> = const { RefCell::new(None) };
}

/// Puts back who watched before, however a step ends.
struct Before(Option<Moments>);

impl Drop for Before {
    fn drop(&mut self) {
        WATCHING.replace(self.0.take());
    }
}

impl Moments {
    /// The same step; what is met while it computes is noticed.
    pub(super) async fn watching<F: Future>(&self, step: F) -> F::Output {
        let mut step = pin!(step);
        std::future::poll_fn(|context| {
            let _before = Before(WATCHING.replace(Some(self.clone())));
            step.as_mut().poll(context)
        })
        .await
    }

    /// Whether any was met.
    pub(super) fn were_met(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Such a text has been read, for whoever watches this thread.
pub(super) fn meet() {
    WATCHING.with_borrow(|watching| {
        if let Some(moments) = watching {
            moments.0.store(true, Ordering::Relaxed);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_step_notices_what_it_meets_itself() {
        let (outer, inner) = (Moments::default(), Moments::default());
        meet();
        outer.watching(inner.watching(async { meet() })).await;
        assert!(inner.were_met() && !outer.were_met());
        outer
            .watching(async {
                inner.watching(async {}).await;
                tokio::task::yield_now().await;
                meet();
            })
            .await;
        assert!(outer.were_met());
    }
}
