//! Lineage beside what happens: random queries, in which each column of each table is changed in turn, to see which results change with it.
//! `MESHGATE_LINEAGE_QUERIES` sets how many queries.
//!
//! A result that changes must name the column; a column that is named and never changes anything is counted, for a claim says only what may
//! have a part.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Int64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::TableScan;
use datafusion::prelude::{SessionConfig, SessionContext};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{Lineage, trace};
use crate::product::{DomainName, PortName, ProductName, ProductRef, Version};

const QUERIES: usize = 40;
const CHANGES: usize = 8;
const ROWS: usize = 14;
const TABLES: [(&str, [&str; 3]); 2] = [("c", ["a", "b", "d"]), ("o", ["f", "g", "h"])];

/// The values of each column of each table.
type Data = Vec<Vec<Vec<i64>>>;

fn values(random: &mut StdRng) -> Vec<i64> {
    (0..ROWS).map(|_| random.random_range(0..10)).collect()
}

fn context(data: &Data) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    for ((name, columns), values) in TABLES.iter().zip(data) {
        let schema = Arc::new(Schema::new(columns.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>()));
        let arrays = values.iter().map(|values| Arc::new(Int64Array::from(values.clone())) as ArrayRef).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
        context.register_table(*name, Arc::new(MemTable::try_new(schema, vec![vec![batch]]).unwrap())).unwrap();
    }
    context
}

/// A relation in SQL, and what its columns are called.
struct Relation {
    sql: String,
    columns: Vec<String>,
}

struct Maker<'r> {
    random: &'r mut StdRng,
    names: usize,
}

impl Maker<'_> {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("x{}", self.names)
    }

    fn pick<'a>(&mut self, columns: &'a [String]) -> &'a str {
        &columns[self.random.random_range(0..columns.len())]
    }

    fn two<'a>(&mut self, columns: &'a [String]) -> (&'a str, &'a str) {
        let one = self.random.random_range(0..columns.len());
        let other = (one + self.random.random_range(1..columns.len().max(2))) % columns.len();
        (&columns[one], &columns[other])
    }

    fn expression(&mut self, columns: &[String]) -> String {
        let (one, other) = self.two(columns);
        let limit = self.random.random_range(2..7);
        match self.random.random_range(0..6) {
            0 | 1 => one.to_owned(),
            2 => format!("{one} * 3 + 1"),
            3 => format!("{one} + 2 * {other}"),
            4 => format!("CASE WHEN {one} > {limit} THEN {other} + 100 ELSE 7 END"),
            _ => format!("coalesce(nullif({one}, {limit}), {other} + 50)"),
        }
    }

    fn base(&mut self) -> Relation {
        let (table, columns) = &TABLES[self.random.random_range(0..TABLES.len())];
        let names: Vec<String> = columns.iter().map(|_| self.name()).collect();
        let columns = columns.iter().zip(&names).map(|(column, name)| format!("{column} AS {name}")).collect::<Vec<_>>().join(", ");
        Relation { sql: format!("SELECT {columns} FROM {table}"), columns: names }
    }

    fn relation(&mut self, depth: usize) -> Relation {
        if depth == 0 {
            return self.base();
        }
        match self.random.random_range(0..7) {
            0 => self.computed(depth),
            1 => self.filtered(depth),
            2 => self.joined(depth),
            3 => self.grouped(depth),
            4 => self.union(depth),
            5 => self.windowed(depth),
            _ => self.with_subquery(depth),
        }
    }

    fn computed(&mut self, depth: usize) -> Relation {
        let input = self.relation(depth - 1);
        let columns: Vec<String> = (0..self.random.random_range(1..4)).map(|_| self.name()).collect();
        let list = columns.iter().map(|name| format!("{} AS {name}", self.expression(&input.columns))).collect::<Vec<_>>().join(", ");
        Relation { sql: format!("SELECT {list} FROM ({}) {}", input.sql, self.name()), columns }
    }

    fn filtered(&mut self, depth: usize) -> Relation {
        let input = self.relation(depth - 1);
        let (column, limit) = (self.pick(&input.columns).to_owned(), self.random.random_range(1..6));
        Relation { sql: format!("SELECT * FROM ({}) {} WHERE {column} > {limit}", input.sql, self.name()), columns: input.columns }
    }

    fn joined(&mut self, depth: usize) -> Relation {
        let (left, right) = (self.relation(depth - 1), self.base());
        let kind = ["JOIN", "LEFT JOIN", "FULL JOIN"][self.random.random_range(0..3)];
        let on = format!("{} = {}", self.pick(&left.columns), self.pick(&right.columns));
        let sql = format!("SELECT * FROM ({}) {} {kind} ({}) {} ON {on}", left.sql, self.name(), right.sql, self.name());
        Relation { sql, columns: left.columns.into_iter().chain(right.columns).collect() }
    }

    fn grouped(&mut self, depth: usize) -> Relation {
        let input = self.relation(depth - 1);
        let (group, value) = self.two(&input.columns);
        let having = if self.random.random_bool(0.3) { format!(" HAVING sum({value}) > 4") } else { String::new() };
        let columns = vec![self.name(), self.name()];
        let sql = format!(
            "SELECT {group} AS {}, sum({value} + 1) AS {} FROM ({}) {} GROUP BY {group}{having}",
            columns[0],
            columns[1],
            input.sql,
            self.name()
        );
        Relation { sql, columns }
    }

    fn union(&mut self, depth: usize) -> Relation {
        let (one, other) = (self.relation(depth - 1), self.base());
        let kind = if self.random.random_bool(0.7) { "UNION ALL" } else { "UNION" };
        let name = self.name();
        let sql = format!(
            "SELECT {} AS {name} FROM ({}) {} {kind} SELECT {} FROM ({}) {}",
            self.pick(&one.columns),
            one.sql,
            self.name(),
            self.pick(&other.columns),
            other.sql,
            self.name()
        );
        Relation { sql, columns: vec![name] }
    }

    fn windowed(&mut self, depth: usize) -> Relation {
        let input = self.relation(depth - 1);
        let (part, value) = self.two(&input.columns);
        let columns = vec![self.name(), self.name()];
        let sql = format!(
            "SELECT {value} AS {}, sum({value} + 1) OVER (PARTITION BY {part}) AS {} FROM ({}) {}",
            columns[0],
            columns[1],
            input.sql,
            self.name()
        );
        Relation { sql, columns }
    }

    fn with_subquery(&mut self, depth: usize) -> Relation {
        let (input, inner) = (self.relation(depth - 1), self.base());
        let (column, key, alias, below) =
            (self.pick(&input.columns).to_owned(), self.pick(&inner.columns).to_owned(), self.name(), self.name());
        let limit = self.random.random_range(2..6);
        let filter = match self.random.random_range(0..3) {
            0 => format!("{column} IN (SELECT {key} FROM ({}) {below} WHERE {} > {limit})", inner.sql, self.pick(&inner.columns)),
            1 => format!("EXISTS (SELECT 1 FROM ({}) {below} WHERE {key} = {column})", inner.sql),
            _ => format!("{column} * 14 > (SELECT sum({key}) FROM ({}) {below})", inner.sql),
        };
        Relation { sql: format!("SELECT * FROM ({}) {alias} WHERE {filter}", input.sql), columns: input.columns }
    }
}

