//! The desired state of one switch, and how far it is applied.
//!
//! ```text
//!            wanted and a region is active            applied
//! Settled ------------------------------------> Sent ---------> Settled
//!    ^                                           | |
//!    +---- another region, or none --------------+ | rejected, failed, no answer
//!    ^                                             v
//!    +--------------- pause over --------------- Pausing
//! ```
//!
//! | input | settled | sent | pausing |
//! | --- | --- | --- | --- |
//! | a change | sent, as a delta if the region holds the last one | waits, coalesces into the next | waits |
//! | another region or term | sent whole | sent whole, the old answer is nobody's | sent whole |
//! | no region | waits | settled, waits | settled, waits |
//! | applied, for what was sent | – | settled, and the next if there is one | – |
//! | rejected for its base | – | sent whole, at once | – |
//! | an object was refused | – | the change that brought it is taken back, sent whole; else pausing | – |
//! | superseded by a larger generation | – | ours becomes larger, sent whole | – |
//! | any other end | – | pausing | – |
//! | time | – | as no answer: pausing | sent whole |

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::reply::{Cause, CommandResult, Outcome};
use skerry_bus::{
    BrokerClock, Command, CommandBody, CorrelationId, DesiredChange, Generation, ObjectResults, Region, SwitchId, Term,
};

use super::object::{Key, Object, flat, keys, object_keys, objects};
use super::union::{Undo, Union};
use super::{COMMANDS, Config, Output, Owner};
use skerry_bus::objects::{ObjectKeys, Objects};

/// Changes of one switch that are not applied yet. Beyond that edits are refused as busy; owners' changes never are,
/// because there is at most one operation per owner.
const EDITS_MAX: usize = 1_024;
/// The answer to a command may arrive this much after its deadline.
const ANSWER_GRACE: Duration = Duration::from_millis(500);
/// An edit that was begun before a restart comes again when its record is read, which is then the first thing to happen. If it
/// does not, nobody waits for it.
const BEGUN_MAX: Duration = Duration::from_secs(600);
/// The name under which the router's own commands are answered.
const REQUESTER: &str = "router-tables";

/// What a table looks at besides itself, and where its decisions go.
pub(super) struct World<'a> {
    pub now: Instant,
    pub config: &'a Config,
    pub clock: Option<BrokerClock>,
    /// Counts the commands: no two have the same correlation id.
    pub sent: &'a mut u64,
    pub out: &'a mut VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Settled,
    Sent {
        correlation_id: CorrelationId,
        generation: Generation,
        whole: bool,
        until: Instant,
    },
    Pausing {
        until: Instant,
    },
}

/// A change that is not known to be applied.
#[derive(Debug)]
struct Change {
    owner: Owner,
    undo: Undo,
    /// All that it is about, changed by it or as it was before.
    keys: BTreeSet<Key>,
    /// The first generation that has it.
    generation: Generation,
    /// The command that asked for it, if one did.
    name: Option<CorrelationId>,
    /// That command is not answered.
    edit: Option<Edit>,
}

/// An edit that is not answered.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) correlation_id: CorrelationId,
    pub(super) deadline: Instant,
    /// It was begun before a restart, so something of it may have been sent.
    pub(super) begun: bool,
}

#[derive(Debug)]
pub(super) struct Table {
    switch: SwitchId,
    union: Union,
    generation: Generation,
    /// The largest that was told to be stored.
    stored: Generation,
    /// The largest that was sent to anybody.
    sent: Generation,
    active: Option<(Region, Term)>,
    /// What the active region is known to hold.
    held: Option<Generation>,
    /// Keys that changed since `held`, or since what is sent.
    dirty: BTreeSet<Key>,
    changes: Vec<Change>,
    failures: u32,
    state: State,
}

