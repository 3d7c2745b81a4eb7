//! The configuration file of a gateway: where its parts lie and what its limits are.
//!
//! INVARIANT: a [`Config`] has no credential in it, and every path in it is absolute or begins at the file's own folder.
//! Whether the files that it names exist and are valid is left to the parts that read them.

mod keeping;
mod origin;
mod spec;
mod stores;
mod texts;
mod tls;
mod tokens;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::document::{self, Fault, Faults, SourceMap, TEXT_BYTES_MAX};

pub use origin::{Origin, OriginKeys, OriginSpec, Reference, Remote, RemoteKind};
use origin::{OriginOf, origin, reference};
pub use spec::{AuditSpec, ConfigSpec, Example, HeadObjectsSpec, HeadsSpec, LimitsSpec, LineageSpec, PostgresSpec, SqlText, TlsMode};
pub use stores::{Store, StoreIdentity, StoreSpec};
pub use texts::Texts;
pub use tls::{CertificateName, CertificateUserSpec, ClientCertificates, ClientCertificatesSpec, PlainClients, Tls, TlsSpec};
pub use tokens::{ClaimNames, Claims, ClaimsSpec, Issuer, IssuerSpec, KeysFrom, TokenAlgorithm, Tokens, TokensSpec};

/// What a gateway runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// Where clients are served; never empty.
    pub listen: Vec<SocketAddr>,
    /// The one database's name.
    pub database: String,
    /// The folder with `domains.yaml` and the contracts.
    pub catalogs: PathBuf,
    /// Where the policy bundle comes from.
    pub policies: Origin,
    /// The principals file.
    pub principals: PathBuf,
    /// Where the list of erased subjects comes from.
    pub erasures: Option<Origin>,
    /// Where relative locations of contracts begin; without it, the folder of the contracts.
    pub data: Option<PathBuf>,
    /// Where relative `file:` credentials begin.
    pub credentials: Option<PathBuf>,
    /// Where the secrets of keyed masks are, by name.
    pub mask_keys: BTreeMap<String, Reference>,
    /// The record of who read what.
    pub audit: Audit,
    /// Who is told what was read.
    pub lineage: Lineage,
    /// Certificate and key; `None`: no TLS.
    pub tls: Option<Tls>,
    /// Which clients may do without it.
    pub plain: PlainClients,
    /// Whose tokens prove a login.
    pub tokens: Option<Tokens>,
    /// How the servers of postgres ports are spoken to.
    pub postgres: Postgres,
    /// The object stores that contracts may name.
    pub stores: Vec<Store>,
    /// Limits.
    pub limits: Limits,
    /// Whether clients get notices of what applied (deprecation, masks, limits).
    pub notices: bool,
    /// The example that this is: its data is written at the first start, and a warning is printed.
    pub example: Option<Example>,
}

/// `audit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The folder of the log.
    pub folder: PathBuf,
    /// What is kept of a statement.
    pub sql_text: SqlText,
    /// The roles that see everybody's records.
    pub auditors: Vec<String>,
    /// Where the signed head of the log is kept.
    pub heads: Option<Heads>,
    /// Whether closed segments are compressed.
    pub compress: bool,
    /// After how many days segments are removed; `None`: never.
    pub retention_days: Option<u32>,
    /// Whether closed segments are copied by columns, for questions in SQL.
    pub columns: bool,
}

/// `audit.heads`; at least one of file, webhook and objects is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    /// Where the key is that signs.
    pub key: Reference,
    /// The file that heads are appended to.
    pub file: Option<PathBuf>,
    /// The address that heads are sent to.
    pub webhook: Option<String>,
    /// Where the bearer token of that address is.
    pub token: Option<Reference>,
    /// Where they are written as objects.
    pub objects: Option<HeadObjects>,
    /// The pause between two heads.
    pub interval_ms: u64,
}

/// `audit.heads.objects`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadObjects {
    /// `s3://bucket/prefix`.
    pub location: String,
    /// Its region.
    pub region: String,
    /// The address of the store, if it is not AWS.
    pub endpoint: Option<String>,
    /// Where the access key is.
    pub credentials: Reference,
    /// PEM file of the authorities.
    pub authorities: Option<PathBuf>,
}

/// `lineage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The file that events are appended to.
    pub file: Option<PathBuf>,
    /// The address of an OpenLineage API that events are sent to.
    pub url: Option<String>,
    /// Where the bearer token of that address is.
    pub token: Option<Reference>,
    /// Whether events are written to the standard output.
    pub console: bool,
    /// The namespace of jobs.
    pub namespace: String,
}

