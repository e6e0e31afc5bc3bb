//! Rules for functions and what runs them.

use super::{SECRET_BYTES, Wrong, bad};
use crate::config::{Config, Driver};

/// The smallest code that could be anything.
const SMALLEST_CODE: u64 = 1 << 10;
/// More than this is read into memory at once nowhere.
const LARGEST_CODE: u64 = 1 << 30;
/// What the compiler needs for the smallest code.
const LEAST_MEMORY: u64 = 64 << 20;
/// Of the 2048 bytes that a kernel reads, so many are for its owner.
const KERNEL_ARGUMENTS: usize = 1024;
/// How microVMs start and end; `--` hands what follows to the agent.
const OUR_ARGUMENTS: [&str; 7] = ["--", "init", "rdinit", "root", "panic", "reboot", "console"];

pub(super) fn check(config: &Config) -> Vec<Wrong> {
    let functions = &config.functions;
    let mut wrong = Vec::new();
    if !(SMALLEST_CODE..=LARGEST_CODE).contains(&functions.max_code) {
        let given = functions.max_code.to_string();
        wrong.push(bad("functions.max_code", &given, "is out of range", "use a size from 1KiB to 1GiB"));
    }
    if functions.compile_memory < LEAST_MEMORY {
        let given = functions.compile_memory.to_string();
        wrong.push(bad(
            "functions.compile_memory",
            &given,
            "is too little to build anything",
            "use 64MiB or more",
        ));
    }
    for (key, count, most) in [
        ("functions.loaded", functions.loaded, 100_000),
        ("functions.instances", usize::try_from(functions.instances).unwrap_or(usize::MAX), 100_000),
    ] {
        if count == 0 || count > most {
            let help = format!("use a number from 1 to {most}");
            wrong.push(bad(key, &count.to_string(), "is out of range", &help));
        }
    }
    let key = functions.secrets_key.reveal();
    if !key.is_empty() && key.len() < SECRET_BYTES {
        // Without the value: it is a secret.
        wrong.push(Wrong {
            key: "functions.secrets_key",
            what: format!("is too short: {SECRET_BYTES} bytes are needed"),
            help: "make one with `openssl rand -hex 32`, or leave it out: one is made and kept".to_owned(),
        });
    }
    if config.compute.driver == Driver::Firecracker {
        wrong.extend(firecracker(config));
    }
    wrong
}

fn firecracker(config: &Config) -> Vec<Wrong> {
    let machine = &config.compute.firecracker;
    let mut wrong = Vec::new();
    for (key, path) in [
        ("compute.firecracker.binary", &machine.binary),
        ("compute.firecracker.jailer", &machine.jailer),
        ("compute.firecracker.kernel", &machine.kernel),
        ("compute.firecracker.rootfs", &machine.rootfs),
        ("compute.firecracker.chroot_base", &machine.chroot_base),
    ] {
        if path.as_os_str().is_empty() {
            wrong.push(Wrong {
                key,
                what: "is empty".to_owned(),
                help: "`compute.driver: firecracker` needs its path; or use `compute.driver: wasm`"
                    .to_owned(),
            });
        }
    }
    for (key, id) in [("compute.firecracker.uid", machine.uid), ("compute.firecracker.gid", machine.gid)] {
        if id == 0 {
            wrong.push(bad(key, "0", "is the administrator", "use an id that nothing else runs as"));
        }
    }
    if !(1..=32).contains(&machine.vcpus) {
        let given = machine.vcpus.to_string();
        wrong.push(bad("compute.firecracker.vcpus", &given, "is out of range", "use a number from 1 to 32"));
    }
    if machine.memory < LEAST_MEMORY {
        let given = machine.memory.to_string();
        wrong.push(bad("compute.firecracker.memory", &given, "is too little to boot", "use 64MiB or more"));
    }
    wrong.extend(machine.kernel_args.split_whitespace().filter_map(kernel_argument));
    if machine.kernel_args.len() > KERNEL_ARGUMENTS {
        let given = format!("{} bytes", machine.kernel_args.len());
        let help = format!("use at most {KERNEL_ARGUMENTS} bytes: the kernel cuts off what is longer");
        wrong.push(bad("compute.firecracker.kernel_args", &given, "is too long", &help));
    }
    wrong
}

/// What is wrong with one argument of the kernel: it must not take away what microVMs rely on.
fn kernel_argument(word: &str) -> Option<Wrong> {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    let (what, help) = if !word.bytes().all(|byte| byte.is_ascii_graphic()) {
        ("cannot be read by the kernel", "use ASCII without quotes around blanks")
    } else if name.starts_with("flagbase.") || OUR_ARGUMENTS.contains(&name) {
        ("is Flagbase's own", "take it out: how microVMs start and end depends on it")
    } else {
        return None;
    };
    Some(bad("compute.firecracker.kernel_args", word, what, help))
}
