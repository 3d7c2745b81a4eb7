//! One client's session: settings, transaction, prepared statements, cursors.
//!
//! INVARIANT: the login is fixed when the session opens, and its roles are what the principals' file says at each statement; nothing that
//! a client sends changes either. A prepared statement keeps a tree, never a decision.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use tokio::time::Instant;
use uuid::Uuid;

use crate::catalog::SessionFacts;
use crate::error::{ClientMessage, SqlState};
use crate::identity::Principal;
use crate::telemetry::QueryTrace;

use super::column::{Column, PgType};
use super::cursor::Cursor;
use super::engine::Shared;
use super::parameter::{self, Format, Parameter};
use super::pipeline::Pipeline;
use super::reply::{CopyFormat, CopyOut, Notice, Reply, TransactionStatus};
use super::session_request::{SessionRequest, Whoever};
use super::settings::{SERVER_VERSION, Settings};
use super::shared_settings::SharedSettings;
use super::sql::{self, CopyOptions, ForceQuote, Kind, Query, Statement, TransactionModes};
use super::stream::StopCause;
use super::transaction::Transaction;
use super::{TimeZone, World, answers, values};

/// A statement that PREPARE or Parse stored.
#[derive(Debug, Clone)]
struct Prepared {
    /// `None`: the empty statement.
    statement: Option<Arc<Statement>>,
    parameters: Vec<PgType>,
    columns: Option<Arc<[Column]>>,
}

/// A statement with its parameters, ready to run.
#[derive(Debug, Clone)]
struct Bound {
    prepared: Prepared,
    values: Vec<ScalarValue>,
}

/// One client's session.
pub struct Session {
    shared: Arc<Shared>,
    id: Uuid,
    principal: Arc<Principal>,
    whoever: Whoever,
    client_address: Option<SocketAddr>,
    process_id: i32,
    started: DateTime<Utc>,
    stop_cause: StopCause,
    settings: Arc<Mutex<Settings>>,
    transaction: Transaction,
    statements: HashMap<String, Prepared>,
    portals: HashMap<String, Bound>,
    cursors: HashMap<String, Cursor>,
    notices: Vec<Notice>,
    deadline: Option<Instant>,
}

