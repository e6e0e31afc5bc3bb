//! The configuration: one typed tree, where each value came from, and what is wrong with it.
//!
//! Values are layered, later over earlier: built-in defaults, `/etc/flagbase/flagbase.yaml`, `./flagbase.yaml`, the file named by
//! `--config`, environment variables `FLAGBASE_SECTION__KEY`, command-line flags. The process environment is read once, here.

mod duration;
mod environment;
mod error;
mod keys;
mod layers;
mod load;
mod misfits;
mod secret;
mod size;
mod tree;
mod validate;

pub(crate) use duration::parse as parse_duration;
pub(crate) use environment::Environment;
pub(crate) use error::{ConfigError, Problem};
pub(crate) use keys::{Key, keys};
pub(crate) use layers::FlagValue;
pub(crate) use load::{Loaded, Sources};
pub(crate) use secret::Secret;
pub(crate) use tree::{
    Anonymous, Config, Driver, Events as EventsConfig, LogFormat, Mode, Registration, S3, Server,
};
pub(crate) use validate::{SecretStrength, is_this_machine};

/// The annotated defaults, which are also the list of known keys and the reference documentation.
pub(crate) const DEFAULTS: &str = include_str!("config/defaults.yaml");

#[cfg(test)]
mod tests;
