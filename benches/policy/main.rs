//! What policies cost: the same query with and without them, and as somebody would write it by hand on the bare engine.
//!
//! ```sh
//! cargo bench --bench policy -- [FOLDER] [PART-OF-A-NAME …]
//! ```
//!
//! Writes five million rows of Parquet into the folder (once; about 500 MB), then runs each case's queries in turn, so that a busy machine is busy for
//! all, and prints medians of wall time and of this process's CPU time, and their ratios. `want` is the ratio that a case must not
//! exceed. What is found out about rows is remembered by then; a `first statement` is measured in a gateway of its own, which remembers
//! nothing and has no plan yet. The gateway runs in this process without a socket: sessions, decisions, records and plans, but no protocol.
//! Set `POLICY_BENCH_RUNS` for another number of runs than seven, and `POLICY_BENCH_TPCH` to the folder of `examples/tpch/generate.sh` for the
//! queries over its lines of orders.

mod data;
mod measure;
mod worlds;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use meshgate::policy::AccessRequest;
use worlds::{Bare, Gateway, SINGLE};

use measure::{Case, On};

/// The same as the gateway's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A query over a table `T`; `by hand` is what the policy of the product `everything` comes to.
const GROUPED: &str = "SELECT city, count(*) AS visits, sum(amount) AS total FROM T GROUP BY city";
const RETAINED: &str = "created_at >= TIMESTAMPTZ '2024-06-01 00:00:00+00'";
const NOT_ERASED: &str = "NOT EXISTS (SELECT 1 FROM erased_people e WHERE e.id = T.subject_id)";
const ALL_COLUMNS: &str = "SELECT * FROM T";
const MASKED_OUTPUT: &str = "SELECT full_name, email, card, city, created_at, quantity, amount FROM T";
const POINT: &str = "SELECT subject_id, amount FROM T WHERE id = 4321987";
/// A point query is run so often for one measurement.
const POINT_REPEATS: usize = 30;

fn over(query: &str, table: &str) -> String {
    query.replace("FROM T", &format!("FROM {table}")).replace("T.", &format!("{table}."))
}

fn bench(table: &str) -> String {
    format!("bench.{}", table.replace('-', "_"))
}

fn gateway(query: &str, product: &str, erased: i64) -> (On, String) {
    (On::Gateway(erased), over(query, &bench(product)))
}

/// The same where nothing is remembered of rows yet.
fn first(query: &str, product: &str, erased: i64) -> (On, String) {
    (On::First(erased), over(query, &bench(product)))
}

fn bare(query: &str, product: &str) -> (On, String) {
    (On::Bare, over(query, &product.replace('-', "_")))
}

fn by_hand(condition: &str) -> String {
    GROUPED.replace("FROM T", &format!("FROM T WHERE {condition}"))
}

/// All cases: the first of each is what the others are compared with.
fn cases() -> Vec<Case> {
    let mut cases = retention();
    cases.extend(erasure());
    cases.push(
        Case::new("masked output", 1.3)
            .with("no policy", gateway(MASKED_OUTPUT, "plain-sorted", 1_000))
            .with("seven masks", gateway(MASKED_OUTPUT, "masked-sorted", 1_000)),
    );
    for (product, column, mask, by_hand) in SINGLE {
        let (name, query) = (format!("output of {column} under {mask}"), format!("SELECT {column} FROM T"));
        let (masked, open) = (gateway(&query, product, 1_000), gateway(&query, "plain-sorted", 1_000));
        cases.push(match by_hand {
            Some(by_hand) => Case::new(&name, 1.1)
                .with("by hand, bare", bare(&format!("SELECT {by_hand} AS {column} FROM T"), "plain-sorted"))
                .with("masked", masked)
                .beside("no policy", open),
            None => Case::new(&name, f64::INFINITY).with("no policy", open).beside("masked", masked),
        });
    }
    let all = by_hand(&format!("{RETAINED} AND {NOT_ERASED}"));
    cases.push(
        Case::new("point query", 1.05)
            .repeated(POINT_REPEATS)
            .with("no policy", gateway(POINT, "plain-sorted", 1_000))
            .with("everything", gateway(POINT, "everything-sorted", 1_000)),
    );
    cases.push(
        Case::new("everything, sorted", 1.1)
            .with("by hand, bare", bare(&all, "plain-sorted"))
            .with("everything", gateway(GROUPED, "everything-sorted", 100_000))
            .beside("everything, first statement", first(GROUPED, "everything-sorted", 100_000)),
    );
    cases.push(
        Case::new("everything, shuffled", 1.1)
            .with("by hand, bare", bare(&all, "plain-shuffled"))
            .with("everything", gateway(GROUPED, "everything-shuffled", 100_000))
            .beside("everything, first statement", first(GROUPED, "everything-shuffled", 100_000)),
    );
    cases
}

