//! Groups of values that are equal though they are not the same: GROUP BY, DISTINCT, UNION, joins and windows go by keys of intervals and
//! jsonb. What is shown of a group is its first value.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinConstraint, TableReference};
use datafusion::functions_aggregate::expr_fn::first_value;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{Aggregate, Distinct, Join};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, WindowFrameUnits};

use super::alike::{self, Form};
use super::function::Result;

/// What of a group's key is shown as it is, and what is a key of the value that is shown.
fn grouping_form(expr: &Expr, input: &LogicalPlan) -> Option<Form> {
    // The engine groups both zeros by itself.
    alike::form(expr, input.schema()).filter(|form| matches!(form, Form::Span | Form::Json))
}

/// The plan in which equal values are of one group.
pub(super) fn by_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.iter().any(|key| grouping_form(key, &aggregate.input).is_some()) => {
            grouped(aggregate)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
            if !columns.iter().any(|column| grouping_form(column, &input).is_some()) {
                return Ok(LogicalPlan::Distinct(Distinct::All(input)));
            }
            grouped(Aggregate::try_new(input, columns, Vec::new())?)
        }
        LogicalPlan::Join(join) => joined(join).map(LogicalPlan::Join),
        plan => Ok(plan),
    }
}

/// The plan in which GROUPING names keys as they are: a key that means something else than it says has its own name around it.
pub(super) fn as_grouped(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Aggregate(aggregate) = plan else { return Ok(plan) };
    let Aggregate { input, group_expr, aggr_expr, .. } = aggregate;
    let keys: Vec<Expr> = grouping_set_to_exprlist(&group_expr)?.into_iter().cloned().collect();
    let named = |arg: Expr| keys.iter().find(|key| **key == arg || (*key).clone().unalias() == arg).cloned().unwrap_or(arg);
    let names = NamePreserver::new_for_projection();
    let asked = |expr: Expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|part| match part {
            Expr::AggregateFunction(mut call) if call.func.name() == "grouping" => {
                call.params.args = call.params.args.into_iter().map(&named).collect();
                Ok(Transformed::yes(Expr::AggregateFunction(call)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(if expr.transformed { name.restore(expr.data) } else { expr.data })
    };
    let asked = aggr_expr.into_iter().map(asked).collect::<Result<Vec<_>>>()?;
    Aggregate::try_new(input, group_expr, asked).map(LogicalPlan::Aggregate)
}

/// The groups of an aggregation by keys, with the same columns.
fn grouped(aggregate: Aggregate) -> Result<LogicalPlan> {
    // Sets of keys are left to the engine, which shows where a key is none of a row's.
    if aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_))) {
        return Ok(LogicalPlan::Aggregate(aggregate));
    }
    let names: Vec<(Option<TableReference>, String)> =
        aggregate.schema.iter().map(|(table, field)| (table.cloned(), field.name().clone())).collect();
    let keys = aggregate.group_expr.len();
    let (mut shown, mut group, mut aggregates) = (Vec::new(), Vec::new(), aggregate.aggr_expr.clone());
    for (at, (key, (table, name))) in aggregate.group_expr.iter().zip(&names).enumerate() {
        let own = |made: Expr| made.alias_qualified(table.clone(), name);
        match grouping_form(key, &aggregate.input) {
            Some(form) => {
                let first = format!("meshgate_first_{at}");
                let value = key.clone().unalias();
                group.push(alike::key(form, value.clone()).alias(format!("meshgate_key_{at}")));
                aggregates.push(first_value(value, Vec::new()).alias(&first));
                shown.push(own(Expr::Column(Column::from_name(first))));
            }
            None => {
                group.push(key.clone());
                shown.push(Expr::Column(Column::new(table.clone(), name)));
            }
        }
    }
    shown.extend(names.iter().skip(keys).map(|(table, name)| Expr::Column(Column::new(table.clone(), name))));
    let grouped = Aggregate::try_new(aggregate.input, group, aggregates)?;
    LogicalPlanBuilder::from(LogicalPlan::Aggregate(grouped)).project(shown)?.build()
}

/// A join whose equal columns are compared by their keys.
fn joined(mut join: Join) -> Result<Join> {
    let mut by_keys = false;
    for (left, right) in &mut join.on {
        let form = grouping_form(left, &join.left).or_else(|| grouping_form(right, &join.right));
        if let Some(form) = form {
            by_keys = true;
            *left = alike::key(form, std::mem::take(left));
            *right = alike::key(form, std::mem::take(right));
        }
    }
    if by_keys {
        join.join_constraint = JoinConstraint::On;
    }
    Ok(join)
}

/// Parts and peers of a window are rows with equal values.
pub(super) fn window(call: &mut WindowFunction, schema: &DFSchema) {
    for part in &mut call.params.partition_by {
        if let Some(form) = alike::form(part, schema) {
            *part = alike::key(form, std::mem::take(part));
        }
    }
    // Ranges are counted from the value itself.
    let ranges = call.params.window_frame.units == WindowFrameUnits::Range && !call.params.window_frame.is_ever_expanding();
    for sort in call.params.order_by.iter_mut().filter(|_| !ranges) {
        if alike::form(&sort.expr, schema) == Some(Form::Float) {
            sort.expr = alike::key(Form::Float, std::mem::take(&mut sort.expr));
        }
    }
}

/// Values of which the different ones are counted.
pub(super) fn counted(args: Vec<Expr>, schema: &DFSchema) -> Vec<Expr> {
    let key = |arg: Expr| match alike::form(&arg, schema).filter(|form| matches!(form, Form::Span | Form::Json)) {
        Some(form) => alike::key(form, arg),
        None => arg,
    };
    args.into_iter().map(key).collect()
}
