//! What the agent answers on its connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::agent::{Agent, InitError};
use crate::function::Call;
use crate::http::{Answer, Body, BodyError, Connection, Patience, Request, read_request, write_all};
use crate::protocol::{CALL, CALL_HEADER, Drain, Fault};

/// Connections at once.
const CONNECTIONS: usize = 512;
/// How long a connection may be quiet between requests.
const QUIET: Duration = Duration::from_mins(10);
/// How long a request to the agent itself may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);
/// How long the rest of a body that nobody wants may take.
const LEFT_OVER: Duration = Duration::from_secs(1);
/// Largest body of a request to the agent itself, in bytes.
const LARGEST: u64 = 4 << 20;
/// Connections that the kernel keeps until they are taken.
const BACKLOG: i32 = 256;
/// Stack of the thread of a connection, in bytes.
const STACK: usize = 512 << 10;

/// Listens on a Unix socket.
///
/// # Errors
/// When the socket cannot be made, such as when there is a file under its name.
pub fn listen_unix(path: &std::path::Path) -> io::Result<Socket> {
    listen(Domain::UNIX, &SockAddr::unix(path)?)
}

/// Listens on a vsock port, for connections from the host.
///
/// # Errors
/// Without a vsock device, or when the port is taken.
pub fn listen_vsock(port: u32) -> io::Result<Socket> {
    const ANY: u32 = u32::MAX;
    listen(Domain::VSOCK, &SockAddr::vsock(ANY, port))
}

