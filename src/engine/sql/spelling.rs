//! PostgreSQL's forms that the planner does not read, or reads otherwise, in forms that mean the same to it.
//!
//! INVARIANT: holds for statements over users' data, so each rewriting is exact; what cannot be said exactly is refused.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    GroupByExpr, Ident, LimitClause, ObjectName, Query, SelectItem, SetExpr, Statement, TableAlias, TableAliasColumnDef, TableFactor,
    UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::error::{ClientMessage, SqlState};

use super::{casting, modifiers, patterns};

pub(super) type Flow = ControlFlow<Box<ClientMessage>>;

/// Rewrites a statement in place, or answers why it cannot be done here.
pub(super) fn rewrite(statement: &mut Statement) -> Flow {
    statement.visit(&mut Spelling)
}

struct Spelling;

impl VisitorMut for Spelling {
    type Break = Box<ClientMessage>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        if let SetExpr::Table(table) = query.body.as_ref()
            && let Some(select) = whole_table(table)
        {
            query.body = select;
        }
        super::quoted::counts(query);
        super::windows::written_out(query);
        super::quantified::in_keys(query);
        super::using::ordered(query, &|_| None);
        super::whole_rows::counted(query);
        super::limits::numbered(query)?;
        super::ties::united(query)?;
        super::ties::numbered(&mut query.body)?;
        super::distinct_order::placed(query)?;
        super::spread_order::rewritten(query);
        super::steps::values(&mut query.body, &mut name_types);
        super::steps::mark(query);
        match query.fetch.take() {
            Some(fetch) => first_rows(query, fetch),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> Flow {
        super::windows::of_one(select);
        super::join_queries::behind(select);
        for window in &mut select.named_window {
            if let ast::NamedWindowExpr::WindowSpec(window) = &mut window.1 {
                super::frames::counted(window.window_frame.as_mut());
            }
        }
        super::one_group::made(select);
        super::members::spread(&mut select.projection);
        select.projection.iter_mut().for_each(super::quantified::in_list);
        [&mut select.selection, &mut select.having].into_iter().flatten().for_each(super::quantified::in_condition);
        super::quoted::conditions(select);
        super::tables::name_values(select);
        qualify_wildcards(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        super::arguments::spread(expr)?;
        if let Some(parts) = super::unions::apart(expr) {
            *expr = parts;
        }
        super::quoted::operands(expr);
        if super::quantified::too_deep(expr) {
            let message = ClientMessage::new(SqlState::STATEMENT_TOO_COMPLEX, "statement is too complex");
            return ControlFlow::Break(Box::new(
                message.with_detail("ANY and ALL nest too deeply in it.").with_hint("Split the statement."),
            ));
        }
        let respelled = match &*expr {
            Expr::UnaryOp { op, expr } => super::quantified::signed_power(*op, expr),
            Expr::CompoundFieldAccess { access_chain, .. } if super::members::asks_for_all(access_chain) => {
                return refuse("the columns of this value are not supported as a *; name them");
            }
            Expr::CompoundFieldAccess { .. } => match (super::members::respelled(expr), super::members::missing(expr)) {
                (None, Some(name)) => {
                    let text = format!("could not identify column \"{name}\" in record data type");
                    return ControlFlow::Break(Box::new(ClientMessage::new(SqlState::UNDEFINED_COLUMN, text)));
                }
                (respelled, _) => respelled,
            },
            Expr::Subquery(query) => super::outer_aggregates::value(query).map(|value| Expr::Nested(Box::new(value.clone()))),
            // Before what is inside them, so that nothing that is written twice is written twice again.
            Expr::BinaryOp { left, op, right } => super::rows::compared(left, op, right),
            Expr::InList { expr, list, negated } => super::rows::listed(expr, list, *negated),
            Expr::IsNull(row) => super::rows::known(row, true),
            Expr::IsNotNull(row) => super::rows::known(row, false),
            other => super::quantified::condition(other),
        };
        if let Some(respelled) = respelled {
            *expr = respelled;
        }
        match expr {
            Expr::Function(function) => {
                if let Some(ast::WindowType::WindowSpec(window)) = &mut function.over {
                    super::frames::counted(window.window_frame.as_mut());
                }
                super::arguments::of_call(function);
                super::offsets::constant(function)?;
                super::whole_rows::named(function);
                super::quantified::gathered(function);
            }
            // Whether there are rows does not hang on columns, which may be none.
            Expr::Exists { subquery, .. } => {
                if let SetExpr::Select(select) = subquery.body.as_mut()
                    && select.projection.is_empty()
                {
                    select.projection.push(SelectItem::UnnamedExpr(number("1")));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut ast::Select) -> Flow {
        super::using::resolve(select, &|_| None);
        super::aggregates::tell_apart(select);
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            for key in keys {
                if let Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) = key {
                    sets.iter_mut().flatten().for_each(|key| by_position(key, &select.projection));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        super::ties::sampled(factor)?;
        super::arguments::of_table(factor);
        super::quoted::series(factor);
        super::laterals::rewritten(factor);
        super::tables::word(factor);
        super::tables::function(factor)?;
        match factor {
            TableFactor::Table { name, args: Some(_), alias: Some(alias), .. }
                if alias.name.value == SERIES && last(name) == "generate_series" => {}
            TableFactor::Table { name, args: Some(_), alias, .. } if last(name) == "generate_series" => {
                name_columns(alias, "generate_series");
                if let Some(typed) = typed_series(factor) {
                    *factor = typed;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        if let Expr::Value(value) = expr {
            if let Some(spelled) = constant(&mut value.value) {
                *expr = spelled;
            }
            return ControlFlow::Continue(());
        }
        if let Expr::Cast { data_type, .. } = expr
            && let Some(refusal) = casting::misfit(data_type)
        {
            return ControlFlow::Break(Box::new(refusal));
        }
        open_slices(expr);
        if let Expr::Array(array) = expr {
            array.elem.iter_mut().for_each(super::rows::name_row);
        }
        let respelled = match expr {
            Expr::QualifiedWildcard(name, _) => name.0.last().and_then(|part| part.as_ident()).map(super::whole_rows::starred),
            Expr::CompoundFieldAccess { root, access_chain } => slices(root, access_chain),
            Expr::Array(array) if super::scalars::names_columns(&array.elem) => Some(call("make_array", array.elem.clone())),
            Expr::Extract { field, expr, .. } => Some(extract(&field.to_string(), expr)),
            Expr::AtTimeZone { timestamp, time_zone } => {
                Some(call("timezone", vec![time_zone.as_ref().clone(), timestamp.as_ref().clone()]))
            }
            Expr::Interval(interval) => super::intervals::constant(interval),
            Expr::Cast { data_type, .. } if casting::refused(data_type) => return refuse("arrays of this type are not supported"),
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } => casting::cast(expr, data_type),
            Expr::TypedString(typed) => match &typed.value.value {
                Value::SingleQuotedString(text) => casting::cast(&string(text), &typed.data_type),
                _ => None,
            },
            Expr::SimilarTo { negated, expr, pattern, escape_char } => {
                if let Some(refusal) = patterns::long_escape(escape_char.as_ref()) {
                    return ControlFlow::Break(Box::new(refusal));
                }
                match patterns::matched(*negated, expr, pattern, escape_char.as_ref()) {
                    Some(matched) => Some(matched),
                    None => return refuse("SIMILAR TO is supported with a constant pattern only"),
                }
            }
            Expr::Function(function) => {
                super::rows::name_columns(function);
                let listed = |function: &Function| super::tables::in_list(function).or_else(|| super::members::row(function));
                super::aggregates::rewritten(function).or_else(|| listed(function)).or_else(|| named(function))
            }
            Expr::UnaryOp { op, expr } => unary(*op, expr),
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                return patterns::escaped(pattern, escape_char);
            }
            Expr::Subquery(query) => return super::scalars::aggregate(query),
            Expr::Identifier(ident) if ident.quote_style.is_none() => match ident.value.to_lowercase().as_str() {
                word @ ("localtimestamp" | "localtime") => Some(call(word, Vec::new())),
                _ => None,
            },
            _ => None,
        };
        if let Some(respelled) = respelled {
            *expr = respelled;
        }
        ControlFlow::Continue(())
    }
}

/// What stands for a constant that the planner does not have.
fn constant(value: &mut Value) -> Option<Expr> {
    match value {
        Value::UnicodeStringLiteral(text) => {
            *value = Value::SingleQuotedString(std::mem::take(text));
            None
        }
        // The engine's numbers have 38 digits at the most.
        Value::Number(text, _) if modifiers::digits(text).is_some_and(|(precision, _)| precision > 38) => {
            Some(call("meshgate_numeric", vec![string(text)]))
        }
        _ => None,
    }
}

pub(super) fn refuse(text: &str) -> Flow {
    ControlFlow::Break(Box::new(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, text)))
}

/// `a[:2]`, `a[2:]`: a slice without a bound goes to that end.
fn open_slices(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { access_chain, .. } = expr else { return };
    for access in access_chain {
        if let ast::AccessExpr::Subscript(ast::Subscript::Slice { lower_bound, upper_bound, .. }) = access {
            lower_bound.get_or_insert_with(|| number("1"));
            upper_bound.get_or_insert_with(|| number("2147483647"));
        }
    }
}

/// `a[1:2][2:3]`: a slice of several dimensions, among which a place stands for all up to it.
fn slices(root: &Expr, access_chain: &[ast::AccessExpr]) -> Option<Expr> {
    let bounds = |access: &ast::AccessExpr| match access {
        ast::AccessExpr::Subscript(ast::Subscript::Slice { lower_bound: Some(lower), upper_bound: Some(upper), stride: None }) => {
            Some((true, [lower.clone(), upper.clone()]))
        }
        ast::AccessExpr::Subscript(ast::Subscript::Index { index }) => Some((false, [number("1"), index.clone()])),
        _ => None,
    };
    let bounds = access_chain.iter().map(bounds).collect::<Option<Vec<_>>>()?;
    if bounds.len() < 2 || !bounds.iter().any(|(slice, _)| *slice) {
        return None;
    }
    let bounds = bounds.into_iter().flat_map(|(_, bounds)| bounds);
    Some(call("meshgate_slices", std::iter::once(root.clone()).chain(bounds).collect()))
}

/// Operators of one value that are functions.
fn unary(op: UnaryOperator, value: &Expr) -> Option<Expr> {
    let value = value.clone();
    Some(match op {
        UnaryOperator::PGAbs => call("abs", vec![value]),
        UnaryOperator::PGSquareRoot => call("sqrt", vec![cast_to(value, DataType::DoublePrecision)]),
        UnaryOperator::PGCubeRoot => call("cbrt", vec![cast_to(value, DataType::DoublePrecision)]),
        UnaryOperator::BitwiseNot => {
            let minus_one = Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(number("1")) };
            Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(value), op: BinaryOperator::PGBitwiseXor, right: Box::new(minus_one) }))
        }
        _ => return None,
    })
}

/// Text constants below a value whose type is named are of that type.
fn name_types(values: &mut ast::Values) {
    let width = values.rows.iter().map(|row| row.content.len()).min().unwrap_or(0);
    for at in 0..width {
        let named = values.rows.iter().find_map(|row| match row.content.get(at) {
            Some(Expr::Cast { data_type, .. }) => Some(data_type.clone()),
            Some(Expr::TypedString(typed)) => Some(typed.data_type.clone()),
            Some(Expr::Interval(_)) => Some(DataType::Interval { fields: None, precision: None }),
            Some(Expr::Value(value)) if matches!(value.value, Value::Boolean(_)) => Some(DataType::Boolean),
            _ => None,
        });
        let Some(named) = named else { continue };
        // To the engine these are texts that a NULL is none of.
        let texts = matches!(named, DataType::JSON | DataType::JSONB | DataType::Uuid);
        for value in values.rows.iter_mut().filter_map(|row| row.content.get_mut(at)) {
            if let Some(text) = literal(value) {
                *value = cast_to(string(text), named.clone());
            } else if texts && matches!(value, Expr::Value(null) if null.value == Value::Null) {
                *value = cast_to(std::mem::replace(value, number("0")), named.clone());
            }
        }
    }
}

/// `t.*` of a table that is written with its schema.
fn qualify_wildcards(select: &mut ast::Select) {
    let factors = select.from.iter().flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    let tables: Vec<ObjectName> = factors
        .filter_map(|factor| match factor {
            TableFactor::Table { name, alias: None, args: None, .. } if name.0.len() > 1 => Some(name.clone()),
            _ => None,
        })
        .collect();
    for item in &mut select.projection {
        if let SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) = item
            && name.0.len() == 1
            && let Some(table) = tables.iter().find(|table| last(table) == last(name))
        {
            *name = table.clone();
        }
    }
}

/// `TABLE name`.
fn whole_table(table: &ast::Table) -> Option<Box<SetExpr>> {
    let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
    let schema = table.schema_name.as_ref().map(|schema| format!("{}.", quoted(schema))).unwrap_or_default();
    let text = format!("SELECT * FROM {schema}{}", quoted(table.table_name.as_ref()?));
    Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).ok()?.parse_query().ok().map(|query| query.body)
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
fn first_rows(query: &mut Query, fetch: ast::Fetch) -> Flow {
    let count = fetch.quantity.unwrap_or_else(|| number("1"));
    if fetch.percent {
        return refuse("FETCH of a percentage is not supported");
    }
    if fetch.with_ties {
        return super::ties::with_ties(query, count);
    }
    let count = Some(count);
    match &mut query.limit_clause {
        None => query.limit_clause = Some(LimitClause::LimitOffset { limit: count, offset: None, limit_by: Vec::new() }),
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = count,
        Some(_) => return refuse("multiple LIMIT clauses not allowed"),
    }
    ControlFlow::Continue(())
}

/// A number among grouping keys is the column of that number.
fn by_position(key: &mut Expr, projection: &[SelectItem]) {
    let Expr::Value(value) = &*key else { return };
    let Value::Number(digits, _) = &value.value else { return };
    let item = digits.parse::<usize>().ok().and_then(|place| projection.get(place.checked_sub(1)?));
    if let Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item {
        *key = expr.clone();
    }
}

/// The name of the engine's series within the one that the client sees.
const SERIES: &str = "meshgate_series";

/// `generate_series` over integers, where the engine's are bigints.
fn typed_series(factor: &mut TableFactor) -> Option<TableFactor> {
    let TableFactor::Table { alias, .. } = factor else { return None };
    let target = DataType::Integer(None);
    let alias = alias.take()?;
    let text = format!("SELECT value FROM f() AS {SERIES}(value)");
    let mut query = Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).ok()?.parse_query().ok()?;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let column = alias.columns.first()?.name.clone();
    let value = Expr::Identifier(Ident::new("value"));
    select.projection = vec![SelectItem::ExprWithAlias { expr: cast_to(value, target), alias: column }];
    let inner = select.from.first_mut()?;
    if let TableFactor::Table { alias: inner_alias, .. } = &mut inner.relation {
        let inner_alias = inner_alias.take();
        inner.relation = factor.clone();
        if let TableFactor::Table { alias, .. } = &mut inner.relation {
            *alias = inner_alias;
        }
    }
    Some(TableFactor::Derived { lateral: false, subquery: query, alias: Some(alias), sample: None })
}

