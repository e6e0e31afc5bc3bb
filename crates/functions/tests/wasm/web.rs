//! What the web offers, before other people's cases: those that web-platform-tests publish about URLs, and what Node finds
//! a few hundred expressions worth. `cargo xtask test --only web` brings both.

use std::{collections::BTreeMap, path::Path, process::Command, sync::Arc, time::Duration};

use flagbase_core::functions::{Artifact, Body, Compute as _, Deployed, Settings};
use flagbase_testkit::compute::{common, visit};
use serde_json::{Value, json};

use super::place::Place;

const EVALUATE: &str = include_str!("web/evaluate.js");
const SNIPPETS: &str = include_str!("web/snippets.txt");
const URLS: &str = include_str!("web/urls.js");
/// Cases that come out differently, each with the reason.
const KNOWN: &str = include_str!("web/known.txt");

/// How many cases are asked in one call.
const AT_ONCE: usize = 50;

#[expect(clippy::disallowed_methods, reason = "tests are configured by variables")]
fn given(variable: &str) -> String {
    std::env::var(variable).unwrap()
}

/// A function that answers a list with a list.
struct Judge {
    place: Place,
    function: Arc<Deployed>,
}

impl Judge {
    async fn new(source: &str) -> Self {
        let place = Place::new().await;
        let mut settings = Settings { warm: true, ..common() };
        settings.limits.timeout = Duration::from_mins(1);
        let artifact = Artifact::new("judge.js", bytes::Bytes::copy_from_slice(source.as_bytes()));
        let function = place.deploy(&artifact, settings).await;
        Self { place, function }
    }

    async fn ask<T: serde::Serialize>(&self, cases: &[T]) -> Vec<Value> {
        let mut answers = Vec::new();
        for some in cases.chunks(AT_ONCE) {
            let body = Body::Whole(serde_json::to_vec(some).unwrap().into());
            let request = http::Request::post("/").body(body).unwrap();
            let answer = self.place.wasm.serve(visit(&self.function), request).await;
            let body = answer.unwrap().into_body().collect(16 << 20).await.unwrap();
            let values: Vec<Value> = serde_json::from_slice(&body).unwrap();
            assert_eq!(values.len(), some.len());
            answers.extend(values);
        }
        answers
    }
}

/// Compares what came out with what is known to, says how it went, and fails when they are not the same.
#[expect(clippy::print_stdout, reason = "how many come out the same is what people want to read")]
fn conclude(about: &str, cases: usize, different: &BTreeMap<String, String>, known: &BTreeMap<&str, &str>) {
    println!("{about}: {cases} cases, {} come out the same", cases - different.len());
    for (case, reason) in known {
        println!("  known to differ: {case}\n    because {reason}");
    }
    let unknown: Vec<_> = different.iter().filter(|(case, _)| !known.contains_key(case.as_str())).collect();
    let mended: Vec<_> = known.keys().filter(|case| !different.contains_key(**case)).collect();
    let said: Vec<_> = unknown.iter().map(|(case, how)| format!("{case}\n    {how}")).collect();
    assert!(said.is_empty(), "{} of {about} differ:\n{}", said.len(), said.join("\n"));
    assert!(mended.is_empty(), "these do not differ any more: {mended:#?}");
}

/// Lines `because: reason`, each for the cases below it.
fn known(about: &str) -> BTreeMap<&'static str, &'static str> {
    let (mut reason, mut cases) = ("", BTreeMap::new());
    for line in KNOWN.lines().filter(|line| !line.starts_with('#')) {
        if let Some(text) = line.strip_prefix("because: ") {
            reason = text;
        } else if let Some(case) = line.strip_prefix(about) {
            cases.insert(case.trim(), reason);
        }
    }
    cases
}

fn cases_of(file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(Path::new(&given("URL_TESTS")).join(file)).unwrap()).unwrap()
}

#[tokio::test]
#[ignore = "needs published cases: cargo xtask test --only web"]
async fn urls_are_what_web_platform_tests_say() {
    let judge = Judge::new(URLS).await;
    let whole = cases_of("urltestdata.json");
    let cases: Vec<&Value> = whole.as_array().unwrap().iter().filter(|case| case.is_object()).collect();
    let mut different = BTreeMap::new();
    for (case, answer) in cases.iter().zip(judge.ask(&cases).await) {
        if let Some(how) = answer.as_str() {
            different.insert(format!("{} {}", case["input"], case["base"]), how.to_owned());
        }
    }
    conclude("parsed URLs", cases.len(), &different, &known("parsed"));
}

#[tokio::test]
#[ignore = "needs published cases: cargo xtask test --only web"]
async fn parts_of_urls_are_set_as_web_platform_tests_say() {
    let judge = Judge::new(URLS).await;
    let whole = cases_of("setters_tests.json");
    let parts = whole.as_object().unwrap().iter().filter(|(name, _)| *name != "comment");
    let cases: Vec<Value> = parts
        .flat_map(|(part, cases)| {
            cases.as_array().unwrap().iter().map(move |case| json!({"part": part, "case": case}))
        })
        .collect();
    let mut different = BTreeMap::new();
    for (case, answer) in cases.iter().zip(judge.ask(&cases).await) {
        if let Some(how) = answer.as_str() {
            let part = case["part"].as_str().unwrap();
            let key = format!("{part} {} {}", case["case"]["href"], case["case"]["new_value"]);
            different.insert(key, how.to_owned());
        }
    }
    conclude("parts of URLs", cases.len(), &different, &known("set"));
}

/// The snippets, and those that are known to differ with the reason.
fn snippets() -> (Vec<&'static str>, BTreeMap<&'static str, &'static str>) {
    let (mut all, mut differ, mut because) = (Vec::new(), BTreeMap::new(), None);
    for line in SNIPPETS.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if let Some(reason) = line.strip_prefix("differs: ") {
            because = Some(reason);
            continue;
        }
        if let Some(reason) = because.take() {
            differ.insert(line, reason);
        }
        all.push(line);
    }
    (all, differ)
}

/// What Node finds them worth.
fn in_node(snippets: &[&str]) -> Vec<Value> {
    let program = format!(
        "globalThis.self ??= globalThis;
         // Node does not wait for the timers of signals.
         setInterval(() => {{}}, 1000);
         const say = (text) => process.stdout.write(text, () => process.exit());
         for (const name of Object.keys(console)) console[name] = () => {{}};
         (0, eval)({} + '\\nglobalThis.evaluate = evaluate');
         globalThis.evaluate({}).then((values) => say(JSON.stringify(values)));",
        json!(EVALUATE),
        json!(snippets)
    );
    let output = Command::new(given("NODE")).arg("-e").arg(program).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
#[ignore = "needs Node: cargo xtask test --only web"]
async fn expressions_are_worth_what_node_finds() {
    let (snippets, differ) = snippets();
    let source =
        format!("{EVALUATE}\nexport default async (r) => Response.json(await evaluate(await r.json()));");
    let ours = Judge::new(&source).await.ask(&snippets).await;
    let theirs = in_node(&snippets);
    assert_eq!(theirs.len(), snippets.len());
    let pairs = snippets.iter().zip(ours.iter().zip(&theirs)).filter(|(_, (ours, theirs))| ours != theirs);
    let different = pairs
        .map(|(snippet, (ours, theirs))| ((*snippet).to_owned(), format!("here {ours}, in Node {theirs}")))
        .collect();
    conclude("expressions", snippets.len(), &different, &differ);
}
