//! Operators on terms: what a comparison, a membership or arithmetic is while records are unknown.

use std::sync::Arc;

use super::super::rego::{RegoValue as Value, compare as compare_values};
use super::super::{CompareOp, Predicate};
use super::computed::{self, Formula, Test};
use super::cond::Cond;
use super::eval::Evaluator;
use super::invert;
use super::ir::{ArithOp, SetOp, Shape, Site};
use super::moment::{Bound, Moment, Moving};
use super::term::{Column, Item, Items, Kind, NumberStep, Term};

/// The longest collection whose size is compared with more than nothing.
const COUNTED_MAX: usize = 12;

/// The most values that a column is compared with one by one.
const VALUES_MAX: usize = 10_000;

/// Whether a condition of that value holds: everything but false and undefined does.
pub(super) fn truth(term: &Term) -> Cond {
    match term {
        Term::Known(value) => Cond::known(!matches!(value, Value::Bool(false) | Value::Undefined)),
        Term::Column(column) if column.kind == Kind::Flag => flag(column),
        Term::Column(column) => column.present(),
        Term::Truth(cond) => cond.clone(),
        Term::Computed(formula) => {
            let no = Formula::Const(Value::from(false));
            computed::condition(Test::Compare(formula.as_ref().clone(), CompareOp::Ne, no))
        }
        Term::Lost => Cond::Unknown,
        Term::Moment(_) | Term::Document(..) | Term::Items(_) | Term::Count(_) | Term::Erased | Term::ErasedOne | Term::Text => Cond::True,
    }
}

fn flag(column: &Column) -> Cond {
    Cond::leaf(Predicate::Compare { column: column.name.clone(), op: CompareOp::Eq, value: super::super::Literal::Bool(true) })
}

/// `left = right`
pub(super) fn equal(of: &Evaluator<'_>, left: &Term, right: &Term) -> Result<Cond, String> {
    compare(of, CompareOp::Eq, left, right)
}

/// `left op right`
pub(super) fn compare(of: &Evaluator<'_>, op: CompareOp, left: &Term, right: &Term) -> Result<Cond, String> {
    let unordered = |cond: Cond| match op {
        CompareOp::Eq => Ok(cond),
        CompareOp::Ne => Ok(cond.not()),
        CompareOp::Lt | CompareOp::Le | CompareOp::Gt | CompareOp::Ge => Err("what hangs on the record has no order".to_owned()),
    };
    if [left, right].into_iter().any(|term| matches!(term, Term::Column(Column { kind: Kind::Uuid, .. }))) {
        // A UUID is the same in any spelling, but not to the interpreter.
        of.be_stricter();
    }
    match (left, right) {
        (Term::Known(left), Term::Known(right)) => Ok(Cond::known(compare_values(op, left, right))),
        (Term::Lost, _) | (_, Term::Lost) => Ok(Cond::Unknown),
        (Term::Column(column), Term::Known(value)) => compare_column(of, column, op, value),
        (Term::Known(value), Term::Column(column)) => compare_column(of, column, op.swapped(), value),
        (Term::Column(column), Term::Moment(moment)) => compare_moment(of, column, op, moment),
        (Term::Moment(moment), Term::Column(column)) => compare_moment(of, column, op.swapped(), moment),
        (Term::Moment(left), Term::Moment(right)) if left.is_made_like(right) => Ok(Cond::known(op.holds(std::cmp::Ordering::Equal))),
        (Term::Moment(moment), Term::Known(value)) => of.compare_clock(moment, op, value),
        (Term::Known(value), Term::Moment(moment)) => of.compare_clock(moment, op.swapped(), value),
        (Term::Column(one), Term::Column(other)) => match invert::compare_columns(one, op, other) {
            Err(why) if one.is_number() && other.is_number() => worked_out(of, left, op, right).ok_or(why),
            result => result,
        },
        (Term::Truth(cond), Term::Known(Value::Bool(truth))) | (Term::Known(Value::Bool(truth)), Term::Truth(cond)) => {
            unordered(if *truth { cond.clone() } else { cond.not() })
        }
        (Term::Truth(_), Term::Known(_)) | (Term::Known(_), Term::Truth(_)) => unordered(Cond::False),
        (Term::Truth(left), Term::Truth(right)) => unordered(same(left, right)),
        (Term::Truth(cond), Term::Column(column)) | (Term::Column(column), Term::Truth(cond)) if column.kind == Kind::Flag => {
            unordered(same(cond, &flag(column)))
        }
        (Term::Count(items), Term::Known(Value::Number(_))) => count(items, op, right),
        (Term::Known(Value::Number(_)), Term::Count(items)) => count(items, op.swapped(), left),
        (Term::Items(items), Term::Known(value)) | (Term::Known(value), Term::Items(items)) => unordered(same_items(of, items, value)?),
        (Term::ErasedOne, other) | (other, Term::ErasedOne) if op == CompareOp::Eq => member(of, other, &Term::Erased),
        (left, right) => {
            let computed = [left, right].into_iter().any(|term| matches!(term, Term::Computed(_)));
            let found = if computed { worked_out(of, left, op, right) } else { None };
            found.ok_or_else(|| format!("{} is compared with {}", left.describe(), right.describe()))
        }
    }
}

