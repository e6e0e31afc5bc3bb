//! Answers every request below /functions/hello/, as a CGI program does (RFC 3875): the request is in the environment
//! and on standard input, the answer goes to standard output, and standard error is the log.

use std::env;

fn main() {
    let query = env::var("QUERY_STRING").unwrap_or_default();
    let who = query.split('&').find_map(|pair| pair.strip_prefix("name=")).unwrap_or("world");
    eprintln!("greeting {who}");
    print!("Content-Type: text/plain; charset=utf-8\r\n\r\n");
    println!("Hello, {who}!");
}
