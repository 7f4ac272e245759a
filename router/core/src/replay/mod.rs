//! Recorded inputs in, what a machine says out: `skerry replay presence` and `skerry replay links`.
//!
//! Pure: lines of text to lines of text. `docs/replay.md` describes both for a person, and its examples are tests.

mod links;
mod presence;

pub use links::LinksReplay;
pub use presence::PresenceReplay;

#[cfg(test)]
mod tests;
