//! Records at the edges of conditions: the values that a condition tells apart, and those beside them.

use crate::product::{DataType, FieldName};

use chrono::NaiveDate;

use super::super::contract::Column;
use super::super::{Literal, Predicate, TextTest};
use super::row::{Cell, DAY_NS, Row, holds};
use super::{Record, Residual};

/// How many values of a list are tried.
const LISTED_MAX: usize = 4;

/// Whether a record may be seen, by a filter that the residual leaves.
pub(in super::super) fn is_visible(residual: &Residual, filter: &Predicate, row: &Row) -> bool {
    let refused = residual.allow == Some(false) || residual.denials.as_ref().is_some_and(|denials| !denials.is_empty());
    !refused && holds(filter, row) == Some(true)
}

/// Records without NULLs, at the edges of what is left of the rules; `None` if the contract does not tell the columns' types. `ids` are
/// people of whom some are erased.
pub(in super::super) fn edge_rows(
    columns: &[Column],
    record: &Record<'_>,
    filter: &Predicate,
    ids: &[String],
    now_ns: i64,
) -> Option<Vec<Row>> {
    let cells = columns.iter().map(|column| Some((column.name.clone(), usual(column.data_type.as_ref()?, now_ns))));
    let base: Row = cells.collect::<Option<Row>>()?;
    let mut rows = vec![base.clone()];
    let mut edges: Vec<(FieldName, Vec<Cell>)> = Vec::new();
    collect(filter, record, ids, &base, &mut edges);
    if let Some(created) = record.created {
        let ages = [0, 1, 30, 365, 731, 4_000].map(|days: i64| Cell::Instant(now_ns.saturating_sub(days.saturating_mul(DAY_NS))));
        if matches!(base.get(created), Some(Cell::Instant(_))) {
            edges.push((created.clone(), ages.to_vec()));
        }
    }
    for (column, cells) in edges {
        for cell in cells {
            let mut row = base.clone();
            row.insert(column.clone(), cell);
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    Some(rows)
}

/// A value like any other.
fn usual(data_type: &DataType, now_ns: i64) -> Cell {
    let yesterday = now_ns.saturating_sub(DAY_NS);
    match data_type {
        DataType::Int16 | DataType::Int32 | DataType::Int64 => Cell::Int(1),
        DataType::Float32 | DataType::Float64 => Cell::Float(1.5),
        DataType::Decimal { scale, .. } => Cell::Decimal(1, u8::try_from(*scale).unwrap_or_default()),
        DataType::String | DataType::Varchar(_) | DataType::Json => Cell::Text("a".to_owned()),
        DataType::Uuid => Cell::Text("6f9619ff-8b86-4011-b42d-00cf4fc964ff".to_owned()),
        DataType::Boolean => Cell::Bool(true),
        DataType::Date => Cell::Day(i32::try_from(yesterday.div_euclid(DAY_NS)).unwrap_or_default()),
        DataType::Timestamp | DataType::TimestampTz => Cell::Instant(yesterday),
        DataType::Time | DataType::Interval | DataType::Bytes | DataType::List(_) => Cell::Null,
    }
}

fn collect(predicate: &Predicate, record: &Record<'_>, ids: &[String], base: &Row, edges: &mut Vec<(FieldName, Vec<Cell>)>) {
    let mut add = |column: &FieldName, cells: Vec<Cell>| edges.push((column.clone(), cells));
    let beside = |column: &FieldName, literal: &Literal| record.data_type(column).map(|of| around(of, literal)).unwrap_or_default();
    match predicate {
        Predicate::True | Predicate::False | Predicate::Unknown | Predicate::Present(_) | Predicate::IsNull(_) => {}
        Predicate::Compare { column, value, .. } => add(column, beside(column, value)),
        Predicate::In { column, values } => {
            values.iter().take(LISTED_MAX).for_each(|value| add(column, beside(column, value)));
        }
        Predicate::CompareColumns { left, right, .. } => {
            add(left, base.get(right).cloned().into_iter().collect());
        }
        Predicate::Like { column, pattern } => add(column, texts_around(&pattern.replace(['%', '\\'], ""))),
        Predicate::Matches { column, .. } => add(column, texts_around("a")),
        Predicate::Folded { column, test: TextTest::Compare(_, text) | TextTest::Like(text), .. } => {
            add(column, texts_around(&text.replace(['%', '\\'], "")));
        }
        Predicate::Member { column, .. } => {
            let cell = |id: &String| match base.get(column) {
                Some(Cell::Int(_)) => id.parse().ok().map(Cell::Int),
                Some(Cell::Decimal(_, 0)) => id.parse().ok().map(|id| Cell::Decimal(id, 0)),
                _ if record.data_type(column) == Some(&DataType::Uuid) => None,
                _ => Some(Cell::Text(id.clone())),
            };
            add(column, ids.iter().filter_map(cell).collect());
        }
        Predicate::Computed(test) => {
            for column in test.columns() {
                add(column, base.get(column).map(several).unwrap_or_default());
            }
        }
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().for_each(|part| collect(part, record, ids, base, edges)),
        Predicate::Not(inner) => collect(inner, record, ids, base, edges),
    }
}

/// Values like this one, for tests of which it is not known where they turn.
fn several(like: &Cell) -> Vec<Cell> {
    match like {
        Cell::Int(_) => [-3, -1, 0, 1, 2, 3, 10, 100].map(Cell::Int).to_vec(),
        Cell::Float(_) => [-2.5, 0.0, 0.5, 1.0, 2.0, 1e6].map(Cell::Float).to_vec(),
        Cell::Decimal(_, scale) => [-250, 0, 1, 50, 100, 1_000_000].map(|unscaled| Cell::Decimal(unscaled, *scale)).to_vec(),
        Cell::Text(_) => {
            texts_around("a").into_iter().chain([" a ", "A", "aa", "ab", "7"].map(|text| Cell::Text(text.to_owned()))).collect()
        }
        Cell::Bool(_) => vec![Cell::Bool(true), Cell::Bool(false)],
        Cell::Instant(at) => [0, 1, 30, 365, 4_000].map(|days: i64| Cell::Instant(at.saturating_sub(days.saturating_mul(DAY_NS)))).to_vec(),
        Cell::Day(day) => [-400, -1, 0, 1].map(|days: i32| Cell::Day(day.saturating_add(days))).to_vec(),
        Cell::Null => Vec::new(),
    }
}

/// A value of a column that lies nearest to a literal on each side, and the literal itself; for rows at the edges of a condition.
fn around(data_type: &DataType, literal: &Literal) -> Vec<Cell> {
    match (data_type, literal) {
        (DataType::Int16 | DataType::Int32 | DataType::Int64, Literal::Int(number)) => {
            [number.saturating_sub(1), *number, number.saturating_add(1)].map(Cell::Int).to_vec()
        }
        (DataType::Float64, Literal::Float(number)) => [number.next_down(), *number, number.next_up()].map(Cell::Float).to_vec(),
        (DataType::Decimal { scale, .. }, Literal::String(text)) => {
            let unscaled: Option<i128> = text.replace('.', "").parse().ok();
            let scale = u8::try_from(*scale).ok();
            let near = |unscaled: i128| [unscaled.saturating_sub(1), unscaled, unscaled.saturating_add(1)];
            unscaled.zip(scale).map(|(unscaled, scale)| near(unscaled).map(|at| Cell::Decimal(at, scale)).to_vec()).unwrap_or_default()
        }
        (DataType::Timestamp | DataType::TimestampTz, Literal::Instant(instant)) => {
            let at = instant.timestamp_micros();
            let cell = |micros: i64| micros.checked_mul(1_000).map(Cell::Instant);
            [at.saturating_sub(1), at, at.saturating_add(1), at.saturating_add(2)].into_iter().filter_map(cell).collect()
        }
        (DataType::Date, Literal::Instant(instant)) => {
            let day = i32::try_from(instant.timestamp().div_euclid(86_400)).unwrap_or_default();
            [day.saturating_sub(1), day, day.saturating_add(1)].map(Cell::Day).to_vec()
        }
        (DataType::Date, Literal::String(text)) => {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.to_epoch_days()).unwrap_or_default();
            [day.saturating_sub(1), day, day.saturating_add(1)].map(Cell::Day).to_vec()
        }
        (DataType::String | DataType::Varchar(_), Literal::String(text)) => texts_around(text),
        (DataType::Uuid, Literal::String(text)) => vec![Cell::Text(text.clone()), Cell::Text(uuid::Uuid::nil().to_string())],
        (DataType::Boolean, _) => vec![Cell::Bool(true), Cell::Bool(false)],
        _ => Vec::new(),
    }
}

/// Texts at the edges of conditions on a text.
fn texts_around(text: &str) -> Vec<Cell> {
    let inverted: String =
        text.chars().map(|letter| if letter.is_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }).collect();
    let texts = [
        text.to_owned(),
        String::new(),
        format!("{text}x"),
        format!("x{text}"),
        format!("{text} "),
        inverted,
        "ß%_\\\u{0}\u{10ffff}".to_owned(),
    ];
    texts.into_iter().map(Cell::Text).collect()
}
