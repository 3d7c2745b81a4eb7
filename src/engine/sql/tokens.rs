//! PostgreSQL's words that the parser does not read, in words that it reads; and what it reads and PostgreSQL does not.
//!
//! INVARIANT: what is put in keeps its place in the text, so that errors still point at what the client wrote.

use std::iter::Peekable;
use std::slice::Iter;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace, Word};

use crate::engine::{Carried, PgType, semantics};
use crate::error::{ClientMessage, SqlState};

use super::grammar::syntax_error;
use super::lexer::Piece;
use super::nested_joins;

/// The tokens as the parser reads them.
pub(super) fn respelled(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let with_row = super::no_list::with_row(tokens);
    let tokens = with_row.as_deref().unwrap_or(tokens);
    let limited = limited(tokens);
    let tokens = limited.as_deref().unwrap_or(tokens);
    let nested = nested_joins::parenthesized(tokens);
    let tokens = nested.as_deref().unwrap_or(tokens);
    let enclosed = super::arguments::enclosed(tokens);
    each_respelled(enclosed.as_deref().unwrap_or(tokens))
}

fn each_respelled(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.iter().peekable();
    while let Some(token) = rest.next() {
        if alone(token, &mut out, &rest) {
            continue;
        }
        let last = out.iter().rev().find(|token| !blank(token));
        let after = |word: &str| last.is_some_and(|last| is(&last.token, word));
        match &token.token {
            // String constants with nothing but a line's end between them are one.
            Token::SingleQuotedString(text) if continues(last, token) => {
                let kept = out.iter().rposition(|token| !blank(token)).map_or(0, |place| place + 1);
                out.truncate(kept);
                if let Some(TokenWithSpan { token: Token::SingleQuotedString(before), span }) = out.last_mut() {
                    before.push_str(text);
                    span.end = token.span.end;
                }
            }
            // `a*-1`: a sign behind an operator is the value's.
            Token::CustomBinaryOperator(text) => apart(text, token, &mut out),
            // The parser knows no bounds in either order; a sign that nothing else uses says so until it is a tree.
            found if is(found, "symmetric") && after("between") => out.push(placed(Token::DoubleExclamationMark, token.span)),
            found if is(found, "asymmetric") && after("between") => {}
            found if is(found, "isnull") && last.is_some_and(|last| ends_a_value(&last.token)) && !opens(&mut rest) => {
                out.push(placed(word("IS", Keyword::IS), token.span));
                out.push(placed(word("NULL", Keyword::NULL), token.span));
            }
            // A frame excludes no row unless it says so.
            found
                if is(found, "exclude")
                    && ["row", "preceding", "following"].iter().any(|bound| after(bound))
                    && none_excluded(&mut rest) => {}
            found if is(found, "exclude") && ["row", "preceding", "following"].iter().any(|bound| after(bound)) => {
                if excluded(&mut rest).filter(|mark| mark_frame(&mut out, mark, token.span)).is_none() {
                    out.push(token.clone());
                }
            }
            // `'1 day'::interval PRECEDING`: the parser reads no cast there.
            Token::DoubleColon if last.is_some_and(quoted) && bounds_a_frame(&mut rest) => as_interval(&mut out, token.span),
            // `interval(2) '…'`: the parser would drop the digits.
            found if is(found, "interval") && precise(&rest).is_some() => precise_constant(token, &mut rest, &mut out),
            // An argument by its name, in the older of the two ways.
            Token::Assignment => out.push(placed(Token::RArrow, token.span)),
            // `inet 'x'`: the parser knows few types before a constant.
            Token::Word(found) if named_constant(found, last, &mut rest) => cast_constant(token, &mut rest, &mut out),
            // No table here has others that inherit from it; the sets of GROUP BY stay as many as they are unless it says so.
            found if is(found, "only") && after("from") && !opens(&mut rest) || is(found, "all") && groups(&out) => {}
            found if is(found, "operator") => {
                out.push(quantified(&mut rest).map_or_else(|| token.clone(), |operator| placed(operator, token.span)));
            }
            // `trim(trailing from x)` trims blanks.
            found if is(found, "from") && trims(&out) => {
                out.push(placed(Token::SingleQuotedString(" ".to_owned()), token.span));
                out.push(token.clone());
            }
            found if is(found, "using") && sorts(&out) => {
                out.push(direction(&mut rest).map_or_else(|| token.clone(), |way| placed(way, token.span)));
            }
            // With its schema such a name is a function's like any other, and its arguments have commas between them.
            Token::Word(found) if has_grammar(found) && of_schema(&out) && opens(&mut rest) => {
                let plain = Word { value: found.value.to_lowercase(), quote_style: Some('"'), keyword: Keyword::NoKeyword };
                out.push(placed(Token::Word(plain), token.span));
            }
            // `(t).*` are the columns of t, `(t).a` is one of them.
            Token::Mul | Token::Word(_) if matches!(out.last(), Some(TokenWithSpan { token: Token::Period, .. })) => {
                if let Some(name) = row_name(&out) {
                    let kept = out.len().saturating_sub(4);
                    out.truncate(kept);
                    out.push(name);
                    out.push(placed(Token::Period, token.span));
                } else if token.token == Token::Mul && matches!(out.as_slice(), [.., close, _] if close.token == Token::RParen) {
                    out.push(placed(word(super::members::ALL, Keyword::NoKeyword), token.span));
                    continue;
                }
                out.push(token.clone());
            }
            _ => out.push(token.clone()),
        }
    }
    out
}

