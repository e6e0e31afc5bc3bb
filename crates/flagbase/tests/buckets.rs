//! Buckets through the real binary: written, read, resumed and shared over HTTP, kept equal to directories by the command
//! line, and whole after whatever goes wrong.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "buckets/commands.rs"]
mod commands;
#[path = "buckets/faults.rs"]
mod faults;
#[path = "buckets/objects.rs"]
mod objects;
#[path = "buckets/sending.rs"]
mod sending;
#[path = "buckets/signed.rs"]
mod signed;
#[path = "buckets/sites.rs"]
mod sites;
#[path = "buckets/uploads.rs"]
mod uploads;

use flagbase_testkit::server::{Reply, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// A server with a bucket `up`, and a developer.
struct Place {
    server: TestServer,
    token: String,
}

impl Place {
    async fn new(settings: Value) -> Self {
        let server = TestServer::start(PROGRAM).await;
        let token = server.join("dev@example.com", "developer").await;
        server.put("/api/v1/buckets/up", &token, &settings).await.expect_status(201);
        Self { server, token }
    }

    /// A request about something in the bucket.
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = self.server.url(&format!("/api/v1/buckets/up{path}"));
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
