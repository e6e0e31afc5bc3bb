//! Whether microVMs can run on this machine, one function per thing that they need.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::StatVfsMountFlags;

use super::{
    Config,
    machine::Rootfs,
    programs::located,
    version::{OLDEST, Version},
};
use crate::{Checked, Verdict};

/// Where the kernel hands out virtual machines.
const KVM: &str = "/dev/kvm";
/// Controllers of cgroups that bound a microVM.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// The longest `chroot_base`, so that sockets below it have a name that the system takes.
const LONGEST_BASE: usize = 40;

/// Everything that microVMs need.
pub(crate) async fn all(config: &Config) -> Vec<Checked> {
    let mut found = vec![kvm(Path::new(KVM))];
    found.extend(programs(config).await);
    found.push(kernel(&config.kernel));
    found.push(rootfs(&config.rootfs));
    found.push(directory(&config.chroot_base, config.jailer.is_some()));
    if config.jailer.is_some() {
        found.push(cgroups(&config.cgroups));
        found.push(user(config, rustix::process::geteuid().is_root()));
    }
    found
}

fn good(check: &'static str, detail: impl Into<String>) -> Checked {
    Checked { check, verdict: Verdict::Good, detail: detail.into() }
}

fn doubtful(check: &'static str, detail: impl Into<String>) -> Checked {
    Checked { check, verdict: Verdict::Doubtful, detail: detail.into() }
}

fn bad(check: &'static str, detail: impl Into<String>) -> Checked {
    Checked { check, verdict: Verdict::Bad, detail: detail.into() }
}

fn kvm(path: &Path) -> Checked {
    const CHECK: &str = "kvm";
    let shown = path.display();
    let Ok(found) = fs::metadata(path) else {
        let advice = "load the module `kvm_intel` or `kvm_amd`; in a virtual machine, have nested virtualisation switched on";
        return bad(CHECK, format!("`{shown}` is not there; {advice}"));
    };
    if !found.file_type().is_char_device() {
        return bad(CHECK, format!("`{shown}` is no device"));
    }
    match File::options().read(true).write(true).open(path) {
        Ok(_) => good(CHECK, format!("`{shown}` can be used")),
        Err(error) => bad(
            CHECK,
            format!(
                "`{shown}` cannot be opened ({error}); run as a user of the group `kvm`, or `setfacl -m u:$USER:rw {shown}`"
            ),
        ),
    }
}

async fn programs(config: &Config) -> Vec<Checked> {
    let (checked, version) = program("firecracker", &config.binary).await;
    let Some(jailer) = &config.jailer else {
        let text = "not configured: microVMs run as this user and see this machine's files; set `compute.firecracker.jailer`";
        return vec![checked, doubtful("jailer", text)];
    };
    let (jailer, other) = program("jailer", jailer).await;
    let jailer = match (version, other) {
        (Some(version), Some(other)) if version != other => bad(
            "jailer",
            format!("is version {other}, and firecracker {version}; use both of the same release"),
        ),
        _ => jailer,
    };
    vec![checked, jailer]
}

async fn program(check: &'static str, configured: &Path) -> (Checked, Option<Version>) {
    let shown = configured.display();
    let Some(path) = located(configured) else {
        let advice = "get it from a release of Firecracker and name it with";
        return (
            bad(check, format!("`{shown}` is not there; {advice} `compute.firecracker.{}`", key(check))),
            None,
        );
    };
    match Version::of(&path).await {
        Ok(version) if version.is_supported() => {
            (good(check, format!("version {version} at `{}`", path.display())), Some(version))
        }
        Ok(version) => (
            bad(check, format!("version {version} is not supported; use {OLDEST} or a later 1.x")),
            Some(version),
        ),
        Err(error) => (bad(check, error), None),
    }
}

fn key(check: &str) -> &str {
    if check == "firecracker" { "binary" } else { check }
}

