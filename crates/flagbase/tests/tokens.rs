//! Forged, damaged and withdrawn tokens: 401 wherever a token is needed, and the server goes on.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/forge.rs"]
mod forge;

use flagbase_testkit::server::TestServer;
use forge::{decode, encode, plain_header, sign, sign_text};
use reqwest::Method;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

const PROTECTED: [(Method, &str); 4] = [
    (Method::GET, "/auth/me"),
    (Method::GET, "/api/v1/flags"),
    (Method::GET, "/api/v1/flags/f/evaluate"),
    (Method::POST, "/api/v1/metrics"),
];

/// A running server, a good token of a developer, and the secret it is signed with.
struct House {
    server: TestServer,
    token: String,
    secret: Vec<u8>,
}

impl House {
    async fn new() -> Self {
        let server = TestServer::start(PROGRAM).await;
        let token = server.join("dev@example.com", "developer").await;
        let flag = json!({"key": "f", "enabled": true, "default_value": true});
        server.post("/api/v1/flags", &token, &flag).await.expect_status(201);
        let secret = std::fs::read_to_string(server.directory().join("data/secret.key")).unwrap();
        Self { server, token, secret: secret.trim().into() }
    }

    fn header(&self, changes: Value) -> Value {
        changed(decode(&self.token, 0), changes)
    }

    fn claims(&self, changes: Value) -> Value {
        changed(decode(&self.token, 1), changes)
    }

    /// With a good header and a good signature.
    fn claiming(&self, changes: Value) -> String {
        sign(&self.header(json!({})), &self.claims(changes), &self.secret)
    }

    /// With good claims and a good signature.
    fn headed(&self, changes: Value) -> String {
        sign(&self.header(changes), &self.claims(json!({})), &self.secret)
    }

    async fn refuses(&self, case: &str, token: &str) {
        for (method, path) in PROTECTED {
            let body = (method == Method::POST).then(|| json!({}));
            let reply = self.server.send(method, path, Some(token), body.as_ref()).await;
            assert_eq!(reply.status, 401, "{case} at {path}: {}", reply.text);
            let code = reply.json["code"].as_str().unwrap_or_default();
            assert!(
                ["token_invalid", "token_expired", "session_ended"].contains(&code),
                "{case}: {}",
                reply.text
            );
            assert!(reply.header("www-authenticate").is_some(), "{case}: it is told what to send");
        }
    }

    async fn accepts(&self, case: &str, token: &str) {
        let reply = self.server.get("/auth/me", token).await;
        assert_eq!(reply.status, 200, "{case}: {}", reply.text);
        assert_eq!(reply.json["email"], json!("dev@example.com"), "{case}");
    }
}

/// The object with these members; null takes one away.
fn changed(mut object: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
            value => object[name] = value.clone(),
        }
    }
    object
}

#[tokio::test]
async fn a_signature_that_is_not_ours_admits_nobody() {
    let house = House::new().await;
    house.accepts("as it was issued", &house.token).await;
    house.accepts("signed again by hand", &house.claiming(json!({}))).await;

    let parts: Vec<_> = house.token.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let none = encode(house.header(json!({"alg": name})).to_string());
        house.refuses(&format!("alg `{name}` without signature"), &format!("{none}.{claims}.")).await;
        house
            .refuses(&format!("alg `{name}` with the old signature"), &format!("{none}.{claims}.{signature}"))
            .await;
    }
    let admin = encode(house.claims(json!({"role": "admin"})).to_string());
    let mut turned = signature.to_owned();
    turned.replace_range(..1, if signature.starts_with('A') { "B" } else { "A" });
    for (case, token) in [
        ("stripped signature", format!("{header}.{claims}.")),
        ("no signature part", format!("{header}.{claims}")),
        ("one part", header.to_owned()),
        ("four parts", format!("{}.{signature}", house.token)),
        ("only dots", "..".to_owned()),
        ("no base64", "a.%%%.c".to_owned()),
        ("padded base64", format!("{header}=.{claims}.{signature}")),
        ("cut signature", house.token[..house.token.len() - 4].to_owned()),
        ("longer signature", format!("{}AAAA", house.token)),
        ("another signature", format!("{header}.{claims}.{turned}")),
        ("other claims under the same signature", format!("{header}.{admin}.{signature}")),
        ("longer than any token", format!("{}{}", house.token, "A".repeat(9000))),
    ] {
        house.refuses(case, &token).await;
    }
    let claims = house.claims(json!({}));
    for (case, key) in [
        ("the first release's default", &b"change-me-in-production"[..]),
        ("an empty key", b""),
        ("a well-known key", b"secret"),
        ("the key as bytes instead of text", &house.secret[..32]),
        ("the id of the key", house.header(json!({}))["kid"].as_str().unwrap().as_bytes()),
    ] {
        house.refuses(case, &sign(&house.header(json!({})), &claims, key)).await;
        house.refuses(case, &sign(&plain_header(), &claims, key)).await;
    }
    house.accepts("after all of this", &house.token).await;
}

