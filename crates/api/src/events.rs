//! The change log: as a list, and as a stream of server-sent events that can be resumed.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts},
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
    relay::{PassedOver, Sink},
    trace,
};
use futures_util::{FutureExt as _, Stream, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    problem::{Problem, ProblemBody, Reply},
    request::{Known, Paging, bad_query, query, token},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(follow, send)).routes(routes!(sinks)).routes(routes!(changes))
}

/// Tells a client that resumes from a place the log does not have that it must read everything anew.
const RESET: &str = "flagbase.stream.reset";

/// Tells a client that asked for a part of the log that it has all of it.
const END: &str = "flagbase.stream.end";

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
    /// The trace of the request that caused it; absent when it had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
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
            traceparent: trace::of(&change.detail).map(str::to_owned),
        }
    }
}

/// Which changes: `?environment=` narrows (unlike elsewhere it has no default), `?type=` too, and
/// `?after=` or `Last-Event-ID` say where to go on, `?until=` where to end.
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
            Pattern::of_events(&text).map_err(|error| {
                Refusal::new(Class::Malformed, "bad_query", format!("`type={text}`: the pattern {error}"))
            })
        });
        let until = query(parts, "until").map(|text| match text.as_str() {
            "head" => Ok(Revision::MAX),
            number => number.parse().map_err(|_| bad_query("until", number, "a revision, or `head`")),
        });
        let (after, until) = (after.transpose()?, until.transpose()?);
        // Whoever resumes may be at the end already; whoever asks for nothing has mixed something up.
        if let (Some(after), Some(until), "after") = (after, until, name)
            && until < after
        {
            let message = format!("`until={until}` is before `after={after}`: nothing is between them");
            return Err(Refusal::new(Class::Malformed, "bad_query", message).into());
        }
        Ok(Self(Follow {
            environment: query(parts, "environment"),
            pattern: pattern.transpose()?.unwrap_or_else(Pattern::all),
            after,
            until,
        }))
    }
}

/// Follows the change log as server-sent events.
///
/// Each has the revision as `id`, the type as `event` and a `CloudEvent` as `data`. A stream that is resumed with
/// `Last-Event-ID` or `?after=` goes on just after it, with no gap and nothing twice; one that is not begins now.
/// One that is resumed from beyond the end of the log (a backup was restored) begins with `flagbase.stream.reset`,
/// `{"head", "after"}`, and goes on from the head: read again what you keep.
/// `?type=` takes subjects, with the wildcards of NATS: `flagbase.flag.*`, `flagbase.env.default.>`. The stream ends
/// when the token does. With `?until=<revision>` or `?until=head` it ends after that revision, or at the end of the log
/// as it is now when that comes earlier, with `flagbase.stream.end` as its last event.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(("environment" = Option<String>, Query), ("type" = Option<String>, Query), ("after" = Option<u64>, Query),
        ("until" = Option<String>, Query), ("Last-Event-ID" = Option<u64>, Header)),
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

/// Where a stream is.
enum Stage {
    Beginning,
    Going,
    Ended,
}

fn frames(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((following, Stage::Beginning), |(mut following, stage)| async move {
        match stage {
            // The place where this begins, so that a client that is cut off before the first event loses none.
            Stage::Beginning => Some((Ok(beginning(&following)), (following, Stage::Going))),
            Stage::Going => match following.next().await {
                Some(event) => Some((Ok(frame(&event)), (following, Stage::Going))),
                None if following.is_over() => Some((Ok(end(&following)), (following, Stage::Ended))),
                None => None,
            },
            Stage::Ended => None,
        }
    })
}

fn end(following: &Following) -> Event {
    let at = following.position();
    Event::default().id(at.to_string()).event(END).data(json!({"until": at}).to_string())
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

/// A message of a program.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MessageBody {
    /// Where to, such as `orders.created`; not below `flagbase`.
    subject: String,
    /// A text is sent as it is, anything else as JSON; left out: nothing.
    #[serde(default)]
    #[schema(value_type = Object)]
    payload: Value,
}

/// Sends a message to whoever is subscribed on the embedded bus now. It is no event of Flagbase: nothing of it is kept.
#[utoipa::path(
    post, path = "/api/v1/events", tag = "events", request_body = MessageBody,
    responses((status = 204), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 413, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn send(
    State(events): State<Arc<Events>>,
    Known(caller): Known,
    Body(message): Body<MessageBody>,
) -> Reply<StatusCode> {
    let payload = match message.payload {
        Value::Null => Vec::new(),
        Value::String(text) => text.into_bytes(),
        other => other.to_string().into_bytes(),
    };
    events.send(&caller, &message.subject, payload)?;
    Ok(StatusCode::NO_CONTENT)
}

/// How far a sink is: what the change log is handed over to.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct SinkView {
    /// `embedded`, `nats`, `kafka`, `webhooks`.
    name: String,
    /// The last change that it has.
    revision: Revision,
    /// The last change there is.
    head: Revision,
    /// How many changes it does not have yet.
    behind: u64,
    /// How long ago the oldest of those was made, seconds; 0 when it has all.
    behind_seconds: f64,
    /// Why it does not take what is there; null when it does.
    error: Option<String>,
    /// How many events it refused for good, ever; they were passed over.
    passed_over: u64,
    /// The last of those: `{revision, event, reason, at}`.
    #[schema(value_type = Object)]
    last_passed_over: Option<PassedOver>,
}

impl From<Sink> for SinkView {
    fn from(sink: Sink) -> Self {
        let Sink { name, revision, head, behind, behind_seconds, error, passed_over, last_passed_over } =
            sink;
        Self { name, revision, head, behind, behind_seconds, error, passed_over, last_passed_over }
    }
}

/// How far each sink is behind the change log.
#[utoipa::path(
    get, path = "/api/v1/events/sinks", tag = "events",
    responses((status = 200, body = Vec<SinkView>), (status = 403, body = ProblemBody))
)]
async fn sinks(State(events): State<Arc<Events>>, Known(caller): Known) -> Reply<Json<Vec<SinkView>>> {
    Ok(Json(events.sinks(&caller)?.into_iter().map(SinkView::from).collect()))
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