/// The values of each column of the result, in no order.
#[expect(clippy::disallowed_methods, reason = "a test of what queries mean needs no policy")]
async fn run(sql: &str, data: &Data) -> Vec<Vec<Option<i64>>> {
    let batches = context(data).sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")).collect().await.unwrap();
    let columns = batches.first().map_or(0, RecordBatch::num_columns);
    let sorted = |index: usize| {
        let mut values: Vec<Option<i64>> = batches
            .iter()
            .flat_map(|batch| {
                let column = arrow::compute::cast(batch.column(index), &DataType::Int64).unwrap();
                column.as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
            })
            .collect();
        values.sort_unstable();
        values
    };
    (0..columns).map(sorted).collect()
}

fn locate(scan: &TableScan) -> Option<(ProductRef, PortName)> {
    let version = Version { major: 1, minor: 0, patch: 0 };
    let name = ProductName::parse(scan.table_name.table()).unwrap();
    Some((ProductRef { domain: DomainName::parse("d").unwrap(), name, version }, PortName::parse("p").unwrap()))
}

fn names(lineage: &Lineage, output: usize, table: &str, column: &str) -> bool {
    lineage.columns[output]
        .sources
        .iter()
        .chain(&lineage.rows)
        .any(|source| source.field == column && lineage.inputs[source.input].product.name.as_str() == table)
}

#[tokio::test]
async fn what_changes_a_result_is_named_by_its_lineage() {
    let queries = std::env::var("MESHGATE_LINEAGE_QUERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(QUERIES);
    let mut random = StdRng::seed_from_u64(60);
    let (mut claims, mut seen, mut missing) = (0_usize, 0_usize, Vec::new());
    for number in 0..queries {
        let depth = 1 + number % 4;
        let relation = Maker { random: &mut random, names: 0 }.relation(depth);
        let sql = format!("SELECT {} FROM ({}) z", relation.columns.join(", "), relation.sql);
        let data: Data = TABLES.iter().map(|(_, columns)| columns.iter().map(|_| values(&mut random)).collect()).collect();
        let state = context(&data).state();
        let plan = state.create_logical_plan(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).unwrap();
        let lineage = trace(&plan, &locate);
        assert!(lineage.complete, "{sql}");
        let before = run(&sql, &data).await;
        for (at, (table, columns)) in TABLES.iter().enumerate() {
            for (index, column) in columns.iter().enumerate() {
                let mut changed = vec![false; relation.columns.len()];
                for _ in 0..CHANGES {
                    let mut other = data.clone();
                    other[at][index] = values(&mut random);
                    let after = run(&sql, &other).await;
                    let absent = Vec::new();
                    for (output, changed) in changed.iter_mut().enumerate() {
                        *changed |= before.get(output).unwrap_or(&absent) != after.get(output).unwrap_or(&absent);
                    }
                }
                for (output, changed) in changed.into_iter().enumerate() {
                    let named = names(&lineage, output, table, column);
                    claims += usize::from(named);
                    seen += usize::from(named && changed);
                    if changed && !named {
                        missing.push(format!("{sql}\n  column {output} changes with {table}.{column}, which is not named"));
                    }
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(seen * 100 >= claims * 60, "only {seen} of {claims} claims were seen to have an effect");
}
