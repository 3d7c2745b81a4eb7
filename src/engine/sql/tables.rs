//! Functions in FROM: as queries over the lists that they stand for, which may name what stands before them.
//!
//! A function of several rows is a list in the engine, whose elements are its rows; one of a single row is that row.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, Spanned as _, TableAlias,
    TableAliasColumnDef, TableFactor, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::catalog::folded;

use super::spelling::{Flow, call, last, refuse, string};

/// A column of a function's rows: its name, the function of its list, and the type that its elements have.
struct Listed {
    column: &'static str,
    list: &'static str,
    /// What makes an element of its type, where the list does not say it.
    typed: Option<&'static str>,
}

const fn listed(column: &'static str, list: &'static str, typed: Option<&'static str>) -> Listed {
    Listed { column, list, typed }
}

const JSON: Option<&str> = Some("meshgate_as_json");
const JSONB: Option<&str> = Some("meshgate_as_jsonb");

/// The columns of a function of several rows; an empty name is that of the function or its alias.
fn columns(function: &str) -> Option<Vec<Listed>> {
    Some(match function {
        "generate_series" => vec![listed("", "meshgate_generate_series", None)],
        "generate_subscripts" => vec![listed("", "meshgate_subscripts", None)],
        "unnest" => vec![listed("", "", None)],
        "json_array_elements" => vec![listed("value", "meshgate_json_elements", JSON)],
        "jsonb_array_elements" => vec![listed("value", "meshgate_json_elements", JSONB)],
        "json_array_elements_text" | "jsonb_array_elements_text" => vec![listed("value", "meshgate_json_elements_text", None)],
        "json_object_keys" | "jsonb_object_keys" => vec![listed("", "meshgate_json_keys", None)],
        "jsonb_path_query" => vec![listed("", "meshgate_json_path", JSONB)],
        "json_each" => vec![listed("key", "meshgate_json_keys", None), listed("value", "meshgate_json_values", JSON)],
        "jsonb_each" => vec![listed("key", "meshgate_json_keys", None), listed("value", "meshgate_json_values", JSONB)],
        "json_each_text" | "jsonb_each_text" => {
            vec![listed("key", "meshgate_json_keys", None), listed("value", "meshgate_json_values_text", None)]
        }
        "regexp_matches" => vec![listed("", "meshgate_regexp_matches", None)],
        "regexp_split_to_table" => vec![listed("", "regexp_split_to_array", None)],
        "string_to_table" => vec![listed("", "string_to_array", None)],
        _ => return None,
    })
}

/// Arguments of a function of jsonb values, which have one form.
fn canonical(function: &str, mut args: Vec<Expr>) -> Vec<Expr> {
    if function.starts_with("jsonb_")
        && let Some(value) = args.first_mut()
    {
        let inner = Box::new(std::mem::replace(value, string("")));
        *value = Expr::Cast { kind: ast::CastKind::Cast, expr: inner, data_type: ast::DataType::JSONB, array: false, format: None };
    }
    args
}

/// A function of several rows in a select list.
pub(super) fn in_list(function: &ast::Function) -> Option<Expr> {
    if function.over.is_some() || function.filter.is_some() {
        return None;
    }
    let name = last(&function.name);
    match columns(&name)?.as_slice() {
        [Listed { list: "", .. }] => None,
        [Listed { list, typed, .. }] => {
            let elements = call("unnest", vec![call(list, canonical(&name, arguments(function)?))]);
            Some(match typed {
                Some(typed) => call(typed, vec![elements]),
                None => elements,
            })
        }
        _ => None,
    }
}

/// The columns of a function of several rows, each as what makes its rows.
pub(super) fn members(function: &ast::Function) -> Option<Vec<(String, Expr)>> {
    if function.over.is_some() || function.filter.is_some() {
        return None;
    }
    let name = last(&function.name);
    let args = canonical(&name, arguments(function)?);
    let member = |column: &Listed| {
        let elements = call("unnest", vec![call(column.list, args.clone())]);
        let typed = column.typed.map(|typed| call(typed, vec![elements.clone()]));
        (column.column.to_owned(), typed.unwrap_or(elements))
    };
    let columns = columns(&name)?;
    let fit = columns.len() == 1 || args.iter().all(super::quantified::repeatable);
    fit.then(|| columns.iter().map(member).collect())
}

