//! The one way from a query's tree to its rows: plan, observe, decide, govern, optimize, verify, record, run.
//!
//! INVARIANT: nothing else in the crate plans or runs a user's query, and no step can be left out: each takes what only the
//! step before it makes.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use chrono::{DateTime, Utc};
use datafusion::common::tree_node::TreeNode as _;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::FutureExt as _;
use tokio::time::Instant;

use crate::audit::{self, Closing, OpenStatement};
use crate::enforcement::{self, GovernedTable, ProductUse, ShownPlan};
use crate::error::{ClientMessage, SqlState};
use crate::identity::Principal;
use crate::lineage::{self, Lineage};
use crate::policy::{AccessRequest, Decision, DenyReason, Outcome, RequestContext};
use crate::ports::{self, Foreground};
use crate::product::{PortName, ProductRef};
use crate::telemetry::Step;

use super::advisory::AdvisorySession;
use super::attempt::{Accessed, Attempt};
use super::column::Column;
use super::engine::Shared;
use super::executor::Begun;
use super::in_force::InForce;
use super::lineage_run::LineageRun;
use super::moment::Moments;
use super::notices::notices;
use super::outcome::RowsOutcome;
use super::place::Place;
use super::planner::Planner;
use super::planning::Bounds;
use super::plans::{Described, Key};
use super::prompt::is_prompt;
use super::repeat::{Known, Made, Read, Run};
use super::reply::{Notice, RowStream};
use super::session_request::Whoever;
use super::sql::{self, Query};
use super::standing::Standing;
use super::statement_facts::StatementFacts;
use super::stream::{self, Running, StopCause};
use super::values::Given;
use super::{World, columns, fault, hints, inference, objects, planning, repeat, semantics};

/// One statement on its way.
pub(super) struct Pipeline {
    pub(super) shared: Arc<Shared>,
    pub(super) world: Arc<World>,
    pub(super) principal: Arc<Principal>,
    /// The session's settings as the statement began.
    pub(super) settings: Arc<InForce>,
    pub(super) facts: StatementFacts,
    /// The statement's records.
    pub(super) attempt: Attempt,
    /// What `now()` answers.
    pub(super) transaction_started: DateTime<Utc>,
    pub(super) deadline: Option<Instant>,
    /// Whether the deadline bounds the rows, too.
    pub(super) hurried: bool,
    pub(super) client_address: Option<std::net::SocketAddr>,
    pub(super) stop_cause: StopCause,
    pub(super) whoever: Whoever,
    /// The session's advisory locks.
    pub(super) advisory: Arc<AdvisorySession>,
}

/// A plan and what it reads.
pub(super) struct Observed {
    /// As written: with parameters, without coercions.
    pub(super) written: LogicalPlan,
    /// With values and coercions.
    pub(super) plan: LogicalPlan,
    pub(super) uses: Vec<ProductUse>,
}

/// A plan with its products and the decisions on them; not yet governed.
struct Decided {
    written: LogicalPlan,
    plan: LogicalPlan,
    uses: Vec<ProductUse>,
    requests: Vec<AccessRequest>,
    decisions: Vec<Arc<Decision>>,
}

/// What runs, verified; not yet recorded.
struct Verified {
    run: Run,
    columns: Arc<[Column]>,
    lineage: Arc<Lineage>,
    uses: Arc<[ProductUse]>,
    requests: Vec<AccessRequest>,
    decisions: Vec<Arc<Decision>>,
}

/// What is told of a query that runs, and its open record.
struct Prepared {
    columns: Arc<[Column]>,
    lineage: Arc<Lineage>,
    standing: Arc<Standing>,
    record: OpenStatement,
    notices: Vec<Notice>,
}

/// A query's rows and what the caller is to be told beside them.
pub(super) struct Started {
    pub(super) rows: RowStream,
    pub(super) notices: Vec<Notice>,
    /// Whether its opening record is made; else both are made when it ends.
    recorded: bool,
}

