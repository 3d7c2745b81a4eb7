//! Joins the protocol to the engine: the seam's traits, answered by the engine's sessions and the directory of principals.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::audit::{AuditLog, ConnectionClosed, ConnectionOpened, Event, LoginFailed};
use crate::engine::{
    self, Clock, Column, Engine, Everyone, Format, Notice, Parameter, Reply, Statement, Stop, TimeZone, TransactionStatus, Whoever,
};
use crate::error::ClientMessage;
use crate::identity::{Directory, Principal, ScramServer};
use crate::telemetry::{Step, stage};
use crate::wire::{self, EncodeSettings, InterruptCause, Login, LoginRefused, SessionRequest, StatementDescription};

/// The current directory of principals; replaced whole when its file changes.
#[derive(Debug)]
pub(super) struct Directories {
    current: RwLock<Arc<Directory>>,
}

impl Directories {
    pub(super) fn new(directory: Directory) -> Self {
        Self { current: RwLock::new(Arc::new(directory)) }
    }

    pub(super) fn current(&self) -> Arc<Directory> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn replace(&self, directory: Directory) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(directory);
    }
}

/// Answers logins and opens sessions.
pub(super) struct Gateway {
    pub(super) engine: Engine,
    pub(super) directories: Arc<Directories>,
    pub(super) audit: Arc<AuditLog>,
    pub(super) clock: Clock,
    /// Makes the salts of unknown users look like those of known ones; new in every process.
    pub(super) mock_secret: [u8; 32],
}

impl Gateway {
    /// Asks the current directory who that login is.
    fn whoever(&self, name: &str) -> Whoever {
        let (directories, name) = (Arc::clone(&self.directories), name.to_owned());
        Arc::new(move || directories.current().find(&name).map(|login| Arc::clone(&login.principal)))
    }

    /// Asks the current directory who any login is.
    fn everyone(&self) -> Everyone {
        let directories = Arc::clone(&self.directories);
        Arc::new(move |name| directories.current().find(name).map(|login| Arc::clone(&login.principal)))
    }
}

#[async_trait]
impl wire::Backend for Gateway {
    type Session = GatewaySession;

    fn login(&self, user: &str) -> Login {
        let directory = self.directories.current();
        let login = directory.find(user);
        let exchange = ScramServer::new(login.map(|login| login.verifier.clone()), &self.mock_secret, user)
            .with_mock_iterations(directory.usual_iterations());
        Login { principal: login.map(|login| Arc::clone(&login.principal)), exchange }
    }

    fn database_exists(&self, database: &str) -> bool {
        database == self.engine.database()
    }

    fn login_refused(&self, refused: &LoginRefused) {
        tracing::warn!(target: "meshgate::query", step = "authenticate", user = %refused.user, address = %refused.client_address, sqlstate = %refused.sqlstate, "login refused");
        self.audit.note(
            (self.clock)(),
            Event::LoginFailed(LoginFailed {
                user: refused.user.clone(),
                client_address: Some(refused.client_address.to_string()),
                database: refused.database.clone(),
                sqlstate: refused.sqlstate.to_string(),
            }),
        );
    }

