//! Keeps a WITH query whose name holds a dot apart from a table of a schema.
//!
//! The planner looks a WITH query up by the text of the whole table name: `WITH "a.b" AS (…)` would stand in for `a.b`. So such a query gets
//! a name that no table name spells, and keeps its own as the alias where it is used.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Query, Statement, TableAlias, TableFactor, VisitMut, VisitorMut};

/// Stands for the dot.
const DOT: &str = "\u{2}";

/// Renames every WITH query whose name holds a dot.
pub(super) fn separate(statement: &mut Statement) {
    let mut renamer = Renamer::default();
    let _: ControlFlow<()> = statement.visit(&mut renamer);
    if !renamer.renamed.is_empty() {
        let _: ControlFlow<()> = statement.visit(&mut Uses { renamed: renamer.renamed });
    }
}

#[derive(Default)]
struct Renamer {
    renamed: HashSet<String>,
}

impl VisitorMut for Renamer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            let name = &mut cte.alias.name;
            if name.value.contains('.') {
                self.renamed.insert(name.value.clone());
                name.value = name.value.replace('.', DOT);
            }
        }
        ControlFlow::Continue(())
    }
}

struct Uses {
    renamed: HashSet<String>,
}

impl VisitorMut for Uses {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name: ObjectName(parts), alias, .. } = factor else { return ControlFlow::Continue(()) };
        if let [ObjectNamePart::Identifier(name)] = parts.as_mut_slice()
            && self.renamed.contains(&name.value)
        {
            let own = Ident::with_quote('"', name.value.clone());
            alias.get_or_insert_with(|| TableAlias { explicit: true, name: own, columns: Vec::new(), at: None });
            name.value = name.value.replace('.', DOT);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn separated(sql: &str) -> String {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        separate(&mut statements[0]);
        statements[0].to_string()
    }

    #[test]
    fn a_dotted_name_stands_for_no_table_of_a_schema() {
        let sql = "WITH \"a.b\" AS (SELECT 1 AS x) SELECT c.x, \"a.b\".x FROM a.b AS c, \"a.b\"";
        let expected = "WITH \"a\u{2}b\" AS (SELECT 1 AS x) SELECT c.x, \"a.b\".x FROM a.b AS c, \"a\u{2}b\" AS \"a.b\"";
        assert_eq!(separated(sql), expected);
    }

    #[test]
    fn other_names_stay() {
        let sql = "WITH x AS (SELECT 1) SELECT * FROM x, \"a.b\"";
        assert_eq!(separated(sql), sql);
    }
}
