//! What tells of the server and the session: databases, roles, settings, activity.
//!
//! INVARIANT: of other people only the teams that own domains are told; other logins and their sessions are not.

use crate::catalog::facts::{Encryption, OpenCursor, PreparedStatement, Role, SYSTEM_ROLE_OID, SessionFacts};
use crate::catalog::rows::Value;

use super::Row;
use super::objects::type_display;

/// `pg_tablespace.oid` of the default tablespace.
const DEFAULT_TABLESPACE: i64 = 1663;
/// UTF8 in PostgreSQL's numbering of encodings.
const UTF8: i64 = 6;

pub(super) fn rows(relation: &str, facts: &SessionFacts) -> Option<Vec<Row>> {
    match relation {
        "pg_database" => Some(vec![database(facts)]),
        "pg_stat_database" => Some(vec![vec![("datid", facts.database_oid().into()), ("datname", (&facts.database).into())]]),
        "pg_roles" => Some(facts.view().roles.iter().map(role).collect()),
        "pg_user" => Some(facts.view().roles.iter().filter(|role| role.login).map(user).collect()),
        "pg_group" => Some(facts.view().roles.iter().filter(|role| !role.login).map(group).collect()),
        "pg_tablespace" => Some(vec![tablespace(DEFAULT_TABLESPACE, "pg_default"), tablespace(1664, "pg_global")]),
        "pg_settings" => Some(settings(facts)),
        "pg_stat_activity" => Some(vec![activity(facts)]),
        "pg_cursors" => Some(facts.held.cursors().into_iter().map(cursor).collect()),
        "pg_prepared_statements" => Some(facts.held.prepared().into_iter().map(prepared).collect()),
        "pg_extension" => Some(vec![extension()]),
        "pg_stat_ssl" => Some(vec![encryption(facts)]),
        "pg_stat_gssapi" => {
            Some(vec![vec![("pid", facts.backend_pid.into()), ("gss_authenticated", false.into()), ("encrypted", false.into())]])
        }
        // What a server writes and archives in the background: nothing, since it started.
        "pg_stat_bgwriter" | "pg_stat_archiver" | "pg_stat_wal" => Some(vec![idle(facts)]),
        _ => None,
    }
}

fn database(facts: &SessionFacts) -> Row {
    vec![
        ("oid", facts.database_oid().into()),
        ("datname", (&facts.database).into()),
        ("datdba", SYSTEM_ROLE_OID.into()),
        ("encoding", UTF8.into()),
        ("datlocprovider", "c".into()),
        ("datallowconn", true.into()),
        ("datconnlimit", (-1i64).into()),
        ("dattablespace", DEFAULT_TABLESPACE.into()),
        ("datcollate", "C.UTF-8".into()),
        ("datctype", "C.UTF-8".into()),
    ]
}

fn role(role: &Role) -> Row {
    vec![
        ("oid", role.oid.into()),
        ("rolname", (&role.name).into()),
        ("rolsuper", false.into()),
        ("rolinherit", true.into()),
        ("rolcreaterole", false.into()),
        ("rolcreatedb", false.into()),
        ("rolcanlogin", role.login.into()),
        ("rolreplication", false.into()),
        ("rolbypassrls", false.into()),
        ("rolconnlimit", (-1i64).into()),
        ("rolpassword", "********".into()),
    ]
}

fn user(role: &Role) -> Row {
    vec![
        ("usename", (&role.name).into()),
        ("usesysid", role.oid.into()),
        ("usecreatedb", false.into()),
        ("usesuper", false.into()),
        ("userepl", false.into()),
        ("usebypassrls", false.into()),
        ("passwd", "********".into()),
    ]
}

fn group(role: &Role) -> Row {
    vec![("groname", (&role.name).into()), ("grosysid", role.oid.into()), ("grolist", Value::Ints(Vec::new()))]
}

/// Every PostgreSQL has it, and clients take it that way.
fn extension() -> Row {
    vec![
        ("oid", 13_559i64.into()),
        ("extname", "plpgsql".into()),
        ("extowner", SYSTEM_ROLE_OID.into()),
        ("extnamespace", 11i64.into()),
        ("extrelocatable", false.into()),
        ("extversion", "1.0".into()),
    ]
}

