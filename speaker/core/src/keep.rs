//! What is kept of each switch's desired state: which bytes are put on disk for a command, and when they are forgotten.
//!
//! A switch's record is a snapshot and a journal of deltas, each the very bytes of the command that brought it, so that
//! keeping costs what was read and no more; a journal that has become long is written anew as one snapshot. The record says
//! under which term it was told and whether this region held the switch since: [`crate::autonomy`] reads it.
//!
//! It never decides whether something may be applied, and a disk that fails or hangs stops nothing:
//!
//! ```text
//!  Unknown --failed--> GivenUp
//!  Unknown --restored--> Works --a write failed--> GivenUp --time--> Opening --restored--> Works
//!                          |                          ^                 |
//!                          |                          +----- failed ----+
//!                          +--[`crate::orders`]: it is behind--> Opening
//! ```
//!
//! Given up, and while it is opened anew, nothing else is asked of it, so that what waits for a disk that hangs grows no
//! more; and what it says of orders from before means nothing any longer.

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
use crate::orders::{Behind, ORDER_BYTES, Orders};
use crate::store::{Head, Key, OPEN_TOKEN, Write};

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

/// How the disk does.
#[derive(Debug)]
enum State {
    /// There is none, or it said nothing yet.
    Unknown,
    /// It works.
    Works(Orders),
    /// An empty store was asked for, in place of one that was given up.
    Opening,
    /// It cannot be written. It is tried again then.
    GivenUp { retry_at: Instant },
}

/// What a store that was given up leaves behind.
#[derive(Debug, PartialEq)]
pub(crate) struct Lost {
    /// Orders that will not be answered.
    pub(crate) orders: usize,
    /// Who waits no longer.
    pub(crate) waiting: Vec<(SwitchId, JobId)>,
}

/// All that is kept.
#[derive(Debug)]
pub(crate) struct Keeper {
    epoch: Epoch,
    bytes_max: u64,
    state: State,
    switches: BTreeMap<SwitchId, Kept>,
    bytes: u64,
    last_token: u64,
    /// Who waits for what is being written. At most one command of each lane does.
    waiting: BTreeMap<u64, (SwitchId, JobId)>,
    sweep_at: Instant,
}

impl Keeper {
    /// Nothing is kept until [`Keeper::restored`].
    pub(crate) fn new(epoch: Epoch, bytes_max: u64, now: Instant) -> Self {
        Keeper {
            epoch,
            bytes_max,
            state: State::Unknown,
            switches: BTreeMap::new(),
            bytes: 0,
            last_token: 0,
            waiting: BTreeMap::new(),
            sweep_at: now + SWEEP,
        }
    }

    /// Whether the disk works.
    pub(crate) fn is_on(&self) -> bool {
        matches!(self.state, State::Works(_))
    }

    /// Orders that have no answer.
    pub(crate) fn orders(&self) -> usize {
        match &self.state {
            State::Works(orders) => orders.len(),
            // The one to open.
            State::Opening => 1,
            State::Unknown | State::GivenUp { .. } => 0,
        }
    }

    /// Whether what nobody waits for may go to disk now.
    pub(crate) fn has_room(&self) -> bool {
        match &self.state {
            State::Works(orders) => orders.has_room(),
            State::Unknown | State::Opening | State::GivenUp { .. } => true,
        }
    }

    /// What is kept of a switch.
    pub(crate) fn head(&self, switch: SwitchId) -> Option<&Head> {
        self.switches.get(&switch).map(|kept| &kept.head)
    }

    /// The disk works, and this stands on it. Heads that cannot be read are forgotten.
    pub(crate) fn restored(&mut self, now: Instant, heads: Vec<(SwitchId, Bytes)>, out: &mut VecDeque<Output>) {
        self.state = State::Works(Orders::new(self.bytes_max, now));
        self.waiting.clear();
        self.switches.clear();
        self.bytes = 0;
        let mut unreadable = Vec::new();
        for (switch, bytes) in heads {
            match Head::from_bytes(&bytes) {
                Some(head) => {
                    self.bytes += head.bytes;
                    self.switches.insert(switch, Kept { head, gone: Some(now) });
                }
                None => {
                    tell_damaged(switch, "its head cannot be read".to_owned(), out);
                    let key = Key::Head(switch);
                    unreadable.push(Write::Delete { key });
                }
            }
        }
        self.store(now, unreadable, out);
    }

    /// What stands on disk of this switch is of no use.
    pub(crate) fn damaged(&mut self, now: Instant, switch: SwitchId, cause: String, out: &mut VecDeque<Output>) {
        tell_damaged(switch, cause, out);
        self.forget(now, switch, out);
    }

    /// Order that this is put on disk, if there is one. Gives the order's token.
    pub(crate) fn store(&mut self, now: Instant, writes: Vec<Write>, out: &mut VecDeque<Output>) -> Option<u64> {
        let State::Works(orders) = &mut self.state else {
            return None;
        };
        if writes.is_empty() {
            return None;
        }
        self.last_token += 1;
        let token = self.last_token;
        let value = |write: &Write| match write {
            Write::Put { value, .. } => value.len() as u64,
            Write::Delete { .. } => 0,
        };
        let bytes = writes.iter().map(|write| ORDER_BYTES + value(write)).sum::<u64>();
        orders.given(now, token, ORDER_BYTES + bytes);
        out.push_back(Output::Store { token, writes });
        Some(token)
    }

