//! Rules as this module evaluates them: names are resolved, variables are numbered, places are kept.
//!
//! INVARIANT: holds only rules that a record can reach, the functions that they call, and, so that the clock can stay open, those of the
//! rules they ask for that read it. A rule that no record reaches is a [`Expr::Ground`], and the interpreter answers it; so it does a
//! group that is of the clock alone, once the clock is known.

use std::collections::{BTreeMap, BTreeSet};

use super::super::CompareOp;
use super::super::rego::{Builtin, RegoValue as Value};

/// A place in a bundle: the file's number in [`Program::files`] and a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Site {
    /// The file.
    pub(in super::super) file: usize,
    /// The line, from 1.
    pub(in super::super) line: usize,
}

/// The rules of a bundle that a record can reach.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Program {
    /// The files that sites name.
    pub(in super::super) files: Vec<String>,
    /// Rules and functions.
    pub(in super::super) groups: Vec<Group>,
    /// Their numbers, by `package.name`.
    pub(in super::super) by_path: BTreeMap<String, usize>,
    /// The rules that no record reaches and that these ask for.
    pub(in super::super) grounds: BTreeSet<String>,
    /// All rules of the bundle that read the clock, or ask for one that does.
    pub(in super::super) clocked: BTreeSet<String>,
    /// All rules of the bundle that read which columns will be masked, or ask for one that does.
    pub(in super::super) by_masks: BTreeSet<String>,
    /// Texts that the rules compare with: names of roles among them.
    pub(in super::super) texts: BTreeSet<String>,
}

/// All definitions of one name.
#[derive(Debug, Clone)]
pub(in super::super) struct Group {
    /// `package.name`.
    pub(in super::super) path: String,
    /// Whether no record reaches it: it is here because it reads the clock.
    pub(in super::super) of_clock: bool,
    /// What it yields.
    pub(in super::super) kind: GroupKind,
    /// The value if no clause has one; with the places of its arguments for a function.
    pub(in super::super) default: Option<Clause>,
    /// The definitions, in the order of the files.
    pub(in super::super) clauses: Vec<Clause>,
}

/// What a rule yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum GroupKind {
    /// One value.
    Complete,
    /// A set, from its parts.
    Set,
    /// An object, from its parts.
    Object,
    /// One value for its arguments.
    Function,
}

/// One definition.
#[derive(Debug, Clone)]
pub(in super::super) struct Clause {
    /// Where it starts.
    pub(in super::super) site: Site,
    /// How many variables its frame holds.
    pub(in super::super) slots: usize,
    /// The arguments of a function, as patterns.
    pub(in super::super) args: Vec<Expr>,
    /// Its bodies; those after an `else` are tried in turn.
    pub(in super::super) bodies: Vec<Body>,
}

/// Conditions, and what the clause yields under them.
#[derive(Debug, Clone)]
pub(in super::super) struct Body {
    /// Whether it stands behind an `else`.
    pub(in super::super) otherwise: bool,
    /// The conditions.
    pub(in super::super) query: Vec<Stmt>,
    /// The key of a part of an object.
    pub(in super::super) key: Option<Expr>,
    /// The value; of a set an element.
    pub(in super::super) value: Expr,
}

/// One condition.
#[derive(Debug, Clone)]
pub(in super::super) enum Stmt {
    /// Holds if the expression has a value other than false.
    Holds(Site, Expr),
    /// Holds if it has not.
    Fails(Site, Expr),
    /// `some key, value in collection`
    Some(Site, Option<Expr>, Expr, Expr),
    /// A condition `with` other values of the input, each at its path.
    With(Site, Vec<(Vec<String>, Expr)>, Box<Stmt>),
    /// `every key, value in domain { … }`
    Every {
        /// Where.
        site: Site,
        /// The key's variable.
        key: Option<usize>,
        /// The value's variable.
        value: usize,
        /// What is run through.
        domain: Expr,
        /// What must hold.
        query: Vec<Stmt>,
    },
}

