//! What each operation does.

use std::{sync::Arc, task::Context};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Flow, connect::Connect};
use crate::{
    protocol::{Frame, Publish},
    reason::Reason,
    router::{Outcome, Publisher, no_responders},
    subject,
    subscription::{Sub, Target},
};

/// What INFO has to be.
type Object = Option<serde_json::Map<String, serde_json::Value>>;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn handle(&mut self, cx: &mut Context<'_>, frame: &Frame<'_>) -> Flow {
        match frame {
            Frame::Publish(publish) => self.publish(publish),
            Frame::Subscribe { subject, queue, sid } => self.subscribe(subject, *queue, sid),
            Frame::Unsubscribe { sid, max } => self.unsubscribe(sid, *max),
            Frame::Connect(options) => self.connect(cx, options),
            Frame::Ping => self.pinged(),
            Frame::Pong => {
                self.pong();
                Flow::Next
            }
            Frame::Info(info) if serde_json::from_slice::<Object>(info).is_err() => {
                Flow::End(Reason::ProtocolViolation)
            }
            Frame::Info(_) | Frame::Ok => Flow::Next,
            Frame::Error(_) => Flow::End(Reason::ProtocolViolation),
        }
    }

    fn connect(&mut self, cx: &mut Context<'_>, options: &[u8]) -> Flow {
        let Some(options) = Connect::read(options) else {
            return Flow::End(Reason::ProtocolViolation);
        };
        let options = options.over(&self.options);
        if options.protocol().is_none() {
            return Flow::End(Reason::InvalidClientProtocol);
        }
        if options.no_responders() && !options.headers() {
            return Flow::End(Reason::NoRespondersWithoutHeaders);
        }
        self.client.set_headers(options.headers());
        {
            let mut about = self.client.about.lock();
            about.name.clone_from(&options.name);
            about.lang.clone_from(&options.lang);
            about.version.clone_from(&options.version);
            about.protocol = options.protocol().unwrap_or(0);
        }
        self.options = options;
        self.ask(true);
        match self.poll_decision(cx) {
            std::task::Poll::Pending => Flow::Wait,
            std::task::Poll::Ready(_) => self.client.out.end().map_or(Flow::Next, Flow::End),
        }
    }

    fn pinged(&mut self) -> Flow {
        self.router.answer(b"PONG\r\n");
        let level = self.options.protocol().unwrap_or(0);
        if !std::mem::replace(&mut self.pinged, true) && level >= 1 {
            let info = self.shared.info(self.client.id, &self.client.origin, &self.nonce, true);
            self.router.answer(&info);
        }
        Flow::Next
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Flow {
        if self.options.pedantic() && !subject::is_literal(publish.subject) {
            self.router.answer(b"-ERR 'Invalid Publish Subject'\r\n");
        }
        let permissions = self.permissions.clone();
        let publisher = Publisher { echo: self.options.echo(), permissions: permissions.as_deref() };
        if permissions.is_some() && !self.router.permits(&self.shared, publisher, publish.subject) {
            let error =
                format!("-ERR 'Permissions Violation for Publish to {}'\r\n", quoted(publish.subject));
            self.router.answer(error.as_bytes());
            return Flow::Next;
        }
        self.acknowledge();
        if self.router.publish(&self.shared, publisher, publish) == Outcome::Nobody {
            self.nobody(publish);
        }
        Flow::Next
    }

    /// Tells who wants to know that nobody will answer.
    fn nobody(&mut self, publish: &Publish<'_>) {
        let Some(reply) = publish.reply.filter(|_| self.options.no_responders()) else { return };
        let subs = self.client.subs.lock();
        let own = subs.values().find(|sub| sub.queue.is_none() && subject::covers(&sub.subject, reply));
        let told = own.map(|sub| no_responders(reply, &sub.sid, publish.subject));
        drop(subs);
        if let Some(told) = told {
            self.router.answer(&told);
        }
    }

    fn subscribe(&mut self, pattern: &[u8], queue: Option<&[u8]>, sid: &[u8]) -> Flow {
        if self.permissions.as_ref().is_some_and(|permissions| !permissions.may_subscribe(pattern, queue)) {
            let group = queue.map(|group| format!(" using queue {}", quoted(group))).unwrap_or_default();
            let error =
                format!("-ERR 'Permissions Violation for Subscription to {}{group}'\r\n", quoted(pattern));
            self.router.answer(error.as_bytes());
            return Flow::Next;
        }
        let mut subs = self.client.subs.lock();
        if self.max_subscriptions != 0 && subs.len() >= self.max_subscriptions {
            drop(subs);
            self.router.answer(b"-ERR 'maximum subscriptions exceeded'\r\n");
            return Flow::Next;
        }
        // A name that is taken keeps its first meaning, whatever comes.
        if !subs.contains_key(sid) {
            if !subject::is_pattern(pattern) {
                drop(subs);
                self.router.answer(b"-ERR 'Invalid Subject'\r\n");
                return Flow::Next;
            }
            let mut sub = Sub::new(pattern, queue, sid, Target::Client(Arc::clone(&self.client)));
            sub.denied =
                self.permissions.as_ref().map(|held| held.denied_within(pattern)).unwrap_or_default();
            let sub = Arc::new(sub);
            subs.insert(sid.into(), Arc::clone(&sub));
            self.shared.subscribe(&sub);
        }
        drop(subs);
        self.acknowledge();
        Flow::Next
    }

    fn unsubscribe(&mut self, sid: &[u8], max: u64) -> Flow {
        let mut subs = self.client.subs.lock();
        if let Some(sub) = subs.get(sid).cloned()
            && (max == 0 || sub.limit(max))
        {
            subs.remove(sid);
            sub.end();
            self.shared.unsubscribe(&sub);
        }
        drop(subs);
        self.acknowledge();
        Flow::Next
    }

    fn acknowledge(&mut self) {
        if self.options.verbose() {
            self.router.answer(b"+OK\r\n");
        }
    }
}

/// The bytes between double quotes, such that they cannot be taken for anything else.
fn quoted(bytes: &[u8]) -> String {
    let mut quoted = String::from('"');
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => quoted.extend(['\\', character]),
                character if character.is_control() => quoted.extend(character.escape_default()),
                character => quoted.push(character),
            }
        }
        quoted.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_quoted_subject_stays_within_its_quotes() {
        assert_eq!(quoted(b"a.b"), r#""a.b""#);
        assert_eq!(quoted(b"\"q\\\xff"), r#""\"q\\\xff""#);
    }
}
