//! The listening socket.

use tokio::net::TcpListener;

use crate::config;
use crate::exit::{Failure, Outcome};

/// Takes the address, or says what to do when somebody else has it.
pub(crate) async fn bind(server: &config::Server) -> Outcome<TcpListener> {
    let (host, port) = (server.host.as_str(), server.port);
    TcpListener::bind((host, port)).await.map_err(|error| {
        let failure = Failure::plain(format!("cannot listen on {host}:{port}: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => failure.hint(format!(
                "another program uses port {port}; stop it, or choose another port with --port or FLAGBASE_SERVER__PORT"
            )),
            std::io::ErrorKind::PermissionDenied => {
                failure.hint("ports below 1024 need a privilege; choose a higher one with --port")
            }
            _ => failure.hint("check `server.host`: it must be an address of this machine"),
        }
    })
}
