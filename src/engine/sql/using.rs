//! Columns that `USING` merges, by the table that has their value.
//!
//! The engine takes the value of either table whatever the join, and does not know the merged name in WHERE. Here each unqualified name, and
//! `*`, becomes what PostgreSQL means by it, and so does what a later join compares. What cannot be told without the tables' columns is left
//! until they are known.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExcludeSelectItem, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Join, JoinConstraint,
    JoinOperator, ObjectName, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
    TableWithJoins, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use crate::catalog::folded;

use super::spelling::{call, last};

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
    if !select.from.iter().any(merges_within) {
        return true;
    }
    let told = starred(select, columns);
    let [from] = select.from.as_slice() else {
        return told && select.from.iter_mut().all(|from| compared(from, columns));
    };
    let Some(merged) = known(from, columns) else { return false };
    if merged.is_empty() {
        return told;
    }
    let mut names = Names { merged: &merged, depth: 0 };
    let _ = select.distinct.visit(&mut names);
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
    // Only once nothing asks any more which columns are merged.
    told && select.from.iter_mut().all(|from| compared(from, columns))
}

/// Puts what merged columns mean in the keys of ORDER BY, but where a key is the name of a column of the result.
pub(super) fn ordered(query: &mut Query, columns: Columns<'_>) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let [from] = select.from.as_slice() else { return };
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) else { return };
    if !merges_within(from) {
        return;
    }
    let Some(merged) = known(from, columns) else { return };
    let shown = |name: &Ident| {
        select.projection.iter().any(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => folded(alias) == folded(name),
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => folded(ident) == folded(name),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().is_some_and(|part| folded(part) == folded(name)),
            SelectItem::UnnamedExpr(_) => false,
            _ => true,
        })
    };
    for key in keys {
        if !matches!(&key.expr, Expr::Identifier(name) if shown(name)) {
            let _ = key.expr.visit(&mut Names { merged: &merged, depth: 0 });
        }
    }
}

/// The merged columns of a part of FROM; `None` if what one of an outer join means is not known.
fn known(from: &TableWithJoins, columns: Columns<'_>) -> Option<Vec<Merged>> {
    if natural_within(from) {
        return None;
    }
    let merged = merged(&from.relation, &from.joins, columns);
    merged.iter().all(|column| !column.outer || column.meaning.is_some()).then_some(merged)
}

/// Says by ON what a join compares if the engine would take another value for a column that an outer join before it has merged; whether
/// all of that could be told.
fn compared(from: &mut TableWithJoins, columns_of: Columns<'_>) -> bool {
    // From the last to the first, and from the outside in: what those before have merged is still written in them.
    for number in (0..from.joins.len()).rev() {
        let Some((before, [join, ..])) = from.joins.split_at_checked(number) else { return false };
        let Some((JoinConstraint::Using(columns), _)) = constraint(&join.join_operator) else { continue };
        let (of_left, of_right) = (merged(&from.relation, before, columns_of), within(&join.relation, columns_of));
        let outer = |name: &Ident| [&of_left, &of_right].into_iter().flatten().any(|column| column.outer && column.name == folded(name));
        let Some(names) = columns.iter().map(column_name).collect::<Option<Vec<_>>>() else { return false };
        if !names.iter().any(outer) {
            continue;
        }
        let equal = |name: &Ident| {
            let left = value(&of_left, &from.relation, before, name, columns_of)?;
            let right = value(&of_right, &join.relation, &[], name, columns_of)?;
            Some(Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::Eq, right: Box::new(right) })
        };
        let Some(conditions) = names.iter().map(equal).collect::<Option<Vec<_>>>() else { return false };
        let both = |left, right| Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) };
        if let (Some(condition), Some(join)) = (conditions.into_iter().reduce(both), from.joins.get_mut(number))
            && let Some(constraint) = constraint_mut(&mut join.join_operator)
        {
            *constraint = JoinConstraint::On(condition);
        }
    }
    let mut factors = std::iter::once(&mut from.relation).chain(from.joins.iter_mut().map(|join| &mut join.relation));
    factors.all(|factor| match factor {
        TableFactor::NestedJoin { table_with_joins, alias: None } => compared(table_with_joins, columns_of),
        _ => true,
    })
}

