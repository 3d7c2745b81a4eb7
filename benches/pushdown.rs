//! How well scans of Parquet files choose whether to find rows first: the time of the choice beside that of the better way.
//!
//! ```sh
//! cargo bench --bench pushdown -- examples/tpch/data/lineitem.parquet
//! ```
//!
//! Each query runs over the port of [`meshgate::ports`] that finds rows first, that never does, and that decides for each scan, in turn, in one partition; the
//! figures are the best of nine rounds. A ratio of 1 is the better of both ways. Needs TPC-H's `lineitem`, as `examples/tpch/generate.sh 1` makes it.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt as _;
use meshgate::ports::{PortOptions, Ports};
use meshgate::product::validate::{DomainDefaults, parse};

const ROUNDS: usize = 9;

/// Filters from one row to nearly all of them, over keys, amounts, dates, codes and texts.
const FILTERS: [&str; 12] = [
    "l_orderkey = 300000",
    "l_partkey = 15519",
    "l_partkey IN (7, 77, 777, 7777)",
    "l_partkey < 1500",
    "l_partkey < 20000",
    "l_partkey < 120000",
    "l_shipdate >= DATE '1998-11-25'",
    "l_shipdate >= DATE '1993-01-01'",
    "l_quantity < 10",
    "l_quantity = 17",
    "l_returnflag = 'R'",
    "l_comment LIKE '%special%'",
];

/// What is read beside: little, numbers, much.
const COLUMNS: [&str; 3] = ["max(l_tax)", "max(l_extendedprice), max(l_discount)", "max(l_suppkey), max(l_extendedprice), max(l_comment)"];

/// The file as the table `l`, read in that way.
async fn session(file: &Path, pushdown: Option<bool>) -> anyhow::Result<SessionContext> {
    let location = file.canonicalize()?;
    let contract = format!(
        "apiVersion: data-mesh/v1\nkind: DataProduct\nmetadata: {{name: lineitem, version: \"1.0.0\", owner: bench, domain: tpch}}\n\
         spec:\n  outputPorts: [{{name: files, type: batch, format: parquet, location: \"file://{}\"}}]\n  governance: {{}}\n",
        location.display()
    );
    let product = parse("bench.yaml", &contract, &DomainDefaults::default()).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let port = product.output_ports.first().context("the contract has a port")?;
    let ports = Ports::new(PortOptions { parquet_pushdown: pushdown, ..PortOptions::default() });
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    context.register_table("l", ports.open(&product, port).await?)?;
    Ok(context)
}

#[expect(clippy::disallowed_methods, reason = "the bare engine is what runs without the pipeline")]
async fn run(context: &SessionContext, sql: &str) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let plan = context.sql(sql).await?.create_physical_plan().await?;
    let mut batches = datafusion::physical_plan::execute_stream(plan, context.task_ctx())?;
    while let Some(batch) = batches.next().await {
        batch?;
    }
    Ok(start.elapsed())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // Cargo adds a flag of its own.
    let Some(file) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) else {
        bail!("usage: pushdown LINEITEM.parquet");
    };
    let ways = [Some(false), Some(true), None];
    let mut sessions = Vec::with_capacity(ways.len());
    for way in ways {
        sessions.push(session(Path::new(&file), way).await?);
    }
    let (mut output, mut worst, mut sum, mut count) = (std::io::stdout(), 0_f64, 0_f64, 0_u32);
    for filter in FILTERS {
        for columns in COLUMNS {
            let sql = format!("SELECT {columns} FROM l WHERE {filter}");
            let mut best = [Duration::MAX; 3];
            for _ in 0..ROUNDS {
                for (best, session) in best.iter_mut().zip(&sessions) {
                    *best = (*best).min(run(session, &sql).await?);
                }
            }
            let [never, always, chosen] = best.map(|took| took.as_secs_f64() * 1_000.0);
            let ratio = chosen / never.min(always);
            (worst, sum, count) = (worst.max(ratio), sum + ratio.ln(), count + 1);
            writeln!(output, "{filter:34} {columns:52} never {never:7.1} ms  always {always:7.1} ms  chosen {chosen:7.1} ms  {ratio:.2}")?;
        }
    }
    writeln!(output, "chosen / the better of both: {:.3} on average, {worst:.2} at worst", (sum / f64::from(count)).exp())?;
    Ok(())
}
