//! The words that operations begin with. Their case does not matter.

use super::Violation;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Connect,
    Pub,
    Hpub,
    Sub,
    Unsub,
    Ping,
    Pong,
    Info,
    Error,
    Ok,
}

impl Verb {
    /// Whether a space has to follow.
    pub(super) fn wants_space(self) -> bool {
        matches!(self, Self::Pub | Self::Hpub | Self::Sub | Self::Unsub | Self::Error)
    }

    /// Whether something follows.
    pub(super) fn has_arguments(self) -> bool {
        !matches!(self, Self::Ping | Self::Pong | Self::Ok)
    }
}

type Names = &'static [(&'static [u8], Verb)];

/// The verb at the start of `input` and its length; `None` while it is not complete.
pub(super) fn read(input: &[u8]) -> Result<Option<(Verb, usize)>, Violation> {
    let Some(first) = input.first() else { return Ok(None) };
    let names: Names = match first.to_ascii_uppercase() {
        b'P' => &[(b"PUB", Verb::Pub), (b"PING", Verb::Ping), (b"PONG", Verb::Pong)],
        b'H' => &[(b"HPUB", Verb::Hpub)],
        b'S' => &[(b"SUB", Verb::Sub)],
        b'U' => &[(b"UNSUB", Verb::Unsub)],
        b'C' => &[(b"CONNECT", Verb::Connect)],
        b'I' => &[(b"INFO", Verb::Info)],
        b'-' => &[(b"-ERR", Verb::Error)],
        b'+' => &[(b"+OK", Verb::Ok)],
        _ => return Err(Violation::Unknown),
    };
    let mut partly = false;
    for (name, verb) in names {
        match input.get(..name.len()) {
            Some(start) if start.eq_ignore_ascii_case(name) => return Ok(Some((*verb, name.len()))),
            Some(_) => {}
            None => partly |= name.get(..input.len()).is_some_and(|name| name.eq_ignore_ascii_case(input)),
        }
    }
    if partly { Ok(None) } else { Err(Violation::Unknown) }
}
