//! A query over several tables of one server.
//!
//! INVARIANT: each table is filtered by itself, in a query of its own, before it meets another one: whatever a join does with rows, it
//! never sees a hidden one. Tables are joined by columns of which the server holds for equal what the engine holds for equal: so no
//! floats (−0 and NaN), JSON, intervals or lists, and no numeric without limits, of which each value must be seen to fit.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::JoinType;

use super::exec::Query;
use super::filter::{Family, Translator};
use super::parameter::Parameter;
use super::reduced::exclusion;
use super::table::{PgColumn, equated, select_list};
use super::weight::joined_rows;
use crate::ports::joining::{Joining, Origin, Pair};
use crate::ports::reduction::Without;

/// More tables are joined by the engine: a server tries all orders of so many, and no more.
const TABLES_MAX: usize = 8;
/// A message has room for some 65,000 values.
const PARAMETERS_MAX: usize = 32_000;

/// A table, and who is left out of it.
pub(super) type Side<'a> = (&'a Query, Option<&'a Without>);

/// The query for these columns of the joined tables, with its values in it or beside it; `None` if the server cannot be asked for it.
pub(super) fn joined(sides: &[Side<'_>], joining: &Joining, columns: &[Origin], schema: SchemaRef, inline: bool) -> Option<Query> {
    let (first, _) = sides.first()?;
    let askable = |query: &Query| query.complete && query.limit.is_none() && !query.reduced && Arc::ptr_eq(&query.server, &first.server);
    if sides.len() > TABLES_MAX || !sides.iter().all(|(query, _)| askable(query)) {
        return None;
    }
    let mut writer = Writer { sides, parameters: Vec::new(), inline, halves: 0 };
    let from = writer.source(joining)?;
    if writer.parameters.len() > if inline { 0 } else { PARAMETERS_MAX } {
        return None;
    }
    let columns = columns.iter().map(|origin| writer.column(*origin)).collect::<Option<Vec<_>>>()?;
    let placed = |scan: usize| {
        let places = sides.get(scan).map(|(query, _)| query.places.len()).filter(|places| *places > 0)?;
        Some((0..places).map(move |place| place_alias(scan, place)))
    };
    let places: Option<Vec<_>> = joining.delivering().into_iter().map(placed).collect();
    let expected = joined_rows(sides, joining);
    Some(Query {
        at: first.at.clone(),
        server: Arc::clone(&first.server),
        select: format!("SELECT {} FROM {from}", select_list(&columns)),
        qualifier: String::new(),
        from,
        places: places.into_iter().flatten().flatten().collect(),
        filters: Vec::new(),
        conditions: Vec::new(),
        complete: true,
        parameters: writer.parameters,
        tail: String::new(),
        limit: None,
        reduced: false,
        computed: sides.iter().any(|(query, _)| query.computed),
        // Each row of theirs may be seen.
        marking: false,
        fitting: Vec::new(),
        columns,
        schema,
        rows: expected.and_then(|rows| usize::try_from(rows).ok()),
        expected,
        joined: expected,
        own_timeout: first.own_timeout,
    })
}

fn place_alias(scan: usize, place: usize) -> String {
    format!("\"p{scan}_{place}\"")
}

/// Writes the sources of the query, and collects their parameters.
struct Writer<'a> {
    sides: &'a [Side<'a>],
    parameters: Vec<Parameter>,
    inline: bool,
    /// Semi-joins so far.
    halves: usize,
}

impl Writer<'_> {
    fn source(&mut self, joining: &Joining) -> Option<String> {
        match joining {
            Joining::Scan(scan) => self.table(*scan),
            Joining::Pair(pair) => self.pair(pair),
        }
    }

    /// The rows of a table that may be seen, each column under a name that no other table has.
    fn table(&mut self, scan: usize) -> Option<String> {
        let (query, without) = self.sides.get(scan)?;
        let mut translator = Translator::after(&query.columns, std::mem::take(&mut self.parameters), self.inline);
        let conditions = query.filters.iter().map(|filter| translator.translate(filter)).collect::<Option<Vec<_>>>();
        self.parameters = translator.into_parameters();
        let mut conditions = conditions?;
        if let Some(without) = without {
            conditions.push(exclusion(&query.columns, without, &mut self.parameters)?);
        }
        conditions.extend(query.fitting.iter().cloned());
        let columns = query.columns.iter().enumerate();
        let mut items: Vec<String> = columns.map(|(column, named)| format!("{} AS {}", named.name_sql(), alias(scan, column))).collect();
        let places = query.places.iter().enumerate();
        items.extend(places.map(|(place, named)| format!("{named} AS {}", place_alias(scan, place))));
        let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        Some(format!("(SELECT {} FROM {}{filter}) AS \"t{scan}\"", items.join(", "), query.from))
    }

    fn pair(&mut self, pair: &Pair) -> Option<String> {
        let (left, right) = (self.source(&pair.left)?, self.source(&pair.right)?);
        let on = pair.on.iter().map(|[left, right]| equal(&self.column(*left)?, &self.column(*right)?)).collect::<Option<Vec<_>>>()?;
        if on.is_empty() {
            return None;
        }
        let on = on.join(" AND ");
        let word = match pair.kind {
            JoinType::Inner => "JOIN",
            JoinType::Left => "LEFT JOIN",
            JoinType::Right => "RIGHT JOIN",
            JoinType::Full => "FULL JOIN",
            JoinType::LeftSemi => return Some(self.half(&left, "EXISTS", &right, &on)),
            JoinType::LeftAnti => return Some(self.half(&left, "NOT EXISTS", &right, &on)),
            JoinType::RightSemi => return Some(self.half(&right, "EXISTS", &left, &on)),
            JoinType::RightAnti => return Some(self.half(&right, "NOT EXISTS", &left, &on)),
            JoinType::LeftMark | JoinType::RightMark => return None,
        };
        Some(format!("({left} {word} {right} ON {on})"))
    }

    fn half(&mut self, kept: &str, exists: &str, other: &str, on: &str) -> String {
        self.halves += 1;
        format!("(SELECT * FROM {kept} WHERE {exists} (SELECT FROM {other} WHERE {on})) AS \"h{}\"", self.halves)
    }

    /// A column as it is called in the query.
    fn column(&self, origin: Origin) -> Option<PgColumn> {
        let (query, _) = self.sides.get(origin.scan)?;
        let column = query.columns.get(origin.column)?;
        Some(PgColumn { alias: Some(alias(origin.scan, origin.column)), ..column.clone() })
    }
}

fn alias(scan: usize, column: usize) -> String {
    format!("\"c{scan}_{column}\"")
}

/// That two columns are equal; `None` if the server means something else by it.
fn equal(left: &PgColumn, right: &PgColumn) -> Option<String> {
    let comparable = match (left.family, right.family) {
        (Family::Int, Family::Int) | (Family::Text { .. }, Family::Text { .. }) => true,
        (Family::Float4 | Family::Float8 | Family::Opaque, _) => false,
        (one, other) => one == other && left.field.data_type() == right.field.data_type(),
    };
    if !comparable || !left.limited || !right.limited {
        return None;
    }
    let (left, right) = equated(left, right);
    Some(format!("{left} = {right}"))
}
