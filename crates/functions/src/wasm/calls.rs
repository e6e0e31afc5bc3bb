//! How calls are driven: short ones where they came from, long ones beside everything else.
//!
//! A guest is polled on its caller's thread first: no other thread is woken for what takes microseconds. A guest that
//! computes for longer than an epoch or two is moved to a few threads of low priority, so that whoever shares the
//! caller's thread does not wait for it. Dropping the future of a call drops the guest, wherever it is.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use flagbase_core::{functions::Fault, tasks::Tasks};
use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
    time::Instant,
};
use wasmtime::{Store, UpdateDeadline};

use super::{call::Call, epochs::Epochs, guest::Guest};

/// Epochs that a guest may compute on its caller's thread, and between two looks at its deadline.
const EPOCHS: u64 = 2;
/// How much the threads of long calls give way to others.
const NICE: i32 = 5;

/// Drives guests.
#[derive(Clone)]
pub(crate) struct Driver {
    epochs: Arc<Epochs>,
    background: Arc<Background>,
}

struct Background {
    tasks: Tasks,
    threads: usize,
    runtime: Mutex<Option<Runtime>>,
}

impl Driver {
    /// With so many threads for long calls, started when the first one comes.
    pub(crate) fn new(epochs: Arc<Epochs>, tasks: Tasks, threads: usize) -> Self {
        Self { epochs, background: Arc::new(Background { tasks, threads, runtime: Mutex::new(None) }) }
    }

    /// Drives `work`, all that a call does in its guest, to its end or the call's deadline.
    pub(crate) async fn drive<T: Send + 'static>(
        &self,
        call: &Arc<Call>,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        let polite = self.polite(call, work);
        match tokio::time::timeout_at(call.deadline, polite).await {
            Ok(done) => done?,
            Err(_) => Err(Fault::TimedOut(call.limits().timeout)),
        }
    }

    /// The same without a deadline: an error means that it was stopped. For what goes on after the head of an answer.
    pub(crate) fn polite<T: Send + 'static>(
        &self,
        call: &Arc<Call>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Polite<T> {
        Polite { place: Place::Here(Box::pin(work)), driver: self.clone(), call: Arc::clone(call) }
    }

    /// Ends the threads of long calls, and what runs there.
    pub(crate) fn stop(&self) {
        if let Some(runtime) = self.background.runtime.lock().take() {
            runtime.shutdown_background();
        }
        self.epochs.stop();
    }
}

impl Background {
    fn handle(&self) -> Result<Handle, Fault> {
        let mut runtime = self.runtime.lock();
        if let Some(runtime) = &*runtime {
            return Ok(runtime.handle().clone());
        }
        let built = Builder::new_multi_thread()
            .worker_threads(self.threads)
            .thread_name("function")
            .enable_time()
            .on_thread_start(|| {
                // Only a wish: where it is not granted, long calls compete with everything else.
                let _ = rustix::process::setpriority_process(None, NICE);
            })
            .build()
            .map_err(|error| Fault::Unstartable(format!("no thread to run it on: {error}")))?;
        Ok(runtime.insert(built).handle().clone())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.get_mut().take() {
            runtime.shutdown_background();
        }
    }
}

/// A guest at work that keeps no neighbour waiting.
pub(crate) struct Polite<T> {
    place: Place<T>,
    driver: Driver,
    call: Arc<Call>,
}

enum Place<T> {
    /// On the thread that polls this.
    Here(Pin<Box<dyn Future<Output = T> + Send>>),
    /// On a thread for long calls.
    Away(oneshot::Receiver<T>),
    /// On its way, or over.
    Nowhere,
}

impl<T: Send + 'static> Future for Polite<T> {
    type Output = Result<T, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Place::Here(work) = &mut this.place {
            let polled = {
                let _passing = this.driver.epochs.pass();
                work.as_mut().poll(context)
            };
            match polled {
                Poll::Ready(done) => return Poll::Ready(Ok(done)),
                Poll::Pending if this.call.computing.swap(false, Relaxed) => this.go_away()?,
                Poll::Pending => return Poll::Pending,
            }
        }
        match &mut this.place {
            Place::Away(end) => Poll::Ready(ready!(Pin::new(end).poll(context)).map_err(|_| stopped())),
            Place::Here(_) | Place::Nowhere => Poll::Ready(Err(stopped())),
        }
    }
}

impl<T: Send + 'static> Polite<T> {
    fn go_away(&mut self) -> Result<(), Fault> {
        let Place::Here(work) = std::mem::replace(&mut self.place, Place::Nowhere) else {
            return Ok(());
        };
        let handle = self.driver.background.handle()?;
        let (mut done, end) = oneshot::channel();
        let work = Watched { work, epochs: Arc::clone(&self.driver.epochs) };
        self.driver.background.tasks.spawn_on(&handle, "function", async move {
            tokio::select! {
                biased;
                () = done.closed() => {}
                result = work => { let _ = done.send(result); }
            }
        });
        self.place = Place::Away(end);
        Ok(())
    }
}

fn stopped() -> Fault {
    Fault::Unstartable("it was stopped, because the server stops or something in it broke".to_owned())
}

/// Lets epochs pass while it is polled.
struct Watched<T> {
    work: Pin<Box<dyn Future<Output = T> + Send>>,
    epochs: Arc<Epochs>,
}

impl<T> Future for Watched<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let _passing = this.epochs.pass();
        this.work.as_mut().poll(context)
    }
}

/// From now on `store` gives way every few epochs, and ends at the deadline of the call it serves.
pub(crate) fn begin(store: &mut Store<Guest>) {
    store.set_epoch_deadline(EPOCHS);
    store.epoch_deadline_callback(|store| {
        let call = &store.data().call;
        if Instant::now() >= call.deadline {
            return Ok(UpdateDeadline::Interrupt);
        }
        call.computing.store(true, Relaxed);
        Ok(UpdateDeadline::Yield(EPOCHS))
    });
}
