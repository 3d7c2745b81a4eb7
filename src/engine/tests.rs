//! What a session does with a statement, over a small world: who may and who may not, and what each leaves in the records.

mod memory;
mod mesh;
mod repeats;
mod whole_rows;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::SqlState;

use super::reply::TransactionStatus;
use super::stream::Stop;
use world::TestWorld;

const NAMES: &str = "SELECT full_name FROM crm.people ORDER BY 1";

#[tokio::test]
async fn who_may_reads_and_who_may_not_is_refused_and_told_whom_to_ask() {
    let world = TestWorld::new();
    assert_eq!(world.session("reader", &["pii_authorized"]).rows(NAMES).await.unwrap(), ["Ada", "Bob"]);
    let denied = world.session("guest", &[]).rows(NAMES).await.unwrap_err();
    assert_eq!(denied.sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!((denied.names.table.as_deref(), denied.names.column.as_deref()), (Some("people"), Some("full_name")));
    assert!(denied.hint.is_some_and(|hint| hint.contains("crm-team")));
}

#[tokio::test]
async fn a_denial_covers_every_way_to_run_a_query() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    for statement in [
        NAMES.to_owned(),
        format!("EXPLAIN {NAMES}"),
        format!("EXPLAIN ANALYZE {NAMES}"),
        format!("COPY ({NAMES}) TO STDOUT"),
        "SELECT count(*) FROM crm.people WHERE full_name = 'Ada'".to_owned(),
        "SELECT (SELECT max(full_name) FROM crm.people)".to_owned(),
        "WITH p AS (SELECT full_name AS n FROM crm.people) SELECT count(*) FROM p GROUP BY n".to_owned(),
    ] {
        assert_eq!(guest.rows(&statement).await.unwrap_err().sqlstate, SqlState::INSUFFICIENT_PRIVILEGE, "{statement}");
    }
    guest.rows(&format!("PREPARE p AS {NAMES}")).await.unwrap();
    assert_eq!(guest.rows("EXECUTE p").await.unwrap_err().sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
    guest.rows("BEGIN").await.unwrap();
    guest.rows(&format!("DECLARE c CURSOR FOR {NAMES}")).await.unwrap();
    assert_eq!(guest.rows("FETCH 1 FROM c").await.unwrap_err().sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(guest.status(), TransactionStatus::Failed);
}

#[tokio::test]
async fn a_policy_is_explained_to_who_may_read_and_to_who_may_not() {
    let world = TestWorld::new();
    let explain = format!("EXPLAIN POLICY {}", NAMES.replace("full_name", "full_name, id"));
    let denied = world.session("guest", &[]).lines(&explain).await.unwrap();
    assert_eq!(denied.len(), 2, "{denied:?}");
    assert!(
        denied[0].starts_with("crm/people|people_files|id|allow|read as it is|data_mesh.governance.allow|governance.rego|"),
        "{denied:?}"
    );
    let reason = "full_name|deny|column \"full_name\" of data product \"crm/people\" is personal data|data_mesh.governance.pii_access|governance.rego|";
    assert!(denied[1].contains(reason), "{denied:?}");
    let granted = world.session("reader", &["pii_authorized"]).lines(&explain).await.unwrap();
    assert!(
        granted[1].contains("full_name|allow|read as it is, by a grant|data_mesh.governance.fieldGrants|governance.rego|"),
        "{granted:?}"
    );
    let records = world.records().await;
    let classes: Vec<_> = records.records_of("statement_opened").iter().map(|record| record["statement_class"].clone()).collect();
    assert_eq!(classes, ["explain_policy", "explain_policy"]);
    assert!(records.records_of("statement_closed").iter().all(|record| record["outcome"] == "completed" && record["rows"] == 0));
}

#[tokio::test]
async fn only_auditors_have_a_policy_explained_for_others() {
    let world = TestWorld::new();
    let explain = |user: &str| format!("EXPLAIN POLICY AS {user} {NAMES}");
    let mut reader = world.session("reader", &["pii_authorized"]);
    assert!(reader.lines(&explain("reader")).await.unwrap()[0].contains("|allow|"));
    // The same words whether there is such a login or not.
    let refusals = [reader.lines(&explain("guest")).await.unwrap_err(), reader.lines(&explain("no_one")).await.unwrap_err()];
    let [known, unknown] = refusals.map(|refusal| {
        assert_eq!(refusal.sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
        (refusal.message.replace("guest", "no_one"), refusal.detail, refusal.hint)
    });
    assert_eq!(known, unknown);
    let mut auditor = world.session("auditor", &["policy_auditor", "pii_authorized"]);
    assert!(auditor.lines(&explain("guest")).await.unwrap()[0].contains("full_name|deny|"));
    assert!(auditor.lines(&explain("auditor")).await.unwrap()[0].contains("full_name|allow|"));
    assert_eq!(auditor.lines(&explain("no_one")).await.unwrap_err().sqlstate, SqlState::UNDEFINED_OBJECT);
}

#[tokio::test]
async fn a_denial_comes_before_the_port_is_opened() {
    let world = TestWorld::new();
    world.remove_data();
    assert_eq!(world.session("guest", &[]).rows(NAMES).await.unwrap_err().sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
    let mut reader = world.session("reader", &["pii_authorized"]);
    let missing = reader.rows(NAMES).await.unwrap_err();
    assert_ne!(missing.sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
    reader.rows(&format!("PREPARE p AS {NAMES}")).await.unwrap();
}

#[tokio::test]
async fn every_statement_opens_and_closes_once_whatever_becomes_of_it() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    let statements = [
        ("SELECT tier FROM crm.people", "query", "completed"),
        (NAMES, "query", "denied"),
        ("SELECT nope FROM crm.people", "query", "failed"),
        ("SELECT 1/(id - id) FROM crm.people", "query", "failed"),
        ("DELETE FROM crm.people", "refused", "failed"),
        ("SELEC 1", "invalid", "failed"),
        ("SET application_name = 'x'", "setting", "completed"),
        ("SHOW timezone", "setting", "completed"),
        ("BEGIN", "transaction", "completed"),
        ("COMMIT", "transaction", "completed"),
        ("EXECUTE nope", "prepared", "failed"),
        ("EXPLAIN SELECT tier FROM crm.people", "explain", "completed"),
    ];
    for (statement, _, outcome) in statements {
        assert_eq!(guest.rows(statement).await.is_ok(), outcome == "completed", "{statement}");
    }
    drop(guest);
    let records = world.records().await;
    let opened = records.records_of("statement_opened");
    let closed = records.records_of("statement_closed");
    assert_eq!((opened.len(), closed.len()), (statements.len(), statements.len()));
    for (opening, (statement, class, outcome)) in opened.iter().zip(statements) {
        assert_eq!((&opening["sql"], &opening["statement_class"]), (&statement.into(), &class.into()));
        let closing = closed.iter().find(|closing| closing["query_id"] == opening["query_id"]).unwrap();
        assert_eq!(closing["outcome"], outcome, "{statement}");
    }
    let decided: Vec<_> = records.records_of("decision").iter().map(|decision| decision["outcome"].clone()).collect();
    assert_eq!(decided, ["allow", "deny", "allow", "allow"]);
}

#[tokio::test]
async fn a_statement_that_is_dropped_at_its_first_wait_is_recorded() {
    dropped_midway_is_recorded(|_| true).await;
}

#[tokio::test]
async fn a_statement_that_is_dropped_while_its_record_becomes_durable_is_recorded() {
    dropped_midway_is_recorded(TestWorld::writes_an_opening).await;
}

async fn dropped_midway_is_recorded(is_far_enough: fn(&TestWorld) -> bool) {
    let world = TestWorld::new();
    let mut reader = world.session("reader", &["pii_authorized"]);
    world.hold_records(true);
    reader.drop_midway(NAMES, || is_far_enough(&world)).await;
    drop(reader);
    world.hold_records(false);
    let records = world.records().await;
    assert_eq!(records.records_of("statement_opened").len(), 1);
    assert_eq!(records.records_of("statement_closed")[0]["outcome"], "aborted");
}

#[tokio::test]
async fn lineage_names_what_was_read() {
    let world = TestWorld::new();
    world.session("guest", &[]).rows("SELECT count(*) FROM crm.people WHERE tier = 'gold'").await.unwrap();
    let events = world.lineage().await;
    let types: Vec<_> = events.iter().map(|event| event["eventType"].clone()).collect();
    assert_eq!(types, ["START", "COMPLETE"]);
    assert!(events[1].to_string().contains("people") && !events[1].to_string().contains("full_name"), "{}", events[1]);
}

#[tokio::test]
async fn now_is_the_clock_of_the_transaction_in_the_zone_of_the_session() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    guest.rows("SET timezone = 'Asia/Tokyo'").await.unwrap();
    assert_eq!(guest.rows("SELECT current_date::text").await.unwrap(), ["2026-03-02"]);
    assert_eq!(guest.rows("SELECT (now() = TIMESTAMP WITH TIME ZONE '2026-03-01T20:00:00Z')::text").await.unwrap(), ["true"]);
}

#[tokio::test]
async fn a_text_of_several_statements_is_one_transaction() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    guest.rows("SET application_name = 'a'; SELECT 1/0").await.unwrap_err();
    assert_eq!(guest.rows("SHOW application_name").await.unwrap(), [""]);
    let rows = guest.rows("DECLARE c CURSOR FOR SELECT tier FROM crm.people ORDER BY 1; FETCH 1 FROM c").await.unwrap();
    assert_eq!(rows, ["gold"]);
    assert_eq!(guest.rows("FETCH 1 FROM c").await.unwrap_err().sqlstate, SqlState::INVALID_CURSOR_NAME);
}

#[tokio::test]
async fn a_cursor_with_hold_outlives_its_transaction_and_a_later_rollback() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    let tiers = "FOR SELECT tier FROM crm.people ORDER BY 1";
    guest.rows(&format!("BEGIN; DECLARE kept CURSOR WITH HOLD {tiers}; DECLARE gone CURSOR {tiers}; COMMIT")).await.unwrap();
    guest.rows(&format!("BEGIN; DECLARE undone CURSOR WITH HOLD {tiers}; ROLLBACK")).await.unwrap();
    assert_eq!(guest.rows("FETCH 2 FROM kept").await.unwrap(), ["gold", "silver"]);
    for name in ["gone", "undone"] {
        assert_eq!(guest.rows(&format!("FETCH 1 FROM {name}")).await.unwrap_err().sqlstate, SqlState::INVALID_CURSOR_NAME, "{name}");
    }
}

#[tokio::test]
async fn open_cursors_do_not_keep_other_queries_out() {
    let world = TestWorld::new();
    let mut first = world.session("guest", &[]);
    first.rows("BEGIN; DECLARE a CURSOR FOR SELECT tier FROM crm.people ORDER BY 1; FETCH 1 FROM a").await.unwrap();
    first.rows("DECLARE b CURSOR FOR SELECT tier FROM crm.people; FETCH 1 FROM b").await.unwrap();
    assert_eq!(world.session("guest", &[]).rows("SELECT 1::text").await.unwrap(), ["1"]);
    assert_eq!(first.rows("FETCH 1 FROM a").await.unwrap(), ["silver"]);
}

#[tokio::test]
async fn statements_portals_and_cursors_have_limits() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    guest.rows("BEGIN").await.unwrap();
    for number in 0..world::PORTALS_MAX {
        guest.rows(&format!("DECLARE c{number} CURSOR FOR SELECT 1")).await.unwrap();
    }
    assert_eq!(guest.rows("DECLARE more CURSOR FOR SELECT 1").await.unwrap_err().sqlstate, SqlState::CONFIGURATION_LIMIT_EXCEEDED);
}