impl Session {
    pub(super) fn open(shared: Arc<Shared>, principal: Arc<Principal>, request: SessionRequest) -> Result<Self, ClientMessage> {
        let facts = [
            ("session_authorization", principal.name.clone()),
            ("meshgate.notices", if shared.options.notices { "on" } else { "off" }.to_owned()),
        ];
        let settings = Settings::new(&facts, &request.parameters)?;
        let started = shared.now();
        Ok(Self {
            shared,
            id: Uuid::now_v7(),
            principal,
            whoever: request.whoever,
            client_address: request.client_address,
            process_id: request.process_id,
            started,
            stop_cause: request.stop_cause,
            settings: Arc::new(Mutex::new(settings)),
            transaction: Transaction::default(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            cursors: HashMap::new(),
            notices: Vec::new(),
            deadline: None,
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

    /// The transaction's state.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.transaction.status()
    }

    /// A statement failed.
    pub fn fail_transaction(&mut self) {
        if self.transaction.fail() {
            self.cursors.retain(|_, cursor| cursor.held());
            self.portals.clear();
        }
    }

    /// The end of a simple query, or Sync.
    pub fn sync(&mut self) {
        if self.transaction.status() == TransactionStatus::Idle {
            self.portals.clear();
        }
        self.deadline = None;
    }

    /// When the running statement must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// After how long without a statement the session ends.
    pub fn idle_timeout(&self) -> Option<Duration> {
        let name = match self.transaction.status() {
            TransactionStatus::Idle => "idle_session_timeout",
            TransactionStatus::Active | TransactionStatus::Failed => "idle_in_transaction_session_timeout",
        };
        let own = self.with_settings(|settings| settings.duration(name));
        let most = self.shared.options.idle_session_timeout;
        Some(own.map_or(most, |own| own.min(most)))
    }

    /// Messages since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Reported settings that changed.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        self.with_settings(Settings::take_changes)
    }

    /// Splits and classifies a text.
    pub fn parse(&self, text: &str) -> Result<Vec<Statement>, ClientMessage> {
        let statements = sql::parse(text, &self.shared.options.text)?;
        tracing::info!(target: "meshgate::query", step = "parse", session_id = %self.id, statements = statements.len());
        Ok(statements)
    }

    /// Runs a statement without parameters.
    pub async fn run(&mut self, statement: &Statement) -> Result<Reply, ClientMessage> {
        self.start_statement()?;
        self.execute(statement, &[]).await
    }

    /// Parse: stores a statement.
    pub async fn prepare(&mut self, name: &str, text: &str, parameter_oids: &[u32]) -> Result<(), ClientMessage> {
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(name) {
            return Err(duplicate_statement(name));
        }
        let mut statements = self.parse(text)?;
        if statements.len() > 1 {
            return Err(ClientMessage::new(SqlState::SYNTAX_ERROR, "cannot insert multiple commands into a prepared statement"));
        }
        let statement = statements.pop();
        if let Some(statement) = &statement {
            self.check_transaction(statement)?;
        }
        let declared = parameter_oids.iter().map(|oid| declared_type(*oid)).collect::<Result<Vec<_>, _>>()?;
        self.start_statement()?;
        let prepared = self.describe(statement, &declared).await?;
        self.store(name, prepared)
    }

    /// The parameters and columns of a prepared statement.
    pub fn describe_statement(&self, name: &str) -> Result<(Vec<PgType>, Option<Arc<[Column]>>), ClientMessage> {
        let prepared = self.prepared(name)?;
        Ok((prepared.parameters.clone(), prepared.columns.clone()))
    }

    /// Bind: decodes the parameters into a portal.
    pub fn bind(&mut self, portal: &str, statement: &str, parameters: &[Parameter], _formats: &[Format]) -> Result<(), ClientMessage> {
        let prepared = self.prepared(statement)?.clone();
        if let Some(statement) = &prepared.statement {
            self.check_transaction(statement)?;
        }
        if parameters.len() != prepared.parameters.len() {
            return Err(ClientMessage::new(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "bind message supplies {} parameters, but prepared statement \"{statement}\" requires {}",
                    parameters.len(),
                    prepared.parameters.len()
                ),
            ));
        }
        let time_zone = self.with_settings(|settings| TimeZone::parse(settings.time_zone())).unwrap_or_default();
        let values = parameters
            .iter()
            .zip(&prepared.parameters)
            .map(|(value, pg_type)| parameter::decode(value, *pg_type, &time_zone))
            .collect::<Result<Vec<_>, _>>()?;
        self.portals.insert(portal.to_owned(), Bound { prepared, values });
        Ok(())
    }

    /// The columns of a portal; of a declared cursor, too.
    pub fn describe_portal(&self, portal: &str) -> Result<Option<Arc<[Column]>>, ClientMessage> {
        if let Some(cursor) = self.cursors.get(portal) {
            return Ok(Some(cursor.columns()));
        }
        self.portals.get(portal).map(|bound| bound.prepared.columns.clone()).ok_or_else(|| no_portal(portal))
    }

    /// The first Execute of a portal.
    pub async fn execute_portal(&mut self, portal: &str) -> Result<Reply, ClientMessage> {
        self.start_statement()?;
        if let Some(cursor) = self.cursors.get(portal) {
            return Ok(Reply::Rows(cursor.clone().fetch(None, "SELECT", self.deadline)));
        }
        let bound = self.portals.get(portal).cloned().ok_or_else(|| no_portal(portal))?;
        match bound.prepared.statement {
            Some(statement) => self.execute(&statement, &bound.values).await,
            None => Ok(Reply::Empty),
        }
    }

    /// Forgets a prepared statement.
    pub fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    /// Forgets a portal.
    pub fn close_portal(&mut self, portal: &str) {
        self.portals.remove(portal);
        self.cursors.remove(portal);
    }

    fn prepared(&self, name: &str) -> Result<&Prepared, ClientMessage> {
        self.statements.get(name).ok_or_else(|| no_statement(name))
    }

    fn store(&mut self, name: &str, prepared: Prepared) -> Result<(), ClientMessage> {
        if self.statements.len() >= self.shared.options.prepared_max {
            return Err(ClientMessage::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, "too many prepared statements")
                .with_hint("Use DEALLOCATE for statements that are no longer needed."));
        }
        self.statements.insert(name.to_owned(), prepared);
        Ok(())
    }

