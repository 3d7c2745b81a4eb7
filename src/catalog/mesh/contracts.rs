//! The relations over the contracts: products, ports, columns, and what governs them.
//!
//! INVARIANT: a product that the reader may not discover is in none of them. No location, credential or text of a rule is.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::locator::TableEntry;
use crate::product::{Field, FieldName, InputPort, OutputPort, OwnRows, PiiAction, PortAccess, PortKind, Product, Status};

use super::{MeshSources, Relation, Value, batch, dataset_urn, field_urn};

/// What a row is about.
#[derive(Clone, Copy)]
struct Item<'a> {
    sources: &'a MeshSources,
    product: &'a Product,
    port: Option<&'a OutputPort>,
    field: Option<(usize, &'a Field)>,
    rule: Option<&'a Rule>,
    input: Option<&'a Input<'a>>,
}

/// Something that a product is made from; with the field that is read of it, if the contract names any.
struct Input<'a> {
    port: &'a InputPort,
    upstream: Option<&'a Product>,
    field: Option<&'a FieldName>,
}

/// Something that governs a product.
struct Rule {
    kind: &'static str,
    column: Option<String>,
    setting: Option<String>,
}

struct Column {
    name: &'static str,
    data_type: &'static str,
    about: &'static str,
    value: for<'a> fn(&Item<'a>) -> Value,
}

/// What makes one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Each {
    Product,
    Port,
    Field,
    Rule,
    Input,
}

struct ContractRelation {
    name: &'static str,
    about: &'static str,
    each: Each,
    columns: &'static [Column],
}

