//! Hidden rows of a Postgres whose values do not fit the contract, or make the server's own expressions fail, are no more in an error than in an
//! answer: whatever a statement asks of such a row, it hears what it hears of a hidden row that is sound. Of a visible one it hears the fault.

use tokio_postgres::Client;

use crate::gateway::{Gateway, World};
use crate::postgres::Database;

/// Rows 1 and 2 may be seen, and 2 does not fit. 3 and 6 are of erased people, 4 and 7 of another region; 3 and 4 do not fit, 6 and 7 do.
const ROWS: &str = "
CREATE TABLE public.people (id int PRIMARY KEY, region text, email text, amount numeric, valid_to timestamp, joined date, seen date,
                            opens time, took interval, marks int[], salary int);
INSERT INTO public.people
SELECT id, CASE WHEN id IN (4, 7) THEN 'US' ELSE 'EU' || id END, 'p' || id || '@x.org', 10 + id, '2026-01-01', '2020-05-05', '2026-06-01', '08:00', '1 day',
       '{1,2}', 100 + id
FROM generate_series(1, 7) AS id;
UPDATE public.people SET valid_to = 'infinity' WHERE id = 2;
UPDATE public.people SET amount = CASE id WHEN 3 THEN 'NaN' ELSE 123456789.12345 END, valid_to = '-infinity', joined = 'infinity', seen = '5000000-01-01',
       opens = '24:00', took = '178000000 years', marks = '{{1,2},{3,4}}', salary = 77
WHERE id IN (3, 4);
CREATE VIEW public.ratios AS SELECT id, region, 1000 / (salary - 77) AS ratio FROM public.people;
";

/// A source that hears nothing of a statement, and whose row 2 may be seen.
const LASTING_ROWS: &str = "
UPDATE public.people SET joined = 'infinity' WHERE id = 1;
CREATE VIEW public.lasting AS SELECT id, region, valid_to AS until FROM public.people;
";

/// Rows are hidden by the columns that do not fit: 1 and 2 may be seen. 3 to 5 are of a time before the policy's, or cost less than it says; 6 to 8 are
/// of no time, or cost no amount, and so nobody may see them.
const OF_NO_TIME: &str = "
CREATE TABLE public.prices (id int PRIMARY KEY, email text, valid_from timestamptz, day date, price numeric(12,2), loose numeric, opens time);
INSERT INTO public.prices SELECT id, 'p' || id || '@x.org', '2026-01-01', '2026-01-01', 20, 20, '08:00' FROM generate_series(1, 8) AS id;
UPDATE public.prices SET valid_from = '2019-01-01' WHERE id = 3;
UPDATE public.prices SET price = 1 WHERE id = 4;
UPDATE public.prices SET loose = 1 WHERE id = 5;
UPDATE public.prices SET valid_from = 'infinity' WHERE id = 6;
UPDATE public.prices SET price = 'NaN' WHERE id = 7;
UPDATE public.prices SET loose = 1234567890.5 WHERE id = 8;
INSERT INTO public.prices VALUES (9, 'p9@x.org', '294270-01-01', '2026-01-01', 20, 20, '08:00'), (10, 'p10@x.org', '2026-01-01', 'infinity', 20, 20, '08:00'),
                                 (11, 'p11@x.org', '2026-01-01', '2026-01-01', 20, 20.125, '08:00');
CREATE TABLE public.orders (oid int PRIMARY KEY, id int);
INSERT INTO public.orders SELECT 100 + id, id FROM generate_series(1, 11) AS id;
";

/// What may be asked of one of these rows.
const ASKED_OF_NO_TIME: [&str; 12] = [
    "SELECT id, email FROM demo.prices WHERE id = ID",
    "SELECT max(email) FROM demo.prices WHERE id = ID",
    "SELECT count(*) FROM demo.prices WHERE id = ID",
    "SELECT DISTINCT email FROM demo.prices WHERE id = ID",
    "SELECT email, count(*), max(valid_from) FROM demo.prices WHERE id = ID GROUP BY email",
    "SELECT sum(price), max(loose) FROM demo.prices WHERE id = ID",
    "SELECT id FROM demo.prices WHERE id = ID ORDER BY id LIMIT 1",
    "SELECT p.email, count(*) FROM demo.prices p JOIN demo.orders o ON o.id = p.id WHERE p.id = ID GROUP BY p.email",
    "SELECT o.oid, p.email FROM demo.prices p JOIN demo.orders o ON o.id = p.id WHERE p.id = ID ORDER BY o.oid LIMIT 3",
    "SELECT count(*) FROM demo.orders o WHERE o.id = ID AND EXISTS (SELECT FROM demo.prices p WHERE p.id = o.id)",
    "SELECT o.oid, p.email FROM demo.orders o LEFT JOIN demo.prices p ON o.id = p.id WHERE o.id = ID",
    "SELECT id FROM (SELECT id FROM demo.prices ORDER BY id DESC LIMIT 3) p WHERE id = ID",
];

