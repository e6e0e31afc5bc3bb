//! From a subject to those who get the message.
//!
//! A connection keeps what it found for the subjects it publishes to, until any subscription changes. Messages of one
//! read are gathered per subscriber and handed over together, so that a subscriber is locked and woken once per read.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::{
    Permissions,
    client::Client,
    local::Message,
    outbound::Sent,
    pool,
    protocol::Publish,
    shared::Shared,
    subject,
    subscription::{Sub, Target, Turn},
};

mod forward;
mod frame;

pub(crate) use forward::Interest;
pub(crate) use frame::no_responders;

/// Subjects whose routes are kept.
const KEPT: usize = 512;
/// Gathered bytes that are handed over before the read is done.
const HAND_OVER: usize = 128 * 1024;

/// From a subject to those who get the message, for one publisher.
pub(crate) struct Router {
    own: Option<Arc<Client>>,
    generation: u64,
    routes: Vec<Route>,
    by_subject: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
    /// The route used last.
    last: usize,
    dests: Vec<Dest>,
    by_client: HashMap<u64, usize, foldhash::fast::RandomState>,
    touched: Vec<usize>,
    random: u32,
    received: (u64, u64),
}

/// Who publishes, as far as it matters here.
#[derive(Clone, Copy)]
pub(crate) struct Publisher<'a> {
    /// Whether it gets its own messages.
    pub(crate) echo: bool,
    pub(crate) permissions: Option<&'a Permissions>,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Outcome {
    /// Somebody gets it.
    Delivered,
    /// Nobody listens.
    Nobody,
}

struct Route {
    subject: Box<[u8]>,
    permitted: bool,
    plain: Vec<Leg>,
    queues: Vec<Vec<Leg>>,
}

/// One subscription on a route.
struct Leg {
    sub: Arc<Sub>,
    /// `HMSG`, the subject and the name of the subscription, each with a space behind.
    head: Box<[u8]>,
    dest: usize,
}

/// Bytes gathered for one client.
struct Dest {
    client: Arc<Client>,
    bytes: Vec<u8>,
    messages: u64,
    payload: u64,
}

/// The parts of a router that delivering changes.
struct Delivery<'a> {
    shared: &'a Shared,
    dests: &'a mut [Dest],
    touched: &'a mut Vec<usize>,
    own: Option<u64>,
    echo: bool,
}

impl Router {
    /// For a connection, or for the process.
    pub(crate) fn new(own: Option<Arc<Client>>) -> Self {
        let mut router = Self {
            own,
            generation: 0,
            routes: Vec::new(),
            by_subject: HashMap::default(),
            last: 0,
            dests: Vec::new(),
            by_client: HashMap::default(),
            touched: Vec::new(),
            random: 0x9E37_79B9,
            received: (0, 0),
        };
        router.forget();
        router
    }

    /// Forgets all routes. Whatever was gathered has to be flushed before.
    pub(crate) fn forget(&mut self) {
        self.routes = Vec::new();
        self.by_subject = HashMap::default();
        self.by_client = HashMap::default();
        self.dests = self.own.iter().map(Dest::new).collect();
        self.touched.clear();
        self.generation = 0;
    }

    /// Whether the publisher may publish there. Counts as an answer where that is why.
    pub(crate) fn permits(&mut self, shared: &Shared, publisher: Publisher<'_>, subject: &[u8]) -> bool {
        let at = self.route(shared, publisher, subject);
        self.routes.get(at).is_some_and(|route| route.permitted)
            || self.own.as_ref().is_some_and(|own| own.may_answer(subject))
    }

