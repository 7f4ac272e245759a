//! Configuration with origins: defaults, then a TOML file, then the environment.
//!
//! A daemon has one struct for its configuration. Every struct in it carries
//! `#[serde(default, deny_unknown_fields)]` and none uses `flatten`: so each value can be left out by itself, and
//! [`load`] can go on after a wrong value and name *every* wrong one, not only the first.
//!
//! Environment: `PREFIX__SECTION__KEY`, such as `SKERRY_SPEAKER__KAFKA__BOOTSTRAP=127.0.0.1:9092`. The name is
//! lower-cased and split at double underscores. The value is read as a TOML value if the key wants something else than
//! text, so `SKERRY_SPEAKER__LISTEN='[{ address = "0.0.0.0:6653", plaintext = true }]'` replaces a whole list.
//!
//! This module does not know what any key means; that is the daemon's [`Settings::check`].

mod args;
mod load;
mod origin;
mod print;

pub use args::{DaemonArgs, EXIT_CONFIG, Start};
pub use load::{ConfigError, Fault, Loaded, load};
pub use origin::{Origin, Origins, join};

/// A daemon's configuration.
pub trait Settings: serde::Serialize + serde::de::DeserializeOwned + Default {
    /// Name of the daemon, such as `skerry-speaker`.
    const DAEMON: &'static str;
    /// What environment names begin with, without the double underscore, such as `SKERRY_SPEAKER`.
    const ENVIRONMENT: &'static str;
    /// Paths of values that are never printed.
    const SECRETS: &'static [&'static str];
    /// What is wrong with values that have the right type: path as in [`Fault::path`], and cause.
    fn check(&self) -> Vec<(String, String)>;
}

/// Text of a secret in everything that is printed.
pub(crate) const HIDDEN: &str = "(not shown)";

#[cfg(test)]
mod tests;
