//! What an expression is made of, and which length its parts prefer.

/// What flags say of an expression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::engine::semantics) struct Options {
    pub(in crate::engine::semantics) either_case: bool,
    /// Blanks and comments stand for nothing.
    pub(in crate::engine::semantics) spaced: bool,
    /// Every letter stands for itself.
    pub(in crate::engine::semantics) literal: bool,
    /// A point, and what leaves letters out, ends at a line.
    pub(in crate::engine::semantics) within_lines: bool,
    /// `^` and `$` match at the ends of lines.
    pub(in crate::engine::semantics) at_lines: bool,
}

/// An expression that was read.
#[derive(Debug)]
pub(in crate::engine::semantics) struct Parsed {
    pub(super) branches: Vec<Branch>,
    pub(super) groups: usize,
    pub(super) either_case: bool,
}

/// What stands one behind another.
pub(super) type Branch = Vec<Piece>;

/// Whether a part takes as much as it can, or as little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefers {
    Longest,
    Shortest,
}

#[derive(Debug)]
pub(super) struct Piece {
    pub(super) atom: Atom,
    pub(super) least: u32,
    pub(super) most: Option<u32>,
    /// What its quantifier prefers; one that leaves no choice prefers nothing.
    pub(super) prefers: Option<Prefers>,
}

#[derive(Debug)]
pub(super) enum Atom {
    /// One letter of the text, in the engine's words.
    Letter(String),
    /// A place between letters, in the engine's words.
    Place(&'static str),
    Group(Group),
}

#[derive(Debug)]
pub(super) struct Group {
    /// Counted from one; `(?:…)` has none.
    pub(super) number: Option<usize>,
    pub(super) branches: Vec<Branch>,
}

/// What a part is to the parts around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) prefers: Option<Prefers>,
    /// Within it are parts that prefer otherwise.
    pub(super) mixed: bool,
    pub(super) captures: bool,
}

impl Traits {
    /// Of two parts that stand together; the first one's preference is that of both.
    pub(super) fn beside(self, other: Self) -> Self {
        let clash = matches!((self.prefers, other.prefers), (Some(one), Some(two)) if one != two);
        Self {
            prefers: self.prefers.or(other.prefers),
            mixed: self.mixed || other.mixed || clash,
            captures: self.captures || other.captures,
        }
    }

    /// Whether one look at it does not tell what its parts match.
    pub(super) fn is_messy(self) -> bool {
        self.mixed || self.captures
    }
}

impl Piece {
    /// One of it, as often as it stands there.
    pub(super) fn once(atom: Atom) -> Self {
        Self { atom, least: 1, most: Some(1), prefers: None }
    }

    /// It never takes part.
    pub(super) fn is_void(&self) -> bool {
        self.most == Some(0)
    }

    pub(super) fn is_once(&self) -> bool {
        self.least == 1 && self.most == Some(1)
    }

    pub(super) fn traits(&self) -> Traits {
        if self.is_void() {
            return Traits::default();
        }
        Traits { prefers: self.prefers, ..Traits::default() }.beside(self.atom.traits())
    }
}

impl Atom {
    pub(super) fn traits(&self) -> Traits {
        match self {
            Self::Letter(_) | Self::Place(_) => Traits::default(),
            Self::Group(group) => {
                let within = traits(&group.branches);
                Traits { captures: within.captures || group.number.is_some(), ..within }
            }
        }
    }
}

/// Those of alternatives, which together prefer the longest.
pub(super) fn traits(branches: &[Branch]) -> Traits {
    let of_branch = |branch: &Branch| branch.iter().map(Piece::traits).fold(Traits::default(), Traits::beside);
    match branches {
        [branch] => of_branch(branch),
        branches => {
            let longest = Traits { prefers: Some(Prefers::Longest), ..Traits::default() };
            branches.iter().map(of_branch).fold(longest, Traits::beside)
        }
    }
}

/// How many letters alternatives match, if that is known.
pub(super) fn width(branches: &[Branch]) -> Option<u32> {
    let mut widths = branches.iter().map(|branch| branch.iter().try_fold(0_u32, |sum, piece| sum.checked_add(piece.width()?)));
    let first = widths.next()??;
    widths.all(|width| width == Some(first)).then_some(first)
}

impl Piece {
    fn width(&self) -> Option<u32> {
        let times = self.most.filter(|most| *most == self.least)?;
        let one = match &self.atom {
            Atom::Letter(_) => 1,
            Atom::Place(_) => 0,
            Atom::Group(group) => width(&group.branches)?,
        };
        one.checked_mul(times)
    }
}
