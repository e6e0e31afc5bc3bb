//! Reading single messages, without a consumer.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;

use super::{
    engine::Engine,
    error::{Answer, ApiError},
    requests::{self, GetRequest},
    store::Record,
    stream::Stream,
    wire::{self, Out},
};
use crate::{Headers, Message, subject};

pub(super) const GET: &str = "stream_msg_get";

/// A message that was found and is read once everything so far is committed.
pub(super) struct Get {
    stream: String,
    in_memory: bool,
    sequence: u64,
    to: String,
    /// As a message, not within an answer.
    direct: bool,
}

/// The message that a request names.
fn find(stream: &Stream, request: &GetRequest) -> Option<u64> {
    let log = &stream.log;
    if !request.last_by_subj.is_empty() {
        return log.last_of(&request.last_by_subj);
    }
    if !request.next_by_subj.is_empty() {
        let pattern = request.next_by_subj.as_bytes();
        let mut from = log.from(request.seq.max(1));
        return from
            .find(|(_, entry)| subject::covers(pattern, entry.subject.as_bytes()))
            .map(|(found, _)| found);
    }
    log.get(request.seq).map(|_| request.seq)
}

impl Engine {
    /// `STREAM.MSG.GET`. `None` when the answer follows.
    pub(super) fn get_message(&mut self, name: &str, message: &Message) -> Option<Answer> {
        let request = match requests::read::<GetRequest>(&message.payload) {
            Ok(request) => request,
            Err(error) => return Some(Err(error)),
        };
        let Some(stream) = self.streams.get(name) else { return Some(Err(ApiError::no_stream())) };
        if request.seq == 0 && request.last_by_subj.is_empty() && request.next_by_subj.is_empty() {
            return Some(Err(ApiError::bad_request()));
        }
        let Some(sequence) = find(stream, &request) else { return Some(Err(ApiError::no_message())) };
        let to = message.reply.clone()?;
        let (stream, in_memory) = (name.to_owned(), stream.in_memory());
        self.outbox.gets.push(Get { stream, in_memory, sequence, to, direct: false });
        None
    }

    /// `DIRECT.GET`, with the subject whose last message is wanted behind it or not.
    pub(super) fn direct_get(&mut self, name: &str, last: Option<String>, message: &Message) {
        let Some(to) = message.reply.clone() else { return };
        let stream = self.streams.get(name).filter(|stream| stream.config.allow_direct);
        let Some(stream) = stream else { return self.outbox.answer(Out::status(&to, "503", &[]), None) };
        let request = match last {
            Some(last_by_subj) => Ok(GetRequest { last_by_subj, ..GetRequest::default() }),
            None => requests::read::<GetRequest>(&message.payload),
        };
        let empty = |it: &GetRequest| it.seq == 0 && it.last_by_subj.is_empty() && it.next_by_subj.is_empty();
        let request = match request {
            Err(_) => return self.outbox.answer(Out::status(&to, "408 Bad Request", &[]), None),
            Ok(request) if empty(&request) => {
                return self.outbox.answer(Out::status(&to, "408 Empty Request", &[]), None);
            }
            Ok(request) => request,
        };
        match find(stream, &request) {
            Some(sequence) => {
                let (stream, in_memory) = (name.to_owned(), stream.in_memory());
                self.outbox.gets.push(Get { stream, in_memory, sequence, to, direct: true });
            }
            None => self.outbox.answer(Out::status(&to, "404 Message Not Found", &[]), None),
        }
    }

    /// Reads and answers.
    pub(super) async fn get(&mut self, get: &Get) {
        let read = self.store(get.in_memory).read(&get.stream, &[get.sequence]).await;
        let record = read.unwrap_or_else(|error| {
            tracing::error!(%error, stream = get.stream, "a message cannot be read");
            Vec::new()
        });
        let out = match (record.into_iter().next(), get.direct) {
            (Some(record), true) => direct(&get.to, &get.stream, record),
            (Some(record), false) => {
                Out::new(&get.to, super::api::body(GET, Ok(json!({ "message": shown(&record) }))))
            }
            (None, true) => Out::status(&get.to, "404 Message Not Found", &[]),
            (None, false) => Out::new(&get.to, super::api::body(GET, Err(ApiError::no_message()))),
        };
        self.turn = self.turn.wrapping_add(1);
        out.send(&self.shared, self.turn);
    }
}

fn shown(record: &Record) -> serde_json::Value {
    let mut shown =
        json!({ "subject": record.subject, "seq": record.sequence, "time": wire::time(record.time) });
    if let Some(fields) = shown.as_object_mut() {
        for (name, bytes) in [("hdrs", &record.headers), ("data", &record.payload)] {
            if !bytes.is_empty() {
                fields.insert(name.to_owned(), BASE64_STANDARD.encode(bytes).into());
            }
        }
    }
    shown
}

fn direct(to: &str, stream: &str, record: Record) -> Out {
    let fields = [
        ("Nats-Stream", stream.to_owned()),
        ("Nats-Subject", record.subject.clone()),
        ("Nats-Sequence", record.sequence.to_string()),
        ("Nats-Time-Stamp", wire::time(record.time)),
    ];
    let known = Headers::decode(&record.headers).unwrap_or_default();
    let headers = wire::with_fields(&known, &fields);
    Out { to: to.to_owned(), headers, payload: record.payload, ..Out::default() }
}
