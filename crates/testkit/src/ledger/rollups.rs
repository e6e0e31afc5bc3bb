//! Rollups and pruning.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

use std::sync::Arc;

use flagbase_core::ledger::{RecordedEvent, Resolution, RollupQuery, Series};
use tokio::task::JoinSet;

use super::{HOUR, after, cells, event, query, rollup, series, totals};
use crate::Stores;

pub async fn recorded_events_are_in_the_rollups_of_every_width(stores: &Stores) {
    let at = |id: &str, seconds, value| RecordedEvent { at: after(seconds), value, ..event(id) };
    let batch = vec![at("1", 3, Some(2.0)), at("2", 9, Some(4.0)), at("3", 65, None)];
    stores.ledger.record(batch).await.unwrap();

    let pair = totals(2, 6.0, 20.0, 4.0);
    let bare = totals(1, 0.0, 0.0, 0.0);
    assert_eq!(cells(stores, Resolution::TenSeconds).await, [(0, pair), (60, bare)]);
    assert_eq!(cells(stores, Resolution::Minute).await, [(0, pair), (60, bare)]);
    assert_eq!(cells(stores, Resolution::Hour).await, [(0, totals(3, 6.0, 20.0, 4.0))]);
    let read = stores.ledger.rollups(query(Resolution::Hour)).await.unwrap();
    let expected = Series { route: "".into(), metric: "error".into(), ..series() };
    assert_eq!(read.first().map(|rollup| &rollup.series), Some(&expected));
}

pub async fn a_duplicate_is_not_rolled_up_twice(stores: &Stores) {
    let one = RecordedEvent { value: Some(2.0), ..event("e1") };
    stores.ledger.record(vec![one.clone(), one.clone()]).await.unwrap();
    stores.ledger.record(vec![one]).await.unwrap();
    for resolution in Resolution::ALL {
        assert_eq!(cells(stores, resolution).await, [(0, totals(1, 2.0, 4.0, 2.0))]);
    }
}

pub async fn rollups_add_up_in_every_width(stores: &Stores) {
    let requests = [(0, 3.0), (5, 4.0), (10, 1.0), (59, 2.0), (60, 9.0), (3599, 7.0), (3600, 5.0)];
    let (first, second) = requests.split_at(3);
    for part in [first, second] {
        let rollups = part.iter().map(|(at, value)| rollup(series(), *at, *value)).collect();
        stores.ledger.add(rollups).await.unwrap();
    }
    let tens = [
        (0, totals(2, 7.0, 25.0, 4.0)),
        (10, totals(1, 1.0, 1.0, 1.0)),
        (50, totals(1, 2.0, 4.0, 2.0)),
        (60, totals(1, 9.0, 81.0, 9.0)),
        (3590, totals(1, 7.0, 49.0, 7.0)),
        (3600, totals(1, 5.0, 25.0, 5.0)),
    ];
    assert_eq!(cells(stores, Resolution::TenSeconds).await, tens);
    let minutes = [
        (0, totals(4, 10.0, 30.0, 4.0)),
        (60, totals(1, 9.0, 81.0, 9.0)),
        (3540, totals(1, 7.0, 49.0, 7.0)),
        (3600, totals(1, 5.0, 25.0, 5.0)),
    ];
    assert_eq!(cells(stores, Resolution::Minute).await, minutes);
    let hours = [(0, totals(6, 26.0, 160.0, 9.0)), (3600, totals(1, 5.0, 25.0, 5.0))];
    assert_eq!(cells(stores, Resolution::Hour).await, hours);
}

pub async fn the_greatest_value_may_be_negative(stores: &Stores) {
    let loss = |id: &str, value| RecordedEvent { value: Some(value), ..event(id) };
    stores.ledger.record(vec![loss("1", -5.0), loss("2", -3.0), loss("3", -4.0)]).await.unwrap();
    let expected = totals(3, -12.0, 50.0, -3.0);
    assert_eq!(cells(stores, Resolution::Minute).await, [(0, expected)]);
}

/// Five series that differ from the first in one part each.
fn five() -> [Series; 5] {
    [
        series(),
        Series { route: "r2".into(), ..series() },
        Series { flag: "other".into(), ..series() },
        Series { variant: "off".into(), ..series() },
        Series { metric: "request.5xx".into(), ..series() },
    ]
}

