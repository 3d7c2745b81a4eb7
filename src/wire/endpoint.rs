//! The hash of the server's certificate that a login can be bound to (`tls-server-end-point`, RFC 5929).
//!
//! INVARIANT: a certificate whose signature names no hash that both sides would find gives none, and then no binding is offered; a wrong
//! one would turn every client away that can bind.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::identity::der::element;

/// DER tags.
const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// The hash of a certificate in DER, by the hash function of its signature; MD5 and SHA-1 are taken for SHA-256.
pub(super) fn certificate_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let (fields, _) = element(certificate, SEQUENCE)?;
    let (_to_be_signed, rest) = element(fields, SEQUENCE)?;
    let (algorithm, _signature) = element(rest, SEQUENCE)?;
    let (identifier, _parameters) = element(algorithm, OBJECT_IDENTIFIER)?;
    Some(match hash_of_signature(identifier)? {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// The hash function within a signature's algorithm, given by its object identifier.
fn hash_of_signature(identifier: &[u8]) -> Option<Hash> {
    // 1.2.840.113549.1.1: RSA; 1.2.840.10045.4: ECDSA.
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    if let Some(kind) = identifier.strip_prefix(RSA) {
        return match kind {
            // MD5, SHA-1, SHA-256.
            [4 | 5 | 11] => Some(Hash::Sha256),
            [12] => Some(Hash::Sha384),
            [13] => Some(Hash::Sha512),
            _ => None,
        };
    }
    match identifier.strip_prefix(ECDSA)? {
        // SHA-1, SHA-256.
        [1] | [3, 2] => Some(Hash::Sha256),
        [3, 3] => Some(Hash::Sha384),
        [3, 4] => Some(Hash::Sha512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_signatures_own_hash_is_taken() {
        let ecdsa = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(certificate_hash(&ecdsa), Some(Sha256::digest(&ecdsa).to_vec()));
        let longer = certificate(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(certificate_hash(&longer), Some(Sha384::digest(&longer).to_vec()));
    }

    #[test]
    fn a_signature_without_a_hash_of_its_own_binds_nothing() {
        assert_eq!(certificate_hash(&certificate(&rcgen::PKCS_ED25519)), None);
    }

    #[test]
    fn what_is_no_certificate_binds_nothing() {
        let whole = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        for end in 0..whole.len().min(600) {
            assert_eq!(certificate_hash(&whole[..end]), None, "{end}");
        }
        for bytes in [&b"\x30\x80"[..], b"\x30\x85\0\0\0\0\0", b"\x30\x84\xff\xff\xff\xff", b"\x31\0"] {
            assert_eq!(certificate_hash(bytes), None, "{bytes:?}");
        }
    }
}
