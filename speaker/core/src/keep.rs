//! What is kept of each switch's desired state: which bytes are put on disk for a command, and when they are forgotten.
//!
//! A switch's record is a snapshot and a journal of deltas, each the very bytes of the command that brought it, so that
//! keeping costs what was read and no more; a journal that has become long is written anew as one snapshot. The record says
//! under which term it was told and whether this region held the switch since: [`crate::autonomy`] reads it.
//!
//! It never decides whether something may be applied, and a disk that fails stops nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use skerry_bus::{
    Command, CommandBody, CorrelationId, Decoded, DesiredChange, Epoch, Generation, Objects, SwitchId, Term, decode,
    encode,
};

use crate::fact::{Counter, Fact};
use crate::io::Output;
use crate::job::JobId;
use crate::store::{Head, Key, Write};

/// Switches that are kept. Four times the connections of a speaker by default: beyond it, the one that is not connected and
/// was written longest ago is forgotten.
pub const SWITCHES_KEPT_MAX: usize = 16_384;
/// Deltas behind one snapshot. Each is a value of its own to read at a restart.
pub const JOURNAL_MAX: u32 = 1_024;
/// Bytes of deltas behind a snapshot that is smaller than this; behind a larger one, as many as it has itself, so that
/// writing anew costs at most as much as what was written since.
const JOURNAL_BYTES_MIN: u64 = 64 * 1024;
/// A switch that was not connected for so long is forgotten: it was taken away, or moved to another region.
const FORGET: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often that is looked at.
const SWEEP: Duration = Duration::from_secs(3600);
/// Time after a failure until the disk is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// A command that is about to be sent to a switch.
#[derive(Debug, PartialEq)]
pub(crate) struct Keep {
    pub(crate) job: JobId,
    pub(crate) term: Term,
    pub(crate) generation: Generation,
    /// The generation it starts from; none: it is a snapshot.
    pub(crate) base: Option<Generation>,
    /// The command as it was read.
    pub(crate) payload: Bytes,
}

#[derive(Debug)]
struct Kept {
    head: Head,
    /// Since when it is not connected; none: it is.
    gone: Option<Instant>,
}

/// All that is kept.
#[derive(Debug)]
pub(crate) struct Keeper {
    epoch: Epoch,
    bytes_max: u64,
    /// The disk works.
    on: bool,
    switches: BTreeMap<SwitchId, Kept>,
    bytes: u64,
    last_token: u64,
    /// Who waits for what is being written. At most one command of each lane does.
    waiting: BTreeMap<u64, (SwitchId, JobId)>,
    retry_at: Option<Instant>,
    sweep_at: Instant,
}

impl Keeper {
    /// Nothing is kept until [`Keeper::restored`].
    pub(crate) fn new(epoch: Epoch, bytes_max: u64, now: Instant) -> Self {
        Keeper {
            epoch,
            bytes_max,
            on: false,
            switches: BTreeMap::new(),
            bytes: 0,
            last_token: 0,
            waiting: BTreeMap::new(),
            retry_at: None,
            sweep_at: now + SWEEP,
        }
    }

    /// Whether the disk works.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// What is kept of a switch.
    pub(crate) fn head(&self, switch: SwitchId) -> Option<&Head> {
        self.switches.get(&switch).map(|kept| &kept.head)
    }

    /// The names of the parts of a switch's record.
    pub(crate) fn parts(&self, switch: SwitchId) -> Vec<Key> {
        let parts = self.head(switch).map_or(0, |head| head.parts);
        (0..parts).map(|part| Key::Part(switch, part)).collect()
    }

