//! What is kept of statements for when they come again: trees, descriptions, plans.
//!
//! INVARIANT: nothing here is a permission. A description or a plan is found only by everything that it was made from: the world, the
//! principal as the directory has it now, the text and its tree, the search path, all that expressions know but the moment, the types of
//! parameters. Whoever takes one asks anew whether its products may be found; whoever runs a plan again decides anew and opens its table anew under
//! that decision ([`super::repeat`]). Of a world that is no longer the current one, nothing is found and nothing kept. Trees are made of the
//! text alone.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arrow::datatypes::DataType;
use chrono::DateTime;
use datafusion::sql::parser::Statement as Ast;

use crate::error::ClientMessage;
use crate::identity::Principal;
use crate::product::Product;

use super::World;
use super::column::{Column, PgType};
use super::in_force::InForce;
use super::repeat::Known;
use super::semantics::Facts;
use super::sql::{Query, Statement};

/// Entries of each kind in each of two generations.
const ENTRIES_MAX: usize = 256;
/// Longer texts are not kept.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// What a plan is made from, beside its world.
#[derive(Debug, Clone)]
pub(super) struct Key<T> {
    /// Compared by identity: a directory that is read anew has other principals.
    pub(super) principal: Arc<Principal>,
    /// The tree; its text alone does not tell a query from one that is a part of another statement.
    pub(super) ast: Arc<Ast>,
    pub(super) text: String,
    /// Of these, the search path, and the zone by its name: two names of one zone are written differently.
    pub(super) settings: Arc<InForce>,
    /// All that expressions may know, at no moment.
    pub(super) facts: Facts,
    /// The types of the parameters.
    pub(super) types: Vec<T>,
}

impl<T: PartialEq> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.principal, &other.principal)
            && self.text == other.text
            && (Arc::ptr_eq(&self.settings, &other.settings)
                || self.settings.search_path == other.settings.search_path && self.settings.time_zone_name == other.settings.time_zone_name)
            && self.facts == other.facts
            && self.types == other.types
            && (Arc::ptr_eq(&self.ast, &other.ast) || self.ast == other.ast)
    }
}

impl<T: Eq> Eq for Key<T> {}

impl<T: Hash> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.principal).hash(state);
        self.text.hash(state);
        self.settings.search_path.hash(state);
        self.facts.hash(state);
        self.types.hash(state);
    }
}

/// The key of a query's description: of each parameter the OID of the declared type, or 0.
pub(super) type DescriptionKey = Key<u32>;
/// The key of a query's plan: of each parameter its value's type, and the OID of what it is to the client.
pub(super) type PlanKey = Key<(DataType, u32)>;
/// What a query takes and answers.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) parameters: Vec<PgType>,
    pub(super) columns: Arc<[Column]>,
    /// The products that it reads, which whoever asks again must be allowed to find.
    pub(super) products: Vec<Arc<Product>>,
}

/// Entries; what has not been asked for during a generation goes.
#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Generations<K, V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Hash + Eq, V: Clone> Generations<K, V> {
    fn find<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.keep(key, value.clone());
        Some(value)
    }

    fn keep(&mut self, key: K, value: V) {
        if self.young.len() >= ENTRIES_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// All that is kept, for all sessions.
#[derive(Debug, Default)]
pub(super) struct Plans {
    texts: Mutex<Generations<String, Arc<[Statement]>>>,
    made: Mutex<Made>,
}

/// What was made in one world.
#[derive(Debug, Default)]
struct Made {
    world: Weak<World>,
    plans: Generations<PlanKey, Arc<Known>>,
    descriptions: Generations<DescriptionKey, Arc<Described>>,
}

impl Plans {
    /// The statements of a text, parsed unless they are known.
    pub(super) fn statements(
        &self,
        text: &str,
        parse: impl FnOnce() -> Result<Vec<Statement>, ClientMessage>,
    ) -> Result<Vec<Statement>, ClientMessage> {
        if text.len() > TEXT_BYTES_MAX {
            return parse();
        }
        if let Some(known) = locked(&self.texts).find(text) {
            return Ok(known.to_vec());
        }
        let statements = parse()?;
        locked(&self.texts).keep(text.to_owned(), statements.clone().into());
        Ok(statements)
    }

    /// The plan of a query in that world.
    pub(super) fn plan(&self, world: &Arc<World>, key: &PlanKey) -> Option<Arc<Known>> {
        self.made_in(world)?.plans.find(key)
    }

    /// Keeps the plan of a query, if the world in which it was made is the current one.
    pub(super) fn keep_plan(&self, world: &Arc<World>, current: &Arc<World>, key: PlanKey, known: Known) {
        if let Some(mut made) = self.make_in(world, current, &key.text) {
            made.plans.keep(key, Arc::new(known));
        }
    }

    /// What a query takes and answers in that world.
    pub(super) fn description(&self, world: &Arc<World>, key: &DescriptionKey) -> Option<Arc<Described>> {
        self.made_in(world)?.descriptions.find(key)
    }

    /// Keeps what a query takes and answers, if the world in which it was described is the current one.
    pub(super) fn keep_description(&self, world: &Arc<World>, current: &Arc<World>, key: DescriptionKey, described: Described) {
        if let Some(mut made) = self.make_in(world, current, &key.text) {
            made.descriptions.keep(key, Arc::new(described));
        }
    }

    #[cfg(test)]
    pub(super) fn knows(&self, world: &Arc<World>, text: &str) -> bool {
        self.made_in(world).is_some_and(|made| made.plans.young.keys().any(|key| key.text.contains(text)))
    }

    fn made_in(&self, world: &Arc<World>) -> Option<MutexGuard<'_, Made>> {
        let made = locked(&self.made);
        made.is_of(world).then_some(made)
    }

    /// A current world that is new ends what was made before it.
    fn make_in(&self, world: &Arc<World>, current: &Arc<World>, text: &str) -> Option<MutexGuard<'_, Made>> {
        if text.len() > TEXT_BYTES_MAX || !Arc::ptr_eq(world, current) {
            return None;
        }
        let mut made = locked(&self.made);
        if !made.is_of(world) {
            *made = Made { world: Arc::downgrade(world), ..Made::default() };
        }
        Some(made)
    }
}

impl Made {
    /// A weak reference keeps the address from being another world's.
    fn is_of(&self, world: &Arc<World>) -> bool {
        std::ptr::eq(self.world.as_ptr(), Arc::as_ptr(world))
    }
}

impl<T> Key<T> {
    /// What is made of a query.
    pub(super) fn new(query: &Query, principal: &Arc<Principal>, settings: &Arc<InForce>, facts: Facts, types: Vec<T>) -> Self {
        Self {
            principal: Arc::clone(principal),
            ast: Arc::clone(&query.ast),
            text: query.text.clone(),
            settings: Arc::clone(settings),
            facts: Facts { now: DateTime::UNIX_EPOCH, ..facts },
            types,
        }
    }
}

fn locked<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_goes() {
        let mut kept: Generations<usize, usize> = Generations::default();
        kept.keep(0, 0);
        for entry in 1..=2 * ENTRIES_MAX {
            kept.keep(entry, entry);
            assert_eq!(kept.find(&0), Some(0));
        }
        assert_eq!(kept.find(&1), None);
        assert!(kept.young.len() + kept.old.len() <= 2 * ENTRIES_MAX);
    }
}
