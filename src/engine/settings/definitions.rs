//! The settings that there are: those that have an effect here, and all others of PostgreSQL 15, which are kept and shown.
//!
//! INVARIANT: a setting that is only kept changes nothing, and tells nothing of the server's machine.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::error::{ClientMessage, SqlState};

use super::units::Measure;

/// How a setting's text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// on | off
    Bool,
    /// A whole number within bounds.
    Int(i64, i64),
    /// Milliseconds, with units.
    Millis,
    /// So many of a unit of memory, of which each has so many bytes, within bounds.
    Size(i64, i64, i64),
    /// A floating-point number.
    Float,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// Any text.
    Text,
    /// A list of identifiers.
    Path,
    /// A time zone.
    TimeZone,
    /// A date style.
    DateStyle,
    /// A client encoding.
    Encoding,
    /// Cannot be changed.
    Fixed,
    /// Is changed by superusers alone, of whom there are none.
    Privileged,
}

/// A setting.
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) default: &'static str,
    pub(super) reported: bool,
    pub(super) description: &'static str,
    /// When it can be changed: `pg_settings.context`.
    pub(super) context: &'static str,
    /// What PostgreSQL says of its values, where `shape` does not.
    pub(super) measure: Option<Measure>,
}

const fn define(name: &'static str, shape: Shape, default: &'static str, reported: bool, description: &'static str) -> Definition {
    let context = if matches!(shape, Shape::Fixed) { "internal" } else { "user" };
    Definition { name, shape, default, reported, description, context, measure: None }
}

