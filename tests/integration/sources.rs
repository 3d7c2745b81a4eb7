//! Policies and erasure lists from where they are kept: archives, addresses, tables. What changes there serves here; what is wrong there, or
//! gone, changes nothing.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::eventually::eventually;
use crate::gateway::{Gateway, World};
use crate::postgres::Database;
use crate::records::records;
use crate::web::Web;

const COUNT: &str = "SELECT count(*) FROM customer.customer_360";
const NAMES: &str = "SELECT count(full_name) FROM customer.customer_360";

/// Packs files as `opa build` does.
pub(crate) fn packed(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, text.as_bytes()).unwrap();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&builder.into_inner().unwrap()).unwrap();
    encoder.finish().unwrap()
}

/// The world's policies as a bundle of that revision, with further rules.
fn bundle(world: &World, revision: &str, more: &str) -> Vec<u8> {
    let rules = std::fs::read_to_string(world.path("policies/governance.rego")).unwrap();
    let tests = std::fs::read_to_string(world.path("policies/governance_test.rego")).unwrap();
    let manifest = format!("{{\"revision\": \"{revision}\", \"roots\": [\"data_mesh\", \"tiers\"], \"rego_version\": 1}}");
    packed(&[
        ("/.manifest", &manifest),
        ("/governance.rego", &format!("{rules}\n{more}\n")),
        ("/governance_test.rego", &tests),
        ("/tiers/data.json", "{\"open\": [\"gold\"]}"),
        ("/README.md", "Not read."),
    ])
}

/// Only the tiers that the bundle's data name.
const GOLD: &str =
    "rowFilters contains {\"expression\": sprintf(\"tier = '%s'\", [data.tiers.open[0]])} if input.resource.product == \"customer-360\"";

async fn ask(client: &Client, sql: &str) -> Result<String, String> {
    let messages = client.simple_query(sql).await.map_err(|error| error.code().map_or("no state", |state| state.code()).to_owned())?;
    let value = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(value.unwrap_or_else(|| "no row".to_owned()))
}

async fn answers(client: &Client, sql: &str, expected: &str) {
    eventually(&format!("{sql} answers {expected}"), async || (ask(client, sql).await.as_deref() == Ok(expected)).then_some(())).await;
}

fn reloads(world: &World, what: &str, outcome: &str) -> Vec<Value> {
    let is = |record: &Value| record["kind"] == "reload" && record["what"] == what && record["outcome"] == outcome;
    records(world).into_iter().filter(is).collect()
}

async fn reloaded(world: &World, what: &str, outcome: &str, times: usize) -> Vec<Value> {
    eventually(&format!("{what} {outcome}"), async || Some(reloads(world, what, outcome)).filter(|found| found.len() >= times)).await
}

/// The revisions that the decisions of the log name, each once and in the order in which they came.
fn revisions(world: &World) -> Vec<String> {
    let mut revisions: Vec<String> = Vec::new();
    for record in records(world).iter().filter(|record| record["kind"] == "decision") {
        let revision = record["bundles"]["meshgate"]["revision"].as_str().unwrap().to_owned();
        if !revisions.contains(&revision) {
            revisions.push(revision);
        }
    }
    revisions
}

async fn serve(world: &World, policies: &str, erasures: &str) -> Gateway {
    world.serve_from(policies, erasures).await
}

