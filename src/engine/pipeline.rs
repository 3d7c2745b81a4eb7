//! The one way from a query's tree to its rows: plan, observe, decide, govern, optimize, verify, record, run.
//!
//! INVARIANT: nothing else in the crate plans or runs a user's query, and no step can be left out: each takes what only the
//! step before it makes.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use tokio::time::Instant;
use uuid::Uuid;

use crate::audit::{self, Closing, DecisionRecord, OpenStatement, ProductAccess, StatementOpened};
use crate::catalog::SessionFacts;
use crate::enforcement::{self, GovernedTable, ProductUse};
use crate::error::{ClientMessage, SqlState};
use crate::lineage::{self, Lineage};
use crate::policy::{AccessRequest, Decision, DenyReason, Outcome, RequestContext};
use crate::telemetry::{QueryTrace, Step};

use crate::product::{PortName, ProductRef};

use super::column::Column;
use super::engine::Shared;
use super::lineage_run::LineageRun;
use super::reply::RowStream;
use super::sql::Query;
use super::stream::{self, Running, StopCause};
use super::{World, columns, planner};

/// The policy path that is asked, as decision logs name it.
const POLICY_PATH: &str = "meshgate/governance";

/// One statement on its way.
pub(super) struct Pipeline {
    pub(super) shared: Arc<Shared>,
    pub(super) world: Arc<World>,
    pub(super) facts: Arc<SessionFacts>,
    pub(super) query_id: Uuid,
    pub(super) session_id: Uuid,
    pub(super) class: &'static str,
    pub(super) now: DateTime<Utc>,
    pub(super) deadline: Option<Instant>,
    pub(super) purpose: Option<String>,
    pub(super) application_name: String,
    pub(super) client_address: Option<std::net::SocketAddr>,
    pub(super) time_zone: String,
    pub(super) stop_cause: StopCause,
    pub(super) trace: QueryTrace,
}

/// A plan with its products and the decisions on them; not yet governed.
struct Decided {
    plan: LogicalPlan,
    uses: Vec<ProductUse>,
    decisions: Vec<Arc<Decision>>,
    spent: Duration,
}

/// What runs: verified, recorded.
struct Prepared {
    plan: Arc<dyn ExecutionPlan>,
    logical: LogicalPlan,
    columns: Arc<[Column]>,
    lineage: Lineage,
    record: OpenStatement,
    notices: Vec<String>,
}

/// A query's rows and what the caller is to be told beside them.
pub(super) struct Started {
    pub(super) rows: RowStream,
    pub(super) notices: Vec<String>,
}

impl Pipeline {
    /// The columns of a query whose parameters have these types.
    pub(super) async fn describe(
        &self,
        query: &Query,
        declared: &[Option<super::PgType>],
    ) -> Result<(Vec<super::PgType>, Arc<[Column]>), ClientMessage> {
        let state = planner::state(self)?;
        let plan = planner::plan(&state, query).await?;
        let types = planner::parameter_types(&plan, declared)?;
        let typed = types.iter().map(|pg_type| super::values::typed_null(*pg_type)).collect::<Result<Vec<_>, _>>()?;
        let plan = self.bind_and_analyze(&state, plan, &typed, query)?;
        Ok((types, columns::of_plan(&plan)))
    }

    /// Runs a query.
    pub(super) async fn run(mut self, query: &Query, values: &[ScalarValue], verb: &'static str) -> Result<Started, ClientMessage> {
        let permit = self.admit().await?;
        let state = planner::state(&self)?;
        let Prepared { plan, columns, lineage, record, notices, .. } = self.prepare(&state, query, values).await?;
        let run = self.start_lineage(query, lineage);
        let batches = match execute_stream(plan, state.task_ctx()) {
            Ok(batches) => batches,
            Err(error) => {
                let message = query.fault(&error);
                record.close(self.shared.now(), Closing::failed(message.sqlstate));
                return Err(message);
            }
        };
        let running = Running {
            record,
            run,
            deadline: self.deadline,
            rows_max: self.shared.options.rows_max,
            query: query.clone(),
            clock: Arc::clone(&self.shared.options.clock),
            _permit: permit,
            stop_cause: self.stop_cause,
            trace: self.trace,
        };
        Ok(Started { rows: RowStream::new(columns, verb, stream::bounded(batches, running)), notices })
    }

    /// The plan of a query as its caller may see it: what stands above the barrier, and that a barrier stands there.
    pub(super) async fn explain(mut self, query: &Query, values: &[ScalarValue]) -> Result<Vec<String>, ClientMessage> {
        let state = planner::state(&self)?;
        let prepared = self.prepare(&state, query, values).await?;
        prepared.record.close(self.shared.now(), Closing::completed());
        self.trace.done(Step::Close, "explained");
        Ok(enforcement::explain_above_barrier(&prepared.logical))
    }

