//! Two worlds whose visible data is equal byte for byte.
//!
//! In [`Twin::Full`] there are rows that nobody may see (expired, undated, of erased people), among and around the visible ones, and
//! made so that casts, divisions and sums over them fail or come out differently. In [`Twin::Bare`] there is none. Personal values differ in all rows:
//! in their text, their length, their order, and in whether they are NULL or a number.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Duration, NaiveDate, Utc};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;

use crate::gateway::World;
use crate::postgres::{Database, copy_csv};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twin {
    Full,
    Bare,
}

/// What both gateways take for the present.
pub(super) fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

const RETENTION_DAYS: i64 = 730;
/// Visible members of staff.
const STAFF: i64 = 40;
/// Visible rows of the product that fills several batches, and as many hidden ones before, among and behind them.
const MANY: i64 = 9_000;

struct Staff {
    id: i64,
    name: Option<String>,
    email: Option<String>,
    card: Option<i64>,
    dept: String,
    level: i32,
    salary: i64,
    score: Option<f64>,
    rate_cents: i64,
    active: bool,
    born: Option<NaiveDate>,
    note: Option<String>,
    created_at: Option<DateTime<Utc>>,
}

struct Pay {
    id: i64,
    staff_id: i64,
    amount_cents: i64,
    fee: f64,
    currency: String,
    iban: String,
    paid_at: Option<DateTime<Utc>>,
}

/// Why a row is hidden.
#[derive(Clone, Copy)]
enum Hidden {
    Expired,
    Undated,
    Erased,
}

const REASONS: [Hidden; 3] = [Hidden::Expired, Hidden::Undated, Hidden::Erased];

fn edge() -> DateTime<Utc> {
    now() - Duration::days(RETENTION_DAYS)
}

fn visible_staff(id: i64, twin: Twin) -> Staff {
    let (name, email, card) = match twin {
        Twin::Full => (Some(format!("Ada Lovelace-{id}")), (id % 5 != 0).then(|| format!("a{id}@example.org")), Some(4_000 + id)),
        // Names that are numbers, in another order, and NULL elsewhere.
        Twin::Bare => ((id % 7 != 0).then(|| (90_000 - id).to_string()), Some(format!("zzz-{id}")), (id % 3 == 0).then_some(7 * id)),
    };
    Staff {
        id,
        name,
        email,
        card,
        dept: ["sales", "audit", "it", "Law", "ops é"][usize::try_from(id % 5).unwrap()].to_owned(),
        level: i32::try_from(id % 6).unwrap(),
        salary: 3_000 + id * 37 % 500,
        // Sums of these hang on their order in the last digits.
        score: (id % 8 != 3).then(|| 0.1 * id.wrapping_mul(7) as f64 + 1e10 / (id + 1) as f64),
        rate_cents: id * 1_313 - 9_000,
        active: id % 3 == 0,
        born: (id % 9 != 4).then(|| NaiveDate::from_ymd_opt(1970, 1, 31).unwrap() + Duration::days(id * 211)),
        note: (id % 4 != 1).then(|| (id * 3).to_string()),
        created_at: Some(if id == 7 { edge() } else { now() - Duration::days(id * 9) - Duration::seconds(id) }),
    }
}

/// A row that fails, or shows, in whatever looks at it.
fn hidden_staff(id: i64, why: Hidden) -> Staff {
    let (id, created_at) = match why {
        Hidden::Expired if id % 2 == 0 => (id, Some(edge() - Duration::microseconds(1))),
        Hidden::Expired => (id, Some(now() - Duration::days(3_000))),
        Hidden::Undated => (id, None),
        Hidden::Erased => (1_000_000 + id, Some(now() - Duration::days(3))),
    };
    Staff {
        id,
        name: Some(format!("hidden-{id}")),
        email: None,
        card: Some(i64::MAX - id),
        dept: "canary".to_owned(),
        level: i32::MAX,
        salary: if id % 2 == 0 { 77 } else { i64::MAX - id },
        score: Some(if id % 3 == 0 { f64::NAN } else { f64::MAX }),
        rate_cents: 99_999_999,
        active: id % 2 == 0,
        born: NaiveDate::from_ymd_opt(9_999, 12, 31),
        note: Some("canary".to_owned()),
        created_at,
    }
}

