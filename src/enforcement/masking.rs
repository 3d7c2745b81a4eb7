//! What a statement sees of masked columns: whatever it does to them, it does to the masked values.
//!
//! A world under masks answers like a world whose rows were masked before they were written, and constants answer alike whatever they
//! stand for. The values are masked here once more, by hand, so that the kernels are not held against themselves.

use chrono::{Datelike, NaiveDate};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::policy::{Mask, MaskKeys, Obligations};
use crate::product::DataType;
use crate::product::mask::{Constant, Decimal, ExpressionColumn};

use super::testing::{Person, World, field_name, places};

const PEOPLE: i64 = 400;
const DAY_MICROS: i64 = 86_400_000_000;
const SECRET: &[u8] = b"a secret of the test";

fn person(id: i64) -> Person {
    Person {
        id,
        full_name: format!("Name-{} {}@example-{}.org", id % 90, 1000 + id % 90, id % 7),
        salary: 100 + id % 50,
        bucket: id % 10,
        dept: format!("dept-{}", id % 5),
        created_us: id * 3 * DAY_MICROS + 1_234_567,
    }
}

fn people() -> Vec<Person> {
    (0..PEOPLE).map(person).collect()
}

/// One mask, and what it makes of a person.
struct Case {
    name: &'static str,
    column: &'static str,
    mask: Mask,
    by_hand: fn(Person) -> Person,
}

fn named(person: Person, masked: impl Fn(&str) -> String) -> Person {
    Person { full_name: masked(&person.full_name), ..person }
}

