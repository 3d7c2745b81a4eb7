//! Privileges, told as they are: reading what one may discover, and nothing else.
//!
//! Whether a statement is answered is decided by policy when it runs; these functions tell what a client may try.

use std::sync::Arc;

use arrow::datatypes::DataType::{Boolean, Utf8};
use datafusion::error::DataFusionError;

use crate::catalog::acl;
use crate::catalog::facts::SessionFacts;
use crate::catalog::relations;
use crate::catalog::rows::Value;

use super::Kind::{Object, Text};
use super::objects::class_argument;
use super::{Function, list_of, oid_of, text_of};

pub(super) fn all(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let mut functions = vec![
        on_relation(facts, "has_table_privilege", 2),
        on_relation(facts, "has_any_column_privilege", 2),
        on_relation(facts, "has_column_privilege", 3),
        granted("has_schema_privilege", "USAGE"),
        granted("has_database_privilege", "CONNECT"),
        granted("has_function_privilege", "EXECUTE"),
        granted("has_type_privilege", "USAGE"),
        granted("has_language_privilege", "USAGE"),
    ];
    let never = [
        "has_sequence_privilege",
        "has_tablespace_privilege",
        "has_server_privilege",
        "has_foreign_data_wrapper_privilege",
        "has_parameter_privilege",
    ];
    functions.extend(never.map(|name| granted(name, "")));
    let known = Arc::clone(facts);
    let has_role = Function::new("pg_has_role", &[Object, Object, Object], Boolean, move |values| {
        let role = values.len().checked_sub(2).and_then(|index| values.get(index));
        Ok(match role {
            Some(Value::Text(name)) => (*name == known.principal.name).into(),
            Some(Value::Int(oid)) => (*oid == i64::from(known.own_role_oid())).into(),
            _ => false.into(),
        })
    });
    functions.push(has_role.required(2));
    let known = Arc::clone(facts);
    functions.push(Function::new("acldefault", &[Text, Object], list_of(Utf8), move |values| {
        let owner = oid_of(values, 1).and_then(|oid| known.role_name(oid)).unwrap_or_default();
        Ok(Value::Texts(default_privileges(text_of(values, 0), owner)))
    }));
    functions.push(Function::new("row_security_active", &[Object], Boolean, |_| Ok(false.into())));
    functions
}

/// What PostgreSQL grants on a new object of a kind: to all, and to its owner.
fn default_privileges(kind: &str, owner: &str) -> Vec<String> {
    let (all, own) = match kind {
        "r" => ("", "arwdDxt"),
        "s" => ("", "rwU"),
        "d" => ("Tc", "CTc"),
        "f" => ("X", "X"),
        "l" | "T" => ("U", "U"),
        "L" => ("", "rw"),
        "n" => ("", "UC"),
        "p" => ("", "sA"),
        "t" => ("", "C"),
        "F" | "S" => ("", "U"),
        _ => ("", ""),
    };
    let item = |to: &str, granted: &str| (!granted.is_empty()).then(|| acl::item(to, granted, owner));
    [item("", all), item(owner, own)].into_iter().flatten().collect()
}

/// Whether one of the privileges asked for is the one that there is.
fn asks_for(values: &[Value], privilege: &str) -> bool {
    let asked = text_of(values, values.len().saturating_sub(1));
    asked.split(',').any(|part| part.trim().eq_ignore_ascii_case(privilege))
}

fn granted(name: &'static str, privilege: &'static str) -> Function {
    let evaluate = move |values: &[Value]| Ok((!privilege.is_empty() && asks_for(values, privilege)).into());
    Function::new(name, &[Object, Object, Object], Boolean, evaluate).required(2)
}

/// `[user,] relation, [column,] privilege`.
fn on_relation(facts: &Arc<SessionFacts>, name: &'static str, shortest: usize) -> Function {
    let facts = Arc::clone(facts);
    let arguments = vec![Object; shortest + 1];
    let evaluate = move |values: &[Value]| -> Result<Value, DataFusionError> {
        let Some(oid) = class_argument(&facts, values, values.len().saturating_sub(shortest))? else { return Ok(Value::Null) };
        if facts.relation_name(oid).is_none() {
            return Ok(Value::Null);
        }
        let restricted = relations::all().any(|relation| relation.oid == oid && relation.is_restricted());
        Ok((asks_for(values, "SELECT") && !restricted).into())
    };
    Function::new(name, &arguments, Boolean, evaluate).required(shortest)
}
