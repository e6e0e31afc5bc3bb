//! Lines for people and for scripts that wait for one of them.

use std::{
    error::Error,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Where lines go.
#[derive(Clone)]
pub(super) struct Log(Arc<Mutex<Target>>);

enum Target {
    Terminal,
    File(File),
}

impl Log {
    /// To standard error.
    pub(super) fn to_terminal() -> Self {
        Self(Arc::new(Mutex::new(Target::Terminal)))
    }

    /// To the end of a file.
    pub(super) fn to_file(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write the log `{}`: {error}", path.display()))
        })?;
        Ok(Self(Arc::new(Mutex::new(Target::File(file)))))
    }

    /// One line about what goes on.
    pub(super) fn info(&self, text: &str) {
        self.line("INF", text);
    }

    /// Why the program ends, with all causes.
    pub(super) fn fatal(&self, error: &(dyn Error + 'static)) {
        let causes =
            std::iter::successors(error.source(), |error: &&(dyn Error + 'static)| (*error).source());
        let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
        self.line("FTL", &text);
    }

    /// Text as it is, to who asked for it.
    pub(super) fn plain(&self, text: &str) {
        self.write(|out| writeln!(out, "{text}"));
    }

    fn line(&self, level: &str, text: &str) {
        let now = jiff::Timestamp::try_from(now()).map(|now| now.to_string()).unwrap_or_default();
        // In one piece, so that nobody reads half a line.
        let line = format!("[{}] {now} [{level}] {text}\n", std::process::id());
        self.write(|out| out.write_all(line.as_bytes()));
    }

    fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let mut target = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written is no reason to stop serving.
        let _ = match &mut *target {
            Target::Terminal => write(&mut io::stderr()),
            Target::File(file) => write(file),
        };
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program is on its own: the one place that asks for the time of day"
)]
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_with_their_level() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        Log::to_file(&path).unwrap().info("one");
        let error = io::Error::other(io::Error::other("inner"));
        Log::to_file(&path).unwrap().fatal(&error);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with(&format!("[{}] 20", std::process::id())), "{text}");
        assert!(lines[0].ends_with("Z [INF] one"), "{text}");
        assert!(lines[1].contains("[FTL] inner"), "{text}");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = Log::to_file(Path::new("/nowhere/at/all")).err().unwrap();
        assert!(error.to_string().contains("`/nowhere/at/all`"), "{error}");
    }
}
