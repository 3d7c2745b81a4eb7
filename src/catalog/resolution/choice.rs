//! Which of several functions or operators a call means: `func_get_detail`, `func_select_candidate` and `oper`.

use crate::catalog::statics::Routine;

use super::coercion::coercible;
use super::polymorphic::{self, ANY, Bound};
use super::routines::{functions, operators};
use super::{OPEN, UNKNOWN, category, facts, named};

/// One argument of a call.
#[derive(Debug, Clone)]
pub struct Argument {
    /// Its type.
    pub oid: u32,
    /// Its name, if it is given by one.
    pub name: Option<String>,
}

/// What a call means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A function.
    Function {
        /// What each argument becomes; `"any"` where it stays what it is.
        takes: Vec<u32>,
        /// What it answers.
        returns: u32,
        /// `f`, `p`, `a`, `w`.
        kind: char,
    },
    /// A cast that is written as a call of a type's name.
    Cast(u32),
    /// No function takes these.
    Missing,
    /// Several do, and none is the best.
    Ambiguous,
    /// What `anyelement` is cannot be told.
    Undetermined,
    /// Nobody can tell.
    Open,
}

/// What an operator means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// One of `pg_operator`.
    Found {
        /// What its left side becomes.
        left: u32,
        /// What its right side becomes.
        right: u32,
        /// What it answers.
        returns: u32,
    },
    /// None takes these.
    Missing,
    /// Several do, and none is the best.
    Ambiguous,
    /// Nobody can tell.
    Open,
}

/// A function with as many arguments as the call has.
struct Candidate {
    takes: Vec<u32>,
    routine: &'static Routine,
    /// It takes an array of its last arguments.
    gathers: bool,
}

/// The function that a call of this name means.
pub fn function(name: &str, arguments: &[Argument]) -> Choice {
    let known = functions(name);
    let as_cast = || match arguments {
        [_] => named(name).map(Choice::Cast),
        _ => None,
    };
    if known.is_empty() {
        return as_cast().unwrap_or(Choice::Open);
    }
    let types: Vec<u32> = arguments.iter().map(|argument| argument.oid).collect();
    if types.contains(&OPEN) {
        return Choice::Open;
    }
    let mut all: Vec<Candidate> = known.iter().filter_map(|routine| candidate(routine, arguments)).collect();
    // What takes the same arguments one by one comes before what gathers them.
    let single: Vec<Vec<u32>> = all.iter().filter(|candidate| !candidate.gathers).map(|candidate| candidate.takes.clone()).collect();
    all.retain(|candidate| !candidate.gathers || !single.contains(&candidate.takes));
    if let Some(exact) = all.iter().find(|candidate| candidate.takes == types) {
        return chosen(exact, &types);
    }
    if let Some(cast) = as_cast().filter(|cast| plain_cast(&types, cast)) {
        return cast;
    }
    let takes: Vec<&[u32]> = all.iter().map(|candidate| candidate.takes.as_slice()).collect();
    match select(&takes, &types) {
        Selected::One(at) => all.get(at).map_or(Choice::Missing, |candidate| chosen(candidate, &types)),
        Selected::None => as_cast().unwrap_or(Choice::Missing),
        Selected::Several => Choice::Ambiguous,
    }
}

/// Whether a call of a type's name is a cast without a function.
fn plain_cast(types: &[u32], cast: &Choice) -> bool {
    let Choice::Cast(target) = cast else { return false };
    types.first().is_some_and(|found| *found == UNKNOWN || found == target)
}

/// A function as it takes so many arguments, of these names; `None` if it does not.
fn candidate(routine: &'static Routine, arguments: &[Argument]) -> Option<Candidate> {
    if routine.kind == "p" {
        return None;
    }
    if arguments.iter().any(|argument| argument.name.is_some()) {
        return by_name(routine, arguments);
    }
    let count = arguments.len();
    let variadic = routine.modes.iter().any(|mode| mode == "v") && routine.takes.len() <= count;
    if variadic {
        let (last, before) = routine.takes.split_last()?;
        let element = polymorphic::element_of(*last)?;
        let takes = before.iter().copied().chain(std::iter::repeat_n(element, count - before.len())).collect();
        return Some(Candidate { takes, routine, gathers: true });
    }
    let fits = count <= routine.takes.len() && routine.takes.len() - routine.defaults.len() <= count;
    fits.then(|| Candidate { takes: routine.takes.iter().copied().take(count).collect(), routine, gathers: false })
}

fn by_name(routine: &'static Routine, arguments: &[Argument]) -> Option<Candidate> {
    let place = |argument: &Argument, at: usize| match &argument.name {
        None => Some(at),
        Some(name) => routine.names.iter().position(|known| known == name),
    };
    let places: Vec<usize> = arguments.iter().enumerate().map(|(at, argument)| place(argument, at)).collect::<Option<_>>()?;
    let required = routine.takes.len() - routine.defaults.len().min(routine.takes.len());
    let complete = (0..required).all(|at| places.contains(&at));
    let takes = places.iter().map(|at| routine.takes.get(*at).copied()).collect::<Option<Vec<u32>>>()?;
    complete.then_some(Candidate { takes, routine, gathers: false })
}