fn alphanum(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_digit() {
                'n'
            } else if "(),.-@".contains(c) {
                c
            } else {
                'x'
            }
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn first_of(micros: i64, whole_year: bool) -> i64 {
    let date = chrono::DateTime::from_timestamp_micros(micros).unwrap().date_naive();
    let month = if whole_year { 1 } else { date.month() };
    NaiveDate::from_ymd_opt(date.year(), month, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp_micros()
}

fn expression(text: &str) -> Mask {
    let types = [("full_name", "string"), ("salary", "int64"), ("bucket", "int64"), ("dept", "string"), ("created", "timestamp")];
    let types = types.map(|(name, data_type)| (field_name(name), DataType::parse(data_type).unwrap()));
    let columns = types.each_ref().map(|(name, data_type)| ExpressionColumn { name, data_type });
    Mask::read(serde_json::json!({"expression": text}).as_object().unwrap(), None, &columns).unwrap()
}

fn cases() -> Vec<Case> {
    let case = |name, column, mask, by_hand| Case { name, column, mask, by_hand };
    vec![
        case("show-first-4", "full_name", Mask::ShowFirst4, |person| {
            named(person, |text| format!("{}{}", &text[..4], alphanum(&text[4..])))
        }),
        case("show-last-4", "full_name", Mask::ShowLast4, |person| {
            named(person, |text| format!("{}{}", alphanum(&text[..text.len() - 4]), &text[text.len() - 4..]))
        }),
        case("mask-alphanum", "full_name", Mask::MaskAlphanum, |person| named(person, alphanum)),
        case("email-domain", "full_name", Mask::EmailDomain, |person| named(person, |text| text.rsplit('@').next().unwrap().to_owned())),
        case("sha-256-global", "full_name", Mask::Sha256Global, |person| named(person, |text| hex(&Sha256::digest(text)))),
        case("hmac-sha-256", "full_name", Mask::HmacSha256("default".to_owned()), |person| {
            named(person, |text| {
                let mut keyed = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
                keyed.update(text.as_bytes());
                hex(&keyed.finalize().into_bytes())
            })
        }),
        case("redact", "full_name", Mask::Redact, |person| named(person, |_| "***".to_owned())),
        case("fixed", "full_name", Mask::Fixed(Some(Constant::Text("someone".to_owned()))), |person| {
            named(person, |_| "someone".to_owned())
        }),
        case("expression over texts", "full_name", expression("dept || '/' || left(full_name, 1)"), |person| {
            let dept = person.dept.clone();
            named(person, |text| format!("{dept}/{}", &text[..1]))
        }),
        case("redact", "salary", Mask::Redact, |person| Person { salary: 0, ..person }),
        case("fixed", "salary", Mask::Fixed(None), |person| Person { salary: 999_999_999, ..person }),
        case("bucket", "salary", Mask::Bucket(Decimal::whole(7)), |person| Person { salary: person.salary / 7 * 7, ..person }),
        case("sha-256-global", "salary", Mask::Sha256Global, |person| {
            let digest = Sha256::digest(person.salary.to_le_bytes());
            Person { salary: i64::from_le_bytes(digest[..8].try_into().unwrap()), ..person }
        }),
        case("expression over numbers", "salary", expression("CASE WHEN bucket > 4 THEN salary / 10 ELSE -bucket END"), |person| Person {
            salary: if person.bucket > 4 { person.salary / 10 } else { -person.bucket },
            ..person
        }),
        case("truncate-to-year", "created", Mask::TruncateToYear, |person| Person {
            created_us: first_of(person.created_us, true),
            ..person
        }),
        case("truncate-to-month", "created", Mask::TruncateToMonth, |person| Person {
            created_us: first_of(person.created_us, false),
            ..person
        }),
        case("fixed", "created", Mask::Fixed(Some(Constant::Text("2000-01-01".to_owned()))), |person| Person {
            created_us: 946_684_800_000_000,
            ..person
        }),
    ]
}

/// Statements that filter, join, sort, group and compare by every column.
const SIDEWAYS: &[&str] = &[
    "SELECT * FROM people ORDER BY id",
    "SELECT id FROM people ORDER BY full_name, salary, created, id LIMIT 9",
    "SELECT id FROM people ORDER BY created DESC, salary DESC, full_name DESC, id LIMIT 9",
    "SELECT DISTINCT full_name FROM people ORDER BY full_name",
    "SELECT DISTINCT salary, created FROM people ORDER BY salary, created",
    "SELECT full_name, count(*) FROM people GROUP BY full_name ORDER BY 2 DESC, 1 LIMIT 7",
    "SELECT salary, max(full_name), min(created) FROM people GROUP BY salary ORDER BY salary",
    "SELECT min(full_name), max(full_name), min(salary), max(salary), min(created), max(created), count(DISTINCT full_name) FROM people",
    "SELECT count(*) FROM people WHERE full_name LIKE 'Name-7%'",
    "SELECT count(*) FROM people WHERE full_name LIKE '%org'",
    "SELECT count(*) FROM people WHERE full_name ~ '[0-9]{4}'",
    "SELECT count(*) FROM people WHERE full_name = 'Name-7 1007@example-0.org'",
    "SELECT count(*) FROM people WHERE full_name > 'M' AND full_name < 'y'",
    "SELECT count(*) FROM people WHERE salary = 107",
    "SELECT count(*) FROM people WHERE salary BETWEEN 103 AND 119 AND id > 3",
    "SELECT count(*) FROM people WHERE salary IN (100, 101, 105)",
    "SELECT count(*) FROM people WHERE created = TIMESTAMP '1970-01-22 00:00:01.234567'",
    "SELECT count(*) FROM people WHERE created < TIMESTAMP '1971-02-01'",
    "SELECT count(*) FROM people WHERE length(full_name) > 20",
    "SELECT count(*) FROM people p JOIN colleagues c ON p.full_name = c.full_name WHERE p.id < 60 AND c.id < 200",
    "SELECT count(*) FROM people p JOIN colleagues c ON p.salary = c.salary AND p.id <> c.id",
    "SELECT p.id, c.id FROM people p LEFT JOIN colleagues c ON p.created = c.created AND c.id < 3 WHERE p.id < 6 ORDER BY 1, 2",
    "SELECT count(*) FROM people WHERE full_name IN (SELECT full_name FROM colleagues WHERE id < 3)",
    "SELECT count(*) FROM people WHERE salary NOT IN (SELECT salary FROM colleagues WHERE id < 40)",
    "SELECT count(*) FROM people p WHERE EXISTS (SELECT 1 FROM colleagues c WHERE c.full_name = p.full_name AND c.id > p.id)",
    "SELECT id, rank() OVER (ORDER BY salary, id) AS r FROM people ORDER BY r DESC LIMIT 4",
    "SELECT (SELECT max(full_name) FROM people), (SELECT sum(salary) FROM colleagues)",
    "SELECT full_name FROM people INTERSECT SELECT full_name FROM colleagues WHERE id < 4 ORDER BY full_name",
    "SELECT 1000 / (salary - 107) FROM people WHERE id < 8 ORDER BY id",
    "SELECT CAST(full_name AS bigint) FROM people ORDER BY id LIMIT 1",
    "SELECT count(full_name), count(salary), count(created) FROM people",
];

fn obligations(column: &str, mask: &Mask) -> Obligations {
    Obligations {
        masks: [(field_name(column), mask.clone())].into(),
        mask_keys: MaskKeys::new([("default".to_owned(), SECRET.to_vec())]),
        ..Obligations::default()
    }
}

#[tokio::test]
async fn a_statement_sees_masked_values_and_no_others() {
    let open = Obligations::default();
    for place in places() {
        let raw = World::new(place, &people(), 1).await;
        for Case { name, column, mask, by_hand } in cases() {
            let masked: Vec<Person> = people().into_iter().map(by_hand).collect();
            let masked = World::new(place, &masked, 1).await;
            let policy = obligations(column, &mask);
            for sql in SIDEWAYS {
                let expected = masked.answer(sql, &open).await;
                assert_eq!(raw.answer(sql, &policy).await, expected, "{place:?}, {name} of {column}: {sql}");
            }
        }
    }
}

#[tokio::test]
async fn without_the_mask_the_values_are_seen() {
    let raw = World::new(places()[0], &people(), 1).await;
    for Case { name, column, mask, .. } in cases() {
        let sql = format!("SELECT {column} FROM people ORDER BY id");
        let seen = raw.answer(&sql, &Obligations::default()).await.unwrap();
        assert_ne!(raw.answer(&sql, &obligations(column, &mask)).await.unwrap(), seen, "{name} of {column}");
    }
}

#[tokio::test]
async fn a_constant_answers_alike_whatever_it_stands_for() {
    let others: Vec<Person> = people()
        .into_iter()
        .map(|person| Person { full_name: format!("{}", person.id), salary: 107 - person.salary, created_us: -person.created_us, ..person })
        .collect();
    for place in places() {
        let (world, other) = (World::new(place, &people(), 2).await, World::new(place, &others, 2).await);
        for mask in [Mask::Null, Mask::Redact, Mask::Fixed(None)] {
            let masks = ["full_name", "salary", "created"].map(|column| (field_name(column), mask.clone()));
            let policy = Obligations { masks: masks.into(), ..Obligations::default() };
            for sql in SIDEWAYS {
                assert_eq!(world.answer(sql, &policy).await, other.answer(sql, &policy).await, "{place:?}, {mask}: {sql}");
                assert_eq!(world.explained(sql, &policy).await, other.explained(sql, &policy).await, "{place:?}, {mask}: EXPLAIN {sql}");
            }
        }
    }
}

#[tokio::test]
async fn constants_leave_the_rows_to_the_filters() {
    use crate::policy::{CompareOp, Exclusion, Literal, Predicate, SubjectSet};
    let masks = ["full_name", "salary"].map(|column| (field_name(column), Mask::Redact));
    let policy = Obligations {
        row_filter: Predicate::Compare { column: field_name("salary"), op: CompareOp::Lt, value: Literal::Int(110) },
        exclusion: Some(Exclusion { column: field_name("id"), subjects: std::sync::Arc::new(SubjectSet::new(["0".to_owned()])) }),
        masks: masks.into(),
        ..Obligations::default()
    };
    for place in places() {
        let world = World::new(place, &people(), 2).await;
        for (sql, expected) in [
            ("SELECT count(*) FROM (SELECT full_name, salary FROM people) x WHERE full_name = '***' AND salary = 0", "79"),
            ("SELECT count(*) FROM people", "79"),
            ("SELECT count(full_name) FROM (SELECT full_name FROM people LIMIT 20) x", "20"),
            ("SELECT count(*) FROM (SELECT full_name FROM people LIMIT 2000) x", "79"),
        ] {
            let answer = world.answer(sql, &policy).await.unwrap();
            assert!(answer.contains(&format!("| {expected} ")), "{place:?}: {sql}\n{answer}");
        }
    }
}
