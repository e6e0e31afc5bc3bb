/* What a function may import from the host, as the interfaces in ../../wit say it. */

#ifndef FLAGBASE_IMPORTS_H
#define FLAGBASE_IMPORTS_H

#include "wire.h"

#define FAAS(name) "flagbase:faas/" name "@1.0.0"

typedef const char *text_t;

IMPORT("flagbase:features/evaluate@1.0.0", "boolean")
int32_t evaluate_boolean(text_t key, size_t key_length, int32_t fallback);
IMPORT("flagbase:features/evaluate@1.0.0", "text")
void evaluate_text(text_t key, size_t key_length, text_t fallback, size_t fallback_length, bytes_t *out);
IMPORT("flagbase:features/evaluate@1.0.0", "number")
double evaluate_number(text_t key, size_t key_length, double fallback);
IMPORT("flagbase:features/evaluate@1.0.0", "explain")
void evaluate_explain(text_t key, size_t key_length, text_t fallback, size_t fallback_length, bytes_t out[3]);

typedef struct {
    bytes_t id, email, role;
    texts_t groups;
} caller_t;

typedef struct {
    bytes_t function;
    uint32_t version;
    bytes_t environment, request_id, traceparent;
} about_t;

IMPORT(FAAS("context"), "who") void context_who(caller_t *out);
IMPORT(FAAS("context"), "what") void context_what(about_t *out);

IMPORT(FAAS("log"), "write")
void log_write(int32_t level, text_t message, size_t length, const pair_t *fields, size_t count);

IMPORT(FAAS("config"), "get") void config_get(text_t name, size_t length, maybe_text_t *out);
IMPORT(FAAS("config"), "all") void config_all(pairs_t *out);

IMPORT(FAAS("secrets"), "get") void secrets_get(text_t name, size_t length, maybe_result_t *out);

typedef struct {
    uint8_t failed;
    union {
        response_t response;
        failure_t failure;
    };
} fetched_t;

IMPORT(FAAS("fetch"), "send")
void fetch_send(text_t method, size_t method_length, text_t url, size_t url_length, const pair_t *headers,
    size_t header_count, const uint8_t *body, size_t body_length, uint32_t timeout_ms, fetched_t *out);

typedef struct {
    uint8_t failed;
    union {
        maybe_text_t value; /* option<list<u8>> */
        uint8_t yes;
        failure_t failure;
    };
} stored_t;

typedef struct {
    uint8_t failed;
    union {
        struct {
            pairs_t items; /* of whatever kind */
            maybe_text_t next;
        };
        failure_t failure;
    };
} page_t;

typedef struct {
    uint8_t failed;
    union {
        int64_t sum;
        failure_t failure;
    };
} counted_t;

IMPORT(FAAS("keyvalue"), "get")
void keyvalue_get(text_t store, size_t store_length, text_t key, size_t key_length, stored_t *out);
IMPORT(FAAS("keyvalue"), "set")
void keyvalue_set(text_t store, size_t store_length, text_t key, size_t key_length, const uint8_t *value,
    size_t length, stored_t *out);
IMPORT(FAAS("keyvalue"), "delete")
void keyvalue_delete(text_t store, size_t store_length, text_t key, size_t key_length, stored_t *out);
IMPORT(FAAS("keyvalue"), "exists")
void keyvalue_exists(text_t store, size_t store_length, text_t key, size_t key_length, stored_t *out);
IMPORT(FAAS("keyvalue"), "keys")
void keyvalue_keys(text_t store, size_t store_length, text_t prefix, size_t prefix_length, int32_t is_after,
    text_t after, size_t after_length, page_t *out);
IMPORT(FAAS("keyvalue"), "increment")
void keyvalue_increment(text_t store, size_t store_length, text_t key, size_t key_length, int64_t delta,
    counted_t *out);
IMPORT(FAAS("keyvalue"), "swap")
void keyvalue_swap(text_t store, size_t store_length, text_t key, size_t key_length, int32_t is_old,
    const uint8_t *old, size_t old_length, const uint8_t *value, size_t length, stored_t *out);

typedef struct {
    bytes_t key;
    uint64_t size;
    bytes_t content_type, etag, modified;
} object_t;

typedef struct {
    uint8_t failed;
    union {
        object_t object;
        failure_t failure;
    };
} put_t;

typedef struct {
    uint8_t failed;
    union {
        struct {
            uint8_t is;
            object_t object;
        };
        failure_t failure;
    };
} head_t;

IMPORT(FAAS("buckets"), "get")
void buckets_get(text_t bucket, size_t bucket_length, text_t key, size_t key_length, stored_t *out);
IMPORT(FAAS("buckets"), "put")
void buckets_put(text_t bucket, size_t bucket_length, text_t key, size_t key_length, text_t type,
    size_t type_length, const uint8_t *data, size_t length, put_t *out);
IMPORT(FAAS("buckets"), "head")
void buckets_head(text_t bucket, size_t bucket_length, text_t key, size_t key_length, head_t *out);
IMPORT(FAAS("buckets"), "delete")
void buckets_delete(text_t bucket, size_t bucket_length, text_t key, size_t key_length, stored_t *out);
IMPORT(FAAS("buckets"), "keys")
void buckets_keys(text_t bucket, size_t bucket_length, text_t prefix, size_t prefix_length, int32_t is_after,
    text_t after, size_t after_length, page_t *out);

IMPORT(FAAS("bus"), "publish")
void bus_publish(text_t subject, size_t subject_length, const uint8_t *data, size_t length, maybe_text_t *out);

typedef struct {
    uint64_t seconds;
    uint32_t nanoseconds;
} moment_t;

IMPORT("wasi:clocks/wall-clock@0.2.0", "now") void wall_clock_now(moment_t *out);
IMPORT("wasi:clocks/monotonic-clock@0.2.0", "now") uint64_t monotonic_clock_now(void);
IMPORT("wasi:clocks/monotonic-clock@0.2.0", "subscribe-duration") int32_t monotonic_clock_subscribe(uint64_t nanoseconds);
IMPORT("wasi:io/poll@0.2.0", "[method]pollable.block") void pollable_block(int32_t pollable);
IMPORT("wasi:io/poll@0.2.0", "[resource-drop]pollable") void pollable_drop(int32_t pollable);
IMPORT("wasi:random/random@0.2.0", "get-random-u64") uint64_t random_u64(void);

#endif