/// `column op value`, where the clock may have a part in the column's arithmetic.
fn compare_column(of: &Evaluator<'_>, column: &Column, op: CompareOp, value: &Value) -> Result<Cond, String> {
    let inverted = match of.open_clock() {
        Some(now_ns) if !column.moving.is_empty() => Moving::compare(column, op, Bound::Known(value.clone()), now_ns),
        _ => invert::compare(column, op, value),
    };
    match inverted {
        // Arithmetic that cannot be undone can still be done.
        Err(why) if !column.steps.is_empty() && matches!(value, Value::Number(_)) => {
            worked_out(of, &Term::Column(column.clone()), op, &Term::Known(value.clone())).ok_or(why)
        }
        result => result,
    }
}

/// A comparison that is worked out row by row, if it can be.
fn worked_out(of: &Evaluator<'_>, left: &Term, op: CompareOp, right: &Term) -> Option<Cond> {
    for side in [left, right] {
        if let Term::Column(column) = side {
            // Rows for which its arithmetic fails are hidden from here on.
            of.computed(Formula::of_column(column)?);
        }
    }
    computed::compared(left, op, right)
}

/// `column op moment`
fn compare_moment(of: &Evaluator<'_>, column: &Column, op: CompareOp, moment: &Moment) -> Result<Cond, String> {
    let now_ns = of.open_clock().ok_or("the clock is not open")?;
    Moving::compare(column, op, Bound::Moment(moment.clone()), now_ns)
}

fn same(left: &Cond, right: &Cond) -> Cond {
    left.and(right).or(&left.not().and(&right.not()))
}

/// Whether a collection is that value.
fn same_items(of: &Evaluator<'_>, items: &Items, value: &Value) -> Result<Cond, String> {
    match (items.shape, value) {
        (Shape::Set, Value::Set(set)) => {
            let known = Term::Known(value.clone());
            let inside = items.items.iter().map(|item| Ok(item.cond.not().or(&member(of, &item.value, &known)?)));
            let outside = set.iter().map(|element| held(of, &Term::Known(element.clone()), &items.items));
            Ok(Cond::all(inside.chain(outside).collect::<Result<Vec<_>, String>>()?))
        }
        (Shape::Array, Value::Array(array)) if array.is_empty() => Ok(items.is_inhabited().not()),
        (Shape::Object, Value::Object(object)) if object.is_empty() => Ok(items.is_inhabited().not()),
        (Shape::Array, Value::Array(array)) if items.items.iter().all(|item| item.cond == Cond::True) => {
            if array.len() != items.items.len() {
                return Ok(Cond::False);
            }
            let pairs = items.items.iter().zip(array.iter());
            let parts = pairs.map(|(item, value)| equal(of, &item.value, &Term::Known(value.clone())));
            Ok(Cond::all(parts.collect::<Result<Vec<_>, _>>()?))
        }
        (Shape::Set, _) if !matches!(value, Value::Set(_)) => Ok(Cond::False),
        (Shape::Array, _) if !matches!(value, Value::Array(_)) => Ok(Cond::False),
        (Shape::Object, _) if !matches!(value, Value::Object(_)) => Ok(Cond::False),
        _ => Err("a collection that depends on the record is compared as a whole".to_owned()),
    }
}