fn staff(twin: Twin) -> Vec<Staff> {
    let mut rows = Vec::new();
    for id in 0..STAFF {
        if twin == Twin::Full {
            // More before the first than between any two; ids of hidden rows are taken from a range of their own.
            let count = if id == 0 { 60 } else { id % 4 };
            rows.extend((0..count).map(|n| hidden_staff(500 + id * 100 + n, REASONS[usize::try_from(n % 3).unwrap()])));
        }
        rows.push(visible_staff(id, twin));
    }
    rows
}

fn pays(twin: Twin) -> Vec<Pay> {
    let mut rows = Vec::new();
    for id in 0..STAFF * 2 {
        let staff_id = id * 3 % (STAFF + 5);
        let iban = if twin == Twin::Full { format!("DE{id:020}") } else { format!("{}", 5 * id) };
        let amount_cents = id * 997 % 20_000;
        let currency = ["EUR", "USD", "CHF"][usize::try_from(id % 3).unwrap()].to_owned();
        let paid_at = Some(now() - Duration::hours(id * 31));
        rows.push(Pay { id, staff_id, amount_cents, fee: 1.0 / (id + 3) as f64, currency, iban, paid_at });
        if twin == Twin::Full && id % 3 == 0 {
            let (staff_id, paid_at) = match REASONS[usize::try_from(id % 9 / 3).unwrap()] {
                Hidden::Expired => (staff_id, Some(edge() - Duration::days(1))),
                Hidden::Undated => (staff_id, None),
                Hidden::Erased => (1_000_500 + id, Some(now())),
            };
            let currency = "XXX".to_owned();
            rows.push(Pay {
                id: 7_000 + id,
                staff_id,
                amount_cents: 1_000_000_000,
                fee: f64::MAX,
                currency,
                iban: "hidden".to_owned(),
                paid_at,
            });
        }
    }
    rows
}

/// `id, x, created_at`; hidden rows have a negative id.
fn many(twin: Twin) -> Vec<(i64, f64, DateTime<Utc>)> {
    let mut rows = Vec::new();
    let hidden = |id: i64| (-1 - id, f64::NAN, edge() - Duration::days(1));
    if twin == Twin::Full {
        rows.extend((0..MANY).map(hidden));
    }
    for id in 0..MANY {
        rows.push((id, 1e6 / (id % 977 + 1) as f64, now() - Duration::seconds(id)));
        if twin == Twin::Full {
            rows.push(hidden(MANY + id));
        }
    }
    rows
}

fn or_empty<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map(T::to_string).unwrap_or_default()
}

fn at(value: &Option<DateTime<Utc>>) -> String {
    value.map(|date| date.format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()).unwrap_or_default()
}

fn cents(value: i64) -> String {
    format!("{}{}.{:02}", if value < 0 { "-" } else { "" }, value.abs() / 100, value.abs() % 100)
}

fn staff_csv(rows: &[Staff]) -> String {
    let mut text = "id,name,email,card,dept,level,salary,score,rate,active,born,note,created_at\n".to_owned();
    for row in rows {
        let Staff { id, dept, level, salary, active, .. } = row;
        let (name, email, card, score) = (or_empty(&row.name), or_empty(&row.email), or_empty(&row.card), or_empty(&row.score));
        let (rate, born, note, created) = (cents(row.rate_cents), or_empty(&row.born), or_empty(&row.note), at(&row.created_at));
        writeln!(text, "{id},{name},{email},{card},{dept},{level},{salary},{score},{rate},{active},{born},{note},{created}").unwrap();
    }
    text
}

fn pay_csv(rows: &[Pay]) -> String {
    let mut text = "pay_id,staff_id,amount,fee,currency,iban,paid_at\n".to_owned();
    for Pay { id, staff_id, amount_cents, fee, currency, iban, paid_at } in rows {
        writeln!(text, "{id},{staff_id},{},{fee},{currency},{iban},{}", cents(*amount_cents), at(paid_at)).unwrap();
    }
    text
}

fn many_csv(rows: &[(i64, f64, DateTime<Utc>)]) -> String {
    let mut text = "id,x,created_at\n".to_owned();
    for (id, x, created) in rows {
        writeln!(text, "{id},{x},{}", at(&Some(*created))).unwrap();
    }
    text
}

fn instants(values: impl Iterator<Item = Option<DateTime<Utc>>>) -> ArrayRef {
    let micros: TimestampMicrosecondArray = values.map(|date| date.map(|date| date.timestamp_micros())).collect();
    Arc::new(micros.with_timezone("UTC"))
}

