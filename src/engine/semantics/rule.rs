//! Walks a plan and gives its expressions PostgreSQL's meaning.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema, ScalarValue};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::expr_rewriter::{NamePreserver, coerce_plan_expr_for_schema};
use datafusion::logical_expr::logical_plan::{Distinct, Subquery};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, GroupingSet, LogicalPlan, LogicalPlanBuilder, RecursiveQuery, TableScan, Union, cast};

use crate::enforcement::GovernedTable;
use crate::engine::PgType;
use crate::error::SqlState;

use super::function::{Result, fault};
use super::numeric::{PRECISION_MAX, STEP_SCALE};
use super::{
    Facts, beneath, casts, correlated, counts, expression, growth, guarded, lateral, matching, numeric, regrouped, scales, sort_keys,
    sorted, steps, truths, typed,
};

/// Rewrites the plan of a query that the planner has just made, before its types are coerced.
pub(in crate::engine) fn apply(plan: LogicalPlan, facts: Facts) -> Result<LogicalPlan> {
    let facts = Facts { lenient: reads_system(&plan)?, ..facts };
    let plan = correlated::joined(lateral::flattened(sort_keys::beside(beneath::columns(guarded::conditions(plan)?)?)?)?)?;
    let plan = plan.transform_up_with_subqueries(|node| rewritten(node, facts).map(Transformed::yes))?.data;
    let plan = if facts.lenient { plan } else { scales::shown(scales::written(sorted::in_order(plan)?)?)? };
    growth::bounded(&plan)?;
    Ok(plan)
}

/// Whether any table is the system's.
fn reads_system(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && GovernedTable::of_scan(scan).is_none()
            && !works(scan)
            && !scan.table_name.table().ends_with("()")
        {
            found = true;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn rewritten(plan: LogicalPlan, facts: Facts) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::Extension(_) => Ok(plan),
        LogicalPlan::Limit(mut limit) => {
            for (word, rows) in [("OFFSET", &mut limit.skip), ("LIMIT", &mut limit.fetch)] {
                if let Some(rows) = rows {
                    **rows = counts::counted(word, std::mem::take(rows.as_mut()), &DFSchema::empty(), facts)?;
                }
            }
            Ok(LogicalPlan::Limit(limit))
        }
        LogicalPlan::Values(values) => {
            let schema = DFSchema::empty();
            let row = |row: Vec<Expr>| {
                row.into_iter()
                    .map(|value| expression::rewritten(untyped(steps::written(value)), &schema, facts))
                    .collect::<Result<Vec<_>>>()
            };
            let rows = values.values.into_iter().map(row).collect::<Result<Vec<_>>>()?;
            LogicalPlanBuilder::values(of_one_kind(rows, &schema, facts))?.build()
        }
        LogicalPlan::RecursiveQuery(query) => recursive(query),
        // The branches may have other types by now; what they have in common is found when types are coerced.
        LogicalPlan::Union(union) => {
            let inputs = union.inputs.into_iter().map(Arc::unwrap_or_clone).collect();
            let inputs = matching::united(inputs, facts)?.into_iter().map(Arc::new).collect();
            Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
        }
        LogicalPlan::Sort(mut sort) => {
            let schema = Arc::clone(sort.input.schema());
            for key in &mut sort.expr {
                let expr = refreshed(std::mem::take(&mut key.expr), &schema)?;
                let expr = expression::rewritten(expr, &schema, facts)?;
                if let Ok((_, field)) = expr.to_field(&schema) {
                    matching::identified(&field, "ordering", facts)?;
                }
                key.expr = expression::sort_key(expr, &schema);
            }
            Ok(LogicalPlan::Sort(sort))
        }
        LogicalPlan::Join(mut join) if correlated::is_lateral(&join.right) => {
            let right = join.right.as_ref().clone();
            join.right = Arc::new(of_outer(right, join.left.schema())?);
            by_expression(LogicalPlan::Join(join), facts)
        }
        plan => by_expression(plan, facts),
    }
}

