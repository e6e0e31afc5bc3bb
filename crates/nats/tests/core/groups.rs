//! Queue groups.

use std::fmt::Write as _;

use crate::wire::{Wire, server};

#[tokio::test]
async fn each_message_goes_to_one_member() {
    let server = server(|_| ()).await;
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(Wire::subscribed(&server, "work.* q 1").await);
    }
    let mut all = Wire::subscribed(&server, "work.> 2").await;
    let mut publisher = Wire::open(&server).await;
    let mut messages = String::new();
    (0..300).for_each(|number| write!(messages, "PUB work.{number} 0\r\n\r\n").unwrap());
    publisher.send(messages).await;
    publisher.settle().await;
    let mut seen = Vec::new();
    for member in &mut members {
        let before = seen.len();
        member.send("PING\r\n").await;
        loop {
            let line = member.line().await;
            match line.strip_prefix("MSG work.") {
                Some(rest) => seen.push(rest.split(' ').next().unwrap().parse::<u32>().unwrap()),
                None if line == "PONG" => break,
                None => {}
            }
        }
        assert!(seen.len() > before, "a member got nothing");
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..300));
    for number in 0..300 {
        all.expect(format!("MSG work.{number} 2 0\r\n\r\n")).await;
    }
}

#[tokio::test]
async fn a_member_that_is_stuck_is_passed_over() {
    let server = server(|options| options.limits.max_pending = 256 * 1024 * 1024).await;
    let _stuck = Wire::subscribed(&server, "work q 1").await;
    let mut alive = Wire::subscribed(&server, "work q 1").await;
    let mut publisher = Wire::open(&server).await;
    let payload = "x".repeat(64 * 1024);
    // Reads at once, as it would otherwise be behind, too.
    let reading = tokio::spawn(async move {
        let mut in_a_row = 0;
        let mut next = 0;
        while in_a_row < 200 {
            let line = alive.line().await;
            if let Some(number) = line.strip_prefix("MSG work 1 ") {
                let number: usize = number.split(' ').next().unwrap().parse().unwrap();
                in_a_row = if number == next { in_a_row + 1 } else { 0 };
                next = number + 1;
            }
        }
        in_a_row
    });
    let mut number = 0;
    while !reading.is_finished() {
        publisher.send(format!("PUB work {number} {}\r\n{payload}\r\n", payload.len())).await;
        number += 1;
    }
    // It can only get so many without a gap when nothing goes to the other any more.
    assert_eq!(reading.await.unwrap(), 200);
}

#[tokio::test]
async fn a_group_with_its_last_member_gone_has_no_responders() {
    let server = server(|_| ()).await;
    let mut member = Wire::subscribed(&server, "work q 1").await;
    let mut client = Wire::subscribed(&server, "in 1").await;
    client.send("PUB work in 0\r\n\r\n").await;
    member.expect("MSG work 1 in 0\r\n\r\n").await;
    member.send("UNSUB 1\r\n").await;
    member.settle().await;
    client.send("PUB work in 0\r\n\r\n").await;
    assert_eq!(client.line().await, "HMSG in 1 36 36");
}
