//! The schema `mesh`: an auditor sees all, everyone else their own, whatever way they ask.

use crate::engine::reply::Reply;
use crate::error::SqlState;

use super::NAMES;
use super::world::{TestSession, TestWorld};

/// A world in which `reader` has read names and `guest` has been denied them.
async fn lived_in() -> TestWorld {
    let world = TestWorld::new();
    world.session("reader", &["pii_authorized"]).rows(NAMES).await.unwrap();
    world.session("guest", &[]).rows(NAMES).await.unwrap_err();
    world
}

fn auditor(world: &TestWorld) -> TestSession {
    world.session("ann", &["auditor"])
}

#[tokio::test]
async fn an_auditor_sees_everybodys_rows_and_others_their_own() {
    let world = lived_in().await;
    for relation in ["access_log", "decisions", "lineage"] {
        let who = format!("SELECT DISTINCT principal FROM mesh.{relation} WHERE statement_class = 'query' ORDER BY 1");
        let all = auditor(&world).rows(&who).await.unwrap();
        assert!(all.contains(&"reader".to_owned()) && all.contains(&"guest".to_owned()), "{relation}: {all:?}");
        assert_eq!(world.session("guest", &[]).rows(&who).await.unwrap(), ["guest"], "{relation}");
        assert_eq!(world.session("reader", &["pii_authorized"]).rows(&who).await.unwrap(), ["reader"], "{relation}");
    }
}

#[tokio::test]
async fn no_way_of_asking_tells_of_others_rows() {
    let world = lived_in().await;
    let mut guest = world.session("guest", &[]);
    for statement in [
        "SELECT principal FROM mesh.access_log WHERE principal = 'reader'",
        "SELECT principal FROM mesh.access_log WHERE principal <> 'guest' OR 1 / (CASE WHEN principal = 'reader' THEN 0 ELSE 1 END) = 0",
        "SELECT DISTINCT a.principal FROM mesh.access_log a JOIN mesh.lineage l ON l.principal <> 'guest'",
        "SELECT principal FROM mesh.decisions WHERE principal IN (SELECT principal FROM mesh.access_log) AND principal <> 'guest'",
        "SELECT max(principal) FROM mesh.lineage WHERE principal > 'guest' HAVING count(*) > 0",
        "SELECT principal FROM mesh.pii_reads",
        "SELECT principal FROM mesh.consumers WHERE principal <> 'guest'",
        "SELECT principal FROM mesh.denials WHERE principal <> 'guest'",
        "WITH a AS (SELECT * FROM mesh.access_log) SELECT principal FROM a WHERE principal <> current_user",
        "SELECT l.principal FROM mesh.access_log a, LATERAL (SELECT * FROM mesh.lineage l WHERE l.day = a.day) l WHERE l.principal <> 'guest'",
    ] {
        let rows = guest.rows(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        assert_eq!(rows, Vec::<String>::new(), "{statement}");
    }
    guest.rows("PREPARE p AS SELECT DISTINCT principal FROM mesh.access_log").await.unwrap();
    assert_eq!(guest.rows("EXECUTE p").await.unwrap(), ["guest"]);
    guest.rows("BEGIN").await.unwrap();
    guest.rows("DECLARE c CURSOR FOR SELECT DISTINCT principal FROM mesh.lineage").await.unwrap();
    assert_eq!(guest.rows("FETCH ALL FROM c").await.unwrap(), ["guest"]);
    guest.rows("COMMIT").await.unwrap();
    assert_eq!(guest.rows("COPY (SELECT DISTINCT principal FROM mesh.decisions) TO STDOUT").await.unwrap(), ["guest"]);
    let plan = guest.lines("EXPLAIN SELECT * FROM mesh.access_log").await.unwrap().join("\n");
    assert!(!plan.contains("reader") && !plan.contains("principal ="), "{plan}");
}

#[tokio::test]
async fn the_views_answer_their_questions() {
    let world = lived_in().await;
    let mut ann = auditor(&world);
    let pii = "SELECT principal, product, column_name, masked, outcome FROM mesh.pii_reads";
    assert_eq!(ann.lines(pii).await.unwrap(), ["reader|people|full_name|false|completed"]);
    let denials = "SELECT principal, product, array_length(reasons, 1) FROM mesh.denials";
    assert_eq!(ann.lines(denials).await.unwrap(), ["guest|people|1"]);
    let consumers = "SELECT principal, statements FROM mesh.consumers WHERE product = 'people'";
    assert_eq!(ann.lines(consumers).await.unwrap(), ["reader|1"]);
    assert_eq!(ann.rows("SELECT product FROM mesh.unused_products").await.unwrap(), ["old-people"]);
    let unused = "SELECT column_name FROM mesh.unused_columns WHERE product = 'people' ORDER BY 1";
    assert_eq!(ann.rows(unused).await.unwrap(), ["id", "tier"]);
    // Whoever is no auditor is told of their own reading.
    let unused = "SELECT product FROM mesh.unused_products ORDER BY 1";
    assert_eq!(world.session("guest", &[]).rows(unused).await.unwrap(), ["old-people", "people"]);
}

#[tokio::test]
async fn the_contracts_are_there_without_locations() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    let products = "SELECT product, table_name, owner, dataset_urn FROM mesh.products WHERE product = 'people'";
    let urn = "urn:li:dataset:(urn:li:dataPlatform:meshgate,crm.people.people_files,PROD)";
    assert_eq!(guest.lines(products).await.unwrap(), [format!("people|people|crm-team|{urn}")]);
    let ports = "SELECT port, format, is_default, table_name FROM mesh.ports WHERE product = 'people' ORDER BY 1";
    assert_eq!(guest.lines(ports).await.unwrap(), ["people_files|csv|true|people", "people_stream|avro|false|"]);
    let columns = "SELECT column_name, data_type, pii, primary_key FROM mesh.columns WHERE product = 'people' ORDER BY position";
    assert_eq!(guest.lines(columns).await.unwrap(), ["id|int64|false|true", "full_name|string|true|false", "tier|string|false|false"]);
    let policies = "SELECT rule, column_name, setting FROM mesh.policies WHERE product = 'people'";
    assert_eq!(guest.lines(policies).await.unwrap(), ["personal_data|full_name|deny"]);
    for relation in ["products", "ports", "columns", "policies"] {
        let all = guest.lines(&format!("SELECT * FROM mesh.{relation}")).await.unwrap().join("\n");
        assert!(!all.contains("people.csv"), "{relation}: {all}");
    }
}

