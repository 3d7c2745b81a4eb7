//! Evaluates rules with records unknown: every way in which a body can hold is followed, each under its condition on the record.
//!
//! INVARIANT: a way is given up only if no row can take it. Whatever is not understood stops the evaluation, and so denies.
//! The meaning of a NULL and of an undefined value is the module's, see [`super`].

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::rego::{Builtin, EvaluationError, RegoValue as Value, Session, compare as compare_values};
use super::super::{CompareOp, SubjectSet};
use super::computed::{self, Formula, Test};
use super::cond::Cond;
use super::ir::{Body, Clause, Expr, Group, GroupKind, Program, Shape, Site, Stmt};
use super::moment::Moment;
use super::record::Record;
use super::term::{Column, Item, Items, Kind, Term};
use super::{invert, operation};
use crate::product::FieldName;

/// The steps of one evaluation.
const STEPS_MAX: u32 = 1_000_000;

/// The clock is looked at every so many steps.
const STEPS_BETWEEN_CLOCK_READS: u32 = 1_024;

/// How deeply rules and functions may call each other.
const DEPTH_MAX: usize = 48;

/// The ways in which one rule may yield a value.
const WAYS_MAX: usize = 10_000;

/// Why an evaluation has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Stop {
    /// A rule asks of the record what no filter can answer.
    Untranslatable(Site, String),
    /// It fails whatever the record holds.
    Failed(Site, String),
    /// The interpreter failed at a rule that no record reaches.
    Interpreter(EvaluationError),
    /// It takes too long.
    Late,
}

/// What follows from a step.
pub(super) type Flow = Result<(), Stop>;

/// What is done with each value that an expression can have.
pub(super) type Next<'n, 'a> = &'n mut dyn FnMut(&mut Evaluator<'a>, &mut Frame, &Cond, Term) -> Flow;

/// What is done with each way in which conditions can hold.
pub(super) type Then<'n, 'a> = &'n mut dyn FnMut(&mut Evaluator<'a>, &mut Frame, &Cond) -> Flow;

/// The variables of a clause.
#[derive(Debug, Clone, Default)]
pub(super) struct Frame {
    slots: Vec<Option<Term>>,
}

impl Frame {
    fn new(slots: usize) -> Self {
        Self { slots: vec![None; slots] }
    }

    pub(super) fn value(&self, slot: usize) -> Option<&Term> {
        self.slots.get(slot)?.as_ref()
    }

    pub(super) fn set(&mut self, slot: usize, term: Option<Term>) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = term;
        }
    }
}

/// What is known of a rule's value.
#[derive(Debug, Clone)]
enum Memo {
    Unasked,
    Running,
    Done(Arc<Vec<Item>>),
}

/// What is known of one input while another is asked.
struct Elsewhere {
    session: Option<Session>,
    input: Value,
    rules: Vec<Memo>,
    ground: HashMap<String, Option<Value>>,
}

/// One evaluation: one input, one product, unknown records.
pub(super) struct Evaluator<'a> {
    pub(super) program: &'a Program,
    pub(super) record: &'a Record<'a>,
    pub(super) erased: &'a Arc<SubjectSet>,
    pub(super) input: Value,
    pub(super) data: Value,
    /// The key of what is asked about in the input.
    pub(super) resource_key: Value,
    session: &'a mut Session,
    /// The interpreter with an input that a `with` made.
    replaced: Option<Session>,
    rules: Vec<Memo>,
    ground: HashMap<String, Option<Value>>,
    faults: RefCell<Vec<Cond>>,
    /// The condition under which the expression at hand is evaluated.
    under: Cond,
    steps: u32,
    depth: usize,
    deadline: Instant,
    wording: bool,
    /// The clock, if it is to stay open.
    open_clock: Option<i64>,
    /// The times for which all that was concluded from the clock holds.
    valid: Cell<(i64, i64)>,
    /// Whether something was concluded from the clock that cannot be told for another time.
    timed: bool,
    /// The condition that is being evaluated, for faults of what has no place of its own.
    pub(super) at: Site,
    stricter: Cell<bool>,
}