impl Pipeline {
    /// The columns of a query whose parameters have these types.
    pub(super) async fn describe(
        mut self,
        query: &Query,
        declared: &[Option<super::PgType>],
    ) -> Result<(Vec<super::PgType>, Arc<[Column]>), ClientMessage> {
        let oids = declared.iter().map(|pg_type| pg_type.map_or(0, |pg_type| pg_type.oid)).collect();
        let key = self.key(query, oids);
        if let Some(described) = self.shared.plans.description(&self.world, &key)
            && described.products.iter().all(|product| self.finds(product))
        {
            return Ok((described.parameters.clone(), Arc::clone(&described.columns)));
        }
        let _place = guarded(Place::take(Arc::clone(&self.shared.queries)), self.deadline).await?;
        let bounds = self.bounds();
        let described = Box::pin(planned(self.describe_anew(query, declared, key), &bounds)).await;
        described.map_err(|message| self.told(message))
    }

    async fn describe_anew(
        &mut self,
        query: &Query,
        declared: &[Option<super::PgType>],
        key: Key<u32>,
    ) -> Result<(Vec<super::PgType>, Arc<[Column]>), ClientMessage> {
        let planner = Planner::new(self)?;
        let placed = sql::placed(&query.ast, &planner.analysis(query, Some(declared))?.parameters);
        let planner = planner.told(placed.clone());
        if let Some(bound) = planner.catalog(query, declared).map_err(|fault| self.shown(query, &fault))? {
            return Ok((bound.parameters().to_vec(), columns::of_schema(bound.schema())));
        }
        let plan = planner.plan(query).await.map_err(|fault| self.shown(query, &fault))?;
        let types = inference::parameter_types(&plan, &placed)?;
        let plan = self.bind_and_analyze(&planner.state, plan, &Given::nulls(&types)?, query)?;
        let columns = self.columns(&plan, &query.modifiers);
        if let Some(products) = repeat::describable(&plan) {
            let described = Described { parameters: types.clone(), columns: Arc::clone(&columns), products };
            self.shared.plans.keep_description(&self.world, &self.shared.worlds.current(), key, described);
        }
        Ok((types, columns))
    }

    /// What a plan of the query hangs on.
    fn key<T>(&self, query: &Query, types: Vec<T>) -> Key<T> {
        Key::new(query, &self.principal, &self.settings, self.expression_facts(), types)
    }

    /// Runs a query.
    pub(super) async fn run(mut self, query: &Query, given: &Given, verb: &'static str) -> Result<Started, ClientMessage> {
        match self.start(query, given, verb).await {
            Ok(Started { rows, notices, recorded: false }) => Ok(Started { rows: rows.recorded_by(self.attempt), notices, recorded: true }),
            Ok(started) => Ok(started),
            Err(message) => {
                let message = self.told(message);
                self.attempt.end(Closing::failed(message.sqlstate)).await;
                Err(message)
            }
        }
    }

    /// Runs a query that is fetched from over many statements: the deadline bounds its start, and then each fetch.
    pub(super) async fn run_unhurried(mut self, query: &Query, given: &Given, verb: &'static str) -> Result<Started, ClientMessage> {
        self.hurried = false;
        self.run(query, given, verb).await
    }

    /// The plan of a query as its caller may see it: what stands above the barrier, and that a barrier stands there.
    /// The attempt is to be ended by whoever answers with it.
    pub(super) async fn explain(mut self, query: &Query, given: &Given) -> Result<(ShownPlan, Attempt), ClientMessage> {
        let prepared = match self.verify_in_place(query, given).await {
            Ok((verified, logical)) => {
                let taken_over = match &verified.run {
                    Run::Plan(plan) => enforcement::taken_over(plan),
                    Run::Row(_) => Vec::new(),
                };
                let shown = enforcement::explain_above_barrier(&logical, &taken_over);
                self.record(verified).await.map(|prepared| (prepared, shown))
            }
            Err(message) => Err(message),
        };
        match prepared {
            Ok((prepared, shown)) => {
                self.attempt.keep_open(prepared.record);
                Ok((shown, self.attempt))
            }
            Err(message) => {
                let message = self.told(message);
                self.attempt.end_with(Err(message)).await
            }
        }
    }

