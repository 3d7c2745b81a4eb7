//! A session's conversation: one message after another, errors and where one recovers from them.
//!
//! INVARIANT: whatever is awaited while a statement runs is raced with its cancel request, its deadline, the client's going away and the
//! end of the gateway; whichever comes first drops the statement. After an error in the extended protocol, everything up to Sync is
//! skipped.

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery};
use pgwire::messages::startup::ParameterStatus;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use crate::engine::{Format, Reply, TransactionStatus};
use crate::error::{ClientMessage, SqlState};

use super::backend::{InterruptCause, Session};
use super::cancel::Registration;
use super::encode::RowEncoder;
use super::extended::Portal;
use super::frame::{Frame, FrameError, FrameReader, FrameWriter};
use super::frontend::{self, Request, violation};
use super::respond;
use super::rows::Rows;
use super::signal::Signal;
use super::startup::Ready;

/// What ends a statement early.
#[derive(Debug)]
pub(super) enum Failure {
    /// The session goes on.
    Error(ClientMessage),
    /// The connection ends; the client is told.
    Fatal(ClientMessage),
    /// The connection has ended.
    Gone,
}

impl From<ClientMessage> for Failure {
    fn from(message: ClientMessage) -> Self {
        Self::Error(message)
    }
}

/// How a conversation goes on.
enum Next {
    Continue,
    End,
}

/// One client and its session.
pub(super) struct Conversation<'a, S: Session> {
    pub(super) session: S,
    registration: Registration,
    pub(super) reader: &'a mut FrameReader,
    /// Held for as long as the session lasts.
    _permit: OwnedSemaphorePermit,
    pub(super) writer: &'a mut FrameWriter,
    pub(super) portals: HashMap<String, Portal>,
    pub(super) encoder: RowEncoder,
    shutdown: CancellationToken,
    kill: &'a Signal,
    /// The running statement's.
    cancel: Arc<Signal>,
    /// Everything before the next Sync is skipped.
    skipping: bool,
    /// Nothing has come since the last ReadyForQuery.
    idle: bool,
    /// Ends when the client may have been idle for too long; it is set again when it does, not at each statement.
    idle_clock: Option<Pin<Box<Sleep>>>,
}

impl<'a, S: Session> Conversation<'a, S> {
    pub(super) fn new(
        ready: Ready<S>,
        reader: &'a mut FrameReader,
        writer: &'a mut FrameWriter,
        shutdown: CancellationToken,
        kill: &'a Signal,
    ) -> Self {
        let Ready { session, registration, permit } = ready;
        writer.encoding = session.encode_settings().client_encoding;
        Self {
            session,
            cancel: registration.interrupt.signal(),
            registration,
            _permit: permit,
            reader,
            writer,
            portals: HashMap::new(),
            encoder: RowEncoder::default(),
            shutdown,
            kill,
            skipping: false,
            idle: false,
            idle_clock: None,
        }
    }

    /// Talks until the end; the message is what the client must still be told.
    pub(super) async fn run(mut self) -> Option<ClientMessage> {
        let last_words = self.talk().await;
        // What the session still holds of rows was not read to its end.
        self.registration.interrupt.stopped(InterruptCause::ClientGone);
        last_words
    }

    async fn talk(&mut self) -> Option<ClientMessage> {
        if let Err(failure) = self.ready().await {
            return last_words(failure);
        }
        loop {
            let next = match self.next_frame().await {
                Ok(frame) => self.answer(frame).await,
                Err(failure) => Err(failure),
            };
            match next {
                Ok(Next::Continue) => {}
                Ok(Next::End) => return None,
                Err(failure) => return last_words(failure),
            }
        }
    }

    /// Waits for the next message.
    async fn next_frame(&mut self) -> Result<Frame, Failure> {
        let patience = self.session.idle_timeout().filter(|_| self.idle);
        let idle_until = patience.map(|patience| Instant::now() + patience);
        let frame = loop {
            let lasts = self.session.lasts();
            if lasts.is_some_and(|left| left.is_zero()) {
                return Err(Failure::Fatal(proof_expired()));
            }
            // What came in the same packet is not waited for.
            let ended = self.registration.interrupt.ended();
            let over = self.kill.is_raised() || ended.is_raised() || (self.idle && self.shutdown.is_cancelled());
            if !over && let Some(frame) = self.reader.arrived() {
                break frame;
            }
            tokio::select! {
                biased;
                () = self.shutdown.cancelled(), if self.idle => return Err(terminated()),
                () = self.kill.raised() => return Err(terminated()),
                () = ended.raised() => return Err(terminated()),
                () = lapse(&mut self.idle_clock, idle_until) => return Err(Failure::Fatal(idle_for_too_long(self.session.transaction_status()))),
                // The session says how much is left, by its own clock.
                () = sleep(lasts.map(|left| Instant::now() + left)) => {}
                frame = self.reader.next() => break frame,
            }
        };
        self.idle = false;
        frame.map_err(|error| match error {
            FrameError::Closed => Failure::Gone,
            FrameError::Kind(_) | FrameError::NoProof(_) | FrameError::Length => Failure::Fatal(violation(error.to_string())),
        })
    }