/// `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// The least that connections must be protected by, whatever a contract says.
    pub tls: TlsMode,
    /// PEM file of the authorities whose certificates are believed; without it the public ones.
    pub authorities: Option<PathBuf>,
    /// Connections to one server, database and login.
    pub connections: usize,
    /// The longest that a scan waits for a free connection.
    pub wait_timeout_ms: u64,
    /// The longest that connecting may take.
    pub connect_timeout_ms: u64,
    /// The longest that a connection may be idle.
    pub idle_timeout_ms: u64,
}

/// `limits`. Every one has a value that suits production; each can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// The longest statement.
    pub statement_bytes: usize,
    /// The longest a statement may run.
    pub statement_timeout_ms: u64,
    /// The longest a session may be idle.
    pub idle_session_timeout_ms: u64,
    /// The longest a log-in may take.
    pub authentication_timeout_ms: u64,
    /// The longest a shutdown waits for running statements.
    pub shutdown_timeout_ms: u64,
    /// Memory of all running statements.
    pub memory_bytes: usize,
    /// Memory for which rows policies let through.
    pub remembered_bytes: usize,
    /// Rows of one result; `None`: no limit.
    pub rows_max: Option<u64>,
    /// Statements that run at a time; further ones wait.
    pub concurrent_queries: usize,
    /// Prepared statements of one session.
    pub prepared_statements: usize,
    /// Open portals of one session.
    pub portals: usize,
}

/// Reads a configuration file.
///
/// # Errors
/// Every fault of the file.
pub fn load(path: impl AsRef<Path>) -> Result<Config, Vec<Fault>> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let text = read(path).map_err(|message| vec![Fault::of_file(&name, message)])?;
    parse(path, &text)
}

/// Reads the text of a configuration file that lies at `path`.
///
/// # Errors
/// Every fault of the text.
pub fn parse(path: &Path, text: &str) -> Result<Config, Vec<Fault>> {
    let file = path.display().to_string();
    document::Reader::<ConfigSpec>::new().check(&file, text, |spec, map| config(path, &file, spec, &map))
}

fn config(path: &Path, file: &str, spec: ConfigSpec, map: &SourceMap) -> Result<Config, Vec<Fault>> {
    let mut faults = Faults::new(file, map);
    // The folder of a bare file name is the empty path, which is the current one.
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let resolve = |pointer: &str, text: &str, faults: &mut Faults<'_>| {
        if text.trim().is_empty() || text.contains('\0') {
            faults.add(pointer, format!("\"{}\" names no path", pointer.rsplit('/').next().unwrap_or_default()));
        }
        folder.join(text)
    };
    let catalogs = resolve("/catalogs", &spec.catalogs, &mut faults);
    let principals = resolve("/principals", &spec.principals, &mut faults);
    let data = spec.data.as_deref().map(|text| resolve("/data", text, &mut faults));
    let credentials = spec.credentials.as_deref().map(|text| resolve("/credentials", text, &mut faults));
    let lineage_file = spec.lineage.file.as_deref().map(|text| resolve("/lineage/file", text, &mut faults));
    let folder_of_log = resolve("/audit/folder", &spec.audit.folder, &mut faults);
    let heads_file =
        spec.audit.heads.as_ref().and_then(|heads| heads.file.as_deref()).map(|text| resolve("/audit/heads/file", text, &mut faults));
    let (tls, plain) = tls::tls(spec.tls.as_ref(), resolve, &mut faults);
    let tokens = spec.tokens.as_ref().map(|spec| tokens::tokens(spec, &folder, &mut faults));
    let postgres = Postgres {
        tls: spec.postgres.tls,
        authorities: spec.postgres.authorities.as_deref().map(|text| resolve("/postgres/authorities", text, &mut faults)),
        connections: usize::try_from(spec.postgres.connections).unwrap_or(usize::MAX),
        wait_timeout_ms: spec.postgres.wait_timeout_ms,
        connect_timeout_ms: spec.postgres.connect_timeout_ms,
        idle_timeout_ms: spec.postgres.idle_timeout_ms,
    };
    let policies = origin(OriginOf::Policies, &spec.policies, &folder, &mut faults);
    let erasures = spec.erasures.as_ref().map(|spec| origin(OriginOf::Erasures, spec, &folder, &mut faults));
    let config = Config {
        listen: listen(&spec.listen, &mut faults),
        database: database(&spec.database, &mut faults),
        catalogs,
        policies,
        principals,
        erasures,
        data,
        credentials,
        mask_keys: mask_keys(&spec.mask_keys, &folder, &mut faults),
        audit: Audit {
            folder: folder_of_log,
            sql_text: spec.audit.sql_text,
            auditors: spec.audit.auditors,
            compress: spec.audit.compress,
            retention_days: spec.audit.retention_days,
            columns: spec.audit.columns,
            heads: spec.audit.heads.and_then(|spec| keeping::heads(spec, heads_file, &folder, &mut faults)),
        },
        lineage: keeping::lineage(spec.lineage, lineage_file, &folder, &mut faults),
        tls,
        plain,
        tokens,
        postgres,
        stores: stores::stores(spec.stores, &folder, &mut faults),
        limits: limits(&spec.limits, &mut faults),
        notices: spec.notices,
        example: spec.example,
        file: path.to_path_buf(),
    };
    faults.into_result(Some(config))
}

