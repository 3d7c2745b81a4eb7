//! Tests of how plans are opened, refused, checked and shown.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::displayable;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::prelude::{Expr, cast, col, lit};

use crate::error::{ClientError, SqlState};
use crate::policy::{Decision, DenyReason, Exclusion, Literal, Mask, Obligations, Outcome, Predicate, SubjectSet};

use super::leakproof::is_leakproof;
use super::testing::{Person, Place, World, as_error, decision, field_name};
use super::{Error, explain_above_barrier, govern, observe, verify};

fn people() -> Vec<Person> {
    let person = |id| Person { id, full_name: format!("Name {id}"), salary: id, bucket: id % 10, dept: "open".to_owned(), created_us: 0 };
    (0..5_000).map(person).collect()
}

async fn world() -> World {
    World::new(Place::Memory, &people(), 2).await
}

fn allow() -> Outcome {
    Outcome::Allow(Obligations::default())
}

async fn decided(world: &World, sql: &str, outcome: Outcome) -> (LogicalPlan, Vec<Arc<Decision>>) {
    let plan = world.analyzed(sql).await.unwrap();
    let decisions = observe(&plan).unwrap().iter().map(|usage| decision(usage, outcome.clone())).collect();
    (plan, decisions)
}

#[tokio::test]
async fn a_table_without_a_decision_is_not_scanned() {
    let world = world().await;
    let state = world.state();
    let plan = world.analyzed("SELECT id FROM people").await.unwrap();
    let optimized = state.optimizer().optimize(plan, &state, |_, _| {}).unwrap();
    let error = state.query_planner().create_physical_plan(&optimized, &state).await.unwrap_err();
    assert!(matches!(as_error(&error), Some(Error::Undecided { .. })), "{error}");
}

#[tokio::test]
async fn a_deny_is_told_with_its_reasons() {
    let world = world().await;
    let reason = DenyReason { rule: "pii.read".to_owned(), fields: vec![field_name("full_name")], message: "Needs a role.".to_owned() };
    let (plan, decisions) = decided(&world, "SELECT full_name FROM people", Outcome::Deny(vec![reason])).await;
    let error = govern(plan, &decisions).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(error.to_string(), "permission denied for data product \"hr/people\"");
    assert_eq!(error.detail().unwrap(), "Needs a role. (rule pii.read)");
    assert_eq!(error.names().column.as_deref(), Some("full_name"));
}

#[tokio::test]
async fn every_table_of_a_plan_needs_a_decision() {
    let world = world().await;
    for sql in [
        "SELECT p.id FROM people p JOIN colleagues c ON p.id = c.id",
        "SELECT (SELECT max(id) FROM colleagues) FROM people",
        "SELECT id FROM people WHERE id IN (SELECT id FROM colleagues)",
        "SELECT id FROM people UNION ALL SELECT id FROM colleagues",
    ] {
        let (plan, mut decisions) = decided(&world, sql, allow()).await;
        decisions.retain(|decision| decision.product.name.as_str() == "people");
        assert!(matches!(govern(plan, &decisions), Err(Error::Undecided { .. })), "{sql}");
    }
}

#[tokio::test]
async fn a_field_outside_the_decision_is_refused() {
    let world = world().await;
    let (_, decisions) = decided(&world, "SELECT id FROM people", allow()).await;
    let wider = world.analyzed("SELECT id FROM people WHERE salary > 1").await.unwrap();
    assert!(matches!(govern(wider, &decisions), Err(Error::UncoveredField { field, .. }) if field == "salary"));
}

#[tokio::test]
async fn a_scan_refuses_a_column_outside_the_decision() {
    let world = world().await;
    let state = world.state();
    let (plan, decisions) = decided(&world, "SELECT id FROM people", allow()).await;
    // Not optimized: the scan is asked for every column.
    let governed = govern(plan, &decisions).unwrap();
    let error = state.query_planner().create_physical_plan(&governed, &state).await.unwrap_err();
    assert!(matches!(as_error(&error), Some(Error::UncoveredField { .. })), "{error}");
}

#[tokio::test]
async fn two_decisions_about_one_port_are_a_fault() {
    let world = world().await;
    let (plan, mut decisions) = decided(&world, "SELECT id FROM people", allow()).await;
    decisions.extend(decisions.clone());
    assert!(matches!(govern(plan, &decisions), Err(Error::Internal { .. })));
}