fn column_name(column: &ObjectName) -> Option<Ident> {
    column.0.last().and_then(|part| part.as_ident()).cloned()
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

/// What `*` stands for; `None` if that cannot be told without the tables' columns.
fn all_columns(first: &TableFactor, joins: &[Join], columns_of: Columns<'_>) -> Option<Vec<SelectItem>> {
    Some(parts(first, joins, columns_of)?.into_iter().map(item).collect())
}

/// The merged columns, then the others of each table.
fn parts(first: &TableFactor, joins: &[Join], columns_of: Columns<'_>) -> Option<Vec<Part>> {
    let mut parts = parts_of(first, columns_of)?;
    for (number, join) in joins.iter().enumerate() {
        let mut right = parts_of(&join.relation, columns_of)?;
        let columns = match constraint(&join.join_operator) {
            Some((JoinConstraint::Using(columns), _)) => columns.as_slice(),
            Some((JoinConstraint::Natural, _)) => return None,
            _ => &[],
        };
        let joined = merged(first, joins.get(..=number)?, columns_of);
        let mut together = Vec::new();
        for column in columns {
            let column = column_name(column)?;
            let name = folded(&column);
            let meaning = joined.iter().find(|known| known.name == name)?.meaning.clone()?;
            taken(&mut parts, &column)?;
            taken(&mut right, &column)?;
            together.push(Part::Merged(name, Box::new(meaning)));
        }
        parts = together.into_iter().chain(parts).chain(right).collect();
    }
    Some(parts)
}

fn parts_of(factor: &TableFactor, columns_of: Columns<'_>) -> Option<Vec<Part>> {
    match factor {
        TableFactor::NestedJoin { table_with_joins, alias: None } => parts(&table_with_joins.relation, &table_with_joins.joins, columns_of),
        factor => Some(vec![Part::Table(qualifier(factor)?, Vec::new(), columns_of(factor))]),
    }
}

/// Leaves a column out; `None` if it is not known which of the parts has it.
fn taken(parts: &mut Vec<Part>, column: &Ident) -> Option<()> {
    let name = folded(column);
    if let Some(at) = parts.iter().position(|part| matches!(part, Part::Merged(known, _) if *known == name)) {
        parts.remove(at);
        return Some(());
    }
    let having = |part: &Part| match part {
        Part::Table(_, _, Some(columns)) => Some(columns.contains(&name)),
        Part::Table(_, _, None) => None,
        Part::Merged(..) => Some(false),
    };
    let at = match parts.as_slice() {
        [_] => 0,
        parts => parts.iter().map(having).collect::<Option<Vec<bool>>>()?.into_iter().position(|has| has)?,
    };
    if let Some(Part::Table(_, excluded, _)) = parts.get_mut(at) {
        excluded.push(column.clone());
    }
    Some(())
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

/// The columns that the joins of a part of FROM merge.
fn merged(first: &TableFactor, joins: &[Join], columns_of: Columns<'_>) -> Vec<Merged> {
    let mut merged = within(first, columns_of);
    for (number, join) in joins.iter().enumerate() {
        let of_right = within(&join.relation, columns_of);
        let mut together = Vec::new();
        if let Some((JoinConstraint::Using(columns), side)) = constraint(&join.join_operator) {
            for ident in columns.iter().filter_map(column_name) {
                let outer = [&merged, &of_right].into_iter().flatten().any(|column| column.outer && column.name == folded(&ident));
                let left = joins.get(..number).and_then(|before| value(&merged, first, before, &ident, columns_of));
                let right = value(&of_right, &join.relation, &[], &ident, columns_of);
                let meaning = match (left, right, side) {
                    (left, _, Side::Left) => left,
                    (_, right, Side::Right) => right,
                    (Some(left), Some(right), Side::Both) => Some(either(left, right)),
                    (_, _, Side::Both) => None,
                };
                together.push(Merged { name: folded(&ident), meaning, outer: outer || side != Side::Left });
            }
        }
        merged.extend(of_right);
        merged.retain(|column| together.iter().all(|other| other.name != column.name));
        merged.extend(together);
    }
    merged
}

/// The first of two values that is known; a list of several of them stays one list.
fn either(left: Expr, right: Expr) -> Expr {
    match left {
        Expr::Function(mut known) if last(&known.name) == "coalesce" => {
            if let FunctionArguments::List(list) = &mut known.args {
                list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(right)));
            }
            Expr::Function(known)
        }
        left => call("coalesce", vec![left, right]),
    }
}

/// The columns that a join in parentheses merges.
fn within(factor: &TableFactor, columns_of: Columns<'_>) -> Vec<Merged> {
    match factor {
        TableFactor::NestedJoin { table_with_joins, alias: None } => {
            merged(&table_with_joins.relation, &table_with_joins.joins, columns_of)
        }
        _ => Vec::new(),
    }
}

/// What a column of a part of FROM is that merges these; `None` if any of several tables may have it.
fn value(merged: &[Merged], first: &TableFactor, joins: &[Join], name: &Ident, columns_of: Columns<'_>) -> Option<Expr> {
    match merged.iter().find(|column| column.name == folded(name)) {
        Some(column) => column.meaning.clone(),
        None => own(first, joins, name, columns_of),
    }
}

