//! The contract as a domain team writes it: the YAML form, and nothing more.
//!
//! What the texts mean and which of them fit together is checked in `validate`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// A data product's contract.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractSpec {
    /// `data-mesh/v1`
    #[serde(rename = "apiVersion")]
    #[expect(dead_code, reason = "its only value is checked when it is read")]
    api_version: ApiVersion,
    /// `DataProduct`
    #[expect(dead_code, reason = "its only value is checked when it is read")]
    kind: Kind,
    /// Whose product it is and what it is called.
    pub metadata: MetadataSpec,
    /// What it offers and promises.
    pub spec: ProductSpec,
}

/// `apiVersion`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only version so far.
    #[serde(rename = "data-mesh/v1")]
    V1,
}

/// `kind`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub enum Kind {
    /// A data product.
    DataProduct,
}

/// `metadata`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetadataSpec {
    /// The product's name; the table's name in SQL, with `_` for `-`.
    pub name: String,
    /// Semantic version, in quotes: "2.1.0".
    pub version: String,
    /// The team that owns it.
    pub owner: String,
    /// The domain; the schema's name in SQL.
    pub domain: String,
    /// Free tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// A stable identifier that survives renames.
    pub id: Option<String>,
    /// Where in its life the product stands.
    pub status: Option<StatusSpec>,
    /// Set when users should move on.
    pub deprecation: Option<DeprecationSpec>,
}

/// `metadata.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatusSpec {
    /// Listed, not queryable.
    Proposed,
    /// Queryable, not promised.
    Draft,
    /// Queryable and promised.
    Active,
    /// Answers with a notice.
    Deprecated,
    /// Listed, not queryable.
    Retired,
}

/// `metadata.deprecation`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeprecationSpec {
    /// ISO date from which it is deprecated.
    pub since: Option<String>,
    /// ISO date after which it goes away.
    pub sunset: Option<String>,
    /// `domain/product` or `domain/product@major`.
    #[serde(rename = "replacedBy")]
    pub replaced_by: Option<String>,
    /// A note for users.
    pub note: Option<String>,
}

/// `spec`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductSpec {
    /// What the product is.
    pub description: Option<String>,
    /// Where its rows can be read.
    #[serde(rename = "outputPorts")]
    #[schemars(length(min = 1))]
    pub output_ports: Vec<OutputPortSpec>,
    /// What it is made from.
    #[serde(rename = "inputPorts", default)]
    pub input_ports: Vec<InputPortSpec>,
    /// The owner's quality rules.
    #[serde(rename = "qualityChecks", default)]
    pub quality_checks: Vec<QualityCheckSpec>,
    /// The typed columns, in order.
    #[schemars(length(min = 1))]
    pub schema: Option<Vec<FieldSpec>>,
    /// What the policies need to know.
    #[serde(default)]
    pub governance: GovernanceSpec,
}

/// One of `spec.outputPorts`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputPortSpec {
    /// Unique within the product.
    pub name: String,
    /// batch, table or stream.
    #[serde(rename = "type")]
    pub kind: PortKindSpec,
    /// csv, ndjson, arrow, avro, parquet or postgres; any word for a stream.
    pub format: String,
    /// Where the data lies: a path, `file:///…`, `s3://bucket/…`, `gs://…`, `az://…`, `https://host/file` or
    /// `postgres://host:port/database/schema/table`; without credentials.
    pub location: Option<String>,
    /// The folders that files lie in, from the outermost, with slashes between: region/day. Those that are columns are read from there.
    pub partitioning: Option<String>,
    /// A stream's schema, by reference.
    pub schema: Option<String>,
    /// A stream's topic.
    pub topic: Option<String>,
    /// Promised freshness and uptime.
    #[serde(default)]
    pub sla: SlaSpec,
    /// Where the credentials are found; never the credentials.
    pub credentials: Option<CredentialsSpec>,
    /// How connections to the port's server are protected.
    pub tls: Option<TlsSpec>,
    /// The keys of encrypted Parquet files.
    pub encryption: Option<EncryptionSpec>,
    /// The port that answers the product's name.
    #[serde(default)]
    pub default: bool,
    /// Who is answered.
    #[serde(default)]
    pub access: AccessSpec,
    /// How the CSV files are written.
    pub csv: Option<CsvSpec>,
    /// What becomes of a text that is no value of its column's type, in CSV and NDJSON: "fail" ends the statement, "null" reads NULL where
    /// the column may be NULL.
    pub on_error: Option<OnErrorSpec>,
}

