//! Gateways without a socket over the visits, one for each erasure list, and the bare engine beside them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::catalog::MemTable;
use datafusion::common::config::Dialect;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt as _;
use meshgate::audit::AuditLog;
use meshgate::engine::{Engine, EngineOptions, Reply, Session, SessionRequest, TextLimits, World, Worlds};
use meshgate::identity::Principal;
use meshgate::locator::{self, Snapshot};
use meshgate::policy::{AccessRequest, Bundle, BundleFile, DecisionPoint, FieldUse, MaskKeys, RequestContext, RequestedField, SubjectSet};
use meshgate::ports::{PortOptions, Ports};
use meshgate::product::{FieldName, PortName, Product};

use crate::data::SUBJECTS;

/// What a product asks of its readers.
const GOVERNANCE: [(&str, &str); 7] = [
    ("plain", "{data_classification: internal}"),
    ("unread", "{data_classification: internal, pii_fields: [full_name], pii_action: mask}"),
    ("retained", "{data_classification: internal, retention_days: 730, retention_column: created_at}"),
    ("kept", "{data_classification: internal, retention_days: 7300, retention_column: created_at}"),
    ("erased", "{data_classification: internal, gdpr_subject_to_erasure: true, subject_column: subject_id}"),
    ("masked", "{data_classification: internal, MASKS}"),
    (
        "everything",
        "{data_classification: internal, retention_days: 730, retention_column: created_at, gdpr_subject_to_erasure: true, subject_column: subject_id, MASKS}",
    ),
];

const MASKS: &str = "pii_fields: [full_name, email, card], pii_action: mask, masks: {full_name: redact, email: email-domain, \
    card: show-last-4, city: mask-alphanum, created_at: truncate-to-month, quantity: {mask: bucket, width: 10}, amount: {mask: bucket, width: 50}}";

/// Masks that are measured one by one: the product's name, the column, the mask, and how the engine's own SQL would mask these values.
pub(crate) const SINGLE: [(&str, &str, &str, Option<&str>); 11] = [
    ("m-null", "full_name", "replace-with-null", Some("CAST(NULL AS text)")),
    ("m-redact", "full_name", "redact", Some("'***'")),
    ("m-last4", "card", "show-last-4", Some("'nnnnnnnnnnnn' || right(card, 4)")),
    ("m-alnum", "full_name", "mask-alphanum", Some("regexp_replace(full_name, '[^0-9(),.@-]', 'x', 'g')")),
    ("m-domain", "email", "email-domain", Some("split_part(email, '@', 2)")),
    ("m-sha", "full_name", "sha-256-global", Some("encode(sha256(full_name), 'hex')")),
    ("m-sha-card", "card", "sha-256-global", Some("encode(sha256(card), 'hex')")),
    ("m-hmac", "full_name", "hmac-sha-256", None),
    ("m-month", "created_at", "truncate-to-month", Some("date_trunc('month', created_at)")),
    ("m-bucket", "amount", "{mask: bucket, width: 50}", Some("floor(amount / 50) * 50")),
    ("m-sql", "full_name", "{expression: \"left(full_name, 1) || '***'\"}", Some("left(full_name, 1) || '***'")),
];

const SCHEMA: &str = "[{name: id, type: int64, primaryKey: true}, {name: subject_id, type: int64}, {name: created_at, type: timestamptz}, \
    {name: full_name, type: string}, {name: email, type: string}, {name: card, type: string}, {name: city, type: string}, \
    {name: quantity, type: int32}, {name: amount, type: float64}]";

const LINEITEM: &str = "[{name: l_orderkey, type: int64}, {name: l_partkey, type: int64}, {name: l_suppkey, type: int64}, \
    {name: l_linenumber, type: int32}, {name: l_quantity, type: 'decimal(15,2)'}, {name: l_extendedprice, type: 'decimal(15,2)'}, \
    {name: l_discount, type: 'decimal(15,2)'}, {name: l_tax, type: 'decimal(15,2)'}, {name: l_returnflag, type: varchar(1)}, \
    {name: l_linestatus, type: varchar(1)}, {name: l_shipdate, type: date}, {name: l_comment, type: varchar(44)}]";

/// Lines of orders: half of them are older than the period, and suppliers take the place of people.
const LINEITEM_EVERYTHING: &str = "{data_classification: internal, retention_days: 11306, retention_column: l_shipdate, \
    gdpr_subject_to_erasure: true, subject_column: l_suppkey, masks: {l_comment: redact}}";

/// The moment at which everything runs.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_272_000, 0).unwrap_or_default()
}

