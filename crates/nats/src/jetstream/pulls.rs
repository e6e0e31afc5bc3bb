//! Pulls: clients ask for so many messages, and the request stands until it is served or too old.

use super::{
    consumer::Consumer, delivery::Planned, engine::Engine, requests::Pull, stream::Stream, wire::Out,
};
use crate::{Message, router::Interest, shared::Shared};

/// Messages planned at once.
const MOST: usize = 256;

/// Pulls among which it is looked for those whose client is gone.
const CROWD: usize = 64;

/// A pull that stands.
pub(super) struct Waiting {
    to: String,
    left: u64,
    /// What it may still take, if that is limited.
    bytes: Option<u64>,
    expires: Option<i64>,
    no_wait: bool,
    heartbeat: i64,
    next_heartbeat: i64,
    served: bool,
}

impl Waiting {
    fn new(to: &str, pull: &Pull, now: i64) -> Self {
        Self {
            to: to.to_owned(),
            left: u64::try_from(pull.batch).unwrap_or(1),
            bytes: u64::try_from(pull.max_bytes).ok().filter(|most| *most > 0),
            expires: (pull.expires > 0).then(|| now.saturating_add(pull.expires)),
            no_wait: pull.no_wait,
            heartbeat: pull.idle_heartbeat,
            next_heartbeat: now.saturating_add(pull.idle_heartbeat),
            served: false,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        let heartbeat = (self.heartbeat > 0).then_some(self.next_heartbeat);
        self.expires.into_iter().chain(heartbeat).min()
    }

    /// Tells that it is over, and what it did not get.
    fn over(&self, status: &str) -> Out {
        let fields = [
            ("Nats-Pending-Messages", self.left.to_string()),
            ("Nats-Pending-Bytes", self.bytes.unwrap_or(0).to_string()),
        ];
        Out::status(&self.to, status, &fields)
    }
}

impl Engine {
    /// `CONSUMER.MSG.NEXT`.
    pub(super) fn pull(&mut self, stream: &str, consumer: &str, message: &Message) {
        let Some(to) = &message.reply else { return };
        let found = self.streams.get_mut(stream).and_then(|stream| stream.consumers.get_mut(consumer));
        let Some(consumer) = found else { return self.unknown(message) };
        if let Err(status) = consumer.ask(to, &message.payload, self.now) {
            self.outbox.answer(Out::status(to, &status, &[]), None);
        }
    }
}

impl Consumer {
    /// Lets a pull wait, or says why it cannot.
    pub(super) fn ask(&mut self, to: &str, payload: &[u8], now: i64) -> Result<(), String> {
        let refused = |text: &str| Err(text.to_owned());
        let Some(pull) = Pull::read(payload) else { return refused("400 Bad Request") };
        let config = &self.config;
        if config.is_push() {
            return refused("409 Consumer is push based");
        }
        if config.max_batch > 0 && pull.batch > config.max_batch {
            return Err(format!("409 Exceeded MaxRequestBatch of {}", config.max_batch));
        }
        if config.max_expires > 0 && pull.expires > config.max_expires {
            let seconds = std::time::Duration::from_nanos(u64::try_from(config.max_expires).unwrap_or(0));
            return Err(format!("409 Exceeded MaxRequestExpires of {seconds:?}"));
        }
        if config.max_bytes > 0 && pull.max_bytes > config.max_bytes {
            return Err(format!("409 Exceeded MaxRequestMaxBytes of {}", config.max_bytes));
        }
        if pull.idle_heartbeat > 0 && pull.expires <= 0 {
            return refused("400 Bad Request - heartbeat requires expires");
        }
        if pull.idle_heartbeat > 0 && pull.idle_heartbeat.saturating_mul(2) > pull.expires {
            return refused("400 Bad Request - heartbeat value too large");
        }
        if config.max_waiting > 0
            && self.waiting.len() as u64 >= u64::try_from(config.max_waiting).unwrap_or(0)
        {
            return refused("409 Exceeded MaxWaiting");
        }
        self.active = now;
        self.waiting.push_back(Waiting::new(to, &pull, now));
        Ok(())
    }

    /// Serves the pulls that stand, as far as there are messages.
    pub(super) fn serve(
        &mut self,
        stream: &str,
        log: &super::log::Log,
        now: i64,
        shared: &Shared,
    ) -> Vec<Planned> {
        let mut planned = Vec::new();
        while planned.len() < MOST && !self.waiting.is_empty() {
            let Some((sequence, entry)) = self.peek(log) else { break };
            let size = entry.size;
            let Some(front) = self.waiting.front_mut() else { break };
            // A client that is too slow is not given more to lose.
            if shared.interest(front.to.as_bytes(), "") == Interest::Nobody {
                self.waiting.pop_front();
                continue;
            }
            if front.bytes.is_some_and(|most| size > most) {
                planned.push(Planned::Status(front.over("409 Message Size Exceeds MaxBytes")));
                self.waiting.pop_front();
                continue;
            }
            front.left -= 1;
            front.bytes = front.bytes.map(|most| most - size);
            front.served = true;
            front.next_heartbeat = now.saturating_add(front.heartbeat);
            let (to, done) = (front.to.clone(), front.left == 0);
            if done {
                self.waiting.pop_front();
            }
            self.active = now;
            let delivery = self.deliver(sequence, now);
            planned.push(self.planned(stream, to, delivery, log));
        }
        if planned.len() < MOST {
            self.dismiss(&mut planned);
        }
        planned
    }

    /// Ends the pulls that do not wait for more.
    fn dismiss(&mut self, planned: &mut Vec<Planned>) {
        self.waiting.retain(|waiting| {
            if !waiting.no_wait || (!waiting.served && waiting.expires.is_some()) {
                return true;
            }
            let out = if waiting.served {
                waiting.over("408 Request Timeout")
            } else {
                Out::status(&waiting.to, "404 No Messages", &[])
            };
            planned.push(Planned::Status(out));
            false
        });
    }

    /// Ends the pulls that are too old, and tells the others that somebody is there.
    pub(super) fn expire_pulls(&mut self, now: i64, shared: &Shared) -> Vec<Out> {
        let (delivered, mut outs) = (self.state.delivered, Vec::new());
        let fields = [
            ("Nats-Last-Consumer", delivered.consumer.to_string()),
            ("Nats-Last-Stream", delivered.stream.to_string()),
        ];
        let before = self.waiting.len();
        if before > CROWD {
            self.waiting.retain(|waiting| shared.interest(waiting.to.as_bytes(), "") != Interest::Nobody);
        }
        self.waiting.retain_mut(|waiting| {
            if waiting.expires.is_some_and(|at| at <= now) {
                outs.push(waiting.over("408 Request Timeout"));
                return false;
            }
            if waiting.heartbeat > 0 && waiting.next_heartbeat <= now {
                waiting.next_heartbeat = now.saturating_add(waiting.heartbeat);
                if shared.interest(waiting.to.as_bytes(), "") == Interest::Nobody {
                    return false;
                }
                outs.push(Out::status(&waiting.to, "100 Idle Heartbeat", &fields));
            }
            true
        });
        if self.waiting.len() < before {
            self.active = now;
        }
        outs
    }

    /// Tells everybody who waits that it is gone.
    pub(super) fn farewell(&mut self) -> Vec<Out> {
        self.waiting.drain(..).map(|waiting| waiting.over("409 Consumer Deleted")).collect()
    }
}

/// Consumers that are asked by nobody need not look.
pub(super) fn has_work(stream: &Stream) -> bool {
    stream.consumers.values().any(|consumer| consumer.config.is_push() || !consumer.waiting.is_empty())
}
