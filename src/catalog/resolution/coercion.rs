//! What becomes what by itself: `can_coerce_type` and `select_common_type`.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::catalog::statics;

use super::{OPEN, UNKNOWN, category, element, facts};

/// `record`, which every row is.
const RECORD: u32 = 2249;

/// `int2vector` and `oidvector`.
const VECTORS: [u32; 2] = [22, 30];

/// How far a cast of `pg_cast` goes: by itself, when a value is stored, when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Explicit,
    Assignment,
    Implicit,
}

fn casts() -> &'static HashMap<(u32, u32), Reach> {
    static CASTS: OnceLock<HashMap<(u32, u32), Reach>> = OnceLock::new();
    CASTS.get_or_init(|| {
        let parse = |line: &str| {
            let cells: Vec<&str> = line.split('\t').collect();
            let number = |at: usize| cells.get(at)?.parse::<u32>().ok();
            let reach = match *cells.get(4)? {
                "i" => Reach::Implicit,
                "a" => Reach::Assignment,
                _ => Reach::Explicit,
            };
            Some(((number(1)?, number(2)?), reach))
        };
        statics::lines("pg_cast").filter_map(parse).collect()
    })
}

fn reaches(from: u32, to: u32, least: Reach) -> bool {
    if from == to || from == UNKNOWN || from == OPEN || to == OPEN {
        return true;
    }
    if to == RECORD && category(from) == 'C' {
        return true;
    }
    if let Some(reach) = casts().get(&(from, to)) {
        return *reach >= least;
    }
    match (element(from), element(to)) {
        // No array becomes one of these by its elements: they would take what is meant for arrays.
        (Some(_), Some(_)) if VECTORS.contains(&to) => false,
        (Some(from), Some(to)) => reaches(from, to, least),
        _ => least <= Reach::Assignment && category(to) == 'S' || least == Reach::Explicit && category(from) == 'S',
    }
}

/// Whether a value of the one type is one of the other by itself. Polymorphic types are not looked at.
pub fn coercible(from: u32, to: u32) -> bool {
    reaches(from, to, Reach::Implicit)
}

/// Whether a value of the one type may be stored as one of the other.
pub fn assignable(from: u32, to: u32) -> bool {
    reaches(from, to, Reach::Assignment)
}

/// Whether a value of the one type is one of the other where a cast is written.
pub fn castable(from: u32, to: u32) -> bool {
    reaches(from, to, Reach::Explicit)
}

/// Two types that have none together; the second is of the value at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmatched {
    /// What the values before are.
    pub one: u32,
    /// What this one is.
    pub other: u32,
    /// Which value it is.
    pub at: usize,
}

/// The type that values have together, in their order; text if all of them are unknown.
pub fn common(types: &[u32]) -> Result<u32, Unmatched> {
    let mut chosen = UNKNOWN;
    for (at, next) in types.iter().copied().enumerate() {
        if next == OPEN {
            return Ok(OPEN);
        }
        if next == UNKNOWN || next == chosen {
            continue;
        }
        if chosen == UNKNOWN {
            chosen = next;
        } else if category(chosen) != category(next) {
            return Err(Unmatched { one: chosen, other: next, at });
        } else if !facts(chosen).is_some_and(|facts| facts.preferred) && coercible(chosen, next) && !coercible(next, chosen) {
            chosen = next;
        }
    }
    Ok(if chosen == UNKNOWN { 25 } else { chosen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_becomes_what_pg_cast_says() {
        assert!(coercible(23, 20) && coercible(23, 1700) && coercible(1043, 25) && coercible(UNKNOWN, 1082));
        assert!(!coercible(20, 23) && !coercible(25, 23) && !coercible(16, 23));
        assert!(coercible(1007, 1016) && !coercible(1016, 1007));
        assert!(castable(25, 23) && castable(16, 23) && !castable(23, 1082) && !castable(16, 20) && !castable(1007, 23));
        assert!(assignable(20, 23) && assignable(23, 25) && !assignable(25, 23));
    }

    #[test]
    fn values_have_the_widest_type_of_their_kind() {
        assert_eq!(common(&[23, 1700, 20]), Ok(1700));
        assert_eq!(common(&[UNKNOWN, UNKNOWN]), Ok(25));
        assert_eq!(common(&[UNKNOWN, 1082, 1184]), Ok(1184));
        assert_eq!(common(&[23, UNKNOWN, 16]), Err(Unmatched { one: 23, other: 16, at: 2 }));
        assert_eq!(common(&[23, OPEN, 16]), Ok(OPEN));
    }
}