    pub(crate) fn next_token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }

    /// The disk works, and this stands on it. Heads that cannot be read are forgotten.
    pub(crate) fn restored(&mut self, now: Instant, heads: Vec<(SwitchId, Bytes)>, out: &mut VecDeque<Output>) {
        self.on = true;
        self.retry_at = None;
        self.switches.clear();
        self.bytes = 0;
        for (switch, bytes) in heads {
            match Head::from_bytes(&bytes) {
                Some(head) => {
                    self.bytes += head.bytes;
                    self.switches.insert(switch, Kept { head, gone: Some(now) });
                }
                None => self.damaged(switch, "its head cannot be read".to_owned(), out),
            }
        }
    }

    /// What stands on disk of this switch is of no use.
    pub(crate) fn damaged(&mut self, switch: SwitchId, cause: String, out: &mut VecDeque<Output>) {
        out.push_back(Output::Count {
            counter: Counter::KeptDamaged,
            by: 1,
        });
        out.push_back(Output::Fact(Fact::KeptDamaged { switch, cause }));
        if self.switches.contains_key(&switch) {
            self.forget(switch, out);
        } else if self.on {
            let key = Key::Head(switch);
            self.write(vec![Write::Delete { key }], out);
        }
    }

    fn write(&mut self, writes: Vec<Write>, out: &mut VecDeque<Output>) -> u64 {
        let token = self.next_token();
        out.push_back(Output::Store { token, writes });
        token
    }

    fn erase(&mut self, switch: SwitchId) -> Vec<Write> {
        let Some(kept) = self.switches.remove(&switch) else {
            return Vec::new();
        };
        self.bytes = self.bytes.saturating_sub(kept.head.bytes);
        let parts = (0..kept.head.parts).map(|part| Key::Part(switch, part));
        std::iter::once(Key::Head(switch))
            .chain(parts)
            .map(|key| Write::Delete { key })
            .collect()
    }

    /// Nothing is kept of this switch any more.
    pub(crate) fn forget(&mut self, switch: SwitchId, out: &mut VecDeque<Output>) {
        let writes = self.erase(switch);
        if !writes.is_empty() && self.on {
            self.write(writes, out);
        }
    }

    /// This is about to be sent. Gives whether the disk is to be waited for; `whole` makes a snapshot of what will stand then.
    pub(crate) fn keep(
        &mut self,
        at_ms: u64,
        switch: SwitchId,
        keep: Keep,
        whole: impl FnOnce() -> Bytes,
        out: &mut VecDeque<Output>,
    ) -> bool {
        if !self.on {
            return false;
        }
        let before = self.switches.get(&switch).map(|kept| kept.head);
        let appends = before.filter(|head| {
            let journal = head.bytes - head.snapshot_bytes.min(head.bytes) + keep.payload.len() as u64;
            keep.base == Some(head.generation)
                && head.parts <= JOURNAL_MAX
                && journal <= head.snapshot_bytes.max(JOURNAL_BYTES_MIN)
        });
        let payload = match keep.base {
            Some(_) if appends.is_none() => whole(),
            Some(_) | None => keep.payload,
        };
        let added = payload.len() as u64;
        let head = Head {
            term: keep.term,
            generation: keep.generation,
            epoch: self.epoch,
            held: true,
            at_ms,
            parts: appends.map_or(1, |head| head.parts + 1),
            bytes: appends.map_or(added, |head| head.bytes + added),
            snapshot_bytes: appends.map_or(added, |head| head.snapshot_bytes),
        };
        let mut writes = self.make_room(switch, head.bytes, out);
        if self.bytes_without(switch) + head.bytes > self.bytes_max {
            out.push_back(Output::Count {
                counter: Counter::KeptFull,
                by: 1,
            });
            // An older state on disk is worse than none: it would be applied after a restart.
            writes.extend(self.erase(switch));
        } else {
            if appends.is_none() {
                let old = 1..before.map_or(0, |head| head.parts);
                writes.extend(old.map(|part| Write::Delete {
                    key: Key::Part(switch, part),
                }));
            }
            writes.push(Write::Put {
                key: Key::Part(switch, head.parts - 1),
                value: payload,
            });
            writes.push(Write::Put {
                key: Key::Head(switch),
                value: head.to_bytes(),
            });
            self.bytes = self.bytes_without(switch) + head.bytes;
            self.switches.insert(switch, Kept { head, gone: None });
        }
        if writes.is_empty() {
            return false;
        }
        let token = self.write(writes, out);
        self.waiting.insert(token, (switch, keep.job));
        true
    }

    fn bytes_without(&self, switch: SwitchId) -> u64 {
        let own = self.head(switch).map_or(0, |head| head.bytes);
        self.bytes.saturating_sub(own)
    }

    /// Forget switches that are not connected, those written longest ago first, until this one fits.
    fn make_room(&mut self, switch: SwitchId, bytes: u64, out: &mut VecDeque<Output>) -> Vec<Write> {
        let mut writes = Vec::new();
        let new = usize::from(!self.switches.contains_key(&switch));
        while self.bytes_without(switch) + bytes > self.bytes_max || self.switches.len() + new > SWITCHES_KEPT_MAX {
            let oldest = self
                .switches
                .iter()
                .filter(|(other, kept)| **other != switch && kept.gone.is_some())
                .min_by_key(|(_, kept)| kept.head.at_ms)
                .map(|(other, _)| *other);
            let Some(oldest) = oldest else { break };
            out.push_back(Output::Count {
                counter: Counter::KeptForgotten,
                by: 1,
            });
            writes.extend(self.erase(oldest));
        }
        writes
    }

    /// A switch connected and showed this number. What it shows may say that another region held it meanwhile.
    pub(crate) fn connected(&mut self, switch: SwitchId, shown: Option<Term>, out: &mut VecDeque<Output>) {
        let Some(kept) = self.switches.get_mut(&switch) else {
            return;
        };
        kept.gone = None;
        if shown.is_some_and(|number| number > kept.head.term) {
            self.not_ours(switch, out);
        }
    }

    /// A switch is no longer connected.
    pub(crate) fn left(&mut self, now: Instant, switch: SwitchId) {
        if let Some(kept) = self.switches.get_mut(&switch) {
            kept.gone = Some(now);
        }
    }

    /// Another region holds the switch: what is on disk stays there and is not applied.
    pub(crate) fn not_ours(&mut self, switch: SwitchId, out: &mut VecDeque<Output>) {
        let Some(kept) = self.switches.get_mut(&switch).filter(|kept| kept.head.held) else {
            return;
        };
        kept.head.held = false;
        let value = kept.head.to_bytes();
        let key = Key::Head(switch);
        if self.on {
            self.write(vec![Write::Put { key, value }], out);
        }
    }

    /// Something is on disk. Gives whose command waited for it.
    pub(crate) fn stored(&mut self, token: u64) -> Option<(SwitchId, JobId)> {
        self.waiting.remove(&token)
    }

    /// Something is not on disk, and nothing else is: a store that cannot be written is given up as a whole, because an older
    /// state on it would be applied after a restart. Gives who waits no longer.
    pub(crate) fn failed(&mut self, now: Instant) -> Vec<(SwitchId, JobId)> {
        self.on = false;
        self.switches.clear();
        self.bytes = 0;
        self.retry_at = Some(now + RETRY);
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.retry_at.or(self.on.then_some(self.sweep_at))
    }

    /// A deadline may have passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut VecDeque<Output>) {
        if self.retry_at.take_if(|at| now >= *at).is_some() {
            out.push_back(Output::OpenStore);
        }
        if !self.on || now < self.sweep_at {
            return;
        }
        self.sweep_at = now + SWEEP;
        let old = |kept: &Kept| {
            kept.gone
                .is_some_and(|gone| now.saturating_duration_since(gone) >= FORGET)
        };
        let gone: Vec<SwitchId> = self
            .switches
            .iter()
            .filter(|(_, kept)| old(kept))
            .map(|(switch, _)| *switch)
            .collect();
        for switch in gone {
            out.push_back(Output::Count {
                counter: Counter::KeptForgotten,
                by: 1,
            });
            self.forget(switch, out);
        }
    }
}

