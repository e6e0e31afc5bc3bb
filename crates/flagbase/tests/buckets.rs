//! Buckets through the real binary: written, read, resumed and shared over HTTP, kept equal to directories by the command
//! line, and whole after whatever goes wrong.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "buckets/browsers.rs"]
mod browsers;
#[path = "buckets/commands.rs"]
mod commands;
#[path = "buckets/expiring.rs"]
mod expiring;
#[path = "buckets/faults.rs"]
mod faults;
#[path = "buckets/objects.rs"]
mod objects;
#[path = "buckets/public.rs"]
mod public;
#[path = "buckets/sending.rs"]
mod sending;
#[path = "buckets/signed.rs"]
mod signed;
#[path = "buckets/sites.rs"]
mod sites;
#[path = "buckets/unfinished.rs"]
mod unfinished;
#[path = "buckets/uploads.rs"]
mod uploads;

use flagbase_testkit::server::{Reply, TestServer, free_port};
use reqwest::Method;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// A server with a bucket `files`, and a developer.
struct Place {
    server: TestServer,
    token: String,
}

impl Place {
    async fn new(settings: Value) -> Self {
        Self::on(TestServer::start(PROGRAM).await, settings).await
    }

    /// With S3 on a port of its own, where everybody may do everything in the bucket; and the address of the bucket there.
    async fn with_s3() -> (Self, String) {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_STORAGE__S3__LISTEN", &listen)]).await;
        let statement = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:*",
            "Resource": ["arn:aws:s3:::files", "arn:aws:s3:::files/*"]});
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]});
        (Self::on(server, json!({"policy": policy})).await, format!("http://{listen}/files"))
    }

    async fn on(server: TestServer, settings: Value) -> Self {
        let token = server.join("dev@example.com", "developer").await;
        server.put("/api/v1/buckets/files", &token, &settings).await.expect_status(201);
        Self { server, token }
    }

    /// A request about something in the bucket.
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = self.server.url(&format!("/api/v1/buckets/files{path}"));
        self.server.client().request(method, url).bearer_auth(&self.token)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let request = headers
            .iter()
            .fold(self.request(method, path), |request, (name, value)| request.header(*name, *value));
        self.server.reply(request.body(body)).await
    }

    async fn put(&self, key: &str, body: impl Into<reqwest::Body>) -> Reply {
        self.send(Method::PUT, &format!("/objects/{key}"), &[], body).await
    }

    async fn get(&self, key: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(Method::GET, &format!("/objects/{key}"), headers, "").await
    }

    async fn bytes(&self, key: &str) -> Vec<u8> {
        let request = self.request(Method::GET, &format!("/objects/{key}"));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{key}");
        response.bytes().await.unwrap().into()
    }
}

/// Bytes that are not all alike.
fn filled(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(31) >> 3).to_le_bytes()[0] ^ seed).collect()
}
