//! Reads what the rules answered. An answer that is not wholly understood is a fault, and a fault is a deny.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::product::FieldName;
use crate::product::mask::{self, ExpressionColumn};

use super::bundle::{ENTRY_PACKAGE, Package};
use super::condition::Condition;
use super::contract::Column;
use super::expression;
use super::rego::{EvaluationError, RegoValue, Session, to_json};
use super::residual::ir::Program;
use super::residual::{Left, Residual, Stop};
use super::{Mask, Predicate, RowRule, RulePlace, schema};

/// The longest code of a notice or rule.
const CODE_BYTES_MAX: usize = 64;

/// Why an answer cannot be used. Its text is for the audit log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerFault {
    /// The rules did not come to an end in time.
    #[error("the evaluation ran past its time limit")]
    Late,
    /// The rules failed.
    #[error("{0}")]
    Failed(String),
    /// A rule that the package declares has no value.
    #[error("rule {0} is undefined")]
    Undefined(String),
    /// A rule asks of single records what no filter can answer.
    #[error("{place}: rule {rule} cannot be made a filter: {message}")]
    Untranslatable {
        /// The rule.
        rule: String,
        /// `file:line`
        place: String,
        /// What of it.
        message: String,
    },
    /// A rule has a value of another shape than it must have.
    #[error("rule {rule}: {message}")]
    Malformed {
        /// The rule.
        rule: String,
        /// What is wrong with it.
        message: String,
    },
}

impl AnswerFault {
    /// The guard's code for it.
    pub(super) fn rule(&self) -> &'static str {
        match self {
            Self::Late => "guard.deadline",
            Self::Failed(_) => "guard.evaluation",
            Self::Undefined(_) => "guard.undefined",
            Self::Untranslatable { .. } => "guard.policy_untranslatable",
            Self::Malformed { .. } => "guard.answer",
        }
    }

    /// Why an evaluation with records unknown has no result.
    pub(super) fn of_stop(stop: Stop, program: &Program) -> Self {
        match stop {
            Stop::Untranslatable(site, message) => {
                let rule = program.rule_at(site).unwrap_or_default().to_owned();
                Self::Untranslatable { rule, place: program.place(site), message }
            }
            // The interpreter's own text may hold values.
            Stop::Failed(site, _) => Self::Failed(format!("the evaluation failed at {}", program.place(site))),
            Stop::Interpreter(EvaluationError::Late) | Stop::Late => Self::Late,
            Stop::Interpreter(error @ EvaluationError::Failed { .. }) => Self::Failed(error.to_string()),
        }
    }

    fn malformed(rule: &str, message: impl Into<String>) -> Self {
        Self::Malformed { rule: rule.to_owned(), message: message.into() }
    }
}

/// Masks by column, and the columns that may be read as they are; `None` if the bundle does not say.
#[derive(Debug, Clone, Default)]
pub(super) struct Masks {
    pub(super) columns: BTreeMap<FieldName, Mask>,
    pub(super) grants: Option<BTreeSet<String>>,
}

/// One element of `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    pub(super) rule: String,
    pub(super) fields: Vec<FieldName>,
}

/// What a package answered besides masks.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) denials: Vec<Denial>,
    /// Conditions on rows, each with the rule behind it.
    pub(super) filters: Vec<(RowRule, Condition)>,
    pub(super) retention_exempt: bool,
    pub(super) erasure_exempt: bool,
    pub(super) notices: Vec<String>,
}

/// What a package answered, and what the rules about records have learned on the way.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// The answer: a value for each of the rules that were asked for, that the package declares, and that no record reaches.
    pub(super) rules: Map<String, Value>,
    /// Values of rules that no record reaches, by their full names.
    pub(super) grounds: Vec<(String, RegoValue)>,
}

/// Asks the rules among `names` that the package declares and no record reaches, by one of the generated entry rules.
pub(super) fn ask(session: &mut Session, package: &Package, entry: &str, names: &[&str]) -> Result<Answered, AnswerFault> {
    let declared: Vec<&&str> = names.iter().filter(|name| package.answers(name)).collect();
    let for_records = !package.record_rules.is_empty() && (entry == package.full_entry || entry == package.whole_entry);
    if declared.is_empty() && !for_records {
        return Ok(Answered::default());
    }
    let answer = session.ask(entry).map_err(|error| match error {
        EvaluationError::Late => AnswerFault::Late,
        EvaluationError::Failed { .. } => AnswerFault::Failed(error.to_string()),
    })?;
    let mut answered = Answered::default();
    for (key, value) in answer.as_ref().map(pairs).unwrap_or_default() {
        if key.contains('.') {
            answered.grounds.push((key.to_owned(), value.clone()));
            continue;
        }
        let name = format!("{}.{key}", package.name);
        let json = to_json(value).map_err(|_error| AnswerFault::malformed(&name, "has no form in JSON"))?;
        if for_records && package.grounds.contains(key) {
            answered.grounds.push((name, value.clone()));
        }
        answered.rules.insert(key.to_owned(), json);
    }
    if let Some(missing) = declared.into_iter().find(|name| !answered.rules.contains_key(**name)) {
        return Err(AnswerFault::Undefined(format!("{}.{missing}", package.name)));
    }
    let rules = Value::Object(answered.rules);
    match (schema::misfit(&rules), rules) {
        (None, Value::Object(rules)) => Ok(Answered { rules, grounds: answered.grounds }),
        (place, _) => {
            let message = format!("the answer does not fit its schema at \"{}\"", place.unwrap_or_default());
            Err(AnswerFault::malformed(&package.name, message))
        }
    }
}

