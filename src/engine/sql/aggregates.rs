//! Aggregates that the engine does not have, as functions of the list that `array_agg` makes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    GroupByExpr, Ident, ObjectName, Select, Value, VisitMut, Visitor, VisitorMut,
};

use super::spelling::{call, last, string};

/// What stands for an aggregate; `None` if it is one of the engine's, or no aggregate.
pub(super) fn rewritten(function: &mut Function) -> Option<Expr> {
    if rewritten_within(function) > REWRITTEN_MAX {
        return None;
    }
    match last(&function.name).as_str() {
        "percentile_disc" if of_array(function) => within_group(function, "meshgate_percentiles_disc"),
        "percentile_cont" if of_array(function) => within_group(function, "meshgate_percentiles_cont"),
        "percentile_disc" => within_group(function, "meshgate_percentile_disc"),
        "percentile_cont" => between(function),
        "mode" => within_group(function, "meshgate_mode"),
        "rank" | "dense_rank" | "percent_rank" | "cume_dist" => super::hypothetical::rewritten(function),
        "json_agg" => listed(function, "meshgate_json_agg"),
        "jsonb_agg" => listed(function, "meshgate_jsonb_agg"),
        "json_object_agg" => paired(function, "meshgate_json_object_agg"),
        "jsonb_object_agg" => paired(function, "meshgate_jsonb_object_agg"),
        "avg" => mean(function),
        "array_agg" => distinct(function).map(|(list, _)| list),
        // NULLs are no part of the text, and nothing but NULLs is NULL.
        "string_agg" => distinct(function).and_then(|(list, delimiter)| Some(call("array_to_string", vec![list, delimiter?]))),
        _ => None,
    }
}

/// Whether the argument is an array that is written out.
fn of_array(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    let array = |expr: &Expr| match expr {
        Expr::Cast { expr, .. } => matches!(expr.as_ref(), Expr::Array(_)),
        expr => matches!(expr, Expr::Array(_)),
    };
    matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] if array(expr))
}

/// Aggregates that may stand within one that is written twice: each level of them doubles.
const REWRITTEN_MAX: usize = 4;

/// The aggregates that something else may stand for.
const REPLACED: [&str; 10] = [
    "percentile_cont",
    "percentile_disc",
    "mode",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
    "avg",
    "array_agg",
    "string_agg",
];

fn rewritten_within(function: &Function) -> usize {
    struct Counter(usize);
    impl Visitor for Counter {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::Function(function) = expr {
                let name = last(&function.name);
                self.0 += usize::from(name.starts_with("meshgate_") || REPLACED.contains(&name.as_str()));
            }
            if self.0 > REWRITTEN_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    let mut counter = Counter(0);
    let _ = datafusion::sql::sqlparser::ast::Visit::visit(function, &mut counter);
    counter.0
}

/// `avg(x …)` of the sum and the count of x, with the same clauses.
fn mean(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let of = |name: &str| Expr::Function(renamed(function, name));
    (list.args.len() == 1).then(|| call("meshgate_avg", vec![of("sum"), of("count")]))
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

/// `percentile_cont(f) WITHIN GROUP (ORDER BY x)` of the list of x, in any order.
fn between(function: &Function) -> Option<Expr> {
    let [key] = function.within_group.as_slice() else { return None };
    let FunctionArguments::List(arguments) = &function.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(fraction))] = arguments.args.as_slice() else { return None };
    let mut list = renamed(function, "array_agg");
    list.within_group = Vec::new();
    if let FunctionArguments::List(arguments) = &mut list.args {
        arguments.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(key.expr.clone()))];
    }
    let falls = Expr::Value(Value::Boolean(key.options.asc == Some(false)).with_empty_span());
    Some(call("meshgate_percentile_cont", vec![Expr::Function(list), fraction.clone(), falls]))
}

