//! What is remembered against what the columns say, over Parquet files of many shapes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::TableProvider;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use proptest::prelude::*;

use super::super::Error;
use super::super::barrier::GovernedExec;
use super::super::testing::{World, as_error, field_name};
use super::Selections;
use crate::policy::{CompareOp, Exclusion, Literal, Obligations, Outcome, Predicate, SubjectSet};
use crate::ports::tests::{field, message, open, product};
use crate::ports::{NumberedScan, PortOptions, Ports};
use crate::product::{DataType, Field, PortFormat, Product};

/// A row: its day, whom it is about, and a text. Its id is its position.
type Row = (Option<i64>, Option<i64>, String);

const DAY: i64 = 86_400_000_000;

fn rows(count: i64) -> Vec<Row> {
    (0..count).map(|n| (Some((n * 919) % 1_000), Some(n % 50), format!("t{}", n % 7))).collect()
}

fn write(path: &Path, rows: &[Row], group: usize) {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_data_page_row_count_limit(10)
        .set_write_batch_size(5)
        .set_dictionary_enabled(false)
        .build();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new((0..rows.len()).map(|id| i64::try_from(id).unwrap()).collect::<Int64Array>()) as ArrayRef, true),
        ("seen", Arc::new(rows.iter().map(|row| row.0.map(|day| day * DAY)).collect::<TimestampMicrosecondArray>()), true),
        ("subject", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()), true),
        ("text", Arc::new(rows.iter().map(|row| Some(row.2.as_str())).collect::<StringArray>()), true),
    ])
    .unwrap();
    let incoming = path.with_extension("incoming");
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&incoming).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    std::fs::rename(incoming, path).unwrap();
}

fn columns() -> Vec<Field> {
    let columns = [("id", DataType::Int64), ("seen", DataType::Timestamp), ("subject", DataType::Int64), ("text", DataType::String)];
    let mut columns = columns.map(|(name, data_type)| field(name, data_type)).to_vec();
    columns[0].primary_key = true;
    columns
}

fn settling(files_settle: Duration) -> PortOptions {
    PortOptions { files_settle, ..PortOptions::default() }
}

/// One folder of files, read with a memory and without one.
struct Fixture {
    memory: Arc<Selections>,
    remembering: World,
    forgetful: World,
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn new(files: &[(&[Row], usize)], settle: Duration, bytes: usize, partitions: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (at, (rows, group)) in files.iter().enumerate() {
            write(&folder.path().join(format!("{at}.parquet")), rows, *group);
        }
        Self::over(folder, product(PortFormat::Parquet, "*.parquet", Some(columns())), settling(settle), bytes, partitions).await
    }

    async fn over(folder: tempfile::TempDir, product: Product, options: PortOptions, bytes: usize, partitions: usize) -> Self {
        let ports = Ports::new(PortOptions { data_root: folder.path().to_owned(), ..options });
        let source: Arc<dyn TableProvider> = open(&ports, &product).await.unwrap();
        let config = || {
            let mut config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(16);
            config.options_mut().optimizer.repartition_file_min_size = 0;
            config
        };
        let memory = Arc::new(Selections::new(bytes));
        let remembering = World::over(&source, config().with_extension(Arc::clone(&memory)), tempfile::tempdir().unwrap());
        Self { memory, remembering, forgetful: World::over(&source, config(), tempfile::tempdir().unwrap()), folder }
    }

    async fn small(rows: &[Row], group: usize) -> Self {
        Self::new(&[(rows, group)], Duration::ZERO, 1 << 20, 1).await
    }

    async fn plan(&self, sql: &str, obligations: &Obligations) -> Arc<dyn ExecutionPlan> {
        self.remembering.physical(sql, &Outcome::Allow(obligations.clone())).await.unwrap()
    }

    async fn answer(&self, sql: &str, obligations: &Obligations) -> Vec<RecordBatch> {
        self.remembering.batches(self.plan(sql, obligations).await).await.unwrap()
    }

    /// With the memory and without, the same rows come in the same order and in the same batches. How many.
    async fn agree(&self, sql: &str, obligations: &Obligations) -> usize {
        let plan = self.forgetful.physical(sql, &Outcome::Allow(obligations.clone())).await.unwrap();
        let expected = self.forgetful.batches(plan).await.unwrap();
        let found = self.answer(sql, obligations).await;
        let text = |batches: &[RecordBatch]| pretty_format_batches(batches).unwrap().to_string();
        assert_eq!(text(&found), text(&expected), "{sql}");
        let sizes = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
        assert_eq!(sizes(&found), sizes(&expected), "{sql}");
        sizes(&found).iter().sum()
    }
}

