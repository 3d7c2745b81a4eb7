//! The writer thread: takes batches, writes and syncs them, and only then tells those who wait.
//!
//! INVARIANT: after a failed write or sync the segment is never touched again. Until a new segment with a synced first record stands,
//! chained to the last record that was made durable, nobody is told that anything is.

use std::io::{self, BufRead as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::event::{Contracts, Event, SegmentOpened, SegmentReason, timestamp};
use super::layout::Span;
use super::queue::{Entry, Queue, Work, refuse_all};
use super::record::{Chain, Draft, Envelope, kind_of, time_text_of, widened};
use super::storage::{Segment, Storage, opened_name, segment_name};
use super::{Clock, Error, Head};

/// Room for lines that is kept from one batch to the next.
const BYTES_KEPT: usize = 256 << 10;

/// Segments before the last one that are looked into for what is in force.
const SEGMENTS_SURVEYED: usize = 3;

/// Limits of the writer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// A segment that has reached this size is followed by a new one.
    pub(super) segment_bytes: u64,
    /// How long an unwritable log waits before it tries a new segment.
    pub(super) retry: Duration,
}

/// The one who writes.
pub(super) struct Writer {
    storage: Box<dyn Storage>,
    clock: Clock,
    limits: Limits,
    /// The last durable record.
    chain: Chain,
    /// `None` while the log is unwritable.
    current: Option<Current>,
    last_name: Option<String>,
    /// From when to when the records of that segment are.
    span: Option<Span>,
    /// Segments that could not be opened; keeps the names of the next ones apart, whatever the clock says.
    failures: u32,
    /// The lines of a batch, one batch after the other.
    bytes: Vec<u8>,
}

struct Current {
    segment: Box<dyn Segment>,
    bytes: u64,
}

impl Writer {
    /// Finds the end of the log, cuts off what a crash tore, and opens a new segment that continues the chain.
    ///
    /// With it comes what the log says is in force.
    pub(super) fn start(mut storage: Box<dyn Storage>, clock: Clock, limits: Limits) -> Result<(Self, Option<Contracts>), Error> {
        let end = find_end(storage.as_mut()).map_err(Error::Open)?;
        let mut writer = Self {
            storage,
            clock,
            limits,
            chain: end.chain,
            current: None,
            last_name: end.last_name,
            span: end.span,
            failures: 0,
            bytes: Vec::new(),
        };
        writer.open_segment(SegmentReason::Started, end.cut_bytes, None).map_err(Error::Open)?;
        Ok((writer, end.contracts))
    }

    /// The last durable record.
    pub(super) fn head(&self) -> Head {
        Head { seq: self.chain.seq, hash: self.chain.hash.clone() }
    }

    /// Works until the log is closed.
    pub(super) fn run(mut self, queue: &Arc<Queue>) {
        loop {
            match queue.next(self.limits.retry) {
                Work::Write(entries) => self.write(entries, queue),
                Work::Recover => self.recover(queue),
                Work::Close(entries, waiter) => {
                    if self.current.is_none() {
                        queue.put_back(entries);
                        self.recover(queue);
                    } else {
                        self.write(entries, queue);
                    }
                    // A recovery queues again what the failed batch held.
                    if self.current.is_some() {
                        self.write_rest(queue);
                    }
                    let result = if self.current.is_some() { Ok(()) } else { Err(Error::Unwritable) };
                    queue.shut();
                    // Lets go of the folder first, so that who waited may open it again.
                    drop(self);
                    let _gone = waiter.send(result);
                    return;
                }
            }
        }
    }

    fn write_rest(&mut self, queue: &Arc<Queue>) {
        let rest = queue.take_all();
        if !rest.is_empty() {
            self.write(rest, queue);
        }
    }

    fn write(&mut self, entries: Vec<Entry>, queue: &Arc<Queue>) {
        match self.append(&entries) {
            Ok(took) => {
                queue.advance(self.head());
                queue.synced(entries.iter().filter(|entry| entry.waiter.is_some()).count(), took);
                for waiter in entries.into_iter().filter_map(|entry| entry.waiter) {
                    // If nobody waits any more, the statement's drop closes it.
                    let _gone = waiter.send(Ok(()));
                }
                self.rotate_if_full(queue);
            }
            Err(error) => {
                self.give_up_segment(&error);
                queue.refuse();
                let (refused, kept) = entries.into_iter().partition(|entry: &Entry| entry.waiter.is_some());
                queue.put_back(kept);
                refuse_all(refused);
            }
        }
    }

    /// Writes and syncs a batch; how long that took. The chain moves on only when it is durable.
    fn append(&mut self, entries: &[Entry]) -> io::Result<Duration> {
        let mut chain = self.chain.clone();
        self.bytes.clear();
        entries.iter().for_each(|entry| chain.seal(&entry.draft, &mut self.bytes));
        let current = self.current.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let begun = Instant::now();
        current.segment.write(&self.bytes)?;
        current.segment.sync()?;
        let took = begun.elapsed();
        current.bytes += u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        self.bytes.shrink_to(BYTES_KEPT);
        self.chain = chain;
        self.span = entries.iter().filter_map(|entry| entry.draft.span).fold(self.span, widened);
        Ok(took)
    }

    fn rotate_if_full(&mut self, queue: &Arc<Queue>) {
        if self.current.as_ref().is_none_or(|current| current.bytes < self.limits.segment_bytes) {
            return;
        }
        match self.open_segment(SegmentReason::Rotated, 0, queue.contracts()) {
            Ok(()) => queue.advance(self.head()),
            Err(error) => {
                self.give_up_segment(&error);
                queue.refuse();
            }
        }
    }

