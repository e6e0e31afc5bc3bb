//! Compiling, in a child process that can be killed.
//!
//! A small module can keep a compiler busy for minutes, so no module of a user is ever compiled in this process. The
//! child is this program once more, under a hidden command; it has no environment, bounded time, memory and files, and
//! a wall clock beside it, and it ends when this process does, however that ends. What takes too long is tried once more with a simpler way to assign registers.

mod child;
mod frames;

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bytes::Bytes;
use flagbase_core::functions::{PrepareError, Serves, Step};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    sync::Semaphore,
};

pub use child::child_main;
use frames::{Frame, Frames};

use super::engine::Room;

/// Children at once; others wait for them.
const AT_ONCE: usize = 2;
/// Machine code of one module, at most.
const LARGEST_CODE: u64 = 512 << 20;

/// How children are started, and what each may use.
#[derive(Debug, Clone)]
pub struct CompileConfig {
    /// The program that calls [`child_main`]; `None`: this one.
    pub program: Option<PathBuf>,
    /// What makes it do so. Three more arguments are added: seconds, bytes, and how wide the engine's room is.
    pub arguments: Vec<OsString>,
    /// Processor time of one child, and twice that by the wall clock.
    pub timeout: Duration,
    /// Memory of one child, in bytes.
    pub memory: u64,
}

/// What a child is asked to do; the code follows on its standard input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    /// What to make of the code.
    pub(crate) kind: Kind,
    /// The file's name, for what is said about it.
    pub(crate) name: String,
    /// Compile quickly: the code will be slower.
    pub(crate) quick: bool,
    /// The process that wants it; without it nobody does.
    pub(crate) parent: u32,
}

/// What to make of code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A component.
    Component,
    /// A core module.
    Module,
    /// A component of a source; where the module that runs JavaScript is, compiled.
    JavaScript(PathBuf),
}

/// What a child made.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    /// Machine code, with what the engine needs beside it.
    pub(crate) code: Vec<u8>,
    /// What a source exports for.
    pub(crate) serves: Option<Vec<Serves>>,
}

/// Starts children, a few at once.
pub(crate) struct Compiler {
    config: CompileConfig,
    room: Room,
    turns: Semaphore,
}

enum Trouble {
    /// It was stopped, or stopped itself, because it took too long.
    Slow(Clock),
    Failed(PrepareError),
}

/// What ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// Processor time, which the system counts.
    Processor,
    /// Time as everybody knows it, which this process counts.
    Wall,
}

impl From<PrepareError> for Trouble {
    fn from(error: PrepareError) -> Self {
        Self::Failed(error)
    }
}

impl Compiler {
    /// For an engine with this room.
    pub(crate) fn new(config: CompileConfig, room: Room) -> Self {
        Self { config, room, turns: Semaphore::new(AT_ONCE) }
    }

