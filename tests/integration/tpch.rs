//! The 22 queries of TPC-H at scale 0.01 over all three port types, beside a plain Postgres with the same data.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use tokio_postgres::{Client, SimpleQueryMessage};
use tpchgen::csv::{CustomerCsv, LineItemCsv, NationCsv, OrderCsv, PartCsv, PartSuppCsv, RegionCsv, SupplierCsv};
use tpchgen::dates::TPCHDate;
use tpchgen::decimal::TPCHDecimal;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator, RegionGenerator,
    SupplierGenerator,
};

use crate::answers::{Row, difference};
use crate::gateway::{World, repository};
use crate::postgres::{Database, copy_csv};
use crate::slt;

const SCALE: f64 = 0.01;
/// Queries whose ORDER BY leaves ties, and the columns that it does sort by.
const SORTED_BY: [(usize, &[usize]); 4] = [(3, &[1, 2]), (10, &[2]), (11, &[1]), (18, &[4, 3])];

fn csv_text(header: &str, rows: impl Iterator<Item = impl Display>) -> String {
    std::iter::once(header.to_owned()).chain(rows.map(|row| row.to_string())).map(|line| line + "\n").collect()
}

fn table_as_csv(table: &str) -> String {
    match table {
        "region" => csv_text(RegionCsv::header(), RegionGenerator::new(SCALE, 1, 1).iter().map(RegionCsv::new)),
        "nation" => csv_text(NationCsv::header(), NationGenerator::new(SCALE, 1, 1).iter().map(NationCsv::new)),
        "supplier" => csv_text(SupplierCsv::header(), SupplierGenerator::new(SCALE, 1, 1).iter().map(SupplierCsv::new)),
        "part" => csv_text(PartCsv::header(), PartGenerator::new(SCALE, 1, 1).iter().map(PartCsv::new)),
        "partsupp" => csv_text(PartSuppCsv::header(), PartSuppGenerator::new(SCALE, 1, 1).iter().map(PartSuppCsv::new)),
        "customer" => csv_text(CustomerCsv::header(), CustomerGenerator::new(SCALE, 1, 1).iter().map(CustomerCsv::new)),
        "orders" => csv_text(OrderCsv::header(), OrderGenerator::new(SCALE, 1, 1).iter().map(OrderCsv::new)),
        "lineitem" => csv_text(LineItemCsv::header(), LineItemGenerator::new(SCALE, 1, 1).iter().map(LineItemCsv::new)),
        other => panic!("no table {other} in TPC-H"),
    }
}

fn big(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn int(values: impl Iterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

fn text(values: impl Iterator<Item = impl Display>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values.map(|value| value.to_string())))
}

fn money(values: impl Iterator<Item = TPCHDecimal>) -> ArrayRef {
    let cents = values.map(|value| i128::from(value.0));
    Arc::new(Decimal128Array::from_iter_values(cents).with_precision_and_scale(15, 2).unwrap())
}