/// Writes the contracts of all products.
pub(crate) fn write_catalog(folder: &Path, tpch: Option<&Path>) -> anyhow::Result<PathBuf> {
    let catalog = folder.join("catalogs");
    let domain = catalog.join("bench");
    // What another run has asked for may be none of this one's.
    if domain.exists() {
        std::fs::remove_dir_all(&domain)?;
    }
    std::fs::create_dir_all(&domain)?;
    let mut products: Vec<(String, String, &str, String)> = Vec::new();
    for order in ["sorted", "shuffled"] {
        for (name, governance) in GOVERNANCE {
            products.push((format!("{name}-{order}"), format!("{order}.parquet"), SCHEMA, governance.replace("MASKS", MASKS)));
        }
    }
    for (name, column, mask, _) in SINGLE {
        let governance = format!("{{data_classification: internal, masks: {{{column}: {mask}}}}}");
        products.push((name.to_owned(), "sorted.parquet".to_owned(), SCHEMA, governance));
    }
    if let Some(tpch) = tpch {
        let location = format!("file://{}", tpch.join("lineitem.parquet").display());
        let plain = "{data_classification: internal}".to_owned();
        products.push(("lineitem-plain".to_owned(), location.clone(), LINEITEM, plain));
        products.push(("lineitem-everything".to_owned(), location, LINEITEM, LINEITEM_EVERYTHING.to_owned()));
    }
    let mut domains = String::from("domains:\n  bench:\n    owner_team: bench\n    source_products: [");
    for (name, location, schema, governance) in &products {
        let contract = format!(
            "apiVersion: data-mesh/v1\nkind: DataProduct\nmetadata: {{name: {name}, version: \"1.0.0\", owner: bench, domain: bench}}\n\
             spec:\n  outputPorts: [{{name: files, type: batch, format: parquet, location: \"{location}\"}}]\n  schema: {schema}\n  \
             governance: {governance}\n"
        );
        std::fs::write(domain.join(format!("{name}.yaml")), contract)?;
        write!(domains, "{name}, ")?;
    }
    domains.push_str("]\n");
    std::fs::write(catalog.join("domains.yaml"), domains)?;
    Ok(catalog)
}

/// Erased people: so many of all, spread.
pub(crate) fn erased_ids(count: i64) -> Vec<i64> {
    (0..count).map(|number| number * (SUBJECTS / count.max(1))).collect()
}

fn ports(folder: &Path) -> Arc<Ports> {
    Arc::new(Ports::new(PortOptions { data_root: folder.to_path_buf(), ..PortOptions::default() }))
}

fn snapshot(catalog: &Path) -> anyhow::Result<Arc<Snapshot>> {
    let loaded = locator::load(catalog);
    loaded.map(Arc::new).map_err(|faults| anyhow::anyhow!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}

fn bundle() -> anyhow::Result<Arc<Bundle>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "rego" || kind == "json") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push(BundleFile { path: name, text: std::fs::read_to_string(&path)? });
        }
    }
    Bundle::parse(files).map(Arc::new).map_err(|faults| anyhow::anyhow!("{faults:?}"))
}

pub(crate) fn analyst() -> Arc<Principal> {
    Arc::new(Principal {
        product: None,
        name: "analyst".to_owned(),
        roles: ["analyst".to_owned()].into(),
        groups: Default::default(),
        is_data_steward: false,
        attributes: BTreeMap::new(),
    })
}

/// A gateway's engine with one session.
pub(crate) struct Gateway {
    pub(crate) point: Arc<DecisionPoint>,
    folder: PathBuf,
    snapshot: Arc<Snapshot>,
    session: Session,
}

impl Gateway {
    /// With so many erased people.
    pub(crate) fn new(folder: &Path, catalog: &Path, erased: i64) -> anyhow::Result<Self> {
        let snapshot = snapshot(catalog)?;
        let erased = Arc::new(SubjectSet::new(erased_ids(erased).into_iter().map(|id| id.to_string())));
        let point = DecisionPoint::new(bundle()?, &snapshot.products(), &BTreeMap::new(), erased)
            .map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
        let point = Arc::new(point.with_mask_keys(MaskKeys::new([("default".to_owned(), vec![7; 32])])));
        Self::open(folder, snapshot, point)
    }

    /// One that has answered nothing yet, with the same rules and the same erased people.
    pub(crate) fn anew(&self) -> anyhow::Result<Self> {
        Self::open(&self.folder, Arc::clone(&self.snapshot), Arc::clone(&self.point))
    }

