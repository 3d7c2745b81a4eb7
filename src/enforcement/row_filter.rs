//! Compiles a policy's predicate to an expression over the raw columns of one table.
//!
//! INVARIANT: the expression is true for exactly the rows that the predicate lets through, with SQL's three-valued logic, and
//! cannot fail on any row. A literal becomes a value of the column's own type without loss, or the filter does not compile.

use chrono::{DateTime, NaiveDate, Utc};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Like, Operator};

use crate::policy::{CompareOp, LetterCase, Literal, Predicate, TextTest};
use crate::product::FieldName;

use super::{computed, member};

/// A regular expression that compiles to more than this is refused.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The column whose part of the predicate cannot be compiled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Uncompilable(pub(super) FieldName);

/// The predicate as an expression over the schema's columns. [`Predicate::True`] compiles to the literal true.
pub(super) fn compile(predicate: &Predicate, schema: &Schema) -> Result<Expr, Uncompilable> {
    match predicate {
        Predicate::True => Ok(truth(Some(true))),
        Predicate::False => Ok(truth(Some(false))),
        Predicate::Unknown => Ok(truth(None)),
        Predicate::Present(column) => Ok(unless_null(reference(column, schema)?.0, true)),
        Predicate::CompareColumns { left, op, right } => compare_columns(left, *op, right, schema),
        Predicate::Folded { column, case, test } => folded(column, *case, test, schema),
        Predicate::Member { column, set } => {
            let (expr, field) = reference(column, schema)?;
            member::is_member(expr, field, set).ok_or_else(|| Uncompilable(column.clone()))
        }
        Predicate::Computed(test) => computed::is_passed(test, schema).map_err(Uncompilable),
        Predicate::Compare { column, op, value } => compare(column, *op, value, schema),
        Predicate::IsNull(column) => Ok(Expr::IsNull(Box::new(reference(column, schema)?.0))),
        Predicate::In { column, values } => contained(column, values, schema),
        Predicate::Like { column, pattern } => {
            let (expr, field) = reference(column, schema)?;
            let pattern = text(pattern, field).ok_or_else(|| Uncompilable(column.clone()))?;
            Ok(Expr::Like(Like::new(false, Box::new(expr), Box::new(literal(pattern)), None, false)))
        }
        Predicate::Matches { column, regex } => {
            let (expr, field) = reference(column, schema)?;
            let compiles = regex::RegexBuilder::new(regex).size_limit(REGEX_BYTES_MAX).build().is_ok();
            let pattern = text(regex, field).filter(|_| compiles).ok_or_else(|| Uncompilable(column.clone()))?;
            Ok(binary(expr, Operator::RegexMatch, literal(pattern)))
        }
        Predicate::And(all) => joined(all, Operator::And, true, schema),
        Predicate::Or(all) => joined(all, Operator::Or, false, schema),
        Predicate::Not(inner) => Ok(Expr::Not(Box::new(compile(inner, schema)?))),
    }
}

/// Whether a text column holds UUIDs by its contract.
pub(super) fn is_uuid(field: &Field) -> bool {
    field.metadata().get("pg.type").is_some_and(|name| name == "uuid")
}

fn truth(value: Option<bool>) -> Expr {
    literal(ScalarValue::Boolean(value))
}

fn literal(value: ScalarValue) -> Expr {
    Expr::Literal(value, None)
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

fn reference<'a>(column: &FieldName, schema: &'a Schema) -> Result<(Expr, &'a Field), Uncompilable> {
    let field = schema.field_with_name(column.as_str()).map_err(|_| Uncompilable(column.clone()))?;
    Ok((Expr::Column(Column::new_unqualified(column.as_str())), field))
}

/// A balanced tree, so that a long list of conditions does not nest deeply.
fn joined(all: &[Predicate], op: Operator, neutral: bool, schema: &Schema) -> Result<Expr, Uncompilable> {
    match all {
        [] => Ok(truth(Some(neutral))),
        [only] => compile(only, schema),
        _ => {
            let (left, right) = all.split_at(all.len() / 2);
            Ok(binary(joined(left, op, neutral, schema)?, op, joined(right, op, neutral, schema)?))
        }
    }
}

