//! The agent as its host meets it: as a process of this machine, and as the first process of a real guest.

mod client;
mod local;
mod scenes;
