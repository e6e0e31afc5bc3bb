use std::str::FromStr as _;

use serde_json::json;

use super::*;

fn event(environment: &str) -> CloudEvent {
    serde_json::from_value(json!({
        "specversion": "1.0", "id": "id-1", "source": environment, "type": "flagbase.flag.disabled",
        "subject": "a.b", "time": "2026-01-01T00:00:00Z", "datacontenttype": "application/json",
        "flagbaseseq": 7, "data": {},
    }))
    .unwrap()
}

#[test]
fn an_event_is_one_message_per_subject_and_each_has_an_id_of_its_own() {
    let messages = Message::of(&event("/environments/default")).unwrap();
    let shown: Vec<_> = messages.iter().map(|m| (m.subject.as_str(), m.id.as_str())).collect();
    assert_eq!(
        shown,
        [("flagbase.flag.disabled", "id-1"), ("flagbase.env.default.flag.a%2Eb.disabled", "id-1.scoped"),]
    );
    assert_eq!(messages[0].payload, messages[1].payload);
    assert_eq!(Message::of(&event("/flagbase")).unwrap().len(), 1);
}

#[test]
fn a_message_says_what_it_is_and_what_must_come_before_it() {
    let messages = Message::of(&event("/flagbase")).unwrap();
    let headers = messages[0].headers(Some("id-0"));
    let value = |name: &str| {
        headers.get(async_nats::HeaderName::from_str(name).unwrap()).map(|v| v.as_str().to_owned())
    };
    assert_eq!(value("Nats-Msg-Id").as_deref(), Some("id-1"));
    assert_eq!(value("Nats-Expected-Last-Msg-Id").as_deref(), Some("id-0"));
    assert_eq!(value("content-type").as_deref(), Some("application/cloudevents+json"));
    assert!(messages[0].headers(None).get(NATS_EXPECTED_LAST_MESSAGE_ID).is_none());
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_not_a_hang() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("nats://127.0.0.1:{port}?jetstream");
    let crate::Target::Nats(target) = crate::Target::parse(&url).unwrap() else { panic!("{url}") };
    let halted = NatsBus::new(*target).publish(&[event("/flagbase")]).await.unwrap_err();
    assert_eq!(halted.taken, 0);
    assert!(matches!(halted.error, flagbase_core::events::BusError::Unavailable(_)), "{halted}");
}
