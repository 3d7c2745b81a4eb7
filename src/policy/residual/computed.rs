//! Tests of a row that no operator of the engine says: worked out row by row, with the interpreter's own arithmetic and functions.
//!
//! INVARIANT: on a row without NULLs a test says what the interpreter says of the record. With a NULL it is unknown. Where the
//! interpreter would fail, it is unknown too, and [`Test::Fails`] says so: whoever makes a test hides those rows.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::product::mask::Value as Cell;
use crate::product::{DataType, FieldName};

use super::super::rego::{Builtin, RegoValue as Value, call, compare, number, parse_number, rounded};
use super::super::{CompareOp, LetterCase, Predicate};
use super::cond::Cond;
use super::ir::ArithOp;
use super::moment::{Moment, Moving};
use super::row::{DAY_NS, day_text, decimal};
use super::term::{Column, Kind, NumberStep, Rounding, Term};

/// Functions of texts that have a value for all of them, and how many texts they take.
const TOTAL: [(&str, usize); 14] = [
    ("trim", 2),
    ("trim_left", 2),
    ("trim_right", 2),
    ("trim_prefix", 2),
    ("trim_suffix", 2),
    ("trim_space", 1),
    ("strings.reverse", 1),
    ("replace", 3),
    ("lower", 1),
    ("upper", 1),
    ("indexof", 2),
    ("startswith", 2),
    ("endswith", 2),
    ("contains", 2),
];

/// A test of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Computed {
    test: Test,
    columns: Vec<FieldName>,
}

/// What is asked of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// A comparison.
    Compare(Formula, CompareOp, Formula),
    /// Whether the value is one of these.
    Among(Formula, Arc<BTreeSet<Value>>),
    /// Whether the interpreter would fail. Never unknown.
    Fails(Formula),
}

/// A value that is worked out for a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Formula {
    Const(Value),
    /// Told from the clock; none is left in a test that rows are put to.
    Moment(Moment),
    Column(FieldName, Reading),
    Arith(ArithOp, Box<Formula>, Box<Formula>),
    Round(Rounding, Box<Formula>),
    Folded(LetterCase, Box<Formula>),
    Call(Builtin, Vec<Formula>),
}

/// What a column's value is to the interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Integer,
    Number,
    Nanoseconds,
    Text,
    Flag,
    Day,
}

/// What comes out for a row.
enum Found {
    Value(Value),
    Null,
    Undefined,
    Failed,
}

/// A test as a condition.
pub(super) fn condition(test: Test) -> Cond {
    let computed = Computed::new(test);
    if computed.is_moving() {
        Cond::Moving(Arc::new(Moving::Computed { test: computed, negated: false }))
    } else {
        Cond::leaf(Predicate::Computed(Arc::new(computed)))
    }
}

/// What a term is worked out by; `None` if it cannot be.
pub(super) fn formula(term: &Term) -> Option<Formula> {
    match term {
        Term::Known(value) => Some(Formula::Const(value.clone())),
        Term::Moment(moment) => Some(Formula::Moment(moment.clone())),
        Term::Column(column) => Formula::of_column(column),
        Term::Computed(formula) => Some(formula.as_ref().clone()),
        _ => None,
    }
}

/// A comparison that is worked out row by row; `None` if it cannot be.
pub(super) fn compared(left: &Term, op: CompareOp, right: &Term) -> Option<Cond> {
    Some(condition(Test::Compare(formula(left)?, op, formula(right)?)))
}

/// A function that is worked out row by row; `None` if it cannot be, or would fail for every row.
pub(super) fn called(builtin: &Builtin, args: &[Term]) -> Option<Formula> {
    let name = builtin.name();
    if !args.iter().any(Term::is_of_record) {
        return None;
    }
    let args: Vec<Formula> = args.iter().map(formula).collect::<Option<_>>()?;
    let of_texts = TOTAL.iter().any(|(known, _)| *known == name);
    let typed = match (name, args.as_slice()) {
        ("floor" | "ceil" | "round", [number]) => {
            let rounding = match name {
                "floor" => Rounding::Floor,
                "ceil" => Rounding::Ceil,
                _ => Rounding::Round,
            };
            return number.is_number().then(|| Formula::Round(rounding, Box::new(number.clone())));
        }
        ("abs", [number]) => number.is_number(),
        ("to_number", [value]) => value.is_number() || value.is_text(),
        ("substring", [text, from, length]) => text.is_text() && from.is_number() && length.is_number(),
        ("count", [text]) => text.is_text(),
        _ => of_texts && args.iter().all(Formula::is_text),
    };
    typed.then(|| Formula::Call(builtin.clone(), args))
}

