//! The system relations and their columns, as PostgreSQL 15 has them.
//!
//! The definitions are facts of PostgreSQL, one relation a line in `relations.tsv`: schema, name, OID, kind, columns
//! (`name type`, `!` for never NULL). The table functions are in `functions.tsv`. What rows they hold is `content`'s.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};

use super::types::{PgType, TYPE_KEY};

/// A system table or view.
#[derive(Debug)]
pub(crate) struct Relation {
    /// `pg_catalog` or `information_schema`.
    pub(crate) schema: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// Its OID.
    pub(crate) oid: u32,
    /// `r`, `v`, or `f` for a table function.
    pub(crate) kind: &'static str,
    /// Its columns in order.
    pub(crate) columns: Vec<Column>,
    /// The same columns for Arrow.
    pub(crate) arrow: SchemaRef,
}

/// A column of a system relation.
#[derive(Debug)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its type, after domains.
    pub(crate) pg_type: PgType,
    /// Never NULL.
    pub(crate) required: bool,
}

type BySchema = BTreeMap<&'static str, BTreeMap<&'static str, Relation>>;

static ALL: LazyLock<BySchema> = LazyLock::new(|| {
    let mut schemas = BySchema::new();
    for relation in include_str!("relations.tsv").lines().filter_map(parse) {
        schemas.entry(relation.schema).or_default().insert(relation.name, relation);
    }
    schemas
});

/// Every system relation, sorted by schema and name.
pub(crate) fn all() -> impl Iterator<Item = &'static Relation> {
    ALL.values().flat_map(BTreeMap::values)
}

/// What the table functions of `pg_catalog` answer, as relations that no list shows: `name()`. A line of `functions.tsv` is a name and its
/// columns. Their arguments change nothing here.
static FUNCTIONS: LazyLock<BTreeMap<String, Relation>> = LazyLock::new(|| {
    include_str!("functions.tsv").lines().filter_map(parse_function).map(|relation| (format!("{}()", relation.name), relation)).collect()
});

/// The system relation of that name; of `pg_catalog`, also the rows of a table function by its name with `()`.
pub(crate) fn find(schema: &str, name: &str) -> Option<&'static Relation> {
    let listed = ALL.get(schema).and_then(|relations| relations.get(name));
    listed.or_else(|| FUNCTIONS.get(name).filter(|_| schema == "pg_catalog"))
}

/// Whether names in this schema belong to the system.
pub(crate) fn is_system_schema(schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema")
}

impl Relation {
    /// Whether PostgreSQL shows it to its superusers only: it tells of passwords, files or values. Nobody is superuser here.
    pub(crate) fn is_restricted(&self) -> bool {
        let restricted = [
            "pg_authid",
            "pg_backend_memory_contexts",
            "pg_config",
            "pg_file_settings",
            "pg_hba_file_rules",
            "pg_ident_file_mappings",
            "pg_largeobject",
            "pg_replication_origin_status",
            "pg_shadow",
            "pg_shmem_allocations",
            "pg_statistic",
            "pg_statistic_ext_data",
            "pg_user_mapping",
        ];
        self.schema == "pg_catalog" && restricted.contains(&self.name)
    }
}

fn parse(line: &'static str) -> Option<Relation> {
    let mut parts = line.split('\t');
    let (schema, name, oid, kind, columns) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (columns, arrow) = parse_columns(columns);
    Some(Relation { schema, name, oid: oid.parse().ok()?, kind, columns, arrow })
}

fn parse_function(line: &'static str) -> Option<Relation> {
    let (name, columns) = line.split_once('\t')?;
    let (columns, arrow) = parse_columns(columns);
    Some(Relation { schema: "pg_catalog", name, oid: 0, kind: "f", columns, arrow })
}

fn parse_columns(text: &'static str) -> (Vec<Column>, SchemaRef) {
    let columns: Vec<Column> = text.split(',').filter_map(parse_column).collect();
    let fields: Vec<Field> = columns.iter().map(field).collect();
    (columns, Arc::new(Schema::new(fields)))
}

fn parse_column(text: &'static str) -> Option<Column> {
    let (name, type_name) = text.split_once(' ')?;
    let (type_name, required) = type_name.strip_suffix('!').map_or((type_name, false), |type_name| (type_name, true));
    Some(Column { name, pg_type: column_type(type_name), required })
}

/// Domains of the information schema are sent as the types below them.
fn column_type(name: &str) -> PgType {
    match name {
        "sql_identifier" => PgType::NAME,
        "character_data" | "yes_or_no" => PgType::VARCHAR,
        "cardinal_number" => PgType::INT4,
        "time_stamp" => PgType::TIMESTAMPTZ,
        "_regtype" => PgType::OID_ARRAY,
        "pg_ndistinct" | "pg_dependencies" | "pg_mcv_list" => PgType::TEXT,
        "_pg_statistic" => PgType::TEXT_ARRAY,
        _ => PgType::named(name).unwrap_or(PgType::TEXT),
    }
}

/// Declared nullable always: outer joins and unions of these tables then never change a column's type.
fn field(column: &Column) -> Field {
    let data_type = arrow_type(column.pg_type);
    let field = Field::new(column.name, data_type, true);
    match column.pg_type.typname() {
        Some(name) if PgType::of_arrow(&field) != column.pg_type => field.with_metadata([(TYPE_KEY.to_owned(), name)].into()),
        _ => field,
    }
}

fn arrow_type(pg_type: PgType) -> DataType {
    let list = |element: DataType| DataType::List(Arc::new(Field::new_list_field(element, true)));
    match pg_type {
        PgType::BOOL => DataType::Boolean,
        PgType::INT2 => DataType::Int16,
        PgType::INT4 => DataType::Int32,
        PgType::INT8 => DataType::Int64,
        PgType::OID | PgType::XID | PgType::REGPROC | PgType::REGTYPE | PgType::REGCLASS => DataType::UInt32,
        PgType::FLOAT4 => DataType::Float32,
        PgType::FLOAT8 => DataType::Float64,
        PgType::NUMERIC => DataType::Decimal128(38, 0),
        PgType::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        PgType::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        PgType::BYTEA => DataType::Binary,
        PgType::OID_ARRAY | PgType::OIDVECTOR => list(DataType::UInt32),
        PgType::INT2_ARRAY | PgType::INT2VECTOR => list(DataType::Int16),
        PgType::FLOAT4_ARRAY => list(DataType::Float32),
        PgType::FLOAT8_ARRAY => list(DataType::Float64),
        PgType::BOOL_ARRAY => list(DataType::Boolean),
        PgType::TEXT_ARRAY | PgType::NAME_ARRAY | PgType::CHAR_ARRAY | PgType::ACLITEM_ARRAY | PgType::ANYARRAY => list(DataType::Utf8),
        _ => DataType::Utf8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_relation() {
        assert_eq!(all().count(), include_str!("relations.tsv").lines().count());
        assert!(all().all(|relation| !relation.columns.is_empty()));
    }

    #[test]
    fn pg_class_has_its_columns_in_order() {
        let relation = find("pg_catalog", "pg_class").unwrap();
        assert_eq!(relation.oid, 1259);
        let names: Vec<&str> = relation.columns.iter().take(3).map(|column| column.name).collect();
        assert_eq!(names, ["oid", "relname", "relnamespace"]);
    }
}
