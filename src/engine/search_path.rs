//! Names without a schema: looked up in `pg_catalog`, then along the session's search path.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::DataFusionError;

/// The planner's default schema. No client can write this name, and it is in no list.
pub(super) const PATH_SCHEMA: &str = "\u{1}search_path";

/// A schema that stands for the search path.
#[derive(Debug)]
pub(super) struct PathSchema {
    catalog: Arc<dyn CatalogProvider>,
    path: Vec<String>,
}

impl PathSchema {
    /// Looks along `path` in `catalog`; `pg_catalog` comes first unless the path names it.
    pub(super) fn new(catalog: Arc<dyn CatalogProvider>, mut path: Vec<String>) -> Self {
        if !path.iter().any(|name| name == "pg_catalog") {
            path.insert(0, "pg_catalog".to_owned());
        }
        Self { catalog, path }
    }

    fn holder(&self, table: &str) -> Option<Arc<dyn SchemaProvider>> {
        self.path.iter().filter_map(|name| self.catalog.schema(name)).find(|schema| schema.table_exist(table))
    }
}

#[async_trait]
impl SchemaProvider for PathSchema {
    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match self.holder(name) {
            Some(schema) => schema.table(name).await,
            None => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.holder(name).is_some()
    }
}
