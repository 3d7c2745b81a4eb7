//! A value that is looked for among others: IN, `= ANY (array)`, `CASE x WHEN`, NULLIF, `@>` and `&&` of arrays.
//!
//! All of them mean what `=` means. Where equal values may have other bits, their keys are compared; and an array of which the elements are
//! known is a list of values, so that sources can look for them.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::functions::core::expr_fn as core;
use datafusion::functions_nested::expr_fn::{array_has, flatten};
use datafusion::logical_expr::expr::{Case, InList, InSubquery, ScalarFunction};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder, Operator, ScalarUDF, cast, when};

use crate::engine::PgType;
use crate::error::SqlState;

use super::alike::{self, Form};
use super::expression::{beside, compared, constant};
use super::function::{Function, Result, fault};
use super::{Facts, casts, floats, json_build, matching, membership, moments, nearest, parse, typed};

/// The name of `value = ANY (array)`, with the array first, until the types are known.
pub(in crate::engine) const ANY: &str = "meshgate_any";

/// What the planner finds under that name; it never runs.
pub(super) fn any_of_array() -> Arc<ScalarUDF> {
    let takes = |types: &[DataType]| (types.len() == 2).then(|| types.to_vec());
    let computes = |_: &[arrow::array::ArrayRef], _rows: usize| Err(fault(SqlState::INTERNAL_ERROR, "internal error"));
    Function::new(ANY, takes, |_| Some(DataType::Boolean), computes).udf()
}

/// `nullif(a, b)` until the types are known, for the engine does not read a constant in quotes as what stands beside it.
pub(super) fn nullif() -> Arc<ScalarUDF> {
    let takes = |types: &[DataType]| (types.len() == 2).then(|| types.to_vec());
    let gives = |types: &[DataType]| match types {
        [one, other] if one.is_null() || one.is_string() && !other.is_string() && !other.is_null() => Some(other.clone()),
        types => types.first().cloned(),
    };
    let computes = |_: &[arrow::array::ArrayRef], _rows: usize| Err(fault(SqlState::INTERNAL_ERROR, "internal error"));
    Function::new("nullif", takes, gives, computes).udf()
}

/// `value IN (…)`.
pub(super) fn listed(list: InList, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    let InList { expr, list, negated } = list;
    for item in &list {
        matching::comparable(&expr, Operator::Eq, item, schema, facts)?;
    }
    let list: Vec<Expr> = list.into_iter().map(|item| beside(item, &expr, schema, facts)).collect();
    let (expr, list) = match keyed(*expr, list, schema) {
        (value, list, Some(Form::Float)) => of_floats(value, list),
        (value, list, _) => (value, list),
    };
    Ok(matching::among(InList { expr: Box::new(expr), list, negated }))
}

/// A value and others by their keys, but floating-point numbers, with the form that they are of.
fn keyed(value: Expr, others: Vec<Expr>, schema: &DFSchema) -> (Expr, Vec<Expr>, Option<Form>) {
    let form = std::iter::once(&value).chain(&others).find_map(|side| alike::form(side, schema));
    let key = |side: Expr| match form {
        Some(Form::Json) if casts::text_literal(&side) => alike::key(Form::Json, json_build::read(true).call(vec![side])),
        Some(form) if form != Form::Float && !matches!(side, Expr::Literal(ScalarValue::Null, _)) => alike::key(form, side),
        _ => side,
    };
    (key(value), others.into_iter().map(key).collect(), form)
}

/// Floating-point numbers that are looked for. Constants leave the value as it is, which a source can read.
fn of_floats(value: Expr, list: Vec<Expr>) -> (Expr, Vec<Expr>) {
    let mut list: Vec<Expr> = list.into_iter().map(folded).collect();
    if list.iter().all(|item| matches!(item, Expr::Literal(..))) {
        list.extend(zeros(&list));
        return (value, list);
    }
    let key = |side: Expr| alike::key(Form::Float, side);
    (key(value), list.into_iter().map(key).collect())
}

