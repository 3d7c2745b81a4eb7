//! Binds queries: WITH, SELECT, VALUES, UNION and its kin, ORDER BY, LIMIT.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, LimitClause, OrderByExpr, OrderByKind, Query, Select as SelectAst, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Value, With,
};

use crate::catalog::PgType;
use crate::catalog::system::{folded, labels, last_part};

use super::bind::{Binder, Bound, Column, CteName, Level, Typed, unsupported};
use super::call::{null, sort_key};
use super::datum::{Datum, Ty};
use super::tree::{Body, Cte, From, FromKind, Node, Output, Plan, Select, SetKind, SortKey};
use super::{casts, operators};

/// A column of a select list.
struct Item {
    name: String,
    typed: Typed,
    /// As written, to be found by ORDER BY and GROUP BY.
    written: Option<Expr>,
}

impl Binder {
    /// A query. Its columns may still be of unknown type.
    pub(super) fn query(&mut self, query: &Query) -> Bound<Plan> {
        if !query.locks.is_empty() || query.for_clause.is_some() || !query.pipe_operators.is_empty() {
            return unsupported("this clause");
        }
        let known = self.ctes.len();
        let ctes = match &query.with {
            Some(with) => self.with(with),
            None => Ok(Vec::new()),
        };
        let plan = ctes.and_then(|ctes| self.after_with(query, ctes));
        self.ctes.truncate(known);
        plan
    }

    fn after_with(&mut self, query: &Query, ctes: Vec<Cte>) -> Bound<Plan> {
        let keys = match query.order_by.as_ref().map(|order| &order.kind) {
            None => &[][..],
            Some(OrderByKind::Expressions(keys)) => keys,
            Some(OrderByKind::All(_)) => return unsupported("ORDER BY ALL"),
        };
        let mut plan = self.body(&query.body, keys)?;
        (plan.offset, plan.limit) = self.limits(query)?;
        plan.ctes.splice(..0, ctes);
        Ok(plan)
    }

