//! Random changes of a log, each of which must be found. `MESHGATE_TAMPERINGS` sets how many.

use std::io;

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::event::{Event, LoginFailed, Reload, SegmentOpened, SegmentReason};
use super::record::{Chain, Draft, Envelope};
use super::storage::Segments;
use super::verify::{FaultKind, Heads, Verification, walk};

const TAMPERINGS: usize = 10_000;

/// Segments whose names are their numbers.
#[derive(Clone, PartialEq)]
struct Log(Vec<Vec<u8>>);

impl Segments for Log {
    fn segments(&self) -> io::Result<Vec<String>> {
        Ok((0..self.0.len()).map(|index| index.to_string()).collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn io::BufRead + Send>> {
        Ok(Box::new(io::Cursor::new(self.0[name.parse::<usize>().unwrap()].clone())))
    }
}

impl Log {
    fn lines(&self, segment: usize) -> Vec<Vec<u8>> {
        self.0[segment].split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// Every line with its segment.
    fn all(&self) -> Vec<(usize, Vec<u8>)> {
        (0..self.0.len()).flat_map(|segment| self.lines(segment).into_iter().map(move |line| (segment, line))).collect()
    }

    fn of(lines: Vec<(usize, Vec<u8>)>, segments: usize) -> Self {
        let mut log = Self(vec![Vec::new(); segments]);
        lines.into_iter().for_each(|(segment, line)| log.0[segment].extend(line));
        log
    }

    fn check(&self, heads: &Heads) -> Verification {
        walk(self, heads, |_| {}).unwrap()
    }
}

fn at(number: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(number)
}

fn opened(reason: SegmentReason, previous: Option<usize>) -> Event {
    Event::SegmentOpened(SegmentOpened {
        segment: String::new(),
        reason,
        previous_segment: previous.map(|number| number.to_string()),
        previous_from: None,
        previous_to: None,
        cut_bytes: 0,
        program_version: "0",
    })
}

/// Five segments of several kinds of records; one of them is recovered behind a void record.
fn log() -> Log {
    let (mut chain, mut segments) = (Chain::default(), Vec::new());
    for number in 0..5_usize {
        let reason = match number {
            0 => SegmentReason::Started,
            3 => SegmentReason::Recovered,
            _ => SegmentReason::Rotated,
        };
        let mut bytes = Vec::new();
        chain.seal(&Draft::of(at(0), &opened(reason, number.checked_sub(1))).unwrap(), &mut bytes);
        for record in 0..6_u64 {
            let event = if record % 2 == 0 {
                Event::Reload(Reload { what: "catalog".to_owned(), revision: format!("{number}-{record}"), ..Reload::default() })
            } else {
                Event::LoginFailed(LoginFailed { user: format!("u{record}"), ..LoginFailed::default() })
            };
            chain.seal(&Draft::of(at(1), &event).unwrap(), &mut bytes);
        }
        segments.push(bytes);
    }
    Log(segments)
}

fn head_of(log: &Log) -> Heads {
    let outcome = log.check(&Heads::new());
    assert!(outcome.holds(), "{:?}", outcome.faults);
    Heads::from([(outcome.last_seq, outcome.head)])
}

/// Changes something; the same log may come out.
fn tamper(log: &Log, random: &mut StdRng) -> (String, Log) {
    let mut lines = log.all();
    let (count, segments) = (lines.len(), log.0.len());
    let (one, other) = (random.random_range(0..count), random.random_range(0..count));
    match random.random_range(0..10) {
        0..3 => {
            let byte = random.random_range(0..lines[one].1.len());
            let bit = random.random_range(0..8);
            lines[one].1[byte] ^= 1 << bit;
            (format!("flip bit {bit} of byte {byte} of line {one}"), Log::of(lines, segments))
        }
        3 => {
            lines.drain(one.min(other)..=one.max(other));
            (format!("remove the lines from {one} to {other}"), Log::of(lines, segments))
        }
        4 => {
            lines.remove(one);
            (format!("remove line {one}"), Log::of(lines, segments))
        }
        5 => {
            let (a, b) = (lines[one].1.clone(), lines[other].1.clone());
            (lines[one].1, lines[other].1) = (b, a);
            (format!("swap lines {one} and {other}"), Log::of(lines, segments))
        }
        6 => {
            let again = lines[one].1.clone();
            let segment = lines[other].0;
            lines.insert(other, (segment, again));
            (format!("repeat line {one} before line {other}"), Log::of(lines, segments))
        }
        7 => {
            let segment = random.random_range(0..segments);
            let mut log = log.clone();
            let length = random.random_range(0..log.0[segment].len());
            log.0[segment].truncate(length);
            (format!("cut segment {segment} at byte {length}"), log)
        }
        8 => {
            let mut log = log.clone();
            let (a, b) = (random.random_range(0..segments), random.random_range(0..segments));
            if random.random_bool(0.5) {
                log.0.swap(a, b)
            } else {
                log.0.truncate(a)
            }
            (format!("segments {a} and {b} change places, or those from {a} on are gone"), log)
        }
        _ => (format!("write line {one} and all behind it anew"), forged(log, one)),
    }
}

/// What somebody with all access and all knowledge but the key can do: change a record, and give it and all behind it new hashes.
fn forged(log: &Log, from: usize) -> Log {
    let (mut chain, mut lines) = (Chain::default(), Vec::new());
    for (index, (segment, line)) in log.all().into_iter().enumerate() {
        if index < from {
            let record = Envelope::parse(line.trim_ascii_end()).unwrap();
            chain = Chain { seq: record.seq, hash: record.hash };
            lines.push((segment, line));
            continue;
        }
        let mut bytes = Vec::new();
        let record = Envelope::parse(line.trim_ascii_end()).unwrap();
        let event = match record.kind.as_str() {
            "segment_opened" => opened(SegmentReason::Rotated, segment.checked_sub(1)),
            _ => Event::Reload(Reload { what: "nothing happened".to_owned(), ..Reload::default() }),
        };
        chain.seal(&Draft::of(at(2), &event).unwrap(), &mut bytes);
        lines.push((segment, bytes));
    }
    Log::of(lines, log.0.len())
}

#[test]
fn every_random_change_is_found_against_a_head_kept_elsewhere() {
    let wanted = std::env::var("MESHGATE_TAMPERINGS").ok().and_then(|text| text.parse().ok()).unwrap_or(TAMPERINGS);
    let log = log();
    let heads = head_of(&log);
    let mut random = StdRng::seed_from_u64(6);
    let (mut tried, mut placed) = (0, 0);
    while tried < wanted {
        let (what, changed) = tamper(&log, &mut random);
        if changed == log {
            continue;
        }
        tried += 1;
        let outcome = changed.check(&heads);
        assert!(!outcome.holds(), "not found: {what}");
        let fault = &outcome.faults[0];
        placed += usize::from(fault.line > 0 || matches!(fault.kind, FaultKind::Truncated { .. }));
    }
    assert_eq!(placed, tried, "each is told with its place");
}
