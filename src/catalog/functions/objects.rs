//! Objects by name and by OID: look-ups, names, comments, visibility.
//!
//! The functions whose names start with `meshgate_reg` carry the casts to and from the reg* types; `system` writes them.

use std::sync::Arc;

use arrow::datatypes::DataType::{Boolean, UInt32, Utf8};

use crate::catalog::content::comments;
use crate::catalog::content::objects::type_display;
use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;
use crate::catalog::statics;
use crate::error::{ClientMessage, SqlState};

use super::Kind::{Int, Object, Text};
use super::text::{quote_ident, split_identifier};
use super::{Function, client, int_of, oid_of, text_of};

pub(super) fn all(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let mut functions = descriptions(facts);
    functions.extend(names(facts));
    functions.extend(visibility(facts));
    functions.extend(reg_types(facts));
    functions
}

fn with<R: Into<Value>>(
    facts: &Arc<SessionFacts>,
    evaluate: impl Fn(&SessionFacts, &[Value]) -> R + Send + Sync + 'static,
) -> impl Fn(&[Value]) -> Result<Value, datafusion::error::DataFusionError> + Send + Sync + 'static {
    let facts = Arc::clone(facts);
    move |values| Ok(evaluate(&facts, values).into())
}

fn descriptions(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let object = |facts: &SessionFacts, values: &[Value]| {
        let class = text_of(values, 1).trim_start_matches("pg_catalog.");
        comments::object_comment(facts, oid_of(values, 0)?, (!class.is_empty()).then_some(class))
    };
    let column = |facts: &SessionFacts, values: &[Value]| comments::column_comment_of(facts, oid_of(values, 0)?, int_of(values, 1)?);
    let shared = |facts: &SessionFacts, values: &[Value]| {
        (oid_of(values, 0)? == facts.database_oid() && text_of(values, 1) == "pg_database").then(comments::database_comment)
    };
    vec![
        Function::new("obj_description", &[Object, Text], Utf8, with(facts, object)).required(1),
        Function::new("col_description", &[Object, Int], Utf8, with(facts, column)),
        Function::new("shobj_description", &[Object, Text], Utf8, with(facts, shared)),
    ]
}

fn names(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let format = |facts: &SessionFacts, values: &[Value]| {
        let oid = oid_of(values, 0)?;
        let typmod = int_of(values, 1).and_then(|typmod| i32::try_from(typmod).ok());
        // Without a modifier PostgreSQL names bpchar as the standard does.
        match (oid, typmod) {
            (0, _) => Some("-".to_owned()),
            (1042, None) => Some("character".to_owned()),
            _ => Some(facts.row_type_shown(oid).or_else(|| type_display(oid, typmod.unwrap_or(-1))).unwrap_or_else(|| "???".to_owned())),
        }
    };
    let user = |facts: &SessionFacts, values: &[Value]| {
        let oid = oid_of(values, 0)?;
        Some(facts.role_name(oid).map_or_else(|| format!("unknown (OID={oid})"), str::to_owned))
    };
    let relation = |facts: &SessionFacts, values: &[Value]| class_oid(facts, text_of(values, 0));
    let schema = |facts: &SessionFacts, values: &[Value]| facts.schema_oid(&split_identifier(text_of(values, 0))?.pop()?);
    let role = |facts: &SessionFacts, values: &[Value]| role_oid(facts, &split_identifier(text_of(values, 0))?.pop()?);
    let data_type = |facts: &SessionFacts, values: &[Value]| facts.type_oid(text_of(values, 0));
    let function = |_: &SessionFacts, values: &[Value]| match split_identifier(text_of(values, 0))?.as_slice() {
        [name] => statics::function_oid(name),
        [schema, name] if schema == "pg_catalog" => statics::function_oid(name),
        _ => None,
    };
    let found =
        |kind: &'static str| with(facts, move |facts: &SessionFacts, values: &[Value]| object_named(facts, kind, text_of(values, 0)).ok());
    vec![
        Function::new("to_regprocedure", &[Text], UInt32, found("procedure")),
        Function::new("to_regoper", &[Text], UInt32, found("oper")),
        Function::new("to_regoperator", &[Text], UInt32, found("operator")),
        Function::new("to_regcollation", &[Text], UInt32, found("collation")),
        Function::new("format_type", &[Object, Int], Utf8, with(facts, format)).reads_nulls(),
        Function::new("pg_get_userbyid", &[Object], Utf8, with(facts, user)).typed("name"),
        Function::new("to_regclass", &[Text], UInt32, with(facts, relation)),
        Function::new("to_regnamespace", &[Text], UInt32, with(facts, schema)),
        Function::new("to_regrole", &[Text], UInt32, with(facts, role)),
        Function::new("to_regtype", &[Text], UInt32, with(facts, data_type)),
        Function::new("to_regproc", &[Text], UInt32, with(facts, function)),
    ]
}