fn quoted(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::SingleQuotedString(_))
}

/// Puts other tokens in the place of one that a look at those around it tells; false if it is another.
fn alone(token: &TokenWithSpan, out: &mut Vec<TokenWithSpan>, rest: &Peekable<Iter<'_, TokenWithSpan>>) -> bool {
    match &token.token {
        Token::NationalStringLiteral(text) => out.push(placed(Token::SingleQuotedString(text.clone()), token.span)),
        // `t.* IS NULL` asks of a row, and is no list of columns.
        Token::Mul if tests_a_row(out, rest) => {
            let name = first_of_name(out);
            out.insert(name, placed(Token::LParen, token.span));
            out.extend([token.clone(), placed(Token::RParen, token.span)]);
        }
        // `x LIKE ALL (…)`, `x NOT LIKE ANY (…)`: the parser knows them by their operators.
        found if is(found, "like") || is(found, "ilike") => {
            let before = out.iter().rposition(|token| !blank(token));
            let not = before.filter(|place| out.get(*place).is_some_and(|last| is(&last.token, "not")));
            if !of_all(not.is_some(), rest) {
                return false;
            }
            out.truncate(not.unwrap_or(out.len()));
            let operator = match (is(found, "ilike"), not.is_some()) {
                (false, false) => Token::DoubleTilde,
                (false, true) => Token::ExclamationMarkDoubleTilde,
                (true, false) => Token::DoubleTildeAsterisk,
                (true, true) => Token::ExclamationMarkDoubleTildeAsterisk,
            };
            out.push(placed(operator, token.span));
        }
        _ => return false,
    }
    true
}

/// Whether ALL and a parenthesis stand behind; behind NOT, also ANY or SOME.
fn of_all(negated: bool, rest: &Peekable<Iter<'_, TokenWithSpan>>) -> bool {
    let mut ahead = rest.clone().filter(|token| !blank(token));
    let words: &[&str] = if negated { &["all", "any", "some"] } else { &["all"] };
    let quantifier = ahead.next().is_some_and(|token| words.iter().any(|word| is(&token.token, word)));
    quantifier && ahead.next().is_some_and(|token| token.token == Token::LParen)
}

/// Whether a name and a point stand before, and IS behind.
fn tests_a_row(out: &[TokenWithSpan], rest: &Peekable<Iter<'_, TokenWithSpan>>) -> bool {
    let named = matches!(out, [.., name, point] if matches!(name.token, Token::Word(_)) && point.token == Token::Period);
    named && rest.clone().find(|token| !blank(token)).is_some_and(|token| is(&token.token, "is"))
}

/// Where the name begins of which the last tokens are a part and a point.
fn first_of_name(out: &[TokenWithSpan]) -> usize {
    let mut parts = out
        .rchunks(2)
        .take_while(|part| matches!(part, [name, point] if matches!(name.token, Token::Word(_)) && point.token == Token::Period));
    out.len() - 2 * parts.by_ref().count()
}

