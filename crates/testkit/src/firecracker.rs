//! A strict double of Firecracker and its jailer, as processes of their own.
//!
//! It answers as a Firecracker 1.16.1 did when it was recorded (`data/firecracker`), and checks every body against the
//! published description. Behind its vsock device is a guest of ours whose function does what it is asked by path (see
//! `firecracker/agent.rs`), and which behaves as the text on its drive says (`firecracker/guest.rs`). There is no
//! virtual machine.
//!
//! The programs are this test binary once more: [`Programs::install`] writes scripts that start it with one test, whose
//! whole body is [`process`].

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the programs print, as those that they stand for"
)]

mod agent;
mod api;
mod bodies;
mod description;
mod guest;
mod http1;
mod jailer;
mod vmm;

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

pub use self::{
    api::Reply,
    description::Description,
    vmm::{Outcome, Vmm},
};

/// The version that it says it is.
pub const VERSION: &str = "1.16.1";
/// Which of the two programs to be.
const AS: &str = "FIRECRACKER_DOUBLE";
/// The arguments, one a line.
const ARGUMENTS: &str = "FIRECRACKER_DOUBLE_ARGUMENTS";
/// Where the cgroup file system would be.
const CGROUPS: &str = "FIRECRACKER_DOUBLE_CGROUPS";

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// As `firecracker`.
    pub firecracker: PathBuf,
    /// As `jailer`.
    pub jailer: PathBuf,
    /// What stands for the cgroup file system.
    pub cgroups: PathBuf,
}

impl Programs {
    /// Writes both programs into `directory`. They run `test` of this very test binary, which must do nothing else than
    /// call [`process`].
    pub fn install(directory: &Path, test: &str) -> Self {
        let cgroups = directory.join("cgroups");
        fs::create_dir_all(&cgroups).unwrap();
        let program = |name: &str| {
            let path = directory.join(name);
            let binary = env::current_exe().unwrap();
            // The arguments are on the command line once more, where others look for a process.
            let script = format!(
                "#!/bin/sh\n{AS}={name} {CGROUPS}='{}' {ARGUMENTS}=\"$(printf '%s\\n' \"$@\")\" \\\n\
                 exec '{}' '{test}' --exact --nocapture --test-threads=1 --skip \"arguments $*\"\n",
                cgroups.display(),
                binary.display(),
            );
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        Self { firecracker: program("firecracker"), jailer: program("jailer"), cgroups }
    }
}

/// Becomes Firecracker or the jailer when this process was started as one, and does not return then. Returns `false`
/// in an ordinary test run.
#[expect(clippy::disallowed_methods, reason = "the scripts say by the environment what the process is")]
pub fn process() -> bool {
    let Ok(name) = env::var(AS) else { return false };
    let arguments = env::var(ARGUMENTS).unwrap_or_default();
    let arguments: Vec<String> = arguments.lines().map(str::to_owned).collect();
    let code = match name.as_str() {
        "jailer" => jailer::run(&arguments, &PathBuf::from(env::var(CGROUPS).unwrap_or_default())),
        _ => api::run(&arguments),
    };
    std::process::exit(code)
}

#[cfg(test)]
mod tests;
