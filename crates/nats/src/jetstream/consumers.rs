//! Requests about consumers.

use serde_json::{Value, json};

use super::{
    config::{AckPolicy, ConsumerConfig, DeliverPolicy, Retention},
    consumer::Consumer,
    engine::{Engine, Outbox},
    error::{Answer, ApiError},
    requests::{self, CreateConsumer, ListRequest},
    store::Change,
    stream::{Stream, limit},
    streams::page,
};
use crate::{ambient, subject};

/// Elements of one part of a list.
const PAGE: usize = 256;
const NAMES: usize = 1024;
const ACK_WAIT: i64 = 30_000_000_000;
const MAX_ACK_PENDING: i64 = 1000;
const MAX_WAITING: i64 = 512;
/// How long a consumer that is not durable outlives whoever reads it.
const PATIENCE: i64 = 5_000_000_000;
const SHORTEST_HEARTBEAT: i64 = 100_000_000;

/// Ends a consumer.
pub(super) fn drop_consumer(stream: &mut Stream, outbox: &mut Outbox, name: &str) -> bool {
    let Some(mut consumer) = stream.consumers.remove(name) else { return false };
    for out in consumer.farewell() {
        outbox.answer(out, None);
    }
    if consumer.is_kept() {
        let stream_name = stream.config.name.clone();
        outbox
            .change(stream.in_memory(), Change::DropConsumer { stream: stream_name, name: name.to_owned() });
    }
    if stream.config.retention == Retention::Interest {
        let all: Vec<u64> = stream.log.from(0).map(|(sequence, _)| sequence).collect();
        let mut gone = all;
        gone.retain(|sequence| !stream.still_wanted(*sequence) && stream.remove(*sequence).is_some());
        super::publish::removed(stream, outbox, gone);
    }
    true
}

impl Engine {
    pub(super) fn create_consumer(
        &mut self,
        stream: &str,
        name: Option<&str>,
        filter: Option<String>,
        payload: &[u8],
    ) -> Answer {
        let request: CreateConsumer = requests::read(payload)?;
        let Self { streams, shared, now, .. } = self;
        let stream = streams.get_mut(stream).ok_or_else(ApiError::no_stream)?;
        let stream_name = stream.config.name.clone();
        if request.stream_name != stream_name {
            return Err(ApiError::new(400, 10056, "stream name in subject does not match request"));
        }
        let mut config = request.config;
        if filter.is_some_and(|filter| filter != config.filter_subject) {
            let text = "Consumer create request did not match filtered subject from create subject";
            return Err(ApiError::new(400, 10131, text));
        }
        let name = named(&config, name)?;
        usual(&mut config, stream);
        possible(&config, stream)?;
        if let Some(known) = stream.consumers.get_mut(&name) {
            if known.config == config {
                return Ok(known.info(&stream_name, *now, shared));
            }
            if request.action == "create" {
                return Err(ApiError::new(400, 10148, "consumer already exists"));
            }
            changeable(&known.config, &config)?;
            let state = known.state.clone();
            let mut changed = Consumer::new(&name, config, &stream.log, known.created);
            changed.keep(state, std::mem::take(&mut known.waiting), &stream.log, *now);
            let info = changed.info(&stream_name, *now, shared);
            stream.consumers.insert(name, changed);
            return Ok(info);
        }
        if request.action == "update" {
            return Err(ApiError::new(400, 10149, "consumer does not exist"));
        }
        room(&config, stream)?;
        let consumer = Consumer::new(&name, config, &stream.log, *now);
        let info = consumer.info(&stream_name, *now, shared);
        stream.consumers.insert(name, consumer);
        Ok(info)
    }

    pub(super) fn consumer_info(&mut self, stream: &str, name: &str) -> Answer {
        let Self { streams, shared, now, .. } = self;
        let stream = streams.get(stream).ok_or_else(ApiError::no_stream)?;
        let consumer = stream.consumers.get(name).ok_or_else(ApiError::no_consumer)?;
        Ok(consumer.info(&stream.config.name, *now, shared))
    }

    pub(super) fn delete_consumer(&mut self, stream: &str, name: &str) -> Answer {
        let Self { streams, outbox, .. } = self;
        let stream = streams.get_mut(stream).ok_or_else(ApiError::no_stream)?;
        if !drop_consumer(stream, outbox, name) {
            return Err(ApiError::no_consumer());
        }
        Ok(json!({ "success": true }))
    }

    pub(super) fn consumer_names(&mut self, stream: &str, payload: &[u8]) -> Answer {
        let request: ListRequest = requests::read(payload)?;
        let names = self.stream(stream)?.consumers.keys().map(|name| Value::from(name.as_str()));
        Ok(page("consumers", names, request.offset, NAMES))
    }

