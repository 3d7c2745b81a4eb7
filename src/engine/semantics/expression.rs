//! One expression at a time: what stands for an operator, a literal or an aggregate of the engine.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Between, BinaryExpr, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

use crate::engine::TimeZone;
use crate::error::SqlState;

use super::alike::{self, Form};
use super::exact::Kind;
use super::fields::Field;
use super::function::Result;
use super::{
    Facts, aggregates, apart, arithmetic, bits, blanks, carried, casts, chosen, counts, fields, floats, function, infinite, json_build,
    json_edit, literals, matching, meanings, number_text, numbers, numeric, octets, parse, regs, rounding, signatures, sought, spaced,
    spans, temporal, text, truncation, typed, typed_rows,
};

pub(super) fn rewritten(expr: Expr, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    let done = infinite::apart(expr)?.transform_up(|expr| one(expr, schema, facts).map(Transformed::yes))?.data;
    parse::raised(&done)?;
    Ok(done)
}

/// What computes with its arguments; what only shows or counts them is not in it.
fn computed_of(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::BinaryExpr(binary) => vec![&binary.left, &binary.right],
        Expr::Between(between) => vec![&between.expr, &between.low, &between.high],
        Expr::InList(list) => std::iter::once(list.expr.as_ref()).chain(&list.list).collect(),
        Expr::Negative(inner) => vec![inner],
        Expr::Case(case) => case.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(case.else_expr.as_deref()).collect(),
        Expr::AggregateFunction(call) if call.func.name() != "count" => call.params.args.iter().collect(),
        Expr::WindowFunction(call) => call.params.args.iter().collect(),
        Expr::ScalarFunction(call)
            if !matches!(
                call.func.name(),
                "numeric" | numeric::UNCONSTRAINED | "text" | "concat" | "concat_ws" | "format" | "pg_typeof"
            ) =>
        {
            call.args.iter().collect()
        }
        _ => Vec::new(),
    }
}

fn one(expr: Expr, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    function::in_time()?;
    if let Some(folded) = infinite::folded(&expr, schema, facts)? {
        return Ok(folded);
    }
    let expr = if facts.lenient { expr } else { floats::beside(expr, schema) };
    typed::bounded(&computed_of(&expr), schema, carried::allowed(&expr))?;
    Ok(match expr {
        Expr::Literal(value, metadata) => literals::typed(value, metadata),
        Expr::BinaryExpr(binary) => operator(carried::beside(binary, schema, facts), schema, facts)?,
        Expr::Not(inner) => matching::truth("NOT", *inner, schema, facts).map(|inner| Expr::Not(Box::new(inner)))?,
        Expr::Like(like) => {
            matching::liked(&like, schema, facts)?;
            Expr::Like(like)
        }
        Expr::IsNull(row) => of_row(&row, true).unwrap_or(Expr::IsNull(row)),
        Expr::IsNotNull(row) => of_row(&row, false).unwrap_or(Expr::IsNotNull(row)),
        Expr::Case(case) => matching::case(sought::selected(case, schema, facts), schema, facts)?,
        Expr::Negative(inner) if inner.get_type(schema).is_ok_and(|found| found.is_signed_integer()) => match inner.as_ref() {
            Expr::Literal(value, _) => literals::negated(value).map_or(Expr::Negative(inner), |value| Expr::Literal(value, None)),
            _ => arithmetic::negated(*inner),
        },
        Expr::Cast(cast) => match cast.expr.to_field(schema) {
            Ok((_, from)) => casts::rewritten(cast, &from, facts)?,
            Err(_) => Expr::Cast(cast),
        },
        Expr::Between(between) => {
            let Between { expr, negated, low, high } = between;
            matching::comparable(&expr, Operator::GtEq, &low, schema, facts)?;
            matching::comparable(&expr, Operator::LtEq, &high, schema, facts)?;
            let beside = |bound: Box<Expr>| Box::new(beside(*bound, &expr, schema, facts));
            let (low, high) = (beside(low), beside(high));
            Expr::Between(Between { expr, negated, low, high })
        }
        Expr::InList(list) => sought::listed(list, schema, facts)?,
        Expr::InSubquery(within) => sought::within(within, schema)?,
        Expr::AggregateFunction(call) => Expr::AggregateFunction(aggregates::aggregated(call, schema, facts)?),
        Expr::WindowFunction(call) => Expr::WindowFunction(Box::new(aggregates::windowed(*call, schema, facts)?)),
        Expr::ScalarFunction(call) => called(blanks::argued(call, schema), schema, facts)?,
        other => other,
    })
}

