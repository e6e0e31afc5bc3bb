//! `flagbase fn …` and what goes with it, as people type it who have read the manual once.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::*;

/// A developer at a terminal, with functions as files.
pub(super) struct Person {
    pub(super) server: TestServer,
    pub(super) token: String,
}

impl Person {
    pub(super) async fn new() -> Self {
        let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_GUARD__INTERVAL", "1s")]).await;
        let token = server.join("dev@example.com", "developer").await;
        Self { server, token }
    }

    pub(super) fn write(&self, file: &str, code: &[u8]) {
        std::fs::write(self.server.directory().join(file), code).unwrap();
    }

    pub(super) fn command(&self, line: &str) -> Command {
        let arguments: Vec<&str> = line.split(' ').collect();
        let mut command = self.server.command(&arguments);
        command.env("FLAGBASE_SERVER", self.server.url("")).env("FLAGBASE_TOKEN", &self.token);
        command
    }

    fn run(&self, line: &str) -> (Option<i32>, String, String) {
        told(self.command(line).stdin(Stdio::null()).output().unwrap())
    }

    /// What was said by a command that succeeds.
    #[track_caller]
    pub(super) fn ok(&self, line: &str) -> String {
        let (code, data, said) = self.run(line);
        assert_eq!(code, Some(0), "`flagbase {line}`: {said}");
        format!("{data}{said}")
    }

    /// What was said by a command that fails with `code`.
    #[track_caller]
    pub(super) fn refused(&self, line: &str, code: i32) -> String {
        let (ended, data, said) = self.run(line);
        assert_eq!(ended, Some(code), "`flagbase {line}`: {data}{said}");
        said
    }

    /// Deploys what answers with `text`.
    #[track_caller]
    fn deploy(&self, text: &str, options: &str) -> String {
        self.write("hello.wasm", &guests::says(200, text));
        self.ok(format!("fn deploy hello.wasm {options}").trim())
    }

    async fn seen(&self) -> String {
        self.server.get("/functions/hello", &self.token).await.text
    }
}

fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_refused_while_sending_learns_why() {
    let mut person = Person::new().await;
    person.token = "of nobody".to_owned();
    person.write("large.wasm", &[b"\0asm\x01\0\0\0".to_vec(), vec![0; 16 << 20]].concat());
    let said = person.refused("fn deploy large.wasm", 4);
    assert!(said.contains("the token that was sent is not valid"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_for_nobody_is_seen_by_whoever_sets_it_for_the_own_session() {
    let person = Person::new().await;
    person.deploy("one", "");
    let said = person.deploy("two", "--no-promote");
    assert!(said.contains("flagbase override set hello-version v2"), "{said}");
    assert_eq!(person.seen().await, "one");
    person.ok("override set hello-version v2");
    assert_eq!(person.seen().await, "two");
    assert_eq!(call(&person.server, "hello").await.text, "one", "nobody else sees it");
    person.deploy("three", "--no-promote");
    person.ok("override set hello-version 3");
    assert_eq!(person.seen().await, "three", "by its number as well");
    person.ok("override remove hello-version");
    assert_eq!(person.seen().await, "one");
    person.ok("flag update hello-version --weight v3=100 --weight current=0");
    assert_eq!(person.seen().await, "three", "{}", person.ok("flag get hello-version"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_was_tried_alone_comes_to_run_for_some_and_then_for_all() {
    let person = Person::new().await;
    let customer = person.server.join("customer@example.com", "user").await;
    let seen = async || {
        let theirs = person.server.get("/functions/hello", &customer).await.text;
        (person.seen().await, theirs)
    };
    let both = |mine: &str, theirs: &str| (mine.to_owned(), theirs.to_owned());
    person.deploy("one", "");
    person.deploy("two", "--no-promote");
    let said = person.ok("fn promote hello 2 --for role=developer");
    for words in ["for callers with role=developer (flag `hello-version`)", "everybody else gets version 1"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(seen().await, both("two", "one"));
    person.refused("fn promote hello 7 --for role=developer", 3);
    person.refused("fn promote hello 2 --for developer", 2);
    person.ok("flag disable hello-version --reason because");
    let said = person.refused("fn promote hello 2 --for role=developer", 5);
    assert!(said.contains("`hello-version` is off") && said.contains("because"), "{said}");
    assert_eq!(seen().await, both("one", "one"));
    person.ok("fn promote hello 2 --for role=developer --enable");
    let listed = person.ok("fn versions hello");
    assert!(listed.lines().any(|line| line.starts_with("2 ") && line.contains("by flag")), "{listed}");
    assert_eq!(seen().await, both("two", "one"));
    let another = "flag `hello-version` gives some callers another version";
    assert!(!person.ok("fn promote hello 2").contains(another));
    assert_eq!(seen().await, both("two", "two"));
    let said = person.deploy("three", "");
    assert!(said.contains(another), "{said}");
    assert_eq!(seen().await, both("two", "three"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_about_what_no_caller_has_deploys_nothing() {
    let person = Person::new().await;
    person.deploy("one", "");
    person.write("hello.wasm", &guests::says(200, "two"));
    let said = person.refused("fn deploy hello.wasm --for rol=developer", 1);
    assert!(said.contains("did you mean `role`") && said.contains("nothing was deployed"), "{said}");
    let listed = person.ok("fn versions hello");
    assert!(!listed.lines().any(|line| line.starts_with("2 ")), "{listed}");
    assert!(person.refused("fn deploy hello.wasm --for role==developer", 2).contains("role=developer"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_forgotten() {
    let person = Person::new().await;
    person.write("hello.js", b"export default () => { console.log('first'); throw new Error('broken'); };");
    person.ok("fn deploy hello.js");
    let failed = person.server.get("/functions/hello", &person.token).await.expect_status(502);
    assert_eq!(failed.header("x-flagbase-function"), Some("hello@1"));
    let call = failed.header("x-request-id").unwrap();
    let logs = person.ok("fn logs hello -o json");
    assert!(logs.contains("broken") && logs.contains(call), "{logs}");
    assert!(person.ok("fn metrics hello").contains("FAILED"));
    person.ok("fn delete hello --yes");
    person.ok("fn deploy hello.js");
    assert!(!person.ok("fn logs hello").contains("first"));
    assert!(person.ok("fn metrics hello").contains("nothing called it since the server started"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_adds_a_variant_to_those_there_are_and_says_so() {
    let person = Person::new().await;
    person.deploy("one", "--for role=developer");
    let said = person.ok("flag update hello-version --variant other=1");
    assert!(said.contains("added variant `other`"), "{said}");
    let flag = person.server.get("/api/v1/flags/hello-version", &person.token).await.json;
    let names: Vec<_> = flag["variants"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["current", "v1", "other"]);
    assert_eq!(flag["variants"][2]["value"], json!("1"), "text, as the flag's type has it");
    let said = person.ok("flag update hello-version --remove-variant other");
    assert!(said.contains("removed variant `other`"), "{said}");
    person.refused("flag update hello-version --remove-variant other", 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_fails_is_a_failure_in_every_form() {
    let person = Person::new().await;
    person.write("broken.wasm", &guests::traps());
    person.ok("fn deploy broken.wasm");
    let said = person.refused("fn invoke broken", 1);
    assert!(said.contains("the function failed"), "{said}");
    let (code, data, said) = person.run("fn invoke broken -o json");
    let answer: Value = serde_json::from_str(&data).unwrap();
    assert_eq!((code, &answer["fault"]["code"]), (Some(1), &json!("function_failed")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_is_not_there_is_named_with_the_nearest_one_and_not_made() {
    let person = Person::new().await;
    person.deploy("one", "");
    for line in [
        "fn logs helo",
        "fn logs -f helo",
        "fn set helo --var A=1",
        "fn metrics helo",
        "fn rollback helo",
        "fn secret list helo",
        "fn dead-letters list helo",
    ] {
        let said = person.refused(line, 3);
        assert!(
            said.contains("`helo` not found") && said.contains("did you mean `hello`?"),
            "{line}: {said}"
        );
    }
    person.ok("fn set fresh --create --var A=1");
    let said = person.ok("fn list -o json");
    assert!(said.contains("fresh") && !said.contains("helo\""), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_that_was_turned_off_is_not_turned_on_by_a_deployment() {
    let person = Person::new().await;
    person.deploy("one", "");
    person.deploy("two", "--for role=developer");
    assert_eq!(person.seen().await, "two");
    person.ok("flag disable hello-version --reason because");
    person.write("hello.wasm", &guests::says(200, "three"));
    let said = person.refused("fn deploy hello.wasm --for role=developer", 5);
    for words in ["`hello-version` is off", "dev@example.com turned it off: because", "--enable"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!person.ok("fn versions hello -o json").contains("\"number\": 3"), "nothing was deployed");
    assert_eq!(person.seen().await, "one");
    person.ok("fn deploy hello.wasm --for role=developer --enable");
    assert_eq!(person.seen().await, "three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_takes_its_own_flag_along_and_leaves_others() {
    let person = Person::new().await;
    person.deploy("one", "");
    person.deploy("two", "--for role=developer");
    let said = person.ok("fn delete hello --yes");
    assert!(said.contains("and its flag `hello-version`"), "{said}");
    person.refused("flag get hello-version", 3);

    person.deploy("one", "--for role=developer");
    person.write("other.wasm", &guests::says(200, "one"));
    person.ok("fn deploy other.wasm");
    person.ok("fn set other --flag hello-version");
    let said = person.ok("fn delete hello --yes");
    assert!(
        said.contains("flag `hello-version` stays") && said.contains("flag delete hello-version"),
        "{said}"
    );
    person.ok("flag get hello-version");
    // What is left there is not taken over with the rules it has.
    let said = person.refused("fn deploy hello.wasm --for role=developer", 5);
    assert!(said.contains("`hello-version` is there already"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_back_twice_goes_back_twice_and_says_where_it_is() {
    let person = Person::new().await;
    for text in ["one", "two", "three"] {
        person.deploy(text, "");
    }
    let said = person.ok("fn rollback hello");
    for words in ["version 2 of function `hello` runs again", "version 3 does not", "goes on to version 1"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(person.seen().await, "two");
    let said = person.ok("fn rollback hello");
    assert!(said.contains("version 1 of function") && !said.contains("goes on"), "{said}");
    assert_eq!(person.seen().await, "one");
    let said = person.refused("fn rollback hello", 5);
    assert!(said.contains("before version 1") && said.contains("there is 2, 3"), "{said}");
    person.ok("fn rollback hello 3");
    assert_eq!(person.seen().await, "three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_comes_through_a_pipe_and_nothing_is_no_secret() {
    let person = Person::new().await;
    person.deploy("one", "");
    let mut command = person.command("fn secret set hello API_KEY");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"k3y\n").unwrap();
    let (code, data, said) = told(child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{said}");
    assert!(!data.contains("k3y") && !said.contains("k3y"));
    assert!(person.ok("fn secret list hello").contains("API_KEY"));
    let said = person.refused("fn secret set hello EMPTY", 2);
    assert!(said.contains("nothing came on standard input"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_text_is_written_where_nobody_watches() {
    let person = Person::new().await;
    person.write("hello.wasm", &guests::says(200, "one"));
    for line in ["fn deploy hello.wasm", "fn invoke hello", "fn set hello --var A=1", "fn delete hello --yes"]
    {
        let (code, data, said) = person.run(line);
        assert!(!data.contains('\u{1b}') && !said.contains('\u{1b}'), "{line}: {said:?}");
        assert_eq!(code, Some(0), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_that_the_manual_shows_are_taken() {
    let person = Person::new().await;
    let page = include_str!("../../../../docs/src/functions.md");
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let manifest: Value = serde_norway::from_str(rest.split_once("```").unwrap().0).unwrap();
    person.write("settings.yaml", manifest["settings"].to_string().as_bytes());
    person.ok("fn set hello --create --file settings.yaml");
    let set = person.server.get("/api/v1/functions/hello", &person.token).await.json;
    for member in ["environment", "limits", "warm", "description"] {
        assert!(set[member] == manifest["settings"][member], "{member}: {set}");
    }
    assert_eq!(set["triggers"].as_array().unwrap().len(), 2);
    assert_eq!(set["grants"]["publish"], json!(["orders.>"]));
}
