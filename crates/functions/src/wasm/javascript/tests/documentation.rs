//! The code of the documentation and of the templates: all of it is deployed and called.

use super::bench::{Bench, Running};

const JAVASCRIPT: &str = include_str!("../../../../../../docs/src/functions/javascript.md");
const TYPESCRIPT: &str = include_str!("../../../../../../docs/src/functions/typescript.md");
const TEMPLATE_JS: &str = include_str!("../../../../../flagbase/templates/functions/javascript/hello.js");
const TEMPLATE_TS: &str = include_str!("../../../../../flagbase/templates/functions/typescript/hello.ts");

/// The blocks of code in a language.
fn blocks<'t>(page: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split_once("```")).map(|(code, _)| code).collect()
}

/// One block, running.
fn example(page: &str, language: &str, number: usize) -> Running {
    Bench::shared().function(&format!("example.{language}"), blocks(page, language)[number]).start()
}

#[test]
fn every_request_of_the_examples_is_answered_as_the_manual_says() {
    for (page, language, number, target, expected) in [
        (JAVASCRIPT, "js", 0, "/?name=Ada", "Hello, Ada!\n"),
        (JAVASCRIPT, "js", 1, "/a", r#"{"greeting":"hi","caller":"alice@example.com","path":"/a"}"#),
        (JAVASCRIPT, "js", 2, "/", r#"{"color":"blue","visits":1,"version":3}"#),
        (JAVASCRIPT, "js", 3, "/", r#"{"eur":1.25}"#),
        (JAVASCRIPT, "js", 4, "/", "nothing was sent\n"),
        (JAVASCRIPT, "js", 5, "/about", "about"),
        (JAVASCRIPT, "js", 5, "/nowhere", "not found"),
        (TYPESCRIPT, "ts", 0, "/?name=Ada", r#"{"text":"Hello, Ada!","loud":false}"#),
    ] {
        assert_eq!(example(page, language, number).get(target).text(), expected, "{language} {number}");
    }
}

#[test]
fn the_example_of_streams_changes_what_is_sent() {
    let answer = example(JAVASCRIPT, "js", 4).serve("POST", "/", &[], "Grüße".as_bytes());
    assert_eq!(answer.text(), "GRÜSSE");
}

#[test]
fn every_event_and_tick_of_the_examples_is_taken() {
    let mut all = example(JAVASCRIPT, "js", 1);
    assert_eq!(all.receive("orders.created", br#"{"id":1}"#), Ok(()));
    assert_eq!(all.tick(), Ok(()));
    let log = ["info received orders.created { id: 1 }", "info it is 2026-01-02T03:00:00.000Z"];
    assert_eq!(all.world().log, log);
    let mut orders = example(TYPESCRIPT, "ts", 1);
    assert_eq!(orders.receive("orders.created", br#"{"id":"7","total":10}"#), Ok(()));
    assert_eq!(orders.world().stored["orders:7"], br#"{"id":"7","total":10}"#);
    let refused = orders.receive("orders.created", br#"{"id":"8","total":10000}"#);
    assert_eq!(refused, Err("Error: order 8 is too large".to_owned()));
}

#[test]
fn no_example_is_left_out() {
    assert_eq!((blocks(JAVASCRIPT, "js").len(), blocks(TYPESCRIPT, "ts").len()), (6, 2));
}

#[test]
fn templates_greet_whoever_calls() {
    for (name, source) in [("hello.js", TEMPLATE_JS), ("hello.ts", TEMPLATE_TS)] {
        let answer = Bench::shared().function(name, source).start().get("/?name=alice").text();
        assert!(answer.contains("Hello") && answer.contains("alice"), "{name}: {answer}");
    }
}

#[test]
fn the_table_of_interfaces_names_what_there_is() {
    let section = JAVASCRIPT.split("## What the web offers").nth(1).unwrap().split("```").next().unwrap();
    let names: Vec<_> = section.split('`').skip(1).step_by(2).collect();
    assert!(names.len() > 25, "{names:?}");
    let source = format!(
        "export default () => Response.json({names:?}.filter((name) => {{ try {{ return eval(name) === undefined }} catch {{ return true }} }}))"
    );
    assert_eq!(Bench::shared().function("a.js", &source).start().get("/").text(), "[]");
}
