//! The rows of statements that the session answers by itself: SHOW and EXPLAIN.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;

use crate::error::ClientMessage;

use super::column::{Column, PgType};
use super::fault;
use super::reply::RowStream;
use super::settings::Settings;
use super::stream;

const EXPLAIN_LABEL: &str = "QUERY PLAN";
const SHOW_ALL_LABELS: [&str; 3] = ["name", "setting", "description"];

/// The column of EXPLAIN.
pub(super) fn explain_columns() -> Arc<[Column]> {
    text_columns(&[EXPLAIN_LABEL])
}

/// A plan's lines.
pub(super) fn explain(lines: &[String]) -> Result<RowStream, ClientMessage> {
    text_rows(&[EXPLAIN_LABEL], "EXPLAIN", &[lines.to_vec()])
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
    let fields: Vec<Field> = labels.iter().map(|label| Field::new(*label, DataType::Utf8, false)).collect();
    let arrays = columns.iter().map(|values| Arc::new(StringArray::from_iter_values(values)) as ArrayRef).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|error| fault::client_message(&error.into(), ""))?;
    Ok(RowStream::new(text_columns(labels), verb, stream::ready(vec![batch])))
}
