//! The data product: its contract as the rest of the gateway sees it. Pure: no clock, no I/O.
//!
//! A [`Product`] exists only after validation; the YAML form and its checks are in `spec` and `validate`.
//! It does not know where its data lies beyond the text of a location, nor who may read it.

mod data_type;
pub mod mask;
mod names;
pub mod sla;
pub mod spec;
pub mod validate;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use data_type::{DataType, DataTypeError};
pub use mask::Mask;
pub use names::{DomainName, FieldName, NameError, PortName, ProductName, ProductRef, Version};

/// The schema of the gateway's own relations; no domain can be called so.
pub const OWN_SCHEMA: &str = "mesh";

/// A validated data product.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Domain, name and version.
    pub reference: ProductRef,
    /// A stable identifier that survives renames (`metadata.id`), else `urn:dp:<domain>:<name>`.
    pub id: String,
    /// The owning team: whom to ask.
    pub owner: String,
    /// What the product is, in the owner's words.
    pub description: Option<String>,
    /// Free tags.
    pub tags: Vec<String>,
    /// Where in its life the product stands.
    pub status: Status,
    /// Set when the product is deprecated.
    pub deprecation: Option<Deprecation>,
    /// Where the rows can be read; never empty.
    pub output_ports: Vec<OutputPort>,
    /// Index into `output_ports` of the port that answers the product's name; `None` when every port is a stream.
    pub default_port: Option<usize>,
    /// What the product is made from.
    pub input_ports: Vec<InputPort>,
    /// The owner's quality rules.
    pub quality_checks: Vec<QualityCheck>,
    /// The typed columns in order. `None`: the contract names no schema; the source's own is taken when it is opened.
    pub schema: Option<Arc<[Field]>>,
    /// What the policies need to know.
    pub governance: Governance,
    /// IANA name of the domain's time zone, for SLA texts.
    pub timezone: String,
}

impl Product {
    /// The port that answers the product's own name.
    pub fn default_output_port(&self) -> Option<&OutputPort> {
        self.output_ports.get(self.default_port?)
    }

    /// Whether it is a relation of the gateway's own and no product of a domain.
    pub fn is_own(&self) -> bool {
        self.output_ports.iter().any(|port| matches!(port.format, PortFormat::Own(_)))
    }

    /// Whether what is no value of a field's type is read as NULL from a port of this format. Never where NULL would say something: in
    /// a key, in a field that is never NULL, in the dates of retention, and in the ids of people who may be erased.
    pub fn reads_as_null(&self, format: &PortFormat, field: &Field) -> bool {
        let named = [&self.governance.retention_column, &self.governance.subject_column];
        let tells = field.required || field.primary_key || named.iter().any(|name| name.as_ref() == Some(&field.name));
        format.on_error() == OnError::Null && !tells
    }

    /// The port of that name.
    pub fn output_port(&self, name: &PortName) -> Option<&OutputPort> {
        self.output_ports.iter().find(|port| &port.name == name)
    }

    /// The longest that its freshest port promises to lag behind; `None`: none promises anything.
    pub fn freshness_seconds(&self) -> Option<u64> {
        let texts = self.output_ports.iter().filter_map(|port| port.sla.freshness.as_deref());
        texts.filter_map(|text| sla::Freshness::parse(text).ok()).map(|freshness| freshness.lag_seconds_max()).min()
    }

    /// The field of that name.
    pub fn field(&self, name: &FieldName) -> Option<&Field> {
        self.schema.as_deref()?.iter().find(|field| &field.name == name)
    }
}

/// `metadata.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Proposed: listed, not queryable.
    Proposed,
    /// Draft: queryable, not promised.
    Draft,
    /// Active.
    #[default]
    Active,
    /// Deprecated: answers with a notice.
    Deprecated,
    /// Retired: listed, not queryable.
    Retired,
}

/// `metadata.deprecation`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deprecation {
    /// ISO date from which it is deprecated.
    pub since: Option<String>,
    /// ISO date after which it goes away.
    pub sunset: Option<String>,
    /// What to use instead.
    pub replaced_by: Option<String>,
    /// A note for users.
    pub note: Option<String>,
}

