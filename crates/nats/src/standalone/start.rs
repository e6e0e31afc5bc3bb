//! Command line and configuration file together, as what the server is started with.

use std::{
    fs, io,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use flagbase_nats::{
    Access, Anonymous, Handshake, Options, Permissions, StaticUsers, Tls, TlsError, WebSocket,
    jetstream::{self, Memory},
};

use super::{
    Failure,
    arguments::{Arguments, TlsArguments},
    config::{Config, First, Listen, Secret, TlsFiles, User, WebSocketFile},
    operator::Accounts,
};

const PORT: i64 = 4222;
const ANYWHERE: &str = "0.0.0.0";

/// What the server is started with, and the files around it.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) options: Options,
    pub(super) config_file: Option<PathBuf>,
    pub(super) log_file: Option<PathBuf>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) lame_duck: Option<Duration>,
}

/// Why the server cannot be started.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("cannot read `{path}`")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("TLS with `{certificate}` and `{key}`")]
    Tls {
        certificate: PathBuf,
        key: PathBuf,
        #[source]
        source: TlsError,
    },
    #[error("`{0}` is no port: write a number up to 65535, or -1 for any that is free")]
    Port(i64),
    #[error("`{0}` is no address of this machine")]
    Host(String),
    #[error("TLS needs `--tlscert` and `--tlskey`")]
    Incomplete,
}

impl Setup {
    /// What the command line says counts more than the file.
    pub(super) fn of(arguments: Arguments) -> Result<Self, Failure> {
        let config = match &arguments.config {
            None => Config::default(),
            Some(path) => Config::read(&text(path)?)?,
        };
        let tls = match certificates(&arguments.tls)? {
            Some(files) => Some(files),
            None => config.tls.clone(),
        };
        let host = arguments.host.clone().or(config.host.clone()).unwrap_or_else(|| ANYWHERE.to_owned());
        let monitor = arguments.monitor.map(|port| Listen { host: None, port }).or(config.monitor.clone());
        let options = Options {
            port: port(arguments.port.or(config.port).unwrap_or(PORT))?,
            server_name: arguments.name.clone().or(config.server_name.clone()),
            limits: config.limits.clone(),
            access: access(&arguments, &config)?,
            tls: tls.map(|files| encryption(&files)).transpose()?,
            jetstream: (arguments.jetstream || config.jetstream)
                .then(|| Arc::new(Memory::new()) as Arc<dyn jetstream::Store>),
            websocket: config.websocket.as_ref().map(|file| websocket(file, &host)).transpose()?,
            monitor: monitor.map(|listen| address(&listen, &host)).transpose()?,
            host,
            ..Options::default()
        };
        Ok(Self {
            options,
            config_file: arguments.config,
            log_file: arguments.log.or(config.log_file),
            pid_file: arguments.pid.or(config.pid_file),
            lame_duck: config.lame_duck,
        })
    }
}

fn access(arguments: &Arguments, config: &Config) -> Result<Arc<dyn Access>, Failure> {
    if let Some(operator) = &config.operator {
        return Ok(Arc::new(Accounts::of(&operator.jwt, &operator.accounts)?));
    }
    let mut users = config.authorization.users.clone();
    let secret = match (&arguments.token, &arguments.user, &arguments.password) {
        (Some(token), ..) => Some(Secret::Token(token.clone())),
        (None, Some(user), Some(password)) => {
            Some(Secret::Password { user: user.clone(), password: password.clone() })
        }
        _ => None,
    };
    users.extend(secret.map(|secret| User { secret, permissions: Permissions::default() }));
    if users.is_empty() {
        return Ok(Arc::new(Anonymous));
    }
    let admitted = users.into_iter().fold(StaticUsers::new(), |all, user| match user.secret {
        Secret::Password { user: name, password } => all.password(&name, &password, user.permissions),
        Secret::Token(token) => all.token(&token, user.permissions),
        Secret::NKey(key) => all.nkey(key, user.permissions),
    });
    Ok(Arc::new(admitted))
}