    async fn start(&mut self, query: &Query, given: &Given, verb: &'static str) -> Result<Started, ClientMessage> {
        let place = guarded(Place::take(Arc::clone(&self.shared.queries)), self.deadline).await?;
        let verified = match self.verify_again(query, given).await? {
            Some(verified) => verified,
            // In a box of its own: what is known waits in less.
            None => Box::pin(self.verify_apart(query, given)).await?.0,
        };
        let named = objects::are_named(&verified.columns).then(|| Arc::clone(self.facts()));
        let plan = match &verified.run {
            Run::Row(row) => {
                guarded(self.attempt.ensure_writable(), self.deadline).await?;
                let rows = RowStream::new(Arc::clone(&verified.columns), verb, stream::ready(vec![row.clone()])).naming(named);
                return Ok(Started { rows, notices: Vec::new(), recorded: false });
            }
            Run::Plan(plan) => Arc::clone(plan),
        };
        // Its first rows are computed while the record is on its way to the disk; none of them leaves before it is there.
        let constant = verified.uses.is_empty();
        let mut batches = self.batches(plan).map_err(|error| self.shown(query, &error))?;
        let Prepared { columns, lineage, standing, record, notices } = batches.meanwhile(self.record(verified)).await?;
        let outcome = RowsOutcome::default();
        let running = Running {
            record,
            run: self.start_lineage(query, lineage),
            bounds: self.bounds_of_rows(),
            rows_max: self.shared.options.rows_max,
            query: query.clone(),
            clock: Arc::clone(&self.shared.options.clock),
            place: place.clone(),
            standing: Arc::clone(&standing),
            outcome: outcome.clone(),
            leftovers: self.shared.leftovers.clone(),
            trace: self.attempt.trace().go_on(),
        };
        let rows = RowStream::new(columns, verb, stream::bounded(Box::pin(batches), running))
            .in_place(place)
            .while_standing(standing)
            .of_constants(constant)
            .naming(named)
            .with_outcome(outcome);
        Ok(Started { rows, notices, recorded: true })
    }

    /// Starts to run.
    fn batches(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Begun, DataFusionError> {
        let executor = &self.shared.executor;
        if is_prompt(&plan) {
            let foreground = Arc::<Foreground>::default();
            let context = self.shared.context(self.told_to_sources(), Some(Arc::clone(&foreground)));
            return Ok(executor.begin(planning::within(execute_stream(plan, context)?, self.bounds_of_rows()), foreground));
        }
        // What an operator spawns as it starts belongs on the query threads, too.
        let _entered = executor.enter();
        let batches = execute_stream(plan, self.shared.context(self.told_to_sources(), None))?;
        Ok(executor.stream(planning::within(batches, self.bounds_of_rows())))
    }

    /// What the client is told of a fault of the engine.
    fn shown(&self, query: &Query, error: &DataFusionError) -> ClientMessage {
        fault::told(query.fault(error), self.attempt.query_id(), error)
    }

    /// What the client is told of a plan that enforcement refuses.
    pub(super) fn refused(&self, error: &enforcement::Error) -> ClientMessage {
        fault::told(ClientMessage::from(error), self.attempt.query_id(), error)
    }

    /// The last look at a message: with a hint, without a word about a fault of ours. A statement that was to end while it was planned may have
    /// failed of that, in whatever words the planner has for it; it is told that it was to end. A denial stands, for it is recorded as one.
    pub(super) fn told(&self, message: ClientMessage) -> ClientMessage {
        let message = match self.bounds().check() {
            Err(ended) if message.sqlstate != SqlState::INSUFFICIENT_PRIVILEGE => ended,
            _ => hints::with_hint(message, || self.facts()),
        };
        fault::numbered(message, self.attempt.query_id())
    }

    /// Starts the lineage events of a query that reads products.
    fn start_lineage(&self, query: &Query, lineage: Arc<Lineage>) -> Option<LineageRun> {
        let emitter = self.shared.lineage.as_ref()?;
        if lineage.inputs.is_empty() {
            return None;
        }
        let options = &self.shared.options;
        let run = lineage::Run {
            id: self.attempt.query_id(),
            namespace: options.lineage_namespace.clone(),
            job: format!("{}/{}", self.principal.name, audit::fingerprint(&query.text)),
            sql: options.sql_in_records.then(|| query.text.clone()),
            lineage,
        };
        Some(LineageRun::start(Arc::clone(emitter), run, self.attempt.at()))
    }

    /// What ends the planning of the statement.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds { deadline: self.deadline, stop_cause: Arc::clone(&self.stop_cause) }
    }

