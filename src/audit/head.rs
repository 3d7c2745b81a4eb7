//! The head of the log, signed, so that it can be kept elsewhere and be believed there.
//!
//! A head names the last durable record by number and hash. Whoever holds one can tell whether the log up to that record is still the one
//! that was written, whoever may write to its folder. The key signs nothing else.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use super::event::timestamp;
use super::verify::Heads;

/// What the signed bytes begin with, so that no signature of another use is taken for one of a head.
const CONTEXT: &str = "meshgate audit head 1";

/// The last durable record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

/// A head with its signature: one JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// The version of this form: 1.
    pub v: u32,
    /// The number of the record.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// When it was signed (RFC 3339, UTC).
    pub at: String,
    /// The public key, 32 bytes in base64.
    pub key: String,
    /// The Ed25519 signature, in base64.
    pub signature: String,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no private key of Ed25519.
    #[error("the key is no Ed25519 key in PKCS#8 (PEM, or DER in base64)")]
    Private,
    /// It is no public key.
    #[error("the public key is not 32 bytes in base64")]
    Public,
    /// None could be made.
    #[error("no key could be made")]
    Unmade,
}

/// The key that signs heads.
pub struct HeadKey(Ed25519KeyPair);

impl fmt::Debug for HeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeadKey").field(&self.public()).finish()
    }
}

impl HeadKey {
    /// Reads a private key: PKCS#8, as PEM or as DER in base64. `openssl genpkey -algorithm ed25519` makes one.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let der = if text.starts_with("-----BEGIN") {
            PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| KeyError::Private)?.secret_pkcs8_der().to_vec()
        } else {
            STANDARD.decode(text).map_err(|_| KeyError::Private)?
        };
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Self).map_err(|_| KeyError::Private)
    }

    /// Makes a key; its private half as PEM.
    pub fn generate() -> Result<(Self, String), KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Unmade)?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| KeyError::Unmade)?;
        let body = STANDARD.encode(document.as_ref());
        let lines: Vec<&str> =
            (0..body.len().div_ceil(64)).filter_map(|line| body.get(line * 64..body.len().min(line * 64 + 64))).collect();
        Ok((Self(pair), format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))))
    }

    /// The public half, 32 bytes in base64.
    pub fn public(&self) -> String {
        STANDARD.encode(self.0.public_key().as_ref())
    }

    /// Signs a head.
    pub fn sign(&self, head: &Head, at: DateTime<Utc>) -> SignedHead {
        let at = timestamp(at);
        let signature = STANDARD.encode(self.0.sign(message(head.seq, &head.hash, &at).as_bytes()).as_ref());
        SignedHead { v: 1, seq: head.seq, hash: head.hash.clone(), at, key: self.public(), signature }
    }
}

fn message(seq: u64, hash: &str, at: &str) -> String {
    format!("{CONTEXT}\n{seq}\n{hash}\n{at}\n")
}

/// What is wrong with a line of heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadFault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub kind: HeadFaultKind,
}

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFaultKind {
    /// It is no head.
    Unreadable,
    /// It is not signed with the key.
    Unsigned,
    /// It contradicts one that stands before it.
    Contradicted,
}

impl fmt::Display for HeadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            HeadFaultKind::Unreadable => "no head",
            HeadFaultKind::Unsigned => "the head is not signed with the key",
            HeadFaultKind::Contradicted => "the head contradicts one before it",
        };
        write!(f, "heads:{}: {what}", self.line)
    }
}

