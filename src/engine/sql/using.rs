//! Columns that `USING` merges, by the table that has their value.
//!
//! The engine takes the value of either table whatever the join, and does not know the merged name in WHERE. Here each unqualified name, and
//! `*`, becomes what PostgreSQL means by it. What cannot be told without the tables' columns is left until they are known.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExcludeSelectItem, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, TableFactor, TableWithJoins, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use crate::catalog::folded;

use super::spelling::call;

/// A merged column: its name, and what stands for it if that is known.
struct Merged {
    name: String,
    meaning: Option<Expr>,
    /// The left table's value is not always the column's.
    outer: bool,
}

/// The columns of a part of FROM, if they are known.
pub(super) type Columns<'a> = &'a dyn Fn(&TableFactor) -> Option<Vec<String>>;

/// Puts what merged columns mean in the place of their names; whether all of it could be told.
pub(super) fn resolve(select: &mut Select, columns: Columns<'_>) -> bool {
    if !select.from.iter().flat_map(|from| &from.joins).any(merges) {
        return true;
    }
    let told = starred(select, columns);
    let [from] = select.from.as_slice() else { return told };
    if from.joins.iter().any(natural) {
        return false;
    }
    let merged = merged(&from.relation, &from.joins, columns);
    if merged.is_empty() {
        return told;
    }
    if merged.iter().any(|column| column.outer && column.meaning.is_none()) {
        return false;
    }
    let conditions: Vec<Option<Expr>> = (0..from.joins.len()).map(|number| condition(from, number, columns)).collect();
    let mut names = Names { merged: &merged, depth: 0 };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(ident)) = item
            && let Some(meaning) = names.meaning(ident)
        {
            *item = SelectItem::ExprWithAlias { expr: meaning, alias: ident.clone() };
            continue;
        }
        let _ = item.visit(&mut names);
    }
    let _ = select.selection.visit(&mut names);
    let _ = select.having.visit(&mut names);
    let _ = select.named_window.visit(&mut names);
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        let _ = keys.visit(&mut names);
    }
    for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
        if let Some(JoinConstraint::On(condition)) = constraint_mut(&mut join.join_operator) {
            let _ = condition.visit(&mut names);
        }
    }
    if told {
        let joins = select.from.iter_mut().flat_map(|from| &mut from.joins);
        for (join, condition) in joins.zip(conditions) {
            if let (Some(condition), Some(constraint)) = (condition, constraint_mut(&mut join.join_operator)) {
                *constraint = JoinConstraint::On(condition);
            }
        }
    }
    told
}

/// What a join with USING compares, if a column of its left side is merged of an outer join: the planner compares the column of one of its tables.
fn condition(from: &TableWithJoins, number: usize, columns_of: Columns<'_>) -> Option<Expr> {
    let (join, before) = (from.joins.get(number)?, from.joins.get(..number)?);
    let Some((JoinConstraint::Using(columns), _)) = constraint(&join.join_operator) else { return None };
    let known = merged(&from.relation, before, columns_of);
    let right = alias(&join.relation)?;
    let (mut all, mut apart) = (None, false);
    for column in columns {
        let ident = column.0.last().and_then(|part| part.as_ident())?;
        let left = match known.iter().find(|known| known.name == folded(ident)) {
            Some(column) => {
                apart |= column.outer;
                column.meaning.clone()?
            }
            None => sole(&from.relation, before, ident, columns_of)?,
        };
        let right = Expr::CompoundIdentifier(vec![right.clone(), ident.clone()]);
        let same = Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::Eq, right: Box::new(right) };
        all = Some(match all {
            Some(all) => Expr::BinaryOp { left: Box::new(all), op: BinaryOperator::And, right: Box::new(same) },
            None => same,
        });
    }
    all.filter(|_| apart)
}

