//! The change log: as a list, and as a stream of server-sent events that can be resumed.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts},
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use flagbase_core::{
    catalog::{Actor, Change, Revision},
    events::{Bodies, CloudEvent, Events, Follow, Following, Pattern, Verify},
    identity::Identity,
    refusal::{Class, Refusal},
};
use futures_util::{FutureExt as _, Stream, stream};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    problem::{Problem, ProblemBody, Reply},
    request::{Known, Paging, bad_query, query, token},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(follow)).routes(routes!(changes))
}

/// Tells a client that resumes from a place the log does not have that it must read everything anew.
const RESET: &str = "flagbase.stream.reset";

/// How often a comment shows that the stream is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A row of the change log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ChangeView {
    /// Its position.
    revision: Revision,
    /// The id of its event.
    event: String,
    /// When.
    #[schema(value_type = String)]
    at: Timestamp,
    /// Who: `{kind, id, name}`.
    #[schema(value_type = Object)]
    actor: Actor,
    /// Why; empty when not given.
    reason: String,
    /// What kind of thing.
    kind: &'static str,
    /// Its environment; empty for what belongs to none.
    #[schema(value_type = String)]
    environment: Arc<str>,
    /// Its key.
    #[schema(value_type = String)]
    key: Arc<str>,
    /// What happened to it, in the past tense.
    verb: String,
    /// Before; null when there was nothing, and for users, sessions and API keys.
    #[schema(value_type = Object)]
    before: Option<Value>,
    /// After; null when there is nothing, and for users, sessions and API keys.
    #[schema(value_type = Object)]
    after: Option<Value>,
    /// More about it, such as a guard's evidence.
    #[schema(value_type = Object)]
    detail: Value,
}

impl From<&Change> for ChangeView {
    fn from(change: &Change) -> Self {
        let Bodies { before, after, detail } = Bodies::of(change);
        Self {
            revision: change.revision,
            event: change.event.to_string(),
            at: change.at,
            actor: change.actor.clone(),
            reason: change.reason.clone(),
            kind: change.id.kind.as_str(),
            environment: Arc::clone(&change.id.environment),
            key: Arc::clone(&change.id.key),
            verb: change.verb.clone(),
            before,
            after,
            detail,
        }
    }
}

/// Which changes: `?environment=` narrows (unlike elsewhere it has no default), `?type=` too, and
/// `?after=` or `Last-Event-ID` say where to go on.
struct Which(Follow);

impl<S: Sync> FromRequestParts<S> for Which {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // What the browser remembers is newer than what its page was written with.
        let resumed =
            parts.headers.get("last-event-id").map(|value| String::from_utf8_lossy(value.as_bytes()));
        let (name, text) = match resumed.filter(|text| !text.is_empty()) {
            Some(text) => ("Last-Event-ID", Some(text.into_owned())),
            None => ("after", query(parts, "after")),
        };
        let after = text.map(|text| text.parse().map_err(|_| bad_query(name, &text, "a revision")));
        let pattern = query(parts, "type").map(|text| {
            text.parse().map_err(|error| {
                Refusal::new(Class::Malformed, "bad_query", format!("`type={text}`: the pattern {error}"))
            })
        });
        Ok(Self(Follow {
            environment: query(parts, "environment"),
            pattern: pattern.transpose()?.unwrap_or_else(Pattern::all),
            after: after.transpose()?,
        }))
    }
}

/// Follows the change log as server-sent events.
///
/// Each has the revision as `id`, the type as `event` and a `CloudEvent` as `data`. A stream that is resumed with
/// `Last-Event-ID` or `?after=` goes on just after it, with no gap and nothing twice; one that is not begins now.
/// One that is resumed from beyond the end of the log (a backup was restored) begins with `flagbase.stream.reset`,
/// `{"head", "after"}`, and goes on from the head: read again what you keep.
/// `?type=` takes the wildcards of NATS: `flagbase.flag.*`, `flagbase.>`. The stream ends when the token does.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(("environment" = Option<String>, Query), ("type" = Option<String>, Query), ("after" = Option<u64>, Query),
        ("Last-Event-ID" = Option<u64>, Header)),
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = 400, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 429, body = ProblemBody))
)]
async fn follow(
    State(events): State<Arc<Events>>,
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Which(which): Which,
    headers: HeaderMap,
) -> Reply<impl IntoResponse> {
    let token = token(&headers)?.unwrap_or_default().to_owned();
    let verify: Verify = Arc::new(move || {
        let (identity, token) = (Arc::clone(&identity), token.clone());
        async move { identity.authenticate(&token).await }.boxed()
    });
    let following = events.follow(caller, verify, which)?;
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    // Proxies that collect answers before passing them on would hold events back.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))];
    Ok((unbuffered, Sse::new(frames(following)).keep_alive(heartbeat)))
}

fn frames(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((following, true), |(mut following, first)| async move {
        if first {
            // The place where this begins, so that a client that is cut off before the first event loses none.
            return Some((Ok(beginning(&following)), (following, false)));
        }
        let event = following.next().await?;
        Some((Ok(frame(&event)), (following, false)))
    })
}

fn beginning(following: &Following) -> Event {
    let head = following.position();
    let place = Event::default().id(head.to_string());
    match following.reset() {
        None => place.comment("following"),
        Some(after) => place.event(RESET).data(json!({"head": head, "after": after}).to_string()),
    }
}

fn frame(event: &CloudEvent) -> Event {
    let data = serde_json::to_string(event).unwrap_or_default();
    Event::default().id(event.flagbaseseq.to_string()).event(&event.event_type).data(data)
}

/// The change log, oldest first, as far as the caller may see it.
#[utoipa::path(
    get, path = "/api/v1/changes", tag = "events",
    params(("environment" = Option<String>, Query), ("type" = Option<String>, Query), ("after" = Option<u64>, Query),
        ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Vec<ChangeView>), (status = 400, body = ProblemBody),
        (status = 403, body = ProblemBody))
)]
async fn changes(
    State(events): State<Arc<Events>>,
    Known(caller): Known,
    Which(which): Which,
    Paging { limit, .. }: Paging,
    uri: Uri,
) -> Reply<(HeaderMap, Json<Vec<ChangeView>>)> {
    let page = events.changes(&caller, &which, limit as usize).await?;
    let headers = page.next.map(|next| link(&uri, next)).unwrap_or_default();
    Ok((headers, Json(page.changes.iter().map(ChangeView::from).collect())))
}

/// The same question, going on after `after`.
fn link(uri: &Uri, after: Revision) -> HeaderMap {
    let asked = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(asked.filter(|(name, _)| name != "after"))
        .append_pair("after", &after.to_string())
        .finish();
    let link = HeaderValue::try_from(format!("</api/v1/changes?{query}>; rel=\"next\""));
    link.map(|link| HeaderMap::from_iter([(header::LINK, link)])).unwrap_or_default()
}
