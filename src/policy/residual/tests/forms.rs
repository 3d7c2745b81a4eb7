//! Each form of a rule by itself: what becomes of it, and what is refused.

use super::*;

/// A rule that denies under the condition.
fn denying(condition: &str) -> String {
    format!("default allow := false\n\nallow if count(deny) == 0\n\ndeny contains \"no\" if {{\n\t{condition}\n}}")
}

fn left_of(condition: &str) -> String {
    filter_of(&World::new(&denying(condition)).residual()).to_string()
}

fn refusal(condition: &str) -> (usize, String) {
    match World::new(&denying(condition)).ask(&input()) {
        Err(Stop::Untranslatable(site, why)) => (site.line, why),
        other => panic!("{condition}: {other:?}"),
    }
}

#[test]
fn a_denial_becomes_the_opposite_condition() {
    for (condition, left) in [
        ("input.resource.record.n > 1", "n < ?"),
        ("input.resource.record.n + 1 == 3", "n <> ?"),
        ("not input.resource.record.n > 1", "n >= ?"),
        ("input.resource.record.f", "f <> ?"),
        ("not input.resource.record.f", "f = ?"),
        ("input.resource.record.t in {\"a\", \"b\"}", "NOT (t IN (? × 2))"),
        ("startswith(input.resource.record.t, \"a\")", "NOT (t LIKE ?)"),
        ("lower(input.resource.record.t) == \"a\"", "NOT (lower(t) = ?)"),
        ("regex.match(\"^a\", input.resource.record.t)", "NOT (t ~ ?)"),
        ("input.resource.record.d < \"2026-01-01\"", "d >= ?"),
        ("input.resource.record.n > input.resource.record.m", "n <= m"),
        ("time.parse_rfc3339_ns(input.resource.record.at) < time.now_ns()", "at >= ?"),
        (
            "(time.now_ns() - input.resource.record_created_ns) / 86400000000000 > data.retention_policies[input.resource.domain]",
            "created_at >= ?",
        ),
        ("input.resource.record_created_ns < time.add_date(time.now_ns(), -2, 0, 0)", "created_at >= ?"),
        ("input.resource.subject_id in data.erased_subjects", "NOT (id IN (erased subjects))"),
        ("data.erased_subjects[_] == input.resource.subject_id", "NOT (id IN (erased subjects))"),
        ("input.resource.subject_id != null; input.resource.subject_id in data.erased_subjects", "NOT (id IN (erased subjects))"),
        ("input.resource.record.t == null", "NOT (t IS NULL)"),
        ("is_null(input.resource.record.t)", "NOT (t IS NULL)"),
        ("object.get(input.resource, \"subject_id\", \"\") == \"c-1\"", "id <> ?"),
        ("input[\"resource\"].record[\"n\"] > 1", "n < ?"),
        ("some column in [\"n\", \"m\"]; input.resource.record[column] > 1", "n < ? AND m < ?"),
        ("resource := input.resource; resource.record.n > 1", "n < ?"),
        ("[a, b] := [input.resource.record.n, 1]; a > b", "n < ?"),
    ] {
        assert_eq!(left_of(condition), left, "{condition}");
    }
}

#[test]
fn what_no_operator_says_is_worked_out_row_by_row() {
    for (condition, left) in [
        ("input.resource.record.n % 2 == 0", "NOT (computed(n))"),
        ("input.resource.record.n * input.resource.record.m > 1", "NOT (computed(n, m))"),
        ("input.resource.record.n * 0 == 1", "NOT (computed(n))"),
        ("input.resource.record.price > input.resource.record.n", "NOT (computed(price, n))"),
        ("trim_space(input.resource.record.t) == \"\"", "NOT (computed(t))"),
        ("upper(lower(input.resource.record.t)) == \"A\"", "NOT (computed(t))"),
        ("startswith(input.resource.record.t, input.resource.record.u)", "NOT (computed(t, u))"),
        ("count(input.resource.record.t) > 3", "NOT (computed(t))"),
        ("every gone in data.erased_subjects { gone != input.resource.subject_id }", "id IN (erased subjects)"),
        ("input.resource.record.n > 1 with input.subject.user as \"bob\"", "n < ?"),
        ("input.subject.user == \"bob\" with input.subject.user as \"bob\"; input.resource.record.n > 1", "n < ?"),
    ] {
        assert_eq!(left_of(condition), left, "{condition}");
    }
}

