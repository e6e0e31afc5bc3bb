//! The interfaces of the web, by what they do.

use super::bench::{Bench, Running};

/// Answers with what the body of the request is as an expression, or with the name of the error.
const EVALUATE: &str = "export default async (request) => {
    try {
        return Response.json((await (0, eval)(`(async () => (${await request.text()}))()`)) ?? null);
    } catch (error) {
        return Response.json(error.name);
    }
};";

pub(super) fn evaluator() -> Running {
    Bench::shared().function("a.js", EVALUATE).start()
}

pub(super) fn value(running: &mut Running, expression: &str) -> String {
    running.serve("POST", "/", &[], expression.as_bytes()).text()
}

/// Each line: an expression, ` => `, what it is as JSON.
fn hold(table: &str) {
    let mut running = evaluator();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (expression, expected) = line.rsplit_once(" => ").unwrap();
        assert_eq!(value(&mut running, expression.trim()), expected, "{expression}");
    }
}

#[test]
fn urls() {
    hold(
        r#"
        new URL('https://Example.COM:443/a/../b/./c?x=1#y').href => "https://example.com/b/c?x=1#y"
        new URL('//y/z', 'http://h/a').href => "http://y/z"
        new URL('///y', 'http://h/a').href => "http://y/"
        new URL('../a?q', 'http://h/b/c/d').href => "http://h/b/a?q"
        new URL('http://user:pa%20ss@h:8080/').password => "pa%20ss"
        new URL('http://0x7f.1/').host => "127.0.0.1"
        new URL('http://[2001:db8::1:0:0:1]/').host => "[2001:db8::1:0:0:1]"
        new URL('http://münchen.de/ü?ü#ü').href => "http://xn--mnchen-3ya.de/%C3%BC?%C3%BC#%C3%BC"
        new URL('mailto:alice@example.com').pathname => "alice@example.com"
        new URL('http://a b/') => "TypeError"
        new URL('x') => "TypeError"
        URL.canParse('x', 'http://a') => true
        URL.parse('http://256.1.1.1/') => null
        new URL('http://a/b').origin => "http://a"
        new URL('file:///a').origin => "null"
        (() => { const u = new URL('http://a/b?c#d'); u.pathname = 'x y'; u.port = '81'; u.search = 'q=1'; u.hash = ''; return u })() => "http://a:81/x%20y?q=1"
        (() => { const u = new URL('http://a/?x=1'); u.searchParams.append('y', 'a b&'); return [u.href, u.search] })() => ["http://a/?x=1&y=a+b%26","?x=1&y=a+b%26"]
        (() => { const u = new URL('http://a/?x=1'); const p = u.searchParams; u.search = '?z=2'; return p.get('z') })() => "2"
        "#,
    );
}

#[test]
fn parameters() {
    hold(
        r#"
        new URLSearchParams('?a=1&b=2&a=3').getAll('a') => ["1","3"]
        new URLSearchParams('a=b+c%20d&%zz=%41&=x&y=').toString() => "a=b+c+d&%25zz=A&=x&y="
        new URLSearchParams({ a: 'ü ~*-._' }).toString() => "a=%C3%BC+%7E*-._"
        [...new URLSearchParams([['a', '1'], ['b', '2']])] => [["a","1"],["b","2"]]
        new URLSearchParams('b=1&a=2&b=3').size => 3
        (() => { const p = new URLSearchParams('b=1&a=2&b=3'); p.sort(); p.set('b', '9'); p.delete('a'); return `${p}` })() => "b=9"
        new URLSearchParams('a=1').has('a', '2') => false
        new URLSearchParams([['a']]) => "TypeError"
        "#,
    );
}

#[test]
fn headers() {
    hold(
        r#"
        [...new Headers({ B: '2', a: ' 1 ' })] => [["a","1"],["b","2"]]
        new Headers([['a', '1'], ['A', '2']]).get('a') => "1, 2"
        new Headers([['set-cookie', 'x'], ['Set-Cookie', 'y']]).getSetCookie() => ["x","y"]
        (() => { const h = new Headers({ a: '1' }); h.set('A', '2'); h.append('a', '3'); h.delete('b'); return h.get('a') })() => "2, 3"
        new Headers({ 'a b': '1' }) => "TypeError"
        new Headers({ a: 'x\ny' }) => "TypeError"
        new Headers({ a: '€' }) => "TypeError"
        new Headers().get('a') => null
        "#,
    );
}

