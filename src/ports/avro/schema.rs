//! The schema that a file was written with: a tree of types, some of which have names and may hold themselves.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{
    DataType as ArrowType, Field as ArrowField, Fields, IntervalUnit, Schema as ArrowSchema, TimeUnit, UnionFields, UnionMode,
};
use serde_json::{Map, Value};

use crate::ports::schema::UTC;

/// Decimals of more digits are of no Arrow type.
const DIGITS_MAX: u64 = 76;

/// A schema.
#[derive(Debug)]
pub(super) struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
}

/// A type's position in its schema.
pub(super) type NodeId = usize;

/// A type.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// What its values mean, if that is more than the kind says.
    pub(super) logical: Option<Logical>,
}

/// How values are written.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Arc<[String]>),
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(Vec<(String, NodeId)>),
}

/// What values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logical {
    Decimal { precision: u8, scale: i8 },
    Uuid,
    Date,
    Time(Tick),
    Instant(Tick),
    Local(Tick),
    Duration,
}

/// What a time is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tick {
    Millis,
    Micros,
    Nanos,
}

/// A union of NULL and one type, or of one type alone: which branch is which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Branches {
    pub(super) null: Option<i64>,
    pub(super) value: i64,
}

impl Schema {
    /// Reads a schema; `None` if it is none.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(json).ok()?;
        let mut parser = Parser { nodes: Vec::new(), named: HashMap::new() };
        let root = parser.node(&value, "")?;
        Some(Self { nodes: parser.nodes, root })
    }

    /// A type of the schema.
    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// The fields of each value of a file, if its values are records.
    pub(super) fn fields(&self) -> Option<&[(String, NodeId)]> {
        match &self.node(self.root)?.kind {
            Kind::Record(fields) => Some(fields),
            _ => None,
        }
    }

    /// The type behind a union that only adds NULL.
    pub(super) fn behind(&self, id: NodeId) -> Option<(NodeId, Option<Branches>)> {
        let Kind::Union(branches) = &self.node(id)?.kind else { return Some((id, None)) };
        let is_null = |id: &NodeId| matches!(self.node(*id), Some(Node { kind: Kind::Null, .. }));
        let position = |found: Option<usize>| found.and_then(|index| i64::try_from(index).ok());
        let value = branches.iter().position(|branch| !is_null(branch))?;
        if branches.iter().filter(|branch| !is_null(branch)).count() != 1 {
            return None;
        }
        let branch = *branches.get(value)?;
        Some((branch, Some(Branches { null: position(branches.iter().position(is_null)), value: position(Some(value))? })))
    }

    /// The columns as Arrow, for comparing them with the contract.
    pub(super) fn to_arrow(&self) -> Option<ArrowSchema> {
        let fields = self.fields()?.iter().map(|(name, id)| ArrowField::new(name, self.arrow_type(*id), true));
        Some(ArrowSchema::new(fields.collect::<Vec<_>>()))
    }

    /// A type as Arrow. What fits no contract's type need not be told in full, and may hold itself.
    pub(super) fn arrow_type(&self, id: NodeId) -> ArrowType {
        let unknown = ArrowType::Union(UnionFields::empty(), UnionMode::Sparse);
        let Some((id, _)) = self.behind(id) else { return unknown };
        let Some(node) = self.node(id) else { return unknown };
        if let Some(logical) = node.logical {
            return logical.arrow_type();
        }
        match &node.kind {
            Kind::Null => ArrowType::Null,
            Kind::Boolean => ArrowType::Boolean,
            Kind::Int => ArrowType::Int32,
            Kind::Long => ArrowType::Int64,
            Kind::Float => ArrowType::Float32,
            Kind::Double => ArrowType::Float64,
            Kind::Bytes | Kind::Fixed(_) => ArrowType::Binary,
            Kind::String | Kind::Enum(_) => ArrowType::Utf8View,
            Kind::Array(items) => ArrowType::List(Arc::new(ArrowField::new("item", self.arrow_type(*items), true))),
            Kind::Map(_) => ArrowType::Map(Arc::new(ArrowField::new("entries", ArrowType::Null, true)), false),
            Kind::Record(_) => ArrowType::Struct(Fields::empty()),
            Kind::Union(_) => unknown,
        }
    }
}

impl Logical {
    fn arrow_type(self) -> ArrowType {
        match self {
            Self::Decimal { precision, scale } if precision <= 38 => ArrowType::Decimal128(precision, scale),
            Self::Decimal { precision, scale } => ArrowType::Decimal256(precision, scale),
            Self::Uuid => ArrowType::Utf8View,
            Self::Date => ArrowType::Date32,
            Self::Time(_) => ArrowType::Time64(TimeUnit::Microsecond),
            Self::Instant(_) => ArrowType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Self::Local(_) => ArrowType::Timestamp(TimeUnit::Microsecond, None),
            Self::Duration => ArrowType::Interval(IntervalUnit::MonthDayNano),
        }
    }

