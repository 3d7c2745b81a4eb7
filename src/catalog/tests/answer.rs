//! What the evaluator of catalog statements answers, in forms that the planner of products does not take.

use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider as _;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use futures::TryStreamExt as _;

use super::fixture;
use crate::catalog::PgType;
use crate::catalog::system::CatalogQuery;

fn bound(sql: &str, declared: &[Option<PgType>]) -> Option<CatalogQuery> {
    let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
    CatalogQuery::bind(&statement, &fixture::facts(), declared).unwrap_or_else(|error| panic!("{error}\n{sql}"))
}

/// The rows of a statement as texts; NULL is `∅`.
async fn with(sql: &str, values: &[ScalarValue]) -> Vec<Vec<String>> {
    let declared: Vec<Option<PgType>> = values.iter().map(|value| Some(PgType::of_arrow_type(&value.data_type()))).collect();
    with_types(sql, &declared, values).await
}

/// The same with values of declared types.
async fn with_types(sql: &str, declared: &[Option<PgType>], values: &[ScalarValue]) -> Vec<Vec<String>> {
    let query = bound(sql, declared).unwrap_or_else(|| panic!("it is left to the planner: {sql}"));
    let answer = query.table(values).unwrap().unwrap();
    let session = datafusion::prelude::SessionContext::new();
    let plan = answer.scan(&session.state(), None, &[], None).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    let stream = datafusion::physical_plan::execute_stream(plan, session.task_ctx()).unwrap();
    let batches: Vec<arrow::record_batch::RecordBatch> = stream.try_collect().await.unwrap();
    let options = FormatOptions::new().with_null("∅");
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<_> = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>()));
    }
    rows
}

async fn rows(sql: &str) -> Vec<Vec<String>> {
    with(sql, &[]).await
}

/// One row is expected, its values joined by spaces.
async fn row(sql: &str) -> String {
    let found = rows(sql).await;
    assert_eq!(found.len(), 1, "{sql}: {found:?}");
    found.concat().join(" ")
}

#[tokio::test]
async fn subqueries_may_be_correlated_anywhere() {
    let sql = "SELECT c.relname, (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
        ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid ORDER BY a.attnum DESC LIMIT 2),
        CASE WHEN EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND c.relname > 'a') THEN 'keyed' ELSE 'free' END
        FROM pg_class c WHERE c.relname IN ('customer_360', 'shipments') ORDER BY 1";
    assert_eq!(rows(sql).await, [["customer_360", "3", "[tier, email]", "keyed"], ["shipments", "1", "[tags]", "free"]]);
}

#[tokio::test]
async fn a_recursive_query_walks_arrays() {
    let sql = "WITH RECURSIVE walk(oid, path, depth) AS (
            SELECT t.oid, ARRAY[t.oid], 1 FROM pg_type t WHERE t.typname = '_int4'
            UNION ALL
            SELECT t.typelem, w.path || t.typelem, w.depth + 1 FROM walk w JOIN pg_type t ON t.oid = w.oid
            WHERE t.typelem <> 0 AND NOT t.typelem = ANY (w.path))
        SELECT w.depth, t.typname, w.path FROM walk w JOIN pg_type t USING (oid) ORDER BY 1";
    assert_eq!(rows(sql).await, [["1", "_int4", "[1007]"], ["2", "int4", "[1007, 23]"]]);
}

#[tokio::test]
async fn functions_that_answer_rows_stand_anywhere() {
    let sql = "SELECT a.attname, k.place FROM pg_constraint c CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k(number, place)
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number WHERE c.conname = 'customer_360_pkey'";
    assert_eq!(row(sql).await, "customer_id 1");
    assert_eq!(
        row("SELECT (information_schema._pg_expandarray(indkey)).n FROM pg_index WHERE indrelid = 'payments.transactions'::regclass").await,
        "1"
    );
    assert_eq!(rows("SELECT generate_series(1, 2), unnest(ARRAY['a']) FROM pg_database").await, [["1", "a"], ["2", "∅"]]);
    assert_eq!(row("SELECT s.i FROM pg_database, generate_series(1, array_upper(current_schemas(false), 1)) s(i)").await, "1");
    assert_eq!(row("SELECT i FROM pg_database, generate_subscripts(ARRAY[7, 8], 1) i WHERE i > 1").await, "2");
}