/// A number of elements against a number.
fn count(items: &Items, op: CompareOp, number: &Term) -> Result<Cond, String> {
    let number = number.known().and_then(|number| number.as_i64().ok()).ok_or("a number of elements is compared with a fraction")?;
    let at_least = |least: i64| at_least(items, least);
    match op {
        CompareOp::Ge => at_least(number),
        CompareOp::Gt => at_least(number.saturating_add(1)),
        CompareOp::Lt => at_least(number).map(|cond| cond.not()),
        CompareOp::Le => at_least(number.saturating_add(1)).map(|cond| cond.not()),
        CompareOp::Eq => Ok(at_least(number)?.and(&at_least(number.saturating_add(1))?.not())),
        CompareOp::Ne => Ok(at_least(number)?.and(&at_least(number.saturating_add(1))?.not()).not()),
    }
}

fn at_least(items: &Items, least: i64) -> Result<Cond, String> {
    if least <= 0 {
        return Ok(Cond::True);
    }
    if least == 1 {
        return Ok(items.is_inhabited());
    }
    let mut conds: Vec<(Option<&Value>, Cond)> = Vec::new();
    for item in &items.items {
        let key = if items.shape == Shape::Array { None } else { item.key.known() };
        if items.shape != Shape::Array && key.is_none() {
            return Err("elements that depend on the record are counted".to_owned());
        }
        match conds.iter_mut().find(|(known, _)| known.is_some() && *known == key) {
            Some((_, cond)) => *cond = cond.or(&item.cond),
            None => conds.push((key, item.cond.clone())),
        }
    }
    let certain = conds.iter().filter(|(_, cond)| *cond == Cond::True).count();
    let open: Vec<Cond> = conds.into_iter().map(|(_, cond)| cond).filter(|cond| *cond != Cond::True).collect();
    let least = usize::try_from(least).unwrap_or(usize::MAX).saturating_sub(certain);
    if open.len() > COUNTED_MAX {
        return Err("too many elements that depend on the record are counted".to_owned());
    }
    Ok(some_of(&open, least))
}

fn some_of(conds: &[Cond], least: usize) -> Cond {
    match conds.split_first() {
        _ if least == 0 => Cond::True,
        _ if least > conds.len() => Cond::False,
        Some((first, rest)) => first.and(&some_of(rest, least.saturating_sub(1))).or(&some_of(rest, least)),
        None => Cond::False,
    }
}

/// Whether one of the elements is the value.
fn held(of: &Evaluator<'_>, value: &Term, items: &[Item]) -> Result<Cond, String> {
    let parts = items.iter().map(|item| Ok(item.cond.and(&equal(of, value, &item.value)?)));
    Ok(Cond::any(parts.collect::<Result<Vec<_>, String>>()?))
}

