//! The function: unpacked, started, called.

mod cgi;
mod server;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use std::{fs, os::unix::process::CommandExt as _};

use crate::archive::{ArchiveError, Found};
use crate::children::Children;
use crate::http::{Answer, Body, BodyError, Connection, Patience, Request};
use crate::launch;
use crate::logs::Logs;
use crate::manifest::{self, Manifest, Mode};
use crate::protocol::{Fault, FunctionHealth, Init, Limits};

/// Largest manifest, in bytes.
const LARGEST_MANIFEST: u64 = 1 << 20;
/// A variable that chooses how calls are taken, whatever the manifest says: `server` or `cgi`.
const SERVE: &str = "FLAGBASE_SERVE";

/// What a function needs of the agent.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// Where its files are.
    pub(crate) home: PathBuf,
    /// A directory of its own that it can write to.
    pub(crate) work: PathBuf,
    /// The agent's program, which processes are started through; directly without one.
    pub(crate) launcher: Option<PathBuf>,
    /// Who it runs as, when the agent can choose.
    pub(crate) user: Option<u32>,
    pub(crate) children: Arc<Children>,
    pub(crate) logs: Arc<Logs>,
}

/// A function.
#[derive(Debug)]
pub(crate) struct Function {
    digest: String,
    manifest: Manifest,
    ground: Arc<Ground>,
    runs: OnceLock<Runs>,
}

#[derive(Debug)]
enum Runs {
    Server(server::Server),
    Cgi(cgi::Cgi),
}

/// One call.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    /// What the function is asked for, beginning with `/`.
    pub(crate) target: &'a str,
    /// Its name in the logs.
    pub(crate) id: Option<&'a str>,
    pub(crate) body: &'a mut Body,
    pub(crate) from: &'a mut Connection,
    pub(crate) answer: &'a mut Answer,
    pub(crate) until: Instant,
    pub(crate) limits: &'a Limits,
}

impl Function {
    /// The function whose files are in `ground.home`.
    pub(crate) fn load(ground: Ground, digest: String) -> Result<Self, Fault> {
        let path = ground.home.join(manifest::NAME);
        let broken = |why: String| Fault::Unstartable(format!("its `{}` {why}", manifest::NAME));
        let mut text = Vec::new();
        match fs::File::open(path) {
            Ok(file) => file
                .take(LARGEST_MANIFEST)
                .read_to_end(&mut text)
                .map_err(|error| broken(format!("cannot be read: {error}")))?,
            Err(_) => 0,
        };
        let manifest = if text.is_empty() {
            Manifest::default()
        } else {
            serde_json::from_slice(&text).map_err(|error| broken(format!("makes no sense: {error}")))?
        };
        Ok(Self { digest, manifest, ground: Arc::new(ground), runs: OnceLock::new() })
    }

    /// Starts what shall be part of snapshots.
    pub(crate) fn prestart(&self) -> Result<(), Fault> {
        if self.manifest.prestart && self.manifest.mode == Mode::Server {
            let server = server::Server::start(&self.ground, &self.manifest, self.variables(None))?;
            // Nobody else sets it before the machine is told who it is.
            let _ = self.runs.set(Runs::Server(server));
        }
        Ok(())
    }

    /// Starts it for whom it is from now on.
    pub(crate) fn start(&self, init: &Init) -> Result<(), Fault> {
        if self.runs.get().is_some() {
            return self.tell(init).map_err(|error| Fault::Unstartable(error.to_string()));
        }
        let variables = self.variables(Some(init));
        let runs = match self.mode(init) {
            Mode::Server => Runs::Server(server::Server::start(&self.ground, &self.manifest, variables)?),
            mode => {
                let command = (mode, init.limits.memory);
                Runs::Cgi(cgi::Cgi::new(&self.ground, &self.manifest, command, variables)?)
            }
        };
        let _ = self.runs.set(runs);
        Ok(())
    }

    fn mode(&self, init: &Init) -> Mode {
        match (self.manifest.mode, init.variables.get(SERVE).map(String::as_str)) {
            (Mode::Server | Mode::Cgi, Some("cgi")) => Mode::Cgi,
            (Mode::Server | Mode::Cgi, Some("server")) => Mode::Server,
            (mode, _) => mode,
        }
    }

    /// What its processes find in their environment.
    fn variables(&self, init: Option<&Init>) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
        set("PATH", "/usr/local/bin:/usr/bin:/bin");
        set("HOME", "/tmp");
        set("TMPDIR", "/tmp");
        set("LANG", "C.UTF-8");
        set("FLAGBASE_INIT", &self.told().to_string_lossy());
        if let Some(init) = init {
            set("FLAGBASE_ENVIRONMENT", &init.environment);
            set("FLAGBASE_FUNCTION", &init.function);
            set("FLAGBASE_VERSION", &init.version.to_string());
            set("FLAGBASE_INSTANCE", &init.instance);
            variables.extend(init.variables.clone());
            variables.extend(init.secrets.clone());
        }
        variables
    }

    fn told(&self) -> PathBuf {
        self.ground.work.join("init.json")
    }

    /// Leaves variables and secrets where a server that was there before them looks.
    fn tell(&self, init: &Init) -> io::Result<()> {
        let path = self.told();
        let partial = path.with_extension("partial");
        let file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        serde_json::to_writer(file, init)?;
        if let Some(user) = self.ground.user {
            std::os::unix::fs::chown(&partial, Some(user), Some(user))?;
        }
        fs::rename(partial, path)
    }

    /// Carries a call to it, and its answer back.
    pub(crate) fn call(&self, call: Call<'_>) -> Result<(), Fault> {
        match self.runs.get() {
            None => Err(Fault::NotReady),
            Some(Runs::Server(server)) => server.call(call),
            Some(Runs::Cgi(cgi)) => cgi.call(call),
        }
    }

    /// How it is.
    pub(crate) fn health(&self) -> FunctionHealth {
        let (mode, (running, starts, last_exit)) = match self.runs.get() {
            None => (self.manifest.mode, (false, 0, None)),
            Some(Runs::Server(server)) => (Mode::Server, server.health()),
            Some(Runs::Cgi(cgi)) => (cgi.mode(), cgi.health()),
        };
        let (digest, mode) = (self.digest.clone(), mode.word().to_owned());
        FunctionHealth { digest, mode, running, starts, last_exit }
    }

    /// Ends its process: politely, then not.
    pub(crate) fn stop(&self) {
        if let Some(Runs::Server(server)) = self.runs.get() {
            server.stop();
        }
    }
}

