//! Mask expressions: SQL over the columns of one row, read and typed when a contract or an answer is read.
//!
//! INVARIANT: an [`Expression`] names existing columns of types that it knows, calls immutable functions only, and has a value for every
//! row: what SQL would raise an error for (a division by zero, a number out of range, a text that is none of a type) is NULL. So no
//! row can make it fail, and no error can carry a value. Its text, depth and size are bounded, and what it computes is bounded by what
//! it reads.

mod evaluate;
mod functions;
mod lexer;
mod parser;

use std::sync::Arc;

use regex::Regex;

use super::{Decimal, Value};
use crate::product::{DataType, FieldName};

/// The longest expression.
pub const BYTES_MAX: usize = 4_096;

/// Why an expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("character {position}: {message}")]
pub struct ExpressionFault {
    /// From 1.
    pub position: usize,
    /// What is wrong; names columns and functions, never a literal.
    pub message: String,
}

/// A column that an expression may read.
#[derive(Debug, Clone, Copy)]
pub struct ExpressionColumn<'a> {
    /// Its name.
    pub name: &'a FieldName,
    /// Its type.
    pub data_type: &'a DataType,
}

/// A typed expression over the columns of a row.
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    columns: Vec<FieldName>,
    kind: Kind,
    root: Node,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.columns == other.columns && self.kind == other.kind
    }
}

impl Eq for Expression {}

/// What an expression computes with; several types of a contract are one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// NULL, which is of every kind.
    Null,
    Bool,
    Int,
    Decimal,
    Float,
    Text,
    Date,
    /// Without a zone.
    Timestamp,
    TimestampTz,
    /// Of these it is only asked whether they are NULL.
    Opaque,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int16 | DataType::Int32 | DataType::Int64 => Self::Int,
            DataType::Decimal { .. } => Self::Decimal,
            DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::String | DataType::Varchar(_) | DataType::Uuid | DataType::Json => Self::Text,
            DataType::Date => Self::Date,
            DataType::Timestamp => Self::Timestamp,
            DataType::TimestampTz => Self::TimestampTz,
            DataType::Time | DataType::Interval | DataType::Bytes | DataType::List(_) => Self::Opaque,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Bool => "boolean",
            Self::Int => "whole number",
            Self::Decimal => "decimal",
            Self::Float => "floating point",
            Self::Text => "text",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
            Self::Opaque => "a type that expressions do not compute with",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Decimal | Self::Float)
    }

    fn is_dated(self) -> bool {
        matches!(self, Self::Date | Self::Timestamp | Self::TimestampTz)
    }

    /// The kind that values of both can be taken as.
    fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (kind, same) if kind == same => Some(kind),
            (Self::Null, kind) | (kind, Self::Null) => Some(kind),
            (Self::Int, Self::Decimal) | (Self::Decimal, Self::Int) => Some(Self::Decimal),
            (Self::Float, kind) | (kind, Self::Float) if kind.is_number() => Some(Self::Float),
            (Self::Date, kind @ (Self::Timestamp | Self::TimestampTz)) | (kind @ (Self::Timestamp | Self::TimestampTz), Self::Date) => {
                Some(kind)
            }
            _ => None,
        }
    }
}

/// A part of an expression.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// An index into the expression's columns.
    Column(usize),
    Literal(Value<'static>),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    IsNull(Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    Negate(Box<Node>),
    /// The same value as another kind; NULL where it is none.
    Convert(Box<Node>, Kind),
    /// A text cut to so many characters.
    Cut(Box<Node>, usize),
    /// Tested in turn; NULL without an `else`.
    Case(Vec<(Node, Node)>, Option<Box<Node>>),
    Matches(Box<Node>, Arc<Regex>),
    ReplaceMatches {
        text: Box<Node>,
        regex: Arc<Regex>,
        with: String,
        all: bool,
    },
    Call(Function, Vec<Node>),
    /// A part of a date or instant.
    Extract(Part, Box<Node>),
    /// The beginning of the part that a date or instant lies in.
    Truncate(Part, Box<Node>),
}

