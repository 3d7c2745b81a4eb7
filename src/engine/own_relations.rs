//! The gateway's own relations as a statement reads them: sources to be governed, and views to be planned into it.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;

use crate::catalog::mesh::{self, MeshSources};
use crate::catalog::{Opener, SessionCatalog};
use crate::error::{ClientMessage, SqlState};
use crate::locator::Located;
use crate::ports::{self, Ports};
use crate::product::Product;

use super::opener::{PortOpener, external};
use super::sql::{self, TextLimits};

/// What the relations of one statement are made from.
#[derive(Clone)]
pub(super) struct OwnRelations {
    pub(super) sources: MeshSources,
    /// The state that views are planned with.
    pub(super) template: Arc<dyn Fn() -> SessionState + Send + Sync>,
}

impl std::fmt::Debug for OwnRelations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnRelations").finish_non_exhaustive()
    }
}

impl OwnRelations {
    /// Where the rows of a relation come from.
    pub(super) fn source(&self, product: &Product) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let schema = ports::arrow_schema(product.schema.as_deref().unwrap_or_default());
        mesh::source(product.reference.name.as_str(), schema, &self.sources).ok_or_else(|| unknown(product))
    }

    /// A view: its plan becomes a part of the statement's, and nothing is read yet.
    pub(super) async fn view(&self, located: &Located, ports: &Arc<Ports>) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let name = located.product.reference.name.as_str();
        let text = mesh::view(name).ok_or_else(|| unknown(&located.product))?;
        let query = sql::parse_text(text, &TextLimits::default()).and_then(|parsed| parsed).map_err(external)?;
        let facts = Arc::clone(&self.sources.facts);
        let mut state = (self.template)();
        let options = state.config_mut().options_mut();
        options.catalog.default_catalog.clone_from(&facts.database);
        let opener = Arc::new(PortOpener::new(Arc::clone(ports), self.clone()));
        state.register_catalog_list(Arc::new(SessionCatalog::new(facts, opener as Arc<dyn Opener>, Vec::new())));
        let plan = state.statement_to_plan(query.ast.as_ref().clone()).await?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

fn unknown(product: &Product) -> DataFusionError {
    let text = format!("the relation \"{}\" has no source", product.reference);
    external(ClientMessage::new(SqlState::INTERNAL_ERROR, text))
}
