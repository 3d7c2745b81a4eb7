//! What a policy is asked, once per product and statement.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::identity::Principal;
use crate::product::{FieldName, PortName, Product};

/// One question to the decision point.
#[derive(Debug, Clone)]
pub struct AccessRequest {
    /// Who asks.
    pub principal: Arc<Principal>,
    /// What for, as the caller claims (`SET meshgate.purpose`).
    pub purpose: Option<String>,
    /// The product.
    pub product: Arc<Product>,
    /// The output port.
    pub port: PortName,
    /// Every field that the statement reads, whether it shows it or not, in the order of the schema.
    pub fields: Vec<RequestedField>,
    /// The circumstances.
    pub context: RequestContext,
}

/// One field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedField {
    /// The field.
    pub name: FieldName,
    /// The ways in which the statement uses it, sorted, each once.
    pub uses: Vec<FieldUse>,
}

/// A way in which a statement uses a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldUse {
    /// Its value, or something computed from it, is in the result.
    Projected,
    /// In a WHERE or HAVING.
    Filtered,
    /// In a join's condition.
    Joined,
    /// In GROUP BY or DISTINCT.
    Grouped,
    /// In ORDER BY.
    Sorted,
    /// In an aggregate or window function.
    Aggregated,
}

impl FieldUse {
    /// The word for it in requests, audit records and lineage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Projected => "projected",
            Self::Filtered => "filtered",
            Self::Joined => "joined",
            Self::Grouped => "grouped",
            Self::Sorted => "sorted",
            Self::Aggregated => "aggregated",
        }
    }
}

/// The circumstances of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The statement's id, as in the audit log.
    pub query_id: String,
    /// The statement's clock.
    pub now: DateTime<Utc>,
    /// `application_name`, as the client claims.
    pub application_name: String,
    /// Where the connection comes from.
    pub client_address: Option<SocketAddr>,
}