impl Fixture {
    /// The same rows, whichever file is read first. How many.
    async fn agree_but_for_order(&self, sql: &str, obligations: &Obligations) -> usize {
        let plan = self.forgetful.physical(sql, &Outcome::Allow(obligations.clone())).await.unwrap();
        let lines = |batches: &[RecordBatch]| {
            let text = pretty_format_batches(batches).unwrap().to_string();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let (expected, found) = (self.forgetful.batches(plan).await.unwrap(), self.answer(sql, obligations).await);
        assert_eq!(lines(&found), lines(&expected), "{sql}");
        found.iter().map(RecordBatch::num_rows).sum()
    }
}

/// The scan below the barrier.
fn scan(plan: &Arc<dyn ExecutionPlan>) -> &Arc<dyn ExecutionPlan> {
    let mut node = plan;
    while !node.is::<GovernedExec>() {
        node = node.children()[0];
    }
    node.children()[0]
}

/// The columns that each of its inputs reads.
fn read(plan: &Arc<dyn ExecutionPlan>) -> Vec<Vec<String>> {
    let scan = NumberedScan::of(scan(plan)).unwrap();
    let names = |input: &Arc<dyn ExecutionPlan>| input.schema().fields().iter().map(|field| field.name().clone()).collect();
    scan.inputs().iter().map(names).collect()
}

fn day(day: i64) -> Literal {
    Literal::Instant(DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(day))
}

fn since(days: i64) -> Predicate {
    Predicate::Compare { column: field_name("seen"), op: CompareOp::Ge, value: day(days) }
}

fn policy(row_filter: Predicate, erased: Option<&Arc<SubjectSet>>) -> Obligations {
    let exclusion = erased.map(|subjects| Exclusion { column: field_name("subject"), subjects: Arc::clone(subjects) });
    Obligations { row_filter, exclusion, ..Obligations::default() }
}

fn people(ids: impl IntoIterator<Item = i64>) -> Arc<SubjectSet> {
    Arc::new(SubjectSet::new(ids.into_iter().map(|id| id.to_string())))
}

#[tokio::test]
async fn what_was_read_whole_is_not_read_again() {
    let fixture = Fixture::small(&rows(400), 100).await;
    let policy = policy(since(500), Some(&people(0..5)));
    assert_eq!(read(&fixture.plan("SELECT text FROM people", &policy).await), [["text", "seen", "subject", "row_number"]]);
    let visible = fixture.agree("SELECT text FROM people", &policy).await;
    assert!((100..300).contains(&visible), "{visible}");
    assert_eq!(fixture.memory.used().kept, 4);
    assert_eq!(read(&fixture.plan("SELECT text FROM people", &policy).await), [["text", "row_number"]]);
    for sql in ["SELECT text FROM people", "SELECT count(*) FROM people", "SELECT id, seen FROM people WHERE id > 150 AND text = 't3'"] {
        fixture.agree(sql, &policy).await;
    }
    assert_eq!(fixture.memory.used().kept, 4);
}

#[tokio::test]
async fn row_groups_of_which_all_or_no_rows_are_visible_need_no_numbers() {
    let rows: Vec<Row> = (0..400).map(|n| (Some(n), Some(n), "t".to_owned())).collect();
    let fixture = Fixture::small(&rows, 100).await;
    let half = policy(
        Predicate::Compare { column: field_name("text"), op: CompareOp::Ne, value: Literal::String("u".to_owned()) },
        Some(&people(100..200)),
    );
    assert_eq!(fixture.agree("SELECT id FROM people", &half).await, 300);
    let plan = fixture.plan("SELECT id FROM people", &half).await;
    assert_eq!(read(&plan), [["id"]]);
    assert_eq!(fixture.agree("SELECT id FROM people", &half).await, 300);
    // Nothing is left to read.
    let nobody = policy(Predicate::IsNull(field_name("text")), None);
    assert_eq!(fixture.agree("SELECT id FROM people", &nobody).await, 0);
    assert_eq!(fixture.agree("SELECT id FROM people", &nobody).await, 0);
    assert_eq!(fixture.agree("SELECT count(*) FROM people", &nobody).await, 1);
}

#[tokio::test]
async fn what_one_may_see_is_not_what_another_may() {
    let fixture = Fixture::small(&rows(300), 60).await;
    let (open, erased) = (Obligations::default(), people([3, 7]));
    let filters = [since(3), since(500), since(990), Predicate::Not(Box::new(since(500))), Predicate::IsNull(field_name("seen"))];
    for _ in 0..2 {
        for filter in &filters {
            let without = fixture.agree("SELECT id FROM people", &policy(filter.clone(), None)).await;
            let with = fixture.agree("SELECT id FROM people", &policy(filter.clone(), Some(&erased))).await;
            assert!(with <= without);
        }
        assert_eq!(fixture.agree("SELECT id FROM people", &open).await, 300);
        assert_eq!(fixture.agree("SELECT id FROM people", &policy(Predicate::True, Some(&erased))).await, 288);
    }
}

#[tokio::test]
async fn an_erasure_holds_for_the_next_statement() {
    let fixture = Fixture::small(&rows(300), 60).await;
    let seen = |ids: &[i64]| policy(Predicate::True, Some(&people(ids.iter().copied())));
    for _ in 0..2 {
        let before = seen(&[1]);
        assert_eq!(fixture.agree("SELECT id FROM people", &before).await, 294);
        assert_eq!(fixture.agree("SELECT id FROM people", &before).await, 294);
        drop(before);
        assert_eq!(fixture.agree("SELECT id FROM people", &seen(&[1, 2])).await, 288);
        assert_eq!(fixture.agree("SELECT id FROM people", &seen(&[2])).await, 294);
    }
}

#[tokio::test]
async fn a_bound_that_moves_with_the_clock_is_answered_without_reading() {
    let fixture = Fixture::small(&rows(600), 200).await;
    let sql = "SELECT id, text FROM people";
    fixture.agree(sql, &policy(since(500), None)).await;
    assert_eq!(fixture.memory.used().kept, 3);
    let before = fixture.agree(sql, &policy(since(500), None)).await;
    let after = fixture.agree(sql, &policy(since(520), None)).await;
    assert!(after < before);
    assert_eq!(fixture.memory.used().kept, 3);
    // A clock that was set back far is another question.
    assert!(fixture.agree(sql, &policy(since(400), None)).await > before);
    assert_eq!(fixture.memory.used().kept, 6);
    assert_eq!(fixture.agree(sql, &policy(since(1_000), None)).await, 0);
    assert_eq!(fixture.agree(sql, &policy(since(0), None)).await, 600);
}

#[tokio::test]
async fn rows_that_were_not_read_are_not_remembered() {
    let fixture = Fixture::small(&rows(400), 100).await;
    let policy = policy(since(10), None);
    for _ in 0..2 {
        fixture.agree("SELECT text FROM people WHERE id >= 130 AND id < 190", &policy).await;
        fixture.agree("SELECT text FROM people WHERE id = 77", &policy).await;
        fixture.agree("SELECT text FROM people LIMIT 5", &policy).await;
    }
    assert_eq!(fixture.memory.used().kept, 0);
    // The second row group is read whole here, and only that one.
    fixture.agree("SELECT text FROM people WHERE id >= 100 AND id < 200", &policy).await;
    assert_eq!(fixture.memory.used().kept, 1);
    for _ in 0..2 {
        fixture.agree("SELECT text FROM people WHERE id >= 50 AND id < 250", &policy).await;
        fixture.agree("SELECT text FROM people WHERE id = 177", &policy).await;
        fixture.agree("SELECT text FROM people ORDER BY id DESC LIMIT 5", &policy).await;
        fixture.agree("SELECT a.text FROM people a JOIN colleagues b ON a.id = b.id WHERE b.id < 120", &policy).await;
        fixture.agree("SELECT text FROM people", &policy).await;
    }
    assert_eq!(fixture.memory.used().kept, 4);
}

#[tokio::test]
async fn many_look_ups_are_worth_reading_what_the_policy_tests_once() {
    many_look_ups_are_studied(None).await;
}

#[tokio::test]
async fn many_look_ups_of_the_engines_reader_are_too() {
    // As of files in which a key may lie anywhere.
    many_look_ups_are_studied(Some(false)).await;
}

async fn many_look_ups_are_studied(parquet_pushdown: Option<bool>) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("0.parquet"), &rows(200), 50);
    let options = PortOptions { parquet_pushdown, ..settling(Duration::ZERO) };
    let product = product(PortFormat::Parquet, "*.parquet", Some(columns()));
    let fixture = Fixture::over(folder, product, options, 1 << 20, 1).await;
    let obligations = policy(since(500), Some(&people([7])));
    let look_up = |id: usize| format!("SELECT id, text FROM people WHERE id = {id}");
    let mut shown = 0;
    for id in 0..15 {
        shown += fixture.agree(&look_up(id), &obligations).await;
    }
    // Those of another rule do not count.
    fixture.agree(&look_up(1), &policy(since(400), None)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(fixture.memory.used().kept, 0);
    shown += fixture.agree(&look_up(15), &obligations).await;
    assert!((1..16).contains(&shown), "{shown}");
    tokio::time::timeout(Duration::from_secs(10), async {
        while fixture.memory.used().kept < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    for id in 0..200 {
        fixture.agree(&look_up(id), &obligations).await;
    }
    let plan = fixture.plan(&look_up(3), &obligations).await;
    assert_eq!(NumberedScan::of(scan(&plan)).unwrap().looks_up(), parquet_pushdown.is_none());
    let columns = read(&plan);
    assert!(!columns.is_empty() && columns.iter().flatten().all(|name| name != "seen" && name != "subject"), "{columns:?}");
}

#[tokio::test]
async fn another_file_under_the_name_is_another_question() {
    let fixture = Fixture::small(&rows(300), 60).await;
    let policy = policy(since(500), None);
    let before = fixture.agree("SELECT id FROM people WHERE id < 290", &policy).await;
    assert_eq!(fixture.agree("SELECT id FROM people WHERE id < 290", &policy).await, before);
    let other: Vec<Row> = rows(300).into_iter().map(|(_, subject, text)| (Some(500 + subject.unwrap() % 2 - 1), subject, text)).collect();
    write(&fixture.folder.path().join("0.parquet"), &other, 60);
    assert_eq!(fixture.agree("SELECT id FROM people", &policy).await, 150);
    fixture.agree("SELECT id FROM people", &policy).await;
}

#[tokio::test]
async fn a_file_that_is_replaced_after_planning_is_an_error() {
    let fixture = Fixture::small(&rows(300), 60).await;
    let policy = policy(since(500), None);
    // Both while it is found out what is visible, and when that is known.
    for _ in 0..2 {
        let plan = fixture.plan("SELECT id FROM people", &policy).await;
        let hidden: Vec<Row> = rows(300).into_iter().map(|(_, subject, text)| (Some(0), subject, text)).collect();
        let path = fixture.folder.path().join("0.parquet");
        write(&path, &hidden, 60);
        let error = fixture.remembering.batches(plan).await.unwrap_err();
        let Some(Error::Port { cause, .. }) = as_error(&error) else { panic!("{error}") };
        assert_eq!(message(cause.as_error()).0, "58030");
        write(&path, &rows(300), 60);
        fixture.agree("SELECT id FROM people", &policy).await;
        fixture.agree("SELECT id FROM people", &policy).await;
    }
}

#[tokio::test]
async fn a_file_that_has_just_changed_is_not_remembered() {
    let data = rows(300);
    let fixture = Fixture::new(&[(&data, 60)], PortOptions::default().files_settle, 1 << 20, 1).await;
    let policy = policy(since(500), None);
    for _ in 0..2 {
        fixture.agree("SELECT id FROM people", &policy).await;
    }
    assert_eq!(fixture.memory.used(), Default::default());
}

#[tokio::test]
async fn no_more_bytes_are_held_than_allowed() {
    let data = rows(2_000);
    let bytes = 4_000;
    let fixture = Fixture::new(&[(&data, 500), (&data, 300)], Duration::ZERO, bytes, 1).await;
    for days in (0..900).step_by(90) {
        let policy = policy(Predicate::Not(Box::new(since(days))), None);
        fixture.agree("SELECT id FROM people", &policy).await;
        fixture.agree("SELECT id FROM people", &policy).await;
        assert!(fixture.memory.used().bytes <= bytes);
    }
    let used = fixture.memory.used();
    assert!(used.dropped > 0 && used.found > 0, "{used:?}");
    let none = Fixture::new(&[(&data, 500)], Duration::ZERO, 0, 1).await;
    none.agree("SELECT id FROM people", &policy(since(500), None)).await;
    assert_eq!(none.memory.used(), Default::default());
}

fn filters() -> impl Strategy<Value = Predicate> {
    let compare = |column: &str, op, value| Predicate::Compare { column: field_name(column), op, value };
    let op = prop::sample::select(vec![CompareOp::Eq, CompareOp::Ne, CompareOp::Lt, CompareOp::Le, CompareOp::Gt, CompareOp::Ge]);
    let leaf = prop_oneof![
        Just(Predicate::True),
        Just(Predicate::IsNull(field_name("seen"))),
        (op, 0i64..60).prop_map(move |(op, days)| compare("seen", op, day(days))),
        (0i64..60).prop_map(since),
        (0i64..9).prop_map(move |subject| compare("subject", CompareOp::Ne, Literal::Int(subject))),
        Just(Predicate::Like { column: field_name("text"), pattern: "%1%".to_owned() }),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Predicate::And),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Predicate::Or),
            inner.prop_map(|inner| Predicate::Not(Box::new(inner))),
        ]
    })
}

