//! The code of the documentation and of the templates: all of it is deployed.

use super::bench::Bench;

const JAVASCRIPT: &str = include_str!("../../../../../../docs/src/functions/javascript.md");
const TYPESCRIPT: &str = include_str!("../../../../../../docs/src/functions/typescript.md");

/// The blocks of code in a language.
fn blocks<'t>(page: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split_once("```")).map(|(code, _)| code).collect()
}

#[test]
fn every_example_can_be_deployed() {
    for (page, language) in [(JAVASCRIPT, "js"), (TYPESCRIPT, "ts")] {
        let found = blocks(page, language);
        assert!(found.len() > 1, "{language}");
        for code in found {
            let name = format!("example.{language}");
            let built = Bench::shared().build(&name, code);
            assert!(built.is_ok(), "{code}\n{:?}", built.err());
        }
    }
}

#[test]
fn the_first_examples_answer() {
    for (page, language, expected) in
        [(JAVASCRIPT, "js", "Hello, Ada!\n"), (TYPESCRIPT, "ts", r#"{"text":"Hello, Ada!","loud":false}"#)]
    {
        let function = Bench::shared().function(&format!("hello.{language}"), blocks(page, language)[0]);
        assert_eq!(function.start().get("/?name=Ada").text(), expected);
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
