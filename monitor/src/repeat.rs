//! When a reroute that did not help is asked again.
//!
//! A request is followed by another while the flow stays failed: first after [`HELP_TIME_MS`] and the window,
//! then twice as long after each, at most [`REPEAT_MAX_MS`]. It says nothing about why the first did not help.

/// Time given to a reroute to be done, milliseconds: path computation, rules, barriers and the drain of the old
/// path. The window must pass after it before the new path can count as healthy, so it is added.
pub const HELP_TIME_MS: u64 = 30_000;

/// Longest wait between two requests, milliseconds. A flow that cannot be helped costs one path
/// computation in this time, and is helped this long after a better path appeared at the latest.
pub const REPEAT_MAX_MS: u64 = 600_000;

/// Nanoseconds from the `asked`th request (1 is the first) to the next.
pub(crate) fn wait_ns(window_ns: u64, asked: u32) -> u64 {
    let first = window_ns.saturating_add(HELP_TIME_MS * 1_000_000);
    // A window longer than the longest wait still has to pass before anything can be known.
    let longest = first.max(REPEAT_MAX_MS * 1_000_000);
    let doublings = asked.saturating_sub(1).min(32);
    first.saturating_mul(1 << doublings).min(longest)
}
