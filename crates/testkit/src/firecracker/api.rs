//! The process that is called `firecracker`: its arguments, its socket, its answers.

use std::{
    env,
    io::BufReader,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::Arc,
    thread,
};

use parking_lot::Mutex;

use super::{Outcome, VERSION, Vmm, http1};

/// The arguments that Firecracker knows: name, and whether a value follows.
const KNOWN: [(&str, bool); 18] = [
    ("api-sock", true),
    ("id", true),
    ("seccomp-filter", true),
    ("no-seccomp", false),
    ("start-time-us", true),
    ("start-time-cpu-us", true),
    ("parent-cpu-time-us", true),
    ("config-file", true),
    ("metadata", true),
    ("no-api", false),
    ("log-path", true),
    ("level", true),
    ("module", true),
    ("show-level", false),
    ("show-log-origin", false),
    ("metrics-path", true),
    ("boot-timer", false),
    ("enable-pci", false),
];

/// What the jailer says to the program that it becomes.
pub(super) const JAILED: &str = "FIRECRACKER_DOUBLE_JAILED";

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200, 204 or 400.
    pub status: u16,
    /// JSON, or nothing.
    pub body: String,
}

impl Reply {
    pub(super) fn of(done: Result<Option<String>, String>) -> Self {
        match done {
            Ok(Some(body)) => Self { status: 200, body },
            Ok(None) => Self { status: 204, body: String::new() },
            Err(fault) => {
                let body = format!(r#"{{"fault_message":{}}}"#, serde_json::Value::from(fault));
                Self { status: 400, body }
            }
        }
    }

    /// The headers it goes with, in order.
    pub fn headers(&self) -> Vec<String> {
        let mut headers = vec!["Server: Firecracker API".to_owned(), "Connection: keep-alive".to_owned()];
        if !self.body.is_empty() {
            headers.push("Content-Type: application/json".to_owned());
            headers.push(format!("Content-Length: {}", self.body.len()));
        }
        headers
    }
}

/// Arguments by name, and those after `--`.
type Arguments = (Vec<(String, String)>, Vec<String>);

/// Arguments as `--name value` or `--name=value`; those after `--` come last.
pub(super) fn parse(arguments: &[String], known: &[(&str, bool)]) -> Result<Arguments, String> {
    let (mut found, mut rest) = (Vec::new(), arguments.iter());
    while let Some(argument) = rest.next() {
        if argument == "--" {
            return Ok((found, rest.cloned().collect()));
        }
        let name = argument.strip_prefix("--").ok_or_else(|| unexpected(argument))?;
        let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
        let (_, takes) = known.iter().find(|(known, _)| *known == name).ok_or_else(|| unexpected(name))?;
        let value = match (takes, value) {
            (true, Some(value)) => value.to_owned(),
            (true, None) => rest
                .next()
                .ok_or_else(|| format!("The argument '{name}' requires a value, but none was supplied."))?
                .clone(),
            (false, _) => String::new(),
        };
        found.push((name.to_owned(), value));
    }
    Ok((found, Vec::new()))
}

fn unexpected(name: &str) -> String {
    format!("Found argument '{name}' which wasn't expected, or isn't valid in this context.")
}

/// Serves the API until the process is killed.
#[expect(clippy::disallowed_methods, reason = "the jailer says by the environment that there is one")]
pub(super) fn run(arguments: &[String]) -> i32 {
    if arguments == ["--version"] {
        println!("Firecracker v{VERSION}\n");
        return 0;
    }
    let arguments = match parse(arguments, &KNOWN) {
        Ok((arguments, _)) => arguments,
        Err(error) => {
            println!("Arguments parsing error: {error} \n\nFor more information try --help.");
            return 153;
        }
    };
    let value =
        |name: &str| arguments.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let id = value("id").unwrap_or_else(|| "anonymous-instance".to_owned());
    let directory = env::current_dir().unwrap();
    let jailed = env::var(JAILED).is_ok();
    let socket = value("api-sock").unwrap_or_else(|| "/run/firecracker.socket".to_owned());
    let socket = if jailed { socket.trim_start_matches('/').to_owned() } else { socket };
    let listener = UnixListener::bind(directory.join(&socket)).unwrap();
    println!("Running Firecracker v{VERSION}");
    let vmm = Arc::new(Mutex::new(Vmm::new(&id, &directory, jailed)));
    for stream in listener.incoming().flatten() {
        let vmm = Arc::clone(&vmm);
        let serve = move || serve(stream, &vmm);
        thread::Builder::new().name("api".to_owned()).spawn(serve).unwrap();
    }
    0
}

fn serve(stream: UnixStream, vmm: &Mutex<Vmm>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(asked) = http1::read(&mut reader) {
        let body = String::from_utf8(asked.body.clone()).unwrap();
        let body = (!body.is_empty()).then_some(body.as_str());
        // One call after the other, as in Firecracker.
        let Outcome { reply, exit } = vmm.lock().handle(&asked.method, &asked.target, body);
        println!("{} {} {}", asked.method, asked.target, reply.status);
        let headers = reply.headers();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .filter_map(|header| header.split_once(": "))
            .filter(|(name, _)| *name != "Content-Length")
            .collect();
        http1::write(&mut writer, reply.status, &headers, reply.body.as_bytes());
        if let Some(code) = exit {
            println!("Firecracker exiting with error. exit_code={code}");
            std::process::exit(code);
        }
    }
}

/// The directory that a path is in, for whoever starts a process there.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
