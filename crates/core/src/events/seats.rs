//! Seats: how many streams there may be, together and per caller.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{
    metrics::Meters,
    refusal::{Class, Refusal},
};

/// Streams at once, at most.
const MOST: usize = 1000;

/// Streams of one caller at once, at most.
const MOST_EACH: usize = 50;

/// The seats that are taken.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: Mutex<HashMap<Arc<str>, usize>>,
}

/// A seat; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    holder: Arc<str>,
    meters: Arc<Meters>,
}

impl Seats {
    pub(super) fn take(self: &Arc<Self>, holder: &Arc<str>, meters: &Arc<Meters>) -> Result<Seat, Refusal> {
        let mut taken = self.taken.lock();
        let all: usize = taken.values().sum();
        let own = taken.get(holder).copied().unwrap_or_default();
        if all >= MOST || own >= MOST_EACH {
            return Err(Refusal::new(
                Class::Limited,
                "too_many_streams",
                format!("{own} of your streams are open, at most {MOST_EACH} can be; close one, or try again later"),
            )
            .retry_after(Duration::from_secs(10)));
        }
        taken.insert(Arc::clone(holder), own + 1);
        meters.stream_clients(1);
        Ok(Seat { seats: Arc::clone(self), holder: Arc::clone(holder), meters: Arc::clone(meters) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        match taken.get_mut(&self.holder) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.holder)),
        }
        self.meters.stream_clients(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_gets_so_many_seats_and_gets_them_back() {
        let (seats, meters) = (Arc::new(Seats::default()), Arc::new(Meters::default()));
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        let mut held: Vec<_> = (0..MOST_EACH).map(|_| seats.take(&alice, &meters).unwrap()).collect();
        let refusal = seats.take(&alice, &meters).unwrap_err();
        assert_eq!((refusal.class, refusal.retry_after.is_some()), (Class::Limited, true));
        assert!(seats.take(&bob, &meters).is_ok());
        held.pop();
        assert!(seats.take(&alice, &meters).is_ok());
        drop(held);
        assert!(seats.taken.lock().is_empty());
    }

    #[test]
    fn all_callers_together_get_no_more_than_there_are() {
        let (seats, meters) = (Arc::new(Seats::default()), Arc::new(Meters::default()));
        let take = |n: usize| seats.take(&format!("caller-{n}").into(), &meters);
        let held: Vec<_> = (0..MOST).map(take).filter_map(Result::ok).collect();
        assert_eq!(held.len(), MOST);
        assert!(take(MOST).is_err());
    }
}
