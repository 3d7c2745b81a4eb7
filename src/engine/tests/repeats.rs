//! Statements that come again: each run is decided, opened and recorded as if it were the first.

use crate::error::SqlState;

use super::world::TestWorld;
use crate::ports::tests::Database;

#[tokio::test]
async fn a_known_plan_holds_for_other_values_and_other_files() {
    let world = TestWorld::new();
    let mut reader = world.session("reader", &["pii_authorized"]);
    reader.rows("PREPARE p AS SELECT full_name FROM crm.people WHERE id = $1").await.unwrap();
    for (id, name) in [("1", "Ada"), ("2", "Bob"), ("1", "Ada")] {
        assert_eq!(reader.rows(&format!("EXECUTE p({id})")).await.unwrap(), [name]);
    }
    assert!(world.knows("WHERE id = $1"));
    assert!(reader.rows("EXECUTE p(NULL)").await.unwrap().is_empty());
    world.write_data("id,full_name,tier\n1,Cleo,gold\n");
    assert_eq!(reader.rows("EXECUTE p(1)").await.unwrap(), ["Cleo"]);
    assert!(reader.rows("EXECUTE p(2)").await.unwrap().is_empty());
    world.remove_data();
    assert_ne!(reader.rows("EXECUTE p(1)").await.unwrap_err().sqlstate, SqlState::INTERNAL_ERROR);
}

