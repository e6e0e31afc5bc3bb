//! What clients send, read from a buffer without copying.

mod verb;

use verb::Verb;

/// One operation of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Connect(&'a [u8]),
    Publish(Publish<'a>),
    Subscribe {
        subject: &'a [u8],
        queue: Option<&'a [u8]>,
        sid: &'a [u8],
    },
    /// A `max` of 0 means at once.
    Unsubscribe {
        sid: &'a [u8],
        max: u64,
    },
    Ping,
    Pong,
    Info(&'a [u8]),
    Error(&'a [u8]),
    Ok,
}

/// `PUB` and `HPUB`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    /// Bytes of headers at the start of the payload; `None` for `PUB`.
    pub(crate) header: Option<usize>,
    /// Headers and payload.
    pub(crate) payload: &'a [u8],
    /// The sizes as they were written.
    pub(crate) sizes: Sizes<'a>,
    /// All that follows the subject, when a subscriber can be sent it as it is.
    pub(crate) tail: Option<&'a [u8]>,
}

/// Sizes as they were written.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Sizes<'a> {
    pub(crate) header: Option<&'a [u8]>,
    pub(crate) total: &'a [u8],
}

/// What the start of a buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// An operation and how many bytes it takes.
    Frame(Frame<'a>, usize),
    /// The start of one, and how many bytes it takes in all where that is known.
    Incomplete(Option<usize>),
}

/// Why a client cannot go on.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Violation {
    /// It is no operation.
    Unknown,
    /// It is one with arguments that cannot be.
    Arguments,
    /// Its line is too long.
    ControlLine,
    /// Its message is too long.
    Payload,
}

/// What a client may send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Longest line after its verb, in bytes.
    pub(crate) control_line: usize,
    /// Longest message, in bytes.
    pub(crate) payload: usize,
    /// Whether it said that it knows headers.
    pub(crate) headers: bool,
}

/// Reads the operation at the start of `input`.
pub(crate) fn parse(input: &[u8], bounds: Bounds) -> Result<Step<'_>, Violation> {
    let Some((verb, name)) = verb::read(input)? else { return Ok(Step::Incomplete(None)) };
    let rest = input.get(name..).unwrap_or_default();
    if verb.wants_space() && rest.first().is_some_and(|byte| !is_space(*byte)) {
        return Err(Violation::Unknown);
    }
    // The first byte behind the spaces belongs to the arguments, even when it is a line break.
    let spaces = || rest.iter().take_while(|byte| is_space(**byte)).count();
    let from = if verb.has_arguments() { spaces() + 1 } else { 0 };
    let Some(end) = rest.get(from..).and_then(|rest| memchr::memchr(b'\n', rest)).map(|end| end + from)
    else {
        let fits = rest.len() <= bounds.control_line.saturating_add(2);
        return if fits { Ok(Step::Incomplete(None)) } else { Err(Violation::ControlLine) };
    };
    let line = rest.get(..end).unwrap_or_default();
    let line = without_return(line, from);
    if line.len() > bounds.control_line.saturating_add(1) {
        return Err(Violation::ControlLine);
    }
    let taken = name + end + 1;
    let frame = match verb {
        // Refused before the message has come, as clients know it.
        Verb::Hpub if !bounds.headers => return Err(Violation::Arguments),
        Verb::Pub | Verb::Hpub => return publish(input, line, taken, verb == Verb::Hpub, bounds.payload),
        Verb::Sub => subscribe(line)?,
        Verb::Unsub => unsubscribe(line)?,
        Verb::Connect => Frame::Connect(line.trim_ascii_start()),
        Verb::Info => Frame::Info(line.trim_ascii_start()),
        Verb::Error => Frame::Error(line.trim_ascii_start()),
        Verb::Ping => Frame::Ping,
        Verb::Pong => Frame::Pong,
        Verb::Ok => Frame::Ok,
    };
    Ok(Step::Frame(frame, taken))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The line without its last byte, if there is a carriage return in it. Usually the return is that byte.
fn without_return(line: &[u8], from: usize) -> &[u8] {
    match line.split_last() {
        Some((last, before)) if line.len() > from => {
            let returns = *last == b'\r' || line.get(from..).is_some_and(|line| line.contains(&b'\r'));
            if returns { before } else { line }
        }
        _ => line,
    }
}

