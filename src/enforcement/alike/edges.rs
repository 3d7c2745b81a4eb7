//! Values at the edges of their types: a server that tests, orders, joins and sums them answers as the engine does over the same rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;

use super::{absorbs, bucket, deferred};
use crate::enforcement::testing::{World, field_name};
use crate::policy::{Mask, Obligations, Outcome};
use crate::ports::tests::{Database, field, ports, product};
use crate::ports::{PortOptions, Ports};
use crate::product::{DataType, Field, FieldName, PortFormat};

/// Columns: their types there and in the contract, and what stands in their rows.
fn columns() -> Vec<(&'static str, &'static str, DataType, Vec<&'static str>)> {
    let decimal = |precision, scale| DataType::Decimal { precision, scale };
    vec![
        ("i2", "int2", DataType::Int16, vec!["-32768", "32767", "0", "-1", "1"]),
        ("i4", "int4", DataType::Int64, vec!["-2147483648", "2147483647", "0", "-1", "1"]),
        ("i8", "int8", DataType::Int64, vec!["-9223372036854775808", "9223372036854775807", "0", "-1", "1"]),
        ("f4", "float4", DataType::Float32, vec!["NaN", "Infinity", "-Infinity", "0", "-0", "1.5", "1e-40", "-1.5"]),
        ("f8", "float8", DataType::Float64, vec!["NaN", "Infinity", "-Infinity", "0", "-0", "1.5", "5e-324", "-1.5"]),
        ("num", "numeric(12,2)", decimal(12, 2), vec!["0", "-0.01", "9999999999.99", "-9999999999.99", "0.10", "1.50", "1.5"]),
        ("unl", "numeric", decimal(30, 6), vec!["0", "-0.000001", "123456789012345678901234", "1.5", "1.500000", "10"]),
        (
            "t",
            "text",
            DataType::String,
            vec!["", " ", "a", "A", "a ", "ä", "a\u{308}", "Z", "z", "ß", "ss", "日本", "a%b", "a_b", "a\\b", "\\", "a\nb", "\u{7f}", "𝄞"],
        ),
        ("v", "varchar(5)", DataType::String, vec!["", " ", "a", "A", "a ", "ä", "B", "b", "_", "%"]),
        ("c", "char(4)", DataType::String, vec!["", "a", "a b", " a", "ab", "B", "ä"]),
        ("b", "bool", DataType::Boolean, vec!["t", "f"]),
        (
            "d",
            "date",
            DataType::Date,
            vec!["0001-01-01", "1582-10-15", "1970-01-01", "1969-12-31", "2000-01-01", "9999-12-31", "0044-03-15 BC"],
        ),
        ("tm", "time", DataType::Time, vec!["00:00", "23:59:59.999999", "12:00", "12:00:00.000001"]),
        (
            "ts",
            "timestamp",
            DataType::Timestamp,
            vec![
                "0001-01-01 00:00:00",
                "1969-12-31 23:59:59.999999",
                "1970-01-01",
                "2000-01-01",
                "9999-12-31 23:59:59.999999",
                "2026-03-29 02:30:00",
            ],
        ),
        (
            "tz",
            "timestamptz",
            DataType::TimestampTz,
            vec![
                "0001-01-01 00:00:00+00",
                "1970-01-01 00:00+00",
                "2026-03-29 02:30:00+01",
                "2026-03-29 01:30:00+00",
                "9999-12-31 23:59:59.999999+00",
            ],
        ),
        (
            "u",
            "uuid",
            DataType::Uuid,
            vec!["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-4000-8000-00000000000a"],
        ),
        ("by", "bytea", DataType::Bytes, vec!["", "\\x00", "\\xff", "\\x00ff", "\\x61"]),
    ]
}

/// What columns are compared with, by their names.
fn literals(column: &str) -> Vec<&'static str> {
    match column {
        "i2" => vec!["CAST(-32768 AS smallint)", "CAST(0 AS smallint)", "CAST(32767 AS smallint)"],
        "i4" | "i8" => vec!["CAST(0 AS bigint)", "9223372036854775807", "CAST(-1 AS bigint)", "2147483648"],
        "f4" => vec!["CAST(0 AS real)", "CAST(1.5 AS real)", "CAST('NaN' AS real)", "CAST('-Infinity' AS real)", "CAST('1e-40' AS real)"],
        "f8" => vec!["0.0e0", "CAST(-1.5 AS double)", "CAST('NaN' AS double)", "CAST('Infinity' AS double)", "CAST('5e-324' AS double)"],
        "num" => vec!["CAST(0 AS decimal(12, 2))", "CAST(1.5 AS decimal(12, 2))", "CAST(-0.01 AS decimal(12, 2))"],
        "unl" => vec!["CAST(1.5 AS decimal(30, 6))", "CAST(0 AS decimal(30, 6))"],
        "t" | "v" | "c" => vec!["''", "' '", "'a'", "'A'", "'a '", "'ä'", "'z'", "'日本'", "'\\'", "'a\\b'", "'B'", "'é'"],
        "d" => vec!["DATE '1970-01-01'", "DATE '0001-01-01'", "DATE '9999-12-31'"],
        "tm" => vec!["TIME '12:00:00'", "TIME '23:59:59.999999'"],
        "ts" => vec![
            "arrow_cast('1970-01-01T00:00:00', 'Timestamp(Microsecond, None)')",
            "arrow_cast('2026-03-29T02:30:00', 'Timestamp(Microsecond, None)')",
        ],
        "tz" => vec![
            "arrow_cast('2026-03-29T01:30:00Z', 'Timestamp(Microsecond, Some(\"+00:00\"))')",
            "arrow_cast('1970-01-01T00:00:00Z', 'Timestamp(Microsecond, Some(\"+00:00\"))')",
        ],
        "u" => vec!["'00000000-0000-4000-8000-00000000000a'", "'00000000-0000-4000-8000-00000000000A'", "''"],
        "by" => vec!["X''", "X'00'", "X'61'"],
        _ => vec!["TRUE", "FALSE"],
    }
}

