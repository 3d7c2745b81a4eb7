//! What is kept of decisions, what is told apart, and what is never kept.

use super::super::super::reads::Reads;
use super::*;

/// A request over a contract and a login that are shared, as a directory and a snapshot share them.
struct Asked {
    point: DecisionPoint,
    request: AccessRequest,
}

impl Asked {
    fn of(files: Vec<BundleFile>, product: Product, roles: &[&str], fields: &[&str]) -> Self {
        Self { point: point(files, &product), request: request(&product, principal(roles), fields) }
    }

    fn kept(&self, change: impl FnOnce(&mut AccessRequest)) -> bool {
        let mut request = self.request.clone();
        change(&mut request);
        self.point.cache.find(&request).is_some()
    }
}

#[test]
fn a_question_that_comes_again_has_its_answer_and_an_id_of_its_own() {
    let asked = Asked::of(shipped(), masking(), &["analyst"], &["tier", "full_name"]);
    assert!(!asked.kept(|_| {}));
    let first = asked.point.decide(&asked.request);
    assert!(asked.kept(|_| {}));
    let mut later = asked.request.clone();
    later.context.query_id = "q2".to_owned();
    later.context.application_name = "another".to_owned();
    later.context.now = now() + chrono::TimeDelta::nanoseconds(1_500_000_007);
    let second = asked.point.decide(&later);
    let (anew, _) = asked.point.decide_anew(&later);
    assert_ne!(first.id, second.id);
    assert_eq!(second.input.to_value(), anew.input.to_value());
    assert_eq!(second.input.to_value()["context"]["query_id"], "q2");
    assert_eq!((&second.result, &second.rules, &second.fields), (&anew.result, &anew.rules, &anew.fields));
    assert!(allowed(&second).have_effect_of(allowed(&anew)), "the cutoff is that of its own clock");
    assert!(!allowed(&second).have_effect_of(allowed(&first)));
}

#[test]
fn a_denial_is_kept_as_one() {
    let asked = Asked::of(shipped(), customer_360(), &[], &["full_name"]);
    let first = asked.point.decide(&asked.request);
    let second = asked.point.decide(&asked.request);
    assert_ne!(first.id, second.id);
    assert_eq!(denied(&first), denied(&second));
    assert!(asked.kept(|_| {}));
}

#[test]
fn everything_that_a_decision_depends_on_tells_questions_apart() {
    let asked = Asked::of(shipped(), customer_360(), &["pii_authorized"], &["full_name"]);
    allowed(&asked.point.decide(&asked.request));
    assert!(asked.kept(|_| {}));
    assert!(!asked.kept(|request| request.principal = Arc::new(principal(&[]))));
    assert!(!asked.kept(|request| request.principal = Arc::new(Principal::clone(&request.principal))), "a directory that is read anew");
    assert!(!asked.kept(|request| request.product = Arc::new(Product::clone(&request.product))), "a contract that is read anew");
    assert!(!asked.kept(|request| request.purpose = Some("audit".to_owned())));
    assert!(!asked.kept(|request| request.port = PortName::parse("closed").unwrap()));
    assert!(!asked.kept(|request| request.fields.push(RequestedField { name: name("tier"), uses: vec![FieldUse::Projected] })));
    assert!(!asked.kept(|request| request.fields[0].uses = vec![FieldUse::Filtered]));
    assert!(!asked.kept(|request| request.fields.clear()));
    // And the pair: who may not is denied beside what is kept for who may.
    let mut other = asked.request.clone();
    other.principal = Arc::new(principal(&[]));
    assert_eq!(denied(&asked.point.decide(&other)), ["data_mesh.governance.pii_access"]);
    allowed(&asked.point.decide(&asked.request));
}

#[test]
fn circumstances_that_rules_read_tell_questions_apart_and_others_do_not() {
    let by_application = "allow if input.context.application_name == \"psql\"";
    let by_address = "allow if startswith(input.context.client_address, \"10.\")";
    let rename = |request: &mut AccessRequest| request.context.application_name = "bi".to_owned();
    let remove = |request: &mut AccessRequest| request.context.client_address = None;
    for (rule, by_name, by_address) in [("allow := true", false, false), (by_application, true, false), (by_address, false, true)] {
        let asked = Asked::of(rules(rule), customer_360(), &[], &["tier"]);
        allowed(&asked.point.decide(&asked.request));
        assert!(asked.kept(|_| {}), "{rule}");
        assert_eq!(asked.kept(rename), !by_name, "{rule}");
        assert_eq!(asked.kept(remove), !by_address, "{rule}");
        let mut other = asked.request.clone();
        rename(&mut other);
        remove(&mut other);
        let decision = asked.point.decide(&other);
        assert_eq!(matches!(decision.outcome, Outcome::Allow(_)), !by_name && !by_address, "{rule}");
    }
}

