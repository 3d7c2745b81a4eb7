//! The catalog as a tree of names: one database, its schemas, their tables.
//!
//! INVARIANT: listing names opens nothing; a port is opened only when a statement names its table.
//! INVARIANT: a name that the principal may not discover answers like one that does not exist.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::error::DataFusionError;

use crate::error::{ClientMessage, SqlState};
use crate::locator::{Located, TableEntry};

use super::facts::SessionFacts;
use super::relations;
use super::table::SystemTable;

/// Opens what a name stands for.
#[async_trait]
pub trait Opener: std::fmt::Debug + Send + Sync {
    /// The table of a product's port. `table_oid` identifies it to clients.
    async fn open(&self, located: &Located, table_oid: u32) -> Result<Arc<dyn TableProvider>, DataFusionError>;
}

/// A further schema beside the domains, such as `mesh`.
pub type ExtraSchema = (String, Arc<dyn SchemaProvider>);

/// The catalog of one session.
#[derive(Debug, Clone)]
pub struct SessionCatalog {
    facts: Arc<SessionFacts>,
    opener: Arc<dyn Opener>,
    extra: Arc<[ExtraSchema]>,
}

impl SessionCatalog {
    /// A catalog over the facts of a session.
    pub fn new(facts: Arc<SessionFacts>, opener: Arc<dyn Opener>, extra: Vec<ExtraSchema>) -> Self {
        Self { facts, opener, extra: extra.into() }
    }

    fn schema_of(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if relations::is_system_schema(name) {
            return Some(Arc::new(SystemSchema { name: name.to_owned(), facts: Arc::clone(&self.facts) }));
        }
        if let Some((_, schema)) = self.extra.iter().find(|(extra, _)| extra == name) {
            return Some(Arc::clone(schema));
        }
        if !self.facts.schema_exists(name) {
            return None;
        }
        Some(Arc::new(DomainSchema { name: name.to_owned(), facts: Arc::clone(&self.facts), opener: Arc::clone(&self.opener) }))
    }
}

impl CatalogProviderList for SessionCatalog {
    fn register_catalog(&self, _name: String, _catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![self.facts.database.clone()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == self.facts.database).then(|| Arc::new(self.clone()) as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for SessionCatalog {
    fn schema_names(&self) -> Vec<String> {
        let known = self.facts.view().schemas.iter().map(|schema| schema.name.clone());
        known.chain(self.extra.iter().map(|(name, _)| name.clone())).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        self.schema_of(name)
    }
}

/// A domain.
#[derive(Debug)]
struct DomainSchema {
    name: String,
    facts: Arc<SessionFacts>,
    opener: Arc<dyn Opener>,
}

impl DomainSchema {
    fn entry(&self, table: &str) -> Option<&TableEntry> {
        self.facts.snapshot.resolve(&self.name, table).filter(|entry| (self.facts.discover)(&entry.located.product))
    }
}

#[async_trait]
impl SchemaProvider for DomainSchema {
    fn table_names(&self) -> Vec<String> {
        self.facts.view().tables.iter().filter(|table| table.schema == self.name).map(|table| table.name.clone()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(entry) = self.entry(name) else { return Ok(None) };
        if entry.located.port.is_none() {
            let product = &entry.located.product.reference;
            let message =
                ClientMessage::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, format!("data product \"{product}\" cannot be queried"))
                    .with_detail("It has no output port that answers queries, or it is proposed or retired.");
            return Err(DataFusionError::External(Box::new(message)));
        }
        self.opener.open(&entry.located, self.facts.table_oid(entry)).await.map(Some)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }
}

/// `pg_catalog` or `information_schema`.
#[derive(Debug)]
struct SystemSchema {
    name: String,
    facts: Arc<SessionFacts>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        relations::all().filter(|relation| relation.schema == self.name).map(|relation| relation.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(relation) = relations::find(&self.name, name) else { return Ok(None) };
        if relation.is_restricted() {
            let kind = if relation.kind == "v" { "view" } else { "table" };
            let message = format!("permission denied for {kind} {name}");
            return Err(DataFusionError::External(Box::new(ClientMessage::new(SqlState::INSUFFICIENT_PRIVILEGE, message))));
        }
        Ok(Some(Arc::new(SystemTable::new(relation, Arc::clone(&self.facts)))))
    }

    fn table_exist(&self, name: &str) -> bool {
        relations::find(&self.name, name).is_some()
    }
}
