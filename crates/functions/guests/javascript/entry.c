/* What the host calls: to load at deploy, and then for each request, event and moment of a schedule. */

/* How deep calls may nest before the stack of the machine below would end. */
#define STACK_BYTES (448 * 1024)

/* The prelude's functions. */
static struct {
    JSContext *ctx;
    JSValue loaded, request, event, tick, timers, describe;
} the;

EXPORT("cabi_realloc")
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t new_size)
{
    void *fresh;
    (void)old_size;
    if (new_size == 0)
        return (void *)align;
    fresh = realloc(old, new_size);
    if (!fresh)
        __builtin_trap();
    return fresh;
}

/* ---- Memory --------------------------------------------------------------------------------------------------- */

/* What is freed while the module is loaded becomes zero: the memory is kept, and zeros need no room. */
static void give_back(void *opaque, void *at)
{
    (void)opaque;
    if (at && !is_loaded)
        explicit_bzero(at, malloc_usable_size(at));
    free(at);
}

static void *take(void *opaque, size_t size)
{
    (void)opaque;
    return malloc(size);
}

static void *take_zeroed(void *opaque, size_t count, size_t size)
{
    (void)opaque;
    return calloc(count, size);
}

static void *take_again(void *opaque, void *at, size_t size)
{
    void *fresh;
    size_t held;
    (void)opaque;
    if (!at || is_loaded)
        return realloc(at, size);
    held = malloc_usable_size(at);
    fresh = malloc(size);
    if (fresh) {
        memcpy(fresh, at, held < size ? held : size);
        give_back(opaque, at);
    }
    return fresh;
}

static size_t size_of(const void *at)
{
    return malloc_usable_size((void *)at);
}

static const JSMallocFunctions memory = { take_zeroed, take, give_back, take_again, size_of };

/* ---- Loading ------------------------------------------------------------------------------------------------- */

#define BUNDLE "`npx esbuild index.js --bundle --format=esm --external:flagbase --outfile=bundle.js`"

static JSModuleDef *refuse_import(JSContext *ctx, const char *name, void *opaque)
{
    (void)opaque;
    if (name[0] == '.' || name[0] == '/')
        JS_ThrowSyntaxError(ctx, "`%s` cannot be imported: a function is one file; make one of several with " BUNDLE, name);
    else
        JS_ThrowSyntaxError(ctx,
            "`%s` cannot be imported: only `flagbase` is here; put packages into the file with " BUNDLE, name);
    return NULL;
}

/* Names stay as they are written. */
static char *same_name(JSContext *ctx, const char *base, const char *name, void *opaque)
{
    (void)base, (void)opaque;
    return js_strdup(ctx, name);
}

/* The last promise that failed without anybody listening. */
static struct {
    void *promise;
    JSValue reason;
} unheard;

static void hear(JSContext *ctx, JSValueConst promise, JSValueConst reason, bool is_handled, void *opaque)
{
    void *which = JS_VALUE_GET_PTR(promise);
    (void)opaque;
    if (!is_handled && !unheard.promise) {
        unheard.promise = which;
        unheard.reason = JS_DupValue(ctx, reason);
    } else if (is_handled && unheard.promise == which) {
        unheard.promise = NULL;
        JS_FreeValue(ctx, unheard.reason);
    }
}

EXPORT("flagbase_start") void flagbase_start(void)
{
    JSRuntime *rt;
    char here;
    rt = JS_NewRuntime2(&memory, NULL);
    the.ctx = JS_NewContext(rt);
    rt->stack_limit = (uintptr_t)&here - STACK_BYTES;
    JS_SetGCThreshold(rt, 4 << 20);
    JS_SetHostPromiseRejectionTracker(rt, hear, NULL);
    JS_SetModuleLoaderFunc(rt, same_name, refuse_import, NULL);
}

/* What loading says: 0 and what it serves, or 1 and what is wrong. */
static struct {
    uint32_t failed;
    bytes_t text;
} loaded;

static void *load_failed(JSValue reason)
{
    JSValue text = JS_Call(the.ctx, the.describe, JS_UNDEFINED, 1, &reason);
    loaded.failed = 1;
    if (!copy_text(the.ctx, text, &loaded.text))
        loaded.text = (bytes_t) { (uint8_t *)"the module cannot be loaded", 27 };
    return &loaded;
}