/// In this encoding one byte is no letter: the server cannot send what rows 3 and 4 hold. Who they are of is as above.
const NO_LETTER: &str = "
CREATE TABLE public.letters (id int PRIMARY KEY, region text, email text);
INSERT INTO public.letters SELECT id, CASE WHEN id IN (4, 7) THEN 'US' ELSE 'EU' || id END,
                                  CASE WHEN id IN (3, 4) THEN convert_from(decode('81', 'hex'), 'WIN1252') ELSE 'p' || id END FROM generate_series(1, 7) AS id;
";

/// A table of another server whose rows fail, as a partition of one of this server.
const PARTITIONS: &str = "
CREATE TABLE public.salaries AS SELECT id, CASE WHEN id IN (4, 7) THEN 'US' ELSE 'EU' || id END AS region,
                                       CASE WHEN id IN (3, 4) THEN 77 ELSE 100 + id END AS salary FROM generate_series(1, 7) AS id;
CREATE VIEW public.remote AS SELECT id, region, 1000 / (salary - 77) AS ratio FROM public.salaries;
CREATE TABLE public.ratios (id int, region text, ratio int) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE public.first PARTITION OF public.ratios FOR VALUES FROM (0) TO (100) SERVER itself OPTIONS (schema_name 'public', table_name 'remote');
";

/// What may be asked of one row.
const ASKED: [&str; 17] = [
    "SELECT amount FROM demo.people WHERE id = ID",
    "SELECT valid_to FROM demo.people WHERE id = ID",
    "SELECT opens FROM demo.people WHERE id = ID",
    "SELECT took FROM demo.people WHERE id = ID",
    "SELECT marks FROM demo.people WHERE id = ID",
    "SELECT joined FROM demo.people WHERE id = ID AND joined IS NOT NULL",
    "SELECT seen FROM demo.people WHERE id = ID AND seen > '2026-01-01'",
    "SELECT id FROM demo.people WHERE id = ID AND seen > '2026-01-01'",
    "SELECT id, valid_to FROM demo.people WHERE id = ID AND email = 'pID@x.org'",
    "SELECT id, amount FROM demo.people WHERE email IN ('pID@x.org')",
    "SELECT count(*), max(valid_to), sum(amount) FROM demo.people WHERE id = ID",
    "SELECT id, opens FROM demo.people WHERE id >= ID AND id <= ID ORDER BY id LIMIT 1",
    "SELECT p.amount FROM demo.people p JOIN (VALUES (ID)) v(id) ON p.id = v.id",
    "SELECT id FROM demo.ratios WHERE id = ID AND ratio > 3",
    "SELECT count(*) FROM demo.ratios WHERE id = ID AND ratio > 3",
    "SELECT r.id FROM demo.ratios r JOIN demo.people p ON p.id = r.id WHERE r.id = ID AND r.ratio > 3",
    "SELECT id, region FROM demo.ratios WHERE id = ID",
];

/// A product over the table or view of its name.
struct Published {
    name: &'static str,
    fields: &'static [(&'static str, &'static str)],
    masks: &'static str,
    /// Which rows may be seen, as an expression of the policy's.
    shown: &'static str,
}

const PEOPLE: Published = Published {
    name: "people",
    fields: &[
        ("id", "int32"),
        ("region", "string"),
        ("email", "string"),
        ("amount", "decimal(8,2)"),
        ("valid_to", "timestamp"),
        ("joined", "date"),
        ("seen", "timestamp"),
        ("opens", "time"),
        ("took", "interval"),
        ("marks", "list<int32>"),
    ],
    masks: "    masks: {joined: truncate-to-year}\n",
    // It stays in the gateway.
    shown: "region ~ '^EU'",
};
const RATIOS: Published = Published {
    name: "ratios",
    fields: &[("id", "int32"), ("region", "string"), ("ratio", "int32")],
    masks: "",
    // It goes to the server.
    shown: "region IN ('EU1', 'EU2', 'EU3', 'EU4', 'EU5', 'EU6', 'EU7')",
};
const LASTING: Published =
    Published { name: "lasting", fields: &[("id", "int32"), ("region", "string"), ("until", "timestamp")], masks: "", shown: RATIOS.shown };
