//! Notices that rules applied: once a statement whatever the protocol, turned off at will, and the same whatever is hidden.

use std::sync::{Arc, Mutex};

use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::gateway::{World, configuration};

const MASKED: &str = "SELECT transaction_id, card_last4 FROM payments.transaction_events_v1";
const BOTH: [&str; 2] = [
    "columns of data product \"payments/transaction-events-v1\" are masked by policy \
     [00000] Policy code: columns_masked. Columns: \"card_last4\".",
    "rows of data product \"payments/transaction-events-v1\" are limited by policy [00000] Policy code: rows_limited.",
];

/// A session, and what it has been told beside the rows.
struct Listener {
    client: Client,
    told: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    async fn login(address: std::net::SocketAddr, user: &str, options: &str) -> Self {
        let mut config = configuration(address, user, user);
        config.options(options);
        let (client, mut connection) = config.connect(NoTls).await.unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message {
                    let code = notice.code().code();
                    heard.lock().unwrap().push(format!("{} [{code}] {}", notice.message(), notice.detail().unwrap_or_default()));
                }
            }
        });
        Self { client, told }
    }

    /// What was told since the last call. A notice comes before its statement's end, and so before the answer to this one.
    async fn told(&self) -> Vec<String> {
        self.client.simple_query("SHOW application_name").await.unwrap();
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    async fn run(&self, statement: &str) -> Vec<String> {
        self.client.simple_query(statement).await.unwrap();
        self.told().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_statement_tells_once_whatever_the_protocol() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let analyst = Listener::login(gateway.address(), "analyst", "").await;
    assert_eq!(analyst.run(MASKED).await, BOTH);
    assert_eq!(analyst.run(&format!("{MASKED} UNION ALL {MASKED}")).await, BOTH);
    analyst.client.query(MASKED, &[]).await.unwrap();
    assert_eq!(analyst.told().await, BOTH);
    let prepared = analyst.client.prepare(MASKED).await.unwrap();
    assert!(analyst.told().await.is_empty(), "preparing decides nothing");
    for _ in 0..2 {
        analyst.client.query(&prepared, &[]).await.unwrap();
        assert_eq!(analyst.told().await, BOTH);
    }
    assert!(analyst.run(&format!("BEGIN; DECLARE c CURSOR FOR {MASKED}")).await.is_empty());
    assert_eq!(analyst.run("FETCH 2 FROM c").await, BOTH);
    assert!(analyst.run("FETCH 2 FROM c").await.is_empty(), "the same statement goes on");
    analyst.run("COMMIT").await;
    let copied = analyst.client.copy_out(&format!("COPY ({MASKED}) TO STDOUT")).await.unwrap();
    futures::StreamExt::count(std::pin::pin!(copied)).await;
    assert_eq!(analyst.told().await, BOTH);
    // Where no rule applies, nothing is told; a mask of a column that is not read is none.
    assert_eq!(analyst.run("SELECT count(*) FROM payments.transaction_events_v1").await, BOTH[1..]);
    assert!(analyst.run(&format!("EXPLAIN POLICY {MASKED}")).await.is_empty());
    let authorized = Listener::login(gateway.address(), "pii_analyst", "").await;
    assert_eq!(authorized.run(MASKED).await, BOTH[1..]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_are_turned_off_by_setting_and_by_start_up_option() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let analyst = Listener::login(gateway.address(), "analyst", "").await;
    assert!(analyst.run(&format!("SET meshgate.notices = off; {MASKED}")).await.is_empty());
    assert_eq!(analyst.run(&format!("RESET meshgate.notices; {MASKED}")).await, BOTH);
    assert!(analyst.run(&format!("SET client_min_messages = warning; {MASKED}")).await.is_empty());
    let silent = Listener::login(gateway.address(), "analyst", "-c meshgate.notices=off").await;
    assert!(silent.run(MASKED).await.is_empty());
    assert_eq!(silent.run(&format!("SET meshgate.notices = on; {MASKED}")).await, BOTH);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_hang_on_no_row() {
    let (world, hiding) = (World::quickstart(), World::quickstart());
    hiding.replace("data/erased_subjects.csv", "subject_id\n");
    // Nothing is hidden there at all: no one is erased, and each payment is young.
    let csv = "data/payments/transaction_events_v1.csv";
    let text = std::fs::read_to_string(hiding.path(csv)).unwrap();
    let header = text.lines().next().unwrap();
    hiding.replace(csv, &format!("{header}\n"));
    let mut told = Vec::new();
    for world in [&world, &hiding] {
        let gateway = world.serve().await;
        let analyst = Listener::login(gateway.address(), "analyst", "").await;
        told.push(analyst.run(MASKED).await);
        gateway.stop().await;
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_names_product_columns_rule_and_whom_to_ask_and_no_more() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let analyst = gateway.login("analyst").await;
    let harvester = gateway.login("harvester").await;
    for (client, statement, detail) in [
        (
            &analyst,
            "SELECT full_name FROM customer.customer_360",
            "column \"full_name\" of data product \"customer/customer-360\" is personal data. Columns: \"full_name\". \
             Rule: data_mesh.governance.pii_access.",
        ),
        (
            &analyst,
            // Erased or not, old or not: the same words.
            "SELECT full_name FROM customer.customer_360 WHERE customer_id = 1047",
            "column \"full_name\" of data product \"customer/customer-360\" is personal data. Columns: \"full_name\". \
             Rule: data_mesh.governance.pii_access.",
        ),
        (
            &harvester,
            "SELECT count(*) FROM customer.customer_360",
            "this login may describe data product \"customer/customer-360\" but read no row. Rule: data_mesh.governance.metadata_only.",
        ),
    ] {
        let denied = client.simple_query(statement).await.unwrap_err();
        let denied = denied.as_db_error().unwrap();
        assert_eq!(denied.message(), "permission denied for data product \"customer/customer-360\"");
        assert_eq!(denied.detail(), Some(detail), "{statement}");
        assert_eq!(denied.hint(), Some("Ask the product's owner, customer-platform (on call: customer-data-oncall)."));
        assert_eq!((denied.schema(), denied.table()), (Some("customer"), Some("customer_360")));
        assert!(denied.where_().is_none());
    }
    // Who may, on the same data.
    gateway.login("pii_analyst").await.simple_query("SELECT full_name FROM customer.customer_360").await.unwrap();
    gateway.stop().await;
}
