//! EXPLAIN POLICY: what the policies make of a query, for the caller or for another login.
//!
//! INVARIANT: whoever may not ask for others learns nothing about them, not even whether a login exists.

use std::sync::Arc;

use crate::engine::answers;
use crate::engine::attempt::Attempt;
use crate::engine::reply::Reply;
use crate::engine::sql::Query;
use crate::engine::values::Given;
use crate::error::{ClientMessage, SqlState};
use crate::identity::Principal;

use super::Session;

impl Session {
    pub(super) async fn explain_policy(
        &mut self,
        user: Option<&str>,
        query: &Query,
        given: &Given,
        mut attempt: Attempt,
    ) -> Result<Reply, ClientMessage> {
        let judged = match self.judged(user) {
            Ok(judged) => judged,
            Err(refusal) => return attempt.end_with(Err(refusal)).await,
        };
        let (lines, attempt) = self.pipeline(attempt).explain_policy(query, given, &judged).await?;
        attempt.answer_with(answers::policy(&lines)).await
    }

    /// For whom a query is explained.
    fn judged(&self, user: Option<&str>) -> Result<Arc<Principal>, ClientMessage> {
        let Some(name) = user.filter(|name| *name != self.principal.name) else { return Ok(Arc::clone(&self.principal)) };
        if !self.principal.explains_for_others() {
            return Err(ClientMessage::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to explain policy for role \"{name}\""),
            )
            .with_hint("Data stewards and logins with the role policy_auditor may."));
        }
        (self.everyone)(name).ok_or_else(|| ClientMessage::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist")))
    }
}
