//! Joins the protocol to the engine: the seam's traits, answered by the engine's sessions and the directory of principals.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::audit::{AuditLog, ConnectionClosed, ConnectionOpened, Event, LoginFailed};
use crate::engine::{
    self, Clock, Column, Engine, Everyone, Format, Memory, Notice, Parameter, Reply, Statement, Stop, Stopping, TransactionStatus, Whoever,
};
use crate::error::ClientMessage;
use crate::identity::token::TokenIdentity;
use crate::identity::{Caller, Directory, Principal, Proof, ScramServer};
use crate::telemetry::{Step, stage};
use crate::wire::{self, EncodeSettings, InterruptCause, Login, LoginRefused, SessionRequest, StatementDescription};

use super::tokens::Issuers;

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
    /// Whose tokens prove a login.
    pub(super) issuers: Option<Issuers>,
    /// Makes the salts of unknown users look like those of known ones; new in every process.
    pub(super) mock_secret: [u8; 32],
}

impl Gateway {
    /// Asks who that caller is at the moment: the directory by the name, or the token for as long as it holds.
    fn whoever(&self, caller: &Caller) -> Whoever {
        let (directories, name) = (Arc::clone(&self.directories), caller.principal.name.clone());
        match &caller.proof {
            Proof::Password | Proof::Certificate => Arc::new(move || find(&directories.current(), &name)),
            Proof::Token { issuer, session_ends } => {
                let (clock, issuer, session_ends) = (Arc::clone(&self.clock), issuer.clone(), *session_ends);
                // One whom the directory knew is whom it says, and nobody once it says nothing any more.
                let of_claims = directories.current().find(&name).is_none().then(|| Arc::clone(&caller.principal));
                Arc::new(move || {
                    let holds = clock() < session_ends;
                    if holds { token_principal(&directories.current(), &name, &issuer, of_claims.as_ref()) } else { None }
                })
            }
        }
    }

    /// Asks the current directory who any login is.
    fn everyone(&self) -> Everyone {
        let directories = Arc::clone(&self.directories);
        Arc::new(move |name| find(&directories.current(), name))
    }
}

fn find(directory: &Directory, name: &str) -> Option<Arc<Principal>> {
    directory.find(name).map(|login| Arc::clone(&login.principal))
}

/// Who the bearer of a good token is: the login of the directory, if it has one of that name and says that this issuer's tokens prove it;
/// whom the claims describe, if there is none.
fn token_principal(directory: &Directory, name: &str, issuer: &str, of_claims: Option<&Arc<Principal>>) -> Option<Arc<Principal>> {
    match directory.find(name) {
        Some(login) => (login.issuer.as_deref() == Some(issuer)).then(|| Arc::clone(&login.principal)),
        None => of_claims.cloned(),
    }
}

impl wire::Backend for Gateway {
    type Session = GatewaySession;

    fn login(&self, user: &str) -> Login {
        let directory = self.directories.current();
        let login = directory.find(user);
        let verifier = login.and_then(|login| login.verifier.clone());
        let has_password = verifier.is_some();
        let exchange = ScramServer::new(verifier, &self.mock_secret, user).with_mock_iterations(directory.usual_iterations());
        Login { principal: login.map(|login| Arc::clone(&login.principal)), exchange, has_password }
    }

    async fn check_token(&self, user: &str, token: &str) -> Result<Caller, String> {
        let issuers = self.issuers.as_ref().ok_or("no tokens are taken")?;
        let TokenIdentity { mut principal, issuer, session_ends } = issuers.check(token, &self.clock).await?;
        if principal.name != user {
            return Err("the token is somebody else's".to_owned());
        }
        let directory = self.directories.current();
        directory.stand_for_product(&mut principal);
        let of_claims = Arc::new(principal);
        let principal = token_principal(&directory, user, &issuer, Some(&of_claims))
            .ok_or("the login of that name is not proved by tokens of this issuer")?;
        Ok(Caller { principal, proof: Proof::Token { issuer, session_ends } })
    }

    fn database_exists(&self, database: &str) -> bool {
        database == self.engine.database()
    }

    fn memory(&self) -> Memory {
        self.engine.memory()
    }

    fn login_refused(&self, refused: &LoginRefused) {
        tracing::warn!(target: "meshgate::query", step = "authenticate", user = %refused.user, address = %refused.client_address, sqlstate = %refused.sqlstate, reason = %refused.reason, "login refused");
        self.audit.note(
            (self.clock)(),
            Event::LoginFailed(LoginFailed {
                user: refused.user.clone(),
                client_address: Some(refused.client_address.to_string()),
                database: refused.database.clone(),
                sqlstate: refused.sqlstate.to_string(),
                reason: refused.reason.clone(),
            }),
        );
    }

