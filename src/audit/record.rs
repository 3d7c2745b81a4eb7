//! The line of a record, and the chain that ties each line to the one before.
//!
//! A line is `{"v":…,"seq":…,"at":…,"kind":…, …,"prev":"<hash>","hash":"<hash>"}`. Its hash is the SHA-256 of every byte of the line
//! before `,"hash":`; those bytes hold the hash of the line before, across segments. So no byte can change unseen, and no second
//! spelling of a record has the same hash.

use std::io::Write as _;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::Error;
use super::event::{Event, timestamp};
use super::layout::Span;

/// The version of the records' schema, written as `v`. Raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// Length of a hash in hex.
const HASH_LENGTH: usize = 64;
/// Version, number, time and kind stand within so many bytes of a line.
const ENVELOPE_BYTES: usize = 160;
const HASH_START: &str = ",\"hash\":\"";
const HASH_END: &str = "\"}";

/// The last record: what the next one is tied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    /// Number of the last record; 0 before the first.
    pub(super) seq: u64,
    /// Hash of the last record; zeros before the first.
    pub(super) hash: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self { seq: 0, hash: "0".repeat(HASH_LENGTH) }
    }
}

/// Records as they will stand in the log, but for what ties them to it: a line each, from the time to the last field of the event.
///
/// Made by whoever records, so that the one writer has nothing to do but to number, to hash and to write.
#[derive(Debug, Default)]
pub(super) struct Draft {
    lines: Vec<u8>,
    /// From when to when the records are.
    pub(super) span: Option<Span>,
}

impl Draft {
    /// Room for a statement with a decision.
    const BYTES: usize = 6 << 10;

    /// One record.
    pub(super) fn of(at: DateTime<Utc>, event: &Event) -> Result<Self, Error> {
        let mut draft = Self::default();
        draft.add(at, event)?;
        Ok(draft)
    }

    /// Room for the records of a statement.
    pub(super) fn for_statement() -> Self {
        Self { lines: Vec::with_capacity(Self::BYTES), span: None }
    }

    /// Adds a record. Without a JSON form it is none, and nothing of it stays.
    pub(super) fn add(&mut self, at: DateTime<Utc>, event: &Event) -> Result<(), Error> {
        let start = self.lines.len();
        self.lines.extend_from_slice(b"\"at\":\"");
        self.lines.extend_from_slice(timestamp(at).as_bytes());
        self.lines.push(b'"');
        if event.write(&mut self.lines).is_err() {
            self.lines.truncate(start);
            tracing::error!("a record of the audit log has no JSON form");
            return Err(Error::Unwritable);
        }
        self.lines.push(b'\n');
        self.span = widened(self.span, (at, at));
        Ok(())
    }

    /// No line feed stands in a JSON text.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
    }
}

/// The time of both.
pub(super) fn widened(span: Option<Span>, (first, last): Span) -> Option<Span> {
    Some(span.map_or((first, last), |(from, to)| (from.min(first), to.max(last))))
}

impl Chain {
    /// Appends the lines of a draft to `out`, and moves on.
    pub(super) fn seal(&mut self, draft: &Draft, out: &mut Vec<u8>) {
        draft.lines().for_each(|line| self.seal_line(line, out));
    }

    fn seal_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let seq = self.seq + 1;
        let start = out.len();
        // Writing to memory cannot fail.
        let _infallible = write!(out, "{{\"v\":{SCHEMA_VERSION},\"seq\":{seq},");
        out.extend_from_slice(line);
        out.extend_from_slice(b",\"prev\":\"");
        out.extend_from_slice(self.hash.as_bytes());
        out.push(b'"');
        let hash = hex(&Sha256::digest(out.get(start..).unwrap_or_default()));
        out.extend_from_slice(HASH_START.as_bytes());
        out.extend_from_slice(hash.as_bytes());
        out.extend_from_slice(HASH_END.as_bytes());
        out.push(b'\n');
        *self = Self { seq, hash };
    }
}

/// The envelope of a line that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) seq: u64,
    pub(super) kind: String,
    /// Why a segment was opened; only in its first record.
    pub(super) reason: Option<String>,
    pub(super) prev: String,
    pub(super) hash: String,
    /// Whether the line's hash is the hash of its bytes.
    pub(super) intact: bool,
}

/// Only the envelope's fields are read; the rest of a line is any JSON.
#[derive(Deserialize)]
struct RawEnvelope {
    seq: u64,
    kind: String,
    reason: Option<String>,
    prev: String,
}

impl Envelope {
    /// Reads a line without its line feed; `None` if it is no record at all.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let body_length = line.len().checked_sub(HASH_START.len() + HASH_LENGTH + HASH_END.len())?;
        let (body, tail) = line.split_at_checked(body_length)?;
        let hash = std::str::from_utf8(tail).ok()?.strip_prefix(HASH_START)?.strip_suffix(HASH_END)?;
        let raw: RawEnvelope = serde_json::from_slice(line).ok()?;
        let intact = hex(&Sha256::digest(body)) == hash;
        Some(Self { seq: raw.seq, kind: raw.kind, reason: raw.reason, prev: raw.prev, hash: hash.to_owned(), intact })
    }
}

/// When a record was made, found without reading the rest of its line.
pub(super) fn time_of(line: &[u8]) -> Option<DateTime<Utc>> {
    time_text_of(line)?.parse().ok()
}

/// The same as it is written.
pub(super) fn time_text_of(line: &[u8]) -> Option<&str> {
    envelope_text(line, "\"at\":\"")
}

/// The kind of a record, found without reading the rest of its line.
pub(super) fn kind_of(line: &[u8]) -> Option<&str> {
    envelope_text(line, "\"kind\":\"")
}

/// A text among the first fields of a line, which are the envelope's.
fn envelope_text<'a>(line: &'a [u8], key: &str) -> Option<&'a str> {
    let head = line.get(..line.len().min(ENVELOPE_BYTES))?;
    let at = head.windows(key.len()).position(|window| window == key.as_bytes())? + key.len();
    let rest = head.get(at..)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
    let mut text = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    String::from_utf8(text).unwrap_or_default()
}
