//! What one decision lets see that another does not: columns and rows, gained and lost.
//!
//! INVARIANT: fails closed. Whatever cannot be shown to hide at least as much as before counts as wider: a condition that no condition of
//! the new decision is known to imply, a mask that is another one, a condition whose literals are not known.

use std::collections::BTreeMap;
use std::fmt;

use super::{CompareOp, Decision, Literal, Mask, Outcome, Predicate};

/// What a decision lets see of what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Sight {
    /// Nothing.
    None,
    /// These columns and rows.
    Some {
        /// The masks of the columns that were asked for.
        masks: BTreeMap<String, Masking>,
        /// What rows must meet, all of it.
        conditions: Vec<Condition>,
        /// The column by which erased people's rows are hidden.
        exclusion: Option<String>,
    },
}

/// A mask.
#[derive(Debug, Clone, PartialEq)]
pub enum Masking {
    /// As it is enforced.
    Known(Mask),
    /// As it was recorded: without its parameters.
    Named(String),
}

/// A condition on rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// As it is enforced.
    Known(Predicate),
    /// As it was recorded: without its literals.
    Shape(String),
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A statement that was denied is allowed.
    Allowed,
    /// A statement that was allowed is denied.
    Denied,
    /// A column is read as it is.
    MaskRemoved {
        /// The column.
        column: String,
        /// What it was masked by.
        mask: String,
    },
    /// A column is masked.
    MaskAdded {
        /// The column.
        column: String,
        /// What it is masked by.
        mask: String,
    },
    /// A column is masked otherwise.
    MaskChanged {
        /// The column.
        column: String,
        /// What it was masked by.
        from: String,
        /// What it is masked by.
        to: String,
    },
    /// Rows are no longer hidden by a condition, or by one that is not known to hide as much.
    FilterRemoved(String),
    /// A condition remains of which it is not known whether it hides as much.
    FilterUnknown(String),
    /// Rows are hidden by a further condition.
    FilterAdded(String),
    /// Erased people's rows are no longer hidden, or by another column.
    ExclusionRemoved(String),
    /// Erased people's rows are hidden.
    ExclusionAdded(String),
}

impl Sight {
    /// What a decision lets see.
    pub fn of(decision: &Decision) -> Self {
        let Outcome::Allow(obligations) = &decision.outcome else { return Self::None };
        let asked = obligations.masks.iter().filter(|(column, _)| decision.fields.contains(column));
        let conditions = obligations.row_conditions();
        Self::Some {
            masks: asked.map(|(column, mask)| (column.to_string(), Masking::Known(mask.clone()))).collect(),
            conditions: conditions.into_iter().map(|(_, condition)| Condition::Known(condition.clone())).collect(),
            exclusion: obligations.exclusion.as_ref().map(|exclusion| exclusion.column.to_string()),
        }
    }

    /// What changes if `new` is let see in place of this.
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        match (self, new) {
            (Self::None, Self::None) => Vec::new(),
            (Self::None, Self::Some { .. }) => vec![Change::Allowed],
            (Self::Some { .. }, Self::None) => vec![Change::Denied],
            (
                Self::Some { masks, conditions, exclusion },
                Self::Some { masks: new_masks, conditions: new_conditions, exclusion: new_exclusion },
            ) => {
                let mut changes = mask_changes(masks, new_masks);
                changes.extend(condition_changes(conditions, new_conditions));
                if exclusion != new_exclusion {
                    changes.extend(exclusion.clone().map(Change::ExclusionRemoved));
                    changes.extend(new_exclusion.clone().map(Change::ExclusionAdded));
                }
                changes
            }
        }
    }
}

fn mask_changes(old: &BTreeMap<String, Masking>, new: &BTreeMap<String, Masking>) -> Vec<Change> {
    let removed = old.iter().filter_map(|(column, mask)| match new.get(column) {
        None => Some(Change::MaskRemoved { column: column.clone(), mask: mask.name().to_owned() }),
        Some(other) if mask.is_known_to_be(other) => None,
        Some(other) => {
            let (from, to) = (mask.name().to_owned(), other.name().to_owned());
            Some(Change::MaskChanged { column: column.clone(), from, to })
        }
    });
    let added = new.iter().filter(|(column, _)| !old.contains_key(*column));
    let added = added.map(|(column, mask)| Change::MaskAdded { column: column.clone(), mask: mask.name().to_owned() });
    removed.chain(added).collect()
}

