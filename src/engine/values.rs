//! Values of parameters by their PostgreSQL types, beside what `parameter` reads from the wire.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use bytes::Bytes;
use datafusion::common::metadata::{FieldMetadata, ScalarAndMetadata};
use datafusion::common::{ParamValues, ScalarValue};

use crate::catalog::TYPE_KEY;
use crate::error::ClientMessage;

use super::column::PgType;
use super::parameter::{Format, Parameter, decode};
use super::{TimeZone, fault, semantics, sql};

/// Types that the engine does not tell from the one that it computes them as.
const NAMED: [PgType; 12] = [
    PgType::UUID,
    PgType::JSON,
    PgType::JSONB,
    PgType::VARCHAR,
    PgType::BPCHAR,
    PgType::NAME,
    PgType::UUID_ARRAY,
    PgType::JSON_ARRAY,
    PgType::JSONB_ARRAY,
    PgType::VARCHAR_ARRAY,
    PgType::BPCHAR_ARRAY,
    PgType::NAME_ARRAY,
];

/// The values of a statement's parameters, and what they are to the client.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    values: Vec<ScalarValue>,
    types: Vec<PgType>,
    /// The values stand for others, of which only the types are known.
    unknown: bool,
}

impl Given {
    /// Values that are read as these types.
    pub(super) fn new(values: Vec<ScalarValue>, types: Vec<PgType>) -> Self {
        Self { values, types, unknown: false }
    }

    /// NULLs of these types.
    pub(super) fn nulls(types: &[PgType]) -> Result<Self, ClientMessage> {
        let values = types.iter().map(|pg_type| typed_null(*pg_type)).collect::<Result<_, _>>()?;
        Ok(Self { unknown: true, ..Self::new(values, types.to_vec()) })
    }

    /// The values, if they are known.
    pub(super) fn known(&self) -> Option<&[ScalarValue]> {
        (!self.unknown).then_some(&self.values)
    }

    pub(super) fn values(&self) -> &[ScalarValue] {
        &self.values
    }

    /// What a plan hangs on of them.
    pub(super) fn key(&self) -> Vec<(DataType, u32)> {
        self.values.iter().zip(&self.types).map(|(value, pg_type)| (value.data_type(), pg_type.oid)).collect()
    }

    /// What the planner is told of them.
    pub(super) fn told(&self) -> Vec<Option<PgType>> {
        self.types.iter().copied().map(Some).collect()
    }

    /// The constants that take the places of the parameters.
    pub(super) fn constants(&self) -> ParamValues {
        let mut constants = HashMap::with_capacity(self.values.len());
        for (at, (value, pg_type)) in self.values.iter().zip(&self.types).enumerate() {
            let mut metadata = semantics::bound();
            // What is infinite is carried as a text, too.
            let infinite =
                matches!(value, ScalarValue::Utf8(Some(_))).then(|| pg_type.typname()).flatten().filter(|_| is_unbounded(*pg_type));
            if let Some(name) = name(*pg_type).or(infinite) {
                metadata.extend(FieldMetadata::new([(TYPE_KEY.to_owned(), name)].into()));
            }
            for name in sql::names_of(at + 1) {
                constants.insert(name, ScalarAndMetadata::new(value.clone(), Some(metadata.clone())));
            }
        }
        ParamValues::Map(constants)
    }
}

/// A parameter of a type as the planner sees it.
pub(super) fn field(pg_type: PgType) -> Result<FieldRef, ClientMessage> {
    let field = Field::new("", typed_null(pg_type)?.data_type(), true);
    Ok(Arc::new(match name(pg_type) {
        Some(name) => field.with_metadata([(TYPE_KEY.to_owned(), name)].into()),
        None => field,
    }))
}

/// The name of a type that its Arrow type does not tell.
fn name(pg_type: PgType) -> Option<String> {
    let named = NAMED.iter().any(|named| named.oid == pg_type.oid) || semantics::Carried::of(pg_type).is_some();
    if named { pg_type.typname() } else { None }
}

/// Whether a type has values that the engine's has not.
fn is_unbounded(pg_type: PgType) -> bool {
    [PgType::NUMERIC, PgType::DATE, PgType::TIMESTAMP, PgType::TIMESTAMPTZ].iter().any(|known| known.oid == pg_type.oid)
}

