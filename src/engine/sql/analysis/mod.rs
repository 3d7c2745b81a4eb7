//! What PostgreSQL's parser makes of the types in a query: which types its parameters have, and what it refuses, each with its place.
//!
//! The tree is the one that the client wrote, walked in PostgreSQL's order, and nothing in it is changed. INVARIANT: what cannot be told is
//! [`resolution::OPEN`], and nothing is refused because of it.

mod calls;
mod expressions;
mod operators;
mod queries;
mod scope;
mod spots;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use datafusion::sql::sqlparser::ast::{Expr, Query as Tree};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

use crate::catalog::{PgType, resolution};
use crate::error::{ClientMessage, SqlState};

use super::dialect::PgDialect;
use super::{TextLimits, long_names, tokens};
use scope::{Relation, Scopes};
use spots::Spots;

/// A statement that PostgreSQL refuses.
type Fault = Box<ClientMessage>;
type Result<T> = std::result::Result<T, Fault>;

/// The place of what is nowhere in the text.
const NOWHERE: Location = Location { line: 0, column: 0 };

/// The most tokens of a text that is looked at. Of a longer one no more is known than what the client declares.
const TOKENS_MAX: usize = 20_000;

/// The most bytes of a text that is looked at.
const BYTES_MAX: usize = 256 << 10;

/// What is known of a table's columns: names and types.
pub(in crate::engine) type Columns = Vec<(String, PgType)>;

/// What a query's text tells of its parameters.
#[derive(Debug, Default)]
pub(in crate::engine) struct Analysis {
    /// The types that parameters have; `None` where their places do not tell.
    pub(in crate::engine) parameters: Vec<Option<PgType>>,
}

/// Analyses the text of a query whose parameters are declared as these, or says why PostgreSQL refuses it. Without a declaration there are no
/// parameters.
pub(in crate::engine) fn analysis(
    text: &str,
    declared: Option<&[Option<PgType>]>,
    tables: &dyn Fn(Option<&str>, &str) -> Option<Columns>,
) -> std::result::Result<Analysis, ClientMessage> {
    let told = |known: &Option<PgType>| known.filter(|known| known.oid != resolution::UNKNOWN);
    let declares = declared.unwrap_or_default().iter().map(told);
    let Some((tree, spots)) = parsed(text) else { return Ok(Analysis { parameters: declares.collect() }) };
    let mut analyst = Analyst {
        spots,
        tables,
        scopes: Scopes::default(),
        fixed: declared.is_none(),
        declared: declares.map(|known| known.map(|known| known.oid)).collect(),
        told: BTreeMap::new(),
        seen: BTreeSet::new(),
        left_open: BTreeSet::new(),
    };
    analyst.query(&tree, true).map_err(|fault| *fault)?;
    analyst.parameters()
}

/// The tree that the client wrote.
fn parsed(text: &str) -> Option<(Tree, Spots)> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let all = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().ok()?;
    let mut all: Vec<_> =
        all.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF | Token::SemiColon)).collect();
    if all.len() > TOKENS_MAX {
        return None;
    }
    long_names::cut(&mut all);
    let limit = TextLimits::default().depth_max * 4;
    let mut parser = Parser::new(&PgDialect).with_recursion_limit(limit).with_tokens_with_locations(tokens::respelled(&all));
    let tree = parser.parse_query().ok()?;
    Some((*tree, Spots::new(text, all)))
}

/// The type of an expression, and what it is if it has none yet.
#[derive(Debug, Clone)]
struct Typed {
    oid: u32,
    /// The number of the parameter that it is.
    parameter: Option<usize>,
    /// The text of the constant in quotes that it is.
    constant: Option<String>,
    /// It is the word NULL.
    null: bool,
    /// Where it stands.
    place: Location,
}

impl Typed {
    fn of(oid: u32) -> Self {
        Self { oid, parameter: None, constant: None, null: false, place: NOWHERE }
    }

    fn open() -> Self {
        Self::of(resolution::OPEN)
    }

    fn at(self, place: Location) -> Self {
        Self { place, ..self }
    }

    fn is_unknown(&self) -> bool {
        self.oid == resolution::UNKNOWN
    }
}

