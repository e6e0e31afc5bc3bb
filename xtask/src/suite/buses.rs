//! The buses against the servers that they are for: nats-server, Tansu and Apache Kafka.

use anyhow::Result;

use super::everything;
use crate::workspace::Workspace;
use crate::{process, servers};

/// Tests all adapters, and the binary that has them.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    let mut tests = everything(workspace, "test");
    tests
        .args(["--no-fail-fast", "--test", "nats_bus", "--test", "kafka_bus"])
        .args(["--test", "cluster", "--test", "relay_crash"])
        .env("NATS_SERVER", servers::nats(workspace)?)
        .env("TANSU_SERVER", servers::tansu(workspace)?)
        .env("KAFKA_CLASSES", servers::kafka(workspace)?);
    process::run(&mut tests)?;
    // What is tested beside the code.
    process::run(everything(workspace, "test").args(["--lib", "--", "kafka", "nats", "idempotent", "open"]))
}
