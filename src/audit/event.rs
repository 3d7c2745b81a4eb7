//! What is recorded: one struct for each kind of record, with the fields in the order in which they are written.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use crate::error::SqlState;
use crate::policy::{Decision, Obligations, Outcome, RequestedField};
use crate::product::{FieldName, PortName, ProductRef};

use super::fields::{Fields, json, list};
use super::origin::WrittenOrigin;

/// A record without its envelope (version, number, time, hashes).
#[derive(Debug, Clone)]
pub enum Event {
    /// A statement is about to run, or has been denied.
    StatementOpened(Box<StatementOpened>),
    /// A policy answered for one product of a statement.
    Decision(Box<DecisionRecord>),
    /// A statement ended.
    StatementClosed(StatementClosed),
    /// A client logged in.
    ConnectionOpened(ConnectionOpened),
    /// A client went.
    ConnectionClosed(ConnectionClosed),
    /// A login was refused.
    LoginFailed(LoginFailed),
    /// Contracts, policies or another part were loaded again.
    Reload(Reload),
    /// The contract of a data product has come, changed or gone.
    Registration(Registration),
    /// Which contracts are in force.
    Contracts(Contracts),
    /// The first record of each segment.
    SegmentOpened(SegmentOpened),
    /// The oldest segments are past their retention and are about to be removed.
    SegmentsRemoved(SegmentsRemoved),
    /// Notes that found the queue full and were not recorded.
    RecordsLost(RecordsLost),
}

impl Event {
    /// Appends the fields, the kind first, each behind a comma.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match self {
            Self::StatementOpened(record) => {
                record.write(Fields::more(out).value("kind", "statement_opened"));
                Ok(())
            }
            Self::Decision(record) => {
                record.write(Fields::more(out).value("kind", "decision"));
                Ok(())
            }
            Self::StatementClosed(record) => fields("statement_closed", record, out),
            Self::ConnectionOpened(record) => fields("connection_opened", record, out),
            Self::ConnectionClosed(record) => fields("connection_closed", record, out),
            Self::LoginFailed(record) => fields("login_failed", record, out),
            Self::Reload(record) => fields("reload", record, out),
            Self::Registration(record) => fields("registration", record, out),
            Self::Contracts(record) => fields("contracts", record, out),
            Self::SegmentOpened(record) => fields("segment_opened", record, out),
            Self::SegmentsRemoved(record) => fields("segments_removed", record, out),
            Self::RecordsLost(record) => fields("records_lost", record, out),
        }
    }
}

/// The kind, and the fields of a record that has some.
fn fields(kind: &str, record: &impl Serialize, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    Fields::more(out).value("kind", kind);
    let brace = out.len();
    serde_json::to_writer(&mut *out, record)?;
    // What is an object by itself goes on behind what stands there.
    if let Some(brace) = out.get_mut(brace) {
        *brace = b',';
    }
    out.pop();
    Ok(())
}

/// `statement_opened`
#[derive(Debug, Clone, Default)]
pub struct StatementOpened {
    /// The statement's id (UUID v7).
    pub query_id: Uuid,
    /// Who asks, and from where.
    pub origin: WrittenOrigin,
    /// The text as sent. The log leaves it out if it is configured to keep fingerprints only.
    pub sql: Option<String>,
    /// SHA-256 of the text without literals and comments; filled in by the log.
    pub sql_fingerprint: String,
    /// `query`, `catalog_query`, `copy_out`, `cursor`, `explain`, …
    pub statement_class: &'static str,
    /// The data products that the statement reads.
    pub products: Vec<ProductAccess>,
    /// The catalog's revision.
    pub snapshot_revision: Arc<str>,
    /// The policy bundle's revision.
    pub bundle_revision: Arc<str>,
}

