//! Queries of any form, as `opa eval` takes them.

use regorus::Value;
use serde_json::json;

use super::{EvaluationError, Rego};

impl Rego {
    /// What a query answers, in OPA's form: `{"result": [{"expressions": […], "bindings": {…}}]}`, or `{}` if it is undefined.
    pub(in crate::policy) fn query(&self, text: &str, input: Option<&serde_json::Value>) -> Result<serde_json::Value, EvaluationError> {
        let text = text.to_owned();
        let mut answer =
            self.session(input.map(|input| Value::from(input.clone())), None).evaluate(|engine| engine.eval_query(text, false))?;
        answer.result.retain(|row| row.expressions.iter().all(|expression| expression.value != Value::Undefined));
        if answer.result.is_empty() {
            return Ok(json!({}));
        }
        serde_json::to_value(&answer).map_err(|error| EvaluationError::Failed { site: None, text: error.to_string() })
    }
}
