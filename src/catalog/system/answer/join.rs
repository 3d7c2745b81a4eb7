//! Joins: groups of parts that are joined in the order that looks at the fewest rows, and outer joins.

use std::collections::HashMap;
use std::rc::Rc;

use super::datum::Datum;
use super::eval::Env;
use super::query::nulls;
use super::rows::Table;
use super::run::{Ran, Row, Run};
use super::tree::{Condition, From, FromKind, JoinKind, Node, Part, Side, Source};

/// A relation that is looked up in by a column.
struct Probe<'a> {
    table: Rc<Table>,
    column: usize,
    filters: &'a [Node],
}

impl<'a> Probe<'a> {
    /// A look-up of a relation by a bare column of it.
    fn of(run: &Run, from: &'a From, key: &Node) -> Ran<Option<Self>> {
        let (FromKind::Leaf { source: Source::Relation(relation), filters, lookup: None }, Node::Col { up: 0, at }) = (&from.kind, key)
        else {
            return Ok(None);
        };
        let Some(column) = at.checked_sub(from.start).filter(|column| *column < from.width) else { return Ok(None) };
        Ok(Some(Self { table: run.table(relation)?, column, filters }))
    }

    /// The rows whose column has this value.
    fn rows(&self, run: &Run, value: &Datum, env: &Env<'_>) -> Ran<Vec<Row>> {
        let mut rows = Vec::new();
        for row in self.table.rows(Some((self.column, value))) {
            run.step()?;
            if run.holds(self.filters, &Env { row, ..*env })? {
                rows.push(row.clone());
            }
        }
        Ok(rows)
    }
}

/// A group of parts while it is joined. Its rows are as wide as the group from the start, NULL where a part is not yet joined.
pub(super) struct Group<'a> {
    pub(super) run: &'a Run,
    pub(super) from: &'a From,
    pub(super) prefix: &'a [Datum],
    pub(super) outer: Option<&'a Env<'a>>,
}

/// How far the joining of a group is.
struct Progress<'a> {
    rows: Vec<Row>,
    joined: Vec<bool>,
    /// The conditions that are not yet checked.
    open: Vec<&'a Condition>,
}

impl<'a> Group<'a> {
    /// The rows of the group.
    pub(super) fn rows(&self, parts: &'a [Part], conditions: &'a [Condition]) -> Ran<Vec<Row>> {
        let start = vec![nulls(self.from.width)];
        let mut progress = Progress { rows: start, joined: vec![false; parts.len()], open: conditions.iter().collect() };
        for _ in 0..parts.len() {
            let Some(next) = self.next(parts, &progress)? else { break };
            let Some(part) = parts.get(next) else { break };
            self.join(parts, part, &mut progress)?;
            if let Some(joined) = progress.joined.get_mut(next) {
                *joined = true;
            }
            self.check(parts, &mut progress)?;
            self.run.check_size(&progress.rows)?;
            if progress.rows.is_empty() {
                break;
            }
        }
        Ok(progress.rows)
    }

    fn env<'b>(&'b self, row: &'b [Datum]) -> Env<'b> {
        Env { prefix: self.prefix, base: self.from.start, row, extra: &[], outer: self.outer }
    }

