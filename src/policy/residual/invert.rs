//! Turns a comparison of a column, with whatever arithmetic is done to it, into bare comparisons of the column.
//!
//! INVARIANT: the rows on either side of a cut are those that the interpreter itself puts there: the cut is searched for among the
//! column's possible values with the interpreter's own arithmetic, which rises or falls throughout. So its floating point is ours: a
//! quotient that rounds to 730 is not greater than 730.
//!
//! Past 2^52 rounded numbers are not finer than integers any more; a cut that needs such a rounded number is refused.

use std::cmp::Ordering;

use chrono::DateTime;

use super::super::rego::{RegoValue as Value, is_inexact, number, parse_number, rounded};
use super::super::{CompareOp, LetterCase, Literal, Predicate, TextTest};
use super::cond::Cond;
use super::ir::ArithOp;
use super::term::{Column, Kind, NumberStep};

/// The greatest magnitude of a rounded number near a cut.
const ROUNDED_MAX: f64 = 4_503_599_627_370_496.0;

/// `column op constant`; an error says why it cannot be a filter.
pub(super) fn compare(column: &Column, op: CompareOp, constant: &Value) -> Result<Cond, String> {
    require_still(column)?;
    match (constant, column.kind) {
        (Value::Null, _) => match op {
            CompareOp::Eq => Ok(column.is_null()),
            CompareOp::Ne => Ok(column.is_null().not()),
            CompareOp::Lt | CompareOp::Le | CompareOp::Gt | CompareOp::Ge => Err("null has no order".to_owned()),
        },
        (Value::Number(_), _) if column.is_number() => compare_number(column, op, constant),
        (Value::Number(_), Kind::Untyped) => Ok(leaf(column, op, untyped(constant)?)),
        (Value::String(text), Kind::Text | Kind::Untyped) => Ok(compare_text(column, op, text)),
        (Value::String(text), Kind::Uuid) => compare_uuid(column, op, text),
        (Value::String(text), Kind::Day) => {
            let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| day.to_string() == text.as_ref());
            day.ok_or_else(|| format!("column \"{}\" holds days; only a text like 2026-01-31 can be compared with them", column.name))?;
            Ok(leaf(column, op, Literal::String(text.to_string())))
        }
        (Value::Bool(flag), Kind::Flag | Kind::Untyped) => match op {
            CompareOp::Eq => Ok(leaf(column, CompareOp::Eq, Literal::Bool(*flag))),
            CompareOp::Ne => Ok(leaf(column, CompareOp::Ne, Literal::Bool(*flag))),
            CompareOp::Lt | CompareOp::Le | CompareOp::Gt | CompareOp::Ge => Err("truths have no order".to_owned()),
        },
        (_, Kind::Instant) => {
            Err(format!("column \"{}\" holds instants; compare time.parse_rfc3339_ns of it with nanoseconds", column.name))
        }
        (_, Kind::Opaque) => Err(format!("values of column \"{}\" cannot be compared", column.name)),
        _ => Err(format!("column \"{}\" is compared with a value of another type", column.name)),
    }
}

/// What the clock moves must not be taken for a constant.
fn require_still(column: &Column) -> Result<(), String> {
    if column.moving.is_empty() { Ok(()) } else { Err(format!("column \"{}\" is used beside the clock", column.name)) }
}

/// `left op right` of two columns.
pub(super) fn compare_columns(left: &Column, op: CompareOp, right: &Column) -> Result<Cond, String> {
    let alike = match (left.kind, right.kind) {
        (Kind::Integer(..), Kind::Integer(..))
        | (Kind::Text, Kind::Text)
        | (Kind::Day, Kind::Day)
        | (Kind::Nanoseconds, Kind::Nanoseconds) => true,
        (Kind::Decimal(digits, scale), Kind::Decimal(other_digits, other_scale)) => (digits, scale) == (other_digits, other_scale),
        (Kind::Flag, Kind::Flag) => matches!(op, CompareOp::Eq | CompareOp::Ne),
        _ => false,
    };
    if !alike || !left.is_bare() || !right.is_bare() {
        return Err(format!("columns \"{}\" and \"{}\" cannot be compared with each other", left.name, right.name));
    }
    if left.name == right.name {
        return Ok(left.unless_null(op.holds(Ordering::Equal)));
    }
    Ok(Cond::leaf(Predicate::CompareColumns { left: left.name.clone(), op, right: right.name.clone() }))
}

