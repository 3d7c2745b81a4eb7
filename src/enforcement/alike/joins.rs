//! Random joins, alike in each kind of port: a server does them whole, each product under rules of its own.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;

use super::{AGGREGATES, Dice, GROUPS, absorbs, condition, deferred, obligations, order, shows};
use crate::enforcement::testing::{World, field_name};
use crate::enforcement::{GovernedExec, explain_above_barrier, taken_over};
use crate::policy::{CompareOp, Exclusion, Literal, Mask, Obligations, Outcome, Predicate, SubjectSet};
use crate::ports::Estimates;
use crate::ports::conformance::ports_of_each_kind;
use crate::ports::tests::{Database, field, ports, product};
use crate::product::{DataType, PortFormat};

const STATEMENTS: usize = 120;

/// Pairs of columns by which no more than some ten thousand rows meet.
const KEYS: &[&str] = &[
    "p.small = c.small",
    "p.token = c.token",
    "p.day = c.day",
    "p.code = c.code",
    "p.seen = c.seen AND p.small = c.small",
    "p.price = c.price",
    "p.at_time = c.at_time",
    "p.noted = c.noted",
    // Integers of different widths.
    "p.small = c.id",
    "p.id = c.medium",
    // Floats, and what is computed, stay with the engine.
    "p.ratio = c.ratio AND p.small = c.small",
    "p.id = c.id + 1",
    "p.id = c.id AND p.small <= c.medium",
];
const KINDS: &[&str] = &["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"];

/// The same of columns of one side.
fn of(side: &str, expression: &str) -> String {
    let columns = ["id", "small", "medium", "name", "code", "active", "ratio", "price", "day", "at_time", "noted", "seen"];
    let mut words = expression.to_owned();
    for column in columns {
        words = words.replace(&format!("({column})"), &format!("({side}.{column})"));
        words = words.replace(&format!("({column} AS"), &format!("({side}.{column} AS"));
        words = words.replace(&format!("DISTINCT {column}"), &format!("DISTINCT {side}.{column}"));
        words = words.replace(&format!("WHERE {column}"), &format!("WHERE {side}.{column}"));
    }
    words
}

fn side(dice: &mut Dice, table: &str) -> String {
    let condition = if dice.chance(2) { condition(dice) } else { String::new() };
    format!("(SELECT * FROM {table}{condition})")
}

/// Two products, or three.
fn source(dice: &mut Dice) -> String {
    let (people, colleagues, others) = (side(dice, "people"), side(dice, "colleagues"), side(dice, "people"));
    let (kind, on) = (dice.one_of(KINDS), dice.one_of(KEYS));
    if dice.chance(4) {
        let another = dice.one_of(KINDS);
        return format!("{people} p {kind} {colleagues} c ON p.token = c.token {another} {others} q ON c.id = q.small");
    }
    format!("{people} p {kind} {colleagues} c ON {on}")
}

fn aggregates(dice: &mut Dice, sides: &[&str]) -> String {
    // One that no server is asked for keeps the others here.
    let absorbed: Vec<&str> = AGGREGATES
        .iter()
        .copied()
        .filter(|aggregate| !["DISTINCT", "FILTER", "ratio", "active", "CAST"].iter().any(|word| aggregate.contains(word)))
        .collect();
    let some = if dice.chance(4) { dice.some_of(AGGREGATES, 4) } else { dice.some_of(&absorbed, 4) };
    let some: Vec<String> = some.into_iter().enumerate().map(|(at, aggregate)| of(sides[at % sides.len()], aggregate)).collect();
    some.join(", ")
}

