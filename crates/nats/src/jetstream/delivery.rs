//! From what a consumer is to be given to messages on the wire.

use std::collections::HashMap;

use bytes::Bytes;

use super::{
    config::{AckPolicy, ConsumerConfig, Retention},
    consumer::{Consumer, Delivery},
    engine::Engine,
    log::Log,
    publish, pulls,
    store::Record,
    wire::{self, Out},
};
use crate::{Headers, Message, ambient, router::Interest, shared::Shared};

/// Messages planned at once for one who does not ask.
const MOST: usize = 256;
/// Bytes that are sent to one who controls the flow before he has confirmed any.
const WINDOW: u64 = 256 * 1024;
/// How long a subscriber that is behind gets nothing.
const REST: i64 = 10_000_000;

/// What is to be sent.
pub(super) enum Planned {
    Message { to: String, reply: String, sequence: u64 },
    Status(Out),
}

/// How much whoever does not ask may be sent.
pub(super) struct Flow {
    /// When something was sent last.
    sent_at: i64,
    /// Bytes sent that were not confirmed.
    open: u64,
    /// The question that is open, and how much was sent before it.
    asked: Option<(String, u64)>,
    /// Until when the subscriber is left alone.
    rest: Option<i64>,
}

impl Flow {
    pub(super) fn new(now: i64) -> Self {
        Self { sent_at: now, open: 0, asked: None, rest: None }
    }
}

impl Engine {
    /// Sends every consumer what it is to be given.
    pub(super) async fn deliver(&mut self) {
        self.busy = false;
        let names: Vec<String> = self
            .streams
            .iter()
            .filter(|(_, stream)| pulls::has_work(stream))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            let consumers: Vec<String> = self
                .streams
                .get(&name)
                .map(|stream| stream.consumers.keys().cloned().collect())
                .unwrap_or_default();
            for consumer in consumers {
                self.deliver_to(&name, &consumer).await;
            }
        }
    }

    async fn deliver_to(&mut self, name: &str, consumer: &str) {
        let Self { streams, shared, now, .. } = self;
        let Some(stream) = streams.get_mut(name) else { return };
        let in_memory = stream.in_memory();
        let Some(consumer) = stream.consumers.get_mut(consumer) else { return };
        let planned = if consumer.config.is_push() {
            consumer.push(name, &stream.log, *now, shared)
        } else {
            consumer.serve(name, &stream.log, *now, shared)
        };
        if planned.is_empty() {
            return;
        }
        self.busy |= planned.len() >= MOST;
        let headers_only = consumer.config.headers_only;
        let done =
            consumer.config.ack_policy == AckPolicy::None && stream.config.retention != Retention::Limits;
        if consumer.is_unsaved() {
            self.unsaved.get_or_insert(*now);
        }
        let wanted: Vec<u64> = planned.iter().filter_map(Planned::sequence).collect();
        let mut records = self.records(name, in_memory, &wanted).await;
        for planned in planned {
            let out = match planned {
                Planned::Status(out) => Some(out),
                Planned::Message { to, reply, sequence } => {
                    records.remove(&sequence).map(|record| message(to, reply, record, headers_only))
                }
            };
            if let Some(out) = out {
                self.turn = self.turn.wrapping_add(1);
                out.send(&self.shared, self.turn);
            }
        }
        if done {
            self.release(name, wanted);
        }
    }

    async fn records(&self, name: &str, in_memory: bool, wanted: &[u64]) -> HashMap<u64, Record> {
        if wanted.is_empty() {
            return HashMap::new();
        }
        match self.store(in_memory).read(name, wanted).await {
            Ok(records) => records.into_iter().map(|record| (record.sequence, record)).collect(),
            Err(error) => {
                tracing::error!(%error, stream = name, "messages cannot be read");
                HashMap::new()
            }
        }
    }

    /// Lets go of messages that nobody waits for any more.
    pub(super) fn release(&mut self, name: &str, sequences: Vec<u64>) {
        let Self { streams, outbox, .. } = self;
        let Some(stream) = streams.get_mut(name) else { return };
        let mut gone = sequences;
        gone.retain(|sequence| !stream.still_wanted(*sequence) && stream.remove(*sequence).is_some());
        publish::removed(stream, outbox, gone);
    }

    /// Takes the answer to a question about the flow.
    pub(super) fn flowed(&mut self, message: &Message) {
        let mut tokens = message.subject.split('.').skip(2);
        let (Some(stream), Some(consumer), Some(_)) = (tokens.next(), tokens.next(), tokens.next()) else {
            return;
        };
        let found = self.streams.get_mut(stream).and_then(|stream| stream.consumers.get_mut(consumer));
        if let Some(consumer) = found
            && let Some((_, before)) = consumer.flow.asked.take_if(|(asked, _)| *asked == message.subject)
        {
            consumer.flow.open = consumer.flow.open.saturating_sub(before);
        }
    }
}

