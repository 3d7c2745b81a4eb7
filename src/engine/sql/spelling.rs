//! PostgreSQL's forms that the planner does not read, or reads otherwise, in forms that mean the same to it.
//!
//! INVARIANT: holds for statements over users' data, so each rewriting is exact; what cannot be said exactly is refused.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, CastKind, CharacterLength, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, LimitClause, ObjectName, Query, SelectItem, SetExpr, Statement,
    TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{ClientMessage, SqlState};

pub(super) type Flow = ControlFlow<Box<ClientMessage>>;

/// Rewrites a statement in place, or answers why it cannot be done here.
pub(super) fn rewrite(statement: &mut Statement) -> Flow {
    statement.visit(&mut Spelling)
}

/// String constants with nothing but a line's end between them are one.
pub(super) fn join_strings(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if let (Some(TokenWithSpan { token: Token::SingleQuotedString(text), span }), Token::SingleQuotedString(more)) =
            (joined.last_mut(), &token.token)
            && span.end.line < token.span.start.line
        {
            text.push_str(more);
            span.end = token.span.end;
            continue;
        }
        joined.push(token.clone());
    }
    joined
}

/// What the parser does not read and PostgreSQL does.
pub(super) fn refused(tokens: &[TokenWithSpan]) -> Option<ClientMessage> {
    let words: Vec<&TokenWithSpan> = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let is = |token: &Token, word: &str| matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word));
    let symmetric = words.windows(2).any(|pair| matches!(pair, [one, other] if is(&one.token, "between") && is(&other.token, "symmetric")));
    symmetric.then(|| {
        ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "BETWEEN SYMMETRIC is not supported")
            .with_hint("Write BETWEEN least(a, b) AND greatest(a, b).")
    })
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
        match query.fetch.take() {
            Some(fetch) => first_rows(query, fetch),
            None => ControlFlow::Continue(()),
        }
    }

    fn post_visit_select(&mut self, select: &mut ast::Select) -> Flow {
        super::using::resolve(select)?;
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
        match factor {
            TableFactor::UNNEST { array_exprs, alias, with_ordinality, .. } if *with_ordinality => {
                let [array] = array_exprs.as_slice() else {
                    return refuse("WITH ORDINALITY over several arrays is not supported");
                };
                array_exprs.push(call("meshgate_series", vec![number("1"), call("cardinality", vec![array.clone()])]));
                name_columns(alias, "unnest", &["ordinality"]);
                *with_ordinality = false;
            }
            TableFactor::Table { name, args: Some(_), alias: Some(alias), .. }
                if alias.name.value == SERIES && last(name) == "generate_series" => {}
            TableFactor::Table { name, args: Some(_), alias, with_ordinality, .. } if last(name) == "generate_series" => {
                if *with_ordinality {
                    return refuse("WITH ORDINALITY is supported over unnest only");
                }
                name_columns(alias, "generate_series", &[]);
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
            if let Value::UnicodeStringLiteral(text) = &value.value {
                value.value = Value::SingleQuotedString(text.clone());
            }
            return ControlFlow::Continue(());
        }
        let respelled = match expr {
            Expr::Extract { field, expr, .. } => Some(extract(&field.to_string(), expr)),
            Expr::AtTimeZone { timestamp, time_zone } => {
                Some(call("timezone", vec![time_zone.as_ref().clone(), timestamp.as_ref().clone()]))
            }
            Expr::Interval(interval) => interval_text(interval),
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } => cast(expr, data_type),
            Expr::TypedString(typed) => match &typed.value.value {
                Value::SingleQuotedString(text) => cast(&string(text), &typed.data_type),
                _ => None,
            },
            Expr::SimilarTo { negated, expr, pattern, escape_char } => {
                let escape = match escape_char.as_ref().map(|value| &value.value) {
                    None => Some('\\'),
                    Some(Value::SingleQuotedString(text)) => text.chars().next(),
                    Some(_) => return refuse("this ESCAPE is not supported"),
                };
                let Some(text) = literal(pattern) else { return refuse("SIMILAR TO is supported with a constant pattern only") };
                let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
                Some(Expr::BinaryOp { left: expr.clone(), op, right: Box::new(string(&similar(text, escape))) })
            }
            Expr::Function(function) => super::aggregates::rewritten(function).or_else(|| named(function)),
            Expr::BinaryOp { left, op, right } => super::rows::compared(left, op, right),
            Expr::InList { expr, list, negated } => super::rows::listed(expr, list, *negated),
            Expr::UnaryOp { op, expr } => unary(*op, expr),
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => return escaped(pattern, escape_char),
            Expr::Subquery(query) => {
                super::scalars::aggregate(query);
                None
            }
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

pub(super) fn refuse(text: &str) -> Flow {
    ControlFlow::Break(Box::new(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, text)))
}

/// Operators of one value that are functions.
fn unary(op: UnaryOperator, value: &Expr) -> Option<Expr> {
    let value = value.clone();
    Some(match op {
        UnaryOperator::PGAbs => call("abs", vec![value]),
        UnaryOperator::PGSquareRoot => call("sqrt", vec![value]),
        UnaryOperator::PGCubeRoot => call("cbrt", vec![value]),
        UnaryOperator::BitwiseNot => {
            let minus_one = Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(number("1")) };
            Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(value), op: BinaryOperator::PGBitwiseXor, right: Box::new(minus_one) }))
        }
        _ => return None,
    })
}

