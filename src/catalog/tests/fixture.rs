//! Three domains, four products, one of them hidden from the principal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;

use crate::catalog::facts::{Held, OpenCursor, PreparedStatement, SessionFacts, Setting, Settings};
use crate::catalog::schemas::Opener;
use crate::error::{ClientMessage, SqlState};
use crate::identity::Principal;
use crate::locator::{Domain, Located, Snapshot, TableEntry};
use crate::product::*;

#[derive(Debug)]
struct Fixed;

/// A session that holds nothing.
struct Nothing;

impl Held for Nothing {
    fn cursors(&self) -> Vec<OpenCursor> {
        Vec::new()
    }

    fn prepared(&self) -> Vec<PreparedStatement> {
        Vec::new()
    }
}

impl Settings for Fixed {
    fn value(&self, name: &str) -> Option<String> {
        self.all().into_iter().find(|setting| setting.name.eq_ignore_ascii_case(name)).map(|setting| setting.value)
    }

    fn all(&self) -> Vec<Setting> {
        let setting = |name: &str, value: &str| Setting {
            name: name.into(),
            value: value.into(),
            description: "A setting.".into(),
            kind: "string",
            unit: None,
            bounds: None,
            words: Vec::new(),
            context: "user",
            source: "default",
            default: value.into(),
            reset: value.into(),
        };
        vec![setting("search_path", "\"$user\", public"), setting("server_version", "15.8"), setting("server_version_num", "150008")]
    }

    fn set(&self, name: &str, value: &str, _local: bool) -> Result<String, ClientMessage> {
        if name == "is_superuser" {
            return Err(ClientMessage::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, "parameter \"is_superuser\" cannot be changed"));
        }
        Ok(value.to_owned())
    }
}

fn field(name: &str, data_type: DataType, primary_key: bool) -> Field {
    Field {
        name: FieldName::parse(name).unwrap(),
        physical_name: None,
        data_type,
        required: primary_key,
        primary_key,
        classification: None,
        description: Some(format!("the {name}")),
    }
}

fn product(domain: &str, name: &str, fields: Vec<Field>) -> Arc<Product> {
    let port = OutputPort {
        name: PortName::parse("files").unwrap(),
        kind: PortKind::Batch,
        format: PortFormat::Parquet,
        location: "data/x.parquet".into(),
        partitioning: None,
        credentials: None,
        tls: crate::product::ServerTls::default(),
        encryption: None,
        access: PortAccess::Open,
        sla: Sla { freshness: Some("< 1 hour".into()), uptime: None },
    };
    Arc::new(Product {
        reference: ProductRef {
            domain: DomainName::parse(domain).unwrap(),
            name: ProductName::parse(name).unwrap(),
            version: Version { major: 1, minor: 0, patch: 0 },
        },
        id: format!("urn:dp:{domain}:{name}"),
        owner: format!("{domain}-team"),
        description: Some(format!("All of {name}.")),
        tags: Vec::new(),
        status: Status::Active,
        deprecation: None,
        output_ports: vec![port],
        default_port: Some(0),
        input_ports: Vec::new(),
        quality_checks: Vec::new(),
        schema: Some(fields.into()),
        governance: Governance { pii_fields: vec![FieldName::parse("email").unwrap()], ..Governance::default() },
        timezone: "UTC".into(),
    })
}

fn entries(product: &Arc<Product>) -> Vec<TableEntry> {
    let located = Located { product: Arc::clone(product), port: Some(PortName::parse("files").unwrap()) };
    let entry = |table: String, listed| TableEntry { schema: product.reference.domain.to_sql(), table, located: located.clone(), listed };
    let mut entries = vec![entry(product.reference.name.to_sql(), true)];
    if product.reference.name.as_str() != product.reference.name.to_sql() {
        entries.push(entry(product.reference.name.as_str().to_owned(), false));
    }
    entries
}

/// The snapshot.
pub(crate) fn snapshot() -> Arc<Snapshot> {
    let decimal = DataType::Decimal { precision: 12, scale: 2 };
    let products = [
        product(
            "customer",
            "customer-360",
            vec![
                field("customer_id", DataType::Int64, true),
                field("email", DataType::Varchar(120), false),
                field("tier", DataType::String, false),
            ],
        ),
        product("payments", "transactions", vec![field("id", DataType::Uuid, true), field("amount", decimal, false)]),
        product("payments", "hidden-ledger", vec![field("id", DataType::Int64, true)]),
        product("logistics", "shipments", vec![field("tags", DataType::List(Box::new(DataType::String)), false)]),
    ];
    let domain = |name: &str| Domain {
        name: DomainName::parse(name).unwrap(),
        schema: name.to_owned(),
        owner_team: format!("{name}-team"),
        oncall: None,
        retention_days: None,
    };
    Arc::new(Snapshot::new("r1".into(), ["customer", "payments", "logistics"].map(domain), products.iter().flat_map(entries)))
}

/// What the principal `analyst` knows.
pub(crate) fn facts() -> Arc<SessionFacts> {
    Arc::new(SessionFacts {
        database: "mesh".into(),
        principal: Arc::new(Principal {
            product: None,
            name: "analyst".into(),
            roles: BTreeSet::new(),
            groups: BTreeSet::new(),
            is_data_steward: false,
            attributes: BTreeMap::new(),
        }),
        snapshot: snapshot(),
        discover: Arc::new(|product| product.reference.name.as_str() != "hidden-ledger"),
        backend_pid: 42,
        server_version: "15.8".into(),
        server_started_micros: 1,
        statement: "SELECT 1".to_owned(),
        session_started_micros: 2,
        statement_started_micros: 3,
        client_address: None,
        connection: Arc::default(),
        settings: Arc::new(Fixed),
        held: Arc::new(Nothing),
        view: OnceLock::new(),
    })
}

/// Opens an empty table, and only for the products that a test names.
#[derive(Debug)]
pub(crate) struct Empty;

#[async_trait]
impl Opener for Empty {
    async fn open(&self, _located: &Located, _table_oid: u32) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        Ok(Arc::new(EmptyTable::new(Arc::new(arrow::datatypes::Schema::empty()))))
    }
}
