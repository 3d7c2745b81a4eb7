//! What the audit log sustains by itself: statements a second written and synced, checked, read back, and copied by columns.
//!
//! `cargo bench --bench audit`; `MESHGATE_BENCH_STATEMENTS` sets how many (100,000; each is three records), `MESHGATE_BENCH_CLIENTS` how many
//! wait for their openings at a time (16), `MESHGATE_BENCH_FOLDER` where the log lies (a temporary folder). The statements are of the thirty days of
//! June 2026, one after the other, so that `benches/audit_cost.py questions` can ask for them.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use meshgate::audit::{
    AuditLog, AuditOptions, Closing, DecisionRecord, During, FieldAccess, Heads, Origin, ProductAccess, Reader, StatementOpened,
    WrittenOrigin, verify,
};
use meshgate::catalog::mesh::Copier;
use meshgate::policy::{Decision, DecisionId, Obligations, Outcome, Question};
use meshgate::product::{DomainName, FieldName, PortName, ProductName, ProductRef, Version};
use serde_json::json;
use uuid::Uuid;

/// The same as the gateway's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Columns of the product; each statement reads two of them.
const COLUMNS: [&str; 12] = [
    "customer_id",
    "full_name",
    "email_hash",
    "phone_hash",
    "email_domain",
    "tier",
    "country",
    "lifetime_value_usd",
    "orders_count",
    "marketing_consent",
    "last_seen_at",
    "created_at",
];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The moment of a statement: June, from its first day to its last.
fn moment(number: u64, statements: u64) -> DateTime<Utc> {
    let micros = u128::from(number) * 30 * 86_400_000_000 / u128::from(statements.max(1));
    DateTime::from_timestamp(1_780_272_000, 0).unwrap_or_default() + TimeDelta::microseconds(i64::try_from(micros).unwrap_or_default())
}

fn fields(number: u64) -> [&'static str; 2] {
    let at = |by: u64| usize::try_from(number / by % 12).ok().and_then(|index| COLUMNS.get(index)).copied().unwrap_or_default();
    [at(1), at(12)]
}

fn product() -> anyhow::Result<ProductRef> {
    let (domain, name) = (DomainName::parse("customer")?, ProductName::parse("customer-360")?);
    Ok(ProductRef { domain, name, version: Version { major: 2, minor: 1, patch: 0 } })
}

fn decision(number: u64, client: u64, opened: &StatementOpened, at: DateTime<Utc>) -> anyhow::Result<DecisionRecord> {
    let columns: Vec<_> = fields(number)
        .iter()
        .map(|name| json!({"name": name, "type": "string", "pii": *name == "full_name", "usage": ["projected"]}))
        .collect();
    let asked = Question::new(json!({
        "action": "read",
        "subject": {"user": format!("client{client}"), "roles": ["pii_authorized"], "groups": [], "is_data_steward": false, "purpose": null, "attributes": {}},
        "resource": {"domain": "customer", "product": "customer-360", "version": "2.1.0", "port": "customer_snapshot_daily",
            "classification": "restricted", "requested_fields": fields(number), "masked_fields": [], "columns": columns, "retention_days": 730},
        "context": {"query_id": opened.query_id.to_string(), "application_name": "bench", "client_address": "127.0.0.1"},
    }));
    let decision = Decision {
        id: DecisionId(opened.products.first().and_then(|access| access.decision_id).unwrap_or_default()),
        product: product()?,
        port: PortName::parse("customer_snapshot_daily")?,
        fields: fields(number).iter().map(|name| FieldName::parse(name)).collect::<Result<_, _>>()?,
        outcome: Outcome::Allow(Obligations::default()),
        bundle_revision: "0123456789abcdef".into(),
        rules: ["contract.retention".to_owned(), "contract.erasure".to_owned()].into(),
        input: asked,
        result: Arc::new(
            json!({"allow": true, "enforced": {"row_filter": "created_at >= ?", "exclusion": "customer_id", "masks": {}}}).into(),
        ),
    };
    let elapsed = Duration::from_micros(61);
    Ok(DecisionRecord { query_id: opened.query_id, path: "meshgate/governance", decision: Arc::new(decision), at, elapsed })
}

/// Where the statements of a client come from.
fn origin(client: u64) -> WrittenOrigin {
    let origin = Origin {
        session_id: format!("session-{client}"),
        principal: format!("client{client}"),
        roles: vec!["pii_authorized".to_owned()],
        stands_for: None,
        application_name: "bench".to_owned(),
        purpose: None,
        client_address: Some("127.0.0.1:50000".to_owned()),
        database: "mesh".to_owned(),
    };
    origin.written()
}

fn opened(number: u64, origin: WrittenOrigin) -> anyhow::Result<StatementOpened> {
    let field =
        |name: &str| anyhow::Ok(FieldAccess { name: FieldName::parse(name)?, uses: vec!["projected"], outputs: vec![name.to_owned()] });
    Ok(StatementOpened {
        query_id: Uuid::now_v7(),
        origin,
        sql: Some(format!("SELECT customer_id, tier FROM customer.customer_360 WHERE customer_id = {number}")),
        sql_fingerprint: String::new(),
        statement_class: "query",
        products: vec![ProductAccess {
            product: product()?,
            port: PortName::parse("customer_snapshot_daily")?,
            fields: fields(number).into_iter().map(field).collect::<anyhow::Result<_>>()?,
            decision_id: Some(Uuid::now_v7()),
        }],
        snapshot_revision: "0123456789abcdef".into(),
        bundle_revision: "0123456789abcdef".into(),
    })
}

async fn client(log: Arc<AuditLog>, next: Arc<AtomicU64>, statements: u64, name: u64) -> anyhow::Result<()> {
    let origin = origin(name);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= statements {
            return Ok(());
        }
        let reserved = log.reserve().await?;
        let (at, opened) = (moment(number, statements), opened(number, origin.clone())?);
        let decisions = vec![decision(number, name, &opened, at)?];
        let open = log.open_statement(reserved, at, opened, decisions, Arc::new(Closing::aborted)).await?;
        open.add_rows(1, 40);
        open.close(at, Closing::completed());
    }
}

async fn write(folder: PathBuf, statements: u64, clients: u64) -> anyhow::Result<f64> {
    let log = AuditLog::open(AuditOptions::new(folder))?;
    let (start, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..clients {
        asking.spawn(client(Arc::clone(&log), Arc::clone(&next), statements, number));
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

    let start = Instant::now();
    Copier::update(&Reader::of_folder(&folder))?;
    let seconds = start.elapsed().as_secs_f64();
    writeln!(out, "copied by columns: {:.0} statements a second", count / seconds)?;
    Ok(())
}
