// Requests and responses, as the Fetch Standard has them, with bodies that are there at once.

// ---- Headers

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const LOWER = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const WRONG_VALUE = /[\0\r\n]|[^\0-\xFF]/;

const headerName = (name) => {
    name = `${name}`;
    if (LOWER.test(name)) return name;
    if (!TOKEN.test(name)) throw new TypeError(`\`${name}\` is no name of a header`);
    return name.toLowerCase();
};

const headerValue = (value) => {
    value = `${value}`.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, '');
    if (WRONG_VALUE.test(value)) throw new TypeError(`\`${value}\` is no value of a header`);
    return value;
};

let headersOf, listOf, frozen;

class Headers {
    // Names in lower case and values, by turns.
    #list; #fixed = false;
    constructor(init) {
        this.#list = [];
        if (init === undefined) return;
        if (init === null || typeof init !== 'object') throw new TypeError('headers are an object or a list of pairs');
        if (init instanceof Headers) {
            this.#list = [...init.#list];
        } else if (init[Symbol.iterator]) {
            for (const pair of init) {
                const parts = Array.from(pair);
                if (parts.length !== 2) throw new TypeError('each header has a name and a value');
                this.append(parts[0], parts[1]);
            }
        } else {
            for (const name of Reflect.ownKeys(init)) this.append(name, init[name]);
        }
    }
    static {
        // Around a list as it came, unchecked.
        headersOf = (list) => {
            const headers = new Headers();
            headers.#list = list;
            return headers;
        };
        listOf = (headers) => headers.#list;
        frozen = (headers) => {
            headers.#fixed = true;
            return headers;
        };
    }
    #change() {
        if (this.#fixed) throw new TypeError('these headers cannot be changed; make a new Response');
    }
    append(name, value) {
        needed(arguments, 2);
        this.#change();
        name = headerName(name);
        this.#list.push(name, headerValue(value));
    }
    delete(name) {
        this.#change();
        name = headerName(name);
        const list = this.#list;
        for (let at = list.length - 2; at >= 0; at -= 2) if (list[at] === name) list.splice(at, 2);
    }
    get(name) {
        name = headerName(name);
        const list = this.#list;
        let found = null;
        for (let at = 0; at < list.length; at += 2)
            if (list[at] === name) found = found === null ? list[at + 1] : `${found}, ${list[at + 1]}`;
        return found;
    }
    getSetCookie() { return this.#list.filter((_, at, list) => at % 2 === 1 && list[at - 1] === 'set-cookie'); }
    has(name) {
        name = headerName(name);
        return this.#list.some((item, at) => at % 2 === 0 && item === name);
    }
    set(name, value) {
        needed(arguments, 2);
        this.#change();
        name = headerName(name);
        value = headerValue(value);
        const list = this.#list;
        for (let at = 0; at < list.length; at += 2) {
            if (list[at] !== name) continue;
            list[at + 1] = value;
            for (let more = list.length - 2; more > at; more -= 2) if (list[more] === name) list.splice(more, 2);
            return;
        }
        list.push(name, value);
    }
    forEach(callback, self) {
        for (const [name, value] of this) callback.call(self, value, name, this);
    }
    *entries() {
        const names = [...new Set(this.#list.filter((_, at) => at % 2 === 0))].sort();
        for (const name of names) {
            if (name === 'set-cookie') for (const value of this.getSetCookie()) yield [name, value];
            else yield [name, this.get(name)];
        }
    }
    *keys() {
        for (const [name] of this.entries()) yield name;
    }
    *values() {
        for (const [, value] of this.entries()) yield value;
    }
    [Symbol.iterator]() { return this.entries(); }
    get [Symbol.toStringTag]() { return 'Headers'; }
}

// ---- Bodies

// What a value is as a body: text or bytes, and its media type.
const bodyOf = (value) => {
    if (value === null || value === undefined) return [null, null];
    if (typeof value === 'string') return [value, 'text/plain;charset=UTF-8'];
    const bytes = bytesOf(value);
    if (bytes) return [bytes.slice(), null];
    if (value instanceof Blob) return [blobBytes(value), value.type || null];
    if (value instanceof URLSearchParams) return [`${value}`, 'application/x-www-form-urlencoded;charset=UTF-8'];
    if (value instanceof FormData) return multipart(value);
    if (value instanceof ReadableStream) {
        if (value.locked || isDisturbed(value)) throw new TypeError('the stream was read already');
        return [value, null];
    }
    return [`${value}`, 'text/plain;charset=UTF-8'];
};

let contentOf, cloneContent, takeContent, replaceContent;

class Body {
    // A string, bytes, a stream, or null; and the stream that was made of one of the former.
    #content; #used = false; #stream = null;
    constructor(content) { this.#content = content; }
    static {
        contentOf = (body) => body.#content;
        takeContent = (body) => body.#take();
        cloneContent = (body) => {
            if (body.bodyUsed || body.#locked()) throw new TypeError('the body was read already');
            if (!(body.#content instanceof ReadableStream)) return body.#content;
            const [mine, other] = body.#content.tee();
            body.#content = mine;
            return other;
        };
        replaceContent = (body, content) => {
            body.#content = content;
        };
    }
    get body() {
        if (this.#content === null || this.#content instanceof ReadableStream) return this.#content;
        return (this.#stream ??= streamOf(this.#content));
    }
    #streaming() { return this.#content instanceof ReadableStream ? this.#content : this.#stream; }
    #locked() { return this.#streaming()?.locked ?? false; }
    get bodyUsed() {
        const stream = this.#streaming();
        return this.#used || (stream !== null && isDisturbed(stream));
    }
    #take() {
        if (this.bodyUsed || this.#locked()) throw new TypeError('the body was read already; clone() it first to read it twice');
        this.#used = this.#content !== null;
        return this.#content;
    }
    async #bytes() {
        const content = this.#take();
        if (content === null) return new Uint8Array(0);
        if (content instanceof ReadableStream) return collected(content);
        return typeof content === 'string' ? encode(content) : content;
    }
    async #text() {
        const content = this.#take();
        if (content === null) return '';
        if (content instanceof ReadableStream) return utf8(await collected(content));
        return typeof content === 'string' ? content.toWellFormed().replace(/^\uFEFF/, '') : utf8(content);
    }
    async text() { return this.#text(); }
    async json() { return JSON.parse(await this.#text()); }
    async bytes() { return (await this.#bytes()).slice(); }
    async arrayBuffer() { return (await this.#bytes()).slice().buffer; }
    async blob() { return new Blob([await this.#bytes()], { type: this.headers.get('content-type') ?? '' }); }
    async formData() {
        const type = this.headers.get('content-type') ?? '';
        if (/^application\/x-www-form-urlencoded/i.test(type)) return formOf(parseForm(await this.#text()));
        if (/^multipart\/form-data/i.test(type)) return parseMultipart(await this.#bytes(), type);
        throw new TypeError(`a body of type \`${type}\` is no form`);
    }
}

// ---- Request

const METHODS = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'];

const methodOf = (method) => {
    method = `${method}`;
    if (!TOKEN.test(method)) throw new TypeError(`\`${method}\` is no method`);
    const upper = method.toUpperCase();
    if (upper === 'TRACE' || upper === 'CONNECT' || upper === 'TRACK') throw new TypeError(`the method \`${method}\` cannot be used`);
    return METHODS.includes(upper) ? upper : method;
};

// Where requests go: no secrets in it, which would end up in logs.
const locationOf = (input) => {
    const url = new URL(input);
    if (url.username !== '' || url.password !== '') throw new TypeError('a request cannot go to a URL with a name and password in it');
    return url.href;
};

const oneOf = (value, known, what) => {
    if (value !== undefined && !known.includes(value)) throw new TypeError(`\`${value}\` is no ${what}`);
    return value;
};

let incoming;

class Request extends Body {
    #method; #url; #headers; #signal; #redirect;
    constructor(input, init = {}) {
        const from = input instanceof Request ? input : null;
        if (input === INCOMING) {
            super(init.content);
            this.#method = init.method;
            this.#url = init.url;
            this.#headers = headersOf(init.headers);
            return;
        }
        const method = methodOf(init.method ?? from?.method ?? 'GET');
        const given = init.body !== undefined && init.body !== null;
        if (given && (method === 'GET' || method === 'HEAD')) throw new TypeError(`a ${method} request has no body`);
        const [content, type] = given ? bodyOf(init.body) : [from ? takeContent(from) : null, null];
        super(content);
        this.#method = method;
        this.#url = from ? from.#url : locationOf(input);
        this.#headers = new Headers(init.headers ?? from?.headers);
        if (type && !this.#headers.has('content-type')) this.#headers.set('content-type', type);
        this.#signal = init.signal ?? from?.signal;
        this.#redirect = oneOf(init.redirect, ['follow', 'error', 'manual'], 'way to take redirections') ?? from?.redirect ?? 'follow';
    }
    static {
        incoming = (method, url, headers, content) => new Request(INCOMING, { method, url, headers, content });
    }
    get method() { return this.#method; }
    get url() { return this.#url; }
    get headers() { return this.#headers; }
    get signal() { return (this.#signal ??= new AbortController().signal); }
    get redirect() { return this.#redirect ?? 'follow'; }
    // What only browsers have: as it is there when nothing was said.
    get credentials() { return 'same-origin'; }
    get mode() { return 'cors'; }
    get cache() { return 'default'; }
    get integrity() { return ''; }
    get keepalive() { return false; }
    clone() {
        const copy = incoming(this.#method, this.#url, [...listOf(this.#headers)], cloneContent(this));
        copy.#signal = this.#signal;
        copy.#redirect = this.#redirect;
        return copy;
    }
    get [Symbol.toStringTag]() { return 'Request'; }
}
const INCOMING = Symbol('incoming');

// ---- Response

const NO_BODY = [101, 103, 204, 205, 304];

let fetched;

// What most responses have beside status, headers and content.
const PLAIN = Object.freeze({ statusText: '', url: '', type: 'default', redirected: false });

class Response extends Body {
    #status = 200; #headers; #more = PLAIN;
    constructor(value = null, init) {
        const [content, type] = bodyOf(value);
        super(content);
        this.#headers = new Headers(init?.headers);
        if (init) this.#describe(init, content !== null);
        const list = listOf(this.#headers);
        if (type && (list.length === 0 || !this.#headers.has('content-type'))) list.push('content-type', type);
    }
    #describe(init, hasContent) {
        const status = init.status === undefined ? 200 : Math.trunc(Number(init.status));
        if (!(status >= 200 && status <= 599)) throw new RangeError(`a response cannot have the status ${init.status}`);
        if (hasContent && NO_BODY.includes(status)) throw new TypeError(`a response with status ${status} has no body`);
        this.#status = status;
        const statusText = `${init.statusText ?? ''}`;
        if (statusText === '') return;
        if (/[^\t\x20-\x7E\x80-\xFF]/.test(statusText)) throw new TypeError('a status text is one line of Latin-1');
        this.#more = { ...PLAIN, statusText };
    }
    static {
        fetched = (status, headers, bytes, url, redirected) => {
            const response = new Response(null);
            replaceContent(response, bytes.length > 0 ? bytes : null);
            response.#status = status;
            response.#headers = headers;
            response.#more = { ...PLAIN, url, type: 'basic', redirected };
            return response;
        };
    }
    static json(data, init = {}) {
        const text = JSON.stringify(data);
        if (text === undefined) throw new TypeError('the value cannot be written as JSON');
        const response = new Response(text, init);
        if (!new Headers(init?.headers).has('content-type')) response.#headers.set('content-type', 'application/json');
        return response;
    }
    static redirect(url, status = 302) {
        if (![301, 302, 303, 307, 308].includes(status)) throw new RangeError(`${status} is no status of a redirection`);
        const response = new Response(null);
        response.#status = status;
        // A path alone is no URL, but what people redirect to; it goes to the browser as it is.
        const path = /^\/(?!\/)/.test(`${url}`);
        response.#headers.set('location', path ? escapeWith(wellFormed(url), '') : new URL(url).href);
        frozen(response.#headers);
        return response;
    }
    static error() {
        const response = new Response(null);
        response.#status = 0;
        response.#more = { ...PLAIN, type: 'error' };
        return response;
    }
    get status() { return this.#status; }
    get ok() { return this.#status >= 200 && this.#status <= 299; }
    get statusText() { return this.#more.statusText; }
    get headers() { return this.#headers; }
    get url() { return this.#more.url; }
    get type() { return this.#more.type; }
    get redirected() { return this.#more.redirected; }
    clone() {
        const copy = new Response(null);
        replaceContent(copy, cloneContent(this));
        copy.#status = this.#status;
        copy.#headers = new Headers(this.#headers);
        copy.#more = this.#more;
        return copy;
    }
    get [Symbol.toStringTag]() { return 'Response'; }
}

// ---- AbortSignal

let isStopped;

class Event {
    #stopped = false;
    static { isStopped = (event) => event.#stopped; }
    constructor(type, init = {}) {
        this.type = `${type}`;
        this.target = null;
        this.defaultPrevented = false;
        this.cancelable = Boolean(init.cancelable);
    }
    stopPropagation() {}
    stopImmediatePropagation() { this.#stopped = true; }
    preventDefault() { this.defaultPrevented = this.cancelable; }
}

class CustomEvent extends Event {
    constructor(type, init = {}) {
        super(type, init);
        this.detail = init.detail ?? null;
    }
}

class EventTarget {
    #listeners = [];
    addEventListener(type, listener, options = {}) {
        if (!listener || options?.signal?.aborted || this.#listeners.some((one) => one.type === `${type}` && one.listener === listener)) return;
        this.#listeners.push({ type: `${type}`, listener, once: Boolean(options?.once) });
        options?.signal?.addEventListener('abort', () => this.removeEventListener(type, listener));
    }
    removeEventListener(type, listener) {
        this.#listeners = this.#listeners.filter((one) => one.type !== `${type}` || one.listener !== listener);
    }
    dispatchEvent(event) {
        event.target = event.currentTarget = this;
        this[`on${event.type}`]?.(event);
        for (const one of [...this.#listeners]) {
            if (one.type !== event.type || !this.#listeners.includes(one)) continue;
            if (isStopped(event)) break;
            if (one.once) this.removeEventListener(one.type, one.listener);
            typeof one.listener === 'function' ? one.listener.call(this, event) : one.listener.handleEvent(event);
        }
        return !event.defaultPrevented;
    }
}

let abortSignal, deadlineOf;

class AbortSignal extends EventTarget {
    #reason; #aborted = false; #deadline;
    constructor(token) {
        if (token !== INCOMING) throw new TypeError('signals are made by AbortController');
        super();
    }
    static {
        abortSignal = (signal, reason) => {
            if (signal.#aborted) return;
            signal.#aborted = true;
            signal.#reason = reason === undefined ? new DOMException('the operation was aborted', 'AbortError') : reason;
            signal.dispatchEvent(new Event('abort'));
        };
        deadlineOf = (signal) => signal.#deadline;
    }
    static abort(reason) {
        const signal = new AbortSignal(INCOMING);
        abortSignal(signal, reason);
        return signal;
    }
    static timeout(milliseconds) {
        const signal = new AbortSignal(INCOMING);
        signal.#deadline = host.monotonic() + milliseconds;
        setTimeout(() => abortSignal(signal, new DOMException('the time is over', 'TimeoutError')), milliseconds);
        return signal;
    }
    static any(signals) {
        const all = new AbortSignal(INCOMING);
        for (const signal of signals) {
            if (signal.aborted) abortSignal(all, signal.reason);
            else signal.addEventListener('abort', () => abortSignal(all, signal.reason), { once: true });
            if (signal.#deadline < (all.#deadline ?? Infinity)) all.#deadline = signal.#deadline;
        }
        return all;
    }
    get aborted() { return this.#aborted; }
    get reason() { return this.#reason; }
    throwIfAborted() {
        if (this.#aborted) throw this.#reason;
    }
}

class AbortController {
    #signal = new AbortSignal(INCOMING);
    get signal() { return this.#signal; }
    abort(reason) { abortSignal(this.#signal, reason); }
}

// ---- fetch

// How long a request may take, in milliseconds; 0 when nothing was said.
const timeLeft = (signal) => {
    signal?.throwIfAborted();
    const deadline = signal && deadlineOf(signal);
    if (deadline === undefined) return 0;
    const left = Math.ceil(deadline - host.monotonic());
    if (left <= 0) throw new DOMException('the time is over', 'TimeoutError');
    return left;
};

const FAILURES = {
    denied: (detail) => new TypeError(`fetch failed: ${detail}`),
    timeout: () => new DOMException('the time is over', 'TimeoutError'),
    'too-large': () => new TypeError('fetch failed: the answer is too large'),
    failed: (detail) => new TypeError(`fetch failed: ${detail}`),
};

const send = (method, url, headers, content, signal) => {
    const [status, second, bytes] = host.fetch(method, url, headers, content, timeLeft(signal));
    if (typeof status === 'string') throw FAILURES[status](second);
    return [status, headersOf(second), new Uint8Array(bytes)];
};

const REDIRECTS = [301, 302, 303, 307, 308];

const fetch = async (input, init) => {
    const request = new Request(input, init), headers = new Headers(request.headers), signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
    let { method, url } = request, content = takeContent(request), redirected = false;
    if (!/^https?:/.test(url)) throw new TypeError(`fetch failed: \`${url}\` is neither http nor https`);
    url = url.replace(/#.*$/s, '');
    if (content instanceof ReadableStream) content = await collected(content);
    for (let hop = 0; ; hop++) {
        const [status, fields, bytes] = send(method, url, listOf(headers), content, signal);
        const location = fields.get('location');
        if (!REDIRECTS.includes(status) || location === null || request.redirect === 'manual')
            return fetched(status, fields, bytes, url, redirected);
        if (request.redirect === 'error') throw new TypeError(`fetch failed: \`${url}\` redirects to \`${location}\``);
        if (hop === 20) throw new TypeError('fetch failed: redirected more than 20 times');
        const next = new URL(location, url);
        if (next.origin !== new URL(url).origin) for (const name of ['authorization', 'cookie']) headers.delete(name);
        if (status === 303 && method !== 'HEAD' || (status < 303 && method === 'POST')) {
            method = 'GET';
            content = null;
            for (const name of ['content-type', 'content-length', 'content-encoding', 'content-language']) headers.delete(name);
        }
        next.hash = '';
        url = next.href;
        redirected = true;
    }
};
