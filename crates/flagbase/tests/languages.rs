//! A function in each language: made by `fn new`, built by the language's own tools, deployed, and called, all through the
//! real binary. What `fn new` writes is what the manual shows.
//!
//! The tools come from package registries; `cargo xtask test --only languages` brings them and runs these tests.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

#[path = "languages/dev.rs"]
mod dev;
#[path = "languages/walk.rs"]
mod walk;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flagbase_testkit::server::TestServer;
use futures_util::future::join_all;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// A person at a terminal, in a directory of their own, logged in as an administrator.
struct Person {
    server: TestServer,
    token: String,
    place: tempfile::TempDir,
}

impl Person {
    async fn new() -> Self {
        let server = TestServer::start(PROGRAM).await;
        let token = server.administrator().await;
        Self { server, token, place: tempfile::tempdir().unwrap() }
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.place.path()).args(line.split(' '));
        command.env("FLAGBASE_SERVER", self.server.url("")).env("FLAGBASE_TOKEN", &self.token);
        command.output().unwrap()
    }

    fn succeed(&self, line: &str) -> String {
        let output = self.run(line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "`flagbase {line}` failed:\n{said}");
        said
    }

    fn at(&self, path: &str) -> PathBuf {
        self.place.path().join(path)
    }

    /// What the function answers to a browser.
    async fn asked(&self, path: &str) -> String {
        let request = self.server.client().get(self.server.url(path));
        self.server.reply(request).await.expect_status(200).text
    }

    /// Made, built, deployed, called: with and without a name to greet.
    async fn greets_in(&self, language: &str, build: impl FnOnce(&Self, &Path)) {
        let name = format!("in-{language}");
        self.succeed(&format!("fn new {name} --lang {language}"));
        build(self, &self.at(&name));
        let said = self.succeed(&format!("fn deploy {name} --no-build"));
        assert!(said.contains(&format!("version 1 of function `{name}`")), "{said}");
        let answer = self.asked(&format!("/functions/{name}/")).await;
        assert!(answer.contains("Hello") && answer.contains("world"), "{language}: {answer}");
        let answer = self.asked(&format!("/functions/{name}/?name=alice")).await;
        assert!(answer.contains("alice"), "{language}: {answer}");
        let logs = self.run(&format!("fn logs {name}"));
        let logs = String::from_utf8_lossy(&logs.stdout).into_owned();
        assert!(logs.contains("greeting") && logs.contains("alice"), "{language}: {logs}");
        // Under load, too: what an instance finds at its start, such as a clock, is then another thing each time.
        let path = format!("/functions/{name}/");
        for _ in 0..25 {
            join_all((0..4).map(|_| self.asked(&path))).await;
        }
    }

    /// The flag that the template asks for turns the greeting up.
    async fn hears_of_the_flag_in(&self, language: &str) {
        let flag = json!({"key": "loud-greeting", "name": "Loud", "enabled": true, "default_value": true});
        self.server.post("/api/v1/flags", &self.token, &flag).await;
        let answer = self.asked(&format!("/functions/in-{language}/")).await;
        assert!(answer.contains("HELLO"), "{language}: {answer}");
    }
}

fn built(person: &Person, directory: &Path) {
    person.succeed(&format!("fn build {}", directory.display()));
}

#[tokio::test]
async fn javascript_and_typescript_need_no_tools() {
    let person = Person::new().await;
    for language in ["js", "ts"] {
        person.greets_in(language, |_, _| {}).await;
        person.hears_of_the_flag_in(language).await;
        person.server.delete("/api/v1/flags/loud-greeting", &person.token).await.expect_status(204);
    }
}

#[tokio::test]
#[ignore = "needs componentize-py from PyPI: cargo xtask test --only languages"]
async fn python_is_built_by_componentize_py() {
    let person = Person::new().await;
    person.greets_in("python", built).await;
    person.hears_of_the_flag_in("python").await;
}

#[tokio::test]
#[ignore = "needs Go: cargo xtask test --only languages"]
async fn go_builds_for_wasip1_by_itself() {
    Person::new().await.greets_in("go", built).await;
}

#[tokio::test]
#[ignore = "needs Zig from PyPI: cargo xtask test --only languages"]
async fn c_is_built_by_zig() {
    Person::new().await.greets_in("c", built).await;
}

#[tokio::test]
#[ignore = "needs asc from npm: cargo xtask test --only languages"]
async fn assemblyscript_is_built_by_asc() {
    Person::new().await.greets_in("assemblyscript", built).await;
}

/// The page that shows how to bundle, whose files are made here.
const PAGE: &str = include_str!("../../../docs/src/functions/javascript.md");

/// The block of the page in this language that follows `heading`.
fn block(heading: &str, language: &str) -> &'static str {
    let (_, section) = PAGE.split_once(heading).unwrap();
    let (_, code) = section.split_once(&format!("```{language}\n")).unwrap();
    code.split_once("```").unwrap().0
}

#[tokio::test]
#[ignore = "needs esbuild and packages from npm: cargo xtask test --only languages"]
async fn packages_of_npm_are_bundled_as_the_manual_says() {
    let person = Person::new().await;
    let directory = person.at("shop");
    std::fs::create_dir(&directory).unwrap();
    let heading = "## Several files, and packages of npm";
    for (file, language) in [("function.yaml", "yaml"), ("package.json", "json"), ("index.js", "javascript")]
    {
        std::fs::write(directory.join(file), block(heading, language)).unwrap();
    }
    let output = person.run("fn deploy shop/index.js");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("`hono` cannot be imported") && said.contains("index.js:2:22"), "{said}");
    person.succeed("fn deploy shop");
    assert_eq!(person.asked("/functions/hello/").await, "Hello, world!");
    assert_eq!(person.asked("/functions/hello/in/2h").await, r#"{"milliseconds":7200000}"#);
}

/// Rust's own registry of targets is out of reach where only package registries are; Debian has an older compiler with
/// the standard library for WASI, which its variable leads to.
#[tokio::test]
#[ignore = "needs a Rust compiler with a target for WASI: cargo xtask test --only languages"]
async fn rust_is_built_for_wasip1() {
    #[expect(clippy::disallowed_methods, reason = "tests are configured by variables")]
    let root = std::env::var("RUST_FOR_WASI").unwrap();
    let person = Person::new().await;
    let compile = |_: &Person, directory: &Path| {
        let to = directory.join("target/wasm32-wasip1/release");
        std::fs::create_dir_all(&to).unwrap();
        let mut rustc = Command::new(format!("{root}/usr/bin/rustc"));
        rustc.env("LD_LIBRARY_PATH", format!("{root}/usr/lib/x86_64-linux-gnu"));
        rustc.env("PATH", format!("{root}/usr/bin:/usr/bin:/bin")).current_dir(directory);
        rustc.args(["--sysroot", &format!("{root}/usr"), "--target", "wasm32-wasi", "--edition", "2021"]);
        rustc
            .args(["-C", "opt-level=s", "-C", "strip=symbols", "src/main.rs", "-o"])
            .arg(to.join("in-rust.wasm"));
        let output = rustc.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    person.greets_in("rust", compile).await;
}