/// Puts `INTERVAL` before the constant that is the last token.
fn as_interval(out: &mut Vec<TokenWithSpan>, span: Span) {
    if let Some(at) = out.iter().rposition(|token| !blank(token)) {
        out.insert(at, placed(word("INTERVAL", Keyword::INTERVAL), span));
    }
}

/// Takes `interval` if the end of a frame is behind it.
fn bounds_a_frame(rest: &mut Peekable<Iter<'_, TokenWithSpan>>) -> bool {
    let mut ahead = rest.clone().filter(|token| !blank(token));
    let interval = ahead.next().is_some_and(|token| is(&token.token, "interval"));
    let bound = ahead.next().is_some_and(|token| is(&token.token, "preceding") || is(&token.token, "following"));
    if interval && bound {
        rest.by_ref().find(|token| !blank(token));
    }
    interval && bound
}

/// `FETCH FIRST (a + b) ROWS ONLY` as `LIMIT (a + b)`: the parser reads a constant there only. `None` if it is nowhere.
fn limited(tokens: &[TokenWithSpan]) -> Option<Vec<TokenWithSpan>> {
    let word_at = |at: usize, words: &[&str]| tokens.get(at).is_some_and(|token| words.iter().any(|word| is(&token.token, word)));
    let next = |at: usize| (at + 1..tokens.len()).find(|at| tokens.get(*at).is_some_and(|token| !blank(token)));
    let mut out: Option<Vec<TokenWithSpan>> = None;
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| is(&token.token, "fetch")) {
        let Some(first) = next(at).filter(|first| word_at(*first, &["first", "next"])) else { continue };
        let Some(open) = next(first).filter(|open| tokens.get(*open).is_some_and(|token| token.token == Token::LParen)) else { continue };
        let Some(close) = closing(tokens, open) else { continue };
        let Some(rows) = next(close).filter(|rows| word_at(*rows, &["row", "rows"])) else { continue };
        if let Some(with) = next(rows).filter(|with| word_at(*with, &["with"]))
            && next(with).is_some_and(|ties| word_at(ties, &["ties"]))
        {
            bared(tokens, (open, close), &mut out);
            continue;
        }
        let Some(only) = next(rows).filter(|only| word_at(*only, &["only"])) else { continue };
        let out = out.get_or_insert_with(|| tokens.to_vec());
        for dropped in [first, rows, only] {
            if let Some(slot) = out.get_mut(dropped) {
                slot.token = Token::Whitespace(Whitespace::Space);
            }
        }
        if let Some(slot) = out.get_mut(at) {
            *slot = placed(word("LIMIT", Keyword::LIMIT), token.span);
        }
    }
    out
}

/// Leaves out parentheses around one constant or parameter.
fn bared(tokens: &[TokenWithSpan], (open, close): (usize, usize), out: &mut Option<Vec<TokenWithSpan>>) {
    if tokens.get(open + 1..close).is_none_or(|inside| inside.iter().filter(|token| !blank(token)).count() != 1) {
        return;
    }
    let out = out.get_or_insert_with(|| tokens.to_vec());
    for dropped in [open, close] {
        if let Some(slot) = out.get_mut(dropped) {
            slot.token = Token::Whitespace(Whitespace::Space);
        }
    }
}

/// The place of the parenthesis that closes one.
pub(super) fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            _ => continue,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Puts an operator and the signs behind it each in its place.
fn apart(text: &str, token: &TokenWithSpan, out: &mut Vec<TokenWithSpan>) {
    let Some((operator, signs)) = signed(text) else { return out.push(token.clone()) };
    let mut start = token.span.start;
    for found in std::iter::once(operator).chain(signs) {
        let letters = u64::try_from(found.to_string().chars().count()).unwrap_or(1);
        let end = Location { line: start.line, column: start.column + letters };
        out.push(placed(found, Span { start, end }));
        start = end;
    }
}

/// An operator and the signs behind it, which are none of it unless it has letters that only operators have.
fn signed(text: &str) -> Option<(Token, Vec<Token>)> {
    if text.contains(['~', '!', '@', '#', '^', '&', '|', '`', '?', '%']) {
        return None;
    }
    let operator = text.get(..1)?.to_owned() + text.get(1..)?.trim_end_matches(['+', '-']);
    let signs = text.get(operator.len()..)?.chars().map(|sign| if sign == '-' { Token::Minus } else { Token::Plus });
    let signs: Vec<Token> = signs.collect();
    let mut found = Tokenizer::new(&PostgreSqlDialect {}, &operator).tokenize().ok()?.into_iter();
    match (found.next()?, found.next()) {
        (Token::CustomBinaryOperator(_), _) | (_, Some(_)) => None,
        (operator, None) => (!signs.is_empty()).then_some((operator, signs)),
    }
}

