//! Looks after segments that are closed: compresses them, and removes those past their retention.
//!
//! INVARIANT: the newest segment is never touched, and nothing is removed before the record of its removal is durable, so that a log without its
//! beginning still says where it began and why.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::event::{Event, SegmentsRemoved};
use super::layout::{Headers, Place, layout};
use super::queue::Queue;
use super::record::{Draft, Envelope};
use super::storage::{FolderSegments, Segments as _, is_compressed};
use super::{Clock, Error};

/// How often closed segments are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// What becomes of closed segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keeping {
    /// Whether they are compressed.
    pub compress: bool,
    /// After how many days they are removed; `None`: never.
    pub retention_days: Option<u32>,
}

impl Keeping {
    fn is_idle(&self) -> bool {
        !self.compress && self.retention_days.is_none()
    }
}

/// The thread that looks after a folder; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    _alive: Sender<()>,
}

impl Keeper {
    /// Starts it, if there is anything to do.
    pub(super) fn start(folder: FolderSegments, keeping: Keeping, queue: Arc<Queue>, clock: Clock) -> Result<Option<Self>, Error> {
        if keeping.is_idle() {
            return Ok(None);
        }
        let (alive, gone) = channel();
        let work = Work { folder, keeping, queue, clock };
        std::thread::Builder::new().name("audit-keeper".to_owned()).spawn(move || work.run(&gone)).map_err(Error::Open)?;
        Ok(Some(Self { _alive: alive }))
    }
}

/// What is done at each look.
pub(super) struct Work {
    pub(super) folder: FolderSegments,
    pub(super) keeping: Keeping,
    pub(super) queue: Arc<Queue>,
    pub(super) clock: Clock,
}

