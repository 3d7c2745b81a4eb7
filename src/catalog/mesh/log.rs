//! The relations over the audit log: statements, decisions, and which fields were read.
//!
//! INVARIANT: rows are made while they are read, a batch at a time; a question about some days opens only the segments that can hold them, and
//! of closed segments the columns that it asks for, where they are copied.
//! What a policy was asked and answered in its own words is not here: it may tell of roles and ages.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;

use crate::audit::{During, PastAccess, PastField, PastJudgement, PastStatement, Place, Reader};
use crate::error::ClientMessage;
use crate::ports;
use crate::product::{DomainName, FieldName, NameError, OWN_SCHEMA, OwnRows, PortName, ProductName, ProductRef, Version};

use super::copies::{self, Copies, Found};
use super::during::{DAY, INSTANT, during};
use super::filling::Filling;
use super::{MeshSources, Relation, Value, dataset_urn, field, field_urn};

/// Batches that wait for whoever reads.
const BATCHES_WAITING: usize = 2;

/// The one port of each relation.
const PORT: &str = "log";

/// The column that says whose a row is.
const LOGIN: &str = "principal";

/// What a row is about.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) statement: &'a PastStatement,
    pub(super) decision: Option<&'a PastJudgement>,
    pub(super) access: Option<&'a PastAccess>,
    pub(super) field: Option<&'a PastField>,
}

/// A column of such a relation.
pub(super) struct LogColumn {
    name: &'static str,
    data_type: &'static str,
    about: &'static str,
    pub(super) value: for<'a> fn(&Item<'a>) -> Value,
}

/// What makes one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Each {
    Statement,
    Decision,
    Field,
}

/// A relation over the log.
pub(super) struct LogRelation {
    pub(super) name: &'static str,
    about: &'static str,
    pub(super) each: Each,
    pub(super) columns: &'static [LogColumn],
}

impl LogRelation {
    /// Every one.
    pub(super) fn all() -> &'static [Self] {
        &RELATIONS
    }

    /// Its columns as they are read.
    pub(super) fn schema(&self) -> Result<SchemaRef, DataFusionError> {
        let fields = self.columns.iter().map(|column| field(&(column.name, column.data_type, column.about)));
        let fields = fields.collect::<Result<Vec<_>, _>>().map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(ports::arrow_schema(&fields))
    }
}

/// The names of the relations, with the names and types of their columns.
pub(super) fn layouts() -> impl Iterator<Item = (&'static str, Vec<(&'static str, &'static str)>)> {
    RELATIONS.iter().map(|relation| (relation.name, relation.columns.iter().map(|column| (column.name, column.data_type)).collect()))
}

