//! The configuration as an operator writes it: the YAML form and its defaults.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::origin::OriginSpec;
use super::stores::StoreSpec;
use super::texts::Texts;
use super::tls::TlsSpec;
use super::tokens::TokensSpec;

/// A day; a longer time-out is none.
const MS_MAX: u64 = 86_400_000;

/// `meshgate.yaml`. Paths are relative to the file's folder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigSpec {
    /// Where clients are served: an address and port, or a list of them.
    #[serde(default = "this_machine")]
    pub listen: Texts,
    /// The one database's name.
    #[serde(default = "mesh")]
    pub database: String,
    /// The folder with domains.yaml and the contracts.
    pub catalogs: String,
    /// The policy bundle: a folder, a .tar.gz archive, or where to fetch one.
    pub policies: OriginSpec,
    /// The principals file.
    pub principals: String,
    /// The list of erased subjects: a file, or where to fetch it.
    pub erasures: Option<OriginSpec>,
    /// Where relative locations of contracts begin; the folder of the contracts if not given.
    pub data: Option<String>,
    /// Where relative file: credentials begin.
    pub credentials: Option<String>,
    /// The secrets of hmac-sha-256 masks, by name: env:NAME or file:PATH.
    #[serde(default)]
    pub mask_keys: BTreeMap<String, String>,
    /// The record of who read what.
    pub audit: AuditSpec,
    /// Who is told what was read.
    #[serde(default)]
    pub lineage: LineageSpec,
    /// Certificate and key; without it there is no TLS, and only clients on this machine are served.
    pub tls: Option<TlsSpec>,
    /// Whose tokens prove a login; without it, none do.
    pub tokens: Option<TokensSpec>,
    /// How the servers of postgres ports are spoken to.
    #[serde(default)]
    pub postgres: PostgresSpec,
    /// The object stores that contracts may name.
    #[serde(default)]
    pub stores: Vec<StoreSpec>,
    /// Limits.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// Whether clients get notices of what applied.
    #[serde(default = "yes")]
    pub notices: bool,
    /// Says that this is an example: its data is written at the first start, and a warning is printed.
    pub example: Option<Example>,
}

fn mesh() -> String {
    "mesh".to_owned()
}

/// Who opens a gateway to a network says so.
fn this_machine() -> Texts {
    Texts(vec!["127.0.0.1:6432".to_owned()])
}

pub(super) fn yes() -> bool {
    true
}

/// Examples that come with the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Example {
    /// Three domains, a few thousand rows, files only.
    Quickstart,
}

/// `audit`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditSpec {
    /// The folder of the log.
    pub folder: String,
    /// What is kept of a statement.
    #[serde(default)]
    pub sql_text: SqlText,
    /// The roles that see everybody's records in the schema mesh.
    #[serde(default = "auditor")]
    pub auditors: Vec<String>,
    /// Where the signed head of the log is kept.
    pub heads: Option<HeadsSpec>,
    /// Whether closed segments are compressed (gzip).
    #[serde(default)]
    pub compress: bool,
    /// After how many days segments are removed; never if not given.
    #[schemars(range(min = 1, max = 36_500))]
    pub retention_days: Option<u32>,
    /// Whether closed segments are copied by columns, so that questions in SQL read no more than they need.
    #[serde(default = "yes")]
    pub columns: bool,
}

/// `audit.heads`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadsSpec {
    /// The Ed25519 key that signs, PKCS#8: env:NAME or file:PATH.
    pub key: String,
    /// The file that heads are appended to, one a line.
    pub file: Option<String>,
    /// The address that heads are sent to (POST, JSON).
    pub webhook: Option<String>,
    /// Where the bearer token of that address is: env:NAME or file:PATH.
    pub token: Option<String>,
    /// The place in an S3 store that heads are written below, an object each.
    pub objects: Option<HeadObjectsSpec>,
    /// The pause between two heads.
    #[serde(default = "ten_seconds")]
    #[schemars(range(min = 100, max = MS_MAX))]
    pub interval_ms: u64,
}

/// `audit.heads.objects`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadObjectsSpec {
    /// s3://bucket/prefix.
    pub location: String,
    /// The region of the store.
    #[serde(default = "first_region")]
    pub region: String,
    /// The address of a store that is not AWS.
    pub endpoint: Option<String>,
    /// Where the access key is, KEY_ID:SECRET: env:NAME or file:PATH.
    pub credentials: String,
    /// The authorities that the store's certificate may come from (PEM), in place of the public ones.
    pub authorities: Option<String>,
}

pub(super) fn first_region() -> String {
    "us-east-1".to_owned()
}