const fn column(name: &'static str, data_type: &'static str, about: &'static str, value: for<'a> fn(&Item<'a>) -> Value) -> Column {
    Column { name, data_type, about, value }
}

const DOMAIN: Column = column("domain", "string", "the owning domain", |item| item.product.reference.domain.as_str().into());
const PRODUCT: Column = column("product", "string", "the product", |item| item.product.reference.name.as_str().into());
const VERSION: Column = column("version", "string", "its version", |item| item.product.reference.version.to_string().into());

static RELATIONS: [ContractRelation; 5] = [
    ContractRelation { name: "products", about: "the data products that you may discover", each: Each::Product, columns: &PRODUCTS },
    ContractRelation { name: "ports", about: "their output ports", each: Each::Port, columns: &PORTS },
    ContractRelation { name: "columns", about: "their columns", each: Each::Field, columns: &COLUMNS },
    ContractRelation { name: "inputs", about: "what they are made from, by their contracts", each: Each::Input, columns: &INPUTS },
    ContractRelation { name: "policies", about: "what the contracts demand of who reads them", each: Each::Rule, columns: &POLICIES },
];

static PRODUCTS: [Column; 19] = [
    DOMAIN,
    PRODUCT,
    VERSION,
    column("id", "string", "the stable identifier", |item| (&item.product.id).into()),
    column("table_schema", "string", "what it is called in SQL", |item| table(item, default_port(item)).map(|entry| &entry.schema).into()),
    column("table_name", "string", "what it is called in SQL", |item| table(item, default_port(item)).map(|entry| &entry.table).into()),
    column("owner", "string", "the owning team", |item| (&item.product.owner).into()),
    column("oncall", "string", "whom to call", |item| {
        item.sources.facts.snapshot.domain_of(&item.product.reference).and_then(|domain| domain.oncall.as_ref()).into()
    }),
    column("status", "string", "proposed, draft, active, deprecated or retired", |item| status(item.product.status).into()),
    column("description", "string", "in the owner's words", |item| item.product.description.as_ref().into()),
    column("tags", "list<string>", "free tags", |item| item.product.tags.clone().into()),
    column("classification", "string", "public, internal, confidential or restricted", |item| {
        (&item.product.governance.data_classification).into()
    }),
    column("retention_days", "int64", "days that a record may be read", |item| {
        item.product.governance.retention_days.map(i64::from).into()
    }),
    column("erasure", "boolean", "whether erased people's records are hidden", |item| {
        item.product.governance.gdpr_subject_to_erasure.into()
    }),
    column("deprecated_since", "string", "from when it is deprecated", |item| deprecation(item, |it| it.since.clone())),
    column("sunset", "string", "after when it goes away", |item| deprecation(item, |it| it.sunset.clone())),
    column("replaced_by", "string", "what to use instead", |item| deprecation(item, |it| it.replaced_by.clone())),
    column("inputs", "list<string>", "the products that it is made from", |item| {
        item.product.input_ports.iter().map(|input| format!("{}/{}", input.domain, input.product)).collect::<Vec<_>>().into()
    }),
    column("dataset_urn", "string", "its default port as DataHub names it", |item| {
        default_port(item).map(|port| urn(item.product, port)).into()
    }),
];

static PORTS: [Column; 13] = [
    DOMAIN,
    PRODUCT,
    VERSION,
    column("port", "string", "the port", |item| item.port.map(|port| port.name.as_str()).into()),
    column("table_schema", "string", "what it is called in SQL; NULL: it cannot be queried", |item| {
        table(item, item.port).map(|entry| &entry.schema).into()
    }),
    column("table_name", "string", "what it is called in SQL", |item| table(item, item.port).map(|entry| &entry.table).into()),
    column("is_default", "boolean", "whether it answers the product's own name", |item| {
        (item.port.is_some() && item.port.map(|port| &port.name) == default_port(item).map(|port| &port.name)).into()
    }),
    column("kind", "string", "batch, stream or table", |item| item.port.map(|port| kind(port.kind)).into()),
    column("format", "string", "csv, parquet, postgres, or that of a stream", |item| {
        item.port.map(|port| port.format.name().to_owned()).into()
    }),
    column("access", "string", "open or restricted", |item| item.port.map(|port| access(port.access)).into()),
    column("freshness", "string", "promised", |item| item.port.and_then(|port| port.sla.freshness.as_ref()).into()),
    column("uptime", "string", "promised", |item| item.port.and_then(|port| port.sla.uptime.as_ref()).into()),
    column("dataset_urn", "string", "the port as DataHub names it", |item| item.port.map(|port| urn(item.product, port)).into()),
];

static COLUMNS: [Column; 14] = [
    DOMAIN,
    PRODUCT,
    VERSION,
    column("column_name", "string", "the field", |item| item.field.map(|(_, field)| field.name.as_str()).into()),
    column("position", "int64", "from 1", |item| item.field.and_then(|(index, _)| i64::try_from(index + 1).ok()).into()),
    column("data_type", "string", "in the contract's words", |item| item.field.map(|(_, field)| field.data_type.to_string()).into()),
    column("required", "boolean", "never NULL", |item| item.field.map(|(_, field)| field.required).into()),
    column("primary_key", "boolean", "part of the primary key", |item| item.field.map(|(_, field)| field.primary_key).into()),
    column("pii", "boolean", "personal data", |item| {
        item.field.map(|(_, field)| item.product.governance.pii_fields.contains(&field.name)).into()
    }),
    column("mask", "string", "the mask that the contract names", |item| {
        let field = item.field.map(|(_, field)| &field.name);
        let mask = item.product.governance.masks.iter().find(|(name, _)| Some(name) == field);
        mask.map(|(_, mask)| mask.as_str()).into()
    }),
    column("classification", "string", "of the field alone", |item| item.field.and_then(|(_, field)| field.classification.as_ref()).into()),
    column("description", "string", "what it means", |item| item.field.and_then(|(_, field)| field.description.as_ref()).into()),
    column("dataset_urn", "string", "the default port as DataHub names it", |item| {
        default_port(item).map(|port| urn(item.product, port)).into()
    }),
    column("field_urn", "string", "the field as DataHub names it", |item| {
        default_port(item).zip(item.field).map(|(port, (_, field))| field_urn(&urn(item.product, port), field.name.as_str())).into()
    }),
];

static INPUTS: [Column; 10] = [
    DOMAIN,
    PRODUCT,
    VERSION,
    column("input_domain", "string", "the input's domain", |item| item.input.map(|input| input.port.domain.as_str()).into()),
    column("input_product", "string", "the input", |item| item.input.map(|input| input.port.product.as_str()).into()),
    column("input_major", "string", "its major version; NULL: any", |item| {
        item.input.and_then(|input| input.port.major()).map(|major| major.to_string()).into()
    }),
    column("column_name", "string", "a field that is read of it; NULL: the contract names none", |item| {
        item.input.and_then(|input| input.field).map(FieldName::as_str).into()
    }),
    column("promised_seconds", "int64", "the freshness that the product promises", |item| seconds(item.product.freshness_seconds())),
    column("given_seconds", "int64", "the freshness that the input promises", |item| {
        seconds(item.input.and_then(|input| input.upstream).and_then(Product::freshness_seconds))
    }),
    column("dataset_urn", "string", "the input's default port as DataHub names it", |item| {
        let upstream = item.input.and_then(|input| input.upstream);
        upstream.and_then(|upstream| upstream.default_output_port().map(|port| urn(upstream, port))).into()
    }),
];

static POLICIES: [Column; 7] = [
    DOMAIN,
    PRODUCT,
    VERSION,
    column("rule", "string", "retention, erasure, personal_data, mask, restricted_port or package", |item| {
        item.rule.map(|rule| rule.kind).into()
    }),
    column("column_name", "string", "the field that it is about", |item| item.rule.and_then(|rule| rule.column.as_ref()).into()),
    column("setting", "string", "days, what happens, the mask, the port or the package", |item| {
        item.rule.and_then(|rule| rule.setting.as_ref()).into()
    }),
    column("bundle_revision", "string", "the policies in force", |item| (&item.sources.bundle_revision).into()),
];

fn default_port<'a>(item: &Item<'a>) -> Option<&'a OutputPort> {
    item.product.default_output_port()
}

