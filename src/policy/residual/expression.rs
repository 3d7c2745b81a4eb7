//! Expressions: follows every value that one can have, each under its condition on the record.

use std::cell::Cell;

use super::super::rego::{RegoValue as Value, arithmetic, combine};
use super::call;
use super::cond::Cond;
use super::eval::{Evaluator, Flow, Frame, Next, Stop, Then};
use super::ir::{ArithOp, Callee, Expr, Root, SetOp, Shape, Site};
use super::moment::Moment;
use super::operation;
use super::term::{Item, Items, Part, Term};

/// What is done with two values; `None` if one is undefined and the other is of the record.
type NextPair<'n, 'a> = &'n mut dyn FnMut(&mut Evaluator<'a>, &mut Frame, &Cond, Option<(Term, Term)>) -> Flow;

/// What is done with the values of a list.
type NextList<'n, 'a> = &'n mut dyn FnMut(&mut Evaluator<'a>, &mut Frame, &Cond, &[Term]) -> Flow;

impl<'a> Evaluator<'a> {
    /// Calls `next` with each value that the expression can have.
    pub(super) fn expr(&mut self, expr: &'a Expr, frame: &mut Frame, cond: &Cond, next: Next<'_, 'a>) -> Flow {
        self.tick()?;
        match expr {
            Expr::Const(value) => next(self, frame, cond, Term::Known(value.clone())),
            Expr::Local(slot) => match frame.value(*slot).cloned() {
                Some(term) => next(self, frame, cond, term),
                None => Err(unbound(self.at)),
            },
            Expr::Any => Err(unbound(self.at)),
            Expr::Root(root) => next(self, frame, cond, Term::Document(*root, Part::Whole)),
            Expr::Rule(number) => self.rule(*number)?.iter().try_for_each(|item| self.go_on(item, frame, cond, next)),
            Expr::Ground(path) => match self.ground(path)? {
                Some(value) => next(self, frame, cond, Term::Known(value)),
                None => Ok(()),
            },
            Expr::Index(site, base, key) => {
                if let Some(value) = self.plain(expr, frame) {
                    let value = value.clone();
                    return next(self, frame, cond, Term::Known(value));
                }
                self.expr(base, frame, cond, &mut |evaluator, frame, cond, base| evaluator.index(*site, base, key, frame, cond, next))
            }
            Expr::Call(site, callee, args) => self.call_expr(*site, callee, args, frame, cond, next),
            Expr::Array(items) => self.list(items, &mut Vec::new(), frame, cond, &mut |evaluator, frame, cond, terms| {
                let numbered = terms.iter().enumerate().map(|(at, term)| part(Term::Known(Value::from(at)), term.clone()));
                next(evaluator, frame, cond, Items { shape: Shape::Array, items: numbered.collect() }.into_term())
            }),
            Expr::Set(items) => self.list(items, &mut Vec::new(), frame, cond, &mut |evaluator, frame, cond, terms| {
                let elements = terms.iter().map(|term| part(term.clone(), term.clone()));
                next(evaluator, frame, cond, Items { shape: Shape::Set, items: elements.collect() }.into_term())
            }),
            Expr::Object(fields) => self.object(fields, &mut Vec::new(), frame, cond, next),
            Expr::Compr(shape, key, value, query) => {
                let term = self.comprehension(*shape, key.as_deref(), value, query, frame)?;
                next(self, frame, cond, term)
            }
            Expr::Compare(site, op, left, right) => self.pair(left, right, frame, cond, &mut |evaluator, frame, cond, pair| {
                let term = match pair {
                    None => Term::Lost,
                    Some((left, right)) => Term::truth(evaluator.refuse(*site, |of| operation::compare(of, *op, &left, &right))?),
                };
                next(evaluator, frame, cond, term)
            }),
            Expr::Arith(site, op, left, right) => {
                self.pair(left, right, frame, cond, &mut |evaluator, frame, cond, pair| match evaluator.arith(*site, *op, pair, cond)? {
                    Some(term) => next(evaluator, frame, cond, term),
                    None => Ok(()),
                })
            }
            Expr::Combine(site, op, left, right) => self.pair(left, right, frame, cond, &mut |evaluator, frame, cond, pair| {
                let term = evaluator.combine(*site, *op, pair)?;
                next(evaluator, frame, cond, term)
            }),
            Expr::Unify(site, left, right) => self.unify(*site, left, right, frame, cond, next),
            Expr::In(site, key, value, collection) => self.member(*site, key.as_deref(), value, collection, frame, cond, next),
        }
    }

