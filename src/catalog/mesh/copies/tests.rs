//! Copies beside the lines that they are made of.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, TimeDelta, Utc};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionContext, col, lit};
use futures::TryStreamExt as _;
use uuid::Uuid;

use super::super::log::{LogRelation, table};
use super::*;
use crate::audit::{AuditLog, AuditOptions, Closing, FieldAccess, Origin, ProductAccess, StatementOpened};
use crate::error::ClientMessage;
use crate::product::{DomainName, FieldName, PortName, ProductName, ProductRef, Version};

fn opened(number: u128) -> StatementOpened {
    let named = |name| FieldAccess { name: FieldName::parse(name).unwrap(), uses: vec!["projected"], outputs: vec![String::from(name)] };
    let access = ProductAccess {
        product: ProductRef {
            domain: DomainName::parse("crm").unwrap(),
            name: ProductName::parse("people").unwrap(),
            version: Version { major: 1, minor: 0, patch: 0 },
        },
        port: PortName::parse("files").unwrap(),
        fields: if number.is_multiple_of(7) { [].into() } else { ["id", "tier"].map(named).into() },
        decision_id: None,
    };
    let origin = Origin {
        principal: format!("p{}", number % 3),
        stands_for: number.is_multiple_of(2).then(|| "crm/made".to_owned()),
        ..Origin::default()
    };
    StatementOpened {
        query_id: Uuid::from_u128(number),
        origin: origin.written(),
        sql: Some(format!("SELECT {number}")),
        products: vec![access],
        ..StatementOpened::default()
    }
}

fn day(number: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(number)
}

/// Sixty statements on ten days over many segments; some end in later segments than they begin in, and one never.
async fn lived_in(folder: &Path) -> Reader {
    let options = AuditOptions { segment_bytes: 6000, linger: Duration::ZERO, ..AuditOptions::new(folder) };
    let log = AuditLog::open(options).unwrap();
    let mut running = Vec::new();
    for number in 0..60_u128 {
        let at = day(i64::try_from(number / 6).unwrap());
        let reserved = log.reserve().await.unwrap();
        let open = log.open_statement(reserved, at, opened(number), Vec::new(), Arc::new(Closing::aborted)).await.unwrap();
        if number.is_multiple_of(4) { running.push(open) } else { open.close(at, Closing::completed()) }
    }
    std::mem::forget(running.pop());
    running.into_iter().for_each(|open| open.close(day(11), Closing::aborted()));
    log.close().await.unwrap();
    Reader::of_folder(folder)
}

async fn rows(reader: &Reader, relation: &LogRelation, filters: &[Expr], columns: Option<&Vec<usize>>) -> Vec<String> {
    let context = SessionContext::new();
    let table = table(relation.name, &relation.schema().unwrap(), reader).unwrap();
    let plan = table.scan(&context.state(), columns, filters, None).await.unwrap();
    let options = FormatOptions::new().with_null("-");
    let mut rows = Vec::new();
    let batches: Vec<_> = execute_stream(plan, context.task_ctx()).unwrap().try_collect().await.unwrap();
    for batch in batches {
        let shown: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        rows.extend((0..batch.num_rows()).map(|row| shown.iter().map(|column| format!("{}|", column.value(row))).collect::<String>()));
    }
    rows.sort();
    rows
}

fn files(folder: &Path) -> usize {
    let copies = Copies::of(&Reader::of_folder(folder)).unwrap();
    fs::read_dir(copies.folder).map_or(0, |entries| entries.count())
}