fn contained(column: &FieldName, values: &[Literal], schema: &Schema) -> Result<Expr, Uncompilable> {
    let (expr, field) = reference(column, schema)?;
    if values.is_empty() {
        return Ok(unless_null(expr, false));
    }
    let mut list = values
        .iter()
        .map(|value| match convert(value, field) {
            Some(Converted { value, exact: true }) => Ok(literal(value)),
            _ => Err(Uncompilable(column.clone())),
        })
        .collect::<Result<Vec<_>, _>>()?;
    list.extend(other_zero(&list));
    Ok(Expr::InList(InList::new(Box::new(expr), list, false)))
}

/// The zero that is equal to one in the list: the engine looks for the bits of a floating-point number, and there are two of zero.
fn other_zero(list: &[Expr]) -> Option<Expr> {
    list.iter().find_map(|item| match item {
        Expr::Literal(ScalarValue::Float64(Some(number)), _) if *number == 0.0 => Some(literal(ScalarValue::Float64(Some(-number)))),
        Expr::Literal(ScalarValue::Float32(Some(number)), _) if *number == 0.0 => Some(literal(ScalarValue::Float32(Some(-number)))),
        _ => None,
    })
}

/// The constant, but unknown where the column is NULL.
fn unless_null(column: Expr, value: bool) -> Expr {
    if value {
        binary(Expr::IsNotNull(Box::new(column)), Operator::Or, truth(None))
    } else {
        binary(Expr::IsNull(Box::new(column)), Operator::And, truth(None))
    }
}

fn compare(column: &FieldName, op: CompareOp, value: &Literal, schema: &Schema) -> Result<Expr, Uncompilable> {
    let (expr, field) = reference(column, schema)?;
    let Converted { value, exact } = convert(value, field).ok_or_else(|| Uncompilable(column.clone()))?;
    // An instant that lies between two values of the column is rounded down, and the comparison moved with it.
    let op = match (op, exact) {
        (CompareOp::Eq, false) => return Ok(unless_null(expr, false)),
        (CompareOp::Ne, false) => return Ok(unless_null(expr, true)),
        (CompareOp::Eq, true) => Operator::Eq,
        (CompareOp::Ne, true) => Operator::NotEq,
        (CompareOp::Lt, true) => Operator::Lt,
        (CompareOp::Ge, true) => Operator::GtEq,
        (CompareOp::Lt, false) | (CompareOp::Le, _) => Operator::LtEq,
        (CompareOp::Ge, false) | (CompareOp::Gt, _) => Operator::Gt,
    };
    Ok(binary(expr, op, literal(value)))
}

/// Two columns of one type, or two of integers.
fn compare_columns(left: &FieldName, op: CompareOp, right: &FieldName, schema: &Schema) -> Result<Expr, Uncompilable> {
    let (left_expr, left_field) = reference(left, schema)?;
    let (right_expr, right_field) = reference(right, schema)?;
    let (left_type, right_type) = (left_field.data_type(), right_field.data_type());
    if left_type != right_type && !(left_type.is_integer() && right_type.is_integer()) {
        return Err(Uncompilable(left.clone()));
    }
    Ok(binary(left_expr, operator(op), right_expr))
}

/// A text in one case, compared. The engine folds letters as the policies do, by Unicode.
fn folded(column: &FieldName, case: LetterCase, test: &TextTest, schema: &Schema) -> Result<Expr, Uncompilable> {
    let (expr, field) = reference(column, schema)?;
    if is_uuid(field) || text("", field).is_none() {
        return Err(Uncompilable(column.clone()));
    }
    let expr = match case {
        LetterCase::Lower => datafusion::functions::string::expr_fn::lower(expr),
        LetterCase::Upper => datafusion::functions::string::expr_fn::upper(expr),
    };
    let constant = |content: &str| literal(ScalarValue::Utf8(Some(content.to_owned())));
    Ok(match test {
        TextTest::Compare(op, content) => binary(expr, operator(*op), constant(content)),
        TextTest::Like(pattern) => Expr::Like(Like::new(false, Box::new(expr), Box::new(constant(pattern)), None, false)),
    })
}

