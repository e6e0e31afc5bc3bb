//! Signatures, verified by a library that was made elsewhere.

use flagbase_core::clock::SystemClock;
use http::HeaderMap;
use standardwebhooks::Webhook as Verifier;

use super::*;

/// Whether the published library signs the message alike, whatever time it is.
fn verifies(secret: &str, message: &Outgoing) -> bool {
    let at = header(message, "webhook-timestamp").parse().unwrap();
    let verifier = Verifier::new(secret).unwrap();
    let expected = verifier.sign(header(message, "webhook-id"), at, message.body.as_bytes()).unwrap();
    header(message, "webhook-signature").split(' ').any(|signature| signature == expected)
}

/// Whether the published library takes the message now, by its own clock.
fn taken(secret: &str, message: &Outgoing) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        headers.insert(*name, value.parse().unwrap());
    }
    Verifier::new(secret).unwrap().verify(message.body.as_bytes(), &headers).is_ok()
}

#[tokio::test]
async fn a_published_library_verifies_what_is_sent_and_nothing_else() {
    let product = product_at(FixedClock::at(SystemClock.now())).await;
    let secret = product.usual().await.secret.reveal();
    product.flip(false).await;
    product.round().await;
    let message = &product.received()[0];
    assert!(taken(&secret, message) && verifies(&secret, message));
    let changed = Outgoing { body: message.body.replace("checkout", "checkin"), ..message.clone() };
    assert!(!taken(&secret, &changed));
    let event: Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!(header(message, "webhook-id"), event["id"].as_str().unwrap());
    assert_eq!(header(message, "webhook-timestamp"), product.clock.now().as_second().to_string());
    assert_eq!(header(message, "content-type"), "application/json");
    assert_eq!((&event["type"], &event["specversion"]), (&json!("flagbase.flag.disabled"), &json!("1.0")));
    assert_eq!(event["timestamp"], event["time"]);
    assert_eq!(event["data"]["key"], "checkout");
}

#[tokio::test]
async fn both_secrets_verify_until_the_overlap_ends_and_then_only_the_new_one() {
    let product = product().await;
    let old = product.usual().await.secret.reveal();
    let asked = product.webhooks.rotate(asks(&developer()), "w", Some("2h"), ANY).await;
    let new = asked.unwrap().secret.reveal();
    let mut taken = Vec::new();
    for (enabled, pass) in [(false, 7_199), (true, 1)] {
        product.later(pass);
        product.flip(enabled).await;
        product.round().await;
        let received = product.received();
        let message = received.last().unwrap();
        assert!(verifies(&new, message));
        taken.push((verifies(&old, message), header(message, "webhook-signature").split(' ').count()));
    }
    assert_eq!(taken, [(true, 2), (false, 1)]);
}

#[tokio::test]
async fn a_rotation_may_end_the_old_secret_at_once() {
    let product = product().await;
    let old = product.usual().await.secret.reveal();
    let new = product.webhooks.rotate(asks(&developer()), "w", Some("0s"), ANY).await.unwrap();
    product.flip(false).await;
    product.round().await;
    let message = product.received().pop().unwrap();
    assert_eq!((verifies(&old, &message), verifies(&new.secret.reveal(), &message)), (false, true));
    for nonsense in ["soon", "-1h", "1s", "31d"] {
        let refusal =
            product.webhooks.rotate(asks(&developer()), "w", Some(nonsense), ANY).await.unwrap_err();
        assert_eq!(refusal.faults[0].pointer, "/overlap", "{nonsense}");
    }
}
