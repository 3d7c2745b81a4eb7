//! Operators that the engine does not plan, or plans by other types than PostgreSQL.
//!
//! A text constant beside another type is of that type; an operator that is a function in the engine becomes its call.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_nested::expr_fn::array_concat;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, GetFieldAccess, Operator, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::engine::semantics::{self, Meaning};
use crate::error::{ClientMessage, SqlState};

/// Plans PostgreSQL's operators.
#[derive(Debug)]
pub(in crate::engine) struct PgOperators;

/// Whether it is a constant whose type nothing tells.
fn unknown(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Utf8(_) | ScalarValue::Null, _))
}

/// Integers in the place of parameters that are smallints, which the engine does not count with.
fn counted(args: Vec<Expr>) -> Vec<Expr> {
    let small = |arg: &Expr| arg.get_type(&DFSchema::empty()).is_ok_and(|found| found == DataType::Int16);
    args.into_iter().map(|arg| if small(&arg) { cast(arg, DataType::Int64) } else { arg }).collect()
}

/// Whether the first argument says by itself that it is bytes; of columns nothing is known here.
fn of_bytes(args: &[Expr]) -> bool {
    args.first().and_then(|value| value.get_type(&DFSchema::empty()).ok()).is_some_and(|found| found.is_binary())
}

impl ExprPlanner for PgOperators {
    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(if of_bytes(&args) { PlannerResult::Planned(semantics::overlaid(args)) } else { PlannerResult::Original(args) })
    }

    fn plan_position(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(if of_bytes(&args) { PlannerResult::Planned(semantics::found(args)) } else { PlannerResult::Original(args) })
    }

    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(raw));
        };
        if matches!(raw.op, BinaryOperator::StringConcat) && left.is_nested() != right.is_nested() {
            return Ok(beside_list(raw, &left, &right));
        }
        let binary = semantics::json_kind(&raw.left, schema) == Some(true);
        let (raw, left, right) = beside_lists(raw, left, right);
        if let Some(meaning) = meaning(&raw.op) {
            return Ok(match semantics::operator(meaning, raw.left.clone(), &left, raw.right.clone(), &right, binary)? {
                Some(planned) => PlannerResult::Planned(planned),
                None => PlannerResult::Original(raw),
            });
        }
        let joins = matches!(raw.op, BinaryOperator::StringConcat).then_some(Operator::StringConcat);
        let raw = if joins.is_some() { joined(raw, schema) } else { raw };
        if let Some(op) = joins.or_else(|| arithmetic(&raw.op))
            && let Some(planned) = semantics::of_json(op, &raw.left, &raw.right, schema)?
        {
            return Ok(PlannerResult::Planned(planned));
        }
        if arithmetic(&raw.op).is_some() && unknown(&raw.left) && unknown(&raw.right) {
            let text = format!("operator is not unique: unknown {} unknown", raw.op);
            let message = ClientMessage::new(SqlState::AMBIGUOUS_FUNCTION, text)
                .with_hint("Could not choose a best candidate operator. You might need to add explicit type casts.");
            return Err(DataFusionError::External(Box::new(message)));
        }
        let Some(op) = arithmetic(&raw.op) else { return Ok(PlannerResult::Original(compared(raw, &left, &right))) };
        if let Some(planned) = semantics::timed(op, &raw.left, &left, &raw.right, &right) {
            return Ok(PlannerResult::Planned(planned));
        }
        let RawBinaryExpr { op: spelled, left: one, right: other } = raw;
        let (one_typed, other_typed) =
            (typed(one.clone(), op, &literal(&other, right), true), typed(other.clone(), op, &literal(&one, left), false));
        if one_typed == one && other_typed == other {
            return Ok(PlannerResult::Original(RawBinaryExpr { op: spelled, left: one, right: other }));
        }
        let (left, right) = (one_typed.get_type(schema)?, other_typed.get_type(schema)?);
        if let Some(planned) = semantics::timed(op, &one_typed, &left, &other_typed, &right) {
            return Ok(PlannerResult::Planned(planned));
        }
        Ok(PlannerResult::Planned(Expr::BinaryExpr(BinaryExpr { left: Box::new(one_typed), op, right: Box::new(other_typed) })))
    }

    fn plan_field_access(&self, raw: RawFieldAccessExpr, schema: &DFSchema) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { field_access, expr } = raw;
        if semantics::json_kind(&expr, schema) != Some(true) {
            let field_access = match field_access {
                // The place of an element is an integer, in quotes, too.
                GetFieldAccess::ListIndex { key } if unknown(&key) => {
                    GetFieldAccess::ListIndex { key: Box::new(cast(*key, DataType::Int32)) }
                }
                GetFieldAccess::NamedStructField { name } if expr.get_type(schema).is_ok_and(|found| found.is_list()) => {
                    GetFieldAccess::ListIndex { key: Box::new(cast(Expr::Literal(name, None), DataType::Int32)) }
                }
                other => other,
            };
            return Ok(PlannerResult::Original(RawFieldAccessExpr { field_access, expr }));
        }
        Ok(match field_access {
            GetFieldAccess::NamedStructField { name } => PlannerResult::Planned(semantics::json_member(expr, Expr::Literal(name, None))),
            GetFieldAccess::ListIndex { key } => PlannerResult::Planned(semantics::json_member(expr, *key)),
            field_access => PlannerResult::Original(RawFieldAccessExpr { field_access, expr }),
        })
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let args = counted(args);
        match args.as_slice() {
            _ if of_bytes(&args) => Ok(PlannerResult::Planned(semantics::parted(args))),
            [text, pattern] if semantics::text_of(pattern).is_some() => {
                Ok(PlannerResult::Planned(semantics::matched(text.clone(), pattern.clone())))
            }
            // A parameter that is a text.
            [text, pattern @ Expr::Placeholder(_)] if pattern.get_type(&DFSchema::empty()).is_ok_and(|found| found.is_string()) => {
                Ok(PlannerResult::Planned(semantics::matched(text.clone(), pattern.clone())))
            }
            _ => Ok(PlannerResult::Original(args)),
        }
    }
}

