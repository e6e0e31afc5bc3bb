// What is there without a request: timers, chance, time, the console.

// ---- Timers: they run while a call is under way.

let timerNumber = 0;
const timerQueue = new Map();

const addTimer = (callback, delay, every, args) => {
    const number = ++timerNumber, wait = Math.max(0, Number(delay) || 0);
    if (typeof callback !== 'function') throw new TypeError('a timer calls a function');
    timerQueue.set(number, { at: host.monotonic() + wait, every: every ? Math.max(1, wait) : 0, callback, args });
    return number;
};
const setTimeout = (callback, delay, ...args) => addTimer(callback, delay, false, args);
const setInterval = (callback, delay, ...args) => addTimer(callback, delay, true, args);
const clearTimeout = (number) => void timerQueue.delete(number);

// Calls the next timer when its time has come: returns 0; else returns how many milliseconds are left, -1 without any.
const timers = () => {
    let next, number;
    for (const [key, timer] of timerQueue) if (next === undefined || timer.at < next.at) [number, next] = [key, timer];
    if (next === undefined) return -1;
    const left = next.at - host.monotonic();
    if (left > 0) return left;
    if (next.every) next.at += Math.max(next.every, -left);
    else timerQueue.delete(number);
    next.callback(...next.args);
    return 0;
};

const queueMicrotask = (callback) => {
    if (typeof callback !== 'function') throw new TypeError('queueMicrotask calls a function');
    Promise.resolve().then(callback);
};

// Written to the log as what nobody caught is; the call goes on.
const reportError = (...given) => {
    needed(given, 1);
    const [error] = given;
    host.log(LEVELS.error, `uncaught ${error instanceof Error ? showError(error, 0, []) : show(error, 1)}`);
};

// ---- Chance

const getRandomValues = (array) => {
    if (!ArrayBuffer.isView(array) || array instanceof Float32Array || array instanceof Float64Array || array instanceof DataView)
        throw new DOMException('getRandomValues fills an array of integers', 'TypeMismatchError');
    if (array.byteLength > 65536) throw new DOMException('at most 65536 bytes at once', 'QuotaExceededError');
    host.random(bytesOf(array));
    return array;
};

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

const randomUUID = () => {
    const bytes = getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0F) | 0x40;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    let out = '';
    for (let at = 0; at < 16; at++) out += (at === 4 || at === 6 || at === 8 || at === 10 ? '-' : '') + HEX[bytes[at]];
    return out;
};

const DIGESTS = { 'SHA-1': 1, 'SHA-256': 256, 'SHA-384': 384, 'SHA-512': 512 };

const digestOf = (algorithm) => {
    const name = `${algorithm?.name ?? algorithm}`.toUpperCase();
    if (!Object.hasOwn(DIGESTS, name)) throw new DOMException(`\`${name}\` is not supported; SHA-256 is`, 'NotSupportedError');
    return DIGESTS[name];
};

const dataOf = (data) => {
    const bytes = bytesOf(data);
    if (!bytes) throw new TypeError('the data are an ArrayBuffer or a view of one');
    return bytes;
};

let keyOf, digestOfKey;

class CryptoKey {
    #bytes; #digest;
    constructor(token, bytes, digest, extractable, usages) {
        if (token !== INCOMING) throw new TypeError('keys are made by crypto.subtle.importKey');
        this.#bytes = bytes;
        this.#digest = digest;
        this.type = 'secret';
        this.extractable = extractable;
        this.usages = usages;
        const hash = Object.keys(DIGESTS).find((name) => DIGESTS[name] === digest);
        this.algorithm = { name: 'HMAC', hash: { name: hash }, length: bytes.length * 8 };
    }
    static {
        keyOf = (key) => key.#bytes;
        digestOfKey = (key) => key.#digest;
    }
}

const mayBeUsed = (key, what) => {
    if (!key.usages.includes(what)) throw new DOMException(`the key was not imported to ${what}`, 'InvalidAccessError');
};

const subtle = {
    async digest(algorithm, data) { return host.digest(digestOf(algorithm), dataOf(data)); },
    async importKey(format, data, algorithm, extractable, usages) {
        if (format !== 'raw' || `${algorithm?.name ?? algorithm}`.toUpperCase() !== 'HMAC')
            throw new DOMException('only raw keys for HMAC can be imported', 'NotSupportedError');
        return new CryptoKey(INCOMING, dataOf(data).slice(), digestOf(algorithm.hash), Boolean(extractable), [...usages]);
    },
    async sign(algorithm, key, data) {
        mayBeUsed(key, 'sign');
        return host.hmac(digestOfKey(key), keyOf(key), dataOf(data));
    },
    async verify(algorithm, key, signature, data) {
        mayBeUsed(key, 'verify');
        const ours = new Uint8Array(host.hmac(digestOfKey(key), keyOf(key), dataOf(data))), theirs = dataOf(signature);
        let different = ours.length ^ theirs.length;
        for (let at = 0; at < ours.length; at++) different |= ours[at] ^ (theirs[at] ?? 0);
        return different === 0;
    },
};

