//! The step between agent and function: a process of the agent's program that gives its rights away, then becomes
//! the function.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Gid, Resource, Rlimit, Uid, setrlimit};
use rustix::thread::{set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_uid};

/// The first argument that asks for this.
pub const WORD: &str = "launch";
/// Who functions run as: user and group.
pub const NOBODY: u32 = 1000;

/// Files that a function may have open.
const FILES: u64 = 4096;
/// Processes and threads that all of a function may have.
const PROCESSES: u64 = 1024;

/// Becomes the program: the arguments are the directory to be in, the user to be (`-` to stay who we are), the program
/// and its arguments. Returns only when that fails.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> io::Error {
    match prepare(arguments.into_iter()) {
        Ok(mut command) => command.exec(),
        Err(error) => error,
    }
}

fn prepare(mut arguments: impl Iterator<Item = OsString>) -> io::Result<Command> {
    let mut next = || arguments.next().ok_or(io::ErrorKind::InvalidInput);
    let (home, user, program) = (next()?, next()?, next()?);
    std::env::set_current_dir(&home)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, FILES)?;
    if user != "-" {
        limit(Resource::Nproc, PROCESSES)?;
        // When memory runs out, the function goes and the agent stays to tell.
        fs::write("/proc/self/oom_score_adj", "500")?;
        let id = user.to_str().and_then(|user| user.parse().ok()).ok_or(io::ErrorKind::InvalidInput)?;
        // This process has one thread, so its rights are those of the thread.
        set_thread_groups(&[])?;
        set_thread_gid(Gid::from_raw(id))?;
        set_thread_uid(Uid::from_raw(id))?;
    }
    set_no_new_privs(true)?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Lowers a limit, never raises it.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let now = rustix::process::getrlimit(resource);
    let most = now.maximum.map_or(most, |maximum| maximum.min(most));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_program_there_is_nothing_to_become() {
        let error = run(["/".into(), "-".into()]);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