#[test]
fn a_row_for_which_arithmetic_fails_is_hidden_where_the_rule_gets_there() {
    let zero = row_with(&[("m", Cell::Int(0))]);
    let one = row_with(&[("m", Cell::Int(1))]);
    for (condition, shown) in [
        ("10 / input.resource.record.m > 100", [false, true]),
        ("10 % input.resource.record.m > 100", [false, true]),
        ("input.resource.record.m / 0 > 100", [false, false]),
        ("input.resource.record.m / 0 > input.resource.record.n", [false, false]),
        ("input.resource.record.m != 0; 10 / input.resource.record.m > 100", [true, true]),
        ("input.resource.record.w % 2 == 0", [false, false]),
        ("substring(input.resource.record.t, input.resource.record.m - 1, 1) == \"x\"", [false, true]),
    ] {
        let world = World::new(&denying(condition));
        let residual = world.residual();
        assert!(residual.stricter, "{condition}");
        for (row, shown) in [&zero, &one].into_iter().zip(shown) {
            assert_eq!(visible(&residual, row), shown, "{condition} {row:?}");
            assert_eq!(world.interpreted(&input(), row).unwrap_or(false), shown, "{condition} {row:?}");
        }
    }
    // Not even another way to be let in shows them.
    let residual = World::new("allow if input.resource.record.n == 1\n\nallow if 10 / input.resource.record.m > 100").residual();
    assert!(!visible(&residual, &zero) && visible(&residual, &one));
}

#[test]
fn what_is_known_leaves_nothing() {
    let steward = "not input.subject.is_data_steward; input.resource.record.n > 1";
    let world = World::new(&denying(steward));
    let mut asked = input();
    asked["subject"]["is_data_steward"] = json!(true);
    let residual = world.ask(&asked).unwrap();
    assert!(filter_of(&residual).is_true() && residual.allow == Some(true) && residual.limits.is_empty());
}

#[test]
fn a_denial_of_every_record_is_a_denial_and_no_filter() {
    let rules = format!("{}\n\ndeny contains {{\"rule\": \"all\"}} if input.action == \"read\"", denying("input.resource.record.n > 1"));
    let residual = World::new(&rules).residual();
    assert_eq!(residual.denials, Some(vec![json!({"rule": "all"})]));
    assert_eq!(residual.allow, Some(false));
}

#[test]
fn the_rule_behind_a_condition_is_known_with_its_place() {
    let rules = "allow := true\n\ndeny contains {\"rule\": \"old\", \"msg\": sprintf(\"%v\", [input.resource.record.n])} if {\n\tinput.resource.record.n > 1\n}";
    let residual = World::new(rules).residual();
    let limit = &residual.limits[0];
    assert_eq!((limit.rule.as_str(), limit.site.line, limit.leaves.at(NOW_NS).unwrap().to_string().as_str()), ("old", 5, "n < ?"));
}

#[test]
fn undefined_beside_a_record_hides_every_row() {
    for condition in [
        "input.resource.record.n > data.retention_policies.nowhere",
        "data.retention_policies.nowhere < input.resource.record.n",
        "input.resource.record.n - data.nothing > 1",
        "input.resource.record.t in data.nothing",
        "startswith(input.resource.record.t, input.subject.nothing)",
        "not input.resource.record.n > data.nothing",
    ] {
        let residual = World::new(&denying(condition)).residual();
        assert_eq!(residual.denials.as_deref().map(<[_]>::len), Some(1), "{condition}");
    }
    // What is undefined by itself is what it is in Rego.
    assert_eq!(left_of("input.subject.nothing; input.resource.record.n > 1"), "true");
}

