//! Webhooks: endpoints of others that are told of events, by the Standard Webhooks specification 1.0.0.
//!
//! [`Sink`] is a bus for the relay: it writes a delivery per endpoint and event, durably, before the relay goes on.
//! [`Worker`] sends what is due and keeps trying for a day. An endpoint is a catalog document; the secrets that sign are
//! kept with the deliveries, so that no document and no change ever holds one.

mod check;
mod deliveries;
mod endpoint;
mod schedule;
mod secret;
mod sender;
mod settings;
mod sink;
mod trail;
mod worker;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    caller::Caller,
    catalog::{Actor, Document, DocumentId, Draft, Expect, Kind, Page, Revision, Write},
    environments::body,
    feed::{Edit, Feed},
    flags::Asked,
    identity::lifetime,
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
};

pub use deliveries::{
    Attempt, Deliveries, DeliveriesError, Delivery, DeliveryState, EndpointState, Health, NewDelivery,
    Removal, Selection, Settled, StoredSecret, Want,
};
pub use endpoint::Endpoint;
pub use schedule::{ATTEMPTS, pause, retry_after};
pub use secret::{SigningSecret, sign};
pub use sender::{Answered, Outgoing, SendError, Sender};
pub use settings::{Settings, permitted};
pub use sink::Sink;
pub use trail::{Range, TEST_EVENT};
pub use worker::Worker;

/// What the API calls the scope of endpoints that belong to no environment and are told of everything.
pub const EVERYWHERE: &str = "*";

/// Endpoints per environment, at most.
const MOST_ENDPOINTS: u32 = 100;

/// How long a secret that was replaced goes on signing, when nobody says otherwise.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);

/// An endpoint, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Unique within its environment.
    pub key: String,
    /// Names this endpoint for good: one that is made later under the same key is another one.
    pub id: String,
    /// Where messages are sent.
    pub url: String,
    /// Patterns of the events it is told of.
    pub events: Vec<String>,
    /// What it is for, in people's words.
    #[serde(default)]
    pub description: String,
    /// Whether messages are sent.
    pub enabled: bool,
    /// Why Flagbase disabled it; `None` while it is enabled, or when a person disabled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_because: Option<String>,
    /// When its present secret was made.
    pub secret_made_at: Timestamp,
    /// Since when it is enabled at its present address.
    pub active_since: Timestamp,
    /// It is told of changes after this one.
    pub after: Revision,
}

/// An endpoint whose secret can be seen this once.
#[derive(Debug, Clone)]
pub struct Made {
    /// As stored.
    pub document: Document,
    /// Its new secret.
    pub secret: SigningSecret,
}

/// Shows, makes, changes and removes endpoints, and what was sent to them.
pub struct Webhooks {
    feed: Arc<Feed>,
    deliveries: Arc<dyn Deliveries>,
    settings: Settings,
    wake: Arc<Notify>,
}

impl Webhooks {
    /// Endpoints kept in `feed`'s catalog, with what was sent to them in `deliveries`.
    pub fn new(feed: Arc<Feed>, deliveries: Arc<dyn Deliveries>, settings: Settings) -> Self {
        Self { feed, deliveries, settings, wake: Arc::default() }
    }

    /// The bus that turns events into deliveries.
    pub fn sink(&self) -> Sink {
        Sink::new(Arc::clone(&self.feed), Arc::clone(&self.deliveries), Arc::clone(&self.wake))
    }