fn urn(product: &Product, port: &OutputPort) -> String {
    dataset_urn(product.reference.domain.as_str(), product.reference.name.as_str(), port.name.as_str())
}

fn seconds(seconds: Option<u64>) -> Value {
    seconds.and_then(|seconds| i64::try_from(seconds).ok()).into()
}

/// The listed name of a port.
fn table<'a>(item: &Item<'a>, port: Option<&OutputPort>) -> Option<&'a TableEntry> {
    let port = &port?.name;
    item.sources.facts.snapshot.tables().find(|entry| {
        entry.listed && entry.located.port.as_ref() == Some(port) && entry.located.product.reference == item.product.reference
    })
}

fn deprecation(item: &Item<'_>, of: impl Fn(&crate::product::Deprecation) -> Option<String>) -> Value {
    item.product.deprecation.as_ref().and_then(of).into()
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Proposed => "proposed",
        Status::Draft => "draft",
        Status::Active => "active",
        Status::Deprecated => "deprecated",
        Status::Retired => "retired",
    }
}

fn kind(kind: PortKind) -> &'static str {
    match kind {
        PortKind::Batch => "batch",
        PortKind::Stream => "stream",
        PortKind::Table => "table",
    }
}

fn access(access: PortAccess) -> &'static str {
    match access {
        PortAccess::Open => "open",
        PortAccess::Restricted => "restricted",
    }
}

/// What a contract demands.
fn rules(product: &Product) -> Vec<Rule> {
    let governance = &product.governance;
    let mut rules = Vec::new();
    if let Some(days) = governance.retention_days {
        let column = governance.retention_column.as_ref().map(ToString::to_string);
        rules.push(Rule { kind: "retention", column, setting: Some(days.to_string()) });
    }
    if governance.gdpr_subject_to_erasure {
        rules.push(Rule { kind: "erasure", column: governance.subject_column.as_ref().map(ToString::to_string), setting: None });
    }
    let action = match governance.pii_action {
        PiiAction::Deny => "deny",
        PiiAction::Mask => "mask",
    };
    let personal = governance.pii_fields.iter();
    rules.extend(personal.map(|field| Rule { kind: "personal_data", column: Some(field.to_string()), setting: Some(action.to_owned()) }));
    let masks = governance.masks.iter();
    rules.extend(masks.map(|(field, mask)| Rule {
        kind: "mask",
        column: Some(field.to_string()),
        setting: Some(mask.as_str().to_owned()),
    }));
    let restricted = product.output_ports.iter().filter(|port| port.access == PortAccess::Restricted);
    rules.extend(restricted.map(|port| Rule { kind: "restricted_port", column: None, setting: Some(port.name.to_string()) }));
    rules.extend(governance.access_policy.iter().map(|package| Rule { kind: "package", column: None, setting: Some(package.clone()) }));
    rules
}

