/* Answers every request below /functions/hello/, as a CGI program does (RFC 3875): the request is in the environment
   and on standard input, the answer goes to standard output, and standard error is the log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    const char *query = getenv("QUERY_STRING");
    const char *who = "world";
    if (query != NULL && strncmp(query, "name=", 5) == 0) {
        who = query + 5;
    }
    fprintf(stderr, "greeting %s\n", who);
    printf("Content-Type: text/plain; charset=utf-8\r\n\r\n");
    printf("Hello, %s!\n", who);
    return 0;
}