/// An operator of arrays, in which a constant in quotes beside an array is one of the same type.
fn beside_lists(raw: RawBinaryExpr, left: DataType, right: DataType) -> (RawBinaryExpr, DataType, DataType) {
    use BinaryOperator::{ArrowAt, AtArrow, Eq, Gt, GtEq, Lt, LtEq, NotEq, PGOverlap};
    if left.is_list() == right.is_list() || !matches!(raw.op, ArrowAt | AtArrow | PGOverlap | Eq | NotEq | Lt | LtEq | Gt | GtEq) {
        return (raw, left, right);
    }
    let RawBinaryExpr { op, left: one, right: other } = raw;
    if left.is_list() && semantics::text_of(&other).is_some() {
        let other = semantics::list_of_text(other, &left);
        return (RawBinaryExpr { op, left: one, right: other }, left.clone(), left);
    }
    if right.is_list() && semantics::text_of(&one).is_some() {
        let one = semantics::list_of_text(one, &right);
        return (RawBinaryExpr { op, left: one, right: other }, right.clone(), right);
    }
    (RawBinaryExpr { op, left: one, right: other }, left, right)
}

/// A constant beside an array is an array, too; NULL adds nothing.
fn beside_list(raw: RawBinaryExpr, left: &DataType, right: &DataType) -> PlannerResult<RawBinaryExpr> {
    let null = |side: &Expr| matches!(side, Expr::Literal(value, _) if value.is_null());
    match (left.is_nested(), right.is_nested()) {
        (true, _) if null(&raw.right) => PlannerResult::Planned(raw.left),
        (_, true) if null(&raw.left) => PlannerResult::Planned(raw.right),
        (true, _) if unknown(&raw.right) => PlannerResult::Planned(array_concat(vec![raw.left, cast(raw.right, left.clone())])),
        (_, true) if unknown(&raw.left) => PlannerResult::Planned(array_concat(vec![cast(raw.left, right.clone()), raw.right])),
        (true, false) => PlannerResult::Planned(semantics::beside_list(raw.left, raw.right, false)),
        (false, true) => PlannerResult::Planned(semantics::beside_list(raw.right, raw.left, true)),
        _ => PlannerResult::Original(raw),
    }
}

