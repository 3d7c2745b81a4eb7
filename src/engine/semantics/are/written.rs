//! An expression in the engine's words.

use regex::RegexBuilder;

use super::syntax::{Atom, Branch, Group, Parsed, Piece, Prefers, width};

/// What is written as a group of the engine's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Groups {
    None,
    /// Those of the expression.
    Own,
    /// Those, and alternatives of several lengths, so that the engine tells apart which of them is on its way; classes of letters may be
    /// larger than they are.
    All {
        either_case: bool,
    },
}

impl Parsed {
    /// The whole of it; its groups are the engine's groups.
    pub(in crate::engine::semantics) fn written(&self) -> String {
        let mut out = String::new();
        branches(&self.branches, Groups::Own, &mut out);
        out
    }

    /// The same with its options, for whoever compiles it without.
    pub(in crate::engine::semantics) fn with_options(&self) -> String {
        format!("{}{}", if self.either_case { "(?i)" } else { "" }, self.written())
    }
}

/// Alternatives without their groups.
pub(super) fn of_branches(all: &[Branch]) -> String {
    let mut out = String::new();
    branches(all, Groups::None, &mut out);
    out
}

/// Pieces one behind another, without their groups.
pub(super) fn of_pieces<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> String {
    let mut out = String::new();
    pieces.into_iter().for_each(|one| piece(one, Groups::None, &mut out));
    out
}

/// A part as often as told.
pub(super) fn of_times(atom: &Atom, least: u32, most: Option<u32>) -> String {
    let mut out = String::new();
    of_atom(atom, Groups::None, &mut out);
    times(least, most, &mut out);
    out
}

/// Alternatives of which each is told apart.
pub(super) fn told_apart(all: &[Branch], either_case: bool) -> String {
    let mut out = String::new();
    branches(all, Groups::All { either_case }, &mut out);
    out
}

/// The same of pieces one behind another.
pub(super) fn pieces_apart(pieces: &[Piece], either_case: bool) -> String {
    let mut out = String::new();
    pieces.iter().for_each(|one| piece(one, Groups::All { either_case }, &mut out));
    out
}

fn branches(all: &[Branch], groups: Groups, out: &mut String) {
    let apart = matches!(groups, Groups::All { .. }) && width(all).is_none() && all.len() > 1;
    for (at, branch) in all.iter().enumerate() {
        if at > 0 {
            out.push('|');
        }
        out.push_str(if apart { "(" } else { "" });
        branch.iter().for_each(|one| piece(one, groups, out));
        out.push_str(if apart { ")" } else { "" });
    }
}

fn piece(piece: &Piece, groups: Groups, out: &mut String) {
    of_atom(&piece.atom, groups, out);
    times(piece.least, piece.most, out);
    if piece.prefers == Some(Prefers::Shortest) {
        out.push('?');
    }
}

fn of_atom(atom: &Atom, groups: Groups, out: &mut String) {
    match atom {
        Atom::Letter(letter) => match groups {
            Groups::All { either_case } => out.push_str(&coarse(letter, either_case)),
            Groups::None | Groups::Own => out.push_str(letter),
        },
        Atom::Place(place) => out.push_str(place),
        Atom::Group(Group { number, branches: all }) => {
            out.push_str(if groups != Groups::None && number.is_some() { "(" } else { "(?:" });
            branches(all, groups, out);
            out.push(')');
        }
    }
}

/// The letters of ASCII that a class has, and all others if it may have some: those of all scripts would take too long to look through.
fn coarse(letter: &str, either_case: bool) -> String {
    // A letter that stands for itself, maybe behind a backslash.
    let single = match letter.as_bytes() {
        [letter] => letter.is_ascii_alphanumeric() && !either_case,
        [b'\\', letter] => letter.is_ascii_punctuation(),
        _ => false,
    };
    if single {
        return letter.to_owned();
    }
    let Ok(class) = RegexBuilder::new(letter).case_insensitive(either_case).build() else { return "(?s:.)".to_owned() };
    let ascii = (0..=0x7f_u8).filter(|byte| class.is_match(char::from(*byte).encode_utf8(&mut [0; 4])));
    let members: String = ascii.map(|byte| format!(r"\x{byte:02X}")).collect();
    let others = !letter.is_ascii() || ["^", r"\w", r"\s", r"\p", "(?s:.)"].iter().any(|wide| letter.contains(wide));
    // Among the letters of other scripts are a k and an s.
    let others = others || either_case && ["k", "s"].iter().any(|letter| class.is_match(letter));
    if others { format!(r"[{members}[^\x00-\x7F]]") } else { format!("[{members}]") }
}

fn times(least: u32, most: Option<u32>, out: &mut String) {
    match (least, most) {
        (1, Some(1)) => {}
        (0, None) => out.push('*'),
        (1, None) => out.push('+'),
        (0, Some(1)) => out.push('?'),
        (least, None) => out.push_str(&format!("{{{least},}}")),
        (least, Some(most)) if least == most => out.push_str(&format!("{{{least}}}")),
        (least, Some(most)) => out.push_str(&format!("{{{least},{most}}}")),
    }
}
