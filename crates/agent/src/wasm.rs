//! Runs a WASI preview 1 command: on an interpreter, which is small and starts at once, in a process of its own.
//!
//! A machine protects already what a sandbox would, so this is about portability. Modules that compute much belong
//! into the driver that compiles them. There are standard streams, arguments, environment, clocks and random numbers;
//! no files, no sockets.

mod calls;
mod memory;

use std::io::{self, Write as _};
use std::process::ExitCode;

use wasmi::{CompilationMode, Config, Engine, Error, Linker, Module, Store, StoreLimits, StoreLimitsBuilder};

/// The name under which WASI preview 1 is imported.
const WASI: &str = "wasi_snapshot_preview1";
/// Depth of calls.
const DEEPEST: usize = 10_000;

/// What a module sees of the world.
#[derive(Debug)]
struct World {
    arguments: Vec<Vec<u8>>,
    variables: Vec<Vec<u8>>,
    limits: StoreLimits,
}

/// The program behind `flagbase-agent wasm`: runs the module in a file with so many bytes of memory.
pub fn main(memory: &str, module: &str, arguments: &[&str]) -> ExitCode {
    match run(memory, module, arguments) {
        Ok(status) => u8::try_from(status & 0xff).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            // Standard error is the function's log.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(134)
        }
    }
}

fn run(memory: &str, path: &str, arguments: &[&str]) -> Result<i32, Error> {
    let bytes = std::fs::read(path).map_err(|error| Error::new(format!("`{path}`: {error}")))?;
    let memory = memory.parse().map_err(|_| Error::new(format!("`{memory}` is no number of bytes")))?;
    let mut words = vec![path.as_bytes().to_vec()];
    words.extend(arguments.iter().map(|argument| argument.as_bytes().to_vec()));
    execute(&bytes, memory, words, variables())
}

/// The environment, as `NAME=value`.
fn variables() -> Vec<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    let pair = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        [name.as_bytes(), b"=", value.as_bytes()].concat()
    };
    std::env::vars_os().map(pair).collect()
}

/// Runs a module to its end; its exit status.
fn execute(
    bytes: &[u8],
    memory: usize,
    arguments: Vec<Vec<u8>>,
    variables: Vec<Vec<u8>>,
) -> Result<i32, Error> {
    let mut config = Config::default();
    config.compilation_mode(CompilationMode::LazyTranslation).set_max_recursion_depth(DEEPEST);
    let engine = Engine::new(&config);
    let module = Module::new(&engine, bytes)?;
    let limits = StoreLimitsBuilder::new().memory_size(memory).table_elements(1 << 20).build();
    let mut store = Store::new(&engine, World { arguments, variables, limits });
    store.limiter(|world| &mut world.limits);
    let mut linker = Linker::new(&engine);
    calls::define(&mut linker)?;
    calls::refuse_the_rest(&mut linker, &module)?;
    let instance = linker.instantiate_and_start(&mut store, &module)?;
    let start = instance
        .get_typed_func::<(), ()>(&store, "_start")
        .map_err(|_| Error::new("the module is no command: it does not export `_start`".to_owned()))?;
    match start.call(&mut store, ()) {
        Ok(()) => Ok(0),
        Err(error) => error.i32_exit_status().ok_or(error),
    }
}

#[cfg(test)]
mod tests;
