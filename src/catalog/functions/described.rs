//! What an object is, and what it is called: `pg_describe_object` and `pg_identify_object`.
//!
//! INVARIANT: an object that the principal may not discover is described like one that does not exist.

use std::sync::Arc;

use arrow::datatypes::DataType::Utf8;

use crate::catalog::content::objects::type_display;
use crate::catalog::facts::{SessionFacts, Table};
use crate::catalog::rows::Value;
use crate::catalog::{relations, statics};

use super::Kind::{Int, Object};
use super::objects::object_shown;
use super::text::quote_ident;
use super::{Function, int_of, oid_of};

/// An object by the relation that lists it, its OID there, and the number of its column.
type Address = (u32, u32, i64);

/// What an object is called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// What it is.
    pub(crate) kind: &'static str,
    /// Its schema, if it is in one.
    pub(crate) schema: Option<String>,
    /// Its name, if that alone tells it from others.
    pub(crate) name: Option<String>,
    /// Its name as SQL writes it, with its schema.
    pub(crate) identity: String,
}

pub(super) fn all(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let known = Arc::clone(facts);
    vec![Function::new("pg_describe_object", &[Object, Object, Int], Utf8, move |values| {
        let address = oid_of(values, 0).zip(oid_of(values, 1)).zip(int_of(values, 2));
        Ok(address.and_then(|((class, object), column)| described(&known, (class, object, column))).map_or(Value::Null, Value::Text))
    })]
}

/// The name of the relation that lists objects of a class.
fn class_name(class: u32) -> Option<&'static str> {
    relations::all().find(|relation| relation.oid == class && relation.schema == "pg_catalog").map(|relation| relation.name)
}

/// `table t`, `column a of table t`, `type integer`.
fn described(facts: &Arc<SessionFacts>, (class, object, column): Address) -> Option<String> {
    let class = class_name(class)?;
    if class == "pg_constraint" {
        let table = facts.table_of_key(object)?;
        return Some(format!("constraint {} on table {}", quote_ident(&table.key_name()), object_shown(facts, "class", table.oid)));
    }
    let Identity { kind, .. } = identified(facts, (class_oid(class)?, object, 0))?;
    let shown = object_shown(facts, shown_kind(class)?, object);
    if class == "pg_class" && column != 0 {
        return Some(format!("column {} of {kind} {shown}", quote_ident(&facts.column_name(object, column)?)));
    }
    Some(format!("{kind} {shown}"))
}

fn class_oid(name: &str) -> Option<u32> {
    relations::find("pg_catalog", name).map(|relation| relation.oid)
}

fn shown_kind(class: &str) -> Option<&'static str> {
    Some(match class {
        "pg_class" => "class",
        "pg_type" => "type",
        "pg_proc" => "procedure",
        "pg_namespace" => "namespace",
        "pg_authid" => "role",
        "pg_operator" => "operator",
        "pg_collation" => "collation",
        "pg_database" => "database",
        "pg_language" => "language",
        _ => return None,
    })
}

/// What an object is called; `None` if it does not exist.
pub(crate) fn identified(facts: &Arc<SessionFacts>, (class, object, column): Address) -> Option<Identity> {
    match class_name(class)? {
        "pg_class" => of_relation(facts, object, column),
        "pg_constraint" => facts.table_of_key(object).map(of_key),
        "pg_type" => of_type(facts, object),
        "pg_proc" => {
            let routine = statics::routines().get(&object)?;
            let types: Vec<String> = routine.takes.iter().map(|oid| qualified_type(*oid)).collect();
            let kind = match routine.kind.as_str() {
                "a" => "aggregate",
                "p" => "procedure",
                _ => "function",
            };
            let identity = format!("pg_catalog.{}({})", quote_ident(&routine.name), types.join(","));
            Some(Identity { kind, schema: Some("pg_catalog".to_owned()), name: None, identity })
        }
        "pg_namespace" => {
            alone("schema", facts.view().schemas.iter().find(|schema| schema.oid == object).map(|schema| schema.name.as_str()))
        }
        "pg_authid" => alone("role", facts.role_name(object)),
        "pg_database" => alone("database", (object == facts.database_oid()).then_some(facts.database.as_str())),
        "pg_language" => alone("language", statics::name_in("pg_language", object)),
        _ => None,
    }
}

