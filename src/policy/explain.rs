//! Explains a decision: what holds for each column and for the rows, by which rule, and where the rule stands.
//!
//! INVARIANT: says no more than the decision's public side: kinds, columns, rule ids and places; no literal, id, role or count.
//! Which of a rule's bodies answered is found by asking each alone what the decision was asked. Where a condition runs is enforcement's
//! to tell.

use serde_json::{Value, json};

use crate::product::FieldName;

use super::bundle::ENTRY_PACKAGE;
use super::contract::Contract;
use super::expression::{self, ExpressionColumn};
use super::point::SPARED;
use super::rego::{Body, Rego};
use super::{Decision, DecisionPoint, DenyReason, Mask, Obligations, Outcome, Predicate, RulePlace};

/// The rules whose bodies are looked at.
const RULES: [&str; 7] = ["allow", "columnMasks", "deny", "exemptions", "fieldGrants", "may_discover", "rowFilters"];

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Lets read.
    Allow,
    /// Replaces a column's values.
    Mask,
    /// Hides rows.
    Filter,
    /// Refuses the statement.
    Deny,
}

/// One line of an explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    /// The columns that it is about; none: the product as a whole.
    pub columns: Vec<FieldName>,
    /// What the rule does.
    pub effect: Effect,
    /// The same in words that anyone may read.
    pub what: String,
    /// The rule, as `package.rule`, `guard.…` or `contract.…`.
    pub rule: String,
    /// Where it stands, if it is a rule of the bundle.
    pub place: Option<RulePlace>,
    /// The condition that rows must meet, for whoever knows where it runs. Holds literals.
    pub condition: Option<Predicate>,
}

impl Effect {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Mask => "mask",
            Self::Filter => "filter",
            Self::Deny => "deny",
        }
    }
}

impl Clause {
    fn new(effect: Effect, what: impl Into<String>, rule: impl Into<String>, place: Option<RulePlace>) -> Self {
        Self { columns: Vec::new(), effect, what: what.into(), rule: rule.into(), place, condition: None }
    }

    fn on(mut self, column: &str) -> Self {
        self.columns.extend(FieldName::parse(column));
        self
    }
}

impl DecisionPoint {
    /// What a decision of this point means, the product as a whole first, then column by column, then the rows.
    pub fn explain(&self, decision: &Decision) -> Vec<Clause> {
        let contract = self.contracts.get(&decision.product);
        let packages = contract.and_then(|contract| self.packages(contract).ok()).unwrap_or_default();
        let packages: Vec<&str> = packages.into_iter().map(|package| package.name.as_str()).collect();
        let explainer = Explainer::new(&self.rego, decision, contract, packages);
        match &decision.outcome {
            Outcome::Deny(reasons) => explainer.denied(reasons),
            Outcome::Allow(obligations) => explainer.allowed(obligations),
        }
    }

    /// Why a product that a login may not discover answers it nothing.
    pub fn explain_undiscoverable(&self) -> Clause {
        let bodies = self.rego.with_bodies(&[ENTRY_PACKAGE], &["may_discover"]).map(|(_, bodies)| bodies).unwrap_or_default();
        let place = bodies.iter().find(|body| body.alone.is_some()).or(bodies.first()).map(place_of);
        Clause::new(Effect::Deny, "this login may not discover the data product", format!("{ENTRY_PACKAGE}.may_discover"), place)
    }
}

struct Explainer<'a> {
    decision: &'a Decision,
    contract: Option<&'a Contract>,
    packages: Vec<&'a str>,
    /// The rules with each body alone; `None` if they cannot be taken apart.
    rego: Option<Rego>,
    bodies: Vec<Body>,
    /// What the rules were asked.
    input: Value,
    /// What `columnMasks` and `fieldGrants` were asked.
    first_input: Value,
}

impl<'a> Explainer<'a> {
    fn new(rego: &Rego, decision: &'a Decision, contract: Option<&'a Contract>, packages: Vec<&'a str>) -> Self {
        let (rego, bodies) = match rego.with_bodies(&packages, &RULES) {
            Ok((rego, bodies)) => (Some(rego), bodies),
            Err(_) => (None, Vec::new()),
        };
        let input = decision.input.to_value();
        Self { decision, contract, packages, rego, bodies, first_input: unmasked(&input), input }
    }

    fn denied(&self, reasons: &[DenyReason]) -> Vec<Clause> {
        let mut clauses = Vec::new();
        for reason in reasons {
            let clause = Clause::new(Effect::Deny, reason.message.as_str(), reason.rule.as_str(), self.denial_place(reason));
            if reason.fields.is_empty() {
                clauses.push(clause);
            } else {
                clauses.extend(reason.fields.iter().map(|field| clause.clone().on(field.as_str())));
            }
        }
        if reasons.iter().all(|reason| !reason.fields.is_empty()) {
            let refused = |name: &&str| reasons.iter().any(|reason| reason.fields.iter().any(|field| field.as_str() == *name));
            clauses.extend(self.asked().into_iter().filter(|name| !refused(name)).map(|name| self.read(name, None)));
        }
        self.in_order(clauses)
    }

