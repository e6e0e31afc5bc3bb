use std::fmt::Write as _;

use bytes::Bytes;
use proptest::prelude::*;
use wasm_encoder::{CodeSection, Function, FunctionSection, Instruction, Module, TypeSection};

use super::*;

fn look(name: &str, bytes: impl AsRef<[u8]>) -> Result<Recognised, String> {
    let artifact = Artifact::new(name, Bytes::copy_from_slice(bytes.as_ref()));
    recognise(&artifact).map_err(|error| error.to_string())
}

fn wat(text: &str) -> Result<Recognised, String> {
    look("code.wasm", wat::parse_str(text).unwrap())
}

#[test]
fn a_component_is_told_by_what_it_exports() {
    let own = wat(
        r#"(component (import "flagbase:faas/log@1.0.0" (instance)) (import "wasi:cli/stdout@0.2.3" (instance))
            (instance $i) (export "flagbase:faas/handler@1.0.0" (instance $i))
            (instance $j) (export "flagbase:faas/timer@1.0.0" (instance $j)))"#,
    )
    .unwrap();
    assert_eq!(own.shape, Shape::Component);
    assert_eq!(own.imports, ["flagbase:faas/log", "wasi:cli/stdout"]);
    assert_eq!(own.serves, [Serves::Requests, Serves::Schedules]);

    let http = wat(r#"(component (instance $i) (export "wasi:http/incoming-handler@0.2.10" (instance $i)))"#);
    assert_eq!(http.unwrap().shape, Shape::Http);
}

#[test]
fn a_command_is_a_module_that_starts() {
    let command = wat(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (func (export "_start")))"#,
    );
    assert_eq!(command.unwrap().shape, Shape::Command);
    assert!(wat("(module)").unwrap_err().contains("`_start`"));
    let foreign = wat(r#"(module (import "env" "f" (func)) (func (export "_start")))"#).unwrap_err();
    assert!(foreign.contains("`env`"), "{foreign}");
}

#[test]
fn a_source_is_told_by_its_name() {
    for name in ["hello.js", "hello.ts", "hello.mjs"] {
        assert_eq!(look(name, "export default {}").unwrap().shape, Shape::JavaScript, "{name}");
    }
    assert!(look("hello.txt", "export default {}").is_err());
    assert!(look("hello.js", [0xff, 0xfe]).is_err());
}

#[test]
fn what_cannot_run_is_refused_with_a_sentence_that_says_what_to_do() {
    assert!(look("a", "").unwrap_err().contains("empty"));
    assert!(look("a", b"\x7fELF\x02").unwrap_err().contains("firecracker"));
    assert!(wat("(component)").unwrap_err().contains("flagbase:faas/handler"));
    let broken = wat::parse_str("(module (func (export \"_start\")))").unwrap();
    assert!(look("a", &broken[..broken.len() - 2]).unwrap_err().contains("no valid WebAssembly"));
}

#[test]
fn an_import_that_is_not_granted_is_named_with_its_grant() {
    let nothing = Grants::default();
    for (import, grant) in [
        ("flagbase:features/evaluate", "flags"),
        ("flagbase:faas/keyvalue", "keyvalue"),
        ("wasi:keyvalue/store", "keyvalue"),
        ("flagbase:faas/buckets", "buckets"),
        ("wasi:blobstore/container", "buckets"),
        ("flagbase:faas/bus", "publish"),
        ("wasi:messaging/producer", "publish"),
        ("flagbase:faas/fetch", "outbound"),
        ("wasi:http/outgoing-handler", "outbound"),
        ("flagbase:faas/secrets", "secrets"),
    ] {
        let why = check(&[import.to_owned()], &nothing).unwrap_err().to_string();
        assert!(why.contains(&format!("`{import}`")) && why.contains(&format!("\"{grant}\"")), "{why}");
    }
    let free = ["flagbase:faas/log", "flagbase:faas/context", "flagbase:faas/config", "wasi:cli/stdout"];
    assert!(check(&free.map(str::to_owned), &nothing).is_ok());
}

