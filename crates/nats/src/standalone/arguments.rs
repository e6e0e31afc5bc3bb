//! The command line, with the flags of nats-server, so that what starts that one can start this one.

use std::{path::PathBuf, str::FromStr};

/// What the program is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// To serve until it is ended.
    Serve(Box<Arguments>),
    /// To tell another process something.
    Signal(Order),
    /// To print this and end.
    Say(String),
}

/// What it is started with. What is not said is taken from the configuration file, or as usual.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(super) host: Option<String>,
    /// Negative takes any that is free.
    pub(super) port: Option<i64>,
    pub(super) name: Option<String>,
    pub(super) monitor: Option<i64>,
    pub(super) config: Option<PathBuf>,
    pub(super) log: Option<PathBuf>,
    pub(super) pid: Option<PathBuf>,
    pub(super) store: Option<PathBuf>,
    pub(super) jetstream: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) token: Option<String>,
    pub(super) tls: TlsArguments,
}

/// What is said of TLS.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TlsArguments {
    pub(super) wanted: bool,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) authority: Option<PathBuf>,
    pub(super) verify: bool,
}

/// A signal and the process it is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    signal: Signal,
    pid: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    LameDuck,
    Stop,
    Quit,
}

/// Why the command line makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("`{0}` is no flag: see `--help`")]
    Unknown(String),
    #[error("`{0}` needs a value")]
    Missing(String),
    #[error("`{value}` is no value for `{flag}`: write a number")]
    Number { flag: String, value: String },
    #[error("`{0}` is no signal: write `ldm=PID`, `stop=PID` or `quit=PID`")]
    Signal(String),
    #[error("cannot signal process {0}: is it running?")]
    Process(i32),
}

const HELP: &str = "\
flagbase-nats serves clients that speak the NATS protocol.

  -a, --addr, --net HOST       address to listen on
  -p, --port PORT              port for clients; -1 takes any that is free
  -n, --name NAME              name of the server
  -m, --http_port PORT         port for monitoring
  -c, --config FILE            configuration file
  -l, --log FILE               write the log to a file
  -P, --pid FILE               write the number of the process to a file
  -sd, --store_dir DIRECTORY   where JetStream keeps what it stores
  -js, --jetstream             enable JetStream
      --user, --pass, --auth   who may connect: a user and a password, or a token
      --tls, --tlscert, --tlskey, --tlscacert, --tlsverify
                               encrypt connections of clients
      --signal ORDER[=PID]     ldm, stop or quit a running server
  -v, --version
  -h, --help";

impl Arguments {
    /// Reads the words of the command line after the name of the program.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Command, ArgumentError> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let name = name(&flag).ok_or_else(|| ArgumentError::Unknown(flag.clone()))?;
            match name {
                "h" | "help" => return Ok(Command::Say(HELP.to_owned())),
                "v" | "version" => {
                    return Ok(Command::Say(format!("flagbase-nats: v{}", env!("CARGO_PKG_VERSION"))));
                }
                name if arguments.switch(name, value.as_deref()) => {}
                name => {
                    let value =
                        value.or_else(|| words.next()).ok_or_else(|| ArgumentError::Missing(flag.clone()))?;
                    if matches!(name, "sl" | "signal") {
                        return value.parse().map(Command::Signal);
                    }
                    arguments.set(name, &flag, value)?;
                }
            }
        }
        Ok(Command::Serve(Box::new(arguments)))
    }

    /// Takes a flag that needs no value. Whether it was one.
    fn switch(&mut self, name: &str, value: Option<&str>) -> bool {
        let on = !matches!(value, Some("false" | "0"));
        match name {
            "js" | "jetstream" => self.jetstream = on,
            "tls" => self.tls.wanted = on,
            "tlsverify" => (self.tls.wanted, self.tls.verify) = (on, on),
            // How much is logged changes nothing here.
            "D" | "debug" | "V" | "trace" | "DV" | "DVV" | "T" | "logtime" | "s" | "syslog" => {}
            _ => return false,
        }
        true
    }

    fn set(&mut self, name: &str, flag: &str, value: String) -> Result<(), ArgumentError> {
        match name {
            "a" | "addr" | "net" => self.host = Some(value),
            "p" | "port" => self.port = Some(number(flag, &value)?),
            "n" | "name" | "server_name" => self.name = Some(value),
            "m" | "http_port" => self.monitor = Some(number(flag, &value)?),
            "c" | "config" => self.config = Some(value.into()),
            "l" | "log" => self.log = Some(value.into()),
            "P" | "pid" => self.pid = Some(value.into()),
            "sd" | "store_dir" => self.store = Some(value.into()),
            "user" => self.user = Some(value),
            "pass" => self.password = Some(value),
            "auth" => self.token = Some(value),
            "tlscert" => self.tls.certificate = Some(value.into()),
            "tlskey" => self.tls.key = Some(value.into()),
            "tlscacert" => self.tls.authority = Some(value.into()),
            _ => return Err(ArgumentError::Unknown(flag.to_owned())),
        }
        Ok(())
    }
}