    fn recover(&mut self, queue: &Arc<Queue>) {
        match self.open_segment(SegmentReason::Recovered, 0, queue.contracts()) {
            Ok(()) => {
                tracing::warn!(seq = self.chain.seq, "the audit log can be written again, in a new segment");
                queue.advance(self.head());
                queue.accept();
            }
            Err(error) => tracing::error!(kind = %error.kind(), "the audit log still cannot be written"),
        }
    }

    /// Opens a segment whose first record names the one before, and syncs it. The old one stays the current one if that fails.
    fn open_segment(&mut self, reason: SegmentReason, cut_bytes: u64, contracts: Option<Contracts>) -> io::Result<()> {
        let at = (self.clock)() + TimeDelta::microseconds(i64::from(self.failures));
        self.failures += 1;
        let name = segment_name(at, self.chain.seq + 1);
        let opened = Event::SegmentOpened(SegmentOpened {
            segment: name.clone(),
            reason,
            previous_segment: self.last_name.clone(),
            previous_from: self.span.map(|(from, _)| timestamp(from)),
            previous_to: self.span.map(|(_, to)| timestamp(to)),
            cut_bytes,
            program_version: env!("CARGO_PKG_VERSION"),
        });
        let mut chain = self.chain.clone();
        let mut bytes = Vec::new();
        chain.seal(&Draft::of(at, &opened).map_err(io::Error::other)?, &mut bytes);
        if let Some(contracts) = contracts {
            chain.seal(&Draft::of(at, &Event::Contracts(contracts)).map_err(io::Error::other)?, &mut bytes);
        }
        let mut segment = self.storage.create(&name)?;
        if let Err(error) = segment.write(&bytes).and_then(|()| segment.sync()) {
            segment.abandon_beyond(0);
            return Err(error);
        }
        self.failures = 0;
        self.chain = chain;
        self.current = Some(Current { segment, bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX) });
        self.last_name = Some(name);
        self.span = None;
        Ok(())
    }

    fn give_up_segment(&mut self, error: &io::Error) {
        tracing::error!(kind = %error.kind(), seq = self.chain.seq, "the audit log cannot be written: no data is delivered");
        if let Some(mut current) = self.current.take() {
            current.segment.abandon_beyond(current.bytes);
        }
    }
}

/// Where the log ends.
struct End {
    chain: Chain,
    last_name: Option<String>,
    span: Option<Span>,
    /// Those that the newest segments say are in force.
    contracts: Option<Contracts>,
    cut_bytes: u64,
}

/// From when to when the records of a segment are, but for those that it was opened with, whose time is nobody's; and which contracts it
/// says are in force.
///
/// All times are written alike, so that their texts are in the order of time.
fn survey(bytes: &[u8]) -> (Option<Span>, Option<Contracts>) {
    let mut rest = bytes;
    let mut span: Option<(&str, &str)> = None;
    let mut contracts: Option<&[u8]> = None;
    while !rest.is_empty() {
        let mut behind = rest;
        // The library's own search for a byte: a segment may be long, and is read at each start.
        let Some(line) = behind.skip_until(b'\n').ok().and_then(|length| rest.get(..length)) else { break };
        rest = behind;
        match (kind_of(line), time_text_of(line)) {
            (Some("contracts"), _) => contracts = Some(line),
            (Some("segment_opened") | None, _) | (_, None) => {}
            (Some(_), Some(at)) => span = Some(span.map_or((at, at), |(from, to)| (from.min(at), to.max(at)))),
        }
    }
    let span = span.and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    (span, contracts.and_then(|line| serde_json::from_slice(line).ok()))
}

/// Walks back to the last segment that holds a record, cutting off the torn end of each one that is passed.
fn find_end(storage: &mut dyn Storage) -> io::Result<End> {
    let mut cut_bytes = 0;
    let mut names = storage.segments()?.into_iter().rev();
    while let Some(name) = names.next() {
        let bytes = storage.read(&name)?;
        let kept = whole_lines(&bytes);
        if kept.len() < bytes.len() {
            storage.cut(&name, u64::try_from(kept.len()).unwrap_or(u64::MAX))?;
            cut_bytes += u64::try_from(bytes.len() - kept.len()).unwrap_or(u64::MAX);
            tracing::warn!(
                segment = name,
                bytes = bytes.len() - kept.len(),
                "the audit log was cut behind its last whole record: its end was torn"
            );
        }
        let last = kept.split(|byte| *byte == b'\n').rev().find_map(Envelope::parse);
        if let Some(last) = last {
            let (span, mut contracts) = survey(kept);
            // A process that ended as it began has said nothing of them; the one before has.
            for name in names.take(SEGMENTS_SURVEYED) {
                contracts = contracts.or_else(|| survey(&storage.read(&name).ok()?).1);
            }
            let last_name = Some(opened_name(&name).to_owned());
            return Ok(End { chain: Chain { seq: last.seq, hash: last.hash }, last_name, span, contracts, cut_bytes });
        }
    }
    Ok(End { chain: Chain::default(), last_name: None, span: None, contracts: None, cut_bytes })
}

/// The bytes up to the last line feed before the first zero.
///
/// No record holds a zero byte: where a power failure leaves zeros, at the end or between lines that reached the disk before those ahead of
/// them, nothing from there on was made durable, and nobody was told that it is. Any other damage is left for whoever verifies the log.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    // That there is none is seen fast.
    let first = if bytes.contains(&0) { bytes.iter().position(|byte| *byte == 0) } else { None };
    let text = bytes.get(..first.unwrap_or(bytes.len())).unwrap_or_default();
    let kept = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    text.get(..kept).unwrap_or_default()
}
