//! Requests below `$JS.API.`.

use serde_json::{Value, json};

use super::{
    engine::Engine,
    error::{Answer, ApiError},
    gets,
    wire::Out,
};
use crate::Message;

/// How answers name their type.
const TYPES: &str = "io.nats.jetstream.api.v1.";

/// The text of an answer.
pub(super) fn body(kind: &str, answer: Answer) -> String {
    let mut body = match answer {
        Ok(body) => body,
        Err(error) => json!({ "error": error.json() }),
    };
    if let Value::Object(fields) = &mut body {
        fields.insert("type".to_owned(), format!("{TYPES}{kind}_response").into());
    }
    body.to_string()
}

impl Engine {
    /// Does what a request asks for.
    pub(super) fn api(&mut self, message: &Message) {
        let tokens: Vec<&str> = message.subject.split('.').skip(2).collect();
        match tokens.as_slice() {
            ["DIRECT", "GET", stream] => self.direct_get(stream, None, message),
            ["DIRECT", "GET", stream, subject @ ..] => {
                self.direct_get(stream, Some(subject.join(".")), message);
            }
            ["CONSUMER", "MSG", "NEXT", stream, consumer] => self.pull(stream, consumer, message),
            ["STREAM", "MSG", "GET", stream] => {
                if let Some(answer) = self.get_message(stream, message) {
                    self.reply(message, gets::GET, answer);
                }
            }
            ["STREAM", rest @ ..] => self.stream_request(rest, message),
            ["CONSUMER", rest @ ..] => self.consumer_request(rest, message),
            ["INFO"] => {
                let answer = Ok(self.account());
                self.reply(message, "account_info", answer);
            }
            _ => self.unknown(message),
        }
    }

    fn stream_request(&mut self, tokens: &[&str], message: &Message) {
        let payload = &message.payload;
        let (kind, answer) = match tokens {
            ["CREATE", name] => ("stream_create", self.create_stream(name, payload)),
            ["UPDATE", name] => ("stream_update", self.update_stream(name, payload)),
            ["INFO", name] => ("stream_info", self.stream_info(name, payload)),
            ["DELETE", name] => ("stream_delete", self.delete_stream(name)),
            ["PURGE", name] => ("stream_purge", self.purge_stream(name, payload)),
            ["MSG", "DELETE", name] => ("stream_msg_delete", self.delete_message(name, payload)),
            ["NAMES"] => ("stream_names", self.stream_names(payload)),
            ["LIST"] => ("stream_list", self.stream_list(payload)),
            _ => return self.unknown(message),
        };
        self.reply(message, kind, answer);
    }

    fn consumer_request(&mut self, tokens: &[&str], message: &Message) {
        let payload = &message.payload;
        let (kind, answer) = match tokens {
            ["CREATE", stream] => ("consumer_create", self.create_consumer(stream, None, None, payload)),
            ["DURABLE", "CREATE", stream, name] | ["CREATE", stream, name] => {
                ("consumer_create", self.create_consumer(stream, Some(name), None, payload))
            }
            ["CREATE", stream, name, filter @ ..] => {
                ("consumer_create", self.create_consumer(stream, Some(name), Some(filter.join(".")), payload))
            }
            ["INFO", stream, name] => ("consumer_info", self.consumer_info(stream, name)),
            ["DELETE", stream, name] => ("consumer_delete", self.delete_consumer(stream, name)),
            ["NAMES", stream] => ("consumer_names", self.consumer_names(stream, payload)),
            ["LIST", stream] => ("consumer_list", self.consumer_list(stream, payload)),
            _ => return self.unknown(message),
        };
        self.reply(message, kind, answer);
    }

    /// Tells that nobody answers there.
    pub(super) fn unknown(&mut self, message: &Message) {
        if let Some(to) = &message.reply {
            self.outbox.answer(Out::status(to, "503", &[]), None);
        }
    }

    /// Answers once what was done is committed.
    fn reply(&mut self, message: &Message, kind: &'static str, answer: Answer) {
        self.requests.0 += 1;
        self.requests.1 += u64::from(answer.is_err());
        if let Some(to) = &message.reply {
            let otherwise = body(kind, Err(ApiError::not_kept()));
            self.outbox.answer(Out::new(to, body(kind, answer)), Some(otherwise.into()));
        }
    }

    fn account(&self) -> Value {
        let consumers: usize = self.streams.values().map(|stream| stream.consumers.len()).sum();
        let used = |in_memory| -> u64 {
            let streams = self.streams.values().filter(|stream| stream.in_memory() == in_memory);
            streams.map(|stream| stream.log.bytes).sum()
        };
        json!({
            "memory": used(true),
            "storage": used(false),
            "reserved_memory": 0,
            "reserved_storage": 0,
            "streams": self.streams.len(),
            "consumers": consumers,
            "limits": {
                "max_memory": -1,
                "max_storage": -1,
                "max_streams": -1,
                "max_consumers": -1,
                "max_ack_pending": -1,
                "memory_max_stream_bytes": -1,
                "storage_max_stream_bytes": -1,
                "max_bytes_required": false,
            },
            "api": { "level": 0, "total": self.requests.0, "errors": self.requests.1 },
        })
    }
}
