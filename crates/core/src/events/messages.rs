//! Messages of programs: what people and their software say to each other on a bus of ours. Nothing of it is kept.

use std::{any::Any, sync::Arc};

use bytes::Bytes;

use super::{Events, subject};
use crate::{
    caller::Caller,
    permissions::Permission,
    refusal::{Class, Refusal},
};

const EXPECTED: &str =
    "expected words with dots between them, such as `orders.created`: no wildcards, no blanks";

/// Why a message did not go out.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It is larger than the bus takes: so many bytes.
    #[error("the message is larger than {0} bytes")]
    TooLarge(usize),
    /// It cannot be published there: words with dots between them, no wildcards.
    #[error("`{0}` is no subject")]
    Subject(String),
}

/// A message, as it was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Where it was sent to.
    pub subject: String,
    /// What its sender called it, to tell it from others (`Nats-Msg-Id`).
    pub id: Option<String>,
    /// What its sender said of its form (`Content-Type`); may be empty.
    pub content_type: String,
    /// The message itself.
    pub payload: Bytes,
}

/// Is called for each message, by whoever sent it: it must not wait. Says whether it took the message.
pub type Hear = Arc<dyn Fn(Heard) -> bool + Send + Sync>;

/// Listens for as long as it is held.
pub type Listening = Box<dyn Any + Send + Sync>;

/// Carries messages to whoever is connected to this node now.
pub trait Messages: Send + Sync {
    /// Hands a message over, without waiting for anybody.
    fn send(&self, subject: &str, payload: Vec<u8>) -> Result<(), MessageError>;

    /// Calls `hear` for each message on a subject that `pattern` (with the wildcards of NATS) matches, until what this
    /// returns is dropped. A bus that can only be spoken to hears nothing.
    fn listen(&self, pattern: &str, hear: Hear) -> Result<Listening, MessageError> {
        let _ = (pattern, hear);
        Ok(Box::new(()))
    }
}

impl Events {
    /// Sends a message on `subject` to whoever listens on the embedded bus now. What Flagbase itself says, and what the
    /// bus says about itself, is for nobody else to say.
    pub fn send(&self, caller: &Caller, to: &str, payload: Vec<u8>) -> Result<(), Refusal> {
        self.may_use(caller)?;
        if !subject::is_valid(to) {
            let message =
                "expected words with dots between them, such as `orders.created`: no wildcards, no blanks";
            return Err(Refusal::fault("/subject", message));
        }
        let first = to.split('.').next().unwrap_or_default();
        if first == subject::ROOT || first.starts_with('$') {
            let message = format!("`{first}.` is not for messages of programs; choose another first word");
            return Err(Refusal::new(Class::Forbidden, "reserved_subject", message));
        }
        let Some(bus) = &self.messages else {
            let message = "the embedded bus is switched off here; set `events.embedded: true`, or publish to the bus \
                           that you use instead";
            return Err(Refusal::new(Class::Conflict, "no_embedded_bus", message));
        };
        bus.send(to, payload).map_err(|error| match error {
            MessageError::TooLarge(most) => {
                let message = format!("the message is larger than {most} bytes; send less at once");
                Refusal::new(Class::Malformed, "body_too_large", message)
            }
            MessageError::Subject(_) => Refusal::fault("/subject", EXPECTED),
        })
    }

    fn may_use(&self, caller: &Caller) -> Result<(), Refusal> {
        caller.require_somebody()?;
        let snapshot = self.feed.snapshots().load();
        let allowed = snapshot
            .environments()
            .any(|environment| caller.permissions(&snapshot, environment).allow(Permission::BusUse));
        if allowed {
            return Ok(());
        }
        let message = "you may not use the bus; ask an administrator for a role that permits `bus.use`, or make an API \
                       key that has it";
        Err(Refusal::new(Class::Forbidden, "forbidden", message))
    }
}
