//! Runs SELECT: filters, groups, windows, the select list, DISTINCT.

use std::collections::{HashMap, HashSet};

use super::datum::Datum;
use super::eval::Env;
use super::query::nulls;
use super::run::{Ran, Row, Run, compare, sort};
use super::tree::{Aggregate, Extra, Node, Ranking, Select, SetCall, SortKey};

/// A row with what is computed beside it.
struct Staged {
    row: Row,
    extra: Vec<Datum>,
}

impl Run {
    /// The rows of a SELECT, sorted.
    pub(super) fn select(&self, select: &Select, outer: Option<&Env<'_>>, keys: &[SortKey]) -> Ran<Vec<Row>> {
        let mut rows = self.from(&select.from, &[], outer)?;
        if !select.filters.is_empty() {
            let mut kept = Vec::with_capacity(rows.len());
            for row in rows {
                self.step()?;
                if self.holds(&select.filters, &at(&row, &[], outer))? {
                    kept.push(row);
                }
            }
            rows = kept;
        }
        let mut staged = match &select.groups {
            Some(groups) => self.grouped(select, groups, rows, outer)?,
            None => rows.into_iter().map(|row| Staged { row, extra: nulls(select.extras.len()) }).collect(),
        };
        for (place, extra) in select.extras.iter().enumerate() {
            if let Extra::Window { function, partition, order } = extra {
                self.windowed(&mut staged, place, (function, partition, order), outer)?;
            }
        }
        let mut rows = self.projected(select, staged, outer)?;
        sort(&mut rows, keys);
        if let Some(columns) = &select.distinct {
            let mut seen = HashSet::new();
            let key = |row: &Row| columns.iter().filter_map(|at| row.get(*at).cloned()).collect::<Row>();
            rows.retain(|row| seen.insert(key(row)));
        }
        Ok(rows)
    }

    fn grouped(&self, select: &Select, groups: &[Node], rows: Vec<Row>, outer: Option<&Env<'_>>) -> Ran<Vec<Staged>> {
        let mut places: HashMap<Row, usize> = HashMap::new();
        let mut members: Vec<Vec<Row>> = Vec::new();
        for row in rows {
            self.step()?;
            let key = self.all(groups, &at(&row, &[], outer))?;
            let place = *places.entry(key).or_insert_with(|| {
                members.push(Vec::new());
                members.len() - 1
            });
            if let Some(group) = members.get_mut(place) {
                group.push(row);
            }
        }
        // Without GROUP BY there is one group, even of no rows.
        if groups.is_empty() && members.is_empty() {
            members.push(Vec::new());
        }
        let mut staged = Vec::with_capacity(members.len());
        for group in members {
            let mut extra = Vec::with_capacity(select.extras.len());
            for wanted in &select.extras {
                extra.push(match wanted {
                    Extra::Aggregate(aggregate) => self.aggregated(aggregate, group.iter().map(|row| (row.as_slice(), &[][..])), outer)?,
                    _ => Datum::Null,
                });
            }
            let row = group.into_iter().next().unwrap_or_else(|| nulls(select.width));
            let holds = match &select.having {
                Some(having) => self.eval(having, &at(&row, &extra, outer))?.is_true(),
                None => true,
            };
            if holds {
                staged.push(Staged { row, extra });
            }
        }
        Ok(staged)
    }

