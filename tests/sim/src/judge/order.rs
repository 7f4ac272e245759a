//! Commands to one switch never overtake each other, and a command of a router that was followed by another is not done.

use std::collections::BTreeMap;

use skerry_bus::{Cause, Command, CommandBody, CorrelationId, Outcome, SwitchId};

use super::{End, Verdict};
use crate::log::Tp;

/// A command in a region's log.
#[derive(Debug, Clone)]
pub struct Said {
    tp: Tp,
    offset: i64,
    /// It came more than once.
    again: bool,
    /// It waits for its turn in the lane of its switch.
    lane: bool,
    owner_epoch: u64,
}

/// What one life of a speaker did.
#[derive(Debug, Default)]
struct Life {
    /// The last command that was done, by switch.
    last: BTreeMap<SwitchId, (i64, CorrelationId)>,
    /// The largest owner epoch that stood in front of each command that was read.
    owner_when_read: BTreeMap<CorrelationId, u64>,
    /// The largest owner epoch that was read, by switch: one partition has all commands of a switch.
    owner: BTreeMap<SwitchId, u64>,
}

/// All speakers.
#[derive(Debug, Default)]
pub struct Order {
    said: BTreeMap<CorrelationId, Said>,
    /// What stands where: the command, its switch, the owner epoch.
    places: BTreeMap<(Tp, i64), (CorrelationId, SwitchId, u64)>,
    lives: BTreeMap<usize, Life>,
}

impl Order {
    /// A command is in a region's log.
    pub fn appended(&mut self, command: &Command, tp: Tp, offset: i64) {
        let lane = matches!(
            command.body,
            CommandBody::Desired { .. } | CommandBody::Dump { .. } | CommandBody::Plan { .. }
        );
        let said = Said {
            tp,
            offset,
            again: false,
            lane,
            owner_epoch: command.owner_epoch.unwrap_or(0),
        };
        if let Some(switch) = command.body.switch() {
            let owner = command.owner_epoch.unwrap_or(0);
            self.places
                .insert((tp, offset), (command.correlation_id.clone(), switch, owner));
        }
        let known = self.said.entry(command.correlation_id.clone()).or_insert(said);
        known.again |= (known.tp, known.offset) != (tp, offset);
    }

    /// A speaker's process starts.
    pub fn started(&mut self, speaker: usize) {
        self.lives.insert(speaker, Life::default());
    }

    /// A speaker reads a command.
    pub fn read(&mut self, speaker: usize, tp: Tp, offset: i64) {
        let Some((id, switch, owner_epoch)) = self.places.get(&(tp, offset)) else {
            return;
        };
        let life = self.lives.entry(speaker).or_default();
        let highest = life.owner.entry(*switch).or_insert(0);
        let before = *highest;
        *highest = before.max(*owner_epoch);
        life.owner_when_read.entry(id.clone()).or_insert(before);
    }

    /// A command ends at a speaker.
    pub fn ended(&mut self, speaker: usize, end: &End) -> Verdict {
        let life = self.lives.entry(speaker).or_default();
        let (Some(said), Some(switch)) = (self.said.get(&end.id), end.switch) else {
            return Ok(());
        };
        let id = &end.id;
        let refused = matches!(end.cause, Some(Cause::OldOwner));
        let newer = life.owner_when_read.get(id).copied().unwrap_or(0);
        if newer > said.owner_epoch && !refused && !said.again {
            return Err(format!(
                "{id} of owner {} was read after one of owner {newer}, and ended as {:?}",
                said.owner_epoch, end.outcome
            ));
        }
        // What came twice has two places, and either may be the one that was done.
        if !said.lane || said.again || !matches!(end.outcome, Outcome::Applied | Outcome::Failed) {
            return Ok(());
        }
        let before = life.last.insert(switch, (said.offset, id.clone()));
        match before {
            Some((offset, other)) if offset > said.offset => Err(format!(
                "{switch}: {id} at offset {} ended after {other} at offset {offset}",
                said.offset
            )),
            _ => Ok(()),
        }
    }
}
