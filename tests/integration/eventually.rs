//! Waiting for what must come, without guessing how long it takes.

use std::time::Duration;

use tokio::time::Instant;

/// How long anything may take on a machine that is busy with the other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Tries until there is an answer; fails when the patience is at its end.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = attempt().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "it has not come true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
