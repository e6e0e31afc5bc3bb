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
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.current_dir(directory).args(["fn", "dev", "--port", "0"]).args(arguments);
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

    /// All lines until one that contains `words`.
    fn all_until(&self, words: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.said.recv_timeout(PATIENCE).unwrap());
            if lines.last().unwrap().contains(words) {
                return lines;
            }
        }
    }

    /// Returns once nobody listens any more where the function was.
    async fn silence(&self) {
        let (host, _) = self.address.strip_prefix("http://").unwrap().split_once('/').unwrap();
        for _ in 0..PATIENCE.as_millis() / 100 {
            if std::net::TcpListener::bind(host).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(std::net::TcpListener::bind(host).is_ok(), "{host} is still taken");
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
    let developing = Developing::start(place.path(), &["--flags", "flags.yaml"]);
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

/// A directory with one function in it, `hello.js`.
fn hello(source: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("hello.js"), source).unwrap();
    place
}

const HELLO: &str = "export default () => new Response('hello');";

#[tokio::test]
async fn the_server_ends_with_whoever_started_it_however_that_ends() {
    let place = hello(HELLO);
    for signal in ["-KILL", "-TERM", "-INT"] {
        let mut developing = Developing::start(place.path(), &["hello.js"]);
        assert_eq!(developing.ask().await, "hello");
        let pid = developing.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let status = developing.child.wait().unwrap();
        developing.silence().await;
        assert_eq!(status.success(), signal != "-KILL", "{signal}: {status}");
    }
}

#[tokio::test]
async fn a_port_that_somebody_else_answers_on_is_not_taken_for_ours() {
    let other = flagbase_testkit::backend::Backend::start().await;
    let place = hello(HELLO);
    let port = other.address().port().to_string();
    let mut command = Command::new(PROGRAM);
    command.current_dir(place.path()).args(["fn", "dev", "hello.js", "--port", &port]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("port {port} of this machine is taken")) && said.contains("--port"),
        "{said}"
    );
    assert!(other.take().is_empty(), "no password goes to a stranger");
}

#[tokio::test]
async fn grants_and_secrets_are_given_on_the_command_line() {
    let source = "import { secrets } from 'flagbase';
        export default (request, env) => new Response(`${secrets.get('API_KEY')} ${secrets.get('PIN')} ${env.MOOD}`);";
    let place = hello(source);
    std::fs::write(place.path().join("secrets.yaml"), "PIN: 1234\n").unwrap();
    let given =
        ["--grant", "secrets", "--secret", "API_KEY=k3y", "--secrets", "secrets.yaml", "--var", "MOOD=calm"];
    let developing = Developing::start(place.path(), &[&["hello.js"][..], &given].concat());
    assert_eq!(developing.ask().await, "k3y 1234 calm");
}

#[tokio::test]
async fn an_error_is_shown_once_with_its_place() {
    let source = "export default (request) => {
        if (request.url.endsWith('/end')) console.log('the end');
        else throw new Error('it broke');
        return new Response('');
    };";
    let place = hello(source);
    let developing = Developing::start(place.path(), &["hello.js"]);
    assert!(developing.ask().await.contains("it broke"));
    reqwest::get(format!("{}end", developing.address)).await.unwrap();
    let lines = developing.all_until("the end");
    let said: Vec<_> = lines.iter().filter(|line| line.contains("it broke")).collect();
    assert_eq!(said.len(), 1, "{lines:#?}");
    assert!(said[0].contains("uncaught Error: it broke"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("hello.js:3")), "{lines:#?}");
}
