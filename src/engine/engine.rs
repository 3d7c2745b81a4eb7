//! What all sessions share: the worlds, the ports, the records, the limits.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{FunctionRegistry as _, SessionState, TaskContext};
use datafusion::prelude::SessionConfig;

use crate::audit::AuditLog;
use crate::catalog::PgTypePlanner;
use crate::enforcement::Selections;
use crate::error::{ClientMessage, SqlState};
use crate::identity::Principal;
use crate::lineage::Emitter;
use crate::ports::{self, Ports};

use super::advisory::AdvisoryLocks;
use super::bounded::bound_functions;
use super::executor::Executor;
use super::leftovers::Leftovers;
use super::memory::Memory;
use super::plans::Plans;
use super::serial::SerialPlans;
use super::session::Session;
use super::session_request::SessionRequest;
use super::signals::Sessions;
use super::sql::{ParameterTypes, PgOperators, TextLimits};
use super::{Worlds, fault, gathered, kept_types, semantics};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Bytes that all running queries together may spill to temporary files, for each byte of memory that they may hold.
const SPILLED_PER_MEMORY: u64 = 8;

/// How the engine runs.
#[derive(Clone)]
pub struct EngineOptions {
    /// The one database.
    pub database: String,
    /// Bounds on statements' texts.
    pub text: TextLimits,
    /// The longest that any statement may run; a session's `statement_timeout` can only shorten it.
    pub statement_timeout: Option<Duration>,
    /// Rows of a result at most.
    pub rows_max: Option<u64>,
    /// Bytes that all running queries may hold together.
    pub memory_bytes: usize,
    /// Bytes that may be spent on remembering which rows policies let through.
    pub remembered_bytes: usize,
    /// Queries that run at once at most; others wait.
    pub queries_max: usize,
    /// The longest that a session may be idle; its own setting can only shorten it.
    pub idle_session_timeout: Duration,
    /// Prepared statements of a session at most.
    pub prepared_max: usize,
    /// Portals and cursors of a session at most, each.
    pub portals_max: usize,
    /// Parallelism of one query.
    pub partitions: usize,
    /// Tells the time.
    pub clock: Clock,
    /// Whether sessions start with notices about masks and row limits.
    pub notices: bool,
    /// The namespace of lineage jobs and datasets.
    pub lineage_namespace: String,
    /// Whether statements' texts are kept in records, or their fingerprints only.
    pub sql_in_records: bool,
    /// Gives memory that nothing lies in back to the system: called when a large result has ended. `None`: the allocator does so in its own time.
    pub give_back: Option<fn()>,
}

/// What all sessions share.
pub(super) struct Shared {
    pub(super) options: EngineOptions,
    pub(super) worlds: Arc<Worlds>,
    pub(super) ports: Arc<Ports>,
    pub(super) audit: Arc<AuditLog>,
    pub(super) lineage: Option<Arc<Emitter>>,
    pub(super) template: SessionState,
    pub(super) plans: Plans,
    pub(super) executor: Executor,
    pub(super) queries: Arc<tokio::sync::Semaphore>,
    pub(super) started: DateTime<Utc>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) advisory: Arc<AdvisoryLocks>,
    pub(super) leftovers: Leftovers,
}

/// The engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// An engine over these parts.
    pub fn new(
        options: EngineOptions,
        worlds: Arc<Worlds>,
        ports: Arc<Ports>,
        audit: Arc<AuditLog>,
        lineage: Option<Arc<Emitter>>,
    ) -> Result<Self, ClientMessage> {
        let template = template(&options).map_err(|error| fault::client_message(&error, ""))?;
        let queries = Arc::new(tokio::sync::Semaphore::new(options.queries_max.clamp(1, tokio::sync::Semaphore::MAX_PERMITS)));
        let executor = Executor::start(options.partitions).map_err(|error| {
            tracing::error!(%error, "the query threads could not be started");
            ClientMessage::new(SqlState::INTERNAL_ERROR, "the query threads could not be started")
        })?;
        let started = (options.clock)();
        let plans = Plans::default();
        let sessions = Arc::default();
        let advisory = Arc::new(AdvisoryLocks::new(options.queries_max));
        let leftovers = Leftovers::new(options.give_back);
        let shared =
            Shared { options, worlds, ports, audit, lineage, template, plans, executor, queries, started, sessions, advisory, leftovers };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Memory for what clients send, of the same budget as their statements.
    pub fn memory(&self) -> Memory {
        Memory::of(&self.shared.template.runtime_env().memory_pool)
    }

    /// Whether a plan is kept whose text contains this.
    #[cfg(test)]
    pub(super) fn knows(&self, text: &str) -> bool {
        self.shared.plans.knows(&self.shared.worlds.current(), text)
    }

    /// The one database's name.
    pub fn database(&self) -> &str {
        &self.shared.options.database
    }

    /// Opens a session for an authenticated principal.
    pub fn open_session(&self, principal: Arc<Principal>, request: SessionRequest) -> Result<Session, ClientMessage> {
        if request.database != self.shared.options.database {
            return Err(ClientMessage::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{}\" does not exist", request.database)));
        }
        Session::open(Arc::clone(&self.shared), principal, request)
    }
}

