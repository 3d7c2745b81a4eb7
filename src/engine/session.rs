//! One client's session: settings, transaction, prepared statements, cursors.
//!
//! INVARIANT: the login is fixed when the session opens, and its roles are what the principals' file says at each statement; nothing that
//! a client sends changes either. A prepared statement keeps a tree, never a decision. Every statement that comes in, whatever becomes of
//! it, is an `Attempt` and leaves its records.

mod cursors;
mod explaining;
mod held;
mod locks;
mod prepared;
mod recorded;
mod savepoints;
mod two_phase;

pub use prepared::Description;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use crate::catalog::Connection;
use crate::error::{ClientMessage, SqlState};
use crate::identity::Principal;
use crate::telemetry::{Step, stage};

use super::advisory::AdvisorySession;
use super::answers;
use super::attempt::Attempt;
use super::budget::{Budget, Part};
use super::column::{Column, PgType};
use super::cursor::Cursor;
use super::engine::Shared;
use super::in_force::InForce;
use super::pipeline::Pipeline;
use super::planning::{self, Bounds};
use super::reply::{CopyFormat, CopyOut, Notice, Reply, TransactionStatus};
use super::session_request::{Everyone, SessionRequest, Whoever};
use super::settings::Settings;
use super::signals::Presence;
use super::sql::{self, CopyOptions, ExplainOptions, ForceQuote, Kind, Query, Statement, TransactionModes};
use super::statement_facts::StatementFacts;
use super::stream::StopCause;
use super::transaction::{Savepoint, Transaction};
use super::values::Given;
use held::Held;
use prepared::no_statement;
use recorded::Recorded;

/// A statement that PREPARE or Parse stored.
#[derive(Debug, Clone)]
struct Prepared {
    /// `None`: the empty statement.
    statement: Option<Arc<Statement>>,
    parameters: Vec<PgType>,
    columns: Option<Arc<[Column]>>,
    made: Arc<Made>,
}

/// How a prepared statement came.
#[derive(Debug)]
struct Made {
    text: String,
    /// By PREPARE, not by the protocol.
    by_sql: bool,
    at: DateTime<Utc>,
    /// What it takes of the session's budget.
    _part: Part,
}

/// A statement with its parameters, ready to run.
#[derive(Debug, Clone)]
struct Bound {
    prepared: Prepared,
    given: Given,
    /// How many savepoints stood when it was bound.
    level: usize,
    /// What its values take of the session's budget.
    part: Arc<Part>,
}

/// One client's session.
pub struct Session {
    shared: Arc<Shared>,
    id: Uuid,
    principal: Arc<Principal>,
    whoever: Whoever,
    everyone: Everyone,
    client_address: Option<SocketAddr>,
    connection: Arc<Connection>,
    process_id: i32,
    started: DateTime<Utc>,
    recorded: Recorded,
    stop_cause: StopCause,
    settings: Arc<Mutex<Settings>>,
    budget: Budget,
    transaction: Transaction,
    statements: Arc<HashMap<String, Prepared>>,
    portals: HashMap<String, Bound>,
    cursors: HashMap<String, Cursor>,
    /// The portals and cursors that ended with the failure of their transaction, until that is over.
    fallen: HashSet<String>,
    notices: Vec<Notice>,
    deadline: Option<Instant>,
    /// When the transaction began, the implicit one of a lone statement too.
    transaction_started: Option<DateTime<Utc>>,
    /// The cursor that the running statement fetches from.
    fetching: Option<String>,
    /// A query has run in the open transaction.
    queried: bool,
    /// A statement has failed since the last `sync`.
    failed: bool,
    /// A text of several statements runs: together they are a transaction.
    several: bool,
    /// The login is no longer there.
    login_gone: bool,
    advisory: Arc<AdvisorySession>,
    _presence: Presence,
}

