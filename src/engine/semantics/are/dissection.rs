//! Takes a match apart by PostgreSQL's rules.
//!
//! An expression prefers the longest or the shortest match, as the first of its parts that prefers anything does; alternatives prefer the
//! longest. So does each part of a match in turn, as far as the parts behind it can match the rest. What the groups have follows from
//! that.

use std::cell::Cell;
use std::ops::{ControlFlow, Range};

use super::super::function::Result;
use super::scan::{Automaton, Steps};
use super::syntax::{Atom, Branch, Group, Parsed, Piece, Prefers, Traits, traits};
use super::{refused, too_complex, written};

/// Bytes that the automata of one expression may take.
const BUILT_MAX: usize = 8 << 20;

/// An expression that is taken apart.
pub(super) struct Dissection {
    whole: Automaton,
    shortest: bool,
    parts: Node,
}

enum Node {
    /// Nothing in it is asked for.
    Plain,
    Group(usize, Box<Node>),
    Sequence(Vec<Step>),
    /// The first one that matches all of the text.
    Choice(Vec<(Automaton, Node)>),
    Repeated(Box<Repeated>),
}

/// A part of a sequence.
struct Step {
    node: Node,
    shortest: bool,
    part: Automaton,
    /// What stands behind it, if anything does.
    rest: Option<Automaton>,
}

/// A part that stands there any number of times, which may be none.
struct Repeated {
    node: Node,
    shortest: bool,
    /// It may stand there once at the most.
    once: bool,
    part: Automaton,
    /// Any number of them.
    rest: Automaton,
    /// The groups in it.
    groups: Range<usize>,
}

/// Where the groups of a match are.
type Groups = [Option<Range<usize>>];

impl Dissection {
    pub(super) fn of(parsed: &Parsed) -> Result<Self> {
        let building = Building { either_case: parsed.either_case, left: Cell::new(BUILT_MAX) };
        Ok(Self {
            whole: building.forwards(&written::of_branches(&parsed.branches))?,
            shortest: traits(&parsed.branches).prefers == Some(Prefers::Shortest),
            parts: building.alternatives(&parsed.branches)?,
        })
    }