fn kernel(path: &Path) -> Checked {
    const CHECK: &str = "kernel of microvms";
    let shown = path.display();
    if path.as_os_str().is_empty() {
        return bad(
            CHECK,
            "not configured; name an uncompressed `vmlinux` with `compute.firecracker.kernel`",
        );
    }
    let mut head = [0; 4];
    match File::open(path).and_then(|mut file| file.read_exact(&mut head)) {
        Ok(()) if head == *b"\x7fELF" => good(CHECK, format!("`{shown}` is an ELF image")),
        Ok(()) => bad(
            CHECK,
            format!(
                "`{shown}` is no ELF image; unpack it with `extract-vmlinux`, which is in the sources of Linux"
            ),
        ),
        Err(error) => {
            bad(CHECK, format!("`{shown}` cannot be read ({error}); check `compute.firecracker.kernel`"))
        }
    }
}

fn rootfs(path: &Path) -> Checked {
    const CHECK: &str = "root file system of microvms";
    if path.as_os_str().is_empty() {
        return bad(CHECK, "not configured; name the one with the agent with `compute.firecracker.rootfs`");
    }
    match Rootfs::at(path) {
        Ok(Rootfs::Initrd(path)) => good(CHECK, format!("`{}` is an archive", path.display())),
        Ok(Rootfs::Drive(path)) => good(CHECK, format!("`{}` is used as a drive", path.display())),
        Err(error) => bad(CHECK, format!("{error}; check `compute.firecracker.rootfs`")),
    }
}

/// Whether microVMs can live below `path`: devices are made there, and programs started.
fn directory(path: &Path, is_jailed: bool) -> Checked {
    const CHECK: &str = "directory of microvms";
    let Ok(absolute) = std::path::absolute(path) else {
        return bad(CHECK, "`compute.firecracker.chroot_base` is empty");
    };
    let shown = absolute.display();
    if absolute.as_os_str().len() > LONGEST_BASE {
        let text = format!(
            "`{shown}` is too long for the sockets below it; choose one of at most {LONGEST_BASE} bytes"
        );
        return bad(CHECK, text);
    }
    let Some(existing) = absolute.ancestors().find(|path| path.is_dir()) else {
        return bad(CHECK, format!("`{shown}` cannot be made"));
    };
    let flags = rustix::fs::statvfs(existing).map_or(StatVfsMountFlags::empty(), |mounted| mounted.f_flag);
    for (flag, word) in [(StatVfsMountFlags::NODEV, "nodev"), (StatVfsMountFlags::NOEXEC, "noexec")] {
        if is_jailed && flags.contains(flag) {
            let text =
                format!("`{shown}` is on a file system mounted with `{word}`; choose another `chroot_base`");
            return bad(CHECK, text);
        }
    }
    match tempfile::tempfile_in(existing) {
        Ok(_) => good(CHECK, format!("`{shown}` can be used")),
        Err(error) => bad(CHECK, format!("nothing can be written to `{}` ({error})", existing.display())),
    }
}

fn cgroups(mounted: &Path) -> Checked {
    const CHECK: &str = "cgroups";
    let file: PathBuf = mounted.join("cgroup.controllers");
    let Ok(controllers) = fs::read_to_string(&file) else {
        let text = format!(
            "version 2 is not mounted at `{}`; start Linux with `systemd.unified_cgroup_hierarchy=1`",
            mounted.display()
        );
        return bad(CHECK, text);
    };
    let missing: Vec<&str> = CONTROLLERS
        .into_iter()
        .filter(|name| !controllers.split_whitespace().any(|found| found == *name))
        .collect();
    if missing.is_empty() {
        good(CHECK, "version 2, with cpu, memory and pids")
    } else {
        bad(
            CHECK,
            format!(
                "the controllers {} are missing; have them delegated to this service",
                missing.join(", ")
            ),
        )
    }
}