    async fn open_session(&self, caller: Caller, request: SessionRequest) -> Result<GatewaySession, ClientMessage> {
        let whoever = self.whoever(&caller);
        let Caller { principal, proof } = caller;
        tracing::info!(target: "meshgate::query", step = "authenticate", principal = %principal.name);
        let interrupt = Arc::clone(&request.interrupt);
        let stopped = Arc::clone(&request.interrupt);
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
            connection: request.connection.clone(),
            process_id: request.process_id,
            stop_cause,
            stopper: Arc::new(move |stopping| match stopping {
                Stopping::Cancel => stopped.cancel(),
                Stopping::Terminate => stopped.terminate(),
            }),
            whoever,
            everyone: self.everyone(),
        };
        let opening = std::time::Instant::now();
        let session = self.engine.open_session(Arc::clone(&principal), opened)?;
        stage(&session.id(), Step::OpenSession, opening.elapsed(), &"");
        self.audit.note(
            (self.clock)(),
            Event::ConnectionOpened(ConnectionOpened {
                session_id: session.id().to_string(),
                principal: principal.name.clone(),
                roles: principal.roles.iter().cloned().collect(),
                client_address: Some(request.client_address.to_string()),
                database: request.database,
                application_name: session.in_force().application_name.clone(),
                tls: request.connection.encryption.is_some(),
                proof: proof_name(&proof).to_owned(),
                issuer: match &proof {
                    Proof::Token { issuer, .. } => Some(issuer.clone()),
                    Proof::Password | Proof::Certificate => None,
                },
            }),
        );
        let farewell = Farewell {
            audit: Arc::clone(&self.audit),
            clock: Arc::clone(&self.clock),
            principal,
            session_id: session.id().to_string(),
            statements: 0,
        };
        let ends = match proof {
            Proof::Token { session_ends, .. } => Some(session_ends),
            Proof::Password | Proof::Certificate => None,
        };
        Ok(GatewaySession { session, farewell, clock: Arc::clone(&self.clock), ends })
    }
}

fn proof_name(proof: &Proof) -> &'static str {
    match proof {
        Proof::Password => "password",
        Proof::Certificate => "certificate",
        Proof::Token { .. } => "token",
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
    clock: Clock,
    /// When what proved its login no longer holds.
    ends: Option<DateTime<Utc>>,
}

impl wire::Session for GatewaySession {
    type Statement = Statement;

    async fn parse(&mut self, text: &str) -> Result<Vec<Statement>, ClientMessage> {
        Box::pin(self.session.parse(text)).await
    }

    async fn run(&mut self, statement: Statement) -> Result<Reply, ClientMessage> {
        self.farewell.statements += 1;
        Box::pin(self.session.run(&statement)).await
    }

    async fn prepare(&mut self, name: &str, text: &str, parameter_oids: &[u32]) -> Result<(), ClientMessage> {
        Box::pin(self.session.prepare(name, text, parameter_oids)).await
    }

    async fn describe_statement(&mut self, name: &str) -> Result<StatementDescription, ClientMessage> {
        let described = self.session.describe_statement(name)?;
        Ok(StatementDescription { parameters: described.parameters, columns: described.columns })
    }

    async fn bind(&mut self, portal: &str, statement: &str, parameters: Vec<Parameter>, _formats: &[Format]) -> Result<(), ClientMessage> {
        Box::pin(self.session.bind(portal, statement, &parameters)).await
    }

    async fn describe_portal(&mut self, portal: &str) -> Result<Option<Arc<[Column]>>, ClientMessage> {
        self.session.describe_portal(portal)
    }

    async fn execute_portal(&mut self, portal: &str, limit: Option<u64>) -> Result<Reply, ClientMessage> {
        self.farewell.statements += 1;
        Box::pin(self.session.execute_portal(portal, limit)).await
    }

    fn has_portal(&self, portal: &str) -> bool {
        self.session.has_portal(portal)
    }

    fn has_cursor(&self, name: &str) -> bool {
        self.session.has_cursor(name)
    }

    fn check_portal(&self, portal: &str) -> Result<(), ClientMessage> {
        self.session.check_portal(portal)
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
        let settings = self.session.in_force();
        EncodeSettings {
            time_zone: settings.time_zone,
            extra_float_digits: settings.extra_float_digits,
            date_style: settings.date_style,
            interval_style: settings.interval_style,
            bytea_output: settings.bytea_output,
            client_encoding: settings.client_encoding,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    fn lasts(&self) -> Option<Duration> {
        let ends = self.ends?;
        Some((ends - (self.clock)()).to_std().unwrap_or_default())
    }

    fn idle_timeout(&self) -> Option<Duration> {
        self.session.idle_timeout()
    }
}