fn visibility(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let relation = |facts: &SessionFacts, values: &[Value]| facts.relation_visible(oid_of(values, 0)?);
    let data_type = |facts: &SessionFacts, values: &[Value]| oid_of(values, 0).map(|oid| facts.row_type_visible(oid).unwrap_or(true));
    let mut functions = vec![
        Function::new("pg_table_is_visible", &[Object], Boolean, with(facts, relation)),
        Function::new("pg_type_is_visible", &[Object], Boolean, with(facts, data_type)),
    ];
    let builtin = [
        "pg_function_is_visible",
        "pg_operator_is_visible",
        "pg_opclass_is_visible",
        "pg_opfamily_is_visible",
        "pg_collation_is_visible",
        "pg_conversion_is_visible",
        "pg_statistics_obj_is_visible",
        "pg_ts_parser_is_visible",
        "pg_ts_dict_is_visible",
        "pg_ts_template_is_visible",
        "pg_ts_config_is_visible",
    ];
    // All of these are PostgreSQL's own, in `pg_catalog`, which is always searched.
    functions.extend(builtin.map(|name| Function::new(name, &[Object], Boolean, |_| Ok(true.into()))));
    functions
}

/// A relation by its name as written, or by its number as text.
pub(super) fn class_oid(facts: &SessionFacts, text: &str) -> Option<u32> {
    if let Ok(oid) = text.trim().parse() {
        return Some(oid);
    }
    let mut parts = split_identifier(text)?;
    let name = parts.pop()?;
    facts.relation_oid(parts.pop().as_deref(), &name)
}

/// A relation by OID or name; a name that does not exist is an error.
pub(super) fn class_argument(
    facts: &SessionFacts,
    values: &[Value],
    index: usize,
) -> Result<Option<u32>, datafusion::error::DataFusionError> {
    match values.get(index) {
        Some(Value::Text(text)) => class_oid(facts, text).map(Some).ok_or_else(|| missing_relation(text)),
        _ => Ok(oid_of(values, index)),
    }
}

