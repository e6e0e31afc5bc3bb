//! What starts functions besides requests: schedules, events and messages on the bus, objects in buckets.

mod occasions;

pub use occasions::{
    Enqueued, MOST_DEAD, MOST_WAITING, NewOccasion, Occasions, OccasionsError, Queued, Settled, Which,
};
