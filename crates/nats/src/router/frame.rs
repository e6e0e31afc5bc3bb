//! `MSG` and `HMSG` as a subscriber gets them.

use crate::protocol::Publish;

/// Adds a message for a subscription. `head` is `HMSG`, the subject and the name of the subscription, with spaces.
pub(super) fn write(out: &mut Vec<u8>, head: &[u8], message: &Publish<'_>, headers: bool) {
    let plain = head.get(1..).unwrap_or_default();
    match (message.header, message.tail) {
        (None, Some(tail)) => {
            out.extend_from_slice(plain);
            out.extend_from_slice(tail);
        }
        (Some(_), Some(tail)) if headers => {
            out.extend_from_slice(head);
            out.extend_from_slice(tail);
        }
        (Some(header @ 1..), _) if !headers => {
            // Whoever does not know headers gets the message without.
            let payload = message.payload.get(header..).unwrap_or_default();
            out.extend_from_slice(plain);
            parts(out, &[message.reply.unwrap_or_default(), payload.len().to_string().as_bytes()]);
            end(out, payload);
        }
        (header, _) => {
            let sizes = message.sizes;
            let written = sizes.header.filter(|_| header != Some(0)).unwrap_or_default();
            out.extend_from_slice(if written.is_empty() { plain } else { head });
            parts(out, &[message.reply.unwrap_or_default(), written, sizes.total]);
            end(out, message.payload);
        }
    }
}

fn parts(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for (number, part) in parts.iter().filter(|part| !part.is_empty()).enumerate() {
        if number > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(part);
    }
}

fn end(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Tells who asked that nobody listens on `subject`.
pub(crate) fn no_responders(reply: &[u8], sid: &[u8], subject: &[u8]) -> Vec<u8> {
    let headers = [b"NATS/1.0 503\r\nNats-Subject: ", subject, b"\r\n\r\n"].concat();
    let length = headers.len().to_string();
    let mut out = [b"HMSG ", reply, b" ", sid, b" "].concat();
    parts(&mut out, &[length.as_bytes(), length.as_bytes()]);
    end(&mut out, &headers);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Bounds, Frame, Step, parse};

    fn written(input: &[u8], headers: bool) -> String {
        let bounds = Bounds { control_line: 100, payload: 100, headers: true };
        let Ok(Step::Frame(Frame::Publish(message), _)) = parse(input, bounds) else { panic!("no publish") };
        let mut out = Vec::new();
        write(&mut out, b"HMSG a 1 ", &message, headers);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_keeps_its_reply_and_its_sizes() {
        assert_eq!(written(b"PUB a 2\r\nhi\r\n", true), "MSG a 1 2\r\nhi\r\n");
        assert_eq!(written(b"PUB a r 2\r\nhi\r\n", true), "MSG a 1 r 2\r\nhi\r\n");
        assert_eq!(written(b"PUB a\tr  02\n\n\n\r\n", true), "MSG a 1 r 02\r\n\n\n\r\n");
        assert_eq!(written(b"HPUB a r 1 2\r\nhi\r\n", true), "HMSG a 1 r 1 2\r\nhi\r\n");
        assert_eq!(written(b"HPUB a  r 1 2\r\nhi\r\n", true), "HMSG a 1 r 1 2\r\nhi\r\n");
        assert_eq!(written(b"HPUB a 0 2\r\nhi\r\n", true), "MSG a 1 2\r\nhi\r\n");
    }

    #[test]
    fn who_knows_no_headers_gets_none() {
        assert_eq!(written(b"HPUB a r 1 2\r\nhi\r\n", false), "MSG a 1 r 1\r\ni\r\n");
        assert_eq!(written(b"HPUB a 2 2\r\nhi\r\n", false), "MSG a 1 0\r\n\r\n");
        assert_eq!(written(b"HPUB a 0 2\r\nhi\r\n", false), "MSG a 1 2\r\nhi\r\n");
    }

    #[test]
    fn nobody_listens_is_told_with_the_subject() {
        let expected = "HMSG in 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n";
        assert_eq!(no_responders(b"in", b"1", b"nobody"), expected.as_bytes());
    }
}