/// Reads heads, one a line, that are signed with the key of that public half. A last line without its end is left out: it is being written.
pub fn read_heads(text: &str, public: &str) -> Result<(Heads, Vec<HeadFault>), KeyError> {
    let key = STANDARD.decode(public.trim()).ok().filter(|key| key.len() == 32).ok_or(KeyError::Public)?;
    let key = UnparsedPublicKey::new(&ED25519, key);
    let (mut heads, mut faults) = (Heads::new(), Vec::new());
    let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
    for (index, line) in whole.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut fault = |kind| faults.push(HeadFault { line: index + 1, kind });
        let Ok(head) = serde_json::from_str::<SignedHead>(line) else {
            fault(HeadFaultKind::Unreadable);
            continue;
        };
        let signature = STANDARD.decode(&head.signature).unwrap_or_default();
        if head.v != 1 || key.verify(message(head.seq, &head.hash, &head.at).as_bytes(), &signature).is_err() {
            fault(HeadFaultKind::Unsigned);
        } else if heads.get(&head.seq).is_some_and(|known| *known != head.hash) {
            fault(HeadFaultKind::Contradicted);
        } else {
            heads.insert(head.seq, head.hash);
        }
    }
    Ok((heads, faults))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seq: u64) -> Head {
        Head { seq, hash: format!("{seq:064}") }
    }

    fn line(signed: &SignedHead) -> String {
        serde_json::to_string(signed).unwrap() + "\n"
    }

    #[test]
    fn a_signed_head_is_believed_and_a_changed_or_foreign_one_is_not() {
        let (key, pem) = HeadKey::generate().unwrap();
        let key = HeadKey::parse(&pem).map(|again| (assert_eq!(again.public(), key.public()), again).1).unwrap();
        let signed = key.sign(&head(7), DateTime::UNIX_EPOCH);
        let (heads, faults) = read_heads(&line(&signed), &key.public()).unwrap();
        assert_eq!((heads.get(&7), faults), (Some(&head(7).hash), Vec::new()));

        let (stranger, _) = HeadKey::generate().unwrap();
        let changed = [
            SignedHead { seq: 8, ..signed.clone() },
            SignedHead { hash: head(8).hash, ..signed.clone() },
            SignedHead { at: "1970-01-01T00:00:00.000001Z".to_owned(), ..signed.clone() },
            SignedHead { signature: String::new(), ..signed.clone() },
            SignedHead { v: 2, ..signed.clone() },
            stranger.sign(&head(7), DateTime::UNIX_EPOCH),
        ];
        for changed in changed {
            let (heads, faults) = read_heads(&line(&changed), &key.public()).unwrap();
            assert!(heads.is_empty(), "{changed:?}");
            assert_eq!(faults, [HeadFault { line: 1, kind: HeadFaultKind::Unsigned }]);
        }
    }

    #[test]
    fn what_is_no_head_and_what_contradicts_is_told_by_line() {
        let (key, _) = HeadKey::generate().unwrap();
        let other = Head { seq: 1, hash: head(2).hash };
        let text = format!(
            "{}{{}}\n{}{}{{\"v\":1,\"se",
            line(&key.sign(&head(1), DateTime::UNIX_EPOCH)),
            line(&key.sign(&other, DateTime::UNIX_EPOCH)),
            line(&key.sign(&head(9), DateTime::UNIX_EPOCH)),
        );
        let (heads, faults) = read_heads(&text, &key.public()).unwrap();
        assert_eq!(heads.keys().copied().collect::<Vec<_>>(), [1, 9]);
        let kinds: Vec<_> = faults.iter().map(|fault| (fault.line, fault.kind)).collect();
        assert_eq!(kinds, [(2, HeadFaultKind::Unreadable), (3, HeadFaultKind::Contradicted)]);
    }

    #[test]
    fn a_key_of_openssl_is_read_and_rubbish_is_not() {
        // openssl genpkey -algorithm ed25519; openssl pkey -pubout -outform DER | tail -c 32 | base64
        let pem =
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        assert_eq!(HeadKey::parse(pem).unwrap().public(), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        for rubbish in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert_eq!(HeadKey::parse(rubbish).unwrap_err(), KeyError::Private, "{rubbish}");
        }
        assert_eq!(read_heads("", "AAAA").unwrap_err(), KeyError::Public);
    }
}
