//! Where in a text expressions and operators stand, as PostgreSQL points at them.

use datafusion::sql::sqlparser::ast::{CastKind, Expr, Spanned, TrimWhereField};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::NOWHERE;

/// The tokens of a text.
#[derive(Debug)]
pub(super) struct Spots {
    /// How many characters come before each line.
    lines: Vec<usize>,
    tokens: Vec<TokenWithSpan>,
}

impl Spots {
    pub(super) fn new(text: &str, tokens: Vec<TokenWithSpan>) -> Self {
        let mut before = 0;
        let lines = text.split('\n').map(|line| {
            let start = before;
            before += line.chars().count() + 1;
            start
        });
        Self { lines: lines.collect(), tokens }
    }

    /// The position of a place: characters from 1.
    pub(super) fn position(&self, place: Location) -> Option<usize> {
        let line = usize::try_from(place.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(place.column).ok()?;
        Some(self.lines.get(line)? + column)
    }

    /// Where an expression begins.
    pub(super) fn start(&self, expr: &Expr) -> Location {
        match expr {
            Expr::Nested(inner) => self.start(inner),
            Expr::UnaryOp { expr, .. } => self.before(self.start(expr), |found| found != "("),
            Expr::Cast { kind: CastKind::Cast, expr, .. } => self.word_before(self.start(expr), "cast"),
            Expr::Cast { expr, .. } | Expr::AtTimeZone { timestamp: expr, .. } | Expr::Collate { expr, .. } => self.start(expr),
            Expr::Extract { expr, .. } => self.word_before(expr.span().start, "extract"),
            Expr::Position { expr, .. } => self.word_before(expr.span().start, "position"),
            Expr::Substring { expr, shorthand, .. } => self.word_before(expr.span().start, if *shorthand { "substr" } else { "substring" }),
            Expr::Trim { expr, trim_what, .. } => {
                let first = trim_what.as_ref().map_or(expr.span().start, |what| what.span().start);
                self.word_before(first.min(expr.span().start), "trim")
            }
            Expr::Overlay { expr, .. } => self.word_before(expr.span().start, "overlay"),
            Expr::Ceil { expr, .. } => self.before(expr.span().start, |word| word.starts_with("ceil")),
            Expr::Floor { expr, .. } => self.word_before(expr.span().start, "floor"),
            Expr::Interval(_) => self.word_before(expr.span().start, "interval"),
            Expr::TypedString(_) => self.before(expr.span().start, |found| found != "("),
            Expr::Exists { subquery, .. } => self.word_before(subquery.span().start, "exists"),
            Expr::Subquery(subquery) => self.opening(subquery.span().start),
            Expr::Array(array) => match array.elem.first() {
                Some(first) => self.word_before(self.start(first), if array.named { "array" } else { "[" }),
                None => expr.span().start,
            },
            Expr::Tuple(parts) => parts.first().map_or(NOWHERE, |first| self.opening(self.start(first))),
            Expr::BinaryOp { left, .. }
            | Expr::AnyOp { left, .. }
            | Expr::AllOp { left, .. }
            | Expr::IsDistinctFrom(left, _)
            | Expr::IsNotDistinctFrom(left, _)
            | Expr::Like { expr: left, .. }
            | Expr::ILike { expr: left, .. }
            | Expr::SimilarTo { expr: left, .. }
            | Expr::Between { expr: left, .. }
            | Expr::InList { expr: left, .. }
            | Expr::InSubquery { expr: left, .. }
            | Expr::IsNull(left)
            | Expr::IsNotNull(left) => self.start(left),
            Expr::CompoundFieldAccess { root, .. } => self.start(root),
            Expr::Function(call) => call.name.span().start,
            expr => expr.span().start,
        }
    }

    /// Where the operator between two expressions stands: one of these words or signs.
    pub(super) fn between(&self, left: &Expr, right: Location, operators: &[&str]) -> Location {
        let from = left.span().end;
        if from == NOWHERE {
            return from;
        }
        let mut between = self.tokens.iter().filter(|token| token.span.start >= from && token.span.start < right);
        let found = between.find(|token| operators.iter().any(|operator| is(&token.token, operator)));
        found.map_or(NOWHERE, |token| token.span.start)
    }

    /// The first of these words behind an expression.
    pub(super) fn behind(&self, left: &Expr, words: &[&str]) -> Location {
        self.between(left, Location { line: u64::MAX, column: 0 }, words)
    }

    /// The WHEN in front of a place.
    pub(super) fn when(&self, place: Location) -> Location {
        self.word_before(place, "when")
    }

    fn word_before(&self, place: Location, word: &str) -> Location {
        self.before(place, |found| found == word)
    }

    /// The parenthesis that opens in front of a place.
    fn opening(&self, place: Location) -> Location {
        self.before(place, |found| found == "(")
    }

    /// The last token in front of a place that is wanted.
    fn before(&self, place: Location, wanted: impl Fn(&str) -> bool) -> Location {
        let mut before = self.tokens.iter().rev().filter(|token| token.span.start < place);
        let found = before.find(|token| wanted(&token.token.to_string().to_lowercase()));
        found.map_or(place, |token| token.span.start)
    }
}

fn is(token: &Token, operator: &str) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(operator),
        token => token.to_string() == operator,
    }
}

/// The function that TRIM is.
pub(super) fn trim_function(side: Option<&TrimWhereField>) -> &'static str {
    match side {
        Some(TrimWhereField::Leading) => "ltrim",
        Some(TrimWhereField::Trailing) => "rtrim",
        _ => "btrim",
    }
}
