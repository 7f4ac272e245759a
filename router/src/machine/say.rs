//! How the router says things: events, commands, records, counts and facts.

use std::time::{Duration, Instant};

use skerry_bus::{
    Availability, Command, CommandBody, CorrelationId, Outcome, Region, Reply, ReplyBody, SwitchId, Topic,
    VirtualEventBody, encode,
};
use skerry_router_core::routing;

use skerry_router_core::routing::Lasts;

use super::answers::Said;
use super::{Output, Router};
use crate::store::Write;

/// How long a role command may take on its way; presence itself repeats it.
const ROLE_DEADLINE: Duration = Duration::from_secs(5);

impl Router {
    pub(super) fn now_ms(&self, now: Instant) -> u64 {
        self.clock.map_or(0, |clock| clock.at(now))
    }

    pub(super) fn tell(&mut self, now: Instant, event: VirtualEventBody, availability: Availability) {
        let key = match &event {
            VirtualEventBody::LinkChanged { link, .. } => link.a().switch.to_string(),
            VirtualEventBody::FlowChanged { flow, .. } | VirtualEventBody::SlaChanged { flow, .. } => flow.to_string(),
            VirtualEventBody::RegionChanged { region, .. } => region.to_string(),
            VirtualEventBody::SwitchRefused { switch, region, .. } => {
                switch.map_or_else(|| region.to_string(), |s| s.to_string())
            }
            VirtualEventBody::SwitchConnected { switch, .. }
            | VirtualEventBody::SwitchConnectedElsewhere { switch, .. }
            | VirtualEventBody::SwitchAvailability { switch }
            | VirtualEventBody::SwitchDisconnected { switch, .. }
            | VirtualEventBody::SwitchRoleLost { switch, .. }
            | VirtualEventBody::PortChanged { switch, .. } => switch.to_string(),
        };
        let event = self.events.push(event, availability, self.now_ms(now));
        self.publish(Topic::Events, key, encode(&event));
        self.outputs.push_back(Output::Event(Box::new(event)));
    }

    pub(super) fn ask_region(&mut self, now: Instant, region: &Region) {
        // Into every partition: each is answered with its own begin, entries and end.
        self.command_number += 1;
        let name = format!("sync-{}-{}", self.config.owner_epoch, self.command_number);
        let snapshot: CorrelationId = name.parse().expect("letters, digits and hyphens");
        for partition in 0..self.config.partitions {
            let body = CommandBody::RegionSnapshot {
                snapshot: snapshot.clone(),
            };
            let command = self.command(now, region, body);
            let topic = Topic::RegionCommands(region.clone());
            let (key, payload) = (region.to_string(), encode(&command));
            self.outputs.push_back(Output::Publish {
                topic,
                partition,
                key,
                payload,
                token: None,
            });
        }
    }

    pub(super) fn send(&mut self, now: Instant, region: &Region, body: CommandBody) {
        let command = self.command(now, region, body);
        self.send_command(region, command);
    }

    pub(super) fn command(&mut self, now: Instant, region: &Region, body: CommandBody) -> Command {
        self.command_number += 1;
        let id = format!("router-{}-{}", self.config.owner_epoch, self.command_number);
        Command {
            correlation_id: id.parse().expect("letters, digits and hyphens"),
            requester: "router".to_owned(),
            deadline_ms: self.now_ms(now) + ROLE_DEADLINE.as_millis() as u64,
            owner_epoch: Some(self.config.owner_epoch),
            region: Some(region.clone()),
            epoch: self.presence.liveness().epoch(region),
            body,
        }
    }

    pub(super) fn send_command(&mut self, region: &Region, mut command: Command) {
        command.epoch = self.presence.liveness().epoch(region);
        let key = command
            .body
            .switch()
            .map_or_else(|| region.to_string(), |s| s.to_string());
        self.publish(Topic::RegionCommands(region.clone()), key, encode(&command));
    }

    pub(super) fn publish(&mut self, topic: Topic, key: String, payload: Vec<u8>) {
        let partition = skerry_bus::topic::partition_of(&key, self.config.partitions);
        self.outputs.push_back(Output::Publish {
            topic,
            partition,
            key,
            payload,
            token: None,
        });
    }

    pub(super) fn store(&mut self, write: Write) {
        self.outputs.push_back(Output::Store(write));
    }

    pub(super) fn count(&mut self, name: &'static str, label: &'static str, value: String) {
        self.outputs.push_back(Output::Count {
            name,
            label: (label, value),
        });
    }

    /// Who reaches a switch, for whoever asks it something.
    pub(super) fn tell_routing(&mut self, now: Instant, switch: SwitchId) {
        let sight = self.presence.switch(switch);
        let regions = sight.map(|s| s.reaches().iter().map(|(name, r)| (name.clone(), r.mode)).collect());
        let reason = match sight {
            None => String::new(),
            Some(s) if s.active().is_some() => String::new(),
            Some(s) if s.reaches().is_empty() && s.status() == "region_lost" => "its region was lost".to_owned(),
            Some(s) if s.reaches().is_empty() => "it is connected nowhere".to_owned(),
            Some(s) => {
                let reaches = s.reaches().iter();
                let why: Vec<String> = reaches
                    .map(|(name, reach)| format!("region {name} {}", self.why_not(name, reach.mode)))
                    .collect();
                why.join(", ")
            }
        };
        let input = routing::Input::Reached {
            switch,
            regions,
            reason,
        };
        self.routing.handle_input(now, input);
    }

    /// Commands of services are counted by how they ended, and those that were refused by the reason.
    pub(super) fn count_answer(&mut self, body: &ReplyBody) {
        let ReplyBody::SwitchResult { result, .. } = body else {
            return;
        };
        let outcome = match result.outcome {
            Outcome::Applied => "applied",
            Outcome::Rejected => "rejected",
            Outcome::Expired => "expired",
            Outcome::Superseded => "superseded",
            Outcome::Failed => "failed",
        };
        self.count("commands_total", "outcome", outcome.to_owned());
        if let (Outcome::Rejected, Some(cause)) = (result.outcome, &result.cause) {
            self.count("commands_refused_total", "cause", cause.kind().to_owned());
        }
    }

    pub(super) fn fact(&mut self, warn: bool, text: String) {
        self.outputs.push_back(Output::Fact { warn, text });
    }

    /// An answer that counts: its command is done with when Kafka has it.
    pub(super) fn answer(&mut self, requester: String, reply: &Reply, lasts: Lasts) {
        let payload = encode(reply);
        let said = Said {
            topic: Topic::Replies,
            key: requester,
            payload,
        };
        let answered = self.answers.answered(reply, said.clone());
        let token = answered.as_ref().map(|(token, _)| *token);
        let places = answered.map(|(_, places)| places).unwrap_or_default();
        for write in self.edits.answered(&said.key, reply, lasts, places) {
            self.store(write);
        }
        self.say_answer(said, token);
    }

    /// Put an answer, or a dead letter, on its topic.
    pub(super) fn say_answer(&mut self, said: Said, token: Option<u64>) {
        let Said { topic, key, payload } = said;
        let partition = skerry_bus::topic::partition_of(&key, self.config.partitions);
        self.outputs.push_back(Output::Publish {
            topic,
            partition,
            key,
            payload,
            token,
        });
    }
}
