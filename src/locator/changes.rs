//! What has come, changed and gone from one view of the contracts to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::product::{Product, ProductRef};

use super::Snapshot;

/// What became of a contract.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It was not there before.
    Registered(Arc<Product>),
    /// It says something else than before.
    Changed(Arc<Product>),
    /// It is not there any more.
    Withdrawn(Arc<Product>),
}

impl Change {
    /// The word in records.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Registered(_) => "registered",
            Self::Changed(_) => "changed",
            Self::Withdrawn(_) => "withdrawn",
        }
    }

    /// The product, as it is now or was last.
    pub fn product(&self) -> &Product {
        match self {
            Self::Registered(product) | Self::Changed(product) | Self::Withdrawn(product) => product,
        }
    }
}

/// Every contract that is not the same in both, in the order of the products' names.
pub fn changes(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let by_name = |snapshot: &Snapshot| -> BTreeMap<ProductRef, Arc<Product>> {
        snapshot.products().into_iter().map(|product| (product.reference.clone(), product)).collect()
    };
    let (mut before, after) = (by_name(before), by_name(after));
    let mut changes = Vec::new();
    for (reference, product) in after {
        match before.remove(&reference) {
            None => changes.push(Change::Registered(product)),
            Some(known) if known != product => changes.push(Change::Changed(product)),
            Some(_) => {}
        }
    }
    changes.extend(before.into_values().map(Change::Withdrawn));
    changes.sort_by(|a, b| a.product().reference.cmp(&b.product().reference));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locator::{Located, TableEntry};
    use crate::product::validate::{DomainDefaults, parse};

    fn snapshot(products: &[(&str, &str)]) -> Snapshot {
        let entry = |(name, owner): &(&str, &str)| {
            let text = format!(
                "apiVersion: data-mesh/v1\nkind: DataProduct\nmetadata: {{name: {name}, version: \"1.0.0\", owner: {owner}, domain: d}}\nspec: {{outputPorts: [{{name: p, type: batch, format: parquet, location: x}}]}}\n"
            );
            let product = Arc::new(parse("p.yaml", &text, &DomainDefaults::default()).unwrap());
            TableEntry { schema: "d".into(), table: (*name).into(), located: Located { product, port: None }, listed: true }
        };
        Snapshot::new("r".into(), [], products.iter().map(entry).collect::<Vec<_>>())
    }

    #[test]
    fn what_came_what_changed_and_what_went_is_told() {
        let (before, after) = (snapshot(&[("a", "x"), ("b", "x"), ("c", "x")]), snapshot(&[("b", "y"), ("c", "x"), ("e", "x")]));
        let told: Vec<String> =
            changes(&before, &after).iter().map(|change| format!("{} {}", change.as_str(), change.product().reference.name)).collect();
        assert_eq!(told, ["withdrawn a", "changed b", "registered e"]);
        assert_eq!(changes(&after, &after), []);
    }
}