pub async fn series_are_apart(stores: &Stores) {
    let elsewhere = Series { environment: "staging".into(), ..series() };
    let all = five().into_iter().chain([elsewhere]);
    stores.ledger.add(all.map(|series| rollup(series, 0, 1.0)).collect()).await.unwrap();
    let read = stores.ledger.rollups(query(Resolution::Minute)).await.unwrap();
    let mut expected = five();
    expected.sort_unstable();
    let mut seen: Vec<_> = read.iter().map(|rollup| rollup.series.clone()).collect();
    seen.sort_unstable();
    assert_eq!(seen, expected);
    assert!(read.iter().all(|rollup| rollup.totals == totals(1, 1.0, 1.0, 1.0)));
}

pub async fn rollups_are_read_by_flag_route_and_time(stores: &Stores) {
    for seconds in [0, 60, 120] {
        let rollups = five().into_iter().map(|series| rollup(series, seconds, 1.0)).collect();
        stores.ledger.add(rollups).await.unwrap();
    }
    let read = async |flag: Option<&str>, route: Option<&str>, from: i64, until: i64| {
        let query = RollupQuery {
            flag: flag.map(Into::into),
            route: route.map(Into::into),
            from: HOUR + from,
            until: HOUR + until,
            ..query(Resolution::Minute)
        };
        let rollups = stores.ledger.rollups(query).await.unwrap();
        assert!(rollups.is_sorted_by_key(|rollup| rollup.bucket), "oldest first");
        rollups.len()
    };
    assert_eq!(read(None, None, 0, 3600).await, 15);
    assert_eq!(read(Some("dark-mode"), None, 0, 3600).await, 12);
    assert_eq!(read(None, Some("r2"), 0, 3600).await, 3);
    assert_eq!(read(Some("dark-mode"), Some("r2"), 0, 3600).await, 3);
    assert_eq!(read(Some("other"), Some("r2"), 0, 3600).await, 0);
    assert_eq!(read(Some("other"), None, 60, 120).await, 1, "from is in, until is out");
    assert_eq!(read(None, None, 61, 120).await, 0);
}

pub async fn sixteen_writers_lose_no_count(stores: &Stores) {
    let mut writers = JoinSet::new();
    for _ in 0..16 {
        let ledger = Arc::clone(&stores.ledger);
        writers.spawn(async move {
            for seconds in 0..10 {
                let batch = vec![rollup(series(), seconds, 1.0), rollup(series(), 30, 2.0)];
                ledger.add(batch).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let hour = totals(320, 480.0, 800.0, 2.0);
    assert_eq!(cells(stores, Resolution::Hour).await, [(0, hour)]);
}

pub async fn values_that_are_no_numbers_spoil_nothing(stores: &Stores) {
    for value in [f64::INFINITY, f64::MAX, 1.0] {
        stores.ledger.add(vec![rollup(series(), 0, value)]).await.unwrap();
    }
    stores.ledger.add(vec![rollup(series(), 0, f64::NAN)]).await.unwrap();
    let cells = cells(stores, Resolution::Hour).await;
    assert_eq!(cells.first().map(|(_, totals)| totals.count), Some(4));
}

pub async fn pruning_keeps_the_hours_and_what_is_young(stores: &Stores) {
    let at = |id: &str, seconds| RecordedEvent { at: after(seconds), ..event(id) };
    stores.ledger.record(vec![at("1", 0), at("2", 59), at("3", 60), at("4", 125)]).await.unwrap();

    // Two events, two cells of ten seconds and one minute ended by then.
    assert_eq!(stores.ledger.prune(after(60)).await.unwrap(), 5);

    let left = stores.ledger.events("default", "dark-mode", 9).await.unwrap();
    let left: Vec<_> = left.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(left, ["4", "3"]);
    let one = totals(1, 0.0, 0.0, 0.0);
    assert_eq!(cells(stores, Resolution::TenSeconds).await, [(60, one), (120, one)]);
    assert_eq!(cells(stores, Resolution::Minute).await, [(60, one), (120, one)]);
    assert_eq!(cells(stores, Resolution::Hour).await, [(0, totals(4, 0.0, 0.0, 0.0))]);
    assert_eq!(stores.ledger.prune(after(60)).await.unwrap(), 0);
}

pub async fn pruning_goes_through_more_than_one_chunk(stores: &Stores) {
    let batch = (0..12_000).map(|n| event(&format!("e{n}"))).collect();
    stores.ledger.record(batch).await.unwrap();
    assert_eq!(stores.ledger.prune(after(60)).await.unwrap(), 12_002);
    assert!(stores.ledger.events("default", "dark-mode", 9).await.unwrap().is_empty());
}
