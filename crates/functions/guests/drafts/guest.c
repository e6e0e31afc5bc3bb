// A guest of the drafts of WASI: each path goes through one of them, and answers with what it found.
#include <stdio.h>

#include "../guest.h"
#include "drafts.h"

typedef exports_flagbase_faas_handler_response_t response_t;

static drafts_string_t string(const char *content) {
  drafts_string_t made;
  drafts_string_set(&made, content);
  return made;
}

static drafts_list_u8_t bytes(const char *content) {
  drafts_list_u8_t made = {(uint8_t *)content, strlen(content)};
  return made;
}

static void first(const char *store, response_t *ret) {
  wasi_keyvalue_0_2_0_draft_store_error_t error;
  wasi_keyvalue_0_2_0_draft_store_own_bucket_t own;
  drafts_string_t name = string(store), one = string("one"), two = string("two"), count = string("count");
  drafts_list_u8_t value = bytes("1");
  drafts_option_list_u8_t found;
  uint64_t sum = 0;
  bool there = true;
  if (!wasi_keyvalue_0_2_0_draft_store_open(&name, &own, &error)) {
    answer(ret, 403, "text/plain", error.tag == WASI_KEYVALUE_0_2_0_DRAFT_STORE_ERROR_ACCESS_DENIED ? "denied" : "error");
    return;
  }
  wasi_keyvalue_0_2_0_draft_store_borrow_bucket_t bucket = wasi_keyvalue_0_2_0_draft_store_borrow_bucket(own);
  wasi_keyvalue_0_2_0_draft_store_method_bucket_set(bucket, &one, &value, &error);
  wasi_keyvalue_0_2_0_draft_store_method_bucket_set(bucket, &two, &value, &error);
  wasi_keyvalue_0_2_0_draft_store_method_bucket_delete(bucket, &two, &error);
  wasi_keyvalue_0_2_0_draft_store_method_bucket_exists(bucket, &two, &there, &error);
  wasi_keyvalue_0_2_0_draft_store_method_bucket_get(bucket, &one, &found, &error);
  wasi_keyvalue_0_2_0_draft_atomics_increment(bucket, &count, 5, &sum, &error);
  wasi_keyvalue_0_2_0_draft_store_key_response_t page;
  wasi_keyvalue_0_2_0_draft_store_method_bucket_list_keys(bucket, NULL, &page, &error);
  drafts_string_t keys[2] = {one, two};
  drafts_list_string_t both = {keys, 2};
  drafts_list_option_tuple2_string_list_u8_t many;
  wasi_keyvalue_0_2_0_draft_batch_get_many(bucket, &both, &many, &error);
  char said[128];
  snprintf(said, sizeof said, "one=%.*s two=%d sum=%d keys=%d many=%d,%d", (int)found.val.len, found.val.ptr, there,
           (int)sum, (int)page.keys.len, many.ptr[0].is_some, many.ptr[1].is_some);
  answer(ret, 200, "text/plain", said);
}

static void second(response_t *ret) {
  wasi_keyvalue_0_2_0_draft2_store_error_t error;
  wasi_keyvalue_0_2_0_draft2_store_own_bucket_t own;
  drafts_string_t name = string(""), key = string("swapped");
  drafts_list_u8_t before = bytes("before"), between = bytes("between"), after = bytes("after");
  wasi_keyvalue_0_2_0_draft2_store_open(&name, &own, &error);
  wasi_keyvalue_0_2_0_draft2_store_borrow_bucket_t bucket = wasi_keyvalue_0_2_0_draft2_store_borrow_bucket(own);
  wasi_keyvalue_0_2_0_draft2_store_method_bucket_set(bucket, &key, &before, &error);
  wasi_keyvalue_0_2_0_draft2_atomics_own_cas_t swap;
  wasi_keyvalue_0_2_0_draft2_atomics_static_cas_new(bucket, &key, &swap, &error);
  // Somebody is faster; the next try knows.
  wasi_keyvalue_0_2_0_draft2_store_method_bucket_set(bucket, &key, &between, &error);
  wasi_keyvalue_0_2_0_draft2_atomics_cas_error_t failed;
  bool once = wasi_keyvalue_0_2_0_draft2_atomics_swap(swap, &after, &failed);
  bool twice = !once && failed.tag == WASI_KEYVALUE_0_2_0_DRAFT2_ATOMICS_CAS_ERROR_CAS_FAILED &&
               wasi_keyvalue_0_2_0_draft2_atomics_swap(failed.val.cas_failed, &after, &failed);
  int64_t sum = 0;
  drafts_string_t count = string("below");
  wasi_keyvalue_0_2_0_draft2_atomics_increment(bucket, &count, -3, &sum, &error);
  drafts_option_list_u8_t found;
  wasi_keyvalue_0_2_0_draft2_store_method_bucket_get(bucket, &key, &found, &error);
  char said[128];
  snprintf(said, sizeof said, "once=%d twice=%d sum=%d now=%.*s", once, twice, (int)sum, (int)found.val.len,
           found.val.ptr);
  answer(ret, 200, "text/plain", said);
}

