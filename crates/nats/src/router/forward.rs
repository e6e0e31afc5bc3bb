//! Messages that are shown under another subject than the one they are routed by.

use std::sync::Arc;

use super::{Message, Publish, Sent, Shared, Sub, Target, Turn, frame, pool, subject};

/// Whether somebody listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Nobody,
    /// Somebody, but he has more to read already than is good.
    Behind,
    Ready,
}

impl Shared {
    /// Passes a message to all who listen on `route`, and to one member of each group. Whether anybody gets it.
    pub(crate) fn forward(&self, route: &[u8], message: &Publish<'_>, turn: usize) -> bool {
        let found = self.matches(route);
        let mut delivered = false;
        for sub in &found.plain {
            delivered |= self.forward_to(sub, route, message);
        }
        for members in &found.queues {
            let start = turn.checked_rem(members.len()).unwrap_or(0);
            let (later, first) = members.split_at_checked(start).unwrap_or_default();
            let mut members = first.iter().chain(later);
            delivered |= members
                .clone()
                .any(|sub| interest(sub) == Interest::Ready && self.forward_to(sub, route, message))
                || members
                    .any(|sub| interest(sub) == Interest::Behind && self.forward_to(sub, route, message));
        }
        delivered
    }

    /// Whether anybody listens on `route`, in this group if there is one.
    pub(crate) fn interest(&self, route: &[u8], group: &str) -> Interest {
        let found = self.matches(route);
        let mut best = Interest::Nobody;
        let mut judge = |sub: &Arc<Sub>| match interest(sub) {
            Interest::Ready => best = Interest::Ready,
            Interest::Behind if best == Interest::Nobody => best = Interest::Behind,
            _ => {}
        };
        if group.is_empty() {
            found.plain.iter().chain(found.queues.iter().flatten()).for_each(&mut judge);
        } else {
            let own = |sub: &&Arc<Sub>| sub.queue.as_deref() == Some(group.as_bytes());
            found.queues.iter().flatten().filter(own).for_each(&mut judge);
        }
        best
    }

    fn forward_to(&self, sub: &Arc<Sub>, route: &[u8], message: &Publish<'_>) -> bool {
        if sub.denied.iter().any(|denied| subject::covers(denied, route)) {
            return false;
        }
        let turn = sub.turn();
        if turn == Turn::Skip {
            return false;
        }
        let delivered = match &sub.target {
            Target::Local(receiver) => receiver.receive(Message::new(message)),
            Target::Client(client) => {
                let mut bytes = pool::take();
                let head = [b"HMSG ", message.subject, b" ", &sub.sid, b" "].concat();
                frame::write(&mut bytes, &head, message, client.headers());
                if let Some(reply) = message.reply {
                    client.was_asked(reply);
                }
                let sent = client.out.send(&mut bytes);
                pool::give(bytes);
                client.stats.sent.add(1, message.payload.len() as u64);
                client.stats.touch();
                self.stats.sent.add(1, message.payload.len() as u64);
                sent != Sent::Gone
            }
        };
        if turn == Turn::Last {
            sub.end();
            self.unsubscribe(sub);
            if let Target::Client(client) = &sub.target {
                client.subs.lock().remove(&sub.sid);
            }
        }
        delivered
    }
}

fn interest(sub: &Sub) -> Interest {
    match &sub.target {
        Target::Client(client) if client.ended.get().is_some() => Interest::Nobody,
        Target::Client(client) if client.out.is_behind() => Interest::Behind,
        Target::Local(_) | Target::Client(_) => Interest::Ready,
    }
}