    /// The value of an expression that no record and no rule has a part in, where it is found by looking it up.
    fn plain<'v>(&'v self, expr: &'v Expr, frame: &'v Frame) -> Option<&'v Value> {
        match expr {
            Expr::Const(value) => Some(value),
            Expr::Local(slot) => frame.value(*slot)?.known(),
            Expr::Index(_, base, key) => {
                let key = self.plain(key, frame)?;
                match base.as_ref() {
                    Expr::Root(Root::Input) => self.beside_the_record(Part::Whole, key),
                    Expr::Index(_, root, part) if matches!((&**root, &**part), (Expr::Root(Root::Input), Expr::Const(part)) if *part == self.resource_key) => {
                        self.beside_the_record(Part::Resource, key)
                    }
                    base => operation::get(self.plain(base, frame)?, key),
                }
            }
            _ => None,
        }
    }

    /// The value at a key of the input or its resource that a record or the clock has no part in.
    fn beside_the_record(&self, part: Part, key: &Value) -> Option<&Value> {
        let document = match part {
            Part::Whole => Some(&self.input),
            _ => operation::get(&self.input, &self.resource_key),
        };
        let name = key.as_string().ok()?;
        let told = match part {
            Part::Whole => !matches!(name.as_ref(), "resource" | "context"),
            _ => !matches!(name.as_ref(), "record" | "record_created_ns" | "subject_id"),
        };
        document.filter(|_| told).and_then(|document| operation::get(document, key))
    }

    fn go_on(&mut self, item: &Item, frame: &mut Frame, cond: &Cond, next: Next<'_, 'a>) -> Flow {
        let cond = cond.and(&item.cond);
        if cond == Cond::False { Ok(()) } else { next(self, frame, &cond, item.value.clone()) }
    }

    /// Puts the place to what an operation refuses.
    pub(super) fn refuse<T>(&self, site: Site, operation: impl FnOnce(&Self) -> Result<T, String>) -> Result<T, Stop> {
        operation(self).map_err(|why| Stop::Untranslatable(site, why))
    }

    fn pair(&mut self, left: &'a Expr, right: &'a Expr, frame: &mut Frame, cond: &Cond, next: NextPair<'_, 'a>) -> Flow {
        let mut defined = false;
        self.expr(left, frame, cond, &mut |evaluator, frame, cond, left| {
            defined = true;
            let mut met = false;
            evaluator.expr(right, frame, cond, &mut |evaluator, frame, cond, right| {
                met = true;
                next(evaluator, frame, cond, Some((left.clone(), right)))
            })?;
            if met || !left.is_of_record() {
                return Ok(());
            }
            evaluator.be_stricter();
            next(evaluator, frame, cond, None)
        })?;
        if defined || !self.can_be_of_record(right, frame, cond)? {
            return Ok(());
        }
        self.be_stricter();
        next(self, frame, cond, None)
    }

    fn can_be_of_record(&mut self, expr: &'a Expr, frame: &mut Frame, cond: &Cond) -> Result<bool, Stop> {
        let mut of_record = false;
        self.expr(expr, frame, cond, &mut |_, _, _, term| {
            of_record |= term.is_of_record();
            Ok(())
        })?;
        Ok(of_record)
    }

    /// The values of several expressions, one after the other.
    fn list(&mut self, exprs: &'a [Expr], terms: &mut Vec<Term>, frame: &mut Frame, cond: &Cond, next: NextList<'_, 'a>) -> Flow {
        let Some((expr, rest)) = exprs.split_first() else { return next(self, frame, cond, terms) };
        self.expr(expr, frame, cond, &mut |evaluator, frame, cond, term| {
            terms.push(term);
            let result = evaluator.list(rest, terms, frame, cond, next);
            terms.pop();
            result
        })
    }

    /// The same for a message: what is undefined leaves a gap in it and does not silence it.
    fn wording(&mut self, exprs: &'a [Expr], terms: &mut Vec<Term>, frame: &mut Frame, cond: &Cond, next: NextList<'_, 'a>) -> Flow {
        let Some((expr, rest)) = exprs.split_first() else { return next(self, frame, cond, terms) };
        let defined = Cell::new(false);
        let mut step = |evaluator: &mut Self, frame: &mut Frame, cond: &Cond, term: Term| {
            defined.set(true);
            terms.push(term);
            let result = evaluator.wording(rest, terms, frame, cond, next);
            terms.pop();
            result
        };
        match expr {
            Expr::Array(items) => self.wording(items, &mut Vec::new(), frame, cond, &mut |evaluator, frame, cond, terms| {
                let numbered = terms.iter().enumerate().map(|(at, term)| part(Term::Known(Value::from(at)), term.clone()));
                step(evaluator, frame, cond, Items { shape: Shape::Array, items: numbered.collect() }.into_term())
            })?,
            _ => self.expr(expr, frame, cond, &mut step)?,
        }
        if defined.get() {
            return Ok(());
        }
        self.be_stricter();
        step(self, frame, cond, Term::Text)
    }

    fn object(&mut self, fields: &'a [(Expr, Expr)], items: &mut Vec<Item>, frame: &mut Frame, cond: &Cond, next: Next<'_, 'a>) -> Flow {
        let Some(((key, value), rest)) = fields.split_first() else {
            return next(self, frame, cond, Items { shape: Shape::Object, items: items.clone() }.into_term());
        };
        self.expr(key, frame, cond, &mut |evaluator, frame, cond, key| {
            evaluator.expr(value, frame, cond, &mut |evaluator, frame, cond, value| {
                items.push(part(key.clone(), value));
                let result = evaluator.object(rest, items, frame, cond, next);
                items.pop();
                result
            })
        })
    }

    fn call_expr(&mut self, site: Site, callee: &'a Callee, args: &'a [Expr], frame: &mut Frame, cond: &Cond, next: Next<'_, 'a>) -> Flow {
        let defined = Cell::new(false);
        let mut step = |evaluator: &mut Self, frame: &mut Frame, cond: &Cond, terms: &[Term]| {
            defined.set(true);
            evaluator.go_under(cond);
            match callee {
                Callee::Group(number) => {
                    let values = evaluator.call(*number, terms)?;
                    values.iter().try_for_each(|item| evaluator.go_on(item, frame, cond, next))
                }
                Callee::Builtin(builtin) => match call::builtin(evaluator, site, builtin, terms)? {
                    Some(term) => next(evaluator, frame, cond, term),
                    None => Ok(()),
                },
            }
        };
        match callee {
            Callee::Builtin(builtin) if builtin.name() == "sprintf" && self.is_wording() => {
                self.wording(args, &mut Vec::new(), frame, cond, &mut step)?;
            }
            Callee::Builtin(builtin) if builtin.name() == "print" => return next(self, frame, cond, Term::Known(Value::from(true))),
            Callee::Builtin(_) | Callee::Group(_) => self.list(args, &mut Vec::new(), frame, cond, &mut step)?,
        }
        if defined.get() {
            return Ok(());
        }
        for arg in args {
            if self.can_be_of_record(arg, frame, cond)? {
                self.be_stricter();
                return next(self, frame, cond, Term::Lost);
            }
        }
        Ok(())
    }

    fn arith(&mut self, site: Site, op: ArithOp, pair: Option<(Term, Term)>, cond: &Cond) -> Result<Option<Term>, Stop> {
        self.go_under(cond);
        match pair {
            None => Ok(Some(Term::Lost)),
            Some((Term::Known(left), Term::Known(right))) => match arithmetic(op, left, right) {
                Ok(Value::Undefined) => Ok(None),
                Ok(value) => Ok(Some(Term::Known(value))),
                Err(why) => Err(Stop::Failed(site, why)),
            },
            Some((left, right)) => self.refuse(site, |of| operation::arithmetic(of, op, left, right)).map(Some),
        }
    }

    fn combine(&mut self, site: Site, op: SetOp, pair: Option<(Term, Term)>) -> Result<Term, Stop> {
        match pair {
            None => Ok(Term::Lost),
            Some((Term::Known(left), Term::Known(right))) => {
                combine(op, left, right).map(Term::Known).map_err(|why| Stop::Failed(site, why))
            }
            Some((left, right)) => self.refuse(site, |of| operation::combine(of, op, &left, &right)),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of the syntax, and of what goes on")]
    fn member(
        &mut self,
        site: Site,
        key: Option<&'a Expr>,
        value: &'a Expr,
        collection: &'a Expr,
        frame: &mut Frame,
        cond: &Cond,
        next: Next<'_, 'a>,
    ) -> Flow {
        self.pair(value, collection, frame, cond, &mut |evaluator, frame, cond, pair| {
            let Some((value, collection)) = pair else { return next(evaluator, frame, cond, Term::Lost) };
            let Some(key) = key else {
                let held = evaluator.refuse(site, |of| operation::member(of, &value, &collection))?;
                return next(evaluator, frame, cond, Term::truth(held));
            };
            evaluator.expr(key, frame, cond, &mut |evaluator, frame, cond, key| {
                let held = evaluator.refuse(site, |of| operation::member_at(of, &key, &value, &collection))?;
                next(evaluator, frame, cond, Term::truth(held))
            })
        })
    }

    /// Whether an expression has variables that are still to be given a value.
    fn is_pattern(expr: &Expr, frame: &Frame) -> bool {
        match expr {
            Expr::Any => true,
            Expr::Local(slot) => frame.value(*slot).is_none(),
            Expr::Array(items) => items.iter().any(|item| Self::is_pattern(item, frame)),
            Expr::Object(fields) => fields.iter().any(|(_, value)| Self::is_pattern(value, frame)),
            _ => false,
        }
    }

    fn unify(&mut self, site: Site, left: &'a Expr, right: &'a Expr, frame: &mut Frame, cond: &Cond, next: Next<'_, 'a>) -> Flow {
        let (pattern, value) = match (Self::is_pattern(left, frame), Self::is_pattern(right, frame)) {
            (true, false) => (left, right),
            (false, true) => (right, left),
            (true, true) => return Err(unbound(site)),
            (false, false) => {
                return self.pair(left, right, frame, cond, &mut |evaluator, frame, cond, pair| {
                    let held = match pair {
                        None => Cond::Unknown,
                        Some((left, right)) => evaluator.refuse(site, |of| operation::equal(of, &left, &right))?,
                    };
                    let cond = cond.and(&held);
                    if cond == Cond::False { Ok(()) } else { next(evaluator, frame, &cond, Term::Known(Value::from(true))) }
                });
            }
        };
        self.expr(value, frame, cond, &mut |evaluator, frame, cond, term| {
            evaluator.destructure(site, pattern, term, frame, cond, &mut |evaluator, frame, cond| {
                next(evaluator, frame, cond, Term::Known(Value::from(true)))
            })
        })
    }

    /// Gives the variables of a pattern their values, where the rest of it fits.
    pub(super) fn destructure(
        &mut self,
        site: Site,
        pattern: &'a Expr,
        term: Term,
        frame: &mut Frame,
        cond: &Cond,
        then: Then<'_, 'a>,
    ) -> Flow {
        match pattern {
            Expr::Any => then(self, frame, cond),
            Expr::Local(slot) if frame.value(*slot).is_none() => {
                frame.set(*slot, Some(term));
                let result = then(self, frame, cond);
                frame.set(*slot, None);
                result
            }
            Expr::Array(items) if Self::is_pattern(pattern, frame) => {
                let Some(terms) = operation::array(&term) else { return self.no_shape(site, &term) };
                if terms.len() != items.len() {
                    return Ok(());
                }
                let pairs: Vec<(&'a Expr, Term)> = items.iter().zip(terms).collect();
                self.destructure_all(site, &pairs, frame, cond, then)
            }
            Expr::Object(fields) if Self::is_pattern(pattern, frame) => {
                let Some(known) = operation::object(&term) else { return self.no_shape(site, &term) };
                if known.len() != fields.len() {
                    return Ok(());
                }
                let mut pairs: Vec<(&'a Expr, Term)> = Vec::new();
                for (key, value) in fields {
                    let Expr::Const(key) = key else { return Err(unbound(site)) };
                    let Some((_, term)) = known.iter().find(|(known, _)| known == key) else { return Ok(()) };
                    pairs.push((value, term.clone()));
                }
                self.destructure_all(site, &pairs, frame, cond, then)
            }
            _ => self.expr(pattern, frame, cond, &mut |evaluator, frame, cond, expected| {
                let held = evaluator.refuse(site, |of| operation::equal(of, &expected, &term))?;
                let cond = cond.and(&held);
                if cond == Cond::False { Ok(()) } else { then(evaluator, frame, &cond) }
            }),
        }
    }

    fn destructure_all(&mut self, site: Site, pairs: &[(&'a Expr, Term)], frame: &mut Frame, cond: &Cond, then: Then<'_, 'a>) -> Flow {
        let Some(((pattern, term), rest)) = pairs.split_first() else { return then(self, frame, cond) };
        self.destructure(site, pattern, term.clone(), frame, cond, &mut |evaluator, frame, cond| {
            evaluator.destructure_all(site, rest, frame, cond, then)
        })
    }

    /// A known value of another shape does not fit; of anything else it cannot be told.
    fn no_shape(&self, site: Site, term: &Term) -> Flow {
        match term {
            Term::Known(_) => Ok(()),
            other => Err(Stop::Untranslatable(site, format!("{} is taken apart", other.describe()))),
        }
    }

    fn index(&mut self, site: Site, base: Term, key: &'a Expr, frame: &mut Frame, cond: &Cond, next: Next<'_, 'a>) -> Flow {
        if Self::is_pattern(key, frame) {
            for item in self.refuse(site, |_| operation::entries(&base))? {
                let cond = cond.and(&item.cond);
                if cond == Cond::False {
                    continue;
                }
                let value = item.value;
                self.destructure(site, key, item.key, frame, &cond, &mut |evaluator, frame, cond| {
                    next(evaluator, frame, cond, value.clone())
                })?;
            }
            return Ok(());
        }
        let mut defined = false;
        self.expr(key, frame, cond, &mut |evaluator, frame, cond, key| {
            defined = true;
            for item in evaluator.refuse(site, |of| operation::lookup(of, &base, &key))? {
                evaluator.go_on(&item, frame, cond, next)?;
            }
            Ok(())
        })?;
        if defined || !base.is_of_record() {
            return Ok(());
        }
        self.be_stricter();
        next(self, frame, cond, Term::Lost)
    }

    /// The value at a known key of a document that may hold a record.
    pub(super) fn document(&self, root: Root, part: Part, key: &Value) -> Result<Option<Term>, String> {
        let name = key.as_string().map(|name| name.to_string()).unwrap_or_default();
        let known = |value: Option<&Value>| value.map(|value| Term::Known(value.clone()));
        Ok(match (root, part, name.as_str()) {
            (Root::Data, _, "erased_subjects") => Some(Term::Erased),
            (Root::Data, _, _) => known(operation::get(&self.data, key)),
            (Root::Input, Part::Whole, "resource") => Some(Term::Document(Root::Input, Part::Resource)),
            (Root::Input, Part::Whole, "context") if self.tells_clock() => Some(Term::Document(Root::Input, Part::Context)),
            (Root::Input, Part::Whole, _) => known(operation::get(&self.input, key)),
            (Root::Input, Part::Context, "now_ns") => self.open_clock().map(|now_ns| Term::Moment(Moment::now(now_ns))),
            (Root::Input, Part::Context, _) => {
                let context = operation::get(&self.input, &Value::from("context"));
                known(context.and_then(|context| operation::get(context, key)))
            }
            (Root::Input, Part::Resource, "record") => Some(Term::Document(Root::Input, Part::Record)),
            (Root::Input, Part::Resource, "record_created_ns") => Some(self.record.created()),
            (Root::Input, Part::Resource, "subject_id") => Some(self.record.subject()),
            (Root::Input, Part::Resource, _) => {
                let resource = operation::get(&self.input, &self.resource_key);
                known(resource.and_then(|resource| operation::get(resource, key)))
            }
            (Root::Input, Part::Record, name) => Some(self.record.column(name)?),
        })
    }
}

impl Evaluator<'_> {
    /// Whether the clock is open and the input tells it.
    fn tells_clock(&self) -> bool {
        let Some(now_ns) = self.open_clock() else { return false };
        let context = operation::get(&self.input, &Value::from("context"));
        let told = context.and_then(|context| operation::get(context, &Value::from("now_ns")));
        told.is_some_and(|told| *told == Value::from(now_ns))
    }
}

fn part(key: Term, value: Term) -> Item {
    Item { cond: Cond::True, key, value, site: Site::default() }
}

fn unbound(site: Site) -> Stop {
    Stop::Failed(site, "a variable is used before it has a value; put the condition that gives it one first".to_owned())
}
