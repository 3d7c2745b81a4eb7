//! The scan of a whole large table: a binary COPY, or several side by side that see one snapshot.
//!
//! INVARIANT: partition `i` reads the pages of range `i` and no others, and the ranges together are all pages, also those that are
//! added later: the last one has no end. So whichever partitions run, and in whatever order, no row is read twice or left out.
//! Of a partitioned table, a range is one of the pages of each of its partitions: it is read through the table itself, so that the login
//! needs no right on its partitions and its row security holds.
//! All connections are reserved before the scan is planned as several, so that no partition waits for one that another holds.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use futures::{Stream, StreamExt};
use tokio::sync::OnceCell;
use tokio_postgres::CopyOutStream;

use super::batch::{Batcher, CopyReader};
use super::exec::{Query, check_types, drifted};
use super::link::{Link, transaction};
use super::pool::Reserved;
use super::running::Running;
use super::server::query_error;
use crate::ports::error::Error;
use crate::ports::statement::Statement;

/// A range has at least so many times the pages of the smallest table that is copied: a connection costs more than a copy.
const RANGE_TIMES: u64 = 4;

/// Into how many ranges a table of so many pages is split, if one of `pages_min` is the smallest that is copied.
pub(super) fn ranges(pages: u64, pages_min: u64, partitions_max: usize) -> usize {
    let most = pages / pages_min.saturating_mul(RANGE_TIMES).max(1);
    usize::try_from(most).unwrap_or(usize::MAX).clamp(1, partitions_max.max(1))
}

/// The pages at which tables of so many pages are split, so that about as many lie in each range.
fn bounds(heaps: &[u64], ranges: usize) -> Vec<u64> {
    let below = |page: u64| heaps.iter().fold(0_u64, |below, pages| below.saturating_add(page.min(*pages)));
    let last = heaps.iter().copied().max().unwrap_or(0);
    let all = below(last);
    let bound = |range: usize| {
        let (range, ranges) = (u64::try_from(range).unwrap_or(0), u64::try_from(ranges).unwrap_or(1).max(1));
        let wanted = u64::try_from(u128::from(all) * u128::from(range) / u128::from(ranges)).unwrap_or(all);
        let (mut low, mut high) = (0, last);
        while low < high {
            let middle = low.midpoint(high);
            if below(middle) < wanted { low = middle.saturating_add(1) } else { high = middle }
        }
        low
    };
    (1..ranges.max(1)).map(bound).collect()
}

/// How a large table is read.
#[derive(Debug)]
pub(super) struct Bulk {
    /// The page that each range but the first begins with.
    bounds: Vec<u64>,
    /// As many as there are ranges; of one none is reserved.
    reserved: Mutex<Vec<Reserved>>,
    run: Mutex<Option<Run>>,
}

/// One execution of the plan.
#[derive(Debug)]
struct Run {
    context: Weak<TaskContext>,
    begun: Vec<usize>,
    export: Arc<OnceCell<Export>>,
}

/// A snapshot that the connections share.
#[derive(Debug)]
struct Export {
    id: String,
    /// Partitions that have not taken it up yet.
    awaited: AtomicUsize,
    /// The connection that holds it, once it has nothing else to do.
    holder: Mutex<Option<Running>>,
}

impl Bulk {
    /// A scan over these connections, or over one that is none of them, of tables with so many pages each.
    pub(super) fn new(heaps: &[u64], reserved: Vec<Reserved>) -> Self {
        Self { bounds: bounds(heaps, reserved.len()), reserved: Mutex::new(reserved), run: Mutex::default() }
    }

    /// How many partitions there are.
    pub(super) fn ranges(&self) -> usize {
        self.bounds.len() + 1
    }

    /// The conditions of a range.
    fn conditions(&self, range: usize) -> Vec<String> {
        let page = |range: usize| self.bounds.get(range).map(|page| format!("'({page},0)'::pg_catalog.tid"));
        let first = range.checked_sub(1).and_then(page).map(|first| format!("(ctid >= {first})"));
        let end = page(range).map(|end| format!("(ctid < {end})"));
        first.into_iter().chain(end).collect()
    }