impl StatementOpened {
    fn write(&self, fields: &mut Fields<'_>) {
        fields.id("query_id", &self.query_id).written(self.origin.fields());
        if let Some(sql) = &self.sql {
            fields.value("sql", sql);
        }
        if !self.sql_fingerprint.is_empty() {
            fields.value("sql_fingerprint", &self.sql_fingerprint);
        }
        fields
            .value("statement_class", self.statement_class)
            .with("products", |out| list(out, &self.products, |out, access| access.write(out)))
            .value("snapshot_revision", &*self.snapshot_revision)
            .value("bundle_revision", &*self.bundle_revision);
    }
}

#[cfg(test)]
impl StatementOpened {
    /// A statement of that number, by that principal.
    pub(crate) fn by(number: u128, principal: &str) -> Self {
        let origin = super::Origin { principal: principal.to_owned(), ..super::Origin::default() };
        Self { query_id: Uuid::from_u128(number), origin: origin.written(), ..Self::default() }
    }
}

/// One product of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductAccess {
    /// The product.
    pub product: ProductRef,
    /// The output port.
    pub port: PortName,
    /// The fields that are read.
    pub fields: Arc<[FieldAccess]>,
    /// The decision on it.
    pub decision_id: Option<Uuid>,
}

/// One field of a product and how it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldAccess {
    /// The field.
    pub name: FieldName,
    /// `projected`, `filtered`, `joined`, `grouped`, `sorted`, `aggregated`.
    pub uses: Vec<&'static str>,
    /// The result's columns that are made from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}

impl FieldAccess {
    /// Fields that are asked for; what is made from them is not known yet.
    pub fn all(fields: &[RequestedField]) -> Arc<[Self]> {
        let access = |field: &RequestedField| Self {
            name: field.name.clone(),
            uses: field.uses.iter().map(|field_use| field_use.as_str()).collect(),
            outputs: Vec::new(),
        };
        fields.iter().map(access).collect()
    }
}

impl ProductAccess {
    fn write(&self, out: &mut Vec<u8>) {
        let mut fields = Fields::of_object(out);
        fields
            .value("domain", &self.product.domain)
            .value("product", &self.product.name)
            .value("version", &self.product.version.to_string())
            .value("port", &self.port)
            .value("fields", &*self.fields);
        match &self.decision_id {
            Some(id) => fields.id("decision_id", id).end(),
            None => fields.value("decision_id", &()).end(),
        }
    }
}

/// `decision`: the fields of OPA's decision log, and what enforcement was told.
#[derive(Debug, Clone)]
pub struct DecisionRecord {
    /// The statement.
    pub query_id: Uuid,
    /// The policy path that was asked.
    pub path: &'static str,
    /// What was asked and answered.
    pub decision: Arc<Decision>,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// How long that took.
    pub elapsed: Duration,
}

impl DecisionRecord {
    fn write(&self, fields: &mut Fields<'_>) {
        let decision = &*self.decision;
        let (outcome, reasons, obligations) = match &decision.outcome {
            Outcome::Allow(obligations) => ("allow", &[][..], Some(obligations)),
            Outcome::Deny(reasons) => ("deny", reasons.as_slice(), None),
        };
        let limits = |obligations: &Obligations| !obligations.row_filter.is_true() || obligations.exclusion.is_some();
        let none: [&str; 0] = [];
        fields
            .id("query_id", &self.query_id)
            .id("decision_id", &decision.id.0)
            .value("path", self.path)
            .with("input", |out| decision.input.write_json(out))
            .with("result", |out| out.extend_from_slice(decision.result.as_json()))
            .with("bundles", |out| {
                let revision = |out: &mut Vec<u8>| Fields::of_object(out).value("revision", &*decision.bundle_revision).end();
                Fields::of_object(out).with("meshgate", revision).end();
            })
            .value("timestamp", &timestamp(self.at))
            .with("metrics", |out| {
                let spent = u64::try_from(self.elapsed.as_nanos()).unwrap_or(u64::MAX);
                Fields::of_object(out).value("timer_rego_query_eval_ns", &spent).end();
            })
            // JSON pointers of what was removed from, or replaced in, `input` and `result`: nothing is.
            .value("erased", &none)
            .value("masked", &none)
            .value("domain", &decision.product.domain)
            .value("product", &decision.product.name)
            .value("version", &decision.product.version.to_string())
            .value("port", &decision.port)
            .value("outcome", outcome)
            .value("rules", &*decision.rules)
            .with("reasons", |out| list(out, reasons, |out, reason| json(out, &reason.message)))
            .with("masks", |out| {
                let masks = obligations.into_iter().flat_map(|obligations| &obligations.masks);
                list(out, masks, |out, (field, mask)| Fields::of_object(out).value("field", field).value("mask", mask.as_str()).end());
            })
            .value("row_limited", &obligations.is_some_and(limits));
    }
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementOutcome {
    /// Every row was handed over.
    Completed,
    /// An error ended it.
    Failed,
    /// A policy denied it.
    Denied,
    /// The client or a deadline cancelled it.
    Cancelled,
    /// The connection or the gateway went away.
    Aborted,
}

/// What the engine says when a statement ends; the counts are the open statement's own.
#[derive(Debug, Clone, Copy)]
pub struct Closing {
    /// How it ended.
    pub outcome: StatementOutcome,
    /// The code that the client was sent, if it was an error.
    pub sqlstate: Option<SqlState>,
    /// The run of the statement's lineage events, if there are any.
    pub lineage_run_id: Option<Uuid>,
}

impl Closing {
    /// Every row was handed over.
    pub fn completed() -> Self {
        Self { outcome: StatementOutcome::Completed, sqlstate: None, lineage_run_id: None }
    }

