//! What other clients ask.

use super::{rows, run, table, value};

#[tokio::test]
async fn the_session_knows_who_and_where_it_is() {
    let sql =
        "SELECT current_user, session_user, user, current_catalog, current_database(), current_schema, current_schema(), pg_backend_pid()";
    assert_eq!(rows(sql).await, [["analyst", "analyst", "analyst", "mesh", "mesh", "public", "public", "42"]]);
    assert!(value("SELECT version()").await.starts_with("PostgreSQL 15.8 (meshgate "));
    assert_eq!(value("SELECT current_schemas(true)").await, "[pg_catalog, public]");
}

#[tokio::test]
async fn columns_are_labelled_as_in_postgresql() {
    let sql =
        "SELECT current_database(), 1, 2, count(*), c.oid::regclass::text FROM pg_class c WHERE c.relname = 'pg_class' GROUP BY c.oid";
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

#[tokio::test]
async fn columns_as_jdbc_asks_for_them() {
    let sql =
        "SELECT * FROM (SELECT n.nspname,c.relname,a.attname,a.atttypid,a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull,
        a.atttypmod,a.attlen,t.typtypmod,row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum,
        nullif(a.attidentity, '') as attidentity,nullif(a.attgenerated, '') as attgenerated,
        pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc,dsc.description,t.typbasetype,t.typtype
        FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid)
        JOIN pg_catalog.pg_attribute a ON (a.attrelid=c.oid) JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid)
        LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid=def.adrelid AND a.attnum = def.adnum)
        LEFT JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
        LEFT JOIN pg_catalog.pg_class dc ON (dc.oid=dsc.classoid AND dc.relname='pg_class')
        LEFT JOIN pg_catalog.pg_namespace dn ON (dc.relnamespace=dn.oid AND dn.nspname='pg_catalog')
        WHERE c.relkind in ('r','p','v','f','m') and a.attnum > 0 AND NOT a.attisdropped AND n.nspname LIKE 'customer') c
        WHERE true ORDER BY nspname,c.relname,attnum";
    let names: Vec<String> = rows(sql).await.into_iter().map(|row| row[2].clone()).collect();
    assert_eq!(names, ["customer_id", "email", "tier"]);
}

#[tokio::test]
async fn primary_keys_as_jdbc_asks_for_them() {
    let sql = "SELECT result.TABLE_SCHEM, result.TABLE_NAME, result.COLUMN_NAME, result.KEY_SEQ, result.PK_NAME
        FROM (SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME,
        (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME,
        information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM
        FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid)
        JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid) JOIN pg_catalog.pg_index i ON ( a.attrelid = i.indrelid)
        JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid) WHERE true AND n.nspname = 'customer' AND i.indisprimary ) result
        where result.A_ATTNUM = (result.KEYS).x ORDER BY result.table_name, result.pk_name, result.key_seq";
    assert_eq!(rows(sql).await, [["customer", "customer_360", "customer_id", "1", "customer_360_pkey"]]);
}

#[tokio::test]
async fn tables_as_sqlalchemy_and_metabase_ask_for_them() {
    let sql = "SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class
        JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace
        WHERE pg_catalog.pg_class.relname = 'customer_360' AND pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p', 'f', 'v', 'm'])
        AND pg_catalog.pg_namespace.nspname != 'pg_catalog'";
    assert_eq!(rows(sql).await, [["customer_360"]]);
    let sql = "SELECT n.nspname AS schema, c.relname AS name, d.description AS description, stat.n_live_tup AS estimated_row_count
        FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        LEFT JOIN pg_catalog.pg_description AS d ON c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass
        LEFT JOIN pg_stat_user_tables AS stat ON n.nspname = stat.schemaname AND c.relname = stat.relname
        WHERE c.relnamespace = n.oid AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r','p','v','f','m')
        AND (has_table_privilege('analyst', c.oid, 'SELECT') OR has_any_column_privilege('analyst', c.oid, 'SELECT'))
        ORDER BY 1, 2";
    let found = rows(sql).await;
    assert_eq!(found.len(), 3);
    assert_eq!(found[0][2], "All of customer-360.; version: 1.0.0; owner: customer-team; freshness: < 1 hour");
}

#[test]
fn statements_over_products_are_not_the_systems() {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};
    let only = |sql: &str| super::system::reads_system(&Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0));
    assert!(only("WITH t AS (SELECT oid FROM pg_class) SELECT * FROM t"));
    for sql in [
        "SELECT 1",
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
