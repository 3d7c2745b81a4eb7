//! LATERAL subqueries that read nothing: what they compute goes beside the rows that they are computed from.
//!
//! The planner takes LATERAL where it can be a join. A subquery over no table is expressions, lists whose elements become rows, and
//! conditions; it is put on top of the rows before it. INVARIANT: its columns keep their order, and each row its columns before it.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, NullHandling, RecursionUnnestOption, UnnestOptions};
use datafusion::logical_expr::{EmptyRelation, Expr, Join, LogicalPlan, LogicalPlanBuilder, SubqueryAlias, Unnest};

use super::function::Result;
use super::subquery;

/// Puts what each such join computes on top of its left side.
pub(super) fn flattened(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut joins = 0;
    let done = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) => {
            joins += 1;
            match computed(&join, joins)? {
                Some(plan) => Ok(Transformed::yes(plan)),
                None => Ok(Transformed::no(LogicalPlan::Join(join))),
            }
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(done.data)
}

fn computed(join: &Join, number: usize) -> Result<Option<LogicalPlan>> {
    let conditions = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    let condition = conditions.chain(join.filter.clone().filter(|filter| !truth(filter))).reduce(Expr::and);
    let optional = join.join_type == JoinType::Left;
    let kind = if optional { condition.is_none() } else { join.join_type == JoinType::Inner };
    if !kind || !lateral(&join.right) {
        return Ok(None);
    }
    let mut graft = Graft { left: &join.left, optional, number, names: 0 };
    let Some((plan, own)) = graft.onto(&join.right)? else { return Ok(None) };
    let kept = join.left.schema().columns().into_iter().map(Expr::Column);
    let added = own.into_iter().zip(join.right.schema().iter());
    let added = added.map(|(column, (qualifier, field))| Expr::Column(column).alias_qualified(qualifier.cloned(), field.name()));
    let beside = LogicalPlanBuilder::from(plan).project(kept.chain(added))?;
    let beside = match condition {
        Some(condition) => beside.filter(condition)?,
        None => beside,
    };
    beside.build().map(Some)
}

fn truth(filter: &Expr) -> bool {
    *filter == Expr::Literal(datafusion::common::ScalarValue::Boolean(Some(true)), None)
}

/// Whether the plan names columns of what stands before it.
fn lateral(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => lateral(input),
        LogicalPlan::Subquery(_) => true,
        _ => false,
    }
}

/// A right side on its way onto the left one.
struct Graft<'a> {
    left: &'a LogicalPlan,
    /// A left row stays where the right side has none.
    optional: bool,
    number: usize,
    names: usize,
}

/// A plan of the left side's columns and of others, which are these.
type Grafted = Option<(LogicalPlan, Vec<Column>)>;

impl Graft<'_> {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("meshgate_lateral_{}_{}", self.number, self.names)
    }

    fn onto(&mut self, plan: &LogicalPlan) -> Result<Grafted> {
        Ok(match plan {
            LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => self.onto(input)?,
            LogicalPlan::Subquery(subquery) => self.onto(&subquery.subquery)?,
            LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. }) => Some((self.left.clone(), Vec::new())),
            LogicalPlan::Projection(projection) => {
                let Some((input, own)) = self.onto(&projection.input)? else { return Ok(None) };
                let exprs = self.moved(&projection.expr, projection.input.schema(), &own)?;
                let Some(exprs) = exprs else { return Ok(None) };
                self.projected(input, exprs)?.into()
            }
            LogicalPlan::Filter(filter) if !self.optional => {
                let Some((input, own)) = self.onto(&filter.input)? else { return Ok(None) };
                let predicate = self.moved(std::slice::from_ref(&filter.predicate), filter.input.schema(), &own)?;
                let Some(predicate) = predicate.and_then(|mut exprs| exprs.pop()) else { return Ok(None) };
                Some((LogicalPlanBuilder::from(input).filter(predicate)?.build()?, own))
            }
            LogicalPlan::Unnest(unnest) => self.unnested(unnest)?,
            _ => None,
        })
    }

    /// The expressions over the columns that are there now.
    fn moved(&self, exprs: &[Expr], schema: &DFSchema, own: &[Column]) -> Result<Option<Vec<Expr>>> {
        for expr in exprs {
            if expr.exists(|part| Ok(subquery::of(part).is_some()))? {
                return Ok(None);
            }
        }
        let one = |expr: &Expr| {
            let moved = expr.clone().transform_up(|part| {
                Ok(match part {
                    Expr::OuterReferenceColumn(_, column) => Transformed::yes(Expr::Column(column)),
                    Expr::Column(column) => match schema.index_of_column(&column).ok().and_then(|at| own.get(at)) {
                        Some(column) => Transformed::yes(Expr::Column(column.clone())),
                        None => Transformed::no(Expr::Column(column)),
                    },
                    part => Transformed::no(part),
                })
            });
            moved.map(|moved| moved.data.unalias())
        };
        exprs.iter().map(one).collect::<Result<Vec<_>>>().map(Some)
    }

    fn projected(&mut self, input: LogicalPlan, exprs: Vec<Expr>) -> Result<(LogicalPlan, Vec<Column>)> {
        let names: Vec<String> = exprs.iter().map(|_| self.name()).collect();
        let added = exprs.into_iter().zip(&names).map(|(expr, name)| expr.alias(name));
        let kept = self.left.schema().columns().into_iter().map(Expr::Column);
        let plan = LogicalPlanBuilder::from(input).project(kept.chain(added))?.build()?;
        Ok((plan, names.into_iter().map(Column::from_name).collect()))
    }

    /// Lists whose elements become rows, beside the left side's columns.
    fn unnested(&mut self, unnest: &Unnest) -> Result<Grafted> {
        let lists = unnest.list_type_columns.len();
        // Each list becomes one column in its place.
        let plain = unnest.struct_type_columns.is_empty() && unnest.schema.fields().len() == unnest.input.schema().fields().len();
        let Some((input, mut own)) = self.onto(&unnest.input)?.filter(|_| plain && lists > 0) else { return Ok(None) };
        let (mut columns, mut recursions) = (Vec::new(), Vec::new());
        for (at, list) in &unnest.list_type_columns {
            let Some(column) = own.get_mut(*at) else { return Ok(None) };
            let output = Column::from_name(self.name());
            recursions.push(RecursionUnnestOption { input_column: column.clone(), output_column: output.clone(), depth: list.depth });
            columns.push(std::mem::replace(column, output));
        }
        let null_handling = if self.optional { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
        let options = UnnestOptions { null_handling, recursions };
        let plan = Unnest::try_new(Arc::new(input), columns, options)?;
        Ok(Some((LogicalPlan::Unnest(plan), own)))
    }
}
