//! What the doctor looks at, one function each.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use flagbase_core::clock::{Clock as _, SystemClock};
use flagbase_store::{Sqlite, SqliteConfig};
use jiff::Timestamp;

use super::Finding;
use crate::config::{Config, Mode, SecretStrength};
use crate::{place, private_file, signing};

/// Below this, a server will soon be unable to write.
const LITTLE_DISK: u64 = 256 << 20;

/// A clock before this cannot be right: this program was written later (2025-01-01).
const EARLIEST: i64 = 1_735_689_600;

pub(super) fn data_dir(config: &Config) -> Finding {
    let path = &config.server.data_dir;
    if !path.exists() {
        return Finding::good("data directory", format!("`{}` is made at the first start", shown(path)));
    }
    match place::prepare(path) {
        Ok(()) => Finding::good("data directory", format!("`{}` is writable", shown(path))),
        Err(failure) => Finding::bad("data directory", failure.to_string()),
    }
}

pub(super) fn free_disk(config: &Config) -> Finding {
    let absolute = place::absolute(&config.database.path);
    let Some(existing) = absolute.ancestors().skip(1).find(|path| path.exists()) else {
        return Finding::doubtful("free disk", "cannot tell where the database will be");
    };
    match rustix::fs::statvfs(existing) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let text = format!("{} MiB free at `{}`", free >> 20, existing.display());
            if free < LITTLE_DISK {
                Finding::bad("free disk", text)
            } else {
                Finding::good("free disk", text)
            }
        }
        Err(error) => Finding::doubtful("free disk", format!("cannot be measured: {error}")),
    }
}

/// Verifies a copy, so that a database that is old, or in use, is neither migrated nor disturbed.
pub(super) async fn database(config: &Config) -> Finding {
    let path = config.database.path.clone();
    if !path.exists() {
        return Finding::good("database", format!("`{}` is made at the first start", shown(&path)));
    }
    let work = tokio::task::spawn_blocking(move || {
        let directory = tempfile::tempdir()?;
        let copy = directory.path().join("copy.db");
        let opened = flagbase_store::backup(&path, &copy, &mut |_| {}).and_then(|()| {
            // Opening the copy shows whether this version can use it: a newer schema is refused, an older one migrated.
            Sqlite::open(&SqliteConfig::new(&copy).beside(), &SystemClock).map(drop)
        });
        anyhow::Ok(opened.map_err(|error| place::failure(&error)))
    });
    match work.await {
        Ok(Ok(Ok(()))) => {
            Finding::good("database", format!("`{}` can be read and is whole", shown(&config.database.path)))
        }
        Ok(Ok(Err(failure))) => Finding::bad("database", failure.to_string()),
        Ok(Err(error)) => Finding::doubtful("database", format!("cannot be checked: {error}")),
        Err(error) => Finding::doubtful("database", format!("cannot be checked: {error}")),
    }
}

/// Free, or a healthy server of ours.
pub(super) async fn port(config: &Config) -> Finding {
    let (host, port) = (config.server.host.as_str(), config.server.port);
    let Ok(mut addresses) = (host, port).to_socket_addrs() else {
        return Finding::bad("port", format!("`{host}` cannot be resolved; check `server.host`"));
    };
    let Some(address) = addresses.next() else {
        return Finding::bad("port", format!("`{host}` has no address; check `server.host`"));
    };
    let Err(error) = TcpListener::bind(address) else {
        return Finding::good("port", format!("{address} is free"));
    };
    let reachable = if address.ip().is_unspecified() { "127.0.0.1" } else { host };
    if is_healthy(reachable, port).await {
        return Finding::good("port", format!("a healthy server answers at {address}"));
    }
    Finding::bad(
        "port",
        format!("{address} cannot be used ({error}); choose another with --port, or stop what uses it"),
    )
}

async fn is_healthy(host: &str, port: u16) -> bool {
    let Ok(client) = reqwest::Client::builder().timeout(Duration::from_secs(3)).build() else {
        return false;
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match client.get(format!("http://{host}:{port}/health")).send().await {
        Ok(answer) => answer.text().await.is_ok_and(|text| text.contains("\"ok\"")),
        Err(_) => false,
    }
}

/// Free, or a server of ours that speaks NATS.
pub(super) fn bus(config: &Config) -> Finding {
    let (host, port) = (config.events.host.as_str(), config.events.nats_port);
    if !config.events.embedded {
        return Finding::good("bus", "the embedded NATS server is switched off");
    }
    let Some(address) = (host, port).to_socket_addrs().ok().and_then(|mut all| all.next()) else {
        return Finding::bad("bus", format!("`{host}` cannot be resolved; check `events.host`"));
    };
    let Err(error) = TcpListener::bind(address) else {
        return Finding::good("bus", format!("{address} is free"));
    };
    match greeting(address) {
        Some(line) if line.contains("\"server_name\":\"flagbase\"") => {
            Finding::good("bus", format!("a bus of ours answers at {address}"))
        }
        Some(line) if line.starts_with("INFO ") => Finding::bad(
            "bus",
            format!(
                "another NATS server answers at {address}; choose another `events.nats_port`, or stop it"
            ),
        ),
        _ => Finding::bad(
            "bus",
            format!(
                "{address} cannot be used ({error}); choose another `events.nats_port`, or stop what uses it"
            ),
        ),
    }
}

/// What a server says first, when it says something soon.
fn greeting(address: SocketAddr) -> Option<String> {
    let patience = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    let mut said = [0; 1024];
    let length = stream.read(&mut said).ok()?;
    Some(String::from_utf8_lossy(said.get(..length)?).into_owned())
}

pub(super) fn secret(config: &Config) -> Finding {
    let strength = SecretStrength::of(config.iam.jwt_secret.as_ref());
    let path = signing::path(config);
    match (strength, config.mode) {
        (SecretStrength::Good, _) => Finding::good("signing secret", "configured and strong"),
        (SecretStrength::Weak, _) => {
            Finding::doubtful("signing secret", "configured but weak; use `openssl rand -hex 32`")
        }
        (SecretStrength::Absent, Mode::Cluster) => {
            Finding::bad("signing secret", "must be configured outside local mode")
        }
        (SecretStrength::Absent, Mode::Local) if !path.exists() => {
            Finding::good("signing secret", format!("is made at the first start, in `{}`", shown(&path)))
        }
        (SecretStrength::Absent, Mode::Local) => match private_file::is_exposed(&path) {
            Ok(false) => Finding::good("signing secret", format!("kept in `{}`", shown(&path))),
            Ok(true) => Finding::bad(
                "signing secret",
                format!("others can read it; run `chmod 600 {}`", shown(&path)),
            ),
            Err(error) => Finding::bad("signing secret", format!("`{}`: {error}", shown(&path))),
        },
    }
}

/// A clock that goes backwards breaks sessions and the order of events.
pub(super) fn clock(config: &Config) -> Finding {
    let now = SystemClock.now();
    if now.as_second() < EARLIEST {
        return Finding::bad("clock", format!("says {now}, which is long past; set it"));
    }
    let written = std::fs::metadata(&config.database.path).and_then(|data| data.modified()).ok();
    let written = written.and_then(|time| Timestamp::try_from(time).ok());
    match written {
        Some(written) if written.as_second() > now.as_second() + 60 => {
            Finding::bad("clock", format!("says {now}, but the database was written at {written}"))
        }
        _ => Finding::good("clock", now.to_string()),
    }
}

fn shown(path: &Path) -> String {
    place::absolute(path).display().to_string()
}
