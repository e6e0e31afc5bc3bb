//! A client that nobody could take for ours: plain text over a stream.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;

/// How often a device is asked for a connection.
const ATTEMPTS: u32 = 50;

/// How long a device may take to say that it has connected.
const GREETING: Duration = Duration::from_secs(10);

/// How to reach an agent.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) socket: PathBuf,
    /// The vsock port behind the socket; `None` when the agent itself is behind it.
    pub(crate) port: Option<u32>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn fault(&self) -> Option<&str> {
        self.header("flagbase-fault")
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// A connection.
pub(crate) struct Line {
    stream: BufReader<UnixStream>,
}

impl Way {
    /// Connects; a few times where a device is in between, which may have no room for another connection yet.
    pub(crate) fn dial(&self) -> io::Result<Line> {
        let attempts = if self.port.is_some() { ATTEMPTS } else { 1 };
        for _ in 1..attempts {
            if let Ok(line) = self.dial_once() {
                return Ok(line);
            }
            thread::sleep(Duration::from_millis(100));
        }
        self.dial_once()
    }

    fn dial_once(&self) -> io::Result<Line> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(GREETING))?;
        let port = self.port;
        if let Some(port) = port {
            writeln!(stream, "CONNECT {port}")?;
        }
        let mut stream = BufReader::new(stream);
        if port.is_some() {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            if !line.starts_with("OK ") {
                return Err(io::Error::other(format!("not connected: {line:?}")));
            }
        }
        stream.get_ref().set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(Line { stream })
    }

    pub(crate) fn ask(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        self.dial().unwrap().ask(method, target, body).unwrap()
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, b"")
    }

    pub(crate) fn post(&self, target: &str, body: &str) -> Answer {
        self.ask("POST", target, body.as_bytes())
    }
}

impl Line {
    pub(crate) fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> io::Result<Answer> {
        let length =
            if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        self.send(format!("{method} {target} HTTP/1.1\r\nhost: x\r\n{length}\r\n").as_bytes(), body)?;
        self.answer(method)
    }

    /// Sends a head and a body; the body while the answer may already come.
    pub(crate) fn send(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(head)?;
        let (mut writer, body) = (stream.try_clone()?, body.to_vec());
        if body.len() < 64 << 10 {
            let _ = writer.write_all(&body);
            return Ok(());
        }
        // An answer may come before all of it was read: then writing fails, and that is no matter.
        thread::Builder::new().spawn(move || drop(writer.write_all(&body)))?;
        Ok(())
    }

    pub(crate) fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {first:?}")))?;
        if status == 100 {
            self.line()?;
            return self.answer(method);
        }
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if method == "HEAD" {
            return Ok(answer);
        }
        if answer.header("transfer-encoding").is_some() {
            loop {
                let size = self.line()?;
                let size = u64::from_str_radix(&size, 16).map_err(io::Error::other)?;
                self.exactly(size, &mut answer.body)?;
                self.line()?;
                if size == 0 {
                    return Ok(answer);
                }
            }
        }
        let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        self.exactly(length, &mut answer.body)?;
        Ok(answer)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn exactly(&mut self, length: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let read = self.stream.by_ref().take(length).read_to_end(into)?;
        if (read as u64) < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}