/// One place where the product's rows can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputPort {
    /// Unique within the product.
    pub name: PortName,
    /// batch, stream or table.
    pub kind: PortKind,
    /// What lies there.
    pub format: PortFormat,
    /// `file://…`, a relative path (to the catalog's data folder), `postgres://host:port/database/schema/table`, `s3://…`.
    /// Never holds a credential. Empty for a stream.
    pub location: String,
    /// Hive or date partitioning, as text of the contract.
    pub partitioning: Option<String>,
    /// A reference (`env:NAME` or `file:PATH`) to credentials, never the credentials.
    pub credentials: Option<CredentialsRef>,
    /// How connections to its server are protected.
    pub tls: ServerTls,
    /// Where the keys of its files are found, if these are encrypted.
    pub encryption: Option<FileKeys>,
    /// Who is answered.
    pub access: PortAccess,
    /// Promised freshness and uptime, as texts of the contract.
    pub sla: Sla,
}

/// `type` of an output port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortKind {
    /// Files written in batches.
    Batch,
    /// A stream: listed and described, not queryable.
    Stream,
    /// A table of a database.
    Table,
}

/// `format` of an output port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortFormat {
    /// Delimited text.
    Csv(CsvDialect),
    /// JSON objects, one a line.
    Ndjson(OnError),
    /// Arrow IPC files.
    Arrow,
    /// Avro object container files.
    Avro,
    /// Apache Parquet.
    Parquet,
    /// A table or view of a PostgreSQL server.
    Postgres,
    /// A format of a stream port (avro, json, protobuf, …): described, not read.
    Stream(String),
    /// A relation of the gateway's own, in the schema `mesh`. No contract can name it.
    Own(OwnRows),
}

impl PortFormat {
    /// Its name, as in a contract.
    pub fn name(&self) -> &str {
        match self {
            Self::Csv(_) => "csv",
            Self::Ndjson(_) => "ndjson",
            Self::Arrow => "arrow",
            Self::Avro => "avro",
            Self::Parquet => "parquet",
            Self::Postgres => "postgres",
            Self::Stream(format) => format,
            Self::Own(_) => "gateway",
        }
    }

    /// What becomes of a text that is no value of its column's type.
    pub fn on_error(&self) -> OnError {
        match self {
            Self::Csv(dialect) => dialect.on_error,
            Self::Ndjson(on_error) => *on_error,
            Self::Arrow | Self::Avro | Self::Parquet | Self::Postgres | Self::Stream(_) | Self::Own(_) => OnError::Fail,
        }
    }
}

/// What becomes of a text that is no value of its column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The statement ends.
    #[default]
    Fail,
    /// It is read as NULL, where the column may be NULL.
    Null,
}

/// Whose the rows of a relation of the gateway's own are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnRows {
    /// Each row is of the login that this field names.
    OfLogin(FieldName),
    /// They are made for each login from what it may know of.
    OfReader,
    /// It is a view over relations of the gateway's own, and has no rows by itself.
    View,
}

/// CSV does not describe itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvDialect {
    /// Whether the first line of each file names the columns. Columns are then matched by name, else by position.
    pub header: bool,
    /// One byte.
    pub delimiter: u8,
    /// One byte.
    pub quote: u8,
    /// The text that stands for NULL. Unquoted or quoted alike.
    pub null_value: String,
    /// Compression of the files.
    pub compression: Compression,
    /// What becomes of a text that is no value of its column's type.
    pub on_error: OnError,
}

impl Default for CsvDialect {
    fn default() -> Self {
        Self {
            header: true,
            delimiter: b',',
            quote: b'"',
            null_value: String::new(),
            compression: Compression::None,
            on_error: OnError::Fail,
        }
    }
}

/// Compression of text files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

/// The two access classes of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortAccess {
    /// Answers everyone who logged in.
    #[default]
    Open,
    /// Needs the role `restricted` or `restricted:<domain>`.
    Restricted,
}

/// Where credentials are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialsRef {
    /// An environment variable.
    Env(String),
    /// A file, absolute or relative to the configuration's credentials folder.
    File(String),
}

