//! Primary keys, as the contracts declare them: `pg_constraint`, `pg_index`, `pg_indexes`, and their definitions as text.

use crate::catalog::PgType;
use crate::catalog::facts::{SessionFacts, Table};
use crate::product::DataType;

use super::Row;

pub(super) fn rows(relation: &str, facts: &SessionFacts) -> Option<Vec<Row>> {
    let row: fn(&Table) -> Row = match relation {
        "pg_constraint" => constraint,
        "pg_index" => index,
        "pg_indexes" => index_text,
        "pg_stat_user_indexes" | "pg_stat_all_indexes" => index_statistics,
        _ => return None,
    };
    Some(facts.view().tables.iter().filter(|table| !table.key().is_empty()).map(row).collect())
}

fn constraint(table: &Table) -> Row {
    let numbers: Vec<i64> = table.key().into_iter().map(|(number, _)| number).collect();
    vec![
        ("oid", table.constraint_oid.into()),
        ("conname", table.key_name().into()),
        ("connamespace", table.schema_oid.into()),
        ("contype", "p".into()),
        ("convalidated", true.into()),
        ("conrelid", table.oid.into()),
        ("conindid", table.index_oid.into()),
        ("confupdtype", " ".into()),
        ("confdeltype", " ".into()),
        ("confmatchtype", " ".into()),
        ("conislocal", true.into()),
        ("connoinherit", true.into()),
        ("conkey", numbers.into()),
    ]
}

fn index(table: &Table) -> Row {
    let key = table.key();
    let numbers: Vec<i64> = key.iter().map(|(number, _)| *number).collect();
    let zeros = vec![0i64; numbers.len()];
    let classes: Vec<i64> = key.iter().map(|(_, field)| operator_class(&field.data_type)).collect();
    let count = i64::try_from(numbers.len()).unwrap_or(0);
    vec![
        ("indexrelid", table.index_oid.into()),
        ("indrelid", table.oid.into()),
        ("indnatts", count.into()),
        ("indnkeyatts", count.into()),
        ("indisunique", true.into()),
        ("indisprimary", true.into()),
        ("indimmediate", true.into()),
        ("indisvalid", true.into()),
        ("indisready", true.into()),
        ("indislive", true.into()),
        ("indkey", numbers.into()),
        ("indcollation", zeros.clone().into()),
        ("indclass", classes.into()),
        ("indoption", zeros.into()),
    ]
}

/// `pg_opclass.oid` of the btree classes that have fixed numbers; 0 for the others.
fn operator_class(data_type: &DataType) -> i64 {
    match PgType::of_contract(data_type) {
        PgType::INT2 => 1979,
        PgType::INT4 => 1978,
        PgType::INT8 => 3124,
        PgType::TEXT => 3126,
        PgType::DATE => 3122,
        PgType::TIMESTAMP => 3128,
        PgType::TIMESTAMPTZ => 3127,
        PgType::FLOAT8 => 3123,
        _ => 0,
    }
}

fn index_text(table: &Table) -> Row {
    vec![
        ("schemaname", (&table.schema).into()),
        ("tablename", (&table.name).into()),
        ("indexname", table.key_name().into()),
        ("indexdef", index_definition(table).into()),
    ]
}

fn index_statistics(table: &Table) -> Row {
    vec![
        ("relid", table.oid.into()),
        ("indexrelid", table.index_oid.into()),
        ("schemaname", (&table.schema).into()),
        ("relname", (&table.name).into()),
        ("indexrelname", table.key_name().into()),
    ]
}

/// What `pg_get_indexdef` answers for a primary key.
pub(crate) fn index_definition(table: &Table) -> String {
    let quote = crate::catalog::quote_ident;
    let (name, schema, relation) = (table.key_name(), &table.schema, &table.name);
    format!("CREATE UNIQUE INDEX {} ON {}.{} USING btree ({})", quote(&name), quote(schema), quote(relation), columns(table))
}

/// What `pg_get_constraintdef` answers for a primary key.
pub(crate) fn constraint_definition(table: &Table) -> String {
    format!("PRIMARY KEY ({})", columns(table))
}

fn columns(table: &Table) -> String {
    table.key().iter().map(|(_, field)| crate::catalog::quote_ident(field.name.as_str())).collect::<Vec<_>>().join(", ")
}
