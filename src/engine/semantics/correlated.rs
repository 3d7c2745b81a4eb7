//! Correlated subqueries that the planner has no join for: aggregates, limits and lists of values over conditions of any kind.
//!
//! The rows around such a subquery are numbered and joined with all that it reads; what it does is done for each number. INVARIANT: a row
//! stands beside at least one row of the subquery, real or not; one that is not real counts for nothing, and nothing is computed of it.
//! The rows are read once, so that their numbers mean the same to both sides.

mod nested;
mod shape;
mod windowed;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, NullHandling, RecursionUnnestOption, ScalarValue, UnnestOptions};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::functions_nested::expr_fn::cardinality;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::logical_plan::{Aggregate, Distinct, Filter, Join, Limit, Projection, SubqueryAlias, Unnest};
use datafusion::logical_expr::{Expr, ExprFunctionExt as _, LogicalPlan, LogicalPlanBuilder, is_true, lit, when};

use super::function::Result;
use super::single::single;

/// Puts joins in the place of the subqueries that need it.
pub(super) fn joined(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut number = 0;
    let done = plan.transform_up_with_subqueries(|node| {
        number += 1;
        let replaced = match &node {
            LogicalPlan::Join(join) => lateral(join, number)?,
            LogicalPlan::Projection(projection) => projected(projection, number)?,
            LogicalPlan::Filter(filter) => filtered(filter, number)?,
            _ => None,
        };
        Ok(replaced.map_or_else(|| Transformed::no(node), Transformed::yes))
    })?;
    Ok(done.data)
}

/// Whether the plan is a LATERAL subquery.
pub(super) fn is_lateral(plan: &LogicalPlan) -> bool {
    shape::lateral(plan)
}

/// A join with a LATERAL subquery.
fn lateral(join: &Join, number: usize) -> Result<Option<LogicalPlan>> {
    let optional = join.join_type == JoinType::Left;
    if !optional && join.join_type != JoinType::Inner || !shape::lateral(&join.right) || !hard(&join.right) {
        return Ok(None);
    }
    let mut beside = Beside::new(&join.left, number)?;
    let Some(mut made) = beside.onto(&join.right)? else {
        return if shape::windowed(&join.right) { Err(windowed::refused()) } else { Ok(None) };
    };
    let conditions =
        join.on.iter().map(|(left, right)| left.clone().eq(right.clone())).chain(join.filter.clone().filter(|filter| *filter != lit(true)));
    if let Some(condition) = conditions.reduce(Expr::and) {
        let Some(condition) = beside.moved(&condition, join.right.schema(), &made.own)? else { return Ok(None) };
        made = beside.kept(made, condition)?;
    }
    let real = Expr::Column(made.real.clone()).is_not_null();
    let plan = if optional && !made.alone {
        let place = beside.name();
        let first = row_number().partition_by(vec![beside.row()]).order_by(vec![Expr::Column(made.real.clone()).sort(false, false)]);
        let plan = LogicalPlanBuilder::from(made.plan).window([first.build()?.alias(&place)])?;
        let only = Expr::Column(Column::from_name(place)).eq(lit(1_u64));
        plan.filter(real.clone().or(only))?.build()?
    } else if optional {
        made.plan
    } else {
        LogicalPlanBuilder::from(made.plan).filter(real.clone())?.build()?
    };
    let kept = join.left.schema().columns().into_iter().map(Expr::Column);
    let added = made.own.into_iter().zip(join.right.schema().iter()).map(|(column, (qualifier, field))| {
        let value = Expr::Column(column);
        let value = if optional { when(real.clone(), value).end()? } else { value };
        Ok(value.alias_qualified(qualifier.cloned(), field.name()))
    });
    let exprs = kept.map(Ok).chain(added).collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(plan).project(exprs)?.build().map(Some)
}

/// A select list with such subqueries.
fn projected(projection: &Projection, number: usize) -> Result<Option<LogicalPlan>> {
    let Some((plan, exprs)) = valued(&projection.input, &projection.expr, true, number)? else { return Ok(None) };
    let named = exprs.into_iter().zip(projection.schema.iter());
    let named = named.map(|(expr, (qualifier, field))| match expr {
        Expr::Column(column) if column.name == *field.name() && column.relation.as_ref() == qualifier => Expr::Column(column),
        expr => expr.unalias().alias_qualified(qualifier.cloned(), field.name()),
    });
    LogicalPlanBuilder::from(plan).project(named)?.build().map(Some)
}

