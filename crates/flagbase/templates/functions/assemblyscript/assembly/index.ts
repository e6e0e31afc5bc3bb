// Answers every request below /functions/hello/, as a CGI program does (RFC 3875): the request is in the environment
// and on standard input, the answer goes to standard output, and standard error is the log.
const query = process.env.has("QUERY_STRING") ? process.env.get("QUERY_STRING") : "";
const who = query.startsWith("name=") ? query.substring(5) : "world";
process.stderr.write("greeting " + who + "\n");
process.stdout.write("Content-Type: text/plain; charset=utf-8\r\n\r\n");
process.stdout.write("Hello, " + who + "!\n");
