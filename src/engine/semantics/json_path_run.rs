//! Running SQL/JSON paths: `jsonb_path_query()` and its like, `@?` and `@@`.
//!
//! Items are texts of JSON, so that no number loses a digit; what is computed of numbers is exact, or is refused.
//! INVARIANT: no error holds a part of a value.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;

use crate::error::{ClientMessage, SqlState};

use super::function::{Function, Result, arg, client, fault, in_time};
use super::json::{self, Parts, kind_of};
use super::json_build::{canonical, quoted};
use super::json_path::{Comparison, Condition, JsonPath, Method, Path, parsed};

/// Items that one path may find in one value.
const ITEMS_MAX: usize = 1_000_000;

/// The functions by name.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        query().udf(),
        one("jsonb_path_query_array", |items| Ok(Some(format!("[{}]", items.join(", "))))).udf(),
        one("jsonb_path_query_first", |items| Ok(items.first().cloned())).udf(),
        truth("jsonb_path_exists", |items| Ok(Some(!items.is_empty())), false).udf(),
        truth("jsonb_path_match", matched, false).udf(),
    ]
}

/// `jsonb @? path`
pub(super) fn exists() -> Function {
    truth("jsonb_path_exists_opr", |items| Ok(Some(!items.is_empty())), true)
}

/// `jsonb @@ path`
pub(super) fn matches() -> Function {
    truth("jsonb_path_match_opr", |items| Ok(matched(items).unwrap_or_default()), true)
}

fn matched(items: &[String]) -> Result<Option<bool>> {
    match items {
        [item] if item == "true" => Ok(Some(true)),
        [item] if item == "false" => Ok(Some(false)),
        [item] if item == "null" => Ok(None),
        _ => Err(fault(SqlState::SINGLETON_SQL_JSON_ITEM_REQUIRED, "single boolean result is expected")),
    }
}

/// Value, path, variables, and whether faults of structure are passed over.
fn takes(types: &[DataType]) -> Option<Vec<DataType>> {
    let wanted = [DataType::Utf8, DataType::Utf8, DataType::Utf8, DataType::Boolean];
    matches!(types.len(), 2..=4).then(|| wanted.into_iter().take(types.len()).collect())
}

/// The items of each row; `None` where an argument is NULL, and `failed` where a fault of structure is passed over.
fn items(
    args: &[ArrayRef],
    rows: usize,
    quiet: bool,
    failed: Option<&[String]>,
    mut each: impl FnMut(Option<Vec<String>>, bool) -> Result<()>,
) -> Result<()> {
    let (values, paths) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
    let variables = if args.len() > 2 { Some(arg::<StringArray>(args, 2)?) } else { None };
    let silent = if args.len() > 3 { Some(arg::<BooleanArray>(args, 3)?) } else { None };
    let mut last: Option<(String, JsonPath)> = None;
    for row in 0..rows {
        let known = args.iter().all(|arg| arg.is_valid(row));
        if !known {
            each(None, quiet)?;
            continue;
        }
        if last.as_ref().is_none_or(|(text, _)| text != paths.value(row)) {
            last = Some((paths.value(row).to_owned(), parsed(paths.value(row))?));
        }
        let Some((_, path)) = &last else { continue };
        let quiet = quiet || silent.is_some_and(|silent| silent.value(row));
        let value = values.value(row);
        json::check(value)?;
        let given = variables.map_or("{}", |variables| variables.value(row));
        json::check(given)?;
        if Parts::of(given).is_none_or(|parts| !parts.object) {
            return Err(fault(SqlState::INVALID_PARAMETER_VALUE, "\"vars\" argument is not an object"));
        }
        let run = Run { lax: path.lax, root: value, variables: given };
        match run.found(&path.path, &Scope { current: value, last: None }) {
            Ok(items) => each(Some(items.iter().map(|item| canonical(item)).collect()), quiet)?,
            Err(Fault::Structure(_, _)) if quiet => each(failed.map(<[String]>::to_vec), quiet)?,
            Err(Fault::Structure(state, text)) => return Err(fault(state, text)),
            Err(Fault::Other(error)) => return Err(error),
        }
    }
    Ok(())
}

