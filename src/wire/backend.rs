//! What the protocol needs of whoever answers: the seam between sockets and the engine.
//!
//! INVARIANT: a principal comes from [`Backend::login`] after its proof has succeeded, or with its token from [`Backend::check_token`]; nothing that a client sends later
//! changes it. Every future of a [`Session`] may be dropped at any await (cancel, deadline, a vanished client) and leaves the
//! session usable.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::engine::{Column, Connection, Format, Memory, Notice, Parameter, PgType, Reply, TransactionStatus};
use crate::error::{ClientMessage, SqlState};
use crate::identity::{Caller, Principal, ScramServer};

use super::encode::EncodeSettings;
use super::signal::Signal;

/// Who wants to log in. For an unknown name there is no principal, and the exchange runs like any other and fails at its end.
pub struct Login {
    /// The principal, if there is such a login.
    pub principal: Option<Arc<Principal>>,
    /// The exchange that proves it by a password.
    pub exchange: ScramServer,
    /// Whether it has a password; a login that has none, and an unknown one, is asked for a token where tokens are taken.
    pub has_password: bool,
}

/// A login that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRefused {
    /// The name that was given; anything a client may send.
    pub user: String,
    /// The database that was asked for.
    pub database: String,
    /// Where the client is.
    pub client_address: SocketAddr,
    /// What the client was told.
    pub sqlstate: SqlState,
    /// Why, for the operator alone.
    pub reason: String,
}

/// What a client asks for when it connects.
#[derive(Debug, Clone)]
pub struct SessionRequest {
    /// The database.
    pub database: String,
    /// Settings in the order in which they apply: those of `options` (`-c name=value`) first, then the start-up packet's own.
    pub parameters: Vec<(String, String)>,
    /// Where the client is.
    pub client_address: SocketAddr,
    /// The number that `pg_backend_pid()` shows and cancel requests name.
    pub process_id: i32,
    /// What else there is to know of its connection.
    pub connection: Connection,
    /// Tells why a running statement was stopped.
    pub interrupt: Arc<Interrupt>,
}

/// Answers logins and opens sessions.
pub trait Backend: Send + Sync + 'static {
    /// The sessions it opens.
    type Session: Session;

    /// Begins a login.
    fn login(&self, user: &str) -> Login;

    /// Checks a token and whether it is that login's. The error says why not, for the operator alone.
    fn check_token(&self, user: &str, token: &str) -> impl Future<Output = Result<Caller, String>> + Send;

    /// Whether there is such a database.
    fn database_exists(&self, database: &str) -> bool;

    /// Where long messages of sessions are held.
    fn memory(&self) -> Memory;

    /// Told of every login that is refused.
    fn login_refused(&self, refused: &LoginRefused);

    /// Opens a session for a caller who has proved itself. An error ends the connection.
    fn open_session(&self, caller: Caller, request: SessionRequest) -> impl Future<Output = Result<Self::Session, ClientMessage>> + Send;
}

/// What a prepared statement takes and answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementDescription {
    /// The type of each parameter.
    pub parameters: Vec<PgType>,
    /// The columns, if it answers rows.
    pub columns: Option<Arc<[Column]>>,
}