impl Table {
    pub(super) fn new(switch: SwitchId) -> Self {
        Table {
            switch,
            union: Union::default(),
            generation: Generation(0),
            stored: Generation(0),
            sent: Generation(0),
            active: None,
            held: None,
            dirty: BTreeSet::new(),
            changes: Vec::new(),
            failures: 0,
            state: State::Settled,
        }
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// The generation the active region is known to hold.
    pub(super) fn held(&self) -> Option<Generation> {
        self.held
    }

    pub(super) fn wanted(&self) -> Objects {
        objects(self.union.objects())
    }

    pub(super) fn owned_by(&self, owner: &str) -> Objects {
        objects(self.union.owner(owner).into_iter().flat_map(|o| o.values()))
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let state = match &self.state {
            State::Settled => None,
            State::Sent { until, .. } | State::Pausing { until } => Some(*until),
        };
        let edits = self.changes.iter().filter_map(|c| c.edit.as_ref()).map(|e| e.deadline);
        state.into_iter().chain(edits).min()
    }

    pub(super) fn restored(&mut self, generation: Generation) {
        self.stored = self.stored.max(generation);
        if generation >= self.generation {
            // What is wanted now may be something else than what had this number.
            self.generation = match self.union.has_owners() {
                true => generation.next(),
                false => generation,
            };
        }
    }

    pub(super) fn set_owner(&mut self, w: &mut World, owner: Owner, wanted: Objects) {
        let change = self.union.change_to(&owner, flat(wanted));
        if let Some(conflict) = self.union.conflict(&owner, &change) {
            let reason = format!("{} of {owner} is not the one that {} has", conflict.key, conflict.owner);
            w.out.push_back(Output::OwnerRefused {
                switch: self.switch,
                owner,
                reason,
            });
            return;
        }
        self.change(owner.clone(), change, None);
        if w.clock.is_none() {
            // What stood before the restart is no change that could be taken back.
            self.changes.retain(|c| c.edit.is_some());
        }
        w.out.push_back(Output::OwnerSet {
            switch: self.switch,
            owner,
            generation: self.generation,
        });
        self.tell_if_held(w);
        self.proceed(w);
    }

    pub(super) fn edit(&mut self, w: &mut World, edit: Edit, put: Objects, remove: ObjectKeys) {
        let mut open = self.changes.iter_mut().filter_map(|c| c.edit.as_mut());
        if let Some(known) = open.find(|known| known.correlation_id == edit.correlation_id) {
            // It comes again after a restart: it is under way, and now it is known when it is to be answered.
            known.deadline = edit.deadline;
            return;
        }
        let correlation_id = edit.correlation_id.clone();
        let refusal = |cause| CommandResult {
            switch: Some(self.switch),
            outcome: Outcome::Rejected,
            cause: Some(cause),
            generation: None,
            messages: 0,
            objects: None,
        };
        let removed = keys(remove);
        let mine = self.union.owner(COMMANDS);
        let strange = removed
            .iter()
            .filter(|key| !mine.is_some_and(|m| m.contains_key(key)))
            .find_map(|key| Some((key, self.union.other_owner(COMMANDS, key)?)));
        let mut change: Undo = removed.iter().map(|key| (key.clone(), None)).collect();
        change.extend(flat(put).into_iter().map(|(key, object)| (key, Some(object))));
        let result = if self.changes.len() >= EDITS_MAX {
            Some(refusal(Cause::Busy))
        } else if let Some((key, owner)) = strange {
            let detail = format!("remove: {key} belongs to {owner}");
            Some(refusal(Cause::Malformed { detail }))
        } else {
            self.union.conflict(COMMANDS, &change).map(|c| {
                let detail = format!("put: {} is not the one that {} has", c.key, c.owner);
                refusal(Cause::Malformed { detail })
            })
        };
        if let Some(result) = result {
            w.out.push_back(Output::Edited { correlation_id, result });
            return;
        }
        self.keep(w, &change);
        self.change(COMMANDS.to_owned(), change, Some(edit));
        if let Some(change) = self.changes.last() {
            let (put, remove) = both(&change.undo);
            w.out.push_back(Output::Begun {
                correlation_id,
                switch: self.switch,
                put,
                remove,
            });
        }
        self.tell_if_held(w);
        self.proceed(w);
    }

    /// An edit was begun before a restart; what it changed is among what stood before.
    pub(super) fn begun(&mut self, w: &mut World, correlation_id: CorrelationId, put: Objects, remove: ObjectKeys) {
        let mut undo: Undo = keys(remove).into_iter().map(|key| (key, None)).collect();
        undo.extend(flat(put).into_iter().map(|(key, object)| (key, Some(object))));
        self.changes.push(Change {
            owner: COMMANDS.to_owned(),
            keys: undo.keys().cloned().collect(),
            undo,
            generation: self.generation,
            name: Some(correlation_id.clone()),
            edit: Some(Edit {
                correlation_id,
                deadline: w.now + BEGUN_MAX,
                begun: true,
            }),
        });
    }

    /// Tell what of an edit, or of taking one back, is to be stored.
    fn keep(&self, w: &mut World, change: &Undo) {
        let mine = self.union.owner(COMMANDS);
        let news = change
            .iter()
            .filter(|(key, object)| mine.and_then(|m| m.get(key)) != object.as_ref());
        let (put, remove) = both(news);
        if !put.is_empty() || !remove.is_empty() {
            w.out.push_back(Output::Kept {
                switch: self.switch,
                put,
                remove,
            });
        }
    }

    fn change(&mut self, owner: Owner, change: Undo, edit: Option<Edit>) {
        let keys = change.keys().cloned().collect();
        let (undo, touched) = self.union.apply(&owner, change);
        if !touched.is_empty() {
            self.generation = self.generation.next();
            self.touched(touched);
        }
        // Even what changes nothing waits until the generation that has it is applied.
        if !undo.is_empty() || edit.is_some() {
            self.changes.push(Change {
                owner,
                undo,
                keys,
                generation: self.generation,
                name: edit.as_ref().map(|edit| edit.correlation_id.clone()),
                edit,
            });
        }
    }

    fn touched(&mut self, keys: BTreeSet<Key>) {
        // Only a step from something known needs them.
        if self.held.is_some() || matches!(self.state, State::Sent { .. }) {
            self.dirty.extend(keys);
        } else {
            self.dirty.clear();
        }
    }

    /// What is asked for stands already.
    fn tell_if_held(&mut self, w: &mut World) {
        let nothing_ever = self.generation == Generation(0) && !self.union.has_owners();
        if self.held == Some(self.generation) || nothing_ever {
            self.applied(w, self.generation, 0);
        }
    }

    pub(super) fn active(&mut self, w: &mut World, active: Option<(Region, Term)>) {
        if self.active == active {
            return;
        }
        self.active = active;
        self.held = None;
        self.failures = 0;
        self.state = State::Settled;
        self.proceed(w);
    }

    /// What waits for an answer is sent again, whole: whoever had it already has nothing to do. No failure is counted.
    pub(super) fn bus_back(&mut self, w: &mut World) {
        if let State::Sent { .. } = self.state {
            self.held = None;
            self.state = State::Settled;
            self.proceed(w);
        }
    }

    /// A region answered one of our commands.
    pub(super) fn answered(&mut self, w: &mut World, region: &Region, id: &CorrelationId, result: &CommandResult) {
        let State::Sent {
            correlation_id,
            generation,
            whole,
            ..
        } = &self.state
        else {
            return;
        };
        let (generation, whole) = (*generation, *whole);
        if correlation_id != id || self.active.as_ref().map(|a| &a.0) != Some(region) {
            return;
        }
        self.state = State::Settled;
        let cause = result.cause.clone();
        match (result.outcome, cause) {
            (Outcome::Applied, _) => {
                self.failures = 0;
                self.held = Some(generation);
                self.applied(w, generation, result.messages);
            }
            (Outcome::Rejected, Some(Cause::Base { .. })) if !whole => self.held = None,
            (Outcome::Superseded, Some(Cause::Newer { generation: newer })) if newer >= self.generation => {
                // Somebody counted further than we remember.
                self.held = None;
                self.generation = newer.next();
                for change in &mut self.changes {
                    change.generation = self.generation;
                }
            }
            (outcome, cause) => {
                let cause = cause.unwrap_or(Cause::NoBarrier);
                let objects = result.objects.clone();
                self.failed(w, generation, cause, objects, outcome);
            }
        }
        self.proceed(w);
    }

    fn applied(&mut self, w: &mut World, generation: Generation, messages: u32) {
        w.out.push_back(Output::Applied {
            switch: self.switch,
            generation,
        });
        let (done, open): (Vec<Change>, Vec<Change>) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|c| c.generation <= generation);
        self.changes = open;
        for Change { name, edit, .. } in done {
            self.over(w, name);
            let Some(edit) = edit else { continue };
            w.out.push_back(Output::Edited {
                correlation_id: edit.correlation_id,
                result: CommandResult {
                    switch: Some(self.switch),
                    outcome: Outcome::Applied,
                    cause: None,
                    generation: Some(generation),
                    messages,
                    objects: None,
                },
            });
        }
    }

