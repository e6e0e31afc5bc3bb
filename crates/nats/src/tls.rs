//! TLS, begun after INFO or before it.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig, ServerConnection,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

use crate::{
    client::{Origin, Transport},
    listener,
    reason::Reason,
    shared::Shared,
};

/// How long a handshake may take, unless it is told.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The first byte of every TLS connection: a record of a handshake.
const HANDSHAKE: u8 = 0x16;

/// How connections are encrypted.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    first: Handshake,
    timeout: Duration,
    verifies: bool,
}

/// Who begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Handshake {
    /// The server, with INFO in plain text; the client then starts TLS. What all clients know.
    #[default]
    AfterInfo,
    /// The client, with TLS. Nothing is ever sent in plain text.
    First,
    /// The client, if it does within this time; else the server, with INFO.
    FirstWithin(Duration),
}

/// Why certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text with certificates has none, or what it has is broken.
    #[error("no certificate can be read: give a PEM file with `BEGIN CERTIFICATE`")]
    Certificate,
    /// The text with the key has none.
    #[error("no private key can be read: give a PEM file with `BEGIN PRIVATE KEY`")]
    Key,
    /// Nobody is named whose certificates clients may bring.
    #[error("clients cannot be verified without an authority: give its certificate")]
    Authority,
    /// Key and certificate do not fit, or are of a kind that is not supported.
    #[error("the certificate and the key cannot be used together")]
    Unusable(#[source] rustls::Error),
}

impl Tls {
    /// With a chain of certificates and its key, as the texts of PEM files.
    ///
    /// With `authority`, clients have to bring a certificate that was signed by one of those in it.
    pub fn from_pem(chain: &[u8], key: &[u8], authority: Option<&[u8]>) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?;
        let verifies = authority.is_some();
        let builder = match authority {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates(authority)?);
                let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(clients.build().map_err(|_| TlsError::Authority)?)
            }
        };
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
        let config = builder.with_single_cert(certificates(chain)?, key).map_err(TlsError::Unusable)?;
        Ok(Self { verifies, ..Self::new(Arc::new(config)) })
    }

    /// With a configuration made elsewhere.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self { config, first: Handshake::default(), timeout: TIMEOUT, verifies: false }
    }

    /// Who begins.
    #[must_use]
    pub fn handshake(self, first: Handshake) -> Self {
        Self { first, ..self }
    }

    /// How long the handshake may take.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Whether clients have to bring a certificate.
    pub(crate) fn verifies(&self) -> bool {
        self.verifies
    }

    /// How long the handshake may take.
    pub(crate) fn patience(&self) -> Duration {
        self.timeout
    }

    /// The stream once it is encrypted.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
        let accept = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream);
        match timeout(self.timeout, accept).await {
            Ok(accepted) => accepted.map_err(Failure::Handshake),
            Err(_) => Err(Failure::Timeout),
        }
    }

    /// Whether the client begins with TLS. Takes nothing from the stream.
    async fn begins(&self, stream: &TcpStream) -> bool {
        let mut byte = [0];
        match self.first {
            Handshake::AfterInfo => false,
            Handshake::First => true,
            Handshake::FirstWithin(time) => {
                matches!(timeout(time, stream.peek(&mut byte)).await, Ok(Ok(1)) if byte == [HANDSHAKE])
            }
        }
    }
}

/// Why a connection was not encrypted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    #[error("the TLS handshake took too long")]
    Timeout,
}

/// One connection to the port of clients, when that has TLS.
pub(crate) async fn connected(shared: Arc<Shared>, tls: &Tls, mut stream: TcpStream, peer: SocketAddr) {
    let mut origin = Origin { peer, transport: Transport::Tls, direct: None, tls_subject: None, tls: None };
    let first = tls.begins(&stream).await;
    let mut greeting = shared.greet(&origin);
    if !first {
        let info = std::mem::take(&mut greeting.line);
        if stream.write_all(&info).await.is_err() {
            return;
        }
    }
    match tls.accept(stream).await {
        Ok(stream) => {
            origin.tls = agreed(stream.get_ref().1);
            listener::serve(shared, stream, origin, greeting).await;
        }
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(client = greeting.id, %peer, error, reason = Reason::TlsHandshake.name(), "refused");
        }
    }
}

/// Version and cipher, as monitoring names them.
pub(crate) fn agreed(connection: &ServerConnection) -> Option<(String, String)> {
    let version = match connection.protocol_version()? {
        rustls::ProtocolVersion::TLSv1_3 => "1.3".to_owned(),
        rustls::ProtocolVersion::TLSv1_2 => "1.2".to_owned(),
        other => format!("{other:?}"),
    };
    let cipher = format!("{:?}", connection.negotiated_cipher_suite()?.suite());
    Some((version, cipher.replace("TLS13_", "TLS_")))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok().filter(|certificates| !certificates.is_empty()).ok_or(TlsError::Certificate)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("first", &self.first)
            .field("timeout", &self.timeout)
            .field("verifies", &self.verifies)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_or_key_says_so() {
        let pem = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
        let certificate = pem("CERTIFICATE");
        let from =
            |chain: &str, key: &str| Tls::from_pem(chain.as_bytes(), key.as_bytes(), None).unwrap_err();
        assert!(matches!(from(&certificate, ""), TlsError::Key));
        assert!(matches!(from("", &pem("PRIVATE KEY")), TlsError::Certificate));
        assert!(matches!(from(&certificate, &pem("PRIVATE KEY")), TlsError::Unusable(_)));
        let nobody = Tls::from_pem(certificate.as_bytes(), b"", Some(certificate.as_bytes()));
        assert!(matches!(nobody, Err(TlsError::Authority)));
    }
}
