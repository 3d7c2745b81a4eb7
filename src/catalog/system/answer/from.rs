//! Binds FROM, and moves conditions to where they leave out rows first.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, Join, JoinConstraint, JoinOperator, ObjectName, Query, TableAlias, TableFactor, TableWithJoins,
};

use crate::catalog::PgType;
use crate::catalog::relations::{self, Relation};
use crate::catalog::system::{folded, last_part, qualifier};

use super::bind::{Binder, Bound, Column, Typed, unsupported};
use super::call::{expressions, function_name};
use super::datum::Ty;
use super::query::unit;
use super::tree::{Condition, From, FromKind, JoinKind, Node, Origin, Part, SetCall, Side, Source};
use super::{operators, sets, taken_apart};

/// The columns of a leaf that is being bound.
struct Leaf {
    source: Source,
    columns: Vec<(String, Ty)>,
    /// The columns of relations that they are, as far as they are some.
    origins: Vec<Origin>,
    /// The name of the leaf without an alias.
    name: String,
    relation: Option<&'static Relation>,
    /// The first column to its left that it depends on.
    lateral: Option<usize>,
    /// A function of one value: an alias names its column, too.
    scalar: bool,
}

impl Binder {
    /// FROM.
    pub(super) fn from(&mut self, tables: &[TableWithJoins]) -> Bound<From> {
        let mut from: Option<From> = None;
        for table in tables {
            let (right, lateral) = self.joined(table)?;
            from = Some(match from {
                None => right,
                Some(left) => grouped(left, right, lateral.is_some()),
            });
        }
        Ok(from.unwrap_or_else(unit))
    }