#[tokio::test]
async fn what_cannot_be_enforced_denies() {
    let world = world().await;
    let in_text = Predicate::Compare {
        column: field_name("dept"),
        op: crate::policy::CompareOp::Ge,
        value: Literal::Instant(chrono::DateTime::UNIX_EPOCH),
    };
    let by_time = Exclusion { column: field_name("created"), subjects: Arc::new(SubjectSet::default()) };
    for obligations in [
        Obligations { row_filter: in_text, ..Obligations::default() },
        Obligations { exclusion: Some(by_time), ..Obligations::default() },
        Obligations { masks: [(field_name("salary"), Mask::ShowLast4)].into(), ..Obligations::default() },
        Obligations { masks: [(field_name("missing"), Mask::Null)].into(), ..Obligations::default() },
    ] {
        let (plan, decisions) = decided(&world, "SELECT id, salary FROM people", Outcome::Allow(obligations)).await;
        let error = govern(plan, &decisions).unwrap_err();
        assert!(matches!(error, Error::Unenforceable { .. }), "{error:?}");
        assert_eq!(error.sqlstate(), SqlState::INSUFFICIENT_PRIVILEGE);
    }
}

#[tokio::test]
async fn verify_refuses_a_scan_that_no_barrier_covers() {
    let world = World::new(Place::Parquet { pushdown: false }, &people(), 1).await;
    let physical = world.physical("SELECT (SELECT max(id) FROM people)", &allow()).await.unwrap();
    assert!(matches!(verify(&physical, &[]), Err(Error::Undecided { .. })), "a barrier of another statement");
    // The first leaf's own barrier is left out.
    let mut inner = Arc::clone(&physical);
    let mut found = None;
    let mut pending = vec![Arc::clone(&physical)];
    while let Some(node) = pending.pop() {
        if node.is::<super::GovernedExec>() {
            found = Some(Arc::clone(node.children()[0]));
        }
        pending.extend(node.children().into_iter().cloned());
    }
    if let Some(scan) = found {
        inner = scan;
    }
    assert!(matches!(verify(&inner, &[]), Err(Error::Ungoverned { .. })));
}

/// The optimizer must not read a field that was not observed: the scan would refuse it.
#[tokio::test]
async fn what_is_observed_is_enough_to_run() {
    let world = world().await;
    for sql in [
        "SELECT count(*) FROM people p WHERE EXISTS (SELECT * FROM colleagues) OR p.id = 1",
        "SELECT count(*) FROM people p WHERE EXISTS (SELECT 1 FROM colleagues WHERE id < 0) OR p.id = 1",
        "SELECT count(*) FROM people p WHERE NOT EXISTS (SELECT * FROM colleagues c WHERE c.bucket = p.bucket) OR p.id < 5",
        "SELECT count(*) FROM people p WHERE p.id IN (SELECT id FROM colleagues) OR p.bucket = 3",
        "SELECT count(*) FROM people p WHERE p.id < ANY (SELECT salary FROM colleagues)",
        "SELECT count(*) FROM people p WHERE p.id >= ALL (SELECT salary FROM colleagues)",
        "SELECT DISTINCT ON (bucket) bucket, id FROM people ORDER BY bucket, salary",
        "SELECT x.bucket FROM (SELECT DISTINCT ON (bucket) bucket, id, full_name FROM people ORDER BY bucket, salary) x",
        "SELECT count(*) FROM (SELECT DISTINCT dept, id FROM people) x",
        "SELECT x.d FROM (SELECT dept AS d, bucket, count(*) AS n FROM people GROUP BY GROUPING SETS ((dept), (bucket))) x",
        "SELECT count(*) FROM people FULL JOIN colleagues USING (id)",
        "SELECT count(*) FROM people NATURAL JOIN colleagues",
        "SELECT p.dept FROM people p CROSS JOIN (SELECT * FROM colleagues LIMIT 2) c LIMIT 5",
        "SELECT id FROM people INTERSECT ALL SELECT bucket FROM colleagues",
        "SELECT d FROM (SELECT dept AS d, id FROM people EXCEPT SELECT dept, salary FROM colleagues) x",
        "SELECT unnest(make_array(id, salary)) AS u, dept FROM people LIMIT 3",
        "SELECT x.dept FROM (SELECT unnest(make_array(id, salary)) AS u, dept, full_name FROM people) x LIMIT 3",
        "SELECT l.n FROM people p, LATERAL (SELECT count(*) AS n, max(c.salary) AS m FROM colleagues c WHERE c.id = p.bucket) l LIMIT 1",
        "SELECT a FROM (SELECT id AS a, rank() OVER (ORDER BY salary) AS r, sum(bucket) OVER () AS s FROM people) w LIMIT 1",
        "SELECT (SELECT max(c.salary) FROM colleagues c WHERE c.id = p.id) AS m FROM people p ORDER BY m LIMIT 1",
        "SELECT id FROM (SELECT * FROM people ORDER BY full_name LIMIT 3) x",
        "SELECT id FROM (SELECT * FROM people ORDER BY full_name) x ORDER BY id LIMIT 3",
        "SELECT count(*) FROM people p LEFT JOIN colleagues c ON p.id = c.id",
        "SELECT p.id FROM people p LEFT SEMI JOIN colleagues c ON p.id = c.salary LIMIT 1",
        "SELECT p.id FROM people p LEFT ANTI JOIN colleagues c ON p.id = c.salary LIMIT 1",
        "WITH RECURSIVE r AS (SELECT id, dept FROM people WHERE id < 2 UNION ALL SELECT r.id + 1, r.dept FROM r WHERE r.id < 4) SELECT id FROM r",
        "SELECT v.n FROM (VALUES (1), (2)) v (n) JOIN people p ON p.id = v.n",
        "SELECT max(id) FILTER (WHERE salary > 3) FROM people HAVING count(*) > 1",
        "SELECT CASE WHEN bucket > 3 THEN dept END FROM people WHERE id BETWEEN salary AND 10 LIMIT 1",
        "SELECT array_agg(dept ORDER BY salary) FROM people WHERE id < 3",
    ] {
        let answer = world.answer(sql, &Obligations::default()).await;
        assert!(answer.is_ok(), "{sql}: {answer:?}");
    }
}

