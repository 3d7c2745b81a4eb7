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

/// The gateway over these rows, the products `people` and `ratios`.
async fn world(database: &'static str) -> (World, Gateway, Client) {
    let database = Database::create(database).await;
    let server = database.connect().await;
    server.batch_execute(ROWS).await.unwrap();
    let world = World::empty();
    world.write(
        "catalogs/domains.yaml",
        "domains:\n  demo: {owner_team: demo, oncall_pagerduty: demo, source_products: [people, ratios], consumer_products: []}\n",
    );
    world.write("data/erased_subjects.csv", "subject_id\n3\n6\n");
    world.write("postgres.credentials", &database.credentials());
    let credentials = format!("credentials: {{ref: \"file:{}\"}}", world.path("postgres.credentials").display());
    let contract = |name: &str, fields: &[(&str, &str)], masks: &str| {
        let fields: String = fields.iter().map(|(name, kind)| format!("    - {{name: {name}, type: \"{kind}\"}}\n")).collect();
        format!(
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
    gdpr_subject_to_erasure: true
    subject_column: id
    access_policy: \"opa://demo/{name}\"
{masks}",
            database.location("public", name)
        )
    };
    let people = [
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
    ];
    world.write("catalogs/demo/people.yaml", &contract("people", &people, "    masks: {joined: truncate-to-year}\n"));
    world.write("catalogs/demo/ratios.yaml", &contract("ratios", &[("id", "int32"), ("region", "string"), ("ratio", "int32")], ""));
    // One filter stays in the gateway, the other goes to the server.
    world.write("policies/people.rego", "package demo.people\n\nrowFilters contains {\"expression\": \"region ~ '^EU'\"}\n");
    let regions = "region IN ('EU1', 'EU2', 'EU3', 'EU4', 'EU5', 'EU6', 'EU7')";
    world.write("policies/ratios.rego", &format!("package demo.ratios\n\nrowFilters contains {{\"expression\": \"{regions}\"}}\n"));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_row_that_does_not_fit_is_like_one_that_does() {
    let (_world, gateway, client) = world("meshgate_unfit_hidden").await;
    for statement in ASKED {
        for (unfit, sound) in [("3", "6"), ("4", "7")] {
            let (of_unfit, of_sound) =
                (said(&client, &statement.replace("ID", unfit)).await, said(&client, &statement.replace("ID", sound)).await);
            assert_eq!(of_unfit, of_sound, "{statement} of {unfit} and {sound}");
            assert!(of_sound.len() > 5, "{statement} fails for a row that nobody sees: {of_sound}");
        }
        let visible = said(&client, &statement.replace("ID", "1")).await;
        assert!(visible.contains("Row"), "{statement} of a visible row: {visible}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visible_row_that_does_not_fit_is_a_fault_that_names_its_column() {
    let (_world, gateway, client) = world("meshgate_unfit_visible").await;
    for statement in ["SELECT valid_to FROM demo.people WHERE id = 2", "SELECT * FROM demo.people", "SELECT max(valid_to) FROM demo.people"]
    {
        let error = client.simple_query(statement).await.expect_err(statement);
        let error = error.as_db_error().unwrap();
        assert_eq!((error.code().code(), error.column()), ("XX001", Some("valid_to")), "{statement}: {error:?}");
    }
    // Columns that fit are read.
    let all = client.query("SELECT id, amount, email FROM demo.people ORDER BY id", &[]).await.unwrap();
    assert_eq!(all.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [1, 2, 5]);
    gateway.stop().await;
}
