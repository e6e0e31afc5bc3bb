//! A function that is a program for each call: CGI (RFC 3875), for binaries and for WASI commands.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::Signal;

use super::{Call, Ground, fault_of_body, feed};
use crate::children::{Children, Ended};
use crate::http::{Answer, Body, BodyError, Connection, Framing, Header, Patience};
use crate::manifest::{Manifest, Mode};
use crate::protocol::{FAULT_HEADER, Fault, Limits, Stream};

/// Longest line of the head of an answer, in bytes.
const LINE: usize = 16 << 10;
/// Most headers of an answer.
const HEADERS: usize = 128;
/// How long a process may take to end after its answer has.
const GRACE: Duration = Duration::from_millis(100);

/// How each call is started.
#[derive(Debug)]
pub(super) struct Cgi {
    ground: Arc<Ground>,
    mode: Mode,
    program: PathBuf,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    starts: AtomicU64,
    last_exit: Mutex<Option<String>>,
}

impl Cgi {
    /// Calls of `manifest`'s entry, in this way and with so much memory.
    pub(super) fn new(
        ground: &Arc<Ground>,
        manifest: &Manifest,
        (mode, memory): (Mode, u64),
        variables: BTreeMap<String, String>,
    ) -> Result<Self, Fault> {
        let entry = ground.entry(manifest)?;
        let mut arguments = manifest.arguments.clone();
        let program = if mode == Mode::Wasm {
            let own = ["wasm".to_owned(), memory.to_string(), entry.to_string_lossy().into_owned()];
            arguments.splice(0..0, own);
            interpreter(ground)?
        } else {
            entry
        };
        Ok(Self {
            ground: Arc::clone(ground),
            mode,
            program,
            arguments,
            variables,
            starts: AtomicU64::new(0),
            last_exit: Mutex::default(),
        })
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// That it can be called, how often it was, how the last call that failed ended.
    pub(super) fn health(&self) -> (bool, u64, Option<String>) {
        let last = self.last_exit.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (true, self.starts.load(Ordering::Relaxed), last)
    }

    /// Starts a process for a call.
    pub(super) fn call(&self, mut call: Call<'_>) -> Result<(), Fault> {
        let has_body = !call.body.is_done();
        let mut command = self.command(&call, has_body);
        let mut child = self
            .ground
            .children
            .spawn(&mut command)
            .map_err(|error| Fault::Unstartable(error.to_string()))?;
        self.starts.fetch_add(1, Ordering::Relaxed);
        self.copy_errors(&mut child, &call);
        let (outcome, ended, late) = self.converse(&mut call, &mut child);
        if late {
            return Err(Fault::Timeout(call.limits.timeout_ms));
        }
        let how = match ended {
            Ok(ended) if ended.is_success() => return outcome,
            Ok(ended) => ended.to_string(),
            Err(error) => error.to_string(),
        };
        let fault = match outcome {
            Err(fault @ (Fault::TooLarge(_) | Fault::Caller(_))) => fault,
            Err(fault @ Fault::BadAnswer(_)) if call.answer.has_begun() => fault,
            _ => Fault::Exited(how.clone()),
        };
        if matches!(fault, Fault::Exited(_)) {
            self.ground.logs.write(Stream::Agent, call.id, &format!("the function's process {how}"));
            *self.last_exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
        }
        Err(fault)
    }

    fn command(&self, call: &Call<'_>, has_body: bool) -> Command {
        let mut command = self.ground.command(&self.program, &self.variables);
        command.args(&self.arguments).envs(variables(call));
        command.stdin(if has_body { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What it writes on standard error belongs to the log, even after the call.
    fn copy_errors(&self, child: &mut Child, call: &Call<'_>) {
        let (logs, id, most) = (Arc::clone(&self.ground.logs), call.id.map(str::to_owned), call.limits.log);
        let Some(stderr) = child.stderr.take() else {
            return;
        };
        let copy = move || {
            use io::Read as _;
            let mut stderr = stderr;
            logs.copy(stderr.by_ref().take(most), Stream::Stderr, id.as_deref());
            // Whatever is beyond the limit is read too, so that nobody waits for us.
            let _ = io::copy(&mut stderr, &mut io::sink());
        };
        // Without a thread the call goes on without its log.
        let _ = thread::Builder::new().name("log".to_owned()).spawn(copy);
    }

    /// Sends the request, carries the answer, waits for the end: how the answer went, how the process ended, and
    /// whether it had to be ended because time was over.
    fn converse(
        &self,
        call: &mut Call<'_>,
        child: &mut Child,
    ) -> (Result<(), Fault>, io::Result<Ended>, bool) {
        let children = &*self.ground.children;
        let (id, stdin, stdout) = (child.id(), child.stdin.take(), child.stdout.take());
        let (done, ends) = channel();
        let stop = AtomicBool::new(false);
        let Call { body, from, answer, until, limits, .. } = call;
        let (until, limits, stop) = (*until, *limits, &stop);
        thread::scope(|scope| {
            let watch = scope.spawn(move || watch(children, id, until, &ends));
            let feeder = stdin.map(|stdin| {
                scope.spawn(move || {
                    let fed = send(body, from, (until, stop), stdin);
                    if fed.is_err() && !stop.load(Ordering::Acquire) {
                        children.signal(id, Signal::KILL);
                    }
                    fed
                })
            });
            let mut outcome = match stdout {
                Some(stdout) => relay(answer, Connection::of_pipe(stdout), (until, limits)),
                None => Err(Fault::BadAnswer("it has no output".to_owned())),
            };
            stop.store(true, Ordering::Release);
            if let Some(Ok(Err(error))) = feeder.map(thread::ScopedJoinHandle::join)
                && !matches!(&error, BodyError::Io(error) if error.kind() == io::ErrorKind::ConnectionAborted)
            {
                outcome = Err(fault_of_body(&error, limits));
            }
            if outcome.is_err() {
                // It may be about to end by itself, and then how is worth knowing.
                thread::sleep(if matches!(outcome, Err(Fault::BadAnswer(_))) {
                    GRACE
                } else {
                    Duration::ZERO
                });
                children.signal(id, Signal::KILL);
            }
            let ended = children.wait(child);
            // The watch has ended already when time was over.
            let _ = done.send(());
            (outcome, ended, watch.join().unwrap_or_default())
        })
    }
}

/// Ends the process when time is over; whether it had to.
fn watch(children: &Children, id: u32, until: Instant, ends: &Receiver<()>) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let late = ends.recv_timeout(left) == Err(RecvTimeoutError::Timeout);
    if late {
        children.signal(id, Signal::KILL);
    }
    late
}

/// The program that runs modules: the agent's own.
fn interpreter(ground: &Ground) -> Result<PathBuf, Fault> {
    if cfg!(not(feature = "wasm")) {
        return Err(Fault::Unstartable("this agent was built without WebAssembly".to_owned()));
    }
    ground
        .launcher
        .clone()
        .or_else(|| fs::read_link("/proc/self/exe").ok())
        .ok_or_else(|| Fault::Unstartable("the agent does not know where its program is".to_owned()))
}

fn send(
    body: &mut Body,
    from: &mut Connection,
    terms: (Instant, &AtomicBool),
    mut to: ChildStdin,
) -> Result<(), BodyError> {
    feed(body, from, terms, |part| to.write_all(part))
}

/// What RFC 3875 says of a request.
fn variables(call: &Call<'_>) -> BTreeMap<String, String> {
    let (path, query) = call.target.split_once('?').unwrap_or((call.target, ""));
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
    set("GATEWAY_INTERFACE", "CGI/1.1");
    set("SERVER_SOFTWARE", "flagbase");
    set("SERVER_PROTOCOL", "HTTP/1.1");
    set("REQUEST_METHOD", &call.request.method);
    set("REQUEST_URI", call.target);
    set("SCRIPT_NAME", "");
    set("PATH_INFO", &decoded(path));
    set("QUERY_STRING", query);
    set("REMOTE_ADDR", "127.0.0.1");
    let host = call.request.header("host").unwrap_or("localhost");
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
    set("SERVER_NAME", name);
    set("SERVER_PORT", port);
    if let Some(length) = call.body.length().filter(|length| *length > 0) {
        set("CONTENT_LENGTH", &length.to_string());
    }
    if let Some(id) = call.id {
        set("FLAGBASE_CALL", id);
    }
    for (name, value) in &call.request.headers {
        let Ok(value) = std::str::from_utf8(value) else { continue };
        let name = name.to_ascii_uppercase().replace('-', "_");
        match name.as_str() {
            "CONTENT_TYPE" => set("CONTENT_TYPE", value),
            // Programs take this one for a setting of theirs.
            "PROXY" => None,
            _ => set(&format!("HTTP_{name}"), value),
        };
    }
    // What no variable can hold.
    variables.retain(|_, value| !value.contains('\0'));
    variables
}

/// A path without its `%` signs; as it is where that makes no text.
fn decoded(path: &str) -> String {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = match (first, tail) {
            (b'%', [high, low, ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        out.push(hex.unwrap_or(*first));
        rest = if hex.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8(out).unwrap_or_else(|_| path.to_owned())
}

/// Carries the answer to the host.
fn relay(
    answer: &mut Answer,
    mut from: Connection,
    (until, limits): (Instant, &Limits),
) -> Result<(), Fault> {
    let patience = Patience::until(until);
    let bad = |error: BodyError| match error {
        error if error.is_timeout() => Fault::Timeout(limits.timeout_ms),
        error => Fault::BadAnswer(error.to_string()),
    };
    let (status, headers, length) = head(&mut from, patience).map_err(bad)?;
    answer.begin(status, &headers, length)?;
    let mut body = Body::new(Framing::Close, limits.response_body).map_err(bad)?;
    while let Some(part) = body.next(&mut from, patience).map_err(bad)? {
        answer.write(&part)?;
    }
    answer.finish()
}

/// Status, headers and length of the body, as a program says them.
fn head(from: &mut Connection, patience: Patience<'_>) -> Result<(u16, Vec<Header>, Option<u64>), BodyError> {
    let broken = |why: &str| BodyError::Broken(why.to_owned());
    let (mut status, mut length, mut headers) = (None, None, Vec::new());
    loop {
        let line = from.line(LINE, patience).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => broken("it ends before the empty line after its headers"),
            _ => error.into(),
        })?;
        if line.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let (name, value) = text.split_once(':').ok_or_else(|| broken("a line of its head is no header"))?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty()
            || !name.bytes().all(is_token)
            || value.bytes().any(|byte| byte < b' ' && byte != b'\t')
        {
            return Err(broken("a line of its head is no header"));
        }
        match name.to_ascii_lowercase().as_str() {
            "status" => {
                let code = value.split_whitespace().next().and_then(|code| code.parse().ok());
                let code: Option<u16> = code.filter(|code| (200..600).contains(code));
                status = Some(code.ok_or_else(|| broken("its status is no number from 200 to 599"))?);
            }
            "content-length" => length = value.parse().ok(),
            "connection" | "transfer-encoding" | "keep-alive" | "upgrade" | FAULT_HEADER => {}
            _ => headers.push((name.to_owned(), value.as_bytes().to_vec())),
        }
        if headers.len() > HEADERS {
            return Err(broken("it has too many headers"));
        }
    }
    let moved = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("location"));
    if status.is_none() && length.is_none() && headers.is_empty() {
        return Err(broken(
            "its head is empty; expected `Status: 200` or `Content-Type: …`, then an empty line",
        ));
    }
    Ok((status.unwrap_or(if moved { 302 } else { 200 }), headers, length))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;

    #[test]
    fn a_path_is_decoded_as_far_as_it_makes_sense() {
        assert_eq!(decoded("/a%20b%2Fc"), "/a b/c");
        assert_eq!(decoded("/100%"), "/100%");
        assert_eq!(decoded("/%zz%+1"), "/%zz%+1");
        assert_eq!(decoded("/%ff"), "/%ff");
    }

    fn with_call<T>(target: &str, headers: &[(&str, &str)], see: impl FnOnce(&Call<'_>) -> T) -> T {
        let (one, _two) = socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        let socket = Arc::new(one);
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        let request = Request {
            method: "POST".to_owned(),
            target: String::new(),
            headers: headers.collect(),
            framing: Framing::Length(5),
            keeps: true,
            expects: false,
        };
        let limits = Limits::default();
        see(&Call {
            request: &request,
            target,
            id: Some("c1"),
            body: &mut Body::new(Framing::Length(5), 10).unwrap(),
            from: &mut Connection::new(Arc::clone(&socket)),
            answer: &mut Answer::new(socket, "POST", 10),
            until: Instant::now(),
            limits: &limits,
        })
    }

    #[test]
    fn a_program_finds_the_request_in_its_environment() {
        let headers =
            [("Host", "x.example.com:81"), ("Content-Type", "text/plain"), ("X-A", "1"), ("Proxy", "evil")];
        let found = with_call("/a%20b?c=d", &headers, variables);
        let expected = [
            ("REQUEST_METHOD", "POST"),
            ("PATH_INFO", "/a b"),
            ("QUERY_STRING", "c=d"),
            ("CONTENT_LENGTH", "5"),
            ("CONTENT_TYPE", "text/plain"),
            ("HTTP_X_A", "1"),
            ("SERVER_NAME", "x.example.com"),
            ("SERVER_PORT", "81"),
            ("FLAGBASE_CALL", "c1"),
        ];
        for (name, value) in expected {
            assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!found.contains_key("HTTP_PROXY"), "{found:?}");
    }

    fn answered(text: &str) -> Result<(u16, Vec<Header>, Option<u64>), BodyError> {
        let mut child = Command::new("/bin/echo").args(["-n", text]).stdout(Stdio::piped()).spawn().unwrap();
        let mut from = Connection::of_pipe(child.stdout.take().unwrap());
        let head = head(&mut from, Patience::default());
        child.wait().unwrap();
        head
    }

    #[test]
    fn the_head_of_an_answer_is_read_as_programs_write_it() {
        let (status, headers, length) = answered("Content-Type: text/plain\n\nhi").unwrap();
        assert_eq!((status, length), (200, None));
        assert_eq!(headers, [("Content-Type".to_owned(), b"text/plain".to_vec())]);
        let (status, headers, length) =
            answered("Status: 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\n").unwrap();
        assert_eq!((status, headers.len(), length), (404, 0, Some(2)));
        assert_eq!(answered("Location: /there\n\n").unwrap().0, 302);
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in ["", "\n", "hello\n\n", "Status: hi\n\n", "Status: 99\n\n", "A B: c\n\n", "X: y"] {
            assert!(matches!(answered(text), Err(BodyError::Broken(_))), "{text:?}");
        }
    }
}
