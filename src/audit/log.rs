//! The log as the rest of the gateway sees it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::OwnedSemaphorePermit;

use super::Error;
use super::event::{Closing, Contracts, DecisionRecord, Durations, Event, StatementClosed, StatementOpened};
use super::fingerprint::fingerprint;
use super::head::Head;
use super::keeper::{Keeper, Keeping};
use super::queue::Queue;
use super::record::Draft;
use super::scan::Reader;
use super::statement::{Dropped, OpenStatement};
use super::storage::{FolderSegments, FolderStorage, MemoryLog, Storage};
use super::writer::{Limits, Writer};

/// Tells the time of records that nobody gives a time to.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What is kept of a statement's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SqlText {
    /// The text as sent, and its fingerprint.
    #[default]
    Full,
    /// The fingerprint only: literals may be personal data.
    Fingerprint,
}

/// How the log is kept.
#[derive(Clone)]
pub struct AuditOptions {
    /// The folder of the segments; made if it does not exist.
    pub folder: PathBuf,
    /// A segment that has reached this size is followed by a new one.
    pub segment_bytes: u64,
    /// How many awaited records and notes may be queued.
    pub queue_max: usize,
    /// How long closings and notes wait for an opening to share a sync with.
    pub linger: Duration,
    /// How long an unwritable log waits before it tries a new segment.
    pub retry: Duration,
    /// What is kept of a statement's text.
    pub sql: SqlText,
    /// What becomes of closed segments.
    pub keeping: Keeping,
    /// Tells the time.
    pub clock: Clock,
}

impl AuditOptions {
    /// A log in that folder: 64 MiB segments, 8,192 queued records, 50 ms of patience, a new try each second.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            segment_bytes: 64 << 20,
            queue_max: 8192,
            linger: Duration::from_millis(50),
            retry: Duration::from_secs(1),
            sql: SqlText::Full,
            keeping: Keeping::default(),
            clock: Arc::new(Utc::now),
        }
    }
}

/// Room for one entry of the queue.
#[derive(Debug)]
pub struct Reserved(OwnedSemaphorePermit);

/// A statement that has ended, and handed over no row of a data product.
#[derive(Debug)]
pub struct StatementNote {
    /// When it began.
    pub at: DateTime<Utc>,
    /// What it was.
    pub opened: StatementOpened,
    /// What was decided on it.
    pub decisions: Vec<DecisionRecord>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// How it ended.
    pub closing: Closing,
    /// Rows that were made of the statement alone.
    pub rows: u64,
    /// The time that its stages took.
    pub stages: Vec<(&'static str, Duration)>,
}

/// The audit log. Dropping it writes what is queued, without waiting; [`AuditLog::close`] waits.
#[derive(Debug)]
pub struct AuditLog {
    queue: Arc<Queue>,
    sql: SqlText,
    reader: Reader,
    /// What the log said was in force when it was opened.
    contracts: Option<Contracts>,
    /// Looks after closed segments, for as long as the log is open.
    keeper: Option<Keeper>,
}

impl AuditLog {
    /// Locks the folder, cuts off a torn last line, and opens a new segment that continues the chain. Blocks.
    pub fn open(options: AuditOptions) -> Result<Arc<Self>, Error> {
        let storage = FolderStorage::open(&options.folder)?;
        let folder = FolderSegments(options.folder.clone());
        let (keeping, clock) = (options.keeping, Arc::clone(&options.clock));
        let mut log = Self::new(Box::new(storage), options)?;
        let keeper = Keeper::start(folder, keeping, Arc::clone(&log.queue), clock)?;
        log.keeper = keeper;
        Ok(Arc::new(log))
    }

    /// A log in memory, and the view of what it holds.
    pub fn in_memory() -> Result<(Arc<Self>, MemoryLog), Error> {
        let memory = MemoryLog::default();
        let options = AuditOptions { linger: Duration::ZERO, retry: Duration::from_millis(5), ..AuditOptions::new("") };
        Ok((Self::with_storage(Box::new(memory.clone()), options)?, memory))
    }

