//! Brings the conditions of several rules together, so that none is evaluated twice.
//!
//! INVARIANT: exactly the rows that fulfil all of the conditions fulfil what is left of them.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{CompareOp, Exclusion, Literal, Predicate, RowRule, SubjectSet};

/// The conditions in parts, each said once: of two bounds on a column the tighter, and the erased people as an exclusion.
pub(super) fn narrow(
    conditions: Vec<(RowRule, Predicate)>,
    mut exclusion: Option<Exclusion>,
    erased: &Arc<SubjectSet>,
) -> (Vec<(RowRule, Predicate)>, Option<Exclusion>) {
    let mut kept: Vec<(RowRule, Predicate)> = Vec::new();
    let mut open: Vec<(RowRule, Predicate)> = conditions;
    open.reverse();
    while let Some((rule, condition)) = open.pop() {
        match condition {
            Predicate::True => {}
            Predicate::And(parts) => open.extend(parts.into_iter().rev().map(|part| (rule.clone(), part))),
            condition if excludes(&condition, &mut exclusion, erased) => {}
            condition => add(&mut kept, rule, condition),
        }
    }
    (kept, exclusion)
}

/// Whether the condition is that the row is no erased person's; then the exclusion sees to it. Both hide a row without a person.
fn excludes(condition: &Predicate, exclusion: &mut Option<Exclusion>, erased: &Arc<SubjectSet>) -> bool {
    let Predicate::Not(inner) = condition else { return false };
    let Predicate::Member { column, set } = inner.as_ref() else { return false };
    if !Arc::ptr_eq(set, erased) {
        return false;
    }
    match exclusion {
        Some(exclusion) => exclusion.column == *column,
        None => {
            *exclusion = Some(Exclusion { column: column.clone(), subjects: Arc::clone(erased) });
            true
        }
    }
}

fn add(kept: &mut Vec<(RowRule, Predicate)>, rule: RowRule, condition: Predicate) {
    if let Some((known_rule, _)) = kept.iter_mut().find(|(_, known)| *known == condition) {
        // What the contract says holds without any rule.
        if rule.rule.starts_with("contract.") {
            *known_rule = rule;
        }
        return;
    }
    for (_, known) in kept.iter_mut() {
        if let Some(tighter) = tighter(known, &condition) {
            if tighter {
                *known = condition;
            }
            return;
        }
    }
    kept.push((rule, condition));
}

/// Whether the second of two bounds of one kind on one column is the tighter; `None` if they are no such two.
fn tighter(known: &Predicate, other: &Predicate) -> Option<bool> {
    let (Predicate::Compare { column, op, value }, Predicate::Compare { column: of, op: other_op, value: other_value }) = (known, other)
    else {
        return None;
    };
    if column != of || op != other_op {
        return None;
    }
    let order = match (value, other_value) {
        (Literal::Instant(value), Literal::Instant(other)) => other.cmp(value),
        (Literal::Int(value), Literal::Int(other)) => other.cmp(value),
        _ => return None,
    };
    match op {
        CompareOp::Ge | CompareOp::Gt => Some(order == Ordering::Greater),
        CompareOp::Le | CompareOp::Lt => Some(order == Ordering::Less),
        CompareOp::Eq | CompareOp::Ne => None,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::product::FieldName;

    fn name(text: &str) -> FieldName {
        FieldName::parse(text).unwrap()
    }

    fn since(seconds: i64) -> Predicate {
        let value = Literal::Instant(DateTime::from_timestamp(seconds, 0).unwrap());
        Predicate::Compare { column: name("created_at"), op: CompareOp::Ge, value }
    }

    fn rule(text: &str) -> RowRule {
        RowRule::named(text)
    }

    #[test]
    fn of_two_bounds_the_tighter_is_left_under_the_first_rule() {
        let set = Arc::new(SubjectSet::default());
        for (first, second) in [(1, 2), (2, 1), (2, 2)] {
            let (kept, _) = narrow(vec![(rule("a"), since(first)), (rule("b"), since(second))], None, &set);
            assert_eq!(kept, [(rule("a"), since(2))]);
        }
        // What the contract says by itself is the contract's.
        let (kept, _) = narrow(vec![(rule("a"), since(2)), (rule("contract.retention"), since(2))], None, &set);
        assert_eq!(kept, [(rule("contract.retention"), since(2))]);
    }

    #[test]
    fn the_erased_are_excluded_once() {
        let set = Arc::new(SubjectSet::new(["1".to_owned()]));
        let not_erased = |column: &str, set: &Arc<SubjectSet>| {
            Predicate::Not(Box::new(Predicate::Member { column: name(column), set: Arc::clone(set) }))
        };
        let both = Predicate::And(vec![since(1), not_erased("id", &set)]);
        let (kept, exclusion) = narrow(vec![(rule("a"), both.clone())], None, &set);
        assert_eq!(kept, [(rule("a"), since(1))]);
        assert_eq!(exclusion.unwrap().column, name("id"));
        let contract = Exclusion { column: name("id"), subjects: Arc::clone(&set) };
        let (kept, exclusion) = narrow(vec![(rule("a"), both)], Some(contract.clone()), &set);
        assert_eq!((kept.len(), exclusion.unwrap().column), (1, name("id")));
        // Another column's people, or another set's, stay a condition.
        let (kept, _) = narrow(vec![(rule("a"), not_erased("other", &set))], Some(contract), &set);
        assert_eq!(kept.len(), 1);
        let (kept, exclusion) = narrow(vec![(rule("a"), not_erased("id", &Arc::new(SubjectSet::default())))], None, &set);
        assert!(kept.len() == 1 && exclusion.is_none());
    }
}
