//! A small pipeline for the tests of this module: SQL over two worlds that differ only in what must stay hidden.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use datafusion::arrow::array::{Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::TableProvider;
use datafusion::common::JoinType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext, col, lit};
use futures::TryStreamExt;

use crate::policy::{Decision, DecisionId, Obligations, Outcome, Question};
use crate::ports::tests::Database;
use crate::product::{DomainName, FieldName, Governance, PortName, Product, ProductName, ProductRef, Status, Version};
use crate::{ports, product};

use super::absorption::absorb_where;
use super::joined::{self, Worth};
use super::{Error, GovernedTable, ProductUse, explain_above_barrier, govern, observe, row_filter, verify};

pub(super) fn field_name(name: &str) -> FieldName {
    FieldName::parse(name).unwrap()
}

pub(super) fn product(name: &str) -> Arc<Product> {
    Arc::new(Product {
        reference: ProductRef {
            domain: DomainName::parse("hr").unwrap(),
            name: ProductName::parse(name).unwrap(),
            version: Version { major: 1, minor: 0, patch: 0 },
        },
        id: format!("urn:dp:hr:{name}"),
        owner: "hr-team".to_owned(),
        description: None,
        tags: Vec::new(),
        status: Status::Active,
        deprecation: None,
        output_ports: Vec::new(),
        default_port: None,
        input_ports: Vec::new(),
        quality_checks: Vec::new(),
        schema: None,
        governance: Governance::default(),
        timezone: "UTC".to_owned(),
    })
}

pub(super) fn decision(usage: &ProductUse, outcome: Outcome) -> Arc<Decision> {
    Arc::new(Decision {
        id: DecisionId(uuid::Uuid::new_v4()),
        product: usage.product.reference.clone(),
        port: usage.port.clone(),
        fields: usage.fields.iter().map(|field| field.name.clone()).collect(),
        outcome,
        bundle_revision: "test".into(),
        rules: [].into(),
        input: Question::default(),
        result: Arc::default(),
    })
}

/// Where the rows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Memory,
    Csv,
    Parquet {
        pushdown: bool,
    },
    /// A table of the server that `MESHGATE_TEST_POSTGRES` names.
    Postgres,
}

/// All places that can be had here.
pub(super) fn places() -> Vec<Place> {
    let mut places = vec![Place::Memory, Place::Csv, Place::Parquet { pushdown: false }, Place::Parquet { pushdown: true }];
    places.extend(postgres());
    places
}

/// The server of the tests, if the environment names one.
pub(super) fn postgres() -> Option<Place> {
    std::env::var_os("MESHGATE_TEST_POSTGRES").map(|_| Place::Postgres)
}

/// A row of the product `people`.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) id: i64,
    pub(super) full_name: String,
    pub(super) salary: i64,
    pub(super) bucket: i64,
    pub(super) dept: String,
    pub(super) created_us: i64,
}

pub(super) fn people_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("full_name", DataType::Utf8View, true),
        Field::new("salary", DataType::Int64, true),
        Field::new("bucket", DataType::Int64, true),
        Field::new("dept", DataType::Utf8View, true),
        Field::new("created", DataType::Timestamp(TimeUnit::Microsecond, None), true),
    ]))
}

fn batches(people: &[Person]) -> Vec<RecordBatch> {
    let batch = |people: &[Person]| {
        RecordBatch::try_new(
            people_schema(),
            vec![
                Arc::new(people.iter().map(|person| person.id).collect::<Int64Array>()),
                Arc::new(people.iter().map(|person| Some(person.full_name.as_str())).collect::<StringViewArray>()),
                Arc::new(people.iter().map(|person| person.salary).collect::<Int64Array>()),
                Arc::new(people.iter().map(|person| person.bucket).collect::<Int64Array>()),
                Arc::new(people.iter().map(|person| Some(person.dept.as_str())).collect::<StringViewArray>()),
                Arc::new(TimestampMicrosecondArray::from_iter_values(people.iter().map(|person| person.created_us))),
            ],
        )
        .unwrap()
    };
    people.chunks(700).map(batch).collect()
}

fn write_csv(people: &[Person], path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    writeln!(file, "id,full_name,salary,bucket,dept,created").unwrap();
    for person in people {
        let created = chrono::DateTime::from_timestamp_micros(person.created_us).unwrap().format("%Y-%m-%dT%H:%M:%S%.6f");
        let Person { id, full_name, salary, bucket, dept, .. } = person;
        writeln!(file, "{id},{full_name},{salary},{bucket},{dept},{created}").unwrap();
    }
}

fn write_parquet(people: &[Person], path: &Path) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(1_000)).build();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), people_schema(), Some(properties)).unwrap();
    batches(people).iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
}

