//! Who may connect, and what they may do.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use flagbase_nats::{Access, Admitted, Credentials, Denied, Identity, Permissions, Responses, Rules, Server};
use tokio::sync::Semaphore;

use crate::wire::{Wire, server};

/// Admits users by name once it is open.
struct Gate {
    open: Semaphore,
}

#[async_trait]
impl Access for Gate {
    fn required(&self) -> bool {
        true
    }

    async fn admit(&self, credentials: &Credentials) -> Result<Admitted, Denied> {
        self.open.acquire().await.map_err(|_| Denied::Violation)?.forget();
        let user = credentials.user.as_deref().ok_or(Denied::Violation)?;
        let mut admitted = Admitted::everything(Identity::new(user));
        match user {
            "anybody" => {}
            "narrow" => {
                admitted.permissions = Permissions {
                    publish: Rules { allow: Some(vec!["foo.>".into()]), deny: vec!["foo.no".into()] },
                    subscribe: Rules {
                        allow: Some(vec!["foo.>".into(), "q work".into()]),
                        deny: vec!["foo.secret".into()],
                    },
                    responses: None,
                };
            }
            "service" => {
                let responses = Responses { max: 1, expires_after: Duration::from_mins(1) };
                admitted.permissions = Permissions {
                    publish: Rules::except([">"]),
                    subscribe: Rules::only(["service"]),
                    responses: Some(responses),
                };
            }
            "brief" => admitted.expires_after = Some(Duration::from_millis(50)),
            "few" => admitted.max_subscriptions = Some(2),
            "old" => return Err(Denied::Expired),
            _ => return Err(Denied::Violation),
        }
        Ok(admitted)
    }
}

async fn gated(open: usize) -> (Server, Arc<Gate>) {
    let gate = Arc::new(Gate { open: Semaphore::new(open) });
    let access = Arc::clone(&gate);
    let server = server(|options| {
        options.access = access;
        options.limits.auth_timeout = Duration::from_secs(5);
    })
    .await;
    (server, gate)
}

fn connect(user: &str) -> String {
    format!("CONNECT {{\"verbose\":false,\"user\":\"{user}\",\"headers\":true,\"no_responders\":true}}\r\n")
}

async fn admitted(server: &Server, user: &str) -> Wire {
    let mut wire = Wire::silent(server).await;
    wire.send(connect(user)).await;
    wire.settle().await;
    wire
}

#[tokio::test]
async fn nobody_gets_in_without_saying_who_he_is() {
    let (server, _) = gated(100).await;
    let connects =
        ["CONNECT {}\r\n", "CONNECT {\"user\":\"stranger\"}\r\n", "PING\r\n", "PUB a 1\r\nx\r\n", "\r\n"];
    for sent in connects {
        let mut wire = Wire::silent(&server).await;
        assert_eq!(wire.info["auth_required"], true);
        assert!(wire.info["nonce"].as_str().is_some_and(|nonce| nonce.len() > 10));
        wire.send(sent).await;
        wire.expect_end("-ERR 'Authorization Violation'\r\n").await;
    }
    let mut wire = Wire::silent(&server).await;
    wire.send(connect("old")).await;
    wire.expect_end("-ERR 'User Authentication Expired'\r\n").await;
}

#[tokio::test]
async fn what_follows_connect_waits_for_the_decision() {
    let (server, gate) = gated(1).await;
    let mut listener = admitted(&server, "anybody").await;
    listener.send("SUB foo.> 1\r\n").await;
    listener.settle().await;
    let mut wire = Wire::silent(&server).await;
    wire.send(connect("narrow") + "HPUB foo.1 12 13\r\nNATS/1.0\r\n\r\nx\r\nHPUB foo.2 12 ").await;
    wire.send("13\r\nNATS/1.0\r\n\r\ny\r\nPUB bar 0\r\n\r\nPING\r\n").await;
    listener.settle().await;
    gate.open.add_permits(1);
    wire.expect("-ERR 'Permissions Violation for Publish to \"bar\"'\r\nPONG\r\n").await;
    listener
        .expect("HMSG foo.1 1 12 13\r\nNATS/1.0\r\n\r\nx\r\nHMSG foo.2 1 12 13\r\nNATS/1.0\r\n\r\ny\r\n")
        .await;
}

#[tokio::test]
async fn who_never_gets_a_decision_is_sent_away() {
    let gate = Arc::new(Gate { open: Semaphore::new(0) });
    let server = server(|options| {
        options.access = gate;
        options.limits.auth_timeout = Duration::from_millis(50);
    })
    .await;
    for sent in ["", "CON", &connect("anybody")] {
        let mut wire = Wire::silent(&server).await;
        wire.send(sent).await;
        wire.expect_end("-ERR 'Authentication Timeout'\r\n").await;
    }
}

#[tokio::test]
async fn what_is_not_permitted_is_refused_and_nothing_else_happens() {
    let (server, _) = gated(100).await;
    let mut wire = admitted(&server, "narrow").await;
    for (sent, refused) in [
        ("PUB foo.no 1\r\nx\r\n", "Publish to \"foo.no\""),
        ("PUB bar 0\r\n\r\n", "Publish to \"bar\""),
        ("SUB bar 1\r\n", "Subscription to \"bar\""),
        ("SUB > 1\r\n", "Subscription to \">\""),
        ("SUB foo.secret 1\r\n", "Subscription to \"foo.secret\""),
        ("SUB q 1\r\n", "Subscription to \"q\""),
        ("SUB q other 1\r\n", "Subscription to \"q\" using queue \"other\""),
    ] {
        wire.send(sent).await;
        wire.expect(format!("-ERR 'Permissions Violation for {refused}'\r\n")).await;
    }
    wire.send("SUB q work 2\r\nSUB foo.* 1\r\nPUB foo.yes 0\r\n\r\n").await;
    wire.expect("MSG foo.yes 1 0\r\n\r\n").await;
}

