//! About how many rows and bytes a query delivers, by what the server has counted in its tables.
//!
//! INVARIANT: where something is done may hang on an estimate, never what is answered. Widths are those of types, not of values: they tell
//! nothing of a column that is masked above.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::execution::config::SessionConfig;

use super::described::Described;
use super::exec::Query;
use super::joined::Side;
use super::location::TableLocation;
use super::running::Asked;
use super::server::Server;
use super::table::PgColumn;
use crate::ports::error::Place;
use crate::ports::estimate::Estimates;
use crate::ports::joining::{Joining, Origin, Pair};
use crate::ports::statement::Statement;

/// Of a smaller table the server is asked nothing: filters are taken to leave all of its rows.
const ASKED_ROWS_MIN: usize = 10_000;
/// What a value takes beside its bytes, and what a row does.
const VALUE_BYTES: u64 = 4;
const ROW_BYTES: u64 = 2;

/// About what a row costs that a server joins and adds to a state, beside its being read. Costs are nanoseconds of either processor, which hang on the
/// machines; what counts is how they compare.
pub(super) const JOINED_ROW_COST: u64 = 750;
/// About what a row costs that a server sends and that is joined here, and what each of its values does.
const SENT_ROW_COST: u64 = 330;
const SENT_VALUE_COST: u64 = 75;

/// What a server has counted in a table's columns, by their names there.
pub(super) type Counts = HashMap<String, Counted>;

/// What it has counted in one of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// About how many different values there are.
    pub(super) distinct: Option<u64>,
    /// Of integers that are hardly ever NULL, about the least and the greatest: a sample of the rows has no others.
    pub(super) bounds: Option<(i64, i64)>,
}

/// Of a share of all rows it is their number ($3) that it is told by.
const COUNTED: &str = "\
SELECT s.attname::pg_catalog.text, \
       (CASE WHEN s.n_distinct >= 0 THEN s.n_distinct ELSE -s.n_distinct * $3::pg_catalog.float8 END)::pg_catalog.int8, \
       (h.bounds)[1], (h.bounds)[pg_catalog.cardinality(h.bounds)] \
FROM pg_catalog.pg_stats s \
LEFT JOIN LATERAL (SELECT s.histogram_bounds::pg_catalog.text::pg_catalog.text[] AS bounds WHERE s.null_frac < 0.1) h ON true \
WHERE s.schemaname = $1::pg_catalog.name AND s.tablename = $2::pg_catalog.name AND s.inherited = $4::pg_catalog.bool";

/// Notes what the server expects a scan to be. It is asked for that only where something hangs on it.
pub(super) async fn weigh(query: &mut Query, location: &TableLocation, described: &Described, config: &SessionConfig) {
    let asks = config.get_extension::<Estimates>().is_some();
    if let Some(rows) = described.rows.filter(|rows| asks && *rows >= ASKED_ROWS_MIN)
        && let Some(counts) = counted(&query.server, &query.at, location, rows, described.several).await
    {
        query.columns.iter_mut().for_each(|column| column.counted = counts.get(&column.name).copied().unwrap_or_default());
    }
    query.expected = expected_rows(query, asks, config.get_extension::<Statement>()).await;
}

async fn counted(server: &Server, at: &Place, location: &TableLocation, rows: usize, several: bool) -> Option<Arc<Counts>> {
    if let Some(known) = server.counts.last(location) {
        return Some(known);
    }
    let (rows, several) = (rows.to_string(), several.to_string());
    let asked = [location.schema.as_str(), &location.table, &rows, &several];
    let mut counts = Counts::new();
    for row in server.fetch(at, COUNTED, &asked).await.ok()? {
        let (name, values): (String, Option<i64>) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
        let distinct = values.and_then(|values| u64::try_from(values).ok()).filter(|values| *values > 0);
        let bound = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
        let bounds = bound(row.try_get(2).ok()?).zip(bound(row.try_get(3).ok()?));
        counts.insert(name, Counted { distinct, bounds });
    }
    let counts = Arc::new(counts);
    server.counts.keep(location, &counts);
    Some(counts)
}

