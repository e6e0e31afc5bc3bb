//! Follows the framing of HTTP/1 requests as their bytes arrive, to see what the parser behind it hides.
//!
//! A request that states its length twice (`Content-Length` and `Transfer-Encoding`, or either of them repeated) is
//! read differently by different servers, which is how requests are smuggled. The parser behind us picks one reading
//! and drops the other; so here the second statement is made unreadable, and the parser answers 400 by itself. Bodies
//! are followed, never changed; whatever framing this scanner cannot follow ends the connection.

/// Longest name of interest: `transfer-encoding`.
const LONGEST_NAME: usize = 17;

/// What a connection that speaks HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Where in the stream of requests we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of a request.
    Between,
    /// In the request line.
    Line,
    /// At the start of a header line.
    Start,
    /// After a carriage return at the start of a header line.
    StartCr,
    /// In a header's name.
    Name,
    /// In a header's value.
    Value { length: bool },
    /// In a body of known length.
    Body(u64),
    /// In a chunked body.
    Chunk(Chunk),
    /// In a head that the parser is going to refuse: it may read on to the end of it.
    Condemned,
    /// In a body whose framing was lost: nothing more is passed on.
    Lost,
    /// Not HTTP/1 (any more): everything is passed on.
    Off,
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Size { value: u64, digits: u8 },
    Padding(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

/// Follows the framing of the requests of one connection.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    name: [u8; LONGEST_NAME],
    /// Bytes of the name seen so far; more than fit are counted, not kept.
    named: usize,
    /// The length stated so far; digits of a value in progress.
    digits: Digits,
    length: Option<u64>,
    chunked: bool,
    /// Bytes that agree with the HTTP/2 preface; only the first line of a connection can.
    preface: Option<usize>,
    /// Whole heads seen.
    heads: u64,
}

/// A `Content-Length` as it arrives.
#[derive(Debug, Clone, Copy, Default)]
struct Digits {
    value: Option<u64>,
    ended: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            state: State::Between,
            name: [0; LONGEST_NAME],
            named: 0,
            digits: Digits::default(),
            length: None,
            chunked: false,
            preface: Some(0),
            heads: 0,
        }
    }
}

