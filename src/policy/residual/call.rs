//! Functions of the language: on known values the interpreter's own, on columns those that have a filter.

use std::sync::Arc;

use super::super::rego::{Builtin, RegoValue as Value};
use super::super::{LetterCase, Predicate, TextTest};
use super::cond::Cond;
use super::eval::{Evaluator, Stop};
use super::ir::{Shape, Site};
use super::term::{Column, Items, Kind, NumberStep, Rounding, Term};
use super::{invert, operation};

/// A regular expression that compiles to more than this is refused, as the interpreter refuses it.
const REGEX_BYTES_MAX: usize = 100 * 1024;

/// Functions that make a text of anything.
const WORDING: [&str; 4] = ["sprintf", "concat", "format_int", "json.marshal"];

/// Functions whose value is not the same twice.
const FICKLE: [&str; 3] = ["rand.intn", "uuid.rfc4122", "opa.runtime"];

/// The value of a call; `None` if it is undefined.
pub(super) fn builtin(of: &Evaluator<'_>, site: Site, builtin: &Builtin, args: &[Term]) -> Result<Option<Term>, Stop> {
    let name = builtin.name();
    if FICKLE.contains(&name) {
        return Err(Stop::Untranslatable(site, format!("{name} is another for every row")));
    }
    if let Some(values) = args.iter().map(|arg| arg.known().cloned()).collect::<Option<Vec<Value>>>() {
        return match of.call_known(builtin, &values) {
            Ok(Value::Undefined) => Ok(None),
            Ok(value) => Ok(Some(Term::Known(value))),
            Err(why) => Err(Stop::Failed(site, why)),
        };
    }
    if args.iter().any(|arg| matches!(arg, Term::Text)) || WORDING.contains(&name) {
        return Ok(Some(Term::Text));
    }
    if args.iter().any(|arg| matches!(arg, Term::Lost)) {
        return Ok(Some(Term::Lost));
    }
    on_record(of, name, args).map_err(|why| Stop::Untranslatable(site, why))
}

fn on_record(of: &Evaluator<'_>, name: &str, args: &[Term]) -> Result<Option<Term>, String> {
    let one = |term: Term| Ok(Some(term));
    match (name, args) {
        ("startswith" | "endswith" | "contains", [Term::Column(column), Term::Known(Value::String(part))]) => {
            one(Term::truth(like(column, name, part)?))
        }
        ("regex.match", [Term::Known(Value::String(pattern)), Term::Column(column)]) => one(Term::truth(matches(column, pattern)?)),
        ("lower", [Term::Column(column)]) => one(cased(column, LetterCase::Lower)?),
        ("upper", [Term::Column(column)]) => one(cased(column, LetterCase::Upper)?),
        ("count", [Term::Items(items)]) => one(Term::Count(Arc::clone(items))),
        ("count", [Term::Erased]) => one(Term::Known(Value::from(of.erased.len()))),
        ("is_null", [Term::Column(column)]) => one(Term::truth(column.is_null())),
        ("is_null", [Term::Truth(_) | Term::Items(_) | Term::Count(_)]) => one(Term::truth(Cond::False)),
        ("floor", [Term::Column(column)]) if column.is_number() => one(round(column, Rounding::Floor)),
        ("ceil", [Term::Column(column)]) if column.is_number() => one(round(column, Rounding::Ceil)),
        ("round", [Term::Column(column)]) if column.is_number() => one(round(column, Rounding::Round)),
        ("to_number", [Term::Column(column)]) if column.is_number() => one(Term::Column(column.clone())),
        ("time.parse_rfc3339_ns", [Term::Column(column)]) if column.kind == Kind::Instant => {
            one(Term::Column(Column { kind: Kind::Nanoseconds, ..column.clone() }))
        }
        ("object.get", [object, Term::Known(key), default]) => object_get(of, object, key, default),
        ("array.concat", [left, right]) => match (operation::array(left), operation::array(right)) {
            (Some(mut left), Some(right)) => {
                left.extend(right);
                let items = left.into_iter().enumerate().map(|(at, value)| super::term::Item {
                    cond: Cond::True,
                    key: Term::Known(Value::from(at)),
                    value,
                    site: Site::default(),
                });
                one(Items { shape: Shape::Array, items: items.collect() }.into_term())
            }
            _ => Err("arrays that depend on the record are joined".to_owned()),
        },
        _ => {
            let of_record = args.iter().find(|arg| arg.known().is_none()).map(Term::describe).unwrap_or_default();
            Err(format!("the function {name} is applied to {of_record}"))
        }
    }
}

fn round(column: &Column, rounding: Rounding) -> Term {
    let mut steps = column.steps.as_ref().clone();
    steps.push(NumberStep::Round(rounding));
    Term::Column(Column { steps: Arc::new(steps), ..column.clone() })
}

fn require_text(column: &Column, what: &str) -> Result<(), String> {
    if matches!(column.kind, Kind::Text | Kind::Untyped) {
        Ok(())
    } else {
        Err(format!("{what} is applied to column \"{}\", which is no text", column.name))
    }
}

fn cased(column: &Column, case: LetterCase) -> Result<Term, String> {
    require_text(column, case.as_str())?;
    match column.case {
        None => Ok(Term::Column(Column { case: Some(case), ..column.clone() })),
        Some(known) if known == case => Ok(Term::Column(column.clone())),
        Some(_) => Err(format!("the case of column \"{}\" is changed twice", column.name)),
    }
}

fn like(column: &Column, name: &str, part: &str) -> Result<Cond, String> {
    require_text(column, name)?;
    let mut escaped = String::with_capacity(part.len());
    for letter in part.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    let pattern = match name {
        "startswith" => format!("{escaped}%"),
        "endswith" => format!("%{escaped}"),
        _ => format!("%{escaped}%"),
    };
    Ok(match column.case {
        None => Cond::leaf(Predicate::Like { column: column.name.clone(), pattern }),
        Some(case) => invert::folded(column, case, TextTest::Like(pattern)),
    })
}

fn matches(column: &Column, pattern: &str) -> Result<Cond, String> {
    require_text(column, "regex.match")?;
    if !column.is_bare() {
        return Err(format!("regex.match is applied to column \"{}\" in another case", column.name));
    }
    let compiled = regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
    compiled.map_err(|_error| "no regular expression, or one that is too large".to_owned())?;
    Ok(Cond::leaf(Predicate::Matches { column: column.name.clone(), regex: pattern.to_owned() }))
}

/// `object.get` by a key or by a path of keys.
fn object_get(of: &Evaluator<'_>, object: &Term, key: &Value, default: &Term) -> Result<Option<Term>, String> {
    let path = match key {
        Value::Array(path) => path.iter().cloned().collect(),
        key => vec![key.clone()],
    };
    let mut term = object.clone();
    for key in path {
        let found = operation::lookup(of, &term, &Term::Known(key))?;
        term = match found.as_slice() {
            [] => return Ok(Some(default.clone())),
            [only] if only.cond == Cond::True => only.value.clone(),
            _ => return Err("object.get of an object that depends on the record".to_owned()),
        };
    }
    Ok(Some(term))
}