    pub(super) fn consumer_list(&mut self, stream: &str, payload: &[u8]) -> Answer {
        let request: ListRequest = requests::read(payload)?;
        let Self { streams, shared, now, .. } = self;
        let stream = streams.get(stream).ok_or_else(ApiError::no_stream)?;
        let shown =
            stream.consumers.values().map(|consumer| consumer.info(&stream.config.name, *now, shared));
        Ok(page("consumers", shown, request.offset, PAGE))
    }
}

/// The name that a request gives it, or one of ours.
fn named(config: &ConsumerConfig, asked: Option<&str>) -> Result<String, ApiError> {
    let given = [asked.unwrap_or_default(), &config.durable_name, &config.name];
    let mut given = given.into_iter().filter(|name| !name.is_empty());
    let Some(name) = given.next() else { return Ok(ambient::identifier('C', 8)) };
    if given.any(|other| other != name) {
        return Err(ApiError::new(
            400,
            10017,
            "consumer name in subject does not match durable name in request",
        ));
    }
    if name.contains(|it: char| matches!(it, '.' | '*' | '>' | '/' | '\\') || it.is_whitespace()) {
        return Err(ApiError::new(400, 10103, "durable name can not contain '.', '*', '>'"));
    }
    Ok(name.to_owned())
}

/// Fills in what was not said.
fn usual(config: &mut ConsumerConfig, stream: &Stream) {
    if config.ack_policy != AckPolicy::None {
        if config.ack_wait == 0 {
            config.ack_wait = config.backoff.first().copied().unwrap_or(ACK_WAIT);
        }
        if config.max_ack_pending == 0 {
            config.max_ack_pending = MAX_ACK_PENDING;
        }
    }
    if config.max_deliver == 0 {
        config.max_deliver = -1;
    }
    if config.max_waiting == 0 && !config.is_push() {
        config.max_waiting = MAX_WAITING;
    }
    if !config.is_durable() && config.inactive_threshold == 0 {
        config.inactive_threshold = PATIENCE;
    }
    config.mem_storage |= stream.in_memory() && !config.is_durable();
}

/// Whether there can be such a consumer.
fn possible(config: &ConsumerConfig, stream: &Stream) -> Result<(), ApiError> {
    let wrong = |text: &str| Err(ApiError::consumer_config(text));
    if !config.priority_policy.is_empty() && config.priority_policy != "none" {
        return wrong("priority policies are not supported by this server");
    }
    if config.pause_until.is_some() {
        return wrong("consumers cannot be paused on this server");
    }
    if limit(config.max_deliver).is_some_and(|most| most < config.backoff.len() as u64) {
        return Err(ApiError::new(400, 10116, "max deliver is required to be > length of backoff values"));
    }
    filters(config)?;
    start(config)?;
    if config.is_push() { pushed(config, stream) } else { pulled(config, stream) }
}

fn filters(config: &ConsumerConfig) -> Result<(), ApiError> {
    if !config.filter_subject.is_empty() && !config.filter_subjects.is_empty() {
        let text = "consumer cannot have both FilterSubject and FilterSubjects specified";
        return Err(ApiError::new(400, 10136, text));
    }
    if config.filter_subjects.iter().any(String::is_empty) {
        return Err(ApiError::new(400, 10139, "consumer filter in FilterSubjects cannot be empty"));
    }
    let all: Vec<&[u8]> = config.filters().map(str::as_bytes).collect();
    if !all.iter().all(|filter| subject::is_pattern(filter)) {
        let text = "consumer filter subject is not a valid subset of the interest subjects";
        return Err(ApiError::new(400, 10093, text));
    }
    let mut rest = all.as_slice();
    while let [one, others @ ..] = rest {
        if others.iter().any(|other| subject::overlap(one, other)) {
            return Err(ApiError::new(400, 10138, "consumer subject filters cannot overlap"));
        }
        rest = others;
    }
    Ok(())
}

fn start(config: &ConsumerConfig) -> Result<(), ApiError> {
    let wrong = |text: &str| Err(ApiError::new(400, 10094, text));
    let by = config.deliver_policy;
    let (sequence, time) = (config.opt_start_seq > 0, config.opt_start_time.is_some());
    match by {
        DeliverPolicy::ByStartSequence if !sequence => wrong(
            "consumer delivery policy is deliver by start sequence, but optional start sequence is not set",
        ),
        DeliverPolicy::ByStartTime if !time => {
            wrong("consumer delivery policy is deliver by start time, but optional start time is not set")
        }
        DeliverPolicy::LastPerSubject if config.filters().next().is_none() => {
            wrong("consumer delivery policy is deliver last per subject, but FilterSubject is not set")
        }
        _ if sequence && by != DeliverPolicy::ByStartSequence => {
            wrong("consumer delivery policy does not take a start sequence")
        }
        _ if time && by != DeliverPolicy::ByStartTime => {
            wrong("consumer delivery policy does not take a start time")
        }
        _ => Ok(()),
    }
}