fn listen(domain: Domain, address: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Takes connections for ever, a thread for each.
///
/// # Errors
/// When no connection can be taken any more.
pub fn serve(listener: &Socket, agent: &Arc<Agent>) -> io::Result<()> {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if is_passing(&error) => {
                thread::sleep(Duration::from_millis(10));
                continue;
            }
            Err(error) => return Err(error),
        };
        if open.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
            open.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (agent, counted) = (Arc::clone(agent), Arc::clone(&open));
        let handle = move || {
            converse(Arc::new(socket), &agent);
            counted.fetch_sub(1, Ordering::AcqRel);
        };
        let thread = thread::Builder::new().name("connection".to_owned()).stack_size(STACK);
        if thread.spawn(handle).is_err() {
            open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// What is over in a moment: a peer that went away, a signal, too many files.
fn is_passing(error: &io::Error) -> bool {
    let kinds =
        [io::ErrorKind::ConnectionAborted, io::ErrorKind::Interrupted, io::ErrorKind::ConnectionReset];
    kinds.contains(&error.kind()) || matches!(error.raw_os_error(), Some(23 | 24 | 12))
}

/// Answers one request after the other.
fn converse(socket: Arc<Socket>, agent: &Agent) {
    let mut from = Connection::new(Arc::clone(&socket));
    loop {
        let request = match read_request(&mut from, Patience::until(Instant::now() + QUIET)) {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => {
                let fault = Fault::Caller(error.to_string());
                // Whoever sends nonsense may not read either.
                let _ = Answer::new(socket, "GET", u64::MAX).fail(&fault);
                return;
            }
        };
        if !respond(&request, &socket, &mut from, agent) || !request.keeps {
            // So that the other side reads what was answered before it learns that nobody reads on.
            let _ = socket.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

/// Answers a request; whether the connection can go on.
fn respond(request: &Request, socket: &Arc<Socket>, from: &mut Connection, agent: &Agent) -> bool {
    let rest = request.target.strip_prefix(CALL);
    if let Some(target) = rest.filter(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) {
        return call(request, target, (socket, from), agent);
    }
    let mut answer = Answer::new(Arc::clone(socket), &request.method, u64::MAX);
    let until = Instant::now() + ARRIVAL;
    let body = Body::new(request.framing, LARGEST)
        .and_then(|body| continued(request, socket).map(|()| body).map_err(BodyError::from))
        .and_then(|body| body.whole(from, Patience::until(until)));
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            let _ = answer.fail(&Fault::Caller(error.to_string()));
            return false;
        }
    };
    let stops = request.method == "POST" && request.target == "/stop";
    let sent = own(request, &body, &mut answer, agent);
    if stops {
        agent.stop();
        agent.end();
    }
    sent.is_ok()
}

/// Tells a client that waits before it sends a body that it need not.
fn continued(request: &Request, socket: &Socket) -> io::Result<()> {
    if request.expects { write_all(socket, b"HTTP/1.1 100 Continue\r\n\r\n") } else { Ok(()) }
}

/// What is asked of the agent itself.
fn own(request: &Request, body: &[u8], answer: &mut Answer, agent: &Agent) -> Result<(), Fault> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    match (request.method.as_str(), path) {
        ("GET" | "HEAD", "/health") => json(answer, 200, &agent.health()),
        ("GET", "/logs") => {
            let wait = Duration::from_millis(number(query, "wait_ms").unwrap_or(0));
            let limit = number(query, "limit").unwrap_or(500);
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            json(answer, 200, &agent.page(number(query, "after").unwrap_or(0), limit, wait))
        }
        ("POST", "/init") => match read(body).and_then(|init| agent.init(&init)) {
            Ok(health) => json(answer, 200, &health),
            Err(InitError::Fault(fault)) => answer.fail(&fault),
            Err(error) => {
                let status = if matches!(error, InitError::Twice) { 409 } else { 400 };
                answer.reply(status, "text/plain; charset=utf-8", error.to_string().as_bytes())
            }
        },
        ("POST", "/drain") => match read::<Drain>(if body.is_empty() { b"{}" } else { body }) {
            Ok(drain) => json(answer, 200, &agent.drain(Duration::from_millis(drain.within_ms))),
            Err(error) => answer.reply(400, "text/plain; charset=utf-8", error.to_string().as_bytes()),
        },
        ("POST", "/stop") => answer.reply(202, "application/json", b"{}"),
        _ => {
            let known = "GET /health, GET /logs, POST /init, POST /drain, POST /stop, and /call";
            answer.reply(404, "text/plain; charset=utf-8", format!("there are {known}").as_bytes())
        }
    }
}

fn json(answer: &mut Answer, status: u16, document: &impl Serialize) -> Result<(), Fault> {
    let body = serde_json::to_vec(document).map_err(|error| Fault::BadAnswer(error.to_string()))?;
    answer.reply(status, "application/json", &body)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, InitError> {
    serde_json::from_slice(body).map_err(|error| InitError::Senseless(error.to_string()))
}

/// A number in a query.
fn number(query: &str, name: &str) -> Option<u64> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(found, _)| *found == name).find_map(|(_, value)| value.parse().ok())
}

/// A call of the function; whether the connection can go on.
fn call(
    request: &Request,
    target: &str,
    (socket, from): (&Arc<Socket>, &mut Connection),
    agent: &Agent,
) -> bool {
    let mut answer = Answer::new(Arc::clone(socket), &request.method, u64::MAX);
    let mut body = None;
    let outcome = agent.admit().and_then(|mut admitted| {
        let limits = Arc::clone(&admitted.limits);
        answer = Answer::new(Arc::clone(socket), &request.method, limits.response_body);
        let found = Body::new(request.framing, limits.request_body);
        let body = body.insert(found.map_err(|_| Fault::TooLarge(limits.request_body))?);
        if !body.is_done() {
            continued(request, socket).map_err(|error| Fault::Caller(error.to_string()))?;
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        admitted.call(Call {
            request,
            target: &target,
            id: request.header(CALL_HEADER),
            body,
            from,
            answer: &mut answer,
            until: Instant::now() + Duration::from_millis(limits.timeout_ms),
            limits: &limits,
        })
    });
    if let Err(fault) = &outcome {
        if answer.has_begun() {
            agent.log(&format!("an answer was cut off: {fault}"));
            return false;
        }
        if answer.fail(fault).is_err() {
            return false;
        }
    }
    finished(request, body, from)
}

/// Reads what is left of a body, when it is little.
fn finished(request: &Request, body: Option<Body>, from: &mut Connection) -> bool {
    let asked = body.is_some();
    let Some(mut body) = body.or_else(|| Body::new(request.framing, u64::MAX).ok()) else {
        return false;
    };
    // A client that was not told to send its body may send it or not.
    let sends = asked || !request.expects || body.is_done();
    sends && body.skip(from, Patience::until(Instant::now() + LEFT_OVER))
}