impl Masking {
    /// The mask's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(mask) => mask.as_str(),
            Self::Named(name) => name,
        }
    }

    /// Whether both are the same mask, and not only masks of one name.
    fn is_known_to_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Known(one), Self::Known(two)) => one == two,
            (Self::Known(known), Self::Named(name)) | (Self::Named(name), Self::Known(known)) => {
                let parametrized = matches!(known, Mask::Fixed(_) | Mask::Bucket(_) | Mask::HmacSha256(_) | Mask::Expression(_));
                !parametrized && known.as_str() == name
            }
            (Self::Named(_), Self::Named(_)) => false,
        }
    }
}

fn condition_changes(old: &[Condition], new: &[Condition]) -> Vec<Change> {
    if let [Condition::Shape(shape)] = old
        && *shape == whole(new)
    {
        return vec![Change::FilterUnknown(shape.clone())];
    }
    let lost = old.iter().filter_map(|condition| match condition {
        Condition::Known(before) if new.iter().any(|after| after.implies(before)) => None,
        condition => Some(Change::FilterRemoved(condition.shape())),
    });
    let won = new.iter().filter_map(|condition| match condition {
        Condition::Known(after) if old.iter().any(|before| before.implies(after)) => None,
        condition => Some(Change::FilterAdded(condition.shape())),
    });
    lost.chain(won).collect()
}

/// All conditions without their literals, as they are recorded.
fn whole(conditions: &[Condition]) -> String {
    let known = |condition: &Condition| match condition {
        Condition::Known(predicate) => Some(predicate.clone()),
        Condition::Shape(_) => None,
    };
    match (conditions, conditions.iter().map(known).collect::<Option<Vec<_>>>()) {
        ([one], _) => one.shape(),
        (_, Some(all)) => Predicate::And(all).to_string(),
        (_, None) => String::new(),
    }
}

impl Condition {
    /// The condition without its literals.
    pub fn shape(&self) -> String {
        match self {
            Self::Known(condition) => condition.to_string(),
            Self::Shape(shape) => shape.clone(),
        }
    }

    /// Whether every row that meets this is known to meet `other`.
    fn implies(&self, other: &Predicate) -> bool {
        match self {
            Self::Known(condition) => implies(condition, other),
            Self::Shape(_) => false,
        }
    }
}

/// Whether every row for which `a` is true is known to have `b` true. False means: not known.
fn implies(a: &Predicate, b: &Predicate) -> bool {
    match (a, b) {
        (a, b) if a == b => true,
        (Predicate::False, _) | (_, Predicate::True) => true,
        (Predicate::Or(parts), b) => parts.iter().all(|part| implies(part, b)),
        (a, Predicate::And(parts)) => parts.iter().all(|part| implies(a, part)),
        (Predicate::And(parts), b) => parts.iter().any(|part| implies(part, b)),
        (a, Predicate::Or(parts)) => parts.iter().any(|part| implies(a, part)),
        (Predicate::Compare { column, op, value }, Predicate::Compare { column: other, op: other_op, value: other_value }) => {
            column == other && bounds_imply(*op, value, *other_op, other_value)
        }
        (Predicate::Compare { column, op: CompareOp::Eq, value }, Predicate::In { column: other, values }) => {
            column == other && values.contains(value)
        }
        (Predicate::In { column, values }, Predicate::In { column: other, values: others }) => {
            column == other && values.iter().all(|value| others.contains(value))
        }
        (Predicate::In { column, values }, Predicate::Compare { column: other, op, value }) => {
            column == other && values.iter().all(|found| bounds_imply(CompareOp::Eq, found, *op, value))
        }
        _ => false,
    }
}

/// Whether `x a-op a` implies `x b-op b`. A literal may lose digits when it becomes a value of its column, so of two that differ it is
/// known only that the larger one does not become the smaller.
fn bounds_imply(a_op: CompareOp, a: &Literal, b_op: CompareOp, b: &Literal) -> bool {
    use CompareOp as Op;
    use std::cmp::Ordering;
    let Some(order) = compare(a, b) else { return false };
    match (a_op, b_op) {
        (Op::Ge | Op::Gt | Op::Eq, Op::Ge) => order != Ordering::Less,
        (Op::Gt, Op::Gt) => order != Ordering::Less,
        (Op::Le | Op::Lt | Op::Eq, Op::Le) => order != Ordering::Greater,
        (Op::Lt, Op::Lt) => order != Ordering::Greater,
        _ => false,
    }
}

