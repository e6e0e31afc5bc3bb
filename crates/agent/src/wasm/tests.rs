use super::*;

const PREFIX: &str = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;

fn status(text: &str, memory: usize) -> Result<i32, Error> {
    let text = format!("(module {PREFIX} {text})");
    let words = vec![b"name".to_vec(), b"one".to_vec()];
    execute(&wat::parse_str(text).unwrap(), memory, words, vec![b"A=1".to_vec()])
}

#[test]
fn a_command_ends_with_the_status_it_says() {
    let says = r#"(memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 7)))"#;
    assert_eq!(status(says, 1 << 20).unwrap(), 7);
    assert_eq!(status(r#"(func (export "_start"))"#, 1 << 20).unwrap(), 0);
}

#[test]
fn arguments_and_environment_are_counted_as_they_are() {
    let counts = r#"
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")
            (drop (call $args (i32.const 0) (i32.const 4)))
            (drop (call $environ (i32.const 16) (i32.const 32)))
            ;; 2 arguments in 9 bytes, and the environment begins with `A`
            (call $exit (i32.add (i32.add (i32.load (i32.const 0)) (i32.load (i32.const 4)))
                                 (i32.load8_u (i32.const 32)))))"#;
    assert_eq!(status(counts, 1 << 20).unwrap(), 2 + 9 + 65);
}

#[test]
fn what_there_is_not_says_so() {
    let opens = r#"
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (call $exit (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0))))"#;
    assert_eq!(status(opens, 1 << 20).unwrap(), 52);
}

#[test]
fn an_import_of_another_world_is_refused_by_name() {
    let imports = r#"(import "env" "magic" (func)) (func (export "_start"))"#;
    let error = status(imports, 1 << 20).unwrap_err();
    assert!(error.to_string().contains("`magic` of `env`"), "{error}");
}

#[test]
fn memory_beyond_the_limit_is_not_there() {
    let grows = r#"(memory (export "memory") 1)
        (func (export "_start") (call $exit (i32.lt_s (memory.grow (i32.const 100)) (i32.const 0))))"#;
    assert_eq!(status(grows, 1 << 20).unwrap(), 1);
    assert_eq!(status(grows, 16 << 20).unwrap(), 0);
}

#[test]
fn recursion_and_addresses_from_nowhere_end_the_module_and_not_the_interpreter() {
    let recurses = r#"(func $f (call $f)) (func (export "_start") (call $f))"#;
    assert!(status(recurses, 1 << 20).is_err());
    let writes = r#"
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (drop (call $random (i32.const -8) (i32.const 100))))"#;
    let error = status(writes, 1 << 20).unwrap_err();
    assert!(error.to_string().contains("outside of its memory"), "{error}");
}

#[test]
fn a_module_without_a_start_is_no_command() {
    let error = status(r#"(func (export "run"))"#, 1 << 20).unwrap_err();
    assert!(error.to_string().contains("_start"), "{error}");
}

#[test]
fn waiting_for_a_clock_ends() {
    let waits = r#"
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")
            (i64.store (i32.const 0) (i64.const 77))
            (i64.store (i32.const 24) (i64.const 1000))
            (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
            (call $exit (i32.add (i32.load (i32.const 64)) (i32.load (i32.const 128)))))"#;
    assert_eq!(status(waits, 1 << 20).unwrap(), 78);
}
