//! Which expressions the engine answers as PostgreSQL does.
//!
//! The engine takes the first match in the order of its choices: alternatives as they stand, one more time before no more. Where the next
//! letters leave at most one way to go on, there is but one way to match a text, and taking more leads to the longest one.

use regex_automata::dfa::onepass;
use regex_automata::nfa::thompson;

use super::syntax::{Atom, Branch, Group, Parsed, Piece, Prefers};
use super::written;

/// Bytes that may be taken to see whether there is but one way.
const TRIED_MAX: usize = 1 << 18;

pub(super) fn agrees(parsed: &Parsed) -> bool {
    let branches = &parsed.branches;
    if !branches.iter().flatten().all(is_regular) || !orderly(branches) {
        return false;
    }
    match branches.as_slice() {
        [branch] if ends_alike(branch) => true,
        [branch] if ends_with_text(branch) => runs(branch).iter().all(|run| has_one_way(&written::pieces_apart(run, parsed.either_case))),
        branches => has_one_way(&written::told_apart(branches, parsed.either_case)),
    }
}

/// No part of it prefers the shortest, its alternatives are orderly, and groups that stand there several times have all that is in them
/// each time.
fn is_regular(piece: &Piece) -> bool {
    if piece.prefers == Some(Prefers::Shortest) {
        return false;
    }
    let Atom::Group(Group { branches, .. }) = &piece.atom else { return true };
    let several = piece.most.is_none_or(|most| most > 1);
    let whole = |piece: &Piece| piece.least > 0 || !piece.atom.traits().captures;
    if several && (branches.iter().any(can_be_nothing) || !branches.iter().flatten().all(whole)) {
        return false;
    }
    if several && branches.len() > 1 && branches.iter().flatten().any(|piece| piece.atom.traits().captures) {
        return false;
    }
    orderly(branches) && branches.iter().flatten().all(is_regular)
}

/// Only the last of several alternatives may match nothing: an earlier one would be taken before longer ones.
fn orderly(branches: &[Branch]) -> bool {
    !branches.iter().rev().skip(1).any(can_be_nothing)
}

fn can_be_nothing(branch: &Branch) -> bool {
    branch.iter().all(|piece| {
        piece.least == 0
            || match &piece.atom {
                Atom::Letter(_) => false,
                Atom::Place(_) => true,
                Atom::Group(Group { branches, .. }) => branches.iter().any(can_be_nothing),
            }
    })
}

/// Whether letters stand there a given number of times, but for the last ones: then as many as can be are taken in either way.
fn ends_alike(branch: &Branch) -> bool {
    let mut varied = false;
    varies_last(branch, &mut varied)
}

fn varies_last(branch: &Branch, varied: &mut bool) -> bool {
    branch.iter().all(|piece| match &piece.atom {
        Atom::Place(_) => true,
        _ if *varied => false,
        Atom::Letter(_) => {
            *varied = piece.most != Some(piece.least);
            true
        }
        Atom::Group(Group { branches, .. }) => match branches.as_slice() {
            [branch] => piece.is_once() && varies_last(branch, varied),
            _ => false,
        },
    })
}

/// Whether every match ends where the text does.
fn ends_with_text(branch: &Branch) -> bool {
    matches!(branch.last().map(|piece| &piece.atom), Some(Atom::Place("$" | r"\z")))
}

/// The parts of which each is taken as long as can be: groups, and what stands between them.
fn runs(branch: &Branch) -> Vec<&[Piece]> {
    let mut runs = Vec::new();
    let mut rest = branch.as_slice();
    while let Some(at) = rest.iter().position(|piece| piece.traits().captures) {
        runs.extend([rest.get(..at).unwrap_or_default(), rest.get(at..=at).unwrap_or_default()]);
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    runs.push(rest);
    runs
}

fn has_one_way(written: &str) -> bool {
    let mut builder = onepass::Builder::new();
    builder.thompson(thompson::Config::new().nfa_size_limit(Some(TRIED_MAX)));
    builder.configure(onepass::Config::new().size_limit(Some(TRIED_MAX)));
    builder.build(written).is_ok()
}