#[tokio::test]
async fn vectors_count_from_zero_and_arrays_from_one() {
    let sql = "SELECT indkey[0], indkey[1], indkey, (SELECT conkey[1] FROM pg_constraint WHERE conrelid = indrelid) FROM pg_index
        WHERE indrelid = 'customer.customer_360'::regclass";
    assert_eq!(row(sql).await, "1 ∅ [1] 1");
    let sql = "SELECT ta.attname FROM pg_attribute ta, pg_attribute ia, pg_class tc, pg_index i WHERE tc.relname = 'customer_360'
        AND tc.oid = i.indrelid AND i.indisprimary = 't' AND ia.attrelid = i.indexrelid AND ta.attrelid = i.indrelid
        AND ta.attnum = i.indkey[ia.attnum - 1]";
    assert_eq!(row(sql).await, "customer_id");
}

#[tokio::test]
async fn objects_are_numbers_that_are_shown_by_name() {
    let sql = "SELECT oid::regclass, oid::regclass::text, relnamespace::regnamespace, 'pg_class'::regclass::oid, '1066'::regprocedure
        FROM pg_class WHERE oid = 'customer.customer_360'::regclass";
    assert_eq!(row(sql).await, "customer.customer_360 customer.customer_360 customer 1259 generate_series(integer,integer,integer)");
    assert_eq!(row("SELECT typinput = 'array_in'::regproc, typinput FROM pg_type WHERE typname = '_int4'").await, "true array_in");
}

#[tokio::test]
async fn parameters_take_the_type_of_their_place() {
    let query =
        bound("SELECT relname FROM pg_class WHERE oid = $1 AND relname = $2 AND relkind = ANY ($3) AND relnatts > $4 LIMIT $5", &[]);
    let oids: Vec<u32> = query.unwrap().parameters().iter().map(|ty| ty.oid).collect();
    assert_eq!(oids, [26, 19, 1009, 21, 20]);
    let found = with("SELECT relname FROM pg_class WHERE relname = $1 OR $1 = ''", &[ScalarValue::from("pg_class")]).await;
    assert_eq!(found, [["pg_class"]]);
    // An object's name, as a parameter that is cast to a reg* type or declared as one comes.
    let sql = "SELECT c.relname FROM pg_class c WHERE c.oid = $1::regclass";
    for name in ["customer.customer_360", "pg_class", "1259"] {
        let found = with_types(sql, &[Some(PgType::REGCLASS)], &[ScalarValue::from(name)]).await;
        assert_eq!(found, [[if name == "1259" { "pg_class" } else { name.rsplit('.').next().unwrap() }]]);
    }
    let missing = bound(sql, &[Some(PgType::REGCLASS)]).unwrap().table(&[ScalarValue::from("nothing")]).unwrap_err();
    assert!(missing.to_string().contains("relation \"nothing\" does not exist"), "{missing}");
    assert!(bound("SELECT $2 FROM pg_class", &[]).unwrap().table(&[ScalarValue::from("x")]).unwrap().is_none());
}

#[tokio::test]
async fn nulls_leave_in_open() {
    let of = |condition: &str| format!("SELECT ({condition}) IS NULL, coalesce({condition}, false) FROM pg_database");
    assert_eq!(row(&of("1 IN (SELECT NULL::int FROM pg_database)")).await, "true false");
    assert_eq!(row(&of("1 NOT IN (SELECT 2 FROM pg_database)")).await, "false true");
    assert_eq!(row(&of("NULL IN (SELECT 2 FROM pg_database WHERE false)")).await, "false false");
    assert_eq!(row(&of("1 = ANY (ARRAY[2, NULL])")).await, "true false");
    assert_eq!(row(&of("(1, NULL) IS DISTINCT FROM (1, 2)")).await, "false true");
}

