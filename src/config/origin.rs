//! Where policies and erasure lists come from: a path, or a location that is asked again and again.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};

use crate::document::Faults;

use super::spec::TlsMode;

/// The longest pause between two looks: a day.
const POLL_MS_MAX: u64 = 86_400_000;

/// As an operator writes it: the location alone, or with what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginSpec(pub OriginKeys);

/// A location and what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OriginKeys {
    /// A path, or an address: file://, http://, https://, s3://; for erasures postgres://host:port/database/schema/table, too.
    pub location: String,
    /// The pause between two looks.
    #[schemars(range(min = 100, max = POLL_MS_MAX))]
    pub poll_ms: Option<u64>,
    /// The longest that one look may take.
    #[schemars(range(min = 100, max = 600_000))]
    pub timeout_ms: Option<u64>,
    /// The longest document.
    #[schemars(range(min = 1_024, max = 4_294_967_296_u64))]
    pub bytes_max: Option<u64>,
    /// Redirects that are followed.
    #[schemars(range(min = 0, max = 10))]
    pub redirects_max: Option<u32>,
    /// Where the bearer token is: env:NAME or file:PATH.
    pub token: Option<String>,
    /// Where the login or the access key is: env:NAME or file:PATH.
    pub credentials: Option<String>,
    /// The authorities that the server's certificate may come from (PEM), in place of the public ones.
    pub authorities: Option<String>,
    /// The region of an S3 store.
    pub region: Option<String>,
    /// The address of an S3 store that is not AWS.
    pub endpoint: Option<String>,
    /// The column of a table that holds the ids.
    pub column: Option<String>,
    /// How the connection to a table's server is protected.
    pub tls: Option<TlsMode>,
}

impl JsonSchema for OriginSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Origin".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = OriginKeys::json_schema(generator);
        schema.insert("type".to_owned(), serde_json::json!(["string", "object"]));
        schema
    }
}

impl<'de> Deserialize<'de> for OriginSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OriginVisitor)
    }
}

struct OriginVisitor;

impl<'de> Visitor<'de> for OriginVisitor {
    type Value = OriginSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a location, or a group of keys with one")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OriginSpec, E> {
        Ok(OriginSpec(OriginKeys { location: text.to_owned(), ..OriginKeys::default() }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OriginSpec, A::Error> {
        OriginKeys::deserialize(MapAccessDeserializer::new(map)).map(OriginSpec)
    }
}

/// Where something that is served by comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file or a folder of this machine.
    Path(PathBuf),
    /// Asked for again and again.
    Remote(Box<Remote>),
}

impl Origin {
    /// The path, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Remote(_) => None,
        }
    }
}

/// A location that is asked again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// What is asked.
    pub location: String,
    /// How.
    pub kind: RemoteKind,
    /// The pause between two looks.
    pub poll_ms: u64,
    /// The longest that one look may take.
    pub timeout_ms: u64,
    /// The longest document.
    pub bytes_max: u64,
}

/// The kinds of locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteKind {
    /// `http://`, `https://`.
    Http {
        /// Redirects that are followed.
        redirects_max: u32,
        /// The bearer token.
        token: Option<Reference>,
        /// PEM file of the authorities.
        authorities: Option<PathBuf>,
    },
    /// `s3://bucket/key`.
    S3 {
        /// Its region.
        region: String,
        /// Its address, if it is not AWS.
        endpoint: Option<String>,
        /// The access key.
        credentials: Reference,
        /// PEM file of the authorities.
        authorities: Option<PathBuf>,
    },
    /// `postgres://host:port/database/schema/table`.
    Postgres {
        /// The column with the ids.
        column: String,
        /// The login.
        credentials: Reference,
        /// What the connection must be protected by.
        tls: TlsMode,
        /// PEM file of the authorities.
        authorities: Option<PathBuf>,
    },
}

/// Where a credential is; never the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// An environment variable.
    Env(String),
    /// A file.
    File(PathBuf),
}

