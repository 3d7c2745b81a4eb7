//! Which lines of a bundle evaluations touch.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Query, Rule, RuleHead};
use regorus::{Engine, Value};

use super::{EvaluationError, Rego, evaluation_error, to_json};

/// The lines of a file that hold something to evaluate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::policy) struct Lines {
    /// Evaluated.
    pub(in crate::policy) covered: BTreeSet<usize>,
    /// Not evaluated.
    pub(in crate::policy) missed: BTreeSet<usize>,
}

/// Lines by file.
pub(in crate::policy) type Touched = BTreeMap<String, Lines>;

/// What a rule answered.
type Answer = Result<Option<serde_json::Value>, EvaluationError>;

impl Rego {
    /// As `ask` without input; `touched` learns which lines were evaluated, also if the evaluation failed.
    pub(in crate::policy) fn ask_watched(&self, rule: &str, touched: &mut Touched) -> Answer {
        let path = format!("data.{rule}");
        let (answer, report) = self.session(None, None).evaluate(|engine| {
            engine.set_enable_coverage(true);
            let answer = engine.eval_rule(path);
            Ok((answer, engine.get_coverage_report()?))
        })?;
        for file in report.files {
            let lines = touched.entry(file.path).or_default();
            lines.covered.extend(file.covered.iter().filter_map(|line| usize::try_from(*line).ok()));
            lines.missed.extend(file.not_covered.iter().filter_map(|line| usize::try_from(*line).ok()));
            lines.missed = &lines.missed - &lines.covered;
        }
        answer.map_err(|error| evaluation_error(&error)).and_then(|value| match value {
            Value::Undefined => Ok(None),
            value => to_json(&value).map(Some),
        })
    }

    /// Every file with its lines, none of them covered.
    pub(in crate::policy) fn untouched(&self) -> Touched {
        let mut engine = Engine::clone(&self.engine);
        let mut files = Touched::new();
        for module in engine.get_modules().iter() {
            let lines = files.entry(module.package.span.source.get_path().clone()).or_default();
            for rule in &module.policy {
                lines.missed.extend(lines_of(rule).filter_map(|line| usize::try_from(line).ok()));
            }
        }
        files
    }
}

/// The lines on which the head's value and the statements of a rule begin.
fn lines_of(rule: &Rule) -> impl Iterator<Item = u32> {
    let (head, bodies): (Option<u32>, Vec<&Query>) = match rule {
        Rule::Default { value, .. } => (Some(value.span().line), Vec::new()),
        Rule::Spec { head, bodies, .. } => {
            let value = match head {
                RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => assign.as_ref().map(|assign| assign.value.span().line),
                RuleHead::Set { key, .. } => key.as_ref().map(|key| key.span().line),
            };
            (value, bodies.iter().map(|body| body.query.as_ref()).collect())
        }
    };
    let statements: Vec<u32> = bodies.iter().flat_map(|query| &query.stmts).map(|statement| statement.span.line).collect();
    head.into_iter().chain(statements)
}
