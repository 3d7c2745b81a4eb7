//! Random statements over the same rows in each kind of port: all answer alike, whatever their sources have taken over.
//!
//! Files take over neither an order, an aggregate nor a join, so the answers of a server that does are compared with the engine's own.

mod edges;
mod joins;

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;

use crate::policy::{CompareOp, Exclusion, Literal, Mask, Obligations, Outcome, Predicate, SubjectSet};
use crate::ports::conformance::ports_of_each_kind;
use crate::ports::tests::{Database, field, ports, product};
use crate::ports::{DeferredTable, Ports};
use crate::product::mask::Decimal;
use crate::product::{DataType, PortFormat, Product};

use super::GovernedExec;
use super::testing::{World, field_name};

const STATEMENTS: usize = 150;

/// A small generator of numbers; the same seed gives the same statements.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn some_of<'a>(&mut self, of: &[&'a str], most: usize) -> Vec<&'a str> {
        let mut some: Vec<&str> = (0..=self.below(most)).map(|_| self.one_of(of)).collect();
        some.sort_unstable();
        some.dedup();
        some
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

const COLUMNS: &[&str] =
    &["id", "small", "medium", "name", "code", "active", "ratio", "part", "price", "day", "at_time", "noted", "seen", "token", "extra"];
const GROUPS: &[&str] = &["small", "name", "code", "active", "ratio", "price", "day", "token", "part", "seen"];
const PREDICATES: &[&str] = &[
    "small < 150",
    "small IS NULL",
    "medium BETWEEN 1000000 AND 1500000000",
    "name = 'Zoë'",
    "name > 'M'",
    "name LIKE '%a%'",
    "name IS NOT NULL",
    "code IN ('C00007', 'C00011', 'C00012')",
    "active",
    "NOT active",
    "ratio > 2.5",
    "price < 0",
    "day < DATE '2040-01-01'",
    "noted >= TIMESTAMP '2030-06-01'",
    "token <> '00000000-0000-4000-8000-000000000010'",
    "id % 7 <> 3",
    "length(name) > 3",
    "id < 900",
];
const AGGREGATES: &[&str] = &[
    "count(*)",
    "count(name)",
    "count(DISTINCT code)",
    "sum(CAST(id AS decimal(20, 0)))",
    "sum(small)",
    "sum(medium)",
    "sum(price)",
    "min(id)",
    "max(small)",
    "min(name)",
    "max(code)",
    "max(price)",
    "min(ratio)",
    "min(day)",
    "max(at_time)",
    "max(noted)",
    "min(seen)",
    "max(active)",
    "count(*) FILTER (WHERE active)",
];

fn condition(dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => String::new(),
        most => format!(" WHERE {}", dice.some_of(PREDICATES, most).join(if dice.chance(3) { " OR " } else { " AND " })),
    }
}

fn order(dice: &mut Dice, keys: &[&str]) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|key| format!("{key}{}{}", dice.one_of(&["", " ASC", " DESC"]), dice.one_of(&["", " NULLS FIRST", " NULLS LAST"])))
        .collect();
    keys.join(", ")
}

/// A statement whose answer has one order.
fn statement(dice: &mut Dice) -> String {
    let condition = condition(dice);
    match dice.below(6) {
        0 | 1 => {
            let keys = dice.some_of(COLUMNS, 2);
            let (shown, order) = (dice.some_of(COLUMNS, 4).join(", "), order(dice, &keys));
            let limit = dice.one_of(&["1", "3", "20", "400"]);
            format!("SELECT {shown} FROM people{condition} ORDER BY {order}, id LIMIT {limit}")
        }
        2 => format!("SELECT {} FROM people{condition}", dice.some_of(AGGREGATES, 5).join(", ")),
        3 => {
            let groups = dice.some_of(GROUPS, 2);
            let (aggregates, order) = (dice.some_of(AGGREGATES, 4).join(", "), order(dice, &groups));
            let groups = groups.join(", ");
            format!("SELECT {groups}, {aggregates} FROM people{condition} GROUP BY {groups} ORDER BY {order}")
        }
        4 => {
            let columns = dice.some_of(GROUPS, 2);
            let order = order(dice, &columns);
            format!("SELECT DISTINCT {} FROM people{condition} ORDER BY {order} LIMIT 30", columns.join(", "))
        }
        _ => {
            let on = dice.one_of(&["small", "code", "token", "day"]);
            let kind = dice.one_of(&["JOIN", "LEFT JOIN"]);
            let few = dice.one_of(&["7", "120"]);
            format!(
                "SELECT count(*), sum(p.price), max(c.name) FROM (SELECT * FROM people{condition}) p \
                 {kind} (SELECT * FROM colleagues ORDER BY medium, id LIMIT {few}) c ON p.{on} = c.{on}"
            )
        }
    }
}

