//! The SQL/JSON path language: from a text to a tree.
//!
//! INVARIANT: nesting is bounded, so that neither reading nor running a path can exhaust the stack.

use regex::Regex;

use crate::error::SqlState;

use super::are;
use super::function::{Result, fault};

/// A path with its mode.
#[derive(Debug)]
pub(super) struct JsonPath {
    /// Structures that do not fit are unwrapped or passed over.
    pub(super) lax: bool,
    pub(super) path: Path,
}

/// What finds items.
#[derive(Debug)]
pub(super) enum Path {
    /// `$`
    Root,
    /// `@`
    Current,
    /// `$name`
    Variable(String),
    /// `last`
    Last,
    /// The JSON text of a constant.
    Constant(String),
    /// `.key`
    Key(Box<Path>, String),
    /// `.*`
    AnyKey(Box<Path>),
    /// `.**{from to end}`
    Deep(Box<Path>, u32, u32),
    /// `[*]`
    Elements(Box<Path>),
    /// `[1, 3 to 5]`
    Subscripts(Box<Path>, Vec<(Path, Option<Path>)>),
    /// `? (…)`
    Filter(Box<Path>, Box<Condition>),
    /// `.size()` and its like
    Method(Box<Path>, Method),
    /// `- x`
    Negative(Box<Path>),
    /// `x + y`
    Computed(char, Box<Path>, Box<Path>),
    /// A condition that is itself the answer.
    Truth(Box<Condition>),
}

/// Functions of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Type,
    Size,
    Double,
    Ceiling,
    Floor,
    Abs,
    KeyValue,
}

/// What is true, false or unknown.
#[derive(Debug)]
pub(super) enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Unknown(Box<Condition>),
    Exists(Path),
    Compared(Comparison, Path, Path),
    StartsWith(Path, Path),
    Like(Path, Regex),
}

/// `==` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const DEPTH_MAX: usize = 60;
const TOKENS_MAX: usize = 10_000;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    /// A string in quotes.
    Text(String),
    Number(String),
    Variable(String),
    Sign(&'static str),
}

/// Either kind of expression, of which the place tells which is wanted.
enum Found {
    Path(Path),
    Condition(Condition),
}

/// The tree of a path.
pub(super) fn parsed(text: &str) -> Result<JsonPath> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0, depth: 0 };
    let lax = match reader.word() {
        Some("strict") => false,
        Some("lax") => true,
        _ => return reader.whole(true),
    };
    reader.at += 1;
    reader.whole(lax)
}

fn syntax(token: Option<&Token>) -> datafusion::error::DataFusionError {
    match token {
        None => fault(SqlState::SYNTAX_ERROR, "syntax error at end of jsonpath input"),
        Some(_) => fault(SqlState::SYNTAX_ERROR, "syntax error in jsonpath input"),
    }
}

const SIGNS: [&str; 28] = [
    "**", "==", "!=", "<>", "<=", ">=", "&&", "||", "$", "@", ".", "*", "[", "]", "(", ")", "{", "}", ",", "?", "!", "<", ">", "=", "+",
    "-", "/", "%",
];

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(out) };
        if out.len() >= TOKENS_MAX {
            return Err(fault(SqlState::STATEMENT_TOO_COMPLEX, "jsonpath is too complex"));
        }
        let name = |text: &str| text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
        let (token, length) = if first == '"' {
            quoted(rest)?
        } else if rest.starts_with("$\"") {
            let (token, length) = quoted(rest.get(1..).unwrap_or_default())?;
            let Token::Text(name) = token else { return Err(syntax(None)) };
            (Token::Variable(name), length + 1)
        } else if first.is_ascii_digit() || first == '.' && rest.chars().nth(1).is_some_and(|next| next.is_ascii_digit()) {
            number(rest)
        } else if first.is_alphabetic() || first == '_' {
            let length = name(rest);
            (Token::Word(rest.get(..length).unwrap_or_default().to_owned()), length)
        } else if let Some(after) = rest.strip_prefix('$').filter(|after| name(after) > 0) {
            let length = name(after);
            (Token::Variable(after.get(..length).unwrap_or_default().to_owned()), length + 1)
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign)).ok_or_else(|| syntax(Some(&Token::Sign(""))))?;
            (Token::Sign(sign), sign.len())
        };
        out.push(token);
        rest = rest.get(length..).unwrap_or_default();
    }
}