impl Session {
    pub(super) fn open(shared: Arc<Shared>, principal: Arc<Principal>, request: SessionRequest) -> Result<Self, ClientMessage> {
        let facts = [
            ("session_authorization", principal.name.clone()),
            ("meshgate.notices", if shared.options.notices { "on" } else { "off" }.to_owned()),
        ];
        let settings = Settings::new(&facts, &request.parameters)?;
        let budget = Budget::new(&shared.template.runtime_env().memory_pool);
        let started = shared.now();
        let id = Uuid::now_v7();
        let presence = shared.sessions.enter(request.process_id, &principal.name, request.stopper);
        let advisory = Arc::new(AdvisorySession::new(&shared.advisory, request.process_id));
        let recorded = Recorded::new(id, request.client_address, shared.options.database.clone());
        Ok(Self {
            shared,
            id,
            recorded,
            principal,
            whoever: request.whoever,
            everyone: request.everyone,
            client_address: request.client_address,
            connection: Arc::new(request.connection),
            process_id: request.process_id,
            started,
            stop_cause: request.stop_cause,
            settings: Arc::new(Mutex::new(settings)),
            budget,
            transaction: Transaction::default(),
            statements: Arc::default(),
            portals: HashMap::new(),
            cursors: HashMap::new(),
            fallen: HashSet::new(),
            notices: Vec::new(),
            deadline: None,
            transaction_started: None,
            fetching: None,
            queried: false,
            failed: false,
            several: false,
            login_gone: false,
            advisory,
            _presence: presence,
        })
    }

    /// The session's id, as in the audit log.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Runs `with` on the settings.
    pub fn with_settings<T>(&self, with: impl FnOnce(&mut Settings) -> T) -> T {
        with(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the settings come to now.
    pub fn in_force(&self) -> Arc<InForce> {
        self.with_settings(|settings| Arc::clone(settings.in_force()))
    }

    /// The transaction's state.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.transaction.status()
    }

    /// A statement failed.
    pub fn fail_transaction(&mut self) {
        self.failed = true;
        if let Some(name) = self.fetching.take()
            && let Some(cursor) = self.cursors.get(&name)
        {
            cursor.break_off(&name);
        }
        if self.transaction.fail() {
            let made: Vec<String> = self.portals.keys().chain(self.cursors.keys()).cloned().collect();
            // What was made before the last savepoint may be gone back to.
            self.abandon_behind(self.transaction.savepoints());
            let fallen: Vec<String> = made.into_iter().filter(|name| !self.has_portal(name)).collect();
            self.fallen.extend(fallen);
        }
        self.cursors.values().for_each(Cursor::pause);
    }

    /// The end of a simple query, or Sync: what ran outside of a transaction block has been a transaction of its own.
    pub fn sync(&mut self) {
        if self.transaction.status() == TransactionStatus::Idle {
            self.end_transaction(!self.failed);
        }
        self.failed = false;
        self.several = false;
        self.deadline = None;
    }

    /// Settings and cursors as after a commit or a rollback.
    fn end_transaction(&mut self, committed: bool) {
        self.with_settings(|settings| settings.end(committed));
        if committed {
            self.cursors.retain(|_, cursor| cursor.held());
            self.cursors.values_mut().for_each(Cursor::settle);
        } else {
            self.cursors.retain(|_, cursor| cursor.settled());
        }
        self.portals.clear();
        self.fallen.clear();
        self.advisory.end_transaction(0);
        self.transaction_started = None;
        self.queried = false;
    }

    /// When the running statement must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// After how long without a statement the session ends.
    pub fn idle_timeout(&self) -> Option<Duration> {
        let settings = self.in_force();
        let own = match self.transaction.status() {
            TransactionStatus::Idle => settings.idle_session_timeout,
            TransactionStatus::Active | TransactionStatus::Failed => settings.idle_in_transaction_timeout,
        };
        let most = self.shared.options.idle_session_timeout;
        Some(own.map_or(most, |own| own.min(most)))
    }

    /// Messages since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.notices.extend(self.advisory.warnings());
        let notices = std::mem::take(&mut self.notices);
        if notices.is_empty() {
            return notices;
        }
        notices.into_iter().filter(|notice| self.with_settings(|settings| settings.tells(notice.severity))).collect()
    }

