//! Behaviour of the connector against a real server.

mod bulk;
mod connections;
mod waiting;

use super::fixture::Database;
use crate::ports::tests::{Ask, field, message, open, ports, product, refusal, rows, run, scan, texts};
use crate::ports::{Coarsening, coarsened};
use crate::product::{DataType, PortFormat};
use datafusion::prelude::SessionContext;
use futures::StreamExt;

#[tokio::test]
async fn a_server_that_is_down_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), "nobody:nothing").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let down = product(PortFormat::Postgres, &format!("postgres://127.0.0.1:{port}/db/public/t"), Some(vec![field("id", DataType::Int64)]));
    let (code, text) = refusal(&ports(folder.path(), false), &down).await;
    assert_eq!(code, "HV00N");
    assert!(!text.contains("127.0.0.1") && text.contains("\"shop/orders\""), "{text}");
}

#[tokio::test]
async fn a_port_without_credentials_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let table = product(PortFormat::Postgres, "postgres://127.0.0.1:1/db/public/t", None);
    assert_eq!(refusal(&ports(folder.path(), false), &table).await.0, "HV00N");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_table_is_an_error() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let absent = product(PortFormat::Postgres, &database.location("absent"), Some(vec![field("id", DataType::Int64)]));
    assert_eq!(refusal(&ports(folder.path(), false), &absent).await.0, "58030");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_do_not_fit_are_errors() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let ports = ports(folder.path(), false);
    let decimal = DataType::Decimal { precision: 10, scale: 2 };
    let cases = [("numeric", "NaN", decimal.clone()), ("numeric", "1.234", decimal), ("timestamptz", "infinity", DataType::TimestampTz)];
    for (pg_type, value, data_type) in cases {
        database.create("unfit", &format!("v {pg_type}"), &[vec![Some(value.to_owned())]]).await;
        let table = product(PortFormat::Postgres, &database.location("unfit"), Some(vec![field("v", data_type)]));
        let (code, text) = refusal(&ports, &table).await;
        assert_eq!(code, "XX001", "{pg_type} {value}");
        assert!(text.contains("\"v\"") && !text.contains(value), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_beyond_the_shared_ones_arrive() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let list = |element| DataType::List(Box::new(element));
    let schema = vec![
        field("ints", list(DataType::Int64)),
        field("words", list(DataType::String)),
        field("raw", DataType::Bytes),
        field("span", DataType::Interval),
        field("doc", DataType::Json),
        field("mood", DataType::String),
        field("amount", DataType::Decimal { precision: 20, scale: 4 }),
    ];
    database.run("DROP TYPE IF EXISTS public.mood CASCADE; CREATE TYPE public.mood AS ENUM ('calm', 'cross')").await;
    let columns = "ints int4[], words varchar(9)[], raw bytea, span interval, doc jsonb, mood public.mood, amount numeric(8, 4)";
    let texts = ["{1,NULL,3}", "{a,\"b c\"}", "\\x00ff", "1 month 2 days 00:00:03", "{\"a\": 1}", "calm", "-12.3400"];
    let nulls = vec![None; texts.len()];
    let empty = [Some("{}"), Some("{}"), Some(""), None, None, None, Some("0")];
    let value_rows =
        [texts.iter().map(|text| Some((*text).to_owned())).collect(), nulls, empty.iter().map(|text| text.map(str::to_owned)).collect()];
    database.create("kinds", columns, &value_rows).await;
    let table = product(PortFormat::Postgres, &database.location("kinds"), Some(schema));
    let found = rows(&ports(folder.path(), false), &table).await.unwrap();
    assert_eq!(
        found,
        [
            "NULL|NULL|NULL|NULL|NULL|NULL|NULL",
            "[1, NULL, 3]|[a, b c]|00ff|1 mons 2 days 3.000000000 secs|{\"a\": 1}|calm|-12.3400",
            "[]|[]||NULL|NULL|NULL|0.0000",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_of_the_server_alone_are_told_by_their_texts() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let ports = ports(folder.path(), false);
    let kinds = [
        ("inet", "10.0.0.1/8", "10.0.0.1/8"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/8"),
        ("macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:03"),
        ("bit(3)", "101", "101"),
        ("varbit", "10", "10"),
        ("timetz", "10:30:00+02", "10:30:00+02"),
        ("xml", "<a>b</a>", "<a>b</a>"),
        ("tsvector", "fat cat", "'cat' 'fat'"),
        ("int4range", "[1,5]", "[1,6)"),
        ("tstzrange", "[2026-01-01 00:00+02,)", "[\"2025-12-31 22:00:00+00\",)"),
        ("nummultirange", "{[1,2]}", "{[1,2]}"),
        ("point", "(1,2.5)", "(1,2.5)"),
        ("oid", "4000000000", "4000000000"),
        ("interval[]", "{1 day}", "[1 days]"),
        ("uuid[]", "{00000000-0000-4000-8000-000000000001}", "[00000000-0000-4000-8000-000000000001]"),
        ("timestamptz[]", "{2026-01-01 00:00+00,NULL}", "[2026-01-01T00:00:00Z, NULL]"),
        ("numeric(8,2)[]", "{1.50}", "[1.50]"),
    ];
    for (pg_type, value, shown) in kinds {
        database.create("told", &format!("v {pg_type}"), &[vec![Some(value.to_owned())]]).await;
        // Without a schema, the columns are the source's own.
        let table = product(PortFormat::Postgres, &database.location("told"), None);
        assert_eq!(rows(&ports, &table).await.unwrap(), [shown], "{pg_type}");
    }
    for (data_type, code) in
        [(Some(DataType::Decimal { precision: 12, scale: 2 }), "HV021"), (Some(DataType::String), "HV021"), (None, "0A000")]
    {
        database.create("priced", "v money", &[vec![Some("1.50".to_owned())]]).await;
        let schema = data_type.map(|data_type| vec![field("v", data_type)]);
        let (found, text) = refusal(&ports, &product(PortFormat::Postgres, &database.location("priced"), schema)).await;
        assert!(found == code && text.contains("\"v\"") && !text.contains("1.50"), "{found} {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_partitions_domains_and_enums_are_read() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let ports = ports(folder.path(), false);
    database.create("root", "id int8", &[]).await;
    let root = database.table("root");
    let schema = root.split('.').next().unwrap();
    database
        .run(&format!(
            "DROP TABLE {root}; CREATE DOMAIN {schema}.amount AS numeric(8, 2); CREATE TYPE {schema}.mood AS ENUM ('calm', 'cross'); \
             CREATE TABLE {root} (id int8, paid {schema}.amount, moods {schema}.mood[]) PARTITION BY RANGE (id); \
             CREATE TABLE {schema}.low PARTITION OF {root} FOR VALUES FROM (0) TO (10); \
             CREATE TABLE {schema}.high PARTITION OF {root} DEFAULT; \
             INSERT INTO {root} VALUES (1, 1.5, '{{calm,NULL}}'), (11, 2, NULL); \
             CREATE VIEW {schema}.seen AS SELECT * FROM {root}; CREATE MATERIALIZED VIEW {schema}.kept AS SELECT * FROM {root}"
        ))
        .await;
    let columns = || {
        let amount = DataType::Decimal { precision: 8, scale: 2 };
        vec![field("id", DataType::Int64), field("paid", amount), field("moods", DataType::List(Box::new(DataType::String)))]
    };
    for relation in ["root", "seen", "kept"] {
        let table = product(PortFormat::Postgres, &database.location(relation), Some(columns()));
        assert_eq!(rows(&ports, &table).await.unwrap(), ["11|2.00|NULL", "1|1.50|[calm, NULL]"], "{relation}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn domains_are_what_they_stand_for_at_last() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let ports = ports(folder.path(), false);
    database.create("typed", "id int8", &[]).await;
    let name = database.table("typed");
    let schema = name.split('.').next().unwrap();
    database
        .run(&format!(
            "DROP TABLE {name}; CREATE DOMAIN {schema}.price AS numeric(8, 2); CREATE DOMAIN {schema}.low AS {schema}.price CHECK (VALUE < 100); \
             CREATE TYPE {schema}.hue AS ENUM ('red', 'blue'); CREATE DOMAIN {schema}.shade AS {schema}.hue; CREATE DOMAIN {schema}.ids AS int4[]; \
             CREATE TYPE {schema}.pair AS (a int4, b text); CREATE TYPE {schema}.span AS RANGE (subtype = float8); \
             CREATE TABLE {name} (nested {schema}.low, hue {schema}.shade, ids {schema}.ids, lows {schema}.low[], hues {schema}.shade[], \
                                  pair {schema}.pair, span {schema}.span, pairs {schema}.pair[]); \
             INSERT INTO {name} VALUES (1.5, 'red', '{{1,NULL}}', '{{2,3.25}}', '{{blue,NULL}}', (1, 'x'), '[1,2]', NULL); INSERT INTO {name} DEFAULT VALUES"
        ))
        .await;
    let list = |element| DataType::List(Box::new(element));
    let decimal = DataType::Decimal { precision: 8, scale: 2 };
    let kinds = [
        ("nested", decimal.clone(), "1.50"),
        ("hue", DataType::String, "red"),
        ("ids", list(DataType::Int64), "[1, NULL]"),
        ("lows", list(decimal), "[2.00, 3.25]"),
        ("hues", list(DataType::String), "[blue, NULL]"),
    ];
    for (column, data_type, shown) in kinds {
        let table = product(PortFormat::Postgres, &database.location("typed"), Some(vec![field(column, data_type)]));
        let mut expected = [shown, "NULL"];
        expected.sort_unstable();
        assert_eq!(rows(&ports, &table).await.unwrap(), expected, "{column}");
    }
    let narrow = product(
        PortFormat::Postgres,
        &database.location("typed"),
        Some(vec![field("nested", DataType::Decimal { precision: 7, scale: 2 })]),
    );
    assert_eq!(refusal(&ports, &narrow).await.0, "HV021");
    for column in ["pair", "span", "pairs"] {
        let table = product(PortFormat::Postgres, &database.location("typed"), Some(vec![field(column, DataType::String)]));
        let (code, text) = refusal(&ports, &table).await;
        assert!(code == "HV021" && text.contains(column) && !text.contains("(1,x)"), "{code} {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_is_an_error_and_the_next_scan_works() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let ports = ports(folder.path(), false);
    database.create("long", "id int8, pad text", &[]).await;
    let name = database.table("long");
    database.run(&format!("INSERT INTO {name} SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i")).await;
    let product =
        product(PortFormat::Postgres, &database.location("long"), Some(vec![field("id", DataType::Int64), field("pad", DataType::String)]));
    let table = open(&ports, &product).await.unwrap();
    let context = datafusion::prelude::SessionContext::new();
    let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
    let mut stream = datafusion::physical_plan::execute_stream(plan, context.task_ctx()).unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    let kill = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'meshgate' AND query LIKE '%{}%'",
        name.replace('.', "\".\"")
    );
    database.run(&kill).await;
    let mut last = None;
    while let Some(batch) = stream.next().await {
        last = Some(batch);
    }
    assert_eq!(message(&last.unwrap().unwrap_err()).0, "08006");
    let counted = scan(&table, &Ask { projection: Some(vec![0]), ..Ask::default() }).await.unwrap();
    assert_eq!(counted.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 50_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_scan_stops_at_the_server() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let ports = ports(folder.path(), false);
    database.create("base", "id int8", &[]).await;
    let (view, base) = (database.table("slow_view"), database.table("base"));
    database
        .run(&format!("CREATE OR REPLACE VIEW {view} AS SELECT id, pg_sleep(60)::text AS nap FROM {base}; INSERT INTO {base} VALUES (1)"))
        .await;
    let product = product(
        PortFormat::Postgres,
        &database.location("slow_view"),
        Some(vec![field("id", DataType::Int64), field("nap", DataType::String)]),
    );
    let table = open(&ports, &product).await.unwrap();
    let context = datafusion::prelude::SessionContext::new();
    let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
    let mut stream = datafusion::physical_plan::execute_stream(plan, context.task_ctx()).unwrap();
    let waited = tokio::time::timeout(std::time::Duration::from_millis(300), stream.next()).await;
    assert!(waited.is_err());
    drop(stream);
    let running = format!(
        "DO $$ BEGIN FOR i IN 1..100 LOOP PERFORM pg_stat_clear_snapshot(); IF NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'meshgate' \
         AND state = 'active' AND query LIKE '%{}%') THEN RETURN; END IF; PERFORM pg_sleep(0.05); END LOOP; RAISE 'still running'; END $$",
        view.replace('.', "\".\"")
    );
    database.run(&running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_changes_after_it_was_opened_is_an_error() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let ports = ports(folder.path(), false);
    let name = database.table("drift");
    for change in ["ALTER COLUMN b TYPE text", "DROP COLUMN b", "RENAME COLUMN b TO c"] {
        database.create("drift", "a int8, b int8, extra text", &[vec![Some("1".to_owned()), Some("2".to_owned()), None]]).await;
        let schema = vec![field("a", DataType::Int64), field("b", DataType::Int64)];
        let table = open(&ports, &product(PortFormat::Postgres, &database.location("drift"), Some(schema))).await.unwrap();
        assert_eq!(scan(&table, &Ask::default()).await.unwrap()[0].num_columns(), 2);
        database.run(&format!("ALTER TABLE {name} {change}")).await;
        let (code, text) = message(&scan(&table, &Ask::default()).await.unwrap_err());
        assert_eq!((code.as_str(), text.contains("\"b\"")), ("HV021", true), "{change}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_read_only() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    database.create("facts", "id int8", &[]).await;
    let view = database.table("settings_view");
    database
        .run(&format!(
            "CREATE OR REPLACE VIEW {view} AS SELECT current_setting('transaction_read_only') AS ro, current_setting('TimeZone') AS tz, \
             current_setting('application_name') AS app"
        ))
        .await;
    let schema = ["ro", "tz", "app"].map(|name| field(name, DataType::String)).to_vec();
    let table = product(PortFormat::Postgres, &database.location("settings_view"), Some(schema));
    assert_eq!(rows(&ports(folder.path(), false), &table).await.unwrap(), ["on|UTC|meshgate"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_sends_no_finer_values_than_are_asked_for() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let values = ["-32768", "-7", "2026-05-17", "0044-03-15 BC", "2026-05-17 13:45", "2025-12-31 23:30-02"];
    let rows = [values.map(|value| Some(value.to_owned())).to_vec(), vec![None; values.len()]];
    database.create("coarse", "s int2, n int4, d date, old date, ts timestamp, tz timestamptz", &rows).await;
    let kinds = [DataType::Int16, DataType::Int64, DataType::Date, DataType::Date, DataType::Timestamp, DataType::TimestampTz];
    let schema = ["s", "n", "d", "old", "ts", "tz"].iter().zip(kinds).map(|(name, kind)| field(name, kind)).collect();
    let product = product(PortFormat::Postgres, &database.location("coarse"), Some(schema));
    let table = open(&ports(folder.path(), false), &product).await.unwrap();
    let context = SessionContext::new();
    let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
    let wanted =
        [Coarsening::Multiple(10), Coarsening::Multiple(10), Coarsening::Month, Coarsening::Year, Coarsening::Year, Coarsening::Year];
    let plan = coarsened(plan, &wanted.into_iter().enumerate().collect::<Vec<_>>());
    let found = texts(&run(plan, &context).await.unwrap());
    // A year that the server would count otherwise is sent as it is.
    let coarse = "NULL|-10|2026-05-01|-0043-03-15|2026-01-01T00:00:00|2026-01-01T00:00:00Z";
    assert_eq!(found, [coarse, "NULL|NULL|NULL|NULL|NULL|NULL"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_more_digits_than_a_contract_has_are_refused() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let ports = ports(folder.path(), false);
    database.create("wide", "v numeric(50, 2)", &[vec![Some("1.25".to_owned())]]).await;
    let widest = field("v", DataType::Decimal { precision: 38, scale: 2 });
    for (schema, refused) in [(Some(vec![widest]), "HV021"), (None, "0A000")] {
        let (code, text) = refusal(&ports, &product(PortFormat::Postgres, &database.location("wide"), schema)).await;
        assert_eq!((code.as_str(), text.contains("\"v\"")), (refused, true), "{text}");
    }
}