/// `json_agg(x …)` of the list of x.
fn listed(function: &Function, name: &str) -> Option<Expr> {
    // Values are told apart, and sorted, before they are JSON.
    if let Some((values, _)) = distinct(function) {
        let array = if name.starts_with("meshgate_jsonb") { "to_jsonb" } else { "array_to_json" };
        return Some(call(name, vec![call("meshgate_json_elements", vec![call(array, vec![values])])]));
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    let [value] = list.args.as_slice() else { return None };
    Some(call(name, vec![list_of(function, as_json(value, name))]))
}

/// `array_agg` of this, with the clauses of another aggregate.
fn list_of(function: &Function, value: FunctionArg) -> Expr {
    let mut list = renamed(function, "array_agg");
    if let FunctionArguments::List(arguments) = &mut list.args {
        arguments.args = vec![value];
    }
    Expr::Function(list)
}

/// A value as JSON while its type is still known.
fn as_json(value: &FunctionArg, name: &str) -> FunctionArg {
    let convert = match name {
        "meshgate_json_agg" => "meshgate_json_line",
        name if name.starts_with("meshgate_jsonb") => "to_jsonb",
        _ => "to_json",
    };
    match value {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(call(convert, vec![value.clone()])))
        }
        other => other.clone(),
    }
}

/// `json_object_agg(k, v …)` of the lists of k and v.
fn paired(function: &Function, name: &str) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let [key, value] = list.args.as_slice() else { return None };
    Some(call(name, vec![list_of(function, key.clone()), list_of(function, as_json(value, name))]))
}

/// Distinct values as a sorted list, as PostgreSQL finds them, and the second argument. The engine forgets their order beside that of others.
fn distinct(function: &Function) -> Option<(Expr, Option<Expr>)> {
    let FunctionArguments::List(list) = &function.args else { return None };
    if list.duplicate_treatment != Some(DuplicateTreatment::Distinct) || function.over.is_some() {
        return None;
    }
    let values = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
        _ => None,
    });
    let values = values.collect::<Option<Vec<_>>>()?;
    let (value, delimiter) = (*values.first()?, values.get(1).map(|delimiter| (*delimiter).clone()));
    let (descending, nulls_first) = match list.clauses.as_slice() {
        [] => (false, false),
        [FunctionArgumentClause::OrderBy(keys)] => match keys.as_slice() {
            [key] if key.expr == *value => {
                let descending = key.options.asc == Some(false);
                (descending, key.options.nulls_first.unwrap_or(descending))
            }
            _ => return None,
        },
        _ => return None,
    };
    let mut plain = renamed(function, "array_agg");
    if let FunctionArguments::List(arguments) = &mut plain.args {
        arguments.args.truncate(1);
        arguments.clauses = Vec::new();
    }
    if delimiter.is_some() {
        let known = Expr::IsNotNull(Box::new(value.clone()));
        plain.filter = Some(Box::new(match plain.filter.take() {
            Some(filter) => Expr::BinaryOp { left: Box::new(Expr::Nested(filter)), op: BinaryOperator::And, right: Box::new(known) },
            None => known,
        }));
    }
    let direction = string(if descending { "DESC" } else { "ASC" });
    let nulls = string(if nulls_first { "NULLS FIRST" } else { "NULLS LAST" });
    Some((call("array_sort", vec![Expr::Function(plain), direction, nulls]), delimiter))
}

/// Aggregates of one column cast to several types have one name to the engine, which refuses the second; each gets its own.
pub(super) fn tell_apart(select: &mut Select) {
    keys_apart(select);
    let mut calls = Calls { seen: BTreeMap::new(), rename: false };
    let _ = select.projection.visit(&mut calls);
    if calls.seen.values().any(|spellings| spellings.len() > 1) {
        calls.rename = true;
        let _ = select.projection.visit(&mut calls);
    }
}

/// Keys of groups that differ by a cast alone have one name to the engine, too: `GROUP BY a::date, a`.
fn keys_apart(select: &mut Select) {
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return };
    let meant: Vec<String> =
        keys.iter().map(|key| super::ties::meant(key.clone(), &select.projection).unwrap_or(key.clone()).to_string()).collect();
    let plain = |key: &Expr| {
        let meant = super::ties::meant(key.clone(), &select.projection).unwrap_or(key.clone());
        bare(&meant).to_string()
    };
    let plain: Vec<String> = keys.iter().map(plain).collect();
    let cast = |at: usize| {
        let (own, bare) = (meant.get(at)?, plain.get(at)?);
        let other = plain.iter().zip(&meant).any(|(plain, meant)| plain == bare && meant != own);
        (own != bare && other).then(|| own.clone())
    };
    let cast: BTreeSet<String> = (0..keys.len()).filter_map(cast).collect();
    if cast.is_empty() {
        return;
    }
    let mut casts = Casts(cast);
    let _ = select.projection.visit(&mut casts);
    let _ = select.group_by.visit(&mut casts);
    let _ = select.having.visit(&mut casts);
}

