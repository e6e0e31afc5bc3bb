//! The driver's own client of the agent, and the drives it makes, in a real guest. Skipped where
//! `cargo xtask test --only microvm` has not prepared one.

#[path = "../../../../agent/tests/agent/emulator.rs"]
mod emulator;

use std::{collections::BTreeMap, fs, time::Duration};

use bytes::Bytes;
use flagbase_core::{functions::Artifact, tasks::Tasks};
use http::Request;
use http_body_util::Full;

use self::emulator::{Guest, Kit};
use super::super::{
    agent::{Agent, AgentError, GuestLimits, Identity, State},
    image,
};

/// Emulation is slow, and this machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

fn boot(kit: &Kit) -> Guest {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("drive");
    let artifact = Artifact::new("echo", Bytes::from(fs::read(&kit.function).unwrap()));
    image::build(&artifact, &path).unwrap();
    Guest::boot(kit, &fs::read(path).unwrap())
}

async fn init(agent: &Agent) -> Result<super::super::agent::Health, AgentError> {
    let variables = BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]);
    let limits = GuestLimits {
        timeout_ms: 30_000,
        request_body: 4 << 20,
        response_body: 4 << 20,
        log: 1 << 16,
        concurrency: 8,
    };
    let identity = Identity {
        environment: "test",
        function: "echo",
        version: 1,
        instance: "vm-1",
        variables: &variables,
        secrets: &BTreeMap::new(),
        seed: "5eed".repeat(16),
        now_ms: 1_800_000_000_000,
        limits,
    };
    agent.init(&identity, PATIENCE).await
}

async fn call(agent: &Agent, target: &str, body: Vec<u8>) -> super::super::wire::Answer {
    let request = Request::post(target).header("host", "echo").body(Full::new(Bytes::from(body))).unwrap();
    tokio::time::timeout(PATIENCE, agent.call(request, 8 << 20)).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_drivers_client_takes_a_real_guest_through_its_life() {
    let Some(kit) = Kit::find() else { return };
    let guest = boot(&kit);
    let tasks = Tasks::new();
    let agent = Agent::new(guest.socket(), &tasks);
    let health = agent.health(PATIENCE).await.unwrap();
    assert_eq!(health.state, State::Booted);
    assert!(health.function.is_some());
    assert_eq!(init(&agent).await.unwrap().state, State::Ready);
    assert!(matches!(init(&agent).await, Err(AgentError::Refused(409, _))));
    for size in [0, 5, 1 << 20] {
        assert_eq!(call(&agent, "/call/echo", vec![b'x'; size]).await.body.len(), size);
    }
    assert_eq!(call(&agent, "/call/variable?GREETING", Vec::new()).await.body, "hello");
    call(&agent, "/call/print?seen", Vec::new()).await;
    let (mut after, mut seen) = (0, false);
    for _ in 0..50 {
        // This vsock device hangs up now and then when connections come one after the other.
        let Ok(page) = agent.lines(after, Duration::from_millis(200)).await else { continue };
        after = page.next;
        seen |= page.lines.iter().any(|line| line.text == "seen" && line.stream == "stderr");
    }
    assert!(seen, "{}", guest.console());
    let crashed = call(&agent, "/call/exit?3", Vec::new()).await;
    assert_eq!(crashed.headers.get(super::super::agent::FAULT).unwrap(), "exited");
    assert_eq!(agent.drain(PATIENCE).await.unwrap(), 0);
    let refused = call(&agent, "/call/echo", Vec::new()).await;
    assert_eq!(refused.headers.get(super::super::agent::FAULT).unwrap(), "draining");
}
