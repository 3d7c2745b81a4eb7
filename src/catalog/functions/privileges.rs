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
use crate::catalog::statics;
use crate::error::{ClientMessage, SqlState};

use super::Kind::{Object, Text};
use super::grants::unrecognized;
use super::objects::{class_argument, object_named};
use super::{Function, client, list_of, oid_of, text_of};

/// What may be asked of a kind of object.
struct Asked {
    /// The name of the function.
    function: &'static str,
    /// The kind of object, as [`named`] knows it; empty if none of them is here.
    kind: &'static str,
    /// What can be granted on it.
    privileges: &'static [&'static str],
    /// What of it everybody has.
    granted: &'static str,
}

const ON_TABLES: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "RULE"];
const ON_COLUMNS: &[&str] = &["SELECT", "INSERT", "UPDATE", "REFERENCES"];
const ON_ROLES: &[&str] = &["USAGE", "MEMBER"];

const ASKED: [Asked; 10] = [
    Asked { function: "has_schema_privilege", kind: "schema", privileges: &["CREATE", "USAGE"], granted: "USAGE" },
    Asked {
        function: "has_database_privilege",
        kind: "database",
        privileges: &["CREATE", "TEMPORARY", "TEMP", "CONNECT"],
        granted: "CONNECT",
    },
    Asked { function: "has_function_privilege", kind: "procedure", privileges: &["EXECUTE"], granted: "EXECUTE" },
    Asked { function: "has_type_privilege", kind: "type", privileges: &["USAGE"], granted: "USAGE" },
    Asked { function: "has_language_privilege", kind: "language", privileges: &["USAGE"], granted: "USAGE" },
    Asked { function: "has_sequence_privilege", kind: "", privileges: &["USAGE", "SELECT", "UPDATE"], granted: "" },
    Asked { function: "has_tablespace_privilege", kind: "tablespace", privileges: &["CREATE"], granted: "" },
    Asked { function: "has_server_privilege", kind: "", privileges: &["USAGE"], granted: "" },
    Asked { function: "has_foreign_data_wrapper_privilege", kind: "", privileges: &["USAGE"], granted: "" },
    Asked { function: "has_parameter_privilege", kind: "", privileges: &["SET", "ALTER SYSTEM"], granted: "" },
];

