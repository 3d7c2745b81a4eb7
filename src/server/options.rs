//! From the configuration to the options of each part.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::audit::{AuditOptions, Keeping, SqlText};
use crate::config::{self, Config};
use crate::engine::{Clock, EngineOptions, TextLimits};
use crate::lineage::{ConsoleSink, Emitter, FileSink, Sink};
use crate::ports::PortOptions;
use crate::product::TlsMode;
use crate::wire::{self, WireOptions};

use super::lineage_sink::HttpSink;

pub(super) fn audit(config: &Config, clock: &Clock) -> AuditOptions {
    let sql = match config.audit.sql_text {
        config::SqlText::Full => SqlText::Full,
        config::SqlText::Fingerprint => SqlText::Fingerprint,
    };
    let keeping = Keeping { compress: config.audit.compress, retention_days: config.audit.retention_days };
    AuditOptions { sql, keeping, clock: Arc::clone(clock), ..AuditOptions::new(&config.audit.folder) }
}

/// Lineage events that may wait for their sink.
const LINEAGE_QUEUE_MAX: usize = 4096;

/// The emitter with its sinks; a further sink is a further line here.
pub(super) fn emitter(config: &Config) -> anyhow::Result<Option<Arc<Emitter>>> {
    let lineage = &config.lineage;
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if let Some(file) = &lineage.file {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).context("the folder of the lineage file cannot be made")?;
        }
        sinks.push(Box::new(FileSink::new(file)));
    }
    if let Some(url) = &lineage.url {
        sinks.push(Box::new(HttpSink::new(url, lineage.token.clone()).context("lineage.url")?));
    }
    if lineage.console {
        sinks.push(Box::new(ConsoleSink));
    }
    if sinks.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Emitter::start(sinks, LINEAGE_QUEUE_MAX))))
}

pub(super) fn ports(config: &Config) -> PortOptions {
    PortOptions {
        data_root: config.data.clone().unwrap_or_else(|| config.catalogs.clone()),
        credentials_root: config.credentials.clone(),
        postgres_pool_max: config.postgres.connections,
        postgres_wait_timeout: Duration::from_millis(config.postgres.wait_timeout_ms),
        postgres_idle_timeout: Duration::from_millis(config.postgres.idle_timeout_ms),
        postgres_tls: tls_mode(config.postgres.tls),
        postgres_authorities: config.postgres.authorities.clone(),
        connect_timeout: Duration::from_millis(config.postgres.connect_timeout_ms),
        ..PortOptions::default()
    }
}

/// How a connection to a server is protected, in the words of the contract.
pub(super) fn tls_mode(mode: config::TlsMode) -> TlsMode {
    match mode {
        config::TlsMode::Disable => TlsMode::Disable,
        config::TlsMode::Prefer => TlsMode::Prefer,
        config::TlsMode::Require => TlsMode::Require,
        config::TlsMode::VerifyCa => TlsMode::VerifyCa,
        config::TlsMode::VerifyFull => TlsMode::VerifyFull,
    }
}

pub(super) fn engine(config: &Config, clock: &Clock) -> EngineOptions {
    let limits = &config.limits;
    EngineOptions {
        database: config.database.clone(),
        text: TextLimits { bytes_max: limits.statement_bytes, ..TextLimits::default() },
        statement_timeout: Some(Duration::from_millis(limits.statement_timeout_ms)),
        rows_max: limits.rows_max,
        memory_bytes: limits.memory_bytes,
        queries_max: limits.concurrent_queries,
        idle_session_timeout: Duration::from_millis(limits.idle_session_timeout_ms),
        prepared_max: limits.prepared_statements,
        portals_max: limits.portals,
        partitions: std::thread::available_parallelism().map_or(1, usize::from),
        clock: Arc::clone(clock),
        notices: config.notices,
        lineage_namespace: config.lineage.namespace.clone(),
        sql_in_records: config.audit.sql_text == config::SqlText::Full,
    }
}

pub(super) fn wire(config: &Config, address: SocketAddr) -> anyhow::Result<WireOptions> {
    let tls = match &config.tls {
        Some(tls) => Some({
            let chain = std::fs::read(&tls.certificate).context("the TLS certificate cannot be read")?;
            let key = std::fs::read(&tls.key).context("the TLS key cannot be read")?;
            wire::tls_config(&chain, &key).context("TLS cannot be set up")?
        }),
        None => None,
    };
    if tls.is_none() && !address.ip().is_loopback() {
        tracing::warn!(%address, "listening beyond this machine without TLS; set tls.certificate and tls.key");
    }
    Ok(WireOptions {
        tls_required: config.tls.as_ref().is_some_and(|tls| tls.required),
        tls,
        connections_max: config.limits.connections,
        authentication_timeout: Duration::from_millis(config.limits.authentication_timeout_ms),
        drain_grace: Duration::from_millis(config.limits.shutdown_timeout_ms),
        ..WireOptions::default()
    })
}
