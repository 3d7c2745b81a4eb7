//! The interpreter's values, and its own operators and functions on them, for whoever evaluates rules beside it.
//!
//! INVARIANT: nothing here computes by itself: numbers, comparisons, sets and functions are the interpreter's.

use std::sync::Arc;

use regorus::unstable::{BUILTINS, BuiltinFcn, Expr, Ref, Span, numbers, sets};

use super::super::CompareOp;
use super::super::residual::Rounding;
use super::super::residual::ir::{ArithOp, SetOp};
use super::{bounded_range, clock_ns};

/// A value of Rego.
pub(in super::super) use regorus::Value;

/// A function of the language, at the place where it is called.
#[derive(Clone)]
pub(in super::super) struct Builtin {
    name: Arc<str>,
    function: Option<BuiltinFcn>,
    span: Span,
    params: Vec<Ref<Expr>>,
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Builtin").field(&self.name).finish()
    }
}

/// The same function. Where it is called makes no difference to its value.
impl PartialEq for Builtin {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Builtin {
    /// The function of that name; `None` if the language has none, or has it switched off.
    pub(super) fn new(name: &str, span: &Span, params: &[Ref<Expr>]) -> Option<Self> {
        let function = BUILTINS.get(name).copied();
        let known = function.is_some() || name == "print";
        known.then(|| Self { name: name.into(), function, span: span.clone(), params: params.to_vec() })
    }

    /// Its name.
    pub(in super::super) fn name(&self) -> &str {
        &self.name
    }

    /// Its value for known arguments, as the interpreter has it.
    pub(in super::super) fn call(&self, args: &[Value]) -> Result<Value, String> {
        match (self.name.as_ref(), self.function) {
            ("print", _) | (_, None) => Ok(Value::from(true)),
            ("time.now_ns", _) => Ok(Value::from(clock_ns())),
            ("numbers.range", _) => bounded_range(args).map_err(|error| error.to_string()),
            ("numbers.range_step" | "rand.intn" | "uuid.rfc4122", _) => Err(format!("{} is not available here", self.name)),
            (_, Some((function, _))) => function(&self.span, &self.params, args, true).map_err(|error| format!("{error:#}")),
        }
    }
}

/// A comparison, as the interpreter orders values.
pub(in super::super) fn compare(op: CompareOp, left: &Value, right: &Value) -> bool {
    op.holds(left.cmp(right))
}

/// Arithmetic, or the difference of sets; an error where the interpreter has one.
pub(in super::super) fn arithmetic(op: ArithOp, left: Value, right: Value) -> Result<Value, String> {
    let (span, place) = nowhere()?;
    if op == ArithOp::Sub && (matches!(left, Value::Set(_)) || matches!(right, Value::Set(_))) {
        return sets::difference(&place, &place, left, right).map_err(|error| format!("{error:#}"));
    }
    let op = match op {
        ArithOp::Add => regorus::unstable::ArithOp::Add,
        ArithOp::Sub => regorus::unstable::ArithOp::Sub,
        ArithOp::Mul => regorus::unstable::ArithOp::Mul,
        ArithOp::Div => regorus::unstable::ArithOp::Div,
        ArithOp::Mod => regorus::unstable::ArithOp::Mod,
    };
    numbers::arithmetic_operation(&span, &op, &place, &place, left, right, true).map_err(|error| format!("{error:#}"))
}

/// Arithmetic of numbers alone, without the interpreter's texts for faults; `None` if it fails.
pub(in super::super) fn number(op: ArithOp, left: &Value, right: &Value) -> Option<Value> {
    let (Value::Number(left), Value::Number(right)) = (left, right) else { return None };
    match op {
        ArithOp::Add => left.add(right),
        ArithOp::Sub => left.sub(right),
        ArithOp::Mul => left.mul(right),
        ArithOp::Div => left.clone().divide(right),
        ArithOp::Mod => left.clone().modulo(right),
    }
    .map(Value::from)
    .ok()
}

/// A number rounded; `None` if it is no number.
pub(in super::super) fn rounded(rounding: Rounding, value: &Value) -> Option<Value> {
    let Value::Number(number) = value else { return None };
    Some(Value::from(match rounding {
        Rounding::Floor => number.floor(),
        Rounding::Ceil => number.ceil(),
        Rounding::Round => number.round(),
    }))
}

/// Union or intersection of sets.
pub(in super::super) fn combine(op: SetOp, left: Value, right: Value) -> Result<Value, String> {
    let (_, place) = nowhere()?;
    match op {
        SetOp::Union => sets::union(&place, &place, left, right),
        SetOp::Intersection => sets::intersection(&place, &place, left, right),
    }
    .map_err(|error| format!("{error:#}"))
}

/// Whether a number is a float that is no exact integer.
pub(in super::super) fn is_inexact(value: &Value) -> bool {
    matches!(value, Value::Number(number) if number.as_big().is_none())
}

/// A decimal number of any length, as JSON has it.
pub(in super::super) fn parse_number(text: &str) -> Option<Value> {
    Value::from_json_str(text).ok()
}

/// The functions want the place of a fault; theirs is replaced by the caller's.
fn nowhere() -> Result<(Span, Ref<Expr>), String> {
    thread_local! {
        static NOWHERE: Option<(Span, Ref<Expr>)> = {
            regorus::unstable::Source::from_contents("-".to_owned(), "null".to_owned()).ok().map(|source| {
                let span = Span { source, line: 1, col: 1, start: 0, end: 4 };
                let place = Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
                (span, place)
            })
        };
    }
    NOWHERE.with(Clone::clone).ok_or_else(|| "no place for faults".to_owned())
}