    fn failed(
        &mut self,
        w: &mut World,
        generation: Generation,
        cause: Cause,
        objects: Option<ObjectResults>,
        outcome: Outcome,
    ) {
        self.held = None;
        self.failures = self.failures.saturating_add(1);
        let withdrawn = match guilt(&cause) {
            Some(text) => {
                let result = CommandResult {
                    switch: Some(self.switch),
                    outcome,
                    cause: Some(cause.clone()),
                    generation: None,
                    messages: 0,
                    objects: objects.clone(),
                };
                self.withdraw_guilty(w, generation, text, &result)
            }
            None => Vec::new(),
        };
        if withdrawn.is_empty() {
            let pause = w.config.pause_min * 2u32.saturating_pow((self.failures - 1).min(16));
            self.state = State::Pausing {
                until: w.now + pause.min(w.config.pause_max),
            };
        }
        w.out.push_back(Output::ApplyFailed {
            switch: self.switch,
            generation,
            cause,
            objects,
            certain: outcome != Outcome::Failed,
            withdrawn,
        });
    }

    /// Take back the change that brought the object which `text` names; all of them if it names none. A change whose
    /// generation was not sent yet is innocent.
    fn withdraw_guilty(&mut self, w: &mut World, sent: Generation, text: &str, result: &CommandResult) -> Vec<Owner> {
        let was_sent = |c: &&Change| c.generation <= sent;
        let owners: BTreeSet<Owner> = if text.is_empty() {
            self.changes.iter().filter(was_sent).map(|c| c.owner.clone()).collect()
        } else {
            // The longest name that fits, and of several changes of that object the last.
            let mentioned = |c: &Change| c.undo.keys().filter_map(|k| k.mentioned_in(text)).max();
            self.changes
                .iter()
                .filter(was_sent)
                .filter_map(|c| Some((mentioned(c)?, c)))
                .max_by_key(|(length, _)| *length)
                .map(|(_, c)| c.owner.clone())
                .into_iter()
                .collect()
        };
        for owner in &owners {
            let guilty = |c: &Change| {
                let named = text.is_empty() || c.undo.keys().any(|k| k.mentioned_in(text).is_some());
                c.owner == *owner && c.generation <= sent && named
            };
            if owner == COMMANDS {
                // Of several that brought this object the last; the others stay as they were.
                while let Some(at) = self.changes.iter().rposition(guilty) {
                    self.withdraw_edit(w, at, result);
                    if !text.is_empty() {
                        break;
                    }
                }
            } else {
                let from = self.changes.iter().position(guilty);
                self.withdraw_from(w, owner, from.unwrap_or(0), result);
            }
        }
        owners.into_iter().collect()
    }