const ISOLATION: &[&str] = &["serializable", "repeatable read", "read committed", "read uncommitted"];
pub(super) const MESSAGES: &[&str] =
    &["debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "notice", "warning", "error", "info"];

/// The version of PostgreSQL whose behaviour and catalog we follow.
pub const SERVER_VERSION: &str = "15.8";
/// The same as a number.
const SERVER_VERSION_NUM: &str = "150008";

/// The settings that clients send or that have an effect.
pub(super) static DEFINITIONS: &[Definition] = &[
    define("application_name", Shape::Text, "", true, "Name that the client gives itself."),
    define("backslash_quote", Shape::Enum(&["safe_encoding", "on", "off"]), "safe_encoding", false, "Whether \\' is allowed in literals."),
    define("bytea_output", Shape::Enum(&["hex", "escape"]), "hex", false, "Output format of bytea."),
    define("check_function_bodies", Shape::Bool, "on", false, "Has no effect."),
    define("client_encoding", Shape::Encoding, "UTF8", true, "The client's character set."),
    define("client_min_messages", Shape::Enum(MESSAGES), "notice", false, "Least severity of messages that are sent."),
    define("constraint_exclusion", Shape::Enum(&["partition", "on", "off"]), "partition", false, "Has no effect."),
    define("cursor_tuple_fraction", Shape::Float, "0.1", false, "Has no effect."),
    define("datestyle", Shape::DateStyle, "ISO, MDY", true, "Format of dates, and the order of their fields."),
    define("default_table_access_method", Shape::Text, "heap", false, "Has no effect."),
    define("default_tablespace", Shape::Text, "", false, "Has no effect."),
    define("default_text_search_config", Shape::Text, "pg_catalog.english", false, "Has no effect."),
    define("default_transaction_deferrable", Shape::Bool, "off", false, "Has no effect."),
    define("default_transaction_isolation", Shape::Enum(ISOLATION), "read committed", false, "Isolation of new transactions."),
    define("default_transaction_read_only", Shape::Bool, "on", true, "Always on: the gateway is for reading."),
    define("enable_bitmapscan", Shape::Bool, "on", false, "Has no effect."),
    define("enable_hashjoin", Shape::Bool, "on", false, "Has no effect."),
    define("enable_indexscan", Shape::Bool, "on", false, "Has no effect."),
    define("enable_mergejoin", Shape::Bool, "on", false, "Has no effect."),
    define("enable_nestloop", Shape::Bool, "on", false, "Has no effect."),
    define("enable_seqscan", Shape::Bool, "on", false, "Has no effect."),
    define("escape_string_warning", Shape::Bool, "on", false, "Has no effect."),
    define("extra_float_digits", Shape::Int(-15, 3), "1", false, "Floating-point numbers are written in their shortest exact form."),
    define("from_collapse_limit", Shape::Int(1, 2_147_483_647), "8", false, "Has no effect."),
    define("geqo", Shape::Bool, "on", false, "Has no effect."),
    define("gin_fuzzy_search_limit", Shape::Int(0, 2_147_483_647), "0", false, "Has no effect."),
    define("idle_in_transaction_session_timeout", Shape::Millis, "0", false, "Longest idle time within a transaction."),
    define("idle_session_timeout", Shape::Millis, "0", false, "Longest idle time of a session."),
    define("in_hot_standby", Shape::Fixed, "off", true, "Whether the server replays a log."),
    define("integer_datetimes", Shape::Fixed, "on", true, "Datetimes are whole microseconds."),
    define(
        "intervalstyle",
        Shape::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        "postgres",
        true,
        "Format of intervals.",
    ),
    define("is_superuser", Shape::Fixed, "off", true, "Nobody is superuser here."),
    define("jit", Shape::Bool, "off", false, "Has no effect."),
    define("join_collapse_limit", Shape::Int(1, 2_147_483_647), "8", false, "Has no effect."),
    define("lc_collate", Shape::Fixed, "C", false, "Collation order."),
    define("lc_ctype", Shape::Fixed, "C.UTF-8", false, "Character classes."),
    define("lc_messages", Shape::Text, "C", false, "Language of messages."),
    define("lc_monetary", Shape::Text, "C", false, "Format of money."),
    define("lc_numeric", Shape::Text, "C", false, "Format of numbers."),
    define("lc_time", Shape::Text, "C", false, "Format of times."),
    define("lock_timeout", Shape::Millis, "0", false, "Longest wait for an advisory lock."),
    define("max_connections", Shape::Fixed, "100", false, "Connections at most."),
    define("max_identifier_length", Shape::Fixed, "63", false, "Bytes of an identifier."),
    define("max_index_keys", Shape::Fixed, "32", false, "Columns of an index."),
    define("max_parallel_workers_per_gather", Shape::Int(0, 1024), "2", false, "Has no effect."),
    define("meshgate.notices", Shape::Bool, "on", false, "Whether a notice tells that columns were masked or rows limited."),
    define("meshgate.purpose", Shape::Text, "", false, "What the caller says the data is for; recorded, and known to the policies."),
    define("optimize_bounded_sort", Shape::Bool, "on", false, "Has no effect."),
    define("password_encryption", Shape::Enum(&["scram-sha-256", "md5"]), "scram-sha-256", false, "How passwords are kept."),
    define("plan_cache_mode", Shape::Enum(&["auto", "force_generic_plan", "force_custom_plan"]), "auto", false, "Has no effect."),
    define("quote_all_identifiers", Shape::Bool, "off", false, "Has no effect."),
    define("random_page_cost", Shape::Float, "4", false, "Has no effect."),
    define("role", Shape::Fixed, "none", false, "The current role."),
    define("row_security", Shape::Bool, "on", false, "Policies apply whatever this says."),
    define("search_path", Shape::Path, "\"$user\", public", false, "Schemas that are searched for unqualified names."),
    define("server_encoding", Shape::Fixed, "UTF8", true, "The server's character set."),
    define("server_version", Shape::Fixed, SERVER_VERSION, true, "The version of PostgreSQL that is followed."),
    define("server_version_num", Shape::Fixed, SERVER_VERSION_NUM, false, "The same as a number."),
    define("session_authorization", Shape::Fixed, "", true, "The principal."),
    define("session_replication_role", Shape::Enum(&["origin", "replica", "local"]), "origin", false, "Has no effect."),
    define("ssl", Shape::Fixed, "off", false, "Whether TLS is offered."),
    define("standard_conforming_strings", Shape::Bool, "on", true, "Backslashes in '…' are taken literally."),
    define("statement_timeout", Shape::Millis, "0", false, "Longest time of a statement."),
    define("synchronize_seqscans", Shape::Bool, "on", false, "Has no effect."),
    define("synchronous_commit", Shape::Enum(&["on", "off", "local", "remote_write", "remote_apply"]), "on", false, "Has no effect."),
    define("tcp_keepalives_count", Shape::Int(0, 2_147_483_647), "0", false, "Has no effect."),
    define("tcp_keepalives_idle", Shape::Int(0, 2_147_483_647), "0", false, "Has no effect."),
    define("tcp_keepalives_interval", Shape::Int(0, 2_147_483_647), "0", false, "Has no effect."),
    define("temp_tablespaces", Shape::Text, "", false, "Has no effect."),
    define("timezone", Shape::TimeZone, "UTC", true, "The session's time zone."),
    define("transaction_deferrable", Shape::Bool, "off", false, "Has no effect."),
    define("transaction_isolation", Shape::Enum(ISOLATION), "read committed", false, "Isolation of this transaction."),
    define("transaction_read_only", Shape::Bool, "on", false, "Always on: the gateway is for reading."),
    define("vacuum_cost_delay", Shape::Float, "0", false, "Has no effect."),
    define("xmloption", Shape::Enum(&["content", "document"]), "content", false, "Has no effect."),
];

/// Names as PostgreSQL shows them where they are not in lower case.
pub(super) fn shown_name(name: &str) -> &str {
    match name {
        "datestyle" => "DateStyle",
        "timezone" => "TimeZone",
        "intervalstyle" => "IntervalStyle",
        other => other,
    }
}

/// The setting of that name, in lower case; the error is PostgreSQL's for an unknown name.
pub(super) fn definition(name: &str) -> Result<&'static Definition, ClientMessage> {
    let own = DEFINITIONS.iter().find(|definition| definition.name == name);
    own.or_else(|| kept().get(name))
        .ok_or_else(|| ClientMessage::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\"")))
}

