//! Tells the planner what types parameters have.
//!
//! The planner takes types from a PREPARE alone, by their names in SQL, and for all parameters up to the last. So the statement is put into
//! one whose types are OIDs that [`ParameterTypes`] understands, and a parameter without a type gets a number behind all types.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::{LogicalPlan, Statement as Planned};
use datafusion::sql::parser::Statement as Ast;
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Statement, TableFactor, Value,
    VisitMut, VisitorMut,
};

use crate::catalog::PgType;
use crate::engine::values;

/// What is added to the number of a parameter without a type; more than the protocol can number.
const UNTYPED: usize = 100_000;

/// The name that stands for the types of parameters.
const TYPE: &str = "meshgate_parameter";

/// The statement in a form of which the planner learns these types; as it is if there are none.
pub(in crate::engine) fn typed(ast: Ast, types: &[Option<PgType>]) -> Ast {
    if types.iter().all(Option::is_none) {
        return ast;
    }
    let Ast::Statement(mut statement) = ast else { return ast };
    if types.contains(&Some(PgType::VOID)) {
        let _ = VisitMut::visit(statement.as_mut(), &mut WithoutVoid { types });
    }
    if types.iter().any(Option::is_none) {
        let _ = VisitMut::visit(statement.as_mut(), &mut Renumbering { types });
    }
    let oid = |pg_type: &Option<PgType>| pg_type.map_or(0, |pg_type| pg_type.oid).to_string();
    let data_types = types.iter().map(|pg_type| DataType::Custom(name(TYPE), vec![oid(pg_type)])).collect();
    Ast::Statement(Box::new(Statement::Prepare { name: Ident::new(TYPE), data_types, statement }))
}

/// The plan of the statement that was put into a PREPARE.
pub(in crate::engine) fn unwrapped(plan: LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Statement(Planned::Prepare(prepare)) if prepare.name == TYPE => Arc::unwrap_or_clone(prepare.input),
        other => other,
    }
}

/// The number of a parameter, whether it has a type or not.
pub(in crate::engine) fn number_of(id: &str) -> Option<usize> {
    let number = id.strip_prefix('$')?.parse::<usize>().ok()?;
    Some(if number > UNTYPED { number - UNTYPED } else { number })
}

/// The names, without the sign, under which a parameter may stand in a plan.
pub(in crate::engine) fn names_of(number: usize) -> [String; 2] {
    [number.to_string(), (number + UNTYPED).to_string()]
}

fn name(name: &str) -> ObjectName {
    ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))])
}

/// Moves the numbers of parameters without a type.
struct Renumbering<'a> {
    types: &'a [Option<PgType>],
}

impl VisitorMut for Renumbering<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(id) = &mut value.value
            && let Some(number) = number_of(id)
            && number.checked_sub(1).and_then(|at| self.types.get(at)).is_some_and(Option::is_none)
        {
            *id = format!("${}", number + UNTYPED);
        }
        ControlFlow::Continue(())
    }
}

/// Leaves out arguments of no type at all: pgjdbc sends one in the place of what a call answers.
struct WithoutVoid<'a> {
    types: &'a [Option<PgType>],
}

impl WithoutVoid<'_> {
    fn leave_out(&self, arguments: &mut Vec<FunctionArg>) {
        arguments.retain(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => match &value.value {
                Value::Placeholder(id) => {
                    let at = number_of(id).and_then(|number| number.checked_sub(1));
                    at.and_then(|at| self.types.get(at)) != Some(&Some(PgType::VOID))
                }
                _ => true,
            },
            _ => true,
        });
    }
}

impl VisitorMut for WithoutVoid<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(call) = expr
            && let FunctionArguments::List(list) = &mut call.args
        {
            self.leave_out(&mut list.args);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { args: Some(arguments), .. } => self.leave_out(&mut arguments.args),
            TableFactor::Function { args, .. } => self.leave_out(args),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Knows the types of parameters, and leaves all other types to the planner below.
#[derive(Debug)]
pub(in crate::engine) struct ParameterTypes<T>(pub(in crate::engine) T);

impl<T: TypePlanner> TypePlanner for ParameterTypes<T> {
    fn plan_type_field(&self, sql_type: &DataType) -> Result<Option<FieldRef>, DataFusionError> {
        match sql_type {
            DataType::Custom(found, oids) if *found == name(TYPE) => {
                let oid = oids.first().and_then(|oid| oid.parse::<u32>().ok()).unwrap_or_default();
                // A parameter without a type is found under another number; any type will do here.
                let pg_type = PgType::of_oid(oid).unwrap_or(PgType::TEXT);
                values::field(pg_type).map(Some).map_err(|message| DataFusionError::External(Box::new(message)))
            }
            other => self.0.plan_type_field(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType as ArrowType;
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::logical_expr::ExprSchemable as _;

    use super::*;

    async fn plan(sql: &str, types: &[Option<PgType>]) -> LogicalPlan {
        let planner = Arc::new(ParameterTypes(crate::catalog::PgTypePlanner));
        let state = SessionStateBuilder::new().with_default_features().with_type_planner(planner).build();
        let ast = typed(state.sql_to_statement(sql, &datafusion::config::Dialect::PostgreSQL).unwrap(), types);
        unwrapped(state.statement_to_plan(ast).await.unwrap())
    }

    #[tokio::test]
    async fn a_declared_type_is_known_while_the_statement_is_planned() {
        let plan = plan("SELECT $1, $2, $3", &[Some(PgType::DATE), None, Some(PgType::INT2)]).await;
        let types: Vec<ArrowType> =
            plan.expressions().iter().map(|expr| expr.get_type(&datafusion::common::DFSchema::empty()).unwrap()).collect();
        assert_eq!(types, [ArrowType::Date32, ArrowType::Null, ArrowType::Int16]);
        let ids: Vec<String> = plan.get_parameter_names().unwrap().into_iter().collect();
        let mut numbers: Vec<usize> = ids.iter().filter_map(|id| number_of(id)).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[tokio::test]
    async fn an_argument_without_any_type_is_left_out() {
        let plan = plan("SELECT upper($1, $2)", &[Some(PgType::VOID), Some(PgType::TEXT)]).await;
        assert_eq!(plan.get_parameter_names().unwrap().into_iter().collect::<Vec<_>>(), ["$2"]);
    }

    #[tokio::test]
    async fn without_a_type_the_statement_stays_as_it_is() {
        let plan = plan("SELECT $1", &[None]).await;
        assert_eq!(plan.get_parameter_names().unwrap().into_iter().collect::<Vec<_>>(), ["$1"]);
    }
}