    /// Undo an owner's changes, the newest first, down to the one at this index.
    fn withdraw_from(&mut self, w: &mut World, owner: &str, from: usize, result: &CommandResult) {
        let mut at = self.changes.len();
        while at > from {
            at -= 1;
            if self.changes[at].owner == owner {
                let change = self.changes.remove(at);
                self.undo(w, change, result);
            }
        }
        self.generation = self.generation.next();
    }

    /// Undo one edit of commands. What a later one changed again, or wanted as it was, stays as that one wants it; were that
    /// one undone as well, it would go back to what was before both.
    fn withdraw_edit(&mut self, w: &mut World, at: usize, result: &CommandResult) {
        let mut change = self.changes.remove(at);
        for later in self.changes[at..].iter_mut().filter(|c| c.owner == COMMANDS) {
            let mut news = false;
            for key in &later.keys {
                if let Some(before) = change.undo.remove(key) {
                    later.undo.insert(key.clone(), before);
                    news = true;
                }
            }
            if let (true, Some(name)) = (news, &later.name) {
                // After a restart it must not go back to what was taken back.
                let (put, remove) = both(&later.undo);
                w.out.push_back(Output::Begun {
                    correlation_id: name.clone(),
                    switch: self.switch,
                    put,
                    remove,
                });
            }
        }
        self.undo(w, change, result);
        self.generation = self.generation.next();
    }

    /// A change is no longer one that may be taken back.
    fn over(&self, w: &mut World, name: Option<CorrelationId>) {
        if let Some(correlation_id) = name {
            let switch = self.switch;
            w.out.push_back(Output::Over { correlation_id, switch });
        }
    }

    fn undo(&mut self, w: &mut World, change: Change, result: &CommandResult) {
        let Change {
            owner,
            mut undo,
            name,
            edit,
            ..
        } = change;
        self.over(w, name);
        while let Some(conflict) = self.union.conflict(&owner, &undo) {
            // Somebody else has it by now; the owner does not get it back.
            undo.remove(&conflict.key);
        }
        if owner == COMMANDS {
            self.keep(w, &undo);
        }
        let (_, touched) = self.union.apply(&owner, undo);
        self.touched(touched);
        if let Some(edit) = edit {
            w.out.push_back(Output::Edited {
                correlation_id: edit.correlation_id,
                result: result.clone(),
            });
        }
    }

    pub(super) fn handle_timeout(&mut self, w: &mut World) {
        match &self.state {
            State::Sent { until, generation, .. } if w.now >= *until => {
                let generation = *generation;
                self.state = State::Settled;
                self.failed(w, generation, Cause::NoBarrier, None, Outcome::Failed);
            }
            State::Pausing { until } if w.now >= *until => self.state = State::Settled,
            State::Settled | State::Sent { .. } | State::Pausing { .. } => {}
        }
        self.late_edits(w);
        self.proceed(w);
    }