/// Whether a string constant goes on with one before it: on a later line.
fn continues(last: Option<&TokenWithSpan>, token: &TokenWithSpan) -> bool {
    last.is_some_and(|last| matches!(last.token, Token::SingleQuotedString(_)) && last.span.end.line < token.span.start.line)
}

/// The name in `(name).`, which ends here.
fn row_name(out: &[TokenWithSpan]) -> Option<TokenWithSpan> {
    let [.., open, name, close, period] = out else { return None };
    let row = open.token == Token::LParen && close.token == Token::RParen && period.token == Token::Period;
    (row && matches!(name.token, Token::Word(_))).then(|| name.clone())
}

/// Whether the parser reads a call of this name by a grammar of its own.
fn has_grammar(word: &Word) -> bool {
    let names = ["ceil", "floor", "overlay", "substr", "substring"];
    word.quote_style.is_none() && names.iter().any(|name| word.value.eq_ignore_ascii_case(name))
}

/// Whether `pg_catalog.` ends here.
fn of_schema(out: &[TokenWithSpan]) -> bool {
    matches!(out, [.., schema, period] if period.token == Token::Period && is(&schema.token, "pg_catalog"))
}

/// Refuses what the parser would read, and PostgreSQL does not.
pub(super) fn check(piece: &Piece, tokens: &[TokenWithSpan]) -> Result<(), ClientMessage> {
    let words: Vec<&TokenWithSpan> = tokens.iter().filter(|token| !blank(token)).collect();
    for pair in words.windows(2) {
        let [one, other] = pair else { continue };
        let beside = one.span.end.line == other.span.start.line;
        let texts = matches!((&one.token, &other.token), (Token::SingleQuotedString(_), Token::SingleQuotedString(_)));
        if texts && beside {
            return Err(syntax_error(piece, Some(other)));
        }
    }
    for three in words.windows(3) {
        let [first, star, next] = three else { continue };
        // The parser takes the word for the name of something; to PostgreSQL all columns have none.
        if is(&first.token, "select") && star.token == Token::Mul && matches!(&next.token, Token::Word(word) if !follows_columns(word)) {
            return Err(syntax_error(piece, Some(next)));
        }
    }
    for token in words {
        // `1_000` and `0x1F` are a number and a word to PostgreSQL 15, which do not stand side by side.
        let junk = match &token.token {
            Token::Number(digits, _) => digits.contains('_'),
            Token::HexStringLiteral(_) => {
                let at = piece.tokens.iter().position(|known| known.span.start == token.span.start);
                at.is_some_and(|at| piece.text_from(at, None).starts_with('0'))
            }
            _ => false,
        };
        if token.token == Token::DoubleEq {
            let mut message = ClientMessage::new(SqlState::UNDEFINED_FUNCTION, "operator does not exist: ==");
            message.position = piece.position(token.span.start);
            return Err(message);
        }
        if junk {
            return Err(syntax_error(piece, Some(token)));
        }
        if matches!(token.token, Token::HexStringLiteral(_) | Token::SingleQuotedByteStringLiteral(_)) {
            let mut message = ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "type bit is not supported")
                .with_hint("Write bytes as '\\x…'::bytea, and numbers in decimal digits.");
            message.position = piece.position(token.span.start);
            return Err(message);
        }
    }
    Ok(())
}

/// Whether a word may stand behind the columns of a SELECT.
fn follows_columns(word: &Word) -> bool {
    let words =
        ["from", "where", "group", "having", "window", "union", "intersect", "except", "order", "limit", "offset", "fetch", "for", "into"];
    word.quote_style.is_none() && words.iter().any(|known| word.value.eq_ignore_ascii_case(known))
}