const LIST: &str = "data/erased_subjects.csv";

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_on_disk_serves_and_its_revision_is_in_every_decision() {
    let world = World::quickstart();
    std::fs::write(world.path("bundle.tar.gz"), bundle(&world, "r1", "")).unwrap();
    let gateway = serve(&world, "bundle.tar.gz", LIST).await;
    let (analyst, authorized) = (gateway.login("analyst").await, gateway.login("pii_analyst").await);
    assert_eq!(ask(&analyst, COUNT).await.unwrap(), "2720");
    assert_eq!((ask(&analyst, NAMES).await, ask(&authorized, NAMES).await), (Err("42501".to_owned()), Ok("2720".to_owned())));
    world.replace_bytes("bundle.tar.gz", &bundle(&world, "r2", GOLD));
    answers(&analyst, COUNT, "440").await;
    // What is no bundle any more is refused whole.
    for broken in [
        bundle(&world, "r3", "allow if {"),
        packed(&[("../governance.rego", "package data_mesh.governance\n\nallow := true\n")]),
        packed(&[("governance.rego", "package data_mesh.governance\n\nallow := true\n"), (".manifest", "{\"roots\": [\"other\"]}")]),
        b"no archive".to_vec(),
    ] {
        let before = reloads(&world, "policies", "refused").len();
        world.replace_bytes("bundle.tar.gz", &broken);
        reloaded(&world, "policies", "refused", before + 1).await;
        assert_eq!((ask(&analyst, COUNT).await, ask(&analyst, NAMES).await), (Ok("440".to_owned()), Err("42501".to_owned())));
    }
    gateway.stop().await;
    assert_eq!(revisions(&world), ["r1", "r2"]);
    assert_eq!(reloads(&world, "policies", "replaced")[0]["revision"], "r2");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_from_an_address_are_asked_for_by_their_tag_and_outlive_it() {
    let world = World::quickstart();
    let web = Web::serve(bundle(&world, "r1", ""));
    web.guard("s3cret");
    world.write("token", "s3cret\n");
    let policies = format!("{{location: \"{}\", poll_ms: 100, token: \"file:token\"}}", web.url());
    let gateway = serve(&world, &policies, LIST).await;
    let analyst = gateway.login("analyst").await;
    assert_eq!(ask(&analyst, COUNT).await.unwrap(), "2720");
    eventually("it is asked for and has not changed", async || (web.answered(304) >= 3).then_some(())).await;
    assert_eq!(web.answered(200), 1, "what has not changed is not sent again");
    web.show(bundle(&world, "r2", GOLD));
    answers(&analyst, COUNT, "440").await;
    // A bundle that is wrong is fetched once and told once.
    web.show(bundle(&world, "r3", "deny contains {"));
    reloaded(&world, "policies", "refused", 1).await;
    let asked = web.answered(304);
    eventually("it is asked for again", async || (web.answered(304) >= asked + 3).then_some(())).await;
    assert_eq!((reloads(&world, "policies", "refused").len(), web.answered(200)), (1, 3));
    // An address that is gone is told once, and what it gave last goes on.
    web.set_down(true);
    reloaded(&world, "policies", "unreachable", 1).await;
    eventually("it is asked in vain", async || (web.answered(503) >= 4).then_some(())).await;
    assert_eq!(ask(&analyst, COUNT).await.unwrap(), "440");
    assert_eq!(reloads(&world, "policies", "unreachable").len(), 1);
    web.show(bundle(&world, "r4", ""));
    web.set_down(false);
    answers(&analyst, COUNT, "2720").await;
    gateway.stop().await;
    assert_eq!(revisions(&world), ["r1", "r2", "r4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_and_erasures_come_from_a_store_by_signed_requests() {
    let world = World::quickstart();
    let list = std::fs::read_to_string(world.path(LIST)).unwrap();
    let (bundles, lists) = (Web::serve(bundle(&world, "r1", "")), Web::serve(list.clone().into_bytes()));
    world.write("key", "KEYID:s3cret\n");
    let origin = |web: &Web, key: &str| {
        let endpoint = web.endpoint();
        format!("{{location: \"s3://mesh/{key}\", endpoint: \"{endpoint}\", region: eu-west-1, credentials: \"file:key\", poll_ms: 100}}")
    };
    let gateway = serve(&world, &origin(&bundles, "policies.tar.gz"), &origin(&lists, "erased people.csv")).await;
    let analyst = gateway.login("analyst").await;
    assert_eq!(ask(&analyst, COUNT).await.unwrap(), "2720");
    bundles.show(bundle(&world, "r2", GOLD));
    answers(&analyst, COUNT, "440").await;
    bundles.show(bundle(&world, "r3", ""));
    lists.show(format!("{list}1001\n").into_bytes());
    answers(&analyst, COUNT, "2719").await;
    gateway.stop().await;
    assert!(lists.heads()[0].starts_with("get /mesh/erased%20people.csv http/1.1\r\n"), "{}", lists.heads()[0]);
    for head in bundles.heads().iter().chain(&lists.heads()) {
        assert!(
            head.contains("authorization: aws4-hmac-sha256 credential=keyid/") && head.contains("/eu-west-1/s3/aws4_request"),
            "{head}"
        );
        assert!(!head.contains("s3cret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_first_bundle_nothing_is_served() {
    let world = World::quickstart();
    let web = Web::serve(bundle(&world, "r1", ""));
    web.guard("s3cret");
    for policies in [web.url(), "absent.tar.gz".to_owned()] {
        let refused = world.try_serve_from(&policies, LIST).await.err().expect("it started");
        assert!(refused.contains("HTTP status 401") || refused.contains("absent.tar.gz"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn erasures_from_an_address_hold_for_everybody() {
    let world = World::quickstart();
    let list = std::fs::read_to_string(world.path(LIST)).unwrap();
    let web = Web::serve(list.clone().into_bytes());
    let gateway = serve(&world, "policies", &format!("{{location: \"{}\", poll_ms: 100}}", web.url())).await;
    let (analyst, steward) = (gateway.login("analyst").await, gateway.login("steward").await);
    let person = "SELECT count(*) FROM customer.customer_360 WHERE customer_id = 1001";
    assert_eq!(ask(&analyst, COUNT).await.unwrap(), "2720");
    assert_eq!(ask(&steward, person).await.unwrap(), "1");
    web.show(format!("{list}1001\n").into_bytes());
    answers(&analyst, COUNT, "2719").await;
    assert_eq!(ask(&steward, person).await.unwrap(), "0");
    web.show(vec![0xff, 0xfe]);
    reloaded(&world, "erasure_list", "refused", 1).await;
    assert_eq!(ask(&steward, person).await.unwrap(), "0", "a list that cannot be read erases nobody anew and brings nobody back");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasures_from_a_table_hold_for_everybody_and_outlive_the_server() {
    let database = Database::create("erasures").await;
    let server = database.connect().await;
    server.batch_execute("CREATE TABLE public.erased (id bigserial, \"Person\" bigint)").await.unwrap();
    let world = World::quickstart();
    world.write("login", &database.credentials());
    let location = database.location("public", "erased");
    let erasures = format!("{{location: \"{location}\", column: Person, credentials: \"file:login\", poll_ms: 100}}");
    let gateway = serve(&world, "policies", &erasures).await;
    let (analyst, steward) = (gateway.login("analyst").await, gateway.login("steward").await);
    let person = "SELECT count(*) FROM customer.customer_360 WHERE customer_id = 1001";
    let everybody: i64 = ask(&analyst, COUNT).await.unwrap().parse().unwrap();
    assert_eq!(ask(&steward, person).await.unwrap(), "1");
    server.batch_execute("INSERT INTO public.erased (\"Person\") VALUES (1001), (NULL)").await.unwrap();
    answers(&analyst, COUNT, &(everybody - 1).to_string()).await;
    assert_eq!(ask(&steward, person).await.unwrap(), "0");
    // A table that is gone has not brought anybody back.
    server.batch_execute("DROP TABLE public.erased").await.unwrap();
    reloaded(&world, "erasure_list", "unreachable", 1).await;
    assert_eq!(ask(&steward, person).await.unwrap(), "0");
    server
        .batch_execute("CREATE TABLE public.erased (\"Person\" text); INSERT INTO public.erased VALUES ('1002'), ('1003')")
        .await
        .unwrap();
    reloaded(&world, "erasure_list", "refused", 1).await;
    assert_eq!(ask(&steward, person).await.unwrap(), "0", "everybody who was in the list would be back");
    server.batch_execute("INSERT INTO public.erased VALUES ('1001')").await.unwrap();
    answers(&steward, "SELECT count(*) FROM customer.customer_360 WHERE customer_id IN (1001, 1002, 1003)", "0").await;
    server.batch_execute("DELETE FROM public.erased WHERE \"Person\" = '1001'").await.unwrap();
    answers(&steward, person, "1").await;
    gateway.stop().await;
}
