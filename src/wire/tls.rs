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

/// Makes the server's side of TLS from a chain of certificates and a key, both in PEM.
pub fn tls_config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// The handshake after an SSLRequest was accepted.
pub(super) async fn accept(stream: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    TlsAcceptor::from(config).accept(stream).await
}

/// The handshake of a client that starts with it. Such a client must name the protocol, lest another protocol be confused with it.
pub(super) async fn accept_direct(stream: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = accept(stream, config).await?;
    let (_, connection) = stream.get_ref();
    if connection.alpn_protocol() == Some(ALPN) {
        Ok(stream)
    } else {
        Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "direct TLS without ALPN"))
    }
}