/// A row is NULL if all of its columns are, and is not if none of them is.
fn of_row(row: &Expr, null: bool) -> Option<Expr> {
    let row = match row {
        // That of an outer join, which is NULL where all of its columns are.
        Expr::Case(case) if case.expr.is_none() && case.when_then_expr.iter().all(|(_, then)| constant(then)) => {
            case.else_expr.as_deref()?
        }
        row => row,
    };
    let Expr::ScalarFunction(call) = row else { return None };
    let members: Vec<&Expr> = match call.func.name() {
        "struct" | "row" => call.args.iter().collect(),
        "named_struct" => call.args.iter().skip(1).step_by(2).collect(),
        _ => return None,
    };
    let one = |member: &Expr| if null { member.clone().is_null() } else { member.clone().is_not_null() };
    members.into_iter().map(one).reduce(Expr::and)
}

/// A function that PostgreSQL means otherwise, by its name and the types of its arguments.
fn called(call: ScalarFunction, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    if let Some(value) = apart::value(&call) {
        return Ok(value.clone());
    }
    let call = of_jsonb(sought::searched(of_octets(call, schema, facts)?, schema, facts));
    signatures::check(&call, schema, facts)?;
    let mut call = match made(rounding::argued(call, schema, facts), schema, facts) {
        Ok(done) => return Ok(done),
        Err(call) => call,
    };
    let name = call.func.name();
    let type_of = |at: usize| call.args.get(at).and_then(|arg| arg.get_type(schema).ok());
    let replaced = match name {
        "concat" | "concat_ws" | "format" => {
            call.args = call.args.into_iter().map(|arg| shown(arg, schema, facts, true)).collect();
            None
        }
        "round" if call.args.len() == 1 && type_of(0).is_some_and(|found| found.is_floating()) => {
            Some(numeric::even().call(std::mem::take(&mut call.args)))
        }
        // PostgreSQL counts them as integers; what has no elements has no length and no bounds.
        "cardinality" | "array_length" | "array_position" | "array_upper" | "array_lower" | "array_ndims"
            if type_of(0).is_some_and(|found| found.is_nested()) =>
        {
            let bare = matches!(name, "cardinality" | "array_position");
            let counted = datafusion::logical_expr::cast(Expr::ScalarFunction(call), DataType::Int32);
            let zero = Expr::Literal(ScalarValue::Int32(Some(0)), None);
            return Ok(if bare { counted } else { datafusion::functions::core::expr_fn::nullif(counted, zero) });
        }
        "meshgate_taken" | "meshgate_skipped" | "date_bin" => argued(&mut call, schema, facts).map(|()| None)?,
        "jsonb_set" | "jsonb_insert" | "json_object" | "jsonb_object" | "array_element" | "to_number" => {
            return by_constants(call, schema);
        }
        sought::ANY | "array_has" => return sought::among(std::mem::take(&mut call.args), schema, facts),
        "to_hex" if type_of(0).is_some_and(|found| matches!(found, DataType::Int16 | DataType::Int32)) => {
            call.args = call.args.into_iter().map(four_bytes).collect();
            None
        }
        "gcd" | "lcm" if [type_of(0), type_of(1)].into_iter().flatten().all(|found| matches!(found, DataType::Int16 | DataType::Int32)) => {
            return Ok(datafusion::logical_expr::cast(Expr::ScalarFunction(call), DataType::Int32));
        }
        "round" | "ceil" | "floor" | "trunc" if call.args.len() == 1 => match type_of(0) {
            Some(found) if is_exact(&found) => return Ok(to_whole(call, &found)),
            _ => None,
        },
        "sqrt" | "exp" | "acos" | "asin" | "acosh" | "atanh" | "power" | "pow" | "ln" | "log" | "log10" => {
            let types: Vec<DataType> = (0..call.args.len()).filter_map(type_of).collect();
            mathematical(name, &types, &mut call.args)
        }
        "coalesce" | "greatest" | "least" => return chosen::among(call, schema, facts),
        "nullif" => return sought::differing(&call, schema, facts),
        "pg_typeof" if call.args.iter().all(untyped) => Some(regs::unknown()),
        numeric::AVERAGE => Some(mean(std::mem::take(&mut call.args), schema)?),
        numeric::UNCONSTRAINED_LIST => call.args.first().and_then(|arg| casts::numeric_list(arg, facts)),
        numeric::UNCONSTRAINED => call.args.first().and_then(|arg| unconstrained(arg, schema, facts)),
        "array_to_string" => call.args.first_mut().and_then(|list| put_together(list, schema, facts)),
        "generate_series" | "meshgate_generate_series" => spaced::called(&call.args, schema, facts)?,
        "date_trunc" => match type_of(1) {
            Some(found) => truncation::truncated(&call.args, &found, facts).transpose()?,
            None => None,
        },
        "date_part" | fields::EXTRACT => match (call.args.as_slice(), type_of(1)) {
            ([field, value], Some(found)) => Some(field_of(field, value, &found, name == "date_part", facts)?),
            _ => None,
        },
        _ => None,
    };
    Ok(replaced.unwrap_or(Expr::ScalarFunction(call)))
}

