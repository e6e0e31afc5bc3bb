//! A thousand who sleep and ten thousand who call at once: everybody is answered, and afterwards the server is as before.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Mutex,
};

use super::*;

const SLEEPERS: usize = 1_000;
const CALLERS: usize = 10_000;

/// How often a thousand go to sleep.
const ROUNDS: usize = 3;

/// Memory that may come on top: what allocators keep.
const SLACK_KIB: u64 = 48 << 10;

/// What the pool may keep for the next instances: somewhat more than 256 KiB for each of a thousand.
const KEPT_KIB: u64 = 400 << 10;

/// Descriptors that may stay: idle connections of the test itself.
const SLACK_FILES: usize = 8;

const SLEEPS: &str = "export default { async fetch() {\n\
    await new Promise((resolve) => setTimeout(resolve, 1500));\n\
    return new Response('slept');\n\
} };";

/// One crowd at a time: each takes most of what a machine has.
static CROWD: Mutex<()> = Mutex::const_new(());

/// A client that shares its processor with so many others may be slow to say what it wants.
const PATIENT: [(&str, &str); 1] = [("FLAGBASE_SERVER__HEADER_TIMEOUT", "2m")];

/// One request on a connection of its own, as a string of bytes: the status, and the whole answer.
async fn ask(server: &TestServer, path: &str) -> (u16, String) {
    let address = server.url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), answer)
}

/// So many of them at once; how often each status came. Whoever is turned away is told why.
async fn all_at_once(server: &TestServer, path: &str, callers: usize) -> BTreeMap<u16, usize> {
    let mut calls: FuturesUnordered<_> = (0..callers).map(|_| ask(server, path)).collect();
    let mut statuses = BTreeMap::new();
    while let Some((status, answer)) = calls.next().await {
        *statuses.entry(status).or_default() += 1;
        if status != 200 {
            let reason = answer.contains("function_busy") || answer.contains("functions_exhausted");
            assert!(reason && answer.to_lowercase().contains("retry-after:"), "{answer}");
        }
    }
    statuses
}

/// What the server holds: memory of its own in KiB (pages of files are shared by all instances), and descriptors.
fn held(server: &TestServer) -> (u64, usize) {
    let process = format!("/proc/{}", server.pid());
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    let memory = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    (memory, std::fs::read_dir(format!("{process}/fd")).unwrap().count())
}

/// Waits until the server holds no more than before.
async fn gives_back(server: &TestServer, (memory, files): (u64, usize)) {
    until("memory and descriptors come back", async || {
        let now = held(server);
        (now.0 <= memory + SLACK_KIB && now.1 <= files + SLACK_FILES).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_thousand_sleepers_are_answered_or_turned_away_and_leave_nothing_behind() {
    let _alone = CROWD.lock().await;
    let server = TestServer::start_with(PROGRAM, &PATIENT).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy_with(&server, &developer, "sleeps", ("file=sleeps.js", SLEEPS.into())).await.expect_status(201);
    deploy(&server, &developer, "hello", guests::says(200, "hi")).await.expect_status(201);
    let limits = json!({"limits": {"concurrency": 990, "queue": 5}});
    set(&server, &developer, "sleeps", limits).await.expect_status(200);
    let idle = held(&server);
    let mut kept = Vec::new();
    for _ in 0..ROUNDS {
        let sleepers = all_at_once(&server, "/functions/sleeps", SLEEPERS);
        let neighbours = async {
            for _ in 0..10 {
                assert_eq!(call(&server, "hello").await.expect_status(200).text, "hi");
            }
        };
        let (statuses, ()) = tokio::join!(sleepers, neighbours);
        assert_eq!(statuses.values().sum::<usize>(), SLEEPERS, "{statuses:?}");
        assert!(statuses.keys().all(|status| [200, 429, 503].contains(status)), "{statuses:?}");
        assert!(statuses[&200] >= 500, "most of them sleep side by side: {statuses:?}");
        gives_back(&server, (idle.0 + KEPT_KIB, idle.1)).await;
        kept.push(held(&server).0);
    }
    // The pool keeps as much as the most that ever slept at once; once it has, another round adds nothing.
    assert!(
        kept.windows(2).any(|pair| pair[1] <= pair[0] + SLACK_KIB),
        "each round adds to it: {kept:?} KiB"
    );
}

#[tokio::test]
async fn ten_thousand_calls_at_once_are_answered_or_turned_away_and_leave_nothing_behind() {
    let _alone = CROWD.lock().await;
    let server = TestServer::start_with(PROGRAM, &PATIENT).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "hello", guests::says(200, "hi")).await.expect_status(201);
    deploy(&server, &developer, "other", guests::says(200, "there")).await.expect_status(201);
    let warm = join_all((0..50).map(|_| call(&server, "hello"))).await;
    assert!(warm.iter().all(|answer| answer.status == 200), "{warm:?}");
    let before = held(&server);
    let callers = all_at_once(&server, "/functions/hello", CALLERS);
    let neighbours = async {
        for _ in 0..5 {
            assert_eq!(call(&server, "other").await.expect_status(200).text, "there");
        }
    };
    let (statuses, ()) = tokio::join!(callers, neighbours);
    assert_eq!(statuses.values().sum::<usize>(), CALLERS, "{statuses:?}");
    assert!(statuses.keys().all(|status| [200, 429, 503].contains(status)), "{statuses:?}");
    assert!(statuses[&200] > 0, "{statuses:?}");
    gives_back(&server, before).await;
    assert_eq!(call(&server, "hello").await.expect_status(200).text, "hi");
}
