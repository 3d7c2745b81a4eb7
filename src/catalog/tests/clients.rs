//! What other clients ask.

use super::{rows, run, table, value};

#[tokio::test]
async fn the_session_knows_who_and_where_it_is() {
    let sql = "SELECT current_user, session_user, user, current_catalog, current_database(), current_schema, current_schema(), pg_backend_pid()";
    assert_eq!(rows(sql).await, [["analyst", "analyst", "analyst", "mesh", "mesh", "public", "public", "42"]]);
    assert!(value("SELECT version()").await.starts_with("PostgreSQL 15.8 (meshgate "));
    assert_eq!(value("SELECT current_schemas(true)").await, "[pg_catalog, public]");
}

#[tokio::test]
async fn columns_are_labelled_as_in_postgresql() {
    let sql = "SELECT current_database(), 1, 2, count(*), c.oid::regclass::text FROM pg_class c WHERE c.relname = 'pg_class' GROUP BY c.oid";
    let labels = table(sql).await.remove(0);
    assert_eq!(labels, ["current_database", "?column?", "?column?", "count", "oid"]);
}

#[tokio::test]
async fn reg_casts_go_both_ways() {
    assert_eq!(value("SELECT 'customer.customer_360'::regclass").await, "customer.customer_360");
    assert_eq!(value("SELECT 'pg_class'::pg_catalog.regclass::oid").await, "1259");
    assert_eq!(value("SELECT 23::regtype::text").await, "integer");
    assert_eq!(value("SELECT to_regclass('customer.nope') IS NULL").await, "true");
    let error = run("SELECT 'customer.nope'::regclass").await.unwrap_err();
    let message = crate::engine::fault::client_message(&error, "").message;
    assert_eq!(message, "relation \"customer.nope\" does not exist");
}

#[tokio::test]
async fn privileges_are_told_as_they_are() {
    let sql = "SELECT has_table_privilege('customer.customer_360', 'SELECT'), has_table_privilege('customer.customer_360', 'INSERT'),
        has_schema_privilege('customer', 'CREATE'), has_any_column_privilege('customer.customer_360', 'SELECT')";
    assert_eq!(rows(sql).await, [["true", "false", "false", "true"]]);
}

#[tokio::test]
async fn the_information_schema_names_keys_and_columns() {
    let sql = "SELECT tc.constraint_type, kc.column_name FROM information_schema.table_constraints tc
        JOIN information_schema.key_column_usage kc USING (constraint_schema, constraint_name) WHERE tc.table_schema = 'customer'";
    assert_eq!(rows(sql).await, [["PRIMARY KEY", "customer_id"]]);
    let sql = "SELECT column_name, data_type, numeric_precision, numeric_scale FROM information_schema.columns
        WHERE table_name = 'transactions' ORDER BY ordinal_position";
    assert_eq!(rows(sql).await, [["id", "uuid", "∅", "∅"], ["amount", "numeric", "12", "2"]]);
}

#[tokio::test]
async fn type_loading_of_npgsql_runs() {
    let sql = "SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid
        FROM (
            SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind,
                elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind,
                CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype
            FROM (
                SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
                    CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype,
                    CASE WHEN proc.proname='array_recv' THEN typ.typelem WHEN typ.typtype='r' THEN rngsubtype
                         WHEN typ.typtype='d' THEN typ.typbasetype END AS elemtypoid
                FROM pg_type AS typ
                LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
                LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive
                LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)
            ) AS typ
            LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid
            LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid)
            LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive
        ) AS t
        JOIN pg_namespace AS ns ON (ns.oid = typnamespace)
        WHERE typtype IN ('b', 'r', 'm', 'e', 'd') OR (typtype = 'c' AND relkind='c') OR (typtype = 'p' AND typname IN ('record', 'void'))
            OR (typtype = 'a' AND (elemtyptype IN ('b', 'r', 'm', 'e', 'd') OR (elemtyptype = 'p' AND elemtypname IN ('record', 'void'))
            OR (elemtyptype = 'c' AND elemrelkind='c')))
        ORDER BY CASE WHEN typtype IN ('b', 'e', 'p') THEN 0 WHEN typtype = 'r' THEN 1 WHEN typtype = 'm' THEN 2 WHEN typtype = 'c' THEN 3
            WHEN typtype = 'd' AND elemtyptype <> 'a' THEN 4 WHEN typtype = 'a' THEN 5 WHEN typtype = 'd' AND elemtyptype = 'a' THEN 6 END";
    assert!(rows(sql).await.len() > 100);
}

#[tokio::test]
async fn arrays_and_settings_answer() {
    assert_eq!(value("SELECT current_setting('server_version_num')::int / 100").await, "1500");
    assert_eq!(value("SELECT 'r' = ANY('{r,v}'::text[])").await, "true");
    assert_eq!(value("SELECT pg_typeof(1::bigint)").await, "bigint");
    assert_eq!(value("SELECT array_upper(current_schemas(false), 1)").await, "1");
    assert_eq!(value("SELECT count(*) FROM pg_type WHERE typinput = 'array_in'::regproc AND typname = '_int4'").await, "1");
    assert_eq!(value("SELECT format('%I.%I', 'a b', nspname) FROM pg_namespace WHERE nspname = 'public'").await, "\"a b\".public");
}

#[tokio::test]
async fn wildcards_beside_columns_are_spelled_out() {
    let labels = table("SELECT n.oid, n.* FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public'").await.remove(0);
    assert_eq!(labels, ["oid", "oid", "nspname", "nspowner", "nspacl"]);
}

#[test]
fn statements_over_products_are_not_the_systems() {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};
    let only = |sql: &str| super::system::system_only(&Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0));
    assert!(only("WITH t AS (SELECT oid FROM pg_class) SELECT * FROM t"));
    assert!(only("SELECT 1"));
    for sql in [
        "SELECT * FROM customer.customer_360",
        "SELECT (SELECT max(email) FROM customer.customer_360) FROM pg_class",
        "SELECT * FROM pg_class WHERE EXISTS (SELECT 1 FROM customer.customer_360)",
        "SELECT * FROM pg_class, LATERAL (SELECT * FROM customer.customer_360) t",
        "WITH t AS (SELECT * FROM customer.customer_360) SELECT * FROM t",
        "SELECT * FROM customer_360",
        "SELECT * FROM read_csv('/etc/passwd')",
    ] {
        assert!(!only(sql), "{sql}");
    }
}