/// `on_error` of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnErrorSpec {
    /// The statement ends.
    Fail,
    /// It is read as NULL.
    Null,
}

/// `type` of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PortKindSpec {
    /// Files written in batches.
    Batch,
    /// A table of a database.
    Table,
    /// A stream: described, not queryable.
    Stream,
}

/// `access` of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessSpec {
    /// Answers everyone who logged in.
    #[default]
    Open,
    /// Needs the role `restricted` or `restricted:<domain>`.
    Restricted,
}

/// `sla` of a port.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlaSpec {
    /// For example "< 2 hours after midnight UTC".
    pub freshness: Option<String>,
    /// For example "99.9%".
    pub uptime: Option<String>,
}

/// `credentials` of a port.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialsSpec {
    /// `env:NAME` or `file:PATH`.
    #[serde(rename = "ref")]
    pub reference: String,
}

/// `encryption` of a port: keys of 16 or 32 bytes, in hexadecimal digits, by reference.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncryptionSpec {
    /// The key of the files' footers, and of all columns without one of their own.
    pub footer_key: Option<CredentialsSpec>,
    /// Keys of columns, by their names in the files.
    #[serde(default)]
    pub column_keys: BTreeMap<String, CredentialsSpec>,
    /// Instead of these: master keys, by their names in the files, for the keys that lie wrapped there.
    #[serde(default)]
    pub master_keys: BTreeMap<String, CredentialsSpec>,
}

/// `tls` of a port.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// What is asked of a connection.
    #[serde(default)]
    pub mode: TlsModeSpec,
    /// The certificates (PEM) of the authorities, by reference.
    pub authorities: Option<CredentialsSpec>,
}

/// `mode` of `tls`, each with the meaning that it has for libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsModeSpec {
    /// No TLS.
    Disable,
    /// TLS if the server has it.
    Prefer,
    /// TLS with any certificate.
    Require,
    /// TLS with a certificate of a known authority.
    VerifyCa,
    /// TLS with a certificate of a known authority for the server's own name.
    #[default]
    VerifyFull,
}

/// `csv` of a port.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvSpec {
    /// Whether the first line names the columns; true if not given.
    pub header: Option<bool>,
    /// One character; a comma if not given.
    pub delimiter: Option<String>,
    /// One character; a double quote if not given.
    pub quote: Option<String>,
    /// The text that stands for NULL; the empty text if not given.
    pub null_value: Option<String>,
    /// Compression of the files.
    #[serde(default)]
    pub compression: CompressionSpec,
}

/// `csv.compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CompressionSpec {
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

/// One of `spec.inputPorts`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputPortSpec {
    /// `domain/product`.
    #[serde(rename = "sourceProduct")]
    pub source_product: String,
    /// The fields that are read.
    #[serde(default)]
    pub fields: Vec<String>,
    /// The major version that is read, in quotes.
    pub version: Option<String>,
}

/// One of `spec.qualityChecks`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QualityCheckSpec {
    /// A condition that holds for every row, or one over `completeness(column)`.
    pub rule: String,
    /// Whether a breach blocks.
    #[serde(default)]
    pub severity: SeveritySpec,
}

/// `severity` of a quality check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeveritySpec {
    /// Blocks.
    #[default]
    Error,
    /// Alerts.
    Warning,
}