/// The plan with each of its expressions in PostgreSQL's meaning.
fn by_expression(plan: LogicalPlan, facts: Facts) -> Result<LogicalPlan> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let shown = matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_));
    let named = |expr: Expr| {
        let name = names.save(&expr);
        let expr = expression::rewritten(refreshed(expr, &schema)?, &schema, facts)?;
        Ok(name.restore(if shown { truths::nullable(expr, &schema) } else { expr }))
    };
    if let LogicalPlan::Distinct(Distinct::All(input)) = &plan {
        input.schema().fields().iter().try_for_each(|field| matching::identified(field, "equality", facts))?;
    }
    let plan = plan.map_expressions(|expr| match expr {
        Expr::GroupingSet(sets) => grouped(sets, &named).map(|sets| Transformed::yes(Expr::GroupingSet(sets))),
        expr => named(expr).map(Transformed::yes),
    })?;
    as_gathered(regrouped::by_keys(regrouped::as_grouped(plan.data)?.recompute_schema()?)?)
}

/// Lists that an aggregation gathers are of the type of their elements.
fn as_gathered(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(plan) };
    let columns = plan.schema().columns();
    let keys = columns.len().saturating_sub(aggregate.aggr_expr.len());
    let mut found = false;
    let mut exprs: Vec<Expr> = columns.iter().cloned().map(Expr::Column).collect();
    for ((value, column), call) in exprs.iter_mut().zip(&columns).skip(keys).zip(&aggregate.aggr_expr) {
        let call = if let Expr::Alias(alias) = call { alias.expr.as_ref() } else { call };
        if let Expr::AggregateFunction(call) = call
            && call.func.name() == "array_agg"
            && let Some(Ok((_, field))) = call.params.args.first().map(|arg| arg.to_field(aggregate.input.schema()))
            && let Some(kind) = typed::list_of(&field)
        {
            *value = typed::known(Expr::Column(column.clone()), kind).alias(column.name());
            found = true;
        }
    }
    if found { LogicalPlanBuilder::from(plan).project(exprs)?.build() } else { Ok(plan) }
}

/// Each key of grouping sets is a column by its own name.
fn grouped(sets: GroupingSet, named: &impl Fn(Expr) -> Result<Expr>) -> Result<GroupingSet> {
    let all = |keys: Vec<Expr>| keys.into_iter().map(named).collect::<Result<Vec<_>>>();
    Ok(match sets {
        GroupingSet::Rollup(keys) => GroupingSet::Rollup(all(keys)?),
        GroupingSet::Cube(keys) => GroupingSet::Cube(all(keys)?),
        GroupingSet::GroupingSets(sets) => GroupingSet::GroupingSets(sets.into_iter().map(all).collect::<Result<_>>()?),
    })
}

/// Columns of VALUES whose types are named in every row or in none.
fn of_one_kind(rows: Vec<Vec<Expr>>, schema: &DFSchema, facts: Facts) -> Vec<Vec<Expr>> {
    let named = |expr: &Expr| {
        let (_, field) = expr.to_field(schema).ok()?;
        typed::named(&field).filter(|_| field.data_type().is_string()).map(str::to_owned)
    };
    let rows = of_one_number(rows, schema, facts);
    let rows = typed_nulls(rows, &named);
    let first: Vec<Option<String>> = rows.first().map(|row| row.iter().map(named).collect()).unwrap_or_default();
    let same = |row: &Vec<Expr>| row.iter().map(named).eq(first.iter().cloned());
    if rows.iter().all(same) {
        return rows;
    }
    let plain = |expr: Expr| if named(&expr).is_some() { typed::plain(expr) } else { expr };
    rows.into_iter().map(|row| row.into_iter().map(plain).collect()).collect()
}

