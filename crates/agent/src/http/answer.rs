//! The answer to the host: its head once, then its body in parts.

use std::io::{self, Write as _};
use std::sync::Arc;

use socket2::Socket;

use super::{Framing, Header, write_all, write_headers};
use crate::protocol::{FAULT_HEADER, Fault};

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Answer {
    to: Arc<Socket>,
    bodiless: bool,
    state: Sent,
    sent: u64,
    most: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Head(Framing),
    All,
}

impl Answer {
    /// An answer to a request with `method`, whose body may have `most` bytes.
    pub(crate) fn new(to: Arc<Socket>, method: &str, most: u64) -> Self {
        Self { to, bodiless: method == "HEAD", state: Sent::Nothing, sent: 0, most }
    }

    /// Sends the head. `length` is that of the body, where it is known.
    pub(crate) fn begin(
        &mut self,
        status: u16,
        headers: &[Header],
        length: Option<u64>,
    ) -> Result<(), Fault> {
        if length.is_some_and(|length| length > self.most) {
            return Err(self.too_large());
        }
        let bodiless = self.bodiless || matches!(status, 204 | 304);
        let framing = match length {
            _ if bodiless => Framing::Empty,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        self.head(status, headers, framing).map_err(|error| gone(&error))?;
        self.state = Sent::Head(framing);
        Ok(())
    }

    fn head(&self, status: u16, headers: &[Header], framing: Framing) -> io::Result<()> {
        let mut head = Vec::with_capacity(512);
        write!(head, "HTTP/1.1 {status} \r\n")?;
        write_headers(&mut head, headers, framing)?;
        write_all(&self.to, &head)
    }

    /// Sends a part of the body.
    pub(crate) fn write(&mut self, part: &[u8]) -> Result<(), Fault> {
        self.sent += part.len() as u64;
        if self.sent > self.most {
            return Err(self.too_large());
        }
        match self.state {
            Sent::Head(Framing::Length(length)) if self.sent > length => {
                Err(Fault::BadAnswer("its body is longer than it says".to_owned()))
            }
            Sent::Head(Framing::Chunked) if !part.is_empty() => {
                let mut chunk = Vec::with_capacity(part.len() + 20);
                chunk.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                chunk.extend_from_slice(part);
                chunk.extend_from_slice(b"\r\n");
                write_all(&self.to, &chunk).map_err(|error| gone(&error))
            }
            Sent::Head(Framing::Length(_)) => write_all(&self.to, part).map_err(|error| gone(&error)),
            _ => Ok(()),
        }
    }

    /// Sends the end.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        match self.state {
            Sent::Head(Framing::Length(length)) if self.sent < length => {
                return Err(Fault::BadAnswer("its body is shorter than it says".to_owned()));
            }
            Sent::Head(Framing::Chunked) => {
                write_all(&self.to, b"0\r\n\r\n").map_err(|error| gone(&error))?;
            }
            _ => {}
        }
        self.state = Sent::All;
        Ok(())
    }

    /// Whether a head was sent.
    pub(crate) fn has_begun(&self) -> bool {
        self.state != Sent::Nothing
    }

    /// Sends a whole answer of the agent itself.
    pub(crate) fn reply(&mut self, status: u16, media: &str, body: &[u8]) -> Result<(), Fault> {
        self.most = u64::MAX;
        let headers = [("content-type".to_owned(), media.as_bytes().to_vec())];
        self.begin(status, &headers, Some(body.len() as u64))?;
        self.write(body)?;
        self.finish()
    }

    /// Says why there is no answer, when that can still be said.
    pub(crate) fn fail(&mut self, fault: &Fault) -> Result<(), Fault> {
        if self.has_begun() {
            return Ok(());
        }
        let text = fault.to_string();
        let headers = [
            (FAULT_HEADER.to_owned(), fault.word().as_bytes().to_vec()),
            ("content-type".to_owned(), b"text/plain; charset=utf-8".to_vec()),
        ];
        self.most = u64::MAX;
        self.begin(fault.status(), &headers, Some(text.len() as u64))?;
        self.sent = 0;
        self.write(text.as_bytes())?;
        self.finish()
    }

    fn too_large(&self) -> Fault {
        Fault::BadAnswer(format!("its body is larger than {} bytes", self.most))
    }
}

fn gone(error: &io::Error) -> Fault {
    Fault::Caller(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn written(
        most: u64,
        method: &str,
        act: impl FnOnce(&mut Answer) -> Result<(), Fault>,
    ) -> (String, Result<(), Fault>) {
        let (one, mut peer) = Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        let mut answer = Answer::new(Arc::new(one), method, most);
        let result = act(&mut answer);
        drop(answer);
        let mut text = String::new();
        peer.read_to_string(&mut text).unwrap();
        (text, result)
    }

    #[test]
    fn a_body_of_unknown_length_is_sent_in_chunks() {
        let (text, result) = written(100, "GET", |answer| {
            answer.begin(200, &[("a".to_owned(), b"b".to_vec())], None)?;
            answer.write(b"hello")?;
            answer.write(b"")?;
            answer.write(b"!")?;
            answer.finish()
        });
        assert_eq!(
            text,
            "HTTP/1.1 200 \r\na: b\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
        );
        assert_eq!(result, Ok(()));
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let (text, _) = written(100, "HEAD", |answer| {
            answer.begin(200, &[], Some(5))?;
            answer.write(b"hello")?;
            answer.finish()
        });
        assert_eq!(text, "HTTP/1.1 200 \r\n\r\n");
    }

    #[test]
    fn a_body_that_is_too_large_is_cut() {
        let (text, result) = written(4, "GET", |answer| {
            answer.begin(200, &[], None)?;
            answer.write(b"hello")
        });
        assert!(text.ends_with("\r\n\r\n"), "{text}");
        assert_eq!(result.unwrap_err().word(), "bad_answer");
    }

    #[test]
    fn a_body_shorter_than_it_says_is_no_whole_answer() {
        let (_, result) = written(100, "GET", |answer| {
            answer.begin(200, &[], Some(9))?;
            answer.write(b"hello")?;
            answer.finish()
        });
        assert_eq!(result.unwrap_err().word(), "bad_answer");
    }

    #[test]
    fn a_fault_is_told_in_a_word_and_a_sentence_unless_the_answer_has_begun() {
        let (text, _) = written(0, "GET", |answer| answer.fail(&Fault::NotReady));
        assert!(text.starts_with("HTTP/1.1 503 \r\nflagbase-fault: not_ready\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nthe function is not started yet"), "{text}");
        let (text, _) = written(9, "GET", |answer| {
            answer.begin(200, &[], None)?;
            answer.fail(&Fault::NotReady)
        });
        assert!(!text.contains("flagbase-fault"), "{text}");
    }
}
