//! Values of the reg* types in statements over products: the names of what they number.
//!
//! A name is read as the number of an object that exists, and shown as PostgreSQL shows it; `::oid` takes the number.

use datafusion::sql::sqlparser::ast::{DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::casts::{REG, reg_kind};
use super::{call, last_part};

/// What stands for a cast to or from a reg* type, and for a function that answers one; `None` if the expression is none of these.
pub(super) fn rewritten(expr: &mut Expr) -> Option<Expr> {
    match expr {
        Expr::Cast { expr: inner, data_type, .. } => {
            if let Some(kind) = reg_kind(data_type) {
                return Some(named(kind, taken(inner)));
            }
            if is_number(data_type)
                && let Some(number) = number_of(inner)
            {
                **inner = number;
            }
            None
        }
        Expr::Function(function) => {
            let name = last_part(&function.name)?;
            if takes_numbers(&name) {
                numbered(function);
                return None;
            }
            let kinds = ["class", "type", "proc", "procedure", "namespace", "role", "oper", "operator", "collation"];
            let kind = kinds.into_iter().find(|kind| name.strip_prefix("to_reg") == Some(*kind))?;
            Some(call(&format!("{REG}{kind}_text"), vec![taken(expr)]))
        }
        _ => None,
    }
}

fn taken(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, super::null())
}

fn named(kind: &str, value: Expr) -> Expr {
    call(&format!("{REG}{kind}_text"), vec![call(&format!("{REG}{kind}"), vec![value])])
}

/// The number behind a value that is shown by name.
fn number_of(value: &Expr) -> Option<Expr> {
    match value {
        Expr::Nested(inner) => number_of(inner),
        Expr::Function(function) => {
            let name = last_part(&function.name)?;
            if name == "pg_typeof" {
                return Some(call(&format!("{REG}type"), vec![value.clone()]));
            }
            if name.starts_with(REG) && name.ends_with("_text") { argument(function) } else { None }
        }
        _ => None,
    }
}

fn argument(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => Some(argument.clone()),
        _ => None,
    }
}

/// Functions of the system whose arguments are numbers of objects.
fn takes_numbers(name: &str) -> bool {
    name == "format_type" || name != "pg_typeof" && name.starts_with("pg_") || name.starts_with("has_") || name.ends_with("_description")
}

fn numbered(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    for arg in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = arg
            && let Some(number) = number_of(value)
        {
            *value = number;
        }
    }
}

fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) | DataType::BigInt(_) | DataType::Int8(_) => true,
        DataType::Custom(name, _) => last_part(name).as_deref() == Some("oid"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use datafusion::sql::sqlparser::ast::{VisitMut, VisitorMut};
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn spelled(sql: &str) -> String {
        struct All;
        impl VisitorMut for All {
            type Break = ();

            fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
                if let Some(done) = rewritten(expr) {
                    *expr = done;
                }
                ControlFlow::Continue(())
            }
        }
        let mut expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap();
        let _ = expr.visit(&mut All);
        expr.to_string()
    }

    #[test]
    fn values_are_names_until_their_numbers_are_asked_for() {
        assert_eq!(spelled("'a.b'::regclass"), "meshgate_regclass_text(meshgate_regclass('a.b'))");
        assert_eq!(spelled("('a.b'::regclass)::oid"), "meshgate_regclass('a.b')::oid");
        assert_eq!(spelled("pg_typeof(x)::oid"), "meshgate_regtype(pg_typeof(x))::oid");
        assert_eq!(spelled("format_type('int4'::regtype, -1)"), "format_type(meshgate_regtype('int4'), -1)");
        assert_eq!(spelled("to_regclass('x')::text"), "meshgate_regclass_text(to_regclass('x'))::TEXT");
    }
}