fn certificates(arguments: &TlsArguments) -> Result<Option<TlsFiles>, SetupError> {
    if !arguments.wanted {
        return Ok(None);
    }
    let (Some(certificate), Some(key)) = (&arguments.certificate, &arguments.key) else {
        return Err(SetupError::Incomplete);
    };
    Ok(Some(TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
        authority: arguments.authority.clone(),
        verify: arguments.verify,
        ..TlsFiles::default()
    }))
}

fn encryption(files: &TlsFiles) -> Result<Tls, SetupError> {
    let authority = files.authority.as_deref().filter(|_| files.verify).map(text).transpose()?;
    let (certificate, key) = (text(&files.certificate)?, text(&files.key)?);
    let authority = authority.as_ref().map(String::as_bytes);
    let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes(), authority).map_err(|source| {
        SetupError::Tls { certificate: files.certificate.clone(), key: files.key.clone(), source }
    })?;
    let tls = tls.handshake(match files.first {
        First::Info => Handshake::AfterInfo,
        First::Handshake => Handshake::First,
        First::Either(time) => Handshake::FirstWithin(time),
    });
    Ok(match files.timeout {
        Some(timeout) => tls.timeout(timeout),
        None => tls,
    })
}

fn websocket(file: &WebSocketFile, host: &str) -> Result<WebSocket, SetupError> {
    let usual = WebSocket::default();
    Ok(WebSocket {
        address: address(&file.listen, host)?,
        tls: file.tls.as_ref().filter(|_| !file.no_tls).map(encryption).transpose()?,
        allowed_origins: file.allowed_origins.clone(),
        same_origin: file.same_origin,
        handshake_timeout: file.handshake_timeout.unwrap_or(usual.handshake_timeout),
        ..usual
    })
}

fn address(listen: &Listen, usual: &str) -> Result<SocketAddr, SetupError> {
    let host = listen.host.as_deref().unwrap_or(usual);
    let found = (host, port(listen.port)?).to_socket_addrs().ok().and_then(|mut found| found.next());
    found.ok_or_else(|| SetupError::Host(host.to_owned()))
}

fn port(port: i64) -> Result<u16, SetupError> {
    if port == -1 { Ok(0) } else { u16::try_from(port).map_err(|_| SetupError::Port(port)) }
}

fn text(path: &Path) -> Result<String, SetupError> {
    fs::read_to_string(path).map_err(|source| SetupError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standalone::arguments::Command;

    fn setup(line: &str) -> Result<Setup, Failure> {
        let words = line.split_whitespace().map(str::to_owned);
        let Command::Serve(arguments) = Arguments::read(words).unwrap() else { panic!("{line}") };
        Setup::of(*arguments)
    }

    #[test]
    fn without_a_word_everybody_may_connect_to_the_usual_port() {
        let options = setup("").unwrap().options;
        assert_eq!((options.host.as_str(), options.port), ("0.0.0.0", 4222));
        assert!(!options.access.required() && options.tls.is_none() && options.monitor.is_none());
    }

    #[test]
    fn the_command_line_counts_more_than_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nats.conf");
        fs::write(
            &file,
            "listen: localhost:4444\nserver_name: file\nhttp: 8222\nmax_payload: 1KB\nlog_file: /f",
        )
        .unwrap();
        let file = file.display();
        let setup =
            self::setup(&format!("-c {file} -p -1 -n line -a 127.0.0.1 -l /l --user a --pass b")).unwrap();
        let options = setup.options;
        assert_eq!((options.port, options.server_name.as_deref()), (0, Some("line")));
        assert_eq!((options.host.as_str(), options.limits.max_payload), ("127.0.0.1", 1024));
        assert_eq!(
            (options.monitor, setup.log_file),
            (Some(([127, 0, 0, 1], 8222).into()), Some("/l".into()))
        );
        assert!(options.access.required());
    }

    #[test]
    fn what_cannot_be_is_told_before_a_port_is_bound() {
        let error = |line: &str| setup(line).unwrap_err().to_string();
        assert_eq!(error("-c /nowhere"), "cannot read `/nowhere`");
        assert_eq!(error("--tls"), "TLS needs `--tlscert` and `--tlskey`");
        assert_eq!(
            error("-p 70000"),
            "`70000` is no port: write a number up to 65535, or -1 for any that is free"
        );
    }
}
