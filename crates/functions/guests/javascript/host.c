/* What the prelude reaches of the host: each import as a function of JavaScript.
 *
 * Until the module is loaded there is no host to ask: every call throws. */

/* ---- from the wire to JavaScript ---------------------------------------------------------------------------- */

static void release(bytes_t bytes)
{
    if (bytes.length > 0)
        free(bytes.data);
}

static JSValue take_text(JSContext *ctx, bytes_t text)
{
    JSValue value = JS_NewStringLen(ctx, (const char *)text.data, text.length);
    release(text);
    return value;
}

static void *resize_buffer(JSRuntime *rt, void *opaque, void *data, size_t size)
{
    (void)rt, (void)opaque;
    if (size > 0)
        return realloc(data, size);
    free(data);
    return NULL;
}

/* The bytes become the buffer; nothing is copied. */
static JSValue take_buffer(JSContext *ctx, bytes_t bytes)
{
    if (bytes.length == 0)
        return JS_NewArrayBufferCopy(ctx, NULL, 0);
    return JS_NewArrayBuffer(ctx, bytes.data, bytes.length, 0, resize_buffer, NULL, false);
}

static JSValue take_texts(JSContext *ctx, texts_t texts)
{
    JSValue array = JS_NewArray(ctx);
    for (size_t i = 0; i < texts.length; i++)
        JS_SetPropertyUint32(ctx, array, i, take_text(ctx, texts.items[i]));
    if (texts.length > 0)
        free(texts.items);
    return array;
}

/* Names and values by turns. */
static JSValue take_pairs(JSContext *ctx, pairs_t pairs)
{
    JSValue array = JS_NewArray(ctx);
    for (size_t i = 0; i < pairs.length; i++) {
        JS_SetPropertyUint32(ctx, array, 2 * i, take_text(ctx, pairs.items[i].name));
        JS_SetPropertyUint32(ctx, array, 2 * i + 1, take_text(ctx, pairs.items[i].value));
    }
    if (pairs.length > 0)
        free(pairs.items);
    return array;
}

static JSValue take_maybe_text(JSContext *ctx, maybe_text_t text)
{
    return text.is ? take_text(ctx, text.text) : JS_NULL;
}

static JSValue take_object(JSContext *ctx, object_t object)
{
    JSValue array = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, array, 0, take_text(ctx, object.key));
    JS_SetPropertyUint32(ctx, array, 1, JS_NewInt64(ctx, (int64_t)object.size));
    JS_SetPropertyUint32(ctx, array, 2, take_text(ctx, object.content_type));
    JS_SetPropertyUint32(ctx, array, 3, take_text(ctx, object.etag));
    JS_SetPropertyUint32(ctx, array, 4, take_text(ctx, object.modified));
    return array;
}