/// The relations as the schema lists them.
pub(super) fn relations() -> Vec<Relation> {
    let described = |relation: &ContractRelation| Relation {
        name: relation.name,
        about: relation.about,
        port: "contracts",
        rows: OwnRows::OfReader,
        columns: relation.columns.iter().map(|column| (column.name, column.data_type, column.about)).collect(),
    };
    RELATIONS.iter().map(described).collect()
}

/// The rows of one of them.
pub(super) fn source(name: &str, schema: &SchemaRef, sources: &MeshSources) -> Option<Arc<dyn TableProvider>> {
    let relation = RELATIONS.iter().find(|relation| relation.name == name)?;
    Some(Arc::new(ContractTable { relation, schema: Arc::clone(schema), sources: sources.clone() }))
}

/// A relation over the contracts.
struct ContractTable {
    relation: &'static ContractRelation,
    schema: SchemaRef,
    sources: MeshSources,
}

impl std::fmt::Debug for ContractTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContractTable").field("name", &self.relation.name).finish_non_exhaustive()
    }
}

impl ContractTable {
    fn shows(&self, product: &Product) -> bool {
        self.sources.sees_all || (self.sources.facts.discover)(product)
    }

    fn cells(&self, chosen: &[&Column]) -> (Vec<Vec<Value>>, usize) {
        let mut cells: Vec<Vec<Value>> = chosen.iter().map(|_| Vec::new()).collect();
        let mut count = 0;
        let mut push = |item: &Item<'_>| {
            cells.iter_mut().zip(chosen).for_each(|(cells, column)| cells.push((column.value)(item)));
            count += 1;
        };
        let facts = &self.sources.facts;
        let products = facts.snapshot.products();
        for product in products.iter().filter(|product| self.shows(product)) {
            let item = Item { sources: &self.sources, product, port: None, field: None, rule: None, input: None };
            match self.relation.each {
                Each::Product => push(&item),
                Each::Port => product.output_ports.iter().for_each(|port| push(&Item { port: Some(port), ..item })),
                Each::Field => {
                    let fields = product.schema.as_deref().unwrap_or_default().iter().enumerate();
                    fields.for_each(|field| push(&Item { field: Some(field), ..item }));
                }
                Each::Rule => rules(product).iter().for_each(|rule| push(&Item { rule: Some(rule), ..item })),
                Each::Input => {
                    for port in &product.input_ports {
                        let upstream = port.of(&products).map(AsRef::as_ref);
                        if upstream.is_some_and(|upstream| !self.shows(upstream)) {
                            continue;
                        }
                        if port.fields.is_empty() {
                            push(&Item { input: Some(&Input { port, upstream, field: None }), ..item });
                        }
                        let fields = port.fields.iter();
                        fields.for_each(|field| push(&Item { input: Some(&Input { port, upstream, field: Some(field) }), ..item }));
                    }
                }
            }
        }
        (cells, count)
    }
}

#[async_trait]
impl TableProvider for ContractTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let columns: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.relation.columns.len()).collect());
        let chosen: Vec<&Column> = columns.iter().filter_map(|index| self.relation.columns.get(*index)).collect();
        let schema: SchemaRef = Arc::new(self.schema.project(&columns)?);
        let (cells, count) = self.cells(&chosen);
        let rows = batch(&schema, cells, count)?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![rows]], schema, None)?)
    }
}