fn compare(a: &Literal, b: &Literal) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Literal::Int(a), Literal::Int(b)) => Some(a.cmp(b)),
        (Literal::Float(a), Literal::Float(b)) => a.partial_cmp(b),
        (Literal::Instant(a), Literal::Instant(b)) => Some(a.cmp(b)),
        (Literal::String(a), Literal::String(b)) if a == b => Some(std::cmp::Ordering::Equal),
        _ => None,
    }
}

impl Change {
    /// Whether more may be seen, or it is not known that it is not.
    pub fn widens(&self) -> bool {
        match self {
            Self::Allowed | Self::MaskRemoved { .. } | Self::FilterRemoved(_) | Self::FilterUnknown(_) | Self::ExclusionRemoved(_) => true,
            Self::Denied | Self::MaskAdded { .. } | Self::FilterAdded(_) | Self::ExclusionAdded(_) => false,
            // NULL tells nothing. A constant tells at most where there is a value, which every other mask tells as well.
            Self::MaskChanged { from, to, .. } => {
                let (null, constant) = (Mask::Null.to_string(), Mask::Redact.to_string());
                *to != null && (*to != constant || *from == null)
            }
        }
    }

    /// Its kind, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::MaskRemoved { .. } => "mask_removed",
            Self::MaskAdded { .. } => "mask_added",
            Self::MaskChanged { .. } => "mask_changed",
            Self::FilterRemoved(_) => "filter_removed",
            Self::FilterUnknown(_) => "filter_unknown",
            Self::FilterAdded(_) => "filter_added",
            Self::ExclusionRemoved(_) => "exclusion_removed",
            Self::ExclusionAdded(_) => "exclusion_added",
        }
    }

    /// The column, if it is about one.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::MaskRemoved { column, .. } | Self::MaskAdded { column, .. } | Self::MaskChanged { column, .. } => Some(column),
            Self::ExclusionRemoved(column) | Self::ExclusionAdded(column) => Some(column),
            Self::Allowed | Self::Denied | Self::FilterRemoved(_) | Self::FilterUnknown(_) | Self::FilterAdded(_) => None,
        }
    }
}

