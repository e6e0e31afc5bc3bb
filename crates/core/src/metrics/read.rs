//! Reading measurements back.

use jiff::{SignedDuration, Timestamp};

use super::{
    Metrics,
    summary::{self, FlagMetrics, FlagTotals, RouteTotals},
};
use crate::{
    caller::Caller,
    flags,
    ledger::{RecordedEvent, Resolution, Rollup, RollupQuery},
    permissions::Permission,
    refusal::{Class, Refusal},
    snapshot::Snapshot,
};

/// Buckets in one answer, at most.
const MOST_BUCKETS: i64 = 10_000;

/// Raw events in one answer, at most.
const MOST_EVENTS: u32 = 1000;

/// The stretch of time that is asked for, as it is asked for.
#[derive(Debug, Clone, Default)]
pub struct RangeAsked {
    /// RFC 3339; an hour before `until` when not given.
    pub from: Option<String>,
    /// RFC 3339; now when not given.
    pub until: Option<String>,
    /// `10s`, `1m` or `1h`; chosen by the stretch when not given.
    pub resolution: Option<String>,
}

/// A stretch of time in whole buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Start of the first bucket, seconds.
    pub from: i64,
    /// End of the last bucket, seconds.
    pub until: i64,
    /// Width of the buckets.
    pub resolution: Resolution,
}

impl Range {
    /// The buckets that cover what is asked for.
    pub fn of(asked: &RangeAsked, now: Timestamp) -> Result<Self, Refusal> {
        let until = time("until", asked.until.as_deref())?.unwrap_or(now);
        let from = match time("from", asked.from.as_deref())? {
            Some(from) => from,
            None => until.checked_sub(SignedDuration::from_hours(1)).unwrap_or(until),
        };
        if from >= until {
            return Err(malformed(format!("`from` ({from}) must be before `until` ({until})")));
        }
        let stretch = until.duration_since(from).as_secs();
        let resolution = match asked.resolution.as_deref() {
            Some("10s") => Resolution::TenSeconds,
            Some("1m") => Resolution::Minute,
            Some("1h") => Resolution::Hour,
            Some(other) => {
                return Err(malformed(format!("resolution `{other}`: expected `10s`, `1m` or `1h`")));
            }
            None if stretch <= 3600 => Resolution::TenSeconds,
            None if stretch <= 86_400 => Resolution::Minute,
            None => Resolution::Hour,
        };
        let width = resolution.seconds();
        let last = resolution.bucket(until);
        // Now is always within the last bucket, also when it has only just begun.
        let end = if asked.until.is_none() || until > second(last) { last + width } else { last };
        let range = Self { from: resolution.bucket(from), until: end, resolution };
        if (range.until - range.from) / width > MOST_BUCKETS {
            return Err(malformed(format!(
                "more than {MOST_BUCKETS} buckets; ask for a shorter time or a coarser resolution"
            )));
        }
        Ok(range)
    }
}

fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let parse = |text: &str| {
        text.parse::<Timestamp>().map_err(|_| {
            malformed(format!("`{name}={text}`: expected a time, such as `2026-01-31T12:00:00Z`"))
        })
    };
    text.map(parse).transpose()
}

fn malformed(message: String) -> Refusal {
    Refusal::new(Class::Malformed, "bad_query", message)
}

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or_default()
}

impl Metrics {
    /// How a flag did, per variant and over time.
    pub async fn flag(
        &self,
        caller: &Caller,
        environment: &str,
        flag: &str,
        asked: &RangeAsked,
    ) -> Result<FlagMetrics, Refusal> {
        let snapshot = self.readable(caller, environment)?;
        let range = Range::of(asked, self.clock().now())?;
        let place = snapshot.require_environment(environment)?;
        let compiled = place.rules.flag(flag).ok_or_else(|| flags::not_found(place, flag))?;
        let mut rollups = self.rollups(environment, Some(flag), range).await?;
        summary::fold_rare_types(&mut rollups);
        let known = compiled.variants().map(|variant| variant.name.as_ref());
        Ok(FlagMetrics {
            flag: flag.to_owned(),
            environment: environment.to_owned(),
            from: second(range.from),
            until: second(range.until),
            resolution: match range.resolution {
                Resolution::TenSeconds => "10s",
                Resolution::Minute => "1m",
                Resolution::Hour => "1h",
            },
            variants: summary::variants(&rollups, known),
            series: summary::series(&rollups),
        })
    }

