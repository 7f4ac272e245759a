//! Edits of services across a restart: those that were begun, and how those that ended were answered.
//!
//! A router that starts reads again what was not committed. What it finds here it does not judge anew: an edit that was begun is
//! still under way, whatever its deadline says, and can still be taken back; one that was answered has that answer.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use skerry_bus::objects::{ObjectKeys, Objects};
use skerry_bus::{CorrelationId, Reply, SwitchId};
use skerry_router_core::routing::{self, Lasts};
use skerry_router_core::tables;

use super::Router;
use crate::store::{Stored, Write};

/// Kind of an edit that was begun.
pub(super) const BEGUN: &str = "edit";
/// Kind of an edit's answer.
pub(super) const ANSWER: &str = "answer";

/// An edit that was begun, and what undoes it.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    put: Objects,
    remove: ObjectKeys,
}

/// An edit that was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answered {
    /// Larger than those of all answers before it.
    number: u64,
    requester: String,
    reply: Reply,
    /// The records that it answers.
    places: Vec<(i32, i64)>,
    /// Another command of this name is tried, because nothing was done for this one.
    refused: bool,
}

/// What is stored.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// Ids of stored answers, oldest first: as many as routing remembers.
    order: VecDeque<String>,
    number: u64,
    /// What was stored before the start.
    restored_begun: Vec<(SwitchId, CorrelationId, Begun)>,
    restored: BTreeMap<u64, (String, Answered)>,
    /// Answers by the record they answer; only those from before the start, because no record is read twice otherwise.
    places: BTreeMap<(i32, i64), u64>,
}

fn id(switch: SwitchId, correlation_id: &CorrelationId) -> String {
    format!("{switch} {correlation_id}")
}

impl Edits {
    /// An edit was begun.
    pub(super) fn begun(&self, switch: SwitchId, name: &CorrelationId, put: Objects, remove: ObjectKeys) -> Write {
        let body =
            serde_json::to_string(&Begun { put, remove }).expect("objects are plain data with keys that are text");
        Write::Put {
            kind: BEGUN,
            id: id(switch, name),
            body,
        }
    }

    /// An edit can no longer be taken back.
    pub(super) fn over(&self, switch: SwitchId, name: &CorrelationId) -> Write {
        Write::Delete {
            kind: BEGUN,
            id: id(switch, name),
        }
    }

    /// A command is answered.
    pub(super) fn answered(
        &mut self,
        requester: &str,
        reply: &Reply,
        lasts: Lasts,
        places: Vec<(i32, i64)>,
    ) -> Vec<Write> {
        let (switch, refused) = match lasts {
            Lasts::No => return Vec::new(),
            Lasts::Record(switch) => (switch, true),
            Lasts::Name(switch) => (switch, false),
        };
        self.number += 1;
        let answered = Answered {
            number: self.number,
            requester: requester.to_owned(),
            reply: reply.clone(),
            places,
            refused,
        };
        let id = id(switch, &reply.correlation_id);
        let body = serde_json::to_string(&answered).expect("an answer is plain data");
        let mut writes = vec![Write::Put {
            kind: ANSWER,
            id: id.clone(),
            body,
        }];
        self.order.retain(|known| *known != id);
        self.order.push_back(id);
        if self.order.len() > routing::ANSWERED_MAX
            && let Some(id) = self.order.pop_front()
        {
            writes.push(Write::Delete { kind: ANSWER, id });
        }
        writes
    }

    /// The answer that a record had before the start.
    pub(super) fn of_record(&mut self, partition: i32, offset: i64) -> Option<(String, Reply)> {
        let number = self.places.remove(&(partition, offset))?;
        let (_, answered) = self.restored.get(&number)?;
        Some((answered.requester.clone(), answered.reply.clone()))
    }

    /// Take over one stored object.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn take(&mut self, stored: &Stored) -> Result<(), String> {
        let (switch, name) = stored.id.split_once(' ').ok_or("its id names no switch and command")?;
        let switch: SwitchId = switch.parse().map_err(|e| format!("id: {e}"))?;
        let name: CorrelationId = name.parse().map_err(|e| format!("id: {e}"))?;
        if stored.kind == BEGUN {
            let begun = serde_json::from_str(&stored.body).map_err(|e| e.to_string())?;
            self.restored_begun.push((switch, name, begun));
        } else {
            let answered: Answered = serde_json::from_str(&stored.body).map_err(|e| e.to_string())?;
            self.number = self.number.max(answered.number);
            let number = answered.number;
            self.places.extend(answered.places.iter().map(|place| (*place, number)));
            self.restored.insert(number, (stored.id.clone(), answered));
        }
        Ok(())
    }
}

impl Router {
    /// After a start: tell the machines what was begun and what was answered.
    pub(super) fn go_on_with_edits(&mut self, now: Instant) {
        for (switch, correlation_id, Begun { put, remove }) in std::mem::take(&mut self.edits.restored_begun) {
            self.routing
                .handle_input(now, routing::Input::Begun(correlation_id.clone()));
            let input = tables::Input::Begun {
                correlation_id,
                switch,
                put,
                remove,
            };
            self.tables.handle_input(now, input);
        }
        let answers: Vec<(String, Answered)> = self.edits.restored.values().cloned().collect();
        for (
            id,
            Answered {
                requester,
                reply,
                refused,
                ..
            },
        ) in answers
        {
            self.edits.order.push_back(id);
            if !refused {
                let reply = Box::new(reply);
                self.routing
                    .handle_input(now, routing::Input::Answered { requester, reply });
            }
        }
    }
}
