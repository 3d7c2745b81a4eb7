//! Polymorphic types: `anyelement`, `anyarray`, `anycompatible` and their kin, as `enforce_generic_type_consistency` resolves them.

use super::coercion::coercible;
use super::{OPEN, UNKNOWN, array, category, common, element};

/// `"any"`, of which every argument may be another type.
pub(super) const ANY: u32 = 2276;
const ANYELEMENT: u32 = 2283;
const ANYARRAY: u32 = 2277;
const ANYNONARRAY: u32 = 2776;
const ANYENUM: u32 = 3500;
const ANYCOMPATIBLE: u32 = 5077;
const ANYCOMPATIBLEARRAY: u32 = 5078;
const ANYCOMPATIBLENONARRAY: u32 = 5079;
/// `anyrange`, `anymultirange`, `anycompatiblerange`, `anycompatiblemultirange`: of ranges there are no values here.
const RANGES: [u32; 4] = [3831, 4537, 5080, 4538];

/// Whether a declared type stands for several.
pub(super) fn is(oid: u32) -> bool {
    oid == ANY
        || RANGES.contains(&oid)
        || [ANYELEMENT, ANYARRAY, ANYNONARRAY, ANYENUM, ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, ANYCOMPATIBLENONARRAY].contains(&oid)
}

/// The element type of an array as a variadic argument's.
pub(super) fn element_of(declared: u32) -> Option<u32> {
    match declared {
        ANY => Some(ANY),
        ANYARRAY => Some(ANYELEMENT),
        ANYCOMPATIBLEARRAY => Some(ANYCOMPATIBLE),
        declared => element(declared),
    }
}

/// What the polymorphic types of one call stand for.
#[derive(Debug, Default)]
pub(super) struct Bound {
    element: Option<u32>,
    compatible: Option<u32>,
    /// No argument told what `anyelement` is.
    untold: bool,
}

/// What the arguments make of the declared types; `None` if they do not fit together.
pub(super) fn bind(declared: &[u32], types: &[u32]) -> Option<Bound> {
    let (mut of_element, mut of_array, mut compatible) = (None, None, Vec::new());
    let (mut elements, mut compatibles) = (false, false);
    let mut scalar = false;
    for (declared, found) in declared.iter().copied().zip(types.iter().copied()) {
        let same = |slot: &mut Option<u32>| *slot.get_or_insert(found) == found;
        match declared {
            ANYELEMENT | ANYNONARRAY | ANYENUM => {
                elements = true;
                scalar |= declared == ANYNONARRAY;
                if found != UNKNOWN && (!same(&mut of_element) || (declared == ANYENUM && category(found) != 'E')) {
                    return None;
                }
            }
            ANYARRAY => {
                elements = true;
                if found != UNKNOWN && (element(found).is_none() || !same(&mut of_array)) {
                    return None;
                }
            }
            ANYCOMPATIBLE | ANYCOMPATIBLENONARRAY => {
                compatibles = true;
                compatible.push(found);
            }
            ANYCOMPATIBLEARRAY => {
                compatibles = true;
                compatible.push(if found == UNKNOWN { UNKNOWN } else { element(found)? });
            }
            declared if RANGES.contains(&declared) && !matches!(found, UNKNOWN | OPEN) && category(found) != 'R' => return None,
            _ => {}
        }
    }
    if let Some(of_array) = of_array.and_then(element)
        && *of_element.get_or_insert(of_array) != of_array
    {
        return None;
    }
    if scalar && of_element.and_then(element).is_some() {
        return None;
    }
    let chosen = if compatibles { Some(common(&compatible).ok()?) } else { None };
    if chosen.is_some_and(|chosen| !compatible.iter().all(|found| coercible(*found, chosen))) {
        return None;
    }
    Some(Bound { element: of_element, compatible: chosen, untold: elements && of_element.is_none() })
}

impl Bound {
    /// Whether a call of these declared types can be made: all of them stand for something.
    pub(super) fn is_told(&self) -> bool {
        !self.untold
    }

    /// What a declared type is in this call.
    pub(super) fn of(&self, declared: u32) -> u32 {
        let found = match declared {
            ANYELEMENT | ANYNONARRAY | ANYENUM => self.element,
            ANYARRAY => self.element.and_then(array),
            ANYCOMPATIBLE | ANYCOMPATIBLENONARRAY => self.compatible,
            ANYCOMPATIBLEARRAY => self.compatible.and_then(array),
            declared if RANGES.contains(&declared) => None,
            declared => Some(declared),
        };
        found.unwrap_or(OPEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_tell_what_the_types_stand_for() {
        let bound = bind(&[ANYARRAY, ANYELEMENT], &[1007, 23]).unwrap();
        assert_eq!((bound.of(ANYARRAY), bound.of(ANYELEMENT)), (1007, 23));
        let bound = bind(&[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE], &[1007, 1700]).unwrap();
        assert_eq!((bound.of(ANYCOMPATIBLEARRAY), bound.of(ANYCOMPATIBLE)), (1231, 1700));
        assert!(bind(&[ANYARRAY, ANYELEMENT], &[1007, 25]).is_none());
        assert!(bind(&[ANYARRAY], &[23]).is_none());
        assert!(!bind(&[ANYARRAY], &[UNKNOWN]).unwrap().is_told());
    }
}
