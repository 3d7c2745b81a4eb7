//! Prepared statements and portals, of the protocol and of SQL.
//!
//! INVARIANT: what is prepared is a tree and what it takes and answers. Each execution is decided anew, whether it is planned anew or not; if it then answers other
//! columns than were described, it is refused.

use std::sync::Arc;

use datafusion::common::ScalarValue;

use crate::engine::attempt::Attempt;
use crate::engine::column::{Column, PgType};
use crate::engine::cursor::{Cursor, Options, Reach};
use crate::engine::parameter::{self, Parameter};
use crate::engine::reply::Reply;
use crate::engine::sql::{ExplainOptions, Kind, Query, Statement};
use crate::engine::values::Given;
use crate::engine::{answers, budget, values};
use crate::error::{ClientMessage, SqlState};

use super::{Bound, INVALID, Made, Prepared, Session, clipped, duplicate_cursor};

/// What a prepared statement takes and answers.
pub struct Description {
    /// The type of each parameter.
    pub parameters: Vec<PgType>,
    /// The columns, if there are rows.
    pub columns: Option<Arc<[Column]>>,
}

impl Session {
    /// Parse: stores a statement.
    pub async fn prepare(&mut self, name: &str, text: &str, parameter_oids: &[u32]) -> Result<(), ClientMessage> {
        self.start_statement();
        if name.is_empty() {
            Arc::make_mut(&mut self.statements).remove("");
        }
        let mut statements = self.parse_text(text).await?;
        let first = if statements.len() > 1 { None } else { statements.pop() };
        let class = first.as_ref().map_or(INVALID, Statement::class);
        let attempt = self.attempt(clipped(text), class);
        let stored = if statements.is_empty() {
            self.prepare_one(name, text, first, parameter_oids).await
        } else {
            Err(ClientMessage::new(SqlState::SYNTAX_ERROR, "cannot insert multiple commands into a prepared statement"))
        };
        self.unless_failed(attempt, stored).await
    }

    /// What has only been prepared leaves no record; what cannot be prepared has failed.
    async fn unless_failed<T>(&self, mut attempt: Attempt, outcome: Result<T, ClientMessage>) -> Result<T, ClientMessage> {
        match outcome {
            Ok(done) => {
                drop(attempt.unrecorded());
                Ok(done)
            }
            Err(message) => attempt.end_with(Err(message)).await,
        }
    }

    async fn prepare_one(
        &mut self,
        name: &str,
        text: &str,
        statement: Option<Statement>,
        parameter_oids: &[u32],
    ) -> Result<(), ClientMessage> {
        if self.statements.contains_key(name) {
            return Err(duplicate_statement(name));
        }
        if let Some(statement) = &statement {
            self.check_runnable(statement)?;
        }
        let declared = parameter_oids.iter().map(|oid| declared_type(*oid)).collect::<Result<Vec<_>, _>>()?;
        let text = text.to_owned();
        let part = self.budget.take(budget::of_statement(&text), "prepared statements")?;
        let made = Made { text, by_sql: false, at: self.shared.now(), _part: part };
        let prepared = self.describe(statement, &declared, made).await?;
        self.store(name, prepared)
    }

    /// The parameters and columns of a prepared statement.
    pub fn describe_statement(&self, name: &str) -> Result<Description, ClientMessage> {
        let prepared = self.prepared(name)?;
        if let Some(statement) = prepared.statement.as_ref().filter(|_| prepared.columns.is_some()) {
            self.check_runnable(statement)?;
        }
        Ok(Description { parameters: prepared.parameters.clone(), columns: prepared.columns.clone() })
    }

    /// Bind: decodes the parameters into a portal.
    pub async fn bind(&mut self, portal: &str, statement: &str, parameters: &[Parameter]) -> Result<(), ClientMessage> {
        self.fetching = None;
        let prepared = self.prepared(statement)?.clone();
        let bound = self.bound(portal, statement, prepared.clone(), parameters);
        let Some(source) = &prepared.statement else { return bound };
        let attempt = self.attempt(&source.text, source.class());
        self.unless_failed(attempt, bound).await
    }