const PATTERNS: &[&str] = &[
    "''", "'%'", "'_'", "'__'", "'a%'", "'%a'", "'a_'", "'%b'", "'a\\%b'", "'a\\_b'", "'%\\'", "'\\\\'", "'_本'", "'ä'", "'A%'", "' %'",
    "'% '", "'a%b'", "'_%_'", "'%\n%'",
];

/// Every comparison of every column.
fn conditions() -> Vec<String> {
    let mut all = Vec::new();
    for (column, _, _, _) in columns() {
        let literals = literals(column);
        for literal in &literals {
            for op in ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"] {
                all.push(format!("{column} {op} {literal}"));
            }
            all.push(format!("NOT ({column} = {literal}) OR {column} IS NULL"));
        }
        all.push(format!("{column} IN ({})", literals.join(", ")));
        all.push(format!("{column} NOT IN ({})", literals[1..].join(", ")));
        all.push(format!("{column} NOT IN ({}, NULL)", literals[0]));
        if column != "b" {
            all.push(format!("{column} BETWEEN {} AND {}", literals[0], literals[literals.len() - 1]));
            all.push(format!("{column} NOT BETWEEN {} AND {}", literals[literals.len() - 1], literals[0]));
        }
        all.extend([format!("{column} IS NULL"), format!("{column} IS NOT NULL")]);
    }
    for column in ["t", "v", "c"] {
        for pattern in PATTERNS {
            all.extend(["LIKE", "NOT LIKE"].map(|like| format!("{column} {like} {pattern}")));
        }
    }
    for (one, other) in [("t", "v"), ("t", "c"), ("v", "c"), ("i4", "i8"), ("i2", "i2"), ("f8", "f8"), ("num", "num"), ("d", "d")] {
        all.extend(["=", "<>", "<", ">="].map(|op| format!("{one} {op} {other}")));
    }
    all.extend(["b", "NOT b", "b IS TRUE", "b IS NOT TRUE", "b IS FALSE", "b IS NOT FALSE"].map(str::to_owned));
    all
}

/// Orders, groups, extremes, sums and joins of every column.
fn statements() -> Vec<String> {
    let mut all = Vec::new();
    for (column, _, _, _) in columns() {
        for order in ["", " DESC", " NULLS FIRST", " DESC NULLS LAST"] {
            all.push(format!("SELECT {column}, id FROM people ORDER BY {column}{order}, id LIMIT 7"));
        }
        all.push(format!("SELECT {column}, count(*), count(i4) FROM people GROUP BY {column} ORDER BY {column}, 2"));
        all.push(format!("SELECT count({column}), count(DISTINCT {column}) FROM people"));
        all.push(format!("SELECT count(*), min(p.id), max(c.id) FROM people p JOIN colleagues c ON p.{column} = c.{column}"));
        all.push(format!("SELECT count(*), max(p.id) FROM people p LEFT JOIN colleagues c ON p.{column} = c.{column} WHERE p.id < 20"));
        if column != "by" && column != "u" {
            all.push(format!("SELECT min({column}), max({column}) FROM people"));
            all.push(format!("SELECT b, min({column}), max({column}) FROM people GROUP BY b ORDER BY b"));
        }
        if ["i2", "i4", "num", "unl"].contains(&column) {
            all.push(format!("SELECT sum({column}), avg({column}) FROM people"));
        }
    }
    for (one, other) in [("t", "v"), ("t", "c"), ("v", "c"), ("i2", "i8"), ("i4", "i8")] {
        all.push(format!("SELECT count(*), min(p.id), max(c.id) FROM people p JOIN colleagues c ON p.{one} = c.{other}"));
    }
    all
}

