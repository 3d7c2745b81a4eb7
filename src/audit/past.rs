//! Recorded statements as they are read back: opening, decisions and closing of each in one.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A statement of the past.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct PastStatement {
    /// When it began.
    pub at: DateTime<Utc>,
    /// Its id.
    pub query_id: String,
    /// Its session's id.
    pub session_id: String,
    /// The login.
    pub principal: String,
    /// The login's roles.
    pub roles: Vec<String>,
    /// The product in whose name the login read (`domain/product`).
    pub stands_for: Option<String>,
    /// As the client claimed.
    pub application_name: String,
    /// As the client claimed.
    pub purpose: Option<String>,
    /// Address and port of the client.
    pub client_address: Option<String>,
    /// The database of the connection.
    pub database: String,
    /// The text, if it is kept.
    pub sql: Option<String>,
    /// The hash of the text without literals.
    #[serde(default)]
    pub sql_fingerprint: String,
    /// `query`, `explain`, …
    pub statement_class: String,
    /// What it read.
    pub products: Vec<PastAccess>,
    /// The catalog's revision.
    pub snapshot_revision: String,
    /// The policies' revision.
    pub bundle_revision: String,
    /// What was decided, a product each.
    #[serde(skip)]
    pub decisions: Vec<PastJudgement>,
    /// How it ended; `None`: it runs, or its process was killed.
    #[serde(skip)]
    pub end: Option<PastEnd>,
}

/// A product of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct PastAccess {
    /// The owning domain.
    pub domain: String,
    /// The product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// The output port.
    pub port: String,
    /// The fields.
    pub fields: Vec<PastField>,
    /// The decision on it.
    pub decision_id: Option<String>,
}

/// A field of a product that a statement read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct PastField {
    /// The field.
    pub name: String,
    /// How it was used.
    pub uses: Vec<String>,
    /// The result's columns that were made from it.
    #[serde(default)]
    pub outputs: Vec<String>,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PastJudgement {
    /// Its id.
    pub decision_id: String,
    /// What it was about.
    pub domain: String,
    /// What it was about.
    pub product: String,
    /// What it was about.
    pub version: String,
    /// What it was about.
    pub port: String,
    /// `allow` or `deny`.
    pub outcome: String,
    /// The rules that had a part in it.
    pub rules: Vec<String>,
    /// The public reasons of a denial.
    pub reasons: Vec<String>,
    /// Masked fields and their masks.
    pub masks: Vec<PastMask>,
    /// Whether rows were hidden.
    pub row_limited: bool,
    /// The fields that held personal data by the contract of then; `None` if the record does not tell.
    pub personal: Option<HashSet<String>>,
}

/// A masked field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PastMask {
    /// The field.
    pub field: String,
    /// The mask.
    pub mask: String,
}

/// How a statement ended.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PastEnd {
    /// When.
    pub at: DateTime<Utc>,
    /// `completed`, `failed`, …
    pub outcome: String,
    /// What the client was sent.
    pub sqlstate: Option<String>,
    /// Rows handed over.
    pub rows: i64,
    /// Bytes handed over.
    pub bytes: i64,
    /// Stage → milliseconds.
    pub durations_ms: Map<String, Value>,
    /// The run of the lineage events.
    pub lineage_run_id: Option<String>,
}

/// A decision as it is written.
#[derive(Deserialize)]
pub(super) struct RawJudgement {
    pub(super) query_id: String,
    decision_id: String,
    domain: String,
    product: String,
    version: String,
    port: String,
    outcome: String,
    rules: Vec<String>,
    reasons: Vec<String>,
    masks: Vec<PastMask>,
    row_limited: bool,
    input: Asked,
}

/// The part of the question that tells of the contract.
#[derive(Deserialize)]
struct Asked {
    resource: Option<AskedResource>,
}

#[derive(Deserialize)]
struct AskedResource {
    columns: Option<Vec<AskedColumn>>,
}

#[derive(Deserialize)]
struct AskedColumn {
    name: String,
    #[serde(default)]
    pii: bool,
}

impl From<RawJudgement> for PastJudgement {
    fn from(raw: RawJudgement) -> Self {
        let columns = raw.input.resource.and_then(|resource| resource.columns);
        let personal = columns.map(|columns| columns.into_iter().filter(|column| column.pii).map(|column| column.name).collect());
        let RawJudgement { decision_id, domain, product, version, port, outcome, rules, reasons, masks, row_limited, .. } = raw;
        Self { decision_id, domain, product, version, port, outcome, rules, reasons, masks, row_limited, personal }
    }
}

/// A closing as it is written: its statement, and the end.
#[derive(Deserialize)]
pub(super) struct RawClosing {
    pub(super) query_id: String,
}

impl PastStatement {
    /// The decision on one of its products.
    pub fn decision(&self, access: &PastAccess) -> Option<&PastJudgement> {
        let id = access.decision_id.as_ref()?;
        self.decisions.iter().find(|decision| &decision.decision_id == id)
    }
}

impl PastJudgement {
    /// Whether the field was delivered masked.
    pub fn masks(&self, field: &str) -> bool {
        self.masks.iter().any(|mask| mask.field == field)
    }
}
