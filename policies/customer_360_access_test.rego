# Who may, and who may not, on the same data.
package customer_domain.customer_360_access_test

import data.customer_domain.customer_360_access

read_for(purpose) := {"action": "read", "subject": {"user": "ann", "roles": [], "purpose": purpose}}

test_marketing_sees_who_agreed if {
	some filter in customer_360_access.rowFilters with input as read_for("marketing")
	filter.expression == "marketing_consent = true"
}

test_other_purposes_see_everyone if {
	every purpose in [null, "", "billing", "Marketing"] {
		count(customer_360_access.rowFilters) == 0 with input as read_for(purpose)
	}
}