/// A switch's desired state as one snapshot, in the form in which a router would have sent it.
pub(crate) fn whole(switch: SwitchId, term: Term, generation: Generation, objects: &Objects) -> Bytes {
    let correlation_id: CorrelationId = "kept".parse().expect("this word is a correlation id");
    let objects = objects.clone();
    let command = Command {
        correlation_id,
        requester: String::new(),
        deadline_ms: 0,
        owner_epoch: None,
        region: None,
        body: CommandBody::Desired {
            switch,
            term,
            generation,
            change: DesiredChange::Snapshot { objects },
        },
    };
    encode(&command).into()
}

/// Put a record together again: what shall stand, and of which generation it is.
///
/// # Errors
/// Why these are not the parts of one record of this switch.
pub(crate) fn read(switch: SwitchId, parts: &[Bytes]) -> Result<(Generation, Objects), String> {
    let mut record: Option<(Generation, Objects)> = None;
    for (n, part) in parts.iter().enumerate() {
        let command = match decode::<Command>(part) {
            Decoded::Message(command) => command,
            Decoded::UnknownKind(kind) => return Err(format!("part {n}: unknown kind {kind:?}")),
            Decoded::Malformed(cause) => return Err(format!("part {n}: {cause}")),
        };
        let CommandBody::Desired {
            switch: of,
            generation,
            change,
            ..
        } = command.body
        else {
            return Err(format!("part {n}: no desired state"));
        };
        if of != switch {
            return Err(format!("part {n}: of switch {of}"));
        }
        record = match (record, change) {
            (None, DesiredChange::Snapshot { objects }) => Some((generation, objects)),
            (Some((held, mut objects)), DesiredChange::Delta { base, put, remove }) if base == held => {
                objects.remove(&remove);
                objects.extend(put);
                Some((generation, objects))
            }
            (_, DesiredChange::Snapshot { .. } | DesiredChange::Delta { .. }) => {
                return Err(format!(
                    "part {n}: generation {generation} does not follow what stands before it"
                ));
            }
        };
    }
    record.ok_or_else(|| "no parts".to_owned())
}