    async fn answer(&mut self, mut frame: Frame) -> Result<Next, Failure> {
        let kind = frame.kind;
        // A copy of it is there for as long as it is answered.
        let _held = frame.held.take();
        if kind == b'X' {
            return Ok(Next::End);
        }
        if self.skipping && kind != b'S' {
            return Ok(Next::Continue);
        }
        let answered = match frontend::read(frame, self.writer.encoding) {
            Ok(request) => self.respond(request).await,
            Err(fault) => Err(Failure::Error(fault)),
        };
        match answered {
            Ok(()) => {
                // Answers wait for what comes behind them, but not without bounds: a client may ask much and read nothing.
                if self.writer.is_full() {
                    self.flush().await?;
                }
                Ok(Next::Continue)
            }
            Err(Failure::Error(message)) => {
                self.fail(&message);
                if matches!(kind, b'Q' | b'F' | b'S') {
                    self.skipping = false;
                    self.ready().await?;
                } else {
                    self.skipping = true;
                    // A client that has asked for a flush, not for a sync, waits for this.
                    self.flush().await?;
                }
                Ok(Next::Continue)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn respond(&mut self, request: Request) -> Result<(), Failure> {
        match request {
            Request::Query(text) => self.query(&text).await,
            Request::Parse { name, text, parameter_oids } => self.parse(&name, &text, &parameter_oids).await,
            Request::Bind(bind) => self.bind(bind).await,
            Request::Describe(named) => self.describe(named).await,
            Request::Close(named) => {
                self.close(named);
                Ok(())
            }
            Request::Execute { portal, rows_max } => self.execute(&portal, rows_max).await,
            Request::Flush => self.flush().await,
            Request::Sync => {
                self.skipping = false;
                self.ready().await
            }
            Request::FunctionCall if self.session.transaction_status() == TransactionStatus::Failed => {
                let message = "current transaction is aborted, commands ignored until end of transaction block";
                Err(ClientMessage::new(SqlState::IN_FAILED_SQL_TRANSACTION, message).into())
            }
            Request::FunctionCall => {
                Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "function calls of the protocol are not supported").into())
            }
            Request::StrayCopy | Request::Terminate => Ok(()),
        }
    }

    /// The simple protocol: all statements of a text, up to the first error.
    async fn query(&mut self, text: &str) -> Result<(), Failure> {
        self.skipping = false;
        self.drop_portal("");
        self.session.close_statement("");
        self.begin();
        let (guard, reader, _, session, _) = self.guarded();
        let statements = guard.race(session.parse(text), reader).await??;
        if statements.is_empty() {
            self.writer.put(&EmptyQueryResponse::new());
        }
        for statement in statements {
            let (guard, reader, _, session, _) = self.guarded();
            let reply = guard.race(session.run(statement), reader).await??;
            self.send_reply(reply).await?;
        }
        self.ready().await
    }

    /// Sends what a statement of a simple query answers.
    async fn send_reply(&mut self, reply: Reply) -> Result<(), Failure> {
        match reply {
            Reply::Empty => self.writer.put(&EmptyQueryResponse::new()),
            Reply::Done(tag) => self.complete(tag),
            Reply::Copy(copy) => self.copy_out(copy).await?,
            Reply::Rows(stream) => {
                let formats: &[Format] = if stream.is_binary() { &[Format::Binary] } else { &[] };
                let mut rows = Rows::new(stream);
                if rows.is_constant() {
                    let (guard, reader, _, session, _) = self.guarded();
                    guard.until(session.deadline()).race(rows.look_ahead(), reader).await??;
                }
                self.writer.put(&respond::row_description(&rows.columns(), formats));
                let sent = self.send_rows(&mut rows, formats, None).await?;
                let tag = rows.tag(sent.rows);
                self.complete(tag);
            }
        }
        Ok(())
    }

    /// A statement begins: an earlier cancel request does not concern it.
    pub(super) fn begin(&mut self) {
        if let Some(cancel) = self.registration.interrupt.begin() {
            self.cancel = cancel;
        }
    }

    /// What a statement is raced with before its rows flow; until then the engine itself holds the deadline.
    pub(super) fn guarded(&mut self) -> (Guard<'_>, &mut FrameReader, &mut FrameWriter, &mut S, &mut RowEncoder) {
        let guard = Guard { cancel: &self.cancel, kill: self.kill, registration: &self.registration, deadline: None };
        (guard, self.reader, self.writer, &mut self.session, &mut self.encoder)
    }

    /// A statement is complete.
    pub(super) fn complete(&mut self, tag: String) {
        self.put_notices();
        self.writer.put(&CommandComplete::new(tag));
        // A SET holds from here on, and not only from the next Sync.
        self.writer.encoding = self.session.encode_settings().client_encoding;
    }

    fn put_notices(&mut self) {
        for notice in self.session.take_notices() {
            self.writer.put(&respond::notice(&notice));
        }
    }

    /// A statement failed: its transaction with it, and the portals that the session does not keep.
    fn fail(&mut self, message: &ClientMessage) {
        self.session.fail_transaction();
        let session = &self.session;
        self.portals.retain(|name, _| session.has_portal(name));
        self.put_notices();
        self.writer.put(&respond::error(message));
    }

    /// The end of a simple query or of a Sync.
    async fn ready(&mut self) -> Result<(), Failure> {
        self.session.sync();
        self.writer.encoding = self.session.encode_settings().client_encoding;
        let status = self.session.transaction_status();
        if status == TransactionStatus::Idle {
            self.drop_portals();
        }
        self.put_notices();
        for (name, value) in self.session.take_parameter_changes() {
            self.writer.put(&ParameterStatus::new(respond::without_nul(&name), respond::without_nul(&value)));
        }
        self.writer.put(&ReadyForQuery::new(respond::status(status)));
        self.flush().await?;
        self.idle = true;
        Ok(())
    }

    /// Writes what is collected. Nothing runs meanwhile, so only the client and the end of the gateway can stop it.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        let mut flushed = pin!(self.writer.flush());
        let ended = self.registration.interrupt.ended();
        if !self.kill.is_raised()
            && !ended.is_raised()
            && let Poll::Ready(flushed) = futures::poll!(flushed.as_mut())
        {
            return flushed.map_err(|_| Failure::Gone);
        }
        tokio::select! {
            biased;
            () = self.kill.raised() => Err(terminated()),
            () = ended.raised() => Err(terminated()),
            flushed = flushed => flushed.map_err(|_| Failure::Gone),
        }
    }
}