    fn limits(&mut self, query: &Query) -> Bound<(Option<Node>, Option<Node>)> {
        let (mut limit, mut offset) = (None, None);
        match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit: most, offset: skip, limit_by }) if limit_by.is_empty() => {
                limit = most.as_ref();
                offset = skip.as_ref().map(|skip| &skip.value);
            }
            None => {}
            Some(_) => return unsupported("this LIMIT"),
        }
        let one = Expr::Value(Value::Number("1".to_owned(), false).with_empty_span());
        if let Some(fetch) = &query.fetch {
            if fetch.with_ties || fetch.percent {
                return unsupported("this FETCH");
            }
            limit = Some(fetch.quantity.as_ref().unwrap_or(&one));
        }
        let mut bound = |expr: Option<&Expr>| match expr {
            Some(expr) => {
                let typed = self.expr(expr)?;
                self.coerce(typed, &PgType::INT8.into()).map(Some)
            }
            None => Ok(None),
        };
        Ok((bound(offset)?, bound(limit)?))
    }

    fn with(&mut self, with: &With) -> Bound<Vec<Cte>> {
        let mut made = Vec::with_capacity(with.cte_tables.len());
        for cte in &with.cte_tables {
            let name = folded(&cte.alias.name);
            let names: Vec<String> = cte.alias.columns.iter().map(|column| folded(&column.name)).collect();
            let id = self.number();
            if with.recursive
                && let SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, left, right } = cte.query.body.as_ref()
                && cte.query.with.is_none()
                && cte.query.order_by.is_none()
                && cte.query.limit_clause.is_none()
            {
                made.push(self.recursive(id, &name, &names, (left, right), *set_quantifier == SetQuantifier::All)?);
                continue;
            }
            let (mut plan, lowest) = self.measured(|binder| {
                let plan = binder.query(&cte.query)?;
                binder.settle(plan)
            })?;
            rename(&mut plan.columns, &names)?;
            self.ctes.push(CteName { name, id, columns: plan.columns.clone(), lowest });
            made.push(Cte { id, plan: Arc::new(plan), step: None });
        }
        Ok(made)
    }

    /// What it makes, and the outermost level that this depends on.
    fn measured<T>(&mut self, bind: impl FnOnce(&mut Self) -> Bound<T>) -> Bound<(T, usize)> {
        let outer = std::mem::replace(&mut self.lowest, usize::MAX);
        let made = bind(self);
        let lowest = self.lowest;
        self.lowest = lowest.min(outer);
        Ok((made?, lowest))
    }

    fn recursive(&mut self, id: usize, name: &str, names: &[String], sides: (&SetExpr, &SetExpr), all: bool) -> Bound<Cte> {
        let (mut first, lowest) = self.measured(|binder| {
            let plan = binder.body(sides.0, &[])?;
            binder.settle(plan)
        })?;
        rename(&mut first.columns, names)?;
        // While it is being made, its rows change from step to step: nothing that reads them may be kept.
        self.ctes.push(CteName { name: name.to_owned(), id, columns: first.columns.clone(), lowest: 0 });
        let step = self.body(sides.1, &[])?;
        let types: Vec<Ty> = first.columns.iter().map(|column| column.ty.clone()).collect();
        let step = self.retyped(step, &types)?;
        if let Some(entry) = self.ctes.last_mut() {
            entry.lowest = lowest;
        }
        Ok(Cte { id, plan: Arc::new(first), step: Some((Arc::new(step), all)) })
    }

    /// The body of a query, sorted by these keys.
    fn body(&mut self, body: &SetExpr, keys: &[OrderByExpr]) -> Bound<Plan> {
        match body {
            SetExpr::Select(select) => self.select(select, keys),
            SetExpr::Query(query) => {
                let inner = self.query(query)?;
                let columns = inner.columns.clone();
                let inner = if keys.is_empty() { inner } else { self.settle(inner)? };
                self.sorted(Body::Query(Box::new(inner)), columns, keys)
            }
            SetExpr::Values(values) => {
                let mut rows = Vec::with_capacity(values.rows.len());
                for row in &values.rows {
                    let mut cells = Vec::new();
                    for expr in row.content.iter() {
                        cells.push(self.expr(expr)?);
                    }
                    rows.push(cells);
                }
                let plan = self.values(rows)?;
                self.sorted(plan.body, plan.columns, keys)
            }
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let kind = match op {
                    SetOperator::Union => SetKind::Union,
                    SetOperator::Except => SetKind::Except,
                    SetOperator::Intersect => SetKind::Intersect,
                    SetOperator::Minus => return unsupported("MINUS"),
                };
                let all = match set_quantifier {
                    SetQuantifier::All => true,
                    SetQuantifier::Distinct | SetQuantifier::None => false,
                    _ => return unsupported("BY NAME"),
                };
                let (left, right) = (self.body(left, &[])?, self.body(right, &[])?);
                let plan = self.combined(kind, all, left, right)?;
                self.sorted(plan.body, plan.columns, keys)
            }
            _ => unsupported("this query"),
        }
    }

    fn values(&mut self, rows: Vec<Vec<Typed>>) -> Bound<Plan> {
        let width = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != width) {
            return unsupported("rows of different lengths");
        }
        let mut columns = Vec::with_capacity(width);
        let mut types = Vec::with_capacity(width);
        for at in 0..width {
            let ty = operators::unify(rows.iter().filter_map(|row| row.get(at)))?;
            columns.push(Output { name: format!("column{}", at + 1), ty: ty.clone(), unknown: false, origin: None });
            types.push(ty);
        }
        let mut cells = Vec::with_capacity(rows.len());
        for row in rows {
            let mut nodes = Vec::with_capacity(width);
            for (typed, ty) in row.into_iter().zip(&types) {
                nodes.push(self.coerce(typed, ty)?);
            }
            cells.push(nodes);
        }
        Ok(Plan { ctes: Vec::new(), body: Body::Values(cells), sort: Vec::new(), offset: None, limit: None, columns })
    }

    fn combined(&mut self, kind: SetKind, all: bool, left: Plan, right: Plan) -> Bound<Plan> {
        if left.columns.len() != right.columns.len() {
            return unsupported("queries of different widths");
        }
        let as_typed = |column: &Output| Typed { node: null(), ty: column.ty.clone(), unknown: column.unknown };
        let mut types = Vec::with_capacity(left.columns.len());
        for (one, other) in left.columns.iter().zip(&right.columns) {
            types.push(operators::unify([as_typed(one), as_typed(other)].iter())?);
        }
        let columns = left.columns.iter().zip(&types);
        let columns =
            columns.map(|(column, ty)| Output { name: column.name.clone(), ty: ty.clone(), unknown: false, origin: None }).collect();
        let (left, right) = (self.retyped(left, &types)?, self.retyped(right, &types)?);
        let body = Body::Set { kind, all, left: Box::new(left), right: Box::new(right) };
        Ok(Plan { ctes: Vec::new(), body, sort: Vec::new(), offset: None, limit: None, columns })
    }

    /// The plan with every column of a known type.
    pub(super) fn settle(&mut self, plan: Plan) -> Bound<Plan> {
        let types: Vec<Ty> = plan.columns.iter().map(|column| column.ty.clone()).collect();
        self.retyped(plan, &types)
    }

    /// The plan with columns of these types.
    fn retyped(&mut self, mut plan: Plan, types: &[Ty]) -> Bound<Plan> {
        for (at, ty) in types.iter().enumerate() {
            let Some(column) = plan.columns.get_mut(at) else { return unsupported("queries of different widths") };
            let typed = |node: &Node| Typed { node: node.clone(), ty: column.ty.clone(), unknown: column.unknown };
            if column.unknown || column.ty != *ty {
                match &mut plan.body {
                    Body::Select(select) => {
                        let Some(item) = select.items.get_mut(at) else { continue };
                        *item = self.coerce(typed(item), ty)?;
                    }
                    Body::Values(rows) => {
                        for cell in rows.iter_mut().filter_map(|row| row.get_mut(at)) {
                            *cell = casts::cast(cell.clone(), &column.ty, ty, &self.facts)?;
                        }
                    }
                    Body::Query(inner) => {
                        let mut all: Vec<Ty> = inner.columns.iter().map(|column| column.ty.clone()).collect();
                        if let Some(place) = all.get_mut(at) {
                            *place = ty.clone();
                        }
                        let taken = std::mem::replace(inner.as_mut(), nothing());
                        **inner = self.retyped(taken, &all)?;
                    }
                    Body::Set { left, right, .. } => {
                        for side in [left, right] {
                            let mut all: Vec<Ty> = side.columns.iter().map(|column| column.ty.clone()).collect();
                            if let Some(place) = all.get_mut(at) {
                                *place = ty.clone();
                            }
                            let taken = std::mem::replace(side.as_mut(), nothing());
                            **side = self.retyped(taken, &all)?;
                        }
                    }
                }
            }
            if column.ty != *ty {
                column.origin = None;
            }
            column.ty = ty.clone();
            column.unknown = false;
        }
        Ok(plan)
    }

    /// A body sorted by its own columns.
    fn sorted(&mut self, body: Body, columns: Vec<Output>, keys: &[OrderByExpr]) -> Bound<Plan> {
        let mut sort = Vec::with_capacity(keys.len());
        for key in keys {
            let at = match &key.expr {
                Expr::Identifier(ident) => columns.iter().position(|column| column.name == folded(ident)),
                expr => ordinal(expr, columns.len()),
            };
            match at {
                Some(at) => sort.push(sort_key(at, key)),
                None => return unsupported("ORDER BY of what is no column of the result"),
            }
        }
        Ok(Plan { ctes: Vec::new(), body, sort, offset: None, limit: None, columns })
    }

    fn select(&mut self, select: &SelectAst, keys: &[OrderByExpr]) -> Bound<Plan> {
        let plain = select.top.is_none()
            && select.into.is_none()
            && select.lateral_views.is_empty()
            && select.prewhere.is_none()
            && select.connect_by.is_empty()
            && select.qualify.is_none()
            && select.named_window.is_empty();
        if !plain {
            return unsupported("a clause of SELECT");
        }
        self.levels.push(Level::default());
        let plan = self.select_inside(select, keys);
        self.levels.pop();
        plan
    }

    fn select_inside(&mut self, select: &SelectAst, keys: &[OrderByExpr]) -> Bound<Plan> {
        let mut from = self.from(&select.from)?;
        let filters = match &select.selection {
            Some(selection) => self.place_where(&mut from, selection)?,
            None => Vec::new(),
        };
        self.level()?.loose.clear();
        let groups = self.groups(select)?;
        self.level()?.loose.clear();
        let mut items = Vec::new();
        for item in &select.projection {
            self.item(item, &mut items)?;
        }
        let having = match &select.having {
            Some(having) => Some(self.truth(having)?),
            None => None,
        };
        let width = items.len();
        let sort = self.sort_keys(keys, &mut items)?;
        let distinct = self.distinct_columns(select, width, &mut items)?;
        let grouped = groups.is_some() || having.is_some() || self.level()?.aggregates;
        if grouped {
            self.check_loose(groups.as_deref().unwrap_or_default())?;
        }
        let known = &self.level()?.columns;
        let origin = |node: &Node| match node {
            Node::Col { up: 0, at } => known.iter().find(|column| column.at == *at).and_then(|column| column.origin),
            _ => None,
        };
        let columns = items.iter().take(width);
        let columns = columns.map(|Item { name, typed, .. }| Output {
            name: name.clone(),
            ty: typed.ty.clone(),
            unknown: typed.unknown,
            origin: origin(&typed.node),
        });
        let columns = columns.collect();
        let mut nodes = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            nodes.push(if at < width { item.typed.node } else { self.settled(item.typed)?.node });
        }
        let groups = grouped.then(|| groups.unwrap_or_default());
        let level = self.level()?;
        let extras = std::mem::take(&mut level.extras);
        let body = Select { width: from.width, from, filters, groups, having, extras, items: nodes, distinct };
        Ok(Plan { ctes: Vec::new(), body: Body::Select(Box::new(body)), sort, offset: None, limit: None, columns })
    }

    /// What is grouped by: a column, an expression, the number or name of a column of the result.
    fn groups(&mut self, select: &SelectAst) -> Bound<Option<Vec<Node>>> {
        let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else { return unsupported("GROUP BY ALL") };
        if !modifiers.is_empty() {
            return unsupported("GROUP BY with a modifier");
        }
        if keys.is_empty() {
            return Ok(None);
        }
        let mut nodes = Vec::with_capacity(keys.len());
        let mut written = Vec::with_capacity(keys.len());
        for key in keys {
            if matches!(key, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_)) {
                return unsupported("grouping sets");
            }
            let key = self.group_key(key, select)?;
            let typed = self.expr(&key)?;
            nodes.push(self.settled(typed)?.node);
            written.push(key);
        }
        self.level()?.groups = written;
        Ok(Some(nodes))
    }

    fn group_key(&mut self, key: &Expr, select: &SelectAst) -> Bound<Expr> {
        let item_at = |at: usize| match select.projection.get(at) {
            Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => Some(expr.clone()),
            _ => None,
        };
        if let Some(at) = ordinal(key, select.projection.len()) {
            return item_at(at).map_or_else(|| unsupported("this position in GROUP BY"), Ok);
        }
        if let Expr::Identifier(ident) = key {
            let name = folded(ident);
            let own = self.levels.last().is_some_and(|level| level.columns.iter().any(|column| column.name == name && !column.hidden));
            if !own {
                let named = |item: &SelectItem| matches!(item, SelectItem::ExprWithAlias { alias, .. } if folded(alias) == name);
                if let Some(SelectItem::ExprWithAlias { expr, .. }) = select.projection.iter().find(|item| named(item)) {
                    return Ok(expr.clone());
                }
            }
        }
        Ok(key.clone())
    }

    /// A column outside of aggregates must be grouped by, or belong to a table whose key is.
    fn check_loose(&mut self, groups: &[Node]) -> Bound<()> {
        let level = self.level()?;
        let keys: BTreeSet<usize> =
            groups.iter().filter_map(|node| if let Node::Col { up: 0, at } = node { Some(*at) } else { None }).collect();
        let table_of =
            |at: usize| level.columns.iter().find(|column| column.at == at).map(|column| (column.table.as_str(), column.name.as_str()));
        let keyed: BTreeSet<&str> =
            keys.iter().filter_map(|at| table_of(*at)).filter(|(_, name)| *name == "oid").map(|(table, _)| table).collect();
        let fits = |at: &usize| keys.contains(at) || table_of(*at).is_some_and(|(table, _)| keyed.contains(table));
        if level.loose.iter().all(fits) { Ok(()) } else { unsupported("a column that is not grouped by") }
    }

    fn item(&mut self, item: &SelectItem, items: &mut Vec<Item>) -> Bound<()> {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let typed = self.expr(expr)?;
                items.push(Item { name: labels::label(expr), typed, written: Some(expr.clone()) });
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let typed = self.expr(expr)?;
                items.push(Item { name: folded(alias), typed, written: Some(expr.clone()) });
            }
            SelectItem::Wildcard(_) => {
                let columns: Vec<Column> = self.level()?.columns.iter().filter(|column| !column.hidden).cloned().collect();
                self.columns(columns, items)?;
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let alias = last_part(name).unwrap_or_default();
                let columns: Vec<Column> = self.level()?.columns.iter().filter(|column| column.table == alias).cloned().collect();
                if columns.is_empty() {
                    let row = self.column(None, &alias)?;
                    return match row {
                        Some(row) => fields(row, items),
                        None => unsupported(format!("missing FROM-clause entry for table \"{alias}\"")),
                    };
                }
                self.columns(columns, items)?;
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(expr), _) => {
                let row = self.expr(expr)?;
                fields(row, items)?;
            }
            SelectItem::ExprWithAliases { .. } => return unsupported("several aliases"),
        }
        Ok(())
    }

    fn columns(&mut self, columns: Vec<Column>, items: &mut Vec<Item>) -> Bound<()> {
        let level = self.level()?;
        for column in columns {
            level.loose.insert(column.at);
            let typed = Typed::new(Node::Col { up: 0, at: column.at }, column.ty);
            items.push(Item { name: column.name, typed, written: None });
        }
        Ok(())
    }

    /// The keys of ORDER BY; what is not in the select list is added behind it.
    fn sort_keys(&mut self, keys: &[OrderByExpr], items: &mut Vec<Item>) -> Bound<Vec<SortKey>> {
        let width = items.len();
        let mut sort = Vec::with_capacity(keys.len());
        for key in keys {
            let named = match &key.expr {
                Expr::Identifier(ident) => items.iter().take(width).position(|item| item.name == folded(ident)),
                expr => ordinal(expr, width),
            };
            let written = || items.iter().take(width).position(|item| item.written.as_ref() == Some(&key.expr));
            let at = match named.or_else(written) {
                Some(at) => at,
                None => {
                    let typed = self.expr(&key.expr)?;
                    items.push(Item { name: String::new(), typed, written: Some(key.expr.clone()) });
                    items.len() - 1
                }
            };
            sort.push(sort_key(at, key));
        }
        Ok(sort)
    }

    fn distinct_columns(&mut self, select: &SelectAst, width: usize, items: &mut Vec<Item>) -> Bound<Option<Vec<usize>>> {
        Ok(match &select.distinct {
            None | Some(Distinct::All) => None,
            Some(Distinct::Distinct) if items.len() > width => return unsupported("DISTINCT sorted by what is not in the result"),
            Some(Distinct::Distinct) => Some((0..width).collect()),
            Some(Distinct::On(exprs)) => {
                let mut columns = Vec::with_capacity(exprs.len());
                for expr in exprs {
                    let found = ordinal(expr, width).or_else(|| items.iter().position(|item| item.written.as_ref() == Some(expr)));
                    columns.push(match found {
                        Some(at) => at,
                        None => {
                            let typed = self.expr(expr)?;
                            items.push(Item { name: String::new(), typed, written: Some(expr.clone()) });
                            items.len() - 1
                        }
                    });
                }
                Some(columns)
            }
        })
    }
}