    /// A relation with its joins, and the first column to its left that it depends on.
    fn joined(&mut self, table: &TableWithJoins) -> Bound<(From, Option<usize>)> {
        let (mut left, mut outside) = self.factor(&table.relation)?;
        for Join { relation, join_operator, .. } in &table.joins {
            let (kind, constraint) = match join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => (None, on),
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (Some(JoinKind::Left), on),
                JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (Some(JoinKind::Right), on),
                JoinOperator::FullOuter(on) => (Some(JoinKind::Full), on),
                _ => return unsupported("this join"),
            };
            let (right, lateral) = self.factor(relation)?;
            outside = outside.into_iter().chain(lateral.filter(|at| *at < left.start)).min();
            let split = right.start;
            let mut made = match kind {
                None => grouped(left, right, lateral.is_some()),
                Some(JoinKind::Right | JoinKind::Full) if lateral.is_some() => return unsupported("a lateral side of this join"),
                Some(kind) => outer(kind, left, right, lateral.is_some()),
            };
            self.constrain(&mut made, kind, split, constraint)?;
            left = made;
        }
        Ok((left, outside))
    }

    /// Binds the condition of a join whose right side begins at the column `split`.
    fn constrain(&mut self, from: &mut From, kind: Option<JoinKind>, split: usize, constraint: &JoinConstraint) -> Bound<()> {
        match constraint {
            JoinConstraint::None => Ok(()),
            JoinConstraint::On(on) => {
                for condition in self.conditions(on)? {
                    place_on(from, condition);
                }
                Ok(())
            }
            JoinConstraint::Using(names) => {
                let names: Vec<String> = names.iter().filter_map(last_part).collect();
                self.using(from, kind, split, &names)
            }
            JoinConstraint::Natural => {
                let columns = &self.level()?.columns;
                let of = |range: &std::ops::Range<usize>, column: &Column| range.contains(&column.at) && !column.hidden;
                let (left, right) = (from.start..split, split..from.start + from.width);
                let in_right = |name: &str| columns.iter().any(|column| of(&right, column) && column.name == name);
                let shared = columns.iter().filter(|column| of(&left, column) && in_right(&column.name));
                let names: Vec<String> = shared.map(|column| column.name.clone()).collect();
                self.using(from, kind, split, &names)
            }
        }
    }

    fn using(&mut self, from: &mut From, kind: Option<JoinKind>, split: usize, names: &[String]) -> Bound<()> {
        if kind == Some(JoinKind::Full) {
            return unsupported("FULL JOIN with USING");
        }
        let (left, right) = (from.start..split, split..from.start + from.width);
        for name in names {
            let columns = &self.level()?.columns;
            let find = |range: &std::ops::Range<usize>| {
                columns.iter().position(|column| column.name == *name && !column.hidden && range.contains(&column.at))
            };
            let (Some(one), Some(other)) = (find(&left), find(&right)) else { return unsupported("this USING") };
            let typed =
                |at: usize| columns.get(at).map(|column| (column.at, Typed::new(Node::Col { up: 0, at: column.at }, column.ty.clone())));
            let (Some((one_at, one_typed)), Some((other_at, other_typed))) = (typed(one), typed(other)) else {
                return unsupported("this USING");
            };
            let (one_node, other_node, compute, _) = operators::resolved(self, one_typed, "=", other_typed)?;
            let node = Node::Call { compute, strict: true, args: vec![one_node.clone(), other_node.clone()] };
            let side = |node, at| Side { node, touched: BTreeSet::from([at]) };
            let equal = Some((side(one_node, one_at), side(other_node, other_at)));
            place_on(from, Condition { node, touched: BTreeSet::from([one_at, other_at]), equal });
            // The column that is never NULL by the join alone is the one that both names lead to.
            let merged = if kind == Some(JoinKind::Right) { one } else { other };
            if let Some(column) = self.level()?.columns.get_mut(merged) {
                column.hidden = true;
            }
        }
        Ok(())
    }

    /// One part of FROM, and the first column to its left that it depends on.
    fn factor(&mut self, factor: &TableFactor) -> Bound<(From, Option<usize>)> {
        let (leaf, alias) = match factor {
            TableFactor::Table { name, alias, args: None, .. } => (self.relation(name)?, alias),
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                (self.function(name, &args.args, *with_ordinality)?, alias)
            }
            TableFactor::Function { name, args, with_ordinality, alias, .. } => (self.function(name, args, *with_ordinality)?, alias),
            TableFactor::UNNEST { array_exprs, alias, with_ordinality, with_offset: false, .. } => {
                (self.unnest(array_exprs, *with_ordinality)?, alias)
            }
            TableFactor::Derived { lateral, subquery, alias, .. } => (self.derived(subquery, *lateral)?, alias),
            TableFactor::NestedJoin { table_with_joins, alias: None } => return self.joined(table_with_joins),
            _ => return unsupported("this part of FROM"),
        };
        let lateral = leaf.lateral;
        Ok((self.leaf(leaf, alias.as_ref())?, lateral))
    }

    /// Gives the columns of a leaf their names and places.
    fn leaf(&mut self, leaf: Leaf, alias: Option<&TableAlias>) -> Bound<From> {
        let table = alias.map_or_else(|| leaf.name.clone(), |alias| folded(&alias.name));
        let names: Vec<String> = match alias {
            Some(alias) if !alias.columns.is_empty() => alias.columns.iter().map(|column| folded(&column.name)).collect(),
            Some(_) if leaf.scalar => vec![table.clone()],
            _ => Vec::new(),
        };
        let width = leaf.columns.len();
        let level = self.level()?;
        let start = level.columns.last().map_or(0, |column| column.at + 1);
        for (offset, (name, ty)) in leaf.columns.into_iter().enumerate() {
            let name = names.get(offset).cloned().unwrap_or(name);
            let origin = leaf.origins.get(offset).copied().flatten();
            level.columns.push(Column { table: table.clone(), name, ty, at: start + offset, hidden: false, origin });
        }
        level.tables.push((table, leaf.relation));
        Ok(From { start, width, kind: FromKind::Leaf { source: leaf.source, filters: Vec::new(), lookup: None } })
    }

    fn relation(&mut self, name: &ObjectName) -> Bound<Leaf> {
        let last = last_part(name).unwrap_or_default();
        if name.0.len() == 1
            && let Some(cte) = self.cte(&last)
        {
            let origins = cte.columns.iter().map(|column| column.origin).collect();
            let columns = cte.columns.into_iter().map(|column| (column.name, column.ty)).collect();
            return Ok(Leaf { source: Source::Cte(cte.id), columns, origins, name: last, relation: None, lateral: None, scalar: false });
        }
        let schema = qualifier(name).unwrap_or_else(|| "pg_catalog".to_owned());
        let catalog_fits =
            name.0.len() < 3 || name.0.first().and_then(|part| part.as_ident()).is_some_and(|ident| folded(ident) == self.facts.database);
        let Some(relation) = relations::find(&schema, &last).filter(|relation| !relation.is_restricted() && catalog_fits) else {
            return unsupported(format!("relation {name}"));
        };
        Ok(relation_leaf(relation, last))
    }

    fn function(&mut self, name: &ObjectName, args: &[FunctionArg], ordinality: bool) -> Bound<Leaf> {
        let name = function_name(name)?;
        let exprs = expressions(args)?;
        let relation = relations::find("pg_catalog", &format!("{name}()"));
        if let Some(relation) = relation.filter(|_| !ordinality && !taken_apart::takes_arguments(&name)) {
            // Their arguments change nothing here, but must mean something.
            for expr in exprs {
                let typed = self.expr(expr)?;
                let _ = self.settled(typed)?;
            }
            return Ok(relation_leaf(relation, name));
        }
        self.calls(&name, &[exprs], ordinality)
    }

    fn unnest(&mut self, arrays: &[Expr], ordinality: bool) -> Bound<Leaf> {
        let calls: Vec<Vec<&Expr>> = arrays.iter().map(|array| vec![array]).collect();
        self.calls("unnest", &calls, ordinality)
    }

    fn calls(&mut self, name: &str, calls: &[Vec<&Expr>], ordinality: bool) -> Bound<Leaf> {
        let before = std::mem::take(&mut self.level()?.touched);
        let mut bound: Vec<SetCall> = Vec::with_capacity(calls.len());
        let mut columns = Vec::new();
        let mut scalar = calls.len() == 1;
        for exprs in calls {
            let mut args = Vec::with_capacity(exprs.len());
            for expr in exprs {
                args.push(self.expr(expr)?);
            }
            match sets::bind(self, name, &args)? {
                Some(set) => {
                    scalar &= set.scalar;
                    columns.extend(set.columns);
                    bound.push(set.call);
                }
                None => {
                    // A function of one value answers one row.
                    let typed = self.plain_call(name, args)?;
                    columns.push((name.to_owned(), typed.ty));
                    let produce: super::tree::Produce = Arc::new(|args| Ok(vec![args.to_vec()]));
                    bound.push(SetCall { args: vec![typed.node], produce, width: 1 });
                }
            }
        }
        if ordinality {
            columns.push(("ordinality".to_owned(), PgType::INT8.into()));
        }
        let level = self.level()?;
        let lateral = level.touched.first().copied();
        level.touched.extend(before);
        Ok(Leaf {
            source: Source::Calls(bound, ordinality),
            columns,
            origins: Vec::new(),
            name: name.to_owned(),
            relation: None,
            lateral,
            scalar,
        })
    }

    fn derived(&mut self, query: &Query, lateral: bool) -> Bound<Leaf> {
        let before = std::mem::take(&mut self.level()?.touched);
        // Without LATERAL, what stands beside it has no names.
        let hidden =
            if lateral { None } else { Some((std::mem::take(&mut self.level()?.columns), std::mem::take(&mut self.level()?.tables))) };
        let made = self.subquery(query);
        if let Some((columns, tables)) = hidden {
            let level = self.level()?;
            level.columns = columns;
            level.tables = tables;
        }
        let level = self.level()?;
        let lateral = level.touched.first().copied().filter(|_| lateral);
        level.touched.extend(before);
        let subquery = made?;
        let origins = subquery.plan.columns.iter().map(|column| column.origin).collect();
        let columns = subquery.plan.columns.iter().map(|column| (column.name.clone(), column.ty.clone())).collect();
        Ok(Leaf { source: Source::Query(subquery), columns, origins, name: String::new(), relation: None, lateral, scalar: false })
    }

    /// Moves the parts of WHERE into FROM; what cannot be moved is answered.
    pub(super) fn place_where(&mut self, from: &mut From, selection: &Expr) -> Bound<Vec<Node>> {
        let mut rest = Vec::new();
        let mut conditions = self.conditions(selection)?;
        // What compares columns is cheap, and leaves few rows for what is not.
        conditions.sort_by_key(|condition| condition.equal.is_none());
        for condition in conditions {
            rest.extend(place(from, condition).map(|condition| condition.node));
        }
        Ok(rest)
    }

    /// The parts of a condition that AND joins.
    fn conditions(&mut self, expr: &Expr) -> Bound<Vec<Condition>> {
        let mut found = Vec::new();
        let mut pending = vec![expr];
        while let Some(expr) = pending.pop() {
            match expr {
                Expr::BinaryOp { left, op: BinaryOperator::And, right } => pending.extend([right.as_ref(), left.as_ref()]),
                Expr::Nested(inner) => pending.push(inner),
                expr => found.push(self.condition(expr)?),
            }
        }
        Ok(found)
    }

    fn condition(&mut self, expr: &Expr) -> Bound<Condition> {
        let before = std::mem::take(&mut self.level()?.touched);
        let mut equal = None;
        let node = match expr {
            Expr::BinaryOp { left, op, right } if !matches!(op, BinaryOperator::Or) && operators::spelled(op)? == "=" => {
                let left = self.expr(left)?;
                let left_touched = std::mem::take(&mut self.level()?.touched);
                let right = self.expr(right)?;
                let right_touched = std::mem::take(&mut self.level()?.touched);
                self.level()?.touched = left_touched.union(&right_touched).copied().collect();
                if matches!((&left.node, &right.node), (Node::Row(_), Node::Row(_))) {
                    self.operator(left, "=", right)?.node
                } else {
                    let (left, right, compute, _) = operators::resolved(self, left, "=", right)?;
                    equal =
                        Some((Side { node: left.clone(), touched: left_touched }, Side { node: right.clone(), touched: right_touched }));
                    Node::Call { compute, strict: true, args: vec![left, right] }
                }
            }
            expr => self.truth(expr)?,
        };
        let touched = std::mem::replace(&mut self.level()?.touched, before);
        self.level()?.touched.extend(&touched);
        Ok(Condition { node, touched, equal })
    }
}

