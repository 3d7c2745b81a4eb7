//! What a caller is told beside the rows: that rules applied, never whether they removed anything.

use std::sync::Arc;

use crate::enforcement::ProductUse;
use crate::error::{ClientMessage, SqlState};
use crate::policy::{Decision, Outcome};
use crate::product::{FieldName, ProductRef};

use super::hints;
use super::reply::Notice;

/// One notice for each rule's code and product.
pub(super) fn notices(uses: &[ProductUse], decisions: &[Arc<Decision>]) -> Vec<Notice> {
    let mut notices: Vec<Notice> = Vec::new();
    for (used, decision) in uses.iter().zip(decisions) {
        if let Outcome::Allow(obligations) = &decision.outcome {
            let deprecated = hints::deprecation(&used.product).into_iter().map(own);
            let masked: Vec<&FieldName> =
                used.fields.iter().map(|field| &field.name).filter(|name| obligations.masks.contains_key(*name)).collect();
            let rules = obligations.notices.iter().map(|code| notice(&used.product.reference, code, &masked));
            for notice in deprecated.chain(rules) {
                if !notices.contains(&notice) {
                    notices.push(notice);
                }
            }
        }
    }
    notices
}

fn own(text: String) -> Notice {
    Notice { severity: "NOTICE", message: ClientMessage::new(SqlState::SUCCESSFUL_COMPLETION, text) }
}

fn notice(product: &ProductRef, code: &str, masked: &[&FieldName]) -> Notice {
    let message = match code {
        "columns_masked" => format!("columns of data product \"{product}\" are masked by policy"),
        "rows_limited" => format!("rows of data product \"{product}\" are limited by policy"),
        _ => format!("a policy applies to data product \"{product}\""),
    };
    let mut detail = format!("Policy code: {code}.");
    if code == "columns_masked" {
        let columns: Vec<String> = masked.iter().map(|name| format!("\"{name}\"")).collect();
        detail.push_str(&format!(" Columns: {}.", columns.join(", ")));
    }
    let mut message = ClientMessage::new(SqlState::SUCCESSFUL_COMPLETION, message).with_detail(detail);
    message.names.schema = Some(product.domain.to_sql());
    message.names.table = Some(product.name.to_sql());
    Notice { severity: "NOTICE", message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::{DomainName, ProductName, Version};

    #[test]
    fn a_notice_is_a_sentence_with_its_code_beside_it() {
        let product: ProductRef = ProductRef {
            domain: DomainName::parse("customer").unwrap(),
            name: ProductName::parse("customer-360").unwrap(),
            version: Version { major: 2, minor: 1, patch: 0 },
        };
        let masked = FieldName::parse("email").unwrap();
        let limited = notice(&product, "rows_limited", &[&masked]).message;
        assert_eq!(limited.message, "rows of data product \"customer/customer-360\" are limited by policy");
        assert_eq!(limited.detail.as_deref(), Some("Policy code: rows_limited."));
        let columns = notice(&product, "columns_masked", &[&masked]).message;
        assert_eq!(columns.detail.as_deref(), Some("Policy code: columns_masked. Columns: \"email\"."));
        assert_eq!(notice(&product, "own_code", &[]).message.message, "a policy applies to data product \"customer/customer-360\"");
    }
}
