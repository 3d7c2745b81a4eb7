//! Definitions of objects as text. Primary keys, the gateway's own views and those of the system have one here; the rest is NULL, as for objects that do not exist.

use std::sync::Arc;

use arrow::datatypes::DataType::{Boolean, UInt32, Utf8};

use crate::catalog::content::keys;
use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;
use crate::catalog::{relations, statics};

use super::Kind::{Any, Bool, Int, Object, Text};
use super::objects::class_argument;
use super::text::quote_ident;
use super::{Function, int_of, list_of, oid_of};

pub(super) fn all(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let known = Arc::clone(facts);
    let constraint = Function::new("pg_get_constraintdef", &[Object, Bool], Utf8, move |values| {
        let table = oid_of(values, 0).and_then(|oid| known.table_of_key(oid));
        Ok(table.map(keys::constraint_definition).into())
    });
    let known = Arc::clone(facts);
    let index = Function::new("pg_get_indexdef", &[Object, Int, Bool], Utf8, move |values| {
        let Some(table) = oid_of(values, 0).and_then(|oid| known.table_of_key(oid)) else { return Ok(Value::Null) };
        Ok(match int_of(values, 1).unwrap_or(0) {
            0 => keys::index_definition(table).into(),
            number => {
                let position = usize::try_from(number - 1).unwrap_or(usize::MAX);
                table.key().get(position).map_or(Value::from(""), |(_, field)| quote_ident(field.name.as_str()).into())
            }
        })
    });
    let mut functions = vec![constraint.required(1), index.required(1)];
    let null = |name, arguments: &[super::Kind], required| Function::new(name, arguments, Utf8, |_| Ok(Value::Null)).required(required);
    functions.push(null("pg_get_expr", &[Any, Object, Bool], 2));
    functions.push(null("pg_get_serial_sequence", &[Text, Text], 2));
    functions.push(null("pg_get_function_arg_default", &[Object, Int], 2));
    let known = Arc::clone(facts);
    let view = Function::new("pg_get_viewdef", &[Object, Any], Utf8, move |values| {
        let Some(oid) = class_argument(&known, values, 0)? else { return Ok(Value::Null) };
        let own = known.table(oid).and_then(|table| table.definition());
        Ok(own.or_else(|| system_view(oid)).into())
    });
    functions.push(view.required(1));
    for name in [
        "pg_get_ruledef",
        "pg_get_triggerdef",
        "pg_get_partkeydef",
        "pg_get_partition_constraintdef",
        "pg_get_statisticsobjdef",
        "pg_get_statisticsobjdef_columns",
        "pg_get_statisticsobjdef_expressions",
    ] {
        functions.push(null(name, &[Object, Any], 1));
    }
    functions.extend(properties());
    functions
}

/// The text of a view that every PostgreSQL has.
fn system_view(oid: u32) -> Option<&'static str> {
    let view = relations::all().find(|relation| relation.oid == oid && relation.kind == "v")?;
    statics::view_definition(view.schema, view.name)
}

fn properties() -> Vec<Function> {
    vec![
        Function::new("pg_tablespace_location", &[Object], Utf8, |_| Ok("".into())),
        Function::new("pg_relation_is_publishable", &[Object], Boolean, |_| Ok(false.into())),
        Function::new("pg_relation_is_updatable", &[Object, Bool], arrow::datatypes::DataType::Int32, |_| Ok(0i64.into())),
        Function::new("pg_column_is_updatable", &[Object, Int, Bool], Boolean, |_| Ok(false.into())),
        Function::new("pg_get_replica_identity_index", &[Object], UInt32, |_| Ok(Value::Null)),
        Function::new("pg_partition_root", &[Object], UInt32, |_| Ok(Value::Null)),
        Function::new("pg_partition_ancestors", &[Object], list_of(UInt32), |_| Ok(Value::Ints(Vec::new()))),
        Function::new("pg_index_column_has_property", &[Object, Int, Text], Boolean, |values| {
            Ok(matches!(super::text_of(values, 2), "asc" | "nulls_last" | "orderable" | "returnable" | "search_nulls").into())
        }),
        Function::new("pg_indexam_has_property", &[Object, Text], Boolean, |_| Ok(false.into())),
        Function::new("pg_index_has_property", &[Object, Text], Boolean, |_| Ok(false.into())),
    ]
}