    fn bound(&mut self, portal: &str, name: &str, prepared: Prepared, parameters: &[Parameter]) -> Result<(), ClientMessage> {
        match &prepared.statement {
            Some(statement) => self.check_runnable(statement)?,
            None => self.check_unfailed()?,
        }
        let (given, needed) = (parameters.len(), prepared.parameters.len());
        if given != needed {
            let message = format!("bind message supplies {given} parameters, but prepared statement \"{name}\" requires {needed}");
            return Err(ClientMessage::new(SqlState::PROTOCOL_VIOLATION, message));
        }
        if self.cursors.contains_key(portal) {
            return Err(duplicate_cursor(portal));
        }
        if !self.portals.contains_key(portal) && self.portals.len() >= self.shared.options.portals_max {
            return Err(ClientMessage::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, "too many portals")
                .with_hint("Close portals that are no longer needed."));
        }
        let settings = self.in_force();
        let now = self.transaction_started.unwrap_or_else(chrono::Utc::now);
        let values = parameters
            .iter()
            .zip(&prepared.parameters)
            .map(|(value, pg_type)| {
                let value = settings.client_encoding.received(value, *pg_type)?;
                parameter::bound(&value, *pg_type, &settings.time_zone, || settings.facts(now))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let part = Arc::new(self.budget.take(budget::of_values(&values), "values of portals")?);
        let given = Given::new(values, prepared.parameters.clone());
        let level = self.transaction.savepoints();
        self.portals.insert(portal.to_owned(), Bound { prepared, given, level, part });
        Ok(())
    }

    /// The columns of a portal; of a declared cursor, too.
    pub fn describe_portal(&self, portal: &str) -> Result<Option<Arc<[Column]>>, ClientMessage> {
        let columns = match (self.cursors.get(portal), self.portals.get(portal)) {
            (Some(cursor), _) => Some(cursor.columns()),
            (None, Some(bound)) => bound.prepared.columns.clone(),
            (None, None) => return Err(self.no_portal(portal)),
        };
        if columns.is_some() {
            self.check_unfailed()?;
        }
        Ok(columns)
    }

    /// Whether a portal, or a declared cursor, may be executed now.
    pub fn check_portal(&self, portal: &str) -> Result<(), ClientMessage> {
        match (self.cursors.get(portal), self.portals.get(portal)) {
            (None, None) => Err(self.no_portal(portal)),
            (_, Some(bound)) => match &bound.prepared.statement {
                Some(statement) if statement.ends_transaction() => Ok(()),
                Some(_) => self.check_unfailed(),
                None => Ok(()),
            },
            (Some(_), None) => self.check_unfailed(),
        }
    }

    /// There is none, or it failed with its transaction, which is not over yet.
    fn no_portal(&self, portal: &str) -> ClientMessage {
        let failed = if self.fallen.contains(portal) { self.check_unfailed() } else { Ok(()) };
        failed.err().unwrap_or_else(|| no_portal(portal))
    }

    /// Execute of a portal. What a portal with a name has still to give stays here, where FETCH and MOVE find it, too.
    pub async fn execute_portal(&mut self, portal: &str, limit: Option<u64>) -> Result<Reply, ClientMessage> {
        self.start_statement();
        if let Some(cursor) = self.portal_cursor(portal) {
            self.fetching = Some(portal.to_owned());
            return self.execute_cursor(portal, cursor, limit).await;
        }
        let bound = self.portals.get(portal).cloned().ok_or_else(|| self.no_portal(portal))?;
        let Some(statement) = &bound.prepared.statement else { return Ok(Reply::Empty) };
        let reply = self.execute(statement, &bound.given).await?;
        as_described(reply, bound.prepared.columns.as_deref())
    }

    /// The cursor that a portal with a name is, if it answers the rows of a query.
    pub(super) fn portal_cursor(&mut self, portal: &str) -> Option<Cursor> {
        if let Some(cursor) = self.cursors.get(portal) {
            return Some(cursor.clone());
        }
        let bound = self.portals.get(portal).filter(|_| !portal.is_empty())?;
        let statement = bound.prepared.statement.as_ref()?;
        let (query, columns) = (statement.query()?, bound.prepared.columns.clone()?);
        let options = Options { hold: false, reach: Reach::Near, binary: false, level: bound.level, made: self.shared.now() };
        let cursor = Cursor::new(&statement.text, query.clone(), bound.given.clone(), columns, options, Arc::clone(&bound.part));
        self.cursors.insert(portal.to_owned(), cursor.clone());
        Some(cursor)
    }

    /// The next rows of a portal that is a cursor.
    async fn execute_cursor(&mut self, portal: &str, cursor: Cursor, limit: Option<u64>) -> Result<Reply, ClientMessage> {
        if cursor.needs_start().await {
            let Some(bound) = self.portals.get(portal).cloned() else {
                self.start_cursor(&cursor).await?;
                return Ok(Reply::Rows(cursor.fetch(limit, "SELECT", self.deadline).into_part()));
            };
            let Some(statement) = &bound.prepared.statement else { return Ok(Reply::Empty) };
            let reply = self.execute(statement, &bound.given).await?;
            match as_described(reply, bound.prepared.columns.as_deref())? {
                Reply::Rows(rows) => cursor.start(rows).await,
                other => return Ok(other),
            }
        } else {
            cursor.resume().await?;
        }
        Ok(Reply::Rows(cursor.fetch(limit, "SELECT", self.deadline).into_part()))
    }

    /// Whether a cursor of this name was declared.
    pub fn has_cursor(&self, name: &str) -> bool {
        self.cursors.contains_key(name)
    }

    /// Forgets a prepared statement.
    pub fn close_statement(&mut self, name: &str) {
        if self.statements.contains_key(name) {
            Arc::make_mut(&mut self.statements).remove(name);
        }
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
        Arc::make_mut(&mut self.statements).insert(name.to_owned(), prepared);
        Ok(())
    }

    /// What a statement takes and answers.
    async fn describe(&mut self, statement: Option<Statement>, declared: &[Option<PgType>], made: Made) -> Result<Prepared, ClientMessage> {
        let made = Arc::new(made);
        let untyped = |declared: &[Option<PgType>]| declared.iter().map(|pg_type| pg_type.unwrap_or(PgType::TEXT)).collect();
        let Some(statement) = statement else {
            return Ok(Prepared { statement: None, parameters: untyped(declared), columns: None, made });
        };
        let (parameters, columns) = match &statement.kind {
            Kind::Query(query) => {
                let (parameters, columns) = self.describe_query(query, declared).await?;
                (parameters, Some(columns))
            }
            Kind::Copy { query, .. } | Kind::Declare { query, .. } => (self.describe_query(query, declared).await?.0, None),
            Kind::Explain { query, options } => {
                let (parameters, _) = self.describe_query(query, declared).await?;
                (parameters, Some(answers::explain_columns(options.format)))
            }
            Kind::ExplainExecute { options, name, .. } => {
                self.prepared(name)?;
                (untyped(declared), Some(answers::explain_columns(options.format)))
            }
            Kind::ExplainPolicy { query, .. } => {
                let (parameters, _) = self.describe_query(query, declared).await?;
                (parameters, Some(answers::policy_columns()))
            }
            Kind::Show(name) => {
                if let Some(name) = name {
                    self.with_settings(|settings| settings.show(name))?;
                }
                (untyped(declared), Some(answers::show_columns(name.as_deref())))
            }
            Kind::Fetch { name, skip: false, .. } => (untyped(declared), Some(self.cursor(name)?.columns())),
            // What its parameters would be is not known, so it is refused before any can be bound.
            Kind::Refused(message) => return Err(message.clone()),
            Kind::Execute { name, .. } => (untyped(declared), self.prepared(name)?.columns.clone()),
            _ => (untyped(declared), None),
        };
        Ok(Prepared { statement: Some(Arc::new(statement)), parameters, columns, made })
    }

    pub(super) async fn sql_prepare(&mut self, text: &str, name: &str, types: &[String], query: &Query) -> Result<Reply, ClientMessage> {
        if self.statements.contains_key(name) {
            return Err(duplicate_statement(name));
        }
        let declared = types.iter().map(|name| named_type(name).map(Some)).collect::<Result<Vec<_>, _>>()?;
        let statement = Statement { text: query.text.clone(), kind: Kind::Query(query.clone()) };
        let part = self.budget.take(budget::of_statement(text), "prepared statements")?;
        let made = Made { text: text.to_owned(), by_sql: true, at: self.shared.now(), _part: part };
        let prepared = self.describe(Some(statement), &declared, made).await?;
        self.store(name, prepared)?;
        Ok(Reply::Done("PREPARE".to_owned()))
    }

    pub(super) async fn sql_execute(&mut self, name: &str, arguments: Option<&Query>) -> Result<Reply, ClientMessage> {
        let (prepared, given) = self.sql_bound(name, arguments).await?;
        let (statement, query) = prepared_query(name, &prepared)?;
        let attempt = self.attempt(&statement.text, statement.class());
        let reply = self.query(query, &given, attempt).await?;
        as_described(reply, prepared.columns.as_deref())
    }

    /// EXPLAIN EXECUTE.
    pub(super) async fn explain_execute(
        &mut self,
        options: ExplainOptions,
        name: &str,
        arguments: Option<&Query>,
    ) -> Result<Reply, ClientMessage> {
        let (prepared, given) = self.sql_bound(name, arguments).await?;
        let (statement, query) = prepared_query(name, &prepared)?;
        let attempt = self.attempt(&statement.text, "explain");
        self.explain(options, query, &given, attempt).await
    }

    /// A prepared statement with the arguments of EXECUTE.
    async fn sql_bound(&mut self, name: &str, arguments: Option<&Query>) -> Result<(Prepared, Given), ClientMessage> {
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
        let time_zone = self.in_force().time_zone;
        let values = given
            .iter()
            .zip(&prepared.parameters)
            .map(|(value, pg_type)| values::convert(value, *pg_type, &time_zone))
            .collect::<Result<Vec<_>, _>>()?;
        let given = Given::new(values, prepared.parameters.clone());
        Ok((prepared, given))
    }

    /// The single row of a query without tables.
    async fn one_row(&mut self, query: &Query) -> Result<Vec<ScalarValue>, ClientMessage> {
        let mut rows = self.pipeline(self.attempt(&query.text, "prepared")).run(query, &Given::default(), "SELECT").await?.rows;
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
}

/// The query of a prepared statement. Nothing else: an EXECUTE that leads to another EXECUTE could lead back to itself.
fn prepared_query<'a>(name: &str, prepared: &'a Prepared) -> Result<(&'a Statement, &'a Query), ClientMessage> {
    let query = prepared.statement.as_deref().and_then(|statement| Some((statement, statement.query()?)));
    query.ok_or_else(|| {
        let message = format!("prepared statement \"{name}\" is not a query");
        ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, message).with_hint("Run it by the protocol's own Execute.")
    })
}

/// The reply, if it has the columns that the client was told of.
fn as_described(reply: Reply, described: Option<&[Column]>) -> Result<Reply, ClientMessage> {
    if let (Reply::Rows(rows), Some(described)) = (&reply, described) {
        let same = rows.columns.len() == described.len()
            && rows.columns.iter().zip(described).all(|(now, then)| now.name == then.name && now.pg_type.oid == then.pg_type.oid);
        if !same {
            let message = ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "cached plan must not change result type")
                .with_hint("The data product has changed; prepare the statement again.");
            rows.failed(&message);
            return Err(message);
        }
    }
    Ok(reply)
}

pub(super) fn no_statement(name: &str) -> ClientMessage {
    let message = if name.is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{name}\" does not exist")
    };
    ClientMessage::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
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