#[tokio::test]
async fn a_plan_is_known_for_whole_numbers_of_a_narrower_type_too() {
    let world = TestWorld::new();
    let mut reader = world.session("reader", &["pii_authorized"]);
    for (statement, declared) in [("small", "int2"), ("medium", "int4"), ("large", "int8")] {
        let query = format!("SELECT full_name FROM crm.people AS {statement} WHERE id = $1");
        reader.rows(&format!("PREPARE {statement}({declared}) AS {query}")).await.unwrap();
        for (id, name) in [("1", "Ada"), ("2", "Bob"), ("1", "Ada")] {
            assert_eq!(reader.rows(&format!("EXECUTE {statement}({id})")).await.unwrap(), [name]);
            assert!(world.knows(&query), "{declared}");
        }
        assert!(reader.rows(&format!("EXECUTE {statement}(-1)")).await.unwrap().is_empty());
        assert!(reader.rows(&format!("EXECUTE {statement}(NULL)")).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_condition_that_a_value_made_needless_is_back_for_the_next() {
    let world = TestWorld::new();
    let mut reader = world.session("reader", &[]);
    reader.rows("PREPARE p AS SELECT id FROM crm.people WHERE id < 2 AND id < $1").await.unwrap();
    reader.rows("PREPARE q AS SELECT id FROM crm.people WHERE id = $1 OR id = $2").await.unwrap();
    for _ in 0..2 {
        assert!(reader.rows("EXECUTE p(1)").await.unwrap().is_empty());
        assert_eq!(reader.rows("EXECUTE p(20)").await.unwrap(), ["1"]);
        assert_eq!(reader.rows("EXECUTE q(1, 1)").await.unwrap(), ["1"]);
        assert_eq!(reader.rows("EXECUTE q(2, 1)").await.unwrap(), ["1", "2"]);
    }
}

#[tokio::test]
async fn a_known_plan_is_nobodys_permission() {
    let world = TestWorld::new();
    let query = "SELECT full_name FROM crm.people WHERE id = 1";
    let tier = "SELECT tier FROM crm.people WHERE id = 1";
    let (mut reader, mut guest) = (world.session("reader", &["pii_authorized"]), world.session("guest", &[]));
    for _ in 0..2 {
        assert_eq!(reader.rows(query).await.unwrap(), ["Ada"]);
        assert_eq!(guest.rows(query).await.unwrap_err().sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
        assert_eq!(guest.rows(tier).await.unwrap(), ["gold"]);
    }
    assert!(world.knows(query) && world.knows(tier));
    world.make_personal("tier");
    assert_eq!(guest.rows(tier).await.unwrap_err().sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(reader.rows(query).await.unwrap(), ["Ada"]);
    assert!(!world.knows(tier));
}

#[tokio::test]
async fn a_known_plan_is_of_what_may_be_found() {
    let world = TestWorld::new();
    // The second of March, at 20:00.
    world.hide_unless("time.now_ns() < 1772481600000000000");
    let mut guest = world.session("guest", &[]);
    let query = "SELECT tier FROM crm.people WHERE id = 1";
    guest.rows(&format!("PREPARE p AS {query}")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(guest.rows(query).await.unwrap(), ["gold"]);
    }
    assert!(world.knows(query));
    world.pass(2);
    for hidden in [query, "EXECUTE p", "SELECT tier FROM crm.people WHERE id = 2"] {
        assert_eq!(guest.rows(hidden).await.unwrap_err().sqlstate, SqlState::UNDEFINED_TABLE, "{hidden}");
    }
    world.hide_unless("input.subject.purpose == \"billing\"");
    for (purpose, found) in [("billing", true), ("none", false), ("billing", true)] {
        guest.rows(&format!("SET meshgate.purpose = '{purpose}'")).await.unwrap();
        assert_eq!(guest.rows(query).await.is_ok(), found, "{purpose}");
    }
}

#[tokio::test]
async fn what_hangs_on_the_moment_or_the_session_is_planned_each_time() {
    let world = TestWorld::new();
    let mut reader = world.session("reader", &["pii_authorized"]);
    for query in [
        "SELECT now()",
        "SELECT 'now'::timestamptz",
        "SELECT 'today'::date",
        "SELECT 'n'\n'ow'::timestamptz",
        "SELECT E'n\\x6fw'::timestamptz AS moment",
        "SELECT U&'to\\0064ay'::date AS day",
        "SELECT timestamp 'tomorrow' FROM crm.people",
        "SELECT id FROM crm.people WHERE '2026-01-01'::date < 'yester'\n'day'",
        "SELECT random()",
        "SELECT current_setting('TimeZone')",
        "SELECT current_user FROM crm.people",
        "SELECT relname FROM pg_class",
        "SELECT a.id FROM crm.people a JOIN crm.people b ON a.id = b.id",
        "SELECT (SELECT max(id) FROM crm.people)",
    ] {
        reader.rows(query).await.unwrap();
        assert!(!world.knows(query), "{query}");
    }
    let zone = "SELECT 1 WHERE '2026-01-01 00:00+00'::timestamptz < '2026-01-01 00:30'::timestamptz";
    assert_eq!(reader.rows(zone).await.unwrap(), ["1"]);
    reader.rows("SET TimeZone = 'Asia/Tokyo'").await.unwrap();
    assert!(reader.rows(zone).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_word_that_is_no_moment_where_it_stands_is_known() {
    let world = TestWorld::new();
    let mut reader = world.session("reader", &["pii_authorized"]);
    for query in ["SELECT 'now' AS today", "SELECT E'now'", "SELECT id FROM crm.people WHERE tier = 'today'", "SELECT '2026-01-01'::date"] {
        reader.rows(query).await.unwrap();
        assert!(world.knows(query), "{query}");
    }
}

#[tokio::test]
async fn each_run_of_a_known_plan_leaves_its_records() {
    let world = TestWorld::new();
    let mut reader = world.session("reader", &["pii_authorized"]);
    for _ in 0..3 {
        assert_eq!(reader.rows("SELECT 1").await.unwrap(), ["1"]);
        assert_eq!(reader.rows("SELECT full_name FROM crm.people WHERE id = 2").await.unwrap(), ["Bob"]);
    }
    let events = world.lineage().await;
    let complete: Vec<_> = events.iter().filter(|event| event["eventType"] == "COMPLETE").collect();
    assert_eq!(complete.len(), 3);
    let facets = |event: &serde_json::Value| event["inputs"][0]["facets"].clone();
    assert!(complete.iter().all(|event| facets(event) == facets(complete[0])));
    let records = world.records().await;
    let opened = records.records_of("statement_opened");
    let read = opened.iter().filter(|record| record["products"].as_array().is_some_and(|products| products.len() == 1));
    assert_eq!((opened.len(), read.count(), records.records_of("decision").len()), (6, 3, 3));
    let closed = records.records_of("statement_closed");
    assert!(closed.len() == 6 && closed.iter().all(|record| record["outcome"] == "completed" && record["rows"] == 1), "{closed:?}");
}

#[tokio::test]
async fn a_constant_is_refused_where_nothing_can_be_recorded() {
    let world = TestWorld::new();
    let mut reader = world.session("reader", &[]);
    assert_eq!(reader.rows("SELECT 1").await.unwrap(), ["1"]);
    let _closed = world.records().await;
    assert!(reader.rows("SELECT 1").await.is_err());
}

#[tokio::test]
async fn a_setting_that_expressions_hang_on_is_part_of_the_key() {
    let world = TestWorld::new();
    let mut reader = world.session("reader", &[]);
    let query = "SELECT EXTRACT(month FROM '01/02/2026'::date)::int";
    let over = "SELECT EXTRACT(month FROM '01/02/2026'::date)::int FROM crm.people WHERE id = 1";
    for (style, month) in [("ISO, MDY", "1"), ("ISO, DMY", "2"), ("ISO, MDY", "1")] {
        reader.rows(&format!("SET datestyle = '{style}'")).await.unwrap();
        for _ in 0..2 {
            assert_eq!(reader.rows(query).await.unwrap(), [month], "{style}");
            assert_eq!(reader.rows(over).await.unwrap(), [month], "{style}");
        }
    }
    // Texts of dates are made in one style only; another is refused, known plan or not.
    let text = "SELECT '2026-02-01'::date::text";
    assert_eq!(reader.rows(text).await.unwrap(), ["2026-02-01"]);
    reader.rows("SET datestyle = 'German'").await.unwrap();
    assert_eq!(reader.rows(text).await.unwrap_err().sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_computes_hides_what_is_to_be_hidden_now() {
    let Some(database) = Database::from_environment().await else { return };
    let rows = (1..=6).map(|id| {
        let tier = if id % 2 == 0 { "gold" } else { "silver" };
        vec![Some(id.to_string()), Some(tier.to_owned()), Some(format!("2026-02-{:02}", id * 4))]
    });
    database.create("dated_people", "id int8, tier text, created_at timestamp", &rows.collect::<Vec<_>>()).await;
    let world = TestWorld::over_table(&database.location("dated_people"), &database.login());
    let mut reader = world.session("reader", &[]);
    let (all, newest, of_tier) = (
        "SELECT count(*), sum(id), avg(id), min(created_at) FROM crm.people",
        "SELECT id FROM crm.people ORDER BY created_at DESC LIMIT 2",
        "SELECT tier, count(*) FROM crm.people WHERE id < $1 GROUP BY tier ORDER BY tier",
    );
    reader.rows(&format!("PREPARE p AS {of_tier}")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(reader.lines(all).await.unwrap(), ["6|21|3.5000000000000000|2026-02-04T00:00:00"]);
        assert_eq!(reader.lines(newest).await.unwrap(), ["6", "5"]);
        assert_eq!(reader.lines("EXECUTE p(4)").await.unwrap(), ["gold|1", "silver|2"]);
        assert_eq!(reader.lines("EXECUTE p(6)").await.unwrap(), ["gold|2", "silver|3"]);
    }
    assert!(world.knows(all) && world.knows(newest) && world.knows("id < $1"));
    // The first two are older than thirty days then.
    world.pass(10);
    assert_eq!(reader.lines(all).await.unwrap(), ["4|18|4.5000000000000000|2026-02-12T00:00:00"]);
    assert_eq!(reader.lines("EXECUTE p(4)").await.unwrap(), ["silver|1"]);
    world.erase(["6", "3"]);
    for _ in 0..2 {
        assert_eq!(reader.lines(all).await.unwrap(), ["2|9|4.5000000000000000|2026-02-16T00:00:00"]);
        assert_eq!(reader.lines(newest).await.unwrap(), ["5", "4"]);
        assert_eq!(reader.lines("EXECUTE p(6)").await.unwrap(), ["gold|1", "silver|1"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_tells_what_a_server_computes_where_no_row_may_be_hidden() {
    let Some(database) = Database::from_environment().await else { return };
    database.create("undated_people", "id int8, tier text, created_at timestamp", &[]).await;
    let world = TestWorld::over_table(&database.location("undated_people"), &database.login());
    let mut reader = world.session("reader", &[]);
    let mut told = async |sql: &str| reader.rows(&format!("EXPLAIN {sql}")).await.unwrap().join("\n");
    let of = |table: &str| (format!("SELECT max(id) FROM crm.{table}"), format!("SELECT tier FROM crm.{table} ORDER BY id LIMIT 3"));
    let (aggregate, first) = of("old_people");
    assert!(told(&aggregate).await.contains("Done by Source: Partial Aggregate"));
    assert!(told(&first).await.contains("Done by Source: Sort, Limit"));
    assert!(!told("SELECT max(length(tier)) FROM crm.old_people").await.contains("Done by Source"));
    let (aggregate, first) = of("people");
    assert!(!told(&aggregate).await.contains("Done by Source") && !told(&first).await.contains("Done by Source"));
}