/// A flag without its one or two dashes.
fn name(flag: &str) -> Option<&str> {
    let rest = flag.strip_prefix('-')?;
    Some(rest.strip_prefix('-').unwrap_or(rest)).filter(|name| !name.is_empty())
}

fn number(flag: &str, value: &str) -> Result<i64, ArgumentError> {
    value.parse().map_err(|_| ArgumentError::Number { flag: flag.to_owned(), value: value.to_owned() })
}

impl FromStr for Order {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        let wrong = || ArgumentError::Signal(text.to_owned());
        let (signal, pid) = text.split_once('=').ok_or_else(wrong)?;
        let signal = match signal {
            "ldm" => Signal::LameDuck,
            "stop" => Signal::Stop,
            "quit" => Signal::Quit,
            _ => return Err(wrong()),
        };
        let pid = pid.parse().ok().filter(|pid| *pid > 0).ok_or_else(wrong)?;
        Ok(Self { signal, pid })
    }
}

impl Order {
    /// Sends the signal.
    pub(super) fn send(&self) -> Result<(), ArgumentError> {
        let signal = match self.signal {
            Signal::LameDuck => rustix::process::Signal::USR2,
            Signal::Stop => rustix::process::Signal::TERM,
            Signal::Quit => rustix::process::Signal::INT,
        };
        let gone = || ArgumentError::Process(self.pid);
        let process = rustix::process::Pid::from_raw(self.pid).ok_or_else(gone)?;
        rustix::process::kill_process(process, signal).map_err(|_| gone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, ArgumentError> {
        Arguments::read(line.split_whitespace().map(str::to_owned))
    }

    fn serve(line: &str) -> Arguments {
        match read(line).unwrap() {
            Command::Serve(arguments) => *arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_have_one_dash_or_two_and_their_value_behind_or_within() {
        let expected = Arguments { port: Some(-1), host: Some("::1".to_owned()), ..Arguments::default() };
        for line in ["-p -1 -a ::1", "--port -1 --addr ::1", "-port=-1 --net=::1"] {
            assert_eq!(serve(line), expected, "{line}");
        }
    }

    #[test]
    fn what_test_suites_say_is_understood() {
        let read = serve("--store_dir /d -p -1 -l /l -P /p -c /c -js");
        let store = Arguments {
            store: Some("/d".into()),
            port: Some(-1),
            log: Some("/l".into()),
            pid: Some("/p".into()),
            config: Some("/c".into()),
            jetstream: true,
            ..Arguments::default()
        };
        assert_eq!(read, store);
        let read = serve("-p 4222 -m 8222 -a 127.0.0.1 --user u --pass p --auth t -sd=/d -DV");
        assert_eq!(
            (read.monitor, read.user.as_deref(), read.token.as_deref()),
            (Some(8222), Some("u"), Some("t"))
        );
        let tls = serve("--tls --tlscert c --tlskey k --tlscacert a --tlsverify").tls;
        assert!(tls.wanted && tls.verify && tls.authority.is_some());
    }

    #[test]
    fn a_signal_names_its_process() {
        let order = Order { signal: Signal::LameDuck, pid: 42 };
        assert_eq!(read("--signal ldm=42"), Ok(Command::Signal(order)));
        for line in ["--signal ldm", "--signal dance=42", "--signal ldm=-1", "--signal ldm=x"] {
            assert!(matches!(read(line), Err(ArgumentError::Signal(_))), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        assert_eq!(read("--porrt 1"), Err(ArgumentError::Unknown("--porrt".to_owned())));
        assert_eq!(read("4222"), Err(ArgumentError::Unknown("4222".to_owned())));
        assert_eq!(read("-p"), Err(ArgumentError::Missing("-p".to_owned())));
        assert_eq!(read("-p x").unwrap_err().to_string(), "`x` is no value for `-p`: write a number");
        assert!(matches!(read("--help"), Ok(Command::Say(text)) if text.contains("--store_dir")));
    }
}
