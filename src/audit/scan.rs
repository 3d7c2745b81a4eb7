//! Reads recorded statements of some days, in the order in which they ended, without holding more than those that are open.
//!
//! INVARIANT: a record that cannot be read is an error, never a statement less. Whether the records are those that were written is
//! `verify`'s to say.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use super::Error;
use super::layout::{Headers, Place, Span, layout};
use super::past::{PastEnd, PastJudgement, PastStatement, RawClosing, RawJudgement};
use super::record::{kind_of, time_of};
use super::split::split;
use super::storage::{FolderSegments, Segments};

/// Which statements are wanted, by when they began; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct During {
    /// Not before.
    pub from: DateTime<Utc>,
    /// Not after.
    pub to: DateTime<Utc>,
}

impl Default for During {
    /// Always.
    fn default() -> Self {
        Self { from: DateTime::<Utc>::MIN_UTC, to: DateTime::<Utc>::MAX_UTC }
    }
}

impl During {
    /// The time in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    fn holds(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at <= self.to
    }

    /// Whether it has a moment in common with a span.
    pub fn meets(&self, (from, to): Span) -> bool {
        self.from <= to && from <= self.to
    }
}

/// The log for those who read it while it is written. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    segments: Arc<dyn Segments>,
    headers: Arc<Mutex<Headers>>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn new(segments: Arc<dyn Segments>) -> Self {
        Self { segments, headers: Arc::default() }
    }

    /// The log of a folder, which another process may write to.
    pub fn of_folder(folder: impl Into<PathBuf>) -> Self {
        Self::new(Arc::new(FolderSegments(folder.into())))
    }

    /// The folder of the log, if it lies in one.
    pub fn folder(&self) -> Option<&Path> {
        self.segments.folder()
    }

    /// Every segment, in order. Blocks.
    pub fn places(&self) -> Result<Vec<Place>, Error> {
        let mut headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        layout(self.segments.as_ref(), &mut headers).map_err(Error::Read)
    }

    /// The statements that began in that time. Blocks, as does each step of what is returned.
    pub fn statements(&self, during: During) -> Result<Statements, Error> {
        Ok(self.statements_beside(self.places()?, during, HashMap::new()))
    }

    /// The same of these segments, some of which are copied: of those (by the name that they were opened with) only the lines that
    /// [`Reader::split`] left over are read, from the file that is given.
    pub fn statements_beside(&self, places: Vec<Place>, during: During, rests: HashMap<String, PathBuf>) -> Statements {
        Statements {
            segments: Arc::clone(&self.segments),
            during,
            places: places.into(),
            rests,
            current: None,
            line: Vec::new(),
            open: HashMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// Hands over each statement that begins and ends in a segment, and gives back all lines of statements that do not. Blocks.
    pub fn split(&self, place: &Place, each: impl FnMut(PastStatement) -> Result<(), Error>) -> Result<Vec<u8>, Error> {
        split(self.segments.open(&place.name).map_err(Error::Read)?, place.void_from, each)
    }
}

/// Statements, one after the other.
pub struct Statements {
    segments: Arc<dyn Segments>,
    during: During,
    places: VecDeque<Place>,
    /// Where to read in place of a segment.
    rests: HashMap<String, PathBuf>,
    current: Option<(Place, Box<dyn BufRead + Send>)>,
    line: Vec<u8>,
    /// Those whose end has not been read yet.
    open: HashMap<String, PastStatement>,
    ready: VecDeque<PastStatement>,
}

impl Iterator for Statements {
    type Item = Result<PastStatement, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(statement) = self.ready.pop_front() {
                return Some(Ok(statement));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.places.clear();
                    self.current = None;
                    self.open.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Statements {
    /// Reads one record further; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        let Some((place, reader)) = &mut self.current else { return self.begin_segment() };
        self.line.clear();
        reader.read_until(b'\n', &mut self.line).map_err(Error::Read)?;
        let Some(line) = self.line.strip_suffix(b"\n") else {
            // The end, or a line that is still being written or was torn.
            self.current = None;
            return Ok(true);
        };
        let (length, void_from) = (line.len(), place.void_from);
        let bytes = std::mem::take(&mut self.line);
        let outcome = self.record(bytes.get(..length).unwrap_or_default(), void_from);
        self.line = bytes;
        outcome.map(|()| true)
    }

    /// Goes on to the next segment that can hold a wanted statement, or the end of one that is open.
    fn begin_segment(&mut self) -> Result<bool, Error> {
        while let Some(place) = self.places.pop_front() {
            if place.started {
                self.end_all();
            }
            let wanted = place.span.is_none_or(|span| self.during.meets(span));
            if !wanted && self.open.is_empty() {
                continue;
            }
            let opened = match self.rests.get(place.opened_name()) {
                Some(rest) => File::open(rest).map(|file| Box::new(BufReader::new(file)) as Box<dyn BufRead + Send>),
                None => self.segments.open(&place.name),
            };
            match opened {
                Ok(reader) => {
                    self.current = Some((place, reader));
                    return Ok(true);
                }
                // Retention removed it meanwhile; of a copy that has gone while its segment is there, what it left over is missing.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_gone(&place) => {}
                Err(error) => return Err(Error::Read(error)),
            }
        }
        let any = !self.open.is_empty();
        self.end_all();
        Ok(any)
    }

    fn is_gone(&self, place: &Place) -> bool {
        let copied = self.rests.contains_key(place.opened_name());
        !copied || self.segments.open(&place.name).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// What is open has no end in the log.
    fn end_all(&mut self) {
        let mut left: Vec<PastStatement> = self.open.drain().map(|(_, statement)| statement).collect();
        left.sort_by(|a, b| (a.at, &a.query_id).cmp(&(b.at, &b.query_id)));
        self.ready.extend(left);
    }

    fn record(&mut self, line: &[u8], void_from: Option<u64>) -> Result<(), Error> {
        let kind = kind_of(line).ok_or_else(unreadable)?;
        if !matches!(kind, "statement_opened" | "decision" | "statement_closed") {
            return Ok(());
        }
        if let Some(from) = void_from
            && read::<Numbered>(line)?.seq >= from
        {
            return Ok(());
        }
        match kind {
            // The time stands in front, and most lines need not be read further.
            "statement_opened" if time_of(line).is_none_or(|at| self.during.holds(at)) => {
                let statement: PastStatement = read(line)?;
                if self.during.holds(statement.at) {
                    self.open.insert(statement.query_id.clone(), statement);
                }
            }
            "decision" if !self.open.is_empty() => {
                let raw: RawJudgement = read(line)?;
                if let Some(statement) = self.open.get_mut(&raw.query_id) {
                    statement.decisions.push(PastJudgement::from(raw));
                }
            }
            "statement_closed" if !self.open.is_empty() => {
                let closing: RawClosing = read(line)?;
                if let Some(mut statement) = self.open.remove(&closing.query_id) {
                    statement.end = Some(read::<PastEnd>(line)?);
                    self.ready.push_back(statement);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
pub(super) struct Numbered {
    pub(super) seq: u64,
}

pub(super) fn read<T: DeserializeOwned>(line: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(line).map_err(|_| unreadable())
}

pub(super) fn unreadable() -> Error {
    Error::Read(io::Error::new(io::ErrorKind::InvalidData, "a line is no audit record"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;

    use super::*;
    use crate::audit::event::{Closing, StatementOpened};
    use crate::audit::{AuditLog, AuditOptions, MemoryLog, StatementNote};

    fn day(number: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(number)
    }

    fn opened(number: u128) -> StatementOpened {
        StatementOpened::by(number, &format!("p{number}"))
    }

    fn log(memory: &MemoryLog) -> Arc<AuditLog> {
        let options = AuditOptions { segment_bytes: 1, linger: Duration::ZERO, ..AuditOptions::new("") };
        AuditLog::with_storage(Box::new(memory.clone()), options).unwrap()
    }

    async fn open(log: &AuditLog, at: DateTime<Utc>, number: u128) -> crate::audit::OpenStatement {
        let reserved = log.reserve().await.unwrap();
        log.open_statement(reserved, at, opened(number), Vec::new(), Arc::new(Closing::aborted)).await.unwrap()
    }

    fn read_back(memory: &MemoryLog, during: During) -> Vec<(String, Option<String>)> {
        let statements = Reader::new(Arc::new(memory.clone())).statements(during).unwrap();
        statements.map(|statement| statement.unwrap()).map(|it| (it.principal, it.end.map(|end| end.outcome))).collect()
    }

    fn ended(principal: &str, outcome: &str) -> (String, Option<String>) {
        (principal.to_owned(), Some(outcome.to_owned()))
    }

    #[tokio::test]
    async fn a_statement_is_read_with_its_end_also_from_a_later_segment() {
        let memory = MemoryLog::default();
        let log = log(&memory);
        let (first, second) = (open(&log, day(1), 1).await, open(&log, day(2), 2).await);
        second.close(day(3), Closing::completed());
        first.close(day(4), Closing::aborted());
        let running = open(&log, day(5), 3).await;
        assert_eq!(read_back(&memory, During::default()).last(), Some(&("p3".to_owned(), None)));
        running.close(day(5), Closing::completed());
        log.close().await.unwrap();
        assert_eq!(read_back(&memory, During::default()), [ended("p2", "completed"), ended("p1", "aborted"), ended("p3", "completed")]);
        assert_eq!(read_back(&memory, During { from: day(1), to: day(1) }), [ended("p1", "aborted")]);
        assert_eq!(read_back(&memory, During { from: day(6), to: day(9) }), []);
    }

    #[tokio::test]
    async fn only_segments_of_the_wanted_days_are_read_whole() {
        let memory = MemoryLog::default();
        let log = log(&memory);
        for number in 0..50 {
            open(&log, day(number), u128::try_from(number).unwrap()).await.close(day(number), Closing::completed());
        }
        log.close().await.unwrap();
        let reader = Reader::new(Arc::new(memory.clone()));
        let count = |during| reader.statements(during).unwrap().map(Result::unwrap).count();
        assert_eq!(count(During::default()), 50);
        let opened = memory.opened();
        assert_eq!(count(During { from: day(20), to: day(21) }), 2);
        assert!(memory.opened() - opened <= 8, "{} of {} segments", memory.opened() - opened, memory.contents().len());
    }

    #[tokio::test]
    async fn what_a_killed_process_left_open_has_no_end() {
        let memory = MemoryLog::default();
        let first = log(&memory);
        std::mem::forget(open(&first, day(1), 1).await);
        let second = log(&memory);
        open(&second, day(2), 2).await.close(day(2), Closing::completed());
        second.close().await.unwrap();
        assert_eq!(read_back(&memory, During::default()), [("p1".to_owned(), None), ended("p2", "completed")]);
        drop(first);
    }

    #[tokio::test]
    async fn a_void_record_is_no_statement() {
        let memory = MemoryLog::default();
        let log = log(&memory);
        memory.refuse_syncs(true);
        let reserved = log.reserve().await.unwrap();
        assert!(log.open_statement(reserved, day(1), opened(1), Vec::new(), Arc::new(Closing::aborted)).await.is_err());
        memory.refuse_syncs(false);
        while !log.writable() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        open(&log, day(1), 2).await.close(day(1), Closing::completed());
        log.close().await.unwrap();
        assert_eq!(read_back(&memory, During::default()), [ended("p2", "completed")]);
    }

    #[tokio::test]
    async fn a_line_that_is_no_record_is_an_error() {
        use crate::audit::storage::Storage as _;
        let mut memory = MemoryLog::default();
        let log = log(&memory);
        let closing = Closing::completed();
        log.note_statement(
            None,
            StatementNote { at: day(1), opened: opened(1), decisions: Vec::new(), ended: day(1), closing, rows: 0, stages: Vec::new() },
        );
        log.close().await.unwrap();
        let name = "audit-20300101T000000.000000Z-000000000999.jsonl";
        memory
            .create(name)
            .unwrap()
            .write(b"{\"v\":1,\"seq\":999,\"at\":\"1970-01-01T00:00:00Z\",\"kind\":\"decision\",nonsense}\nx\n")
            .unwrap();
        let statements = Reader::new(Arc::new(memory)).statements(During::default()).unwrap();
        assert!(statements.into_iter().any(|statement| statement.is_err()));
    }
}
