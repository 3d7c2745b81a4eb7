//! What PostgreSQL 15 says of the same texts, over the same columns.

use super::*;

fn columns(schema: Option<&str>, name: &str) -> Option<Columns> {
    let column = |name: &str, pg_type: PgType| (name.to_owned(), pg_type);
    match (schema, name) {
        (Some("customer") | None, "customer_360") => Some(vec![
            column("customer_id", PgType::INT8),
            column("full_name", PgType::TEXT),
            column("country", PgType::VARCHAR.with_typmod(6)),
            column("lifetime_value_usd", PgType::NUMERIC),
            column("orders_count", PgType::INT4),
            column("marketing_consent", PgType::BOOL),
            column("created_at", PgType::TIMESTAMPTZ),
        ]),
        _ => None,
    }
}

fn parameters(sql: &str) -> Vec<Option<u32>> {
    let analysis = analysis(sql, Some(&[]), &columns).unwrap_or_else(|message| panic!("{sql}: {}", message.message));
    analysis.parameters.into_iter().map(|known| known.map(|known| known.oid)).collect()
}

fn refusal(sql: &str) -> (String, Option<usize>, String) {
    match analysis(sql, Some(&[]), &columns) {
        Err(message) => (message.sqlstate.as_str().to_owned(), message.position, message.message),
        Ok(found) => panic!("{sql}: {found:?}"),
    }
}

#[test]
fn parameters_have_the_types_of_their_places() {
    for (sql, types) in [
        ("SELECT $1", vec![25]),
        ("SELECT $1 = $2, $3 || $4, $5 + 1", vec![25, 25, 25, 25, 23]),
        ("SELECT 1 WHERE $1", vec![16]),
        ("SELECT array[$1, 1], array[$2, $3]", vec![23, 25, 25]),
        ("SELECT coalesce($1, 1), case when $2 then $3 end", vec![23, 16, 25]),
        ("SELECT 1 = any($1), $2 = any($3)", vec![1007, 25, 1009]),
        ("SELECT $1 UNION SELECT 1", vec![23]),
        ("SELECT * FROM (VALUES (1, $1), ($2, 'x')) t(a, b)", vec![25, 23]),
        ("SELECT exists (SELECT $1)", vec![25]),
        ("SELECT $1::jsonb #> $2, $3::jsonb @> $4, $5::jsonb ? $6", vec![3802, 1009, 3802, 3802, 3802, 25]),
        ("SELECT jsonb_extract_path_text($1, $2)", vec![3802, 25]),
        ("SELECT substring($1 from $2 for $3), overlay($4 placing $5 from $6)", vec![25, 25, 25, 25, 25, 23]),
        ("SELECT $1 similar to $2, $3 is unknown, $4::varchar(5)", vec![25, 25, 16, 1043]),
        ("SELECT count(*) OVER (ORDER BY customer_id ROWS $1 PRECEDING) FROM customer.customer_360", vec![20]),
        ("SELECT array_append($1, 1), array_position($2, 2), array[1, 2] || $3", vec![1007, 1007, 1007]),
        ("SELECT percentile_cont($1) WITHIN GROUP (ORDER BY customer_id) FROM customer.customer_360", vec![701]),
        ("SELECT make_interval(days => $1), age($2, $3)", vec![23, 1184, 1184]),
        ("SELECT 1 FROM customer.customer_360 WHERE coalesce($1, country) = country AND $2 = '' LIMIT $3", vec![1043, 25, 20]),
        ("SELECT 1 FROM customer.customer_360 c WHERE c.customer_id IN ($1, $2) AND full_name LIKE $3", vec![20, 20, 25]),
        ("SELECT now() + $1, current_date - $2, date '2024-01-01' - $3", vec![1186, 1082, 1082]),
        ("WITH x AS (SELECT customer_id AS a FROM customer_360) SELECT 1 FROM x JOIN customer_360 y ON a = $1", vec![20]),
        ("SELECT extract(year FROM created_at) = $1 FROM customer_360", vec![1700]),
        ("SELECT $1 BETWEEN 1 AND $2, nullif($3, $4)", vec![23, 23, 25, 25]),
    ] {
        assert_eq!(parameters(sql), types.into_iter().map(Some).collect::<Vec<_>>(), "{sql}");
    }
}

#[test]
fn a_place_that_is_not_understood_leaves_a_parameter_open() {
    assert_eq!(parameters("SELECT no_such_function($1), $2 + 1"), [None, Some(23)]);
    assert_eq!(parameters("SELECT x + $1 FROM elsewhere"), [None]);
}

#[test]
fn a_statement_may_have_no_parameters_at_all() {
    let refusal = analysis("SELECT 1, $2", None, &columns).unwrap_err();
    assert_eq!((refusal.sqlstate.as_str(), refusal.position), ("42P02", Some(11)));
}