/// The refusal of what is PostgreSQL's, and not read here.
pub(super) fn refused(tokens: &[TokenWithSpan]) -> Option<ClientMessage> {
    let words: Vec<&Token> = tokens.iter().filter(|token| !blank(token)).map(|token| &token.token).collect();
    let rows = words.windows(3).any(|three| {
        let [one, two, three] = three else { return false };
        is(one, "rows") && is(two, "from") && **three == Token::LParen
    });
    let refuse = |text: &str, hint: &str| Some(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, text).with_hint(hint));
    if rows {
        return refuse("ROWS FROM is not supported", "Join the functions WITH ORDINALITY.");
    }
    None
}

pub(super) fn blank(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

/// Whether a token is this word, not quoted.
pub(super) fn is(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

pub(super) fn placed(token: Token, span: Span) -> TokenWithSpan {
    TokenWithSpan { token, span }
}

pub(super) fn word(value: &str, keyword: Keyword) -> Token {
    Token::Word(Word { value: value.to_owned(), quote_style: None, keyword })
}

fn ends_a_value(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            word.quote_style.is_some() || !matches!(word.keyword, Keyword::SELECT | Keyword::AS | Keyword::AND | Keyword::OR)
        }
        Token::Number(..) | Token::SingleQuotedString(_) | Token::RParen | Token::RBracket | Token::Placeholder(_) => true,
        _ => false,
    }
}

/// Whether `GROUP BY` ends here.
fn groups(out: &[TokenWithSpan]) -> bool {
    let mut words = out.iter().rev().filter(|token| !blank(token));
    words.next().is_some_and(|by| is(&by.token, "by")) && words.next().is_some_and(|group| is(&group.token, "group"))
}

/// Takes `NO OTHERS`, if it comes next.
fn none_excluded(rest: &mut Peekable<Iter<'_, TokenWithSpan>>) -> bool {
    let mut ahead = rest.clone();
    let mut words = ahead.by_ref().filter(|token| !blank(token));
    let found = ["no", "others"].iter().all(|word| words.next().is_some_and(|token| is(&token.token, word)));
    if found {
        *rest = ahead;
    }
    found
}

/// Takes `CURRENT ROW`, `GROUP` or `TIES`, if it comes next, and tells its mark.
fn excluded(rest: &mut Peekable<Iter<'_, TokenWithSpan>>) -> Option<&'static str> {
    let mut ahead = rest.clone();
    let mut words = ahead.by_ref().filter(|token| !blank(token));
    let first = words.next()?;
    let (_, mark) = semantics::EXCLUDED.iter().find(|(word, _)| is(&first.token, word))?;
    if is(&first.token, "current") && !words.next().is_some_and(|token| is(&token.token, "row")) {
        return None;
    }
    *rest = ahead;
    Some(mark)
}

/// Puts a mark first among the keys of the partition of the window that ends here.
fn mark_frame(out: &mut Vec<TokenWithSpan>, mark: &str, span: Span) -> bool {
    let mut depth = 0_usize;
    let open = out.iter().rposition(|token| match token.token {
        Token::RParen => {
            depth += 1;
            false
        }
        Token::LParen if depth == 0 => true,
        Token::LParen => {
            depth -= 1;
            false
        }
        _ => false,
    });
    let Some(open) = open else { return false };
    let mut words = (open + 1..out.len()).filter(|at| out.get(*at).is_some_and(|token| !blank(token)));
    let named = |at: Option<usize>, word: &str| at.and_then(|at| out.get(at)).is_some_and(|token| is(&token.token, word));
    let (first, second) = (words.next(), words.next());
    // The planner leaves bare constants out.
    let text = [Token::LParen, Token::SingleQuotedString(mark.to_owned()), Token::RParen].map(|token| placed(token, span));
    let (at, marked) = match second {
        Some(by) if named(first, "partition") && named(second, "by") => {
            (by + 1, text.into_iter().chain([placed(Token::Comma, span)]).collect::<Vec<_>>())
        }
        _ => {
            let base = !["order", "rows", "range", "groups"].iter().any(|word| named(first, word));
            let at = if base { first.map_or(open + 1, |base| base + 1) } else { open + 1 };
            let by = [word("PARTITION", Keyword::PARTITION), word("BY", Keyword::BY)].map(|token| placed(token, span));
            (at, by.into_iter().chain(text).collect())
        }
    };
    out.splice(at..at, marked);
    true
}

/// Whether a parenthesis comes next.
fn opens(rest: &mut Peekable<Iter<'_, TokenWithSpan>>) -> bool {
    let mut ahead = rest.clone();
    ahead.find(|token| !blank(token)).is_some_and(|token| token.token == Token::LParen)
}

/// Whether a word is a type before a constant of it that the parser would not read.
fn named_constant(found: &Word, last: Option<&TokenWithSpan>, rest: &mut Peekable<Iter<'_, TokenWithSpan>>) -> bool {
    let carried = || PgType::named(&found.value.to_lowercase()).and_then(Carried::of).is_some();
    let named = match found.quote_style {
        None => found.value.eq_ignore_ascii_case("name") || carried(),
        Some(_) => found.value == "char",
    };
    let begins = last.is_none_or(|last| !matches!(last.token, Token::DoubleColon | Token::Period) && !ends_a_value(&last.token));
    let mut ahead = rest.clone();
    let constant = |token: &TokenWithSpan| matches!(token.token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_));
    named && begins && ahead.find(|token| !blank(token)).is_some_and(constant)
}