    /// What ends its rows.
    fn bounds_of_rows(&self) -> Bounds {
        Bounds { deadline: self.deadline.filter(|_| self.hurried), ..self.bounds() }
    }

    /// Steps plan to verify of a query that is only explained: it takes a place among those that run for as long.
    async fn verify_in_place(&mut self, query: &Query, given: &Given) -> Result<(Verified, LogicalPlan), ClientMessage> {
        let _place = guarded(Place::take(Arc::clone(&self.shared.queries)), self.deadline).await?;
        Box::pin(self.verify_apart(query, given)).await
    }

    /// Steps plan to verify, and the plan for EXPLAIN.
    async fn verify_apart(&mut self, query: &Query, given: &Given) -> Result<(Verified, LogicalPlan), ClientMessage> {
        let bounds = self.bounds();
        planned(self.verify_anew(query, given), &bounds).await
    }

    async fn verify_anew(&mut self, query: &Query, given: &Given) -> Result<(Verified, LogicalPlan), ClientMessage> {
        let planner = Planner::new(self)?.told(given.told());
        let moments = Moments::default();
        let decided = moments.watching(self.plan_and_decide(&planner, query, given)).await?;
        if let Some(denial) = self.denial(&decided.uses, &decided.decisions) {
            self.attempt.end(Closing::denied()).await;
            return Err(denial);
        }
        let mut lineage = Arc::new(lineage::trace(&decided.plan, &locate));
        let uses: Arc<[ProductUse]> = decided.uses.as_slice().into();
        let accessed = Accessed::of(&uses).traced(&uses, &lineage);
        self.attempt.traced(&accessed);
        let shared = Arc::clone(&self.shared);
        let (plan, logical) = shared.executor.within(moments.watching(self.govern_and_optimize(&planner.state, query, &decided))).await?;
        let columns = self.columns(&decided.plan, &query.modifiers);
        let made = Made { written: &decided.written, analyzed: &decided.plan, optimized: &logical, physical: &plan };
        let located = planner.located().join(", ");
        let read = Read { uses: &uses, accessed: &accessed, columns: &columns, lineage: &lineage };
        let known = if moments.were_met() { None } else { Known::new(&made, given.values(), &read, located) };
        let run = known.as_ref().and_then(Known::row).map_or(Run::Plan(plan), Run::Row);
        if let Some(known) = known {
            let key = self.key(query, given.key());
            self.shared.plans.keep_plan(&self.world, &self.shared.worlds.current(), key, known);
        }
        let Decided { requests, decisions, .. } = decided;
        mark_masked(&mut lineage, &decisions);
        Ok((Verified { run, columns, lineage, uses, requests, decisions }, logical))
    }

