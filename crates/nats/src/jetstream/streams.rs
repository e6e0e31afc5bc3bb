//! Requests about streams.

use serde_json::{Value, json};

use super::{
    config::StreamConfig,
    consumers::drop_consumer,
    engine::Engine,
    error::{Answer, ApiError},
    publish,
    requests::{self, DeleteRequest, InfoRequest, ListRequest, PurgeRequest},
    store::Change,
    stream::Stream,
};
use crate::subject;

/// Elements of one part of a list.
const PAGE: usize = 256;
/// Names of one part of a list of names.
const NAMES: usize = 1024;
/// How long publishers are known by the names of their messages, unless it is said.
const WINDOW: i64 = 120_000_000_000;
/// The shortest time that messages are kept when they are not kept for ever.
const SHORTEST: i64 = 100_000_000;

/// One part of a list.
pub(super) fn page(
    name: &str,
    all: impl ExactSizeIterator<Item = Value>,
    offset: usize,
    limit: usize,
) -> Value {
    let total = all.len();
    let part: Vec<Value> = all.skip(offset).take(limit).collect();
    json!({ "total": total, "offset": offset, "limit": limit, name: part })
}

impl Engine {
    pub(super) fn create_stream(&mut self, name: &str, payload: &[u8]) -> Answer {
        let config = self.checked(name, payload)?;
        let now = self.now;
        if let Some(known) = self.streams.get(name) {
            if known.config == config {
                return Ok(known.info(&InfoRequest::default(), now));
            }
            return Err(ApiError::new(
                400,
                10058,
                "stream name already in use with a different configuration",
            ));
        }
        let stream = Stream::new(config, now);
        let info = stream.info(&InfoRequest::default(), now);
        self.put(stream);
        Ok(info)
    }

    pub(super) fn update_stream(&mut self, name: &str, payload: &[u8]) -> Answer {
        self.stream(name)?;
        let config = self.checked(name, payload)?;
        let Self { streams, outbox, shared, intake, now, .. } = self;
        let stream = streams.get_mut(name).ok_or_else(ApiError::no_stream)?;
        let old = &stream.config;
        let fixed = [
            (old.storage != config.storage, "stream configuration update can not change storage type"),
            (
                old.retention != config.retention,
                "stream configuration update can not change retention policy",
            ),
            (
                old.max_consumers != config.max_consumers,
                "stream configuration update can not change MaxConsumers",
            ),
            (old.sealed && !config.sealed, "stream configuration update can not unseal a sealed stream"),
            (
                old.deny_delete && !config.deny_delete,
                "stream configuration update can not cancel deny message deletes",
            ),
            (old.deny_purge && !config.deny_purge, "stream configuration update can not cancel deny purge"),
        ];
        if let Some((_, text)) = fixed.iter().find(|(broken, _)| *broken) {
            return Err(ApiError::stream_config(*text));
        }
        let moved = old.subjects != config.subjects;
        stream.config = config;
        stream.dirty = true;
        if moved {
            stream.listen(intake, shared);
        }
        let gone = stream.shrink();
        publish::removed(stream, outbox, gone);
        Ok(stream.info(&InfoRequest::default(), *now))
    }

    /// The configuration in a request, with what is usual where nothing is said, if there can be such a stream.
    fn checked(&self, name: &str, payload: &[u8]) -> Result<StreamConfig, ApiError> {
        let mut config: StreamConfig = requests::read(payload)?;
        if config.name != name {
            return Err(ApiError::new(400, 10056, "stream name in subject does not match request"));
        }
        usual(&mut config);
        possible(&config)?;
        let overlaps = |stream: &Stream| {
            let other = &stream.config;
            other.name != name
                && other.subjects.iter().any(|theirs| {
                    config.subjects.iter().any(|ours| subject::overlap(ours.as_bytes(), theirs.as_bytes()))
                })
        };
        if self.streams.values().any(overlaps) {
            return Err(ApiError::new(400, 10065, "subjects overlap with an existing stream"));
        }
        Ok(config)
    }

    pub(super) fn stream_info(&mut self, name: &str, payload: &[u8]) -> Answer {
        let request: InfoRequest = requests::read(payload)?;
        let now = self.now;
        Ok(self.stream(name)?.info(&request, now))
    }

    pub(super) fn delete_stream(&mut self, name: &str) -> Answer {
        let mut stream = self.streams.remove(name).ok_or_else(ApiError::no_stream)?;
        let names: Vec<String> = stream.consumers.keys().cloned().collect();
        for consumer in names {
            drop_consumer(&mut stream, &mut self.outbox, &consumer);
        }
        self.outbox.change(stream.in_memory(), Change::DropStream { name: name.to_owned() });
        Ok(json!({ "success": true }))
    }

    pub(super) fn purge_stream(&mut self, name: &str, payload: &[u8]) -> Answer {
        let request: PurgeRequest = requests::read(payload)?;
        let Self { streams, outbox, .. } = self;
        let stream = streams.get_mut(name).ok_or_else(ApiError::no_stream)?;
        if stream.config.sealed {
            return Err(ApiError::sealed());
        }
        if stream.config.deny_purge {
            return Err(ApiError::new(500, 10110, "stream purge not permitted"));
        }
        if request.keep > 0 && request.seq > 0 {
            return Err(ApiError::bad_request());
        }
        let purged = stream.purged(&request.filter, request.seq, request.keep);
        for sequence in &purged {
            stream.remove(*sequence);
        }
        let count = purged.len();
        publish::removed(stream, outbox, purged);
        Ok(json!({ "success": true, "purged": count }))
    }