/// The constant behind a type, cast to it.
fn cast_constant(named: &TokenWithSpan, rest: &mut Peekable<Iter<'_, TokenWithSpan>>, out: &mut Vec<TokenWithSpan>) {
    out.extend(rest.find(|token| !blank(token)).cloned());
    out.push(placed(Token::DoubleColon, named.span));
    out.push(named.clone());
}

/// `(2) '…'`, if it comes next.
fn precise<'a>(rest: &Peekable<Iter<'a, TokenWithSpan>>) -> Option<[&'a TokenWithSpan; 4]> {
    let next: Vec<&TokenWithSpan> = rest.clone().filter(|token| !blank(token)).take(4).collect();
    let [open, digits, close, text] = <[&TokenWithSpan; 4]>::try_from(next).ok()?;
    let fits = open.token == Token::LParen
        && matches!(digits.token, Token::Number(..))
        && close.token == Token::RParen
        && matches!(text.token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_));
    fits.then_some([open, digits, close, text])
}

/// Takes `(2) '…'` behind `interval`, as a constant that is cast.
fn precise_constant(named: &TokenWithSpan, rest: &mut Peekable<Iter<'_, TokenWithSpan>>, out: &mut Vec<TokenWithSpan>) {
    let Some([open, digits, close, text]) = precise(rest) else { return };
    out.extend([text.clone(), placed(Token::DoubleColon, named.span), named.clone(), open.clone(), digits.clone(), close.clone()]);
    (0..4).for_each(|_| _ = rest.find(|token| !blank(token)));
}

/// The sign in `OPERATOR(pg_catalog.=) ANY`, which the parser reads before a value only.
fn quantified(rest: &mut Peekable<Iter<'_, TokenWithSpan>>) -> Option<Token> {
    let mut ahead = rest.clone();
    let mut next = || ahead.find(|token| !blank(token)).map(|token| &token.token);
    let opens = next()? == &Token::LParen;
    let schema = is(next()?, "pg_catalog") && next()? == &Token::Period;
    let operator = next()?.clone();
    let closes = next()? == &Token::RParen;
    let quantifier = next()?;
    let known = ["any", "all", "some"].iter().any(|word| is(quantifier, word));
    if !(opens && schema && closes && known) || matches!(operator, Token::Word(_)) {
        return None;
    }
    let mut ahead = rest.clone();
    ahead.by_ref().find(|token| token.token == Token::RParen)?;
    *rest = ahead;
    Some(operator)
}

/// Whether `trim (both`, or `trim (`, ends here.
fn trims(out: &[TokenWithSpan]) -> bool {
    let mut back = out.iter().rev().filter(|token| !blank(token)).map(|token| &token.token);
    let side = |token: &Token| ["both", "leading", "trailing"].iter().any(|word| is(token, word));
    let trim = |token: Option<&Token>| token.is_some_and(|token| is(token, "trim"));
    match back.next() {
        Some(found) if side(found) => back.next() == Some(&Token::LParen) && trim(back.next()),
        _ => false,
    }
}

/// Whether a sort key has just ended: `ORDER BY x`, with no clause begun since.
fn sorts(out: &[TokenWithSpan]) -> bool {
    let mut back = out.iter().rev().filter(|token| !blank(token)).map(|token| &token.token);
    let begun = back.find(|token| ["by", "join", "from", "where", "select"].iter().any(|word| is(token, word)));
    begun.is_some_and(|token| is(token, "by")) && back.next().is_some_and(|token| is(token, "order"))
}

