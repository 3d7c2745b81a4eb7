# What the governance team asks of every read of every data product.
#
# The gateway asks once per statement and product. Columns that columnMasks answers, or whose mask the contract demands, have left
# input.resource.requested_fields by the time deny is asked: what is still in there would be read as it is.
package data_mesh.governance

default allow := false

allow if count(deny) == 0

# Personal data is for those who hold the role. This set is the only way to it: a column with personal data, or with a mask in its
# contract, is read as it is only if it is in here.
fieldGrants contains column.name if {
	"pii_authorized" in input.subject.roles
	some column in input.resource.columns
}

# What the contract wants masked is masked for everyone else. column.mask is the contract's mask of the column, or null.
columnMasks contains {"column": column.name, "mask": column.mask} if {
	some column in input.resource.columns
	column.mask != null
	not column.name in fieldGrants
}

deny contains reason if {
	personal := [column.name |
		some column in input.resource.columns
		column.pii
		column.name in input.resource.requested_fields
		not column.name in fieldGrants
	]
	count(personal) > 0
	reason := {
		"rule": "pii_access",
		"fields": personal,
		"msg": sprintf("%v of %v needs the role pii_authorized; the caller has %v", [personal, product, input.subject.roles]),
	}
}

# A record may be read for as long as its contract or its domain says, and one of exactly that age still may. The contract's period holds
# whatever stands here (contract.retention); this is who is exempt from both.
exemptions contains "retention" if input.subject.is_data_steward == true

deny contains {"rule": "retention", "msg": sprintf("the record of %v is older than %v days", [product, input.resource.retention_days])} if {
	input.resource.retention_days != null
	not "retention" in exemptions
	input.resource.record_created_ns != null
	input.resource.record_created_ns < input.context.now_ns - (input.resource.retention_days * day_ns)
}

day_ns := 86400000000000

# Restricted data without any period is not read at all.
deny contains {"rule": "retention_missing", "msg": sprintf("%v is restricted and no retention period is known", [product])} if {
	input.resource.classification == "restricted"
	input.resource.retention_days == null
	not "retention" in exemptions
}

# Erased people's records are hidden from everyone: no rule here adds "erasure" to exemptions. The set is asked and never listed.
deny contains {"rule": "erasure", "msg": sprintf("the person has been erased from %v", [product])} if {
	input.resource.subject_to_erasure
	not "erasure" in exemptions
	input.resource.subject_id in data.erased_subjects
}

# Two access classes of output ports, and the logins of catalogues' harvesters.
deny contains {"rule": "restricted_port", "msg": sprintf("port %v of %v is restricted", [input.resource.port, product])} if {
	input.resource.access != "open"
	not holds_restricted
}

deny contains {"rule": "metadata_only", "msg": "the role metadata discovers products and reads no row"} if {
	"metadata" in input.subject.roles
}

holds_restricted if "restricted" in input.subject.roles

holds_restricted if sprintf("restricted:%v", [input.resource.domain]) in input.subject.roles

# Everyone who has logged in finds every product; finding is not reading.
default may_discover := false

may_discover if {
	input.action == "discover"
	input.subject.user != ""
}

product := sprintf("%v/%v", [input.resource.domain, input.resource.product])