#[tokio::test]
async fn a_header_that_asks_for_anything_but_ours_is_refused_even_when_well_signed() {
    let house = House::new().await;
    for (case, change) in [
        ("HS384", json!({"alg": "HS384"})),
        ("HS512 with the key of HS256", json!({"alg": "HS512"})),
        ("RS256, signed with the secret", json!({"alg": "RS256"})),
        ("ES256, signed with the secret", json!({"alg": "ES256"})),
        ("EdDSA, signed with the secret", json!({"alg": "EdDSA"})),
        ("PS256, signed with the secret", json!({"alg": "PS256"})),
        ("alg in small letters", json!({"alg": "hs256"})),
        ("alg as a list", json!({"alg": ["HS256"]})),
        ("no alg", json!({"alg": null})),
        ("an unknown kid", json!({"kid": "0123456789abcdef"})),
        ("a kid of a path", json!({"kid": "../../../../dev/null"})),
        ("a kid of SQL", json!({"kid": "x' UNION SELECT 'secret' --"})),
        ("an empty kid", json!({"kid": ""})),
        ("no kid", json!({"kid": null})),
        ("a kid that is a number", json!({"kid": 1})),
        ("a kid with NUL", json!({"kid": "\u{0}"})),
        ("jku", json!({"jku": "http://127.0.0.1:1/keys"})),
        ("x5u", json!({"x5u": "http://127.0.0.1:1/certificate"})),
        ("x5c", json!({"x5c": ["AAAA"]})),
        ("x5t", json!({"x5t": "AAAA"})),
        ("jwk", json!({"jwk": {"kty": "oct", "k": encode("secret")}})),
        ("an unknown extension that must be understood", json!({"crit": ["exp2"], "exp2": 1})),
        ("a known extension that must be understood", json!({"crit": ["b64"], "b64": false})),
        ("an empty crit", json!({"crit": []})),
        ("compression", json!({"zip": "DEF"})),
        ("encryption", json!({"enc": "A128GCM"})),
        ("another type", json!({"typ": "at+jwt"})),
        ("a refresh token", json!({"typ": "refresh"})),
        ("no type", json!({"typ": null})),
    ] {
        house.refuses(case, &house.headed(change)).await;
    }
    let claims = house.claims(json!({})).to_string();
    for header in ["", "null", "[]", "\"HS256\"", "{", "{\"alg\":\"HS256\",\"alg\":\"none\",\"typ\":\"JWT\"}"]
    {
        house.refuses(&format!("header `{header}`"), &sign_text(header, &claims, &house.secret)).await;
    }
    house.accepts("after all of this", &house.token).await;
}

#[tokio::test]
async fn claims_that_make_no_sense_are_refused_even_when_well_signed() {
    let house = House::new().await;
    let now = house.claims(json!({}))["iat"].as_i64().unwrap();
    for (case, change) in [
        ("exp a second ago", json!({"exp": now - 1})),
        ("exp zero", json!({"exp": 0})),
        ("exp negative", json!({"exp": -1})),
        ("exp as text", json!({"exp": "9999999999"})),
        ("exp as a fraction", json!({"exp": 9_999_999_999.5})),
        ("exp huge", json!({"exp": i64::MAX})),
        ("exp beyond 64 bits", json!({"exp": u64::MAX})),
        ("exp infinite in effect", json!({"exp": 1e300})),
        ("exp as a list", json!({"exp": [9_999_999_999_u64]})),
        ("no exp", json!({"exp": null})),
        ("iat in the future", json!({"iat": now + 3600})),
        ("iat as text", json!({"iat": "0"})),
        ("no iat", json!({"iat": null})),
        ("nbf in the future", json!({"nbf": now + 3600})),
        ("nbf as text", json!({"nbf": "0"})),
        ("no sub", json!({"sub": null})),
        ("empty sub", json!({"sub": ""})),
        ("sub as a number", json!({"sub": 1})),
        ("another's sub", json!({"sub": "00000000000000000000000000000000"})),
        ("a long sub", json!({"sub": "a".repeat(5000)})),
        ("no sid", json!({"sid": null})),
        ("empty sid", json!({"sid": ""})),
        ("an unknown sid", json!({"sid": "00000000000000000000000000000000"})),
        ("a sid of SQL", json!({"sid": "x' OR 1=1 --"})),
    ] {
        house.refuses(case, &house.claiming(change)).await;
    }
    let header = house.header(json!({})).to_string();
    let id = |name: &str| house.claims(json!({}))[name].clone();
    let twice = format!(
        "{{\"sub\":\"x\",\"sub\":{},\"sid\":{},\"iat\":{now},\"exp\":{}}}",
        id("sub"),
        id("sid"),
        now + 60
    );
    let huge =
        format!("{{\"sub\":{},\"sid\":{},\"iat\":{now},\"exp\":1{}}}", id("sub"), id("sid"), "0".repeat(400));
    for claims in ["", "null", "[]", "1", "{", "\u{feff}{}", &twice, &huge, &"[".repeat(2000)] {
        let case = format!("claims `{claims}`");
        house.refuses(&case, &sign_text(&header, claims, &house.secret)).await;
    }
    house.accepts("after all of this", &house.token).await;
}

