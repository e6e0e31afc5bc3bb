//! One raw connection: blocking, and with as little work as possible, so that the server is what is measured.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// One raw connection.
pub(crate) struct Wire {
    socket: TcpStream,
}

impl Wire {
    /// Connects, and returns when the server has processed CONNECT.
    pub(crate) fn open(port: u16) -> Result<Self> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connect")?;
        socket.set_nodelay(true).context("turn off delays")?;
        socket.set_read_timeout(Some(PATIENCE)).context("limit reads")?;
        socket.set_write_timeout(Some(PATIENCE)).context("limit writes")?;
        let mut wire = Self { socket };
        wire.send(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")?;
        wire.settle()?;
        Ok(wire)
    }

    /// Writes all of it.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes).context("write to the server")
    }

    /// Reads what is there into `buffer` and returns it.
    pub(crate) fn read<'a>(&mut self, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
        let length = self.socket.read(buffer).context("read from the server")?;
        if length == 0 {
            bail!("the server hung up");
        }
        buffer.get(..length).context("read from the server")
    }

    /// Waits until the server has processed everything so far. Nothing but INFO and pings may come.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.send(b"PING\r\n")?;
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while !seen.windows(6).any(|bytes| bytes == b"PONG\r\n") {
            seen.extend_from_slice(self.read(&mut buffer)?);
        }
        Ok(())
    }
}

/// Whether the server says who it is.
pub(crate) fn greeted(mut socket: &TcpStream) -> bool {
    let mut start = [0; 5];
    socket.set_read_timeout(Some(PATIENCE)).is_ok()
        && socket.read_exact(&mut start).is_ok()
        && &start == b"INFO "
}