fn obligations(dice: &mut Dice) -> Obligations {
    let compare = |column, op, value| Predicate::Compare { column: field_name(column), op, value };
    let row_filter = match dice.below(8) {
        0 => compare("small", CompareOp::Ge, Literal::Int(40)),
        1 => Predicate::And(vec![
            compare("id", CompareOp::Lt, Literal::Int(800)),
            Predicate::Not(Box::new(Predicate::IsNull(field_name("name")))),
        ]),
        // No server's to test, alone and beside one that is.
        2 => compare("ratio", CompareOp::Gt, Literal::Float(2.5)),
        3 => Predicate::And(vec![compare("id", CompareOp::Lt, Literal::Int(800)), compare("ratio", CompareOp::Le, Literal::Float(2.5))]),
        4 => Predicate::Matches { column: field_name("name"), regex: "[aZ]".to_owned() },
        _ => Predicate::True,
    };
    let ids = |ids: &[&str]| Arc::new(SubjectSet::new(ids.iter().map(|id| (*id).to_owned())));
    let exclusion = match dice.below(6) {
        0 => Some(Exclusion { column: field_name("small"), subjects: ids(&["7", "12", "x", "44"]) }),
        1 => Some(Exclusion { column: field_name("token"), subjects: ids(&["00000000-0000-4000-8000-00000000000A"]) }),
        2 => Some(Exclusion { column: field_name("small"), subjects: ids(&[]) }),
        3 => Some(Exclusion {
            column: field_name("id"),
            subjects: Arc::new(SubjectSet::new((0..6_000).step_by(3).map(|id| id.to_string()))),
        }),
        _ => None,
    };
    let mut obligations = Obligations { row_filter, exclusion, ..Obligations::default() };
    if dice.chance(4) {
        obligations.masks.insert(field_name("name"), Mask::Redact);
    }
    for (column, mask) in [("small", bucket("7")), ("day", Mask::TruncateToMonth), ("seen", Mask::TruncateToYear)] {
        if dice.chance(6) {
            obligations.masks.insert(field_name(column), mask);
        }
    }
    obligations
}

fn bucket(width: &str) -> Mask {
    Mask::Bucket(Decimal::parse(width).unwrap())
}

/// The product's table as statements read it.
fn deferred(ports: Ports, product: Product) -> Arc<dyn TableProvider> {
    let (port, fields) = (product.output_ports[0].name.clone(), product.schema.clone().unwrap());
    Arc::new(DeferredTable::new(&Arc::new(ports), &Arc::new(product), &port, &fields))
}

