//! How events are written: as the library writes them, but for the steps of a query, which come several at once and get a line each.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use chrono::{SecondsFormat, Utc};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::Format;
use super::query::{STEPS, TARGET};

/// Room for the lines of a usual query.
const LINES_BYTES: usize = 2 << 10;

/// Writes events.
pub(super) struct Lines<F> {
    /// Writes all others.
    pub(super) inner: F,
    pub(super) format: Format,
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if event.metadata().target() != TARGET || event.metadata().fields().field(STEPS).is_none() {
            let mut line = String::new();
            self.inner.format_event(context, Writer::new(&mut line), event)?;
            return writer.write_str(&one_line(&line, self.format));
        }
        let mut steps = Steps::default();
        event.record(&mut steps);
        let at = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let around = self.around(context)?;
        let ids = steps.ids(self.format);
        let mut lines = String::with_capacity(LINES_BYTES);
        for step in steps.steps.lines() {
            let mut parts = step.splitn(3, '\t');
            let (name, elapsed, note) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("0"), parts.next().unwrap_or_default());
            // Pieces are put together by hand: a statement has many steps, and formatting each would cost more than what it tells of.
            let all = |lines: &mut String, pieces: &[&str]| pieces.iter().for_each(|piece| lines.push_str(piece));
            match self.format {
                Format::Text => {
                    let who = [TARGET, ": ", note, " ", &ids, "step=\"", name, "\" elapsed_us=", elapsed, "\n"];
                    all(&mut lines, &[&at, "  INFO ", &around]);
                    all(&mut lines, &who);
                }
                Format::Json => {
                    let note = serde_json::Value::from(note).to_string();
                    all(
                        &mut lines,
                        &["{\"timestamp\":\"", &at, "\",\"level\":\"INFO\",\"message\":", &note, ",", &ids, "\"step\":\"", name],
                    );
                    all(&mut lines, &["\",\"elapsed_us\":", elapsed, ",\"target\":\"", TARGET, "\"", &around, "}\n"]);
                }
            }
        }
        writer.write_str(&lines)
    }
}

/// What an event says, on a line of its own.
///
/// INVARIANT: an event quotes what clients send, and none of it begins a line that is not the gateway's, or drives a terminal.
fn one_line(line: &str, format: Format) -> Cow<'_, str> {
    let text = line.strip_suffix('\n').unwrap_or(line);
    if !text.contains(char::is_control) {
        return Cow::Borrowed(line);
    }
    let mut plain = String::with_capacity(line.len());
    for letter in text.chars() {
        match format {
            _ if !letter.is_control() => plain.push(letter),
            Format::Text => plain.extend(letter.escape_default()),
            Format::Json => plain.push_str(&format!("\\u{:04x}", u32::from(letter))),
        }
    }
    plain.push('\n');
    Cow::Owned(plain)
}

impl<F> Lines<F> {
    /// The spans of an event, from the outermost.
    fn around<S, N>(&self, context: &FmtContext<'_, S, N>) -> Result<String, fmt::Error>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'a> FormatFields<'a> + 'static,
    {
        let mut text = String::new();
        let mut objects = Vec::new();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().map(|fields| fields.fields.as_str()).unwrap_or_default();
            match self.format {
                Format::Text => write!(text, "{}{{{fields}}}: ", span.name())?,
                Format::Json => {
                    let fields = fields.trim_start_matches('{').trim_end_matches('}');
                    let comma = if fields.is_empty() { "" } else { "," };
                    objects.push(format!("{{{fields}{comma}\"name\":\"{}\"}}", span.name()));
                }
            }
        }
        if let Some(innermost) = objects.last() {
            write!(text, ",\"span\":{innermost},\"spans\":[{}]", objects.join(","))?;
        }
        Ok(text)
    }
}

/// What an event of steps carries.
#[derive(Default)]
struct Steps {
    query_id: String,
    session_id: String,
    steps: String,
}

impl Steps {
    /// What stands in each line; a step of a session is of no query.
    fn ids(&self, format: Format) -> String {
        let id = |name: &str, id: &str| match format {
            _ if id.is_empty() => String::new(),
            Format::Text => format!("{name}={id} "),
            Format::Json => format!("\"{name}\":\"{id}\","),
        };
        id("query_id", &self.query_id) + &id("session_id", &self.session_id)
    }
}

impl Visit for Steps {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "query_id" => value.clone_into(&mut self.query_id),
            "session_id" => value.clone_into(&mut self.session_id),
            STEPS => value.clone_into(&mut self.steps),
            _ => {}
        }
    }

    /// Its fields are texts.
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