    /// The snapshot that a partition shares with the others of its execution.
    fn export(&self, range: usize, context: &Arc<TaskContext>) -> Arc<OnceCell<Export>> {
        let mut current = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = current.as_mut()
            && Weak::ptr_eq(&run.context, &Arc::downgrade(context))
            && !run.begun.contains(&range)
        {
            run.begun.push(range);
            return Arc::clone(&run.export);
        }
        let export = Arc::default();
        *current = Some(Run { context: Arc::downgrade(context), begun: vec![range], export: Arc::clone(&export) });
        export
    }

    fn take_reserved(&self) -> Option<Reserved> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

impl Export {
    /// One more partition reads by it.
    fn taken_up(&self) {
        if self.awaited.fetch_sub(1, Ordering::SeqCst) == 1
            && let Some(mut holder) = self.holder.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            holder.release();
        }
    }

    /// The connection that holds it has read its rows.
    fn keep(&self, mut running: Running) {
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        if self.awaited.load(Ordering::SeqCst) == 0 {
            running.release();
        } else {
            *holder = Some(running);
        }
    }
}

/// A range whose rows are arriving.
pub(super) struct BulkScan {
    query: Arc<Query>,
    running: Option<Running>,
    /// The snapshot, if this is the connection that holds it.
    held: Option<Arc<OnceCell<Export>>>,
    rows: Pin<Box<CopyOutStream>>,
    reader: CopyReader,
    batcher: Batcher,
    ready: std::collections::VecDeque<RecordBatch>,
    ended: bool,
}

impl BulkScan {
    /// Begins to read a range.
    pub(super) async fn start(
        query: Arc<Query>,
        hints: Vec<Arc<dyn PhysicalExpr>>,
        bulk: Arc<Bulk>,
        range: usize,
        context: Arc<TaskContext>,
    ) -> Result<Self, Error> {
        let statement = context.session_config().get_extension::<Statement>();
        let batcher = Batcher::new(&query, context.session_config().batch_size())?;
        let (mut running, held) = if bulk.ranges() == 1 {
            (begin(&query, &bulk, &transaction(statement.as_ref(), query.own_timeout)).await?, None)
        } else {
            share(&query, &bulk, range, &context, statement.as_ref()).await?
        };
        let (mut further, _) = query.hinted(&hints, true);
        further.extend(bulk.conditions(range));
        let sql = query.sql(&further);
        let fault = |error| drifted(&query, query_error(&query.at, error));
        let link = running.link().ok_or_else(|| Error::Internal { at: query.at.clone(), broken: "a scan has no connection" })?;
        let Link { client, driver, .. } = link;
        // The transaction holds the table as it is seen here until the rows are read.
        let described = driver.wait_for(client.prepare_typed(&sql, &[])).await.map_err(fault)?;
        check_types(&query, described.columns())?;
        let copy = format!("COPY ({sql}) TO STDOUT (FORMAT binary)");
        let rows = driver.wait_for(client.copy_out(&copy)).await.map_err(fault)?;
        Ok(Self {
            batcher,
            running: Some(running),
            held,
            rows: Box::pin(rows),
            reader: CopyReader::new(),
            ready: std::collections::VecDeque::new(),
            ended: false,
            query,
        })
    }

    /// The next batch.
    pub(super) async fn next(mut self) -> Result<Option<(RecordBatch, Self)>, Error> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some((batch, self)));
            }
            if self.ended {
                return Ok(None);
            }
            let next = match &mut self.running {
                Some(running) => running.wait_for(self.rows.next()).await,
                None => None,
            };
            match next.transpose().map_err(|e| query_error(&self.query.at, e))? {
                Some(message) => self.take(message)?,
                None => self.end()?,
            }
        }
    }

    fn take(&mut self, message: bytes::Bytes) -> Result<(), Error> {
        let Self { reader, batcher, ready, .. } = self;
        let taken = reader.take(message, |bytes, fields| {
            batcher.append_record(bytes, fields)?;
            if batcher.is_full() {
                ready.extend(batcher.finish()?);
            }
            Ok(())
        })?;
        taken.map_err(|_| self.damaged())
    }

    fn end(&mut self) -> Result<(), Error> {
        if !self.reader.is_complete() {
            return Err(self.damaged());
        }
        self.ended = true;
        self.ready.extend(self.batcher.finish()?);
        let Some(mut running) = self.running.take() else { return Ok(()) };
        match self.held.take().as_ref().and_then(|export| export.get()) {
            Some(export) => export.keep(running),
            None => running.release(),
        }
        Ok(())
    }

    fn damaged(&self) -> Error {
        Error::Damaged { at: self.query.at.clone(), source: "the server's COPY is not complete".into() }
    }

    /// As a stream of batches.
    pub(super) fn batches(self) -> impl Stream<Item = Result<RecordBatch, Error>> {
        futures::stream::try_unfold(self, Self::next)
    }
}

