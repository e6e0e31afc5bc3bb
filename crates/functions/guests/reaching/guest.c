// Reaches for what every guest can import and none can use: sockets, names of hosts, files.
#include "../guest.h"
#include "reaching.h"

typedef wasi_sockets_network_error_code_t error_t;

static char *said(bool is_there, error_t error) {
  if (is_there) return "there it is";
  switch (error) {
    case WASI_SOCKETS_NETWORK_ERROR_CODE_ACCESS_DENIED: return "denied";
    case WASI_SOCKETS_NETWORK_ERROR_CODE_NOT_SUPPORTED: return "not supported";
    case WASI_SOCKETS_NETWORK_ERROR_CODE_PERMANENT_RESOLVER_FAILURE: return "no resolver";
    default: return "another error";
  }
}

static char *tcp(void) {
  wasi_sockets_tcp_create_socket_own_tcp_socket_t socket;
  error_t error = 0;
  bool made = wasi_sockets_tcp_create_socket_create_tcp_socket(WASI_SOCKETS_NETWORK_IP_ADDRESS_FAMILY_IPV4, &socket, &error);
  return said(made, error);
}

static char *udp(void) {
  wasi_sockets_udp_create_socket_own_udp_socket_t socket;
  error_t error = 0;
  bool made = wasi_sockets_udp_create_socket_create_udp_socket(WASI_SOCKETS_NETWORK_IP_ADDRESS_FAMILY_IPV6, &socket, &error);
  return said(made, error);
}

static char *name(void) {
  wasi_sockets_network_own_network_t network = wasi_sockets_instance_network_instance_network();
  wasi_sockets_ip_name_lookup_own_resolve_address_stream_t addresses;
  reaching_string_t host;
  error_t error = 0;
  reaching_string_set(&host, "localhost");
  bool found = wasi_sockets_ip_name_lookup_resolve_addresses(wasi_sockets_network_borrow_network(network), &host, &addresses, &error);
  return said(found, error);
}

static char *files(void) {
  wasi_filesystem_preopens_list_tuple2_own_descriptor_string_t directories;
  wasi_filesystem_preopens_get_directories(&directories);
  return directories.len ? "directories" : "no directory";
}

void exports_flagbase_faas_handler_handle(exports_flagbase_faas_handler_request_t *request,
                                          exports_flagbase_faas_handler_response_t *ret) {
  char *target = text(request->target.ptr, request->target.len);
  char *what = is(target, "/tcp") ? tcp() : is(target, "/udp") ? udp() : is(target, "/name") ? name() : files();
  answer(ret, 200, "text/plain", what);
}
