//! A running gateway, backends that record, and clients that send exactly what they are told.

use std::{collections::HashMap, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use flagbase_core::{
    buckets::{Buckets, BucketsParts, ObjectHead, Objects, Put, Signer},
    caller::{Caller, Principal},
    catalog::{Actor, DocumentId, Draft, Expect, Kind, Write},
    environments::{EnvironmentKind, Environments},
    feed::Feed,
    flags::{Asked, Flags},
    functions::{Body, Logs, Runner, RunnerParts},
    gateway::{GatewayConfig, Routes},
    metrics::{Bounds, Meters, Metrics, Recorder, Settings},
    refusal::{Precondition, Refusal},
    tasks::Tasks,
};
use flagbase_gateway::{Callers, Gateway, Limits, Parts, Server, Workers};
use flagbase_linger::Lingering;
use flagbase_testkit::{FixedClock, Memory, MemoryBlobs, SeededRandom};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::code::{Code, Fault};

/// Long enough for anything on a busy machine; only a failure waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Callers by token.
pub(crate) struct Known(HashMap<&'static str, Arc<Caller>>);

impl Callers for Known {
    fn cached(&self, token: &str) -> Option<Arc<Caller>> {
        self.0.get(token).cloned()
    }

    async fn authenticate(&self, _: &str) -> Result<Arc<Caller>, Refusal> {
        Err(Refusal::unauthenticated())
    }
}

pub(crate) fn person(role: &str) -> Caller {
    Caller {
        principal: Principal::User,
        id: format!("id-of-{role}").as_str().into(),
        email: "alice@example.com".into(),
        role: role.into(),
        session: Some("session-1".into()),
        ..Caller::clone(&Caller::nobody())
    }
}

/// What a gateway is set up with.
pub(crate) struct Setup {
    pub(crate) config: GatewayConfig,
    pub(crate) limits: Limits,
    pub(crate) flags: Vec<Value>,
    pub(crate) routes: Vec<Value>,
    /// Functions as the catalog keeps them.
    pub(crate) functions: Vec<Value>,
    /// Buckets, which have a `name`.
    pub(crate) buckets: Vec<Value>,
    pub(crate) code: Code,
    pub(crate) kind: EnvironmentKind,
}

impl Setup {
    pub(crate) fn routes(routes: impl IntoIterator<Item = Value>) -> Self {
        Self {
            config: GatewayConfig::default(),
            limits: Limits::default(),
            flags: Vec::new(),
            routes: routes.into_iter().collect(),
            functions: Vec::new(),
            buckets: Vec::new(),
            code: Code::new(|_, _| Box::pin(async { Err(Fault::Exhausted) })),
            kind: EnvironmentKind::Development,
        }
    }
}

/// A running gateway. Everything it started ends when it is dropped.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) routes: Routes,
    pub(crate) flags: Flags,
    pub(crate) metrics: Metrics,
    pub(crate) objects: Arc<Objects>,
    pub(crate) blobs: MemoryBlobs,
    pub(crate) stop: CancellationToken,
    tasks: Tasks,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.stopping().cancel();
    }
}