#[test]
fn what_rules_make_of_the_clock_or_the_whole_question_is_not_kept() {
    for rule in [
        "allow if input.context.now_ns > 0",
        "allow if time.now_ns() > 0",
        "allow if input.context.query_id != \"\"",
        "allow if input[\"context\"][\"now_ns\"] > 0",
        "allow if count(input.context) > 0",
        "allow if input.context[_] == \"psql\"",
        "allow if object.get(input, [\"context\", \"now_ns\"], 0) > 0",
        "allow if rand.intn(\"x\", 10) < 10",
        "allow if uuid.rfc4122(\"x\") != \"\"",
        "allow if late(1)\nlate(days) if {input.context.now_ns > days}",
        "allow if every x in [1] {x < input.context.now_ns}",
        "allow if count([x | x := input.context.now_ns]) == 1",
        "allow if count({x: y | x := 1; y := input.context.now_ns}) == 1",
        "allow if not input.context.now_ns < 0",
        "allow if true in {input.context.now_ns > 0}",
        "deny contains input.context.query_id if false\nallow := true",
        "allow := x if {x := input.context.now_ns > 0}",
        "import input.context as circumstances\nallow if circumstances.now_ns > 0",
        "import input as question\nallow if question.context.now_ns > 0",
    ] {
        let asked = Asked::of(rules(rule), customer_360(), &[], &["tier"]);
        asked.point.decide(&asked.request);
        assert!(!asked.kept(|_| {}), "{rule}");
        assert_eq!(asked.point.cache.len(), 0, "{rule}");
    }
}

/// Times around that of the requests, near and far.
const OFFSETS_NS: [i64; 7] =
    [1, -1, 1_500_000_007, 86_400_000_000_000, -86_400_000_000_000, 35_000_000_000_000_000, -70_000_000_000_000_000];

