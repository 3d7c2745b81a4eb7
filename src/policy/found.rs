//! Which products principals may find, as the rules said when somebody asked before: each statement asks.
//!
//! INVARIANT: an answer is kept only if the rules neither looked at the clock for it nor can read what is another thing each time, and is found by
//! all else that they are told: the principal as the directory has it now, the product, the purpose. It ends with its decision point.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::identity::Principal;
use crate::product::ProductRef;

/// Answers at most; then all go.
const ANSWERS_MAX: usize = 10_000;
/// What is asked for a longer purpose is asked anew: it is the client's to choose.
const PURPOSE_BYTES_MAX: usize = 64;

/// By the principal's address, which the answer keeps from being another's.
type Key = (usize, ProductRef, Option<String>);

/// The answers.
#[derive(Debug, Default)]
pub(super) struct Found(Mutex<HashMap<Key, (Arc<Principal>, bool)>>);

impl Found {
    /// The answer, from `ask` if it is not known; that also tells whether it may be kept.
    pub(super) fn of(
        &self,
        principal: &Arc<Principal>,
        product: &ProductRef,
        purpose: Option<&str>,
        ask: impl FnOnce() -> (bool, bool),
    ) -> bool {
        if purpose.is_some_and(|purpose| purpose.len() > PURPOSE_BYTES_MAX) {
            return ask().0;
        }
        let key = (Arc::as_ptr(principal).addr(), product.clone(), purpose.map(str::to_owned));
        if let Some((_, answer)) = self.answers().get(&key) {
            return *answer;
        }
        // Not under the lock: the rules take their time.
        let (answer, lasting) = ask();
        if lasting {
            let mut answers = self.answers();
            if answers.len() >= ANSWERS_MAX {
                answers.clear();
            }
            answers.insert(key, (Arc::clone(principal), answer));
        }
        answer
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, HashMap<Key, (Arc<Principal>, bool)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