/// One client's session. It owns the prepared statements and what is bound to portals; the wire owns the running rows of a portal.
pub trait Session: Send + 'static {
    /// A parsed statement of a simple query.
    type Statement: Send;

    /// Splits and parses the text of a simple query. An error anywhere runs none of its statements.
    fn parse(&mut self, text: &str) -> impl Future<Output = Result<Vec<Self::Statement>, ClientMessage>> + Send;

    /// Runs one statement of a simple query.
    fn run(&mut self, statement: Self::Statement) -> impl Future<Output = Result<Reply, ClientMessage>> + Send;

    /// Parse: stores a statement. The empty name may be replaced; another that exists is 42P05. More than one statement is 42601.
    /// In a failed transaction, all but its end is 25P02. An OID of 0 leaves the type to be inferred.
    fn prepare(&mut self, name: &str, text: &str, parameter_oids: &[u32]) -> impl Future<Output = Result<(), ClientMessage>> + Send;

    /// Describe; 26000 for an unknown name.
    fn describe_statement(&mut self, name: &str) -> impl Future<Output = Result<StatementDescription, ClientMessage>> + Send;

    /// Bind: decodes the parameters. The wire has already checked their number, and that the portal's name is free or empty.
    fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        parameters: Vec<Parameter>,
        result_formats: &[Format],
    ) -> impl Future<Output = Result<(), ClientMessage>> + Send;

    /// The columns of a bound portal, if it answers rows; 34000 for an unknown name.
    fn describe_portal(&mut self, portal: &str) -> impl Future<Output = Result<Option<Arc<[Column]>>, ClientMessage>> + Send;

    /// Execute of a portal, up to `limit` rows. Later ones of a suspended portal reach the session only if its rows say that they go on there.
    fn execute_portal(&mut self, portal: &str, limit: Option<u64>) -> impl Future<Output = Result<Reply, ClientMessage>> + Send;

    /// Whether the session still has a portal that was bound: a failure, or the way back to a savepoint, ends some.
    fn has_portal(&self, portal: &str) -> bool;

    /// Whether there is a cursor of this name that a statement has declared.
    fn has_cursor(&self, _name: &str) -> bool {
        false
    }

    /// Whether a portal may be executed now: 34000 if there is none, 25P02 in a failed transaction, of a portal that failed with it, too.
    fn check_portal(&self, _portal: &str) -> Result<(), ClientMessage> {
        Ok(())
    }

    /// Forgets a prepared statement; an unknown name is no error.
    fn close_statement(&mut self, name: &str);

    /// Forgets a portal; an unknown name is no error.
    fn close_portal(&mut self, portal: &str);

    /// The state that ReadyForQuery reports.
    fn transaction_status(&self) -> TransactionStatus;

    /// A statement failed: an open transaction is failed from here on. Portals of before its last savepoint stay.
    fn fail_transaction(&mut self);

    /// The end of a simple query or Sync: ends the implicit transaction. If the session is idle afterwards, the wire closes all portals.
    fn sync(&mut self);

    /// Messages since the last call.
    fn take_notices(&mut self) -> Vec<Notice>;

    /// Reported settings that changed since the last call; after opening, all of them.
    fn take_parameter_changes(&mut self) -> Vec<(String, String)>;

    /// How values are written now.
    fn encode_settings(&self) -> EncodeSettings;

    /// When the statement whose rows are being sent must end; asked only then. The wire holds it while a client does not read; the engine
    /// holds it for itself.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// How much longer the session may last, if what proved its login does not hold for ever.
    fn lasts(&self) -> Option<std::time::Duration> {
        None
    }

    /// After how long without a statement the session ends (57P05).
    fn idle_timeout(&self) -> Option<std::time::Duration> {
        None
    }
}

/// Why a running statement was stopped from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterruptCause {
    /// The client sent a cancel request.
    CancelRequest,
    /// The deadline of [`Session::deadline`] passed.
    Deadline,
    /// The client is gone.
    ClientGone,
    /// The gateway shuts down.
    Shutdown,
}

/// Stops the running statement of one session, and remembers why until the next one begins.
#[derive(Debug, Default)]
pub struct Interrupt {
    state: Mutex<InterruptState>,
    ended: Signal,
}

#[derive(Debug, Default)]
struct InterruptState {
    signal: Arc<Signal>,
    cause: Option<InterruptCause>,
}

impl Interrupt {
    /// Why the statement that runs, or ran last, was stopped. To be read where its rows are dropped.
    pub fn cause(&self) -> Option<InterruptCause> {
        self.locked().cause
    }

    /// Asks the running statement to stop, as `pg_cancel_backend` does. Without one, nothing happens.
    pub fn cancel(&self) {
        let mut state = self.locked();
        state.cause.get_or_insert(InterruptCause::CancelRequest);
        state.signal.raise();
    }

    /// Ends the session, as `pg_terminate_backend` does.
    pub fn terminate(&self) {
        self.stopped(InterruptCause::Shutdown);
        self.ended.raise();
    }

    /// What ends the session.
    pub(super) fn ended(&self) -> &Signal {
        &self.ended
    }

    /// A statement begins: what stops it, unless that is what could have stopped the one before.
    pub(super) fn begin(&self) -> Option<Arc<Signal>> {
        let mut state = self.locked();
        state.cause?;
        *state = InterruptState::default();
        Some(Arc::clone(&state.signal))
    }

    /// What stops the statement that runs.
    pub(super) fn signal(&self) -> Arc<Signal> {
        Arc::clone(&self.locked().signal)
    }

    /// Records why the wire itself stops a statement.
    pub(super) fn stopped(&self, cause: InterruptCause) {
        self.locked().cause.get_or_insert(cause);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, InterruptState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
