//! ROLLUP, CUBE and GROUPING SETS among the sets of GROUPING SETS, as the sets that they stand for.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, Statement, Value,
    VisitMut, VisitorMut,
};

use crate::error::{ClientMessage, SqlState};

use super::spelling::{Flow, last};

/// PostgreSQL's largest number of sets of one query, and of members of a CUBE.
const SETS_MAX: usize = 4096;
const CUBE_MAX: usize = 12;

/// Puts the sets in the place of what stands for them, in all of a statement.
pub(super) fn flatten(statement: &mut Statement) -> Flow {
    statement.visit(&mut Sets)
}

struct Sets;

impl VisitorMut for Sets {
    type Break = Box<ClientMessage>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        if let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), &mut query.order_by)
            && let OrderByKind::Expressions(keys) = &mut order.kind
        {
            for key in keys {
                if let Some(place) = place_of(&key.expr, &select.projection) {
                    key.expr = Expr::Value(Value::Number(place.to_string(), false).with_empty_span());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            for key in keys {
                if let Expr::GroupingSets(sets) = key {
                    flattened(sets)?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// The number of the column that `grouping(…)` is, which the engine would make a second one of.
fn place_of(key: &Expr, projection: &[SelectItem]) -> Option<usize> {
    matches!(key, Expr::Function(function) if last(&function.name) == "grouping").then_some(())?;
    for (place, item) in (1..).zip(projection) {
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } if expr == key => return Some(place),
            SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => {}
            _ => return None,
        }
    }
    None
}

/// Puts the sets in the place of what stands for them.
fn flattened(sets: &mut Vec<Vec<Expr>>) -> Flow {
    if !sets.iter().any(|set| matches!(set.as_slice(), [one] if members(one).is_some())) {
        return ControlFlow::Continue(());
    }
    let mut flat = Vec::new();
    for set in std::mem::take(sets) {
        match set.as_slice() {
            [one] => flat.extend(meant(one)?),
            _ => flat.push(set),
        }
        if flat.len() > SETS_MAX {
            return too_many("too many grouping sets present (maximum 4096)");
        }
    }
    *sets = flat;
    ControlFlow::Continue(())
}

fn too_many(text: &str) -> Flow {
    ControlFlow::Break(Box::new(ClientMessage::new(SqlState::STATEMENT_TOO_COMPLEX, text)))
}

/// What a member stands for.
enum Members {
    /// Each with those before it, and none of them.
    Rollup(Vec<Vec<Expr>>),
    /// Every choice of them.
    Cube(Vec<Vec<Expr>>),
    /// These.
    Sets(Vec<Vec<Expr>>),
}

fn members(expr: &Expr) -> Option<Members> {
    match expr {
        Expr::Rollup(members) => Some(Members::Rollup(members.clone())),
        Expr::Cube(members) => Some(Members::Cube(members.clone())),
        Expr::GroupingSets(sets) => Some(Members::Sets(sets.clone())),
        Expr::Function(function) => {
            let FunctionArguments::List(list) = &function.args else { return None };
            let keys = list.args.iter().map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(keys))) => Some(keys.clone()),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Nested(key))) => Some(vec![key.as_ref().clone()]),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(key)) => Some(vec![key.clone()]),
                _ => None,
            });
            match last(&function.name).as_str() {
                "rollup" => keys.collect::<Option<_>>().map(Members::Rollup),
                "cube" => keys.collect::<Option<_>>().map(Members::Cube),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The sets that a member of GROUPING SETS stands for.
fn meant(expr: &Expr) -> ControlFlow<Box<ClientMessage>, Vec<Vec<Expr>>> {
    ControlFlow::Continue(match members(expr) {
        None => vec![vec![expr.clone()]],
        Some(Members::Rollup(members)) => {
            (0..=members.len()).rev().map(|count| members.iter().take(count).flatten().cloned().collect()).collect()
        }
        Some(Members::Cube(members)) => {
            if members.len() > CUBE_MAX {
                too_many("CUBE is limited to 12 elements")?;
            }
            let chosen =
                |choice: u32| members.iter().enumerate().filter(move |(at, _)| choice >> at & 1 == 1).flat_map(|(_, keys)| keys.clone());
            (0..1_u32 << members.len()).rev().map(|choice| chosen(choice).collect()).collect()
        }
        Some(Members::Sets(mut sets)) => {
            flattened(&mut sets)?;
            sets
        }
    })
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use super::super::dialect::PgDialect;
    use super::*;

    fn sets(sql: &str) -> Option<String> {
        let Expr::GroupingSets(mut sets) = Parser::new(&PgDialect).try_with_sql(sql).unwrap().parse_expr().unwrap() else {
            panic!("no sets")
        };
        let shown = |set: &Vec<Expr>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join("");
        flattened(&mut sets).is_continue().then(|| sets.iter().map(shown).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn sets_stand_for_sets() {
        assert_eq!(sets("GROUPING SETS (a, rollup(b, (c, d)), ())").unwrap(), "a bcd b  ");
        assert_eq!(sets("GROUPING SETS (cube(a, b), GROUPING SETS (c, (a, c)))").unwrap(), "ab b a  c ac");
        assert_eq!(sets("GROUPING SETS (lower(a))").unwrap(), "lower(a)");
    }

    #[test]
    fn a_cube_has_bounds() {
        assert_eq!(sets("GROUPING SETS (cube(a, b, c, d, e, f, g, h, i, j, k, l, m))"), None);
    }
}