const fn column(name: &'static str, data_type: &'static str, about: &'static str, value: for<'a> fn(&Item<'a>) -> Value) -> LogColumn {
    LogColumn { name, data_type, about, value }
}

static RELATIONS: [LogRelation; 3] = [
    LogRelation { name: "access_log", about: "every statement, and how it ended", each: Each::Statement, columns: &ACCESS_LOG },
    LogRelation {
        name: "decisions",
        about: "what the policies answered for each product of a statement",
        each: Each::Decision,
        columns: &DECISIONS,
    },
    LogRelation { name: "lineage", about: "which fields of which product a statement used, and how", each: Each::Field, columns: &LINEAGE },
];

static ACCESS_LOG: [LogColumn; 25] = [
    column(INSTANT, "timestamptz", "when the statement began", |item| instant(item.statement.at)),
    column(DAY, "date", "the day of that, UTC", |item| day(item.statement.at)),
    column("query_id", "uuid", "the statement", |item| (&item.statement.query_id).into()),
    column("session_id", "string", "the session", |item| (&item.statement.session_id).into()),
    column(LOGIN, "string", "the login", |item| (&item.statement.principal).into()),
    column("roles", "list<string>", "its roles then", |item| item.statement.roles.clone().into()),
    column("application_name", "string", "as the client claimed", |item| (&item.statement.application_name).into()),
    column("purpose", "string", "as the client claimed", |item| item.statement.purpose.clone().into()),
    column("client_address", "string", "address and port", |item| item.statement.client_address.clone().into()),
    column("database", "string", "as named at the start of the connection", |item| (&item.statement.database).into()),
    column("statement_class", "string", "query, explain, cursor, copy_out, setting, …", |item| (&item.statement.statement_class).into()),
    column("sql", "string", "the text, unless only fingerprints are kept", |item| item.statement.sql.clone().into()),
    column("sql_fingerprint", "string", "a hash of the text without literals", |item| (&item.statement.sql_fingerprint).into()),
    column("products", "list<string>", "the products that it was to read", |item| {
        item.statement.products.iter().map(|access| format!("{}/{}", access.domain, access.product)).collect::<Vec<_>>().into()
    }),
    column("outcome", "string", "completed, failed, denied, cancelled or aborted; NULL: it runs, or its process was killed", |item| {
        item.statement.end.as_ref().map(|end| &end.outcome).into()
    }),
    column("sqlstate", "string", "the code that the client was sent", |item| {
        item.statement.end.as_ref().and_then(|end| end.sqlstate.as_ref()).into()
    }),
    column("rows", "int64", "rows handed to the connection", |item| item.statement.end.as_ref().map(|end| end.rows).into()),
    column("bytes", "int64", "bytes handed to the connection", |item| item.statement.end.as_ref().map(|end| end.bytes).into()),
    column("ended_at", "timestamptz", "when it ended", |item| item.statement.end.as_ref().map_or(Value::Null, |end| instant(end.at))),
    column("duration_ms", "float64", "from its beginning to its end", |item| {
        let ended = item.statement.end.as_ref().map(|end| end.at - item.statement.at);
        ended
            .and_then(|spent| spent.num_microseconds())
            .and_then(|micros| i32::try_from(micros / 10).ok())
            .map(|spent| f64::from(spent) / 100.0)
            .into()
    }),
    column("durations_ms", "json", "step → milliseconds", |item| {
        item.statement.end.as_ref().and_then(|end| serde_json::to_string(&end.durations_ms).ok()).into()
    }),
    column("lineage_run_id", "uuid", "the run of its OpenLineage events", |item| {
        item.statement.end.as_ref().and_then(|end| end.lineage_run_id.as_ref()).into()
    }),
    column("snapshot_revision", "string", "the contracts in force", |item| (&item.statement.snapshot_revision).into()),
    column("bundle_revision", "string", "the policies in force", |item| (&item.statement.bundle_revision).into()),
    column("reads_personal_data", "boolean", "whether it was let see a field with personal data, masked or not", |item| {
        item.statement
            .products
            .iter()
            .any(|access| {
                let allowed = item.statement.decision(access).filter(|decision| decision.outcome == "allow");
                let personal = allowed.and_then(|decision| decision.personal.as_ref());
                personal.is_some_and(|personal| access.fields.iter().any(|field| personal.contains(&field.name)))
            })
            .into()
    }),
];

static DECISIONS: [LogColumn; 20] = [
    column(INSTANT, "timestamptz", "when the statement began", |item| instant(item.statement.at)),
    column(DAY, "date", "the day of that, UTC", |item| day(item.statement.at)),
    column("query_id", "uuid", "the statement", |item| (&item.statement.query_id).into()),
    column("decision_id", "uuid", "the decision", |item| item.decision.map(|decision| &decision.decision_id).into()),
    column(LOGIN, "string", "the login that asked", |item| (&item.statement.principal).into()),
    column("roles", "list<string>", "its roles then", |item| item.statement.roles.clone().into()),
    column("purpose", "string", "as the client claimed", |item| item.statement.purpose.clone().into()),
    column("statement_class", "string", "query, explain, explain_policy, …", |item| (&item.statement.statement_class).into()),
    column("domain", "string", "the product's domain", |item| item.decision.map(|decision| &decision.domain).into()),
    column("product", "string", "the product", |item| item.decision.map(|decision| &decision.product).into()),
    column("version", "string", "its version", |item| item.decision.map(|decision| &decision.version).into()),
    column("port", "string", "the output port", |item| item.decision.map(|decision| &decision.port).into()),
    column("outcome", "string", "allow or deny", |item| item.decision.map(|decision| &decision.outcome).into()),
    column("rules", "list<string>", "the rules that had a part in it", |item| item.decision.map(|decision| decision.rules.clone()).into()),
    column("reasons", "list<string>", "the public reasons of a denial", |item| {
        item.decision.map(|decision| decision.reasons.clone()).into()
    }),
    column("masked_fields", "list<string>", "the fields that were masked", |item| {
        item.decision.map(|decision| decision.masks.iter().map(|mask| mask.field.clone()).collect::<Vec<_>>()).into()
    }),
    column("masks", "list<string>", "their masks, in the same order", |item| {
        item.decision.map(|decision| decision.masks.iter().map(|mask| mask.mask.clone()).collect::<Vec<_>>()).into()
    }),
    column("row_limited", "boolean", "whether a row filter or an erasure list applied", |item| {
        item.decision.map(|decision| decision.row_limited).into()
    }),
    column("bundle_revision", "string", "the policies in force", |item| (&item.statement.bundle_revision).into()),
    column("dataset_urn", "string", "the port as DataHub names it", |item| {
        item.decision.map(|decision| dataset_urn(&decision.domain, &decision.product, &decision.port)).into()
    }),
];

static LINEAGE: [LogColumn; 20] = [
    column(INSTANT, "timestamptz", "when the statement began", |item| instant(item.statement.at)),
    column(DAY, "date", "the day of that, UTC", |item| day(item.statement.at)),
    column("query_id", "uuid", "the statement", |item| (&item.statement.query_id).into()),
    column(LOGIN, "string", "the login", |item| (&item.statement.principal).into()),
    column("stands_for", "string", "the product in whose name it read, domain/product", |item| item.statement.stands_for.as_ref().into()),
    column("statement_class", "string", "query, explain, cursor, copy_out, …", |item| (&item.statement.statement_class).into()),
    column("domain", "string", "the product's domain", |item| item.access.map(|access| &access.domain).into()),
    column("product", "string", "the product", |item| item.access.map(|access| &access.product).into()),
    column("version", "string", "its version", |item| item.access.map(|access| &access.version).into()),
    column("port", "string", "the output port", |item| item.access.map(|access| &access.port).into()),
    column("column_name", "string", "the field; NULL: none was needed, as for count(*)", |item| item.field.map(|field| &field.name).into()),
    column("uses", "list<string>", "projected, filtered, joined, grouped, sorted, aggregated", |item| {
        item.field.map(|field| field.uses.clone()).into()
    }),
    column("output_columns", "list<string>", "the result's columns that were made from it", |item| {
        item.field.map(|field| field.outputs.clone()).into()
    }),
    column("pii", "boolean", "whether the field held personal data by the contract of then; NULL: the record does not tell", |item| {
        let personal = item.decision.and_then(|decision| decision.personal.as_ref());
        item.field.zip(personal).map(|(field, personal)| personal.contains(&field.name)).into()
    }),
    column("masked", "boolean", "whether the field was delivered masked", |item| {
        item.field.zip(item.decision).map(|(field, decision)| decision.masks(&field.name)).into()
    }),
    column("allowed", "boolean", "whether the product might be read", |item| {
        item.decision.map(|decision| decision.outcome == "allow").into()
    }),
    column("outcome", "string", "how the statement ended", |item| item.statement.end.as_ref().map(|end| &end.outcome).into()),
    column("rows", "int64", "rows handed to the connection", |item| item.statement.end.as_ref().map(|end| end.rows).into()),
    column("dataset_urn", "string", "the port as DataHub names it", |item| item.access.map(urn).into()),
    column("field_urn", "string", "the field as DataHub names it", |item| {
        item.access.zip(item.field).map(|(access, field)| field_urn(&urn(access), &field.name)).into()
    }),
];

fn urn(access: &PastAccess) -> String {
    dataset_urn(&access.domain, &access.product, &access.port)
}

fn instant(at: DateTime<Utc>) -> Value {
    Value::Instant(at.timestamp_micros())
}

fn day(at: DateTime<Utc>) -> Value {
    i32::try_from(at.timestamp().div_euclid(86_400)).map_or(Value::Null, Value::Day)
}

/// The relations as the schema lists them.
pub(super) fn relations() -> Result<Vec<Relation>, NameError> {
    let described = |relation: &LogRelation| {
        Ok(Relation {
            name: relation.name,
            about: relation.about,
            port: PORT,
            rows: OwnRows::OfLogin(FieldName::parse(LOGIN)?),
            columns: relation.columns.iter().map(|column| (column.name, column.data_type, column.about)).collect(),
        })
    };
    RELATIONS.iter().map(described).collect()
}

/// The rows of one of them.
pub(super) fn source(name: &str, schema: &SchemaRef, sources: &MeshSources) -> Option<Arc<dyn TableProvider>> {
    table(name, schema, &sources.log)
}

/// The rows of one of them in a log.
pub(super) fn table(name: &str, schema: &SchemaRef, log: &Reader) -> Option<Arc<dyn TableProvider>> {
    let relation = RELATIONS.iter().find(|relation| relation.name == name)?;
    Some(Arc::new(LogTable { relation, schema: Arc::clone(schema), log: log.clone() }))
}

/// The rows of a relation over the log.
struct LogTable {
    relation: &'static LogRelation,
    schema: SchemaRef,
    log: Reader,
}

impl std::fmt::Debug for LogTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogTable").field("name", &self.relation.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for LogTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Predicates say which days are read; each row is tested again above.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let columns: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.relation.columns.len()).collect());
        let schema: SchemaRef = Arc::new(self.schema.project(&columns)?);
        let during = during(filters);
        let (places, found) = self.find(during).await?;
        let rows = Rows {
            relation: self.relation,
            columns: columns.clone(),
            schema: Arc::clone(&schema),
            log: self.log.clone(),
            places,
            rests: found.rests,
            during,
        };
        // The limit is the source's only if no predicate takes rows away above it.
        let limit = limit.filter(|_| filters.is_empty());
        let lines: Arc<dyn ExecutionPlan> =
            Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, Vec::new(), false, limit)?);
        if found.rows.is_empty() {
            return Ok(lines);
        }
        let copies = copies::scan(state, &self.schema, &columns, filters, limit, &found.rows)?;
        UnionExec::try_new(vec![ports::bounded(self.place()?, copies), lines])
    }
}

