//! What every `Ledger` does.

use flagbase_core::ledger::{RecordedEvent, Resolution, Rollup, RollupQuery, Series, Totals};
use jiff::Timestamp;

use crate::Stores;

mod events;
mod rollups;

pub use self::{events::*, rollups::*};

/// One test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! ledger_cases {
    ($fresh:path) => {
        $crate::contract_cases!(
            $fresh,
            ledger,
            [
                an_event_is_recorded_once,
                a_batch_may_hold_the_same_event_twice,
                event_ids_belong_to_an_environment,
                recorded_events_read_back_newest_first,
                units_are_counted_once_and_the_unitless_each,
                counting_starts_with_the_first_moment,
                counting_keeps_flags_types_and_environments_apart,
                exactly_one_of_many_senders_records_an_event,
                recorded_events_are_in_the_rollups_of_every_width,
                a_duplicate_is_not_rolled_up_twice,
                rollups_add_up_in_every_width,
                the_greatest_value_may_be_negative,
                series_are_apart,
                rollups_are_read_by_flag_route_and_time,
                sixteen_writers_lose_no_count,
                values_that_are_no_numbers_spoil_nothing,
                pruning_keeps_the_hours_and_what_is_young,
                pruning_goes_through_more_than_one_chunk,
                notes_are_kept_by_name,
            ]
        );
    };
}

/// The start of an hour, in seconds since the epoch.
const HOUR: i64 = 1_767_225_600;

/// `seconds` after the start of the hour.
fn after(seconds: i64) -> Timestamp {
    Timestamp::from_second(HOUR + seconds).unwrap()
}

/// An `error` of `dark-mode`, without unit and value.
fn event(id: &str) -> RecordedEvent {
    RecordedEvent {
        environment: "default".into(),
        event_id: id.into(),
        flag: "dark-mode".into(),
        variant: "on".into(),
        event_type: "error".into(),
        value: None,
        unit: None,
        at: after(0),
        received_at: after(1),
        recorded_by: "u1".into(),
    }
}

fn series() -> Series {
    Series {
        environment: "default".into(),
        route: "r1".into(),
        flag: "dark-mode".into(),
        variant: "on".into(),
        metric: "request.2xx".into(),
    }
}

/// One request of `value` milliseconds, `seconds` after the start of the hour.
fn rollup(series: Series, seconds: i64, value: f64) -> Rollup {
    let bucket = Resolution::TenSeconds.bucket(after(seconds));
    Rollup { series, bucket, totals: totals(1, value, value * value, value) }
}

fn totals(count: u64, sum: f64, sum_squares: f64, max: f64) -> Totals {
    Totals { count, sum, sum_squares, max }
}

fn query(resolution: Resolution) -> RollupQuery {
    RollupQuery {
        environment: "default".into(),
        flag: None,
        route: None,
        resolution,
        from: 0,
        until: i64::MAX,
    }
}

/// Bucket (seconds after the start of the hour) and totals of all cells of a width.
async fn cells(stores: &Stores, resolution: Resolution) -> Vec<(i64, Totals)> {
    let rollups = stores.ledger.rollups(query(resolution)).await.unwrap();
    rollups.into_iter().map(|rollup| (rollup.bucket - HOUR, rollup.totals)).collect()
}
