//! Reads rows of copies: only the columns that are asked for, and only pages whose values a predicate can let through.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Column, DFSchema};
use datafusion::datasource::listing::{ListingTableUrl, PartitionedFile};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource as _, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion::physical_plan::ExecutionPlan;

/// Reads most footers in one go.
const FOOTER_HINT_BYTES: usize = 64 << 10;

/// A scan of the files, in the order of their segments. Rows that the predicates do not let through may come, too.
pub(in crate::catalog::mesh) fn scan(
    session: &dyn Session,
    schema: &SchemaRef,
    columns: &[usize],
    filters: &[Expr],
    limit: Option<usize>,
    files: &[PathBuf],
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut options = TableParquetOptions::default();
    // A question about one column or one login asks for few rows: they are found first.
    options.global.pushdown_filters = true;
    let mut source = ParquetSource::new(Arc::clone(schema)).with_table_parquet_options(options).with_metadata_size_hint(FOOTER_HINT_BYTES);
    if let Some(predicate) = predicate(session, schema, filters)? {
        source = source.with_predicate(predicate);
    }
    let shown = columns.iter().filter_map(|index| {
        let name = schema.fields().get(*index)?.name();
        Some(ProjectionExpr::new(Arc::new(PhysicalColumn::new(name, *index)) as Arc<dyn PhysicalExpr>, name.clone()))
    });
    let projection = ProjectionExprs::new(shown.collect::<Vec<_>>());
    let unprojected = || DataFusionError::Internal("the Parquet reader takes no projection".to_owned());
    let source = source.try_pushdown_projection(&projection)?.ok_or_else(unprojected)?;
    let partitions = session.config().target_partitions().max(1);
    let files = files.iter().map(|path| partitioned(path)).collect::<Result<Vec<_>>>()?;
    let this_machine = ListingTableUrl::parse("file:///")?.object_store();
    let config = FileScanConfigBuilder::new(this_machine, source)
        .with_file_groups(FileGroup::new(files).split_files(partitions))
        .with_limit(limit)
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

fn partitioned(path: &Path) -> Result<PartitionedFile> {
    let path = std::path::absolute(path)?;
    let length = std::fs::metadata(&path)?.len();
    Ok(PartitionedFile::new(path.display().to_string(), length))
}

/// All predicates that the reader can take, with bare names.
fn predicate(session: &dyn Session, schema: &SchemaRef, filters: &[Expr]) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let schema = DFSchema::try_from(Arc::clone(schema))?;
    let bare = |filter: &Expr| {
        let bare = filter.clone().transform(|node| {
            Ok(match node {
                Expr::Column(column) => Transformed::yes(Expr::Column(Column::new_unqualified(column.name))),
                other => Transformed::no(other),
            })
        });
        bare.ok().map(|bare| bare.data).filter(|bare| session.create_physical_expr(bare.clone(), &schema).is_ok())
    };
    let usable: Vec<Expr> = filters.iter().filter_map(bare).collect();
    conjunction(usable).map(|all| session.create_physical_expr(all, &schema)).transpose()
}
