//! One line for each step of a query, from socket to socket. They are handed over together, when the query begins to run and when it ends.

use std::fmt::{Display, Write as _};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// The target of the steps' events, for filters.
pub(super) const TARGET: &str = "meshgate::query";
/// The field with several steps: a line each, of the step's name, its microseconds and its note, with tabs between.
pub(super) const STEPS: &str = "steps";

/// Room for the steps of a usual query.
const STEPS_BYTES: usize = 256;

/// The names of span and event fields, so that all parts spell them alike.
pub mod fields {
    /// The statement, as in the audit log.
    pub const QUERY_ID: &str = "query_id";
    /// The session.
    pub const SESSION_ID: &str = "session_id";
    /// The login's name.
    pub const PRINCIPAL: &str = "principal";
    /// The client's address.
    pub const CLIENT_ADDRESS: &str = "client_address";
    /// The step's name.
    pub const STEP: &str = "step";
    /// Microseconds spent in the step.
    pub const ELAPSED_US: &str = "elapsed_us";
}

/// The steps of a query, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A connection was accepted.
    Accept,
    /// A principal was found.
    Authenticate,
    /// A session was opened.
    OpenSession,
    /// A text was parsed and classified.
    Parse,
    /// A logical plan was made.
    Plan,
    /// Names were resolved to products and ports.
    Locate,
    /// The fields in use were found.
    Observe,
    /// Policies were asked.
    Decide,
    /// The plan was optimized and made physical.
    Optimize,
    /// The physical plan was verified.
    Verify,
    /// The opening record became durable.
    Record,
    /// The plan ran.
    Run,
    /// Rows were encoded.
    Encode,
    /// The closing records were queued.
    Close,
}

impl Step {
    /// The word for it, in the log and in audit records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Authenticate => "authenticate",
            Self::OpenSession => "open_session",
            Self::Parse => "parse",
            Self::Plan => "plan",
            Self::Locate => "locate",
            Self::Observe => "observe",
            Self::Decide => "decide",
            Self::Optimize => "optimize",
            Self::Verify => "verify",
            Self::Record => "record",
            Self::Run => "run",
            Self::Encode => "encode",
            Self::Close => "close",
        }
    }
}

/// Logs a step of a session that is not yet one of a query.
pub fn stage(session_id: &Uuid, step: Step, elapsed: Duration, note: &dyn Display) {
    if tracing::enabled!(target: TARGET, tracing::Level::INFO) {
        let steps = format!("{}\t{}\t{note}", step.as_str(), micros(elapsed));
        hand_over(None, session_id, &steps);
    }
}

