//! The newcomer's walk with functions, as it is typed: JavaScript by one command, Python after that, a second version for
//! the own session and then for developers only, which breaks and is taken back.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flagbase_testkit::server::{PASSWORD, Reply, TestServer};
use serde_json::Value;

use super::PROGRAM;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A bound for hopeless cases, not a measurement: so many looks, a tenth of a second apart.
const LOOKS: u32 = 1200;

const HELLO: &str = r#"export default {
  async fetch(request) {
    return new Response("Hello\n");
  },
};
"#;

/// A newcomer at a terminal, in an empty directory, who has read the quickstart.
struct Newcomer {
    server: TestServer,
    place: tempfile::TempDir,
}

impl Newcomer {
    async fn new() -> Self {
        let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_GUARD__INTERVAL", "1s")]).await;
        server.register("dev@example.com", Some("developer")).await.expect_status(201);
        Self { server, place: tempfile::tempdir().unwrap() }
    }

    /// Types a line; returns how it ended, and all that was said.
    fn types(&self, line: &str, input: &str) -> (Option<i32>, String) {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.place.path()).args(line.split(' ')).env_remove("FLAGBASE_TOKEN");
        command.env("FLAGBASE_SERVER", self.server.url(""));
        // Where the session is remembered. What builds has settings of its own there, such as where packages are.
        if !line.starts_with("fn build") {
            command.env("XDG_CONFIG_HOME", self.place.path().join("config"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }

    /// Types a line that does what it should; it has said all these `words`.
    #[track_caller]
    fn does(&self, line: &str, words: &[&str]) -> String {
        let (code, said) = self.types(line, "");
        assert_eq!(code, Some(0), "`flagbase {line}`: {said}");
        for words in words {
            assert!(said.contains(words), "`flagbase {line}` does not say `{words}`: {said}");
        }
        said
    }

    /// Changes one line of the Python function.
    fn edits(&self, from: &str, to: &str) {
        let path = self.place.path().join("greeter/app.py");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    /// What `curl` shows, as the holder of a token, or of none.
    async fn seen(&self, path: &str, token: Option<&str>) -> Reply {
        let mut request = self.server.client().get(self.server.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        self.server.reply(request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))).await
    }

    async fn greeting(&self, token: Option<&str>) -> String {
        self.seen("/functions/greeter/?name=alice", token).await.expect_status(200).text
    }
}

/// The people who look on.
struct Others {
    colleague: String,
    customer: String,
    elsewhere: String,
}

impl Others {
    async fn of(server: &TestServer) -> Self {
        Self {
            colleague: server.join("colleague@example.com", "developer").await,
            customer: server.join("customer@example.com", "user").await,
            elsewhere: server.login("dev@example.com").await,
        }
    }

    /// Those who are no developers, nobody included, go on seeing the first version.
    async fn see_the_first(&self, newcomer: &Newcomer) {
        for token in [Some(self.customer.as_str()), None] {
            assert_eq!(newcomer.greeting(token).await, "Hello, alice!\n");
        }
    }
}

fn written(place: &Path, name: &str, text: &str) {
    std::fs::write(place.join(name), text).unwrap();
}

async fn deploys_both(newcomer: &Newcomer) {
    let (code, said) = newcomer.types("login dev@example.com --password-file -", PASSWORD);
    assert_eq!(code, Some(0), "{said}");
    written(newcomer.place.path(), "hello.js", HELLO);
    let address = newcomer.server.url("/functions/hello/");
    newcomer.does("fn deploy hello.js", &["deployed version 1 of function `hello`", &address]);
    assert_eq!(newcomer.seen("/functions/hello/", None).await.expect_status(200).text, "Hello\n");

    newcomer.does("fn new greeter --lang python", &["made `greeter`", "flagbase fn deploy greeter"]);
    newcomer.does("fn build greeter", &["built `", "greeter.wasm"]);
    newcomer.does("fn deploy greeter --no-build", &["deployed version 1 of function `greeter`"]);
    newcomer.does("fn invoke greeter /?name=alice", &["200 from version 1", "Hello, alice!"]);
    newcomer.does("fn logs greeter", &["greeting alice"]);
}

/// Version 2 in the own session alone, and then for all developers.
async fn tries_the_second(newcomer: &Newcomer, own: &str, others: &Others) {
    newcomer.edits("{greeting}, {who}!", "{greeting} again, {who}!");
    newcomer.does(
        "fn deploy greeter --no-promote",
        &[
            "version 2 of function `greeter`, which nobody gets yet",
            "flagbase override set greeter-version v2",
        ],
    );
    assert_eq!(newcomer.greeting(Some(own)).await, "Hello, alice!\n");
    newcomer.does("override set greeter-version v2", &[]);
    assert_eq!(newcomer.greeting(Some(own)).await, "Hello again, alice!\n");
    for token in [&others.colleague, &others.elsewhere] {
        assert_eq!(newcomer.greeting(Some(token)).await, "Hello, alice!\n", "nobody else's session");
    }
    others.see_the_first(newcomer).await;
    newcomer.does("override remove greeter-version", &[]);
    assert_eq!(newcomer.greeting(Some(own)).await, "Hello, alice!\n");

    newcomer.does(
        "fn promote greeter 2 --for role=developer",
        &[
            "version 2 of function `greeter` runs for callers with role=developer",
            "everybody else gets version 1",
        ],
    );
    for token in [own, &others.colleague] {
        assert_eq!(newcomer.greeting(Some(token)).await, "Hello again, alice!\n", "all developers");
    }
    others.see_the_first(newcomer).await;
}

/// The next build of it breaks, and the guard takes it back.
async fn breaks_it(newcomer: &Newcomer, own: &str, others: &Others) {
    newcomer.edits("print(\"greeting\", who)", "raise RuntimeError(\"no greetings left\")");
    newcomer.does("fn deploy greeter --for role=developer", &["version 3", "everybody else gets version 1"]);
    for _ in 0..11 {
        newcomer.seen("/functions/greeter/?name=alice", Some(own)).await.expect_status(502);
        others.see_the_first(newcomer).await;
    }
    let mut healed = String::new();
    for _ in 0..LOOKS {
        let answer = newcomer.seen("/functions/greeter/?name=alice", Some(own)).await;
        if answer.status == 200 {
            healed = answer.text;
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(healed, "Hello, alice!\n", "the guard takes it back");
    others.see_the_first(newcomer).await;
    newcomer.does("flag history greeter-version", &["guard", "disabled"]);
    newcomer.does("flag get greeter-version", &["false"]);
    newcomer.does("fn logs greeter --version 3", &["no greetings left"]);
    newcomer.does("fn metrics greeter", &["VERSION", "FAILED"]);
}

/// A better one is deployed, once somebody says that the flag may be on again.
async fn mends_it(newcomer: &Newcomer, own: &str, others: &Others) {
    newcomer.edits("raise RuntimeError(\"no greetings left\")", "print(\"greeting once more\", who)");
    let (code, said) = newcomer.types("fn deploy greeter --for role=developer", "");
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("`greeter-version` is off") && said.contains("guard `"), "{said}");
    newcomer.does("fn deploy greeter --for role=developer --enable", &["deployed version 4"]);
    assert_eq!(newcomer.greeting(Some(own)).await, "Hello again, alice!\n");
    others.see_the_first(newcomer).await;
    newcomer.does("fn promote greeter 4", &["version 4 of function `greeter` runs now"]);
    for token in [Some(own), Some(&others.customer), None] {
        assert_eq!(newcomer.greeting(token).await, "Hello again, alice!\n", "everybody");
    }
    // What a component prints is kept with the trace of its request.
    let lines = newcomer.does("fn logs greeter --version 4 -o json", &["greeting once more alice"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let printed = |line: &&Value| line["stream"] == "stdout";
    assert!(lines.iter().filter(printed).count() >= 1, "{lines:?}");
    assert!(lines.iter().all(|line| line["traceparent"].as_str().unwrap().contains(TRACE)), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs componentize-py from PyPI: cargo xtask test --only languages"]
async fn a_newcomer_deploys_two_functions_and_the_guard_takes_back_what_broke() {
    let newcomer = Newcomer::new().await;
    let others = Others::of(&newcomer.server).await;
    deploys_both(&newcomer).await;
    let own = newcomer.does("whoami --token", &[]).trim().to_owned();
    tries_the_second(&newcomer, &own, &others).await;
    breaks_it(&newcomer, &own, &others).await;
    mends_it(&newcomer, &own, &others).await;
}