/// Arguments that are read before the call is planned: counts of rows, the width of date_bin().
fn argued(call: &mut ScalarFunction, schema: &DFSchema, facts: Facts) -> Result<()> {
    let word = match call.func.name() {
        "meshgate_taken" => "LIMIT",
        "meshgate_skipped" => "OFFSET",
        _ => {
            let Some(width) = call.args.first_mut() else { return Ok(()) };
            *width = casts::literal_as(std::mem::take(width), &temporal::interval(), facts);
            return truncation::binned(width);
        }
    };
    let counted = |rows| counts::counted(word, rows, schema, facts);
    call.args = std::mem::take(&mut call.args).into_iter().map(counted).collect::<Result<_>>()?;
    Ok(())
}

/// A whole number, or a numeric with digits behind the point.
fn is_exact(found: &DataType) -> bool {
    found.is_integer() || matches!(found, DataType::Decimal128(_, 1..))
}

/// A number of that type that is rounded to a whole one: of whole numbers a floating-point number, of numerics a numeric.
fn to_whole(mut call: ScalarFunction, of: &DataType) -> Expr {
    let DataType::Decimal128(precision, scale) = *of else {
        return datafusion::logical_expr::cast(Expr::ScalarFunction(call), DataType::Float64);
    };
    // The engine keeps the type, in which the next whole number may have no room.
    if precision < numeric::PRECISION_MAX {
        let roomy = DataType::Decimal128(precision + 1, scale);
        call.args = call.args.into_iter().map(|arg| datafusion::logical_expr::cast(arg, roomy.clone())).collect();
    }
    datafusion::logical_expr::cast(Expr::ScalarFunction(call), numeric::whole(precision, scale))
}

/// Rows; arrays, and elements of them, of types that are texts to the engine; any other call is given back.
fn made(call: ScalarFunction, schema: &DFSchema, facts: Facts) -> std::result::Result<Expr, ScalarFunction> {
    Ok(match call.func.name() {
        "struct" if !facts.lenient => typed_rows::of_values(call.args),
        "array_has_all" | "array_has_any" => sought::overlapping(call, schema),
        "make_array" => array(call, schema),
        "meshgate_mode" | "meshgate_percentile_disc" => picked(call, schema),
        "array_sort" if list_kind(&call, schema) == Some("_jsonb") => {
            typed::known(Expr::ScalarFunction(ScalarFunction::new_udf(json_edit::sorted().udf(), call.args)), "_jsonb")
        }
        "array_sort" | "array_slice" | "array_remove" | "array_remove_all" | "array_replace_all" | "array_append" | "trim_array" => {
            as_first(call, schema)
        }
        _ => return Err(call),
    })
}

