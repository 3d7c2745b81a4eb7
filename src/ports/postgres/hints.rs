//! What a join or a top-N has found out while it runs, as conditions for the server.
//!
//! INVARIANT: a condition keeps at least the rows that the hint keeps. Whoever gave the hint tests each row; so a part that is not for the
//! server is left out of an AND, and takes an OR with it. So is one that by the server's own statistics would spare no row: it would be
//! tested for nothing.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, col, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr as PhysicalBinaryExpr, CaseExpr, Column, InListExpr, IsNullExpr, Literal};
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;

use super::filter::integer;
use super::table::PgColumn;

/// The hint as it is now; `None` if there is nothing in it for a server.
pub(super) fn condition(hint: &Arc<dyn PhysicalExpr>) -> Option<Expr> {
    weakened(&snapshot_physical_expr(Arc::clone(hint)).ok()?)
}

/// Whether a condition is known to leave about all rows, as the bounds of a key do that is in nearly every row of the other side.
pub(super) fn keeps_all(condition: &Expr, columns: &[PgColumn]) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return false };
    match op {
        Operator::And => keeps_all(left, columns) && keeps_all(right, columns),
        Operator::Or => keeps_all(left, columns) || keeps_all(right, columns),
        _ => {
            let (Expr::Column(column), Expr::Literal(value, _)) = (left.as_ref(), right.as_ref()) else { return false };
            let known = columns.iter().find(|known| known.field.name() == &column.name).and_then(|known| known.counted.bounds);
            match (known, integer(value), op) {
                (Some((least, _)), Some(value), Operator::GtEq) => value <= least,
                (Some((_, greatest)), Some(value), Operator::LtEq) => value >= greatest,
                _ => false,
            }
        }
    }
}

fn weakened(expr: &Arc<dyn PhysicalExpr>) -> Option<Expr> {
    if let Some(binary) = expr.downcast_ref::<PhysicalBinaryExpr>() {
        return match binary.op() {
            Operator::And => match (weakened(binary.left()), weakened(binary.right())) {
                (Some(left), Some(right)) => Some(left.and(right)),
                (one, other) => one.or(other),
            },
            Operator::Or => Some(weakened(binary.left())?.or(weakened(binary.right())?)),
            Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                let (left, right) = (column(binary.left())?, literal(binary.right())?);
                Some(datafusion::logical_expr::binary_expr(left, *binary.op(), right))
            }
            _ => None,
        };
    }
    if let Some(list) = expr.downcast_ref::<InListExpr>() {
        return members(list);
    }
    if let Some(case) = expr.downcast_ref::<CaseExpr>() {
        // A row is kept by one of the branches, whichever it is.
        let mut branches: Vec<&Arc<dyn PhysicalExpr>> = case.when_then_expr().iter().map(|(_, then)| then).collect();
        branches.extend(case.else_expr());
        let kept = branches.into_iter().filter(|branch| !is_false(branch)).map(weakened).collect::<Option<Vec<_>>>()?;
        return kept.into_iter().reduce(Expr::or);
    }
    if let Some(null) = expr.downcast_ref::<IsNullExpr>() {
        return Some(column(null.arg())?.is_null());
    }
    is_false(expr).then(|| lit(false))
}

/// The distinct keys of a list; NULL is equal to nothing.
fn members(list: &InListExpr) -> Option<Expr> {
    if list.negated() {
        return None;
    }
    let mut seen = std::collections::HashSet::new();
    let mut keys = Vec::new();
    for item in list.list() {
        let key = item.downcast_ref::<Literal>()?.value();
        if !key.is_null() && seen.insert(key.clone()) {
            keys.push(Expr::Literal(key.clone(), None));
        }
    }
    Some(if keys.is_empty() { lit(false) } else { column(list.expr())?.in_list(keys, false) })
}

fn column(expr: &Arc<dyn PhysicalExpr>) -> Option<Expr> {
    expr.downcast_ref::<Column>().map(|column| col(datafusion::common::Column::new_unqualified(column.name())))
}