pub(super) fn all(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let mut functions = vec![
        on_relation(facts, "has_table_privilege", 2, ON_TABLES),
        on_relation(facts, "has_any_column_privilege", 2, ON_COLUMNS),
        on_relation(facts, "has_column_privilege", 3, ON_COLUMNS),
    ];
    functions.extend(ASKED.iter().map(|asked| on_object(facts, asked)));
    let known = Arc::clone(facts);
    let has_role = Function::new("pg_has_role", &[Object, Object, Object], Boolean, move |values| {
        let about = user(&known, values, 2)?;
        let asks = asked_for(values, ON_ROLES, "USAGE")? || asked_for(values, ON_ROLES, "MEMBER")?;
        let role = match values.len().checked_sub(2).and_then(|index| values.get(index)) {
            Some(Value::Text(name)) => Some(named(&known, "role", name)?),
            Some(Value::Int(oid)) => u32::try_from(*oid).ok(),
            _ => None,
        };
        Ok((asks && role == Some(about)).into())
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

/// The OID of an object by its bare name; of a function or type, by the name as SQL writes it.
fn named(facts: &SessionFacts, kind: &str, name: &str) -> Result<u32, DataFusionError> {
    let (found, kind, state) = match kind {
        "role" => {
            let role = facts.view().roles.iter().find(|role| role.name == name);
            (role.map(|role| role.oid), kind, SqlState::UNDEFINED_OBJECT)
        }
        "schema" => (facts.schema_oid(name), kind, SqlState::INVALID_SCHEMA_NAME),
        "database" => ((name == facts.database).then(|| facts.database_oid()), kind, SqlState::INVALID_CATALOG_NAME),
        "language" => (statics::oid_in("pg_language", name), kind, SqlState::UNDEFINED_OBJECT),
        "tablespace" => {
            let known = [("pg_default", 1663), ("pg_global", 1664)];
            (known.iter().find(|(known, _)| *known == name).map(|(_, oid)| *oid), kind, SqlState::UNDEFINED_OBJECT)
        }
        kind => return object_named(facts, kind, name),
    };
    found.ok_or_else(|| client(ClientMessage::new(state, format!("{kind} \"{name}\" does not exist"))))
}

/// The role that is asked about: the one who asks, unless one argument more than the shortest call has names another.
fn user(facts: &SessionFacts, values: &[Value], shortest: usize) -> Result<u32, DataFusionError> {
    match values.first().filter(|_| values.len() > shortest) {
        Some(Value::Text(name)) if name != "public" => named(facts, "role", name),
        Some(Value::Int(oid)) => Ok(u32::try_from(*oid).unwrap_or(0)),
        Some(_) => Ok(0),
        None => Ok(facts.own_role_oid()),
    }
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

/// Whether one of the privileges asked for is the one that there is. One that cannot be is refused.
fn asked_for(values: &[Value], privileges: &[&str], granted: &str) -> Result<bool, DataFusionError> {
    let mut found = false;
    for asked in text_of(values, values.len().saturating_sub(1)).split(',').map(str::trim) {
        let upper = asked.to_ascii_uppercase();
        let plain = [" WITH GRANT OPTION", " WITH ADMIN OPTION"].iter().find_map(|option| upper.strip_suffix(option)).unwrap_or(&upper);
        if !privileges.contains(&plain) {
            return Err(unrecognized(asked));
        }
        found |= upper == granted;
    }
    Ok(found)
}

/// `[user,] object, privilege`.
fn on_object(facts: &Arc<SessionFacts>, asked: &'static Asked) -> Function {
    let facts = Arc::clone(facts);
    let evaluate = move |values: &[Value]| -> Result<Value, DataFusionError> {
        user(&facts, values, 2)?;
        if let Some(Value::Text(name)) = values.get(values.len().saturating_sub(2))
            && !asked.kind.is_empty()
        {
            named(&facts, asked.kind, name)?;
        }
        Ok(asked_for(values, asked.privileges, asked.granted)?.into())
    };
    Function::new(asked.function, &[Object, Object, Object], Boolean, evaluate).required(2)
}

/// `[user,] relation, [column,] privilege`.
fn on_relation(facts: &Arc<SessionFacts>, name: &'static str, shortest: usize, privileges: &'static [&'static str]) -> Function {
    let facts = Arc::clone(facts);
    let arguments = vec![Object; shortest + 1];
    let evaluate = move |values: &[Value]| -> Result<Value, DataFusionError> {
        user(&facts, values, shortest)?;
        let at = values.len().saturating_sub(shortest);
        let Some(oid) = class_argument(&facts, values, at)? else { return Ok(Value::Null) };
        let asked = asked_for(values, privileges, "SELECT")?;
        let Some((_, relation)) = facts.relation_name(oid) else { return Ok(Value::Null) };
        if let (3, Some(Value::Text(column))) = (shortest, values.get(at + 1))
            && facts.column_number(oid, column).is_none()
        {
            let message = format!("column \"{column}\" of relation \"{relation}\" does not exist");
            return Err(client(ClientMessage::new(SqlState::UNDEFINED_COLUMN, message)));
        }
        let restricted = relations::all().any(|relation| relation.oid == oid && relation.is_restricted());
        Ok((asked && !restricted).into())
    };
    Function::new(name, &arguments, Boolean, evaluate).required(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tests::fixture;

    fn asked(name: &str, values: &[&str]) -> Result<Value, String> {
        let functions = all(&fixture::facts());
        let function = functions.iter().find(|function| function.name() == name).unwrap();
        let values: Vec<Value> = values.iter().map(|value| Value::from(*value)).collect();
        function.evaluated(&values).map_err(|error| error.to_string())
    }

    #[test]
    fn a_privilege_is_had_or_not_and_must_be_one() {
        assert_eq!(asked("has_table_privilege", &["customer.customer_360", "insert, select"]), Ok(true.into()));
        assert_eq!(asked("has_table_privilege", &["customer.customer_360", "select with grant option"]), Ok(false.into()));
        assert_eq!(asked("has_schema_privilege", &["customer", "CREATE"]), Ok(false.into()));
        assert!(
            asked("has_table_privilege", &["customer.customer_360", "foo"]).unwrap_err().contains("unrecognized privilege type: \"foo\"")
        );
    }

    #[test]
    fn who_and_what_is_asked_about_must_exist() {
        for (name, values, fault) in [
            ("has_table_privilege", &["nobody", "customer.customer_360", "select"][..], "role \"nobody\" does not exist"),
            ("has_table_privilege", &["payments.hidden_ledger", "select"], "relation \"payments.hidden_ledger\" does not exist"),
            ("has_column_privilege", &["customer.customer_360", "nope", "select"], "column \"nope\" of relation \"customer_360\""),
            ("has_schema_privilege", &["nope", "usage"], "schema \"nope\" does not exist"),
            ("has_database_privilege", &["nope", "connect"], "database \"nope\" does not exist"),
            ("has_function_privilege", &["nope(int)", "execute"], "function \"nope(int)\" does not exist"),
            ("has_language_privilege", &["nope", "usage"], "language \"nope\" does not exist"),
            ("pg_has_role", &["nobody", "usage"], "role \"nobody\" does not exist"),
        ] {
            let found = asked(name, values).unwrap_err();
            assert!(found.contains(fault), "{name}: {found}");
        }
        assert_eq!(asked("has_table_privilege", &["analyst", "customer.customer_360", "select"]), Ok(true.into()));
        assert_eq!(asked("has_table_privilege", &["public", "customer.customer_360", "select"]), Ok(true.into()));
    }
}
