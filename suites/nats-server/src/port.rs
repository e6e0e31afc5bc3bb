//! What a starting server says about itself.

use std::io::{BufRead, BufReader};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const INFO_WITHIN: Duration = Duration::from_secs(5);

/// The port in the line of the log that tells where clients may connect.
pub(crate) fn announced(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("client connections on ")?;
    // Without its line break the line may still be growing.
    let (address, _) = rest.split_once('\n')?;
    address.trim().rsplit(':').next()?.parse().ok()
}

/// Whether the server at `port` says in its first line that it wants TLS.
pub(crate) fn demands_tls(port: u16) -> bool {
    let address = ("localhost", port)
        .to_socket_addrs()
        .unwrap()
        .find_map(|address| TcpStream::connect_timeout(&address, INFO_WITHIN).ok());
    let stream = address.unwrap_or_else(|| panic!("nobody listens on port {port}"));
    stream.set_read_timeout(Some(INFO_WITHIN)).unwrap();
    let mut line = String::new();
    // A server that waits for the handshake says nothing before it.
    if BufReader::new(stream).read_line(&mut line).is_err() {
        return true;
    }
    tls_required(&line)
}

fn tls_required(line: &str) -> bool {
    let info = line.strip_prefix("INFO ").unwrap_or_else(|| panic!("not an INFO line: {line}"));
    let info: serde_json::Value = serde_json::from_str(info.trim()).unwrap();
    info["tls_required"].as_bool().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_once_its_line_is_whole() {
        let log = "[1] 2026/01/01 [INF] Listening for client connections on 0.0.0.0:45123\n";
        assert_eq!(announced(log), Some(45123));
        assert_eq!(announced(log.trim_end()), None);
        assert_eq!(announced("client connections on [::1]:4222\r\n"), Some(4222));
        assert_eq!(announced("Starting\n"), None);
    }

    #[test]
    fn tls_is_demanded_only_when_the_server_says_so() {
        assert!(tls_required("INFO {\"tls_required\":true}\r\n"));
        assert!(!tls_required("INFO {\"server_id\":\"x\"}\r\n"));
    }
}