impl Work {
    fn run(self, gone: &Receiver<()>) {
        loop {
            if let Err(error) = self.look() {
                tracing::warn!(kind = %error.kind(), "closed segments of the audit log cannot be looked after");
            }
            if gone.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Removes what is past its retention, and compresses what is not compressed.
    pub(super) fn look(&self) -> io::Result<()> {
        let places = layout(&self.folder, &mut Headers::new())?;
        let expired = self.expired(&places);
        if expired > 0 {
            self.remove(&places, expired)?;
        }
        if self.keeping.compress {
            for place in places.iter().skip(expired).filter(|place| place.followed && !is_compressed(&place.name)) {
                self.folder.compress(&place.name)?;
            }
        }
        Ok(())
    }

    /// How many segments from the oldest on hold nothing but records that are old enough.
    fn expired(&self, places: &[Place]) -> usize {
        let Some(days) = self.keeping.retention_days else { return 0 };
        let Some(oldest) = (self.clock)().checked_sub_signed(TimeDelta::days(i64::from(days))) else { return 0 };
        let old = |place: &&Place| place.followed && place.span.is_some_and(|(_, to): (DateTime<Utc>, _)| to < oldest);
        places.iter().take_while(old).count()
    }

    fn remove(&self, places: &[Place], count: usize) -> io::Result<()> {
        let first_kept = places.get(count).ok_or(io::ErrorKind::NotFound)?;
        let mut line = Vec::new();
        io::BufRead::read_until(&mut self.folder.open(&first_kept.name)?, b'\n', &mut line)?;
        let first = Envelope::parse(line.trim_ascii_end()).ok_or(io::ErrorKind::InvalidData)?;
        let event = Event::SegmentsRemoved(SegmentsRemoved {
            segments: u64::try_from(count).unwrap_or(u64::MAX),
            through_seq: first.seq.saturating_sub(1),
            through_hash: first.prev,
        });
        self.record(event)?;
        for place in places.iter().take(count) {
            self.folder.remove(&place.name)?;
        }
        tracing::info!(segments = count, through = first.seq.saturating_sub(1), "audit segments past their retention were removed");
        Ok(())
    }

    /// Waits until the record is durable.
    fn record(&self, event: Event) -> io::Result<()> {
        let busy = || io::Error::from(io::ErrorKind::WouldBlock);
        let room = self.queue.try_room().ok_or_else(busy)?;
        let durable =
            self.queue.push_awaited(Draft::of((self.clock)(), &event).map_err(io::Error::other)?, room).map_err(io::Error::other)?;
        durable.blocking_recv().map_err(io::Error::other)?.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use super::*;
    use crate::audit::event::{Closing, StatementOpened};
    use crate::audit::{AuditLog, AuditOptions, During, Head, Heads, StatementNote, verify};

    fn day(number: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(number)
    }

    /// A log of one segment a day from day 0 to day 9; the head of each day.
    fn ten_days(folder: &Path) -> Vec<Head> {
        let today = Arc::new(Mutex::new(day(0)));
        let shown = Arc::clone(&today);
        let clock: Clock = Arc::new(move || *shown.lock().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut heads = Vec::new();
            for number in 0..10 {
                *today.lock().unwrap() = day(number);
                let log = AuditLog::open(AuditOptions { clock: Arc::clone(&clock), ..AuditOptions::new(folder) }).unwrap();
                let opened = StatementOpened::by(u128::try_from(number).unwrap(), &format!("p{number}"));
                let closing = Closing::completed();
                log.note_statement(
                    None,
                    StatementNote {
                        at: day(number),
                        opened,
                        decisions: Vec::new(),
                        ended: day(number),
                        closing,
                        rows: 0,
                        stages: Vec::new(),
                    },
                );
                log.close().await.unwrap();
                heads.push(log.head());
            }
            heads
        })
    }

    /// Looks after the folder once, on that day, as a gateway that serves would.
    fn keep(folder: &Path, keeping: Keeping, today: DateTime<Utc>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock: Clock = Arc::new(move || today);
        let log = AuditLog::open(AuditOptions { clock: Arc::clone(&clock), ..AuditOptions::new(folder) }).unwrap();
        let work = Work { folder: FolderSegments(folder.to_owned()), keeping, queue: Arc::clone(log.queue()), clock };
        work.look().unwrap();
        runtime.block_on(log.close()).unwrap();
    }

    fn principals(folder: &Path) -> Vec<String> {
        let reader = crate::audit::Reader::new(Arc::new(FolderSegments(folder.to_owned())));
        reader.statements(During::default()).unwrap().map(|statement| statement.unwrap().principal).collect()
    }

    #[test]
    fn compressed_segments_are_read_and_verified_like_others() {
        let folder = tempfile::tempdir().unwrap();
        let heads: Heads = ten_days(folder.path()).into_iter().map(|head| (head.seq, head.hash)).collect();
        let before = principals(folder.path());
        keep(folder.path(), Keeping { compress: true, retention_days: None }, day(10));
        let names = FolderSegments(folder.path().to_owned()).segments().unwrap();
        assert_eq!(names.iter().filter(|name| is_compressed(name)).count(), 10, "{names:?}");
        assert_eq!(principals(folder.path()), before);
        let outcome = verify(folder.path(), &heads).unwrap();
        assert_eq!((outcome.faults, outcome.heads), (Vec::new(), 10));
    }

    #[test]
    fn a_log_without_its_beginning_holds_only_if_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let heads: Heads = ten_days(folder.path()).into_iter().map(|head| (head.seq, head.hash)).collect();
        keep(folder.path(), Keeping { compress: true, retention_days: Some(4) }, day(10));
        assert_eq!(principals(folder.path()), ["p6", "p7", "p8", "p9"]);
        assert_eq!(verify(folder.path(), &Heads::new()).unwrap().faults, []);
        assert_eq!(verify(folder.path(), &heads).unwrap().faults, []);
        // One more than was said.
        let first = FolderSegments(folder.path().to_owned()).segments().unwrap().remove(0);
        std::fs::remove_file(folder.path().join(first)).unwrap();
        assert!(!verify(folder.path(), &Heads::new()).unwrap().holds());
    }

    #[test]
    fn nothing_is_removed_on_the_last_day_of_its_retention() {
        let folder = tempfile::tempdir().unwrap();
        ten_days(folder.path());
        keep(folder.path(), Keeping { compress: false, retention_days: Some(10) }, day(10));
        assert_eq!(principals(folder.path()).len(), 10);
        keep(folder.path(), Keeping { compress: false, retention_days: Some(10) }, day(10) + TimeDelta::microseconds(1));
        assert_eq!(principals(folder.path()).len(), 9);
    }
}
