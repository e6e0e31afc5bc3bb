//! Guests, as text.

use flagbase_core::functions::Artifact;
use flagbase_testkit::compute::Guest;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A component of our own interfaces: what it imports and exports, and its core module's fields beside [`PRELUDE`].
pub(crate) fn component(world: &str, fields: &str) -> Artifact {
    let mut resolve = Resolve::default();
    resolve.push_str("features.wit", include_str!("../../wit/features.wit")).unwrap();
    resolve.push_str("faas.wit", include_str!("../../wit/faas.wit")).unwrap();
    let text = format!("package test:guest; world guest {{ {world} }}");
    let package = resolve.push_str("guest.wit", &text).unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    let (imports, fields) = fields.split_once(";; fields").unwrap_or(("", fields));
    let mut module = wat::parse_str(format!("(module {imports} {PRELUDE} {fields})")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let component = ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap();
    Artifact::new("guest.wasm", component.into())
}

/// A guest that answers requests with what its function `$handle` says; the parameters are the flattened request.
pub(crate) fn handler(body: &str) -> Artifact {
    component("export flagbase:faas/handler@1.0.0;", &format!("{HANDLE} {body})"))
}

const HANDLE: &str = r#"
  (func (export "flagbase:faas/handler@1.0.0#handle")
    (param $method i32) (param $method_len i32) (param $target i32) (param $target_len i32)
    (param $headers i32) (param $headers_len i32) (param $body i32) (param $body_len i32) (result i32)
    (local $at i32) (local $size i32)"#;

/// Memory, an allocator that never gives back, and an answer: the head is at 64, one header at 32.
const PRELUDE: &str = r#"
  (memory (export "memory") 2)
  (data (i32.const 0) "x-guestecho")
  (data (i32.const 32) "\00\00\00\00\07\00\00\00\07\00\00\00\04\00\00\00")
  (global $next (mut i32) (i32.const 4096))
  (func $alloc (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $fits (i32.ne (i32.const -1) (memory.grow
        (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16))))))
      unreachable)
    (local.get $at))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (call $alloc (local.get 3)))
  (func $answer (param $status i32) (param $body i32) (param $len i32) (result i32)
    (i32.store16 (i32.const 64) (local.get $status))
    (i32.store (i32.const 68) (i32.const 32))
    (i32.store (i32.const 72) (i32.const 1))
    (i32.store (i32.const 76) (local.get $body))
    (i32.store (i32.const 80) (local.get $len))
    (i32.const 64))
  (func $copy (param $to i32) (param $from i32) (param $len i32) (result i32)
    (memory.copy (local.get $to) (local.get $from) (local.get $len))
    (i32.add (local.get $to) (local.get $len)))"#;

/// Method, blank, target, line feed, body.
const ECHO: &str = r"
    (local.set $size (i32.add (i32.const 2)
      (i32.add (local.get $method_len) (i32.add (local.get $target_len) (local.get $body_len)))))
    (local.set $at (call $alloc (local.get $size)))
    (local.set $body_len (local.get $body_len))
    (local.set $headers (call $copy (local.get $at) (local.get $method) (local.get $method_len)))
    (i32.store8 (local.get $headers) (i32.const 32))
    (local.set $headers
      (call $copy (i32.add (local.get $headers) (i32.const 1)) (local.get $target) (local.get $target_len)))
    (i32.store8 (local.get $headers) (i32.const 10))
    (drop (call $copy (i32.add (local.get $headers) (i32.const 1)) (local.get $body) (local.get $body_len)))
    (call $answer (i32.const 200) (local.get $at) (local.get $size))";

/// The three digits of the target are the status.
const STATUS: &str = r"
    (local.set $at (local.get $target))
    (loop $next
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $size (i32.add (i32.mul (local.get $size) (i32.const 10))
        (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
      (br_if $next (i32.lt_u (i32.sub (local.get $at) (local.get $target)) (i32.const 3))))
    (call $answer (local.get $size) (i32.const 0) (i32.const 0))";

/// One digit that rises in memory, and says so when memory was not empty at first.
const COUNT: &str = r"
    (i32.store (i32.const 200) (i32.add (i32.load (i32.const 200)) (i32.const 1)))
    (i32.store8 (i32.const 204) (i32.add (i32.const 48) (i32.load (i32.const 200))))
    (call $answer (i32.const 200) (i32.const 204) (i32.const 1))";

const FLOOD: &str = r"
    (local.set $size (i32.const 4194304))
    (local.set $at (call $alloc (local.get $size)))
    (memory.fill (local.get $at) (i32.const 120) (local.get $size))
    (call $answer (i32.const 200) (local.get $at) (local.get $size))";

const MEMORY: &str = r"
    (if (i32.eq (memory.grow (i32.const 8192)) (i32.const -1)) (then unreachable))
    (memory.fill (i32.const 131072) (i32.const 1) (i32.const 536870912))
    (call $answer (i32.const 200) (i32.const 0) (i32.const 0))";

/// The result is at 64: 0, or 1 with a text.
const EVENTS: &str = r#"
  (func (export "flagbase:faas/subscriber@1.0.0#receive")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (i32.store8 (i32.const 64) (i32.ne (i32.load16_u (local.get 10)) (i32.const 0x6b6f)))
    (i32.store (i32.const 68) (local.get 10))
    (i32.store (i32.const 72) (local.get 11))
    (i32.const 64))"#;

const TICKS: &str = r#"
  (func (export "flagbase:faas/timer@1.0.0#run") (param i32 i32 i32 i32) (result i32)
    (i32.store8 (i32.const 64) (i32.const 0))
    (i32.const 64))"#;

const BUCKETS: &str = r#"
  (import "flagbase:faas/buckets@1.0.0" "get" (func $get (param i32 i32 i32 i32 i32)))
  ;; fields"#;

/// The guest of the contract that behaves so.
pub(crate) fn contract(guest: Guest) -> Artifact {
    let serves = "export flagbase:faas/handler@1.0.0;";
    match guest {
        Guest::Echo => handler(ECHO),
        Guest::Status => handler(STATUS),
        Guest::Loop => handler("(loop $ever (br $ever)) unreachable"),
        Guest::Trap => handler("unreachable"),
        Guest::Flood => handler(FLOOD),
        Guest::Memory => handler(MEMORY),
        Guest::Count => handler(COUNT),
        Guest::Events => component("export flagbase:faas/subscriber@1.0.0;", EVENTS),
        Guest::Ticks => component("export flagbase:faas/timer@1.0.0;", TICKS),
        Guest::Ungranted => component(
            &format!("import flagbase:faas/buckets@1.0.0; {serves}"),
            &format!(
                "{BUCKETS} {HANDLE} (call $get (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 128)) \
                 (call $answer (i32.const 200) (i32.const 0) (i32.const 0)))"
            ),
        ),
        Guest::Garbage => Artifact::new("guest.wasm", bytes::Bytes::from_static(b"\0asm\x0d\0\x01\0garbage")),
    }
}
