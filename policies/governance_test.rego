# Who may, and who may not, on the same data.
package data_mesh.governance_test

import data.data_mesh.governance

column(name, pii, mask) := {"name": name, "type": "string", "pii": pii, "mask": mask, "usage": []}

resource := {
	"domain": "customer",
	"product": "customer-360",
	"version": "2.1.0",
	"port": "customer_snapshot_daily",
	"access": "open",
	"classification": "restricted",
	"tags": ["pii"],
	"owner": "customer-platform",
	"requested_fields": ["customer_id", "full_name"],
	"masked_fields": [],
	"columns": [column("customer_id", false, null), column("full_name", true, null)],
	"pii_action": "deny",
	"retention_days": 730,
	"subject_to_erasure": true,
}

read_by(roles) := {
	"action": "read",
	"subject": {"user": "ann", "roles": roles, "groups": [], "is_data_steward": false, "purpose": null, "attributes": {}},
	"resource": resource,
	"context": {"query_id": "q", "now_ns": 0, "application_name": "psql", "client_address": null},
}

read_from(roles, changes) := object.union(read_by(roles), {"resource": changes})

rules_of(denials) := {denial.rule | some denial in denials}

# Personal data

test_pii_is_read_with_the_role if {
	governance.allow with input as read_by(["pii_authorized"])
}

test_pii_is_not_read_without_the_role if {
	not governance.allow with input as read_by(["analyst"])
	rules_of(governance.deny) == {"pii_access"} with input as read_by(["analyst"])
}

test_pii_is_not_read_without_any_role if {
	not governance.allow with input as read_by([])
}

test_a_role_of_a_similar_name_is_not_the_role if {
	not governance.allow with input as read_by(["PII_AUTHORIZED", "pii_authorized "])
}

test_other_columns_are_read_without_the_role if {
	governance.allow with input as read_from(["analyst"], {"requested_fields": ["customer_id"]})
}

test_the_denial_names_the_columns if {
	some denial in governance.deny with input as read_by([])
	denial.fields == ["full_name"]
}

masked := {"columns": [column("customer_id", false, null), column("full_name", true, "replace-with-null")], "pii_action": "mask"}

test_a_mask_of_the_contract_is_answered_without_the_role if {
	masks := governance.columnMasks with input as read_from([], masked)
	masks == {{"column": "full_name", "mask": "replace-with-null"}}
}

test_a_mask_of_the_contract_is_lifted_with_the_role if {
	masks := governance.columnMasks with input as read_from(["pii_authorized"], masked)
	masks == set()
}

test_a_masked_column_is_no_reason_to_deny if {
	asked := object.union(masked, {"requested_fields": ["customer_id"], "masked_fields": ["full_name"]})
	governance.allow with input as read_from([], asked)
}

# Retention and erasure

test_a_steward_is_exempt_from_retention_and_from_nothing_else if {
	steward := object.union(read_by([]), {"subject": {"is_data_steward": true}})
	governance.exemptions == {"retention"} with input as steward
}

test_nobody_else_is_exempt if {
	governance.exemptions == set() with input as read_by(["pii_authorized", "restricted", "is_data_steward"])
}

test_nobody_is_exempt_from_erasure if {
	steward := object.union(read_by(["pii_authorized"]), {"subject": {"is_data_steward": true}})
	not "erasure" in governance.exemptions with input as steward
}

aged(days, more_ns) := object.union(record({"record_created_ns": (now_ns - (days * 86400000000000)) - more_ns}), at_now)

at_now := {"context": {"now_ns": now_ns}}

now_ns := 1780315200000000000

test_a_record_is_read_for_as_long_as_the_period_says if {
	governance.allow with input as aged(729, 0)
	governance.allow with input as aged(730, 0)
	governance.allow with input as aged(-1, 0)
}

test_a_record_is_not_read_a_nanosecond_later if {
	rules_of(governance.deny) == {"retention"} with input as aged(730, 1)
	not governance.allow with input as aged(730, 1)
}

test_no_role_reads_an_expired_record if {
	old := object.union(aged(731, 0), {"subject": {"roles": ["pii_authorized", "restricted", "is_data_steward"]}})
	rules_of(governance.deny) == {"retention"} with input as old
}

test_a_steward_reads_an_expired_record if {
	governance.allow with input as object.union(aged(731, 0), {"subject": {"is_data_steward": true}})
}

test_a_product_without_a_period_keeps_its_records if {
	kept := object.union(aged(4000, 0), {"resource": {"retention_days": null, "classification": "internal"}})
	governance.allow with input as kept
}

record(changes) := read_from([], object.union({"requested_fields": ["customer_id"]}, changes))

test_an_erased_persons_record_is_not_read if {
	rules_of(governance.deny) == {"erasure"} with input as record({"subject_id": 7}) with data.erased_subjects as {7, 9}
}

test_an_erased_persons_record_is_not_read_by_a_steward_either if {
	erased := object.union(record({"subject_id": 7}), {"subject": {"is_data_steward": true, "roles": ["pii_authorized"]}})
	rules_of(governance.deny) == {"erasure"} with input as erased with data.erased_subjects as {7, 9}
}

test_another_persons_record_is_read if {
	governance.allow with input as record({"subject_id": 8}) with data.erased_subjects as {7, 9}
}

test_a_product_about_nobody_has_no_erased_records if {
	governance.allow with input as record({"subject_id": 7, "subject_to_erasure": false}) with data.erased_subjects as {7, 9}
}

unlimited := {"retention_days": null, "requested_fields": ["customer_id"]}

test_restricted_data_without_a_period_is_not_read if {
	rules_of(governance.deny) == {"retention_missing"} with input as read_from([], unlimited)
}

test_internal_data_without_a_period_is_read if {
	governance.allow with input as read_from([], object.union(unlimited, {"classification": "internal"}))
}

# Access classes

closed := {"access": "restricted", "requested_fields": ["customer_id"]}

test_a_restricted_port_answers_the_role if {
	governance.allow with input as read_from(["restricted"], closed)
}

test_a_restricted_port_answers_the_role_of_its_domain if {
	governance.allow with input as read_from(["restricted:customer"], closed)
}

test_a_restricted_port_answers_nobody_else if {
	rules_of(governance.deny) == {"restricted_port"} with input as read_from(["restricted:payments", "pii_authorized"], closed)
}

test_a_port_of_an_unknown_class_is_restricted if {
	not governance.allow with input as read_from([], object.union(closed, {"access": "public"}))
}

test_the_metadata_role_reads_nothing_whatever_else_it_holds if {
	roles := ["metadata", "pii_authorized", "restricted"]
	not governance.allow with input as read_by(roles)
	rules_of(governance.deny) == {"metadata_only"} with input as read_by(roles)
}

# Discovery

test_every_login_discovers if {
	governance.may_discover with input as object.union(read_by(["metadata"]), {"action": "discover"})
	governance.may_discover with input as object.union(read_by([]), {"action": "discover"})
}

test_nobody_discovers_nothing if {
	nobody := object.union(read_by([]), {"action": "discover", "subject": {"user": ""}})
	not governance.may_discover with input as nobody
}