    /// How every flag did that was used, by key.
    pub async fn flags(
        &self,
        caller: &Caller,
        environment: &str,
        asked: &RangeAsked,
    ) -> Result<Vec<FlagTotals>, Refusal> {
        self.readable(caller, environment)?;
        let range = Range::of(asked, self.clock().now())?;
        Ok(summary::flags(&self.rollups(environment, None, range).await?))
    }

    /// How every gateway route did that was used, by id.
    pub async fn routes(
        &self,
        caller: &Caller,
        environment: &str,
        asked: &RangeAsked,
    ) -> Result<Vec<RouteTotals>, Refusal> {
        self.readable(caller, environment)?;
        let range = Range::of(asked, self.clock().now())?;
        Ok(summary::routes(&self.rollups(environment, None, range).await?))
    }

    /// Recorded events of a flag as they came, newest first, at most `limit`.
    pub async fn events(
        &self,
        caller: &Caller,
        environment: &str,
        flag: &str,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, Refusal> {
        let snapshot = self.readable(caller, environment)?;
        let place = snapshot.require_environment(environment)?;
        if place.rules.flag(flag).is_none() {
            return Err(flags::not_found(place, flag));
        }
        Ok(self.ledger.events(environment, flag, limit.min(MOST_EVENTS)).await?)
    }

    fn readable(&self, caller: &Caller, environment: &str) -> Result<std::sync::Arc<Snapshot>, Refusal> {
        let snapshot = self.feed.snapshots().get();
        let place = snapshot.require_environment(environment)?;
        caller.require(&snapshot, place, Permission::MetricRead)?;
        Ok(snapshot)
    }

    async fn rollups(
        &self,
        environment: &str,
        flag: Option<&str>,
        range: Range,
    ) -> Result<Vec<Rollup>, Refusal> {
        let query = RollupQuery {
            environment: environment.to_owned(),
            flag: flag.map(str::to_owned),
            route: None,
            resolution: range.resolution,
            from: range.from,
            until: range.until,
        };
        Ok(self.recorder.read(self.ledger.as_ref(), query).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T10:00:05Z".parse().unwrap()
    }

    fn asked(from: &str, until: &str, resolution: &str) -> RangeAsked {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        RangeAsked { from: given(from), until: given(until), resolution: given(resolution) }
    }

    #[test]
    fn without_a_range_it_is_the_last_hour_with_the_present_bucket() {
        let range = Range::of(&asked("", "", ""), now()).unwrap();
        assert_eq!(range.resolution, Resolution::TenSeconds);
        assert_eq!(second(range.from).to_string(), "2026-03-01T09:00:00Z");
        assert_eq!(second(range.until).to_string(), "2026-03-01T10:00:10Z");
    }

    #[test]
    fn longer_stretches_come_in_coarser_buckets() {
        let day = Range::of(&asked("2026-02-28T12:00:00Z", "", ""), now()).unwrap();
        let month = Range::of(&asked("2026-02-01T00:30:00Z", "2026-03-01T00:00:00Z", ""), now()).unwrap();
        assert_eq!((day.resolution, month.resolution), (Resolution::Minute, Resolution::Hour));
        assert_eq!(second(month.from).to_string(), "2026-02-01T00:00:00Z");
        assert_eq!(second(month.until).to_string(), "2026-03-01T00:00:00Z");
    }

    #[test]
    fn nonsense_says_what_to_do() {
        for (asked, says) in [
            (asked("yesterday", "", ""), "`from=yesterday`: expected a time"),
            (asked("2026-04-01T00:00:00Z", "", ""), "must be before"),
            (asked("", "", "5m"), "expected `10s`, `1m` or `1h`"),
            (asked("2026-01-01T00:00:00Z", "", "10s"), "coarser resolution"),
        ] {
            let refusal = Range::of(&asked, now()).unwrap_err();
            assert_eq!(refusal.class, Class::Malformed);
            assert!(refusal.message.contains(says), "{refusal}");
        }
    }
}
