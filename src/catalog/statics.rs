//! Rows of system relations that are the same in every PostgreSQL 15: types, functions, operators, casts, and so on.
//!
//! A relation's rows are in `fixed/NAME.tsv`, in the text form of COPY and the order of the columns that `relations` declares; functions,
//! types and relations are their OIDs, and expressions their text. They are read when first asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, OnceLock, PoisonError};

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;

use super::relations::{Column, Relation};
use super::rows::{Rows, Value};
use super::types::PgType;

macro_rules! fixed {
    ($($name:literal),* $(,)?) => {
        /// The rows of a relation as text.
        fn text(relation: &str) -> Option<&'static str> {
            match relation {
                $($name => Some(include_str!(concat!("fixed/", $name, ".tsv"))),)*
                _ => None,
            }
        }
    };
}

fixed!(
    "pg_aggregate",
    "pg_am",
    "pg_amop",
    "pg_amproc",
    "pg_cast",
    "pg_collation",
    "pg_conversion",
    "pg_language",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_proc",
    "pg_range",
    "pg_ts_config",
    "pg_ts_config_map",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_type",
    "sql_features",
    "sql_implementation_info",
    "sql_sizing",
);

static FITTED: Mutex<BTreeMap<&'static str, RecordBatch>> = Mutex::new(BTreeMap::new());

/// The fixed rows of a relation of `pg_catalog`, or `None` if it has none. They are read once.
pub(crate) fn rows(relation: &'static Relation) -> Result<Option<RecordBatch>, DataFusionError> {
    if let Some(batch) = FITTED.lock().unwrap_or_else(PoisonError::into_inner).get(relation.name) {
        return Ok(Some(batch.clone()));
    }
    let Some(text) = text(relation.name) else { return Ok(None) };
    let mut rows = Rows::new(relation);
    for line in text.lines() {
        let cells = line.split('\t').zip(relation.columns.iter().zip(relation.arrow.fields()));
        let row: Vec<(&str, Value)> = cells.map(|(cell, (column, field))| (column.name, value(cell, column, field.data_type()))).collect();
        rows.push(&row);
    }
    let batch = rows.finish()?;
    FITTED.lock().unwrap_or_else(PoisonError::into_inner).insert(relation.name, batch.clone());
    Ok(Some(batch))
}

/// The rows of a relation as they are written: cells between tabs.
pub(crate) fn lines(relation: &str) -> impl Iterator<Item = &'static str> {
    text(relation).unwrap_or_default().lines()
}

/// Whether a relation has fixed rows, and no others.
pub(crate) fn is_fixed(relation: &Relation) -> bool {
    relation.kind != "f" && relation.name != "pg_type" && text(relation.name).is_some()
}

/// What the objects of PostgreSQL itself are described by: object, catalog, column, text.
pub(crate) fn descriptions() -> impl Iterator<Item = (i64, i64, i64, String)> {
    include_str!("fixed/pg_description.tsv").lines().filter_map(|line| {
        let mut cells = line.split('\t');
        let mut number = || cells.next()?.parse::<i64>().ok();
        let (object, class, column) = (number()?, number()?, number()?);
        Some((object, class, column, unescaped(cells.next()?)))
    })
}

/// A cell in the text form of COPY.
fn value(cell: &str, column: &Column, data_type: &DataType) -> Value {
    if cell == "\\N" {
        return Value::Null;
    }
    match data_type {
        DataType::Boolean => Value::Bool(cell == "t"),
        found if found.is_integer() => cell.parse::<i64>().map_or(Value::Null, Value::Int),
        DataType::Float32 | DataType::Float64 => cell.parse::<f64>().map_or(Value::Null, Value::Float),
        DataType::List(element) => {
            let vector = column.pg_type.typname().is_some_and(|name| name.ends_with("vector"));
            let parts: Vec<String> = if vector {
                cell.split(' ').filter(|part| !part.is_empty()).map(str::to_owned).collect()
            } else {
                super::system::array_elements(&unescaped(cell)).unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect()
            };
            if element.data_type().is_integer() {
                Value::Ints(parts.iter().filter_map(|part| part.parse().ok()).collect())
            } else {
                Value::Texts(parts)
            }
        }
        _ => Value::Text(unescaped(cell)),
    }
}

fn unescaped(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    let mut letters = cell.chars();
    while let Some(letter) = letters.next() {
        text.push(match letter {
            '\\' => match letters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(other) => other,
                None => break,
            },
            letter => letter,
        });
    }
    text
}

/// OID and name of every row of a relation, for look-ups by either.
#[derive(Debug, Default)]
struct Names {
    by_oid: HashMap<u32, &'static str>,
    by_name: HashMap<&'static str, u32>,
}

