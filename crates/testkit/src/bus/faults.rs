//! What a bus does when the broker behind it fails.

use std::{fs, time::Duration};

use flagbase_core::events::{BusError, Halted};
use serde_json::json;

use super::{BATCH, BusUnderTest, PROBE, event, event_with, events, sequences};

/// Unavailable, and nothing lost of what is offered again.
pub async fn a_broker_that_is_away_is_told_and_everything_comes_in_order_later(under: &BusUnderTest) {
    under.bus.publish(&events(0, 3)).await.unwrap();
    assert_eq!(sequences(&under.hear_many(3).await), [0, 1, 2]);
    under.broker().kill().await;
    for _ in 0..3 {
        let Halted { taken, error } = under.bus.publish(&events(3, 6)).await.unwrap_err();
        assert!(taken == 0 && matches!(error, BusError::Unavailable(_)), "{error:?}");
    }
    under.broker().start().await;
    wait_for_the_listener(under).await;
    under.relay(&events(3, 100)).await;
    let heard = under.hear_until(99).await;
    // What was heard before may come again: that the listener took it may have died with the broker.
    let later: Vec<_> = heard.into_iter().skip_while(|sequence| *sequence < 3).collect();
    assert_eq!(later, (3..100).collect::<Vec<_>>());
}

/// A server may start after Flagbase.
pub async fn a_broker_that_was_never_there_is_told_and_used_once_it_is(under: &BusUnderTest) {
    under.broker().kill().await;
    let halted = under.bus.publish(&events(0, 2)).await.unwrap_err();
    assert_eq!(halted.taken, 0);
    under.broker().start().await;
    wait_for_the_listener(under).await;
    under.relay(&events(0, 10)).await;
    assert_eq!(under.hear_until(9).await, (0..10).collect::<Vec<_>>());
}

/// `kill -9` while batches are under way.
pub async fn a_broker_killed_in_the_middle_keeps_the_order_and_what_it_acknowledged(under: &BusUnderTest) {
    const LAST: u64 = 2999;
    let all = events(0, LAST + 1);
    let (failures, ()) = tokio::join!(under.relay(&all), async {
        for pause in [30, 400] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            under.broker().kill().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            under.broker().start().await;
        }
    });
    let durable = under.broker().is_durable();
    if !durable {
        // A broker that forgets may have forgotten everything; what comes now is heard.
        wait_for_the_listener(under).await;
        under.relay(&[event("dark-mode", LAST + 1)]).await;
    }
    let last = if durable { LAST } else { LAST + 1 };
    let heard = under.hear_until(last).await;
    assert!(heard.is_sorted(), "out of order after {failures} failures: {heard:?}");
    if durable {
        assert_eq!(heard, (0..=LAST).collect::<Vec<_>>(), "after {failures} failures");
    }
}

/// What is not taken is not kept either: the log has it.
pub async fn nothing_piles_up_while_the_broker_is_away(under: &BusUnderTest) {
    under.bus.publish(&events(0, 1)).await.unwrap();
    under.broker().kill().await;
    let large = event_with(1, &json!("x".repeat(256 * 1024)));
    let batch = vec![large; BATCH];
    under.bus.publish(&batch).await.unwrap_err();
    let before = resident_kilobytes();
    for _ in 0..25 {
        under.bus.publish(&batch).await.unwrap_err();
    }
    let grown = resident_kilobytes().saturating_sub(before);
    // 25 batches are 400 MB; other tests of this process need some, too.
    assert!(grown < 250_000, "{grown} KB are held for a broker that is away");
}

/// The listener has to find the broker again, too, before it hears what is published to nobody.
async fn wait_for_the_listener(under: &BusUnderTest) {
    if under.broker().is_durable() {
        return;
    }
    let probe = async {
        let mut listener = under.listener.lock().await;
        loop {
            let _ = under.bus.publish(&[event(PROBE, 0)]).await;
            let heard = async { while listener.hear().await.subject != PROBE {} };
            if tokio::time::timeout(Duration::from_secs(2), heard).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(super::PATIENCE, probe).await.unwrap();
}

/// Memory of this process.
fn resident_kilobytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