/// Walks a query.
struct Analyst<'a> {
    spots: Spots,
    tables: &'a dyn Fn(Option<&str>, &str) -> Option<Columns>,
    scopes: Scopes,
    /// There are no parameters.
    fixed: bool,
    /// What the client declared.
    declared: Vec<Option<u32>>,
    /// What places have told of parameters so far.
    told: BTreeMap<usize, u32>,
    /// The parameters that the text names.
    seen: BTreeSet<usize>,
    /// Parameters in places that nobody can tell the type of.
    left_open: BTreeSet<usize>,
}

impl Analyst<'_> {
    fn refuse<T>(&self, sqlstate: SqlState, text: impl Into<String>, place: Location) -> Result<T> {
        Err(self.message(sqlstate, text, place))
    }

    fn message(&self, sqlstate: SqlState, text: impl Into<String>, place: Location) -> Fault {
        let mut message = ClientMessage::new(sqlstate, text);
        message.position = self.spots.position(place);
        Box::new(message)
    }

    /// What a parameter is as yet.
    fn parameter(&mut self, number: usize, place: Location) -> Result<Typed> {
        if self.fixed || number == 0 {
            return self.refuse(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${number}"), place);
        }
        self.seen.insert(number);
        let declared = number.checked_sub(1).and_then(|at| self.declared.get(at).copied().flatten());
        let known = declared.or_else(|| self.told.get(&number).copied());
        Ok(match known {
            Some(oid) => Typed::of(oid).at(place),
            None => Typed { parameter: Some(number), place, ..Typed::of(resolution::UNKNOWN) },
        })
    }

    /// A value in a place of this type.
    fn becomes(&mut self, value: &Typed, oid: u32) -> Result<()> {
        if oid == resolution::OPEN {
            self.leave(value);
        }
        if !value.is_unknown() || oid == resolution::OPEN || oid == resolution::UNKNOWN {
            return Ok(());
        }
        if let Some(number) = value.parameter {
            let first = *self.told.entry(number).or_insert(oid);
            if first != oid {
                let text = format!("inconsistent types deduced for parameter ${number}");
                let detail = format!("{} versus {}", resolution::shown(first), resolution::shown(oid));
                let fault = self.message(SqlState::AMBIGUOUS_PARAMETER, text, value.place);
                return Err(Box::new(fault.with_detail(detail)));
            }
            return Ok(());
        }
        match &value.constant {
            Some(text) => self.fits(text, oid, value.place),
            None => Ok(()),
        }
    }

    /// A value whose type nobody can tell from its place.
    fn leave(&mut self, value: &Typed) {
        if let Some(number) = value.parameter {
            self.left_open.insert(number);
        }
    }

    /// A value that has no type at the end of its query is a text.
    fn settled(&mut self, value: &Typed) -> Result<Typed> {
        if !value.is_unknown() {
            return Ok(value.clone());
        }
        self.becomes(value, PgType::TEXT.oid)?;
        Ok(Typed::of(PgType::TEXT.oid).at(value.place))
    }

    /// A condition.
    fn truth(&mut self, expr: &Expr, construct: &str) -> Result<()> {
        let value = self.expr(expr)?;
        self.assigned(expr, &value, PgType::BOOL.oid, construct)
    }

    /// A value in a place that takes what may be stored as this type.
    fn assigned(&mut self, expr: &Expr, value: &Typed, oid: u32, construct: &str) -> Result<()> {
        if resolution::assignable(value.oid, oid) {
            return self.becomes(value, oid);
        }
        let text = format!("argument of {construct} must be type {}, not type {}", resolution::shown(oid), resolution::shown(value.oid));
        self.refuse(SqlState::DATATYPE_MISMATCH, text, self.spots.start(expr))
    }

    /// What is known of all parameters in the end. A type that a place needed and did not tell is refused.
    fn parameters(&self) -> std::result::Result<Analysis, ClientMessage> {
        let count = self.seen.last().copied().unwrap_or(0).max(self.declared.len());
        let mut parameters = Vec::new();
        for number in 1..=count.min(usize::from(u16::MAX)) {
            let declared = self.declared.get(number - 1).copied().flatten();
            let known = declared.or_else(|| self.told.get(&number).copied().filter(|_| !self.left_open.contains(&number)));
            if known.is_none() && !self.left_open.contains(&number) {
                let text = format!("could not determine data type of parameter ${number}");
                return Err(ClientMessage::new(SqlState::INDETERMINATE_DATATYPE, text));
            }
            parameters.push(known.and_then(PgType::of_oid));
        }
        Ok(Analysis { parameters })
    }
}

#[cfg(test)]
mod tests;