fn chosen(candidate: &Candidate, types: &[u32]) -> Choice {
    let Some(bound) = polymorphic::bind(&candidate.takes, types) else { return Choice::Missing };
    if !bound.is_told() {
        return Choice::Undetermined;
    }
    let takes = candidate.takes.iter().map(|declared| if *declared == ANY { ANY } else { bound.of(*declared) }).collect();
    let kind = candidate.routine.kind.chars().next().unwrap_or('f');
    Choice::Function { takes, returns: returned(candidate.routine, &bound), kind }
}

fn returned(routine: &Routine, bound: &Bound) -> u32 {
    // `record` may be any row, and a function of several OUT arguments answers one.
    if routine.returns == 2249 { OPEN } else { bound.of(routine.returns) }
}

/// The operator of this name between these; `None` on the left of one that has one side.
pub fn operator(name: &str, left: Option<u32>, right: u32) -> Operator {
    let known = operators(name);
    if left == Some(OPEN) || right == OPEN {
        return Operator::Open;
    }
    let unary = left.is_none();
    let sides: Vec<_> = known.iter().filter(|sides| (sides.left == 0) == unary).collect();
    let types: Vec<u32> = left.into_iter().chain([right]).collect();
    // A constant is taken for what stands beside it.
    let alike = match types.as_slice() {
        [UNKNOWN, other] | [other, UNKNOWN] => vec![*other, *other],
        other => other.to_vec(),
    };
    let takes: Vec<Vec<u32>> = sides.iter().map(|sides| if unary { vec![sides.right] } else { vec![sides.left, sides.right] }).collect();
    let exact = takes.iter().position(|takes| *takes == alike).filter(|_| !alike.contains(&UNKNOWN));
    let views: Vec<&[u32]> = takes.iter().map(Vec::as_slice).collect();
    let at = match exact.map_or_else(|| select(&views, &types), Selected::One) {
        Selected::One(at) => at,
        Selected::None => return Operator::Missing,
        Selected::Several => return Operator::Ambiguous,
    };
    let (Some(sides), Some(takes)) = (sides.get(at), takes.get(at)) else { return Operator::Open };
    let Some(bound) = polymorphic::bind(takes, &types) else { return Operator::Missing };
    if !bound.is_told() {
        return Operator::Open;
    }
    Operator::Found { left: bound.of(sides.left), right: bound.of(sides.right), returns: bound.of(sides.returns) }
}

enum Selected {
    One(usize),
    None,
    Several,
}

/// How well a candidate's declared types fit.
type Score<'a> = dyn Fn(&[u32]) -> usize + 'a;

/// Whether arguments of these types become what is declared, by themselves.
fn takes(declared: &[u32], types: &[u32]) -> bool {
    let pairs = || declared.iter().copied().zip(types.iter().copied());
    pairs().all(|(declared, found)| polymorphic::is(declared) || coercible(found, declared))
        && (!declared.iter().any(|declared| polymorphic::is(*declared)) || polymorphic::bind(declared, types).is_some())
}

