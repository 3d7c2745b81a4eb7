//! The rows of statements that the session answers by itself: SHOW, EXPLAIN and EXPLAIN POLICY.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;

use crate::enforcement::{Shown, ShownPlan};
use crate::error::ClientMessage;

use super::column::{Column, PgType};
use super::documents;
use super::explanation::PolicyLine;
use super::fault;
use super::reply::RowStream;
use super::settings::Settings;
use super::sql::{ExplainFormat, ExplainOptions};
use super::stream;

const EXPLAIN_LABEL: &str = "QUERY PLAN";
/// Costs and counts are the same for every operator: real ones would tell of rows that a policy hides. Clients that read plans, such as
/// `postgres_fdw`, want some.
const COSTS: &str = "  (cost=0.00..0.00 rows=1000 width=0)";
const ROWS: u64 = 1_000;
const POLICY_LABELS: [&str; 9] = ["product", "port", "column", "effect", "what", "rule", "file", "line", "runs_in"];
const SHOW_ALL_LABELS: [&str; 3] = ["name", "setting", "description"];

/// The column of EXPLAIN.
pub(super) fn explain_columns(format: ExplainFormat) -> Arc<[Column]> {
    let pg_type = match format {
        ExplainFormat::Text | ExplainFormat::Yaml => PgType::TEXT,
        ExplainFormat::Json => PgType::JSON,
        ExplainFormat::Xml => PgType::XML,
    };
    [Column { name: EXPLAIN_LABEL.to_owned(), pg_type, table_oid: 0, number: 0 }].into()
}

/// A plan, and the time that its query took.
pub(super) fn explain(plan: &ShownPlan, spent: Option<Duration>, options: ExplainOptions) -> Result<RowStream, ClientMessage> {
    let format = options.format;
    let spent = spent.filter(|_| options.summary);
    let millis = spent.map(|spent| format!("{:.3}", spent.as_secs_f64() * 1000.0));
    let lines = match format {
        ExplainFormat::Text => {
            let mut lines = plan.to_lines(if options.costless { "" } else { COSTS });
            lines.extend(millis.map(|millis| format!("Execution Time: {millis} ms")));
            lines
        }
        ExplainFormat::Json | ExplainFormat::Yaml | ExplainFormat::Xml => {
            let mut document = serde_json::Map::from_iter([("Plan".to_owned(), json(plan, !options.costless))]);
            let millis = millis.and_then(|millis| millis.parse::<f64>().ok());
            document.extend(millis.map(|millis| ("Execution Time".to_owned(), millis.into())));
            vec![match format {
                ExplainFormat::Yaml => documents::yaml(&document),
                ExplainFormat::Xml => documents::xml(&document),
                _ => format!("{:#}", serde_json::Value::Array(vec![document.into()])),
            }]
        }
    };
    let batch = text_batch(&[EXPLAIN_LABEL], &[lines])?;
    Ok(RowStream::new(explain_columns(format), "EXPLAIN", stream::ready(vec![batch])))
}

/// A plan in the keys of PostgreSQL's documents.
fn json(plan: &ShownPlan, costs: bool) -> serde_json::Value {
    let mut node = serde_json::Map::from_iter([("Node Type".to_owned(), plan.name.clone().into())]);
    if costs {
        let known = [("Startup Cost", 0.into()), ("Total Cost", 0.into()), ("Plan Rows", ROWS.into()), ("Plan Width", 0.into())];
        node.extend(known.map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value)));
    }
    if let Some(object) = &plan.object {
        let (schema, name) = object.split_once('.').unwrap_or(("", object));
        node.insert("Relation Name".to_owned(), name.into());
        if !schema.is_empty() {
            node.insert("Schema".to_owned(), schema.into());
        }
    }
    for (property, value) in &plan.properties {
        let value = match value {
            Shown::Text(text) => text.clone().into(),
            Shown::Texts(texts) => texts.clone().into(),
        };
        node.insert((*property).to_owned(), value);
    }
    if !plan.below.is_empty() {
        node.insert("Plans".to_owned(), plan.below.iter().map(|below| json(below, costs)).collect::<Vec<_>>().into());
    }
    node.into()
}

/// The columns of EXPLAIN POLICY.
pub(super) fn policy_columns() -> Arc<[Column]> {
    let pg_type = |label: &str| if label == "line" { PgType::INT4 } else { PgType::TEXT };
    POLICY_LABELS.iter().map(|label| Column { name: (*label).to_owned(), pg_type: pg_type(label), table_oid: 0, number: 0 }).collect()
}

/// What the policies make of a query.
pub(super) fn policy(lines: &[PolicyLine]) -> Result<RowStream, ClientMessage> {
    fn texts<'a>(lines: &'a [PolicyLine], of: impl Fn(&'a PolicyLine) -> Option<&'a str>) -> ArrayRef {
        Arc::new(lines.iter().map(of).collect::<StringArray>())
    }
    let arrays = vec![
        texts(lines, |line| Some(&line.product)),
        texts(lines, |line| Some(&line.port)),
        texts(lines, |line| line.column.as_deref()),
        texts(lines, |line| Some(line.effect)),
        texts(lines, |line| Some(&line.what)),
        texts(lines, |line| Some(&line.rule)),
        texts(lines, |line| line.file.as_deref()),
        Arc::new(lines.iter().map(|line| line.line).collect::<Int32Array>()),
        texts(lines, |line| line.runs_in.as_deref()),
    ];
    let fields: Vec<Field> =
        POLICY_LABELS.iter().zip(&arrays).map(|(label, array)| Field::new(*label, array.data_type().clone(), true)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|error| fault::client_message(&error.into(), ""))?;
    Ok(RowStream::new(policy_columns(), "EXPLAIN", stream::ready(vec![batch])))
}

/// The columns of SHOW.
pub(super) fn show_columns(name: Option<&str>) -> Arc<[Column]> {
    match name {
        Some(name) => text_columns(&[&Settings::shown_name(name)]),
        None => text_columns(&SHOW_ALL_LABELS),
    }
}

/// The value of one setting.
pub(super) fn show(name: &str, value: &str) -> Result<RowStream, ClientMessage> {
    text_rows(&[&Settings::shown_name(name)], "SHOW", &[vec![value.to_owned()]])
}

/// Every setting.
pub(super) fn show_all(settings: &[(String, String, String)]) -> Result<RowStream, ClientMessage> {
    let columns = [
        settings.iter().map(|(name, _, _)| name.clone()).collect(),
        settings.iter().map(|(_, value, _)| value.clone()).collect(),
        settings.iter().map(|(_, _, description)| description.clone()).collect(),
    ];
    text_rows(&SHOW_ALL_LABELS, "SHOW", &columns)
}

fn text_columns(labels: &[&str]) -> Arc<[Column]> {
    labels.iter().map(|label| Column { name: (*label).to_owned(), pg_type: PgType::TEXT, table_oid: 0, number: 0 }).collect()
}

fn text_rows(labels: &[&str], verb: &'static str, columns: &[Vec<String>]) -> Result<RowStream, ClientMessage> {
    Ok(RowStream::new(text_columns(labels), verb, stream::ready(vec![text_batch(labels, columns)?])))
}

fn text_batch(labels: &[&str], columns: &[Vec<String>]) -> Result<RecordBatch, ClientMessage> {
    let fields: Vec<Field> = labels.iter().map(|label| Field::new(*label, DataType::Utf8, false)).collect();
    let arrays = columns.iter().map(|values| Arc::new(StringArray::from_iter_values(values)) as ArrayRef).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|error| fault::client_message(&error.into(), ""))
}
