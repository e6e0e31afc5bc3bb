//! What a guest writes becomes lines of the function's log, under the call they belong to.
//!
//! A guest may say anything: how much is kept of one call is limited here, whatever the agent does.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use flagbase_core::functions::{Level, Stream, Visit};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{
    agent::{Agent, Line},
    home::Home,
};

/// Calls whose lines are still told apart.
const REMEMBERED: usize = 64;
/// How long a question for lines waits for one.
const WAIT: Duration = Duration::from_secs(20);
/// Between two questions that were not answered.
const PAUSE: Duration = Duration::from_millis(200);

/// Whose lines are whose, for one microVM.
pub(super) struct Notes {
    home: Arc<dyn Home>,
    /// For lines that belong to no call.
    own: Mutex<Budget>,
    calls: Mutex<VecDeque<Budget>>,
    /// Asks for the last lines.
    pub(super) finish: CancellationToken,
    /// Those were read.
    pub(super) finished: CancellationToken,
}

/// A call and how much it may still write.
struct Budget {
    visit: Visit,
    left: u64,
}

#[derive(Deserialize)]
struct Structured {
    level: Word,
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Trace,
    Debug,
    Info,
    #[serde(alias = "warning")]
    Warn,
    Error,
}

impl Notes {
    /// For the microVM `id`, which starts for `visit`.
    pub(super) fn new(home: Arc<dyn Home>, visit: &Visit, id: &str) -> Self {
        let own = Visit { id: id.into(), trace: None, ..visit.clone() };
        Self {
            home,
            own: Mutex::new(Budget::of(own)),
            calls: Mutex::default(),
            finish: CancellationToken::new(),
            finished: CancellationToken::new(),
        }
    }

    /// Lines that carry its id belong to `visit` from now on.
    pub(super) fn expect(&self, visit: &Visit) {
        let mut calls = self.calls.lock();
        if calls.len() >= REMEMBERED {
            calls.pop_front();
        }
        calls.push_back(Budget::of(visit.clone()));
    }

    /// A line of ours about the microVM.
    pub(super) fn tell(&self, level: Level, message: &str) {
        self.home.log(&self.own.lock().visit, (level, Stream::Host), message);
    }

    /// Reads lines until the microVM ends or [`Notes::finish`] is asked for.
    pub(super) async fn follow(self: Arc<Self>, agent: Agent, exited: CancellationToken) {
        let mut after = 0;
        while !exited.is_cancelled() {
            let last = self.finish.is_cancelled();
            let wait = if last { Duration::ZERO } else { WAIT };
            let asked = tokio::select! {
                asked = agent.lines(after, wait) => asked,
                () = self.finish.cancelled(), if !last => continue,
                () = exited.cancelled() => break,
            };
            match asked {
                Ok(lines) => {
                    if lines.lost > 0 {
                        self.tell(Level::Warn, &format!("{} lines were lost", lines.lost));
                    }
                    lines.lines.iter().for_each(|line| self.write(line));
                    let more = lines.next > after && !lines.lines.is_empty();
                    after = lines.next;
                    if last && !more {
                        break;
                    }
                }
                Err(_) if last => break,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        self.finished.cancel();
    }

    fn write(&self, line: &Line) {
        let stream = match line.stream.as_str() {
            "stdout" => Stream::Stdout,
            "stderr" => Stream::Stderr,
            _ => Stream::Host,
        };
        let mut calls = self.calls.lock();
        let call = line.call.as_deref().and_then(|id| calls.iter_mut().find(|call| *call.visit.id == *id));
        match call {
            Some(call) => call.write(self.home.as_ref(), stream, &line.text),
            None => self.own.lock().write(self.home.as_ref(), stream, &line.text),
        }
    }
}

impl Budget {
    fn of(visit: Visit) -> Self {
        Self { left: visit.deployed.settings.limits.log, visit }
    }

    fn write(&mut self, home: &dyn Home, stream: Stream, text: &str) {
        let size = text.len() as u64;
        if self.left == 0 {
            return;
        }
        if size > self.left {
            self.left = 0;
            home.log(
                &self.visit,
                (Level::Warn, Stream::Host),
                "the log of this call is full; what follows is not kept",
            );
            return;
        }
        self.left -= size;
        let (level, message) = read(stream, text);
        home.log(&self.visit, (level, stream), &message);
    }
}

/// Level and message: those of a line that is a JSON object with both, else the line, and a level by its stream.
fn read(stream: Stream, text: &str) -> (Level, String) {
    if text.starts_with('{')
        && let Ok(structured) = serde_json::from_str::<Structured>(text)
    {
        let level = match structured.level {
            Word::Trace => Level::Trace,
            Word::Debug => Level::Debug,
            Word::Info => Level::Info,
            Word::Warn => Level::Warn,
            Word::Error => Level::Error,
        };
        return (level, structured.message);
    }
    let level = if stream == Stream::Stderr { Level::Warn } else { Level::Info };
    (level, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_says_its_level_has_it() {
        let (level, message) = read(Stream::Stdout, r#"{"level":"warning","message":"low disk","free":3}"#);
        assert_eq!((level, message.as_str()), (Level::Warn, "low disk"));
        let (level, message) = read(Stream::Stderr, r#"{"level":7}"#);
        assert_eq!((level, message.as_str()), (Level::Warn, r#"{"level":7}"#));
        assert_eq!(read(Stream::Stdout, "hello").0, Level::Info);
    }
}