#[test]
fn a_message_does_not_silence_its_denial() {
    let rules = "allow := true\n\ndeny contains msg if {\n\tinput.resource.record.n > 1\n\tmsg := sprintf(\"%v of %v\", [input.resource.record.n, input.subject.nothing])\n}";
    assert_eq!(filter_of(&World::new(rules).residual()).to_string(), "n < ?");
}

#[test]
fn null_is_hidden_unless_a_rule_asks_for_it() {
    let seen = |condition: &str, column: &str| visible(&World::new(&denying(condition)).residual(), &row_with(&[(column, Cell::Null)]));
    assert!(!seen("input.resource.record.n > 1", "n"));
    assert!(!seen("not input.resource.record.n > 1", "n"));
    assert!(seen("input.resource.record.n > 1", "m"));
    assert!(seen("input.resource.record.n != null; input.resource.record.n > 100", "n"));
    assert!(!seen("input.resource.record.n == null", "n"));
    assert!(!seen("input.resource.subject_id != null; input.resource.subject_id in data.erased_subjects", "id"));
    assert!(!seen("input.resource.record_created_ns != null; input.resource.record_created_ns < 5", "created_at"));
}

#[test]
fn numbers_that_json_does_not_have_hide_their_row() {
    let residual = World::new(&denying("input.resource.record.w < 1")).residual();
    assert!(visible(&residual, &row_with(&[("w", Cell::Float(2.0))])));
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(!visible(&residual, &row_with(&[("w", Cell::Float(number))])), "{number}");
    }
}

#[test]
fn a_day_counts_whole() {
    let mut world = World::new(&denying("time.now_ns() - input.resource.record_created_ns > 10 * 86400000000000"));
    world.created = name("d");
    let residual = world.residual();
    let ten_days_ago = i32::try_from((NOW_NS - 10 * row::DAY_NS).div_euclid(row::DAY_NS)).unwrap();
    assert!(visible(&residual, &row_with(&[("d", Cell::Day(ten_days_ago))])));
    assert!(!visible(&residual, &row_with(&[("d", Cell::Day(ten_days_ago - 1))])));
}

#[test]
fn a_contract_without_dates_or_people_has_null_in_their_place() {
    let world = World::new(&denying("input.resource.subject_id != null; input.resource.subject_id in data.erased_subjects"));
    let question = |world: &World| {
        let record = Record { columns: &world.columns, created: None, subject: None };
        let question = RecordQuestion { program: &world.program, data: world.rego.data(), record, erased: &world.erased, limit: LIMIT };
        question.ask("data_mesh.governance", &mut world.rego.session(Some(Value::from(input())), Some(NOW_NS)))
    };
    assert!(filter_of(&question(&world).unwrap()).is_true());
    let dated = World::new(&denying("time.now_ns() - input.resource.record_created_ns > 1"));
    assert!(matches!(question(&dated), Err(Stop::Failed(..))));
}

#[test]
fn two_values_of_one_rule_hide_the_rows_for_which_both_hold() {
    let rules = "allow if level == 1\n\nlevel := 1 if input.resource.record.n > 1\n\nlevel := 2 if input.resource.record.m > 1\n\nlevel := 1 if input.resource.record.n < 2";
    let residual = World::new(rules).residual();
    assert!(visible(&residual, &row_with(&[("n", Cell::Int(5)), ("m", Cell::Int(0))])));
    assert!(!visible(&residual, &row_with(&[("n", Cell::Int(5)), ("m", Cell::Int(5))])));
}

