//! Functions in microVMs through the real binary, with a strict double of Firecracker and its jailer as programs: what is
//! configured, deployed, called, drained, cleaned up after a crash, and looked at by the doctor.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

#[path = "firecracker/doctor.rs"]
mod doctor;
#[path = "firecracker/life.rs"]
mod life;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flagbase_testkit::firecracker::Programs;
use flagbase_testkit::server::{Reply, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// The test that is a process of the double.
const DOUBLE: &str = "this_binary_can_be_a_firecracker";

#[test]
fn this_binary_can_be_a_firecracker() {
    assert!(!flagbase_testkit::firecracker::process());
}

/// A machine with everything that microVMs need, as far as a double needs it.
struct Machine {
    directory: TempDir,
    programs: Programs,
}

impl Machine {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let programs = Programs::install(directory.path(), DOUBLE);
        let machine = Self { directory, programs };
        machine.file("vmlinux", b"\x7fELF of a kernel");
        machine.file("initrd", b"070701 and so on");
        machine
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A program that does nothing but say this version.
    fn says_version(&self, name: &str, version: &str) -> PathBuf {
        let path = self.file(name, format!("#!/bin/sh\necho {name} v{version}\n").as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn jails(&self) -> PathBuf {
        self.directory.path().join("jails")
    }

    /// The settings, with some of them changed: the keys below `compute.firecracker`, in capitals.
    fn settings(&self, changed: &[(&str, &Path)]) -> Vec<(String, String)> {
        let (kernel, rootfs) = (self.directory.path().join("vmlinux"), self.directory.path().join("initrd"));
        let usual = [
            ("BINARY", self.programs.firecracker.clone()),
            ("JAILER", self.programs.jailer.clone()),
            ("KERNEL", kernel),
            ("ROOTFS", rootfs),
            ("CHROOT_BASE", self.jails()),
        ];
        let mut settings = vec![
            ("FLAGBASE_COMPUTE__DRIVER".to_owned(), "firecracker".to_owned()),
            ("FLAGBASE_COMPUTE__FIRECRACKER__POOL".to_owned(), "0".to_owned()),
        ];
        for (key, path) in usual {
            let other = changed.iter().find(|(name, _)| *name == key).map(|(_, path)| path.to_path_buf());
            let value = other.unwrap_or(path).display().to_string();
            settings.push((format!("FLAGBASE_COMPUTE__FIRECRACKER__{key}"), value));
        }
        settings
    }

    async fn server(&self) -> TestServer {
        let settings = self.settings(&[]);
        let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        TestServer::start_with(PROGRAM, &settings).await
    }

    /// A command beside no server, with some settings changed.
    fn command(&self, line: &str, changed: &[(&str, &Path)]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.directory.path()).env_clear().args(line.split(' '));
        command.env("HOME", self.directory.path()).env("PATH", "/usr/bin:/bin");
        command.env("FLAGBASE_EVENTS__NATS_PORT", "0").envs(self.settings(changed));
        command
    }

    /// The processes of microVMs: they live in their directories.
    fn microvms(&self) -> Vec<u32> {
        let jails = self.jails();
        let lives = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|place| place.starts_with(&jails))
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(lives).collect()
    }

    /// The directories of microVMs.
    fn places(&self) -> Vec<PathBuf> {
        let listed = fs::read_dir(self.jails().join("firecracker")).into_iter().flatten().flatten();
        listed.map(|entry| entry.path()).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A server that was killed leaves them behind; the next start would clean up.
        for pid in self.microvms() {
            drop(Command::new("kill").args(["-KILL", &pid.to_string()]).status());
        }
    }
}

/// A WASI command; what it does in a microVM of the double is decided by the path.
fn command() -> Vec<u8> {
    wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).unwrap()
}

/// Deploys it as the next version of `hello`.
async fn deploy(server: &TestServer, token: &str, (query, code): (&str, Vec<u8>)) -> Reply {
    let url = server.url(&format!("/api/v1/functions/hello/versions?{query}"));
    server.reply(server.client().post(url).bearer_auth(token).body(code)).await
}

/// Calls it as somebody without a token.
async fn call(server: &TestServer, target: &str) -> Reply {
    server.send(Method::GET, &format!("/functions/hello{target}"), None, None).await
}
