//! A command comes: whether it is taken, to which region it goes, or why it is refused at once.

use std::collections::BTreeSet;
use std::time::Instant;

use skerry_bus::reply::{Cause, Outcome, ReplyBody};
use skerry_bus::{Command, CommandBody, CorrelationId, Mode, Region, Reply, SwitchId};

use super::{EDIT_GRACE, Lasts, Output, PARTS_ID_MAX, PARTS_MAX, PENDING_MAX, Pending, Routing, Waits, not_applied};

impl Routing {
    pub(super) fn command(&mut self, now: Instant, command: Command) {
        let id = command.correlation_id.clone();
        if let Some((requester, body)) = self.answered.get(&id) {
            self.outputs.push_back(Output::Reply {
                requester: requester.clone(),
                reply: Box::new(Reply {
                    correlation_id: id,
                    body: body.clone(),
                }),
                lasts: Lasts::No,
            });
            return;
        }
        if self.pending.contains_key(&id) {
            return;
        }
        if let Err((outcome, cause)) = self.accept(now, command.clone(), None) {
            // Not remembered as an answer of something done: it was never begun.
            self.refuse(&command, outcome, cause);
        }
    }

    fn accept(
        &mut self,
        now: Instant,
        command: Command,
        part_of: Option<CorrelationId>,
    ) -> Result<(), (Outcome, Cause)> {
        let malformed = |detail: &str| {
            let detail = detail.to_owned();
            Err((Outcome::Rejected, Cause::Malformed { detail }))
        };
        match &command.body {
            CommandBody::Desired { .. } => return malformed("kind: only the router sends desired"),
            CommandBody::Activate { .. } => return malformed("kind: only the router sends activate"),
            CommandBody::Deactivate { .. } => return malformed("kind: only the router sends deactivate"),
            CommandBody::Plan { wanted: Some(_), .. } => {
                return malformed("wanted: only the router says what a switch shall hold");
            }
            CommandBody::Many { parts } if parts.iter().any(|part| part.switch().is_none()) => {
                return malformed("parts: each is about one switch");
            }
            CommandBody::Many { parts } if parts.len() > PARTS_MAX => {
                return malformed(&format!("parts: {} are more than {PARTS_MAX}", parts.len()));
            }
            CommandBody::Many { .. } if command.correlation_id.as_str().len() > PARTS_ID_MAX => {
                return malformed(&format!(
                    "correlation_id: with parts it has at most {PARTS_ID_MAX} characters"
                ));
            }
            CommandBody::Apply { .. }
            | CommandBody::Dump { .. }
            | CommandBody::Plan { wanted: None, .. }
            | CommandBody::SwitchSnapshot { .. }
            | CommandBody::Many { .. }
            | CommandBody::RegionSnapshot { .. } => {}
        }
        let more = match &command.body {
            CommandBody::Many { parts } => parts.len(),
            _ => 0,
        };
        let Some(clock) = self.clock.filter(|_| self.pending.len() + more < PENDING_MAX) else {
            return Err((Outcome::Rejected, Cause::Busy));
        };
        // What was begun may have been sent: only its edit's end says what became of it, however late it is.
        let begun = self.begun.remove(&command.correlation_id);
        if clock.at(now) >= command.deadline_ms && !begun && !self.has_begun_parts(&command) {
            return Err((Outcome::Expired, Cause::Deadline));
        }
        let until = clock.when(command.deadline_ms).min(now + self.config.wait_max);
        let Some(switch) = command.body.switch() else {
            match &command.body {
                CommandBody::Many { .. } => self.many(now, until, command),
                _ => self.region_wide(until, command),
            }
            return Ok(());
        };
        if let CommandBody::Apply { .. } = command.body {
            return self.edit(until, switch, command, part_of, begun);
        }
        self.one_switch(until, switch, command, part_of)
    }

    /// A part of it was begun before a restart.
    fn has_begun_parts(&self, command: &Command) -> bool {
        let CommandBody::Many { parts } = &command.body else {
            return false;
        };
        let mut names = (0..parts.len()).filter_map(|n| part_name(&command.correlation_id, n));
        names.any(|name| self.begun.contains(&name))
    }