/// `USING <` and `USING >` behind a sort key.
fn direction(rest: &mut Peekable<Iter<'_, TokenWithSpan>>) -> Option<Token> {
    let mut ahead = rest.clone();
    let way = match ahead.find(|token| !blank(token))?.token {
        Token::Lt => word("ASC", Keyword::ASC),
        Token::Gt => word("DESC", Keyword::DESC),
        _ => return None,
    };
    *rest = ahead;
    Some(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(sql: &str) -> String {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().unwrap();
        respelled(&tokens).iter().map(|token| token.token.to_string()).collect()
    }

    #[test]
    fn words_become_others() {
        assert_eq!(spelled("a between symmetric 3 and 1"), "a between !! 3 and 1");
        assert_eq!(spelled("1 isnull, isnull(x)"), "1 ISNULL, isnull(x)");
        assert_eq!(spelled("(rows 1 preceding exclude no others)"), "(rows 1 preceding )");
        assert_eq!(spelled("(rows 1 preceding exclude ties)"), "(PARTITIONBY('meshgate_exclude_ties')rows 1 preceding )");
        assert_eq!(
            spelled("f() over (partition by a order by f(b) rows current row exclude current row)"),
            "f() over (partition by('meshgate_exclude_row'), a order by f(b) rows current row )"
        );
        assert_eq!(spelled("trim(trailing from x)"), "trim(trailing ' 'from x)");
        assert_eq!(spelled("select 1 order by x using >, y"), "select 1 order by x DESC, y");
        assert_eq!(spelled("fetch first (1 + (2)) rows only").split_whitespace().collect::<String>(), "LIMIT(1+(2))");
        assert_eq!(
            spelled("fetch first (2) rows with ties").split_whitespace().collect::<Vec<_>>(),
            ["fetch", "first", "2", "rows", "with", "ties"]
        );
        assert_eq!(
            spelled("range between '1 day'::interval preceding and current row").split_whitespace().collect::<Vec<_>>().join(" "),
            "range between INTERVAL'1 day' preceding and current row"
        );
        assert_eq!(spelled("fetch first (1 + 1) rows with ties"), "fetch first (1 + 1) rows with ties");
        let split = |text: &str| signed(text).map(|(operator, signs)| (operator, signs.len()));
        assert_eq!(split("*-"), Some((Token::Mul, 1)));
        assert_eq!(split("->>-"), Some((Token::LongArrow, 1)));
        assert_eq!((split(">=+-"), split("+-")), (Some((Token::GtEq, 2)), Some((Token::Plus, 1))));
        assert_eq!((split("||-"), split("@-"), split("<->")), (None, None, None));
        assert_eq!(spelled("from a join b using (x)"), "from a join b using (x)");
        assert_eq!(spelled("'a'\n'b'"), "'ab'");
        assert_eq!(spelled("interval(2) '1 day', x::interval(2)"), "'1 day'::interval(2), x::interval(2)");
        assert_eq!(spelled("f(a := 1)"), "f(a => 1)");
        assert_eq!(spelled("select s.t.* is null, t.*, t.* from n'x'"), "select (s.t.*) is null, t.*, t.* from 'x'");
        assert_eq!(spelled("a not like any (b) and a like all (c)"), "a !~~ any (b) and a ~~ all (c)");
        assert_eq!(spelled("a not ilike some (b) or a like any (c)"), "a !~~* some (b) or a like any (c)");
        assert_eq!(spelled("select name 'a', \"char\" 'b', t.name"), "select 'a'::name, 'b'::\"char\", t.name");
        assert_eq!(spelled("a operator(pg_catalog.=) any (b)"), "a = any (b)");
        assert_eq!(spelled("a operator(pg_catalog.=) b"), "a operator(pg_catalog.=) b");
        assert_eq!(
            spelled("pg_catalog.substring(a, 'b') = substring(a from 'b')"),
            "pg_catalog.\"substring\"(a, 'b') = substring(a from 'b')"
        );
        assert_eq!(spelled("select (f(x)).*, (f(x)).a"), "select (f(x)).meshgate_all, (f(x)).a");
        assert_eq!(spelled("select (t).*, (2) * 3, (t).a, s.t"), "select t.*, (2) * 3, t.a, s.t");
    }
}