/// A constant that is cast to a number as that number.
fn folded(item: Expr) -> Expr {
    let number = match &item {
        Expr::Cast(cast) if cast.field.data_type().is_floating() => match cast.expr.as_ref() {
            Expr::Literal(value, _) => nearest::value(value, cast.field.data_type()).ok(),
            _ => None,
        },
        _ => None,
    };
    number.map_or(item, |number| Expr::Literal(number, None))
}

/// Both zeros, if one of the constants is one: the engine looks for the bits of a floating-point number.
fn zeros(list: &[Expr]) -> impl Iterator<Item = Expr> + use<> {
    let zero = |item: &Expr| match item {
        Expr::Literal(value, _) => value.cast_to(&DataType::Float64).is_ok_and(|value| matches!(value, ScalarValue::Float64(Some(0.0)))),
        _ => false,
    };
    let both: &[f64] = if list.iter().any(zero) { &[0.0, -0.0] } else { &[] };
    both.iter().map(|zero| Expr::Literal(ScalarValue::Float64(Some(*zero)), None))
}

/// `value IN (SELECT …)`; the engine joins with floating-point numbers as PostgreSQL does.
pub(super) fn within(within: InSubquery, schema: &DFSchema) -> Result<Expr> {
    let InSubquery { expr, subquery, negated } = within;
    let plan = subquery.subquery.as_ref();
    let column = plan.schema().columns().into_iter().next();
    let forms = [alike::form(&expr, schema), plan.schema().fields().first().and_then(|field| alike::form_of(field))];
    let form = forms.into_iter().flatten().find(|form| *form != Form::Float);
    let (Some(form), Some(column)) = (form, column) else {
        return Ok(Expr::InSubquery(InSubquery { expr, subquery, negated }));
    };
    let name = column.name().to_owned();
    let plan = LogicalPlanBuilder::from(plan.clone()).project([alike::key(form, Expr::Column(column)).alias(name)])?.build()?;
    let subquery = Subquery { subquery: Arc::new(plan), ..subquery };
    Ok(Expr::InSubquery(InSubquery { expr: Box::new(alike::key(form, *expr)), subquery, negated }))
}

/// `value = ANY (array)`.
pub(super) fn among(args: Vec<Expr>, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    let Ok([list, value]) = <[Expr; 2]>::try_from(args) else {
        return Err(fault(SqlState::INTERNAL_ERROR, "a membership of other than two arguments"));
    };
    if facts.lenient {
        return Ok(array_has(list, value));
    }
    let list = of_elements(list, &value, schema, facts);
    let of_list = list.get_type(schema)?;
    let list = if matches!(&of_list, DataType::List(element) if element.data_type().is_nested()) { flatten(list) } else { list };
    if let Some(items) = elements(&list) {
        let (value, items) = floats::among(value, items, schema);
        return listed(InList { expr: Box::new(value), list: items, negated: false }, schema, facts);
    }
    let value = match list.get_type(schema)? {
        DataType::List(element) => casts::literal_as(value, element.data_type(), facts),
        _ => value,
    };
    let (list, value) = match floats::common(&list.get_type(schema)?, &value.get_type(schema)?) {
        Some(common) => (as_type(list, &list_of(common.clone()), schema)?, as_type(value, &common, schema)?),
        None => (list, value),
    };
    if let Expr::Literal(ScalarValue::List(known), _) = &list
        && known.is_valid(0)
    {
        let known = known.value(0);
        if known.is_empty() {
            return Ok(Expr::Literal(ScalarValue::Boolean(Some(false)), None));
        }
        // The engine forgets a NULL where it makes a list of values of the array.
        if known.null_count() > 0 {
            let unknown = Expr::Literal(ScalarValue::Boolean(None), None);
            return Ok(found_in(list, value, schema)?.or(unknown));
        }
    }
    found_in(list, value, schema)
}