impl<'a> Evaluator<'a> {
    /// Evaluates rules of a program for the input of a session; `open`: as far as possible for any time.
    pub(super) fn new(
        program: &'a Program,
        session: &'a mut Session,
        data: Value,
        record: &'a Record<'a>,
        erased: &'a Arc<SubjectSet>,
        limit: Duration,
        open: bool,
    ) -> Self {
        let open_clock = session.now_ns().filter(|_| open);
        let rules = vec![Memo::Unasked; program.groups.len()];
        let input = session.input().clone();
        Self {
            program,
            record,
            erased,
            input,
            data,
            resource_key: Value::from("resource"),
            session,
            replaced: None,
            rules,
            ground: HashMap::new(),
            faults: RefCell::default(),
            under: Cond::True,
            steps: 0,
            depth: 0,
            deadline: Instant::now() + limit,
            wording: false,
            open_clock,
            valid: Cell::new((i64::MIN, i64::MAX)),
            timed: false,
            at: Site::default(),
            stricter: Cell::new(false),
        }
    }

    /// The rows for which the interpreter would fail.
    pub(super) fn faults(&self) -> Cond {
        Cond::any(self.faults.borrow().iter().cloned())
    }

    /// Notes that rows may be hidden that the interpreter would show.
    pub(super) fn be_stricter(&self) {
        self.stricter.set(true);
    }

    /// Whether rows may be hidden that the interpreter would show.
    pub(super) fn is_stricter(&self) -> bool {
        self.stricter.get() || !self.faults.borrow().is_empty()
    }

    /// Says under which condition what follows is evaluated.
    pub(super) fn go_under(&mut self, cond: &Cond) {
        self.under = cond.clone();
    }

    /// A value that is worked out row by row. Rows for which that fails are hidden.
    pub(super) fn computed(&self, formula: Formula) -> Term {
        if formula.can_fail() {
            let fails = self.under.and(&computed::condition(Test::Fails(formula.clone())));
            let mut faults = self.faults.borrow_mut();
            if !faults.contains(&fails) {
                faults.push(fails);
            }
        }
        Term::Computed(Arc::new(formula))
    }

    /// The clock, if it is to stay open.
    pub(super) fn open_clock(&self) -> Option<i64> {
        self.open_clock
    }

    /// The times for which the result holds; `None` if it is only for the time of the evaluation.
    pub(super) fn valid(&self) -> Option<(i64, i64)> {
        (!self.timed).then(|| self.valid.get())
    }

    /// `moment op value`: known now, and for how long.
    pub(super) fn compare_clock(&self, moment: &Moment, op: CompareOp, value: &Value) -> Result<Cond, String> {
        let refused = || "the clock is compared with what it cannot be followed through".to_owned();
        let (Some(now_ns), Some(steps), Value::Number(_)) = (self.open_clock, moment.arithmetic(), value) else { return Err(refused()) };
        let clock = FieldName::parse("clock").map_err(|_| refused())?;
        let clock = steps.into_iter().fold(Column::new(&clock, Kind::Nanoseconds, true), |clock, step| clock.with_step(step, None));
        let (low, high) = invert::span_around(&clock, op, value, now_ns)?;
        let (from, to) = self.valid.get();
        self.valid.set((from.max(low), to.min(high)));
        Ok(Cond::known(compare_values(op, moment.value(), value)))
    }

    /// Whether a message is being made, in which nothing that is undefined may silence the rule.
    pub(super) fn is_wording(&self) -> bool {
        self.wording
    }

    /// The values of a rule, each under its condition. The value of a set or an object is one.
    pub(super) fn rule(&mut self, number: usize) -> Result<Arc<Vec<Item>>, Stop> {
        let group = self.group(number)?;
        if group.of_clock && self.open_clock.is_none() {
            let value = self.ground(&group.path)?.map(Term::Known);
            let item = |value: Term| Item { cond: Cond::True, key: Term::Known(Value::Null), value, site: site_of(group) };
            return Ok(Arc::new(value.map(item).into_iter().collect()));
        }
        match self.rules.get(number) {
            Some(Memo::Done(values)) => return Ok(Arc::clone(values)),
            Some(Memo::Running) => return Err(Stop::Failed(site_of(group), "the rule asks for itself".to_owned())),
            Some(Memo::Unasked) | None => {}
        }
        self.remember(number, Memo::Running);
        let wording = std::mem::replace(&mut self.wording, group.path.ends_with(".deny"));
        let values = self.values(group, &[]);
        self.wording = wording;
        let values = Arc::new(values?);
        self.remember(number, Memo::Done(Arc::clone(&values)));
        Ok(values)
    }

