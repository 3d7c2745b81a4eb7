//! The planner's state for one statement, and the step from a tree to a logical plan.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::{FunctionRegistry as _, SessionState};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement as Ast;

use crate::catalog::mesh::MeshSources;
use crate::catalog::system::CatalogQuery;
use crate::catalog::{ExtraSchema, PgType, SessionCatalog, SessionFacts, functions};
use crate::error::{ClientMessage, SqlState};

use super::opener::PortOpener;
use super::own_relations::OwnRelations;
use super::pipeline::Pipeline;
use super::search_path::{PATH_SCHEMA, PathSchema};
use super::sql::{self, Analysis, Query};
use super::values::Given;
use super::{advisory, fault, semantics, signals};

/// Plans one statement.
pub(super) struct Planner {
    /// A state of its own: its catalog, its functions, its clock and time zone.
    pub(super) state: SessionState,
    facts: Arc<SessionFacts>,
    opener: Arc<PortOpener>,
    /// The types of parameters that are known.
    parameters: Vec<Option<PgType>>,
}

impl Planner {
    /// A planner for the statement of this pipeline.
    pub(super) fn new(pipeline: &Pipeline) -> Result<Self, ClientMessage> {
        let mut state = pipeline.shared.template.clone();
        let opener = Arc::new(PortOpener::new(Arc::clone(&pipeline.shared.ports), own_relations(pipeline)));
        let plain = SessionCatalog::new(Arc::clone(pipeline.facts()), Arc::clone(&opener) as _, Vec::new());
        let path = PathSchema::new(Arc::new(plain), pipeline.facts().search_path());
        let extra: Vec<ExtraSchema> = vec![(PATH_SCHEMA.to_owned(), Arc::new(path))];
        let catalog = SessionCatalog::new(Arc::clone(pipeline.facts()), Arc::clone(&opener) as _, extra);
        state.register_catalog_list(Arc::new(catalog));
        state.config_mut().set_extension(Arc::new(pipeline.told_to_sources()));
        let options = state.config_mut().options_mut();
        options.catalog.default_catalog.clone_from(&pipeline.facts().database);
        options.catalog.default_schema = PATH_SCHEMA.to_owned();
        options.execution.time_zone = Some(pipeline.settings.time_zone_name.clone());
        tell_time(&mut state, pipeline.transaction_started).map_err(|error| fault::client_message(&error, ""))?;
        for function in functions::all(pipeline.facts()) {
            state.register_udf(Arc::new(function)).map_err(|error| fault::client_message(&error, ""))?;
        }
        for function in semantics::functions(pipeline.expression_facts()) {
            state.register_udf(function).map_err(|error| fault::client_message(&error, ""))?;
        }
        for function in signals::functions(&pipeline.shared.sessions, &pipeline.principal.name) {
            state.register_udf(Arc::new(function)).map_err(|error| fault::client_message(&error, ""))?;
        }
        for function in advisory::functions(&pipeline.advisory, pipeline.settings.lock_timeout) {
            state.register_udf(function).map_err(|error| fault::client_message(&error, ""))?;
        }
        Ok(Self { state, facts: Arc::clone(pipeline.facts()), opener, parameters: Vec::new() })
    }

    /// The same planner, which knows the types of parameters.
    pub(super) fn told(self, parameters: Vec<Option<PgType>>) -> Self {
        Self { parameters, ..self }
    }

    async fn statement(&self, ast: Ast) -> Result<LogicalPlan, DataFusionError> {
        self.state.statement_to_plan(sql::typed(ast, &self.parameters)).await.map(sql::unwrapped)
    }

    /// What the text of a query tells of its parameters, or why PostgreSQL refuses it. Statements over the catalog are looked at by what
    /// answers them.
    pub(super) fn analysis(&self, query: &Query, declared: Option<&[Option<PgType>]>) -> Result<Analysis, ClientMessage> {
        let known = declared.unwrap_or_default();
        if query.catalog.is_some() || known.contains(&Some(PgType::VOID)) {
            return Ok(Analysis { parameters: known.to_vec() });
        }
        sql::analysis(&query.text, declared, &|schema, name| self.facts.product_columns(schema, name)).map_err(|mut refusal| {
            refusal.position = refusal.position.and_then(|position| Some(position + query.offset?));
            refusal
        })
    }

