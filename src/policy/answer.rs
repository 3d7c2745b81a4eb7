//! Reads what the rules answered. An answer that is not wholly understood is a fault, and a fault is a deny.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::product::FieldName;
use crate::product::mask::{self, ExpressionColumn};

use super::bundle::Package;
use super::contract::Column;
use super::expression;
use super::rego::{EvaluationError, Rego};
use super::{Mask, Predicate, schema};

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
            Self::Malformed { .. } => "guard.answer",
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
    pub(super) filters: Vec<Predicate>,
    /// The rule that answered the filters.
    pub(super) filters_rule: String,
    pub(super) retention_exempt: bool,
    pub(super) erasure_exempt: bool,
    pub(super) notices: Vec<String>,
}

/// Asks a generated entry rule; the answer has a value for each of the rules that the package declares among `names`.
pub(super) fn ask(rego: &Rego, package: &Package, entry: &str, names: &[&str], input: &Value) -> Result<Map<String, Value>, AnswerFault> {
    let declared: Vec<&&str> = names.iter().filter(|name| package.declares(name)).collect();
    if declared.is_empty() {
        return Ok(Map::new());
    }
    let answer = rego.ask(entry, Some(input)).map_err(|error| match error {
        EvaluationError::Late => AnswerFault::Late,
        EvaluationError::Failed { .. } => AnswerFault::Failed(error.to_string()),
    })?;
    let answer = match answer {
        Some(Value::Object(answer)) => answer,
        Some(_) => return Err(AnswerFault::malformed(&package.name, "no object")),
        None => Map::new(),
    };
    if let Some(missing) = declared.into_iter().find(|name| !answer.contains_key(**name)) {
        return Err(AnswerFault::Undefined(format!("{}.{missing}", package.name)));
    }
    let answer = Value::Object(answer);
    match (schema::misfit(&answer), answer) {
        (None, Value::Object(answer)) => Ok(answer),
        (place, _) => {
            let message = format!("the answer does not fit its schema at \"{}\"", place.unwrap_or_default());
            Err(AnswerFault::malformed(&package.name, message))
        }
    }
}

/// Reads `columnMasks` and `fieldGrants` into `masks`. Two packages that mask one column differently leave nothing of it.
pub(super) fn read_masks(package: &Package, answer: &Map<String, Value>, columns: &[Column], masks: &mut Masks) -> Result<(), AnswerFault> {
    if let Some(value) = answer.get("columnMasks") {
        let rule = format!("{}.columnMasks", package.name);
        for element in elements(&rule, value)? {
            let (column, mask) = read_mask(&rule, element, columns)?;
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
        read.filters = elements(&name, value)?.iter().map(|element| read_filter(&name, element, columns)).collect::<Result<_, _>>()?;
        read.filters_rule = name;
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
