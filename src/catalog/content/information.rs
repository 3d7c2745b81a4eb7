//! The information schema: the same facts in the standard's words.

use crate::catalog::PgType;
use crate::catalog::facts::{SYSTEM_ROLE, SYSTEM_ROLE_OID, SessionFacts, Table};
use crate::catalog::relations;
use crate::catalog::rows::Value;
use crate::product::DataType;

use super::Row;
use super::objects::type_display;

pub(super) fn rows(relation: &str, facts: &SessionFacts) -> Option<Vec<Row>> {
    match relation {
        "information_schema_catalog_name" => Some(vec![vec![("catalog_name", (&facts.database).into())]]),
        "schemata" => Some(schemata(facts)),
        "tables" => Some(tables(facts)),
        "views" => Some(views(facts)),
        "columns" => Some(columns(facts)),
        "table_constraints" => Some(table_constraints(facts)),
        "key_column_usage" => Some(key_columns(facts, true)),
        "constraint_column_usage" => Some(key_columns(facts, false)),
        "table_privileges" | "role_table_grants" => Some(table_privileges(facts)),
        "column_privileges" | "role_column_grants" => Some(column_privileges(facts)),
        "data_type_privileges" => Some(data_types(facts)),
        "character_sets" => Some(character_sets(facts)),
        "enabled_roles" => Some(vec![vec![("role_name", (&facts.principal.name).into())]]),
        "collations" => Some(vec![vec![
            ("collation_catalog", (&facts.database).into()),
            ("collation_schema", "pg_catalog".into()),
            ("collation_name", "default".into()),
            ("pad_attribute", "NO PAD".into()),
        ]]),
        _ => None,
    }
}

fn schemata(facts: &SessionFacts) -> Vec<Row> {
    let schemas = facts.view().schemas.iter();
    schemas
        .map(|schema| {
            let owner = facts.role_name(schema.owner_oid).unwrap_or(SYSTEM_ROLE);
            vec![("catalog_name", (&facts.database).into()), ("schema_name", (&schema.name).into()), ("schema_owner", owner.into())]
        })
        .collect()
}

fn named(facts: &SessionFacts, schema: &str, table: &str) -> Row {
    vec![("table_catalog", (&facts.database).into()), ("table_schema", schema.into()), ("table_name", table.into())]
}

fn tables(facts: &SessionFacts) -> Vec<Row> {
    let row = |schema: &str, table: &str, kind: &str| {
        let mut row = named(facts, schema, table);
        let kind = if kind == "v" { "VIEW" } else { "BASE TABLE" };
        row.extend([("table_type", kind.into()), ("is_insertable_into", "NO".into()), ("is_typed", "NO".into())]);
        row
    };
    let own = facts.view().tables.iter().map(|table| row(&table.schema, &table.name, table.kind()));
    own.chain(relations::all().map(|relation| row(relation.schema, relation.name, relation.kind))).collect()
}

fn views(facts: &SessionFacts) -> Vec<Row> {
    let row = |schema: &str, name: &str, definition: Option<&str>| {
        let mut row = named(facts, schema, name);
        row.extend([
            ("view_definition", definition.into()),
            ("check_option", "NONE".into()),
            ("is_updatable", "NO".into()),
            ("is_insertable_into", "NO".into()),
        ]);
        row
    };
    let own = facts.view().tables.iter().filter(|table| table.kind() == "v");
    let own = own.map(|table| row(&table.schema, &table.name, table.definition()));
    let system = relations::all().filter(|relation| relation.kind == "v");
    own.chain(system.map(|relation| row(relation.schema, relation.name, None))).collect()
}

fn columns(facts: &SessionFacts) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in &facts.view().tables {
        for (number, field) in (1..).zip(table.fields()) {
            let pg_type = PgType::of_contract(&field.data_type);
            let mut row = named(facts, &table.schema, &table.name);
            row.extend(column(facts, field.name.as_str(), number, pg_type, field.required || field.primary_key));
            if let DataType::Decimal { precision, scale } = &field.data_type {
                let scale = i64::from(*scale);
                row.extend([("numeric_precision", i64::from(*precision).into()), ("numeric_scale", scale.into())]);
            }
            rows.push(row);
        }
    }
    for relation in relations::all() {
        for (number, found) in (1..).zip(&relation.columns) {
            let mut row = named(facts, relation.schema, relation.name);
            row.extend(column(facts, found.name, number, found.pg_type, found.required));
            rows.push(row);
        }
    }
    rows
}

fn column(facts: &SessionFacts, name: &str, number: i64, pg_type: PgType, required: bool) -> Row {
    let typname = pg_type.typname().unwrap_or_else(|| "text".to_owned());
    let shown = if typname.starts_with('_') { Some("ARRAY".to_owned()) } else { type_display(pg_type.oid, -1) };
    let mut row: Row = vec![
        ("column_name", name.into()),
        ("ordinal_position", number.into()),
        ("is_nullable", if required { "NO" } else { "YES" }.into()),
        ("data_type", shown.into()),
        ("udt_catalog", (&facts.database).into()),
        ("udt_schema", "pg_catalog".into()),
        ("udt_name", typname.into()),
        ("dtd_identifier", number.to_string().into()),
        ("is_self_referencing", "NO".into()),
        ("is_identity", "NO".into()),
        ("identity_cycle", "NO".into()),
        ("is_generated", "NEVER".into()),
        ("is_updatable", "NO".into()),
    ];
    row.extend(measures(pg_type));
    row
}

