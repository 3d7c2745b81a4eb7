//! Who and where: users, database, schemas, settings, server.

use std::sync::Arc;

use arrow::datatypes::DataType::{Boolean, Int32, Int64, UInt32, Utf8};

use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;
use crate::error::{ClientMessage, SqlState};

use super::Kind::{Bool, Int, Object, Text};
use super::{Function, bool_of, client, instant, list_of, text_of};

pub(super) fn all(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let mut functions = names(facts);
    functions.extend(settings(facts));
    functions.extend(server(facts));
    functions.extend(constants());
    functions
}

/// A function without arguments over the facts.
fn of_facts(
    facts: &Arc<SessionFacts>,
    name: &'static str,
    returns: arrow::datatypes::DataType,
    evaluate: impl Fn(&SessionFacts) -> Value + Send + Sync + 'static,
) -> Function {
    let facts = Arc::clone(facts);
    Function::new(name, &[], returns, move |_| Ok(evaluate(&facts)))
}

fn names(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let mut functions = Vec::new();
    for name in ["current_user", "session_user", "user", "current_role"] {
        functions.push(of_facts(facts, name, Utf8, |facts| (&facts.principal.name).into()).typed("name"));
    }
    for name in ["current_database", "current_catalog"] {
        functions.push(of_facts(facts, name, Utf8, |facts| (&facts.database).into()).typed("name"));
    }
    functions.push(of_facts(facts, "current_schema", Utf8, |facts| facts.search_path().into_iter().next().into()).typed("name"));
    let known = Arc::clone(facts);
    let schemas = Function::new("current_schemas", &[Bool], list_of(Utf8), move |values| {
        let mut path = known.search_path();
        if bool_of(values, 0) && !path.iter().any(|schema| schema == "pg_catalog") {
            path.insert(0, "pg_catalog".to_owned());
        }
        Ok(path.into())
    });
    functions.push(schemas.typed("name[]"));
    functions.push(of_facts(facts, "pg_backend_pid", Int32, |facts| facts.backend_pid.into()));
    functions
}

fn settings(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let known = Arc::clone(facts);
    let current = Function::new("current_setting", &[Text, Bool], Utf8, move |values| {
        let name = text_of(values, 0);
        match known.settings.value(name) {
            Some(found) => Ok(found.into()),
            None if bool_of(values, 1) => Ok(Value::Null),
            None => {
                let message = format!("unrecognized configuration parameter \"{name}\"");
                Err(client(ClientMessage::new(SqlState::UNDEFINED_OBJECT, message)))
            }
        }
    });
    let known = Arc::clone(facts);
    let set = Function::new("set_config", &[Text, Text, Bool], Utf8, move |values| {
        known.settings.set(text_of(values, 0), text_of(values, 1), bool_of(values, 2)).map(Value::Text).map_err(client)
    });
    vec![current.required(1), set.volatile()]
}

/// An end of the session's connection.
type Side = fn(&SessionFacts) -> Option<std::net::SocketAddr>;

fn server(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let version = |facts: &SessionFacts| {
        let own = env!("CARGO_PKG_VERSION");
        Value::Text(format!("PostgreSQL {} (meshgate {own}) on {}, 64-bit", facts.server_version, std::env::consts::ARCH))
    };
    let mut functions = vec![of_facts(facts, "version", Utf8, version)];
    for name in ["pg_postmaster_start_time", "pg_conf_load_time"] {
        functions.push(of_facts(facts, name, instant(), |facts| Value::Instant(facts.server_started_micros)));
    }
    let encoding = |facts: &SessionFacts| facts.settings.value("client_encoding").into();
    functions.push(of_facts(facts, "pg_client_encoding", Utf8, encoding).typed("name"));
    let sides: [(&'static str, &'static str, Side); 2] = [
        ("inet_client_addr", "inet_client_port", |facts| facts.client_address),
        ("inet_server_addr", "inet_server_port", |facts| facts.connection.server_address),
    ];
    for (address, port, side) in sides {
        let shown = move |facts: &SessionFacts| side(facts).map(|side| side.ip().to_canonical().to_string()).into();
        functions.push(of_facts(facts, address, Utf8, shown).typed("inet"));
        functions.push(of_facts(facts, port, Int32, move |facts| side(facts).map(|side| i64::from(side.port())).into()));
    }
    // No transaction writes, so a number that moves with time is all that a client can want of it.
    let number = |facts: &SessionFacts| facts.statement_started_micros.into();
    functions.push(of_facts(facts, "txid_current_if_assigned", Int64, |_| Value::Null));
    functions.push(of_facts(facts, "pg_current_xact_id_if_assigned", Int64, |_| Value::Null).typed("xid8"));
    functions.push(of_facts(facts, "txid_current", Int64, number));
    functions.push(of_facts(facts, "pg_current_xact_id", Int64, number).typed("xid8"));
    functions
}

fn constants() -> Vec<Function> {
    let fixed = |name, returns, value: Value| Function::new(name, &[], returns, move |_| Ok(value.clone()));
    let mut functions = vec![
        fixed("pg_is_in_recovery", Boolean, false.into()),
        fixed("pg_is_wal_replay_paused", Boolean, false.into()),
        fixed("getdatabaseencoding", Utf8, "UTF8".into()).typed("name"),
        fixed("pg_my_temp_schema", UInt32, 0i64.into()),
        fixed("pg_trigger_depth", Int32, 0i64.into()),
        fixed("pg_jit_available", Boolean, false.into()),
        // No transaction sees another state than any other statement does.
        fixed("pg_current_snapshot", Utf8, "1:1:".into()).typed("pg_snapshot"),
        fixed("pg_export_snapshot", Utf8, "00000001-00000001-1".into()),
    ];
    functions.push(Function::new("host", &[Text], Utf8, |values| {
        let address = text_of(values, 0);
        Ok(address.split_once('/').map_or(address, |(address, _)| address).into())
    }));
    functions.push(Function::new("pg_is_other_temp_schema", &[Object], Boolean, |_| Ok(false.into())));
    functions.push(Function::new("pg_blocking_pids", &[Int], list_of(Int32), |_| Ok(Value::Ints(Vec::new()))));
    functions
}