fn tablespace(oid: i64, name: &str) -> Row {
    vec![("oid", oid.into()), ("spcname", name.into()), ("spcowner", SYSTEM_ROLE_OID.into())]
}

fn settings(facts: &SessionFacts) -> Vec<Row> {
    let settings = facts.settings.all().into_iter();
    settings
        .map(|setting| {
            vec![
                ("name", setting.name.into()),
                ("setting", setting.value.into()),
                ("unit", setting.unit.map_or(Value::Null, Into::into)),
                ("category", "Client Connection Defaults".into()),
                ("short_desc", setting.description.into()),
                ("context", setting.context.into()),
                ("vartype", setting.kind.into()),
                ("source", setting.source.into()),
                ("min_val", setting.bounds.as_ref().map(|(least, _)| least).into()),
                ("max_val", setting.bounds.as_ref().map(|(_, most)| most).into()),
                ("enumvals", if setting.words.is_empty() { Value::Null } else { Value::Texts(setting.words) }),
                ("boot_val", setting.default.into()),
                ("reset_val", setting.reset.into()),
                ("pending_restart", false.into()),
            ]
        })
        .collect()
}

fn cursor(cursor: OpenCursor) -> Row {
    vec![
        ("name", cursor.name.into()),
        ("statement", cursor.statement.into()),
        ("is_holdable", cursor.hold.into()),
        ("is_binary", cursor.binary.into()),
        ("is_scrollable", cursor.scroll.into()),
        ("creation_time", Value::Instant(cursor.made_micros)),
    ]
}

fn prepared(statement: PreparedStatement) -> Row {
    vec![
        ("name", statement.name.into()),
        ("statement", statement.statement.into()),
        ("prepare_time", Value::Instant(statement.made_micros)),
        ("parameter_types", Value::Texts(statement.parameters.iter().filter_map(|oid| type_display(*oid, -1)).collect())),
        ("from_sql", statement.by_sql.into()),
        ("generic_plans", 0i64.into()),
        ("custom_plans", 0i64.into()),
    ]
}

fn encryption(facts: &SessionFacts) -> Row {
    let mut row: Row = vec![("pid", facts.backend_pid.into()), ("ssl", facts.connection.encryption.is_some().into())];
    if let Some(Encryption { protocol, cipher, bits }) = &facts.connection.encryption {
        row.extend([("version", (*protocol).into()), ("cipher", cipher.into()), ("bits", (*bits).into())]);
    }
    row
}

fn idle(facts: &SessionFacts) -> Row {
    const COUNTERS: [&str; 20] = [
        "archived_count",
        "failed_count",
        "checkpoints_timed",
        "checkpoints_req",
        "checkpoint_write_time",
        "checkpoint_sync_time",
        "buffers_checkpoint",
        "buffers_clean",
        "maxwritten_clean",
        "buffers_backend",
        "buffers_backend_fsync",
        "buffers_alloc",
        "wal_records",
        "wal_fpi",
        "wal_buffers_full",
        "wal_write",
        "wal_sync",
        "wal_write_time",
        "wal_sync_time",
        "wal_bytes",
    ];
    let mut row: Row = COUNTERS.iter().map(|counter| (*counter, if *counter == "wal_bytes" { "0".into() } else { 0i64.into() })).collect();
    row.push(("stats_reset", Value::Instant(facts.server_started_micros)));
    row
}

fn activity(facts: &SessionFacts) -> Row {
    let application = facts.settings.value("application_name").unwrap_or_default();
    vec![
        ("datid", facts.database_oid().into()),
        ("datname", (&facts.database).into()),
        ("pid", facts.backend_pid.into()),
        ("usesysid", facts.own_role_oid().into()),
        ("usename", (&facts.principal.name).into()),
        ("application_name", application.into()),
        ("client_addr", facts.client_address.map(|address| address.ip().to_canonical().to_string()).into()),
        ("client_port", facts.client_address.map(|address| i64::from(address.port())).into()),
        ("backend_start", Value::Instant(facts.session_started_micros)),
        ("xact_start", Value::Instant(facts.statement_started_micros)),
        ("query_start", Value::Instant(facts.statement_started_micros)),
        ("state_change", Value::Instant(facts.statement_started_micros)),
        ("state", "active".into()),
        ("query", (&facts.statement).into()),
        ("backend_type", "client backend".into()),
    ]
}
