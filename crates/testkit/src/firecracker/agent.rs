//! The agent in a guest of the double, and its function.

use std::{
    io::{BufReader, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    guest::Shared,
    http1::{self, Asked},
};

/// What is answered: status, headers, body.
struct Answer(u16, Vec<(String, String)>, Vec<u8>);

/// What happens to a connection after a call.
enum Next {
    Answer(Answer),
    Close,
}

/// Serves one connection.
pub(super) fn serve(stream: UnixStream, shared: &Shared) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(asked) = http1::read(&mut reader) {
        shared.awake();
        let next = match asked.target.strip_prefix("/call") {
            Some(below) => call(&Asked { target: below.to_owned(), ..asked.clone() }, shared),
            None => Next::Answer(own(&asked, shared)),
        };
        // It may have been stopped meanwhile.
        shared.awake();
        let Next::Answer(Answer(status, headers, body)) = next else {
            // There may be other owners of the socket.
            let _ = writer.shutdown(Shutdown::Both);
            return;
        };
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if !http1::write(&mut writer, status, &headers, &body) {
            return;
        }
    }
}

fn own(asked: &Asked, shared: &Shared) -> Answer {
    match (asked.method.as_str(), asked.path()) {
        ("GET", "/health") => document(&health(shared)),
        ("POST", "/init") => init(asked, shared),
        ("POST", "/drain") => drain(asked, shared),
        ("GET", "/logs") => logs(asked, shared),
        _ => fault(404, "not_found", "there is no such path"),
    }
}

fn health(shared: &Shared) -> Value {
    let memory = shared.memory.lock();
    let state = match (&memory.saved.identity, memory.draining) {
        (_, true) => "draining",
        (Some(_), false) => "ready",
        (None, false) => "booted",
    };
    let function =
        json!({"digest": "sha256:00", "mode": "server", "running": true, "starts": 1, "last_exit": null});
    let function = if memory.saved.says("function") == Some("none") { Value::Null } else { function };
    json!({
        "state": state, "agent": "0.0.0", "protocol": 1, "kernel": "double", "uptime_ms": 1, "function": function,
        "calls": {"running": memory.running, "total": memory.saved.calls, "failed": 0},
    })
}

fn init(asked: &Asked, shared: &Shared) -> Answer {
    let Ok(identity) = serde_json::from_slice::<Value>(&asked.body) else {
        return fault(400, "bad_request", "the identity cannot be read");
    };
    let seed = identity.get("seed").and_then(Value::as_str).unwrap_or_default();
    let fields = ["environment", "function", "version", "instance", "variables", "secrets", "now_ms"];
    if seed.len() < 64 || fields.iter().any(|field| identity.get(field).is_none()) {
        return fault(400, "bad_request", "the identity is not whole");
    }
    let saved = shared.memory.lock().saved.clone();
    thread::sleep(saved.pause("init_ms"));
    if saved.says("init") == Some("refuse") {
        return fault(503, "unstartable", "the function did not begin to listen");
    }
    let mut memory = shared.memory.lock();
    if memory.saved.identity.is_some() {
        return fault(409, "conflict", "it has an identity already");
    }
    memory.saved.identity = Some(identity);
    memory.lines.push(("agent".to_owned(), None, "the function runs".to_owned()));
    drop(memory);
    shared.changed.notify_all();
    document(&health(shared))
}

fn drain(asked: &Asked, shared: &Shared) -> Answer {
    let within = serde_json::from_slice::<Value>(&asked.body).ok();
    let within = within.and_then(|body| body.get("within_ms")?.as_u64()).unwrap_or(0);
    let mut memory = shared.memory.lock();
    if memory.saved.says("drain") == Some("never") {
        drop(memory);
        thread::sleep(Duration::from_hours(1));
        return document(&health(shared));
    }
    memory.draining = true;
    let mut waited = Duration::ZERO;
    let step = Duration::from_millis(5);
    while memory.running > 0 && waited < Duration::from_millis(within) {
        shared.changed.wait_for(&mut memory, step);
        waited += step;
    }
    drop(memory);
    document(&health(shared))
}