// ---- Values shown to people

const isPlainKey = (key) => /^[A-Za-z_$][\w$]*$/.test(key);
const asText = (text) => `'${text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/'/g, "\\'")}'`;

const LONGEST = 100;

const show = (value, depth = 0, above = []) => {
    switch (typeof value) {
        case 'string': return depth === 0 ? value : asText(value);
        case 'bigint': return `${value}n`;
        case 'symbol': return value.toString();
        case 'function': return `[${value.toString().startsWith('class') ? 'class' : 'function'} ${value.name || '(anonymous)'}]`;
        case 'object': return value === null ? 'null' : showObject(value, depth, above);
        default: return Object.is(value, -0) ? '-0' : `${value}`;
    }
};

const showObject = (value, depth, above) => {
    if (above.includes(value)) return '[circular]';
    if (value instanceof Error) return showError(value, depth, above);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
    if (value instanceof RegExp) return `${value}`;
    if (value instanceof Promise) return 'Promise {}';
    const name = value.constructor?.name ?? '', inner = [...above, value], prefix = name === 'Object' || name === 'Array' || name === '' ? '' : name + ' ';
    if (depth > 3) return Array.isArray(value) ? '[…]' : `${prefix}{…}`;
    const list = (items, open, close) => {
        const shown = items.slice(0, LONGEST);
        if (items.length > LONGEST) shown.push(`… ${items.length - LONGEST} more`);
        if (shown.length === 0) return prefix + open + close;
        const line = shown.join(', '), space = open === '{' ? ' ' : '';
        if (line.length <= 100 && !line.includes('\n')) return `${prefix}${open}${space}${line}${space}${close}`;
        return `${prefix}${open}\n${shown.map((item) => '  ' + item.replaceAll('\n', '\n  ')).join(',\n')}\n${close}`;
    };
    if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView)))
        return list(Array.from(value.subarray ? value.subarray(0, LONGEST + 1) : value, (item) => show(item, depth + 1, inner)), '[', ']');
    if (value instanceof ArrayBuffer) return `ArrayBuffer { ${value.byteLength} bytes }`;
    if (value instanceof Map) return list([...value].map(([k, v]) => `${show(k, depth + 1, inner)} => ${show(v, depth + 1, inner)}`), '{', '}');
    if (value instanceof Set) return list([...value].map((item) => show(item, depth + 1, inner)), '{', '}');
    if (value instanceof URL) return `URL { ${asText(value.href)} }`;
    if (value instanceof Headers || value instanceof URLSearchParams || value instanceof FormData)
        return list([...value].map(([k, v]) => `${asText(k)}: ${show(v, depth + 1, inner)}`), '{', '}');
    if (value instanceof Request) return `Request { ${value.method} ${value.url} }`;
    if (value instanceof Response) return `Response { ${value.status} }`;
    return list(
        Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key)).map((key) => {
            const property = Object.getOwnPropertyDescriptor(value, key);
            const name = typeof key === 'symbol' ? `[${key.toString()}]` : isPlainKey(key) ? key : asText(key);
            return `${name}: ${property.get ? '[getter]' : show(property.value, depth + 1, inner)}`;
        }), '{', '}');
};

// The lines of a stack that are of people's own code.
const ownStack = (error) => `${error.stack ?? ''}`.split('\n').filter((line) => line.trim() !== '' && !/flagbase:|\(native\)/.test(line)).join('\n');

const showError = (error, depth, above) => {
    const stack = ownStack(error), head = `${error.name}: ${error.message}`;
    let out = stack ? `${head}\n${stack}` : head;
    const inner = [...above, error];
    if (error.cause !== undefined) out += `\ncaused by ${show(error.cause, 1, inner)}`;
    if (error instanceof AggregateError) for (const one of error.errors) out += `\n  ${show(one, 1, inner).replaceAll('\n', '\n  ')}`;
    return out;
};