static int init_flagbase(JSContext *ctx, JSModuleDef *module)
{
    static const char *const names[] = { "flags", "kv", "buckets", "bus", "secrets", "config", "context" };
    JSValue global = JS_GetGlobalObject(ctx), all = JS_GetPropertyStr(ctx, global, "flagbase");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        JS_SetModuleExport(ctx, module, names[i], JS_GetPropertyStr(ctx, all, names[i]));
    JS_SetModuleExport(ctx, module, "default", all);
    JS_FreeValue(ctx, global);
    return 0;
}

/* What functions look like in source is not kept for those of the prelude: it would be a fifth of the memory. */
static void forget_sources(JSRuntime *rt)
{
    struct list_head *item;
    list_for_each(item, &rt->gc_obj_list) {
        JSGCObjectHeader *header = list_entry(item, JSGCObjectHeader, link);
        JSFunctionBytecode *code = (JSFunctionBytecode *)header;
        if (js_rc(header)->gc_obj_type != JS_GC_OBJ_TYPE_FUNCTION_BYTECODE || !code->source)
            continue;
        explicit_bzero(code->source, code->source_len);
        js_free_rt(rt, code->source);
        code->source = NULL;
        code->source_len = 0;
    }
}

/* Runs the prelude: an expression that is a function of the host. */
EXPORT("flagbase_prelude") void *flagbase_prelude(const char *source, size_t length)
{
    JSContext *ctx = the.ctx;
    JSValue host = JS_NewObject(ctx), prelude, made;
    JSModuleDef *module;
    JS_SetPropertyFunctionList(ctx, host, host_functions, sizeof host_functions / sizeof *host_functions);
    JS_SetPropertyFunctionList(ctx, host, text_functions, sizeof text_functions / sizeof *text_functions);
    JS_SetPropertyFunctionList(ctx, host, digest_functions, sizeof digest_functions / sizeof *digest_functions);
    prelude = JS_Eval(ctx, source, length, "flagbase:prelude", JS_EVAL_TYPE_GLOBAL);
    made = JS_IsException(prelude) ? prelude : JS_Call(ctx, prelude, JS_UNDEFINED, 1, &host);
    if (JS_IsException(made)) {
        JSValue reason = JS_GetException(ctx);
        loaded.failed = 1;
        copy_text(ctx, reason, &loaded.text);
        return &loaded;
    }
    the.loaded = JS_GetPropertyStr(ctx, made, "loaded");
    the.request = JS_GetPropertyStr(ctx, made, "request");
    the.event = JS_GetPropertyStr(ctx, made, "event");
    the.tick = JS_GetPropertyStr(ctx, made, "tick");
    the.timers = JS_GetPropertyStr(ctx, made, "timers");
    the.describe = JS_GetPropertyStr(ctx, made, "describe");
    JS_FreeValue(ctx, made);
    forget_sources(JS_GetRuntime(ctx));
    module = JS_NewCModule(ctx, "flagbase", init_flagbase);
    JS_AddModuleExport(ctx, module, "flags");
    JS_AddModuleExport(ctx, module, "kv");
    JS_AddModuleExport(ctx, module, "buckets");
    JS_AddModuleExport(ctx, module, "bus");
    JS_AddModuleExport(ctx, module, "secrets");
    JS_AddModuleExport(ctx, module, "config");
    JS_AddModuleExport(ctx, module, "context");
    JS_AddModuleExport(ctx, module, "default");
    loaded.failed = 0;
    return &loaded;
}

static void run_jobs(void)
{
    JSContext *ctx;
    while (JS_ExecutePendingJob(JS_GetRuntime(the.ctx), &ctx) != 0)
        ;
}

