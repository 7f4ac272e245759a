//! What a speaker tells, on `skerry.v1.events.<region>`.

use serde::{Deserialize, Serialize};

use crate::ids::{CorrelationId, Epoch, PortRef, Region, Seq, SwitchId, Term};
use crate::reply::{CommandResult, SwitchDump};
use crate::results::SwitchPlan;
use crate::switch::{PortState, SwitchState};

/// A message of a region. `seq` is gapless per epoch and partition, so a gap is seen at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionEvent {
    /// The region.
    pub region: Region,
    /// The speaker's epoch.
    pub epoch: Epoch,
    /// Position in this partition, from 1.
    pub seq: Seq,
    /// When it was said, milliseconds by the broker's clock as the speaker knows it. Data, never compared with a clock.
    pub at_ms: u64,
    /// What it answers, if it answers something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<CorrelationId>,
    /// What is told.
    #[serde(flatten)]
    pub body: RegionEventBody,
}

/// As much of a region message as is needed to go on behind one that cannot be read: by a speaker of another version, or
/// wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EventHead {
    /// The region.
    pub region: Region,
    /// The speaker's epoch.
    pub epoch: Epoch,
    /// Position in the partition.
    pub seq: Seq,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RegionEventBody {
    /// The region lives. Written into every partition.
    Heartbeat {
        /// Switches connected now.
        switches: u32,
        /// State changes that were coalesced while Kafka was away, since the epoch began.
        #[serde(default)]
        coalesced: u64,
        /// Which process speaks, for a person: its host and where it listens. Two that speak for one region are told apart by it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        speaker: String,
    },
    /// A snapshot begins. Entries of this partition follow, then its end; a switch of this partition that is
    /// not in it is gone.
    SnapshotBegin {
        /// Its name; `start` and `return` for those nobody asked for.
        snapshot: CorrelationId,
    },
    /// One switch of a snapshot.
    SnapshotSwitch {
        /// The snapshot.
        snapshot: CorrelationId,
        /// The switch, whole.
        state: SwitchState,
    },
    /// The end of a snapshot.
    SnapshotEnd {
        /// Its name.
        snapshot: CorrelationId,
        /// Entries written to this partition.
        switches: u32,
    },
    /// A switch is connected, its role settled.
    SwitchConnected {
        /// The switch, whole.
        state: SwitchState,
    },
    /// The state of a connected switch, whole, again: after a role change or because it was asked for.
    SwitchChanged {
        /// The switch, whole.
        state: SwitchState,
    },
    /// A switch's connection ended.
    SwitchDisconnected {
        /// The switch.
        switch: SwitchId,
        /// Which connection.
        connection: u64,
        /// Why.
        reason: String,
    },
    /// A connection was refused.
    SwitchRefused {
        /// The switch it claimed to be, once known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        switch: Option<SwitchId>,
        /// Where it came from.
        address: String,
        /// Why.
        reason: String,
    },
    /// This region no longer may write to the switch: it saw IS_SLAVE, STALE or a role-status message.
    LostRole {
        /// The switch.
        switch: SwitchId,
        /// The term that was held.
        term: Term,
        /// What was seen.
        seen: String,
    },
    /// A port changed.
    PortChanged {
        /// The switch.
        switch: SwitchId,
        /// The port, whole; absent from now on if `removed`.
        port: PortState,
        /// Whether the port is gone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        removed: bool,
    },
    /// A fresh, signed discovery packet of `from` arrived at `to`, and that is news: the first after a start, a silence
    /// or a move. Told by the region that received it.
    LinkSeen {
        /// The sending port.
        from: PortRef,
        /// The receiving port.
        to: PortRef,
        /// Interval at which it is expected again, milliseconds.
        interval_ms: u64,
    },
    /// Links seen in the last interval that did not change, as a digest: traffic does not grow with their number.
    LinkDigest {
        /// Switch whose received links these are.
        switch: SwitchId,
        /// How many directions are alive.
        links: u32,
        /// Combined hash of the directions (order does not matter).
        digest: u64,
    },
    /// Nothing from `from` arrived at `to` for the number of missed packets that counts as silence.
    LinkSilent {
        /// The sending port.
        from: PortRef,
        /// The receiving port.
        to: PortRef,
        /// Milliseconds since the last packet.
        silent_ms: u64,
        /// Expected packets missed.
        missed: u32,
    },
    /// A command ended.
    CommandResult {
        /// How.
        #[serde(flatten)]
        result: CommandResult,
    },
    /// What a switch holds.
    SwitchDump {
        /// The switch.
        switch: SwitchId,
        /// What it holds.
        dump: SwitchDump,
    },
    /// What would be done to make a switch what it shall be.
    SwitchPlan {
        /// The switch.
        switch: SwitchId,
        /// What would be done.
        plan: SwitchPlan,
    },
}

impl RegionEventBody {
    /// The switch whose lane it belongs to (the Kafka key); none for what goes into every partition.
    /// Links belong to the receiving switch.
    pub fn switch(&self) -> Option<SwitchId> {
        use RegionEventBody as B;
        match self {
            B::Heartbeat { .. } | B::SnapshotBegin { .. } | B::SnapshotEnd { .. } => None,
            B::SnapshotSwitch { state, .. } | B::SwitchConnected { state } | B::SwitchChanged { state } => {
                Some(state.switch)
            }
            B::SwitchDisconnected { switch, .. }
            | B::LostRole { switch, .. }
            | B::PortChanged { switch, .. }
            | B::LinkDigest { switch, .. }
            | B::SwitchDump { switch, .. }
            | B::SwitchPlan { switch, .. } => Some(*switch),
            B::SwitchRefused { switch, .. } => *switch,
            B::LinkSeen { to, .. } | B::LinkSilent { to, .. } => Some(to.switch),
            B::CommandResult { result } => result.switch,
        }
    }
}

/// What one live direction adds to the digest of [`RegionEventBody::LinkDigest`]: FNV-1a over both ports. The digest is the
/// wrapping sum over all live directions that end in the switch, so order does not matter.
pub fn direction_digest(from: PortRef, to: PortRef) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for end in [from, to] {
        let port = end.port.0.to_be_bytes();
        for byte in end.switch.0.to_be_bytes().into_iter().chain(port) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}