#[test]
fn what_is_declared_stays() {
    let declared = [Some(PgType::VARCHAR), None];
    let found = analysis("SELECT upper($1), left($2, 1)", Some(&declared), &columns).unwrap().parameters;
    assert_eq!(found, [Some(PgType::VARCHAR), Some(PgType::TEXT)]);
}

#[test]
fn a_parameter_whose_type_nobody_tells_is_refused() {
    for (sql, state, text) in [
        ("SELECT $1 IS NULL", "42P18", "could not determine data type of parameter $1"),
        ("SELECT $2", "42P18", "could not determine data type of parameter $1"),
        ("SELECT count($1)", "42P18", "could not determine data type of parameter $1"),
        ("SELECT row($1, $2)", "42P18", "could not determine data type of parameter $1"),
        ("SELECT concat($1, $2)", "42P18", "could not determine data type of parameter $1"),
        ("SELECT format($1, $2)", "42P18", "could not determine data type of parameter $2"),
        ("SELECT $1 + 1, $1 = now()", "42883", "operator does not exist: integer = timestamp with time zone"),
        ("SELECT array_length($1, 1)", "42804", "could not determine polymorphic type because input has type unknown"),
        ("SELECT sum($1)", "42725", "function sum(unknown) is not unique"),
        ("SELECT $1 + $2", "42725", "operator is not unique: unknown + unknown"),
        ("SELECT current_date + $1", "42725", "operator is not unique: date + unknown"),
    ] {
        let (found, _, message) = refusal(sql);
        assert_eq!((found.as_str(), message.as_str()), (state, text), "{sql}");
    }
}

#[test]
fn faults_of_types_have_their_place() {
    for (sql, state, position, text) in [
        ("select case when 1 then 2 end", "42804", 18, "argument of CASE/WHEN must be type boolean, not type integer"),
        ("select case 1 when 'a' then 2 end", "22P02", 20, "invalid input syntax for type integer: \"a\""),
        ("select coalesce(1, true)", "42804", 20, "COALESCE types integer and boolean cannot be matched"),
        ("select 1 in (true)", "42883", 10, "operator does not exist: integer = boolean"),
        ("select true = 'x'", "22P02", 15, "invalid input syntax for type boolean: \"x\""),
        ("select not 1", "42804", 12, "argument of NOT must be type boolean, not type integer"),
        ("select 1 and 2", "42804", 8, "argument of AND must be type boolean, not type integer"),
        ("select -'a'", "42725", 8, "operator is not unique: - unknown"),
        ("select - true", "42883", 8, "operator does not exist: - boolean"),
        ("select 1 like 2", "42883", 10, "operator does not exist: integer ~~ integer"),
        ("select array[1,'a']", "22P02", 16, "invalid input syntax for type integer: \"a\""),
        ("select array[1,true]", "42804", 16, "ARRAY types integer and boolean cannot be matched"),
        ("select (array[1,2])['a']", "22P02", 21, "invalid input syntax for type integer: \"a\""),
        ("select row(1,2) = row(1)", "42601", 17, "unequal number of entries in row expressions"),
        ("values (1),(true)", "42804", 13, "VALUES types integer and boolean cannot be matched"),
        ("select 1 union select true", "42804", 23, "UNION types integer and boolean cannot be matched"),
        ("select 1 intersect select now()", "42804", 27, "INTERSECT types integer and timestamp with time zone cannot be matched"),
        (
            "select * from customer_360 a join customer_360 b on 1",
            "42804",
            53,
            "argument of JOIN/ON must be type boolean, not type integer",
        ),
        ("select count(1,2)", "42883", 8, "function count(integer, integer) does not exist"),
        ("select sum(*) from customer_360", "42883", 8, "function sum() does not exist"),
        ("select count(*) filter (where 1) from customer_360", "42804", 31, "argument of FILTER must be type boolean, not type integer"),
        ("select upper('a') over ()", "42809", 8, "OVER specified, but upper is not a window function nor an aggregate function"),
        ("select upper(distinct 'a')", "42809", 8, "DISTINCT specified, but upper is not an aggregate function"),
        ("select date_trunc('day', 'x')", "42725", 8, "function date_trunc(unknown, unknown) is not unique"),
        ("select extract(year from 'x')", "42725", 8, "function pg_catalog.extract(unknown, unknown) is not unique"),
        ("select * from customer_360 limit 'a'", "22P02", 34, "invalid input syntax for type bigint: \"a\""),
        ("select 1::date", "42846", 9, "cannot cast type integer to date"),
        ("select cast(true as bigint)", "42846", 8, "cannot cast type boolean to bigint"),
        ("select cast('1' as string)", "42704", 20, "type \"string\" does not exist"),
        ("select now() at time zone 5", "42883", 14, "function pg_catalog.timezone(integer, timestamp with time zone) does not exist"),
        ("select 1 collate \"C\"", "42804", 10, "collations are not supported by type integer"),
        ("select country, count(*) c from customer_360 group by country having c > 1", "42703", 70, "column \"c\" does not exist"),
        ("select t.* from customer_360", "42P01", 8, "missing FROM-clause entry for table \"t\""),
        ("select 1 from customer_360 where customer_id = any('{a}')", "22P02", 52, "invalid input syntax for type bigint: \"a\""),
        ("select 1 + (2 * true)", "42883", 15, "operator does not exist: integer * boolean"),
        ("select full_name + 1 from customer_360", "42883", 18, "operator does not exist: text + integer"),
        ("select abs(-orders_count) || 'x', lower(orders_count) from customer_360", "42883", 35, "function lower(integer) does not exist"),
    ] {
        assert_eq!(refusal(sql), (state.to_owned(), Some(position), text.to_owned()), "{sql}");
    }
}

