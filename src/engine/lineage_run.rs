//! The lineage events of one running query: START when it runs, one ending when it ends.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::lineage::{Emitter, Ending, Run, RunEvent};

/// A run that has started.
pub(super) struct LineageRun {
    emitter: Arc<Emitter>,
    run: Arc<Run>,
}

impl LineageRun {
    /// Emits START.
    pub(super) fn start(emitter: Arc<Emitter>, run: Run, at: DateTime<Utc>) -> Self {
        let run = Arc::new(run);
        emitter.emit(RunEvent::start(Arc::clone(&run), at));
        Self { emitter, run }
    }

    /// The run's id.
    pub(super) fn id(&self) -> Uuid {
        self.run.id
    }

    /// Emits COMPLETE, FAIL or ABORT.
    pub(super) fn end(self, at: DateTime<Utc>, ending: Ending) {
        self.emitter.emit(RunEvent::end(self.run, at, ending));
    }
}
