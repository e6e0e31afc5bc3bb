// A command: CGI on standard streams, good and bad by path; events and ticks by FLAGBASE_OCCASION.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

// Copies standard input to standard output.
static void copy(void) {
  static char part[8192];
  ssize_t count;
  while ((count = read(0, part, sizeof part)) > 0) write(1, part, (size_t)count);
}

static int occasion(void) {
  static char event[65536];
  size_t length = 0;
  ssize_t count;
  while (length < sizeof event - 1 && (count = read(0, event + length, sizeof event - 1 - length)) > 0) length += (size_t)count;
  fprintf(stderr, "%s %s\n", variable("FLAGBASE_OCCASION"), event);
  return strstr(event, "fail") ? 3 : 0;
}

int main(void) {
  const char *path = variable("PATH_INFO");
  if (*variable("FLAGBASE_OCCASION")) return occasion();
  if (!strcmp(path, "/plain")) {
    printf("no headers at all\n");
  } else if (!strcmp(path, "/echo")) {
    printf("Content-Type: %s\r\n\r\n", variable("CONTENT_TYPE"));
    fflush(stdout);
    copy();
  } else if (!strcmp(path, "/environment")) {
    printf("Content-Type: text/plain\n\n");
    for (char **entry = environ; *entry; entry++) printf("%s\n", *entry);
  } else if (!strcmp(path, "/status")) {
    printf("Status: 418 I'm a teapot\nX-One: 1\nX-One: 2\n\nshort and stout");
  } else if (!strcmp(path, "/away")) {
    printf("Location: https://example.com/\n\n");
  } else if (!strcmp(path, "/stderr")) {
    fprintf(stderr, "one line\nanother line\n");
    printf("Status: 204\n\n");
  } else if (!strcmp(path, "/exit")) {
    return 7;
  } else if (!strcmp(path, "/loop")) {
    for (volatile unsigned i = 0;; i++) {
    }
  } else if (!strcmp(path, "/flood")) {
    static char page[4096];
    memset(page, 'x', sizeof page);
    for (;;) write(1, page, sizeof page);
  } else if (!strcmp(path, "/flood-stderr")) {
    for (;;) fprintf(stderr, "a line that nobody asked for, again and again\n");
  } else if (!strcmp(path, "/files")) {
    int file = open("/etc/passwd", O_RDONLY);
    printf("Content-Type: text/plain\n\n%s", file < 0 ? "no files" : "files!");
  } else if (!strcmp(path, "/sleep")) {
    sleep(3600);
  } else if (!strcmp(path, "/clock")) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("Content-Type: text/plain\n\n%s", now.tv_nsec % 1000000 ? "fine" : "coarse");
  } else if (!strcmp(path, "/trap")) {
    __builtin_trap();
  } else if (!strcmp(path, "/bad")) {
    printf("Status: tea\n\n");
  } else {
    printf("Content-Type: text/plain\n\nHello from a command.\n");
  }
  return 0;
}
