//! Gives the names of a statement their meaning: relations, columns, WITH queries, parameters.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{Expr, Ident};

use crate::catalog::PgType;
use crate::catalog::facts::SessionFacts;
use crate::catalog::functions::{self, Function};
use crate::catalog::relations::Relation;
use crate::catalog::system::folded;

use super::casts;
use super::datum::{Datum, Ty};
use super::tree::{Extra, Node, Origin, Output, Subquery};

/// Why a statement is not answered here.
#[derive(Debug)]
pub(in crate::catalog) enum Stop {
    /// The planner of products shall try it, and tell what is wrong if something is.
    Unsupported(String),
    /// It is wrong, and this is what the client is told.
    Fault(DataFusionError),
}

impl From<DataFusionError> for Stop {
    fn from(error: DataFusionError) -> Self {
        Stop::Fault(error)
    }
}

/// What binding makes, or why it does not.
pub(super) type Bound<T> = Result<T, Stop>;

/// A form that is left to the planner of products.
pub(super) fn unsupported<T>(what: impl Into<String>) -> Bound<T> {
    Err(Stop::Unsupported(what.into()))
}

/// An expression with its type.
#[derive(Clone)]
pub(super) struct Typed {
    /// The expression.
    pub(super) node: Node,
    /// Its type; of an unknown one, text until something tells.
    pub(super) ty: Ty,
    /// A constant or parameter that takes the type of its surroundings.
    pub(super) unknown: bool,
}

impl Typed {
    /// An expression of a known type.
    pub(super) fn new(node: Node, ty: impl Into<Ty>) -> Self {
        Typed { node, ty: ty.into(), unknown: false }
    }

    /// A constant.
    pub(super) fn constant(value: impl Into<Datum>, ty: PgType) -> Self {
        Typed::new(Node::Const(value.into()), ty)
    }

    /// One whose type its surroundings tell.
    pub(super) fn unknown(node: Node) -> Self {
        Typed { node, ty: PgType::TEXT.into(), unknown: true }
    }
}

/// A column that names may lead to.
#[derive(Clone)]
pub(super) struct Column {
    /// The alias of its part of FROM.
    pub(super) table: String,
    /// Its name.
    pub(super) name: String,
    /// Its type.
    pub(super) ty: Ty,
    /// Its place in the row of the query.
    pub(super) at: usize,
    /// Merged into another by USING: only found by its qualified name.
    pub(super) hidden: bool,
    /// The column of a relation that it is, unchanged.
    pub(super) origin: Origin,
}

/// The names that one SELECT knows.
#[derive(Default)]
pub(super) struct Level {
    /// The columns of FROM, as far as it is bound.
    pub(super) columns: Vec<Column>,
    /// The aliases of FROM, with the relation behind each.
    pub(super) tables: Vec<(String, Option<&'static Relation>)>,
    /// The columns that were named since this was last emptied.
    pub(super) touched: BTreeSet<usize>,
    /// Those that were named outside of aggregates and of what is grouped by.
    pub(super) loose: BTreeSet<usize>,
    /// What is computed beside a row.
    pub(super) extras: Vec<Extra>,
    /// Whether there is an aggregate.
    pub(super) aggregates: bool,
    /// How many aggregates the expression at hand stands in.
    pub(super) inside: usize,
    /// What is grouped by, as written.
    pub(super) groups: Vec<Expr>,
}

/// A WITH query that names may lead to.
#[derive(Clone)]
pub(super) struct CteName {
    /// Its name.
    pub(super) name: String,
    /// Its number.
    pub(super) id: usize,
    /// Its columns.
    pub(super) columns: Vec<Output>,
    /// The outermost level that its rows depend on.
    pub(super) lowest: usize,
}

/// Binds one statement.
pub(super) struct Binder {
    pub(super) facts: Arc<SessionFacts>,
    pub(super) functions: Arc<Vec<Arc<Function>>>,
    /// The types of the parameters, as far as they are known.
    pub(super) parameters: Vec<Option<PgType>>,
    pub(super) levels: Vec<Level>,
    pub(super) ctes: Vec<CteName>,
    /// The outermost level that was named since this was last set.
    pub(super) lowest: usize,
    numbers: usize,
}

/// The most parameters that a statement may have, as the protocol counts them.
const PARAMETERS_MAX: usize = 65_535;

impl Binder {
    /// A binder for one statement whose parameters have these types.
    pub(super) fn new(facts: &Arc<SessionFacts>, declared: &[Option<PgType>]) -> Self {
        Self {
            facts: Arc::clone(facts),
            functions: Arc::new(functions::callable(facts)),
            parameters: declared.to_vec(),
            levels: Vec::new(),
            ctes: Vec::new(),
            lowest: usize::MAX,
            numbers: 0,
        }
    }

