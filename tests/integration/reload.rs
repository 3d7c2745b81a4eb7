//! What changes on disk serves within a second, also in sessions that were open, statements that were prepared and cursors that were
//! declared before. What is not valid is not used, and the last valid state goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage, Statement};

use crate::eventually::eventually;
use crate::gateway::{Gateway, World};
use crate::records::records;

const CONTRACT: &str = "catalogs/customer/customer-360.yaml";
const RULES: &str = "policies/governance.rego";
const COUNT: &str = "SELECT count(*) FROM customer.customer_360";

/// The one value that a statement answers, or the SQLSTATE of its refusal.
async fn ask(client: &Client, sql: &str) -> Result<String, String> {
    let messages = client.simple_query(sql).await.map_err(state)?;
    let value = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    });
    Ok(value.unwrap_or_else(|| "no row".to_owned()))
}

fn state(error: tokio_postgres::Error) -> String {
    error.code().map_or_else(|| error.to_string(), |state| state.code().to_owned())
}

/// A session with everything in it that outlives a statement, all of it older than the change.
struct OpenSession {
    client: Client,
    prepared: Statement,
    sql: String,
}

impl OpenSession {
    /// `sql` answers one number.
    async fn new(gateway: &Gateway, user: &str, sql: &str) -> Self {
        let client = gateway.login(user).await;
        let prepared = client.prepare(sql).await.unwrap();
        client.batch_execute(&format!("PREPARE before AS {sql}; DECLARE before CURSOR WITH HOLD FOR {sql}")).await.unwrap();
        Self { client, prepared, sql: sql.to_owned() }
    }

    /// Every way to the answer gives this one, once a statement of the session does.
    async fn answers(&self, expected: Result<&str, &str>) {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        let what = format!("{} answers {expected:?}", self.sql);
        eventually(&what, async || (ask(&self.client, &self.sql).await == expected).then_some(())).await;
        let row = self.client.query_one(&self.prepared, &[]).await;
        assert_eq!(row.map(|row| row.get::<_, i64>(0).to_string()).map_err(state), expected, "prepared");
        assert_eq!(ask(&self.client, "EXECUTE before").await, expected, "EXECUTE");
        assert_eq!(ask(&self.client, "FETCH before").await, expected, "FETCH");
        // A cursor that has run keeps its rows; the next change needs one that has not.
        let declare = format!("CLOSE before; DECLARE before CURSOR WITH HOLD FOR {}", self.sql);
        if expected.is_ok() {
            self.client.batch_execute(&declare).await.unwrap();
        }
    }
}

/// Waits for the record of a reload.
async fn reloaded(world: &World, what: &str, outcome: &str) -> Value {
    let is = |record: &Value| record["kind"] == "reload" && record["what"] == what && record["outcome"] == outcome;
    let awaited = format!("{what} {outcome}");
    eventually(&awaited, async || records(world).into_iter().find(is)).await
}