/// The engine escapes with the backslash alone.
fn escaped(pattern: &mut Expr, escape: &mut Option<ast::ValueWithSpan>) -> Flow {
    let Some(given) = escape.as_ref() else { return ended(pattern) };
    let Value::SingleQuotedString(given) = &given.value else { return refuse("this ESCAPE is not supported") };
    let mut letters = given.chars();
    let letter = letters.next();
    if letters.next().is_some() {
        let message = ClientMessage::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string");
        return ControlFlow::Break(Box::new(message.with_hint("Escape string must be empty or one character.")));
    }
    if letter != Some('\\') {
        let Some(text) = literal(pattern) else { return refuse("ESCAPE is supported with a constant pattern only") };
        *pattern = string(&with_backslashes(text, letter));
    }
    *escape = None;
    ended(pattern)
}

/// Refuses a pattern whose last letter escapes nothing.
fn ended(pattern: &Expr) -> Flow {
    let trailing = literal(pattern).map_or(0, |text| text.len() - text.trim_end_matches('\\').len());
    if trailing.is_multiple_of(2) {
        return ControlFlow::Continue(());
    }
    let message = ClientMessage::new(SqlState::INVALID_ESCAPE_SEQUENCE, "LIKE pattern must not end with escape character");
    ControlFlow::Break(Box::new(message))
}

fn with_backslashes(pattern: &str, escape: Option<char>) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if Some(letter) == escape {
            out.push('\\');
            out.extend(letters.next());
        } else if letter == '\\' {
            out.push_str("\\\\");
        } else {
            out.push(letter);
        }
    }
    out
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
    if fetch.with_ties || fetch.percent {
        return refuse("FETCH WITH TIES is not supported");
    }
    let count = Some(fetch.quantity.unwrap_or_else(|| number("1")));
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

/// `generate_series` over a type that the engine has no series of: integers, and dates, which are moments of the session's zone.
fn typed_series(factor: &mut TableFactor) -> Option<TableFactor> {
    let TableFactor::Table { args: Some(arguments), alias, .. } = factor else { return None };
    let values: Vec<&mut Expr> = arguments
        .args
        .iter_mut()
        .filter_map(|arg| if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg { Some(expr) } else { None })
        .collect();
    let integers = values.iter().all(|value| integer(value));
    let dates = values.first().is_some_and(|value| match value {
        Expr::TypedString(typed) => typed.data_type == DataType::Date,
        Expr::Cast { data_type, .. } => *data_type == DataType::Date,
        _ => false,
    });
    if let [_, _, step] = values.as_slice()
        && let Some(text) = literal(step)
    {
        let step = cast_to(string(text), DataType::Interval { fields: None, precision: None });
        *values.into_iter().nth(2)? = step;
    }
    let target = match (integers, dates) {
        (true, _) => DataType::Integer(None),
        (_, true) => DataType::Timestamp(None, ast::TimezoneInfo::WithTimeZone),
        _ => return None,
    };
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

fn integer(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(&value.value, Value::Number(digits, _) if digits.parse::<i32>().is_ok()),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => integer(expr),
        _ => false,
    }
}

