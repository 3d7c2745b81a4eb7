//! Queries: WITH, FROM, the select list, conditions, set operations; in the order that PostgreSQL looks at them.

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, FunctionArg, FunctionArgExpr, GroupByExpr, Ident, Join, JoinConstraint, LimitClause, NamedWindowExpr, ObjectName,
    OrderByKind, Query as Tree, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, Spanned, TableAlias,
    TableAliasColumnDef, TableFactor, TableWithJoins, Values, WildcardAdditionalOptions, With,
};

use crate::catalog::system::label;
use crate::catalog::{PgType, resolution};
use crate::error::SqlState;

use super::super::using;
use super::scope::Shape;
use super::types::{folded, named};
use super::{Analyst, NOWHERE, Relation, Result, Typed};

/// The columns of a query; `None` if nobody can tell how many there are.
pub(super) type Output = Option<Vec<(Option<String>, Typed)>>;

/// The most levels of set operations that are walked.
const SETS_MAX: usize = 100;

impl Analyst<'_> {
    /// The columns of a query. One that is settled has no column without a type.
    pub(super) fn query(&mut self, query: &Tree, settled: bool) -> Result<Output> {
        self.scopes.enter_with();
        if let Some(with) = &query.with {
            self.with(with)?;
        }
        let output = self.body(&query.body, settled, Some(query), 0)?;
        self.scopes.leave_with();
        Ok(output)
    }

    fn with(&mut self, with: &With) -> Result<()> {
        for cte in &with.cte_tables {
            let name = folded(&cte.alias.name);
            if with.recursive {
                self.scopes.add_with(name.clone(), None);
            }
            let output = self.query(&cte.query, true)?;
            let columns = output.map(|columns| renamed(columns, &cte.alias));
            self.scopes.add_with(name, columns.flatten());
        }
        Ok(())
    }

    fn body(&mut self, body: &SetExpr, settled: bool, query: Option<&Tree>, depth: usize) -> Result<Output> {
        if depth > SETS_MAX {
            return Ok(None);
        }
        match body {
            SetExpr::Select(select) => self.select(select, settled, query),
            SetExpr::Query(inner) => {
                let output = self.query(inner, settled)?;
                self.ends(query, None)?;
                Ok(output)
            }
            SetExpr::Values(values) => {
                let output = self.values(values)?;
                self.ends(query, None)?;
                Ok(output)
            }
            SetExpr::SetOperation { left, right, op, .. } => {
                // The clauses at the end are the whole operation's.
                let (one, other) = (self.body(left, false, None, depth + 1)?, self.body(right, false, None, depth + 1)?);
                let output = self.united(one, other, *op)?;
                self.ends(query, None)?;
                Ok(output)
            }
            _ => Ok(None),
        }
    }

    fn united(&mut self, one: Output, other: Output, op: SetOperator) -> Result<Output> {
        let (Some(one), Some(other)) = (one, other) else { return Ok(None) };
        if one.len() != other.len() {
            return Ok(None);
        }
        let construct = op.to_string().to_uppercase();
        let mut columns = Vec::new();
        for ((name, left), (_, right)) in one.into_iter().zip(other) {
            let common = self.together(&construct, &[left, right])?;
            columns.push((name, common));
        }
        Ok(Some(columns))
    }

    fn values(&mut self, values: &Values) -> Result<Output> {
        self.scopes.enter();
        let mut columns: Vec<Vec<Typed>> = Vec::new();
        for row in &values.rows {
            for (at, value) in row.content.iter().enumerate() {
                let value = self.expr(value)?;
                match columns.get_mut(at) {
                    Some(column) => column.push(value),
                    None => columns.push(vec![value]),
                }
            }
        }
        self.scopes.leave();
        let mut output = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            output.push((Some(format!("column{}", at + 1)), self.together("VALUES", column)?));
        }
        Ok(Some(output))
    }

    fn select(&mut self, select: &Select, settled: bool, query: Option<&Tree>) -> Result<Output> {
        self.scopes.enter();
        for from in &select.from {
            self.from(from)?;
        }
        self.scopes.hide(Vec::new());
        let mut output = self.list(&select.projection)?;
        self.scopes.show();
        let names: Vec<String> = output.iter().flatten().filter_map(|(name, _)| name.clone()).collect();
        self.scopes.hide(names.clone());
        if let Some(condition) = &select.selection {
            self.truth(condition, "WHERE")?;
        }
        if let Some(having) = &select.having {
            self.truth(having, "HAVING")?;
        }
        self.scopes.show();
        self.scopes.hide(Vec::new());
        self.ends(query, Some(&names))?;
        if let GroupByExpr::Expressions(keys, _) = &select.group_by {
            for key in keys.iter().filter(|key| !is_name(key, &names)) {
                let value = self.expr(key)?;
                self.settled(&value)?;
            }
        }
        if let Some(Distinct::On(keys)) = &select.distinct {
            for key in keys.iter().filter(|key| !is_name(key, &names)) {
                let value = self.expr(key)?;
                self.settled(&value)?;
            }
        }
        for window in &select.named_window {
            if let NamedWindowExpr::WindowSpec(window) = &window.1 {
                self.window(window)?;
            }
        }
        self.scopes.show();
        if settled && let Some(columns) = &mut output {
            for (_, column) in columns {
                *column = self.settled(column)?;
            }
        }
        self.scopes.leave();
        Ok(output)
    }

    fn list(&mut self, items: &[SelectItem]) -> Result<Output> {
        let mut output = Some(Vec::new());
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let value = self.expr(expr)?;
                    if let Some(columns) = &mut output {
                        columns.push((Some(label(expr)), value));
                    }
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let value = self.expr(expr)?;
                    if let Some(columns) = &mut output {
                        columns.push((Some(folded(alias)), value));
                    }
                }
                SelectItem::Wildcard(options) if plain(options) => output = extended(output, self.all(None)),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) if plain(options) => {
                    let place = name.span().start;
                    let name = name.0.last().and_then(|part| part.as_ident()).map(folded);
                    if let Some(name) = name.as_ref().filter(|name| !self.scopes.knows(name)) {
                        let text = format!("missing FROM-clause entry for table \"{name}\"");
                        return self.refuse(SqlState::UNDEFINED_TABLE, text, place);
                    }
                    output = extended(output, self.all(name.as_deref()));
                }
                _ => output = None,
            }
        }
        Ok(output)
    }

    /// The columns that a star stands for; none are told where joins merge some.
    fn all(&self, relation: Option<&str>) -> Output {
        let mut columns = Vec::new();
        for known in self.scopes.own().iter().filter(|known| relation.is_none_or(|name| known.name == name)) {
            columns.extend(known.columns.as_ref()?.iter().map(|(name, oid)| (Some(name.clone()), Typed::of(*oid))));
        }
        (!columns.is_empty()).then_some(columns)
    }

    /// ORDER BY, LIMIT, OFFSET and FETCH. `names` are those of the select list, if there is one.
    fn ends(&mut self, query: Option<&Tree>, names: Option<&[String]>) -> Result<()> {
        let Some(query) = query else { return Ok(()) };
        if let (Some(OrderByKind::Expressions(keys)), Some(names)) = (query.order_by.as_ref().map(|order| &order.kind), names) {
            for key in keys.iter().filter(|key| !is_name(&key.expr, names) && !is_number(&key.expr)) {
                self.keys(std::slice::from_ref(key))?;
            }
        }
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            for (bound, construct) in [(limit.as_ref(), "LIMIT"), (offset.as_ref().map(|offset| &offset.value), "OFFSET")] {
                if let Some(bound) = bound {
                    let value = self.expr(bound)?;
                    self.assigned(bound, &value, PgType::INT8.oid, construct)?;
                }
            }
        }
        if let Some(quantity) = query.fetch.as_ref().and_then(|fetch| fetch.quantity.as_ref()) {
            let value = self.expr(quantity)?;
            self.assigned(quantity, &value, PgType::INT8.oid, "LIMIT")?;
        }
        Ok(())
    }

    fn from(&mut self, from: &TableWithJoins) -> Result<()> {
        self.factor(&from.relation)?;
        for Join { relation, join_operator, .. } in &from.joins {
            let before = self.scopes.own().len();
            self.factor(relation)?;
            match using::constraint(join_operator).map(|(constraint, _)| constraint) {
                Some(JoinConstraint::On(condition)) => self.truth(condition, "JOIN/ON")?,
                Some(JoinConstraint::Using(columns)) => {
                    for column in columns {
                        self.merged(column, before)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A column that USING merges stands on both sides.
    fn merged(&self, column: &ObjectName, before: usize) -> Result<()> {
        let Some(name) = column.0.last().and_then(|part| part.as_ident()).map(folded) else { return Ok(()) };
        let (left, right) = self.scopes.own().split_at(before.min(self.scopes.own().len()));
        for (side, relations) in [("left", left), ("right", right)] {
            let mut known = relations.iter().map(|relation| relation.columns.as_ref());
            let told = known.clone().all(|columns| columns.is_some());
            if told && !known.any(|columns| columns.is_some_and(|columns| columns.iter().any(|(found, _)| *found == name))) {
                let text = format!("column \"{name}\" specified in USING clause does not exist in {side} table");
                return self.refuse(SqlState::UNDEFINED_COLUMN, text, NOWHERE);
            }
        }
        Ok(())
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<()> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let relation = self.table(name, alias.as_ref());
                self.scopes.add(relation);
            }
            TableFactor::Table { name, alias, args: Some(arguments), with_ordinality, .. } => {
                let columns = self.called(name, &arguments.args, *with_ordinality)?;
                self.scopes.add(function_relation(name, columns, alias.as_ref()));
            }
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                let columns = self.called(name, args, *with_ordinality)?;
                self.scopes.add(function_relation(name, columns, alias.as_ref()));
            }
            TableFactor::UNNEST { array_exprs, alias, with_offset, with_ordinality, .. } => {
                let mut columns = Vec::new();
                for array in array_exprs {
                    let place = self.spots.start(array);
                    let value = self.expr(array)?;
                    columns.push(("unnest".to_owned(), self.resolved("unnest", "unnest", &[value], place)?.oid));
                }
                let told = !with_offset && !with_ordinality && columns.iter().all(|(_, oid)| *oid != resolution::OPEN);
                let name = ObjectName::from(vec![Ident::new("unnest")]);
                self.scopes.add(function_relation(&name, told.then_some(columns), alias.as_ref()));
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let output = self.query(subquery, true)?;
                let relation = match alias {
                    Some(alias) => Relation { name: folded(&alias.name), columns: output.and_then(|columns| renamed(columns, alias)) },
                    None => Relation::default(),
                };
                self.scopes.add(relation);
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                self.from(table_with_joins)?;
                if let Some(alias) = alias {
                    self.scopes.add(Relation { name: folded(&alias.name), columns: None });
                }
            }
            _ => self.scopes.add(Relation::default()),
        }
        Ok(())
    }

    fn table(&self, name: &ObjectName, alias: Option<&TableAlias>) -> Relation {
        let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
        let found = match parts.as_slice() {
            [table] => match self.scopes.with(table) {
                Some(columns) => columns.clone(),
                None => self.known(None, table),
            },
            [schema, table] | [_, schema, table] => self.known(Some(schema), table),
            _ => None,
        };
        let own = parts.last().cloned().unwrap_or_default();
        match alias {
            Some(alias) => {
                let columns = found.map(|columns| columns.into_iter().map(|(name, oid)| (Some(name), Typed::of(oid))).collect());
                Relation { name: folded(&alias.name), columns: columns.and_then(|columns| renamed(columns, alias)) }
            }
            None => Relation { name: own, columns: found },
        }
    }

    fn known(&self, schema: Option<&str>, table: &str) -> Shape {
        let columns = (self.tables)(schema, table)?;
        Some(columns.into_iter().map(|(name, pg_type)| (name, pg_type.oid)).collect())
    }

    /// The columns of a function in FROM.
    fn called(&mut self, name: &ObjectName, args: &[FunctionArg], ordinality: bool) -> Result<Shape> {
        let mut values = Vec::new();
        let mut plain = true;
        for arg in args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => values.push(self.expr(value)?),
                _ => plain = false,
            }
        }
        let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
        let function = match parts.as_slice() {
            [function] => function,
            [schema, function] if schema == "pg_catalog" => function,
            _ => return self.untold(&values),
        };
        // Several arrays beside each other are FROM's own, and no function takes them.
        if !plain || (function == "unnest" && values.len() > 1) {
            return self.untold(&values);
        }
        let value = self.resolved(function, function, &values, name.span().start)?;
        // A function of several columns answers a record.
        let told = value.oid != resolution::OPEN && !ordinality && resolution::category(value.oid) != 'P';
        Ok(told.then(|| vec![(function.clone(), value.oid)]))
    }

    fn untold(&mut self, values: &[Typed]) -> Result<Shape> {
        values.iter().for_each(|value| self.leave(value));
        Ok(None)
    }
}

