//! Schemas, relations, columns: `pg_namespace`, `pg_class`, `pg_attribute`, and the views over them.

use crate::catalog::PgType;
use crate::catalog::facts::{SYSTEM_ROLE, SYSTEM_ROLE_OID, SessionFacts, Table};
use crate::catalog::relations;
use crate::catalog::row_types;
use crate::catalog::statics;

use super::Row;

/// `pg_am.oid` of heap and btree.
const HEAP: i64 = 2;
const BTREE: i64 = 403;
/// `pg_namespace.oid` of the system schemas.
const PG_CATALOG: i64 = 11;
const INFORMATION_SCHEMA: i64 = 13_212;

pub(super) fn rows(relation: &str, facts: &SessionFacts) -> Option<Vec<Row>> {
    match relation {
        "pg_namespace" => Some(namespaces(facts)),
        "pg_class" => Some(classes(facts)),
        "pg_attribute" => Some(attributes(facts)),
        "pg_type" => Some(row_types::rows(facts)),
        "pg_tables" => Some(tables(facts)),
        "pg_views" => Some(views(facts)),
        "pg_stat_user_tables" | "pg_stat_all_tables" | "pg_statio_user_tables" | "pg_statio_all_tables" => Some(statistics(facts)),
        _ => None,
    }
}

fn namespaces(facts: &SessionFacts) -> Vec<Row> {
    let schemas = facts.view().schemas.iter();
    schemas
        .map(|schema| {
            vec![
                ("oid", schema.oid.into()),
                ("nspname", (&schema.name).into()),
                ("nspowner", schema.owner_oid.into()),
                ("nspacl", facts.granted("U", schema.owner_oid).into()),
            ]
        })
        .collect()
}

fn classes(facts: &SessionFacts) -> Vec<Row> {
    let mut rows: Vec<Row> = facts.view().tables.iter().flat_map(|table| table_and_key(facts, table)).collect();
    rows.extend(relations::all().map(|relation| {
        let schema = if relation.schema == "pg_catalog" { PG_CATALOG } else { INFORMATION_SCHEMA };
        let heap = if relation.kind == "r" { HEAP } else { 0 };
        let mut row = class(relation.oid, relation.name, schema, SYSTEM_ROLE_OID, relation.kind, relation.columns.len());
        row.extend([("relam", heap.into()), ("relreplident", "n".into()), ("relhasrules", (relation.kind == "v").into())]);
        row
    }));
    rows
}

/// What may be discovered may be asked for; whether it is answered is the policy's to say, when it is.
fn table_and_key(facts: &SessionFacts, table: &Table) -> Vec<Row> {
    let key = table.key();
    let mut row = class(table.oid, &table.name, table.schema_oid.into(), table.owner_oid, table.kind(), table.fields().len());
    row.push(("relacl", facts.granted("r", table.owner_oid).into()));
    row.push(("reltype", table.type_oid.into()));
    if table.kind() == "v" {
        row.extend([("relreplident", "n".into()), ("relhasrules", true.into())]);
        return vec![row];
    }
    row.extend([("relam", HEAP.into()), ("relreplident", "d".into()), ("relhasindex", (!key.is_empty()).into())]);
    if key.is_empty() {
        return vec![row];
    }
    let mut index = class(table.index_oid, &table.key_name(), table.schema_oid.into(), table.owner_oid, "i", key.len());
    index.extend([("relam", BTREE.into()), ("relreplident", "n".into())]);
    vec![row, index]
}

/// Sizes and counts are unknown, and say so: they would tell of rows that a policy hides.
fn class(oid: u32, name: &str, schema: i64, owner: u32, kind: &'static str, columns: usize) -> Row {
    vec![
        ("oid", oid.into()),
        ("relname", name.into()),
        ("relnamespace", schema.into()),
        ("relowner", owner.into()),
        ("relkind", kind.into()),
        ("relnatts", i64::try_from(columns).unwrap_or(0).into()),
        ("reltuples", (-1i64).into()),
        ("relpersistence", "p".into()),
        ("relispopulated", true.into()),
    ]
}

fn attributes(facts: &SessionFacts) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in &facts.view().tables {
        for (number, field) in (1..).zip(table.fields()) {
            let pg_type = PgType::of_contract(&field.data_type);
            rows.push(attribute(table.oid, field.name.as_str(), number, pg_type, field.required || field.primary_key));
        }
        for (number, (_, field)) in (1..).zip(table.key()) {
            rows.push(attribute(table.index_oid, field.name.as_str(), number, PgType::of_contract(&field.data_type), false));
        }
    }
    for relation in relations::all() {
        for (number, column) in (1..).zip(&relation.columns) {
            rows.push(attribute(relation.oid, column.name, number, column.pg_type, column.required));
        }
    }
    rows
}