/// Whether it is a constant integer.
pub(super) fn integer(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(&value.value, Value::Number(digits, _) if digits.parse::<i32>().is_ok()),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => integer(expr),
        _ => false,
    }
}

/// A function in FROM names its column as itself, or as its alias.
fn name_columns(alias: &mut Option<TableAlias>, function: &str) {
    let alias = alias.get_or_insert_with(|| TableAlias { explicit: true, name: Ident::new(function), columns: Vec::new(), at: None });
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
}

pub(super) fn last(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase()).unwrap_or_default()
}

pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

pub(super) fn number(digits: &str) -> Expr {
    Expr::Value(Value::Number(digits.to_owned(), false).with_empty_span())
}

pub(super) fn string(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_empty_span())
}

/// The text of a constant.
pub(super) fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => literal(inner),
        _ => None,
    }
}

/// The function that stands for a field until the types are known.
fn extract(field: &str, value: &Expr) -> Expr {
    call("meshgate_extract", vec![string(field.trim_matches(['\'', '"'])), value.clone()])
}

pub(super) fn cast_to(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// Other names of functions, and functions that are operators to the planner.
fn named(function: &mut Function) -> Option<Expr> {
    if function.name.0.len() > 2 {
        return None;
    }
    let name = last(&function.name);
    let other = match name.as_str() {
        "coalesce" => {
            without_nulls(function);
            return None;
        }
        "every" => "bool_and",
        "ceiling" => "ceil",
        "variance" => "var_samp",
        "ntile" if function.over.is_some() => return Some(cast_to(Expr::Function(function.clone()), DataType::Integer(None))),
        "gen_random_uuid" => return Some(cast_to(call("uuid", Vec::new()), DataType::Uuid)),
        "log" if one_argument(function).is_some() => "log10",
        "current_timestamp" | "localtimestamp" | "current_time" | "localtime" => return precise(function, &name),
        "to_timestamp" => return seconds(function),
        "date" | "int2" | "int4" | "int8" | "float4" | "float8" | "bool" | "text" => return converted(function, &name),
        // The engine's own takes the first of equal elements only.
        "array_replace" => "array_replace_all",
        "mod" => {
            let FunctionArguments::List(list) = &function.args else { return None };
            let [FunctionArg::Unnamed(FunctionArgExpr::Expr(left)), FunctionArg::Unnamed(FunctionArgExpr::Expr(right))] =
                list.args.as_slice()
            else {
                return None;
            };
            let (left, right) = (Box::new(left.clone()), Box::new(right.clone()));
            return Some(Expr::Nested(Box::new(Expr::BinaryOp { left, op: BinaryOperator::Modulo, right })));
        }
        name => return super::operator_calls::respelled(function, name),
    };
    function.name = ObjectName::from(vec![Ident::new(other)]);
    None
}

/// NULLs add nothing to `coalesce`, of which the engine knows none beside some types.
fn without_nulls(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let null = |argument: &FunctionArg| matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) if value.value == Value::Null);
    if !list.args.iter().all(null) {
        list.args.retain(|argument| !null(argument));
    }
}

