//! A backend that answers a few made-up statements.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow::array::{Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use futures::{StreamExt as _, stream};

use crate::engine::{
    Column, CopyFormat, CopyOut, Format, Memory, Notice, Parameter, PgType, Reply, RowStream, TimeZone, TransactionStatus, decode_parameter,
};
use crate::error::{ClientMessage, SqlState};
use crate::identity::{Caller, Principal, Proof, ScramServer, ScramVerifier};
use crate::wire::{Backend, EncodeSettings, Interrupt, InterruptCause, Login, LoginRefused, Session, SessionRequest, StatementDescription};

/// Answers logins of `alice` with the password `secret`, and of anybody with `token of <name>`.
#[derive(Default)]
pub(super) struct FakeBackend {
    running: Arc<AtomicI64>,
    pub(super) refused: Mutex<Vec<LoginRefused>>,
    pub(super) requests: Mutex<Vec<SessionRequest>>,
    pub(super) callers: Mutex<Vec<Caller>>,
    /// How long a token holds from its login on, if not for an hour.
    pub(super) token_lasts: Mutex<Option<Duration>>,
    pub(super) causes: Arc<Mutex<Vec<Option<InterruptCause>>>>,
}

impl FakeBackend {
    /// Row streams that are alive.
    pub(super) fn running(&self) -> i64 {
        self.running.load(Ordering::SeqCst)
    }
}

impl Backend for FakeBackend {
    type Session = FakeSession;

    fn login(&self, user: &str) -> Login {
        let principal = (user == "alice").then(|| {
            Arc::new(Principal {
                product: None,
                name: user.to_owned(),
                roles: Default::default(),
                groups: Default::default(),
                is_data_steward: false,
                attributes: Default::default(),
            })
        });
        let verifier = principal.is_some().then(|| ScramVerifier::derive("secret", b"salt", 16));
        let has_password = verifier.is_some();
        Login { principal, exchange: ScramServer::new(verifier, b"mock", user), has_password }
    }

    async fn check_token(&self, user: &str, token: &str) -> Result<Caller, String> {
        if token != format!("token of {user}") {
            return Err("no good token".to_owned());
        }
        let principal = Principal {
            product: None,
            name: user.to_owned(),
            roles: Default::default(),
            groups: Default::default(),
            is_data_steward: false,
            attributes: Default::default(),
        };
        let session_ends = chrono::Utc::now() + self.token_lasts.lock().unwrap().unwrap_or(Duration::from_secs(3_600));
        Ok(Caller { principal: Arc::new(principal), proof: Proof::Token { issuer: "issuer".to_owned(), session_ends } })
    }

    fn database_exists(&self, database: &str) -> bool {
        database == "mesh"
    }

    fn memory(&self) -> Memory {
        Memory::for_tests(8 << 20)
    }

    fn login_refused(&self, refused: &LoginRefused) {
        self.refused.lock().unwrap().push(refused.clone());
    }

    async fn open_session(&self, caller: Caller, request: SessionRequest) -> Result<FakeSession, ClientMessage> {
        let ends = match &caller.proof {
            Proof::Token { session_ends, .. } => Some(*session_ends),
            Proof::Password | Proof::Certificate => None,
        };
        self.callers.lock().unwrap().push(caller);
        let interrupt = request.interrupt.clone();
        self.requests.lock().unwrap().push(request);
        Ok(FakeSession {
            ends,
            running: self.running.clone(),
            causes: self.causes.clone(),
            interrupt,
            statements: HashMap::new(),
            portals: HashMap::new(),
            status: TransactionStatus::Idle,
            changes: vec![("server_version".into(), "15.8".into()), ("client_encoding".into(), "UTF8".into())],
            notices: Vec::new(),
        })
    }
}

/// What is bound to a portal.
struct FakePortal {
    text: String,
    parameters: Vec<ScalarValue>,
}

/// A session without an engine.
pub(super) struct FakeSession {
    ends: Option<chrono::DateTime<chrono::Utc>>,
    running: Arc<AtomicI64>,
    causes: Arc<Mutex<Vec<Option<InterruptCause>>>>,
    interrupt: Arc<Interrupt>,
    statements: HashMap<String, String>,
    portals: HashMap<String, FakePortal>,
    status: TransactionStatus,
    changes: Vec<(String, String)>,
    notices: Vec<Notice>,
}