    /// A statement starts, by whoever the login is now. Its deadline is the shorter of the session's and the operator's.
    fn start_statement(&mut self) -> Result<(), ClientMessage> {
        self.principal = (self.whoever)().ok_or_else(|| login_gone(&self.principal))?;
        let own = self.with_settings(|settings| settings.statement_timeout());
        let timeout = match (own, self.shared.options.statement_timeout) {
            (Some(own), Some(most)) => Some(own.min(most)),
            (own, most) => own.or(most),
        };
        self.deadline = timeout.map(|timeout| Instant::now() + timeout);
        Ok(())
    }

    fn check_transaction(&self, statement: &Statement) -> Result<(), ClientMessage> {
        if self.transaction.status() == TransactionStatus::Failed && !statement.ends_transaction() {
            return Err(ClientMessage::new(
                SqlState::IN_FAILED_SQL_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        Ok(())
    }

    /// What a statement takes and answers.
    async fn describe(&mut self, statement: Option<Statement>, declared: &[Option<PgType>]) -> Result<Prepared, ClientMessage> {
        let untyped = |declared: &[Option<PgType>]| declared.iter().map(|pg_type| pg_type.unwrap_or(PgType::TEXT)).collect();
        let Some(statement) = statement else {
            return Ok(Prepared { statement: None, parameters: untyped(declared), columns: None });
        };
        let (parameters, columns) = match &statement.kind {
            Kind::Query(query) => {
                let (parameters, columns) = self.pipeline(statement.class()).describe(query, declared).await?;
                (parameters, Some(columns))
            }
            Kind::Copy { query, .. } => (self.pipeline(statement.class()).describe(query, declared).await?.0, None),
            Kind::Explain { query, .. } => {
                let (parameters, _) = self.pipeline(statement.class()).describe(query, declared).await?;
                (parameters, Some(answers::explain_columns()))
            }
            Kind::Show(name) => (untyped(declared), Some(answers::show_columns(name.as_deref()))),
            Kind::Fetch { name, skip: false, .. } => (untyped(declared), Some(self.cursor(name)?.columns())),
            Kind::Execute { name, .. } => (untyped(declared), self.prepared(name)?.columns.clone()),
            _ => (untyped(declared), None),
        };
        Ok(Prepared { statement: Some(Arc::new(statement)), parameters, columns })
    }

    /// A pipeline for one statement, on the world of this moment.
    fn pipeline(&self, class: &'static str) -> Pipeline {
        let world = self.shared.worlds.current();
        let now = self.shared.now();
        let (time_zone, purpose, application_name) =
            self.with_settings(|settings| (settings.time_zone().to_owned(), settings.purpose(), settings.application_name().to_owned()));
        let query_id = Uuid::now_v7();
        Pipeline {
            shared: Arc::clone(&self.shared),
            facts: Arc::new(self.facts(&world, now)),
            world,
            query_id,
            session_id: self.id,
            class,
            now,
            deadline: self.deadline,
            purpose,
            application_name,
            client_address: self.client_address,
            time_zone,
            stop_cause: Arc::clone(&self.stop_cause),
            trace: QueryTrace::start(&query_id),
        }
    }

    fn facts(&self, world: &Arc<World>, now: DateTime<Utc>) -> SessionFacts {
        let discover = {
            let (world, principal) = (Arc::clone(world), Arc::clone(&self.principal));
            Arc::new(move |product: &crate::product::Product| world.policy.may_discover(&principal, product))
        };
        SessionFacts {
            database: self.shared.options.database.clone(),
            principal: Arc::clone(&self.principal),
            snapshot: Arc::clone(&world.snapshot),
            discover,
            backend_pid: self.process_id,
            server_version: SERVER_VERSION.to_owned(),
            server_started_micros: self.shared.started.timestamp_micros(),
            session_started_micros: self.started.timestamp_micros(),
            statement_started_micros: now.timestamp_micros(),
            client_address: self.client_address.map(|address| address.ip()),
            settings: Arc::new(SharedSettings::new(Arc::clone(&self.settings))),
            view: OnceLock::new(),
        }
    }

    async fn execute(&mut self, statement: &Statement, values: &[ScalarValue]) -> Result<Reply, ClientMessage> {
        self.check_transaction(statement)?;
        let class = statement.class();
        match &statement.kind {
            Kind::Query(query) => self.query(query, values, class).await,
            Kind::Explain { analyze, query } => self.explain(*analyze, query, values).await,
            Kind::Copy { query, options } => self.copy(query, options, values).await,
            Kind::Prepare { name, types, query } => self.sql_prepare(name, types, query).await,
            Kind::Execute { name, arguments } => Box::pin(self.sql_execute(name, arguments.as_ref())).await,
            Kind::Declare { name, hold, scroll, query, .. } => self.declare(name, *hold, *scroll, query, values).await,
            Kind::Fetch { name, direction, skip } => self.fetch(name, *direction, *skip).await,
            Kind::Show(name) => self.show(name.as_deref()),
            Kind::Refused(message) => Err(message.clone()),
            other => self.change(other),
        }
    }

    async fn query(&mut self, query: &Query, values: &[ScalarValue], class: &'static str) -> Result<Reply, ClientMessage> {
        let started = self.pipeline(class).run(query, values, "SELECT").await?;
        self.tell(&started.notices);
        Ok(Reply::Rows(started.rows))
    }

    /// A notice that rules applied, unless the caller has turned that off.
    fn tell(&mut self, notices: &[String]) {
        if notices.is_empty() || !self.with_settings(|settings| settings.notices()) {
            return;
        }
        for text in notices {
            self.notices.push(Notice { severity: "NOTICE", message: ClientMessage::new(SqlState::WARNING, text.clone()) });
        }
    }

    async fn explain(&mut self, analyze: bool, query: &Query, values: &[ScalarValue]) -> Result<Reply, ClientMessage> {
        let lines = self.pipeline("explain").explain(query, values).await?;
        if analyze {
            return self.explain_analyze(lines, query, values).await;
        }
        Ok(Reply::Rows(answers::explain(&lines)?))
    }

    /// Runs the query, drops its rows, and adds only what any caller could measure: the time it took.
    async fn explain_analyze(&mut self, mut lines: Vec<String>, query: &Query, values: &[ScalarValue]) -> Result<Reply, ClientMessage> {
        let started = Instant::now();
        let mut running = self.pipeline("explain").run(query, values, "SELECT").await?.rows;
        while let Some(batch) = running.next().await {
            batch?;
        }
        lines.push(format!("Execution Time: {:.3} ms", started.elapsed().as_secs_f64() * 1000.0));
        Ok(Reply::Rows(answers::explain(&lines)?))
    }

    async fn copy(&mut self, query: &Query, options: &CopyOptions, values: &[ScalarValue]) -> Result<Reply, ClientMessage> {
        let started = self.pipeline("copy_out").run(query, values, "COPY").await?;
        self.tell(&started.notices);
        let mut format = options.format.clone();
        if let CopyFormat::Csv { force_quote, .. } = &mut format {
            *force_quote = forced(&options.force_quote, &started.rows.columns)?;
        }
        Ok(Reply::Copy(CopyOut { rows: started.rows, format }))
    }

    async fn sql_prepare(&mut self, name: &str, types: &[String], query: &Query) -> Result<Reply, ClientMessage> {
        if self.statements.contains_key(name) {
            return Err(duplicate_statement(name));
        }
        let declared = types.iter().map(|name| named_type(name).map(Some)).collect::<Result<Vec<_>, _>>()?;
        let statement = Statement { text: query.text.clone(), kind: Kind::Query(query.clone()) };
        let prepared = self.describe(Some(statement), &declared).await?;
        self.store(name, prepared)?;
        Ok(Reply::Done("PREPARE".to_owned()))
    }

    async fn sql_execute(&mut self, name: &str, arguments: Option<&Query>) -> Result<Reply, ClientMessage> {
        let prepared = self.prepared(name)?.clone();
        let given = match arguments {
            Some(query) => self.one_row(query).await?,
            None => Vec::new(),
        };
        if given.len() != prepared.parameters.len() {
            return Err(ClientMessage::new(
                SqlState::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .with_detail(format!("Expected {} parameters but got {}.", prepared.parameters.len(), given.len())));
        }
        let values = given
            .iter()
            .zip(&prepared.parameters)
            .map(|(value, pg_type)| values::convert(value, *pg_type))
            .collect::<Result<Vec<_>, _>>()?;
        match prepared.statement {
            Some(statement) => self.execute(&statement, &values).await,
            None => Ok(Reply::Empty),
        }
    }

    /// The single row of a query without tables.
    async fn one_row(&mut self, query: &Query) -> Result<Vec<ScalarValue>, ClientMessage> {
        let mut rows = self.pipeline("prepared").run(query, &[], "SELECT").await?.rows;
        let mut values = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if values.is_empty() && batch.num_rows() > 0 {
                values = batch
                    .columns()
                    .iter()
                    .map(|column| ScalarValue::try_from_array(column, 0))
                    .collect::<Result<_, _>>()
                    .map_err(|error| query.fault(&error))?;
            }
        }
        Ok(values)
    }

    async fn declare(
        &mut self,
        name: &str,
        hold: bool,
        scroll: bool,
        query: &Query,
        values: &[ScalarValue],
    ) -> Result<Reply, ClientMessage> {
        if scroll {
            // Forward fetches of a scroll cursor work; going back does not, and FETCH says so.
            self.notices.push(Notice::warning(SqlState::FEATURE_NOT_SUPPORTED, "cursors move forward only"));
        }
        if !hold && self.transaction.status() == TransactionStatus::Idle {
            return Err(ClientMessage::new(SqlState::NO_ACTIVE_TRANSACTION, "DECLARE CURSOR can only be used in transaction blocks"));
        }
        if self.cursors.contains_key(name) {
            return Err(ClientMessage::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists")));
        }
        let pipeline = self.pipeline("cursor");
        let types = vec![None; values.len()];
        let (_, columns) = pipeline.describe(query, &types).await?;
        self.cursors.insert(name.to_owned(), Cursor::new(query.clone(), values.to_vec(), columns, hold));
        Ok(Reply::Done("DECLARE CURSOR".to_owned()))
    }

    fn cursor(&self, name: &str) -> Result<&Cursor, ClientMessage> {
        self.cursors.get(name).ok_or_else(|| ClientMessage::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist")))
    }

    async fn fetch(&mut self, name: &str, direction: sql::Direction, skip: bool) -> Result<Reply, ClientMessage> {
        let cursor = self.cursor(name)?.clone();
        let rows_max = match direction {
            sql::Direction::Forward(rows) => Some(rows),
            sql::Direction::All => None,
            sql::Direction::Backward => {
                return Err(ClientMessage::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
                    .with_hint("Declare it again to start from the first row."));
            }
        };
        if cursor.needs_start().await {
            // The statement's deadline bounds each FETCH, not the life of the cursor.
            let mut pipeline = self.pipeline("cursor");
            pipeline.deadline = None;
            let started = pipeline.run(cursor.query(), cursor.values(), "FETCH").await?;
            self.tell(&started.notices);
            cursor.start(started.rows).await;
        }
        if skip {
            let mut rows = cursor.fetch(rows_max, "FETCH", self.deadline);
            let mut moved = 0u64;
            while let Some(batch) = rows.next().await {
                moved += u64::try_from(batch?.num_rows()).unwrap_or(u64::MAX);
            }
            return Ok(Reply::Done(format!("MOVE {moved}")));
        }
        Ok(Reply::Rows(cursor.fetch(rows_max, "FETCH", self.deadline)))
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
                self.set_transaction(modes)?;
                "SET".to_owned()
            }
            Kind::Reset(name) => {
                self.with_settings(|settings| settings.reset(name.as_deref()))?;
                "RESET".to_owned()
            }
            Kind::Deallocate(Some(name)) => {
                self.statements.remove(name).ok_or_else(|| no_statement(name))?;
                "DEALLOCATE".to_owned()
            }
            Kind::Deallocate(None) => {
                self.statements.clear();
                "DEALLOCATE ALL".to_owned()
            }
            Kind::Close(Some(name)) => {
                self.cursor(name)?;
                self.cursors.remove(name);
                "CLOSE CURSOR".to_owned()
            }
            Kind::Close(None) => {
                self.cursors.clear();
                "CLOSE CURSOR ALL".to_owned()
            }
            Kind::Discard(what) => self.discard(what)?,
            Kind::Unlisten => "UNLISTEN".to_owned(),
            other => self.change_transaction(other)?,
        };
        Ok(Reply::Done(tag))
    }

    fn discard(&mut self, what: &str) -> Result<String, ClientMessage> {
        if what == "all" {
            if self.transaction.status() != TransactionStatus::Idle {
                return Err(ClientMessage::new(SqlState::ACTIVE_TRANSACTION, "DISCARD ALL cannot run inside a transaction block"));
            }
            self.statements.clear();
            self.portals.clear();
            self.cursors.clear();
            self.with_settings(|settings| settings.reset(None))?;
        }
        Ok(format!("DISCARD {}", what.to_ascii_uppercase()))
    }

    fn change_transaction(&mut self, kind: &Kind) -> Result<String, ClientMessage> {
        let outcome = self.transaction.apply(kind)?;
        if let Some(warning) = outcome.warning {
            self.notices.push(warning);
        }
        if let Some(committed) = outcome.ended {
            self.with_settings(|settings| settings.end(committed));
            self.cursors.retain(|_, cursor| cursor.held() && committed);
            self.portals.clear();
        }
        if outcome.began {
            self.with_settings(Settings::begin);
        }
        if let Kind::Begin(modes) = kind {
            self.set_transaction(modes)?;
        }
        Ok(outcome.tag)
    }

    fn set_transaction(&mut self, modes: &TransactionModes) -> Result<(), ClientMessage> {
        if modes.read_only == Some(false) && modes.session {
            return Err(read_only());
        }
        if let Some(isolation) = &modes.isolation {
            let name = if modes.session { "default_transaction_isolation" } else { "transaction_isolation" };
            self.with_settings(|settings| settings.set(name, Some(isolation), false))?;
        }
        Ok(())
    }
}

fn read_only() -> ClientMessage {
    ClientMessage::new(SqlState::READ_ONLY_SQL_TRANSACTION, "cannot set transaction read-write mode: meshgate is read-only")
}

fn login_gone(principal: &Principal) -> ClientMessage {
    ClientMessage::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, format!("role \"{}\" no longer exists", principal.name))
}

fn no_statement(name: &str) -> ClientMessage {
    ClientMessage::new(SqlState::INVALID_SQL_STATEMENT_NAME, format!("prepared statement \"{name}\" does not exist"))
}

fn no_portal(name: &str) -> ClientMessage {
    ClientMessage::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

fn duplicate_statement(name: &str) -> ClientMessage {
    ClientMessage::new(SqlState::DUPLICATE_PREPARED_STATEMENT, format!("prepared statement \"{name}\" already exists"))
}

/// The type that a client declares by OID; 0 and `unknown` leave it to us.
fn declared_type(oid: u32) -> Result<Option<PgType>, ClientMessage> {
    match oid {
        0 | 705 => Ok(None),
        oid => PgType::of_oid(oid)
            .map(Some)
            .ok_or_else(|| ClientMessage::new(SqlState::UNDEFINED_OBJECT, format!("type with OID {oid} does not exist"))),
    }
}

fn named_type(name: &str) -> Result<PgType, ClientMessage> {
    let plain = name.split('(').next().unwrap_or(name).trim().to_lowercase();
    PgType::named(&plain).ok_or_else(|| ClientMessage::new(SqlState::UNDEFINED_OBJECT, format!("type \"{plain}\" does not exist")))
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
