// A guest of `wasi:http`: says hello, echoes, streams, and misbehaves by path.
#include "../arena.h"
#include "../guest.h"
#include "proxy.h"

typedef wasi_io_streams_borrow_output_stream_t out_t;

static bool put(out_t out, const void *bytes, size_t length) {
  proxy_list_u8_t part = {(uint8_t *)bytes, length};
  wasi_io_streams_stream_error_t error;
  return wasi_io_streams_method_output_stream_blocking_write_and_flush(out, &part, &error);
}

static void nap(uint64_t nanoseconds) {
  wasi_clocks_monotonic_clock_own_pollable_t own = wasi_clocks_monotonic_clock_subscribe_duration(nanoseconds);
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(own));
  wasi_io_poll_pollable_drop_own(own);
}

static void header(wasi_http_types_own_fields_t fields, const char *name, const char *value) {
  proxy_string_t key;
  proxy_string_set(&key, name);
  wasi_http_types_field_value_t bytes = {(uint8_t *)value, strlen(value)};
  wasi_http_types_header_error_t error;
  wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(fields), &key, &bytes, &error);
}

// Sends the head, and gives the body to write to.
static wasi_http_types_own_outgoing_body_t begin(wasi_http_types_own_response_outparam_t out, uint16_t status,
                                                 wasi_http_types_own_fields_t fields) {
  wasi_http_types_own_outgoing_response_t response = wasi_http_types_constructor_outgoing_response(fields);
  wasi_http_types_borrow_outgoing_response_t borrowed = wasi_http_types_borrow_outgoing_response(response);
  wasi_http_types_own_outgoing_body_t body;
  wasi_http_types_method_outgoing_response_set_status_code(borrowed, status);
  wasi_http_types_method_outgoing_response_body(borrowed, &body);
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = response};
  wasi_http_types_static_response_outparam_set(out, &result);
  return body;
}

static wasi_io_streams_own_output_stream_t open(wasi_http_types_own_outgoing_body_t body) {
  wasi_io_streams_own_output_stream_t stream;
  wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream);
  return stream;
}

static void finish(wasi_io_streams_own_output_stream_t stream, wasi_http_types_own_outgoing_body_t body) {
  wasi_http_types_error_code_t error;
  wasi_io_streams_output_stream_drop_own(stream);
  wasi_http_types_static_outgoing_body_finish(body, NULL, &error);
}

// The body of the request, part by part, as the body of the answer.
static void echo(wasi_http_types_own_incoming_request_t request, out_t out) {
  wasi_http_types_own_incoming_body_t body;
  wasi_io_streams_own_input_stream_t in;
  wasi_io_streams_stream_error_t error;
  proxy_list_u8_t part;
  wasi_http_types_method_incoming_request_consume(wasi_http_types_borrow_incoming_request(request), &body);
  wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &in);
  while (wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(in), 4096, &part, &error)) {
    if (!put(out, part.ptr, part.len)) break;
    proxy_list_u8_free(&part);
  }
}

// One header a line, as `name: value`.
static void headers(wasi_http_types_own_incoming_request_t request, out_t out) {
  wasi_http_types_list_tuple2_field_key_field_value_t list;
  wasi_http_types_own_headers_t own =
      wasi_http_types_method_incoming_request_headers(wasi_http_types_borrow_incoming_request(request));
  wasi_http_types_method_fields_entries(wasi_http_types_borrow_fields(own), &list);
  for (size_t i = 0; i < list.len; i++) {
    put(out, list.ptr[i].f0.ptr, list.ptr[i].f0.len);
    put(out, ": ", 2);
    put(out, list.ptr[i].f1.ptr, list.ptr[i].f1.len);
    put(out, "\n", 1);
  }
}

static void misbehave(char *target, wasi_http_types_own_response_outparam_t out) {
  static uint8_t page[4096];
  wasi_http_types_own_fields_t fields = wasi_http_types_constructor_fields();
  if (begins(target, "/silent")) return;
  if (begins(target, "/trap")) __builtin_trap();
  if (begins(target, "/loop")) {
    for (volatile uint32_t i = 0;; i++) {
    }
  }
  if (begins(target, "/error")) {
    wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = true};
    result.val.err.tag = WASI_HTTP_TYPES_ERROR_CODE_CONFIGURATION_ERROR;
    wasi_http_types_static_response_outparam_set(out, &result);
    return;
  }
  if (begins(target, "/headers"))
    for (int i = 0; i < 100000; i++) header(fields, "x-large", "0123456789012345678901234567890123456789");
  if (begins(target, "/leak"))
    for (;;) wasi_http_types_constructor_fields();
  if (begins(target, "/short")) header(fields, "content-length", "10");
  wasi_http_types_own_outgoing_body_t body = begin(out, 200, fields);
  wasi_io_streams_own_output_stream_t stream = open(body);
  out_t to = wasi_io_streams_borrow_output_stream(stream);
  memset(page, 'x', sizeof page);
  if (begins(target, "/flood"))
    while (put(to, page, sizeof page)) {
    }
  put(to, "begun", 5);
  if (begins(target, "/midway")) __builtin_trap();
  if (begins(target, "/slow")) {
    nap(50 * 1000 * 1000);
    put(to, " and ended", 10);
  }
  if (begins(target, "/stuck")) nap(3600ull * 1000 * 1000 * 1000);
  finish(stream, body);
}

void exports_wasi_http_incoming_handler_handle(exports_wasi_http_incoming_handler_own_incoming_request_t request,
                                               exports_wasi_http_incoming_handler_own_response_outparam_t out) {
  proxy_string_t path;
  wasi_http_types_method_incoming_request_path_with_query(wasi_http_types_borrow_incoming_request(request), &path);
  char *target = text(path.ptr, path.len);
  bool known = is(target, "/") || begins(target, "/echo") || begins(target, "/names");
  if (!known) return misbehave(target, out);
  wasi_http_types_own_fields_t fields = wasi_http_types_constructor_fields();
  header(fields, "content-type", "text/plain");
  wasi_http_types_own_outgoing_body_t body = begin(out, 200, fields);
  wasi_io_streams_own_output_stream_t stream = open(body);
  if (begins(target, "/echo")) echo(request, wasi_io_streams_borrow_output_stream(stream));
  else if (begins(target, "/names")) headers(request, wasi_io_streams_borrow_output_stream(stream));
  else put(wasi_io_streams_borrow_output_stream(stream), "Hello from wasi:http.\n", 22);
  finish(stream, body);
}
