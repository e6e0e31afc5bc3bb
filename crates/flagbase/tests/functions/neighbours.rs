//! Neighbours of functions that go up to their limits: who calls something else does not notice.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;

use super::*;

/// Says that it has begun, and then does what its path says, for as long as it may.
const BUSY: &str = r"
import { kv } from 'flagbase';
export default { async fetch(request) {
  await kv.increment('begun');
  const how = new URL(request.url).pathname;
  if (how === '/loops') for (;;);
  if (how === '/sleeps') await new Promise((resolve) => setTimeout(resolve, 3_600_000));
  const all = [];
  for (;;) all.push(new Uint8Array(1 << 20).fill(7));
} };
";

/// Tells how many of them have begun, in an instance of its own.
const NEIGHBOUR: &str = r"
import { kv } from 'flagbase';
export default { fetch: async () => new Response(`${await kv.increment('begun', 0)}`) };
";

const LOOPS: u32 = 8;
const SLEEPERS: u32 = 40;
const BOMBS: u32 = 2;
const CALLS: u32 = 50;

async fn busy(server: &TestServer, how: &str) -> Reply {
    server.send(Method::GET, &format!("/functions/busy/{how}"), None, None).await
}

/// Calls `how` again and again.
async fn again_and_again(server: &TestServer, how: &str) -> ! {
    loop {
        let answer = busy(server, how).await.expect_status(502);
        assert!(answer.json["code"].as_str().unwrap().starts_with("function_"), "{}", answer.text);
    }
}

#[tokio::test]
async fn neighbours_are_all_answered_before_anything_of_what_loops_and_sleeps_has_ended() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    for (file, source) in [("busy", BUSY), ("neighbour", NEIGHBOUR)] {
        let query = format!("file={file}.js");
        deploy_with(&server, &developer, file, (&query, source.into())).await.expect_status(201);
    }
    deploy(&server, &developer, "hello", guests::says(200, "hi")).await.expect_status(201);
    // Far longer than everything below takes: what is counted is who ends first.
    let limits = json!({"limits": {"timeout": "5m", "memory": "32MiB", "concurrency": 200}});
    set(&server, &developer, "busy", limits).await.expect_status(200);

    let ended = AtomicU32::new(0);
    let endless = async |how: &str| {
        busy(&server, how).await;
        ended.fetch_add(1, Ordering::Relaxed);
    };
    let loops = join_all((0..LOOPS).map(|_| endless("loops")));
    let sleepers = join_all((0..SLEEPERS).map(|_| endless("sleeps")));
    let bombs = join_all((0..BOMBS).map(|_| again_and_again(&server, "hoards")));
    let neighbours = async {
        let begun = async || call(&server, "neighbour").await.expect_status(200).text.parse::<u32>().unwrap();
        // Each bomb has gone off at least once.
        until("all of them run", async || (begun().await > LOOPS + SLEEPERS + 2 * BOMBS).then_some(())).await;
        for _ in 0..CALLS {
            assert_eq!(call(&server, "hello").await.expect_status(200).text, "hi");
            begun().await;
        }
        ended.load(Ordering::Relaxed)
    };
    tokio::select! {
        ended = neighbours => assert_eq!(ended, 0, "none of them ended before the neighbours were answered"),
        _ = async { tokio::join!(loops, sleepers) } => unreachable!("the deadline came first"),
        _ = bombs => unreachable!("there are always more"),
    }
}
