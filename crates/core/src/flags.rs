//! Flags: the use cases behind the API, the command line, the console and the guards.

mod evaluate;
mod history;

use std::sync::Arc;

use flagbase_engine::{Fault, Flag};
use serde_json::{Value, json};

use crate::{
    caller::Caller,
    catalog::{Actor, Document, Draft, Expect, Kind, Page, Revision, Write},
    documents::{DocumentKind, Documents},
    feed::{Edit, Feed},
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
    snapshot::EnvironmentSnapshot,
};

pub use evaluate::{Preview, Seen};
pub use history::{HistoryPage, Revert};

/// Flags created or changed at once, at most.
pub const MOST_AT_ONCE: usize = 1000;

static FLAG: DocumentKind = DocumentKind {
    kind: Kind::Flag,
    noun: "flag",
    read: Permission::FlagRead,
    create: Permission::FlagCreate,
    update: Permission::FlagUpdate,
    delete: Permission::FlagDelete,
    missing: not_found,
};

/// Creates, changes, deletes and evaluates flags.
pub struct Flags {
    feed: Arc<Feed>,
    documents: Documents,
}

/// One edit, on behalf of somebody.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Where.
    pub environment: &'a str,
    /// Why, in the caller's words; may be empty.
    pub reason: &'a str,
}

/// A flag switched on or off, by a person or by a guard.
#[derive(Debug, Clone)]
pub struct Switch<'a> {
    /// The environment's key.
    pub environment: &'a str,
    /// The flag's key.
    pub key: &'a str,
    /// On or off.
    pub enabled: bool,
    /// Who.
    pub actor: Actor,
    /// Why; may be empty.
    pub reason: &'a str,
    /// Evidence, such as a guard's counts; null when there is none.
    pub detail: Value,
    /// The revision that was judged; `None`: whatever it is now.
    pub seen: Option<Revision>,
}

impl Flags {
    /// Flags kept in `feed`'s catalog.
    pub fn new(feed: Arc<Feed>) -> Self {
        Self { documents: Documents::new(Arc::clone(&feed), &FLAG), feed }
    }