/// A statement whose answer has one order.
fn statement(dice: &mut Dice) -> String {
    let source = source(dice);
    match dice.below(7) {
        0 => format!("SELECT {} FROM {source}", aggregates(dice, &["p", "c"])),
        1 => {
            let groups: Vec<String> = dice.some_of(GROUPS, 2).iter().map(|group| format!("{}.{group}", dice.one_of(&["p", "c"]))).collect();
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            let (aggregates, order) = (aggregates(dice, &["c", "p"]), order(dice, &groups));
            let groups = groups.join(", ");
            format!("SELECT {groups}, {aggregates} FROM {source} GROUP BY {groups} ORDER BY {order}")
        }
        2 => {
            let (people, colleagues) = (side(dice, "people"), side(dice, "colleagues"));
            let on = dice.one_of(KEYS);
            let not = dice.one_of(&["", "NOT "]);
            let aggregates = aggregates(dice, &["p"]);
            format!("SELECT {aggregates} FROM {people} p WHERE {not}EXISTS (SELECT 1 FROM {colleagues} c WHERE {on})")
        }
        3 => {
            let keys = [format!("p.{}", dice.one_of(GROUPS)), format!("c.{}", dice.one_of(GROUPS))];
            let order = order(dice, &[&keys[0], &keys[1]]);
            let limit = dice.one_of(&["1", "9", "300"]);
            format!("SELECT p.name, c.code, p.price, c.extra FROM {source} ORDER BY {order}, p.id, c.id LIMIT {limit}")
        }
        // All rows of the join are needed.
        kind @ (4 | 5) => {
            let (people, colleagues, on) = (side(dice, "people"), side(dice, "colleagues"), dice.one_of(KEYS));
            let rows = format!("FROM {people} p JOIN {colleagues} c ON {on}");
            if kind == 4 {
                return format!("SELECT count(*), min(p.ratio), max(length(c.name)), sum(p.price) {rows}");
            }
            let half = format!("FROM {people} p WHERE EXISTS (SELECT 1 FROM {colleagues} c WHERE {on})");
            let from = dice.one_of(&[&rows, &half]);
            format!("SELECT p.id, p.name, p.day {from} ORDER BY p.id OFFSET 3")
        }
        _ => {
            let (people, colleagues) = (side(dice, "people"), side(dice, "colleagues"));
            let order = order(dice, &["p.name"]);
            format!(
                "SELECT p.name, p.day FROM {people} p WHERE p.small IN (SELECT c.id FROM {colleagues} c) ORDER BY {order}, p.id LIMIT 20"
            )
        }
    }
}

fn joins(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let joined = plan.downcast_ref::<GovernedExec>().is_some_and(|barrier| barrier.reads().count() > 1);
    joined || plan.children().into_iter().any(joins)
}