    /// A policy denied it.
    pub fn denied() -> Self {
        Self { outcome: StatementOutcome::Denied, sqlstate: Some(SqlState::INSUFFICIENT_PRIVILEGE), lineage_run_id: None }
    }

    /// An error ended it; `57014` means cancelled.
    pub fn failed(sqlstate: SqlState) -> Self {
        let outcome = if sqlstate == SqlState::QUERY_CANCELED { StatementOutcome::Cancelled } else { StatementOutcome::Failed };
        Self { outcome, sqlstate: Some(sqlstate), lineage_run_id: None }
    }

    /// The connection or the gateway went away.
    pub fn aborted() -> Self {
        Self { outcome: StatementOutcome::Aborted, sqlstate: None, lineage_run_id: None }
    }

    /// The same with the run of the lineage events.
    #[must_use]
    pub fn with_lineage_run(mut self, run_id: Uuid) -> Self {
        self.lineage_run_id = Some(run_id);
        self
    }
}

/// `statement_closed`
#[derive(Debug, Clone, Serialize)]
pub struct StatementClosed {
    /// The statement.
    #[serde(serialize_with = "uuid_text")]
    pub query_id: Uuid,
    /// How it ended.
    pub outcome: StatementOutcome,
    /// The code that the client was sent.
    pub sqlstate: Option<&'static str>,
    /// Rows handed to the connection.
    pub rows: u64,
    /// Bytes handed to the connection.
    pub bytes: u64,
    /// Milliseconds spent in each stage, in the order of the stages.
    pub durations_ms: Durations,
    /// The run of the lineage events.
    #[serde(serialize_with = "optional_uuid_text")]
    pub lineage_run_id: Option<Uuid>,
}

impl StatementClosed {
    /// The end of a statement that handed over no row.
    pub(super) fn without_rows(query_id: Uuid, closing: Closing) -> Self {
        let Closing { outcome, sqlstate, lineage_run_id } = closing;
        Self {
            query_id,
            outcome,
            sqlstate: sqlstate.map(|code| code.as_str()),
            rows: 0,
            bytes: 0,
            durations_ms: Durations::default(),
            lineage_run_id,
        }
    }
}

/// Stage → time spent in it.
#[derive(Debug, Clone, Default)]
pub struct Durations(pub Vec<(&'static str, Duration)>);

impl Serialize for Durations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (stage, spent) in &self.0 {
            let micros = u32::try_from(spent.as_micros()).unwrap_or(u32::MAX);
            map.serialize_entry(stage, &(f64::from(micros) / 1000.0))?;
        }
        map.end()
    }
}

/// `connection_opened`
#[derive(Debug, Clone, Default, Serialize)]
pub struct ConnectionOpened {
    /// The session's id.
    pub session_id: String,
    /// The login's name.
    pub principal: String,
    /// The principal's roles.
    pub roles: Vec<String>,
    /// Address and port of the client.
    pub client_address: Option<String>,
    /// The database that was named.
    pub database: String,
    /// `application_name`, as the client claims.
    pub application_name: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// How the login was proved: `password`, `certificate` or `token`.
    pub proof: String,
    /// Who issued the token, if it was one.
    pub issuer: Option<String>,
}

/// `connection_closed`
#[derive(Debug, Clone, Default, Serialize)]
pub struct ConnectionClosed {
    /// The session's id.
    pub session_id: String,
    /// The login's name.
    pub principal: String,
    /// `terminated`, `lost`, `idle`, `shutdown`, …
    pub reason: String,
    /// Statements that ran.
    pub statements: u64,
}

/// `login_failed`
#[derive(Debug, Clone, Default, Serialize)]
pub struct LoginFailed {
    /// The name that was tried, as sent.
    pub user: String,
    /// Address and port of the client.
    pub client_address: Option<String>,
    /// The database that was named.
    pub database: String,
    /// The code that the client was sent.
    pub sqlstate: String,
    /// Why, which the client is not told.
    pub reason: String,
}

/// `reload`
#[derive(Debug, Clone, Default, Serialize)]
pub struct Reload {
    /// `catalog`, `policies`, `identities`, `erasure_list`, `config`.
    pub what: String,
    /// The revision that serves afterwards.
    pub revision: String,
    /// `replaced`, `unchanged` or `refused`.
    pub outcome: String,
    /// How many faults were found.
    pub faults: u64,
}

/// `registration`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Registration {
    /// `registered`, `changed` or `withdrawn`.
    pub change: String,
    /// The product's domain.
    pub domain: String,
    /// The product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Who owns it.
    pub owner: String,
    /// The catalog's revision that serves afterwards.
    pub snapshot_revision: String,
}