    fn open(folder: &Path, snapshot: Arc<Snapshot>, point: Arc<DecisionPoint>) -> anyhow::Result<Self> {
        let worlds =
            Worlds::new(World { snapshot: Arc::clone(&snapshot), policy: Arc::clone(&point), bundle_revision: "bench".to_owned() });
        let (audit, _) = AuditLog::in_memory()?;
        let options = EngineOptions {
            database: "mesh".to_owned(),
            text: TextLimits::default(),
            statement_timeout: Some(Duration::from_secs(600)),
            rows_max: None,
            memory_bytes: 4 << 30,
            remembered_bytes: 128 << 20,
            queries_max: 4,
            idle_session_timeout: Duration::from_secs(3_600),
            prepared_max: 10,
            portals_max: 10,
            partitions: partitions(),
            clock: Arc::new(now),
            notices: true,
            lineage_namespace: "bench".to_owned(),
            sql_in_records: true,
            give_back: None,
        };
        let engine = Engine::new(options, Arc::new(worlds), ports(folder), audit, None).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let principal = analyst();
        // The directory has one of each.
        let known = Arc::clone(&principal);
        let request = SessionRequest {
            database: "mesh".to_owned(),
            parameters: Vec::new(),
            client_address: None,
            connection: Default::default(),
            process_id: 1,
            stop_cause: Arc::new(|| None),
            stopper: Arc::new(|_| {}),
            whoever: Arc::new(move || Some(Arc::clone(&known))),
            everyone: Arc::new(|_| None),
        };
        let session = engine.open_session(principal, request).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        Ok(Self { point, folder: folder.to_path_buf(), snapshot, session })
    }

    /// Runs a query to its last row.
    pub(crate) async fn run(&mut self, sql: &str) -> anyhow::Result<usize> {
        let told = |error| anyhow::anyhow!("{sql}: {error:?}");
        let statements = self.session.parse(sql).await.map_err(told)?;
        let mut rows = 0;
        for statement in &statements {
            let Reply::Rows(mut stream) = self.session.run(statement).await.map_err(told)? else { bail!("no rows") };
            while let Some(batch) = stream.next().await {
                rows += batch.map_err(told)?.num_rows();
            }
        }
        self.session.sync();
        self.session.take_notices();
        Ok(rows)
    }

    /// One question about a product's city and amount.
    pub(crate) fn question(&self, catalog: &Path, product: &str) -> anyhow::Result<AccessRequest> {
        let products = snapshot(catalog)?.products();
        let named = |candidate: &&Arc<Product>| candidate.reference.name.as_str() == product;
        let product = products.iter().find(named).context("no such product")?;
        let field = |name: &str| anyhow::Ok(RequestedField { name: FieldName::parse(name)?, uses: vec![FieldUse::Projected] });
        Ok(AccessRequest {
            principal: analyst(),
            purpose: None,
            product: Arc::clone(product),
            port: PortName::parse("files")?,
            fields: vec![field("city")?, field("amount")?],
            context: RequestContext {
                query_id: "bench".to_owned(),
                now: now(),
                application_name: "bench".to_owned(),
                client_address: None,
            },
        })
    }
}

fn partitions() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The same ports in a plain session: what a hand-written query runs on. `erased` is a table of ids.
pub(crate) struct Bare {
    context: SessionContext,
}

impl Bare {
    pub(crate) async fn new(folder: &Path, catalog: &Path, erased: i64) -> anyhow::Result<Self> {
        let mut settings = SessionConfig::new().with_target_partitions(partitions());
        // As the gateway reads SQL: decimals stay decimals.
        let parser = &mut settings.options_mut().sql_parser;
        parser.dialect = Dialect::PostgreSQL;
        parser.parse_float_as_decimal = true;
        let context = SessionContext::new_with_config(settings);
        let ports = ports(folder);
        for entry in snapshot(catalog)?.tables().filter(|entry| entry.listed) {
            let product = &entry.located.product;
            if let Some(port) = entry.located.port.as_ref().and_then(|name| product.output_port(name)) {
                context.register_table(entry.table.as_str(), ports.open(product, port).await?)?;
            }
        }
        let ids = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(erased_ids(erased))) as _)])?;
        context.register_table("erased_people", Arc::new(MemTable::try_new(ids.schema(), vec![vec![ids]])?))?;
        Ok(Self { context })
    }

    /// Runs a query to its last row.
    #[expect(clippy::disallowed_methods, reason = "the bare engine is what runs without the pipeline")]
    pub(crate) async fn run(&self, sql: &str) -> anyhow::Result<usize> {
        let plan = self.context.sql(sql).await?.create_physical_plan().await?;
        let mut batches = datafusion::physical_plan::execute_stream(plan, self.context.task_ctx())?;
        let mut rows = 0;
        while let Some(batch) = batches.next().await {
            rows += batch?.num_rows();
        }
        Ok(rows)
    }
}