fn hand_over(query_id: Option<&Uuid>, session_id: &Uuid, steps: &str) {
    let (mut query, mut session) = (Uuid::encode_buffer(), Uuid::encode_buffer());
    let query_id = query_id.map_or("", |id| id.hyphenated().encode_lower(&mut query));
    let session_id: &str = session_id.hyphenated().encode_lower(&mut session);
    tracing::info!(target: TARGET, query_id, session_id, steps);
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// Logs a step of which only the span says whose it is.
pub fn step(step: Step, note: &str) {
    tracing::info!(target: TARGET, step = step.as_str(), "{note}");
}

/// Measures the steps of one query: each begins where the one before it ended.
#[derive(Debug)]
pub struct QueryTrace {
    query_id: Uuid,
    session_id: Uuid,
    since: Instant,
    /// Steps that are not yet in the log.
    steps: String,
    /// What each step took.
    taken: Vec<(&'static str, Duration)>,
}

impl QueryTrace {
    /// Begins to measure.
    pub fn start(query_id: Uuid, session_id: Uuid) -> Self {
        Self { query_id, session_id, since: Instant::now(), steps: String::new(), taken: Vec::new() }
    }

    /// Logs a step that has just ended and returns what it took. `note` holds counts and names only.
    pub fn done(&mut self, step: Step, note: impl Display) -> Duration {
        let now = Instant::now();
        let elapsed = now.duration_since(std::mem::replace(&mut self.since, now));
        self.note(step, elapsed, &note);
        self.taken.push((step.as_str(), elapsed));
        if matches!(step, Step::Record | Step::Close) {
            self.hand_over();
        }
        elapsed
    }

    /// Logs a step that took part of the time of another, or turns with it.
    pub fn spent(&mut self, step: Step, elapsed: Duration, note: impl Display) {
        self.note(step, elapsed, &note);
        self.since = Instant::now();
    }

    /// What the steps since the last call took, in their order.
    pub fn take_durations(&mut self) -> Vec<(&'static str, Duration)> {
        std::mem::take(&mut self.taken)
    }

    /// The same at the end of a query; what it did since the last step counts as this one.
    pub fn end(&mut self, step: Step) -> Vec<(&'static str, Duration)> {
        self.taken.push((step.as_str(), self.since.elapsed()));
        self.take_durations()
    }

    /// The same query goes on elsewhere.
    pub fn go_on(&mut self) -> Self {
        self.hand_over();
        Self { query_id: self.query_id, session_id: self.session_id, since: self.since, steps: String::new(), taken: Vec::new() }
    }

    fn note(&mut self, step: Step, elapsed: Duration, note: &dyn Display) {
        if tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            if self.steps.capacity() == 0 {
                self.steps.reserve(STEPS_BYTES);
            }
            // Writing to a string cannot fail.
            let _infallible = write!(self.steps, "{}\t{}\t", step.as_str(), micros(elapsed));
            let start = self.steps.len();
            let _infallible = write!(self.steps, "{note}");
            if self.steps.get(start..).is_some_and(|note| note.contains(char::is_control)) {
                let plain = self.steps.split_off(start).replace(char::is_control, " ");
                self.steps.push_str(&plain);
            }
            self.steps.push('\n');
        }
    }

    fn hand_over(&mut self) {
        if !self.steps.is_empty() {
            hand_over(Some(&self.query_id), &self.session_id, &self.steps);
            self.steps.clear();
        }
    }
}

impl Drop for QueryTrace {
    fn drop(&mut self) {
        self.hand_over();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::super::{Format, Lines};
    use super::*;

    const QUERY: Uuid = Uuid::from_u128(1);
    const SESSION: Uuid = Uuid::from_u128(2);

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_log_of_a_query_names_each_step_in_order() {
        let lines = Written::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone());
        let subscriber = subscriber.map_event_format(|inner| Lines { inner, format: Format::Json }).finish();
        tracing::subscriber::with_default(subscriber, || {
            let _connection = tracing::info_span!("connection", id = 7, address = "a\"b").entered();
            let mut trace = QueryTrace::start(QUERY, SESSION);
            trace.done(Step::Parse, "a \"query\"");
            trace.done(Step::Plan, "");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let steps: Vec<_> = events.iter().map(|event| event["step"].as_str().unwrap()).collect();
        assert_eq!(steps, ["parse", "plan"]);
        assert!(events.iter().all(|event| event["query_id"] == QUERY.to_string()
            && event["session_id"] == SESSION.to_string()
            && event["elapsed_us"].is_u64()));
        assert_eq!((&events[0]["target"], &events[0]["level"]), (&"meshgate::query".into(), &"INFO".into()));
        assert_eq!((&events[0]["message"], &events[1]["message"]), (&"a \"query\"".into(), &"".into()));
        assert_eq!((&events[0]["span"]["name"], &events[0]["spans"][0]["address"]), (&"connection".into(), &"a\"b".into()));
    }

    #[test]
    fn nobody_writes_a_line_of_his_own() {
        let lines = Written::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = subscriber.map_event_format(|inner| Lines { inner, format: Format::Text }).finish();
        tracing::subscriber::with_default(subscriber, || {
            let _connection = tracing::info_span!("connection", name = %"a\r\nb").entered();
            tracing::warn!(user = %"eve\n2026-11-22T03:50:00Z  INFO forged \u{1b}[31m\u{9b}2J", "login refused\n");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.ends_with('\n') && !text.trim_end().contains(char::is_control), "{text:?}");
        assert!(text.contains(r"eve\n2026") && text.contains(r"\u{1b}[31m"), "{text}");
    }

    #[test]
    fn the_log_for_people_has_a_line_a_step_too() {
        let lines = Written::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = subscriber.map_event_format(|inner| Lines { inner, format: Format::Text }).finish();
        tracing::subscriber::with_default(subscriber, || {
            let _connection = tracing::info_span!("connection", id = 7).entered();
            stage(&SESSION, Step::Parse, Duration::ZERO, &"1 statements");
            let mut trace = QueryTrace::start(QUERY, SESSION);
            trace.done(Step::Plan, "a\nb");
            trace.done(Step::Close, "completed");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let shown: Vec<&str> =
            text.lines().map(|line| line.split_once("  INFO ").unwrap().1.split_once(" elapsed_us=").unwrap().0).collect();
        let rest = format!("query_id={QUERY} session_id={SESSION}");
        let line = |note, rest: &str, step| format!("connection{{id=7}}: meshgate::query: {note} {rest} step=\"{step}\"");
        let parsed = line("1 statements", &format!("session_id={SESSION}"), "parse");
        assert_eq!(shown, [parsed, line("a b", &rest, "plan"), line("completed", &rest, "close")]);
    }
}