fn pushed(config: &ConsumerConfig, stream: &Stream) -> Result<(), ApiError> {
    let to = config.deliver_subject.as_bytes();
    if !subject::is_literal(to) || config.deliver_subject.contains(char::is_whitespace) {
        return Err(ApiError::new(400, 10079, "consumer deliver subject has wildcards"));
    }
    if [&b"$JS.>"[..], b"$SYS.>"].iter().any(|own| subject::covers(own, to)) {
        return Err(ApiError::new(400, 10112, "invalid push consumer deliver subject"));
    }
    if stream.config.subjects.iter().any(|own| subject::covers(own.as_bytes(), to)) {
        return Err(ApiError::new(400, 10081, "consumer deliver subject forms a cycle"));
    }
    if config.max_waiting > 0 {
        return Err(ApiError::new(400, 10080, "consumer in push mode can not set max waiting"));
    }
    if config.idle_heartbeat != 0 && config.idle_heartbeat < SHORTEST_HEARTBEAT {
        return Err(ApiError::new(400, 10083, "consumer idle heartbeat needs to be >= 100ms"));
    }
    if config.flow_control && config.idle_heartbeat == 0 {
        return Err(ApiError::new(400, 10108, "consumer with flow control also needs heartbeats"));
    }
    Ok(())
}

fn pulled(config: &ConsumerConfig, stream: &Stream) -> Result<(), ApiError> {
    let refused = |number, text: &str| Err(ApiError::new(400, number, text));
    if config.idle_heartbeat > 0 {
        return refused(10088, "consumer idle heartbeat requires a push based consumer");
    }
    if config.flow_control {
        return refused(10089, "consumer flow control requires a push based consumer");
    }
    if config.rate_limit_bps > 0 {
        return refused(10086, "consumer in pull mode can not have rate limit set");
    }
    if stream.config.retention == Retention::WorkQueue && config.ack_policy != AckPolicy::Explicit {
        return refused(10084, "consumer in pull mode requires explicit ack policy on workqueue stream");
    }
    Ok(())
}

/// Whether the stream takes one more consumer, and this one.
fn room(config: &ConsumerConfig, stream: &Stream) -> Result<(), ApiError> {
    let refused = |number, text: &str| Err(ApiError::new(400, number, text));
    if limit(stream.config.max_consumers).is_some_and(|most| stream.consumers.len() as u64 >= most) {
        return refused(10026, "maximum consumers limit reached");
    }
    if stream.config.retention != Retention::WorkQueue {
        return Ok(());
    }
    if config.ack_policy != AckPolicy::Explicit {
        return refused(10098, "workqueue stream requires explicit ack");
    }
    if config.deliver_policy != DeliverPolicy::All {
        return refused(10101, "consumer must be deliver all on workqueue stream");
    }
    let everything = config.filters().next().is_none();
    for other in stream.consumers.values() {
        if everything || other.config.filters().next().is_none() {
            return refused(10099, "multiple non-filtered consumers not allowed on workqueue stream");
        }
        let overlaps =
            |own: &str| other.config.filters().any(|it| subject::overlap(own.as_bytes(), it.as_bytes()));
        if config.filters().any(overlaps) {
            return refused(10100, "filtered consumer not unique on workqueue stream");
        }
    }
    Ok(())
}

/// Whether a consumer can become this one.
fn changeable(old: &ConsumerConfig, new: &ConsumerConfig) -> Result<(), ApiError> {
    let fixed = [
        (old.deliver_policy != new.deliver_policy, "deliver policy can not be updated"),
        (old.opt_start_seq != new.opt_start_seq, "start sequence can not be updated"),
        (old.opt_start_time != new.opt_start_time, "start time can not be updated"),
        (old.ack_policy != new.ack_policy, "ack policy can not be updated"),
        (old.replay_policy != new.replay_policy, "replay policy can not be updated"),
        (old.flow_control != new.flow_control, "flow control can not be updated"),
        (old.idle_heartbeat != new.idle_heartbeat, "heartbeats can not be updated"),
        (old.is_push() != new.is_push(), "can not update pull consumer to push based"),
        (old.max_waiting != new.max_waiting, "max waiting can not be updated"),
    ];
    match fixed.iter().find(|(broken, _)| *broken) {
        Some((_, text)) => Err(ApiError::consumer_config(*text)),
        None => Ok(()),
    }
}