/// Whether an item of a select list makes several rows of one.
pub(super) fn several_in(item: &SelectItem) -> bool {
    struct Finder(bool);
    impl ast::Visitor for Finder {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            self.0 |= matches!(expr, Expr::Function(function) if columns(&last(&function.name)).is_some());
            ControlFlow::Continue(())
        }
    }
    let mut finder = Finder(false);
    let _ = ast::Visit::visit(item, &mut finder);
    finder.0
}

/// Where the first function of several rows stands; those of subqueries are their own.
pub(super) fn first_series(node: &impl ast::Visit) -> Option<Location> {
    struct Finder(usize);
    impl ast::Visitor for Finder {
        type Break = Location;

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Location> {
            self.0 += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Location> {
            self.0 = self.0.saturating_sub(1);
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Location> {
            match expr {
                Expr::Function(function) if self.0 == 0 && columns(&last(&function.name)).is_some() => {
                    ControlFlow::Break(function.name.span().start)
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    match node.visit(&mut Finder(0)) {
        ControlFlow::Break(place) => Some(place),
        ControlFlow::Continue(()) => None,
    }
}

/// The lists whose elements a select list makes rows of; `None` if there are none, or they cannot be named twice.
pub(super) fn lists_in(projection: &[SelectItem]) -> Option<Vec<Expr>> {
    struct Lists {
        found: Vec<Expr>,
        /// Queries around the place, whose rows are their own.
        queries: usize,
        unfit: bool,
    }
    impl ast::Visitor for Lists {
        type Break = ();

        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.queries += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.queries = self.queries.saturating_sub(1);
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
            let name = last(&function.name);
            // Another value each time, or rows of rows.
            self.unfit |= matches!(name.as_str(), "random" | "gen_random_uuid" | "uuid" | "clock_timestamp");
            if self.queries == 0
                && let Some(columns) = columns(&name)
            {
                match (columns.as_slice(), arguments(function)) {
                    ([Listed { list: "", .. }], Some(args)) => self.found.extend(args),
                    ([Listed { list, .. }, ..], Some(args)) => self.found.push(call(list, canonical(&name, args))),
                    _ => self.unfit = true,
                }
            }
            ControlFlow::Continue(())
        }
    }
    let mut lists = Lists { found: Vec::new(), queries: 0, unfit: false };
    for item in projection {
        let _ = ast::Visit::visit(item, &mut lists);
    }
    let nested = lists.found.iter().any(|list| several_in(&SelectItem::UnnamedExpr(list.clone())));
    let fit = !lists.found.is_empty() && !lists.unfit && !nested && lists.found.iter().all(super::quantified::repeatable);
    fit.then_some(lists.found)
}

fn arguments(function: &ast::Function) -> Option<Vec<Expr>> {
    match &function.args {
        ast::FunctionArguments::List(list) => list.args.iter().map(argument).collect(),
        _ => None,
    }
}

fn argument(arg: &FunctionArg) -> Option<Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    }
}

/// Puts a query in the place of a function in FROM.
pub(super) fn function(factor: &mut TableFactor) -> Flow {
    let lateral = matches!(factor, TableFactor::Function { .. });
    let (name, args, alias, ordinality) = match factor {
        TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } => {
            let Some(args) = args.args.iter().map(argument).collect::<Option<Vec<_>>>() else { return ControlFlow::Continue(()) };
            (last(name), args, alias, *with_ordinality)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            let Some(args) = args.iter().map(argument).collect::<Option<Vec<_>>>() else { return ControlFlow::Continue(()) };
            (last(name), args, alias, *with_ordinality)
        }
        TableFactor::UNNEST { array_exprs, alias, with_ordinality, .. } => {
            ("unnest".to_owned(), array_exprs.clone(), alias, *with_ordinality)
        }
        _ => return ControlFlow::Continue(()),
    };
    // The engine makes long series of constants a batch at a time; where there is none, it has words of its own.
    let moves = args.get(2).is_none_or(|step| !zero(step));
    let streamed = name == "generate_series" && !ordinality && moves && args.iter().all(super::spelling::integer);
    if crate::catalog::system::answers_rows(&name) || streamed && !lateral {
        return ControlFlow::Continue(());
    }
    let (args, once) = computed_once(args);
    let Some((exprs, names)) = rows(&name, &args, alias.as_ref(), ordinality) else {
        return refuse("this form of a function in FROM is not supported");
    };
    match derived(&name, exprs, names, alias.take(), once) {
        Some(derived) => *factor = derived,
        None => return refuse("this form of a function in FROM is not supported"),
    }
    ControlFlow::Continue(())
}

/// Whether it is a number without a digit that counts.
fn zero(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(&value.value, Value::Number(digits, _) if digits.bytes().all(|digit| digit == b'0')),
        Expr::UnaryOp { expr, .. } => zero(expr),
        _ => false,
    }
}

/// What a function's rows are made of, and the names of its columns.
fn rows(name: &str, args: &[Expr], alias: Option<&TableAlias>, ordinality: bool) -> Option<(Vec<Expr>, Vec<String>)> {
    let own = || alias.map_or_else(|| name.to_owned(), |alias| folded(&alias.name));
    let typed = alias.map_or(&[][..], |alias| &alias.columns).iter().any(|column| column.data_type.is_some());
    let several = typed || ordinality || columns(name).is_some_and(|columns| columns.len() > 1);
    if several && !args.iter().all(super::quantified::repeatable) {
        return None;
    }
    if typed {
        return record(name, args, alias?).filter(|_| !ordinality);
    }
    let Some(columns) = columns(name) else {
        let value = call(name, args.to_vec());
        return (!ordinality).then(|| (vec![value], vec![own()]));
    };
    let lists: Vec<(Expr, Option<&str>, String)> = if name == "unnest" {
        let single = args.len() == 1;
        args.iter().map(|array| (array.clone(), None, if single { own() } else { "unnest".to_owned() })).collect()
    } else {
        let named = |column: &Listed| if column.column.is_empty() { own() } else { column.column.to_owned() };
        let args = canonical(name, args.to_vec());
        columns.iter().map(|column| (call(column.list, args.clone()), column.typed, named(column))).collect()
    };
    let all: Vec<Expr> = lists.iter().map(|(list, _, _)| list.clone()).collect();
    let mut exprs = Vec::new();
    let mut names = Vec::new();
    for (list, typed, name) in lists {
        let elements = call("unnest", vec![list]);
        exprs.push(match typed {
            Some(typed) => call(typed, vec![elements]),
            None => elements,
        });
        names.push(name);
    }
    if ordinality {
        exprs.push(call("unnest", vec![call("meshgate_ordinals", all)]));
        names.push("ordinality".to_owned());
    }
    Some((exprs, names))
}

/// `json_to_record(…) AS t(a integer, …)`: a member for each column.
fn record(name: &str, args: &[Expr], alias: &TableAlias) -> Option<(Vec<Expr>, Vec<String>)> {
    let [value] = args else { return None };
    let row = match name {
        "json_to_record" | "jsonb_to_record" => value.clone(),
        "json_to_recordset" | "jsonb_to_recordset" => call("unnest", vec![call("meshgate_json_elements", vec![value.clone()])]),
        _ => return None,
    };
    let member = |column: &TableAliasColumnDef| {
        let key = string(&folded(&column.name));
        let data_type = column.data_type.clone()?;
        let of = |function: &str| call(function, vec![row.clone(), key.clone()]);
        let value = match &data_type {
            // A JSON is the part as it stands, and an array the text that spells it.
            ast::DataType::JSON | ast::DataType::JSONB => call("meshgate_json_part", vec![of("json_extract_path")]),
            ast::DataType::Array(_) => call("meshgate_json_as_array", vec![of("json_extract_path")]),
            _ => of("json_extract_path_text"),
        };
        Some(Expr::Cast { kind: ast::CastKind::Cast, expr: Box::new(value), data_type, array: false, format: None })
    };
    let members = alias.columns.iter().map(member).collect::<Option<Vec<_>>>()?;
    Some((members, alias.columns.iter().map(|column| folded(&column.name)).collect()))
}

/// Arguments that cannot be written twice, as columns of a query that computes them.
fn computed_once(args: Vec<Expr>) -> (Vec<Expr>, Vec<SelectItem>) {
    if args.iter().all(super::quantified::repeatable) {
        return (args, Vec::new());
    }
    let named = |(at, expr): (usize, Expr)| {
        let name = Ident::new(format!("meshgate_argument{at}"));
        (Expr::Identifier(name.clone()), SelectItem::ExprWithAlias { expr, alias: name })
    };
    args.into_iter().enumerate().map(named).unzip()
}

fn derived(name: &str, exprs: Vec<Expr>, names: Vec<String>, alias: Option<TableAlias>, once: Vec<SelectItem>) -> Option<TableFactor> {
    let text = if once.is_empty() { "SELECT 1" } else { "SELECT 1 FROM (SELECT 1) AS meshgate_arguments" };
    let mut query = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_query().ok()?;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    if let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation)
        && let SetExpr::Select(inner) = subquery.body.as_mut()
    {
        inner.projection = once;
    }
    let item = |(at, (expr, name)): (usize, (Expr, String))| SelectItem::ExprWithAlias {
        expr,
        alias: Ident::with_quote('"', if at == 0 { name } else { crate::catalog::system::numbered(&name, at) }),
    };
    let labels: Vec<String> = names.clone();
    select.projection = exprs.into_iter().zip(names).enumerate().map(item).collect();
    let column = |name: String| TableAliasColumnDef { name: Ident::with_quote('"', name), data_type: None };
    let mut alias =
        alias.unwrap_or_else(|| TableAlias { explicit: true, name: Ident::with_quote('"', name), columns: Vec::new(), at: None });
    let given: Vec<String> = alias.columns.iter().map(|column| folded(&column.name)).collect();
    let mut full: Vec<String> = given.iter().cloned().chain(labels.into_iter().skip(given.len())).collect();
    // `unnest(a, b)` has two columns of one name.
    for at in (1..full.len()).rev() {
        let (before, after) = full.split_at_mut(at);
        if let Some(name) = after.first_mut()
            && before.contains(name)
        {
            *name = crate::catalog::system::numbered(name, at);
        }
    }
    alias.columns = full.into_iter().map(column).collect();
    Some(TableFactor::Derived { lateral: true, subquery: query, alias: Some(alias), sample: None })
}