    /// The same for a query whose plan is known: it is decided on and opened as if it were new. `None`: it has to be planned anew.
    async fn verify_again(&mut self, query: &Query, given: &Given) -> Result<Option<Verified>, ClientMessage> {
        let key = self.key(query, given.key());
        let Some(known) = self.shared.plans.plan(&self.world, &key) else { return Ok(None) };
        // A product that may no longer be found is no product: planning says so.
        if !known.uses.iter().all(|used| self.finds(&used.product)) {
            return Ok(None);
        }
        self.attempt.trace().done(Step::Plan, "known");
        self.attempt.trace().done(Step::Locate, &known.located);
        self.trace_uses(&known.uses);
        let principal = Arc::clone(&self.principal);
        let (requests, decisions) = self.decide(&known.uses, &known.accessed, &principal);
        if let Some(denial) = self.denial(&known.uses, &decisions) {
            self.attempt.end(Closing::denied()).await;
            return Err(denial);
        }
        let shared = Arc::clone(&self.shared);
        let opening = async { known.run(given.values(), &decisions, &shared.template).await.map_err(|error| self.shown(query, &error)) };
        let Some(run) = guarded(shared.executor.within(opening), self.deadline).await? else { return Ok(None) };
        self.attempt.trace().done(Step::Optimize, "");
        if let Run::Plan(plan) = &run {
            enforcement::verify(plan, &decisions).map_err(|error| self.refused(&error))?;
        }
        self.attempt.trace().done(Step::Verify, "");
        let mut lineage = Arc::clone(&known.lineage);
        if self.shared.lineage.is_some() {
            mark_masked(&mut lineage, &decisions);
        }
        let (columns, uses) = (Arc::clone(&known.columns), Arc::clone(&known.uses));
        Ok(Some(Verified { run, columns, lineage, uses, requests, decisions }))
    }

    /// Step record.
    async fn record(&mut self, verified: Verified) -> Result<Prepared, ClientMessage> {
        let Verified { columns, lineage, uses, requests, decisions, .. } = verified;
        let record = guarded(self.attempt.open(), self.deadline).await?;
        let notices = notices(&uses, &decisions);
        let asked = requests.into_iter().zip(decisions).collect();
        let standing = Standing::new(&self.shared, Arc::clone(&self.whoever), Arc::clone(&self.world), asked);
        Ok(Prepared { columns, lineage, standing: Arc::new(standing), record, notices })
    }

    /// Steps plan to decide.
    async fn plan_and_decide(&mut self, planner: &Planner, query: &Query, given: &Given) -> Result<Decided, ClientMessage> {
        let Observed { written, plan, uses } = self.plan_and_observe(planner, query, given).await?;
        let principal = Arc::clone(&self.principal);
        let (requests, decisions) = self.decide(&uses, &Accessed::of(&uses), &principal);
        Ok(Decided { written, plan, uses, requests, decisions })
    }

    /// Steps plan to observe.
    pub(super) async fn plan_and_observe(&mut self, planner: &Planner, query: &Query, given: &Given) -> Result<Observed, ClientMessage> {
        if let Some(plan) = planner.catalog_plan(query, given).map_err(|fault| self.shown(query, &fault))? {
            self.attempt.trace().done(Step::Plan, "catalog");
            return Ok(Observed { written: plan.clone(), plan, uses: Vec::new() });
        }
        // With parameters it was looked at when their types were asked for.
        if given.values().is_empty() {
            planner.analysis(query, None)?;
        }
        let written = planner.plan(query).await.map_err(|fault| self.shown(query, &fault))?;
        inference::check_bound(&written, given.values().len())?;
        self.attempt.trace().done(Step::Plan, "");
        self.attempt.trace().done(Step::Locate, planner.located().join(", "));
        let plan = self.bind_and_analyze(&planner.state, written.clone(), given, query)?;
        let uses = enforcement::observe(&plan).map_err(|error| self.shown(query, &error.into()))?;
        self.trace_uses(&uses);
        Ok(Observed { written, plan, uses })
    }