async fn quickstart() -> (World, Gateway) {
    let world = World::quickstart();
    let gateway = world.serve().await;
    (world, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_policy_serves() {
    let (world, gateway) = quickstart().await;
    let session = OpenSession::new(&gateway, "analyst", COUNT).await;
    assert_eq!(ask(&session.client, COUNT).await.unwrap(), "2720");
    let rules = std::fs::read_to_string(world.path(RULES)).unwrap();
    let filter = "rowFilters contains {\"expression\": \"tier = 'gold'\"} if input.resource.product == \"customer-360\"";
    world.replace(RULES, &format!("{rules}\n{filter}\n"));
    session.answers(Ok("440")).await;
    let denial = "deny contains {\"rule\": \"closed\", \"msg\": \"closed\"} if input.resource.product == \"customer-360\"";
    world.replace(RULES, &format!("{rules}\n{denial}\n"));
    session.answers(Err("42501")).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_does_not_parse_changes_nothing() {
    let (world, gateway) = quickstart().await;
    let session = OpenSession::new(&gateway, "analyst", "SELECT count(full_name) FROM customer.customer_360").await;
    world.replace(RULES, "package data_mesh.governance\n\ndefault allow := true\n\nallow if {\n");
    assert!(reloaded(&world, "policies", "refused").await["faults"].as_u64() >= Some(1));
    session.answers(Err("42501")).await;
    assert_eq!(ask(&session.client, COUNT).await.unwrap(), "2720");
    // A folder without rules is no policy either.
    std::fs::remove_file(world.path(RULES)).unwrap();
    std::fs::remove_file(world.path("policies/governance_test.rego")).unwrap();
    let refusals = || records(&world).iter().filter(|record| record["what"] == "policies" && record["outcome"] == "refused").count();
    eventually("an empty folder is refused", async || (refusals() >= 2).then_some(())).await;
    session.answers(Err("42501")).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_contract_serves() {
    let (world, gateway) = quickstart().await;
    let sql = "SELECT count(*) FROM customer.customer_360 WHERE tier = 'gold'";
    let session = OpenSession::new(&gateway, "analyst", sql).await;
    let authorized = OpenSession::new(&gateway, "pii_analyst", sql).await;
    assert_eq!(ask(&session.client, sql).await.unwrap(), "440");
    world.edit(CONTRACT, "pii_fields: [email_hash, phone_hash, full_name]", "pii_fields: [email_hash, phone_hash, full_name, tier]");
    session.answers(Err("42501")).await;
    authorized.answers(Ok("440")).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_lowers_protection_or_is_wrong_changes_nothing() {
    let (world, gateway) = quickstart().await;
    let session = OpenSession::new(&gateway, "analyst", "SELECT count(full_name) FROM customer.customer_360").await;
    world.edit(CONTRACT, "pii_fields: [email_hash, phone_hash, full_name]", "pii_fields: [email_hash, phone_hash]");
    assert_eq!(reloaded(&world, "catalog", "refused").await["faults"].as_u64(), Some(1));
    session.answers(Err("42501")).await;
    let text = std::fs::read_to_string(world.path(CONTRACT)).unwrap();
    world.replace(CONTRACT, &text.replace("kind: DataProduct", "kind: Thing"));
    let refusals = || records(&world).iter().filter(|record| record["what"] == "catalog" && record["outcome"] == "refused").count();
    eventually("the wrong contract is refused", async || (refusals() >= 2).then_some(())).await;
    session.answers(Err("42501")).await;
    assert_eq!(ask(&session.client, COUNT).await.unwrap(), "2720");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_erased_is_gone() {
    let (world, gateway) = quickstart().await;
    let session = OpenSession::new(&gateway, "analyst", COUNT).await;
    let steward = OpenSession::new(&gateway, "steward", "SELECT count(*) FROM customer.customer_360 WHERE customer_id = 1001").await;
    assert_eq!(ask(&steward.client, &steward.sql).await.unwrap(), "1");
    let list = std::fs::read_to_string(world.path("data/erased_subjects.csv")).unwrap();
    let line =
        list.lines().nth(1).map(|line| line.split_once(',').map_or(String::new(), |(_, rest)| format!(",{rest}"))).unwrap_or_default();
    world.replace("data/erased_subjects.csv", &format!("{list}1001{line}\n"));
    session.answers(Ok("2719")).await;
    steward.answers(Ok("0")).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_products_own_rules_do_not_go_without_the_operators_word() {
    const OWN: &str = "policies/customer_360_access.rego";
    let rules = "package customer_domain.customer_360_access\n\nallow := true\n\nrowFilters contains {\"expression\": \"tier = 'gold'\"}\n";
    let world = World::quickstart();
    world.replace(OWN, rules);
    let gateway = world.serve().await;
    let (session, payments) =
        (OpenSession::new(&gateway, "analyst", COUNT).await, "SELECT count(*) > 0 FROM payments.transaction_events_v1");
    session.answers(Ok("440")).await;
    std::fs::remove_file(world.path(OWN)).unwrap();
    assert_eq!(reloaded(&world, "policies", "refused").await["faults"], 1);
    session.answers(Ok("440")).await;
    assert_eq!(ask(&session.client, payments).await.as_deref(), Ok("t"), "who is not concerned reads on");
    world.write(OWN, &rules.replace("gold", "silver"));
    session.answers(Ok("779")).await;
    gateway.stop().await;

    let gateway = world.serve_allowing_lowered_protection().await;
    let session = OpenSession::new(&gateway, "analyst", COUNT).await;
    session.answers(Ok("779")).await;
    std::fs::remove_file(world.path(OWN)).unwrap();
    session.answers(Ok("2720")).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_list_that_was_emptied_brings_nobody_back_without_the_operators_word() {
    const LIST: &str = "data/erased_subjects.csv";
    let person = "SELECT count(*) FROM customer.customer_360 WHERE customer_id = 1001";
    let world = World::quickstart();
    let full = std::fs::read_to_string(world.path(LIST)).unwrap() + "1001\n";
    world.replace(LIST, &full);
    let gateway = world.serve().await;
    let steward = OpenSession::new(&gateway, "steward", person).await;
    let changes = |outcome: &str| {
        let is = |record: &&Value| record["what"] == "erasure_list" && record["outcome"] == outcome;
        records(&world).iter().filter(is).count()
    };
    for (refused, list) in ["", "subject_id\n1002\n"].into_iter().enumerate() {
        world.replace(LIST, list);
        eventually("the list is refused", async || (changes("refused") > refused).then_some(())).await;
        steward.answers(Ok("0")).await;
    }
    world.replace(LIST, &full.replace("\n1001\n", "\n"));
    steward.answers(Ok("1")).await;
    world.replace(LIST, &full);
    steward.answers(Ok("0")).await;
    gateway.stop().await;

    let gateway = world.serve_allowing_lowered_protection().await;
    let steward = OpenSession::new(&gateway, "steward", person).await;
    steward.answers(Ok("0")).await;
    world.replace(LIST, "");
    steward.answers(Ok("1")).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_taken_away_is_gone_and_so_is_a_login() {
    let (world, gateway) = quickstart().await;
    let sql = "SELECT count(card_last4) FROM payments.transaction_events_v1";
    let names = "SELECT count(full_name) FROM customer.customer_360";
    let session = OpenSession::new(&gateway, "pii_analyst", names).await;
    assert_eq!(ask(&session.client, names).await.unwrap(), "2720");
    let all = std::fs::read_to_string(world.path("principals.yaml")).unwrap();
    world.replace("principals.yaml", &all.replacen("roles: [pii_authorized, restricted]", "roles: []", 1));
    session.answers(Err("42501")).await;
    assert_eq!(ask(&session.client, sql).await.unwrap(), "0", "masked now");

    world.replace("principals.yaml", "principals: [{name: pii_analyst, verifier: plain}]\n");
    reloaded(&world, "principals", "refused").await;
    session.answers(Err("42501")).await;

    world.replace("principals.yaml", &all.replace("name: pii_analyst", "name: somebody_else"));
    session.answers(Err("28000")).await;
    let refused = crate::gateway::login(gateway.address(), "pii_analyst").await.expect_err("logged in");
    assert_eq!(state(refused), "28P01");
    gateway.stop().await;
}

/// A cursor and a portal of which some rows have been read.
const HALF_READ: &str = "SELECT customer_id FROM customer.customer_360";
const UNTOUCHED: &str = "SELECT transaction_id FROM payments.transaction_events_v1";

/// How many rows the next part of a cursor has.
async fn fetched(client: &Client, cursor: &str) -> Result<usize, String> {
    let messages = client.simple_query(&format!("FETCH 100 FROM {cursor}")).await.map_err(state)?;
    Ok(messages.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_))).count())
}

async fn half_read(client: &Client) {
    client
        .batch_execute(&format!("DECLARE touched CURSOR WITH HOLD FOR {HALF_READ}; DECLARE untouched CURSOR WITH HOLD FOR {UNTOUCHED}"))
        .await
        .unwrap();
    for cursor in ["touched", "untouched"] {
        assert_eq!(fetched(client, cursor).await, Ok(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_half_read_is_not_read_on_when_a_person_in_it_is_erased() {
    let (world, gateway) = quickstart().await;
    let (session, mut other) = (gateway.login("analyst").await, gateway.login("analyst").await);
    half_read(&session).await;
    let transaction = other.transaction().await.unwrap();
    let portal = transaction.bind(HALF_READ, &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 100).await.unwrap().len(), 100);
    assert_eq!(transaction.query_portal(&portal, 100).await.unwrap().len(), 100, "nothing has changed");
    let list = std::fs::read_to_string(world.path("data/erased_subjects.csv")).unwrap();
    world.replace("data/erased_subjects.csv", &format!("{list}1500\n"));
    reloaded(&world, "erasure_list", "replaced").await;
    assert_eq!(fetched(&session, "touched").await, Err("40001".to_owned()));
    assert_eq!(fetched(&session, "touched").await, Err("40001".to_owned()), "and not as if its rows had ended");
    assert_eq!(state(transaction.query_portal(&portal, 100).await.expect_err("read on")), "40001");
    // Whoever starts anew reads on, without the person.
    session.batch_execute("CLOSE touched").await.unwrap();
    half_read_again(&session).await;
    let closed = |record: &Value| record["kind"] == "statement_closed" && record["sqlstate"] == "40001";
    eventually("the records are closed", async || (records(&world).iter().filter(|record| closed(record)).count() >= 2).then_some(()))
        .await;
    gateway.stop().await;
}

async fn half_read_again(client: &Client) {
    client.batch_execute(&format!("DECLARE touched CURSOR WITH HOLD FOR {HALF_READ}")).await.unwrap();
    assert_eq!(fetched(client, "touched").await, Ok(100));
    assert_eq!(fetched(client, "touched").await, Ok(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_half_read_is_read_on_unless_the_change_concerns_it() {
    let (world, gateway) = quickstart().await;
    let session = gateway.login("analyst").await;
    half_read(&session).await;
    let rules = std::fs::read_to_string(world.path(RULES)).unwrap();
    world.replace(RULES, &format!("{rules}\n# No other rule.\n"));
    reloaded(&world, "policies", "replaced").await;
    assert_eq!((fetched(&session, "touched").await, fetched(&session, "untouched").await), (Ok(100), Ok(100)));
    let filter = "rowFilters contains {\"expression\": \"tier = 'gold'\"} if input.resource.product == \"customer-360\"";
    world.replace(RULES, &format!("{rules}\n{filter}\n"));
    eventually("the filter serves", async || (ask(&session, COUNT).await.as_deref() == Ok("440")).then_some(())).await;
    assert_eq!((fetched(&session, "touched").await, fetched(&session, "untouched").await), (Err("40001".to_owned()), Ok(100)));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_half_read_is_not_read_on_by_who_may_no_longer() {
    let (world, gateway) = quickstart().await;
    let (session, steward) = (gateway.login("pii_analyst").await, gateway.login("steward").await);
    let names = "DECLARE names CURSOR WITH HOLD FOR SELECT full_name FROM customer.customer_360";
    for client in [&session, &steward] {
        client.batch_execute(names).await.unwrap();
        assert_eq!(fetched(client, "names").await, Ok(100));
    }
    world.edit("principals.yaml", "roles: [pii_authorized, restricted]", "roles: []");
    reloaded(&world, "principals", "replaced").await;
    assert_eq!(fetched(&session, "names").await, Err("40001".to_owned()));
    assert_eq!(fetched(&steward, "names").await, Ok(100));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_half_read_is_not_read_on_when_its_time_is_over() {
    let world = World::quickstart();
    let began = chrono::Utc::now();
    let embargo = (began + chrono::TimeDelta::minutes(1)).timestamp_nanos_opt().unwrap();
    let rules = std::fs::read_to_string(world.path(RULES)).unwrap();
    let denial = format!(
        "deny contains {{\"rule\": \"embargo\", \"msg\": \"over\"}} if {{\n\tinput.resource.product == \"customer-360\"\n\t\
         not input.subject.is_data_steward\n\tinput.context.now_ns > {embargo}\n}}\n"
    );
    world.replace(RULES, &format!("{rules}\n{denial}"));
    let seconds = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&seconds);
    let gateway = world.serve_by(move || began + chrono::TimeDelta::seconds(clock.load(Ordering::SeqCst))).await;
    let (session, steward, mut other) = (gateway.login("analyst").await, gateway.login("steward").await, gateway.login("analyst").await);
    half_read(&session).await;
    half_read(&steward).await;
    let transaction = other.transaction().await.unwrap();
    let portal = transaction.bind(HALF_READ, &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 100).await.unwrap().len(), 100);
    // Bounds of retention go on with the clock, and the time is not over.
    seconds.store(59, Ordering::SeqCst);
    assert_eq!((fetched(&session, "touched").await, fetched(&steward, "touched").await), (Ok(100), Ok(100)));
    assert_eq!(transaction.query_portal(&portal, 100).await.unwrap().len(), 100);

    seconds.store(61, Ordering::SeqCst);
    assert_eq!(ask(&session, COUNT).await, Err("42501".to_owned()));
    assert_eq!(fetched(&session, "touched").await, Err("42501".to_owned()));
    assert_eq!(fetched(&session, "touched").await, Err("42501".to_owned()), "and not as if its rows had ended");
    assert_eq!(state(transaction.query_portal(&portal, 100).await.expect_err("read on")), "42501");
    assert_eq!((fetched(&session, "untouched").await, fetched(&steward, "touched").await), (Ok(100), Ok(100)), "not concerned");

    // Longer than a statement may run, nobody reads by old bounds; a steward's rows have none.
    seconds.store(61 + 300, Ordering::SeqCst);
    assert_eq!((fetched(&session, "untouched").await, fetched(&steward, "touched").await), (Err("40001".to_owned()), Ok(100)));
    session.batch_execute(&format!("CLOSE untouched; DECLARE untouched CURSOR WITH HOLD FOR {UNTOUCHED}")).await.unwrap();
    assert_eq!((fetched(&session, "untouched").await, fetched(&session, "untouched").await), (Ok(100), Ok(100)));
    gateway.stop().await;
}
