//! Code that is loaded and ready to be instantiated.

use super::{command, http, own};

/// One version's code, by its shape.
pub(crate) enum Loaded {
    /// A component of our own interfaces.
    Own(own::Program),
    /// A component of `wasi:http`.
    Http(http::Program),
    /// A WASI command.
    Command(command::Program),
}
