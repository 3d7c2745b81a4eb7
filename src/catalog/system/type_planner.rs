//! Names of PostgreSQL types that the SQL planner does not know: `oid`, `name`, `pg_catalog.int4`, …

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};

use crate::catalog::TYPE_KEY;

/// Plans them as the Arrow types that the rest of the gateway reads them as.
#[derive(Debug, Default)]
pub struct PgTypePlanner;

impl TypePlanner for PgTypePlanner {
    fn plan_type_field(&self, sql_type: &SqlType) -> Result<Option<FieldRef>, DataFusionError> {
        // A parameter is of this type, too.
        if let SqlType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) = sql_type {
            return Ok(Some(Arc::new(Field::new("", DataType::Time64(TimeUnit::Microsecond), true))));
        }
        // As columns have it. The planner's own would be of the session's zone, and no number to it beside those.
        if let SqlType::Timestamp(None, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) = sql_type {
            let data_type = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
            return Ok(Some(Arc::new(Field::new("", data_type, true))));
        }
        Ok(super::casts::plain_type(sql_type).map(|data_type| {
            let field = Field::new("", data_type, true);
            Arc::new(match named(sql_type) {
                Some(name) => field.with_metadata([(TYPE_KEY.to_owned(), name.to_owned())].into()),
                None => field,
            })
        }))
    }
}

/// Names of types that mean a text of a kind.
const NAMED: [&str; 13] = [
    "bpchar",
    "name",
    "xid",
    "inet",
    "cidr",
    "macaddr",
    "timetz",
    "int4range",
    "int8range",
    "numrange",
    "daterange",
    "tsrange",
    "tstzrange",
];

/// The name of a type that is a text to the engine and more to PostgreSQL.
fn named(sql_type: &SqlType) -> Option<&'static str> {
    match sql_type {
        SqlType::Uuid => Some("uuid"),
        SqlType::JSON => Some("json"),
        SqlType::JSONB => Some("jsonb"),
        SqlType::Varchar(_) | SqlType::CharVarying(_) | SqlType::CharacterVarying(_) => Some("varchar"),
        SqlType::Time(None, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => Some("timetz"),
        SqlType::Custom(name, _) => NAMED.into_iter().find(|known| super::last_part(name).as_deref() == Some(*known)),
        _ => None,
    }
}

/// The Arrow type of a PostgreSQL type by its name.
pub(super) fn arrow_type(name: &str) -> Option<DataType> {
    Some(match name {
        "bool" | "boolean" => DataType::Boolean,
        "int2" | "smallint" => DataType::Int16,
        "int4" | "integer" | "int" => DataType::Int32,
        "int8" | "bigint" => DataType::Int64,
        "float4" | "real" => DataType::Float32,
        "float8" => DataType::Float64,
        "text"
        | "varchar"
        | "bpchar"
        | "char"
        | "name"
        | "uuid"
        | "json"
        | "jsonb"
        | "cstring"
        | "unknown"
        | "inet"
        | "cidr"
        | "macaddr"
        | "timetz"
        | "int4range"
        | "int8range"
        | "numrange"
        | "daterange"
        | "tsrange"
        | "tstzrange"
        | "information_schema.sql_identifier"
        | "sql_identifier"
        | "character_data"
        | "yes_or_no" => DataType::Utf8,
        "cardinal_number" => DataType::Int32,
        "oid" | "xid" | "cid" | "regclass" | "regtype" | "regproc" | "regprocedure" | "regnamespace" | "regrole" | "regoper" => {
            DataType::UInt32
        }
        "bytea" => DataType::Binary,
        _ => return None,
    })
}