static void variables(response_t *ret) {
  wasi_config_store_error_t error;
  drafts_option_string_t there, missing;
  drafts_string_t greeting = string("GREETING"), nothing = string("NOTHING");
  drafts_list_tuple2_string_string_t all;
  wasi_config_store_get(&greeting, &there, &error);
  wasi_config_store_get(&nothing, &missing, &error);
  wasi_config_store_get_all(&all, &error);
  char said[128];
  snprintf(said, sizeof said, "%.*s missing=%d all=%d", (int)there.val.len, there.val.ptr, !missing.is_some, (int)all.len);
  answer(ret, 200, "text/plain", said);
}

static void message(const char *subject, response_t *ret) {
  wasi_messaging_types_error_t error;
  wasi_messaging_types_own_client_t client;
  drafts_string_t name = string(""), kind = string("text/plain"), topic = string(subject);
  drafts_list_u8_t data = bytes("seven");
  wasi_messaging_types_static_client_connect(&name, &client, &error);
  wasi_messaging_types_own_message_t made = wasi_messaging_types_constructor_message(&data);
  wasi_messaging_types_method_message_set_content_type(wasi_messaging_types_borrow_message(made), &kind);
  bool sent = wasi_messaging_producer_send(wasi_messaging_types_borrow_client(client), &topic, made, &error);
  bool denied = !sent && error.tag == WASI_MESSAGING_TYPES_ERROR_PERMISSION_DENIED;
  answer(ret, 200, "text/plain", sent ? "sent" : denied ? "denied" : "failed");
}

static void objects(const char *bucket, response_t *ret) {
  drafts_string_t name = string(bucket), key = string("cat.txt"), error;
  wasi_blobstore_blobstore_own_container_t own;
  if (!wasi_blobstore_blobstore_get_container(&name, &own, &error)) {
    answer(ret, 403, "text/plain", "denied");
    return;
  }
  wasi_blobstore_container_borrow_container_t container = wasi_blobstore_container_borrow_container(own);
  wasi_blobstore_types_own_outgoing_value_t value = wasi_blobstore_types_static_outgoing_value_new_outgoing_value();
  wasi_blobstore_types_borrow_outgoing_value_t written = wasi_blobstore_types_borrow_outgoing_value(value);
  wasi_io_streams_own_output_stream_t stream;
  wasi_io_streams_stream_error_t trouble;
  drafts_list_u8_t data = bytes("0123456789");
  wasi_blobstore_types_method_outgoing_value_outgoing_value_write_body(written, &stream);
  wasi_blobstore_container_method_container_write_data(container, &key, written, &error);
  wasi_io_streams_method_output_stream_blocking_write_and_flush(wasi_io_streams_borrow_output_stream(stream), &data,
                                                                &trouble);
  wasi_io_streams_output_stream_drop_own(stream);
  bool kept = wasi_blobstore_types_static_outgoing_value_finish(value, &error);
  wasi_blobstore_types_own_incoming_value_t part;
  wasi_blobstore_types_incoming_value_sync_body_t body = {NULL, 0};
  if (wasi_blobstore_container_method_container_get_data(container, &key, 2, 4, &part, &error))
    wasi_blobstore_types_static_incoming_value_incoming_value_consume_sync(part, &body, &error);
  bool before = false, after = true;
  wasi_blobstore_container_method_container_has_object(container, &key, &before, &error);
  wasi_blobstore_container_method_container_clear(container, &error);
  wasi_blobstore_container_method_container_has_object(container, &key, &after, &error);
  char said[128];
  snprintf(said, sizeof said, "kept=%d part=%.*s before=%d after=%d", kept, (int)body.len, body.ptr, before, after);
  answer(ret, 200, "text/plain", said);
}

void exports_flagbase_faas_handler_handle(exports_flagbase_faas_handler_request_t *request, response_t *ret) {
  char *target = text(request->target.ptr, request->target.len), *mark = strchr(target, '?');
  char *query = mark ? mark + 1 : "";
  if (begins(target, "/first")) return first(query, ret);
  if (begins(target, "/second")) return second(ret);
  if (begins(target, "/config")) return variables(ret);
  if (begins(target, "/message")) return message(query, ret);
  if (begins(target, "/objects")) return objects(query, ret);
  drafts_string_t context = string("tests"), line = string("a line");
  wasi_logging_logging_log(WASI_LOGGING_LOGGING_LEVEL_CRITICAL, &context, &line);
  answer(ret, 204, "text/plain", "");
}
