//! Conditions that stand before what could fail: `k <> 0 AND x / k > 1`, `s ~ '^\d+$' AND s::integer > 0`.
//!
//! PostgreSQL looks at the second condition of a row only where the first one leaves it open. The engine looks at both for all rows of a
//! batch, so that what could fail is computed where the first leaves it open. It also makes AND and OR of a CASE between truths: such a CASE
//! is one of numbers. INVARIANT: the conditions before stay what they are, so that they still find their way to indexes, joins and files.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{BinaryExpr, Case, Cast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, lit, when};

use super::function::{Function, Result, arg};
use super::subquery;

/// Conditions that are looked at before another.
const BEFORE_MAX: usize = 16;

/// Computes what could fail only where the conditions before it leave it open.
pub(super) fn conditions(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| {
        let mut found = false;
        node.apply_expressions(|expr| {
            found |= could_fail_beside(expr)?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if !found {
            return Ok(Transformed::no(node));
        }
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(Transformed::yes(name.restore(guarded(expr, &schema)?)))
        })
    })?;
    Ok(done.data)
}

/// A first look, without types.
fn could_fail_beside(expr: &Expr) -> Result<bool> {
    let joins = expr.exists(|part| Ok(joining(part).is_some() || matches!(part, Expr::Case(_))))?;
    Ok(joins && expr.exists(|part| Ok(computes(part)))?)
}

/// Whether it is more than a value, a comparison, or what joins these.
fn computes(expr: &Expr) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(expr, Expr::Cast(_) | Expr::ScalarFunction(_) | Expr::Negative(_))
        || matches!(expr, Expr::BinaryExpr(BinaryExpr { op: Divide | Minus | Modulo | Multiply | Plus, .. }))
}

fn joining(expr: &Expr) -> Option<Operator> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => Some(*op),
        _ => None,
    }
}

fn divided(expr: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { op: Operator::Divide | Operator::Modulo, right, .. }) = expr else { return false };
    right.any_column_refs()
}

fn guarded(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    // From the outside in, so that all that AND joins is looked at together.
    let done = expr.transform_down(|part| {
        let part = match part {
            Expr::Case(case) => return of_case(case, schema),
            part => part,
        };
        let Some(op) = joining(&part) else { return Ok(Transformed::no(part)) };
        let mut conditions = Vec::new();
        flattened(part, op, &mut conditions);
        let mut before: Vec<Expr> = Vec::new();
        let mut joined: Option<Expr> = None;
        for condition in conditions {
            let condition = match before
                .iter()
                .cloned()
                .reduce(|one, other| Expr::BinaryExpr(BinaryExpr::new(Box::new(one), op, Box::new(other))))
            {
                Some(known) if could_fail(&condition, schema)? => {
                    let open = if op == Operator::And { known.is_not_false() } else { known.is_not_true() };
                    truth(when(open, number(guarded(condition, schema)?)).end()?)
                }
                _ => {
                    let condition = guarded(condition, schema)?;
                    if before.len() < BEFORE_MAX && condition.any_column_refs() && !could_fail(&condition, schema)? && !asks(&condition)? {
                        before.push(condition.clone());
                    }
                    condition
                }
            };
            joined = Some(match joined {
                None => condition,
                Some(joined) => Expr::BinaryExpr(BinaryExpr::new(Box::new(joined), op, Box::new(condition))),
            });
        }
        let joined = joined.unwrap_or_else(|| lit(op == Operator::And));
        Ok(Transformed::new(joined, true, TreeNodeRecursion::Jump))
    })?;
    Ok(done.data)
}

/// A CASE between truths that are computed, of which the engine would compute all.
fn of_case(mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let within = |expr: &mut Expr| -> Result<()> {
        *expr = guarded(std::mem::take(expr), schema)?;
        Ok(())
    };
    for (condition, _) in &mut case.when_then_expr {
        within(condition)?;
    }
    let answers = case.when_then_expr.iter_mut().map(|(_, then)| then).chain(case.else_expr.iter_mut());
    let mut answers: Vec<&mut Expr> = answers.map(|answer| answer.as_mut()).collect();
    answers.iter_mut().try_for_each(|answer| within(answer))?;
    let boolean = |answer: &&mut Expr| answer.get_type(schema).is_ok_and(|found| found == DataType::Boolean || found.is_null());
    let known = |answer: &&mut Expr| answer.get_type(schema).is_ok_and(|found| found == DataType::Boolean);
    let computed =
        answers.iter().try_fold(false, |found, answer| Ok::<_, DataFusionError>(found || answer.exists(|part| Ok(computes(part)))?))?;
    if !computed || !answers.iter().all(boolean) || !answers.iter().any(known) {
        return Ok(Transformed::new(Expr::Case(case), true, TreeNodeRecursion::Jump));
    }
    for answer in answers.into_iter().filter(|answer| !matches!(answer, Expr::Literal(ScalarValue::Null, _))) {
        *answer = number(std::mem::take(answer));
    }
    Ok(Transformed::new(truth(Expr::Case(case)), true, TreeNodeRecursion::Jump))
}