    /// Compiles `code`.
    pub(crate) async fn compile(
        &self,
        kind: Kind,
        (name, code): (&str, Bytes),
        tell: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Compiled, PrepareError> {
        let say = |doing: &str, percent| tell(Step { doing: doing.to_owned(), percent });
        if self.turns.available_permits() == 0 {
            say("waiting for other code to be compiled", None);
        }
        let _turn = self.turns.acquire().await.map_err(|error| PrepareError::Unavailable(error.into()))?;
        say("compiling", Some(10));
        let parent = std::process::id();
        let mut job = Job { kind, name: name.to_owned(), quick: false, parent };
        match self.child(&job, &code, tell).await {
            Ok(compiled) => return Ok(compiled),
            Err(Trouble::Failed(error)) => return Err(error),
            Err(Trouble::Slow(_)) => say("compiling once more, quicker and with slower code", Some(50)),
        }
        job.quick = true;
        self.child(&job, &code, tell).await.map_err(|trouble| match trouble {
            Trouble::Failed(error) => error,
            Trouble::Slow(clock) => PrepareError::TooMuch(self.too_slow(clock)),
        })
    }

    /// In words, and what can be done about it.
    fn too_slow(&self, clock: Clock) -> String {
        match clock {
            Clock::Processor => format!(
                "compiling takes longer than {} s of processor time, also when it is done simply; make the largest functions \
                 smaller",
                self.config.timeout.as_secs_f64()
            ),
            Clock::Wall => format!(
                "compiling takes longer than {} s of wall time, also when it is done simply; this machine has other things to \
                 do: try again when it is less busy, or make the largest functions smaller",
                self.wall_time().as_secs_f64()
            ),
        }
    }

    /// Twice the processor time: other children and the requests have their turns, too.
    fn wall_time(&self) -> Duration {
        self.config.timeout * 2
    }

    async fn child(
        &self,
        job: &Job,
        code: &Bytes,
        tell: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Compiled, Trouble> {
        let mut child = self.start()?;
        let work = converse(&mut child, job, code, tell);
        let Ok(said) = tokio::time::timeout(self.wall_time(), work).await else {
            let _ = child.kill().await;
            return Err(Trouble::Slow(Clock::Wall));
        };
        let status = child.wait().await.map_err(unavailable)?;
        match said? {
            Some(compiled) if status.success() => Ok(compiled),
            _ => Err(self.died(status)),
        }
    }

    fn start(&self) -> Result<Child, PrepareError> {
        let program = match &self.config.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(unavailable)?,
        };
        let seconds = self.config.timeout.as_secs().max(1);
        Command::new(program)
            .args(&self.config.arguments)
            .args([seconds.to_string(), self.config.memory.to_string(), self.room.as_str().to_owned()])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(unavailable)
    }

    fn died(&self, status: ExitStatus) -> Trouble {
        let (killed, too_long, aborted) = (9, 24, 6);
        match status.signal() {
            Some(signal) if signal == killed || signal == too_long => Trouble::Slow(Clock::Processor),
            Some(signal) if signal == aborted => Trouble::Failed(PrepareError::TooMuch(format!(
                "compiling needs more than {} MiB of memory; make the code smaller",
                self.config.memory >> 20
            ))),
            _ => {
                tracing::error!(%status, "the compiler broke");
                Trouble::Failed(PrepareError::Rejected(
                    "the compiler cannot deal with this code: it broke".to_owned(),
                ))
            }
        }
    }
}

/// Hands the job over and listens until the child has no more to say. `None`: it said nothing that ends a job.
async fn converse(
    child: &mut Child,
    job: &Job,
    code: &Bytes,
    tell: &(dyn Fn(Step) + Send + Sync),
) -> Result<Option<Compiled>, Trouble> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Trouble::Failed(unavailable(std::io::Error::other("no pipe to the compiler"))));
    };
    let line = frames::head(job).map_err(unavailable)?;
    let write = async move {
        // A child that has seen enough stops reading; what it says tells why.
        let _ = input.write_all(&line).await;
        let _ = input.write_all(code).await;
        let _ = input.shutdown().await;
    };
    let ((), heard) = tokio::join!(write, listen(output.take(LARGEST_CODE), tell));
    heard
}

async fn listen(
    mut output: impl tokio::io::AsyncRead + Unpin,
    tell: &(dyn Fn(Step) + Send + Sync),
) -> Result<Option<Compiled>, Trouble> {
    let mut frames = Frames::default();
    let mut compiled = Compiled::default();
    let mut part = vec![0; 64 << 10];
    loop {
        let count = output.read(&mut part).await.map_err(unavailable)?;
        frames.extend(part.get(..count).unwrap_or_default());
        while let Some(frame) = frames.next().map_err(unavailable)? {
            match frame {
                Frame::Doing(doing, percent) => tell(Step { doing, percent }),
                Frame::Serves(serves) => compiled.serves = Some(serves),
                Frame::Rejected(why) => return Err(PrepareError::Rejected(why).into()),
                Frame::TooMuch(why) => return Err(PrepareError::TooMuch(why).into()),
                Frame::Code(code) => {
                    compiled.code = code;
                    return Ok(Some(compiled));
                }
            }
        }
        if count == 0 {
            return Ok(None);
        }
    }
}

fn unavailable(error: impl Into<flagbase_core::catalog::BoxError>) -> PrepareError {
    PrepareError::Unavailable(error.into())
}
