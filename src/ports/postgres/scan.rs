//! The rows of one query, a batch at a time.
//!
//! INVARIANT: a stream ends without an error only after the server has said that the query is complete.
//! A stream that is dropped earlier cancels the query and gives its connection up. In the foreground it takes in a few rows and no more.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use futures::{Stream, StreamExt};
use tokio_postgres::{Row, RowStream};

use super::batch::Batcher;
use super::exec::{Query, check_types, drifted};
use super::running::{Answering, Asked, Running};
use super::server::query_error;
use crate::ports::error::Error;
use crate::ports::foreground::Room;
use crate::ports::statement::Statement;

/// A query whose rows are arriving.
pub(super) struct Scan {
    query: Arc<Query>,
    running: Running,
    rows: Pin<Box<RowStream>>,
    first: Option<Row>,
    batcher: Batcher,
    room: Room,
    ended: bool,
}

impl Scan {
    /// Asks, and waits for the first row.
    pub(super) async fn start(query: Arc<Query>, hints: Vec<Arc<dyn PhysicalExpr>>, context: Arc<TaskContext>) -> Result<Self, Error> {
        let batcher = Batcher::new(&query, context.session_config().batch_size())?;
        let statement = context.session_config().get_extension::<Statement>();
        let room = Room::new(context.session_config());
        let (further, parameters) = query.hinted(&hints, false);
        let sql = query.sql(&further);
        let asked =
            Asked { sql: &sql, parameters: &parameters, again: true, statement: statement.as_ref(), own_timeout: query.own_timeout };
        let answering = query.server.run(&query.at, &asked).await.map_err(|e| drifted(&query, e))?;
        let Answering { mut running, rows, first } = answering;
        if let Some(row) = &first {
            check_types(&query, row.columns())?;
        }
        let ended = first.is_none();
        if ended {
            running.release();
        }
        Ok(Self { query, running, rows, first, batcher, room, ended })
    }

    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>, Error> {
        while !self.ended && !self.batcher.is_full() {
            let next = match self.first.take() {
                Some(row) => Some(row),
                None => self.running.wait_for(self.rows.next()).await.transpose().map_err(|e| query_error(&self.query.at, e))?,
            };
            match next {
                Some(row) => {
                    self.room.take(row.raw_size_bytes()).await;
                    self.batcher.append(&row)?;
                }
                None => self.ended = true,
            }
        }
        if self.ended {
            // Back to the pool before the batch is used.
            self.running.release();
        }
        Ok(self.batcher.finish()?.map(|batch| (batch, self)))
    }

    /// As a stream of batches.
    pub(super) fn batches(self) -> impl Stream<Item = Result<RecordBatch, Error>> {
        futures::stream::try_unfold(self, Self::next)
    }
}