/// Whether a function answers with a truth.
pub(super) fn is_test(name: &str) -> bool {
    matches!(name, "startswith" | "endswith" | "contains")
}

impl Reading {
    fn of(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Integer(..) => Self::Integer,
            Kind::Float | Kind::Float32 | Kind::Decimal(..) => Self::Number,
            Kind::Nanoseconds => Self::Nanoseconds,
            Kind::Text => Self::Text,
            Kind::Flag => Self::Flag,
            Kind::Day => Self::Day,
            Kind::Uuid | Kind::Instant | Kind::Untyped | Kind::Opaque => return None,
        })
    }

    fn takes(self, data_type: &DataType) -> bool {
        match self {
            Self::Integer => matches!(data_type, DataType::Int16 | DataType::Int32 | DataType::Int64),
            Self::Number => matches!(data_type, DataType::Float32 | DataType::Float64 | DataType::Decimal { .. }),
            Self::Nanoseconds => matches!(data_type, DataType::Date | DataType::Timestamp | DataType::TimestampTz),
            Self::Text => matches!(data_type, DataType::String | DataType::Varchar(_)),
            Self::Flag => matches!(data_type, DataType::Boolean),
            Self::Day => matches!(data_type, DataType::Date),
        }
    }

    fn value(self, cell: &Cell<'_>) -> Option<Value> {
        Some(match (self, cell) {
            (Self::Integer, Cell::Int(number)) => Value::from(*number),
            (Self::Number, Cell::Float(number)) if number.is_finite() => Value::from(*number),
            (Self::Number, Cell::Decimal(number)) => parse_number(&decimal(number.unscaled, number.scale))?,
            (Self::Nanoseconds, Cell::Timestamp(micros)) => Value::from(micros.checked_mul(1_000)?),
            (Self::Nanoseconds, Cell::Date(day)) => Value::from(i64::from(*day).checked_add(1)?.checked_mul(DAY_NS)?.checked_sub(1)?),
            (Self::Text, Cell::Text(text)) => Value::from(text.as_ref()),
            (Self::Flag, Cell::Bool(flag)) => Value::from(*flag),
            (Self::Day, Cell::Date(day)) => Value::from(day_text(*day)),
            _ => return None,
        })
    }
}

impl Formula {
    /// A column with what is done to it; `None` if its values are nothing to compute with.
    pub(super) fn of_column(column: &Column) -> Option<Self> {
        let base = Self::Column(column.name.clone(), Reading::of(column.kind)?);
        let base = match column.case {
            Some(case) => Self::Folded(case, Box::new(base)),
            None => base,
        };
        let steps = column.steps.iter().enumerate();
        Some(steps.fold(base, |value, (at, step)| {
            let moment = column.moving.iter().find(|(number, _)| *number == at).map(|(_, moment)| Self::Moment(moment.clone()));
            let operand = |constant: &Value| Box::new(moment.clone().unwrap_or_else(|| Self::Const(constant.clone())));
            match step {
                NumberStep::Left(op, constant) => Self::Arith(*op, Box::new(value), operand(constant)),
                NumberStep::Right(constant, op) => Self::Arith(*op, operand(constant), Box::new(value)),
                NumberStep::Round(rounding) => Self::Round(*rounding, Box::new(value)),
            }
        }))
    }

