//! What is told from the clock while the clock stays open: its value now, and how it is made, so that it can be told again later.
//!
//! INVARIANT: by any clock, a moment is what the interpreter makes of that clock, and a comparison is what it would have been had the
//! clock been known. What cannot be told again is `None`, and whoever asks decides anew.

use std::sync::Arc;

use super::super::rego::{Builtin, RegoValue as Value, call};
use super::super::{CompareOp, Predicate};
use super::computed::Computed;
use super::cond::Cond;
use super::invert;
use super::term::{Column, NumberStep};
use crate::product::FieldName;

/// A value that is told from the clock.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment {
    value: Value,
    steps: Arc<Vec<ClockStep>>,
}

/// What is done to the clock.
#[derive(Debug, Clone, PartialEq)]
enum ClockStep {
    Number(NumberStep),
    /// A call; the argument that is missing is the moment.
    Call(Builtin, Vec<Option<Value>>),
}

impl ClockStep {
    fn apply(&self, value: Value) -> Option<Value> {
        let value = match self {
            Self::Number(step) => invert::step(step, &value)?,
            Self::Call(builtin, args) => {
                let args: Vec<Value> = args.iter().map(|arg| arg.clone().unwrap_or_else(|| value.clone())).collect();
                call(builtin, &args, None).ok()?
            }
        };
        // A truth would be a condition, and a condition must say for which times it holds.
        (!matches!(value, Value::Undefined | Value::Bool(_))).then_some(value)
    }
}

impl Moment {
    /// The clock itself.
    pub(super) fn now(now_ns: i64) -> Self {
        Self { value: Value::from(now_ns), steps: Arc::default() }
    }

    /// What it is by the clock of the evaluation.
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// With arithmetic; `None` where that fails.
    pub(super) fn with_number(&self, step: NumberStep) -> Option<Self> {
        self.with(ClockStep::Number(step))
    }

    /// As the missing argument of a call; `None` where that fails, is undefined, or is a truth.
    pub(super) fn with_call(&self, builtin: &Builtin, args: Vec<Option<Value>>) -> Option<Self> {
        self.with(ClockStep::Call(builtin.clone(), args))
    }

    fn with(&self, step: ClockStep) -> Option<Self> {
        let value = step.apply(self.value.clone())?;
        let steps = self.steps.iter().cloned().chain([step]).collect();
        Some(Self { value, steps: Arc::new(steps) })
    }

    /// Whether it is made of the clock in the same way, and so the same by any clock.
    pub(super) fn is_made_like(&self, other: &Self) -> bool {
        self.steps == other.steps
    }

    /// What it is by that clock.
    pub(super) fn at(&self, now_ns: i64) -> Option<Value> {
        self.steps.iter().try_fold(Value::from(now_ns), |value, step| step.apply(value))
    }

    /// The arithmetic that it is made by, if it is made by nothing else.
    pub(super) fn arithmetic(&self) -> Option<Vec<NumberStep>> {
        let number = |step: &ClockStep| match step {
            ClockStep::Number(step) => Some(step.clone()),
            ClockStep::Call(..) => None,
        };
        self.steps.iter().map(number).collect()
    }
}

/// What a column is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bound {
    /// Always the same.
    Known(Value),
    /// Told from the clock.
    Moment(Moment),
}

/// A condition that the clock moves.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Moving {
    /// A comparison.
    Bound {
        /// The column, with what is done to it.
        column: Column,
        /// The comparison.
        op: CompareOp,
        /// The bound.
        bound: Bound,
    },
    /// A test that is worked out row by row.
    Computed {
        /// The test.
        test: Computed,
        /// Whether the opposite is meant.
        negated: bool,
    },
}

impl Moving {
    /// A comparison, if it can be made by the clock of the evaluation.
    pub(super) fn compare(column: &Column, op: CompareOp, bound: Bound, now_ns: i64) -> Result<Cond, String> {
        compare(column, op, &bound, now_ns)?;
        Ok(Cond::Moving(Arc::new(Self::Bound { column: column.clone(), op, bound })))
    }

    /// The opposite.
    pub(super) fn not(&self) -> Self {
        match self {
            Self::Bound { column, op, bound } => Self::Bound { column: column.clone(), op: op.negated(), bound: bound.clone() },
            Self::Computed { test, negated } => Self::Computed { test: test.clone(), negated: !negated },
        }
    }

    /// What it is by that clock.
    pub(super) fn at(&self, now_ns: i64) -> Option<Cond> {
        match self {
            Self::Bound { column, op, bound } => compare(column, *op, bound, now_ns).ok(),
            Self::Computed { test, negated } => {
                let test = Cond::leaf(Predicate::Computed(Arc::new(test.at(now_ns)?)));
                Some(if *negated { test.not() } else { test })
            }
        }
    }

    /// Whether it is unknown wherever the column is NULL.
    pub(super) fn is_strict_on(&self, column: &FieldName) -> bool {
        match self {
            Self::Bound { column: own, .. } => own.name == *column,
            Self::Computed { test, .. } => test.is_strict_on(column),
        }
    }

    /// Calls `visit` with every column that it reads.
    pub(super) fn visit_columns<'a>(&'a self, visit: &mut impl FnMut(&'a FieldName)) {
        match self {
            Self::Bound { column, .. } => visit(&column.name),
            Self::Computed { test, .. } => test.columns().iter().for_each(visit),
        }
    }
}

fn compare(column: &Column, op: CompareOp, bound: &Bound, now_ns: i64) -> Result<Cond, String> {
    let untold = || "what is told from the clock cannot be told".to_owned();
    let column = column.at(now_ns).ok_or_else(untold)?;
    match bound {
        Bound::Known(value) => invert::compare(&column, op, value),
        Bound::Moment(moment) => invert::compare(&column, op, &moment.at(now_ns).ok_or_else(untold)?),
    }
}
