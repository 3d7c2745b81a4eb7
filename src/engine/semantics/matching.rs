//! Types that have to match: sides of comparisons, branches of CASE, arguments of COALESCE, queries of a UNION.
//!
//! A text constant is of the type beside it; a text that is no constant is a text, where the engine would read it as the other type.

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Case, InList, Like};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator};

use crate::engine::PgType;
use crate::error::SqlState;

use super::function::{Result, fault};
use super::{Facts, carried, casts, moments, numeric, typed};

/// Types that may stand beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Text,
    Number,
    Truth,
    Moment,
    Time,
    Span,
    Bytes,
    Uuid,
    List,
}

/// A value's type as far as it decides what may stand beside it; `None` matches everything.
fn family(expr: &Expr, schema: &DFSchema) -> Option<(Family, String)> {
    let unknown = match expr {
        Expr::Literal(value, _) => value.is_null(),
        Expr::Placeholder(_) => true,
        _ => false,
    };
    if unknown || casts::text_literal(expr) {
        return None;
    }
    let field = typed::field_of(expr, schema)?;
    let family = match field.data_type() {
        found if found.is_string() => match typed::named(&field) {
            None | Some("varchar" | "bpchar") => Family::Text,
            Some("uuid") => Family::Uuid,
            Some(_) => return None,
        },
        found if found.is_numeric() => Family::Number,
        DataType::Boolean => Family::Truth,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Family::Moment,
        DataType::Time32(_) | DataType::Time64(_) => Family::Time,
        DataType::Interval(_) | DataType::Duration(_) => Family::Span,
        found if found.is_binary() => Family::Bytes,
        found if found.is_list() => Family::List,
        _ => return None,
    };
    Some((family, PgType::of_arrow(&field).with_typmod(-1).format().unwrap_or_default()))
}

/// Refuses to compare what PostgreSQL has no operator for.
pub(super) fn comparable(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema, facts: Facts) -> Result<()> {
    if facts.lenient {
        return Ok(());
    }
    match (family(left, schema), family(right, schema)) {
        (Some((one, left)), Some((other, right))) if one != other => Err(missing(&left, op, &right)),
        _ => Ok(()),
    }
}

/// `x IN (a, NULL)` is `x IN (a) OR NULL`: the engine forgets the NULL where it merges lists.
pub(super) fn among(list: InList) -> Expr {
    let null = |item: &Expr| matches!(item, Expr::Literal(value, _) if value.is_null());
    let InList { expr, list, negated } = list;
    let (nulls, known): (Vec<Expr>, Vec<Expr>) = list.into_iter().partition(null);
    let unknown = Expr::Literal(ScalarValue::Boolean(None), None);
    match (nulls.is_empty(), known.is_empty()) {
        (true, _) => Expr::InList(InList { expr, list: known, negated }),
        (false, true) => unknown,
        (false, false) if negated => Expr::InList(InList { expr, list: known, negated }).and(unknown),
        (false, false) => Expr::InList(InList { expr, list: known, negated }).or(unknown),
    }
}

/// An argument of AND, OR or NOT, which is a truth.
pub(super) fn truth(what: &str, value: Expr, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    if facts.lenient {
        return Ok(value);
    }
    if casts::text_literal(&value) {
        return Ok(casts::literal_as(value, &DataType::Boolean, facts));
    }
    match family(&value, schema) {
        Some((family, name)) if family != Family::Truth => {
            Err(fault(SqlState::DATATYPE_MISMATCH, &format!("argument of {what} must be type boolean, not type {name}")))
        }
        _ => Ok(value),
    }
}

/// Refuses aggregates of types that PostgreSQL has none for.
pub(super) fn aggregated(name: &str, args: &[Expr], schema: &DFSchema, facts: Facts) -> Result<()> {
    let Some((found, _)) = args.first().and_then(|arg| family(arg, schema)).filter(|_| !facts.lenient) else { return Ok(()) };
    let fits = match name {
        "string_agg" => matches!(found, Family::Text | Family::Bytes),
        "min" | "max" => !matches!(found, Family::Truth | Family::Uuid | Family::Bytes),
        _ => true,
    };
    if fits {
        return Ok(());
    }
    let types = args.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
    Err(super::function::missing(name, &types))
}

