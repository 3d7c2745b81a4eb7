//! Turns the interpreter's syntax trees into the [`Program`] that is evaluated with records unknown and the clock open.
//!
//! The interpreter's syntax tree is not a stable interface; its version is pinned, and only this folder knows its shapes.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;
use regorus::unstable::{AssignOp, BinOp, BoolOp, Expr as Tree, Literal, Module, Query, Ref, Rule, RuleAssign, RuleBody, RuleHead, Span};

use super::super::CompareOp;
use super::super::file::BundleFault;
use super::super::residual::ir::{ArithOp, Body, Callee, Clause, Expr, Group, GroupKind, Program, Root, SetOp, Shape, Site, Stmt};
use super::references::{Names, Origin, References, Step, chain, is_replaceable};
use super::value::Builtin;

/// Texts that are kept to make up representative subjects from.
const TEXTS_MAX: usize = 64;

/// A rule as it stands in a module.
struct Definition<'a> {
    path: String,
    /// Whether the path is all of its head: no key in it is computed, but the last.
    plain: bool,
    module: usize,
    rule: &'a Ref<Rule>,
    references: References,
}

/// The rules of the modules that a record can reach, translated.
pub(super) fn program(modules: &[Ref<Module>]) -> Result<Program, Vec<BundleFault>> {
    let mut firsts: BTreeMap<Vec<String>, BTreeSet<String>> = BTreeMap::new();
    for module in modules {
        let names = module.policy.iter().filter_map(|rule| chain(head(rule)).map(|(root, _)| root.text().to_owned()));
        firsts.entry(package_of(module)).or_default().extend(names);
    }
    let names: Vec<Names<'_>> = modules
        .iter()
        .map(|module| {
            let package = package_of(module);
            let rules = firsts.get(&package).cloned().unwrap_or_default();
            Names::new(module, package, rules)
        })
        .collect();
    let mut definitions = Vec::new();
    for (module, of) in names.iter().enumerate() {
        for rule in &of.module.policy {
            let Some((path, plain)) = rule_path(rule, of) else { continue };
            definitions.push(Definition { path, plain, module, rule, references: References::of(rule, of) });
        }
    }
    let mut reached = reached(&definitions);
    loop {
        let unfit = match Translator::new(&names, &definitions, &reached).translate() {
            Ok(program) => return Ok(program),
            Err(faults) => faults,
        };
        // A rule of the clock alone that cannot be translated stays the interpreter's.
        let before = reached.of_clock.len();
        reached.of_clock.retain(|path| !unfit.iter().any(|(of, _)| of == path));
        if reached.of_clock.len() == before {
            return Err(unfit.into_iter().map(|(_, fault)| fault).collect());
        }
    }
}

/// The parts of a module's package.
fn package_of(module: &Module) -> Vec<String> {
    let Some((root, steps)) = chain(&module.package.refr) else { return Vec::new() };
    let steps = steps.into_iter().filter_map(|step| if let Step::Name(name) = step { Some(name) } else { None });
    [root.text().to_owned()].into_iter().chain(steps).collect()
}

/// Head of a rule.
fn head(rule: &Rule) -> &Ref<Tree> {
    match rule {
        Rule::Spec { head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. }, .. }
        | Rule::Default { refr, .. } => refr,
    }
}

/// `package.name`, up to the first key that is computed, and whether that is all; the key of a part of an object is no part of it.
fn rule_path(rule: &Rule, names: &Names<'_>) -> Option<(String, bool)> {
    let refr = head(rule);
    let base = match (rule, refr.as_ref()) {
        (Rule::Spec { head: RuleHead::Compr { .. }, .. }, Tree::RefBrack { refr, .. }) => refr,
        _ => refr,
    };
    let (root, steps) = chain(base)?;
    let mut path = names.package.clone();
    path.push(root.text().to_owned());
    let mut plain = true;
    for step in steps {
        let Step::Name(name) = step else {
            plain = false;
            break;
        };
        path.push(name);
    }
    Some((path.join("."), plain))
}