/// `column IN values`; values of another type are an error, and so is `null`.
pub(super) fn contained(column: &Column, values: &[Value]) -> Result<Cond, String> {
    require_still(column)?;
    let plain = matches!(column.kind, Kind::Integer(..) | Kind::Text) && column.is_bare() && values.len() > 1;
    let literals: Option<Vec<Literal>> = values.iter().map(|value| plain_literal(column.kind, value)).collect();
    match literals {
        Some(literals) if plain => Ok(Cond::leaf(Predicate::In { column: column.name.clone(), values: literals })),
        _ if values.is_empty() => Ok(column.unless_null(false)),
        _ => {
            let parts = values.iter().map(|value| compare(column, CompareOp::Eq, value));
            Ok(Cond::any(parts.collect::<Result<Vec<_>, _>>()?))
        }
    }
}

/// A literal that the column can hold as it is.
fn plain_literal(kind: Kind, value: &Value) -> Option<Literal> {
    match (kind, value) {
        (Kind::Integer(low, high), Value::Number(number)) => {
            number.as_i64().filter(|number| (low..=high).contains(number)).map(Literal::Int)
        }
        (Kind::Text, Value::String(text)) => Some(Literal::String(text.to_string())),
        _ => None,
    }
}

fn leaf(column: &Column, op: CompareOp, value: Literal) -> Cond {
    Cond::leaf(Predicate::Compare { column: column.name.clone(), op, value })
}

fn compare_text(column: &Column, op: CompareOp, text: &str) -> Cond {
    match column.case {
        None => leaf(column, op, Literal::String(text.to_owned())),
        Some(case) => folded(column, case, TextTest::Compare(op, text.to_owned())),
    }
}

/// A test of a text in one case.
pub(super) fn folded(column: &Column, case: LetterCase, test: TextTest) -> Cond {
    Cond::leaf(Predicate::Folded { column: column.name.clone(), case, test })
}

/// A UUID is the same in any spelling.
fn compare_uuid(column: &Column, op: CompareOp, text: &str) -> Result<Cond, String> {
    if !column.is_bare() || !matches!(op, CompareOp::Eq | CompareOp::Ne) {
        return Err(format!("the UUIDs of column \"{}\" can be compared for equality only", column.name));
    }
    Ok(match uuid::Uuid::parse_str(text) {
        Ok(id) => leaf(column, op, Literal::String(id.to_string())),
        Err(_) => column.unless_null(op == CompareOp::Ne),
    })
}

fn untyped(constant: &Value) -> Result<Literal, String> {
    let float = || constant.as_f64().ok().filter(|number| number.is_finite()).map(Literal::Float);
    constant.as_i64().ok().map(Literal::Int).or_else(float).ok_or_else(|| "a number is out of range".to_owned())
}

/// The possible values of a column, numbered in their order.
#[derive(Clone, Copy)]
struct Domain {
    kind: Kind,
    low: i128,
    high: i128,
}

impl Domain {
    fn of(kind: Kind) -> Option<Self> {
        let (low, high) = match kind {
            Kind::Integer(low, high) => (low.into(), high.into()),
            Kind::Nanoseconds => (i64::MIN.into(), i64::MAX.into()),
            Kind::Float => (float_number(-f64::MAX), float_number(f64::MAX)),
            Kind::Float32 => (float32_number(-f32::MAX), float32_number(f32::MAX)),
            Kind::Decimal(digits, _) => {
                let high = 10_i128.checked_pow(digits.into())?.checked_sub(1)?;
                (high.checked_neg()?, high)
            }
            Kind::Text | Kind::Uuid | Kind::Flag | Kind::Day | Kind::Instant | Kind::Untyped | Kind::Opaque => return None,
        };
        Some(Self { kind, low, high })
    }

    fn value(self, at: i128) -> Option<Value> {
        match self.kind {
            Kind::Float => Some(Value::from(float_at(at)?)),
            Kind::Float32 => Some(Value::from(f64::from(float32_at(at)?))),
            Kind::Decimal(_, scale) => parse_number(&decimal_text(at, scale)),
            _ => Some(Value::from(i64::try_from(at).ok()?)),
        }
    }

