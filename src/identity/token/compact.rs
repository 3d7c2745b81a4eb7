//! The compact form of a signed token (RFC 7515): three parts in base64url, taken apart without believing any.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::TokenError;

/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 65_536;

/// What a token may be of (`typ`), without `application/`: other kinds are signed with the same keys for other purposes.
const KINDS: &[&str] = &["jwt", "at+jwt"];

/// A token whose signature nobody has looked at.
pub struct UnverifiedToken<'t> {
    signed: &'t str,
    signature: Vec<u8>,
    algorithm: String,
    key_id: Option<String>,
    claims: Map<String, Value>,
}

impl std::fmt::Debug for UnverifiedToken<'_> {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnverifiedToken").finish_non_exhaustive()
    }
}

impl<'t> UnverifiedToken<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// It has another form, or its header asks for what is not understood.
    pub fn parse(token: &'t str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed("it is too long"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("it has not three parts"))?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed("it has not three parts"))?;
        if payload.contains('.') {
            return Err(TokenError::Malformed("it has not three parts"));
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed("its signature is no base64url"))?;
        let header = object(header).ok_or(TokenError::Malformed("its header is no JSON object"))?;
        let claims = object(payload).ok_or(TokenError::Malformed("its claims are no JSON object"))?;
        // What the header calls critical would have to be understood, and nothing of the kind is.
        if header.contains_key("crit") {
            return Err(TokenError::Malformed("its header has critical extensions"));
        }
        check_kind(header.get("typ"))?;
        let algorithm = match header.get("alg") {
            Some(Value::String(algorithm)) => algorithm.clone(),
            _ => return Err(TokenError::Malformed("its header names no algorithm")),
        };
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(key_id)) => Some(key_id.clone()),
            Some(_) => return Err(TokenError::Malformed("its header names a key by something else than a text")),
        };
        Ok(Self { signed, signature, algorithm, key_id, claims })
    }

    /// Whom it claims to come from: good for finding the keys to verify it with, and for nothing else.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// `alg`.
    pub(super) fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// `kid`.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The bytes that are signed.
    pub(super) fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The claims; to be believed only once the signature is verified.
    pub(super) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn check_kind(kind: Option<&Value>) -> Result<(), TokenError> {
    let Some(kind) = kind else { return Ok(()) };
    let kind = kind.as_str().unwrap_or_default().to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    if KINDS.contains(&kind) { Ok(()) } else { Err(TokenError::Malformed("it is a token for another purpose (typ)")) }
}
