//! The union of what all owners want on a switch.
//!
//! An object may have several owners if it is the same for all of them, to the byte. Different objects of one key are
//! refused, naming both owners.

use std::collections::{BTreeMap, BTreeSet};

use super::Owner;
use super::object::{Flat, Key, Object};

#[derive(Debug, Default)]
pub(super) struct Union {
    owners: BTreeMap<Owner, Flat>,
    /// The objects, and how many owners each has.
    objects: BTreeMap<Key, (Object, usize)>,
}

/// What an owner's change would do to another's object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) key: Key,
    pub(super) owner: Owner,
}

/// What an owner had before a change, for the keys that changed: none is nothing.
pub(super) type Undo = BTreeMap<Key, Option<Object>>;

impl Union {
    pub(super) fn owner(&self, owner: &str) -> Option<&Flat> {
        self.owners.get(owner)
    }

    pub(super) fn has_owners(&self) -> bool {
        !self.owners.is_empty()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key).map(|(object, _)| object)
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values().map(|(object, _)| object)
    }

    /// The first owner of a key that is not this one.
    pub(super) fn other_owner(&self, owner: &str, key: &Key) -> Option<&Owner> {
        self.owners
            .iter()
            .find(|(name, objects)| *name != owner && objects.contains_key(key))
            .map(|(name, _)| name)
    }

    /// How an owner's objects become these, as a change.
    pub(super) fn change_to(&self, owner: &str, mut wanted: Flat) -> Undo {
        let empty = Flat::new();
        let mut change: Undo = self
            .owner(owner)
            .unwrap_or(&empty)
            .iter()
            .filter_map(|(key, had)| match wanted.remove(key) {
                Some(object) if object == *had => None,
                other => Some((key.clone(), other)),
            })
            .collect();
        change.extend(wanted.into_iter().map(|(key, object)| (key, Some(object))));
        change
    }

    /// Whether another owner has another object of a key.
    pub(super) fn conflict(&self, owner: &str, change: &Undo) -> Option<Conflict> {
        change.iter().find_map(|(key, object)| {
            let object = object.as_ref()?;
            let (there, holders) = self.objects.get(key)?;
            let mine = usize::from(self.owner(owner).is_some_and(|o| o.contains_key(key)));
            if there == object || *holders <= mine {
                return None;
            }
            Some(Conflict {
                key: key.clone(),
                owner: self.other_owner(owner, key)?.clone(),
            })
        })
    }

    /// Change an owner's objects. Gives what undoes it, and the keys whose object in the union changed. The caller made
    /// sure that there is no conflict.
    pub(super) fn apply(&mut self, owner: &str, change: Undo) -> (Undo, BTreeSet<Key>) {
        let mut undo = Undo::new();
        let mut touched = BTreeSet::new();
        let mine = self.owners.entry(owner.to_owned()).or_default();
        for (key, object) in change {
            let before = match &object {
                Some(object) => mine.insert(key.clone(), object.clone()),
                None => mine.remove(&key),
            };
            if before == object {
                continue;
            }
            let entry = self.objects.remove(&key);
            let others = entry.as_ref().map_or(0, |(_, n)| *n) - usize::from(before.is_some());
            let there = entry.map(|(object, _)| object);
            let now = match object {
                Some(object) => Some((object, others + 1)),
                None if others > 0 => there.clone().map(|object| (object, others)),
                None => None,
            };
            if now.as_ref().map(|(object, _)| object) != there.as_ref() {
                touched.insert(key.clone());
            }
            if let Some(now) = now {
                self.objects.insert(key.clone(), now);
            }
            undo.insert(key, before);
        }
        if mine.is_empty() {
            self.owners.remove(owner);
        }
        (undo, touched)
    }
}