fn files() -> impl Strategy<Value = Vec<(Vec<Row>, usize)>> {
    let row = (prop::option::weighted(0.9, 0i64..60), prop::option::weighted(0.9, 0i64..9), "t[0-3]{1,2}");
    prop::collection::vec((prop::collection::vec(row, 1..120), 5usize..50), 1..3)
}

fn queries() -> impl Strategy<Value = Vec<String>> {
    let columns = prop::sample::select(vec!["id", "id, text", "text, seen", "subject", "*", "count(*)", "sum(id), max(text)"]);
    let condition = prop_oneof![
        Just(String::new()),
        (0i64..120, 1i64..60).prop_map(|(from, many)| format!(" WHERE id >= {from} AND id < {}", from + many)),
        (0i64..120).prop_map(|id| format!(" WHERE id = {id}")),
        (0i64..60).prop_map(|days| format!(" WHERE seen >= TIMESTAMP '1970-01-01' + INTERVAL '{days} days'")),
        Just(" WHERE text LIKE 't1%'".to_owned()),
        Just(" WHERE 10 / (subject - 4) > 1 OR subject = 4".to_owned()),
    ];
    let limit = prop_oneof![3 => Just(String::new()), 1 => (0usize..40).prop_map(|limit| format!(" LIMIT {limit}"))];
    let query =
        (columns, condition, limit).prop_map(|(columns, condition, limit)| format!("SELECT {columns} FROM people{condition}{limit}"));
    prop::collection::vec(query, 2..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_remembered_says_the_same_as_the_columns(
        files in files(),
        first in filters(),
        second in filters(),
        moved in (0i64..60, 0i64..20),
        erased in prop::collection::vec(0i64..9, 0..4),
        queries in queries(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let files: Vec<(&[Row], usize)> = files.iter().map(|(rows, group)| (rows.as_slice(), *group)).collect();
            let fixture = Fixture::new(&files, Duration::ZERO, 1 << 20, 1).await;
            let people = people(erased);
            let (from, by) = moved;
            let policies = [
                policy(first.clone(), Some(&people)),
                policy(second, None),
                policy(Predicate::And(vec![since(from), first.clone()]), Some(&people)),
                policy(Predicate::And(vec![since(from + by), first]), Some(&people)),
            ];
            for _ in 0..2 {
                for policy in &policies {
                    for sql in &queries {
                        let failing = fixture.forgetful.answer(sql, policy).await;
                        // What fails may fail after any number of rows.
                        if failing.is_ok() {
                            fixture.agree(sql, policy).await;
                        } else {
                            assert_eq!(fixture.remembering.answer(sql, policy).await, failing, "{sql}");
                        }
                    }
                }
            }
        });
    }
}