    /// Passes one message, which is permitted, to all who listen.
    pub(crate) fn publish(
        &mut self,
        shared: &Shared,
        publisher: Publisher<'_>,
        message: &Publish<'_>,
    ) -> Outcome {
        self.received.0 += 1;
        self.received.1 += message.payload.len() as u64;
        let at = self.route(shared, publisher, message.subject);
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let Some(route) = self.routes.get(at) else { return Outcome::Nobody };
        let mut delivery = Delivery {
            shared,
            dests: &mut self.dests,
            touched: &mut self.touched,
            own: self.own.as_ref().map(|own| own.id),
            echo: publisher.echo,
        };
        let mut delivered = false;
        for leg in &route.plain {
            delivered |= delivery.deliver(leg, message);
        }
        for members in &route.queues {
            delivered |= delivery.deliver_to_one(members, message, (self.random >> 8) as usize);
        }
        if delivered { Outcome::Delivered } else { Outcome::Nobody }
    }

    /// Bytes for the publisher itself, in order with its messages.
    pub(crate) fn answer(&mut self, bytes: &[u8]) {
        if let Some(dest) = self.dests.first_mut() {
            dest.open(0, &mut self.touched);
            dest.bytes.extend_from_slice(bytes);
        }
    }

    /// Hands over what was gathered. Returns a client that is far behind, if there is one.
    pub(crate) fn flush(&mut self, shared: &Shared) -> Option<Arc<Client>> {
        let mut behind = None;
        for at in self.touched.drain(..) {
            if let Some(dest) = self.dests.get_mut(at)
                && dest.hand_over(shared) == Sent::Behind
            {
                behind.get_or_insert_with(|| Arc::clone(&dest.client));
            }
        }
        let (messages, bytes) = std::mem::take(&mut self.received);
        if messages > 0 {
            shared.stats.received.add(messages, bytes);
            if let Some(own) = &self.own {
                own.stats.received.add(messages, bytes);
            }
        }
        behind
    }

    fn route(&mut self, shared: &Shared, publisher: Publisher<'_>, subject: &[u8]) -> usize {
        let generation = shared.generation();
        if generation != self.generation || self.routes.len() >= KEPT {
            self.flush(shared);
            self.forget();
            self.generation = generation;
        } else if self.routes.get(self.last).is_some_and(|route| *route.subject == *subject) {
            return self.last;
        }
        if let Some(known) = self.by_subject.get(subject) {
            self.last = *known;
            return self.last;
        }
        let route = self.find(shared, publisher, subject);
        self.last = self.routes.len();
        self.by_subject.insert(subject.into(), self.last);
        self.routes.push(route);
        self.last
    }

    fn find(&mut self, shared: &Shared, publisher: Publisher<'_>, subject: &[u8]) -> Route {
        let found = shared.matches(subject);
        let visible = |sub: &Arc<Sub>| !sub.denied.iter().any(|denied| subject::covers(denied, subject));
        let mut legs = |subs: Vec<Arc<Sub>>| -> Vec<Leg> {
            subs.into_iter().filter(visible).map(|sub| self.leg(sub, subject)).collect()
        };
        Route {
            plain: legs(found.plain),
            queues: found.queues.into_iter().map(legs).collect(),
            permitted: publisher.permissions.is_none_or(|permissions| permissions.may_publish(subject)),
            subject: subject.into(),
        }
    }

    fn leg(&mut self, sub: Arc<Sub>, subject: &[u8]) -> Leg {
        let (head, dest) = match &sub.target {
            Target::Local(_) => (Box::default(), 0),
            Target::Client(client) => {
                ([b"HMSG ", subject, b" ", &sub.sid, b" "].concat().into(), self.dest(client))
            }
        };
        Leg { sub, head, dest }
    }

    fn dest(&mut self, client: &Arc<Client>) -> usize {
        if self.own.as_ref().is_some_and(|own| own.id == client.id) {
            return 0;
        }
        *self.by_client.entry(client.id).or_insert_with(|| {
            self.dests.push(Dest::new(client));
            self.dests.len() - 1
        })
    }
}