/// Whether a value is in a list of values of its type.
fn found_in(list: Expr, value: Expr, schema: &DFSchema) -> Result<Expr> {
    let varies = |part: &Expr| matches!(part, Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_));
    let varies = list.exists(|part| Ok(varies(part))).unwrap_or(true);
    let has = if varies { membership::within } else { array_has };
    Ok(match alike::form(&list, schema).or_else(|| alike::form(&value, schema)) {
        // What runs over columns looks at the keys of such numbers itself.
        Some(Form::Float) if varies => has(list, value),
        Some(Form::Float) => match with_zeros(&list) {
            Some(list) => has(list, value),
            None => has(alike::key(Form::Float, list), alike::key(Form::Float, value)),
        },
        Some(form) => has(alike::key(form, list), alike::key(form, value)),
        None => has(list, value),
    })
}

/// A value in another type, if that is not its own; a constant at once.
fn as_type(value: Expr, target: &DataType, schema: &DFSchema) -> Result<Expr> {
    if value.get_type(schema)? == *target {
        return Ok(value);
    }
    let known = if let Expr::Literal(known, _) = &value { nearest::value(known, target).ok() } else { None };
    Ok(known.map_or_else(|| cast(value, target.clone()), |known| Expr::Literal(known, None)))
}

/// A constant array with both zeros, if one of its numbers is one; `None` if it is no constant.
fn with_zeros(list: &Expr) -> Option<Expr> {
    let Expr::Literal(ScalarValue::List(known), _) = list else { return None };
    let numbers = arrow::compute::cast(known.values(), &DataType::Float64).ok()?;
    if !numbers.as_primitive_opt::<Float64Type>()?.iter().any(|number| number == Some(0.0)) {
        return Some(list.clone());
    }
    let zeros = arrow::compute::cast(&Float64Array::from(vec![0.0, -0.0]), known.values().data_type()).ok()?;
    let numbers = arrow::compute::concat(&[known.values().as_ref(), zeros.as_ref()]).ok()?;
    let offsets = OffsetBuffer::from_lengths([numbers.len()]);
    let field = Arc::new(Field::new_list_field(numbers.data_type().clone(), true));
    let list = ListArray::try_new(field, offsets, numbers, known.nulls().cloned()).ok()?;
    Some(Expr::Literal(ScalarValue::List(Arc::new(list)), None))
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

/// A constant in quotes as the array that it spells, whose elements are of the type of the value.
fn of_elements(list: Expr, value: &Expr, schema: &DFSchema, facts: Facts) -> Expr {
    let (Some(text), Some(field)) = (casts::text_of(&list), typed::field_of(value, schema)) else { return list };
    let pg_type = PgType::of_arrow(&field).with_typmod(-1).array();
    match parse::as_parameter(text, pg_type, &facts.time_zone) {
        Ok(known) => Expr::Literal(known, None),
        Err(message) => parse::failing(message, list_of(field.data_type().clone())),
    }
}

/// The elements of `ARRAY[…]`.
fn elements(list: &Expr) -> Option<Vec<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = list else { return None };
    match func.name() {
        "make_array" if !args.is_empty() => Some(args.clone()),
        // The same, which is known to be of a type.
        "meshgate_typed" => elements(args.first()?),
        _ => None,
    }
}

/// `CASE x WHEN a …` with keys in the place of the value and those that it may be.
pub(super) fn selected(case: Case, schema: &DFSchema, facts: Facts) -> Case {
    let Case { expr: Some(value), when_then_expr, else_expr } = case else { return case };
    let (whens, thens): (Vec<Expr>, Vec<_>) = when_then_expr.into_iter().map(|(when, then)| (*when, then)).unzip();
    let whens = whens.into_iter().map(|when| beside(when, &value, schema, facts)).collect();
    let (value, whens) = match keyed(*value, whens, schema) {
        (value, whens, Some(Form::Float)) => {
            let key = |side: Expr| alike::key(Form::Float, side);
            (key(value), whens.into_iter().map(key).collect())
        }
        (value, whens, _) => (value, whens),
    };
    let when_then_expr = whens.into_iter().map(Box::new).zip(thens).collect();
    Case { expr: Some(Box::new(value)), when_then_expr, else_expr }
}