impl Shared {
    /// What a plan runs in. The limits on memory are one for all; functions are in the plan itself.
    pub(super) fn context(&self, statement: ports::Statement, foreground: Option<Arc<ports::Foreground>>) -> Arc<TaskContext> {
        let mut config = self.template.config().clone();
        config.set_extension(Arc::new(statement));
        if let Some(foreground) = foreground {
            config.set_extension(foreground);
        }
        let session = self.template.session_id().to_owned();
        let (none, runtime) = (HashMap::new(), Arc::clone(self.template.runtime_env()));
        Arc::new(TaskContext::new(None, session, config, none, HashMap::new(), HashMap::new(), HashMap::new(), runtime))
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        (self.options.clock)()
    }
}

/// A join by an integer finds its rows in an array if there is a row for so many of the keys between the least and the greatest. Each of
/// several partitions has the keys of some rows, between the same bounds.
const JOIN_KEYS_DENSE: f64 = 0.07;

/// As many keys of a join's one side are told to the source of the other.
const JOIN_KEYS_TOLD_MAX: usize = 1_000;

/// The smaller side of a join is put together by one thread if it has at most so many rows, or bytes, divided by the partitions: that costs less
/// than to hand each row of both sides to the partition of its key, but the more partitions there are, the more of them wait for it.
const JOIN_ROWS_COLLECTED: usize = 1 << 22;
const JOIN_BYTES_COLLECTED: usize = 1 << 27;

/// The state that each statement's own is cloned from.
fn template(options: &EngineOptions) -> datafusion::error::Result<SessionState> {
    let pool = TrackConsumersPool::new(GreedyMemoryPool::new(options.memory_bytes), NonZeroUsize::MIN);
    let spilled_max = u64::try_from(options.memory_bytes).unwrap_or(u64::MAX).saturating_mul(SPILLED_PER_MEMORY);
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).with_max_temp_directory_size(spilled_max).build_arc()?;
    let mut config = SessionConfig::new()
        .with_target_partitions(options.partitions.max(1))
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false)
        .with_parquet_pruning(true)
        .with_extension(Arc::new(Selections::new(options.remembered_bytes)));
    let settings = config.options_mut();
    settings.sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    settings.sql_parser.parse_float_as_decimal = true;
    settings.sql_parser.support_varchar_with_length = true;
    settings.sql_parser.map_string_types_to_utf8view = true;
    settings.sql_parser.collect_spans = true;
    // PostgreSQL keeps the order of a sorted subquery.
    settings.sql_parser.enable_subquery_sort_elimination = false;
    settings.sql_parser.default_null_ordering = "nulls_max".to_owned();
    settings.optimizer.skip_failed_rules = false;
    settings.execution.perfect_hash_join_min_key_density = JOIN_KEYS_DENSE;
    settings.optimizer.hash_join_inlist_pushdown_max_distinct_values = JOIN_KEYS_TOLD_MAX;
    settings.optimizer.hash_join_single_partition_threshold_rows = JOIN_ROWS_COLLECTED / options.partitions.max(1);
    settings.optimizer.hash_join_single_partition_threshold = JOIN_BYTES_COLLECTED / options.partitions.max(1);
    settings.explain.show_statistics = false;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        // The first that plans an operator decides.
        .with_expr_planners(vec![Arc::new(PgOperators)])
        .with_default_features()
        .with_type_planner(Arc::new(ParameterTypes(PgTypePlanner)))
        .with_optimizer_rules(kept_types::rules())
        .with_physical_optimizer_rules(vec![Arc::new(SerialPlans::new())])
        .build();
    bound_functions(&mut state)?;
    for function in semantics::always() {
        state.register_udf(function)?;
    }
    gathered::account(&mut state)?;
    state.register_udaf(Arc::new(semantics::single()))?;
    Ok(state)
}
