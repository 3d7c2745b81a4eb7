//! Which rules a record, the clock or what is masked can reach: follows the names in the interpreter's syntax trees.
//!
//! INVARIANT: errs on the side of reaching. A path that is computed, or that takes in the whole of `input` or `input.resource`, may
//! lead to a record, and one that takes in the whole of `input` or `input.context` may read the clock.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Literal, Module, Query, Ref, Rule, RuleBody, RuleHead, Span};

/// The keys of `input.resource` that belong to a record.
const RECORD_KEYS: [&str; 3] = ["record_created_ns", "subject_id", "record"];

/// The keys of `input.resource` that hang on what will be masked.
const MASKING_KEYS: [&str; 2] = ["requested_fields", "masked_fields"];

/// The set of erased people, which is never written out under `data`.
pub(super) const ERASED: &str = "erased_subjects";

/// A step of a reference.
pub(super) enum Step<'a> {
    /// A name that is known.
    Name(String),
    /// A key that is computed.
    Key(&'a Ref<Expr>),
}

/// What a name in a module stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// `input`, then these names.
    Input(Vec<String>),
    /// `data`, then these names.
    Data(Vec<String>),
    /// A variable, or a function of the language.
    Other,
}

/// A module with what its names stand for.
pub(super) struct Names<'a> {
    /// The module.
    pub(super) module: &'a Module,
    /// Its package, in parts.
    pub(super) package: Vec<String>,
    imports: BTreeMap<String, Origin>,
    rules: BTreeSet<String>,
}

impl<'a> Names<'a> {
    /// The names of a module; `rules` holds the first names of all rules of its package.
    pub(super) fn new(module: &'a Module, package: Vec<String>, rules: BTreeSet<String>) -> Self {
        let mut imports = BTreeMap::new();
        for import in &module.imports {
            let Some((root, steps)) = chain(&import.refr) else { continue };
            let path: Vec<String> =
                steps.into_iter().filter_map(|step| if let Step::Name(name) = step { Some(name) } else { None }).collect();
            let alias = import.r#as.as_ref().map(|span| span.text().to_owned()).or_else(|| path.last().cloned());
            let origin = match root.text() {
                "input" => Origin::Input(path),
                "data" => Origin::Data(path),
                _ => continue,
            };
            if let Some(alias) = alias {
                imports.insert(alias, origin);
            }
        }
        Self { module, package, imports, rules }
    }

    /// What a root name stands for, if it is no variable.
    pub(super) fn origin(&self, root: &str) -> Origin {
        match root {
            "input" => Origin::Input(Vec::new()),
            "data" => Origin::Data(Vec::new()),
            name if self.rules.contains(name) => Origin::Data(self.package.iter().cloned().chain([name.to_owned()]).collect()),
            name => self.imports.get(name).cloned().unwrap_or(Origin::Other),
        }
    }
}

/// What a rule refers to.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Paths under `data`, as far as they are written out; whether they go on with a computed key.
    pub(super) data: Vec<(Vec<String>, bool)>,
    /// Whether it may read a record or the set of erased people.
    pub(super) record: bool,
    /// Whether it may read the clock.
    pub(super) clock: bool,
    /// Whether it may read which of the requested columns will be masked.
    pub(super) masking: bool,
}