    /// A log in any place; `options.folder` is not used.
    pub fn with_storage(storage: Box<dyn Storage>, options: AuditOptions) -> Result<Arc<Self>, Error> {
        Self::new(storage, options).map(Arc::new)
    }

    fn new(storage: Box<dyn Storage>, options: AuditOptions) -> Result<Self, Error> {
        let limits = Limits { segment_bytes: options.segment_bytes.max(1), retry: options.retry };
        let reader = Reader::new(storage.reader());
        let (writer, contracts) = Writer::start(storage, Arc::clone(&options.clock), limits)?;
        let queue = Arc::new(Queue::new(options.queue_max, options.linger, options.clock, writer.head()));
        let theirs = Arc::clone(&queue);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || write_or_fail(writer, &theirs)).map_err(Error::Open)?;
        Ok(Self { queue, sql: options.sql, reader, contracts, keeper: None })
    }

    /// Waits for room in the queue; an error if the log cannot be written. Nothing is recorded yet.
    pub async fn reserve(&self) -> Result<Reserved, Error> {
        Ok(Reserved(self.queue.room().await?))
    }

    /// Records a statement with the decisions on it. Returns when all of it is durable; before that, no row may leave.
    ///
    /// If the caller goes away while it waits, the statement is closed as aborted.
    pub async fn open_statement(
        &self,
        reserved: Reserved,
        at: DateTime<Utc>,
        opened: StatementOpened,
        decisions: Vec<DecisionRecord>,
        dropped: Dropped,
    ) -> Result<OpenStatement, Error> {
        let query_id = opened.query_id;
        let durable = self.queue.push_awaited(self.opening(at, opened, decisions)?, reserved.0)?;
        let statement = OpenStatement::new(query_id, Arc::clone(&self.queue), dropped);
        match durable.await {
            Ok(Ok(())) => Ok(statement),
            Ok(Err(error)) => {
                statement.forget();
                Err(error)
            }
            Err(_) => {
                statement.forget();
                Err(self.queue.gone())
            }
        }
    }

    /// Records a statement that has ended without a row, whole: opening, decisions, closing. Waits for nothing; without room it is counted
    /// as lost, so a caller that can wait calls [`AuditLog::reserve`] first and hands over what it got.
    pub fn note_statement(&self, reserved: Option<Reserved>, note: StatementNote) {
        let StatementNote { at, opened, decisions, ended, closing, rows, stages } = note;
        let Some(room) = reserved.map(|reserved| reserved.0).or_else(|| self.queue.try_room()) else {
            self.queue.lose();
            return;
        };
        let closed = StatementClosed { rows, durations_ms: Durations(stages), ..StatementClosed::without_rows(opened.query_id, closing) };
        let whole = self.opening(at, opened, decisions).and_then(|mut draft| {
            draft.add(ended, &Event::StatementClosed(closed))?;
            Ok(draft)
        });
        match whole {
            Ok(draft) => self.queue.push(draft, Some(room)),
            Err(_) => self.queue.lose(),
        }
    }

    /// The opening records of a statement.
    fn opening(&self, at: DateTime<Utc>, mut opened: StatementOpened, decisions: Vec<DecisionRecord>) -> Result<Draft, Error> {
        if let Some(sql) = &opened.sql {
            opened.sql_fingerprint = fingerprint(sql);
        }
        if self.sql == SqlText::Fingerprint {
            opened.sql = None;
        }
        let mut draft = Draft::for_statement();
        draft.add(at, &Event::StatementOpened(Box::new(opened)))?;
        decisions.into_iter().try_for_each(|decision| draft.add(at, &Event::Decision(Box::new(decision))))?;
        Ok(draft)
    }

    /// Records an event and waits until it is durable.
    pub async fn record(&self, at: DateTime<Utc>, event: Event) -> Result<(), Error> {
        let room = self.queue.room().await?;
        let durable = self.queue.push_awaited(Draft::of(at, &event)?, room)?;
        durable.await.map_err(|_| self.queue.gone())?
    }