fn ten_seconds() -> u64 {
    10_000
}

fn auditor() -> Vec<String> {
    vec!["auditor".to_owned()]
}

/// What the audit log keeps of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SqlText {
    /// Its text.
    #[default]
    Full,
    /// A hash of its text without literals.
    Fingerprint,
}

/// `lineage`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineageSpec {
    /// The file that OpenLineage events are appended to.
    pub file: Option<String>,
    /// The address of an OpenLineage API that events are sent to, whole: http://marquez:5000/api/v1/lineage.
    pub url: Option<String>,
    /// Where the bearer token of that address is: env:NAME or file:PATH.
    pub token: Option<String>,
    /// Whether events are written to the standard output.
    #[serde(default)]
    pub console: bool,
    /// The namespace of jobs.
    #[serde(default = "meshgate")]
    pub namespace: String,
}

fn meshgate() -> String {
    "meshgate".to_owned()
}

impl Default for LineageSpec {
    fn default() -> Self {
        Self { file: None, url: None, token: None, console: false, namespace: meshgate() }
    }
}

/// `postgres`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresSpec {
    /// The least that connections must be protected by, whatever a contract says.
    pub tls: TlsMode,
    /// PEM file of the authorities whose certificates are believed, in place of the public ones.
    pub authorities: Option<String>,
    /// Connections to one server, database and login.
    #[schemars(range(min = 1, max = 1_000))]
    pub connections: u64,
    /// The longest that a scan waits for a free connection.
    #[schemars(range(min = 1, max = MS_MAX))]
    pub wait_timeout_ms: u64,
    /// The longest that connecting may take.
    #[schemars(range(min = 1, max = 600_000))]
    pub connect_timeout_ms: u64,
    /// The longest that a connection may be idle.
    #[schemars(range(min = 1, max = MS_MAX))]
    pub idle_timeout_ms: u64,
}

impl Default for PostgresSpec {
    fn default() -> Self {
        Self {
            tls: TlsMode::Disable,
            authorities: None,
            connections: 8,
            wait_timeout_ms: 30_000,
            connect_timeout_ms: 5_000,
            idle_timeout_ms: 300_000,
        }
    }
}

/// What is asked of a connection to a server, each with the meaning that it has for libpq. A later one asks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS if the server has it.
    Prefer,
    /// TLS with any certificate.
    Require,
    /// TLS with a certificate of a known authority.
    VerifyCa,
    /// TLS with a certificate of a known authority for the server's own name.
    VerifyFull,
}

/// `limits`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSpec {
    /// Connections at a time.
    #[schemars(range(min = 1, max = 100_000))]
    pub connections: u64,
    /// The longest statement.
    #[schemars(range(min = 1_024, max = 67_108_864))]
    pub statement_bytes: u64,
    /// The longest a statement may run.
    #[schemars(range(min = 1, max = MS_MAX))]
    pub statement_timeout_ms: u64,
    /// The longest a session may be idle.
    #[schemars(range(min = 1, max = MS_MAX))]
    pub idle_session_timeout_ms: u64,
    /// The longest a log-in may take.
    #[schemars(range(min = 100, max = 600_000))]
    pub authentication_timeout_ms: u64,
    /// The longest a shutdown waits for running statements.
    #[schemars(range(min = 0, max = MS_MAX))]
    pub shutdown_timeout_ms: u64,
    /// Memory of all running statements.
    #[schemars(range(min = 16_777_216))]
    pub memory_bytes: u64,
    /// Memory for which rows policies let through; 0: it is not remembered.
    pub remembered_bytes: u64,
    /// Rows of one result; no limit if not given.
    #[schemars(range(min = 1))]
    pub rows_max: Option<u64>,
    /// Statements that run at a time; further ones wait.
    #[schemars(range(min = 1, max = 10_000))]
    pub concurrent_queries: u64,
    /// Prepared statements of one session.
    #[schemars(range(min = 1, max = 100_000))]
    pub prepared_statements: u64,
    /// Open portals of one session.
    #[schemars(range(min = 1, max = 10_000))]
    pub portals: u64,
}

impl Default for LimitsSpec {
    fn default() -> Self {
        Self {
            connections: 200,
            statement_bytes: 1_048_576,
            statement_timeout_ms: 300_000,
            idle_session_timeout_ms: 3_600_000,
            authentication_timeout_ms: 30_000,
            shutdown_timeout_ms: 30_000,
            memory_bytes: 1_073_741_824,
            remembered_bytes: 134_217_728,
            rows_max: None,
            concurrent_queries: 32,
            prepared_statements: 1_000,
            portals: 100,
        }
    }
}