/// `contracts`: those in force from here on; what a start compares its own with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contracts {
    /// The catalog's revision.
    pub snapshot_revision: String,
    /// Each of them.
    pub contracts: Vec<ContractInForce>,
}

/// A contract.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractInForce {
    /// The product's domain.
    pub domain: String,
    /// The product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Who owns it.
    pub owner: String,
    /// What tells the contract's text from others.
    pub digest: String,
}

/// `segment_opened`
#[derive(Debug, Clone, Serialize)]
pub struct SegmentOpened {
    /// The segment's own name.
    pub segment: String,
    /// Why it was opened.
    pub reason: SegmentReason,
    /// The segment that it continues.
    pub previous_segment: Option<String>,
    /// When the first of the records of that segment was made (RFC 3339, UTC), by the time that they carry.
    pub previous_from: Option<String>,
    /// When the last of them was made.
    pub previous_to: Option<String>,
    /// Bytes of a torn last line that were cut off the previous segment.
    pub cut_bytes: u64,
    /// The version of the program.
    pub program_version: &'static str,
}

/// Why a segment was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentReason {
    /// The gateway started.
    Started,
    /// The previous segment reached its size.
    Rotated,
    /// The previous segment could not be written or synced; what it holds from this record's number on is void.
    Recovered,
}

/// `segments_removed`
#[derive(Debug, Clone, Serialize)]
pub struct SegmentsRemoved {
    /// How many segments.
    pub segments: u64,
    /// The number of the last record in them.
    pub through_seq: u64,
    /// Its hash, to which the first record that is kept is tied.
    pub through_hash: String,
}

/// `records_lost`
#[derive(Debug, Clone, Serialize)]
pub struct RecordsLost {
    /// How many notes.
    pub count: u64,
}

/// RFC 3339 with microseconds, UTC.
pub(super) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn uuid_text<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn optional_uuid_text<S: Serializer>(id: &Option<Uuid>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}