fn decimals(values: impl Iterator<Item = i64>, precision: u8) -> ArrayRef {
    Arc::new(Decimal128Array::from_iter_values(values.map(i128::from)).with_precision_and_scale(precision, 2).unwrap())
}

fn staff_batch(rows: &[Staff]) -> RecordBatch {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    let days = |date: NaiveDate| i32::try_from((date - epoch).num_days()).unwrap();
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id))) as ArrayRef, false),
        ("name", Arc::new(rows.iter().map(|row| row.name.clone()).collect::<StringArray>()), true),
        ("email", Arc::new(rows.iter().map(|row| row.email.clone()).collect::<StringArray>()), true),
        ("card", Arc::new(rows.iter().map(|row| row.card).collect::<Int64Array>()), true),
        ("dept", Arc::new(rows.iter().map(|row| Some(row.dept.clone())).collect::<StringArray>()), true),
        ("level", Arc::new(rows.iter().map(|row| Some(row.level)).collect::<Int32Array>()), true),
        ("salary", Arc::new(rows.iter().map(|row| Some(row.salary)).collect::<Int64Array>()), true),
        ("score", Arc::new(rows.iter().map(|row| row.score).collect::<Float64Array>()), true),
        ("rate", decimals(rows.iter().map(|row| row.rate_cents), 10), true),
        ("active", Arc::new(rows.iter().map(|row| Some(row.active)).collect::<BooleanArray>()), true),
        ("born", Arc::new(rows.iter().map(|row| row.born.map(days)).collect::<Date32Array>()), true),
        ("note", Arc::new(rows.iter().map(|row| row.note.clone()).collect::<StringArray>()), true),
        ("created_at", instants(rows.iter().map(|row| row.created_at)), true),
    ])
    .unwrap()
}

fn pay_batch(rows: &[Pay]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("pay_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id))) as ArrayRef, false),
        ("staff_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.staff_id))), true),
        ("amount", decimals(rows.iter().map(|row| row.amount_cents), 12), true),
        ("fee", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.fee))), true),
        ("currency", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.currency))), true),
        ("iban", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.iban))), true),
        ("paid_at", instants(rows.iter().map(|row| row.paid_at)), true),
    ])
    .unwrap()
}

fn many_batch(rows: &[(i64, f64, DateTime<Utc>)]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))) as ArrayRef, false),
        ("x", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1))), true),
        ("created_at", instants(rows.iter().map(|row| Some(row.2))), true),
    ])
    .unwrap()
}

fn write_parquet(world: &World, name: &str, batch: &RecordBatch, rows_per_group: usize) {
    let write = |path: &str, batch: &RecordBatch| {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_per_group)).build();
        let file = std::fs::File::create(world.path(path)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
    };
    write(&format!("data/{name}.parquet"), batch);
    // Hidden rows move the places at which files end.
    let part_rows = batch.num_rows().div_ceil(PARTS);
    for part in 0..PARTS {
        let start = part * part_rows;
        write(&format!("data/{name}-{part}.parquet"), &batch.slice(start, part_rows.min(batch.num_rows() - start)));
    }
}

/// Files of the port `parts`.
const PARTS: usize = 3;

