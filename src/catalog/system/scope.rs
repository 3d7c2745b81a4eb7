//! Which relations a SELECT reads, and which columns are its own.

use datafusion::sql::sqlparser::ast::{Expr, Select, TableFactor, TableWithJoins};

use crate::catalog::relations::{self, Relation};

use super::{folded, last_part, qualifier};

/// The relations in the FROM of one SELECT.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Alias, and the system relation behind it if it is one.
    pub(super) relations: Vec<(String, Option<&'static Relation>)>,
}

impl Scope {
    /// The scope of a SELECT.
    pub(super) fn of(select: &Select) -> Self {
        let mut scope = Scope::default();
        for table in &select.from {
            scope.add_all(table);
        }
        scope
    }

    fn add_all(&mut self, table: &TableWithJoins) {
        self.add(&table.relation);
        for join in &table.joins {
            self.add(&join.relation);
        }
    }

    fn add(&mut self, factor: &TableFactor) {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let alias = alias.as_ref().map(|alias| folded(&alias.name)).or_else(|| last_part(name)).unwrap_or_default();
                self.relations.push((alias, relation(factor)));
            }
            TableFactor::Derived { alias, .. } | TableFactor::Function { alias, .. } | TableFactor::UNNEST { alias, .. } => {
                let alias = alias.as_ref().map(|alias| folded(&alias.name)).unwrap_or_default();
                self.relations.push((alias, None));
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.add_all(table_with_joins),
            _ => self.relations.push((String::new(), None)),
        }
    }

    /// The relation behind an alias.
    pub(super) fn relation(&self, alias: &str) -> Option<&'static Relation> {
        self.relations.iter().find(|(name, _)| name == alias).and_then(|(_, relation)| *relation)
    }

    /// Whether a column reference is this SELECT's own; `None` if the expression is no column reference.
    pub(super) fn owns(&self, expr: &Expr) -> Option<bool> {
        match expr {
            Expr::CompoundIdentifier(parts) => {
                let alias = folded(parts.get(parts.len().checked_sub(2)?)?);
                Some(self.relations.iter().any(|(name, _)| *name == alias))
            }
            Expr::Identifier(ident) => {
                let name = folded(ident);
                let has = |relation: &Option<&'static Relation>| {
                    relation.is_none_or(|relation| relation.columns.iter().any(|column| column.name == name))
                };
                Some(self.relations.iter().any(|(_, relation)| has(relation)))
            }
            _ => None,
        }
    }
}

/// The system relation that a table factor names.
pub(super) fn relation(factor: &TableFactor) -> Option<&'static Relation> {
    let TableFactor::Table { name, args: None, .. } = factor else { return None };
    relations::find(&qualifier(name)?, &last_part(name)?)
}
