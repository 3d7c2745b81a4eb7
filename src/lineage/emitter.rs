//! Carries events to the sinks in the background.
//!
//! INVARIANT: emitting never waits. A full queue drops the event and counts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::lines::Lines;
use super::openlineage::RunEvent;
use super::sink::Sink;

/// Events that go to the sinks together.
const BATCH_MAX: usize = 256;
/// How long the first of them waits for others.
const GATHERING: Duration = Duration::from_millis(5);

/// A queue of events and the task that empties it.
#[derive(Debug)]
pub struct Emitter {
    queue: std::sync::Mutex<Option<mpsc::Sender<RunEvent>>>,
    counts: Arc<Counts>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Counts {
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Emitter {
    /// Starts the task; needs a runtime. Without sinks nothing is queued at all.
    pub fn start(sinks: Vec<Box<dyn Sink>>, queue_max: usize) -> Self {
        let counts = Arc::new(Counts::default());
        if sinks.is_empty() {
            return Self { queue: std::sync::Mutex::new(None), counts, task: Mutex::new(None) };
        }
        let (queue, events) = mpsc::channel(queue_max.max(1));
        let task = tokio::spawn(carry(events, sinks, Arc::clone(&counts)));
        Self { queue: std::sync::Mutex::new(Some(queue)), counts, task: Mutex::new(Some(task)) }
    }

    /// Queues an event, or drops it if the queue is full.
    pub fn emit(&self, event: RunEvent) {
        let queue = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(queue) = queue.as_ref()
            && queue.try_send(event).is_err()
        {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many events found the queue full.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// How many times a sink refused an event.
    pub fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }

    /// Sends what is queued, then ends. Whoever calls sets the time limit; events that come later are ignored.
    pub async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        if let Some(task) = self.task.lock().await.take()
            && task.await.is_err()
        {
            tracing::warn!("the lineage emitter ended early");
        }
    }
}

async fn carry(mut events: mpsc::Receiver<RunEvent>, mut sinks: Vec<Box<dyn Sink>>, counts: Arc<Counts>) {
    let mut failing = false;
    let (mut ready, mut written, mut lines) = (Vec::new(), Lines::default(), Vec::new());
    while events.recv_many(&mut ready, BATCH_MAX).await > 0 {
        // Nobody waits for events, and many at once cost little more than one.
        if !events.is_closed() && ready.len() < BATCH_MAX {
            tokio::time::sleep(GATHERING).await;
            while ready.len() < BATCH_MAX
                && let Ok(event) = events.try_recv()
            {
                ready.push(event);
            }
        }
        // An event is texts and numbers, so it has a form in JSON.
        lines.extend(ready.drain(..).filter_map(|event| written.line(&event).ok()));
        let mut failed = false;
        for sink in &mut sinks {
            let (refused, error) = sink.send_all(&lines).await;
            if let Some(error) = error {
                counts.failed.fetch_add(refused, Ordering::Relaxed);
                failed = true;
                // A sink that is down is told once, not with each event.
                if !failing {
                    tracing::warn!(sink = sink.name(), kind = %error.kind(), "lineage events cannot be sent");
                }
            }
        }
        failing = failed;
        lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use async_trait::async_trait;
    use chrono::DateTime;
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::lineage::{Ending, FileSink, Lineage, Run};

    fn run() -> Arc<Run> {
        let lineage = Arc::new(Lineage { inputs: Vec::new(), columns: Vec::new(), rows: Vec::new(), complete: true });
        Arc::new(Run { id: Uuid::nil(), namespace: "meshgate".into(), job: "j".into(), sql: Some("SELECT 1".into()), lineage })
    }

    #[tokio::test]
    async fn events_reach_the_file_in_order_before_the_close_returns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lineage.jsonl");
        let emitter = Emitter::start(vec![Box::new(FileSink::new(&path))], 16);
        emitter.emit(RunEvent::start(run(), DateTime::UNIX_EPOCH));
        emitter.emit(RunEvent::end(run(), DateTime::UNIX_EPOCH, Ending::Abort));
        emitter.close().await;
        let text = std::fs::read_to_string(path).unwrap();
        let types: Vec<Value> = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["eventType"].clone()).collect();
        assert_eq!(types, ["START", "ABORT"]);
        assert_eq!((emitter.dropped(), emitter.failed()), (0, 0));
    }

    /// Never answers.
    struct Stuck;

    #[async_trait]
    impl Sink for Stuck {
        fn name(&self) -> &'static str {
            "stuck"
        }
        async fn send(&mut self, _event: &str) -> io::Result<()> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_stuck_sink_drops_and_counts_and_holds_up_nobody() {
        let emitter = Emitter::start(vec![Box::new(Stuck)], 4);
        for _ in 0..10 {
            emitter.emit(RunEvent::start(run(), DateTime::UNIX_EPOCH));
            tokio::task::yield_now().await;
        }
        assert_eq!(emitter.dropped(), 5, "one in the sink's hands and four in the queue");
    }

    /// Refuses everything.
    struct Broken;

    #[async_trait]
    impl Sink for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }
        async fn send(&mut self, _event: &str) -> io::Result<()> {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }

    #[tokio::test]
    async fn a_broken_sink_is_counted_and_the_others_are_served() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lineage.jsonl");
        let emitter = Emitter::start(vec![Box::new(Broken), Box::new(FileSink::new(&path))], 4);
        emitter.emit(RunEvent::start(run(), DateTime::UNIX_EPOCH));
        emitter.close().await;
        assert_eq!((emitter.failed(), std::fs::read_to_string(path).unwrap().lines().count()), (1, 1));
    }
}
