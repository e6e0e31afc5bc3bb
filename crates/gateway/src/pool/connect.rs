//! Opening connections: resolve, check every address, connect, and speak TLS when asked to.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use flagbase_core::gateway::{AddressPolicy, Denied, UpstreamUrl};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName},
};

/// Why an upstream could not be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectFault {
    #[error("its name does not resolve")]
    Resolve(#[source] io::Error),
    #[error("`{0}`: {1}")]
    Denied(IpAddr, Denied),
    #[error("it does not accept the connection")]
    Connect(#[source] io::Error),
    #[error("it does not accept the connection in time")]
    TimedOut,
    #[error("TLS failed")]
    Tls(#[source] io::Error),
    #[error("it does not speak HTTP")]
    Handshake(#[source] hyper::Error),
}

impl ConnectFault {
    /// Whether it was slow, not broken.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self, Self::TimedOut)
    }
}

/// Opens connections where the policy allows.
pub(super) struct Connector {
    addresses: AddressPolicy,
    tls: OnceLock<Result<[TlsConnector; 2], String>>,
}

/// A connection, with or without TLS.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    pub(super) fn new(addresses: AddressPolicy) -> Self {
        Self { addresses, tls: OnceLock::new() }
    }

    /// A connection to `url`, open within `patience`.
    pub(super) async fn open(&self, url: &UpstreamUrl, patience: Duration) -> Result<Stream, ConnectFault> {
        timeout(patience, self.connect(url)).await.unwrap_or(Err(ConnectFault::TimedOut))
    }

    async fn connect(&self, url: &UpstreamUrl) -> Result<Stream, ConnectFault> {
        let stream = self.connect_any(&self.resolve(url).await?).await?;
        let _ = stream.set_nodelay(true);
        if !url.scheme.is_secure() {
            return Ok(Stream::Plain(stream));
        }
        let connector = self.tls(url.scheme.is_http2())?;
        let name = ServerName::try_from(url.host.clone())
            .map_err(|error| ConnectFault::Tls(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let stream = connector.connect(name, stream).await.map_err(ConnectFault::Tls)?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// Addresses of `url` that may be connected to. Checked here, after resolving, because a name can mean another
    /// address at every look-up.
    async fn resolve(&self, url: &UpstreamUrl) -> Result<Vec<SocketAddr>, ConnectFault> {
        let found: Vec<SocketAddr> = if let Ok(address) = url.host.parse::<IpAddr>() {
            vec![SocketAddr::new(address, url.port)]
        } else {
            let host = (url.host.as_str(), url.port);
            tokio::net::lookup_host(host).await.map_err(ConnectFault::Resolve)?.collect()
        };
        let mut denied = None;
        let mut allowed = Vec::with_capacity(found.len());
        for address in found {
            match self.addresses.check(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(why) => denied = Some(ConnectFault::Denied(address.ip(), why)),
            }
        }
        match denied {
            Some(denied) if allowed.is_empty() => Err(denied),
            _ => Ok(allowed),
        }
    }

    async fn connect_any(&self, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectFault> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(ConnectFault::Connect(last))
    }

    /// Reading the system's certificates takes a while, so it waits for the first upstream that needs them.
    fn tls(&self, http2: bool) -> Result<&TlsConnector, ConnectFault> {
        let connectors = self.tls.get_or_init(|| {
            let plain = client_config(b"http/1.1")?;
            let http2 = client_config(b"h2")?;
            Ok([plain, http2])
        });
        match connectors {
            Ok([plain, second]) => Ok(if http2 { second } else { plain }),
            Err(message) => Err(ConnectFault::Tls(io::Error::other(message.clone()))),
        }
    }
}

fn client_config(protocol: &[u8]) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err("this machine has no root certificates; install the package `ca-certificates`".to_owned());
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: AddressPolicy = AddressPolicy { loopback: true, private: true };

    fn url(text: &str) -> UpstreamUrl {
        UpstreamUrl::parse(text, OPEN).unwrap()
    }

    #[tokio::test]
    async fn an_address_that_policy_denies_is_not_connected_to_even_by_name() {
        let connector = Connector::new(AddressPolicy { loopback: false, private: true });
        for text in ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"] {
            let fault = connector.open(&url(text), Duration::from_secs(5)).await.unwrap_err();
            assert!(matches!(fault, ConnectFault::Denied(_, Denied::Loopback)), "{text}: {fault}");
        }
    }

    #[tokio::test]
    async fn nobody_listening_is_told_from_a_name_that_does_not_resolve() {
        let connector = Connector::new(OPEN);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let fault =
            connector.open(&url(&format!("http://{free}")), Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(fault, ConnectFault::Connect(_)), "{fault}");
    }
}
