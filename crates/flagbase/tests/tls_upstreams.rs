//! Backends behind TLS: trusted by the system's certificates or not at all.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::{convert::Infallible, sync::Arc};

use flagbase_core::tasks::Tasks;
use flagbase_testkit::server::TestServer;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// A backend behind TLS that answers with the protocol it was asked by.
struct Secure {
    port: u16,
    certificate: String,
}

impl Secure {
    /// With a certificate for `name`.
    async fn start(name: &str) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tasks = Tasks::new();
        let accepting = tasks.clone();
        tasks.spawn("backend", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                accepting.spawn("connection", async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let builder = auto::Builder::new(TokioExecutor::new());
                        let _ = builder.serve_connection(TokioIo::new(stream), service_fn(tell)).await;
                    }
                });
            }
        });
        Self { port, certificate: cert.pem() }
    }
}

async fn tell(request: Request<Incoming>) -> Result<Response<Full<hyper::body::Bytes>>, Infallible> {
    Ok(Response::new(Full::from(format!("{:?}", request.version()))))
}

/// What the gateway answers for a route to `backend_url`.
async fn asked(server: &TestServer, token: &str, backend_url: &str) -> (u16, String) {
    let path = format!("/{}", backend_url.replace([':', '/', '.'], "-"));
    let route = json!({"pattern": path, "backend_url": backend_url});
    server.post("/api/v1/gateway/routes", token, &route).await.expect_status(201);
    // The second request goes over the connection of the first.
    server.get(&format!("/gateway{path}"), token).await;
    let reply = server.get(&format!("/gateway{path}"), token).await;
    (reply.status, reply.text)
}

#[tokio::test]
async fn a_backend_whose_certificate_is_trusted_is_reached_over_tls_and_no_other() {
    let (trusted, other) = (Secure::start("localhost").await, Secure::start("localhost").await);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("roots.pem");
    std::fs::write(&file, &trusted.certificate).unwrap();
    let environment = [("SSL_CERT_FILE", file.to_str().unwrap())];
    let server = TestServer::start_with(PROGRAM, &environment).await;
    let developer = server.join("dev@example.com", "developer").await;
    for (scheme, version) in [("https", "HTTP/1.1"), ("h2", "HTTP/2.0")] {
        let url = format!("{scheme}://localhost:{}", trusted.port);
        assert_eq!(asked(&server, &developer, &url).await, (200, version.to_owned()), "{url}");
        // The name in the certificate is another, or nobody vouches for the certificate.
        for url in
            [format!("{scheme}://127.0.0.1:{}", trusted.port), format!("{scheme}://localhost:{}", other.port)]
        {
            let (status, body) = asked(&server, &developer, &url).await;
            assert!(status == 502 && body.contains("upstream_unavailable"), "{url}: {status} {body}");
        }
    }
    assert!(server.output().contains("TLS failed"), "the log does not say why: {}", server.output());
}
