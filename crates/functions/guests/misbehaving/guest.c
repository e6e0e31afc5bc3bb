// Does what its path says, and most of that is what a guest should not do.
#include "../guest.h"
#include "misbehaving.h"

typedef exports_flagbase_faas_handler_response_t response_t;
typedef exports_flagbase_faas_handler_request_t request_t;

static volatile uint32_t sink;

// Something that a neighbour, or whoever comes next, must not see.
static char secret_page[65536];

static char *query(char *target) {
  char *mark = strchr(target, '?');
  return mark ? mark + 1 : "";
}

static void loop(void) {
  for (;;) sink++;
}

// Has something to do after each call, so that no compiler makes a loop of it.
__attribute__((noinline)) static uint32_t recurse(uint32_t depth) {
  sink++;
  return recurse(depth + 1) + sink;
}

static void allocate(response_t *ret) {
  size_t pages = 0;
  while (__builtin_wasm_memory_grow(0, 16) != (size_t)-1) pages += 16;
  char count[32];
  char *end = count + sizeof count - 1;
  *end = 0;
  do *--end = (char)('0' + pages % 10);
  while (pages /= 10);
  answer(ret, 200, "text/plain", end);
}

// Fills all memory that there is, over and over.
static void fill(void) {
  while (__builtin_wasm_memory_grow(0, 64) != (size_t)-1) {
  }
  size_t from = (size_t)&secret_page[0] + sizeof secret_page, size = __builtin_wasm_memory_size(0) * 65536;
  for (int i = 0;; i++) memset((void *)from, i, size - from);
}

static void flood_stdout(void) {
  wasi_cli_stdout_own_output_stream_t own = wasi_cli_stdout_get_stdout();
  wasi_io_streams_borrow_output_stream_t stream = wasi_io_streams_borrow_output_stream(own);
  uint8_t line[4096];
  memset(line, 'x', sizeof line);
  line[sizeof line - 1] = '\n';
  misbehaving_list_u8_t bytes = {line, sizeof line};
  wasi_io_streams_stream_error_t error;
  while (wasi_io_streams_method_output_stream_blocking_write_and_flush(stream, &bytes, &error)) {
  }
}

static void flood_log(void) {
  misbehaving_string_t message;
  misbehaving_list_tuple2_string_string_t none = {NULL, 0};
  misbehaving_string_set(&message, "a line that nobody asked for, again and again and again");
  for (;;) flagbase_faas_log_write(FLAGBASE_FAAS_LOG_LEVEL_INFO, &message, &none);
}

// An answer that says that it is as large as half of the address space.
static void gigabyte(response_t *ret) {
  answer(ret, 200, "text/plain", "");
  ret->body.ptr = (uint8_t *)1024;
  ret->body.len = 0x7fffff00;
}

// An answer of more megabytes than an answer may have.
static void large(response_t *ret) {
  answer(ret, 200, "text/plain", "");
  size_t size = 12u << 20;
  ret->body.ptr = malloc(size);
  ret->body.len = ret->body.ptr ? size : 0;
}

static void huge_headers(response_t *ret) {
  enum { COUNT = 20000 };
  answer(ret, 200, "text/plain", "");
  __typeof__(ret->headers.ptr) headers = calloc(COUNT, sizeof *headers);
  for (int i = 0; i < COUNT; i++) {
    misbehaving_string_set(&headers[i].f0, "x-large");
    misbehaving_string_set(&headers[i].f1, "0123456789012345678901234567890123456789");
  }
  ret->headers.ptr = headers;
  ret->headers.len = COUNT;
}

// Headers that would end the head of an answer and begin another one.
static void split_headers(response_t *ret) {
  answer(ret, 200, "text/plain", "");
  misbehaving_string_set(&ret->headers.ptr[0].f1, "text/plain\r\nx-smuggled: yes\r\n\r\n<p>");
}

static void nap(uint64_t nanoseconds) {
  wasi_clocks_monotonic_clock_own_pollable_t own = wasi_clocks_monotonic_clock_subscribe_duration(nanoseconds);
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(own));
  wasi_io_poll_pollable_drop_own(own);
}

// Makes handles and gives none back.
static void leak(void) {
  for (;;) wasi_clocks_monotonic_clock_subscribe_duration(1);
}

static void fetch(char *url, response_t *ret) {
  flagbase_faas_fetch_outgoing_t request = {0};
  flagbase_faas_fetch_response_t got;
  flagbase_faas_fetch_failure_t failure;
  misbehaving_string_set(&request.method, "GET");
  misbehaving_string_set(&request.url, url);
  if (flagbase_faas_fetch_send(&request, &got, &failure)) {
    answer(ret, 200, "text/plain", text(got.body.ptr, got.body.len));
    ret->status = got.status;
  } else {
    char *why = failure.tag == FLAGBASE_FAAS_FETCH_FAILURE_DENIED       ? "denied"
                : failure.tag == FLAGBASE_FAAS_FETCH_FAILURE_TIMED_OUT  ? "timed out"
                : failure.tag == FLAGBASE_FAAS_FETCH_FAILURE_TOO_LARGE  ? "too large"
                                                                        : "failed";
    answer(ret, 299, "text/plain", why);
  }
}