impl Node {
    /// How many parts it has.
    fn size(&self) -> usize {
        let sum = |nodes: &[Self]| nodes.iter().map(Self::size).sum::<usize>();
        let below = match self {
            Self::Column(_) | Self::Literal(_) => 0,
            Self::Not(inner) | Self::IsNull(inner) | Self::Negate(inner) | Self::Convert(inner, _) | Self::Cut(inner, _) => inner.size(),
            Self::Matches(inner, _) | Self::Extract(_, inner) | Self::Truncate(_, inner) => inner.size(),
            Self::ReplaceMatches { text, .. } => text.size(),
            Self::And(left, right) | Self::Or(left, right) => left.size().saturating_add(right.size()),
            Self::Compare(_, left, right) | Self::Arithmetic(_, left, right) => left.size().saturating_add(right.size()),
            Self::Case(branches, otherwise) => {
                let branches = branches.iter().map(|(test, result)| test.size().saturating_add(result.size())).sum::<usize>();
                branches.saturating_add(otherwise.as_ref().map_or(0, |otherwise| otherwise.size()))
            }
            Self::Call(_, arguments) => sum(arguments),
        };
        below.saturating_add(1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Plus,
    Minus,
    Times,
    Divide,
    Rest,
}

/// A function; all of them are immutable and total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Ceil,
    Coalesce,
    Concat,
    Floor,
    Greatest,
    Least,
    Left,
    Length,
    Lower,
    Lpad,
    Ltrim,
    Nullif,
    Pipes,
    Repeat,
    Replace,
    Reverse,
    Right,
    Round,
    Rpad,
    Rtrim,
    SplitPart,
    StartsWith,
    Strpos,
    Substr,
    Trim,
    Trunc,
    Upper,
}

/// A part of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
}

impl Expression {
    /// Reads an expression over these columns whose value takes the place of a value of type `target`.
    ///
    /// # Errors
    /// What it does not know or cannot type, with the place.
    pub fn parse(text: &str, target: Option<&DataType>, columns: &[ExpressionColumn<'_>]) -> Result<Self, ExpressionFault> {
        let expression = parser::parse(text, columns)?;
        if let Some(target) = target.filter(|target| !expression.serves(target)) {
            let message = format!("its value is {}, and the column is {target}", expression.kind.name());
            return Err(ExpressionFault { position: 1, message });
        }
        Ok(expression)
    }

    /// The columns that it reads, each once, in the order of [`Expression::evaluate`]'s values.
    pub fn columns(&self) -> &[FieldName] {
        &self.columns
    }

    /// Whether it is nothing but that column.
    pub fn is_bare(&self, column: &FieldName) -> bool {
        matches!(self.root, Node::Column(_)) && self.columns.iter().all(|read| read == column)
    }

    /// Whether its value can stand in a column of that type.
    pub fn serves(&self, data_type: &DataType) -> bool {
        match data_type {
            DataType::String | DataType::Varchar(_) => self.kind == Kind::Text,
            DataType::Boolean => self.kind == Kind::Bool,
            DataType::Int16 | DataType::Int32 | DataType::Int64 => self.kind == Kind::Int,
            DataType::Decimal { .. } => matches!(self.kind, Kind::Int | Kind::Decimal),
            DataType::Float32 | DataType::Float64 => self.kind.is_number(),
            DataType::Date => self.kind == Kind::Date,
            DataType::Timestamp => matches!(self.kind, Kind::Date | Kind::Timestamp),
            DataType::TimestampTz => matches!(self.kind, Kind::Date | Kind::TimestampTz),
            DataType::Time | DataType::Interval | DataType::Uuid | DataType::Json | DataType::Bytes | DataType::List(_) => false,
        }
    }

    /// The value for a row of these columns, as a value of `target`; NULL where it has none.
    pub fn evaluate<'a>(&'a self, row: &[Value<'a>], target: &DataType) -> Value<'a> {
        evaluate::fitted(evaluate::value(&self.root, row), target)
    }
}

/// The most characters that a `varchar(n)` holds.
fn characters_max(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
