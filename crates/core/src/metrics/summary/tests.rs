use super::*;
use crate::ledger::Series;

fn rollup(bucket: i64, names: [&str; 4], totals: (u64, f64, f64)) -> Rollup {
    let [route, flag, variant, metric] = names.map(Arc::from);
    let (count, sum, max) = totals;
    Rollup {
        series: Series { environment: "e".into(), route, flag, variant, metric },
        bucket,
        totals: Totals { count, sum, sum_squares: 0.0, max },
    }
}

#[test]
fn a_variant_shows_exposures_requests_events_and_rates() {
    let rollups = [
        rollup(0, ["", "f", "b", "exposure"], (200, 0.0, 0.0)),
        rollup(10, ["", "f", "b", "conversion"], (20, 400.0, 30.0)),
        rollup(10, ["r", "f", "b", "request.2xx"], (90, 900.0, 50.0)),
        rollup(20, ["r", "f", "b", "request.5xx"], (10, 300.0, 70.0)),
    ];
    let [a, b] = variants(&rollups, ["a", "b"].into_iter()).try_into().unwrap();
    assert_eq!(a, VariantMetrics { variant: "a".into(), ..VariantMetrics::default() });
    assert_eq!((b.exposures, b.requests, b.errors_5xx), (200, 100, 10));
    assert_eq!(b.error_rate, Some(0.1));
    assert_eq!(b.latency_ms, Some(Latency { mean: 12.0, max: 70.0 }));
    let conversion = EventSummary { count: 20, sum: 400.0, mean: 20.0, rate: Some(0.1) };
    assert_eq!(b.events.get("conversion"), Some(&conversion));
}

#[test]
fn without_exposures_rates_are_per_request_and_without_both_unknown() {
    let request = rollup(0, ["r", "f", "a", "request.2xx"], (4, 4.0, 1.0));
    let event = |variant| rollup(0, ["", "f", variant, "error"], (1, 0.0, 0.0));
    let [a, b] = variants(&[request, event("a"), event("b")], std::iter::empty()).try_into().unwrap();
    assert_eq!(a.events["error"].rate, Some(0.25));
    assert_eq!(b.events["error"].rate, None);
}

#[test]
fn a_variant_that_is_gone_from_the_flag_is_still_shown() {
    let shown = variants(&[rollup(0, ["", "f", "old", "exposure"], (1, 0.0, 0.0))], ["new"].into_iter());
    assert_eq!(shown.iter().map(|v| v.variant.as_str()).collect::<Vec<_>>(), ["new", "old"]);
}

#[test]
fn of_very_many_event_types_the_frequent_ones_are_shown_and_the_rest_added_up() {
    let mut rollups: Vec<Rollup> = (0..MOST_TYPES as u64 + 50)
        .map(|n| rollup(0, ["", "f", "a", &format!("type-{n:03}")], (1000 - n, 1.0, 1.0)))
        .collect();
    rollups.push(rollup(0, ["", "f", "b", "type-149"], (1, 1.0, 1.0)));
    rollups.push(rollup(0, ["", "f", "a", "exposure"], (7, 0.0, 0.0)));
    fold_rare_types(&mut rollups);
    let [a, b] = variants(&rollups, std::iter::empty()).try_into().unwrap();
    assert_eq!((a.events.len(), a.exposures), (MOST_TYPES + 1, 7));
    assert!(a.events.contains_key("type-099") && !a.events.contains_key("type-100"));
    assert_eq!(a.events[OTHER].count, (851..=900).sum::<u64>());
    assert_eq!(b.events.keys().collect::<Vec<_>>(), [OTHER], "the same types are rare in every variant");
}

#[test]
fn a_hundred_event_types_are_all_shown() {
    let mut rollups: Vec<Rollup> =
        (0..MOST_TYPES).map(|n| rollup(0, ["", "f", "a", &format!("type-{n}")], (1, 1.0, 1.0))).collect();
    fold_rare_types(&mut rollups);
    assert!(rollups.iter().all(|rollup| *rollup.series.metric != *OTHER));
}

#[test]
fn the_series_is_in_order_of_time() {
    let rollups = [20, 0, 20].map(|bucket| rollup(bucket, ["", "f", "a", "exposure"], (1, 0.0, 0.0)));
    let counts: Vec<_> = series(&rollups).iter().map(|m| (m.at.as_second(), m.metrics.exposures)).collect();
    assert_eq!(counts, [(0, 1), (20, 2)]);
}

#[test]
fn routes_show_their_statuses_and_variants_and_flags_leave_routes_without_flag_out() {
    let rollups = [
        rollup(0, ["r", "", "", "request.2xx"], (3, 3.0, 1.0)),
        rollup(0, ["r", "f", "a", "request.4xx"], (2, 2.0, 1.0)),
        rollup(0, ["", "f", "a", "error"], (1, 0.0, 0.0)),
    ];
    let [route] = routes(&rollups).try_into().unwrap();
    assert_eq!((route.requests, route.statuses["2xx"], route.statuses["4xx"]), (5, 3, 2));
    assert_eq!(route.variants, BTreeMap::from([("a".to_owned(), 2)]));
    let [flag] = flags(&rollups).try_into().unwrap();
    assert_eq!((flag.requests, flag.events["error"].count), (2, 1));
}