fn operator(op: CompareOp) -> Operator {
    match op {
        CompareOp::Eq => Operator::Eq,
        CompareOp::Ne => Operator::NotEq,
        CompareOp::Lt => Operator::Lt,
        CompareOp::Le => Operator::LtEq,
        CompareOp::Gt => Operator::Gt,
        CompareOp::Ge => Operator::GtEq,
    }
}

/// A literal as a value of the column's type; not exact if it is the greatest value below it.
struct Converted {
    value: ScalarValue,
    exact: bool,
}

fn convert(value: &Literal, field: &Field) -> Option<Converted> {
    if let (Literal::Instant(instant), DataType::Timestamp(unit, zone)) = (value, field.data_type()) {
        let (count, exact) = count_of(*instant, *unit)?;
        let zone = zone.clone();
        let value = match unit {
            TimeUnit::Second => ScalarValue::TimestampSecond(Some(count), zone),
            TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(count), zone),
            TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(count), zone),
            TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(Some(count), zone),
        };
        return Some(Converted { value, exact });
    }
    let value = match value {
        Literal::String(content) => match field.data_type() {
            DataType::Date32 | DataType::Date64 => day(NaiveDate::parse_from_str(content, "%Y-%m-%d").ok()?, field.data_type())?,
            DataType::Timestamp(..) => {
                let instant = DateTime::parse_from_rfc3339(content).ok()?.with_timezone(&Utc);
                return convert(&Literal::Instant(instant), field);
            }
            DataType::Decimal128(precision, scale) => decimal(content, *precision, *scale)?,
            _ => text(content, field)?,
        },
        Literal::Int(number) => integer(*number, field.data_type())?,
        Literal::Float(number) => float(*number, field.data_type())?,
        Literal::Bool(flag) if field.data_type() == &DataType::Boolean => ScalarValue::Boolean(Some(*flag)),
        Literal::Bool(_) => return None,
        Literal::Instant(instant) => day(instant.date_naive(), field.data_type())?,
    };
    Some(Converted { value, exact: true })
}

fn count_of(instant: DateTime<Utc>, unit: TimeUnit) -> Option<(i64, bool)> {
    let nanos_of_second = instant.timestamp_subsec_nanos();
    Some(match unit {
        TimeUnit::Second => (instant.timestamp(), nanos_of_second == 0),
        TimeUnit::Millisecond => (instant.timestamp_millis(), nanos_of_second.is_multiple_of(1_000_000)),
        TimeUnit::Microsecond => (instant.timestamp_micros(), nanos_of_second.is_multiple_of(1_000)),
        TimeUnit::Nanosecond => (instant.timestamp_nanos_opt()?, true),
    })
}