impl Scanner {
    /// Follows `bytes`; makes unreadable what must not be read. Returns how many of them may be passed on.
    pub(crate) fn scan(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            at = match self.state {
                State::Off | State::Condemned => return bytes.len(),
                State::Lost => return at,
                State::Body(left) => self.skip_body(left, at, bytes.len()),
                State::Chunk(Chunk::Data(left)) => self.skip_chunk(left, at, bytes.len()),
                State::Line => self.skip_line(at, bytes),
                State::Name => self.take_name(at, bytes),
                State::Value { length: false } => self.skip_value(at, bytes),
                _ => self.step(at, bytes),
            };
        }
        at
    }

    /// Passes everything on from here: the connection became a tunnel.
    pub(crate) fn turn_off(&mut self) {
        self.state = State::Off;
    }

    /// Whole heads seen so far.
    pub(crate) fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether a head has begun and not ended.
    pub(crate) fn in_head(&self) -> bool {
        matches!(
            self.state,
            State::Line
                | State::Start
                | State::StartCr
                | State::Name
                | State::Value { .. }
                | State::Condemned
        )
    }

    /// Whether the next byte begins a request.
    pub(crate) fn between(&self) -> bool {
        self.state == State::Between
    }

    /// Whether no further request can come.
    #[cfg(test)]
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost | State::Condemned)
    }

    fn skip_body(&mut self, left: u64, at: usize, end: usize) -> usize {
        let here = u64::try_from(end - at).unwrap_or(u64::MAX);
        if left > here {
            self.state = State::Body(left - here);
            return end;
        }
        self.begin();
        at + usize::try_from(left).unwrap_or(end - at)
    }

    fn skip_chunk(&mut self, left: u64, at: usize, end: usize) -> usize {
        let here = u64::try_from(end - at).unwrap_or(u64::MAX);
        if left > here {
            self.state = State::Chunk(Chunk::Data(left - here));
            return end;
        }
        self.state = State::Chunk(Chunk::DataCr);
        at + usize::try_from(left).unwrap_or(end - at)
    }

    fn skip_line(&mut self, at: usize, bytes: &[u8]) -> usize {
        let rest = bytes.get(at..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest);
        let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.follow_preface(line);
        if self.preface == Some(PREFACE.len()) {
            self.state = State::Off;
            return at;
        }
        let Some(end) = end else { return bytes.len() };
        self.preface = None;
        self.state = State::Start;
        at + end + 1
    }

    fn follow_preface(&mut self, line: &[u8]) {
        let Some(seen) = self.preface else { return };
        let wanted = PREFACE.get(seen..).unwrap_or_default();
        let compared = wanted.len().min(line.len());
        self.preface = (wanted.get(..compared) == line.get(..compared)).then_some(seen + compared);
    }

    fn take_name(&mut self, at: usize, bytes: &mut [u8]) -> usize {
        let rest = bytes.get(at..).unwrap_or_default();
        let end = memchr::memchr2(b':', b'\n', rest);
        let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        for (place, byte) in self.name.iter_mut().skip(self.named).zip(part) {
            *place = byte.to_ascii_lowercase();
        }
        self.named += part.len();
        let Some(end) = end else { return bytes.len() };
        let at = at + end;
        if bytes.get(at) == Some(&b'\n') {
            // A header line without a colon: the parser refuses it.
            self.state = State::Condemned;
            return at + 1;
        }
        self.header(at, bytes)
    }

    /// At the colon behind a header's name.
    fn header(&mut self, colon: usize, bytes: &mut [u8]) -> usize {
        let name = self.name.get(..self.named).unwrap_or_default();
        let (length, coding) = (name == b"content-length", name == b"transfer-encoding");
        self.named = 0;
        let stated = self.length.is_some() || self.chunked;
        if (length || coding) && stated {
            return self.refuse(colon, bytes);
        }
        self.chunked |= coding;
        self.digits = Digits::default();
        self.state = State::Value { length };
        colon + 1
    }

    /// Makes the byte at `at` one that no head may hold.
    fn refuse(&mut self, at: usize, bytes: &mut [u8]) -> usize {
        if let Some(byte) = bytes.get_mut(at) {
            *byte = 0;
        }
        self.state = State::Condemned;
        at + 1
    }

    fn skip_value(&mut self, at: usize, bytes: &[u8]) -> usize {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return bytes.len();
        };
        self.state = State::Start;
        at + end + 1
    }

    fn step(&mut self, at: usize, bytes: &mut [u8]) -> usize {
        let byte = bytes.get(at).copied().unwrap_or_default();
        match self.state {
            State::Between => match byte {
                b'\r' | b'\n' => {}
                _ => {
                    self.state = State::Line;
                    return at;
                }
            },
            State::Start => match byte {
                b'\r' => self.state = State::StartCr,
                b'\n' => self.end_head(),
                _ => {
                    self.state = State::Name;
                    return at;
                }
            },
            State::StartCr if byte == b'\n' => self.end_head(),
            State::Value { .. } => return self.length_byte(byte, at, bytes),
            State::Chunk(chunk) => self.chunk_byte(chunk, byte),
            _ => self.state = State::Condemned,
        }
        at + 1
    }

    fn length_byte(&mut self, byte: u8, at: usize, bytes: &mut [u8]) -> usize {
        if !self.digits.take(byte) {
            return self.refuse(at, bytes);
        }
        if byte == b'\n' {
            self.length = self.digits.value;
            self.state = State::Start;
        }
        at + 1
    }

    fn end_head(&mut self) {
        self.heads += 1;
        self.state = match self.length.take() {
            _ if std::mem::take(&mut self.chunked) => State::Chunk(Chunk::Size { value: 0, digits: 0 }),
            None | Some(0) => State::Between,
            Some(length) => State::Body(length),
        };
    }

    fn begin(&mut self) {
        self.state = State::Between;
    }

    fn chunk_byte(&mut self, chunk: Chunk, byte: u8) {
        let next = match (chunk, byte) {
            (Chunk::Size { value, digits }, _) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                Chunk::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Chunk::Size { value, digits: 1.. } | Chunk::Padding(value) | Chunk::Extension(value), b'\r') => {
                Chunk::SizeLf(value)
            }
            (Chunk::Size { value, digits: 1.. } | Chunk::Padding(value), b' ' | b'\t') => {
                Chunk::Padding(value)
            }
            (Chunk::Size { value, digits: 1.. } | Chunk::Padding(value), b';') => Chunk::Extension(value),
            (Chunk::Extension(value), _) if byte != b'\n' => Chunk::Extension(value),
            (Chunk::SizeLf(0) | Chunk::TrailerLf, b'\n') => Chunk::TrailerStart,
            (Chunk::SizeLf(value), b'\n') => Chunk::Data(value),
            (Chunk::DataCr, b'\r') => Chunk::DataLf,
            (Chunk::DataLf, b'\n') => Chunk::Size { value: 0, digits: 0 },
            (Chunk::TrailerStart, b'\r') => Chunk::EndLf,
            (Chunk::TrailerStart | Chunk::Trailer, _) if byte != b'\r' && byte != b'\n' => Chunk::Trailer,
            (Chunk::Trailer, b'\r') => Chunk::TrailerLf,
            (Chunk::EndLf, b'\n') => return self.begin(),
            _ => return self.state = State::Lost,
        };
        self.state = State::Chunk(next);
    }
}

impl Digits {
    /// Takes one more byte of the value, its end included; false when it cannot belong to a length.
    fn take(&mut self, byte: u8) -> bool {
        match byte {
            b'0'..=b'9' if !self.ended => {
                let digit = u64::from(byte - b'0');
                let value = self.value.unwrap_or(0);
                self.value = value.checked_mul(10).and_then(|value| value.checked_add(digit));
                self.value.is_some()
            }
            b' ' | b'\t' => {
                self.ended |= self.value.is_some();
                true
            }
            b'\r' | b'\n' => {
                self.ended = true;
                self.value.is_some()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
