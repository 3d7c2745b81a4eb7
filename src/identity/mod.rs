//! Who is calling: [`Principal`], and the stores that map a login to one.
//!
//! INVARIANT: a principal is what the directory says of a login, and never changes itself; nothing in SQL or in the start-up options
//! alters who one is.

mod directory;
pub mod scram;

use std::collections::{BTreeMap, BTreeSet};

pub use directory::{Directory, Login, PrincipalSpec, PrincipalsSpec, schema};
pub use scram::{ScramError, ScramServer, ScramVerifier};

/// The authenticated caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// The login's name.
    pub name: String,
    /// Roles, as the policies name them.
    pub roles: BTreeSet<String>,
    /// Groups.
    pub groups: BTreeSet<String>,
    /// Whether the caller is a data steward.
    pub is_data_steward: bool,
    /// Further facts that rules may use.
    pub attributes: BTreeMap<String, serde_json::Value>,
}

impl Principal {
    /// Whether the principal has that role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    /// Whether the principal may have a query explained as it would be for somebody else.
    pub fn explains_for_others(&self) -> bool {
        self.is_data_steward || self.has_role("policy_auditor")
    }

    /// A catalogue's harvester: discovers every product and reads no row.
    pub fn reads_metadata_only(&self) -> bool {
        self.has_role("metadata")
    }
}
