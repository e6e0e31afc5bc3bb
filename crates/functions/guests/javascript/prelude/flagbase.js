// Flags, stores, buckets, the bus, secrets, configuration, and who is calling.

const flags = {
    boolean: (key, fallback = false) => host.flagBoolean(`${key}`, fallback),
    text: (key, fallback = '') => host.flagText(`${key}`, `${fallback}`),
    number: (key, fallback = 0) => host.flagNumber(`${key}`, fallback),
    json: (key, fallback = null) => JSON.parse(host.flagExplain(`${key}`, JSON.stringify(fallback) ?? 'null')[0]),
    // { value, variant, reason }
    explain: (key, fallback = null) => {
        const [value, variant, reason] = host.flagExplain(`${key}`, JSON.stringify(fallback) ?? 'null');
        return { value: JSON.parse(value), variant, reason };
    },
};

const READERS = {
    text: utf8,
    json: (bytes) => JSON.parse(utf8(bytes)),
    bytes: (bytes) => bytes,
    arrayBuffer: (bytes) => bytes.buffer,
};

const readAs = (buffer, type) => {
    if (buffer === null) return null;
    const reader = READERS[type?.type ?? type ?? 'text'];
    if (!reader) throw new TypeError('a value is read as text, json, bytes or arrayBuffer');
    return reader(new Uint8Array(buffer));
};

// What is stored: text and bytes as they are, anything else as JSON.
const stored = (value) => {
    if (typeof value === 'string') return value;
    const bytes = bytesOf(value) ?? (value instanceof Blob ? blobBytes(value) : undefined);
    if (bytes) return bytes;
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError('the value cannot be stored: it is neither text, bytes nor JSON');
    return text;
};

// A page of a listing at a time: { keys, next } or { objects, next }.
const pages = (list, name) => async ({ prefix = '', after = null } = {}) => {
    const [items, next] = list(`${prefix}`, after ?? null);
    return { [name]: items, next };
};

const storeOf = (store) => ({
    get: async (key, type) => readAs(host.kvGet(store, `${key}`), type),
    set: async (key, value) => host.kvSet(store, `${key}`, stored(value)),
    delete: async (key) => host.kvDelete(store, `${key}`),
    has: async (key) => host.kvExists(store, `${key}`),
    list: pages((prefix, after) => host.kvKeys(store, prefix, after), 'keys'),
    increment: async (key, by = 1) => host.kvIncrement(store, `${key}`, by),
    swap: async (key, old, value) => host.kvSwap(store, `${key}`, old === null || old === undefined ? null : stored(old), stored(value)),
});

const kv = { ...storeOf('default'), store: (name) => storeOf(`${name}`) };

const objectOf = (parts) => parts && { key: parts[0], size: parts[1], contentType: parts[2], etag: parts[3], modified: new Date(parts[4]) };

const buckets = {
    get: async (bucket, key, type = 'bytes') => readAs(host.bucketGet(`${bucket}`, `${key}`), type),
    put: async (bucket, key, data, options = {}) => {
        const type = options.contentType ?? (typeof data === 'string' ? 'text/plain; charset=utf-8' : data instanceof Blob ? data.type : bytesOf(data) ? 'application/octet-stream' : 'application/json');
        return objectOf(host.bucketPut(`${bucket}`, `${key}`, stored(data), `${type}`));
    },
    head: async (bucket, key) => objectOf(host.bucketHead(`${bucket}`, `${key}`)),
    delete: async (bucket, key) => host.bucketDelete(`${bucket}`, `${key}`),
    list: async (bucket, options) => pages((prefix, after) => {
        const [objects, next] = host.bucketKeys(`${bucket}`, prefix, after);
        return [objects.map(objectOf), next];
    }, 'objects')(options),
};

const bus = { publish: async (subject, data = '') => host.publish(`${subject}`, stored(data)) };

const secrets = {
    get: (name) => host.secret(`${name}`),
};

const objectFrom = (list) => {
    const object = {};
    for (let at = 0; at < list.length; at += 2) object[list[at]] = list[at + 1];
    return object;
};

const config = {
    get: (name) => host.configGet(`${name}`),
    all: () => objectFrom(host.configAll()),
};

const context = {
    get caller() {
        const [id, email, role, groups] = host.who();
        return { id, email, role, groups };
    },
    get function() { return host.what()[0]; },
    get version() { return host.what()[1]; },
    get environment() { return host.what()[2]; },
    get requestId() { return host.what()[3]; },
    get traceparent() { return host.what()[4]; },
};

// The variables; asked for once a call, at the first look.
let variables;
const readVariables = () => (variables ??= objectFrom(host.configAll()));
const environment = new Proxy({}, {
    get: (_, name) => (typeof name === 'string' && Object.hasOwn(readVariables(), name) ? variables[name] : undefined),
    has: (_, name) => Object.hasOwn(readVariables(), name),
    ownKeys: () => Reflect.ownKeys(readVariables()),
    getOwnPropertyDescriptor: (_, name) => Object.hasOwn(readVariables(), name) ? { value: variables[name], enumerable: true, configurable: true, writable: false } : undefined,
    set: () => false,
});
const environmentOf = () => {
    variables = undefined;
    return environment;
};