    /// Starts the lineage events of a query that reads products.
    fn start_lineage(&self, query: &Query, lineage: Lineage) -> Option<LineageRun> {
        let emitter = self.shared.lineage.as_ref()?;
        if lineage.inputs.is_empty() {
            return None;
        }
        let options = &self.shared.options;
        let run = lineage::Run {
            id: self.query_id,
            namespace: options.lineage_namespace.clone(),
            job: format!("{}/{}", self.facts.principal.name, audit::fingerprint(&query.text)),
            sql: options.sql_in_records.then(|| query.text.clone()),
            lineage: Arc::new(lineage),
        };
        Some(LineageRun::start(Arc::clone(emitter), run, self.now))
    }

    /// A place among the queries that may run at once.
    async fn admit(&self) -> Result<tokio::sync::OwnedSemaphorePermit, ClientMessage> {
        let permit = Arc::clone(&self.shared.queries).acquire_owned();
        let permit = match self.deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, permit).await.map_err(|_| stream::timed_out())?,
            None => permit.await,
        };
        permit.map_err(|_| ClientMessage::new(SqlState::ADMIN_SHUTDOWN, "the gateway is shutting down"))
    }

    async fn prepare(&mut self, state: &SessionState, query: &Query, values: &[ScalarValue]) -> Result<Prepared, ClientMessage> {
        let deadline = self.deadline;
        let planning = self.plan_and_decide(state, query, values);
        let decided = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, planning).await.map_err(|_| stream::timed_out())?,
            None => planning.await,
        };
        let decided = match decided {
            Ok(decided) => decided,
            Err(message) => {
                self.record_failure(query, &message).await?;
                return Err(message);
            }
        };
        if let Some(denial) = denial(&decided) {
            let record = self.record(query, &decided).await?;
            record.close(self.shared.now(), Closing::denied());
            self.trace.done(Step::Close, "denied");
            return Err(denial);
        }
        let lineage = self.trace(&decided);
        let physical = self.govern_and_optimize(state, query, &decided).await;
        let record = self.record(query, &decided).await?;
        record.add_duration("decide", decided.spent);
        match physical {
            Ok((plan, logical)) => {
                let columns = columns::of_plan(&decided.plan);
                let notices = notices(&decided);
                Ok(Prepared { plan, logical, columns, lineage, record, notices })
            }
            Err(message) => {
                record.close(self.shared.now(), Closing::failed(message.sqlstate));
                Err(message)
            }
        }
    }

    /// Steps plan to decide.
    async fn plan_and_decide(&mut self, state: &SessionState, query: &Query, values: &[ScalarValue]) -> Result<Decided, ClientMessage> {
        let plan = planner::plan(state, query).await?;
        self.trace.done(Step::Plan, "");
        let plan = self.bind_and_analyze(state, plan, values, query)?;
        let uses = enforcement::observe(&plan).map_err(|error| refused(&error))?;
        let products: Vec<String> = uses.iter().map(|used| used.product.reference.to_string()).collect();
        self.trace.done(Step::Observe, &products.join(", "));
        let decisions = uses.iter().map(|product| Arc::new(self.world.policy.decide(&self.request(product)))).collect::<Vec<_>>();
        let denied = decisions.iter().filter(|decision| matches!(decision.outcome, Outcome::Deny(_))).count();
        let spent = self.trace.done(Step::Decide, &format!("{} decisions, {denied} denied", decisions.len()));
        Ok(Decided { plan, uses, decisions, spent })
    }

    fn bind_and_analyze(
        &self,
        state: &SessionState,
        plan: LogicalPlan,
        values: &[ScalarValue],
        query: &Query,
    ) -> Result<LogicalPlan, ClientMessage> {
        let shown = |error| query.fault(&error);
        let plan = if values.is_empty() {
            plan
        } else {
            let values = values.iter().cloned().map(Into::into).collect();
            plan.replace_params_with_values(&ParamValues::List(values)).map_err(shown)?
        };
        state.analyzer().execute_and_check(plan, &Arc::clone(state.config_options()), |_, _| {}).map_err(shown)
    }

    fn request(&self, product: &ProductUse) -> AccessRequest {
        AccessRequest {
            principal: Arc::clone(&self.facts.principal),
            purpose: self.purpose.clone(),
            product: Arc::clone(&product.product),
            port: product.port.clone(),
            fields: product.fields.clone(),
            context: RequestContext {
                query_id: self.query_id.to_string(),
                now: self.now,
                application_name: self.application_name.clone(),
                client_address: self.client_address,
            },
        }
    }

    /// Steps govern to verify.
    async fn govern_and_optimize(
        &mut self,
        state: &SessionState,
        query: &Query,
        decided: &Decided,
    ) -> Result<(Arc<dyn ExecutionPlan>, LogicalPlan), ClientMessage> {
        let shown = |error| query.fault(&error);
        let governed = enforcement::govern(decided.plan.clone(), &decided.decisions).map_err(|error| refused(&error))?;
        let optimized = state.optimizer().optimize(governed, state, |_, _| {}).map_err(shown)?;
        let physical = state.query_planner().create_physical_plan(&optimized, state).await.map_err(shown)?;
        self.trace.done(Step::Optimize, "");
        enforcement::verify(&physical, &decided.decisions).map_err(|error| refused(&error))?;
        self.trace.done(Step::Verify, "");
        Ok((physical, optimized))
    }

    /// Step record: returns when the opening record is durable.
    async fn record(&mut self, query: &Query, decided: &Decided) -> Result<OpenStatement, ClientMessage> {
        let records = decided
            .decisions
            .iter()
            .map(|decision| DecisionRecord::new(self.query_id, POLICY_PATH, decision, self.now, decided.spent))
            .collect();
        let mut opened = self.opened(query);
        opened.products = decided
            .uses
            .iter()
            .zip(&decided.decisions)
            .map(|(product, decision)| ProductAccess::new(&product.product.reference, &product.port, &product.fields, Some(decision.id.0)))
            .collect();
        let record = self.shared.audit.open_statement(self.now, opened, records).await;
        self.trace.done(Step::Record, "");
        record.map_err(|error| ClientMessage::from(&error))
    }

    /// A statement that could not be planned is recorded like any other.
    async fn record_failure(&mut self, query: &Query, message: &ClientMessage) -> Result<(), ClientMessage> {
        let record = self.shared.audit.open_statement(self.now, self.opened(query), Vec::new()).await;
        let record = record.map_err(|error| ClientMessage::from(&error))?;
        record.close(self.shared.now(), Closing::failed(message.sqlstate));
        self.trace.done(Step::Close, message.sqlstate.as_str());
        Ok(())
    }

    fn opened(&self, query: &Query) -> StatementOpened {
        StatementOpened {
            query_id: self.query_id,
            session_id: self.session_id.to_string(),
            principal: self.facts.principal.name.clone(),
            roles: self.facts.principal.roles.iter().cloned().collect(),
            application_name: self.application_name.clone(),
            purpose: self.purpose.clone(),
            client_address: self.client_address.map(|address| address.to_string()),
            database: self.facts.database.clone(),
            sql: Some(query.text.clone()),
            statement_class: self.class.to_owned(),
            snapshot_revision: self.world.snapshot.revision().to_owned(),
            bundle_revision: self.world.bundle_revision.clone(),
            ..StatementOpened::default()
        }
    }

    fn trace(&self, decided: &Decided) -> Lineage {
        let mut lineage = lineage::trace(&decided.plan, &locate);
        for decision in &decided.decisions {
            if let Outcome::Allow(obligations) = &decision.outcome {
                for field in obligations.masks.keys() {
                    lineage.mark_masked(&decision.product, field.as_str());
                }
            }
        }
        lineage
    }
}

