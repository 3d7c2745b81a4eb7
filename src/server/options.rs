//! From the configuration to the options of each part.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::audit::{AuditOptions, Keeping, SqlText};
use crate::config::{self, Config};
use crate::engine::{Clock, EngineOptions, TextLimits};
use crate::identity::CertificateRules;
use crate::identity::certificate::{CertificateMapping, NameKind};
use crate::identity::token::{Algorithm, ClaimMapping, ClaimPath, TokenRules};
use crate::lineage::{ConsoleSink, Emitter, FileSink, Sink};
use crate::ports::{PortOptions, StoreIdentity, StoreOptions};
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
        stores: config.stores.iter().map(store).collect(),
        ..PortOptions::default()
    }
}

fn store(store: &config::Store) -> StoreOptions {
    StoreOptions {
        location: store.location.clone(),
        endpoint: store.endpoint.clone(),
        region: store.region.clone(),
        account: store.account.clone(),
        identity: match store.identity {
            config::StoreIdentity::Nobody => StoreIdentity::Nobody,
            config::StoreIdentity::Instance => StoreIdentity::Instance,
            config::StoreIdentity::WebIdentity => StoreIdentity::WebIdentity,
        },
        authorities: store.authorities.clone(),
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
        remembered_bytes: limits.remembered_bytes,
        queries_max: limits.concurrent_queries,
        idle_session_timeout: Duration::from_millis(limits.idle_session_timeout_ms),
        prepared_max: limits.prepared_statements,
        portals_max: limits.portals,
        partitions: std::thread::available_parallelism().map_or(1, usize::from),
        clock: Arc::clone(clock),
        notices: config.notices,
        lineage_namespace: config.lineage.namespace.clone(),
        sql_in_records: config.audit.sql_text == config::SqlText::Full,
        give_back: None,
    }
}

/// The server's side of TLS, if it has one.
pub(super) fn tls(config: &Config) -> anyhow::Result<Option<wire::Tls>> {
    let Some(tls) = &config.tls else { return Ok(None) };
    Ok(Some(wire::Tls::new(&tls_material(tls)?).context("TLS cannot be set up")?))
}

/// What TLS is made of, as the files are now.
pub(super) fn tls_material(tls: &config::Tls) -> anyhow::Result<wire::TlsMaterial> {
    let clients = tls.clients.as_ref().map(|clients| {
        let authorities = std::fs::read(&clients.authorities).context("the authorities of client certificates cannot be read")?;
        let revocations = clients.revocations.as_ref().map(std::fs::read).transpose();
        let revocations = revocations.context("the lists of revoked certificates cannot be read")?;
        anyhow::Ok(wire::ClientAuthorities { authorities, revocations })
    });
    Ok(wire::TlsMaterial {
        chain: std::fs::read(&tls.certificate).context("the TLS certificate cannot be read")?,
        key: std::fs::read(&tls.key).context("the TLS key cannot be read")?,
        clients: clients.transpose()?,
    })
}

/// How many connections more than there may be sessions can stand at their start-up.
const START_UPS_BEYOND: usize = 100;

pub(super) fn wire(config: &Config, tls: Option<wire::Tls>) -> WireOptions {
    WireOptions {
        tls,
        plain: match config.plain {
            config::PlainClients::Refused => wire::PlainClients::Refused,
            config::PlainClients::OnLoopback => wire::PlainClients::OnLoopback,
            config::PlainClients::Allowed => wire::PlainClients::Allowed,
        },
        certificates: config.tls.as_ref().and_then(|tls| tls.clients.as_ref()).map(certificate_rules),
        tokens: config.tokens.as_ref().map(token_offer),
        connections_max: config.limits.connections,
        // All sessions may come back at once, as they do after a restart.
        start_ups_max: config.limits.connections.saturating_add(START_UPS_BEYOND),
        authentication_timeout: Duration::from_millis(config.limits.authentication_timeout_ms),
        drain_grace: Duration::from_millis(config.limits.shutdown_timeout_ms),
        ..WireOptions::default()
    }
}

/// Says what an operator may not expect of an address that is open to others.
pub(super) fn warn_of_plain_clients(config: &Config, address: SocketAddr) {
    if address.ip().is_loopback() {
        return;
    }
    match config.plain {
        config::PlainClients::OnLoopback if config.tls.is_none() => {
            tracing::warn!(%address, "there is no TLS, so clients from elsewhere than this machine are refused; set tls.certificate and tls.key");
        }
        config::PlainClients::Refused | config::PlainClients::OnLoopback => {}
        config::PlainClients::Allowed => {
            tracing::warn!(%address, "clients may connect without TLS: whoever is between reads what they read");
        }
    }
}

fn certificate_rules(clients: &config::ClientCertificates) -> CertificateRules {
    let mapping = |user: &config::CertificateUserSpec| CertificateMapping {
        from: match user.from {
            config::CertificateName::CommonName => NameKind::CommonName,
            config::CertificateName::Email => NameKind::Email,
            config::CertificateName::Dns => NameKind::Dns,
            config::CertificateName::Uri => NameKind::Uri,
        },
        name: user.name.clone(),
        login: user.login.clone(),
    };
    CertificateRules { required: clients.required, alone: clients.alone, users: clients.users.iter().map(mapping).collect() }
}

/// What clients are told: of several issuers, the first.
fn token_offer(tokens: &config::Tokens) -> wire::TokenOffer {
    let first = tokens.issuers.first();
    wire::TokenOffer {
        password_field: tokens.password_field,
        plain_on_loopback: tokens.plain_on_loopback,
        openid_configuration: first.map(|issuer| super::tokens::openid_configuration(&issuer.issuer)).unwrap_or_default(),
        scope: first.map(|issuer| issuer.scope.clone()).unwrap_or_default(),
    }
}

pub(super) fn token_rules(issuer: &config::Issuer) -> TokenRules {
    let algorithm = |algorithm: &config::TokenAlgorithm| match algorithm {
        config::TokenAlgorithm::Rs256 => Algorithm::Rs256,
        config::TokenAlgorithm::Rs384 => Algorithm::Rs384,
        config::TokenAlgorithm::Rs512 => Algorithm::Rs512,
        config::TokenAlgorithm::Ps256 => Algorithm::Ps256,
        config::TokenAlgorithm::Ps384 => Algorithm::Ps384,
        config::TokenAlgorithm::Ps512 => Algorithm::Ps512,
        config::TokenAlgorithm::Es256 => Algorithm::Es256,
        config::TokenAlgorithm::Es384 => Algorithm::Es384,
        config::TokenAlgorithm::EdDsa => Algorithm::EdDsa,
    };
    let path = |names: &config::ClaimNames| ClaimPath(names.clone());
    let claims = &issuer.claims;
    TokenRules {
        issuer: issuer.issuer.clone(),
        audiences: issuer.audiences.clone(),
        algorithms: issuer.algorithms.iter().map(algorithm).collect(),
        leeway: issuer.leeway,
        grace: issuer.grace,
        claims: ClaimMapping {
            user: path(&claims.user),
            roles: claims.roles.iter().map(path).collect(),
            groups: claims.groups.iter().map(path).collect(),
            is_data_steward: claims.is_data_steward.as_ref().map(path),
            attributes: claims.attributes.iter().map(|(name, names)| (name.clone(), path(names))).collect(),
            product: claims.product.as_ref().map(path),
        },
    }
}
