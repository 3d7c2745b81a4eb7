//! Checks a log: that no record has been changed, removed, moved or put in.
//!
//! The end of the log proves nothing by itself: that records are missing there shows only against a head kept elsewhere.

use std::io;
use std::path::Path;

use super::Error;
use super::record::{Chain, Envelope};
use super::storage::FolderReader;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The segment.
    pub segment: String,
    /// The line in it, from 1.
    pub line: usize,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// It is no record.
    Unreadable,
    /// Its bytes do not have the hash that it carries.
    Altered,
    /// Another number was due: records before it are missing, moved or put in.
    OutOfSequence {
        /// The number that was due.
        expected: u64,
        /// The number that it has.
        found: u64,
    },
    /// It is not tied to the record before it.
    Unchained,
    /// It has no end, and records follow in a later segment that does not say so.
    Torn,
    /// A segment begins with something other than its own opening record.
    Headless,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: ", self.segment, self.line)?;
        match self.kind {
            FaultKind::Unreadable => f.write_str("no audit record"),
            FaultKind::Altered => f.write_str("the record has been altered"),
            FaultKind::OutOfSequence { expected, found } => write!(f, "record {found} stands where record {expected} is due"),
            FaultKind::Unchained => f.write_str("the record is not tied to the one before it"),
            FaultKind::Torn => f.write_str("the last line is incomplete"),
            FaultKind::Headless => f.write_str("the segment does not begin with its opening record"),
        }
    }
}

/// The outcome of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// How many segments were read.
    pub segments: usize,
    /// How many records hold.
    pub records: u64,
    /// How many records lie in the void tail of a segment that could not be written; they were never acknowledged.
    pub void_records: u64,
    /// Number of the last record.
    pub last_seq: u64,
    /// Hash of the last record: the head, to be kept elsewhere.
    pub head: String,
    /// What is wrong. Empty: all records are there, unchanged, in order.
    pub faults: Vec<Fault>,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Checks the log in a folder, also while it is being written.
pub fn verify(folder: &Path) -> Result<Verification, Error> {
    walk(folder, |_| {})
}

/// The same, and hands over each record that holds, in order.
pub(super) fn walk(folder: &Path, record: impl FnMut(&[u8])) -> Result<Verification, Error> {
    let reader = FolderReader(folder);
    let names = reader.segments().map_err(Error::Read)?;
    walk_segments(&names, |name| reader.read(name), record).map_err(Error::Read)
}

/// Checks segments in the order of their names.
#[cfg(test)]
pub(super) fn verify_segments(names: &[String], read: impl FnMut(&str) -> io::Result<Vec<u8>>) -> io::Result<Verification> {
    walk_segments(names, read, |_| {})
}

/// Goes through segments in the order of their names; holds at most two at once.
fn walk_segments(
    names: &[String],
    mut read: impl FnMut(&str) -> io::Result<Vec<u8>>,
    record: impl FnMut(&[u8]),
) -> io::Result<Verification> {
    let outcome = Verification { segments: names.len(), ..Verification::default() };
    let mut check = Check { outcome, chain: Chain::default(), record };
    let mut names = names.iter();
    let mut current = names.next().map(|name| read(name).map(|bytes| (name, bytes))).transpose()?;
    while let Some((name, bytes)) = current.take() {
        current = names.next().map(|name| read(name).map(|bytes| (name, bytes))).transpose()?;
        check.segment(name, &bytes, current.as_ref().map(|(_, bytes)| bytes.as_slice()));
    }
    check.outcome.last_seq = check.chain.seq;
    check.outcome.head = check.chain.hash;
    Ok(check.outcome)
}

struct Check<R> {
    outcome: Verification,
    chain: Chain,
    record: R,
}

impl<R: FnMut(&[u8])> Check<R> {
    fn segment(&mut self, name: &str, bytes: &[u8], next: Option<&[u8]>) {
        let void_from = next.and_then(void_from);
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let tail = lines.next_back().unwrap_or_default();
        let mut count = 0;
        for line in lines {
            count += 1;
            self.line(name, count, line, void_from);
        }
        // A torn tail is cut on start; before that it is what a crash leaves, and of no statement that delivered a row.
        let void = void_from.is_some_and(|from| self.chain.seq + 1 >= from);
        if !tail.is_empty() && next.is_some() && !void {
            self.fault(name, count + 1, FaultKind::Torn);
        }
    }

    fn line(&mut self, name: &str, line: usize, bytes: &[u8], void_from: Option<u64>) {
        let Some(record) = Envelope::parse(bytes) else {
            return self.fault(name, line, FaultKind::Unreadable);
        };
        if void_from.is_some_and(|from| record.seq >= from && self.chain.seq + 1 >= from) {
            self.outcome.void_records += 1;
            return;
        }
        if !record.intact {
            self.fault(name, line, FaultKind::Altered);
        } else if record.seq != self.chain.seq + 1 {
            self.fault(name, line, FaultKind::OutOfSequence { expected: self.chain.seq + 1, found: record.seq });
        } else if record.prev != self.chain.hash {
            self.fault(name, line, FaultKind::Unchained);
        } else if line == 1 && record.kind != "segment_opened" {
            self.fault(name, line, FaultKind::Headless);
        } else {
            self.outcome.records += 1;
            (self.record)(bytes);
        }
        self.chain = Chain { seq: record.seq, hash: record.hash };
    }

    fn fault(&mut self, segment: &str, line: usize, kind: FaultKind) {
        self.outcome.faults.push(Fault { segment: segment.to_owned(), line, kind });
    }
}