#[tokio::test]
async fn groups_windows_and_sets_answer() {
    let sql = "SELECT n.nspname, count(*), string_agg(c.relname, ',' ORDER BY c.relname) FILTER (WHERE c.relkind = 'r') FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^(pg_|information)' GROUP BY n.oid HAVING count(*) > 1 ORDER BY 1";
    assert_eq!(rows(sql).await, [["customer", "2", "customer_360"], ["payments", "2", "transactions"]]);
    let sql =
        "SELECT nspname, row_number() OVER (ORDER BY nspname DESC) FROM pg_namespace WHERE nspname IN ('customer', 'payments') ORDER BY 1";
    assert_eq!(rows(sql).await, [["customer", "2"], ["payments", "1"]]);
    let sql = "SELECT NULL AS x, 'a' AS y FROM pg_database UNION ALL SELECT 1, NULL FROM pg_database ORDER BY 1 NULLS FIRST";
    assert_eq!(rows(sql).await, [["∅", "a"], ["1", "∅"]]);
    assert_eq!(row("SELECT DISTINCT ON (datname) datname FROM pg_database ORDER BY datname, oid").await, "mesh");
}

#[tokio::test]
async fn rows_are_values_and_documents() {
    assert_eq!(
        row("SELECT json_agg(row_to_json(x)) FROM (SELECT nspname, oid FROM pg_namespace WHERE oid = 11) x").await,
        "[{\"nspname\":\"pg_catalog\",\"oid\":\"11\"}]"
    );
    assert_eq!(row("SELECT json_build_object('a', 1, 'b', datname) FROM pg_database").await, "{\"a\" : 1, \"b\" : \"mesh\"}");
    assert_eq!(row("SELECT (n).nspname FROM pg_namespace n WHERE (n.oid, n.nspname) = (11, 'pg_catalog')").await, "pg_catalog");
}

#[tokio::test]
async fn a_pattern_takes_a_part_of_a_text() {
    let of = |call: &str| format!("SELECT {call} FROM pg_class WHERE relname = 'pg_am'");
    assert_eq!(row(&of("substring(relname from 'pg_(.+)')")).await, "am");
    assert_eq!(row(&of("substring(relname::text, '_.')")).await, "_a");
    assert_eq!(row(&of("substring(relname from 'x(.)')")).await, "∅");
    assert_eq!(row(&of("substring(relname from 2 for 2)")).await, "g_");
    assert_eq!(row(&of("pg_catalog.\"substring\"(relname::text, 4)")).await, "am");
}

#[tokio::test]
async fn privileges_options_and_names_are_taken_apart() {
    let sql = "SELECT a.grantor, a.grantee, a.privilege_type, a.is_grantable FROM pg_database d,
        aclexplode(coalesce(d.datacl, acldefault('n', d.datdba))) a ORDER BY 3";
    assert_eq!(rows(sql).await, [["10", "10", "CREATE", "false"], ["10", "10", "USAGE", "false"]]);
    assert_eq!(rows("SELECT * FROM pg_options_to_table(ARRAY['a=b=c', 'd'])").await, [["a", "b=c"], ["d", "∅"]]);
    let sql = "SELECT i.type, i.schema, i.name, i.identity FROM pg_class c,
        pg_identify_object('pg_class'::regclass, c.oid, 1) i WHERE c.relname = 'customer_360'";
    assert_eq!(rows(sql).await, [["table column", "customer", "customer_360", "customer.customer_360.customer_id"]]);
    assert_eq!(row("SELECT oidvectortypes(proargtypes) FROM pg_proc WHERE oid = 1066").await, "integer, integer, integer");
}