    fn literal(self, at: i128) -> Option<Literal> {
        Some(match self.kind {
            Kind::Float => Literal::Float(float_at(at)?),
            Kind::Float32 => Literal::Float(f64::from(float32_at(at)?)),
            Kind::Decimal(_, scale) => Literal::String(decimal_text(at, scale)),
            Kind::Nanoseconds => Literal::Instant(DateTime::from_timestamp_nanos(i64::try_from(at).ok()?)),
            _ => Literal::Int(i64::try_from(at).ok()?),
        })
    }

    /// A value near a number.
    fn near(self, number: f64) -> i128 {
        let whole = |number: f64| format!("{number:.0}").parse().unwrap_or(0_i128);
        match self.kind {
            Kind::Float => float_number(number),
            Kind::Float32 => format!("{number}").parse().map_or(0, float32_number),
            Kind::Decimal(_, scale) => whole(number * 10_f64.powi(scale.into())),
            _ => whole(number),
        }
    }
}

/// Floats in their order, −0 below 0, as the engine has them.
fn float_number(number: f64) -> i128 {
    let bits = number.to_bits().cast_signed();
    i128::from(if bits < 0 { i64::MIN.wrapping_sub(bits).wrapping_sub(1) } else { bits })
}

fn float_at(at: i128) -> Option<f64> {
    let at = i64::try_from(at).ok()?;
    let bits = if at < 0 { i64::MIN.wrapping_sub(at).wrapping_sub(1) } else { at };
    Some(f64::from_bits(bits.cast_unsigned()))
}

fn float32_number(number: f32) -> i128 {
    let bits = number.to_bits().cast_signed();
    i128::from(if bits < 0 { i32::MIN.wrapping_sub(bits).wrapping_sub(1) } else { bits })
}

fn float32_at(at: i128) -> Option<f32> {
    let at = i32::try_from(at).ok()?;
    let bits = if at < 0 { i32::MIN.wrapping_sub(at).wrapping_sub(1) } else { at };
    Some(f32::from_bits(bits.cast_unsigned()))
}

/// A scaled integer as a decimal number.
fn decimal_text(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale.saturating_add(1));
    let (whole, fraction) = digits.split_at_checked(digits.len().saturating_sub(scale)).unwrap_or((&digits, ""));
    let sign = if unscaled < 0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

fn compare_number(column: &Column, op: CompareOp, constant: &Value) -> Result<Cond, String> {
    cuts(column, constant)?.holds(op)
}

/// The values of a number around `at` for which the comparison says what it says of `at`.
pub(super) fn span_around(column: &Column, op: CompareOp, constant: &Value, at: i64) -> Result<(i64, i64), String> {
    let Cuts { domain, equal, above, rises, .. } = cuts(column, constant)?;
    let op = if rises { op } else { op.swapped() };
    let splits = match op {
        CompareOp::Lt | CompareOp::Ge => [equal, equal],
        CompareOp::Le | CompareOp::Gt => [above, above],
        CompareOp::Eq | CompareOp::Ne => [equal, above],
    };
    let at = i128::from(at);
    let from = splits.into_iter().filter(|split| *split <= at).max().unwrap_or(domain.low).max(domain.low);
    let to = splits.into_iter().filter(|split| *split > at).min().map_or(domain.high, |split| split.saturating_sub(1)).min(domain.high);
    let bounded = |at: i128| i64::try_from(at).map_err(|_| "a number is out of range".to_owned());
    Ok((bounded(from)?, bounded(to)?))
}

fn cuts<'a>(column: &'a Column, constant: &Value) -> Result<Cuts<'a>, String> {
    let domain = Domain::of(column.kind).ok_or("its numbers are not known")?;
    if let (true, Some(at)) = (column.steps.is_empty() && is_integer(column.kind), constant.as_i64().ok()) {
        let at = i128::from(at);
        return Ok(Cuts { column, domain, equal: at, above: at.saturating_add(1), rises: true });
    }
    let rises = rises(column)?;
    let order = |at: i128| -> Option<Ordering> {
        let reached = apply(column, domain.value(at)?)?.cmp(constant);
        Some(if rises { reached } else { reached.reverse() })
    };
    let failed = || format!("the arithmetic on column \"{}\" fails for some of its values", column.name);
    let guess = guess(column, constant).unwrap_or_else(|| domain.near(float_guess(column, constant)));
    let equal = first(domain, guess, |at| order(at).map(Ordering::is_ge)).ok_or_else(failed)?;
    let above = first(domain, equal, |at| order(at).map(Ordering::is_gt)).ok_or_else(failed)?;
    for cut in [equal, above] {
        for at in [cut.saturating_sub(1), cut].into_iter().filter(|at| (domain.low..=domain.high).contains(at)) {
            require_exact(column, domain.value(at).ok_or_else(failed)?)?;
        }
    }
    Ok(Cuts { column, domain, equal, above, rises })
}