/// The column of that name of the only table before a join that has it.
fn sole(first: &TableFactor, before: &[Join], name: &Ident, columns_of: Columns<'_>) -> Option<Expr> {
    let of = |factor: &TableFactor| alias(factor).map(|alias| Expr::CompoundIdentifier(vec![alias, name.clone()]));
    if before.is_empty() {
        return of(first);
    }
    let tables = std::iter::once(first).chain(before.iter().map(|join| &join.relation));
    let having = tables.map(|factor| Some((factor, columns_of(factor)?.contains(&folded(name))))).collect::<Option<Vec<_>>>()?;
    match having.into_iter().filter(|(_, has)| *has).collect::<Vec<_>>().as_slice() {
        [(factor, _)] => of(factor),
        _ => None,
    }
}

/// Puts what `*` stands for in its place; whether it could be told.
fn starred(select: &mut Select, columns: Columns<'_>) -> bool {
    let star = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_));
    if !select.projection.iter().any(star) {
        return true;
    }
    let all = select.from.iter().map(|from| all_columns(&from.relation, &from.joins, columns)).collect::<Option<Vec<_>>>();
    let Some(all) = all else { return false };
    let meant = |item: SelectItem| if star(&item) { all.iter().flatten().cloned().collect() } else { vec![item] };
    select.projection = std::mem::take(&mut select.projection).into_iter().flat_map(meant).collect();
    true
}

/// A part of what `*` stands for.
enum Part {
    Merged(String, Box<Expr>),
    /// A table's columns but some; and all of them, if they are known.
    Table(ObjectName, Vec<Ident>, Option<Vec<String>>),
}

/// What `*` stands for: the merged columns, then the others of each table; `None` if that cannot be told without the tables' columns.
fn all_columns(first: &TableFactor, joins: &[Join], columns_of: Columns<'_>) -> Option<Vec<SelectItem>> {
    let mut parts = vec![Part::Table(qualifier(first)?, Vec::new(), columns_of(first))];
    for (number, join) in joins.iter().enumerate() {
        let table = qualifier(&join.relation)?;
        let columns = match constraint(&join.join_operator) {
            Some((JoinConstraint::Using(columns), _)) => columns.as_slice(),
            Some((JoinConstraint::Natural, _)) => return None,
            _ => &[],
        };
        let columns = columns.iter().map(|column| column.0.last().and_then(|part| part.as_ident()).cloned()).collect::<Option<Vec<_>>>()?;
        let joined = merged(first, joins.get(..=number)?, columns_of);
        let mut together = Vec::new();
        for column in &columns {
            let name = folded(column);
            let meaning = joined.iter().find(|known| known.name == name)?.meaning.clone()?;
            let known = parts.iter().position(|part| matches!(part, Part::Merged(known, _) if *known == name));
            match (known, parts.as_mut_slice()) {
                (Some(at), _) => drop(parts.remove(at)),
                (None, [Part::Table(_, excluded, _)]) => excluded.push(column.clone()),
                (None, parts) => {
                    let has = |part: &Part| match part {
                        Part::Table(_, _, Some(columns)) => Some(columns.contains(&name)),
                        Part::Table(_, _, None) => None,
                        Part::Merged(..) => Some(false),
                    };
                    let having = parts.iter().map(has).collect::<Option<Vec<bool>>>()?;
                    let at = having.iter().position(|has| *has)?;
                    if let Some(Part::Table(_, excluded, _)) = parts.get_mut(at) {
                        excluded.push(column.clone());
                    }
                }
            }
            together.push(Part::Merged(name, Box::new(meaning)));
        }
        parts = together.into_iter().chain(parts).chain([Part::Table(table, columns, columns_of(&join.relation))]).collect();
    }
    Some(parts.into_iter().map(item).collect())
}

fn item(part: Part) -> SelectItem {
    match part {
        Part::Merged(name, expr) => SelectItem::ExprWithAlias { expr: *expr, alias: Ident::with_quote('"', name) },
        Part::Table(table, excluded, _) => {
            let table = SelectItemQualifiedWildcardKind::ObjectName(table);
            let excluded = (!excluded.is_empty())
                .then(|| ExcludeSelectItem::Multiple(excluded.into_iter().map(|name| ObjectName::from(vec![name])).collect()));
            SelectItem::QualifiedWildcard(
                table,
                WildcardAdditionalOptions { opt_exclude: excluded, ..WildcardAdditionalOptions::default() },
            )
        }
    }
}

