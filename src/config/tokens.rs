//! `tokens`: whose JSON Web Tokens prove a login, and which claims say who it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::Faults;

use super::texts::Texts;

/// `tokens`, as an operator writes it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokensSpec {
    /// Who issues them.
    #[schemars(length(min = 1, max = 32))]
    pub issuers: Vec<IssuerSpec>,
    /// Whether a login without a password is asked for its token in place of one.
    #[serde(default = "super::spec::yes")]
    pub password_field: bool,
    /// Whether a client on the gateway's own machine may send a token without encryption.
    #[serde(default)]
    pub plain_on_loopback: bool,
}

/// One issuer, as an operator writes it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerSpec {
    /// Its address, exactly as in its tokens.
    pub issuer: String,
    /// For whom its tokens must be: one of these.
    pub audience: Texts,
    /// The file or address of its keys (JWKS); without it, the issuer is asked where they are.
    pub keys: Option<String>,
    /// The authorities that the issuer's certificate may come from (PEM), in place of the public ones.
    pub authorities: Option<String>,
    /// How its tokens may be signed.
    #[serde(default = "usual_algorithms")]
    #[schemars(length(min = 1))]
    pub algorithms: Vec<TokenAlgorithm>,
    /// Which claims say who one is.
    #[serde(default)]
    pub claims: ClaimsSpec,
    /// What clients are told to ask the issuer for.
    #[serde(default = "openid")]
    pub scope: String,
    /// How far its clock may be apart from the gateway's.
    #[serde(default = "leeway_ms")]
    #[schemars(range(min = 0, max = 300_000))]
    pub leeway_ms: u64,
    /// How long a session may outlast its token.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400_000))]
    pub grace_ms: u64,
    /// The pause between two looks at its keys, where they have an address.
    #[serde(default = "refresh_ms")]
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub refresh_ms: u64,
    /// The longest that one look at its keys may take.
    #[serde(default = "timeout_ms")]
    #[schemars(range(min = 100, max = 60_000))]
    pub timeout_ms: u64,
}

/// Ways to sign a token. None of them has a shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TokenAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// Claims by name, or by JSON pointer (`/realm_access/roles`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimsSpec {
    /// The login's name.
    pub user: String,
    /// Roles.
    pub roles: Texts,
    /// Groups.
    pub groups: Texts,
    /// Whether one is a data steward.
    pub is_data_steward: Option<String>,
    /// Further facts, by their names for the rules.
    pub attributes: BTreeMap<String, String>,
    /// The data product in whose name one reads (domain/product).
    pub product: Option<String>,
}

impl Default for ClaimsSpec {
    fn default() -> Self {
        Self {
            user: "sub".to_owned(),
            roles: Texts::default(),
            groups: Texts::default(),
            is_data_steward: None,
            attributes: BTreeMap::new(),
            product: None,
        }
    }
}

fn usual_algorithms() -> Vec<TokenAlgorithm> {
    vec![TokenAlgorithm::Rs256, TokenAlgorithm::Es256]
}

fn openid() -> String {
    "openid".to_owned()
}

fn leeway_ms() -> u64 {
    30_000
}

fn refresh_ms() -> u64 {
    300_000
}

fn timeout_ms() -> u64 {
    5_000
}

/// `tokens`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Who issues them; never empty.
    pub issuers: Vec<Issuer>,
    /// Whether a login without a password is asked for its token in place of one.
    pub password_field: bool,
    /// Whether a client on the gateway's own machine may send a token without encryption.
    pub plain_on_loopback: bool,
}

/// One issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Its address, exactly as in its tokens.
    pub issuer: String,
    /// For whom its tokens must be.
    pub audiences: Vec<String>,
    /// Where its keys are.
    pub keys: KeysFrom,
    /// PEM file of the authorities.
    pub authorities: Option<PathBuf>,
    /// How its tokens may be signed.
    pub algorithms: Vec<TokenAlgorithm>,
    /// Which claims say who one is.
    pub claims: Claims,
    /// What clients are told to ask it for.
    pub scope: String,
    /// How far its clock may be apart.
    pub leeway: Duration,
    /// How long a session may outlast its token.
    pub grace: Duration,
    /// The pause between two looks at its keys.
    pub refresh: Duration,
    /// The longest that one look may take.
    pub timeout: Duration,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysFrom {
    /// In a file.
    File(PathBuf),
    /// At an address.
    Address(String),
    /// Where its `.well-known/openid-configuration` says.
    Discovery,
}

/// A claim's names, from the outermost object to the claim.
pub type ClaimNames = Vec<String>;