#[test]
fn what_postgresql_takes_is_taken() {
    for sql in [
        "SELECT 1 + 1.5, 'a' || 1, 1 || 'a', now() - interval '1 day', '2024-01-01' < now(), 'x' = full_name FROM customer_360",
        "SELECT count(*), sum(orders_count) FILTER (WHERE marketing_consent), avg(lifetime_value_usd) FROM customer_360 GROUP BY country",
        "SELECT round(lifetime_value_usd, 2), trunc(1.5::float8), date_trunc('day', created_at)::date FROM customer_360",
        "SELECT -2147483648, +1, @ -5, ~1, |/ 4, 2 ^ 3, 5 % 2, '{1,2}'::int[] || 3, array[1] || array[2.5]",
        "SELECT (SELECT max(customer_id) FROM customer_360) > 5, ARRAY(SELECT 1), EXISTS (SELECT 1)",
        "SELECT * FROM generate_series(1, 3) g JOIN customer_360 c ON c.customer_id = g WHERE g > 1",
        "SELECT a.n + 1, b || 'x' FROM (VALUES (1, 'a'), (2, NULL)) AS a(n, b)",
        "SELECT json_build_object('a', 1, 'b', NULL), to_jsonb(1) -> 'a' ->> 'b', '{}'::jsonb @> '{}'",
        "SELECT row_number() OVER w, lag(orders_count, 1, 0) OVER w FROM customer_360 WINDOW w AS (ORDER BY created_at)",
        "SELECT CASE country WHEN 'DE' THEN 1 WHEN NULL THEN 2.5 ELSE NULL END FROM customer_360 WHERE NOT marketing_consent",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n), max(n) || '' FROM r",
        "SELECT greatest(1, 2.5, NULL), least('a', full_name), nullif(1, 1), coalesce(NULL, 'x') FROM customer_360",
        "SELECT (1, 'a') = (1, 'b'), (orders_count, full_name) IN ((1, 'a'), (2, 'b')) FROM customer_360",
        "SELECT string_agg(full_name, ', ' ORDER BY customer_id), array_agg(DISTINCT country), mode() WITHIN GROUP (ORDER BY country) FROM customer_360",
        "SELECT extract(epoch FROM now() - created_at) / 3600, created_at AT TIME ZONE 'UTC', position('a' in full_name) FROM customer_360",
        "SELECT trim(both 'x' from full_name), substring(full_name from 2), overlay(full_name placing 'x' from 2), left(full_name, -1) FROM customer_360",
        "SELECT 1 WHERE 1 = ANY (ARRAY[1, 2]) AND 2 <> ALL ('{1}'::int[]) AND 'a' LIKE ANY (ARRAY['a'])",
        "SELECT to_char(created_at, 'YYYY'), to_char(1.5, '9D9'), concat_ws('-', 1, NULL, 'x'), format('%s', 1) FROM customer_360",
        "SELECT date '2024-01-31' + 1, date '2024-01-31' + interval '1 month', time '10:00' + interval '1 hour', 2 * interval '1 day'",
        "SELECT NULL UNION SELECT 1 UNION ALL SELECT 2.5 ORDER BY 1 LIMIT 1 + 1 OFFSET '1'",
    ] {
        assert!(parameters(sql).is_empty(), "{sql}");
    }
}

/// No table is known.
fn unknown(_: Option<&str>, _: &str) -> Option<Columns> {
    None
}

/// What the logic tests answer must not be refused here.
#[test]
fn statements_that_are_answered_are_taken() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sqllogictests/quickstart");
    let (mut statements, mut refused) = (0, Vec::new());
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for record in text.split("\n\n") {
            let mut lines = record.lines().skip_while(|line| !line.starts_with("query ") && *line != "statement ok");
            if lines.next().is_none() {
                continue;
            }
            let sql: Vec<&str> = lines.take_while(|line| *line != "----").collect();
            let sql = sql.join("\n");
            let Some((tree, _)) = parsed(&sql) else { continue };
            if crate::catalog::system::reads_system(&datafusion::sql::sqlparser::ast::Statement::Query(Box::new(tree))) {
                continue;
            }
            statements += 1;
            if let Err(message) = analysis(&sql, Some(&[]), &unknown) {
                refused.push(format!("{sql}\n{}: {}", message.sqlstate.as_str(), message.message));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(statements > 800, "{statements}");
}
