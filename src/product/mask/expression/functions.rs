//! The functions of mask expressions: names and types.

use super::lexer::Token;
use super::parser::{Parser, Typed};
use super::{ExpressionFault, Function, Kind, Node, Part, Value};

/// How a function's arguments and result are typed.
enum Signature {
    /// These kinds, of which the last `optional` may be missing.
    Fixed { arguments: &'static [Kind], optional: usize, result: Kind },
    /// One number, and perhaps a number of digits; the result is of the number's kind.
    Number { digits: bool },
    /// Any number of arguments of one kind, at least so many; the result is of that kind.
    Alike { at_least: usize, at_most: usize },
    /// Any arguments as texts.
    Texts,
}

const TEXT: &[Kind] = &[Kind::Text];
const TEXT_COUNT: &[Kind] = &[Kind::Text, Kind::Int];
const TEXT_TEXT: &[Kind] = &[Kind::Text, Kind::Text];

fn lookup(name: &str) -> Option<(Function, Signature)> {
    let fixed = |arguments, optional, result| Signature::Fixed { arguments, optional, result };
    let text = |arguments| fixed(arguments, 0, Kind::Text);
    Some(match name {
        "abs" => (Function::Abs, Signature::Number { digits: false }),
        "ceil" | "ceiling" => (Function::Ceil, Signature::Number { digits: false }),
        "floor" => (Function::Floor, Signature::Number { digits: false }),
        "round" => (Function::Round, Signature::Number { digits: true }),
        "trunc" => (Function::Trunc, Signature::Number { digits: false }),
        "coalesce" => (Function::Coalesce, Signature::Alike { at_least: 1, at_most: 64 }),
        "greatest" => (Function::Greatest, Signature::Alike { at_least: 1, at_most: 64 }),
        "least" => (Function::Least, Signature::Alike { at_least: 1, at_most: 64 }),
        "nullif" => (Function::Nullif, Signature::Alike { at_least: 2, at_most: 2 }),
        "concat" => (Function::Concat, Signature::Texts),
        "left" => (Function::Left, text(TEXT_COUNT)),
        "right" => (Function::Right, text(TEXT_COUNT)),
        "length" | "char_length" | "character_length" => (Function::Length, fixed(TEXT, 0, Kind::Int)),
        "lower" => (Function::Lower, text(TEXT)),
        "upper" => (Function::Upper, text(TEXT)),
        "trim" | "btrim" => (Function::Trim, text(TEXT)),
        "ltrim" => (Function::Ltrim, text(TEXT)),
        "rtrim" => (Function::Rtrim, text(TEXT)),
        "reverse" => (Function::Reverse, text(TEXT)),
        "repeat" => (Function::Repeat, text(TEXT_COUNT)),
        "lpad" => (Function::Lpad, fixed(&[Kind::Text, Kind::Int, Kind::Text], 1, Kind::Text)),
        "rpad" => (Function::Rpad, fixed(&[Kind::Text, Kind::Int, Kind::Text], 1, Kind::Text)),
        "replace" => (Function::Replace, text(&[Kind::Text, Kind::Text, Kind::Text])),
        "split_part" => (Function::SplitPart, text(&[Kind::Text, Kind::Text, Kind::Int])),
        "starts_with" => (Function::StartsWith, fixed(TEXT_TEXT, 0, Kind::Bool)),
        "strpos" => (Function::Strpos, fixed(TEXT_TEXT, 0, Kind::Int)),
        "substr" | "substring" => (Function::Substr, fixed(&[Kind::Text, Kind::Int, Kind::Int], 1, Kind::Text)),
        _ => return None,
    })
}

/// A call whose opening parenthesis has been read.
pub(super) fn call(parser: &mut Parser<'_>, name: &str, depth: usize) -> Result<Typed, ExpressionFault> {
    match name {
        "cast" => return cast(parser, depth),
        "extract" => return extract(parser, depth),
        "date_part" | "date_trunc" => return of_part(parser, name == "date_trunc", depth),
        "regexp_replace" => return replace_matches(parser, depth),
        _ => {}
    }
    let unknown = || format!("there is no immutable function \"{name}\" here");
    let (function, signature) = lookup(name).ok_or_else(|| parser.fault(unknown()))?;
    let arguments = arguments(parser, depth)?;
    match signature {
        Signature::Fixed { arguments: kinds, optional, result } => {
            let least = kinds.len().saturating_sub(optional);
            if arguments.len() < least || arguments.len() > kinds.len() {
                return Err(parser.fault(format!("{name} takes {least} to {} arguments", kinds.len())));
            }
            let typed = arguments.into_iter().zip(kinds).map(|(argument, kind)| Ok(parser.of_kind(argument, *kind)?.node));
            Ok(Typed::new(Node::Call(function, typed.collect::<Result<_, _>>()?), result))
        }
        Signature::Number { digits } => number(parser, function, arguments, digits),
        Signature::Alike { at_least, at_most } => {
            if arguments.len() < at_least || arguments.len() > at_most {
                return Err(parser.fault(format!("{name} takes another number of arguments")));
            }
            let alike = parser.alike(arguments)?;
            let kind = alike.first().map_or(Kind::Null, |argument| argument.kind);
            Ok(Typed::new(Node::Call(function, alike.into_iter().map(|argument| argument.node).collect()), kind))
        }
        Signature::Texts => {
            let texts = arguments.into_iter().map(|argument| Ok(as_text(parser, argument)?.node));
            Ok(Typed::new(Node::Call(function, texts.collect::<Result<_, _>>()?), Kind::Text))
        }
    }
}

/// A value as text.
pub(super) fn as_text(parser: &Parser<'_>, value: Typed) -> Result<Typed, ExpressionFault> {
    if value.kind == Kind::Opaque {
        return Err(parser.fault("a column of this type has no text here"));
    }
    Ok(value.converted(Kind::Text))
}

fn arguments(parser: &mut Parser<'_>, depth: usize) -> Result<Vec<Typed>, ExpressionFault> {
    let mut arguments = Vec::new();
    if parser.sign(")") {
        return Ok(arguments);
    }
    loop {
        arguments.push(parser.expression(depth)?);
        if !parser.sign(",") {
            parser.expect(")")?;
            return Ok(arguments);
        }
    }
}

fn number(parser: &Parser<'_>, function: Function, arguments: Vec<Typed>, digits: bool) -> Result<Typed, ExpressionFault> {
    let mut arguments = arguments.into_iter();
    let value = arguments.next().filter(|value| value.kind.is_number()).ok_or_else(|| parser.fault("a number is expected"))?;
    let kind = value.kind;
    let mut nodes = vec![value.node];
    if let Some(count) = arguments.next() {
        if !digits {
            return Err(parser.fault("one argument is expected"));
        }
        nodes.push(parser.of_kind(count, Kind::Int)?.node);
    }
    match arguments.next() {
        Some(_) => Err(parser.fault("one argument is expected, or two")),
        None => Ok(Typed::new(Node::Call(function, nodes), kind)),
    }
}

fn cast(parser: &mut Parser<'_>, depth: usize) -> Result<Typed, ExpressionFault> {
    let operand = parser.expression(depth)?;
    if !parser.word("as") {
        return Err(parser.fault("AS is expected"));
    }
    let data_type = parser.type_name()?;
    parser.expect(")")?;
    parser.cast(operand, &data_type)
}

/// `extract(year from x)`
fn extract(parser: &mut Parser<'_>, depth: usize) -> Result<Typed, ExpressionFault> {
    let Token::Word(name) = parser.peek().clone() else { return Err(parser.fault("a part of a date is expected")) };
    let part = part(&name).ok_or_else(|| parser.fault("a part of a date is expected"))?;
    parser.word(&name);
    if !parser.word("from") {
        return Err(parser.fault("FROM is expected"));
    }
    let value = parser.expression(depth)?;
    parser.expect(")")?;
    extracted(parser, part, value)
}

/// `date_part('year', x)` and `date_trunc('year', x)`
fn of_part(parser: &mut Parser<'_>, truncate: bool, depth: usize) -> Result<Typed, ExpressionFault> {
    let mut arguments = arguments(parser, depth)?.into_iter();
    let (Some(name), Some(value), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(parser.fault("a part and a date are expected"));
    };
    let part = name.literal_text().and_then(|name| part(&name.to_lowercase()));
    let part = part.ok_or_else(|| parser.fault("a part of a date in single quotes is expected"))?;
    if !truncate {
        return extracted(parser, part, value);
    }
    if !value.kind.is_dated() || matches!(part, Part::DayOfWeek | Part::DayOfYear) {
        return Err(parser.fault("this cannot be truncated so"));
    }
    let kind = value.kind;
    Ok(Typed::new(Node::Truncate(part, value.boxed()), kind))
}

fn extracted(parser: &Parser<'_>, part: Part, value: Typed) -> Result<Typed, ExpressionFault> {
    if !value.kind.is_dated() {
        return Err(parser.fault("a date or timestamp is expected"));
    }
    Ok(Typed::new(Node::Extract(part, value.boxed()), Kind::Int))
}

fn part(name: &str) -> Option<Part> {
    Some(match name {
        "year" => Part::Year,
        "quarter" => Part::Quarter,
        "month" => Part::Month,
        "week" => Part::Week,
        "day" => Part::Day,
        "dow" => Part::DayOfWeek,
        "doy" => Part::DayOfYear,
        "hour" => Part::Hour,
        "minute" => Part::Minute,
        "second" => Part::Second,
        _ => return None,
    })
}

/// `regexp_replace(text, pattern, replacement [, 'g'])`: pattern, replacement and flags are literals.
fn replace_matches(parser: &mut Parser<'_>, depth: usize) -> Result<Typed, ExpressionFault> {
    let text = parser.expression(depth)?;
    let text = parser.of_kind(text, Kind::Text)?;
    parser.expect(",")?;
    let regex = parser.regex()?;
    let mut rest = Vec::new();
    while parser.sign(",") {
        let literal = parser.expression(depth)?;
        match literal.node {
            Node::Literal(Value::Text(text)) => rest.push(text.into_owned()),
            _ => return Err(parser.fault("a literal is expected")),
        }
    }
    parser.expect(")")?;
    let mut rest = rest.into_iter();
    let (with, flags) = (rest.next().ok_or_else(|| parser.fault("a replacement is expected"))?, rest.next());
    if rest.next().is_some() || flags.as_deref().is_some_and(|flags| flags != "g") {
        return Err(parser.fault("the only flag is 'g'"));
    }
    let node = Node::ReplaceMatches { text: text.boxed(), regex, with: rust_replacement(&with), all: flags.is_some() };
    Ok(Typed::new(node, Kind::Text))
}

/// PostgreSQL writes groups as `\1` and the whole as `\&`.
fn rust_replacement(text: &str) -> String {
    let mut replacement = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('&') => replacement.push_str("${0}"),
                Some(digit) if digit.is_ascii_digit() => replacement.push_str(&format!("${{{digit}}}")),
                Some(other) => replacement.push(other),
                None => replacement.push('\\'),
            },
            '$' => replacement.push_str("$$"),
            other => replacement.push(other),
        }
    }
    replacement
}
