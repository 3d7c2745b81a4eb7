//! Scalar values by their PostgreSQL types, beside what `parameter` reads from the wire.

use datafusion::common::ScalarValue;

use crate::error::ClientMessage;

use super::column::PgType;
use super::parameter::{Format, Parameter, decode};
use super::{TimeZone, fault};

/// NULL of a type.
pub(super) fn typed_null(pg_type: PgType) -> Result<ScalarValue, ClientMessage> {
    decode(&Parameter { format: Format::Text, value: None }, pg_type, &TimeZone::default())
}

/// A computed value as a parameter of a type.
pub(super) fn convert(value: &ScalarValue, pg_type: PgType) -> Result<ScalarValue, ClientMessage> {
    let data_type = typed_null(pg_type)?.data_type();
    value.cast_to(&data_type).map_err(|error| fault::client_message(&error, ""))
}
