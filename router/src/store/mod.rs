//! What the router remembers across a restart: objects of a kind, with an id, a revision and an owner.
//!
//! This module says what is stored and what a store must promise; [`sqlite`] keeps it in one file.
//! PostgreSQL can implement the same trait. The machine never sees a store: it says [`Write`]s and is given
//! [`Stored`] objects at its start. Everything a step of the machine writes is durable before anything it says
//! leaves the process.

pub mod sqlite;

use std::future::Future;

/// An object as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// `flow`, `operation`, `presence`, `switch`, `sla`, `features`, `meta`.
    pub kind: String,
    /// Its id within the kind.
    pub id: String,
    /// Grows with every change of this object.
    pub revision: u64,
    /// Who owns it: `router` until there are several.
    pub owner: String,
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

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is gone.
    #[error("store: {0}")]
    Database(#[from] sqlx::Error),
    /// The file was written by a version that this one does not know.
    #[error("store: schema version {found} is newer than {known}; start the version that wrote it")]
    Newer {
        /// Version in the file.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
}

/// A place where objects are kept.
pub trait Store: Send + Sync + 'static {
    /// All objects, by kind and id.
    fn load(&self) -> impl Future<Output = Result<Vec<Stored>, StoreError>> + Send;
    /// Do all of these or none, in this order; durable when it returns.
    fn write(&self, writes: Vec<Write>) -> impl Future<Output = Result<(), StoreError>> + Send;
}
