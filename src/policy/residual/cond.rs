//! Conditions while they are being built: cheap to share, simplified as they grow, with three-valued logic.
//!
//! INVARIANT: every simplification keeps the value for each row, unknown included; only [`Cond::never_true`] asks for less.

use std::sync::Arc;

use super::super::{CompareOp, Predicate};
use super::moment::Moving;
use crate::product::FieldName;

/// A condition on a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cond {
    /// Always.
    True,
    /// Never.
    False,
    /// Unknown for every row.
    Unknown,
    /// A predicate that is no junction and no negation but of a leaf.
    Leaf(Arc<Predicate>),
    /// A comparison that is a leaf by any one clock.
    Moving(Arc<Moving>),
    /// All; two or more, none of them an `All`.
    All(Arc<Vec<Cond>>),
    /// Any; two or more, none of them an `Any`.
    Any(Arc<Vec<Cond>>),
}

impl Cond {
    /// A predicate without junctions.
    pub(super) fn leaf(predicate: Predicate) -> Self {
        match predicate {
            Predicate::True => Self::True,
            Predicate::False => Self::False,
            Predicate::Unknown => Self::Unknown,
            other => Self::Leaf(Arc::new(other)),
        }
    }

    /// From a constant.
    pub(super) fn known(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }

    /// Both.
    pub(super) fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, other) => other.clone(),
            (one, Self::True) => one.clone(),
            (one, other) if one == other => one.clone(),
            _ => Self::all([self.clone(), other.clone()]),
        }
    }

    /// Either.
    pub(super) fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::True, _) | (_, Self::True) => Self::True,
            (Self::False, other) => other.clone(),
            (one, Self::False) => one.clone(),
            (one, other) if one == other => one.clone(),
            _ => Self::any([self.clone(), other.clone()]),
        }
    }

    /// All of them.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat: Vec<Self> = Vec::new();
        for part in parts {
            match part {
                Self::True => {}
                Self::False => return Self::False,
                Self::All(inner) => inner.iter().for_each(|part| push_new(&mut flat, part.clone())),
                part => push_new(&mut flat, part),
            }
        }
        // What is unknown for a NULL anyway needs no test for it; `x AND (x OR y)` is x.
        let kept: Vec<Self> = flat.iter().filter(|part| !part.is_implied(&flat, true)).cloned().collect();
        single_or(kept, Self::True, Self::All)
    }

    /// Any of them.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat: Vec<Self> = Vec::new();
        for part in parts {
            match part {
                Self::False => {}
                Self::True => return Self::True,
                Self::Any(inner) => inner.iter().for_each(|part| push_new(&mut flat, part.clone())),
                part => push_new(&mut flat, part),
            }
        }
        let kept: Vec<Self> = flat.iter().filter(|part| !part.is_implied(&flat, false)).cloned().collect();
        single_or(kept, Self::False, Self::Any)
    }

    /// The opposite; unknown stays unknown.
    pub(super) fn not(&self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::Leaf(leaf) => Self::leaf(negated(leaf)),
            Self::Moving(moving) => Self::Moving(Arc::new(moving.not())),
            Self::All(parts) => Self::any(parts.iter().map(Self::not)),
            Self::Any(parts) => Self::all(parts.iter().map(Self::not)),
        }
    }

    /// Whether no row can fulfil it, as far as the form tells.
    pub(super) fn never_true(&self) -> bool {
        match self {
            Self::False | Self::Unknown => true,
            Self::True | Self::Leaf(_) | Self::Moving(_) => false,
            Self::All(parts) => {
                let contradicted = |part: &Self| matches!(part, Self::Leaf(_) | Self::Moving(_)) && parts.contains(&part.not());
                parts.iter().any(|part| part.never_true() || contradicted(part))
            }
            Self::Any(parts) => parts.iter().all(Self::never_true),
        }
    }

    /// As a predicate by that clock; `None` if a comparison cannot be told by it.
    pub(super) fn at(&self, now_ns: i64) -> Option<Predicate> {
        if self.is_moving() { self.still(now_ns)?.to_predicate() } else { self.to_predicate() }
    }

    /// Whether the clock has a part in it.
    pub(super) fn is_moving(&self) -> bool {
        match self {
            Self::True | Self::False | Self::Unknown | Self::Leaf(_) => false,
            Self::Moving(_) => true,
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::is_moving),
        }
    }

    /// The same with the clock known.
    fn still(&self, now_ns: i64) -> Option<Self> {
        Some(match self {
            Self::True | Self::False | Self::Unknown | Self::Leaf(_) => self.clone(),
            Self::Moving(moving) => moving.at(now_ns)?,
            Self::All(parts) => Self::all(parts.iter().map(|part| part.still(now_ns)).collect::<Option<Vec<_>>>()?),
            Self::Any(parts) => Self::any(parts.iter().map(|part| part.still(now_ns)).collect::<Option<Vec<_>>>()?),
        })
    }

    /// `None` of a comparison whose clock is not known.
    fn to_predicate(&self) -> Option<Predicate> {
        let all = |parts: &[Self]| parts.iter().map(Self::to_predicate).collect::<Option<Vec<_>>>();
        Some(match self {
            Self::True => Predicate::True,
            Self::False => Predicate::False,
            Self::Unknown => Predicate::Unknown,
            Self::Leaf(leaf) => leaf.as_ref().clone(),
            Self::Moving(_) => return None,
            Self::All(parts) => Predicate::And(all(parts)?),
            Self::Any(parts) => Predicate::Or(all(parts)?),
        })
    }

    /// Calls `visit` with every column that the condition reads.
    pub(super) fn visit_columns<'a>(&'a self, visit: &mut impl FnMut(&'a FieldName)) {
        match self {
            Self::True | Self::False | Self::Unknown => {}
            Self::Leaf(leaf) => leaf.visit_columns(visit),
            Self::Moving(moving) => moving.visit_columns(visit),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.visit_columns(visit)),
        }
    }

    /// Whether the other parts of a conjunction (or disjunction) say the same already.
    fn is_implied(&self, parts: &[Self], conjunction: bool) -> bool {
        let absorbed = |junction: &[Self]| junction.iter().any(|part| parts.contains(part));
        match self {
            Self::Leaf(leaf) => match (leaf.as_ref(), conjunction) {
                (Predicate::Present(column), true) => parts.iter().any(|part| part != self && part.is_strict_on(column)),
                (Predicate::Not(inner), false) => match inner.as_ref() {
                    Predicate::Present(column) => parts.iter().any(|part| part != self && part.is_strict_on(column)),
                    _ => false,
                },
                _ => false,
            },
            Self::Any(inner) if conjunction => absorbed(inner),
            Self::All(inner) if !conjunction => absorbed(inner),
            _ => false,
        }
    }

    /// Whether it is unknown wherever the column is NULL, and is no mere test for that.
    fn is_strict_on(&self, column: &FieldName) -> bool {
        let leaf = match self {
            Self::Leaf(leaf) => leaf,
            Self::Moving(moving) => return moving.is_strict_on(column),
            _ => return false,
        };
        let leaf = match leaf.as_ref() {
            Predicate::Not(inner) => inner.as_ref(),
            leaf => leaf,
        };
        match leaf {
            Predicate::Compare { column: of, .. }
            | Predicate::In { column: of, .. }
            | Predicate::Like { column: of, .. }
            | Predicate::Matches { column: of, .. }
            | Predicate::Folded { column: of, .. }
            | Predicate::Member { column: of, .. } => of == column,
            Predicate::CompareColumns { left, right, .. } => left == column || right == column,
            Predicate::Computed(test) => test.is_strict_on(column),
            Predicate::True
            | Predicate::False
            | Predicate::Unknown
            | Predicate::Present(_)
            | Predicate::IsNull(_)
            | Predicate::And(_)
            | Predicate::Or(_)
            | Predicate::Not(_) => false,
        }
    }
}