#[test]
fn what_has_no_filter_is_refused_with_its_line() {
    for (condition, part) in [
        ("input.resource.record.t % 2 == 0", "cannot be done"),
        ("input.resource.record.n * input.resource.record.f > 1", "cannot be done"),
        ("trim_space(input.resource.record.n) == \"\"", "trim_space"),
        ("trim_space(input.resource.record.key) == \"\"", "trim_space"),
        ("split(input.resource.record.t, \"a\")[0] == \"\"", "split"),
        ("input.resource.record.n == \"1\"", "another type"),
        ("input.resource.record.t == 1", "another type"),
        ("input.resource.record.t > input.resource.record.n", "cannot be compared"),
        ("input.resource.record.nowhere == 1", "no column"),
        ("input.resource.record.at > \"2026-01-01T00:00:00Z\"", "parse_rfc3339_ns"),
        ("input.resource.record.payload == \"{}\"", "cannot be compared"),
        ("input.resource.record.d == \"1.1.2026\"", "a text like"),
        ("some value in input.resource.record; value == 1", "run through"),
        ("every gone in data.erased_subjects { gone != \"c-1\"; gone != input.resource.subject_id }", "erased people"),
        ("every gone in data.erased_subjects { not gone != input.resource.subject_id }", "erased people"),
        ("every gone in data.erased_subjects { gone == input.resource.subject_id }", "erased people"),
        ("input.resource.record.n > 1 with input.subject.user as input.resource.record.t", "depends on the record"),
        ("input.resource.record.n > 1 with input.subject.user.name as \"bob\"", "no parts"),
        ("input.resource.record.n > rand.intn(\"x\", 5)", "for every row"),
        ("sprintf(\"%v\", [input.resource.record.n]) == \"1\"", "a text made of the record"),
        ("regex.match(\"(\", input.resource.record.t)", "no regular expression"),
    ] {
        let (line, why) = refusal(condition);
        assert!(why.contains(part), "{condition}: {why}");
        assert_eq!(line, 8, "{condition}");
    }
}

#[test]
fn what_can_never_be_translated_is_a_fault_at_load() {
    for (condition, part) in [
        ("input.resource.record.n > 1 with input.resource.record.n as 5", "\"with\""),
        ("input.resource.record.n > 1 with input as {}", "\"with\""),
        ("input.resource.record.n > 1 with input.context.now_ns as 5", "\"with\""),
        ("input.resource.record.n > 1 with data.limits as {}", "\"with\""),
        ("data[input.action][input.resource.subject_id]", "\"data\""),
    ] {
        let faults = World::parse(&denying(condition)).map(|_| ()).unwrap_err();
        assert_eq!((faults[0].file.as_str(), faults[0].line), ("rules.rego", 8), "{condition}");
        assert!(faults[0].message.contains(part), "{condition}: {}", faults[0].message);
    }
}

#[test]
fn ids_of_another_type_are_erased_all_the_same() {
    let mut world = World::new(&denying("input.resource.subject_id in data.erased_subjects"));
    world.erased = Arc::new(SubjectSet::new(["7".to_owned()]));
    world.subject = name("n");
    let residual = world.residual();
    assert!(!visible(&residual, &row_with(&[("n", Cell::Int(7))])));
    assert!(visible(&residual, &row_with(&[("n", Cell::Int(8))])));
    let known = World::new(&denying("7 in data.erased_subjects; input.resource.record.n > 0"));
    assert!(filter_of(&known.residual()).is_true());
}

#[test]
fn rules_that_no_record_reaches_are_the_interpreters() {
    let rules = "allow if {\n\tnot blocked\n\tinput.resource.record.n > floor_of.n\n}\n\nblocked if \"analyst\" in input.subject.roles with input.subject.roles as []\n\nfloor_of := {\"n\": 3}";
    let world = World::new(rules);
    assert!(!world.program.has("data_mesh.governance.blocked"));
    assert_eq!(filter_of(&world.residual()).to_string(), "n >= ?");
}