    /// Flags of an environment, by key.
    pub async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page,
    ) -> Result<Vec<Document>, Refusal> {
        self.documents.list(caller, environment, page).await
    }

    /// One flag.
    pub async fn get(&self, caller: &Caller, environment: &str, key: &str) -> Result<Document, Refusal> {
        self.documents.get(caller, environment, key).await
    }

    /// Makes a flag; refused when there is one under this key.
    pub async fn create(&self, asked: Asked<'_>, body: &Value) -> Result<Document, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::FlagCreate)?;
        let flag = Flag::from_json(body).map_err(Refusal::invalid)?;
        let edit = self.feed.edit().await;
        if self.documents.current(asked.environment, &flag.key).await?.is_some() {
            return Err(exists(&flag.key));
        }
        self.write(&edit, asked, (&flag, Expect::Absent)).await
    }

    /// Replaces the whole flag, rules included, or makes it.
    pub async fn put(
        &self,
        asked: Asked<'_>,
        key: &str,
        mut body: Value,
        seen: Precondition,
    ) -> Result<(Document, bool), Refusal> {
        name(&mut body, key)?;
        let flag = Flag::from_json(&body).map_err(Refusal::invalid)?;
        self.documents.put(asked, (key, flag.to_json()), seen, |environment| fits(environment, &flag)).await
    }

    /// Merges `patch` into the flag (RFC 7396).
    pub async fn patch(
        &self,
        asked: Asked<'_>,
        key: &str,
        patch: &Value,
        seen: Precondition,
    ) -> Result<Document, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::FlagUpdate)?;
        let edit = self.feed.edit().await;
        let current = self.documents.find(asked.environment, key).await?;
        let expect = seen.expect(&self.documents.called(key), Some(current.revision))?;
        let mut body = current.body;
        prepare(&mut body, patch);
        merge(&mut body, patch);
        name(&mut body, key)?;
        let flag = Flag::from_json(&body).map_err(Refusal::invalid)?;
        self.write(&edit, asked, (&flag, expect)).await
    }

    /// Removes the flag. Refused while another flag has it as a prerequisite.
    pub async fn delete(&self, asked: Asked<'_>, key: &str, seen: Precondition) -> Result<(), Refusal> {
        let unused = |environment: &EnvironmentSnapshot| {
            environment.rules.remove_flag(key).map(drop).map_err(|faults| in_use("flag_in_use", &faults))
        };
        self.documents.delete(asked, key, seen, unused).await
    }

    /// Makes or replaces many flags, all or none. Returns how many were made and how many replaced.
    pub async fn put_many(&self, asked: Asked<'_>, bodies: &[Value]) -> Result<(usize, usize), Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::FlagCreate)?;
        self.feed.permitted(asked.caller, asked.environment, Permission::FlagUpdate)?;
        if bodies.len() > MOST_AT_ONCE {
            return Err(Refusal::fault(
                "",
                format!("{} flags at once; send at most {MOST_AT_ONCE}", bodies.len()),
            ));
        }
        let edit = self.feed.edit().await;
        let snapshot = self.feed.snapshots().get();
        let mut rules = snapshot.require_environment(asked.environment)?.rules.clone();
        let (mut drafts, mut faults, mut made) = (Vec::new(), Vec::new(), 0);
        for (at, body) in bodies.iter().enumerate() {
            let checked = Flag::from_json(body)
                .and_then(|flag| rules.put_flag(&flag, snapshot.revision).map(|rules| (flag, rules)));
            let (flag, next) = match checked {
                Ok(checked) => checked,
                Err(found) => {
                    faults.extend(found.into_iter().map(|fault| nested(at, fault)));
                    continue;
                }
            };
            rules = next;
            let current = self.documents.current(asked.environment, &flag.key).await?;
            let expect = current.map_or(Expect::Absent, |document| Expect::At(document.revision));
            made += usize::from(expect == Expect::Absent);
            drafts.push(self.documents.draft(asked.environment, (&flag.key, flag.to_json()), expect));
        }
        if !faults.is_empty() {
            return Err(Refusal::invalid(faults));
        }
        let written = drafts.len();
        edit.commit(asked.caller.actor(), asked.reason, drafts).await?;
        Ok((made, written - made))
    }

    /// Turns a flag on or off, on behalf of a person.
    pub async fn set_enabled(&self, asked: Asked<'_>, key: &str, enabled: bool) -> Result<Document, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::FlagUpdate)?;
        let (environment, reason) = (asked.environment, asked.reason);
        let actor = asked.caller.actor();
        let switch = Switch { environment, key, enabled, actor, reason, detail: Value::Null, seen: None };
        self.switch(switch).await.map(|(document, _)| document)
    }

    /// Turns a flag on or off: the button and the guard end here. Turning it the way it is already is fine and
    /// changes nothing, because guards and people tend to reach for it in the same second. Returns the flag and
    /// whether it changed.
    pub async fn switch(&self, switch: Switch<'_>) -> Result<(Document, bool), Refusal> {
        let edit = self.feed.edit().await;
        let current = self.documents.find(switch.environment, switch.key).await?;
        let seen = switch.seen.map_or(Precondition::None, Precondition::Match);
        let expect = seen.expect(&self.documents.called(switch.key), Some(current.revision))?;
        if current.body.get("enabled").and_then(Value::as_bool) == Some(switch.enabled) {
            return Ok((current, false));
        }
        let mut body = current.body;
        if let Some(object) = body.as_object_mut() {
            object.insert("enabled".to_owned(), switch.enabled.into());
        }
        let verb = if switch.enabled { "enabled" } else { "disabled" };
        let draft =
            Draft { id: current.id.clone(), verb, expect, write: Write::Put(body), detail: switch.detail };
        edit.commit(switch.actor, switch.reason, vec![draft]).await?;
        Ok((self.documents.find(switch.environment, switch.key).await?, true))
    }

    async fn write(
        &self,
        edit: &Edit<'_>,
        asked: Asked<'_>,
        (flag, expect): (&Flag, Expect),
    ) -> Result<Document, Refusal> {
        let snapshot = self.feed.snapshots().get();
        fits(snapshot.require_environment(asked.environment)?, flag)?;
        self.documents.store(edit, asked, (&flag.key, flag.to_json()), expect).await
    }
}