fn attribute(relation: u32, name: &str, number: i64, pg_type: PgType, required: bool) -> Row {
    let fixed = matches!(pg_type.len, 1 | 2 | 4 | 8);
    let align = match pg_type.len {
        1 => "c",
        2 => "s",
        8 => "d",
        _ => "i",
    };
    let dimensions = i64::from(pg_type.typname().is_some_and(|name| name.starts_with('_')));
    vec![
        ("attrelid", relation.into()),
        ("attname", name.into()),
        ("atttypid", pg_type.oid.into()),
        ("attstattarget", (-1i64).into()),
        ("attlen", pg_type.len.into()),
        ("attnum", number.into()),
        ("attndims", dimensions.into()),
        ("attcacheoff", (-1i64).into()),
        ("atttypmod", pg_type.typmod.into()),
        ("attbyval", fixed.into()),
        ("attalign", align.into()),
        ("attstorage", storage(pg_type).into()),
        ("attcompression", "".into()),
        ("attnotnull", required.into()),
        ("attidentity", "".into()),
        ("attgenerated", "".into()),
        ("attislocal", true.into()),
        ("attcollation", collation(pg_type).into()),
    ]
}

/// `pg_type.typstorage`.
fn storage(pg_type: PgType) -> &'static str {
    match pg_type.oid {
        22 | 30 => "p",
        869 | 1700 => "m",
        _ if pg_type.len == -1 => "x",
        _ => "p",
    }
}

/// `pg_type.typcollation`: the default collation for texts, C for names.
fn collation(pg_type: PgType) -> i64 {
    match pg_type {
        PgType::NAME | PgType::NAME_ARRAY => 950,
        _ if matches!(pg_type.oid, 25 | 1009 | 1042 | 1043 | 1014 | 1015 | 194) => 100,
        _ => 0,
    }
}

fn tables(facts: &SessionFacts) -> Vec<Row> {
    let row = |schema: &str, name: &str, owner: &str, indexes: bool| -> Row {
        vec![
            ("schemaname", schema.into()),
            ("tablename", name.into()),
            ("tableowner", owner.into()),
            ("hasindexes", indexes.into()),
            ("hasrules", false.into()),
            ("hastriggers", false.into()),
            ("rowsecurity", false.into()),
        ]
    };
    let own = facts.view().tables.iter().filter(|table| table.kind() == "r");
    let own =
        own.map(|table| row(&table.schema, &table.name, facts.role_name(table.owner_oid).unwrap_or(SYSTEM_ROLE), !table.key().is_empty()));
    let system = relations::all().filter(|relation| relation.kind == "r");
    own.chain(system.map(|relation| row(relation.schema, relation.name, SYSTEM_ROLE, false))).collect()
}

fn views(facts: &SessionFacts) -> Vec<Row> {
    let row = |schema: &str, name: &str, definition: Option<&str>| -> Row {
        vec![("schemaname", schema.into()), ("viewname", name.into()), ("viewowner", SYSTEM_ROLE.into()), ("definition", definition.into())]
    };
    let own = facts.view().tables.iter().filter(|table| table.kind() == "v");
    let own = own.map(|table| row(&table.schema, &table.name, table.definition()));
    let system = relations::all().filter(|relation| relation.kind == "v");
    own.chain(system.map(|relation| row(relation.schema, relation.name, statics::view_definition(relation.schema, relation.name))))
        .collect()
}

fn statistics(facts: &SessionFacts) -> Vec<Row> {
    let tables = facts.view().tables.iter().filter(|table| table.kind() == "r");
    tables
        .map(|table| vec![("relid", table.oid.into()), ("schemaname", (&table.schema).into()), ("relname", (&table.name).into())])
        .collect()
}

/// A type's name as `format_type` gives it, builtin or not.
pub(crate) fn type_display(oid: u32, typmod: i32) -> Option<String> {
    let known = PgType::of_oid(oid).and_then(|found| found.with_typmod(typmod).format());
    known.or_else(|| {
        let name = statics::type_name(oid)?;
        Some(name.strip_prefix('_').map_or_else(|| name.to_owned(), |element| format!("{element}[]")))
    })
}