fn relation_leaf(relation: &'static Relation, name: String) -> Leaf {
    let columns = relation.columns.iter().map(|column| (column.name.to_owned(), column.pg_type.into())).collect();
    // The rows of a function are of no relation.
    let numbers = (1..).take(if relation.oid == 0 { 0 } else { relation.columns.len() });
    let origins = numbers.map(|number| Some((relation.oid, number))).collect();
    Leaf { source: Source::Relation(relation), columns, origins, name, relation: Some(relation), lateral: None, scalar: false }
}

/// Both as parts of one group.
fn grouped(left: From, right: From, lateral: bool) -> From {
    let (start, width) = (left.start, left.width + right.width);
    let (mut parts, mut conditions) = (Vec::new(), Vec::new());
    for (side, lateral) in [(left, false), (right, lateral)] {
        match side.kind {
            FromKind::Group { parts: inner, conditions: known } if !lateral => {
                parts.extend(inner);
                conditions.extend(known);
            }
            _ => parts.push(Part { from: side, lateral }),
        }
    }
    From { start, width, kind: FromKind::Group { parts, conditions } }
}

fn outer(kind: JoinKind, left: From, right: From, lateral: bool) -> From {
    let (start, width) = (left.start, left.width + right.width);
    let kind = FromKind::Join { kind, left: Box::new(left), right: Box::new(right), lateral, on: Vec::new(), equal: Vec::new() };
    From { start, width, kind }
}

