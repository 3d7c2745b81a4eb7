//! Groups of nothing: `GROUP BY ()`, and HAVING without groups and aggregates, which make one row of all rows.
//!
//! The engine makes one row where it finds an aggregate. Where there is none, one is put below.

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, Select, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, Value,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::{misplaced, scalars};

/// The name that the rows go by.
const ROWS: &str = "meshgate_all_rows";

/// Puts a form that the engine has in the place of such groups.
pub(super) fn made(select: &mut Select) {
    let GroupByExpr::Expressions(keys, modifiers) = &mut select.group_by else { return };
    let written = keys.len();
    keys.retain(|key| !matches!(key, Expr::Tuple(values) if values.is_empty()));
    let nothing = written > keys.len();
    if !keys.is_empty() || !modifiers.is_empty() || !nothing && select.having.is_none() {
        return;
    }
    let aggregates = misplaced::first_aggregate(&select.projection).is_some() || misplaced::first_aggregate(&select.having).is_some();
    if aggregates {
        return;
    }
    let columns = scalars::names_columns(&select.projection) || scalars::names_columns(&select.having);
    let named = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    if columns || !select.projection.iter().all(named) {
        // The planner tells that a column is in no group where there is a HAVING.
        select.having.get_or_insert_with(|| Expr::Value(Value::Boolean(true).with_empty_span()));
        return;
    }
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql("SELECT count(*) AS rows").ok();
    let Some(mut query) = parsed.and_then(|mut parser| parser.parse_query().ok()) else { return };
    let SetExpr::Select(inner) = query.body.as_mut() else { return };
    inner.from = std::mem::take(&mut select.from);
    inner.selection = std::mem::replace(&mut select.selection, select.having.take());
    let alias = Some(TableAlias { explicit: true, name: Ident::new(ROWS), columns: Vec::new(), at: None });
    let relation = TableFactor::Derived { lateral: false, subquery: query, alias, sample: None };
    select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(sql: &str) -> String {
        let mut query = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_query().unwrap();
        if let SetExpr::Select(select) = query.body.as_mut() {
            made(select);
        }
        query.to_string()
    }

    #[test]
    fn all_rows_are_one_group() {
        assert_eq!(
            spelled("SELECT 1 AS one FROM t WHERE a > 1 HAVING 1 < 2"),
            "SELECT 1 AS one FROM (SELECT count(*) AS rows FROM t WHERE a > 1) AS meshgate_all_rows WHERE 1 < 2"
        );
        assert_eq!(spelled("SELECT 1 FROM t GROUP BY ()"), "SELECT 1 FROM (SELECT count(*) AS rows FROM t) AS meshgate_all_rows");
        assert_eq!(spelled("SELECT sum(a) FROM t GROUP BY ()"), "SELECT sum(a) FROM t");
        assert_eq!(spelled("SELECT a FROM t GROUP BY a, ()"), "SELECT a FROM t GROUP BY a");
        assert_eq!(spelled("SELECT a FROM t GROUP BY ()"), "SELECT a FROM t HAVING true");
        assert_eq!(spelled("SELECT a FROM t HAVING 1 < 2"), "SELECT a FROM t HAVING 1 < 2");
    }
}
