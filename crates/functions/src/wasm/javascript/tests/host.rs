//! What Flagbase offers, as modules see it.

use super::bench::{Bench, of_text};

/// What an expression is, as JSON.
fn value(running: &mut super::bench::Running, expression: &str) -> String {
    running.serve("POST", "/", &[], expression.as_bytes()).text()
}

const EVALUATE: &str = "import { flags, kv, bus, secrets, config, context } from 'flagbase';
    const names = { flags, kv, bus, secrets, config, context };
    export default async (request, env) => {
        try {
            const run = new Function('env', ...Object.keys(names), `return (async () => (${await request.text()}))()`);
            return Response.json((await run(env, ...Object.values(names))) ?? null);
        } catch (error) {
            return Response.json(`${error}`);
        }
    };";

#[test]
fn everything_of_flagbase_is_there() {
    let mut running = Bench::shared().function("a.js", EVALUATE).start();
    let cases = [
        ("flags.boolean('new-page', false)", "true"),
        ("flags.boolean('other', true)", "false"),
        ("flags.text('color', 'red')", r#""blue""#),
        ("flags.number('share', 1)", "0.5"),
        ("flags.json('rules', [])", r#"{"a":[1]}"#),
        ("flags.explain('rules')", r#"{"value":{"a":[1]},"variant":"first","reason":"SPLIT"}"#),
        ("kv.get('none')", "null"),
        ("kv.set('a', { b: 'ü' })", "null"),
        ("kv.get('a')", r#""{\"b\":\"ü\"}""#),
        ("kv.get('a', 'json')", r#"{"b":"ü"}"#),
        ("kv.get('a', 'bytes').then((b) => b.length)", "10"),
        ("kv.has('a')", "true"),
        ("kv.swap('a', { b: 'ü' }, 'new')", "true"),
        ("kv.swap('a', null, 'x')", "false"),
        ("kv.increment('n')", "1"),
        ("kv.increment('n', 41)", "42"),
        ("kv.list({ prefix: 'a' })", r#"{"keys":["a"],"next":"zz"}"#),
        ("kv.delete('a')", "null"),
        ("kv.has('a')", "false"),
        ("kv.store('other').get('a')", r#""Error: there is no key-value store `other`""#),
        ("bus.publish('orders.created', { id: 1 })", "null"),
        ("secrets.get('token')", r#""Error: secrets are not granted to this function""#),
        ("config.get('GREETING')", r#""hi""#),
        ("config.get('none')", "null"),
        ("config.all()", r#"{"GREETING":"hi"}"#),
        (
            "[env.GREETING, env.none ?? 0, 'GREETING' in env, Object.keys(env), { ...env }]",
            r#"["hi",0,true,["GREETING"],{"GREETING":"hi"}]"#,
        ),
        (
            "context.caller",
            r#"{"id":"u1","email":"alice@example.com","role":"developer","groups":["a","b"]}"#,
        ),
        (
            "[context.function, context.version, context.environment, context.requestId]",
            r#"["test",3,"dev","r1"]"#,
        ),
        ("flagbase.flags === flags", "true"),
    ];
    for (expression, expected) in cases {
        assert_eq!(value(&mut running, expression), expected, "{expression}");
    }
    assert_eq!(running.world().published, [("orders.created".to_owned(), br#"{"id":1}"#.to_vec())]);
}

#[test]
fn fetch_asks_the_outside_and_follows() {
    let mut running = Bench::shared().function("a.js", EVALUATE).start();
    let cases = [
        ("fetch('https://a.example/x').then((r) => r.text())", r#""GET https://a.example/x ""#),
        (
            "fetch('https://a.example/x', { method: 'POST', body: 'hi' }).then((r) => r.text())",
            r#""POST https://a.example/x hi""#,
        ),
        (
            "fetch(new Request('https://a.example/x#y')).then((r) => [r.status, r.ok, r.url, r.headers.get('content-type')])",
            r#"[200,true,"https://a.example/x","text/plain"]"#,
        ),
        (
            "fetch('https://a.example/moved', { method: 'POST', body: 'hi' }).then(async (r) => [r.redirected, r.url, await r.text()])",
            r#"[true,"https://a.example/there","GET https://a.example/there "]"#,
        ),
        (
            "fetch('https://a.example/moved', { redirect: 'manual' }).then((r) => [r.status, r.headers.get('location')])",
            r#"[302,"/there"]"#,
        ),
        (
            "fetch('https://a.example/moved', { redirect: 'error' })",
            r#""TypeError: fetch failed: `https://a.example/moved` redirects to `/there`""#,
        ),
        ("fetch('https://a.example/denied')", r#""TypeError: fetch failed: `outbound` does not grant it""#),
        (
            "fetch('https://a.example/slow', { signal: AbortSignal.timeout(5) })",
            r#""TimeoutError: the time is over""#,
        ),
        (
            "fetch('https://a.example/x', { signal: AbortSignal.abort() })",
            r#""AbortError: the operation was aborted""#,
        ),
        (
            "fetch('ftp://a.example/x')",
            r#""TypeError: fetch failed: `ftp://a.example/x` is neither http nor https""#,
        ),
        ("fetch('nonsense')", r#""TypeError: `nonsense` is not a URL""#),
    ];
    for (expression, expected) in cases {
        assert_eq!(value(&mut running, expression), expected, "{expression}");
    }
    let sent = format!("{:?}", running.world().sent);
    assert!(sent.contains("content-type"), "a body of text has its type: {sent}");
    assert_eq!(of_text(&wasmtime::component::Val::String("a".to_owned())), "a");
}

#[test]
fn the_console_shows_values_as_they_look() {
    let mut running = Bench::shared().function("a.js", EVALUATE).start();
    let cases = [
        ("console.log('a', 1, null, undefined, true, 1n, -0)", "info a 1 null undefined true 1n -0"),
        (
            "console.debug({ a: [1, 'x'], 'b-c': { d: new Map([[1, 2]]) } })",
            "debug { a: [1, 'x'], 'b-c': { d: Map { 1 => 2 } } }",
        ),
        ("console.warn('%s has %d of %o', 'a', 2, { b: 1 }, 'more')", "warn a has 2 of { b: 1 } more"),
        (
            "console.error(new Date(0), /a/g, new Set([1]), [undefined], () => 1, class A {})",
            "error 1970-01-01T00:00:00.000Z /a/g Set { 1 } [undefined] [function (anonymous)] [class A]",
        ),
        ("(() => { const a = {}; a.a = a; console.info(a) })()", "info { a: [circular] }"),
        (
            "console.log(new Uint8Array([1, 2]), new ArrayBuffer(3), new Headers({ a: 'b' }), new URL('http://a/'))",
            "info Uint8Array [1, 2] ArrayBuffer { 3 bytes } Headers { 'a': 'b' } URL { 'http://a/' }",
        ),
        ("(console.group('g'), console.log('in'), console.groupEnd(), console.log('out'))", "info out"),
        ("console.assert(false, 'why')", "error assertion failed: why"),
        ("reportError('lost')", "error uncaught 'lost'"),
    ];
    for (expression, expected) in cases {
        assert_eq!(value(&mut running, expression), "null", "{expression}");
        assert_eq!(running.world().log.last().map(String::as_str), Some(expected), "{expression}");
    }
}
