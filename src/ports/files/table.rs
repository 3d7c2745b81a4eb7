//! The table of a port's files, whatever their format: which of them a scan reads, and which columns.
//!
//! A format says how its files are called and how one is read; listing, folders that are columns and limits are the same for all.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field as ArrowField, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::stream::BoxStream;
use object_store::ObjectMeta;

use super::super::error::{Error, Place};
use super::super::shape::Shape;
use super::super::texts::Nulled;
use super::partitions::{Partitions, keep};
use super::scan::FilesExec;
use super::{FileLocation, Rooted};

/// A format of files that are read from start to end.
#[async_trait]
pub(in super::super) trait Format: std::fmt::Debug + Send + Sync + 'static {
    /// What the names of its files end with, in folders.
    fn extensions(&self) -> &'static [&'static str];

    /// About how many bytes of a file a value takes; for estimates.
    fn value_bytes(&self) -> u64;

    /// Refuses columns that the format cannot hold.
    fn check(&self, _at: &Place, _shape: &Shape) -> Result<(), Error> {
        Ok(())
    }

    /// The columns of a file itself, for a contract that names none.
    async fn own_columns(&self, at: &Place, rooted: &Rooted, file: &ObjectMeta) -> Result<Vec<ArrowField>, Error>;

    /// The rows of one file, of the columns that are to be read from it.
    fn read(&self, wanted: Arc<Wanted>, file: &ObjectMeta, rows_max: usize) -> BoxStream<'static, Result<RecordBatch, Error>>;
}

/// What is to be read from each file.
#[derive(Debug)]
pub(in super::super) struct Wanted {
    pub(in super::super) at: Place,
    pub(in super::super) rooted: Arc<Rooted>,
    pub(in super::super) shape: Arc<Shape>,
    /// Columns that folders tell, whether wanted or not: no file has them.
    pub(in super::super) told: HashSet<usize>,
    /// Columns that are wanted from files, in their order.
    pub(in super::super) indices: Vec<usize>,
}

impl Wanted {
    /// Counts of texts that were read as NULL, one for each wanted column.
    pub(in super::super) fn nulls(self: &Arc<Self>) -> Nulls {
        Nulls { wanted: Arc::clone(self), counts: vec![0; self.indices.len()] }
    }

    /// The schema of what is read from a file.
    pub(in super::super) fn schema(&self) -> SchemaRef {
        self.shape.projected(&self.indices)
    }
}

/// How many texts of a file were no values and were read as NULL. It is told when the file has been read.
#[derive(Debug)]
pub(in super::super) struct Nulls {
    wanted: Arc<Wanted>,
    counts: Vec<u64>,
}

impl Nulls {
    /// The count of the wanted column at that place, if what is no value of it is read as NULL.
    pub(in super::super) fn of(&mut self, place: usize) -> Nulled<'_> {
        let column = self.wanted.indices.get(place).and_then(|index| self.wanted.shape.columns.get(*index))?;
        self.counts.get_mut(place).filter(|_| column.lenient)
    }
}

impl Drop for Nulls {
    fn drop(&mut self) {
        let Wanted { at, shape, indices, .. } = self.wanted.as_ref();
        for (values, index) in self.counts.iter().zip(indices).filter(|(values, _)| **values > 0) {
            let column = shape.columns.get(*index).map_or("", |column| column.field.name().as_str());
            let (product, port) = (at.product(), at.port());
            tracing::warn!(target: "meshgate::ports", %product, %port, column, values, "values of another type were read as NULL");
        }
    }
}

/// The files of a port: where they are, and what their folders tell.
#[derive(Debug)]
pub(in super::super) struct Files {
    pub(in super::super) at: Place,
    pub(in super::super) location: FileLocation,
    pub(in super::super) rooted: Arc<Rooted>,
    pub(in super::super) partitions: Option<Partitions>,
    /// The format's name in a contract.
    pub(in super::super) format: Arc<str>,
}

/// A file, and the columns of the contract that its folders tell.
#[derive(Debug, Clone)]
pub(in super::super) struct Part {
    pub(in super::super) file: ObjectMeta,
    pub(in super::super) told: Vec<(usize, ScalarValue)>,
}

