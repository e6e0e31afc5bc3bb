//! The server, put together.
