//! Where a consumer begins, what it is given again, and what it is not.

use super::*;
use crate::jetstream::store::Summary;

fn log(subjects: &[&str]) -> Log {
    let mut log = Log::default();
    for (sequence, subject) in (1..).zip(subjects) {
        let (subject, time) = ((*subject).to_owned(), i64::try_from(sequence).unwrap());
        log.append(&Summary {
            sequence,
            time,
            subject,
            header_size: 0,
            payload_size: 1,
            id: None,
            expires: None,
        });
    }
    log
}

fn consumer(text: &str, log: &Log) -> Consumer {
    Consumer::new("c", serde_json::from_str(text).unwrap(), log, 0)
}

fn all(consumer: &mut Consumer, log: &Log) -> Vec<u64> {
    let mut all = Vec::new();
    while let Some((sequence, _)) = consumer.peek(log) {
        consumer.deliver(sequence, 0);
        all.push(sequence);
    }
    all
}

#[test]
fn where_it_begins_is_a_matter_of_policy() {
    let log = log(&["a", "b", "a", "c"]);
    let begins = |text: &str| {
        let mut consumer = consumer(text, &log);
        let unread = consumer.unread;
        let all = all(&mut consumer, &log);
        assert_eq!((unread, consumer.unread), (all.len() as u64, 0), "{text}");
        all
    };
    assert_eq!(begins("{}"), [1, 2, 3, 4]);
    assert_eq!(begins(r#"{"filter_subject":"a"}"#), [1, 3]);
    assert_eq!(begins(r#"{"filter_subjects":["a","c"],"deliver_policy":"last"}"#), [4]);
    assert_eq!(begins(r#"{"deliver_policy":"new"}"#), [0; 0]);
    assert_eq!(begins(r#"{"deliver_policy":"by_start_sequence","opt_start_seq":3}"#), [3, 4]);
    assert_eq!(
        begins(r#"{"deliver_policy":"by_start_time","opt_start_time":"1970-01-01T00:00:00.000000002Z"}"#),
        [2, 3, 4]
    );
    assert_eq!(begins(r#"{"deliver_policy":"last_per_subject"}"#), [2, 3, 4]);
}

#[test]
fn what_is_not_acknowledged_comes_again_until_it_has_come_often_enough() {
    let log = log(&["a", "a"]);
    let mut consumer = consumer(r#"{"ack_policy":"explicit","ack_wait":10,"max_deliver":2}"#, &log);
    assert_eq!(all(&mut consumer, &log), [1, 2]);
    assert_eq!(consumer.acknowledge(1, 1), [1]);
    assert_eq!((consumer.state.floor.stream, consumer.next_deadline()), (1, Some(10)));
    consumer.refuse(2, None, 1);
    assert_eq!(all(&mut consumer, &log), [2]);
    consumer.refuse(2, None, 2);
    assert_eq!(all(&mut consumer, &log), [0; 0]);
    assert_eq!((consumer.state.pending.len(), consumer.state.floor.stream), (0, 2));
}

#[test]
fn too_many_unacknowledged_hold_it_up() {
    let log = log(&["a", "a", "a"]);
    let mut consumer = consumer(r#"{"ack_policy":"all","ack_wait":10,"max_ack_pending":2}"#, &log);
    assert_eq!(all(&mut consumer, &log), [1, 2]);
    assert_eq!(consumer.acknowledge(2, 1), [1, 2]);
    assert_eq!(all(&mut consumer, &log), [3]);
}

#[test]
fn what_was_removed_is_not_given() {
    let mut log = log(&["a", "b", "b"]);
    let mut consumer = consumer(r#"{"ack_policy":"explicit","filter_subject":"b"}"#, &log);
    let (sequence, _) = consumer.peek(&log).unwrap();
    consumer.deliver(sequence, 0);
    for sequence in [2, 3] {
        let entry = log.remove(sequence).unwrap();
        consumer.removed(sequence, &entry.subject);
    }
    assert_eq!((consumer.unread, consumer.state.pending.len(), consumer.peek(&log)), (0, 0, None));
}

#[test]
fn it_is_kept_with_how_far_it_was() {
    let log = log(&["a", "a"]);
    let mut before = consumer(r#"{"durable_name":"c","ack_policy":"explicit","ack_wait":10}"#, &log);
    before.deliver(1, 5);
    let Change::Consumer { description, .. } = before.change("s") else { panic!("another change") };
    let mut after = Consumer::of(&description, &log).unwrap();
    assert_eq!((&after.state, after.unread), (&before.state, 1));
    assert_eq!(after.peek(&log).map(|(sequence, _)| sequence), Some(2));
}