fn query() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let mut lists = ListBuilder::new(StringBuilder::new());
        items(args, rows, false, Some(&[]), |found, _| {
            let valid = found.is_some();
            found.into_iter().flatten().for_each(|item| lists.values().append_value(item));
            lists.append(valid);
            Ok(())
        })?;
        Ok(Arc::new(lists.finish()) as ArrayRef)
    };
    let list = || DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    Function::new("meshgate_json_path", takes, move |_| Some(list()), computes)
}

fn one(name: &'static str, make: fn(&[String]) -> Result<Option<String>>) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let mut values = StringBuilder::new();
        items(args, rows, false, Some(&[]), |found, _| {
            values.append_option(found.map(|found| make(&found)).transpose()?.flatten());
            Ok(())
        })?;
        Ok(Arc::new(values.finish()) as ArrayRef)
    };
    Function::new(name, takes, |_| Some(DataType::Utf8), computes).answers("jsonb")
}

fn truth(name: &'static str, make: fn(&[String]) -> Result<Option<bool>>, quiet: bool) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let mut truths = Vec::with_capacity(rows);
        items(args, rows, quiet, None, |found, quiet| {
            truths.push(match found.map(|found| make(&found)) {
                Some(Err(_)) if quiet => None,
                Some(made) => made?,
                None => None,
            });
            Ok(())
        })?;
        Ok(Arc::new(BooleanArray::from(truths)) as ArrayRef)
    };
    Function::new(name, takes, |_| Some(DataType::Boolean), computes)
}

/// Why a path finds nothing.
enum Fault {
    /// The value is not as the path wants it: what `silent` passes over, and what makes a condition unknown.
    Structure(SqlState, &'static str),
    Other(DataFusionError),
}

type Found<T> = std::result::Result<T, Fault>;

struct Run<'a> {
    lax: bool,
    root: &'a str,
    variables: &'a str,
}

struct Scope<'a> {
    current: &'a str,
    /// The place of the last element of the array whose subscripts are computed.
    last: Option<usize>,
}

fn structure<T>(state: SqlState, text: &'static str) -> Found<T> {
    Err(Fault::Structure(state, text))
}

fn elements(text: &str) -> Option<Vec<String>> {
    Parts::of(text).filter(|parts| !parts.object).map(|parts| parts.map(|(_, value)| value.trim().to_owned()).collect())
}

fn members(text: &str) -> Option<Vec<(String, String)>> {
    let key = |key: Option<&str>| key.and_then(|key| serde_json::from_str(key).ok()).unwrap_or_default();
    Parts::of(text).filter(|parts| parts.object).map(|parts| parts.map(|(name, value)| (key(name), value.trim().to_owned())).collect())
}