/// The rules and functions that a path under `data` leads to: those that are a beginning of it, and those that go on from it.
fn targets<'a>(path: &[String], paths: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let beginnings = (1..=path.len()).filter_map(|count| paths.get(path.get(..count).unwrap_or_default().join(".").as_str()));
    let prefix = format!("{}.", path.join("."));
    beginnings.chain(paths.iter().filter(|known| path.is_empty() || known.starts_with(&prefix))).copied().collect()
}

/// The rules that are translated.
struct Reached {
    /// Those that a record can reach, and the functions that they call.
    by_record: BTreeSet<String>,
    /// Those that they ask for, that no record reaches and the clock does.
    of_clock: BTreeSet<String>,
    /// All that the clock reaches, asked for or not.
    clocked: BTreeSet<String>,
    /// All that hang on what will be masked.
    by_masks: BTreeSet<String>,
}

/// The rules for which that is true, and those that use them.
fn users_of<'a>(
    uses: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    definitions: &'a [Definition<'a>],
    reads: impl Fn(&References) -> bool,
) -> BTreeSet<&'a str> {
    let mut found: BTreeSet<&str> =
        definitions.iter().filter(|definition| reads(&definition.references)).map(|definition| definition.path.as_str()).collect();
    loop {
        let more: Vec<&str> = uses
            .iter()
            .filter(|(path, used)| !found.contains(**path) && used.iter().any(|used| found.contains(used)))
            .map(|(path, _)| *path)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn reached(definitions: &[Definition<'_>]) -> Reached {
    let paths: BTreeSet<&str> = definitions.iter().map(|definition| definition.path.as_str()).collect();
    let functions: BTreeSet<&str> =
        definitions.iter().filter(|definition| is_function(definition.rule)).map(|definition| definition.path.as_str()).collect();
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for definition in definitions {
        let used = definition.references.data.iter().flat_map(|(path, _)| targets(path, &paths));
        uses.entry(definition.path.as_str()).or_default().extend(used);
    }
    let clocked = users_of(&uses, definitions, |references| references.clock);
    let by_masks = users_of(&uses, definitions, |references| references.masking);
    let mut by_record = users_of(&uses, definitions, |references| references.record);
    // A function cannot be asked of the interpreter by name, so those that are called from here come along.
    add_used(&uses, &mut by_record, |path| functions.contains(path));
    let mut all = by_record.clone();
    if !by_record.is_empty() {
        add_used(&uses, &mut all, |path| clocked.contains(path) || functions.contains(path));
    }
    let owned = |paths: BTreeSet<&str>| paths.into_iter().map(str::to_owned).collect();
    let of_clock = all.difference(&by_record).copied().collect();
    Reached { by_record: owned(by_record), of_clock: owned(of_clock), clocked: owned(clocked), by_masks: owned(by_masks) }
}

/// Adds what is used, as long as it is wanted.
fn add_used<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>, to: &mut BTreeSet<&'a str>, wanted: impl Fn(&str) -> bool) {
    loop {
        let used = to.iter().filter_map(|path| uses.get(path)).flatten().copied();
        let more: Vec<&str> = used.filter(|path| wanted(path) && !to.contains(path)).collect();
        if more.is_empty() {
            return;
        }
        to.extend(more);
    }
}

fn is_function(rule: &Rule) -> bool {
    match rule {
        Rule::Spec { head: RuleHead::Func { .. }, .. } => true,
        Rule::Default { args, .. } => !args.is_empty(),
        Rule::Spec { .. } => false,
    }
}

/// What all clauses share.
struct Translator<'a> {
    names: &'a [Names<'a>],
    definitions: &'a [Definition<'a>],
    reached: &'a Reached,
    paths: BTreeSet<&'a str>,
    numbers: BTreeMap<&'a str, usize>,
    files: Vec<String>,
    grounds: BTreeSet<String>,
    texts: BTreeSet<String>,
}

