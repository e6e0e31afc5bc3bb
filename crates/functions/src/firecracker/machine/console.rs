//! What a microVM writes on its console, of which the end is kept.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How much is kept, in bytes.
const CONSOLE: usize = 16 << 10;

/// Either of the streams of a process.
pub(super) fn boxed(stream: impl AsyncRead + Send + Unpin + 'static) -> Box<dyn AsyncRead + Send + Unpin> {
    Box::new(stream)
}

/// The end of what a microVM writes on its console.
#[derive(Debug, Clone, Default)]
pub(super) struct Console(Arc<Mutex<Vec<u8>>>);

impl Console {
    /// Reads `stream` to its end.
    pub(super) async fn follow(self, mut stream: Box<dyn AsyncRead + Send + Unpin>) {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut part).await {
            self.write(part.get(..length).unwrap_or_default());
        }
    }

    fn write(&self, part: &[u8]) {
        let mut kept = self.0.lock();
        kept.extend_from_slice(part);
        let surplus = kept.len().saturating_sub(CONSOLE);
        kept.drain(..surplus);
    }

    /// What is kept, without what would move a cursor.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0.lock()).into_owned();
        text.chars().filter(|sign| !sign.is_control() || *sign == '\n').collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_keeps_its_end_without_what_moves_cursors() {
        let console = Console::default();
        console.write(&vec![b'x'; CONSOLE]);
        console.write(b"\x1b[31mKernel panic\n\0");
        let text = console.text();
        assert!(text.ends_with("[31mKernel panic\n"), "{}", &text[text.len() - 40..]);
        assert!(text.len() <= CONSOLE);
    }
}
