//! What is sent to Firecracker's API, as its published description names it.

use serde::{Deserialize, Serialize};

/// `GET /`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Instance {
    /// As given on the command line.
    pub id: String,
    /// Where it is in its life.
    pub state: State,
    /// Such as `1.16.1`.
    pub vmm_version: String,
}

/// Where a microVM is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum State {
    /// It is being configured.
    #[serde(rename = "Not started")]
    NotStarted,
    /// The guest runs.
    Running,
    /// The guest stands still.
    Paused,
}

/// `PUT /machine-config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Virtual processors: 1, or an even number up to 32.
    pub vcpu_count: u8,
    /// Memory in MiB.
    pub mem_size_mib: u64,
    /// Whether two virtual processors share one core.
    #[serde(default)]
    pub smt: bool,
}

/// `PUT /boot-source`. Paths are as Firecracker sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BootSource<'a> {
    /// An uncompressed ELF image.
    pub kernel_image_path: &'a str,
    /// A first root file system in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initrd_path: Option<&'a str>,
    /// The kernel's command line.
    pub boot_args: &'a str,
}

/// `PUT /drives/{drive_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drive<'a> {
    /// Letters, digits and `_`; the same as in the path.
    pub drive_id: &'a str,
    /// The file behind it.
    pub path_on_host: &'a str,
    /// Whether it is `/dev/vda` and the root.
    pub is_root_device: bool,
    /// Whether the guest may write to it.
    pub is_read_only: bool,
}

/// `PUT /vsock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vsock<'a> {
    /// From 3; the host is 2.
    pub guest_cid: u32,
    /// The socket that Firecracker makes.
    pub uds_path: &'a str,
}

/// `PUT /logger`. Fields that are left out keep what they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Logger<'a> {
    /// A file or named pipe that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_path: Option<&'a str>,
    /// `Error`, `Warning`, `Info`, `Debug`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<&'a str>,
}

/// `PUT /metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metrics<'a> {
    /// A file or named pipe that exists.
    pub metrics_path: &'a str,
}

/// `PUT /entropy`: a source of random numbers for the guest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Entropy {}

/// `PUT /actions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "action_type")]
pub enum Action {
    /// Boots the guest.
    InstanceStart,
    /// Writes metrics now.
    FlushMetrics,
    /// Presses Ctrl, Alt and Delete in the guest.
    SendCtrlAltDel,
}

/// `PATCH /vm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state")]
pub enum Run {
    /// The guest stands still.
    Paused,
    /// It goes on.
    Resumed,
}

/// `PUT /snapshot/create`: everything, memory and all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotCreate<'a> {
    /// Where the state of the machine goes.
    pub snapshot_path: &'a str,
    /// Where its memory goes.
    pub mem_file_path: &'a str,
    /// Everything, not what changed.
    pub snapshot_type: SnapshotType,
}

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum SnapshotType {
    /// All memory.
    Full,
    /// What was written since the last one.
    Diff,
}

/// `PUT /snapshot/load`, possible only before anything is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotLoad<'a> {
    /// The state of the machine.
    pub snapshot_path: &'a str,
    /// Its memory.
    pub mem_backend: Memory<'a>,
    /// Whether the guest goes on at once.
    pub resume_vm: bool,
    /// Whether the guest's clock is moved on by the time since the snapshot (from 1.16, x86-64 only).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub clock_realtime: bool,
    /// Other network devices of the host than those of the snapshot (from 1.12).
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub network_overrides: &'a [NetworkOverride],
    /// Another socket for vsock than that of the snapshot (from 1.16).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vsock_override: Option<VsockOverride<'a>>,
}

/// Where a restored guest's memory comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "backend_type", content = "backend_path")]
pub enum Memory<'a> {
    /// A file, read as it is needed, and never written.
    File(&'a str),
    /// The socket of a program that answers page faults.
    Uffd(&'a str),
}

/// Another device of the host for one of the guest's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkOverride {
    /// The guest's.
    pub iface_id: String,
    /// The host's.
    pub host_dev_name: String,
}

/// Another socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VsockOverride<'a> {
    /// Its path.
    pub uds_path: &'a str,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_are_written_as_the_api_names_them() {
        let load = SnapshotLoad {
            snapshot_path: "state",
            mem_backend: Memory::File("memory"),
            resume_vm: true,
            clock_realtime: false,
            network_overrides: &[],
            vsock_override: None,
        };
        let expected = json!({
            "snapshot_path": "state",
            "mem_backend": {"backend_type": "File", "backend_path": "memory"},
            "resume_vm": true,
        });
        assert_eq!(serde_json::to_value(&load).unwrap(), expected);
        assert_eq!(
            serde_json::to_value(Action::InstanceStart).unwrap(),
            json!({"action_type": "InstanceStart"})
        );
        assert_eq!(serde_json::to_value(Run::Paused).unwrap(), json!({"state": "Paused"}));
        assert_eq!(serde_json::to_value(Entropy {}).unwrap(), json!({}));
    }

    #[test]
    fn the_state_has_a_space_in_it() {
        let body = r#"{"id":"a","state":"Not started","vmm_version":"1.16.1","app_name":"Firecracker"}"#;
        let instance: Instance = serde_json::from_str(body).unwrap();
        assert_eq!(instance.state, State::NotStarted);
    }
}
