//! TLS: the server's certificate, and the handshake before or instead of a plain start-up.
//!
//! INVARIANT: no byte that was read in the clear is ever seen as if it had come encrypted: before the handshake, nothing is read beyond the
//! packet that asks for it.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::endpoint;

/// The protocol's name in ALPN.
const ALPN: &[u8] = b"postgresql";

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text holds no certificate or no key in PEM.
    #[error("cannot read the TLS certificate or key")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// Certificate and key do not fit, or are of a kind that is not supported.
    #[error("cannot use the TLS certificate or key")]
    Certificate(#[from] rustls::Error),
}

/// The server's side of TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    /// The hash of the certificate, which logins can be bound to.
    certificate_hash: Option<Arc<[u8]>>,
}

impl Tls {
    /// What a login over such a connection can be bound to.
    pub(super) fn certificate_hash(&self) -> Option<Arc<[u8]>> {
        self.certificate_hash.clone()
    }
}

/// Makes the server's side of TLS from a chain of certificates and a key, both in PEM.
pub fn tls_config(chain: &[u8], key: &[u8]) -> Result<Tls, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key)?;
    let certificate_hash = chain.first().and_then(|certificate| endpoint::certificate_hash(certificate)).map(Arc::from);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Tls { config: Arc::new(config), certificate_hash })
}

/// The handshake after an SSLRequest was accepted.
pub(super) async fn accept(stream: TcpStream, tls: &Tls) -> std::io::Result<TlsStream<TcpStream>> {
    TlsAcceptor::from(Arc::clone(&tls.config)).accept(stream).await
}

/// The handshake of a client that starts with it. Such a client must name the protocol, lest another protocol be confused with it.
pub(super) async fn accept_direct(stream: TcpStream, tls: &Tls) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = accept(stream, tls).await?;
    let (_, connection) = stream.get_ref();
    if connection.alpn_protocol() == Some(ALPN) {
        Ok(stream)
    } else {
        Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "direct TLS without ALPN"))
    }
}
