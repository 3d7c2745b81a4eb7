//! Where statements come from, put into words once for all that come from there.

use std::sync::Arc;

use serde::Serialize;

use super::fields::json;

/// Who asks, and from where: the fields of `statement_opened` that are the same from one statement to the next.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Origin {
    /// The session's id.
    pub session_id: String,
    /// The login's name.
    pub principal: String,
    /// The principal's roles at login.
    pub roles: Vec<String>,
    /// The data product in whose name the principal reads (`domain/product`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<String>,
    /// `application_name`, as the client claims.
    pub application_name: String,
    /// `meshgate.purpose`, as the client claims.
    pub purpose: Option<String>,
    /// Address and port of the client.
    pub client_address: Option<String>,
    /// The database of the connection.
    pub database: String,
}

impl Origin {
    /// As it stands in each record.
    pub fn written(&self) -> WrittenOrigin {
        let mut object = Vec::new();
        json(&mut object, self);
        // Its fields stand among others.
        let fields = object.strip_prefix(b"{").and_then(|fields| fields.strip_suffix(b"}"));
        WrittenOrigin(fields.unwrap_or_default().into())
    }
}

/// An origin in the words of a record.
#[derive(Debug, Clone)]
pub struct WrittenOrigin(Arc<[u8]>);

impl WrittenOrigin {
    /// Its fields, with commas between them.
    pub(super) fn fields(&self) -> &[u8] {
        &self.0
    }
}

impl Default for WrittenOrigin {
    fn default() -> Self {
        Origin::default().written()
    }
}
