mod bench;

use bench::Bench;

use super::*;

#[test]
fn a_request_is_answered() {
    let function = Bench::shared()
        .function("hello.js", "export default { fetch(request) { return new Response('hello'); } }");
    let answer = function.start().get("/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.header("content-type"), Some("text/plain;charset=UTF-8"));
}