fn is_integer(kind: Kind) -> bool {
    matches!(kind, Kind::Integer(..) | Kind::Nanoseconds)
}

/// Where a comparison with a constant turns: from `equal` on it is at least the constant, from `above` on it is more (at most and less,
/// if the arithmetic falls).
struct Cuts<'a> {
    column: &'a Column,
    domain: Domain,
    equal: i128,
    above: i128,
    rises: bool,
}

impl Cuts<'_> {
    fn holds(&self, op: CompareOp) -> Result<Cond, String> {
        let op = if self.rises { op } else { op.swapped() };
        Ok(match op {
            CompareOp::Lt => self.below(self.equal)?,
            CompareOp::Le => self.below(self.above)?,
            CompareOp::Ge => self.below(self.equal)?.not(),
            CompareOp::Gt => self.below(self.above)?.not(),
            CompareOp::Eq => self.between()?,
            CompareOp::Ne => self.between()?.not(),
        })
    }

    /// The column lies before that value.
    fn below(&self, cut: i128) -> Result<Cond, String> {
        if cut <= self.domain.low {
            return Ok(self.column.unless_null(false));
        }
        if cut > self.domain.high {
            return Ok(self.column.unless_null(true));
        }
        Ok(leaf(self.column, CompareOp::Lt, self.domain.literal(cut).ok_or("a number is out of range")?))
    }

    fn between(&self) -> Result<Cond, String> {
        if self.equal >= self.above {
            return Ok(self.column.unless_null(false));
        }
        let inside = (self.domain.low..=self.domain.high).contains(&self.equal);
        // A day counts whole, so an instant is met by what lies before and behind it and not by its day.
        if inside && self.above == self.equal.saturating_add(1) && self.column.kind != Kind::Nanoseconds {
            let value = self.domain.literal(self.equal).ok_or("a number is out of range")?;
            return Ok(leaf(self.column, CompareOp::Eq, value));
        }
        Ok(self.below(self.equal)?.not().and(&self.below(self.above)?))
    }
}

/// Whether the arithmetic rises with the column (or falls).
fn rises(column: &Column) -> Result<bool, String> {
    let mut rises = true;
    for step in column.steps.iter() {
        let negative = |constant: &Value| match constant.cmp(&Value::from(0_i64)) {
            Ordering::Less => Ok(true),
            Ordering::Greater => Ok(false),
            Ordering::Equal => Err("a factor is zero".to_owned()),
        };
        let falls = match step {
            NumberStep::Left(ArithOp::Add | ArithOp::Sub, _) | NumberStep::Right(_, ArithOp::Add) | NumberStep::Round(_) => false,
            NumberStep::Right(_, ArithOp::Sub) => true,
            NumberStep::Left(ArithOp::Mul | ArithOp::Div, constant) | NumberStep::Right(constant, ArithOp::Mul) => negative(constant)?,
            NumberStep::Left(ArithOp::Mod, _) | NumberStep::Right(_, ArithOp::Div | ArithOp::Mod) => {
                return Err(format!("the arithmetic on column \"{}\" cannot be undone", column.name));
            }
        };
        rises ^= falls;
    }
    Ok(rises)
}

/// A number after a step of arithmetic; `None` if that fails.
pub(super) fn step(step: &NumberStep, value: &Value) -> Option<Value> {
    match step {
        NumberStep::Left(op, constant) => number(*op, value, constant),
        NumberStep::Right(constant, op) => number(*op, constant, value),
        NumberStep::Round(rounding) => rounded(*rounding, value),
    }
}

/// What a rule makes of a value of the column.
pub(super) fn apply(column: &Column, value: Value) -> Option<Value> {
    column.steps.iter().try_fold(value, |value, next| step(next, &value))
}