#[tokio::test]
async fn reading_the_records_is_recorded_and_decided() {
    let world = lived_in().await;
    auditor(&world).rows("SELECT count(*) FROM mesh.pii_reads").await.unwrap();
    let records = world.records().await;
    let schema = jsonschema::validator_for(&crate::audit::schema()).unwrap();
    for record in records.records() {
        assert!(schema.is_valid(&record), "{record}");
    }
    let opened = records.records_of("statement_opened");
    let read = opened.last().unwrap();
    assert_eq!((&read["products"][0]["domain"], &read["products"][0]["product"]), (&"mesh".into(), &"lineage".into()));
    let decided = records.records_of("decision");
    assert_eq!(decided.last().unwrap()["rules"][0], "gateway.auditor");
    assert_eq!(records.records_of("statement_closed").last().unwrap()["outcome"], "completed");
}

#[tokio::test]
async fn a_statement_is_running_until_it_has_ended() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    let own = "SELECT sql, outcome IS NULL FROM mesh.access_log";
    // It begins to read while its record is on its way, and may find that or not.
    let seen = guest.lines(own).await.unwrap();
    assert!(seen.is_empty() || seen == [format!("{own}|true")], "{seen:?}");
    let ended = format!("SELECT outcome, rows FROM mesh.access_log WHERE outcome IS NOT NULL AND sql = '{own}'");
    // Its closing record is on its way, too.
    let mut found = Vec::new();
    for _ in 0..500 {
        found = guest.lines(&ended).await.unwrap();
        if !found.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(found, [format!("completed|{}", seen.len())]);
}

#[tokio::test]
async fn everyone_finds_the_relations_in_the_catalog_and_each_has_the_columns_that_it_lists() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    let listed = guest.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'mesh' ORDER BY 1").await.unwrap();
    assert_eq!(listed.len(), world.own_relations().len());
    for (entry, _) in world.own_relations() {
        let name = &entry.table;
        let text = format!("SELECT * FROM mesh.{name} LIMIT 1");
        let statements = guest.session.parse(&text).await.unwrap();
        let Reply::Rows(rows) = guest.session.run(&statements[0]).await.unwrap() else { panic!("no rows: {name}") };
        let columns: Vec<String> = rows.columns.iter().map(|column| format!("{} {:?}", column.name, column.pg_type)).collect();
        drop(rows);
        guest.session.sync();
        let declared = entry.located.product.schema.as_deref().unwrap().iter();
        let declared: Vec<String> =
            declared.map(|field| format!("{} {:?}", field.name, crate::catalog::PgType::of_contract(&field.data_type))).collect();
        assert_eq!(columns, declared, "{name}");
    }
}

#[tokio::test]
async fn nobody_writes_to_the_records() {
    let world = lived_in().await;
    for statement in ["DELETE FROM mesh.access_log", "INSERT INTO mesh.decisions SELECT * FROM mesh.decisions", "TRUNCATE mesh.lineage"] {
        let refusal = auditor(&world).rows(statement).await.unwrap_err();
        assert!(
            matches!(refusal.sqlstate, SqlState::READ_ONLY_SQL_TRANSACTION | SqlState::FEATURE_NOT_SUPPORTED),
            "{statement}: {refusal:?}"
        );
    }
}

#[tokio::test]
async fn whose_rows_are_seen_is_explained() {
    let world = lived_in().await;
    let explain = "EXPLAIN POLICY SELECT principal FROM mesh.access_log";
    let own = world.session("guest", &[]).lines(explain).await.unwrap();
    assert!(own.iter().any(|line| line.contains("filter") && line.contains("gateway.own_rows") && line.ends_with("engine")), "{own:?}");
    let all = auditor(&world).lines(explain).await.unwrap();
    assert!(!all.iter().any(|line| line.contains("filter")), "{all:?}");
}