/// `ARRAY[…]` of values of one type that is a text to the engine.
fn array(call: ScalarFunction, schema: &DFSchema) -> Expr {
    let kind = |value: &Expr| value.to_field(schema).ok().and_then(|(_, field)| typed::list_of(&field));
    let kinds: Vec<Option<&'static str>> = call.args.iter().filter(|value| !constant(value)).map(kind).collect();
    match kinds.as_slice() {
        [Some(first), rest @ ..] if rest.iter().all(|kind| *kind == Some(*first)) => typed::known(Expr::ScalarFunction(call), first),
        _ => Expr::ScalarFunction(call),
    }
}

/// The type of the array that is the first argument, if that is a text to the engine.
fn list_kind(call: &ScalarFunction, schema: &DFSchema) -> Option<&'static str> {
    let list = call.args.first().and_then(|list| list.to_field(schema).ok());
    list.and_then(|(_, list)| typed::list_kind(&list))
}

/// An array that is of the type of another one.
fn as_first(call: ScalarFunction, schema: &DFSchema) -> Expr {
    match list_kind(&call, schema) {
        Some(kind) => typed::known(Expr::ScalarFunction(call), kind),
        None => Expr::ScalarFunction(call),
    }
}

/// An element of an array, which is of the type of its elements.
fn picked(call: ScalarFunction, schema: &DFSchema) -> Expr {
    let list = call.args.first().and_then(|list| list.to_field(schema).ok());
    match list.and_then(|(_, list)| typed::element_of(&list)) {
        Some(kind) => typed::known(Expr::ScalarFunction(call), kind),
        None => Expr::ScalarFunction(call),
    }
}

/// A text constant among bytes is bytes; another text is none.
fn of_octets(mut call: ScalarFunction, schema: &DFSchema, facts: Facts) -> Result<ScalarFunction> {
    // What the engine makes of `position(part IN text)`.
    if Arc::ptr_eq(&call.func, &datafusion::functions::unicode::strpos()) {
        call.func = octets::strpos();
    }
    let name = call.func.name();
    let place = match name {
        name if octets::OF_BYTES.contains(&name) => 0,
        name if octets::OF_BYTES_ALONE.contains(&name) => 1,
        _ => return Ok(call),
    };
    let types: Vec<DataType> = call.args.iter().filter_map(|arg| arg.get_type(schema).ok()).collect();
    let bytes = place == 0 || types.first().is_some_and(DataType::is_binary);
    match call.args.get_mut(place) {
        Some(value) if bytes && casts::text_literal(value) => {
            *value = casts::literal_as(std::mem::take(value), &DataType::Binary, facts);
        }
        Some(_) if bytes && types.get(place).is_some_and(DataType::is_string) => return Err(function::missing(name, &types)),
        _ => {}
    }
    Ok(call)
}

/// A text constant that a function of jsonb takes has the one form that a jsonb has.
fn of_jsonb(mut call: ScalarFunction) -> ScalarFunction {
    let made_of_others = ["jsonb_build_object", "jsonb_build_array", "jsonb_object"];
    let name = call.func.name();
    if name.starts_with("jsonb_")
        && !made_of_others.contains(&name)
        && let Some(value) = call.args.first_mut().filter(|value| casts::text_literal(value))
    {
        *value = json_build::read(true).call(vec![std::mem::take(value)]);
    }
    call
}

/// An integer as the whole number that its four bytes are.
fn four_bytes(value: Expr) -> Expr {
    let mask = Expr::Literal(ScalarValue::Int64(Some(i64::from(u32::MAX))), None);
    plain(datafusion::logical_expr::cast(value, DataType::Int64), Operator::BitwiseAnd, mask)
}

