/* Text and bytes: UTF-8, base64. The prelude calls these where a loop in JavaScript would be slow. */

/* How many bytes of well-formed UTF-8 begin at `at`; 0 when none do. `wrong` is how many to replace together. */
static size_t sequence(const uint8_t *at, size_t left, size_t *wrong)
{
    uint8_t first = at[0], low = 0x80, high = 0xBF;
    size_t length;
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        length = 2;
    else if (first >= 0xE0 && first <= 0xEF)
        length = 3;
    else if (first >= 0xF0 && first <= 0xF4)
        length = 4;
    else {
        *wrong = 1;
        return 0;
    }
    if (first == 0xE0)
        low = 0xA0;
    if (first == 0xED)
        high = 0x9F;
    if (first == 0xF0)
        low = 0x90;
    if (first == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i < length; i++) {
        if (i >= left || at[i] < low || at[i] > high) {
            *wrong = i;
            return 0;
        }
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

static size_t ascii_prefix(const uint8_t *data, size_t length)
{
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        if (word & 0x8080808080808080ull)
            break;
    }
    while (i < length && data[i] < 0x80)
        i++;
    return i;
}

/* A string of UTF-8 in which what is malformed becomes U+FFFD, as the web's decoder has it. */
static JSValue decode(JSContext *ctx, const uint8_t *data, size_t length, bool is_fatal)
{
    size_t good = ascii_prefix(data, length), wrong = 0, count = 0;
    DynBuf out;
    JSValue value;
    while (good < length && (count = sequence(data + good, length - good, &wrong)) > 0)
        good += count;
    if (good >= length)
        return JS_NewStringLen(ctx, (const char *)data, length);
    if (is_fatal)
        return JS_ThrowTypeError(ctx, "the bytes are not valid UTF-8");
    js_dbuf_init(ctx, &out);
    for (size_t i = 0; i < length;) {
        count = sequence(data + i, length - i, &wrong);
        if (count > 0) {
            dbuf_put(&out, data + i, count);
            i += count;
        } else {
            dbuf_put(&out, (const uint8_t *)"\xEF\xBF\xBD", 3);
            i += wrong;
        }
    }
    value = dbuf_error(&out) ? JS_ThrowOutOfMemory(ctx) : JS_NewStringLen(ctx, (const char *)out.buf, out.size);
    dbuf_free(&out);
    return value;
}

/* decode(bytes, fatal): a string. */
HOST(decode)
{
    bool is_fatal = argc > 1 && JS_ToBool(ctx, argv[1]) > 0;
    BYTES(data, argv[0]);
    return decode(ctx, data, data_length, is_fatal);
}

/* encode(text): an ArrayBuffer of UTF-8. */
HOST(encode)
{
    TEXT(text, argv[0]);
    return JS_NewArrayBufferCopy(ctx, (const uint8_t *)text.at, text.length);
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* base64(bytes): text with padding. */
HOST(base64)
{
    char *out;
    size_t at = 0;
    JSValue value;
    BYTES(data, argv[0]);
    out = js_malloc(ctx, (data_length + 2) / 3 * 4 + 1);
    if (!out)
        return JS_EXCEPTION;
    for (size_t i = 0; i < data_length; i += 3) {
        size_t left = data_length - i;
        uint32_t word = (uint32_t)data[i] << 16 | (left > 1 ? data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
        out[at++] = base64_digits[word >> 18];
        out[at++] = base64_digits[word >> 12 & 63];
        out[at++] = left > 1 ? base64_digits[word >> 6 & 63] : '=';
        out[at++] = left > 2 ? base64_digits[word & 63] : '=';
    }
    value = JS_NewStringLen(ctx, out, at);
    js_free(ctx, out);
    return value;
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* unbase64(text): an ArrayBuffer, or null when the text is no base64. White space and missing padding are fine. */
HOST(unbase64)
{
    uint8_t *out;
    size_t digits = 0, padding = 0, at = 0;
    uint32_t word = 0;
    bool good = true;
    JSValue value;
    TEXT(text, argv[0]);
    out = js_malloc(ctx, text.length / 4 * 3 + 4);
    if (!out)
        return JS_EXCEPTION;
    for (size_t i = 0; good && i < text.length; i++) {
        uint8_t c = text.at[i];
        int digit = base64_value(c);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r')
            continue;
        if (c == '=') {
            padding++;
            continue;
        }
        good = digit >= 0 && padding == 0;
        word = word << 6 | (uint32_t)digit;
        if (++digits % 4 == 0) {
            out[at++] = word >> 16;
            out[at++] = word >> 8;
            out[at++] = word;
            word = 0;
        }
    }
    good = good && digits % 4 != 1 && padding <= 2 && (padding == 0 || (digits + padding) % 4 == 0);
    if (digits % 4 == 2)
        out[at++] = word >> 4;
    if (digits % 4 == 3) {
        out[at++] = word >> 10;
        out[at++] = word >> 2;
    }
    value = good ? JS_NewArrayBufferCopy(ctx, out, at) : JS_NULL;
    js_free(ctx, out);
    return value;
}

/* latin1(text): an ArrayBuffer with a byte for each character, or null when one is above U+00FF. */
HOST(latin1)
{
    size_t at = 0;
    uint8_t *out;
    JSValue value;
    TEXT(text, argv[0]);
    out = js_malloc(ctx, text.length + 1);
    if (!out)
        return JS_EXCEPTION;
    for (size_t i = 0; i < text.length; i++) {
        uint8_t c = text.at[i];
        if (c < 0x80)
            out[at++] = c;
        else if ((c == 0xC2 || c == 0xC3) && i + 1 < text.length)
            out[at++] = (uint8_t)(c << 6 | (text.at[++i] & 0x3F));
        else {
            js_free(ctx, out);
            return JS_NULL;
        }
    }
    value = JS_NewArrayBufferCopy(ctx, out, at);
    js_free(ctx, out);
    return value;
}

/* characters(bytes): a string with a character for each byte. */
HOST(characters)
{
    char *out;
    size_t at = 0;
    JSValue value;
    BYTES(data, argv[0]);
    out = js_malloc(ctx, 2 * data_length + 1);
    if (!out)
        return JS_EXCEPTION;
    for (size_t i = 0; i < data_length; i++) {
        if (data[i] < 0x80)
            out[at++] = data[i];
        else {
            out[at++] = 0xC0 | data[i] >> 6;
            out[at++] = 0x80 | (data[i] & 0x3F);
        }
    }
    value = JS_NewStringLen(ctx, out, at);
    js_free(ctx, out);
    return value;
}

static const JSCFunctionListEntry text_functions[] = {
    JS_CFUNC_DEF("decode", 2, host_decode),
    JS_CFUNC_DEF("encode", 1, host_encode),
    JS_CFUNC_DEF("base64", 1, host_base64),
    JS_CFUNC_DEF("unbase64", 1, host_unbase64),
    JS_CFUNC_DEF("latin1", 1, host_latin1),
    JS_CFUNC_DEF("characters", 1, host_characters),
};