/// Which product and port a scan reads.
fn locate(scan: &TableScan) -> Option<(ProductRef, PortName)> {
    let table = GovernedTable::of_scan(scan)?;
    Some((table.product().reference.clone(), table.port().clone()))
}

fn refused(error: &enforcement::Error) -> ClientMessage {
    tracing::warn!(error = %super::opener::chain(error), "statement refused by enforcement");
    ClientMessage::from(error)
}

/// The refusal of a statement of which any product is denied.
fn denial(decided: &Decided) -> Option<ClientMessage> {
    let (product, decision, reasons) =
        decided.uses.iter().zip(&decided.decisions).find_map(|(product, decision)| match &decision.outcome {
            Outcome::Deny(reasons) => Some((product, decision, reasons)),
            Outcome::Allow(_) => None,
        })?;
    let reference = &product.product.reference;
    let detail: Vec<String> = reasons.iter().map(reason_text).collect();
    let mut message = ClientMessage::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied for data product \"{reference}\""))
        .with_detail(detail.join("\n"))
        .with_hint(format!("Ask the product's owner, {}, naming decision {}.", product.product.owner, decision.id));
    message.names.schema = Some(reference.domain.to_sql());
    message.names.table = Some(reference.name.to_sql());
    message.names.column = reasons.iter().flat_map(|reason| &reason.fields).next().map(ToString::to_string);
    Some(message)
}

fn reason_text(reason: &DenyReason) -> String {
    let fields: Vec<String> = reason.fields.iter().map(|field| format!("\"{field}\"")).collect();
    let fields = if fields.is_empty() { String::new() } else { format!(" Columns: {}.", fields.join(", ")) };
    format!("{}{} Rule: {}.", sentence(&reason.message), fields, reason.rule)
}

fn sentence(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

/// What the caller is told beside the rows: that rules applied, never whether they removed anything.
fn notices(decided: &Decided) -> Vec<String> {
    let mut notices = Vec::new();
    for (product, decision) in decided.uses.iter().zip(&decided.decisions) {
        if let Outcome::Allow(obligations) = &decision.outcome {
            notices.extend(obligations.notices.iter().map(|code| format!("{}: {code}", product.product.reference)));
        }
    }
    notices
}