    fn allowed(&self, obligations: &Obligations) -> Vec<Clause> {
        let asked = self.asked();
        let mut clauses: Vec<Clause> = asked.iter().map(|name| self.read(name, Some(obligations))).collect();
        if asked.is_empty() {
            clauses.push(self.plainly_read());
        }
        let mut clauses = self.in_order(clauses);
        for (rule, condition) in obligations.row_conditions() {
            let (name, place) = rule.map_or(("guard.row_filter", None), |rule| (rule.rule.as_str(), rule.place.clone()));
            let place = place.or_else(|| self.filter_place(name, condition));
            let mut clause = Clause::new(Effect::Filter, format!("{condition:#}"), name, place);
            condition.visit_columns(&mut |column| {
                if !clause.columns.contains(column) {
                    clause.columns.push(column.clone());
                }
            });
            clause.condition = Some(condition.clone());
            clauses.push(clause);
        }
        if let Some(exclusion) = &obligations.exclusion {
            let clause = Clause::new(Effect::Filter, "rows of erased subjects are hidden", "contract.erasure", None);
            clauses.push(clause.on(exclusion.column.as_str()));
        }
        clauses.extend(self.exemptions());
        clauses
    }

    /// What the rules were told of the resource.
    fn resource(&self, key: &str) -> &Value {
        self.input.get("resource").and_then(|resource| resource.get(key)).unwrap_or(&Value::Null)
    }

    /// What is asked for, masked or not, in the order of the columns.
    fn asked(&self) -> Vec<&str> {
        let mut names: Vec<&str> = texts(self.resource("requested_fields"));
        names.extend(texts(self.resource("masked_fields")));
        names.sort_by_key(|name| self.position(name));
        names
    }

    fn position(&self, name: &str) -> usize {
        let columns = self.resource("columns").as_array();
        columns
            .and_then(|columns| columns.iter().position(|column| column.get("name").is_some_and(|own| own == name)))
            .unwrap_or(usize::MAX)
    }

    fn in_order(&self, mut clauses: Vec<Clause>) -> Vec<Clause> {
        clauses.sort_by_key(|clause| clause.columns.first().map(|column| self.position(column.as_str())));
        clauses
    }

    /// A column that is no reason to refuse.
    fn read(&self, name: &str, obligations: Option<&Obligations>) -> Clause {
        if texts(self.resource("masked_fields")).contains(&name) {
            return self.masked(name, obligations).on(name);
        }
        let column =
            self.resource("columns").as_array().into_iter().flatten().find(|column| column.get("name").is_some_and(|own| own == name));
        let protected = column
            .is_some_and(|column| column.get("pii") == Some(&Value::Bool(true)) || column.get("mask").is_some_and(|mask| !mask.is_null()));
        if protected { self.granted(name).on(name) } else { self.plainly_read().on(name) }
    }

    fn plainly_read(&self) -> Clause {
        let rule = format!("{ENTRY_PACKAGE}.allow");
        // In a statement that is refused for another column, no body of it holds.
        let place = self.place(&rule, |value| *value == Value::Bool(true)).or_else(|| self.whole(&rule));
        Clause::new(Effect::Allow, "read as it is", rule, place)
    }

    fn granted(&self, name: &str) -> Clause {
        let rule = format!("{ENTRY_PACKAGE}.fieldGrants");
        let says = |element: &Value| element == name;
        if self.answered(ENTRY_PACKAGE, "fieldGrants").iter().any(says) {
            let place = self.element_place(&rule, says);
            return Clause::new(Effect::Allow, "read as it is, by a grant", rule, place);
        }
        Clause::new(Effect::Allow, "read as it is, by a grant", "guard.pii", None)
    }

    fn masked(&self, name: &str, obligations: Option<&Obligations>) -> Clause {
        let says = |element: &Value| element["column"] == name;
        let mut masks: Vec<(String, &Value)> = Vec::new();
        for package in &self.packages {
            let found = self.answered(package, "columnMasks").iter().filter(|element| says(element));
            masks.extend(found.map(|element| (format!("{package}.columnMasks"), element)));
        }
        let decided = obligations.and_then(|obligations| obligations.masks.iter().find(|(field, _)| field.as_str() == name));
        let what = match (decided, masks.as_slice()) {
            (Some((_, mask)), _) => mask.to_string(),
            (None, [(_, only)]) => only["mask"].as_str().map_or_else(|| Mask::Null.to_string(), str::to_owned),
            (None, _) => Mask::Null.to_string(),
        };
        match masks.into_iter().next() {
            Some((rule, _)) => {
                let place = self.element_place(&rule, says);
                Clause::new(Effect::Mask, what, rule, place)
            }
            None => Clause::new(Effect::Mask, what, "contract.masks", None),
        }
    }

