//! WASI preview 1 commands, as CGI (RFC 3875): the request in variables and on standard input, the answer on standard
//! output. Events and moments of schedules come as JSON on standard input; the exit code says whether it went well.

mod output;
mod response;
mod variables;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use flagbase_core::functions::{Body, Event, Fault, Occasion, Stream};
use serde_json::{Value, json};
use wasmtime::{InstancePre, Linker, Module, Store};
use wasmtime_wasi::{I32Exit, WasiCtx, p1, p2::pipe::MemoryInputPipe};

use self::output::Output;
use super::{call::Call, clocks, fault, guest::Guest, output::LogStream};

/// What the head of an answer may take beside its body.
const HEAD: u64 = 64 << 10;

/// A linker with `wasi_snapshot_preview1` over [`Guest::command`].
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    p1::add_to_linker_async(&mut linker, |guest: &mut Guest| {
        // It is set before anything runs; one that can do nothing stands in.
        guest.command.get_or_insert_with(|| Box::new(WasiCtx::builder().build_p1())).as_mut()
    })?;
    Ok(linker)
}

/// A command ready to run.
pub(crate) struct Program {
    pre: InstancePre<Guest>,
}

impl Program {
    /// From a module whose imports are all there.
    pub(crate) fn new(linker: &Linker<Guest>, module: &Module) -> wasmtime::Result<Self> {
        Ok(Self { pre: linker.instantiate_pre(module)? })
    }

    /// Answers one request in a fresh instance.
    pub(crate) async fn serve(
        &self,
        store: Store<Guest>,
        request: ::http::Request<Body>,
    ) -> Result<::http::Response<Body>, Fault> {
        let limits = store.data().call.limits();
        let most = limits.response_body;
        let (parts, body) = request.into_parts();
        // All of it first: CGI tells the length before a program begins, and a body that breaks off costs no instance.
        let body = body.collect(limits.request_body).await?;
        let variables = variables::of_request(&store.data().call.visit, &parts, body.len());
        let output = Output::new(most.saturating_add(HEAD));
        self.run(store, &variables, body, Some(&output)).await?;
        response::parse(&output.take(), most)
    }

    /// Hands over an event or a moment of a schedule in a fresh instance; exit code 0 means that it is done.
    pub(crate) async fn deliver(&self, store: Store<Guest>, occasion: Occasion) -> Result<(), Fault> {
        let (name, body) = described(&occasion);
        let variables = variables::of_occasion(&store.data().call.visit, name);
        self.run(store, &variables, body, None).await
    }

    async fn run(
        &self,
        mut store: Store<Guest>,
        variables: &[(String, String)],
        input: Bytes,
        output: Option<&Output>,
    ) -> Result<(), Fault> {
        store.data_mut().command = Some(Box::new(context(&store.data().call, variables, input, output)));
        let outcome = start(&self.pre, &mut store).await;
        let Err(error) = outcome else { return Ok(()) };
        match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(0)) => Ok(()),
            Some(I32Exit(code)) => Err(Fault::Reported(format!("it ended with exit code {code}"))),
            None => Err(output.and_then(Output::overflow).unwrap_or_else(|| fault::of(&error, &store))),
        }
    }
}

async fn start(pre: &InstancePre<Guest>, store: &mut Store<Guest>) -> wasmtime::Result<()> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(&mut *store, ()).await
}

/// What the program sees of the world: streams and variables; no directory, no socket, no variable of this process.
fn context(
    call: &Arc<Call>,
    variables: &[(String, String)],
    input: Bytes,
    output: Option<&Output>,
) -> p1::WasiP1Ctx {
    let mut wasi = WasiCtx::builder();
    clocks::coarse(&mut wasi);
    wasi.arg(&call.visit.deployed.function)
        .envs(variables)
        .stdin(MemoryInputPipe::new(input))
        .stderr(LogStream::of(call, Stream::Stderr));
    match output {
        Some(output) => wasi.stdout(output.clone()),
        None => wasi.stdout(LogStream::of(call, Stream::Stdout)),
    };
    wasi.build_p1()
}

/// An occasion by name, and as JSON.
fn described(occasion: &Occasion) -> (&'static str, Bytes) {
    let (name, value) = match occasion {
        Occasion::Tick { schedule, at } => {
            ("tick", json!({ "schedule": &**schedule, "time": at.to_string() }))
        }
        Occasion::Event(event) => ("event", of_event(event)),
    };
    (name, value.to_string().into())
}

/// `data` is JSON where the event says so, else text, else it is `data_base64`, as in CloudEvents.
fn of_event(event: &Event) -> Value {
    let mut value = json!({
        "id": event.id,
        "subject": event.subject,
        "kind": event.kind,
        "time": event.time.to_string(),
        "content_type": event.content_type,
        "attempt": event.attempt,
    });
    let json =
        event.content_type.contains("json").then(|| serde_json::from_slice(&event.data).ok()).flatten();
    let text = || std::str::from_utf8(&event.data).ok().map(Value::from);
    let (key, data) = match json.or_else(text) {
        Some(data) => ("data", data),
        None => ("data_base64", BASE64.encode(&event.data).into()),
    };
    if let Value::Object(fields) = &mut value {
        fields.insert(key.to_owned(), data);
    }
    value
}
