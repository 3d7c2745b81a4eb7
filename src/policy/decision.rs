//! What a policy answers: allow with obligations, or deny with public reasons.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hasher;
use std::sync::{Arc, OnceLock};

use chrono::TimeDelta;
use uuid::Uuid;

use crate::product::{FieldName, PortName, ProductRef};

use super::sieve::{Sieve, hash_of_text};
use super::{IntegerSubjects, Mask, MaskKeys, Predicate, Question, Recorded};

/// Identifies a decision in errors, plans, and the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecisionId(pub Uuid);

impl std::fmt::Display for DecisionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The answer to one [`AccessRequest`](super::AccessRequest).
#[derive(Debug, Clone)]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// The product that it is about.
    pub product: ProductRef,
    /// The port that it is about.
    pub port: PortName,
    /// The fields that were asked for; the decision holds for these and no others.
    pub fields: Arc<[FieldName]>,
    /// The answer.
    pub outcome: Outcome,
    /// Revision of the policy bundle that answered.
    pub bundle_revision: Arc<str>,
    /// The rules that had a part in it, as `package.rule`, for the audit log.
    pub rules: Arc<[String]>,
    /// What the rules were asked, for the audit log (the fields of OPA's decision log: `input`).
    pub input: Question,
    /// What they answered, for the audit log. May name roles and ages; never shown to the caller.
    pub result: Arc<Recorded>,
}

/// Allow or deny.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Rows may be read, under obligations.
    Allow(Obligations),
    /// Nothing may be read. Never empty.
    Deny(Vec<DenyReason>),
}

/// What enforcement must do to the rows of the product.
#[derive(Debug, Clone, Default)]
pub struct Obligations {
    /// Rows for which this is not true (false or unknown) are hidden. Sees raw values. [`Predicate::True`] when nothing is filtered.
    pub row_filter: Predicate,
    /// Rows of these subjects, and rows without a subject, are hidden.
    pub exclusion: Option<Exclusion>,
    /// Masked columns. Name, type and nullability of a column stay (but a NULL mask makes it nullable).
    pub masks: BTreeMap<FieldName, Mask>,
    /// The secrets of those masks that are keyed.
    pub mask_keys: MaskKeys,
    /// Public reason codes of what applied, e.g. `columns_masked`, `rows_limited`. Never whether anything was removed.
    pub notices: Vec<String>,
    /// The rule behind each part of `row_filter`, in the order of the parts: of its `AND`, or of the one condition that it is.
    pub row_rules: Vec<RowRule>,
}

/// A rule that limits rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRule {
    /// Its name, as `package.rule`, or `contract.retention`.
    pub rule: String,
    /// Where it stands, if whoever made the condition of it knows.
    pub place: Option<RulePlace>,
}

/// Where a rule stands in its bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePlace {
    /// The file, relative to the bundle.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl RowRule {
    /// A rule of that name.
    pub fn named(rule: impl Into<String>) -> Self {
        Self { rule: rule.into(), place: None }
    }
}

impl Obligations {
    /// Whether these let through the same rows with the same values.
    pub fn have_effect_of(&self, other: &Self) -> bool {
        self.row_filter == other.row_filter && self.have_all_else_of(other)
    }

    /// Whether these are what the others have become by the time that has gone by: bounds in time have gone on by no more than that, and
    /// all else is the same.
    pub fn have_drifted_from(&self, earlier: &Self, elapsed: TimeDelta) -> bool {
        self.row_filter.has_drifted_from(&earlier.row_filter, elapsed) && self.have_all_else_of(earlier)
    }

    /// Whether all but the row filters is the same.
    fn have_all_else_of(&self, other: &Self) -> bool {
        let exclusion = match (&self.exclusion, &other.exclusion) {
            (None, None) => true,
            (Some(own), Some(others)) => own.column == others.column && own.subjects.has_same_subjects(&others.subjects),
            _ => false,
        };
        exclusion && self.masks == other.masks && self.mask_keys == other.mask_keys
    }

    /// The parts of the row filter, all of which must be true, each with its rule if that is known.
    pub fn row_conditions(&self) -> Vec<(Option<&RowRule>, &Predicate)> {
        match &self.row_filter {
            Predicate::True => Vec::new(),
            Predicate::And(parts) if parts.len() == self.row_rules.len() => self.row_rules.iter().map(Some).zip(parts).collect(),
            whole => vec![(self.row_rules.first().filter(|_| self.row_rules.len() == 1), whole)],
        }
    }
}

/// Hides the rows of erased people.
#[derive(Debug, Clone)]
pub struct Exclusion {
    /// The column that names the person.
    pub column: FieldName,
    /// The erased people.
    pub subjects: Arc<SubjectSet>,
}

/// Erased subjects: ids as they were written down. What an id is, a number, a UUID or a text, is the column's question.
#[derive(Default)]
pub struct SubjectSet {
    subjects: HashSet<String>,
    sieve: OnceLock<Sieve>,
    integers: OnceLock<IntegerSubjects>,
    uuids: OnceLock<(Sieve, HashSet<String>)>,
}