/// A string from its first quote to its last, with JSON's escapes.
fn quoted(text: &str) -> Result<(Token, usize)> {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '"' if !escaped => {
                let spelled = text.get(..=at).unwrap_or_default();
                let value = serde_json::from_str(spelled).map_err(|_| syntax(Some(&Token::Sign("\""))))?;
                return Ok((Token::Text(value), at + 1));
            }
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Err(syntax(None))
}

fn number(text: &str) -> (Token, usize) {
    let digits = |text: &str| text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let mut length = digits(text);
    let after = |length: usize| text.get(length..).unwrap_or_default();
    if let Some(fraction) = after(length).strip_prefix('.').filter(|fraction| digits(fraction) > 0) {
        length += 1 + digits(fraction);
    }
    if let Some(exponent) = after(length).strip_prefix(['e', 'E']) {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits(unsigned) > 0 {
            length += 1 + (exponent.len() - unsigned.len()) + digits(unsigned);
        }
    }
    let spelled = text.get(..length).unwrap_or_default();
    // JSON's numbers have a digit before the point.
    (Token::Number(if spelled.starts_with('.') { format!("0{spelled}") } else { spelled.to_owned() }), length)
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn word(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(found)) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.take(sign) { Ok(()) } else { Err(syntax(self.peek())) }
    }

    fn whole(mut self, lax: bool) -> Result<JsonPath> {
        let path = match self.either()? {
            Found::Path(path) => path,
            Found::Condition(condition) => Path::Truth(Box::new(condition)),
        };
        if self.at < self.tokens.len() { Err(syntax(self.peek())) } else { Ok(JsonPath { lax, path }) }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(fault(SqlState::STATEMENT_TOO_COMPLEX, "jsonpath nests too deeply"));
        }
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn either(&mut self) -> Result<Found> {
        self.deeper(|reader| {
            let mut left = reader.conjunction()?;
            while reader.take("||") {
                let right = reader.conjunction()?;
                left = Found::Condition(Condition::Or(condition(left)?, condition(right)?));
            }
            Ok(left)
        })
    }

    fn conjunction(&mut self) -> Result<Found> {
        let mut left = self.comparison()?;
        while self.take("&&") {
            let right = self.comparison()?;
            left = Found::Condition(Condition::And(condition(left)?, condition(right)?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Found> {
        if self.take("!") {
            let inner = self.comparison()?;
            return Ok(Found::Condition(Condition::Not(condition(inner)?)));
        }
        let left = match self.sum()? {
            Found::Path(path) => path,
            found @ Found::Condition(_) => return Ok(found),
        };
        let comparison = match self.peek() {
            Some(Token::Sign("==" | "=")) => Comparison::Equal,
            Some(Token::Sign("!=" | "<>")) => Comparison::Unequal,
            Some(Token::Sign("<")) => Comparison::Less,
            Some(Token::Sign("<=")) => Comparison::LessOrEqual,
            Some(Token::Sign(">")) => Comparison::Greater,
            Some(Token::Sign(">=")) => Comparison::GreaterOrEqual,
            Some(Token::Word(word)) if word == "starts" => {
                self.at += 1;
                if self.word() != Some("with") {
                    return Err(syntax(self.peek()));
                }
                self.at += 1;
                let start = self.primary()?;
                return Ok(Found::Condition(Condition::StartsWith(left, path(start)?)));
            }
            Some(Token::Word(word)) if word == "like_regex" => {
                self.at += 1;
                return self.pattern().map(|pattern| Found::Condition(Condition::Like(left, pattern)));
            }
            _ => return Ok(Found::Path(left)),
        };
        self.at += 1;
        let right = self.sum()?;
        Ok(Found::Condition(Condition::Compared(comparison, left, path(right)?)))
    }

    fn pattern(&mut self) -> Result<Regex> {
        let Some(Token::Text(pattern)) = self.peek().cloned() else { return Err(syntax(self.peek())) };
        self.at += 1;
        let mut flags = String::new();
        if self.word() == Some("flag") {
            self.at += 1;
            let Some(Token::Text(given)) = self.peek().cloned() else { return Err(syntax(self.peek())) };
            self.at += 1;
            flags = given;
        }
        if flags.chars().any(|flag| !matches!(flag, 'i' | 's')) {
            return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, "this flag of like_regex is not supported"));
        }
        are::searched(
            &pattern,
            are::Options { either_case: flags.contains('i'), within_lines: !flags.contains('s'), ..are::Options::default() },
        )
    }

    fn sum(&mut self) -> Result<Found> {
        let mut left = self.product()?;
        while let Some(sign) = ["+", "-"].into_iter().find(|sign| self.is(sign)) {
            self.at += 1;
            let right = self.product()?;
            left = computed(sign, left, right)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Found> {
        let mut left = self.signed()?;
        while let Some(sign) = ["*", "/", "%"].into_iter().find(|sign| self.is(sign)) {
            self.at += 1;
            let right = self.signed()?;
            left = computed(sign, left, right)?;
        }
        Ok(left)
    }

    fn signed(&mut self) -> Result<Found> {
        if self.take("+") {
            return self.deeper(Self::signed);
        }
        if self.take("-") {
            let inner = self.deeper(Self::signed)?;
            return Ok(Found::Path(Path::Negative(Box::new(path(inner)?))));
        }
        self.accessed()
    }

    /// A primary and the accessors behind it.
    fn accessed(&mut self) -> Result<Found> {
        let mut found = self.primary()?;
        loop {
            let step = match self.peek() {
                Some(Token::Sign(sign @ ("." | "[" | "?"))) => *sign,
                _ => return Ok(found),
            };
            self.at += 1;
            let inner = Box::new(path(found)?);
            found = Found::Path(match step {
                "." => self.member(inner)?,
                "[" => self.subscripts(inner)?,
                _ => {
                    self.expect("(")?;
                    let filter = self.either()?;
                    self.expect(")")?;
                    Path::Filter(inner, condition(filter)?)
                }
            });
        }
    }

    fn member(&mut self, inner: Box<Path>) -> Result<Path> {
        if self.take("**") {
            return self.levels(inner);
        }
        if self.take("*") {
            return Ok(Path::AnyKey(inner));
        }
        let (key, bare) = match self.peek().cloned() {
            Some(Token::Text(key)) => (key, false),
            Some(Token::Word(key)) => (key, true),
            Some(Token::Variable(key)) => (format!("${key}"), false),
            other => return Err(syntax(other.as_ref())),
        };
        self.at += 1;
        if !bare || !self.take("(") {
            return Ok(Path::Key(inner, key));
        }
        let method = match key.as_str() {
            "type" => Method::Type,
            "size" => Method::Size,
            "double" => Method::Double,
            "ceiling" => Method::Ceiling,
            "floor" => Method::Floor,
            "abs" => Method::Abs,
            "keyvalue" => Method::KeyValue,
            "datetime" => return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, "datetime() of jsonpath is not supported")),
            _ => return Err(syntax(Some(&Token::Word(key)))),
        };
        self.expect(")")?;
        Ok(Path::Method(inner, method))
    }

    /// `{2}`, `{1 to last}` behind `.**`
    fn levels(&mut self, inner: Box<Path>) -> Result<Path> {
        if !self.take("{") {
            return Ok(Path::Deep(inner, 0, u32::MAX));
        }
        let from = self.level()?;
        let to = if self.word() == Some("to") {
            self.at += 1;
            self.level()?
        } else {
            from
        };
        self.expect("}")?;
        Ok(Path::Deep(inner, from, to))
    }

    fn level(&mut self) -> Result<u32> {
        let level = match self.peek() {
            Some(Token::Word(word)) if word == "last" => Some(u32::MAX),
            Some(Token::Number(digits)) => digits.parse().ok(),
            _ => None,
        };
        let level = level.ok_or_else(|| syntax(self.peek()))?;
        self.at += 1;
        Ok(level)
    }

    fn subscripts(&mut self, inner: Box<Path>) -> Result<Path> {
        if self.take("*") {
            self.expect("]")?;
            return Ok(Path::Elements(inner));
        }
        let mut all = Vec::new();
        loop {
            let from = self.sum()?;
            let to = if self.word() == Some("to") {
                self.at += 1;
                let to = self.sum()?;
                Some(path(to)?)
            } else {
                None
            };
            all.push((path(from)?, to));
            if !self.take(",") {
                break;
            }
        }
        self.expect("]")?;
        Ok(Path::Subscripts(inner, all))
    }

    fn primary(&mut self) -> Result<Found> {
        let Some(token) = self.peek().cloned() else { return Err(syntax(None)) };
        self.at += 1;
        Ok(Found::Path(match token {
            Token::Sign("$") => Path::Root,
            Token::Sign("@") => Path::Current,
            Token::Sign("(") => return self.parenthesis(),
            Token::Variable(name) => Path::Variable(name),
            Token::Number(digits) => Path::Constant(digits),
            Token::Text(text) => Path::Constant(super::json_build::quoted(&text)),
            Token::Word(word) => match word.as_str() {
                "last" => Path::Last,
                "true" | "false" | "null" => Path::Constant(word),
                "exists" => {
                    self.expect("(")?;
                    let inner = self.either()?;
                    self.expect(")")?;
                    return Ok(Found::Condition(Condition::Exists(path(inner)?)));
                }
                _ => return Err(syntax(Some(&Token::Word(word)))),
            },
            Token::Sign(_) => return Err(syntax(Some(&token))),
        }))
    }

    /// What stands in parentheses, and `is unknown` behind it.
    fn parenthesis(&mut self) -> Result<Found> {
        let inner = self.either()?;
        self.expect(")")?;
        if self.word() != Some("is") {
            return Ok(inner);
        }
        self.at += 1;
        if self.word() != Some("unknown") {
            return Err(syntax(self.peek()));
        }
        self.at += 1;
        Ok(Found::Condition(Condition::Unknown(condition(inner)?)))
    }
}

fn path(found: Found) -> Result<Path> {
    match found {
        Found::Path(path) => Ok(path),
        Found::Condition(condition) => Ok(Path::Truth(Box::new(condition))),
    }
}

fn condition(found: Found) -> Result<Box<Condition>> {
    match found {
        Found::Condition(condition) => Ok(Box::new(condition)),
        Found::Path(_) => Err(syntax(None)),
    }
}

fn computed(sign: &str, left: Found, right: Found) -> Result<Found> {
    let sign = sign.chars().next().unwrap_or('+');
    Ok(Found::Path(Path::Computed(sign, Box::new(path(left)?), Box::new(path(right)?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        for text in [
            "$",
            "strict $.a.b[*].\"c d\"",
            "$.a[0, 2 to last - 1] ? (@.x > 1 && !(@.y == \"z\") || exists(@.w))",
            "$.**{1 to 2}.size()",
            "- $.x * (2 + $.y) % 3",
            "$ ? (@ like_regex \"^a.*\" flag \"i\")",
            "($.a > 1) is unknown",
            "$v starts with $w",
        ] {
            assert!(parsed(text).is_ok(), "{text}");
        }
        assert!(!parsed("strict $").unwrap().lax);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", "$.", "$.a ? (", "$[", "$ $", "$ ? (@)", "\"open", "$.nothing()", "#"] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(parsed(&format!("{}1{}", "(".repeat(500), ")".repeat(500))).is_err());
    }
}