/// Refuses LIKE of what is no text.
pub(super) fn liked(like: &Like, schema: &DFSchema, facts: Facts) -> Result<()> {
    let texts = |side: &Option<(Family, String)>| side.as_ref().is_none_or(|(family, _)| *family == Family::Text);
    let (value, pattern) = (family(&like.expr, schema), family(&like.pattern, schema));
    let row = |side: &Expr| matches!(side.get_type(schema), Ok(DataType::Struct(_)));
    if facts.lenient || texts(&value) && texts(&pattern) && !row(&like.expr) && !row(&like.pattern) {
        return Ok(());
    }
    let name = |side: Option<(Family, String)>, expr: &Expr| match side {
        Some((_, name)) => name,
        None if row(expr) => "record".to_owned(),
        None => "unknown".to_owned(),
    };
    let op = match (like.negated, like.case_insensitive) {
        (false, false) => "~~",
        (true, false) => "!~~",
        (false, true) => "~~*",
        (true, true) => "!~~*",
    };
    let text = format!("operator does not exist: {} {op} {}", name(value, &like.expr), name(pattern, &like.pattern));
    Err(fault(SqlState::UNDEFINED_FUNCTION, &text))
}

/// Refuses to look for equal values among those of a type that has no equality, or to sort them: json.
pub(super) fn identified(field: &Field, what: &str, facts: Facts) -> Result<()> {
    if what == "ordering" && !facts.lenient {
        carried::ordered(typed::named(field))?;
    }
    if facts.lenient || typed::named(field) != Some("json") {
        return Ok(());
    }
    Err(fault(SqlState::UNDEFINED_FUNCTION, &format!("could not identify an {what} operator for type json")))
}

/// No operator is between these types.
pub(super) fn missing(left: &str, op: Operator, right: &str) -> datafusion::error::DataFusionError {
    let op = match op {
        Operator::NotEq => "<>".to_owned(),
        Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => "=".to_owned(),
        op => op.to_string(),
    };
    fault(SqlState::UNDEFINED_FUNCTION, &format!("operator does not exist: {left} {op} {right}"))
}

/// The values in the type that they have together. `what` is PostgreSQL's name of the construct.
pub(super) fn together(what: &str, values: Vec<Expr>, schema: &DFSchema, facts: Facts) -> Result<Vec<Expr>> {
    if facts.lenient {
        return Ok(values);
    }
    let known: Vec<(Family, String)> = values.iter().filter_map(|value| family(value, schema)).collect();
    let Some((first, name)) = known.first() else { return Ok(values) };
    if let Some((_, other)) = known.iter().find(|(family, _)| family != first) {
        return Err(unmatched(what, name, other));
    }
    if *first == Family::Text {
        return Ok(values);
    }
    let beside = values.iter().find(|value| family(value, schema).is_some()).and_then(|value| value.get_type(schema).ok());
    let Some(beside) = beside else { return Ok(values) };
    let known = values.iter().filter(|value| family(value, schema).is_some()).map(|value| value.get_type(schema));
    let known = known.collect::<Result<Vec<_>>>()?;
    if let Some(common) = moments::common(&known) {
        let of_common = |value: Expr| match value.get_type(schema) {
            Ok(found) if family(&value, schema).is_some() => moments::as_common(value, &found, &common, facts),
            _ => casts::literal_as(value, &common, facts),
        };
        return Ok(values.into_iter().map(of_common).collect());
    }
    let values: Vec<Expr> = values.into_iter().map(|value| casts::literal_as(value, &beside, facts)).collect();
    if *first != Family::Number {
        return Ok(values);
    }
    let types: Vec<DataType> = values.iter().map(|value| value.get_type(schema)).collect::<Result<_>>()?;
    let Some(common) = numeric::common(&types) else { return Ok(values) };
    Ok(values.into_iter().zip(types).map(|(value, found)| numeric::as_common(value, &found, &common)).collect())
}

