//! What a statement sees of the mesh: one catalog snapshot and one decision point, pinned together.
//!
//! INVARIANT: a reload makes a new world; a running statement keeps its own to the end.

use std::sync::{Arc, PoisonError, RwLock};

use crate::locator::Snapshot;
use crate::policy::DecisionPoint;

/// One consistent view.
#[derive(Debug)]
pub struct World {
    /// The names and contracts.
    pub snapshot: Arc<Snapshot>,
    /// The policies over exactly these contracts, with the erasure list.
    pub policy: Arc<DecisionPoint>,
    /// The policy bundle's revision.
    pub bundle_revision: String,
}

/// The current world; replaced whole.
#[derive(Debug)]
pub struct Worlds {
    current: RwLock<Arc<World>>,
}

impl Worlds {
    /// Starts with a world.
    pub fn new(world: World) -> Self {
        Self { current: RwLock::new(Arc::new(world)) }
    }

    /// The world that a statement pins.
    pub fn current(&self) -> Arc<World> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From the next statement on, this world holds, everywhere.
    pub fn replace(&self, world: World) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(world);
    }
}
