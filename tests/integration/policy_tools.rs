//! The tools for whoever writes policies: test, eval, replay. Run as they are typed.

use std::process::Output;

use serde_json::Value;

use crate::gateway::World;
use crate::process::{run, text};

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

/// A bundle with a test that passes, one that fails, one that errs and one that is skipped.
fn bundle(world: &World) -> String {
    world.write("b/p.rego", "package p\n\nallow if {\n\tinput.a == 1\n\tinput.b == 2\n}\n");
    world.write(
        "b/p_test.rego",
        "package p_test\n\nimport data.p\n\ntest_good if p.allow with input as {\"a\": 1, \"b\": 2}\n\n\
         test_bad if p.allow with input as {\"a\": 2}\n\ntest_broken if 1 / count([]) > 0\n\ntodo_test_later if false\n",
    );
    world.path("b").to_str().unwrap().to_owned()
}

#[test]
fn the_exit_code_of_tests_is_opas() {
    let world = World::empty();
    let bundle = bundle(&world);
    let all = run(&["policy", "test", &bundle], "");
    assert_eq!(all.status.code(), Some(2));
    let said = text(&all);
    for line in [
        "p_test.rego:5: p_test.test_good: PASS",
        "p_test.rego:7: p_test.test_bad: FAIL",
        "p_test.test_broken: ERROR",
        "todo_test_later: SKIPPED",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert_eq!(run(&["policy", "test", &bundle, "--run", "good$"], "").status.code(), Some(0));
    assert_eq!(run(&["policy", "test", &bundle, "--run", "^data.p_test.(test_good|todo)"], "").status.code(), Some(2));
    assert_eq!(run(&["policy", "test", &bundle, "-z", "--run", "good|todo"], "").status.code(), Some(0));
    let nothing = run(&["policy", "test", &bundle, "--run", "no such"], "");
    assert_eq!(nothing.status.code(), Some(1));
    assert!(text(&nothing).contains("no tests were run"));
    let results = json(&run(&["policy", "test", &bundle, "--format", "json"], ""));
    assert_eq!(results.as_array().unwrap().len(), 4);
    world.write("b/q.rego", "package q\n\nx if {\n");
    let broken = run(&["policy", "test", &bundle], "");
    assert_eq!(broken.status.code(), Some(1));
    assert!(text(&broken).contains("q.rego:"), "{}", text(&broken));
}

#[test]
fn coverage_is_told_by_file_and_line_and_can_be_demanded() {
    let world = World::empty();
    let bundle = bundle(&world);
    let run = |more: &[&str]| run(&[&["policy", "test", bundle.as_str(), "--run", "bad$", "--coverage"], more].concat(), "");
    let said = text(&run(&[]));
    assert!(said.contains("p.rego: 50.0 % (1 of 2 lines), not covered: 5"), "{said}");
    let report = json(&run(&["--format", "json"]));
    assert_eq!(report["files"]["p.rego"]["not_covered"][0]["start"]["row"], 5);
    assert_eq!(report["files"]["p.rego"]["coverage"], 50.0);
    let good = |threshold: &str| {
        let paths = [world.path("b/p.rego"), world.path("b/p_test.rego")];
        let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        crate::process::run(&[&["policy", "test", "--run", "good$", "--threshold", threshold], paths.as_slice()].concat(), "").status.code()
    };
    assert_eq!((good("30"), good("100"), good("101")), (Some(0), Some(2), Some(1)));
}

#[test]
fn a_query_is_answered_undefined_or_fails_with_its_place() {
    let world = World::quickstart();
    let bundle = bundle(&world);
    world.write("input.json", "{\"a\": 1, \"b\": 2}");
    let input = world.path("input.json");
    let input = input.to_str().unwrap();
    let answered = run(&["policy", "eval", &bundle, "--input", input, "data.p.allow"], "");
    assert_eq!((answered.status.code(), text(&answered).as_str()), (Some(0), "true\n"));
    let undefined = run(&["policy", "eval", &bundle, "--input", "-", "data.p.allow"], "{}");
    assert_eq!((undefined.status.code(), text(&undefined).as_str()), (Some(0), "undefined\n"));
    assert_eq!(run(&["policy", "eval", &bundle, "--fail", "data.p.allow"], "").status.code(), Some(1));
    let opas = json(&run(&["policy", "eval", &bundle, "--input", input, "--format", "json", "data.p.allow"], ""));
    assert_eq!(opas["result"][0]["expressions"][0]["value"], true);
    let failed = run(&["policy", "eval", &bundle, "1 / count([])"], "");
    assert_eq!(failed.status.code(), Some(2), "{}", text(&failed));
    // With a configuration, the catalog's documents are there.
    let configuration = world.configure();
    let registry = run(&["policy", "eval", configuration.to_str().unwrap(), "data.pii_registry.customer"], "");
    assert!(text(&registry).contains("full_name"), "{}", text(&registry));
}

/// A log of an analyst's and an authorized analyst's statements.
async fn audited(world: &World) -> String {
    let gateway = world.serve().await;
    let analyst = gateway.login("analyst").await;
    analyst.simple_query("SELECT card_last4 FROM payments.transaction_events_v1").await.unwrap();
    analyst.simple_query("SELECT count(*) FROM customer.customer_360").await.unwrap();
    analyst.simple_query("SELECT full_name FROM customer.customer_360").await.unwrap_err();
    // Nobody was to read by this.
    analyst.simple_query("EXPLAIN POLICY SELECT recipient_name FROM logistics.shipment_events_v2").await.unwrap();
    gateway.login("pii_analyst").await.simple_query("SELECT full_name FROM customer.customer_360").await.unwrap();
    gateway.stop().await;
    world.configure().to_str().unwrap().to_owned()
}

/// The bundle of the world, changed.
fn candidate(world: &World, name: &str, change: impl Fn(&str) -> String) -> String {
    world.copy_folder(&world.path("policies"), name);
    let file = format!("{name}/governance.rego");
    let rules = std::fs::read_to_string(world.path(&file)).unwrap();
    let changed = change(&rules);
    assert_ne!(rules, changed);
    world.write(&file, &changed);
    world.path(name).to_str().unwrap().to_owned()
}

fn replayed(configuration: &str, bundle: &str, more: &[&str]) -> (Option<i32>, String) {
    let output = run(&[&["policy", "replay", configuration, "--bundle", bundle], more].concat(), "");
    (output.status.code(), text(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_judged_by_a_candidate() {
    let world = World::quickstart();
    let configuration = audited(&world).await;
    let same = world.path("policies").to_str().unwrap().to_owned();
    let (code, said) = replayed(&configuration, &same, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("judged 4 decisions") && said.contains("access does not widen"), "{said}");

    let open =
        candidate(&world, "open", |rules| format!("{rules}\nfieldGrants contains column.name if some column in input.resource.columns\n"));
    let (code, said) = replayed(&configuration, &open, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("analyst on payments/transaction-events-v1 1.4.2, port transaction_files:"), "{said}");
    assert!(said.contains("gains  column card_last4: no longer masked (was replace-with-null)"), "{said}");
    assert!(said.contains("gains  denied before, now allowed: columns full_name"), "{said}");
    assert!(said.contains("access widens") && !said.contains("pii_analyst on") && !said.contains("recipient_name"), "{said}");
    assert_eq!(replayed(&configuration, &open, &["--since", "2100-01-01T00:00:00Z"]).0, Some(0));
    assert_eq!(replayed(&configuration, &open, &["--until", "2000-01-01T00:00:00Z"]).0, Some(0));

    let closed = candidate(&world, "closed", |rules| {
        format!("{rules}\nrowFilters contains {{\"expression\": \"tier = 'gold'\"}} if input.resource.product == \"customer-360\"\n")
    });
    let (code, said) = replayed(&configuration, &closed, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("loses  rows: limited to tier = ?") && !said.contains("gold"), "{said}");

    let exempt =
        candidate(&world, "exempt", |rules| format!("{rules}\nexemptions contains \"retention\" if input.subject.user == \"analyst\"\n"));
    let output = run(&["policy", "replay", &configuration, "--bundle", &exempt, "--format", "json"], "");
    let report = json(&output);
    assert_eq!((output.status.code(), &report["widens"]), (Some(1), &true.into()), "{report}");
    assert!(report.to_string().contains("filter_removed"), "{report}");
    let asker = report["groups"].as_array().unwrap().iter().all(|group| group["principal"] == "analyst");
    assert!(asker, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_whose_literals_are_not_known_counts_as_wider() {
    let world = World::quickstart();
    let filter = |tier: &str| {
        format!("\nrowFilters contains {{\"expression\": \"tier = '{tier}'\"}} if input.resource.product == \"customer-360\"\n")
    };
    let before = candidate(&world, "before", |rules| format!("{rules}{}", filter("gold")));
    let rules = std::fs::read_to_string(world.path("before/governance.rego")).unwrap();
    world.write("policies/governance.rego", &rules);
    let configuration = audited(&world).await;
    // By the bundle that decided, the filter is known to be the same.
    assert_eq!(replayed(&configuration, &before, &[]).0, Some(0));
    let (code, said) = replayed(&configuration, &candidate(&world, "other", |rules| rules.replace("'gold'", "'silver'")), &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("gains  rows: no longer limited to tier = ?"), "{said}");
    // Another bundle serves by now: what the log says without literals proves nothing.
    world.write("policies/governance.rego", &format!("{rules}\n# Changed.\n"));
    let (code, said) = replayed(&configuration, &before, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("but perhaps by other values"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_judged_is_a_fault() {
    let world = World::quickstart();
    let configuration = audited(&world).await;
    world.write("broken/governance.rego", "package data_mesh.governance\n\nallow if {\n");
    let (code, said) = replayed(&configuration, world.path("broken").to_str().unwrap(), &[]);
    assert_eq!(code, Some(2), "{said}");
    let segment = std::fs::read_dir(world.path("audit")).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "jsonl")).unwrap();
    let log = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, log.replacen("\"analyst\"", "\"another\"", 1)).unwrap();
    let (code, said) = replayed(&configuration, world.path("policies").to_str().unwrap(), &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("the audit log does not hold"), "{said}");
}
