//! Marks of what a statement has written itself, where the engine puts casts of its own around it.
//!
//! The engine casts the steps of a recursive query to the types of its first term, and the rows of VALUES to types that they have together, before
//! it is known what PostgreSQL would make of them. A mark around an expression tells those casts from the statement's own.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::casts;
use super::function::{Function, Result, first};

const NAME: &str = "meshgate_written";

/// The mark: a function that answers its argument.
pub(super) fn mark() -> Function {
    let takes = |types: &[DataType]| (types.len() == 1).then(|| types.to_vec());
    Function::new(NAME, takes, |types| types.first().cloned(), |args: &[ArrayRef], _rows| first(args).cloned())
}

fn marked(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == NAME => call.args.first(),
        _ => None,
    }
}

/// A cell of VALUES without the engine's cast.
pub(super) fn written(cell: Expr) -> Expr {
    let number = |inner: &Expr| matches!(inner, Expr::Literal(value, _) if value.data_type().is_numeric());
    // The statement's own casts to numbers are marked.
    let text = |cast: &Cast| cast.field.data_type().is_numeric() && casts::text_literal(&cast.expr);
    match &cell {
        Expr::Cast(cast) if number(&cast.expr) || text(cast) || marked(&cast.expr).is_some() => cast.expr.as_ref().clone(),
        _ => cell,
    }
}

/// The type that a statement has cast to, if the expression is such a cast.
pub(super) fn named_type(expr: &Expr) -> Option<&DataType> {
    match marked(expr)? {
        Expr::Cast(cast) => Some(cast.field.data_type()),
        _ => None,
    }
}

/// A step of a recursive query without the engine's casts.
pub(super) fn uncast(term: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Projection(projection) = &term else { return Ok(term) };
    let mut found = false;
    let exprs = projection.expr.iter().zip(projection.schema.iter()).map(|(expr, (qualifier, field))| {
        let Some(inner) = inside(expr)? else { return Ok(expr.clone()) };
        found = true;
        Ok(inner.alias_qualified(qualifier.cloned(), field.name()))
    });
    let exprs = exprs.collect::<std::result::Result<Vec<_>, DataFusionError>>()?;
    if !found {
        return Ok(term);
    }
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, projection.input.clone())?))
}

/// What is marked in it.
fn inside(expr: &Expr) -> Result<Option<Expr>> {
    let mut found = None;
    expr.apply(|part| {
        found = marked(part).cloned();
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, lit};

    use super::*;

    #[test]
    fn only_casts_of_the_engine_are_taken_off() {
        let own = cast(lit(1_i64), DataType::Decimal128(10, 2));
        let marked = mark().call(vec![own.clone()]);
        assert_eq!(written(cast(marked.clone(), DataType::Float64)), marked);
        assert_eq!(written(own), lit(1_i64));
        assert_eq!(named_type(&marked), Some(&DataType::Decimal128(10, 2)));
        assert!(inside(&cast(marked, DataType::Int32)).unwrap().is_some());
    }
}