fn merged(first: &TableFactor, joins: &[Join], columns_of: Columns<'_>) -> Vec<Merged> {
    let mut merged: Vec<Merged> = Vec::new();
    for (number, join) in joins.iter().enumerate() {
        let Some((JoinConstraint::Using(columns), side)) = constraint(&join.join_operator) else { continue };
        for column in columns {
            let Some(ident) = column.0.last().and_then(|part| part.as_ident()) else { continue };
            let name = folded(ident);
            let of = |factor: &TableFactor| alias(factor).map(|alias| Expr::CompoundIdentifier(vec![alias, ident.clone()]));
            let known = merged.iter().position(|column| column.name == name).map(|at| merged.swap_remove(at));
            let outer = known.as_ref().is_some_and(|column| column.outer) || side != Side::Left;
            let left = match known {
                Some(column) => column.meaning,
                None => sole(first, joins.get(..number).unwrap_or_default(), ident, columns_of),
            };
            let meaning = match (left, of(&join.relation), side) {
                (left, _, Side::Left) => left,
                (_, right, Side::Right) => right,
                (Some(left), Some(right), Side::Both) => Some(call("coalesce", vec![left, right])),
                (_, _, Side::Both) => None,
            };
            merged.push(Merged { name, meaning, outer });
        }
    }
    merged
}

/// Whose value a merged column has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
    Both,
}

/// The columns that a join merges by USING, or none; `None` of a NATURAL one.
pub(super) fn merged_names(join: &Join) -> Option<Vec<String>> {
    match constraint(&join.join_operator) {
        Some((JoinConstraint::Using(columns), _)) => {
            Some(columns.iter().filter_map(|column| column.0.last().and_then(|part| part.as_ident()).map(folded)).collect())
        }
        Some((JoinConstraint::Natural, _)) => None,
        _ => Some(Vec::new()),
    }
}

/// Whether it is a NATURAL join.
pub(super) fn natural(join: &Join) -> bool {
    matches!(constraint(&join.join_operator), Some((JoinConstraint::Natural, _)))
}

/// Whether it is an outer join that merges columns.
pub(super) fn takes_side(join: &Join) -> bool {
    let inner = matches!(join.join_operator, JoinOperator::Join(_) | JoinOperator::Inner(_));
    merges(join) && !inner
}

/// Whether it merges columns.
pub(super) fn merges(join: &Join) -> bool {
    matches!(constraint(&join.join_operator), Some((JoinConstraint::Natural | JoinConstraint::Using(_), _)))
}

/// What a join is of, where it says so, and whose values its merged columns have.
pub(super) fn constraint(operator: &JoinOperator) -> Option<(&JoinConstraint, Side)> {
    Some(match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint) => (constraint, Side::Left),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (constraint, Side::Right),
        JoinOperator::FullOuter(constraint) => (constraint, Side::Both),
        _ => return None,
    })
}

/// What a join is of, to be changed.
pub(super) fn constraint_mut(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => Some(constraint),
        _ => None,
    }
}

/// What stands before `.*`: an alias, or the table's whole name.
pub(super) fn qualifier(factor: &TableFactor) -> Option<ObjectName> {
    match factor {
        TableFactor::Table { name, alias: None, .. } => Some(name.clone()),
        factor => alias(factor).map(|alias| ObjectName::from(vec![alias])),
    }
}

/// The name by which a table's columns are qualified.
fn alias(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.clone()),
            None => name.0.last().and_then(|part| part.as_ident()).cloned(),
        },
        TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } | TableFactor::NestedJoin { alias, .. } => {
            alias.as_ref().map(|alias| alias.name.clone())
        }
        _ => None,
    }
}

struct Names<'a> {
    merged: &'a [Merged],
    /// Subqueries around the place; their names are their own.
    depth: usize,
}

