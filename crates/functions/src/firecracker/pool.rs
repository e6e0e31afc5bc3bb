//! The microVMs of one version of one function: some that wait without an identity, some that take calls.

mod lease;
mod member;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use flagbase_core::functions::{Deployed, Fault, Level, Visit};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

pub(super) use self::lease::Lease;
use self::member::Member;
use super::{
    agent::{AgentError, GuestLimits, Identity},
    forge::{Forge, StartError, Wanted, chain},
    home::Home,
    machine::{GRIEF, Machine, MachineError},
    notes::Notes,
};

/// Calls at once in one microVM of a function that is kept warm.
const AT_ONCE: u32 = 16;

/// The microVMs of one version.
pub(super) struct Pool {
    deployed: Arc<Deployed>,
    wanted: Wanted,
    forge: Arc<Forge>,
    home: Arc<dyn Home>,
    inner: Mutex<Inner>,
    slots: Arc<Semaphore>,
    waiting: AtomicU32,
}

struct Inner {
    /// Restored, without an identity.
    spare: Vec<Machine>,
    /// So many are about to be spare.
    filling: usize,
    /// They have their identity and take calls.
    members: Vec<Arc<Member>>,
    used: Instant,
    /// A digest of the secrets that members have.
    secrets: Option<[u8; 32]>,
    /// Takes no more calls: something about the version has changed.
    retired: bool,
}

/// What became of the members of a pool.
struct Sorted {
    /// Ended by themselves.
    ended: Vec<Arc<Member>>,
    /// Idle for too long.
    tired: Vec<Arc<Member>>,
    /// Still there, with nothing to do: to be asked how they are.
    ask: Vec<Arc<Member>>,
}

/// Gives room to a pool that has none.
pub(super) trait Evict: Send + Sync {
    /// Ends a microVM that has nothing to do, of whichever function. Returns whether there was one.
    fn evict(&self) -> bool;
}

impl Pool {
    pub(super) fn new(deployed: Arc<Deployed>, forge: Arc<Forge>, home: Arc<dyn Home>) -> Self {
        let limits = &deployed.settings.limits;
        let wanted = Wanted::new(deployed.digest, limits, &forge.works.config);
        Self {
            slots: Arc::new(Semaphore::new(limits.concurrency.max(1) as usize)),
            waiting: AtomicU32::new(0),
            inner: Mutex::new(Inner {
                spare: Vec::new(),
                filling: 0,
                members: Vec::new(),
                used: Instant::now(),
                secrets: None,
                retired: false,
            }),
            deployed,
            wanted,
            forge,
            home,
        }
    }

    /// What it runs.
    pub(super) fn deployed(&self) -> &Arc<Deployed> {
        &self.deployed
    }

    /// A microVM for one call: one that is free, else a spare one, else a new one.
    pub(super) async fn lease(self: &Arc<Self>, visit: &Visit, others: &dyn Evict) -> Result<Lease, Fault> {
        let slot = self.slot().await?;
        let secrets = self.home.secrets(visit).await.map_err(Fault::Unstartable)?;
        self.renew(&secrets);
        if let Some(member) = self.free_member(visit) {
            return Ok(Lease::new(self, member, slot));
        }
        let spare = self.inner.lock().spare.pop();
        let machine = match spare.filter(|machine| !machine.exited().is_cancelled()) {
            Some(machine) => machine,
            None => self.start(others).await?,
        };
        let member = self.introduce(machine, visit, &secrets).await?;
        self.refill();
        Ok(Lease::new(self, member, slot))
    }

    /// Notes that there is a call. When secrets have changed since the last one, microVMs that have the former ones take no
    /// more calls.
    fn renew(&self, secrets: &BTreeMap<String, String>) {
        let print = print_of(secrets);
        let mut inner = self.inner.lock();
        inner.used = Instant::now();
        if inner.secrets.replace(print).is_none_or(|former| former == print) {
            return;
        }
        let (idle, busy): (Vec<_>, Vec<_>) = inner.members.drain(..).partition(|member| member.busy() == 0);
        drop(inner);
        for member in busy {
            member.spend();
        }
        for member in idle {
            self.dismiss(member, self.forge.works.config.drain);
        }
    }

