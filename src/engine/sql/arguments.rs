//! Arguments that are given by their names, and arrays that are given as the last arguments of a function.

use datafusion::sql::sqlparser::ast::{self, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, TableFactor, Value};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::spelling::{Flow, call, cast_to, last, number, refuse, string};
use super::tokens::{blank, closing, is, placed, word};

/// What stands around an array behind VARIADIC, which the parser does not read.
pub(super) const VARIADIC: &str = "meshgate_variadic";

/// The tokens in which an array behind VARIADIC is the argument of a function; `None` if there is none.
pub(super) fn enclosed(tokens: &[TokenWithSpan]) -> Option<Vec<TokenWithSpan>> {
    let mut closings: Vec<usize> = Vec::new();
    let mut out: Option<Vec<TokenWithSpan>> = None;
    // The parenthesis that is open, if it is one.
    let mut open: Vec<usize> = Vec::new();
    let mut begins = false;
    for (at, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::LParen => open.push(at),
            Token::RParen => {
                open.pop();
                if closings.pop_if(|close| *close == at).is_some()
                    && let Some(out) = &mut out
                {
                    out.push(placed(Token::RParen, token.span));
                }
            }
            found if begins && is(found, "variadic") => {
                if let Some(close) = open.last().and_then(|open| closing(tokens, *open)) {
                    closings.push(close);
                    let out = out.get_or_insert_with(|| tokens.get(..at).unwrap_or_default().to_vec());
                    out.extend([placed(word(VARIADIC, Keyword::NoKeyword), token.span), placed(Token::LParen, token.span)]);
                    begins = false;
                    continue;
                }
            }
            _ => {}
        }
        if !blank(token) {
            begins = matches!(token.token, Token::LParen | Token::Comma);
        }
        if let Some(out) = &mut out {
            out.push(token.clone());
        }
    }
    out
}

/// The elements of an array behind VARIADIC as arguments, or what else stands for such a call.
pub(super) fn spread(expr: &mut Expr) -> Flow {
    let Expr::Function(function) = expr else { return Flow::Continue(()) };
    let name = last(&function.name);
    let FunctionArguments::List(list) = &mut function.args else { return Flow::Continue(()) };
    let Some(array) = list.args.last().and_then(behind_variadic).filter(|_| name != VARIADIC) else { return Flow::Continue(()) };
    if let Some(elements) = elements(&array) {
        list.args.pop();
        list.args.extend(elements.into_iter().map(|element| FunctionArg::Unnamed(FunctionArgExpr::Expr(element))));
        return Flow::Continue(());
    }
    let others: Option<Vec<Expr>> = list.args.iter().rev().skip(1).rev().map(value).collect();
    let standing = match (name.as_str(), others.as_deref()) {
        ("concat", Some([])) => Some(call("array_to_string", vec![array, string("")])),
        ("concat_ws", Some([separator])) => Some(call("array_to_string", vec![array, separator.clone()])),
        ("jsonb_build_array", Some([])) => Some(call("to_jsonb", vec![array])),
        ("json_extract_path" | "jsonb_extract_path", Some([json])) => Some(path(json, ast::BinaryOperator::HashArrow, array)),
        ("json_extract_path_text" | "jsonb_extract_path_text", Some([json])) => Some(path(json, ast::BinaryOperator::HashLongArrow, array)),
        _ => None,
    };
    match standing {
        Some(standing) => *expr = standing,
        None => return refuse("VARIADIC is supported with an array that is written out"),
    }
    Flow::Continue(())
}

fn path(json: &Expr, op: ast::BinaryOperator, path: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(json.clone()), op, right: Box::new(path) }))
}

fn value(arg: &FunctionArg) -> Option<Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
        _ => None,
    }
}

fn behind_variadic(arg: &FunctionArg) -> Option<Expr> {
    let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = value(arg)? else { return None };
    list.args.first().filter(|_| last(&name) == VARIADIC).and_then(value)
}

/// The elements of an array that is written out.
fn elements(array: &Expr) -> Option<Vec<Expr>> {
    match array {
        Expr::Nested(inner) => elements(inner),
        Expr::Array(array) => Some(array.elem.clone()),
        Expr::Cast { expr, data_type: ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(element, None)), .. } => {
            let of_type = |value: Expr| cast_to(value, element.as_ref().clone());
            elements(expr).map(|elements| elements.into_iter().map(of_type).collect())
        }
        _ => None,
    }
}

/// What stands for an argument that is left out.
#[derive(Debug, Clone, Copy)]
enum Absent {
    None,
    Zero,
    Truth(bool),
    Text(&'static str),
}

type Parameters = &'static [(&'static str, Absent)];

const OF_PATHS: Parameters =
    &[("target", Absent::None), ("path", Absent::None), ("vars", Absent::Text("{}")), ("silent", Absent::Truth(false))];