fn require_exact(column: &Column, value: Value) -> Result<(), String> {
    let mut value = value;
    let mut rounds = false;
    for next in column.steps.iter() {
        let inexact = |constant: &Value| is_inexact(constant);
        rounds |= match next {
            NumberStep::Left(ArithOp::Div, _) => true,
            NumberStep::Left(_, constant) | NumberStep::Right(constant, _) => inexact(constant) || is_inexact(&value),
            NumberStep::Round(_) => is_inexact(&value),
        };
        value = step(next, &value).ok_or("arithmetic fails")?;
        if rounds && value.as_f64().is_ok_and(|number| number.abs() > ROUNDED_MAX) {
            return Err(format!("the arithmetic on column \"{}\" is not exact enough", column.name));
        }
    }
    Ok(())
}

/// The first number for which the test holds; one past the last if there is none. `None` if the test fails.
fn first(domain: Domain, guess: i128, test: impl Fn(i128) -> Option<bool>) -> Option<i128> {
    let guess = guess.clamp(domain.low, domain.high);
    let (mut no, mut yes) = if test(guess)? {
        let (mut yes, mut width) = (guess, 1_i128);
        loop {
            let next = yes.saturating_sub(width);
            if next < domain.low {
                break (domain.low.saturating_sub(1), yes);
            }
            if !test(next)? {
                break (next, yes);
            }
            (yes, width) = (next, width.saturating_mul(2));
        }
    } else {
        let (mut no, mut width) = (guess, 1_i128);
        loop {
            let next = no.saturating_add(width);
            if next > domain.high {
                break (no, domain.high.saturating_add(1));
            }
            if test(next)? {
                break (no, next);
            }
            (no, width) = (next, width.saturating_mul(2));
        }
    };
    while yes.saturating_sub(no) > 1 {
        let middle = no.saturating_add(yes.saturating_sub(no) / 2);
        if test(middle)? { yes = middle } else { no = middle }
    }
    Some(yes)
}

/// Where an integer column turns, if its arithmetic is undone with integers.
fn guess(column: &Column, constant: &Value) -> Option<i128> {
    if !is_integer(column.kind) {
        return None;
    }
    let mut at = constant.as_i128().ok()?;
    for step in column.steps.iter().rev() {
        at = match step {
            NumberStep::Left(ArithOp::Add, by) | NumberStep::Right(by, ArithOp::Add) => at.checked_sub(by.as_i128().ok()?)?,
            NumberStep::Left(ArithOp::Sub, by) => at.checked_add(by.as_i128().ok()?)?,
            NumberStep::Right(by, ArithOp::Sub) => by.as_i128().ok()?.checked_sub(at)?,
            NumberStep::Left(ArithOp::Mul, by) | NumberStep::Right(by, ArithOp::Mul) => at.checked_div(by.as_i128().ok()?)?,
            NumberStep::Left(ArithOp::Div, by) => at.checked_mul(by.as_i128().ok()?)?,
            NumberStep::Round(_) => at,
            NumberStep::Left(ArithOp::Mod, _) | NumberStep::Right(_, ArithOp::Div | ArithOp::Mod) => return None,
        };
    }
    Some(at)
}