    /// Order that a switch's record is read, if there is one. Gives the order's token.
    pub(crate) fn load(&mut self, now: Instant, switch: SwitchId, out: &mut VecDeque<Output>) -> Option<u64> {
        let head = self.switches.get(&switch)?.head;
        let State::Works(orders) = &mut self.state else {
            return None;
        };
        if head.parts == 0 {
            return None;
        }
        self.last_token += 1;
        let token = self.last_token;
        orders.given(now, token, head.bytes + u64::from(head.parts) * ORDER_BYTES);
        let keys = (0..head.parts).map(|part| Key::Part(switch, part)).collect();
        out.push_back(Output::Load { token, keys });
        Some(token)
    }

    /// Something that was read came, or cannot be read.
    pub(crate) fn loaded(&mut self, now: Instant, token: u64) {
        if let State::Works(orders) = &mut self.state {
            orders.answered(now, token);
        }
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
    fn forget(&mut self, now: Instant, switch: SwitchId, out: &mut VecDeque<Output>) {
        let writes = self.erase(switch);
        self.store(now, writes, out);
    }

    /// This is about to be sent. Gives whether the disk is to be waited for; `whole` makes a snapshot of what will stand then.
    pub(crate) fn keep(
        &mut self,
        now: Instant,
        at_ms: u64,
        switch: SwitchId,
        keep: Keep,
        whole: impl FnOnce() -> Bytes,
        out: &mut VecDeque<Output>,
    ) -> bool {
        if !self.is_on() {
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
        let token = self.store(now, writes, out);
        self.waiting.extend(token.map(|token| (token, (switch, keep.job))));
        token.is_some()
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
    pub(crate) fn connected(
        &mut self,
        now: Instant,
        switch: SwitchId,
        shown: Option<Term>,
        out: &mut VecDeque<Output>,
    ) {
        let Some(kept) = self.switches.get_mut(&switch) else {
            return;
        };
        kept.gone = None;
        if shown.is_some_and(|number| number > kept.head.term) {
            self.not_ours(now, switch, out);
        }
    }

    /// A switch is no longer connected.
    pub(crate) fn left(&mut self, now: Instant, switch: SwitchId) {
        if let Some(kept) = self.switches.get_mut(&switch) {
            kept.gone = Some(now);
        }
    }

    /// Another region holds the switch: what is on disk stays there and is not applied.
    pub(crate) fn not_ours(&mut self, now: Instant, switch: SwitchId, out: &mut VecDeque<Output>) {
        let Some(kept) = self.switches.get_mut(&switch).filter(|kept| kept.head.held) else {
            return;
        };
        kept.head.held = false;
        let value = kept.head.to_bytes();
        let key = Key::Head(switch);
        self.store(now, vec![Write::Put { key, value }], out);
    }

    /// Something is on disk. Gives whose command waited for it.
    pub(crate) fn stored(&mut self, now: Instant, token: u64) -> Option<(SwitchId, JobId)> {
        if let State::Works(orders) = &mut self.state {
            orders.answered(now, token);
        }
        self.waiting.remove(&token)
    }

    /// Something is not on disk, and nothing else is: a store that cannot be written is given up as a whole, because an older
    /// state on it would be applied after a restart. None: it was given up before.
    pub(crate) fn failed(&mut self, now: Instant, token: u64) -> Option<Lost> {
        let is_news = match &mut self.state {
            State::Works(orders) => orders.is_open(token),
            // Unknown: it hung when the process started.
            State::Opening | State::Unknown => token == OPEN_TOKEN,
            State::GivenUp { .. } => false,
        };
        let retry_at = now + RETRY;
        is_news.then(|| self.give_up(State::GivenUp { retry_at }))
    }

    /// The disk is behind: what stands on it, and what is on the way to it, is given up. It is asked for an empty store at
    /// once, behind all that it did not answer: it answers that when it has come back.
    pub(crate) fn is_behind(&mut self, out: &mut VecDeque<Output>) -> Lost {
        out.push_back(Output::OpenStore);
        self.give_up(State::Opening)
    }

    fn give_up(&mut self, state: State) -> Lost {
        let lost = Lost {
            orders: self.orders(),
            waiting: std::mem::take(&mut self.waiting).into_values().collect(),
        };
        self.state = state;
        self.switches.clear();
        self.bytes = 0;
        lost
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Unknown | State::Opening => None,
            State::Works(orders) => Some(orders.deadline().map_or(self.sweep_at, |at| at.min(self.sweep_at))),
            State::GivenUp { retry_at } => Some(*retry_at),
        }
    }

    /// A deadline may have passed. Gives how the disk is behind, if it is.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut VecDeque<Output>) -> Option<Behind> {
        match &mut self.state {
            State::Unknown | State::Opening => return None,
            State::GivenUp { retry_at } => {
                if now >= *retry_at {
                    self.state = State::Opening;
                    out.push_back(Output::OpenStore);
                }
                return None;
            }
            State::Works(orders) => {
                let behind = orders.check(now);
                if behind.is_some() {
                    return behind;
                }
            }
        }
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP;
            self.sweep(now, out);
        }
        None
    }

    /// Forget who is gone for too long.
    fn sweep(&mut self, now: Instant, out: &mut VecDeque<Output>) {
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
        let by = gone.len() as u64;
        if by > 0 {
            let counter = Counter::KeptForgotten;
            out.push_back(Output::Count { counter, by });
        }
        let writes = gone.into_iter().flat_map(|switch| self.erase(switch)).collect();
        self.store(now, writes, out);
    }
}

fn tell_damaged(switch: SwitchId, cause: String, out: &mut VecDeque<Output>) {
    let counter = Counter::KeptDamaged;
    out.push_back(Output::Count { counter, by: 1 });
    out.push_back(Output::Fact(Fact::KeptDamaged { switch, cause }));
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
        epoch: None,
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