/// What an origin is of, and so which locations it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OriginOf {
    Policies,
    Erasures,
}

impl OriginOf {
    fn pointer(self) -> &'static str {
        match self {
            Self::Policies => "/policies",
            Self::Erasures => "/erasures",
        }
    }

    fn bytes_max(self) -> u64 {
        match self {
            Self::Policies => 32 << 20,
            Self::Erasures => 256 << 20,
        }
    }
}

/// Reads one origin; what is wrong goes to the faults.
pub(super) fn origin(of: OriginOf, spec: &OriginSpec, folder: &Path, faults: &mut Faults<'_>) -> Origin {
    let keys = &spec.0;
    let location = keys.location.trim();
    let (scheme, rest) = location.split_once("://").map_or(("", location), |(scheme, rest)| (scheme, rest));
    let mut reader = Keys { of, keys, folder, faults };
    let kind = match (scheme.to_ascii_lowercase().as_str(), of) {
        ("", _) => return reader.path(location),
        ("file", _) => return reader.path(rest),
        ("http", _) => reader.http(false, rest),
        ("https", _) => reader.http(true, rest),
        ("s3", _) => reader.s3(),
        ("postgres" | "postgresql", OriginOf::Erasures) => reader.postgres(rest),
        ("postgres" | "postgresql", OriginOf::Policies) => {
            reader.fault("location", "a bundle of policies does not come from a table");
            return Origin::Path(folder.to_path_buf());
        }
        _ => {
            reader.fault("location", "the location is neither a path nor an address of a known kind");
            return Origin::Path(folder.to_path_buf());
        }
    };
    Origin::Remote(Box::new(Remote {
        location: location.to_owned(),
        kind,
        poll_ms: keys.poll_ms.unwrap_or(5_000),
        timeout_ms: keys.timeout_ms.unwrap_or(10_000),
        bytes_max: keys.bytes_max.unwrap_or(of.bytes_max()),
    }))
}

struct Keys<'a, 'f, 'm> {
    of: OriginOf,
    keys: &'a OriginKeys,
    folder: &'a Path,
    faults: &'f mut Faults<'m>,
}

