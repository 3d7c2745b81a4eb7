//! Values while a statement over the catalog is answered, and the types that they have.
//!
//! A value does not know its type: an OID, a `bigint` and a `regclass` are all [`Datum::Int`]. What they mean stands beside the
//! expression, as a [`Ty`].

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::catalog::PgType;
use crate::catalog::rows::Value;

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Datum {
    /// NULL.
    Null,
    /// boolean
    Bool(bool),
    /// Every integer, and every OID whatever it stands for.
    Int(i64),
    /// float4, float8, numeric
    Float(f64),
    /// Everything that is written as text.
    Text(Arc<str>),
    /// timestamp, timestamptz, date: microseconds since 1970.
    Instant(i64),
    /// interval, in microseconds.
    Span(i64),
    /// An array.
    List(Arc<List>),
    /// A row.
    Row(Arc<[Datum]>),
}

fn held(values: &[Datum]) -> usize {
    values.iter().fold(0, |bytes, value| bytes.saturating_add(value.bytes()).saturating_add(size_of::<Datum>()))
}

/// An array of one dimension. The vectors of the system count from 0, all others from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct List {
    /// The elements.
    pub(super) items: Vec<Datum>,
    /// The number of the first.
    pub(super) first: i64,
}

impl Datum {
    /// What it takes beside its place in a row.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Datum::Text(text) => text.len(),
            Datum::List(list) => held(&list.items),
            Datum::Row(cells) => held(cells),
            _ => 0,
        }
    }

    /// A text.
    pub(super) fn text(text: impl AsRef<str>) -> Self {
        Datum::Text(Arc::from(text.as_ref()))
    }

    /// An array that counts from 1.
    pub(super) fn list(items: Vec<Datum>) -> Self {
        Datum::List(Arc::new(List { items, first: 1 }))
    }

    /// Whether it is NULL.
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    /// Whether it is true, which NULL is not.
    pub(super) fn is_true(&self) -> bool {
        matches!(self, Datum::Bool(true))
    }

    /// The text of a text; of anything else, nothing.
    pub(super) fn as_text(&self) -> &str {
        if let Datum::Text(text) = self { text } else { "" }
    }

    /// The number of an integer.
    pub(super) fn as_int(&self) -> Option<i64> {
        match self {
            Datum::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements of an array; of anything else, none.
    pub(super) fn items(&self) -> &[Datum] {
        if let Datum::List(list) = self { &list.items } else { &[] }
    }

    fn rank(&self) -> u8 {
        match self {
            Datum::Bool(_) => 0,
            Datum::Int(_) | Datum::Float(_) => 1,
            Datum::Text(_) => 2,
            Datum::Instant(_) => 3,
            Datum::Span(_) => 4,
            Datum::List(_) => 5,
            Datum::Row(_) => 6,
            Datum::Null => 7,
        }
    }
}

impl From<bool> for Datum {
    fn from(truth: bool) -> Self {
        Datum::Bool(truth)
    }
}

impl From<i64> for Datum {
    fn from(number: i64) -> Self {
        Datum::Int(number)
    }
}

impl From<usize> for Datum {
    fn from(number: usize) -> Self {
        Datum::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<String> for Datum {
    fn from(text: String) -> Self {
        Datum::Text(text.into())
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Datum::text(text)
    }
}

impl<T: Into<Datum>> From<Option<T>> for Datum {
    fn from(value: Option<T>) -> Self {
        value.map_or(Datum::Null, Into::into)
    }
}

/// The total order that sorting has: as in PostgreSQL, with NULL above everything.
impl Ord for Datum {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Datum::Bool(one), Datum::Bool(other)) => one.cmp(other),
            (Datum::Int(one), Datum::Int(other))
            | (Datum::Instant(one), Datum::Instant(other))
            | (Datum::Span(one), Datum::Span(other)) => one.cmp(other),
            (Datum::Float(one), Datum::Float(other)) => one.total_cmp(other),
            (Datum::Int(one), Datum::Float(other)) => float(*one).total_cmp(other),
            (Datum::Float(one), Datum::Int(other)) => one.total_cmp(&float(*other)),
            (Datum::Text(one), Datum::Text(other)) => one.cmp(other),
            (Datum::List(one), Datum::List(other)) => one.items.cmp(&other.items),
            (Datum::Row(one), Datum::Row(other)) => one.cmp(other),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Datum {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Datum {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Datum {}

impl Hash for Datum {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Datum::Null => {}
            Datum::Bool(truth) => truth.hash(state),
            // Integers and floats may be equal, so they hash alike.
            Datum::Int(number) => float(*number).to_bits().hash(state),
            Datum::Float(number) => number.to_bits().hash(state),
            Datum::Text(text) => text.hash(state),
            Datum::Instant(number) | Datum::Span(number) => number.hash(state),
            Datum::List(list) => list.items.hash(state),
            Datum::Row(fields) => fields.hash(state),
        }
    }
}

/// The nearest float.
pub(super) fn float(number: i64) -> f64 {
    number as f64
}

/// A type: PostgreSQL's, and of a row the fields, of an array of rows those of its elements.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ty {
    /// The type.
    pub(super) pg: PgType,
    /// The names and types of a row's fields.
    pub(super) fields: Option<Arc<[(String, Ty)]>>,
}

impl From<PgType> for Ty {
    fn from(pg: PgType) -> Self {
        Ty { pg, fields: None }
    }
}

impl Ty {
    /// A row of these fields.
    pub(super) fn row(fields: Vec<(String, Ty)>) -> Self {
        Ty { pg: PgType::RECORD, fields: Some(fields.into()) }
    }

    /// Whether the two are one type, whatever their modifiers.
    pub(super) fn is(&self, pg: PgType) -> bool {
        self.pg.oid == pg.oid
    }

    /// The array type over this type.
    pub(super) fn array(&self) -> Ty {
        Ty { pg: self.pg.array(), fields: self.fields.clone() }
    }

    /// The element of an array or of a vector of the system.
    pub(super) fn element(&self) -> Option<Ty> {
        let pg = match self.pg.oid {
            oid if oid == PgType::INT2VECTOR.oid => PgType::INT2,
            oid if oid == PgType::OIDVECTOR.oid => PgType::OID,
            oid if oid == PgType::ANYARRAY.oid => PgType::TEXT,
            _ => self.pg.element()?,
        };
        Some(Ty { pg: pg.with_typmod(-1), fields: self.fields.clone() })
    }

    /// What kind of type it is, for choosing what to do with it.
    pub(super) fn family(&self) -> Family {
        if self.element().is_some() {
            return Family::List;
        }
        match self.pg.oid {
            16 => Family::Bool,
            20 | 21 | 23 => Family::Int,
            26 | 28 | 29 | 5069 => Family::Oid,
            24 | 2202..=2206 | 4089 | 4096 | 4191 | 3734 | 3769 => Family::Named,
            700 | 701 | 1700 => Family::Float,
            1082 | 1114 | 1184 => Family::Instant,
            1186 => Family::Span,
            2249 => Family::Row,
            _ => Family::Text,
        }
    }

    /// The name that `format_type` gives.
    pub(super) fn shown(&self) -> String {
        self.pg.format().unwrap_or_else(|| "record".to_owned())
    }
}

/// Kinds of types that are handled alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// boolean
    Bool,
    /// smallint, integer, bigint
    Int,
    /// oid, xid, cid
    Oid,
    /// regclass and its kin: a number that is shown as a name.
    Named,
    /// real, double precision, numeric
    Float,
    /// What is a text to us.
    Text,
    /// date, timestamp, timestamptz
    Instant,
    /// interval
    Span,
    /// An array or a vector.
    List,
    /// A row.
    Row,
}

/// The value that a system function takes.
pub(super) fn to_value(datum: &Datum) -> Value {
    match datum {
        Datum::Null | Datum::Row(_) => Value::Null,
        Datum::Bool(truth) => Value::Bool(*truth),
        Datum::Int(number) => Value::Int(*number),
        Datum::Float(number) => Value::Float(*number),
        Datum::Text(text) => Value::Text(text.to_string()),
        Datum::Instant(micros) => Value::Instant(*micros),
        Datum::Span(micros) => Value::Seconds(micros / 1_000_000),
        Datum::List(list) => match list.items.iter().map(Datum::as_int).collect::<Option<Vec<i64>>>() {
            Some(numbers) if !numbers.is_empty() => Value::Ints(numbers),
            _ => Value::Texts(list.items.iter().map(|item| item.as_text().to_owned()).collect()),
        },
    }
}

/// The value that a system function answers.
pub(super) fn from_value(value: Value) -> Datum {
    match value {
        Value::Null => Datum::Null,
        Value::Bool(truth) => Datum::Bool(truth),
        Value::Int(number) => Datum::Int(number),
        Value::Float(number) => Datum::Float(number),
        Value::Text(text) => text.into(),
        Value::Instant(micros) => Datum::Instant(micros),
        Value::Day(days) => Datum::Instant(i64::from(days).saturating_mul(86_400_000_000)),
        Value::Seconds(seconds) => Datum::Span(seconds.saturating_mul(1_000_000)),
        Value::Texts(texts) => Datum::list(texts.into_iter().map(Datum::from).collect()),
        Value::Ints(ints) => Datum::list(ints.into_iter().map(Datum::from).collect()),
    }
}
