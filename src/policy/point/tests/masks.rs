//! Masks that rules and contracts ask for: which are enforced, and which deny.

use super::*;

/// Decides by lax rules with these masks.
fn masked_by(answers: &str, fields: &[&str]) -> Decision {
    let product = masking();
    point(rules(&format!("allow := true\n{answers}")), &product).decide(&request(&product, principal(&[]), fields))
}

fn answer(element: &str) -> String {
    format!("columnMasks contains {element}")
}

#[test]
fn a_rule_masks_with_parameters_and_expressions() {
    for (element, column, mask) in [
        ("{\"column\": \"visits\", \"mask\": \"bucket\", \"width\": 10}", "visits", "bucket"),
        ("{\"column\": \"tier\", \"mask\": \"mask-to-fixed-value\", \"value\": \"hidden\"}", "tier", "mask-to-fixed-value"),
        ("{\"column\": \"full_name\", \"expression\": \"left(full_name, 1) || tier\"}", "full_name", "expression"),
        ("{\"column\": \"visits\", \"expression\": \"NULL\"}", "visits", "replace-with-null"),
    ] {
        let decision = masked_by(&answer(element), &[column]);
        assert_eq!(allowed(&decision).masks[&name(column)].as_str(), mask, "{element}");
    }
}

#[test]
fn a_mask_that_is_not_understood_denies() {
    for element in [
        "{\"column\": \"visits\", \"mask\": \"bucket\"}",
        "{\"column\": \"visits\", \"mask\": \"bucket\", \"width\": 10, \"height\": 3}",
        "{\"column\": \"visits\", \"mask\": \"redact\", \"width\": 10}",
        "{\"column\": \"visits\", \"expression\": \"lower(tier)\"}",
        "{\"column\": \"tier\", \"expression\": \"nothing\"}",
        "{\"column\": \"tier\", \"expression\": \"now()\"}",
        "{\"column\": \"tier\", \"expression\": \"(tier)\"}",
        "{\"column\": \"tier\", \"mask\": \"expression\"}",
        "{\"column\": \"nowhere\", \"expression\": \"tier\"}",
    ] {
        assert_eq!(denied(&masked_by(&answer(element), &["customer_id"])), ["guard.answer"], "{element}");
    }
    // One that does not serve the type denies where the column is read.
    let wrong = answer("{\"column\": \"visits\", \"mask\": \"show-last-4\"}");
    assert_eq!(denied(&masked_by(&wrong, &["visits"])), ["guard.contract"]);
}

#[test]
fn the_name_of_the_contracts_mask_stands_for_its_parameters() {
    let mut product = masking();
    product.governance.masks = vec![(name("visits"), Mask::Bucket(crate::product::mask::Decimal::whole(25)))];
    let files = || rules("allow := true\ncolumnMasks contains {\"column\": \"visits\", \"mask\": \"bucket\"}");
    let decision = point(files(), &product).decide(&request(&product, principal(&[]), &["visits"]));
    assert_eq!(allowed(&decision).masks[&name("visits")], product.governance.masks[0].1);
    // The shipped rules answer so.
    assert_eq!(allowed(&decide(&product, &[], &["visits"])).masks[&name("visits")], product.governance.masks[0].1);
}

#[test]
fn what_an_expression_reads_is_read_as_it_is() {
    let with = |expression: &str, rule: &str| {
        masked_by(&format!("{}\n{rule}", answer(&format!("{{\"column\": \"visits\", \"expression\": \"{expression}\"}}"))), &["visits"])
    };
    let decision = with("length(tier)", "");
    assert_eq!(decision.input.to_value()["resource"]["requested_fields"], json!(["tier"]));
    assert_eq!(decision.input.to_value()["resource"]["masked_fields"], json!(["visits"]));
    let refusing = "deny contains {\"rule\": \"no_tier\", \"fields\": [\"tier\"]} if \"tier\" in input.resource.requested_fields";
    assert_eq!(denied(&with("length(tier)", refusing)), ["data_mesh.governance.no_tier"]);
    // A masked column, and a personal one that would be masked, are not read to make another mask of.
    assert_eq!(denied(&with("length(card)", "")), ["guard.mask_reads"]);
    assert_eq!(denied(&with("length(full_name)", "")), ["guard.mask_reads"]);
    let mut denying = masking();
    denying.governance.pii_action = PiiAction::Deny;
    let rules = rules("allow := true\ncolumnMasks contains {\"column\": \"visits\", \"expression\": \"length(full_name)\"}");
    assert_eq!(denied(&point(rules.clone(), &denying).decide(&request(&denying, principal(&[]), &["visits"]))), ["guard.pii"]);
    allowed(&point(rules, &denying).decide(&request(&denying, principal(&["pii_authorized"]), &["visits"])));
}

#[test]
fn a_products_own_package_computes_nothing_in_the_place_of_a_value() {
    let own = |element: &str| {
        let text = format!("package customer_domain.customer_360_access\n\ncolumnMasks contains {element}\n");
        let product = customer_360();
        point(shipped_with("own.rego", &text), &product).decide(&request(&product, principal(&[]), &["full_name"]))
    };
    let shown = "{\"column\": \"full_name\", \"expression\": \"full_name || ''\"}";
    assert_eq!(denied(&own(shown)), ["guard.answer"]);
    allowed(&own("{\"column\": \"full_name\", \"mask\": \"redact\"}"));
}

#[test]
fn a_keyed_mask_needs_its_secret_where_it_is_read() {
    let mut product = masking();
    product.governance.masks = vec![(name("full_name"), Mask::HmacSha256("joins".to_owned()))];
    let decide =
        |keys: MaskKeys, field: &str| point(shipped(), &product).with_mask_keys(keys).decide(&request(&product, principal(&[]), &[field]));
    assert_eq!(denied(&decide(MaskKeys::default(), "full_name")), ["guard.mask_key"]);
    allowed(&decide(MaskKeys::default(), "tier"));
    let keys = MaskKeys::new([("joins".to_owned(), b"a-secret-of-the-mesh".to_vec())]);
    let decision = decide(keys, "full_name");
    assert_eq!(allowed(&decision).mask_keys.secret("joins"), Some(&b"a-secret-of-the-mesh"[..]));
    assert!(!format!("{decision:?}").contains("a-secret"));
    assert_eq!(point(shipped(), &product).missing_mask_keys(), [(product.reference.clone(), name("full_name"), "joins".to_owned())]);
}
