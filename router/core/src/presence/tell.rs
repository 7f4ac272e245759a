//! What everybody is told about a switch, and what is put down for ourselves.

use std::collections::BTreeMap;

use skerry_bus::presence::RecordedRegion;
use skerry_bus::{PortNo, PortState, PresenceRecord, VirtualEventBody};

use super::Output;
use super::switch::{Switch, World};

impl Switch {
    pub(super) fn tell(&mut self, w: &mut World, event: VirtualEventBody) {
        self.news = false;
        w.out.push_back(Output::Virtual(event, self.availability(w.now)));
    }

    /// Tell which ports of the region everybody knows of differ from what was told. The first view is not news.
    pub(super) fn tell_ports(&mut self, w: &mut World) {
        let Some(state) = self
            .told
            .as_ref()
            .and_then(|r| self.reaches.get(r))
            .and_then(|r| r.state.as_ref())
        else {
            return;
        };
        let Some(told) = &mut self.ports_told else {
            self.ports_told = Some(state.ports.iter().map(|p| (p.port, p.clone())).collect());
            return;
        };
        let differs = state.ports.len() != told.len() || state.ports.iter().any(|p| told.get(&p.port) != Some(p));
        if !differs {
            return;
        }
        let now: BTreeMap<PortNo, PortState> = state.ports.iter().map(|p| (p.port, p.clone())).collect();
        let gone = told.values().filter(|p| !now.contains_key(&p.port)).map(|p| (p, true));
        let new = now
            .values()
            .filter(|p| told.get(&p.port) != Some(p))
            .map(|p| (p, false));
        let events: Vec<_> = gone
            .chain(new)
            .map(|(port, removed)| VirtualEventBody::PortChanged {
                switch: self.id,
                port: port.clone(),
                removed,
            })
            .collect();
        self.ports_told = Some(now);
        let availability = self.availability(w.now);
        w.out
            .extend(events.into_iter().map(|e| Output::Virtual(e, availability.clone())));
    }

    /// Put down what changed since it was last put down.
    pub(super) fn remember(&mut self, w: &mut World) {
        if let Some(state) = self
            .active()
            .and_then(|r| self.reaches.get(r))
            .and_then(|r| r.state.as_ref())
            && self.last.as_deref() != Some(state)
        {
            self.last = Some(state.clone());
        }
        let availability = self.availability(w.now).availability;
        let regions = availability
            .into_iter()
            .filter_map(|presence| {
                let reach = self.reaches.get(&presence.region)?;
                Some(RecordedRegion {
                    presence,
                    epoch: reach.epoch,
                    address: reach.address.clone(),
                    speaker_address: reach.speaker_address.clone(),
                    since_ms: reach.since_ms,
                })
            })
            .collect();
        let record = PresenceRecord {
            switch: self.id,
            owner_epoch: w.config.owner_epoch,
            term: self.term,
            active_region: self.active().cloned(),
            regions,
        };
        let essence = essence(record.clone());
        if self.recorded.as_ref() != Some(&essence) {
            self.recorded = Some(essence);
            w.out.push_back(Output::Record(record));
        }
    }
}

/// A record without what changes by itself.
pub(super) fn essence(mut record: PresenceRecord) -> PresenceRecord {
    for region in &mut record.regions {
        region.presence.uptime = 0;
    }
    record
}