fn absorbs(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<GovernedExec>().is_some_and(|barrier| barrier.absorbed().is_some()) || plan.children().into_iter().any(absorbs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_ports_answer_random_statements_alike() {
    let folder = tempfile::tempdir().unwrap();
    let mut worlds = Vec::new();
    for (kind, ports, product) in ports_of_each_kind(folder.path()).await {
        let config = SessionConfig::new().with_target_partitions(2);
        worlds.push((kind, World::over(&deferred(ports, product), config, tempfile::tempdir().unwrap())));
    }
    let mut dice = Dice(20_261_121);
    let mut absorbed = 0;
    for round in 0..STATEMENTS {
        let (sql, policy) = (statement(&mut dice), obligations(&mut dice));
        let mut expected: Option<Result<String, String>> = None;
        for (kind, world) in &worlds {
            let answer = world.answer(&sql, &policy).await;
            if *kind == "postgres" {
                let plan = world.physical(&sql, &Outcome::Allow(policy.clone())).await;
                absorbed += usize::from(plan.is_ok_and(|plan| absorbs(&plan)));
            }
            assert!(answer.is_ok(), "{round}, {kind}: {sql}: {answer:?}");
            let expected = expected.get_or_insert_with(|| answer.clone());
            assert_eq!(&answer, expected, "{round}, {kind}: {sql}\n{policy:?}");
        }
    }
    let servers = worlds.iter().any(|(kind, _)| *kind == "postgres");
    assert!(!servers || absorbed > STATEMENTS / 5, "{absorbed} statements were taken over");
}

/// Products whose every row but a few fails to be read: an answer shows that the others were not.
async fn treacherous(folder: &tempfile::TempDir) -> Option<World> {
    let database = Database::from_environment().await?;
    let amount = |id: i32| if id < 20 { "1.5" } else { "NaN" }.to_owned();
    let row = |id: i32| [id.to_string(), (id % 10).to_string(), amount(id), id.to_string()].map(Some).to_vec();
    database.create("treacherous", "id int8, bucket int4, amount numeric, note text", &(0..400).map(row).collect::<Vec<_>>()).await;
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    let amount = DataType::Decimal { precision: 10, scale: 2 };
    let mut fields =
        vec![field("id", DataType::Int64), field("bucket", DataType::Int32), field("amount", amount), field("note", DataType::String)];
    fields[0].primary_key = true;
    let contract = product(PortFormat::Postgres, &database.location("treacherous"), Some(fields));
    Some(World::over(
        &deferred(ports(folder.path(), false), contract),
        SessionConfig::new().with_target_partitions(2),
        tempfile::tempdir().unwrap(),
    ))
}

fn shows(answer: &str, row: &[&str]) -> bool {
    answer.lines().any(|line| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).eq(row.iter().copied()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_sends_only_what_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(world) = treacherous(&folder).await else { return };
    let open = Obligations::default();
    assert!(world.answer("SELECT max(amount) FROM people", &open).await.is_err());
    for (sql, row) in [
        ("SELECT id, amount FROM people ORDER BY id LIMIT 1", &["0", "1.50"][..]),
        ("SELECT id, amount FROM (SELECT * FROM people WHERE bucket = 3) x ORDER BY id LIMIT 2", &["13", "1.50"]),
        ("SELECT bucket, count(*) FROM people GROUP BY bucket", &["7", "40"]),
        // The keys of the smaller side reach the larger one.
        ("SELECT count(p.amount) FROM (SELECT * FROM colleagues ORDER BY id LIMIT 3) c JOIN people p ON p.id = c.id", &["3"]),
    ] {
        let answer = world.answer(sql, &open).await;
        assert!(answer.as_ref().is_ok_and(|answer| shows(answer, row)), "{sql}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_sums_is_what_may_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let Some(world) = treacherous(&folder).await else { return };
    let sql = "SELECT count(*), min(id), max(id) FROM people";
    let open = Obligations::default();
    let filtered = Obligations {
        row_filter: Predicate::Compare { column: field_name("id"), op: CompareOp::Ge, value: Literal::Int(100) },
        exclusion: Some(Exclusion { column: field_name("id"), subjects: Arc::new(SubjectSet::new(["100", "399"].map(str::to_owned))) }),
        ..Obligations::default()
    };
    let masked = Obligations { masks: [(field_name("id"), Mask::Redact)].into(), ..Obligations::default() };
    // The first is no server's to test, the second is.
    let beyond = Obligations {
        row_filter: Predicate::And(vec![
            Predicate::Matches { column: field_name("note"), regex: "^1".to_owned() },
            Predicate::Compare { column: field_name("id"), op: CompareOp::Lt, value: Literal::Int(20) },
        ]),
        ..Obligations::default()
    };
    for (policy, row, taken_over) in [
        (&open, ["400", "0", "399"], true),
        (&filtered, ["298", "101", "398"], true),
        (&masked, ["400", "0", "0"], false),
        (&beyond, ["11", "1", "19"], false),
    ] {
        let answer = world.answer(sql, policy).await.unwrap();
        assert!(shows(&answer, &row), "{answer}");
        let plan = world.physical(sql, &Outcome::Allow(policy.clone())).await.unwrap();
        assert_eq!(absorbs(&plan), taken_over);
    }
    // As many groups as rows are made here.
    for (keys, taken_over) in [("id", false), ("bucket, id", false), ("bucket", true)] {
        let plan = world.physical(&format!("SELECT {keys}, count(*) FROM people GROUP BY {keys}"), &Outcome::Allow(open.clone())).await;
        assert_eq!(absorbs(&plan.unwrap()), taken_over, "{keys}");
    }
    let many = Obligations {
        exclusion: Some(Exclusion {
            column: field_name("id"),
            subjects: Arc::new(SubjectSet::new((1_000..22_000).map(|id| id.to_string()))),
        }),
        ..Obligations::default()
    };
    assert!(!absorbs(&world.physical(sql, &Outcome::Allow(many)).await.unwrap()), "a long list stays here");
}
