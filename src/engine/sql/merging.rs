//! Joins that merge columns, once the columns of their tables are known: NATURAL joins as joins with USING, and what `*` stands for.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Ast;
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, Join, JoinConstraint, ObjectName, Query as SqlQuery, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use crate::catalog::folded;
use crate::error::ClientMessage;

use super::Query;
use super::spelling::{Flow, refuse};
use super::using::{self, constraint_mut};

/// The columns of a table by its schema and name.
type Columns<'a> = &'a dyn Fn(Option<&str>, &str) -> Option<Vec<String>>;

/// The statement in which such joins are told apart from others; `None` if it has none.
pub(in crate::engine) fn resolved(query: &Query, columns: Columns<'_>) -> Result<Option<Ast>, ClientMessage> {
    let has = |word: &[u8]| query.text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    if !has(b"natural") && !has(b"using") {
        return Ok(None);
    }
    let Ast::Statement(statement) = query.ast.as_ref() else { return Ok(None) };
    let mut statement = statement.clone();
    let mut merging = Merging { columns, defined: Vec::new(), found: false };
    match statement.visit(&mut merging) {
        ControlFlow::Break(refusal) => Err(*refusal),
        ControlFlow::Continue(()) => Ok(merging.found.then_some(Ast::Statement(statement))),
    }
}

/// The columns of a part of FROM, as far as they are known.
pub(super) fn columns(factor: &TableFactor, columns: Columns<'_>) -> Option<Vec<String>> {
    Merging { columns, defined: Vec::new(), found: false }.of_factor(factor)
}

struct Merging<'a> {
    columns: Columns<'a>,
    /// What WITH defines, with the columns as far as they are known.
    defined: Vec<(String, Option<Vec<String>>)>,
    found: bool,
}

impl VisitorMut for Merging<'_> {
    type Break = Box<ClientMessage>;

    fn pre_visit_query(&mut self, query: &mut SqlQuery) -> Flow {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            let columns = self.of_query(&table.query).map(|columns| renamed(columns, Some(&table.alias)));
            self.defined.push((folded(&table.alias.name), columns));
        }
        if let SetExpr::Select(select) = query.body.as_mut() {
            // What cannot be named is refused where the joins are looked at.
            let _named = select.from.iter_mut().all(|from| self.named(from).is_some());
        }
        using::ordered(query, &|factor| self.of_factor(factor));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> Flow {
        if !select.from.iter().any(using::merges_within) {
            return ControlFlow::Continue(());
        }
        self.found = true;
        for from in &mut select.from {
            if self.named(from).is_none() {
                return refuse("this NATURAL JOIN is not supported; write USING");
            }
        }
        let told = using::resolve(select, &|factor| self.of_factor(factor));
        // The columns of an inner join are alike on both sides.
        if told || !select.from.iter().any(using::takes_side_within) {
            ControlFlow::Continue(())
        } else {
            refuse("all columns of this outer join with USING are not supported; name them")
        }
    }
}

impl Merging<'_> {
    /// Names the columns that its NATURAL joins merge; `None` if they are not known, or there are none.
    fn named(&self, from: &mut TableWithJoins) -> Option<()> {
        for factor in std::iter::once(&mut from.relation).chain(from.joins.iter_mut().map(|join| &mut join.relation)) {
            if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
                self.named(table_with_joins)?;
            }
        }
        if !from.joins.iter().any(using::natural) {
            return Some(());
        }
        let mut left = self.of_factor(&from.relation)?;
        for join in &mut from.joins {
            let right = self.of_factor(&join.relation)?;
            if let Some(constraint) = constraint_mut(&mut join.join_operator)
                && matches!(constraint, JoinConstraint::Natural)
            {
                let shared: Vec<&String> = left.iter().filter(|name| right.contains(name)).collect();
                if shared.is_empty() {
                    return None;
                }
                let name = |name: &String| ObjectName::from(vec![Ident::with_quote('"', name.clone())]);
                *constraint = JoinConstraint::Using(shared.into_iter().map(name).collect());
            }
            left = together(left, right, join);
        }
        Some(())
    }

    fn of_from(&self, from: &TableWithJoins) -> Option<Vec<String>> {
        let mut left = self.of_factor(&from.relation)?;
        for join in &from.joins {
            left = together(left, self.of_factor(&join.relation)?, join);
        }
        Some(left)
    }

    fn of_factor(&self, factor: &TableFactor) -> Option<Vec<String>> {
        match factor {
            TableFactor::Table { name: ObjectName(parts), alias, args: None, .. } => {
                let mut parts = parts.iter().rev().map(|part| part.as_ident().map(folded));
                let (name, schema) = (parts.next()??, parts.next().flatten());
                let defined = self.defined.iter().rev().find(|(defined, _)| schema.is_none() && *defined == name);
                let columns = match defined {
                    Some((_, columns)) => columns.clone(),
                    None => (self.columns)(schema.as_deref(), &name),
                };
                Some(renamed(columns?, alias.as_ref()))
            }
            TableFactor::Derived { subquery, alias, .. } => Some(renamed(self.of_query(subquery)?, alias.as_ref())),
            TableFactor::NestedJoin { table_with_joins, alias } => Some(renamed(self.of_from(table_with_joins)?, alias.as_ref())),
            _ => None,
        }
    }

    fn of_query(&self, query: &SqlQuery) -> Option<Vec<String>> {
        self.of_body(&query.body)
    }

    fn of_body(&self, body: &SetExpr) -> Option<Vec<String>> {
        match body {
            SetExpr::Select(select) => {
                let mut names = Vec::new();
                for item in &select.projection {
                    match item {
                        SelectItem::ExprWithAlias { alias, .. } => names.push(folded(alias)),
                        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => names.push(folded(ident)),
                        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => names.push(folded(parts.last()?)),
                        SelectItem::Wildcard(options) => {
                            for from in &select.from {
                                names.extend(without(self.of_from(from)?, options)?);
                            }
                        }
                        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                            let mut factors = select
                                .from
                                .iter()
                                .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
                            let named = |factor: &&TableFactor| using::qualifier(factor).is_some_and(|known| known == *name);
                            names.extend(without(self.of_factor(factors.find(named)?)?, options)?);
                        }
                        _ => return None,
                    }
                }
                Some(names)
            }
            SetExpr::Query(query) => self.of_query(query),
            SetExpr::SetOperation { left, .. } => self.of_body(left),
            SetExpr::Values(values) => Some((1..=values.rows.first()?.content.len()).map(|at| format!("column{at}")).collect()),
            _ => None,
        }
    }
}

