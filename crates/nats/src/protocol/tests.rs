use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { control_line: 64, payload: 32, headers: true };

fn one(input: &[u8]) -> Result<Step<'_>, Violation> {
    parse(input, BOUNDS)
}

fn published(input: &[u8]) -> Publish<'_> {
    match one(input) {
        Ok(Step::Frame(Frame::Publish(publish), taken)) if taken == input.len() => publish,
        other => panic!("no publish: {other:?}"),
    }
}

#[test]
fn spaces_tabs_and_case_do_not_matter() {
    let publish = published(b"pub \t a.b\t r  05\r\nhello\r\n");
    assert_eq!(
        (publish.subject, publish.reply, publish.payload),
        (&b"a.b"[..], Some(&b"r"[..]), &b"hello"[..])
    );
    assert_eq!((publish.sizes.total, publish.tail), (&b"05"[..], None));
    let subscribe = Frame::Subscribe { subject: b"a", queue: Some(b"q"), sid: b"1" };
    assert_eq!(one(b"sUb a  q\t1 \r\n"), Ok(Step::Frame(subscribe, 13)));
    assert_eq!(one(b"PINGxx\n"), Ok(Step::Frame(Frame::Ping, 7)));
}

#[test]
fn a_return_within_a_line_is_no_end() {
    let first = Frame::Subscribe { subject: b"a", queue: None, sid: b"1" };
    assert_eq!(one(b"SUB \na\r1\r\n"), Ok(Step::Frame(first, 10)));
    let dropped = Frame::Subscribe { subject: b"a", queue: None, sid: b"1" };
    assert_eq!(one(b"SUB a 1\rx\n"), Ok(Step::Frame(dropped, 10)));
    assert_eq!(one(b"PUB a 1\rx\nx\r\n"), Err(Violation::Arguments));
    assert_eq!(published(b"PUB a \rr 1\r\nx\r\n").reply, Some(&b"\rr"[..]));
}

#[test]
fn headers_are_refused_before_the_message_has_come() {
    let without = Bounds { headers: false, ..BOUNDS };
    assert_eq!(parse(b"HPUB a 12 12\r\n", without), Err(Violation::Arguments));
    assert!(matches!(one(b"HPUB a 12 12\r\n"), Ok(Step::Incomplete(Some(_)))));
}

#[test]
fn what_is_written_plainly_can_be_passed_on() {
    assert_eq!(published(b"PUB a 5\r\nhello\r\n").tail, Some(&b"5\r\nhello\r\n"[..]));
    assert_eq!(published(b"PUB a r 5\r\nhello\r\n").tail, Some(&b"r 5\r\nhello\r\n"[..]));
    assert_eq!(published(b"HPUB a r 2 5\r\nhello\r\n").tail, Some(&b"r 2 5\r\nhello\r\n"[..]));
    assert_eq!(published(b"PUB a 5\nhello\r\n").tail, None);
    assert_eq!(published(b"PUB a 5 \r\nhello\r\n").tail, None);
    assert_eq!(published(b"HPUB a 0 5\r\nhello\r\n").tail, None);
}

#[test]
fn what_is_no_operation_is_told_at_the_first_wrong_byte() {
    for input in
        [&b"F"[..], b"PIX", b"PUBx", b"PUB\r\n", b"\r\n", b"MSG a 1 1", b"PUB a 1\r\nxy", b"PUB a 1\r\nx\ry"]
    {
        assert_eq!(one(input), Err(Violation::Unknown), "{input:?}");
    }
}

#[test]
fn arguments_that_cannot_be_end_the_connection() {
    for input in [
        &b"PUB a\r\n"[..],
        b"PUB a b c 1\r\n",
        b"PUB a x\r\n",
        b"PUB a 1234567890\r\n",
        b"HPUB a 5\r\n",
        b"HPUB a 5 3\r\n",
        b"SUB a\r\n",
        b"SUB a b c d\r\n",
        b"UNSUB 1 2 3\r\n",
    ] {
        assert_eq!(one(input), Err(Violation::Arguments), "{input:?}");
    }
}

#[test]
fn a_limit_that_is_no_number_ends_a_subscription_at_once() {
    for input in [&b"UNSUB 1\r\n"[..], b"UNSUB 1 0\r\n", b"UNSUB 1 -1\r\n", b"UNSUB 1 x\r\n"] {
        let frame = Frame::Unsubscribe { sid: b"1", max: 0 };
        assert_eq!(one(input), Ok(Step::Frame(frame, input.len())));
    }
}

#[test]
fn lines_and_messages_have_bounds() {
    let long = [b"PUB ", &[b'a'; 70][..]].concat();
    assert_eq!(one(&long), Err(Violation::ControlLine));
    assert_eq!(one(&[&long[..], b" 1\r\n"].concat()), Err(Violation::ControlLine));
    assert_eq!(one(b"PUB a 33\r\n"), Err(Violation::Payload));
    assert_eq!(one(b"PUB a 32\r\n"), Ok(Step::Incomplete(Some(44))));
}

/// All frames of a stream that arrives in pieces, as text, and how it ended.
fn all(pieces: &[&[u8]]) -> (Vec<String>, Option<Violation>) {
    let (mut held, mut frames) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match one(&held[at..]) {
                Ok(Step::Frame(frame, taken)) => {
                    frames.push(format!("{frame:?}"));
                    at += taken;
                }
                Ok(Step::Incomplete(_)) => break,
                Err(violation) => return (frames, Some(violation)),
            }
        }
        held.drain(..at);
    }
    (frames, None)
}

fn operation() -> impl Strategy<Value = Vec<u8>> {
    let plain = prop::sample::select(vec![
        &b"PING\r\n"[..],
        b"pong\n",
        b"SUB a.* 1\r\n",
        b"SUB a q\t2\r\n",
        b"UNSUB 1 3\r\n",
        b"CONNECT {}\r\n",
        b"+OK\r\n",
        b"INFO {}\r\n",
        b"PUB\r\n",
        b"nonsense",
    ])
    .prop_map(<[u8]>::to_vec);
    let publish =
        (prop::collection::vec(any::<u8>(), 0..40), any::<bool>()).prop_map(|(payload, headers)| {
            let half = if headers { format!("HPUB a {} ", payload.len() / 2) } else { "PUB a r ".to_owned() };
            [half.as_bytes(), payload.len().to_string().as_bytes(), b"\r\n", &payload, b"\r\n"].concat()
        });
    prop_oneof![4 => plain, 4 => publish]
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(
        operations in prop::collection::vec(operation(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let stream = operations.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(all(&pieces), all(&[&stream]));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), verb in 0_usize..6) {
        let verbs: [&[u8]; 6] = [b"", b"PUB ", b"HPUB a ", b"SUB ", b"UNSUB ", b"CONNECT "];
        let input = [verbs[verb], &bytes].concat();
        if let Ok(Step::Frame(_, taken)) = one(&input) {
            prop_assert!(taken <= input.len());
        }
    }

    #[test]
    fn a_tail_says_the_same_as_its_parts(payload in prop::collection::vec(any::<u8>(), 0..20), reply in any::<bool>()) {
        let reply = if reply { "r " } else { "" };
        let stream = [format!("PUB a {reply}{}\r\n", payload.len()).as_bytes(), &payload, b"\r\n"].concat();
        let publish = published(&stream);
        prop_assert_eq!(publish.tail.unwrap(), &stream[6..]);
        prop_assert_eq!(publish.payload, &payload[..]);
    }
}