/// The columns of a scan, by where they come from.
#[derive(Debug)]
pub(in super::super) struct Split {
    /// The columns that are to be read from files, in their order.
    pub(in super::super) indices: Vec<usize>,
    /// The columns of the contract that folders tell, whether asked for or not.
    pub(in super::super) told: Vec<usize>,
    /// For each column asked for: the one that folders tell, or the next of the file.
    pub(in super::super) places: Arc<[Option<usize>]>,
    /// The schema of the scan.
    pub(in super::super) schema: SchemaRef,
}

impl Files {
    /// All files, by name; never none.
    pub(in super::super) async fn list(&self, extensions: &[&str]) -> Result<Vec<ObjectMeta>, Error> {
        self.rooted.list(&self.at, &self.location, extensions).await
    }

    /// Filters that folders may answer help to pass files over; no row is tested here.
    fn pushdown(&self, shape: &Shape, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
        let told = self.partitions.as_ref().map(Partitions::columns).unwrap_or_default();
        let names: Vec<&String> = told.iter().filter_map(|index| shape.columns.get(*index)).map(|column| column.field.name()).collect();
        let of_folders = |filter: &Expr| {
            let columns = filter.column_refs();
            !columns.is_empty() && columns.iter().all(|column| names.contains(&&column.name))
        };
        let answer = |filter: &&Expr| match of_folders(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        filters.iter().map(answer).collect()
    }

    /// The files that can hold rows of these filters; none, if the folders tell that.
    pub(in super::super) async fn parts(
        &self,
        shape: &Shape,
        extensions: &[&str],
        session: &dyn Session,
        filters: &[Expr],
    ) -> Result<Vec<Part>> {
        let listed = self.list(extensions).await?;
        let Some(partitions) = &self.partitions else {
            return Ok(listed.into_iter().map(|file| Part { file, told: Vec::new() }).collect());
        };
        let parts = listed.into_iter().map(|file| {
            let told = partitions.values(&self.at, shape, &file)?;
            Ok(Part { file, told })
        });
        let parts = parts.collect::<Result<Vec<_>, Error>>()?;
        keep(parts, shape, session, filters)
    }

    /// Where the columns of a projection come from.
    pub(in super::super) fn split(&self, shape: &Shape, projection: Option<&Vec<usize>>) -> Result<Split, Error> {
        let wanted = shape.project(&self.at, projection)?;
        let told: Vec<usize> = self.partitions.as_ref().map(Partitions::columns).unwrap_or_default();
        let places = wanted.iter().map(|index| told.contains(index).then_some(*index)).collect();
        let indices = wanted.iter().copied().filter(|index| !told.contains(index)).collect();
        Ok(Split { indices, told, places, schema: shape.projected(&wanted) })
    }
}

/// The files of a port as a table.
#[derive(Debug)]
pub(in super::super) struct FilesTable {
    files: Files,
    shape: Arc<Shape>,
    format: Arc<dyn Format>,
}

impl FilesTable {
    /// A table of these files. Without a contract's shape, the first file gives one.
    pub(in super::super) async fn open(files: Files, shape: Option<Shape>, format: Arc<dyn Format>) -> Result<Self, Error> {
        let shape = match shape {
            Some(shape) => shape,
            None => {
                let listed = files.list(format.extensions()).await?;
                let first = listed.first().ok_or_else(|| Error::NoData { at: files.at.clone(), source: None })?;
                Shape::of_source(format.own_columns(&files.at, &files.rooted, first).await?)
            }
        };
        format.check(&files.at, &shape)?;
        Ok(Self { files, shape: Arc::new(shape), format })
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(self.files.pushdown(&self.shape, filters))
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let parts = self.files.parts(&self.shape, self.format.extensions(), session, filters).await?;
        let split = self.files.split(&self.shape, projection)?;
        let partitions = session.config().target_partitions().clamp(1, parts.len().max(1));
        let mut groups = vec![Vec::new(); partitions];
        for (index, part) in parts.into_iter().enumerate() {
            if let Some(group) = groups.get_mut(index % partitions) {
                group.push(part);
            }
        }
        let wanted = Wanted {
            at: self.files.at.clone(),
            rooted: Arc::clone(&self.files.rooted),
            shape: Arc::clone(&self.shape),
            told: split.told.iter().copied().collect(),
            indices: split.indices.clone(),
        };
        // Filters are not tested here, so a limit beside them is not ours.
        let limit = limit.filter(|_| filters.is_empty());
        let (format, name) = (Arc::clone(&self.format), Arc::clone(&self.files.format));
        Ok(Arc::new(FilesExec::new((format, name), wanted, groups, &split, limit)))
    }
}
