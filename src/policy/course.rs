//! What a decision comes to at another time than the one that it was made at.
//!
//! INVARIANT: at any time it is what deciding anew would be, or it is nothing, and whoever asks decides anew. The bounds on rows are worked
//! out from the same conditions in the same way, and one that would take another form than it had is nothing.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::condition::Condition;
use super::narrow::narrow;
use super::{Exclusion, Obligations, Predicate, RowRule, SubjectSet};

/// From when to when something holds, in nanoseconds since 1970, both included.
pub(super) type Span = (i64, i64);

/// At all times.
pub(super) const ALWAYS: Span = (i64::MIN, i64::MAX);

/// The time that both hold.
pub(super) fn common(one: Span, other: Span) -> Span {
    (one.0.max(other.0), one.1.min(other.1))
}

/// Which rows may be seen: conditions, each with its rule, and the erased people.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    /// The conditions.
    pub(super) conditions: Vec<(RowRule, Condition)>,
    /// The erased people, if the contract excludes them.
    pub(super) exclusion: Option<Exclusion>,
}

/// The same at one time.
pub(super) struct RowsNow {
    pub(super) filter: Predicate,
    pub(super) rules: Vec<RowRule>,
    pub(super) exclusion: Option<Exclusion>,
}

impl Rows {
    /// What they come to; `None` if a condition cannot be told at that time. `erased` is the set that an exclusion stands for.
    pub(super) fn at(&self, erased: &Arc<SubjectSet>, now: DateTime<Utc>) -> Option<RowsNow> {
        let conditions = self.conditions.iter().map(|(rule, condition)| Some((rule.clone(), condition.at(now)?)));
        let (filters, exclusion) = narrow(conditions.collect::<Option<Vec<_>>>()?, self.exclusion.clone(), erased);
        let (rules, mut filters): (Vec<RowRule>, Vec<Predicate>) = filters.into_iter().unzip();
        let filter = match filters.len() {
            0 => Predicate::True,
            1 => filters.pop().unwrap_or(Predicate::False),
            _ => Predicate::And(filters),
        };
        Some(RowsNow { filter, rules, exclusion })
    }
}

/// How a decision goes on.
#[derive(Debug, Clone)]
pub(super) struct Course {
    valid: Span,
    /// Its rows, if the clock moves them.
    rows: Option<(Rows, Arc<SubjectSet>)>,
}

impl Course {
    /// Of a decision that holds for that time, with the rows that it lets through, if it does.
    pub(super) fn new(valid: Span, rows: Option<Rows>, erased: &Arc<SubjectSet>) -> Self {
        let moving = rows.filter(|rows| rows.conditions.iter().any(|(_, condition)| condition.is_moving()));
        Self { valid, rows: moving.map(|rows| (rows, Arc::clone(erased))) }
    }

    /// Whether the decision holds at that time, but for its rows.
    pub(super) fn holds(&self, now: DateTime<Utc>) -> bool {
        now.timestamp_nanos_opt().is_some_and(|now| (self.valid.0..=self.valid.1).contains(&now))
    }

    /// The obligations at that time; `None` if they have to be worked out anew.
    pub(super) fn at(&self, obligations: &Obligations, now: DateTime<Utc>) -> Option<Obligations> {
        let Some((rows, erased)) = &self.rows else { return Some(obligations.clone()) };
        let RowsNow { filter, rules, exclusion } = rows.at(erased, now)?;
        let same = filter.has_form_of(&obligations.row_filter)
            && rules == obligations.row_rules
            && exclusion.as_ref().map(|exclusion| &exclusion.column) == obligations.exclusion.as_ref().map(|exclusion| &exclusion.column);
        same.then(|| Obligations {
            row_filter: filter,
            exclusion,
            row_rules: rules,
            masks: obligations.masks.clone(),
            mask_keys: obligations.mask_keys.clone(),
            notices: obligations.notices.clone(),
        })
    }
}
