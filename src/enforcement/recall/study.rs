//! Reads what the policy tests of a file once and for all, when look-ups have read as much of it in pieces.
//!
//! A look-up by key reads a page of each column that the policy tests, and leaves nothing to remember. So many look-ups later they have cost what
//! testing every row costs, which is then done once, beside the statements: whatever comes, look-ups cost at most twice what they
//! would have, and mostly next to nothing. No row of a study goes anywhere.
//! INVARIANT: a study takes no longer than its time, and ends with the threads that it was begun on: those of the gateway's queries.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;

use super::memory::{Key, Selections};

/// Testing so many rows in a row costs about as much as one look-up's share of the policy.
const ROWS_PER_LOOK_UP: usize = 65_536;

/// The fewest look-ups that are worth a study.
const LOOK_UPS_MIN: usize = 16;

/// The most files and rules of which look-ups are counted.
const COUNTED_MAX: usize = 1_024;

/// The longest that a study may take. What it has read by then is remembered.
const TIME_MAX: Duration = Duration::from_secs(300);

/// How many look-ups there were, by the first file and the rule.
#[derive(Debug, Default)]
pub(super) struct LookUps {
    counted: HashMap<Key, usize>,
    studying: bool,
}

impl LookUps {
    /// Counts a look-up in so many rows; whether it is time to study them.
    pub(super) fn count(&mut self, key: Key, rows: usize) -> bool {
        if self.counted.len() >= COUNTED_MAX && !self.counted.contains_key(&key) {
            self.counted.clear();
        }
        let count = self.counted.entry(key).or_default();
        *count = count.saturating_add(1);
        let due = !self.studying && *count >= (rows / ROWS_PER_LOOK_UP).max(LOOK_UPS_MIN);
        if due {
            *count = 0;
            self.studying = true;
        }
        due
    }
}

/// Leave to study. One study goes on at a time; it has ended when this is dropped.
#[derive(Debug)]
pub(in super::super) struct Study {
    memory: Arc<Selections>,
}

impl Study {
    /// `memory` has said that it is time.
    pub(super) fn new(memory: Arc<Selections>) -> Self {
        Self { memory }
    }

    /// Runs a barrier that shows no column, in the background. It remembers what comes by; that it fails is of no consequence.
    pub(in super::super) fn begin(self, barrier: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(self.end_within(TIME_MAX, run(barrier, context)));
    }

    async fn end_within(self, time: Duration, study: impl Future<Output = Result<()>>) {
        let ended = tokio::time::timeout(time, study).await;
        let used = self.memory.used();
        match ended {
            Ok(Ok(())) => tracing::debug!(target: "meshgate::remembered", ?used, "the rows of a file were studied"),
            Ok(Err(error)) => tracing::debug!(target: "meshgate::remembered", %error, "a study of a file's rows failed"),
            Err(_) => tracing::info!(target: "meshgate::remembered", ?used, "a study of a file's rows was broken off: it took too long"),
        }
    }
}

impl Drop for Study {
    fn drop(&mut self) {
        self.memory.look_ups().studying = false;
    }
}

async fn run(barrier: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<()> {
    for partition in 0..barrier.properties().partitioning.partition_count() {
        let mut batches = barrier.execute(partition, Arc::clone(&context))?;
        while let Some(batch) = batches.next().await {
            batch?;
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_study_that_does_not_end_is_broken_off_and_leaves_room_for_the_next() {
        let memory = Arc::new(Selections::new(1 << 20));
        memory.look_ups().studying = true;
        Study::new(Arc::clone(&memory)).end_within(Duration::from_millis(1), std::future::pending()).await;
        assert!(!memory.look_ups().studying);
    }
}