/// The JSON Schema of a configuration file, for editors.
pub fn schema() -> serde_json::Value {
    document::schema_of::<ConfigSpec>()
}

fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("the file cannot be read: {}", error.kind());
    let mut bytes = Vec::new();
    let limit = TEXT_BYTES_MAX as u64 + 1;
    fs::File::open(path).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| "the file is not UTF-8".to_owned())
}

fn listen(listen: &Texts, faults: &mut Faults<'_>) -> Vec<SocketAddr> {
    if listen.0.is_empty() {
        faults.add("/listen", "\"listen\" names no address");
    }
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for (index, text) in listen.0.iter().enumerate() {
        let at = format!("/listen/{index}");
        match text.parse::<SocketAddr>() {
            // Port 0 is any free one, so two of it are two.
            Ok(address) if address.port() > 0 && addresses.contains(&address) => faults.add(&at, "an address of \"listen\" is given twice"),
            Ok(address) => addresses.push(address),
            Err(_) => {
                let hint = "Write an IP address and a port: 127.0.0.1:6432, [::1]:6432 or 0.0.0.0:6432.";
                faults.add_with_hint(&at, "\"listen\" is no address", hint);
            }
        }
    }
    addresses
}

fn mask_keys(written: &BTreeMap<String, String>, folder: &Path, faults: &mut Faults<'_>) -> BTreeMap<String, Reference> {
    let mut keys = BTreeMap::new();
    for (name, text) in written {
        let at = format!("/mask_keys/{}", name.replace('~', "~0").replace('/', "~1"));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
            faults.add(&at, "the name of a key has letters, digits, \"_\" and \"-\" only");
        }
        match reference(text, folder) {
            Some(reference) => {
                keys.insert(name.clone(), reference);
            }
            None => {
                faults.add_with_hint(&at, "a key is neither env:NAME nor file:PATH", "The secret itself does not belong into the file.")
            }
        }
    }
    keys
}

fn database(name: &str, faults: &mut Faults<'_>) -> String {
    if name.is_empty() || name.len() > 63 || name.chars().any(|c| c.is_control() || c == '"') {
        faults.add("/database", "\"database\" must be 1 to 63 bytes without control characters and double quotes");
    }
    name.to_owned()
}

fn limits(spec: &LimitsSpec, faults: &mut Faults<'_>) -> Limits {
    let mut size = |key: &str, value: u64| {
        usize::try_from(value).unwrap_or_else(|_| {
            faults.add(&format!("/limits/{key}"), format!("\"{key}\" is too large for this system"));
            usize::MAX
        })
    };
    Limits {
        connections: size("connections", spec.connections),
        statement_bytes: size("statement_bytes", spec.statement_bytes),
        statement_timeout_ms: spec.statement_timeout_ms,
        idle_session_timeout_ms: spec.idle_session_timeout_ms,
        authentication_timeout_ms: spec.authentication_timeout_ms,
        shutdown_timeout_ms: spec.shutdown_timeout_ms,
        memory_bytes: size("memory_bytes", spec.memory_bytes),
        remembered_bytes: size("remembered_bytes", spec.remembered_bytes),
        rows_max: spec.rows_max,
        concurrent_queries: size("concurrent_queries", spec.concurrent_queries),
        prepared_statements: size("prepared_statements", spec.prepared_statements),
        portals: size("portals", spec.portals),
    }
}

impl Default for Limits {
    fn default() -> Self {
        let spec = LimitsSpec::default();
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            connections: size(spec.connections),
            statement_bytes: size(spec.statement_bytes),
            statement_timeout_ms: spec.statement_timeout_ms,
            idle_session_timeout_ms: spec.idle_session_timeout_ms,
            authentication_timeout_ms: spec.authentication_timeout_ms,
            shutdown_timeout_ms: spec.shutdown_timeout_ms,
            memory_bytes: size(spec.memory_bytes),
            remembered_bytes: size(spec.remembered_bytes),
            rows_max: spec.rows_max,
            concurrent_queries: size(spec.concurrent_queries),
            prepared_statements: size(spec.prepared_statements),
            portals: size(spec.portals),
        }
    }
}