    fn edit(
        &mut self,
        until: Instant,
        switch: SwitchId,
        command: Command,
        part_of: Option<CorrelationId>,
        begun: bool,
    ) -> Result<(), (Outcome, Cause)> {
        if !begun && !self.active.contains_key(&switch) {
            return Err((Outcome::Rejected, self.unroutable(switch)));
        }
        let CommandBody::Apply { put, remove, .. } = command.body else {
            return Ok(());
        };
        let id = command.correlation_id;
        self.outputs.push_back(Output::Edit {
            correlation_id: id.clone(),
            switch,
            put,
            remove,
            deadline: until,
            begun,
        });
        let until = until + EDIT_GRACE;
        self.due.set(id.clone(), Some(until));
        let pending = Pending {
            requester: command.requester,
            until,
            waits: Waits::Edit { switch },
            part_of,
            question: None,
        };
        self.pending.insert(id, pending);
        Ok(())
    }

    fn one_switch(
        &mut self,
        until: Instant,
        switch: SwitchId,
        command: Command,
        part_of: Option<CorrelationId>,
    ) -> Result<(), (Outcome, Cause)> {
        let is_dump = matches!(command.body, CommandBody::Dump { .. });
        let to = match is_dump {
            true => self.reader(switch, &BTreeSet::new()),
            false => self.active.get(&switch).cloned(),
        };
        let Some(region) = to else {
            return Err((Outcome::Rejected, self.unroutable(switch)));
        };
        let id = command.correlation_id.clone();
        let requester = command.requester.clone();
        let waits = match &command.body {
            CommandBody::Dump { .. } => Waits::Dump {
                switch,
                region: region.clone(),
                command: Box::new(command.clone()),
                tried: BTreeSet::new(),
            },
            CommandBody::Plan { .. } => Waits::Plan {
                switch,
                region: region.clone(),
            },
            CommandBody::SwitchSnapshot { .. }
            | CommandBody::Apply { .. }
            | CommandBody::RegionSnapshot { .. }
            | CommandBody::Many { .. }
            | CommandBody::Desired { .. }
            | CommandBody::Activate { .. }
            | CommandBody::Deactivate { .. } => Waits::Snapshot {
                switch,
                region: region.clone(),
            },
        };
        let question = Some(Box::new(command.clone()));
        self.send(region, command);
        self.due.set(id.clone(), Some(until));
        let pending = Pending {
            requester,
            until,
            waits,
            part_of,
            question,
        };
        self.pending.insert(id, pending);
        Ok(())
    }

    /// Who is asked what a switch holds: a live region that only reads, else one that is not active, else the active one;
    /// of several the one that is configured first.
    pub(super) fn reader(&self, switch: SwitchId, tried: &BTreeSet<Region>) -> Option<Region> {
        let active = self.active.get(&switch);
        let others = self.reached.get(&switch).map(|reached| &reached.regions);
        let with = |mode: Mode| {
            self.config.regions.iter().find(|region| {
                others.is_some_and(|others| others.get(*region) == Some(&mode))
                    && self.live.contains(*region)
                    && !tried.contains(*region)
                    && Some(*region) != active
            })
        };
        let active = active.filter(|region| !tried.contains(*region));
        with(Mode::ReadOnly).or(with(Mode::ReadWrite)).or(active).cloned()
    }

    /// Why nobody can be asked.
    fn unroutable(&self, switch: SwitchId) -> Cause {
        match self.reached.get(&switch) {
            Some(reached) if !reached.reason.is_empty() => Cause::Unreachable {
                detail: reached.reason.clone(),
            },
            Some(_) | None => Cause::UnknownSwitch,
        }
    }