#[tokio::test]
async fn what_a_token_says_about_its_owner_is_not_believed() {
    let house = House::new().await;
    house.server.register("customer@example.com", Some("user")).await.expect_status(201);
    let customer = house.server.login("customer@example.com").await;
    let (mine, theirs) = (decode(&customer, 1), decode(&house.token, 1));
    let header = house.header(json!({}));

    let promoted =
        changed(mine.clone(), json!({"role": "admin", "email": "admin@example.com", "groups": ["staff"]}));
    let promoted = sign(&header, &promoted, &house.secret);
    let me = house.server.get("/auth/me", &promoted).await.expect_status(200);
    assert_eq!((&me.json["role"], &me.json["email"]), (&json!("user"), &json!("customer@example.com")));
    house.server.get("/api/v1/users", &promoted).await.expect_status(403);

    let crossed = changed(mine, json!({"sid": theirs["sid"]}));
    house.refuses("one's own id with another's session", &sign(&header, &crossed, &house.secret)).await;
}

#[tokio::test]
async fn a_token_is_good_until_its_session_user_or_time_ends_and_no_longer() {
    let house = House::new().await;
    let server = &house.server;
    let admin = server.administrator().await;
    let id = server.get("/auth/me", &house.token).await.json["id"].as_str().unwrap().to_owned();
    let user = format!("/api/v1/users/{id}");

    let second = server.login("dev@example.com").await;
    server.post("/auth/logout", &second, &json!({})).await.expect_status(204);
    house.refuses("after its logout", &second).await;
    house.accepts("the other session", &house.token).await;

    server.patch(&user, &admin, &json!({"role": "user"})).await.expect_status(200);
    let refused = server.post("/api/v1/flags", &house.token, &json!({"key": "g"})).await;
    assert_eq!(refused.status, 403, "a demotion acts on the next request: {}", refused.text);
    server.patch(&user, &admin, &json!({"role": "developer"})).await.expect_status(200);
    server
        .post("/api/v1/flags", &house.token, &json!({"key": "g", "default_value": true}))
        .await
        .expect_status(201);

    server.patch(&user, &admin, &json!({"disabled": true})).await.expect_status(200);
    house.refuses("while its owner is disabled", &house.token).await;
    server.patch(&user, &admin, &json!({"disabled": false})).await.expect_status(200);
    house.refuses("disabling ended the session for good", &house.token).await;

    let third = server.login("dev@example.com").await;
    server.delete(&user, &admin).await.expect_status(204);
    house.refuses("after its owner was deleted", &third).await;
    server.get("/auth/me", &admin).await.expect_status(200);
}

#[tokio::test]
async fn an_expired_token_and_a_changed_secret_end_sessions_but_not_logging_in() {
    let mut server = TestServer::start_with(PROGRAM, &[("FLAGBASE_IAM__TOKEN_TTL", "1s")]).await;
    let token = server.join("dev@example.com", "developer").await;
    let mut reply = server.get("/auth/me", &token).await;
    for _ in 0..200 {
        if reply.status == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        reply = server.get("/auth/me", &token).await;
    }
    assert_eq!((reply.status, &reply.json["code"]), (401, &json!("token_expired")), "{}", reply.text);
    assert_eq!(server.get("/health", &token).await.status, 200);

    server.set_env("FLAGBASE_IAM__TOKEN_TTL", "1h");
    server.restart().await;
    let token = server.login("dev@example.com").await;
    server.set_env("FLAGBASE_IAM__JWT_SECRET", "another secret that nobody has guessed yet");
    server.restart().await;
    server.get("/auth/me", &token).await.expect_status(401);
    let token = server.login("dev@example.com").await;
    server.get("/auth/me", &token).await.expect_status(200);
}
