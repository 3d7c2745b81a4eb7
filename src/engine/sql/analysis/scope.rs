//! The names that stand for relations and columns in a place.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::catalog::resolution;

/// The names and types of a query's columns, if they are known.
pub(super) type Shape = Option<Vec<(String, u32)>>;

/// What can be named of one item of FROM.
#[derive(Debug, Clone, Default)]
pub(super) struct Relation {
    /// The name that it goes by.
    pub(super) name: String,
    /// Its columns; `None` if nobody can tell.
    pub(super) columns: Shape,
}

/// Relations from the innermost query to the outermost, and the queries of WITH.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    levels: Vec<Vec<Relation>>,
    ctes: Vec<BTreeMap<String, Shape>>,
    /// The names of each query's select list while its conditions are looked at, which do not see them.
    hidden: Vec<Vec<String>>,
    /// How many queries stand around the innermost one that has been named a column of.
    named: Cell<Option<usize>>,
}

impl Scopes {
    /// A query begins.
    pub(super) fn enter(&mut self) {
        self.levels.push(Vec::new());
    }

    /// A query ends.
    pub(super) fn leave(&mut self) {
        self.levels.pop();
    }

    pub(super) fn add(&mut self, relation: Relation) {
        if let Some(level) = self.levels.last_mut() {
            level.push(relation);
        }
    }

    /// The relations of the innermost query.
    pub(super) fn own(&self) -> &[Relation] {
        self.levels.last().map_or(&[], Vec::as_slice)
    }

    pub(super) fn enter_with(&mut self) {
        self.ctes.push(BTreeMap::new());
    }

    pub(super) fn leave_with(&mut self) {
        self.ctes.pop();
    }

    pub(super) fn add_with(&mut self, name: String, columns: Shape) {
        if let Some(level) = self.ctes.last_mut() {
            level.insert(name, columns);
        }
    }

    /// The columns of a query of WITH.
    pub(super) fn with(&self, name: &str) -> Option<&Shape> {
        self.ctes.iter().rev().find_map(|level| level.get(name))
    }

    /// The conditions of a query begin; its select list has these names.
    pub(super) fn hide(&mut self, names: Vec<String>) {
        self.hidden.push(names);
    }

    /// They end.
    pub(super) fn show(&mut self) {
        self.hidden.pop();
    }

    /// Whether a name stands for nothing here but a column of the select list.
    pub(super) fn hides(&self, name: &str) -> bool {
        let listed = self.hidden.last().is_some_and(|names| names.iter().any(|known| known == name));
        let stands = |relation: &Relation| {
            relation.name == name || relation.columns.as_ref().is_none_or(|columns| columns.iter().any(|(known, _)| known == name))
        };
        listed && !self.levels.iter().flatten().any(stands)
    }

    /// Forgets which queries columns have been named of, and answers what was known.
    pub(super) fn forget(&self) -> Option<usize> {
        self.named.take()
    }

    /// Whether columns have been named since, and only of queries around the innermost.
    pub(super) fn of_others(&self) -> bool {
        self.named.get().is_some_and(|level| level + 1 < self.levels.len())
    }

    /// Goes on from what was known.
    pub(super) fn remember(&self, before: Option<usize>) {
        self.named.set(self.named.get().max(before));
    }

    /// Whether any relation goes by a name.
    pub(super) fn knows(&self, relation: &str) -> bool {
        self.levels.iter().flatten().any(|known| known.name == relation || known.name.is_empty())
    }

    /// The type of a column without a qualifier.
    pub(super) fn column(&self, name: &str) -> u32 {
        for (at, level) in self.levels.iter().enumerate().rev() {
            let mut found = None;
            for relation in level {
                let Some(columns) = &relation.columns else {
                    self.remember(Some(at));
                    return resolution::OPEN;
                };
                for (_, oid) in columns.iter().filter(|(known, _)| known == name) {
                    // Of two columns of one name the statement will be told that they are.
                    if found.replace(*oid).is_some_and(|before| before != *oid) {
                        self.remember(Some(at));
                        return resolution::OPEN;
                    }
                }
            }
            if let Some(oid) = found {
                self.remember(Some(at));
                return oid;
            }
            if level.iter().any(|relation| relation.name == name) {
                self.remember(Some(at));
                return resolution::OPEN;
            }
        }
        resolution::OPEN
    }

    /// The type of a column of the relation that goes by a name.
    pub(super) fn qualified(&self, relation: &str, name: &str) -> u32 {
        let mut levels = self.levels.iter().enumerate().rev();
        let found = levels.find_map(|(at, level)| level.iter().find(|known| known.name == relation).map(|known| (at, known)));
        self.remember(found.map(|(at, _)| at));
        let found = found.map(|(_, relation)| relation);
        let columns = found.and_then(|relation| relation.columns.as_ref());
        let mut named = columns.into_iter().flatten().filter(|(known, _)| known == name);
        match (named.next(), named.next()) {
            (Some((_, oid)), None) => *oid,
            _ => resolution::OPEN,
        }
    }
}
