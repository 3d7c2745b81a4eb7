//! Runs queries: FROM with its joins, and what stands around SELECT.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::error::DataFusionError;

use crate::catalog::facts::SessionFacts;
use crate::catalog::functions::client;
use crate::catalog::relations::Relation;
use crate::error::{ClientMessage, SqlState};

use super::datum::Datum;
use super::eval::{Env, Kept};
use super::join::{Group, Join};
use super::query::nulls;
use super::rows::Table;
use super::tree::{Body, Cte, From, FromKind, JoinKind, Node, Plan, SetCall, SetKind, SortKey, Source};

/// A row of values.
pub(super) type Row = Vec<Datum>;

/// What running may come to.
pub(super) type Ran<T> = Result<T, DataFusionError>;

/// Rows that one statement may look at; catalogs are small, and joins of all with all are not.
const STEPS_MAX: u64 = 30_000_000;
/// Values that one step of a statement may hold.
const VALUES_MAX: usize = 5_000_000;
/// Bytes of one text, and what a list takes.
pub(super) const VALUE_BYTES_MAX: usize = 16 << 20;
/// Bytes that calls may make within one statement, that one aggregate may take, and that a result may have.
const MADE_BYTES_MAX: usize = 256 << 20;

/// Why a run ends.
pub(super) enum Failure {
    /// A subquery for one value has several rows.
    ManyRows,
    /// It looks at too much.
    TooMuch,
    /// Nobody waits for it any more.
    Abandoned,
}

impl std::convert::From<Failure> for DataFusionError {
    fn from(failure: Failure) -> Self {
        let (state, text) = match failure {
            Failure::ManyRows => (SqlState::CARDINALITY_VIOLATION, "more than one row returned by a subquery used as an expression"),
            Failure::TooMuch => (SqlState::CONFIGURATION_LIMIT_EXCEEDED, "the query looks at too many rows of the catalog"),
            Failure::Abandoned => (SqlState::QUERY_CANCELED, "canceling statement due to user request"),
        };
        client(ClientMessage::new(state, text))
    }
}

/// One run of a statement.
pub(super) struct Run {
    facts: Arc<SessionFacts>,
    pub(super) parameters: Vec<Datum>,
    tables: RefCell<HashMap<u32, Rc<Table>>>,
    functions: RefCell<HashMap<&'static str, Rc<Table>>>,
    ctes: RefCell<HashMap<usize, Rc<Vec<Row>>>>,
    pub(super) subqueries: RefCell<HashMap<usize, Rc<Kept>>>,
    steps: Cell<u64>,
    made: Cell<usize>,
    abandoned: Arc<AtomicBool>,
}

impl Run {
    /// A run with these parameters, which ends soon after `abandoned` is set.
    pub(super) fn new(facts: Arc<SessionFacts>, parameters: Vec<Datum>, abandoned: Arc<AtomicBool>) -> Self {
        Self {
            facts,
            parameters,
            tables: RefCell::default(),
            functions: RefCell::default(),
            ctes: RefCell::default(),
            subqueries: RefCell::default(),
            steps: Cell::new(0),
            made: Cell::new(0),
            abandoned,
        }
    }

    /// Counts what a call has made.
    pub(super) fn made(&self, value: &Datum) -> Ran<()> {
        let bytes = value.bytes();
        self.made.set(self.made.get().saturating_add(bytes));
        if bytes > VALUE_BYTES_MAX || self.made.get() > MADE_BYTES_MAX { Err(Failure::TooMuch.into()) } else { Ok(()) }
    }

