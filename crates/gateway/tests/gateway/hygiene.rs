//! The corpus of raw requests: bytes in, status out, and what the backend saw of them.

use tokio::io::AsyncWriteExt as _;

use super::{
    corpus::{Case, Sees, cases},
    support::{Answer, PATIENCE, Recording, World},
};

async fn run(case: &Case, world: &World, backend: &Recording) -> Result<(), String> {
    let mut stream = world.connect().await;
    for part in &case.parts {
        stream.write_all(part).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = Answer::read(&mut stream).await;
    if answer.status != case.status {
        return Err(format!("status {} instead of {}: {answer:?}", answer.status, case.status));
    }
    let seen = backend.take();
    match (&case.sees, seen.as_slice()) {
        (Sees::Nothing, []) => Ok(()),
        (Sees::Request(line, with, without), [request]) => {
            let lower = request.to_ascii_lowercase();
            if !request.starts_with(line) {
                return Err(format!("the backend saw {request:?} instead of {line:?}"));
            }
            match (
                with.iter().find(|text| !lower.contains(**text)),
                without.iter().find(|text| lower.contains(**text)),
            ) {
                (None, None) => Ok(()),
                (missing, leaked) => Err(format!("missing {missing:?}, leaked {leaked:?} in {request:?}")),
            }
        }
        (_, seen) => Err(format!("the backend saw {seen:?}")),
    }
}

#[tokio::test]
async fn every_case_of_the_corpus_is_answered_as_it_must_be() {
    let (backend, url) = Recording::start().await;
    let world = World::before(&url).await;
    let mut failed = Vec::new();
    for case in cases() {
        if let Err(why) = run(&case, &world, &backend).await {
            failed.push(format!("{}: {why}", case.name));
        }
    }
    assert!(cases().len() >= 37, "the corpus has only {} cases", cases().len());
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test]
async fn every_case_is_answered_the_same_when_it_arrives_byte_by_byte() {
    let (backend, url) = Recording::start().await;
    let world = World::before(&url).await;
    let mut failed = Vec::new();
    for mut case in cases().into_iter().filter(|case| case.parts.concat().len() < 2000) {
        case.parts = case.parts.concat().into_iter().map(|byte| vec![byte]).collect();
        // The gateway may answer and close before the last byte is written.
        let mut stream = world.connect().await;
        for part in &case.parts {
            if stream.write_all(part).await.is_err() {
                break;
            }
        }
        let answer = Answer::read(&mut stream).await;
        backend.take();
        if answer.status != case.status && answer.status != 0 {
            failed.push(format!("{}: {} instead of {}", case.name, answer.status, case.status));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test]
async fn the_connection_ends_after_a_request_whose_framing_cannot_be_trusted() {
    let (backend, url) = Recording::start().await;
    let world = World::before(&url).await;
    for head in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Host: other.example.com\r\n",
    ] {
        let first = format!("POST /gateway/a HTTP/1.1\r\nHost: shop.example.com\r\n{head}\r\n");
        let smuggled = "0\r\n\r\nGET /gateway/smuggled HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";
        let mut stream = world.connect().await;
        stream.write_all(format!("{first}{smuggled}").as_bytes()).await.unwrap();
        assert_eq!(Answer::read(&mut stream).await.status, 400, "{head}");
        let after = tokio::time::timeout(PATIENCE, Answer::read(&mut stream)).await.unwrap();
        assert_eq!(after.status, 0, "{head}: {after:?}");
        assert_eq!(backend.take(), Vec::<String>::new(), "{head}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (backend, url) = Recording::start().await;
    let world = World::before(&url).await;
    let mut stream = world.connect().await;
    let one = "POST /gateway/one HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let two =
        "POST /gateway/two HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let three = "GET /gateway/three HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{one}{two}{three}").as_bytes()).await.unwrap();
    let mut all = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut all).await.unwrap();
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 3, "{all}");
    let seen = backend.take();
    let lines: Vec<_> = seen.iter().map(|request| request.lines().next().unwrap()).collect();
    assert_eq!(lines, ["POST /one HTTP/1.1", "POST /two HTTP/1.1", "GET /three HTTP/1.1"]);
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_answered_with_a_problem_that_says_what_to_do() {
    let (_, url) = Recording::start().await;
    let world = World::before(&url).await;
    let many = "X: y\r\n".repeat(101);
    for (request, status, code) in [
        ("nonsense\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET /gateway/x HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n".to_owned(), 400, "bad_request"),
        (format!("GET /gateway/x HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431, "head_too_large"),
        (
            format!("GET /gateway/x HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(80_000)),
            431,
            "head_too_large",
        ),
    ] {
        let answer = world.send(&request).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(answer.json()["error"].is_string(), "{answer:?}");
    }
}
