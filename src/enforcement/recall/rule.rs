//! What makes two tests of rows the same test.
//!
//! INVARIANT: two rules are equal only if they let the same rows of the same file through. All constants, the set of the erased (the one in memory,
//! not one like it), and names and types of the columns are part of a rule, but for the constants of bounds that are kept aside. A
//! condition of a form that is not listed here, or that could give another answer another time, is no rule.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, Volatility};

use crate::policy::SubjectSet;
use crate::ports::SourceColumn;

use super::super::Error;
use super::super::compiled::CompiledDecision;

/// Functions of conditions that answer the same to the same values, and hold on to nothing large.
const FUNCTIONS: &[&str] = &["lower", "upper", "passes"];

/// A rule, and where its bounds are now.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) key: Arc<RuleKey>,
    /// The bounds, in the order of the key's.
    pub(super) bounds: Vec<i64>,
    /// Where among the columns of a whole reading the bounded values are.
    positions: Vec<usize>,
}

/// What must be the same.
#[derive(Debug)]
pub(super) struct RuleKey {
    hash: u64,
    columns: Vec<SourceColumn>,
    conditions: Vec<Expr>,
    /// The columns whose values must not be below a bound.
    bounded: Vec<SourceColumn>,
    exclusion: Option<(SourceColumn, Weak<SubjectSet>)>,
}

impl PartialEq for RuleKey {
    fn eq(&self, other: &Self) -> bool {
        let exclusion = match (&self.exclusion, &other.exclusion) {
            (None, None) => true,
            // A weak pointer keeps the place from being given to another set.
            (Some((own, set)), Some((others, other))) => own == others && Weak::ptr_eq(set, other),
            _ => false,
        };
        exclusion
            && self.hash == other.hash
            && self.columns == other.columns
            && self.bounded == other.bounded
            && self.conditions == other.conditions
    }
}

impl Eq for RuleKey {}

impl Hash for RuleKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl Rule {
    /// The rule of a decision over a scan, of which columns are found by their names, each with its position; `None` if what it lets through
    /// cannot be remembered, or is everything.
    pub(super) fn of(decision: &CompiledDecision, find: impl Fn(&str) -> Option<(usize, SourceColumn)>) -> Option<Self> {
        let (mut bounds, mut positions, mut bounded, mut conditions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for condition in decision.row_filter().map(split_conjunction).unwrap_or_default() {
            if !is_lasting(condition) {
                return None;
            }
            let bound = lower_bound(condition).and_then(|(column, value, least)| {
                // A constant of another type would be compared otherwise than by its count.
                let (position, column) = find(column).filter(|(_, column)| column.field.data_type() == &value.data_type())?;
                Some((position, column, least))
            });
            match bound {
                Some((position, column, least)) => {
                    bounded.push(column);
                    positions.push(position);
                    bounds.push(least);
                }
                None => conditions.push(condition.clone()),
            }
        }
        let mut names: Vec<&str> = conditions.iter().flat_map(Expr::column_refs).map(|column| column.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let columns = names.into_iter().map(|name| find(name).map(|(_, column)| column)).collect::<Option<Vec<SourceColumn>>>()?;
        let exclusion = match decision.excluded() {
            None => None,
            Some((name, probe)) => Some((find(name)?.1, probe.subjects())),
        };
        if bounded.is_empty() && conditions.is_empty() && exclusion.is_none() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (&columns, &conditions, &bounded).hash(&mut hasher);
        if let Some((column, set)) = &exclusion {
            (column, Weak::as_ptr(set).addr()).hash(&mut hasher);
        }
        let key = RuleKey { hash: hasher.finish(), columns, conditions, bounded, exclusion };
        Some(Self { key: Arc::new(key), bounds, positions })
    }

    /// For each bound the values that it is held against.
    pub(super) fn bounded(&self, columns: &[ArrayRef]) -> Result<Vec<Int64Array>> {
        let broken = || DataFusionError::from(Error::Internal { invariant: "a bounded column is read, and counts something" });
        let values = |position: &usize| {
            let values = columns.get(*position).ok_or_else(broken)?;
            let values = if values.data_type() == &DataType::Date32 { cast(values, &DataType::Int32)? } else { Arc::clone(values) };
            Ok(cast(&values, &DataType::Int64)?.as_primitive_opt::<Int64Type>().ok_or_else(broken)?.clone())
        };
        self.positions.iter().map(values).collect()
    }
}

/// Whether a condition is of a form that answers the same whenever it is asked.
fn is_lasting(condition: &Expr) -> bool {
    let lasting = |node: &Expr| match node {
        Expr::Column(_)
        | Expr::Literal(..)
        | Expr::BinaryExpr(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::InList(_)
        | Expr::Like(_) => true,
        Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable && FUNCTIONS.contains(&call.func.name()),
        _ => false,
    };
    condition.exists(|node| Ok(!lasting(node))).is_ok_and(|other| !other)
}

/// The column, the constant and the least value of "column ≥ moment", if that is what a condition says.
fn lower_bound(condition: &Expr) -> Option<(&str, &ScalarValue, i64)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let (Expr::Column(column), Expr::Literal(value, _)) = (left.as_ref(), right.as_ref()) else { return None };
    let count = match value {
        ScalarValue::TimestampSecond(count, _)
        | ScalarValue::TimestampMillisecond(count, _)
        | ScalarValue::TimestampMicrosecond(count, _)
        | ScalarValue::TimestampNanosecond(count, _) => *count,
        ScalarValue::Date32(days) => days.map(i64::from),
        _ => None,
    }?;
    match op {
        Operator::GtEq => Some((&column.name, value, count)),
        Operator::Gt => Some((&column.name, value, count.checked_add(1)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn only_bounds_from_below_by_a_moment_are_kept_aside() {
        let moment = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), None));
        let day = lit(ScalarValue::Date32(Some(7)));
        let bound = |condition: &Expr| lower_bound(condition).map(|(column, _, least)| (column.to_owned(), least));
        let at = |least| Some(("at".to_owned(), least));
        assert_eq!(bound(&col("at").gt_eq(moment(5))), at(5));
        assert_eq!(bound(&col("at").gt(moment(5))), at(6));
        assert_eq!(bound(&col("at").gt(day)), at(8));
        assert_eq!(bound(&col("at").gt(moment(i64::MAX))), None);
        assert_eq!(bound(&col("at").lt(moment(5))), None);
        assert_eq!(bound(&col("at").eq(moment(5))), None);
        assert_eq!(bound(&col("n").gt_eq(lit(5_i64))), None);
        assert_eq!(bound(&col("at").gt_eq(lit(ScalarValue::TimestampMicrosecond(None, None)))), None);
    }

    #[test]
    fn a_function_that_is_not_known_to_last_makes_no_rule() {
        use datafusion::functions::expr_fn::{lower, now, random};
        assert!(is_lasting(&lower(col("t")).eq(lit("a"))));
        assert!(!is_lasting(&col("at").lt(now())));
        assert!(!is_lasting(&random().lt(lit(0.5))));
        assert!(!is_lasting(&datafusion::functions::expr_fn::reverse(col("t")).eq(lit("a"))));
    }
}