#[test]
fn requests_and_responses() {
    hold(
        r#"
        (async () => { const r = Response.json({ a: 1 }, { status: 201 }); return [r.status, r.headers.get('content-type'), await r.json()] })() => [201,"application/json",{"a":1}]
        (() => { const r = Response.redirect('http://a/b', 301); return [r.status, r.headers.get('location')] })() => [301,"http://a/b"]
        Response.redirect('http://a/b', 200) => "RangeError"
        new Response('x', { status: 204 }) => "TypeError"
        new Response('x', { status: 600 }) => "RangeError"
        (async () => { const r = new Response('x'); await r.text(); return r.text() })() => "TypeError"
        (async () => { const r = new Response('é'), c = r.clone(); return [await r.text(), [...await c.bytes()], r.bodyUsed, r.ok] })() => ["é",[195,169],true,true]
        new Response(new URLSearchParams('a=b c')).headers.get('content-type') => "application/x-www-form-urlencoded;charset=UTF-8"
        new Response(new Uint8Array([0xEF, 0xBB, 0xBF, 65, 0xFF])).text() => "A\uFFFD"
        new Response('{').json() => "SyntaxError"
        new Response(null).body => null
        (async () => { const r = new Request('http://a/b?c', { method: 'post', body: 'x', headers: { a: 'b' } }); return [r.method, r.url, r.headers.get('content-type'), await r.text()] })() => ["POST","http://a/b?c","text/plain;charset=UTF-8","x"]
        new Request('http://a', { body: 'x' }) => "TypeError"
        new Request('nope') => "TypeError"
        (async () => { const s = new Request(new Request('http://a', { method: 'put', body: 'q' }), { headers: { x: 'y' } }); return [s.method, s.headers.get('x'), await s.text()] })() => ["PUT","y","q"]
        "#
        .replace("\\uFFFD", "\u{FFFD}")
        .as_str(),
    );
}

#[test]
fn forms_and_blobs() {
    hold(
        r#"
        new Response('a=1&b=x+y', { headers: { 'content-type': 'application/x-www-form-urlencoded' } }).formData().then((f) => [...f]) => [["a","1"],["b","x y"]]
        (async () => { const f = new FormData(); f.append('a', 'ü'); f.append('f', new Blob(['abc'], { type: 'x/y' }), 'n"m.txt'); const g = await new Response(f).formData(), b = g.get('f'); return [g.get('a'), b.name, b.type, b.size, await b.text()] })() => ["ü","n\"m.txt","x/y",3,"abc"]
        new Response('x', { headers: { 'content-type': 'multipart/form-data; boundary=b' } }).formData() => "TypeError"
        new Response('x').formData() => "TypeError"
        (async () => { const b = new Blob(['ab', new Uint8Array([99])], { type: 'A/B' }); return [b.size, b.type, await b.text(), await b.slice(1, 2).text()] })() => [3,"a/b","abc","b"]
        "#,
    );
}

#[test]
fn text_and_bytes() {
    hold(
        r#"
        [...new TextEncoder().encode('aü€\u{1F600}\uD800')] => [97,195,188,226,130,172,240,159,152,128,239,191,189]
        new TextEncoder().encodeInto('aü', new Uint8Array(2)) => {"read":1,"written":1}
        new TextDecoder().decode(new Uint8Array([0xEF, 0xBB, 0xBF, 0xC3, 0xBC])) => "ü"
        new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xFF])) => "TypeError"
        new TextDecoder('latin1').decode(new Uint8Array([0xFC])) => "ü"
        new TextDecoder('koi8-r') => "RangeError"
        (() => { const d = new TextDecoder(); return d.decode(new Uint8Array([0xE2, 0x82]), { stream: true }) + d.decode(new Uint8Array([0xAC])) })() => "€"
        btoa('hé') => "aOk="
        btoa('€') => "InvalidCharacterError"
        atob(' aO k = ') => "hé"
        atob('a') => "InvalidCharacterError"
        atob('ab=c') => "InvalidCharacterError"
        "#,
    );
}