fn unmatched(what: &str, one: &str, other: &str) -> datafusion::error::DataFusionError {
    fault(SqlState::DATATYPE_MISMATCH, &format!("{what} types {one} and {other} cannot be matched"))
}

/// The type by its name, where all values but constants are of one that is a text to the engine.
fn kind<'a>(values: impl Iterator<Item = &'a Expr>, schema: &DFSchema) -> Option<&'static str> {
    let unknown = |value: &&Expr| casts::text_literal(value) || matches!(value, Expr::Literal(value, _) if value.is_null());
    let mut kinds =
        values.filter(|value| !unknown(value)).map(|value| typed::field_of(value, schema).and_then(|field| typed::kind_of(&field)));
    let first = kinds.next()??;
    kinds.all(|kind| kind == Some(first)).then_some(first)
}

/// The branches of a CASE in one type; its conditions are truths.
pub(super) fn case(case: Case, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    let Case { expr, when_then_expr, else_expr } = case;
    if expr.is_none() {
        for (when, _) in &when_then_expr {
            if let Some((_, name)) = family(when, schema).filter(|(family, _)| *family != Family::Truth && !facts.lenient) {
                let text = format!("argument of CASE/WHEN must be type boolean, not type {name}");
                return Err(fault(SqlState::DATATYPE_MISMATCH, &text));
            }
        }
    }
    let (whens, thens): (Vec<_>, Vec<_>) = when_then_expr.into_iter().map(|(when, then)| (*when, *then)).unzip();
    let count = thens.len();
    // PostgreSQL looks at the type of ELSE first.
    let branches = else_expr.into_iter().map(|branch| *branch).chain(thens).collect();
    let mut branches = together("CASE", branches, schema, facts)?;
    let thens = branches.split_off(branches.len() - count);
    let kind = kind(branches.iter().chain(&thens), schema).filter(|_| !facts.lenient);
    let of_kind = |value: Expr| match kind {
        Some(kind) if casts::text_literal(&value) => typed::read(value.clone(), kind, None).unwrap_or(value),
        _ => value,
    };
    let whens = whens.into_iter().zip(thens).map(|(when, then)| (Box::new(when), Box::new(of_kind(then)))).collect();
    let chosen = Expr::Case(Case { expr, when_then_expr: whens, else_expr: branches.pop().map(of_kind).map(Box::new) });
    Ok(match kind {
        Some(kind) => typed::known(chosen, kind),
        None => chosen,
    })
}

/// The queries of a UNION with the text constants of each in the type of the others.
pub(super) fn united(inputs: Vec<LogicalPlan>, facts: Facts) -> Result<Vec<LogicalPlan>> {
    if facts.lenient {
        return Ok(inputs);
    }
    let width = inputs.first().map_or(0, |input| input.schema().fields().len());
    let mut inputs = inputs;
    for input in &inputs {
        let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        typed::bounded(&columns.iter().collect::<Vec<_>>(), input.schema(), false)?;
    }
    for at in 0..width {
        let columns: Vec<Option<Expr>> = inputs.iter().map(|input| column(input, at)).collect();
        let known = |input: &LogicalPlan, column: &Option<Expr>| match column {
            Some(literal) if casts::text_literal(literal) => None,
            _ => family(&Expr::Column(input.schema().columns().get(at)?.clone()), input.schema()),
        };
        let families: Vec<Option<(Family, String)>> = inputs.iter().zip(&columns).map(|(input, column)| known(input, column)).collect();
        let Some((first, name)) = families.iter().flatten().next() else { continue };
        if let Some((_, other)) = families.iter().flatten().find(|(family, _)| family != first) {
            return Err(unmatched("UNION", name, other));
        }
        if *first == Family::Text {
            one_text(&mut inputs, &columns, at)?;
            continue;
        }
        match first {
            Family::Number => one_type(&mut inputs, at)?,
            Family::Moment => one_moment(&mut inputs, &columns, at, facts)?,
            _ => {}
        }
        let place = families.iter().position(Option::is_some).unwrap_or(0);
        let Some(beside) = inputs.get(place).map(|input| input.schema().field(at).data_type().clone()) else { continue };
        for (input, column) in inputs.iter_mut().zip(columns) {
            if let (LogicalPlan::Projection(projection), Some(literal)) = (&*input, column)
                && casts::text_literal(&literal)
            {
                let mut exprs = projection.expr.clone();
                let name = projection.schema.field(at).name().clone();
                if let Some(slot) = exprs.get_mut(at) {
                    *slot = casts::literal_as(literal, &beside, facts).alias(name);
                }
                *input = LogicalPlanBuilder::from(projection.input.as_ref().clone()).project(exprs)?.build()?;
            }
        }
    }
    Ok(inputs)
}

