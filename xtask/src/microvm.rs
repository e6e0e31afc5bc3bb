//! `cargo xtask guest-image`: what microVMs boot from. And what boots one on any machine, for the tests: QEMU, a
//! kernel of Debian and a vsock device, unpacked from packages; nothing is installed, nobody needs to be root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::workspace::{Workspace, cargo};
use crate::{process, tool};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What is wanted; what they need beyond what is installed here comes along.
const PACKAGES: [&str; 2] = ["qemu-system-x86", "linux-image-cloud-amd64"];
/// Parts of a system that a program in a directory has no use for.
const NEVER: [&str; 9] = [
    "systemd",
    "udev",
    "initramfs-tools",
    "klibc-utils",
    "kmod",
    "linux-base",
    "libnss-systemd",
    "libpam-systemd",
    "cpio",
];

/// Where to write, and for which kernel.
#[derive(Args)]
pub(crate) struct Options {
    /// The file to write; `target/guest/initrd` when it is not named
    #[arg(long)]
    out: Option<PathBuf>,
    /// The directory with the kernel's modules, such as `/lib/modules/6.1.0-56-cloud-amd64`; none for a kernel that has
    /// virtio and vsock built in
    #[arg(long)]
    modules: Option<PathBuf>,
}

/// Builds the agent and writes the first file system of microVMs.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::load()?;
    let out = options.out.clone().unwrap_or_else(|| workspace.target.join("guest").join("initrd"));
    initrd(&workspace, options.modules.as_deref(), &out)?;
    println!("{}", out.display());
    Ok(())
}

/// What boots a guest.
pub(crate) struct Kit {
    /// Where the packages are unpacked.
    root: PathBuf,
    kernel: PathBuf,
    initrd: PathBuf,
    vsock: PathBuf,
    function: PathBuf,
}

impl Kit {
    /// Tells a test where everything is.
    pub(crate) fn tell(&self, command: &mut Command) {
        command
            .env("FLAGBASE_GUEST_ROOT", &self.root)
            .env("FLAGBASE_GUEST_KERNEL", &self.kernel)
            .env("FLAGBASE_GUEST_INITRD", &self.initrd)
            .env("FLAGBASE_GUEST_VSOCK", &self.vsock)
            .env("FLAGBASE_GUEST_FUNCTION", &self.function);
    }
}

/// What others make of a kit; it cannot be had everywhere.
pub(crate) struct Packages {
    root: PathBuf,
    vsock: PathBuf,
}

/// Gets packages and unpacks them, once.
pub(crate) fn packages(workspace: &Workspace) -> Result<Packages> {
    let root = workspace.target.join("servers").join("microvm");
    if !root.join("usr/bin/qemu-system-x86_64").is_file() {
        unpack(&root)?;
    }
    Ok(Packages { root, vsock: tool::vhost_device_vsock(workspace)? })
}

/// Builds what is ours of a kit, in case it changed.
pub(crate) fn kit(workspace: &Workspace, packages: Packages) -> Result<Kit> {
    let Packages { root, vsock } = packages;
    let kernel = only(&root.join("boot"), "vmlinuz-")?;
    let modules = only(&root.join("lib/modules"), "")?;
    let initrd = root.join("initrd");
    self::initrd(workspace, Some(&modules), &initrd)?;
    let function = built(workspace).join("examples/echo");
    Ok(Kit { root, kernel, initrd, vsock, function })
}

fn built(workspace: &Workspace) -> PathBuf {
    workspace.target.join("guest").join(TARGET).join("guest")
}

/// Builds the agent, which packs itself.
fn initrd(workspace: &Workspace, modules: Option<&Path>, out: &Path) -> Result<()> {
    let mut build = Command::new(cargo());
    build.current_dir(&workspace.root).args(["build", "--quiet", "--package", "flagbase-agent", "--bins"]);
    build.args(["--examples", "--profile", "guest", "--target", TARGET]);
    // One program by itself. A directory of its own, because other flags make other builds.
    build.env("RUSTFLAGS", "-C target-feature=+crt-static");
    build.env("CARGO_TARGET_DIR", workspace.target.join("guest"));
    process::run(&mut build)?;
    if let Some(directory) = out.parent() {
        fs::create_dir_all(directory).with_context(|| format!("make `{}`", directory.display()))?;
    }
    let mut pack = Command::new(built(workspace).join("flagbase-agent"));
    process::run(pack.arg("pack").arg(out).args(modules))
}

/// Gets the packages from wherever this Debian gets its own, and unpacks them.
fn unpack(root: &Path) -> Result<()> {
    let hint = "guests boot from packages of Debian";
    let (apt, dpkg) = (tool::required("apt-get", hint)?, tool::required("dpkg", hint)?);
    let mut simulate = Command::new(&apt);
    simulate.args(["--simulate", "install", "--no-install-recommends"]).args(PACKAGES);
    let names = needed(&process::capture(&mut simulate)?);
    ensure!(!names.is_empty(), "`apt-get` does not know {}", PACKAGES.join(" and "));
    let packages = root.with_extension("packages");
    fs::create_dir_all(&packages).with_context(|| format!("make `{}`", packages.display()))?;
    process::run(Command::new(&apt).current_dir(&packages).args(["--quiet", "download"]).args(&names))?;
    for package in fs::read_dir(&packages).context("find the packages")? {
        let package = package.context("find the packages")?.path();
        process::run(Command::new(&dpkg).arg("-x").arg(package).arg(root))?;
    }
    fs::remove_dir_all(&packages).context("remove the packages")
}

/// What `apt-get` would install, as far as it is of use, and what is wanted even if it is installed already.
fn needed(simulation: &str) -> Vec<String> {
    let of_use = |name: &str| !NEVER.iter().any(|never| name.starts_with(never));
    let installs = simulation.lines().filter_map(|line| line.strip_prefix("Inst "));
    let names = installs.filter_map(|line| line.split_whitespace().next()).filter(|name| of_use(name));
    names.map(str::to_owned).collect()
}

/// The one entry of a directory whose name begins so.
fn only(directory: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(directory).with_context(|| format!("list `{}`", directory.display()))?;
    let paths = entries.collect::<Result<Vec<_>, _>>().context("list a directory")?;
    let mut found = paths.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.path()),
        _ => bail!("`{}` should have one `{prefix}…`; remove it and try again", directory.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_simulation_would_install_is_what_is_unpacked() {
        let simulation = "Reading package lists...\n\
            Inst libaio1 (0.3.113-4 Debian:12 [amd64])\n\
            Inst udev [252.38] (252.39 Debian:12 [amd64])\n\
            Inst initramfs-tools-core (0.142 Debian:12 [all])\n\
            Inst qemu-system-x86 (1:7.2 Debian:12 [amd64])\n\
            Conf libaio1 (0.3.113-4 Debian:12 [amd64])\n";
        assert_eq!(needed(simulation), ["libaio1", "qemu-system-x86"]);
    }

    #[test]
    fn two_kernels_are_one_too_many() {
        let directory = std::env::temp_dir().join(format!("xtask-microvm-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("vmlinuz-1"), "").unwrap();
        assert_eq!(only(&directory, "vmlinuz-").unwrap(), directory.join("vmlinuz-1"));
        fs::write(directory.join("vmlinuz-2"), "").unwrap();
        assert!(only(&directory, "vmlinuz-").is_err());
        fs::remove_dir_all(directory).unwrap();
    }
}