impl LogTable {
    /// What errors say was read.
    fn place(&self) -> Result<ports::Place, DataFusionError> {
        let named = || -> Result<ports::Place, NameError> {
            let (domain, name) = (DomainName::parse(OWN_SCHEMA)?, ProductName::parse(self.relation.name)?);
            let product = ProductRef { domain, name, version: Version { major: 1, minor: 0, patch: 0 } };
            Ok(ports::Place::new(product, PortName::parse(PORT)?))
        };
        named().map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// The segments, and what can be read in place of them.
    async fn find(&self, during: During) -> Result<(Vec<Place>, Found), DataFusionError> {
        let (log, name) = (self.log.clone(), self.relation.name);
        let looking = tokio::task::spawn_blocking(move || {
            let places = log.places().map_err(external)?;
            let found = match Copies::of(&log) {
                Some(copies) => copies.find(&places, name, |place| place.span.is_none_or(|span| during.meets(span))),
                None => Ok(Found::default()),
            };
            // Copies that cannot be found are done without.
            let found = found.unwrap_or_else(|error| {
                tracing::warn!(kind = %error.kind(), "the copies of the audit log's columns cannot be read");
                Found::default()
            });
            Ok((places, found))
        });
        looking.await.map_err(|error| DataFusionError::External(Box::new(error)))?
    }
}

/// The rows that one scan reads.
#[derive(Clone)]
struct Rows {
    relation: &'static LogRelation,
    columns: Vec<usize>,
    schema: SchemaRef,
    log: Reader,
    places: Vec<Place>,
    rests: HashMap<String, PathBuf>,
    during: During,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("name", &self.relation.name).field("during", &self.during).finish_non_exhaustive()
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), BATCHES_WAITING);
        let (sender, rows) = (builder.tx(), self.clone());
        builder.spawn_blocking(move || {
            let mut filling = Filling::new(rows.relation, &rows.columns, rows.schema);
            for statement in rows.log.statements_beside(rows.places, rows.during, rows.rests) {
                filling.add(&statement.map_err(external)?);
                // Nobody reads any more: that is no fault.
                if filling.full() && sender.blocking_send(filling.take()).is_err() {
                    return Ok(());
                }
            }
            let _gone = sender.blocking_send(filling.take());
            Ok(())
        });
        builder.build()
    }
}

fn external(error: crate::audit::Error) -> DataFusionError {
    tracing::error!(error = %error, cause = ?std::error::Error::source(&error).map(ToString::to_string), "the audit log cannot be read");
    DataFusionError::External(Box::new(ClientMessage::from(&error)))
}