#[tokio::test]
async fn a_question_has_the_same_answer_with_copies_and_without() {
    let folder = tempfile::tempdir().unwrap();
    let reader = lived_in(folder.path()).await;
    let third = ScalarValue::TimestampMicrosecond(Some(day(3).timestamp_micros()), Some("+00:00".into()));
    let days = [col("principal").eq(lit("p1")), col("at").gt_eq(lit(third))];
    for relation in LogRelation::all() {
        let (some, none) = (vec![4, 0], Vec::new());
        let before = (rows(&reader, relation, &[], None).await, rows(&reader, relation, &[], Some(&some)).await);
        let count = rows(&reader, relation, &[], Some(&none)).await.len();
        Copier::update(&reader).unwrap();
        assert!(files(folder.path()) > 20);
        let after = (rows(&reader, relation, &[], None).await, rows(&reader, relation, &[], Some(&some)).await);
        assert_eq!(after, before, "{}", relation.name);
        assert_eq!(rows(&reader, relation, &[], Some(&none)).await.len(), count, "{}", relation.name);
        // Of a predicate no row is missing; copies may test each row, lines do not.
        let kept = rows(&reader, relation, &days, None).await;
        let due = before.0.iter().filter(|row| row.contains("|p1|") && row.as_str() >= "1970-01-04");
        assert!(due.clone().all(|row| kept.contains(row)) && kept.iter().all(|row| before.0.contains(row)), "{}", relation.name);
        fs::remove_dir_all(folder.path().join(FOLDER)).unwrap();
    }
}

#[tokio::test]
async fn a_copy_that_has_gone_is_read_from_its_segment_and_one_that_goes_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let reader = lived_in(folder.path()).await;
    let relation = &LogRelation::all()[2];
    let before = rows(&reader, relation, &[], None).await;
    Copier::update(&reader).unwrap();
    let copies = Copies::of(&reader).unwrap();
    let stems: Vec<String> = copies.complete().unwrap().into_keys().collect();
    fs::remove_file(copies.rows(&stems[2], relation.name)).unwrap();
    fs::remove_file(copies.rest(&stems[4])).unwrap();
    assert_eq!(rows(&reader, relation, &[], None).await, before);

    let context = SessionContext::new();
    let table = table(relation.name, &relation.schema().unwrap(), &reader).unwrap();
    for gone in [copies.rows(&stems[6], relation.name), copies.rest(&stems[8])] {
        let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
        fs::remove_file(gone).unwrap();
        let read: Result<Vec<RecordBatch>, _> = execute_stream(plan, context.task_ctx()).unwrap().try_collect().await;
        let error = read.unwrap_err();
        let code = crate::ports::Error::find(&error).map(crate::error::ClientError::sqlstate);
        let said =
            std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<ClientMessage>()).map(|message| message.sqlstate);
        assert_eq!(code.or(said), Some(crate::error::SqlState::IO_ERROR), "{error}");
    }
}

#[tokio::test]
async fn a_copy_that_says_something_else_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let reader = lived_in(folder.path()).await;
    Copier::update(&reader).unwrap();
    assert_eq!(Copier::check(&reader).unwrap(), Vec::<String>::new());
    let copies = Copies::of(&reader).unwrap();
    let stems: Vec<String> = copies.complete().unwrap().into_keys().collect();
    fs::copy(copies.rows(&stems[1], "lineage"), copies.rows(&stems[2], "lineage")).unwrap();
    fs::write(copies.rest(&stems[4]), b"").unwrap();
    fs::write(copies.rows(&stems[6], "access_log"), b"no parquet").unwrap();
    let found = Copier::check(&reader).unwrap();
    assert!(found.contains(&format!("{}.jsonl", stems[2])) && found.contains(&format!("{}.jsonl", stems[6])), "{found:?}");
}

#[tokio::test]
async fn copies_of_removed_segments_and_of_other_versions_go() {
    let folder = tempfile::tempdir().unwrap();
    let reader = lived_in(folder.path()).await;
    fs::create_dir_all(folder.path().join(FOLDER).join("0-0")).unwrap();
    Copier::update(&reader).unwrap();
    assert!(!folder.path().join(FOLDER).join("0-0").exists());
    let before = files(folder.path());
    let first = reader.places().unwrap().remove(0);
    fs::remove_file(folder.path().join(first.name)).unwrap();
    let mut keeper = keeper::Work::of(reader).unwrap();
    keeper.look(&mut |_| true).unwrap();
    assert_eq!(files(folder.path()), before, "somebody may still read them");
    keeper.look(&mut |_| true).unwrap();
    assert_eq!(files(folder.path()), before - 4);
}
