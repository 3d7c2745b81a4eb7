//! What the tests of ports share.

use super::Place;
use crate::product::{DomainName, PortName, ProductName, ProductRef, Version};

/// A port to complain about.
pub(super) fn place() -> Place {
    let version = Version { major: 1, minor: 0, patch: 0 };
    let product = ProductRef { domain: DomainName::parse("shop").unwrap(), name: ProductName::parse("orders").unwrap(), version };
    Place { product, port: PortName::parse("main").unwrap() }
}
