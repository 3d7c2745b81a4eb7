//! Which products may be found.

use super::*;

#[test]
fn discovery_is_the_rules_and_anything_but_true_hides() {
    let product = customer_360();
    let found = |files: Vec<BundleFile>| point(files, &product).may_discover(&Arc::new(principal(&["guest"])), &product, None, now());
    assert!(found(shipped()));
    assert!(found(rules(LAX)));
    for rule in ["may_discover := false", "may_discover := \"yes\"", "may_discover if input.nothing", "may_discover if 1 / count([]) > 0"] {
        assert!(!found(rules(&format!("{LAX}\n{rule}"))), "{rule}");
    }
    assert!(!found(rules(&format!("{LAX}\nmay_discover if not \"guest\" in input.subject.roles"))));
    // By the time of the statement, not of the machine.
    let at = now().timestamp_nanos_opt().unwrap();
    assert!(found(rules(&format!("{LAX}\nmay_discover if time.now_ns() == {at}"))));
    assert!(!found(rules(&format!("{LAX}\nmay_discover if time.now_ns() > {at}"))));
}

#[test]
fn discovery_is_asked_by_purpose_and_anew_where_the_clock_is_looked_at() {
    let (product, guest) = (customer_360(), Arc::new(principal(&["guest"])));
    let later = now() + chrono::TimeDelta::hours(1);
    let embargo = point(rules(&format!("{LAX}\nmay_discover if time.now_ns() >= {}", later.timestamp_nanos_opt().unwrap())), &product);
    assert!(!embargo.may_discover(&guest, &product, None, now()));
    assert!(embargo.may_discover(&guest, &product, None, later));
    let billing = point(rules(&format!("{LAX}\nmay_discover if input.subject.purpose == \"billing\"")), &product);
    for (purpose, found) in [(None, false), (Some("billing"), true), (Some("other"), false), (Some("billing"), true), (None, false)] {
        assert_eq!(billing.may_discover(&guest, &product, purpose, now()), found, "{purpose:?}");
    }
    let roles = point(rules(&format!("{LAX}\nmay_discover if \"guest\" in input.subject.roles")), &product);
    assert!(roles.may_discover(&guest, &product, None, now()));
    assert!(!roles.may_discover(&Arc::new(principal(&["other"])), &product, None, now()));
}