fn day(date: NaiveDate, data_type: &DataType) -> Option<ScalarValue> {
    let days = date.signed_duration_since(NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days();
    match data_type {
        DataType::Date32 => Some(ScalarValue::Date32(Some(i32::try_from(days).ok()?))),
        DataType::Date64 => Some(ScalarValue::Date64(Some(days.checked_mul(86_400_000)?))),
        _ => None,
    }
}

fn text(content: &str, field: &Field) -> Option<ScalarValue> {
    let content = if is_uuid(field) { content.to_ascii_lowercase() } else { content.to_owned() };
    match field.data_type() {
        DataType::Utf8 => Some(ScalarValue::Utf8(Some(content))),
        DataType::LargeUtf8 => Some(ScalarValue::LargeUtf8(Some(content))),
        DataType::Utf8View => Some(ScalarValue::Utf8View(Some(content))),
        _ => None,
    }
}

fn integer(number: i64, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Int8 => ScalarValue::Int8(Some(number.try_into().ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(number.try_into().ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(number.try_into().ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(number)),
        DataType::UInt8 => ScalarValue::UInt8(Some(number.try_into().ok()?)),
        DataType::UInt16 => ScalarValue::UInt16(Some(number.try_into().ok()?)),
        DataType::UInt32 => ScalarValue::UInt32(Some(number.try_into().ok()?)),
        DataType::UInt64 => ScalarValue::UInt64(Some(number.try_into().ok()?)),
        // Up to 2^24 and 2^53 every integer has a float of its own.
        DataType::Float32 if number.unsigned_abs() <= 1 << 24 => ScalarValue::Float32(Some(number.to_string().parse().ok()?)),
        DataType::Float64 if number.unsigned_abs() <= 1 << 53 => ScalarValue::Float64(Some(number.to_string().parse().ok()?)),
        DataType::Decimal128(precision, scale) => decimal(&number.to_string(), *precision, *scale)?,
        _ => return None,
    })
}

fn float(number: f64, data_type: &DataType) -> Option<ScalarValue> {
    if !number.is_finite() {
        return None;
    }
    match data_type {
        DataType::Float64 => Some(ScalarValue::Float64(Some(number))),
        DataType::Float32 => {
            let narrow: f32 = number.to_string().parse().ok()?;
            (f64::from(narrow).to_bits() == number.to_bits()).then_some(ScalarValue::Float32(Some(narrow)))
        }
        DataType::Decimal128(precision, scale) => decimal(&number.to_string(), *precision, *scale),
        _ => None,
    }
}

/// The digits of a plain decimal number, if they all fit.
fn decimal(digits: &str, precision: u8, scale: i8) -> Option<ScalarValue> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let scale_digits = usize::try_from(scale).ok()?;
    let zeros = scale_digits.checked_sub(fraction.len())?;
    let is_number = !whole.trim_start_matches('-').is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let unscaled: i128 = format!("{whole}{fraction}{}", "0".repeat(zeros)).parse().ok()?;
    let fits = unscaled.unsigned_abs() < 10u128.checked_pow(u32::from(precision))?;
    (is_number && fits).then_some(ScalarValue::Decimal128(Some(unscaled), precision, scale))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        ArrayRef, AsArray, Date32Array, Float64Array, Int32Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    };
    use datafusion::arrow::datatypes::{Schema, SchemaRef};
    use datafusion::common::DFSchema;
    use datafusion::prelude::SessionContext;
    use proptest::prelude::*;

    use super::*;
    use crate::enforcement::testing::field_name;
    use crate::policy::SubjectSet;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int32, true),
            Field::new("t", DataType::Utf8View, true),
            Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true),
            Field::new("d", DataType::Date32, true),
        ]))
    }

    /// Which of the rows are visible.
    fn visible(predicate: &Predicate, columns: Vec<ArrayRef>) -> Vec<bool> {
        let batch = RecordBatch::try_new(schema(), columns).unwrap();
        let expr = compile(predicate, &schema()).unwrap();
        let state = SessionContext::new().state();
        let physical = state.create_physical_expr(expr, &DFSchema::try_from(schema()).unwrap()).unwrap();
        let truth = physical.evaluate(&batch).unwrap().into_array(batch.num_rows()).unwrap();
        truth.as_boolean().iter().map(|truth| truth == Some(true)).collect()
    }

    fn columns(numbers: Vec<Option<i32>>, texts: Vec<Option<&str>>) -> Vec<ArrayRef> {
        let rows = numbers.len();
        vec![
            Arc::new(Int32Array::from(numbers)),
            Arc::new(StringViewArray::from(texts)),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_000_000); rows]).with_timezone("+00:00")),
            Arc::new(Date32Array::from(vec![Some(10); rows])),
        ]
    }

    fn compare(column: &str, op: CompareOp, value: Literal) -> Predicate {
        Predicate::Compare { column: field_name(column), op, value }
    }

    fn instant(seconds: i64, nanos: u32) -> Literal {
        Literal::Instant(DateTime::from_timestamp(seconds, nanos).unwrap())
    }

    #[test]
    fn unknown_hides_a_row_and_its_negation_too() {
        let numbers = || columns(vec![Some(1), None, Some(5)], vec![None; 3]);
        let less = compare("n", CompareOp::Lt, Literal::Int(3));
        assert_eq!(visible(&less, numbers()), [true, false, false]);
        assert_eq!(visible(&Predicate::Not(Box::new(less)), numbers()), [false, false, true]);
        let nothing = Predicate::In { column: field_name("n"), values: vec![] };
        assert_eq!(visible(&nothing, numbers()), [false; 3]);
        assert_eq!(visible(&Predicate::Not(Box::new(nothing)), numbers()), [true, false, true]);
    }

    #[test]
    fn a_zero_is_one_of_several_whatever_its_sign() {
        let schema = Arc::new(Schema::new(vec![Field::new("r", DataType::Float64, true)]));
        let ratios = [Some(0.0), Some(-0.0), Some(9.0), Some(0.5), None];
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Float64Array::from(ratios.to_vec()))]).unwrap();
        let state = SessionContext::new().state();
        for zero in [0.0, -0.0] {
            let values = [zero, 9.0, 10.0, 11.0, 12.0].map(Literal::Float).to_vec();
            let listed = compile(&Predicate::In { column: field_name("r"), values }, &schema).unwrap();
            let listed = state.create_physical_expr(listed, &DFSchema::try_from(Arc::clone(&schema)).unwrap()).unwrap();
            let truth = listed.evaluate(&batch).unwrap().into_array(batch.num_rows()).unwrap();
            let truth: Vec<Option<bool>> = truth.as_boolean().iter().collect();
            assert_eq!(truth, [Some(true), Some(true), Some(true), Some(false), None]);
        }
    }

    #[test]
    fn patterns_are_matched() {
        let texts = || columns(vec![None; 3], vec![Some("open-1"), Some("shut"), None]);
        assert_eq!(visible(&Predicate::Like { column: field_name("t"), pattern: "open_1".to_owned() }, texts()), [true, false, false]);
        assert_eq!(visible(&Predicate::Matches { column: field_name("t"), regex: "h.t$".to_owned() }, texts()), [false, true, false]);
    }

    #[test]
    fn unknown_and_present_are_what_they_say() {
        let numbers = || columns(vec![Some(1), None], vec![None; 2]);
        let present = Predicate::Present(field_name("n"));
        assert_eq!(visible(&present, numbers()), [true, false]);
        assert_eq!(visible(&Predicate::Not(Box::new(present)), numbers()), [false, false]);
        assert_eq!(visible(&Predicate::Unknown, numbers()), [false, false]);
        let either = Predicate::Or(vec![Predicate::Unknown, compare("n", CompareOp::Eq, Literal::Int(1))]);
        assert_eq!(visible(&either, numbers()), [true, false]);
    }

    #[test]
    fn a_text_is_folded_before_it_is_tested() {
        let texts = || columns(vec![None; 4], vec![Some("ÄB_c"), Some("äB_C"), None, Some("x")]);
        let folded = |case, test| Predicate::Folded { column: field_name("t"), case, test };
        let same = folded(LetterCase::Lower, TextTest::Compare(CompareOp::Eq, "äb_c".to_owned()));
        assert_eq!(visible(&same, texts()), [true, true, false, false]);
        assert_eq!(visible(&Predicate::Not(Box::new(same)), texts()), [false, false, false, true]);
        let like = folded(LetterCase::Upper, TextTest::Like("ÄB\\_%".to_owned()));
        assert_eq!(visible(&like, texts()), [true, true, false, false]);
        let ordered = folded(LetterCase::Upper, TextTest::Compare(CompareOp::Gt, "X".to_owned()));
        assert_eq!(visible(&ordered, texts()), [true, true, false, false]);
        let schema = Schema::new(vec![Field::new("n", DataType::Int32, true)]);
        let number = Predicate::Folded { column: field_name("n"), case: LetterCase::Lower, test: TextTest::Like("a".to_owned()) };
        assert_eq!(compile(&number, &schema).unwrap_err(), Uncompilable(field_name("n")));
    }

    #[test]
    fn columns_of_one_type_are_compared() {
        let schema = Schema::new(vec![
            Field::new("a", DataType::Int16, true),
            Field::new("b", DataType::Int64, true),
            Field::new("t", DataType::Utf8, true),
        ]);
        let less =
            |left: &str, right: &str| Predicate::CompareColumns { left: field_name(left), op: CompareOp::Lt, right: field_name(right) };
        assert!(compile(&less("a", "b"), &schema).is_ok());
        assert_eq!(compile(&less("a", "t"), &schema).unwrap_err(), Uncompilable(field_name("a")));
        let same = Predicate::CompareColumns { left: field_name("n"), op: CompareOp::Le, right: field_name("n") };
        assert_eq!(visible(&same, columns(vec![Some(1), None], vec![None; 2])), [true, false]);
    }

    #[test]
    fn membership_is_asked_of_the_set_and_shows_none_of_it() {
        let set = Arc::new(SubjectSet::new(["5".to_owned(), "secret-7".to_owned()]));
        let numbers = || columns(vec![Some(5), Some(6), None], vec![Some("secret-7 "), Some("x"), None]);
        for column in ["n", "t"] {
            let member = Predicate::Member { column: field_name(column), set: Arc::clone(&set) };
            assert_eq!(visible(&member, numbers()), [true, false, false], "{column}");
            assert_eq!(visible(&Predicate::Not(Box::new(member.clone())), numbers()), [false, true, false], "{column}");
            let expr = compile(&member, &schema()).unwrap();
            assert!(!format!("{expr} {expr:?}").contains("secret"), "{expr:?}");
        }
        let dates = Predicate::Member { column: field_name("d"), set };
        assert_eq!(compile(&dates, &schema()).unwrap_err(), Uncompilable(field_name("d")));
    }

    #[test]
    fn an_instant_between_two_values_moves_the_comparison() {
        // The column holds exactly one second; the instants lie half a microsecond before and behind.
        let one = || columns(vec![None], vec![None]);
        for (op, before, behind) in [
            (CompareOp::Ge, true, false),
            (CompareOp::Gt, true, false),
            (CompareOp::Le, false, true),
            (CompareOp::Lt, false, true),
            (CompareOp::Eq, false, false),
            (CompareOp::Ne, true, true),
        ] {
            assert_eq!(visible(&compare("ts", op, instant(0, 999_999_500)), one()), [before], "{op:?}");
            assert_eq!(visible(&compare("ts", op, instant(1, 500)), one()), [behind], "{op:?}");
        }
        assert_eq!(visible(&compare("ts", CompareOp::Ge, instant(1, 0)), one()), [true]);
    }

    #[test]
    fn a_date_is_compared_with_the_day_of_an_instant() {
        let day = || columns(vec![None], vec![None]);
        assert_eq!(visible(&compare("d", CompareOp::Ge, instant(10 * 86_400 + 5, 0)), day()), [true]);
        assert_eq!(visible(&compare("d", CompareOp::Ge, instant(11 * 86_400, 0)), day()), [false]);
    }

    #[test]
    fn what_does_not_fit_the_column_does_not_compile() {
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int16, true),
            Field::new("t", DataType::Utf8, true),
            Field::new("b", DataType::Boolean, true),
            Field::new("dec", DataType::Decimal128(6, 2), true),
        ]);
        for (column, value) in [
            ("n", Literal::Int(40_000)),
            ("n", Literal::String("1".to_owned())),
            ("n", Literal::Float(1.0)),
            ("t", instant(0, 0)),
            ("t", Literal::Int(1)),
            ("b", Literal::Int(1)),
            ("dec", Literal::Float(0.125)),
            ("dec", Literal::Int(10_000)),
            ("missing", Literal::Int(1)),
        ] {
            let predicate = compare(column, CompareOp::Ge, value.clone());
            assert_eq!(compile(&predicate, &schema).unwrap_err(), Uncompilable(field_name(column)), "{value:?}");
        }
        let broken = Predicate::Matches { column: field_name("t"), regex: "(".to_owned() };
        assert!(compile(&broken, &schema).is_err());
    }

    #[test]
    fn decimals_are_taken_exactly() {
        let field = Field::new("dec", DataType::Decimal128(6, 2), true);
        for (value, unscaled) in [(Literal::Int(-12), -1_200), (Literal::Float(0.5), 50), (Literal::String("-12.3".to_owned()), -1_230)] {
            let converted = convert(&value, &field).unwrap();
            assert_eq!(converted.value, ScalarValue::Decimal128(Some(unscaled), 6, 2));
        }
    }

    /// One part that has the deciding value decides; else an unknown one leaves it unknown.
    fn decided(all: &[Predicate], number: Option<i32>, deciding: bool) -> Option<bool> {
        let parts: Vec<Option<bool>> = all.iter().map(|one| naive(one, number)).collect();
        if parts.contains(&Some(deciding)) {
            Some(deciding)
        } else if parts.contains(&None) {
            None
        } else {
            Some(!deciding)
        }
    }

    /// SQL's truth, worked out by hand.
    fn naive(predicate: &Predicate, number: Option<i32>) -> Option<bool> {
        match predicate {
            Predicate::True => Some(true),
            Predicate::False => Some(false),
            Predicate::Compare { op, value: Literal::Int(value), .. } => {
                let order = i64::from(number?).cmp(value);
                Some(match op {
                    CompareOp::Eq => order.is_eq(),
                    CompareOp::Ne => order.is_ne(),
                    CompareOp::Lt => order.is_lt(),
                    CompareOp::Le => order.is_le(),
                    CompareOp::Gt => order.is_gt(),
                    CompareOp::Ge => order.is_ge(),
                })
            }
            Predicate::IsNull(_) => Some(number.is_none()),
            Predicate::In { values, .. } => {
                let number = i64::from(number?);
                Some(values.contains(&Literal::Int(number)))
            }
            Predicate::And(all) => decided(all, number, false),
            Predicate::Or(all) => decided(all, number, true),
            Predicate::Not(inner) => naive(inner, number).map(|truth| !truth),
            other => panic!("not generated: {other:?}"),
        }
    }

    fn predicates() -> impl Strategy<Value = Predicate> {
        let op = prop::sample::select(vec![CompareOp::Eq, CompareOp::Ne, CompareOp::Lt, CompareOp::Le, CompareOp::Gt, CompareOp::Ge]);
        let leaf = prop_oneof![
            Just(Predicate::True),
            Just(Predicate::False),
            Just(Predicate::IsNull(field_name("n"))),
            (op, -3i64..4).prop_map(|(op, value)| compare("n", op, Literal::Int(value))),
            prop::collection::vec(-3i64..4, 0..3)
                .prop_map(|values| Predicate::In { column: field_name("n"), values: values.into_iter().map(Literal::Int).collect() }),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Predicate::And),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Predicate::Or),
                inner.prop_map(|inner| Predicate::Not(Box::new(inner))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_compiled_predicate_agrees_with_the_naive_one(predicate in predicates(), numbers in prop::collection::vec(prop::option::of(-4i32..5), 1..8)) {
            let expected: Vec<bool> = numbers.iter().map(|number| naive(&predicate, *number) == Some(true)).collect();
            let rows = numbers.len();
            prop_assert_eq!(visible(&predicate, columns(numbers, vec![None; rows])), expected);
        }
    }
}