    /// Records an event without waiting. If the queue is full the event is counted instead, and the count is recorded.
    pub fn note(&self, at: DateTime<Utc>, event: Event) {
        match self.queue.try_room().zip(Draft::of(at, &event).ok()) {
            Some((room, draft)) => self.queue.push(draft, Some(room)),
            None => self.queue.lose(),
        }
    }

    /// The contracts that were in force when the log was last written to, as far as it tells.
    pub fn last_contracts(&self) -> Option<&Contracts> {
        self.contracts.as_ref()
    }

    /// Records which contracts are in force, here and at the beginning of each further segment.
    pub fn note_contracts(&self, at: DateTime<Utc>, contracts: Contracts) {
        self.queue.keep_contracts(contracts.clone());
        self.note(at, Event::Contracts(contracts));
    }

    /// The last durable record, to be kept elsewhere.
    pub fn head(&self) -> Head {
        self.queue.head()
    }

    #[cfg(test)]
    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Reads the log, also while it is written.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Whether statements may be opened and data may flow: false from a failed write or sync on, until a new segment stands.
    pub fn writable(&self) -> bool {
        self.queue.accepting()
    }

    /// Writes what is queued, and lets nothing in any more. Call it when all statements are closed.
    pub async fn close(&self) -> Result<(), Error> {
        match self.queue.close() {
            Some(done) => done.await.map_err(|_| Error::Closed)?,
            None => Ok(()),
        }
    }
}