/// Length, precision and scale.
fn measures(pg_type: PgType) -> Row {
    let binary = |bits: i64, scale: Value| -> Row {
        vec![("numeric_precision", bits.into()), ("numeric_precision_radix", 2i64.into()), ("numeric_scale", scale)]
    };
    match pg_type.oid {
        21 => binary(16, 0i64.into()),
        23 => binary(32, 0i64.into()),
        20 => binary(64, 0i64.into()),
        700 => binary(24, Value::Null),
        701 => binary(53, Value::Null),
        1700 => vec![("numeric_precision_radix", 10i64.into())],
        1043 if pg_type.typmod > 4 => {
            let length = i64::from(pg_type.typmod) - 4;
            vec![("character_maximum_length", length.into()), ("character_octet_length", (length * 4).into())]
        }
        25 | 1043 => vec![("character_octet_length", 1_073_741_824i64.into())],
        1082 => vec![("datetime_precision", 0i64.into())],
        1083 | 1114 | 1184 | 1186 => vec![("datetime_precision", 6i64.into())],
        _ => Vec::new(),
    }
}

fn constraint_name(facts: &SessionFacts, table: &Table) -> Row {
    vec![
        ("constraint_catalog", (&facts.database).into()),
        ("constraint_schema", (&table.schema).into()),
        ("constraint_name", table.key_name().into()),
    ]
}

fn table_constraints(facts: &SessionFacts) -> Vec<Row> {
    let keyed = facts.view().tables.iter().filter(|table| !table.key().is_empty());
    keyed
        .map(|table| {
            let mut row = constraint_name(facts, table);
            row.extend(named(facts, &table.schema, &table.name));
            row.extend([
                ("constraint_type", "PRIMARY KEY".into()),
                ("is_deferrable", "NO".into()),
                ("initially_deferred", "NO".into()),
                ("enforced", "YES".into()),
            ]);
            row
        })
        .collect()
}

fn key_columns(facts: &SessionFacts, numbered: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in &facts.view().tables {
        for (position, (_, field)) in (1i64..).zip(table.key()) {
            let mut row = constraint_name(facts, table);
            row.extend(named(facts, &table.schema, &table.name));
            row.push(("column_name", field.name.as_str().into()));
            if numbered {
                row.push(("ordinal_position", position.into()));
            }
            rows.push(row);
        }
    }
    rows
}

/// SELECT on what the principal may know of. Whether a statement is answered is the policy's to say, when it is asked.
fn grant(facts: &SessionFacts, table: &Table) -> Row {
    let grantor = facts.role_name(table.owner_oid).or_else(|| facts.role_name(SYSTEM_ROLE_OID)).unwrap_or(SYSTEM_ROLE);
    let mut row = named(facts, &table.schema, &table.name);
    row.extend([
        ("grantor", grantor.into()),
        ("grantee", (&facts.principal.name).into()),
        ("privilege_type", "SELECT".into()),
        ("is_grantable", "NO".into()),
        ("with_hierarchy", "YES".into()),
    ]);
    row
}

fn table_privileges(facts: &SessionFacts) -> Vec<Row> {
    facts.view().tables.iter().map(|table| grant(facts, table)).collect()
}

fn column_privileges(facts: &SessionFacts) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in &facts.view().tables {
        for field in table.fields() {
            let mut row = grant(facts, table);
            row.push(("column_name", field.name.as_str().into()));
            rows.push(row);
        }
    }
    rows
}

/// Every column, of which each has a type.
fn data_types(facts: &SessionFacts) -> Vec<Row> {
    let row = |schema: &str, name: &str, number: usize| -> Row {
        vec![
            ("object_catalog", (&facts.database).into()),
            ("object_schema", schema.into()),
            ("object_name", name.into()),
            ("object_type", "TABLE".into()),
            ("dtd_identifier", number.to_string().into()),
        ]
    };
    let own = facts.view().tables.iter();
    let own = own.flat_map(|table| (1..=table.fields().len()).map(|number| row(&table.schema, &table.name, number)));
    let system =
        relations::all().flat_map(|relation| (1..=relation.columns.len()).map(|number| row(relation.schema, relation.name, number)));
    own.chain(system).collect()
}

fn character_sets(facts: &SessionFacts) -> Vec<Row> {
    vec![vec![
        ("character_set_name", "UTF8".into()),
        ("character_repertoire", "UCS".into()),
        ("form_of_use", "UTF8".into()),
        ("default_collate_catalog", (&facts.database).into()),
    ]]
}
