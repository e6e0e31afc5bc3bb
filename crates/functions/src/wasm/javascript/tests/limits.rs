//! Sources and handlers that want too much.

use super::bench::Bench;

#[test]
fn recursion_without_an_end_is_an_error_of_the_language() {
    let dives = [
        "(function dive() { dive() })()",
        "(class { get a() { return this.a } }).prototype.a",
        "(function dive() { [2, 1].sort(dive) })()",
        "(function dive() { [1].map(dive) })()",
        "(function dive() { 'a'.replace(/a/, dive) })()",
        "(function dive() { Reflect.apply(dive, null, []) })()",
        "(function dive() { new Proxy(dive, {})() })()",
        "(function dive() { return `${{ toString: dive }}` })()",
        "(function dive() { JSON.stringify({ toJSON: dive }) })()",
        "(async function dive() { await dive() })()",
        "(function* dive() { yield* dive() })().next()",
        "JSON.parse('['.repeat(200_000))",
        "(() => { let a = []; for (let i = 0; i < 100_000; i++) a = [a]; JSON.stringify(a) })()",
        "(() => { let a = []; for (let i = 0; i < 100_000; i++) a = [a]; `${a}` })()",
        "(() => { let a = []; for (let i = 0; i < 100_000; i++) a = [a]; structuredClone(a) })()",
        "new Function('return ' + '('.repeat(100_000))()",
        "new Function('return ' + '['.repeat(100_000))()",
        "new Function('{'.repeat(100_000))()",
        "new Function('return ' + '-'.repeat(100_000).split('').join(' ') + '1')()",
        "new Function('return ' + 'a=>'.repeat(100_000) + '1')()",
        "new RegExp('(?:'.repeat(100_000) + ')'.repeat(100_000))",
        "(() => { let p = {}; for (let i = 0; i < 100_000; i++) p = new Proxy(p, {}); p.x })()",
    ];
    let source = "export default async (r) => { try { await (0, eval)(await r.text()); return new Response('ended') } catch (e) { return new Response(e.name) } }";
    let function = Bench::shared().function("a.js", source);
    let wrong: Vec<_> = dives
        .iter()
        .filter_map(|dive| {
            let mut running = function.start();
            let first = running.try_serve("POST", "/", &[], dive.as_bytes()).map(|answer| answer.text());
            match first.as_deref() {
                Ok("RangeError" | "SyntaxError" | "InternalError") => {
                    (running.get("/").status != 200).then(|| format!("{dive}: dead"))
                }
                Ok(other) => Some(format!("{dive}: {other}")),
                // Written in C without much of the stack that it watches: the machine below stops it, as cleanly.
                Err(error) if error.root_cause().to_string() == "wasm trap: call stack exhausted" => {
                    let is_native = ["JSON", "new Function", "RegExp", "new Proxy(p"]
                        .iter()
                        .any(|word| dive.contains(word));
                    (!is_native).then(|| (*dive).to_owned())
                }
                Err(error) => Some(format!("{dive}: {:#}", error.root_cause())),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_source_may_be_large_and_no_larger() {
    let one = "export const a = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx';\n";
    let handler = "export default () => new Response('large');";
    let fitting = format!("{handler}\n//{}", "x".repeat((1 << 20) - handler.len() - 3));
    assert_eq!(Bench::shared().function("a.js", &fitting).start().get("/").text(), "large");
    let error = Bench::shared().build("a.js", &format!("{fitting}{one}")).unwrap_err().to_string();
    assert!(error.starts_with("`a.js` has 10") && error.contains("a source may have 1048576"), "{error}");
}

#[test]
fn memory_at_the_top_level_is_bounded() {
    let error =
        Bench::shared().build("a.js", "const a = []; for (;;) a.push(new Uint8Array(1 << 20));").unwrap_err();
    let text = error.to_string();
    assert!(text.contains("out of memory") || text.contains("cannot be loaded"), "{text}");
}

#[test]
fn a_component_is_little_more_than_its_memory() {
    let built = Bench::shared().build("a.js", "export default () => new Response('a')").unwrap();
    assert!(built.component.len() < 660_000, "{} bytes", built.component.len());
}
