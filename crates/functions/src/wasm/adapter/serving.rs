//! One call, from the store to the answer.

use std::sync::Arc;

use flagbase_core::functions::{Body, Fault, Occasion, Visit};
use http::{Request, Response};
use wasmtime::Store;

use super::{Ready, Wasm};
use crate::wasm::{
    call::Call,
    calls,
    guest::Guest,
    load::{Key, Loaded},
    own::{self, Program},
    warm::{Taken, Warm},
};

impl Wasm {
    /// Makes an instance of what would be called, and drops it: what a call costs at least.
    ///
    /// # Errors
    /// As a call would fail before the function gets it.
    pub async fn rehearse(&self, visit: Visit) -> Result<(), Fault> {
        let ready = self.ready().map_err(|error| Fault::Unstartable(error.to_string()))?;
        let loaded = ready.shelf.get(Key::from(&*visit.deployed)).await?;
        let place = ready.place(&self.call(visit));
        match &*loaded {
            Loaded::Own(program) => program.start(place.store()).await.map(drop),
            Loaded::Http(_) | Loaded::Command(_) => Ok(()),
        }
    }

    pub(super) fn call(&self, visit: Visit) -> Arc<Call> {
        Arc::new(Call::new(visit, Arc::clone(&self.host), Arc::clone(&self.outside)))
    }
}

impl Ready {
    pub(super) async fn serve(
        &self,
        loaded: Arc<Loaded>,
        call: Arc<Call>,
        request: Request<Body>,
    ) -> Result<Response<Body>, Fault> {
        let store = || self.store(&call);
        match &*loaded {
            Loaded::Own(_) => {
                let store = self.place(&call);
                self.driver.drive(&call, answer(Arc::clone(&loaded), store, request)).await
            }
            Loaded::Http(program) => {
                let serve = program.serve(&self.driver, store(), request);
                let ended = tokio::time::timeout_at(call.deadline, serve).await;
                ended.unwrap_or_else(|_| Err(Fault::TimedOut(call.limits().timeout)))
            }
            Loaded::Command(_) => {
                let (loaded, store) = (Arc::clone(&loaded), store());
                let work = async move {
                    let Loaded::Command(program) = &*loaded else { return Err(mixed_up()) };
                    program.serve(store, request).await
                };
                self.driver.drive(&call, work).await
            }
        }
    }

    pub(super) async fn deliver(
        &self,
        loaded: Arc<Loaded>,
        call: Arc<Call>,
        occasion: Occasion,
    ) -> Result<(), Fault> {
        let place = self.place(&call);
        let at = Arc::clone(&call);
        let work = async move {
            match &*loaded {
                Loaded::Own(program) => {
                    let mut taken = place.enter(program).await?;
                    program.take(&mut taken.running, &occasion).await?;
                    place.leave(taken);
                    Ok(())
                }
                Loaded::Command(program) => program.deliver(place.store(), occasion).await,
                Loaded::Http(_) => {
                    let what = match occasion {
                        Occasion::Event(_) => "events",
                        Occasion::Tick { .. } => "schedules",
                    };
                    Err(Fault::NotServed { version: at.visit.deployed.version, what })
                }
            }
        };
        self.driver.drive(&call, work).await
    }

    fn store(&self, call: &Arc<Call>) -> Store<Guest> {
        self.place(call).store()
    }

    fn place(&self, call: &Arc<Call>) -> Place {
        Place {
            engine: self.machine.engine.clone(),
            call: Arc::clone(call),
            warm: call.visit.deployed.settings.warm.then(|| Arc::clone(&self.warm)),
        }
    }
}

async fn answer(loaded: Arc<Loaded>, place: Place, request: Request<Body>) -> Result<Response<Body>, Fault> {
    let Loaded::Own(program) = &*loaded else { return Err(mixed_up()) };
    let (head, body) = request.into_parts();
    let body = own::body(&place.call, body).await?;
    let mut taken = place.enter(program).await?;
    let answer = program.answer(&mut taken.running, &head, &body).await?;
    place.leave(taken);
    Ok(answer)
}

fn mixed_up() -> Fault {
    Fault::Unstartable("its code is of another shape than it was".to_owned())
}

/// Where a call finds its instance, and leaves it.
struct Place {
    engine: wasmtime::Engine,
    call: Arc<Call>,
    warm: Option<Arc<Warm>>,
}

impl Place {
    /// A store whose limits are those of the call.
    fn store(&self) -> Store<Guest> {
        let mut store = Store::new(&self.engine, Guest::new(Arc::clone(&self.call)));
        store.limiter(|guest| &mut guest.meter);
        calls::begin(&mut store);
        store
    }

    /// An instance: a fresh one, unless the function wants to be kept warm and one is there.
    async fn enter(&self, program: &Program) -> Result<Taken, Fault> {
        if let Some(taken) = self.warm.as_ref().and_then(|warm| warm.take(&self.call)) {
            return Ok(taken);
        }
        Ok(Taken::fresh(program.start(self.store()).await?))
    }

    /// The call ended well. Without this, the instance is dropped.
    fn leave(&self, taken: Taken) {
        if let Some(warm) = &self.warm {
            warm.put(taken);
        }
    }
}