/// `nullif(a, b)` of what is equal though it is not the same, and of moments of several types; the first keeps its type.
pub(super) fn differing(call: &ScalarFunction, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    let [value, other] = call.args.as_slice() else {
        return Err(fault(SqlState::INTERNAL_ERROR, "a comparison of other than two arguments"));
    };
    let kind = typed::field_of(value, schema).filter(|field| field.data_type().is_string());
    let kind = kind.and_then(|field| typed::kind_of(&field)).filter(|_| !constant(value));
    let known = |chosen: Expr| if let Some(kind) = kind { typed::known(chosen, kind) } else { chosen };
    let types: Vec<DataType> = call.args.iter().filter_map(|arg| arg.get_type(schema).ok()).collect();
    let form = alike::form(value, schema).or_else(|| alike::form(other, schema));
    Ok(match form {
        Some(Form::Float | Form::Span) if !types.iter().any(DataType::is_null) => {
            let (one, two) = (beside(value.clone(), other, schema, facts), beside(other.clone(), value, schema, facts));
            alike::nullif(one, two)
        }
        Some(Form::Json | Form::Filled) => {
            let same = compared(value.clone(), Operator::Eq, other.clone(), schema, facts)?;
            known(when(same, Expr::Literal(ScalarValue::Null, None)).otherwise(value.clone())?)
        }
        _ if moments::common(&types).is_some() || types.iter().any(DataType::is_list) => {
            let same = compared(value.clone(), Operator::Eq, other.clone(), schema, facts)?;
            when(same, Expr::Literal(ScalarValue::Null, None)).otherwise(value.clone())?
        }
        _ => {
            let (one, two) = (beside(value.clone(), other, schema, facts), beside(other.clone(), value, schema, facts));
            known(core::nullif(one, two))
        }
    })
}

/// Two lists by the keys of their elements.
pub(super) fn lists(left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    let nested = |side: &Expr| side.get_type(schema).is_ok_and(|found| found.is_list());
    if !nested(&left) || !nested(&right) {
        return (left, right);
    }
    match alike::form(&left, schema).or_else(|| alike::form(&right, schema)) {
        Some(form) => (alike::key(form, left), alike::key(form, right)),
        None => of_one_field(left, right, schema),
    }
}

/// Lists of lists of one type, whose fields may have other names: the engine compares them by those, too.
fn of_one_field(left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    let of = |side: &Expr| side.get_type(schema).ok();
    match (of(&left), of(&right)) {
        (Some(one), Some(other)) if one != other && of_one_shape(&one, &other) => (left, cast(right, one)),
        _ => (left, right),
    }
}

/// Whether two types are lists of lists of the same.
fn of_one_shape(one: &DataType, other: &DataType) -> bool {
    match (one, other) {
        (DataType::List(one), DataType::List(other)) => of_one_shape(one.data_type(), other.data_type()),
        (one, other) => one == other,
    }
}

/// Functions of an array and what may be an element of it.
const OF_ELEMENTS: [&str; 5] = ["array_position", "array_positions", "array_remove", "array_replace_all", "array_append"];

/// Constants in quotes among the arguments of such a function are of the type of the elements.
pub(super) fn searched(mut call: ScalarFunction, schema: &DFSchema, facts: Facts) -> ScalarFunction {
    if OF_ELEMENTS.contains(&call.func.name())
        && let Some(Ok(DataType::List(element))) = call.args.first().map(|list| list.get_type(schema))
        && !element.data_type().is_string()
    {
        call.args = call.args.into_iter().map(|arg| casts::literal_as(arg, element.data_type(), facts)).collect();
    }
    call
}

/// `@>` and `&&` of lists.
pub(super) fn overlapping(mut call: ScalarFunction, schema: &DFSchema) -> Expr {
    call.args = match <[Expr; 2]>::try_from(call.args) {
        Ok([one, other]) => {
            let (one, other) = lists(one, other, schema);
            vec![one, other]
        }
        Err(args) => args,
    };
    Expr::ScalarFunction(call)
}
