// What guests in C share.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Bytes of the host as a string that ends with a zero.
static inline char *text(const uint8_t *bytes, size_t length) {
  char *copy = malloc(length + 1);
  memcpy(copy, bytes, length);
  copy[length] = 0;
  return copy;
}

static inline bool is(const char *one, const char *other) { return strcmp(one, other) == 0; }

static inline bool begins(const char *whole, const char *start) { return strncmp(whole, start, strlen(start)) == 0; }

// Writes a response with one header. A macro, because each world has types of its own.
#define answer(ret, code, type, content)                                     \
  do {                                                                       \
    __typeof__((ret)->headers.ptr) header = calloc(1, sizeof *header);       \
    header->f0.ptr = (uint8_t *)strdup("content-type");                      \
    header->f0.len = strlen("content-type");                                 \
    header->f1.ptr = (uint8_t *)strdup(type);                                \
    header->f1.len = strlen(type);                                           \
    (ret)->status = (code);                                                  \
    (ret)->headers.ptr = header;                                             \
    (ret)->headers.len = 1;                                                  \
    (ret)->body.ptr = (uint8_t *)strdup(content);                            \
    (ret)->body.len = strlen(content);                                       \
  } while (0)
