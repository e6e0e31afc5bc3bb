//! Functions for tests, as WASI commands in WebAssembly text: the request in the environment, the answer on stdout.

use std::fmt::Write as _;

/// Imports, one page of memory, and a way to write what lies at 1024 to a descriptor.
fn module(text: &str, start: &str) -> Vec<u8> {
    let data = text.bytes().fold(String::new(), |mut data, byte| {
        write!(data, "\\{byte:02x}").unwrap();
        data
    });
    let source = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 4)
            (data (i32.const 1024) "{data}")
            (func $write (param $to i32) (param $at i32) (param $length i32)
              (i32.store (i32.const 0) (local.get $at))
              (i32.store (i32.const 4) (local.get $length))
              (drop (call $fd_write (local.get $to) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func (export "_start") {start}))"#
    );
    wat::parse_str(source).unwrap()
}

/// Answers with `status` and `body`.
pub(crate) fn says(status: u16, body: &str) -> Vec<u8> {
    let answer = format!("Status: {status}\r\nContent-Type: text/plain\r\n\r\n{body}");
    module(&answer, &format!("(call $write (i32.const 1) (i32.const 1024) (i32.const {}))", answer.len()))
}

/// Writes `line` to its log, and answers with 204.
pub(crate) fn logs(line: &str) -> Vec<u8> {
    let answer = "Status: 204\r\n\r\n";
    let text = format!("{answer}{line}\n");
    let start = format!(
        "(call $write (i32.const 2) (i32.const {}) (i32.const {}))
         (call $write (i32.const 1) (i32.const 1024) (i32.const {}))",
        1024 + answer.len(),
        line.len() + 1,
        answer.len()
    );
    module(&text, &start)
}

/// Answers with its environment: the request and the function's variables.
pub(crate) fn environment() -> Vec<u8> {
    let head = "Content-Type: text/plain\r\n\r\n";
    let start = format!(
        "(call $write (i32.const 1) (i32.const 1024) (i32.const {}))
         (drop (call $environ_sizes (i32.const 16) (i32.const 20)))
         (drop (call $environ_get (i32.const 8192) (i32.const 65536)))
         (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 20)))",
        head.len()
    );
    module(head, &start)
}

/// Answers with the body it was sent.
pub(crate) fn echoes() -> Vec<u8> {
    let head = "Content-Type: application/octet-stream\r\n\r\n";
    let start = format!(
        "(call $write (i32.const 1) (i32.const 1024) (i32.const {}))
         (loop $more
           (i32.store (i32.const 0) (i32.const 65536))
           (i32.store (i32.const 4) (i32.const 65536))
           (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
           (if (i32.load (i32.const 8)) (then
             (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 8)))
             (br $more))))",
        head.len()
    );
    module(head, &start)
}

/// Never ends.
pub(crate) fn loops() -> Vec<u8> {
    module("", "(loop $again (br $again))")
}

/// Breaks.
pub(crate) fn traps() -> Vec<u8> {
    module("", "unreachable")
}

/// Sleeps for a minute.
pub(crate) fn sleeps() -> Vec<u8> {
    // A subscription: user data, the clock's tag, the monotonic clock, the time-out in nanoseconds.
    let start = "(i64.store (i32.const 2048) (i64.const 1))
        (i32.store8 (i32.const 2056) (i32.const 0))
        (i32.store (i32.const 2064) (i32.const 1))
        (i64.store (i32.const 2072) (i64.const 60000000000))
        (drop (call $poll (i32.const 2048) (i32.const 3072) (i32.const 1) (i32.const 8)))";
    module("", start)
}

/// Takes all the memory it can get, and more.
pub(crate) fn hoards() -> Vec<u8> {
    module(
        "",
        "(loop $more (if (i32.eq (memory.grow (i32.const 256)) (i32.const -1)) (then unreachable)) (br $more))",
    )
}

/// Writes without an end.
pub(crate) fn floods() -> Vec<u8> {
    let head = "Content-Type: text/plain\r\n\r\n";
    let start = format!(
        "(call $write (i32.const 1) (i32.const 1024) (i32.const {}))
         (loop $more (call $write (i32.const 1) (i32.const 65536) (i32.const 65536)) (br $more))",
        head.len()
    );
    module(head, &start)
}