/// The columns of a join: those that it merges, then the others of either side.
fn together(left: Vec<String>, right: Vec<String>, join: &Join) -> Vec<String> {
    let merged: Vec<String> =
        using::merged_names(join).unwrap_or_else(|| left.iter().filter(|name| right.contains(name)).cloned().collect());
    let others = left.into_iter().chain(right).filter(|name| !merged.contains(name)).collect::<Vec<_>>();
    merged.iter().cloned().chain(others).collect()
}

/// The columns but those that EXCLUDE names.
fn without(columns: Vec<String>, options: &WildcardAdditionalOptions) -> Option<Vec<String>> {
    let excluded: Vec<String> = match &options.opt_exclude {
        None => return Some(columns),
        Some(ExcludeSelectItem::Single(name)) => vec![name.0.last()?.as_ident().map(folded)?],
        Some(ExcludeSelectItem::Multiple(names)) => {
            names.iter().map(|name| name.0.last()?.as_ident().map(folded)).collect::<Option<_>>()?
        }
    };
    Some(columns.into_iter().filter(|column| !excluded.contains(column)).collect())
}

/// The columns with the names that an alias gives them.
fn renamed(columns: Vec<String>, alias: Option<&TableAlias>) -> Vec<String> {
    let given: Vec<String> = alias.iter().flat_map(|alias| &alias.columns).map(|column| folded(&column.name)).collect();
    let others = columns.into_iter().skip(given.len()).collect::<Vec<_>>();
    given.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn spelled(sql: &str) -> Result<String, String> {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        let ast = Arc::new(Ast::Statement(Box::new(statement)));
        let query = Query { ast, catalog: None, modifiers: Default::default(), text: sql.to_owned(), offset: None };
        let columns = |_: Option<&str>, name: &str| match name {
            "a" => Some(vec!["x".to_owned(), "p".to_owned()]),
            "b" => Some(vec!["q".to_owned(), "x".to_owned()]),
            _ => None,
        };
        match resolved(&query, &columns).map_err(|refusal| refusal.message)? {
            Some(Ast::Statement(statement)) => Ok(statement.to_string()),
            _ => Ok(sql.to_owned()),
        }
    }

    #[test]
    fn the_columns_that_both_have_are_merged() {
        for (sql, expected) in [
            ("SELECT x FROM a NATURAL RIGHT JOIN b", "SELECT b.\"x\" AS x FROM a RIGHT JOIN b USING(\"x\")"),
            (
                "SELECT x FROM a AS t(x, y) NATURAL FULL JOIN s.b",
                "SELECT coalesce(t.\"x\", b.\"x\") AS x FROM a AS t (x, y) FULL JOIN s.b USING(\"x\")",
            ),
            (
                "SELECT * FROM b NATURAL LEFT JOIN a",
                "SELECT b.\"x\" AS \"x\", b.* EXCLUDE (\"x\"), a.* EXCLUDE (\"x\") FROM b LEFT JOIN a USING(\"x\")",
            ),
            ("SELECT q FROM a CROSS JOIN b", "SELECT q FROM a CROSS JOIN b"),
        ] {
            assert_eq!(spelled(sql).unwrap(), expected);
        }
        let sql = "WITH c AS (SELECT 1 AS p, * FROM b) SELECT p FROM a NATURAL FULL JOIN c";
        assert!(spelled(sql).unwrap().ends_with("FULL JOIN c USING(\"x\", \"p\")"), "{}", spelled(sql).unwrap());
    }

    #[test]
    fn columns_are_known_through_subqueries() {
        let inner = "(SELECT * FROM a LEFT JOIN b USING (x)) AS s";
        let spelled = spelled(&format!("SELECT * FROM {inner} LEFT JOIN b USING (q)")).unwrap();
        assert!(spelled.starts_with("SELECT s.q AS \"q\", s.* EXCLUDE (q), b.* EXCLUDE (q) FROM (SELECT a.x AS \"x\", a.*"), "{spelled}");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for sql in [
            "SELECT 1 FROM a NATURAL FULL JOIN unknown",
            "SELECT 1 FROM a NATURAL JOIN (SELECT 1 AS z) AS t",
            "SELECT * FROM a JOIN f(1) ON true LEFT JOIN b USING (x)",
        ] {
            assert!(spelled(sql).is_err());
        }
    }
}