/// A cast that is written as the call of a function with the type's name.
fn converted(function: &Function, name: &str) -> Option<Expr> {
    let data_type = match name {
        "date" => DataType::Date,
        "int2" => DataType::SmallInt(None),
        "int4" => DataType::Integer(None),
        "int8" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        "bool" => DataType::Boolean,
        _ => DataType::Text,
    };
    one_argument(function).map(|value| cast_to(value, data_type))
}

/// `to_timestamp(1e300)`: a constant of any size is a floating-point number there.
fn seconds(function: &Function) -> Option<Expr> {
    let double = |number: Expr| match &number {
        Expr::Value(value) if matches!(value.value, Value::Number(..)) => {
            Some(casting::cast(&number, &DataType::DoublePrecision).unwrap_or_else(|| cast_to(number.clone(), DataType::DoublePrecision)))
        }
        _ => None,
    };
    let seconds = match one_argument(function)? {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(double(*expr)?) },
        number => double(number)?,
    };
    Some(call("to_timestamp", vec![seconds]))
}

/// `current_timestamp(3)`: rounded to so many digits.
fn precise(function: &Function, name: &str) -> Option<Expr> {
    let Expr::Value(digits) = one_argument(function)? else { return None };
    let Value::Number(digits, _) = &digits.value else { return None };
    let digits: u64 = digits.parse().ok()?;
    Some(casting::rounded(call(name, Vec::new()), digits))
}

fn one_argument(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] => Some(value.clone()),
        _ => None,
    }
}
