//! Whether a rule about records has decided that data stewards may read what the contract's period hides from everyone else.
//!
//! A rule can be exact about this in two ways: `exemptions contains "retention"` lifts the period by name, and a denial of old records
//! that begins with `not input.subject.is_data_steward` lets stewards read them. The second counts only if the rule is the contract's
//! period, said once more: were the steward none, it would hide the records that the contract hides, and no other. So a rule about other
//! data, another column or another period, longer or shorter, lifts nothing: who takes more from others has not said a word about that period.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::identity::Principal;
use crate::policy::answer::row_conditions;
use crate::policy::condition::Condition;
use crate::policy::contract::{Column, Contract};
use crate::policy::course::Rows;
use crate::policy::{AccessRequest, RowRule};
use crate::product::{FieldName, ProductRef};

use super::{DecisionPoint, Masks, RETENTION_RULE, Trace, proof};

/// The finest difference between two dates that a period is about.
const DATE_RESOLUTION: TimeDelta = TimeDelta::microseconds(1);

impl DecisionPoint {
    /// The mesh-wide rule that holds all but data stewards to the contract's period, if the caller is one and there is one.
    pub(super) fn sparing_rule(
        &self,
        request: &AccessRequest,
        contract: &Contract,
        columns: &[Column],
        masks: &Masks,
        (dated, age): (&FieldName, TimeDelta),
        trace: &mut Trace,
    ) -> Option<RowRule> {
        let mesh = self.bundle.mesh().filter(|package| request.principal.is_data_steward && !package.record_rules.is_empty())?;
        let principal = Arc::new(Principal { is_data_steward: false, ..Principal::clone(&request.principal) });
        let of_another = AccessRequest { principal, ..request.clone() };
        let is_masked = |column: &Column| masks.columns.contains_key(&column.name);
        let now_ns = request.context.now.timestamp_nanos_opt()?;
        // What is asked here is no part of the record of what was asked about the steward.
        let mut session = self.question(&of_another, contract, columns, is_masked, now_ns, &mut Trace::default()).ok()?;
        let residual = self.residual(contract, mesh, columns, &mut session).ok()?;
        let valid = residual.valid;
        let (rule, _) = row_conditions(mesh, residual, self.bundle.records())
            .into_iter()
            .find(|(_, condition)| self.is_period(condition, (dated, age), request).unwrap_or(false))?;
        trace.hold_within(valid);
        Some(rule)
    }

    /// Whether the condition of a rule is that records are no older than that, as exactly as rules count: days are floating-point numbers there.
    fn is_period(&self, condition: &Condition, (dated, age): (&FieldName, TimeDelta), request: &AccessRequest) -> Option<bool> {
        let longer = Condition::Since(dated.clone(), age.checked_add(&DATE_RESOLUTION)?);
        let shorter = Condition::Since(dated.clone(), age.checked_sub(&DATE_RESOLUTION)?);
        Some(self.implies(condition, &longer, request)? && self.implies(&shorter, condition, request)?)
    }

    /// Whether nothing is left for the second condition to hide where the first holds; `None` if that cannot be told.
    fn implies(&self, first: &Condition, second: &Condition, request: &AccessRequest) -> Option<bool> {
        let named = |condition: &Condition| (RowRule::named(RETENTION_RULE), condition.clone());
        let filter = |conditions| Some(Rows { conditions, exclusion: None }.at(&self.erased, request.context.now)?.filter);
        Some(filter(vec![named(first)])? == filter(vec![named(first), named(second)])?)
    }

    /// The products whose period a rule lifts for data stewards without naming it, each with the rule. No more products than that are asked about.
    pub fn lifted_periods(&self, products_max: usize) -> Vec<(ProductRef, RowRule)> {
        let mut contracts: Vec<&Contract> = match self.bundle.mesh() {
            Some(package) if !package.record_rules.is_empty() => self.contracts.values().collect(),
            _ => return Vec::new(),
        };
        contracts.retain(|contract| contract.retention.is_some());
        contracts.sort_by_key(|contract| contract.product.reference.to_string());
        let stewards = [BTreeSet::new(), self.bundle.records().texts.clone()].map(|roles| proof::principal(roles, true));
        let lifted = |contract: &Contract| {
            stewards.iter().find_map(|steward| {
                let mut trace = Trace::default();
                self.judge(&proof::request(contract, steward)?, &mut trace).ok()?;
                trace.spared
            })
        };
        let asked = contracts.into_iter().take(products_max);
        asked.filter_map(|contract| Some((contract.product.reference.clone(), lifted(contract)?))).collect()
    }
}
