//! What every agent does, on this machine and in one of its own.

use std::thread;

use flagbase_agent::protocol::{Health, Page, State};

use crate::client::{Answer, Way};

/// What an agent is told in these tests.
pub(crate) fn init(more: &str) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    format!(
        r#"{{"environment":"test","function":"echo","version":2,"instance":"vm-1","seed":"{}","now_ms":{now},
            "variables":{{"GREETING":"hello"}},"secrets":{{"KEY":"s3cret"}}{more}}}"#,
        "0123456789abcdef".repeat(4)
    )
}

pub(crate) fn health(way: &Way) -> Health {
    way.get("/health").json()
}

/// Takes an agent from its boot to a function that answers.
pub(crate) fn begins(way: &Way, more: &str) {
    let health = health(way);
    assert_eq!((health.state, health.protocol), (State::Booted, 1));
    assert_eq!(way.get("/call/echo").fault(), Some("not_ready"));
    let refused = way.post("/init", r#"{"seed":"00","now_ms":1}"#);
    assert_eq!(refused.status, 400, "{}", refused.text());
    let begun = way.post("/init", &init(more));
    assert_eq!(begun.status, 200, "{}", begun.text());
    assert_eq!(begun.json::<Health>().state, State::Ready);
    let twice = way.post("/init", &init(more));
    assert_eq!((twice.status, twice.fault()), (409, None), "{}", twice.text());
}

/// Requests and answers pass as they are.
pub(crate) fn calls(way: &Way) {
    assert_eq!(way.post("/call/echo", "hello").text(), "hello");
    assert_eq!(way.get("/call/variable?GREETING").text(), "hello");
    assert_eq!(way.get("/call/variable?KEY").text(), "s3cret");
    assert_eq!(way.get("/call/variable?FLAGBASE_INSTANCE").text(), "vm-1");
    let seen = way.ask("PURGE", "/call/a%20b?c=d", b"").text();
    assert!(seen.starts_with("PURGE /a"), "{seen}");
    assert!(seen.contains("?c=d") && seen.contains(r#""host": "x""#), "{seen}");
    let gone = way.get("/call/gone");
    assert_eq!((gone.status, gone.header("x-why")), (410, Some("gone")));
    assert_eq!(way.get("/call/lie").fault(), None);
    assert_eq!(way.ask("HEAD", "/call/echo", b"").status, 200);
    assert_eq!(way.get("/call").status, 200);
    assert_eq!(way.get("/caller").status, 404);
}

/// One connection carries one call after the other.
pub(crate) fn keeps_connections(way: &Way) {
    let mut line = way.dial().unwrap();
    for number in 0..20 {
        let body = format!("call {number}");
        assert_eq!(line.ask("POST", "/call/echo", body.as_bytes()).unwrap().text(), body);
        assert_eq!(line.ask("GET", "/health", b"").unwrap().status, 200);
    }
}

/// Large bodies pass both ways, of known length and in chunks; what is too large is refused.
pub(crate) fn large_bodies(way: &Way) {
    let large = vec![b'y'; 4 << 20];
    assert!(way.ask("POST", "/call/echo", &large).body == large);
    assert_eq!(way.get("/call/bytes?5000000").body.len(), 5_000_000);
    let mut line = way.dial().unwrap();
    let chunk = [b"10000\r\n", &vec![b'z'; 65536][..], b"\r\n"].concat();
    let body = [chunk.repeat(20), b"0\r\n\r\n".to_vec()].concat();
    let head = b"POST /call/count HTTP/1.1\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n";
    line.send(head, &body).unwrap();
    assert_eq!(line.answer("POST").unwrap().text(), (20 * 65536).to_string());
    let ignored = way.ask("POST", "/call/ignore", &large);
    assert_eq!(ignored.text(), "done");
}

/// Limits: of the request, of the answer, of time.
pub(crate) fn limits(way: &Way) {
    let mut line = way.dial().unwrap();
    line.send(b"POST /call/echo HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n", b"").unwrap();
    assert_eq!(line.answer("POST").unwrap().fault(), Some("too_large"));
    let mut line = way.dial().unwrap();
    line.send(b"POST /call/count HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n9999999\r\n", b"").unwrap();
    assert_eq!(line.answer("POST").unwrap().fault(), Some("too_large"));
    let mut line = way.dial().unwrap();
    let cut = line.ask("GET", "/call/bytes?99999999", b"");
    assert!(cut.is_err(), "an answer without end must not look whole");
    let late = way.get("/call/sleep?60000");
    assert_eq!((late.status, late.fault()), (504, Some("timeout")), "{}", late.text());
}

/// Many calls at once.
pub(crate) fn concurrency(way: &Way, callers: usize) {
    let answers: Vec<Answer> = thread::scope(|scope| {
        let asks: Vec<_> = (0..callers)
            .map(|number| scope.spawn(move || way.post("/call/echo", &format!("caller {number}"))))
            .collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.text(), format!("caller {number}"));
    }
}

/// What the function writes can be read, once and in order, and waited for.
pub(crate) fn logs(way: &Way) {
    let before: Page = way.get("/logs?after=0&limit=1000").json();
    let waiting = thread::scope(|scope| {
        let target = format!("/logs?after={}&wait_ms=20000", before.next);
        let waiting = scope.spawn(move || way.get(&target).json::<Page>());
        way.get("/call/print?first");
        waiting.join().unwrap()
    });
    assert!(waiting.lines.iter().any(|line| line.text == "first"), "{waiting:?}");
    way.get("/call/print?second");
    let mut after = waiting.next;
    let found = (0..100).any(|_| {
        let page: Page = way.get(&format!("/logs?after={after}&wait_ms=1000")).json();
        after = page.next;
        assert!(!page.lines.iter().any(|line| line.text == "first"), "{page:?}");
        page.lines.iter().any(|line| line.text == "second")
    });
    assert!(found);
}

/// A function that ends is told as such, and started again.
pub(crate) fn crash(way: &Way) {
    let crashed = way.get("/call/exit?3");
    assert_eq!((crashed.status, crashed.fault()), (502, Some("exited")), "{}", crashed.text());
    assert!(crashed.text().contains("status 3"), "{}", crashed.text());
    let function = health(way).function.unwrap();
    assert!(function.last_exit.unwrap().contains("status 3"));
    let again = (0..100).any(|_| {
        thread::sleep(std::time::Duration::from_millis(50));
        way.post("/call/echo", "again").text() == "again"
    });
    assert!(again, "it was not started again");
}

/// Draining waits for what runs, and refuses what comes.
pub(crate) fn drains(way: &Way) {
    thread::scope(|scope| {
        let slow = scope.spawn(|| way.get("/call/sleep?500"));
        while health(way).calls.running == 0 {
            thread::sleep(std::time::Duration::from_millis(5));
        }
        let drained: Health = way.post("/drain", r#"{"within_ms":20000}"#).json();
        assert_eq!((drained.state, drained.calls.running), (State::Draining, 0));
        assert_eq!(slow.join().unwrap().text(), "awake");
    });
    let refused = way.get("/call/echo");
    assert_eq!((refused.status, refused.fault()), (503, Some("draining")));
}