impl Delivery<'_> {
    fn deliver(&mut self, leg: &Leg, message: &Publish<'_>) -> bool {
        if !self.echo && self.is_own(leg) {
            return false;
        }
        let turn = leg.sub.turn();
        if turn == Turn::Skip {
            return false;
        }
        let delivered = match &leg.sub.target {
            Target::Local(receiver) => receiver.receive(Message::new(message)),
            Target::Client(client) => self.gather(client, leg, message),
        };
        if turn == Turn::Last {
            self.finish(&leg.sub);
        }
        delivered
    }

    /// Chooses a member, first among those that keep up.
    fn deliver_to_one(&mut self, members: &[Leg], message: &Publish<'_>, random: usize) -> bool {
        let start = random.checked_rem(members.len()).unwrap_or(0);
        let (later, first) = members.split_at_checked(start).unwrap_or_default();
        let mut turns = first.iter().chain(later);
        turns.clone().any(|leg| leg.keeps_up() && self.deliver(leg, message))
            || turns.any(|leg| !leg.keeps_up() && leg.is_there() && self.deliver(leg, message))
    }

    fn is_own(&self, leg: &Leg) -> bool {
        matches!(&leg.sub.target, Target::Client(client) if Some(client.id) == self.own)
    }

    fn gather(&mut self, client: &Arc<Client>, leg: &Leg, message: &Publish<'_>) -> bool {
        let Some(dest) = self.dests.get_mut(leg.dest) else { return false };
        dest.open(leg.dest, self.touched);
        frame::write(&mut dest.bytes, &leg.head, message, client.headers());
        dest.messages += 1;
        dest.payload += message.payload.len() as u64;
        if let Some(reply) = message.reply {
            client.was_asked(reply);
        }
        if dest.bytes.len() > HAND_OVER {
            return dest.hand_over(self.shared) != Sent::Gone;
        }
        true
    }

    fn finish(&self, sub: &Arc<Sub>) {
        sub.end();
        self.shared.unsubscribe(sub);
        if let Target::Client(client) = &sub.target {
            client.subs.lock().remove(&sub.sid);
        }
    }
}

impl Leg {
    fn is_there(&self) -> bool {
        match &self.sub.target {
            Target::Client(client) => client.ended.get().is_none(),
            Target::Local(_) => true,
        }
    }

    fn keeps_up(&self) -> bool {
        match &self.sub.target {
            Target::Client(client) => self.is_there() && !client.out.is_behind(),
            Target::Local(_) => true,
        }
    }
}

impl Dest {
    fn new(client: &Arc<Client>) -> Self {
        Self { client: Arc::clone(client), bytes: Vec::new(), messages: 0, payload: 0 }
    }

    fn open(&mut self, at: usize, touched: &mut Vec<usize>) {
        if self.bytes.is_empty() {
            touched.push(at);
            if self.bytes.capacity() == 0 {
                self.bytes = pool::take();
            }
        }
    }

    fn hand_over(&mut self, shared: &Shared) -> Sent {
        if self.bytes.is_empty() {
            return Sent::Done;
        }
        let sent = self.client.out.send(&mut self.bytes);
        pool::give(std::mem::take(&mut self.bytes));
        let (messages, payload) = (std::mem::take(&mut self.messages), std::mem::take(&mut self.payload));
        if messages > 0 && sent != Sent::Gone {
            self.client.stats.sent.add(messages, payload);
            self.client.stats.touch();
            shared.stats.sent.add(messages, payload);
        }
        sent
    }
}

impl Shared {
    /// Publishes from within the process. Never waits.
    pub(crate) fn publish(&self, message: &Publish<'_>) {
        let anyone = Publisher { echo: true, permissions: None };
        // Taken when somebody publishes just now, maybe from within a receiver further up on this stack.
        let mut fresh = None;
        let mut kept = self.inside.try_lock();
        let router = match &mut kept {
            Some(kept) => &mut **kept,
            None => fresh.insert(Router::new(None)),
        };
        router.publish(self, anyone, message);
        router.flush(self);
    }
}
