// A well-behaved guest of our own interfaces.
#include "../arena.h"
#include "../guest.h"
#include "native.h"

void exports_flagbase_faas_handler_handle(exports_flagbase_faas_handler_request_t *request,
                                          exports_flagbase_faas_handler_response_t *ret) {
  char *target = text(request->target.ptr, request->target.len);
  if (is(target, "/hello")) {
    answer(ret, 200, "text/plain", "Hello from a function.\n");
  } else if (is(target, "/flag")) {
    native_string_t key, off, value;
    native_string_set(&key, "colour");
    native_string_set(&off, "none");
    flagbase_features_evaluate_text(&key, &off, &value);
    answer(ret, 200, "text/plain", text(value.ptr, value.len));
  } else if (is(target, "/who")) {
    flagbase_faas_context_caller_t who;
    flagbase_faas_context_who(&who);
    answer(ret, 200, "text/plain", text(who.email.ptr, who.email.len));
  } else if (is(target, "/variable")) {
    native_string_t name, value;
    native_string_set(&name, "GREETING");
    bool there = flagbase_faas_config_get(&name, &value);
    answer(ret, there ? 200 : 404, "text/plain", there ? text(value.ptr, value.len) : "");
  } else if (is(target, "/log")) {
    native_string_t message;
    native_tuple2_string_string_t field;
    native_list_tuple2_string_string_t fields = {&field, 1};
    native_string_set(&message, "something happened");
    native_string_set(&field.f0, "what");
    native_string_set(&field.f1, "a request");
    flagbase_faas_log_write(FLAGBASE_FAAS_LOG_LEVEL_WARN, &message, &fields);
    answer(ret, 204, "text/plain", "");
  } else {
    // An echo: the body as it came, with method and target in headers.
    native_tuple2_string_string_t *headers = calloc(3, sizeof *headers);
    native_string_dup(&headers[0].f0, "content-type");
    native_string_dup(&headers[0].f1, "application/octet-stream");
    native_string_dup(&headers[1].f0, "x-method");
    headers[1].f1 = request->method;
    native_string_dup(&headers[2].f0, "x-target");
    headers[2].f1 = request->target;
    ret->status = 200;
    ret->headers.ptr = headers;
    ret->headers.len = 3;
    ret->body.ptr = request->body.ptr;
    ret->body.len = request->body.len;
  }
}

// An event is taken, unless its subject begins with `fail`.
bool exports_flagbase_faas_subscriber_receive(exports_flagbase_faas_subscriber_event_t *event, native_string_t *err) {
  native_list_tuple2_string_string_t none = {NULL, 0};
  native_string_t message = event->subject;
  flagbase_faas_log_write(FLAGBASE_FAAS_LOG_LEVEL_INFO, &message, &none);
  if (begins(text(event->subject.ptr, event->subject.len), "fail")) {
    native_string_dup(err, "this subject is not liked");
    return false;
  }
  return true;
}

bool exports_flagbase_faas_timer_run(exports_flagbase_faas_timer_tick_t *tick, native_string_t *err) {
  native_list_tuple2_string_string_t none = {NULL, 0};
  native_string_t message = tick->time;
  flagbase_faas_log_write(FLAGBASE_FAAS_LOG_LEVEL_INFO, &message, &none);
  if (is(text(tick->schedule.ptr, tick->schedule.len), "never")) {
    native_string_dup(err, "there is no such moment");
    return false;
  }
  return true;
}