/// A NULL beside values of a type with a name is of that type.
fn typed_nulls(mut rows: Vec<Vec<Expr>>, named: &impl Fn(&Expr) -> Option<String>) -> Vec<Vec<Expr>> {
    let null = |value: &Expr| matches!(value, Expr::Literal(value, _) if value.is_null());
    for at in 0..rows.first().map_or(0, Vec::len) {
        let Some(name) = rows.iter().filter_map(|row| row.get(at)).find_map(named) else { continue };
        for value in rows.iter_mut().filter_map(|row| row.get_mut(at)).filter(|value| null(value)) {
            if let Some(typed) = typed::read(Expr::Literal(ScalarValue::Utf8(None), None), &name, None) {
                *value = typed;
            }
        }
    }
    rows
}

/// Numbers of each column of VALUES in one type, which is floating-point where one of them is; texts beside them are such numbers.
fn of_one_number(mut rows: Vec<Vec<Expr>>, schema: &DFSchema, facts: Facts) -> Vec<Vec<Expr>> {
    let width = rows.first().map_or(0, Vec::len);
    for at in 0..width {
        let found = |row: &Vec<Expr>| match row.get(at) {
            Some(value) if casts::text_literal(value) => DataType::Null,
            value => value.and_then(|value| value.get_type(schema).ok()).unwrap_or(DataType::Null),
        };
        let types: Vec<DataType> = rows.iter().map(found).collect();
        let Some(first) = types.iter().find(|found| !found.is_null()) else { continue };
        if !types.iter().all(|found| found.is_numeric() || found.is_null()) {
            continue;
        }
        let common = numeric::common(&types).unwrap_or_else(|| first.clone());
        for (row, found) in rows.iter_mut().zip(types) {
            let Some(value) = row.get_mut(at) else { continue };
            let written = std::mem::take(value);
            *value = if casts::text_literal(&written) {
                casts::literal_as(written, &common, facts)
            } else {
                numeric::as_common(written, &found, &common)
            };
        }
    }
    rows
}

/// A NULL among VALUES has got the type of the literals beside it, which may become another.
fn untyped(value: Expr) -> Expr {
    match value {
        Expr::Literal(ScalarValue::Int64(None), metadata) => Expr::Literal(ScalarValue::Null, metadata),
        other => other,
    }
}

