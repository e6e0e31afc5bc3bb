//! Moves events: buses that carry the change log to whoever listens.
#![forbid(unsafe_code)]

mod in_process;

pub use in_process::{InProcessBus, Message, Subscription};