    /// Obligations of the contract that a rule lifts.
    fn exemptions(&self) -> Vec<Clause> {
        let Some(contract) = self.contract else { return Vec::new() };
        let lifted = |name: &str| match name {
            "retention" => contract.retention.is_some(),
            _ => contract.product.governance.gdpr_subject_to_erasure,
        };
        let rule = format!("{ENTRY_PACKAGE}.exemptions");
        let names = self.answered(ENTRY_PACKAGE, "exemptions").iter().filter_map(Value::as_str).filter(|name| lifted(name));
        let clause = |name: &str| {
            let place = self.element_place(&rule, |element| element == name);
            Clause::new(Effect::Allow, format!("exempt from {name}"), rule.as_str(), place)
        };
        names.map(clause).chain(self.spared()).collect()
    }

    /// The rule about records that lets data stewards read what the contract's period hides from others.
    fn spared(&self) -> Option<Clause> {
        let by = self.decision.result.get("enforced")?.get(SPARED)?;
        let (file, line) = by["place"].as_str().and_then(|place| place.rsplit_once(':'))?;
        let place = line.parse().ok().map(|line| RulePlace { file: file.to_owned(), line });
        Some(Clause::new(Effect::Allow, "exempt from retention", by["rule"].as_str()?, place))
    }

    fn denial_place(&self, reason: &DenyReason) -> Option<RulePlace> {
        let (package, name) = self.packages.iter().find_map(|package| {
            let name = reason.rule.strip_prefix(*package)?.strip_prefix('.')?;
            Some((package, name))
        })?;
        if name == "allow" {
            // Nothing was denied and nothing allowed.
            return self.whole(&format!("{package}.allow"));
        }
        self.element_place(&format!("{package}.deny"), |element| {
            let named = element["rule"].as_str().unwrap_or("deny");
            let fields = texts(&element["fields"]);
            named == name && reason.fields.iter().all(|field| fields.contains(&field.as_str()))
        })
    }

    /// Where a rule as a whole stands: its first body, else its default.
    fn whole(&self, rule: &str) -> Option<RulePlace> {
        let bodies = self.bodies.iter().filter(|body| path(body) == rule);
        bodies.clone().find(|body| body.alone.is_some()).or_else(|| bodies.clone().next()).map(place_of)
    }

    /// Where the row filter stands that this condition was read from.
    fn filter_place(&self, rule: &str, condition: &Predicate) -> Option<RulePlace> {
        let schema = self.contract?.product.schema.as_deref()?;
        let columns: Vec<ExpressionColumn<'_>> =
            schema.iter().map(|field| ExpressionColumn { name: &field.name, data_type: Some(&field.data_type) }).collect();
        self.element_place(rule, |element| {
            let expression = element["expression"].as_str();
            expression.and_then(|text| expression::parse(text, &columns).ok()).is_some_and(|parsed| parsed == *condition)
        })
    }

    /// The elements that a package's rule answered.
    fn answered(&self, package: &str, rule: &str) -> &'a [Value] {
        let own = format!("{package}.{rule}");
        let key = if package == ENTRY_PACKAGE { rule } else { own.as_str() };
        self.decision.result.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn element_place(&self, rule: &str, says: impl Fn(&Value) -> bool) -> Option<RulePlace> {
        self.place(rule, |value| value.as_array().is_some_and(|elements| elements.iter().any(&says)))
    }

    /// The first body of the rule that alone has a value of which that is true.
    fn place(&self, rule: &str, holds: impl Fn(&Value) -> bool) -> Option<RulePlace> {
        let rego = self.rego.as_ref()?;
        let found = self.bodies.iter().filter(|body| path(body) == rule).find(|body| {
            let first = matches!(body.site.name.as_str(), "columnMasks" | "fieldGrants");
            let input = if first { &self.first_input } else { &self.input };
            let value = body.alone.as_ref().and_then(|alone| rego.ask(alone, Some(input)).ok().flatten());
            value.is_some_and(|value| holds(&value))
        });
        found.map(place_of)
    }
}

/// The question as it was before it was known what is masked.
fn unmasked(input: &Value) -> Value {
    let mut input = input.clone();
    let Some(resource) = input.get_mut("resource").and_then(Value::as_object_mut) else { return input };
    let names = |value: Option<&Value>| value.map(texts).unwrap_or_default().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut asked = names(resource.get("requested_fields"));
    asked.extend(names(resource.get("masked_fields")));
    let columns: Vec<String> = resource
        .get("columns")
        .and_then(Value::as_array)
        .map(|columns| columns.iter().filter_map(|column| column["name"].as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    asked.sort_by_key(|name| columns.iter().position(|column| column == name));
    resource.insert("requested_fields".to_owned(), json!(asked));
    resource.insert("masked_fields".to_owned(), json!([]));
    input
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map(|items| items.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn path(body: &Body) -> String {
    format!("{}.{}", body.site.package, body.site.name)
}

fn place_of(body: &Body) -> RulePlace {
    RulePlace { file: body.site.file.clone(), line: body.site.line }
}

#[cfg(test)]
mod tests;