#[tokio::test]
async fn a_table_has_a_type_of_its_rows_and_one_of_arrays_of_them() {
    let sql = "SELECT t.typname, t.typtype, t.typcategory, c.relname, a.typname, a.typtype, a.typelem = t.oid, t.typinput, a.typinput,
        t.oid::regtype, a.oid::regtype FROM pg_class c JOIN pg_type t ON t.oid = c.reltype AND t.typrelid = c.oid
        JOIN pg_type a ON a.oid = t.typarray WHERE c.relname IN ('customer_360', 'hidden_ledger')";
    let types = ["customer.customer_360", "customer.customer_360[]"];
    let found = ["customer_360", "c", "C", "customer_360", "_customer_360", "b", "true", "record_in", "array_in", types[0], types[1]];
    assert_eq!(rows(sql).await, [found]);
    assert_eq!(row("SELECT count(*) FROM pg_type WHERE typname LIKE '%hidden_ledger'").await, "0");
    assert_eq!(row("SELECT count(*) FROM pg_type WHERE typname LIKE '%customer_360'").await, "2");
}

#[test]
fn columns_tell_which_relation_they_are_of() {
    let origins = |sql: &str| -> Vec<_> {
        let query = bound(sql, &[]).unwrap();
        query.schema().fields().iter().map(|field| crate::catalog::catalog_origin(field)).collect()
    };
    assert_eq!(origins("SELECT relname, oid AS x, relname || '' FROM pg_class c"), [Some((1259, 2)), Some((1259, 1)), None]);
    assert_eq!(origins("SELECT s.n FROM (SELECT nspname AS n FROM pg_namespace) s"), [Some((2615, 2))]);
    assert_eq!(origins("SELECT nspname FROM pg_namespace UNION ALL SELECT 'x' FROM pg_class"), [None]);
    assert_eq!(origins("SELECT word FROM pg_get_keywords()"), [None]);
}

#[tokio::test]
async fn what_is_hidden_is_in_no_answer() {
    let sql = "SELECT count(*) FROM pg_class WHERE relname LIKE 'hidden%' OR oid::regclass::text LIKE '%hidden%'";
    assert_eq!(row(sql).await, "0");
    assert_eq!(row("SELECT to_regclass('payments.hidden_ledger') IS NULL FROM pg_database").await, "true");
}

#[tokio::test]
async fn products_are_left_to_their_planner() {
    assert!(bound("SELECT * FROM customer.customer_360", &[]).is_none());
    assert!(bound("SELECT 1 FROM pg_class c, customer.customer_360 x", &[]).is_none());
    assert!(bound("SELECT * FROM pg_catalog.pg_authid", &[]).is_none());
    assert!(bound("SELECT nothing FROM pg_class", &[]).is_none());
}

#[tokio::test]
async fn a_join_of_all_with_all_ends() {
    ends("SELECT count(*) FROM pg_attribute a, pg_attribute b, pg_attribute c WHERE a.attname < b.attname").await;
}

#[tokio::test]
async fn what_grows_from_row_to_row_ends() {
    let recursive = |step: &str| {
        format!(
            "WITH RECURSIVE r AS (SELECT datname::text AS t FROM pg_database UNION ALL SELECT {step} FROM r) SELECT max(length(t)) FROM r"
        )
    };
    for step in ["t || t", "concat(t, t)", "replace(t, 'm', t)", "regexp_replace(t, '.', t, 'g')", "array_to_string(ARRAY[t, t], t)"] {
        ends(&recursive(step)).await;
    }
    let long = "WITH RECURSIVE r AS (SELECT datname::text AS t FROM pg_database UNION ALL SELECT t || t FROM r WHERE length(t) < 2000000)";
    ends(&format!("{long} SELECT string_agg(r.t, '') FROM r, pg_attribute")).await;
    ends(&format!("{long} SELECT r.t FROM r, pg_attribute")).await;
}

async fn ends(sql: &str) {
    let answer = bound(sql, &[]).unwrap().table(&[]).unwrap().unwrap();
    let state = Arc::new(datafusion::prelude::SessionContext::new().state());
    let error = answer.scan(state.as_ref(), None, &[], None).await.unwrap_err();
    assert!(error.to_string().contains("too many rows"), "{sql}: {error}");
}