/// The alias of a function whose only column has another name stands for that column, too.
pub(super) fn name_values(select: &mut Select) {
    let mut values: Vec<(String, String)> = Vec::new();
    let factors = select.from.iter().flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    for factor in factors {
        if let TableFactor::Table { name, args: Some(_), alias: Some(alias), with_ordinality: false, .. }
        | TableFactor::Function { name, alias: Some(alias), .. } = factor
            && alias.columns.is_empty()
            && let Some([Listed { column, .. }]) = columns(&last(name)).as_deref()
            && !column.is_empty()
        {
            values.push((folded(&alias.name), (*column).to_owned()));
        }
    }
    if values.is_empty() {
        return;
    }
    let mut names = Names { values };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(ident)) = item {
            // It keeps the name that it was written with.
            *item = SelectItem::ExprWithAlias { expr: Expr::Identifier(ident.clone()), alias: ident.clone() };
        }
        let _ = item.visit(&mut names);
    }
    let _ = select.selection.visit(&mut names);
    let _ = select.having.visit(&mut names);
    let _ = select.group_by.visit(&mut names);
    let _ = select.from.visit(&mut names);
}

struct Names {
    values: Vec<(String, String)>,
}

impl VisitorMut for Names {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(ident) = expr
            && let Some((_, column)) = self.values.iter().find(|(alias, _)| *alias == folded(ident))
        {
            *expr = Expr::CompoundIdentifier(vec![ident.clone(), Ident::with_quote('"', column.clone())]);
        }
        ControlFlow::Continue(())
    }
}

