// Streams that can be read: chunk by chunk, through readers, pipes and branches. There are no readers of bytes into buffers.

// A promise that is settled from outside, and whose failure need not be looked at.
const later = () => {
    const parts = Promise.withResolvers();
    parts.promise.catch(() => {});
    return parts;
};
const refused = (why) => {
    const parts = later();
    parts.reject(new TypeError(why));
    return parts.promise;
};

// How chunks are counted, and from how many on there are enough.
const strategyOf = (strategy, usual) => {
    const most = strategy?.highWaterMark === undefined ? usual : Number(strategy.highWaterMark);
    if (!(most >= 0)) throw new RangeError('highWaterMark is a number, and not negative');
    const size = strategy?.size;
    if (size !== undefined && typeof size !== 'function') throw new TypeError('size is a function');
    return [most, (chunk) => {
        const count = size ? Number(size(chunk)) : 1;
        if (!(count >= 0 && count < Infinity)) throw new RangeError('the size of a chunk is a number, and not negative');
        return count;
    }];
};

class CountQueuingStrategy {
    constructor(init) { this.highWaterMark = Number(init.highWaterMark); }
    get size() { return () => 1; }
}

class ByteLengthQueuingStrategy {
    constructor(init) { this.highWaterMark = Number(init.highWaterMark); }
    get size() { return (chunk) => chunk.byteLength; }
}

// What readers and pipes know of a stream beside what everybody does.
let isDisturbed, isWanted, isOpen, reading;