/// A table of these rows at the server, through the port that reads it.
async fn postgres_table(people: &[Person], folder: &Path) -> Arc<dyn TableProvider> {
    static TABLES: AtomicU32 = AtomicU32::new(0);
    let name = format!("people_{}", TABLES.fetch_add(1, Ordering::Relaxed));
    let database = Database::from_environment().await.unwrap();
    let row = |person: &Person| {
        let created = chrono::DateTime::from_timestamp_micros(person.created_us).unwrap().format("%Y-%m-%d %H:%M:%S%.6f").to_string();
        let Person { id, full_name, salary, bucket, dept, .. } = person.clone();
        [id.to_string(), full_name, salary.to_string(), bucket.to_string(), dept, created].map(Some).to_vec()
    };
    let rows: Vec<_> = people.iter().map(row).collect();
    database.create(&name, "id int8, full_name text, salary int8, bucket int8, dept text, created timestamp", &rows).await;
    std::fs::write(folder.join("login"), database.login()).unwrap();
    let fields = [
        ("id", product::DataType::Int64),
        ("full_name", product::DataType::String),
        ("salary", product::DataType::Int64),
        ("bucket", product::DataType::Int64),
        ("dept", product::DataType::String),
        ("created", product::DataType::Timestamp),
    ];
    let contract = fields.map(|(name, data_type)| ports::tests::field(name, data_type)).to_vec();
    let product = ports::tests::product(product::PortFormat::Postgres, &database.location(&name), Some(contract));
    ports::tests::open(&ports::tests::ports(folder, false), &product).await.unwrap()
}

/// So many partitions, and what goes with the place.
fn config(place: Place, partitions: usize) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(partitions);
    config.options_mut().optimizer.repartition_file_min_size = 0;
    if let Place::Parquet { pushdown: true } = place {
        config.options_mut().execution.parquet.pushdown_filters = true;
        config.options_mut().execution.parquet.reorder_filters = true;
    }
    config
}

/// What barriers absorb as a rule, and joins where they are worth it.
#[derive(Debug)]
struct Absorbs(Worth);

impl PhysicalOptimizerRule for Absorbs {
    fn name(&self) -> &str {
        "absorbs"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        absorb_where(plan, self.0)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What is decided on the product of a name.
pub(super) type Deciding<'a> = dyn Fn(&str) -> Outcome + Sync + 'a;

/// A session over one world.
pub(super) struct World {
    context: SessionContext,
    _folder: tempfile::TempDir,
}

impl World {
    /// The tables `people` and `colleagues` (two products over the same rows).
    pub(super) async fn new(place: Place, people: &[Person], partitions: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source: Arc<dyn TableProvider> = match place {
            Place::Memory => Arc::new(MemTable::try_new(people_schema(), vec![batches(people)]).unwrap()),
            Place::Csv => {
                let path = folder.path().join("people.csv");
                write_csv(people, &path);
                listing(&path, ListingOptions::new(Arc::new(CsvFormat::default())).with_file_extension(".csv"))
            }
            Place::Parquet { .. } => {
                let path = folder.path().join("people.parquet");
                write_parquet(people, &path);
                listing(&path, ListingOptions::new(Arc::new(ParquetFormat::default())))
            }
            Place::Postgres => postgres_table(people, folder.path()).await,
        };
        Self::over(&source, config(place, partitions), folder)
    }

    /// The same two tables over any source; what the source needs is in the folder.
    pub(super) fn over(source: &Arc<dyn TableProvider>, config: SessionConfig, folder: tempfile::TempDir) -> Self {
        Self::joining(source, config, folder, joined::is_much_less)
    }

    /// The same, where sources join whatever is worth it.
    pub(super) fn joining(source: &Arc<dyn TableProvider>, config: SessionConfig, folder: tempfile::TempDir, worth: Worth) -> Self {
        let mut rules = PhysicalOptimizer::new().rules;
        rules.insert(0, Arc::new(Absorbs(worth)));
        let builder = SessionStateBuilder::new().with_default_features().with_config(config);
        let context = SessionContext::new_with_state(builder.with_physical_optimizer_rules(rules).build());
        for (oid, name) in [(1, "people"), (2, "colleagues")] {
            let table = GovernedTable::undecided(product(name), PortName::parse("batch").unwrap(), Arc::clone(source), oid);
            context.register_table(name, Arc::new(table)).unwrap();
        }
        Self { context, _folder: folder }
    }

    /// The batches of a plan.
    pub(super) async fn batches(&self, physical: Arc<dyn ExecutionPlan>) -> Result<Vec<RecordBatch>> {
        execute_stream(physical, self.context.task_ctx())?.try_collect().await
    }

    pub(super) fn state(&self) -> SessionState {
        self.context.state()
    }

    pub(super) async fn analyzed(&self, sql: &str) -> Result<LogicalPlan> {
        let state = self.state();
        let plan = state.create_logical_plan(sql).await?;
        state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})
    }

