//! Inside the child: bounded before it reads a byte.

mod parent;
mod watchdog;

use std::{
    io::{self, BufRead as _, Read as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use flagbase_core::functions::PrepareError;
use rustix::process::{Resource, Rlimit};
use wasmtime::{Engine, Module};

use super::{Job, Kind, frames::Frame};
use crate::wasm::{
    engine::{Room, config},
    javascript,
};

/// Address space beyond what is in use: the engine reserves much more than it touches.
const ADDRESS_SPACE: u64 = 32 << 30;
/// Standard streams, and the compiled module that a source is loaded into.
const FILES: u64 = 16;
/// Of what a source writes while it is loaded.
const LINES: usize = 20;
/// Processor time for what a source does while it is loaded: it runs once and should only get ready. Less where a child has
/// less than twice as much.
const LOADING: Duration = Duration::from_secs(10);
/// How much a compiler gives way to others.
const NICE: i32 = 10;

/// What the program does that [`super::CompileConfig`] names: compiles what comes on its standard input. The last three
/// of `arguments` are seconds, bytes, and how wide the engine's room is.
pub fn child_main(arguments: &[String]) -> ExitCode {
    let done = bounded(arguments).and_then(|(room, loading)| work(room, loading, &mut io::stdin().lock()));
    let (frame, code) = match done {
        Ok(code) => (Frame::Code(code), ExitCode::SUCCESS),
        Err(PrepareError::Rejected(why)) => (Frame::Rejected(why), ExitCode::SUCCESS),
        Err(PrepareError::TooMuch(why)) => (Frame::TooMuch(why), ExitCode::SUCCESS),
        Err(PrepareError::Unavailable(_)) => return ExitCode::FAILURE,
    };
    if say(&frame).is_ok() { code } else { ExitCode::FAILURE }
}

/// Takes on its limits; returns the room, and the processor time for loading a source.
fn bounded(arguments: &[String]) -> Result<(Room, Duration), PrepareError> {
    let [.., seconds, bytes, room] = arguments else {
        return Err(unavailable("three arguments are needed"));
    };
    let seconds: u64 = seconds.parse().map_err(unavailable)?;
    let bytes: u64 = bytes.parse().map_err(unavailable)?;
    let room = Room::parse(room).ok_or_else(|| unavailable("no such room"))?;
    let (space, data) = in_use();
    limit(Resource::As, space + ADDRESS_SPACE)?;
    limit(Resource::Data, data + bytes)?;
    limit(Resource::Nofile, FILES)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Cpu, seconds)?;
    let _ = rustix::process::setpriority_process(None, NICE);
    Ok((room, LOADING.min(Duration::from_secs(seconds) / 2)))
}

fn limit(resource: Resource, most: u64) -> Result<(), PrepareError> {
    let wanted = Rlimit { current: Some(most), maximum: Some(most) };
    rustix::process::setrlimit(resource, wanted).map_err(unavailable)
}

/// Address space and data that this process has already, in bytes: allocators reserve before anybody asks.
fn in_use() -> (u64, u64) {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Vec<u64> = pages.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let size = rustix::param::page_size() as u64;
    let of = |at: usize| pages.get(at).copied().unwrap_or(0) * size;
    (of(0), of(5))
}

fn work(room: Room, loading: Duration, input: &mut dyn io::BufRead) -> Result<Vec<u8>, PrepareError> {
    let mut head = String::new();
    input.take(64 << 10).read_line(&mut head).map_err(unavailable)?;
    let job: Job = serde_json::from_str(&head).map_err(unavailable)?;
    parent::live_no_longer_than(job.parent).map_err(unavailable)?;
    let mut code = Vec::new();
    input.read_to_end(&mut code).map_err(unavailable)?;
    let engine = Engine::new(&config(room, job.quick)).map_err(unavailable)?;
    let compiled = match &job.kind {
        Kind::Component => engine.precompile_component(&code),
        Kind::Module => engine.precompile_module(&code),
        Kind::JavaScript(runtime) => {
            doing("loading the source", 30)?;
            let runtime = runtime_of(&engine, runtime)?;
            watchdog::start(&engine, loading).map_err(unavailable)?;
            let built = javascript::build(&engine, &runtime, (&job.name, &code), loading)?;
            say(&Frame::Serves(built.serves)).map_err(unavailable)?;
            for line in built.lines.iter().take(LINES) {
                doing(&format!("it says: {line}"), 50)?;
            }
            doing("compiling", 60)?;
            engine.precompile_component(&built.component)
        }
    };
    let compiled = compiled.map_err(|error| PrepareError::Rejected(sentence(&error)))?;
    doing("compiled", 90)?;
    Ok(compiled)
}

#[expect(
    unsafe_code,
    reason = "machine code that the parent wrote and verified before it started this process"
)]
fn runtime_of(engine: &Engine, path: &std::path::Path) -> Result<Module, PrepareError> {
    unsafe { Module::deserialize_file(engine, path) }.map_err(|error| unavailable(error.to_string()))
}

fn sentence(error: &wasmtime::Error) -> String {
    format!("the code cannot be compiled: {}", error.root_cause())
}

fn doing(what: &str, percent: u8) -> Result<(), PrepareError> {
    say(&Frame::Doing(what.to_owned(), Some(percent))).map_err(unavailable)
}

fn say(frame: &Frame) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(&frame.encode()?)?;
    output.flush()
}

fn unavailable(error: impl Into<flagbase_core::catalog::BoxError>) -> PrepareError {
    PrepareError::Unavailable(error.into())
}