fn date(values: impl Iterator<Item = TPCHDate>) -> ArrayRef {
    Arc::new(Date32Array::from_iter_values(values.map(|value| value.to_unix_epoch())))
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn write_lineitem(path: &Path) {
    let rows: Vec<_> = LineItemGenerator::new(SCALE, 1, 1).iter().collect();
    write_parquet(
        path,
        vec![
            ("l_orderkey", big(rows.iter().map(|row| row.l_orderkey))),
            ("l_partkey", big(rows.iter().map(|row| row.l_partkey))),
            ("l_suppkey", big(rows.iter().map(|row| row.l_suppkey))),
            ("l_linenumber", int(rows.iter().map(|row| row.l_linenumber))),
            ("l_quantity", money(rows.iter().map(|row| TPCHDecimal(row.l_quantity * 100)))),
            ("l_extendedprice", money(rows.iter().map(|row| row.l_extendedprice))),
            ("l_discount", money(rows.iter().map(|row| row.l_discount))),
            ("l_tax", money(rows.iter().map(|row| row.l_tax))),
            ("l_returnflag", text(rows.iter().map(|row| row.l_returnflag))),
            ("l_linestatus", text(rows.iter().map(|row| row.l_linestatus))),
            ("l_shipdate", date(rows.iter().map(|row| row.l_shipdate))),
            ("l_commitdate", date(rows.iter().map(|row| row.l_commitdate))),
            ("l_receiptdate", date(rows.iter().map(|row| row.l_receiptdate))),
            ("l_shipinstruct", text(rows.iter().map(|row| row.l_shipinstruct))),
            ("l_shipmode", text(rows.iter().map(|row| row.l_shipmode))),
            ("l_comment", text(rows.iter().map(|row| row.l_comment))),
        ],
    );
}

fn write_part(path: &Path) {
    let rows: Vec<_> = PartGenerator::new(SCALE, 1, 1).iter().collect();
    write_parquet(
        path,
        vec![
            ("p_partkey", big(rows.iter().map(|row| row.p_partkey))),
            ("p_name", text(rows.iter().map(|row| &row.p_name))),
            ("p_mfgr", text(rows.iter().map(|row| &row.p_mfgr))),
            ("p_brand", text(rows.iter().map(|row| &row.p_brand))),
            ("p_type", text(rows.iter().map(|row| row.p_type))),
            ("p_size", int(rows.iter().map(|row| row.p_size))),
            ("p_container", text(rows.iter().map(|row| row.p_container))),
            ("p_retailprice", money(rows.iter().map(|row| row.p_retailprice))),
            ("p_comment", text(rows.iter().map(|row| row.p_comment))),
        ],
    );
}

fn write_partsupp(path: &Path) {
    let rows: Vec<_> = PartSuppGenerator::new(SCALE, 1, 1).iter().collect();
    write_parquet(
        path,
        vec![
            ("ps_partkey", big(rows.iter().map(|row| row.ps_partkey))),
            ("ps_suppkey", big(rows.iter().map(|row| row.ps_suppkey))),
            ("ps_availqty", int(rows.iter().map(|row| row.ps_availqty))),
            ("ps_supplycost", money(rows.iter().map(|row| row.ps_supplycost))),
            ("ps_comment", text(rows.iter().map(|row| row.ps_comment))),
        ],
    );
}

/// Runs `load.sql` of the example: its `\copy` lines are filled from the generator, other lines that start with `\` are psql's own.
async fn load(database: &Client) {
    let script = std::fs::read_to_string(repository().join("examples/tpch/load.sql")).unwrap();
    let mut statements = String::new();
    for line in script.lines() {
        if let Some(copy) = line.strip_prefix("\\copy ") {
            database.batch_execute(&std::mem::take(&mut statements)).await.unwrap();
            let table = copy.split_whitespace().next().unwrap();
            copy_csv(database, table, table_as_csv(table.strip_prefix("reference.").unwrap())).await;
        } else if !line.starts_with('\\') {
            statements.push_str(line);
            statements.push('\n');
        }
    }
    database.batch_execute(&statements).await.unwrap();
}

/// The example of the repository at the scale of the tests, with its Postgres ports at the database of the tests.
async fn world(database: &Database) -> World {
    let world = World::empty();
    world.copy_folder(&repository().join("examples/tpch/catalogs"), "catalogs");
    world.write("postgres.credentials", &database.credentials());
    for table in ["customer", "orders"] {
        let contract = std::fs::read_to_string(world.path(&format!("catalogs/tpch/{table}.yaml"))).unwrap();
        let contract = contract
            .replace(&format!("postgres://127.0.0.1:5432/tpch/mesh/{table}"), &database.location("mesh", table))
            .replace("env:TPCH_POSTGRES", &format!("file:{}", world.path("postgres.credentials").display()));
        world.write(&format!("catalogs/tpch/{table}.yaml"), &contract);
    }
    for table in ["region", "nation", "supplier"] {
        world.write(&format!("data/{table}.csv"), &table_as_csv(table));
    }
    write_lineitem(&world.path("data/lineitem.parquet"));
    write_part(&world.path("data/part.parquet"));
    write_partsupp(&world.path("data/partsupp.parquet"));
    world
}

async fn rows(client: &Client, sql: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
    let messages = client.simple_query(sql).await?;
    Ok(messages
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect()),
            _ => None,
        })
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_22_queries_answer_as_a_plain_postgres_does() {
    let database = Database::create("meshgate_tpch").await;
    let plain = database.connect().await;
    load(&plain).await;
    let world = world(&database).await;
    let gateway = world.serve().await;
    let mesh = gateway.login("analyst").await;
    mesh.simple_query("SET search_path = tpch").await.unwrap();
    plain.simple_query("SET search_path = reference").await.unwrap();
    let mut faults = Vec::new();
    for number in 1..=22 {
        let sql = std::fs::read_to_string(repository().join(format!("examples/tpch/queries/q{number:02}.sql"))).unwrap();
        let theirs = rows(&plain, &sql).await.unwrap();
        let sorted_by = SORTED_BY.iter().find(|(query, _)| *query == number).map(|(_, columns)| *columns);
        let fault = match rows(&mesh, &sql).await {
            Ok(ours) => difference(&ours, &theirs, sorted_by),
            Err(error) => Some(format!("{error}: {:?}", error.as_db_error())),
        };
        faults.extend(fault.map(|fault| format!("query {number}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    slt::play("tpch", gateway.address()).await;
    gateway.stop().await;
}
