//! The bare engine beside the gateway: TPC-H over the same ports, without sessions, policies, records and the protocol.
//!
//! ```sh
//! cargo bench --bench tpch_bare -- examples/tpch/meshgate.yaml
//! ```
//!
//! Reads the path of a query from each line of its input, runs it and answers with the seconds that it took and its rows, a line each.
//! `examples/tpch/compare.py --bare` starts it and asks in turn, so that a busy machine is busy for all.
//! What it opens are the tables of [`meshgate::ports`], as the gateway reads them; their rows reach the plan unfiltered and unmasked.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use datafusion::common::config::Dialect;
use datafusion::physical_plan::displayable;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt as _;
use meshgate::ports::{PortOptions, Ports};
use meshgate::{config, locator};

/// The same as the gateway's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The ports of every listed table of a configuration, in a plain session.
async fn session(file: &Path) -> anyhow::Result<SessionContext> {
    let config = config::load(file).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let snapshot = locator::load(&config.catalogs).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let ports = Ports::new(PortOptions {
        data_root: config.data.unwrap_or(config.catalogs),
        credentials_root: config.credentials,
        ..PortOptions::default()
    });
    let mut settings = SessionConfig::new().with_target_partitions(std::thread::available_parallelism().map_or(1, usize::from));
    // As the gateway reads SQL: decimals stay decimals.
    let parser = &mut settings.options_mut().sql_parser;
    parser.dialect = Dialect::PostgreSQL;
    parser.parse_float_as_decimal = true;
    let context = SessionContext::new_with_config(settings);
    for entry in snapshot.tables().filter(|entry| entry.listed) {
        let product = &entry.located.product;
        if let Some(port) = entry.located.port.as_ref().and_then(|name| product.output_port(name)) {
            context.register_table(entry.table.as_str(), ports.open(product, port).await?)?;
        }
    }
    Ok(context)
}

/// Plans and runs a query to its last row. With `TPCH_BARE_EXPLAIN` in the environment it shows the plan.
#[expect(clippy::disallowed_methods, reason = "the bare engine is what runs without the pipeline")]
async fn run(context: &SessionContext, sql: &str) -> anyhow::Result<(Duration, usize)> {
    let start = Instant::now();
    let plan = context.sql(sql).await?.create_physical_plan().await?;
    if std::env::var_os("TPCH_BARE_EXPLAIN").is_some() {
        write!(std::io::stderr(), "{}", displayable(plan.as_ref()).indent(false))?;
    }
    let mut batches = datafusion::physical_plan::execute_stream(plan, context.task_ctx())?;
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        rows += batch?.num_rows();
    }
    Ok((start.elapsed(), rows))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Cargo adds a flag of its own.
    let Some(file) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) else {
        bail!("usage: tpch_bare CONFIGURATION");
    };
    let context = session(Path::new(&file)).await?;
    let mut output = std::io::stdout();
    for line in std::io::stdin().lines() {
        let path = line?;
        let sql = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let (took, rows) = run(&context, &sql).await.with_context(|| path.clone())?;
        writeln!(output, "{} {rows}", took.as_secs_f64())?;
        output.flush()?;
    }
    Ok(())
}
