//! What every bus does while all is well.

use flagbase_core::events::{BusError, CloudEvent, Halted};
use serde_json::json;

use super::{BusUnderTest, event, event_with, events, sequences};

/// Nothing of an event is lost or changed.
pub async fn an_event_arrives_as_it_was_published(under: &BusUnderTest) {
    let mut published =
        event_with(1, &json!({"name": "größe \"\u{1F6A9}\"", "deep": [1, 2.5, null, {"a": {}}]}));
    published.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    under.bus.publish(std::slice::from_ref(&published)).await.unwrap();
    assert_eq!(under.hear().await, published);
}

/// A batch is one event after the other.
pub async fn a_batch_arrives_in_its_order(under: &BusUnderTest) {
    under.bus.publish(&events(1, 65)).await.unwrap();
    assert_eq!(sequences(&under.hear_many(64).await), (1..65).collect::<Vec<_>>());
}

/// One batch comes after the other.
pub async fn many_batches_arrive_in_their_order(under: &BusUnderTest) {
    for batch in 0..5 {
        under.bus.publish(&events(batch * 40, batch * 40 + 40)).await.unwrap();
    }
    assert_eq!(sequences(&under.hear_many(200).await), (0..200).collect::<Vec<_>>());
}

/// A bus may be asked for nothing, which tells whether it answers.
pub async fn an_empty_batch_is_taken(under: &BusUnderTest) {
    under.bus.publish(&[]).await.unwrap();
    under.bus.publish(&events(1, 2)).await.unwrap();
    assert_eq!(under.hear().await.flagbaseseq, 1);
}

/// Dots, blanks, wildcards and other alphabets in a key mean nothing to a bus.
pub async fn keys_of_any_letters_arrive(under: &BusUnderTest) {
    let keys = ["a.b.c", "two words", "*", ">", "größe/1", "旗", "50%", "tab\tline\r\nend", ""];
    for (sequence, key) in keys.iter().enumerate() {
        under.bus.publish(&[event(key, sequence as u64)]).await.unwrap();
    }
    let mut heard: Vec<String> =
        under.hear_many(keys.len()).await.into_iter().map(|event| event.subject).collect();
    heard.sort_unstable();
    let mut keys = keys.map(str::to_owned);
    keys.sort_unstable();
    assert_eq!(heard, keys);
}

/// Users and roles have no environment, and events all the same.
pub async fn what_belongs_to_no_environment_arrives(under: &BusUnderTest) {
    let (source, event_type) = ("/flagbase".to_owned(), "flagbase.user.created".to_owned());
    let global = CloudEvent { source, event_type, ..event("alice", 1) };
    under.bus.publish(std::slice::from_ref(&global)).await.unwrap();
    assert_eq!(under.hear().await, global);
}

/// Whoever hears an event twice can tell by its id.
pub async fn what_is_offered_again_carries_the_same_id(under: &BusUnderTest) {
    let batch = events(1, 4);
    under.bus.publish(&batch).await.unwrap();
    under.bus.publish(&batch).await.unwrap();
    under.bus.publish(&events(4, 5)).await.unwrap();
    let mut ids = Vec::new();
    loop {
        let heard = under.hear().await;
        assert_eq!(heard.id, event("dark-mode", heard.flagbaseseq).id);
        ids.push(heard.id);
        if heard.flagbaseseq == 4 {
            break;
        }
    }
    ids.dedup();
    assert!(ids.len() == 4 || ids.len() == 7, "each once, or the batch twice: {ids:?}");
}

/// Half of what buses take by default.
pub async fn a_large_event_arrives_whole(under: &BusUnderTest) {
    let large = event_with(1, &json!("x".repeat(512 * 1024)));
    under.bus.publish(&[large.clone(), event("dark-mode", 2)]).await.unwrap();
    assert!(under.hear().await == large, "it is not what was published");
    assert_eq!(under.hear().await.flagbaseseq, 2);
}

/// What a bus will never take it refuses for good, with everything before it taken, so that the rest can go on.
pub async fn nothing_behind_a_huge_event_is_held_up(under: &BusUnderTest) {
    let huge = event_with(2, &json!("x".repeat(4 * 1024 * 1024)));
    let Err(Halted { taken, error }) =
        under.bus.publish(&[event("dark-mode", 1), huge, event("dark-mode", 3)]).await
    else {
        assert_eq!(sequences(&under.hear_many(3).await), [1, 2, 3]);
        return;
    };
    assert_eq!(taken, 1, "{error:?}");
    assert!(matches!(&error, BusError::Refused(why) if why.to_string().contains("raise")), "{error:?}");
    under.bus.publish(&[event("dark-mode", 3)]).await.unwrap();
    assert_eq!(under.hear_until(3).await, [1, 3]);
}