    /// The governed, optimized plan, and the decisions.
    pub(super) async fn governed(&self, sql: &str, outcome: &Outcome) -> Result<(LogicalPlan, Vec<Arc<Decision>>)> {
        self.governed_by(sql, &|_| outcome.clone()).await
    }

    /// The same with what is decided on each product by its name.
    pub(super) async fn governed_by(&self, sql: &str, outcome: &Deciding<'_>) -> Result<(LogicalPlan, Vec<Arc<Decision>>)> {
        let state = self.state();
        let analyzed = self.analyzed(sql).await?;
        let outcome = |usage: &ProductUse| outcome(usage.product.reference.name.as_str());
        let decisions: Vec<_> = observe(&analyzed)?.iter().map(|usage| decision(usage, outcome(usage))).collect();
        let governed = govern(analyzed, &decisions)?;
        Ok((state.optimizer().optimize(governed, &state, |_, _| {})?, decisions))
    }

    pub(super) async fn physical(&self, sql: &str, outcome: &Outcome) -> Result<Arc<dyn ExecutionPlan>> {
        self.physical_by(sql, &|_| outcome.clone()).await
    }

    /// The same with what is decided on each product by its name.
    pub(super) async fn physical_by(&self, sql: &str, outcome: &Deciding<'_>) -> Result<Arc<dyn ExecutionPlan>> {
        let state = self.state();
        let (optimized, decisions) = self.governed_by(sql, outcome).await?;
        let physical = state.query_planner().create_physical_plan(&optimized, &state).await?;
        verify(&physical, &decisions)?;
        Ok(physical)
    }

    /// What a plan answers, as a table.
    pub(super) async fn run(&self, physical: Arc<dyn ExecutionPlan>) -> Result<String> {
        let batches: Vec<RecordBatch> = execute_stream(physical, self.context.task_ctx())?.try_collect().await?;
        Ok(pretty_format_batches(&batches)?.to_string())
    }

    /// The answer through the whole pipeline, or the text of its error.
    pub(super) async fn answer(&self, sql: &str, obligations: &Obligations) -> Result<String, String> {
        let outcome = Outcome::Allow(obligations.clone());
        let answer = async { self.run(self.physical(sql, &outcome).await?).await };
        answer.await.map_err(|error| error.to_string())
    }

    /// What EXPLAIN shows.
    pub(super) async fn explained(&self, sql: &str, obligations: &Obligations) -> Result<Vec<String>, String> {
        let governed = self.governed(sql, &Outcome::Allow(obligations.clone())).await;
        governed.map(|(plan, _)| explain_above_barrier(&plan, &[]).to_lines("")).map_err(|error| error.to_string())
    }

    /// The answer with the policy as a filter in the plan: what the barrier is there to replace.
    pub(super) async fn answer_without_barrier(&self, sql: &str, obligations: &Obligations) -> Result<String, String> {
        let answer = async {
            let state = self.state();
            let filtered = self.analyzed(sql).await?.transform_up_with_subqueries(|node| match node {
                LogicalPlan::TableScan(scan) => {
                    let Some(table) = GovernedTable::of_scan(&scan) else {
                        return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
                    };
                    let filter = row_filter::compile(&obligations.row_filter, &table.source().schema()).unwrap();
                    let source = provider_as_source(Arc::clone(table.source()));
                    let mut plan = LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?.filter(filter)?;
                    if let Some(exclusion) = &obligations.exclusion {
                        let key = col("column1").eq(col(exclusion.column.as_str()));
                        plan = plan.join_on(erased(exclusion)?, JoinType::LeftAnti, [key])?;
                    }
                    Ok(Transformed::yes(plan.build()?))
                }
                other => Ok(Transformed::no(other)),
            })?;
            let optimized = state.optimizer().optimize(filtered.data, &state, |_, _| {})?;
            self.run(state.query_planner().create_physical_plan(&optimized, &state).await?).await
        };
        answer.await.map_err(|error: datafusion::error::DataFusionError| error.to_string())
    }
}

fn erased(exclusion: &crate::policy::Exclusion) -> Result<LogicalPlan> {
    let rows = exclusion.subjects.iter().map(|id| vec![lit(id.parse::<i64>().unwrap())]).collect();
    LogicalPlanBuilder::values(rows)?.build()
}

fn listing(path: &Path, options: ListingOptions) -> Arc<dyn TableProvider> {
    let url = ListingTableUrl::parse(path.to_str().unwrap()).unwrap();
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(people_schema());
    Arc::new(ListingTable::try_new(config).unwrap())
}

/// The variant of an error that came through DataFusion.
pub(super) fn as_error(error: &datafusion::error::DataFusionError) -> Option<&Error> {
    match error.find_root() {
        datafusion::error::DataFusionError::External(inner) => inner.downcast_ref(),
        _ => None,
    }
}