async fn begin(query: &Query, bulk: &Bulk, transaction: &str) -> Result<Running, Error> {
    query.server.begin(&query.at, bulk.take_reserved(), transaction).await
}

/// A connection that sees the snapshot of this execution; the first one makes it, and is told to hold it.
async fn share(
    query: &Arc<Query>,
    bulk: &Bulk,
    range: usize,
    context: &Arc<TaskContext>,
    statement: Option<&Arc<Statement>>,
) -> Result<(Running, Option<Arc<OnceCell<Export>>>), Error> {
    let mut opened = transaction(statement, query.own_timeout);
    opened = opened.replacen("BEGIN READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 1);
    let shared = bulk.export(range, context);
    let mut made = None;
    let making = async {
        let mut running = begin(query, bulk, &opened).await?;
        let broken = || Error::Internal { at: query.at.clone(), broken: "a snapshot has no connection" };
        let Link { client, driver, .. } = running.link().ok_or_else(broken)?;
        let exporting = client.query_one("SELECT pg_catalog.pg_export_snapshot()", &[]);
        let row = driver.wait_for(exporting).await.map_err(|e| query_error(&query.at, e))?;
        let id: String = row.try_get(0).map_err(|e| query_error(&query.at, e))?;
        let id: String = id.chars().filter(|c| c.is_ascii_hexdigit() || *c == '-').collect();
        made = Some(running);
        Ok(Export { id, awaited: AtomicUsize::new(bulk.bounds.len()), holder: Mutex::default() })
    };
    let id = shared.get_or_try_init(|| making).await?.id.clone();
    if let Some(running) = made {
        return Ok((running, Some(shared)));
    }
    let running = begin(query, bulk, &format!("{opened}; SET TRANSACTION SNAPSHOT '{id}'")).await?;
    if let Some(export) = shared.get() {
        export.taken_up();
    }
    Ok((running, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_split_by_its_size() {
        assert_eq!(ranges(0, 1_000, 2), 1);
        assert_eq!(ranges(7_999, 1_000, 8), 1);
        assert_eq!(ranges(12_000, 1_000, 8), 3);
        assert_eq!(ranges(1 << 30, 1_000, 2), 2);
    }

    #[test]
    fn ranges_cover_all_pages_once() {
        let bulk = |ranges| Bulk { bounds: bounds(&[100], ranges), reserved: Mutex::default(), run: Mutex::default() };
        assert!(bulk(1).conditions(0).is_empty());
        let three: Vec<String> = (0..3).map(|range| bulk(3).conditions(range).join(" AND ").replace("::pg_catalog.tid", "")).collect();
        let ranges: Vec<usize> = [0, 1, 3].into_iter().map(|ranges| bulk(ranges).ranges()).collect();
        assert_eq!(ranges, [1, 1, 3]);
        assert_eq!(three, ["(ctid < '(33,0)')", "(ctid >= '(33,0)') AND (ctid < '(66,0)')", "(ctid >= '(66,0)')"]);
    }

    #[test]
    fn partitions_are_split_so_that_ranges_weigh_alike() {
        assert_eq!(bounds(&[100, 100, 100, 100], 2), [50]);
        // Below page 30 lie 10 + 30 + 30 of 140.
        assert_eq!(bounds(&[10, 30, 100], 2), [30]);
        assert_eq!(bounds(&[10, 30, 100], 3), [18, 53]);
        assert_eq!(bounds(&[0, 0], 3), [0, 0]);
        assert_eq!(bounds(&[u64::MAX / 2, u64::MAX / 2], 2), [1 << 62]);
    }
}
