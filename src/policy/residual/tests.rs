//! What is left of rules about records, held against the interpreter, which is asked about each record.

mod clock;
mod equivalence;
mod forms;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::contract::Column as ContractColumn;
use super::super::rego::Rego;
use super::super::{BundleFile, SubjectSet};
use super::row::{Cell, Row, with_record};
use super::*;

const LIMIT: Duration = Duration::from_secs(30);

/// 2026-06-01 12:00 UTC.
const NOW_NS: i64 = 1_780_315_200_000_000_000;

fn name(text: &str) -> FieldName {
    FieldName::parse(text).unwrap()
}

fn columns() -> Vec<ContractColumn> {
    let types = [
        ("n", DataType::Int32),
        ("m", DataType::Int32),
        ("big", DataType::Int64),
        ("price", DataType::Decimal { precision: 8, scale: 2 }),
        ("w", DataType::Float64),
        ("t", DataType::String),
        ("u", DataType::Varchar(20)),
        ("f", DataType::Boolean),
        ("d", DataType::Date),
        ("at", DataType::TimestampTz),
        ("key", DataType::Uuid),
        ("payload", DataType::Json),
        ("created_at", DataType::TimestampTz),
        ("id", DataType::String),
    ];
    let column = |(text, data_type): (&str, DataType)| ContractColumn {
        name: name(text),
        data_type: Some(data_type),
        classification: None,
        pii: false,
        mask: None,
        uses: Vec::new(),
        requested: false,
        feeds_mask: false,
    };
    types.into_iter().map(column).collect()
}

fn input() -> serde_json::Value {
    json!({
        "action": "read",
        "subject": {"user": "ann", "roles": ["analyst"], "purposes": ["a", "zz"], "is_data_steward": false},
        "resource": {"domain": "customer", "product": "customer-360", "classification": "restricted", "requested_fields": ["t"]},
        "context": {"now_ns": NOW_NS},
    })
}

/// A bundle of one package, and the people who are erased.
struct World {
    rego: Rego,
    program: Program,
    erased: Arc<SubjectSet>,
    columns: Vec<ContractColumn>,
    created: FieldName,
    subject: FieldName,
}

impl World {
    fn new(rules: &str) -> Self {
        Self::parse(rules).unwrap_or_else(|faults| panic!("{faults:?}\n{rules}"))
    }

    fn parse(rules: &str) -> Result<Self, Vec<super::super::BundleFault>> {
        let text = format!("package data_mesh.governance\n\n{rules}\n");
        let file = BundleFile { path: "rules.rego".to_owned(), text };
        let (rego, _) = Rego::compile(&[file], LIMIT)?;
        let program = rego.program()?;
        let data = json!({
            "erased_subjects": ["c-7", "c-9"],
            "limits": {"a": 1, "ab": 3, "B": 10},
            "letters": ["a", "ab", "zz"],
            "letters_of": {"analyst": ["a", "B"], "crm": ["zz"]},
            "retention_policies": {"customer": 730},
        });
        let rego = rego.extended(None, &data)?;
        let erased = Arc::new(SubjectSet::new(["c-7".to_owned(), "c-9".to_owned()]));
        Ok(Self { rego, program, erased, columns: columns(), created: name("created_at"), subject: name("id") })
    }

    fn record(&self) -> Record<'_> {
        Record { columns: &self.columns, created: Some(&self.created), subject: Some(&self.subject) }
    }

    fn ask(&self, input: &serde_json::Value) -> Result<Residual, Stop> {
        self.ask_at(input, NOW_NS)
    }

    fn ask_at(&self, input: &serde_json::Value, now_ns: i64) -> Result<Residual, Stop> {
        let input = input_at(input, now_ns);
        let question =
            RecordQuestion { program: &self.program, data: self.rego.data(), record: self.record(), erased: &self.erased, limit: LIMIT };
        let mut session = self.rego.session(Some(Value::from(input)), Some(now_ns));
        question.ask("data_mesh.governance", &mut session)
    }

    fn residual(&self) -> Residual {
        self.ask(&input()).unwrap_or_else(|stop| panic!("{stop:?}"))
    }

    /// What the interpreter says of one record; `None` if it fails.
    fn interpreted(&self, input: &serde_json::Value, row: &Row) -> Option<bool> {
        self.interpreted_at(input, row, NOW_NS)
    }

    fn interpreted_at(&self, input: &serde_json::Value, row: &Row, now_ns: i64) -> Option<bool> {
        let input = with_record(&input_at(input, now_ns), &self.record(), row);
        let mut session = self.rego.session(Some(Value::from(input)), Some(now_ns));
        let allow = session.ask("data_mesh.governance.allow").ok()?;
        let deny = if self.program.has("data_mesh.governance.deny") { session.ask("data_mesh.governance.deny").ok()? } else { None };
        let denied = deny.is_some_and(|deny| deny.as_set().is_ok_and(|set| !set.is_empty()));
        Some(allow == Some(Value::from(true)) && !denied)
    }
}

impl World {
    /// Whether a record may be seen at that time, with what no record reaches answered by the interpreter; `None` if it must be asked anew.
    fn visible_at(&self, residual: &Residual, row: &Row, now_ns: i64) -> Option<bool> {
        let left = visible_at(residual, row, now_ns)?;
        if residual.allow.is_some() {
            return Some(left);
        }
        let mut session = self.rego.session(Some(Value::from(input_at(&input(), now_ns))), Some(now_ns));
        Some(left && session.ask("data_mesh.governance.allow").ok()? == Some(Value::from(true)))
    }
}

/// The same question at another time.
fn input_at(input: &serde_json::Value, now_ns: i64) -> serde_json::Value {
    let mut input = input.clone();
    input["context"]["now_ns"] = json!(now_ns);
    input
}

/// The filter by the clock of the evaluation.
fn filter_of(residual: &Residual) -> Predicate {
    residual.filter.at(NOW_NS).unwrap()
}

/// Whether a record may be seen.
fn visible(residual: &Residual, row: &Row) -> bool {
    visible_at(residual, row, NOW_NS).unwrap()
}

/// Whether a record may be seen at that time, if the residual can tell.
fn visible_at(residual: &Residual, row: &Row, now_ns: i64) -> Option<bool> {
    Some(is_visible(residual, &residual.filter.at(now_ns)?, row))
}

/// A record without NULLs.
fn row() -> Row {
    let cells = [
        ("n", Cell::Int(1)),
        ("m", Cell::Int(2)),
        ("big", Cell::Int(1 << 60)),
        ("price", Cell::Decimal(1_250, 2)),
        ("w", Cell::Float(0.5)),
        ("t", Cell::Text("ab".to_owned())),
        ("u", Cell::Text("x".to_owned())),
        ("f", Cell::Bool(true)),
        ("d", Cell::Day(20_000)),
        ("at", Cell::Instant(NOW_NS - 1_000)),
        ("key", Cell::Text("6f9619ff-8b86-d011-b42d-00cf4fc964ff".to_owned())),
        ("payload", Cell::Text("{}".to_owned())),
        ("created_at", Cell::Instant(NOW_NS - 1_000_000)),
        ("id", Cell::Text("c-1".to_owned())),
    ];
    cells.into_iter().map(|(column, cell)| (name(column), cell)).collect()
}

fn row_with(changes: &[(&str, Cell)]) -> Row {
    let mut row = row();
    row.extend(changes.iter().map(|(column, cell)| (name(column), cell.clone())));
    row
}
