//! The program `flagbase-agent`: the first process of a microVM, and what it starts functions through.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::{fs, process};

use flagbase_agent::{Agent, Settings, kernel, launch, machine, pack, server};

const USAGE: &str = "usage:
  flagbase-agent pack OUT [MODULES]      write the first file system of machines: this program, and the kernel
                                         modules it needs from a directory such as /lib/modules/6.1.0-56-cloud-amd64
  flagbase-agent unpack KERNEL OUT       write the plain kernel in a packed one (vmlinuz), as Firecracker needs it
  flagbase-agent serve SOCKET DIRECTORY  run the function in a directory without a machine, for trying it out
Without arguments, as the first process of a machine, it runs the function on the drive.";

fn main() -> ExitCode {
    if process::id() == 1 {
        return first();
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let outcome = match words.as_slice() {
        [launch::WORD, ..] => Err(launch::run(arguments.into_iter().skip(1))),
        #[cfg(feature = "wasm")]
        ["wasm", memory, module, rest @ ..] => return flagbase_agent::wasm::main(memory, module, rest),
        ["pack", out] => write(Path::new(out), None),
        ["pack", out, modules] => write(Path::new(out), Some(Path::new(modules))),
        ["unpack", kernel, out] => unpack(Path::new(kernel), Path::new(out)),
        ["serve", socket, directory] => serve(Path::new(socket), Path::new(directory)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
    };
    outcome.map_or_else(|error| fail(&error.to_string()), |()| ExitCode::SUCCESS)
}

fn fail(why: &str) -> ExitCode {
    say(why);
    ExitCode::FAILURE
}

/// On the console of a machine, or the terminal.
fn say(text: &str) {
    // Without a console there is nobody to tell.
    let _ = writeln!(io::stderr(), "flagbase-agent: {text}");
}

/// Life as the first process: whatever goes wrong, the machine ends instead of hanging.
fn first() -> ExitCode {
    let outcome = machine::boot().and_then(|(settings, port, complaints)| {
        let agent = Agent::new(settings);
        for complaint in complaints {
            say(&complaint);
            agent.log(&complaint);
        }
        let listener = server::listen_vsock(port)?;
        say(&format!("ready on vsock port {port}"));
        server::serve(&listener, &Arc::new(agent))
    });
    if let Err(error) = outcome {
        say(&error.to_string());
    }
    machine::restart();
    ExitCode::FAILURE
}

fn write(out: &Path, modules: Option<&Path>) -> io::Result<()> {
    let agent = fs::read(std::env::current_exe()?)?;
    place(out, &pack::initrd(agent, modules).map_err(io::Error::other)?)
}

fn unpack(kernel: &Path, out: &Path) -> io::Result<()> {
    place(out, &kernel::vmlinux(&fs::read(kernel)?).map_err(io::Error::other)?)
}

/// Writes a file so that it is never half there.
fn place(out: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = out.with_extension("partial");
    fs::write(&partial, bytes)?;
    fs::rename(partial, out)
}

fn serve(socket: &Path, directory: &Path) -> io::Result<()> {
    let home = directory.canonicalize()?;
    let work: PathBuf = socket.parent().unwrap_or(Path::new(".")).canonicalize()?;
    let launcher = Some(std::env::current_exe()?);
    let settings = Settings { machine: false, drive: None, home, work, launcher, user: None };
    let listener = server::listen_unix(socket)?;
    server::serve(&listener, &Arc::new(Agent::new(settings)))
}