impl fmt::Display for Change {
    /// A sentence without literals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed => f.write_str("denied before, now allowed"),
            Self::Denied => f.write_str("allowed before, now denied"),
            Self::MaskRemoved { column, mask } => write!(f, "column {column}: no longer masked (was {mask})"),
            Self::MaskAdded { column, mask } => write!(f, "column {column}: masked by {mask}"),
            Self::MaskChanged { column, from, to } if from == to => write!(f, "column {column}: masked by {to}, perhaps otherwise"),
            Self::MaskChanged { column, from, to } => write!(f, "column {column}: masked by {to} (was {from})"),
            Self::FilterRemoved(shape) => write!(f, "rows: no longer limited to {shape}"),
            Self::FilterUnknown(shape) => write!(f, "rows: limited to {shape} as before, but perhaps by other values"),
            Self::FilterAdded(shape) => write!(f, "rows: limited to {shape}"),
            Self::ExclusionRemoved(column) => write!(f, "rows: erased subjects of {column} no longer hidden"),
            Self::ExclusionAdded(column) => write!(f, "rows: erased subjects of {column} hidden"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::product::FieldName;

    use super::*;

    fn at_least(column: &str, bound: i64) -> Predicate {
        compared(column, CompareOp::Ge, bound)
    }

    fn compared(column: &str, op: CompareOp, bound: i64) -> Predicate {
        Predicate::Compare { column: FieldName::parse(column).unwrap(), op, value: Literal::Int(bound) }
    }

    fn listed(column: &str, values: &[i64]) -> Predicate {
        Predicate::In { column: FieldName::parse(column).unwrap(), values: values.iter().map(|value| Literal::Int(*value)).collect() }
    }

    fn sight(masks: &[(&str, &str)], conditions: &[Predicate], exclusion: Option<&str>) -> Sight {
        Sight::Some {
            masks: masks.iter().map(|(column, mask)| ((*column).to_owned(), Masking::Known(Mask::parse(mask).unwrap()))).collect(),
            conditions: conditions.iter().cloned().map(Condition::Known).collect(),
            exclusion: exclusion.map(str::to_owned),
        }
    }

    fn told(old: &Sight, new: &Sight) -> Vec<(String, bool)> {
        old.changes(new).iter().map(|change| (change.to_string(), change.widens())).collect()
    }

    #[test]
    fn each_change_is_told_with_its_direction() {
        let (bare, none) = (sight(&[], &[], None), Sight::None);
        let full = sight(&[("email", "redact")], &[at_least("age", 18)], Some("id"));
        assert_eq!(told(&none, &full), [("denied before, now allowed".to_owned(), true)]);
        assert_eq!(told(&full, &none), [("allowed before, now denied".to_owned(), false)]);
        assert!(told(&full, &full).is_empty() && told(&none, &none).is_empty());
        let lost: Vec<bool> = told(&full, &bare).into_iter().map(|(_, widens)| widens).collect();
        assert_eq!(lost, [true, true, true]);
        let won: Vec<bool> = told(&bare, &full).into_iter().map(|(_, widens)| widens).collect();
        assert_eq!(won, [false, false, false]);
        assert_eq!(told(&bare, &full)[1].0, "rows: limited to age >= ?");
    }

    #[test]
    fn only_what_is_known_to_hide_as_much_is_no_gain() {
        let tighter = [
            (at_least("age", 18), at_least("age", 21)),
            (at_least("age", 18), compared("age", CompareOp::Gt, 18)),
            (at_least("age", 18), compared("age", CompareOp::Eq, 18)),
            (listed("age", &[1, 2]), listed("age", &[2])),
            (listed("age", &[1, 2]), compared("age", CompareOp::Eq, 1)),
            (at_least("age", 18), Predicate::And(vec![at_least("size", 1), at_least("age", 30)])),
            (Predicate::Or(vec![at_least("age", 18), at_least("size", 9)]), at_least("age", 18)),
            (at_least("age", 18), Predicate::False),
        ];
        for (old, new) in tighter {
            let changes = sight(&[], std::slice::from_ref(&old), None).changes(&sight(&[], std::slice::from_ref(&new), None));
            assert!(changes.iter().all(|change| !change.widens()), "{old} {new}: {changes:?}");
            assert!(!changes.is_empty(), "{old} {new}");
            let back = sight(&[], std::slice::from_ref(&new), None).changes(&sight(&[], std::slice::from_ref(&old), None));
            assert!(back.iter().any(Change::widens), "{new} {old}: {back:?}");
        }
        let other = sight(&[], &[at_least("size", 18)], None);
        assert!(sight(&[], &[at_least("age", 18)], None).changes(&other).iter().any(Change::widens));
    }

    #[test]
    fn a_condition_without_its_literals_proves_nothing() {
        let shape =
            |text: &str| Sight::Some { masks: BTreeMap::new(), conditions: vec![Condition::Shape(text.to_owned())], exclusion: None };
        let new = sight(&[], &[at_least("age", 18)], None);
        assert_eq!(shape("age >= ?").changes(&new), [Change::FilterUnknown("age >= ?".to_owned())]);
        assert!(shape("size = ?").changes(&new).iter().any(Change::widens));
        let two = sight(&[], &[Predicate::Or(vec![at_least("age", 1), at_least("size", 2)]), at_least("age", 3)], None);
        let recorded = "(age >= ? OR size >= ?) AND age >= ?";
        assert_eq!(shape(recorded).changes(&two), [Change::FilterUnknown(recorded.to_owned())]);
        assert!(new.changes(&shape("age >= ?")).iter().any(Change::widens));
    }

    #[test]
    fn another_mask_is_wider_unless_it_tells_nothing() {
        for (from, to, widens) in [
            ("show-last-4", "replace-with-null", false),
            ("redact", "replace-with-null", false),
            ("show-last-4", "redact", false),
            ("replace-with-null", "redact", true),
            ("redact", "show-last-4", true),
            ("sha-256-global", "mask-alphanum", true),
        ] {
            let changes = sight(&[("a", from)], &[], None).changes(&sight(&[("a", to)], &[], None));
            assert_eq!(changes.len(), 1);
            assert_eq!(changes[0].widens(), widens, "{from} {to}");
        }
    }

    #[test]
    fn a_mask_without_its_parameters_proves_nothing() {
        let sight = |mask: Masking| Sight::Some { masks: [("a".to_owned(), mask)].into(), conditions: Vec::new(), exclusion: None };
        let keyed = |key: &str| sight(Masking::Known(Mask::HmacSha256(key.to_owned())));
        let named = |name: &str| sight(Masking::Named(name.to_owned()));
        let known = |mask: Mask| sight(Masking::Known(mask));
        assert!(keyed("a").changes(&keyed("a")).is_empty());
        for (old, new) in [(keyed("a"), keyed("b")), (named("hmac-sha-256"), keyed("a")), (named("redact"), known(Mask::ShowLast4))] {
            assert!(old.changes(&new).iter().any(Change::widens), "{old:?} {new:?}");
        }
        assert!(named("show-last-4").changes(&known(Mask::ShowLast4)).is_empty());
    }
}