fn literal(expr: &Arc<dyn PhysicalExpr>) -> Option<Expr> {
    expr.downcast_ref::<Literal>().map(|literal| Expr::Literal(literal.value().clone(), None))
}

fn is_false(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<Literal>().is_some_and(|literal| matches!(literal.value(), ScalarValue::Boolean(Some(false))))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::{DynamicFilterPhysicalExpr, lit as constant};

    use super::super::table::tests::column;
    use super::super::weight::Counted;
    use super::*;

    fn key() -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new("key", 0))
    }

    fn compare(op: Operator, value: i64) -> Arc<dyn PhysicalExpr> {
        Arc::new(PhysicalBinaryExpr::new(key(), op, constant(value)))
    }

    fn both(left: Arc<dyn PhysicalExpr>, op: Operator, right: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        Arc::new(PhysicalBinaryExpr::new(left, op, right))
    }

    fn listed(keys: Vec<Option<i64>>) -> Arc<dyn PhysicalExpr> {
        let schema = Schema::new(vec![Field::new("key", DataType::Int64, true)]);
        let keys: ArrayRef = Arc::new(Int64Array::from(keys));
        Arc::new(InListExpr::try_new_from_array(key(), keys, false, &schema).unwrap())
    }

    #[test]
    fn a_hint_is_read_when_it_is_needed() {
        let dynamic = Arc::new(DynamicFilterPhysicalExpr::new(vec![key()], constant(true)));
        let hint: Arc<dyn PhysicalExpr> = Arc::clone(&dynamic) as _;
        assert_eq!(condition(&hint), None);
        dynamic.update(both(compare(Operator::GtEq, 3), Operator::And, listed(vec![Some(3), None, Some(9), Some(3)]))).unwrap();
        let expected = col("key").gt_eq(lit(3_i64)).and(col("key").in_list(vec![lit(3_i64), lit(9_i64)], false));
        assert_eq!(condition(&hint), Some(expected));
    }

    #[test]
    fn what_is_not_for_a_server_weakens_the_condition() {
        let unknown = constant(true);
        let known = compare(Operator::Lt, 7);
        assert_eq!(condition(&both(Arc::clone(&known), Operator::And, Arc::clone(&unknown))), Some(col("key").lt(lit(7_i64))));
        assert_eq!(condition(&both(known, Operator::Or, unknown)), None);
    }

    #[test]
    fn what_spares_no_row_is_not_tested() {
        let mut key = column("key", &crate::product::DataType::Int64, 20);
        let within = |low: i64, high: i64| col("key").gt_eq(lit(low)).and(col("key").lt_eq(lit(high)));
        assert!(!keeps_all(&within(0, 100), std::slice::from_ref(&key)), "nothing is known");
        key.counted = Counted { distinct: None, bounds: Some((1, 99)) };
        let known = [key];
        assert!(keeps_all(&within(1, 99), &known) && keeps_all(&within(0, 5).or(within(0, 100)), &known));
        for spares in [within(2, 99), within(1, 98), col("key").eq(lit(1_i64)), within(0, 100).and(col("key").gt_eq(lit(50_i64)))] {
            assert!(!keeps_all(&spares, &known), "{spares}");
        }
        assert!(!keeps_all(&col("other").gt_eq(lit(0_i64)), &known));
    }

    #[test]
    fn the_branches_of_partitions_are_taken_together() {
        let branches = vec![(constant(0_u64), listed(vec![Some(1)])), (constant(1_u64), listed(vec![Some(2)]))];
        let case = |otherwise| -> Arc<dyn PhysicalExpr> {
            Arc::new(CaseExpr::try_new(Some(constant(0_u64)), branches.clone(), Some(constant(otherwise))).unwrap())
        };
        let expected = col("key").in_list(vec![lit(1_i64)], false).or(col("key").in_list(vec![lit(2_i64)], false));
        assert_eq!(condition(&case(false)), Some(expected));
        assert_eq!(condition(&case(true)), None);
    }
}
