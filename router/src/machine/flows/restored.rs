//! Flows and operations at the router's start.

use std::collections::BTreeMap;
use std::time::Instant;

use skerry_monitor::SlaRecord;

use super::book::Entry;
use super::running::StoredOperation;
use super::{Flows, Output, owner};
use crate::store::Stored;

impl Flows {
    /// Take over what was stored: flows first, then operations under way, which go on where they stopped.
    ///
    /// # Errors
    /// Something cannot be read, as `error` says it.
    pub fn restore<E>(
        &mut self,
        now: Instant,
        stored: &[Stored],
        mut sla: BTreeMap<String, SlaRecord>,
        error: impl Fn(&Stored, String) -> E,
    ) -> Result<(), E> {
        let of = |kind: &'static str| stored.iter().filter(move |s| s.kind == kind);
        for object in of("flow") {
            let entry: Entry = serde_json::from_str(&object.body).map_err(|e| error(object, e.to_string()))?;
            self.pools.hold(&entry.place.placed.ids);
            let id = entry.id().clone();
            let objects = entry.objects().map_err(|e| error(object, e))?;
            self.entries.insert(id.clone(), entry);
            for (switch, objects) in objects {
                self.outputs.push_back(Output::SetOwner {
                    switch,
                    owner: owner(&id),
                    objects,
                });
            }
            self.watch(&id, sla.remove(&object.id));
        }
        for object in of("meta").filter(|s| s.id == "next_operation") {
            self.next_operation = object
                .body
                .parse()
                .map_err(|_| error(object, "not a number".to_owned()))?;
        }
        for object in of("operation") {
            let operation: StoredOperation =
                serde_json::from_str(&object.body).map_err(|e| error(object, e.to_string()))?;
            self.resume(now, operation);
        }
        Ok(())
    }
}
