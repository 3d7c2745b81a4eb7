//! What the tests of ports share: contracts, files, and scans without a pipeline.

mod faults;
mod parquet_kinds;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider;
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;

pub(crate) use super::postgres::fixture::Database;
use super::{Error, Place, PortOptions, Ports};
use crate::error::{ClientError, ClientMessage};
use crate::product::{
    CredentialsRef, DataType, DomainName, Field, FieldName, Governance, OutputPort, PortAccess, PortFormat, PortKind, PortName, Product,
    ProductName, ProductRef, Sla, Status, Version,
};

/// A port to complain about.
pub(crate) fn place() -> Place {
    let version = Version { major: 1, minor: 0, patch: 0 };
    let product = ProductRef { domain: DomainName::parse("shop").unwrap(), name: ProductName::parse("orders").unwrap(), version };
    Place::new(product, PortName::parse("main").unwrap())
}

/// A column of a contract.
pub(crate) fn field(name: &str, data_type: DataType) -> Field {
    Field {
        name: FieldName::parse(name).unwrap(),
        physical_name: None,
        data_type,
        required: false,
        primary_key: false,
        classification: None,
        description: None,
    }
}

/// A product with one port.
pub(crate) fn product(format: PortFormat, location: &str, schema: Option<Vec<Field>>) -> Product {
    let place = place();
    let port = OutputPort {
        name: place.port().clone(),
        kind: PortKind::Batch,
        format,
        location: location.to_owned(),
        partitioning: None,
        credentials: Some(CredentialsRef::File("login".to_owned())),
        tls: crate::product::ServerTls::default(),
        encryption: None,
        access: PortAccess::Open,
        sla: Sla::default(),
    };
    Product {
        reference: place.product().clone(),
        id: "urn:dp:shop:orders".to_owned(),
        owner: "shop".to_owned(),
        description: None,
        tags: vec![],
        status: Status::Active,
        deprecation: None,
        output_ports: vec![port],
        default_port: Some(0),
        input_ports: vec![],
        quality_checks: vec![],
        schema: schema.map(Into::into),
        governance: Governance::default(),
        timezone: "UTC".to_owned(),
    }
}

/// Ports over one folder, for data and credentials alike.
pub(crate) fn ports(folder: &std::path::Path, parquet_pushdown: bool) -> Ports {
    let root = folder.to_owned();
    let parquet_pushdown = Some(parquet_pushdown);
    Ports::new(PortOptions { data_root: root.clone(), credentials_root: Some(root), parquet_pushdown, ..PortOptions::default() })
}

/// Opens the product's one port.
pub(crate) async fn open(ports: &Ports, product: &Product) -> Result<Arc<dyn TableProvider>, Error> {
    ports.open(product, &product.output_ports[0]).await
}

/// What a scan is asked for.
#[derive(Default, Clone)]
pub(super) struct Ask {
    pub(super) projection: Option<Vec<usize>>,
    pub(super) filter: Option<Expr>,
    /// Offer the filter to the port, as the engine would.
    pub(super) push: bool,
    pub(super) limit: Option<usize>,
}

/// Scans a table; what the port does not test exactly is tested above it.
pub(super) async fn scan(table: &Arc<dyn TableProvider>, ask: &Ask) -> Result<Vec<RecordBatch>> {
    let context = SessionContext::new();
    let state = context.state();
    let mut pushed = Vec::new();
    let mut above = ask.filter.clone();
    if let Some(filter) = ask.filter.as_ref().filter(|_| ask.push) {
        match table.supports_filters_pushdown(&[filter])?[0] {
            TableProviderFilterPushDown::Unsupported => {}
            TableProviderFilterPushDown::Inexact => pushed.push(filter.clone()),
            TableProviderFilterPushDown::Exact => {
                pushed.push(filter.clone());
                above = None;
            }
        }
    }
    let mut plan = table.scan(&state, ask.projection.as_ref(), &pushed, ask.limit).await?;
    if let Some(filter) = above {
        let schema = DFSchema::try_from(table.schema())?;
        let predicate = state.create_physical_expr(filter, &schema)?;
        plan = Arc::new(FilterExec::try_new(predicate, plan)?) as Arc<dyn ExecutionPlan>;
    }
    let expected = plan.schema();
    let batches = run(plan, &context).await?;
    assert!(batches.iter().all(|batch| batch.schema() == expected), "a batch does not have its plan's schema");
    Ok(batches)
}

/// What a plan answers.
pub(super) async fn run(plan: Arc<dyn ExecutionPlan>, context: &SessionContext) -> Result<Vec<RecordBatch>> {
    datafusion::physical_plan::execute_stream(plan, context.task_ctx())?.try_collect().await
}

/// Rows as sorted texts.
pub(super) fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    rows.sort();
    rows
}

/// All rows of a product's port as sorted texts.
pub(super) async fn rows(ports: &Ports, product: &Product) -> Result<Vec<String>> {
    let table = open(ports, product).await?;
    Ok(texts(&scan(&table, &Ask::default()).await?))
}

/// What a client is told of a failing scan: code and text.
pub(super) async fn refusal(ports: &Ports, product: &Product) -> (String, String) {
    let error = rows(ports, product).await.expect_err("the scan should fail");
    message(&error)
}

/// Code and text of a port's error.
pub(crate) fn message(error: &DataFusionError) -> (String, String) {
    let error = Error::find(error).unwrap_or_else(|| panic!("not an error of a port: {error}"));
    let message = ClientMessage::from(error);
    (error.sqlstate().as_str().to_owned(), message.message)
}

/// Writes one batch as a Parquet file of small row groups.
pub(super) fn write_parquet(path: &std::path::Path, batch: &RecordBatch) {
    let properties = datafusion::parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(64)).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = datafusion::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// The schema of a table as its contract says.
pub(super) fn contract_schema(product: &Product) -> SchemaRef {
    super::arrow_schema(product.schema.as_deref().unwrap())
}