    /// Reported settings that changed.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        self.with_settings(Settings::take_changes)
    }

    /// Splits and classifies the text of a simple query.
    pub async fn parse(&mut self, text: &str) -> Result<Vec<Statement>, ClientMessage> {
        self.fetching = None;
        let statements = self.parse_text(text).await?;
        self.several = statements.len() > 1;
        Ok(statements)
    }

    /// Step parse. A text that is no statement is recorded like one.
    async fn parse_text(&mut self, text: &str) -> Result<Vec<Statement>, ClientMessage> {
        let started = std::time::Instant::now();
        let parsed = || self.shared.plans.statements(text, || sql::parse(text, &self.shared.options.text));
        let bounds = Bounds { deadline: None, stop_cause: Arc::clone(&self.stop_cause) };
        let parsed = if text.len() > LONG_TEXT_BYTES { planning::apart(async { parsed() }, &bounds).await } else { parsed() };
        match parsed {
            Ok(statements) => {
                self.notices.extend(sql::cut_names(text).into_iter().map(Notice::plain));
                stage(&self.id, Step::Parse, started.elapsed(), &format_args!("{} statements", statements.len()));
                Ok(statements)
            }
            Err(message) => self.attempt(clipped(text), INVALID).end_with(Err(message)).await,
        }
    }

    /// Runs a statement without parameters.
    pub async fn run(&mut self, statement: &Statement) -> Result<Reply, ClientMessage> {
        self.start_statement();
        self.execute(statement, &Given::default()).await
    }

    /// A statement starts, by whoever the login is now. Its deadline is the shorter of the session's and the operator's.
    fn start_statement(&mut self) {
        match (self.whoever)() {
            Some(principal) => {
                self.principal = principal;
                self.login_gone = false;
            }
            None => self.login_gone = true,
        }
        let own = self.with_settings(|settings| {
            settings.begin();
            settings.in_force().statement_timeout
        });
        let timeout = match (own, self.shared.options.statement_timeout) {
            (Some(own), Some(most)) => Some(own.min(most)),
            (own, most) => own.or(most),
        };
        self.deadline = timeout.map(|timeout| Instant::now() + timeout);
        self.fetching = None;
        let now = self.shared.now();
        self.transaction_started.get_or_insert(now);
    }

    /// Whether a statement may run at all.
    fn check_runnable(&self, statement: &Statement) -> Result<(), ClientMessage> {
        if self.login_gone {
            return Err(login_gone(&self.principal));
        }
        if statement.ends_transaction() { Ok(()) } else { self.check_unfailed() }
    }

    /// Refuses what a failed transaction does no longer do.
    fn check_unfailed(&self) -> Result<(), ClientMessage> {
        if self.transaction.status() != TransactionStatus::Failed {
            return Ok(());
        }
        let message = "current transaction is aborted, commands ignored until end of transaction block";
        Err(ClientMessage::new(SqlState::IN_FAILED_SQL_TRANSACTION, message))
    }

    /// A statement begins, on the world of this moment.
    fn attempt(&self, text: &str, class: &'static str) -> Attempt {
        let world = self.shared.worlds.current();
        let settings = self.in_force();
        let opened = self.recorded.opened(text, class, &self.principal, &settings, &world);
        Attempt::new(&self.shared, self.id, Arc::clone(&self.stop_cause), world, opened)
    }

    /// A pipeline for a statement.
    fn pipeline(&self, attempt: Attempt) -> Pipeline {
        Pipeline {
            shared: Arc::clone(&self.shared),
            principal: Arc::clone(&self.principal),
            world: Arc::clone(attempt.world()),
            settings: self.in_force(),
            facts: StatementFacts::new(
                Arc::clone(&self.settings),
                self.process_id,
                self.started,
                Arc::clone(&self.connection),
                Arc::new(Held::new(&self.statements, &self.cursors)),
            ),
            transaction_started: self.transaction_started.unwrap_or_else(|| attempt.at()),
            attempt,
            deadline: self.deadline,
            hurried: true,
            client_address: self.client_address,
            stop_cause: Arc::clone(&self.stop_cause),
            whoever: Arc::clone(&self.whoever),
            advisory: Arc::clone(&self.advisory),
        }
    }

    /// What a query takes and answers. Leaves no record: nothing is decided, and nothing is read.
    async fn describe_query(&self, query: &Query, declared: &[Option<PgType>]) -> Result<(Vec<PgType>, Arc<[Column]>), ClientMessage> {
        let attempt = self.attempt("", INVALID).unrecorded();
        self.pipeline(attempt).describe(query, declared).await
    }

    async fn execute(&mut self, statement: &Statement, given: &Given) -> Result<Reply, ClientMessage> {
        let mut attempt = self.attempt(&statement.text, statement.class());
        if let Err(message) = self.check_runnable(statement) {
            return attempt.end_with(Err(message)).await;
        }
        self.queried |= matches!(statement.kind, Kind::Query(_) | Kind::Copy { .. } | Kind::Declare { .. });
        // In boxes of their own, so that what a query waits in is no larger than a query needs.
        match &statement.kind {
            Kind::Query(query) => self.query(query, given, attempt).await,
            Kind::Explain { options, query } => Box::pin(self.explain(*options, query, given, attempt)).await,
            Kind::ExplainPolicy { user, query } => Box::pin(self.explain_policy(user.as_deref(), query, given, attempt)).await,
            Kind::Copy { query, options } => Box::pin(self.copy(query, options, given, attempt)).await,
            _ => match Box::pin(self.perform(statement, given)).await {
                Ok(Reply::Rows(rows)) => Ok(Reply::Rows(rows.recorded_by(attempt))),
                outcome => attempt.end_with(outcome).await,
            },
        }
    }

    /// Runs a statement that is no query itself. What it makes run is recorded as a statement of its own.
    async fn perform(&mut self, statement: &Statement, given: &Given) -> Result<Reply, ClientMessage> {
        match &statement.kind {
            Kind::Prepare { name, types, query } => self.sql_prepare(&statement.text, name, types, query).await,
            Kind::Execute { name, arguments } => self.sql_execute(name, arguments.as_ref()).await,
            Kind::ExplainExecute { options, name, arguments } => self.explain_execute(*options, name, arguments.as_ref()).await,
            Kind::Declare { name, options, query } => self.declare(name, &statement.text, *options, query, given).await,
            Kind::Fetch { name, direction, skip } => self.fetch(name, *direction, *skip).await,
            Kind::Show(name) => self.show(name.as_deref()),
            Kind::LockShared(tables) => self.lock_shared(tables).await,
            Kind::Refused(message) => Err(message.clone()),
            other => self.change(other),
        }
    }

    async fn query(&mut self, query: &Query, given: &Given, attempt: Attempt) -> Result<Reply, ClientMessage> {
        let started = self.pipeline(attempt).run(query, given, "SELECT").await?;
        self.tell(&started.notices);
        Ok(Reply::Rows(started.rows))
    }

    /// A notice that rules applied, unless the caller has turned that off.
    fn tell(&mut self, notices: &[Notice]) {
        if !notices.is_empty() && self.in_force().notices {
            self.notices.extend_from_slice(notices);
        }
    }

    pub(super) async fn explain(
        &mut self,
        options: ExplainOptions,
        query: &Query,
        given: &Given,
        attempt: Attempt,
    ) -> Result<Reply, ClientMessage> {
        let (plan, mut attempt) = self.pipeline(attempt).explain(query, given).await?;
        let mut spent = None;
        if options.analyze {
            match self.time_of(query, given).await {
                Ok(took) => spent = Some(took),
                Err(message) => return attempt.end_with(Err(message)).await,
            }
        }
        attempt.answer_with(answers::explain(&plan, spent, options)).await
    }

    /// Runs the query and drops its rows: only what any caller could measure is told, the time it took.
    async fn time_of(&mut self, query: &Query, given: &Given) -> Result<Duration, ClientMessage> {
        let started = Instant::now();
        let mut running = self.pipeline(self.attempt(&query.text, "explain")).run(query, given, "SELECT").await?.rows;
        while let Some(batch) = running.next().await {
            batch?;
        }
        Ok(started.elapsed())
    }

    async fn copy(&mut self, query: &Query, options: &CopyOptions, given: &Given, attempt: Attempt) -> Result<Reply, ClientMessage> {
        let started = self.pipeline(attempt).run(query, given, "COPY").await?;
        self.tell(&started.notices);
        let mut format = options.format.clone();
        if let CopyFormat::Csv { force_quote, .. } = &mut format {
            *force_quote = forced(&options.force_quote, &started.rows.columns).inspect_err(|message| started.rows.failed(message))?;
        }
        Ok(Reply::Copy(CopyOut { rows: started.rows, format, encoding: options.encoding }))
    }

    fn show(&mut self, name: Option<&str>) -> Result<Reply, ClientMessage> {
        let rows = match name {
            Some(name) => answers::show(name, &self.with_settings(|settings| settings.show(name))?)?,
            None => answers::show_all(&self.with_settings(|settings| settings.all()))?,
        };
        Ok(Reply::Rows(rows))
    }

    /// Statements that only change the session.
    fn change(&mut self, kind: &Kind) -> Result<Reply, ClientMessage> {
        let tag = match kind {
            Kind::Set { name, value, local } => {
                if *local && self.transaction.status() == TransactionStatus::Idle {
                    self.notices.push(Notice::warning(SqlState::NO_ACTIVE_TRANSACTION, "SET LOCAL can only be used in transaction blocks"));
                }
                self.with_settings(|settings| settings.set(name, value.as_deref(), *local))?;
                "SET".to_owned()
            }
            Kind::SetTransaction(modes) => {
                self.check_modes(modes)?;
                self.check_snapshot(modes)?;
                self.set_transaction(modes)?;
                "SET".to_owned()
            }
            Kind::Reset(name) => {
                self.with_settings(|settings| settings.reset(name.as_deref()))?;
                "RESET".to_owned()
            }
            Kind::Deallocate(Some(name)) => {
                Arc::make_mut(&mut self.statements).remove(name).ok_or_else(|| no_statement(name))?;
                "DEALLOCATE".to_owned()
            }
            Kind::Deallocate(None) => {
                self.statements = Arc::default();
                "DEALLOCATE ALL".to_owned()
            }
            Kind::Close(Some(name)) => {
                if self.portals.remove(name).is_none() {
                    self.cursor(name)?;
                }
                self.cursors.remove(name);
                "CLOSE CURSOR".to_owned()
            }
            Kind::Close(None) => {
                self.cursors.clear();
                self.portals.clear();
                "CLOSE CURSOR ALL".to_owned()
            }
            Kind::Discard(what) => self.discard(what)?,
            Kind::Listen => "LISTEN".to_owned(),
            Kind::Unlisten => "UNLISTEN".to_owned(),
            Kind::PrepareTransaction => self.prepare_transaction()?,
            Kind::FinishPrepared { verb, name } => return Err(self.no_prepared_transaction(verb, name)),
            other => self.change_transaction(other)?,
        };
        Ok(Reply::Done(tag))
    }

    fn discard(&mut self, what: &str) -> Result<String, ClientMessage> {
        if what == "all" {
            if self.transaction.status() != TransactionStatus::Idle {
                return Err(ClientMessage::new(SqlState::ACTIVE_TRANSACTION, "DISCARD ALL cannot run inside a transaction block"));
            }
            self.statements = Arc::default();
            self.portals.clear();
            self.cursors.clear();
            self.with_settings(|settings| settings.reset(None))?;
            self.advisory.release_all();
        }
        Ok(format!("DISCARD {}", what.to_ascii_uppercase()))
    }

    fn change_transaction(&mut self, kind: &Kind) -> Result<String, ClientMessage> {
        let chained = match kind {
            Kind::Commit { chain: true } | Kind::Rollback { chain: true } => Some(self.modes()?),
            _ => None,
        };
        if let Kind::Savepoint(name) = kind {
            self.with_settings(|settings| settings.check_room(name))?;
        }
        let outcome = self.transaction.apply(kind)?;
        if let Some(warning) = outcome.warning {
            self.notices.push(warning);
        }
        if let Some(committed) = outcome.ended {
            self.end_transaction(committed);
        }
        match outcome.savepoint {
            Some(Savepoint::Set) => self.with_settings(Settings::set_savepoint),
            Some(Savepoint::Released(left)) => {
                self.keep_behind(left);
                self.with_settings(|settings| settings.release_savepoints(left));
            }
            Some(Savepoint::RolledBack(savepoint)) => {
                self.with_settings(|settings| settings.roll_back_to(savepoint));
                self.abandon_behind(savepoint + 1);
                self.fallen.clear();
            }
            None => {}
        }
        self.advisory.stand_behind(self.transaction.savepoints());
        if outcome.began {
            self.with_settings(Settings::begin);
            let now = self.shared.now();
            self.transaction_started.get_or_insert(now);
        }
        if let Kind::Begin(modes) = kind {
            self.set_transaction(modes)?;
        }
        if let Some(modes) = chained {
            self.set_transaction(&modes)?;
        }
        Ok(outcome.tag)
    }

    /// What the transaction is, which the one that is chained to it will be.
    fn modes(&mut self) -> Result<TransactionModes, ClientMessage> {
        let isolation = self.with_settings(|settings| settings.show("transaction_isolation"))?;
        let deferrable = self.with_settings(|settings| settings.show("transaction_deferrable"))?;
        Ok(TransactionModes { isolation: Some(isolation), deferrable: Some(deferrable == "on"), ..TransactionModes::default() })
    }

    /// Whether SET TRANSACTION comes at its time.
    fn check_modes(&mut self, modes: &TransactionModes) -> Result<(), ClientMessage> {
        if modes.session {
            return Ok(());
        }
        if self.transaction.status() == TransactionStatus::Idle && !self.several {
            let text = "SET TRANSACTION can only be used in transaction blocks";
            self.notices.push(Notice::warning(SqlState::NO_ACTIVE_TRANSACTION, text));
        }
        let current = self.with_settings(|settings| settings.show("transaction_isolation"))?;
        if self.queried && modes.isolation.as_ref().is_some_and(|isolation| *isolation != current) {
            let text = "SET TRANSACTION ISOLATION LEVEL must be called before any query";
            return Err(ClientMessage::new(SqlState::ACTIVE_TRANSACTION, text));
        }
        Ok(())
    }

    /// Nobody exports a snapshot, so none can be imported.
    fn check_snapshot(&mut self, modes: &TransactionModes) -> Result<(), ClientMessage> {
        let Some(snapshot) = &modes.snapshot else { return Ok(()) };
        if self.queried {
            let text = "SET TRANSACTION SNAPSHOT must be called before any query";
            return Err(ClientMessage::new(SqlState::ACTIVE_TRANSACTION, text));
        }
        let isolation = self.with_settings(|settings| settings.show("transaction_isolation"))?;
        if !matches!(isolation.as_str(), "serializable" | "repeatable read") {
            let text = "a snapshot-importing transaction must have isolation level SERIALIZABLE or REPEATABLE READ";
            return Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, text));
        }
        Err(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid snapshot identifier: \"{snapshot}\"")))
    }

    fn set_transaction(&mut self, modes: &TransactionModes) -> Result<(), ClientMessage> {
        if let Some(read_only) = modes.read_only.filter(|_| modes.session) {
            let value = if read_only { "on" } else { "off" };
            self.with_settings(|settings| settings.set("default_transaction_read_only", Some(value), false))?;
        }
        if let Some(isolation) = &modes.isolation {
            let name = if modes.session { "default_transaction_isolation" } else { "transaction_isolation" };
            self.with_settings(|settings| settings.set(name, Some(isolation), false))?;
        }
        if let Some(deferrable) = modes.deferrable {
            let name = if modes.session { "default_transaction_deferrable" } else { "transaction_deferrable" };
            self.with_settings(|settings| settings.set(name, Some(if deferrable { "on" } else { "off" }), false))?;
        }
        Ok(())
    }
}

