//! Rules about single records: evaluates Rego with the record unknown, and leaves a condition on the product's columns.
//!
//! A rule is written as if it were asked about each record: `input.resource.record_created_ns` (the contract's `retention_column`, in
//! nanoseconds since 1970), `input.resource.subject_id` (its `subject_column`) and `input.resource.record.<column>`. It is evaluated
//! once per statement. All else being known, what is left of it is a [`Predicate`], which the scan applies to every row.
//!
//! # What is the same as in the interpreter
//!
//! For a record without NULLs the predicate is true exactly if the interpreter, asked about that record, answers `allow` with true and
//! `deny` with nothing. Numbers, comparisons and functions on known values are the interpreter's own; rules that no record reaches are
//! answered by it. A column is a JSON value: a number, a text (a UUID in any spelling, a day as `2026-01-31`), a truth. A column of days
//! counts each day whole: as a number of nanoseconds it is the day's last. An instant is compared after `time.parse_rfc3339_ns`. Numbers
//! that JSON does not have (NaN and the infinities) hide their row.
//!
//! # What is not, so that nothing opens
//!
//! - **NULL.** The logic has three values. A comparison with a NULL is unknown, and a row for which `allow` and the absence of denials is
//!   not known to be true is hidden, where the interpreter would let a body that is undefined fail, and the denial with it.
//! - **A test for `null`** (`== null`, `!= null`, `is_null`) of `input.resource.record.<column>` is answered. One of `record_created_ns`
//!   or `subject_id` is unknown for a NULL: a row without its date or person is hidden from every rule that looks at it.
//! - **Undefined meets unknown.** A comparison, arithmetic, membership or call that brings something of the record together with
//!   something undefined, such as a period that nobody has entered, is unknown for every row.
//! - **A message** never silences its denial: what is undefined in a `sprintf` of a rule `deny` leaves a gap in the text.
//! - **Failures.** Where a failure hangs on the record (a rule with two different values), its rows are hidden; where it does not, the
//!   read is denied.
//! - **What has no filter** denies, and names rule, file and line: an order of texts in two columns of different types, a function that is
//!   not among those of [`computed`], a column that the product does not have, another type than the column's.
//!
//! A comparison is a bound on a bare column wherever its arithmetic can be undone: files are pruned by it. Where it cannot (`%`, two
//! columns, `trim`), it is worked out row by row with the interpreter's own functions ([`Computed`]).
//!
//! `data.erased_subjects` is a set that is asked and never listed. A person is in it whatever the type of the id.
//!
//! # The clock
//!
//! `time.now_ns()` and `input.context.now_ns` stay open as far as they can: a bound on a column that is told from the clock moves with it
//! ([`Left::at`]), and what is concluded from the clock alone is said to hold from when to when ([`Residual::valid`]). What can be
//! followed in neither way is evaluated with the clock known, and holds for that time only.

mod call;
mod computed;
mod cond;
mod edge;
mod eval;
mod expression;
mod invert;
pub(super) mod ir;
mod moment;
mod operation;
mod record;
mod row;
mod term;

use std::sync::Arc;
use std::time::Duration;

use super::rego::{RegoValue as Value, Session, to_json};
use super::{CompareOp, Literal, Predicate, SubjectSet};
use crate::product::{DataType, FieldName};

use cond::Cond;
use eval::Evaluator;
use ir::{Program, Site};
use term::{Items, Term};

pub use computed::Computed;
pub(super) use edge::{edge_rows, is_visible};
pub(super) use eval::Stop;
pub(super) use record::Record;
pub(super) use row::with_record;
#[cfg(test)]
pub(super) use row::{Cell, Row, holds};
pub(super) use term::Rounding;

/// What stands in a message where it depends on the record.
const GAP: &str = "…";

/// What the rules of one package leave of a decision.
#[derive(Debug, Clone, Default)]
pub(super) struct Residual {
    /// Whether `allow` can be true; `None` if no record reaches it.
    pub(super) allow: Option<bool>,
    /// The elements of `deny` that hold for every record; `None` if no record reaches it.
    pub(super) denials: Option<Vec<serde_json::Value>>,
    /// The rows that may be seen.
    pub(super) filter: Left,
    /// The rules that hide rows, for the audit log.
    pub(super) limits: Vec<Limit>,
    /// From when to when it holds, in nanoseconds since 1970, both included; `None`: at the time of the evaluation only.
    pub(super) valid: Option<(i64, i64)>,
    /// Whether it may hide rows that the interpreter would show, as this module's own rules want it.
    pub(super) stricter: bool,
}

/// A condition that is left of rules. Its bounds may move with the clock.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Left(Cond);

impl Default for Left {
    fn default() -> Self {
        Self(Cond::True)
    }
}

impl Left {
    /// What it is by that clock; `None` if that cannot be told.
    pub(super) fn at(&self, now_ns: i64) -> Option<Predicate> {
        self.0.at(now_ns)
    }

    /// Whether the clock moves it.
    pub(super) fn is_moving(&self) -> bool {
        self.0.is_moving()
    }

    /// The conditions that it is all of; none if it is always true.
    pub(super) fn parts(self) -> Vec<Self> {
        match self.0 {
            Cond::True => Vec::new(),
            Cond::All(parts) => parts.iter().cloned().map(Self).collect(),
            other => vec![Self(other)],
        }
    }
}