/// Roughly where it turns.
fn float_guess(column: &Column, constant: &Value) -> f64 {
    let float = |value: &Value| value.as_f64().unwrap_or(0.0);
    let undo = |at: f64, step: &NumberStep| match step {
        NumberStep::Left(ArithOp::Add, by) | NumberStep::Right(by, ArithOp::Add) => at - float(by),
        NumberStep::Left(ArithOp::Sub, by) => at + float(by),
        NumberStep::Right(by, ArithOp::Sub) => float(by) - at,
        NumberStep::Left(ArithOp::Mul, by) | NumberStep::Right(by, ArithOp::Mul) => at / float(by),
        NumberStep::Left(ArithOp::Div, by) => at * float(by),
        NumberStep::Left(ArithOp::Mod, _) | NumberStep::Right(_, ArithOp::Div | ArithOp::Mod) | NumberStep::Round(_) => at,
    };
    let at = column.steps.iter().rev().fold(float(constant), undo);
    if at.is_finite() { at } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::product::FieldName;

    fn column(kind: Kind, steps: Vec<NumberStep>) -> Column {
        Column { steps: Arc::new(steps), ..Column::new(&FieldName::parse("n").unwrap(), kind, false) }
    }

    fn literal(column: &Column, op: CompareOp, constant: Value) -> (CompareOp, Literal) {
        match compare(column, op, &constant).unwrap().at(0).unwrap() {
            Predicate::Compare { op, value, .. } => (op, value),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_age_in_days_is_a_bound_on_the_date() {
        let now = 1_780_315_200_000_000_000_i64;
        let day = 86_400_000_000_000_i64;
        let age = column(
            Kind::Nanoseconds,
            vec![NumberStep::Right(Value::from(now), ArithOp::Sub), NumberStep::Left(ArithOp::Div, Value::from(day))],
        );
        let (op, bound) = literal(&age, CompareOp::Gt, Value::from(730_i64));
        assert_eq!(op, CompareOp::Lt);
        let Literal::Instant(bound) = bound else { panic!("{bound:?}") };
        // The interpreter's quotient rounds a few nanoseconds more than 730 days to 730.
        let exact = now - 730 * day;
        let bound = bound.timestamp_nanos_opt().unwrap();
        assert!((exact - 8..=exact).contains(&bound), "{}", exact - bound);
        for at in [bound - 1, bound, bound + 1, exact - 1_000, exact, exact + 1_000] {
            let expired = apply(&age, Value::from(at)).unwrap() > Value::from(730_i64);
            assert_eq!(expired, at < bound, "{at}");
        }
    }

    #[test]
    fn integers_are_compared_with_fractions() {
        let n = column(Kind::Integer(-32_768, 32_767), vec![]);
        assert_eq!(literal(&n, CompareOp::Gt, Value::from(5.5)), (CompareOp::Ge, Literal::Int(6)));
        assert_eq!(literal(&n, CompareOp::Lt, Value::from(5.5)), (CompareOp::Lt, Literal::Int(6)));
        assert_eq!(compare(&n, CompareOp::Eq, &Value::from(5.5)).unwrap(), n.unless_null(false));
        assert_eq!(compare(&n, CompareOp::Lt, &Value::from(40_000_i64)).unwrap(), n.unless_null(true));
        assert_eq!(compare(&n, CompareOp::Ge, &Value::from(40_000_i64)).unwrap(), n.unless_null(false));
    }

    #[test]
    fn a_negative_factor_turns_the_comparison() {
        let n = column(Kind::Integer(i64::MIN, i64::MAX), vec![NumberStep::Left(ArithOp::Mul, Value::from(-2_i64))]);
        assert_eq!(literal(&n, CompareOp::Lt, Value::from(7_i64)), (CompareOp::Ge, Literal::Int(-3)));
        assert_eq!(compare(&n, CompareOp::Eq, &Value::from(7_i64)).unwrap(), n.unless_null(false));
        assert_eq!(literal(&n, CompareOp::Eq, Value::from(8_i64)), (CompareOp::Eq, Literal::Int(-4)));
    }

    #[test]
    fn decimals_and_floats_are_cut_between_their_values() {
        let price = column(Kind::Decimal(6, 2), vec![]);
        assert_eq!(literal(&price, CompareOp::Eq, Value::from(0.1)), (CompareOp::Eq, Literal::String("0.10".to_owned())));
        assert_eq!(literal(&price, CompareOp::Gt, Value::from(0.125)), (CompareOp::Ge, Literal::String("0.13".to_owned())));
        let weight = column(Kind::Float, vec![]);
        assert_eq!(literal(&weight, CompareOp::Lt, Value::from(2.5)), (CompareOp::Lt, Literal::Float(2.5)));
        let (_, zero) = literal(&weight, CompareOp::Lt, Value::from(0_i64));
        assert!(matches!(zero, Literal::Float(zero) if zero.is_sign_negative()), "{zero:?}");
    }

    #[test]
    fn what_cannot_be_undone_is_refused() {
        for step in [
            NumberStep::Left(ArithOp::Mod, Value::from(2_i64)),
            NumberStep::Right(Value::from(1_i64), ArithOp::Div),
            NumberStep::Left(ArithOp::Mul, Value::from(0_i64)),
        ] {
            assert!(compare(&column(Kind::Integer(0, 10), vec![step]), CompareOp::Eq, &Value::from(1_i64)).is_err());
        }
        let halves = column(Kind::Integer(i64::MIN, i64::MAX), vec![NumberStep::Left(ArithOp::Div, Value::from(2_i64))]);
        assert!(compare(&halves, CompareOp::Gt, &Value::from(1_i64 << 60)).is_err());
        assert!(compare(&column(Kind::Integer(0, 10), vec![]), CompareOp::Eq, &Value::from("1")).is_err());
        assert!(compare(&column(Kind::Opaque, vec![]), CompareOp::Eq, &Value::from("1")).is_err());
    }
}