/// What a column of a part of FROM is that nothing in it merges.
fn own(first: &TableFactor, joins: &[Join], name: &Ident, columns_of: Columns<'_>) -> Option<Expr> {
    match (first, joins) {
        (TableFactor::NestedJoin { table_with_joins, alias: None }, []) => {
            own(&table_with_joins.relation, &table_with_joins.joins, name, columns_of)
        }
        (first, []) => alias(first).map(|alias| Expr::CompoundIdentifier(vec![alias, name.clone()])),
        (first, joins) => {
            let factors = std::iter::once(first).chain(joins.iter().map(|join| &join.relation));
            let having = factors.map(|factor| Some((factor, columns_of(factor)?.contains(&folded(name))))).collect::<Option<Vec<_>>>()?;
            match having.into_iter().filter(|(_, has)| *has).collect::<Vec<_>>().as_slice() {
                [(factor, _)] => own(factor, &[], name, columns_of),
                _ => None,
            }
        }
    }
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
fn takes_side(join: &Join) -> bool {
    let inner = matches!(join.join_operator, JoinOperator::Join(_) | JoinOperator::Inner(_));
    merges(join) && !inner
}

/// Whether it merges columns.
fn merges(join: &Join) -> bool {
    matches!(constraint(&join.join_operator), Some((JoinConstraint::Natural | JoinConstraint::Using(_), _)))
}

/// Whether any of a part of FROM's joins merges columns, those in parentheses, too.
pub(super) fn merges_within(from: &TableWithJoins) -> bool {
    any_join(from, &merges)
}

/// Whether any of them is a NATURAL join.
fn natural_within(from: &TableWithJoins) -> bool {
    any_join(from, &natural)
}

/// Whether any of them is an outer join that merges columns.
pub(super) fn takes_side_within(from: &TableWithJoins) -> bool {
    any_join(from, &takes_side)
}

fn any_join(from: &TableWithJoins, wanted: &dyn Fn(&Join) -> bool) -> bool {
    let mut factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    let inside = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, alias: None } => any_join(table_with_joins, wanted),
        _ => false,
    };
    from.joins.iter().any(wanted) || factors.any(inside)
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
pub(super) fn alias(factor: &TableFactor) -> Option<Ident> {
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
    fn a_later_join_compares_what_is_merged() {
        for (sql, expected) in [
            (
                "SELECT x FROM a FULL JOIN b USING (x) FULL JOIN c USING (x)",
                "SELECT coalesce(a.x, b.x, c.x) AS x FROM a FULL JOIN b USING(x) FULL JOIN c ON coalesce(a.x, b.x) = c.x",
            ),
            (
                "SELECT x FROM a RIGHT JOIN b USING (x) JOIN c USING (x) LEFT JOIN f USING (x)",
                "SELECT b.x AS x FROM a RIGHT JOIN b USING(x) JOIN c ON b.x = c.x LEFT JOIN f ON b.x = f.x",
            ),
            (
                "SELECT * FROM a LEFT JOIN (b FULL JOIN c USING (x)) USING (x)",
                "SELECT a.x AS \"x\", a.* EXCLUDE (x), b.* EXCLUDE (x), c.* EXCLUDE (x) \
                 FROM a LEFT JOIN (b FULL JOIN c USING(x)) ON a.x = coalesce(b.x, c.x)",
            ),
            ("SELECT 1 FROM a LEFT JOIN b USING (x) JOIN c USING (x)", "SELECT 1 FROM a LEFT JOIN b USING(x) JOIN c USING(x)"),
        ] {
            assert_eq!(resolved(sql).unwrap(), expected);
        }
    }

    #[test]
    fn keys_of_the_order_are_merged_columns_or_those_of_the_result() {
        let order = |sql: &str| {
            let Statement::Query(mut query) = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0) else { panic!("no query") };
            ordered(&mut query, &|_| None);
            query.order_by.unwrap().to_string()
        };
        assert_eq!(order("SELECT y FROM a RIGHT JOIN b USING (x) ORDER BY x, -x"), "ORDER BY b.x, -b.x");
        assert_eq!(order("SELECT x, y FROM a RIGHT JOIN b USING (x) ORDER BY x, x + 1"), "ORDER BY x, b.x + 1");
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
    fn what_cannot_be_told_is_left() {
        assert_eq!(resolved("SELECT * FROM a JOIN c ON true JOIN b USING (x)"), None);
        assert_eq!(resolved("SELECT x FROM a JOIN c ON true FULL JOIN b USING (x)"), None);
        let left = "SELECT x FROM a JOIN c ON true JOIN b USING(x)";
        assert_eq!(resolved(left).unwrap(), left);
    }
}
