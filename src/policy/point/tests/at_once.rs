//! Rules that are asked for masks and for the rest at once decide as they do when the masks are asked for first.

use super::*;

/// A rule of masks that never holds and reads what will be masked, so that masks have to be known first.
const MASKS_FIRST: &str =
    "columnMasks contains m if {\n\tcount(input.resource.requested_fields) < 0\n\tm := input.resource.columns[0]\n}\n";

fn with_masks_first(mut files: Vec<BundleFile>) -> Vec<BundleFile> {
    files.push(file("first.rego", &format!("package data_mesh.governance\n\n{MASKS_FIRST}")));
    files
}

fn entry_is_first(files: Vec<BundleFile>) -> bool {
    Bundle::parse(files).unwrap().mesh().unwrap().masks_first
}

/// Masks may not hang on a record, and a rule that takes in the whole of the question might.
fn is_refused(files: Vec<BundleFile>) -> bool {
    Bundle::parse(files).is_err_and(|faults| faults.iter().all(|fault| fault.message.contains("depends on single records")))
}

#[test]
fn whoever_asks_whatever_is_answered_alike() {
    let own = "package customer_domain.customer_360_access\n\ncolumnMasks contains {\"column\": \"visits\", \"mask\": \"bucket\", \"width\": 5} \
        if \"coarse\" in input.subject.roles\n\ndeny contains {\"rule\": \"card\", \"fields\": [\"card\"]} if {\n\t\"card\" in \
        input.resource.requested_fields\n\t\"no_card\" in input.subject.roles\n}\n";
    let files = || shipped_with("own.rego", own);
    assert!(!entry_is_first(files()) && entry_is_first(with_masks_first(files())));
    let mut computed = masking();
    computed.governance.masks.push((name("tier"), Mask::Null));
    for product in [customer_360(), masking(), computed] {
        let (at_once, first) = (point(files(), &product), point(with_masks_first(files()), &product));
        for roles in
            [&[][..], &["pii_authorized"], &["coarse"], &["no_card"], &["no_card", "pii_authorized"], &["metadata"], &["coarse", "no_card"]]
        {
            for fields in [&["tier"][..], &["card"], &["full_name", "visits"], &["email_hash", "card", "tier"], &["visits", "created_at"]] {
                let request = request(&product, principal(roles), fields);
                let (one, other) = (at_once.decide(&request), first.decide(&request));
                assert_eq!(format!("{:?}", one.outcome), format!("{:?}", other.outcome), "{roles:?} {fields:?}");
                assert_eq!((&one.result, one.input.to_value()), (&other.result, other.input.to_value()), "{roles:?} {fields:?}");
                assert_eq!((&one.rules, &one.fields), (&other.rules, &other.fields), "{roles:?} {fields:?}");
            }
        }
    }
}

#[test]
fn masks_that_hang_on_what_is_masked_see_it_unmasked() {
    // The card is masked by the contract; where it is asked for, the tier is, too.
    let rule = "columnMasks contains {\"column\": \"tier\", \"mask\": \"redact\"} if \"card\" in wanted";
    let files = rules(&format!("allow := true\n\nwanted := input.resource.requested_fields\n\n{rule}"));
    assert!(entry_is_first(files.clone()));
    let product = masking();
    let decide = |fields: &[&str]| point(files.clone(), &product).decide(&request(&product, principal(&[]), fields));
    assert_eq!(allowed(&decide(&["card", "tier"])).masks[&name("tier")], Mask::Redact);
    assert!(!allowed(&decide(&["tier"])).masks.contains_key(&name("tier")));
}

#[test]
fn every_way_to_what_is_masked_is_found() {
    for body in [
        "count(input.resource.masked_fields) > 0",
        "input.resource[_] == []",
        "input[\"resource\"][\"masked_fields\"] == []",
        "is_object(input)",
        "is_object(input.resource)",
        "renamed.masked_fields == []",
        "asks(1)",
        "other",
        "data.lib.reads",
        "data[\"lib\"][\"reads\"]",
        "data.lib[_]",
        "data.lib.reads with input.resource.requested_fields as []",
        "every name in input.resource.requested_fields { name != \"a\" }",
        "[name | some name in input.resource.requested_fields] == []",
    ] {
        let text = format!(
            "package data_mesh.governance\n\nimport input.resource as renamed\n\nallow := true\n\nasks(x) if count(input.resource.requested_fields) > x\n\n\
             other if asks(0)\n\nfieldGrants contains \"tier\" if {{\n\t{body}\n}}\n"
        );
        let lib = file("lib.rego", "package lib\n\nreads if input.resource.masked_fields != null\n");
        let files = vec![file("rules.rego", &text), lib];
        assert!(is_refused(files.clone()) || entry_is_first(files), "{body}");
    }
    for body in
        ["some column in input.resource.columns", "input.subject.user == \"ann\"", "data.meshgate.require_product_packages == false"]
    {
        assert!(!entry_is_first(rules(&format!("allow := true\n\nfieldGrants contains \"tier\" if {{\n\t{body}\n}}"))), "{body}");
    }
}

#[test]
fn what_fails_by_a_guess_is_asked_again() {
    // By the contract the card would be masked, and the rule fails on that question; but the card is granted.
    let text = "allow := true\n\nfieldGrants contains \"card\" if \"cards\" in input.subject.roles\n\n\
        deny contains \"no\" if {\n\t\"card\" in input.resource.masked_fields\n\t1 / count([]) == 1\n}";
    let product = masking();
    let decide = |roles: &[&str]| point(rules(text), &product).decide(&request(&product, principal(roles), &["card"]));
    assert!(!entry_is_first(rules(text)));
    assert!(!allowed(&decide(&["cards"])).masks.contains_key(&name("card")));
    assert_eq!(denied(&decide(&[])), ["guard.evaluation"]);
}
