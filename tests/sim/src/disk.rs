//! The disk of a speaker: what stands on it, what is on its way, and what a kill leaves of that.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use skerry_speaker_core::Input;
use skerry_speaker_core::store::{Key, Write};

use crate::random::Random;

/// Something a speaker ordered. Orders are done one after the other.
#[derive(Debug)]
pub enum Order {
    /// Write.
    Store(u64, Vec<Write>),
    /// Read.
    Load(u64, Vec<Key>),
    /// Begin anew.
    Open,
}

/// The disk.
#[derive(Debug, Default)]
pub struct Disk {
    entries: BTreeMap<Key, Bytes>,
    orders: VecDeque<Order>,
    /// It takes nothing: what is ordered fails.
    pub broken: bool,
    given_up: bool,
}

impl Disk {
    /// One more order.
    pub fn order(&mut self, order: Order) {
        self.orders.push_back(order);
    }

    /// Orders that are not done.
    pub fn waiting(&self) -> usize {
        self.orders.len()
    }

    /// The oldest order is done. Gives what its speaker is told.
    pub fn done(&mut self) -> Option<Input> {
        Some(match self.orders.pop_front()? {
            Order::Store(token, _) if self.broken || self.given_up => {
                self.given_up = true;
                self.entries.clear();
                let cause = "no space left".to_owned();
                Input::StoreFailed { token, cause }
            }
            Order::Store(token, writes) => {
                self.write(writes);
                Input::Stored { token }
            }
            Order::Load(token, keys) => {
                let values: Option<Vec<Bytes>> = keys.iter().map(|key| self.entries.get(key).cloned()).collect();
                match values {
                    Some(values) => Input::Loaded { token, values },
                    None => Input::LoadFailed {
                        token,
                        cause: "not all of it is there".to_owned(),
                    },
                }
            }
            Order::Open if self.broken => Input::StoreFailed {
                token: skerry_speaker_core::store::OPEN_TOKEN,
                cause: "no space left".to_owned(),
            },
            Order::Open => {
                self.given_up = false;
                self.entries.clear();
                Input::Restored { entries: Vec::new() }
            }
        })
    }

    fn write(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Put { key, value } => self.entries.insert(key, value),
                Write::Delete { key } => self.entries.remove(&key),
            };
        }
    }

    /// The process is killed: of what was on its way to the disk, some from the beginning arrived.
    pub fn killed(&mut self, random: &mut Random) {
        let arrived = random.below(self.orders.len() as u64 + 1) as usize;
        for (at, order) in std::mem::take(&mut self.orders).into_iter().enumerate() {
            if let Order::Store(_, writes) = order
                && at < arrived
                && !self.broken
                && !self.given_up
            {
                self.write(writes);
            }
        }
        self.given_up = false;
    }

    /// What a process that starts on it is told.
    pub fn restored(&self) -> Input {
        let at_start = |key: &Key| key.to_bytes().as_slice() < Key::RESTORED_BELOW;
        let entries = self.entries.iter().filter(|(key, _)| at_start(key));
        Input::Restored {
            entries: entries.map(|(key, value)| (*key, value.clone())).collect(),
        }
    }
}