const STAFF_COLUMNS: &str = "
    - {name: id, type: int64, required: true, primaryKey: true}
    - {name: name, type: string}
    - {name: email, type: string}
    - {name: card, type: int64}
    - {name: dept, type: string}
    - {name: level, type: int32}
    - {name: salary, type: int64}
    - {name: score, type: float64}
    - {name: rate, type: \"decimal(10,2)\"}
    - {name: active, type: boolean}
    - {name: born, type: date}
    - {name: note, type: string}
    - {name: created_at, type: timestamptz}";
const STAFF_TABLE: &str = "id bigint, name text, email text, card bigint, dept text, level int, salary bigint, score float8, \
                           rate numeric(10,2), active bool, born date, note text, created_at timestamptz";
const PAY_COLUMNS: &str = "
    - {name: pay_id, type: int64, required: true, primaryKey: true}
    - {name: staff_id, type: int64}
    - {name: amount, type: \"decimal(12,2)\"}
    - {name: fee, type: float64}
    - {name: currency, type: string}
    - {name: iban, type: string}
    - {name: paid_at, type: timestamptz}";
const PAY_TABLE: &str = "pay_id bigint, staff_id bigint, amount numeric(12,2), fee float8, currency text, iban text, paid_at timestamptz";
const MANY_COLUMNS: &str = "
    - {name: id, type: int64, required: true, primaryKey: true}
    - {name: x, type: float64}
    - {name: created_at, type: timestamptz}";
const MANY_TABLE: &str = "id bigint, x float8, created_at timestamptz";

/// How each product is protected, besides what all of them have in common.
const PRODUCTS: [(&str, &str, &str); 3] = [
    (
        "staff",
        STAFF_COLUMNS,
        "retention_column: created_at\n    subject_column: id\n    pii_fields: [name, email, card]\n    masks: {name: redact, email: replace-with-null, card: redact}",
    ),
    ("pay", PAY_COLUMNS, "retention_column: paid_at\n    subject_column: staff_id\n    pii_fields: [iban]\n    masks: {iban: redact}"),
    ("many", MANY_COLUMNS, "retention_column: created_at\n    subject_column: id\n    pii_fields: []"),
];

fn contract(domain: &str, (name, columns, governance): (&str, &str, &str), database: &Database, credentials: &str) -> String {
    // Masks are what a product that denies does not have.
    let governance = match domain {
        "masked" => format!("{governance}\n    pii_action: mask"),
        _ => governance.lines().filter(|line| !line.contains("masks:")).collect::<Vec<_>>().join("\n"),
    };
    let location = database.location("public", name);
    format!(
        "apiVersion: data-mesh/v1
kind: DataProduct
metadata: {{name: {domain}-{name}, version: \"1.0.0\", owner: {domain}-team, domain: {domain}, tags: []}}
spec:
  description: Rows of which some may not be seen.
  outputPorts:
    - {{name: csv, type: batch, format: csv, location: \"{name}.csv\", csv: {{header: true}}, default: true}}
    - {{name: parquet, type: batch, format: parquet, location: \"{name}.parquet\"}}
    - {{name: parts, type: batch, format: parquet, location: \"{name}-*.parquet\"}}
    - {{name: postgres, type: table, format: postgres, location: \"{location}\", credentials: {{ref: \"{credentials}\"}}}}
  inputPorts: []
  schema:{columns}
  governance:
    data_classification: internal
    retention_days: {RETENTION_DAYS}
    gdpr_subject_to_erasure: true
    {governance}
"
    )
}

/// The world of a twin, with its rows in a database of that name.
pub(super) async fn world(twin: Twin, database: &'static str) -> World {
    let database = Database::create(database).await;
    let (staff, pays, many) = (staff(twin), pays(twin), many(twin));
    let world = World::empty();
    let server = database.connect().await;
    let texts = [("staff", STAFF_TABLE, staff_csv(&staff)), ("pay", PAY_TABLE, pay_csv(&pays)), ("many", MANY_TABLE, many_csv(&many))];
    for (name, columns, text) in texts {
        server.batch_execute(&format!("CREATE TABLE public.{name} ({columns})")).await.unwrap();
        world.write(&format!("data/{name}.csv"), &text);
        copy_csv(&server, &format!("public.{name}"), text).await;
    }
    server.batch_execute("ANALYZE").await.unwrap();
    write_parquet(&world, "staff", &staff_batch(&staff), 16);
    write_parquet(&world, "pay", &pay_batch(&pays), 16);
    write_parquet(&world, "many", &many_batch(&many), 5_000);
    world.write("postgres.credentials", &database.credentials());
    let credentials = format!("file:{}", world.path("postgres.credentials").display());
    let mut domains = "domains:\n".to_owned();
    for domain in ["masked", "denied"] {
        let names = PRODUCTS.map(|product| format!("{domain}-{}", product.0));
        write!(
            domains,
            "  {domain}:\n    owner_team: {domain}-team\n    source_products: [{}]\n    consumer_products: []\n",
            names.join(", ")
        )
        .unwrap();
        for (product, name) in PRODUCTS.into_iter().zip(names) {
            world.write(&format!("catalogs/{domain}/{name}.yaml"), &contract(domain, product, &database, &credentials));
        }
    }
    world.write("catalogs/domains.yaml", &domains);
    let erased = staff.iter().map(|row| row.id).chain(pays.iter().map(|row| row.staff_id)).filter(|id| *id >= 1_000_000);
    world.write("data/erased_subjects.csv", &erased.fold("subject_id\n".to_owned(), |text, id| format!("{text}{id}\n")));
    world
}
