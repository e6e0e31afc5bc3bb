//! What a module exports, and what comes in and goes out.

use flagbase_core::functions::Serves;

use super::bench::Bench;

#[test]
fn a_request_is_answered() {
    let function = Bench::shared()
        .function("hello.js", "export default { fetch(request) { return new Response('hello'); } }");
    let answer = function.start().get("/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.header("content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(function.built.serves, [Serves::Requests]);
}

#[test]
fn handlers_are_found_however_they_are_exported() {
    let sources = [
        "export default { fetch(r) { return new Response(r.method + ' ' + r.url) } }",
        "export default { handle: async (r) => new Response(r.method + ' ' + r.url) }",
        "export default function handle(r) { return new Response(r.method + ' ' + r.url) }",
        "export default async (r) => new Response(r.method + ' ' + r.url)",
        "export async function fetch(r) { await null; return new Response(r.method + ' ' + r.url) }",
        "export function handle(r) { return new Response(r.method + ' ' + r.url) }",
        "addEventListener('fetch', (e) => e.respondWith(new Response(e.request.method + ' ' + e.request.url)))",
        "class App { fetch(r) { return new Response(this.show(r)) } show(r) { return r.method + ' ' + r.url } }\n\
         export default new App();",
    ];
    for source in sources {
        let function = Bench::shared().function("a.js", source);
        let answer = function.start().serve("POST", "/a%20b?c=d", &[], b"");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "POST http://example.com/a%20b?c=d"),
            "{source}"
        );
    }
}

#[test]
fn bodies_and_headers_go_in_and_out() {
    let source = "export default { async fetch(r) {
        const bytes = await r.clone().bytes();
        return new Response(bytes.reverse(), { status: 201, headers: [
            ['X-Length', bytes.length], ['x-type', r.headers.get('Content-Type')], ['Set-Cookie', 'a=1'], ['Set-Cookie', 'b=2'],
            ['x-text', (await r.text()).length] ] });
    } }";
    let function = Bench::shared().function("a.js", source);
    let answer = function.start().serve("PUT", "/", &[("content-type", "x/y")], &[1, 2, 0xFF]);
    assert_eq!((answer.status, answer.body.as_slice()), (201, &[0xFF, 2, 1][..]));
    let headers: Vec<_> = answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(headers, ["x-length: 3", "x-type: x/y", "set-cookie: a=1", "set-cookie: b=2", "x-text: 3"]);
}

#[test]
fn a_large_body_passes() {
    let function =
        Bench::shared().function("a.js", "export default async (r) => new Response(await r.text())");
    let body = "grüße ".repeat(200_000);
    let mut running = function.start();
    for _ in 0..3 {
        assert_eq!(running.serve("POST", "/", &[], body.as_bytes()).body, body.as_bytes());
    }
}

#[test]
fn events_and_schedules_reach_their_handlers() {
    let source = "export default {
        async event(event, env) { await null; console.log(event.subject, event.json().a, event.attempt, env.GREETING, event.time.getUTCFullYear()); },
        scheduled(tick) { console.warn(tick.schedule, tick.time.toISOString()); },
    }";
    let function = Bench::shared().function("a.js", source);
    assert_eq!(function.built.serves, [Serves::Events, Serves::Schedules]);
    let mut running = function.start();
    assert_eq!(running.receive("orders.created", br#"{"a":[1]}"#), Ok(()));
    assert_eq!(running.tick(), Ok(()));
    assert_eq!(
        running.world().log,
        ["info orders.created [1] 2 hi 2026", "warn 0 3 * * * 2026-01-02T03:00:00.000Z"]
    );
    let failing = Bench::shared().function("a.js", "export function event() { throw new Error('not now') }");
    assert_eq!(failing.start().receive("a", b""), Err("Error: not now".to_owned()));
}

#[test]
fn a_fresh_instance_begins_with_what_the_deploy_left_and_a_warm_one_goes_on() {
    let source = "let count = 40; count++; const table = new Map([['a', { deep: [1, 2] }]]);
        export default () => Response.json([++count, table.get('a')]);";
    let function = Bench::shared().function("a.js", source);
    let mut first = function.start();
    assert_eq!(first.get("/").text(), r#"[42,{"deep":[1,2]}]"#);
    assert_eq!(first.get("/").text(), r#"[43,{"deep":[1,2]}]"#);
    assert_eq!(
        function.start().get("/").text(),
        r#"[42,{"deep":[1,2]}]"#,
        "nothing is left of the other instance"
    );
}

#[test]
fn chance_and_time_are_not_those_of_the_deploy() {
    let source = "const then = [Math.random(), Date.now()];
        export default () => Response.json([then, Math.random(), Date.now(), crypto.randomUUID()]);";
    let answer = Bench::shared().function("a.js", source).start().get("/").text();
    let value: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_ne!(value[0][0], value[1]);
    assert_eq!((&value[0][1], &value[2]), (&0.into(), &1_767_323_045_000_i64.into()));
    let uuid = value[3].as_str().unwrap();
    assert_eq!((uuid.len(), uuid.as_bytes()[14]), (36, b'4'));
}

#[test]
fn timers_run_in_their_order_until_the_answer_is_there() {
    let source = "export default async () => {
        const seen = [];
        setTimeout(() => seen.push('never'), 60_000);
        const gone = setTimeout(() => seen.push('gone'), 1);
        clearTimeout(gone);
        await new Promise((done) => { setTimeout(done, 20); setTimeout((a) => seen.push(a), 5, 'early'); queueMicrotask(() => seen.push('micro')); });
        const ticks = await new Promise((done) => { let n = 0; const t = setInterval(() => { if (++n === 3) { clearInterval(t); done(n); } }, 2); });
        return Response.json([seen, ticks]);
    }";
    assert_eq!(Bench::shared().function("a.js", source).start().get("/").text(), r#"[["micro","early"],3]"#);
}

#[test]
fn what_waits_until_later_is_done_before_the_call_ends() {
    let source = "export default { fetch(r, env, context) {
        context.waitUntil((async () => { await null; console.log('later'); })());
        context.waitUntil(Promise.reject(new Error('lost')));
        return new Response('now');
    } }";
    let function = Bench::shared().function("a.js", source);
    let mut running = function.start();
    assert_eq!(running.get("/").text(), "now");
    assert_eq!(running.world().log[0], "info later");
    assert!(running.world().log[1].starts_with("error a promise given to waitUntil failed: Error: lost"));
}