/// Whether all rows of a join come from the source.
fn joins_whole(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let whole = |barrier: &GovernedExec| barrier.reads().count() > 1 && barrier.absorbed().is_none();
    plan.downcast_ref::<GovernedExec>().is_some_and(whole) || plan.children().into_iter().any(joins_whole)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_ports_answer_random_joins_alike() {
    let folder = tempfile::tempdir().unwrap();
    let mut worlds = Vec::new();
    for (kind, ports, product) in ports_of_each_kind(folder.path()).await {
        // What each kind of file reads is compared elsewhere.
        if !["csv", "parquet", "postgres", "postgres by COPY, in ranges"].contains(&kind) {
            continue;
        }
        let table = deferred(ports, product);
        let config = SessionConfig::new().with_target_partitions(2);
        worlds.push((kind, World::over(&table, config.clone(), tempfile::tempdir().unwrap())));
        if kind == "postgres" {
            // Whatever it is asked for, however much that is.
            worlds.push(("postgres, all joins", World::joining(&table, config, tempfile::tempdir().unwrap(), |_, _| true)));
        }
    }
    let mut dice = Dice(20_261_122);
    let (mut joined, mut whole) = (0, 0);
    for round in 0..STATEMENTS {
        let sql = statement(&mut dice);
        let policies = [obligations(&mut dice), obligations(&mut dice)];
        let decide = |name: &str| Outcome::Allow(policies[usize::from(name == "colleagues")].clone());
        let mut expected: Option<String> = None;
        for (kind, world) in &worlds {
            let plan = world.physical_by(&sql, &decide).await;
            let plan = plan.unwrap_or_else(|error| panic!("{round}, {kind}: {sql}: {error}"));
            joined += usize::from(*kind == "postgres" && joins(&plan));
            whole += usize::from(*kind == "postgres, all joins" && joins_whole(&plan));
            let answer = world.run(plan).await.unwrap_or_else(|error| panic!("{round}, {kind}: {sql}: {error}"));
            let expected = expected.get_or_insert_with(|| answer.clone());
            assert_eq!(&answer, expected, "{round}, {kind}: {sql}\n{policies:?}");
        }
    }
    let servers = worlds.iter().any(|(kind, _)| *kind == "postgres");
    assert!(!servers || joined > STATEMENTS / 6, "{joined} statements were joined by the server");
    assert!(!servers || whole > 3, "{whole} statements were sent all rows of a join");
}

/// Two tables of one server, of which only the join is small.
async fn crowd(folder: &tempfile::TempDir) -> Option<World> {
    let database = Database::from_environment().await?;
    let row = |id: i32| [Some(id), Some(id % 10), Some(id * 3)].map(|value| value.map(|value| value.to_string())).to_vec();
    database.create("crowd", "id int8, bucket int4, amount numeric(12, 2)", &(0..400).map(row).collect::<Vec<_>>()).await;
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let amount = DataType::Decimal { precision: 12, scale: 2 };
    let fields = vec![field("id", DataType::Int64), field("bucket", DataType::Int32), field("amount", amount)];
    let contract = product(PortFormat::Postgres, &database.location("crowd"), Some(fields));
    let table = deferred(ports(folder.path(), false), contract);
    Some(World::over(&table, SessionConfig::new().with_target_partitions(2), tempfile::tempdir().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_joins_is_what_may_be_seen_of_either_product() {
    let folder = tempfile::tempdir().unwrap();
    let Some(world) = crowd(&folder).await else { return };
    let open = Obligations::default();
    let below = |limit| Predicate::Compare { column: field_name("id"), op: CompareOp::Lt, value: Literal::Int(limit) };
    let filtered = Obligations { row_filter: below(100), ..Obligations::default() };
    let ids = Arc::new(SubjectSet::new(["0", "398", "399"].map(str::to_owned)));
    let erased = Obligations { exclusion: Some(Exclusion { column: field_name("id"), subjects: ids }), ..Obligations::default() };
    let masked = Obligations { masks: [(field_name("amount"), Mask::Null)].into(), ..Obligations::default() };
    let many = Arc::new(SubjectSet::new((1_000..22_000).map(|id| id.to_string())));
    let long = Obligations { exclusion: Some(Exclusion { column: field_name("id"), subjects: many }), ..Obligations::default() };
    let some = Arc::new(SubjectSet::new((390..3_000).map(|id| id.to_string())));
    let longer = Obligations { exclusion: Some(Exclusion { column: field_name("id"), subjects: some }), ..Obligations::default() };
    let counted = "SELECT count(*), min(p.id), max(c.id) FROM people p JOIN colleagues c ON p.id = c.id";
    let outer = "SELECT count(*), count(c.id), max(p.id) FROM people p LEFT JOIN colleagues c ON p.id = c.id";
    let first = "SELECT p.id, c.amount FROM people p JOIN colleagues c ON p.id = c.id ORDER BY p.id DESC, c.bucket LIMIT 1";
    let key = "SELECT count(*), min(p.id), max(c.id) FROM people p JOIN colleagues c ON p.amount = c.amount";
    for (sql, people, colleagues, row, taken_over) in [
        (counted, &open, &open, &["400", "0", "399"][..], true),
        (counted, &filtered, &open, &["100", "0", "99"], true),
        (counted, &open, &filtered, &["100", "0", "99"], true),
        (counted, &filtered, &erased, &["99", "1", "99"], true),
        (counted, &masked, &masked, &["400", "0", "399"], true),
        (counted, &open, &longer, &["390", "0", "389"], true),
        (counted, &open, &long, &["400", "0", "399"], false),
        (outer, &open, &filtered, &["400", "100", "399"], true),
        (outer, &erased, &filtered, &["397", "99", "397"], true),
        (first, &open, &open, &["399", "1197.00"], true),
        (first, &erased, &masked, &["397"], true),
        (first, &open, &filtered, &["99", "297.00"], true),
        // A masked column is not compared, nor looked at, where it is raw.
        (key, &masked, &open, &["0"], false),
        (key, &open, &open, &["400", "0", "399"], true),
    ] {
        let decide = |name: &str| Outcome::Allow(if name == "people" { people } else { colleagues }.clone());
        let plan = world.physical_by(sql, &decide).await.unwrap();
        assert_eq!(joins(&plan), taken_over, "{sql}\n{people:?}\n{colleagues:?}");
        let answer = world.run(plan).await.unwrap();
        assert!(shows(&answer, row), "{sql}\n{people:?}\n{colleagues:?}\n{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_at_the_server_is_shown_where_no_row_may_be_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let Some(world) = crowd(&folder).await else { return };
    let sql = "SELECT p.bucket, sum(c.amount) FROM people p JOIN colleagues c ON p.id = c.id GROUP BY p.bucket";
    let hidden = Obligations {
        row_filter: Predicate::Compare { column: field_name("id"), op: CompareOp::Lt, value: Literal::Int(123_456) },
        ..Obligations::default()
    };
    for (policy, told) in [(Obligations::default(), 2), (hidden, 0)] {
        let decide = |name: &str| Outcome::Allow(if name == "people" { policy.clone() } else { Obligations::default() });
        let plan = world.physical_by(sql, &decide).await.unwrap();
        assert!(joins(&plan) && absorbs(&plan));
        let (logical, _) = world.governed_by(sql, &decide).await.unwrap();
        let shown = explain_above_barrier(&logical, &taken_over(&plan)).to_lines("").join("\n");
        assert_eq!(shown.matches("Done by Source: Join, Partial Aggregate").count(), told, "{shown}");
        assert!(!shown.contains("123456"), "{shown}");
    }
}

/// A table that is large, whose server knows what is in it.
async fn many(folder: &tempfile::TempDir) -> Option<World> {
    let database = Database::from_environment().await?;
    database.create("many", "id int8, bucket int4, note text", &[]).await;
    let name = database.table("many");
    let rows = "SELECT i, i % 7, 'note ' || i FROM pg_catalog.generate_series(0, 69999) i";
    database.run(&format!("INSERT INTO {name} {rows}; ANALYZE {name}")).await;
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let fields = vec![field("id", DataType::Int64), field("bucket", DataType::Int32), field("note", DataType::String)];
    let contract = product(PortFormat::Postgres, &database.location("many"), Some(fields));
    let table = deferred(ports(folder.path(), false), contract);
    let config = SessionConfig::new().with_target_partitions(2).with_extension(Arc::new(Estimates));
    Some(World::over(&table, config, tempfile::tempdir().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_join_come_from_where_less_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let Some(world) = many(&folder).await else { return };
    let open = Obligations::default();
    let below = Predicate::Compare { column: field_name("id"), op: CompareOp::Lt, value: Literal::Int(60_000) };
    let filtered = Obligations { row_filter: below, ..Obligations::default() };
    let masked = Obligations { masks: [(field_name("note"), Mask::ShowLast4)].into(), ..Obligations::default() };
    let few = "SELECT p.id, c.note FROM people p JOIN colleagues c ON p.id = c.id WHERE c.id >= 59998 AND c.id < 60003 AND p.bucket <> 9";
    let all = "SELECT count(*) FILTER (WHERE p.bucket > 0), max(c.note) FROM people p JOIN colleagues c ON p.id = c.id";
    let half = "SELECT p.note, p.id FROM people p WHERE p.id IN (SELECT c.id FROM colleagues c WHERE c.id < 3)";
    // By names that other columns have.
    let renamed = "SELECT r.bucket, r.id FROM (SELECT p.id AS bucket, c.bucket AS id FROM people p JOIN colleagues c ON p.id = c.id WHERE c.id < 9) r \
                   JOIN (VALUES (2), (8)) v (id) ON r.bucket = v.id";
    let shown: Vec<String> = (59_998..60_003).map(|id| format!("{id},note {id}")).collect();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    let hidden = ["59998,xxxxxn9998", "59999,xxxxxn9999", "60000,xxxxxn0000", "60001,xxxxxn0001", "60002,xxxxxn0002"];
    for (sql, people, colleagues, rows, whole) in [
        (few, &open, &open, &shown[..], true),
        (few, &open, &masked, &hidden[..], true),
        // Estimates count hidden rows.
        (few, &filtered, &open, &shown[..2], false),
        (few, &open, &filtered, &shown[..2], false),
        (all, &open, &open, &["60000,note 9999"][..], false),
        (half, &open, &open, &["note 0,0", "note 1,1", "note 2,2"][..], true),
        (half, &masked, &filtered, &["xxte 0,0", "xxte 1,1", "xxte 2,2"][..], false),
        (renamed, &open, &open, &["2,2", "8,1"][..], true),
    ] {
        let decide = |name: &str| Outcome::Allow(if name == "people" { people } else { colleagues }.clone());
        let plan = world.physical_by(sql, &decide).await.unwrap();
        assert_eq!(joins_whole(&plan), whole, "{sql}\n{people:?}\n{colleagues:?}");
        let (logical, _) = world.governed_by(sql, &decide).await.unwrap();
        let told = explain_above_barrier(&logical, &taken_over(&plan)).to_lines("").join("\n");
        assert_eq!(told.matches("Done by Source: Join").count(), if whole { 2 } else { 0 }, "{told}");
        let answer = world.run(plan).await.unwrap();
        assert_eq!(cells(&answer), rows, "{sql}\n{people:?}\n{colleagues:?}\n{answer}");
    }
}

/// The rows of a table of text, sorted, with commas.
fn cells(answer: &str) -> Vec<String> {
    let rows = answer.lines().skip(3).filter(|line| line.starts_with('|'));
    let mut rows: Vec<String> = rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(",")).collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joined_rows_are_summed_where_that_costs_less() {
    let folder = tempfile::tempdir().unwrap();
    let Some(world) = many(&folder).await else { return };
    let open = Obligations::default();
    let filtered = Obligations { row_filter: Predicate::Not(Box::new(Predicate::IsNull(field_name("id")))), ..Obligations::default() };
    // About every row of one side meets one of few, or few rows do.
    let most = "SELECT count(*), max(c.note) FROM people p JOIN colleagues c ON p.bucket = c.id WHERE c.id < 10";
    let few = "SELECT count(*), max(c.note) FROM people p JOIN colleagues c ON p.id = c.id WHERE c.id < 10";
    for (sql, policy, row, taken_over) in [
        (most, &open, ["70000", "note 6"], false),
        (few, &open, ["10", "note 9"], true),
        // Nothing hangs on how many rows are hidden.
        (most, &filtered, ["70000", "note 6"], true),
    ] {
        let plan = world.physical(sql, &Outcome::Allow(policy.clone())).await.unwrap();
        assert_eq!(absorbs(&plan), taken_over, "{sql}\n{policy:?}");
        let answer = world.run(plan).await.unwrap();
        assert!(shows(&answer, &row), "{sql}\n{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_groups_as_rows_are_made_here() {
    let folder = tempfile::tempdir().unwrap();
    let Some(world) = many(&folder).await else { return };
    let filtered = Obligations { row_filter: Predicate::Not(Box::new(Predicate::IsNull(field_name("id")))), ..Obligations::default() };
    for (keys, policy, taken_over) in [
        ("bucket", Obligations::default(), true),
        ("note", Obligations::default(), false),
        ("bucket, note", Obligations::default(), false),
        // Nothing hangs on how many rows are hidden.
        ("note", filtered, true),
    ] {
        let sql = format!("SELECT {keys}, count(*) FROM people GROUP BY {keys}");
        let plan = world.physical(&sql, &Outcome::Allow(policy)).await.unwrap();
        assert_eq!(absorbs(&plan), taken_over, "{keys}");
    }
}