class ReadableStream {
    #source; #most; #size; #queue = []; #total = 0; #state = 'readable'; #closing = false; #error; #closed = later();
    #waiting = []; #reader = null; #disturbed = false; #started = false; #pulling = false; #again = false; #controller;
    constructor(source = {}, strategy = {}) {
        this.#source = source ?? {};
        const type = this.#source.type;
        if (type !== undefined && `${type}` !== 'bytes') throw new TypeError(`a source of the type \`${type}\` is not known`);
        [this.#most, this.#size] = strategyOf(strategy, type === undefined ? 1 : 0);
        const stream = this;
        this.#controller = {
            enqueue: (chunk) => this.#enqueue(chunk),
            close: () => this.#close(),
            error: (error) => this.#fail(error),
            get desiredSize() { return stream.#state === 'errored' ? null : stream.#state === 'closed' ? 0 : stream.#most - stream.#total; },
            byobRequest: null,
        };
        const started = this.#source.start?.(this.#controller);
        Promise.resolve(started).then(() => {
            this.#started = true;
            this.#pull();
        }, (error) => this.#fail(error));
    }
    static {
        isDisturbed = (stream) => stream.#disturbed;
        isWanted = (stream) => stream.#wanted();
        isOpen = (stream) => stream.#state === 'readable' && !stream.#closing;
        reading = {
            hold: (stream, reader) => {
                if (stream.#reader) throw new TypeError('the stream has a reader already');
                stream.#reader = reader;
                return stream.#closed.promise;
            },
            release: (stream) => {
                stream.#reader = null;
                for (const waiting of stream.#waiting.splice(0)) waiting.reject(new TypeError('the reader was released'));
            },
            read: (stream) => stream.#read(),
            cancel: (stream, reason) => stream.#cancel(reason),
        };
    }
    static from(items) {
        const iterator = items[Symbol.asyncIterator]?.() ?? items[Symbol.iterator]();
        return new ReadableStream({
            async pull(controller) {
                const { value, done } = await iterator.next();
                done ? controller.close() : controller.enqueue(await value);
            },
            cancel: (reason) => iterator.return?.(reason),
        }, { highWaterMark: 0 });
    }
    #enqueue(chunk) {
        if (this.#state !== 'readable' || this.#closing) throw new TypeError('the stream is closed');
        const waiting = this.#waiting.shift();
        if (waiting) {
            waiting.resolve({ value: chunk, done: false });
        } else {
            try {
                const size = this.#size(chunk);
                this.#queue.push({ chunk, size });
                this.#total += size;
            } catch (error) {
                this.#fail(error);
                throw error;
            }
        }
        this.#pull();
    }
    // What is in the queue can still be read.
    #close() {
        if (this.#state !== 'readable' || this.#closing) throw new TypeError('the stream is closed');
        this.#closing = true;
        if (this.#queue.length === 0) this.#end();
    }
    #end() {
        this.#state = 'closed';
        for (const waiting of this.#waiting.splice(0)) waiting.resolve({ value: undefined, done: true });
        this.#closed.resolve();
    }
    #fail(error) {
        if (this.#state !== 'readable') return;
        this.#state = 'errored';
        this.#error = error;
        this.#queue = [];
        for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
        this.#closed.reject(error);
    }
    #wanted() {
        return this.#started && this.#state === 'readable' && !this.#closing && (this.#waiting.length > 0 || this.#most > this.#total);
    }
    async #pull() {
        if (!this.#source.pull || !this.#wanted()) return;
        if (this.#pulling) {
            this.#again = true;
            return;
        }
        this.#pulling = true;
        try {
            await this.#source.pull(this.#controller);
        } catch (error) {
            this.#fail(error);
        }
        this.#pulling = false;
        if (!this.#again) return;
        this.#again = false;
        this.#pull();
    }
    #read() {
        this.#disturbed = true;
        if (this.#queue.length > 0) {
            const { chunk, size } = this.#queue.shift();
            this.#total -= size;
            this.#closing && this.#queue.length === 0 ? this.#end() : this.#pull();
            return Promise.resolve({ value: chunk, done: false });
        }
        if (this.#state === 'errored') return Promise.reject(this.#error);
        if (this.#state === 'closed') return Promise.resolve({ value: undefined, done: true });
        const result = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
        this.#pull();
        return result;
    }
    async #cancel(reason) {
        this.#disturbed = true;
        if (this.#state === 'errored') throw this.#error;
        if (this.#state === 'closed') return;
        this.#queue = [];
        this.#end();
        await this.#source.cancel?.(reason);
    }
    get locked() { return this.#reader !== null; }
    getReader(options) {
        if (options?.mode !== undefined) throw new TypeError('streams are read chunk by chunk here');
        return new ReadableStreamDefaultReader(this);
    }
    cancel(reason) { return this.locked ? refused('the stream has a reader') : this.#cancel(reason); }
    tee() {
        const reader = this.getReader(), controllers = [null, null], reasons = [];
        const pull = async () => {
            const { value, done } = await reader.read();
            for (const controller of controllers) if (controller) done ? controller.close() : controller.enqueue(value);
        };
        const branch = (at) => new ReadableStream({
            start: (controller) => void (controllers[at] = controller),
            pull,
            cancel: (reason) => {
                controllers[at] = null;
                reasons[at] = reason;
                return controllers.some((one) => one) ? undefined : reader.cancel(reasons);
            },
        }, { highWaterMark: 0 });
        return [branch(0), branch(1)];
    }
    pipeThrough(pair, options) {
        const { readable, writable } = pair;
        if (!(readable instanceof ReadableStream) || !(writable instanceof WritableStream))
            throw new TypeError('a stream goes through something with `readable` and `writable`');
        if (this.locked || writable.locked) throw new TypeError('one of the streams is in use already');
        this.pipeTo(writable, options).catch(() => {});
        return readable;
    }
    async pipeTo(to, options) {
        if (!(to instanceof WritableStream)) throw new TypeError('a stream goes into a WritableStream');
        if (this.locked || to.locked) throw new TypeError('one of the streams is in use already');
        await piped(this.getReader(), to.getWriter(), options ?? {});
    }
    async *values(options) {
        const reader = this.getReader();
        try {
            for (;;) {
                const { value, done } = await reader.read();
                if (done) return;
                yield value;
            }
        } finally {
            if (!options?.preventCancel) await reader.cancel();
            reader.releaseLock();
        }
    }
    [Symbol.asyncIterator](options) { return this.values(options); }
    get [Symbol.toStringTag]() { return 'ReadableStream'; }
}

class ReadableStreamDefaultReader {
    #stream; #closed;
    constructor(stream) {
        if (!(stream instanceof ReadableStream)) throw new TypeError('a reader reads a ReadableStream');
        this.#closed = reading.hold(stream, this);
        this.#stream = stream;
    }
    get closed() { return this.#closed; }
    read() { return this.#stream ? reading.read(this.#stream) : refused('the reader was released'); }
    cancel(reason) { return this.#stream ? reading.cancel(this.#stream, reason) : refused('the reader was released'); }
    releaseLock() {
        if (!this.#stream) return;
        reading.release(this.#stream);
        this.#stream = undefined;
        this.#closed = refused('the reader was released');
    }
    get [Symbol.toStringTag]() { return 'ReadableStreamDefaultReader'; }
}

// Writes what is read until there is no more. When one side fails, or `signal` says so, the other one is told.
const piped = async (reader, writer, { preventClose, preventAbort, preventCancel, signal }) => {
    const halt = later();
    let failed, last;
    const stop = (side) => (error) => {
        failed ??= side;
        halt.reject(error);
    };
    const aborted = () => stop('signal')(signal.reason);
    const unlessHalted = (promise) => Promise.race([promise, halt.promise]);
    writer.closed.then(() => stop('writer')(new TypeError('the stream that is written to is closed')), stop('writer'));
    try {
        signal?.aborted ? aborted() : signal?.addEventListener('abort', aborted);
        for (;;) {
            await unlessHalted(writer.ready);
            const { value, done } = await unlessHalted(reader.read().catch((error) => {
                failed ??= 'reader';
                throw error;
            }));
            if (done) break;
            (last = writer.write(value)).catch(() => {});
        }
        await (preventClose ? last : writer.close());
    } catch (error) {
        // What was read is written before the writer hears of the failure.
        if (failed === 'reader') await last?.catch(() => {});
        if (failed !== 'writer' && !preventAbort) await writer.abort(error).catch(() => {});
        if (failed !== 'reader' && !preventCancel) await reader.cancel(error).catch(() => {});
        throw error;
    } finally {
        signal?.removeEventListener('abort', aborted);
        reader.releaseLock();
        writer.releaseLock();
    }
};

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
