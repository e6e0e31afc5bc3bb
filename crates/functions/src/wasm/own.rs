//! Components that export our own interfaces: `flagbase:faas/{handler,subscriber,timer}`.

mod data;
mod host;
mod messages;

use std::sync::Arc;

use bytes::Bytes;
use flagbase_core::functions::{Body, Deployed, Event, Fault, Occasion, Serves};
use wasmtime::{
    Store,
    component::{Component, HasSelf, Instance, InstancePre, Linker},
};

use super::{call::Call, calls, fault, guest::Guest, linker::Terms};

/// What `wit/faas.wit` and `wit/features.wit` say, in Rust.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: ["wit/features.wit", "wit/faas.wit"],
        world: "flagbase:faas/function",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: {
            "flagbase:faas/secrets": async,
            "flagbase:faas/fetch": async,
            "flagbase:faas/keyvalue": async,
            "flagbase:faas/buckets": async,
        },
        exports: { default: async },
    });
}

use bindings::{
    exports::flagbase::faas::{handler, subscriber, timer},
    flagbase::{faas, features},
};

/// Adds our own interfaces, as far as they are granted.
pub(crate) fn link(linker: &mut Linker<Guest>, terms: Terms) -> wasmtime::Result<()> {
    type Own = HasSelf<Guest>;
    faas::types::add_to_linker::<Guest, Own>(linker, |guest| guest)?;
    faas::context::add_to_linker::<Guest, Own>(linker, |guest| guest)?;
    faas::log::add_to_linker::<Guest, Own>(linker, |guest| guest)?;
    faas::config::add_to_linker::<Guest, Own>(linker, |guest| guest)?;
    if terms.flags {
        features::evaluate::add_to_linker::<Guest, Own>(linker, |guest| guest)?;
    }
    if terms.secrets {
        faas::secrets::add_to_linker::<Guest, Own>(linker, |guest| guest)?;
    }
    if terms.outbound {
        faas::fetch::add_to_linker::<Guest, Own>(linker, |guest| guest)?;
    }
    if terms.keyvalue {
        faas::keyvalue::add_to_linker::<Guest, Own>(linker, |guest| guest)?;
    }
    if terms.buckets {
        faas::buckets::add_to_linker::<Guest, Own>(linker, |guest| guest)?;
    }
    if terms.publish {
        faas::bus::add_to_linker::<Guest, Own>(linker, |guest| guest)?;
    }
    Ok(())
}

/// A component ready to be called, with the places of what it exports.
pub(crate) struct Program {
    pre: InstancePre<Guest>,
    handler: Option<handler::GuestIndices>,
    subscriber: Option<subscriber::GuestIndices>,
    timer: Option<timer::GuestIndices>,
}

/// An instance with what belongs to it.
pub(crate) struct Running {
    pub(crate) store: Store<Guest>,
    instance: Instance,
}

impl Running {
    /// Turns to another call.
    pub(crate) fn turn_to(&mut self, call: Arc<Call>) {
        self.store.data_mut().turn_to(call);
        calls::begin(&mut self.store);
    }

    /// Which version it is of.
    pub(crate) fn deployed(&self) -> &Arc<Deployed> {
        &self.store.data().call.visit.deployed
    }

    /// Whether the next call may find too little memory.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.store.data().meter.is_nearly_full()
    }
}

impl Program {
    /// From a component whose imports are all there.
    pub(crate) fn new(pre: InstancePre<Guest>) -> wasmtime::Result<Self> {
        let has = |name: &str| exports(pre.component(), name);
        Ok(Self {
            handler: has(HANDLER).then(|| handler::GuestIndices::new(&pre)).transpose()?,
            subscriber: has(SUBSCRIBER).then(|| subscriber::GuestIndices::new(&pre)).transpose()?,
            timer: has(TIMER).then(|| timer::GuestIndices::new(&pre)).transpose()?,
            pre,
        })
    }

    /// What it can be called for.
    pub(crate) fn serves(&self) -> Vec<Serves> {
        let all = [
            self.handler.is_some().then_some(Serves::Requests),
            self.subscriber.is_some().then_some(Serves::Events),
            self.timer.is_some().then_some(Serves::Schedules),
        ];
        all.into_iter().flatten().collect()
    }

    /// An instance of its own for `store`.
    pub(crate) async fn start(&self, mut store: Store<Guest>) -> Result<Running, Fault> {
        match self.pre.instantiate_async(&mut store).await {
            Ok(instance) => Ok(Running { store, instance }),
            Err(error) => Err(fault::of(&error, &store)),
        }
    }

    /// Answers a request whose body is here.
    pub(crate) async fn answer(
        &self,
        running: &mut Running,
        head: &http::request::Parts,
        body: &[u8],
    ) -> Result<http::Response<Body>, Fault> {
        let Some(indices) = &self.handler else {
            return Err(not_served(running, "requests"));
        };
        let Running { store, instance } = running;
        let handler = indices.load(&mut *store, instance).map_err(|error| fault::of(&error, store))?;
        let headers = messages::headers(&head.headers);
        let request = messages::request(head, &headers, body);
        let answer = handler.call_handle(&mut *store, request).await;
        let answer = answer.map_err(|error| fault::of(&error, store))?;
        messages::response(answer, store.data().call.limits())
    }

    /// Hands over an event or a moment.
    pub(crate) async fn take(&self, running: &mut Running, occasion: &Occasion) -> Result<(), Fault> {
        let done = match occasion {
            Occasion::Event(event) => self.receive(running, event).await?,
            Occasion::Tick { schedule, at } => {
                let time = at.to_string();
                self.run(running, timer::Tick { schedule, time: &time }).await?
            }
        };
        done.map_err(|message| Fault::Reported(messages::sentence(message)))
    }

    async fn receive(&self, running: &mut Running, event: &Event) -> Result<Result<(), String>, Fault> {
        let Some(indices) = &self.subscriber else {
            return Err(not_served(running, "events"));
        };
        let Running { store, instance } = running;
        let subscriber = indices.load(&mut *store, instance).map_err(|error| fault::of(&error, store))?;
        let time = event.time.to_string();
        let event = subscriber::Event {
            id: &event.id,
            subject: &event.subject,
            kind: &event.kind,
            time: &time,
            content_type: &event.content_type,
            data: &event.data,
            attempt: event.attempt,
        };
        subscriber.call_receive(&mut *store, event).await.map_err(|error| fault::of(&error, store))
    }

    async fn run(&self, running: &mut Running, tick: timer::Tick<'_>) -> Result<Result<(), String>, Fault> {
        let Some(indices) = &self.timer else {
            return Err(not_served(running, "schedules"));
        };
        let Running { store, instance } = running;
        let timer = indices.load(&mut *store, instance).map_err(|error| fault::of(&error, store))?;
        timer.call_run(&mut *store, tick).await.map_err(|error| fault::of(&error, store))
    }
}

/// The body of a request, all of it: our own interface takes it whole.
pub(crate) async fn body(call: &Call, body: Body) -> Result<Bytes, Fault> {
    Ok(body.collect(call.limits().request_body).await?)
}

const HANDLER: &str = "flagbase:faas/handler@1.0.0";
const SUBSCRIBER: &str = "flagbase:faas/subscriber@1.0.0";
const TIMER: &str = "flagbase:faas/timer@1.0.0";

fn exports(component: &Component, name: &str) -> bool {
    component.get_export_index(None, name).is_some()
}

fn not_served(running: &Running, what: &'static str) -> Fault {
    let call: &Arc<Call> = &running.store.data().call;
    Fault::NotServed { version: call.visit.deployed.version, what }
}