impl Ground {
    /// A command that starts `program` as the function.
    fn command(&self, program: &Path, variables: &BTreeMap<String, String>) -> Command {
        let mut command = match &self.launcher {
            None => {
                let mut command = Command::new(program);
                command.current_dir(&self.home);
                command
            }
            Some(launcher) => {
                let mut command = Command::new(launcher);
                let user = self.user.map_or_else(|| "-".to_owned(), |user| user.to_string());
                command.arg(launch::WORD).arg(&self.home).arg(user).arg(program);
                command
            }
        };
        command.env_clear().envs(variables).process_group(0);
        command
    }

    /// The path of the entry, when it is there.
    fn entry(&self, manifest: &Manifest) -> Result<PathBuf, Fault> {
        let path = self.home.join(&manifest.entry);
        if path.is_file() {
            return Ok(path);
        }
        Err(Fault::Unstartable(format!("there is no file `{}` in it", manifest.entry)))
    }
}

/// Puts one entry of an archive where it belongs below `home`.
pub(crate) fn place(home: &Path, name: &str, found: Found<'_>) -> Result<(), ArchiveError> {
    let path = home.join(name);
    match found {
        Found::Directory => fs::create_dir_all(path)?,
        Found::File { executable, mut content } => {
            let mut file = fs::File::create(path)?;
            io::copy(&mut content, &mut file)?;
            let mode = if executable { 0o555 } else { 0o444 };
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        // A function has no business with devices.
        Found::Device { .. } => {}
    }
    Ok(())
}

/// Reads the body of a call and gives its parts to `sink`, until one of them ends or somebody calls it off. What the
/// function does not want to read is no fault.
fn feed(
    body: &mut Body,
    from: &mut Connection,
    (until, stop): (Instant, &AtomicBool),
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), BodyError> {
    let patience = Patience { until: Some(until), stop: Some(stop) };
    while let Some(part) = body.next(from, patience)? {
        if sink(&part).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What a body that cannot be read means for the call.
fn fault_of_body(error: &BodyError, limits: &Limits) -> Fault {
    match error {
        BodyError::TooLarge(most) => Fault::TooLarge(*most),
        error if error.is_timeout() => Fault::Timeout(limits.timeout_ms),
        error => Fault::Caller(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground(home: &Path) -> Ground {
        Ground {
            home: home.to_owned(),
            work: home.to_owned(),
            launcher: None,
            user: None,
            children: Arc::new(Children::new(false)),
            logs: Arc::default(),
        }
    }

    #[test]
    fn a_function_without_its_file_cannot_be_started() {
        let home = tempfile::tempdir().unwrap();
        let function = Function::load(ground(home.path()), String::new()).unwrap();
        let fault = function.start(&Init::default()).unwrap_err();
        assert_eq!(fault.word(), "unstartable");
        assert!(fault.to_string().contains("no file `function`"), "{fault}");
    }

    #[test]
    fn a_manifest_that_makes_no_sense_says_so() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("manifest.json"), r#"{"mode":"magic"}"#).unwrap();
        let fault = Function::load(ground(home.path()), String::new()).unwrap_err();
        assert!(fault.to_string().contains("magic"), "{fault}");
    }

    #[test]
    fn secrets_go_before_variables_and_both_before_what_everyone_has() {
        let home = tempfile::tempdir().unwrap();
        let function = Function::load(ground(home.path()), String::new()).unwrap();
        let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let init = Init {
            function: "hello".to_owned(),
            variables: pairs(&[("HOME", "/data"), ("KEY", "open")]),
            secrets: pairs(&[("KEY", "secret")]),
            ..Init::default()
        };
        let found = function.variables(Some(&init));
        assert_eq!((found["HOME"].as_str(), found["KEY"].as_str()), ("/data", "secret"));
        assert_eq!(found["FLAGBASE_FUNCTION"], "hello");
        assert!(!function.variables(None).contains_key("KEY"));
    }

    #[test]
    fn a_variable_chooses_cgi_for_a_binary_but_not_for_a_module() {
        let home = tempfile::tempdir().unwrap();
        let mut function = Function::load(ground(home.path()), String::new()).unwrap();
        let variables = BTreeMap::from([(SERVE.to_owned(), "cgi".to_owned())]);
        let init = Init { variables, ..Init::default() };
        assert_eq!(function.mode(&init), Mode::Cgi);
        assert_eq!(function.mode(&Init::default()), Mode::Server);
        function.manifest.mode = Mode::Wasm;
        assert_eq!(function.mode(&init), Mode::Wasm);
    }

    #[test]
    fn what_an_early_server_is_told_is_for_its_eyes_only() {
        let home = tempfile::tempdir().unwrap();
        let function = Function::load(ground(home.path()), String::new()).unwrap();
        function.tell(&Init { instance: "vm-7".to_owned(), ..Init::default() }).unwrap();
        let path = home.path().join("init.json");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let told: Init = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(told.instance, "vm-7");
    }
}
