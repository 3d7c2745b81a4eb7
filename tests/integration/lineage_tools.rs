//! The tools for lineage, run as they are typed: what contracts declare beside what was read, and the mesh for DataHub.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Output;

use serde_json::Value;
use tokio_postgres::SimpleQueryMessage;

use crate::gateway::World;
use crate::process::{run, text};

/// A world in which `analyst` stands for customer-360.
fn world() -> World {
    let world = World::quickstart();
    world.edit("principals.yaml", "  - name: analyst\n", "  - name: analyst\n    product: customer/customer-360\n");
    world.edit("principals.yaml", "    roles: [metadata]\n", "    roles: [metadata, auditor]\n");
    world
}

async fn lines(client: &tokio_postgres::Client, sql: &str) -> Vec<String> {
    let rows = client.simple_query(sql).await.unwrap();
    let line = |row: &tokio_postgres::SimpleQueryRow| (0..row.len()).map(|at| row.get(at).unwrap_or("-")).collect::<Vec<_>>().join(" ");
    rows.iter().filter_map(|message| if let SimpleQueryMessage::Row(row) = message { Some(line(row)) } else { None }).collect()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_and_observed_differ_alike_in_the_tool_and_in_sql() {
    let world = world();
    let gateway = world.serve().await;
    let client = gateway.login("analyst").await;
    for sql in [
        "SELECT customer_id, event_type FROM customer.customer_events_v1 WHERE channel = 'web' LIMIT 1",
        "SELECT e.customer_id AS id, r.day FROM customer.customer_events_v1 e, payments.revenue_daily_summary r LIMIT 1",
        "SELECT tier FROM customer.customer_360 LIMIT 1",
    ] {
        client.simple_query(sql).await.unwrap();
    }
    client.simple_query("SELECT full_name FROM customer.customer_360").await.unwrap_err();
    client.simple_query("EXPLAIN SELECT * FROM logistics.fulfillment_kpis").await.unwrap();
    let auditor = gateway.login("harvester").await;
    let gaps = "SELECT gap, domain || '/' || product, input_domain || '/' || input_product, column_name FROM mesh.lineage_gaps ORDER BY 1, 2, 3, 4";
    let (mut of_auditor, mut own) = (lines(&auditor, gaps).await, lines(&client, gaps).await);
    of_auditor.sort();
    own.sort();
    let outputs = "SELECT DISTINCT column_name, array_to_string(output_columns, ',') FROM mesh.lineage WHERE product = 'customer-events-v1' ORDER BY 1, 2";
    assert_eq!(lines(&auditor, outputs).await, ["channel ", "customer_id customer_id", "customer_id id", "event_type event_type"]);
    let others = gateway.login("steward").await;
    assert_eq!(lines(&others, "SELECT gap FROM mesh.lineage_gaps WHERE gap <> 'looser_freshness'").await, Vec::<String>::new());
    drop((client, auditor, others));
    gateway.stop().await;

    let config = world.path("meshgate.yaml").display().to_string();
    let told = run(&["lineage", "diff", &config, "--format", "json"], "");
    assert_eq!(told.status.code(), Some(1), "{}", text(&told));
    let gap = |gap: &Value| {
        let word = |key: &str| gap[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {} {}", word("gap"), word("product"), word("input"), word("column"))
    };
    let mut found: Vec<String> = json(&told)["gaps"].as_array().unwrap().iter().map(gap).collect();
    found.sort();
    assert_eq!(found, of_auditor);
    assert_eq!(found, own, "the only one who stands for a product sees all there is");
    for expected in [
        "dead_input customer/customer-360 payments/transaction-events-v1 -",
        "undeclared_field customer/customer-360 customer/customer-events-v1 channel",
        "undeclared_read customer/customer-360 payments/revenue-daily-summary -",
    ] {
        assert!(found.contains(&expected.to_owned()), "{expected}: {found:?}");
    }
    assert!(!found.iter().any(|gap| gap.contains("fulfillment-kpis -") && gap.starts_with("undeclared")), "{found:?}");
    let later = run(&["lineage", "diff", &config, "--since", "2999-01-01T00:00:00Z"], "");
    assert!(!text(&later).contains("undeclared"), "{}", text(&later));
    assert_eq!(run(&["lineage", "diff", "nowhere.yaml"], "").status.code(), Some(2));
}

/// A server that takes proposals as DataHub's does, and gives back the heads and bodies of all of them.
fn metadata_server(refuse_at: usize) -> (String, std::thread::JoinHandle<Vec<(String, Value)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let mut taken: Vec<(String, Value)> = Vec::new();
        let (stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap() == 0 {
                    return taken;
                }
            }
            let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            taken.push((head, serde_json::from_slice(&body).unwrap()));
            let status = if taken.len() == refuse_at { "422 no" } else { "200 ok" };
            write!(writer, "HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}").unwrap();
        }
    });
    (url, serving)
}

#[test]
fn the_mesh_is_sent_to_a_metadata_server_as_it_is_written_into_a_file() {
    let world = world();
    let config = world.configure().display().to_string();
    let file = world.path("datahub.json").display().to_string();
    let now = "2026-06-01T00:00:00Z";
    assert!(run(&["export", "datahub", &config, "--out", &file, "--now", now], "").status.success());
    let written: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(json(&run(&["export", "datahub", &config, "--now", now], "")), Value::Array(written.clone()));

    world.write("token", "secret-token\n");
    let (url, serving) = metadata_server(usize::MAX);
    let token = format!("file:{}", world.path("token").display());
    let sent = run(&["export", "datahub", &config, "--to", &url, "--token", &token, "--now", now], "");
    assert!(sent.status.success() && !text(&sent).contains("secret-token"), "{}", text(&sent));
    let taken = serving.join().unwrap();
    assert_eq!(taken.len(), written.len());
    for ((head, proposal), written) in taken.iter().zip(&written) {
        let head = head.to_lowercase();
        assert!(
            head.starts_with("post /aspects?action=ingestproposal ") && head.contains("authorization: bearer secret-token\r\n"),
            "{head}"
        );
        assert!(head.contains("x-restli-protocol-version: 2.0.0"), "{head}");
        assert_eq!(
            (&proposal["proposal"]["entityUrn"], &proposal["proposal"]["aspectName"]),
            (&written["entityUrn"], &written["aspectName"])
        );
        let value: Value = serde_json::from_str(proposal["proposal"]["aspect"]["value"].as_str().unwrap()).unwrap();
        assert_eq!(value, written["aspect"]["json"]);
    }
    let (url, serving) = metadata_server(3);
    let refused = run(&["export", "datahub", &config, "--to", &url], "");
    assert!(!refused.status.success() && text(&refused).contains("after 2 others"), "{}", text(&refused));
    assert_eq!(serving.join().unwrap().len(), 3, "the first that is refused is the last");
}