/// The table at the server, its rows in memory, and the table by COPY.
async fn worlds(folder: &tempfile::TempDir) -> Option<[(&'static str, World); 3]> {
    let database = Database::from_environment().await?;
    let columns = columns();
    let most = columns.iter().map(|(_, _, _, values)| values.len()).max().unwrap();
    // Each column goes through its values and begins each turn elsewhere, so that they meet in many ways.
    let row = |id: usize| {
        let value = |(at, (_, _, _, values)): (usize, &(_, _, _, Vec<&str>))| {
            let turn = values.len() + 1;
            values.get((id + id / turn * at) % turn).map(|value| (*value).to_owned())
        };
        std::iter::once(Some(id.to_string())).chain(columns.iter().enumerate().map(value)).collect::<Vec<_>>()
    };
    let rows: Vec<_> = (0..most * 4).map(row).collect();
    let there: Vec<String> = columns.iter().map(|(name, pg_type, _, _)| format!("{name} {pg_type}")).collect();
    database.create("edges", &format!("id int8, {}", there.join(", ")), &rows).await;
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let mut fields: Vec<Field> = vec![field("id", DataType::Int64)];
    fields.extend(columns.into_iter().map(|(name, _, data_type, _)| field(name, data_type)));
    let contract = product(PortFormat::Postgres, &database.location("edges"), Some(fields));
    let root = folder.path().to_owned();
    let options = PortOptions { data_root: root.clone(), credentials_root: Some(root), postgres_bulk_pages: 1, ..PortOptions::default() };
    let table = deferred(ports(folder.path(), false), contract.clone());
    let copied = deferred(Ports::new(options), contract);
    let context = SessionContext::new();
    let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
    let batches: Vec<RecordBatch> = execute_stream(plan, context.task_ctx()).unwrap().try_collect().await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows.len());
    let memory: Arc<dyn TableProvider> = Arc::new(MemTable::try_new(table.schema(), vec![batches]).unwrap());
    let world = |source| World::over(source, SessionConfig::new().with_target_partitions(2), tempfile::tempdir().unwrap());
    Some([("memory", world(&memory)), ("postgres", world(&table)), ("postgres by COPY", world(&copied))])
}

/// The lines of an answer in an order of their own, or that there is none.
fn sorted(answer: Result<String, String>) -> Option<Vec<String>> {
    let mut lines: Vec<String> = answer.ok()?.lines().map(str::to_owned).collect();
    lines.sort();
    Some(lines)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_tests_alike_at_the_edges_of_types() {
    let folder = tempfile::tempdir().unwrap();
    let Some([(_, memory), (_, asked), (_, copied)]) = worlds(&folder).await else { return };
    let policy = Obligations::default();
    let mut wrong = Vec::new();
    for (round, condition) in conditions().into_iter().enumerate() {
        let sql = format!("SELECT id FROM people WHERE {condition}");
        // Values travel with most of them, and stand in some.
        let there = if round % 4 == 0 { &copied } else { &asked };
        let (here, there) = (sorted(memory.answer(&sql, &policy).await), sorted(there.answer(&sql, &policy).await));
        if here != there {
            wrong.push(format!("{sql}\n{here:?}\n{there:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_masks_alike_at_the_edges_of_types() {
    let folder = tempfile::tempdir().unwrap();
    let Some(worlds) = worlds(&folder).await else { return };
    let periods = [Mask::TruncateToYear, Mask::TruncateToMonth];
    for (round, widths) in [["1", "10", "3"], ["10", "7", "1000"], ["32767", "2147483647", "9223372036854775807"]].iter().enumerate() {
        let mut masks: BTreeMap<FieldName, Mask> =
            ["i2", "i4", "i8"].iter().zip(widths).map(|(column, width)| (field_name(column), bucket(width))).collect();
        masks.extend(["d", "ts", "tz"].map(|column| (field_name(column), periods[round % 2].clone())));
        let policy = Obligations { masks, ..Obligations::default() };
        let sql = "SELECT id, i2, i4, i8, d, ts, tz, num FROM people";
        let mut answers = Vec::new();
        for (_, world) in &worlds {
            answers.push(sorted(world.answer(sql, &policy).await));
        }
        assert!(answers[0].is_some() && answers.iter().all(|answer| *answer == answers[0]), "{widths:?}: {answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_orders_groups_and_joins_alike_at_the_edges_of_types() {
    let folder = tempfile::tempdir().unwrap();
    let Some([(_, memory), (_, asked), _]) = worlds(&folder).await else { return };
    let policy = Obligations::default();
    let (mut wrong, mut absorbed) = (Vec::new(), 0);
    for sql in statements() {
        let plan = asked.physical(&sql, &Outcome::Allow(policy.clone())).await;
        absorbed += usize::from(plan.as_ref().is_ok_and(absorbs));
        let there = match plan {
            Ok(plan) => asked.run(plan).await.ok(),
            Err(_) => None,
        };
        let here = memory.answer(&sql, &policy).await.ok();
        if here != there {
            wrong.push(format!("{sql}\n{here:?}\n{there:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n\n"));
    assert!(absorbed > 50, "{absorbed} statements were taken over");
}
