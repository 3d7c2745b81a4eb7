//! Whether a rule about records has decided that data stewards may read what the contract's period hides from everyone else.
//!
//! A rule can be exact about this in two ways: `exemptions contains "retention"` lifts the period by name, and a denial of old records
//! that begins with `not input.subject.is_data_steward` lets stewards read them. The second counts only if the rules are sure to know the
//! contract's period: were the steward none, they alone would have to hide every record that the contract hides. So a rule about other
//! data, another column or a longer period lifts nothing.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::identity::Principal;
use crate::policy::answer::row_conditions;
use crate::policy::condition::Condition;
use crate::policy::contract::{Column, Contract};
use crate::policy::course::Rows;
use crate::policy::{AccessRequest, RowRule};
use crate::product::FieldName;

use super::{DecisionPoint, Masks, RETENTION_RULE, Trace};

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
        // Rules count days as floating-point numbers.
        let period = Condition::Since(dated.clone(), age.checked_add(&DATE_RESOLUTION)?);
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
            .find(|(rule, condition)| self.implies(rule, condition, &period, request).unwrap_or(false))?;
        trace.hold_within(valid);
        Some(rule)
    }

    /// Whether nothing is left for the contract's period to hide where the condition of a rule holds; `None` if that cannot be told.
    fn implies(&self, rule: &RowRule, condition: &Condition, period: &Condition, request: &AccessRequest) -> Option<bool> {
        let of_rule = (rule.clone(), condition.clone());
        let of_contract = (RowRule::named(RETENTION_RULE), period.clone());
        let filter = |conditions| Some(Rows { conditions, exclusion: None }.at(&self.erased, request.context.now)?.filter);
        Some(filter(vec![of_rule.clone()])? == filter(vec![of_rule, of_contract])?)
    }
}