fn all_within(from: &From, touched: &BTreeSet<usize>) -> bool {
    touched.iter().all(|at| (from.start..from.start + from.width).contains(at))
}

/// Places a condition as deep as it may go; answers it if it must stay above.
fn place(from: &mut From, condition: Condition) -> Option<Condition> {
    if condition.touched.is_empty() || !all_within(from, &condition.touched) {
        return Some(condition);
    }
    match &mut from.kind {
        FromKind::Unit => Some(condition),
        FromKind::Leaf { .. } => {
            place_leaf(from, condition);
            None
        }
        FromKind::Group { parts, conditions } => {
            let part = parts.iter_mut().find(|part| all_within(&part.from, &condition.touched));
            let rest = match part {
                Some(part) => place(&mut part.from, condition),
                None => Some(condition),
            };
            conditions.extend(rest);
            None
        }
        FromKind::Join { kind, left, right, .. } => match kind {
            JoinKind::Left if all_within(left, &condition.touched) => place(left, condition),
            JoinKind::Right if all_within(right, &condition.touched) => place(right, condition),
            JoinKind::Left | JoinKind::Right | JoinKind::Full => Some(condition),
        },
    }
}

/// Places a condition of ON.
fn place_on(from: &mut From, condition: Condition) {
    let FromKind::Join { kind, left, right, on, .. } = &mut from.kind else {
        let rest = place(from, condition);
        if let FromKind::Group { conditions, .. } = &mut from.kind {
            conditions.extend(rest);
        }
        return;
    };
    if condition.touched.is_empty() {
        on.push(condition.node);
        return;
    }
    match kind {
        JoinKind::Left if all_within(right, &condition.touched) => on.extend(place(right, condition).map(|condition| condition.node)),
        JoinKind::Right if all_within(left, &condition.touched) => on.extend(place(left, condition).map(|condition| condition.node)),
        _ => pair(from, condition),
    }
}

/// A condition on both sides of a join: what is equal can be looked up.
fn pair(from: &mut From, condition: Condition) {
    let FromKind::Join { left, right, lateral, on, equal, .. } = &mut from.kind else { return };
    if let Some((one, other)) = condition.equal.as_ref().filter(|_| !*lateral) {
        let fits = |one: &Side, other: &Side| {
            !one.touched.is_empty() && !other.touched.is_empty() && all_within(left, &one.touched) && all_within(right, &other.touched)
        };
        if fits(one, other) {
            return equal.push((one.node.clone(), other.node.clone()));
        }
        if fits(other, one) {
            return equal.push((other.node.clone(), one.node.clone()));
        }
    }
    on.push(condition.node);
}

/// A condition on one leaf; one column that equals what is known outside of it is looked up.
fn place_leaf(from: &mut From, condition: Condition) {
    let start = from.start;
    let FromKind::Leaf { source, filters, lookup } = &mut from.kind else { return };
    if let (Source::Relation(_), None, Some((one, other))) = (&source, &lookup, condition.equal.as_ref()) {
        for (column, value) in [(one, other), (other, one)] {
            if let Node::Col { up: 0, at } = column.node
                && value.touched.is_empty()
            {
                *lookup = Some((at - start, value.node.clone()));
                return;
            }
        }
    }
    filters.push(condition.node);
}
