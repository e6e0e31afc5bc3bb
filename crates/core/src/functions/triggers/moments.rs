//! Moments of schedules: which one is next, and which one passed unseen.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{Occasions, OccasionsError, lanes::earlier, sink::document};
use crate::{
    catalog::DocumentId,
    functions::{CompiledFunction, Occasion, On, Trigger},
    snapshot::Snapshot,
};

/// A schedule is looked through from so long ago at first: within that time, one that is dense has a moment.
const NEAR: SignedDuration = SignedDuration::from_hours(48);

/// What is known of the schedules.
#[derive(Default)]
pub(super) struct Moments {
    next: HashMap<(DocumentId, String), Next>,
}

/// The next moment of a schedule, as it was written then.
struct Next {
    on: On,
    at: Option<Timestamp>,
}

/// A moment that has come and was taken: nobody else runs it.
pub(super) struct Tick {
    pub(super) function: DocumentId,
    pub(super) trigger: String,
    pub(super) occasion: Occasion,
    pub(super) at: Timestamp,
}

impl Moments {
    /// The moments that have come. Says, too, when the next one comes.
    pub(super) async fn look(
        &mut self,
        snapshot: &Snapshot,
        occasions: &dyn Occasions,
        now: Timestamp,
    ) -> Result<(Vec<Tick>, Option<Timestamp>), OccasionsError> {
        let (mut ticks, mut soonest) = (Vec::new(), None);
        let mut before = std::mem::take(&mut self.next);
        for (function, trigger) in schedules(snapshot) {
            let key = (document(function), trigger.name.clone());
            let known = before.remove(&key);
            let mut next = first(known, (&key.0, trigger), occasions, now).await?;
            if next.at.is_some_and(|at| at <= now) {
                let moment = last_until(&trigger.on, next.at, now);
                next.at = trigger.on.next(now);
                // Noted before it runs: a crash does not make it run twice.
                if let Some(at) = moment
                    && occasions.take(&key.0, &key.1, at).await?
                {
                    ticks.push(Tick::new(&key, trigger, at));
                }
            }
            if let Some(at) = next.at {
                soonest = Some(earlier(soonest, at));
            }
            self.next.insert(key, next);
        }
        Ok((ticks, soonest))
    }
}

impl Tick {
    fn new((function, name): &(DocumentId, String), trigger: &Trigger, at: Timestamp) -> Self {
        let schedule = match &trigger.on {
            On::Schedule { schedule, .. } => schedule.as_str().into(),
            On::Subject { .. } | On::Bucket { .. } => "".into(),
        };
        let occasion = Occasion::Tick { schedule, at };
        Self { function: function.clone(), trigger: name.clone(), occasion, at }
    }
}

fn schedules(snapshot: &Snapshot) -> impl Iterator<Item = (&CompiledFunction, &Trigger)> {
    let functions = snapshot.environments().flat_map(|environment| environment.functions.values());
    let ready = functions.filter(|function| !function.versions().is_empty());
    let triggers =
        ready.flat_map(|function| function.triggers.iter().map(move |trigger| (&**function, trigger)));
    triggers.filter(|(_, trigger)| matches!(trigger.on, On::Schedule { .. }))
}

/// What is known of a schedule; for one that is new or was changed, that its moments count from now.
async fn first(
    known: Option<Next>,
    (function, trigger): (&DocumentId, &Trigger),
    occasions: &dyn Occasions,
    now: Timestamp,
) -> Result<Next, OccasionsError> {
    let changed = match known {
        Some(next) if next.on == trigger.on => return Ok(next),
        Some(_) => true,
        None => false,
    };
    let taken: BTreeMap<_, _> = if changed { BTreeMap::new() } else { occasions.taken(function).await? };
    let since = if let Some(last) = taken.get(&trigger.name) {
        *last
    } else {
        // Noted, so that a moment that passes while nobody is there is known to have passed.
        occasions.take(function, &trigger.name, now).await?;
        now
    };
    Ok(Next { on: trigger.on.clone(), at: trigger.on.next(since) })
}

/// The last moment of a schedule that is not after `now`, when `first` is one of them.
fn last_until(on: &On, first: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let near = now.checked_sub(NEAR).ok().and_then(|near| on.next(near)).filter(|at| *at <= now);
    let mut last = near.max(first)?;
    while let Some(next) = on.next(last).filter(|next| *next <= now) {
        last = next;
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daily(schedule: &str, timezone: &str) -> On {
        On::Schedule { schedule: schedule.to_owned(), timezone: timezone.to_owned() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn of_the_moments_that_passed_the_last_one_counts() {
        for (schedule, first, now, expected) in [
            ("0 3 * * *", "2026-01-02T03:00:00Z", "2026-01-02T03:00:00Z", "2026-01-02T03:00:00Z"),
            ("0 3 * * *", "2026-01-02T03:00:00Z", "2026-03-10T02:59:59Z", "2026-03-09T03:00:00Z"),
            ("* * * * *", "2026-01-02T03:00:00Z", "2026-12-31T23:59:30Z", "2026-12-31T23:59:00Z"),
            ("0 0 1 1 *", "2020-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ] {
            let last = last_until(&daily(schedule, "UTC"), Some(at(first)), at(now));
            assert_eq!(last, Some(at(expected)), "{schedule} until {now}");
        }
    }

    #[test]
    fn a_schedule_keeps_to_the_clocks_of_its_place() {
        let on = daily("0 3 * * *", "Europe/Berlin");
        assert_eq!(on.next(at("2026-01-10T00:00:00Z")), Some(at("2026-01-10T02:00:00Z")));
        assert_eq!(on.next(at("2026-07-10T00:00:00Z")), Some(at("2026-07-10T01:00:00Z")));
        // The night in which the hour from two to three comes twice has one three o'clock.
        let first = on.next(at("2026-10-24T12:00:00Z")).unwrap();
        assert_eq!((first, on.next(first)), (at("2026-10-25T02:00:00Z"), Some(at("2026-10-26T02:00:00Z"))));
        // In the night without an hour from two to three, half past two comes once, when that hour is over.
        let lost = daily("30 2 * * *", "Europe/Berlin");
        let that_day = lost.next(at("2026-03-28T12:00:00Z")).unwrap();
        assert_eq!(lost.next(that_day), Some(at("2026-03-30T00:30:00Z")));
    }
}
