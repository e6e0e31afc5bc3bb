//! What functions say: as a page, and as a stream that is followed.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use flagbase_core::{
    functions::{Functions, LogLine, LogsAsked},
    identity::Identity,
};
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    problem::{Problem, ProblemBody, Reply},
    request::{At, Paging, bad_query, query, token},
    router::Handles,
};

pub(super) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// Tells a client that reads too slowly how many lines it lost.
const LOST: &str = "flagbase.log.lost";

/// How often it is asked whether the token is still good; a comment shows then that the stream is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Which lines, and whether to wait for more.
struct Which {
    version: Option<u32>,
    after: Option<u64>,
    limit: usize,
    follow: bool,
}

impl FromRequestParts<Handles> for Which {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        let Paging { limit, .. } = Paging::from_request_parts(parts, handles).await?;
        let number = |name: &str, expected: &str| match query(parts, name) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| bad_query(name, &text, expected)),
        };
        let version = number("version", "the number of a version")?;
        let version = version.map(|version: u64| u32::try_from(version).unwrap_or(u32::MAX));
        let resumed = parts.headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
        let after = number("after", "the number of a line")?;
        let follow = match query(parts, "follow").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(bad_query("follow", other, "`true` or `false`").into()),
        };
        Ok(Self { version, after: resumed.or(after), limit: limit as usize, follow })
    }
}

/// The last lines of a function's log, oldest first; with `follow=true` these and every further one, as server-sent
/// events. Lines are kept in memory: those of before the server's start are in the server's own log.
#[utoipa::path(
    get, path = "/api/v1/functions/{name}/logs", tag = "functions",
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("version" = Option<u32>, Query),
        ("limit" = Option<u32>, Query), ("after" = Option<u64>, Query), ("follow" = Option<bool>, Query),
        ("Last-Event-ID" = Option<u64>, Header)),
    responses((status = 200, body = Vec<Value>), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn logs(
    State(handles): State<Handles>,
    At { caller, environment }: At,
    Path(name): Path<String>,
    which: Which,
    headers: HeaderMap,
) -> Reply<Response> {
    let functions = Arc::clone(&handles.functions);
    let asked = LogsAsked { version: which.version, call: None, after: which.after };
    // Before the lines that are there are read, so that none is missed between.
    let coming = if which.follow { Some(functions.follow(&caller, &environment, &name)?) } else { None };
    let lines = functions.logs(&caller, &environment, &name, (asked, which.limit))?;
    let Some(coming) = coming else {
        return Ok(Json(lines.iter().map(|line| shown(line)).collect::<Vec<_>>()).into_response());
    };
    let last = lines.last().map(|line| line.sequence);
    let token = token(&headers)?.unwrap_or_default().to_owned();
    let following = Following {
        there: lines.into(),
        coming,
        last: last.or(which.after),
        version: which.version,
        stop: handles.tasks.stopping(),
        permitted: Permitted { functions, identity: Arc::clone(&handles.identity), token, environment, name },
    };
    // Proxies that collect answers before passing them on would hold lines back.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))];
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    Ok((unbuffered, Sse::new(frames(following)).keep_alive(heartbeat)).into_response())
}

/// A line as it is shown: fields are members of an object.
pub(super) fn shown(line: &LogLine) -> Value {
    let mut body = json!(line);
    if let Some(members) = body.as_object_mut() {
        let fields: BTreeMap<_, _> = line.fields.iter().map(|(name, value)| (name, value)).collect();
        members.insert("fields".to_owned(), json!(fields));
    }
    body
}

/// Whoever follows, and what may end that.
struct Permitted {
    functions: Arc<Functions>,
    identity: Arc<Identity>,
    token: String,
    environment: Arc<str>,
    name: String,
}

impl Permitted {
    /// Whether the token is still good, and still good for this.
    async fn still(&self) -> bool {
        let Ok(caller) = self.identity.authenticate(&self.token).await else { return false };
        let nothing = (LogsAsked::default(), 0);
        self.functions.logs(&caller, &self.environment, &self.name, nothing).is_ok()
    }
}

struct Following {
    there: VecDeque<Arc<LogLine>>,
    coming: broadcast::Receiver<Arc<LogLine>>,
    /// The last line that was there, which may come once more.
    last: Option<u64>,
    version: Option<u32>,
    stop: CancellationToken,
    permitted: Permitted,
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        if let Some(line) = self.there.pop_front() {
            return Some(frame(&line));
        }
        loop {
            let received = tokio::select! {
                received = self.coming.recv() => received,
                () = tokio::time::sleep(HEARTBEAT) => {
                    if self.permitted.still().await {
                        continue;
                    }
                    return None;
                }
                () = self.stop.cancelled() => return None,
            };
            match received {
                Ok(line) if self.wants(&line) => return Some(frame(&line)),
                Ok(_) => {}
                Err(RecvError::Lagged(lost)) => {
                    return Some(Event::default().event(LOST).data(json!({"lost": lost}).to_string()));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn wants(&self, line: &LogLine) -> bool {
        self.last.is_none_or(|last| line.sequence > last)
            && self.version.is_none_or(|version| line.version == version)
    }
}

fn frame(line: &LogLine) -> Event {
    Event::default().id(line.sequence.to_string()).event("line").data(shown(line).to_string())
}

fn frames(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok(event), following))
    })
}