    fn trace_uses(&mut self, uses: &[ProductUse]) {
        let fields: usize = uses.iter().map(|used| used.fields.len()).sum();
        self.attempt.trace().done(Step::Observe, format_args!("{fields} fields of {} products", uses.len()));
    }

    /// Step decide: for the caller, or for whom a query is explained. The questions, and the decisions on them.
    pub(super) fn decide(
        &mut self,
        uses: &[ProductUse],
        accessed: &Accessed,
        principal: &Arc<Principal>,
    ) -> (Vec<AccessRequest>, Vec<Arc<Decision>>) {
        let requests: Vec<AccessRequest> = uses.iter().map(|product| self.request(product, principal)).collect();
        let decisions = requests.iter().map(|request| Arc::new(self.world.policy.decide(request))).collect::<Vec<_>>();
        let denied = decisions.iter().filter(|decision| matches!(decision.outcome, Outcome::Deny(_))).count();
        let spent = self.attempt.trace().done(Step::Decide, format_args!("{} decisions, {denied} denied", decisions.len()));
        self.attempt.decided(uses, accessed, &decisions, spent);
        (requests, decisions)
    }

    fn bind_and_analyze(
        &self,
        state: &SessionState,
        plan: LogicalPlan,
        given: &Given,
        query: &Query,
    ) -> Result<LogicalPlan, ClientMessage> {
        let shown = |error| self.shown(query, &error);
        let plan = match given.values() {
            [] => plan,
            _ => {
                let plan = plan.replace_params_with_values(&given.constants()).map_err(shown)?;
                semantics::counted_frames(plan, given.known()).map_err(shown)?
            }
        };
        let plan = semantics::apply(plan, self.expression_facts()).map_err(shown)?;
        let plan = state.analyzer().execute_and_check(plan, &Arc::clone(state.config_options()), |_, _| {}).map_err(shown)?;
        semantics::nearest_floats(plan).map_err(shown)
    }

    /// What sources may know of the statement.
    pub(super) fn told_to_sources(&self) -> ports::Statement {
        let deadline = self.deadline.filter(|_| self.hurried).map(Instant::into_std);
        ports::Statement { query_id: self.attempt.query_id().to_string(), deadline }
    }

    /// What expressions may know of the statement.
    pub(super) fn expression_facts(&self) -> semantics::Facts {
        self.settings.facts(self.transaction_started)
    }

    fn request(&self, product: &ProductUse, principal: &Arc<Principal>) -> AccessRequest {
        AccessRequest {
            principal: Arc::clone(principal),
            purpose: self.settings.purpose.clone(),
            product: Arc::clone(&product.product),
            port: product.port.clone(),
            fields: product.fields.clone(),
            context: RequestContext {
                query_id: self.attempt.query_id().to_string(),
                now: self.attempt.at(),
                application_name: self.settings.application_name.clone(),
                client_address: self.client_address,
            },
        }
    }

