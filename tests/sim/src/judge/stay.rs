//! Nobody is deposed without a cause. While the active region, the other one and the router are well, a sticky network changes
//! nothing, and one that fails back does so only when the better region has reached the switch for the whole hold-down.

use super::Verdict;
use crate::scenario::Failback;
use crate::time::{MS, Ns, SECOND};

/// How long everybody must have been well: a region is lost after one second, and a claim that nobody confirms is repeated
/// after two, so what happened before this can have no more effect.
pub const CALM: Ns = 6 * SECOND;

/// A change of the active region while all is calm.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// The region that was MASTER.
    pub from: usize,
    /// The region that is now.
    pub to: usize,
    /// How long that one has been connected to the switch.
    pub connected: Ns,
}

/// Whether that may be.
pub fn judge(failback: Failback, switch: usize, change: Change) -> Verdict {
    let Change { from, to, connected } = change;
    let name = switch + 1;
    match failback {
        Failback::Sticky => Err(format!(
            "switch {name} goes from region {from} to {to} though all are well"
        )),
        // Regions stand in the order of preference.
        Failback::Preferred(_) if to > from => Err(format!(
            "switch {name} goes from region {from} to {to}, which is no better, though all are well"
        )),
        Failback::Preferred(hold_down) if connected < hold_down => Err(format!(
            "switch {name} goes back from region {from} to {to} after {} ms, and the hold-down is {} ms",
            connected / MS,
            hold_down / MS
        )),
        Failback::Preferred(_) => Ok(()),
    }
}