    /// Endpoints of an environment (or [`EVERYWHERE`]), by key.
    pub async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page,
    ) -> Result<Vec<Document>, Refusal> {
        let place = self.admit(caller, environment)?;
        Ok(self.feed.catalog().list(Kind::Webhook, place, page).await?)
    }

    /// One endpoint, and how it fares.
    pub async fn get(
        &self,
        caller: &Caller,
        environment: &str,
        key: &str,
    ) -> Result<(Document, EndpointState), Refusal> {
        let place = self.admit(caller, environment)?;
        let (document, webhook) = self.find(place, key).await?;
        Ok((document, self.deliveries.endpoint(&webhook.id).await?))
    }

    /// Makes an endpoint; a body without a key gets one.
    pub async fn create(&self, asked: Asked<'_>, body: &Value) -> Result<Made, Refusal> {
        let place = self.admit(asked.caller, asked.environment)?;
        let generated = format!("webhook-{}", self.feed.random().hex(4));
        let key = body.get("key").and_then(Value::as_str).unwrap_or(&generated);
        let written = check::read(body, key, &self.settings)?;
        let edit = self.feed.edit().await;
        if self.current(place, key).await?.is_some() {
            let message = format!("webhook `{key}` exists already; change it, or choose another key");
            return Err(Refusal::new(Class::Conflict, "webhook_exists", message));
        }
        self.make(&edit, asked, (place, written)).await
    }

    /// Replaces an endpoint, keeping its secret, or makes it: then its secret is told, too.
    pub async fn put(
        &self,
        asked: Asked<'_>,
        key: &str,
        body: &Value,
        seen: Precondition,
    ) -> Result<(Document, Option<SigningSecret>), Refusal> {
        let place = self.admit(asked.caller, asked.environment)?;
        let written = check::read(body, key, &self.settings)?;
        let edit = self.feed.edit().await;
        let current = self.current(place, key).await?;
        let expect = seen.expect(&what(key), current.as_ref().map(|(document, _)| document.revision))?;
        match current {
            None => {
                let made = self.make(&edit, asked, (place, written)).await?;
                Ok((made.document, Some(made.secret)))
            }
            Some((_, webhook)) => {
                let document = self.change(&edit, asked, (place, written, webhook, expect)).await?;
                Ok((document, None))
            }
        }
    }

    /// Changes the members of `patch` (a JSON merge patch).
    pub async fn patch(
        &self,
        asked: Asked<'_>,
        key: &str,
        patch: &Value,
        seen: Precondition,
    ) -> Result<Document, Refusal> {
        let place = self.admit(asked.caller, asked.environment)?;
        let edit = self.feed.edit().await;
        let (document, webhook) = self.find(place, key).await?;
        let expect = seen.expect(&what(key), Some(document.revision))?;
        let written = check::read(&check::merged(&webhook, patch)?, key, &self.settings)?;
        self.change(&edit, asked, (place, written, webhook, expect)).await
    }

    /// Removes an endpoint, its secrets, and what was sent to it.
    pub async fn delete(&self, asked: Asked<'_>, key: &str, seen: Precondition) -> Result<(), Refusal> {
        let place = self.admit(asked.caller, asked.environment)?;
        let edit = self.feed.edit().await;
        let (document, webhook) = self.find(place, key).await?;
        let expect = seen.expect(&what(key), Some(document.revision))?;
        let (verb, write) = ("deleted", Write::Delete);
        let draft = Draft { id: document.id, verb, expect, write, detail: Value::Null };
        edit.commit(asked.caller.actor(), asked.reason, vec![draft]).await?;
        drop(edit);
        self.deliveries.remove(Removal::Endpoint(webhook.id)).await?;
        Ok(())
    }

    /// Gives an endpoint a new secret. The one before goes on signing beside it for `overlap` (such as `24h`, which it is
    /// when nothing is said); `0s` ends it at once.
    pub async fn rotate(
        &self,
        asked: Asked<'_>,
        key: &str,
        overlap: Option<&str>,
        seen: Precondition,
    ) -> Result<Made, Refusal> {
        let place = self.admit(asked.caller, asked.environment)?;
        let overlap = match overlap {
            None => OVERLAP,
            Some("0" | "0s") => SignedDuration::ZERO,
            Some(text) => lifetime(text, "/overlap")?,
        };
        if overlap > SignedDuration::from_hours(30 * 24) {
            return Err(Refusal::fault("/overlap", "is longer than 30 days; choose a shorter one"));
        }
        let edit = self.feed.edit().await;
        let (document, mut webhook) = self.find(place, key).await?;
        let expect = seen.expect(&what(key), Some(document.revision))?;
        let now = self.feed.clock().now();
        webhook.secret_made_at = now;
        // Logged first: a rotation that is logged and did not happen is repeated, one that happened and was not told
        // would make the receiver refuse everything once the overlap is over.
        let document = self.commit(&edit, asked, (place, &webhook, "rotated", expect)).await?;
        let secret = SigningSecret::generate(self.feed.random());
        let until = now.checked_add(overlap).unwrap_or(Timestamp::MAX);
        self.deliveries.add_secret(&webhook.id, StoredSecret::new(secret.clone(), now), until).await?;
        Ok(Made { document, secret })
    }

    /// Disables an endpoint on Flagbase's own account, unless it is gone, another one, or disabled already.
    pub(crate) async fn disable(
        &self,
        endpoint: &Endpoint,
        because: &str,
        detail: Value,
    ) -> Result<bool, Refusal> {
        let (place, key) = (endpoint.environment.as_ref(), endpoint.webhook.key.as_str());
        let edit = self.feed.edit().await;
        let Some((document, mut webhook)) = self.current(place, key).await? else { return Ok(false) };
        if webhook.id != endpoint.webhook.id || !webhook.enabled {
            return Ok(false);
        }
        webhook.enabled = false;
        webhook.disabled_because = Some(because.to_owned());
        let draft = Draft {
            id: document.id,
            verb: "disabled",
            expect: Expect::At(document.revision),
            write: Write::Put(body(&webhook)?),
            detail,
        };
        edit.commit(Actor::system(), because, vec![draft]).await?;
        Ok(true)
    }

    async fn make(
        &self,
        edit: &Edit<'_>,
        asked: Asked<'_>,
        (place, written): (&str, check::Written),
    ) -> Result<Made, Refusal> {
        let page = Page { limit: MOST_ENDPOINTS, ..Page::default() };
        if self.feed.catalog().list(Kind::Webhook, place, page).await?.len() >= MOST_ENDPOINTS as usize {
            let message = format!("there are {MOST_ENDPOINTS} webhooks already; delete one first");
            return Err(Refusal::new(Class::Conflict, "too_many_webhooks", message));
        }
        let now = self.feed.clock().now();
        let webhook = Webhook {
            key: written.key,
            id: self.feed.random().uuid7(self.feed.clock()).to_string(),
            url: written.url,
            events: written.events,
            description: written.description,
            enabled: written.enabled,
            disabled_because: None,
            secret_made_at: now,
            active_since: now,
            after: self.next_change(),
        };
        let secret = SigningSecret::generate(self.feed.random());
        // Before the document: an endpoint never goes without a secret, and a secret without an endpoint harms nobody.
        self.deliveries.add_secret(&webhook.id, StoredSecret::new(secret.clone(), now), now).await?;
        let document = self.commit(edit, asked, (place, &webhook, "created", Expect::Absent)).await?;
        Ok(Made { document, secret })
    }

    async fn change(
        &self,
        edit: &Edit<'_>,
        asked: Asked<'_>,
        (place, written, before, expect): (&str, check::Written, Webhook, Expect),
    ) -> Result<Document, Refusal> {
        let turned = (written.enabled != before.enabled).then_some(written.enabled);
        let moved = written.url != before.url;
        let mut webhook = Webhook {
            url: written.url,
            events: written.events,
            description: written.description,
            enabled: written.enabled,
            ..before
        };
        if webhook.enabled {
            webhook.disabled_because = None;
        }
        if turned == Some(true) || moved {
            webhook.active_since = self.feed.clock().now();
        }
        if turned == Some(true) {
            webhook.after = self.next_change();
        }
        let verb = match turned {
            None => "updated",
            Some(true) => "enabled",
            Some(false) => "disabled",
        };
        self.commit(edit, asked, (place, &webhook, verb, expect)).await
    }

    /// The position of the change that is about to be made: nobody is told that he is told from now on.
    fn next_change(&self) -> Revision {
        self.feed.snapshots().load().revision + 1
    }

    async fn commit(
        &self,
        edit: &Edit<'_>,
        asked: Asked<'_>,
        (place, webhook, verb, expect): (&str, &Webhook, &'static str, Expect),
    ) -> Result<Document, Refusal> {
        let id = DocumentId::new(Kind::Webhook, place, &webhook.key);
        let draft = Draft { id, verb, expect, write: Write::Put(body(webhook)?), detail: Value::Null };
        edit.commit(asked.caller.actor(), asked.reason, vec![draft]).await?;
        Ok(self.find(place, &webhook.key).await?.0)
    }

    /// Where the documents of `environment` are, when the caller may manage its webhooks.
    fn admit<'e>(&self, caller: &Caller, environment: &'e str) -> Result<&'e str, Refusal> {
        if environment == EVERYWHERE {
            caller.require_everywhere(&self.feed.snapshots().load(), Permission::WebhookManage)?;
            return Ok("");
        }
        self.feed.permitted(caller, environment, Permission::WebhookManage)?;
        Ok(environment)
    }

    async fn current(&self, place: &str, key: &str) -> Result<Option<(Document, Webhook)>, Refusal> {
        let id = DocumentId::new(Kind::Webhook, place, key);
        let Some(document) = self.feed.catalog().get(&id).await? else { return Ok(None) };
        let webhook = serde_json::from_value(document.body.clone()).map_err(|error| {
            let message = format!("webhook `{key}` is stored in a form that makes no sense; delete it");
            Refusal::new(Class::Internal, "store_corrupt", message).because(error)
        })?;
        Ok(Some((document, webhook)))
    }

    async fn find(&self, place: &str, key: &str) -> Result<(Document, Webhook), Refusal> {
        let shown: String = key.chars().take(64).collect();
        let place_name = if place.is_empty() { EVERYWHERE } else { place };
        self.current(place, key).await?.ok_or_else(|| {
            let message = format!("webhook `{shown}` not found in environment `{place_name}`");
            Refusal::not_found("webhook_not_found", message)
        })
    }
}

/// An endpoint as it is shown: as stored, and what the catalog knows of it.
pub fn view(document: &Document) -> Value {
    let mut shown = crate::flags::view(document);
    if let Some(members) = shown.as_object_mut()
        && document.id.environment.is_empty()
    {
        members.insert("environment".to_owned(), json!(EVERYWHERE));
    }
    shown
}

/// A stored endpoint as events tell of it: of its address only where it is, because the rest often lets people in.
pub(crate) fn told(body: &Value) -> Value {
    let mut told = body.clone();
    if let Some(members) = told.as_object_mut()
        && let Some(url) = members.get_mut("url")
    {
        let origin = url.as_str().and_then(|url| url::Url::parse(url).ok()).map(|url| url.origin());
        *url = origin.map_or(Value::Null, |origin| origin.ascii_serialization().into());
    }
    told
}

fn what(key: &str) -> String {
    format!("webhook `{key}`")
}