    /// Take a command for many switches apart.
    fn many(&mut self, now: Instant, until: Instant, command: Command) {
        let id = command.correlation_id.clone();
        let CommandBody::Many { parts } = &command.body else {
            return;
        };
        let pending = Pending {
            requester: command.requester.clone(),
            // It ends with its last part, and each of them ends by then.
            until: until + EDIT_GRACE,
            waits: Waits::Parts {
                open: parts.len() as u32,
                applied: 0,
                not_applied: 0,
            },
            part_of: None,
            question: None,
        };
        self.pending.insert(id.clone(), pending);
        for (number, part) in parts.iter().enumerate() {
            let name = part_name(&id, number).expect("its length was checked");
            let part = Command {
                correlation_id: name.clone(),
                body: part.clone(),
                requester: command.requester.clone(),
                deadline_ms: command.deadline_ms,
                owner_epoch: None,
                region: None,
                epoch: None,
            };
            let known = self.answered.get(&name).map(|(_, body)| body.clone());
            if let Some(body) = known {
                self.part_ended(&id, body);
            } else if let Err((outcome, cause)) = self.accept(now, part.clone(), Some(id.clone())) {
                self.part_ended(&id, not_applied(part.body.switch(), outcome, cause));
            }
        }
        self.end_if_all_answered(id);
    }

    /// A part is answered by itself, under the name of the whole.
    pub(super) fn part_ended(&mut self, id: &CorrelationId, body: ReplyBody) {
        let Some(Pending {
            requester,
            waits:
                Waits::Parts {
                    open,
                    applied,
                    not_applied,
                },
            ..
        }) = self.pending.get_mut(id)
        else {
            return;
        };
        *open -= 1;
        let well = matches!(&body, ReplyBody::SwitchResult { result, .. } if result.outcome == Outcome::Applied);
        *(if well { applied } else { not_applied }) += 1;
        self.outputs.push_back(Output::Reply {
            requester: requester.clone(),
            reply: Box::new(Reply {
                correlation_id: id.clone(),
                body,
            }),
            lasts: Lasts::No,
        });
    }

    fn region_wide(&mut self, until: Instant, command: Command) {
        let id = command.correlation_id.clone();
        let open: BTreeSet<Region> = self
            .config
            .regions
            .iter()
            .filter(|r| self.live.contains(*r))
            .cloned()
            .collect();
        let pending = Pending {
            requester: command.requester.clone(),
            until,
            waits: Waits::Regions {
                not_applied: (self.config.regions.len() - open.len()) as u32,
                applied: 0,
                open: open.clone(),
            },
            part_of: None,
            question: Some(Box::new(command.clone())),
        };
        self.due.set(id.clone(), Some(until));
        self.pending.insert(id.clone(), pending);
        for region in open {
            self.send(region, command.clone());
        }
        self.end_if_all_answered(id);
    }

    pub(super) fn send(&mut self, region: Region, mut command: Command) {
        command.region = Some(region.clone());
        command.owner_epoch = Some(self.config.owner_epoch);
        self.outputs.push_back(Output::Send {
            region,
            command: Box::new(command),
        });
    }

    fn refuse(&mut self, command: &Command, outcome: Outcome, cause: Cause) {
        let switch = command.body.switch();
        let body = match switch {
            None if !matches!(cause, Cause::Malformed { .. } | Cause::Busy) => ReplyBody::Done {
                applied: 0,
                not_applied: match &command.body {
                    CommandBody::Many { parts } => parts.len() as u32,
                    _ => self.config.regions.len() as u32,
                },
            },
            _ => not_applied(switch, outcome, cause),
        };
        let lasts = match command.body {
            CommandBody::Apply { switch, .. } => Lasts::Record(switch),
            _ => Lasts::No,
        };
        self.outputs.push_back(Output::Reply {
            requester: command.requester.clone(),
            reply: Box::new(Reply {
                correlation_id: command.correlation_id.clone(),
                body,
            }),
            lasts,
        });
    }
}

/// The name of a part; none: it would be too long.
fn part_name(whole: &CorrelationId, number: usize) -> Option<CorrelationId> {
    format!("{whole}/{number}").parse().ok()
}