/// `x::numeric` of what is one already, or of a constant.
fn unconstrained(value: &Expr, schema: &DFSchema, facts: Facts) -> Option<Expr> {
    match typed::field_of(value, schema) {
        Some(field) if typed::named(&field) == Some("numeric") || matches!(field.data_type(), DataType::Decimal256(..)) => {
            Some(value.clone())
        }
        _ => casts::numeric_constant(value, facts),
    }
}

/// A function that constants among its arguments tell more of: paths of texts, places, templates.
fn by_constants(mut call: ScalarFunction, schema: &DFSchema) -> Result<Expr> {
    match call.func.name() {
        "json_object" | "jsonb_object" => call.args = call.args.into_iter().map(meanings::path).collect(),
        "array_element" => {
            if let Some(member) = element(&mut call.args, schema) {
                return Ok(member);
            }
            return Ok(picked(call, schema));
        }
        "to_number" => {
            if let [Some(text), Some(template)] = [0, 1].map(|at| call.args.get(at).and_then(casts::text_of)) {
                return numbers::constant_number(text, template).map(|number| Expr::Literal(number, None));
            }
            let scale = call.args.get(1).and_then(casts::text_of).and_then(number_text::scale).and_then(|scale| i8::try_from(scale).ok());
            if let Some(scale) = scale.filter(|scale| *scale <= 16) {
                return Ok(datafusion::logical_expr::cast(Expr::ScalarFunction(call), DataType::Decimal128(38, scale)));
            }
        }
        _ => {
            if let Some(path) = call.args.get_mut(1) {
                *path = meanings::path(std::mem::take(path));
            }
        }
    }
    Ok(Expr::ScalarFunction(call))
}

/// `x[n]`: of a jsonb its member; of an array NULL below 1, where the engine counts from the end.
fn element(args: &mut Vec<Expr>, schema: &DFSchema) -> Option<Expr> {
    let [value, place] = args.as_slice() else { return None };
    if meanings::json_kind(value, schema) == Some(true) {
        return Some(meanings::json_member(value.clone(), place.clone()));
    }
    let known = match place {
        Expr::Literal(place, _) => Some(place),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(place, _) => Some(place),
            _ => None,
        },
        _ => None,
    };
    let known = known.and_then(|place| place.cast_to(&DataType::Int64).ok());
    if !matches!(known, Some(ScalarValue::Int64(Some(1..)))) {
        let zero = Expr::Literal(ScalarValue::Int64(Some(0)), None);
        let place = args.pop()?;
        args.push(datafusion::functions::core::expr_fn::greatest(vec![place, zero]));
    }
    None
}

/// A function that fails where the engine's answers infinity or no number, or that is exact.
fn mathematical(name: &str, types: &[DataType], args: &mut Vec<Expr>) -> Option<Expr> {
    let exact =
        types.iter().any(|found| matches!(found, DataType::Decimal128(..))) && types.iter().all(|found| numeric::of(found).is_some());
    let kind = match name {
        "exp" => Some(Kind::Exp),
        "ln" => Some(Kind::Ln),
        "log10" => Some(Kind::Log),
        "log" if args.len() == 2 => Some(Kind::Log),
        "power" | "pow" if args.len() == 2 => Some(Kind::Power),
        _ => None,
    };
    // There is a logarithm to any base of numerics alone.
    let exact = exact || name == "log" && types.iter().all(|found| numeric::of(found).is_some());
    if let Some(kind) = kind.filter(|_| exact) {
        let mut args = std::mem::take(args);
        if name == "log10" {
            args.insert(0, Expr::Literal(ScalarValue::Int32(Some(10)), None));
        }
        return Some(kind.constant(&args).unwrap_or_else(|| kind.function().call(args)));
    }
    let function = match name {
        "sqrt" if exact => numeric::root(),
        "sqrt" => numbers::root(),
        "power" | "pow" if args.len() == 2 => numbers::power(),
        name => numbers::bounded(name)?,
    };
    Some(function.call(std::mem::take(args)))
}

