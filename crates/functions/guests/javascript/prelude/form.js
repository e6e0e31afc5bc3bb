// Blobs and forms.

let blobBytes;

class Blob {
    #bytes; #type;
    constructor(parts = [], options = {}) {
        if (typeof parts !== 'object' || !parts?.[Symbol.iterator]) throw new TypeError('a Blob is made of a list');
        this.#bytes = joined(Array.from(parts, (part) => (part instanceof Blob ? part.#bytes : bytesOf(part) ?? encode(`${part}`))));
        const type = `${options?.type ?? ''}`;
        this.#type = /[^\x20-\x7E]/.test(type) ? '' : type.toLowerCase();
    }
    static { blobBytes = (blob) => blob.#bytes; }
    get size() { return this.#bytes.length; }
    get type() { return this.#type; }
    slice(start = 0, end = this.size, type = '') { return new Blob([this.#bytes.slice(start, end)], { type }); }
    stream() { return streamOf(this.#bytes); }
    async text() { return host.decode(this.#bytes, false); }
    async bytes() { return this.#bytes.slice(); }
    async arrayBuffer() { return this.#bytes.slice().buffer; }
    get [Symbol.toStringTag]() { return 'Blob'; }
}

class File extends Blob {
    #name; #modified;
    constructor(parts, name, options = {}) {
        needed(arguments, 2);
        super(parts, options);
        this.#name = `${name}`;
        this.#modified = Number(options?.lastModified ?? Date.now());
    }
    get name() { return this.#name; }
    get lastModified() { return this.#modified; }
    get [Symbol.toStringTag]() { return 'File'; }
}

class FormData {
    #list = [];
    static #entry(name, value, file) {
        if (!(value instanceof Blob) && file !== undefined) throw new TypeError('only files have a name');
        if (!(value instanceof Blob)) return [wellFormed(name), wellFormed(value)];
        const named = value instanceof File && file === undefined ? value : new File([value], file ?? 'blob', { type: value.type });
        return [wellFormed(name), named];
    }
    append(name, value, file) { this.#list.push(FormData.#entry(name, value, file)); }
    delete(name) { this.#list = this.#list.filter(([n]) => n !== `${name}`); }
    get(name) { return this.#list.find(([n]) => n === `${name}`)?.[1] ?? null; }
    getAll(name) { return this.#list.filter(([n]) => n === `${name}`).map(([, value]) => value); }
    has(name) { return this.#list.some(([n]) => n === `${name}`); }
    set(name, value, file) {
        const entry = FormData.#entry(name, value, file), at = this.#list.findIndex(([n]) => n === entry[0]);
        if (at < 0) {
            this.#list.push(entry);
            return;
        }
        this.#list[at] = entry;
        this.#list = this.#list.filter(([n], index) => n !== entry[0] || index === at);
    }
    forEach(callback, self) {
        for (const [name, value] of this) callback.call(self, value, name, this);
    }
    *entries() { yield* this.#list; }
    *keys() {
        for (const [name] of this.#list) yield name;
    }
    *values() {
        for (const [, value] of this.#list) yield value;
    }
    [Symbol.iterator]() { return this.entries(); }
    get [Symbol.toStringTag]() { return 'FormData'; }
}

const formOf = (pairs) => {
    const form = new FormData();
    for (const [name, value] of pairs) form.append(name, value);
    return form;
};

const quoted = (text) => text.replace(/[\r\n"]/g, (c) => ({ '\r': '%0D', '\n': '%0A', '"': '%22' })[c]);

const multipart = (form) => {
    const boundary = '----flagbase' + randomUUID().replaceAll('-', ''), parts = [];
    for (const [name, value] of form) {
        let head = `--${boundary}\r\ncontent-disposition: form-data; name="${quoted(name.replace(/\r\n|\r|\n/g, '\r\n'))}"`;
        if (value instanceof File) {
            head += `; filename="${quoted(value.name)}"\r\ncontent-type: ${value.type || 'application/octet-stream'}`;
            parts.push(encode(`${head}\r\n\r\n`), blobBytes(value), encode('\r\n'));
        } else {
            parts.push(encode(`${head}\r\n\r\n${value.replace(/\r\n|\r|\n/g, '\r\n')}\r\n`));
        }
    }
    parts.push(encode(`--${boundary}--\r\n`));
    return [joined(parts), `multipart/form-data; boundary=${boundary}`];
};

const parameter = (text, name) => {
    const found = new RegExp(`;\\s*${name}=(?:"([^"]*)"|([^;\\s]+))`, 'i').exec(text);
    return found ? (found[1] ?? found[2]) : undefined;
};

// A character of the text for each byte, so that the ends of parts are found by searching.
const parseMultipart = (bytes, type) => {
    const boundary = parameter(type, 'boundary');
    if (!boundary) throw new TypeError('the form does not say what its parts are divided by');
    const form = new FormData(), text = '\r\n' + host.characters(bytes), divider = `\r\n--${boundary}`;
    let at = text.indexOf(divider);
    while (at >= 0) {
        at += divider.length;
        if (text.startsWith('--', at)) return form;
        const head = text.indexOf('\r\n\r\n', at), end = text.indexOf(divider, head + 2);
        if (head < 0 || end < 0) break;
        const fields = utf8(bytes.subarray(at - 2, head - 2)), content = bytes.slice(head + 2, Math.max(head + 2, end - 2));
        const disposition = /^content-disposition:(.*)$/im.exec(fields)?.[1] ?? '';
        const name = parameter(disposition, 'name'), file = parameter(disposition, 'filename');
        if (name === undefined) throw new TypeError('a part of the form has no name');
        const unquoted = (word) => word.replace(/%0D|%0A|%22/g, percentDecoded);
        if (file === undefined) form.append(unquoted(name), utf8(content));
        else form.append(unquoted(name), new File([content], unquoted(file), { type: /^content-type:\s*(.*?)\s*$/im.exec(fields)?.[1] ?? 'text/plain' }));
        at = end;
    }
    throw new TypeError('the form has no end');
};