/// Whether the flag makes sense among the others of its environment.
fn fits(environment: &EnvironmentSnapshot, flag: &Flag) -> Result<(), Refusal> {
    // Its revision is known once it is stored; nothing that is checked depends on it.
    environment.rules.put_flag(flag, 0).map(drop).map_err(Refusal::invalid)
}

/// The flag as it is shown: its definition and what the catalog knows of it.
pub fn view(document: &Document) -> Value {
    let mut body = document.body.clone();
    if let Some(object) = body.as_object_mut() {
        object.insert("environment".to_owned(), json!(document.id.environment));
        object.insert("revision".to_owned(), json!(document.revision));
        object.insert("created_at".to_owned(), json!(document.created_at));
        object.insert("updated_at".to_owned(), json!(document.updated_at));
    }
    body
}

/// There is no such flag; names one that is nearly called so.
pub fn not_found(environment: &EnvironmentSnapshot, key: &str) -> Refusal {
    let near = environment
        .rules
        .flags()
        .take(10_000)
        .map(|flag| (strsim::jaro_winkler(flag.key(), key), flag.key()))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.85);
    let hint = near.map(|(_, near)| format!("; did you mean `{near}`?")).unwrap_or_default();
    Refusal::not_found(
        "flag_not_found",
        format!("flag `{key}` not found in environment `{}`{hint}", environment.definition.key),
    )
}

fn exists(key: &str) -> Refusal {
    Refusal::new(
        Class::Conflict,
        "flag_exists",
        format!("flag `{key}` exists already; change it, or choose another key"),
    )
}

/// Something cannot go because others need it; the faults name them.
pub(crate) fn in_use(code: &'static str, faults: &[Fault]) -> Refusal {
    let why: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
    Refusal::new(Class::Conflict, code, why.join("; "))
}

fn nested(at: usize, fault: Fault) -> Fault {
    Fault { pointer: format!("/{at}{}", fault.pointer), message: fault.message }
}

/// Puts the key of the address into the body; refuses a body that says another.
pub(crate) fn name(body: &mut Value, key: &str) -> Result<(), Refusal> {
    let Some(object) = body.as_object_mut() else {
        return Err(Refusal::fault("", "expected an object, the flag"));
    };
    match object.get("key").and_then(Value::as_str) {
        Some(said) if said != key => Err(Refusal::fault(
            "/key",
            format!("the body says `{said}`, the address `{key}`; a key cannot be changed"),
        )),
        _ => {
            object.insert("key".to_owned(), key.into());
            Ok(())
        }
    }
}

/// `default_value` and `default_variant` say the same thing twice: whoever patches one means it, so the other goes.
fn prepare(body: &mut Value, patch: &Value) {
    let (Some(body), Some(patch)) = (body.as_object_mut(), patch.as_object()) else { return };
    for (given, twin) in [("default_value", "default_variant"), ("default_variant", "default_value")] {
        if patch.contains_key(given) && !patch.contains_key(twin) {
            body.remove(twin);
        }
    }
}

/// JSON merge patch (RFC 7396).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_replaces_adds_and_removes() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut target, &json!({"a": {"b": null, "e": 3}, "d": [2], "f": "g"}));
        assert_eq!(target, json!({"a": {"c": 2, "e": 3}, "d": [2], "f": "g"}));
    }

    #[test]
    fn a_patched_default_value_wins_over_the_default_variant_that_was_there() {
        let mut body = json!({"default_value": false, "default_variant": "false"});
        let patch = json!({"default_value": true});
        prepare(&mut body, &patch);
        merge(&mut body, &patch);
        assert_eq!(body, json!({"default_value": true}));
    }

    #[test]
    fn a_body_cannot_rename_what_its_address_names() {
        assert!(name(&mut json!({"key": "b"}), "a").is_err());
        let mut body = json!({});
        name(&mut body, "a").unwrap();
        assert_eq!(body, json!({"key": "a"}));
    }
}
