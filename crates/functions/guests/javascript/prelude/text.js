// Text: encodings, base64, errors.

// Calls with too little are mistakes, not calls with `undefined`.
const needed = (given, count) => {
    if (given.length < count) throw new TypeError(`${count} arguments are needed, ${given.length} given`);
};

const CODES = { InvalidCharacterError: 5, SyntaxError: 12, AbortError: 20, TimeoutError: 23, DataCloneError: 25 };

class DOMException extends Error {
    #name;
    constructor(message = '', name = 'Error') {
        super(message);
        this.#name = `${name}`;
    }
    get name() { return this.#name; }
    get code() { return CODES[this.#name] ?? 0; }
    get [Symbol.toStringTag]() { return 'DOMException'; }
    static get INVALID_CHARACTER_ERR() { return 5; }
    static get SYNTAX_ERR() { return 12; }
    static get ABORT_ERR() { return 20; }
    static get TIMEOUT_ERR() { return 23; }
    static get DATA_CLONE_ERR() { return 25; }
}

// The bytes of a buffer or of a view, without copying; undefined for anything else.
const bytesOf = (value) => {
    if (value instanceof Uint8Array) return value;
    if (value instanceof ArrayBuffer) return new Uint8Array(value);
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return undefined;
};

const encode = (text) => new Uint8Array(host.encode(text));

class TextEncoder {
    get encoding() { return 'utf-8'; }
    encode(text = '') { return encode(`${text}`); }
    encodeInto(text, target) {
        let read = 0, written = 0;
        for (const character of `${text}`) {
            const bytes = encode(character);
            if (written + bytes.length > target.length) break;
            target.set(bytes, written);
            written += bytes.length;
            read += character.length;
        }
        return { read, written };
    }
}

const UTF8_LABELS = ['utf-8', 'utf8', 'unicode-1-1-utf-8', 'unicode11utf8', 'unicode20utf8', 'x-unicode20utf8'];
const LATIN1_LABELS = ['latin1', 'iso-8859-1', 'ascii', 'us-ascii', 'windows-1252'];

// How many bytes at the end begin a sequence of UTF-8 that may go on.
const unfinished = (bytes) => {
    for (let back = 1; back <= 3 && back <= bytes.length; back++) {
        const byte = bytes[bytes.length - back];
        if (byte < 0x80) return 0;
        if (byte >= 0xC0) return (byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2) > back ? back : 0;
    }
    return 0;
};

// The same of UTF-16: half a unit, or half a pair.
const unfinishedWide = (bytes) => {
    const odd = bytes.length % 2, high = bytes[bytes.length - odd - 1];
    return odd + (high >= 0xD8 && high <= 0xDB ? 2 : 0);
};

const decodedWide = (bytes, fatal) => {
    let text = '';
    for (let at = 0; at + 1 < bytes.length; at += 2) text += String.fromCharCode(bytes[at] | (bytes[at + 1] << 8));
    if (bytes.length % 2 === 1) text += '\uD800';
    if (fatal && !text.isWellFormed()) throw new TypeError('the bytes are not UTF-16');
    return text.toWellFormed();
};

const UTF16_LABELS = ['utf-16le', 'utf-16', 'ucs-2', 'unicode', 'iso-10646-ucs-2', 'csunicode', 'unicodefeff'];

class TextDecoder {
    #fatal; #keepMark; #latin; #wide; #held = new Uint8Array(0); #started = false;
    constructor(label = 'utf-8', options = {}) {
        const name = `${label}`.trim().toLowerCase();
        this.#latin = LATIN1_LABELS.includes(name);
        this.#wide = UTF16_LABELS.includes(name);
        if (!this.#latin && !this.#wide && !UTF8_LABELS.includes(name))
            throw new RangeError(`the encoding \`${label}\` is not known; \`utf-8\` is`);
        this.#fatal = Boolean(options?.fatal);
        this.#keepMark = Boolean(options?.ignoreBOM);
    }
    get encoding() { return this.#latin ? 'windows-1252' : this.#wide ? 'utf-16le' : 'utf-8'; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#keepMark; }
    decode(input, options) {
        let bytes = input === undefined ? new Uint8Array(0) : bytesOf(input);
        if (!bytes) throw new TypeError('decode takes an ArrayBuffer or a view of one');
        if (this.#latin) return host.characters(bytes);
        if (this.#held.length > 0) bytes = joined([this.#held, bytes]);
        const keep = !options?.stream ? 0 : this.#wide ? unfinishedWide(bytes) : unfinished(bytes);
        this.#held = keep ? bytes.slice(bytes.length - keep) : new Uint8Array(0);
        if (keep) bytes = bytes.subarray(0, bytes.length - keep);
        let text;
        try {
            text = this.#wide ? decodedWide(bytes, this.#fatal) : host.decode(bytes, this.#fatal);
        } catch (error) {
            this.#started = false;
            throw error;
        }
        if (!this.#keepMark && !this.#started && text.charCodeAt(0) === 0xFEFF) text = text.slice(1);
        this.#started = Boolean(options?.stream) && (this.#started || bytes.length > 0);
        return text;
    }
}

const joined = (parts) => {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
        whole.set(part, at);
        at += part.length;
    }
    return whole;
};

// What a body becomes as text: UTF-8, without the mark of its order of bytes.
const utf8 = (bytes) => {
    const text = host.decode(bytes, false);
    return text.charCodeAt(0) === 0xFEFF ? text.slice(1) : text;
};

const btoa = (...given) => {
    needed(given, 1);
    const [text] = given;
    const bytes = host.latin1(`${text}`);
    if (bytes === null) throw new DOMException('a character is above U+00FF; encode the text first', 'InvalidCharacterError');
    return host.base64(bytes);
};

const atob = (text) => {
    const bytes = host.unbase64(`${text}`);
    if (bytes === null) throw new DOMException('the text is not base64', 'InvalidCharacterError');
    return host.characters(bytes);
};
