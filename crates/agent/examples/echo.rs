//! A function for trying out machines: a server and a CGI program that answers with what it is asked for.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process;
use std::thread;
use std::time::Duration;

fn main() -> io::Result<()> {
    let variable = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
    if variable("GATEWAY_INTERFACE").is_some() {
        return as_program();
    }
    if let Some(delay) = variable("DELAY_MS").and_then(|delay| delay.parse().ok()) {
        thread::sleep(Duration::from_millis(delay));
    }
    if let Some(status) = variable("EXIT_AT_START").and_then(|status| status.parse().ok()) {
        process::exit(status);
    }
    let port = variable("PORT").and_then(|port| port.parse().ok()).unwrap_or(8080);
    match variable("FLAGBASE_SOCKET").filter(|_| variable("ON_PORT").is_none()) {
        Some(path) => {
            for stream in UnixListener::bind(path)?.incoming() {
                let stream = stream?;
                let reader = stream.try_clone()?;
                thread::Builder::new().spawn(move || converse(reader, stream))?;
            }
        }
        None => {
            for stream in TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.incoming() {
                let stream = stream?;
                let reader = stream.try_clone()?;
                thread::Builder::new().spawn(move || converse(reader, stream))?;
            }
        }
    }
    Ok(())
}

/// A request: its head, and what is left to read.
struct Request<'a> {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Box<dyn Read + 'a>,
}

/// An answer: status, more headers, body.
struct Answer<'a>(u16, &'static str, Box<dyn Read + 'a>);

fn as_program() -> io::Result<()> {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    let get = |name: &str| variables.get(name).cloned().unwrap_or_default();
    let headers = variables.iter().filter_map(|(name, value)| {
        Some((name.strip_prefix("HTTP_")?.to_ascii_lowercase().replace('_', "-"), value.clone()))
    });
    let (path, query) = (get("PATH_INFO"), get("QUERY_STRING"));
    let target = if query.is_empty() { path } else { format!("{path}?{query}") };
    let request = Request {
        method: get("REQUEST_METHOD"),
        target,
        headers: headers.collect(),
        body: Box::new(io::stdin()),
    };
    let Answer(status, more, mut body) = answer(request);
    let mut out = io::stdout();
    write!(out, "Status: {status}\r\nContent-Type: text/plain\r\n{more}\r\n")?;
    io::copy(&mut body, &mut out)?;
    out.flush()
}

fn converse(reader: impl Read, mut writer: impl Write) {
    let mut reader = BufReader::new(reader);
    // Whoever hangs up has seen enough.
    while matches!(one(&mut reader, &mut writer), Ok(true)) {}
}

fn one(reader: &mut impl BufRead, writer: &mut impl Write) -> io::Result<bool> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(false);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let body: Box<dyn Read + '_> = if headers.contains_key("transfer-encoding") {
        Box::new(Chunks { from: reader, left: 0, done: false })
    } else {
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        Box::new(reader.take(length))
    };
    if target == "/nonsense" {
        writer.write_all(b"how do you do\r\n\r\n")?;
        return Ok(false);
    }
    let Answer(status, more, mut body) = answer(Request { method, target, headers, body });
    write!(writer, "HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n{more}\r\n")?;
    let mut part = vec![0; 32 << 10];
    loop {
        let read = body.read(&mut part)?;
        write!(writer, "{read:x}\r\n")?;
        writer.write_all(part.get(..read).unwrap_or_default())?;
        writer.write_all(b"\r\n")?;
        if read == 0 {
            return writer.flush().map(|()| true);
        }
    }
}

fn answer(request: Request<'_>) -> Answer<'_> {
    let text = |text: String| Answer(200, "", Box::new(io::Cursor::new(text)));
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    match path {
        "/echo" => Answer(200, "", request.body),
        "/count" => text(counted(request.body).to_string()),
        "/ignore" => text("done".to_owned()),
        "/bytes" => Answer(200, "", Box::new(io::repeat(b'x').take(query.parse().unwrap_or_default()))),
        "/variable" => text(std::env::var_os(query).unwrap_or_default().to_string_lossy().into_owned()),
        "/file" => text(std::fs::read_to_string(query).unwrap_or_else(|error| error.to_string())),
        "/write" => {
            text(std::fs::write(query, "x").map_or_else(|error| error.to_string(), |()| "written".into()))
        }
        "/print" => {
            let written = writeln!(io::stderr(), "{query}");
            text(format!("{written:?}"))
        }
        "/sleep" => {
            thread::sleep(Duration::from_millis(query.parse().unwrap_or_default()));
            text("awake".to_owned())
        }
        "/exit" => process::exit(query.parse().unwrap_or_default()),
        "/lie" => Answer(200, "Flagbase-Fault: busy\r\n", Box::new(io::empty())),
        "/gone" => Answer(410, "X-Why: gone\r\n", Box::new(io::empty())),
        "/random" => {
            let mut bytes = [0; 16];
            let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
            text(format!("{read:?} {bytes:?}"))
        }
        "/time" => text(milliseconds().to_string()),
        "/memory" => {
            let megabytes: usize = query.parse().unwrap_or_default();
            // Bit by bit: what is too much at once is refused at once.
            let full: Vec<Vec<u8>> = (0..megabytes).map(|_| vec![1_u8; 1 << 20]).collect();
            text(full.len().to_string())
        }
        _ => text(format!("{} {} {:?}", request.method, request.target, request.headers)),
    }
}

/// What time it is here, since 1970.
#[expect(clippy::disallowed_methods, reason = "it is asked how its machine's clock goes")]
fn milliseconds() -> u128 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

/// A chunked body.
struct Chunks<'a, R> {
    from: &'a mut R,
    left: usize,
    done: bool,
}

impl<R: BufRead> Read for Chunks<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.done {
            return Ok(0);
        }
        if self.left == 0 {
            let mut line = String::new();
            self.from.read_line(&mut line)?;
            self.left = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            if self.left == 0 {
                self.done = true;
                self.from.read_line(&mut line)?;
                return Ok(0);
            }
        }
        let most = into.len().min(self.left);
        let read = self.from.read(into.get_mut(..most).unwrap_or_default())?;
        self.left -= read;
        if self.left == 0 {
            self.from.read_line(&mut String::new())?;
        }
        Ok(read)
    }
}

/// How many bytes there are; 0 when reading fails.
fn counted(mut from: impl Read) -> u64 {
    io::copy(&mut from, &mut io::sink()).unwrap_or(0)
}