/// The names and values that an entry rule answers with; what is undefined is not among them.
fn pairs(answer: &RegoValue) -> Vec<(&str, &RegoValue)> {
    let RegoValue::Array(lists) = answer else { return Vec::new() };
    let [RegoValue::Array(certain), RegoValue::Array(others)] = lists.as_slice() else { return Vec::new() };
    let defined = others.iter().filter_map(pair).filter_map(|(name, value)| match value {
        RegoValue::Array(value) => Some((name, value.first()?)),
        _ => None,
    });
    certain.iter().filter_map(pair).chain(defined).collect()
}

fn pair(pair: &RegoValue) -> Option<(&str, &RegoValue)> {
    let RegoValue::Array(pair) = pair else { return None };
    match pair.as_slice() {
        [RegoValue::String(name), value] => Some((name.as_ref(), value)),
        _ => None,
    }
}

/// Asks for the answer and for what the rules about records need. What fails of the latter fails where it is needed, if anywhere.
pub(super) fn ask_all(session: &mut Session, package: &Package, names: &[&str]) -> Result<Answered, AnswerFault> {
    if package.record_rules.is_empty() {
        return ask(session, package, &package.answer_entry, names);
    }
    match ask(session, package, &package.full_entry, names) {
        Err(AnswerFault::Failed(_)) => ask(session, package, &package.answer_entry, names),
        answered => answered,
    }
}

/// Puts what holds for every record into the answer, as if the interpreter had given it.
pub(super) fn keep_residual(answer: &mut Map<String, Value>, residual: &Residual) {
    if let Some(denials) = &residual.denials {
        answer.insert("deny".to_owned(), Value::Array(denials.clone()));
    }
    if let Some(allow) = residual.allow {
        answer.insert("allow".to_owned(), Value::Bool(allow));
    }
}

/// The conditions on rows that the rules about records leave, each with its rule.
pub(super) fn row_conditions(package: &Package, residual: Residual, program: &Program) -> Vec<(RowRule, Condition)> {
    let parts = |left: Left| left.parts().into_iter().map(Condition::Left);
    let mut conditions: Vec<(RowRule, Condition)> = Vec::new();
    for limit in residual.limits {
        let place = RulePlace { file: program.file(limit.site).to_owned(), line: limit.site.line };
        let rule = RowRule { rule: format!("{}.{}", package.name, limit.rule), place: Some(place) };
        conditions.extend(parts(limit.leaves).map(|part| (rule.clone(), part)));
    }
    // What no denial accounts for is the doing of `allow`.
    for part in parts(residual.filter) {
        if !conditions.iter().any(|(_, known)| *known == part) {
            conditions.push((RowRule::named(format!("{}.allow", package.name)), part));
        }
    }
    conditions
}

/// Reads `columnMasks` and `fieldGrants` into `masks`. Two packages that mask one column differently leave nothing of it.
pub(super) fn read_masks(package: &Package, answer: &Map<String, Value>, columns: &[Column], masks: &mut Masks) -> Result<(), AnswerFault> {
    if let Some(value) = answer.get("columnMasks") {
        let rule = format!("{}.columnMasks", package.name);
        for element in elements(&rule, value)? {
            let (column, mask) = read_mask(&rule, element, columns)?;
            // A product's own rules come from those who own the data; what is shown of it in place of a value is not for them to compute.
            let of_contract = column.mask.as_ref() == Some(&mask);
            if package.name != ENTRY_PACKAGE && matches!(mask, Mask::Expression(_)) && !of_contract {
                return Err(AnswerFault::malformed(&rule, "an expression is for the mesh-wide package and the contract"));
            }
            let stricter = match masks.columns.get(&column.name) {
                Some(other) if *other != mask => Mask::Null,
                _ => mask,
            };
            masks.columns.insert(column.name.clone(), stricter);
        }
    }
    if let Some(value) = answer.get("fieldGrants") {
        let rule = format!("{}.fieldGrants", package.name);
        masks.grants = Some(texts(&rule, value)?.into_iter().collect());
    }
    Ok(())
}

