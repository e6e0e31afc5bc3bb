//! Logging in to NATS.

use std::fs;

use async_nats::ConnectOptions;
use flagbase_core::events::BusError;
use flagbase_testkit::{ExternalServer, bus::event};
use futures_util::StreamExt as _;

use crate::support::bus;

#[tokio::test]
async fn a_user_with_a_password_is_let_in_and_a_wrong_one_is_not() {
    let server = ExternalServer::nats(false, &["--user", "alice", "--pass", "s3cr:et"]).await;
    let url = |login: &str| format!("nats://{login}127.0.0.1:{}?timeout=3s", server.port());
    bus(&url("alice:s3cr%3Aet@")).publish(&[event("k", 1)]).await.unwrap();
    for login in ["alice:wrong@", "bob:s3cr%3Aet@", ""] {
        let halted = bus(&url(login)).publish(&[event("k", 1)]).await.unwrap_err();
        assert!(matches!(halted.error, BusError::Unavailable(_)), "{login}");
    }
}

#[tokio::test]
async fn a_token_is_a_user_without_a_password() {
    let server = ExternalServer::nats(false, &["--auth", "t0ken"]).await;
    let url = |token: &str| format!("nats://{token}@127.0.0.1:{}?timeout=3s", server.port());
    bus(&url("t0ken")).publish(&[event("k", 1)]).await.unwrap();
    assert!(bus(&url("other")).publish(&[event("k", 1)]).await.is_err());
}

#[tokio::test]
async fn a_login_that_may_publish_only_what_flagbase_says_is_enough() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nats.conf");
    let rules = "authorization { users = [\n\
                 { user: flagbase, password: \"first\", permissions: { publish: [\"flagbase.>\", \"_INBOX.>\"], subscribe: \
                 \"_INBOX.>\" } }\n\
                 { user: reader, password: \"second\", permissions: { publish: [], subscribe: \"flagbase.env.default.>\" } }\n\
                 ] }\n";
    fs::write(&file, rules).unwrap();
    let server = ExternalServer::nats(false, &["-c", file.to_str().unwrap()]).await;
    let reader = ConnectOptions::with_user_and_password("reader".to_owned(), "second".to_owned());
    let reader = reader.connect(format!("127.0.0.1:{}", server.port())).await.unwrap();
    let mut heard = reader.subscribe("flagbase.env.default.>").await.unwrap();
    reader.flush().await.unwrap();
    let bus = bus(&format!("nats://flagbase:first@127.0.0.1:{}?timeout=3s", server.port()));
    bus.publish(&[event("k", 1)]).await.unwrap();
    let message = heard.next().await.unwrap();
    assert_eq!(message.subject.as_str(), "flagbase.env.default.flag.k.disabled");
}
