//! The process that is called `jailer`: makes the directory, and becomes the program in it. It changes neither root
//! nor user, so that it needs no rights.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    VERSION,
    api::{JAILED, name_of, parse},
};

const KNOWN: [(&str, bool); 11] = [
    ("id", true),
    ("exec-file", true),
    ("uid", true),
    ("gid", true),
    ("chroot-base-dir", true),
    ("netns", true),
    ("daemonize", false),
    ("new-pid-ns", false),
    ("cgroup", true),
    ("cgroup-version", true),
    ("resource-limit", true),
];

/// Becomes the program to be jailed. Returns only when it cannot.
pub(super) fn run(arguments: &[String], cgroups: &Path) -> i32 {
    if arguments == ["--version"] {
        println!("Jailer v{VERSION}\n");
        return 0;
    }
    match jail(arguments, cgroups) {
        Ok(mut command) => {
            let error = command.exec();
            eprintln!("Failed to exec into Firecracker: {error}");
        }
        Err(error) => eprintln!("{error}"),
    }
    1
}

fn jail(arguments: &[String], cgroups: &Path) -> Result<Command, String> {
    let known: Vec<(&str, bool)> = KNOWN.into_iter().chain([("parent-cgroup", true)]).collect();
    let (arguments, rest) =
        parse(arguments, &known).map_err(|error| format!("Failed to parse arguments: {error}"))?;
    let all = |name: &'static str| {
        arguments.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    let one = |name: &'static str| {
        all(name)
            .next()
            .ok_or_else(|| format!("Failed to parse arguments: Argument '{name}' required, but not found."))
    };
    let (id, program) = (one("id")?, PathBuf::from(one("exec-file")?));
    if let Some((at, sign)) =
        id.chars().enumerate().find(|(_, sign)| *sign != '-' && !sign.is_ascii_alphanumeric())
    {
        return Err(format!("Invalid instance ID: Invalid char ({sign}) at position {at}"));
    }
    if id.is_empty() || id.len() > 64 {
        return Err("Invalid instance ID: Invalid len".to_owned());
    }
    for name in ["uid", "gid"] {
        one(name)?.parse::<u32>().map_err(|error| format!("Failed to parse {name}: {error}"))?;
    }
    if !program.is_file() {
        return Err(format!("{} is not a file", program.display()));
    }
    if one("cgroup-version")? != "2" {
        return Err("this double knows version 2 of cgroups only".to_owned());
    }
    for bound in all("cgroup") {
        bounded(bound)?;
    }
    for limit in all("resource-limit") {
        let number = limit.strip_prefix("no-file=").or_else(|| limit.strip_prefix("fsize="));
        number
            .and_then(|number| number.parse::<u64>().ok())
            .ok_or_else(|| format!("Invalid format: {limit}"))?;
    }
    let name = name_of(&program);
    let root = Path::new(one("chroot-base-dir")?).join(&name).join(id).join("root");
    make(&root, &program, &name).map_err(|error| format!("Failed to make `{}`: {error}", root.display()))?;
    fs::create_dir_all(cgroups.join(one("parent-cgroup")?).join(id)).map_err(|error| error.to_string())?;
    let mut command = Command::new(root.join(&name));
    command.current_dir(&root).env(JAILED, "1");
    command.arg(format!("--id={id}")).args(["--start-time-us=1", "--start-time-cpu-us=1"]).args(rest);
    Ok(command)
}

fn make(root: &Path, program: &Path, name: &str) -> std::io::Result<()> {
    for below in ["", "dev/net", "run"] {
        fs::create_dir_all(root.join(below))?;
    }
    fs::copy(program, root.join(name))?;
    Ok(())
}

/// A file of a cgroup and what is written to it.
fn bounded(bound: &str) -> Result<(), String> {
    let wrong = || format!("Invalid format for cgroups: {bound}");
    let (file, value) = bound.split_once('=').ok_or_else(wrong)?;
    let numbers = value.split(' ').all(|number| number.parse::<u64>().is_ok());
    let (controller, rest) = file.split_once('.').ok_or_else(wrong)?;
    let known = ["cpu", "memory", "pids", "cpuset", "io"].contains(&controller);
    if known && numbers && !rest.is_empty() { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        jail(&arguments, Path::new("/nowhere")).unwrap_err()
    }

    #[test]
    fn what_the_jailer_does_not_know_it_refuses() {
        assert!(refused(&["--bogus", "1"]).contains("Found argument 'bogus' which wasn't expected"));
        assert!(refused(&["--id"]).contains("requires a value"));
        assert!(refused(&["--exec-file", "/bin/sh"]).contains("'id' required"));
        let bad = refused(&["--id", "a_b", "--exec-file", "/bin/sh"]);
        assert_eq!(bad, "Invalid instance ID: Invalid char (_) at position 1");
    }

    #[test]
    fn a_bound_names_a_file_and_numbers() {
        assert!(bounded("cpu.max=100000 100000").is_ok());
        for bad in ["cpu.max", "cpu=1", "memory.max=128MiB", "made.up=1"] {
            assert!(bounded(bad).is_err(), "{bad}");
        }
    }
}
