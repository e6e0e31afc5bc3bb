//! What is before and behind s3s: hygiene, CORS, patience, and the headers of every answer.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use flagbase_core::{
    buckets::Bucket,
    caller::Peer,
    clock::Clock,
    gateway::{Forwarded, TrustedProxy},
    random::Random,
};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::{Frame, SizeHint};
use percent_encoding::percent_decode_str;
use s3s::{
    Body, S3Error,
    config::{S3Config, StaticConfigProvider},
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use tokio::{
    sync::Semaphore,
    time::{Sleep, sleep},
};

use super::{
    AccessKeys, Facade, S3Options, S3Parts,
    access::{Domain, Door, Names, Secrets},
    advice,
    blobs::TOO_SLOW,
    cors::Question,
    framing::{Framed, Framing},
    hygiene,
};

/// The largest XML that is read, in bytes: 10 000 parts, each with a checksum, are about 2 MB.
const MOST_XML: usize = 8 * 1024 * 1024;
/// The largest file that a form of a browser may bring, in bytes. s3s keeps it in memory.
const MOST_FORM: u64 = 16 * 1024 * 1024;
/// Forms that are read at the same time, so that what is kept of them is bounded.
const FORMS: usize = 4;
/// Fields of such a form, together, in bytes.
const MOST_FIELDS: usize = 256 * 1024;
/// How far the clock of a client may be off, in seconds, as S3 has it.
const MOST_SKEW: u32 = 15 * 60;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// Answers requests.
pub(super) struct Front {
    service: S3Service,
    facade: Facade,
    keys: AccessKeys,
    domain: Domain,
    trusted_proxies: Vec<TrustedProxy>,
    environment: Arc<str>,
    region: Arc<str>,
    patience: Duration,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    /// Forms that are read at the same time.
    forms: Semaphore,
}

impl Front {
    pub(super) fn new(parts: S3Parts) -> Self {
        let S3Parts { buckets, keys, clock, random, options } = parts;
        let S3Options { domain, region, trusted_proxies, environment, limits } = options;
        let region: Arc<str> = Arc::from(region);
        let facade = Facade { buckets, region: Arc::clone(&region) };
        let mut builder = S3ServiceBuilder::new(facade.clone());
        builder.set_auth(Secrets(Arc::clone(&keys)));
        builder.set_access(Door { keys: Arc::clone(&keys), environment: Arc::clone(&environment) });
        builder.set_host(Domain(domain.clone()));
        builder.set_validation(Names);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config()))));
        let patience = limits.body_timeout;
        let service = builder.build();
        let (domain, forms) = (Domain(domain), Semaphore::new(FORMS));
        Self {
            service,
            facade,
            keys,
            domain,
            trusted_proxies,
            environment,
            region,
            patience,
            random,
            clock,
            forms,
        }
    }

    /// Answers one request.
    pub(super) async fn answer<B>(&self, peer: SocketAddr, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let question = Question::of(&head);
        let bucket = question.as_ref().and_then(|_| self.bucket(&head));
        let mut response = if let Some(question) = question.as_ref().filter(|it| it.is_preflight()) {
            preflight(question, bucket.as_deref())
        } else if let Err(refused) = hygiene::check(&head, self.clock.now()) {
            told(refused)
        } else if hygiene::odd_region(&head.uri, &head.headers) {
            self.our_region()
        } else {
            let from = Forwarded::of(&self.trusted_proxies, peer.ip(), &head.headers);
            head.extensions.insert(Peer(from));
            let framing = Framing::of(&head);
            // Never closed, so there is a place sooner or later.
            let place = if framing.is_form() { self.forms.acquire().await.ok() } else { None };
            let patient = Patient::new(body, self.patience);
            let body = match framing {
                Framing::Plain => Body::http_body_unsync(patient),
                other => Body::http_body_unsync(Framed::new(patient, other)),
            };
            let answer = self.service.call(Request::from_parts(head, body)).await;
            drop(place);
            match answer {
                Ok(response) => response,
                Err(error) => {
                    let error: Box<dyn std::error::Error + Send + Sync> = error.into();
                    tracing::error!(%error, "an S3 request failed");
                    told(s3_error!(InternalError, "see the server's log"))
                }
            }
        };
        let cors = question.zip(bucket).and_then(|(question, bucket)| question.answer(&bucket));
        response.headers_mut().extend(cors.unwrap_or_default());
        if is_head && response.status().is_client_error() {
            *response.body_mut() = Body::empty();
        }
        self.finish(response)
    }

    fn finish(&self, mut response: Response<Body>) -> Response<Body> {
        let id = self.random.hex(8);
        if response.status().is_client_error() || response.status().is_server_error() {
            identify(&mut response, &id);
        }
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::try_from(id) {
            headers.insert(REQUEST_ID, id);
        }
        if let Ok(region) = HeaderValue::try_from(&*self.region) {
            headers.entry("x-amz-bucket-region").or_insert(region);
        }
        headers.insert(header::SERVER, HeaderValue::from_static("Flagbase"));
        // What people store is never to be taken for something else than they said.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    /// Tells a client which region to sign for. s3s cannot write the element that clients look for.
    fn our_region(&self) -> Response<Body> {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>AuthorizationHeaderMalformed</Code><Message>sign for \
             the region in `Region`</Message><Region>{}</Region></Error>",
            self.region
        );
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        response
    }

    /// The bucket that a request is about, by what it says of itself: only to tell a browser whose pages may ask.
    fn bucket(&self, head: &Parts) -> Option<Arc<Bucket>> {
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let of_path = || head.uri.path().trim_start_matches('/').split('/').next().map(str::to_owned);
        let name = self.domain.bucket(host).or_else(of_path)?;
        let name = percent_decode_str(&name).decode_utf8().ok()?;
        let key = hygiene::claimed(&head.uri, &head.headers).and_then(|id| (self.keys)(&id));
        let environment = key.map_or_else(|| Arc::clone(&self.environment), |key| key.environment);
        self.facade.buckets.objects().bucket(&environment, &name).ok()
    }
}