/// One of `spec.schema`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldSpec {
    /// The column's name.
    pub name: String,
    /// Its type: string, varchar(n), boolean, int16, int32, int64, float32, float64, decimal(p, s), date, time, timestamp, timestamptz,
    /// interval, uuid, json, bytes, list<type>.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Never NULL.
    #[serde(default)]
    pub required: bool,
    /// Part of the primary key.
    #[serde(rename = "primaryKey", default)]
    pub primary_key: bool,
    /// How sensitive it is.
    pub classification: Option<String>,
    /// What it means.
    pub description: Option<String>,
    /// The column's name at the source, when it differs.
    #[serde(rename = "physicalName")]
    pub physical_name: Option<String>,
}

/// `spec.governance`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GovernanceSpec {
    /// Fields with personal data.
    #[serde(default)]
    pub pii_fields: Vec<String>,
    /// How sensitive the product is; restricted if not given.
    #[serde(default)]
    pub data_classification: ClassificationSpec,
    /// Days that a record may be read.
    #[schemars(range(min = 1, max = 36500))]
    pub retention_days: Option<u32>,
    /// Whether erased people's records are hidden.
    #[serde(default)]
    pub gdpr_subject_to_erasure: bool,
    /// `opa://…` of the product's own policy.
    pub access_policy: Option<String>,
    /// The column that dates a record; needed with retention_days.
    pub retention_column: Option<String>,
    /// The column that names the person; needed for erasure unless there is a primary key of one column.
    pub subject_column: Option<String>,
    /// The column that tells how fresh the data is.
    pub freshness_column: Option<String>,
    /// What happens to a PII field that the caller may not read.
    #[serde(default)]
    pub pii_action: PiiActionSpec,
    /// The mask of each field: its name, or mask, value, width, key; or an expression.
    #[serde(default)]
    pub masks: BTreeMap<String, MaskSpec>,
    /// The compatibility that new versions keep.
    pub compatibility: Option<CompatibilitySpec>,
}

/// A mask as it is written: a name, or a name with parameters, or an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskSpec(pub serde_json::Map<String, serde_json::Value>);

impl JsonSchema for MaskSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Mask".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "object"],
            "properties": {
                "mask": {"type": "string", "description": "The mask's name."},
                "value": {"description": "The constant of mask-to-fixed-value."},
                "width": {"type": ["number", "string"], "description": "The width of a bucket."},
                "key": {"type": "string", "description": "The name of the secret of hmac-sha-256."},
                "expression": {"type": "string", "description": "SQL over the product's columns, in place of a mask."}
            },
            "additionalProperties": false
        })
    }
}

impl<'de> Deserialize<'de> for MaskSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(name) => Ok(Self([("mask".to_owned(), name.into())].into_iter().collect())),
            serde_json::Value::Object(keys) => Ok(Self(keys)),
            _ => Err(D::Error::custom("a mask is a name or a group of keys")),
        }
    }
}

/// `governance.data_classification`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClassificationSpec {
    /// For everyone.
    Public,
    /// For the company.
    Internal,
    /// For those who need it.
    Confidential,
    /// For few.
    #[default]
    Restricted,
}

/// `governance.pii_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PiiActionSpec {
    /// The statement is refused.
    #[default]
    Deny,
    /// The column is masked.
    Mask,
}

/// `governance.compatibility`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CompatibilitySpec {
    /// No promise.
    None,
    /// New readers read old data.
    Backward,
    /// The same against every earlier version.
    BackwardTransitive,
    /// Old queries run on new data.
    Forward,
    /// The same against every earlier version.
    ForwardTransitive,
    /// Both.
    Full,
    /// Both, against every earlier version.
    FullTransitive,
}

impl CompatibilitySpec {
    /// Its name in contracts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }
}

impl ClassificationSpec {
    /// Its name in contracts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Confidential => "confidential",
            Self::Restricted => "restricted",
        }
    }
}

/// The JSON Schema of a contract, for editors.
pub fn schema() -> serde_json::Value {
    crate::document::schema_of::<ContractSpec>()
}