/* Throws `text`, as an Error. */
static JSValue throw_text(JSContext *ctx, bytes_t text)
{
    JSValue error = JS_NewError(ctx);
    JS_DefinePropertyValueStr(ctx, error, "message", take_text(ctx, text), JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
    return JS_Throw(ctx, error);
}

/* The errors of keyvalue and buckets have the same cases. */
static JSValue throw_failure(JSContext *ctx, failure_t failure, const char *what, const char *name)
{
    if (failure.which == 0)
        return JS_ThrowPlainError(ctx, "there is no %s `%s`", what, name);
    return throw_text(ctx, failure.text);
}

/* ---- from JavaScript to the wire ---------------------------------------------------------------------------- */

/* The bytes of a value: a string as UTF-8, a buffer or a view as they are. `text` is to be freed when it is set. */
static bool give_bytes(JSContext *ctx, JSValueConst value, const uint8_t **data, size_t *length, const char **text)
{
    *text = NULL;
    *data = NULL;
    *length = 0;
    if (JS_IsNull(value) || JS_IsUndefined(value))
        return true;
    if (JS_IsArrayBuffer(value)) {
        *data = JS_GetArrayBuffer(ctx, length, value);
        return *data != NULL || *length == 0;
    }
    if (JS_GetTypedArrayType(value) >= 0 || JS_IsDataView(value)) {
        size_t offset = 0, part = 0, whole = 0, size = 0;
        JSValue buffer;
        if (JS_IsDataView(value)) {
            JS_ThrowTypeError(ctx, "a DataView cannot be sent: use a Uint8Array");
            return false;
        }
        buffer = JS_GetTypedArrayBuffer(ctx, value, &offset, &part, &size);
        if (JS_IsException(buffer))
            return false;
        *data = JS_GetArrayBuffer(ctx, &whole, buffer);
        JS_FreeValue(ctx, buffer);
        *length = part;
        if (*data)
            *data += offset;
        return true;
    }
    *text = JS_ToCStringLen(ctx, length, value);
    *data = (const uint8_t *)*text;
    return *text != NULL;
}

/* Lone halves of surrogate pairs become U+FFFD, which takes as many bytes. */
static void mend_surrogates(uint8_t *data, size_t length)
{
    for (size_t i = 0; i + 2 < length; i++)
        if (data[i] == 0xED && data[i + 1] >= 0xA0)
            memcpy(data + i, "\xEF\xBF\xBD", 3);
}

static bool copy_text(JSContext *ctx, JSValueConst value, bytes_t *out)
{
    size_t length;
    const char *text = JS_ToCStringLen(ctx, &length, value);
    out->data = NULL;
    out->length = 0;
    if (!text)
        return false;
    if (length > 0) {
        out->data = malloc(length);
        if (!out->data) {
            JS_FreeCString(ctx, text);
            JS_ThrowOutOfMemory(ctx);
            return false;
        }
        memcpy(out->data, text, length);
        mend_surrogates(out->data, length);
        out->length = length;
    }
    JS_FreeCString(ctx, text);
    return true;
}

static void free_pairs(pairs_t pairs)
{
    for (size_t i = 0; i < pairs.length; i++) {
        release(pairs.items[i].name);
        release(pairs.items[i].value);
    }
    free(pairs.items);
}

/* An array of names and values by turns. */
static bool copy_pairs(JSContext *ctx, JSValueConst array, pairs_t *out)
{
    int64_t length = 0;
    out->items = NULL;
    out->length = 0;
    if (!JS_IsObject(array))
        return true;
    if (JS_GetLength(ctx, array, &length) < 0)
        return false;
    out->items = calloc(length / 2 + 1, sizeof(pair_t));
    if (!out->items) {
        JS_ThrowOutOfMemory(ctx);
        return false;
    }
    for (int64_t i = 0; i + 1 < length; i += 2) {
        JSValue name = JS_GetPropertyUint32(ctx, array, i), value = JS_GetPropertyUint32(ctx, array, i + 1);
        pair_t *pair = &out->items[out->length++];
        bool good = copy_text(ctx, name, &pair->name) && copy_text(ctx, value, &pair->value);
        JS_FreeValue(ctx, name);
        JS_FreeValue(ctx, value);
        if (!good) {
            free_pairs(*out);
            return false;
        }
    }
    return true;
}

/* ---- the functions ------------------------------------------------------------------------------------------- */

#define HOST(name) static JSValue host_##name(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
#define LOADED(what) \
    if (!is_loaded) \
        return JS_ThrowTypeError(ctx, "%s cannot be used while the module is loaded: move it into a handler", what)

/* Texts of arguments, freed when the function returns. */
typedef struct {
    JSContext *ctx;
    const char *at;
    size_t length;
} held_t;

static void let_go(held_t *held)
{
    if (held->at)
        JS_FreeCString(held->ctx, held->at);
}

#define TEXT(name, value) \
    __attribute__((cleanup(let_go))) held_t name = { ctx, NULL, 0 }; \
    name.at = JS_ToCStringLen(ctx, &name.length, value); \
    if (!name.at) \
        return JS_EXCEPTION; \
    mend_surrogates((uint8_t *)name.at, name.length)

#define BYTES(name, value) \
    __attribute__((cleanup(let_go))) held_t name##_text = { ctx, NULL, 0 }; \
    const uint8_t *name; \
    size_t name##_length; \
    if (!give_bytes(ctx, value, &name, &name##_length, &name##_text.at)) \
        return JS_EXCEPTION; \
    if (name##_text.at) \
        mend_surrogates((uint8_t *)name, name##_length)

HOST(log)
{
    int32_t level = 2;
    pairs_t fields;
    TEXT(message, argv[1]);
    JS_ToInt32(ctx, &level, argv[0]);
    if (!copy_pairs(ctx, argc > 2 ? argv[2] : JS_UNDEFINED, &fields))
        return JS_EXCEPTION;
    log_write(level, message.at, message.length, fields.items, fields.length);
    free_pairs(fields);
    return JS_UNDEFINED;
}

HOST(flagBoolean)
{
    LOADED("a flag");
    TEXT(key, argv[0]);
    return JS_NewBool(ctx, evaluate_boolean(key.at, key.length, JS_ToBool(ctx, argv[1]) > 0));
}

HOST(flagText)
{
    bytes_t out;
    LOADED("a flag");
    TEXT(key, argv[0]);
    TEXT(fallback, argv[1]);
    evaluate_text(key.at, key.length, fallback.at, fallback.length, &out);
    return take_text(ctx, out);
}

HOST(flagNumber)
{
    double fallback;
    LOADED("a flag");
    TEXT(key, argv[0]);
    if (JS_ToFloat64(ctx, &fallback, argv[1]) < 0)
        return JS_EXCEPTION;
    return JS_NewNumber(ctx, evaluate_number(key.at, key.length, fallback));
}

HOST(flagExplain)
{
    bytes_t out[3];
    JSValue array;
    LOADED("a flag");
    TEXT(key, argv[0]);
    TEXT(fallback, argv[1]);
    evaluate_explain(key.at, key.length, fallback.at, fallback.length, out);
    array = JS_NewArray(ctx);
    for (int i = 0; i < 3; i++)
        JS_SetPropertyUint32(ctx, array, i, take_text(ctx, out[i]));
    return array;
}

HOST(who)
{
    caller_t who;
    JSValue array;
    LOADED("the caller");
    context_who(&who);
    array = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, array, 0, take_text(ctx, who.id));
    JS_SetPropertyUint32(ctx, array, 1, take_text(ctx, who.email));
    JS_SetPropertyUint32(ctx, array, 2, take_text(ctx, who.role));
    JS_SetPropertyUint32(ctx, array, 3, take_texts(ctx, who.groups));
    return array;
}

HOST(what)
{
    about_t what;
    JSValue array;
    LOADED("the context");
    context_what(&what);
    array = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, array, 0, take_text(ctx, what.function));
    JS_SetPropertyUint32(ctx, array, 1, JS_NewUint32(ctx, what.version));
    JS_SetPropertyUint32(ctx, array, 2, take_text(ctx, what.environment));
    JS_SetPropertyUint32(ctx, array, 3, take_text(ctx, what.request_id));
    JS_SetPropertyUint32(ctx, array, 4, take_text(ctx, what.traceparent));
    return array;
}

HOST(configGet)
{
    maybe_text_t out;
    LOADED("configuration");
    TEXT(name, argv[0]);
    config_get(name.at, name.length, &out);
    return take_maybe_text(ctx, out);
}

HOST(configAll)
{
    pairs_t out;
    LOADED("configuration");
    config_all(&out);
    return take_pairs(ctx, out);
}

HOST(secret)
{
    maybe_result_t out;
    LOADED("a secret");
    TEXT(name, argv[0]);
    secrets_get(name.at, name.length, &out);
    if (out.failed)
        return throw_text(ctx, out.error);
    return take_maybe_text(ctx, out.value);
}

HOST(fetch)
{
    static const char *const reasons[] = { "denied", "timeout", "too-large", "failed" };
    fetched_t out;
    pairs_t headers;
    uint32_t timeout;
    JSValue array;
    LOADED("fetch");
    TEXT(method, argv[0]);
    TEXT(url, argv[1]);
    BYTES(body, argv[3]);
    if (JS_ToUint32(ctx, &timeout, argv[4]) < 0 || !copy_pairs(ctx, argv[2], &headers))
        return JS_EXCEPTION;
    fetch_send(method.at, method.length, url.at, url.length, headers.items, headers.length, body, body_length,
        timeout, &out);
    free_pairs(headers);
    array = JS_NewArray(ctx);
    if (out.failed) {
        bool is_text = out.failure.which == 0 || out.failure.which == 3;
        JS_SetPropertyUint32(ctx, array, 0, JS_NewString(ctx, reasons[out.failure.which & 3]));
        JS_SetPropertyUint32(ctx, array, 1, is_text ? take_text(ctx, out.failure.text) : JS_NewString(ctx, ""));
        return array;
    }
    JS_SetPropertyUint32(ctx, array, 0, JS_NewInt32(ctx, out.response.status));
    JS_SetPropertyUint32(ctx, array, 1, take_pairs(ctx, out.response.headers));
    JS_SetPropertyUint32(ctx, array, 2, take_buffer(ctx, out.response.body));
    return array;
}

HOST(kvGet)
{
    stored_t out;
    LOADED("a key-value store");
    TEXT(store, argv[0]);
    TEXT(key, argv[1]);
    keyvalue_get(store.at, store.length, key.at, key.length, &out);
    if (out.failed)
        return throw_failure(ctx, out.failure, "key-value store", store.at);
    return out.value.is ? take_buffer(ctx, out.value.text) : JS_NULL;
}

HOST(kvSet)
{
    stored_t out;
    LOADED("a key-value store");
    TEXT(store, argv[0]);
    TEXT(key, argv[1]);
    BYTES(value, argv[2]);
    keyvalue_set(store.at, store.length, key.at, key.length, value, value_length, &out);
    return out.failed ? throw_failure(ctx, out.failure, "key-value store", store.at) : JS_UNDEFINED;
}

HOST(kvDelete)
{
    stored_t out;
    LOADED("a key-value store");
    TEXT(store, argv[0]);
    TEXT(key, argv[1]);
    keyvalue_delete(store.at, store.length, key.at, key.length, &out);
    return out.failed ? throw_failure(ctx, out.failure, "key-value store", store.at) : JS_UNDEFINED;
}

HOST(kvExists)
{
    stored_t out;
    LOADED("a key-value store");
    TEXT(store, argv[0]);
    TEXT(key, argv[1]);
    keyvalue_exists(store.at, store.length, key.at, key.length, &out);
    return out.failed ? throw_failure(ctx, out.failure, "key-value store", store.at) : JS_NewBool(ctx, out.yes);
}

HOST(kvKeys)
{
    page_t out;
    JSValue array;
    bool is_after = !JS_IsNull(argv[2]) && !JS_IsUndefined(argv[2]);
    LOADED("a key-value store");
    TEXT(store, argv[0]);
    TEXT(prefix, argv[1]);
    TEXT(after, argv[2]);
    keyvalue_keys(store.at, store.length, prefix.at, prefix.length, is_after, after.at, is_after ? after.length : 0,
        &out);
    if (out.failed)
        return throw_failure(ctx, out.failure, "key-value store", store.at);
    array = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, array, 0,
        take_texts(ctx, (texts_t) { (bytes_t *)out.items.items, out.items.length }));
    JS_SetPropertyUint32(ctx, array, 1, take_maybe_text(ctx, out.next));
    return array;
}

HOST(kvIncrement)
{
    counted_t out;
    int64_t delta;
    LOADED("a key-value store");
    TEXT(store, argv[0]);
    TEXT(key, argv[1]);
    if (JS_ToInt64(ctx, &delta, argv[2]) < 0)
        return JS_EXCEPTION;
    keyvalue_increment(store.at, store.length, key.at, key.length, delta, &out);
    return out.failed ? throw_failure(ctx, out.failure, "key-value store", store.at) : JS_NewInt64(ctx, out.sum);
}

HOST(kvSwap)
{
    stored_t out;
    bool is_old = !JS_IsNull(argv[2]) && !JS_IsUndefined(argv[2]);
    LOADED("a key-value store");
    TEXT(store, argv[0]);
    TEXT(key, argv[1]);
    BYTES(old, argv[2]);
    BYTES(value, argv[3]);
    keyvalue_swap(store.at, store.length, key.at, key.length, is_old, old, old_length, value, value_length, &out);
    return out.failed ? throw_failure(ctx, out.failure, "key-value store", store.at) : JS_NewBool(ctx, out.yes);
}

HOST(bucketGet)
{
    stored_t out;
    LOADED("a bucket");
    TEXT(bucket, argv[0]);
    TEXT(key, argv[1]);
    buckets_get(bucket.at, bucket.length, key.at, key.length, &out);
    if (out.failed)
        return throw_failure(ctx, out.failure, "bucket", bucket.at);
    return out.value.is ? take_buffer(ctx, out.value.text) : JS_NULL;
}

HOST(bucketPut)
{
    put_t out;
    LOADED("a bucket");
    TEXT(bucket, argv[0]);
    TEXT(key, argv[1]);
    BYTES(data, argv[2]);
    TEXT(type, argv[3]);
    buckets_put(bucket.at, bucket.length, key.at, key.length, type.at, type.length, data, data_length, &out);
    return out.failed ? throw_failure(ctx, out.failure, "bucket", bucket.at) : take_object(ctx, out.object);
}

HOST(bucketHead)
{
    head_t out;
    LOADED("a bucket");
    TEXT(bucket, argv[0]);
    TEXT(key, argv[1]);
    buckets_head(bucket.at, bucket.length, key.at, key.length, &out);
    if (out.failed)
        return throw_failure(ctx, out.failure, "bucket", bucket.at);
    return out.is ? take_object(ctx, out.object) : JS_NULL;
}

HOST(bucketDelete)
{
    stored_t out;
    LOADED("a bucket");
    TEXT(bucket, argv[0]);
    TEXT(key, argv[1]);
    buckets_delete(bucket.at, bucket.length, key.at, key.length, &out);
    return out.failed ? throw_failure(ctx, out.failure, "bucket", bucket.at) : JS_UNDEFINED;
}

HOST(bucketKeys)
{
    page_t out;
    JSValue array, objects;
    bool is_after = !JS_IsNull(argv[2]) && !JS_IsUndefined(argv[2]);
    LOADED("a bucket");
    TEXT(bucket, argv[0]);
    TEXT(prefix, argv[1]);
    TEXT(after, argv[2]);
    buckets_keys(bucket.at, bucket.length, prefix.at, prefix.length, is_after, after.at, is_after ? after.length : 0,
        &out);
    if (out.failed)
        return throw_failure(ctx, out.failure, "bucket", bucket.at);
    objects = JS_NewArray(ctx);
    for (size_t i = 0; i < out.items.length; i++)
        JS_SetPropertyUint32(ctx, objects, i, take_object(ctx, ((object_t *)out.items.items)[i]));
    if (out.items.length > 0)
        free(out.items.items);
    array = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, array, 0, objects);
    JS_SetPropertyUint32(ctx, array, 1, take_maybe_text(ctx, out.next));
    return array;
}

HOST(publish)
{
    maybe_text_t out;
    LOADED("the bus");
    TEXT(subject, argv[0]);
    BYTES(data, argv[1]);
    bus_publish(subject.at, subject.length, data, data_length, &out);
    return out.is ? throw_text(ctx, out.text) : JS_UNDEFINED;
}

HOST(monotonic)
{
    if (!is_loaded)
        return JS_NewFloat64(ctx, 0);
    return JS_NewFloat64(ctx, (double)monotonic_clock_now() / 1e6);
}

HOST(random)
{
    uint8_t *data;
    size_t length;
    const char *text;
    LOADED("chance");
    if (!give_bytes(ctx, argv[0], (const uint8_t **)&data, &length, &text))
        return JS_EXCEPTION;
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = random_u64();
        memcpy(data + at, &word, length - at < 8 ? length - at : 8);
    }
    return JS_UNDEFINED;
}

