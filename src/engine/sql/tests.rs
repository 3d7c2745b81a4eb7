//! What each kind of text becomes.

use crate::error::{ClientMessage, SqlState};

use super::{Direction, Kind, Statement, TextLimits, parse};

fn one(text: &str) -> Statement {
    let mut statements = parse(text, &TextLimits::default()).unwrap();
    assert_eq!(statements.len(), 1, "{text}");
    statements.remove(0)
}

fn fault(text: &str) -> ClientMessage {
    parse(text, &TextLimits::default()).unwrap_err()
}

fn refusal(text: &str) -> SqlState {
    match one(text).kind {
        Kind::Refused(message) => message.sqlstate,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_text_is_split_at_semicolons_outside_of_quotes() {
    let statements = parse("SELECT ';'; ; select $$;$$ -- ;\n;", &TextLimits::default()).unwrap();
    assert_eq!(statements.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(), ["SELECT ';'", "select $$;$$ -- ;"]);
}

#[test]
fn an_empty_text_has_no_statement() {
    assert!(parse(" ;; -- nothing\n /* here */ ;", &TextLimits::default()).unwrap().is_empty());
}

#[test]
fn writes_are_refused_by_class() {
    for text in
        ["INSERT INTO t VALUES (1)", "update t set a = 1", "DROP TABLE t", "CREATE TABLE t AS SELECT 1", "TRUNCATE t", "COPY t FROM stdin"]
    {
        assert_eq!(refusal(text), SqlState::READ_ONLY_SQL_TRANSACTION, "{text}");
    }
    for text in
        ["WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "SELECT 1 INTO t", "SELECT * FROM t FOR UPDATE", "EXPLAIN DELETE FROM t"]
    {
        assert_eq!(refusal(text), SqlState::READ_ONLY_SQL_TRANSACTION, "{text}");
    }
    assert_eq!(refusal("COPY t TO '/tmp/x'"), SqlState::FEATURE_NOT_SUPPORTED);
    assert_eq!(refusal("COPY (SELECT 1) TO PROGRAM 'cat'"), SqlState::FEATURE_NOT_SUPPORTED);
}

#[test]
fn a_syntax_error_has_the_position_in_the_whole_text() {
    let message = fault("SELECT 1; SELEC 2");
    assert_eq!((message.sqlstate, message.position), (SqlState::SYNTAX_ERROR, Some(11)));
    assert_eq!(message.message, "syntax error at or near \"SELEC\"");
    let message = fault("SELECT é, FROM t WHERE");
    assert_eq!(message.sqlstate, SqlState::SYNTAX_ERROR);
    assert_eq!(fault("SELECT 'a").message, "unterminated quoted string at or near \"'a\"");
}

#[test]
fn a_policy_is_explained_for_the_caller_or_for_a_named_login() {
    assert!(matches!(one("explain policy select 1").kind, Kind::ExplainPolicy { user: None, query } if query.text == "select 1"));
    for text in [
        "EXPLAIN POLICY AS ann SELECT 1",
        "EXPLAIN POLICY AS Ann WITH x AS (SELECT 1) SELECT * FROM x",
        "EXPLAIN POLICY AS 'ann' (SELECT 1)",
    ] {
        assert!(matches!(one(text).kind, Kind::ExplainPolicy { user: Some(user), .. } if user == "ann"), "{text}");
    }
    assert!(matches!(one("EXPLAIN POLICY AS \"Ann B\" TABLE t").kind, Kind::ExplainPolicy { user: Some(user), .. } if user == "Ann B"));
    assert_eq!(refusal("EXPLAIN POLICY DELETE FROM t"), SqlState::READ_ONLY_SQL_TRANSACTION);
    assert_eq!(refusal("EXPLAIN POLICY EXECUTE p"), SqlState::FEATURE_NOT_SUPPORTED);
    for text in ["EXPLAIN POLICY", "EXPLAIN POLICY AS SELECT 1", "EXPLAIN POLICY AS ann", "EXPLAIN POLICY ann SELECT 1"] {
        assert_eq!(fault(text).sqlstate, SqlState::SYNTAX_ERROR, "{text}");
    }
}

#[test]
fn session_statements_are_read() {
    assert!(
        matches!(one("set search_path to a, \"B\"").kind, Kind::Set { name, value: Some(value), local: false } if name == "search_path" && value == "a, \"B\"")
    );
    assert!(matches!(one("SET LOCAL statement_timeout = '5s'").kind, Kind::Set { local: true, .. }));
    assert!(matches!(one("SET extra_float_digits = -1").kind, Kind::Set { value: Some(value), .. } if value == "-1"));
    assert!(matches!(one("SHOW TRANSACTION ISOLATION LEVEL").kind, Kind::Show(Some(name)) if name == "transaction_isolation"));
    assert!(
        matches!(one("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").kind, Kind::Begin(modes) if modes.isolation.as_deref() == Some("repeatable read") && modes.read_only == Some(true))
    );
    assert!(matches!(one("ROLLBACK TO SAVEPOINT a").kind, Kind::RollbackTo(name) if name == "a"));
    assert!(matches!(
        one("declare \"SQL_CUR1\" cursor with hold for select 1").kind,
        Kind::Declare { options: super::DeclareOptions { hold: true, .. }, .. }
    ));
    assert!(matches!(one("fetch 2048 in \"SQL_CUR1\"").kind, Kind::Fetch { direction: Direction::Forward(2048), skip: false, .. }));
    assert!(matches!(one("FETCH FORWARD ALL FROM c").kind, Kind::Fetch { direction: Direction::All, .. }));
    assert!(matches!(one("EXECUTE p (1, 'a')").kind, Kind::Execute { arguments: Some(_), .. }));
    assert!(
        matches!(one("PREPARE p (int, numeric(10,2)) AS SELECT $1").kind, Kind::Prepare { types, .. } if types == ["int", "numeric(10,2)"])
    );
    assert!(matches!(one("DISCARD ALL").kind, Kind::Discard(_)));
}

#[test]
fn too_much_is_refused_before_it_is_parsed() {
    let sum = format!("SELECT {}1", "1+".repeat(100_000));
    assert_eq!(fault(&sum).sqlstate, SqlState::STATEMENT_TOO_COMPLEX);
    let ands = format!("SELECT 1 WHERE {}true", "true AND ".repeat(20_000));
    assert_eq!(fault(&ands).sqlstate, SqlState::STATEMENT_TOO_COMPLEX);
    let unions = format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(5_000));
    assert_eq!(fault(&unions).sqlstate, SqlState::STATEMENT_TOO_COMPLEX);
    let nested = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(fault(&nested).sqlstate, SqlState::STATEMENT_TOO_COMPLEX);
    let long_list = format!("SELECT 1 WHERE 1 IN ({}1)", "1,".repeat(50_000));
    assert!(parse(&long_list, &TextLimits::default()).is_ok());
}

#[test]
fn a_long_chain_of_computations_is_too_complex() {
    let chain = |terms: usize, operator: &str| format!("SELECT {}", vec!["a"; terms].join(operator));
    let limits = TextLimits { computations_max: 10, ..TextLimits::default() };
    assert!(parse(&chain(11, "||"), &limits).is_ok());
    assert_eq!(parse(&chain(12, "||"), &limits).unwrap_err().sqlstate, SqlState::STATEMENT_TOO_COMPLEX);
    assert!(parse(&chain(12, " = a AND "), &limits).is_ok());
}

#[test]
fn what_is_written_twice_does_not_grow_with_its_depth() {
    let nested = |form: &dyn Fn(&str) -> String| (0..40).fold("1".to_owned(), |inner, _| form(&inner));
    let forms: [&dyn Fn(&str) -> String; 9] = [
        &|inner| format!("(({inner}, 2) < (1, 3))::int"),
        &|inner| format!("(({inner}, 2) in ((1, 3), (2, 4)))::int"),
        &|inner| format!("(({inner}, 2) not in (select 1, 2))::int"),
        &|inner| format!("({inner} between symmetric 1 and 2)::int"),
        &|inner| format!("({inner}::text ~ any (array['a', 'b']))::int"),
        &|inner| format!("avg({inner})"),
        &|inner| format!("(1 = any (array[{inner}]))::int"),
        &|inner| format!("(select count(*) from json_each({inner}::text::json))"),
        &|inner| format!("json_object_agg(1, 2) filter (where {inner} > 0)"),
    ];
    for form in forms {
        // Whether it is refused does not matter here.
        let _ = parse(&format!("select {}", nested(form)), &TextLimits::default());
    }
}

#[test]
fn what_postgres_does_not_read_is_an_error_where_it_stands() {
    for (text, position) in [
        ("FETCH 2147483648 FROM c", 7),
        ("FETCH -2147483648 FROM c", 8),
        ("FETCH ABSOLUTE 9999999999 c", 16),
        ("FETCH + FROM c", 9),
        ("DECLARE c CURSOR FOR INSERT INTO t VALUES (1)", 22),
        ("SET statement_timeout = NULL", 25),
        ("SET datestyle = iso, DEFAULT", 22),
        ("SET TRANSACTION SNAPSHOT x", 26),
        ("COMMIT PREPARED x", 17),
        ("LOCK t IN NOPE MODE", 11),
        ("EXECUTE p(1 FROM t)", 13),
        ("EXECUTE p(1 ORDER BY 1)", 13),
        ("EXECUTE p(1) WHERE true", 14),
        ("EXECUTE p(*)", 11),
        ("EXECUTE p()", 11),
        ("EXECUTE p(1", 12),
    ] {
        let message = fault(text);
        assert_eq!((message.sqlstate, message.position), (SqlState::SYNTAX_ERROR, Some(position)), "{text}");
    }
    for text in
        ["FETCH +2 FROM c", "FETCH 2147483647 c", "EXECUTE p(extract(year FROM now()), x IS NOT DISTINCT FROM 1, array_agg(a ORDER BY b))"]
    {
        assert!(!matches!(one(text).kind, Kind::Refused(_)), "{text}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    assert_eq!(refusal("DECLARE c SCROLL NO SCROLL CURSOR FOR SELECT 1").as_str(), "42P11");
    assert_eq!(refusal("DECLARE c INSENSITIVE ASENSITIVE CURSOR FOR SELECT 1").as_str(), "42P11");
    assert_eq!(refusal("LOCK t"), SqlState::READ_ONLY_SQL_TRANSACTION);
    let subquery = |text: &str| parse(text, &TextLimits::default()).unwrap_err();
    assert_eq!(subquery("EXECUTE p((SELECT a FROM t))").message, "cannot use subquery in EXECUTE parameter");
    assert_eq!(subquery("EXECUTE p(EXISTS (SELECT 1))").position, Some(11));
    assert!(matches!(one("LOCK TABLE ONLY a, b.c * IN ACCESS SHARE MODE NOWAIT").kind, Kind::LockShared(tables) if tables.len() == 2));
}
