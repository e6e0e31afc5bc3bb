// URLs, as the URL Standard has them.

const PORTS = { 'http:': '80', 'https:': '443', 'ws:': '80', 'wss:': '443', 'ftp:': '21', 'file:': '' };
const isSpecial = (protocol) => Object.hasOwn(PORTS, protocol);

const FRAGMENT = ' "<>`';
const QUERY = ' "#<>';
const PATH = QUERY + '?`{}^';
const USER = PATH + '/:;=@[\\]|';
const FORM_PLAIN = /^[A-Za-z0-9*\-._]*$/;

// Percent-encodes what is not ASCII, control characters, and `set`.
const escapeWith = (text, set) => {
    let out = '', plain = 0;
    for (let at = 0; at < text.length; at++) {
        const code = text.charCodeAt(at);
        if (code > 0x1F && code < 0x7F && !set.includes(text[at])) continue;
        const end = code >= 0xD800 && code < 0xDC00 && at + 1 < text.length ? at + 2 : at + 1;
        out += text.slice(plain, at);
        for (const byte of encode(text.slice(at, end))) out += '%' + (byte < 16 ? '0' : '') + byte.toString(16).toUpperCase();
        at = end - 1;
        plain = end;
    }
    return plain === 0 ? text : out + text.slice(plain);
};

const percentDecoded = (text) => {
    if (!text.includes('%')) return text;
    const bytes = encode(text), out = new Uint8Array(bytes.length);
    let length = 0;
    for (let at = 0; at < bytes.length; at++) {
        if (bytes[at] === 0x25) {
            const digits = String.fromCharCode(bytes[at + 1] ?? 0, bytes[at + 2] ?? 0);
            if (/^[0-9A-Fa-f]{2}$/.test(digits)) {
                out[length++] = parseInt(digits, 16);
                at += 2;
                continue;
            }
        }
        out[length++] = bytes[at];
    }
    return host.decode(out.subarray(0, length), false);
};

const formDecoded = (text) => percentDecoded(text.replaceAll('+', ' '));
const formEncoded = (text) => {
    if (FORM_PLAIN.test(text)) return text;
    let out = '';
    for (const byte of encode(text)) {
        const character = String.fromCharCode(byte);
        if (byte === 0x20) out += '+';
        else if (FORM_PLAIN.test(character)) out += character;
        else out += '%' + (byte < 16 ? '0' : '') + byte.toString(16).toUpperCase();
    }
    return out;
};

const parseForm = (text) => {
    const list = [];
    for (const part of text.split('&')) {
        if (part === '') continue;
        const at = part.indexOf('=');
        list.push(at < 0 ? [formDecoded(part), ''] : [formDecoded(part.slice(0, at)), formDecoded(part.slice(at + 1))]);
    }
    return list;
};

const wellFormed = (value) => `${value}`.toWellFormed();

let paramsOf, resetParams;

