//! Objects of a switch in one flat map: what a rule, a group and a meter have in common here.

use std::collections::BTreeMap;
use std::fmt;

use skerry_bus::objects::{ObjectKeys, Objects};
use skerry_bus::{Group, Meter, Rule, RuleKey};

/// What identifies an object in a switch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Meter(u32),
    Group(u32),
    Rule(RuleKey),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    Meter(Meter),
    Group(Group),
    Rule(Rule),
}

/// Objects by what identifies them.
pub(super) type Flat = BTreeMap<Key, Object>;

impl fmt::Display for Key {
    /// As speakers name it in errors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Meter(id) => write!(f, "meter {id}"),
            Key::Group(id) => write!(f, "group {id}"),
            Key::Rule(key) => fmt::Display::fmt(key, f),
        }
    }
}

impl Key {
    /// Whether a text that a speaker wrote is about this object; if so how much of it, because the name of one rule may
    /// be the beginning of another's.
    pub(super) fn mentioned_in(&self, text: &str) -> Option<usize> {
        let name = self.to_string();
        text.match_indices(&name)
            .any(|(at, _)| {
                let next = text[at + name.len()..].chars().next();
                !next.is_some_and(|c| c.is_alphanumeric())
            })
            .then_some(name.len())
    }
}

pub(super) fn flat(objects: Objects) -> Flat {
    let meters = objects
        .meters
        .into_iter()
        .map(|(id, m)| (Key::Meter(id), Object::Meter(m)));
    let groups = objects
        .groups
        .into_iter()
        .map(|(id, g)| (Key::Group(id), Object::Group(g)));
    let rules = objects
        .rules
        .into_iter()
        .map(|(key, r)| (Key::Rule(key), Object::Rule(r)));
    meters.chain(groups).chain(rules).collect()
}

pub(super) fn objects<'a>(flat: impl IntoIterator<Item = &'a Object>) -> Objects {
    let mut objects = Objects::new();
    for object in flat {
        match object {
            Object::Meter(meter) => objects.put_meter(*meter),
            Object::Group(group) => objects.put_group(group.clone()),
            Object::Rule(rule) => objects.put_rule(rule.clone()),
        }
    }
    objects
}

pub(super) fn keys(keys: ObjectKeys) -> Vec<Key> {
    let meters = keys.meters.into_iter().map(Key::Meter);
    let groups = keys.groups.into_iter().map(Key::Group);
    meters
        .chain(groups)
        .chain(keys.rules.into_iter().map(Key::Rule))
        .collect()
}

pub(super) fn object_keys<'a>(of: impl IntoIterator<Item = &'a Key>) -> ObjectKeys {
    let mut keys = ObjectKeys::default();
    for key in of {
        match key {
            Key::Meter(id) => keys.meters.push(*id),
            Key::Group(id) => keys.groups.push(*id),
            Key::Rule(key) => keys.rules.push(key.clone()),
        }
    }
    keys
}