/// Spreads integers well and cheaply; the ids are the operator's, not an attacker's.
#[derive(Debug, Default, Clone, Copy)]
pub struct IntegerHasher(u64);

impl Hasher for IntegerHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mut mixed = (self.0 ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = mixed ^ (mixed >> 31);
    }

    fn write_i64(&mut self, value: i64) {
        self.write_u64(value.cast_unsigned());
    }
}

impl std::fmt::Debug for SubjectSet {
    /// Never the ids: they must not reach a log or a plan.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubjectSet").finish_non_exhaustive()
    }
}

impl PartialEq for SubjectSet {
    fn eq(&self, other: &Self) -> bool {
        self.subjects == other.subjects
    }
}

// So that two pointers to one set are equal without a look into it.
impl Eq for SubjectSet {}

impl SubjectSet {
    /// A set of ids; surrounding white space is removed.
    pub fn new(subjects: impl IntoIterator<Item = String>) -> Self {
        let subjects = subjects.into_iter().map(|subject| subject.trim().to_owned()).filter(|subject| !subject.is_empty()).collect();
        Self { subjects, ..Self::default() }
    }

    /// Whether the person has been erased.
    pub fn contains(&self, subject: &str) -> bool {
        let sieve = self.sieve.get_or_init(|| sieve_of(&self.subjects));
        sieve.stops(hash_of_text(subject)) && self.subjects.contains(subject)
    }

    /// Whether the same people are in both.
    pub fn has_same_subjects(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.subjects == other.subjects
    }

    /// How many people.
    pub fn len(&self) -> usize {
        self.subjects.len()
    }

    /// Whether nobody has been erased.
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// Those ids that are integers of 64 bits. Collected at the first call.
    pub fn integers(&self) -> &IntegerSubjects {
        self.integers.get_or_init(|| self.iter().filter_map(|subject| subject.parse().ok()).collect())
    }

    /// Whether the person has been erased, by a UUID in any spelling.
    pub fn contains_uuid(&self, subject: &str) -> bool {
        let (sieve, uuids) = self.uuids.get_or_init(|| {
            let uuids: HashSet<String> = self.iter().map(uuid_text).collect();
            (sieve_of(&uuids), uuids)
        });
        let found = |uuid: &str| sieve.stops(hash_of_text(uuid)) && uuids.contains(uuid);
        // Sources mostly spell UUIDs as PostgreSQL does; those are looked up as they are.
        let usual = subject.len() == UUID_LENGTH && !subject.bytes().any(|byte| byte.is_ascii_uppercase());
        if usual { found(subject) } else { found(&uuid_text(subject)) }
    }

    /// Those ids that are UUIDs.
    pub fn uuids(&self) -> impl Iterator<Item = Uuid> {
        self.iter().filter_map(read_uuid)
    }

    /// How many of these people are not in the next set, whether their ids are numbers, UUIDs or texts.
    pub fn count_gone(&self, next: &Self) -> usize {
        let is_there = |id: &str| {
            next.contains(id)
                || id.parse().is_ok_and(|number| next.integers().contains(number))
                || (read_uuid(id).is_some() && next.contains_uuid(id))
        };
        self.iter().filter(|id| !is_there(id)).count()
    }

    /// How many ids are no whole number, where those name people, and no UUID, where these do: they hide nobody there.
    pub fn count_unfit(&self, by_number: bool, by_uuid: bool) -> usize {
        let fits = |id: &str| (by_number && id.parse::<i128>().is_ok()) || (by_uuid && read_uuid(id).is_some());
        self.iter().filter(|id| !fits(id)).count()
    }

    /// The ids, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.subjects.iter().map(String::as_str)
    }
}

/// Letters of a UUID with its four hyphens.
const UUID_LENGTH: usize = 36;

/// A UUID in any case, with or without hyphens and braces, as PostgreSQL reads it.
fn read_uuid(text: &str) -> Option<Uuid> {
    let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let digits: String = bare.chars().filter(|letter| *letter != '-').collect();
    // No hyphen and no brace is left, so that this is the one spelling that can still be meant.
    Uuid::try_parse(&digits).ok().filter(|_| digits.len() == 32)
}

/// A UUID as PostgreSQL writes it; what is none in lower case.
fn uuid_text(text: &str) -> String {
    read_uuid(text).map_or_else(|| text.to_ascii_lowercase(), |uuid| uuid.to_string())
}

fn sieve_of(texts: &HashSet<String>) -> Sieve {
    Sieve::new(texts.iter().map(|text| hash_of_text(text)))
}

/// Why a request was denied, in words that anyone may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenyReason {
    /// The rule, as `package.rule` or a code of the guard such as `guard.unknown_field`.
    pub rule: String,
    /// The fields concerned, if it is about fields.
    pub fields: Vec<FieldName>,
    /// A fixed public sentence without roles, ages, ids or values.
    pub message: String,
}