/// Where the keys of encrypted files are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKeys {
    /// The keys themselves.
    Direct {
        /// Of footers, and of columns without a key of their own.
        footer: CredentialsRef,
        /// Of columns, by their names in the files.
        columns: BTreeMap<String, CredentialsRef>,
    },
    /// Master keys, by their names in the files: they open the keys that lie wrapped there.
    Wrapping(BTreeMap<String, CredentialsRef>),
}

/// How connections to a port's server are protected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerTls {
    /// What is asked of them.
    pub mode: TlsMode,
    /// Where the certificates (PEM) of those are whom to believe; `None`: those of the configuration.
    pub authorities: Option<CredentialsRef>,
}

/// What is asked of a connection to a server. A later one asks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS if the server has it.
    #[default]
    Prefer,
    /// TLS with any certificate.
    Require,
    /// TLS with a certificate of a known authority.
    VerifyCa,
    /// TLS with a certificate of a known authority for the server's own name.
    VerifyFull,
}

/// Service levels, as the contract words them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sla {
    /// For example `< 5 minutes`.
    pub freshness: Option<String>,
    /// For example `99.9%`.
    pub uptime: Option<String>,
}

/// An upstream product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPort {
    /// The upstream product's domain.
    pub domain: DomainName,
    /// The upstream product's name.
    pub product: ProductName,
    /// The fields that are read.
    pub fields: Vec<FieldName>,
    /// The major version that is read, if pinned.
    pub version: Option<String>,
}

impl InputPort {
    /// The major version that is read, if pinned.
    pub fn major(&self) -> Option<u32> {
        let pinned = self.version.as_deref()?;
        validate::parse_version(pinned.trim_start_matches('v')).map(|version| version.major)
    }

    /// Whether it is that version of that product.
    pub fn is(&self, reference: &ProductRef) -> bool {
        self.domain == reference.domain
            && self.product == reference.name
            && self.major().is_none_or(|major| major == reference.version.major)
    }

    /// The product that it is, of these: the highest version that fits.
    pub fn of<'p>(&self, products: &'p [Arc<Product>]) -> Option<&'p Arc<Product>> {
        products.iter().filter(|product| self.is(&product.reference)).max_by_key(|product| product.reference.version)
    }
}

/// A quality rule of the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QualityCheck {
    /// The rule's text.
    pub rule: String,
    /// A warning alerts; an error blocks.
    pub blocking: bool,
}

/// A typed column of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name clients see, folded to lower case where the contract did not quote it otherwise.
    pub name: FieldName,
    /// The column's name at the source, when it differs.
    pub physical_name: Option<String>,
    /// Its type.
    pub data_type: DataType,
    /// Never NULL.
    pub required: bool,
    /// Part of the primary key.
    pub primary_key: bool,
    /// public | internal | confidential | restricted, free text.
    pub classification: Option<String>,
    /// What it means.
    pub description: Option<String>,
}

impl Field {
    /// The column's name at the source.
    pub fn source_name(&self) -> &str {
        self.physical_name.as_deref().unwrap_or_else(|| self.name.as_str())
    }
}

/// What the policies need to know of a product.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Governance {
    /// Fields with personal data.
    pub pii_fields: Vec<FieldName>,
    /// public | internal | confidential | restricted.
    pub data_classification: String,
    /// Days that a record may be read, if retention applies.
    pub retention_days: Option<u32>,
    /// The column that dates a record. Present whenever `retention_days` is.
    pub retention_column: Option<FieldName>,
    /// Whether erased people's records are hidden.
    pub gdpr_subject_to_erasure: bool,
    /// The column that names the person. Present whenever `gdpr_subject_to_erasure` is true.
    pub subject_column: Option<FieldName>,
    /// The column that tells how fresh the data is.
    pub freshness_column: Option<FieldName>,
    /// `opa://…` of the product's own policy package.
    pub access_policy: Option<String>,
    /// What happens to a PII field that the principal may not read.
    pub pii_action: PiiAction,
    /// The mask of each field.
    pub masks: Vec<(FieldName, Mask)>,
    /// The compatibility promise, as text.
    pub compatibility: Option<String>,
}

/// `governance.pii_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PiiAction {
    /// The statement is refused.
    #[default]
    Deny,
    /// The column is masked.
    Mask,
}