/// `avg(x)` of its sum and its count.
fn mean(args: Vec<Expr>, schema: &DFSchema) -> Result<Expr> {
    let mut args = args.into_iter();
    let (Some(sum), Some(count)) = (args.next(), args.next()) else {
        return Err(function::fault(SqlState::INTERNAL_ERROR, "a mean without its sum"));
    };
    let found = sum.get_type(schema)?;
    Ok(match found {
        found if numeric::of(&found).is_some() => numeric::mean().call(vec![sum, count]),
        DataType::Interval(_) => temporal::divided(sum, count),
        _ => arithmetic::checked(Operator::Divide, sum, count),
    })
}

/// `extract(field from value)`, `date_part(field, value)`.
fn field_of(field: &Expr, value: &Expr, found: &DataType, float: bool, facts: Facts) -> Result<Expr> {
    let Some(text) = casts::text_of(field) else {
        return Err(function::fault(SqlState::FEATURE_NOT_SUPPORTED, "a field of a date or time must be a constant"));
    };
    let field = Field::parse(text).ok_or_else(|| function::fault(SqlState::INVALID_PARAMETER_VALUE, "unit is not recognized"))?;
    let function = fields::extracted(field, found, float, facts).ok_or_else(|| {
        let name = crate::engine::PgType::of_arrow_type(found).format().unwrap_or_default();
        function::fault(SqlState::FEATURE_NOT_SUPPORTED, &format!("this unit is not supported for type {name}"))
    })?;
    Ok(function.call(vec![value.clone()]))
}

/// A value as text where PostgreSQL's text differs from the engine's.
fn shown(expr: Expr, schema: &DFSchema, facts: Facts, letters: bool) -> Expr {
    match expr.get_type(schema) {
        Ok(found) if casts::styled(&found, facts).is_some() => casts::styled(&found, facts).unwrap_or(expr),
        Ok(found) if text::differs(&found) => text::text(facts).call(vec![expr]),
        Ok(DataType::Boolean) if letters => text::letter().call(vec![expr]),
        _ => expr,
    }
}

/// Has the elements of an array written as PostgreSQL writes them before they are put together; answers the refusal of what cannot be.
fn put_together(list: &mut Expr, schema: &DFSchema, facts: Facts) -> Option<Expr> {
    let found = list.get_type(schema).ok()?;
    let leaf = text::leaf(&found)?;
    if let Some(fault) = casts::styled(leaf, facts) {
        return Some(fault);
    }
    if text::differs(leaf) || *leaf == DataType::Boolean {
        *list = text::elements(facts).call(vec![std::mem::take(list)]);
    }
    None
}

/// What stands for an operator.
pub(super) fn operator(binary: BinaryExpr, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    let BinaryExpr { left, op, right } = blanks::operands(binary, schema);
    let (left, right) = (*left, *right);
    if matches!(op, Operator::And | Operator::Or) {
        let word = if op == Operator::And { "AND" } else { "OR" };
        return Ok(plain(matching::truth(word, left, schema, facts)?, op, matching::truth(word, right, schema, facts)?));
    }
    let (Ok(left_type), Ok(right_type)) = (left.get_type(schema), right.get_type(schema)) else { return Ok(plain(left, op, right)) };
    let compares = matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    );
    if compares {
        return compared(left, op, right, schema, facts);
    }
    Ok(match op {
        // Arrays and bytes are joined as they are.
        Operator::StringConcat
            if [&left_type, &right_type].into_iter().any(|found| found.is_nested())
                || joins_bytes(&left, &left_type, &right_type)
                || joins_bytes(&right, &right_type, &left_type) =>
        {
            let bytes = |side: Expr, other: &DataType| if other.is_binary() { casts::literal_as(side, other, facts) } else { side };
            plain(bytes(left, &right_type), op, bytes(right, &left_type))
        }
        Operator::StringConcat => {
            let (left, right) = (shown(left, schema, facts, false), shown(right, schema, facts, false));
            plain(left, op, right)
        }
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide => {
            computed((left, left_type), op, (right, right_type), facts)
        }
        Operator::BitwiseShiftLeft if left_type == DataType::Int16 => bits::shifted().call(vec![left, right]),
        op => plain(left, op, right),
    })
}