/// A condition with such subqueries.
fn filtered(filter: &Filter, number: usize) -> Result<Option<LogicalPlan>> {
    let Some((plan, mut exprs)) = valued(&filter.input, std::slice::from_ref(&filter.predicate), false, number)? else { return Ok(None) };
    let Some(predicate) = exprs.pop() else { return Ok(None) };
    let kept = filter.input.schema().columns().into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(plan).filter(predicate)?.project(kept)?.build().map(Some)
}

/// The rows with the values of such subqueries beside them, and the expressions over those; `None` if there are none.
fn valued(input: &LogicalPlan, exprs: &[Expr], shown: bool, number: usize) -> Result<Option<(LogicalPlan, Vec<Expr>)>> {
    let mut plan = input.clone();
    let (mut found, mut counted) = (0, false);
    let mut replaced = Vec::with_capacity(exprs.len());
    for expr in exprs {
        let values = nested::counted(expr.clone(), shown)?;
        counted |= values.transformed;
        let done = values.data.transform_up(|part| {
            let Expr::ScalarSubquery(subquery) = &part else { return Ok(Transformed::no(part)) };
            if !hard(&subquery.subquery) && !shape::several(&subquery.subquery) {
                return Ok(Transformed::no(part));
            }
            let mut beside = Beside::new(&plan, number * 1_000 + found)?;
            let Some(made) = beside.onto(&subquery.subquery)? else { return Ok(Transformed::no(part)) };
            let made = if made.alone { made } else { beside.only(made)? };
            let Some(value) = made.own.into_iter().next() else { return Ok(Transformed::no(part)) };
            found += 1;
            plan = made.plan;
            Ok(Transformed::yes(Expr::Column(value)))
        })?;
        replaced.push(done.data);
    }
    Ok((found > 0 || counted).then_some((plan, replaced)))
}

/// Whether the planner cannot make a join of it.
fn hard(plan: &LogicalPlan) -> bool {
    shape::hard(plan) || nested::reaches(plan)
}

/// A subquery on its way beside the rows.
struct Beside {
    /// The rows with their numbers.
    left: LogicalPlan,
    row: Column,
    number: usize,
    names: usize,
}

/// A plan of the rows' columns and of others.
struct Made {
    plan: LogicalPlan,
    /// The subquery's columns.
    own: Vec<Column>,
    /// By what its rows are sorted.
    order: Vec<Sort>,
    /// Known where a row of it is real.
    real: Column,
    /// Each row stands once, beside a real one.
    alone: bool,
}

impl Beside {
    fn new(left: &LogicalPlan, number: usize) -> Result<Self> {
        let row = format!("meshgate_row_{number}");
        let left = LogicalPlanBuilder::from(left.clone()).window([row_number().alias(&row)])?.build()?;
        Ok(Self { left, row: Column::from_name(row), number, names: 0 })
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("meshgate_beside_{}_{}", self.number, self.names)
    }

    fn row(&self) -> Expr {
        Expr::Column(self.row.clone())
    }

    /// The columns of the rows around.
    fn around(&self) -> Vec<Column> {
        self.left.schema().columns()
    }