    async fn open_session(&self, principal: Arc<Principal>, request: SessionRequest) -> Result<GatewaySession, ClientMessage> {
        tracing::info!(target: "meshgate::query", step = "authenticate", principal = %principal.name);
        let interrupt = Arc::clone(&request.interrupt);
        let stop_cause = Arc::new(move || {
            interrupt.cause().map(|cause| match cause {
                InterruptCause::CancelRequest | InterruptCause::Deadline => Stop::Cancelled,
                InterruptCause::ClientGone | InterruptCause::Shutdown => Stop::Gone,
            })
        });
        let opened = engine::SessionRequest {
            database: request.database.clone(),
            parameters: request.parameters,
            client_address: Some(request.client_address),
            process_id: request.process_id,
            stop_cause,
            whoever: self.whoever(&principal.name),
            everyone: self.everyone(),
        };
        let opening = std::time::Instant::now();
        let session = self.engine.open_session(Arc::clone(&principal), opened)?;
        stage(&session.id(), Step::OpenSession, opening.elapsed(), "");
        self.audit.note(
            (self.clock)(),
            Event::ConnectionOpened(ConnectionOpened {
                session_id: session.id().to_string(),
                principal: principal.name.clone(),
                roles: principal.roles.iter().cloned().collect(),
                client_address: Some(request.client_address.to_string()),
                database: request.database,
                application_name: session.with_settings(|settings| settings.application_name().to_owned()),
                tls: request.encrypted,
            }),
        );
        let farewell = Farewell {
            audit: Arc::clone(&self.audit),
            clock: Arc::clone(&self.clock),
            principal,
            session_id: session.id().to_string(),
            statements: 0,
        };
        Ok(GatewaySession { session, farewell })
    }
}

/// Records the end of a connection, however it ends.
struct Farewell {
    audit: Arc<AuditLog>,
    clock: Clock,
    principal: Arc<Principal>,
    session_id: String,
    statements: u64,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let reason = if std::thread::panicking() { "failed" } else { "ended" };
        self.audit.note(
            (self.clock)(),
            Event::ConnectionClosed(ConnectionClosed {
                session_id: std::mem::take(&mut self.session_id),
                principal: self.principal.name.clone(),
                reason: reason.to_owned(),
                statements: self.statements,
            }),
        );
    }
}

/// One client's session.
pub(super) struct GatewaySession {
    session: engine::Session,
    farewell: Farewell,
}

#[async_trait]
impl wire::Session for GatewaySession {
    type Statement = Statement;

    async fn parse(&mut self, text: &str) -> Result<Vec<Statement>, ClientMessage> {
        self.session.parse(text).await
    }

    async fn run(&mut self, statement: Statement) -> Result<Reply, ClientMessage> {
        self.farewell.statements += 1;
        self.session.run(&statement).await
    }

    async fn prepare(&mut self, name: &str, text: &str, parameter_oids: &[u32]) -> Result<(), ClientMessage> {
        self.session.prepare(name, text, parameter_oids).await
    }

    async fn describe_statement(&mut self, name: &str) -> Result<StatementDescription, ClientMessage> {
        let described = self.session.describe_statement(name)?;
        Ok(StatementDescription { parameters: described.parameters, columns: described.columns })
    }

    async fn bind(&mut self, portal: &str, statement: &str, parameters: Vec<Parameter>, _formats: &[Format]) -> Result<(), ClientMessage> {
        self.session.bind(portal, statement, &parameters).await
    }

    async fn describe_portal(&mut self, portal: &str) -> Result<Option<Arc<[Column]>>, ClientMessage> {
        self.session.describe_portal(portal)
    }

    async fn execute_portal(&mut self, portal: &str) -> Result<Reply, ClientMessage> {
        self.farewell.statements += 1;
        self.session.execute_portal(portal).await
    }

    fn close_statement(&mut self, name: &str) {
        self.session.close_statement(name);
    }

    fn close_portal(&mut self, portal: &str) {
        self.session.close_portal(portal);
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.session.transaction_status()
    }

    fn fail_transaction(&mut self) {
        self.session.fail_transaction();
    }

    fn sync(&mut self) {
        self.session.sync();
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        self.session.take_notices()
    }

    fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        self.session.take_parameter_changes()
    }

    fn encode_settings(&self) -> EncodeSettings {
        self.session.with_settings(|settings| EncodeSettings {
            time_zone: TimeZone::parse(&settings.time_zone()).unwrap_or_default(),
            extra_float_digits: settings.extra_float_digits(),
            date_style: settings.date_style(),
            interval_style: settings.interval_style(),
            bytea_output: settings.bytea_output(),
        })
    }

    fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    fn idle_timeout(&self) -> Option<Duration> {
        self.session.idle_timeout()
    }
}
