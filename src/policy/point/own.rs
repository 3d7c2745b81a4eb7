//! Decides about the gateway's own relations: an auditor sees all rows, everyone else those of their own.
//!
//! INVARIANT: no rule of a bundle widens or narrows this, so that whoever writes policies cannot hide what was done under them.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use crate::policy::{
    AccessRequest, CompareOp, Decision, DecisionId, DenyReason, Literal, Obligations, Outcome, Predicate, Question, RowRule, input,
};
use crate::product::{OwnRows, PortFormat};

use super::DecisionPoint;

/// The rules, as records name them.
const OWN_ROWS: &str = "gateway.own_rows";
const AUDITOR: &str = "gateway.auditor";
const DISCOVERABLE: &str = "gateway.discoverable";

/// The decision about a relation of the gateway's own; `None` for a product of a domain.
pub(super) fn decide(point: &DecisionPoint, request: &AccessRequest) -> Option<Decision> {
    if !request.product.is_own() {
        return None;
    }
    let rows = request.product.output_port(&request.port).map(|port| &port.format);
    let (outcome, rule) = match rows {
        Some(PortFormat::Own(OwnRows::OfReader)) => (Outcome::Allow(Obligations::default()), DISCOVERABLE),
        Some(PortFormat::Own(OwnRows::OfLogin(_))) if point.is_auditor(&request.principal) => {
            (Outcome::Allow(Obligations::default()), AUDITOR)
        }
        Some(PortFormat::Own(OwnRows::OfLogin(field))) => {
            let name = Literal::String(request.principal.name.clone());
            let own = Obligations {
                row_filter: Predicate::Compare { column: field.clone(), op: CompareOp::Eq, value: name },
                notices: vec!["rows_limited".to_owned()],
                row_rules: vec![RowRule::named(OWN_ROWS)],
                ..Obligations::default()
            };
            (Outcome::Allow(own), OWN_ROWS)
        }
        // A view has no rows: what is read are the relations below it.
        _ => {
            let message = format!("\"{}\" has no rows of its own", request.product.reference);
            (Outcome::Deny(vec![DenyReason { rule: "guard.unknown_port".to_owned(), fields: Vec::new(), message }]), OWN_ROWS)
        }
    };
    let filter = match &outcome {
        Outcome::Allow(obligations) => obligations.row_filter.to_string(),
        Outcome::Deny(_) => "false".to_owned(),
    };
    Some(Decision {
        id: DecisionId(Uuid::now_v7()),
        product: request.product.reference.clone(),
        port: request.port.clone(),
        fields: request.fields.iter().map(|field| field.name.clone()).collect(),
        outcome,
        bundle_revision: point.bundle_revision().into(),
        rules: [rule.to_owned()].into(),
        input: Question::new(input::refused(request)),
        result: Arc::new(json!({ "enforced": { "row_filter": filter } }).into()),
    })
}