    fn late_edits(&mut self, w: &mut World) {
        while let Some(at) = self
            .changes
            .iter()
            .position(|c| c.edit.as_ref().is_some_and(|e| w.now >= e.deadline))
        {
            let mut result = CommandResult {
                switch: Some(self.switch),
                outcome: Outcome::Failed,
                cause: Some(Cause::NoBarrier),
                generation: None,
                messages: 0,
                objects: None,
            };
            let begun = self.changes[at].edit.as_ref().is_some_and(|edit| edit.begun);
            if begun || self.changes[at].generation <= self.sent {
                // Sent, and not confirmed: it stays wanted, the answer says what is known.
                if let Some(edit) = self.changes[at].edit.take() {
                    w.out.push_back(Output::Edited {
                        correlation_id: edit.correlation_id,
                        result,
                    });
                }
            } else {
                result.outcome = Outcome::Expired;
                result.cause = Some(Cause::Deadline);
                self.withdraw_edit(w, at, &result);
            }
        }
    }

    /// Send what is wanted and not held, if that is possible now.
    fn proceed(&mut self, w: &mut World) {
        let State::Settled = self.state else { return };
        let (Some((region, term)), Some(clock)) = (&self.active, w.clock) else {
            return;
        };
        // Nobody ever wanted anything here: an empty table would only take away what others put.
        if self.held == Some(self.generation) || (self.generation == Generation(0) && !self.union.has_owners()) {
            return;
        }
        *w.sent += 1;
        let name = format!("desired.{}.{}.{}", w.config.owner_epoch, w.sent, self.switch);
        let Ok(correlation_id) = name.parse::<CorrelationId>() else {
            // 50 characters of ASCII are one.
            return;
        };
        let dirty = std::mem::take(&mut self.dirty);
        let change = match self.held {
            Some(base) => DesiredChange::Delta {
                base,
                put: objects(dirty.iter().filter_map(|key| self.union.get(key))),
                remove: object_keys(dirty.iter().filter(|key| self.union.get(key).is_none())),
            },
            None => DesiredChange::Snapshot { objects: self.wanted() },
        };
        if self.generation > self.stored {
            self.stored = self.generation;
            w.out.push_back(Output::Generation {
                switch: self.switch,
                generation: self.generation,
            });
        }
        self.sent = self.sent.max(self.generation);
        w.out.push_back(Output::Send {
            region: region.clone(),
            command: Box::new(Command {
                correlation_id: correlation_id.clone(),
                requester: REQUESTER.to_owned(),
                deadline_ms: clock.at(w.now + w.config.deadline),
                owner_epoch: Some(w.config.owner_epoch),
                region: Some(region.clone()),
                epoch: None,
                body: CommandBody::Desired {
                    switch: self.switch,
                    term: *term,
                    generation: self.generation,
                    change,
                },
            }),
        });
        self.state = State::Sent {
            correlation_id,
            generation: self.generation,
            whole: self.held.is_none(),
            until: w.now + w.config.deadline + ANSWER_GRACE,
        };
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> &'static str {
        match self.state {
            State::Settled => "settled",
            State::Sent { .. } => "sent",
            State::Pausing { .. } => "pausing",
        }
    }
}

/// What a change puts, and what it removes.
fn both<'a>(change: impl IntoIterator<Item = (&'a Key, &'a Option<Object>)>) -> (Objects, ObjectKeys) {
    let (put, remove): (Vec<_>, Vec<_>) = change.into_iter().partition(|(_, object)| object.is_some());
    (
        objects(put.into_iter().filter_map(|(_, object)| object.as_ref())),
        object_keys(remove.into_iter().map(|(key, _)| key)),
    )
}

/// The text that names the guilty object, if the cause says that an object is guilty.
fn guilt(cause: &Cause) -> Option<&str> {
    match cause {
        Cause::Malformed { detail } => Some(detail),
        Cause::Foreign { object } | Cause::SwitchError { object, .. } => Some(object),
        Cause::Unknown
        | Cause::UnknownSwitch
        | Cause::Unreachable { .. }
        | Cause::NoRole { .. }
        | Cause::Busy
        | Cause::Base { .. }
        | Cause::Deadline
        | Cause::Newer { .. }
        | Cause::ConnectionLost
        | Cause::NoBarrier
        | Cause::RegionLost
        | Cause::OldOwner => None,
    }
}
