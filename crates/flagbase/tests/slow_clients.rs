//! Clients that keep a connection busy without ever finishing are cut off; everybody else is served meanwhile.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::time::Duration;

use flagbase_testkit::{backend::Backend, server::TestServer};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");
const IMPATIENT: [(&str, &str); 2] =
    [("FLAGBASE_SERVER__HEADER_TIMEOUT", "1s"), ("FLAGBASE_SERVER__REQUEST_TIMEOUT", "2s")];

/// Long enough for any machine; a server that does not cut off never ends.
const HOPELESS: Duration = Duration::from_secs(40);

async fn connect(server: &TestServer) -> TcpStream {
    TcpStream::connect(server.url("").trim_start_matches("http://")).await.unwrap()
}

/// Sends `at_once`, then `slowly` over and over, a byte at a time, until the server ends the connection; returns what it said.
async fn trickle(server: &TestServer, at_once: String, slowly: &'static str) -> String {
    let (mut reading, mut writing) = connect(server).await.into_split();
    let sending = async move {
        if writing.write_all(at_once.as_bytes()).await.is_err() {
            return;
        }
        for byte in slowly.bytes().cycle() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if writing.write_all(&[byte]).await.is_err() {
                return;
            }
        }
        // Without anything to send it waits with the connection open.
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    let listening = async {
        // A reset is an end, too.
        let mut chunk = [0; 1024];
        while let Ok(read @ 1..) = reading.read(&mut chunk).await {
            said.extend_from_slice(chunk.get(..read).unwrap());
        }
    };
    let ended = async {
        tokio::select! {
            () = listening => {}
            () = async { sending.await; std::future::pending().await } => {}
        }
    };
    tokio::time::timeout(HOPELESS, ended).await.unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let server = TestServer::start_with(PROGRAM, &IMPATIENT).await;
    let (silent, method, headers, second) = tokio::join!(
        trickle(&server, String::new(), ""),
        trickle(&server, String::new(), "GET"),
        trickle(&server, "GET /health HTTP/1.1\r\nHost: x\r\n".to_owned(), "X-A: b\r\n"),
        trickle(&server, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "GET /"),
    );
    for said in [silent, method, headers] {
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    }
    assert!(second.starts_with("HTTP/1.1 200") && second.contains("{\"status\":\"ok\"}"), "{second}");
    assert_eq!(second.matches("HTTP/1.1 200").count(), 1, "{second}");
}

#[tokio::test]
async fn a_body_that_does_not_end_is_answered_and_cut_off() {
    let server = TestServer::start_with(PROGRAM, &IMPATIENT).await;
    let developer = server.join("dev@example.com", "developer").await;
    let head = |framing: &str| {
        format!(
            "POST /api/v1/flags HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {developer}\r\n{framing}\r\n\r\n"
        )
    };
    let (sized, chunked, stalled) = tokio::join!(
        trickle(&server, head("Content-Length: 1000000"), " "),
        trickle(&server, head("Transfer-Encoding: chunked"), "1\r\n \r\n"),
        trickle(&server, format!("{}{{\"key\":", head("Content-Length: 100")), ""),
    );
    for said in [sized, chunked, stalled] {
        assert!(said.starts_with("HTTP/1.1 408"), "{said}");
        assert!(
            said.contains("application/problem+json") && said.contains("the body did not arrive in time"),
            "{said}"
        );
    }
    let flags = server.get("/api/v1/flags", &developer).await.expect_status(200);
    assert_eq!(flags.json, json!([]), "nothing was changed");
}

#[tokio::test]
async fn a_body_that_stops_on_its_way_through_the_gateway_is_cut_off() {
    let server = TestServer::start_with(PROGRAM, &IMPATIENT).await;
    let backend = Backend::start().await;
    let developer = server.join("dev@example.com", "developer").await;
    let route = json!({"path": "/upload", "backend_url": backend.url(), "timeouts": {"idle": "1s"}});
    server.post("/api/v1/gateway/routes", &developer, &route).await.expect_status(201);
    let head = "POST /gateway/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbegun".to_owned();
    let said = trickle(&server, head, "").await;
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
}

#[tokio::test]
async fn however_many_dawdle_others_are_served() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_SERVER__HEADER_TIMEOUT", "10m")]).await;
    let mut dawdlers = Vec::new();
    for at in 0..400 {
        let mut stream = connect(&server).await;
        let begun = match at % 3 {
            0 => "",
            1 => "GET /health HTT",
            _ => "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{",
        };
        stream.write_all(begun.as_bytes()).await.unwrap();
        dawdlers.push(stream);
    }
    let developer = server.join("dev@example.com", "developer").await;
    let flag = json!({"key": "f", "enabled": true, "default_value": true});
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);
    for _ in 0..50 {
        let seen = server.get("/api/v1/flags/f/evaluate", &developer).await.expect_status(200);
        assert_eq!(seen.json["value"], json!(true));
    }
    for stream in &mut dawdlers {
        stream.write_all(b" ").await.unwrap();
    }
}
