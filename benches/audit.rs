//! What the audit log sustains by itself: statements a second written and synced, checked, and read back.
//!
//! `cargo bench --bench audit`; `MESHGATE_BENCH_STATEMENTS` sets how many (100,000), `MESHGATE_BENCH_CLIENTS` how many wait for their
//! openings at a time (16), `MESHGATE_BENCH_FOLDER` where the log lies (a temporary folder).

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use meshgate::audit::{AuditLog, AuditOptions, Closing, During, FieldAccess, Heads, ProductAccess, StatementOpened, verify};
use uuid::Uuid;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn opened(number: u64) -> StatementOpened {
    let field = |name: &str| FieldAccess { name: name.to_owned(), uses: vec!["projected"], outputs: vec![name.to_owned()] };
    StatementOpened {
        query_id: Uuid::now_v7(),
        session_id: format!("session-{}", number % 16),
        principal: format!("client{}", number % 16),
        roles: vec!["pii_authorized".to_owned()],
        stands_for: None,
        application_name: "bench".to_owned(),
        purpose: None,
        client_address: Some("127.0.0.1:50000".to_owned()),
        database: "mesh".to_owned(),
        sql: Some(format!("SELECT customer_id, tier FROM customer.customer_360 WHERE customer_id = {number}")),
        sql_fingerprint: String::new(),
        statement_class: "query".to_owned(),
        products: vec![ProductAccess {
            domain: "customer".to_owned(),
            product: "customer-360".to_owned(),
            version: "2.1.0".to_owned(),
            port: "customer_snapshot_daily".to_owned(),
            fields: vec![field("customer_id"), field("tier")],
            decision_id: None,
        }],
        snapshot_revision: "0123456789abcdef".to_owned(),
        bundle_revision: "0123456789abcdef".to_owned(),
    }
}

async fn client(log: Arc<AuditLog>, next: Arc<AtomicU64>, statements: u64) -> anyhow::Result<()> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= statements {
            return Ok(());
        }
        let reserved = log.reserve().await?;
        let open = log.open_statement(reserved, chrono::Utc::now(), opened(number), Vec::new(), Arc::new(Closing::aborted)).await?;
        open.add_rows(1, 40);
        open.close(chrono::Utc::now(), Closing::completed());
    }
}

async fn write(folder: PathBuf, statements: u64, clients: u64) -> anyhow::Result<f64> {
    let log = AuditLog::open(AuditOptions::new(folder))?;
    let (start, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..clients {
        asking.spawn(client(Arc::clone(&log), Arc::clone(&next), statements));
    }
    while let Some(asked) = asking.join_next().await {
        asked??;
    }
    log.close().await?;
    Ok(start.elapsed().as_secs_f64())
}

fn main() -> anyhow::Result<()> {
    let (statements, clients) = (setting("MESHGATE_BENCH_STATEMENTS", 100_000), setting("MESHGATE_BENCH_CLIENTS", 16));
    let temporary = tempfile::tempdir()?;
    let folder = std::env::var("MESHGATE_BENCH_FOLDER").map_or_else(|_| temporary.path().to_owned(), PathBuf::from);
    let out = &mut std::io::stdout().lock();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let count = f64::from(u32::try_from(statements)?);

    let seconds = runtime.block_on(write(folder.clone(), statements, clients))?;
    writeln!(out, "written and synced, {clients} clients: {:.0} statements a second", count / seconds)?;

    let start = Instant::now();
    let outcome = verify(&folder, &Heads::new())?;
    anyhow::ensure!(outcome.holds(), "the log does not hold");
    let seconds = start.elapsed().as_secs_f64();
    writeln!(out, "verified: {:.0} statements a second", count / seconds)?;

    let log = AuditLog::open(AuditOptions::new(&folder))?;
    let start = Instant::now();
    let mut read = 0_u64;
    for statement in log.reader().statements(During::default())? {
        statement?;
        read += 1;
    }
    anyhow::ensure!(read == statements, "{read} of {statements} were read back");
    let seconds = start.elapsed().as_secs_f64();
    writeln!(out, "read back: {:.0} statements a second", count / seconds)?;
    runtime.block_on(log.close())?;
    Ok(())
}
