//! What is answered to what is wrong, as measured on nats-server.

use crate::wire::{QUIET, Wire, server};

const PLAIN: &str = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";

/// What is sent after CONNECT, what comes back, and whether the connection ends.
const CASES: [(&str, &str, bool); 49] = [
    ("PUB foo\r\n", "", true),
    ("PUB foo abc\r\n", "", true),
    ("PUB foo 1x\r\n", "", true),
    ("PUB foo -1\r\n", "", true),
    ("PUB foo 1234567890\r\n", "", true),
    ("PUB a b c 1\r\n", "", true),
    ("PUB  \r\n", "", true),
    ("PUB\r\n", "-ERR 'Unknown Protocol Operation'\r\n", true),
    ("PUBx\r\n", "-ERR 'Unknown Protocol Operation'\r\n", true),
    ("PUB foo 5\r\nhelloXX\r\n", "-ERR 'Unknown Protocol Operation'\r\n", true),
    ("PUB foo 5\r\nhello\n", "-ERR 'Unknown Protocol Operation'\r\n", true),
    ("PUB foo 2000000\r\n", "-ERR 'Maximum Payload Violation'\r\n", true),
    ("HPUB foo 5 3\r\n", "", true),
    ("HPUB foo x 5\r\n", "", true),
    ("HPUB foo 5\r\n", "", true),
    ("SUB foo\r\n", "", true),
    ("SUB a b c d\r\n", "", true),
    ("SUB\r\n", "-ERR 'Unknown Protocol Operation'\r\n", true),
    ("UNSUB\r\n", "-ERR 'Unknown Protocol Operation'\r\n", true),
    ("UNSUB 1 2 3\r\n", "", true),
    ("\r\n", "-ERR 'Unknown Protocol Operation'\r\n", true),
    ("F", "-ERR 'Unknown Protocol Operation'\r\n", true),
    ("PIX", "-ERR 'Unknown Protocol Operation'\r\n", true),
    ("MSG foo 1 1\r\n", "-ERR 'Unknown Protocol Operation'\r\n", true),
    ("INFO x\r\n", "", true),
    ("-ERR 'x'\r\n", "", true),
    ("CONNECT x\r\n", "", true),
    ("CONNECT {\"protocol\":5}\r\n", "-ERR 'invalid client protocol'\r\n", true),
    ("CONNECT {\"headers\":false}\r\n", "-ERR 'no responders requires headers support'\r\n", true),
    ("SUB foo. 1\r\n", "-ERR 'Invalid Subject'\r\n", false),
    ("SUB foo.>.x 1\r\n", "-ERR 'Invalid Subject'\r\n", false),
    ("PUB foo.* 1\r\nx\r\n", "-ERR 'Invalid Publish Subject'\r\n", false),
    ("PUB .a 1\r\nx\r\n", "-ERR 'Invalid Publish Subject'\r\n", false),
    ("SUB fo*o 1\r\n", "", false),
    ("UNSUB 1\r\n", "", false),
    ("PINGxx\r\n", "PONG\r\n", false),
    ("ping\n", "PONG\r\n", false),
    ("+OK\r\n", "", false),
    ("INFO {}\r\n", "", false),
    ("SUB a 1\r\nSUB b 1\r\nPUB b 0\r\n\r\n", "", false),
    ("SUB a 1\r\nUNSUB 1 -1\r\nPUB a 1\r\nx\r\n", "", false),
    ("SUB foo 1\r\nUNSUB 1 1\r\nPUB foo 0\r\n\r\nPUB foo 0\r\n\r\n", "MSG foo 1 0\r\n\r\n", false),
    ("SUB a  q\t1 \r\nPUB a 1\r\nx\r\n", "MSG a 1 1\r\nx\r\n", false),
    ("SUB foo 1\r\nPUB  foo \t 05\r\nhello\r\n", "MSG foo 1 05\r\nhello\r\n", false),
    ("SUB foo 1\r\nHPUB foo 0 5\r\nhello\r\n", "MSG foo 1 5\r\nhello\r\n", false),
    ("SUB foo 1\r\nHPUB foo 2 4\r\nabcd\r\n", "HMSG foo 1 2 4\r\nabcd\r\n", false),
    ("SUB a b 1\r\nPUB a  x.> 1\r\nx\r\n", "MSG a 1 x.> 1\r\nx\r\n", false),
    (
        "SUB in.* 1\r\nPUB no in.3 0\r\n\r\n",
        "HMSG in.3 1 34 34\r\nNATS/1.0 503\r\nNats-Subject: no\r\n\r\n\r\n",
        false,
    ),
    ("CONNECT {\"verbose\":true}\r\nPUB a 0\r\n\r\n", "+OK\r\n+OK\r\n", false),
];

#[tokio::test]
async fn each_mistake_has_its_answer() {
    let server = server(|_| ()).await;
    for (sent, answer, ends) in CASES {
        let mut wire = Wire::silent(&server).await;
        wire.send([PLAIN, sent].concat()).await;
        if ends {
            wire.expect_end(answer).await;
        } else {
            wire.expect(answer).await;
            wire.settle().await;
        }
    }
}

#[tokio::test]
async fn a_line_that_does_not_end_is_given_up() {
    let server = server(|options| options.limits.max_control_line = 1000).await;
    let mut wire = Wire::open(&server).await;
    wire.send(format!("PUB {}", "a".repeat(2000))).await;
    wire.expect_end("-ERR 'maximum control line exceeded'\r\n").await;
}

#[tokio::test]
async fn whoever_said_nothing_is_answered_verbosely() {
    let server = server(|_| ()).await;
    let mut wire = Wire::silent(&server).await;
    wire.send("SUB a 1\r\nPUB a 1\r\nx\r\nPUB a.* 0\r\n\r\nPING\r\n").await;
    wire.expect("+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\n-ERR 'Invalid Publish Subject'\r\n+OK\r\nPONG\r\n").await;
}

#[tokio::test]
async fn headers_are_for_those_who_said_that_they_know_them() {
    let server = server(|_| ()).await;
    let mut wire = Wire::silent(&server).await;
    wire.send("CONNECT {}\r\nHPUB foo 12 12\r\nNATS/1.0\r\n\r\n\r\n").await;
    wire.expect_end("+OK\r\n").await;
}

#[tokio::test]
async fn bytes_may_arrive_one_by_one() {
    let conversation = "SUB in.* 1\r\nPUB none in.1 0\r\n\r\nhpub\tin.2 3 5\r\nabcde\r\nUNSUB 1 2\r\nPUB in.3 7\r\nPUB\r\n 1\r\n\
                        PUB in.4 0\r\n\r\nPING\r\n";
    let expected = "HMSG in.1 1 36 36\r\nNATS/1.0 503\r\nNats-Subject: none\r\n\r\n\r\n\
                    HMSG in.2 1 3 5\r\nabcde\r\nMSG in.3 1 7\r\nPUB\r\n 1\r\nPONG\r\n";
    let server = server(|_| ()).await;
    for size in [1, 2, 3, 7, 1000] {
        let mut wire = Wire::silent(&server).await;
        for piece in [QUIET, conversation].concat().as_bytes().chunks(size) {
            wire.send(piece).await;
            tokio::task::yield_now().await;
        }
        wire.expect(expected).await;
    }
}