    pub(super) fn delete_message(&mut self, name: &str, payload: &[u8]) -> Answer {
        let request: DeleteRequest = requests::read(payload)?;
        let Self { streams, outbox, .. } = self;
        let stream = streams.get_mut(name).ok_or_else(ApiError::no_stream)?;
        if stream.config.sealed {
            return Err(ApiError::sealed());
        }
        if stream.config.deny_delete {
            return Err(ApiError::new(500, 10057, "message delete not permitted"));
        }
        if stream.remove(request.seq).is_none() {
            return Err(ApiError::new(400, 10043, format!("sequence {} not found", request.seq)));
        }
        publish::removed(stream, outbox, vec![request.seq]);
        Ok(json!({ "success": true }))
    }

    pub(super) fn stream_names(&mut self, payload: &[u8]) -> Answer {
        let request: ListRequest = requests::read(payload)?;
        let names: Vec<Value> =
            self.listed(&request).map(|stream| stream.config.name.as_str().into()).collect();
        Ok(page("streams", names.into_iter(), request.offset, NAMES))
    }

    pub(super) fn stream_list(&mut self, payload: &[u8]) -> Answer {
        let request: ListRequest = requests::read(payload)?;
        let listed: Vec<&Stream> = self.listed(&request).collect();
        let shown = listed.into_iter().map(|stream| stream.info(&InfoRequest::default(), self.now));
        Ok(page("streams", shown, request.offset, PAGE))
    }

    fn listed<'a>(&'a self, request: &'a ListRequest) -> impl Iterator<Item = &'a Stream> {
        let wanted = request.subject.as_bytes();
        self.streams.values().filter(move |stream| {
            wanted.is_empty()
                || stream.config.subjects.iter().any(|own| subject::overlap(own.as_bytes(), wanted))
        })
    }
}

/// Fills in what was not said.
fn usual(config: &mut StreamConfig) {
    if config.subjects.is_empty() {
        config.subjects.push(config.name.clone());
    }
    for limit in [
        &mut config.max_consumers,
        &mut config.max_msgs,
        &mut config.max_bytes,
        &mut config.max_msgs_per_subject,
        &mut config.max_msg_size,
    ] {
        if *limit == 0 {
            *limit = -1;
        }
    }
    if config.duplicate_window == 0 {
        config.duplicate_window = if config.max_age > 0 { config.max_age.min(WINDOW) } else { WINDOW };
    }
    if config.num_replicas == 0 {
        config.num_replicas = 1;
    }
    if config.compression.is_empty() {
        "none".clone_into(&mut config.compression);
    }
}

/// Whether there can be such a stream.
fn possible(config: &StreamConfig) -> Result<(), ApiError> {
    let wrong = |text: &str| Err(ApiError::stream_config(text));
    let name = config.name.as_str();
    if name.is_empty()
        || name.contains(|it: char| matches!(it, '.' | '*' | '>' | '/' | '\\') || it.is_whitespace())
    {
        return wrong("stream name is required and can not contain '.', '*', '>' and separators of paths");
    }
    if config.num_replicas > 1 {
        return Err(ApiError::new(500, 10074, "replicas > 1 not supported in non-clustered mode"));
    }
    if config.mirror.is_some() || !config.sources.is_empty() || config.subject_transform.is_some() {
        return wrong("mirrors, sources and subject transforms are not supported by this server");
    }
    if config.max_age < 0 || (config.max_age > 0 && config.max_age < SHORTEST) {
        return wrong("max age needs to be >= 100ms");
    }
    if config.duplicate_window < 0 || (config.max_age > 0 && config.duplicate_window > config.max_age) {
        return wrong("duplicates window can not be larger then max age");
    }
    let own = || config.subjects.iter().map(String::as_bytes).enumerate();
    let again = config.republish.as_ref().map(|again| any_of(&again.dest));
    if again.is_some_and(|to| own().any(|(_, one)| subject::overlap(one, to.as_bytes()))) {
        return wrong("stream configuration for republish destination forms a cycle");
    }
    if config
        .subjects
        .iter()
        .any(|own| !subject::is_pattern(own.as_bytes()) || own.contains(char::is_whitespace))
    {
        return wrong("invalid subject");
    }
    if own().any(|(at, one)| own().any(|(other, theirs)| at < other && subject::overlap(one, theirs))) {
        return wrong("duplicate or overlapping subjects detected");
    }
    if own()
        .any(|(_, one)| [&b"$JS.>"[..], b"$SYS.>", b"_INBOX.>"].iter().any(|it| subject::overlap(one, it)))
    {
        return wrong("subjects overlap with jetstream api, system subjects or inboxes");
    }
    Ok(())
}

/// The pattern of all subjects that a destination with wildcards can become.
fn any_of(destination: &str) -> String {
    let stands_for_one = |token: &str| {
        token.starts_with("{{") || token.strip_prefix('$').is_some_and(|rest| rest.parse::<usize>().is_ok())
    };
    let token = |token| if stands_for_one(token) { "*" } else { token };
    destination.split('.').map(token).collect::<Vec<_>>().join(".")
}