/// A function in FROM names its column as itself, or as its alias.
fn name_columns(alias: &mut Option<TableAlias>, function: &str, more: &[&str]) {
    let alias = alias.get_or_insert_with(|| TableAlias { explicit: true, name: Ident::new(function), columns: Vec::new(), at: None });
    let column = |name: Ident| TableAliasColumnDef { name, data_type: None };
    if alias.columns.is_empty() {
        alias.columns.push(column(alias.name.clone()));
    }
    if alias.columns.len() == 1 {
        alias.columns.extend(more.iter().map(|name| column(Ident::new(*name))));
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

fn number(digits: &str) -> Expr {
    Expr::Value(Value::Number(digits.to_owned(), false).with_empty_span())
}

pub(super) fn string(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_empty_span())
}

fn literal(expr: &Expr) -> Option<&str> {
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

/// An interval is read by the rules that parameters are read by.
fn interval_text(interval: &ast::Interval) -> Option<Expr> {
    let text = literal(&interval.value)?;
    if interval.leading_field.is_none() && simple_interval(text) {
        return None;
    }
    let plain = interval.last_field.is_none() && interval.leading_precision.is_none() && interval.fractional_seconds_precision.is_none();
    let text = match &interval.leading_field {
        None => text.to_owned(),
        Some(unit) if plain && text.trim().parse::<f64>().is_ok() => format!("{} {}", text.trim(), unit.to_string().to_lowercase()),
        Some(_) => return None,
    };
    Some(cast_to(string(&text), DataType::Interval { fields: None, precision: None })).filter(|_| plain)
}

/// Whether the engine reads it as PostgreSQL does. Bounds of window frames must stay literals.
fn simple_interval(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let (Some(count), Some(unit), None) = (words.next(), words.next(), words.next()) else { return false };
    let unit = unit.strip_suffix('s').unwrap_or(unit);
    let whole = count.strip_prefix('-').unwrap_or(count);
    (1..=6).contains(&whole.len())
        && whole.bytes().all(|digit| digit.is_ascii_digit())
        && matches!(unit, "year" | "month" | "week" | "day" | "hour" | "minute" | "second")
}

fn cast_to(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// Casts whose type says less, or more, than the engine's.
fn cast(expr: &Expr, data_type: &DataType) -> Option<Expr> {
    match data_type {
        // The engine reads numbers as decimals, which do not reach as far.
        DataType::DoublePrecision | DataType::Double(_) | DataType::Float8 | DataType::Float(_) | DataType::Real | DataType::Float4 => {
            scientific(expr).map(|digits| cast_to(string(digits), data_type.clone()))
        }
        DataType::Numeric(ExactNumberInfo::None) | DataType::Decimal(ExactNumberInfo::None) | DataType::Dec(ExactNumberInfo::None) => {
            Some(match literal(expr).and_then(digits) {
                Some((precision, scale)) => cast_to(expr.clone(), DataType::Numeric(ExactNumberInfo::PrecisionAndScale(precision, scale))),
                None => call("meshgate_numeric", vec![expr.clone()]),
            })
        }
        DataType::Varchar(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::CharVarying(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::CharacterVarying(Some(CharacterLength::IntegerLength { length, .. })) => {
            let cut = call("left", vec![cast_to(expr.clone(), DataType::Text), number(&length.to_string())]);
            Some(cast_to(cut, DataType::Varchar(None)))
        }
        DataType::Char(length) | DataType::Character(length) => {
            let length = match length {
                Some(CharacterLength::IntegerLength { length, .. }) => *length,
                Some(CharacterLength::Max) => return None,
                None => 1,
            };
            Some(call("left", vec![cast_to(expr.clone(), DataType::Text), number(&length.to_string())]))
        }
        _ => None,
    }
}

/// The digits of a number with an exponent.
fn scientific(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.contains(['e', 'E']) => Some(digits),
            _ => None,
        },
        Expr::Nested(inner) => scientific(inner),
        _ => None,
    }
}

/// How many digits a plain decimal number has, and how many behind the point.
fn digits(text: &str) -> Option<(u64, i64)> {
    let unsigned = text.trim().trim_start_matches(['+', '-']);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let plain = !whole.is_empty() && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    let (precision, scale) = (whole.len() + fraction.len(), fraction.len());
    (plain && precision <= 76).then_some((u64::try_from(precision).ok()?, i64::try_from(scale).ok()?))
}

/// Other names of functions, and functions that are operators to the planner.
fn named(function: &mut Function) -> Option<Expr> {
    if function.name.0.len() > 2 {
        return None;
    }
    let name = last(&function.name);
    let other = match name.as_str() {
        "every" => "bool_and",
        "ceiling" => "ceil",
        "variance" => "var_samp",
        // The engine's own take the first of equal elements only.
        "array_remove" => "array_remove_all",
        "array_replace" => "array_replace_all",
        "generate_series" if function.over.is_none() => {
            return Some(call("unnest", vec![Expr::Function(function.clone())]));
        }
        "make_interval" => {
            by_place(function, &["years", "months", "weeks", "days", "hours", "mins", "secs"]);
            return None;
        }
        "mod" => {
            let FunctionArguments::List(list) = &function.args else { return None };
            let [FunctionArg::Unnamed(FunctionArgExpr::Expr(left)), FunctionArg::Unnamed(FunctionArgExpr::Expr(right))] =
                list.args.as_slice()
            else {
                return None;
            };
            let nested = |expr: &Expr| Box::new(Expr::Nested(Box::new(expr.clone())));
            return Some(Expr::Nested(Box::new(Expr::BinaryOp { left: nested(left), op: BinaryOperator::Modulo, right: nested(right) })));
        }
        _ => return None,
    };
    function.name = ObjectName::from(vec![Ident::new(other)]);
    None
}

/// Arguments by name in the places of their names; what is left out is zero.
fn by_place(function: &mut Function, names: &[&str]) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let mut places: Vec<Expr> = Vec::new();
    for arg in &list.args {
        let (name, value) = match arg {
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => (Some(name.value.to_lowercase()), value),
            FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(value), .. } => {
                (Some(name.value.to_lowercase()), value)
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (None, value),
            _ => return,
        };
        let Some(place) = name.map_or(Some(places.len()), |name| names.iter().position(|known| *known == name)) else { return };
        while places.len() <= place {
            places.push(number("0"));
        }
        if let Some(slot) = places.get_mut(place) {
            *slot = value.clone();
        }
    }
    list.args = places.into_iter().map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect();
}

/// A pattern of SIMILAR TO as a regular expression over the whole text.
fn similar(pattern: &str, escape: Option<char>) -> String {
    let mut regex = String::from("^(?:");
    let mut letters = pattern.chars();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        if Some(letter) == escape {
            if let Some(next) = letters.next() {
                if !next.is_alphanumeric() {
                    regex.push('\\');
                }
                regex.push(next);
            }
            continue;
        }
        match letter {
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        match letter {
            '%' if !in_class => regex.push_str("(?s:.*)"),
            '_' if !in_class => regex.push_str("(?s:.)"),
            '.' | '^' | '$' | '\\' if !in_class => regex.extend(['\\', letter]),
            '\\' => regex.push_str("\\\\"),
            letter => regex.push(letter),
        }
    }
    regex.push_str(")$");
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_escape_with_the_backslash() {
        assert_eq!(with_backslashes("a#%b\\", Some('#')), "a\\%b\\\\");
        assert_eq!(with_backslashes("a\\%", None), "a\\\\%");
    }

    #[test]
    fn plain_intervals_stay_literals() {
        assert!(simple_interval("1 day") && simple_interval("-10 weeks"));
        assert!(!simple_interval("1 day 2 hours") && !simple_interval("1.5 hours") && !simple_interval("1 fortnight"));
    }

    #[test]
    fn similar_patterns_match_the_whole_text() {
        assert_eq!(similar("(a|b)%", Some('\\')), "^(?:(a|b)(?s:.*))$");
        assert_eq!(similar("a.c_", Some('\\')), "^(?:a\\.c(?s:.))$");
        assert_eq!(similar("100#%", Some('#')), "^(?:100\\%)$");
    }

    #[test]
    fn digits_are_counted() {
        assert_eq!(digits("-12.50"), Some((4, 2)));
        assert_eq!(digits("1e5"), None);
        assert_eq!(digits("NaN"), None);
    }
}