const LETTERS: Published =
    Published { name: "letters", fields: &[("id", "int32"), ("region", "string"), ("email", "string")], masks: "", shown: PEOPLE.shown };
const PRICES: Published = Published {
    name: "prices",
    fields: &[
        ("id", "int32"),
        ("email", "string"),
        ("valid_from", "timestamptz"),
        ("day", "date"),
        ("price", "decimal(12,2)"),
        ("loose", "decimal(8,2)"),
        ("opens", "time"),
    ],
    masks: "",
    shown: "valid_from >= '2020-01-01' AND day >= '2020-01-01' AND price >= 10 AND loose >= 10",
};
const ORDERS: Published = Published { name: "orders", fields: &[("oid", "int32"), ("id", "int32")], masks: "", shown: "oid > 0" };

/// The gateway over products of one database, in which 3 and 6 are erased people if they have none of `PRICES`.
async fn world(database: Database, rows: &str, products: &[Published]) -> (World, Gateway, Client) {
    let server = database.connect().await;
    server.batch_execute(rows).await.unwrap();
    let world = World::empty();
    let names = products.iter().map(|product| product.name).collect::<Vec<_>>().join(", ");
    world.write(
        "catalogs/domains.yaml",
        &format!("domains:\n  demo: {{owner_team: demo, oncall_pagerduty: demo, source_products: [{names}], consumer_products: []}}\n"),
    );
    world.write("data/erased_subjects.csv", "subject_id\n3\n6\n");
    world.write("postgres.credentials", &database.credentials());
    let credentials = format!("credentials: {{ref: \"file:{}\"}}", world.path("postgres.credentials").display());
    for Published { name, fields, masks, shown } in products {
        let fields: String = fields.iter().map(|(name, kind)| format!("    - {{name: {name}, type: \"{kind}\"}}\n")).collect();
        let subject = if *name == "people" || *name == "ratios" || *name == "letters" {
            "    gdpr_subject_to_erasure: true\n    subject_column: id\n"
        } else {
            "    gdpr_subject_to_erasure: false\n"
        };
        let contract = format!(
            "apiVersion: data-mesh/v1
kind: DataProduct
metadata: {{name: {name}, version: \"1.0.0\", owner: demo, domain: demo, tags: []}}
spec:
  description: People.
  outputPorts:
    - {{name: only, type: table, format: postgres, location: \"{}\", {credentials}}}
  inputPorts: []
  schema:
{fields}  governance:
    pii_fields: []
    data_classification: public
{subject}    access_policy: \"opa://demo/{name}\"
{masks}",
            database.location("public", name)
        );
        world.write(&format!("catalogs/demo/{name}.yaml"), &contract);
        world.write(
            &format!("policies/{name}.rego"),
            &format!("package demo.{name}\n\nrowFilters contains {{\"expression\": \"{shown}\"}}\n"),
        );
    }
    let gateway = world.serve().await;
    let client = gateway.login("analyst").await;
    (world, gateway, client)
}

/// The rows as one text, or the SQLSTATE.
async fn said(client: &Client, statement: &str) -> String {
    match client.simple_query(statement).await {
        Ok(messages) => format!("{messages:?}"),
        Err(error) => error.as_db_error().map_or_else(|| error.to_string(), |error| error.code().code().to_owned()),
    }
}

/// Each statement says the same of both rows of each pair, and something else of the visible row.
async fn hides(client: &Client, statements: &[&str], pairs: &[(&str, &str)], visible: &str) {
    for statement in statements {
        for (unfit, sound) in pairs {
            let (of_unfit, of_sound) =
                (said(client, &statement.replace("ID", unfit)).await, said(client, &statement.replace("ID", sound)).await);
            let of_unfit = of_unfit.replace(&format!("p{unfit}@"), "pID@").replace(&format!("1{unfit:0>2}"), "ID");
            let of_sound = of_sound.replace(&format!("p{sound}@"), "pID@").replace(&format!("1{sound:0>2}"), "ID");
            assert_eq!(of_unfit, of_sound, "{statement} of {unfit} and {sound}");
            assert!(of_sound.len() > 5, "{statement} fails for a row that nobody sees: {of_sound}");
        }
        let of_visible = said(client, &statement.replace("ID", visible)).await;
        assert!(of_visible.contains("Row"), "{statement} of a visible row: {of_visible}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_row_that_does_not_fit_is_like_one_that_does() {
    let database = Database::create("meshgate_unfit_hidden").await;
    let (_world, gateway, client) = world(database, ROWS, &[PEOPLE, RATIOS]).await;
    hides(&client, &ASKED, &[("3", "6"), ("4", "7")], "1").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_hidden_by_what_does_not_fit_wherever_it_is_counted() {
    let database = Database::create("meshgate_unfit_hiding").await;
    let (_world, gateway, client) = world(database, OF_NO_TIME, &[PRICES, ORDERS]).await;
    let pairs = [("6", "3"), ("7", "4"), ("8", "5"), ("9", "3"), ("10", "3"), ("11", "5")];
    hides(&client, &ASKED_OF_NO_TIME, &pairs, "2").await;
    for statement in
        ["SELECT count(*) FROM demo.prices", "SELECT count(*) FROM (SELECT * FROM demo.prices) p WHERE opens IS NOT NULL OR price > 0"]
    {
        let count: i64 = client.query_one(statement, &[]).await.unwrap().get(0);
        assert_eq!(count, 2, "{statement}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_text_that_the_server_cannot_send_chooses_no_answer() {
    let database = Database::encoded("meshgate_unfit_letters", "WIN1252").await;
    let (_world, gateway, client) = world(database, NO_LETTER, &[LETTERS]).await;
    let statements = ["SELECT id FROM demo.letters WHERE id = ID", "SELECT id, region FROM demo.letters WHERE id = ID AND region <> 'x'"];
    hides(&client, &statements, &[("3", "6"), ("4", "7")], "1").await;
    // Whoever asks for a text hears of the fault, of whichever row it is.
    let faults = ["3", "6", "4", "7", "1"].map(|id| format!("SELECT id FROM demo.letters WHERE id = {id} AND email IS NOT NULL"));
    let mut heard = Vec::new();
    for fault in &faults {
        heard.push(said(&client, fault).await);
    }
    heard.dedup();
    assert_eq!(heard, ["HV000"]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_of_another_server_is_asked_for_no_row_that_the_statement_chose() {
    let database = Database::create("meshgate_unfit_parts").await;
    let (address, credentials) = (database.address(), database.credentials());
    let (user, password) = credentials.trim().split_once(':').unwrap();
    let itself = format!(
        "CREATE EXTENSION postgres_fdw;
         CREATE SERVER itself FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{}', port '{}', dbname 'meshgate_unfit_parts');
         CREATE USER MAPPING FOR CURRENT_USER SERVER itself OPTIONS (user '{user}', password '{password}');",
        address.ip(),
        address.port()
    );
    let (_world, gateway, client) = world(database, &format!("{itself}{PARTITIONS}"), &[RATIOS]).await;
    let mut heard = Vec::new();
    for id in ["3", "6", "4", "7", "1"] {
        heard.push(said(&client, &format!("SELECT id FROM demo.ratios WHERE id = {id} AND ratio > 3")).await);
    }
    // Rows of the erased and of another region are left out by the server.
    assert!(heard[..4].iter().all(|said| said == &heard[0]) && heard[4].contains("Row"), "{heard:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visible_row_that_does_not_fit_is_a_fault_that_names_its_column() {
    let database = Database::create("meshgate_unfit_visible").await;
    let (_world, gateway, client) = world(database, &format!("{ROWS}{LASTING_ROWS}"), &[PEOPLE, LASTING]).await;
    for statement in ["SELECT valid_to FROM demo.people WHERE id = 2", "SELECT * FROM demo.people", "SELECT max(valid_to) FROM demo.people"]
    {
        let error = client.simple_query(statement).await.expect_err(statement);
        let error = error.as_db_error().unwrap();
        assert_eq!((error.code().code(), error.column()), ("XX001", Some("valid_to")), "{statement}: {error:?}");
    }
    // It is no fault of a statement that asks for another row, also where the server is not told for which.
    for statement in
        ["SELECT id, valid_to FROM demo.people WHERE id = 1", "SELECT id, until FROM demo.lasting WHERE id = 1 AND region = 'EU1'"]
    {
        assert!(said(&client, statement).await.contains("Row"), "{statement}");
    }
    for statement in ["SELECT id FROM demo.lasting WHERE until > '2020-01-01'", "SELECT until FROM demo.lasting WHERE id = 2"] {
        assert_eq!(said(&client, statement).await, "XX001", "{statement}");
    }
    // Under its mask it is nothing.
    assert_eq!(client.query("SELECT joined FROM demo.people WHERE joined IS NULL", &[]).await.unwrap().len(), 1);
    // Columns that fit are read.
    let all = client.query("SELECT id, amount, email FROM demo.people ORDER BY id", &[]).await.unwrap();
    assert_eq!(all.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [1, 2, 5]);
    gateway.stop().await;
}
