//! What an expression can be while records are unknown: a value, a moment, a column with what is done to it, or something made of these.

use std::sync::Arc;

use crate::product::{DataType, FieldName};

use super::super::rego::RegoValue as Value;
use super::super::{LetterCase, Predicate};
use super::computed::Formula;
use super::cond::Cond;
use super::ir::{ArithOp, Root, Shape, Site};
use super::moment::Moment;

/// A value as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    /// Known.
    Known(Value),
    /// Told from the clock, which stays open.
    Moment(Moment),
    /// A document of which a part is unknown, at this path below its root.
    Document(Root, Part),
    /// A column's value, and what is done to it.
    Column(Column),
    /// A value that is worked out row by row.
    Computed(Arc<Formula>),
    /// True where the condition is true, false where it is false.
    Truth(Cond),
    /// A collection whose elements or their presence hang on the record.
    Items(Arc<Items>),
    /// How many elements it has.
    Count(Arc<Items>),
    /// The erased people.
    Erased,
    /// One of the erased people, whoever.
    ErasedOne,
    /// A text that is made of what is not known. Good for a message and for nothing else.
    Text,
    /// Nobody can tell, for any row: something of the record was met by something undefined.
    Lost,
}

/// The documents that hold records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The root itself.
    Whole,
    /// `input.resource`
    Resource,
    /// `input.resource.record`
    Record,
    /// `input.context`, while the clock is open.
    Context,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: FieldName,
    /// What its values are to a rule.
    pub(super) kind: Kind,
    /// Whether a row without a value is hidden even from a rule that asks for `null`.
    pub(super) required: bool,
    /// Arithmetic on a number.
    pub(super) steps: Arc<Vec<NumberStep>>,
    /// The constants of these steps, by number, that the clock moves; the steps hold them as they are now.
    pub(super) moving: Arc<Vec<(usize, Moment)>>,
    /// The case that a text is turned into.
    pub(super) case: Option<LetterCase>,
}

/// What a column's values are to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Integers in this range.
    Integer(i64, i64),
    /// Floating point of 64 bits.
    Float,
    /// Floating point of 32 bits.
    Float32,
    /// Decimals: digits, and how many of them stand behind the point.
    Decimal(u8, u8),
    /// Nanoseconds since 1970, of a column that holds instants or days.
    Nanoseconds,
    /// Texts.
    Text,
    /// UUIDs, as texts.
    Uuid,
    /// Truths.
    Flag,
    /// Days, as texts.
    Day,
    /// Instants, as texts.
    Instant,
    /// The contract does not tell.
    Untyped,
    /// Nothing that a rule could compare.
    Opaque,
}

/// Arithmetic with a constant.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NumberStep {
    /// `value op constant`
    Left(ArithOp, Value),
    /// `constant op value`
    Right(Value, ArithOp),
    /// A function that never falls: `floor`, `ceil`, `round`.
    Round(Rounding),
}

/// A function that rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Rounding {
    /// `floor`
    Floor,
    /// `ceil`
    Ceil,
    /// `round`
    Round,
}

/// A collection.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Items {
    /// What it is.
    pub(super) shape: Shape,
    /// Its elements, each under its condition.
    pub(super) items: Vec<Item>,
}

/// An element.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// When it is there.
    pub(super) cond: Cond,
    /// The key; of a set the element, of an array its number.
    pub(super) key: Term,
    /// The value.
    pub(super) value: Term,
    /// The rule that put it there.
    pub(super) site: Site,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cond == other.cond && self.key == other.key && self.value == other.value
    }
}

impl Term {
    /// A known truth.
    pub(super) fn truth(cond: Cond) -> Self {
        match cond {
            Cond::True => Self::Known(Value::from(true)),
            Cond::False => Self::Known(Value::from(false)),
            other => Self::Truth(other),
        }
    }

    /// The value, if it is known.
    pub(super) fn known(&self) -> Option<&Value> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it holds something that is told from the clock and known now.
    pub(super) fn tells_time(&self) -> bool {
        match self {
            Self::Moment(_) => true,
            Self::Items(items) | Self::Count(items) => items.items.iter().any(|item| item.key.tells_time() || item.value.tells_time()),
            _ => false,
        }
    }

    /// Whether a record has a part in it.
    pub(super) fn is_of_record(&self) -> bool {
        match self {
            Self::Known(_) | Self::Moment(_) | Self::Document(..) | Self::Text => false,
            Self::Column(_)
            | Self::Computed(_)
            | Self::Truth(_)
            | Self::Items(_)
            | Self::Count(_)
            | Self::Erased
            | Self::ErasedOne
            | Self::Lost => true,
        }
    }