/// Subqueries name columns of the query around them with their types, which may be others by now.
fn refreshed(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let fresh = |subquery: Subquery| -> Result<Subquery> {
        let plan = of_outer(subquery.subquery.as_ref().clone(), schema)?;
        Ok(Subquery { subquery: Arc::new(plan), ..subquery })
    };
    let done = expr.transform_up(|expr| {
        Ok(match expr {
            Expr::ScalarSubquery(subquery) => Transformed::yes(Expr::ScalarSubquery(optional(fresh(subquery)?)?)),
            Expr::Exists(mut exists) => {
                exists.subquery = fresh(exists.subquery)?;
                Transformed::yes(Expr::Exists(exists))
            }
            Expr::InSubquery(mut within) => {
                within.subquery = fresh(within.subquery)?;
                Transformed::yes(Expr::InSubquery(within))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(done.data)
}

/// A plan that names columns of the query around it, with the types that they have by now.
fn of_outer(plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let node = node.map_expressions(|expr| expr.transform_up(|expr| Ok(outer(expr, schema))))?;
        if node.transformed { node.data.recompute_schema().map(Transformed::yes) } else { Ok(node) }
    })?;
    Ok(plan.data)
}

/// A subquery that may have no row is a value that may be NULL, whatever its column says.
fn optional(subquery: Subquery) -> Result<Subquery> {
    let plan = subquery.subquery.as_ref();
    let (Some(column), Some(field)) = (plan.schema().columns().into_iter().next(), plan.schema().fields().first()) else {
        return Ok(subquery);
    };
    if field.is_nullable() || !subquery.outer_ref_columns.is_empty() || one_row(plan) {
        return Ok(subquery);
    }
    let value = typed::nullable(Expr::Column(column.clone()), field).alias(column.name());
    let plan = LogicalPlanBuilder::from(plan.clone()).project([value])?.build()?;
    Ok(Subquery { subquery: Arc::new(plan), ..subquery })
}

/// Whether the plan always has a row: values without a table, or an aggregate without groups.
fn one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => one_row(&alias.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

fn outer(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    if let Expr::OuterReferenceColumn(field, column) = &expr
        && let Ok(found) = schema.field_from_column(column)
        && found.data_type() != field.data_type()
    {
        return Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(found), column.clone()));
    }
    Transformed::no(expr)
}

/// A numeric that each step gives more digits begins with room for them; a type that the steps do not keep is refused.
fn wide_enough(query: RecursiveQuery) -> Result<RecursiveQuery> {
    let (fields, others) = (query.static_term.schema(), query.recursive_term.schema());
    let mut exprs = Vec::new();
    let mut widened = false;
    for (at, column) in fields.columns().into_iter().enumerate() {
        let own = fields.field(at).data_type();
        let other = others.fields().get(at).map_or(own, |field| field.data_type());
        let exact = |found: &DataType| matches!(found, DataType::Decimal128(..));
        if exact(own) && own != other && (exact(other) || other.is_integer()) {
            widened = true;
            let name = column.name().to_owned();
            exprs.push(cast(Expr::Column(column), DataType::Decimal128(PRECISION_MAX, STEP_SCALE)).alias(name));
            continue;
        }
        if own.is_integer() && (exact(other) || other.is_floating()) || exact(own) && other.is_floating() {
            let name = |found: &DataType| PgType::of_arrow_type(found).with_typmod(-1).format().unwrap_or_default();
            let (place, of, own, other) = (at + 1, &query.name, name(own), name(other));
            let text = format!("recursive query \"{of}\" column {place} has type {own} in non-recursive term but type {other} overall");
            return Err(fault(SqlState::DATATYPE_MISMATCH, &text));
        }
        exprs.push(Expr::Column(column));
    }
    if !widened {
        return Ok(query);
    }
    let first = LogicalPlanBuilder::from(query.static_term.as_ref().clone()).project(exprs)?.build()?;
    Ok(RecursiveQuery { static_term: Arc::new(first), ..query })
}

/// A recursive query has the types of its first term; the table that it reads itself through has them too.
fn recursive(query: RecursiveQuery) -> Result<LogicalPlan> {
    let term = steps::uncast(query.recursive_term.as_ref().clone())?;
    let query = wide_enough(RecursiveQuery { recursive_term: Arc::new(term), ..query })?;
    let fields = query.static_term.schema();
    let term = query.recursive_term.as_ref().clone().transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => work_table(scan, fields),
        node => node.recompute_schema().map(Transformed::yes),
    })?;
    let mut term = term.data;
    let same = term.schema().fields().iter().zip(fields.fields()).all(|(left, right)| left.data_type() == right.data_type());
    if !same && term.schema().fields().len() == fields.fields().len() {
        term = coerce_plan_expr_for_schema(term, fields)?;
    }
    LogicalPlanBuilder::from(query.static_term.as_ref().clone()).to_recursive_query(query.name, term, query.is_distinct)?.build()
}

/// Whether it is what a recursive query reads itself through.
fn works(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|provider| (provider.as_ref() as &dyn std::any::Any).is::<CteWorkTable>())
}

fn work_table(scan: TableScan, fields: &DFSchema) -> Result<Transformed<LogicalPlan>> {
    let own = works(&scan);
    let known = scan.source.schema();
    let differs = known.fields().iter().zip(fields.fields()).any(|(left, right)| left.data_type() != right.data_type());
    if !own || !differs || known.fields().len() != fields.fields().len() {
        return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
    }
    let typed = known.fields().iter().zip(fields.fields());
    let typed = typed.map(|(left, right)| Field::new(left.name(), right.data_type().clone(), left.is_nullable()));
    let schema = Arc::new(Schema::new(typed.collect::<Vec<_>>()));
    let table = provider_as_source(Arc::new(CteWorkTable::new(scan.table_name.table(), schema)));
    let scan = LogicalPlanBuilder::scan_with_filters(scan.table_name, table, scan.projection, scan.filters)?.build()?;
    Ok(Transformed::yes(scan))
}