impl Keys<'_, '_, '_> {
    fn fault(&mut self, key: &str, message: &str) {
        // Where only the location was written, its place is that of the whole.
        let pointer = format!("{}/{key}", self.of.pointer());
        self.faults.add(&pointer, message.to_owned());
    }

    /// A key that would have no effect is a misunderstanding, and is said.
    fn unused(&mut self, keys: &[(&str, bool)], what: &str) {
        for (key, given) in keys {
            if *given {
                self.fault(key, &format!("\"{key}\" means nothing for {what}"));
            }
        }
    }

    fn path(&mut self, text: &str) -> Origin {
        if text.trim().is_empty() || text.contains('\0') {
            let name = self.of.pointer().trim_start_matches('/');
            self.faults.add(self.of.pointer(), format!("\"{name}\" names no path"));
        }
        let keys = self.keys;
        self.unused(
            &[
                ("poll_ms", keys.poll_ms.is_some()),
                ("timeout_ms", keys.timeout_ms.is_some()),
                ("bytes_max", keys.bytes_max.is_some()),
                ("redirects_max", keys.redirects_max.is_some()),
                ("token", keys.token.is_some()),
                ("credentials", keys.credentials.is_some()),
                ("authorities", keys.authorities.is_some()),
                ("region", keys.region.is_some()),
                ("endpoint", keys.endpoint.is_some()),
                ("column", keys.column.is_some()),
                ("tls", keys.tls.is_some()),
            ],
            "a path",
        );
        Origin::Path(self.folder.join(text))
    }

    fn http(&mut self, encrypted: bool, rest: &str) -> RemoteKind {
        let keys = self.keys;
        if rest.split('/').next().is_none_or(|server| server.is_empty() || server.contains('@')) {
            self.fault("location", "the address names no server, or holds a login; refer to a token instead");
        }
        self.unused(
            &[
                ("credentials", keys.credentials.is_some()),
                ("region", keys.region.is_some()),
                ("endpoint", keys.endpoint.is_some()),
                ("column", keys.column.is_some()),
                ("tls", keys.tls.is_some()),
            ],
            "an address",
        );
        let token = keys.token.as_deref().and_then(|text| self.reference("token", text));
        if token.is_some() && !encrypted && !is_of_this_machine(rest) {
            self.fault("token", "a token would be sent without encryption; use an https:// address");
        }
        RemoteKind::Http { redirects_max: keys.redirects_max.unwrap_or(0), token, authorities: self.authorities() }
    }

    fn s3(&mut self) -> RemoteKind {
        let keys = self.keys;
        self.unused(
            &[
                ("redirects_max", keys.redirects_max.is_some()),
                ("token", keys.token.is_some()),
                ("column", keys.column.is_some()),
                ("tls", keys.tls.is_some()),
            ],
            "an object of a store",
        );
        let region = keys.region.clone().unwrap_or_else(super::spec::first_region);
        RemoteKind::S3 { region, endpoint: keys.endpoint.clone(), credentials: self.credentials(), authorities: self.authorities() }
    }

    fn postgres(&mut self, rest: &str) -> RemoteKind {
        let keys = self.keys;
        if rest.split('/').next().is_some_and(|server| server.contains('@')) {
            self.fault("location", "the location holds a login; refer to credentials instead");
        }
        self.unused(
            &[
                ("redirects_max", keys.redirects_max.is_some()),
                ("token", keys.token.is_some()),
                ("region", keys.region.is_some()),
                ("endpoint", keys.endpoint.is_some()),
            ],
            "a table",
        );
        let tls = keys.tls.unwrap_or(if keys.authorities.is_some() { TlsMode::VerifyFull } else { TlsMode::Prefer });
        if keys.authorities.is_some() && tls < TlsMode::VerifyCa {
            self.fault("authorities", "\"authorities\" means nothing where no certificate is verified");
        }
        let column = keys.column.clone().unwrap_or_else(|| "subject_id".to_owned());
        if column.trim().is_empty() {
            self.fault("column", "\"column\" names no column");
        }
        RemoteKind::Postgres { column, credentials: self.credentials(), tls, authorities: self.authorities() }
    }

    fn authorities(&self) -> Option<PathBuf> {
        self.keys.authorities.as_deref().map(|text| self.folder.join(text))
    }

    fn credentials(&mut self) -> Reference {
        let Some(text) = self.keys.credentials.as_deref() else {
            let location = self.of.pointer();
            self.faults.add(location, "the key \"credentials\" is missing".to_owned());
            return Reference::Env(String::new());
        };
        self.reference("credentials", text).unwrap_or_else(|| Reference::Env(String::new()))
    }

    fn reference(&mut self, key: &str, text: &str) -> Option<Reference> {
        let found = reference(text, self.folder);
        if found.is_none() {
            self.fault(key, &format!("\"{key}\" is neither env:NAME nor file:PATH"));
        }
        found
    }
}

impl Reference {
    /// Reads `env:NAME` or `file:PATH`; a relative path begins where the program was started.
    pub fn parse(text: &str) -> Option<Self> {
        reference(text, Path::new(""))
    }
}

/// Reads `env:NAME` or `file:PATH`.
pub(super) fn reference(text: &str, folder: &Path) -> Option<Reference> {
    match text.split_once(':') {
        Some(("env", name)) if !name.is_empty() => Some(Reference::Env(name.to_owned())),
        Some(("file", path)) if !path.is_empty() => Some(Reference::File(folder.join(path))),
        _ => None,
    }
}

/// Whether an address without its scheme is one of this machine.
fn is_of_this_machine(rest: &str) -> bool {
    let server = rest.split('/').next().unwrap_or_default();
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    host == "localhost" || host == "[::1]" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}