impl Run<'_> {
    fn found(&self, path: &Path, scope: &Scope<'_>) -> Found<Vec<String>> {
        in_time().map_err(Fault::Other)?;
        let found = match path {
            Path::Root => vec![self.root.trim().to_owned()],
            Path::Current => vec![scope.current.trim().to_owned()],
            Path::Constant(text) => vec![text.clone()],
            Path::Last => match scope.last {
                Some(last) => vec![last.to_string()],
                None => return structure(SqlState::SYNTAX_ERROR, "LAST is allowed only in array subscripts"),
            },
            Path::Variable(name) => vec![self.variable(name)?],
            Path::Key(inner, key) => self.of_members(inner, scope, Some(key))?,
            Path::AnyKey(inner) => self.of_members(inner, scope, None)?,
            Path::Elements(inner) => {
                let mut all = Vec::new();
                for item in self.found(inner, scope)? {
                    match elements(&item) {
                        Some(elements) => all.extend(elements),
                        None if self.lax => all.push(item),
                        None => {
                            let text = "jsonpath wildcard array accessor can only be applied to an array";
                            return structure(SqlState::SQL_JSON_ARRAY_NOT_FOUND, text);
                        }
                    }
                }
                all
            }
            Path::Subscripts(inner, all) => self.subscripted(inner, all, scope)?,
            Path::Deep(inner, from, to) => {
                let mut all = Vec::new();
                for item in self.found(inner, scope)? {
                    deep(&item, 0, (*from, *to), &mut all);
                }
                all
            }
            Path::Filter(inner, condition) => {
                let mut kept = Vec::new();
                for item in self.unwrapped(inner, scope)? {
                    if self.holds(condition, &Scope { current: &item, last: scope.last })? == Some(true) {
                        kept.push(item);
                    }
                }
                kept
            }
            Path::Method(inner, method) => self.called(inner, *method, scope)?,
            Path::Negative(inner) => self.negative(inner, scope)?,
            Path::Computed(sign, left, right) => vec![self.computed(*sign, left, right, scope)?],
            Path::Truth(condition) => vec![
                match self.holds(condition, scope)? {
                    Some(true) => "true",
                    Some(false) => "false",
                    None => "null",
                }
                .to_owned(),
            ],
        };
        if found.len() > ITEMS_MAX {
            return Err(Fault::Other(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "jsonpath finds too many items")));
        }
        Ok(found)
    }

    fn variable(&self, name: &str) -> Found<String> {
        let found = members(self.variables).unwrap_or_default().into_iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value).ok_or_else(|| {
            let message = ClientMessage::new(SqlState::UNDEFINED_OBJECT, format!("could not find jsonpath variable \"{name}\""));
            Fault::Other(client(message))
        })
    }

    fn negative(&self, inner: &Path, scope: &Scope<'_>) -> Found<Vec<String>> {
        let number = |item: &String| Number::of(item).and_then(Number::negated).map(Number::written);
        let numbers = self.unwrapped(inner, scope)?.iter().map(number).collect::<Option<Vec<_>>>();
        let text = "operand of unary jsonpath operator - is not a numeric value";
        numbers.map_or_else(|| structure(SqlState::SQL_JSON_NUMBER_NOT_FOUND, text), Ok)
    }

    /// The items; without strictness, of arrays their elements.
    fn unwrapped(&self, path: &Path, scope: &Scope<'_>) -> Found<Vec<String>> {
        let found = self.found(path, scope)?;
        if !self.lax {
            return Ok(found);
        }
        Ok(found.into_iter().flat_map(|item| elements(&item).unwrap_or_else(|| vec![item])).collect())
    }

    /// The members of objects, all of them or those of a key.
    fn of_members(&self, inner: &Path, scope: &Scope<'_>, wanted: Option<&String>) -> Found<Vec<String>> {
        let mut all = Vec::new();
        for item in self.unwrapped(inner, scope)? {
            let Some(members) = members(&item) else {
                if self.lax {
                    continue;
                }
                return match wanted {
                    Some(_) => structure(SqlState::SQL_JSON_MEMBER_NOT_FOUND, "jsonpath member accessor can only be applied to an object"),
                    None => {
                        structure(SqlState::SQL_JSON_OBJECT_NOT_FOUND, "jsonpath wildcard member accessor can only be applied to an object")
                    }
                };
            };
            let before = all.len();
            all.extend(members.into_iter().filter(|(key, _)| wanted.is_none_or(|wanted| key == wanted)).map(|(_, value)| value));
            if wanted.is_some() && all.len() == before && !self.lax {
                return structure(SqlState::SQL_JSON_MEMBER_NOT_FOUND, "JSON object does not contain the key of the jsonpath");
            }
        }
        Ok(all)
    }

    fn subscripted(&self, inner: &Path, subscripts: &[(Path, Option<Path>)], scope: &Scope<'_>) -> Found<Vec<String>> {
        let mut all = Vec::new();
        for item in self.found(inner, scope)? {
            let elements = match elements(&item) {
                Some(elements) => elements,
                None if self.lax => vec![item],
                None => {
                    let text = "jsonpath array accessor can only be applied to an array";
                    return structure(SqlState::SQL_JSON_ARRAY_NOT_FOUND, text);
                }
            };
            let inside = Scope { current: scope.current, last: Some(elements.len().saturating_sub(1)) };
            for (from, to) in subscripts {
                let from = self.place(from, &inside)?;
                let to = to.as_ref().map_or(Ok(from), |to| self.place(to, &inside))?;
                let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
                if !self.lax && (from < 0 || from > to || to >= length) {
                    return structure(SqlState::INVALID_SQL_JSON_SUBSCRIPT, "jsonpath array subscript is out of bounds");
                }
                let places = from.max(0)..=to.min(length - 1);
                all.extend(places.filter_map(|place| elements.get(usize::try_from(place).ok()?).cloned()));
            }
        }
        Ok(all)
    }

    fn place(&self, path: &Path, scope: &Scope<'_>) -> Found<i64> {
        let found = self.found(path, scope)?;
        let place = match found.as_slice() {
            [item] => Number::of(item).and_then(Number::truncated),
            _ => None,
        };
        match place {
            Some(place) => Ok(place),
            None => structure(SqlState::INVALID_SQL_JSON_SUBSCRIPT, "jsonpath array subscript is not a single numeric value"),
        }
    }

    fn called(&self, inner: &Path, method: Method, scope: &Scope<'_>) -> Found<Vec<String>> {
        let whole = matches!(method, Method::Type | Method::Size);
        let items = if whole { self.found(inner, scope)? } else { self.unwrapped(inner, scope)? };
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            match method {
                Method::Type => all.push(quoted(kind_of(&item))),
                Method::Size => match elements(&item) {
                    Some(elements) => all.push(elements.len().to_string()),
                    None if self.lax => all.push("1".to_owned()),
                    None => {
                        let text = "jsonpath item method .size() can only be applied to an array";
                        return structure(SqlState::SQL_JSON_ARRAY_NOT_FOUND, text);
                    }
                },
                Method::KeyValue => {
                    let Some(members) = members(&item) else {
                        let text = "jsonpath item method .keyvalue() can only be applied to an object";
                        return structure(SqlState::SQL_JSON_OBJECT_NOT_FOUND, text);
                    };
                    // The id is the object's place in the stored value, which a text does not have.
                    all.extend(members.iter().map(|(key, value)| format!("{{\"id\": 0, \"key\": {}, \"value\": {value}}}", quoted(key))));
                }
                Method::Double | Method::Ceiling | Method::Floor | Method::Abs => all.push(numeric(&item, method)?),
            }
        }
        Ok(all)
    }

    fn computed(&self, sign: char, left: &Path, right: &Path, scope: &Scope<'_>) -> Found<String> {
        let one = |path: &Path| -> Found<Option<Number>> {
            let items = self.unwrapped(path, scope)?;
            Ok(match items.as_slice() {
                [item] => Number::of(item),
                _ => None,
            })
        };
        let (Some(left), Some(right)) = (one(left)?, one(right)?) else {
            return structure(SqlState::SINGLETON_SQL_JSON_ITEM_REQUIRED, "operand of jsonpath operator is not a single numeric value");
        };
        let computed = match sign {
            '+' => left.sum(right),
            '-' => right.negated().and_then(|right| left.sum(right)),
            '*' => left.product(right),
            '%' if right.value == 0 => return structure(SqlState::DIVISION_BY_ZERO, "division by zero"),
            '%' => left.rest(right),
            _ => return Err(Fault::Other(fault(SqlState::FEATURE_NOT_SUPPORTED, "division in jsonpath is not supported"))),
        };
        computed
            .map(Number::written)
            .ok_or_else(|| Fault::Other(fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")))
    }

    /// Whether a condition holds; `None` is unknown.
    fn holds(&self, condition: &Condition, scope: &Scope<'_>) -> Found<Option<bool>> {
        Ok(match condition {
            Condition::And(left, right) => match self.holds(left, scope)? {
                Some(false) => Some(false),
                known => match self.holds(right, scope)? {
                    Some(true) => known,
                    other => other,
                },
            },
            Condition::Or(left, right) => match self.holds(left, scope)? {
                Some(true) => Some(true),
                known => match self.holds(right, scope)? {
                    Some(false) => known,
                    other => other,
                },
            },
            Condition::Not(inner) => self.holds(inner, scope)?.map(|held| !held),
            Condition::Unknown(inner) => Some(self.holds(inner, scope)?.is_none()),
            Condition::Exists(path) => self.known(self.found(path, scope))?.map(|found| !found.is_empty()),
            Condition::Compared(comparison, left, right) => {
                self.pairs(left, right, scope, |left, right| compared(*comparison, left, right))?
            }
            Condition::StartsWith(left, right) => {
                self.pairs(left, right, scope, |left, right| Some(text(left)?.starts_with(&text(right)?)))?
            }
            Condition::Like(path, regex) => {
                self.pairs(path, &Path::Constant("null".to_owned()), scope, |item, _| Some(regex.is_match(&text(item)?)))?
            }
        })
    }

    /// What was found; nothing is known where the value is not as the path wants it.
    fn known<T>(&self, found: Found<T>) -> Found<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(Fault::Structure(..)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Whether any pair of items fits; with strictness, a pair that cannot be compared makes all unknown.
    fn pairs(&self, left: &Path, right: &Path, scope: &Scope<'_>, fits: impl Fn(&str, &str) -> Option<bool>) -> Found<Option<bool>> {
        let (left, right) = (self.known(self.unwrapped(left, scope))?, self.known(self.unwrapped(right, scope))?);
        let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
        let (mut any, mut unknown) = (false, false);
        for one in &left {
            for other in &right {
                match fits(one, other) {
                    Some(true) if self.lax => return Ok(Some(true)),
                    Some(fit) => any |= fit,
                    None if !self.lax => return Ok(None),
                    None => unknown = true,
                }
            }
        }
        Ok(if any { Some(true) } else { (!unknown).then_some(false) })
    }
}

/// A value and all that is in it, by how deep it stands.
fn deep(item: &str, level: u32, bounds: (u32, u32), all: &mut Vec<String>) {
    let (from, to) = bounds;
    let inner: Vec<String> = match members(item) {
        Some(members) => members.into_iter().map(|(_, value)| value).collect(),
        None => elements(item).unwrap_or_default(),
    };
    // `last` alone means what has nothing in it.
    let wanted = if from == u32::MAX { inner.is_empty() } else { level >= from && level <= to };
    if wanted && all.len() <= ITEMS_MAX {
        all.push(item.to_owned());
    }
    if level < to {
        inner.iter().for_each(|inner| deep(inner, level + 1, bounds, all));
    }
}

fn text(item: &str) -> Option<String> {
    serde_json::from_str(item).ok()
}

fn compared(comparison: Comparison, left: &str, right: &str) -> Option<bool> {
    let order = match (kind_of(left), kind_of(right)) {
        ("null", "null") => Ordering::Equal,
        ("number", "number") => Number::of(left)?.order(Number::of(right)?)?,
        ("string", "string") => text(left)?.cmp(&text(right)?),
        ("boolean", "boolean") => left.cmp(right),
        ("null", "object" | "array") | ("object" | "array", "null") => return Some(comparison == Comparison::Unequal),
        ("object" | "array", _) | (_, "object" | "array") => return None,
        ("null", _) | (_, "null") => return Some(comparison == Comparison::Unequal),
        _ => return None,
    };
    Some(match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::Unequal => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
}

fn numeric(item: &str, method: Method) -> Found<String> {
    let refused = || structure(SqlState::NON_NUMERIC_SQL_JSON_ITEM, "jsonpath item method can only be applied to a numeric value");
    if method == Method::Double {
        let value = if kind_of(item) == "string" { text(item) } else { (kind_of(item) == "number").then(|| item.to_owned()) };
        return match value.and_then(|value| Number::of(value.trim())) {
            Some(number) => Ok(number.written()),
            None => structure(
                SqlState::NON_NUMERIC_SQL_JSON_ITEM,
                "jsonpath item method .double() can only be applied to a string or numeric value",
            ),
        };
    }
    let Some(number) = Number::of(item).filter(|_| kind_of(item) == "number") else { return refused() };
    let computed = match method {
        Method::Ceiling => number.whole(true),
        Method::Floor => number.whole(false),
        _ => number.value.checked_abs().map(|value| Number { value, ..number }),
    };
    computed.map(Number::written).ok_or_else(|| Fault::Other(fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")))
}

/// A decimal number.
#[derive(Debug, Clone, Copy)]
struct Number {
    value: i128,
    scale: u32,
}

impl Number {
    fn of(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let unsigned = whole.strip_prefix('-').unwrap_or(whole);
        if unsigned.is_empty() || !unsigned.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let value: i128 = format!("{whole}{fraction}").parse().ok()?;
        let scale = i64::try_from(fraction.len()).ok()? - exponent.trim_start_matches('+').parse::<i64>().ok()?;
        match u32::try_from(scale) {
            Ok(scale) => (scale <= 38).then_some(Self { value, scale }),
            Err(_) => {
                let zeros = u32::try_from(-scale).ok()?;
                Some(Self { value: value.checked_mul(10_i128.checked_pow(zeros)?)?, scale: 0 })
            }
        }
    }

    fn written(self) -> String {
        let digits = self.value.unsigned_abs().to_string();
        let scale = usize::try_from(self.scale).unwrap_or(0);
        let padded = format!("{}{digits}", "0".repeat((scale + 1).saturating_sub(digits.len())));
        let (whole, fraction) = padded.split_at_checked(padded.len() - scale).unwrap_or((&padded, ""));
        let sign = if self.value < 0 { "-" } else { "" };
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }

    /// Both with as many digits behind the point.
    fn even(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let raised = |number: Self| number.value.checked_mul(10_i128.checked_pow(scale - number.scale)?);
        Some((raised(self)?, raised(other)?, scale))
    }

    fn sum(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.even(other)?;
        Some(Self { value: left.checked_add(right)?, scale })
    }

    fn product(self, other: Self) -> Option<Self> {
        Some(Self { value: self.value.checked_mul(other.value)?, scale: self.scale + other.scale }).filter(|number| number.scale <= 38)
    }

    fn rest(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.even(other)?;
        Some(Self { value: left.checked_rem(right)?, scale })
    }

    fn negated(self) -> Option<Self> {
        Some(Self { value: self.value.checked_neg()?, ..self })
    }

    fn order(self, other: Self) -> Option<Ordering> {
        self.even(other).map(|(left, right, _)| left.cmp(&right))
    }

    fn truncated(self) -> Option<i64> {
        i64::try_from(self.value / 10_i128.checked_pow(self.scale)?).ok()
    }

    fn whole(self, up: bool) -> Option<Self> {
        let unit = 10_i128.checked_pow(self.scale)?;
        let below = self.value.div_euclid(unit);
        let value = if up && self.value.rem_euclid(unit) != 0 { below + 1 } else { below };
        Some(Self { value, scale: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &str, path: &str, variables: &str) -> Result<Vec<String>> {
        let one = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let mut all = Vec::new();
        items(&[one(value), one(path), one(variables)], 1, false, Some(&[]), |found, _| {
            all = found.unwrap_or_default();
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn items_are_found_as_postgres_finds_them() {
        for (value, path, wanted) in [
            (r#"{"a":[1,2,3,4,5]}"#, "$.a[*] ? (@ >= $min && @ <= $max)", vec!["2", "3", "4"]),
            (r#"[1,"2",{}]"#, "$[*].type()", vec!["\"number\"", "\"string\"", "\"object\""]),
            (r#"{"m":[15]}"#, "$.m.size()", vec!["1"]),
            ("[1.3]", "$[0].floor()", vec!["1"]),
            (r#"{"h":1.9}"#, "$.h.ceiling()", vec!["2"]),
            ("[-1]", "$[0].abs()", vec!["1"]),
            ("[2]", "$[0] + 3", vec!["5"]),
            (r#"{"x":[2,8.5]}"#, "- $.x.floor()", vec!["-2", "-8"]),
            ("\"1.5\"", "$.double()", vec!["1.5"]),
            (r#"["abc","abd","aBdC"]"#, r#"$[*] ? (@ like_regex "^ab.*c" flag "i")"#, vec!["\"abc\"", "\"aBdC\""]),
            (r#"["John Smith"]"#, r#"$[*] ? (@ starts with "John")"#, vec!["\"John Smith\""]),
            ("[1,2,3]", "$[last]", vec!["3"]),
            (r#"{"a":{"b":1}}"#, "$.**", vec![r#"{"a": {"b": 1}}"#, r#"{"b": 1}"#, "1"]),
            (r#"{"a":{"b":1}}"#, "$.a.*", vec!["1"]),
            ("[1,2,3]", "$[0 to 1]", vec!["1", "2"]),
            ("[1,null,2]", "$[*] ? (@ == null)", vec!["null"]),
            (r#"{"a":[{"x":1},{"x":2}]}"#, "$.a.x", vec!["1", "2"]),
            (r#"{"a":1}"#, "$.b", vec![]),
            (r#"{"a":"b"}"#, "$.keyvalue()", vec![r#"{"id": 0, "key": "a", "value": "b"}"#]),
            (r#"{"a":[1,2]}"#, "$.a[*] > 1", vec!["true"]),
        ] {
            assert_eq!(found(value, path, r#"{"min":2,"max":4}"#).unwrap(), wanted, "{path}");
        }
    }

    #[test]
    fn strict_paths_want_what_they_name() {
        for path in ["strict $.a", "strict $[0]", "strict $[*]", "strict $.*[5]"] {
            assert!(found("{}", path, "{}").is_err() || path.ends_with("[5]"), "{path}");
        }
        assert!(found("{}", "$nothing", "{}").is_err() && found("{}", "$", "[]").is_err());
    }
}