    /// A number that nothing else in the statement has.
    pub(super) fn number(&mut self) -> usize {
        self.numbers += 1;
        self.numbers
    }

    /// The names of the SELECT at hand.
    pub(super) fn level(&mut self) -> Bound<&mut Level> {
        match self.levels.last_mut() {
            Some(level) => Ok(level),
            None => unsupported("a name outside of a query"),
        }
    }

    /// A parameter by its name, `$1`.
    pub(super) fn parameter(&mut self, name: &str) -> Bound<Typed> {
        let number: usize = name.trim_start_matches('$').parse().unwrap_or(0);
        if !(1..=PARAMETERS_MAX).contains(&number) {
            return unsupported("this parameter");
        }
        let at = number - 1;
        if self.parameters.len() <= at {
            self.parameters.resize(at + 1, None);
        }
        let known = self.parameters.get(at).copied().flatten();
        Ok(known.map_or_else(|| Typed::unknown(Node::Param(at)), |ty| Typed::new(Node::Param(at), ty)))
    }

    /// The expression in that type, where PostgreSQL would cast it by itself; the caller has seen to it that it would.
    pub(super) fn coerce(&mut self, typed: Typed, to: &Ty) -> Bound<Node> {
        if !typed.unknown {
            return casts::cast(typed.node, &typed.ty, to, &self.facts);
        }
        match typed.node {
            Node::Param(at) => {
                if let Some(known) = self.parameters.get_mut(at) {
                    let settled = *known.get_or_insert(to.pg.with_typmod(-1));
                    return casts::cast(Node::Param(at), &settled.into(), to, &self.facts);
                }
                Ok(Node::Param(at))
            }
            node => casts::cast(node, &PgType::TEXT.into(), to, &self.facts),
        }
    }

    /// The expression as a text, if its type was not known.
    pub(super) fn settled(&mut self, typed: Typed) -> Bound<Typed> {
        if !typed.unknown {
            return Ok(typed);
        }
        let node = self.coerce(typed, &PgType::TEXT.into())?;
        Ok(Typed::new(node, PgType::TEXT))
    }

    /// A query within the query at hand.
    pub(super) fn nested<T>(&mut self, bind: impl FnOnce(&mut Self) -> Bound<T>) -> Bound<(T, bool)> {
        let outer = std::mem::replace(&mut self.lowest, usize::MAX);
        let depth = self.levels.len();
        let made = bind(self);
        let correlated = self.lowest < depth;
        self.lowest = self.lowest.min(outer);
        Ok((made?, correlated))
    }

    /// A subquery with its columns.
    pub(super) fn subquery(&mut self, query: &datafusion::sql::sqlparser::ast::Query) -> Bound<Subquery> {
        let (plan, correlated) = self.nested(|binder| {
            let plan = binder.query(query)?;
            binder.settle(plan)
        })?;
        Ok(Subquery { id: self.number(), correlated, plan: Arc::new(plan) })
    }

