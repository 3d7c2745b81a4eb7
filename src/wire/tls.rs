//! TLS: the server's certificate, those of clients, and the handshake before or instead of a plain start-up.
//!
//! INVARIANT: no byte that was read in the clear is ever seen as if it had come encrypted: before the handshake, nothing is read beyond the
//! packet that asks for it. A client's certificate is looked at only after its chain, its dates, its key and its revocation have been
//! checked, at every handshake anew: sessions of TLS are not resumed where certificates are asked for.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::engine::Encryption;
use crate::identity::CertificateNames;

use super::endpoint;
use super::frame::Socket;

/// The protocol's name in ALPN.
const ALPN: &[u8] = b"postgresql";

/// Bytes of one TLS record, its header included, as PostgreSQL writes them at most. libpq has room for so many whenever it reads: of a longer record a
/// part would stay in the client's TLS library, and programs that wait for the socket themselves would wait for ever.
const RECORD_BYTES_MAX: usize = 8192;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text holds no certificate or no key in PEM.
    #[error("cannot read the TLS certificate or key")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// Certificate and key do not fit, or are of a kind that is not supported.
    #[error("cannot use the TLS certificate or key")]
    Certificate(#[from] rustls::Error),
    /// The authorities of client certificates, or what they revoke, cannot be used.
    #[error("cannot use the authorities of client certificates or their lists of revoked ones")]
    Clients(#[from] rustls::server::VerifierBuilderError),
}

/// What TLS is made of, all of it in PEM.
#[derive(Clone, Default)]
pub struct TlsMaterial {
    /// The server's chain of certificates.
    pub chain: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// Who vouches for clients, if their certificates are asked for.
    pub clients: Option<ClientAuthorities>,
}

/// Who vouches for clients.
#[derive(Debug, Clone, Default)]
pub struct ClientAuthorities {
    /// Certificates of the authorities.
    pub authorities: Vec<u8>,
    /// Their lists of revoked certificates. With any, a certificate that no valid list knows of is refused.
    pub revocations: Option<Vec<u8>>,
}

/// The server's side of TLS. Copies share what it is made of, also after it is replaced.
#[derive(Debug, Clone)]
pub struct Tls {
    current: Arc<RwLock<Arc<Side>>>,
}

#[derive(Debug)]
pub(super) struct Side {
    config: Arc<ServerConfig>,
    /// The hash of the certificate, which logins can be bound to.
    certificate_hash: Option<Arc<[u8]>>,
}

impl Tls {
    /// Makes the server's side of TLS.
    ///
    /// # Errors
    /// Something of it cannot be used.
    pub fn new(material: &TlsMaterial) -> Result<Self, TlsError> {
        Ok(Self { current: Arc::new(RwLock::new(Arc::new(Side::new(material)?))) })
    }

    /// Handshakes from now on use this; connections that are open stay as they are.
    ///
    /// # Errors
    /// Something of it cannot be used; then nothing changes.
    pub fn replace(&self, material: &TlsMaterial) -> Result<(), TlsError> {
        let side = Arc::new(Side::new(material)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = side;
        Ok(())
    }

    /// What a handshake that begins now uses.
    pub(super) fn side(&self) -> Arc<Side> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Side {
    fn new(material: &TlsMaterial) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(&material.chain).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&material.key)?;
        let certificate_hash = chain.first().and_then(|certificate| endpoint::certificate_hash(certificate)).map(Arc::from);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match &material.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(verifier(clients, provider)?),
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_fragment_size = Some(RECORD_BYTES_MAX);
        if material.clients.is_some() {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Self { config: Arc::new(config), certificate_hash })
    }

    /// What a login over such a connection can be bound to.
    pub(super) fn certificate_hash(&self) -> Option<Arc<[u8]>> {
        self.certificate_hash.clone()
    }
}

/// Checks the certificate of a client that shows one. Whether one must be shown is asked later, when the client can be told.
fn verifier(clients: &ClientAuthorities, provider: Arc<rustls::crypto::CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&clients.authorities) {
        roots.add(authority?)?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated();
    if let Some(revocations) = &clients.revocations {
        let lists = CertificateRevocationListDer::pem_slice_iter(revocations).collect::<Result<Vec<_>, _>>()?;
        if lists.is_empty() {
            return Err(TlsError::Pem(rustls_pki_types::pem::Error::NoItemsFound));
        }
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    Ok(builder.build()?)
}

/// Why a handshake failed.
#[derive(Debug)]
pub(super) enum HandshakeError {
    /// The client's certificate is not good; why, for the operator.
    Certificate(String),
    /// Anything else.
    Other,
}

impl From<std::io::Error> for HandshakeError {
    fn from(error: std::io::Error) -> Self {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match cause {
            Some(cause @ (rustls::Error::InvalidCertificate(_) | rustls::Error::InvalidCertRevocationList(_))) => {
                Self::Certificate(cause.to_string())
            }
            _ => Self::Other,
        }
    }
}

/// The handshake after an SSLRequest was accepted.
pub(super) async fn accept<S: Socket>(stream: S, side: &Side) -> Result<TlsStream<S>, HandshakeError> {
    Ok(TlsAcceptor::from(Arc::clone(&side.config)).accept(stream).await?)
}

/// The handshake of a client that starts with it. Such a client must name the protocol, lest another protocol be confused with it.
pub(super) async fn accept_direct<S: Socket>(stream: S, side: &Side) -> Result<TlsStream<S>, HandshakeError> {
    let stream = accept(stream, side).await?;
    let (_, connection) = stream.get_ref();
    if connection.alpn_protocol() == Some(ALPN) { Ok(stream) } else { Err(HandshakeError::Other) }
}

/// How the connection is encrypted, in OpenSSL's words.
pub(super) fn in_use<S>(stream: &TlsStream<S>) -> Option<Encryption> {
    let (_, connection) = stream.get_ref();
    let protocol = match connection.protocol_version()? {
        rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => "TLSv1.3",
    };
    let suite = connection.negotiated_cipher_suite()?.suite();
    let cipher = spelled(suite.as_str().unwrap_or_default());
    let bits = if cipher.contains("AES128") || cipher.contains("AES_128") { 128 } else { 256 };
    Some(Encryption { protocol, cipher, bits })
}

/// A cipher suite as OpenSSL names it.
fn spelled(suite: &str) -> String {
    if let Some(suite) = suite.strip_prefix("TLS13_") {
        return format!("TLS_{suite}");
    }
    let plain = suite.trim_start_matches("TLS_").replace("_WITH_", "_").replace("AES_", "AES");
    plain.strip_suffix("POLY1305_SHA256").map_or_else(|| plain.clone(), |plain| format!("{plain}POLY1305")).replace('_', "-")
}

/// The names in the certificate that the client has shown, if it has shown one.
pub(super) fn client_names<S>(stream: &TlsStream<S>) -> Option<CertificateNames> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().and_then(|chain| chain.first()).map(|certificate| CertificateNames::read(certificate))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustls::{ClientConfig, ClientConnection, ServerConnection};

    use super::*;

    /// What a server sends of a text, once it and a client have shaken hands in memory.
    fn sent(text: &[u8]) -> Vec<u8> {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (chain, key) = (certified.cert.pem().into_bytes(), certified.signing_key.serialize_pem().into_bytes());
        let side = Side::new(&TlsMaterial { chain, key, clients: None }).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certified.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let client = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
        let mut client = ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
        let mut server = ServerConnection::new(side.config).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut there).unwrap();
            }
            server.read_tls(&mut there.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            while server.wants_write() {
                server.write_tls(&mut back).unwrap();
            }
            client.read_tls(&mut back.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        server.writer().write_all(text).unwrap();
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn a_record_is_no_longer_than_what_clients_read_at_once() {
        /// What encryption adds: the kind of the record and the tag.
        const SEAL_BYTES: usize = 1 + 16;
        let bytes = sent(&[b'x'; 50_000]);
        let mut rest = bytes.as_slice();
        let mut records = 0;
        while let [_, _, _, high, low, after @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            assert!(length - SEAL_BYTES <= 8192, "{length}");
            records += 1;
            rest = &after[length..];
        }
        assert!(records >= 50_000 / 8192, "{records}");
    }

    #[test]
    fn cipher_suites_have_the_names_of_openssl() {
        for (suite, name) in [
            ("TLS13_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
            ("TLS13_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ] {
            assert_eq!(spelled(suite), name);
        }
    }
}