fn select(candidates: &[&[u32]], types: &[u32]) -> Selected {
    let mut left: Vec<(usize, &[u32])> = candidates.iter().copied().enumerate().filter(|(_, declared)| takes(declared, types)).collect();
    let known = |at: usize| types.get(at).copied().filter(|found| *found != UNKNOWN);
    let keep_best = |left: &mut Vec<(usize, &[u32])>, score: &dyn Fn(&[u32]) -> usize| {
        let most = left.iter().map(|(_, declared)| score(declared)).max().unwrap_or(0);
        left.retain(|(_, declared)| score(declared) == most);
    };
    let exact = |declared: &[u32]| declared.iter().enumerate().filter(|(at, declared)| known(*at) == Some(**declared)).count();
    let preferred = |declared: &[u32]| {
        let fits = |(at, declared): (usize, &u32)| {
            known(at).is_some_and(|found| {
                found == *declared || (category(found) == category(*declared) && facts(*declared).is_some_and(|facts| facts.preferred))
            })
        };
        declared.iter().enumerate().filter(|pair| fits(*pair)).count()
    };
    let scores: [&Score<'_>; 2] = [&exact, &preferred];
    for score in scores {
        match left.as_slice() {
            [] => return Selected::None,
            [(only, _)] => return Selected::One(*only),
            _ => keep_best(&mut left, score),
        }
    }
    if let [(only, _)] = left.as_slice() {
        return Selected::One(*only);
    }
    if types.iter().all(|found| *found != UNKNOWN) {
        return Selected::Several;
    }
    by_category(&mut left, types);
    if let [(only, _)] = left.as_slice() {
        return Selected::One(*only);
    }
    as_the_known(&left, types)
}

/// Keeps those whose types are of the category that the unknown arguments are taken for: texts, if any of them takes a text.
fn by_category(left: &mut Vec<(usize, &[u32])>, types: &[u32]) {
    let unknown: Vec<usize> = types.iter().enumerate().filter(|(_, found)| **found == UNKNOWN).map(|(at, _)| at).collect();
    let mut slots: Vec<(usize, char, bool)> = Vec::new();
    for at in unknown {
        let mut slot: Option<(char, bool)> = None;
        let mut conflict = false;
        for declared in left.iter().filter_map(|(_, declared)| declared.get(at)) {
            let (found, preferred) = (category(*declared), facts(*declared).is_some_and(|facts| facts.preferred));
            match &mut slot {
                None => slot = Some((found, preferred)),
                Some((category, any)) if *category == found => *any |= preferred,
                Some(slot) if found == 'S' => {
                    *slot = ('S', preferred);
                    conflict = false;
                }
                Some(('S', _)) => {}
                Some(_) => conflict = true,
            }
        }
        match slot {
            Some((category, preferred)) if !conflict => slots.push((at, category, preferred)),
            _ => return,
        }
    }
    let fits = |declared: &[u32]| {
        slots.iter().all(|(at, wanted, preferred)| {
            let found = declared.get(*at).copied().unwrap_or(OPEN);
            category(found) == *wanted && (!preferred || facts(found).is_some_and(|facts| facts.preferred))
        })
    };
    if left.iter().any(|(_, declared)| fits(declared)) {
        left.retain(|(_, declared)| fits(declared));
    }
}

/// If all known arguments are of one type, the unknown ones are taken for it.
fn as_the_known(left: &[(usize, &[u32])], types: &[u32]) -> Selected {
    let mut known = types.iter().copied().filter(|found| *found != UNKNOWN);
    let Some(first) = known.next().filter(|first| known.all(|other| other == *first)) else { return Selected::Several };
    let alike = vec![first; types.len()];
    let mut fitting = left.iter().filter(|(_, declared)| takes(declared, &alike));
    match (fitting.next(), fitting.next()) {
        (Some((only, _)), None) => Selected::One(*only),
        _ => Selected::Several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, types: &[u32]) -> Choice {
        function(name, &types.iter().map(|oid| Argument { oid: *oid, name: None }).collect::<Vec<_>>())
    }

    fn found(name: &str, types: &[u32]) -> (Vec<u32>, u32) {
        match call(name, types) {
            Choice::Function { takes, returns, .. } => (takes, returns),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn a_call_means_the_best_function() {
        assert_eq!(found("round", &[UNKNOWN, UNKNOWN]), (vec![1700, 23], 1700));
        assert_eq!(found("abs", &[UNKNOWN]), (vec![701], 701));
        assert_eq!(found("upper", &[1043]), (vec![25], 25));
        assert_eq!(found("substring", &[UNKNOWN, UNKNOWN, UNKNOWN]), (vec![25, 25, 25], 25));
        assert_eq!(found("date_trunc", &[UNKNOWN, 1082]), (vec![25, 1184], 1184));
        assert_eq!(found("array_append", &[UNKNOWN, 23]), (vec![1007, 23], 1007));
        assert_eq!(found("jsonb_extract_path_text", &[UNKNOWN, UNKNOWN]), (vec![3802, 25], 25));
        assert_eq!(found("sum", &[20]), (vec![20], 1700));
    }

    #[test]
    fn what_is_not_there_is_told_from_what_is_not_clear() {
        assert_eq!(call("upper", &[23]), Choice::Missing);
        assert_eq!(call("count", &[23, 23]), Choice::Missing);
        assert_eq!(call("date_trunc", &[UNKNOWN, UNKNOWN]), Choice::Ambiguous);
        assert_eq!(call("mod", &[UNKNOWN, UNKNOWN]), Choice::Ambiguous);
        assert_eq!(call("unnest", &[UNKNOWN]), Choice::Ambiguous);
        assert_eq!(call("array_length", &[UNKNOWN, 23]), Choice::Undetermined);
        assert_eq!(call("no_such_function", &[23]), Choice::Open);
        assert_eq!(call("text", &[UNKNOWN]), Choice::Cast(25));
    }

    #[test]
    fn an_operator_is_chosen_by_its_sides() {
        let found = |name: &str, left: u32, right: u32| operator(name, Some(left), right);
        assert_eq!(found("+", 23, UNKNOWN), Operator::Found { left: 23, right: 23, returns: 23 });
        assert_eq!(found("=", 1043, UNKNOWN), Operator::Found { left: 25, right: 25, returns: 16 });
        assert_eq!(found("+", UNKNOWN, UNKNOWN), Operator::Ambiguous);
        assert_eq!(found("+", 1082, UNKNOWN), Operator::Ambiguous);
        assert_eq!(found("=", 23, 16), Operator::Missing);
        assert_eq!(found("==", 23, 23), Operator::Missing);
        assert_eq!(found("=", 1007, 1007), Operator::Found { left: 1007, right: 1007, returns: 16 });
        assert_eq!(found("||", 1007, UNKNOWN), Operator::Found { left: 1007, right: 1007, returns: 1007 });
        assert_eq!(operator("-", None, UNKNOWN), Operator::Ambiguous);
        assert_eq!(operator("-", None, 16), Operator::Missing);
    }
}