/// NULL of a type.
fn typed_null(pg_type: PgType) -> Result<ScalarValue, ClientMessage> {
    decode(&Parameter { format: Format::Text, value: None }, pg_type, &TimeZone::default())
}

/// A computed value as a parameter of a type. A text is read as a client's text would be, and a numeric keeps its digits.
pub(super) fn convert(value: &ScalarValue, pg_type: PgType, time_zone: &TimeZone) -> Result<ScalarValue, ClientMessage> {
    if let Some(Some(text)) = value.try_as_str() {
        let value = Some(Bytes::copy_from_slice(text.as_bytes()));
        let unbounded = || semantics::unbounded_text(text).filter(|_| pg_type.oid == PgType::NUMERIC.oid);
        return decode(&Parameter { format: Format::Text, value }, pg_type, time_zone)
            .or_else(|fault| unbounded().map(|text| ScalarValue::Utf8(Some(text))).ok_or(fault));
    }
    if pg_type.oid == PgType::NUMERIC.oid {
        let data_type = value.data_type();
        if matches!(data_type, DataType::Decimal128(..)) {
            return Ok(value.clone());
        }
        if data_type.is_integer() {
            return value.cast_to(&DataType::Decimal128(20, 0)).map_err(|error| fault::client_message(&error, ""));
        }
    }
    let data_type = typed_null(pg_type)?.data_type();
    let value = &if data_type.is_integer() { whole(value).map_err(|error| fault::client_message(&error, ""))? } else { value.clone() };
    semantics::nearest(value, &data_type).map_err(|error| fault::client_message(&error, ""))
}

/// A number that becomes an integer is rounded as a cast rounds it.
fn whole(value: &ScalarValue) -> datafusion::error::Result<ScalarValue> {
    match value {
        ScalarValue::Decimal128(Some(_), precision, _) => value.cast_to(&DataType::Decimal128(*precision, 0)),
        ScalarValue::Float64(Some(number)) => Ok(ScalarValue::Float64(Some(number.round_ties_even()))),
        ScalarValue::Float32(Some(number)) => Ok(ScalarValue::Float32(Some(number.round_ties_even()))),
        other => Ok(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_execute_is_given_is_read_as_what_was_prepared() {
        let convert = |value, pg_type| super::convert(&value, pg_type, &TimeZone::default());
        assert_eq!(convert(ScalarValue::Decimal128(Some(15), 2, 1), PgType::NUMERIC).unwrap(), ScalarValue::Decimal128(Some(15), 2, 1));
        assert_eq!(convert(ScalarValue::from(3i32), PgType::NUMERIC).unwrap(), ScalarValue::Decimal128(Some(3), 20, 0));
        assert_eq!(convert(ScalarValue::from("5"), PgType::INT4).unwrap(), ScalarValue::Int32(Some(5)));
        assert_eq!(convert(ScalarValue::from(5i64), PgType::INT4).unwrap(), ScalarValue::Int32(Some(5)));
        assert_eq!(convert(ScalarValue::Decimal128(Some(15), 2, 1), PgType::INT4).unwrap(), ScalarValue::Int32(Some(2)));
        assert_eq!(convert(ScalarValue::Decimal128(Some(99), 2, 1), PgType::INT4).unwrap(), ScalarValue::Int32(Some(10)));
        assert_eq!(convert(ScalarValue::from(2.5), PgType::INT4).unwrap(), ScalarValue::Int32(Some(2)));
        assert!(convert(ScalarValue::from("x"), PgType::INT4).is_err());
    }

    #[test]
    fn a_type_is_named_where_its_arrow_type_does_not_tell_it() {
        for (pg_type, name) in
            [(PgType::UUID, Some("uuid")), (PgType::TEXT, None), (PgType::JSONB_ARRAY, Some("_jsonb")), (PgType::INT4, None)]
        {
            let field = field(pg_type).unwrap();
            assert_eq!(field.metadata().get(TYPE_KEY).map(String::as_str), name);
            assert_eq!(PgType::of_arrow(&field).oid, pg_type.oid);
        }
    }
}
