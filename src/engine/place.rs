//! Places among the queries that may run at once.
//!
//! A query that waits for its client between two fetches gives its place to others, so that open cursors cannot keep everyone out.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{ClientMessage, SqlState};

/// A query's place. Its clones are the same place.
#[derive(Debug, Clone)]
pub(super) struct Place {
    queries: Arc<Semaphore>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Place {
    /// Waits for a place.
    pub(super) async fn take(queries: Arc<Semaphore>) -> Result<Self, ClientMessage> {
        let place = Self { queries, held: Arc::default() };
        place.hold().await?;
        Ok(place)
    }

    /// Waits for the place if it has been given away.
    pub(super) async fn hold(&self) -> Result<(), ClientMessage> {
        if self.held().is_some() {
            return Ok(());
        }
        let permit = Arc::clone(&self.queries).acquire_owned().await;
        let permit = permit.map_err(|_| ClientMessage::new(SqlState::ADMIN_SHUTDOWN, "the gateway is shutting down"))?;
        *self.held() = Some(permit);
        Ok(())
    }

    /// Gives the place to others.
    pub(super) fn let_go(&self) {
        self.held().take();
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_that_was_given_away_can_be_taken_again() {
        let queries = Arc::new(Semaphore::new(1));
        let first = Place::take(Arc::clone(&queries)).await.unwrap();
        assert_eq!(queries.available_permits(), 0);
        first.let_go();
        let second = Place::take(Arc::clone(&queries)).await.unwrap();
        assert!(futures::poll!(Box::pin(first.hold())).is_pending());
        drop(second);
        first.hold().await.unwrap();
        assert_eq!(queries.available_permits(), 0);
    }
}