impl Names<'_> {
    fn meaning(&self, ident: &Ident) -> Option<Expr> {
        let name = folded(ident);
        self.merged.iter().find(|column| column.name == name)?.meaning.clone()
    }
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Identifier(ident) = &*expr
            && let Some(meaning) = self.meaning(ident)
        {
            *expr = meaning;
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::{SetExpr, Statement};
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn resolved(sql: &str) -> Option<String> {
        let Statement::Query(mut query) = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0) else { panic!("no query") };
        let SetExpr::Select(select) = query.body.as_mut() else { panic!("no select") };
        let known = |factor: &TableFactor| match alias(factor)?.value.as_str() {
            "d" => Some(vec!["p".to_owned()]),
            "e" => Some(vec!["q".to_owned(), "x".to_owned()]),
            _ => None,
        };
        resolve(select, &known).then(|| query.to_string())
    }

    #[test]
    fn a_merged_column_is_that_of_the_side_that_always_has_it() {
        for (sql, expected) in [
            ("SELECT x FROM a JOIN b USING (x) WHERE x > 1", "SELECT a.x AS x FROM a JOIN b USING(x) WHERE a.x > 1"),
            ("SELECT x FROM a RIGHT JOIN b USING (x)", "SELECT b.x AS x FROM a RIGHT JOIN b USING(x)"),
            ("SELECT x + 1 FROM a FULL JOIN s.b USING (x)", "SELECT coalesce(a.x, b.x) + 1 FROM a FULL JOIN s.b USING(x)"),
            ("SELECT X FROM a p JOIN b USING (x) JOIN c USING (x)", "SELECT p.x AS X FROM a p JOIN b USING(x) JOIN c USING(x)"),
            ("SELECT x, (SELECT x FROM c) FROM a JOIN b USING (x)", "SELECT a.x AS x, (SELECT x FROM c) FROM a JOIN b USING(x)"),
        ] {
            assert_eq!(resolved(sql).unwrap(), expected);
        }
    }

    #[test]
    fn a_star_is_the_merged_columns_and_the_others() {
        for (sql, expected) in [
            ("SELECT * FROM b LEFT JOIN a USING (x)", "SELECT b.x AS \"x\", b.* EXCLUDE (x), a.* EXCLUDE (x) FROM"),
            ("SELECT * FROM d JOIN e ON true LEFT JOIN b USING (x)", "SELECT e.x AS \"x\", d.*, e.* EXCLUDE (x), b.* EXCLUDE (x) FROM"),
            ("SELECT * FROM a FULL JOIN b USING (x)", "SELECT coalesce(a.x, b.x) AS \"x\", a.* EXCLUDE (x), b.* EXCLUDE (x) FROM"),
            (
                "SELECT *, 1 FROM a RIGHT JOIN b USING (x, y)",
                "SELECT b.x AS \"x\", b.y AS \"y\", a.* EXCLUDE (x, y), b.* EXCLUDE (x, y), 1 FROM",
            ),
        ] {
            assert!(resolved(sql).unwrap().starts_with(expected), "{}", resolved(sql).unwrap());
        }
    }

    #[test]
    fn a_merged_column_of_an_outer_join_is_compared_as_such() {
        for (sql, expected) in [
            (
                "SELECT 1 FROM a FULL JOIN b USING (x) LEFT JOIN c USING (x)",
                "SELECT 1 FROM a FULL JOIN b USING(x) LEFT JOIN c ON coalesce(a.x, b.x) = c.x",
            ),
            ("SELECT x FROM a RIGHT JOIN b USING (x) JOIN c USING (x)", "SELECT b.x AS x FROM a RIGHT JOIN b USING(x) JOIN c ON b.x = c.x"),
            ("SELECT 1 FROM a JOIN b USING (x) LEFT JOIN c USING (x)", "SELECT 1 FROM a JOIN b USING(x) LEFT JOIN c USING(x)"),
        ] {
            assert_eq!(resolved(sql).unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_told_is_left() {
        assert_eq!(resolved("SELECT * FROM a JOIN c ON true JOIN b USING (x)"), None);
        assert_eq!(resolved("SELECT x FROM a JOIN c ON true FULL JOIN b USING (x)"), None);
        let left = "SELECT x FROM a JOIN c ON true JOIN b USING(x)";
        assert_eq!(resolved(left).unwrap(), left);
    }
}