/// A truth as a number, which the engine does not take apart.
fn number(truth: Expr) -> Expr {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let truths = arg::<BooleanArray>(args, 0)?;
        Ok(Arc::new(truths.iter().map(|truth| truth.map(i32::from)).collect::<Int32Array>()) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![DataType::Boolean]);
    Function::new("meshgate_number", takes, |_| Some(DataType::Int32), computes).call(vec![truth])
}

/// The truth that a number is.
fn truth(number: Expr) -> Expr {
    number.eq(lit(1_i32))
}

fn flattened(expr: Expr, op: Operator, conditions: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: found, right }) if found == op => {
            flattened(*left, op, conditions);
            flattened(*right, op, conditions);
        }
        expr => conditions.push(expr),
    }
}

/// Whether a value decides if it fails: a division by a column, a text that is read as another type.
fn could_fail(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    expr.exists(|part| {
        Ok(divided(part)
            || match part {
                Expr::Cast(Cast { expr, field }) => {
                    let text = |found: &DataType| matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
                    expr.any_column_refs() && !text(field.data_type()) && expr.get_type(schema).is_ok_and(|found| text(&found))
                }
                _ => false,
            })
    })
}

/// Whether it holds a query, which should be asked once, or what answers otherwise each time; or it names a column of the rows around,
/// by which a subquery is joined with them.
fn asks(expr: &Expr) -> Result<bool> {
    Ok(expr.is_volatile() || expr.contains_outer() || expr.exists(|part| Ok(subquery::of(part).is_some()))?)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{cast, col};

    use super::*;

    fn of(expr: Expr) -> String {
        let fields = ["k", "x"].map(|name| Field::new(name, DataType::Int32, true));
        let schema = Schema::new(fields.into_iter().chain([Field::new("s", DataType::Utf8, true)]).collect::<Vec<_>>());
        guarded(expr, &DFSchema::try_from(schema).unwrap()).unwrap().to_string()
    }

    #[test]
    fn what_could_fail_waits_for_what_stands_before_it() {
        let fails = || (col("x") / col("k")).gt(lit(1));
        let known = || col("k").not_eq(lit(0));
        let expected = "k != Int32(0) AND CASE WHEN k != Int32(0) IS NOT FALSE THEN meshgate_number(x / k > Int32(1)) END = Int32(1)";
        assert_eq!(of(known().and(fails())), expected);
        let expected = "k = Int32(0) OR CASE WHEN k = Int32(0) IS NOT TRUE THEN meshgate_number(x / k > Int32(1)) END = Int32(1)";
        assert_eq!(of(col("k").eq(lit(0)).or(fails())), expected);
        let number = cast(col("s"), DataType::Int32).gt(lit(0));
        assert!(of(col("s").not_eq(lit("")).and(number)).contains("THEN meshgate_number(CAST(s AS Int32) > Int32(0)) END"));
    }

    #[test]
    fn a_case_between_truths_is_one_of_numbers() {
        let fails = || (col("x") / col("k")).gt(lit(1));
        let known = || col("k").not_eq(lit(0));
        let case = when(known(), fails()).otherwise(lit(false)).unwrap();
        let expected = "CASE WHEN k != Int32(0) THEN meshgate_number(x / k > Int32(1)) ELSE meshgate_number(Boolean(false)) END = Int32(1)";
        assert_eq!(of(case), expected);
        let unknown = lit(ScalarValue::Boolean(None));
        assert!(
            of(when(known(), unknown).otherwise(fails()).unwrap()).contains("THEN meshgate_number(Boolean(NULL)) ELSE meshgate_number(")
        );
        let plain = when(known(), col("x").gt(lit(1))).otherwise(lit(false)).unwrap();
        assert_eq!(of(plain.clone()), plain.to_string());
        let numbers = when(known(), col("x") / col("k")).end().unwrap();
        assert_eq!(of(numbers.clone()), numbers.to_string());
    }

    #[test]
    fn what_stands_behind_it_stays() {
        let fails = || (col("x") / col("k")).gt(lit(1));
        assert_eq!(of(fails().and(col("k").not_eq(lit(0)))), "x / k > Int32(1) AND k != Int32(0)");
        let safe = (col("x") / lit(2)).gt(lit(1));
        assert_eq!(of(col("k").not_eq(lit(0)).and(safe)), "k != Int32(0) AND x / Int32(2) > Int32(1)");
        assert_eq!(of(fails().and(fails())), "x / k > Int32(1) AND x / k > Int32(1)");
    }
}