    /// What a type says that its values mean; what is not known, or does not go with the kind, means nothing.
    fn of(kind: &Kind, written: &Map<String, Value>) -> Option<Self> {
        Some(match (written.get("logicalType")?.as_str()?, kind) {
            ("decimal", Kind::Bytes | Kind::Fixed(_)) => {
                let precision = written.get("precision")?.as_u64().filter(|precision| (1..=DIGITS_MAX).contains(precision))?;
                let scale = written.get("scale").map_or(Some(0), Value::as_u64).filter(|scale| *scale <= precision)?;
                Self::Decimal { precision: u8::try_from(precision).ok()?, scale: i8::try_from(scale).ok()? }
            }
            ("uuid", Kind::String | Kind::Fixed(16)) => Self::Uuid,
            ("date", Kind::Int) => Self::Date,
            ("time-millis", Kind::Int) => Self::Time(Tick::Millis),
            ("time-micros", Kind::Long) => Self::Time(Tick::Micros),
            ("timestamp-millis", Kind::Long) => Self::Instant(Tick::Millis),
            ("timestamp-micros", Kind::Long) => Self::Instant(Tick::Micros),
            ("timestamp-nanos", Kind::Long) => Self::Instant(Tick::Nanos),
            ("local-timestamp-millis", Kind::Long) => Self::Local(Tick::Millis),
            ("local-timestamp-micros", Kind::Long) => Self::Local(Tick::Micros),
            ("local-timestamp-nanos", Kind::Long) => Self::Local(Tick::Nanos),
            ("duration", Kind::Fixed(12)) => Self::Duration,
            _ => return None,
        })
    }
}

struct Parser {
    nodes: Vec<Node>,
    named: HashMap<String, NodeId>,
}

impl Parser {
    fn node(&mut self, value: &Value, namespace: &str) -> Option<NodeId> {
        match value {
            Value::String(name) => match primitive(name) {
                Some(kind) => Some(self.add(kind, None)),
                None => self.named.get(&full_name(name, namespace)).or_else(|| self.named.get(name)).copied(),
            },
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.node(branch, namespace)).collect::<Option<Vec<_>>>()?;
                Some(self.add(Kind::Union(branches), None))
            }
            Value::Object(written) => self.object(written, namespace),
            _ => None,
        }
    }

    fn object(&mut self, written: &Map<String, Value>, namespace: &str) -> Option<NodeId> {
        let Some(kind) = written.get("type")?.as_str() else { return self.node(written.get("type")?, namespace) };
        match kind {
            "array" => {
                let items = self.node(written.get("items")?, namespace)?;
                Some(self.add(Kind::Array(items), None))
            }
            "map" => {
                let values = self.node(written.get("values")?, namespace)?;
                Some(self.add(Kind::Map(values), None))
            }
            "record" | "error" | "enum" | "fixed" => self.of_name(kind, written, namespace),
            _ => match primitive(kind) {
                Some(kind) => {
                    let logical = Logical::of(&kind, written);
                    Some(self.add(kind, logical))
                }
                None => self.node(written.get("type")?, namespace),
            },
        }
    }

    /// A type that has a name, by which others may refer to it.
    fn of_name(&mut self, kind: &str, written: &Map<String, Value>, namespace: &str) -> Option<NodeId> {
        let name = written.get("name")?.as_str()?;
        let own = written.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let name = full_name(name, own);
        let id = self.add(Kind::Null, None);
        let inner = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        if self.named.insert(name, id).is_some() {
            return None;
        }
        let kind = match kind {
            "fixed" => Kind::Fixed(usize::try_from(written.get("size")?.as_u64()?).ok()?),
            "enum" => {
                let symbols = written.get("symbols")?.as_array()?.iter().map(|symbol| symbol.as_str().map(str::to_owned));
                Kind::Enum(symbols.collect::<Option<Vec<_>>>()?.into())
            }
            _ => {
                let fields = written.get("fields")?.as_array()?.iter();
                let fields = fields.map(|field| Some((field.get("name")?.as_str()?.to_owned(), self.node(field.get("type")?, &inner)?)));
                Kind::Record(fields.collect::<Option<Vec<_>>>()?)
            }
        };
        let logical = Logical::of(&kind, written);
        *self.nodes.get_mut(id)? = Node { kind, logical };
        Some(id)
    }

    fn add(&mut self, kind: Kind, logical: Option<Logical>) -> NodeId {
        self.nodes.push(Node { kind, logical });
        self.nodes.len() - 1
    }
}

fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved_and_may_hold_themselves() {
        let text = br#"{"type":"record","name":"Row","namespace":"a.b","fields":[
            {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["X"]}},
            {"name":"again","type":["null","Kind"]},
            {"name":"full","type":"a.b.Kind"},
            {"name":"next","type":["null","Row"]}]}"#;
        let schema = Schema::parse(text).unwrap();
        let types: Vec<ArrowType> = schema.to_arrow().unwrap().fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, [ArrowType::Utf8View, ArrowType::Utf8View, ArrowType::Utf8View, ArrowType::Struct(Fields::empty())]);
        for wrong in ["\"Row\"", "{\"type\":\"record\"}", "[1]", "{\"type\":\"array\",\"items\":\"nothing\"}", "{"] {
            assert!(Schema::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_values_mean_goes_with_how_they_are_written() {
        let of = |text: &str| Schema::parse(text.as_bytes()).map(|schema| schema.arrow_type(schema.root));
        assert_eq!(of(r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#), Some(ArrowType::Decimal128(9, 2)));
        assert_eq!(of(r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":9}"#), Some(ArrowType::Binary));
        assert_eq!(of(r#"{"type":"string","logicalType":"date"}"#), Some(ArrowType::Utf8View));
        assert_eq!(of(r#"{"type":"int","logicalType":"date"}"#), Some(ArrowType::Date32));
        assert_eq!(of(r#"["null","int","string"]"#).map(|found| matches!(found, ArrowType::Union(..))), Some(true));
    }
}
