//! Defects that the simulated world must find, planted one at a time by its own tests.
//!
//! They exist only with the feature `defects`, which nothing but those tests turns on: without it [`is`] is the word `false`.

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// A command is applied when it was written.
    BarrierNotAwaited,
    /// The command that came last is done first.
    LaneOrderBroken,
    /// Commands of a router that was followed by another are done.
    OwnerEpochIgnored,
    /// A step is taken from any base.
    BaseIgnored,
}

#[cfg(feature = "defects")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Defect>> = const { std::cell::Cell::new(None) };
}

/// Plant a defect in all machines of this thread, or none.
#[cfg(feature = "defects")]
pub fn plant(defect: Option<Defect>) {
    PLANTED.set(defect);
}

/// Whether this defect is planted.
#[cfg(feature = "defects")]
pub(crate) fn is(defect: Defect) -> bool {
    PLANTED.get() == Some(defect)
}

/// Whether this defect is planted: never.
#[cfg(not(feature = "defects"))]
pub(crate) const fn is(_: Defect) -> bool {
    false
}