/// Whether a value is joined with bytes as bytes: it is bytes, or a constant; a text makes a text of them.
fn joins_bytes(value: &Expr, found: &DataType, other: &DataType) -> bool {
    other.is_binary() && (found.is_binary() || constant(value))
}

/// Whether it is a constant whose type nothing tells.
pub(super) fn constant(expr: &Expr) -> bool {
    casts::text_literal(expr) || matches!(expr, Expr::Literal(ScalarValue::Null, _))
}

/// A constant that nothing has given a type.
fn untyped(expr: &Expr) -> bool {
    constant(expr) && matches!(expr, Expr::Literal(_, None))
}

pub(super) fn compared(left: Expr, op: Operator, right: Expr, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    let (left, right) = sought::lists(left, right, schema);
    if interval(&left.get_type(schema)?) && interval(&right.get_type(schema)?) {
        return Ok(plain(spans::order().call(vec![left]), op, spans::order().call(vec![right])));
    }
    match (meanings::json_kind(&left, schema), meanings::json_kind(&right, schema)) {
        (None, None) => {}
        (Some(true), other) if other == Some(true) || casts::text_literal(&right) => return Ok(of_json(left, op, right)),
        (None, Some(true)) if casts::text_literal(&left) => return Ok(of_json(left, op, right)),
        _ if facts.lenient => {}
        (one, other) => {
            let name = |kind: Option<bool>| kind.map_or("text", |binary| if binary { "jsonb" } else { "json" });
            return Err(matching::missing(name(one), op, name(other)));
        }
    }
    if !facts.lenient
        && let Some((left, right)) = regs::compared(&left, op, &right, schema)?
    {
        return Ok(plain(left, op, right));
    }
    matching::comparable(&left, op, &right, schema, facts)?;
    let (left, right) = (beside(left.clone(), &right, schema, facts), beside(right, &left, schema, facts));
    Ok(plain(left, op, right))
}

/// jsonb values by their order; beside NULL by their keys.
fn of_json(left: Expr, op: Operator, right: Expr) -> Expr {
    let read = |side: Expr| if casts::text_literal(&side) { json_build::read(true).call(vec![side]) } else { side };
    let (left, right) = (read(left), read(right));
    if matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) {
        return plain(alike::key(Form::Json, left), op, alike::key(Form::Json, right));
    }
    let zero = Expr::Literal(ScalarValue::Int32(Some(0)), None);
    plain(json_edit::order().call(vec![left, right]), op, zero)
}

/// An expression that is compared with another one.
pub(super) fn beside(expr: Expr, other: &Expr, schema: &DFSchema, facts: Facts) -> Expr {
    let (Ok(own), Some(field)) = (expr.get_type(schema), typed::field_of(other, schema)) else { return expr };
    if typed::named(&field) == Some("uuid") && casts::text_of(&expr).is_some() {
        return typed::uuid_constant(expr);
    }
    let other = field.data_type().clone();
    let expr = if other == DataType::Date32 { midnight(expr, schema) } else { expr };
    casts::comparable(expr, &own, &other, facts)
}

/// A date and whole days or months is a timestamp at midnight, which beside a date is that date; so it can still prune files.
fn midnight(expr: Expr, schema: &DFSchema) -> Expr {
    let Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus), right }) = &expr else { return expr };
    let (Expr::Cast(cast), Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(span)), _)) = (left.as_ref(), right.as_ref()) else {
        return expr;
    };
    let whole = span.nanoseconds == 0 && matches!(cast.field.data_type(), DataType::Timestamp(_, None));
    if whole && cast.expr.get_type(schema).is_ok_and(|found| found == DataType::Date32) {
        return plain(cast.expr.as_ref().clone(), *op, right.as_ref().clone());
    }
    expr
}

fn plain(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
}

