//! `meshgate explain`: EXPLAIN POLICY without a gateway.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::{Array, ArrayRef};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::Utc;
use serde_json::{Map, Value};

use crate::audit::{AuditLog, AuditOptions, MemoryLog};
use crate::config::Config;
use crate::engine::{Clock, Engine, Reply, SessionRequest, Worlds};
use crate::error::ClientMessage;
use crate::identity::{Directory, Principal};
use crate::ports::Ports;
use crate::server::sources::Source;
use crate::server::{load, options};

use super::{Format, Outcome};

/// What `explain` is asked for.
#[derive(Debug, Clone, Default)]
pub struct ExplainOptions {
    /// The login; without one, a login without roles.
    pub user: Option<String>,
    /// What it says the data is for.
    pub purpose: Option<String>,
    /// The query.
    pub sql: String,
    /// How to write.
    pub format: Format,
}

/// The login that is asked about if none is named.
const NOBODY: &str = "nobody";

/// `meshgate explain`: what the policies make of a query. Nothing is read, and no gateway has to run.
pub async fn explain(config: &Config, asked: &ExplainOptions, out: &mut dyn Write) -> Outcome {
    let directory = load::principals(config)?;
    let principal = principal(&directory, asked.user.as_deref())?;
    let engine = engine(config)?;
    let whoever = Arc::clone(&principal);
    let request = SessionRequest {
        database: config.database.clone(),
        parameters: asked.purpose.iter().map(|purpose| ("meshgate.purpose".to_owned(), purpose.clone())).collect(),
        client_address: None,
        connection: Default::default(),
        process_id: 1,
        stop_cause: Arc::new(|| None),
        stopper: Arc::new(|_| {}),
        whoever: Arc::new(move || Some(Arc::clone(&whoever))),
        everyone: Arc::new(|_| None),
    };
    let mut session = engine.open_session(principal, request).map_err(said)?;
    let statements = session.parse(&format!("EXPLAIN POLICY {}", asked.sql)).await.map_err(said)?;
    let [statement] = statements.as_slice() else { anyhow::bail!("one query is explained at a time") };
    let Reply::Rows(mut rows) = session.run(statement).await.map_err(said)? else { anyhow::bail!("a query is explained, nothing else") };
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch.map_err(said)?);
    }
    match asked.format {
        Format::Text => write_table(&batches, out)?,
        Format::Json => writeln!(out, "{:#}", as_json(&batches)?)?,
    }
    Ok(true)
}

fn principal(directory: &Directory, user: Option<&str>) -> anyhow::Result<Arc<Principal>> {
    match user {
        Some(name) => {
            let login = directory.find(name).with_context(|| format!("there is no principal \"{name}\""))?;
            Ok(Arc::clone(&login.principal))
        }
        None => Ok(Arc::new(Principal {
            product: None,
            name: NOBODY.to_owned(),
            roles: Default::default(),
            groups: Default::default(),
            is_data_steward: false,
            attributes: Default::default(),
        })),
    }
}

/// An engine over what the configuration names. Its records stay in memory: nobody reads, and the log belongs to the gateway.
fn engine(config: &Config) -> anyhow::Result<Engine> {
    let clock: Clock = Arc::new(Utc::now);
    let erased = match config.erasures.as_ref().and_then(crate::config::Origin::path) {
        // The example's own list is written at its first start.
        Some(path) if config.example.is_some() && !path.exists() => load::erasures(None)?,
        _ => Source::of_erasures(config)?.erasures()?,
    };
    let world = load::world(config, load::catalog(config)?.into(), Source::of_policies(config)?.bundle()?.into(), erased.into())?;
    let audit = AuditLog::with_storage(Box::new(MemoryLog::default()), AuditOptions::new(""))?;
    let ports = Arc::new(Ports::new(options::ports(config)));
    Engine::new(options::engine(config, &clock), Arc::new(Worlds::new(world)), ports, audit, None).map_err(said)
}

/// What a client would be told.
fn said(message: ClientMessage) -> anyhow::Error {
    let mut text = format!("{}: {}", message.sqlstate, message.message);
    for more in [message.detail, message.hint].into_iter().flatten() {
        text.push('\n');
        text.push_str(&more);
    }
    anyhow::anyhow!(text)
}

/// The rows in columns as wide as they need, `-` for what there is not.
fn write_table(batches: &[RecordBatch], out: &mut dyn Write) -> anyhow::Result<()> {
    let options = FormatOptions::new().with_null("-");
    let mut table: Vec<Vec<String>> = Vec::new();
    for batch in batches {
        if table.is_empty() {
            table.push(batch.schema().fields().iter().map(|field| field.name().clone()).collect());
        }
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options)).collect::<Result<Vec<_>, _>>()?;
        table.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect()));
    }
    let width = |column: usize| table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table.first().map_or(0, Vec::len)).map(width).collect();
    for row in &table {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn as_json(batches: &[RecordBatch]) -> anyhow::Result<Value> {
    let options = FormatOptions::new();
    let cell = |column: &ArrayRef, row: usize| -> anyhow::Result<Value> {
        if column.is_null(row) {
            return Ok(Value::Null);
        }
        let text = ArrayFormatter::try_new(column, &options)?.value(row).to_string();
        Ok(if column.data_type().is_numeric() { text.parse::<i64>()?.into() } else { text.into() })
    };
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut object = Map::new();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                object.insert(field.name().clone(), cell(column, row)?);
            }
            rows.push(Value::Object(object));
        }
    }
    Ok(Value::Array(rows))
}