    /// The logical plan of a query, as yet without parameters, coercions and decisions.
    pub(super) async fn plan(&self, query: &Query) -> Result<LogicalPlan, DataFusionError> {
        let plan = self.planned(query).await?;
        if reads_only(&plan) {
            Ok(plan)
        } else {
            let message = ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "this statement is not supported");
            Err(DataFusionError::External(Box::new(message)))
        }
    }

    /// A query that reads the catalog and nothing else, if it is understood without the planner.
    pub(super) fn catalog(&self, query: &Query, declared: &[Option<PgType>]) -> Result<Option<CatalogQuery>, DataFusionError> {
        let Some(statement) = &query.catalog else { return Ok(None) };
        CatalogQuery::bind(statement, &self.facts, declared)
    }

    /// The plan of such a query with the values of its parameters.
    pub(super) fn catalog_plan(&self, query: &Query, given: &Given) -> Result<Option<LogicalPlan>, DataFusionError> {
        let declared = given.told();
        let Some(bound) = self.catalog(query, &declared)? else { return Ok(None) };
        let Some(answer) = bound.table(given.values())? else { return Ok(None) };
        LogicalPlanBuilder::scan("catalog", provider_as_source(Arc::new(answer)), None)?.build().map(Some)
    }

    /// Plans the tree, with the rows of tables where their names stand for values.
    async fn planned(&self, query: &Query) -> Result<LogicalPlan, DataFusionError> {
        let merged = sql::merged(query, &|schema, name| self.columns(schema, name));
        let merged = merged.map_err(|refusal| DataFusionError::External(Box::new(refusal)))?.map(Arc::new);
        let ast = merged.as_ref().unwrap_or(&query.ast);
        let first = match self.statement(ast.as_ref().clone()).await {
            Ok(plan) => return Ok(plan),
            Err(error) => error,
        };
        if fault::client_message(&first, "").sqlstate == SqlState::GROUPING_ERROR
            && let Some(ast) = sql::grouped(ast, &|schema, name| self.keyed(schema, name))
        {
            return self.statement(ast).await;
        }
        let columns = |schema: Option<&str>, name: &str| self.columns(schema, name);
        let clearer = |ast: &Ast, error: &DataFusionError| sql::apart(ast, error).or_else(|| sql::expanded(ast, error, &columns));
        let Some(mut ast) = clearer(ast, &first) else { return Err(first) };
        for _ in 1..sql::ROWS_MAX {
            match self.statement(ast.clone()).await {
                Err(error) => ast = clearer(&ast, &error).ok_or(error)?,
                planned => return planned,
            }
        }
        Err(first)
    }

    /// The columns of the table of this name.
    fn columns(&self, schema: Option<&str>, name: &str) -> Option<Vec<String>> {
        let table = self.facts.table(self.facts.relation_oid(schema, name)?)?;
        Some(table.fields().iter().map(|field| field.name.as_str().to_owned()).collect())
    }

    /// The table of this name with its key, if it has one.
    fn keyed(&self, schema: Option<&str>, name: &str) -> Option<sql::Keyed> {
        let table = self.facts.table(self.facts.relation_oid(schema, name)?)?;
        let columns = table.fields().iter().map(|field| field.name.as_str().to_owned()).collect();
        let key: Vec<String> = table.key().into_iter().map(|(_, field)| field.name.as_str().to_owned()).collect();
        (!key.is_empty()).then_some(sql::Keyed { columns, key })
    }

    /// The products and ports that the names of the plan have led to.
    pub(super) fn located(&self) -> Vec<String> {
        self.opener.located()
    }
}

/// What the gateway's own relations show this statement.
fn own_relations(pipeline: &Pipeline) -> OwnRelations {
    let sources = MeshSources {
        log: pipeline.shared.audit.reader(),
        facts: Arc::clone(pipeline.facts()),
        sees_all: pipeline.world.policy.is_auditor(&pipeline.principal),
        bundle_revision: pipeline.world.bundle_revision.clone(),
    };
    let shared = Arc::clone(&pipeline.shared);
    OwnRelations { sources, template: Arc::new(move || shared.template.clone()) }
}

/// `now()` and its kin answer the transaction's clock, in the session's time zone.
fn tell_time(state: &mut SessionState, now: DateTime<Utc>) -> Result<(), DataFusionError> {
    state.mark_start_execution();
    state.execution_props_mut().query_execution_start_time = Some(now);
    let options = Arc::clone(state.config_options());
    let zoned: Vec<_> = state.scalar_functions().values().filter_map(|function| function.inner().with_updated_config(&options)).collect();
    for function in zoned {
        state.register_udf(Arc::new(function))?;
    }
    Ok(())
}

/// The second check that a plan only reads; the first is the statement's class.
fn reads_only(plan: &LogicalPlan) -> bool {
    let mut reads = true;
    let checked = plan.apply_with_subqueries(|node| {
        use datafusion::common::tree_node::TreeNodeRecursion;
        if matches!(
            node,
            LogicalPlan::Dml(_)
                | LogicalPlan::Ddl(_)
                | LogicalPlan::Copy(_)
                | LogicalPlan::Statement(_)
                | LogicalPlan::Explain(_)
                | LogicalPlan::Analyze(_)
        ) {
            reads = false;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    checked.is_ok() && reads
}