    /// The elements of a rule that yields a set, as they are put in: one entry a clause and way.
    pub(super) fn parts(&mut self, number: usize) -> Result<Arc<Vec<Item>>, Stop> {
        let values = self.rule(number)?;
        match values.first().map(|item| &item.value) {
            Some(Term::Items(items)) => Ok(Arc::new(items.items.clone())),
            Some(Term::Known(Value::Set(set))) => {
                let site = site_of(self.group(number)?);
                let item =
                    |value: &Value| Item { cond: Cond::True, key: Term::Known(value.clone()), value: Term::Known(value.clone()), site };
                Ok(Arc::new(set.iter().map(item).collect()))
            }
            _ => Err(Stop::Failed(site_of(self.group(number)?), "the rule must be a set".to_owned())),
        }
    }

    fn remember(&mut self, number: usize, memo: Memo) {
        if let Some(place) = self.rules.get_mut(number) {
            *place = memo;
        }
    }

    fn group(&self, number: usize) -> Result<&'a Group, Stop> {
        let missing = || Stop::Failed(Site::default(), "a rule is missing".to_owned());
        self.program.groups.get(number).ok_or_else(missing)
    }

    /// The values of a function for its arguments.
    pub(super) fn call(&mut self, number: usize, args: &[Term]) -> Result<Vec<Item>, Stop> {
        let group = self.group(number)?;
        self.values(group, args)
    }

    /// The value of a rule that no record reaches.
    pub(super) fn ground(&mut self, path: &str) -> Result<Option<Value>, Stop> {
        if let Some(known) = self.ground.get(path) {
            return Ok(known.clone());
        }
        self.timed |= self.program.is_clocked(path);
        let session = self.replaced.as_mut().unwrap_or(self.session);
        let value = session.recall(path).map_err(Stop::Interpreter)?;
        self.ground.insert(path.to_owned(), value.clone());
        Ok(value)
    }

    /// A function of the language on known values, at the statement's time.
    pub(super) fn call_known(&self, builtin: &Builtin, args: &[Value]) -> Result<Value, String> {
        self.session.call(builtin, args)
    }

    /// Counts a step.
    pub(super) fn tick(&mut self) -> Flow {
        self.steps = self.steps.saturating_add(1);
        let late = self.steps.is_multiple_of(STEPS_BETWEEN_CLOCK_READS) && Instant::now() > self.deadline;
        if late || self.steps > STEPS_MAX { Err(Stop::Late) } else { Ok(()) }
    }

    fn values(&mut self, group: &'a Group, args: &[Term]) -> Result<Vec<Item>, Stop> {
        if self.depth >= DEPTH_MAX {
            return Err(Stop::Failed(site_of(group), "rules call each other too deeply".to_owned()));
        }
        self.depth = self.depth.saturating_add(1);
        let mut found = Vec::new();
        for (number, clause) in group.clauses.iter().enumerate() {
            self.clause(clause, number, args, &mut found)?;
        }
        self.depth = self.depth.saturating_sub(1);
        let found_items = found.iter().map(|(_, item)| item.clone());
        match group.kind {
            GroupKind::Set => Ok(vec![whole(Shape::Set, found_items.collect(), site_of(group))]),
            GroupKind::Object => Ok(vec![whole(Shape::Object, found_items.collect(), site_of(group))]),
            GroupKind::Complete | GroupKind::Function => self.one_value(group, args, found),
        }
    }

    /// A rule has one value: two that differ are a fault of the rows for which both hold.
    fn one_value(&mut self, group: &'a Group, args: &[Term], found: Vec<(usize, Item)>) -> Result<Vec<Item>, Stop> {
        let mut values: Vec<(usize, Item)> = Vec::new();
        for (chain, item) in found {
            for (other_chain, other) in &values {
                let exclusive = chain == *other_chain && chain != usize::MAX;
                if !exclusive && other.value != item.value {
                    if other.value.tells_time() || item.value.tells_time() {
                        return Err(Stop::Untranslatable(item.site, "the rule has two values of which the clock tells one".to_owned()));
                    }
                    let both = other.cond.and(&item.cond);
                    if both == Cond::True {
                        return Err(Stop::Failed(item.site, "the rule has two different values".to_owned()));
                    }
                    if !both.never_true() {
                        self.faults.borrow_mut().push(both);
                    }
                }
            }
            match values.iter_mut().find(|(_, known)| known.value == item.value) {
                Some((_, known)) => known.cond = known.cond.or(&item.cond),
                None => values.push((chain, item)),
            }
        }
        let mut values: Vec<Item> = values.into_iter().map(|(_, item)| item).collect();
        if let Some(default) = &group.default {
            let otherwise = Cond::any(values.iter().map(|item| item.cond.clone())).not();
            if otherwise != Cond::False {
                let mut found = Vec::new();
                self.clause(default, 0, args, &mut found)?;
                let value = found.into_iter().map(|(_, item)| Item { cond: item.cond.and(&otherwise), ..item });
                values.extend(value.filter(|item| item.cond != Cond::False));
            }
        }
        Ok(values)
    }

    /// What a clause yields, with a number that is the same for bodies that exclude each other.
    fn clause(&mut self, clause: &'a Clause, number: usize, args: &[Term], found: &mut Vec<(usize, Item)>) -> Flow {
        if clause.args.len() != args.len() {
            return Err(Stop::Failed(clause.site, "a function is called with another number of arguments".to_owned()));
        }
        let mut open = Cond::True;
        for body in &clause.bodies {
            if !body.otherwise {
                open = Cond::True;
            }
            let items = self.body(clause, body, args)?;
            let held = Cond::any(items.iter().map(|item| item.cond.clone()));
            // Two ways through one body do not exclude each other.
            let chain = if items.len() > 1 { usize::MAX } else { number };
            for item in items {
                let cond = item.cond.and(&open);
                if cond != Cond::False {
                    found.push((chain, Item { cond, ..item }));
                }
            }
            open = open.and(&held.not());
            if found.len() > WAYS_MAX {
                return Err(Stop::Late);
            }
        }
        Ok(())
    }

    fn body(&mut self, clause: &'a Clause, body: &'a Body, args: &[Term]) -> Result<Vec<Item>, Stop> {
        let mut items: Vec<Item> = Vec::new();
        let mut frame = Frame::new(clause.slots);
        let site = clause.site;
        self.arguments(clause, args, 0, &mut frame, &Cond::True, &mut |evaluator, frame, cond| {
            evaluator.query(&body.query, frame, cond, &mut |evaluator, frame, cond| evaluator.yielded(body, site, frame, cond, &mut items))
        })?;
        Ok(items)
    }

    fn yielded(&mut self, body: &'a Body, site: Site, frame: &mut Frame, cond: &Cond, items: &mut Vec<Item>) -> Flow {
        self.expr(&body.value, frame, cond, &mut |evaluator, frame, cond, value| {
            let Some(key) = &body.key else {
                add(items, Item { cond: cond.clone(), key: value.clone(), value, site });
                return Ok(());
            };
            evaluator.expr(key, frame, cond, &mut |_, _, cond, key| {
                add(items, Item { cond: cond.clone(), key, value: value.clone(), site });
                Ok(())
            })
        })
    }

    fn arguments(&mut self, clause: &'a Clause, args: &[Term], at: usize, frame: &mut Frame, cond: &Cond, then: Then<'_, 'a>) -> Flow {
        let (Some(pattern), Some(arg)) = (clause.args.get(at), args.get(at)) else { return then(self, frame, cond) };
        self.destructure(clause.site, pattern, arg.clone(), frame, cond, &mut |evaluator, frame, cond| {
            evaluator.arguments(clause, args, at.saturating_add(1), frame, cond, then)
        })
    }

    /// Follows every way in which all conditions hold.
    pub(super) fn query(&mut self, stmts: &'a [Stmt], frame: &mut Frame, cond: &Cond, then: Then<'_, 'a>) -> Flow {
        let Some((stmt, rest)) = stmts.split_first() else { return then(self, frame, cond) };
        self.tick()?;
        match stmt {
            Stmt::Holds(site, expr) => {
                self.at = *site;
                self.expr(expr, frame, cond, &mut |evaluator, frame, cond, term| {
                    let cond = cond.and(&operation::truth(&term));
                    if cond == Cond::False { Ok(()) } else { evaluator.query(rest, frame, &cond, then) }
                })
            }
            Stmt::Fails(site, expr) => {
                self.at = *site;
                let mut held = Cond::False;
                self.expr(expr, frame, &Cond::True, &mut |_, _, cond, term| {
                    held = held.or(&cond.and(&operation::truth(&term)));
                    Ok(())
                })?;
                let cond = cond.and(&held.not());
                if cond == Cond::False { Ok(()) } else { self.query(rest, frame, &cond, then) }
            }
            Stmt::With(site, replaced, stmt) => self.with(*site, replaced, stmt, rest, frame, cond, then),
            Stmt::Some(site, key, value, collection) => self.expr(collection, frame, cond, &mut |evaluator, frame, cond, term| {
                for item in operation::entries(&term).map_err(|why| Stop::Untranslatable(*site, why))? {
                    let cond = cond.and(&item.cond);
                    if cond == Cond::False {
                        continue;
                    }
                    evaluator.destructure(*site, value, item.value, frame, &cond, &mut |evaluator, frame, cond| match key {
                        None => evaluator.query(rest, frame, cond, then),
                        Some(key) => evaluator.destructure(*site, key, item.key.clone(), frame, cond, &mut |evaluator, frame, cond| {
                            evaluator.query(rest, frame, cond, then)
                        }),
                    })?;
                }
                Ok(())
            }),
            Stmt::Every { site, key, value, domain, query } => self.expr(domain, frame, cond, &mut |evaluator, frame, cond, term| {
                let all = evaluator.every(*site, (*key, *value), &term, query, frame)?;
                let cond = cond.and(&all);
                if cond == Cond::False { Ok(()) } else { evaluator.query(rest, frame, &cond, then) }
            }),
        }
    }

    fn every(
        &mut self,
        site: Site,
        (key, value): (Option<usize>, usize),
        domain: &Term,
        query: &'a [Stmt],
        frame: &mut Frame,
    ) -> Result<Cond, Stop> {
        if matches!(domain, Term::Known(known) if !operation::is_collection(known)) {
            return Ok(Cond::False);
        }
        if matches!(domain, Term::Erased) {
            return self.none_erased(site, value, query, frame);
        }
        let mut all = Cond::True;
        for item in operation::entries(domain).map_err(|why| Stop::Untranslatable(site, why))? {
            frame.set(value, Some(item.value));
            if let Some(key) = key {
                frame.set(key, Some(item.key));
            }
            let mut held = Cond::False;
            self.query(query, frame, &Cond::True, &mut |_, _, cond| {
                held = held.or(cond);
                Ok(())
            })?;
            all = all.and(&item.cond.not().or(&held));
        }
        frame.set(value, None);
        if let Some(key) = key {
            frame.set(key, None);
        }
        Ok(all)
    }

    /// A condition in another input: followed to its end there, and on from here.
    #[expect(clippy::too_many_arguments, reason = "the parts of the syntax, and of what goes on")]
    fn with(
        &mut self,
        site: Site,
        replaced: &'a [(Vec<String>, Expr)],
        stmt: &'a Stmt,
        rest: &'a [Stmt],
        frame: &mut Frame,
        cond: &Cond,
        then: Then<'_, 'a>,
    ) -> Flow {
        let mut input = self.input.clone();
        for (path, expr) in replaced {
            let mut values: Vec<(Cond, Term)> = Vec::new();
            self.expr(expr, frame, cond, &mut |_, _, cond, term| {
                values.push((cond.clone(), term));
                Ok(())
            })?;
            input = match values.as_slice() {
                [(held, Term::Known(value))] if held == cond => operation::replaced(&input, path, value.clone())
                    .ok_or_else(|| Stop::Untranslatable(site, "\"with\" replaces a part of what has no parts".to_owned()))?,
                _ => return Err(Stop::Untranslatable(site, "\"with\" puts in what depends on the record".to_owned())),
            };
        }
        let elsewhere = self.enter(input);
        let mut ways: Vec<(Frame, Cond)> = Vec::new();
        let result = self.query(std::slice::from_ref(stmt), frame, cond, &mut |_, frame, cond| {
            ways.push((frame.clone(), cond.clone()));
            Ok(())
        });
        self.leave(elsewhere);
        result?;
        ways.into_iter().try_for_each(|(mut frame, cond)| self.query(rest, &mut frame, &cond, then))
    }

    /// Goes into another input, in which nothing has been asked yet.
    fn enter(&mut self, input: Value) -> Elsewhere {
        let session = self.session.with_input(&input);
        Elsewhere {
            session: self.replaced.replace(session),
            input: std::mem::replace(&mut self.input, input),
            rules: std::mem::replace(&mut self.rules, vec![Memo::Unasked; self.program.groups.len()]),
            ground: std::mem::take(&mut self.ground),
        }
    }

    fn leave(&mut self, elsewhere: Elsewhere) {
        let Elsewhere { session, input, rules, ground } = elsewhere;
        (self.replaced, self.input, self.rules, self.ground) = (session, input, rules, ground);
    }

    /// `every gone in data.erased_subjects { gone != id }`: that the id is not among them. Nothing else can be said of each of them.
    fn none_erased(&mut self, site: Site, value: usize, query: &'a [Stmt], frame: &mut Frame) -> Result<Cond, Stop> {
        let refused =
            || Stop::Untranslatable(site, "\"every\" over the erased people says more than that one is not among them".to_owned());
        let sides = match query {
            [Stmt::Holds(_, Expr::Compare(_, CompareOp::Ne, left, right))] => [left, right],
            [Stmt::Fails(_, Expr::Compare(_, CompareOp::Eq, left, right))] => [left, right],
            _ => return Err(refused()),
        };
        let is_each = |side: &Expr| matches!(side, Expr::Local(slot) if *slot == value);
        let other = match sides {
            [each, other] | [other, each] if is_each(each) && !is_each(other) => other,
            _ => return Err(refused()),
        };
        let mut ids: Vec<(Cond, Term)> = Vec::new();
        self.expr(other, frame, &Cond::True, &mut |_, _, cond, term| {
            ids.push((cond.clone(), term));
            Ok(())
        })?;
        match ids.as_slice() {
            [(Cond::True, id)] => Ok(self.refuse(site, |of| operation::member(of, id, &Term::Erased))?.not()),
            _ => Err(refused()),
        }
    }

    /// A comprehension: one collection of all ways in which its conditions hold.
    pub(super) fn comprehension(
        &mut self,
        shape: Shape,
        key: Option<&'a Expr>,
        value: &'a Expr,
        query: &'a [Stmt],
        frame: &mut Frame,
    ) -> Result<Term, Stop> {
        let mut items: Vec<Item> = Vec::new();
        let site = Site::default();
        self.query(query, frame, &Cond::True, &mut |evaluator, frame, cond| {
            evaluator.expr(value, frame, cond, &mut |evaluator, frame, cond, value| match key {
                Some(key) => evaluator.expr(key, frame, cond, &mut |_, _, cond, key| {
                    add(&mut items, Item { cond: cond.clone(), key, value: value.clone(), site });
                    Ok(())
                }),
                None => {
                    let key = if shape == Shape::Array { Term::Known(Value::from(items.len())) } else { value.clone() };
                    if shape == Shape::Array {
                        items.push(Item { cond: cond.clone(), key, value, site });
                    } else {
                        add(&mut items, Item { cond: cond.clone(), key, value, site });
                    }
                    Ok(())
                }
            })
        })?;
        Ok(Items { shape, items }.into_term())
    }
}

/// Adds what is not there yet; what is there already is there under either condition.
fn add(items: &mut Vec<Item>, item: Item) {
    match items.iter_mut().find(|known| known.key == item.key && known.value == item.value) {
        Some(known) => known.cond = known.cond.or(&item.cond),
        None => items.push(item),
    }
}

fn whole(shape: Shape, items: Vec<Item>, site: Site) -> Item {
    Item { cond: Cond::True, key: Term::Known(Value::Null), value: Items { shape, items }.into_term(), site }
}

fn site_of(group: &Group) -> Site {
    group.clauses.first().or(group.default.as_ref()).map(|clause| clause.site).unwrap_or_default()
}