fn push_new(parts: &mut Vec<Cond>, part: Cond) {
    if !parts.contains(&part) {
        parts.push(part);
    }
}

fn single_or(mut parts: Vec<Cond>, none: Cond, join: impl FnOnce(Arc<Vec<Cond>>) -> Cond) -> Cond {
    match parts.pop() {
        None => none,
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            join(Arc::new(parts))
        }
    }
}

/// The opposite of a leaf; a comparison stays one, so that files can still be pruned by it.
fn negated(leaf: &Predicate) -> Predicate {
    let flipped = |op: &CompareOp| op.negated();
    match leaf {
        Predicate::Compare { column, op, value } => Predicate::Compare { column: column.clone(), op: flipped(op), value: value.clone() },
        Predicate::CompareColumns { left, op, right } => {
            Predicate::CompareColumns { left: left.clone(), op: flipped(op), right: right.clone() }
        }
        Predicate::Not(inner) => inner.as_ref().clone(),
        other => Predicate::Not(Box::new(other.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Literal;
    use super::*;

    fn leaf(column: &str, op: CompareOp, value: i64) -> Cond {
        Cond::leaf(Predicate::Compare { column: FieldName::parse(column).unwrap(), op, value: Literal::Int(value) })
    }

    fn text(cond: &Cond) -> String {
        cond.to_predicate().unwrap().to_string()
    }

    #[test]
    fn a_negated_comparison_is_a_comparison() {
        assert_eq!(text(&leaf("a", CompareOp::Lt, 1).not()), "a >= ?");
        let both = leaf("a", CompareOp::Lt, 1).and(&leaf("b", CompareOp::Eq, 1));
        assert_eq!(text(&both.not()), "a >= ? OR b <> ?");
        assert_eq!(both.not().not(), both);
    }

    #[test]
    fn junctions_are_flat_and_say_each_thing_once() {
        let (a, b, c) = (leaf("a", CompareOp::Lt, 1), leaf("b", CompareOp::Eq, 1), leaf("c", CompareOp::Eq, 1));
        assert_eq!(text(&a.and(&b).and(&a).and(&c)), "a < ? AND b = ? AND c = ?");
        assert_eq!(a.or(&a.and(&b)), a);
        assert_eq!(a.and(&a.or(&b)), a);
        assert_eq!(a.and(&Cond::False), Cond::False);
        assert_eq!(a.or(&Cond::Unknown).or(&Cond::True), Cond::True);
    }

    #[test]
    fn a_test_for_null_goes_where_the_condition_needs_the_value_anyway() {
        let present = Cond::leaf(Predicate::Present(FieldName::parse("a").unwrap()));
        let a = leaf("a", CompareOp::Lt, 1);
        assert_eq!(present.and(&a), a);
        assert_eq!(present.not().or(&a), a);
        assert_eq!(text(&present.and(&leaf("b", CompareOp::Lt, 1))), "a IS NOT NULL AND b < ?");
    }

    #[test]
    fn what_no_row_can_fulfil_is_known_for_it() {
        let a = leaf("a", CompareOp::Lt, 1);
        assert!(a.and(&Cond::Unknown).never_true());
        assert!(a.and(&a.not()).never_true());
        assert!(!a.or(&Cond::Unknown).never_true());
        assert!(Cond::Unknown.not().never_true());
    }
}