/// Says in an error what to do, and which request it answers, as its header does.
fn identify(response: &mut Response<Body>, id: &str) {
    let bytes = response.body().bytes().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let text = advice::with_message(&text).map_or(text, Into::into);
    let Some(before) = text.strip_suffix("</Error>") else { return };
    let text = format!("{before}<RequestId>{id}</RequestId></Error>");
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(text);
}

fn config() -> S3Config {
    let mut config = S3Config::default();
    config.xml_max_body_size = MOST_XML;
    config.post_object_max_file_size = MOST_FORM;
    config.form_max_field_size = MOST_FIELDS;
    config.form_max_fields_size = MOST_FIELDS;
    config.form_max_parts = 100;
    config.presigned_url_max_skew_time_secs = MOST_SKEW;
    config
}

fn preflight(question: &Question, bucket: Option<&Bucket>) -> Response<Body> {
    if bucket.and_then(|bucket| question.answer(bucket)).is_some() {
        return Response::new(Body::empty());
    }
    let message = "this origin may not do this here; set rules of CORS for the bucket";
    let mut error = S3Error::with_message(s3s::S3ErrorCode::Custom("AccessForbidden".into()), message);
    error.set_status_code(StatusCode::FORBIDDEN);
    told(error)
}

fn told(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|error| {
        tracing::error!(%error, "an error of S3 cannot be written");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// A body that fails when nothing comes for too long.
struct Patient<B> {
    body: B,
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> Patient<B> {
    fn new(body: B, patience: Duration) -> Self {
        Self { body, patience, timer: None }
    }
}

impl<B> http_body::Body for Patient<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(context) {
            self.timer = None;
            return Poll::Ready(next.map(|frame| frame.map_err(Into::into)));
        }
        let patience = self.patience;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(patience)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => {
                self.timer = None;
                Poll::Ready(Some(Err(TOO_SLOW.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