impl<'a> Translator<'a> {
    fn new(names: &'a [Names<'a>], definitions: &'a [Definition<'a>], reached: &'a Reached) -> Self {
        let paths = definitions.iter().map(|definition| definition.path.as_str()).collect();
        let numbers = reached.by_record.iter().chain(&reached.of_clock).enumerate().map(|(number, path)| (path.as_str(), number)).collect();
        let files = names.iter().map(|names| names.module.package.span.source.get_path().clone()).collect();
        Self { names, definitions, reached, paths, numbers, files, grounds: BTreeSet::new(), texts: BTreeSet::new() }
    }

    /// The value of a rule that is one constant, `limit := 5`: the interpreter need not be asked for it.
    fn constant(&self, path: &str) -> Option<Value> {
        let mut found = self.definitions.iter().filter(|definition| definition.path == path);
        let (only, None) = (found.next()?, found.next()) else { return None };
        match only.rule.as_ref() {
            Rule::Spec { head: RuleHead::Compr { refr, assign: Some(assign), .. }, bodies, .. }
                if bodies.is_empty() && matches!(refr.as_ref(), Tree::Var { .. }) =>
            {
                match assign.value.as_ref() {
                    Tree::String { value, .. } | Tree::RawString { value, .. } | Tree::Number { value, .. } | Tree::Bool { value, .. } => {
                        Some(value.clone())
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The faults come with the rules that have them.
    fn translate(mut self) -> Result<Program, Vec<(String, BundleFault)>> {
        let group = |path: &String, of_clock: bool| Group {
            path: path.clone(),
            of_clock,
            kind: GroupKind::Complete,
            default: None,
            clauses: Vec::new(),
        };
        let by_record = self.reached.by_record.iter().map(|path| group(path, false));
        let mut groups: Vec<Group> = by_record.chain(self.reached.of_clock.iter().map(|path| group(path, true))).collect();
        let mut faults = Vec::new();
        for definition in self.definitions {
            let Some(number) = self.numbers.get(definition.path.as_str()).copied() else { continue };
            let Some(group) = groups.get_mut(number) else { continue };
            if let Err(fault) = self.definition(definition, group) {
                faults.push((definition.path.clone(), fault));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let by_path = self.reached.by_record.iter().enumerate().map(|(number, path)| (path.clone(), number)).collect();
        let (clocked, by_masks) = (self.reached.clocked.clone(), self.reached.by_masks.clone());
        Ok(Program { files: self.files, groups, by_path, grounds: self.grounds, clocked, by_masks, texts: self.texts })
    }

    fn definition(&mut self, definition: &Definition<'_>, group: &mut Group) -> Result<(), BundleFault> {
        let Some(names) = self.names.get(definition.module) else { return Ok(()) };
        let rule = definition.rule.as_ref();
        let span = rule.span();
        let plain = definition.plain;
        let mut scope = ClauseScope { shared: self, names, module: definition.module, scopes: vec![Vec::new()], slots: 0, sought: 0 };
        if !plain {
            return Err(scope.fault(span, "a rule of this form"));
        }
        let (kind, clause) = match rule {
            Rule::Default { args, value, .. } => {
                let args = args.iter().map(|arg| scope.pattern(arg)).collect::<Result<_, _>>()?;
                let body = Body { otherwise: false, query: Vec::new(), key: None, value: scope.expr(value)? };
                let kind = if is_function(rule) { GroupKind::Function } else { GroupKind::Complete };
                let clause = Clause { site: scope.site(span), slots: scope.slots, args, bodies: vec![body] };
                group.kind = if group.clauses.is_empty() { kind } else { group.kind };
                group.default = Some(clause);
                return Ok(());
            }
            Rule::Spec { head, bodies, .. } => scope.clause(head, bodies, span)?,
        };
        if !group.clauses.is_empty() && group.kind != kind {
            return Err(scope.fault(span, "its definitions yield different things"));
        }
        group.kind = kind;
        group.clauses.push(clause);
        Ok(())
    }
}

/// One clause while it is translated.
struct ClauseScope<'t, 'a> {
    shared: &'t mut Translator<'a>,
    names: &'a Names<'a>,
    module: usize,
    scopes: Vec<Vec<(String, usize)>>,
    slots: usize,
    /// Values that were looked for so far: by `_`, or by a name that nothing else binds.
    sought: usize,
}

impl ClauseScope<'_, '_> {
    fn site(&self, span: &Span) -> Site {
        Site { file: self.module, line: usize::try_from(span.line).unwrap_or_default() }
    }

    fn fault(&self, span: &Span, message: &str) -> BundleFault {
        let file = self.shared.files.get(self.module).cloned().unwrap_or_default();
        let line = usize::try_from(span.line).unwrap_or_default();
        BundleFault { file, line, message: format!("this rule depends on single records and cannot be made a filter: {message}") }
    }

    fn declare(&mut self, name: &str) -> usize {
        let slot = self.slots;
        self.slots = self.slots.saturating_add(1);
        if let Some(scope) = self.scopes.last_mut() {
            scope.push((name.to_owned(), slot));
        }
        slot
    }

    fn local(&self, name: &str) -> Option<usize> {
        self.scopes.iter().rev().flat_map(|scope| scope.iter().rev()).find(|(known, _)| known == name).map(|(_, slot)| *slot)
    }

    fn scoped<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, BundleFault>) -> Result<T, BundleFault> {
        self.scopes.push(Vec::new());
        let result = inner(self);
        self.scopes.pop();
        result
    }

    fn clause<'x>(&mut self, head: &'x RuleHead, bodies: &'x [RuleBody], span: &Span) -> Result<(GroupKind, Clause), BundleFault> {
        let mut args = Vec::new();
        let assigned = |assign: &'x Option<RuleAssign>| assign.as_ref().map(|assign| &assign.value);
        let (kind, key, value) = match head {
            RuleHead::Set { key: None, span, .. } => return Err(self.fault(span, "a rule of this form")),
            RuleHead::Set { key, .. } => (GroupKind::Set, None, key.as_ref()),
            RuleHead::Compr { refr, assign, .. } => match refr.as_ref() {
                Tree::RefBrack { index, .. } => (GroupKind::Object, Some(index), assigned(assign)),
                _ => (GroupKind::Complete, None, assigned(assign)),
            },
            RuleHead::Func { args: patterns, assign, .. } => {
                args = patterns.iter().map(|pattern| self.pattern(pattern)).collect::<Result<_, _>>()?;
                (GroupKind::Function, None, assigned(assign))
            }
        };
        let mut translated = Vec::new();
        if bodies.is_empty() {
            translated.push(self.body(None, false, key, value)?);
        }
        for body in bodies {
            let own = body.assign.as_ref().map(|assign| &assign.value);
            let value = if body.is_else { own } else { own.or(value) };
            translated.push(self.body(Some(&body.query), body.is_else, key, value)?);
        }
        Ok((kind, Clause { site: self.site(span), slots: self.slots, args, bodies: translated }))
    }

    fn body(
        &mut self,
        query: Option<&Ref<Query>>,
        otherwise: bool,
        key: Option<&Ref<Tree>>,
        value: Option<&Ref<Tree>>,
    ) -> Result<Body, BundleFault> {
        self.scoped(|scope| {
            let query = query.map(|query| scope.query(query)).transpose()?.unwrap_or_default();
            let key = key.map(|key| scope.expr(key)).transpose()?;
            let value = value.map(|value| scope.expr(value)).transpose()?.unwrap_or(Expr::Const(Value::from(true)));
            Ok(Body { otherwise, query, key, value })
        })
    }

    fn query(&mut self, query: &Query) -> Result<Vec<Stmt>, BundleFault> {
        let mut stmts = Vec::new();
        for stmt in &query.stmts {
            let site = self.site(&stmt.span);
            let replaced = stmt.with_mods.iter().map(|with| Ok((self.replaced(&with.refr, &stmt.span)?, self.expr(&with.r#as)?)));
            let replaced = replaced.collect::<Result<Vec<_>, BundleFault>>()?;
            let before = stmts.len();
            match &stmt.literal {
                Literal::SomeVars { vars, .. } => vars.iter().for_each(|var| {
                    self.declare(var.text());
                }),
                Literal::SomeIn { key, value, collection, .. } => {
                    let collection = self.expr(collection)?;
                    let key = key.as_ref().map(|key| self.pattern(key)).transpose()?;
                    let value = self.pattern(value)?;
                    stmts.push(Stmt::Some(site, key, value, collection));
                }
                Literal::Expr { expr, .. } => stmts.push(Stmt::Holds(site, self.expr(expr)?)),
                Literal::NotExpr { expr, .. } => {
                    let sought = self.sought;
                    let inner = self.scoped(|scope| scope.expr(expr))?;
                    if self.sought > sought {
                        // OPA takes it for "for none of them", the interpreter for "not for one of them".
                        let message = "\"not\" around a value that is looked for; look for it in a rule of its own, and negate that";
                        return Err(self.fault(&stmt.span, message));
                    }
                    stmts.push(Stmt::Fails(site, inner));
                }
                Literal::Every { key, value, domain, query, .. } => {
                    let domain = self.expr(domain)?;
                    let every = self.scoped(|scope| {
                        let key = key.as_ref().map(|key| scope.declare(key.text()));
                        let value = scope.declare(value.text());
                        Ok(Stmt::Every { site, key, value, domain, query: scope.query(query)? })
                    })?;
                    stmts.push(every);
                }
            }
            if !replaced.is_empty() {
                let made: Vec<Stmt> = stmts.drain(before..).collect();
                stmts.extend(made.into_iter().map(|stmt| Stmt::With(site, replaced.clone(), Box::new(stmt))));
            }
        }
        Ok(stmts)
    }

    /// What a `with` replaces, below `input`: nothing that holds the record or the clock.
    fn replaced(&self, target: &Ref<Tree>, span: &Span) -> Result<Vec<String>, BundleFault> {
        let fault = || self.fault(span, "\"with\" that replaces more than a value of the input; put it in a rule that no record reaches");
        let (root, steps) = chain(target).ok_or_else(fault)?;
        let Origin::Input(mut path) = self.names.origin(root.text()) else { return Err(fault()) };
        for step in steps {
            let Step::Name(name) = step else { return Err(fault()) };
            path.push(name);
        }
        if is_replaceable(&path) { Ok(path) } else { Err(fault()) }
    }

    /// An expression whose plain names are new variables.
    fn pattern(&mut self, expr: &Ref<Tree>) -> Result<Expr, BundleFault> {
        match expr.as_ref() {
            Tree::Var { span, .. } if span.text() == "_" => Ok(Expr::Any),
            Tree::Var { span, .. } => Ok(Expr::Local(self.declare(span.text()))),
            Tree::Array { items, .. } => Ok(Expr::Array(items.iter().map(|item| self.pattern(item)).collect::<Result<_, _>>()?)),
            Tree::Object { fields, .. } => {
                let fields = fields.iter().map(|(_, key, value)| Ok((self.expr(key)?, self.pattern(value)?)));
                Ok(Expr::Object(fields.collect::<Result<_, _>>()?))
            }
            _ => self.expr(expr),
        }
    }

    fn exprs(&mut self, exprs: &[Ref<Tree>]) -> Result<Vec<Expr>, BundleFault> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn boxed(&mut self, expr: &Ref<Tree>) -> Result<Box<Expr>, BundleFault> {
        self.expr(expr).map(Box::new)
    }

    fn expr(&mut self, expr: &Ref<Tree>) -> Result<Expr, BundleFault> {
        if let Some((root, steps)) = chain(expr) {
            return self.reference(root, steps);
        }
        let site = self.site(expr.span());
        Ok(match expr.as_ref() {
            Tree::String { value, .. } | Tree::RawString { value, .. } => {
                if let (Value::String(text), true) = (value, self.shared.texts.len() < TEXTS_MAX) {
                    self.shared.texts.insert(text.to_string());
                }
                Expr::Const(value.clone())
            }
            Tree::Number { value, .. } | Tree::Bool { value, .. } | Tree::Null { value, .. } => Expr::Const(value.clone()),
            Tree::Array { items, .. } => Expr::Array(self.exprs(items)?),
            Tree::Set { items, .. } => Expr::Set(self.exprs(items)?),
            Tree::Object { fields, .. } => {
                let fields = fields.iter().map(|(_, key, value)| Ok((self.expr(key)?, self.expr(value)?)));
                Expr::Object(fields.collect::<Result<_, _>>()?)
            }
            Tree::ArrayCompr { term, query, .. } => self.comprehension(Shape::Array, None, term, query)?,
            Tree::SetCompr { term, query, .. } => self.comprehension(Shape::Set, None, term, query)?,
            Tree::ObjectCompr { key, value, query, .. } => self.comprehension(Shape::Object, Some(key), value, query)?,
            Tree::Call { fcn, params, span, .. } => self.call(fcn, params, span)?,
            Tree::UnaryExpr { expr, .. } => Expr::Arith(site, ArithOp::Sub, Box::new(Expr::Const(Value::from(0_i64))), self.boxed(expr)?),
            Tree::RefDot { refr, field, .. } => Expr::Index(site, self.boxed(refr)?, Box::new(Expr::Const(field.1.clone()))),
            Tree::RefBrack { refr, index, .. } => Expr::Index(site, self.boxed(refr)?, self.boxed(index)?),
            Tree::BinExpr { op, lhs, rhs, .. } => {
                let op = match op {
                    BinOp::Union => SetOp::Union,
                    BinOp::Intersection => SetOp::Intersection,
                };
                Expr::Combine(site, op, self.boxed(lhs)?, self.boxed(rhs)?)
            }
            Tree::BoolExpr { op, lhs, rhs, .. } => Expr::Compare(site, compare_op(op), self.boxed(lhs)?, self.boxed(rhs)?),
            Tree::ArithExpr { op, lhs, rhs, .. } => Expr::Arith(site, arith_op(op), self.boxed(lhs)?, self.boxed(rhs)?),
            Tree::AssignExpr { op: AssignOp::ColEq, lhs, rhs, .. } => {
                // The value first: `x := x` is about an outer `x`.
                let value = self.boxed(rhs)?;
                Expr::Unify(site, Box::new(self.pattern(lhs)?), value)
            }
            Tree::AssignExpr { op: AssignOp::Eq, lhs, rhs, .. } => Expr::Unify(site, self.boxed(lhs)?, self.boxed(rhs)?),
            Tree::Membership { key, value, collection, .. } => {
                let key = key.as_ref().map(|key| self.boxed(key)).transpose()?;
                Expr::In(site, key, self.boxed(value)?, self.boxed(collection)?)
            }
            Tree::Var { span, .. } => return Err(self.fault(span, "a name of this form")),
        })
    }

    fn comprehension(&mut self, shape: Shape, key: Option<&Ref<Tree>>, term: &Ref<Tree>, query: &Query) -> Result<Expr, BundleFault> {
        let sought = self.sought;
        let made = self.scoped(|scope| {
            let query = scope.query(query)?;
            let key = key.map(|key| scope.boxed(key)).transpose()?;
            Ok(Expr::Compr(shape, key, scope.boxed(term)?, query))
        });
        // What is looked for within is looked for there.
        self.sought = sought;
        made
    }

    fn call(&mut self, fcn: &Ref<Tree>, params: &[Ref<Tree>], span: &Span) -> Result<Expr, BundleFault> {
        let site = self.site(span);
        let Some((root, steps)) = chain(fcn) else { return Err(self.fault(span, "a call of this form")) };
        let mut path = vec![root.text().to_owned()];
        for step in steps {
            let Step::Name(name) = step else { return Err(self.fault(span, "a call of this form")) };
            path.push(name);
        }
        if let Origin::Data(mut origin) = self.names.origin(root.text()) {
            origin.extend(path.iter().skip(1).cloned());
            let Some(number) = self.shared.numbers.get(origin.join(".").as_str()).copied() else {
                return Err(self.fault(span, "an unknown function"));
            };
            return Ok(Expr::Call(site, Callee::Group(number), self.exprs(params)?));
        }
        let name = path.join(".");
        let Some(builtin) = Builtin::new(&name, span, params) else {
            return Err(self.fault(span, &format!("the function {name} is not known")));
        };
        Ok(Expr::Call(site, Callee::Builtin(builtin), self.exprs(params)?))
    }

    fn reference(&mut self, root: &Span, steps: Vec<Step<'_>>) -> Result<Expr, BundleFault> {
        let site = self.site(root);
        let name = root.text();
        let (mut expr, mut steps) = if name == "_" && steps.is_empty() {
            self.sought = self.sought.saturating_add(1);
            return Ok(Expr::Any);
        } else if let Some(slot) = self.local(name) {
            (Expr::Local(slot), steps)
        } else {
            match self.names.origin(name) {
                Origin::Other => {
                    self.sought = self.sought.saturating_add(1);
                    (Expr::Local(self.declare(name)), steps)
                }
                Origin::Input(path) => {
                    let path = path.into_iter().map(Step::Name);
                    (Expr::Root(Root::Input), path.chain(steps).collect())
                }
                Origin::Data(path) => self.data(root, path, steps)?,
            }
        };
        for step in steps.drain(..) {
            let key = match step {
                Step::Name(name) => Expr::Const(Value::from(name)),
                Step::Key(key) => self.expr(key)?,
            };
            expr = Expr::Index(site, Box::new(expr), Box::new(key));
        }
        Ok(expr)
    }

    /// A path under `data`: a rule and what is left of the path, or the document itself.
    fn data<'s>(&mut self, root: &Span, path: Vec<String>, steps: Vec<Step<'s>>) -> Result<(Expr, Vec<Step<'s>>), BundleFault> {
        let written = steps.iter().map_while(|step| if let Step::Name(name) = step { Some(name.clone()) } else { None });
        let written: Vec<String> = path.iter().cloned().chain(written).collect();
        let open = written.len() < path.len().saturating_add(steps.len());
        for count in 1..=written.len() {
            let beginning = written.get(..count).unwrap_or_default().join(".");
            if !self.shared.paths.contains(beginning.as_str()) {
                continue;
            }
            let prefix = format!("{beginning}.");
            if self.shared.numbers.keys().any(|known| known.starts_with(&prefix)) {
                return Err(self.fault(root, "a rule of which a part has rules of its own"));
            }
            let left = path.into_iter().map(Step::Name).chain(steps).skip(count).collect();
            return Ok(match self.shared.numbers.get(beginning.as_str()) {
                Some(number) => (Expr::Rule(*number), left),
                None => match self.shared.constant(&beginning) {
                    Some(value) => (Expr::Const(value), left),
                    None => {
                        self.shared.grounds.insert(beginning.clone());
                        (Expr::Ground(beginning), left)
                    }
                },
            });
        }
        let prefix = format!("{}.", written.join("."));
        if written.is_empty() || self.shared.paths.iter().any(|known| known.starts_with(&prefix)) {
            let what = if open || written.is_empty() { "a computed name under \"data\"" } else { "a package as a value" };
            return Err(self.fault(root, what));
        }
        Ok((Expr::Root(Root::Data), path.into_iter().map(Step::Name).chain(steps).collect()))
    }
}

fn compare_op(op: &BoolOp) -> CompareOp {
    match op {
        BoolOp::Eq => CompareOp::Eq,
        BoolOp::Ne => CompareOp::Ne,
        BoolOp::Lt => CompareOp::Lt,
        BoolOp::Le => CompareOp::Le,
        BoolOp::Gt => CompareOp::Gt,
        BoolOp::Ge => CompareOp::Ge,
    }
}

fn arith_op(op: &regorus::unstable::ArithOp) -> ArithOp {
    match op {
        regorus::unstable::ArithOp::Add => ArithOp::Add,
        regorus::unstable::ArithOp::Sub => ArithOp::Sub,
        regorus::unstable::ArithOp::Mul => ArithOp::Mul,
        regorus::unstable::ArithOp::Div => ArithOp::Div,
        regorus::unstable::ArithOp::Mod => ArithOp::Mod,
    }
}