/// All settings, sorted by the names that are shown.
pub(super) fn all() -> impl Iterator<Item = &'static Definition> {
    let sorted: BTreeMap<String, &'static Definition> =
        DEFINITIONS.iter().chain(kept().values()).map(|definition| (definition.name.to_lowercase(), definition)).collect();
    sorted.into_values()
}

/// The settings of PostgreSQL 15 that have no effect here, by their names in lower case.
fn kept() -> &'static BTreeMap<&'static str, Definition> {
    static KEPT: OnceLock<BTreeMap<&'static str, Definition>> = OnceLock::new();
    KEPT.get_or_init(|| {
        let found = include_str!("postgres.tsv").lines().filter_map(kept_one);
        found.map(|definition| (definition.name, definition)).collect()
    })
}

/// A line: name, context, type, unit, default, least, most, words, description.
fn kept_one(line: &'static str) -> Option<Definition> {
    let cells: Vec<&'static str> = line.split('\t').collect();
    let &[name, context, kind, unit, default, lowest, highest, words, description] = cells.as_slice() else { return None };
    let bound = |text: &str, otherwise: i64| text.parse::<i64>().unwrap_or(otherwise);
    let (least, most) = (bound(lowest, i64::MIN), bound(highest, i64::MAX));
    let shape = match (context, kind, unit) {
        ("superuser" | "superuser-backend", ..) => Shape::Privileged,
        ("user" | "backend", "bool", _) => Shape::Bool,
        ("user" | "backend", "real", _) => Shape::Float,
        ("user" | "backend", "enum", _) => Shape::Enum(words.split(',').collect::<Vec<_>>().leak()),
        ("user" | "backend", "integer", "ms") => Shape::Millis,
        ("user" | "backend", "integer", "B") => Shape::Size(1, least, most),
        ("user" | "backend", "integer", "kB") => Shape::Size(1 << 10, least, most),
        ("user" | "backend", "integer", "8kB") => Shape::Size(8 << 10, least, most),
        ("user" | "backend", "integer", _) => Shape::Int(least, most),
        ("user" | "backend", ..) => Shape::Text,
        _ => Shape::Fixed,
    };
    let measure = Some(Measure { kind, unit, bounds: (lowest, highest) });
    Some(Definition { name, shape, default, reported: false, description, context, measure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_postgres_is_there_once() {
        let names: Vec<&str> = all().map(|definition| definition.name).collect();
        assert!(names.len() > 330, "{}", names.len());
        assert_eq!(include_str!("postgres.tsv").lines().count() + DEFINITIONS.len(), names.len());
        assert!(definition("enable_hashagg").is_ok() && definition("shared_buffers").is_ok());
        assert_eq!(definition("shared_buffers").map(|found| found.shape).ok(), Some(Shape::Fixed));
        assert_eq!(definition("log_statement").map(|found| found.shape).ok(), Some(Shape::Privileged));
        assert_eq!(definition("work_mem").map(|found| found.shape).ok(), Some(Shape::Size(1024, 64, 2_147_483_647)));
    }
}