/// Which claims say who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The login's name.
    pub user: ClaimNames,
    /// Roles.
    pub roles: Vec<ClaimNames>,
    /// Groups.
    pub groups: Vec<ClaimNames>,
    /// Whether one is a data steward.
    pub is_data_steward: Option<ClaimNames>,
    /// Further facts.
    pub attributes: BTreeMap<String, ClaimNames>,
    /// The data product in whose name one reads.
    pub product: Option<ClaimNames>,
}

/// Reads `tokens`; what is wrong goes to the faults.
pub(super) fn tokens(spec: &TokensSpec, folder: &Path, faults: &mut Faults<'_>) -> Tokens {
    let mut seen = BTreeSet::new();
    let mut issuers = Vec::new();
    for (index, spec) in spec.issuers.iter().enumerate() {
        let mut reader = Reader { at: format!("/tokens/issuers/{index}"), faults: &mut *faults };
        if !seen.insert(spec.issuer.as_str()) {
            reader.fault("issuer", "an issuer is given twice");
        }
        issuers.push(reader.issuer(spec, folder));
    }
    Tokens { issuers, password_field: spec.password_field, plain_on_loopback: spec.plain_on_loopback }
}

struct Reader<'f, 'm> {
    at: String,
    faults: &'f mut Faults<'m>,
}

impl Reader<'_, '_> {
    fn fault(&mut self, key: &str, message: &str) {
        self.faults.add(&format!("{}/{key}", self.at), message.to_owned());
    }

    fn issuer(&mut self, spec: &IssuerSpec, folder: &Path) -> Issuer {
        if !is_address(&spec.issuer) || spec.issuer.contains(['?', '#']) {
            self.fault("issuer", "\"issuer\" is no address (https://…) without a query");
        }
        if spec.audience.0.is_empty() || spec.audience.0.iter().any(String::is_empty) {
            self.fault("audience", "\"audience\" names nobody");
        }
        let keys = self.keys(spec.keys.as_deref(), folder);
        if spec.authorities.is_some() && matches!(keys, KeysFrom::File(_)) {
            self.fault("authorities", "\"authorities\" means nothing for keys in a file");
        }
        Issuer {
            issuer: spec.issuer.clone(),
            audiences: spec.audience.0.clone(),
            keys,
            authorities: spec.authorities.as_deref().map(|text| folder.join(text)),
            algorithms: spec.algorithms.clone(),
            claims: self.claims(&spec.claims),
            scope: spec.scope.clone(),
            leeway: Duration::from_millis(spec.leeway_ms),
            grace: Duration::from_millis(spec.grace_ms),
            refresh: Duration::from_millis(spec.refresh_ms),
            timeout: Duration::from_millis(spec.timeout_ms),
        }
    }

    fn keys(&mut self, keys: Option<&str>, folder: &Path) -> KeysFrom {
        let Some(keys) = keys.map(str::trim) else { return KeysFrom::Discovery };
        match keys.split_once("://") {
            None if keys.is_empty() || keys.contains('\0') => self.fault("keys", "\"keys\" names no path"),
            None => return KeysFrom::File(folder.join(keys)),
            Some(("file", path)) => return KeysFrom::File(folder.join(path)),
            Some(_) if is_address(keys) => {}
            Some(_) => self.fault("keys", "\"keys\" is neither a path nor an address of a known kind"),
        }
        KeysFrom::Address(keys.to_owned())
    }

    fn claims(&mut self, spec: &ClaimsSpec) -> Claims {
        let mut names = |key: &str, text: &str| {
            claim_names(text).unwrap_or_else(|| {
                self.faults.add(&format!("{}/claims/{key}", self.at), "the claim has neither a name nor a JSON pointer");
                Vec::new()
            })
        };
        Claims {
            user: names("user", &spec.user),
            roles: spec.roles.0.iter().map(|text| names("roles", text)).collect(),
            groups: spec.groups.0.iter().map(|text| names("groups", text)).collect(),
            is_data_steward: spec.is_data_steward.as_deref().map(|text| names("is_data_steward", text)),
            attributes: spec.attributes.iter().map(|(name, text)| (name.clone(), names("attributes", text))).collect(),
            product: spec.product.as_deref().map(|text| names("product", text)),
        }
    }
}

/// A name as it is, for names of claims are often addresses; after a slash, a pointer (RFC 6901).
fn claim_names(text: &str) -> Option<ClaimNames> {
    let names: ClaimNames = match text.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect(),
        None => vec![text.to_owned()],
    };
    (!names.iter().any(String::is_empty)).then_some(names)
}

/// Whether a text is an address that can be asked, without a login in it.
fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let server = rest.split('/').next().unwrap_or_default();
    !server.is_empty() && !server.contains('@') && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control())
}
