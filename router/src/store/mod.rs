//! What the routers remember across a restart: objects of a kind, with an id and a revision.
//!
//! Objects of a switch belong to the partition of that switch, all others to that of the [`NETWORK`]. A partition is owned by one
//! router at a time: taking it begins a new owner epoch, and from then on the store refuses what an earlier owner still writes
//! ([`StoreError::Fenced`]). [`Database`] keeps it all in one SQLite file or in PostgreSQL. The machine never sees a store: it says
//! [`Write`]s and is given [`Stored`] objects. Everything a step of the machine writes is durable before anything it says leaves
//! the process.

mod batch;
mod database;

use std::collections::BTreeMap;

use skerry_bus::topic::partition_of;

pub use database::{Database, Location};

/// Owner of what belongs to no switch: flows, operations, links, SLA states, settings.
pub const NETWORK: i32 = 0;

/// Kinds whose ids begin with a switch's, up to the first space: they belong to the partition of the switch.
const OF_SWITCHES: [&str; 5] = ["presence", "generation", "object", "edit", "answer"];

/// An object as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// `flow`, `operation`, `presence`, `generation`, `object`, `edit`, `answer`, `link`, `sla`, `region`, `features`, `meta`.
    pub kind: String,
    /// Its id within the kind.
    pub id: String,
    /// Grows with every change of this object.
    pub revision: u64,
    /// The object, as JSON.
    pub body: String,
}

/// A change of what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Keep this object, replacing an earlier revision.
    Put {
        /// Its kind.
        kind: &'static str,
        /// Its id.
        id: String,
        /// The object, as JSON.
        body: String,
    },
    /// Forget this object.
    Delete {
        /// Its kind.
        kind: &'static str,
        /// Its id.
        id: String,
    },
}

impl Write {
    /// Its kind and id.
    pub fn object(&self) -> (&'static str, &str) {
        match self {
            Write::Put { kind, id, .. } | Write::Delete { kind, id } => (kind, id),
        }
    }

    /// Whether this has to survive a crash of the machine as soon as it was said: what a client asked for. Presence, links,
    /// generations and SLA states are learned again from the regions.
    fn must_survive(&self) -> bool {
        matches!(
            self.object().0,
            "flow" | "operation" | "object" | "edit" | "answer" | "region" | "features" | "meta"
        )
    }
}

/// The partition that an object belongs to.
pub fn partition_of_object(kind: &str, id: &str, partitions: i32) -> i32 {
    if !OF_SWITCHES.contains(&kind) {
        return NETWORK;
    }
    partition_of(id.split(' ').next().unwrap_or(id), partitions)
}

/// Who takes partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// What it calls itself, for people: host and process.
    pub name: String,
    /// Where its REST interface is reached; empty: nowhere.
    pub address: String,
}

/// What taking partitions gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Owner epoch of each.
    pub epochs: BTreeMap<i32, u64>,
    /// Everything that is kept of them, by kind and id.
    pub stored: Vec<Stored>,
}

/// Who owns a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// Its owner epoch.
    pub epoch: u64,
    /// Who.
    pub instance: Instance,
}

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is gone.
    #[error("store: {0}")]
    Database(#[from] sqlx::Error),
    /// It was written by a version that this one does not know.
    #[error("store: schema version {found} is newer than {known}; start the version that wrote it")]
    Newer {
        /// Version in the store.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
    /// It was written for another deployment.
    #[error("store: it was written for {found} partitions, the configuration says {configured}")]
    Partitions {
        /// Partitions in the store.
        found: i64,
        /// Partitions configured.
        configured: i32,
    },
    /// Another router owns the partition by now: what this one decided about it does not count.
    #[error("store: partition {partition} was taken by router {by} (owner epoch {epoch}, ours was {ours})")]
    Fenced {
        /// The partition.
        partition: i32,
        /// The owner epoch it has now.
        epoch: u64,
        /// Ours; 0 if we never took it.
        ours: u64,
        /// Who owns it.
        by: String,
    },
}