/// Words that are written like tables and are functions.
pub(super) fn word(factor: &mut TableFactor) {
    let TableFactor::Table { name: ObjectName(parts), args: None, alias, .. } = factor else { return };
    let [part] = parts.as_slice() else { return };
    let Some(ident) = part.as_ident().filter(|ident| ident.quote_style.is_none()) else { return };
    let word = ident.value.to_lowercase();
    if !matches!(word.as_str(), "current_date" | "current_timestamp" | "localtimestamp" | "current_user" | "session_user") {
        return;
    }
    let own = alias.as_ref().map_or_else(|| word.clone(), |alias| folded(&alias.name));
    if let Some(derived) = derived(&word, vec![call(&word, Vec::new())], vec![own], alias.take(), Vec::new()) {
        *factor = derived;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(from: &str) -> String {
        let sql = format!("SELECT * FROM {from}");
        let mut query = Parser::new(&PostgreSqlDialect {}).try_with_sql(&sql).unwrap().parse_query().unwrap();
        let SetExpr::Select(select) = query.body.as_mut() else { panic!("no select") };
        let _ = function(&mut select.from[0].relation);
        select.from[0].relation.to_string()
    }

    #[test]
    fn functions_of_rows_are_the_elements_of_lists() {
        assert_eq!(
            spelled("json_each(x) AS e"),
            "LATERAL (SELECT unnest(meshgate_json_keys(x)) AS \"key\", meshgate_as_json(unnest(meshgate_json_values(x))) AS \"value\u{1}1\") \
             AS e (\"key\", \"value\")"
        );
        assert_eq!(spelled("unnest(a) AS u"), "LATERAL (SELECT unnest(a) AS \"u\") AS u (\"u\")");
        assert!(
            spelled("unnest(a) WITH ORDINALITY AS t(x, n)")
                .ends_with("unnest(meshgate_ordinals(a)) AS \"ordinality\u{1}1\") AS t (\"x\", \"n\")")
        );
        assert!(spelled("unnest(a, b)").ends_with("AS \"unnest\" (\"unnest\", \"unnest\u{1}1\")"));
        assert_eq!(
            spelled("pg_backend_pid()"),
            "LATERAL (SELECT pg_backend_pid() AS \"pg_backend_pid\") AS \"pg_backend_pid\" (\"pg_backend_pid\")"
        );
        assert_eq!(spelled("pg_get_keywords()"), "pg_get_keywords()");
        assert_eq!(spelled("upper('a')"), "LATERAL (SELECT upper('a') AS \"upper\") AS \"upper\" (\"upper\")");
        assert_eq!(spelled("generate_series(1, 3)"), "generate_series(1, 3)");
        assert!(spelled("jsonb_to_record(x) AS t(a INT)").contains("CAST(json_extract_path_text(x, 'a') AS INT)"));
    }

    #[test]
    fn an_alias_stands_for_the_only_column() {
        let sql = "SELECT e ->> 'a', e.value FROM jsonb_array_elements(x) AS e WHERE e IS NOT NULL";
        let mut query = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_query().unwrap();
        let SetExpr::Select(select) = query.body.as_mut() else { panic!("no select") };
        name_values(select);
        assert!(select.to_string().starts_with("SELECT e.\"value\" ->> 'a', e.value FROM"), "{select}");
        assert!(select.to_string().ends_with("WHERE e.\"value\" IS NOT NULL"), "{select}");
    }
}
