//! A query that keeps the first rows in an order, or states of aggregates.
//!
//! INVARIANT: it is made only of a query whose conditions are all that its scan was given, and only where the server means what the engine means:
//! - texts are ordered by their bytes (`COLLATE "C"`), only on a UTF-8 server; where NULL stands is always said;
//! - floats are neither ordered, grouped nor summed: the server takes −0 for 0, and a sum hangs on the order of its rows;
//! - a numeric without limits is neither: each of its values must be seen to fit the contract;
//! - what the server holds for equal is equal to the engine, too: texts of a deterministic collation, and no JSON, interval or list.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};

use super::exec::Query;
use super::filter::Family;
use super::parameter::Parameter;
use super::table::PgColumn;
use super::types::told_as;
use super::weight::group_rows;
use crate::ports::reduction::{Aggregate, Kept, OrderKey, Reduction, Subjects, Without};

/// A longer order is left to the engine.
const KEYS_MAX: usize = 32;
/// More rows come sooner without an order. It hangs on no count: which of several equal rows are the first ones must not tell of hidden rows.
const FIRST_ROWS_MAX: usize = 10_000;

/// The query that keeps so much; `None` if the server cannot be asked for it.
pub(super) fn reduced(query: &Query, reduction: &Reduction) -> Option<Query> {
    if !query.complete || query.limit.is_some() || query.reduced {
        return None;
    }
    let mut reduced = Query { reduced: true, ..query.clone() };
    if let Some(without) = &reduction.without {
        let condition = exclusion(&reduced.columns, without, &mut reduced.parameters)?;
        reduced.conditions.push(condition);
    }
    match &reduction.kept {
        Kept::First { keys, rows } => first(&mut reduced, keys, *rows)?,
        Kept::States { groups, aggregates, schema } => {
            // They are made of rows that may be seen, and nobody looks for marks in them.
            reduced.marking = false;
            states(&mut reduced, groups, aggregates, schema)?;
        }
    }
    Some(reduced)
}

/// More ids than these are joined with. Each of fewer is compared with a row, unless the server knows how to look them up.
const COMPARED_MAX: usize = 1_000;

/// That a row's subject is known and none of these. The ids travel as one parameter. `<> ALL` of no id is true of NULL, too.
pub(super) fn exclusion(columns: &[PgColumn], without: &Without, parameters: &mut Vec<Parameter>) -> Option<String> {
    let column = columns.get(without.column)?;
    let (parameter, count, of) = match (&without.subjects, column.family) {
        (Subjects::Integers(ids), Family::Int) => (Parameter::Ints(ids.clone()), ids.len(), "int8"),
        (Subjects::Uuids(ids), Family::Uuid) => (Parameter::Uuids(ids.clone()), ids.len(), "uuid"),
        _ => return None,
    };
    parameters.push(parameter);
    let ids = format!("${}::pg_catalog.{of}[]", parameters.len());
    let (bare, subject) = (column.name_sql(), column.full_sql());
    if count <= COMPARED_MAX {
        return Some(format!("({bare} IS NOT NULL AND {subject} <> ALL ({ids}))"));
    }
    // Within the subquery the name of the ids comes before those of columns, so it is none of these.
    let mut id = "\"id\"".to_owned();
    while id == bare {
        id.insert(1, '_');
    }
    let erased = format!("SELECT FROM pg_catalog.unnest({ids}) AS erased({id}) WHERE erased.{id} = {subject}");
    Some(format!("({bare} IS NOT NULL AND NOT EXISTS ({erased}))"))
}

fn first(query: &mut Query, keys: &[OrderKey], rows: usize) -> Option<()> {
    if keys.is_empty() || keys.len() > KEYS_MAX || rows > FIRST_ROWS_MAX {
        return None;
    }
    let keys = keys.iter().map(|key| {
        let column = query.columns.get(key.column).filter(|column| is_ordered(column))?;
        let direction = if key.options.descending { "DESC" } else { "ASC" };
        let nulls = if key.options.nulls_first { "FIRST" } else { "LAST" };
        // Bare, it would mean the column of the result, which has no index.
        let bare = matches!(column.family, Family::Int) || column.access.cast.is_empty();
        let value = match column.family {
            Family::Text { .. } => column.order_sql(),
            _ if bare => format!("{}{}", query.qualifier, column.name_sql()),
            _ => format!("({}{}){}", query.qualifier, column.name_sql(), column.access.cast),
        };
        Some(format!("{value} {direction} NULLS {nulls}"))
    });
    let mut keys = keys.collect::<Option<Vec<_>>>()?;
    // Which of equal rows come first must not hang on a plan, for the plan hangs on rows that are hidden.
    keys.extend(query.places.iter().cloned());
    query.tail = format!(" ORDER BY {}", keys.join(", "));
    query.limit = Some(rows);
    query.rows = query.rows.map(|all| all.min(rows));
    query.expected = query.expected.map(|all| u64::try_from(rows).map_or(all, |rows| all.min(rows)));
    Some(())
}

