//! What people are told when something is wrong, and where.

use super::bench::Bench;

#[test]
fn an_error_of_a_handler_is_a_failure_and_its_stack_is_logged() {
    let cases = [
        (
            "export default {\n  fetch() {\n    nope();\n  },\n};",
            "ReferenceError: nope is not defined",
            "a.js:3:5",
        ),
        (
            "export default async () => {\n  await null;\n  throw new TypeError('late');\n};",
            "TypeError: late",
            "a.js:3:",
        ),
        ("function deep() { return null.x }\nexport default () => deep();", "TypeError: ", "deep (a.js:1:"),
        ("export default () => { throw 'text' }", "'text'", ""),
        ("export default () => { throw { code: 7 } }", "{ code: 7 }", ""),
        ("export default () => 1", "TypeError: the handler has to return a Response; it returned 1", ""),
        ("export default () => new Promise(() => {})", "TypeError: the function waits for a promise", ""),
        (
            "export default async () => { const r = new Response('a'); await r.text(); return r }",
            "TypeError: the body of the response was read already",
            "",
        ),
    ];
    for (source, message, place) in cases {
        let mut running = Bench::shared().function("a.js", source).start();
        let answer = running.get("/");
        assert_eq!(answer.status, 0, "{source}");
        assert!(answer.text().starts_with(message), "{source}: {}", answer.text());
        let log = running.world().log.join("\n");
        assert!(log.starts_with("error uncaught ") && log.contains(place), "{source}: {log}");
        assert!(!log.contains("flagbase:"), "nothing of ours is in the stack: {log}");
    }
}

#[test]
fn a_promise_that_fails_unheard_is_logged_and_harms_nobody() {
    let source = "export default () => { Promise.reject(new Error('alone')); return new Response('fine') }";
    let mut running = Bench::shared().function("a.js", source).start();
    assert_eq!(running.get("/").text(), "fine");
    assert!(running.world().log[0].starts_with("error uncaught Error: alone"), "{:?}", running.world().log);
}

#[test]
fn a_source_that_cannot_be_loaded_is_refused_with_its_place() {
    let cases = [
        ("a.js", "let x = ;", "SyntaxError: unexpected token in expression: ';'\n    at a.js:1:9"),
        ("a.js", "\n\nexport default { fetch() { return } ", "SyntaxError: "),
        ("a.js", "const a = 1;\nthrow new Error('top')", "Error: top\n    at <anonymous> (a.js:2:"),
        (
            "a.js",
            "import x from './b.js'",
            "SyntaxError: `./b.js` cannot be imported: a function is one file; make one",
        ),
        (
            "a.js",
            "import x from 'left-pad'",
            "SyntaxError: `left-pad` cannot be imported: only `flagbase` is here",
        ),
        (
            "a.js",
            "import { nope } from 'flagbase'",
            "SyntaxError: Could not find export 'nope' in module 'flagbase'",
        ),
        ("a.js", "const a = 1", "TypeError: the module handles nothing: it has to export"),
        ("a.js", "await fetch('http://a')", "TypeError: fetch cannot be used while the module is loaded"),
        (
            "a.js",
            "flagbase.kv.get('a'); export default () => 1",
            "TypeError: a key-value store cannot be used while",
        ),
        ("a.js", "crypto.randomUUID()", "TypeError: chance cannot be used while the module is loaded"),
        ("a.js", "await new Promise(() => {})", "TypeError: the module waits for something at its top level"),
        ("a.ts", "export default { fetch(): string { return }", "a.ts:1:44: "),
        ("a.tsx", "export default () => <a/>", "`a.tsx` cannot be deployed: JSX is not understood"),
        ("a.cjs", "module.exports = 1", "`a.cjs` cannot be deployed: modules of CommonJS"),
    ];
    for (name, source, expected) in cases {
        let error = Bench::shared().build(name, source).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{source}: {error}");
    }
    let error = super::build_bytes(Bench::shared(), b"a\nb\xFF").unwrap_err().to_string();
    assert_eq!(error, "a.js:2: the source is not UTF-8; save it as UTF-8");
}

#[test]
fn what_is_written_while_loading_is_shown() {
    let built =
        Bench::shared().build("a.js", "console.log('one', { a: 1 }); export default () => 1").unwrap();
    assert_eq!(built.lines, ["one { a: 1 }"]);
}

#[test]
fn errors_of_typescript_are_on_the_line_where_they_were_written() {
    let source = "interface A {\n  a: string;\n}\nexport default {\n  fetch(r: Request): Response {\n    const a = null! as A;\n    return new Response(a.a);\n  },\n};";
    let mut running = Bench::shared().function("a.ts", source).start();
    assert_eq!(running.get("/").status, 0);
    assert!(running.world().log[0].contains("a.ts:7:"), "{:?}", running.world().log);
}
