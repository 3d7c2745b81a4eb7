//! Which segment holds what, told by the first record of the segment that follows it.
//!
//! The opening record of a segment says whether it makes void the end of the one before, and from when to when the records of that one are.
//! So whoever looks for a day reads the beginnings of segments, and whole only those that can hold it.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, Read as _};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::record::Envelope;
use super::storage::{Segments, opened_name};

/// The longest first line that is looked at.
const HEADER_BYTES_MAX: u64 = 64 << 10;

/// From when to when, both included.
pub type Span = (DateTime<Utc>, DateTime<Utc>);

/// What the opening record of a segment says.
#[derive(Debug, Clone)]
pub(super) struct Header {
    seq: u64,
    intact: bool,
    reason: String,
    previous: Option<String>,
    span: Option<Span>,
}

/// The fields of the record that are read here.
#[derive(Deserialize)]
struct RawHeader {
    reason: String,
    previous_segment: Option<String>,
    previous_from: Option<DateTime<Utc>>,
    previous_to: Option<DateTime<Utc>>,
}

impl Header {
    /// Reads a first line without its line feed; `None` if it opens no segment.
    fn parse(line: &[u8]) -> Option<Self> {
        let envelope = Envelope::parse(line)?;
        if envelope.kind != "segment_opened" {
            return None;
        }
        let raw: RawHeader = serde_json::from_slice(line).ok()?;
        let span = raw.previous_from.zip(raw.previous_to);
        Some(Self { seq: envelope.seq, intact: envelope.intact, reason: raw.reason, previous: raw.previous_segment, span })
    }

    fn read(segments: &dyn Segments, name: &str) -> io::Result<Option<Self>> {
        let mut line = Vec::new();
        segments.open(name)?.take(HEADER_BYTES_MAX).read_until(b'\n', &mut line)?;
        Ok(line.strip_suffix(b"\n").and_then(Self::parse))
    }
}

/// A segment among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// What it holds from this number on was never made durable; a later segment says so.
    pub void_from: Option<u64>,
    /// From when to when its records are; `None` if nothing tells.
    pub span: Option<Span>,
    /// A process began with it: what was open before has no end.
    pub started: bool,
    /// Whether another segment follows.
    pub followed: bool,
}

impl Place {
    /// The name that the segment was opened with, compressed or not.
    pub fn opened_name(&self) -> &str {
        opened_name(&self.name)
    }
}

/// The opening records that have been read; they never change.
pub(super) type Headers = HashMap<String, Header>;

/// Every segment in order. Reads no more than the first line of each, and that once.
pub(super) fn layout(segments: &dyn Segments, known: &mut Headers) -> io::Result<Vec<Place>> {
    let names = segments.segments()?;
    for name in names.iter().filter(|name| !known.contains_key(*name)).cloned().collect::<Vec<_>>() {
        match Header::read(segments, &name) {
            Ok(Some(header)) => {
                known.insert(name, header);
            }
            Ok(None) => {}
            // Another removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let there: HashSet<&String> = names.iter().collect();
    known.retain(|name, _| there.contains(name));
    let mut places: Vec<Place> = Vec::with_capacity(names.len());
    let mut next: Option<&Header> = None;
    for name in names.iter().rev() {
        let own = known.get(name);
        places.push(Place {
            name: name.clone(),
            void_from: next.filter(|next| next.intact && next.reason == "recovered").map(|next| next.seq),
            span: next.filter(|next| next.previous.as_deref() == Some(opened_name(name))).and_then(|next| next.span),
            started: own.is_some_and(|own| own.reason == "started"),
            followed: !places.is_empty(),
        });
        // A segment that could not be begun says nothing about the one before.
        next = own.or(next);
    }
    places.reverse();
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::event::{Event, SegmentOpened, SegmentReason};
    use crate::audit::record::{Chain, Draft};
    use crate::audit::storage::{MemoryLog, Storage as _};

    fn segment(log: &mut MemoryLog, chain: &mut Chain, name: &str, opened: SegmentOpened) {
        let mut bytes = Vec::new();
        chain.seal(&Draft::of(DateTime::UNIX_EPOCH, &Event::SegmentOpened(opened)).unwrap(), &mut bytes);
        log.create(name).unwrap().write(&bytes).unwrap();
    }

    fn opened(reason: SegmentReason, previous: Option<&str>, span: Option<(&str, &str)>) -> SegmentOpened {
        SegmentOpened {
            segment: String::new(),
            reason,
            previous_segment: previous.map(str::to_owned),
            previous_from: span.map(|(from, _)| from.to_owned()),
            previous_to: span.map(|(_, to)| to.to_owned()),
            cut_bytes: 0,
            program_version: "0",
        }
    }

    #[test]
    fn a_segment_is_described_by_the_next_one_that_was_begun() {
        let (mut log, mut chain) = (MemoryLog::default(), Chain::default());
        let [a, b, c] = [1_u64, 2, 3].map(|seq| format!("audit-20260101T000000.00000{seq}Z-{seq:012}.jsonl"));
        segment(&mut log, &mut chain, &a, opened(SegmentReason::Started, None, None));
        log.create(&b).unwrap();
        let span = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        segment(&mut log, &mut chain, &c, opened(SegmentReason::Recovered, Some(&a), Some(span)));
        let mut known = Headers::new();
        let places = layout(&log, &mut known).unwrap();
        let from: DateTime<Utc> = span.0.parse().unwrap();
        assert_eq!((places[0].void_from, places[0].span.map(|span| span.0), places[0].started), (Some(2), Some(from), true));
        assert_eq!((places[1].void_from, places[1].span, places[1].followed), (Some(2), None, true));
        assert_eq!((places[2].void_from, places[2].span, places[2].followed), (None, None, false));
        let opened = log.opened();
        layout(&log, &mut known).unwrap();
        assert_eq!(log.opened(), opened + 1, "only the segment that was not begun is looked at again");
    }
}
