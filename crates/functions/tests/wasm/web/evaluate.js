// What snippets are worth, written so that two runtimes can be compared. Runs in Node and in a function.

const shown = (value, depth = 0) => {
    if (depth > 6) return '…';
    const deeper = (inner) => shown(inner, depth + 1);
    if (value === null || value === undefined || typeof value === 'boolean') return `${value}`;
    if (typeof value === 'number') return Object.is(value, -0) ? '-0' : `${value}`;
    if (typeof value === 'string') return JSON.stringify(value);
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value === 'symbol') return value.toString();
    if (typeof value === 'function') return 'a function';
    if (value instanceof Error) return `${value.name}(${typeof value.message})`;
    if (value instanceof Date) return `Date ${value.getTime()}`;
    if (value instanceof RegExp) return `${value}`;
    if (value instanceof ArrayBuffer) return `ArrayBuffer [${[...new Uint8Array(value)]}]`;
    if (value instanceof DataView) return `DataView ${value.byteLength}`;
    if (ArrayBuffer.isView(value)) return `${value.constructor.name} [${[...value]}]`;
    if (Array.isArray(value)) return `[${Array.from(value, deeper).join(', ')}]`;
    if (value instanceof Map) return `Map [${[...value].map(deeper).join(', ')}]`;
    if (value instanceof Set) return `Set [${[...value].map(deeper).join(', ')}]`;
    return `{${Object.keys(value).map((key) => `${key}: ${deeper(value[key])}`).join(', ')}}`;
};

const evaluate = async (snippets) => {
    const values = [];
    for (const snippet of snippets) {
        try {
            values.push(shown(await (0, eval)(`(async () => (${snippet}\n))()`)));
        } catch (error) {
            values.push(`throws ${error?.name ?? typeof error}`);
        }
    }
    return values;
};