/// From which number on the segment before is void, if this segment recovers from a failure.
fn void_from(next: &[u8]) -> Option<u64> {
    let first = next.split(|byte| *byte == b'\n').next()?;
    let record = Envelope::parse(first)?;
    (record.intact && record.kind == "segment_opened" && record.reason.as_deref() == Some("recovered")).then_some(record.seq)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::audit::event::{Event, Reload, SegmentOpened, SegmentReason};

    fn header(segment: &str, reason: SegmentReason) -> Event {
        Event::SegmentOpened(SegmentOpened {
            segment: segment.to_owned(),
            reason,
            previous_segment: None,
            cut_bytes: 0,
            program_version: "0",
        })
    }

    fn seal(chain: &mut Chain, event: &Event, out: &mut Vec<u8>) {
        chain.seal(DateTime::<Utc>::UNIX_EPOCH, event, out).unwrap();
    }

    fn note(what: u32) -> Event {
        Event::Reload(Reload { what: what.to_string(), ..Reload::default() })
    }

    /// Two segments of five records each.
    fn log() -> Vec<Vec<u8>> {
        let mut chain = Chain::default();
        ["a", "b"]
            .iter()
            .map(|name| {
                let mut bytes = Vec::new();
                seal(&mut chain, &header(name, SegmentReason::Started), &mut bytes);
                (0..4).for_each(|number| seal(&mut chain, &note(number), &mut bytes));
                bytes
            })
            .collect()
    }

    fn check(segments: &[Vec<u8>]) -> Verification {
        let names: Vec<String> = (0..segments.len()).map(|index| index.to_string()).collect();
        verify_segments(&names, |name| Ok(segments[name.parse::<usize>().unwrap()].clone())).unwrap()
    }

    fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
        bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn an_untouched_log_holds() {
        let outcome = check(&log());
        assert_eq!((outcome.faults, outcome.records, outcome.last_seq, outcome.segments), (Vec::new(), 10, 10, 2));
    }

    #[test]
    fn every_changed_byte_is_found() {
        let segments = log();
        for at in 0..segments[0].len() {
            let mut changed = segments.clone();
            changed[0][at] ^= 1;
            assert!(!check(&changed).holds(), "byte {at}");
        }
    }

    #[test]
    fn every_removed_record_but_the_last_is_found() {
        let segments = log();
        for index in 0..5 {
            let mut lines = lines(&segments[0]);
            lines.remove(index);
            assert!(!check(&[lines.concat(), segments[1].clone()]).holds(), "line {index}");
        }
        assert!(!check(&segments[1..]).holds(), "the first segment");
    }

    #[test]
    fn every_swap_is_found_where_it_is() {
        let segments = log();
        for index in 0..4 {
            let mut lines = lines(&segments[0]);
            lines.swap(index, index + 1);
            let outcome = check(&[lines.concat(), segments[1].clone()]);
            let found = u64::try_from(index).unwrap() + 2;
            assert_eq!(outcome.faults[0].kind, FaultKind::OutOfSequence { expected: found - 1, found });
            assert_eq!(outcome.faults[0].line, index + 1);
        }
    }

    #[test]
    fn a_repeated_record_is_found() {
        let mut segments = log();
        let mut lines = lines(&segments[1]);
        lines.push(lines[4].clone());
        segments[1] = lines.concat();
        assert_eq!(check(&segments).faults[0].kind, FaultKind::OutOfSequence { expected: 11, found: 10 });
    }

    #[test]
    fn a_rewritten_record_with_a_new_hash_breaks_the_chain() {
        let segments = log();
        let mut lines = lines(&segments[0]);
        let mut chain = Chain { seq: 2, hash: Envelope::parse(lines[1].trim_ascii_end()).unwrap().hash };
        let mut forged = Vec::new();
        seal(&mut chain, &note(77), &mut forged);
        lines[2] = forged;
        let outcome = check(&[lines.concat(), segments[1].clone()]);
        assert_eq!(outcome.faults, [Fault { segment: "0".to_owned(), line: 4, kind: FaultKind::Unchained }]);
    }

    #[test]
    fn the_tail_of_a_failed_segment_is_void() {
        let mut chain = Chain::default();
        let mut first = Vec::new();
        seal(&mut chain, &header("a", SegmentReason::Started), &mut first);
        seal(&mut chain, &note(1), &mut first);
        let mut lost = chain.clone();
        seal(&mut lost, &note(2), &mut first);
        first.extend_from_slice(b"{\"v\":1,\"se");
        let mut second = Vec::new();
        seal(&mut chain, &header("b", SegmentReason::Recovered), &mut second);
        let outcome = check(&[first.clone(), second]);
        assert_eq!((outcome.faults, outcome.records, outcome.void_records), (Vec::new(), 3, 1));

        let mut chain = Chain { seq: chain.seq - 1, hash: Envelope::parse(lines(&first)[1].trim_ascii_end()).unwrap().hash };
        let mut second = Vec::new();
        seal(&mut chain, &header("b", SegmentReason::Started), &mut second);
        assert!(!check(&[first, second]).holds());
    }

    #[test]
    fn a_torn_last_line_is_a_crash_not_a_fault() {
        let mut segments = log();
        segments[1].extend_from_slice(b"{\"v\":1");
        assert!(check(&segments).holds());
        segments[0].extend_from_slice(b"{\"v\":1");
        assert!(!check(&segments).holds());
    }
}