    /// The refusal of a statement of which any product is denied.
    fn denial(&self, uses: &[ProductUse], decisions: &[Arc<Decision>]) -> Option<ClientMessage> {
        let (product, reasons) = uses.iter().zip(decisions).find_map(|(product, decision)| match &decision.outcome {
            Outcome::Deny(reasons) => Some((product, reasons)),
            Outcome::Allow(_) => None,
        })?;
        let reference = &product.product.reference;
        let detail: Vec<String> = reasons.iter().map(reason_text).collect();
        let oncall = self.world.snapshot.domain_of(reference).and_then(|domain| domain.oncall.as_deref());
        let oncall = oncall.map(|oncall| format!(" (on call: {oncall})")).unwrap_or_default();
        let mut message =
            ClientMessage::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied for data product \"{reference}\""))
                .with_detail(detail.join("\n"))
                // The text is the same each time; the log finds the decision by the principal and the moment.
                .with_hint(format!("Ask the product's owner, {}{oncall}.", product.product.owner));
        message.names.schema = Some(reference.domain.to_sql());
        message.names.table = Some(reference.name.to_sql());
        message.names.column = reasons.iter().flat_map(|reason| &reason.fields).next().map(ToString::to_string);
        Some(message)
    }

    /// Steps govern to verify.
    async fn govern_and_optimize(
        &mut self,
        state: &SessionState,
        query: &Query,
        decided: &Decided,
    ) -> Result<(Arc<dyn ExecutionPlan>, LogicalPlan), ClientMessage> {
        let governed = enforcement::govern(decided.plan.clone(), &decided.decisions).map_err(|error| self.refused(&error))?;
        let optimized = state.optimizer().optimize(governed, state, |_, _| {}).map_err(|error| self.shown(query, &error))?;
        // Where these are done hangs on how much there is of it.
        let weighing = joins_or_groups(&optimized).then(|| {
            let mut state = state.clone();
            state.config_mut().set_extension(Arc::new(ports::Estimates));
            state
        });
        let state = weighing.as_ref().unwrap_or(state);
        let physical = state.query_planner().create_physical_plan(&optimized, state).await.map_err(|error| self.shown(query, &error))?;
        self.attempt.trace().done(Step::Optimize, "");
        enforcement::verify(&physical, &decided.decisions).map_err(|error| self.refused(&error))?;
        self.attempt.trace().done(Step::Verify, "");
        Ok((physical, optimized))
    }
}

/// Bounds a step: by the deadline, and so that a panic of the planner ends its own statement only.
pub(super) async fn guarded<T>(
    step: impl Future<Output = Result<T, ClientMessage>>,
    deadline: Option<Instant>,
) -> Result<T, ClientMessage> {
    let mut step = pin!(AssertUnwindSafe(step).catch_unwind());
    // What is done at its first step needs no clock.
    let done = match (futures::poll!(step.as_mut()), deadline) {
        (Poll::Ready(done), _) => done,
        (Poll::Pending, Some(deadline)) => tokio::time::timeout_at(deadline, step).await.map_err(|_| stream::timed_out())?,
        (Poll::Pending, None) => step.await,
    };
    done.unwrap_or_else(|_| Err(ClientMessage::new(SqlState::INTERNAL_ERROR, "planning panicked")))
}

/// The same for a step that plans.
pub(super) async fn planned<T>(step: impl Future<Output = Result<T, ClientMessage>>, bounds: &Bounds) -> Result<T, ClientMessage> {
    guarded(planning::apart(step, bounds), bounds.deadline).await
}

/// Notes what is delivered masked.
fn mark_masked(lineage: &mut Arc<Lineage>, decisions: &[Arc<Decision>]) {
    for decision in decisions {
        if let Outcome::Allow(obligations) = &decision.outcome {
            for field in obligations.masks.keys() {
                Arc::make_mut(lineage).mark_masked(&decision.product, field.as_str());
            }
        }
    }
}

fn joins_or_groups(plan: &LogicalPlan) -> bool {
    let found = plan.exists(|node| {
        Ok(match node {
            LogicalPlan::Join(_) => true,
            LogicalPlan::Aggregate(aggregate) => !aggregate.group_expr.is_empty(),
            _ => false,
        })
    });
    // Walking a plan fails only if the closure does.
    found.unwrap_or(true)
}

/// Which product and port a scan reads.
fn locate(scan: &TableScan) -> Option<(ProductRef, PortName)> {
    let table = GovernedTable::of_scan(scan)?;
    Some((table.product().reference.clone(), table.port().clone()))
}

fn reason_text(reason: &DenyReason) -> String {
    let fields: Vec<String> = reason.fields.iter().map(|field| format!("\"{field}\"")).collect();
    let fields = if fields.is_empty() { String::new() } else { format!(" Columns: {}.", fields.join(", ")) };
    format!("{}{} Rule: {}.", sentence(&reason.message), fields, reason.rule)
}

fn sentence(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}