#[test]
fn digests_and_signatures() {
    hold(
        r#"
        (globalThis.hex = (b) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, '0')).join(''), 0) => 0
        crypto.subtle.digest('SHA-1', new TextEncoder().encode('abc')).then(hex) => "a9993e364706816aba3e25717850c26c9cd0d89d"
        crypto.subtle.digest({ name: 'sha-256' }, new TextEncoder().encode('abc')).then(hex) => "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        crypto.subtle.digest('SHA-384', new Uint8Array(0)).then((b) => hex(b).slice(0, 32)) => "38b060a751ac96384cd9327eb1b1e36a"
        crypto.subtle.digest('SHA-512', new Uint8Array(0)).then((b) => hex(b).slice(0, 32)) => "cf83e1357eefb8bdf1542850d66d8007"
        crypto.subtle.digest('MD5', new Uint8Array(0)) => "NotSupportedError"
        (async () => { globalThis.key = await crypto.subtle.importKey('raw', new TextEncoder().encode('key'), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']); return key.type })() => "secret"
        crypto.subtle.sign('HMAC', key, new TextEncoder().encode('The quick brown fox jumps over the lazy dog')).then(hex) => "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
        (async () => { const d = new TextEncoder().encode('a'), s = await crypto.subtle.sign('HMAC', key, d); return [await crypto.subtle.verify('HMAC', key, s, d), await crypto.subtle.verify('HMAC', key, s, s)] })() => [true,false]
        crypto.getRandomValues(new Uint32Array(4)).some((n) => n > 0) => true
        crypto.getRandomValues(new Uint8Array(65537)) => "QuotaExceededError"
        "#,
    );
}

#[test]
fn copies() {
    hold(
        r#"
        structuredClone({ a: [1, { b: new Map([[1, new Set([2])]]) }], d: new Date(0) }).a[1].b.get(1).has(2) => true
        (() => { const a = { n: 1 }; a.self = a; const b = structuredClone(a); return b.self === b && b !== a })() => true
        structuredClone(() => 1) => "DataCloneError"
        structuredClone(new RangeError('x')) instanceof RangeError => true
        [...structuredClone(new Uint16Array([1, 2]))] => [1,2]
        "#,
    );
}

#[test]
fn signals() {
    hold(
        r#"
        (() => { const c = new AbortController(); let seen = 0; c.signal.addEventListener('abort', () => seen++); c.abort(); c.abort(); return [seen, c.signal.aborted, c.signal.reason.name] })() => [1,true,"AbortError"]
        AbortSignal.abort('why').reason => "why"
        AbortSignal.any([AbortSignal.abort(), new AbortController().signal]).aborted => true
        new Promise((done) => { AbortSignal.timeout(5).addEventListener('abort', (e) => done(e.target.reason.name)) }) => "TimeoutError"
        "#,
    );
}

#[test]
fn streams_are_written_changed_and_piped() {
    hold(
        r#"
        (async () => { const seen = []; await ReadableStream.from(['a', 'b']).pipeTo(new WritableStream({ write(chunk) { seen.push(chunk) }, close() { seen.push('end') } })); return seen })() => ["a","b","end"]
        (async () => { const out = []; for await (const chunk of ReadableStream.from(['a', 'b']).pipeThrough(new TransformStream({ transform(chunk, c) { c.enqueue(chunk.toUpperCase()) }, flush(c) { c.enqueue('!') } }))) out.push(chunk); return out })() => ["A","B","!"]
        (async () => { const out = []; for await (const chunk of ReadableStream.from(['ß\ud83d', '\ude00']).pipeThrough(new TextEncoderStream())) out.push(...chunk); return out })() => [195,159,240,159,152,128]
        (async () => { let out = ''; for await (const chunk of ReadableStream.from([new Uint8Array([0xe2, 0x82]), new Uint8Array([0xac])]).pipeThrough(new TextDecoderStream())) out += chunk; return out })() => "€"
        (async () => { const t = new TransformStream(), w = t.writable.getWriter(), text = new Response(t.readable).text(); await w.write(new TextEncoder().encode('a')); await w.close(); return text })() => "a"
        (async () => { const w = new WritableStream({ write() { throw new RangeError('no') } }).getWriter(); return [w.desiredSize, await w.write(1).catch((e) => e.name), await w.closed.catch((e) => e.name), w.desiredSize] })() => [1,"RangeError","RangeError",null]
        (async () => { const seen = []; await new ReadableStream({ pull(c) { c.enqueue('a') }, cancel(e) { seen.push('cancel ' + e.name) } }).pipeTo(new WritableStream({ write() { throw new RangeError('x') } })).catch((e) => seen.push(e.name)); return seen })() => ["cancel RangeError","RangeError"]
        (async () => { const seen = []; await new ReadableStream({ start(c) { c.error(new RangeError('x')) } }).pipeTo(new WritableStream({ abort(e) { seen.push('abort ' + e.name) } })).catch((e) => seen.push(e.name)); return seen })() => ["abort RangeError","RangeError"]
        (async () => { const c = new AbortController(), done = new ReadableStream().pipeTo(new WritableStream(), { signal: c.signal }); c.abort('enough'); return done.catch((e) => e) })() => "enough"
        (async () => { let pulls = 0; const s = new ReadableStream({ pull(c) { while (c.desiredSize > 0) c.enqueue(pulls++) } }, { highWaterMark: 3 }); await s.getReader().read(); return pulls })() => 4
        new ReadableStream().pipeThrough({}) => "TypeError"
        new WritableStream().getWriter().releaseLock() => null
        "#,
    );
}