/// A document that rules are evaluated against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Root {
    /// `input`
    Input,
    /// `data`, as far as it is no rule.
    Data,
}

/// What is called.
#[derive(Debug, Clone)]
pub(in super::super) enum Callee {
    /// A function of the bundle.
    Group(usize),
    /// A function of the language.
    Builtin(Builtin),
}

/// What a comprehension makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Shape {
    /// `[…]`
    Array,
    /// `{…}`
    Set,
    /// `{… : …}`
    Object,
}

/// Arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum ArithOp {
    /// `+`
    Add,
    /// `-`, of sets too
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
}

/// Union or intersection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum SetOp {
    /// `|`
    Union,
    /// `&`
    Intersection,
}

/// An expression.
#[derive(Debug, Clone)]
pub(in super::super) enum Expr {
    /// A constant.
    Const(Value),
    /// A variable of the frame.
    Local(usize),
    /// `_`
    Any,
    /// `input` or `data`.
    Root(Root),
    /// A rule that a record or the clock reaches.
    Rule(usize),
    /// A rule that none reaches: the interpreter answers it.
    Ground(String),
    /// `expression[key]`
    Index(Site, Box<Expr>, Box<Expr>),
    /// A call.
    Call(Site, Callee, Vec<Expr>),
    /// `[…]`
    Array(Vec<Expr>),
    /// `{…}`
    Set(Vec<Expr>),
    /// `{… : …}`
    Object(Vec<(Expr, Expr)>),
    /// A comprehension.
    Compr(Shape, Option<Box<Expr>>, Box<Expr>, Vec<Stmt>),
    /// A comparison.
    Compare(Site, CompareOp, Box<Expr>, Box<Expr>),
    /// Arithmetic.
    Arith(Site, ArithOp, Box<Expr>, Box<Expr>),
    /// Union or intersection.
    Combine(Site, SetOp, Box<Expr>, Box<Expr>),
    /// `left = right` and `left := right`.
    Unify(Site, Box<Expr>, Box<Expr>),
    /// `key, value in collection`
    In(Site, Option<Box<Expr>>, Box<Expr>, Box<Expr>),
}

impl Program {
    /// The file of a site.
    pub(in super::super) fn file(&self, site: Site) -> &str {
        self.files.get(site.file).map_or("", String::as_str)
    }

    /// `file:line` of a site.
    pub(in super::super) fn place(&self, site: Site) -> String {
        format!("{}:{}", self.file(site), site.line)
    }

    /// Where a rule starts, if a record reaches it.
    pub(in super::super) fn site_of(&self, path: &str) -> Option<Site> {
        let group = self.groups.get(*self.by_path.get(path)?)?;
        group.clauses.first().or(group.default.as_ref()).map(|clause| clause.site)
    }

    /// The rule that a site lies in.
    pub(in super::super) fn rule_at(&self, site: Site) -> Option<&str> {
        let clauses = self.groups.iter().flat_map(|group| group.clauses.iter().map(move |clause| (clause.site, group)));
        let before = clauses.filter(|(start, _)| start.file == site.file && start.line <= site.line);
        before.max_by_key(|(start, _)| start.line).map(|(_, group)| group.path.as_str())
    }

    /// Whether a rule, or one that goes on from its name, reads the clock.
    pub(in super::super) fn is_clocked(&self, path: &str) -> bool {
        goes_on(&self.clocked, path)
    }

    /// Whether a rule, or one that goes on from its name, reads which columns will be masked.
    pub(in super::super) fn hangs_on_masks(&self, path: &str) -> bool {
        goes_on(&self.by_masks, path)
    }

    /// Whether a record reaches the rule.
    pub(in super::super) fn has(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }
}

/// Whether one of the rules has that name, or one that goes on from it.
fn goes_on(rules: &BTreeSet<String>, path: &str) -> bool {
    rules.iter().any(|rule| rule.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}