/// Asks at other times, and holds what is answered from the cache against what is decided anew.
fn goes_on(asked: &Asked) {
    asked.point.decide(&asked.request);
    for offset in OFFSETS_NS {
        let mut later = asked.request.clone();
        later.context.now = now() + chrono::TimeDelta::nanoseconds(offset);
        let kept = asked.point.cache.find(&later).expect("kept");
        let (anew, _) = asked.point.decide_anew(&later);
        assert_eq!((&kept.result, &kept.rules, &kept.fields), (&anew.result, &anew.rules, &anew.fields));
        assert_eq!(kept.input.to_value(), anew.input.to_value());
        match (&kept.outcome, &anew.outcome) {
            (Outcome::Allow(kept), Outcome::Allow(anew)) => {
                assert!(kept.have_effect_of(anew), "{kept:?}\n{anew:?}");
                assert_eq!((&kept.row_rules, &kept.notices), (&anew.row_rules, &anew.notices));
            }
            (Outcome::Deny(kept), Outcome::Deny(anew)) => assert_eq!(kept, anew),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn rules_about_records_that_read_the_clock_are_kept_and_move_with_it() {
    for steward in [false, true] {
        for (product, fields) in [(customer_360(), ["tier"]), (masking(), ["full_name"]), (customer_360(), ["full_name"])] {
            let files = rules(PER_RECORD);
            let bundle = Bundle::parse_within(files, Duration::from_secs(5)).unwrap();
            let domains = [(DomainName::parse("customer").unwrap(), 700)].into();
            let point = DecisionPoint::new(Arc::new(bundle), &[Arc::new(product.clone())], &domains, erased()).unwrap();
            let request = request(&product, Principal { is_data_steward: steward, ..principal(&[]) }, &fields);
            goes_on(&Asked { point, request });
        }
    }
    for body in [
        "allow if input.resource.record_created_ns >= cutoff\n\ncutoff := time.now_ns() - (30 * 86400000000000)",
        "allow := true\n\ndeny contains \"x\" if input.resource.record_created_ns < time.add_date(input.context.now_ns, 0, -1, 0)",
        "allow := true\n\ndeny contains \"x\" if {\n\tsome days in [20, 40]\n\tinput.resource.record_created_ns < time.now_ns() - (days * 86400000000000)\n}",
        "allow if input.resource.record_created_ns > time.now_ns() - 5\n\ncolumnMasks contains {\"column\": \"card\", \"mask\": \"show-last-4\"} if not \"crm\" in input.subject.roles",
        "allow if input.resource.record_created_ns > time.now_ns() - 5\n\nallow if input.resource.record.tier == \"gold\"",
    ] {
        goes_on(&Asked::of(rules(body), customer_360(), &["analyst"], &["tier"]));
    }
}

#[test]
fn what_holds_until_some_time_is_kept_until_then() {
    let release = now() + chrono::TimeDelta::days(1);
    let body = format!(
        "allow := true\n\ndeny contains \"embargo\" if {{\n\ttime.now_ns() < {}\n\tinput.resource.record.tier == \"gold\"\n}}",
        release.timestamp_nanos_opt().unwrap()
    );
    let asked = Asked::of(rules(&body), customer_360(), &[], &["tier"]);
    let at = |now: DateTime<Utc>| {
        let mut request = asked.request.clone();
        request.context.now = now;
        let kept = asked.point.cache.find(&request).is_some();
        (kept, allowed(&asked.point.decide(&request)).row_filter.to_string())
    };
    let embargo = "tier <> ? AND created_at >= ?".to_owned();
    assert_eq!(at(now()), (false, embargo.clone()));
    assert_eq!(at(release - chrono::TimeDelta::nanoseconds(1)), (true, embargo.clone()));
    assert_eq!(at(release), (false, "created_at >= ?".to_owned()));
    assert_eq!(at(release + chrono::TimeDelta::days(400)), (true, "created_at >= ?".to_owned()));
    assert_eq!(at(now()), (false, embargo));
}

#[test]
fn masks_and_conditions_that_hang_on_the_clock_otherwise_are_not_kept() {
    let moving = "allow if input.resource.record_created_ns > time.now_ns() - 5";
    let mask = "columnMasks contains {\"column\": \"card\", \"mask\": \"show-last-4\"}";
    for body in [
        format!("{moving}\n\n{mask} if time.now_ns() > 0"),
        format!("{moving}\n\n{mask} if later\n\nlater if input.context.now_ns > 5"),
        format!("{moving}\n\nnotices contains \"night\" if time.clock(time.now_ns())[0] < 6"),
        format!("{moving}\n\nexemptions contains \"retention\" if input[\"context\"].now_ns < 0"),
        format!("{moving}\n\nrowFilters contains {{\"expression\": \"tier = 'a'\"}} if time.weekday(time.now_ns()) == \"Monday\""),
        "allow := true\n\ndeny contains \"x\" if {\n\ttime.clock(time.now_ns())[0] < 6\n\tinput.resource.record.visits > 1\n}".to_owned(),
        "allow := true\n\ndeny contains \"x\" if {\n\tnight\n\tinput.resource.record.visits > 1\n}\n\nnight if time.clock(time.now_ns())[0] < 6".to_owned(),
    ] {
        let asked = Asked::of(rules(&body), customer_360(), &[], &["tier"]);
        allowed(&asked.point.decide(&asked.request));
        assert_eq!(asked.point.cache.len(), 0, "{body}");
    }
}

#[test]
fn reading_what_a_question_is_about_reads_no_circumstances() {
    let body = "import data.facts\n\nimport input.subject as caller\n\nallow if {input.action == \"read\"; \"a\" in input.subject.roles}\n\n\
                allow if input.resource.columns[_].name == caller.purpose\n\nallow if facts[input.resource.domain].open";
    let bundle = Bundle::parse(rules(body)).unwrap();
    assert_eq!(bundle.reads(), Reads::default());
    let bundle = Bundle::parse(shipped()).unwrap();
    assert!(bundle.reads().repeatable(), "the policies that are shipped can be kept");
}

#[test]
fn a_statement_that_names_the_clock_of_another_file_is_seen_too() {
    let helper = file("lib/clock.rego", "package lib.clock\n\nhour := time.clock(time.now_ns())[0]\n");
    let files = [rules("allow if data.lib.clock.hour >= 0"), vec![helper]].concat();
    let asked = Asked::of(files, customer_360(), &[], &["tier"]);
    allowed(&asked.point.decide(&asked.request));
    assert!(!asked.kept(|_| {}));
}

#[test]
fn an_evaluation_that_failed_is_tried_again() {
    let asked = Asked::of(rules("allow if 1 / count(input.subject.groups) > 0"), customer_360(), &[], &["tier"]);
    assert_eq!(denied(&asked.point.decide(&asked.request)), ["guard.evaluation"]);
    assert!(!asked.kept(|_| {}));
}

#[test]
fn what_is_kept_is_bounded_and_what_is_asked_often_stays() {
    let asked = Asked::of(rules("allow := true"), customer_360(), &[], &["tier"]);
    asked.point.decide(&asked.request);
    for index in 0..60_000 {
        let purpose = Some(format!("purpose {index}"));
        let decision = asked.point.cache.find(&asked.request).expect("asked for all the time");
        let course = Course::new(ALWAYS, None, &asked.point.erased);
        asked.point.cache.keep(&AccessRequest { purpose, ..asked.request.clone() }, &decision, course);
    }
    let kept = asked.point.cache.len();
    // Seven columns each, in two generations of 100,000 columns.
    assert!((14_000..=28_572).contains(&kept), "{kept}");
    // The generation before goes a few at a time, and is gone before the next one goes.
    let going = asked.point.cache.going();
    assert!((1..14_000).contains(&going), "{going}");
}

#[test]
fn what_is_asked_fits_the_schema_or_is_not_asked() {
    let mut product = customer_360();
    product.governance.retention_days = Some(7);
    let asked = Asked::of(shipped(), product, &[], &["tier"]);
    let input = asked.point.decide(&asked.request).input.to_value();
    assert!(schema::is_request(&input), "{input}");
    // What was answered is held to its schema before it is read.
    for body in
        ["allow := true\n\nnotices contains \"not a code!\"", "allow := 7", "allow := true\n\ncolumnMasks contains {\"column\": \"tier\"}"]
    {
        let decision = decide_by(rules(body), &[], &["tier"]);
        assert_eq!(denied(&decision), ["guard.answer"], "{body}");
        assert!(decision.result["fault"].as_str().unwrap().contains("does not fit its schema at \"/"), "{}", decision.result);
    }
}