    /// Whether the interpreter may fail on it.
    pub(super) fn can_fail(&self) -> bool {
        match self {
            Self::Const(_) | Self::Moment(_) | Self::Column(..) => false,
            Self::Round(_, inner) => !inner.is_number() || inner.can_fail(),
            Self::Folded(_, inner) => !inner.is_text() || inner.can_fail(),
            Self::Arith(op, left, right) => {
                let divisor = matches!(right.as_ref(), Self::Const(by @ Value::Number(_)) if *by != Value::from(0_i64));
                let defined = match op {
                    ArithOp::Add | ArithOp::Sub | ArithOp::Mul => left.is_number() && right.is_number(),
                    ArithOp::Div => left.is_number() && divisor,
                    ArithOp::Mod => left.is_integer() && right.is_integer() && divisor,
                };
                !defined || left.can_fail() || right.can_fail()
            }
            Self::Call(builtin, args) => {
                let texts = TOTAL.iter().any(|(name, count)| *name == builtin.name() && *count == args.len());
                let total = match (builtin.name(), args.as_slice()) {
                    ("substring", [text, Self::Const(from @ Value::Number(_)), Self::Const(Value::Number(_))]) => {
                        text.is_text() && *from >= Value::from(0_i64)
                    }
                    ("count", [text]) => text.is_text(),
                    ("abs", [number]) => number.is_number(),
                    _ => texts && args.iter().all(Self::is_text),
                };
                !total || args.iter().any(Self::can_fail)
            }
        }
    }

    /// Whether its values are numbers, where it does not fail.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Self::Const(value) => matches!(value, Value::Number(_)),
            Self::Moment(moment) => matches!(moment.value(), Value::Number(_)),
            Self::Column(_, reading) => matches!(reading, Reading::Integer | Reading::Number | Reading::Nanoseconds),
            Self::Arith(..) | Self::Round(..) => true,
            Self::Folded(..) => false,
            Self::Call(builtin, _) => matches!(builtin.name(), "count" | "abs" | "to_number" | "indexof"),
        }
    }

    fn is_integer(&self) -> bool {
        match self {
            Self::Const(Value::Number(number)) => number.is_integer(),
            Self::Column(_, reading) => matches!(reading, Reading::Integer | Reading::Nanoseconds),
            Self::Arith(ArithOp::Add | ArithOp::Sub | ArithOp::Mul, left, right) => left.is_integer() && right.is_integer(),
            Self::Call(builtin, _) => matches!(builtin.name(), "count" | "indexof"),
            _ => false,
        }
    }

    fn is_text(&self) -> bool {
        match self {
            Self::Const(value) => matches!(value, Value::String(_)),
            Self::Moment(moment) => matches!(moment.value(), Value::String(_)),
            Self::Column(_, reading) => matches!(reading, Reading::Text | Reading::Day),
            Self::Call(builtin, _) => {
                let of_text = TOTAL.iter().any(|(name, _)| *name == builtin.name()) || builtin.name() == "substring";
                of_text && !matches!(builtin.name(), "indexof" | "startswith" | "endswith" | "contains")
            }
            Self::Folded(..) => true,
            Self::Arith(..) | Self::Round(..) => false,
        }
    }

    fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        match self {
            Self::Const(_) | Self::Moment(_) | Self::Column(..) => {}
            Self::Arith(_, left, right) => {
                left.visit(visit);
                right.visit(visit);
            }
            Self::Round(_, inner) | Self::Folded(_, inner) => inner.visit(visit),
            Self::Call(_, args) => args.iter().for_each(|arg| arg.visit(visit)),
        }
    }

    fn at(&self, now_ns: i64) -> Option<Self> {
        let boxed = |inner: &Self| inner.at(now_ns).map(Box::new);
        Some(match self {
            Self::Const(_) | Self::Column(..) => self.clone(),
            Self::Moment(moment) => Self::Const(moment.at(now_ns)?),
            Self::Arith(op, left, right) => Self::Arith(*op, boxed(left)?, boxed(right)?),
            Self::Round(rounding, inner) => Self::Round(*rounding, boxed(inner)?),
            Self::Folded(case, inner) => Self::Folded(*case, boxed(inner)?),
            Self::Call(builtin, args) => Self::Call(builtin.clone(), args.iter().map(|arg| arg.at(now_ns)).collect::<Option<_>>()?),
        })
    }

    fn find<'c>(&self, row: &dyn Fn(&FieldName) -> Cell<'c>) -> Found {
        match self {
            Self::Const(value) => Found::Value(value.clone()),
            Self::Moment(_) => Found::Failed,
            Self::Column(name, reading) => match row(name) {
                Cell::Null => Found::Null,
                cell => reading.value(&cell).map_or(Found::Failed, Found::Value),
            },
            Self::Arith(op, left, right) => match (left.find(row), right.find(row)) {
                (Found::Value(left), Found::Value(right)) => number(*op, &left, &right).map_or(Found::Failed, Found::Value),
                (left, right) => left.worse(right),
            },
            Self::Round(rounding, inner) => match inner.find(row) {
                Found::Value(value) => rounded(*rounding, &value).map_or(Found::Failed, Found::Value),
                other => other,
            },
            Self::Folded(case, inner) => match (inner.find(row), case) {
                (Found::Value(Value::String(text)), LetterCase::Lower) => Found::Value(Value::from(text.to_lowercase())),
                (Found::Value(Value::String(text)), LetterCase::Upper) => Found::Value(Value::from(text.to_uppercase())),
                (Found::Value(_), _) => Found::Failed,
                (other, _) => other,
            },
            Self::Call(builtin, args) => {
                let mut values = Vec::with_capacity(args.len());
                for arg in args {
                    match arg.find(row) {
                        Found::Value(value) => values.push(value),
                        other => return other,
                    }
                }
                match call(builtin, &values, None) {
                    Ok(Value::Undefined) => Found::Undefined,
                    Ok(value) => Found::Value(value),
                    Err(_) => Found::Failed,
                }
            }
        }
    }
}