    fn onto(&mut self, plan: &LogicalPlan) -> Result<Option<Made>> {
        if let Some(made) = self.read(plan)? {
            return Ok(Some(made));
        }
        match plan {
            LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => self.onto(input),
            LogicalPlan::Subquery(subquery) => self.onto(&subquery.subquery),
            LogicalPlan::Projection(projection) => self.computed(projection),
            LogicalPlan::Filter(filter) => {
                let Some(mut made) = self.onto(&filter.input)? else { return Ok(None) };
                match self.moved_whole(&filter.predicate, filter.input.schema(), &mut made)? {
                    Some(predicate) => self.kept(made, predicate).map(Some),
                    None => Ok(None),
                }
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                let Some(mut made) = self.onto(&sort.input)? else { return Ok(None) };
                let mut keys = Vec::new();
                for key in &sort.expr {
                    let Some(expr) = self.moved(&key.expr, sort.input.schema(), &made.own)? else { return Ok(None) };
                    keys.push(Sort { expr, ..key.clone() });
                }
                self.sorted(&mut made, keys)?;
                Ok(Some(made))
            }
            LogicalPlan::Limit(limit) => self.limited(limit),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let Some(made) = self.onto(input)? else { return Ok(None) };
                let keys: Vec<Expr> = made.own.iter().cloned().map(Expr::Column).collect();
                self.gathered(made, keys, Vec::new()).map(Some)
            }
            LogicalPlan::Distinct(Distinct::On(first)) => self.first_of_each(first),
            LogicalPlan::Aggregate(aggregate) => self.aggregated(aggregate),
            LogicalPlan::Window(window) => self.windowed(window),
            LogicalPlan::Unnest(unnest) => self.unnested(unnest),
            _ => Ok(None),
        }
    }

    /// What names nothing of the rows around, beside each of them under the conditions that do; `None` if there is more to it.
    fn read(&mut self, plan: &LogicalPlan) -> Result<Option<Made>> {
        let (mut bottom, mut filters) = (plan, Vec::new());
        while let LogicalPlan::Filter(filter) = bottom {
            if !shape::correlated(bottom) {
                break;
            }
            filters.push(filter);
            bottom = &filter.input;
        }
        if shape::correlated(bottom) {
            return Ok(None);
        }
        let names: Vec<String> = bottom.schema().columns().iter().map(|_| self.name()).collect();
        let real = self.name();
        let columns = bottom.schema().columns().into_iter().zip(&names).map(|(column, name)| Expr::Column(column).alias(name));
        let right = LogicalPlanBuilder::from(bottom.clone()).project(columns.chain([lit(true).alias(&real)]))?.build()?;
        let own: Vec<Column> = names.into_iter().map(Column::from_name).collect();
        let mut conditions = vec![lit(true)];
        for filter in filters {
            let Some(condition) = self.moved(&filter.predicate, filter.input.schema(), &own)? else { return Ok(None) };
            conditions.push(condition);
        }
        let plan = LogicalPlanBuilder::from(self.left.clone()).join_on(right, JoinType::Left, conditions)?.build()?;
        Ok(Some(Made { plan, own, order: Vec::new(), real: Column::from_name(real), alone: false }))
    }

    /// The expression over the columns that are there now; `None` if it names others, or holds a subquery.
    fn moved(&self, expr: &Expr, schema: &DFSchema, own: &[Column]) -> Result<Option<Expr>> {
        let around = self.left.schema();
        let mut known = true;
        let moved = expr.clone().transform_up(|part| {
            Ok(match part {
                Expr::OuterReferenceColumn(_, column) => {
                    known &= around.has_column(&column);
                    Transformed::yes(Expr::Column(column))
                }
                Expr::Column(column) => match schema.index_of_column(&column).ok().and_then(|at| own.get(at)) {
                    Some(column) => Transformed::yes(Expr::Column(column.clone())),
                    None => {
                        known &= around.has_column(&column);
                        Transformed::no(Expr::Column(column))
                    }
                },
                part => {
                    known &= !shape::subquery(&part);
                    Transformed::no(part)
                }
            })
        })?;
        Ok(known.then_some(moved.data))
    }

    /// The same with the values of the subqueries that it holds, which name columns that are there now.
    fn moved_whole(&mut self, expr: &Expr, schema: &DFSchema, made: &mut Made) -> Result<Option<Expr>> {
        let named = |column: Column| match schema.index_of_column(&column).ok().and_then(|at| made.own.get(at)) {
            Some(own) => Some(own.clone()),
            None => self.left.schema().has_column(&column).then_some(column),
        };
        let mut values = Vec::new();
        let apart = expr.clone().transform_up(|part| {
            if !shape::subquery(&part) {
                return Ok(Transformed::no(part));
            }
            let Some(value) = nested::renamed(part.clone(), &named)? else { return Ok(Transformed::no(part)) };
            values.push(value);
            Ok(Transformed::yes(nested::placed(values.len())))
        })?;
        let Some(moved) = self.moved(&apart.data, schema, &made.own)? else { return Ok(None) };
        let whole = moved.transform_up(|part| Ok(nested::replaced(part, &values)))?.data;
        self.names += 1;
        let number = self.number.saturating_mul(1_000).saturating_add(self.names);
        Ok(Some(match valued(&made.plan, std::slice::from_ref(&whole), false, number)? {
            Some((plan, mut exprs)) => {
                made.plan = plan;
                exprs.pop().unwrap_or(whole)
            }
            None => whole,
        }))
    }

    /// Rows that the condition does not hold for are no longer real.
    fn kept(&mut self, made: Made, condition: Expr) -> Result<Made> {
        let real = when(Expr::Column(made.real.clone()).is_not_null().and(condition), lit(true)).end()?;
        let name = self.name();
        let plan = self.with(made.plan, &made.own, &made.order, vec![real.alias(&name)])?;
        Ok(Made { plan, real: Column::from_name(name), alone: false, ..made })
    }

    /// The plan with these columns alone, and others.
    fn with(&self, plan: LogicalPlan, own: &[Column], order: &[Sort], added: Vec<Expr>) -> Result<LogicalPlan> {
        let keys = order.iter().map(|key| key.expr.clone());
        let kept = self.around().into_iter().chain(own.iter().cloned()).map(Expr::Column);
        LogicalPlanBuilder::from(plan).project(kept.chain(keys).chain(added))?.build()
    }

    /// Notes by what the rows are sorted, as columns.
    fn sorted(&mut self, made: &mut Made, keys: Vec<Sort>) -> Result<()> {
        let (mut order, mut added) = (Vec::new(), vec![Expr::Column(made.real.clone())]);
        for key in keys {
            let name = self.name();
            added.push(key.expr.alias(&name));
            order.push(Sort { expr: Expr::Column(Column::from_name(name)), asc: key.asc, nulls_first: key.nulls_first });
        }
        let plan = std::mem::replace(&mut made.plan, self.left.clone());
        made.plan = self.with(plan, &made.own, &[], added)?;
        made.order = order;
        Ok(())
    }

    fn computed(&mut self, projection: &Projection) -> Result<Option<Made>> {
        let Some(mut made) = self.onto(&projection.input)? else { return Ok(None) };
        let mut exprs = Vec::new();
        for expr in &projection.expr {
            let Some(moved) = self.moved_whole(expr, projection.input.schema(), &mut made)? else { return Ok(None) };
            exprs.push(moved);
        }
        self.selected(made, exprs).map(Some)
    }

    /// The subquery's rows as these expressions, which are computed of real rows alone.
    fn selected(&mut self, made: Made, exprs: Vec<Expr>) -> Result<Made> {
        let real = Expr::Column(made.real.clone());
        let (mut own, mut added) = (Vec::new(), vec![real.clone()]);
        for expr in exprs {
            let (name, value) = (self.name(), expr.unalias());
            let safe = made.alone || matches!(value, Expr::Column(_) | Expr::Literal(..));
            let value = if safe { value } else { when(real.clone().is_not_null(), value).end()? };
            added.push(value.alias(&name));
            own.push(Column::from_name(name));
        }
        let plan = self.with(made.plan, &[], &made.order, added)?;
        Ok(Made { plan, own, ..made })
    }

    /// Lists whose elements become rows; where there is none, a row stays that is not real.
    fn unnested(&mut self, unnest: &Unnest) -> Result<Option<Made>> {
        // Each list becomes one column in its place.
        let plain = unnest.struct_type_columns.is_empty() && unnest.schema.fields().len() == unnest.input.schema().fields().len();
        let Some(made) = self.onto(&unnest.input)?.filter(|_| plain && !unnest.list_type_columns.is_empty()) else { return Ok(None) };
        let (mut lists, mut some) = (Vec::new(), lit(false));
        for (at, list) in &unnest.list_type_columns {
            let Some(column) = made.own.get(*at).cloned() else { return Ok(None) };
            some = some.or(is_true(cardinality(Expr::Column(column.clone())).gt(lit(0_u64))));
            lists.push((*at, column, Column::from_name(self.name()), list.depth));
        }
        let mut made = self.kept(made, some)?;
        let (mut columns, mut recursions) = (Vec::new(), Vec::new());
        for (at, input_column, output_column, depth) in lists {
            if let Some(own) = made.own.get_mut(at) {
                own.clone_from(&output_column);
            }
            columns.push(input_column.clone());
            recursions.push(RecursionUnnestOption { input_column, output_column, depth });
        }
        let options = UnnestOptions { null_handling: NullHandling::PreserveAndExpandEmpty, recursions };
        made.plan = LogicalPlan::Unnest(Unnest::try_new(Arc::new(made.plan), columns, options)?);
        Ok(Some(made))
    }

    fn limited(&mut self, limit: &Limit) -> Result<Option<Made>> {
        let count = |expr: &Option<Box<Expr>>| match expr.as_deref() {
            None => Some(None),
            Some(Expr::Literal(value, _)) => match value.cast_to(&arrow::datatypes::DataType::Int64) {
                Ok(ScalarValue::Int64(count)) => Some(count.and_then(|count| u64::try_from(count).ok())),
                _ => None,
            },
            Some(_) => None,
        };
        let (Some(skip), Some(fetch)) = (count(&limit.skip), count(&limit.fetch)) else { return Ok(None) };
        let Some(made) = self.onto(&limit.input)? else { return Ok(None) };
        let skip = skip.unwrap_or(0);
        let place = self.name();
        let mut keys = vec![Expr::Column(made.real.clone()).sort(false, false)];
        keys.extend(made.order.iter().cloned());
        let number = row_number().partition_by(vec![self.row()]).order_by(keys).build()?;
        let plan = LogicalPlanBuilder::from(made.plan).window([number.alias(&place)])?.build()?;
        let place = Expr::Column(Column::from_name(place));
        let mut within = place.clone().gt(lit(skip));
        if let Some(fetch) = fetch {
            within = within.and(place.clone().lt_eq(lit(skip.saturating_add(fetch))));
        }
        // The first row stays, so that there is one.
        let plan = LogicalPlanBuilder::from(plan).filter(within.clone().or(place.eq(lit(1_u64))))?.build()?;
        self.kept(Made { plan, ..made }, within).map(Some)
    }

    fn aggregated(&mut self, aggregate: &Aggregate) -> Result<Option<Made>> {
        let grouping = |key: &Expr| matches!(key, Expr::GroupingSet(_));
        if aggregate.group_expr.iter().any(grouping) {
            return Ok(None);
        }
        let Some(made) = self.onto(&aggregate.input)? else { return Ok(None) };
        let real = Expr::Column(made.real.clone()).is_not_null();
        let schema = aggregate.input.schema();
        let (mut keys, mut calls) = (Vec::new(), Vec::new());
        for key in &aggregate.group_expr {
            let Some(moved) = self.moved(key, schema, &made.own)? else { return Ok(None) };
            keys.push(when(real.clone(), moved.unalias()).end()?);
        }
        for call in &aggregate.aggr_expr {
            let Some(moved) = self.moved(call, schema, &made.own)? else { return Ok(None) };
            let Expr::AggregateFunction(call) = moved.unalias() else { return Ok(None) };
            calls.push(of_real(call, &real)?);
        }
        self.gathered(made, keys, calls).map(Some)
    }

    /// The value of the only row that is real; a second one is a fault.
    fn only(&mut self, made: Made) -> Result<Made> {
        let real = Expr::Column(made.real.clone()).is_not_null();
        let values = made.own.first().map(|value| single().call(vec![Expr::Column(value.clone())]));
        let values = values.into_iter().map(|value| value.filter(real.clone()).build()).collect::<Result<Vec<_>>>()?;
        self.gathered(made, Vec::new(), values)
    }

    /// For each row, or each of its groups, one row again.
    fn gathered(&mut self, made: Made, keys: Vec<Expr>, calls: Vec<Expr>) -> Result<Made> {
        let alone = keys.is_empty();
        let around: Vec<Column> = self.around().into_iter().filter(|column| *column != self.row).collect();
        let (mut groups, mut own) = (vec![self.row()], Vec::new());
        let real = self.name();
        if !alone {
            groups.push(Expr::Column(made.real.clone()).alias(&real));
        }
        for key in keys {
            let name = self.name();
            groups.push(key.alias(&name));
            own.push(Column::from_name(name));
        }
        let mut gathered = Vec::new();
        let mut carried = vec![self.row()];
        for column in &around {
            let name = self.name();
            gathered.push(first_value_udaf().call(vec![Expr::Column(column.clone())]).alias(&name));
            carried.push(Expr::Column(Column::from_name(name)).alias_qualified(column.relation.clone(), &column.name));
        }
        for call in calls {
            let name = self.name();
            gathered.push(call.alias(&name));
            own.push(Column::from_name(name));
        }
        carried.push(if alone { lit(true).alias(&real) } else { Expr::Column(Column::from_name(&real)) });
        carried.extend(own.iter().cloned().map(Expr::Column));
        let plan = LogicalPlanBuilder::from(made.plan).aggregate(groups, gathered)?.project(carried)?.build()?;
        Ok(Made { plan, own, order: Vec::new(), real: Column::from_name(real), alone })
    }
}

/// An aggregate of the rows that are real.
fn of_real(mut call: AggregateFunction, real: &Expr) -> Result<Expr> {
    for arg in &mut call.params.args {
        if arg.any_column_refs() {
            *arg = when(real.clone(), std::mem::take(arg)).end()?;
        }
    }
    let filter = match call.params.filter.take() {
        Some(filter) => real.clone().and(*filter),
        None => real.clone(),
    };
    call.params.filter = Some(Box::new(filter));
    Ok(Expr::AggregateFunction(call))
}