#[tokio::test]
async fn system_leaves_pass() {
    let world = world().await;
    for sql in ["SELECT 1", "VALUES (1), (2)", "SELECT * FROM generate_series(1, 3)", "SELECT 1 WHERE false"] {
        let physical = world.physical(sql, &allow()).await.unwrap();
        verify(&physical, &[]).unwrap();
    }
}

#[tokio::test]
async fn a_scan_of_one_file_is_read_in_parallel() {
    for place in [Place::Csv, Place::Parquet { pushdown: false }, Place::Memory] {
        let world = World::new(place, &people(), 2).await;
        let physical = world.physical("SELECT id FROM people WHERE bucket < 5", &allow()).await.unwrap();
        let text = displayable(physical.as_ref()).indent(false).to_string();
        let mut node = &physical;
        while !node.is::<super::GovernedExec>() {
            node = node.children()[0];
        }
        assert_eq!(node.properties().partitioning.partition_count(), 2, "{place:?}: {text}");
    }
}

#[tokio::test]
async fn policy_and_leakproof_filters_reach_the_reader() {
    let world = World::new(Place::Parquet { pushdown: true }, &people(), 1).await;
    let filter = Predicate::Compare { column: field_name("bucket"), op: crate::policy::CompareOp::Lt, value: Literal::Int(5) };
    let outcome = Outcome::Allow(Obligations { row_filter: filter, ..Obligations::default() });
    let sql = "SELECT count(*) FROM people WHERE id = 77 AND CAST(full_name AS text) <> '' AND 1 / salary > 0";
    let text = displayable(world.physical(sql, &outcome).await.unwrap().as_ref()).indent(false).to_string();
    let scan = text.lines().find(|line| line.contains("DataSourceExec")).unwrap();
    assert!(scan.contains("bucket@") && scan.contains("id@"), "{text}");
    assert!(!scan.contains("salary@2 >") && !scan.contains("1 / "), "{text}");
    let barrier = text.lines().find(|line| line.contains("GovernedExec")).unwrap();
    assert_eq!(barrier.trim(), "GovernedExec: product=hr/people");
}

#[tokio::test]
async fn dynamic_filters_pass_on_bare_unmasked_columns_only() {
    let world = World::new(Place::Parquet { pushdown: true }, &people(), 1).await;
    let scan_line = async |sql: &str, outcome: &Outcome| {
        let physical = world.physical(sql, outcome).await.unwrap();
        let text = displayable(physical.as_ref()).indent(false).to_string();
        text.lines().find(|line| line.contains("DataSourceExec")).unwrap().to_owned()
    };
    let masked = Outcome::Allow(Obligations { masks: [(field_name("salary"), Mask::Redact)].into(), ..Obligations::default() });
    let topk = "SELECT salary FROM people ORDER BY salary LIMIT 3";
    assert!(scan_line(topk, &allow()).await.contains("DynamicFilter"));
    assert!(!scan_line(topk, &masked).await.contains("DynamicFilter"));
    let computed = "SELECT salary FROM people ORDER BY 1000 / salary LIMIT 3";
    assert!(!scan_line(computed, &allow()).await.contains("DynamicFilter"));
}

#[tokio::test]
async fn a_limit_stays_above_what_hides_rows() {
    let world = world().await;
    let filter = Predicate::Compare { column: field_name("id"), op: crate::policy::CompareOp::Ge, value: Literal::Int(4_990) };
    let answer =
        world.answer("SELECT id FROM people LIMIT 3", &Obligations { row_filter: filter, ..Obligations::default() }).await.unwrap();
    assert_eq!(answer.lines().count(), 7, "{answer}");
}

