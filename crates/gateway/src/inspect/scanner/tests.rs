use proptest::prelude::*;

use super::*;

/// What is passed on of `input` when it arrives in pieces of `piece` bytes.
fn passed(input: &[u8], piece: usize) -> (Vec<u8>, Scanner) {
    let mut scanner = Scanner::default();
    let mut out = Vec::new();
    for part in input.chunks(piece) {
        let mut part = part.to_vec();
        let kept = scanner.scan(&mut part);
        out.extend_from_slice(&part[..kept]);
    }
    (out, scanner)
}

fn untouched(input: &[u8], heads: u64) {
    for piece in 1..=input.len() {
        let (out, scanner) = passed(input, piece);
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(input), "in pieces of {piece}");
        assert_eq!(scanner.heads(), heads, "in pieces of {piece}");
    }
}

fn poisoned(input: &[u8]) {
    for piece in 1..=input.len() {
        let (out, scanner) = passed(input, piece);
        assert!(scanner.is_lost() && out.contains(&0), "{} in pieces of {piece}", input.escape_ascii());
    }
}

#[test]
fn ordinary_requests_pass_whole_in_pieces_of_any_size() {
    untouched(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1);
    untouched(b"\r\nGET / HTTP/1.1\nHost: a\n\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n", 2);
    untouched(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n", 2);
    untouched(b"POST / HTTP/1.1\r\ncontent-length:0\r\n\r\nGET / HTTP/1.1\r\n\r\n", 2);
}

#[test]
fn chunked_bodies_are_followed_to_their_end() {
    untouched(
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1 \r\nx\r\n0\r\nT: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        2,
    );
}

#[test]
fn a_body_may_hold_what_a_head_may_not() {
    let body = "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let request =
        format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}GET / HTTP/1.1\r\n\r\n", body.len());
    untouched(request.as_bytes(), 2);
}

#[test]
fn a_length_stated_twice_is_made_unreadable() {
    poisoned(b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    poisoned(b"POST / HTTP/1.1\r\nTRANSFER-ENCODING: chunked\r\nX: y\r\ncontent-LENGTH: 5\r\n\r\n");
    poisoned(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n");
    poisoned(b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello");
}

#[test]
fn a_length_that_is_no_number_is_made_unreadable() {
    for length in ["", "x", "-1", "+1", "5, 5", "5 5", "0x5", "99999999999999999999"] {
        poisoned(format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n").as_bytes());
    }
}

#[test]
fn nothing_passes_after_framing_is_lost() {
    for body in [
        "x\r\n",
        "\r\n",
        "5\nhello",
        "5\r\nhelloX",
        "1\r\nx\rX",
        "11111111111111111\r\n",
        "0\r\n\rX",
        "0\r\nT: 1\n",
    ] {
        let input = format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}GET /smuggled HTTP/1.1\r\n\r\n"
        );
        let (out, scanner) = passed(input.as_bytes(), input.len());
        assert!(scanner.is_lost(), "{body:?}");
        assert!(!String::from_utf8_lossy(&out).contains("smuggled"), "{body:?}");
    }
}

#[test]
fn http2_is_left_alone_but_only_from_the_first_byte_on() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ncontent-length: 1\r\ncontent-length: 1\r\n\x00\x01";
    untouched(preface, 0);
    let mut late = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    late.extend_from_slice(b"PRI * HTTP/2.0\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n");
    poisoned(&late);
}

#[test]
fn it_knows_whether_a_head_is_under_way() {
    let mut scanner = Scanner::default();
    assert!(scanner.between() && !scanner.in_head());
    scanner.scan(&mut b"GET / HT".to_vec());
    assert!(scanner.in_head());
    scanner.scan(&mut b"TP/1.1\r\nContent-Length: 3\r\n\r\nab".to_vec());
    assert!(!scanner.in_head() && !scanner.between());
    scanner.scan(&mut b"c".to_vec());
    assert!(scanner.between());
}

proptest! {
    #[test]
    fn anything_is_followed_the_same_in_any_pieces(
        input in prop::collection::vec(prop_oneof![
            Just(b"POST / HTTP/1.1\r\n".to_vec()), Just(b"\r\n".to_vec()), Just(b"\n".to_vec()),
            Just(b"Content-Length: 3\r\n".to_vec()), Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
            Just(b"3\r\nabc\r\n".to_vec()), Just(b"0\r\n".to_vec()), Just(b"abc".to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
        ], 0..12),
        piece in 1_usize..9,
    ) {
        let input = input.concat();
        let (whole, one) = passed(&input, input.len().max(1));
        let (parts, other) = passed(&input, piece);
        prop_assert_eq!(whole, parts);
        prop_assert_eq!(one.heads(), other.heads());
    }
}