impl Planned {
    fn sequence(&self) -> Option<u64> {
        match self {
            Self::Message { sequence, .. } => Some(*sequence),
            Self::Status(_) => None,
        }
    }
}

impl Consumer {
    /// A message, with where to acknowledge it.
    pub(super) fn planned(&self, stream: &str, to: String, delivery: Delivery, log: &Log) -> Planned {
        let Delivery { sequence, consumer, count } = delivery;
        let (name, unread) = (&self.name, self.unread);
        let time = log.get(sequence).map_or(0, |entry| entry.time);
        let reply = format!("$JS.ACK.{stream}.{name}.{count}.{sequence}.{consumer}.{time}.{unread}");
        Planned::Message { to, reply, sequence }
    }

    /// Sends what there is to whoever listens.
    fn push(&mut self, stream: &str, log: &Log, now: i64, shared: &Shared) -> Vec<Planned> {
        let mut planned = Vec::new();
        let ConsumerConfig { deliver_subject, deliver_group, flow_control, .. } = self.config.clone();
        if self.flow.rest.take_if(|until| *until <= now).is_none() && self.flow.rest.is_some() {
            return planned;
        }
        while planned.len() < MOST && !(flow_control && self.flow.open >= WINDOW) {
            let Some((sequence, entry)) = self.peek(log) else { break };
            let size = entry.size;
            match shared.interest(deliver_subject.as_bytes(), &deliver_group) {
                Interest::Ready => {}
                Interest::Nobody => {
                    // Whoever comes back has not seen what was sent before.
                    (self.flow.open, self.flow.asked) = (0, None);
                    break;
                }
                Interest::Behind => {
                    self.flow.rest = Some(now.saturating_add(REST));
                    break;
                }
            }
            let delivery = self.deliver(sequence, now);
            planned.push(self.planned(stream, deliver_subject.clone(), delivery, log));
            self.flow.sent_at = now;
            if flow_control {
                self.flow.open += size;
                planned.extend(self.ask_flow(stream, &deliver_subject));
            }
        }
        planned
    }

    /// Asks for a confirmation when half of the window is used.
    fn ask_flow(&mut self, stream: &str, to: &str) -> Option<Planned> {
        if self.flow.asked.is_some() || self.flow.open < WINDOW / 2 {
            return None;
        }
        let question = format!("$JS.FC.{stream}.{}.{}", self.name, ambient::identifier('F', 8));
        self.flow.asked = Some((question.clone(), self.flow.open));
        let mut out = Out::status(to, "100 FlowControl Request", &[]);
        out.reply = Some(question);
        Some(Planned::Status(out))
    }

    pub(super) fn next_beat(&self) -> Option<i64> {
        let beat = (self.config.is_push() && self.config.idle_heartbeat > 0)
            .then(|| self.flow.sent_at.saturating_add(self.config.idle_heartbeat));
        beat.into_iter().chain(self.flow.rest).min()
    }

    /// Tells a subscriber that has heard nothing for long that somebody is there.
    pub(super) fn beat(&mut self, now: i64, shared: &Shared) -> Vec<Out> {
        let ConsumerConfig { deliver_subject, deliver_group, idle_heartbeat, .. } = &self.config;
        if *idle_heartbeat <= 0 || now < self.flow.sent_at.saturating_add(*idle_heartbeat) {
            return Vec::new();
        }
        self.flow.sent_at = now;
        if shared.interest(deliver_subject.as_bytes(), deliver_group) == Interest::Nobody {
            return Vec::new();
        }
        let mut fields = vec![
            ("Nats-Last-Consumer", self.state.delivered.consumer.to_string()),
            ("Nats-Last-Stream", self.state.delivered.stream.to_string()),
        ];
        fields.extend(
            self.flow.asked.as_ref().map(|(question, _)| ("Nats-Consumer-Stalled", question.clone())),
        );
        vec![Out::status(deliver_subject, "100 Idle Heartbeat", &fields)]
    }
}

fn message(to: String, reply: String, record: Record, headers_only: bool) -> Out {
    let (mut headers, mut payload) = (record.headers, record.payload);
    if headers_only {
        let known = Headers::decode(&headers).unwrap_or_default();
        headers = wire::with_fields(&known, &[("Nats-Msg-Size", payload.len().to_string())]);
        payload = Bytes::new();
    }
    Out { to, subject: Some(record.subject), reply: Some(reply), headers, payload }
}
