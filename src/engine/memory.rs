//! Memory that is held for a client outside of its statements, as for a long message on its way in: of the same budget as all statements.

use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

/// Where such memory is asked for.
#[derive(Debug, Clone)]
pub struct Memory {
    pool: Arc<dyn MemoryPool>,
}

/// What is held of it; given back when it is dropped.
#[derive(Debug)]
pub struct HeldMemory(MemoryReservation);

impl Memory {
    pub(super) fn of(pool: &Arc<dyn MemoryPool>) -> Self {
        Self { pool: Arc::clone(pool) }
    }

    /// So many bytes that nobody else holds any of.
    #[cfg(test)]
    pub(crate) fn for_tests(bytes: usize) -> Self {
        Self { pool: Arc::new(datafusion::execution::memory_pool::GreedyMemoryPool::new(bytes)) }
    }

    /// Nothing yet.
    pub fn hold(&self) -> HeldMemory {
        HeldMemory(MemoryConsumer::new("message").register(&self.pool))
    }
}

impl HeldMemory {
    /// Holds so many bytes in place of what it held; false, and what it held stays, if there are not so many.
    pub fn resize(&self, bytes: usize) -> bool {
        self.0.try_resize(bytes).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_nobody_elses_until_it_is_dropped() {
        let memory = Memory::for_tests(100);
        let (first, second) = (memory.hold(), memory.hold());
        assert!(first.resize(80) && !second.resize(30) && second.resize(20));
        assert!(!first.resize(90) && first.resize(10) && second.resize(90));
        drop((first, second));
        assert!(memory.hold().resize(100));
    }
}