fn retention() -> Vec<Case> {
    vec![
        Case::new("unread mask", 1.00)
            .with("no policy", gateway(GROUPED, "plain-sorted", 1_000))
            .with("mask on an unread column", gateway(GROUPED, "unread-sorted", 1_000)),
        Case::new("retention that prunes", 1.00)
            .with("no policy", gateway(GROUPED, "plain-sorted", 1_000))
            .with("retention", gateway(GROUPED, "retained-sorted", 1_000))
            .beside("by hand, bare", bare(&by_hand(RETAINED), "plain-sorted")),
        Case::new("retention that prunes nothing", 1.10)
            .with("no policy", gateway(GROUPED, "plain-shuffled", 1_000))
            .with("retention", gateway(GROUPED, "retained-shuffled", 1_000))
            .beside("retention, first statement", first(GROUPED, "retained-shuffled", 1_000))
            .beside("no policy, first statement", first(GROUPED, "plain-shuffled", 1_000))
            .beside("by hand, bare", bare(&by_hand(RETAINED), "plain-shuffled")),
        Case::new("retention that hides nothing", 1.10)
            .with("no policy", gateway(GROUPED, "plain-sorted", 1_000))
            .with("retention", gateway(GROUPED, "kept-sorted", 1_000))
            .beside("retention, first statement", first(GROUPED, "kept-sorted", 1_000)),
        // What is hidden lies between what is shown, so each shown row is copied, whoever writes the condition.
        Case::new("retention that prunes nothing, all columns", 1.10)
            .with("by hand, bare", bare(&format!("{ALL_COLUMNS} WHERE {RETAINED}"), "plain-shuffled"))
            .with("retention", gateway(ALL_COLUMNS, "retained-shuffled", 1_000))
            .beside("retention, first statement", first(ALL_COLUMNS, "retained-shuffled", 1_000))
            .beside("no policy", gateway(ALL_COLUMNS, "plain-shuffled", 1_000)),
    ]
}

fn erasure() -> Vec<Case> {
    let mut cases = Vec::new();
    for (erased, want) in [(1_000, 1.15), (100_000, 1.3), (1_000_000, 1.6)] {
        let case = Case::new(&format!("erasure of {erased}"), want)
            .with("no policy", gateway(GROUPED, "plain-sorted", erased))
            .with("erasure", gateway(GROUPED, "erased-sorted", erased))
            .beside("erasure, first statement", first(GROUPED, "erased-sorted", erased))
            .beside("no policy, the subject is read", gateway(&by_hand("subject_id >= 0"), "plain-sorted", erased));
        cases.push(if erased == 100_000 { case.beside("NOT EXISTS, bare", bare(&by_hand(NOT_ERASED), "plain-sorted")) } else { case });
        cases.push(
            Case::new(&format!("erasure of {erased}, all columns"), want)
                .with("no policy", gateway(ALL_COLUMNS, "plain-sorted", erased))
                .with("erasure", gateway(ALL_COLUMNS, "erased-sorted", erased))
                .beside("erasure, first statement", first(ALL_COLUMNS, "erased-sorted", erased))
                .beside("NOT EXISTS of 100000, bare", bare(&format!("{ALL_COLUMNS} WHERE {NOT_ERASED}"), "plain-sorted")),
        );
    }
    cases
}

/// TPC-H 1 and 6 under a policy, without one, and with the policy written into the query.
fn tpch_cases() -> anyhow::Result<Vec<Case>> {
    let queries = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/tpch/queries");
    let mut cases = Vec::new();
    for number in ["01", "06"] {
        let query = std::fs::read_to_string(queries.join(format!("q{number}.sql")))?;
        let from = |table: &str| query.replace("    lineitem\n", &format!("    {table} lineitem\n"));
        let policy =
            "where\n    l_shipdate >= date '1995-06-17' and not exists (select 1 from erased_people e where e.id = l_suppkey) and ";
        let by_hand = from("lineitem_plain").replacen("where\n", policy, 1);
        cases.push(
            Case::new(&format!("TPC-H {number}, everything"), 1.1)
                .with("by hand, bare", (On::Bare, by_hand))
                .with("everything", (On::Gateway(100_000), from("bench.lineitem_everything")))
                .beside("no policy", (On::Gateway(100_000), from("bench.lineitem_plain"))),
        );
    }
    Ok(cases)
}

/// The median of so many decisions, in microseconds.
fn decision_micros(gateway: &Gateway, questions: &[AccessRequest]) -> f64 {
    let mut times: Vec<f64> = questions
        .iter()
        .map(|question| {
            let start = Instant::now();
            std::hint::black_box(gateway.point.decide(question));
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    measure::median(&mut times)
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{text}")?;
    Ok(output.flush()?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Cargo adds a flag of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let folder = arguments.next().map_or_else(|| std::env::temp_dir().join("meshgate-policy-bench"), PathBuf::from);
    let wanted: Vec<String> = arguments.collect();
    let runs = std::env::var("POLICY_BENCH_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    data::generate(&folder)?;
    let tpch = std::env::var_os("POLICY_BENCH_TPCH").map(PathBuf::from);
    let catalog = worlds::write_catalog(&folder, tpch.as_deref())?;
    let bare = Bare::new(&folder, &catalog, 100_000).await?;
    let mut gateways = Vec::new();
    for erased in [1_000, 100_000, 1_000_000] {
        gateways.push((erased, Gateway::new(&folder, &catalog, erased)?));
    }
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
    print(&format!("{:<46} {:>10} {:>10} {:>7} {:>7} {:>6}", "case", "wall ms", "CPU ms", "wall ×", "CPU ×", "want"))?;
    let mut all = cases();
    if tpch.is_some() {
        all.extend(tpch_cases()?);
    }
    for case in all.iter().filter(|case| chosen(case.name())) {
        print(&case.measure(&bare, &mut gateways, runs).await?)?;
    }
    if chosen("decision") {
        let (_, gateway) = gateways.last().ok_or_else(|| anyhow::anyhow!("no gateway"))?;
        let question = gateway.question(&catalog, "everything-sorted")?;
        let mut text = String::from("decision, 1000000 erased people\n");
        // Nobody has asked before whoever logs in anew.
        let anew = |_| AccessRequest { principal: worlds::analyst(), ..question.clone() };
        let cold = decision_micros(gateway, &(0..2_000).map(anew).collect::<Vec<_>>());
        let cached = decision_micros(gateway, &vec![question.clone(); 2_000]);
        write!(text, "  medians of 2000: asked anew {cold:.1} µs (want 100), asked again {cached:.2} µs (want 5)")?;
        print(&text)?;
    }
    Ok(())
}
