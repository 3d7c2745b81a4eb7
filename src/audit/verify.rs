//! Checks a log: that no record has been changed, removed, moved or put in.
//!
//! The end of the log proves nothing by itself: that records are missing there, or that all of it has been written anew, shows only
//! against heads kept elsewhere.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _};
use std::path::Path;

use serde::Deserialize;

use super::Error;
use super::layout::{Headers, Place, layout};
use super::record::{Chain, Envelope};
use super::storage::{FolderSegments, Segments};

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
    /// The records before it are gone, and nothing says that they were removed.
    Beginningless {
        /// The number of the first record that is there.
        found: u64,
    },
    /// It is not the record that a head kept elsewhere tells of: the log up to it has been written anew.
    Rewritten,
    /// The log ends before a record that a head kept elsewhere tells of.
    Truncated {
        /// The number of that record.
        expected: u64,
    },
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
            FaultKind::Beginningless { found } => {
                write!(f, "the log begins with record {found}, and no record says that those before were removed")
            }
            FaultKind::Rewritten => f.write_str("the record is not the one that a head kept elsewhere tells of"),
            FaultKind::Truncated { expected } => write!(f, "the log ends here, and a head kept elsewhere tells of record {expected}"),
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
    /// How many heads kept elsewhere were found in the log.
    pub heads: usize,
    /// What is wrong. Empty: all records are there, unchanged, in order.
    pub faults: Vec<Fault>,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Number → hash of records that are known from elsewhere.
pub type Heads = BTreeMap<u64, String>;

/// Checks the log in a folder, also while it is being written, against heads kept elsewhere.
pub fn verify(folder: &Path, heads: &Heads) -> Result<Verification, Error> {
    walk(&FolderSegments(folder.to_owned()), heads, |_| {}).map_err(Error::Read)
}

/// Goes through all segments, a line at a time, and hands over each record that holds, in order.
pub(super) fn walk(segments: &dyn Segments, heads: &Heads, record: impl FnMut(&[u8])) -> io::Result<Verification> {
    let places = layout(segments, &mut Headers::new())?;
    let outcome = Verification { segments: places.len(), ..Verification::default() };
    let mut check = Check { outcome, chain: Chain::default(), heads, beginning: None, record };
    for place in &places {
        check.segment(segments, place)?;
    }
    check.begins(places.first());
    check.ends(places.last());
    check.outcome.last_seq = check.chain.seq;
    check.outcome.head = check.chain.hash;
    Ok(check.outcome)
}

/// Where a log begins whose oldest segments were removed.
struct Beginning {
    removed: Chain,
    /// Whether a record, or a head kept elsewhere, says so.
    said: bool,
}

/// `segments_removed`, as far as it is read here.
#[derive(Deserialize)]
struct Removed {
    through_seq: u64,
    through_hash: String,
}

struct Check<'h, R> {
    outcome: Verification,
    chain: Chain,
    heads: &'h Heads,
    /// The last record that is no longer there, if the log does not begin with the first.
    beginning: Option<Beginning>,
    record: R,
}

