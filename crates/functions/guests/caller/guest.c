// Sends a request where its path says, `/http/host:port/path`, and gives back what came.
#include "../guest.h"
#include "caller.h"

static void respond(exports_wasi_http_incoming_handler_own_response_outparam_t out, uint16_t status,
                    wasi_io_streams_own_input_stream_t *from) {
  wasi_http_types_own_outgoing_response_t response =
      wasi_http_types_constructor_outgoing_response(wasi_http_types_constructor_fields());
  wasi_http_types_own_outgoing_body_t body;
  wasi_io_streams_own_output_stream_t to;
  wasi_io_streams_stream_error_t error;
  wasi_http_types_error_code_t code;
  caller_list_u8_t part;
  wasi_http_types_method_outgoing_response_set_status_code(wasi_http_types_borrow_outgoing_response(response), status);
  wasi_http_types_method_outgoing_response_body(wasi_http_types_borrow_outgoing_response(response), &body);
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = response};
  wasi_http_types_static_response_outparam_set(out, &result);
  wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &to);
  while (from && wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(*from), 4096, &part,
                                                                   &error))
    wasi_io_streams_method_output_stream_blocking_write_and_flush(wasi_io_streams_borrow_output_stream(to), &part, &error);
  wasi_io_streams_output_stream_drop_own(to);
  wasi_http_types_static_outgoing_body_finish(body, NULL, &code);
}

// 403 for what is denied, 502 for what failed.
static uint16_t status_of(wasi_http_types_error_code_t *code) {
  bool denied = code->tag == WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_DENIED ||
                code->tag == WASI_HTTP_TYPES_ERROR_CODE_DESTINATION_IP_PROHIBITED;
  return denied ? 403 : 502;
}

void exports_wasi_http_incoming_handler_handle(exports_wasi_http_incoming_handler_own_incoming_request_t request,
                                               exports_wasi_http_incoming_handler_own_response_outparam_t out) {
  caller_string_t path, authority, rest;
  wasi_http_types_method_incoming_request_path_with_query(wasi_http_types_borrow_incoming_request(request), &path);
  char *host = strchr(text(path.ptr, path.len) + 1, '/') + 1, *slash = strchr(host, '/');
  caller_string_dup_n(&authority, host, slash ? (size_t)(slash - host) : strlen(host));
  caller_string_set(&rest, slash ? slash : "/");
  wasi_http_types_scheme_t scheme = {.tag = WASI_HTTP_TYPES_SCHEME_HTTP};

  wasi_http_types_own_outgoing_request_t outgoing =
      wasi_http_types_constructor_outgoing_request(wasi_http_types_constructor_fields());
  wasi_http_types_borrow_outgoing_request_t borrowed = wasi_http_types_borrow_outgoing_request(outgoing);
  wasi_http_types_method_outgoing_request_set_scheme(borrowed, &scheme);
  wasi_http_types_method_outgoing_request_set_authority(borrowed, &authority);
  wasi_http_types_method_outgoing_request_set_path_with_query(borrowed, &rest);
  wasi_http_outgoing_handler_own_future_incoming_response_t future;
  wasi_http_types_error_code_t code;
  if (!wasi_http_outgoing_handler_handle(outgoing, NULL, &future, &code)) return respond(out, status_of(&code), NULL);

  wasi_http_types_borrow_future_incoming_response_t waiting = wasi_http_types_borrow_future_incoming_response(future);
  wasi_io_poll_method_pollable_block(
      wasi_io_poll_borrow_pollable(wasi_http_types_method_future_incoming_response_subscribe(waiting)));
  wasi_http_types_result_result_own_incoming_response_error_code_void_t got;
  wasi_http_types_method_future_incoming_response_get(waiting, &got);
  if (got.is_err || got.val.ok.is_err) return respond(out, got.is_err ? 500 : status_of(&got.val.ok.val.err), NULL);
  wasi_http_types_borrow_incoming_response_t answer = wasi_http_types_borrow_incoming_response(got.val.ok.val.ok);
  wasi_http_types_own_incoming_body_t body;
  wasi_io_streams_own_input_stream_t in;
  wasi_http_types_method_incoming_response_consume(answer, &body);
  wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &in);
  respond(out, wasi_http_types_method_incoming_response_status(answer), &in);
}
