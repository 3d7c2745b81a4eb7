//! The types of parameters that a client did not declare, from where they stand in the plan.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan};

use crate::error::{ClientMessage, SqlState};

use super::column::PgType;
use super::{columns, fault, semantics, sql};

/// The most parameters that a statement may have, as the protocol counts them.
const PARAMETERS_MAX: usize = 65_535;

/// Functions that want all their arguments to be of one type.
const UNIFYING: [&str; 4] = ["coalesce", "nullif", "greatest", "least"];

/// The type of each parameter: as declared, else as the plan infers it, else text.
pub(super) fn parameter_types(plan: &LogicalPlan, declared: &[Option<PgType>]) -> Result<Vec<PgType>, ClientMessage> {
    let found = numbered(found(plan)?)?;
    let count = found.keys().copied().max().unwrap_or(0).max(declared.len());
    let cast = casts(plan)?;
    let of = |at: usize| {
        let number = at + 1;
        let inferred = || found.get(&number).cloned().flatten().map(|data_type| columns::of_type(&data_type));
        declared.get(at).copied().flatten().or_else(|| cast.get(&number).copied()).or_else(inferred)
    };
    Ok((0..count).map(|at| of(at).unwrap_or(PgType::TEXT)).collect())
}

/// The parameters that are cast, with the type of their first cast: `$1::date` is a date and no text that becomes one.
fn casts(plan: &LogicalPlan) -> Result<HashMap<usize, PgType>, ClientMessage> {
    let mut found = HashMap::new();
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                let (inner, pg_type) = match part {
                    Expr::Cast(cast) => (Some(cast.expr.as_ref()), PgType::of_arrow(&cast.field)),
                    Expr::TryCast(cast) => (Some(cast.expr.as_ref()), PgType::of_arrow(&cast.field)),
                    // `$1::numeric` is this call, for its digits are those of the value.
                    Expr::ScalarFunction(call) if call.name() == semantics::UNCONSTRAINED => (call.args.first(), PgType::NUMERIC),
                    Expr::ScalarFunction(call) if call.name() == semantics::UNCONSTRAINED_LIST => {
                        (call.args.first(), PgType::NUMERIC.array())
                    }
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                if let Some(Expr::Placeholder(parameter)) = inner
                    && let Some(number) = sql::number_of(&parameter.id)
                {
                    found.entry(number).or_insert_with(|| pg_type.with_typmod(-1));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|error| fault::client_message(&error, ""))?;
    Ok(found)
}

/// Refuses a plan with more parameters than there are values.
pub(super) fn check_bound(plan: &LogicalPlan, values: usize) -> Result<(), ClientMessage> {
    let highest = numbered(found(plan)?)?.into_keys().max().unwrap_or(0);
    if highest > values { Err(no_parameter(&format!("${highest}"))) } else { Ok(()) }
}

/// Every parameter of the plan, with its type if its place tells one.
fn found(plan: &LogicalPlan) -> Result<HashMap<String, Option<DataType>>, ClientMessage> {
    let shown = |error: DataFusionError| fault::client_message(&error, "");
    let mut found = plan.get_parameter_types().map_err(shown)?;
    if found.values().all(Option::is_some) {
        return Ok(found);
    }
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for rows in [&limit.skip, &limit.fetch].into_iter().flatten() {
                of_limit(rows, &mut found)?;
            }
        }
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                from_function(part, &schema, &mut found);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(shown)?;
    Ok(found)
}

/// A count of rows is a bigint.
fn of_limit(rows: &Expr, found: &mut HashMap<String, Option<DataType>>) -> Result<(), DataFusionError> {
    rows.apply(|part| {
        note(part, &DataType::Int64, found);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn from_function(expr: &Expr, schema: &DFSchema, found: &mut HashMap<String, Option<DataType>>) {
    let Expr::ScalarFunction(function) = expr else { return };
    let type_of = |argument: &Expr| argument.get_type(schema).ok().filter(|found| *found != DataType::Null);
    match (function.name(), function.args.as_slice()) {
        // `element = ANY ($1)`
        ("array_has" | semantics::ANY, [Expr::Placeholder(_), element]) => {
            if let (Some(list), Some(element)) = (function.args.first(), type_of(element)) {
                note(list, &DataType::List(Field::new_list_field(element, true).into()), found);
            }
        }
        (name, arguments) if UNIFYING.contains(&name) => {
            let known = arguments.iter().filter(|argument| !matches!(argument, Expr::Placeholder(_))).find_map(type_of);
            if let Some(known) = known {
                arguments.iter().for_each(|argument| note(argument, &known, found));
            }
        }
        _ => {}
    }
}

/// A parameter whose type was not known yet has this one.
fn note(expr: &Expr, data_type: &DataType, found: &mut HashMap<String, Option<DataType>>) {
    if let Expr::Placeholder(parameter) = expr
        && let Some(unknown) = found.get_mut(&parameter.id)
    {
        unknown.get_or_insert_with(|| data_type.clone());
    }
}

/// The parameters by their numbers.
fn numbered(found: HashMap<String, Option<DataType>>) -> Result<HashMap<usize, Option<DataType>>, ClientMessage> {
    let number = |name: &str| sql::number_of(name).filter(|number| (1..=PARAMETERS_MAX).contains(number));
    found.into_iter().map(|(name, data_type)| Ok((number(&name).ok_or_else(|| no_parameter(&name))?, data_type))).collect()
}

fn no_parameter(name: &str) -> ClientMessage {
    ClientMessage::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}"))
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn types(sql: &str) -> Vec<PgType> {
        parameter_types(&plan(sql).await, &[]).unwrap()
    }

    async fn plan(sql: &str) -> LogicalPlan {
        SessionContext::new().state().create_logical_plan(sql).await.unwrap()
    }

    #[tokio::test]
    async fn a_place_tells_the_type() {
        let from = "FROM (VALUES (CAST(1 AS int), DATE '2026-01-01')) AS t(n, d)";
        assert_eq!(types(&format!("SELECT n {from} LIMIT $1 OFFSET $2")).await, [PgType::INT8, PgType::INT8]);
        assert_eq!(types(&format!("SELECT n {from} WHERE n = ANY ($1)")).await, [PgType::INT4_ARRAY]);
        assert_eq!(types(&format!("SELECT coalesce(d, $1) {from} WHERE n > $2")).await, [PgType::DATE, PgType::INT4]);
        assert_eq!(types("SELECT $2").await, [PgType::TEXT, PgType::TEXT]);
        assert_eq!(types("SELECT $1::int, abs(CAST($2 AS numeric(10, 2)))").await, [PgType::INT4, PgType::NUMERIC]);
        assert_eq!(types(&format!("SELECT n {from} WHERE d > ANY (SELECT $1::date)")).await, [PgType::DATE]);
    }

    #[tokio::test]
    async fn a_parameter_without_a_value_is_refused() {
        let plan = plan("SELECT $1 + 1").await;
        assert_eq!(check_bound(&plan, 0).unwrap_err().sqlstate, SqlState::UNDEFINED_PARAMETER);
        assert!(check_bound(&plan, 1).is_ok());
    }
}