/// `value in collection`
pub(super) fn member(of: &Evaluator<'_>, value: &Term, collection: &Term) -> Result<Cond, String> {
    match (value, collection) {
        (Term::Lost, _) | (_, Term::Lost) => Ok(Cond::Unknown),
        (Term::Column(column), Term::Erased) => erased(of, column),
        (Term::Known(value), Term::Erased) => Ok(Cond::known(is_erased(of, value))),
        (Term::Column(column), Term::Known(collection)) => {
            if column.kind == Kind::Uuid {
                of.be_stricter();
            }
            let values = values(collection);
            if values.len() > VALUES_MAX {
                return Err(format!("column \"{}\" is looked for among more than {VALUES_MAX} values", column.name));
            }
            let (nulls, values): (Vec<Value>, Vec<Value>) = values.into_iter().partition(|value| *value == Value::Null);
            let null = if nulls.is_empty() { Cond::False } else { column.is_null() };
            if values.is_empty() && nulls.is_empty() { Ok(Cond::False) } else { Ok(invert::contained(column, &values)?.or(&null)) }
        }
        (Term::Computed(formula), Term::Known(collection)) => {
            let values: std::collections::BTreeSet<Value> = values(collection).into_iter().collect();
            let among = || computed::condition(Test::Among(formula.as_ref().clone(), Arc::new(values.clone())));
            Ok(if values.is_empty() { Cond::False } else { among() })
        }
        (value, Term::Known(collection)) => {
            let items: Vec<Item> =
                values(collection).into_iter().map(|value| item(Term::Known(value.clone()), Term::Known(value))).collect();
            held(of, value, &items)
        }
        (value, Term::Items(items)) => held(of, value, &items.items),
        (_, collection) => Err(format!("{} is searched", collection.describe())),
    }
}

/// `key, value in collection`
pub(super) fn member_at(of: &Evaluator<'_>, key: &Term, value: &Term, collection: &Term) -> Result<Cond, String> {
    if matches!(collection, Term::Known(Value::Set(_))) {
        return Ok(Cond::False);
    }
    let found = lookup(of, collection, key)?;
    held(of, value, &found)
}

/// Whether a row is an erased person's.
fn erased(of: &Evaluator<'_>, column: &Column) -> Result<Cond, String> {
    // An id is found in any type and with any space around it, where the interpreter wants it letter by letter.
    of.be_stricter();
    let names_people = matches!(column.kind, Kind::Integer(..) | Kind::Text | Kind::Uuid | Kind::Untyped | Kind::Decimal(_, 0));
    if !names_people || !column.is_bare() {
        return Err(format!("values of column \"{}\" do not name people", column.name));
    }
    Ok(Cond::leaf(Predicate::Member { column: column.name.clone(), set: Arc::clone(of.erased) }))
}

/// Whether a known id is an erased person's, in whatever type it comes.
fn is_erased(of: &Evaluator<'_>, id: &Value) -> bool {
    match id {
        Value::String(text) => of.erased.contains(text.trim()) || of.erased.contains_uuid(text.trim()),
        Value::Number(number) => of.erased.contains(&number.format_decimal()),
        _ => false,
    }
}

/// The values of a known collection; none of anything else.
fn values(collection: &Value) -> Vec<Value> {
    match collection {
        Value::Array(array) => array.iter().cloned().collect(),
        Value::Set(set) => set.iter().cloned().collect(),
        Value::Object(object) => object.values().cloned().collect(),
        _ => Vec::new(),
    }
}

/// Whether a value has elements to run through.
pub(super) fn is_collection(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Set(_) | Value::Object(_))
}

fn item(key: Term, value: Term) -> Item {
    Item { cond: Cond::True, key, value, site: Site::default() }
}

/// The elements of a collection.
pub(super) fn entries(term: &Term) -> Result<Vec<Item>, String> {
    let known = |key: Value, value: &Value| item(Term::Known(key), Term::Known(value.clone()));
    match term {
        Term::Known(Value::Array(array)) => Ok(array.iter().enumerate().map(|(at, value)| known(Value::from(at), value)).collect()),
        Term::Known(Value::Set(set)) => Ok(set.iter().map(|value| known(value.clone(), value)).collect()),
        Term::Known(Value::Object(object)) => Ok(object.iter_sorted().map(|(key, value)| known(key.clone(), value)).collect()),
        Term::Known(_) => Ok(Vec::new()),
        Term::Items(items) => Ok(items.items.clone()),
        Term::Erased => Ok(vec![item(Term::ErasedOne, Term::ErasedOne)]),
        Term::Lost => Ok(vec![Item { cond: Cond::Unknown, ..item(Term::Lost, Term::Lost) }]),
        other => Err(format!("{} is run through", other.describe())),
    }
}

