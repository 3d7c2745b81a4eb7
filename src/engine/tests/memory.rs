//! One statement may need more memory than there is: it ends, and nothing else does.

use crate::error::SqlState;

use super::world::TestWorld;

async fn ends(sql: &str) -> SqlState {
    TestWorld::new().session("guest", &[]).rows(sql).await.unwrap_err().sqlstate
}

const RUNNING: &str = "over (order by n rows unbounded preceding)";

#[tokio::test]
async fn aggregates_ask_before_they_grow() {
    for aggregate in ["string_agg(n::text, repeat('x', 300000))", "string_agg(n::text, repeat('x', 300000) order by -n)"] {
        let sql = format!("select length({aggregate}) from generate_series(1, 500) n");
        assert_eq!(ends(&sql).await, SqlState::OUT_OF_MEMORY, "{sql}");
        let sql = format!("select n % 2, length({aggregate}) from generate_series(1, 500) n group by 1");
        assert_eq!(ends(&sql).await, SqlState::OUT_OF_MEMORY, "{sql}");
    }
}

#[tokio::test]
async fn a_value_is_no_longer_than_postgres_lets_it_be() {
    let sql = "select length(string_agg(n::text, repeat('x', 8000000))) from generate_series(1, 500) n";
    assert_eq!(ends(sql).await, SqlState::PROGRAM_LIMIT_EXCEEDED);
    let sql = "select length(array_to_string(array_agg(n), repeat('x', 8000000))) from generate_series(1, 500) n";
    assert_eq!(ends(sql).await, SqlState::PROGRAM_LIMIT_EXCEEDED);
    let sql = "select length(format('%1$s%1$s%1$s%1$s%1$s%1$s%1$s%1$s%1$s%1$s', repeat('a', 16000000)))";
    assert_eq!(ends(sql).await, SqlState::PROGRAM_LIMIT_EXCEEDED);
    let sql = "select max(length(quote_literal(n || repeat('a', 1000000)))) from generate_series(1, 150) n";
    assert_eq!(ends(sql).await, SqlState::PROGRAM_LIMIT_EXCEEDED);
}

#[tokio::test]
async fn each_result_of_a_window_is_charged_before_it_is_made() {
    for call in ["string_agg(n::text, repeat('x', 3000))", "array_agg(n::text)", "array_agg(n)", "json_agg(n)", "json_object_agg(n, n)"] {
        for window in [RUNNING, "over ()", "over (order by n rows between 3000 preceding and current row)"] {
            let sql = format!("select count(x) from (select {call} {window} x from generate_series(1, 6000) n) t");
            assert_eq!(ends(&sql).await, SqlState::OUT_OF_MEMORY, "{sql}");
        }
        let sql = format!("select count(x) from (select {call} filter (where n > 100) over () x from generate_series(1, 6000) n) t");
        assert_eq!(ends(&sql).await, SqlState::OUT_OF_MEMORY, "{sql}");
    }
    let sql = format!("select count(x) from (select max(repeat('x', 90000) || n) {RUNNING} x from generate_series(1, 500) n) t");
    assert_eq!(ends(&sql).await, SqlState::OUT_OF_MEMORY);
}

#[tokio::test]
async fn a_long_value_that_a_window_takes_for_every_row_is_charged() {
    let rows = "(select n, case n when 1 then repeat('x', 1000000) else 'y' end x from generate_series(1, 3000) n) r";
    for call in ["first_value(x)", "nth_value(x, 1)", "last_value(x)"] {
        let window =
            if call.starts_with("last") { "over (order by n desc rows between current row and unbounded following)" } else { RUNNING };
        let sql = format!("select count(v) from (select {call} {window} v from {rows}) t");
        assert_eq!(ends(&sql).await, SqlState::OUT_OF_MEMORY, "{sql}");
    }
    for call in ["lag(n::text, 5000, repeat('x', 1000000))", "lead(n::text, 5000, repeat('x', 1000000))"] {
        let sql = format!("select count(v) from (select {call} over (order by n) v from generate_series(1, 3000) n) t");
        assert_eq!(ends(&sql).await, SqlState::OUT_OF_MEMORY, "{sql}");
    }
    let mut guest = TestWorld::new().session("guest", &[]);
    let sql = "select max(length(v)) from (select lag(repeat('x', 1000)) over (order by n) v from generate_series(1, 9000) n) t";
    assert_eq!(guest.rows(sql).await.unwrap(), ["1000"]);
}

#[tokio::test]
async fn what_is_put_together_beside_a_long_constant_is_measured() {
    for sql in [
        "select max(length(n::text || repeat('x', 1000000))) from generate_series(1, 8000) n",
        "select count(*) from generate_series(1, 8000) n where n::text || repeat('x', 1000000) > 'y'",
        "select max(length(repeat('x', 1000000)::bytea || n::text::bytea)) from generate_series(1, 8000) n",
    ] {
        assert_eq!(ends(sql).await, SqlState::PROGRAM_LIMIT_EXCEEDED, "{sql}");
    }
    let mut guest = TestWorld::new().session("guest", &[]);
    assert_eq!(guest.rows("select n || 'x' || null from generate_series(1, 1) n").await.unwrap().len(), 1);
    assert_eq!(guest.rows("select (n || 'x') || n from generate_series(1, 2) n order by n || 'x'").await.unwrap(), ["1x1", "2x2"]);
    assert_eq!(guest.rows("select n || 'x' from generate_series(1, 3) n group by n || 'x' order by 1").await.unwrap(), ["1x", "2x", "3x"]);
}

#[tokio::test]
async fn bytes_that_are_joined_ask_before_they_grow() {
    let sql = "select length(string_agg(n::text::bytea, repeat('x', 300000)::bytea)) from generate_series(1, 500) n";
    assert_eq!(ends(sql).await, SqlState::OUT_OF_MEMORY);
}

#[tokio::test]
async fn results_that_have_left_a_window_are_charged_no_longer() {
    let mut guest = TestWorld::new().session("guest", &[]);
    let sql = "select sum(length(x)) from (select string_agg(repeat('x', 400), ',') over (order by n rows 1 preceding) x from generate_series(1, 60000) n) t";
    assert_eq!(guest.rows(sql).await.unwrap(), ["48059599"]);
    let sql =
        "select max(length(x)) from (select string_agg(n::text, ',') over (partition by n % 600) x from generate_series(1, 6000) n) t";
    for _ in 0..3 {
        assert_eq!(guest.rows(sql).await.unwrap(), ["48"]);
    }
}