/// The columns under the names of an alias, which may be fewer.
fn renamed(columns: Vec<(Option<String>, Typed)>, alias: &TableAlias) -> Shape {
    let mut names = alias.columns.iter().map(|column| folded(&column.name));
    columns.into_iter().map(|(name, typed)| Some((names.next().or(name)?, typed.oid))).collect()
}

/// A function in FROM: its one column goes by the alias.
fn function_relation(name: &ObjectName, columns: Shape, alias: Option<&TableAlias>) -> Relation {
    let own = name.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default();
    let Some(alias) = alias else { return Relation { name: own, columns } };
    let called = folded(&alias.name);
    let typed = |column: &TableAliasColumnDef| column.data_type.as_ref().map(named);
    if let Some(columns) = alias.columns.iter().map(|column| Some((folded(&column.name), typed(column)?))).collect::<Option<Vec<_>>>()
        && !columns.is_empty()
    {
        return Relation { name: called, columns: Some(columns) };
    }
    let mut names = alias.columns.iter().map(|column| folded(&column.name));
    let single = columns.as_ref().is_some_and(|columns| columns.len() == 1);
    let rename = |(name, oid): (String, u32)| (names.next().unwrap_or_else(|| if single { called.clone() } else { name }), oid);
    let columns = columns.map(|columns| columns.into_iter().map(rename).collect());
    Relation { name: called, columns }
}

fn extended(output: Output, more: Output) -> Output {
    let (mut output, more) = (output?, more?);
    output.extend(more);
    Some(output)
}

fn plain(options: &WildcardAdditionalOptions) -> bool {
    options.opt_exclude.is_none() && options.opt_except.is_none() && options.opt_replace.is_none() && options.opt_rename.is_none()
}

/// Whether a key is the name of a column of the select list.
fn is_name(key: &Expr, names: &[String]) -> bool {
    matches!(key, Expr::Identifier(name) if names.contains(&folded(name)))
}

/// Whether a key is the number of a column.
fn is_number(key: &Expr) -> bool {
    matches!(key, Expr::Value(_)) && !key.to_string().starts_with('$')
}
