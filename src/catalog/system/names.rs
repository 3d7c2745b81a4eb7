//! Names: which statements are about the system, and the spellings of functions, operators and relations.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Statement,
    TableAlias, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

use crate::catalog::relations;

use super::{call, folded, last_part, qualifier};

/// Whether the statement reads system relations and no other.
pub fn reads_system(statement: &Statement) -> bool {
    if !matches!(statement, Statement::Query(_)) {
        return false;
    }
    let mut reads = Reads { ctes: Vec::new(), system: false, other: false, functions: Vec::new() };
    let _ = statement.visit(&mut reads);
    reads.system && !reads.other
}

/// Finds relations that are neither the system's nor a name of the statement's own.
struct Reads {
    /// Names that the queries around define, one list a query.
    ctes: Vec<Vec<String>>,
    system: bool,
    other: bool,
    /// The names of functions that stand for relations.
    functions: Vec<ObjectName>,
}

impl Visitor for Reads {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.ctes.push(query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| folded(&cte.alias.name)).collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.ctes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let known = match factor {
            // A function reads no product; which of the system's there are, is known.
            TableFactor::Table { args: Some(_), name, .. } | TableFactor::Function { name, .. } => {
                let system = last_part(name).is_some_and(|last| is_systems(&last));
                self.system |= system;
                self.functions.push(name.clone());
                !system || known_function(name)
            }
            TableFactor::Table { name, .. } => self.known_relation(name),
            TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } | TableFactor::UNNEST { .. } => true,
            _ => false,
        };
        self.other |= !known;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.system |= last_part(&function.name).is_some_and(|last| takes_apart(&last));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        // TABLE name and the like have no table factor around them.
        let called = self.functions.contains(relation) && last_part(relation).is_some_and(|last| !is_systems(&last));
        let known = called || known_function(relation) || self.known_relation(relation);
        self.other |= !known;
        ControlFlow::Continue(())
    }
}

impl Reads {
    fn known_relation(&mut self, name: &ObjectName) -> bool {
        let Some(last) = last_part(name) else { return false };
        let system = match qualifier(name) {
            Some(schema) => relations::find(&schema, &last).is_some() || relations::is_system_schema(&schema),
            None if self.ctes.iter().flatten().any(|cte| *cte == last) => return true,
            None => relations::find("pg_catalog", &last).is_some(),
        };
        self.system |= system;
        system
    }
}

/// Whether a function in FROM is one of the system's.
fn is_systems(function: &str) -> bool {
    function.starts_with("pg_") || function == "aclexplode"
}

/// Functions that answer rows wherever they stand in a statement over the catalog, and nowhere else.
fn takes_apart(function: &str) -> bool {
    matches!(function, "aclexplode" | "pg_options_to_table" | "pg_identify_object")
}

/// Table functions that make rows from their arguments or from the session alone.
fn known_function(name: &ObjectName) -> bool {
    let known = [
        "generate_series",
        "unnest",
        "generate_subscripts",
        "range",
        "pg_partition_ancestors",
        "pg_listening_channels",
        "pg_identify_object",
    ];
    last_part(name).is_some_and(|last| known.contains(&last.as_str()) || rows_of(&last).is_some())
        && qualifier(name).is_none_or(|schema| relations::is_system_schema(&schema))
}

/// Spells functions, operators and session words as the planner knows them. The meaning stays the same for every statement.
pub fn normalize(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Normalize);
}

struct Normalize;

