//! What the catalog may know of a statement and its session, gathered when somebody first asks: a statement that comes again asks for nothing of it.

use std::sync::{Arc, Mutex, OnceLock};

use chrono::{DateTime, Utc};
use datafusion::logical_expr::LogicalPlan;

use crate::catalog::{Connection, Held, SessionFacts};
use crate::product::Product;

use super::column::Column;
use super::columns;
use super::pipeline::Pipeline;
use super::settings::{SERVER_VERSION, Settings};
use super::shared_settings::SharedSettings;
use super::sql::Modifiers;

/// The facts of one statement.
pub(super) struct StatementFacts {
    settings: Arc<Mutex<Settings>>,
    process_id: i32,
    session_started: DateTime<Utc>,
    connection: Arc<Connection>,
    held: Arc<dyn Held>,
    gathered: OnceLock<Arc<SessionFacts>>,
}

impl StatementFacts {
    /// Of a statement of that session.
    pub(super) fn new(
        settings: Arc<Mutex<Settings>>,
        process_id: i32,
        session_started: DateTime<Utc>,
        connection: Arc<Connection>,
        held: Arc<dyn Held>,
    ) -> Self {
        Self { settings, process_id, session_started, connection, held, gathered: OnceLock::new() }
    }

    fn gather(&self, pipeline: &Pipeline) -> SessionFacts {
        let discover = {
            let (world, principal, now) = (Arc::clone(&pipeline.world), Arc::clone(&pipeline.principal), pipeline.attempt.at());
            let settings = Arc::clone(&pipeline.settings);
            Arc::new(move |product: &Product| world.policy.may_discover(&principal, product, settings.purpose.as_deref(), now))
        };
        SessionFacts {
            database: pipeline.shared.options.database.clone(),
            principal: Arc::clone(&pipeline.principal),
            snapshot: Arc::clone(&pipeline.world.snapshot),
            discover,
            backend_pid: self.process_id,
            server_version: SERVER_VERSION.to_owned(),
            server_started_micros: pipeline.shared.started.timestamp_micros(),
            session_started_micros: self.session_started.timestamp_micros(),
            statement_started_micros: pipeline.attempt.at().timestamp_micros(),
            statement: shown(pipeline.attempt.text()).to_owned(),
            client_address: pipeline.client_address,
            connection: Arc::clone(&self.connection),
            settings: Arc::new(SharedSettings::new(Arc::clone(&self.settings))),
            held: Arc::clone(&self.held),
            view: OnceLock::new(),
        }
    }
}

/// So much of a text as PostgreSQL shows of it.
fn shown(text: &str) -> &str {
    text.get(..text.floor_char_boundary(1_023)).unwrap_or_default()
}

impl Pipeline {
    /// The columns of a plan's result.
    pub(super) fn columns(&self, plan: &LogicalPlan, written: &Modifiers) -> Arc<[Column]> {
        columns::of_plan(plan, written, &|table| self.facts().row_type_of(table))
    }

    /// Whether the caller may find a product now.
    pub(super) fn finds(&self, product: &Product) -> bool {
        self.world.policy.may_discover(&self.principal, product, self.settings.purpose.as_deref(), self.attempt.at())
    }

    /// What the catalog may know.
    pub(super) fn facts(&self) -> &Arc<SessionFacts> {
        self.facts.gathered.get_or_init(|| Arc::new(self.facts.gather(self)))
    }
}