impl Names {
    /// Every relation here that has names begins with the OID and the name.
    fn of(relation: &str) -> Self {
        let mut names = Names::default();
        for line in text(relation).unwrap_or_default().lines() {
            let mut cells = line.split('\t');
            if let (Some(Ok(oid)), Some(name)) = (cells.next().map(str::parse), cells.next()) {
                names.by_oid.insert(oid, name);
                names.by_name.entry(name).or_insert(oid);
            }
        }
        names
    }
}

fn types() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| Names::of("pg_type"))
}

fn functions() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| Names::of("pg_proc"))
}

/// The OID of the builtin type with that `typname`.
pub(crate) fn type_oid(name: &str) -> Option<u32> {
    types().by_name.get(name).copied()
}

/// The `typname` of a builtin type.
pub(crate) fn type_name(oid: u32) -> Option<&'static str> {
    types().by_oid.get(&oid).copied()
}

/// The OID of a builtin function; of several with that name, the first.
pub(crate) fn function_oid(name: &str) -> Option<u32> {
    functions().by_name.get(name).copied()
}

/// Whether a builtin function makes one value of many rows. Some names are those of windows, too.
pub(crate) fn is_aggregate(name: &str) -> bool {
    /// The column of `pg_proc` that tells the kind, which is `a` for aggregates.
    const KIND: usize = 9;
    static AGGREGATES: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let of_line = |line: &'static str| {
        let mut cells = line.split('\t').skip(1);
        let name = cells.next()?;
        (cells.nth(KIND - 2)? == "a").then_some(name)
    };
    AGGREGATES.get_or_init(|| text("pg_proc").unwrap_or_default().lines().filter_map(of_line).collect()).contains(name)
}

/// The name of a builtin function.
pub(crate) fn function_name(oid: u32) -> Option<&'static str> {
    functions().by_oid.get(&oid).copied()
}

/// The OID of the object of that name in a fixed relation that is short.
pub(crate) fn oid_in(relation: &str, name: &str) -> Option<u32> {
    Names::of(relation).by_name.get(name).copied()
}

/// The name of the object with that OID in a fixed relation that is short.
pub(crate) fn name_in(relation: &str, oid: u32) -> Option<&'static str> {
    Names::of(relation).by_oid.get(&oid).copied()
}

/// The text of a view of the system, by its schema and name.
pub(crate) fn view_definition(schema: &str, name: &str) -> Option<&'static str> {
    static TEXTS: OnceLock<HashMap<&'static str, String>> = OnceLock::new();
    let texts = TEXTS.get_or_init(|| {
        let lines = include_str!("fixed/view_definitions.tsv").lines().filter_map(|line| line.split_once('\t'));
        lines.map(|(name, text)| (name, unescaped(text))).collect()
    });
    texts.get(format!("{schema}.{name}").as_str()).map(String::as_str)
}

/// A builtin function as `pg_proc` has it, or an operator as `pg_operator` does.
#[derive(Debug, Default)]
pub(crate) struct Routine {
    /// Its name.
    pub(crate) name: String,
    /// The types that it takes.
    pub(crate) takes: Vec<u32>,
    /// All of its arguments, those that it answers included; empty if it only takes.
    pub(crate) all: Vec<u32>,
    /// Of each of all: `i`, `o`, `b`, `v`, `t`.
    pub(crate) modes: Vec<String>,
    /// Their names.
    pub(crate) names: Vec<String>,
    /// The defaults of the last of those that it takes.
    pub(crate) defaults: Vec<String>,
    /// What it answers.
    pub(crate) returns: u32,
    /// Whether it answers rows.
    pub(crate) set: bool,
    /// `f`, `p`, `a`, `w`.
    pub(crate) kind: String,
}

/// The builtin functions by OID.
pub(crate) fn routines() -> &'static BTreeMap<u32, Routine> {
    static ROUTINES: OnceLock<BTreeMap<u32, Routine>> = OnceLock::new();
    ROUTINES.get_or_init(|| text("pg_proc").unwrap_or_default().lines().filter_map(routine).collect())
}

/// What the builtin functions of a name take.
pub(crate) fn signatures(name: &str) -> &'static [&'static [u32]] {
    static SIGNATURES: OnceLock<HashMap<&'static str, Vec<&'static [u32]>>> = OnceLock::new();
    let signatures = SIGNATURES.get_or_init(|| {
        let mut signatures: HashMap<&str, Vec<&[u32]>> = HashMap::new();
        for routine in routines().values() {
            signatures.entry(routine.name.as_str()).or_default().push(&routine.takes);
        }
        signatures
    });
    signatures.get(name).map(Vec::as_slice).unwrap_or_default()
}

/// What a function takes.
#[derive(Debug)]
pub struct Signature {
    takes: Vec<u32>,
    /// How many of them must be given.
    required: usize,
    /// The last may come any number of times.
    variadic: bool,
}

impl Signature {
    /// Whether it takes so many arguments.
    pub fn counts(&self, arguments: usize) -> bool {
        if self.variadic { arguments >= self.required.saturating_sub(1) } else { (self.required..=self.takes.len()).contains(&arguments) }
    }