    /// A column by its name, looked for from the innermost query outward.
    pub(super) fn column(&mut self, table: Option<&str>, name: &str) -> Bound<Option<Typed>> {
        for index in (0..self.levels.len()).rev() {
            let Some(level) = self.levels.get(index) else { continue };
            let fits = |column: &&Column| match table {
                Some(table) => column.table == table && column.name == name,
                None => !column.hidden && column.name == name,
            };
            let mut found = level.columns.iter().filter(fits);
            if let Some(column) = found.next().cloned() {
                if found.next().is_some() {
                    return unsupported(format!("column reference \"{name}\" is ambiguous"));
                }
                return Ok(Some(self.touch(index, &column)));
            }
            if let Some(typed) = self.system_column(index, table, name) {
                return Ok(Some(typed));
            }
            // A name of a part of FROM hides what lies further out.
            if table.is_some_and(|table| level.tables.iter().any(|(alias, _)| alias == table)) {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn touch(&mut self, index: usize, column: &Column) -> Typed {
        self.lowest = self.lowest.min(index);
        let up = self.levels.len() - 1 - index;
        if let Some(level) = self.levels.get_mut(index) {
            level.touched.insert(column.at);
            if level.inside == 0 {
                level.loose.insert(column.at);
            }
        }
        Typed::new(Node::Col { up, at: column.at }, column.ty.clone())
    }

    /// Columns that every table has.
    fn system_column(&self, index: usize, table: Option<&str>, name: &str) -> Option<Typed> {
        let level = self.levels.get(index)?;
        let relation = match table {
            Some(table) => level.tables.iter().find(|(alias, _)| alias == table)?.1,
            None if level.tables.len() == 1 => level.tables.first()?.1,
            None => None,
        }?;
        match name {
            "tableoid" => Some(Typed::constant(i64::from(relation.oid), PgType::OID)),
            // Nothing here is written by a transaction; the first that PostgreSQL itself has is 1.
            "xmin" | "xmax" => Some(Typed::constant(i64::from(name == "xmin"), PgType::XID)),
            "cmin" | "cmax" => Some(Typed::constant(0i64, PgType::CID)),
            _ => None,
        }
    }

    /// The whole row of a part of FROM by its alias.
    pub(super) fn whole_row(&mut self, alias: &str) -> Option<Typed> {
        for index in (0..self.levels.len()).rev() {
            let columns: Vec<Column> = self.levels.get(index)?.columns.iter().filter(|column| column.table == alias).cloned().collect();
            if columns.is_empty() {
                continue;
            }
            let fields = columns.iter().map(|column| (column.name.clone(), column.ty.clone())).collect();
            let nodes = columns.iter().map(|column| self.touch(index, column).node).collect();
            return Some(Typed::new(Node::Row(nodes), Ty::row(fields)));
        }
        None
    }

    /// What an identifier stands for.
    pub(super) fn identifier(&mut self, ident: &Ident) -> Bound<Typed> {
        let name = folded(ident);
        if let Some(typed) = self.column(None, &name)? {
            return Ok(typed);
        }
        if let Some(typed) = self.whole_row(&name) {
            return Ok(typed);
        }
        if ident.quote_style.is_none()
            && let Some(typed) = self.session_word(&name)?
        {
            return Ok(typed);
        }
        unsupported(format!("column \"{name}\" does not exist"))
    }

    /// `table.column`, `schema.table.column`, or a field of a column.
    pub(super) fn compound(&mut self, parts: &[Ident]) -> Bound<Typed> {
        let names: Vec<String> = parts.iter().map(folded).collect();
        let found = match names.as_slice() {
            [table, column] => match self.column(Some(table), column)? {
                Some(typed) => Some(typed),
                None => match self.column(None, table)? {
                    Some(row) => Some(super::expr::field(row, column)?),
                    None => None,
                },
            },
            [_, table, column] => self.column(Some(table), column)?,
            _ => None,
        };
        match found {
            Some(typed) => Ok(typed),
            None => unsupported(format!("column {} does not exist", names.join("."))),
        }
    }

    /// The WITH query of that name.
    pub(super) fn cte(&mut self, name: &str) -> Option<CteName> {
        let found = self.ctes.iter().rev().find(|cte| cte.name == name)?.clone();
        self.lowest = self.lowest.min(found.lowest);
        Some(found)
    }
}
