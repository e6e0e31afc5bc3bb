//! What starts a function besides requests.

use std::str::FromStr as _;

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use crate::{events::Pattern, gateway::Reader};

/// Attempts of a delivery, when a trigger does not say.
const ATTEMPTS: u32 = 5;

/// Attempts of a delivery, at most.
const MOST_ATTEMPTS: u32 = 100;

/// The shortest names and the longest are those of functions.
const LONGEST_NAME: usize = 63;

/// Something that starts a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Unique within the function.
    pub name: String,
    /// What starts it.
    pub on: On,
}

/// What starts a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// Moments.
    Schedule {
        /// Five fields, as cron: minute, hour, day of the month, month, day of the week.
        schedule: String,
        /// A name of the IANA time zone database.
        timezone: String,
    },
    /// Events and messages on the bus.
    Subject {
        /// With the wildcards of NATS.
        subject: String,
        /// How often an event is offered before it is laid aside.
        attempts: u32,
    },
    /// What happens to objects.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// Only keys that begin so; empty: all.
        prefix: String,
        /// `created`, `deleted`; empty: both.
        events: Vec<String>,
        /// How often an event is offered before it is laid aside.
        attempts: u32,
    },
}

impl On {
    /// The first moment of the schedule after `after`; none for what is no schedule, and when there is none.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let Self::Schedule { schedule, timezone } = self else { return None };
        let zone = TimeZone::get(timezone).ok()?;
        let next = cron(schedule).ok()?.find_next_occurrence(&after.to_zoned(zone), false).ok()?;
        Some(next.timestamp())
    }
}

impl Trigger {
    /// As people write it.
    pub(super) fn to_json(&self) -> Value {
        let mut body = match &self.on {
            On::Schedule { schedule, timezone } => json!({"schedule": schedule, "timezone": timezone}),
            On::Subject { subject, attempts } => json!({"subject": subject, "attempts": attempts}),
            On::Bucket { bucket, prefix, events, attempts } => {
                json!({"bucket": bucket, "prefix": prefix, "events": events, "attempts": attempts})
            }
        };
        if let Some(members) = body.as_object_mut() {
            members.insert("name".to_owned(), self.name.as_str().into());
        }
        body
    }

    /// Reads one; `None` when there is something wrong with it, which is noted.
    pub(super) fn read(reader: &mut Reader, pointer: &str, value: &Value) -> Option<Self> {
        let members = reader.object(pointer, value)?;
        let name = reader.text(members, pointer, "name", LONGEST_NAME).unwrap_or_default();
        if !super::read::is_name(&name) {
            let message = "give it a name: 1 to 63 lower-case letters, digits and `-`";
            reader.fault(format!("{pointer}/name"), message);
        }
        let kinds = ["schedule", "subject", "bucket"];
        let given: Vec<_> = kinds.into_iter().filter(|kind| members.contains_key(*kind)).collect();
        let on = match given.as_slice() {
            ["schedule"] => schedule(reader, pointer, members),
            ["subject"] => subject(reader, pointer, members),
            ["bucket"] => bucket(reader, pointer, members),
            _ => {
                reader.fault(pointer, "a trigger has one of `schedule`, `subject` and `bucket`");
                None
            }
        };
        on.map(|on| Self { name, on })
    }
}

fn schedule(reader: &mut Reader, pointer: &str, members: &Map<String, Value>) -> Option<On> {
    reader.known(pointer, members, &["name", "schedule", "timezone"]);
    let schedule = reader.text(members, pointer, "schedule", 200)?;
    if let Err(error) = cron(&schedule) {
        let message = format!(
            "`{schedule}` is no schedule ({error}); write five fields as cron does, such as `0 3 * * *` for every day at three"
        );
        reader.fault(format!("{pointer}/schedule"), message);
    }
    let timezone = reader.text(members, pointer, "timezone", 100).unwrap_or_else(|| "UTC".to_owned());
    if TimeZone::get(&timezone).is_err() {
        let message = format!("`{timezone}` is no time zone; write `UTC`, or a name such as `Europe/Berlin`");
        reader.fault(format!("{pointer}/timezone"), message);
    }
    Some(On::Schedule { schedule, timezone })
}

fn subject(reader: &mut Reader, pointer: &str, members: &Map<String, Value>) -> Option<On> {
    reader.known(pointer, members, &["name", "subject", "attempts"]);
    let subject = reader.text(members, pointer, "subject", 256)?;
    let at = format!("{pointer}/subject");
    match Pattern::from_str(&subject) {
        Err(error) => reader.fault(at, error.to_string()),
        Ok(_) if subject.starts_with('$') => {
            reader.fault(at, "what begins with `$` is said by the bus about itself; choose another subject");
        }
        // What every subject matches would start the function with what it says itself, for ever.
        Ok(_) if subject == ">" || subject.starts_with("*.") || subject == "*" => {
            reader.fault(at, "begin with a word, such as `orders.>`: this takes everything on the bus");
        }
        Ok(_) if subject.starts_with("flagbase.") => {
            if let Err(message) = Pattern::of_events(&subject) {
                reader.fault(at, message);
            }
        }
        Ok(_) => {}
    }
    Some(On::Subject { subject, attempts: attempts(reader, pointer, members) })
}

fn bucket(reader: &mut Reader, pointer: &str, members: &Map<String, Value>) -> Option<On> {
    reader.known(pointer, members, &["name", "bucket", "prefix", "events", "attempts"]);
    let bucket = reader.text(members, pointer, "bucket", LONGEST_NAME)?;
    if bucket.is_empty() {
        reader.fault(format!("{pointer}/bucket"), "name a bucket");
    }
    let prefix = reader.text(members, pointer, "prefix", 1024).unwrap_or_default();
    let at = format!("{pointer}/events");
    let events = reader.texts(&at, members.get("events"), 8);
    for (index, event) in events.iter().enumerate() {
        if !matches!(event.as_str(), "created" | "deleted") {
            reader.fault(format!("{at}/{index}"), "is `created` or `deleted`");
        }
    }
    Some(On::Bucket { bucket, prefix, events, attempts: attempts(reader, pointer, members) })
}

fn attempts(reader: &mut Reader, pointer: &str, members: &Map<String, Value>) -> u32 {
    reader.number(members, pointer, "attempts", 1..=MOST_ATTEMPTS).unwrap_or(ATTEMPTS)
}

/// Five fields, or a nickname such as `@daily`: seconds are finer than a scheduler that wakes now and then can keep.
fn cron(schedule: &str) -> Result<Cron, croner::errors::CronError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(schedule)
}