/// The class of what does not parse.
const INVALID: &str = "invalid";

/// To parse so long a text takes a while, which is not taken from other clients.
const LONG_TEXT_BYTES: usize = 64 << 10;

/// Bytes of a text without meaning that a record keeps.
const INVALID_BYTES_MAX: usize = 16 << 10;

/// The beginning of a text that may be anything.
fn clipped(text: &str) -> &str {
    text.get(..text.floor_char_boundary(INVALID_BYTES_MAX)).unwrap_or_default()
}

fn login_gone(principal: &Principal) -> ClientMessage {
    ClientMessage::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, format!("role \"{}\" no longer exists", principal.name))
}

fn duplicate_cursor(name: &str) -> ClientMessage {
    ClientMessage::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists"))
}

/// The columns that FORCE_QUOTE means.
fn forced(force_quote: &ForceQuote, columns: &[Column]) -> Result<Vec<usize>, ClientMessage> {
    match force_quote {
        ForceQuote::None => Ok(Vec::new()),
        ForceQuote::All => Ok((0..columns.len()).collect()),
        ForceQuote::Columns(names) => names
            .iter()
            .map(|name| {
                columns.iter().position(|column| &column.name == name).ok_or_else(|| {
                    ClientMessage::new(SqlState::UNDEFINED_COLUMN, format!("FORCE_QUOTE column \"{name}\" not referenced by COPY"))
                })
            })
            .collect(),
    }
}
