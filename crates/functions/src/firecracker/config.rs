//! What microVMs are made with, and how many there may be.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{OpenError, programs::located};

/// What microVMs are made with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `firecracker` executable.
    pub binary: PathBuf,
    /// The `jailer` executable; `None` only where guests are trusted.
    pub jailer: Option<PathBuf>,
    /// An uncompressed ELF kernel.
    pub kernel: PathBuf,
    /// What the kernel boots into, with the agent: an archive (`cpio`) or a file system.
    pub rootfs: PathBuf,
    /// The kernel's command line.
    pub boot_args: String,
    /// Below it are the directories of microVMs, and what they are made of.
    pub chroot_base: PathBuf,
    /// Notes of running microVMs; no other server may use it.
    pub state: PathBuf,
    /// The mounted cgroup file system, version 2.
    pub cgroups: PathBuf,
    /// The user that microVMs run as.
    pub uid: u32,
    /// The group that microVMs run as.
    pub gid: u32,
    /// So many wait per version, restored and without an identity.
    pub pool: usize,
    /// Memory of a microVM in bytes; a function whose limit is higher gets that.
    pub memory: u64,
    /// Processors of a microVM.
    pub vcpus: u8,
    /// How many there may be at once, of all functions.
    pub machines: usize,
    /// Calls that one microVM takes in its life.
    pub calls: u32,
    /// A microVM with nothing to do ends after that.
    pub idle: Duration,
    /// How often microVMs are looked after.
    pub tend: Duration,
    /// How long a guest may take to boot, and a function to start.
    pub boot_timeout: Duration,
    /// How long one call of Firecracker's API may take.
    pub api_timeout: Duration,
    /// How long calls may go on in a microVM that is to end.
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            binary: "firecracker".into(),
            jailer: None,
            kernel: PathBuf::new(),
            rootfs: PathBuf::new(),
            boot_args: "console=ttyS0 reboot=k panic=-1 quiet".to_owned(),
            chroot_base: "/srv/jailer".into(),
            state: "microvms".into(),
            cgroups: "/sys/fs/cgroup".into(),
            uid: 64_000,
            gid: 64_000,
            pool: 2,
            memory: 128 << 20,
            vcpus: 1,
            machines: 256,
            calls: 10_000,
            idle: Duration::from_mins(5),
            tend: Duration::from_secs(1),
            boot_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// What every microVM is booted with, and `more`.
    pub fn boot_args_with(more: &str) -> String {
        let mut words = Self::default().boot_args;
        for word in more.split_whitespace() {
            words.push(' ');
            words.push_str(word);
        }
        words
    }

    /// The same with paths that mean the same everywhere, because others are told them.
    pub(super) fn located(mut self) -> Result<Self, OpenError> {
        let located = |program: &Path| {
            located(program).ok_or_else(|| {
                OpenError::Program(format!("`{}` cannot be run: there is no such file", program.display()))
            })
        };
        self.binary = located(&self.binary)?;
        self.jailer = self.jailer.as_deref().map(located).transpose()?;
        self.chroot_base = std::path::absolute(&self.chroot_base)?;
        Ok(self)
    }

    /// Where drives and snapshots are: beside the microVMs, so that one file can be in both places.
    pub(super) fn store(&self) -> PathBuf {
        self.chroot_base.join("store")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_arguments_come_after_those_of_every_microvm() {
        let usual = Config::default().boot_args;
        assert_eq!(Config::boot_args_with(""), usual);
        let more = Config::boot_args_with(" mitigations=off\n random.trust_cpu=on ");
        assert_eq!(more, format!("{usual} mitigations=off random.trust_cpu=on"));
    }
}
