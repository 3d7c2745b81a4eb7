//! Functions of the language: on known values the interpreter's own, on columns those that have a filter.

use std::sync::Arc;

use super::super::rego::{Builtin, RegoValue as Value};
use super::super::{CompareOp, LetterCase, Predicate, TextTest};
use super::computed::{self, Formula, Test};
use super::cond::Cond;
use super::eval::{Evaluator, Stop};
use super::ir::{Shape, Site};
use super::moment::Moment;
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
    if let ("time.now_ns", [], Some(now_ns)) = (name, args, of.open_clock()) {
        return Ok(Some(Term::Moment(Moment::now(now_ns))));
    }
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
    if let Some(told) = on_clock(builtin, args) {
        return told.map(Some).map_err(|why| Stop::Untranslatable(site, why));
    }
    if args.iter().any(|arg| matches!(arg, Term::Text)) || WORDING.contains(&name) {
        return Ok(Some(Term::Text));
    }
    if args.iter().any(|arg| matches!(arg, Term::Lost)) {
        return Ok(Some(Term::Lost));
    }
    on_record(of, builtin, args).map_err(|why| Stop::Untranslatable(site, why))
}

/// A function of one moment and known values; `None` if it is of something else.
fn on_clock(builtin: &Builtin, args: &[Term]) -> Option<Result<Term, String>> {
    let mut moments = args.iter().filter_map(|arg| if let Term::Moment(moment) = arg { Some(moment) } else { None });
    let (moment, None) = (moments.next()?, moments.next()) else { return None };
    if !args.iter().all(|arg| matches!(arg, Term::Moment(_)) || arg.known().is_some()) {
        return None;
    }
    let told = match (builtin.name(), args.len()) {
        ("floor", 1) => moment.with_number(NumberStep::Round(Rounding::Floor)),
        ("ceil", 1) => moment.with_number(NumberStep::Round(Rounding::Ceil)),
        ("round", 1) => moment.with_number(NumberStep::Round(Rounding::Round)),
        _ => moment.with_call(builtin, args.iter().map(|arg| arg.known().cloned()).collect()),
    };
    Some(told.map(Term::Moment).ok_or_else(|| format!("{} of the clock has no value that can be told again", builtin.name())))
}

fn on_record(of: &Evaluator<'_>, builtin: &Builtin, args: &[Term]) -> Result<Option<Term>, String> {
    let name = builtin.name();
    let one = |term: Term| Ok(Some(term));
    match (name, args) {
        ("startswith" | "endswith" | "contains", [Term::Column(column), Term::Known(Value::String(part))]) => {
            one(Term::truth(like(column, name, part)?))
        }
        ("regex.match", [Term::Known(Value::String(pattern)), Term::Column(column)]) => one(Term::truth(matches(column, pattern)?)),
        ("lower", [Term::Column(column)]) if column.case != Some(LetterCase::Upper) => one(cased(column, LetterCase::Lower)?),
        ("upper", [Term::Column(column)]) if column.case != Some(LetterCase::Lower) => one(cased(column, LetterCase::Upper)?),
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
            if let Some(formula) = computed::called(builtin, args) {
                let Term::Computed(formula) = of.computed(formula) else { return one(Term::Lost) };
                let truth = || Test::Compare(formula.as_ref().clone(), CompareOp::Eq, Formula::Const(Value::from(true)));
                let test = computed::is_test(name);
                return one(if test { Term::truth(computed::condition(truth())) } else { Term::Computed(formula) });
            }
            let of_record = args.iter().find(|arg| arg.known().is_none()).map(Term::describe).unwrap_or_default();
            Err(format!("the function {name} is applied to {of_record}"))
        }
    }
}

fn round(column: &Column, rounding: Rounding) -> Term {
    Term::Column(column.clone().with_step(NumberStep::Round(rounding), None))
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
    Ok(Term::Column(Column { case: Some(case), ..column.clone() }))
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
