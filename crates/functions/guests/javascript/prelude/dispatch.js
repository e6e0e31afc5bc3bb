// From what the host calls to what people wrote.

const define = (values) => {
    for (const name of Object.keys(values))
        Object.defineProperty(globalThis, name, { value: values[name], writable: true, configurable: true, enumerable: false });
};

const listeners = new Map();

define({
    AbortController, AbortSignal, Blob, ByteLengthQueuingStrategy, CountQueuingStrategy, CryptoKey, CustomEvent, DOMException, Event, EventTarget, File,
    FormData, Headers, ReadableStream, ReadableStreamDefaultReader, Request, Response, TextDecoder, TextDecoderStream, TextEncoder, TextEncoderStream,
    TransformStream, URL, URLSearchParams, WritableStream, WritableStreamDefaultWriter,
    atob, btoa, clearInterval: clearTimeout, clearTimeout, console, fetch, queueMicrotask, reportError, setInterval, setTimeout, structuredClone,
    crypto: { getRandomValues, randomUUID, subtle },
    performance: { now: () => host.monotonic(), timeOrigin: 0 },
    navigator: { userAgent: 'Flagbase' },
    self: globalThis,
    flagbase: { flags, kv, buckets, bus, secrets, config, context },
    addEventListener: (type, listener) => listeners.set(`${type}`, listener),
});

const handlers = {};
const NAMES = { requests: ['fetch', 'handle'], events: ['event'], schedules: ['scheduled'] };

// Finds the handlers among what the module exports; says which there are.
const loaded = (exported) => {
    const main = exported.default;
    for (const [kind, names] of Object.entries(NAMES)) {
        for (const name of names) {
            if (handlers[kind]) continue;
            if (typeof exported[name] === 'function') handlers[kind] = exported[name];
            else if (typeof main === 'object' && typeof main?.[name] === 'function') handlers[kind] = main[name].bind(main);
        }
    }
    if (!handlers.requests && typeof main === 'function') handlers.requests = main;
    const listener = listeners.get('fetch');
    if (!handlers.requests && listener) handlers.requests = (request, env, context) => new Promise((resolve) => {
        listener({ type: 'fetch', request, respondWith: resolve, waitUntil: context.waitUntil });
    });
    const found = Object.keys(NAMES).filter((kind) => handlers[kind]);
    if (found.length === 0)
        throw new TypeError('the module handles nothing: it has to export `default { fetch(request) { … } }`, or `event` or `scheduled` beside it');
    return found.join(' ');
};

const contextOf = (pending) => ({
    waitUntil: (promise) => void pending.push(promise),
    passThroughOnException: () => {},
});

const settled = async (pending) => {
    for (const promise of pending) {
        try {
            await promise;
        } catch (error) {
            console.error('a promise given to waitUntil failed:', error);
        }
    }
};

const urlOf = (target, headers) => {
    let authority = 'localhost', scheme = 'http';
    for (let at = 0; at < headers.length; at += 2) {
        if (headers[at] === 'host') authority = headers[at + 1];
        else if (headers[at] === 'x-forwarded-proto' && headers[at + 1] === 'https') scheme = 'https';
    }
    return `${scheme}://${authority}${target}`;
};

const answerOf = (response) => {
    if (!(response instanceof Response))
        throw new TypeError(`the handler has to return a Response; it returned ${show(response, 1)}`);
    if (response.type === 'error') throw new TypeError('the handler returned Response.error()');
    if (response.bodyUsed) throw new TypeError('the body of the response was read already; clone() it first');
    const content = contentOf(response);
    if (content instanceof ReadableStream) return collected(content).then((bytes) => [response.status, listOf(response.headers), bytes]);
    return [response.status, listOf(response.headers), content];
};

const request = (method, target, headers, body) => {
    const pending = [], content = body === null ? null : new Uint8Array(body);
    const answer = handlers.requests(incoming(method, urlOf(target, headers), headers, content), environmentOf(), contextOf(pending));
    if (answer instanceof Response && pending.length === 0) return answerOf(answer);
    return (async () => {
        const response = await answer;
        if (pending.length > 0) await settled(pending);
        return answerOf(response);
    })();
};

const handlerOf = (kind, what) => {
    if (!handlers[kind]) throw new TypeError(`the module does not export \`${what}\``);
    return handlers[kind];
};

class OccurredEvent {
    #data;
    constructor(id, subject, kind, time, contentType, data, attempt) {
        Object.assign(this, { id, subject, type: kind, time: new Date(time), contentType, attempt });
        this.#data = new Uint8Array(data);
    }
    bytes() { return this.#data.slice(); }
    text() { return utf8(this.#data); }
    json() { return JSON.parse(utf8(this.#data)); }
}

const event = async (...parts) => {
    const pending = [];
    await handlerOf('events', 'event')(new OccurredEvent(...parts), environmentOf(), contextOf(pending));
    await settled(pending);
};

const tick = async (schedule, time) => {
    const pending = [];
    await handlerOf('schedules', 'scheduled')({ schedule, cron: schedule, time: new Date(time), scheduledTime: Date.parse(time) }, environmentOf(), contextOf(pending));
    await settled(pending);
};

// What went wrong, in words; `log` writes it, with where, to the log.
const describe = (reason, log) => {
    const text = reason instanceof Error ? `${reason.name}: ${reason.message}` : show(reason, 1);
    if (!log) {
        const stack = reason instanceof Error ? ownStack(reason) : '';
        return stack ? `${text}\n${stack}` : text;
    }
    host.log(LEVELS.error, 'uncaught ' + (reason instanceof Error ? showError(reason, 0, []) : text));
    return text;
};

return { loaded, request, event, tick, timers, describe };
