//! A signal that is raised once: seen at no cost by who looks, and waited for by who waits.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// The signal.
#[derive(Debug, Default)]
pub(super) struct Signal {
    raised: AtomicBool,
    token: CancellationToken,
}

impl Signal {
    /// Raises it.
    pub(super) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Whether it has been raised.
    pub(super) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Ends when it has been raised.
    pub(super) fn raised(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_and_who_looks_sees_it() {
        let signal = Signal::default();
        assert!(!signal.is_raised());
        assert!(futures::poll!(Box::pin(signal.raised())).is_pending());
        signal.raise();
        assert!(signal.is_raised());
        signal.raised().await;
    }
}