    /// The type of an argument by its OID; `None` if it may be an element of it or it itself.
    pub fn parameter(&self, at: usize) -> Option<u32> {
        let last = self.takes.len().checked_sub(1)?;
        let oid = self.takes.get(at.min(last)).copied()?;
        let spread = self.variadic && at >= last && PgType::of_oid(oid).is_some_and(|known| known.element().is_some());
        (!spread).then_some(oid)
    }
}

/// What the builtin functions of that name take, aggregates and window functions aside.
pub fn overloads(name: &str) -> &'static [Signature] {
    static OVERLOADS: OnceLock<HashMap<&'static str, Vec<Signature>>> = OnceLock::new();
    let overloads = OVERLOADS.get_or_init(|| {
        let mut known: HashMap<&'static str, Vec<Signature>> = HashMap::new();
        for routine in routines().values().filter(|routine| routine.kind == "f") {
            known.entry(routine.name.as_str()).or_default().push(Signature {
                takes: routine.takes.clone(),
                required: routine.takes.len().saturating_sub(routine.defaults.len()),
                variadic: routine.modes.iter().any(|mode| mode == "v"),
            });
        }
        known
    });
    overloads.get(name).map_or(&[], Vec::as_slice)
}

fn list(cell: &str) -> Vec<String> {
    super::system::array_elements(&unescaped(cell)).unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect()
}

fn routine(line: &str) -> Option<(u32, Routine)> {
    let cells: Vec<&str> = line.split('\t').collect();
    let cell = |at: usize| cells.get(at).copied().filter(|cell| *cell != "\\N").unwrap_or_default();
    let number = |at: usize| cell(at).parse().unwrap_or(0);
    let defaults = unescaped(cell(23));
    let found = Routine {
        name: cell(1).to_owned(),
        kind: cell(9).to_owned(),
        set: cell(13) == "t",
        returns: number(18),
        takes: cell(19).split(' ').filter_map(|part| part.parse().ok()).collect(),
        all: list(cell(20)).iter().filter_map(|part| part.parse().ok()).collect(),
        modes: list(cell(21)),
        names: list(cell(22)),
        defaults: if defaults.is_empty() { Vec::new() } else { defaults.split(", ").map(str::to_owned).collect() },
    };
    Some((cell(0).parse().ok()?, found))
}

/// Name and sides of a builtin operator.
type Operator = (&'static str, u32, u32);

fn operators() -> &'static HashMap<u32, Operator> {
    static OPERATORS: OnceLock<HashMap<u32, Operator>> = OnceLock::new();
    OPERATORS.get_or_init(|| {
        let parse = |line: &'static str| {
            let cells: Vec<&'static str> = line.split('\t').collect();
            let number = |at: usize| cells.get(at)?.parse::<u32>().ok();
            Some((number(0)?, (*cells.get(1)?, number(7)?, number(8)?)))
        };
        text("pg_operator").unwrap_or_default().lines().filter_map(parse).collect()
    })
}

/// Name and sides of a builtin operator.
pub(crate) fn operator(oid: u32) -> Option<Operator> {
    operators().get(&oid).copied()
}

/// The builtin operators of that name with their sides, of which one that has none is 0.
pub(crate) fn operators_named(name: &str) -> impl Iterator<Item = (u32, u32, u32)> {
    operators().iter().filter(move |(_, (known, ..))| *known == name).map(|(oid, (_, left, right))| (*oid, *left, *right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::relations;

    #[test]
    fn types_keep_their_well_known_oids() {
        assert_eq!(type_oid("int4"), Some(23));
        assert_eq!(type_name(1184), Some("timestamptz"));
    }

    #[test]
    fn every_fixed_relation_fits_its_declared_columns() {
        for relation in relations::all() {
            let Some(text) = text(relation.name) else { continue };
            assert!(text.lines().all(|line| line.split('\t').count() == relation.columns.len()), "{}", relation.name);
            let batch = rows(relation).unwrap().unwrap();
            assert!(batch.num_rows() > 0, "{}", relation.name);
            for (column, array) in relation.columns.iter().zip(batch.columns()) {
                assert!(!column.required || array.null_count() == 0, "{}.{}", relation.name, column.name);
            }
        }
    }

    #[test]
    fn functions_have_their_arguments() {
        let series = routines().get(&1066).unwrap();
        assert_eq!((series.name.as_str(), series.takes.as_slice(), series.set), ("generate_series", [23, 23, 23].as_slice(), true));
        let keywords = routines().get(&1686).unwrap();
        assert_eq!(keywords.names.first().map(String::as_str), Some("word"));
        assert_eq!(operator(96), Some(("=", 23, 23)));
    }

    #[test]
    fn what_is_described_has_its_text() {
        let described: Vec<_> = descriptions().collect();
        assert!(described.len() > 5000);
        assert!(described.iter().any(|(object, class, _, text)| (*object, *class) == (20, 1247) && text.starts_with("~18 digit integer")));
    }
}
