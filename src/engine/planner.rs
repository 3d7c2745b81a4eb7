//! The planner's state for one statement, and the step from a tree to a logical plan.

use std::sync::Arc;

use datafusion::execution::{FunctionRegistry as _, SessionState};
use datafusion::logical_expr::LogicalPlan;

use crate::catalog::{SessionCatalog, functions};
use crate::error::{ClientMessage, SqlState};

use super::column::PgType;
use super::opener::PortOpener;
use super::pipeline::Pipeline;
use super::search_path::{PATH_SCHEMA, PathSchema};
use super::sql::Query;
use super::{columns, fault};

/// A state of its own for one statement: its catalog, its functions, its time zone.
pub(super) fn state(pipeline: &Pipeline) -> Result<SessionState, ClientMessage> {
    let mut state = pipeline.shared.template.clone();
    let opener = Arc::new(PortOpener { ports: Arc::clone(&pipeline.shared.ports) });
    let plain = SessionCatalog::new(Arc::clone(&pipeline.facts), Arc::clone(&opener) as _, Vec::new());
    let path = PathSchema::new(Arc::new(plain), pipeline.facts.search_path());
    let catalog = SessionCatalog::new(Arc::clone(&pipeline.facts), opener, vec![(PATH_SCHEMA.to_owned(), Arc::new(path))]);
    state.register_catalog_list(Arc::new(catalog));
    let options = state.config_mut().options_mut();
    options.catalog.default_catalog.clone_from(&pipeline.facts.database);
    options.catalog.default_schema = PATH_SCHEMA.to_owned();
    options.execution.time_zone = Some(pipeline.time_zone.clone());
    for function in functions::all(&pipeline.facts) {
        state.register_udf(Arc::new(function)).map_err(|error| fault::client_message(&error, ""))?;
    }
    Ok(state)
}

/// The logical plan of a query, as yet without parameters, coercions and decisions.
pub(super) async fn plan(state: &SessionState, query: &Query) -> Result<LogicalPlan, ClientMessage> {
    let ast = query.ast.as_ref().clone();
    let plan = state.statement_to_plan(ast).await.map_err(|error| query.fault(&error))?;
    if reads_only(&plan) { Ok(plan) } else { Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "this statement is not supported")) }
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

/// The type of each parameter: as declared, else as the plan infers it, else text.
pub(super) fn parameter_types(plan: &LogicalPlan, declared: &[Option<PgType>]) -> Result<Vec<PgType>, ClientMessage> {
    let inferred = plan.get_parameter_types().map_err(|error| fault::client_message(&error, ""))?;
    let mut count = declared.len();
    for name in inferred.keys() {
        let number: usize = name.trim_start_matches('$').parse().map_err(|_| no_parameter(name))?;
        if number == 0 || number > 65_535 {
            return Err(no_parameter(name));
        }
        count = count.max(number);
    }
    Ok((0..count)
        .map(|at| {
            declared.get(at).copied().flatten().unwrap_or_else(|| {
                inferred.get(&format!("${}", at + 1)).cloned().flatten().map_or(PgType::TEXT, |data_type| columns::of_type(&data_type))
            })
        })
        .collect())
}

fn no_parameter(name: &str) -> ClientMessage {
    ClientMessage::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}"))
}
