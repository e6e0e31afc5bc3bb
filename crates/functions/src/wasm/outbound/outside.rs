//! Connections to the outside, shared by all functions of this process: what is granted is asked before, so that a
//! connection that is kept serves only whoever may use it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use flagbase_core::{
    gateway::{AddressPolicy, Denied},
    tasks::Tasks,
};
use reqwest::{
    Client, Request, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use tokio::{runtime::Handle, sync::oneshot};
use url::{Host, Url};

use super::Failure;

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection that is not used is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Connections that are kept for one address.
const KEPT: usize = 8;

/// The way to the outside of this process.
pub(crate) struct Outside {
    client: Client,
    policy: AddressPolicy,
    tasks: Tasks,
    handle: Handle,
}

/// Requests to the outside cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("requests to the outside cannot be set up")]
pub(crate) struct SetupError(#[source] reqwest::Error);

/// A name leads only to where it must not.
#[derive(Debug, thiserror::Error)]
#[error("`{0}`: {1}")]
struct Forbidden(IpAddr, &'static str);

/// Finds the addresses of names.
#[async_trait]
pub(super) trait Names: Send + Sync {
    /// All of them; the port does not matter.
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
}

/// Asks the system.
struct System;

#[async_trait]
impl Names for System {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.collect())
    }
}

impl Outside {
    /// Goes where `policy` lets it. Connections live on the scheduler behind `handle`, whichever thread a guest runs
    /// on.
    ///
    /// # Errors
    /// TLS cannot be set up on this machine.
    pub(crate) fn new(policy: AddressPolicy, tasks: Tasks, handle: Handle) -> Result<Self, SetupError> {
        Self::with_names(policy, tasks, handle, Arc::new(System))
    }

    /// The same, with another way to find addresses.
    pub(super) fn with_names(
        policy: AddressPolicy,
        tasks: Tasks,
        handle: Handle,
        names: Arc<dyn Names>,
    ) -> Result<Self, SetupError> {
        let client = Client::builder()
            .user_agent(concat!("Flagbase/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            // A proxy would resolve names by itself, unchecked.
            .no_proxy()
            .dns_resolver(Arc::new(Checked { policy, names }))
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .build()
            .map_err(SetupError)?;
        Ok(Self { client, policy, tasks, handle })
    }

    /// Whether `url` may be asked for, as far as can be said without resolving its name: addresses that are written out
    /// are not resolved later.
    pub(super) fn permits(&self, url: &Url) -> Result<(), Failure> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(Failure::Failed("the address has no host".to_owned())),
        };
        permitted(self.policy, address).map_err(|why| Failure::Denied(Forbidden(address, why).to_string()))
    }

    /// Sends `request` and waits for the head of its answer. Dropping this stops it.
    pub(super) async fn exchange(&self, request: Request) -> Result<Response, Failure> {
        let (mut done, answer) = oneshot::channel();
        let sending = self.client.execute(request);
        self.tasks.spawn_on(&self.handle, "request of a function", async move {
            tokio::select! {
                biased;
                () = done.closed() => {}
                answer = sending => { let _ = done.send(answer); }
            }
        });
        match answer.await {
            Ok(answer) => answer.map_err(|error| why(&error)),
            Err(_) => Err(Failure::Failed("the server stops".to_owned())),
        }
    }
}

/// Why there was no answer, in words.
pub(super) fn why(error: &reqwest::Error) -> Failure {
    let mut cause = error as &dyn std::error::Error;
    loop {
        if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
            return Failure::Denied(forbidden.to_string());
        }
        match cause.source() {
            Some(inner) => cause = inner,
            None => break,
        }
    }
    if error.is_timeout() {
        return Failure::TimedOut;
    }
    let what = if error.is_connect() { "it cannot be connected to" } else { "the connection broke" };
    Failure::Failed(format!("{what}: {cause}"))
}

/// Resolves names to addresses that may be connected to: exactly those are connected to, so that a name that means
/// something else a moment later leads nobody inside.
struct Checked {
    policy: AddressPolicy,
    names: Arc<dyn Names>,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, names) = (self.policy, Arc::clone(&self.names));
        Box::pin(async move {
            let found = names.addresses(name.as_str()).await?;
            Ok(checked(policy, found).map(|allowed| Box::new(allowed.into_iter()) as Addrs)?)
        })
    }
}

/// `found`, when all of it may be connected to. A name with addresses inside and outside is one that wants in.
fn checked(policy: AddressPolicy, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Forbidden> {
    for address in &found {
        permitted(policy, address.ip()).map_err(|why| Forbidden(address.ip(), why))?;
    }
    Ok(found)
}

/// The policy of upstreams, in words for functions.
fn permitted(policy: AddressPolicy, address: IpAddr) -> Result<(), &'static str> {
    policy.check(address).map_err(|denied| match denied {
        Denied::LinkLocal => "link-local and metadata addresses are never asked",
        Denied::Unspecified => "an unspecified or broadcast address cannot be asked",
        Denied::Multicast => "a multicast address cannot be asked",
        Denied::Loopback => {
            "functions may not ask this machine itself; see `functions.allow_loopback_outbound`"
        }
        Denied::Private => "functions may not ask private networks; see `functions.allow_private_outbound`",
    })
}