    /// What it is, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Known(_) => "a known value".to_owned(),
            Self::Moment(_) => "the clock".to_owned(),
            Self::Document(..) => "a document with a record in it".to_owned(),
            Self::Column(column) => format!("column \"{}\"", column.name),
            Self::Computed(_) => "a value worked out from the record".to_owned(),
            Self::Truth(_) => "a condition on the record".to_owned(),
            Self::Items(_) => "a collection that depends on the record".to_owned(),
            Self::Count(_) => "a number of elements that depends on the record".to_owned(),
            Self::Erased | Self::ErasedOne => "the set of erased people".to_owned(),
            Self::Text => "a text made of the record".to_owned(),
            Self::Lost => "an undefined value".to_owned(),
        }
    }
}

impl Items {
    /// The collection as a term; a value if all of it is known.
    pub(super) fn into_term(self) -> Term {
        let known = |item: &Item| item.cond == Cond::True && item.key.known().is_some() && item.value.known().is_some();
        if !self.items.iter().all(known) {
            return Term::Items(Arc::new(self));
        }
        let pairs = self.items.iter().filter_map(|item| Some((item.key.known()?.clone(), item.value.known()?.clone())));
        Term::Known(match self.shape {
            Shape::Array => Value::from(pairs.map(|(_, value)| value).collect::<Vec<Value>>()),
            Shape::Set => Value::from(pairs.map(|(_, value)| value).collect::<std::collections::BTreeSet<Value>>()),
            Shape::Object => Value::from(pairs.collect::<std::collections::BTreeMap<Value, Value>>()),
        })
    }

    /// Whether it has an element.
    pub(super) fn is_inhabited(&self) -> Cond {
        Cond::any(self.items.iter().map(|item| item.cond.clone()))
    }
}

impl Column {
    /// A column with nothing done to it.
    pub(super) fn new(name: &FieldName, kind: Kind, required: bool) -> Self {
        Self { name: name.clone(), kind, required, steps: Arc::default(), moving: Arc::default(), case: None }
    }

    /// With another step; `moment` if its constant is told from the clock.
    pub(super) fn with_step(self, step: NumberStep, moment: Option<Moment>) -> Self {
        let mut steps = self.steps.as_ref().clone();
        let mut moving = self.moving.as_ref().clone();
        moving.extend(moment.map(|moment| (steps.len(), moment)));
        steps.push(step);
        Self { steps: Arc::new(steps), moving: Arc::new(moving), ..self }
    }

    /// With the constants as they are by that clock; `None` if one of them is then no number.
    pub(super) fn at(&self, now_ns: i64) -> Option<Self> {
        let mut steps = self.steps.as_ref().clone();
        for (number, moment) in self.moving.iter() {
            let now = moment.at(now_ns).filter(|now| matches!(now, Value::Number(_)))?;
            match steps.get_mut(*number)? {
                NumberStep::Left(_, constant) | NumberStep::Right(constant, _) => *constant = now,
                NumberStep::Round(_) => return None,
            }
        }
        Some(Self { steps: Arc::new(steps), moving: Arc::default(), ..self.clone() })
    }

    /// True; unknown without a value.
    pub(super) fn present(&self) -> Cond {
        Cond::leaf(Predicate::Present(self.name.clone()))
    }

    /// The constant; unknown without a value.
    pub(super) fn unless_null(&self, truth: bool) -> Cond {
        if truth { self.present() } else { self.present().not() }
    }

    /// Whether it is `null` to the rule.
    pub(super) fn is_null(&self) -> Cond {
        if self.required { self.unless_null(false) } else { Cond::leaf(Predicate::IsNull(self.name.clone())) }
    }

    /// Whether it is a number.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Integer(..) | Kind::Float | Kind::Float32 | Kind::Decimal(..) | Kind::Nanoseconds)
    }

    /// Whether nothing is done to it.
    pub(super) fn is_bare(&self) -> bool {
        self.steps.is_empty() && self.case.is_none()
    }
}

impl Kind {
    /// What values of a contract's type are to a rule.
    pub(super) fn of(data_type: Option<&DataType>) -> Self {
        match data_type {
            None => Self::Untyped,
            Some(DataType::Int16) => Self::Integer(i16::MIN.into(), i16::MAX.into()),
            Some(DataType::Int32) => Self::Integer(i32::MIN.into(), i32::MAX.into()),
            Some(DataType::Int64) => Self::Integer(i64::MIN, i64::MAX),
            Some(DataType::Float32) => Self::Float32,
            Some(DataType::Float64) => Self::Float,
            Some(DataType::Decimal { precision, scale }) => {
                u8::try_from(*scale).map_or(Self::Opaque, |scale| Self::Decimal(*precision, scale))
            }
            Some(DataType::String | DataType::Varchar(_)) => Self::Text,
            Some(DataType::Uuid) => Self::Uuid,
            Some(DataType::Boolean) => Self::Flag,
            Some(DataType::Date) => Self::Day,
            Some(DataType::Timestamp | DataType::TimestampTz) => Self::Instant,
            Some(DataType::Time | DataType::Interval | DataType::Json | DataType::Bytes | DataType::List(_)) => Self::Opaque,
        }
    }
}
