//! What is looked at before anything is started: by the doctor, and by the server itself.

use super::*;

/// What the doctor found: result and detail by the name of the check.
fn found(
    machine: &Machine,
    changed: &[(&str, &Path)],
) -> (Option<i32>, impl Fn(&str) -> (String, String) + use<>) {
    let output = machine.command("doctor --port 0 -o json", changed).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(!findings.is_empty(), "{said}");
    let of = move |check: &str| {
        let finding = findings.iter().find(|finding| finding["check"] == check);
        let finding = finding.unwrap_or_else(|| unreachable!("`{check}` was not looked at: {findings:?}"));
        let text = |member: &str| finding[member].as_str().unwrap().to_owned();
        (text("result"), text("detail"))
    };
    (output.status.code(), of)
}

#[test]
fn a_machine_that_has_everything_passes_as_far_as_the_machine_itself_does() {
    let machine = Machine::new();
    let (code, of) = found(&machine, &[]);
    for (check, words) in [
        ("firecracker", "version 1.16.1 at `"),
        ("jailer", "version 1.16.1 at `"),
        ("kernel of microvms", "is an ELF image"),
        ("root file system of microvms", "is an archive"),
        ("directory of microvms", "can be used"),
    ] {
        let (result, detail) = of(check);
        assert!(result == "ok" && detail.contains(words), "{check}: {result}: {detail}");
    }
    // These are properties of the machine that the test runs on, and of who runs it.
    let kvm = fs::File::options().read(true).write(true).open("/dev/kvm");
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let bounded =
        ["cpu", "memory", "pids"].iter().all(|name| controllers.split_whitespace().any(|it| it == *name));
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut all = true;
    for (check, good, words) in [
        ("kvm", kvm.is_ok(), ["`/dev/kvm` can be used", "/dev/kvm"]),
        ("cgroups", bounded, ["version 2, with cpu, memory and pids", ""]),
        ("user of microvms", is_root, ["microVMs run as 64000:64000", "run this server as root"]),
    ] {
        let (result, detail) = of(check);
        let expected = if good { ("ok", words[0]) } else { ("failed", words[1]) };
        assert!(result == expected.0 && detail.contains(expected.1), "{check}: {result}: {detail}");
        all &= good;
    }
    assert_eq!(code, Some(i32::from(!all)));
    assert!(!machine.jails().exists(), "looking must not make anything");
}

#[test]
fn what_is_missing_or_does_not_fit_is_named_with_what_to_do() {
    let machine = Machine::new();
    let old = machine.says_version("old", "1.4.0");
    let newer = machine.says_version("newer", "1.17.0");
    let next = machine.says_version("next", "2.0.0");
    let mute = machine.says_version("mute", "");
    let packed = machine.file("bzImage", b"MZ\0\0 packed");
    let nowhere = Path::new("/nowhere/at/all");
    let long = machine.directory.path().join("x".repeat(60));
    for (key, path, check, words) in [
        ("BINARY", nowhere, "firecracker", "get it from a release of Firecracker"),
        ("BINARY", &old, "firecracker", "version 1.4.0 is not supported; use 1.10.0 or a later 1.x"),
        ("BINARY", &next, "firecracker", "version 2.0.0 is not supported"),
        ("BINARY", &mute, "firecracker", "does not say a version"),
        ("JAILER", nowhere, "jailer", "name it with `compute.firecracker.jailer`"),
        (
            "JAILER",
            &newer,
            "jailer",
            "is version 1.17.0, and firecracker 1.16.1; use both of the same release",
        ),
        ("KERNEL", nowhere, "kernel of microvms", "check `compute.firecracker.kernel`"),
        ("KERNEL", &packed, "kernel of microvms", "extract-vmlinux"),
        ("ROOTFS", nowhere, "root file system of microvms", "check `compute.firecracker.rootfs`"),
        ("CHROOT_BASE", &long, "directory of microvms", "is too long for the sockets below it"),
        ("CHROOT_BASE", Path::new("/proc/microvms"), "directory of microvms", "nothing can be written"),
    ] {
        let (code, of) = found(&machine, &[(key, path)]);
        let (result, detail) = of(check);
        assert!(result == "failed" && detail.contains(words), "{key} {}: {result}: {detail}", path.display());
        assert_eq!(code, Some(1));
    }
}

#[test]
fn a_server_whose_programs_do_not_fit_does_not_start_and_says_why() {
    let machine = Machine::new();
    let old = machine.says_version("old", "1.4.0");
    for (key, path, words) in [
        ("BINARY", Path::new("/nowhere/firecracker"), "`/nowhere/firecracker` cannot be run"),
        ("BINARY", &old, "is version 1.4.0; use 1.10.0 or a later 1.x"),
        ("JAILER", &old, "use both of the same release"),
    ] {
        let output = machine.command("start --host 127.0.0.1 --port 0", &[(key, path)]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(words), "{key} {}: {said}", path.display());
        assert!(said.contains("`compute.driver: firecracker` cannot be used here"), "{said}");
    }
}
