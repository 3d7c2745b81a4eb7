//! `postgres://host:port/database/schema/table`, and the credentials that a contract refers to.
//!
//! A reference leads to an environment variable or a file that holds `user:password`, or `user=… password=…` as libpq writes it.
//! How connections are protected is the contract's and the configuration's to say: `sslmode` is not read.

use std::path::Path;

use super::super::error::{Error, Place};
use super::super::reference::follow;
use crate::product::CredentialsRef;

/// Where a table is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TableLocation {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) schema: String,
    pub(super) table: String,
}

impl TableLocation {
    /// Reads the location of a port.
    pub(super) fn parse(at: &Place, text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|reason| Error::Location { at: at.clone(), reason })
    }

    /// Reads a location; what is wrong with it otherwise.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let invalid = || "it is not postgres://host:port/database/schema/table";
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://")).ok_or_else(invalid)?;
        let mut parts = rest.split('/');
        let server = parts.next().ok_or_else(invalid)?;
        if server.contains('@') {
            return Err("it holds a login; refer to credentials instead");
        }
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| invalid())?),
            None => (server, 5432),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut name = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned).ok_or_else(invalid);
        let location = Self { host: host.to_owned(), port, database: name()?, schema: name()?, table: name()? };
        if location.host.is_empty() || parts.next().is_some() {
            return Err(invalid());
        }
        Ok(location)
    }

    /// What tells servers and databases apart.
    pub(super) fn server_key(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }

    /// What tells machines apart.
    pub(super) fn machine(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The table as SQL.
    pub(super) fn to_sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }
}

/// An identifier as SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A login.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// Follows a contract's reference.
    pub(super) fn resolve(at: &Place, reference: Option<&CredentialsRef>, root: Option<&Path>) -> Result<Self, Error> {
        let fail = |reason| Error::Credentials { at: at.clone(), reason };
        let text = follow(reference.ok_or_else(|| fail("the port refers to none"))?, root).map_err(fail)?;
        Self::parse(text.trim()).ok_or_else(|| fail("they are neither user:password nor user=… password=…"))
    }

    /// Reads a login.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.split_whitespace().any(|pair| pair.starts_with("user=")) {
            let config: tokio_postgres::Config = text.parse().ok()?;
            let password = config.get_password().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            return Some(Self { user: config.get_user()?.to_owned(), password });
        }
        let (user, password) = text.split_once(':')?;
        (!user.is_empty()).then(|| Self { user: user.to_owned(), password: Some(password.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::place;
    use super::*;

    #[test]
    fn a_location_names_server_database_schema_and_table() {
        let location = TableLocation::parse(&place(), "postgres://db:5433/shop/public/orders").unwrap();
        assert_eq!((location.host.as_str(), location.port, location.to_sql().as_str()), ("db", 5433, "\"public\".\"orders\""));
        for text in
            ["postgres://db/shop/orders", "mysql://db/a/b/c", "postgres://u:p@db/a/b/c", "postgres://db/a/b/c/d", "postgres:///a/b/c"]
        {
            assert!(TableLocation::parse(&place(), text).is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_come_in_two_forms() {
        let expected = Some(Credentials { user: "reader".to_owned(), password: Some("a:b".to_owned()) });
        assert_eq!(Credentials::parse("reader:a:b"), expected);
        assert_eq!(Credentials::parse("user=reader password=a:b"), expected);
        assert_eq!(Credentials::parse("nothing"), None);
    }

    #[test]
    fn credentials_are_not_printed() {
        assert!(!format!("{:?}", Credentials::parse("reader:secret")).contains("secret"));
    }
}
