//! Rows of system relations that are the same in every PostgreSQL: types, functions, operators, casts, and so on.
//!
//! The rows come from `datafusion-pg-catalog`, fitted by name to the columns that `relations` declares.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion_pg_catalog::pg_catalog::{ArrowTable, PgCatalogStaticTables};

use super::relations::Relation;

static TABLES: LazyLock<Option<PgCatalogStaticTables>> = LazyLock::new(|| PgCatalogStaticTables::try_new().ok());

static FITTED: Mutex<BTreeMap<&'static str, RecordBatch>> = Mutex::new(BTreeMap::new());

/// The fixed rows of a relation of `pg_catalog`, or `None` if it has none. They are fitted once.
pub(crate) fn rows(relation: &Relation) -> Result<Option<RecordBatch>, DataFusionError> {
    if let Some(batch) = FITTED.lock().unwrap_or_else(PoisonError::into_inner).get(relation.name) {
        return Ok(Some(batch.clone()));
    }
    let fitted = fitted(relation)?;
    if let Some(batch) = &fitted {
        FITTED.lock().unwrap_or_else(PoisonError::into_inner).insert(relation.name, batch.clone());
    }
    Ok(fitted)
}

fn fitted(relation: &Relation) -> Result<Option<RecordBatch>, DataFusionError> {
    let Some(table) = TABLES.as_ref().and_then(|tables| source(tables, relation.name)) else { return Ok(None) };
    let whole = concat_batches(&table.schema(), table.data())?;
    let columns = relation.columns.iter().zip(relation.arrow.fields()).map(|(column, field)| {
        let Some(found) = whole.column_by_name(column.name) else {
            return Ok(new_null_array(field.data_type(), whole.num_rows()));
        };
        fit(found, field.data_type())
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, DataFusionError>>()?;
    Ok(Some(RecordBatch::try_new(Arc::clone(&relation.arrow), columns)?))
}

/// Exports hold OIDs as signed integers and some columns as text; a column that does not fit is NULL.
fn fit(found: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, DataFusionError> {
    if found.data_type() == data_type {
        return Ok(Arc::clone(found));
    }
    match (found.data_type(), data_type) {
        (DataType::Int32, DataType::UInt32) => Ok(cast(&cast(found, &DataType::Int64)?, data_type)?),
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, DataType::UInt32) => function_oids(found),
        _ => Ok(cast(found, data_type).unwrap_or_else(|_| new_null_array(data_type, found.len()))),
    }
}

/// Columns of type regproc are exported as names.
fn function_oids(found: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
    let texts = cast(found, &DataType::Utf8)?;
    let oids = texts.as_string::<i32>().iter().map(|text| {
        let name = text?.trim_start_matches("pg_catalog.").trim_matches('"');
        Some(name.parse().ok().or_else(|| function_oid(name)).unwrap_or(0))
    });
    Ok(Arc::new(oids.collect::<UInt32Array>()))
}

fn source<'a>(tables: &'a PgCatalogStaticTables, name: &str) -> Option<&'a ArrowTable> {
    let table = match name {
        "pg_aggregate" => &tables.pg_aggregate,
        "pg_am" => &tables.pg_am,
        "pg_amop" => &tables.pg_amop,
        "pg_amproc" => &tables.pg_amproc,
        "pg_cast" => &tables.pg_cast,
        "pg_collation" => &tables.pg_collation,
        "pg_conversion" => &tables.pg_conversion,
        "pg_language" => &tables.pg_language,
        "pg_opclass" => &tables.pg_opclass,
        "pg_operator" => &tables.pg_operator,
        "pg_opfamily" => &tables.pg_opfamily,
        "pg_proc" => &tables.pg_proc,
        "pg_range" => &tables.pg_range,
        "pg_ts_config" => &tables.pg_ts_config,
        "pg_ts_dict" => &tables.pg_ts_dict,
        "pg_ts_parser" => &tables.pg_ts_parser,
        "pg_ts_template" => &tables.pg_ts_template,
        "pg_type" => &tables.pg_type,
        _ => return None,
    };
    Some(table)
}

/// OID and name of every row of a relation, for look-ups by either.
#[derive(Debug, Default)]
struct Names {
    by_oid: HashMap<u32, String>,
    by_name: HashMap<String, u32>,
}

impl Names {
    fn of(relation: &str, name_column: &str) -> Self {
        let mut names = Names::default();
        let table = TABLES.as_ref().and_then(|tables| source(tables, relation));
        let batch = table.and_then(|table| concat_batches(&table.schema(), table.data()).ok());
        let Some(batch) = batch else { return names };
        let (Some(oids), Some(texts)) = (batch.column_by_name("oid"), batch.column_by_name(name_column)) else { return names };
        let (Ok(oids), Ok(texts)) = (cast(oids, &DataType::Int64), cast(texts, &DataType::Utf8)) else { return names };
        let (Some(oids), Some(texts)) = (oids.as_primitive_opt::<Int64Type>(), texts.as_string_opt::<i32>()) else { return names };
        for (oid, text) in oids.iter().zip(texts) {
            if let (Some(oid), Some(text)) = (oid.and_then(|oid| u32::try_from(oid).ok()), text) {
                names.by_oid.insert(oid, text.to_owned());
                names.by_name.entry(text.to_owned()).or_insert(oid);
            }
        }
        names
    }
}

fn types() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| Names::of("pg_type", "typname"))
}

fn functions() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| Names::of("pg_proc", "proname"))
}

/// The OID of the builtin type with that `typname`.
pub(crate) fn type_oid(name: &str) -> Option<u32> {
    types().by_name.get(name).copied()
}

/// The `typname` of a builtin type.
pub(crate) fn type_name(oid: u32) -> Option<&'static str> {
    types().by_oid.get(&oid).map(String::as_str)
}

/// The OID of a builtin function; of several with that name, the first.
pub(crate) fn function_oid(name: &str) -> Option<u32> {
    functions().by_name.get(name).copied()
}

/// The name of a builtin function.
pub(crate) fn function_name(oid: u32) -> Option<&'static str> {
    functions().by_oid.get(&oid).map(String::as_str)
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
        for relation in relations::all().filter(|relation| relation.schema == "pg_catalog") {
            if let Some(batch) = rows(relation).unwrap() {
                assert!(batch.num_rows() > 0, "{}", relation.name);
                for (column, array) in relation.columns.iter().zip(batch.columns()) {
                    assert!(!column.required || array.null_count() == 0, "{}.{}", relation.name, column.name);
                }
            }
        }
    }
}