/// The elements of an array that is known to have them all.
pub(super) fn array(term: &Term) -> Option<Vec<Term>> {
    match term {
        Term::Known(Value::Array(array)) => Some(array.iter().map(|value| Term::Known(value.clone())).collect()),
        Term::Items(items) if items.shape == Shape::Array && items.items.iter().all(|item| item.cond == Cond::True) => {
            Some(items.items.iter().map(|item| item.value.clone()).collect())
        }
        _ => None,
    }
}

/// The fields of an object that is known to have them all.
pub(super) fn object(term: &Term) -> Option<Vec<(Value, Term)>> {
    match term {
        Term::Known(Value::Object(object)) => {
            Some(object.iter_sorted().map(|(key, value)| (key.clone(), Term::Known(value.clone()))).collect())
        }
        Term::Items(items) if items.shape == Shape::Object && items.items.iter().all(|item| item.cond == Cond::True) => {
            items.items.iter().map(|item| Some((item.key.known()?.clone(), item.value.clone()))).collect()
        }
        _ => None,
    }
}

/// The element of a known value at a known key.
pub(super) fn get<'v>(value: &'v Value, key: &Value) -> Option<&'v Value> {
    match value {
        Value::Object(object) => object.get(key),
        Value::Set(set) => set.get(key),
        Value::Array(array) => array.get(usize::try_from(key.as_u64().ok()?).ok()?),
        _ => None,
    }
}

/// A document with another value at a path; `None` if something on the way has no parts.
pub(super) fn replaced(document: &Value, path: &[String], value: Value) -> Option<Value> {
    let Some((name, rest)) = path.split_first() else { return Some(value) };
    let Value::Object(object) = document else { return None };
    let key = Value::from(name.as_str());
    let inner = object.get(&key).cloned().unwrap_or_else(Value::new_object);
    let mut fields: std::collections::BTreeMap<Value, Value> =
        object.iter_sorted().map(|(key, value)| (key.clone(), value.clone())).collect();
    fields.insert(key, replaced(&inner, rest, value)?);
    Some(Value::from(fields))
}

/// `base[key]`: what it can be, each under its condition.
pub(super) fn lookup(of: &Evaluator<'_>, base: &Term, key: &Term) -> Result<Vec<Item>, String> {
    let one = |term: Term| vec![item(key.clone(), term)];
    match (base, key) {
        (Term::Lost, _) | (_, Term::Lost) => Ok(one(Term::Lost)),
        (Term::Document(root, part), Term::Known(key)) => Ok(of.document(*root, *part, key)?.map(one).unwrap_or_default()),
        (Term::Known(value), Term::Known(key)) => Ok(get(value, key).map(|value| one(Term::Known(value.clone()))).unwrap_or_default()),
        (Term::Known(Value::Set(_)) | Term::Erased, key) => {
            Ok(vec![Item { cond: member(of, key, base)?, ..item(key.clone(), key.clone()) }])
        }
        (Term::Known(Value::Object(_)), Term::Column(_) | Term::Computed(_)) => {
            let found = entries(base)?.into_iter().map(|entry| Ok(Item { cond: equal(of, key, &entry.key)?, ..entry }));
            found.filter(|entry| !matches!(entry, Ok(Item { cond: Cond::False, .. }))).collect()
        }
        (Term::Items(items), _) => {
            if items.shape == Shape::Array && items.items.iter().any(|item| item.cond != Cond::True) {
                return Err("an array that depends on the record is read by number".to_owned());
            }
            let found = items.items.iter().map(|item| Ok(Item { cond: item.cond.and(&equal(of, key, &item.key)?), ..item.clone() }));
            found.filter(|entry| !matches!(entry, Ok(Item { cond: Cond::False, .. }))).collect()
        }
        (base, key) => Err(format!("{} is read at {}", base.describe(), key.describe())),
    }
}