fn logs(asked: &Asked, shared: &Shared) -> Answer {
    let number = |name: &str| asked.parameter(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    let after = usize::try_from(number("after")).unwrap_or(usize::MAX);
    let mut memory = shared.memory.lock();
    if memory.lines.len() <= after {
        shared.changed.wait_for(&mut memory, Duration::from_millis(number("wait_ms")));
    }
    let lines: Vec<Value> = memory
        .lines
        .iter()
        .enumerate()
        .skip(after)
        .map(|(at, (stream, call, text))| {
            json!({"seq": at + 1, "time_ms": 1, "stream": stream, "call": call, "text": text})
        })
        .collect();
    document(&json!({"lines": lines, "next": memory.lines.len(), "lost": 0}))
}

/// A call of the function.
fn call(asked: &Asked, shared: &Shared) -> Next {
    let mut memory = shared.memory.lock();
    if memory.saved.identity.is_none() {
        return Next::Answer(fault(503, "not_ready", "it has no identity"));
    }
    if memory.draining {
        return Next::Answer(fault(503, "draining", "it takes no more calls"));
    }
    memory.running += 1;
    memory.saved.calls += 1;
    drop(memory);
    let next = behave(asked, shared);
    shared.memory.lock().running -= 1;
    shared.changed.notify_all();
    next
}

fn behave(asked: &Asked, shared: &Shared) -> Next {
    let number = |name: &str| asked.parameter(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    let kind = shared.memory.lock().saved.says("guest").map(str::to_owned);
    if let Some(kind) = kind {
        return as_the_contract_says(&kind, asked, shared);
    }
    if asked.header("flagbase-occasion").is_some() {
        return Next::Answer(occasion(asked, shared));
    }
    Next::Answer(match asked.path() {
        "/echo" => Answer(
            200,
            header("content-type", asked.header("content-type").unwrap_or("")),
            asked.body.clone(),
        ),
        "/inspect" => inspect(asked),
        "/identity" => document(&shared.memory.lock().saved.identity.clone().unwrap_or_default()),
        "/count" => plain(200, &shared.memory.lock().saved.calls.to_string()),
        "/sleep" => {
            thread::sleep(Duration::from_millis(number("ms")));
            plain(200, "slept")
        }
        "/hang" => return hang(),
        "/cut" => return Next::Close,
        "/die" => die("asked to"),
        "/big" => Answer(200, Vec::new(), vec![b'x'; usize::try_from(number("bytes")).unwrap_or(0)]),
        "/status" => plain(u16::try_from(number("code")).unwrap_or(500), "as asked"),
        "/fault" => fault(502, asked.parameter("word").unwrap_or_default(), "the agent says so"),
        "/log" => {
            let line = (
                asked.parameter("stream").unwrap_or("stdout").to_owned(),
                asked.header("flagbase-call").map(str::to_owned),
                asked.parameter("text").unwrap_or_default().to_owned(),
            );
            shared.memory.lock().lines.push(line);
            plain(200, "logged")
        }
        _ => plain(200, "hello"),
    })
}

/// The guests of `testkit::compute`: `guest=echo` and so on.
fn as_the_contract_says(kind: &str, asked: &Asked, shared: &Shared) -> Next {
    let serves = match kind {
        "events" => Some("event"),
        "ticks" => Some("tick"),
        _ => None,
    };
    if asked.header("flagbase-occasion") != serves {
        return Next::Answer(fault(501, "not_served", "it does not serve that"));
    }
    let target = asked.target.as_str();
    Next::Answer(match kind {
        "status" => plain(target.trim_start_matches('/').parse().unwrap_or(500), ""),
        "loop" => return hang(),
        "trap" => die("Attempted to kill init!"),
        "flood" => Answer(200, Vec::new(), vec![b'x'; 4 << 20]),
        "memory" if shared.memory_mib < 512 => die("System is deadlocked on memory"),
        "count" => plain(200, &shared.memory.lock().saved.calls.to_string()),
        "events" if asked.body != b"ok" => Answer(500, Vec::new(), asked.body.clone()),
        "events" | "ticks" | "memory" => Answer(204, Vec::new(), Vec::new()),
        _ => {
            let mut body = format!("{} {target}\n", asked.method).into_bytes();
            body.extend_from_slice(&asked.body);
            Answer(200, header("x-guest", "echo"), body)
        }
    })
}

fn hang() -> Next {
    thread::sleep(Duration::from_hours(1));
    Next::Close
}

fn die(why: &str) -> ! {
    println!("Kernel panic - not syncing: {why}");
    // What was printed is on its way to whoever reads the console.
    let _ = std::io::stdout().flush();
    std::process::exit(0);
}

fn occasion(asked: &Asked, shared: &Shared) -> Answer {
    let text = format!(
        "{} {}",
        asked.header("flagbase-occasion").unwrap_or_default(),
        asked.header("ce-id").unwrap_or_default()
    );
    shared.memory.lock().lines.push((
        "stdout".to_owned(),
        asked.header("flagbase-call").map(str::to_owned),
        text,
    ));
    if asked.header("ce-type") == Some("bad") {
        plain(500, "no stock")
    } else {
        Answer(204, Vec::new(), Vec::new())
    }
}

fn inspect(asked: &Asked) -> Answer {
    let headers: Vec<Value> = asked.headers.iter().map(|(name, value)| json!([name, value])).collect();
    document(&json!({"method": asked.method, "target": asked.target, "headers": headers}))
}

fn header(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

fn document(value: &Value) -> Answer {
    Answer(200, header("content-type", "application/json"), value.to_string().into_bytes())
}

fn plain(status: u16, text: &str) -> Answer {
    Answer(status, header("content-type", "text/plain"), text.as_bytes().to_vec())
}

fn fault(status: u16, word: &str, sentence: &str) -> Answer {
    let mut answer = plain(status, sentence);
    answer.1.push(("flagbase-fault".to_owned(), word.to_owned()));
    answer
}