static void secret(char *name, response_t *ret) {
  misbehaving_string_t key, error;
  misbehaving_option_string_t value;
  misbehaving_string_set(&key, name);
  if (!flagbase_faas_secrets_get(&key, &value, &error)) {
    answer(ret, 500, "text/plain", text(error.ptr, error.len));
  } else if (value.is_some) {
    answer(ret, 200, "text/plain", text(value.val.ptr, value.val.len));
  } else {
    answer(ret, 404, "text/plain", "");
  }
}

static void keyvalue(char *store, response_t *ret) {
  misbehaving_string_t name, key;
  flagbase_faas_keyvalue_error_t error;
  int64_t sum;
  misbehaving_string_set(&name, store);
  misbehaving_string_set(&key, "visits");
  if (flagbase_faas_keyvalue_increment(&name, &key, 1, &sum, &error)) {
    char digit[2] = {(char)('0' + sum % 10), 0};
    answer(ret, 200, "text/plain", digit);
  } else {
    answer(ret, 403, "text/plain", error.tag == FLAGBASE_FAAS_KEYVALUE_ERROR_NO_SUCH_STORE ? "no such store" : "error");
  }
}

// Leaves a word in memory that the host does not clear by itself, and looks for it.
static void remember(response_t *ret) {
  for (size_t i = 0; i < sizeof secret_page; i++) secret_page[i] = 's';
  size_t fresh = __builtin_wasm_memory_grow(0, 64);
  if (fresh != (size_t)-1) memset((void *)(fresh * 65536), 's', 64 * 65536);
  answer(ret, 200, "text/plain", "written");
}

static void look(response_t *ret) {
  size_t found = 0;
  for (size_t i = 0; i < sizeof secret_page; i++) found += secret_page[i] != 0;
  size_t fresh = __builtin_wasm_memory_grow(0, 64);
  if (fresh != (size_t)-1) {
    uint8_t *bytes = (uint8_t *)(fresh * 65536);
    for (size_t i = 0; i < 64 * 65536; i++) found += bytes[i] != 0;
  }
  answer(ret, 200, "text/plain", found ? "found" : "nothing");
}

static void flag(char *key, response_t *ret) {
  misbehaving_string_t name, none, value;
  misbehaving_string_set(&name, key);
  misbehaving_string_set(&none, "none");
  flagbase_features_evaluate_text(&name, &none, &value);
  answer(ret, 200, "text/plain", text(value.ptr, value.len));
}

void exports_flagbase_faas_handler_handle(request_t *request, response_t *ret) {
  char *target = text(request->target.ptr, request->target.len);
  if (begins(target, "/loop")) loop();
  if (begins(target, "/allocate")) return allocate(ret);
  if (begins(target, "/recurse")) sink = recurse(0);
  if (begins(target, "/fill")) fill();
  if (begins(target, "/stdout")) flood_stdout();
  if (begins(target, "/logs")) flood_log();
  if (begins(target, "/gigabyte")) return gigabyte(ret);
  if (begins(target, "/large")) return large(ret);
  if (begins(target, "/headers")) return huge_headers(ret);
  if (begins(target, "/split")) return split_headers(ret);
  if (begins(target, "/status")) {
    answer(ret, 200, "text/plain", "");
    ret->status = 42;
    return;
  }
  if (begins(target, "/text")) {
    answer(ret, 200, "\xff\xfe", "not UTF-8 where text is wanted");
    return;
  }
  if (begins(target, "/sleep")) nap((uint64_t)strtoul(query(target), NULL, 10) * 1000000u);
  if (begins(target, "/trap")) __builtin_trap();
  if (begins(target, "/divide")) {
    volatile int nothing = 0;
    sink = (uint32_t)(1000 / nothing);
  }
  if (begins(target, "/outside")) sink = *(volatile uint8_t *)0xfffffff0;
  if (begins(target, "/leak")) leak();
  if (begins(target, "/fetch")) return fetch(query(target), ret);
  if (begins(target, "/secret")) return secret(query(target), ret);
  if (begins(target, "/keyvalue")) return keyvalue(query(target), ret);
  if (begins(target, "/remember")) return remember(ret);
  if (begins(target, "/look")) return look(ret);
  if (begins(target, "/flag")) return flag(query(target), ret);
  if (begins(target, "/random")) {
    uint64_t number = wasi_random_random_get_random_u64();
    char digits[17] = {0};
    for (int i = 0; i < 16; i++, number >>= 4) digits[i] = "0123456789abcdef"[number & 15];
    answer(ret, 200, "text/plain", digits);
    return;
  }
  if (begins(target, "/clock")) {
    // Whether time goes in steps of a millisecond.
    bool coarse = true;
    for (int i = 0; i < 100; i++) coarse = coarse && wasi_clocks_monotonic_clock_now() % 1000000 == 0;
    answer(ret, 200, "text/plain", coarse ? "coarse" : "fine");
    return;
  }
  answer(ret, 200, "text/plain", "fine");
}

bool exports_flagbase_faas_subscriber_receive(exports_flagbase_faas_subscriber_event_t *event,
                                              misbehaving_string_t *err) {
  char *subject = text(event->subject.ptr, event->subject.len);
  if (is(subject, "loop")) loop();
  if (is(subject, "trap")) __builtin_trap();
  if (is(subject, "error")) {
    // An error as large as memory lets it be.
    err->len = 16u << 20;
    err->ptr = malloc(err->len);
    memset(err->ptr, 'e', err->len);
    return false;
  }
  return true;
}