/// Operators over arrays, texts and JSON.
fn meaning(op: &BinaryOperator) -> Option<Meaning> {
    Some(match op {
        BinaryOperator::PGOverlap => Meaning::Overlaps,
        BinaryOperator::AtArrow => Meaning::Contains,
        BinaryOperator::ArrowAt => Meaning::Contained,
        BinaryOperator::PGStartsWith => Meaning::StartsWith,
        BinaryOperator::Arrow => Meaning::Member { text: false },
        BinaryOperator::LongArrow => Meaning::Member { text: true },
        BinaryOperator::HashArrow => Meaning::Path { text: false },
        BinaryOperator::HashLongArrow => Meaning::Path { text: true },
        BinaryOperator::Question => Meaning::HasKey,
        BinaryOperator::QuestionPipe => Meaning::HasKeys { all: false },
        BinaryOperator::QuestionAnd => Meaning::HasKeys { all: true },
        BinaryOperator::HashMinus => Meaning::WithoutPath,
        BinaryOperator::AtQuestion => Meaning::PathExists,
        BinaryOperator::AtAt => Meaning::PathMatches,
        BinaryOperator::PGRegexMatch => Meaning::Matches(Operator::RegexMatch),
        BinaryOperator::PGRegexIMatch => Meaning::Matches(Operator::RegexIMatch),
        BinaryOperator::PGRegexNotMatch => Meaning::Matches(Operator::RegexNotMatch),
        BinaryOperator::PGRegexNotIMatch => Meaning::Matches(Operator::RegexNotIMatch),
        _ => return None,
    })
}

fn arithmetic(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Modulo => Operator::Modulo,
        _ => return None,
    })
}

/// A comparison in which a text constant beside an interval, or a truth, is one.
fn compared(raw: RawBinaryExpr, left: &DataType, right: &DataType) -> RawBinaryExpr {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    let span = |found: &DataType| matches!(found, DataType::Interval(_) | DataType::Duration(_));
    if !matches!(raw.op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
        return raw;
    }
    let beside = |side: Expr, other: &DataType| match other {
        _ if semantics::text_of(&side).is_none() => side,
        other if span(other) => cast(side, interval()),
        DataType::Boolean => cast(side, DataType::Boolean),
        _ => side,
    };
    RawBinaryExpr { left: beside(raw.left, right), op: raw.op, right: beside(raw.right, left) }
}

fn interval() -> DataType {
    DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano)
}

/// The type of a side; a whole number that fits is an integer.
fn literal(side: &Expr, of: DataType) -> DataType {
    match side {
        Expr::Literal(ScalarValue::Int64(Some(number)), _) if i32::try_from(*number).is_ok() => DataType::Int32,
        _ => of,
    }
}

/// A parameter without a type that is joined to what is neither an array nor JSON nor bytes is a text.
fn joined(raw: RawBinaryExpr, schema: &DFSchema) -> RawBinaryExpr {
    let no_text = |beside: &Expr| {
        let found = beside.get_type(schema);
        semantics::json_kind(beside, schema).is_some() || found.is_ok_and(|found| found.is_list() || found.is_binary())
    };
    let (keep_left, keep_right) = (no_text(&raw.right), no_text(&raw.left));
    let text = |side: Expr, keep: bool| match &side {
        Expr::Placeholder(parameter) if parameter.field.is_none() && !keep => cast(side, DataType::Utf8),
        _ => side,
    };
    RawBinaryExpr { left: text(raw.left, keep_left), right: text(raw.right, keep_right), op: raw.op }
}

/// A text constant, or a parameter without a type, as the type that the operator wants beside a value of this type.
fn typed(expr: Expr, op: Operator, beside: &DataType, left: bool) -> Expr {
    let parameter = matches!(&expr, Expr::Placeholder(parameter) if parameter.field.is_none());
    if !parameter && semantics::text_of(&expr).is_none() {
        return expr;
    }
    match beside {
        DataType::Timestamp(..) | DataType::Time64(_) if op == Operator::Plus => cast(expr, interval()),
        DataType::Interval(_) if op == Operator::Minus && !left => cast(expr, interval()),
        DataType::Interval(_) if op == Operator::Plus => cast(expr, interval()),
        DataType::Timestamp(..) | DataType::Date32 if op == Operator::Minus => cast(expr, beside.clone()),
        DataType::Interval(_) if op == Operator::Multiply || (op == Operator::Divide && !left) => cast(expr, DataType::Float64),
        // Of a parameter beside a number the planner finds this out itself.
        _ if parameter => expr,
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64 => cast(expr, beside.clone()),
        DataType::Decimal128(..) => semantics::numeric_of(expr),
        _ => expr,
    }
}