static const JSCFunctionListEntry host_functions[] = {
    JS_CFUNC_DEF("log", 3, host_log),
    JS_CFUNC_DEF("flagBoolean", 2, host_flagBoolean),
    JS_CFUNC_DEF("flagText", 2, host_flagText),
    JS_CFUNC_DEF("flagNumber", 2, host_flagNumber),
    JS_CFUNC_DEF("flagExplain", 2, host_flagExplain),
    JS_CFUNC_DEF("who", 0, host_who),
    JS_CFUNC_DEF("what", 0, host_what),
    JS_CFUNC_DEF("configGet", 1, host_configGet),
    JS_CFUNC_DEF("configAll", 0, host_configAll),
    JS_CFUNC_DEF("secret", 1, host_secret),
    JS_CFUNC_DEF("fetch", 5, host_fetch),
    JS_CFUNC_DEF("kvGet", 2, host_kvGet),
    JS_CFUNC_DEF("kvSet", 3, host_kvSet),
    JS_CFUNC_DEF("kvDelete", 2, host_kvDelete),
    JS_CFUNC_DEF("kvExists", 2, host_kvExists),
    JS_CFUNC_DEF("kvKeys", 3, host_kvKeys),
    JS_CFUNC_DEF("kvIncrement", 3, host_kvIncrement),
    JS_CFUNC_DEF("kvSwap", 4, host_kvSwap),
    JS_CFUNC_DEF("bucketGet", 2, host_bucketGet),
    JS_CFUNC_DEF("bucketPut", 4, host_bucketPut),
    JS_CFUNC_DEF("bucketHead", 2, host_bucketHead),
    JS_CFUNC_DEF("bucketDelete", 2, host_bucketDelete),
    JS_CFUNC_DEF("bucketKeys", 3, host_bucketKeys),
    JS_CFUNC_DEF("publish", 2, host_publish),
    JS_CFUNC_DEF("monotonic", 0, host_monotonic),
    JS_CFUNC_DEF("random", 1, host_random),
};