impl<R: FnMut(&[u8])> Check<'_, R> {
    fn segment(&mut self, segments: &dyn Segments, place: &Place) -> io::Result<()> {
        let mut reader = segments.open(&place.name)?;
        let (mut line, mut count) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line)? > 0 {
            count += 1;
            match line.strip_suffix(b"\n") {
                Some(whole) => self.line(place, count, whole),
                None => self.tail(place, count),
            }
            line.clear();
        }
        Ok(())
    }

    /// A torn tail is cut on start; before that it is what a crash leaves, and of no statement that delivered a row.
    fn tail(&mut self, place: &Place, line: usize) {
        let void = place.void_from.is_some_and(|from| self.chain.seq + 1 >= from);
        if place.followed && !void {
            self.fault(&place.name, line, FaultKind::Torn);
        }
    }

    fn line(&mut self, place: &Place, line: usize, bytes: &[u8]) {
        let name = &place.name;
        let Some(record) = Envelope::parse(bytes) else {
            return self.fault(name, line, FaultKind::Unreadable);
        };
        if place.void_from.is_some_and(|from| record.seq >= from && self.chain.seq + 1 >= from) {
            self.outcome.void_records += 1;
            return;
        }
        if self.chain.seq == 0 && record.seq > 1 && record.kind == "segment_opened" && self.beginning.is_none() {
            let said = self.heads.get(&(record.seq - 1)) == Some(&record.prev);
            self.chain = Chain { seq: record.seq - 1, hash: record.prev.clone() };
            self.beginning = Some(Beginning { removed: self.chain.clone(), said });
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
            if let Some(beginning) = self.beginning.as_mut().filter(|_| record.kind == "segments_removed") {
                let removed = serde_json::from_slice::<Removed>(bytes).ok();
                beginning.said |=
                    removed.is_some_and(|it| it.through_seq == beginning.removed.seq && it.through_hash == beginning.removed.hash);
            }
            (self.record)(bytes);
        }
        match self.heads.get(&record.seq) {
            Some(hash) if *hash == record.hash => self.outcome.heads += 1,
            Some(_) => self.fault(name, line, FaultKind::Rewritten),
            None => {}
        }
        self.chain = Chain { seq: record.seq, hash: record.hash };
    }

    /// A log without its beginning has to say so.
    fn begins(&mut self, first: Option<&Place>) {
        if let Some(beginning) = self.beginning.as_ref().filter(|beginning| !beginning.said) {
            let found = beginning.removed.seq + 1;
            let name = first.map(|place| place.name.clone()).unwrap_or_default();
            self.fault(&name, 1, FaultKind::Beginningless { found });
        }
    }

    /// No head may tell of more than there is.
    fn ends(&mut self, last: Option<&Place>) {
        if let Some((expected, _)) = self.heads.last_key_value().filter(|(seq, _)| **seq > self.chain.seq) {
            let name = last.map(|place| place.name.clone()).unwrap_or_default();
            self.fault(&name, 0, FaultKind::Truncated { expected: *expected });
        }
    }

    fn fault(&mut self, segment: &str, line: usize, kind: FaultKind) {
        self.outcome.faults.push(Fault { segment: segment.to_owned(), line, kind });
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::audit::event::{Event, Reload, SegmentOpened, SegmentReason};
    use crate::audit::record::Draft;

    fn header(segment: &str, reason: SegmentReason) -> Event {
        Event::SegmentOpened(SegmentOpened {
            segment: segment.to_owned(),
            reason,
            previous_segment: None,
            previous_from: None,
            previous_to: None,
            cut_bytes: 0,
            program_version: "0",
        })
    }

    fn seal(chain: &mut Chain, event: &Event, out: &mut Vec<u8>) {
        chain.seal(&Draft::of(DateTime::<Utc>::UNIX_EPOCH, event).unwrap(), out);
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

    /// Segments whose names are their numbers.
    struct InOrder(Vec<Vec<u8>>);

    impl Segments for InOrder {
        fn segments(&self) -> io::Result<Vec<String>> {
            Ok((0..self.0.len()).map(|index| index.to_string()).collect())
        }

        fn open(&self, name: &str) -> io::Result<Box<dyn io::BufRead + Send>> {
            Ok(Box::new(io::Cursor::new(self.0[name.parse::<usize>().unwrap()].clone())))
        }
    }

    fn check(segments: &[Vec<u8>]) -> Verification {
        check_against(segments, &Heads::new())
    }

    fn check_against(segments: &[Vec<u8>], heads: &Heads) -> Verification {
        walk(&InOrder(segments.to_vec()), heads, |_| {}).unwrap()
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

    #[test]
    fn a_head_kept_elsewhere_shows_what_is_missing_at_the_end_and_what_was_written_anew() {
        let segments = log();
        let heads = |segments: &[Vec<u8>]| Heads::from([(10, check(segments).head)]);
        assert_eq!(check_against(&segments, &heads(&segments)).heads, 1);
        let short = [segments[0].clone(), lines(&segments[1])[..4].concat()];
        assert!(check(&short).holds());
        assert_eq!(check_against(&short, &heads(&segments)).faults[0].kind, FaultKind::Truncated { expected: 10 });

        let mut chain = Chain::default();
        let mut anew = Vec::new();
        seal(&mut chain, &header("a", SegmentReason::Started), &mut anew);
        (0..9).for_each(|number| seal(&mut chain, &note(number + 7), &mut anew));
        assert!(check(&[anew.clone()]).holds());
        assert_eq!(check_against(&[anew], &heads(&segments)).faults[0].kind, FaultKind::Rewritten);
    }
}
