//! The clock left open: what moves with it, for how long the rest holds, and what holds at one time only.

use super::row::DAY_NS;
use super::*;

/// A rule that denies under the condition, beside one that a record reaches.
fn denying(condition: &str) -> String {
    format!("default allow := false\n\nallow if count(deny) == 0\n\ndeny contains \"no\" if {{\n\t{condition}\n}}")
}

fn residual_of(rules: &str) -> Residual {
    World::new(rules).residual()
}

#[test]
fn a_bound_that_is_told_from_the_clock_moves_with_it() {
    let helpers = "\n\ncutoff := time.now_ns() - (730 * 86400000000000)\n\nage_of(ns) := time.now_ns() - ns\n";
    for condition in [
        "input.resource.record_created_ns < time.now_ns() - 730 * 86400 * 1000000000",
        "input.resource.record_created_ns < input.context.now_ns - 730 * 86400 * 1000000000",
        "(time.now_ns() - input.resource.record_created_ns) / 86400000000000 > 730",
        "time.now_ns() > input.resource.record_created_ns + 730 * 86400000000000",
        "input.resource.record_created_ns < cutoff",
        "age_of(input.resource.record_created_ns) > 730 * 86400000000000",
        "now := time.now_ns(); now - input.resource.record_created_ns > 730 * 86400000000000",
        "input.resource.record_created_ns < object.get(input, [\"context\", \"now_ns\"], 0) - 730 * 86400000000000",
    ] {
        let residual = residual_of(&format!("{}{helpers}", denying(condition)));
        assert_eq!(residual.valid, Some((i64::MIN, i64::MAX)), "{condition}");
        for now_ns in [NOW_NS, NOW_NS + 1, NOW_NS + 400 * DAY_NS, NOW_NS - 5_000 * DAY_NS] {
            let young = row_with(&[("created_at", Cell::Instant(now_ns - 730 * DAY_NS))]);
            let old = row_with(&[("created_at", Cell::Instant(now_ns - 730 * DAY_NS - 1_000))]);
            assert_eq!(visible_at(&residual, &young, now_ns), Some(true), "{condition} {now_ns}");
            assert_eq!(visible_at(&residual, &old, now_ns), Some(false), "{condition} {now_ns}");
        }
    }
}

#[test]
fn dates_of_the_calendar_move_too() {
    let two_years = residual_of(&denying("input.resource.record_created_ns < time.add_date(time.now_ns(), -2, 0, 0)"));
    assert!(two_years.valid.is_some() && two_years.filter.is_moving());
    let today = residual_of(&denying("input.resource.record.d >= substring(time.format(time.now_ns()), 0, 10)"));
    assert!(today.valid.is_some() && today.filter.is_moving());
    let day = i32::try_from(NOW_NS.div_euclid(DAY_NS)).unwrap();
    for later in [0, 1, 40] {
        let at = NOW_NS + i64::from(later) * DAY_NS;
        assert_eq!(visible_at(&today, &row_with(&[("d", Cell::Day(day + later))]), at), Some(false));
        assert_eq!(visible_at(&today, &row_with(&[("d", Cell::Day(day + later - 1))]), at), Some(true));
    }
}

#[test]
fn what_is_concluded_from_the_clock_holds_for_as_long_as_it_is_true() {
    let release = NOW_NS + DAY_NS;
    for (condition, valid) in [
        (format!("time.now_ns() < {release}; input.resource.record.n > 1"), (i64::MIN, release - 1)),
        (format!("{release} <= input.context.now_ns; input.resource.record.n > 1"), (i64::MIN, release - 1)),
        (
            format!("time.now_ns() / 86400000000000 >= {}; input.resource.record.n > 1", NOW_NS / DAY_NS),
            (NOW_NS / DAY_NS * DAY_NS, i64::MAX),
        ),
        ("time.now_ns() >= input.context.now_ns; input.resource.record.n > 1".to_owned(), (i64::MIN, i64::MAX)),
    ] {
        let residual = residual_of(&denying(&condition));
        let (from, to) = residual.valid.unwrap();
        assert!(from.abs_diff(valid.0) < 1_000 && to == valid.1, "{condition}: {from} {to}");
        assert!(!residual.filter.is_moving());
    }
    assert_eq!(filter_of(&residual_of(&denying(&format!("time.now_ns() < {release}; input.resource.record.n > 1")))).to_string(), "n < ?");
    assert!(filter_of(&residual_of(&denying(&format!("time.now_ns() > {release}; input.resource.record.n > 1")))).is_true());
}

#[test]
fn what_cannot_be_followed_holds_at_that_time_only() {
    let helper = "\n\nhour := time.clock(time.now_ns())[0]\n\nlate if hour > 11";
    for condition in [
        "time.clock(time.now_ns())[0] > 11; input.resource.record.n > 1",
        "hour > 11; input.resource.record.n > 1",
        "late; input.resource.record.n > 1",
        "time.weekday(time.now_ns()) == \"Monday\"; input.resource.record.n > 1",
        "some x in [time.now_ns(), 5]; x > 100; count({x, 7}) == 2; input.resource.record.n > 1",
        "count({time.now_ns(), 5}) == 2; input.resource.record.n > 1",
        "input.resource.record_created_ns in {time.now_ns(), 5}; input.resource.record.n in {time.now_ns() - time.now_ns()}",
    ] {
        let residual = residual_of(&format!("{}{helper}", denying(condition)));
        let shown = [1, 2].map(|n| visible(&residual, &row_with(&[("n", Cell::Int(n))])));
        assert!(residual.valid.is_none() || condition.contains("some x"), "{condition}");
        assert!(condition.contains("in {") || shown == [true, false], "{condition} {shown:?}");
    }
}

#[test]
fn a_bound_that_falls_out_of_the_calendar_is_not_told() {
    let residual = residual_of(&denying("input.resource.record_created_ns < time.add_date(time.now_ns(), -2, 0, 0)"));
    // The earliest nanosecond has no date two years before it.
    assert_eq!(visible_at(&residual, &row(), i64::MIN), None);
}

#[test]
fn rules_with_computed_names_are_no_way_around_a_record() {
    for rules in [
        "allow := true\n\ndeny contains \"x\" if reasons[_].bad\n\nreasons[x].bad := true if {\n\tx := input.resource.record.n\n\tx > 1\n}",
        "allow := true\n\ndeny contains \"x\" if reasons[_][_]\n\nreasons[x][1] := true if {\n\tx := input.resource.record.n\n\tx > 1\n}",
    ] {
        match World::parse(rules) {
            // Refused at load, or followed; never asked of the interpreter without the record.
            Err(faults) => assert!(faults[0].message.contains("of this form"), "{faults:?}"),
            Ok(world) => assert!(world.program.has("data_mesh.governance.deny")),
        }
    }
}
