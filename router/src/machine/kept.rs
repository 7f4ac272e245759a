//! What services put on switches by commands, as it is stored: one object of the store for each rule, group and meter, so that an
//! edit writes as much as it changes.

use std::collections::BTreeMap;

use skerry_bus::SwitchId;
use skerry_bus::objects::{ObjectKeys, Objects};

use crate::store::{Stored, Write};

/// The kind in the store.
pub(super) const KIND: &str = "object";

/// What is to be written when the objects of a switch changed so.
pub(super) fn writes(switch: SwitchId, put: Objects, remove: &ObjectKeys) -> Vec<Write> {
    let mut writes: Vec<Write> = names(switch, remove)
        .into_iter()
        .map(|id| Write::Delete { kind: KIND, id })
        .collect();
    for objects in one_by_one(put) {
        let body = serde_json::to_string(&objects).expect("objects are plain data with keys that are text");
        writes.extend(names(switch, &objects.keys()).into_iter().map(|id| Write::Put {
            kind: KIND,
            id,
            body: body.clone(),
        }));
    }
    writes
}

/// All of them again, by switch.
#[derive(Debug, Default)]
pub(super) struct Kept(pub(super) BTreeMap<SwitchId, Objects>);

impl Kept {
    /// Take over one stored object.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn take(&mut self, stored: &Stored) -> Result<(), String> {
        let (switch, _) = stored.id.split_once(' ').ok_or("its id names no switch")?;
        let switch: SwitchId = switch.parse().map_err(|e| format!("id: {e}"))?;
        let one: Objects = serde_json::from_str(&stored.body).map_err(|e| e.to_string())?;
        let all = self.0.entry(switch).or_default();
        all.meters.extend(one.meters);
        all.groups.extend(one.groups);
        all.rules.extend(one.rules);
        Ok(())
    }
}

fn names(switch: SwitchId, keys: &ObjectKeys) -> Vec<String> {
    let meters = keys.meters.iter().map(|id| format!("{switch} meter {id}"));
    let groups = keys.groups.iter().map(|id| format!("{switch} group {id}"));
    let rules = keys.rules.iter().map(|key| {
        let key = serde_json::to_string(key).expect("a key is plain data with names that are text");
        format!("{switch} rule {key}")
    });
    meters.chain(groups).chain(rules).collect()
}

fn one_by_one(objects: Objects) -> impl Iterator<Item = Objects> {
    let one = |put: &dyn Fn(&mut Objects)| {
        let mut objects = Objects::new();
        put(&mut objects);
        objects
    };
    let meters = objects.meters.into_values().map(move |m| one(&|o| o.put_meter(m)));
    let groups = objects
        .groups
        .into_values()
        .map(move |g| one(&|o| o.put_group(g.clone())));
    let rules = objects
        .rules
        .into_values()
        .map(move |r| one(&|o| o.put_rule(r.clone())));
    meters.chain(groups).chain(rules)
}