#[tokio::test]
async fn what_cursors_keep_is_of_the_sessions_budget() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    // A third of the memory that there is.
    let long = format!("SELECT 1 /* {} */", "a ".repeat(110_000));
    guest.rows("BEGIN").await.unwrap();
    for name in ["a", "b"] {
        guest.rows(&format!("DECLARE {name} CURSOR WITH HOLD FOR {long}")).await.unwrap();
    }
    guest.rows("COMMIT; CLOSE a").await.unwrap();
    for name in ["c", "d"] {
        guest.rows(&format!("DECLARE {name} CURSOR WITH HOLD FOR {long}")).await.unwrap();
        guest.rows(&format!("CLOSE {name}")).await.unwrap();
    }
    guest.rows(&format!("DECLARE e CURSOR WITH HOLD FOR {long}")).await.unwrap();
    let refused = guest.rows(&format!("DECLARE f CURSOR WITH HOLD FOR {long}")).await.unwrap_err();
    assert_eq!(refused.sqlstate, SqlState::OUT_OF_MEMORY);
    assert_eq!(guest.rows("FETCH 1 FROM e").await.unwrap(), ["1"]);
}

#[tokio::test]
async fn a_statement_that_was_to_end_is_told_so_wherever_its_planning_is() {
    let world = TestWorld::new();
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let stop_cause =
        move || counted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err().then_some(Stop::Cancelled);
    let mut guest = world.session_until("guest", &[], Arc::new(stop_cause));
    for statement in [
        "SELECT to_char(a.id, '999'), a.id * b.id % 7 FROM crm.people a, crm.people b WHERE a.id * 2 <> 5",
        "SELECT sum(id) OVER (ORDER BY id), lpad(tier, id::int), id BETWEEN 1 AND 2.5 FROM crm.people",
        "SELECT '2 days'::interval * id, CASE WHEN id > 1 THEN id / 2.0 ELSE 1 END, tier || id, ARRAY[id, 2] FROM crm.people",
    ] {
        let mut enough = 0_usize;
        loop {
            looks.store(enough, Ordering::SeqCst);
            let Err(message) = guest.rows(statement).await else { break };
            assert_eq!(message.sqlstate, SqlState::QUERY_CANCELED, "{statement} after {enough} looks: {}", message.message);
            enough += 1 + enough / 8;
        }
        assert!(enough > 3, "nobody looked");
    }
}

