//! What the log says was read in the name of products.

use crate::audit::{Error, PastStatement};
use crate::lineage::{Observed, Upstream};
use crate::product::OWN_SCHEMA;

/// Gathers what was read in whose name: what was allowed, and not only explained, of other products.
///
/// # Errors
/// The first statement that cannot be read.
pub fn observed(statements: impl Iterator<Item = Result<PastStatement, Error>>) -> Result<Observed, Error> {
    let mut observed = Observed::default();
    for statement in statements {
        let statement = statement?;
        let Some(reader) = &statement.stands_for else { continue };
        if matches!(statement.statement_class.as_str(), "explain" | "explain_policy") {
            continue;
        }
        for access in &statement.products {
            let allowed = statement.decision(access).is_some_and(|decision| decision.outcome == "allow");
            if !allowed || access.domain == OWN_SCHEMA || format!("{}/{}", access.domain, access.product) == *reader {
                continue;
            }
            let upstream = Upstream { domain: access.domain.clone(), product: access.product.clone(), version: access.version.clone() };
            let reads = observed.0.entry(reader.clone()).or_default().entry(upstream).or_default();
            reads.add(&statement.principal, statement.at);
            for field in &access.fields {
                reads.fields.entry(field.name.clone()).or_default().extend(field.outputs.iter().cloned());
            }
        }
    }
    Ok(observed)
}
