//! What an expression is made from.
//!
//! Walks with a stack of its own, so that an expression of any depth cannot end the thread.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::{AggregateFunction, Case, Cast, InSubquery, SetComparison, WindowFunction, WindowFunctionDefinition};
use datafusion::logical_expr::{Expr, ExprSchemable, Subquery};

use super::model::{FieldUse, Relation, Sources, Transformation};
use super::trace::Tracer;

/// Where an expression's names are found.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) relation: &'a Relation,
    pub(super) schema: &'a DFSchema,
    /// The scope around a correlated subquery.
    pub(super) outer: Option<&'a Scope<'a>>,
}

/// A part of an expression that is still to be looked at.
struct Part<'e> {
    expr: &'e Expr,
    /// How its value is used by the whole.
    outer: Transformation,
    /// The use that fields in it are put to.
    field_use: Option<FieldUse>,
}

impl Tracer<'_> {
    /// The sources of `expr`. Fields in it are marked with `field_use`, if any, but in aggregates and windows with theirs.
    pub(super) fn expression(&mut self, expr: &Expr, scope: &Scope<'_>, field_use: Option<FieldUse>) -> Sources {
        let mut sources = Sources::default();
        let mut parts = vec![Part { expr, outer: Transformation::Identity, field_use }];
        while let Some(part) = parts.pop() {
            match part.expr {
                Expr::Column(column) => self.column(column, Some(scope), &part, &mut sources),
                Expr::OuterReferenceColumn(_, column) => self.column(column, scope.outer, &part, &mut sources),
                Expr::Alias(alias) => parts.push(Part { expr: &alias.expr, ..part }),
                Expr::Cast(cast) if only_respelled(cast, scope) => parts.push(Part { expr: &cast.expr, ..part }),
                Expr::Case(case) => push_case(case, &part, &mut parts),
                Expr::AggregateFunction(function) => push_aggregate(function, &part, &mut parts),
                Expr::WindowFunction(function) => push_window(function, &part, &mut parts),
                Expr::ScalarSubquery(subquery) => self.subquery(subquery, scope, &part, true, &mut sources),
                Expr::Exists(exists) => self.subquery(&exists.subquery, scope, &part, false, &mut sources),
                Expr::InSubquery(InSubquery { expr, subquery, .. }) | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
                    let computed = Part { outer: part.outer.of(Transformation::Computed), ..part };
                    self.subquery(subquery, scope, &computed, true, &mut sources);
                    parts.push(Part { expr, ..computed });
                }
                other => push_children(other, &part, &mut parts),
            }
        }
        sources
    }

    fn column(&mut self, column: &Column, innermost: Option<&Scope<'_>>, part: &Part<'_>, sources: &mut Sources) {
        let mut scope = innermost;
        while let Some(Scope { relation, schema, outer }) = scope {
            if let Some(found) = schema.maybe_index_of_column(column).and_then(|index| relation.columns.get(index)) {
                if let Some(field_use) = part.field_use {
                    self.mark(found, field_use);
                }
                sources.add_all(found, part.outer);
                return;
            }
            scope = *outer;
        }
        self.complete = false;
    }

    /// A subquery in an expression: its first column if its value counts, and in any case what decides on its rows.
    fn subquery(&mut self, subquery: &Subquery, scope: &Scope<'_>, part: &Part<'_>, value_counts: bool, sources: &mut Sources) {
        let relation = self.plan(&subquery.subquery, Some(scope));
        if value_counts && let Some(value) = relation.columns.first() {
            if let Some(field_use) = part.field_use {
                self.mark(value, field_use);
            }
            sources.add_all(value, part.outer);
        }
        sources.add_all(&relation.rows, part.outer);
    }
}

/// A cast from one representation of text to another, which the planner puts in by itself, leaves the value as it is.
fn only_respelled(cast: &Cast, scope: &Scope<'_>) -> bool {
    matches!(cast.expr.as_ref(), Expr::Column(_))
        && cast.field.data_type().is_string()
        && cast.expr.get_type(scope.schema).is_ok_and(|data_type| data_type.is_string())
}

fn push_children<'e>(expr: &'e Expr, part: &Part<'e>, parts: &mut Vec<Part<'e>>) {
    let (outer, field_use) = (part.outer.of(Transformation::Computed), part.field_use);
    // The closure never fails, and neither does the walk over one level of children.
    let _infallible = expr.apply_children(|child| {
        parts.push(Part { expr: child, outer, field_use });
        Ok(TreeNodeRecursion::Continue)
    });
}

fn push_case<'e>(case: &'e Case, part: &Part<'e>, parts: &mut Vec<Part<'e>>) {
    let condition = part.outer.of(Transformation::Conditional);
    let value = part.outer.of(Transformation::Computed);
    let field_use = part.field_use;
    parts.extend(case.expr.iter().map(|expr| Part { expr, outer: condition, field_use }));
    for (when, then) in &case.when_then_expr {
        parts.push(Part { expr: when, outer: condition, field_use });
        parts.push(Part { expr: then, outer: value, field_use });
    }
    parts.extend(case.else_expr.iter().map(|expr| Part { expr, outer: value, field_use }));
}

fn push_aggregate<'e>(function: &'e AggregateFunction, part: &Part<'e>, parts: &mut Vec<Part<'e>>) {
    let outer = part.outer;
    let params = &function.params;
    let aggregated = outer.of(Transformation::Aggregation);
    parts.extend(params.args.iter().map(|expr| Part { expr, outer: aggregated, field_use: Some(FieldUse::Aggregated) }));
    let filter = outer.of(Transformation::Filter);
    parts.extend(params.filter.iter().map(|expr| Part { expr, outer: filter, field_use: Some(FieldUse::Filtered) }));
    let sort = outer.of(Transformation::Sort);
    parts.extend(params.order_by.iter().map(|by| Part { expr: &by.expr, outer: sort, field_use: Some(FieldUse::Sorted) }));
}

fn push_window<'e>(function: &'e WindowFunction, part: &Part<'e>, parts: &mut Vec<Part<'e>>) {
    let outer = part.outer;
    let params = &function.params;
    let value = outer.of(match function.fun {
        WindowFunctionDefinition::AggregateUDF(_) => Transformation::Aggregation,
        WindowFunctionDefinition::WindowUDF(_) => Transformation::Computed,
    });
    parts.extend(params.args.iter().map(|expr| Part { expr, outer: value, field_use: Some(FieldUse::Aggregated) }));
    let window = outer.of(Transformation::Window);
    parts.extend(params.partition_by.iter().map(|expr| Part { expr, outer: window, field_use: Some(FieldUse::Grouped) }));
    parts.extend(params.order_by.iter().map(|by| Part { expr: &by.expr, outer: window, field_use: Some(FieldUse::Sorted) }));
    let filter = outer.of(Transformation::Filter);
    parts.extend(params.filter.iter().map(|expr| Part { expr, outer: filter, field_use: Some(FieldUse::Filtered) }));
}
