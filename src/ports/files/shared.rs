//! Large parts of files that several readers want at a time are read once, and are in memory once.
//!
//! INVARIANT: what is shared goes by a name that tells the version of the file, within one store and one identity; it is gone when the last of its
//! readers lets go of it. A reader that is not polled, for its client does not read, holds up no other: the reading is a task of its own.

use std::collections::HashMap;
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinError;

/// Less is read again: looking for it would cost as much.
const BYTES_MIN: u64 = 256 << 10;
/// Parts that are known by name before those that nobody holds any more are forgotten.
const NAMES_MAX: usize = 1024;

/// Some ranges of one version of a file.
type Name = (String, Vec<Range<u64>>);
type Parts = Vec<Bytes>;
type Slot = Arc<tokio::sync::Mutex<Weak<Parts>>>;

/// The parts that are being read or held.
#[derive(Debug, Default)]
pub(in super::super) struct SharedReads {
    slots: Mutex<HashMap<Name, Slot>>,
}

/// One of the parts; all of them stay for as long as one is held.
struct Held {
    parts: Arc<Parts>,
    index: usize,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.parts.get(self.index).map(AsRef::as_ref).unwrap_or_default()
    }
}

impl SharedReads {
    /// These ranges, as `read` reads them or as another who wants the same has read them; what `broken` says if the reading does not come to
    /// its end.
    pub(in super::super) async fn ranges<E, R>(
        &self,
        version: &str,
        ranges: &[Range<u64>],
        read: R,
        broken: impl FnOnce(JoinError) -> E,
    ) -> Result<Vec<Bytes>, E>
    where
        E: Send + 'static,
        R: Future<Output = Result<Vec<Bytes>, E>> + Send + 'static,
    {
        let total: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        let (true, Ok(runtime)) = (total >= BYTES_MIN, Handle::try_current()) else { return read.await };
        let slot = self.slot((version.to_owned(), ranges.to_vec()));
        let reading = runtime.spawn(async move {
            let mut known = slot.lock_owned().await;
            if let Some(parts) = known.upgrade() {
                return Ok(parts);
            }
            let parts = Arc::new(read.await?);
            *known = Arc::downgrade(&parts);
            Ok(parts)
        });
        let parts = reading.await.map_err(broken)??;
        Ok((0..parts.len()).map(|index| Bytes::from_owner(Held { parts: Arc::clone(&parts), index })).collect())
    }

    fn slot(&self, name: Name) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= NAMES_MAX {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|known| known.strong_count() > 0));
        }
        Arc::clone(slots.entry(name).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn ranges(bytes: u64) -> Vec<Range<u64>> {
        vec![0..bytes / 2, bytes / 2..bytes]
    }

    /// Counts how often it is read.
    fn reading(count: &Arc<AtomicUsize>, bytes: u64) -> impl Future<Output = Result<Vec<Bytes>, JoinError>> + use<> {
        let count = Arc::clone(count);
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let part = |byte: u8| Bytes::from(vec![byte; usize::try_from(bytes / 2).unwrap()]);
            Ok(vec![part(1), part(2)])
        }
    }

    #[tokio::test]
    async fn what_is_held_is_read_once_and_what_was_held_again() {
        let (shared, count) = (SharedReads::default(), Arc::new(AtomicUsize::new(0)));
        let wanted = ranges(BYTES_MIN);
        let asked = || shared.ranges("a", &wanted, reading(&count, BYTES_MIN), |broken| broken);
        let (one, other) = tokio::join!(asked(), asked());
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!((count.load(Ordering::SeqCst), &one), (1, &other));
        assert_eq!((one[0][0], one[1][0], one[0].as_ptr()), (1, 2, other[0].as_ptr()));
        shared.ranges("b", &wanted, reading(&count, BYTES_MIN), |broken| broken).await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 2, "another version");
        drop((one, other));
        asked().await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 3, "nobody held it");
    }

    #[tokio::test]
    async fn a_reader_that_is_not_polled_or_goes_holds_up_nobody() {
        let (shared, count) = (SharedReads::default(), Arc::new(AtomicUsize::new(0)));
        let wanted = ranges(BYTES_MIN);
        let mut first = Box::pin(shared.ranges("a", &wanted, reading(&count, BYTES_MIN), |broken| broken));
        assert!(futures::poll!(&mut first).is_pending());
        let second = shared.ranges("a", &wanted, reading(&count, BYTES_MIN), |broken| broken).await.unwrap();
        assert_eq!((second.len(), count.load(Ordering::SeqCst)), (2, 1));
        assert_eq!(first.await.unwrap(), second);
    }

    #[tokio::test]
    async fn little_is_not_shared() {
        let (shared, count) = (SharedReads::default(), Arc::new(AtomicUsize::new(0)));
        let asked = || shared.ranges("a", &[], reading(&count, 64), |broken| broken);
        let _held = (asked().await.unwrap(), asked().await.unwrap());
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_reading_that_panics_is_an_error_and_the_next_one_reads_anew() {
        let (shared, count) = (SharedReads::default(), Arc::new(AtomicUsize::new(0)));
        let wanted = ranges(BYTES_MIN);
        let panics = async { panic!("a fault of the reader") };
        let broken = shared.ranges("a", &wanted, panics, |broken| broken).await.unwrap_err();
        assert!(broken.is_panic());
        let parts = shared.ranges("a", &wanted, reading(&count, BYTES_MIN), |broken| broken).await.unwrap();
        assert_eq!((parts.len(), count.load(Ordering::SeqCst)), (2, 1));
    }
}
