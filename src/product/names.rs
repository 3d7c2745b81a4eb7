//! Names that must not be mixed, each a type of its own.

use std::fmt;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no valid {what}: {reason}")]
pub struct NameError {
    what: &'static str,
    text: String,
    reason: &'static str,
}

/// PostgreSQL truncates longer identifiers; we refuse them instead.
const NAME_BYTES_MAX: usize = 63;

fn check(what: &'static str, text: &str) -> Result<(), NameError> {
    let reason = if text.is_empty() {
        "it is empty"
    } else if text.len() > NAME_BYTES_MAX {
        "it is longer than 63 bytes"
    } else if text.chars().any(|c| c.is_control() || c == '"') {
        "it has a control character or a double quote"
    } else {
        return Ok(());
    };
    Err(NameError { what, text: text.to_owned(), reason })
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks a text and takes it as a name, as written.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check($what, text)?;
                Ok(Self(text.into()))
            }

            /// The name as written in the contract.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as an SQL identifier that needs no quotes: lower case, `-`, `.` and spaces as `_`.
            pub fn to_sql(&self) -> String {
                self.0.chars().map(|c| if matches!(c, '-' | '.' | ' ') { '_' } else { c.to_ascii_lowercase() }).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

name_type!(
    /// A domain; a schema in SQL.
    DomainName, "domain name");
name_type!(
    /// A data product; a table in SQL.
    ProductName, "product name");
name_type!(
    /// An output port.
    PortName, "port name");
name_type!(
    /// A field; a column in SQL.
    FieldName, "field name");

/// A semantic version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Incompatible changes.
    pub major: u32,
    /// Compatible additions.
    pub minor: u32,
    /// Corrections.
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// One version of one product of one domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProductRef {
    /// The owning domain.
    pub domain: DomainName,
    /// The product.
    pub name: ProductName,
    /// The version.
    pub version: Version,
}

impl fmt::Display for ProductRef {
    /// `customer/customer-360`: what users call it. The version is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.name)
    }
}
