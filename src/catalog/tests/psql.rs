//! psql 15's own statements for `\l \dn \dt \d \du \df …`, as `psql -E` shows them.

use super::{rows, run, table, value};

async fn oid() -> String {
    value("SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relname = 'customer_360' AND nspname = 'customer'").await
}

#[tokio::test]
async fn every_statement_of_psql_runs() {
    let oid = oid().await;
    let mut failed = Vec::new();
    for sql in include_str!("psql15.sql").split("--#\n") {
        let sql = sql.replace("$OID", &oid);
        if let Err(error) = run(&sql).await {
            failed.push(format!("{}\n{sql}", error.strip_backtrace()));
        }
    }
    assert!(failed.is_empty(), "{} statements failed:\n{}", failed.len(), failed.join("\n---\n"));
}

#[tokio::test]
async fn dn_lists_the_domains_with_their_owners() {
    let sql = r#"SELECT n.nspname AS "Name", pg_catalog.pg_get_userbyid(n.nspowner) AS "Owner"
        FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1;"#;
    assert_eq!(
        table(sql).await,
        [
            ["Name", "Owner"],
            ["customer", "customer-team"],
            ["logistics", "logistics-team"],
            ["payments", "payments-team"],
            ["public", "meshgate"]
        ]
    );
}

#[tokio::test]
async fn dt_of_a_schema_lists_what_the_principal_may_know() {
    let sql = r"SELECT n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam WHERE c.relkind IN ('r','p','t','s','')
        AND n.nspname OPERATOR(pg_catalog.~) '^(payments)$' COLLATE pg_catalog.default ORDER BY 1,2;";
    assert_eq!(rows(sql).await, [["payments", "transactions"]]);
}

#[tokio::test]
async fn d_tells_columns_types_keys_and_comments() {
    let oid = oid().await;
    let sql = format!(
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
        (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
         WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef),
        a.attnotnull,
        (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t
         WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation,
        pg_catalog.col_description(a.attrelid, a.attnum)
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = '{oid}' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;"
    );
    assert_eq!(
        rows(&sql).await,
        [
            ["customer_id", "bigint", "∅", "true", "∅", "the customer_id"],
            ["email", "character varying(120)", "∅", "false", "∅", "the email; personal data"],
            ["tier", "text", "∅", "false", "∅", "the tier"],
        ]
    );
    let sql = format!(
        "SELECT c2.relname, i.indisprimary, pg_catalog.pg_get_indexdef(i.indexrelid, 0, true), pg_catalog.pg_get_constraintdef(con.oid, true)
        FROM pg_catalog.pg_class c, pg_catalog.pg_class c2, pg_catalog.pg_index i
        LEFT JOIN pg_catalog.pg_constraint con ON (conrelid = i.indrelid AND conindid = i.indexrelid AND contype IN ('p','u','x'))
        WHERE c.oid = '{oid}' AND c.oid = i.indrelid AND i.indexrelid = c2.oid"
    );
    let index = "CREATE UNIQUE INDEX customer_360_pkey ON customer.customer_360 USING btree (customer_id)";
    assert_eq!(rows(&sql).await, [["customer_360_pkey", "true", index, "PRIMARY KEY (customer_id)"]]);
}

#[tokio::test]
async fn du_collects_memberships_into_an_array() {
    let sql = "SELECT r.rolname, ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid)
        WHERE m.member = r.oid) as memberof FROM pg_catalog.pg_roles r WHERE r.rolname = 'analyst'";
    assert_eq!(rows(sql).await, [["analyst", "[]"]]);
}
