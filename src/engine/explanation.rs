//! What the policies make of a query, line by line, without a row of it.
//!
//! INVARIANT: nothing is read. A line holds names, kinds, rule ids and places; no literal, id, count or role. It hangs on contracts,
//! policies and who is asked about, never on data. The ports are asked only what they would take over, and only for products that may be read.

use std::sync::Arc;

use datafusion::catalog::TableProvider;

use crate::enforcement::{self, ProductUse};
use crate::error::ClientMessage;
use crate::identity::Principal;
use crate::policy::{Clause, Decision, Effect, Outcome};
use crate::product::OutputPort;

use super::attempt::{Accessed, Attempt};
use super::pipeline::{Observed, Pipeline, guarded, planned};
use super::place::Place;
use super::planner::Planner;
use super::sql::Query;
use super::values::Given;

/// One line of EXPLAIN POLICY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PolicyLine {
    /// `domain/product`.
    pub(super) product: String,
    /// The output port.
    pub(super) port: String,
    /// The columns; `None`: the product as a whole.
    pub(super) column: Option<String>,
    /// allow, mask, filter or deny.
    pub(super) effect: &'static str,
    /// What is done.
    pub(super) what: String,
    /// The rule.
    pub(super) rule: String,
    /// The file in which it stands: of the bundle, or of the catalog for a rule of a contract.
    pub(super) file: Option<String>,
    /// The line, from 1.
    pub(super) line: Option<i32>,
    /// Where it runs, if it runs.
    pub(super) runs_in: Option<String>,
}

/// Where a rule runs that no port can take over.
const ENGINE: &str = "engine";

impl Pipeline {
    /// Explains a query as it would be decided for `judged`. The names in it are the caller's. The attempt is to be ended by whoever answers with it.
    pub(super) async fn explain_policy(
        mut self,
        query: &Query,
        given: &Given,
        judged: &Arc<Principal>,
    ) -> Result<(Vec<PolicyLine>, Attempt), ClientMessage> {
        let (deadline, bounds) = (self.deadline, self.bounds());
        let explained = async {
            let _place = guarded(Place::take(Arc::clone(&self.shared.queries)), deadline).await?;
            planned(self.policy_lines(query, given, judged), &bounds).await
        };
        let explained = explained.await;
        let recorded = match explained {
            Ok(lines) => guarded(self.attempt.open(), deadline).await.map(|record| (record, lines)),
            Err(message) => Err(message),
        };
        match recorded {
            Ok((record, lines)) => {
                self.attempt.keep_open(record);
                Ok((lines, self.attempt))
            }
            Err(message) => {
                let message = self.told(message);
                self.attempt.end_with(Err(message)).await
            }
        }
    }

    async fn policy_lines(&mut self, query: &Query, given: &Given, judged: &Arc<Principal>) -> Result<Vec<PolicyLine>, ClientMessage> {
        let planner = Planner::new(self)?.told(given.told());
        let Observed { plan, uses, .. } = self.plan_and_observe(&planner, query, given).await?;
        let (_, decisions) = self.decide(&uses, &Accessed::of(&uses), judged);
        if decisions.iter().all(|decision| matches!(decision.outcome, Outcome::Allow(_))) {
            // What is allowed and cannot be enforced is refused, as the query itself would be.
            enforcement::govern(plan, &decisions).map_err(|error| self.refused(&error))?;
        }
        let mut lines = Vec::new();
        for (used, decision) in uses.iter().zip(&decisions) {
            lines.extend(self.product_lines(used, decision, judged).await);
        }
        Ok(lines)
    }

    async fn product_lines(&self, used: &ProductUse, decision: &Decision, judged: &Arc<Principal>) -> Vec<PolicyLine> {
        let policy = &self.world.policy;
        let clauses = if policy.may_discover(judged, &used.product, self.settings.purpose.as_deref(), self.attempt.at()) {
            policy.explain(decision)
        } else {
            vec![policy.explain_undiscoverable()]
        };
        let port = used.product.output_port(&used.port);
        let conditions = clauses.iter().any(|clause| clause.condition.is_some());
        let source = match port {
            // Without it, it is left open where the conditions run; the cause is in the server's log.
            Some(port) if conditions && !used.product.is_own() => self.shared.ports.open(&used.product, port).await.ok(),
            _ => None,
        };
        clauses.into_iter().map(|clause| self.line(used, port, source.as_deref(), clause)).collect()
    }

    fn line(&self, used: &ProductUse, port: Option<&OutputPort>, source: Option<&dyn TableProvider>, clause: Clause) -> PolicyLine {
        let runs_in = match (clause.effect, &clause.condition) {
            (Effect::Allow | Effect::Deny, _) => None,
            (Effect::Mask | Effect::Filter, None) => Some(ENGINE.to_owned()),
            (Effect::Mask | Effect::Filter, Some(_)) if used.product.is_own() => Some(ENGINE.to_owned()),
            (Effect::Mask | Effect::Filter, Some(condition)) => source.zip(port).and_then(|(source, port)| {
                let reaches = enforcement::reaches_port(condition, source).ok()?;
                Some(if reaches { format!("{}, {ENGINE}", port.format.name()) } else { ENGINE.to_owned() })
            }),
        };
        let (file, line) = match &clause.place {
            Some(place) => (Some(place.file.clone()), Some(place.line)),
            None => self.contract_place(used, &clause).unzip(),
        };
        let columns: Vec<&str> = clause.columns.iter().map(|column| column.as_str()).collect();
        PolicyLine {
            product: used.product.reference.to_string(),
            port: used.port.to_string(),
            column: (!columns.is_empty()).then(|| columns.join(", ")),
            effect: clause.effect.as_str(),
            what: clause.what,
            rule: clause.rule,
            file,
            line: line.and_then(|line| i32::try_from(line).ok()),
            runs_in,
        }
    }

    /// Where the contract says what a rule of the contract does.
    fn contract_place(&self, used: &ProductUse, clause: &Clause) -> Option<(String, usize)> {
        let origin = self.world.snapshot.origin(&used.product.reference)?;
        let line = match clause.rule.as_str() {
            "contract.retention" => origin.retention,
            "contract.erasure" => origin.erasure,
            "contract.masks" => *origin.masks.get(clause.columns.first()?)?,
            _ => return None,
        };
        Some((origin.file.clone(), line))
    }
}
