// Answers every request below /functions/hello/. Go's own CGI support does the rest; standard error is the log.
package main

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"os"
)

func greet(w http.ResponseWriter, r *http.Request) {
	who := r.URL.Query().Get("name")
	if who == "" {
		who = "world"
	}
	fmt.Fprintln(os.Stderr, "greeting", who)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "Hello, %s!\n", who)
}

func main() {
	if err := cgi.Serve(http.HandlerFunc(greet)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
