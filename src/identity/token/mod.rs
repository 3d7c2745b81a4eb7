//! JSON Web Tokens of an OpenID provider: whether one is good, and who it says that one is.
//!
//! INVARIANT: a principal is made from claims only after the signature has been verified with a key of the issuer, by an algorithm that
//! the configuration allows and the key is for; every algorithm there is, is asymmetric. What is missing, malformed or of another kind
//! refuses the token. No token and no claim is in an error but for names of claims. Where keys come from is left to whoever asks.

mod claims;
mod compact;
mod keys;

#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::Principal;

pub use claims::{ClaimMapping, ClaimPath};
pub use compact::UnverifiedToken;
pub use keys::{KeySet, KeySetError};

/// How a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
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
    EdDsa,
}

impl Algorithm {
    /// Every one of them.
    pub const ALL: [Self; 9] =
        [Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Ps384, Self::Ps512, Self::Es256, Self::Es384, Self::EdDsa];

    /// Its name in headers and keys (RFC 7518, RFC 8037).
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The one of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// What a token of one issuer must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// `iss`, exactly.
    pub issuer: String,
    /// One of these is in `aud`.
    pub audiences: Vec<String>,
    /// How it may be signed.
    pub algorithms: Vec<Algorithm>,
    /// How far the clocks of issuer and gateway may be apart.
    pub leeway: Duration,
    /// How long a session may outlast its token.
    pub grace: Duration,
    /// Which claims say who one is.
    pub claims: ClaimMapping,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenIdentity {
    /// Who it is, by the claims.
    pub principal: Principal,
    /// Who says so.
    pub issuer: String,
    /// When a session that began with it must end.
    pub session_ends: DateTime<Utc>,
}

/// Why a token is not good. For the operator: the client is not told which it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has not the form of a signed token.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// Nobody is configured who issues such tokens.
    #[error("the token is of another issuer")]
    Issuer,
    /// The header names no algorithm that is allowed.
    #[error("the token is signed by an algorithm that is not allowed")]
    Algorithm,
    /// The issuer has no such key for that algorithm.
    #[error("the token names no key that the issuer has for its algorithm")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// It is no longer valid.
    #[error("the token has expired")]
    Expired,
    /// It is not valid yet, or from the future.
    #[error("the token is not valid yet")]
    NotYet,
    /// It is bound to a key that its bearer would have to prove.
    #[error("the token is bound to a key and is no bearer token")]
    Bound,
    /// A claim is missing or of another kind than it must be.
    #[error("the claim \"{claim}\" {fault}")]
    Claim {
        /// Its name in the configuration.
        claim: String,
        /// What is wrong.
        fault: &'static str,
    },
}

impl TokenError {
    fn claim(claim: &str, fault: &'static str) -> Self {
        Self::Claim { claim: claim.to_owned(), fault }
    }
}

/// Checks a token, signature first; answers who its bearer is at that moment.
///
/// # Errors
/// The first thing that is wrong. [`TokenError::UnknownKey`] is the one that newer keys of the issuer may mend.
pub fn check(token: &UnverifiedToken<'_>, keys: &KeySet, rules: &TokenRules, now: DateTime<Utc>) -> Result<TokenIdentity, TokenError> {
    let algorithm = Algorithm::of_name(token.algorithm()).ok_or(TokenError::Algorithm)?;
    if !rules.algorithms.contains(&algorithm) {
        return Err(TokenError::Algorithm);
    }
    keys.verify(token, algorithm)?;
    // The signature is right: from here on the claims are the issuer's own words.
    let claims = token.claims();
    if claims.get("iss").and_then(Value::as_str) != Some(rules.issuer.as_str()) {
        return Err(TokenError::Issuer);
    }
    check_audience(claims, &rules.audiences)?;
    let expires = check_times(claims, rules, now)?;
    if claims.contains_key("cnf") {
        return Err(TokenError::Bound);
    }
    let principal = rules.claims.principal(claims)?;
    Ok(TokenIdentity {
        principal,
        issuer: rules.issuer.clone(),
        session_ends: moment(expires + (rules.leeway + rules.grace).as_secs_f64()),
    })
}

fn check_audience(claims: &Map<String, Value>, audiences: &[String]) -> Result<(), TokenError> {
    let is_ours = |value: &Value| value.as_str().is_some_and(|text| audiences.iter().any(|ours| ours == text));
    let found = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    if found { Ok(()) } else { Err(TokenError::Audience) }
}

/// The moment of `exp`, in seconds since 1970.
fn check_times(claims: &Map<String, Value>, rules: &TokenRules, now: DateTime<Utc>) -> Result<f64, TokenError> {
    let leeway = rules.leeway.as_secs_f64();
    let now = seconds(now);
    let date = |claim: &'static str| match claims.get(claim) {
        None => Ok(None),
        Some(value) => {
            let date = value.as_f64().filter(|date| date.is_finite());
            date.map(Some).ok_or_else(|| TokenError::claim(claim, "is no date"))
        }
    };
    let expires = date("exp")?.ok_or_else(|| TokenError::claim("exp", "is missing"))?;
    if now >= expires + leeway {
        return Err(TokenError::Expired);
    }
    for claim in ["nbf", "iat"] {
        if date(claim)?.is_some_and(|date| date > now + leeway) {
            return Err(TokenError::NotYet);
        }
    }
    Ok(expires)
}

/// A moment in seconds since 1970.
fn seconds(moment: DateTime<Utc>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of any date that matters are exact in a double")]
    let milliseconds = moment.timestamp_millis() as f64;
    milliseconds / 1000.0
}

/// A moment in seconds since 1970; one beyond what a date can be is the last that can.
fn moment(seconds: f64) -> DateTime<Utc> {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a double to an integer saturates")]
    let milliseconds = (seconds * 1000.0) as i64;
    DateTime::from_timestamp_millis(milliseconds).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
