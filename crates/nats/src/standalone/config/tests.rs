use flagbase_nats::{Permissions, Responses, Rules};

use super::*;

fn read(text: &str) -> Config {
    Config::read(text).unwrap()
}

fn error(text: &str) -> String {
    Config::read(text).unwrap_err().to_string()
}

#[test]
fn an_empty_file_changes_nothing() {
    let config = read("# nothing here\n");
    assert_eq!((config.host, config.port, config.jetstream), (None, None, false));
    assert!(config.authorization.users.is_empty() && config.tls.is_none());
    assert_eq!(config.limits.max_payload, 1024 * 1024);
}

#[test]
fn limits_are_sizes_times_and_counts() {
    let limits = read(
        "max_payload = 128KB\nmax_connections: 10, max_subs: -1\nping_interval: \"30s\"; ping_max 3\n\
         write_deadline: 2\nmax_control_line 8KB",
    )
    .limits;
    assert_eq!((limits.max_payload, limits.max_connections, limits.max_subscriptions), (128 * 1024, 10, 0));
    assert_eq!((limits.ping_interval, limits.ping_max), (Duration::from_secs(30), 3));
    assert_eq!((limits.write_deadline, limits.max_control_line), (Duration::from_secs(2), 8192));
}

#[test]
fn tls_says_where_its_files_are_and_who_begins() {
    let text = |first| {
        format!(
            "listen: localhost:4545\ntls {{ cert_file: './c.pem' key_file: \"./k.pem\" ca_file: ./ca.pem\n\
                 verify : true\n timeout: 2\n {first} }}"
        )
    };
    let config = read(&text(""));
    let tls = config.tls.unwrap();
    assert_eq!((config.host.as_deref(), config.port), (Some("localhost"), Some(4545)));
    assert_eq!((tls.certificate, tls.key), ("./c.pem".into(), "./k.pem".into()));
    assert_eq!((tls.authority, tls.verify), (Some("./ca.pem".into()), true));
    assert_eq!((tls.timeout, tls.first), (Some(Duration::from_secs(2)), First::Info));
    let first = |text: String| read(&text).tls.unwrap().first;
    assert_eq!(first(text("handshake_first: true")), First::Handshake);
    assert_eq!(first(text("handshake_first: 300ms")), First::Either(Duration::from_millis(300)));
    assert_eq!(first(text("handshake_first: auto")), First::Either(Duration::from_millis(50)));
}

#[test]
fn one_user_may_stand_alone() {
    let config = read("authorization { user: derek\n password: porkchop\n timeout: 1 }");
    let secret = Secret::Password { user: "derek".into(), password: "porkchop".into() };
    assert_eq!(config.authorization.users, [User { secret, permissions: Permissions::default() }]);
    assert_eq!(config.limits.auth_timeout, Duration::from_secs(1));
    let config = read("authorization { token: \"s3cr3t\"\n timeout: \"2s\" }");
    assert_eq!(config.authorization.users[0].secret, Secret::Token("s3cr3t".into()));
}

#[test]
fn users_have_keys_and_permissions_of_their_own() {
    let config = read(
        "authorization: { default_permissions: { publish: open.> }\n users: [\n\
         { nkey: UAFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VE },\n\
         { user: a, pass: 123, permissions: {\n\
           publish: { allow: [a.>, b], deny: a.x }, subscribe: \"c\", allow_responses: { max: 5, expires: \"1m\" } } },\n\
         { user: b, password: b, permissions: { allow_responses: true } } ] }",
    );
    let [key, a, b] = config.authorization.users.as_slice() else { panic!("{config:?}") };
    assert!(matches!(key.secret, Secret::NKey(_)));
    assert_eq!(key.permissions.publish.allow, Some(vec!["open.>".to_owned()]));
    assert_eq!(a.secret, Secret::Password { user: "a".into(), password: "123".into() });
    let publish = Rules { allow: Some(vec!["a.>".into(), "b".into()]), deny: vec!["a.x".into()] };
    let subscribe = Rules { allow: Some(vec!["c".into()]), deny: Vec::new() };
    assert_eq!((&a.permissions.publish, &a.permissions.subscribe), (&publish, &subscribe));
    let responses = Responses { max: 5, expires_after: Duration::from_mins(1) };
    assert_eq!(a.permissions.responses, Some(responses));
    assert_eq!((&b.permissions.publish.allow, b.permissions.responses.is_some()), (&Some(Vec::new()), true));
}

#[test]
fn a_websocket_listener_says_whether_it_is_encrypted() {
    let config =
        read("jetstream {}\nwebsocket {\n\tport: 8444\n\tno_tls: true\n allowed_origins: [\"https://a\"] }");
    let websocket = config.websocket.unwrap();
    assert!(config.jetstream && websocket.no_tls && websocket.tls.is_none());
    assert_eq!((websocket.listen.port, websocket.allowed_origins), (8444, vec!["https://a".to_owned()]));
    assert_eq!(error("websocket { port: 1 }"), "`websocket.tls` is missing: give it, or say `no_tls: true`");
}

#[test]
fn jetstream_is_asked_for_in_many_ways() {
    assert!(read("jetstream: enabled").jetstream);
    assert!(
        read("jetstream {strict: true, max_mem_store: 64MiB, limits { max_request_batch: 100 }}").jetstream
    );
    assert!(!read("jetstream: false").jetstream);
    assert_eq!(read("jetstream { store_dir: /data }").store_dir, Some("/data".into()));
}

#[test]
fn monitoring_listens_beside_the_clients() {
    let listen = |text: &str| read(text).monitor.unwrap();
    assert_eq!(listen("http_port: 8222"), Listen { host: None, port: 8222 });
    assert_eq!(listen("http: localhost:8222"), Listen { host: Some("localhost".into()), port: 8222 });
}

#[test]
fn an_operator_brings_its_accounts() {
    let operator = read(
        "// Operator\noperator: e30.e30.sig\nresolver: MEMORY\nresolver_preload: {\n // Account\n ABC: x.y.z\n\n}",
    )
    .operator
    .unwrap();
    assert_eq!((operator.jwt.as_str(), operator.accounts), ("e30.e30.sig", vec!["x.y.z".to_owned()]));
}

#[test]
fn what_does_nothing_here_is_refused_by_name() {
    assert_eq!(
        error("cluster { name: x }"),
        "`cluster` is of a part that this server does not have: remove it"
    );
    assert_eq!(error("porrt: 1"), "`porrt` is not known here: remove it");
    assert_eq!(error("tls { cert_file: a }"), "`tls.key_file` is missing");
    assert_eq!(error("authorization { user: a }"), "`authorization.password` is missing");
    assert!(
        error("authorization { users: [ { nkey: SUA } ] }").starts_with("`authorization.users.nkey` cannot")
    );
}

#[test]
fn secrets_are_not_printed() {
    let config = read("authorization { user: a, password: hunter2 }");
    assert!(!format!("{config:?}").contains("hunter2"));
}