fn missing_relation(name: &str) -> datafusion::error::DataFusionError {
    client(ClientMessage::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist")))
}

fn role_oid(facts: &SessionFacts, name: &str) -> Option<u32> {
    facts.view().roles.iter().find(|role| role.name == name).map(|role| role.oid)
}

/// The kinds of objects that a reg* type numbers, as `meshgate_reg` functions are called.
const KINDS: [(&str, &str, &str); 9] = [
    ("class", "meshgate_regclass", "meshgate_regclass_text"),
    ("type", "meshgate_regtype", "meshgate_regtype_text"),
    ("namespace", "meshgate_regnamespace", "meshgate_regnamespace_text"),
    ("role", "meshgate_regrole", "meshgate_regrole_text"),
    ("proc", "meshgate_regproc", "meshgate_regproc_text"),
    ("procedure", "meshgate_regprocedure", "meshgate_regprocedure_text"),
    ("oper", "meshgate_regoper", "meshgate_regoper_text"),
    ("operator", "meshgate_regoperator", "meshgate_regoperator_text"),
    ("collation", "meshgate_regcollation", "meshgate_regcollation_text"),
];

/// The OID of an object by its name, or by its number as text; a name that does not exist is an error.
pub(crate) fn object_named(facts: &SessionFacts, kind: &str, text: &str) -> Result<u32, datafusion::error::DataFusionError> {
    if text == "-" {
        return Ok(0);
    }
    if let Ok(oid) = text.parse() {
        return Ok(oid);
    }
    let last = || split_identifier(text)?.pop();
    let (found, what, state) = match kind {
        "class" => (class_oid(facts, text), "relation", SqlState::UNDEFINED_TABLE),
        "type" => (facts.type_oid(text), "type", SqlState::UNDEFINED_OBJECT),
        "namespace" => (last().and_then(|name| facts.schema_oid(&name)), "schema", SqlState::INVALID_SCHEMA_NAME),
        "role" => (last().and_then(|name| role_oid(facts, &name)), "role", SqlState::UNDEFINED_OBJECT),
        "proc" | "procedure" => (super::routines::find(facts, text)?, "function", SqlState::UNDEFINED_FUNCTION),
        "oper" | "operator" => match super::routines::find_operator(facts, text)? {
            Some(found) => return Ok(found),
            None => {
                let message = format!("operator does not exist: {text}");
                return Err(client(ClientMessage::new(SqlState::UNDEFINED_FUNCTION, message)));
            }
        },
        "collation" => (last().and_then(|name| statics::oid_in("pg_collation", &name)), "collation", SqlState::UNDEFINED_OBJECT),
        _ => (None, "object", SqlState::UNDEFINED_OBJECT),
    };
    found.ok_or_else(|| client(ClientMessage::new(state, format!("{what} \"{text}\" does not exist"))))
}

/// The name that an object is shown by.
pub(crate) fn object_shown(facts: &SessionFacts, kind: &str, oid: u32) -> String {
    let found = match kind {
        "class" => facts.relation_name(oid).map(|(schema, name)| {
            let visible = facts.relation_visible(oid) == Some(true);
            if visible { quote_ident(&name) } else { format!("{}.{}", quote_ident(&schema), quote_ident(&name)) }
        }),
        "type" => facts.row_type_shown(oid).or_else(|| type_display(oid, -1)),
        "namespace" => facts.view().schemas.iter().find(|schema| schema.oid == oid).map(|schema| quote_ident(&schema.name)),
        "role" => facts.role_name(oid).map(quote_ident),
        "proc" => super::routines::bare(oid),
        "procedure" => super::routines::signature(oid),
        "oper" => super::routines::operator(oid, false),
        "operator" => super::routines::operator(oid, true),
        "database" => (oid == facts.database_oid()).then(|| quote_ident(&facts.database)),
        "language" => statics::name_in("pg_language", oid).map(quote_ident),
        "collation" => statics::name_in("pg_collation", oid).map(quote_ident),
        _ => None,
    };
    found.unwrap_or_else(|| number(oid))
}

fn reg_types(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let mut functions = Vec::with_capacity(2 * KINDS.len());
    for (kind, read, write) in KINDS {
        let known = Arc::clone(facts);
        functions.push(Function::new(read, &[Object], UInt32, move |values| {
            if let Some(oid) = oid_of(values, 0) {
                return Ok(oid.into());
            }
            object_named(&known, kind, text_of(values, 0)).map(Value::from)
        }));
        let shown = move |facts: &SessionFacts, values: &[Value]| Some(object_shown(facts, kind, oid_of(values, 0)?));
        let pg_type = read.trim_start_matches("meshgate_");
        functions.push(Function::new(write, &[Object], Utf8, with(facts, shown)).typed(pg_type));
    }
    functions
}

fn number(oid: u32) -> String {
    if oid == 0 { "-".to_owned() } else { oid.to_string() }
}
