//! What large results leave behind in the allocator is given back when they end.
//!
//! An allocator keeps pages that nothing lies in for a while, a second say: what is asked for soon again costs nothing then. Results right behind each
//! other would hold the pages of those before as well, for each is computed by other threads at another time. Asking for every statement
//! would cost those that sort and join their pages anew; after rows of many bytes it is a small part of what they took.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;

/// A result of fewer bytes leaves nothing that is worth it.
const LARGE_BYTES: u64 = 16 << 20;

/// Sees to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Leftovers {
    /// Gives back all pages that nothing lies in.
    give_back: Option<fn()>,
    under_way: Arc<AtomicBool>,
}

impl Leftovers {
    pub(super) fn new(give_back: Option<fn()>) -> Self {
        Self { give_back, under_way: Arc::default() }
    }

    /// A result of so many bytes has ended. Who asks waits for nothing.
    pub(super) fn after(&self, bytes: u64) {
        let Some(give_back) = self.give_back.filter(|_| bytes >= LARGE_BYTES) else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        if self.under_way.swap(true, Ordering::AcqRel) {
            return;
        }
        let under_way = Arc::clone(&self.under_way);
        runtime.spawn_blocking(move || {
            give_back();
            under_way.store(false, Ordering::Release);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    fn ask() {
        ASKED.fetch_add(1, Ordering::AcqRel);
    }

    #[tokio::test]
    async fn pages_are_given_back_after_large_results_alone() {
        let leftovers = Leftovers::new(Some(ask));
        leftovers.after(LARGE_BYTES - 1);
        Leftovers::default().after(LARGE_BYTES);
        for asked in 1..=3 {
            leftovers.after(LARGE_BYTES);
            while leftovers.under_way.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(ASKED.load(Ordering::Acquire), asked);
        }
    }
}
