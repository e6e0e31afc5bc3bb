//! `JetStream`: a stream keeps the events, acknowledges each, and stores what comes twice once.

use std::{error::Error as _, time::Duration};

use async_nats::jetstream::{
    self, Context, ErrorCode,
    context::{
        GetStreamError, GetStreamErrorKind, PublishAckFuture, PublishError, PublishErrorKind, RequestError,
        RequestErrorKind,
    },
    message::PublishMessage,
    stream::{Config, StorageType},
};
use flagbase_core::{catalog::BoxError, events::CloudEvent};

use super::{Message, Problem};
use crate::target::StreamTarget;

/// Events under way at once. Each is at most two messages.
pub(super) const IN_FLIGHT: usize = 32;

/// What the stream keeps: everything that Flagbase says.
const SUBJECTS: &str = "flagbase.>";
/// What a server says that could have streams but has none.
const DISABLED: [ErrorCode; 2] =
    [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT];
const CORE_ONLY: &str = "this NATS server has no JetStream for this login: start it with `nats-server -js`, or leave \
                         `jetstream` out of the address";
/// How long event ids are remembered: longer than a restart with all it may bring.
const DUPLICATES: Duration = Duration::from_mins(10);

/// Makes the stream, or changes it where the configuration says so. What others set in it stays.
pub(super) async fn ensure(context: &Context, wanted: &StreamTarget) -> Result<(), BoxError> {
    let found = match context.get_stream(&wanted.name).await {
        Ok(stream) => Some(stream.cached_info().config.clone()),
        Err(error) if is_missing(&error.kind()) => None,
        Err(error) if is_core_only(&error) => return Err(CORE_ONLY.into()),
        Err(error) => return Err(error.into()),
    };
    match (found, wanted.manage) {
        (Some(config), false) => check(&config),
        (None, false) => {
            Err(format!("there is no stream `{}`, and `manage=false` keeps us from making it", wanted.name)
                .into())
        }
        (None, true) => Ok(context.create_stream(fresh(wanted)).await.map(drop)?),
        (Some(config), true) => {
            let changed = changed(&config, wanted);
            if changed != config {
                context.update_stream(&changed).await?;
            }
            Ok(())
        }
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Whether nobody answers where streams are asked for.
fn is_core_only(error: &GetStreamError) -> bool {
    if let GetStreamErrorKind::JetStream(error) = error.kind() {
        return DISABLED.contains(&error.error_code());
    }
    let cause = error.source().and_then(|source| source.downcast_ref::<RequestError>());
    cause.is_some_and(|cause| cause.kind() == RequestErrorKind::NoResponders)
}

fn check(config: &Config) -> Result<(), BoxError> {
    if config.subjects.iter().any(|subject| subject == SUBJECTS || subject == ">") {
        return Ok(());
    }
    Err(format!("the stream `{}` does not take `{SUBJECTS}`: add it to its subjects", config.name).into())
}

fn fresh(wanted: &StreamTarget) -> Config {
    Config {
        name: wanted.name.clone(),
        description: Some("What changed in Flagbase, as CloudEvents".to_owned()),
        subjects: vec![SUBJECTS.to_owned()],
        storage: StorageType::File,
        num_replicas: wanted.replicas.unwrap_or(1),
        duplicate_window: wanted.duplicates.unwrap_or(DUPLICATES),
        max_age: wanted.max_age.unwrap_or(wanted.keep),
        allow_direct: true,
        ..Config::default()
    }
}

fn changed(config: &Config, wanted: &StreamTarget) -> Config {
    let mut config = config.clone();
    if check(&config).is_err() {
        config.subjects.push(SUBJECTS.to_owned());
    }
    config.num_replicas = wanted.replicas.unwrap_or(config.num_replicas);
    config.duplicate_window = wanted.duplicates.unwrap_or(config.duplicate_window);
    config.max_age = wanted.max_age.unwrap_or(config.max_age);
    config
}

/// Publishes `events`, a window of them at once. Within it each message names the one before, so that the server
/// refuses what would come out of order when one is lost on the way.
pub(super) async fn publish(
    context: &Context,
    events: &[CloudEvent],
    taken: &mut usize,
) -> Result<(), Problem> {
    for window in events.chunks(IN_FLIGHT) {
        let before = *taken;
        match together(context, window, taken).await {
            // Somebody else writes to this stream, too: nothing can be said about the message before ours.
            Err(Outcome::Order) => {
                let rest = window.get(*taken - before..).unwrap_or_default();
                one_by_one(context, rest, taken).await?;
            }
            Err(Outcome::Problem(problem)) => return Err(problem),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Why a window was not stored whole.
enum Outcome {
    /// A message was not preceded by the one that it named.
    Order,
    Problem(Problem),
}

impl<P: Into<Problem>> From<P> for Outcome {
    fn from(problem: P) -> Self {
        Self::Problem(problem.into())
    }
}

async fn together(context: &Context, window: &[CloudEvent], taken: &mut usize) -> Result<(), Outcome> {
    let (mut waiting, mut last) = (Vec::with_capacity(window.len()), None::<String>);
    let mut stopped = Ok(());
    'sending: for event in window {
        let mut acknowledgements = Vec::with_capacity(2);
        for message in Message::of(event)? {
            match send(context, &message, last.as_deref()).await {
                Ok(acknowledgement) => acknowledgements.push((acknowledgement, message.id.clone())),
                Err(problem) => {
                    stopped = Err(Outcome::Problem(problem));
                    break 'sending;
                }
            }
            last = Some(message.id);
        }
        waiting.push(acknowledgements);
    }
    for acknowledgements in waiting {
        for (acknowledgement, id) in acknowledgements {
            await_stored(acknowledgement, &id).await?;
        }
        *taken += 1;
    }
    stopped
}

async fn one_by_one(context: &Context, events: &[CloudEvent], taken: &mut usize) -> Result<(), Problem> {
    for event in events {
        for message in Message::of(event)? {
            let acknowledgement = send(context, &message, None).await?;
            match await_stored(acknowledgement, &message.id).await {
                Ok(()) => {}
                Err(Outcome::Problem(problem)) => return Err(problem),
                Err(Outcome::Order) => return Err("the stream expects an order that nobody asked for".into()),
            }
        }
        *taken += 1;
    }
    Ok(())
}

async fn send(
    context: &Context,
    message: &Message,
    after: Option<&str>,
) -> Result<PublishAckFuture, Problem> {
    let publishing = PublishMessage::build().headers(message.headers(after)).payload(message.payload.clone());
    let sent = context.send_publish(message.subject.clone(), publishing).await;
    sent.map_err(|error| match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => message.too_large(context.client().max_payload()),
        _ => error.into(),
    })
}

async fn await_stored(acknowledgement: PublishAckFuture, id: &str) -> Result<(), Outcome> {
    match acknowledgement.await {
        Ok(stored) => {
            if stored.duplicate {
                tracing::debug!(
                    bus = "nats",
                    id,
                    stream = stored.stream,
                    "the stream had this event already"
                );
            }
            Ok(())
        }
        Err(error) => Err(outcome(&error, id).unwrap_or_else(|| error.into())),
    }
}

/// What is special about `error`, if anything.
fn outcome(error: &PublishError, id: &str) -> Option<Outcome> {
    if error.kind() == PublishErrorKind::WrongLastMessageId {
        return Some(Outcome::Order);
    }
    let code = error.source()?.downcast_ref::<jetstream::Error>()?.error_code();
    let too_large = [ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM];
    let refused = format!("event `{id}` is larger than the stream takes: raise its `max_msg_size`");
    too_large.contains(&code).then(|| Outcome::Problem(Problem::Refused(refused.into())))
}