    /// The match that begins at a place where one does, and its groups.
    pub(super) fn of_match(&self, text: &str, start: usize, groups: &mut Groups, steps: &Steps) -> Result<Range<usize>> {
        let mut end = None;
        self.whole.places(text, start, text.len(), steps, |at| {
            end = Some(at);
            if self.shortest { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let end = end.ok_or_else(too_complex)?;
        self.parts.dissect(text, start..end, groups, steps)?;
        Ok(start..end)
    }
}

impl Node {
    fn dissect(&self, text: &str, span: Range<usize>, groups: &mut Groups, steps: &Steps) -> Result<()> {
        match self {
            Self::Plain => Ok(()),
            Self::Group(number, within) => {
                within.dissect(text, span.clone(), groups, steps)?;
                if let Some(group) = number.checked_sub(1).and_then(|at| groups.get_mut(at)) {
                    *group = Some(span);
                }
                Ok(())
            }
            Self::Sequence(parts) => {
                let mut start = span.start;
                for step in parts {
                    let end = match &step.rest {
                        Some(rest) => {
                            let reached = Reached::by(rest, text, start..span.end, steps)?;
                            best(&step.part, step.shortest, text, start..span.end, &reached, false, steps)?
                        }
                        None => span.end,
                    };
                    step.node.dissect(text, start..end, groups, steps)?;
                    start = end;
                }
                Ok(())
            }
            Self::Choice(branches) => {
                for (part, node) in branches {
                    if part.spans(text, span.start, span.end, steps)? {
                        return node.dissect(text, span, groups, steps);
                    }
                }
                Err(too_complex())
            }
            Self::Repeated(repeated) => repeated.dissect(text, span, groups, steps),
        }
    }
}

impl Repeated {
    fn dissect(&self, text: &str, span: Range<usize>, groups: &mut Groups, steps: &Steps) -> Result<()> {
        if span.is_empty() || self.once {
            // Of nothing there is one if it can be nothing.
            let there = !span.is_empty() || self.part.spans(text, span.start, span.end, steps)?;
            return if there { self.node.dissect(text, span, groups, steps) } else { Ok(()) };
        }
        let reached = Reached::by(&self.rest, text, span.clone(), steps)?;
        let mut start = span.start;
        while start < span.end {
            let end = best(&self.part, self.shortest, text, start..span.end, &reached, true, steps)?;
            if let Some(within) = groups.get_mut(self.groups.clone()) {
                within.fill(None);
            }
            self.node.dissect(text, start..end, groups, steps)?;
            start = end;
        }
        Ok(())
    }
}

/// From which places of a span on a part matches the rest of it.
struct Reached {
    first: usize,
    places: Vec<bool>,
}

impl Reached {
    fn by(rest: &Automaton, text: &str, span: Range<usize>, steps: &Steps) -> Result<Self> {
        let mut places = vec![false; span.len() + 1];
        rest.places(text, span.end, span.start, steps, |at| {
            if let Some(place) = at.checked_sub(span.start).and_then(|at| places.get_mut(at)) {
                *place = true;
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self { first: span.start, places })
    }

    fn holds(&self, place: usize) -> bool {
        place.checked_sub(self.first).and_then(|at| self.places.get(at)).is_some_and(|found| *found)
    }
}

/// Where a part ends that begins at the span's start, so that what stands behind it matches the rest.
fn best(
    part: &Automaton,
    shortest: bool,
    text: &str,
    span: Range<usize>,
    reached: &Reached,
    of_something: bool,
    steps: &Steps,
) -> Result<usize> {
    let mut end = None;
    part.places(text, span.start, span.end, steps, |at| {
        if reached.holds(at) && !(of_something && at == span.start) {
            end = Some(at);
            if shortest {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    end.ok_or_else(too_complex)
}

struct Building {
    either_case: bool,
    /// Bytes that may still be built.
    left: Cell<usize>,
}

impl Building {
    fn forwards(&self, written: &str) -> Result<Automaton> {
        self.automaton(written, false)
    }

    fn backwards(&self, written: &str) -> Result<Automaton> {
        self.automaton(written, true)
    }

    fn automaton(&self, written: &str, backwards: bool) -> Result<Automaton> {
        let built = Automaton::compile(written, self.either_case, backwards, self.left.get())?;
        let left = self.left.get().checked_sub(built.bytes() + written.len());
        self.left.set(left.ok_or_else(too_complex)?);
        Ok(built)
    }

    fn alternatives(&self, branches: &[Branch]) -> Result<Node> {
        if !traits(branches).captures {
            return Ok(Node::Plain);
        }
        if let [branch] = branches {
            return self.sequence(branch);
        }
        let choice = branches.iter().map(|branch| {
            let part = self.forwards(&written::of_pieces(branch))?;
            Ok((part, self.sequence(branch)?))
        });
        Ok(Node::Choice(choice.collect::<Result<_>>()?))
    }

    /// Parts that prefer the same and have no groups are one part.
    fn sequence(&self, branch: &[Piece]) -> Result<Node> {
        let mut steps = Vec::new();
        let mut run = 0..0;
        let mut known = Traits::default();
        let run_of = |run: &Range<usize>| branch.get(run.clone()).unwrap_or_default();
        for (at, piece) in branch.iter().enumerate() {
            let with = known.beside(piece.traits());
            if !with.is_messy() {
                (run.end, known) = (at + 1, with);
                continue;
            }
            if !run.is_empty() {
                let rest = branch.get(run.end..).unwrap_or_default();
                steps.push(self.step(Node::Plain, known, &written::of_pieces(run_of(&run)), &written::of_pieces(rest))?);
            }
            let rest = branch.get(at + 1..).unwrap_or_default();
            let (node, prefers) = self.piece(piece)?;
            let prefers = Traits { prefers, ..Traits::default() };
            steps.push(self.step(node, prefers, &written::of_pieces([piece]), &written::of_pieces(rest))?);
            (run, known) = (at + 1..at + 1, Traits::default());
        }
        Ok(Node::Sequence(steps))
    }

    fn step(&self, node: Node, of: Traits, part: &str, rest: &str) -> Result<Step> {
        let shortest = of.prefers == Some(Prefers::Shortest);
        let rest = if rest.is_empty() { None } else { Some(self.backwards(rest)?) };
        Ok(Step { node, shortest, part: self.forwards(part)?, rest })
    }

    /// A part that stands by itself, and what it prefers.
    fn piece(&self, piece: &Piece) -> Result<(Node, Option<Prefers>)> {
        let Piece { atom, least, most, prefers } = piece;
        let of_atom = atom.traits();
        let prefers = prefers.or(of_atom.prefers);
        if piece.is_void() || !of_atom.captures {
            return Ok((Node::Plain, prefers));
        }
        if piece.is_once() {
            return Ok((self.atom(atom)?, of_atom.prefers));
        }
        if *least > 0 {
            // Its groups are those of the last one.
            let before = written::of_times(atom, least - 1, most.map(|most| most - 1));
            let of_before = Traits { prefers, ..Traits::default() };
            let before = self.step(Node::Plain, of_before, &before, &written::of_times(atom, 1, Some(1)))?;
            let last = self.step(self.atom(atom)?, of_atom, &written::of_times(atom, 1, Some(1)), "")?;
            return Ok((Node::Sequence(vec![before, last]), prefers));
        }
        if most.is_some_and(|most| most > 1) {
            return Err(refused("groups that stand there between no and several times"));
        }
        let repeated = Repeated {
            node: self.atom(atom)?,
            shortest: of_atom.prefers == Some(Prefers::Shortest),
            once: most.is_some(),
            part: self.forwards(&written::of_times(atom, 1, Some(1)))?,
            rest: self.backwards(&written::of_times(atom, 0, None))?,
            groups: groups_of(atom),
        };
        Ok((Node::Repeated(Box::new(repeated)), prefers))
    }

    fn atom(&self, atom: &Atom) -> Result<Node> {
        let Atom::Group(Group { number, branches }) = atom else { return Ok(Node::Plain) };
        let within = self.alternatives(branches)?;
        Ok(match number {
            Some(number) => Node::Group(*number, Box::new(within)),
            None => within,
        })
    }
}

/// The groups of a part, which are counted one behind another, from zero on.
fn groups_of(atom: &Atom) -> Range<usize> {
    let Atom::Group(Group { number, branches }) = atom else { return 0..0 };
    let own = number.map(|number| number - 1..number);
    let within = branches.iter().flatten().map(|piece| groups_of(&piece.atom)).filter(|found| !found.is_empty());
    own.into_iter().chain(within).reduce(|all, one| all.start.min(one.start)..all.end.max(one.end)).unwrap_or(0..0)
}