#[tokio::test]
async fn what_is_denied_within_a_pattern_is_not_delivered() {
    let (server, _) = gated(100).await;
    let mut wire = admitted(&server, "narrow").await;
    wire.send("SUB foo.* 1\r\n").await;
    wire.settle().await;
    let mut publisher = admitted(&server, "anybody").await;
    publisher.send("PUB foo.secret 1\r\ns\r\nPUB foo.open 1\r\no\r\n").await;
    wire.expect("MSG foo.open 1 1\r\no\r\n").await;
    wire.settle().await;
}

/// Lets everybody in, but only to listen.
struct Window;

#[async_trait]
impl Access for Window {
    fn required(&self) -> bool {
        false
    }

    async fn admit(&self, _: &Credentials) -> Result<Admitted, Denied> {
        tokio::task::yield_now().await;
        let permissions = Permissions {
            publish: Rules::except([">"]),
            subscribe: Rules::only(["public.>"]),
            responses: None,
        };
        Ok(Admitted { permissions, ..Admitted::everything(Identity::new("")) })
    }
}

#[tokio::test]
async fn who_leaves_out_connect_may_do_no_more_than_who_says_nothing_in_it() {
    let server = server(|options| options.access = Arc::new(Window)).await;
    for connect in ["", "CONNECT {\"verbose\":false}\r\n"] {
        let mut wire = Wire::silent(&server).await;
        wire.send([connect, "PUB public.a 0\r\n\r\nSUB > 1\r\nSUB public.* 2\r\nPING\r\n"].concat()).await;
        wire.expect("-ERR 'Permissions Violation for Publish to \"public.a\"'\r\n").await;
        wire.expect("-ERR 'Permissions Violation for Subscription to \">\"'\r\n").await;
        if connect.is_empty() {
            wire.expect("+OK\r\n").await;
        }
        wire.expect("PONG\r\n").await;
    }
}

#[tokio::test]
async fn who_connects_again_as_somebody_else_keeps_only_what_that_one_may_have() {
    let (server, _) = gated(100).await;
    let mut wire = admitted(&server, "anybody").await;
    wire.send("SUB secret 1\r\nSUB foo.* 2\r\nSUB foo.open 3\r\n").await;
    wire.send(connect("narrow")).await;
    wire.settle().await;
    server.publish("secret", None, None, "").unwrap();
    server.publish("foo.secret", None, None, "").unwrap();
    server.publish("foo.open", None, None, "").unwrap();
    wire.expect("MSG foo.open 3 0\r\n\r\n").await;
    wire.settle().await;
}

#[tokio::test]
async fn a_service_may_answer_what_it_was_asked_and_no_more() {
    let (server, _) = gated(100).await;
    let mut service = admitted(&server, "service").await;
    service.send("SUB service 1\r\n").await;
    service.settle().await;
    let mut client = admitted(&server, "anybody").await;
    client.send("SUB in.* 1\r\nPUB service in.1 0\r\n\r\n").await;
    service.expect("MSG service 1 in.1 0\r\n\r\n").await;
    service.send("PUB in.1 1\r\n1\r\nPUB in.1 1\r\n2\r\nPUB in.2 1\r\n3\r\n").await;
    service.expect("-ERR 'Permissions Violation for Publish to \"in.1\"'\r\n").await;
    service.expect("-ERR 'Permissions Violation for Publish to \"in.2\"'\r\n").await;
    client.expect("MSG in.1 1 1\r\n1\r\n").await;
    client.settle().await;
}

#[tokio::test]
async fn revocation_acts_at_once_and_on_nobody_else() {
    let (server, _) = gated(100).await;
    let (mut gone, mut stays) = (admitted(&server, "narrow").await, admitted(&server, "anybody").await);
    server.revoke(|identity| identity.as_str() == "narrow");
    gone.expect_end("-ERR 'User Authentication Revoked'\r\n").await;
    stays.settle().await;
}

#[tokio::test]
async fn whoever_is_to_come_back_is_told_nothing() {
    let (server, _) = gated(100).await;
    let (mut gone, mut stays) = (admitted(&server, "narrow").await, admitted(&server, "anybody").await);
    server.disconnect(|identity| identity.as_str() == "narrow");
    gone.expect_end("").await;
    stays.settle().await;
    admitted(&server, "narrow").await.settle().await;
}

#[tokio::test]
async fn an_admission_ends_when_it_expires() {
    let (server, _) = gated(100).await;
    let mut wire = Wire::silent(&server).await;
    wire.send(connect("brief")).await;
    wire.expect_end("-ERR 'User Authentication Expired'\r\n").await;
}

#[tokio::test]
async fn subscriptions_are_limited_per_client() {
    let (server, _) = gated(100).await;
    let mut wire = admitted(&server, "few").await;
    wire.send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nUNSUB 1\r\nSUB d 4\r\nPUB d 0\r\n\r\n").await;
    wire.expect("-ERR 'maximum subscriptions exceeded'\r\nMSG d 4 0\r\n\r\n").await;
}