/// A column of texts of several types is one of text.
fn one_text(inputs: &mut [LogicalPlan], columns: &[Option<Expr>], at: usize) -> Result<()> {
    let named = |input: &LogicalPlan| typed::named(input.schema().field(at)).map(str::to_owned);
    let names: Vec<Option<String>> = inputs.iter().map(named).collect();
    let mut known = names.iter().zip(columns).filter(|(_, column)| !column.as_ref().is_some_and(casts::text_literal));
    let first = known.next().map(|(name, _)| name.clone());
    if known.all(|(name, _)| Some(name) == first.as_ref()) {
        return Ok(());
    }
    for (input, _) in inputs.iter_mut().zip(names).filter(|(_, name)| name.is_some()) {
        let mut exprs: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let name = input.schema().field(at).name().clone();
        if let Some(slot) = exprs.get_mut(at) {
            *slot = typed::plain(std::mem::take(slot)).alias(name);
        }
        *input = LogicalPlanBuilder::from(input.clone()).project(exprs)?.build()?;
    }
    Ok(())
}

/// A column of moments in the type that they have together.
fn one_moment(inputs: &mut [LogicalPlan], columns: &[Option<Expr>], at: usize, facts: Facts) -> Result<()> {
    let literal = |column: &Option<Expr>| column.as_ref().is_some_and(casts::text_literal);
    let type_of = |input: &LogicalPlan| input.schema().field(at).data_type().clone();
    let types: Vec<DataType> = inputs.iter().zip(columns).filter(|(_, column)| !literal(column)).map(|(input, _)| type_of(input)).collect();
    let Some(common) = moments::common(types.iter().filter(|found| !found.is_null())) else { return Ok(()) };
    for (input, _) in inputs.iter_mut().zip(columns).filter(|(_, column)| !literal(column)) {
        let found = type_of(input);
        let mut exprs: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let name = input.schema().field(at).name().clone();
        if let Some(slot) = exprs.get_mut(at).filter(|_| !found.is_null()) {
            *slot = moments::as_common(std::mem::take(slot), &found, &common, facts).alias(name);
            *input = LogicalPlanBuilder::from(input.clone()).project(exprs)?.build()?;
        }
    }
    Ok(())
}

/// A column of numbers in the type that they have together.
fn one_type(inputs: &mut [LogicalPlan], at: usize) -> Result<()> {
    let types: Vec<DataType> = inputs.iter().map(|input| input.schema().field(at).data_type().clone()).collect();
    let Some(common) = numeric::common(&types.iter().filter(|found| found.is_numeric()).cloned().collect::<Vec<_>>()) else {
        return Ok(());
    };
    for (input, found) in inputs.iter_mut().zip(types).filter(|(_, found)| found.is_numeric() && *found != common) {
        let mut exprs: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let name = input.schema().field(at).name().clone();
        if let Some(slot) = exprs.get_mut(at) {
            *slot = numeric::as_common(std::mem::take(slot), &found, &common).alias(name);
        }
        *input = LogicalPlanBuilder::from(input.clone()).project(exprs)?.build()?;
    }
    Ok(())
}

/// What a query's column is made of, if the query is a SELECT.
fn column(input: &LogicalPlan, at: usize) -> Option<Expr> {
    match input {
        LogicalPlan::Projection(projection) => projection.expr.get(at).map(|expr| expr.clone().unalias()),
        _ => None,
    }
}
