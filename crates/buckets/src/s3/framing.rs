//! Bodies that are read again before s3s reads them, because it would keep too much of them in memory or know too little.
//!
//! - What comes in chunks without signatures is cut into smaller chunks: clients may send all of an object as one.
//! - What comes in signed chunks has chunks of a bounded size.
//! - In the form of a browser `${filename}` stands for the name of the file, which comes last.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, header, request::Parts};
use http_body::Frame;

/// The largest chunk that is signed, in bytes: it is kept until its signature was looked at.
const MOST_CHUNK: u64 = 8 * 1024 * 1024;
/// The longest line before a chunk, in bytes.
const MOST_LINE: usize = 1024;
/// What may come before the file of a form, in bytes.
const MOST_FIELDS: usize = 512 * 1024;
/// What stands for the name of the file.
const FILENAME: &[u8] = b"${filename}";

/// An error of a body.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How a body is read again.
#[derive(Debug)]
pub(super) enum Framing {
    /// As it comes.
    Plain,
    /// In chunks.
    Chunks(Chunks),
    /// As the form of a browser.
    Form(Form),
}

impl Framing {
    /// What a request says of its body.
    pub(super) fn of(head: &Parts) -> Self {
        let text = |headers: &HeaderMap, name: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase()
        };
        let kind = text(&head.headers, "x-amz-content-sha256");
        if kind.starts_with("streaming-") {
            return Self::Chunks(Chunks { signed: !kind.contains("unsigned"), at: At::default() });
        }
        let form = text(&head.headers, header::CONTENT_TYPE.as_str()).starts_with("multipart/form-data");
        if form && head.method == Method::POST { Self::Form(Form::default()) } else { Self::Plain }
    }

    pub(super) fn is_form(&self) -> bool {
        matches!(self, Self::Form(_))
    }

    fn take(&mut self, bytes: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Fault> {
        match self {
            Self::Plain => out.push_back(bytes),
            Self::Chunks(chunks) => chunks.take(bytes, out)?,
            Self::Form(form) => form.take(&bytes, out),
        }
        Ok(())
    }

    /// What is held back at the end.
    fn rest(&mut self) -> Option<Bytes> {
        match self {
            Self::Form(form) => form.rest(),
            Self::Plain | Self::Chunks(_) => None,
        }
    }
}

/// Chunks as S3 has them: a line with the size, the bytes, the end of a line.
#[derive(Debug)]
pub(super) struct Chunks {
    signed: bool,
    at: At,
}

#[derive(Debug)]
enum At {
    Line(BytesMut),
    Data(u64),
    End(u64),
    Trailers,
}

impl Default for At {
    fn default() -> Self {
        Self::Line(BytesMut::new())
    }
}

impl Chunks {
    fn take(&mut self, mut bytes: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Fault> {
        while !bytes.is_empty() {
            match &mut self.at {
                At::Line(line) => {
                    let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
                    line.extend_from_slice(&bytes.split_to(end.unwrap_or(bytes.len())));
                    if line.len() > MOST_LINE {
                        return Err("FormatError: the line before a chunk is too long".into());
                    }
                    if end.is_some() {
                        let line = std::mem::take(line).freeze();
                        self.at = self.chunk(line, out)?;
                    }
                }
                At::Data(left) => {
                    let piece = bytes.split_to(bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
                    *left = left.saturating_sub(piece.len() as u64);
                    let ended = *left == 0;
                    if self.signed {
                        out.push_back(piece);
                    } else {
                        out.push_back(format!("{:x}\r\n", piece.len()).into());
                        out.extend([piece, Bytes::from_static(b"\r\n")]);
                    }
                    if ended {
                        self.at = At::End(2);
                    }
                }
                At::End(left) => {
                    let piece = bytes.split_to(bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
                    *left = left.saturating_sub(piece.len() as u64);
                    if *left == 0 {
                        self.at = At::default();
                    }
                    if !piece.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                        return Err("FormatError: a chunk does not end where it should".into());
                    }
                    if self.signed {
                        out.push_back(piece);
                    }
                }
                At::Trailers => out.push_back(std::mem::take(&mut bytes)),
            }
        }
        Ok(())
    }

    /// What comes after the line before a chunk.
    fn chunk(&self, line: Bytes, out: &mut VecDeque<Bytes>) -> Result<At, Fault> {
        let text = std::str::from_utf8(&line).unwrap_or_default();
        let size = text.split([';', '\r', '\n']).next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(|_| "FormatError: a chunk has no size")?;
        if self.signed && size > MOST_CHUNK {
            return Err("FormatError: a signed chunk is TooLarge".into());
        }
        if size == 0 {
            out.push_back(line);
            return Ok(At::Trailers);
        }
        if self.signed {
            out.push_back(line);
        }
        Ok(At::Data(size))
    }
}

/// A form: fields, and the file at its end.
#[derive(Debug, Default)]
pub(super) struct Form {
    held: BytesMut,
    passed: bool,
}

impl Form {
    fn take(&mut self, bytes: &Bytes, out: &mut VecDeque<Bytes>) {
        if self.passed {
            out.push_back(bytes.clone());
            return;
        }
        self.held.extend_from_slice(bytes);
        if let Some(fields) = named(&self.held) {
            self.passed = true;
            self.held = BytesMut::new();
            out.push_back(fields);
        } else if self.held.len() > MOST_FIELDS {
            self.passed = true;
            out.extend(self.rest());
        }
    }

    fn rest(&mut self) -> Option<Bytes> {
        let held = std::mem::take(&mut self.held);
        (!held.is_empty()).then(|| held.freeze())
    }
}

/// What was held, with the name of the file in its places; `None` while the head of the file is not there.
fn named(held: &[u8]) -> Option<Bytes> {
    let file = find(held, b"name=\"file\"")?;
    let (fields, rest) = held.split_at(file);
    let about = rest.get(..find(rest, b"\r\n\r\n")?)?;
    let name = find(about, b"filename=\"").and_then(|at| about.get(at + b"filename=\"".len()..));
    let name = name.and_then(|name| name.split(|byte| *byte == b'"').next()).unwrap_or_default();
    let name = name.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default();
    let mut written = BytesMut::with_capacity(held.len() + name.len());
    let mut left = fields;
    while let Some(at) = find(left, FILENAME) {
        let (before, after) = left.split_at(at);
        written.extend_from_slice(before);
        written.extend_from_slice(name);
        left = after.get(FILENAME.len()..).unwrap_or_default();
    }
    written.extend_from_slice(left);
    written.extend_from_slice(rest);
    Some(written.freeze())
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

/// A body that is read again.
pub(super) struct Framed<B> {
    body: B,
    framing: Framing,
    out: VecDeque<Bytes>,
    ended: bool,
}

impl<B> Framed<B> {
    pub(super) fn new(body: B, framing: Framing) -> Self {
        Self { body, framing, out: VecDeque::new(), ended: false }
    }
}

impl<B> http_body::Body for Framed<B>
where
    B: http_body::Body<Data = Bytes, Error = Fault> + Unpin,
{
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    let Ok(bytes) = frame.into_data() else { continue };
                    if let Err(fault) = this.framing.take(bytes, &mut this.out) {
                        this.ended = true;
                        return Poll::Ready(Some(Err(fault)));
                    }
                }
                Some(Err(fault)) => return Poll::Ready(Some(Err(fault))),
                None => {
                    this.ended = true;
                    this.out.extend(this.framing.rest());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
