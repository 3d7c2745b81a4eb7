//! The keys of an issuer (JWKS, RFC 7517) and what they verify.
//!
//! INVARIANT: a key verifies only what it is for: its kind and curve decide which algorithms it fits, and its own `alg` and `use` narrow
//! that. A symmetric key is no key here, so none can be mistaken for one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};

use super::{Algorithm, TokenError, UnverifiedToken};

/// More keys than any issuer has at a time.
const KEYS_MAX: usize = 100;

/// The keys that an issuer signs with.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// A document that is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It has another form.
    #[error("the document is no set of keys (JWKS)")]
    Malformed,
    /// It has more than are looked at.
    #[error("the document has more than {KEYS_MAX} keys")]
    TooMany,
    /// None of its keys can verify a token.
    #[error("the document has no key that verifies signatures")]
    Empty,
}

#[derive(Debug, Clone)]
struct Key {
    id: Option<String>,
    /// The one algorithm that the key says it is for.
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug, Clone)]
enum Material {
    /// Modulus and exponent, without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point of P-256.
    P256(Vec<u8>),
    /// An uncompressed point of P-384.
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl KeySet {
    /// Reads a JWKS document. Keys of unknown kinds, and for other purposes than signatures, are passed over.
    ///
    /// # Errors
    /// It has no key that could verify anything.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        let document: Value = serde_json::from_slice(document).map_err(|_| KeySetError::Malformed)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(KeySetError::Malformed)?;
        if keys.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let keys: Vec<Key> = keys.iter().filter_map(|key| key.as_object().and_then(Key::read)).collect();
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(Self { keys }) }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Verifies a token by the key that it names; one that names none is verified only if there is no choice.
    pub(super) fn verify(&self, token: &UnverifiedToken<'_>, algorithm: Algorithm) -> Result<(), TokenError> {
        let fitting = self.keys.iter().filter(|key| key.is_for(algorithm));
        let mut candidates: Vec<&Key> = match token.key_id() {
            Some(id) => fitting.filter(|key| key.id.as_deref() == Some(id)).collect(),
            None => fitting.collect(),
        };
        if token.key_id().is_none() && candidates.len() > 1 {
            candidates.clear();
        }
        if candidates.is_empty() {
            return Err(TokenError::UnknownKey);
        }
        let right = candidates.iter().any(|key| key.verifies(algorithm, token.signed(), token.signature()));
        if right { Ok(()) } else { Err(TokenError::Signature) }
    }
}

impl Key {
    fn read(key: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let for_signatures = text("use").is_none_or(|purpose| purpose == "sig");
        let may_verify = match key.get("key_ops") {
            None => true,
            Some(operations) => operations.as_array()?.iter().any(|operation| operation == "verify"),
        };
        if !for_signatures || !may_verify {
            return None;
        }
        let bytes = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::Rsa { n: without_zeros(bytes("n")?)?, e: without_zeros(bytes("e")?)? },
            ("EC", Some("P-256")) => Material::P256(point(bytes("x")?, bytes("y")?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(bytes("x")?, bytes("y")?, 48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|key| key.len() == 32)?),
            _ => return None,
        };
        Some(Self { id: text("kid").map(str::to_owned), algorithm: text("alg").map(str::to_owned), material })
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let kind = match (&self.material, algorithm) {
            (Material::Rsa { .. }, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512) => true,
            (Material::P256(_), Es256) | (Material::P384(_), Es384) | (Material::Ed25519(_), EdDsa) => true,
            (Material::Rsa { .. }, Es256 | Es384 | EdDsa) | (Material::P256(_) | Material::P384(_) | Material::Ed25519(_), _) => false,
        };
        kind && self.algorithm.as_deref().is_none_or(|own| own == algorithm.name())
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let done = match (&self.material, algorithm) {
            (Material::Rsa { n, e }, _) => {
                let Some(parameters) = rsa_parameters(algorithm) else { return false };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Material::P256(point), _) => UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
            (Material::P384(point), _) => UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point).verify(message, signature),
            (Material::Ed25519(key), _) => UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature),
        };
        done.is_ok()
    }
}

/// RSA keys of 2,048 to 8,192 bits only.
fn rsa_parameters(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => None,
    }
}

fn without_zeros(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let kept: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    (!kept.is_empty()).then_some(kept)
}

fn point(x: Vec<u8>, y: Vec<u8>, bytes: usize) -> Option<Vec<u8>> {
    (x.len() == bytes && y.len() == bytes).then(|| [vec![4], x, y].concat())
}