#[test]
fn what_is_granted_may_be_imported() {
    let grants = Grants {
        flags: true,
        keyvalue: vec!["default".into()],
        buckets: vec!["*".into()],
        publish: vec!["orders.>".into()],
        outbound: vec!["https://api.example.com".into()],
        secrets: true,
    };
    let all = [
        "flagbase:features/evaluate",
        "flagbase:faas/keyvalue",
        "flagbase:faas/buckets",
        "flagbase:faas/bus",
    ];
    assert!(check(&all.map(str::to_owned), &grants).is_ok());
    assert!(check(&["flagbase:faas/fetch".into(), "flagbase:faas/secrets".into()], &grants).is_ok());
}

#[test]
fn code_that_is_too_large_to_compile_is_refused_before_it_is_compiled() {
    let many_locals = format!("(module (func (export \"_start\") (local{})))", " i32".repeat(10_001));
    assert!(wat(&many_locals).unwrap_err().contains("variables"));

    let mut deep = String::new();
    for _ in 0..10 {
        deep.push_str("(component ");
    }
    deep.push_str(&")".repeat(10));
    assert!(wat(&deep).unwrap_err().contains("levels"));

    let mut wide = String::from("(component ");
    for _ in 0..70 {
        wide.push_str("(core module)");
    }
    wide.push(')');
    assert!(wat(&wide).unwrap_err().contains("modules"));

    let mut exports = String::from("(module (func $f) ");
    for at in 0..100_001 {
        let _ = write!(exports, "(export \"{at}\" (func $f))");
    }
    exports.push(')');
    assert!(wat(&exports).unwrap_err().contains("exports"));
}

/// A module whose functions have these bodies, as bytes: the text of such a module would be as large as many books.
fn with_bodies(count: u32, body: &Function) -> Vec<u8> {
    let (mut types, mut functions) = (TypeSection::new(), FunctionSection::new());
    types.ty().function([], []);
    let mut code = CodeSection::new();
    for _ in 0..count {
        functions.function(0);
        code.function(body);
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    module.finish()
}

#[test]
fn functions_that_are_too_many_or_too_long_are_refused_before_they_are_compiled() {
    let mut empty = Function::new([]);
    empty.instruction(&Instruction::End);
    let many = look("a.wasm", with_bodies(100_001, &empty)).unwrap_err();
    assert!(many.contains("100000 functions"), "{many}");

    let mut long = Function::new([]);
    // `nop`, two million times.
    long.raw(std::iter::repeat_n(0x01, 2 << 20)).instruction(&Instruction::End);
    let long = look("a.wasm", with_bodies(1, &long)).unwrap_err();
    assert!(long.contains("bytes in one function"), "{long}");
}

#[test]
fn memory_of_all_modules_counts_together() {
    let two = r#"(component (core module (memory 3)) (core module (memory 4))
        (instance $i) (export "flagbase:faas/handler@1.0.0" (instance $i)))"#;
    let recognised = wat(two).unwrap();
    assert_eq!(recognised.memory, 7 << 16);
    let fitting = Limits { memory: 7 << 16, ..Limits::default() };
    assert!(fits(recognised.memory, &fitting).is_ok());
    let small = Limits { memory: (7 << 16) - 1, ..Limits::default() };
    assert!(fits(recognised.memory, &small).unwrap_err().to_string().contains("`memory`"));
}

#[test]
fn messages_of_the_draft_are_refused_with_the_interface_that_takes_events() {
    let text =
        r#"(component (instance $i) (export "wasi:messaging/incoming-handler@0.2.0-draft" (instance $i)))"#;
    let why = wat(text).unwrap_err();
    assert!(why.contains("flagbase:faas/subscriber@1.0.0") && why.contains("sending only"), "{why}");
}

proptest! {
    #[test]
    fn whatever_is_uploaded_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..3) {
        let head: &[u8] = match kind { 0 => b"\0asm\x01\0\0\0", 1 => b"\0asm\x0d\0\x01\0", _ => b"" };
        let _ = look("a.wasm", [head, &bytes].concat());
    }
}
