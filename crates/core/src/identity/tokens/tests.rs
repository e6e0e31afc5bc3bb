use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Some moment, in seconds since 1970.
const NOW: i64 = 1_800_000_000;

fn tokens() -> Tokens {
    Tokens::new(&Secret::new(SECRET))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn good_claims() -> Value {
    json!({"sub": "u1", "sid": "s1", "iat": NOW, "exp": NOW + 100})
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token with this header and these claims, really signed with `secret` by `algorithm`.
fn forge(header: &Value, claims: &Value, secret: &[u8], algorithm: Algorithm) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn signed(header: &Value, claims: &Value) -> String {
    forge(header, claims, SECRET, Algorithm::HS256)
}

fn header() -> Value {
    json!({"alg": "HS256", "typ": "JWT", "kid": tokens().kid})
}

fn with(mut base: Value, name: &str, value: Value) -> Value {
    base[name] = value;
    base
}

fn without(mut base: Value, name: &str) -> Value {
    base.as_object_mut().unwrap().remove(name);
    base
}

#[track_caller]
fn refused(token: &str) {
    let refusal = tokens().verify(token, at(NOW)).expect_err("it must not be accepted");
    assert_eq!(refusal.class, Class::Unauthenticated, "{token}");
    assert!(["token_invalid", "token_expired"].contains(&refusal.code), "{token}: {}", refusal.code);
}

fn user_and_session() -> (User, Session) {
    let user = User {
        id: "u1".into(),
        email: "alice@example.com".into(),
        password_hash: String::new(),
        role: "developer".into(),
        groups: vec!["beta".into()],
        grants: Vec::new(),
        disabled: false,
        created_at: at(NOW),
        updated_at: at(NOW),
        version: 1,
    };
    let session = Session {
        id: "s1".into(),
        user_id: "u1".into(),
        created_at: at(NOW),
        expires_at: at(NOW + 100),
        revoked_at: None,
        client: String::new(),
        overrides: Vec::new(),
    };
    (user, session)
}

#[test]
fn what_we_sign_carries_the_first_apis_claims_and_verifies() {
    let (user, session) = user_and_session();
    let token = tokens().sign(&user, &session).unwrap();
    let claims: Value = jsonwebtoken::dangerous::insecure_decode(&token).map(|data| data.claims).unwrap();
    let expected = json!({
        "sub": "u1", "sid": "s1", "iat": NOW, "exp": NOW + 100, "user_id": "u1", "email": "alice@example.com",
        "tenant_id": "default", "role": "developer", "groups": ["beta"],
    });
    assert_eq!(claims, expected);
    let claim = tokens().verify(&token, at(NOW)).unwrap();
    assert_eq!(claim, Claim { user: "u1".into(), session: "s1".into(), expires_at: at(NOW + 100) });
}

#[test]
fn a_token_ends_on_the_second_with_no_leeway() {
    let token = signed(&header(), &good_claims());
    assert!(tokens().verify(&token, at(NOW + 99)).is_ok());
    for late in [100, 101, 130] {
        assert_eq!(tokens().verify(&token, at(NOW + late)).unwrap_err().code, "token_expired");
    }
}

#[test]
fn no_algorithm_but_hs256_is_accepted() {
    for name in
        ["none", "None", "nOnE", "NONE", "hs256", "", "RS256", "ES256", "PS256", "EdDSA", "HS384", "HS512"]
    {
        let header = with(header(), "alg", json!(name));
        let message = format!("{}.{}", part(&header), part(&good_claims()));
        refused(&format!("{message}."));
        refused(&signed(&header, &good_claims()));
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let header = with(header(), "alg", json!(format!("{algorithm:?}")));
        refused(&forge(&header, &good_claims(), SECRET, algorithm));
        refused(&forge(&self::header(), &good_claims(), SECRET, algorithm));
    }
}

#[test]
fn a_missing_foreign_or_damaged_signature_is_refused() {
    let token = signed(&header(), &good_claims());
    let (message, signature) = token.rsplit_once('.').unwrap();
    refused(message);
    refused(&format!("{message}."));
    refused(&format!("{message}.{signature}."));
    refused(&format!("{message}.{signature}.x"));
    refused(&format!("{message}.{}", &signature[1..]));
    refused(&format!("{message}.{signature}="));
    for secret in [&b""[..], b"change-me-in-production", b"secret", &[0; 32]] {
        refused(&forge(&header(), &good_claims(), secret, Algorithm::HS256));
    }
    let other = format!("{}.{}", part(&header()), part(&with(good_claims(), "sub", json!("u2"))));
    refused(&format!("{other}.{signature}"));
}

#[test]
fn a_key_id_must_be_there_and_be_ours() {
    assert!(tokens().verify(&signed(&header(), &good_claims()), at(NOW)).is_ok());
    refused(&signed(&without(header(), "kid"), &good_claims()));
    refused(&signed(&with(header(), "kid", json!(null)), &good_claims()));
    for kid in ["", "unknown", "../../dev/null", "x' OR '1'='1", "/proc/sys/kernel/randomize_va_space"] {
        refused(&signed(&with(header(), "kid", json!(kid)), &good_claims()));
    }
    refused(&signed(&with(header(), "kid", json!(7)), &good_claims()));
}

#[test]
fn a_new_secret_ends_the_tokens_of_the_old_one() {
    let (user, session) = user_and_session();
    let old = Tokens::new(&Secret::new(&b"another secret of thirty-two bytes"[..]));
    assert_ne!(old.kid, tokens().kid);
    refused(&old.sign(&user, &session).unwrap());
}

#[test]
fn headers_that_bring_a_key_or_an_extension_are_refused() {
    let extras = [
        ("jku", json!("https://example.com/jwks.json")),
        ("x5u", json!("https://example.com/cert.pem")),
        ("jwk", json!({"kty": "oct", "k": "AAAA"})),
        ("x5c", json!(["AAAA"])),
        ("x5t", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("crit", json!(["unknown"])),
        ("crit", json!([])),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
    ];
    for (name, value) in extras {
        refused(&signed(&with(header(), name, value), &good_claims()));
    }
    for typ in [json!("at+jwt"), json!("refresh"), json!("jwt"), json!(1)] {
        refused(&signed(&with(header(), "typ", typ), &good_claims()));
    }
    refused(&signed(&without(header(), "typ"), &good_claims()));
}

#[test]
fn times_must_be_whole_numbers_that_make_sense() {
    for name in ["exp", "iat", "nbf"] {
        for value in [json!("1900000000"), json!(1.9e9), json!(1e300), json!([NOW]), json!(true), json!({})] {
            refused(&signed(&header(), &with(good_claims(), name, value)));
        }
    }
    for exp in [json!(-1), json!(0), json!(i64::MIN), json!(i64::MAX), json!(u64::MAX), json!(null)] {
        refused(&signed(&header(), &with(good_claims(), "exp", exp)));
    }
    for name in ["nbf", "iat"] {
        refused(&signed(&header(), &with(good_claims(), name, json!(NOW + 3600))));
        assert!(
            tokens().verify(&signed(&header(), &with(good_claims(), name, json!(NOW + 30))), at(NOW)).is_ok()
        );
    }
}

#[test]
fn the_claims_we_live_by_must_be_there_and_be_text() {
    for name in ["sub", "sid", "iat", "exp"] {
        refused(&signed(&header(), &without(good_claims(), name)));
    }
    for name in ["sub", "sid"] {
        for value in [json!(7), json!(null), json!(""), json!("x".repeat(65)), json!(["u1"])] {
            refused(&signed(&header(), &with(good_claims(), name, value)));
        }
    }
    refused(&signed(&header(), &with(good_claims(), "aud", json!("someone else"))));
}

#[test]
fn what_is_no_token_at_all_is_refused() {
    for text in ["", ".", "..", "...", "a.b.c", "Bearer x", "\u{0}", "ey\u{e9}.x.y", "null"] {
        refused(text);
    }
    refused(&signed(&header(), &json!([])));
    refused(&signed(&header(), &json!("text")));
}

#[test]
fn a_member_given_twice_is_refused() {
    let twice = format!(r#"{{"sub":"u1","sub":"u2","sid":"s1","iat":{NOW},"exp":{}}}"#, NOW + 100);
    let message = format!("{}.{}", part(&header()), URL_SAFE_NO_PAD.encode(twice));
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    refused(&format!("{message}.{signature}"));
}

#[test]
fn a_token_larger_than_eight_kibibytes_is_refused_even_when_it_is_ours() {
    let fits = with(good_claims(), "more", json!("x".repeat(4000)));
    assert!(tokens().verify(&signed(&header(), &fits), at(NOW)).is_ok());
    let large = with(good_claims(), "more", json!("x".repeat(8000)));
    refused(&signed(&header(), &large));
}
