//! Each body of a rule as a rule of its own, to find out which of them gave a value.
//!
//! A rule of Rego never depends on itself, so a body alone has the value that it contributes to the whole rule.

use regorus::Engine;
use regorus::unstable::{Module, Rule, RuleHead};

use crate::policy::file::{BundleFault, BundleFile};

use super::{Rego, RuleSite, rule_site};

/// The names of the copies begin so; no rule of a bundle is called like this by accident.
const COPY: &str = "meshgate_body";

/// One body of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) struct Body {
    /// The rule, and where the body stands.
    pub(in crate::policy) site: RuleSite,
    /// The rule that is this body alone, as `package.rule`; `None` for a default.
    pub(in crate::policy) alone: Option<String>,
}

impl Rego {
    /// The same rules, and beside them a copy of each body of the rules of those names in those packages.
    pub(in crate::policy) fn with_bodies(&self, packages: &[&str], names: &[&str]) -> Result<(Self, Vec<Body>), Vec<BundleFault>> {
        let mut engine = Engine::clone(&self.engine);
        let mut bodies = Vec::new();
        let mut copies = Vec::new();
        for (number, module) in engine.get_modules().iter().enumerate() {
            let package = module.package.refr.span().text().to_owned();
            if packages.contains(&package.as_str())
                && let Some(text) = copied(module, &package, names, &mut bodies)
            {
                copies.push(BundleFile { path: format!("{COPY}_{number}.rego"), text });
            }
        }
        let mut extended = self.clone();
        for copy in copies {
            extended = extended.extended(Some(copy), &serde_json::Value::Object(serde_json::Map::new()))?;
        }
        Ok((extended, bodies))
    }
}

/// A module with the copies; `None` if there is nothing to copy.
fn copied(module: &Module, package: &str, names: &[&str], bodies: &mut Vec<Body>) -> Option<String> {
    let source = &module.package.span.source;
    // A span can end before a closing quote: a rule is taken up to where the next one begins.
    let starts: Vec<usize> = module.policy.iter().map(|rule| start_of(rule)).chain([source.contents().len()]).collect();
    let mut text = source.contents().get(..*starts.first()?)?.to_owned();
    let mut any = false;
    for (rule, range) in module.policy.iter().zip(starts.windows(2)) {
        let site = rule_site(rule, package, source.get_path());
        if !names.contains(&site.name.as_str()) {
            continue;
        }
        let alone = match rule.as_ref() {
            Rule::Spec { head: RuleHead::Compr { .. } | RuleHead::Set { .. }, .. } => {
                let [start, end] = range else { return None };
                let rest = source.contents().get(*start..*end)?.strip_prefix(site.name.as_str())?;
                let name = format!("{COPY}_{}", bodies.len());
                text.push_str(&format!("\n{name}{rest}\n"));
                any = true;
                Some(format!("{package}.{name}"))
            }
            Rule::Spec { head: RuleHead::Func { .. }, .. } | Rule::Default { .. } => None,
        };
        bodies.push(Body { site, alone });
    }
    any.then_some(text)
}

fn start_of(rule: &Rule) -> usize {
    let (Rule::Spec { span, .. } | Rule::Default { span, .. }) = rule;
    usize::try_from(span.start).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const RULES: &str = "package p

import data.list as known

default allow := false

allow if count(deny) == 0

deny contains \"first\" if input.b == \"x\"

deny contains reason if {
\tinput.a == known[_]
\treason := sprintf(\"second %v\", [input.b])
}

other contains 1 if true
";

    #[test]
    fn a_body_alone_has_the_value_that_it_contributes() {
        let file = BundleFile { path: "p.rego".to_owned(), text: RULES.to_owned() };
        let (rego, _) = Rego::compile(&[file], Duration::from_secs(1)).unwrap();
        let rego = rego.extended(None, &json!({"list": [1, 2]})).unwrap();
        let (rego, bodies) = rego.with_bodies(&["p"], &["allow", "deny"]).unwrap();
        let input = json!({"a": 2, "b": "x"});
        let found: Vec<_> = bodies
            .iter()
            .map(|body| {
                let value = body.alone.as_ref().and_then(|alone| rego.ask(alone, Some(&input)).unwrap());
                (body.site.name.as_str(), body.site.line, value)
            })
            .collect();
        let expected =
            [("allow", 5, None), ("allow", 7, None), ("deny", 9, Some(json!(["first"]))), ("deny", 11, Some(json!(["second x"])))];
        assert_eq!(found, expected);
        assert_eq!(rego.ask("p.deny", Some(&input)).unwrap(), Some(json!(["first", "second x"])));
    }
}