impl VisitorMut for Normalize {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } = factor {
            strip(name);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => {
                strip(&mut function.name);
                if let Some(substring) = substring(function) {
                    *expr = substring;
                } else if matches!(function.args, FunctionArguments::None) && session_word(&last_part(&function.name).unwrap_or_default()) {
                    *expr = call(&last_part(&function.name).unwrap_or_default(), Vec::new());
                }
            }
            Expr::Identifier(ident) if ident.quote_style.is_none() && session_word(&folded(ident)) => {
                *expr = call(&folded(ident), Vec::new());
            }
            Expr::BinaryOp { op, .. } => {
                if let BinaryOperator::PGCustomBinaryOperator(parts) = op
                    && let Some(plain) = plain_operator(parts)
                {
                    *op = plain;
                }
            }
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                let escape = match escape_char.take() {
                    Some(escape) => Some(Expr::Value(escape)),
                    // A pattern that ends within an escape is a fault, which the function tells.
                    None => super::literal(pattern).is_some_and(|text| text.ends_with('\\')).then(|| super::string("\\")),
                };
                if let Some(escape) = escape {
                    let written = std::mem::replace(pattern.as_mut(), super::null());
                    **pattern = call("meshgate_like_pattern", vec![written, escape]);
                }
            }
            Expr::Collate { expr: inner, collation } if bytewise(collation) => {
                let inner = std::mem::replace(inner.as_mut(), super::null());
                *expr = inner;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Words that PostgreSQL reserves for what a session knows of itself.
fn session_word(word: &str) -> bool {
    matches!(word, "current_user" | "session_user" | "user" | "current_role" | "current_catalog" | "current_schema")
}

/// The planner knows functions by their last name only.
fn strip(name: &mut ObjectName) {
    if qualifier(name).is_some_and(|schema| relations::is_system_schema(&schema))
        && let Some(last) = name.0.pop()
    {
        name.0 = vec![last];
    }
}

fn plain_operator(parts: &[String]) -> Option<BinaryOperator> {
    let (last, rest) = parts.split_last()?;
    if rest.iter().any(|part| part != "pg_catalog") {
        return None;
    }
    Some(match last.as_str() {
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "||" => BinaryOperator::StringConcat,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        _ => return None,
    })
}

/// Collations that order by bytes, as everything here is ordered.
fn bytewise(collation: &ObjectName) -> bool {
    last_part(collation).is_some_and(|name| matches!(name.as_str(), "default" | "C" | "c" | "POSIX" | "posix" | "ucs_basic"))
}

/// Gives relations without a schema the one that they are found in. `find` answers the schema of a name; `None` leaves it.
pub fn qualify(statement: &mut Statement, find: &dyn Fn(&str) -> Option<String>) {
    let mut qualify = Qualify { find, ctes: Vec::new() };
    let _ = VisitMut::visit(statement, &mut qualify);
}

struct Qualify<'a> {
    find: &'a dyn Fn(&str) -> Option<String>,
    ctes: Vec<Vec<String>>,
}

impl VisitorMut for Qualify<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.ctes.push(query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| folded(&cte.alias.name)).collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.ctes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, args: None, .. } = factor else { return ControlFlow::Continue(()) };
        if name.0.len() == 1
            && let Some(last) = last_part(name)
            && !self.ctes.iter().flatten().any(|cte| *cte == last)
            && let Some(schema) = (self.find)(&last)
        {
            name.0.insert(0, ObjectNamePart::Identifier(Ident::with_quote('"', schema)));
        }
        ControlFlow::Continue(())
    }
}

/// Qualifies relations of `pg_catalog`, and reads functions that are views under another name.
pub(super) fn system_names(statement: &mut Statement) {
    qualify(statement, &|name| relations::find("pg_catalog", name).map(|_| "pg_catalog".to_owned()));
    let _ = VisitMut::visit(statement, &mut Views);
}

struct Views;

impl VisitorMut for Views {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let Some(unnest) = unnest(factor) {
            *factor = unnest;
        }
        let TableFactor::Table { name, args, alias, .. } = factor else { return ControlFlow::Continue(()) };
        if args.is_some()
            && let Some(function) = last_part(name)
            && let Some(rows) = rows_of(&function)
        {
            *args = None;
            *name = ObjectName::from(vec![Ident::new("pg_catalog"), Ident::with_quote('"', rows)]);
            if alias.is_none() {
                *alias = Some(TableAlias { explicit: true, name: Ident::new(function), columns: Vec::new(), at: None });
            }
        }
        ControlFlow::Continue(())
    }
}

/// Whether a function of the system answers rows of its own.
pub fn answers_rows(function: &str) -> bool {
    rows_of(function).is_some()
}

/// The relation that holds what a table function of the system answers.
fn rows_of(function: &str) -> Option<String> {
    let name = format!("{function}()");
    relations::find("pg_catalog", &name).map(|_| name)
}

/// `"substring"(x, …)` means what `substring(x, …)` does.
fn substring(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let arguments = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(Box::new(expr.clone())),
        _ => None,
    });
    let mut arguments = arguments.collect::<Option<Vec<_>>>()?.into_iter();
    let shorthand = match last_part(&function.name)?.as_str() {
        "substr" => true,
        "substring" => false,
        _ => return None,
    };
    let (expr, substring_from, substring_for) = (arguments.next()?, arguments.next(), arguments.next());
    let counts = substring_from.is_some() && arguments.next().is_none() && function.name.0.len() == 1;
    counts.then_some(Expr::Substring { expr, substring_from, substring_for, special: true, shorthand })
}

/// `pg_catalog.unnest(x)`, which only without its schema is read as UNNEST.
fn unnest(factor: &TableFactor) -> Option<TableFactor> {
    let TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } = factor else { return None };
    if last_part(name).as_deref() != Some("unnest") {
        return None;
    }
    let array_exprs = args.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    Some(TableFactor::UNNEST {
        alias: alias.clone(),
        array_exprs: array_exprs.collect::<Option<Vec<_>>>()?,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: *with_ordinality,
    })
}
