//! Names as DataHub spells them.

use crate::product::{OutputPort, Product};

/// A port of a product.
pub fn dataset_urn(domain: &str, product: &str, port: &str) -> String {
    format!("urn:li:dataset:(urn:li:dataPlatform:meshgate,{domain}.{product}.{port},PROD)")
}

/// A field of such a dataset.
pub fn field_urn(dataset: &str, field: &str) -> String {
    format!("urn:li:schemaField:({dataset},{field})")
}

/// A port of a product, by its contract.
pub(super) fn port_urn(product: &Product, port: &OutputPort) -> String {
    dataset_urn(product.reference.domain.as_str(), product.reference.name.as_str(), port.name.as_str())
}

/// A name within an entity of one kind, without what a URN cannot hold.
pub(super) fn urn(kind: &str, name: &str) -> String {
    let spelled: String = name.chars().map(|c| if matches!(c, ',' | '(' | ')' | '\u{241f}') { '_' } else { c }).collect();
    format!("urn:li:{kind}:{spelled}")
}