    /// The part to join next: one that an equality ties to those that are joined, before one that nothing does; the smaller first.
    fn next(&self, parts: &[Part], progress: &Progress<'a>) -> Ran<Option<usize>> {
        let mut best: Option<((bool, usize), usize)> = None;
        let first = progress.joined.iter().all(|joined| !joined);
        for (at, part) in parts.iter().enumerate() {
            let ready = !part.lateral || progress.joined.iter().take(at).all(|joined| *joined);
            if progress.joined.get(at) != Some(&false) || !ready {
                continue;
            }
            let tied = first || part.lateral || !self.ties(parts, part, progress).is_empty();
            let cost = (!tied, self.size(&part.from)?);
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, at));
            }
        }
        Ok(best.map(|(_, at)| at))
    }

    /// How many rows a part has, at a guess.
    fn size(&self, from: &From) -> Ran<usize> {
        Ok(match &from.kind {
            FromKind::Leaf { source: Source::Relation(relation), filters, lookup } => {
                let rows = self.run.table(relation)?.len();
                match lookup {
                    Some(_) => rows / 100,
                    None if filters.is_empty() => rows,
                    None => rows / 4,
                }
            }
            FromKind::Leaf { source: Source::Calls(..), .. } => 4,
            FromKind::Unit => 1,
            _ => 100,
        })
    }

    /// The equalities between a part and those that are joined: their side, its side.
    fn ties(&self, parts: &[Part], part: &Part, progress: &Progress<'a>) -> Vec<(&'a Side, &'a Side)> {
        let own = |side: &Side| !side.touched.is_empty() && side.touched.iter().all(|at| within(&part.from, *at));
        let known = |side: &Side| !side.touched.is_empty() && side.touched.iter().all(|at| known_column(parts, &progress.joined, *at));
        let tie = |condition: &'a Condition| {
            let (one, other) = condition.equal.as_ref()?;
            if known(one) && own(other) { Some((one, other)) } else { (known(other) && own(one)).then_some((other, one)) }
        };
        progress.open.iter().copied().filter_map(tie).collect()
    }

    fn join(&self, parts: &'a [Part], part: &'a Part, progress: &mut Progress<'a>) -> Ran<()> {
        let ties = if part.lateral { Vec::new() } else { self.ties(parts, part, progress) };
        let rows = std::mem::take(&mut progress.rows);
        let offset = part.from.start - self.from.start;
        let mut made = Vec::new();
        let mut add = |row: &Row, right: &[Datum]| {
            let mut row = row.clone();
            for (cell, value) in row.iter_mut().skip(offset).zip(right) {
                *cell = value.clone();
            }
            made.push(row);
            if made.len().is_multiple_of(4096) { self.run.check_size(&made) } else { Ok(()) }
        };
        if part.lateral {
            for row in &rows {
                let mut prefix = self.prefix.to_vec();
                prefix.resize(self.from.start, Datum::Null);
                prefix.extend(row.iter().cloned());
                for right in self.run.from(&part.from, &prefix, self.outer)? {
                    self.run.step()?;
                    add(row, &right)?;
                }
            }
            progress.rows = made;
            return Ok(());
        }
        if let Some((theirs, own)) = ties.first()
            && let Some(probe) = Probe::of(self.run, &part.from, &own.node)?.filter(|probe| rows.len() * 4 < probe.table.len())
        {
            for row in &rows {
                let value = self.run.eval(&theirs.node, &self.env(row))?;
                let env = Env { base: part.from.start, ..self.env(&[]) };
                for right in probe.rows(self.run, &value, &env)? {
                    add(row, &right)?;
                }
            }
            progress.rows = made;
            return Ok(());
        }
        let rights = self.run.from(&part.from, self.prefix, self.outer)?;
        let mut index: HashMap<Row, Vec<usize>> = HashMap::new();
        for (at, right) in rights.iter().enumerate() {
            let env = Env { base: part.from.start, ..self.env(right) };
            let key = ties.iter().map(|(_, own)| self.run.eval(&own.node, &env)).collect::<Ran<Row>>()?;
            if !key.iter().any(Datum::is_null) {
                index.entry(key).or_default().push(at);
            }
        }
        for row in &rows {
            let key = ties.iter().map(|(theirs, _)| self.run.eval(&theirs.node, &self.env(row))).collect::<Ran<Row>>()?;
            for right in index.get(&key).into_iter().flatten().filter_map(|at| rights.get(*at)) {
                self.run.step()?;
                add(row, right)?;
            }
        }
        progress.rows = made;
        Ok(())
    }

    /// Checks the conditions whose columns are all there.
    fn check(&self, parts: &[Part], progress: &mut Progress<'a>) -> Ran<()> {
        let joined = progress.joined.clone();
        let all = joined.iter().all(|joined| *joined);
        let ready = |condition: &&Condition| all || condition.touched.iter().all(|at| known_column(parts, &joined, *at));
        let (now, open): (Vec<&Condition>, Vec<&Condition>) = std::mem::take(&mut progress.open).into_iter().partition(ready);
        progress.open = open;
        if now.is_empty() {
            return Ok(());
        }
        let mut kept = Vec::with_capacity(progress.rows.len());
        for row in std::mem::take(&mut progress.rows) {
            self.run.step()?;
            let env = self.env(&row);
            let mut holds = true;
            for condition in &now {
                holds = holds && self.run.eval(&condition.node, &env)?.is_true();
            }
            if holds {
                kept.push(row);
            }
        }
        progress.rows = kept;
        Ok(())
    }
}

fn within(from: &From, at: usize) -> bool {
    (from.start..from.start + from.width).contains(&at)
}

/// Whether a column belongs to a part that is joined.
fn known_column(parts: &[Part], joined: &[bool], at: usize) -> bool {
    parts.iter().zip(joined).any(|(part, joined)| *joined && within(&part.from, at))
}

/// An outer join while it is made.
pub(super) struct Join<'a> {
    pub(super) run: &'a Run,
    pub(super) from: &'a From,
    pub(super) kind: JoinKind,
    pub(super) right: &'a From,
    pub(super) on: &'a [Node],
    pub(super) prefix: &'a [Datum],
    pub(super) outer: Option<&'a Env<'a>>,
}