class URLSearchParams {
    #list = []; #changed;
    constructor(init = '') {
        if ((typeof init !== 'object' && typeof init !== 'function')) {
            const text = wellFormed(init);
            this.#list = parseForm(text.startsWith('?') ? text.slice(1) : text);
        } else if (init?.[Symbol.iterator]) {
            for (const pair of init) {
                const parts = Array.from(pair);
                if (parts.length !== 2) throw new TypeError('each pair has a name and a value');
                this.#list.push([wellFormed(parts[0]), wellFormed(parts[1])]);
            }
        } else {
            for (const name of Object.keys(init ?? {})) this.#list.push([wellFormed(name), wellFormed(init[name])]);
        }
    }
    static {
        // Those of a URL: `changed` hears of the text when it is another.
        paramsOf = (text, changed) => {
            const params = new URLSearchParams();
            params.#list = parseForm(text);
            params.#changed = changed;
            return params;
        };
        resetParams = (params, text) => {
            params.#list = parseForm(text);
        };
    }
    #tell() { this.#changed?.(this.toString()); }
    get size() { return this.#list.length; }
    append(name, value) {
        needed(arguments, 2);
        this.#list.push([wellFormed(name), wellFormed(value)]);
        this.#tell();
    }
    delete(name, value) {
        name = wellFormed(name);
        this.#list = this.#list.filter(([n, v]) => n !== name || (value !== undefined && v !== wellFormed(value)));
        this.#tell();
    }
    get(name) {
        needed(arguments, 1);
        return this.#list.find(([n]) => n === `${name}`)?.[1] ?? null;
    }
    getAll(name) { return this.#list.filter(([n]) => n === `${name}`).map(([, value]) => value); }
    has(name, value) { return this.#list.some(([n, v]) => n === `${name}` && (value === undefined || v === `${value}`)); }
    set(name, value) {
        needed(arguments, 2);
        name = wellFormed(name);
        const first = this.#list.find(([n]) => n === name);
        if (first) {
            first[1] = wellFormed(value);
            this.#list = this.#list.filter((pair) => pair === first || pair[0] !== name);
        } else {
            this.#list.push([name, wellFormed(value)]);
        }
        this.#tell();
    }
    sort() {
        this.#list.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
        this.#tell();
    }
    forEach(callback, self) {
        for (let at = 0; at < this.#list.length; at++) callback.call(self, this.#list[at][1], this.#list[at][0], this);
    }
    *entries() {
        for (let at = 0; at < this.#list.length; at++) yield [...this.#list[at]];
    }
    *keys() {
        for (const [name] of this.entries()) yield name;
    }
    *values() {
        for (const [, value] of this.entries()) yield value;
    }
    [Symbol.iterator]() { return this.entries(); }
    toString() { return this.#list.map(([name, value]) => `${formEncoded(name)}=${formEncoded(value)}`).join('&'); }
    get [Symbol.toStringTag]() { return 'URLSearchParams'; }
}

// ---- hosts

const parseNumber = (text) => {
    if (text === '') return NaN;
    if (/^0x[0-9a-f]*$/i.test(text)) return text.length === 2 ? 0 : parseInt(text.slice(2), 16);
    if (/^0[0-7]*$/.test(text)) return text.length === 1 ? 0 : parseInt(text, 8);
    return /^[0-9]+$/.test(text) && !text.startsWith('0') ? Number(text) : NaN;
};

// An IPv4 address as a number; undefined when the text is none, null when it is a wrong one.
const parseIPv4 = (text) => {
    const parts = text.split('.');
    if (parts.at(-1) === '' && parts.length > 1) parts.pop();
    const last = parts.at(-1);
    if (!/^[0-9]+$/.test(last) && Number.isNaN(parseNumber(last))) return undefined;
    if (parts.length > 4) return null;
    const numbers = parts.map(parseNumber);
    if (numbers.some(Number.isNaN) || numbers.slice(0, -1).some((n) => n > 255)) return null;
    const low = numbers.pop();
    if (low >= 256 ** (4 - numbers.length)) return null;
    return numbers.reduce((sum, n, at) => sum + n * 256 ** (3 - at), low);
};

const writeIPv4 = (number) => [24, 16, 8, 0].map((by) => Math.floor(number / 2 ** by) % 256).join('.');

const parseIPv6 = (text) => {
    let tail = [];
    const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
    if (dotted) {
        const numbers = dotted.slice(2).map((part) => (/^(0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256));
        if (numbers.some((n) => n > 255)) return null;
        tail = [numbers[0] * 256 + numbers[1], numbers[2] * 256 + numbers[3]];
        text = dotted[1].endsWith('::') ? dotted[1] : dotted[1].slice(0, -1);
    }
    const halves = text.split('::');
    if (halves.length > 2) return null;
    const groups = (part) => (part === '' ? [] : part.split(':'));
    const front = groups(halves[0]), back = halves.length === 2 ? groups(halves[1]) : [];
    if ([...front, ...back].some((group) => !/^[0-9a-f]{1,4}$/i.test(group))) return null;
    const known = [...front, ...back].map((group) => parseInt(group, 16)).concat(tail);
    if (halves.length === 1) return known.length === 8 ? known : null;
    if (known.length > 7) return null;
    const zeros = new Array(8 - known.length).fill(0);
    return [...known.slice(0, front.length), ...zeros, ...known.slice(front.length)];
};

const writeIPv6 = (groups) => {
    let best = -1, most = 1;
    for (let at = 0; at < 8; at++) {
        let count = 0;
        while (groups[at + count] === 0) count++;
        if (count > most) [best, most] = [at, count];
    }
    const words = groups.map((group) => group.toString(16));
    if (best < 0) return `[${words.join(':')}]`;
    return `[${words.slice(0, best).join(':')}::${words.slice(best + most).join(':')}]`;
};

const bend = (delta, count, first) => {
    let scaled = Math.floor(delta / (first ? 700 : 2)), bias = 0;
    scaled += Math.floor(scaled / count);
    for (; scaled > 455; bias += 36) scaled = Math.floor(scaled / 35);
    return bias + Math.floor((36 * scaled) / (scaled + 38));
};

// What Punycode (RFC 3492) stands for; null when it is none.
const unpunycode = (text) => {
    const cut = text.lastIndexOf('-'), points = Array.from(cut < 0 ? '' : text.slice(0, cut), (c) => c.charCodeAt(0));
    let at = cut + 1, point = 128, index = 0, bias = 72;
    while (at < text.length) {
        const before = index;
        for (let base = 36, weight = 1; ; base += 36) {
            const code = text.charCodeAt(at++);
            const digit = code >= 97 && code <= 122 ? code - 97 : code >= 48 && code <= 57 ? code - 22 : NaN;
            index += digit * weight;
            if (!(index <= 0x7FFFFFFF)) return null;
            const limit = Math.min(Math.max(base - bias, 1), 26);
            if (digit < limit) break;
            weight *= 36 - limit;
        }
        bias = bend(index - before, points.length + 1, before === 0);
        point += Math.floor(index / (points.length + 1));
        index %= points.length + 1;
        if (point > 0x10FFFF) return null;
        points.splice(index++, 0, point);
    }
    return String.fromCodePoint(...points);
};

// A label of a name outside of ASCII, in Punycode.
const punycode = (label) => {
    const points = Array.from(label, (character) => character.codePointAt(0));
    const basic = points.filter((point) => point < 128);
    let out = String.fromCharCode(...basic) + (basic.length ? '-' : '');
    let next = 128, delta = 0, bias = 72, done = basic.length;
    while (done < points.length) {
        const least = Math.min(...points.filter((point) => point >= next));
        delta += (least - next) * (done + 1);
        next = least;
        for (const point of points) {
            if (point < next) delta++;
            if (point !== next) continue;
            let rest = delta;
            for (let base = 36; ; base += 36) {
                const limit = Math.min(Math.max(base - bias, 1), 26);
                if (rest < limit) break;
                const digit = limit + ((rest - limit) % (36 - limit));
                out += String.fromCharCode(digit < 26 ? digit + 97 : digit + 22);
                rest = Math.floor((rest - limit) / (36 - limit));
            }
            out += String.fromCharCode(rest < 26 ? rest + 97 : rest + 22);
            bias = bend(delta, done + 1, done === basic.length);
            delta = 0;
            done++;
        }
        delta++;
        next++;
    }
    return 'xn--' + out;
};

const FORBIDDEN_HOST = /[\0\t\n\r #/:<>?@[\\\]^|]/;
const FORBIDDEN_DOMAIN = /[\0-\x20#%/:<>?@[\\\]^|\x7F]/;
// What no name has: what is not assigned, private, a space, or stands for what could not be read.
const NEVER_IN_NAMES = /[\p{Cn}\p{Co}\p{Cs}\p{Cc}\p{Z}\uFFFD]/u;

// A label of a name in ASCII; null when it says to be in Punycode and is not.
const asciiLabel = (label) => {
    if (/[^\0-\x7F]/.test(label)) return punycode(label);
    if (!label.startsWith('xn--')) return label;
    const meant = unpunycode(label.slice(4));
    if (meant === null || !/[^\0-\x7F]/.test(meant) || NEVER_IN_NAMES.test(meant)) return null;
    return meant === meant.normalize('NFKC').toLowerCase() && punycode(meant) === label ? label : null;
};

// A host as it is written in a URL; null when it is none.
const parseHost = (text, special) => {
    if (text.startsWith('[')) {
        const groups = text.endsWith(']') ? parseIPv6(text.slice(1, -1)) : null;
        return groups && writeIPv6(groups);
    }
    if (!special) return FORBIDDEN_HOST.test(text) ? null : escapeWith(text, '');
    let name = percentDecoded(text).toLowerCase();
    if (/[^\0-\x7F]/.test(name)) {
        name = name.replace(/[\u00AD\u200B\u2060\uFEFF]/g, '').normalize('NFKC').toLowerCase().normalize('NFC').replace(/[\u3002\uFF0E\uFF61]/g, '.');
        if (NEVER_IN_NAMES.test(name)) return null;
    }
    if (name.includes('xn--') || /[^\0-\x7F]/.test(name)) {
        const labels = name.split('.').map(asciiLabel);
        if (labels.includes(null)) return null;
        name = labels.join('.');
    }
    if (name === '' || FORBIDDEN_DOMAIN.test(name)) return null;
    const number = parseIPv4(name);
    return number === undefined ? name : number === null ? null : writeIPv4(number);
};

// ---- the parts

const withoutBreaks = (value) => wellFormed(value).replace(/[\t\n\r]/g, '');

const isDrive = (text) => /^[A-Za-z][:|]$/.test(text);

// The segments of a path added to `base`, `.` and `..` resolved.
const parsePath = (text, base, record) => {
    const path = base, segments = text.split(record.special ? /[/\\]/ : '/');
    segments.forEach((segment, at) => {
        const last = at === segments.length - 1, dots = segment.replace(/%2e/gi, '.');
        if (dots === '..') {
            if (!(record.protocol === 'file:' && path.length === 1 && isDrive(path[0]))) path.pop();
            if (last) path.push('');
        } else if (dots === '.') {
            if (last) path.push('');
        } else {
            if (record.protocol === 'file:' && path.length === 0 && isDrive(segment)) segment = segment[0] + ':';
            path.push(escapeWith(segment, PATH));
        }
    });
    return path;
};

const parseAuthority = (text, record) => {
    const at = text.lastIndexOf('@');
    if (at >= 0) {
        const user = text.slice(0, at), colon = user.indexOf(':');
        record.username = escapeWith(colon < 0 ? user : user.slice(0, colon), USER);
        record.password = colon < 0 ? '' : escapeWith(user.slice(colon + 1), USER);
        text = text.slice(at + 1);
        if (text === '') return false;
    }
    const port = /:([^:\]]*)$/.exec(text);
    if (port && !(text.startsWith('[') && !text.slice(0, port.index).endsWith(']'))) {
        if (!/^\d*$/.test(port[1]) || Number(port[1]) > 65535) return false;
        record.port = port[1] === '' || `${Number(port[1])}` === PORTS[record.protocol] ? '' : `${Number(port[1])}`;
        text = text.slice(0, port.index);
        if (text === '') return false;
    }
    if (text === '' && record.special) return false;
    record.host = parseHost(text, record.special);
    return record.host !== null;
};

const setQuery = (record, text) => {
    record.query = text === null ? null : escapeWith(text, record.special ? QUERY + "'" : QUERY);
};

const setFragment = (record, text) => {
    record.fragment = text === null ? null : escapeWith(text, FRAGMENT);
};

// Takes the query and the fragment from the end of a text; returns what is before them.
const takeEnds = (text, record) => {
    const hash = text.indexOf('#');
    setFragment(record, hash < 0 ? null : text.slice(hash + 1));
    if (hash >= 0) text = text.slice(0, hash);
    const mark = text.indexOf('?');
    if (mark >= 0) setQuery(record, text.slice(mark + 1));
    record.hasQuery = mark >= 0;
    return mark < 0 ? text : text.slice(0, mark);
};

const fresh = (protocol) => ({
    protocol, special: isSpecial(protocol), username: '', password: '', host: null, port: '', path: [], opaque: null,
    query: null, fragment: null,
});

// What most URLs look like: nothing to escape, nothing to resolve.
const SIMPLE = /^(https?:)\/\/([a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)*)(?::(\d{1,5}))?(\/[\w\-~!$&'()*+,;=:@/%]*(?:\.[\w\-~!$&'()*+,;=:@/%]+)*)?(?:\?([\w\-~!$&()*+,;=:@/%.?]*))?$/;

const parseURL = (text, base) => {
    const simple = SIMPLE.exec(text);
    if (simple && !/\/\.|%2e/i.test(simple[4] ?? '') && !simple[2].includes('xn--')) {
        const record = fresh(simple[1]);
        record.host = simple[2];
        if (simple[3] !== undefined) {
            if (Number(simple[3]) > 65535) return null;
            record.port = `${Number(simple[3])}` === PORTS[simple[1]] ? '' : `${Number(simple[3])}`;
        }
        record.path = (simple[4] ?? '/').slice(1).split('/');
        record.query = simple[5] ?? null;
        return record;
    }
    return parseFully(text.replace(/^[\0-\x20]+|[\0-\x20]+$/g, '').replace(/[\t\n\r]/g, ''), base);
};

const parseFully = (text, base) => {
    const scheme = /^([A-Za-z][A-Za-z0-9+\-.]*):/.exec(text);
    if (!scheme) return base ? parseRelative(text, base) : null;
    const record = fresh(scheme[1].toLowerCase() + ':');
    let rest = text.slice(scheme[0].length);
    if (record.protocol === 'file:') return parseFile(rest, record, base);
    if (record.special) {
        if (base?.protocol === record.protocol && !/^[/\\]{2}/.test(rest)) return parseRelative(rest, base);
        return parseWithAuthority(rest.replace(/^[/\\]+/, ''), record);
    }
    if (rest.startsWith('//')) return parseWithAuthority(rest.slice(2), record);
    rest = takeEnds(rest, record);
    if (rest.startsWith('/')) record.path = parsePath(rest.slice(1), [], record);
    else record.opaque = escapeWith(rest, '').replace(/ $/, record.query !== null || record.fragment !== null ? '%20' : '');
    return record;
};

const parseWithAuthority = (text, record) => {
    const end = text.search(record.special ? /[/\\?#]/ : /[/?#]/);
    if (!parseAuthority(end < 0 ? text : text.slice(0, end), record)) return null;
    const path = takeEnds(end < 0 ? '' : text.slice(end), record);
    if (path !== '') record.path = parsePath(path.slice(1), [], record);
    else if (record.special) record.path = [''];
    return record;
};

const beginsWithDrive = (text) => /^[A-Za-z][:|]([/\\?#]|$)/.test(text);

// The path without its last segment; a drive stays.
const shortened = (path) => (path.length === 1 && isDrive(path[0]) ? path : path.slice(0, -1));

const parseFile = (rest, record, base) => {
    record.host = '';
    if (/^[/\\]{2}/.test(rest)) {
        const text = rest.slice(2), end = text.search(/[/\\?#]/), name = end < 0 ? text : text.slice(0, end);
        if (!isDrive(name)) {
            record.host = name === '' ? '' : parseHost(name, true);
            if (record.host === null) return null;
            if (record.host === 'localhost') record.host = '';
            rest = end < 0 ? '' : text.slice(end);
        } else {
            rest = '/' + text;
        }
    } else if (base?.protocol === 'file:') {
        record.host = base.host;
        const rooted = /^[/\\]/.test(rest);
        if (rooted && !beginsWithDrive(rest.slice(1)) && isDrive(base.path[0] ?? '')) record.path = [base.path[0]];
        if (!rooted && !beginsWithDrive(rest)) return resolved(rest, { ...record, path: base.path, query: base.query });
    }
    const path = takeEnds(rest, record);
    record.path = parsePath(/^[/\\]/.test(path) ? path.slice(1) : path, record.path, record);
    return record;
};

// A text without a scheme, seen from `record`, whose path and query are still those of the base.
const resolved = (text, record) => {
    const { path: above, query } = record;
    record.query = null;
    const path = takeEnds(text, record);
    record.path = path === '' ? [...above] : parsePath(path, shortened([...above]), record);
    if (path === '' && !record.hasQuery) record.query = query;
    return record;
};

const parseRelative = (text, base) => {
    if (base.opaque !== null) {
        if (!text.startsWith('#')) return null;
        const record = { ...base };
        setFragment(record, text.slice(1));
        return record;
    }
    if (base.protocol === 'file:') return parseFile(text, fresh('file:'), base);
    const slashes = base.special ? /^[/\\]{2}/ : /^\/\//;
    if (slashes.test(text)) {
        return parseWithAuthority(base.special ? text.replace(/^[/\\]+/, '') : text.slice(2), fresh(base.protocol));
    }
    if (text[0] !== '/' && !(base.special && text[0] === '\\')) return resolved(text, { ...base });
    const record = { ...base, query: null };
    record.path = parsePath(takeEnds(text, record).slice(1), [], record);
    return record;
};

const writePath = (record) => (record.opaque !== null ? record.opaque : record.path.map((part) => '/' + part).join(''));

const writeURL = (record) => {
    let out = record.protocol;
    if (record.host !== null) {
        out += '//';
        if (record.username !== '' || record.password !== '')
            out += record.username + (record.password === '' ? '' : ':' + record.password) + '@';
        out += record.host + (record.port === '' ? '' : ':' + record.port);
    } else if (record.opaque === null && record.path.length > 1 && record.path[0] === '') {
        out += '/.';
    }
    out += writePath(record);
    if (record.query !== null) out += '?' + record.query;
    if (record.fragment !== null) out += '#' + record.fragment;
    return out;
};

const parseOrThrow = (url, base) => {
    const from = base === undefined ? undefined : parseURL(wellFormed(base));
    const record = from === null ? null : parseURL(wellFormed(url), from);
    if (record === null) throw Object.assign(new TypeError(`\`${url}\` is not a URL`), { code: 'ERR_INVALID_URL' });
    return record;
};

class URL {
    #record; #params;
    constructor(url, base) { this.#record = parseOrThrow(url, base); }
    static canParse(url, base) { return URL.parse(url, base) !== null; }
    static parse(url, base) {
        try {
            return new URL(url, base);
        } catch {
            return null;
        }
    }
    #refresh() {
        if (this.#params) resetParams(this.#params, this.#record.query ?? '');
    }
    #hasNoAuthority() { return this.#record.host === null || this.#record.host === '' || this.#record.protocol === 'file:'; }
    get href() { return writeURL(this.#record); }
    set href(url) {
        this.#record = parseOrThrow(url);
        this.#refresh();
    }
    get origin() {
        const { protocol, special, opaque } = this.#record;
        if (protocol === 'blob:' && opaque !== null) {
            const inner = URL.parse(opaque);
            return inner !== null && /^https?:$/.test(inner.protocol) ? inner.origin : 'null';
        }
        return special && protocol !== 'file:' ? `${protocol}//${this.host}` : 'null';
    }
    get protocol() { return this.#record.protocol; }
    set protocol(value) {
        const name = /^([A-Za-z][A-Za-z0-9+\-.]*)(:|$)/.exec(withoutBreaks(value))?.[1]?.toLowerCase();
        if (name === undefined || isSpecial(name + ':') !== this.#record.special) return;
        if (this.#record.protocol === 'file:' && !this.#record.host) return;
        if (name === 'file' && (this.#record.username || this.#record.password || this.#record.port)) return;
        this.#record.protocol = name + ':';
        if (this.#record.port === PORTS[this.#record.protocol]) this.#record.port = '';
    }
    get username() { return this.#record.username; }
    set username(value) {
        if (!this.#hasNoAuthority()) this.#record.username = escapeWith(wellFormed(value), USER);
    }
    get password() { return this.#record.password; }
    set password(value) {
        if (!this.#hasNoAuthority()) this.#record.password = escapeWith(wellFormed(value), USER);
    }
    get host() { return (this.#record.host ?? '') + (this.#record.port === '' ? '' : ':' + this.#record.port); }
    set host(value) { this.#setHost(value, true); }
    #setHost(value, withPort) {
        const record = this.#record;
        if (record.opaque !== null) return;
        const text = withoutBreaks(value).replace(record.special ? /[/\\?#].*$/s : /[/?#].*$/s, '');
        if (record.protocol === 'file:') {
            const name = text === '' ? '' : parseHost(text, true);
            if (name !== null) record.host = name === 'localhost' ? '' : name;
            return;
        }
        const colon = text.search(/:(?![^[]*\])/), name = colon < 0 ? text : text.slice(0, colon);
        if (colon === 0 || (colon > 0 && !withPort)) return;
        if (name === '' && (record.special || record.username || record.password || record.port)) return;
        const host = parseHost(name, record.special);
        if (host === null) return;
        record.host = host;
        if (colon > 0) this.#setPort(text.slice(colon + 1));
    }
    #setPort(text) {
        const digits = /^\d*/.exec(text)[0];
        if (digits !== '' && Number(digits) <= 65535)
            this.#record.port = `${Number(digits)}` === PORTS[this.#record.protocol] ? '' : `${Number(digits)}`;
    }
    get hostname() { return this.#record.host ?? ''; }
    set hostname(value) { this.#setHost(value, false); }
    get port() { return this.#record.port; }
    set port(value) {
        if (this.#hasNoAuthority()) return;
        const text = withoutBreaks(value);
        if (text === '') this.#record.port = '';
        else this.#setPort(text);
    }
    get pathname() { return writePath(this.#record); }
    set pathname(value) {
        if (this.#record.opaque !== null) return;
        const text = withoutBreaks(value).replace(/[?#]/g, (c) => (c === '?' ? '%3F' : '%23'));
        if (text === '' && !this.#record.special) {
            this.#record.path = this.#record.host === null ? [''] : [];
            return;
        }
        const begins = this.#record.special ? /^[/\\]/ : /^\//;
        this.#record.path = parsePath(text.replace(begins, ''), [], this.#record);
    }
    get search() { return this.#record.query ? '?' + this.#record.query : ''; }
    set search(value) {
        const text = withoutBreaks(value);
        setQuery(this.#record, text === '' ? null : text.replace(/^\?/, '').replaceAll('#', '%23'));
        this.#refresh();
    }
    get hash() { return this.#record.fragment ? '#' + this.#record.fragment : ''; }
    set hash(value) {
        const text = withoutBreaks(value);
        setFragment(this.#record, text === '' ? null : text.replace(/^#/, ''));
    }
    get searchParams() {
        this.#params ??= paramsOf(this.#record.query ?? '', (text) => {
            this.#record.query = text === '' ? null : text;
        });
        return this.#params;
    }
    toString() { return this.href; }
    toJSON() { return this.href; }
    get [Symbol.toStringTag]() { return 'URL'; }
}