const format = (values) => {
    if (typeof values[0] !== 'string' || !values[0].includes('%')) return values.map((value) => show(value)).join(' ');
    let at = 1;
    const text = values[0].replace(/%[sdifjoOc%]/g, (mark) => {
        if (mark === '%%') return '%';
        if (at >= values.length) return mark;
        const value = values[at++];
        switch (mark) {
            case '%s': return typeof value === 'object' ? show(value, 1) : String(value);
            case '%d': return typeof value === 'bigint' ? `${value}n` : `${Number(value)}`;
            case '%i': return `${Math.trunc(Number(value))}`;
            case '%f': return `${Number(value)}`;
            case '%j': return JSON.stringify(value);
            case '%c': return '';
            default: return show(value, 1);
        }
    });
    return [text, ...values.slice(at).map((value) => show(value))].join(' ');
};

const LEVELS = { trace: 0, debug: 1, info: 2, warn: 3, error: 4 };
let groupDepth = 0;
const counts = new Map(), stopwatches = new Map();

const write = (level, values) => host.log(level, '  '.repeat(groupDepth) + format(values));

const console = {
    log: (...values) => write(LEVELS.info, values),
    info: (...values) => write(LEVELS.info, values),
    debug: (...values) => write(LEVELS.debug, values),
    warn: (...values) => write(LEVELS.warn, values),
    error: (...values) => write(LEVELS.error, values),
    trace: (...values) => write(LEVELS.debug, [...values, '\n' + ownStack(new Error())]),
    dir: (value) => write(LEVELS.info, [show(value, 1)]),
    assert: (condition, ...values) => {
        if (!condition) write(LEVELS.error, ['assertion failed:', ...values]);
    },
    table: (value) => write(LEVELS.info, [value]),
    group: (...values) => {
        if (values.length > 0) write(LEVELS.info, values);
        groupDepth++;
    },
    groupCollapsed: (...values) => console.group(...values),
    dirxml: (...values) => write(LEVELS.info, values),
    groupEnd: () => {
        groupDepth = Math.max(0, groupDepth - 1);
    },
    count: (label = 'default') => {
        counts.set(label, (counts.get(label) ?? 0) + 1);
        write(LEVELS.info, [`${label}: ${counts.get(label)}`]);
    },
    countReset: (label = 'default') => void counts.delete(label),
    time: (label = 'default') => void stopwatches.set(label, host.monotonic()),
    timeLog: (label = 'default', ...values) => {
        if (stopwatches.has(label)) write(LEVELS.info, [`${label}: ${(host.monotonic() - stopwatches.get(label)).toFixed(3)} ms`, ...values]);
    },
    timeEnd: (label = 'default') => {
        if (stopwatches.has(label)) write(LEVELS.info, [`${label}: ${(host.monotonic() - stopwatches.get(label)).toFixed(3)} ms`]);
        stopwatches.delete(label);
    },
};

// ---- Copies

const structuredClone = (...given) => {
    needed(given, 1);
    const [value, options] = given, copy = clone(value, new Map());
    for (const buffer of options?.transfer ?? []) buffer.transfer();
    return copy;
};

const clone = (value, seen) => {
    if (typeof value === 'function' || typeof value === 'symbol')
        throw new DOMException('functions and symbols cannot be cloned', 'DataCloneError');
    if (typeof value !== 'object' || value === null) return value;
    if (seen.has(value)) return seen.get(value);
    const keep = (copy) => {
        seen.set(value, copy);
        return copy;
    };
    if (value instanceof Date) return keep(new Date(value));
    if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
    if (value instanceof ArrayBuffer) return keep(value.slice(0));
    if (ArrayBuffer.isView(value)) {
        const buffer = clone(value.buffer, seen), length = value instanceof DataView ? value.byteLength : value.length;
        return keep(new value.constructor(buffer, value.byteOffset, length));
    }
    if (value instanceof Boolean || value instanceof Number || value instanceof String) return keep(Object(value.valueOf()));
    if (value instanceof Blob) return value;
    if (value instanceof Map) {
        const copy = keep(new Map());
        for (const [key, item] of value) copy.set(clone(key, seen), clone(item, seen));
        return copy;
    }
    if (value instanceof Set) {
        const copy = keep(new Set());
        for (const item of value) copy.add(clone(item, seen));
        return copy;
    }
    if (value instanceof Error) {
        const kinds = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
        const copy = keep(new (kinds[value.name] ?? Error)(value.message));
        Object.defineProperty(copy, 'stack', { value: value.stack, writable: true, configurable: true });
        if ('cause' in value) Object.defineProperty(copy, 'cause', { value: clone(value.cause, seen), writable: true, configurable: true });
        return copy;
    }
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof Request || value instanceof Response)
        throw new DOMException(`a ${value.constructor.name} cannot be cloned`, 'DataCloneError');
    const copy = keep(Array.isArray(value) ? new Array(value.length) : {});
    for (const key of Object.keys(value)) copy[key] = clone(value[key], seen);
    return copy;
};