/// An object that is in no schema.
fn alone(kind: &'static str, name: Option<&str>) -> Option<Identity> {
    let name = quote_ident(name?);
    Some(Identity { kind, schema: None, name: Some(name.clone()), identity: name })
}

fn of_key(table: &Table) -> Identity {
    let identity = format!("{} on {}.{}", quote_ident(&table.key_name()), quote_ident(&table.schema), quote_ident(&table.name));
    Identity { kind: "table constraint", schema: Some(quote_ident(&table.schema)), name: None, identity }
}

fn of_relation(facts: &Arc<SessionFacts>, object: u32, column: i64) -> Option<Identity> {
    let (schema, name) = facts.relation_name(object)?;
    let (schema, name) = (quote_ident(&schema), quote_ident(&name));
    let view = facts
        .table(object)
        .map_or_else(|| relations::all().any(|relation| relation.oid == object && relation.kind == "v"), |table| table.kind() == "v");
    let index = facts.table_of_key(object).is_some();
    let kind = match (view, index, column) {
        (true, _, 0) => "view",
        (true, ..) => "view column",
        (_, true, 0) => "index",
        (_, true, _) => "index column",
        (_, _, 0) => "table",
        _ => "table column",
    };
    let mut identity = format!("{schema}.{name}");
    if column != 0 {
        identity.push_str(&format!(".{}", quote_ident(&facts.column_name(object, column)?)));
    }
    Some(Identity { kind, schema: Some(schema), name: Some(name), identity })
}

fn of_type(facts: &Arc<SessionFacts>, object: u32) -> Option<Identity> {
    let (schema, name) = match facts.row_type(object) {
        Some(found) => (found.table.schema.clone(), found.name()),
        None => ("pg_catalog".to_owned(), statics::type_name(object)?.to_owned()),
    };
    let identity = match facts.row_type(object) {
        Some(found) => found.qualified(),
        None => qualified_type(object),
    };
    Some(Identity { kind: "type", schema: Some(quote_ident(&schema)), name: Some(quote_ident(&name)), identity })
}

/// A builtin type with its schema, unless the standard has a word of its own for it.
fn qualified_type(oid: u32) -> String {
    let shown = type_display(oid, -1).unwrap_or_else(|| "???".to_owned());
    let own = shown.strip_suffix("[]").unwrap_or(&shown);
    let standard = [16, 20, 21, 23, 700, 701, 1042, 1043, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700];
    let element = crate::catalog::PgType::of_oid(oid).and_then(crate::catalog::PgType::element).map_or(oid, |element| element.oid);
    if standard.contains(&element) && own != "bpchar" { shown } else { format!("pg_catalog.{shown}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tests::fixture;

    #[test]
    fn objects_are_told_by_kind_and_name() {
        let facts = fixture::facts();
        let table = facts.relation_oid(Some("customer"), "customer_360").unwrap();
        let of = |address| described(&facts, address).unwrap_or_default();
        assert_eq!(of((1259, table, 0)), "table customer.customer_360");
        assert_eq!(of((1259, table, 2)), "column email of table customer.customer_360");
        assert_eq!(of((1259, 1259, 0)), "table pg_class");
        assert_eq!(of((1247, 23, 0)), "type integer");
        assert_eq!(of((1255, 1242, 0)), "function boolin(cstring)");
        assert_eq!(of((2615, 11, 0)), "schema pg_catalog");
        assert_eq!(of((1259, table, 99)), "");
        assert_eq!(of((0, 0, 0)), "");
        let found = identified(&facts, (1255, 1242, 0)).unwrap();
        assert_eq!((found.kind, found.name, found.identity.as_str()), ("function", None, "pg_catalog.boolin(pg_catalog.cstring)"));
    }

    #[test]
    fn what_is_hidden_has_no_description() {
        let facts = fixture::facts();
        let hidden = crate::catalog::table_oid("payments", "hidden_ledger");
        let seen = crate::catalog::table_oid("payments", "transactions");
        assert!(described(&facts, (1259, hidden, 0)).is_none() && identified(&facts, (1259, hidden, 1)).is_none());
        assert!(described(&facts, (1259, seen, 0)).is_some());
    }
}
