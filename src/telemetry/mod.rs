//! The log of the gateway itself, and the steps of each query in it.
//!
//! INVARIANT: no value of the data, no credential, no policy text and no SQL text is an argument here.

mod lines;
mod output;
mod query;

use std::io;

use tracing_subscriber::EnvFilter;

pub use output::Output;
pub use query::{QueryTrace, Step, fields, stage, step};

use lines::Lines;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter does not follow `target=level,…`.
    #[error("the log filter is not valid")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// A subscriber is there already.
    #[error("the log has already been set up")]
    AlreadySet,
}

/// Sends events at or above `filter` (for example `info,meshgate::query=debug`) to the standard error, for as long as the output is kept. Once
/// a process.
pub fn init(format: Format, filter: &str) -> Result<Output, Error> {
    let filter = EnvFilter::try_new(filter).map_err(Error::Filter)?;
    let output = Output::start(Box::new(io::stderr()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(output.lines());
    match format {
        // Without colours, whose letters could not be told from those that a client sends.
        Format::Text => builder.with_ansi(false).map_event_format(|inner| Lines { inner, format }).try_init(),
        Format::Json => builder.json().flatten_event(true).map_event_format(|inner| Lines { inner, format }).try_init(),
    }
    .map_err(|_| Error::AlreadySet)?;
    Ok(output)
}
