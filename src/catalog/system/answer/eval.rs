//! Computes expressions.

use std::collections::HashSet;
use std::rc::Rc;

use super::datum::Datum;
use super::run::{Failure, Row, Run};
use super::tree::{Compute, Node, Outcome, Subquery};

/// The rows that names of an expression lead to: of the query at hand, and of those around it.
#[derive(Clone, Copy)]
pub(super) struct Env<'a> {
    /// Columns to the left of `base`, if the expression may need them.
    pub(super) prefix: &'a [Datum],
    /// The place of the row's first column.
    pub(super) base: usize,
    /// The columns from `base` on.
    pub(super) row: &'a [Datum],
    /// What is computed beside the row.
    pub(super) extra: &'a [Datum],
    /// The query around this one.
    pub(super) outer: Option<&'a Env<'a>>,
}

impl Env<'_> {
    fn column(&self, up: usize, at: usize) -> Datum {
        let mut env = self;
        for _ in 0..up {
            match env.outer {
                Some(outer) => env = outer,
                None => return Datum::Null,
            }
        }
        let found = if at < env.base { env.prefix.get(at) } else { env.row.get(at - env.base) };
        found.cloned().unwrap_or(Datum::Null)
    }
}

impl Run {
    /// The value of an expression at a row.
    pub(super) fn eval(&self, node: &Node, env: &Env<'_>) -> Outcome {
        match node {
            Node::Const(value) => Ok(value.clone()),
            Node::Param(at) => Ok(self.parameters.get(*at).cloned().unwrap_or(Datum::Null)),
            Node::Col { up, at } => Ok(env.column(*up, *at)),
            Node::Extra(at) => Ok(env.extra.get(*at).cloned().unwrap_or(Datum::Null)),
            Node::Call { compute, strict, args } => {
                let mut values = Vec::with_capacity(args.len());
                for arg in args {
                    let value = self.eval(arg, env)?;
                    if *strict && value.is_null() {
                        return Ok(Datum::Null);
                    }
                    values.push(value);
                }
                let value = compute(&values)?;
                self.made(&value)?;
                Ok(value)
            }
            Node::And(parts) => self.joined(parts, env, false),
            Node::Or(parts) => self.joined(parts, env, true),
            Node::Case { arms, otherwise } => {
                for (condition, result) in arms {
                    if self.eval(condition, env)?.is_true() {
                        return self.eval(result, env);
                    }
                }
                self.eval(otherwise, env)
            }
            Node::Coalesce(parts) => {
                for part in parts {
                    let value = self.eval(part, env)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Ok(Datum::Null)
            }
            Node::Row(parts) => Ok(Datum::Row(self.all(parts, env)?.into())),
            Node::List(parts) => Ok(Datum::list(self.all(parts, env)?)),
            Node::Quantified { left, right, compute, all } => {
                let (left, right) = (self.eval(left, env)?, self.eval(right, env)?);
                if right.is_null() {
                    return Ok(Datum::Null);
                }
                quantified(&left, right.items(), compute, *all)
            }
            node => self.queried(node, env),
        }
    }

    fn queried(&self, node: &Node, env: &Env<'_>) -> Outcome {
        match node {
            Node::QuantifiedQuery { left, query, compute, all } => {
                let left = self.eval(left, env)?;
                let kept = self.kept(query, env)?;
                let items: Vec<Datum> = kept.rows.iter().filter_map(|row| row.first().cloned()).collect();
                quantified(&left, &items, compute, *all)
            }
            Node::InQuery { left, query } => self.within(left, query, env),
            Node::Exists(query) => Ok((!self.kept(query, env)?.rows.is_empty()).into()),
            Node::Scalar(query) => {
                let kept = self.kept(query, env)?;
                match kept.rows.as_slice() {
                    [] => Ok(Datum::Null),
                    [row] => Ok(row.first().cloned().unwrap_or(Datum::Null)),
                    _ => Err(Failure::ManyRows.into()),
                }
            }
            Node::Collect(query) => {
                let kept = self.kept(query, env)?;
                Ok(Datum::list(kept.rows.iter().filter_map(|row| row.first().cloned()).collect()))
            }
            _ => Ok(Datum::Null),
        }
    }

    /// The values of several expressions.
    pub(super) fn all(&self, nodes: &[Node], env: &Env<'_>) -> Result<Vec<Datum>, datafusion::error::DataFusionError> {
        nodes.iter().map(|node| self.eval(node, env)).collect()
    }

    /// Whether every condition is true.
    pub(super) fn holds(&self, conditions: &[Node], env: &Env<'_>) -> Result<bool, datafusion::error::DataFusionError> {
        for condition in conditions {
            if !self.eval(condition, env)?.is_true() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// AND or OR: one value decides, NULL leaves it open.
    fn joined(&self, parts: &[Node], env: &Env<'_>, decides: bool) -> Outcome {
        let mut open = false;
        for part in parts {
            match self.eval(part, env)? {
                Datum::Bool(truth) if truth == decides => return Ok(decides.into()),
                Datum::Bool(_) => {}
                _ => open = true,
            }
        }
        Ok(if open { Datum::Null } else { (!decides).into() })
    }

    fn within(&self, left: &[Node], query: &Subquery, env: &Env<'_>) -> Outcome {
        let values = self.all(left, env)?;
        let kept = self.kept(query, env)?;
        if kept.rows.is_empty() {
            return Ok(false.into());
        }
        if values.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        if kept.index().contains(&values) {
            return Ok(true.into());
        }
        // A NULL among the rows leaves it open whether it would have been equal.
        let open = kept
            .rows
            .iter()
            .any(|row| row.iter().any(Datum::is_null) && row.iter().zip(&values).all(|(one, other)| one.is_null() || one == other));
        Ok(if open { Datum::Null } else { false.into() })
    }

    /// The rows of a subquery; one that depends on nothing around it is run once.
    pub(super) fn kept(&self, query: &Subquery, env: &Env<'_>) -> Result<Rc<Kept>, datafusion::error::DataFusionError> {
        if query.correlated {
            return Ok(Rc::new(Kept::new(self.plan(&query.plan, Some(env))?)));
        }
        if let Some(kept) = self.subqueries.borrow().get(&query.id) {
            return Ok(Rc::clone(kept));
        }
        let kept = Rc::new(Kept::new(self.plan(&query.plan, Some(env))?));
        self.subqueries.borrow_mut().insert(query.id, Rc::clone(&kept));
        Ok(kept)
    }
}

fn quantified(left: &Datum, items: &[Datum], compute: &Compute, all: bool) -> Outcome {
    let mut open = false;
    for item in items {
        let result = if left.is_null() || item.is_null() { Datum::Null } else { compute(&[left.clone(), item.clone()])? };
        match result {
            Datum::Bool(truth) if truth != all => return Ok(truth.into()),
            Datum::Bool(_) => {}
            _ => open = true,
        }
    }
    Ok(if open { Datum::Null } else { all.into() })
}

/// The rows of a subquery, to be looked up in.
pub(super) struct Kept {
    /// The rows.
    pub(super) rows: Vec<Row>,
    set: std::cell::OnceCell<HashSet<Row>>,
}

impl Kept {
    fn new(rows: Vec<Row>) -> Self {
        Self { rows, set: std::cell::OnceCell::new() }
    }

    fn index(&self) -> &HashSet<Row> {
        self.set.get_or_init(|| self.rows.iter().cloned().collect())
    }
}