impl World {
    pub(crate) async fn start(setup: Setup) -> Self {
        let (clock, random) = (Arc::new(FixedClock::default()), Arc::new(SeededRandom::new(1)));
        let memory = Memory::new();
        let feed = Feed::open(Arc::new(memory.clone()), clock.clone(), random).await.unwrap();
        let feed = Arc::new(feed);
        Environments::new(Arc::clone(&feed)).ensure_default(setup.kind).await.unwrap();
        for function in &setup.functions {
            install(&feed, function).await;
        }
        let blobs = MemoryBlobs::new();
        let objects = buckets(&setup, &feed, (&memory, &blobs)).await;
        let (flags, routes) =
            (Flags::new(Arc::clone(&feed)), Routes::new(Arc::clone(&feed), setup.config.addresses()));
        fill(&setup, &flags, &routes).await;
        let meters = Arc::new(Meters::default());
        let recorder = Arc::new(Recorder::new(clock.clone(), Arc::clone(&meters), Bounds::default()));
        let ledger = Arc::new(memory);
        let metrics =
            Metrics::new(Arc::clone(&feed), ledger.clone(), Arc::clone(&recorder), Settings::default());
        let functions = Runner::new(RunnerParts {
            compute: Arc::new(setup.code),
            logs: Arc::new(Logs::new(clock.clone())),
            meters,
            ledger,
            clock,
            random: Arc::new(SeededRandom::new(2)),
        });
        let tasks = Tasks::new();
        let callers = ["admin", "developer", "user"].map(|role| (role, Arc::new(person(role))));
        let gateway = Gateway::start(Parts {
            config: setup.config,
            feed,
            callers: Arc::new(Known(HashMap::from(callers))),
            recorder,
            functions: Arc::new(functions),
            objects: Arc::clone(&objects),
            tasks: tasks.clone(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        // One, so that a second client finds the connection to the backend that the first one left.
        let workers = Workers::start(1).unwrap();
        let server = Server { gateway, fallback: tower::service_fn(fallback), limits: setup.limits, workers };
        let until = stop.clone();
        tasks.spawn("server", async move {
            server.run(listener, until, Duration::from_secs(5)).await;
        });
        Self { address, routes, flags, metrics, objects, blobs, stop, tasks }
    }

    /// A gateway with one route: everything goes to `backend`.
    pub(crate) async fn before(backend: &str) -> Self {
        Self::start(Setup::routes([json!({"id": "all", "pattern": "/*", "backend_url": backend})])).await
    }

    /// Puts an object into a bucket.
    pub(crate) async fn put(&self, bucket: &str, (key, head): (&str, ObjectHead), bytes: impl Into<Bytes>) {
        let bucket = self.objects.bucket("default", bucket).unwrap();
        let put = Put { key, head, body: Body::Whole(bytes.into()), ..Put::default() };
        self.objects.put(Actor::system(), &bucket, put).await.unwrap();
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends these bytes on a connection of their own and reads one answer.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        Answer::read(&mut stream).await
    }

    /// `GET /gateway{path}` with these header lines.
    pub(crate) async fn get(&self, path: &str, headers: &[&str]) -> Answer {
        let lines: String = headers.iter().flat_map(|line| [*line, "\r\n"]).collect();
        self.send(format!("GET /gateway{path} HTTP/1.1\r\nHost: shop.example.com\r\n{lines}\r\n")).await
    }
}

/// Makes the buckets.
async fn buckets(setup: &Setup, feed: &Arc<Feed>, (memory, blobs): (&Memory, &MemoryBlobs)) -> Arc<Objects> {
    let buckets = Buckets::new(BucketsParts {
        feed: Arc::clone(feed),
        index: Arc::new(memory.clone()),
        uploads: Arc::new(memory.clone()),
        blobs: Arc::new(blobs.clone()),
        signer: Signer::new(b"a secret of tests"),
    });
    let admin = person("admin");
    let asked = Asked { caller: &admin, environment: "default", reason: "" };
    for bucket in &setup.buckets {
        buckets.put(asked, bucket["name"].as_str().unwrap(), bucket, Precondition::None).await.unwrap();
    }
    Arc::clone(buckets.objects())
}

/// Puts a function into the catalog as it is kept there.
async fn install(feed: &Feed, function: &Value) {
    let draft = Draft {
        id: DocumentId::new(Kind::Function, "default", function["name"].as_str().unwrap()),
        verb: "created",
        expect: Expect::Absent,
        write: Write::Put(function.clone()),
        detail: Value::Null,
    };
    feed.edit().await.commit(Actor::system(), "", vec![draft]).await.unwrap();
}

async fn fill(setup: &Setup, flags: &Flags, routes: &Routes) {
    let admin = person("admin");
    let asked = Asked { caller: &admin, environment: "default", reason: "" };
    for flag in &setup.flags {
        flags.create(asked, flag).await.unwrap();
    }
    for route in &setup.routes {
        routes.register(asked, route).await.unwrap();
    }
}

async fn fallback(request: Request<Lingering<Incoming>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = format!("fallback: {}", request.uri());
    Ok(Response::new(Full::new(Bytes::from(body))))
}

/// An answer, read from a socket.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// 0 when the connection was closed without any.
    pub(crate) status: u16,
    /// Everything before the body, lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Reads one answer: as long as it says, or to the end of the connection.
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        tokio::time::timeout(PATIENCE, Self::read_patiently(stream)).await.expect("no whole answer came")
    }

    async fn read_patiently(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        loop {
            if let Some(answer) = Self::parse(&bytes, false) {
                return answer;
            }
            let mut part = vec![0; 16 * 1024];
            match stream.read(&mut part).await {
                Ok(count) if count > 0 => bytes.extend_from_slice(&part[..count]),
                _ => return Self::parse(&bytes, true).unwrap_or_default(),
            }
        }
    }

    fn parse(bytes: &[u8], ended: bool) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let answer = Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() };
        let whole = match answer.header("content-length").and_then(|length| length.parse::<usize>().ok()) {
            Some(length) => body.len() >= length,
            None if answer.header("transfer-encoding").is_some() => body.ends_with("0\r\n\r\n"),
            None => matches!(status, 101 | 204 | 304),
        };
        (whole || ended).then_some(answer)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What a handler of a test answers.
pub(crate) type Reply = Response<BoxBody<Bytes, Infallible>>;

pub(crate) fn reply(status: u16, body: impl Into<Bytes>) -> Reply {
    Response::builder().status(status).body(Full::new(body.into()).boxed()).unwrap()
}

/// A backend that answers with `handler`, HTTP/1.1 and HTTP/2 without TLS. Runs until the test ends.
#[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
pub(crate) async fn backend<H, F>(handler: H) -> SocketAddr
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let handler = handler.clone();
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// A backend that answers `ok` to whatever it reads and keeps every byte of it.
#[derive(Clone, Default)]
pub(crate) struct Recording {
    seen: Arc<parking_lot::Mutex<Vec<String>>>,
}

impl Recording {
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    pub(crate) async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let recording = Self::default();
        let kept = recording.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(kept.clone().serve(stream));
            }
        });
        (recording, url)
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let mut part = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut part).await {
            bytes.extend_from_slice(&part[..count]);
            while let Some(length) = whole_request(&bytes) {
                let request = bytes.drain(..length).collect::<Vec<_>>();
                self.seen.lock().push(String::from_utf8_lossy(&request).into_owned());
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    }

    /// Whole requests seen since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock())
    }
}

/// The length of the request at the start of `bytes`, once it is all there.
fn whole_request(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes);
    let head = text.find("\r\n\r\n")? + 4;
    let lower = text[..head].to_ascii_lowercase();
    let value = |name: &str| lower.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if value("transfer-encoding:").is_some() {
        return text[head..].find("0\r\n\r\n").map(|end| head + end + 5);
    }
    let length: usize = value("content-length:").map_or(0, |length| length.parse().unwrap());
    (bytes.len() >= head + length).then_some(head + length)
}

/// The header of a recorded request.
pub(crate) fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    let lines = request.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}