impl Found {
    /// Of two that are not both values, what the whole is.
    fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Null, _) | (_, Self::Null) => Self::Null,
            _ => Self::Undefined,
        }
    }

    fn value(self) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Null | Self::Undefined | Self::Failed => None,
        }
    }
}

impl Computed {
    /// A test, with the columns that it reads.
    pub(super) fn new(test: Test) -> Self {
        let mut columns: Vec<FieldName> = Vec::new();
        test.visit(&mut |formula| {
            if let Formula::Column(name, _) = formula
                && !columns.contains(name)
            {
                columns.push(name.clone());
            }
        });
        Self { test, columns }
    }

    /// The columns that it reads.
    pub fn columns(&self) -> &[FieldName] {
        &self.columns
    }

    /// Whether a column of that type can be read by it.
    pub fn takes(&self, column: &FieldName, data_type: &DataType) -> bool {
        let mut takes = true;
        self.test.visit(&mut |formula| {
            if let Formula::Column(name, reading) = formula {
                takes &= name != column || reading.takes(data_type);
            }
        });
        takes
    }

    /// Whether a row passes; `None` if that is unknown.
    pub fn holds<'c>(&self, row: &dyn Fn(&FieldName) -> Cell<'c>) -> Option<bool> {
        match &self.test {
            Test::Compare(left, op, right) => Some(compare(*op, &left.find(row).value()?, &right.find(row).value()?)),
            Test::Among(formula, values) => Some(values.contains(&formula.find(row).value()?)),
            Test::Fails(formula) => Some(matches!(formula.find(row), Found::Failed)),
        }
    }

    /// Whether it is the same but for constants.
    pub(in super::super) fn has_form_of(&self, other: &Self) -> bool {
        self.columns == other.columns && std::mem::discriminant(&self.test) == std::mem::discriminant(&other.test)
    }

    /// Whether it is unknown for a row in which that column is NULL.
    pub(super) fn is_strict_on(&self, column: &FieldName) -> bool {
        !matches!(self.test, Test::Fails(_)) && self.columns.contains(column)
    }

    /// Whether the clock has a part in it.
    pub(super) fn is_moving(&self) -> bool {
        let mut moving = false;
        self.test.visit(&mut |formula| moving |= matches!(formula, Formula::Moment(_)));
        moving
    }

    /// The same with the clock known.
    pub(super) fn at(&self, now_ns: i64) -> Option<Self> {
        let test = match &self.test {
            Test::Compare(left, op, right) => Test::Compare(left.at(now_ns)?, *op, right.at(now_ns)?),
            Test::Among(formula, values) => Test::Among(formula.at(now_ns)?, Arc::clone(values)),
            Test::Fails(formula) => Test::Fails(formula.at(now_ns)?),
        };
        Some(Self { test, columns: self.columns.clone() })
    }
}

impl Test {
    fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a Formula)) {
        match self {
            Self::Compare(left, _, right) => {
                left.visit(visit);
                right.visit(visit);
            }
            Self::Among(formula, _) | Self::Fails(formula) => formula.visit(visit),
        }
    }
}

impl fmt::Display for Computed {
    /// The columns that it is worked out from, and no constant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("computed(")?;
        for (at, column) in self.columns.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{column}")?;
        }
        f.write_str(")")
    }
}