/// About how many rows a scan's filters leave.
async fn expected_rows(query: &Query, asks: bool, statement: Option<Arc<Statement>>) -> Option<u64> {
    let rows = query.rows?;
    if query.conditions.is_empty() || rows < ASKED_ROWS_MIN {
        return u64::try_from(rows).ok();
    }
    if !asks {
        return None;
    }
    let (sql, statement) = (format!("EXPLAIN {}", query.sql(&[])), statement.as_ref());
    let asked = Asked { sql: &sql, parameters: &query.parameters, again: false, statement, own_timeout: query.own_timeout };
    // Whoever reads the table will find out what is wrong.
    let answer = query.server.fetch_asked(&query.at, &asked).await.ok()?;
    planned_rows(answer.first()?.try_get(0).ok()?)
}

/// The rows of a plan's first line: `Seq Scan on orders  (cost=0.00..41095.00 rows=31 width=8)`.
fn planned_rows(line: &str) -> Option<u64> {
    let (_, rows) = line.rsplit_once(" rows=")?;
    rows.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// About how many rows leave a join.
pub(super) fn joined_rows(sides: &[Side<'_>], joining: &Joining) -> Option<u64> {
    match joining {
        Joining::Scan(scan) => sides.get(*scan)?.0.expected,
        Joining::Pair(pair) => pair_rows(sides, pair),
    }
}

fn pair_rows(sides: &[Side<'_>], pair: &Pair) -> Option<u64> {
    let (left, right) = (joined_rows(sides, &pair.left)?, joined_rows(sides, &pair.right)?);
    let left_keys = keys(sides, pair.on.iter().map(|[left, _]| *left), left);
    let right_keys = keys(sides, pair.on.iter().map(|[_, right]| *right), right);
    let inner = || {
        let (left_keys, right_keys) = (left_keys?, right_keys?);
        // Values of several columns go together more often than not: rather too many rows than too few.
        let met = if pair.on.len() > 1 { left_keys.min(right_keys) } else { left_keys.max(right_keys) };
        share(left, right, met)
    };
    // Rows of which a key is among those of the other side.
    let half = |rows: u64, own: Option<u64>, others: Option<u64>| match (own, others) {
        (Some(own), Some(others)) => share(rows, own.min(others), own),
        _ => Some(rows),
    };
    match pair.kind {
        JoinType::Inner => inner(),
        JoinType::Left => Some(inner()?.max(left)),
        JoinType::Right => Some(inner()?.max(right)),
        JoinType::Full => Some(inner()?.max(left.saturating_add(right))),
        JoinType::LeftSemi => half(left, left_keys, right_keys),
        JoinType::RightSemi => half(right, right_keys, left_keys),
        JoinType::LeftAnti => Some(left),
        JoinType::RightAnti => Some(right),
        JoinType::LeftMark | JoinType::RightMark => None,
    }
}

/// `rows · times / of`.
fn share(rows: u64, times: u64, of: u64) -> Option<u64> {
    let share = u128::from(rows).saturating_mul(u128::from(times)).checked_div(u128::from(of))?;
    Some(u64::try_from(share).unwrap_or(u64::MAX))
}

/// About how many different keys so many rows have; at least one.
fn keys(sides: &[Side<'_>], columns: impl Iterator<Item = Origin>, rows: u64) -> Option<u64> {
    let mut keys = 1_u64;
    for origin in columns {
        let (query, _) = sides.get(origin.scan)?;
        keys = keys.saturating_mul(distinct(query, query.columns.get(origin.column)?)?);
    }
    Some(keys.min(rows).max(1))
}

fn distinct(query: &Query, column: &PgColumn) -> Option<u64> {
    let of_key = || query.rows.filter(|_| column.unique && column.alias.is_none()).and_then(|rows| u64::try_from(rows).ok());
    column.counted.distinct.or_else(of_key)
}

/// About how many groups a query's rows fall into.
pub(super) fn group_rows(query: &Query, groups: &[usize]) -> Option<u64> {
    let mut product = 1_u64;
    for group in groups {
        product = product.saturating_mul(distinct(query, query.columns.get(*group)?)?);
    }
    query.expected.map(|rows| rows.min(product).max(1)).or_else(|| groups.is_empty().then_some(1))
}

/// About what a row of so many columns costs that is sent and taken in.
pub(super) fn row_cost(columns: usize) -> u64 {
    u64::try_from(columns).unwrap_or(u64::MAX).saturating_mul(SENT_VALUE_COST).saturating_add(SENT_ROW_COST)
}

/// About how many bytes a row of these columns takes on its way.
pub(super) fn row_bytes(columns: &[PgColumn]) -> u64 {
    columns.iter().map(|column| value_bytes(column.field.data_type()).saturating_add(VALUE_BYTES)).fold(ROW_BYTES, u64::saturating_add)
}

fn value_bytes(data_type: &DataType) -> u64 {
    match data_type {
        DataType::Boolean => 1,
        DataType::Int16 => 2,
        DataType::Int32 | DataType::Float32 | DataType::Date32 => 4,
        DataType::Int64 | DataType::Float64 | DataType::Time64(_) | DataType::Timestamp(_, _) => 8,
        DataType::Decimal128(_, _) => 10,
        DataType::Interval(_) => 16,
        _ => 24,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::PortOptions;
    use crate::ports::postgres::location::Credentials;
    use crate::ports::postgres::table::tests::column;
    use crate::ports::postgres::{Access, Servers};

    #[test]
    fn the_rows_of_a_plan_are_read() {
        assert_eq!(planned_rows("Index Scan using a on b  (cost=0.43..8.45 rows=31 width=8)"), Some(31));
        assert_eq!(planned_rows("Seq Scan on \"x rows=7\"  (cost=0.00..1.00 rows=1500000 width=0)"), Some(1_500_000));
        assert_eq!(planned_rows("Result"), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_tells_what_it_has_counted() {
        let Some(database) = crate::ports::postgres::fixture::Database::from_environment().await else { return };
        database.create("counted", "id int8, thrice int4, word text, hole int8", &[]).await;
        let name = database.table("counted");
        let rows = "SELECT i, i % 500, 'w' || i, CASE WHEN i % 2 = 0 THEN i END FROM generate_series(1, 20000) i";
        database.run(&format!("INSERT INTO {name} {rows}; ANALYZE {name}")).await;
        let product = crate::ports::tests::product(crate::product::PortFormat::Postgres, &database.location("counted"), None);
        let (servers, at, port) = (Servers::new(&PortOptions::default()), crate::ports::tests::place(), &product.output_ports[0]);
        let location = TableLocation::parse(&at, &port.location).unwrap();
        let credentials = Credentials::parse(&database.login()).unwrap();
        let server = servers.server(&at, &location, Access { credentials, security: servers.security(&at, port).unwrap() }).unwrap();
        let counts = counted(&server, &at, &location, 20_000, false).await.unwrap();
        assert_eq!(counts["id"], Counted { distinct: Some(20_000), bounds: Some((1, 20_000)) });
        assert_eq!(counts["thrice"].distinct, Some(500));
        assert_eq!((counts["word"].bounds, counts["hole"].bounds), (None, None));
    }

    #[test]
    fn a_row_weighs_what_its_types_do() {
        use crate::product::DataType;
        let columns = [column("a", &DataType::Int64, 20), column("b", &DataType::String, 25)];
        assert_eq!((row_bytes(&columns[..1]), row_bytes(&columns), row_bytes(&[])), (14, 42, 2));
    }

    #[test]
    fn a_share_does_not_overflow() {
        assert_eq!(share(1_500_000, 150_000, 100_000), Some(2_250_000));
        assert_eq!((share(u64::MAX, u64::MAX, 1), share(7, 7, 0)), (Some(u64::MAX), None));
    }
}
