//! Tests of the catalog over a snapshot built by hand: statements are planned and run as the engine does it.

mod answer;
mod clients;
pub(crate) mod fixture;
mod psql;

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use futures::TryStreamExt;

use super::{PgTypePlanner, SessionCatalog, functions, system};

fn state() -> SessionState {
    let facts = fixture::facts();
    let mut config = SessionConfig::new().with_default_catalog_and_schema("mesh", "public").with_create_default_catalog_and_schema(false);
    config.options_mut().sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    config.options_mut().execution.target_partitions = 1;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_catalog_list(Arc::new(SessionCatalog::new(Arc::clone(&facts), Arc::new(fixture::Empty), Vec::new())))
        .with_type_planner(Arc::new(PgTypePlanner))
        .build();
    for function in functions::all(&facts) {
        state.register_udf(Arc::new(function)).unwrap();
    }
    state
}

async fn run(sql: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
    let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql)?.remove(0);
    let statement = system::rewrite_system(statement);
    let state = state();
    let plan = state.statement_to_plan(DfStatement::Statement(Box::new(statement))).await?;
    let plan = state.optimize(&plan)?;
    let plan = state.query_planner().create_physical_plan(&plan, &state).await?;
    datafusion::physical_plan::execute_stream(plan, state.task_ctx())?.try_collect().await
}

/// The rows as texts, with the labels first; NULL is `∅`.
async fn table(sql: &str) -> Vec<Vec<String>> {
    let batches = run(sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    let mut rows = Vec::new();
    for batch in &batches {
        if rows.is_empty() {
            rows.push(batch.schema().fields().iter().map(|field| system::client_label(field.name()).to_owned()).collect::<Vec<_>>());
        }
        let options = arrow::util::display::FormatOptions::new().with_null("∅");
        let columns: Vec<_> =
            batch.columns().iter().map(|column| arrow::util::display::ArrayFormatter::try_new(column, &options).unwrap()).collect();
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>()));
    }
    rows
}

/// The rows of a statement, without labels.
async fn rows(sql: &str) -> Vec<Vec<String>> {
    table(sql).await.into_iter().skip(1).collect()
}

/// The one value of a statement.
async fn value(sql: &str) -> String {
    rows(sql).await.remove(0).remove(0)
}
