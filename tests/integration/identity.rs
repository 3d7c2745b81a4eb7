//! Who one is was settled at login, by the principals' file and a proof of the password; nothing that a client sends changes it.

use tokio_postgres::{Client, Config};

use crate::eventually::eventually;
use crate::gateway::{World, configuration, connect};
use crate::process;

async fn refusal(config: &Config) -> tokio_postgres::error::DbError {
    let error = connect(config).await.expect_err("logged in");
    error.as_db_error().unwrap_or_else(|| panic!("no message: {error}")).clone()
}

async fn current_user(client: &Client) -> String {
    client.query_one("SELECT current_user::text", &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_login_look_alike() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let mut seen = Vec::new();
    for (user, password) in [("analyst", "wrong"), ("nobody_here", "wrong"), ("analyst", "pii_analyst"), ("Analyst", "analyst")] {
        let error = refusal(&configuration(gateway.address(), user, password)).await;
        let plain = |text: Option<&str>| text.map(|text| text.replace(user, "USER"));
        seen.push((
            error.severity().to_owned(),
            error.code().code().to_owned(),
            plain(Some(error.message())),
            plain(error.detail()),
            plain(error.hint()),
            plain(error.routine()),
        ));
    }
    assert!(seen.iter().all(|fields| fields == &seen[0]), "{seen:?}");
    assert_eq!(seen[0].1, "28P01");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_database_is_told_to_no_stranger() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let mut config = configuration(gateway.address(), "analyst", "wrong");
    assert_eq!(refusal(config.dbname("other")).await.code().code(), "28P01");
    let mut config = configuration(gateway.address(), "analyst", "analyst");
    assert_eq!(refusal(config.dbname("other")).await.code().code(), "3D000");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_up_options_change_nobody() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let tries = [
        "-c role=steward",
        "-c session_authorization=steward",
        "--role=steward",
        "-c user=steward",
        "-c meshgate.user=steward -c meshgate.roles=pii_authorized",
        "-c is_superuser=on",
        "-c row_security=off",
        "-c meshgate.purpose=pii_authorized",
        "-c application_name=steward",
    ];
    for options in tries {
        let mut config = configuration(gateway.address(), "analyst", "analyst");
        // A refusal is as good as no effect.
        let Ok((client, _)) = connect(config.options(options)).await else { continue };
        assert_eq!(current_user(&client).await, "analyst", "{options}");
        let error = client.simple_query("SELECT full_name FROM customer.customer_360").await.expect_err(options);
        assert_eq!(error.code().map(|state| state.code()), Some("42501"), "{options}");
        let masked = client.query_one("SELECT count(card_last4) FROM payments.transaction_events_v1", &[]).await.unwrap();
        assert_eq!(masked.get::<_, i64>(0), 0, "{options}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passwd_makes_logs_in() {
    let world = World::quickstart();
    let made = process::run(&["passwd"], "correct horse \u{e9}\n");
    assert!(made.status.success(), "{}", process::text(&made));
    let verifier = String::from_utf8(made.stdout).unwrap();
    assert!(!verifier.contains("horse"), "{verifier}");
    let gateway = world.serve().await;
    let all = std::fs::read_to_string(world.path("principals.yaml")).unwrap();
    let newcomer = format!("  - name: newcomer\n    verifier: \"{}\"\n", verifier.trim());
    world.replace("principals.yaml", &format!("{}\n{newcomer}", all.trim_end()));
    let config = configuration(gateway.address(), "newcomer", "correct horse \u{e9}");
    let (client, _) = eventually("the newcomer logs in", async || connect(&config).await.ok()).await;
    assert_eq!(current_user(&client).await, "newcomer");
    assert_eq!(refusal(&configuration(gateway.address(), "newcomer", "correct horse")).await.code().code(), "28P01");
    assert!(!process::run(&["passwd"], "\n").status.success(), "an empty password");
    gateway.stop().await;
}