/// Whether the engine sorts values as the server does.
fn is_ordered(column: &PgColumn) -> bool {
    column.limited
        && match column.family {
            Family::Text { ordered } => ordered,
            Family::Bool
            | Family::Int
            | Family::Numeric
            | Family::Uuid
            | Family::Date
            | Family::Time
            | Family::Timestamp
            | Family::Instant
            | Family::Bytes => true,
            Family::Float4 | Family::Float8 | Family::Opaque => false,
        }
}

/// Whether values that the server holds for equal are equal to the engine.
fn is_grouped(column: &PgColumn) -> bool {
    column.limited && !matches!(column.family, Family::Float4 | Family::Float8 | Family::Opaque)
}

fn states(query: &mut Query, groups: &[usize], aggregates: &[Aggregate], schema: &SchemaRef) -> Option<()> {
    if schema.fields().is_empty() || schema.fields().len() != groups.len().checked_add(aggregates.len())? {
        return None;
    }
    let (mut columns, mut items, mut keys, mut order) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (group, field) in groups.iter().zip(schema.fields()) {
        let column = query.columns.get(*group).filter(|column| is_grouped(column))?;
        // There are as many groups as rows: nothing would be left out, and all of it sorted. A join has several rows of a key.
        if column.unique && column.alias.is_none() {
            return None;
        }
        if column.field.data_type() != field.data_type() {
            return None;
        }
        let key = column.full_sql();
        let collation = if matches!(column.family, Family::Text { .. }) { " COLLATE \"C\"" } else { "" };
        order.push(format!("{key}{collation}"));
        columns.push(column.clone());
        keys.push(key.clone());
        items.push(key);
    }
    for (aggregate, field) in aggregates.iter().zip(schema.fields().iter().skip(groups.len())) {
        items.push(state(query, *aggregate, field)?);
        let (_, oid) = told_as(field)?;
        let name = aggregate.column().and_then(|column| query.columns.get(column)).map(|column| column.name.clone());
        columns.push(PgColumn::of_state(field, name.unwrap_or_default(), oid));
    }
    query.select = format!("SELECT {} FROM {}", items.join(", "), query.from);
    query.expected = group_rows(query, groups);
    query.rows = keys.is_empty().then_some(1);
    if !keys.is_empty() {
        // In an order, for that of a hash table hangs on how many groups the server expects, those of hidden rows included.
        query.tail = format!(" GROUP BY {} ORDER BY {}", keys.join(", "), order.join(", "));
    }
    query.columns = columns;
    query.schema = Arc::clone(schema);
    Some(())
}

/// An aggregate in the select list, as a value of its state's type.
fn state(query: &Query, aggregate: Aggregate, field: &Field) -> Option<String> {
    let column = match aggregate.column() {
        Some(column) => Some(query.columns.get(column)?),
        None => None,
    };
    let (cast, _) = told_as(field)?;
    let to = field.data_type();
    match (aggregate, column) {
        (Aggregate::Rows, _) if to == &DataType::Int64 => Some("pg_catalog.count(*)".to_owned()),
        (Aggregate::Values(_), Some(column)) if to == &DataType::Int64 && column.limited => {
            Some(format!("pg_catalog.count({})", column.name_sql()))
        }
        (Aggregate::Sum(_), Some(column)) if is_summed(column, to) => Some(format!("pg_catalog.sum({}){cast}", column.full_sql())),
        (Aggregate::Min(_), Some(column)) if is_extreme(column, to) => Some(format!("pg_catalog.min({}){cast}", column.order_sql())),
        (Aggregate::Max(_), Some(column)) if is_extreme(column, to) => Some(format!("pg_catalog.max({}){cast}", column.order_sql())),
        _ => None,
    }
}

fn is_summed(column: &PgColumn, to: &DataType) -> bool {
    column.limited
        && match (column.family, column.field.data_type(), to) {
            // The engine's sum of wide integers in a wide integer goes round where the server's ends in an error.
            (Family::Int, from, DataType::Int64) => from != &DataType::Int64,
            (Family::Int, _, DataType::Decimal128(_, 0)) => true,
            (Family::Numeric, DataType::Decimal128(_, scale), DataType::Decimal128(_, summed)) => scale == summed,
            _ => false,
        }
}

/// PostgreSQL 15 has neither of boolean, bytea and uuid.
fn is_extreme(column: &PgColumn, to: &DataType) -> bool {
    is_ordered(column) && !matches!(column.family, Family::Bool | Family::Bytes | Family::Uuid) && column.field.data_type() == to
}