fn computed(left: (Expr, DataType), op: Operator, right: (Expr, DataType), facts: Facts) -> Expr {
    let ((left, left_type), (right, right_type)) = (left, right);
    if left_type.is_integer() && right_type.is_integer() {
        if op == Operator::Divide {
            return plain(left, op, right);
        }
        return arithmetic::checked(op, left, right);
    }
    if left_type.is_temporal() || right_type.is_temporal() || interval(&left_type) || interval(&right_type) {
        return calendar((left, left_type), op, (right, right_type), facts);
    }
    if (left_type.is_floating() || right_type.is_floating()) && left_type.is_numeric() && right_type.is_numeric() {
        return arithmetic::checked(op, left, right);
    }
    let (Some(left_digits), Some(right_digits)) = (numeric::of(&left_type), numeric::of(&right_type)) else {
        return plain(left, op, right);
    };
    match op {
        Operator::Divide => {
            let constant = match (&left, &right) {
                (Expr::Literal(left, _), Expr::Literal(right, _)) => numeric::constant_quotient(left, right),
                _ => None,
            };
            constant.map_or_else(|| numeric::quotient().call(vec![left, right]), |constant| Expr::Literal(constant, None))
        }
        Operator::Multiply if numeric::cut_scale(left_digits, right_digits).is_some() => numeric::product().call(vec![left, right]),
        op => plain(left, op, right),
    }
}

/// A sort key; intervals stand in the order of their lengths.
pub(super) fn sort_key(key: Expr, schema: &DFSchema) -> Expr {
    match key.get_type(schema) {
        Ok(found) if interval(&found) => spans::order().call(vec![key]),
        _ => key,
    }
}

pub(super) fn interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}

/// Arithmetic with dates, times and intervals.
fn calendar(left: (Expr, DataType), op: Operator, right: (Expr, DataType), facts: Facts) -> Expr {
    let ((left, left_type), (right, right_type)) = (left, right);
    let moment = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..));
    let zoned = |data_type: &DataType| matches!(data_type, DataType::Timestamp(_, Some(_)));
    let date = |data_type: &DataType| matches!(data_type, DataType::Date32);
    match op {
        Operator::Multiply if interval(&left_type) && right_type.is_numeric() => temporal::scaled().call(vec![left, right]),
        Operator::Multiply if left_type.is_numeric() && interval(&right_type) => temporal::scaled().call(vec![right, left]),
        Operator::Divide if interval(&left_type) && right_type.is_numeric() => temporal::divided(left, right),
        // A text beside a moment is an interval when it is added, and a moment when it is taken away from one.
        Operator::Plus if moment(&left_type) && casts::text_literal(&right) => {
            let right = casts::literal_as(right, &temporal::interval(), facts);
            calendar((left, left_type), op, (right, temporal::interval()), facts)
        }
        Operator::Plus | Operator::Minus if zoned(&left_type) && interval(&right_type) && facts.time_zone != TimeZone::default() => {
            truncation::moved(facts, op == Operator::Minus).call(vec![left, right])
        }
        Operator::Plus if interval(&left_type) && zoned(&right_type) => calendar((right, right_type), op, (left, left_type), facts),
        Operator::Plus | Operator::Minus if date(&left_type) && interval(&right_type) => plain(as_timestamp(left), op, right),
        Operator::Plus if interval(&left_type) && date(&right_type) => plain(left, op, as_timestamp(right)),
        Operator::Minus
            if moment(&left_type) && moment(&right_type)
                || moment(&left_type) && date(&right_type)
                || date(&left_type) && moment(&right_type) =>
        {
            let left = casts::comparable(left, &left_type, &right_type, facts);
            let right = casts::comparable(right, &right_type, &left_type, facts);
            temporal::difference().call(vec![left, right])
        }
        Operator::Minus if date(&left_type) && date(&right_type) => datafusion::logical_expr::cast(plain(left, op, right), DataType::Int32),
        op => plain(left, op, right),
    }
}

fn as_timestamp(date: Expr) -> Expr {
    datafusion::logical_expr::cast(date, DataType::Timestamp(TimeUnit::Microsecond, None))
}
