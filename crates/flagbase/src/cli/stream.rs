//! Server-sent events: reading them, and following them across lost connections.

use std::time::Duration;

use serde_json::Value;

use super::client::{Call, Client};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// The type of the event that says so when a stream cannot be resumed where it broke.
const RESET: &str = "flagbase.stream.reset";

/// The type of the event that says so when all that was asked for has come.
const END: &str = "flagbase.stream.end";

/// The longest pause before connecting again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// No event is larger than this; a server that sends one is not ours.
const LARGEST_EVENT: usize = 4 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// Where to resume after it.
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
    kind: Kind,
}

/// What an event is to whoever follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Event,
    /// The place asked for is not in the log any more; what follows begins at its end.
    Reset,
    /// All that was asked for has come.
    End,
}

/// Collects the bytes of a stream into events.
#[derive(Debug, Default)]
struct Parser {
    buffer: Vec<u8>,
    id: Option<String>,
    kind: Kind,
    data: String,
}

impl Parser {
    /// Takes more bytes and returns the events they complete.
    fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            events.extend(self.line(line.trim_end_matches(['\r', '\n'])));
        }
        events
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            let id = self.id.clone();
            let kind = std::mem::take(&mut self.kind);
            let value = serde_json::from_str(&data).unwrap_or_else(|_| Value::from(data.as_str()));
            return (!data.is_empty()).then_some(Event { id, data: value, kind });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => {
                self.kind = match value {
                    RESET => Kind::Reset,
                    END => Kind::End,
                    _ => Kind::Event,
                }
            }
            "id" => self.id = Some(value.to_owned()),
            "data" if self.data.is_empty() => value.clone_into(&mut self.data),
            "data" => {
                self.data.push('\n');
                self.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

/// Calls `each` for every event until it fails or the person ends the command. Connects again, and resumes, when the
/// connection is lost; only a refusal by the server ends it, and the end of what was asked for.
pub(crate) async fn follow<F>(client: &Client, call: Call, mut each: F) -> Outcome
where
    F: AsyncFnMut(Event) -> Outcome,
{
    let mut last: Option<String> = None;
    let mut response = client.open(&call, None).await?;
    let mut pause = Duration::from_secs(1);
    let mut resumed = false;
    loop {
        let mut parser = Parser { id: last.clone(), ..Parser::default() };
        while let Ok(Some(bytes)) = response.chunk().await {
            for event in parser.feed(&bytes) {
                last.clone_from(&event.id);
                pause = Duration::from_secs(1);
                match event.kind {
                    Kind::Event => each(event).await?,
                    Kind::Reset => client.printer.done(&reset(&event.data, resumed)),
                    Kind::End => return Ok(()),
                }
            }
            if parser.buffer.len() + parser.data.len() > LARGEST_EVENT {
                return Err(Failure::plain("the server sent an event without an end"));
            }
        }
        response = reconnect(client, &call, last.as_deref(), &mut pause).await?;
        resumed = true;
    }
}

/// What a place beyond the end of the log means: after a lost connection the log was longer before, else it was asked for.
fn reset(data: &Value, resumed: bool) -> String {
    let end = data.get("head").and_then(Value::as_u64).map(|head| format!("the log ends at {head}"));
    match end {
        Some(end) if !resumed => end,
        end => {
            let end = end.map(|end| format!(": {end}")).unwrap_or_default();
            format!("the server has an older state than before{end}; going on with what is new")
        }
    }
}

async fn reconnect(
    client: &Client,
    call: &Call,
    last: Option<&str>,
    pause: &mut Duration,
) -> Outcome<reqwest::Response> {
    client.printer.done("the connection was lost; connecting again");
    loop {
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        match client.open(call, last).await {
            Ok(response) => return Ok(response),
            Err(failure) if failure.exit() == Exit::Failure => {
                if !client.printer.quiet {
                    output::warn(&failure.to_string());
                }
            }
            Err(failure) => return Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_beyond_the_end_is_explained_by_how_one_got_there() {
        let data = json!({"head": 12, "after": 40});
        assert_eq!(reset(&data, false), "the log ends at 12");
        assert!(reset(&data, true).contains("older state than before: the log ends at 12"));
        assert!(reset(&json!({}), false).contains("older state"));
    }

    #[test]
    fn events_are_found_however_the_bytes_are_cut() {
        let stream =
            b": hello\nid: 7\nevent: flag\ndata: {\"a\":\ndata: 1}\n\nid: 3\nevent: flagbase.stream.reset\n\
            data: {}\n\nid: 8\r\ndata: text\r\n\r\nevent: flagbase.stream.end\ndata: {}\n\n\n";
        let expected = vec![
            Event { id: Some("7".into()), data: json!({"a": 1}), kind: Kind::Event },
            Event { id: Some("3".into()), data: json!({}), kind: Kind::Reset },
            Event { id: Some("8".into()), data: json!("text"), kind: Kind::Event },
            Event { id: Some("8".into()), data: json!({}), kind: Kind::End },
        ];
        for size in 1..stream.len() {
            let mut parser = Parser::default();
            let events: Vec<_> = stream.chunks(size).flat_map(|part| parser.feed(part)).collect();
            assert_eq!(events, expected, "cut into pieces of {size}");
        }
    }
}
