// Streams that can be read, as far as bodies need them: no strategies, no byte controllers, no pipes.

let isDisturbed;

class ReadableStream {
    #source; #queue = []; #state = 'readable'; #error; #waiting = []; #reader = null; #disturbed = false; #pulling = false; #started; #controller;
    constructor(source = {}) {
        this.#source = source ?? {};
        this.#controller = {
            enqueue: (chunk) => {
                if (this.#state !== 'readable') throw new TypeError('the stream is closed');
                const waiting = this.#waiting.shift();
                waiting ? waiting.resolve({ value: chunk, done: false }) : this.#queue.push(chunk);
            },
            close: () => {
                if (this.#state !== 'readable') throw new TypeError('the stream is closed');
                this.#end('closed');
            },
            error: (error) => {
                if (this.#state === 'readable') this.#fail(error);
            },
            get desiredSize() { return 1; },
        };
        const started = this.#source.start?.(this.#controller);
        this.#started = Promise.resolve(started).catch((error) => this.#fail(error));
    }
    static {
        isDisturbed = (stream) => stream.#disturbed;
    }
    static from(items) {
        const iterator = items[Symbol.asyncIterator]?.() ?? items[Symbol.iterator]();
        return new ReadableStream({
            async pull(controller) {
                const { value, done } = await iterator.next();
                done ? controller.close() : controller.enqueue(await value);
            },
            cancel: (reason) => iterator.return?.(reason),
        });
    }
    #end(state) {
        this.#state = state;
        for (const waiting of this.#waiting.splice(0)) waiting.resolve({ value: undefined, done: true });
    }
    #fail(error) {
        this.#state = 'errored';
        this.#error = error;
        this.#queue = [];
        for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
    }
    async #pull() {
        await this.#started;
        if (this.#pulling || this.#state !== 'readable' || !this.#source.pull) return;
        this.#pulling = true;
        try {
            await this.#source.pull(this.#controller);
        } catch (error) {
            this.#fail(error);
        }
        this.#pulling = false;
        if (this.#waiting.length > 0) this.#pull();
    }
    #read() {
        this.#disturbed = true;
        if (this.#queue.length > 0) return Promise.resolve({ value: this.#queue.shift(), done: false });
        if (this.#state === 'errored') return Promise.reject(this.#error);
        if (this.#state === 'closed') return Promise.resolve({ value: undefined, done: true });
        const result = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
        this.#pull();
        return result;
    }
    async #cancel(reason) {
        this.#disturbed = true;
        if (this.#state !== 'readable') return;
        this.#queue = [];
        this.#end('closed');
        await this.#source.cancel?.(reason);
    }
    get locked() { return this.#reader !== null; }
    getReader(options) {
        if (options?.mode !== undefined) throw new TypeError('streams are read chunk by chunk here');
        if (this.#reader) throw new TypeError('the stream has a reader already');
        const mine = (this.#reader = {});
        const held = (what) => (this.#reader === mine ? what() : Promise.reject(new TypeError('the reader was released')));
        return Object.assign(Object.create({
            read: () => held(() => this.#read()),
            cancel: (reason) => held(() => this.#cancel(reason)),
            releaseLock: () => {
                if (this.#reader === mine) this.#reader = null;
            },
        }));
    }
    cancel(reason) { return this.locked ? Promise.reject(new TypeError('the stream has a reader')) : this.#cancel(reason); }
    tee() {
        const reader = this.getReader(), controllers = [];
        const pull = async () => {
            const { value, done } = await reader.read();
            for (const controller of controllers) done ? controller.close() : controller.enqueue(value);
        };
        const branch = () => new ReadableStream({ start: (controller) => void controllers.push(controller), pull });
        return [branch(), branch()];
    }
    async *[Symbol.asyncIterator]() {
        const reader = this.getReader();
        try {
            for (;;) {
                const { value, done } = await reader.read();
                if (done) return;
                yield value;
            }
        } finally {
            await reader.cancel();
            reader.releaseLock();
        }
    }
    values() { return this[Symbol.asyncIterator](); }
    get [Symbol.toStringTag]() { return 'ReadableStream'; }
}

// All the bytes of a stream.
const collected = async (stream) => {
    const parts = [];
    for await (const part of stream) {
        const bytes = bytesOf(part);
        if (!bytes) throw new TypeError('a stream that is a body consists of bytes');
        parts.push(bytes.slice());
    }
    return joined(parts);
};

const streamOf = (content) => new ReadableStream({
    start: (controller) => {
        const bytes = typeof content === 'string' ? encode(content) : content.slice();
        if (bytes.length > 0) controller.enqueue(bytes);
        controller.close();
    },
});
