//! `fn dev`: what a person sees who changes files while it runs.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::PROGRAM;

/// How long a line, or another answer, is waited for: debug builds on busy machines take their time.
const PATIENCE: Duration = Duration::from_mins(2);

/// The command, ended when it is dropped.
struct Developing {
    child: Child,
    said: Receiver<String>,
    address: String,
}

impl Drop for Developing {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The lines of a stream, read beside everything else.
fn lines(stream: impl Read + Send + 'static, to: std::sync::mpsc::Sender<String>) {
    let read =
        move || BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| to.send(line));
    drop(std::thread::Builder::new().name("lines".to_owned()).spawn(read).unwrap());
}

impl Developing {
    fn start(directory: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command.current_dir(directory).args(["fn", "dev", "--port", "0", "--flags", "flags.yaml"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (to, said) = channel();
        lines(child.stdout.take().unwrap(), to.clone());
        lines(child.stderr.take().unwrap(), to);
        let mut this = Self { child, said, address: String::new() };
        let line = this.until("answers at");
        line.rsplit(' ').next().unwrap().clone_into(&mut this.address);
        this
    }

    /// The next line that contains `words`.
    fn until(&self, words: &str) -> String {
        loop {
            let line = self.said.recv_timeout(PATIENCE).unwrap();
            if line.contains(words) {
                return line;
            }
        }
    }

    async fn ask(&self) -> String {
        reqwest::get(&self.address).await.unwrap().text().await.unwrap()
    }

    /// Asks until the answer is `expected`.
    async fn answers(&self, expected: &str) {
        let mut last = String::new();
        for _ in 0..PATIENCE.as_millis() / 100 {
            last = self.ask().await;
            if last == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(last, expected);
    }
}

fn source(answer: &str) -> String {
    format!(
        "import {{ flags }} from 'flagbase';
        export default () => {{
            console.log('asked');
            return new Response(flags.text('mood', 'calm') + ' {answer}');
        }};"
    )
}

#[tokio::test]
async fn what_is_saved_is_what_answers() {
    let place = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| std::fs::write(place.path().join(file), text).unwrap();
    write("function.yaml", "name: mood\nfile: mood.js\n");
    write("mood.js", &source("one"));
    write("flags.yaml", "mood: happy\n");
    let developing = Developing::start(place.path());
    assert_eq!(developing.ask().await, "happy one");
    developing.until("asked");

    for number in 1..=5 {
        write("mood.js", &source(&number.to_string()));
    }
    developing.answers("happy 5").await;

    write("mood.js", "export default {");
    developing.until("SyntaxError");
    developing.until("waiting for the next change");
    assert_eq!(developing.ask().await, "happy 5", "what worked goes on");
    write("mood.js", &source("mended"));
    developing.answers("happy mended").await;

    write("flags.yaml", "mood: [\n");
    developing.until("waiting for the next change");
    write("flags.yaml", "mood: tired\n");
    developing.answers("tired mended").await;
    write("flags.yaml", "");
    developing.answers("calm mended").await;
}
