/* How values cross the boundary: the component model's canonical ABI, lowered by hand.
 *
 * A string or a list is a pointer and a length. What a function returns beyond one number is written to an area that
 * the caller names. `option` and `result` begin with a byte that says which case it is; the payload follows, aligned. */

#ifndef FLAGBASE_WIRE_H
#define FLAGBASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *data;
    size_t length;
} bytes_t;

typedef struct {
    bytes_t name;
    bytes_t value;
} pair_t;

typedef struct {
    pair_t *items;
    size_t length;
} pairs_t;

typedef struct {
    bytes_t *items;
    size_t length;
} texts_t;

/* `response` of flagbase:faas/types. */
typedef struct {
    uint16_t status;
    pairs_t headers;
    bytes_t body;
} response_t;

/* `result<_, string>`, and `option<string>` in the same layout. */
typedef struct {
    uint8_t is;
    bytes_t text;
} maybe_text_t;

/* `result<option<string>, string>`. */
typedef struct {
    uint8_t failed;
    union {
        maybe_text_t value;
        bytes_t error;
    };
} maybe_result_t;

/* A variant of errors whose cases carry a text or nothing. */
typedef struct {
    uint8_t which;
    bytes_t text;
} failure_t;

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name), used))

#endif