/// What a running statement is raced with.
pub(super) struct Guard<'a> {
    cancel: &'a Signal,
    kill: &'a Signal,
    registration: &'a Registration,
    deadline: Option<Instant>,
}

impl Guard<'_> {
    /// The same with the deadline of rows that flow: while a client does not read, nobody else looks at it.
    pub(super) fn until(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    fn ended(&self) -> &Signal {
        self.registration.interrupt.ended()
    }

    fn is_stopped(&self) -> bool {
        let late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        late || self.kill.is_raised() || self.ended().is_raised() || self.cancel.is_raised()
    }

    /// Awaits `work` unless something stops it first; then `work` is dropped.
    pub(super) async fn race<T>(&self, work: impl Future<Output = T>, reader: &mut FrameReader) -> Result<T, Failure> {
        let mut work = pin!(work);
        // Most work is done at its first step: then nobody has to be told to watch for what could stop it.
        if !self.is_stopped()
            && let Poll::Ready(done) = futures::poll!(work.as_mut())
        {
            return Ok(done);
        }
        let cause = tokio::select! {
            biased;
            () = self.kill.raised() => InterruptCause::Shutdown,
            () = self.ended().raised() => InterruptCause::Shutdown,
            () = self.cancel.raised() => InterruptCause::CancelRequest,
            () = sleep(self.deadline) => InterruptCause::Deadline,
            () = reader.gone() => InterruptCause::ClientGone,
            done = &mut work => return Ok(done),
        };
        self.registration.interrupt.stopped(cause);
        let canceled =
            |why: &str| Failure::Error(ClientMessage::new(SqlState::QUERY_CANCELED, format!("canceling statement due to {why}")));
        Err(match cause {
            InterruptCause::Shutdown => terminated(),
            InterruptCause::CancelRequest => canceled("user request"),
            InterruptCause::Deadline => canceled("statement timeout"),
            InterruptCause::ClientGone => Failure::Gone,
        })
    }
}

/// Ends at that moment, or never. The clock stays for the next time, and may be early then.
async fn lapse(clock: &mut Option<Pin<Box<Sleep>>>, until: Option<Instant>) {
    let Some(until) = until else { return std::future::pending().await };
    let clock = clock.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
    if clock.deadline() > until {
        clock.as_mut().reset(until);
    }
    loop {
        clock.as_mut().await;
        if clock.deadline() >= until {
            return;
        }
        clock.as_mut().reset(until);
    }
}

/// Ends at that moment, or never.
async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn idle_for_too_long(status: TransactionStatus) -> ClientMessage {
    match status {
        TransactionStatus::Idle => ClientMessage::new(SqlState::IDLE_SESSION_TIMEOUT, "terminating connection due to idle-session timeout"),
        TransactionStatus::Active | TransactionStatus::Failed => {
            ClientMessage::new(SqlState::IDLE_IN_TRANSACTION_TIMEOUT, "terminating connection due to idle-in-transaction timeout")
        }
    }
}

fn proof_expired() -> ClientMessage {
    let message = "terminating connection because the token that proved its login has expired";
    ClientMessage::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message).with_hint("Connect again with a new token.")
}

fn terminated() -> Failure {
    Failure::Fatal(ClientMessage::new(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command"))
}

fn last_words(failure: Failure) -> Option<ClientMessage> {
    match failure {
        Failure::Error(message) | Failure::Fatal(message) => Some(message),
        Failure::Gone => None,
    }
}