#[tokio::test]
async fn explain_stops_at_the_barrier_and_tells_kinds_only() {
    let world = World::new(Place::Parquet { pushdown: true }, &people(), 2).await;
    let obligations = Obligations {
        row_filter: Predicate::Like { column: field_name("dept"), pattern: "policy-literal%".to_owned() },
        exclusion: Some(Exclusion { column: field_name("id"), subjects: Arc::new(SubjectSet::new(["4711".to_owned()])) }),
        masks: [(field_name("full_name"), Mask::Redact)].into(),
        ..Obligations::default()
    };
    let sql = "SELECT full_name FROM people WHERE salary > (SELECT max(bucket) FROM colleagues)";
    let (plan, _) = world.governed(sql, &Outcome::Allow(obligations)).await.unwrap();
    let text = explain_above_barrier(&plan, &[]).to_lines("").join("\n");
    for shown in [
        "Data Product: hr/people",
        "Output: full_name, salary",
        "Row Filter: yes",
        "Exclusion: yes",
        "Masked: full_name",
        "Data Product: hr/colleagues",
        "Output: bucket",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    for secret in ["policy-literal", "4711", ".parquet", "tmp", "Int64", "Utf8", "__"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn only_total_predicates_are_leakproof() {
    let types = |name: &str| match name {
        "n" | "m" => Some(DataType::Int64),
        "t" => Some(DataType::Utf8View),
        "b" => Some(DataType::Boolean),
        _ => None,
    };
    let text = |text: &str| lit(ScalarValue::Utf8View(Some(text.to_owned())));
    let proof: Vec<Expr> = vec![
        col("n").eq(lit(1i64)),
        col("n").lt(col("m")),
        col("t").like(text("a%")),
        col("n").between(lit(1i64), lit(2i64)),
        col("n").in_list(vec![lit(1i64)], true),
        col("t").is_not_null().or(col("b")),
        !col("b"),
        col("n").not_eq(lit(1i64)).and(Expr::Literal(datafusion::common::ScalarValue::Boolean(None), None)),
    ];
    let leaky: Vec<Expr> = vec![
        col("n").eq(lit(1i32)),
        col("masked").eq(lit(1i64)),
        col("n").eq(col("masked")),
        cast(col("t"), DataType::Int64).eq(lit(1i64)),
        lit(1i64).gt(lit(1i64) / col("n")),
        col("t").ilike(text("a%")),
        col("t").like(col("t")),
        col("t").like(text(&"_".repeat(1_000))),
        col("n").eq(Expr::Placeholder(datafusion::logical_expr::expr::Placeholder::new_with_field("$1".to_owned(), None))),
        col("n").eq(lit(1i64)).and(col("masked").is_null()),
        col("n").in_list(vec![col("m")], false),
    ];
    for predicate in proof {
        assert!(is_leakproof(&predicate, &types), "{predicate}");
    }
    for predicate in leaky {
        assert!(!is_leakproof(&predicate, &types), "{predicate}");
    }
}

#[test]
fn a_denial_survives_the_way_through_the_engine() {
    let error = DataFusionError::from(Error::Internal { invariant: "x" });
    assert!(matches!(as_error(&error), Some(Error::Internal { .. })));
}

#[tokio::test]
async fn a_list_with_null_excludes_every_row() {
    let world = world().await;
    for sql in
        ["SELECT count(*) FROM people WHERE id NOT IN (1, NULL)", "SELECT count(*) FROM people WHERE NOT (id IN (1, 2, 3, 4, 5, NULL))"]
    {
        let none = world.answer("SELECT count(*) FROM people WHERE id < -1", &Obligations::default()).await;
        assert_eq!(world.answer(sql, &Obligations::default()).await, none, "{sql}");
    }
}

#[tokio::test]
async fn the_number_of_rows_is_told_where_none_is_hidden_and_only_there() {
    let world = world().await;
    let nobody = Exclusion { column: field_name("id"), subjects: Arc::new(SubjectSet::default()) };
    let all = Predicate::Compare { column: field_name("id"), op: crate::policy::CompareOp::Ge, value: Literal::Int(0) };
    let masked = [(field_name("full_name"), Mask::Null)].into();
    for (obligations, rows) in [
        (Obligations::default(), Precision::Inexact(5_000)),
        (Obligations { masks: masked, ..Obligations::default() }, Precision::Inexact(5_000)),
        (Obligations { exclusion: Some(nobody), ..Obligations::default() }, Precision::Absent),
        (Obligations { row_filter: all, ..Obligations::default() }, Precision::Absent),
    ] {
        let plan = world.physical("SELECT id, full_name FROM people", &Outcome::Allow(obligations)).await.unwrap();
        let told = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new()).unwrap();
        assert_eq!(told.num_rows, rows);
        assert!(told.column_statistics.iter().all(|column| *column == ColumnStatistics::new_unknown()));
    }
}