#[tokio::test]
async fn execute_cannot_lead_back_to_itself() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    guest.session.prepare("b", "SELECT 1", &[]).await.unwrap();
    guest.session.prepare("a", "EXECUTE b", &[]).await.unwrap();
    guest.session.close_statement("b");
    guest.session.prepare("b", "EXECUTE a", &[]).await.unwrap();
    assert_eq!(guest.rows("EXECUTE b").await.unwrap_err().sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
}

#[tokio::test]
async fn a_portal_and_a_cursor_cannot_share_a_name() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    guest.rows("BEGIN; DECLARE c CURSOR FOR SELECT 1").await.unwrap();
    guest.session.prepare("s", "SELECT 2", &[]).await.unwrap();
    assert_eq!(guest.session.bind("c", "s", &[]).await.unwrap_err().sqlstate, SqlState::DUPLICATE_CURSOR);
}

#[tokio::test]
async fn a_wrong_name_gets_a_hint_and_a_stream_says_what_to_query_instead() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    let hint = |message: crate::error::ClientMessage| (message.sqlstate, message.hint.unwrap_or_default());
    let (sqlstate, text) = hint(guest.rows("SELECT 1 FROM crm.peple").await.unwrap_err());
    assert_eq!((sqlstate, text.as_str()), (SqlState::UNDEFINED_TABLE, "Perhaps you meant the table \"crm.people\"."));
    let (sqlstate, text) = hint(guest.rows("SELECT 1 FROM crm.people__people_stream").await.unwrap_err());
    assert_eq!((sqlstate, text.as_str()), (SqlState::FEATURE_NOT_SUPPORTED, "Query crm.people instead."));
}

#[tokio::test]
async fn a_deprecated_product_answers_with_a_notice() {
    let world = TestWorld::new();
    let mut guest = world.session("guest", &[]);
    guest.rows("SELECT id FROM crm.old_people").await.unwrap();
    let notices: Vec<String> = guest.session.take_notices().into_iter().map(|notice| notice.message.message).collect();
    assert!(notices.iter().any(|notice| notice.contains("is deprecated since 2026-01-01")), "{notices:?}");
}

#[tokio::test]
async fn a_fault_of_ours_is_a_number_to_the_client() {
    let message = crate::error::ClientMessage::new(SqlState::INTERNAL_ERROR, "invariant x broke in /srv/data");
    let id = uuid::Uuid::from_u128(7);
    let told = super::fault::numbered(message, id);
    assert_eq!((told.message.as_str(), told.detail), ("internal error", Some(format!("The error has the id {id}."))));
}