/// Counts a stream as running until it is dropped, and notes why it was.
struct Running(Arc<AtomicI64>, Arc<Interrupt>, Arc<Mutex<Vec<Option<InterruptCause>>>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        self.2.lock().unwrap().push(self.1.cause());
    }
}

fn columns() -> Arc<[Column]> {
    let column = |name: &str, pg_type, number| Column { name: name.to_owned(), pg_type, table_oid: 16_384, number };
    [column("id", PgType::INT8, 1), column("label", PgType::TEXT, 2)].into()
}

fn batch(start: i64, rows: i64) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("label", DataType::Utf8View, true)]);
    let ids = Int64Array::from_iter_values(start..start + rows);
    let labels: StringViewArray = (start..start + rows).map(|id| (id % 10 != 0).then(|| format!("row {id}"))).collect();
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), Arc::new(labels)]).unwrap()
}

impl FakeSession {
    /// `rows N`: N rows in batches of 1000; negative never ends.
    fn rows(&self, rows: i64, verb: &'static str) -> RowStream {
        self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(self.running.clone(), self.interrupt.clone(), self.causes.clone());
        let batches = stream::unfold((0, running), move |(at, running)| async move {
            let room = if rows < 0 { 1000 } else { (rows - at).min(1000) };
            (room > 0).then(|| (Ok(batch(at, room)), (at + room, running)))
        });
        RowStream::for_tests(columns(), verb, batches)
    }

    /// `slow`: never a row.
    fn slow(&self) -> RowStream {
        self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(self.running.clone(), self.interrupt.clone(), self.causes.clone());
        let batches = stream::once(async move {
            let _running = running;
            std::future::pending::<Result<RecordBatch, ClientMessage>>().await
        });
        RowStream::for_tests(columns(), "SELECT", batches)
    }

    /// `first`: one row, and never another.
    fn first(&self) -> RowStream {
        self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(self.running.clone(), self.interrupt.clone(), self.causes.clone());
        let rest = stream::once(async move {
            let _running = running;
            std::future::pending::<Result<RecordBatch, ClientMessage>>().await
        });
        RowStream::for_tests(columns(), "SELECT", stream::iter([Ok(batch(0, 1))]).chain(rest))
    }

    fn failing(&self) -> RowStream {
        let error = ClientMessage::new(SqlState::DIVISION_BY_ZERO, "division by zero");
        RowStream::for_tests(columns(), "SELECT", stream::iter([Ok(batch(0, 3)), Err(error)]).boxed())
    }

    async fn answer(&mut self, text: &str, parameters: &[ScalarValue]) -> Result<Reply, ClientMessage> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if self.status == TransactionStatus::Failed && !matches!(words.as_slice(), ["commit" | "rollback"]) {
            return Err(ClientMessage::new(SqlState::IN_FAILED_SQL_TRANSACTION, "current transaction is aborted"));
        }
        let copy = |rows: RowStream, format| Ok(Reply::Copy(CopyOut { rows, format, encoding: None }));
        match words.as_slice() {
            [] => Ok(Reply::Empty),
            ["rows", "$1"] => match parameters {
                [ScalarValue::Int64(Some(rows))] => Ok(Reply::Rows(self.rows(*rows, "SELECT"))),
                _ => Err(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, "no count")),
            },
            ["rows", count] => Ok(Reply::Rows(self.rows(count.parse().unwrap(), "SELECT"))),
            ["slow"] => Ok(Reply::Rows(self.slow())),
            ["first"] => Ok(Reply::Rows(self.first())),
            ["stuck"] => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok(Reply::Empty)
            }
            ["fail"] => Ok(Reply::Rows(self.failing())),
            ["panic"] => panic!("asked to"),
            ["begin"] | ["START", "TRANSACTION"] => {
                self.status = TransactionStatus::Active;
                Ok(Reply::Done("BEGIN".into()))
            }
            ["commit" | "rollback" | "ROLLBACK"] => {
                let tag = if self.status == TransactionStatus::Active { "COMMIT" } else { "ROLLBACK" };
                self.status = TransactionStatus::Idle;
                Ok(Reply::Done(tag.into()))
            }
            ["set", name, value] => {
                self.changes.push(((*name).to_owned(), (*value).to_owned()));
                self.notices.push(Notice::warning(SqlState::WARNING, "be careful"));
                Ok(Reply::Done("SET".into()))
            }
            ["copy", rows, "text"] => {
                copy(self.rows(rows.parse().unwrap(), "COPY"), CopyFormat::Text { delimiter: b'\t', null: "\\N".into(), header: true })
            }
            ["copy", rows, "csv"] => copy(
                self.rows(rows.parse().unwrap(), "COPY"),
                CopyFormat::Csv { delimiter: b',', null: String::new(), header: true, quote: b'"', escape: b'"', force_quote: vec![1] },
            ),
            ["copy", rows, "binary"] => copy(self.rows(rows.parse().unwrap(), "COPY"), CopyFormat::Binary),
            _ => Err(ClientMessage::new(SqlState::SYNTAX_ERROR, "syntax error").with_position(1)),
        }
    }

    fn parameters_of(text: &str) -> Vec<PgType> {
        if text.contains("$1") { vec![PgType::INT8] } else { Vec::new() }
    }

    fn columns_of(text: &str) -> Option<Arc<[Column]>> {
        ["rows", "slow", "first", "fail"].iter().any(|word| text.starts_with(word)).then(columns)
    }

    fn text(&self, name: &str) -> Result<String, ClientMessage> {
        let missing = || ClientMessage::new(SqlState::INVALID_SQL_STATEMENT_NAME, format!("prepared statement \"{name}\" does not exist"));
        self.statements.get(name).cloned().ok_or_else(missing)
    }
}