fn arguments(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| is_space(*byte)).filter(|argument| !argument.is_empty())
}

/// Arguments of operations where a carriage return is a space, too.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).filter(|word| !word.is_empty())
}

fn subscribe(line: &[u8]) -> Result<Frame<'_>, Violation> {
    let mut arguments = words(line);
    match (arguments.next(), arguments.next(), arguments.next(), arguments.next()) {
        (Some(subject), Some(sid), None, None) => Ok(Frame::Subscribe { subject, queue: None, sid }),
        (Some(subject), queue, Some(sid), None) => Ok(Frame::Subscribe { subject, queue, sid }),
        _ => Err(Violation::Arguments),
    }
}

fn unsubscribe(line: &[u8]) -> Result<Frame<'_>, Violation> {
    let mut arguments = words(line);
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(sid), max, None) => {
            // A limit that is no number counts as none.
            let max = max.and_then(size).and_then(|max| u64::try_from(max).ok()).unwrap_or(0);
            Ok(Frame::Unsubscribe { sid, max })
        }
        _ => Err(Violation::Arguments),
    }
}

struct Head<'a> {
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    sizes: Sizes<'a>,
}

impl<'a> Head<'a> {
    fn read(line: &'a [u8], headers: bool) -> Option<Self> {
        let mut arguments = arguments(line);
        let (subject, second) = (arguments.next()?, arguments.next()?);
        let (third, fourth, fifth) = (arguments.next(), arguments.next(), arguments.next());
        let (reply, header, total) = match (headers, third, fourth, fifth) {
            (false, None, ..) => (None, None, second),
            (false, Some(total), None, _) => (Some(second), None, total),
            (true, Some(total), None, _) => (None, Some(second), total),
            (true, Some(header), Some(total), None) => (Some(second), Some(header), total),
            _ => return None,
        };
        Some(Self { subject, reply, sizes: Sizes { header, total } })
    }

    /// How long what follows the subject is when it is written with single spaces.
    fn tail(&self) -> usize {
        let part = |part: Option<&[u8]>| part.map_or(0, |part| part.len() + 1);
        part(self.reply) + part(self.sizes.header) + self.sizes.total.len()
    }
}

fn publish<'a>(
    input: &'a [u8],
    line: &'a [u8],
    taken: usize,
    headers: bool,
    max: usize,
) -> Result<Step<'a>, Violation> {
    let head = Head::read(line, headers).ok_or(Violation::Arguments)?;
    let total = size(head.sizes.total).ok_or(Violation::Arguments)?;
    let header = match head.sizes.header {
        Some(text) => Some(size(text).filter(|header| *header <= total).ok_or(Violation::Arguments)?),
        None => None,
    };
    if total > max {
        return Err(Violation::Payload);
    }
    let end = taken + total;
    match (input.get(end), input.get(end + 1)) {
        (Some(b'\r'), Some(b'\n')) => {}
        (None, _) | (Some(b'\r'), None) => return Ok(Step::Incomplete(Some(end + 2))),
        _ => return Err(Violation::Unknown),
    }
    let payload = input.get(taken..end).unwrap_or_default();
    let tail = tail(input, &head, line, taken).filter(|_| header != Some(0));
    let tail = tail.and_then(|start| input.get(start..end + 2));
    let Head { subject, reply, sizes } = head;
    let frame = Publish { subject, reply, header, payload, sizes, tail };
    Ok(Step::Frame(Frame::Publish(frame), end + 2))
}

/// Where what follows the subject starts, if it is written as the server would write it.
fn tail(input: &[u8], head: &Head<'_>, line: &[u8], taken: usize) -> Option<usize> {
    let length = head.tail();
    let written = line.get(line.len().checked_sub(length)?..)?;
    let mut parts = written.split(|byte| *byte == b' ');
    let mut expected = head.reply.into_iter().chain(head.sizes.header).chain([head.sizes.total]);
    let plain = expected.all(|part| parts.next() == Some(part));
    let ends = input.get(taken.checked_sub(2)?..taken)? == b"\r\n";
    (plain && ends).then(|| taken - 2 - length)
}

/// A size in decimal digits, of which there are at most nine.
fn size(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > 9 {
        return None;
    }
    text.iter()
        .try_fold(0_usize, |size, byte| byte.is_ascii_digit().then(|| size * 10 + usize::from(byte - b'0')))
}

#[cfg(test)]
mod tests;