/// Arithmetic with a column; the difference of sets.
pub(super) fn arithmetic(of: &Evaluator<'_>, op: ArithOp, left: Term, right: Term) -> Result<Term, String> {
    let step = |column: Column, step: NumberStep| Ok(Term::Column(column.with_step(step, None)));
    let moved = |moment: &Moment, step: NumberStep| {
        let moment = moment.with_number(step).ok_or_else(|| "arithmetic on the clock fails".to_owned())?;
        Ok(Term::Moment(moment))
    };
    match (left, right) {
        (Term::Lost, _) | (_, Term::Lost) => Ok(Term::Lost),
        (Term::Column(column), Term::Known(value @ Value::Number(_))) if column.is_number() && op != ArithOp::Mod => {
            step(column, NumberStep::Left(op, value))
        }
        (Term::Known(value @ Value::Number(_)), Term::Column(column))
            if column.is_number() && !matches!(op, ArithOp::Mod | ArithOp::Div) =>
        {
            step(column, NumberStep::Right(value, op))
        }
        (Term::Moment(moment), Term::Known(value @ Value::Number(_))) => moved(&moment, NumberStep::Left(op, value)),
        (Term::Known(value @ Value::Number(_)), Term::Moment(moment)) => moved(&moment, NumberStep::Right(value, op)),
        (Term::Column(column), Term::Moment(moment)) if column.is_number() && op != ArithOp::Mod => {
            let step = NumberStep::Left(op, moment.value().clone());
            Ok(Term::Column(column.with_step(step, Some(moment))))
        }
        (Term::Moment(moment), Term::Column(column)) if column.is_number() && !matches!(op, ArithOp::Mod | ArithOp::Div) => {
            let step = NumberStep::Right(moment.value().clone(), op);
            Ok(Term::Column(column.with_step(step, Some(moment))))
        }
        (left, right) => match (op, set_items(&left), set_items(&right)) {
            (_, None, None) => {
                let of_record = left.is_of_record() || right.is_of_record();
                let numbers = computed::formula(&left).zip(computed::formula(&right)).filter(|_| of_record);
                let numbers = numbers.filter(|(left, right)| left.is_number() && right.is_number());
                let (one, other) =
                    numbers.ok_or_else(|| format!("arithmetic on {} and {} cannot be done", left.describe(), right.describe()))?;
                Ok(of.computed(Formula::Arith(op, Box::new(one), Box::new(other))))
            }
            (ArithOp::Sub, Some(items), Some(_)) => {
                let left_over =
                    items.into_iter().map(|item| Ok(Item { cond: item.cond.and(&member(of, &item.value, &right)?.not()), ..item }));
                Ok(set_of(left_over.collect::<Result<_, String>>()?))
            }
            _ => Err(format!("arithmetic on {} and {} cannot be done", left.describe(), right.describe())),
        },
    }
}

/// Union and intersection of sets that depend on the record.
pub(super) fn combine(of: &Evaluator<'_>, op: SetOp, left: &Term, right: &Term) -> Result<Term, String> {
    match (op, set_items(left), set_items(right)) {
        _ if matches!(left, Term::Lost) || matches!(right, Term::Lost) => Ok(Term::Lost),
        (SetOp::Union, Some(mut items), Some(more)) => {
            items.extend(more);
            Ok(set_of(items))
        }
        (SetOp::Intersection, Some(items), Some(_)) => {
            let common = items.into_iter().map(|item| Ok(Item { cond: item.cond.and(&member(of, &item.value, right)?), ..item }));
            Ok(set_of(common.collect::<Result<_, String>>()?))
        }
        _ => Err(format!("{} and {} are no sets", left.describe(), right.describe())),
    }
}

fn set_items(term: &Term) -> Option<Vec<Item>> {
    match term {
        Term::Known(Value::Set(_)) => entries(term).ok(),
        Term::Items(items) if items.shape == Shape::Set => Some(items.items.clone()),
        _ => None,
    }
}

fn set_of(mut items: Vec<Item>) -> Term {
    items.retain(|item| item.cond != Cond::False);
    Items { shape: Shape::Set, items }.into_term()
}
