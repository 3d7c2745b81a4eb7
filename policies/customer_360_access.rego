# The customer domain's own rules for customer-360, named by its contract's access_policy. They come on top of the mesh-wide rules and can only
# restrict.
package customer_domain.customer_360_access

# Who reads for marketing sees those customers who agreed to it.
rowFilters contains {"expression": "marketing_consent = true"} if {
	input.subject.purpose == "marketing"
}
