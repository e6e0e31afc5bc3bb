//! What consumers say of messages they were given.

use serde::Deserialize;

use super::{engine::Engine, wire::Out};
use crate::Message;

/// What a consumer says.
#[derive(Debug, PartialEq, Eq)]
enum Word<'a> {
    Done,
    /// Give it to me again, after so long.
    Again(Option<i64>),
    /// I am still at it.
    Working,
    /// Never give it to me again.
    Never,
    /// Done, and this pull.
    Next(&'a [u8]),
}

#[derive(Deserialize)]
struct Delay {
    delay: i64,
}

impl<'a> Word<'a> {
    fn read(payload: &'a [u8]) -> Option<Self> {
        let behind = |word: &[u8]| payload.strip_prefix(word);
        if payload.is_empty() || behind(b"+ACK").is_some() {
            return Some(Self::Done);
        }
        if let Some(rest) = behind(b"-NAK") {
            return Some(Self::Again(serde_json::from_slice(rest).ok().map(|Delay { delay }| delay)));
        }
        let working = behind(b"+WPI").map(|_| Self::Working);
        working.or(behind(b"+TERM").map(|_| Self::Never)).or(behind(b"+NXT").map(Self::Next))
    }
}

impl Engine {
    /// Takes an acknowledgement; its subject says of which message.
    pub(super) fn acknowledged(&mut self, message: &Message) {
        let mut tokens = message.subject.split('.').skip(2);
        let (Some(name), Some(consumer)) = (tokens.next(), tokens.next()) else { return };
        let sequence = tokens.nth(1).and_then(|token| token.parse::<u64>().ok());
        let (Some(sequence), Some(word)) = (sequence, Word::read(&message.payload)) else { return };
        let now = self.now;
        let found = self.streams.get_mut(name).and_then(|stream| stream.consumers.get_mut(consumer));
        let Some(consumer) = found else { return };
        consumer.active = now;
        let done = match word {
            Word::Done | Word::Never | Word::Next(_) => consumer.acknowledge(sequence, now),
            Word::Again(delay) => {
                consumer.refuse(sequence, delay, now);
                Vec::new()
            }
            Word::Working => {
                consumer.prolong(sequence, now);
                Vec::new()
            }
        };
        consumer.touch();
        if let (Word::Next(pull), Some(to)) = (&word, &message.reply) {
            if let Err(status) = consumer.ask(to, pull, now) {
                self.outbox.answer(Out::status(to, &status, &[]), None);
            }
        } else if let Some(to) = &message.reply {
            self.outbox.answer(Out::new(to, Vec::new()), None);
        }
        self.release(name, done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_consumers_say_is_understood() {
        assert_eq!(Word::read(b""), Some(Word::Done));
        assert_eq!(Word::read(b"+ACK"), Some(Word::Done));
        assert_eq!(Word::read(b"-NAK"), Some(Word::Again(None)));
        assert_eq!(Word::read(br#"-NAK {"delay":5}"#), Some(Word::Again(Some(5))));
        assert_eq!(Word::read(b"+WPI"), Some(Word::Working));
        assert_eq!(Word::read(b"+TERM no"), Some(Word::Never));
        assert_eq!(Word::read(b"+NXT 3"), Some(Word::Next(b" 3")));
        assert_eq!(Word::read(b"hello"), None);
    }
}
