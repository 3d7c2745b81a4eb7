//! Conditions on rows while the clock may still move them, and what they come to at one time.

use chrono::{DateTime, TimeDelta, Utc};

use crate::product::FieldName;

use super::residual::Left;
use super::{CompareOp, Literal, Predicate};

/// A condition on rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// The same at all times.
    Given(Predicate),
    /// The column is no older than that.
    Since(FieldName, TimeDelta),
    /// What is left of rules about records.
    Left(Left),
}

impl Condition {
    /// Whether it is another at another time.
    pub(super) fn is_moving(&self) -> bool {
        match self {
            Self::Given(_) => false,
            Self::Since(..) => true,
            Self::Left(left) => left.is_moving(),
        }
    }

    /// What it is at that time; `None` if that cannot be told.
    pub(super) fn at(&self, now: DateTime<Utc>) -> Option<Predicate> {
        match self {
            Self::Given(predicate) => Some(predicate.clone()),
            Self::Left(left) => left.at(now.timestamp_nanos_opt()?),
            Self::Since(column, age) => {
                // A record is expired when its age is more than the period: one of exactly that age is still visible. A NULL is hidden.
                let oldest = now.checked_sub_signed(*age)?;
                Some(Predicate::Compare { column: column.clone(), op: CompareOp::Ge, value: Literal::Instant(oldest) })
            }
        }
    }
}