    /// A turn among the calls that may run at once.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, Fault> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(slot);
        }
        let limits = &self.deployed.settings.limits;
        let waiting = self.waiting.fetch_add(1, Relaxed);
        let _leave = Leave(&self.waiting);
        if waiting >= limits.queue {
            return Err(Fault::Busy { running: limits.concurrency, waiting });
        }
        Arc::clone(&self.slots).acquire_owned().await.map_err(|_| Fault::Exhausted)
    }

    /// A member that can take one more call, the one with the most calls under way first, so that others become idle.
    fn free_member(&self, visit: &Visit) -> Option<Arc<Member>> {
        let at_once = if self.deployed.settings.warm { AT_ONCE } else { 1 };
        let inner = self.inner.lock();
        let usable = inner.members.iter().filter(|member| member.takes(at_once));
        let member = Arc::clone(usable.max_by_key(|member| member.busy())?);
        member.enter(visit);
        Some(member)
    }

    async fn start(&self, others: &dyn Evict) -> Result<Machine, Fault> {
        let room = match self.forge.try_room() {
            Some(room) => room,
            None if others.evict() => self.forge.room().await.map_err(|error| fault(&error))?,
            // One may be about to be gone.
            None => self.forge.room_within(GRIEF).await.map_err(|error| fault(&error))?,
        };
        self.forge.start(self.wanted, room).await.map_err(|error| fault(&error))
    }

    /// Tells a microVM who it is, and lets it take calls.
    async fn introduce(
        &self,
        machine: Machine,
        visit: &Visit,
        secrets: &BTreeMap<String, String>,
    ) -> Result<Arc<Member>, Fault> {
        let works = &self.forge.works;
        let deployed = &self.deployed;
        let limits = &deployed.settings.limits;
        let identity = Identity {
            environment: &deployed.environment,
            function: &deployed.function,
            version: deployed.version,
            instance: &machine.jail.id,
            variables: &deployed.settings.variables,
            secrets,
            seed: works.random.hex(64),
            now_ms: works.clock.now().as_millisecond(),
            limits: GuestLimits {
                timeout_ms: u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX),
                request_body: limits.request_body,
                response_body: limits.response_body,
                log: limits.log,
                concurrency: if deployed.settings.warm { AT_ONCE } else { 1 },
            },
        };
        let notes = Arc::new(Notes::new(Arc::clone(&self.home), visit, &machine.jail.id));
        let introduced = machine.init(&identity, works.config.boot_timeout).await;
        let follow = Arc::clone(&notes).follow(machine.agent.clone(), machine.exited().clone());
        works.tasks.spawn("log of a microVM", follow);
        if let Err(error) = introduced {
            notes.tell(Level::Error, &format!("it cannot be started: {}", chain(&error)));
            self.dismiss(Arc::new(Member::new(machine, notes, 0)), Duration::ZERO);
            return Err(unstartable(error));
        }
        let member = Arc::new(Member::new(machine, notes, works.config.calls));
        member.enter(visit);
        let mut inner = self.inner.lock();
        if !inner.retired {
            inner.members.push(Arc::clone(&member));
        }
        Ok(member)
    }

    /// Sees to it that as many microVMs wait as should, without taking room from others.
    fn refill(self: &Arc<Self>) {
        let target = self.forge.works.config.pool;
        loop {
            let mut inner = self.inner.lock();
            if inner.retired || inner.spare.len() + inner.filling >= target {
                return;
            }
            let Some(room) = self.forge.try_room() else { return };
            inner.filling += 1;
            drop(inner);
            let pool = Arc::clone(self);
            self.forge.works.tasks.spawn("spare microVM", async move {
                let started = pool.forge.start(pool.wanted, room).await;
                let mut inner = pool.inner.lock();
                inner.filling -= 1;
                match started {
                    Ok(machine) if !inner.retired => inner.spare.push(machine),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(error = %chain(&error), "a spare microVM cannot be started"),
                }
            });
        }
    }

    /// Takes a microVM back after a call.
    fn give_back(&self, member: &Arc<Member>, whole: bool) {
        let config = &self.forge.works.config;
        let mut inner = self.inner.lock();
        member.leave(whole);
        if member.is_spent() || inner.retired {
            inner.members.retain(|other| !Arc::ptr_eq(other, member));
            drop(inner);
            if member.busy() == 0 {
                let within = if whole { config.drain } else { Duration::ZERO };
                self.dismiss(Arc::clone(member), within);
            }
        }
    }

    /// Ends a microVM: its calls may end `within`, its last lines are read.
    fn dismiss(&self, member: Arc<Member>, within: Duration) {
        let tasks = &self.forge.works.tasks;
        tasks.spawn("end of a microVM", async move { member.end(within).await });
    }

    /// Ends what has had nothing to do for `idle`, and what has ended by itself. Returns whether anything is left.
    pub(super) async fn tend(self: &Arc<Self>, idle: Duration) -> bool {
        let Sorted { ended, tired, ask } = self.sort_out(idle);
        for member in ended {
            self.mourn(&member);
        }
        for member in tired {
            self.dismiss(member, self.forge.works.config.drain);
        }
        for member in ask {
            if !member.is_well().await {
                tracing::warn!(
                    id = member.machine.jail.id,
                    "a microVM does not answer any more and is ended"
                );
                self.inner.lock().members.retain(|other| !Arc::ptr_eq(other, &member));
                self.dismiss(member, Duration::ZERO);
            }
        }
        let inner = self.inner.lock();
        !inner.members.is_empty()
            || !inner.spare.is_empty()
            || inner.filling > 0
            || inner.used.elapsed() < idle
    }

    /// Lets go of members that take no more calls, and says which those are.
    fn sort_out(&self, idle: Duration) -> Sorted {
        let mut inner = self.inner.lock();
        if inner.used.elapsed() >= idle {
            inner.spare.clear();
        }
        inner.spare.retain(|machine| !machine.exited().is_cancelled());
        let (ended, alive): (Vec<_>, Vec<_>) =
            inner.members.drain(..).partition(|member| member.machine.exited().is_cancelled());
        let (tired, kept): (Vec<_>, Vec<_>) = alive.into_iter().partition(|member| member.is_idle_for(idle));
        let ask = kept.iter().filter(|member| member.busy() == 0).cloned().collect();
        inner.members = kept;
        Sorted { ended, tired, ask }
    }

    /// Ends one microVM that has nothing to do, a spare one first. Returns whether there was one.
    pub(super) fn evict(&self) -> bool {
        let mut inner = self.inner.lock();
        if inner.spare.pop().is_some() {
            return true;
        }
        let Some(at) = inner.members.iter().position(|member| member.busy() == 0) else { return false };
        let member = inner.members.swap_remove(at);
        drop(inner);
        self.dismiss(member, Duration::ZERO);
        true
    }

    /// Takes no more calls; what has nothing to do ends now, the rest after its calls.
    pub(super) fn retire(&self) {
        let mut inner = self.inner.lock();
        inner.retired = true;
        inner.spare.clear();
        let (idle, busy) = inner.members.drain(..).partition(|member| member.busy() == 0);
        inner.members = busy;
        drop(inner);
        let idle: Vec<Arc<Member>> = idle;
        for member in idle {
            self.dismiss(member, self.forge.works.config.drain);
        }
    }

    /// A microVM ended by itself: its console may say why.
    fn mourn(&self, member: &Member) {
        if member.is_mourned() {
            return;
        }
        self.forge.works.figures.died();
        let console = member.machine.console();
        let tail: Vec<&str> = console.lines().rev().take(20).collect();
        let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
        member.notes.tell(Level::Error, &format!("its microVM ended; the console said:\n{tail}"));
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.spare.len(), inner.members.len())
    }
}

/// A digest of secrets, which need not be kept to be compared.
fn print_of(secrets: &BTreeMap<String, String>) -> [u8; 32] {
    let mut print = Sha256::new();
    for text in secrets.iter().flat_map(|(name, value)| [name, value]) {
        print.update((text.len() as u64).to_le_bytes());
        print.update(text);
    }
    print.finalize().into()
}

/// Somebody who waited does not any more.
struct Leave<'a>(&'a AtomicU32);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn fault(error: &StartError) -> Fault {
    match error {
        StartError::NoRoom => Fault::Exhausted,
        other => Fault::Unstartable(chain(other)),
    }
}

/// The agent's own sentence when it has one.
fn unstartable(error: MachineError) -> Fault {
    match error {
        MachineError::Agent(AgentError::Refused(_, sentence)) if !sentence.is_empty() => {
            Fault::Unstartable(sentence)
        }
        MachineError::Exited(_) => Fault::Unstartable("its microVM ended while it started".to_owned()),
        other => Fault::Unstartable(chain(&other)),
    }
}