impl Join<'_> {
    fn env<'b>(&'b self, base: usize, row: &'b [Datum]) -> Env<'b> {
        Env { prefix: self.prefix, base, row, extra: &[], outer: self.outer }
    }

    /// The right side is made anew for each row of the left.
    pub(super) fn laterally(&self, left: &From, lefts: Vec<Row>) -> Ran<Vec<Row>> {
        let mut rows = Vec::new();
        for row in lefts {
            let mut prefix = self.prefix.to_vec();
            prefix.resize(left.start, Datum::Null);
            prefix.extend(row.iter().cloned());
            let rights = self.run.from(self.right, &prefix, self.outer)?;
            let candidates = rights.iter();
            let matched = self.matched(&row, candidates.enumerate(), &mut rows, &mut [])?;
            if !matched && self.kind == JoinKind::Left {
                rows.push(row.into_iter().chain(nulls(self.right.width)).collect());
            }
            self.run.check_size(&rows)?;
        }
        Ok(rows)
    }

    pub(super) fn plainly(&self, left: &From, lefts: Vec<Row>, rights: &[Row], equal: &[(Node, Node)]) -> Ran<Vec<Row>> {
        let mut index: HashMap<Row, Vec<usize>> = HashMap::new();
        if !equal.is_empty() {
            for (at, row) in rights.iter().enumerate() {
                self.run.step()?;
                let env = self.env(self.right.start, row);
                let key = equal.iter().map(|(_, node)| self.run.eval(node, &env)).collect::<Ran<Row>>()?;
                if !key.iter().any(Datum::is_null) {
                    index.entry(key).or_default().push(at);
                }
            }
        }
        let mut rows = Vec::new();
        let mut used = vec![false; if matches!(self.kind, JoinKind::Right | JoinKind::Full) { rights.len() } else { 0 }];
        for row in lefts {
            let matched = if equal.is_empty() {
                self.matched(&row, rights.iter().enumerate(), &mut rows, &mut used)?
            } else {
                let env = self.env(left.start, &row);
                let key = equal.iter().map(|(node, _)| self.run.eval(node, &env)).collect::<Ran<Row>>()?;
                let places = index.get(&key).map_or(&[][..], Vec::as_slice);
                let candidates = places.iter().filter_map(|at| rights.get(*at).map(|right| (*at, right)));
                self.matched(&row, candidates, &mut rows, &mut used)?
            };
            if !matched && matches!(self.kind, JoinKind::Left | JoinKind::Full) {
                rows.push(row.into_iter().chain(nulls(self.right.width)).collect());
            }
            self.run.check_size(&rows)?;
        }
        for (right, _) in rights.iter().zip(&used).filter(|(_, used)| !**used) {
            rows.push(nulls(left.width).into_iter().chain(right.iter().cloned()).collect());
        }
        Ok(rows)
    }

    /// The rows of a left join whose right side is looked up by its own index; `None` if it cannot be, or need not.
    pub(super) fn by_index(&self, left: &From, lefts: &[Row], equal: &[(Node, Node)]) -> Ran<Option<Vec<Row>>> {
        let [(key, value), rest @ ..] = equal else { return Ok(None) };
        let Some(probe) = Probe::of(self.run, self.right, value)?.filter(|probe| rest.is_empty() && lefts.len() * 4 < probe.table.len())
        else {
            return Ok(None);
        };
        if self.kind != JoinKind::Left {
            return Ok(None);
        }
        let mut rows = Vec::new();
        for row in lefts {
            let value = self.run.eval(key, &self.env(left.start, row))?;
            let rights = probe.rows(self.run, &value, &self.env(self.right.start, &[]))?;
            if !self.matched(row, rights.iter().enumerate(), &mut rows, &mut [])? {
                rows.push(row.iter().cloned().chain(nulls(self.right.width)).collect());
            }
        }
        Ok(Some(rows))
    }

    /// Adds the rows that a row of the left makes with those of the right; whether there are any.
    fn matched<'b>(&self, left: &Row, rights: impl Iterator<Item = (usize, &'b Row)>, rows: &mut Vec<Row>, used: &mut [bool]) -> Ran<bool> {
        let mut any = false;
        for (at, right) in rights {
            self.run.step()?;
            let row: Row = left.iter().chain(right).cloned().collect();
            if self.on.is_empty() || self.run.holds(self.on, &self.env(self.from.start, &row))? {
                any = true;
                rows.push(row);
                if let Some(used) = used.get_mut(at) {
                    *used = true;
                }
            }
        }
        Ok(any)
    }
}
