//! Aggregates that the engine does not have, as functions of the list that `array_agg` makes.

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident, ObjectName,
    OrderByExpr, OrderByOptions,
};

use super::spelling::{call, last};

/// What stands for an aggregate; `None` if it is one of the engine's, or no aggregate.
pub(super) fn rewritten(function: &mut Function) -> Option<Expr> {
    match last(&function.name).as_str() {
        "percentile_disc" => within_group(function, "meshgate_percentile_disc"),
        "mode" => within_group(function, "meshgate_mode"),
        "json_agg" => listed(function, "meshgate_json_agg"),
        "jsonb_agg" => listed(function, "meshgate_jsonb_agg"),
        "json_object_agg" => paired(function, "meshgate_json_object_agg"),
        "jsonb_object_agg" => paired(function, "meshgate_jsonb_object_agg"),
        "array_agg" | "string_agg" => {
            sort_distinct(function);
            None
        }
        _ => None,
    }
}

fn renamed(function: &Function, name: &str) -> Function {
    let mut function = function.clone();
    function.name = ObjectName::from(vec![Ident::new(name)]);
    function
}

/// `percentile_disc(f) WITHIN GROUP (ORDER BY x)` of the sorted list of x.
fn within_group(function: &Function, name: &str) -> Option<Expr> {
    let [key] = function.within_group.as_slice() else { return None };
    let FunctionArguments::List(arguments) = &function.args else { return None };
    let direct = arguments.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let direct = direct.collect::<Option<Vec<_>>>()?;
    let mut list = renamed(function, "array_agg");
    list.within_group = Vec::new();
    let mut key = key.clone();
    // NULLs do not count; at the end they are easily left out.
    key.options.nulls_first = Some(false);
    if let FunctionArguments::List(arguments) = &mut list.args {
        arguments.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(key.expr.clone()))];
        arguments.clauses = vec![FunctionArgumentClause::OrderBy(vec![key])];
    }
    Some(call(name, std::iter::once(Expr::Function(list)).chain(direct).collect()))
}

/// `json_agg(x …)` of the list of x.
fn listed(function: &Function, name: &str) -> Option<Expr> {
    matches!(&function.args, FunctionArguments::List(list) if list.args.len() == 1)
        .then(|| call(name, vec![Expr::Function(renamed(function, "array_agg"))]))
}

/// `json_object_agg(k, v …)` of the lists of k and v.
fn paired(function: &Function, name: &str) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let [key, value] = list.args.as_slice() else { return None };
    let of = |arg: &FunctionArg| {
        let mut list = renamed(function, "array_agg");
        if let FunctionArguments::List(arguments) = &mut list.args {
            arguments.args = vec![arg.clone()];
        }
        Expr::Function(list)
    };
    Some(call(name, vec![of(key), of(value)]))
}

/// PostgreSQL finds distinct values by sorting them.
fn sort_distinct(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let ordered = list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
    let value = match list.args.first() {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) => value.clone(),
        _ => return,
    };
    if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) && !ordered {
        let key = OrderByExpr { expr: value, options: OrderByOptions { asc: None, nulls_first: None }, with_fill: None };
        list.clauses.push(FunctionArgumentClause::OrderBy(vec![key]));
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn spelled(sql: &str) -> String {
        let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap();
        let Expr::Function(mut function) = parser.parse_expr().unwrap() else { panic!("no function") };
        rewritten(&mut function).unwrap_or(Expr::Function(function)).to_string()
    }

    #[test]
    fn aggregates_become_functions_of_a_list() {
        assert_eq!(
            spelled("percentile_disc(0.5) WITHIN GROUP (ORDER BY x DESC)"),
            "meshgate_percentile_disc(array_agg(x ORDER BY x DESC NULLS LAST), 0.5)"
        );
        assert_eq!(spelled("json_agg(x ORDER BY y) FILTER (WHERE z)"), "meshgate_json_agg(array_agg(x ORDER BY y) FILTER (WHERE z))");
        assert_eq!(spelled("json_object_agg(k, v)"), "meshgate_json_object_agg(array_agg(k), array_agg(v))");
        assert_eq!(spelled("string_agg(DISTINCT x, ',')"), "string_agg(DISTINCT x, ',' ORDER BY x)");
        assert_eq!(spelled("array_agg(x)"), "array_agg(x)");
    }
}
