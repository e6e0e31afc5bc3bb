//! Bodies as Firecracker 1.16.1 reads them: the same fields in the same order, so that what it says of others is the same.

#![expect(clippy::struct_field_names, reason = "fields are named as they are written")]

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MachineConfiguration {
    pub(super) vcpu_count: u8,
    pub(super) mem_size_mib: usize,
    #[serde(default)]
    pub(super) smt: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cpu_template: Option<CpuTemplate>,
    #[serde(default)]
    pub(super) track_dirty_pages: bool,
    #[serde(default)]
    pub(super) huge_pages: HugePages,
}

impl Default for MachineConfiguration {
    fn default() -> Self {
        Self {
            vcpu_count: 1,
            mem_size_mib: 128,
            smt: false,
            cpu_template: None,
            track_dirty_pages: false,
            huge_pages: HugePages::None,
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum CpuTemplate {
    C3,
    T2,
    T2S,
    T2CL,
    T2A,
    V1N1,
    None,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum HugePages {
    #[default]
    None,
    #[serde(rename = "2M")]
    Hugetlbfs2M,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BootSource {
    pub(super) kernel_image_path: String,
    pub(super) initrd_path: Option<String>,
    pub(super) boot_args: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drive {
    pub(super) drive_id: String,
    pub(super) partuuid: Option<String>,
    pub(super) is_root_device: bool,
    #[serde(default)]
    pub(super) cache_type: CacheType,
    pub(super) is_read_only: Option<bool>,
    pub(super) path_on_host: Option<String>,
    pub(super) rate_limiter: Option<Value>,
    pub(super) io_engine: Option<IoEngine>,
    pub(super) socket: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) enum CacheType {
    #[default]
    Unsafe,
    Writeback,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) enum IoEngine {
    #[default]
    Sync,
    Async,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vsock {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) vsock_id: Option<String>,
    pub(super) guest_cid: u32,
    pub(super) uds_path: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entropy {
    pub(super) rate_limiter: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionBody {
    pub(super) action_type: ActionType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum ActionType {
    FlushMetrics,
    InstanceStart,
    SendCtrlAltDel,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VmBody {
    pub(super) state: VmState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum VmState {
    Paused,
    Resumed,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotCreate {
    #[serde(default)]
    #[expect(dead_code, reason = "there is no memory to be saved, whole or in part")]
    pub(super) snapshot_type: SnapshotType,
    pub(super) snapshot_path: String,
    pub(super) mem_file_path: String,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) enum SnapshotType {
    Diff,
    #[default]
    Full,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    clippy::struct_excessive_bools,
    reason = "fields that are only checked are read all the same"
)]
pub(super) struct SnapshotLoad {
    pub(super) snapshot_path: String,
    pub(super) mem_file_path: Option<String>,
    pub(super) mem_backend: Option<MemoryBackend>,
    #[serde(default)]
    pub(super) enable_diff_snapshots: bool,
    #[serde(default)]
    pub(super) track_dirty_pages: bool,
    #[serde(default)]
    pub(super) resume_vm: bool,
    #[serde(default)]
    pub(super) network_overrides: Vec<NetworkOverride>,
    pub(super) vsock_override: Option<VsockOverride>,
    #[serde(default)]
    pub(super) clock_realtime: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemoryBackend {
    pub(super) backend_path: String,
    #[expect(dead_code, reason = "both kinds name something that must be there")]
    pub(super) backend_type: BackendType,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum BackendType {
    File,
    Uffd,
}

#[derive(Debug, Clone, Deserialize)]
#[expect(dead_code, reason = "there are no network devices to override")]
pub(super) struct NetworkOverride {
    pub(super) iface_id: String,
    pub(super) host_dev_name: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct VsockOverride {
    pub(super) uds_path: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields that are only checked are read all the same")]
pub(super) struct Logger {
    pub(super) log_path: Option<String>,
    pub(super) level: Option<Filter>,
    pub(super) show_level: Option<bool>,
    pub(super) show_log_origin: Option<bool>,
    pub(super) module: Option<String>,
}

/// A level in any case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter;

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?.to_ascii_lowercase();
        match text.as_str() {
            "off" | "error" | "warn" | "warning" | "info" | "debug" | "trace" => Ok(Self),
            _ => Err(serde::de::Error::custom("Invalid LevelFilter")),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields that are only checked are read all the same")]
pub(super) struct Metrics {
    pub(super) metrics_path: String,
}
