//! Clients that vanish, stall or lie at any point harm nobody else.

use crate::wire::{QUIET, Wire, server};

const CONVERSATION: &str = "SUB a.* q 1\r\nSUB a.> 2\r\nHPUB a.b in 12 17\r\nNATS/1.0\r\n\r\nhello\r\nPUB a.c 3\r\nbye\r\n\
                            UNSUB 1 1\r\nPONG\r\nPUB a.d 0\r\n\r\nUNSUB 2\r\n";

#[tokio::test]
async fn a_client_may_break_off_anywhere() {
    let server = server(|_| ()).await;
    let mut listener = Wire::subscribed(&server, "ok 1").await;
    let mut speaker = Wire::open(&server).await;
    let whole = [QUIET, CONVERSATION].concat();
    let (mut stalled, mut number) = (Vec::new(), 0);
    for end in 0..whole.len() {
        let mut lie = Wire::silent(&server).await;
        lie.send(&whole[..end]).await;
        match end % 3 {
            0 => drop(lie),
            1 => stalled.push(lie),
            _ => {
                lie.try_send(b"\r\n\xff\0PUB a 999999999\r\n").await;
                lie.rest().await;
            }
        }
        number += 1;
        speaker.send(format!("PUB ok 4\r\n{number:04}\r\n")).await;
        listener.expect(format!("MSG ok 1 4\r\n{number:04}\r\n")).await;
    }
    // Who stalled is still served where he stopped.
    for mut lie in stalled {
        lie.try_send("X").await;
    }
    listener.settle().await;
}

#[tokio::test]
async fn a_message_that_never_ends_takes_no_memory_from_others() {
    let server = server(|_| ()).await;
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let mut wire = Wire::open(&server).await;
        wire.send("PUB a 1048576\r\nx").await;
        waiting.push(wire);
    }
    let mut listener = Wire::subscribed(&server, "a 1").await;
    let mut speaker = Wire::open(&server).await;
    speaker.send("PUB a 2\r\nhi\r\n").await;
    listener.expect("MSG a 1 2\r\nhi\r\n").await;
    let rest = "x".repeat(1_048_575) + "\r\n";
    let mut last = waiting.pop().unwrap();
    last.send(rest).await;
    listener.expect("MSG a 1 1048576\r\nxxxx").await;
}
