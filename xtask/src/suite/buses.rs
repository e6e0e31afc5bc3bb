//! The buses against the servers that they are for: nats-server, Tansu and Apache Kafka.

use std::process::Command;

use anyhow::Result;

use super::at;
use crate::workspace::Workspace;
use crate::{process, servers};

/// Everything that carries events out of this process.
const FEATURES: &str = "nats,kafka-rdkafka";

/// The features of `flagbase` that bring them all.
const CLUSTER: &str = "cluster,kafka-rdkafka";

/// Lints and tests with all adapters, and the binary that has them.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    let lints =
        ["clippy", "--no-deps", "--package", "flagbase-events", "--all-targets", "--features", FEATURES];
    process::run(at(workspace).args(lints).args(["--", "-D", "warnings"]))?;
    let package = |name: &str, features: &str| -> Result<Command> {
        let mut command = at(workspace);
        command
            .args(["test", "--package", name, "--features", features])
            .env("NATS_SERVER", servers::nats(workspace)?)
            .env("TANSU_SERVER", servers::tansu(workspace)?)
            .env("KAFKA_CLASSES", servers::kafka(workspace)?);
        Ok(command)
    };
    process::run(&mut package("flagbase-events", FEATURES)?)?;
    process::run(package("flagbase", CLUSTER)?.args(["--test", "cluster"]))
}