fn bare(value: &Expr) -> &Expr {
    match value {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => bare(expr),
        value => value,
    }
}

/// Casts that get a name of their own.
struct Casts(BTreeSet<String>);

impl VisitorMut for Casts {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Cast { .. }) && self.0.contains(&expr.to_string()) {
            *expr = call("coalesce", vec![expr.clone()]);
        }
        ControlFlow::Continue(())
    }
}

/// The calls of a SELECT's own list: by what the engine names them, how they are spelled.
struct Calls {
    seen: BTreeMap<String, BTreeSet<String>>,
    rename: bool,
}

impl VisitorMut for Calls {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let FunctionArguments::List(list) = &function.args else { return ControlFlow::Continue(()) };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] = list.args.as_slice() else { return ControlFlow::Continue(()) };
        let plain = bare(value).to_string();
        let (key, spelled) = (format!("{}({plain})", last(&function.name)), value.to_string());
        if !self.rename {
            self.seen.entry(key).or_default().insert(spelled);
        } else if let Some(spellings) = self.seen.get(&key).filter(|spellings| spellings.len() > 1)
            && let Some(place) = spellings.iter().filter(|known| **known != plain).position(|known| *known == spelled)
        {
            let named = (0..=place).fold(value.clone(), |named, _| call("coalesce", vec![named]));
            if let FunctionArguments::List(list) = &mut function.args {
                list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(named))];
            }
        }
        ControlFlow::Continue(())
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
    fn casts_of_one_column_are_told_apart() {
        let mut query = Parser::new(&PostgreSqlDialect {})
            .try_with_sql("SELECT sum(x), sum(x::int8), sum(x::int2), max(x::int8)")
            .unwrap()
            .parse_query()
            .unwrap();
        let datafusion::sql::sqlparser::ast::SetExpr::Select(select) = query.body.as_mut() else { panic!("no select") };
        tell_apart(select);
        assert_eq!(select.to_string(), "SELECT sum(x), sum(coalesce(coalesce(x::INT8))), sum(coalesce(x::INT2)), max(x::INT8)");
    }

    #[test]
    fn keys_that_are_casts_of_others_are_told_apart() {
        let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql("SELECT f(x)::DATE AS d, y FROM t GROUP BY 1, f(x), y").unwrap();
        let mut query = parser.parse_query().unwrap();
        let datafusion::sql::sqlparser::ast::SetExpr::Select(select) = query.body.as_mut() else { panic!("no select") };
        tell_apart(select);
        assert_eq!(select.to_string(), "SELECT coalesce(f(x)::DATE) AS d, y FROM t GROUP BY 1, f(x), y");
    }

    #[test]
    fn aggregates_become_functions_of_a_list() {
        assert_eq!(
            spelled("percentile_disc(0.5) WITHIN GROUP (ORDER BY x DESC)"),
            "meshgate_percentile_disc(array_agg(x ORDER BY x DESC NULLS LAST), 0.5)"
        );
        assert_eq!(
            spelled("json_agg(x ORDER BY y) FILTER (WHERE z)"),
            "meshgate_json_agg(array_agg(meshgate_json_line(x) ORDER BY y) FILTER (WHERE z))"
        );
        assert_eq!(spelled("json_object_agg(k, v)"), "meshgate_json_object_agg(array_agg(k), array_agg(to_json(v)))");
        assert_eq!(
            spelled("string_agg(DISTINCT x, ',')"),
            "array_to_string(array_sort(array_agg(DISTINCT x) FILTER (WHERE x IS NOT NULL), 'ASC', 'NULLS LAST'), ',')"
        );
        assert_eq!(spelled("array_agg(DISTINCT x ORDER BY x DESC)"), "array_sort(array_agg(DISTINCT x), 'DESC', 'NULLS FIRST')");
        assert_eq!(
            spelled("percentile_cont(0.5) WITHIN GROUP (ORDER BY x DESC) FILTER (WHERE y)"),
            "meshgate_percentile_cont(array_agg(x) FILTER (WHERE y), 0.5, true)"
        );
        assert_eq!(spelled("array_agg(x)"), "array_agg(x)");
        assert_eq!(spelled("avg(DISTINCT x) OVER w"), "meshgate_avg(sum(DISTINCT x) OVER w, count(DISTINCT x) OVER w)");
    }
}
