//! What is recorded: one struct for each kind of record, with the fields in the order in which they are written.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::SqlState;
use crate::policy::{Decision, Outcome, Question, RequestedField};
use crate::product::{PortName, ProductRef};

/// A record without its envelope (version, number, time, hashes).
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
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
    /// The contract of a data product has come, changed or gone while the gateway served.
    Registration(Registration),
    /// The first record of each segment.
    SegmentOpened(SegmentOpened),
    /// The oldest segments are past their retention and are about to be removed.
    SegmentsRemoved(SegmentsRemoved),
    /// Notes that found the queue full and were not recorded.
    RecordsLost(RecordsLost),
}

/// `statement_opened`
#[derive(Debug, Clone, Default, Serialize)]
pub struct StatementOpened {
    /// The statement's id (UUID v7).
    #[serde(serialize_with = "uuid_text")]
    pub query_id: Uuid,
    /// The session's id.
    pub session_id: String,
    /// The login's name.
    pub principal: String,
    /// The principal's roles at login.
    pub roles: Vec<String>,
    /// The data product in whose name the principal reads (`domain/product`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<String>,
    /// `application_name`, as the client claims.
    pub application_name: String,
    /// `meshgate.purpose`, as the client claims.
    pub purpose: Option<String>,
    /// Address and port of the client.
    pub client_address: Option<String>,
    /// The database of the connection.
    pub database: String,
    /// The text as sent. The log leaves it out if it is configured to keep fingerprints only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// SHA-256 of the text without literals and comments; filled in by the log.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sql_fingerprint: String,
    /// `query`, `catalog_query`, `copy_out`, `cursor`, `explain`, …
    pub statement_class: String,
    /// The data products that the statement reads.
    pub products: Vec<ProductAccess>,
    /// The catalog's revision.
    pub snapshot_revision: String,
    /// The policy bundle's revision.
    pub bundle_revision: String,
}

/// One product of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProductAccess {
    /// The owning domain.
    pub domain: String,
    /// The product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// The output port.
    pub port: String,
    /// The fields that are read.
    pub fields: Vec<FieldAccess>,
    /// The decision on it.
    #[serde(serialize_with = "optional_uuid_text")]
    pub decision_id: Option<Uuid>,
}

/// One field of a product and how it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldAccess {
    /// The field.
    pub name: String,
    /// `projected`, `filtered`, `joined`, `grouped`, `sorted`, `aggregated`.
    pub uses: Vec<&'static str>,
    /// The result's columns that are made from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}

impl ProductAccess {
    /// The access that a decision is about.
    pub fn new(product: &ProductRef, port: &PortName, fields: &[RequestedField], decision_id: Option<Uuid>) -> Self {
        Self {
            domain: product.domain.to_string(),
            product: product.name.to_string(),
            version: product.version.to_string(),
            port: port.to_string(),
            fields: fields
                .iter()
                .map(|field| FieldAccess {
                    name: field.name.to_string(),
                    uses: field.uses.iter().map(|field_use| field_use.as_str()).collect(),
                    outputs: Vec::new(),
                })
                .collect(),
            decision_id,
        }
    }
}

/// Allow or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionOutcome {
    /// Rows may be read, under the obligations that the record names.
    Allow,
    /// Nothing may be read.
    Deny,
}

/// A masked field of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MaskedField {
    /// The field.
    pub field: String,
    /// The mask's name.
    pub mask: String,
}

/// `decision`: the fields of OPA's decision log, and what enforcement was told.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionRecord {
    /// The statement.
    #[serde(serialize_with = "uuid_text")]
    pub query_id: Uuid,
    /// The decision's id.
    #[serde(serialize_with = "uuid_text")]
    pub decision_id: Uuid,
    /// The policy path that was asked.
    pub path: String,
    /// What was asked.
    pub input: Question,
    /// What was answered.
    #[serde(serialize_with = "shared")]
    pub result: Arc<Value>,
    /// Bundle name → `{"revision": …}`.
    pub bundles: Value,
    /// When it was decided (RFC 3339, UTC).
    pub timestamp: String,
    /// `timer_rego_query_eval_ns`.
    pub metrics: Value,
    /// JSON pointers of what was removed from `input` and `result`.
    pub erased: Vec<String>,
    /// JSON pointers of what was replaced in `input` and `result`.
    pub masked: Vec<String>,
    /// The product.
    pub domain: String,
    /// The product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// The output port.
    pub port: String,
    /// Allow or deny.
    pub outcome: DecisionOutcome,
    /// The rules that had a part in it.
    #[serde(serialize_with = "shared")]
    pub rules: Arc<[String]>,
    /// The public reasons of a denial.
    pub reasons: Vec<String>,
    /// The masked fields.
    pub masks: Vec<MaskedField>,
    /// Whether a row filter or an exclusion hides rows.
    pub row_limited: bool,
}

impl DecisionRecord {
    /// The record of a decision that took `elapsed` and was made at `at`.
    pub fn new(query_id: Uuid, path: impl Into<String>, decision: &Decision, at: DateTime<Utc>, elapsed: Duration) -> Self {
        let (outcome, reasons, masks, row_limited) = match &decision.outcome {
            Outcome::Allow(obligations) => (
                DecisionOutcome::Allow,
                Vec::new(),
                obligations
                    .masks
                    .iter()
                    .map(|(field, mask)| MaskedField { field: field.to_string(), mask: mask.as_str().to_owned() })
                    .collect(),
                !obligations.row_filter.is_true() || obligations.exclusion.is_some(),
            ),
            Outcome::Deny(reasons) => {
                (DecisionOutcome::Deny, reasons.iter().map(|reason| reason.message.clone()).collect(), Vec::new(), false)
            }
        };
        Self {
            query_id,
            decision_id: decision.id.0,
            path: path.into(),
            input: decision.input.clone(),
            result: Arc::clone(&decision.result),
            bundles: json!({"meshgate": {"revision": &*decision.bundle_revision}}),
            timestamp: timestamp(at),
            metrics: json!({"timer_rego_query_eval_ns": u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)}),
            erased: Vec::new(),
            masked: Vec::new(),
            domain: decision.product.domain.to_string(),
            product: decision.product.name.to_string(),
            version: decision.product.version.to_string(),
            port: decision.port.to_string(),
            outcome,
            rules: Arc::clone(&decision.rules),
            reasons,
            masks,
            row_limited,
        }
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
#[derive(Debug, Clone, Default, Serialize)]
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

fn shared<T: Serialize + ?Sized, S: Serializer>(value: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
    T::serialize(value, serializer)
}

fn optional_uuid_text<S: Serializer>(id: &Option<Uuid>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}