#[tokio::test]
async fn several_partitions_read_every_row_once() {
    let data = rows(1_000);
    for partitions in [2, 3, 7, 40] {
        let fixture = Fixture::new(&[(&data, 70), (&data, 900), (&data, 130)], Duration::ZERO, 1 << 20, partitions).await;
        let policy = policy(since(300), Some(&people(0..5)));
        let sql = "SELECT count(*), sum(id), count(DISTINCT text) FROM people";
        for _ in 0..3 {
            fixture.agree(sql, &policy).await;
            fixture.agree("SELECT id, text FROM people ORDER BY id, text", &policy).await;
        }
        assert!(fixture.memory.used().found > 0);
        assert_eq!(fixture.memory.used().kept, 15 + 2 + 8);
    }
}

#[tokio::test]
async fn rows_without_the_policys_columns_go_through_the_barrier_only() {
    let fixture = Fixture::small(&rows(300), 60).await;
    let policy = policy(since(500), None);
    let plan = fixture.plan("SELECT id FROM people", &policy).await;
    let error = fixture.remembering.batches(Arc::clone(scan(&plan))).await.unwrap_err();
    assert_eq!(message(&error).0, "XX000");
}

#[tokio::test]
async fn what_folders_tell_is_a_part_of_what_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let data = rows(300);
    for region in ["region=eu", "region=us", "region=__HIVE_DEFAULT_PARTITION__"] {
        std::fs::create_dir(folder.path().join(region)).unwrap();
    }
    write(&folder.path().join("region=eu/0.parquet"), &data, 60);
    // The same file again: of one inode, but told to be of another region.
    std::fs::hard_link(folder.path().join("region=eu/0.parquet"), folder.path().join("region=us/0.parquet")).unwrap();
    write(&folder.path().join("region=__HIVE_DEFAULT_PARTITION__/0.parquet"), &data[..90], 40);
    let mut fields = columns();
    fields.insert(1, field("region", DataType::String));
    let mut product = product(PortFormat::Parquet, "", Some(fields));
    product.output_ports[0].location = format!("{}/", folder.path().display()).replacen('/', "file:///", 1);
    product.output_ports[0].partitioning = Some("region".to_owned());
    let fixture = Fixture::over(folder, product, settling(Duration::ZERO), 1 << 20, 2).await;
    let eu = || Predicate::Compare { column: field_name("region"), op: CompareOp::Eq, value: Literal::String("eu".to_owned()) };
    let either = Predicate::Or(vec![eu(), since(900)]);
    let sqls = ["SELECT id, region FROM people", "SELECT text FROM people", "SELECT region FROM people", "SELECT count(*) FROM people"];
    for _ in 0..3 {
        for sql in sqls {
            for filter in [eu(), either.clone(), Predicate::Not(Box::new(eu())), Predicate::IsNull(field_name("region"))] {
                fixture.agree_but_for_order(sql, &policy(filter, None)).await;
            }
        }
        assert_eq!(fixture.agree_but_for_order("SELECT id FROM people", &policy(eu(), None)).await, 300);
        assert_eq!(fixture.agree_but_for_order("SELECT id FROM people WHERE region = 'us'", &policy(eu(), None)).await, 0);
        let late = data.iter().filter(|row| row.0 >= Some(900)).count();
        assert_eq!(fixture.agree_but_for_order("SELECT id FROM people WHERE region = 'us'", &policy(either.clone(), None)).await, late);
        assert_eq!(
            fixture.agree_but_for_order("SELECT id FROM people WHERE region IS NULL", &policy(Predicate::True, Some(&people(0..25)))).await,
            40
        );
    }
    let plan = fixture.plan("SELECT text FROM people", &policy(either, None)).await;
    // All rows of the file in the one folder are known to be visible, and some of those of the same file in the other.
    assert_eq!(read(&plan)[..2], [vec!["text"], vec!["text", "row_number"]]);
}

#[tokio::test]
async fn the_date_of_retention_can_be_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    for (day, date) in [(0, "1970-01-01"), (1, "1970-01-02"), (2, "1970-01-03")] {
        std::fs::create_dir(folder.path().join(date)).unwrap();
        write(&folder.path().join(date).join("0.parquet"), &rows(100 + day), 60);
    }
    let location = format!("{}/", folder.path().display()).replacen('/', "file:///", 1);
    let mut product = product(PortFormat::Parquet, &location, Some(columns()));
    product.output_ports[0].partitioning = Some("seen".to_owned());
    let fixture = Fixture::over(folder, product, settling(Duration::ZERO), 1 << 20, 2).await;
    for _ in 0..2 {
        for (bound, visible) in [(0, 303), (1, 203), (2, 102), (3, 0)] {
            assert_eq!(fixture.agree_but_for_order("SELECT id, text FROM people", &policy(since(bound), None)).await, visible);
            fixture.agree_but_for_order("SELECT seen, text FROM people WHERE id < 70", &policy(since(bound), Some(&people(0..9)))).await;
            fixture.agree_but_for_order("SELECT max(seen) FROM people", &policy(since(bound), None)).await;
        }
    }
}
