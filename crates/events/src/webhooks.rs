//! Sends messages to webhooks over HTTP.
//!
//! Names are resolved here, and only addresses that were checked are handed on to connect to: a name that means another
//! address the next time it is asked for gets nobody inside.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use flagbase_core::{
    gateway::AddressPolicy,
    webhooks::{Answered, Outgoing, SendError, Sender, permitted},
};
use reqwest::{
    Client, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header, redirect,
};

/// How long a connection that is not used is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Sends messages where the policy allows.
#[derive(Debug, Clone)]
pub struct WebhookSender {
    client: Client,
    addresses: AddressPolicy,
}

/// The sender cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up what sends to webhooks")]
pub struct SetupError(#[source] reqwest::Error);

/// A name leads only to where it must not.
#[derive(Debug, thiserror::Error)]
#[error("`{0}`: {1}")]
struct Denied(IpAddr, &'static str);

impl WebhookSender {
    /// Sends where `addresses` allows, calling itself `agent`.
    ///
    /// # Errors
    /// TLS cannot be set up on this machine.
    pub fn new(addresses: AddressPolicy, agent: &str) -> Result<Self, SetupError> {
        let client = Client::builder()
            .user_agent(agent)
            .redirect(redirect::Policy::none())
            // A proxy would resolve names by itself, unchecked.
            .no_proxy()
            .dns_resolver(Arc::new(Checked(addresses)))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(4)
            .build()
            .map_err(SetupError)?;
        Ok(Self { client, addresses })
    }
}

#[async_trait]
impl Sender for WebhookSender {
    async fn send(&self, message: Outgoing) -> Result<Answered, SendError> {
        let Outgoing { url, headers, body, timeout, excerpt } = message;
        let url: reqwest::Url = url.parse().map_err(|error| SendError(format!("no address: {error}")))?;
        // An address that is written out is not resolved.
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if let Ok(address) = host.parse::<IpAddr>() {
            permitted(self.addresses, address).map_err(|why| SendError(Denied(address, why).to_string()))?;
        }
        let mut request = self.client.post(url).timeout(timeout).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(|error| why(&error, timeout))?;
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Answered {
            status: response.status().as_u16(),
            retry_after,
            excerpt: read(response, excerpt).await,
        })
    }
}

/// The first `most` bytes of a body, or as much as comes in time.
async fn read(mut response: Response, most: usize) -> String {
    let mut read = Vec::new();
    while read.len() < most {
        match response.chunk().await {
            Ok(Some(chunk)) => read.extend(chunk.iter().take(most - read.len())),
            _ => break,
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// Why there was no answer, in words.
fn why(error: &reqwest::Error, timeout: Duration) -> SendError {
    let mut cause = error as &dyn std::error::Error;
    loop {
        if let Some(denied) = cause.downcast_ref::<Denied>() {
            return SendError(denied.to_string());
        }
        match cause.source() {
            Some(inner) => cause = inner,
            None => break,
        }
    }
    if error.is_timeout() {
        return SendError(format!("no answer within {} s", timeout.as_secs_f64()));
    }
    let what = if error.is_connect() { "it cannot be connected to" } else { "the connection broke" };
    SendError(format!("{what}: {cause}"))
}

/// Resolves names to addresses that may be connected to.
#[derive(Debug)]
struct Checked(AddressPolicy);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(checked(policy, found).map(|allowed| Box::new(allowed.into_iter()) as Addrs)?)
        })
    }
}

/// Those of `found` that may be connected to; fails when there are none.
fn checked(policy: AddressPolicy, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Denied> {
    let mut denied = None;
    let mut allowed = Vec::with_capacity(found.len());
    for address in found {
        match permitted(policy, address.ip()) {
            Ok(()) => allowed.push(address),
            Err(why) => denied = Some(Denied(address.ip(), why)),
        }
    }
    match denied {
        Some(denied) if allowed.is_empty() => Err(denied),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use flagbase_testkit::Backend;

    use super::*;

    const OPEN: AddressPolicy = AddressPolicy { loopback: true, private: true };
    const CLOSED: AddressPolicy = AddressPolicy { loopback: false, private: false };

    fn message(url: &str) -> Outgoing {
        Outgoing {
            url: url.to_owned(),
            headers: vec![("webhook-id", "m1".to_owned())],
            body: "{}".to_owned(),
            timeout: Duration::from_secs(10),
            excerpt: 8,
        }
    }

    async fn send(policy: AddressPolicy, message: Outgoing) -> Result<Answered, SendError> {
        WebhookSender::new(policy, "Flagbase/test").unwrap().send(message).await
    }

    #[tokio::test]
    async fn a_message_arrives_as_it_is_and_the_beginning_of_the_answer_is_kept() {
        let backend = Backend::start().await;
        backend.answer(202, "a long answer ü");
        backend.add_header("retry-after", "7");
        let answered = send(OPEN, message(&format!("{}/in?a=b", backend.url()))).await.unwrap();
        let expected =
            Answered { status: 202, retry_after: Some("7".to_owned()), excerpt: "a long a".to_owned() };
        assert_eq!(answered, expected);
        let received = &backend.take()[0];
        assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/in?a=b"));
        assert_eq!((received.header("webhook-id"), &*received.body), (Some("m1"), b"{}".as_slice()));
        assert_eq!(received.header("user-agent"), Some("Flagbase/test"));
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let (backend, inside) = (Backend::start().await, Backend::start().await);
        backend.answer(302, "");
        backend.add_header("location", &inside.url());
        assert_eq!(send(OPEN, message(&backend.url())).await.unwrap().status, 302);
        assert!(inside.received().is_empty());
    }

    #[tokio::test]
    async fn addresses_inside_are_not_connected_to_by_number_or_by_name() {
        let backend = Backend::start().await;
        let port = backend.address().port();
        for host in ["127.0.0.1", "localhost", "2130706433", "0x7f000001"] {
            let error = send(CLOSED, message(&format!("http://{host}:{port}/"))).await.unwrap_err();
            assert!(error.0.contains("webhooks.allow_loopback"), "{host}: {error}");
        }
        let error = send(CLOSED, message("http://[::1]:1/")).await.unwrap_err();
        assert!(error.0.contains("webhooks.allow_loopback"), "{error}");
        let error = send(OPEN, message("http://169.254.169.254/latest")).await.unwrap_err();
        assert!(error.0.contains("metadata"), "{error}");
        assert_eq!(backend.connections(), 0);
    }

    #[test]
    fn of_several_addresses_only_those_outside_are_used() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let mixed = addresses(&["127.0.0.1:0", "203.0.113.7:0", "[fd12::1]:0", "[2001:db8::1]:0"]);
        assert_eq!(checked(CLOSED, mixed).unwrap(), addresses(&["203.0.113.7:0", "[2001:db8::1]:0"]));
        assert!(checked(CLOSED, addresses(&["127.0.0.1:0", "10.0.0.1:0"])).is_err());
    }

    #[tokio::test]
    async fn nobody_there_and_nobody_answering_are_told_apart() {
        let backend = Backend::start().await;
        backend.delay(Duration::from_mins(1));
        let slow = Outgoing { timeout: Duration::from_millis(50), ..message(&backend.url()) };
        assert_eq!(send(OPEN, slow).await.unwrap_err().0, "no answer within 0.05 s");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = send(OPEN, message(&format!("http://{free}"))).await.unwrap_err();
        assert!(error.0.starts_with("it cannot be connected to"), "{error}");
    }
}