fn user(config: &Config, is_root: bool) -> Checked {
    const CHECK: &str = "user of microvms";
    if config.uid == 0 || config.gid == 0 {
        return bad(
            CHECK,
            "`root` is no user for guests; set `compute.firecracker.uid` and `gid` to ones that nothing else has",
        );
    }
    if !is_root {
        return bad(
            CHECK,
            "the jailer changes users and makes devices: run this server as root, it drops what guests get",
        );
    }
    good(CHECK, format!("microVMs run as {}:{}", config.uid, config.gid))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn file(home: &TempDir, name: &str, content: &[u8]) -> PathBuf {
        let path = home.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn is_bad(checked: &Checked, word: &str) {
        assert_eq!(checked.verdict, Verdict::Bad, "{checked:?}");
        assert!(checked.detail.contains(word), "{checked:?}");
    }

    #[test]
    fn a_machine_without_kvm_is_told_how_to_get_it() {
        let home = TempDir::new().unwrap();
        is_bad(&kvm(&home.path().join("kvm")), "nested virtualisation");
        is_bad(&kvm(&file(&home, "kvm", b"")), "is no device");
        assert_eq!(kvm(Path::new("/dev/null")).verdict, Verdict::Good);
    }

    #[test]
    fn a_kernel_is_an_elf_image() {
        let home = TempDir::new().unwrap();
        is_bad(&kernel(Path::new("")), "compute.firecracker.kernel");
        is_bad(&kernel(&file(&home, "bzImage", b"MZ\0\0\0")), "extract-vmlinux");
        is_bad(&kernel(&home.path().join("nothing")), "cannot be read");
        assert_eq!(kernel(&file(&home, "vmlinux", b"\x7fELF\x02")).verdict, Verdict::Good);
    }

    #[test]
    fn a_root_file_system_is_an_archive_or_a_drive() {
        let home = TempDir::new().unwrap();
        is_bad(&rootfs(Path::new("")), "not configured");
        is_bad(&rootfs(&home.path().join("nothing")), "compute.firecracker.rootfs");
        assert!(rootfs(&file(&home, "initrd", b"070701...")).detail.ends_with("is an archive"));
        assert!(rootfs(&file(&home, "ext4", &[0; 64])).detail.ends_with("used as a drive"));
    }

    #[test]
    fn cgroups_are_of_version_2_with_what_bounds_a_microvm() {
        let home = TempDir::new().unwrap();
        is_bad(&cgroups(home.path()), "unified_cgroup_hierarchy");
        file(&home, "cgroup.controllers", b"cpuset cpu io\n");
        is_bad(&cgroups(home.path()), "memory, pids");
        file(&home, "cgroup.controllers", b"cpuset cpu io memory pids\n");
        assert_eq!(cgroups(home.path()).verdict, Verdict::Good);
    }

    #[test]
    fn guests_are_nobody_in_particular() {
        let config = Config::default();
        assert_eq!(user(&config, true).verdict, Verdict::Good);
        is_bad(&user(&config, false), "run this server as root");
        is_bad(&user(&Config { uid: 0, ..config }, true), "`root` is no user");
    }

    #[test]
    fn a_directory_is_short_and_can_be_written() {
        let home = TempDir::new().unwrap();
        assert_eq!(directory(&home.path().join("later"), false).verdict, Verdict::Good);
        is_bad(&directory(Path::new(&format!("/tmp/{}", "x".repeat(60))), false), "too long");
        is_bad(&directory(Path::new("/proc/microvms"), false), "nothing can be written");
    }

    #[tokio::test]
    async fn programs_are_there_and_of_one_release() {
        let home = TempDir::new().unwrap();
        let program = |name: &str, version: &str| {
            let path = file(&home, name, format!("#!/bin/sh\necho v{version}\n").as_bytes());
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            path
        };
        let (new, old) = (program("firecracker", "1.16.1"), program("jailer", "1.16.0"));
        let config = Config { binary: new.clone(), jailer: Some(old), ..Config::default() };
        let found = programs(&config).await;
        assert_eq!(found[0].verdict, Verdict::Good);
        is_bad(&found[1], "both of the same release");
        let without = programs(&Config { jailer: None, ..config.clone() }).await;
        assert_eq!(without[1].verdict, Verdict::Doubtful);
        let missing = programs(&Config { binary: "no-such-firecracker".into(), ..config }).await;
        is_bad(&missing[0], "compute.firecracker.binary");
    }
}