/// A rule that hides some rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit {
    /// The rule's own name for itself, or `deny`.
    pub(super) rule: String,
    /// Where it stands.
    pub(super) site: Site,
    /// The rows that it leaves.
    pub(super) leaves: Left,
}

/// What an evaluation goes by.
pub(super) struct RecordQuestion<'a> {
    /// The rules.
    pub(super) program: &'a Program,
    /// The documents under `data`.
    pub(super) data: Value,
    /// The records.
    pub(super) record: Record<'a>,
    /// The erased people.
    pub(super) erased: &'a Arc<SubjectSet>,
    /// The longest that it may take.
    pub(super) limit: Duration,
}

impl RecordQuestion<'_> {
    /// Evaluates `allow` and `deny` of a package as far as a record reaches them, for the input of the session.
    pub(super) fn ask(&self, package: &str, session: &mut Session) -> Result<Residual, Stop> {
        let open = !self.program.clocked.is_empty();
        match self.evaluate(package, session, open) {
            // What can be said of no other time can be said of this one.
            Err(Stop::Untranslatable(..) | Stop::Failed(..) | Stop::Interpreter(_)) if open => {
                self.evaluate(package, session, false).map(|residual| Residual { valid: None, ..residual })
            }
            result => result,
        }
    }

    fn evaluate(&self, package: &str, session: &mut Session, open: bool) -> Result<Residual, Stop> {
        let number = |rule: &str| self.program.by_path.get(&format!("{package}.{rule}")).copied();
        let mut evaluator = Evaluator::new(self.program, session, self.data.clone(), &self.record, self.erased, self.limit, open);
        let mut residual = Residual::default();
        let mut visible = Cond::True;
        if let Some(number) = number("deny") {
            let mut denials = Vec::new();
            for item in evaluator.parts(number)?.iter() {
                let leaves = item.cond.not();
                if leaves.never_true() {
                    denials.push(words(&item.value));
                } else if leaves != Cond::True {
                    visible = visible.and(&leaves);
                    residual.limits.push(Limit { rule: name_of(&item.value), site: item.site, leaves: Left(leaves) });
                }
            }
            residual.denials = Some(denials);
        }
        if let Some(number) = number("allow") {
            let mut allow = Cond::False;
            for item in evaluator.rule(number)?.iter() {
                let truth = operation::equal(&evaluator, &item.value, &Term::Known(Value::from(true)));
                let truth = truth.map_err(|why| Stop::Untranslatable(item.site, why))?;
                allow = allow.or(&item.cond.and(&truth));
            }
            residual.allow = Some(!allow.never_true());
            visible = visible.and(&allow);
        }
        visible = visible.and(&evaluator.faults().not());
        if visible.never_true() && residual.denials.as_ref().is_none_or(Vec::is_empty) {
            residual.allow = Some(false);
        }
        residual.stricter = evaluator.is_stricter();
        residual.valid = evaluator.valid();
        residual.filter = Left(self.with_json_numbers(visible));
        Ok(residual)
    }

    /// NaN and the infinities are no numbers to a rule: their rows are hidden where a rule looks at them.
    fn with_json_numbers(&self, filter: Cond) -> Cond {
        let mut floats: Vec<(FieldName, f64)> = Vec::new();
        filter.visit_columns(&mut |column| {
            let bound = match self.record.data_type(column) {
                Some(DataType::Float64) => f64::MAX,
                Some(DataType::Float32) => f64::from(f32::MAX),
                _ => return,
            };
            if !floats.iter().any(|(known, _)| known == column) {
                floats.push((column.clone(), bound));
            }
        });
        let bounds = floats.into_iter().map(|(column, bound)| {
            // A NULL is for the condition itself to judge.
            let inside = [(CompareOp::Ge, -bound), (CompareOp::Le, bound)]
                .map(|(op, bound)| Cond::leaf(Predicate::Compare { column: column.clone(), op, value: Literal::Float(bound) }));
            Cond::any([Cond::leaf(Predicate::IsNull(column)), Cond::all(inside)])
        });
        Cond::all([filter].into_iter().chain(bounds.collect::<Vec<_>>()))
    }
}

/// A term as the audit log has it, with gaps where it depends on the record.
fn words(term: &Term) -> serde_json::Value {
    match term {
        Term::Known(value) => to_json(value).unwrap_or_else(|_unspeakable| GAP.into()),
        Term::Items(items) => words_of_items(items),
        _ => GAP.into(),
    }
}

fn words_of_items(items: &Items) -> serde_json::Value {
    match items.shape {
        ir::Shape::Array | ir::Shape::Set => items.items.iter().map(|item| words(&item.value)).collect(),
        ir::Shape::Object => {
            let key = |term: &Term| match words(term) {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            serde_json::Value::Object(items.items.iter().map(|item| (key(&item.key), words(&item.value))).collect())
        }
    }
}

/// The name that an element of `deny` gives its rule.
fn name_of(element: &Term) -> String {
    let words = words(element);
    words.get("rule").and_then(serde_json::Value::as_str).filter(|name| *name != GAP).unwrap_or("deny").to_owned()
}

#[cfg(test)]
mod tests;
