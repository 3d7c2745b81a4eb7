//! Who is calling: [`Principal`], and the stores that map a login to one.
//!
//! INVARIANT: a principal is what the directory says of a login, and never changes itself; nothing in SQL or in the start-up options
//! alters who one is.

pub mod certificate;
pub mod der;
mod directory;
pub mod scram;
pub mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use certificate::{CertificateNames, CertificateRules};
pub use directory::{Directory, GroupSpec, Login, PrincipalSpec, PrincipalsSpec, schema};
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
    /// The data product in whose name the caller reads (`domain/product`), as a pipeline does for what it makes.
    pub product: Option<String>,
}

/// A caller who has proved who it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// How it was proved.
    pub proof: Proof,
}

/// How a caller has proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By knowing a password.
    Password,
    /// By the key of a certificate.
    Certificate,
    /// By a token.
    Token {
        /// Who issued it.
        issuer: String,
        /// When the session must end.
        session_ends: DateTime<Utc>,
    },
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
