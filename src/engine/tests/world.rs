//! One domain with two products over a CSV file, the policies that are shipped, records in memory, and a clock that stands still.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::AsArray as _;
use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::audit::{AuditLog, MemoryLog};
use crate::engine::{
    Engine, EngineOptions, Reply, RowStream, Session, SessionRequest, StopCause, TextLimits, TransactionStatus, World, Worlds,
};
use crate::error::ClientMessage;
use crate::identity::Principal;
use crate::lineage::{Emitter, Sink};
use crate::locator;
use crate::policy::{Bundle, BundleFile, DecisionPoint, SubjectSet};
use crate::ports::{PortOptions, Ports};

/// Portals and cursors of a session.
pub(super) const PORTALS_MAX: usize = 3;

const DOMAINS: &str = "domains:
  crm:
    owner_team: crm-team
    source_products: [people, old-people]
    consumer_products: []
";

fn contract(name: &str, more: &str) -> String {
    format!(
        "apiVersion: data-mesh/v1
kind: DataProduct
metadata: {{name: {name}, version: \"1.0.0\", owner: crm-team, domain: crm{more}}}
spec:
  outputPorts:
    - {{name: people_files, type: batch, format: csv, location: people.csv}}
    - {{name: people_stream, type: stream, format: avro, topic: people}}
  schema:
    - {{name: id, type: int64, primaryKey: true}}
    - {{name: full_name, type: string}}
    - {{name: tier, type: string}}
  governance:
    pii_fields: [full_name]
    data_classification: internal
"
    )
}

/// The same rows in a table of a server; of the first product, some may be hidden.
fn contract_of_table(name: &str, location: &str, hides: bool) -> String {
    let hidden = "
    gdpr_subject_to_erasure: true
    retention_days: 30
    retention_column: created_at";
    format!(
        "apiVersion: data-mesh/v1
kind: DataProduct
metadata: {{name: {name}, version: \"1.0.0\", owner: crm-team, domain: crm}}
spec:
  outputPorts:
    - {{name: people_live, type: table, format: postgres, location: \"{location}\", credentials: {{ref: \"file:login\"}}}}
  schema:
    - {{name: id, type: int64, primaryKey: true}}
    - {{name: tier, type: string}}
    - {{name: created_at, type: timestamp}}
  governance:
    data_classification: internal{}
",
        if hides { hidden } else { "" }
    )
}

/// Keeps lineage events.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Sink for Events {
    fn name(&self) -> &'static str {
        "test"
    }

    async fn send(&mut self, event: &str) -> std::io::Result<()> {
        self.0.lock().unwrap().push(event.to_owned());
        Ok(())
    }
}

/// An engine and all that it needs.
pub(super) struct TestWorld {
    engine: Engine,
    worlds: Arc<Worlds>,
    folder: tempfile::TempDir,
    audit: Arc<AuditLog>,
    records: MemoryLog,
    emitter: Arc<Emitter>,
    events: Events,
    now: Arc<Mutex<DateTime<Utc>>>,
}

impl TestWorld {
    pub(super) fn new() -> Self {
        let deprecated = ", status: deprecated, deprecation: {since: \"2026-01-01\"}";
        let data = [("people.csv", "id,full_name,tier\n1,Ada,gold\n2,Bob,silver\n")];
        Self::of(&contract("people", ""), &contract("old-people", deprecated), data)
    }

    /// Two products over a table with the columns `id`, `tier` and `created_at`: `people`, of which some may be hidden, and `old_people`.
    pub(super) fn over_table(location: &str, login: &str) -> Self {
        let contract = |name, hides| contract_of_table(name, location, hides);
        Self::of(&contract("people", true), &contract("old-people", false), [("login", login)])
    }

    fn of(people: &str, old_people: &str, files: [(&str, &str); 1]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir_all(folder.path().join("catalogs/crm")).unwrap();
        file("catalogs/domains.yaml", DOMAINS);
        file("catalogs/crm/people.yaml", people);
        file("catalogs/crm/old-people.yaml", old_people);
        files.iter().for_each(|(name, text)| file(name, text));
        let (audit, records) = AuditLog::in_memory().unwrap();
        let events = Events::default();
        let emitter = Arc::new(Emitter::start(vec![Box::new(events.clone())], 100));
        let ports = Arc::new(Ports::new(PortOptions {
            data_root: folder.path().to_path_buf(),
            credentials_root: Some(folder.path().to_path_buf()),
            ..PortOptions::default()
        }));
        let worlds = Arc::new(Worlds::new(world(&folder.path().join("catalogs"), [])));
        let now = Arc::new(Mutex::new("2026-03-01T20:00:00Z".parse().unwrap()));
        let engine = Engine::new(options(&now), Arc::clone(&worlds), ports, Arc::clone(&audit), Some(Arc::clone(&emitter))).unwrap();
        Self { engine, worlds, folder, audit, records, emitter, events, now }
    }

    pub(super) fn session(&self, name: &str, roles: &[&str]) -> TestSession {
        self.session_until(name, roles, Arc::new(|| None))
    }

    /// A session that is stopped when that says so.
    pub(super) fn session_until(&self, name: &str, roles: &[&str], stop_cause: StopCause) -> TestSession {
        let principal = Principal {
            product: None,
            name: name.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            groups: Default::default(),
            is_data_steward: false,
            attributes: BTreeMap::new(),
        };
        let principal = Arc::new(principal);
        let now = Arc::clone(&principal);
        let request = SessionRequest {
            database: "mesh".to_owned(),
            parameters: Vec::new(),
            client_address: None,
            connection: Default::default(),
            process_id: 1,
            stop_cause,
            stopper: Arc::new(|_| {}),
            whoever: Arc::new(move || Some(Arc::clone(&now))),
            everyone: Arc::new(|name| (name == "guest").then(|| Arc::new(guest()))),
        };
        TestSession { session: self.engine.open_session(principal, request).unwrap() }
    }

    /// The relations of the schema `mesh`, and whether each is a view.
    pub(super) fn own_relations(&self) -> Vec<(crate::locator::TableEntry, bool)> {
        let (_, entries) = crate::catalog::mesh::schema().unwrap();
        entries.into_iter().map(|entry| (entry.clone(), crate::catalog::mesh::view(&entry.table).is_some())).collect()
    }

    /// The port's file vanishes.
    pub(super) fn remove_data(&self) {
        std::fs::remove_file(self.folder.path().join("people.csv")).unwrap();
    }

    /// The port's file holds other rows.
    pub(super) fn write_data(&self, text: &str) {
        std::fs::write(self.folder.path().join("people.csv"), text).unwrap();
    }

    /// The contract says that a column is personal data, too.
    pub(super) fn make_personal(&self, column: &str) {
        let text = contract("people", "").replace("[full_name]", &format!("[full_name, {column}]"));
        std::fs::write(self.folder.path().join("catalogs/crm/people.yaml"), text).unwrap();
        self.worlds.replace(world(&self.folder.path().join("catalogs"), []));
    }

    /// These people are erased, and nobody else.
    pub(super) fn erase<const N: usize>(&self, ids: [&str; N]) {
        self.worlds.replace(world(&self.folder.path().join("catalogs"), ids));
    }

    /// Products may be found under this condition only.
    pub(super) fn hide_unless(&self, condition: &str) {
        let rules = |text: String| text.replace("may_discover if {", &format!("may_discover if {{\n\t{condition}"));
        self.worlds.replace(world_by(&self.folder.path().join("catalogs"), [], rules));
    }

    /// Days pass.
    pub(super) fn pass(&self, days: i64) {
        *self.now.lock().unwrap() += chrono::TimeDelta::days(days);
    }

    /// Whether a plan of a query with that text is kept.
    pub(super) fn knows(&self, text: &str) -> bool {
        self.engine.knows(text)
    }

    /// From now on no record becomes durable, or all go on again.
    pub(super) fn hold_records(&self, hold: bool) {
        self.records.hold_syncs(hold);
    }

    /// Whether the opening of a statement is written, durable or not.
    pub(super) fn writes_an_opening(&self) -> bool {
        self.records.contents().iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("statement_opened"))
    }

    /// All records; nothing can be recorded afterwards.
    pub(super) async fn records(&self) -> MemoryLog {
        self.audit.close().await.unwrap();
        self.records.clone()
    }

    /// All lineage events.
    pub(super) async fn lineage(&self) -> Vec<serde_json::Value> {
        self.emitter.close().await;
        self.events.0.lock().unwrap().iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }
}

/// The only login that others can ask about.
fn guest() -> Principal {
    let (roles, groups) = Default::default();
    Principal { product: None, name: "guest".to_owned(), roles, groups, is_data_steward: false, attributes: BTreeMap::new() }
}

fn options(now: &Arc<Mutex<DateTime<Utc>>>) -> EngineOptions {
    let now = Arc::clone(now);
    EngineOptions {
        database: "mesh".to_owned(),
        text: TextLimits::default(),
        statement_timeout: Some(Duration::from_secs(60)),
        rows_max: None,
        memory_bytes: 64 << 20,
        remembered_bytes: 1 << 20,
        queries_max: 1,
        idle_session_timeout: Duration::from_secs(60),
        prepared_max: 10,
        portals_max: PORTALS_MAX,
        partitions: 1,
        clock: Arc::new(move || *now.lock().unwrap()),
        notices: true,
        lineage_namespace: "test".to_owned(),
        sql_in_records: true,
        give_back: None,
    }
}

fn world<const N: usize>(catalogs: &Path, erased: [&str; N]) -> World {
    world_by(catalogs, erased, |rules| rules)
}

/// By other rules than those that come with the gateway.
fn world_by<const N: usize>(catalogs: &Path, erased: [&str; N], rules: impl Fn(String) -> String) -> World {
    let (schema, tables) = crate::catalog::mesh::schema().unwrap();
    let snapshot = Arc::new(locator::load(catalogs).unwrap().with_own(schema, tables));
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let files = std::fs::read_dir(policies).unwrap().map(|entry| entry.unwrap().path());
    let of_bundle = files.filter(|path| path.extension().is_some_and(|kind| kind == "rego" || kind == "json"));
    let files = of_bundle
        .map(|path| BundleFile {
            path: path.file_name().unwrap().to_str().unwrap().to_owned(),
            text: rules(std::fs::read_to_string(&path).unwrap()),
        })
        .collect();
    let bundle = Arc::new(Bundle::parse(files).unwrap());
    let bundle_revision = bundle.revision().to_owned();
    let erased = Arc::new(SubjectSet::new(erased.map(str::to_owned)));
    let policy = DecisionPoint::new(bundle, &snapshot.products(), &BTreeMap::new(), erased).unwrap();
    let policy = policy.with_auditors(["auditor".to_owned()]);
    World { snapshot, policy: Arc::new(policy), bundle_revision }
}

/// A session that a test drives as a client with the simple protocol would.
pub(super) struct TestSession {
    pub(super) session: Session,
}

impl TestSession {
    /// Runs a text; the first column of the last result, as text.
    pub(super) async fn rows(&mut self, text: &str) -> Result<Vec<String>, ClientMessage> {
        let outcome = self.run(text).await;
        if outcome.is_err() {
            self.session.fail_transaction();
        }
        self.session.sync();
        outcome
    }

    async fn run(&mut self, text: &str) -> Result<Vec<String>, ClientMessage> {
        let mut rows = Vec::new();
        for statement in self.session.parse(text).await? {
            match self.session.run(&statement).await? {
                Reply::Rows(stream) => rows = first_column(stream).await?,
                Reply::Copy(copy) => rows = first_column(copy.rows).await?,
                Reply::Done(_) | Reply::Empty => {}
            }
        }
        Ok(rows)
    }

    /// Runs one statement; each row as its columns with `|` between them.
    pub(super) async fn lines(&mut self, text: &str) -> Result<Vec<String>, ClientMessage> {
        let statements = self.session.parse(text).await?;
        let Reply::Rows(mut rows) = self.session.run(&statements[0]).await? else { return Ok(Vec::new()) };
        let mut lines = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let columns: Vec<_> =
                batch.columns().iter().map(|column| arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).unwrap()).collect();
            lines.extend((0..batch.num_rows()).map(|row| {
                let cell = |column: &arrow::array::ArrayRef| column.as_string::<i32>().iter().nth(row).flatten().unwrap_or("").to_owned();
                columns.iter().map(cell).collect::<Vec<_>>().join("|")
            }));
        }
        self.session.sync();
        Ok(lines)
    }

    /// Begins a statement and drops it once `is_far_enough`; until then it must wait for something.
    pub(super) async fn drop_midway(&mut self, text: &str, is_far_enough: impl Fn() -> bool) {
        let statements = self.session.parse(text).await.unwrap();
        let mut running = Box::pin(self.session.run(&statements[0]));
        loop {
            assert!(futures::poll!(&mut running).is_pending(), "the statement does not wait");
            if is_far_enough() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(running);
        self.session.sync();
    }

    pub(super) fn status(&self) -> TransactionStatus {
        self.session.transaction_status()
    }
}

async fn first_column(mut rows: RowStream) -> Result<Vec<String>, ClientMessage> {
    let mut values = Vec::new();
    while let Some(batch) = rows.next().await {
        let column = arrow::compute::cast(batch?.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        values.extend(column.as_string::<i32>().iter().map(|value| value.unwrap_or("NULL").to_owned()));
    }
    Ok(values)
}