/// Reads the other rules.
pub(super) fn read_answer(package: &Package, answer: &Map<String, Value>, columns: &[Column]) -> Result<Answer, AnswerFault> {
    let mut read = Answer::default();
    let rule = |name: &str| format!("{}.{name}", package.name);
    if let Some(value) = answer.get("deny") {
        let name = rule("deny");
        read.denials = elements(&name, value)?.iter().map(|element| read_denial(package, element, columns)).collect();
    }
    match answer.get("allow") {
        // A package without `allow` restricts by its other rules only; the mesh-wide one always has it.
        None | Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) if read.denials.is_empty() => read.denials.push(Denial { rule: rule("allow"), fields: Vec::new() }),
        Some(Value::Bool(false)) => {}
        Some(_) => return Err(AnswerFault::malformed(&rule("allow"), "neither true nor false")),
    }
    if let Some(value) = answer.get("rowFilters") {
        let name = rule("rowFilters");
        let filters = elements(&name, value)?.iter().map(|element| read_filter(&name, element, columns));
        read.filters = filters.map(|filter| Ok((RowRule::named(&name), Condition::Given(filter?)))).collect::<Result<_, AnswerFault>>()?;
    }
    if let Some(value) = answer.get("exemptions") {
        let name = rule("exemptions");
        for exemption in texts(&name, value)? {
            match exemption.as_str() {
                "retention" => read.retention_exempt = true,
                "erasure" => read.erasure_exempt = true,
                _ => return Err(AnswerFault::malformed(&name, "an unknown exemption")),
            }
        }
    }
    if let Some(value) = answer.get("notices") {
        let name = rule("notices");
        read.notices = texts(&name, value)?;
        if !read.notices.iter().all(|notice| is_code(notice)) {
            return Err(AnswerFault::malformed(&name, "a notice is a code of letters, digits, \"_\" and \".\""));
        }
    }
    Ok(read)
}

/// A denial is one whatever its shape; only an object can name its rule and fields.
fn read_denial(package: &Package, element: &Value, columns: &[Column]) -> Denial {
    let named = element.get("rule").and_then(Value::as_str).filter(|name| is_code(name));
    let fields = element.get("fields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let fields = fields.iter().filter_map(Value::as_str).filter_map(|name| find(columns, name));
    let rule = format!("{}.{}", package.name, named.unwrap_or("deny"));
    Denial { rule, fields: fields.map(|column| column.name.clone()).collect() }
}

fn read_filter(rule: &str, element: &Value, columns: &[Column]) -> Result<Predicate, AnswerFault> {
    let text = element.as_object().filter(|object| object.len() == 1).and_then(|object| object.get("expression")).and_then(Value::as_str);
    let text = text.ok_or_else(|| AnswerFault::malformed(rule, "an element must be {\"expression\": text}"))?;
    let columns: Vec<expression::ExpressionColumn<'_>> =
        columns.iter().map(|column| expression::ExpressionColumn { name: &column.name, data_type: column.data_type.as_ref() }).collect();
    expression::parse(text, &columns).map_err(|error| AnswerFault::malformed(rule, error.to_string()))
}

/// `{"column": …, "mask": …}` with the mask's parameters, or `{"column": …, "expression": …}`.
fn read_mask<'a>(rule: &str, element: &Value, columns: &'a [Column]) -> Result<(&'a Column, Mask), AnswerFault> {
    let malformed = |message: &str| AnswerFault::malformed(rule, message);
    let shape = || malformed("an element must be {\"column\": name, \"mask\": name of a mask} or {\"column\": name, \"expression\": text}");
    let object = element.as_object().ok_or_else(shape)?;
    if object.keys().any(|key| key != "column" && !mask::KEYS.contains(&key.as_str())) {
        return Err(shape());
    }
    let name = object.get("column").and_then(Value::as_str).ok_or_else(shape)?;
    let column = find(columns, name).ok_or_else(|| malformed("masks a column that does not exist"))?;
    // A rule that names the contract's own mask need not repeat its parameters.
    let named = object.get("mask").and_then(Value::as_str).filter(|_| object.len() == 2);
    if let Some(own) = column.mask.as_ref().filter(|own| named == Some(own.as_str())) {
        return Ok((column, own.clone()));
    }
    let typed: Vec<ExpressionColumn<'_>> =
        columns.iter().filter_map(|column| Some(ExpressionColumn { name: &column.name, data_type: column.data_type.as_ref()? })).collect();
    let mask = Mask::read(object, column.data_type.as_ref(), &typed).map_err(|fault| malformed(&fault.to_string()))?;
    if mask.shows(&column.name) {
        return Err(malformed("an expression that is the column itself masks nothing"));
    }
    Ok((column, mask))
}

fn elements<'a>(rule: &str, value: &'a Value) -> Result<&'a [Value], AnswerFault> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| AnswerFault::malformed(rule, "not a set"))
}

fn texts(rule: &str, value: &Value) -> Result<Vec<String>, AnswerFault> {
    let texts = elements(rule, value)?.iter().map(|element| element.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().ok_or_else(|| AnswerFault::malformed(rule, "not a set of texts"))
}

fn find<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns.iter().find(|column| column.name.as_str() == name)
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.len() <= CODE_BYTES_MAX && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}