    fn aggregated<'a>(
        &self,
        aggregate: &Aggregate,
        rows: impl Iterator<Item = (&'a [Datum], &'a [Datum])>,
        outer: Option<&Env<'_>>,
    ) -> Ran<Datum> {
        let mut found: Vec<(Row, Row)> = Vec::new();
        let mut seen = HashSet::new();
        for (row, extra) in rows {
            self.step()?;
            let env = at(row, extra, outer);
            if let Some(filter) = &aggregate.filter
                && !self.eval(filter, &env)?.is_true()
            {
                continue;
            }
            let args = self.all(&aggregate.args, &env)?;
            if (aggregate.skips_nulls && args.iter().any(Datum::is_null)) || (aggregate.distinct && !seen.insert(args.clone())) {
                continue;
            }
            let keys = aggregate.order.iter().map(|(node, _)| self.eval(node, &env)).collect::<Ran<Row>>()?;
            found.push((keys, args));
        }
        let keys: Vec<SortKey> = aggregate.order.iter().map(|(_, key)| *key).collect();
        if !keys.is_empty() {
            found.sort_by(|(one, _), (other, _)| compare(one, other, &keys));
        } else if aggregate.distinct {
            found.sort_by(|(_, one), (_, other)| one.cmp(other));
        }
        Self::fits(found.iter().flat_map(|(_, args)| args))?;
        let value = (aggregate.fold)(found.into_iter().map(|(_, args)| args).collect())?;
        self.made(&value)?;
        Ok(value)
    }

    fn windowed(
        &self,
        staged: &mut [Staged],
        place: usize,
        (function, partition, order): (&Ranking, &[Node], &[(Node, SortKey)]),
        outer: Option<&Env<'_>>,
    ) -> Ran<()> {
        let keys: Vec<SortKey> = order.iter().map(|(_, key)| *key).collect();
        let mut partitions: HashMap<Row, Vec<(Row, usize)>> = HashMap::new();
        let mut names: Vec<Row> = Vec::new();
        for (number, one) in staged.iter().enumerate() {
            let env = at(&one.row, &one.extra, outer);
            let name = self.all(partition, &env)?;
            let key = order.iter().map(|(node, _)| self.eval(node, &env)).collect::<Ran<Row>>()?;
            let members = partitions.entry(name.clone()).or_insert_with(|| {
                names.push(name);
                Vec::new()
            });
            members.push((key, number));
        }
        for name in names {
            let Some(mut members) = partitions.remove(&name) else { continue };
            members.sort_by(|(one, _), (other, _)| compare(one, other, &keys));
            let results = self.ranked(function, &members, &keys, staged, outer)?;
            for ((_, number), result) in members.iter().zip(results) {
                if let Some(cell) = staged.get_mut(*number).and_then(|one| one.extra.get_mut(place)) {
                    *cell = result;
                }
            }
        }
        Ok(())
    }

    /// The values of a window function for the sorted rows of a partition.
    fn ranked(
        &self,
        function: &Ranking,
        members: &[(Row, usize)],
        keys: &[SortKey],
        staged: &[Staged],
        outer: Option<&Env<'_>>,
    ) -> Ran<Vec<Datum>> {
        let mut results = Vec::with_capacity(members.len());
        let (mut rank, mut dense) = (0usize, 0usize);
        for (number, (key, _)) in members.iter().enumerate() {
            let before = number.checked_sub(1).and_then(|before| members.get(before));
            if before.is_none_or(|(before, _)| compare(before, key, keys).is_ne()) {
                rank = number + 1;
                dense += 1;
            }
            results.push(match function {
                Ranking::RowNumber => (number + 1).into(),
                Ranking::Rank => rank.into(),
                Ranking::DenseRank => dense.into(),
                Ranking::Aggregate(aggregate) => {
                    // Without an order every row is a peer of every other; with one, the window ends with the row's peers.
                    let peers = members.iter().take_while(|(other, _)| compare(other, key, keys).is_le());
                    let rows = peers.filter_map(|(_, at)| staged.get(*at)).map(|one| (one.row.as_slice(), one.extra.as_slice()));
                    self.aggregated(aggregate, rows, outer)?
                }
            });
        }
        Ok(results)
    }

    fn projected(&self, select: &Select, staged: Vec<Staged>, outer: Option<&Env<'_>>) -> Ran<Vec<Row>> {
        let sets: Vec<(usize, &SetCall)> = select
            .extras
            .iter()
            .enumerate()
            .filter_map(|(place, extra)| if let Extra::Rows(call) = extra { Some((place, call)) } else { None })
            .collect();
        let mut rows = Vec::with_capacity(staged.len());
        for Staged { row, mut extra } in staged {
            self.step()?;
            if sets.is_empty() {
                rows.push(self.all(&select.items, &at(&row, &extra, outer))?);
                continue;
            }
            let mut found = Vec::with_capacity(sets.len());
            for (place, call) in &sets {
                let args = self.all(&call.args, &at(&row, &extra, outer))?;
                found.push((*place, (call.produce)(&args)?, call.width));
            }
            let count = found.iter().map(|(_, rows, _)| rows.len()).max().unwrap_or(0);
            for number in 0..count {
                self.step()?;
                for (place, set, width) in &found {
                    let value = match set.get(number) {
                        None => Datum::Null,
                        Some(cells) if *width == 1 => cells.first().cloned().unwrap_or(Datum::Null),
                        Some(cells) => Datum::Row(cells.as_slice().into()),
                    };
                    if let Some(cell) = extra.get_mut(*place) {
                        *cell = value;
                    }
                }
                rows.push(self.all(&select.items, &at(&row, &extra, outer))?);
            }
        }
        Ok(rows)
    }
}

/// The names at a row.
fn at<'a>(row: &'a [Datum], extra: &'a [Datum], outer: Option<&'a Env<'a>>) -> Env<'a> {
    Env { prefix: &[], base: 0, row, extra, outer }
}
