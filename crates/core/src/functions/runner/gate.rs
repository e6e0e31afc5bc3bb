//! The gate in front of a function: so many calls at once, so many waiting, first come first served.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::functions::{Fault, Limits};

/// Lets so many calls in at once.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    size: AtomicU32,
    resizing: Mutex<()>,
    /// Places that were taken away while calls were in them: whoever leaves next does not give his back.
    owed: AtomicU32,
    running: AtomicU32,
    waiting: AtomicU32,
}

/// A place; given back when it is dropped.
pub(super) struct Permit {
    gate: Arc<Gate>,
    place: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub(super) fn new(size: u32) -> Self {
        Self {
            places: Arc::new(Semaphore::new(size as usize)),
            size: AtomicU32::new(size),
            resizing: Mutex::default(),
            owed: AtomicU32::new(0),
            running: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
        }
    }

    /// Calls under way, and those that wait.
    pub(super) fn load(&self) -> (u32, u32) {
        (self.running.load(Relaxed), self.waiting.load(Relaxed))
    }

    /// Waits for a place, at most as long as a call may take.
    pub(super) async fn enter(self: &Arc<Self>, limits: &Limits) -> Result<Permit, Fault> {
        self.resize(limits.concurrency);
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(TryAcquireError::NoPermits) => self.wait(limits).await?,
            Err(TryAcquireError::Closed) => return Err(self.busy()),
        };
        self.running.fetch_add(1, Relaxed);
        Ok(Permit { gate: Arc::clone(self), place: Some(place) })
    }

    async fn wait(self: &Arc<Self>, limits: &Limits) -> Result<OwnedSemaphorePermit, Fault> {
        let Some(_waiting) = Waiting::enter(self, limits.queue) else {
            return Err(self.busy());
        };
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(limits.timeout, place).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(self.busy()),
        }
    }

    fn busy(&self) -> Fault {
        let (running, waiting) = self.load();
        Fault::Busy { running, waiting }
    }

    /// The limit is a setting, and changes while calls are under way.
    fn resize(&self, to: u32) {
        if self.size.load(Relaxed) == to {
            return;
        }
        let _turn = self.resizing.lock();
        let from = self.size.swap(to, Relaxed);
        if to < from {
            let fewer = (from - to) as usize;
            let idle = self.places.forget_permits(fewer);
            self.owed.fetch_add(u32::try_from(fewer - idle).unwrap_or(0), Relaxed);
        } else {
            let forgiven = (from..to).take_while(|_| self.settle()).count();
            self.places.add_permits((to - from) as usize - forgiven);
        }
    }

    /// Takes one from what is owed; `false` when nothing is.
    fn settle(&self) -> bool {
        self.owed.try_update(Relaxed, Relaxed, |owed| owed.checked_sub(1)).is_ok()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.running.fetch_sub(1, Relaxed);
        if let Some(place) = self.place.take().filter(|_| self.gate.settle()) {
            place.forget();
        }
    }
}

/// Somebody who waits, counted for as long as he does.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn enter(gate: &'a Gate, most: u32) -> Option<Self> {
        let room =
            gate.waiting.try_update(Relaxed, Relaxed, |waiting| (waiting < most).then_some(waiting + 1));
        room.ok().map(|_| Self(gate))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    fn limits(concurrency: u32, queue: u32) -> Limits {
        Limits { concurrency, queue, ..Limits::default() }
    }

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_the_next_is_told_to_come_later() {
        let gate = Arc::new(Gate::new(2));
        let limits = limits(2, 1);
        let first = gate.enter(&limits).await.unwrap();
        let _second = gate.enter(&limits).await.unwrap();
        let mut third = Box::pin(gate.enter(&limits));
        assert!(third.as_mut().now_or_never().is_none(), "it waits");
        let fourth = gate.enter(&limits).await.err();
        assert_eq!(fourth, Some(Fault::Busy { running: 2, waiting: 1 }));
        drop(first);
        let _third = third.await.unwrap();
        assert_eq!(gate.load(), (2, 0));
    }

    #[tokio::test]
    async fn those_who_wait_are_let_in_as_they_came() {
        let gate = Arc::new(Gate::new(1));
        let limits = limits(1, 8);
        let first = gate.enter(&limits).await.unwrap();
        let mut second = Box::pin(gate.enter(&limits));
        let mut third = Box::pin(gate.enter(&limits));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(gate.enter(&limits).now_or_never().is_none(), "nobody passes those who wait");
        assert!(third.as_mut().now_or_never().is_none());
        let second = second.now_or_never().unwrap().unwrap();
        drop(second);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn whoever_goes_away_while_he_waits_frees_his_place_in_the_queue() {
        let gate = Arc::new(Gate::new(1));
        let limits = limits(1, 1);
        let first = gate.enter(&limits).await.unwrap();
        let mut gone = Box::pin(gate.enter(&limits));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        assert_eq!(gate.load(), (1, 0));
        let mut next = Box::pin(gate.enter(&limits));
        assert!(next.as_mut().now_or_never().is_none());
        drop(first);
        assert!(next.await.is_ok());
        assert_eq!(gate.load(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_a_call_may_take() {
        let gate = Arc::new(Gate::new(1));
        let limits = Limits { timeout: Duration::from_secs(3), ..limits(1, 8) };
        let _first = gate.enter(&limits).await.unwrap();
        assert!(matches!(gate.enter(&limits).await.err(), Some(Fault::Busy { .. })));
    }

    #[tokio::test]
    async fn a_lower_limit_holds_as_soon_as_calls_have_left() {
        let gate = Arc::new(Gate::new(3));
        let mut permits = Vec::new();
        for _ in 0..3 {
            permits.push(gate.enter(&limits(3, 0)).await.unwrap());
        }
        assert!(gate.enter(&limits(1, 0)).await.is_err());
        permits.pop();
        permits.pop();
        assert!(gate.enter(&limits(1, 0)).await.is_err(), "one is still in");
        permits.pop();
        let _only = gate.enter(&limits(1, 0)).await.unwrap();
        assert!(gate.enter(&limits(1, 0)).await.is_err());
        assert!(gate.enter(&limits(2, 0)).await.is_ok(), "and a higher one at once");
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_limits_were_the_last_one_holds(sizes in proptest::collection::vec(1_u32..6, 1..12)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let gate = Arc::new(Gate::new(3));
                let mut held = Vec::new();
                for size in &sizes {
                    held.extend(gate.enter(&limits(*size, 0)).await.ok());
                    if held.len() > 3 {
                        held.remove(0);
                    }
                }
                held.clear();
                let last = *sizes.last().unwrap();
                for _ in 0..last {
                    held.push(gate.enter(&limits(last, 0)).await.unwrap());
                }
                assert!(gate.enter(&limits(last, 0)).await.is_err());
            });
        }
    }
}
