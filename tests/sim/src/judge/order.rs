//! Commands to one switch never overtake each other, and a command of a router that was followed by another is not done.

use std::collections::{BTreeMap, BTreeSet};

use skerry_bus::{Cause, Command, CommandBody, CommandResult, CorrelationId, Decoded, Outcome, SwitchId, decode};

use super::Verdict;
use crate::time::Ns;

/// A command in a region's log.
#[derive(Debug, Clone)]
pub struct Said {
    at: Ns,
    offset: i64,
    switch: Option<SwitchId>,
    /// It waits for its turn in the lane of its switch.
    lane: bool,
    owner_epoch: u64,
}

/// What one life of a speaker did.
#[derive(Debug, Default)]
struct Life {
    since: Ns,
    told: BTreeSet<CorrelationId>,
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
    lives: BTreeMap<usize, Life>,
}

impl Order {
    /// A command is in a region's log.
    pub fn appended(&mut self, now: Ns, command: &Command, offset: i64) {
        let lane = matches!(
            command.body,
            CommandBody::Desired { .. } | CommandBody::Dump { .. } | CommandBody::Plan { .. }
        );
        self.said.entry(command.correlation_id.clone()).or_insert(Said {
            at: now,
            offset,
            switch: command.body.switch(),
            lane,
            owner_epoch: command.owner_epoch.unwrap_or(0),
        });
    }

    /// A speaker's process starts.
    pub fn started(&mut self, now: Ns, speaker: usize) {
        self.lives.insert(
            speaker,
            Life {
                since: now,
                ..Life::default()
            },
        );
    }

    /// A speaker reads a command.
    pub fn read(&mut self, speaker: usize, payload: &[u8]) {
        let Decoded::Message(command) = decode::<Command>(payload) else {
            return;
        };
        let Some(switch) = command.body.switch() else { return };
        let life = self.lives.entry(speaker).or_default();
        let highest = life.owner.entry(switch).or_insert(0);
        let before = *highest;
        *highest = before.max(command.owner_epoch.unwrap_or(0));
        life.owner_when_read.entry(command.correlation_id).or_insert(before);
    }

    /// A speaker says how a command ended. None: it said so before, or another life of it may have done the command.
    pub fn told(&mut self, speaker: usize, id: &CorrelationId) -> Option<Said> {
        let life = self.lives.entry(speaker).or_default();
        let said = self.said.get(id)?;
        let first = life.told.insert(id.clone());
        (first && said.at >= life.since).then(|| said.clone())
    }

    /// That is news.
    pub fn ended(&mut self, speaker: usize, id: &CorrelationId, result: &CommandResult, said: &Said) -> Verdict {
        let life = self.lives.entry(speaker).or_default();
        let Some(switch) = said.switch else { return Ok(()) };
        let refused = matches!(result.cause, Some(Cause::OldOwner));
        let newer = life.owner_when_read.get(id).copied().unwrap_or(0);
        if newer > said.owner_epoch && !refused {
            return Err(format!(
                "{id} of owner {} was read after one of owner {newer}, and ended as {:?}",
                said.owner_epoch, result.outcome
            ));
        }
        if !said.lane || !matches!(result.outcome, Outcome::Applied | Outcome::Failed) {
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
