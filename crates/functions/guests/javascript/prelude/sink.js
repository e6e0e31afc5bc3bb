// Streams that can be written to, those that change what goes through, and text in them.

let writing;

class WritableStream {
    #sink; #most; #size; #queue = []; #total = 0; #state = 'writable'; #error; #writer = null; #started = false; #flight = null;
    #closing = null; #closed = later(); #ready = later(); #full = false; #abort; #controller;
    constructor(sink = {}, strategy = {}) {
        this.#sink = sink ?? {};
        if (this.#sink.type !== undefined) throw new RangeError('a sink has no type');
        [this.#most, this.#size] = strategyOf(strategy, 1);
        const stream = this;
        this.#controller = {
            error: (error) => this.#fail(error),
            get signal() { return stream.#aborting().signal; },
        };
        this.#ready.resolve();
        this.#measure();
        const started = this.#sink.start?.(this.#controller);
        Promise.resolve(started).then(() => {
            this.#started = true;
            this.#next();
        }, (error) => this.#fail(error));
    }
    static {
        writing = {
            hold: (stream, writer) => {
                if (stream.#writer) throw new TypeError('the stream has a writer already');
                stream.#writer = writer;
            },
            release: (stream) => { stream.#writer = null; },
            closed: (stream) => stream.#closed.promise,
            ready: (stream) => stream.#ready.promise,
            room: (stream) => (stream.#state === 'errored' ? null : stream.#state === 'closed' ? 0 : stream.#most - stream.#total),
            write: (stream, chunk) => stream.#write(chunk),
            close: (stream) => stream.#close(),
            abort: (stream, reason) => stream.#break(reason),
        };
    }
    #aborting() { return (this.#abort ??= new AbortController()); }
    // Writers are ready when there is room.
    #measure() {
        const full = this.#state === 'writable' && !this.#closing && this.#most <= this.#total;
        if (full === this.#full) return;
        this.#full = full;
        if (full) this.#ready = later();
        else this.#ready.resolve();
    }
    #write(chunk) {
        if (this.#state === 'errored') return Promise.reject(this.#error);
        if (this.#state === 'closed' || this.#closing) return Promise.reject(new TypeError('the stream is closed'));
        let size;
        try {
            size = this.#size(chunk);
        } catch (error) {
            this.#fail(error);
            return Promise.reject(error);
        }
        const done = later();
        this.#queue.push({ chunk, size, done });
        this.#total += size;
        this.#measure();
        this.#next();
        return done.promise;
    }
    #close() {
        if (this.#state !== 'writable' || this.#closing) return Promise.reject(new TypeError('the stream is closed'));
        this.#closing = later();
        this.#measure();
        this.#next();
        return this.#closing.promise;
    }
    // One chunk after the other, and the end after them.
    #next() {
        if (this.#flight || !this.#started || this.#state !== 'writable' || (this.#queue.length === 0 && !this.#closing)) return;
        this.#flight = this.#work(this.#queue.shift()).then(() => {
            this.#flight = null;
            this.#next();
        });
    }
    async #work(item) {
        try {
            await (item ? this.#sink.write?.(item.chunk, this.#controller) : this.#sink.close?.());
        } catch (error) {
            item?.done.reject(error);
            this.#fail(error);
            return;
        }
        if (item) {
            this.#total -= item.size;
            item.done.resolve();
            this.#measure();
        } else if (this.#state === 'writable') {
            this.#state = 'closed';
            this.#closing.resolve();
            this.#closed.resolve();
        }
    }
    #fail(error) {
        if (this.#state !== 'writable') return;
        this.#state = 'errored';
        this.#error = error;
        for (const { done } of this.#queue.splice(0)) done.reject(error);
        this.#closing?.reject(error);
        this.#closed.reject(error);
        this.#ready.reject(error);
        this.#ready = later();
        this.#ready.reject(error);
    }
    async #break(reason) {
        if (this.#state !== 'writable') return;
        this.#aborting().abort(reason);
        this.#fail(reason);
        await this.#flight;
        await this.#sink.abort?.(reason);
    }
    get locked() { return this.#writer !== null; }
    getWriter() { return new WritableStreamDefaultWriter(this); }
    close() { return this.locked ? refused('the stream has a writer') : this.#close(); }
    abort(reason) { return this.locked ? refused('the stream has a writer') : this.#break(reason); }
    get [Symbol.toStringTag]() { return 'WritableStream'; }
}

class WritableStreamDefaultWriter {
    #stream; #closed;
    constructor(stream) {
        if (!(stream instanceof WritableStream)) throw new TypeError('a writer writes to a WritableStream');
        writing.hold(stream, this);
        this.#stream = stream;
        this.#closed = writing.closed(stream);
    }
    get closed() { return this.#closed; }
    get ready() { return this.#stream ? writing.ready(this.#stream) : refused('the writer was released'); }
    get desiredSize() {
        if (!this.#stream) throw new TypeError('the writer was released');
        return writing.room(this.#stream);
    }
    write(chunk) { return this.#stream ? writing.write(this.#stream, chunk) : refused('the writer was released'); }
    close() { return this.#stream ? writing.close(this.#stream) : refused('the writer was released'); }
    abort(reason) { return this.#stream ? writing.abort(this.#stream, reason) : refused('the writer was released'); }
    releaseLock() {
        if (!this.#stream) return;
        writing.release(this.#stream);
        this.#stream = undefined;
        this.#closed = refused('the writer was released');
    }
    get [Symbol.toStringTag]() { return 'WritableStreamDefaultWriter'; }
}

class TransformStream {
    #readable; #writable;
    constructor(transformer = {}, intake = {}, outlet = {}) {
        transformer ??= {};
        let out, sink, room = later();
        const controller = {
            enqueue: (chunk) => out.enqueue(chunk),
            error: (error) => {
                out.error(error);
                sink.error(error);
                room.resolve();
            },
            terminate: () => {
                if (isOpen(this.#readable)) out.close();
                sink.error(new TypeError('the stream was ended'));
                room.resolve();
            },
            get desiredSize() { return out.desiredSize; },
        };
        const failing = async (work) => {
            try {
                await work();
            } catch (error) {
                out.error(error);
                throw error;
            }
        };
        this.#readable = new ReadableStream({
            start: (given) => { out = given; },
            pull: () => room.resolve(),
            cancel: async (reason) => {
                sink.error(reason);
                room.resolve();
                await transformer.cancel?.(reason);
            },
        }, { highWaterMark: outlet?.highWaterMark ?? 0, size: outlet?.size });
        this.#writable = new WritableStream({
            start: (given) => {
                sink = given;
                sink.signal.addEventListener('abort', () => room.resolve());
                return transformer.start?.(controller);
            },
            // Nothing is taken in before somebody wants what comes out.
            write: async (chunk) => {
                while (isOpen(this.#readable) && !isWanted(this.#readable) && !sink.signal.aborted) {
                    room = later();
                    await room.promise;
                }
                if (!isOpen(this.#readable) || sink.signal.aborted) return;
                await failing(() => (transformer.transform ? transformer.transform(chunk, controller) : controller.enqueue(chunk)));
            },
            close: () => failing(async () => {
                await transformer.flush?.(controller);
                if (isOpen(this.#readable)) out.close();
            }),
            abort: async (reason) => {
                try {
                    await transformer.cancel?.(reason);
                } finally {
                    out.error(reason);
                }
            },
        }, intake);
    }
    get readable() { return this.#readable; }
    get writable() { return this.#writable; }
    get [Symbol.toStringTag]() { return 'TransformStream'; }
}

class TextEncoderStream {
    #pair;
    constructor() {
        // The first half of a character whose other half comes with the next chunk.
        let half = '';
        this.#pair = new TransformStream({
            transform: (chunk, out) => {
                let text = half + `${chunk}`;
                half = /[\uD800-\uDBFF]$/.test(text) ? text.at(-1) : '';
                if (half) text = text.slice(0, -1);
                if (text) out.enqueue(encode(text));
            },
            flush: (out) => {
                if (half) out.enqueue(encode(half));
            },
        });
    }
    get encoding() { return 'utf-8'; }
    get readable() { return this.#pair.readable; }
    get writable() { return this.#pair.writable; }
    get [Symbol.toStringTag]() { return 'TextEncoderStream'; }
}

class TextDecoderStream {
    #pair; #decoder;
    constructor(label, options) {
        const decoder = (this.#decoder = new TextDecoder(label, options));
        const pass = (text, out) => {
            if (text) out.enqueue(text);
        };
        this.#pair = new TransformStream({
            transform: (chunk, out) => pass(decoder.decode(chunk, { stream: true }), out),
            flush: (out) => pass(decoder.decode(), out),
        });
    }
    get encoding() { return this.#decoder.encoding; }
    get fatal() { return this.#decoder.fatal; }
    get ignoreBOM() { return this.#decoder.ignoreBOM; }
    get readable() { return this.#pair.readable; }
    get writable() { return this.#pair.writable; }
    get [Symbol.toStringTag]() { return 'TextDecoderStream'; }
}
