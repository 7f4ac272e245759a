//! The router's store: it survives every router. A transaction is done whole or not at all.

use std::collections::BTreeMap;

use skerry_router::store::{Stored, Write};

/// The store.
#[derive(Debug, Default)]
pub struct Store {
    objects: BTreeMap<(String, String), Stored>,
    owner_epoch: u64,
}

impl Store {
    /// One transaction.
    pub fn write(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Put { kind, id, body } => {
                    let key = (kind.to_owned(), id.clone());
                    let revision = self.objects.get(&key).map_or(0, |o| o.revision) + 1;
                    let object = Stored {
                        kind: kind.to_owned(),
                        id,
                        revision,
                        body,
                    };
                    self.objects.insert(key, object);
                }
                Write::Delete { kind, id } => {
                    self.objects.remove(&(kind.to_owned(), id));
                }
            }
        }
    }

    /// All that is kept, by kind and id.
    pub fn load(&self) -> Vec<Stored> {
        self.objects.values().cloned().collect()
    }

    /// A router takes everything: gives its owner epoch.
    pub fn take(&mut self) -> u64 {
        self.owner_epoch += 1;
        self.owner_epoch
    }
}
