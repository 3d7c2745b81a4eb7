//! Objects that rows show by their names, and send in binary by their numbers: values of `regclass` and its like.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;

use crate::catalog::{SessionFacts, functions};
use crate::error::{ClientMessage, SqlState};

use super::column::{Column, PgType};

/// The types, and the objects that they number. Of `regtype` the name says it all.
const KINDS: [(PgType, &str); 5] = [
    (PgType::REGCLASS, "class"),
    (PgType::REGPROC, "proc"),
    (PgType::REGPROCEDURE, "procedure"),
    (PgType::REGNAMESPACE, "namespace"),
    (PgType::REGROLE, "role"),
];

/// The objects that a column names.
fn kind(column: &Column) -> Option<&'static str> {
    KINDS.iter().find(|(pg_type, _)| pg_type.oid == column.pg_type.oid).map(|(_, kind)| *kind)
}

/// Whether any column names objects.
pub(super) fn are_named(columns: &[Column]) -> bool {
    columns.iter().any(|column| kind(column).is_some())
}

/// The batch with numbers instead of names in those columns.
pub(super) fn numbered(
    batch: &RecordBatch,
    columns: &[Column],
    wanted: impl Fn(usize) -> bool,
    facts: &SessionFacts,
) -> Result<RecordBatch, ClientMessage> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (at, ((array, field), column)) in batch.columns().iter().zip(batch.schema().fields()).zip(columns).enumerate() {
        match kind(column).filter(|_| wanted(at) && array.data_type().is_string()) {
            Some(kind) => {
                fields.push(Arc::new(Field::new(field.name(), DataType::UInt32, true)));
                arrays.push(numbers(array, kind, facts)?);
            }
            None => {
                fields.push(Arc::clone(field));
                arrays.push(Arc::clone(array));
            }
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|_| unknown())
}

fn numbers(names: &ArrayRef, kind: &str, facts: &SessionFacts) -> Result<ArrayRef, ClientMessage> {
    let names = cast(names, &DataType::Utf8).map_err(|_| unknown())?;
    let number = |name: Option<&str>| name.map(|name| functions::object_named(facts, kind, name).map_err(|_| unknown())).transpose();
    Ok(Arc::new(names.as_string::<i32>().iter().map(number).collect::<Result<UInt32Array, _>>()?))
}

fn unknown() -> ClientMessage {
    ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "the number of an object is not known")
}