fn fields(row: Typed, items: &mut Vec<Item>) -> Bound<()> {
    let Some(names) = row.ty.fields.clone() else { return unsupported("the fields of what is no row") };
    for (name, _) in names.iter() {
        let typed = super::expr::field(row.clone(), name)?;
        items.push(Item { name: name.clone(), typed, written: None });
    }
    Ok(())
}

fn rename(columns: &mut [Output], names: &[String]) -> Bound<()> {
    if names.len() > columns.len() {
        return unsupported("more names than columns");
    }
    for (column, name) in columns.iter_mut().zip(names) {
        column.name.clone_from(name);
    }
    Ok(())
}

/// The column that a bare number names.
fn ordinal(expr: &Expr, width: usize) -> Option<usize> {
    let Expr::Value(value) = expr else { return None };
    let Value::Number(text, _) = &value.value else { return None };
    let number: usize = text.parse().ok()?;
    (1..=width).contains(&number).then(|| number - 1)
}

/// A plan that stands in for one that is taken out.
fn nothing() -> Plan {
    Plan { ctes: Vec::new(), body: Body::Values(Vec::new()), sort: Vec::new(), offset: None, limit: None, columns: Vec::new() }
}

/// One row without columns.
pub(super) fn unit() -> From {
    From { start: 0, width: 0, kind: FromKind::Unit }
}

/// NULL in every column.
pub(super) fn nulls(width: usize) -> Vec<Datum> {
    vec![Datum::Null; width]
}