    /// Whether these are too many bytes to be put together.
    pub(super) fn fits<'a>(values: impl Iterator<Item = &'a Datum>) -> Ran<()> {
        let bytes = values.fold(0_usize, |bytes, value| bytes.saturating_add(value.bytes()));
        if bytes > MADE_BYTES_MAX { Err(Failure::TooMuch.into()) } else { Ok(()) }
    }

    /// Counts what is looked at.
    pub(super) fn step(&self) -> Ran<()> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps > STEPS_MAX {
            return Err(Failure::TooMuch.into());
        }
        if steps.is_multiple_of(1024) && self.abandoned.load(Ordering::Relaxed) {
            return Err(Failure::Abandoned.into());
        }
        Ok(())
    }

    /// The rows of a query.
    pub(super) fn plan(&self, plan: &Plan, outer: Option<&Env<'_>>) -> Ran<Vec<Row>> {
        for cte in &plan.ctes {
            self.with(cte, outer)?;
        }
        let mut rows = match &plan.body {
            Body::Select(select) => self.select(select, outer, &plan.sort)?,
            body => {
                let mut rows = self.body(body, outer)?;
                sort(&mut rows, &plan.sort);
                rows
            }
        };
        let env = outer.copied().unwrap_or(Env { prefix: &[], base: 0, row: &[], extra: &[], outer: None });
        let count = |node: &Option<Node>| match node {
            Some(node) => Ok::<_, DataFusionError>(self.eval(node, &env)?.as_int()),
            None => Ok(None),
        };
        if let Some(offset) = count(&plan.offset)? {
            let skipped = bounded(offset, "OFFSET")?.min(rows.len());
            rows.drain(..skipped);
        }
        if let Some(limit) = count(&plan.limit)? {
            rows.truncate(bounded(limit, "LIMIT")?);
        }
        let width = plan.columns.len();
        for row in &mut rows {
            row.truncate(width);
        }
        Ok(rows)
    }

    fn with(&self, cte: &Cte, outer: Option<&Env<'_>>) -> Ran<()> {
        let rows = self.plan(&cte.plan, outer)?;
        let Some((step, all)) = &cte.step else {
            self.ctes.borrow_mut().insert(cte.id, Rc::new(rows));
            return Ok(());
        };
        let mut seen: HashSet<Row> = HashSet::new();
        let mut fresh = |rows: Vec<Row>| if *all { rows } else { rows.into_iter().filter(|row| seen.insert(row.clone())).collect() };
        let mut working = fresh(rows);
        let mut found = working.clone();
        while !working.is_empty() {
            self.ctes.borrow_mut().insert(cte.id, Rc::new(working));
            working = fresh(self.plan(step, outer)?);
            found.extend(working.iter().cloned());
            self.check_size(&found)?;
            self.step()?;
        }
        self.ctes.borrow_mut().insert(cte.id, Rc::new(found));
        Ok(())
    }

    pub(super) fn check_size(&self, rows: &[Row]) -> Ran<()> {
        let width = rows.first().map_or(1, Vec::len).max(1);
        if rows.len().saturating_mul(width) > VALUES_MAX { Err(Failure::TooMuch.into()) } else { Ok(()) }
    }

    fn body(&self, body: &Body, outer: Option<&Env<'_>>) -> Ran<Vec<Row>> {
        match body {
            Body::Select(select) => self.select(select, outer, &[]),
            Body::Query(plan) => self.plan(plan, outer),
            Body::Values(rows) => {
                let env = outer.copied().unwrap_or(Env { prefix: &[], base: 0, row: &[], extra: &[], outer: None });
                rows.iter().map(|row| self.all(row, &env)).collect()
            }
            Body::Set { kind, all, left, right } => {
                let (left, right) = (self.plan(left, outer)?, self.plan(right, outer)?);
                let rows = combined(*kind, *all, left, right);
                self.check_size(&rows)?;
                Ok(rows)
            }
        }
    }

    /// The rows of a part of FROM. `prefix` are the columns to its left.
    pub(super) fn from(&self, from: &From, prefix: &[Datum], outer: Option<&Env<'_>>) -> Ran<Vec<Row>> {
        match &from.kind {
            FromKind::Unit => Ok(vec![Vec::new()]),
            FromKind::Leaf { source, filters, lookup } => {
                let env = Env { prefix, base: from.start, row: &[], extra: &[], outer };
                if let Source::Relation(relation) = source {
                    return self.read(relation, lookup.as_ref(), filters, &env);
                }
                let mut rows = self.source(source, from.width, &env)?;
                let mut fault = None;
                rows.retain(|row| match self.step().and_then(|()| self.holds(filters, &Env { row, ..env })) {
                    Ok(holds) => holds,
                    Err(error) => {
                        fault.get_or_insert(error);
                        false
                    }
                });
                fault.map_or(Ok(rows), Err)
            }
            FromKind::Group { parts, conditions } => Group { run: self, from, prefix, outer }.rows(parts, conditions),
            FromKind::Join { kind, left, right, lateral, on, equal } => {
                let join = Join { run: self, from, kind: *kind, right, on, prefix, outer };
                let lefts = self.from(left, prefix, outer)?;
                if *lateral {
                    return join.laterally(left, lefts);
                }
                if lefts.is_empty() && *kind == JoinKind::Left {
                    return Ok(Vec::new());
                }
                if let Some(rows) = join.by_index(left, &lefts, equal)? {
                    return Ok(rows);
                }
                let rights = self.from(right, prefix, outer)?;
                join.plainly(left, lefts, &rights, equal)
            }
        }
    }

    /// The rows of a relation that pass its filters.
    fn read(&self, relation: &'static Relation, lookup: Option<&(usize, Node)>, filters: &[Node], env: &Env<'_>) -> Ran<Vec<Row>> {
        let table = self.table(relation)?;
        let value = match lookup {
            Some((column, node)) => Some((*column, self.eval(node, env)?)),
            None => None,
        };
        let mut rows = Vec::new();
        for row in table.rows(value.as_ref().map(|(column, value)| (*column, value))) {
            self.step()?;
            if self.holds(filters, &Env { row, ..*env })? {
                rows.push(row.clone());
            }
        }
        Ok(rows)
    }

    fn source(&self, source: &Source, width: usize, env: &Env<'_>) -> Ran<Vec<Row>> {
        match source {
            Source::Relation(relation) => self.read(relation, None, &[], env),
            Source::Cte(id) => Ok(self.ctes.borrow().get(id).map(|rows| rows.to_vec()).unwrap_or_default()),
            Source::Query(query) => Ok(self.kept(query, env)?.rows.clone()),
            Source::Calls(calls, ordinality) => self.calls(calls, *ordinality, width, env),
        }
    }

    pub(super) fn table(&self, relation: &'static Relation) -> Ran<Rc<Table>> {
        let known = match relation.kind {
            "f" => self.functions.borrow().get(relation.name).cloned(),
            _ => self.tables.borrow().get(&relation.oid).cloned(),
        };
        if let Some(table) = known {
            return Ok(table);
        }
        let table = Rc::new(Table::read(relation, &self.facts)?);
        match relation.kind {
            "f" => self.functions.borrow_mut().insert(relation.name, Rc::clone(&table)),
            _ => self.tables.borrow_mut().insert(relation.oid, Rc::clone(&table)),
        };
        Ok(table)
    }

    /// The rows of functions side by side; the shorter ones are filled up with NULL.
    pub(super) fn calls(&self, calls: &[SetCall], ordinality: bool, width: usize, env: &Env<'_>) -> Ran<Vec<Row>> {
        let mut sets = Vec::with_capacity(calls.len());
        for call in calls {
            let args = self.all(&call.args, env)?;
            sets.push(((call.produce)(&args)?, call.width));
        }
        let count = sets.iter().map(|(rows, _)| rows.len()).max().unwrap_or(0);
        let mut rows = Vec::with_capacity(count);
        for at in 0..count {
            self.step()?;
            let mut row = Vec::with_capacity(width);
            for (set, width) in &sets {
                match set.get(at) {
                    Some(cells) => row.extend(cells.iter().cloned()),
                    None => row.extend(nulls(*width)),
                }
            }
            if ordinality {
                row.push((at + 1).into());
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

fn bounded(count: i64, what: &str) -> Ran<usize> {
    usize::try_from(count).map_err(|_| {
        let state =
            if what == "LIMIT" { SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE } else { SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE };
        client(ClientMessage::new(state, format!("{what} must not be negative")))
    })
}

/// Sorts by columns; what is equal stays in its order.
pub(super) fn sort(rows: &mut [Row], keys: &[SortKey]) {
    if !keys.is_empty() {
        rows.sort_by(|one, other| compare(one, other, keys));
    }
}

/// The order of two rows by these keys.
pub(super) fn compare(one: &[Datum], other: &[Datum], keys: &[SortKey]) -> std::cmp::Ordering {
    for key in keys {
        let (one, other) = (one.get(key.at).unwrap_or(&Datum::Null), other.get(key.at).unwrap_or(&Datum::Null));
        let order = match (one.is_null(), other.is_null()) {
            (true, true) => std::cmp::Ordering::Equal,
            (true, false) => {
                if key.nulls_first {
                    std::cmp::Ordering::Less
                } else {
                    std::cmp::Ordering::Greater
                }
            }
            (false, true) => {
                if key.nulls_first {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Less
                }
            }
            (false, false) if key.descending => other.cmp(one),
            (false, false) => one.cmp(other),
        };
        if order.is_ne() {
            return order;
        }
    }
    std::cmp::Ordering::Equal
}

fn combined(kind: SetKind, all: bool, left: Vec<Row>, right: Vec<Row>) -> Vec<Row> {
    let mut seen = HashSet::new();
    if kind == SetKind::Union {
        let rows = left.into_iter().chain(right);
        return if all { rows.collect() } else { rows.filter(|row| seen.insert(row.clone())).collect() };
    }
    let mut counts: HashMap<Row, usize> = HashMap::new();
    for row in right {
        *counts.entry(row).or_default() += 1;
    }
    let mut take = |row: &Row| match counts.get_mut(row) {
        Some(count) if *count > 0 => {
            if all {
                *count -= 1;
            }
            true
        }
        _ => false,
    };
    let wanted = kind == SetKind::Intersect;
    left.into_iter().filter(|row| take(row) == wanted && (all || seen.insert(row.clone()))).collect()
}