impl References {
    /// What a rule refers to.
    pub(super) fn of(rule: &Rule, names: &Names<'_>) -> Self {
        let mut found = Self::default();
        match rule {
            Rule::Default { refr, args, value, .. } => {
                found.head(refr, names);
                args.iter().for_each(|arg| found.expr(arg, names));
                found.expr(value, names);
            }
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        found.head(refr, names);
                        assign.iter().for_each(|assign| found.expr(&assign.value, names));
                    }
                    RuleHead::Set { refr, key, .. } => {
                        found.head(refr, names);
                        key.iter().for_each(|key| found.expr(key, names));
                    }
                    RuleHead::Func { refr, args, assign, .. } => {
                        found.head(refr, names);
                        args.iter().for_each(|arg| found.expr(arg, names));
                        assign.iter().for_each(|assign| found.expr(&assign.value, names));
                    }
                }
                bodies.iter().for_each(|body| found.body(body, names));
            }
        }
        found
    }

    /// A rule's own name is no reading; the keys in it can be.
    fn head(&mut self, head: &Ref<Expr>, names: &Names<'_>) {
        for step in chain(head).map(|(_, steps)| steps).unwrap_or_default() {
            if let Step::Key(key) = step {
                self.expr(key, names);
            }
        }
    }

    fn body(&mut self, body: &RuleBody, names: &Names<'_>) {
        body.assign.iter().for_each(|assign| self.expr(&assign.value, names));
        self.query(&body.query, names);
    }

    fn query(&mut self, query: &Query, names: &Names<'_>) {
        for stmt in &query.stmts {
            match &stmt.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().chain([value, collection]).for_each(|expr| self.expr(expr, names));
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr, names),
                Literal::Every { domain, query, .. } => {
                    self.expr(domain, names);
                    self.query(query, names);
                }
            }
            for with in &stmt.with_mods {
                self.expr(&with.refr, names);
                self.expr(&with.r#as, names);
            }
        }
    }

    fn expr(&mut self, expr: &Ref<Expr>, names: &Names<'_>) {
        if let Some((root, steps)) = chain(expr) {
            self.chain(root.text(), &steps, names);
            return;
        }
        match expr.as_ref() {
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| self.expr(item, names)),
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
                self.expr(key, names);
                self.expr(value, names);
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expr(term, names);
                self.query(query, names);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.expr(key, names);
                self.expr(value, names);
                self.query(query, names);
            }
            Expr::Call { fcn, params, .. } => {
                self.expr(fcn, names);
                params.iter().for_each(|param| self.expr(param, names));
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr, names),
            // A reference whose root is no name: `f(x)[y]`, `{…}[y]`.
            Expr::RefDot { refr, .. } => self.expr(refr, names),
            Expr::RefBrack { refr, index, .. } => {
                self.expr(refr, names);
                self.expr(index, names);
            }
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.expr(lhs, names);
                self.expr(rhs, names);
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|expr| self.expr(expr, names));
            }
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Var { .. } => {}
        }
    }

    fn chain(&mut self, root: &str, steps: &[Step<'_>], names: &Names<'_>) {
        for step in steps {
            if let Step::Key(key) = step {
                self.expr(key, names);
            }
        }
        let mut path = match names.origin(root) {
            Origin::Other => {
                self.clock |= root == "time" && matches!(steps, [Step::Name(name)] if name == "now_ns");
                return;
            }
            Origin::Input(path) | Origin::Data(path) => path,
        };
        let mut open = false;
        for step in steps {
            match step {
                Step::Name(name) => path.push(name.clone()),
                Step::Key(_) => {
                    open = true;
                    break;
                }
            }
        }
        if matches!(names.origin(root), Origin::Input(_)) {
            self.record |= reaches_record(&path);
            self.clock |= reaches_clock(&path);
            self.masking |= reaches(&path, &MASKING_KEYS);
        } else {
            self.masking |= path.is_empty();
            self.record |= path.is_empty() || path.first().is_some_and(|first| first == ERASED);
            self.data.push((path, open));
        }
    }
}

fn reaches_record(path: &[String]) -> bool {
    reaches(path, &RECORD_KEYS)
}

/// Whether a path below `input` leads to one of these keys of the resource, or to what holds them.
fn reaches(path: &[String], keys: &[&str]) -> bool {
    match path {
        [] => true,
        [first] => first == "resource",
        [first, key, ..] => first == "resource" && keys.contains(&key.as_str()),
    }
}

/// Whether the value at a path below `input` can be replaced without a record or the clock in it.
pub(super) fn is_replaceable(path: &[String]) -> bool {
    !reaches_record(path) && !reaches_clock(path)
}

fn reaches_clock(path: &[String]) -> bool {
    match path {
        [] => true,
        [first, rest @ ..] => first == "context" && rest.first().is_none_or(|key| key == "now_ns"),
    }
}

/// A reference as its root's name and its steps; `None` if it has no name at its root.
pub(super) fn chain(expr: &Ref<Expr>) -> Option<(&Span, Vec<Step<'_>>)> {
    let mut steps = Vec::new();
    let mut expr = expr;
    loop {
        match expr.as_ref() {
            Expr::Var { span, .. } => {
                steps.reverse();
                return Some((span, steps));
            }
            Expr::RefDot { refr, field, .. } => {
                steps.push(Step::Name(field.1.as_string().map_or_else(|_| field.0.text().to_owned(), |name| name.to_string())));
                expr = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                steps.push(match index.as_ref() {
                    Expr::String { value, .. } | Expr::RawString { value, .. } => {
                        value.as_string().map_or(Step::Key(index), |name| Step::Name(name.to_string()))
                    }
                    _ => Step::Key(index),
                });
                expr = refr;
            }
            _ => return None,
        }
    }
}
