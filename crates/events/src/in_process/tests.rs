use super::*;

fn event(event_type: &str, seq: u64) -> CloudEvent {
    CloudEvent {
        specversion: "1.0".into(),
        id: seq.to_string(),
        source: "/flagbase".into(),
        event_type: event_type.into(),
        subject: "k".into(),
        time: "2026-01-01T00:00:00Z".into(),
        datacontenttype: "application/json".into(),
        traceparent: None,
        flagbaseseq: seq,
        data: serde_json::Value::Null,
    }
}

async fn seq(subscription: &mut Subscription) -> u64 {
    match subscription.next().await.unwrap() {
        Message::Event(event) => event.flagbaseseq,
        Message::Missed(missed) => panic!("missed {missed}"),
    }
}

#[tokio::test]
async fn every_subscriber_gets_what_it_asked_for_in_order() {
    let bus = InProcessBus::new(16);
    let mut all = bus.subscribe(Pattern::all());
    let mut disabled = bus.subscribe("flagbase.*.disabled".parse().unwrap());
    bus.publish(&[event("flagbase.flag.created", 1)]).await.unwrap();
    bus.publish(&[event("flagbase.flag.disabled", 2)]).await.unwrap();
    assert_eq!((seq(&mut all).await, seq(&mut all).await), (1, 2));
    assert_eq!(seq(&mut disabled).await, 2);
}

#[tokio::test]
async fn a_slow_subscriber_is_told_how_much_it_missed_and_goes_on() {
    let bus = InProcessBus::new(4);
    let mut slow = bus.subscribe(Pattern::all());
    for n in 0..10 {
        bus.publish(&[event("flagbase.flag.updated", n)]).await.unwrap();
    }
    assert_eq!(slow.next().await, Some(Message::Missed(6)));
    assert_eq!(seq(&mut slow).await, 6);
}

#[tokio::test]
async fn publishing_to_nobody_is_fine_and_the_end_of_the_bus_ends_its_subscribers() {
    let bus = InProcessBus::new(0);
    bus.publish(&[event("flagbase.flag.updated", 1)]).await.unwrap();
    let mut subscription = bus.subscribe(Pattern::all());
    drop(bus);
    assert_eq!(subscription.next().await, None);
}
