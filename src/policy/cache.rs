//! Keeps decisions, so that a question that was answered is not asked again.
//!
//! INVARIANT: a cache belongs to one decision point, and so to one bundle, one catalog snapshot and one erasure list: it ends with them. A
//! decision is found only by everything that it can depend on: the principal as the directory has it now, the product's contract, the
//! port, fields and uses, the purpose, and of the circumstances what the rules can read. What rules make of a query's id or of chance holds
//! for one question only, and is not kept; what they make of the clock goes on with it ([`Course`]), or is not kept either.

use std::collections::HashMap;
use std::collections::hash_map::IntoValues;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::identity::Principal;
use crate::product::{PortName, Product};

use super::course::Course;
use super::reads::Reads;
use super::{AccessRequest, Decision, DecisionId, Outcome, RequestedField, input};

/// Columns of all decisions that are kept in each of two generations: what a decision weighs is the columns in its question.
const COLUMNS_MAX: usize = 100_000;

/// Decisions that go for each that comes: more than one, so that a generation has gone before the next one does.
const GOING_AT_ONCE: usize = 2;

/// What a decision depends on.
#[derive(Debug, Clone)]
pub(super) struct Key {
    hash: u64,
    /// Compared by identity: a directory that is read anew has other principals, and what is kept here cannot be another's.
    principal: Arc<Principal>,
    /// Compared by identity, too.
    product: Arc<Product>,
    port: PortName,
    fields: Vec<RequestedField>,
    purpose: Option<String>,
    application_name: Option<String>,
    client_address: Option<IpAddr>,
}

/// A decision and how it goes on.
#[derive(Debug)]
struct Kept {
    key: Key,
    decision: Decision,
    course: Course,
}

/// Decisions by the hash of their keys. What has not been asked for during a generation goes.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<u64, Arc<Kept>>,
    old: HashMap<u64, Arc<Kept>>,
    /// Columns in the young ones.
    weight: usize,
    /// Those that nobody has asked for. Thousands at once would hold up whoever comes first, so they go a few at a time.
    going: IntoValues<u64, Arc<Kept>>,
}

/// The decisions of one decision point.
#[derive(Debug)]
pub(super) struct Cache {
    reads: Reads,
    hasher: RandomState,
    generations: Mutex<Generations>,
}

impl Cache {
    /// An empty one for rules that read this.
    pub(super) fn new(reads: Reads) -> Self {
        Self { reads, hasher: RandomState::new(), generations: Mutex::default() }
    }

    /// A decision that was made on the same question, as one of this request.
    pub(super) fn find(&self, request: &AccessRequest) -> Option<Decision> {
        if !self.reads.repeatable() {
            return None;
        }
        let hash = self.hash(request);
        let kept = self.kept(hash)?;
        if self.matches(&kept.key, request) { kept.repeat(request) } else { None }
    }

    /// Keeps a decision for the next such question.
    pub(super) fn keep(&self, request: &AccessRequest, decision: &Decision, course: Course) {
        if !self.reads.repeatable() || !is_settled(&decision.outcome) {
            return;
        }
        let context = &request.context;
        let key = Key {
            hash: self.hash(request),
            principal: Arc::clone(&request.principal),
            product: Arc::clone(&request.product),
            port: request.port.clone(),
            fields: request.fields.clone(),
            purpose: request.purpose.clone(),
            application_name: self.reads.application_name.then(|| context.application_name.clone()),
            client_address: context.client_address.filter(|_| self.reads.client_address).map(|address| address.ip()),
        };
        let columns = request.product.schema.as_deref().map_or(0, <[_]>::len);
        self.generations().insert(columns.max(request.fields.len()).max(1), Arc::new(Kept { key, decision: decision.clone(), course }));
    }

    fn kept(&self, hash: u64) -> Option<Arc<Kept>> {
        let mut generations = self.generations();
        if let Some(kept) = generations.young.get(&hash) {
            return Some(Arc::clone(kept));
        }
        let kept = generations.old.remove(&hash)?;
        let columns = kept.key.product.schema.as_deref().map_or(0, <[_]>::len);
        generations.insert(columns.max(kept.key.fields.len()).max(1), Arc::clone(&kept));
        Some(kept)
    }

    fn matches(&self, key: &Key, request: &AccessRequest) -> bool {
        let context = &request.context;
        Arc::ptr_eq(&key.principal, &request.principal)
            && Arc::ptr_eq(&key.product, &request.product)
            && key.port == request.port
            && key.fields == request.fields
            && key.purpose == request.purpose
            && (!self.reads.application_name || key.application_name.as_ref() == Some(&context.application_name))
            && (!self.reads.client_address || key.client_address == context.client_address.map(|address| address.ip()))
    }

    fn hash(&self, request: &AccessRequest) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        Arc::as_ptr(&request.principal).hash(&mut hasher);
        Arc::as_ptr(&request.product).hash(&mut hasher);
        request.port.as_str().hash(&mut hasher);
        request.purpose.hash(&mut hasher);
        for field in &request.fields {
            field.name.as_str().hash(&mut hasher);
            field.uses.hash(&mut hasher);
        }
        if self.reads.application_name {
            request.context.application_name.hash(&mut hasher);
        }
        if self.reads.client_address {
            request.context.client_address.map(|address| address.ip()).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn generations(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decisions that are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let generations = self.generations();
        generations.young.len() + generations.old.len()
    }

    /// Decisions that are on their way out.
    #[cfg(test)]
    pub(super) fn going(&self) -> usize {
        self.generations().going.len()
    }
}

impl Generations {
    fn insert(&mut self, weight: usize, kept: Arc<Kept>) {
        if self.weight.saturating_add(weight) > COLUMNS_MAX {
            let gone = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            self.going = gone.into_values();
            self.weight = 0;
        }
        self.going.by_ref().take(GOING_AT_ONCE).for_each(drop);
        self.weight = self.weight.saturating_add(weight);
        self.young.insert(kept.key.hash, kept);
    }
}

impl Kept {
    /// The decision under an id of its own, with the circumstances and the clock of this request.
    fn repeat(&self, request: &AccessRequest) -> Option<Decision> {
        let now = request.context.now;
        let now_ns = now.timestamp_nanos_opt().filter(|_| self.course.holds(now))?;
        let outcome = match &self.decision.outcome {
            Outcome::Deny(reasons) => Outcome::Deny(reasons.clone()),
            Outcome::Allow(obligations) => Outcome::Allow(self.course.at(obligations, now)?),
        };
        let input = self.decision.input.in_context(input::context(request, now_ns));
        let Decision { product, port, fields, bundle_revision, rules, result, .. } = &self.decision;
        Some(Decision {
            id: DecisionId(Uuid::now_v7()),
            product: product.clone(),
            port: port.clone(),
            fields: Arc::clone(fields),
            outcome,
            bundle_revision: Arc::clone(bundle_revision),
            rules: Arc::clone(rules),
            input,
            result: Arc::clone(result),
        })
    }
}

/// Whether the same question has the same answer the next time: not if the rules came to no end or failed, which can be chance.
fn is_settled(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Allow(_) => true,
        Outcome::Deny(reasons) => {
            !reasons.iter().any(|reason| matches!(reason.rule.as_str(), "guard.deadline" | "guard.evaluation" | "guard.clock"))
        }
    }
}
