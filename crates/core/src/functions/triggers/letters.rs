//! Dead letters: what a function did not take, to be looked at, offered again, or forgotten.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Queued, Triggers, Which};
use crate::{
    caller::Caller,
    catalog::{DocumentId, Kind},
    flags::Asked,
    functions::{Event, Occasion, not_found},
    permissions::Permission,
    refusal::Refusal,
};

/// The longest page.
const MOST: u32 = 100;

impl Triggers {
    /// What a function did not take, newest first, with an id below `before` when given; at most `limit` and a hundred.
    pub async fn dead_letters(
        &self,
        caller: &Caller,
        environment: &str,
        function: &str,
        (before, limit): (Option<u64>, u32),
    ) -> Result<Vec<Queued>, Refusal> {
        let function = self.admit(caller, environment, function, Permission::FunctionRead)?;
        Ok(self.occasions.dead(&function, before, limit.min(MOST)).await?)
    }

    /// Offers dead letters again, from the first attempt on. Returns how many.
    pub async fn replay(&self, asked: Asked<'_>, function: &str, which: Which) -> Result<u64, Refusal> {
        let function = self.admit(asked.caller, asked.environment, function, Permission::FunctionWrite)?;
        let replayed = self.occasions.replay(&function, which, self.feed.clock().now()).await?;
        self.lanes.lock().stir(vec![function.clone()]);
        self.wake.notify_one();
        found(replayed, &function, which)
    }

    /// Forgets dead letters. Returns how many.
    pub async fn forget(&self, asked: Asked<'_>, function: &str, which: Which) -> Result<u64, Refusal> {
        let function = self.admit(asked.caller, asked.environment, function, Permission::FunctionWrite)?;
        let gone = self.occasions.bury(&function, which).await?;
        found(gone, &function, which)
    }

    fn admit(
        &self,
        caller: &Caller,
        environment: &str,
        name: &str,
        permission: Permission,
    ) -> Result<DocumentId, Refusal> {
        let snapshot = self.feed.permitted(caller, environment, permission)?;
        let environment = snapshot.require_environment(environment)?;
        if environment.functions.contains_key(name) {
            return Ok(DocumentId::new(Kind::Function, &environment.definition.key, name));
        }
        let shown: String = name.chars().take(64).collect();
        Err(not_found(environment, &shown))
    }
}

fn found(number: u64, function: &DocumentId, which: Which) -> Result<u64, Refusal> {
    match which {
        Which::One(id) if number == 0 => {
            let message = format!("{function} has no dead letter {id}");
            Err(Refusal::not_found("dead_letter_not_found", message))
        }
        _ => Ok(number),
    }
}

/// A dead letter, as it is shown.
pub fn view(letter: &Queued) -> Value {
    let mut shown = json!({
        "id": letter.id,
        "trigger": letter.trigger,
        "attempts": letter.attempts,
        "tries": letter.tries,
        "created_at": letter.created_at,
        "dead_since": letter.due_at,
        "fault": letter.fault,
    });
    let (member, what) = match &letter.occasion {
        Occasion::Event(event) => ("event", of_event(event)),
        Occasion::Tick { schedule, at } => ("tick", json!({ "schedule": schedule, "at": at })),
    };
    if let Value::Object(members) = &mut shown {
        members.insert(member.to_owned(), what);
    }
    shown
}

fn of_event(event: &Event) -> Value {
    let Event { id, subject, kind, time, content_type, data, .. } = event;
    let mut shown =
        json!({ "id": id, "subject": subject, "type": kind, "time": time, "content_type": content_type });
    let (member, text) = match std::str::from_utf8(data) {
        Ok(text) => ("data", text.to_owned()),
        Err(_) => ("data_base64", STANDARD.encode(data)),
    };
    if let Value::Object(members) = &mut shown {
        members.insert(member.to_owned(), text.into());
    }
    shown
}