/* Evaluates the module: its name and its source, which ends with a zero byte that does not count. */
EXPORT("flagbase_load") void *flagbase_load(char *name, char *source, size_t length)
{
    JSContext *ctx = the.ctx;
    JSModuleDef *module;
    JSValue compiled, done, exports, serves;
    loaded.failed = 0;
    compiled = JS_Eval(ctx, source, length, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    give_back(NULL, source);
    give_back(NULL, name);
    if (JS_IsException(compiled))
        return load_failed(JS_GetException(ctx));
    module = JS_VALUE_GET_PTR(compiled);
    done = JS_EvalFunction(ctx, compiled);
    if (JS_IsException(done))
        return load_failed(JS_GetException(ctx));
    run_jobs();
    switch (JS_PromiseState(ctx, done)) {
    case JS_PROMISE_REJECTED:
        return load_failed(JS_PromiseResult(ctx, done));
    case JS_PROMISE_PENDING:
        JS_ThrowTypeError(ctx, "the module waits for something at its top level that never comes");
        return load_failed(JS_GetException(ctx));
    default:
        break;
    }
    JS_FreeValue(ctx, done);
    if (unheard.promise)
        return load_failed(unheard.reason);
    exports = JS_GetModuleNamespace(ctx, module);
    serves = JS_Call(ctx, the.loaded, JS_UNDEFINED, 1, &exports);
    JS_FreeValue(ctx, exports);
    if (JS_IsException(serves))
        return load_failed(JS_GetException(ctx));
    copy_text(ctx, serves, &loaded.text);
    JS_FreeValue(ctx, serves);
    JS_RunGC(JS_GetRuntime(ctx));
    is_loaded = true;
    return &loaded;
}

/* A string or a list, as it comes: C would pass a struct by its address. */
#define FLAT(name) uint8_t *name, size_t name##_length
#define WHOLE(name) ((bytes_t) { name, name##_length })

/* ---- Answering ----------------------------------------------------------------------------------------------- */

static void sleep_for(double milliseconds)
{
    int32_t pollable = monotonic_clock_subscribe((uint64_t)(milliseconds * 1e6));
    pollable_block(pollable);
    pollable_drop(pollable);
}

/* Chance begins anew with each instance, not where the snapshot left it. */
static void reseed(void)
{
    static bool is_seeded;
    if (is_seeded)
        return;
    is_seeded = true;
    the.ctx->random_state = random_u64() | 1;
}

/* Runs what is waiting until `result` is there; an exception when it fails, or never comes. Takes `result`. */
static JSValue settle(JSValue result)
{
    JSContext *ctx = the.ctx;
    if (JS_IsException(result) || !JS_IsPromise(result))
        return result;
    for (;;) {
        JSValue next, value;
        double wait = -1;
        run_jobs();
        switch (JS_PromiseState(ctx, result)) {
        case JS_PROMISE_FULFILLED:
            value = JS_PromiseResult(ctx, result);
            JS_FreeValue(ctx, result);
            return value;
        case JS_PROMISE_REJECTED:
            /* We listen: it is said once, by who called. */
            hear(ctx, result, JS_UNDEFINED, true, NULL);
            JS_Throw(ctx, JS_PromiseResult(ctx, result));
            JS_FreeValue(ctx, result);
            return JS_EXCEPTION;
        default:
            break;
        }
        next = JS_Call(ctx, the.timers, JS_UNDEFINED, 0, NULL);
        if (JS_IsException(next)) {
            JS_FreeValue(ctx, result);
            return next;
        }
        JS_ToFloat64(ctx, &wait, next);
        if (wait > 0)
            sleep_for(wait);
        else if (wait < 0) {
            JS_FreeValue(ctx, result);
            return JS_ThrowTypeError(ctx, "the function waits for a promise that nothing will settle");
        }
    }
}

/* Writes to the log what failed beside the answer. */
static void report_unheard(void)
{
    JSValueConst arguments[] = { unheard.reason, JS_TRUE };
    if (!unheard.promise)
        return;
    unheard.promise = NULL;
    JS_FreeValue(the.ctx, JS_Call(the.ctx, the.describe, JS_UNDEFINED, 2, arguments));
    JS_FreeValue(the.ctx, unheard.reason);
}

/* What went wrong, for the log (the prelude writes it) and for the caller. */
static bytes_t failure_text(void)
{
    JSContext *ctx = the.ctx;
    JSValue reason = JS_GetException(ctx), yes = JS_TRUE, text;
    JSValueConst arguments[] = { reason, yes };
    bytes_t out;
    text = JS_Call(ctx, the.describe, JS_UNDEFINED, 2, arguments);
    if (JS_IsException(text) || !copy_text(ctx, text, &out)) {
        static const char unknown[] = "an error that cannot be shown, such as for want of memory";
        out.data = malloc(sizeof unknown - 1);
        if (!out.data)
            __builtin_trap();
        memcpy(out.data, unknown, sizeof unknown - 1);
        out.length = sizeof unknown - 1;
    }
    JS_FreeValue(ctx, reason);
    JS_FreeValue(ctx, text);
    return out;
}

static struct {
    response_t response;
    maybe_text_t outcome;
} answer;

/* Copies [status, headers, body] of the prelude to the wire. */
static bool give_response(JSValue parts)
{
    JSContext *ctx = the.ctx;
    JSValue status = JS_GetPropertyUint32(ctx, parts, 0), headers = JS_GetPropertyUint32(ctx, parts, 1);
    JSValue body = JS_GetPropertyUint32(ctx, parts, 2);
    int32_t number = 0;
    bool good = JS_ToInt32(ctx, &number, status) == 0 && copy_pairs(ctx, headers, &answer.response.headers);
    answer.response.status = (uint16_t)number;
    answer.response.body = (bytes_t) { NULL, 0 };
    if (good && JS_IsString(body))
        good = copy_text(ctx, body, &answer.response.body);
    else if (good && JS_IsObject(body)) {
        const char *text;
        const uint8_t *data;
        good = give_bytes(ctx, body, &data, &answer.response.body.length, &text);
        answer.response.body.data = malloc(answer.response.body.length + 1);
        if (good && answer.response.body.data)
            memcpy(answer.response.body.data, data, answer.response.body.length);
        else
            good = false;
    }
    JS_FreeValue(ctx, headers);
    JS_FreeValue(ctx, body);
    return good;
}

EXPORT("flagbase:faas/handler@1.0.0#handle")
response_t *handle(FLAT(method), FLAT(target), pair_t *headers, size_t headers_length, FLAT(body))
{
    JSContext *ctx = the.ctx;
    JSValue arguments[4], result;
    reseed();
    arguments[0] = take_text(ctx, WHOLE(method));
    arguments[1] = take_text(ctx, WHOLE(target));
    arguments[2] = take_pairs(ctx, (pairs_t) { headers, headers_length });
    arguments[3] = body_length > 0 ? take_buffer(ctx, WHOLE(body)) : JS_NULL;
    result = settle(JS_Call(ctx, the.request, JS_UNDEFINED, 4, arguments));
    for (int i = 0; i < 4; i++)
        JS_FreeValue(ctx, arguments[i]);
    if (JS_IsException(result) || !give_response(result)) {
        answer.response = (response_t) { 0 };
        answer.response.body = failure_text();
    }
    JS_FreeValue(ctx, result);
    report_unheard();
    return &answer.response;
}

/* The memory of the answer is the host's until this is called. */
EXPORT("cabi_post_flagbase:faas/handler@1.0.0#handle") void handled(response_t *response)
{
    free_pairs(response->headers);
    release(response->body);
    *response = (response_t) { 0 };
}

static maybe_text_t *outcome(JSValue result)
{
    answer.outcome = (maybe_text_t) { 0 };
    if (JS_IsException(result)) {
        answer.outcome.is = 1;
        answer.outcome.text = failure_text();
    }
    report_unheard();
    JS_FreeValue(the.ctx, result);
    return &answer.outcome;
}

EXPORT("flagbase:faas/subscriber@1.0.0#receive")
maybe_text_t *receive(FLAT(id), FLAT(subject), FLAT(kind), FLAT(time), FLAT(type), FLAT(data), uint32_t attempt)
{
    JSContext *ctx = the.ctx;
    JSValue arguments[7], result;
    reseed();
    arguments[0] = take_text(ctx, WHOLE(id));
    arguments[1] = take_text(ctx, WHOLE(subject));
    arguments[2] = take_text(ctx, WHOLE(kind));
    arguments[3] = take_text(ctx, WHOLE(time));
    arguments[4] = take_text(ctx, WHOLE(type));
    arguments[5] = take_buffer(ctx, WHOLE(data));
    arguments[6] = JS_NewUint32(ctx, attempt);
    result = settle(JS_Call(ctx, the.event, JS_UNDEFINED, 7, arguments));
    for (int i = 0; i < 7; i++)
        JS_FreeValue(ctx, arguments[i]);
    return outcome(result);
}

EXPORT("flagbase:faas/timer@1.0.0#run") maybe_text_t *run(FLAT(schedule), FLAT(time))
{
    JSContext *ctx = the.ctx;
    JSValue arguments[2] = { take_text(ctx, WHOLE(schedule)), take_text(ctx, WHOLE(time)) };
    JSValue result;
    reseed();
    result = settle(JS_Call(ctx, the.tick, JS_UNDEFINED, 2, arguments));
    JS_FreeValue(ctx, arguments[0]);
    JS_FreeValue(ctx, arguments[1]);
    return outcome(result);
}

EXPORT("cabi_post_flagbase:faas/subscriber@1.0.0#receive") void received(maybe_text_t *text)
{
    if (text->is)
        release(text->text);
    text->is = 0;
}

EXPORT("cabi_post_flagbase:faas/timer@1.0.0#run") void ran(maybe_text_t *text)
{
    received(text);
}