/// Names of parameters, and what stands for those that are left out.
const NAMED: [(&str, Parameters); 14] = [
    (
        "make_interval",
        &[
            ("years", Absent::Zero),
            ("months", Absent::Zero),
            ("weeks", Absent::Zero),
            ("days", Absent::Zero),
            ("hours", Absent::Zero),
            ("mins", Absent::Zero),
            ("secs", Absent::Zero),
        ],
    ),
    ("make_date", &[("year", Absent::None), ("month", Absent::None), ("day", Absent::None)]),
    ("make_time", &[("hour", Absent::None), ("min", Absent::None), ("sec", Absent::None)]),
    (
        "make_timestamp",
        &[
            ("year", Absent::None),
            ("month", Absent::None),
            ("mday", Absent::None),
            ("hour", Absent::None),
            ("min", Absent::None),
            ("sec", Absent::None),
        ],
    ),
    (
        "make_timestamptz",
        &[
            ("year", Absent::None),
            ("month", Absent::None),
            ("mday", Absent::None),
            ("hour", Absent::None),
            ("min", Absent::None),
            ("sec", Absent::None),
            ("timezone", Absent::None),
        ],
    ),
    ("jsonb_path_exists", OF_PATHS),
    ("jsonb_path_match", OF_PATHS),
    ("jsonb_path_query", OF_PATHS),
    ("jsonb_path_query_array", OF_PATHS),
    ("jsonb_path_query_first", OF_PATHS),
    (
        "jsonb_set",
        &[("jsonb_in", Absent::None), ("path", Absent::None), ("replacement", Absent::None), ("create_if_missing", Absent::Truth(true))],
    ),
    (
        "jsonb_insert",
        &[("jsonb_in", Absent::None), ("path", Absent::None), ("replacement", Absent::None), ("insert_after", Absent::Truth(false))],
    ),
    ("parse_ident", &[("str", Absent::None), ("strict", Absent::Truth(true))]),
    ("jsonb_strip_nulls", &[("target", Absent::None)]),
];

impl Absent {
    fn value(self) -> Option<Expr> {
        match self {
            Self::None => None,
            Self::Zero => Some(number("0")),
            Self::Truth(truth) => Some(Expr::Value(Value::Boolean(truth).with_empty_span())),
            Self::Text(text) => Some(string(text)),
        }
    }
}

/// Arguments by name in the places of their names.
pub(super) fn of_call(function: &mut Function) {
    let name = last(&function.name);
    if let FunctionArguments::List(list) = &mut function.args {
        by_place(&name, &mut list.args);
    }
}

/// The same of a function in FROM.
pub(super) fn of_table(factor: &mut TableFactor) {
    match factor {
        TableFactor::Table { name, args: Some(args), .. } => by_place(&last(name), &mut args.args),
        TableFactor::Function { name, args, .. } => by_place(&last(name), args),
        _ => {}
    }
}

fn by_place(function: &str, args: &mut Vec<FunctionArg>) {
    if args.iter().all(|arg| matches!(arg, FunctionArg::Unnamed(_))) {
        return;
    }
    let Some((_, parameters)) = NAMED.iter().find(|(name, _)| *name == function) else { return };
    let mut places: Vec<Option<Expr>> = Vec::new();
    for arg in args.iter() {
        let (name, value) = match arg {
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. }
            | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(value), .. } => (Some(name), value),
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (None, value),
            _ => return,
        };
        let known = |name: &Ident| parameters.iter().position(|(parameter, _)| *parameter == crate::catalog::folded(name));
        let Some(place) = name.map_or(Some(places.len()), known) else { return };
        while places.len() <= place {
            places.push(None);
        }
        if let Some(slot) = places.get_mut(place) {
            *slot = Some(value.clone());
        }
    }
    let given = places.into_iter().zip(*parameters).map(|(value, (_, default))| value.or_else(|| default.value()));
    if let Some(given) = given.collect::<Option<Vec<Expr>>>() {
        *args = given.into_iter().map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect();
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;
    use crate::engine::sql::dialect::PgDialect;

    fn parsed(sql: &str) -> Expr {
        Parser::new(&PgDialect).try_with_sql(sql).unwrap().parse_expr().unwrap()
    }

    #[test]
    fn arguments_are_put_in_the_places_of_their_names() {
        for (sql, spelled) in [
            ("make_interval(days => 3, years => 1)", "make_interval(1, 0, 0, 3)"),
            ("jsonb_path_query_array(a, b, silent => true)", "jsonb_path_query_array(a, b, '{}', true)"),
            ("jsonb_set(a, b, c, create_if_missing => false)", "jsonb_set(a, b, c, false)"),
            ("make_date(day => 3)", "make_date(day => 3)"),
            ("f(a => 1)", "f(a => 1)"),
        ] {
            let Expr::Function(mut function) = parsed(sql) else { panic!("{sql}") };
            of_call(&mut function);
            assert_eq!(function.to_string(), spelled, "{sql}");
        }
    }

    #[test]
    fn the_elements_of_an_array_become_arguments() {
        let tokens = Tokenizer::new(&PgDialect, "select concat(a, variadic f(x)), variadic").tokenize_with_location().unwrap();
        let text: String = enclosed(&tokens).unwrap().iter().map(|token| token.token.to_string()).collect();
        assert_eq!(text, "select concat(a, meshgate_variadic( f(x))), variadic");
        let of = |sql: &str| {
            let mut expr = parsed(sql);
            spread(&mut expr).is_continue().then(|| expr.to_string())
        };
        assert_eq!(of("concat(a, meshgate_variadic(array[1, 2]))").unwrap(), "concat(a, 1, 2)");
        assert_eq!(of("f(meshgate_variadic((array[1])::text[]))").unwrap(), "f(CAST(1 AS TEXT))");
        assert_eq!(of("concat_ws(',', meshgate_variadic(x))").unwrap(), "array_to_string(x, ',')");
        assert_eq!(of("format('%s', meshgate_variadic(x))"), None);
    }
}