impl Session for FakeSession {
    type Statement = String;

    async fn parse(&mut self, text: &str) -> Result<Vec<String>, ClientMessage> {
        if text.contains("syntax error") {
            return Err(ClientMessage::new(SqlState::SYNTAX_ERROR, "syntax error").with_position(8));
        }
        Ok(text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect())
    }

    async fn run(&mut self, statement: String) -> Result<Reply, ClientMessage> {
        self.answer(&statement, &[]).await
    }

    async fn prepare(&mut self, name: &str, text: &str, _: &[u32]) -> Result<(), ClientMessage> {
        if !name.is_empty() && self.statements.contains_key(name) {
            return Err(ClientMessage::new(SqlState::DUPLICATE_PREPARED_STATEMENT, "prepared statement already exists"));
        }
        self.statements.insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    async fn describe_statement(&mut self, name: &str) -> Result<StatementDescription, ClientMessage> {
        let text = self.text(name)?;
        Ok(StatementDescription { parameters: Self::parameters_of(&text), columns: Self::columns_of(&text) })
    }

    async fn bind(&mut self, portal: &str, statement: &str, parameters: Vec<Parameter>, _: &[Format]) -> Result<(), ClientMessage> {
        let text = self.text(statement)?;
        let parameters = parameters
            .iter()
            .zip(Self::parameters_of(&text))
            .map(|(parameter, pg_type)| decode_parameter(parameter, pg_type, &TimeZone::default()))
            .collect::<Result<Vec<_>, _>>()?;
        self.portals.insert(portal.to_owned(), FakePortal { text, parameters });
        Ok(())
    }

    async fn describe_portal(&mut self, portal: &str) -> Result<Option<Arc<[Column]>>, ClientMessage> {
        let missing = || ClientMessage::new(SqlState::INVALID_CURSOR_NAME, "no portal");
        self.portals.get(portal).map(|portal| Self::columns_of(&portal.text)).ok_or_else(missing)
    }

    async fn execute_portal(&mut self, portal: &str, _limit: Option<u64>) -> Result<Reply, ClientMessage> {
        let portal = self.portals.get(portal).ok_or_else(|| ClientMessage::new(SqlState::INVALID_CURSOR_NAME, "no portal"))?;
        let (text, parameters) = (portal.text.clone(), portal.parameters.clone());
        self.answer(&text, &parameters).await
    }

    fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    fn close_portal(&mut self, portal: &str) {
        self.portals.remove(portal);
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    fn has_portal(&self, portal: &str) -> bool {
        self.portals.contains_key(portal)
    }

    fn fail_transaction(&mut self) {
        self.portals.clear();
        if self.status == TransactionStatus::Active {
            self.status = TransactionStatus::Failed;
        }
    }

    fn sync(&mut self) {}

    fn lasts(&self) -> Option<Duration> {
        self.ends.map(|ends| (ends - chrono::Utc::now()).to_std().unwrap_or_default())
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.changes)
    }

    fn encode_settings(&self) -> EncodeSettings {
        EncodeSettings::default()
    }
}