/// Works until the log is closed. What becomes of the records if the writer panics nobody knows, so that then none is taken any more.
fn write_or_fail(writer: Writer, queue: &Arc<Queue>) {
    if catch_unwind(AssertUnwindSafe(|| writer.run(queue))).is_err() {
        tracing::error!("the writer of the audit log panicked: no data is delivered until the gateway is started anew");
        queue.fail();
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        drop(self.keeper.take());
        let _nobody_waits = self.queue.close();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::audit::Heads;
    use crate::audit::event::LoginFailed;
    use crate::audit::storage::{Segment, Segments};
    use crate::audit::verify::walk;
    use crate::error::{ClientError, SqlState};
    use uuid::Uuid;

    fn opened(number: u128) -> StatementOpened {
        StatementOpened { query_id: Uuid::from_u128(number), sql: Some("SELECT 'secret'".to_owned()), ..StatementOpened::default() }
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    async fn open(log: &AuditLog, number: u128) -> Result<OpenStatement, Error> {
        let reserved = log.reserve().await?;
        log.open_statement(reserved, now(), opened(number), Vec::new(), Arc::new(Closing::aborted)).await
    }

    fn check(memory: &MemoryLog) -> crate::audit::Verification {
        walk(memory, &Heads::new(), |_| {}).unwrap()
    }

    fn verify(folder: &std::path::Path) -> crate::audit::Verification {
        crate::audit::verify(folder, &Heads::new()).unwrap()
    }

    async fn until_writable(log: &AuditLog) {
        while !log.writable() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn an_opening_is_durable_before_it_is_acknowledged() {
        let (log, memory) = AuditLog::in_memory().unwrap();
        let statement = open(&log, 1).await.unwrap();
        assert_eq!(memory.records_of("statement_opened").len(), 1);
        statement.add_rows(3, 40);
        statement.add_rows(2, 2);
        statement.add_duration("plan", Duration::from_micros(1500));
        statement.close(now(), Closing::failed(SqlState::DIVISION_BY_ZERO));
        log.close().await.unwrap();
        let closed = memory.records_of("statement_closed");
        assert_eq!((&closed[0]["rows"], &closed[0]["bytes"], &closed[0]["outcome"]), (&5.into(), &42.into(), &"failed".into()));
        assert_eq!((&closed[0]["sqlstate"], &closed[0]["durations_ms"]["plan"]), (&"22012".into(), &1.5.into()));
        assert_eq!(closed.len(), 1);
        assert!(check(&memory).holds());
    }

    #[tokio::test]
    async fn a_dropped_statement_is_closed_as_aborted() {
        let (log, memory) = AuditLog::in_memory().unwrap();
        drop(open(&log, 1).await.unwrap());
        log.close().await.unwrap();
        assert_eq!(memory.records_of("statement_closed")[0]["outcome"], "aborted");
    }

    #[tokio::test]
    async fn a_statement_without_rows_is_recorded_whole_and_without_waiting() {
        let (log, memory) = AuditLog::in_memory().unwrap();
        let closing = Closing::failed(SqlState::SYNTAX_ERROR);
        log.note_statement(
            None,
            StatementNote { at: now(), opened: opened(1), decisions: Vec::new(), ended: now(), closing, rows: 0, stages: Vec::new() },
        );
        log.close().await.unwrap();
        let closed = memory.records_of("statement_closed");
        assert_eq!((memory.records_of("statement_opened").len(), closed.len()), (1, 1));
        assert_eq!((&closed[0]["outcome"], &closed[0]["sqlstate"], &closed[0]["rows"]), (&"failed".into(), &"42601".into(), &0.into()));
        assert!(check(&memory).holds());
    }

    #[tokio::test]
    async fn a_failed_sync_stops_statements_until_a_new_segment_stands() {
        let (log, memory) = AuditLog::in_memory().unwrap();
        let running = open(&log, 1).await.unwrap();
        memory.refuse_syncs(true);
        let error = open(&log, 2).await.unwrap_err();
        assert_eq!((error.sqlstate(), error.to_string()), (SqlState::DISK_FULL, "audit log cannot be written".to_owned()));
        assert!(open(&log, 3).await.is_err());
        assert!(running.ensure_writable().is_err());
        running.close(now(), Closing::completed());
        memory.refuse_syncs(false);
        until_writable(&log).await;
        drop(open(&log, 4).await.unwrap());
        log.close().await.unwrap();

        let opened: Vec<_> = memory.records_of("statement_opened").iter().map(|record| record["query_id"].clone()).collect();
        assert!(opened.contains(&Uuid::from_u128(4).to_string().into()));
        let closed: Vec<_> = memory.records_of("statement_closed").iter().map(|record| record["query_id"].clone()).collect();
        assert_eq!(closed, [Uuid::from_u128(1).to_string(), Uuid::from_u128(4).to_string()]);
        let outcome = check(&memory);
        assert_eq!(outcome.faults, []);
        assert!(outcome.void_records >= 1 && outcome.segments >= 2, "{outcome:?}");
    }

    #[tokio::test]
    async fn segments_that_could_not_be_opened_leave_the_chain_whole() {
        let (log, memory) = AuditLog::in_memory().unwrap();
        memory.refuse_syncs(true);
        assert!(open(&log, 1).await.is_err());
        while memory.contents().len() < 4 {
            tokio::task::yield_now().await;
        }
        memory.refuse_syncs(false);
        until_writable(&log).await;
        open(&log, 2).await.unwrap().close(now(), Closing::completed());
        log.close().await.unwrap();
        let outcome = check(&memory);
        assert_eq!((outcome.faults, outcome.last_seq), (Vec::new(), 4));
        assert!(outcome.void_records >= 3);
    }

    #[tokio::test]
    async fn many_openings_share_a_sync() {
        let (log, memory) = AuditLog::in_memory().unwrap();
        let opened = futures::future::join_all((0..1000).map(|number| open(&log, number))).await;
        assert_eq!(opened.iter().filter(|statement| statement.is_ok()).count(), 1000);
        drop(opened);
        log.close().await.unwrap();
        assert_eq!(memory.records_of("statement_closed").len(), 1000);
        assert_eq!(check(&memory).records, 2001);
    }

    #[tokio::test]
    async fn notes_beyond_the_queue_are_counted() {
        let memory = MemoryLog::default();
        let options = AuditOptions { queue_max: 2, linger: Duration::from_secs(60), ..AuditOptions::new("") };
        let log = AuditLog::with_storage(Box::new(memory.clone()), options).unwrap();
        for _ in 0..5 {
            log.note(now(), Event::LoginFailed(LoginFailed::default()));
        }
        log.close().await.unwrap();
        assert_eq!(memory.records_of("login_failed").len(), 2);
        assert_eq!(memory.records_of("records_lost")[0]["count"], 3);
    }

    #[tokio::test]
    async fn a_full_disk_stops_statements_until_there_is_room() {
        let (log, memory) = AuditLog::in_memory().unwrap();
        memory.refuse_writes(true);
        assert!(open(&log, 1).await.is_err());
        log.note(now(), Event::LoginFailed(LoginFailed { user: "eve".to_owned(), ..LoginFailed::default() }));
        memory.refuse_writes(false);
        until_writable(&log).await;
        log.close().await.unwrap();
        assert_eq!(memory.records_of("login_failed").len(), 1);
        assert_eq!(memory.records_of("statement_opened").len(), 0);
        assert!(check(&memory).holds());
    }

    #[tokio::test]
    async fn a_restart_cuts_a_torn_tail_and_continues_the_chain() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(AuditOptions::new(folder.path())).unwrap();
        open(&log, 1).await.unwrap().close(now(), Closing::completed());
        log.close().await.unwrap();
        let segment = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .unwrap();
        let mut bytes = fs::read(&segment).unwrap();
        bytes.extend_from_slice(b"{\"v\":1,\"seq\":4,\"at");
        fs::write(&segment, bytes).unwrap();

        let log = AuditLog::open(AuditOptions::new(folder.path())).unwrap();
        open(&log, 2).await.unwrap().close(now(), Closing::completed());
        log.close().await.unwrap();
        let outcome = verify(folder.path());
        assert_eq!((outcome.faults, outcome.segments, outcome.records), (Vec::new(), 2, 6));
    }

    /// The one segment of a log of three statements, changed at its second line, and what a check says after another start.
    async fn restarted_after(change: impl FnOnce(&mut Vec<u8>, std::ops::Range<usize>)) -> crate::audit::Verification {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(AuditOptions::new(folder.path())).unwrap();
        for number in 1..=3 {
            open(&log, number).await.unwrap().close(now(), Closing::completed());
        }
        log.close().await.unwrap();
        let segment = FolderSegments(folder.path().to_owned()).segments().unwrap().pop().unwrap();
        let segment = folder.path().join(segment);
        let mut bytes = fs::read(&segment).unwrap();
        let ends: Vec<usize> = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        change(&mut bytes, ends[0] + 1..ends[1]);
        fs::write(&segment, bytes).unwrap();
        let log = AuditLog::open(AuditOptions::new(folder.path())).unwrap();
        open(&log, 4).await.unwrap().close(now(), Closing::completed());
        log.close().await.unwrap();
        verify(folder.path())
    }

    #[tokio::test]
    async fn a_hole_that_a_power_failure_left_is_cut_off_with_what_lies_behind_it() {
        let outcome = restarted_after(|bytes, line| bytes[line.start + 9..line.end + 20].fill(0)).await;
        assert_eq!((outcome.faults, outcome.segments, outcome.records), (Vec::new(), 2, 1 + 3));
    }

    #[tokio::test]
    async fn a_record_that_was_altered_is_not_cut_off() {
        let outcome = restarted_after(|bytes, line| bytes[line.start + 20] ^= 1).await;
        assert!(!outcome.holds() && outcome.last_seq > 8, "{outcome:?}");
    }

    #[tokio::test]
    async fn a_folder_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let _log = AuditLog::open(AuditOptions::new(folder.path())).unwrap();
        assert!(matches!(AuditLog::open(AuditOptions::new(folder.path())), Err(Error::InUse)));
    }

    #[tokio::test]
    async fn full_segments_are_followed_by_chained_ones() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(AuditOptions { segment_bytes: 1000, ..AuditOptions::new(folder.path()) }).unwrap();
        for number in 0..10 {
            open(&log, number).await.unwrap().close(now(), Closing::completed());
        }
        log.close().await.unwrap();
        let outcome = verify(folder.path());
        assert!(outcome.holds() && outcome.segments > 3, "{outcome:?}");
    }

    #[tokio::test]
    async fn what_is_in_force_is_known_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let options = || AuditOptions { segment_bytes: 1000, ..AuditOptions::new(folder.path()) };
        let contracts = |revision: &str| Contracts { snapshot_revision: revision.to_owned(), ..Contracts::default() };
        let log = AuditLog::open(options()).unwrap();
        assert_eq!(log.last_contracts(), None);
        log.note_contracts(now(), contracts("a"));
        log.note_contracts(now(), contracts("b"));
        // So many segments that none of the newest is the one in which it was noted.
        for number in 0..20 {
            open(&log, number).await.unwrap().close(now(), Closing::completed());
        }
        log.close().await.unwrap();
        // One that ends as it begins says nothing.
        for _ in 0..2 {
            AuditLog::open(options()).unwrap().close().await.unwrap();
        }
        assert_eq!(AuditLog::open(options()).unwrap().last_contracts(), Some(&contracts("b")));
        assert!(verify(folder.path()).holds());
    }

    #[tokio::test]
    async fn fingerprints_only_keep_no_text() {
        let memory = MemoryLog::default();
        let options = AuditOptions { sql: SqlText::Fingerprint, ..AuditOptions::new("") };
        let log = AuditLog::with_storage(Box::new(memory.clone()), options).unwrap();
        drop(open(&log, 1).await.unwrap());
        log.close().await.unwrap();
        let record = &memory.records_of("statement_opened")[0];
        assert!(record.get("sql").is_none() && !record.to_string().contains("secret"));
        assert_eq!(record["sql_fingerprint"], fingerprint("SELECT 'other'"));
    }

    #[tokio::test]
    async fn nothing_is_opened_after_the_close() {
        let (log, _) = AuditLog::in_memory().unwrap();
        log.close().await.unwrap();
        assert!(matches!(open(&log, 1).await, Err(Error::Closed)));
    }

    #[tokio::test]
    async fn an_opening_whose_waiter_went_away_is_closed_as_aborted() {
        let (log, memory) = AuditLog::in_memory().unwrap();
        memory.hold_syncs(true);
        let mut waiting = Box::pin(open(&log, 1));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(memory.records_of("statement_opened").len(), 0);
        drop(waiting);
        memory.hold_syncs(false);
        log.close().await.unwrap();
        assert_eq!(memory.records_of("statement_opened").len(), 1);
        assert_eq!(memory.records_of("statement_closed")[0]["outcome"], "aborted");
    }

    /// A log in memory whose writer panics over each record.
    struct Panicking(MemoryLog);

    impl Storage for Panicking {
        fn segments(&mut self) -> std::io::Result<Vec<String>> {
            Storage::segments(&mut self.0)
        }

        fn read(&mut self, name: &str) -> std::io::Result<Vec<u8>> {
            Storage::read(&mut self.0, name)
        }

        fn cut(&mut self, name: &str, length: u64) -> std::io::Result<()> {
            self.0.cut(name, length)
        }

        fn create(&mut self, name: &str) -> std::io::Result<Box<dyn Segment>> {
            Ok(Box::new(PanickingSegment { opened: false, segment: self.0.create(name)? }))
        }

        fn reader(&self) -> Arc<dyn Segments> {
            self.0.reader()
        }
    }

    struct PanickingSegment {
        opened: bool,
        segment: Box<dyn Segment>,
    }

    impl Segment for PanickingSegment {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
            assert!(!std::mem::replace(&mut self.opened, true), "a fault of the writer");
            self.segment.write(bytes)
        }

        fn sync(&mut self) -> std::io::Result<()> {
            self.segment.sync()
        }

        fn abandon_beyond(&mut self, length: u64) {
            self.segment.abandon_beyond(length);
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_a_writer_that_panicked() {
        let options = AuditOptions { linger: Duration::ZERO, queue_max: 1, ..AuditOptions::new("") };
        let log = AuditLog::with_storage(Box::new(Panicking(MemoryLog::default())), options).unwrap();
        let opened = tokio::time::timeout(Duration::from_secs(30), futures::future::join_all((0..5).map(|number| open(&log, number))));
        for refused in opened.await.expect("somebody waits") {
            assert_eq!(refused.unwrap_err().sqlstate(), SqlState::DISK_FULL);
        }
        assert!(!log.writable());
        log.note(now(), Event::LoginFailed(LoginFailed::default()));
        assert!(matches!(log.close().await, Err(Error::Unwritable)));
    }
}
