//! A small HTTP/1.1 client: enough to set a bench up, with no dependency.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a port of this machine that is used again and again.
pub(crate) struct Client {
    port: u16,
    token: Option<String>,
    stream: BufReader<TcpStream>,
}

/// Status and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Connects; fails when nobody listens.
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("connect to port {port}"))?;
        stream.set_nodelay(true).context("switch off Nagle's algorithm")?;
        stream.set_read_timeout(Some(PATIENCE)).context("bound the waiting")?;
        Ok(Self { port, token: None, stream: BufReader::new(stream) })
    }

    /// The same connection, sending this bearer token from now on.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// `GET path`.
    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        self.send_as(JSON, ("GET", path), b"")
    }

    /// `POST path` with a JSON body; fails unless the answer is a success. Returns the answered JSON, if any.
    pub(crate) fn post(&mut self, path: &str, document: &Value) -> Result<Value> {
        let body = self.succeed(JSON, ("POST", path), document.to_string().as_bytes())?;
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// `POST path` with bytes as they are; fails unless the answer is a success.
    pub(crate) fn upload(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.succeed(BYTES, ("POST", path), bytes).map(drop)
    }

    /// `PUT path` with a JSON body; fails unless the answer is a success.
    pub(crate) fn put_json(&mut self, path: &str, document: &Value) -> Result<()> {
        self.succeed(JSON, ("PUT", path), document.to_string().as_bytes()).map(drop)
    }

    /// `PUT path` with bytes as they are; fails unless the answer is a success.
    pub(crate) fn put(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.succeed(BYTES, ("PUT", path), bytes).map(drop)
    }

    /// The body of the answer, which must be a success.
    fn succeed(&mut self, kind: &str, (method, path): (&str, &str), body: &[u8]) -> Result<Vec<u8>> {
        let Answer { status, body } = self.send_as(kind, (method, path), body)?;
        let text = String::from_utf8_lossy(&body);
        ensure!((200..300).contains(&status), "{method} {path} was answered with {status}: {text}");
        Ok(body)
    }

    fn send_as(&mut self, kind: &str, (method, path): (&str, &str), body: &[u8]) -> Result<Answer> {
        let authorization = self.token.as_ref();
        let authorization =
            authorization.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n{authorization}\
             content-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes()).context("send a request")?;
        stream.write_all(body).context("send a body")?;
        read_answer(&mut self.stream).with_context(|| format!("read the answer to {method} {path}"))
    }
}

fn read_answer(stream: &mut impl BufRead) -> Result<Answer> {
    let status = line(stream)?;
    let status = status
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .with_context(|| format!("`{status}` is no status line"))?;
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        chunked |= header.starts_with("transfer-encoding:");
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().context("read the length of the answer")?;
        }
    }
    let mut body = Vec::new();
    if chunked {
        read_chunks(stream, &mut body)?;
    } else {
        read_part(stream, &mut body, length)?;
    }
    Ok(Answer { status, body })
}

/// A body in chunks, without trailers (RFC 9112, section 7.1).
fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let size = line(stream)?;
        let size =
            usize::from_str_radix(&size, 16).with_context(|| format!("`{size}` is no size of a chunk"))?;
        read_part(stream, body, size)?;
        ensure!(line(stream)?.is_empty(), "a chunk is longer than it says");
        if size == 0 {
            return Ok(());
        }
    }
}

fn read_part(stream: &mut impl BufRead, body: &mut Vec<u8>, length: usize) -> Result<()> {
    let begin = body.len();
    body.resize(begin + length, 0);
    let part = body.get_mut(begin..).unwrap_or_default();
    stream.read_exact(part).context("read the body of the answer")
}

fn line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    ensure!(stream.read_line(&mut line)? > 0, "the connection was closed");
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_to_its_end_and_no_further() {
        let mut stream = &b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 204 No\r\n\r\n"[..];
        let first = read_answer(&mut stream).unwrap();
        assert_eq!((first.status, &first.body[..]), (201, &b"{}"[..]));
        let second = read_answer(&mut stream).unwrap();
        assert_eq!((second.status, second.body.len()), (204, 0));
    }

    #[test]
    fn a_body_in_chunks_is_read_as_one() {
        let mut stream = &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\na\r\n, everyone\r\n0\r\n\r\nHTTP"[..];
        let answer = read_answer(&mut stream).unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, &b"hello, everyone"[..]));
        assert_eq!(stream, b"HTTP");
    }

    #[test]
    fn an_answer_that_is_cut_off_is_an_error() {
        for answer in
            ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", "x\r\n\r\n"]
        {
            assert!(read_answer(&mut answer.as_bytes()).is_err(), "{answer:?}");
        }
    }
}
